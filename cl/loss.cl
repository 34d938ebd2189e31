/*
 * The losses: one work-group of OCLIN_GROUP work-items (a power of two) a row, then one group that adds the
 * rows. All sums run in a fixed order: item i takes elements i, i + OCLIN_GROUP, ..., in chunks whose sums
 * are then added, so that few roundings follow each other (`chunk`: elements of the row, a multiple of
 * OCLIN_GROUP); the items are added as a tree.
 *
 *   mse             row loss = sum (y - t)^2
 *                   dY = gradient_scale * (y - t)
 *   cross_entropy   row loss = log sum exp(y - max) - (y[label] - max)
 *                   dY = gradient_scale * (softmax(y) - onehot(label))
 *   sum_rows        loss (+)= loss_scale * sum of row losses,  correct (+)= sum of row_correct
 *
 * A scale is a pair, x times y, because it may be beyond a float where its product with a value is not: y is
 * a power of two, and nearly always 1.
 */

OCLIN_INLINE float scaled(float value, float2 scale)
{
    return value * scale.x * scale.y;
}

/* The sum of `mine` over the group, for every item. Uniform control flow. */
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

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
mse(global const float *y, long y_offset, long y_stride, global const float *t, long t_offset, long t_stride,
    global float *dy, long dy_offset, long dy_stride, global float *row_loss, long cols, long chunk,
    float2 gradient_scale, int flags)
{
    local float part[OCLIN_GROUP];
    const long row = get_group_id(0);
    const int item = get_local_id(0);
    y += y_offset + row * y_stride;
    t += t_offset + row * t_stride;
    dy += dy_offset + row * dy_stride;

    float sum = 0.0f;
    for (long first = 0; first < cols; first += chunk) {
        const long end = min(first + chunk, cols);
        float part_sum = 0.0f;
        for (long i = first + item; i < end; i += OCLIN_GROUP) {
            const float difference = y[i] - t[i];
            part_sum = fma(difference, difference, part_sum);
            if (flags & OCLIN_FLAG_GRADIENT) dy[i] = scaled(difference, gradient_scale);
        }
        sum += part_sum;
    }
    sum = group_sum(part, sum);
    if (item == 0) row_loss[row] = sum;
}

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
cross_entropy(global const float *y, long y_offset, long y_stride, global const int *labels,
              long labels_offset, long labels_stride, global float *dy, long dy_offset, long dy_stride,
              global float *row_loss, global int *row_correct, long row_correct_offset, long cols, long chunk,
              float2 gradient_scale, int flags)
{
    local float part[OCLIN_GROUP];
    const long row = get_group_id(0);
    const int item = get_local_id(0);
    y += y_offset + row * y_stride;
    dy += dy_offset + row * dy_stride;
    /* int, not long: Rusticl on llvmpipe (Mesa 22.3) finds every long that was an int to be >= 0 */
    const int label = labels[labels_offset + row * labels_stride];
    const int known = label >= 0 && label < cols; /* never an index otherwise */
    const float score = known ? y[label] : NAN;

    /* fmax passes NaN scores over; they come back through the sum of exponentials */
    float largest = -INFINITY;
    for (long i = item; i < cols; i += OCLIN_GROUP) largest = fmax(largest, y[i]);
    largest = group_max(part, largest);

    /* The label is right if nothing before it is as large and nothing behind it larger; NaN fails every
     * comparison. */
    float sum = 0.0f, wrong = 0.0f;
    for (long first = 0; first < cols; first += chunk) {
        const long end = min(first + chunk, cols);
        float part_sum = 0.0f;
        for (long i = first + item; i < end; i += OCLIN_GROUP) {
            part_sum += exp(y[i] - largest);
            if (!(y[i] < score || (y[i] == score && i >= label))) wrong = 1.0f;
        }
        sum += part_sum;
    }
    sum = group_sum(part, sum);
    wrong = group_max(part, wrong);

    if (flags & OCLIN_FLAG_GRADIENT)
        for (long i = item; i < cols; i += OCLIN_GROUP) {
            const float p = exp(y[i] - largest) / sum;
            dy[i] = known ? scaled(i == label ? p - 1.0f : p, gradient_scale) : NAN;
        }
    if (item == 0) {
        row_loss[row] = log(sum) - (score - largest);
        row_correct[row_correct_offset + row] = known && wrong == 0.0f;
    }
}

/* One group. Sums of many rows are compensated (Kahan): the error does not grow with the number of rows. */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
sum_rows(global const float *row_loss, global const int *row_correct, long row_correct_offset, long rows,
         global float *loss, long loss_offset, global int *correct, long correct_offset, float2 loss_scale,
         int flags)
{
    local float part[OCLIN_GROUP];
    local int counts[OCLIN_GROUP];
    const int item = get_local_id(0);
    float sum = 0.0f, lost = 0.0f;
    int count = 0;
    for (long i = item; i < rows; i += OCLIN_GROUP) {
        if (flags & OCLIN_FLAG_LOSS) {
            const float add = row_loss[i] - lost, next = sum + add;
            lost = isfinite(next) ? next - sum - add : 0.0f; /* Inf - Inf must not turn Inf into NaN */
            sum = next;
        }
        if (flags & OCLIN_FLAG_CORRECT) count += row_correct[row_correct_offset + i];
    }
    counts[item] = count;
    sum = group_sum(part, sum); /* its barriers order counts as well */
    if (item != 0) return;
    if (flags & OCLIN_FLAG_LOSS) {
        sum = scaled(sum, loss_scale);
        if (flags & OCLIN_FLAG_ACCUMULATE) sum += loss[loss_offset];
        loss[loss_offset] = sum;
    }
    if (flags & OCLIN_FLAG_CORRECT) {
        for (int i = 1; i < OCLIN_GROUP; i++) count += counts[i];
        if (flags & OCLIN_FLAG_ACCUMULATE) count += correct[correct_offset];
        correct[correct_offset] = count;
    }
}
