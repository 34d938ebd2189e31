/*
 * gelu_tanh:  y = z sigmoid(v),  v = sqrt(8 / pi) (z + 0.044715 z^3),  which is 0.5 z (1 + tanh(v / 2))
 *             dz = p (1 + z v' (1 - p)) dy,  p = sigmoid(v),  v' = sqrt(8 / pi) (1 + 0.134145 z^2);  s = z
 *
 * As a sigmoid it keeps its digits on the left, where 1 + tanh cancels. Left of -30 both results are 0,
 * right of 30 they are z and dy. (D. Hendrycks and K. Gimpel, Gaussian Error Linear Units,
 * arXiv:1606.08415)
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real inner(real z)
{
    return 1.5957691216057308f * z * MULTIPLY_ADD(z * z, (real)(0.044715f), (real)(1.0f));
}

OCLIN_INLINE real activate(real z)
{
    z = select(z, (real)(-30.0f), isless(z, (real)(-30.0f)));
    const real v = inner(select(z, (real)(30.0f), isgreater(z, (real)(30.0f)))), e = exp(-fabs(v));
    return z * select((real)(1.0f), e, isless(v, (real)(0.0f))) / (1.0f + e);
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    s = select(s, copysign((real)(30.0f), s), isgreater(fabs(s), (real)(30.0f)));
    const real v = inner(s), e = exp(-fabs(v)), near_1 = 1.0f / (1.0f + e), near_0 = e * near_1;
    const real below = select(near_1, near_0, isless(v, (real)(0.0f)));
    const real above = select(near_0, near_1, isless(v, (real)(0.0f)));
    const real slope = 1.5957691216057308f * s * MULTIPLY_ADD(s * s, (real)(0.134145f), (real)(1.0f));
    return dy * (below * (1.0f + slope * above));
}
