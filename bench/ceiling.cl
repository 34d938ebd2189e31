/*
 * What a device can do at best: fused multiply-adds in registers, a plain read, a plain update in place.
 *
 * Build options (ceiling.c): V, a vector of the device's width; GROUP, work-items in a group.
 * A group goes through one piece of the array, its work-items side by side; four loads of each are on their way.
 */

/* 12 sums hide the latency of two fused multiply-adds a cycle and fit into 16 registers. */
kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void fma_peak(global V *restrict result, int n, float a, float b)
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

/* The piece of n vectors that this group has: [*first, *last), whole multiples of 4 GROUP but for the last one's. */
#define PIECE(first, last)                                                                   \
    const long part = (n / get_num_groups(0) / (4 * GROUP) + 1) * (4 * GROUP);               \
    const long first = min((long)get_group_id(0) * part, n), last = min(first + part, n);    \
    const long whole = first + (last - first) / (4 * GROUP) * (4 * GROUP), me = get_local_id(0)

kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void read_all(global const V *restrict w, global V *restrict result,
                                                                        long n)
{
    PIECE(first, last);
    V s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
    for (long i = first + me; i < whole; i += 4 * GROUP) {
        s0 += w[i];
        s1 += w[i + GROUP];
        s2 += w[i + 2 * GROUP];
        s3 += w[i + 3 * GROUP];
    }
    for (long i = whole + me; i < last; i += GROUP) s0 += w[i];
    result[get_global_id(0)] = s0 + s1 + s2 + s3;
}

kernel __attribute__((reqd_work_group_size(GROUP, 1, 1))) void update_all(global V *restrict w, float c, long n)
{
    PIECE(first, last);
    for (long i = first + me; i < whole; i += 4 * GROUP) {
        const V v0 = w[i], v1 = w[i + GROUP], v2 = w[i + 2 * GROUP], v3 = w[i + 3 * GROUP];
        w[i] = v0 * c;
        w[i + GROUP] = v1 * c;
        w[i + 2 * GROUP] = v2 * c;
        w[i + 3 * GROUP] = v3 * c;
    }
    for (long i = whole + me; i < last; i += GROUP) w[i] = w[i] * c;
}
