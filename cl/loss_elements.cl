/*
 * A loss that is a sum over elements:
 *
 *     row loss = sum of l(y, t),   dY = gradient_scale * l'(y, t)
 *
 * The file before this one has l, as add_loss(), l' up to a factor of the host, as slope(), and the kernel's
 * name.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
OCLIN_LOSS(global const float *y, long y_offset, long y_stride, global const float *t, long t_offset,
           long t_stride, global float *dy, long dy_offset, long dy_stride, global float *row_loss,
           global int *row_correct, long row_correct_offset, long cols, long chunk, float2 gradient_scale,
           int flags)
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
            part_sum = add_loss(part_sum, y[i], t[i]);
            if (flags & OCLIN_FLAG_GRADIENT) dy[i] = scaled(slope(y[i], t[i]), gradient_scale);
        }
        sum += part_sum;
    }
    sum = group_sum(part, sum);
    if (item == 0) row_loss[row] = sum;
}
