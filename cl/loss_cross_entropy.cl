/*
 * Softmax cross-entropy with class labels. With w the weight of a class and of the row (or 1), eps the
 * number, and q_j = (1 - eps) w_label [j = label] + eps / cols w_j:
 *
 *     row loss = w * sum of q_j (log sum exp(y - max) - (y_j - max))
 *     dY_j = gradient_scale * w * (softmax(y)_j * sum of q - q_j)
 *
 * without terms whose q is 0: all but that of the label, if nothing is smoothed. A row whose label is ignored
 * has loss and gradient 0.
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
    const int counts = !(flags & OCLIN_FLAG_IGNORE && label == ignored);
    classes += classes_offset;
    const float hard = (1.0f - number) * (flags & OCLIN_FLAG_CLASSES && known ? classes[label] : 1.0f),
                soft = number / cols;

    const float largest = row_max(part, y, cols);

    /* The label is right if nothing before it is as large and nothing behind it larger; NaN fails every
     * comparison. */
    float sum = 0.0f, wrong = 0.0f, sum_w = 0.0f, sum_wv = 0.0f;
    for (long first = 0; first < cols; first += chunk) {
        const long end = min(first + chunk, cols);
        float part_sum = 0.0f, part_w = 0.0f, part_wv = 0.0f;
        for (long i = first + item; i < end; i += OCLIN_GROUP) {
            part_sum += exp(y[i] - largest);
            if (soft != 0.0f) {
                const float w_i = flags & OCLIN_FLAG_CLASSES ? classes[i] : 1.0f;
                part_w += w_i;
                if (w_i != 0.0f) part_wv = fma(w_i, y[i] - largest, part_wv);
            }
            if (!(y[i] < score || (y[i] == score && i >= label))) wrong = 1.0f;
        }
        sum += part_sum;
        sum_w += part_w;
        sum_wv += part_wv;
    }
    sum = group_sum(part, sum);
    if (soft != 0.0f) { /* the same for all items */
        sum_w = group_sum(part, sum_w);
        sum_wv = group_sum(part, sum_wv);
    }
    wrong = group_max(part, wrong);

    const float all = fma(soft, sum_w, hard), divisor = flags & OCLIN_FLAG_TOTAL ? total[total_offset] : 1.0f;
    if (flags & OCLIN_FLAG_GRADIENT)
        for (long i = item; i < cols; i += OCLIN_GROUP) {
            const float p = exp(y[i] - largest) / sum;
            float q = i == label ? hard : 0.0f;
            if (soft != 0.0f) q = fma(soft, flags & OCLIN_FLAG_CLASSES ? classes[i] : 1.0f, q);
            const float slope = scaled((p * all - q) * w, gradient_scale);
            dy[i] = !counts ? 0.0f : !known ? NAN : flags & OCLIN_FLAG_TOTAL ? slope / divisor : slope;
        }
    if (item == 0) {
        const float v = hard != 0.0f || !known ? score - largest : 0.0f; /* 0 times an infinite v is NaN */
        float loss = hard * (log(sum) - v);
        if (soft != 0.0f) loss = fma(soft, fma(sum_w, log(sum), -sum_wv), loss);
        loss = counts ? loss * w : 0.0f;
        row_loss[row] = loss;
        row_correct[row_correct_offset + row] = counts && known && wrong == 0.0f;
        if (flags & OCLIN_FLAG_ROWS) losses[losses_offset + row * losses_stride] = scaled(loss, row_scale);
    }
}
