/*
 * Packing for CPUs: elements of A and B are copied into the order in which the multiplication reads them, as
 * one stream.
 *
 *   a strip of A   (row, k) at k * ITEM_M + row: ITEM_M rows (rows that lie apart are six streams, which
 *                  prefetchers follow badly: forward at 2048^3 ran at 0.6 of grad_w's rate)
 *   a panel of B   (k, column) at k * ITEM_N + column: ITEM_N columns
 *
 * PACKED is where strips and panels lie: `local`, the core's cache, where each group packs for itself; or
 * `global`, scratch memory, where groups share them.
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
/* A strip has VL floats more, because pack_a()'s last store and sum_strip()'s last load reach past its
 * elements. */
#define STRIP_VECTORS ((OCLIN_ITEM_M + OCLIN_VL - 1) / OCLIN_VL)
#define STRIP_FLOATS OCLIN_SIMD_STRIP_FLOATS(OCLIN_TILE_K, OCLIN_ITEM_M, OCLIN_VL)
#define PANEL_FLOATS OCLIN_SIMD_PANEL_FLOATS(OCLIN_TILE_K, OCLIN_ITEM_N)
/* Panels of B that are packed together. Where B lies along n, one panel's row is a cache line or less, far
 * from the next; four panels side by side make products 4 to 19 % faster. Where it lies along k there is
 * nothing to gain. */
#define PANELS (B_ALONG_K ? 1 : OCLIN_SIMD_PANELS)

/* The memory in which strips and panels lie. */
#if OCLIN_STAGE == OCLIN_STAGE_WHOLE
#define PACKED local
#else
#define PACKED global
#endif
#define STORE_ANY(value, p) (((PACKED struct any_real *)(p))->lanes = (value))

/* Loads VL lanes of A as they are packed: where A is a gradient, those of dz. */
OCLIN_INLINE real load_a(global const element *a, global const element *s, int lanes)
{
    const real value = load_part(a, lanes);
    if (!A_NEEDS_S) return value;
    return grad_z(value, load_lanes(s, lanes));
}

#if A_ALONG_K || B_ALONG_K
/* SHUFFLE is the builtin where there is one, because LLVM 14 makes about twice as many instructions of vector
 * literals, or of shuffle2(). Oclgrind 21.10 calls the builtin's results uninitialised; scripts/oclgrind.sh
 * therefore asks for shuffle2(). */
#ifndef __has_builtin
#define __has_builtin(name) 0
#endif
#if __has_builtin(__builtin_shufflevector) && !defined(OCLIN_USE_SHUFFLE2)
#define SHUFFLE __builtin_shufflevector
#else
#define SHUFFLE(x, y, ...) shuffle2(x, y, (OCLIN_JOIN(uint, OCLIN_VL))(__VA_ARGS__))
#endif
/* These take from each four lanes of x and y their even elements, and their odd elements. BLOCKS(r, i) takes
 * lanes i ... i + 3 of each of r[0] ... r[VL / 4 - 1]. */
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
 * elements, so that element k of all of them stands at to + k * step. It works on VL x VL at a time, in
 * registers: first 4 x 4 in each four lanes,
 *
 *   r0  a0 a1 a2 a3      e0  a0 a2 b0 b2      a0 b0 c0 d0
 *   r1  b0 b1 b2 b3      e1  c0 c2 d0 d2      a1 b1 c1 d1
 *   r2  c0 c1 c2 c3      o0  a1 a3 b1 b3      a2 b2 c2 d2
 *   r3  d0 d1 d2 d3      o1  c1 c3 d1 d3      a3 b3 c3 d3
 *
 * then blocks of four lanes. of_a is 1 if the rows are A's, 0 if they are B's.
 */
OCLIN_INLINE void transpose(PACKED float *to, const int step, global const element *from, long stride,
                            global const element *s, long s_stride, int last, int depth, const int of_a)
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
            float value = LOAD_ONE(from + row * stride + k);
            if (of_a && A_NEEDS_S) {
                float one[OCLIN_VL];
                STORE_REAL(grad_z((real)(value), (real)(LOAD_ONE(s + row * s_stride + k))), one);
                value = one[0];
            }
            part[i] = value;
        }
        STORE_ANY(LOAD_REAL(part), to);
    }
}
#endif

/* Packs strips of `depth` elements of A; a and s point at the first. m_left is the number of rows of A from
 * there on. */
#if A_ALONG_K
/* The last vector of a strip is stored first, because its surplus lanes lie where the first ones of the next
 * k go. */
OCLIN_INLINE void pack_a(PACKED float *to, global const element *a, long a_stride, global const element *s,
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
 * Four k are packed at a time, over all strips, because a strip needs only part of each cache line, and its
 * neighbour the rest. Where VL does not divide ITEM_M the stores overlap: the surplus lanes are overwritten
 * by the next k.
 */
OCLIN_INLINE void pack_a(PACKED float *to, global const element *a, long a_stride, global const element *s,
                         long s_stride, int strips, long m_left, int depth)
{
    for (int k0 = 0; k0 < depth; k0 += 4)
        for (int strip = 0; strip < strips; strip++) {
            const long left = m_left - strip * OCLIN_ITEM_M;
            global const element *from = a + k0 * a_stride + strip * OCLIN_ITEM_M;
            global const element *from_s = s + k0 * s_stride + strip * OCLIN_ITEM_M;
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
/* Packs some panels x depth elements of B; b points at the first. n_left is the number of columns of B from
 * there on. */
OCLIN_INLINE void pack_b(PACKED float *to, int panel_floats, global const element *b, long b_stride,
                         int panels, long n_left, int depth)
{
    for (int j = 0; j < panels * OCLIN_ITEM_N; j += OCLIN_VL) {
        const int first = (int)min((long)j, n_left - 1);
        const int last = (int)min((long)OCLIN_VL, n_left - first) - 1;
        transpose(to + j / OCLIN_ITEM_N * panel_floats + j % OCLIN_ITEM_N, OCLIN_ITEM_N, b + first * b_stride,
                  b_stride, b, 0, last, depth, 0);
    }
}
#else
OCLIN_INLINE void pack_b(PACKED float *to, int panel_floats, global const element *b, long b_stride,
                         int panels, long n_left, int depth)
{
    /* Whole panels are packed without a branch between the loads. */
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
