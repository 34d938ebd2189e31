/*
 * Huber's loss, with d = y - t and delta as the number:
 *
 *     l = d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)
 *     l' = d, but no farther from 0 than delta
 */
#define OCLIN_LOSS loss_huber

OCLIN_INLINE float add_loss(float sum, float y, float t, float of_class, float delta)
{
    const float d = fabs(y - t);
    return d > delta ? fma(delta, d - 0.5f * delta, sum) : fma(0.5f * d, d, sum);
}

OCLIN_INLINE float slope(float y, float t, float of_class, float delta)
{
    const float d = y - t;
    return fabs(d) > delta ? copysign(delta, d) : d; /* NaN is not above delta */
}
