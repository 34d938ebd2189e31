/*
 * These are the arguments of every product kernel: those of C = A B, and those of its epilogue. Offsets,
 * strides and sizes are in elements.
 *
 *            A (m x k)     S             B (k x n)  C (m x n)  bias  db       Z
 *   forward  X             -             W^T        Y          b     -        z or act(z), where it is kept
 *   grad_x   dZ of dY      y or z        W          dX         -     -        -
 *   grad_w   dZ^T of dY    y or z        X          dW or W    -     db or b  -
 *   one pass dZ of dY      y or z        W          dX         -     db or b  -
 *
 * A long k is computed in slices, one launch after the other (additions.c says how many). Z then holds the
 * sums of the slices so far: m x n, stored as C is, and for db a column more, number n. It may be C itself
 * where C is overwritten. Where k is split over groups (product_simt.cl), Z holds as much for each part.
 *
 * Operands that a product has no use for are given as some valid buffer, and are not touched. block_m,
 * block_n and block_k are the part of the tile that this launch uses (simd: multiples of its register tile;
 * the narrow and the skinny kernels say what they mean there).
 */
#ifndef UPDATE_ARGUMENTS /* of kernels that update nothing; the others have those of updates.cl */
#define UPDATE_ARGUMENTS
#define UPDATE_VALUES
#define UPDATE_FIELDS
#define UPDATE_OF_ARGUMENTS
#define UPDATE_BY(e, w_by, b_by)
#endif
#define PRODUCT_ARGUMENTS_(RESTRICT)                                                                         \
    global const element *RESTRICT a, long a_offset, long a_stride, global const element *RESTRICT s,        \
        long s_offset, long s_stride, global const element *RESTRICT b, long b_offset, long b_stride,        \
        global element *c, long c_offset, long c_stride, global const element *bias, long bias_offset,       \
        global element *db, long db_offset, global element *z, long z_offset, long z_stride, long m, long n, \
        long k, float scale, float lr, int flags, int block_m, int block_n, int block_k UPDATE_ARGUMENTS
#define PRODUCT_ARGUMENTS PRODUCT_ARGUMENTS_(restrict)
/* Helpers omit `restrict`: once inlined it becomes an instruction that Oclgrind 21.10 rejects. */
#define OCLIN_NO_PROMISE
#define HELPER_ARGUMENTS PRODUCT_ARGUMENTS_(OCLIN_NO_PROMISE)

/* The same arguments, as a caller passes them. */
#define PRODUCT_VALUES                                                                                  \
    a, a_offset, a_stride, s, s_offset, s_stride, b, b_offset, b_stride, c, c_offset, c_stride, bias,   \
        bias_offset, db, db_offset, z, z_offset, z_stride, m, n, k, scale, lr, flags, block_m, block_n, \
        block_k UPDATE_VALUES

/* 1 if A is read together with S. */
#define A_NEEDS_S (A_IS_GRAD_Z * GRAD_Z_NEEDS_S)

/* The places where results go, and what is done to them there. */
struct epilogue {
    global element *c, *db, *z;
    global const element *bias;
    long c_stride, z_stride;
    float scale;
    int flags;
    UPDATE_FIELDS
};

/* The epilogue of the result (0, 0), from the arguments of the kernel. */
#define EPILOGUE                                                                                          \
    {                                                                                                     \
        c + c_offset, db + db_offset, z + z_offset, bias + bias_offset, c_stride, z_stride, scale, flags, \
            UPDATE_OF_ARGUMENTS                                                                           \
    }

/* e with its pointers moved on. It is an expression, since a function whose result is a struct also becomes
 * an instruction that Oclgrind 21.10 rejects. */
#define MOVED(e, c_by, db_by, z_by, bias_by, w_state_by)                                                     \
    ((struct epilogue){(e).c + (c_by), (e).db + (db_by), (e).z + (z_by), (e).bias + (bias_by), (e).c_stride, \
                       (e).z_stride, (e).scale, (e).flags, UPDATE_BY(e, w_state_by, db_by)})

/* The element in this row and column of C or Z; C_TRANSPOSED: both are stored the other way round, and the
 * lanes of a result lie along m. */
#define ELEMENT(row, column, stride) \
    (C_TRANSPOSED ? (column) * (stride) + (row) : (row) * (stride) + (column))

/* The epilogue of the result in this row and column. */
#define at(e, row, column)                                                                      \
    MOVED(e, ELEMENT(row, column, (e).c_stride), 0, ELEMENT(row, column, (e).z_stride), column, \
          ELEMENT(row, column, (e).w_update.stride))

/* The epilogue of the sum of this row of A over k, which stands in Z behind the n columns of C. */
#define at_sum(e, row, n) MOVED(e, 0, row, ELEMENT(row, n, (e).z_stride), 0, 0)

/* Adds the sums of the slices of k that came before. Where others follow, *sum is stored for them in Z, and 0
 * is returned. */
OCLIN_INLINE int is_last_slice(real *sum, struct epilogue e, int lanes)
{
    if (e.flags & OCLIN_FLAG_ONTO) *sum += load_lanes(e.z, lanes);
    if (e.flags & OCLIN_FLAG_PARTIAL) store_lanes(e.z, *sum, lanes);
    return !(e.flags & OCLIN_FLAG_PARTIAL);
}

#if OCLIN_TICKETS
/*
 * Tickets (OCLIN_TICKETS): one group a core is launched, and each computes part after part, by numbers that
 * it draws, until there are none. PoCL hands out groups in chunks, half of all to the first core that asks.
 * The others would then wait for a core that wakes up late (0.1 ms and more), or that another program slows
 * down; and a second launch for what depends on the first costs 0.1 ms more. (A step of 784-256, batch 128,
 * on two cores is 1.1 to 1.2 times as fast with tickets.)
 *
 * Each ticket is drawn by a group that runs, and that goes on to the end of its part. So a group that waits
 * for what was packed with earlier tickets only waits for groups that already run: it cannot deadlock,
 * however many groups run at the same time.
 *
 * The counters are 0 between launches: the group that draws the last ticket of all resets them, when no other
 * group has work any more.
 */
OCLIN_INLINE long next_ticket(volatile global uint *counters, long tickets)
{
    const long ticket = atomic_inc(counters);
    if (ticket == tickets + (long)get_num_groups(0) - 1) counters[0] = counters[OCLIN_TICKETS_PACKED] = 0;
    return ticket;
}

/* Returns the part that the i-th ticket of `count` stands for. Each group gets a contiguous range as long as
 * it draws in turn, so that cores rarely share cache lines: a line that two cores read at the same time comes
 * more slowly out of the other's cache than out of a common one. */
OCLIN_INLINE long spread(long i, long count)
{
    const long groups = get_num_groups(0), each = count / groups, group = i % groups;
    return group * each + min(group, count % groups) + i / groups;
}

/* OpenCL 1.2 has no fence between groups; the compilers that tickets are for have this one. */
OCLIN_INLINE void tell_packed(volatile global uint *counters)
{
    __sync_synchronize();
    atomic_inc(counters + OCLIN_TICKETS_PACKED);
}

OCLIN_INLINE void await_packed(volatile global uint *counters, long parts)
{
    while (counters[OCLIN_TICKETS_PACKED] < parts) {
    }
    __sync_synchronize();
}
#endif
