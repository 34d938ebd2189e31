/*
 * Lion (Chen et al. 2023, arXiv:2302.06675, algorithm 2):
 *
 *   w' = keep w - lr sign(beta1 m + (1 - beta1) g)
 *   m' = beta2 m + (1 - beta2) g
 *
 * The sign of 0 and of NaN is 0: after a gradient of NaN m is NaN, and w only decays.
 */
/* No number depends on the step. */
#define STATES 1

OCLIN_INLINE void at_step(struct numbers *n, struct step s)
{
}

OCLIN_INLINE real updated(real w, real g, struct update u, int lanes)
{
#pragma OPENCL FP_CONTRACT OFF
    const real m = load_lanes(u.state, lanes);
    const real c = MULTIPLY_ADD((real)(u.n.rate1), g, u.n.beta1 * m);
    store_lanes(u.state, MULTIPLY_ADD((real)(u.n.rate2), g, u.n.beta2 * m), lanes);
    return MULTIPLY_ADD((real)(-u.n.lr), sign(c), u.n.keep * w);
}
