/* No rule of training: w' goes toward g, which is another matrix. It switches schedule-free's parameters. */
/* No number depends on the step. */
#define STATES 0

OCLIN_INLINE void at_step(struct numbers *n, struct step s)
{
}

OCLIN_INLINE real updated(real w, real g, struct update u, int lanes)
{
    return MULTIPLY_ADD((real)(u.n.toward), g - w, w);
}
