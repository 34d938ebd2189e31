/*
 * The code that the losses share. One work-group of OCLIN_GROUP work-items (a power of two) makes a row's
 * loss, and its gradient; one more group then adds the rows (loss_sum.cl). All sums run in a fixed order:
 * item i takes elements i, i + OCLIN_GROUP, ..., in chunks whose sums are then added, so that few roundings
 * follow each other (`chunk`: elements of the row, a multiple of OCLIN_GROUP); the items are added as a tree.
 *
 * A scale is a pair, x times y, because it may be beyond a float where its product with a value is not: y is
 * a power of two, and nearly always 1.
 */

OCLIN_INLINE float scaled(float value, float2 scale)
{
    return value * scale.x * scale.y;
}

/* Returns the sum of `mine` over the group to every item; all items of the group must call it. */
OCLIN_INLINE float group_sum(local float *part, float mine)
{
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE); /* the last use of part is over */
    part[item] = mine;
    for (int half_group = OCLIN_GROUP / 2; half_group > 0; half_group /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_group) part[item] += part[item + half_group];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
}

OCLIN_INLINE float group_max(local float *part, float mine)
{
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    part[item] = mine;
    for (int half_group = OCLIN_GROUP / 2; half_group > 0; half_group /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_group) part[item] = fmax(part[item], part[item + half_group]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
}

/* Returns the largest of a row's elements to every item; all items of the group must call it. fmax passes NaN
 * over, so that only the sum of exponentials tells of it. */
OCLIN_INLINE float row_max(local float *part, global const float *y, long cols)
{
    float largest = -INFINITY;
    for (long i = get_local_id(0); i < cols; i += OCLIN_GROUP) largest = fmax(largest, y[i]);
    return group_max(part, largest);
}

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
 *   row_loss, row_correct   scratch for loss_sum.cl: a row's loss times its weight, and whether it is right
 *   classes                 a weight for each column (OCLIN_FLAG_CLASSES)
 *   weights                 a weight for each row (OCLIN_FLAG_WEIGHTS)
 *   losses                  row_loss * row_scale, for the caller (OCLIN_FLAG_ROWS)
 *   total                   what loss and gradient are divided by (OCLIN_FLAG_TOTAL)
 *   ignored                 the label of rows that do not count (OCLIN_FLAG_IGNORE)
 *   number                  of losses that have one
 */
#define LOSS_ARGUMENTS(target)                                                                              \
    global const float *y, long y_offset, long y_stride, global const target *t, long t_offset,             \
        long t_stride, global float *dy, long dy_offset, long dy_stride, global float *row_loss,            \
        global int *row_correct, long row_correct_offset, global const float *classes, long classes_offset, \
        global const float *weights, long weights_offset, long weights_stride, global float *losses,        \
        long losses_offset, long losses_stride, global const float *total, long total_offset, long cols,    \
        long chunk, float2 gradient_scale, float2 row_scale, float number, int ignored, int flags
