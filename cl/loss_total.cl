/*
 * total = sum of the weights of the rows that count: those of their labels, or 1; a label that is not a class
 * has 1. One group runs.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
loss_total(global const int *labels, long labels_offset, long labels_stride, global const float *classes,
           long classes_offset, long cols, long rows, global float *scratch, int ignored, int flags)
{
    local float part[OCLIN_GROUP];
    const int item = get_local_id(0);
    float sum = 0.0f, lost = 0.0f;
    for (long i = item; i < rows; i += OCLIN_GROUP) {
        const int label = labels[labels_offset + i * labels_stride];
        if (flags & OCLIN_FLAG_IGNORE && label == ignored) continue;
        const int weighed = flags & OCLIN_FLAG_CLASSES && label >= 0 && label < cols;
        add_compensated(&sum, &lost, weighed ? classes[classes_offset + label] : 1.0f);
    }
    sum = group_sum(part, sum);
    if (item == 0) TOTAL(scratch, rows) = sum;
}
