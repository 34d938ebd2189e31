/* What the losses share. A group makes the losses and gradients of its rows; one more group then adds them
 * (loss_sum.cl). */

/* A scale is a pair, x times y, because it may be beyond a float where its product with a value is not: y
 * is a power of two, and nearly always 1. */
#define SCALED(value, scale) ((value) * (scale).x * (scale).y)

/* Adds to a compensated sum (Kahan), whose error does not grow with the number of its terms; *lost begins
 * as 0. */
OCLIN_INLINE void add_compensated(float *sum, float *lost, float term)
{
    const float add = term - *lost, next = *sum + add;
    *lost = isfinite(next) ? next - *sum - add : 0.0f; /* Inf - Inf must not turn Inf into NaN */
    *sum = next;
}

/*
 * These are the arguments of every row kernel. Offsets, strides and sizes are in elements. An operand that a
 * call does not have is given as some valid buffer, and is not touched.
 *
 *   scratch    for loss_sum.cl: ROW_LOSS, a row's loss times its weight; ROW_CORRECT, whether it is right;
 *              from loss_total.cl: TOTAL, what loss and gradient are divided by (OCLIN_FLAG_TOTAL)
 *   classes    a weight for each column (OCLIN_FLAG_CLASSES)
 *   weights    a weight for each row (OCLIN_FLAG_WEIGHTS)
 *   losses     a row's loss times row_scale, for the caller (OCLIN_FLAG_ROWS)
 *   ignored    the label of rows that do not count (OCLIN_FLAG_IGNORE)
 *   number     of losses that have one
 */
#define ROW_LOSS(scratch) (scratch)
#define ROW_CORRECT(scratch, rows) ((global int *)((scratch) + (rows)))
#define TOTAL(scratch, rows) ((scratch)[2 * (rows)])
#define LOSS_ARGUMENTS(target)                                                                              \
    global const float *y, long y_offset, long y_stride, global const target *t, long t_offset,             \
        long t_stride, global float *dy, long dy_offset, long dy_stride, global float *scratch, long rows,  \
        global const float *classes, long classes_offset, global const float *weights, long weights_offset, \
        long weights_stride, global float *losses, long losses_offset, long losses_stride, long cols,       \
        long chunk, float2 gradient_scale, float2 row_scale, float number, int ignored, int flags

/* Stores the loss of a row; place is that of the caller's. One item does this. */
OCLIN_INLINE void store_row(float loss, long row, global float *scratch, global float *losses, long place,
                            float2 row_scale, int flags)
{
    ROW_LOSS(scratch)[row] = loss;
    if (flags & OCLIN_FLAG_ROWS) losses[place] = SCALED(loss, row_scale);
}
