/* Mean squared error: l = (y - t)^2, l' = 2 (y - t), whose factor 2 is part of the gradient's scale. */
#define OCLIN_LOSS loss_mse

OCLIN_INLINE float add_loss(float sum, float y, float t, float of_class, float number)
{
    const float difference = y - t;
    return fma(difference, difference, sum);
}

OCLIN_INLINE float slope(float y, float t, float of_class, float number)
{
    return y - t;
}
