/*
 * Softmax cross-entropy with class labels:
 *
 *     row loss = w * (log sum exp(y - max) - (y[label] - max))
 *     dY = gradient_scale * w * (softmax(y) - onehot(label))
 *
 * with w the row's weight, or 1.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void loss_cross_entropy(LOSS_ARGUMENTS(int))
{
    local float part[OCLIN_GROUP];
    const long row = get_group_id(0);
    const int item = get_local_id(0);
    y += y_offset + row * y_stride;
    dy += dy_offset + row * dy_stride;
    /* int, not long: Rusticl on llvmpipe (Mesa 22.3) finds every long that was an int to be >= 0 */
    const int label = t[t_offset + row * t_stride];
    const float w = flags & OCLIN_FLAG_WEIGHTS ? weights[weights_offset + row * weights_stride] : 1.0f;
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
            dy[i] = known ? scaled((i == label ? p - 1.0f : p) * w, gradient_scale) : NAN;
        }
    if (item == 0) {
        row_loss[row] = (log(sum) - (score - largest)) * w;
        row_correct[row_correct_offset + row] = known && wrong == 0.0f;
        if (flags & OCLIN_FLAG_ROWS)
            losses[losses_offset + row * losses_stride] = scaled(row_loss[row], row_scale);
    }
}
