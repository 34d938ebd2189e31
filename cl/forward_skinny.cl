/*
 * The product C = A B on CPUs with few rows of X or few of W, A and B both along k (forward.cl): every result
 * is a product of a row of X with a row of W, and nothing is packed. The larger of X and W is read once, as
 * fast as memory gives it.
 *
 * The range is 1-D with local size 1: group i computes block_m rows and block_n columns of C, block (i /
 * blocks_n, i % blocks_n); with tickets (OCLIN_TICKETS, epilogue.cl) each group draws block after block.
 *
 *      for each block_k of k
 *        for each ITEM_N rows of W and ITEM_M rows of X
 *          for each chunk of the block
 *            ITEM_M x ITEM_N sums, VL lanes each, in registers
 *          the chunks' sums are added, then their lanes, then the blocks' sums
 *
 * A chunk is about sqrt k vectors, so that a product passes about sqrt k roundings on its way to the result
 * and not k.
 *
 * Meanwhile memory is asked for the next rows of the larger one, a row with each tile (OCLIN_PREFETCH): the
 * first tile of a row waits for memory and the others do not, so memory would stand still while they compute
 * (4096 x 256 x 10: 1.7 times as fast, 10000 x 784 x 10 1.4 times, a batch of 8 with 4096 x 4096 1.1 times).
 *
 * The register tile is always computed whole; rows past the edges repeat another row, and are not stored.
 *
 * OCLIN_ITEM_M/N  register tile: 4 x 3 sums, ITEM_N vectors of W and one of X fill 16 registers; 2 x 6 for
 *                 one or two samples
 * OCLIN_TILE_M/N  largest block; TILE_N is a multiple of OCLIN_VL
 */
#define SUMS (OCLIN_ITEM_M * OCLIN_ITEM_N)

/* Multiplies VL elements of every row: sums += products. */
OCLIN_INLINE void multiply(real *sum, global const element *const *a, global const element *const *b, int k,
                           int lanes)
{
    real w[OCLIN_ITEM_N], x[OCLIN_ITEM_M];
#pragma unroll
    for (int j = 0; j < OCLIN_ITEM_N; j++) w[j] = load_part(b[j] + k, lanes);
#pragma unroll
    for (int i = 0; i < OCLIN_ITEM_M; i++) x[i] = load_part(a[i] + k, lanes);
#pragma unroll
    for (int i = 0; i < SUMS; i++) sum[i] = MULTIPLY_ADD(x[i / OCLIN_ITEM_N], w[i % OCLIN_ITEM_N], sum[i]);
}

/* Computes a register tile of `depth` products for each result: c = sums, or c += sums. chunk counts
 * elements, in whole vectors; ahead is a row that is needed soon. */
OCLIN_INLINE void dot_products(local float *c, global const element *a, long a_stride,
                               global const element *b, long b_stride, int rows, int columns, int depth,
                               int chunk, int first, global const element *ahead)
{
    global const element *a_rows[OCLIN_ITEM_M], *b_rows[OCLIN_ITEM_N];
    real all[SUMS], sum[SUMS];
#pragma unroll
    for (int i = 0; i < OCLIN_ITEM_M; i++) a_rows[i] = a + min(i, rows - 1) * a_stride;
#pragma unroll
    for (int j = 0; j < OCLIN_ITEM_N; j++) b_rows[j] = b + min(j, columns - 1) * b_stride;
#pragma unroll
    for (int i = 0; i < SUMS; i++) all[i] = (real)(0.0f);

    int k = 0;
    while (k + OCLIN_VL <= depth) {
        const int end = min(k + chunk, depth);
#pragma unroll
        for (int i = 0; i < SUMS; i++) sum[i] = (real)(0.0f);
        for (; k + OCLIN_VL <= end; k += OCLIN_VL) {
            PREFETCH(ahead + k);
            multiply(sum, a_rows, b_rows, k, OCLIN_VL);
        }
#pragma unroll
        for (int i = 0; i < SUMS; i++) all[i] += sum[i];
    }
    if (k < depth) multiply(all, a_rows, b_rows, k, depth - k);

#pragma unroll
    for (int i = 0; i < SUMS; i++) {
        local float *to = c + i / OCLIN_ITEM_N * OCLIN_TILE_N + i % OCLIN_ITEM_N;
        const float s = sum_of_lanes(all[i]);
        *to = first ? s : *to + s;
    }
}

OCLIN_INLINE void compute_block(long block, local float *c_tile, HELPER_ARGUMENTS, int chunk)
{
    const long blocks_n = (n + block_n - 1) / block_n;
    const long row0 = block / blocks_n * block_m, column0 = block % blocks_n * block_n;
    if (row0 >= m) return;
    const int rows = (int)min(m - row0, (long)block_m), columns = (int)min(n - column0, (long)block_n);
    const int tiles_m = (rows + OCLIN_ITEM_M - 1) / OCLIN_ITEM_M,
              tiles_n = (columns + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N;
    a += a_offset + row0 * a_stride;
    b += b_offset + column0 * b_stride;

    for (long k0 = 0; k0 < k; k0 += block_k) {
        const int depth = (int)min(k - k0, (long)block_k);
        for (int i = 0; i < tiles_m * tiles_n; i++) {
            /* the inner loop takes the shorter side, which stays in the cache; the other's next tile comes
             * meanwhile */
            const int by_columns = tiles_m < tiles_n;
            const int row = (by_columns ? i % tiles_m : i / tiles_n) * OCLIN_ITEM_M;
            const int column = (by_columns ? i / tiles_m : i % tiles_n) * OCLIN_ITEM_N;
            global const element *ahead =
                by_columns ? b + (column + OCLIN_ITEM_N + i % tiles_m % OCLIN_ITEM_N) * b_stride
                           : a + (row + OCLIN_ITEM_M + i % tiles_n % OCLIN_ITEM_M) * a_stride;
            dot_products(c_tile + row * OCLIN_TILE_N + column, a + row * a_stride + k0, a_stride,
                         b + column * b_stride + k0, b_stride, rows - row, columns - column, depth, chunk,
                         k0 == 0, ahead + k0);
        }
    }

    const struct epilogue e = EPILOGUE;
    for (int row = 0; row < rows; row++) {
        local float *sums = c_tile + row * OCLIN_TILE_N;
        for (int i = columns; i % OCLIN_VL; i++)
            sums[i] = 0.0f; /* what fills the last vector is not stored */
        for (int column = 0; column < columns; column += OCLIN_VL)
            store_product(LOAD_REAL(sums + column), at(e, row0 + row, column0 + column),
                          min(columns - column, OCLIN_VL));
    }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
PRODUCT(skinny)(PRODUCT_ARGUMENTS, volatile global uint *counters, int chunk)
{
    local float c_tile[OCLIN_TILE_M * OCLIN_TILE_N];
#if OCLIN_TICKETS
    const long blocks = (m + block_m - 1) / block_m * ((n + block_n - 1) / block_n);
    for (long ticket; (ticket = next_ticket(counters, blocks)) < blocks;)
        compute_block(ticket, c_tile, PRODUCT_VALUES, chunk);
#else
    compute_block(get_group_id(0), c_tile, PRODUCT_VALUES, chunk);
#endif
}
