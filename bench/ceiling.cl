/*
 * What a device can do at best: fused multiply-adds in registers, a plain read, a plain update in place.
 *
 * Build options (ceiling.c): V, a vector of the device's width; GROUP, work-items in a group.
 */

/* 12 sums hide the latency of two fused multiply-adds a cycle and fit into 16 registers. */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void fma_peak(global V *restrict result, int n,
                                                                        float a, float b)
{
    const V va = a, vb = b;
    V s0 = 0.0f, s1 = 0.1f, s2 = 0.2f, s3 = 0.3f, s4 = 0.4f, s5 = 0.5f;
    V s6 = 0.6f, s7 = 0.7f, s8 = 0.8f, s9 = 0.9f, s10 = 1.0f, s11 = 1.1f;
    for (int i = 0; i < n; i++) {
        s0 = fma(s0, va, vb);
        s1 = fma(s1, va, vb);
        s2 = fma(s2, va, vb);
        s3 = fma(s3, va, vb);
        s4 = fma(s4, va, vb);
        s5 = fma(s5, va, vb);
        s6 = fma(s6, va, vb);
        s7 = fma(s7, va, vb);
        s8 = fma(s8, va, vb);
        s9 = fma(s9, va, vb);
        s10 = fma(s10, va, vb);
        s11 = fma(s11, va, vb);
    }
    result[get_global_id(0)] = s0 + s1 + s2 + s3 + s4 + s5 + s6 + s7 + s8 + s9 + s10 + s11;
}

/*
 * A group has one piece of n vectors, cut into `streams` strips that it goes through side by side, 4 vectors of each
 * work-item at a time: with eight strips two cores of a Zen 3 read 39 GB/s at best, with one 25.
 */
#define STEP (4 * GROUP)
#define STRIPS(strip, first, last)                                          \
    const long strip = (n / get_num_groups(0) / streams / STEP + 1) * STEP; \
    const long first = min((long)get_group_id(0) * streams * strip, n);     \
    const long last = min(first + streams * strip, n), me = get_local_id(0)

kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void
read_all(global const V *restrict w, global V *restrict result, long n, int streams)
{
    STRIPS(strip, first, last);
    V s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    if (last - first == streams * strip) {
        for (long i = me; i < strip; i += STEP)
            for (int k = 0; k < streams; k++) {
                global const V *p = w + first + k * strip + i;
                s0 += p[0];
                s1 += p[GROUP];
                s2 += p[2 * GROUP];
                s3 += p[3 * GROUP];
            }
    } else { /* the last piece is a shorter one */
        for (long i = first + me; i < last; i += GROUP) s0 += w[i];
    }
    result[get_global_id(0)] = s0 + s1 + s2 + s3;
}

kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void update_all(global V *restrict w, float c,
                                                                          long n, int streams)
{
    STRIPS(strip, first, last);
    if (last - first == streams * strip) {
        for (long i = me; i < strip; i += STEP)
            for (int k = 0; k < streams; k++) {
                global V *p = w + first + k * strip + i;
                const V v0 = p[0], v1 = p[GROUP], v2 = p[2 * GROUP], v3 = p[3 * GROUP];
                p[0] = v0 * c;
                p[GROUP] = v1 * c;
                p[2 * GROUP] = v2 * c;
                p[3 * GROUP] = v3 * c;
            }
    } else {
        for (long i = first + me; i < last; i += GROUP) w[i] = w[i] * c;
    }
}
