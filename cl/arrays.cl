/*
 * Operations on tensors without a layer, element by element:
 *
 *   add           dst += alpha src
 *   copy          dst  = src                      bit by bit
 *   gather_rows   dst[i, :] = src[indices[i], :]  bit by bit; a row of `missing` where src has no such row
 *
 * The range is 1-D. Every row of dst is cut into chunks of OCLIN_ITEM_N elements, as in update.cl, and a
 * work-item takes one chunk. Bits move as integers, because a device may flush a denormal, or quiet a NaN,
 * that it loads as float.
 */
#if OCLIN_VL == 1
typedef uint words;
#else
typedef OCLIN_JOIN(uint, OCLIN_VL) words;
#endif

/* A chunk is the elements first to end - 1 of a row. */
struct chunk {
    long row, first, end;
};

/* Finds the chunk of this work-item; returns 0 if the work-item is one too many. (A struct as the result
 * would become an instruction that Oclgrind 21.10 rejects.) */
OCLIN_INLINE int find_chunk(long rows, long cols, struct chunk *c)
{
    const long chunks = (cols + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N, item = get_global_id(0);
    c->row = item / chunks;
    c->first = item % chunks * OCLIN_ITEM_N;
    c->end = min(c->first + OCLIN_ITEM_N, cols);
    return c->row < rows;
}

OCLIN_INLINE words load_words(global const uint *p)
{
#if OCLIN_ALIGNED
    return *(global const words *)p;
#else
    return LOAD_REAL(p);
#endif
}

OCLIN_INLINE void store_words(words value, global uint *p)
{
#if OCLIN_ALIGNED
    *(global words *)p = value;
#else
    STORE_REAL(value, p);
#endif
}

/* Copies a chunk, vectors first, then what is left. Both pointers point to the row's first element. */
OCLIN_INLINE void copy_chunk(global uint *to, global const uint *from, struct chunk c)
{
    long i = c.first;
    for (; i + OCLIN_VL <= c.end; i += OCLIN_VL) store_words(load_words(from + i), to + i);
    for (; i < c.end; i++) to[i] = from[i];
}

/* No `restrict`, because src may be dst: each vector is loaded before it is stored, and no other work-item
 * reads it. */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
add(global element *dst, long dst_offset, long dst_stride, global const element *src, long src_offset,
    long src_stride, long rows, long cols, float alpha)
{
    struct chunk c;
    if (!find_chunk(rows, cols, &c)) return;
    dst += dst_offset + c.row * dst_stride;
    src += src_offset + c.row * src_stride;
    for (long i = c.first; i < c.end; i += OCLIN_VL) {
        const int lanes = (int)min(c.end - i, (long)OCLIN_VL);
        const real sum = MULTIPLY_ADD((real)(alpha), load_lanes(src + i, lanes), load_lanes(dst + i, lanes));
        store_lanes(dst + i, sum, lanes);
    }
}

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
copy(global uint *restrict dst, long dst_offset, long dst_stride, global const uint *restrict src,
     long src_offset, long src_stride, long rows, long cols)
{
    struct chunk c;
    if (!find_chunk(rows, cols, &c)) return;
    copy_chunk(dst + dst_offset + c.row * dst_stride, src + src_offset + c.row * src_stride, c);
}

/* last is the largest index that src has, or that an int can hold; it is -1 if src has no rows, and src is
 * then never read. The index is compared as int, because a `long` made from an int is never negative on
 * Rusticl (Mesa 22.3). */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
gather_rows(global uint *restrict dst, long dst_offset, long dst_stride, global const uint *restrict src,
            long src_offset, long src_stride, global const int *restrict indices, long indices_offset,
            long indices_stride, long rows, long cols, int last, uint missing)
{
    struct chunk c;
    if (!find_chunk(rows, cols, &c)) return;
    dst += dst_offset + c.row * dst_stride;
    const int index = indices[indices_offset + c.row * indices_stride];
    if (index >= 0 && index <= last)
        copy_chunk(dst, src + src_offset + index * src_stride, c);
    else
        for (long i = c.first; i < c.end; i++) dst[i] = missing;
}
