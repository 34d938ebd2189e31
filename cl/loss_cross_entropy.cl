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

/* Returns the distance to an element, as an int that tells whether it is in a vector and where. */
OCLIN_INLINE int lane_of(long distance)
{
    return (int)clamp(distance, -1L, (long)OCLIN_VL);
}

/* Returns for each lane whether it leaves the label right, which is so far away: what stands before the
 * label is below its score, and what stands behind it is not above. NaN fails every comparison. */
OCLIN_INLINE integers is_below(real y, float score, long label)
{
    return isless(y, (real)(score)) | (isequal(y, (real)(score)) & (LANES >= lane_of(label)));
}

/* Returns the weights of classes i, i + 1, ... */
OCLIN_INLINE real weights_of(global const float *classes, long i, int lanes, int flags)
{
    return flags & OCLIN_FLAG_CLASSES ? load_lanes(classes + i, lanes)
                                      : in_lanes(lanes, (real)(1.0f), (real)(0.0f));
}

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void loss_cross_entropy(LOSS_ARGUMENTS(int))
{
    local float part[OCLIN_GROUP];
    const int item = get_local_id(0);
    const float soft = number / cols, divisor = flags & OCLIN_FLAG_TOTAL ? TOTAL(scratch, rows) : 1.0f;
    classes += classes_offset;
    FOR_ROWS_OF_GROUP(rows)
    {
        global const float *y_row = y + y_offset + row * y_stride;
        global float *dy_row = dy + dy_offset + row * dy_stride;
        /* int, not long: Rusticl on llvmpipe (Mesa 22.3) finds every long that was an int to be >= 0 */
        const int label = t[t_offset + row * t_stride];
        const float w = flags & OCLIN_FLAG_WEIGHTS ? weights[weights_offset + row * weights_stride] : 1.0f;
        const int known = label >= 0 && label < cols; /* never an index otherwise */
        const float score = known ? y_row[label] : NAN;
        const int counts = !(flags & OCLIN_FLAG_IGNORE && label == ignored);
        const float hard = (1.0f - number) * (flags & OCLIN_FLAG_CLASSES && known ? classes[label] : 1.0f);

        const float largest = row_max(part, y_row, cols);

        real sum = (real)(0.0f), wrong = sum, sum_w = sum, sum_wv = sum;
        for (long first = 0; first < cols; first += chunk) {
            const long end = min(first + chunk, cols);
            real part_sum = (real)(0.0f), part_w = part_sum, part_wv = part_sum;
            for (long i = first + FIRST_OF_ITEM; i < end; i += STEP) {
                const int lanes = LANES_AT(i, end);
                const real y_i = load_lanes(y_row + i, lanes);
                part_sum = in_lanes(lanes, part_sum + exp(y_i - largest), part_sum);
                if (soft != 0.0f) {
                    const real w_i = weights_of(classes, i, lanes, flags), v = y_i - largest;
                    part_w += w_i;
                    part_wv = select(part_wv, fma(w_i, v, part_wv), w_i != 0.0f);
                }
                wrong = in_lanes(lanes, select((real)(1.0f), wrong, is_below(y_i, score, label - i)), wrong);
            }
            sum += part_sum;
            sum_w += part_w;
            sum_wv += part_wv;
        }
        const float all_exp = group_sum(part, sum_of_lanes(sum));
        float all_w = 0.0f, all_wv = 0.0f;
        if (soft != 0.0f) { /* the same for all items */
            all_w = group_sum(part, sum_of_lanes(sum_w));
            all_wv = group_sum(part, sum_of_lanes(sum_wv));
        }
        const float is_wrong = group_max(part, max_of_lanes(wrong)), all = fma(soft, all_w, hard);
        if (flags & OCLIN_FLAG_GRADIENT)
            for (long i = FIRST_OF_ITEM; i < cols; i += STEP) {
                const int lanes = LANES_AT(i, cols);
                const real p = exp(load_lanes(y_row + i, lanes) - largest) / all_exp;
                real q = select((real)(0.0f), (real)(hard), LANES == lane_of(label - i));
                if (soft != 0.0f) q = fma((real)(soft), weights_of(classes, i, lanes, flags), q);
                real slope = SCALED((p * all - q) * w, gradient_scale);
                if (flags & OCLIN_FLAG_TOTAL) slope /= divisor;
                store_lanes(dy_row + i, !counts ? (real)(0.0f) : known ? slope : (real)(NAN), lanes);
            }
        if (item == 0) {
            const float v =
                hard != 0.0f || !known ? score - largest : 0.0f; /* 0 times an infinite v is NaN */
            float loss = hard * (log(all_exp) - v);
            if (soft != 0.0f) loss = fma(soft, fma(all_w, log(all_exp), -all_wv), loss);
            store_row(counts ? loss * w : 0.0f, row, scratch, losses, losses_offset + row * losses_stride,
                      row_scale, flags);
            ROW_CORRECT(scratch, rows)[row] = counts && known && is_wrong == 0.0f;
        }
    }
}
