/*
 * step:  w -= lr * dw, element by element
 *
 * 1-D range. Every row of w is cut into chunks of OCLIN_ITEM_N elements, a multiple of OCLIN_VL; a work-item
 * takes one chunk: item = row * chunks + chunk. On a GPU a chunk is one vector, so that neighbours read
 * neighbours; on a CPU it is long, so that a core streams. The rounding is that of grad_w.cl's fused update,
 * so backward + step and backward_step give the same bits.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
sgd_step(global float *w, long w_offset, long w_stride, global const float *dw, long dw_offset,
         long dw_stride, long rows, long cols, float lr)
{
    const long chunks = (cols + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N;
    const long item = get_global_id(0);
    if (item >= rows * chunks) return;
    const long row = item / chunks, first = item % chunks * OCLIN_ITEM_N;
    const long end = min(first + OCLIN_ITEM_N, cols);
    w += w_offset + row * w_stride;
    dw += dw_offset + row * dw_stride;
    for (long i = first; i < end; i += OCLIN_VL) {
        const int lanes = (int)min(end - i, (long)OCLIN_VL);
        store_lanes(w + i, MULTIPLY_ADD((real)(-lr), load_lanes(dw + i, lanes), load_lanes(w + i, lanes)),
                    lanes);
    }
}
