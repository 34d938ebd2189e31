/*
 * (1)  dW = scale * dZ^T X                or, fused with it, the rule's update of W by that (rule_*.cl)
 * (2)  db = scale * column sums of dZ     the same for b
 *
 * As a product C = A B:   m = out, n = in, k = batch
 *   A(m, k) = dz from dy[k * dy_stride + m] and s[k * s_stride + m]   dY (batch, out) lies along m
 *   B(k, n) = x[k * x_stride + n]                                       X (batch, in)    lies along n
 *   C(m, n) = dw[m * dw_stride + n], or w                               (out, in)
 *             dw[n * dw_stride + m], or w                               OCLIN_TRANSPOSED: (in, out)
 *   db(m)   = db[m], or b: the sum of A's row m over k; the groups of the first column of tiles add it up
 *             (simd as A is packed; simt reads its strip of A once more)
 * scale is 1, or 1 / batch for gradients averaged over the batch.
 */
#define PRODUCT(family) grad_w_##family
#define A_ALONG_K 0
#define A_IS_GRAD_Z 1
#define B_ALONG_K 0
#define C_TRANSPOSED OCLIN_TRANSPOSED
#define SUM_A_OVER_K 1

/* Stores `lanes` results of one row; of one column where C is transposed. */
OCLIN_INLINE void store_product(real sum, struct epilogue e, int lanes)
{
    if (!is_last_slice(&sum, e, lanes)) return;
    store_gradient(sum * e.scale, e.c, e.w_update, e.flags, lanes);
}

/* Stores one element of equation (2); sum_a is the sum of A's row over k. */
OCLIN_INLINE void store_sum_a(float sum_a, struct epilogue e)
{
    real sum = (real)(sum_a);
    if (is_last_slice(&sum, e, 1)) store_gradient(sum * e.scale, e.db, e.b_update, e.flags, 1);
}
