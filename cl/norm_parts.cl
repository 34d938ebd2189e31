/*
 * The norm of a gradient, first launch: sums of squares, or of products, of which norm_sum.cl makes one.
 *
 *     |T|^2         = sum of t^2                                 a = b = T
 *     |dW|^2        = sum of (dZ dZ^T)_ij (X X^T)_ij             a = dZ dZ^T, b = X X^T: both batch x batch
 *     |dW|^2+|db|^2 = sum of (dZ dZ^T)_ij ((X X^T)_ij + 1)       db is dZ^T times a column of ones
 *
 * Rows are cut into spans of `span` elements, and a span is to a group what a row is in rows.cl. Its sum goes
 * to a place of its own: number first_sum + row * spans + span.
 *
 *     OCLIN_FLAG_DW     b counts
 *     OCLIN_FLAG_BIAS   1 is added to b
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
norm_parts(global const float *a, long a_offset, long a_stride, global const float *b, long b_offset,
           long b_stride, long rows, long cols, long spans, long span, long chunk, global float *sums,
           long first_sum, int flags)
{
    local float part[OCLIN_GROUP];
    FOR_ROWS_OF_GROUP(rows * spans)
    {
        const long begin = row % spans * span, end_of_span = min(begin + span, cols);
        global const float *a_row = a + a_offset + row / spans * a_stride;
        global const float *b_row = b + b_offset + row / spans * b_stride;
        real sum = (real)(0.0f);
        for (long first = begin; first < end_of_span; first += chunk) {
            const long end = min(first + chunk, end_of_span);
            real part_sum = (real)(0.0f);
            for (long i = first + FIRST_OF_ITEM; i < end; i += STEP) {
                const int lanes = LANES_AT(i, end);
                real by = flags & OCLIN_FLAG_DW ? load_lanes(b_row + i, lanes) : (real)(0.0f);
                if (flags & OCLIN_FLAG_BIAS) by += 1.0f;
                part_sum = MULTIPLY_ADD(load_lanes(a_row + i, lanes), by, part_sum);
            }
            sum += part_sum;
        }
        const float all = group_sum(part, sum_of_lanes(sum));
        if (get_local_id(0) == 0) sums[first_sum + row] = all;
    }
}
