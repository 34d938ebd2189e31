/*
 * forward:  Z = X W^T + 1 b^T,  Y = act(Z)
 *
 * As a product C = A B:   m = batch, n = out, k = in
 *   A(m, k) = x[m * x_stride + k]      X (batch, in)     lies along k
 *   B(k, n) = w[n * w_stride + k]      W (out, in)       lies along k: B is W transposed
 *             w[k * w_stride + n]      OCLIN_TRANSPOSED: W is stored as (in, out), which is B itself
 *   C(m, n) = y[m * y_stride + n]      Y (batch, out)    overwritten, and never read; or added to
 *   bias(n) = b[n]                     b (1, out)
 *   Z(m, n) = z[m * z_stride + n]      kept where act' is taken from it
 */
#define PRODUCT(family) forward_##family
#define A_ALONG_K 1
#define A_IS_GRAD_Z 0
#define B_ALONG_K (!OCLIN_TRANSPOSED)
#define C_TRANSPOSED 0
#define SUM_A_OVER_K 0

/* Stores `lanes` results of one row. */
OCLIN_INLINE void store_product(real sum, struct epilogue e, int lanes)
{
    if (!is_last_slice(&sum, e, lanes)) return;
    if (e.flags & OCLIN_FLAG_BIAS) sum += load_lanes(e.bias, lanes);
    if (e.flags & OCLIN_FLAG_KEEP_Z) store_lanes(e.z, sum, lanes);
    real y = activate(sum);
    if (e.flags & OCLIN_FLAG_KEEP_ACT) store_lanes(e.z, y, lanes);
    if (e.flags & OCLIN_FLAG_ACCUMULATE) y += load_lanes(e.c, lanes);
    store_lanes(e.c, y, lanes);
}
