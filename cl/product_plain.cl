/*
 * The plain product C = A B: each work-item computes one result, written as the equation reads. It is the
 * specification of the other two families, and the fall-back where neither can run.
 *
 * The range is 1-D, one work-item a result: item = row * n + column. It is built with OCLIN_VL 1.
 *
 * Sums are made of chunks of block_k products, about sqrt k, so that a product passes about 2 sqrt k
 * roundings on its way to the result and not k.
 */
OCLIN_INLINE float load_a(global const element *a, long a_stride, global const element *s, long s_stride,
                          long row, long k)
{
    const float value = LOAD_ONE(a + (A_ALONG_K ? row * a_stride + k : k * a_stride + row));
    if (!A_NEEDS_S) return value;
    return grad_z(value, LOAD_ONE(s + (A_ALONG_K ? row * s_stride + k : k * s_stride + row)));
}

OCLIN_INLINE float load_b(global const element *b, long b_stride, long k, long column)
{
    return LOAD_ONE(b + (B_ALONG_K ? column * b_stride + k : k * b_stride + column));
}

kernel __attribute__((reqd_work_group_size(OCLIN_GROUP, 1, 1))) void PRODUCT(plain)(PRODUCT_ARGUMENTS)
{
    const long item = get_global_id(0);
    if (item >= m * n) return;
    const long row = item / n, column = item % n;
    a += a_offset;
    s += s_offset;
    b += b_offset;

    float sum = 0.0f;
    for (long k0 = 0; k0 < k; k0 += block_k) {
        float part = 0.0f;
        for (long i = k0; i < min(k0 + block_k, k); i++)
            part =
                MULTIPLY_ADD(load_a(a, a_stride, s, s_stride, row, i), load_b(b, b_stride, i, column), part);
        sum += part;
    }
    const struct epilogue e = EPILOGUE;
    store_product(sum, at(e, row, column), 1);

#if SUM_A_OVER_K
    if (column == 0 && (flags & OCLIN_FLAG_BIAS)) {
        float sum_a = 0.0f;
        for (long k0 = 0; k0 < k; k0 += block_k) {
            float part = 0.0f;
            for (long i = k0; i < min(k0 + block_k, k); i++) part += load_a(a, a_stride, s, s_stride, row, i);
            sum_a += part;
        }
        store_sum_a(sum_a, at_sum(e, row, n));
    }
#endif
}
