/* loss (+)= loss_scale * sum of row losses,  correct (+)= sum of row_correct */

/* One group runs. */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
loss_sum(global float *scratch, long rows, global float *loss, long loss_offset, global int *correct,
         long correct_offset, float2 loss_scale, int flags)
{
    local float part[OCLIN_GROUP];
    local int counts[OCLIN_GROUP];
    const int item = get_local_id(0);
    float sum = 0.0f, lost = 0.0f;
    int count = 0;
    for (long i = item; i < rows; i += OCLIN_GROUP) {
        if (flags & OCLIN_FLAG_LOSS) add_compensated(&sum, &lost, ROW_LOSS(scratch)[i]);
        if (flags & OCLIN_FLAG_CORRECT) count += ROW_CORRECT(scratch, rows)[i];
    }
    counts[item] = count;
    sum = group_sum(part, sum); /* its barriers order counts as well */
    if (item != 0) return;
    if (flags & OCLIN_FLAG_LOSS) {
        sum = SCALED(sum, loss_scale);
        if (flags & OCLIN_FLAG_TOTAL) sum /= TOTAL(scratch, rows);
        if (flags & OCLIN_FLAG_ACCUMULATE) sum += loss[loss_offset];
        loss[loss_offset] = sum;
    }
    if (flags & OCLIN_FLAG_CORRECT) {
        for (int i = 1; i < OCLIN_GROUP; i++) count += counts[i];
        if (flags & OCLIN_FLAG_ACCUMULATE) count += correct[correct_offset];
        correct[correct_offset] = count;
    }
}
