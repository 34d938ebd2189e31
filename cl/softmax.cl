/*
 * P = softmax of each row of Y: exp(y - max) / sum of exp(y - max), made by one work-group a row, with the
 * sums of loss_common.cl.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
softmax(global const float *y, long y_offset, long y_stride, global float *p, long p_offset, long p_stride,
        long cols, long chunk)
{
    local float part[OCLIN_GROUP];
    const long row = get_group_id(0);
    const int item = get_local_id(0);
    y += y_offset + row * y_stride;
    p += p_offset + row * p_stride;

    const float largest = row_max(part, y, cols);

    float sum = 0.0f;
    for (long first = 0; first < cols; first += chunk) {
        const long end = min(first + chunk, cols);
        float part_sum = 0.0f;
        for (long i = first + item; i < end; i += OCLIN_GROUP) part_sum += exp(y[i] - largest);
        sum += part_sum;
    }
    sum = group_sum(part, sum);
    for (long i = item; i < cols; i += OCLIN_GROUP) p[i] = exp(y[i] - largest) / sum;
}
