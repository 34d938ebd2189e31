/*
 * sgd with momentum, or with decay (torch.optim.SGD):
 *
 *   g  = g + decay w
 *   v' = momentum v + (1 - dampening) g;   the first v' is g
 *   w' = w - lr v',   Nesterov:  w - lr (g + momentum v')
 */
#define STATES 1

OCLIN_INLINE void at_step(struct numbers *n, struct step s)
{
    n->first = s.first;
}

OCLIN_INLINE real updated(real w, real g, struct update u, int lanes)
{
#pragma OPENCL FP_CONTRACT OFF
    if (u.n.decay != 0.0f) g = MULTIPLY_ADD((real)(u.n.decay), w, g);
    if (u.n.beta1 != 0.0f) {
        real v = g;
        if (u.n.first == 0.0f) v = MULTIPLY_ADD((real)(u.n.rate1), g, u.n.beta1 * load_lanes(u.state, lanes));
        store_lanes(u.state, v, lanes);
        g = u.n.variant != 0.0f ? MULTIPLY_ADD((real)(u.n.beta1), v, g) : v;
    }
    return MULTIPLY_ADD((real)(-u.n.lr), g, w);
}
