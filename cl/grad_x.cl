/*
 * (3)  dX = dZ W,  dZ = act'(Z) * dY
 *
 * As a product C = A B:   m = batch, n = in, k = out
 *   A(m, k) = dz from dy[m * dy_stride + k] and s[m * s_stride + k]   dY (batch, out) lies along k
 *   B(k, n) = w[k * w_stride + n]                                     W (out, in) lies along n
 *             w[n * w_stride + k]                                     OCLIN_TRANSPOSED: (in, out), along k
 *   C(m, n) = dx[m * dx_stride + n]                                   dX (batch, in), overwritten and never
 *                                                                     read, or added to
 */
#define PRODUCT(family) grad_x_##family
#define A_ALONG_K 1
#define A_IS_GRAD_Z 1
#define B_ALONG_K OCLIN_TRANSPOSED
#define C_TRANSPOSED 0
#define SUM_A_OVER_K 0

/* Stores `lanes` results of one row. */
OCLIN_INLINE void store_product(real sum, struct epilogue e, int lanes)
{
    if (!is_last_slice(&sum, e, lanes)) return;
    if (e.flags & OCLIN_FLAG_ACCUMULATE) sum += load_lanes(e.c, lanes);
    store_lanes(e.c, sum, lanes);
}
