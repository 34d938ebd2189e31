/*
 * What kernels share that go over rows. A work-group of OCLIN_GROUP work-items (a power of two), OCLIN_VL
 * lanes each, makes one row after the other. All sums run in a fixed order: lane i of the group takes
 * elements i, i + STEP, ..., in chunks whose sums are then added, so that few roundings follow each other
 * (`chunk`: elements of the row, a multiple of STEP); the lanes are added as a tree, and so are the items.
 */
#define STEP (OCLIN_GROUP * OCLIN_VL)

/* The first vector of an item in a row, or in a chunk; and how many of the lanes of the one at i exist. */
#define FIRST_OF_ITEM (get_local_id(0) * OCLIN_VL)
#define LANES_AT(i, end) ((int)min((end) - (i), (long)OCLIN_VL))

/*
 * The rows of one group: neighbours, so that groups rarely write to the same cache line. A GPU has a group
 * for each row; on a CPU a group costs as much as a short row, so one takes many.
 */
OCLIN_INLINE long first_row(long group, long rows)
{
    const long groups = get_num_groups(0), each = rows / groups;
    return group * each + min(group, rows - each * groups);
}
#define FOR_ROWS_OF_GROUP(rows)                                                                    \
    for (long row = first_row(get_group_id(0), rows), end_ = first_row(get_group_id(0) + 1, rows); \
         row < end_; row++)

/* An int for each lane: what comparisons give; and the numbers of the lanes. */
#if OCLIN_VL == 1
typedef int integers;
#define LANES 0
#else
typedef OCLIN_JOIN(int, OCLIN_VL) integers;
#endif
#if OCLIN_VL == 4
#define LANES ((integers)(0, 1, 2, 3))
#elif OCLIN_VL == 8
#define LANES ((integers)(0, 1, 2, 3, 4, 5, 6, 7))
#elif OCLIN_VL == 16
#define LANES ((integers)(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15))
#endif

/* Returns `value` in the lanes that exist, `other` in those behind the end of a row. */
OCLIN_INLINE real in_lanes(int lanes, real value, real other)
{
    return lanes >= OCLIN_VL ? value : select(other, value, LANES < lanes);
}

OCLIN_INLINE float max_of_lanes(real v)
{
    float lane[OCLIN_VL];
    STORE_REAL(v, lane);
    for (int i = 1; i < OCLIN_VL; i++) lane[0] = fmax(lane[0], lane[i]);
    return lane[0];
}

/* Returns the sum of `mine` over the group to every item; all items of the group must call it. */
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

/* Returns the largest of a row's elements to every item; all items of the group must call it. fmax passes NaN
 * over, so that only the sum of exponentials tells of it. */
OCLIN_INLINE float row_max(local float *part, global const element *y, long cols)
{
    const real none = (real)(-INFINITY);
    real largest = none;
    for (long i = FIRST_OF_ITEM; i < cols; i += STEP) {
        const int lanes = LANES_AT(i, cols);
        largest = fmax(largest, in_lanes(lanes, load_lanes(y + i, lanes), none));
    }
    return group_max(part, max_of_lanes(largest));
}
