/* Absolute error: l = |y - t|, l' = the sign of y - t, 0 where they are equal. NaN stays NaN. */
#define OCLIN_LOSS loss_l1

OCLIN_INLINE real add_loss(real sum, real y, real t, real of_class, float number)
{
    return sum + fabs(y - t);
}

OCLIN_INLINE real slope(real y, real t, real of_class, float number)
{
    const real difference = y - t, zero = (real)(0.0f);
    return select(select(difference, (real)(-1.0f), isless(difference, zero)), (real)(1.0f),
                  isgreater(difference, zero));
}
