/*
 * gelu:  y = z cdf(z),  dz = (cdf(z) + z pdf(z)) dy, of the normal distribution;  s = z
 *
 * (D. Hendrycks and K. Gimpel, Gaussian Error Linear Units, arXiv:1606.08415)
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real activate(real z)
{
    /* Left of -30 erfc() is 0, and -Inf times that 0 would be NaN. */
    z = select(z, (real)(-30.0f), isless(z, (real)(-30.0f)));
    return 0.5f * z * erfc(z * -0.70710678118654752f);
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    /* Beyond 30 cdf is 0 or 1 and pdf is 0, and an Inf times that 0 would be NaN. */
    s = select(s, copysign((real)(30.0f), s), isgreater(fabs(s), (real)(30.0f)));
    const real cdf = 0.5f * erfc(s * -0.70710678118654752f);
    const real pdf = 0.39894228040143268f * exp(-0.5f * s * s);
    return dy * (cdf + s * pdf);
}
