/*
 * Sets rows x cols elements of 4 bytes to the same bits, float or int alike. Elements between the rows are
 * left alone. The range is 1-D, in chunks of a row as in update.cl.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
fill(global uint *t, long t_offset, long t_stride, long rows, long cols, uint bits)
{
    const long chunks = (cols + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N;
    const long item = get_global_id(0);
    if (item >= rows * chunks) return;
    const long row = item / chunks, first = item % chunks * OCLIN_ITEM_N;
    const long end = min(first + OCLIN_ITEM_N, cols);
    t += t_offset + row * t_stride;
    for (long i = first; i < end; i++) t[i] = bits;
}
