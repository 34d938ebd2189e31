/*
 * The second launch of a split product: adds the sums of the parts of k that product_simt.cl made side by
 * side, and runs the epilogue, once.
 *
 *        n sums of a row  | 1 |      A holds the parts one behind the other, m rows of a_stride each. Behind
 *      +------------------+---+--+   the n sums of C stands that of A's row over k, for db. What is left of a
 *  m   | part 0           |   |  |   row only makes all rows begin at multiples of 16 bytes.
 *      +------------------+---+--+
 *  m   | part 1           |   |  |   k is the number of parts. B and S are not used, nor are block_m, block_n
 *      +------------------+---+--+   and block_k.
 *       ...
 *
 * Each sum is added in the order of the parts, in one chain, so that it has the same bits each time. There
 * are so few parts that few roundings follow each other (additions.c). Neighbours read and write neighbouring
 * quads.
 *
 * The range is 1-D, a work-item for each quad of C, row after row, and behind them, where db is summed, one
 * for each row. It is built with OCLIN_VL 4.
 */

/* Adds `lanes` sums of all parts, which lie `apart` elements from each other. Several loads are on their way
 * at a time, because each takes much longer than an addition. */
OCLIN_INLINE real sum_of_parts(global const element *from, long apart, long parts, int lanes)
{
    real sum;
    if (lanes == OCLIN_VL) {
        sum = LOAD_ALIGNED(from);
#pragma unroll 8
        for (long part = 1; part < parts; part++) sum += LOAD_ALIGNED(from + part * apart);
    } else {
        sum = load_lanes(from, lanes);
        for (long part = 1; part < parts; part++) sum += load_lanes(from + part * apart, lanes);
    }
    return sum;
}

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void PRODUCT(sums)(PRODUCT_ARGUMENTS)
{
    const long quads = (n + OCLIN_VL - 1) / OCLIN_VL, item = get_global_id(0);
    const struct epilogue e = EPILOGUE;
    a += a_offset;
    if (item < m * quads) {
        const long row = item / quads, column = item % quads * OCLIN_VL;
        const int lanes = (int)min(n - column, (long)OCLIN_VL);
        store_product(sum_of_parts(a + row * a_stride + column, m * a_stride, k, lanes), at(e, row, column),
                      lanes);
    }
#if SUM_A_OVER_K
    const long row = item - m * quads;
    if (row >= 0 && row < m && (flags & OCLIN_FLAG_BIAS))
        store_sum_a(sum_of_parts(a + row * a_stride + n, m * a_stride, k, 1).x, at_sum(e, row, n));
#endif
}
