/* Finds the place of each row's largest element, the first of equals. NaN counts as larger than any
 * number. */

/* Returns 1 if a, at place i, comes before b, at place j. */
OCLIN_INLINE int comes_first(float a, int i, float b, int j)
{
    if (isnan(a) || isnan(b)) return isnan(a) && (!isnan(b) || i < j);
    return a > b || (a == b && i < j);
}

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
argmax(global const float *t, long t_offset, long t_stride, global int *indices, long indices_offset,
       long indices_stride, long rows, long cols)
{
    local float values[OCLIN_GROUP];
    local int places[OCLIN_GROUP];
    const int item = get_local_id(0);
    FOR_ROWS_OF_GROUP(rows)
    {
        global const float *t_row = t + t_offset + row * t_stride;
        float best = 0.0f;
        int at = -1; /* none yet */
        for (long i = item; i < cols; i += OCLIN_GROUP)
            if (at < 0 || comes_first(t_row[i], (int)i, best, at)) {
                best = t_row[i];
                at = (int)i;
            }
        barrier(CLK_LOCAL_MEM_FENCE); /* the row before is done with */
        values[item] = best;
        places[item] = at;
        for (int half_group = OCLIN_GROUP / 2; half_group > 0; half_group /= 2) {
            barrier(CLK_LOCAL_MEM_FENCE);
            const int other = item + half_group;
            if (item < half_group && places[other] >= 0 &&
                comes_first(values[other], places[other], values[item], places[item])) {
                values[item] = values[other];
                places[item] = places[other];
            }
        }
        if (item == 0) indices[indices_offset + row * indices_stride] = places[0];
    }
}
