/*
 * Softmax cross-entropy with a probability for each class. With w the weight of a class and of the row (or
 * 1), eps the number, and q_j = w_j ((1 - eps) t_j + eps / cols):
 *
 *     row loss = w * sum of q_j (log sum exp(y - max) - (y_j - max)), without terms whose q is 0
 *     dY_j = gradient_scale * w * (softmax(y)_j * sum of q - q_j)
 */
OCLIN_INLINE float weight_of(global const float *t, global const float *classes, long i, float eps,
                             float soft, int flags)
{
    const float q = fma(1.0f - eps, t[i], soft);
    return flags & OCLIN_FLAG_CLASSES ? q * classes[i] : q;
}

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
loss_soft_cross_entropy(LOSS_ARGUMENTS(float))
{
    local float part[OCLIN_GROUP];
    const long row = get_group_id(0);
    const int item = get_local_id(0);
    const float w = flags & OCLIN_FLAG_WEIGHTS ? weights[weights_offset + row * weights_stride] : 1.0f,
                soft = number / cols;
    y += y_offset + row * y_stride;
    t += t_offset + row * t_stride;
    dy += dy_offset + row * dy_stride;
    classes += classes_offset;

    const float largest = row_max(part, y, cols);

    float sum = 0.0f, sum_q = 0.0f, sum_qv = 0.0f;
    for (long first = 0; first < cols; first += chunk) {
        const long end = min(first + chunk, cols);
        float part_sum = 0.0f, part_q = 0.0f, part_qv = 0.0f;
        for (long i = first + item; i < end; i += OCLIN_GROUP) {
            const float v = y[i] - largest, q = weight_of(t, classes, i, number, soft, flags);
            part_sum += exp(v);
            part_q += q;
            if (q != 0.0f) part_qv = fma(q, v, part_qv); /* 0 times an infinite v is NaN */
        }
        sum += part_sum;
        sum_q += part_q;
        sum_qv += part_qv;
    }
    sum = group_sum(part, sum);
    sum_q = group_sum(part, sum_q);
    sum_qv = group_sum(part, sum_qv);

    if (flags & OCLIN_FLAG_GRADIENT)
        for (long i = item; i < cols; i += OCLIN_GROUP) {
            const float p = exp(y[i] - largest) / sum;
            dy[i] = scaled((p * sum_q - weight_of(t, classes, i, number, soft, flags)) * w, gradient_scale);
        }
    if (item != 0) return;
    const float loss = fma(sum_q, log(sum), -sum_qv) * w;
    row_loss[row] = loss;
    if (flags & OCLIN_FLAG_ROWS) losses[losses_offset + row * losses_stride] = scaled(loss, row_scale);
}
