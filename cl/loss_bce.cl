/*
 * Binary cross-entropy of a logit z = y, with p the weight of positive targets:
 *
 *     l = -(p t log s(z) + (1 - t) log s(-z)),   s(z) = 1 / (1 + exp(-z))
 *     l' = (1 - t) s(z) - p t s(-z)
 *
 * With e = exp(-|z|), -log s(-z) is log1p(e), plus z where z is above 0, so that nothing overflows, and
 * nothing is lost where terms of l are small.
 */
#define OCLIN_LOSS loss_bce

OCLIN_INLINE float add_loss(float sum, float z, float t, float p, float number)
{
    const float negative = 1.0f - t, positive = p * t;
    const float near = z >= 0.0f ? negative * z : -positive * z; /* NaN comes through */
    return sum + fma(negative + positive, log1p(exp(-fabs(z))), near);
}

OCLIN_INLINE float slope(float z, float t, float p, float number)
{
    const float e = exp(-fabs(z)), larger = 1.0f / (1.0f + e), smaller = e / (1.0f + e);
    const float negative = 1.0f - t, positive = p * t;
    return z >= 0.0f ? negative * larger - positive * smaller : negative * smaller - positive * larger;
}
