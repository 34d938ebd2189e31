/*
 * Adam and AdamW (torch.optim.Adam, AdamW), which differ in their decay: one of the two numbers is neutral.
 *
 *   g  = g + decay w;   w = keep w
 *   m' = m + (1 - beta1) (g - m)
 *   v' = beta2 v + (1 - beta2) g^2;    AMSGrad: s' = max(s, v'), which then takes the place of v'
 *   w' = w - lr m' / (unbias sqrt v' + eps),    lr = rate / (1 - beta1^t), unbias = 1 / sqrt(1 - beta2^t)
 */
#define STATES 2

OCLIN_INLINE void at_step(struct numbers *n, struct step s)
{
    n->lr /= s.bias1;
    n->unbias = 1.0f / sqrt(s.bias2);
}

OCLIN_INLINE real updated(real w, real g, struct update u, int lanes)
{
#pragma OPENCL FP_CONTRACT OFF
    if (u.n.decay != 0.0f) g = MULTIPLY_ADD((real)(u.n.decay), w, g);
    w *= u.n.keep;
    real m = load_lanes(u.state, lanes);
    const real d = g - m; /* from the nearer end, so that beta1 = 0 gives g itself */
    m = u.n.rate1 < 0.5f ? MULTIPLY_ADD((real)(u.n.rate1), d, m) : MULTIPLY_ADD((real)(-u.n.beta1), d, g);
    store_lanes(u.state, m, lanes);
    global element *at_v = u.state + u.plane;
    real v = MULTIPLY_ADD(u.n.rate2 * g, g, u.n.beta2 * load_lanes(at_v, lanes));
    store_lanes(at_v, v, lanes);
    if (u.n.variant != 0.0f) {
        const real largest = load_lanes(at_v + u.plane, lanes);
        v = select(v, largest, islessequal(v, largest) || isnan(largest));
        store_lanes(at_v + u.plane, v, lanes);
    }
    return MULTIPLY_ADD((real)(-u.n.lr), m / MULTIPLY_ADD((real)(u.n.unbias), sqrt(v), (real)(u.n.eps)), w);
}
