/*
 * P = softmax of each row of Y: exp(y - max) / sum of exp(y - max), with the sums of rows.cl.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
softmax(global const float *y, long y_offset, long y_stride, global float *p, long p_offset, long p_stride,
        long rows, long cols, long chunk)
{
    local float part[OCLIN_GROUP];
    FOR_ROWS_OF_GROUP(rows)
    {
        global const float *y_row = y + y_offset + row * y_stride;
        global float *p_row = p + p_offset + row * p_stride;

        const float largest = row_max(part, y_row, cols);

        real sum = (real)(0.0f);
        for (long first = 0; first < cols; first += chunk) {
            const long end = min(first + chunk, cols);
            real part_sum = (real)(0.0f);
            for (long i = first + FIRST_OF_ITEM; i < end; i += STEP) {
                const int lanes = LANES_AT(i, end);
                part_sum = in_lanes(lanes, part_sum + exp(load_lanes(y_row + i, lanes) - largest), part_sum);
            }
            sum += part_sum;
        }
        const float all_exp = group_sum(part, sum_of_lanes(sum));
        for (long i = FIRST_OF_ITEM; i < cols; i += STEP) {
            const int lanes = LANES_AT(i, cols);
            store_lanes(p_row + i, exp(load_lanes(y_row + i, lanes) - largest) / all_exp, lanes);
        }
    }
}
