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
    const int item = get_local_id(0);
    classes += classes_offset;
    FOR_ROWS_OF_GROUP(rows)
    {
        global const float *y_row = y + y_offset + row * y_stride, *t_row = t + t_offset + row * t_stride;
        global float *dy_row = dy + dy_offset + row * dy_stride;
        const float w = flags & OCLIN_FLAG_WEIGHTS ? weights[weights_offset + row * weights_stride] : 1.0f;
        real sum = (real)(0.0f);
        for (long first = 0; first < cols; first += chunk) {
            const long end = min(first + chunk, cols);
            real part_sum = (real)(0.0f);
            for (long i = first + FIRST_OF_ITEM; i < end; i += STEP) {
                const int lanes = LANES_AT(i, end);
                const real y_i = load_lanes(y_row + i, lanes), t_i = load_lanes(t_row + i, lanes);
                const real of_class =
                    flags & OCLIN_FLAG_CLASSES ? load_lanes(classes + i, lanes) : (real)(1.0f);
                part_sum = in_lanes(lanes, add_loss(part_sum, y_i, t_i, of_class, number), part_sum);
                if (flags & OCLIN_FLAG_GRADIENT)
                    store_lanes(dy_row + i, SCALED(slope(y_i, t_i, of_class, number) * w, gradient_scale),
                                lanes);
            }
            sum += part_sum;
        }
        const float loss = group_sum(part, sum_of_lanes(sum)) * w;
        if (item == 0)
            store_row(loss, row, scratch, losses, losses_offset + row * losses_stride, row_scale, flags);
    }
}
