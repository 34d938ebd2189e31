/*
 * step:  w = the rule's update of w by dw (rule_*.cl), element by element; its state with it
 *
 * The range is 1-D. Every row of w is cut into chunks of OCLIN_ITEM_N elements, a multiple of OCLIN_VL; a
 * work-item takes one chunk: item = row * chunks + chunk. On a GPU a chunk is one vector, so that neighbours
 * read neighbours; on a CPU it is long, so that a core streams. The fused update of grad_w.cl is the same
 * rule, so that backward + step and backward_step give the same bits.
 */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
update(global element *w, long w_offset, long w_stride, global const element *dw, long dw_offset,
       long dw_stride, long rows, long cols, float lr, int flags, global element *w_state,
       long w_state_offset, long w_state_stride, long w_plane, float16 w_numbers,
       global const float *w_control)
{
    const long chunks = (cols + OCLIN_ITEM_N - 1) / OCLIN_ITEM_N;
    const long item = get_global_id(0);
    if (item >= rows * chunks) return;
    const long row = item / chunks, first = item % chunks * OCLIN_ITEM_N;
    const long end = min(first + OCLIN_ITEM_N, cols);
    const struct update of_w = UPDATE_OF_W, u = UPDATE_MOVED(of_w, row * w_state_stride);
    w += w_offset + row * w_stride;
    dw += dw_offset + row * dw_stride;
    for (long i = first; i < end; i += OCLIN_VL) {
        const int lanes = (int)min(end - i, (long)OCLIN_VL);
        store_gradient(load_lanes(dw + i, lanes), w + i, UPDATE_MOVED(u, i), flags, lanes);
    }
}
