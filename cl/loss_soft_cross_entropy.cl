/*
 * Softmax cross-entropy with a probability for each class. With w the weight of a class and of the row (or
 * 1), eps the number, and q_j = w_j ((1 - eps) t_j + eps / cols):
 *
 *     row loss = w * sum of q_j (log sum exp(y - max) - (y_j - max)), without terms whose q is 0
 *     dY_j = gradient_scale * w * (softmax(y)_j * sum of q - q_j)
 */
OCLIN_INLINE real weights_of(global const float *t, global const float *classes, long i, int lanes, float eps,
                             float soft, int flags)
{
    const real q = fma((real)(1.0f - eps), load_lanes(t + i, lanes), (real)(soft));
    return flags & OCLIN_FLAG_CLASSES ? q * load_lanes(classes + i, lanes) : q;
}

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
loss_soft_cross_entropy(LOSS_ARGUMENTS(float))
{
    local float part[OCLIN_GROUP];
    const int item = get_local_id(0);
    const float soft = number / cols;
    classes += classes_offset;
    FOR_ROWS_OF_GROUP(rows)
    {
        global const float *y_row = y + y_offset + row * y_stride, *t_row = t + t_offset + row * t_stride;
        global float *dy_row = dy + dy_offset + row * dy_stride;
        const float w = flags & OCLIN_FLAG_WEIGHTS ? weights[weights_offset + row * weights_stride] : 1.0f;

        const float largest = row_max(part, y_row, cols);

        real sum = (real)(0.0f), sum_q = sum, sum_qv = sum;
        for (long first = 0; first < cols; first += chunk) {
            const long end = min(first + chunk, cols);
            real part_sum = (real)(0.0f), part_q = part_sum, part_qv = part_sum;
            for (long i = first + FIRST_OF_ITEM; i < end; i += STEP) {
                const int lanes = LANES_AT(i, end);
                const real v = load_lanes(y_row + i, lanes) - largest,
                           q = in_lanes(lanes, weights_of(t_row, classes, i, lanes, number, soft, flags),
                                        (real)(0.0f));
                part_sum = in_lanes(lanes, part_sum + exp(v), part_sum);
                part_q += q;
                part_qv = select(part_qv, fma(q, v, part_qv), q != 0.0f); /* 0 times an infinite v is NaN */
            }
            sum += part_sum;
            sum_q += part_q;
            sum_qv += part_qv;
        }
        const float all_exp = group_sum(part, sum_of_lanes(sum)),
                    all_q = group_sum(part, sum_of_lanes(sum_q)),
                    all_qv = group_sum(part, sum_of_lanes(sum_qv));

        if (flags & OCLIN_FLAG_GRADIENT)
            for (long i = FIRST_OF_ITEM; i < cols; i += STEP) {
                const int lanes = LANES_AT(i, cols);
                const real p = exp(load_lanes(y_row + i, lanes) - largest) / all_exp,
                           q = weights_of(t_row, classes, i, lanes, number, soft, flags);
                store_lanes(dy_row + i, SCALED((p * all_q - q) * w, gradient_scale), lanes);
            }
        if (item == 0)
            store_row(fma(all_q, log(all_exp), -all_qv) * w, row, scratch, losses,
                      losses_offset + row * losses_stride, row_scale, flags);
    }
}
