/*
 * Huber's loss, with d = y - t and delta as the number:
 *
 *     l = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)
 *     l' = d, but no farther from 0 than delta
 */
#define OCLIN_LOSS loss_huber

OCLIN_INLINE real add_loss(real sum, real y, real t, real of_class, float delta)
{
    const real d = fabs(y - t), most = (real)(delta);
    return select(fma(0.5f * d, d, sum), fma(most, d - 0.5f * delta, sum), isgreater(d, most));
}

OCLIN_INLINE real slope(real y, real t, real of_class, float delta)
{
    const real d = y - t, most = (real)(delta);
    return select(d, copysign(most, d), isgreater(fabs(d), most)); /* NaN is not above delta */
}
