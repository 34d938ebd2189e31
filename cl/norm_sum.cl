/* norm2 (+)= scale^2 times the sum of the sums of norm_parts.cl. One group runs. */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
norm_sum(global const float *sums, long first_sum, long count, global float *norm2, long norm2_offset,
         float scale, int flags)
{
    local float part[OCLIN_GROUP];
    const int item = get_local_id(0);
    float sum = 0.0f, lost = 0.0f;
    for (long i = item; i < count; i += OCLIN_GROUP) add_compensated(&sum, &lost, sums[first_sum + i]);
    sum = group_sum(part, sum);
    if (item != 0) return;
    /* Roundings can take a norm of nearly 0 below it. fmax() would make 0 of NaN too, and -Inf, which only an
     * overflow can give, becomes NaN. */
    if (sum < 0.0f) sum = fabs(sum * 0.0f);
    sum = sum * scale * scale;
    if (flags & OCLIN_FLAG_ACCUMULATE) sum += norm2[norm2_offset];
    norm2[norm2_offset] = sum;
}
