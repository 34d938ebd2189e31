/*
 * A loss that is a sum over elements:
 *
 *     row loss = w * sum of l(y, t),   dY = gradient_scale * w * l'(y, t)
 *
 * with w the row's weight, or 1. The file before this one has l, as add_loss(), l' up to a factor of the
 * host, as slope(), and the kernel's name.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void OCLIN_LOSS(LOSS_ARGUMENTS(float))
{
    local float part[OCLIN_GROUP];
    const long row = get_group_id(0);
    const int item = get_local_id(0);
    const float w = flags & OCLIN_FLAG_WEIGHTS ? weights[weights_offset + row * weights_stride] : 1.0f;
    y += y_offset + row * y_stride;
    t += t_offset + row * t_stride;
    dy += dy_offset + row * dy_stride;
    classes += classes_offset;

    float sum = 0.0f;
    for (long first = 0; first < cols; first += chunk) {
        const long end = min(first + chunk, cols);
        float part_sum = 0.0f;
        for (long i = first + item; i < end; i += OCLIN_GROUP) {
            const float of_class = flags & OCLIN_FLAG_CLASSES ? classes[i] : 1.0f;
            part_sum = add_loss(part_sum, y[i], t[i], of_class, number);
            if (flags & OCLIN_FLAG_GRADIENT)
                dy[i] = scaled(slope(y[i], t[i], of_class, number) * w, gradient_scale);
        }
        sum += part_sum;
    }
    sum = group_sum(part, sum) * w;
    if (item != 0) return;
    row_loss[row] = sum;
    if (flags & OCLIN_FLAG_ROWS) losses[losses_offset + row * losses_stride] = scaled(sum, row_scale);
}
