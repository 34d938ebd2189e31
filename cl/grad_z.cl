/* dZ = act'(Z) * dY into memory of its own, for a product that takes it twice: dZ dZ^T (norm_parts.cl). */
kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void
store_grad_z(global const float *restrict dy, long dy_offset, long dy_stride, global const float *restrict s,
             long s_offset, long s_stride, global float *restrict dz, long dz_offset, long dz_stride,
             long rows, long cols)
{
    FOR_ROWS_OF_GROUP(rows)
    {
        global const float *dy_row = dy + dy_offset + row * dy_stride, *s_row = s + s_offset + row * s_stride;
        global float *dz_row = dz + dz_offset + row * dz_stride;
        for (long i = FIRST_OF_ITEM; i < cols; i += STEP) {
            const int lanes = LANES_AT(i, cols);
            store_lanes(dz_row + i, grad_z(load_lanes(dy_row + i, lanes), load_lanes(s_row + i, lanes)),
                        lanes);
        }
    }
}
