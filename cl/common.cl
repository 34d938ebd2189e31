/*
 * What all kernels stand on: `real`, a row of OCLIN_VL floats (one float in the plain kernels), its loads and
 * stores, the activations and their derivatives. Everything is written once for all widths.
 *
 * Vectors at the right edge of a matrix are partial: `lanes` says how many of their elements exist; the
 * others are neither read (they come as 0) nor written.
 */
#if OCLIN_VL == 1
typedef float real;
#elif OCLIN_VL == 4
typedef float4 real;
#elif OCLIN_VL == 8
typedef float8 real;
#elif OCLIN_VL == 16
typedef float16 real;
#else
#error "OCLIN_VL must be 1, 4, 8 or 16"
#endif

#define OCLIN_JOIN_(a, b) a##b
#define OCLIN_JOIN(a, b) OCLIN_JOIN_(a, b)

/* a * b + c: one rounding where the hardware has it; where it does not, fma() would be a slow function. Every
 * kernel uses this form, so that the same sum gives the same bits wherever it is computed. */
#ifdef FP_FAST_FMAF
#define MULTIPLY_ADD(a, b, c) fma(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

/* vload4(), vstore4() and their kin, for any address space. On NVIDIA vload4 becomes four scalar loads; where
 * alignment is known, a dereferenced pointer is one 128-bit load. */
#if OCLIN_VL == 1
#define LOAD_REAL(p) (*(p))
#define STORE_REAL(value, p) (*(p) = (value))
#else
#define LOAD_REAL(p) OCLIN_JOIN(vload, OCLIN_VL)(0, p)
#define STORE_REAL(value, p) OCLIN_JOIN(vstore, OCLIN_VL)(value, 0, p)
#endif

/* Any address, as one access: PoCL's vload8() and vstore8() are two of four lanes each. In packing, which is
 * little else, that cost grad_w 3 to 12 %; where results are stored, products of short sums 4 to 20 %. */
struct any_real {
    real lanes;
} __attribute__((packed));
#define LOAD_ANY(p) (((global const struct any_real *)(p))->lanes)

/* Asks for the cache line at p, which will be read soon; no harm comes of an address that is not there.
 * OpenCL's own prefetch() does nothing on PoCL, and where this one is not known it fails the build: so only
 * where the plan says so. It asks for the L2: where rows lie a multiple of 4 KB apart, lines that come too
 * early push out each other from the L1. */
#if OCLIN_PREFETCH
#define PREFETCH(p) __builtin_prefetch((const void *)(uintptr_t)(p), 0, 2)
#else
#define PREFETCH(p)
#endif
/* For a line that will be written, on all compilers that have a queue (below). */
#if OCLIN_QUEUE
#define PREFETCH_TO_WRITE(p) __builtin_prefetch((const void *)(uintptr_t)(p), 1, 2)
#else
#define PREFETCH_TO_WRITE(p)
#endif

OCLIN_INLINE real load_lanes(global const float *p, int lanes)
{
    if (lanes >= OCLIN_VL) {
#if OCLIN_ALIGNED
        return *(global const real *)p;
#else
        return LOAD_REAL(p);
#endif
    }
    float part[OCLIN_VL];
    for (int i = 0; i < OCLIN_VL; i++) part[i] = i < lanes ? p[i] : 0.0f;
    return LOAD_REAL(part);
}

/* load_lanes() where whole vectors are what counts: on CPUs. */
OCLIN_INLINE real load_part(global const float *p, int lanes)
{
    return lanes >= OCLIN_VL ? LOAD_ANY(p) : load_lanes(p, lanes);
}

OCLIN_INLINE void store_lanes(global float *p, real value, int lanes)
{
    if (lanes >= OCLIN_VL) {
#if OCLIN_ALIGNED
        *(global real *)p = value;
#elif OCLIN_VL >= 8
        ((global struct any_real *)p)->lanes = value;
#else
        STORE_REAL(value, p);
#endif
        return;
    }
    float part[OCLIN_VL];
    STORE_REAL(value, part);
    for (int i = 0; i < OCLIN_VL; i++)
        if (i < lanes) p[i] = part[i];
}

/* y = act(z). NaN stays NaN: fmax(z, 0) would lose it, and so may clamp(). */
OCLIN_INLINE real activate(real z)
{
#if OCLIN_ACTIVATION == OCLIN_ACT_RELU
    return select(z, (real)(0.0f), isless(z, (real)(0.0f)));
#elif OCLIN_ACTIVATION == OCLIN_ACT_SIGMOID
    return 1.0f / (1.0f + exp(-z));
#elif OCLIN_ACTIVATION == OCLIN_ACT_TANH
    return tanh(z);
#elif OCLIN_ACTIVATION == OCLIN_ACT_GELU
    /* Left of -30 erfc() is 0, and -Inf times that 0 would be NaN. */
    z = select(z, (real)(-30.0f), isless(z, (real)(-30.0f)));
    return 0.5f * z * erfc(z * -0.70710678118654752f);
#else
    return z;
#endif
}

/* dz = act'(z) * dy, from what forward kept: s = y, for GELU s = z. ReLU selects: Inf * 0 must not appear. */
OCLIN_INLINE real grad_z(real dy, real s)
{
#if OCLIN_ACTIVATION == OCLIN_ACT_RELU
    return select(dy, (real)(0.0f), islessequal(s, (real)(0.0f)));
#elif OCLIN_ACTIVATION == OCLIN_ACT_SIGMOID
    return dy * (s * (1.0f - s));
#elif OCLIN_ACTIVATION == OCLIN_ACT_TANH
    return dy * (1.0f - s * s);
#elif OCLIN_ACTIVATION == OCLIN_ACT_GELU
    /* Beyond 30 cdf is 0 or 1 and pdf is 0, and an Inf times that 0 would be NaN. */
    s = select(s, copysign((real)(30.0f), s), isgreater(fabs(s), (real)(30.0f)));
    const real cdf = 0.5f * erfc(s * -0.70710678118654752f);
    const real pdf = 0.39894228040143268f * exp(-0.5f * s * s);
    return dy * (cdf + s * pdf);
#else
    return dy;
#endif
}

/* Adds the sums of the slices of k that came before. Where others follow, *sum is stored for them in Z, and 0
 * is returned. */
OCLIN_INLINE int is_last_slice(real *sum, global float *z, int flags, int lanes)
{
    if (flags & OCLIN_FLAG_ONTO) *sum += load_lanes(z, lanes);
    if (flags & OCLIN_FLAG_PARTIAL) store_lanes(z, *sum, lanes);
    return !(flags & OCLIN_FLAG_PARTIAL);
}

/* A finished gradient goes to its place: g is stored, added, or used for the step, once, after the whole sum.
 */
OCLIN_INLINE void store_gradient(real g, global float *c, float lr, int flags, int lanes)
{
    if (flags & OCLIN_FLAG_UPDATE)
        g = MULTIPLY_ADD((real)(-lr), g, load_lanes(c, lanes));
    else if (flags & OCLIN_FLAG_ACCUMULATE)
        g += load_lanes(c, lanes);
    store_lanes(c, g, lanes);
}

/*
 * The arguments of every product kernel: C = A B and what its epilogue needs. Offsets, strides and sizes in
 * elements.
 *
 *            A (m x k)      S (as A's source)   B (k x n)   C (m x n)     V            Z
 *   forward  X              -                   W^T         Y             b (read)     Z (OCLIN_FLAG_KEEP_Z)
 *   grad_x   dZ of dY       y or z              W           dX            -            -
 *   grad_w   dZ^T of dY     y or z              X           dW or W       db or b      -
 *
 * A long k is computed in slices, one launch after the other (additions.c says how many). Z then holds the
 * sums of the slices so far: m x n, and for db a column more, number n. It may be C itself where C is
 * overwritten.
 *
 * Operands that a product has no use for are given as some valid buffer, and not touched. block_m, block_n,
 * block_k: the part of the tile that this launch uses (simd: multiples of its register tile; its narrow form
 * and the skinny kernels: see there).
 */
#define PRODUCT_ARGUMENTS_(RESTRICT)                                                                         \
    global const float *RESTRICT a, long a_offset, long a_stride, global const float *RESTRICT s,            \
        long s_offset, long s_stride, global const float *RESTRICT b, long b_offset, long b_stride,          \
        global float *c, long c_offset, long c_stride, global float *v, long v_offset, global float *z,      \
        long z_offset, long z_stride, long m, long n, long k, float scale, float lr, int flags, int block_m, \
        int block_n, int block_k
#define PRODUCT_ARGUMENTS PRODUCT_ARGUMENTS_(restrict)
/* Of a helper: a promise of its own, once inlined, becomes an instruction that Oclgrind 21.10 does not know.
 */
#define OCLIN_NO_PROMISE
#define HELPER_ARGUMENTS PRODUCT_ARGUMENTS_(OCLIN_NO_PROMISE)

/* The same in a call. */
#define PRODUCT_VALUES                                                                                       \
    a, a_offset, a_stride, s, s_offset, s_stride, b, b_offset, b_stride, c, c_offset, c_stride, v, v_offset, \
        z, z_offset, z_stride, m, n, k, scale, lr, flags, block_m, block_n, block_k

#if OCLIN_QUEUE
/*
 * A queue of work (OCLIN_QUEUE): one group a core is launched, and each takes part after part, by tickets,
 * until there are none. PoCL hands out groups in chunks, half of all to the first core that asks: one that
 * wakes up late (0.1 ms and more), or that another program slows down, would be waited for, and a second
 * launch for what depends on the first costs 0.1 ms more. (Step of 784-256, batch 128, on two cores: 1.1 to
 * 1.2 times as fast.)
 *
 * Tickets are taken in order, each by a group that runs already and goes on to the end of its part. So who
 * waits for what was packed with earlier tickets waits for threads that are at work, however many of the
 * groups run at the same time.
 *
 * The counters are 0 between launches: who takes the last ticket of all sees to that, when nobody else has
 * work any more.
 */
OCLIN_INLINE long next_ticket(volatile global uint *queue, long tickets)
{
    const long ticket = atomic_inc(queue);
    if (ticket == tickets + (long)get_num_groups(0) - 1) queue[0] = queue[OCLIN_QUEUE_PACKED] = 0;
    return ticket;
}

/* The i-th of `count` parts, such that groups begin, and mostly stay, in regions of their own: a line that
 * two cores read at the same time comes more slowly out of the other's cache than out of a common one. */
OCLIN_INLINE long spread(long i, long count)
{
    const long groups = get_num_groups(0), each = count / groups, group = i % groups;
    return group * each + min(group, count % groups) + i / groups;
}

/* OpenCL 1.2 has no fence between groups; the compilers that OCLIN_QUEUE is for have this one. */
OCLIN_INLINE void tell_packed(volatile global uint *queue)
{
    __sync_synchronize();
    atomic_inc(queue + OCLIN_QUEUE_PACKED);
}

OCLIN_INLINE void await_packed(volatile global uint *queue, long parts)
{
    while (queue[OCLIN_QUEUE_PACKED] < parts) {
    }
    __sync_synchronize();
}
#endif
