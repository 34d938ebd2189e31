/*
 * Schedule-free AdamW (Defazio et al. 2024, arXiv:2405.15682, algorithm 1). w is y while it trains; the state
 * is z, which begins as w, and v:
 *
 *   v' = beta2 v + (1 - beta2) g^2
 *   d  = g / (sqrt(unbias v') + eps) + decay w,    unbias = 1 / (1 - beta2^t)
 *   w' = w + toward (z - w) + w_rate d,            w_rate = lr (beta1 (1 - toward) - 1)
 *   z' = z - lr d
 *
 * toward is this step's weight, the square of the largest rate so far, by the sum of all weights.
 */
#define STATES 2

OCLIN_INLINE void at_step(struct numbers *n, struct step s)
{
    n->first = s.first;
    n->unbias = 1.0f / s.bias2;
    n->toward = s.share;
    n->w_rate = n->lr * (n->beta1 * (1.0f - s.share) - 1.0f);
}

OCLIN_INLINE real updated(real w, real g, struct update u, int lanes)
{
#pragma OPENCL FP_CONTRACT OFF
    const real z = u.n.first != 0.0f ? w : load_lanes(u.state, lanes);
    global element *at_v = u.state + u.plane;
    const real v = MULTIPLY_ADD(u.n.rate2 * g, g, u.n.beta2 * load_lanes(at_v, lanes));
    store_lanes(at_v, v, lanes);
    real d = g / (sqrt(v * u.n.unbias) + u.n.eps);
    if (u.n.decay != 0.0f) d = MULTIPLY_ADD((real)(u.n.decay), w, d);
    const real way = z - w; /* from the nearer end, so that toward = 1 gives z itself */
    w = u.n.toward < 0.5f ? MULTIPLY_ADD((real)(u.n.toward), way, w)
                          : MULTIPLY_ADD((real)(u.n.toward - 1.0f), way, z);
    store_lanes(u.state, MULTIPLY_ADD((real)(-u.n.lr), d, z), lanes);
    return MULTIPLY_ADD((real)(u.n.w_rate), d, w);
}
