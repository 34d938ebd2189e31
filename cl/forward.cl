/*
 * forward:  Z = X W^T + 1 b^T,  Y = act(Z)
 *
 * As a product C = A B:   m = batch, n = out, k = in
 *   A(m, k) = x[m * x_stride + k]      X (batch, in)     lies along k
 *   B(k, n) = w[n * w_stride + k]      W (out, in)       lies along k: B is W transposed
 *   C(m, n) = y[m * y_stride + n]      Y (batch, out)    overwritten: what it held is never read
 *   V(n)    = b[n]                     b (1, out)
 *   Z(m, n) = z[m * z_stride + n]      kept for GELU's derivative
 */
#define PRODUCT(family) forward_##family
#define A_ALONG_K 1
#define A_IS_GRAD_Z 0
#define B_ALONG_K 1
#define SUM_A_OVER_K 0

/* Epilogue for `lanes` results of one row: c, v, z point at the first. */
OCLIN_INLINE void store_product(real sum, global float *c, global float *v, global float *z, float scale,
                                float lr, int flags, int lanes)
{
    if (!is_last_slice(&sum, z, flags, lanes)) return;
    if (flags & OCLIN_FLAG_BIAS) sum += load_lanes(v, lanes);
    if (flags & OCLIN_FLAG_KEEP_Z) store_lanes(z, sum, lanes);
    store_lanes(c, activate(sum), lanes);
}
