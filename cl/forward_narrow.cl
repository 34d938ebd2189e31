/*
 * Forward for small batches on CPUs, where packing W would cost as much as multiplying with it: it computes
 * Y^T = W X^T. W has the role of A, and is read where it lies, ITEM_M rows side by side, each once; X has the
 * role of B, and every group packs it: a panel holds ITEM_N samples. (Batches of 16, 32, 48 and 64 are 1.1 to
 * 1.3 times as fast as with product_simd.cl and forward_skinny.cl.)
 *
 * Block i is the columns of Y from i * block_n on, for all samples; block_n is a multiple of ITEM_M. Groups
 * draw no tickets: with them, LLVM 14 computes addresses of rows in the inner loop (0.7 times as fast).
 *
 *   x_panels  as b_panels
 *   y_tile    (column, sample) at column * width + sample, width: all samples, rounded up to ITEM_N
 *
 * They take width * block_k floats and width * block_n floats: the room that the tile has for blocks of A and
 * C, but not the sides of those blocks.
 */
OCLIN_INLINE void multiply_rows(global const element *w, long w_stride, int rows, local const float *x,
                                local real *y, int y_step, int depth, int first)
{
    global const element *w_row[OCLIN_ITEM_M];
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
            sum[i] =
                MULTIPLY_ADD((real)(LOAD_ONE(w_row[i / ITEM_VECTORS] + k)), x_row[i % ITEM_VECTORS], sum[i]);
    }

#pragma unroll
    for (int i = 0; i < SUMS; i++) {
        local real *to = y + i / ITEM_VECTORS * y_step + i % ITEM_VECTORS;
        *to = first ? sum[i] : *to + sum[i];
    }
}

OCLIN_INLINE void compute_block(long block, local real *x_panels, local real *y_tile, HELPER_ARGUMENTS)
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
    const struct epilogue e = EPILOGUE;
    for (int sample = 0; sample < samples; sample++)
        for (int column = 0; column < columns; column += OCLIN_VL) {
            float row[OCLIN_VL];
            for (int j = 0; j < OCLIN_VL; j++) row[j] = sums[min(column + j, columns - 1) * width + sample];
            store_product(LOAD_REAL(row), at(e, sample, column0 + column), min(columns - column, OCLIN_VL));
        }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void PRODUCT(narrow)(PRODUCT_ARGUMENTS)
{
    local real x_panels[OCLIN_TILE_M * OCLIN_TILE_K / OCLIN_VL],
        y_tile[OCLIN_TILE_M * OCLIN_TILE_N / OCLIN_VL];
    compute_block(get_group_id(0), x_panels, y_tile, PRODUCT_VALUES);
}
