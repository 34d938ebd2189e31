/*
 * The product C = A B for CPUs: one work-item a work-group computes a block of block_m x block_n results, its
 * local memory is the core's cache.
 *
 * 1-D range, local size 1: group g computes block (g / groups_n, g % groups_n), groups_n = ceil(n / block_n).
 * Groups side by side share rows of A.
 *
 *      for each block_k of k                       a_block (in L2)              b_panels (in L1)
 *        pack A's block                                    k ->                      ITEM_N
 *        for each panel of ITEM_N columns                +---------+             +-----------+
 *          pack B's panel                         ITEM_M | strip 0 |          k  |   panel   |
 *          for each strip of ITEM_M rows                 +---------+          |  |           |
 *            c_tile += strip x panel, in registers       | strip 1 |          v  |           |
 *      store the block of C, once                        +---------+             +-----------+
 *
 *   a_block   (row, k) at (row / ITEM_M) * STRIP_FLOATS +
 *               A_ALONG_K: row % ITEM_M * TILE_K + k       either way packing A needs no transposition
 *               else:      k * ITEM_M + row % ITEM_M
 *   b_panels  (k, column) at k * ITEM_N + column; PANELS of them, PANEL_FLOATS apart
 *   c_tile    panel by panel, in it strip by strip, in it row by row of ITEM_N: the order of computing
 *
 * The register tile is always computed whole. Rows and columns past the edges of C hold 0 or another row's
 * or column's numbers; their results are not stored. Nothing is added up past k.
 *
 * OCLIN_VL        lanes of `real`: 4, 8, 16
 * OCLIN_ITEM_M    rows of the register tile: 6, 8, 12
 * OCLIN_ITEM_N    its columns: 2 * OCLIN_VL leaves registers for a row of B and an element of A
 * OCLIN_TILE_M/N  largest block of C: multiples of OCLIN_ITEM_M/N, e.g. 192 x 256
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
#define STRIP_FLOATS (OCLIN_ITEM_M * OCLIN_TILE_K + OCLIN_VL)
#define PANEL_FLOATS (OCLIN_ITEM_N * OCLIN_TILE_K)
/* Panels of B that are packed together. Where B lies along n, one panel's row is a cache line or less, far
 * from the next; four in a row: products 4 to 19 % faster. Where it lies along k there is nothing to gain. */
#define PANELS (B_ALONG_K ? 1 : OCLIN_SIMD_PANELS)

/* Any address, as one access: PoCL's vload8() and vstore8() are two of four lanes each. In packing, which is
 * little else, that cost grad_w 3 to 12 %. */
struct any_real {
    real lanes;
} __attribute__((packed));
#define LOAD_ANY(p) (((global const struct any_real *)(p))->lanes)
#define STORE_ANY(value, p) (((local struct any_real *)(p))->lanes = (value))

#if A_ALONG_K
#define A_STEP_ROW OCLIN_TILE_K
#define A_STEP_K 1
#else
#define A_STEP_ROW 1
#define A_STEP_K OCLIN_ITEM_M
#endif

/* VL lanes of what is packed of A: where A is a gradient, of dz. */
OCLIN_INLINE real load_a(global const float *a, global const float *s, int lanes)
{
    const real value = lanes >= OCLIN_VL ? LOAD_ANY(a) : load_lanes(a, lanes);
#if A_IS_GRAD_Z && OCLIN_ACTIVATION != OCLIN_ACT_NONE
    return grad_z(value, load_lanes(s, lanes));
#else
    return value;
#endif
}

/* Packs rows x depth elements of A; a and s point at the first. m_left >= rows: rows of A from there on. */
#if A_ALONG_K
OCLIN_INLINE void pack_a(local float *to, global const float *a, long a_stride, global const float *s,
                         long s_stride, int strips, long m_left, int depth)
{
    for (int row = 0; row < strips * OCLIN_ITEM_M; row++) {
        const long from = min((long)row, m_left - 1);
        for (int k = 0; k < depth; k += OCLIN_VL)
            STORE_ANY(load_a(a + from * a_stride + k, s + from * s_stride + k, depth - k),
                      to + row / OCLIN_ITEM_M * STRIP_FLOATS + row % OCLIN_ITEM_M * OCLIN_TILE_K + k);
    }
}
#else
/*
 * Four k at a time, over all strips: a strip needs only part of each cache line, its neighbour the rest.
 * Where VL does not divide ITEM_M the stores overlap: lanes too many are overwritten by the next k.
 */
OCLIN_INLINE void pack_a(local float *to, global const float *a, long a_stride, global const float *s,
                         long s_stride, int strips, long m_left, int depth)
{
    for (int k0 = 0; k0 < depth; k0 += 4)
        for (int strip = 0; strip < strips; strip++) {
            const long left = m_left - strip * OCLIN_ITEM_M;
            global const float *from = a + k0 * a_stride + strip * OCLIN_ITEM_M;
            global const float *from_s = s + k0 * s_stride + strip * OCLIN_ITEM_M;
            local float *strip_to = to + strip * STRIP_FLOATS + k0 * OCLIN_ITEM_M;
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
/* Each four lanes of x and y: their even elements, and their odd elements. Written element by element:
 * compilers make shuffles of it, and Oclgrind's check for uninitialised values cannot follow shuffles that
 * widen a vector. */
#if OCLIN_VL == 4
#define EVEN_OF_4(x, y) ((real)(x.s0, x.s2, y.s0, y.s2))
#define ODD_OF_4(x, y) ((real)(x.s1, x.s3, y.s1, y.s3))
#elif OCLIN_VL == 8
#define EVEN_OF_4(x, y) ((real)(x.s0, x.s2, y.s0, y.s2, x.s4, x.s6, y.s4, y.s6))
#define ODD_OF_4(x, y) ((real)(x.s1, x.s3, y.s1, y.s3, x.s5, x.s7, y.s5, y.s7))
#else
#define EVEN_OF_4(x, y) \
    ((real)(x.s0, x.s2, y.s0, y.s2, x.s4, x.s6, y.s4, y.s6, x.s8, x.sa, y.s8, y.sa, x.sc, x.se, y.sc, y.se))
#define ODD_OF_4(x, y) \
    ((real)(x.s1, x.s3, y.s1, y.s3, x.s5, x.s7, y.s5, y.s7, x.s9, x.sb, y.s9, y.sb, x.sd, x.sf, y.sd, y.sf))
#endif

/* Elements k .. k + 3 of columns i, i + 4, i + 8 ... (VL / 4 of them), four lanes each. */
OCLIN_INLINE real load_columns(global const float *b, long b_stride, int i, int last)
{
    real columns;
#define COLUMN_4(i) vload4(0, b + min(i, last) * b_stride)
#if OCLIN_VL == 4
    columns = COLUMN_4(i);
#elif OCLIN_VL == 8
    columns.lo = COLUMN_4(i);
    columns.hi = COLUMN_4(i + 4);
#else
    columns.s0123 = COLUMN_4(i);
    columns.s4567 = COLUMN_4(i + 4);
    columns.s89ab = COLUMN_4(i + 8);
    columns.scdef = COLUMN_4(i + 12);
#endif
    return columns;
#undef COLUMN_4
}

/*
 * Packs VL columns (of which `last` is the last that exists; it stands in for those behind it) x depth
 * elements of B. Transposes 4 x 4 in each four lanes, in registers:
 *
 *   r0  a0 a1 a2 a3      e0  a0 a2 b0 b2      a0 b0 c0 d0
 *   r1  b0 b1 b2 b3      e1  c0 c2 d0 d2      a1 b1 c1 d1
 *   r2  c0 c1 c2 c3      o0  a1 a3 b1 b3      a2 b2 c2 d2
 *   r3  d0 d1 d2 d3      o1  c1 c3 d1 d3      a3 b3 c3 d3
 */
OCLIN_INLINE void pack_columns(local float *to, global const float *b, long b_stride, int last, int depth)
{
    int k = 0;
    for (; k + 4 <= depth; k += 4, to += 4 * OCLIN_ITEM_N) {
        const real r0 = load_columns(b + k, b_stride, 0, last), r1 = load_columns(b + k, b_stride, 1, last);
        const real r2 = load_columns(b + k, b_stride, 2, last), r3 = load_columns(b + k, b_stride, 3, last);
        const real e0 = EVEN_OF_4(r0, r1), e1 = EVEN_OF_4(r2, r3);
        const real o0 = ODD_OF_4(r0, r1), o1 = ODD_OF_4(r2, r3);
        *(local real *)(to) = EVEN_OF_4(e0, e1);
        *(local real *)(to + OCLIN_ITEM_N) = EVEN_OF_4(o0, o1);
        *(local real *)(to + 2 * OCLIN_ITEM_N) = ODD_OF_4(e0, e1);
        *(local real *)(to + 3 * OCLIN_ITEM_N) = ODD_OF_4(o0, o1);
    }
    for (; k < depth; k++, to += OCLIN_ITEM_N)
        for (int i = 0; i < OCLIN_VL; i++) to[i] = b[min(i, last) * b_stride + k];
}
#endif

#if B_ALONG_K
/* Packs some panels x depth elements of B; b points at the first. n_left: columns of B from there on. */
OCLIN_INLINE void pack_b(local float *to, global const float *b, long b_stride, int panels, long n_left,
                         int depth)
{
    for (int j = 0; j < panels * OCLIN_ITEM_N; j += OCLIN_VL) {
        const int first = (int)min((long)j, n_left - 1);
        const int last = (int)min((long)OCLIN_VL, n_left - first) - 1;
        pack_columns(to + j / OCLIN_ITEM_N * PANEL_FLOATS + j % OCLIN_ITEM_N, b + first * b_stride, b_stride,
                     last, depth);
    }
}
#else
OCLIN_INLINE void pack_b(local float *to, global const float *b, long b_stride, int panels, long n_left,
                         int depth)
{
    /* Whole panels, without a branch between the loads. */
    if (n_left >= PANELS * OCLIN_ITEM_N) {
        for (int k = 0; k < depth; k++, b += b_stride, to += OCLIN_ITEM_N) {
            real row[PANELS * ITEM_VECTORS];
#pragma unroll
            for (int j = 0; j < PANELS * ITEM_VECTORS; j++) row[j] = LOAD_ANY(b + j * OCLIN_VL);
#pragma unroll
            for (int j = 0; j < PANELS * ITEM_VECTORS; j++)
                *(local real *)(to + j / ITEM_VECTORS * PANEL_FLOATS + j % ITEM_VECTORS * OCLIN_VL) = row[j];
        }
        return;
    }
    for (int k = 0; k < depth; k++, b += b_stride, to += OCLIN_ITEM_N)
        for (int j = 0; j < panels * ITEM_VECTORS; j++) {
            const int lanes = (int)clamp(n_left - j * OCLIN_VL, 0L, (long)OCLIN_VL);
            STORE_REAL(load_lanes(b + j * OCLIN_VL, lanes),
                       to + j / ITEM_VECTORS * PANEL_FLOATS + j % ITEM_VECTORS * OCLIN_VL);
        }
}
#endif

/*
 * One register tile: c = strip x panel, added to what earlier k-blocks left in c unless it is the first.
 * The sums are one flat array, only ever indexed by constants: so they stay in registers. With a loop left
 * rolled, or an array of two dimensions, a first version spilled: 44 instead of 245 GFLOP/s.
 */
OCLIN_INLINE void multiply(local const float *a, local const float *b, local real *c, int depth, int first)
{
    real sum[SUMS];
#pragma unroll
    for (int i = 0; i < SUMS; i++) sum[i] = (real)(0.0f);

    for (int k = 0; k < depth; k++, a += A_STEP_K, b += OCLIN_ITEM_N) {
        real b_row[ITEM_VECTORS];
#pragma unroll
        for (int j = 0; j < ITEM_VECTORS; j++) b_row[j] = ((local const real *)b)[j];
#pragma unroll
        for (int i = 0; i < SUMS; i++)
            sum[i] = MULTIPLY_ADD((real)(a[i / ITEM_VECTORS * A_STEP_ROW]), b_row[i % ITEM_VECTORS], sum[i]);
    }

    if (!first) {
#pragma unroll
        for (int i = 0; i < SUMS; i++) sum[i] += c[i];
    }
#pragma unroll
    for (int i = 0; i < SUMS; i++) c[i] = sum[i];
}

/* Stores rows x columns results; c, v and z point at the block's first. */
OCLIN_INLINE void store_block(local const real *c_tile, int rows, int columns, global float *c, long c_stride,
                              global float *v, global float *z, long z_stride, float scale, float lr,
                              int flags)
{
    const int strips = (rows + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M;
    for (int row = 0; row < rows; row++) {
        local const real *from = c_tile + row * ITEM_VECTORS;
        for (int panel = 0; panel * OCLIN_ITEM_N < columns; panel++, from += strips * SUMS)
            for (int j = 0; j < ITEM_VECTORS; j++) {
                const int column = panel * OCLIN_ITEM_N + j * OCLIN_VL;
                if (column < columns)
                    store_product(from[j], c + column, v + column, z + column, scale, lr, flags,
                                  min(columns - column, OCLIN_VL));
            }
        c += c_stride;
        z += z_stride;
    }
}

#if SUM_A_OVER_K
/* Adds up a packed strip's rows over k, into `sums`. Four sums at a time: one would wait for itself. */
OCLIN_INLINE void sum_strip(local const float *a, local float *sums, int depth, int first)
{
    for (int i = 0; i < OCLIN_ITEM_M; i += OCLIN_VL) {
        real s0 = (real)(0.0f), s1 = s0, s2 = s0, s3 = s0;
        int k = 0;
        for (; k + 4 <= depth; k += 4) {
            s0 += LOAD_REAL(a + (k + 0) * OCLIN_ITEM_M + i);
            s1 += LOAD_REAL(a + (k + 1) * OCLIN_ITEM_M + i);
            s2 += LOAD_REAL(a + (k + 2) * OCLIN_ITEM_M + i);
            s3 += LOAD_REAL(a + (k + 3) * OCLIN_ITEM_M + i);
        }
        for (; k < depth; k++) s0 += LOAD_REAL(a + k * OCLIN_ITEM_M + i);
        float part[OCLIN_VL];
        STORE_REAL((s0 + s1) + (s2 + s3), part);
        for (int j = 0; j < min(OCLIN_VL, OCLIN_ITEM_M - i); j++)
            sums[i + j] = first ? part[j] : sums[i + j] + part[j];
    }
}
#endif

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void PRODUCT(simd)(PRODUCT_ARGUMENTS)
{
    local real a_block[OCLIN_TILE_M / OCLIN_ITEM_M * STRIP_FLOATS / OCLIN_VL];
    local real b_panels[PANELS * PANEL_FLOATS / OCLIN_VL];
    local real c_tile[OCLIN_TILE_M * OCLIN_TILE_N / OCLIN_VL];
#if SUM_A_OVER_K
    local float a_sums[OCLIN_TILE_M];
    const int sum_a = flags & OCLIN_FLAG_BIAS && get_group_id(0) % ((n + block_n - 1) / block_n) == 0;
#endif
    const long group = get_group_id(0), groups_n = (n + block_n - 1) / block_n;
    const long row0 = group / groups_n * block_m, column0 = group % groups_n * block_n;
    if (row0 >= m) return;
    const int rows = (int)min(m - row0, (long)block_m), columns = (int)min(n - column0, (long)block_n);
    const int strips = (rows + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M;
    const int panels = (columns + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N;
    a += a_offset + row0 * (A_ALONG_K ? a_stride : 1);
    s += s_offset + row0 * (A_ALONG_K ? s_stride : 1);
    b += b_offset + column0 * (B_ALONG_K ? b_stride : 1);

    for (long k0 = 0; k0 < k; k0 += block_k) {
        const int depth = (int)min(k - k0, (long)block_k);
        pack_a((local float *)a_block, a + k0 * (A_ALONG_K ? 1 : a_stride), a_stride,
               s + k0 * (A_ALONG_K ? 1 : s_stride), s_stride, strips, m - row0, depth);
#if SUM_A_OVER_K
        for (int strip = 0; sum_a && strip < strips; strip++)
            sum_strip((local float *)a_block + strip * STRIP_FLOATS, a_sums + strip * OCLIN_ITEM_M, depth,
                      k0 == 0);
#endif
        for (int panel = 0; panel < panels; panel++) {
            const int column = panel * OCLIN_ITEM_N;
            if (panel % PANELS == 0)
                pack_b((local float *)b_panels,
                       b + k0 * (B_ALONG_K ? 1 : b_stride) + column * (B_ALONG_K ? b_stride : 1), b_stride,
                       min(panels - panel, PANELS), n - column0 - column, depth);
            for (int strip = 0; strip < strips; strip++)
                multiply((local float *)a_block + strip * STRIP_FLOATS,
                         (local float *)b_panels + panel % PANELS * PANEL_FLOATS,
                         c_tile + (panel * strips + strip) * SUMS, depth, k0 == 0);
        }
    }

    store_block(c_tile, rows, columns, c + c_offset + row0 * c_stride + column0, c_stride,
                v + v_offset + column0, z + z_offset + row0 * z_stride + column0, z_stride, scale, lr, flags);
#if SUM_A_OVER_K
    for (int row = 0; sum_a && row < rows; row++)
        store_sum_a(a_sums[row], v + v_offset + row0 + row, scale, lr, flags);
#endif
}
