/*
 * The product C = A B for CPUs: one work-item a work-group computes a block of block_m x block_n results, its
 * local memory is the core's cache. Built in one of these forms (OCLIN_STAGE):
 *
 *   OCLIN_STAGE_WHOLE     one launch; every group packs the rows of A and the columns of B that it needs
 *   OCLIN_STAGE_PRODUCT   reads what was packed of all of A and B, once, into scratch memory: before, in the same launch, where
 *                         groups have a queue (common.cl), else in the launch before
 *   OCLIN_STAGE_PACK      that launch
 *   OCLIN_STAGE_MIXED     reads what was packed of A, and packs the columns of B that it needs, which pass through no memory
 *                         on their way; with a queue only. Batches of 64 to 256 with a large W: forward and dX 1.05 to 1.15
 *                         times as fast as by the other forms
 *   OCLIN_STAGE_NARROW    forward for small batches: packs X alone and reads W in place; see there
 *
 * Packing costs about as much as 20 multiplications an element (plan.c has it by operand), and where every
 * group packs, an element of A is packed n / block_n times, one of B m / block_m times: large products are 10
 * to 20 % faster where it is done once. (Measured with 1024^3 on a Zen 3 core: 0.75 of the FMA peak, 0.97 if
 * nothing had to be packed.)
 *
 * 1-D range, local size 1. Block i of a product is (i % blocks_m, i / blocks_m), blocks_m = ceil(m /
 * block_m): those that follow each other share columns of B: a panel of B is read at the speed of the
 * multiplications, A more slowly. Group i computes block i; with a queue (OCLIN_QUEUE) there is a group for
 * each core, and each packs and computes what is next until all is done.
 *
 *      for each block_k of k                       a_block (in L2)              b_panels (in L1)
 *        pack A's block                                    k ->                      ITEM_N
 *        for each panel of ITEM_N columns                +---------+             +-----------+
 *          pack B's panel                         ITEM_M | strip 0 |          k  |   panel   |
 *          for each strip of ITEM_M rows                 +---------+          |  |           |
 *            sums = strip x panel, in registers          | strip 1 |          v  |           |
 *            c_tile += sums; at the last: C              +---------+             +-----------+
 *
 * Short sums (depth <= BY_ROWS) go strip by strip instead, through all panels that are packed together: there
 * storing C is most of the work, and memory likes whole rows (dX of 10000 x 784 x 10: 1.3 times as fast).
 *
 *   a_block   (row, k) at (row / ITEM_M) * STRIP_FLOATS + k * ITEM_M + row % ITEM_M: one stream (rows that lie apart are
 *             six, which prefetchers follow badly: forward at 2048^3 ran at 0.6 of grad_w's rate)
 *   b_panels  (k, column) at k * ITEM_N + column; PANELS of them, more where depth is small
 *   c_tile    panel by panel, in it strip by strip, in it row by row of ITEM_N; where k is one block, sums need no place
 *             of their own: it is the first one's for all, and stays in the L1 (dW of 1024 x 1024, batches of 64 to
 *             256: 1.1 to 1.2 times as fast)
 *
 * In scratch memory (`packed`): for each block_k of k all strips of A; then for each block_k all panels of B,
 * or (MIXED) each group's PANELS.
 *
 * The register tile is always computed whole. Rows and columns past the edges of C hold 0 or another row's
 * or column's numbers; their results are not stored. Nothing is added up past k.
 *
 * OCLIN_VL        lanes of `real`: 4, 8, 16
 * OCLIN_ITEM_M    rows of the register tile: 6, 8, 12
 * OCLIN_ITEM_N    its columns: 2 * OCLIN_VL leaves registers for a row of B and an element of A
 * OCLIN_TILE_M/N  largest block of C: multiples of OCLIN_ITEM_M/N, e.g. 192 x 256; a flat one may be wider, at that size
 * OCLIN_TILE_K    largest depth: a multiple of OCLIN_VL, e.g. 256: a panel is then half of a 32 KiB L1
 */
#if !OCLIN_SIMD_TILE_OK(OCLIN_TILE_M, OCLIN_TILE_N, OCLIN_TILE_K, OCLIN_ITEM_M, OCLIN_ITEM_N, OCLIN_VL)
#error "simd: tiles must be multiples of the register tile, and that of OCLIN_VL"
#endif
#if OCLIN_VL == 1
#error "simd: OCLIN_VL must be 4, 8 or 16"
#endif

/* The register tile, in vectors. */
#define ITEM_VECTORS (OCLIN_ITEM_N / OCLIN_VL)
#define SUMS (OCLIN_ITEM_M * ITEM_VECTORS)
/* VL floats more: pack_a()'s last store and sum_strip()'s last load reach past the strip's elements. */
#define STRIP_VECTORS ((OCLIN_ITEM_M + OCLIN_VL - 1) / OCLIN_VL)
#define STRIP_FLOATS OCLIN_SIMD_STRIP_FLOATS(OCLIN_TILE_K, OCLIN_ITEM_M, OCLIN_VL)
#define PANEL_FLOATS OCLIN_SIMD_PANEL_FLOATS(OCLIN_TILE_K, OCLIN_ITEM_N)
/* Panels of B that are packed together. Where B lies along n, one panel's row is a cache line or less, far
 * from the next; four in a row: products 4 to 19 % faster. Where it lies along k there is nothing to gain. */
#define PANELS (B_ALONG_K ? 1 : OCLIN_SIMD_PANELS)
#define BY_ROWS 64 /* the largest depth of sums that are short */
#define PACK_M OCLIN_SIMD_PACK_M(OCLIN_ITEM_M)
#define PACK_N OCLIN_SIMD_PACK_N(OCLIN_ITEM_N)

/* Where in `packed` the panels of B begin. */
OCLIN_INLINE long packed_b(long m, long k, int block_k)
{
    return (k + block_k - 1) / block_k * ((m + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M) * STRIP_FLOATS;
}

/* Where strips and panels lie. */
#if OCLIN_STAGE == OCLIN_STAGE_WHOLE || OCLIN_STAGE == OCLIN_STAGE_NARROW
#define PACKED local
#else
#define PACKED global
#endif
/* Whether what is packed of A, and of B, is there for all groups, or packed by each for itself. */
#define SHARES_A                                                              \
    (OCLIN_STAGE == OCLIN_STAGE_PACK || OCLIN_STAGE == OCLIN_STAGE_PRODUCT || \
     OCLIN_STAGE == OCLIN_STAGE_MIXED)
#define SHARES_B (OCLIN_STAGE == OCLIN_STAGE_PACK || OCLIN_STAGE == OCLIN_STAGE_PRODUCT)

#define STORE_ANY(value, p) (((PACKED struct any_real *)(p))->lanes = (value))

/* VL lanes of what is packed of A: where A is a gradient, of dz. */
OCLIN_INLINE real load_a(global const float *a, global const float *s, int lanes)
{
    const real value = load_part(a, lanes);
#if A_IS_GRAD_Z && OCLIN_ACTIVATION != OCLIN_ACT_NONE
    return grad_z(value, load_lanes(s, lanes));
#else
    return value;
#endif
}

#if A_ALONG_K || B_ALONG_K
/* Shuffles as such: of vector literals, or of shuffle2(), LLVM 14 makes about twice as many instructions.
 * Oclgrind 21.10 calls what comes out of them uninitialised; scripts/oclgrind.sh therefore asks for
 * shuffle2(). */
#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
#if __has_builtin(__builtin_shufflevector) && !defined(OCLIN_USE_SHUFFLE2)
#define SHUFFLE __builtin_shufflevector
#else
#define SHUFFLE(x, y, ...) shuffle2(x, y, (OCLIN_JOIN(uint, OCLIN_VL))(__VA_ARGS__))
#endif
/* Each four lanes of x and y: their even elements, and their odd elements. BLOCKS(r, i): lanes i ... i + 3 of
 * each of r[0] ... r[VL / 4 - 1]. */
#if OCLIN_VL == 4
#define EVEN_OF_4(x, y) SHUFFLE(x, y, 0, 2, 4, 6)
#define ODD_OF_4(x, y) SHUFFLE(x, y, 1, 3, 5, 7)
#define BLOCKS(r, i) ((r)[0])
#elif OCLIN_VL == 8
#define EVEN_OF_4(x, y) SHUFFLE(x, y, 0, 2, 8, 10, 4, 6, 12, 14)
#define ODD_OF_4(x, y) SHUFFLE(x, y, 1, 3, 9, 11, 5, 7, 13, 15)
#define BLOCKS(r, i) SHUFFLE((r)[0], (r)[1], i, i + 1, i + 2, i + 3, i + 8, i + 9, i + 10, i + 11)
#else
#define EVEN_OF_4(x, y) SHUFFLE(x, y, 0, 2, 16, 18, 4, 6, 20, 22, 8, 10, 24, 26, 12, 14, 28, 30)
#define ODD_OF_4(x, y) SHUFFLE(x, y, 1, 3, 17, 19, 5, 7, 21, 23, 9, 11, 25, 27, 13, 15, 29, 31)
#define TWO_BLOCKS(x, y, i) \
    SHUFFLE(x, y, i, i + 1, i + 2, i + 3, i + 16, i + 17, i + 18, i + 19, 0, 0, 0, 0, 0, 0, 0, 0)
#define BLOCKS(r, i)                                                                                      \
    SHUFFLE(TWO_BLOCKS((r)[0], (r)[1], i), TWO_BLOCKS((r)[2], (r)[3], i), 0, 1, 2, 3, 4, 5, 6, 7, 16, 17, \
            18, 19, 20, 21, 22, 23)
#endif

/*
 * Transposes VL rows (of which `last` is the last that exists; it stands in for those behind it) x depth
 * elements, so that element k of all of them stands at to + k * step. VL x VL at a time, in registers: first
 * 4 x 4 in each four lanes,
 *
 *   r0  a0 a1 a2 a3      e0  a0 a2 b0 b2      a0 b0 c0 d0
 *   r1  b0 b1 b2 b3      e1  c0 c2 d0 d2      a1 b1 c1 d1
 *   r2  c0 c1 c2 c3      o0  a1 a3 b1 b3      a2 b2 c2 d2
 *   r3  d0 d1 d2 d3      o1  c1 c3 d1 d3      a3 b3 c3 d3
 *
 * then blocks of four lanes. of_a: the rows are A's, else B's.
 */
OCLIN_INLINE void transpose(PACKED float *to, const int step, global const float *from, long stride,
                            global const float *s, long s_stride, int last, int depth, const int of_a)
{
    int k = 0;
    for (; k + OCLIN_VL <= depth; k += OCLIN_VL, to += OCLIN_VL * step) {
        real t[4][OCLIN_VL / 4]; /* t[i][j]: element 4 q + i of rows 4 j ... 4 j + 3 in block q */
#pragma unroll
        for (int j = 0; j < OCLIN_VL / 4; j++) {
            const int i0 = min(4 * j, last), i1 = min(4 * j + 1, last), i2 = min(4 * j + 2, last),
                      i3 = min(4 * j + 3, last);
#define ROW(i) \
    (of_a ? load_a(from + i * stride + k, s + i * s_stride + k, OCLIN_VL) : LOAD_ANY(from + i * stride + k))
            const real r0 = ROW(i0), r1 = ROW(i1), r2 = ROW(i2), r3 = ROW(i3);
            const real e0 = EVEN_OF_4(r0, r1), e1 = EVEN_OF_4(r2, r3);
            const real o0 = ODD_OF_4(r0, r1), o1 = ODD_OF_4(r2, r3);
            t[0][j] = EVEN_OF_4(e0, e1);
            t[1][j] = EVEN_OF_4(o0, o1);
            t[2][j] = ODD_OF_4(e0, e1);
            t[3][j] = ODD_OF_4(o0, o1);
        }
#define STORE_4(i)                                   \
    STORE_ANY(BLOCKS(t[0], i), to + (i)*step);       \
    STORE_ANY(BLOCKS(t[1], i), to + (i + 1) * step); \
    STORE_ANY(BLOCKS(t[2], i), to + (i + 2) * step); \
    STORE_ANY(BLOCKS(t[3], i), to + (i + 3) * step)
        STORE_4(0);
#if OCLIN_VL >= 8
        STORE_4(4);
#endif
#if OCLIN_VL == 16
        STORE_4(8);
        STORE_4(12);
#endif
    }
    for (; k < depth; k++, to += step) {
        float part[OCLIN_VL];
        for (int i = 0; i < OCLIN_VL; i++) {
            const int row = min(i, last);
            float value = from[row * stride + k];
#if A_IS_GRAD_Z && OCLIN_ACTIVATION != OCLIN_ACT_NONE
            if (of_a) {
                float one[OCLIN_VL];
                STORE_REAL(grad_z((real)(value), (real)(s[row * s_stride + k])), one);
                value = one[0];
            }
#endif
            part[i] = value;
        }
        STORE_ANY(LOAD_REAL(part), to);
    }
}
#endif

/* Packs strips of `depth` elements of A; a and s point at the first. m_left: rows of A from there on. */
#if A_ALONG_K
/* The last vector of a strip first: the lanes that it has too many lie where the next k's first ones go. */
OCLIN_INLINE void pack_a(PACKED float *to, global const float *a, long a_stride, global const float *s,
                         long s_stride, int strips, long m_left, int depth)
{
    for (int strip = 0; strip < strips; strip++)
        for (int v = STRIP_VECTORS - 1; v >= 0; v--) {
            const int row = (int)min((long)(strip * OCLIN_ITEM_M + v * OCLIN_VL), m_left - 1);
            const int last = (int)min(m_left - row, (long)OCLIN_VL) - 1;
            transpose(to + strip * STRIP_FLOATS + v * OCLIN_VL, OCLIN_ITEM_M, a + row * a_stride, a_stride,
                      s + row * s_stride, s_stride, last, depth, 1);
        }
}
#else
/*
 * Four k at a time, over all strips: a strip needs only part of each cache line, its neighbour the rest.
 * Where VL does not divide ITEM_M the stores overlap: lanes too many are overwritten by the next k.
 */
OCLIN_INLINE void pack_a(PACKED float *to, global const float *a, long a_stride, global const float *s,
                         long s_stride, int strips, long m_left, int depth)
{
    for (int k0 = 0; k0 < depth; k0 += 4)
        for (int strip = 0; strip < strips; strip++) {
            const long left = m_left - strip * OCLIN_ITEM_M;
            global const float *from = a + k0 * a_stride + strip * OCLIN_ITEM_M;
            global const float *from_s = s + k0 * s_stride + strip * OCLIN_ITEM_M;
            PACKED float *strip_to = to + strip * STRIP_FLOATS + k0 * OCLIN_ITEM_M;
            if (k0 + 4 <= depth && left >= STRIP_VECTORS * OCLIN_VL) {
#pragma unroll
                for (int i = 0; i < 4 * STRIP_VECTORS; i++) {
                    const int k = i / STRIP_VECTORS, row = i % STRIP_VECTORS * OCLIN_VL;
                    STORE_ANY(load_a(from + k * a_stride + row, from_s + k * s_stride + row, OCLIN_VL),
                              strip_to + k * OCLIN_ITEM_M + row);
                }
                continue;
            }
            for (int k = 0; k < min(depth - k0, 4); k++)
                for (int row = 0; row < OCLIN_ITEM_M; row += OCLIN_VL) {
                    const int lanes = (int)clamp(left - row, 0L, (long)OCLIN_VL);
                    STORE_ANY(load_a(from + k * a_stride + row, from_s + k * s_stride + row, lanes),
                              strip_to + k * OCLIN_ITEM_M + row);
                }
        }
}
#endif

#if B_ALONG_K
/* Packs some panels x depth elements of B; b points at the first. n_left: columns of B from there on. */
OCLIN_INLINE void pack_b(PACKED float *to, int panel_floats, global const float *b, long b_stride, int panels,
                         long n_left, int depth)
{
    for (int j = 0; j < panels * OCLIN_ITEM_N; j += OCLIN_VL) {
        const int first = (int)min((long)j, n_left - 1);
        const int last = (int)min((long)OCLIN_VL, n_left - first) - 1;
        transpose(to + j / OCLIN_ITEM_N * panel_floats + j % OCLIN_ITEM_N, OCLIN_ITEM_N, b + first * b_stride,
                  b_stride, b, 0, last, depth, 0);
    }
}
#else
OCLIN_INLINE void pack_b(PACKED float *to, int panel_floats, global const float *b, long b_stride, int panels,
                         long n_left, int depth)
{
    /* Whole panels, without a branch between the loads. */
    if (n_left >= PANELS * OCLIN_ITEM_N) {
        for (int k = 0; k < depth; k++, b += b_stride, to += OCLIN_ITEM_N) {
            real row[PANELS * ITEM_VECTORS];
#pragma unroll
            for (int j = 0; j < PANELS * ITEM_VECTORS; j++) row[j] = LOAD_ANY(b + j * OCLIN_VL);
#pragma unroll
            for (int j = 0; j < PANELS * ITEM_VECTORS; j++)
                *(PACKED real *)(to + j / ITEM_VECTORS * panel_floats + j % ITEM_VECTORS * OCLIN_VL) = row[j];
        }
        return;
    }
    for (int k = 0; k < depth; k++, b += b_stride, to += OCLIN_ITEM_N)
        for (int j = 0; j < panels * ITEM_VECTORS; j++) {
            const int lanes = (int)clamp(n_left - j * OCLIN_VL, 0L, (long)OCLIN_VL);
            STORE_REAL(load_lanes(b + j * OCLIN_VL, lanes),
                       to + j / ITEM_VECTORS * panel_floats + j % ITEM_VECTORS * OCLIN_VL);
        }
}
#endif

/*
 * One register tile: c = strip x panel, added to what earlier k-blocks left in c unless it is the first.
 * Meanwhile memory is asked for what is packed next, `ahead` (OCLIN_PREFETCH: dW of 10000 x 784 x 10 is 1.4
 * times as fast; it costs a product that lies in the cache 5 to 14 %). The sums are one flat array, only ever
 * indexed by constants: so they stay in registers. With a loop left rolled, or an array of two dimensions, a
 * first version spilled: 44 instead of 245 GFLOP/s.
 */
OCLIN_INLINE void multiply(PACKED const float *a, PACKED const float *b, local real *c, int depth, int first,
                           global const float *ahead, long ahead_stride)
{
    real sum[SUMS];
#pragma unroll
    for (int i = 0; i < SUMS; i++) sum[i] = (real)(0.0f);

    for (int k = 0; k < depth; k++, a += OCLIN_ITEM_M, b += OCLIN_ITEM_N) {
        PREFETCH(ahead + k * ahead_stride);
        real b_row[ITEM_VECTORS];
#pragma unroll
        for (int j = 0; j < ITEM_VECTORS; j++) b_row[j] = ((PACKED const real *)b)[j];
#pragma unroll
        for (int i = 0; i < SUMS; i++)
            sum[i] = MULTIPLY_ADD((real)(a[i / ITEM_VECTORS]), b_row[i % ITEM_VECTORS], sum[i]);
    }

    if (!first) {
#pragma unroll
        for (int i = 0; i < SUMS; i++) sum[i] += c[i];
    }
#pragma unroll
    for (int i = 0; i < SUMS; i++) c[i] = sum[i];
}

/* Asks for where a register tile will be stored, before it is computed: W or dW, which is as large as the
 * product, seldom in the cache, and read before in the step. (Whole steps 1.03 times as fast; the same for Y
 * and dX: 0.97.) */
OCLIN_INLINE void prefetch_tile(global const float *c, long c_stride)
{
    for (int row = 0; row < OCLIN_ITEM_M; row++) PREFETCH_TO_WRITE(c + row * c_stride);
}

/* Stores a register tile, of which rows x columns exist; c, v and z point at its first. With a constant for
 * `lanes` where the tile is whole: dW up to 10 % faster. */
OCLIN_INLINE void store_tile(local const real *sums, int rows, int columns, global float *c, long c_stride,
                             global float *v, global float *z, long z_stride, float scale, float lr,
                             int flags)
{
    for (int row = 0; row < min(rows, OCLIN_ITEM_M); row++, c += c_stride, z += z_stride)
        for (int j = 0; j < OCLIN_ITEM_N && j < columns; j += OCLIN_VL) {
            const real sum = sums[(row * OCLIN_ITEM_N + j) / OCLIN_VL];
            if (columns >= OCLIN_ITEM_N)
                store_product(sum, c + j, v + j, z + j, scale, lr, flags, OCLIN_VL);
            else
                store_product(sum, c + j, v + j, z + j, scale, lr, flags, min(columns - j, OCLIN_VL));
        }
}

#if SUM_A_OVER_K
/* Adds up a packed strip's rows over block number `block` of k. Four sums at a time: one would wait for
 * itself. They join the block's after SUM_DEPTH elements; blocks' sums meet in `sums`, and these after
 * SUM_BLOCKS blocks in sums[TILE_M ...]: so few roundings follow each other. */
OCLIN_INLINE void sum_strip(PACKED const float *a, local float *sums, int depth, long block)
{
    for (int i = 0; i < OCLIN_ITEM_M; i += OCLIN_VL) {
        real sum = (real)(0.0f);
        for (int k = 0; k < depth;) {
            const int end = min(k + OCLIN_SIMD_SUM_DEPTH, depth);
            real s0 = (real)(0.0f), s1 = s0, s2 = s0, s3 = s0;
            for (; k + 4 <= end; k += 4) {
                s0 += LOAD_REAL(a + (k + 0) * OCLIN_ITEM_M + i);
                s1 += LOAD_REAL(a + (k + 1) * OCLIN_ITEM_M + i);
                s2 += LOAD_REAL(a + (k + 2) * OCLIN_ITEM_M + i);
                s3 += LOAD_REAL(a + (k + 3) * OCLIN_ITEM_M + i);
            }
            for (; k < end; k++) s0 += LOAD_REAL(a + k * OCLIN_ITEM_M + i);
            sum += (s0 + s1) + (s2 + s3);
        }
        float part[OCLIN_VL];
        STORE_REAL(sum, part);
        for (int j = 0; j < min(OCLIN_VL, OCLIN_ITEM_M - i); j++) {
            local float *now = sums + i + j, *all = now + OCLIN_TILE_M;
            const int begins = block % OCLIN_SIMD_SUM_BLOCKS == 0;
            if (begins) *all = block == 0 ? 0.0f : *all + *now;
            *now = begins ? part[j] : *now + part[j];
        }
    }
}
#endif

#if SHARES_A
/* Parts of what is packed: for each block_k of k, one for every PACK_M rows of A; then, for each block_k, one
 * for every PACK_N columns of B. */
OCLIN_INLINE long parts_of_a(long m, long k, int block_k)
{
    return (m + PACK_M - 1) / PACK_M * ((k + block_k - 1) / block_k);
}

OCLIN_INLINE long parts_of_b(long n, long k, int block_k)
{
    return (n + PACK_N - 1) / PACK_N * ((k + block_k - 1) / block_k);
}

OCLIN_INLINE void pack_part(long part, HELPER_ARGUMENTS, global float *packed)
{
    const long parts_m = (m + PACK_M - 1) / PACK_M, parts_n = (n + PACK_N - 1) / PACK_N;
    const long strips = (m + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M, panels = (n + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N;
    const long of_a = parts_of_a(m, k, block_k), part_b = part - of_a;
    if (part < of_a) {
        const long block = part / parts_m, k0 = block * block_k, row0 = part % parts_m * PACK_M;
        const int depth = (int)min(k - k0, (long)block_k), rows = (int)min(m - row0, (long)PACK_M);
        a += a_offset + row0 * (A_ALONG_K ? a_stride : 1) + k0 * (A_ALONG_K ? 1 : a_stride);
        s += s_offset + row0 * (A_ALONG_K ? s_stride : 1) + k0 * (A_ALONG_K ? 1 : s_stride);
        pack_a(packed + (block * strips + row0 / OCLIN_ITEM_M) * STRIP_FLOATS, a, a_stride, s, s_stride,
               (rows + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M, m - row0, depth);
    } else if (part_b < parts_of_b(n, k, block_k)) {
        const long block = part_b / parts_n, k0 = block * block_k, column0 = part_b % parts_n * PACK_N;
        const int depth = (int)min(k - k0, (long)block_k), columns = (int)min(n - column0, (long)PACK_N);
        b += b_offset + column0 * (B_ALONG_K ? b_stride : 1) + k0 * (B_ALONG_K ? 1 : b_stride);
        packed += packed_b(m, k, block_k) + (block * panels + column0 / OCLIN_ITEM_N) * PANEL_FLOATS;
        for (int column = 0; column < columns; column += PANELS * OCLIN_ITEM_N)
            pack_b(packed + column * OCLIN_TILE_K, PANEL_FLOATS, b + column * (B_ALONG_K ? b_stride : 1),
                   b_stride, min((columns - column + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N, PANELS),
                   n - column0 - column, depth);
    }
}
#endif

#if OCLIN_STAGE == OCLIN_STAGE_NARROW
/*
 * Forward for small batches, where packing W would cost as much as multiplying with it: it computes Y^T = W
 * X^T. W takes the place of A, and is read in place, ITEM_M rows side by side, each once; X takes that of B,
 * and every group packs it: a panel holds ITEM_N samples. (Batches of 16, 32, 48, 64: 1.1 to 1.3 times as
 * fast as by the other forms and forward_skinny.cl.)
 *
 * Block i is columns i * block_n ... of Y, for all samples; block_n is a multiple of ITEM_M. It takes no
 * queue: with one, LLVM 14 computes addresses of rows in the inner loop (0.7 times as fast).
 *
 *   x_panels  as b_panels
 *   y_tile    (column, sample) at column * width + sample, width: all samples, rounded up to ITEM_N
 *
 * Of the tile it takes the room of A's block and of C's (width * block_k and block_n * width floats), not
 * their sides.
 */
OCLIN_INLINE void multiply_rows(global const float *w, long w_stride, int rows, local const float *x,
                                local real *y, int y_step, int depth, int first)
{
    global const float *w_row[OCLIN_ITEM_M];
    real sum[SUMS];
#pragma unroll
    for (int i = 0; i < OCLIN_ITEM_M; i++) w_row[i] = w + min(i, rows - 1) * w_stride;
#pragma unroll
    for (int i = 0; i < SUMS; i++) sum[i] = (real)(0.0f);

    for (int k = 0; k < depth; k++, x += OCLIN_ITEM_N) {
        real x_row[ITEM_VECTORS];
#pragma unroll
        for (int j = 0; j < ITEM_VECTORS; j++) x_row[j] = ((local const real *)x)[j];
#pragma unroll
        for (int i = 0; i < SUMS; i++)
            sum[i] = MULTIPLY_ADD((real)(w_row[i / ITEM_VECTORS][k]), x_row[i % ITEM_VECTORS], sum[i]);
    }

#pragma unroll
    for (int i = 0; i < SUMS; i++) {
        local real *to = y + i / ITEM_VECTORS * y_step + i % ITEM_VECTORS;
        *to = first ? sum[i] : *to + sum[i];
    }
}

OCLIN_INLINE void compute_block(long block, local real *x_panels, local real *b_panels, local real *y_tile,
                                local float *a_sums, HELPER_ARGUMENTS, global const float *packed)
{
    const long column0 = block * block_n;
    if (column0 >= n) return;
    const int columns = (int)min(n - column0, (long)block_n), samples = (int)m;
    const int panels = (samples + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N, width = panels * OCLIN_ITEM_N;
    a += a_offset;
    b += b_offset + column0 * b_stride;

    for (long k0 = 0; k0 < k; k0 += block_k) {
        const int depth = (int)min(k - k0, (long)block_k), panel_floats = depth * OCLIN_ITEM_N;
        local float *x = (local float *)x_panels;
        pack_b(x, panel_floats, a + k0, a_stride, panels, samples, depth);
        for (int column = 0; column < columns; column += OCLIN_ITEM_M)
            for (int panel = 0; panel < panels; panel++)
                multiply_rows(b + column * b_stride + k0, b_stride, columns - column,
                              x + panel * panel_floats,
                              y_tile + (column * width + panel * OCLIN_ITEM_N) / OCLIN_VL, width / OCLIN_VL,
                              depth, k0 == 0);
    }

    local const float *sums = (local const float *)y_tile;
    c += c_offset + column0;
    v += v_offset + column0;
    z += z_offset + column0;
    for (int sample = 0; sample < samples; sample++, c += c_stride, z += z_stride)
        for (int column = 0; column < columns; column += OCLIN_VL) {
            float row[OCLIN_VL];
            for (int j = 0; j < OCLIN_VL; j++) row[j] = sums[min(column + j, columns - 1) * width + sample];
            store_product(LOAD_REAL(row), c + column, v + column, z + column, scale, lr, flags,
                          min(columns - column, OCLIN_VL));
        }
}
#elif OCLIN_STAGE != OCLIN_STAGE_PACK
OCLIN_INLINE void compute_block(long block, local real *a_block, local real *b_panels, local real *c_tile,
                                local float *a_sums, HELPER_ARGUMENTS, global float *packed)
{
    const long blocks_m = (m + block_m - 1) / block_m;
    const long row0 = block % blocks_m * block_m, column0 = block / blocks_m * block_n;
#if SUM_A_OVER_K
    const int sum_a = flags & OCLIN_FLAG_BIAS && column0 == 0;
#endif
    if (column0 >= n) return;
    const int rows = (int)min(m - row0, (long)block_m), columns = (int)min(n - column0, (long)block_n);
    const int strips = (rows + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M;
    const int panels = (columns + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N;
#if SHARES_A
    const long all_strips = (m + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M;
    global const float *strips_from = packed + row0 / OCLIN_ITEM_M * STRIP_FLOATS;
#else
    a += a_offset + row0 * (A_ALONG_K ? a_stride : 1);
    s += s_offset + row0 * (A_ALONG_K ? s_stride : 1);
#endif
#if SHARES_B
    const long all_panels = (n + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N;
    global const float *panels_from =
        packed + packed_b(m, k, block_k) + column0 / OCLIN_ITEM_N * PANEL_FLOATS;
#else
    b += b_offset + column0 * (B_ALONG_K ? b_stride : 1);
#endif

#if SUM_A_OVER_K
    global float *sums_to = v + v_offset + row0, *slices_to = z + z_offset + row0 * z_stride + n;
#endif
    c += c_offset + row0 * c_stride + column0;
    v += v_offset + column0;
    z += z_offset + row0 * z_stride + column0;

    for (long k0 = 0; k0 < k; k0 += block_k) {
        const int depth = (int)min(k - k0, (long)block_k);
#if SHARES_A
        global const float *a_strips = strips_from + k0 / block_k * all_strips * STRIP_FLOATS;
#else
        local float *a_strips = (local float *)a_block;
        pack_a(a_strips, a + k0 * (A_ALONG_K ? 1 : a_stride), a_stride, s + k0 * (A_ALONG_K ? 1 : s_stride),
               s_stride, strips, m - row0, depth);
#endif
#if SHARES_B
        const int together = panels, panel_floats = PANEL_FLOATS;
#else
        const int together = OCLIN_TILE_K / depth * PANELS, panel_floats = depth * OCLIN_ITEM_N;
#endif
#if SUM_A_OVER_K
        for (int strip = 0; sum_a && strip < strips; strip++)
            sum_strip(a_strips + strip * STRIP_FLOATS, a_sums + strip * OCLIN_ITEM_M, depth, k0 / block_k);
#endif
        for (int panel0 = 0; panel0 < panels; panel0 += together) {
            const int count = min(panels - panel0, together);
            global const float *ahead = b;
#if SHARES_B
            global const float *b_packed = panels_from + k0 / block_k * all_panels * PANEL_FLOATS;
#else
#if SHARES_A
            global float *b_packed =
                packed + packed_b(m, k, block_k) + get_group_id(0) * PANELS * PANEL_FLOATS;
#else
            local float *b_packed = (local float *)b_panels;
#endif
            global const float *from = b + k0 * (B_ALONG_K ? 1 : b_stride);
            for (int j = 0; j < count; j += PANELS) {
                const int column = (panel0 + j) * OCLIN_ITEM_N;
                pack_b(b_packed + j * panel_floats, panel_floats, from + column * (B_ALONG_K ? b_stride : 1),
                       b_stride, min(count - j, PANELS), n - column0 - column, depth);
            }
            /* what B along n has next; asked for only where the plan says so, which is in grad_w */
            ahead = panel0 + together < panels ? from + (panel0 + together) * OCLIN_ITEM_N
                                               : b + (k0 + block_k) * b_stride;
#endif
            const int by_rows = depth <= BY_ROWS;
            for (int i = 0; i < count * strips; i++) {
                const int strip = by_rows ? i / count : i % strips, j = by_rows ? i % count : i / strips;
                const int row = strip * OCLIN_ITEM_M, column = (panel0 + j) * OCLIN_ITEM_N;
                local real *sums = k <= block_k ? c_tile : c_tile + ((panel0 + j) * strips + strip) * SUMS;
                if (SUM_A_OVER_K && k0 + block_k >= k) prefetch_tile(c + row * c_stride + column, c_stride);
                multiply(a_strips + strip * STRIP_FLOATS, b_packed + j * panel_floats, sums, depth, k0 == 0,
                         ahead + j * OCLIN_ITEM_N, b_stride);
                if (k0 + block_k >= k)
                    store_tile(sums, rows - row, columns - column, c + row * c_stride + column, c_stride,
                               v + column, z + row * z_stride + column, z_stride, scale, lr, flags);
            }
        }
    }
#if SUM_A_OVER_K
    for (int row = 0; sum_a && row < rows; row++)
        store_sum_a(a_sums[OCLIN_TILE_M + row] + a_sums[row], sums_to + row, slices_to + row * z_stride,
                    scale, lr, flags);
#endif
}
#endif

/* Vectors of local memory, by what the form keeps there. */
#if OCLIN_STAGE == OCLIN_STAGE_WHOLE
#define A_VECTORS (OCLIN_TILE_M / OCLIN_ITEM_M * STRIP_FLOATS / OCLIN_VL)
#define B_VECTORS (PANELS * PANEL_FLOATS / OCLIN_VL)
#elif OCLIN_STAGE == OCLIN_STAGE_NARROW
#define A_VECTORS (OCLIN_TILE_M * OCLIN_TILE_K / OCLIN_VL)
#define B_VECTORS 1
#else
#define A_VECTORS 1
#define B_VECTORS 1
#endif

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
PRODUCT(simd)(PRODUCT_ARGUMENTS, volatile global uint *queue, global float *packed)
{
#if OCLIN_STAGE == OCLIN_STAGE_PACK
    pack_part(get_group_id(0), PRODUCT_VALUES, packed);
#else
    local real a_block[A_VECTORS], b_panels[B_VECTORS], c_tile[OCLIN_TILE_M * OCLIN_TILE_N / OCLIN_VL];
    local float a_sums[2 * OCLIN_TILE_M];
#if OCLIN_QUEUE
    const long blocks = (m + block_m - 1) / block_m * ((n + block_n - 1) / block_n);
#if SHARES_A
    const long parts = parts_of_a(m, k, block_k) + (SHARES_B ? parts_of_b(n, k, block_k) : 0);
#else
    const long parts = 0;
#endif
    for (long ticket; (ticket = next_ticket(queue, parts + blocks)) < parts + blocks;) {
#if SHARES_A
        if (ticket < parts) {
            pack_part(spread(ticket, parts), PRODUCT_VALUES, packed);
            tell_packed(queue);
            continue;
        }
        await_packed(queue, parts);
#endif
        compute_block(spread(ticket - parts, blocks), a_block, b_panels, c_tile, a_sums, PRODUCT_VALUES,
                      packed);
    }
#else
    compute_block(get_group_id(0), a_block, b_panels, c_tile, a_sums, PRODUCT_VALUES, packed);
#endif
#endif
}
