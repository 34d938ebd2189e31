/*
 * sgd alone:  w' = w - lr g
 *
 * No other number counts: nothing scales, limits or skips the gradient, so that a kernel has no registers for
 * that.
 */
#define STATES 0
#define LR_ALONE
/* It comes as an argument of its own: Intel's compiler keeps all 16 numbers in registers. */
#undef W_NUMBER
#undef B_NUMBER
#define W_NUMBER(name, digit) lr,
#define B_NUMBER(name, digit) lr,

/* No number depends on the step. */
OCLIN_INLINE void at_step(struct numbers *n, struct step s)
{
}

OCLIN_INLINE real updated(real w, real g, struct update u, int lanes)
{
    return MULTIPLY_ADD((real)(-u.n.lr), g, w);
}
