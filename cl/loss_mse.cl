/* Mean squared error: l = (y - t)^2, l' = 2 (y - t), whose factor 2 is part of the gradient's scale. */
#define OCLIN_LOSS loss_mse

OCLIN_INLINE real add_loss(real sum, real y, real t, real of_class, float number)
{
    const real difference = y - t;
    return fma(difference, difference, sum);
}

OCLIN_INLINE real slope(real y, real t, real of_class, float number)
{
    return y - t;
}
