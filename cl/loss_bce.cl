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

OCLIN_INLINE real add_loss(real sum, real z, real t, real p, float number)
{
    const real negative = 1.0f - t, positive = p * t;
    const real near = select(-positive * z, negative * z, isgreaterequal(z, (real)(0.0f))); /* or NaN */
    return sum + fma(negative + positive, log1p(exp(-fabs(z))), near);
}

OCLIN_INLINE real slope(real z, real t, real p, float number)
{
    const real e = exp(-fabs(z)), larger = 1.0f / (1.0f + e), smaller = e / (1.0f + e);
    const real negative = 1.0f - t, positive = p * t;
    return select(negative * smaller - positive * larger, negative * larger - positive * smaller,
                  isgreaterequal(z, (real)(0.0f)));
}
