/*
 * The product C = A B for CPUs: one work-item a work-group computes a block of block_m x block_n results, and
 * its local memory is the core's cache. simd_pack.cl packs what it reads. It is built in one of these stages
 * (OCLIN_STAGE):
 *
 *   OCLIN_STAGE_WHOLE   one launch; every group packs the rows of A and the columns of B that it needs
 *   OCLIN_STAGE_PACKED  reads what was packed of all of A and B, once, into scratch memory: earlier in the
 *                       same launch where groups draw tickets (epilogue.cl), else in the launch before
 *   OCLIN_STAGE_PACK    is that launch before
 *   OCLIN_STAGE_MIXED   reads what was packed of A, and packs the columns of B that it needs, which pass
 *                       through no memory on their way; it needs tickets. With batches of 64 to 256 and a
 *                       large W, forward and dX are 1.05 to 1.15 times as fast as in the other stages
 *
 * Packing costs about as much as 20 multiplications an element (plan/simd.c has it by operand). Where every
 * group packs, an element of A is packed n / block_n times, and one of B m / block_m times: large products
 * are 10 to 20 % faster where packing is done once. (Measured with 1024^3 on a Zen 3 core: 0.75 of the FMA
 * peak, 0.97 if nothing had to be packed.)
 *
 * The range is 1-D with local size 1. Block i of a product is (i % blocks_m, i / blocks_m), blocks_m = ceil(m
 * / block_m): blocks that follow each other share columns of B, since a panel of B is read at the speed of
 * the multiplications, and A more slowly. Group i computes block i; with tickets there is a group for each
 * core, and each packs and computes the next part until all is done.
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
 * storing C is most of the work, and memory is faster on whole rows (dX of 10000 x 784 x 10: 1.3 times as
 * fast).
 *
 *   a_block   strip by strip, STRIP_FLOATS each
 *   b_panels  PANELS panels, more where depth is small
 *   c_tile    panel by panel, in it strip by strip, in it row by row of ITEM_N. Where k is one block, sums
 *             need no place of their own: all use the first one's, which stays in the L1 (dW of
 *             1024 x 1024 with batches of 64 to 256 is 1.1 to 1.2 times as fast)
 *
 * In scratch memory (`packed`): for each block_k of k all strips of A; then for each block_k all panels of
 * B, or (MIXED) each group's PANELS.
 *
 * The register tile is always computed whole. Rows and columns past the edges of C hold 0 or another row's or
 * column's numbers; their results are not stored. No element past k enters a sum.
 *
 * OCLIN_VL        lanes of `real`: 4, 8, 16
 * OCLIN_ITEM_M    rows of the register tile: 6, 8, 12
 * OCLIN_ITEM_N    its columns: 2 * OCLIN_VL leaves registers for a row of B and an element of A
 * OCLIN_TILE_M/N  largest block of C: multiples of OCLIN_ITEM_M/N, e.g. 192 x 256; a flat one may be wider
 *                 if it has no more results
 * OCLIN_TILE_K    largest depth: a multiple of OCLIN_VL, e.g. 256: a panel is then half of a 32 KiB L1
 */
#define BY_ROWS 64 /* the largest depth of sums that are short */
#define PACK_M OCLIN_SIMD_PACK_M(OCLIN_ITEM_M)
#define PACK_N OCLIN_SIMD_PACK_N(OCLIN_ITEM_N)

/* Returns the place in `packed` where the panels of B begin. */
OCLIN_INLINE long packed_b(long m, long k, int block_k)
{
    return (k + block_k - 1) / block_k * ((m + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M) * STRIP_FLOATS;
}

/* 1 if all groups share what is packed of A, and of B; 0 if each group packs for itself. */
#define SHARES_A \
    (OCLIN_STAGE == OCLIN_STAGE_PACK || OCLIN_STAGE == OCLIN_STAGE_PACKED || OCLIN_STAGE == OCLIN_STAGE_MIXED)
#define SHARES_B (OCLIN_STAGE == OCLIN_STAGE_PACK || OCLIN_STAGE == OCLIN_STAGE_PACKED)

/*
 * Computes one register tile: c = strip x panel, added to what earlier k-blocks left in c unless it is the
 * first. Meanwhile memory is asked for what is packed next, `ahead` (OCLIN_PREFETCH: dW of 10000 x 784 x 10
 * is 1.4 times as fast; it costs a product that lies in the cache 5 to 14 %). The sums are one flat array,
 * only ever indexed by constants, so that they stay in registers. With a loop left rolled, or an array of two
 * dimensions, a first version spilled: 44 instead of 245 GFLOP/s.
 */
OCLIN_INLINE void multiply(PACKED const float *a, PACKED const float *b, local real *c, int depth, int first,
                           global const element *ahead, long ahead_stride)
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

/* Asks for the lines where a register tile will be stored, before it is computed. They are W's or dW's, which
 * is as large as the product, seldom in the cache, and in a step read first. (Whole steps are 1.03 times as
 * fast; with the same for Y and dX they were 0.97.) */
OCLIN_INLINE void prefetch_tile(global const element *c, long c_stride)
{
    for (int i = 0; i < (C_TRANSPOSED ? OCLIN_ITEM_N : OCLIN_ITEM_M); i++)
        PREFETCH_TO_WRITE(c + i * c_stride);
}

/* Stores a register tile, of which rows x columns exist; e stands at its first result. A constant for `lanes`
 * where the tile is whole makes dW up to 10 % faster. */
#if C_TRANSPOSED
OCLIN_INLINE void store_tile(local const real *sums, int rows, int columns, struct epilogue e)
{
    local const float *of_row = (local const float *)sums;
    for (int column = 0; column < min(columns, OCLIN_ITEM_N); column++)
        for (int i = 0; i < OCLIN_ITEM_M && i < rows; i += OCLIN_VL) {
            const int lanes = min(min(rows, OCLIN_ITEM_M) - i, OCLIN_VL);
            float part[OCLIN_VL];
            for (int j = 0; j < OCLIN_VL; j++)
                part[j] = j < lanes ? of_row[(i + j) * OCLIN_ITEM_N + column] : 0;
            store_product(LOAD_REAL(part), at(e, i, column), lanes);
        }
}
#else
OCLIN_INLINE void store_tile(local const real *sums, int rows, int columns, struct epilogue e)
{
    for (int row = 0; row < min(rows, OCLIN_ITEM_M); row++)
        for (int j = 0; j < OCLIN_ITEM_N && j < columns; j += OCLIN_VL) {
            const real sum = sums[(row * OCLIN_ITEM_N + j) / OCLIN_VL];
            if (columns >= OCLIN_ITEM_N)
                store_product(sum, at(e, row, j), OCLIN_VL);
            else
                store_product(sum, at(e, row, j), min(columns - j, OCLIN_VL));
        }
}
#endif

#if SUM_A_OVER_K
/* Adds up a packed strip's rows over block number `block` of k. It keeps four sums at a time, because a
 * single one would wait for itself. They join the block's sum after SUM_DEPTH elements; the blocks' sums meet
 * in `sums`, and these after SUM_BLOCKS blocks in sums[TILE_M ...], so that few roundings follow each
 * other. */
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
/* Return the parts of what is packed: for each block_k of k, one for every PACK_M rows of A; then, for each
 * block_k, one for every PACK_N columns of B. */
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

#if OCLIN_STAGE != OCLIN_STAGE_PACK
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

    const struct epilogue all = EPILOGUE, e = at(all, row0, column0);

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
            global const element *ahead = b;
#if SHARES_B
            global const float *b_packed = panels_from + k0 / block_k * all_panels * PANEL_FLOATS;
#else
#if SHARES_A
            global float *b_packed =
                packed + packed_b(m, k, block_k) + get_group_id(0) * PANELS * PANEL_FLOATS;
#else
            local float *b_packed = (local float *)b_panels;
#endif
            global const element *from = b + k0 * (B_ALONG_K ? 1 : b_stride);
            for (int j = 0; j < count; j += PANELS) {
                const int column = (panel0 + j) * OCLIN_ITEM_N;
                pack_b(b_packed + j * panel_floats, panel_floats, from + column * (B_ALONG_K ? b_stride : 1),
                       b_stride, min(count - j, PANELS), n - column0 - column, depth);
            }
            /* the part of a B along n that comes next; it is asked for only where the plan says so, which is
             * in grad_w */
            ahead = panel0 + together < panels ? from + (panel0 + together) * OCLIN_ITEM_N
                                               : b + (k0 + block_k) * b_stride;
#endif
            const int by_rows = depth <= BY_ROWS;
            for (int i = 0; i < count * strips; i++) {
                const int strip = by_rows ? i / count : i % strips, j = by_rows ? i % count : i / strips;
                const int row = strip * OCLIN_ITEM_M, column = (panel0 + j) * OCLIN_ITEM_N;
                local real *sums = k <= block_k ? c_tile : c_tile + ((panel0 + j) * strips + strip) * SUMS;
                if (SUM_A_OVER_K && k0 + block_k >= k) prefetch_tile(at(e, row, column).c, c_stride);
                multiply(a_strips + strip * STRIP_FLOATS, b_packed + j * panel_floats, sums, depth, k0 == 0,
                         ahead + j * OCLIN_ITEM_N, b_stride);
                if (k0 + block_k >= k) store_tile(sums, rows - row, columns - column, at(e, row, column));
            }
        }
    }
#if SUM_A_OVER_K
    for (int row = 0; sum_a && row < rows; row++)
        store_sum_a(a_sums[OCLIN_TILE_M + row] + a_sums[row], at_sum(all, row0 + row, n));
#endif
}
#endif

/* The vectors of local memory that this stage needs for what it packs. */
#if OCLIN_STAGE == OCLIN_STAGE_WHOLE
#define A_VECTORS (OCLIN_TILE_M / OCLIN_ITEM_M * STRIP_FLOATS / OCLIN_VL)
#define B_VECTORS (PANELS * PANEL_FLOATS / OCLIN_VL)
#else
#define A_VECTORS 1
#define B_VECTORS 1
#endif

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
PRODUCT(simd)(PRODUCT_ARGUMENTS, volatile global uint *counters, global float *packed)
{
#if OCLIN_STAGE == OCLIN_STAGE_PACK
    pack_part(get_group_id(0), PRODUCT_VALUES, packed);
#else
    local real a_block[A_VECTORS], b_panels[B_VECTORS], c_tile[OCLIN_TILE_M * OCLIN_TILE_N / OCLIN_VL];
    local float a_sums[2 * OCLIN_TILE_M];
#if OCLIN_TICKETS
    const long blocks = (m + block_m - 1) / block_m * ((n + block_n - 1) / block_n);
#if SHARES_A
    const long parts = parts_of_a(m, k, block_k) + (SHARES_B ? parts_of_b(n, k, block_k) : 0);
#else
    const long parts = 0;
#endif
    for (long ticket; (ticket = next_ticket(counters, parts + blocks)) < parts + blocks;) {
#if SHARES_A
        if (ticket < parts) {
            pack_part(spread(ticket, parts), PRODUCT_VALUES, packed);
            tell_packed(counters);
            continue;
        }
        await_packed(counters, parts);
#endif
        compute_block(spread(ticket - parts, blocks), a_block, b_panels, c_tile, a_sums, PRODUCT_VALUES,
                      packed);
    }
#else
    compute_block(get_group_id(0), a_block, b_panels, c_tile, a_sums, PRODUCT_VALUES, packed);
#endif
#endif
}
