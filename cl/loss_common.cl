/*
 * What the losses share. One work-group of OCLIN_GROUP work-items (a power of two) makes a row's loss, and its
 * gradient; one more group then adds the rows (loss_sum.cl). All sums run in a fixed order: item i takes
 * elements i, i + OCLIN_GROUP, ..., in chunks whose sums are then added, so that few roundings follow each
 * other (`chunk`: elements of the row, a multiple of OCLIN_GROUP); the items are added as a tree.
 *
 * A scale is a pair, x times y, because it may be beyond a float where its product with a value is not: y is
 * a power of two, and nearly always 1.
 */

OCLIN_INLINE float scaled(float value, float2 scale)
{
    return value * scale.x * scale.y;
}

/* The sum of `mine` over the group, for every item. Uniform control flow. */
OCLIN_INLINE float group_sum(local float *part, float mine)
{
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE); /* the last use of part is over */
    part[item] = mine;
    for (int half_group = OCLIN_GROUP / 2; half_group > 0; half_group /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_group) part[item] += part[item + half_group];
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
}

OCLIN_INLINE float group_max(local float *part, float mine)
{
    const int item = get_local_id(0);
    barrier(CLK_LOCAL_MEM_FENCE);
    part[item] = mine;
    for (int half_group = OCLIN_GROUP / 2; half_group > 0; half_group /= 2) {
        barrier(CLK_LOCAL_MEM_FENCE);
        if (item < half_group) part[item] = fmax(part[item], part[item + half_group]);
    }
    barrier(CLK_LOCAL_MEM_FENCE);
    return part[0];
}
