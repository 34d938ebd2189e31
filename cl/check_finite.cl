/*
 * flag = 1 where act'(S) * T has a NaN or Inf; else it stays as it is. T is dY, or with activation "none" any
 * matrix. Rows are cut into spans as in norm_parts.cl.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
check_finite(global const float *t, long t_offset, long t_stride, global const float *s, long s_offset,
             long s_stride, long rows, long cols, long spans, long span, global int *flag, long flag_offset)
{
    local float part[OCLIN_GROUP];
    FOR_ROWS_OF_GROUP(rows * spans)
    {
        const long begin = row % spans * span, end = min(begin + span, cols);
        global const float *t_row = t + t_offset + row / spans * t_stride;
        global const float *s_row = s + s_offset + row / spans * s_stride;
        real nothing = (real)(0.0f); /* stays 0 until a NaN or Inf, times 0, makes it NaN */
        for (long i = begin + FIRST_OF_ITEM; i < end; i += STEP) {
            const int lanes = LANES_AT(i, end);
            nothing += grad_z(load_lanes(t_row + i, lanes), load_lanes(s_row + i, lanes)) * 0.0f;
        }
        const float all = group_sum(part, sum_of_lanes(nothing));
        if (get_local_id(0) == 0 && isnan(all))
            atomic_xchg(flag + flag_offset, 1); /* by any number of groups */
    }
}
