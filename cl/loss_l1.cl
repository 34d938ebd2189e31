/* Absolute error: l = |y - t|, l' = the sign of y - t, 0 where they are equal. NaN stays NaN. */
#define OCLIN_LOSS loss_l1

OCLIN_INLINE float add_loss(float sum, float y, float t, float of_class, float number)
{
    return sum + fabs(y - t);
}

OCLIN_INLINE float slope(float y, float t, float of_class, float number)
{
    const float difference = y - t;
    return difference > 0.0f ? 1.0f : difference < 0.0f ? -1.0f : difference;
}
