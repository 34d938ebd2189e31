/*
 * silu:  y = z sigmoid(z),  dz = sigmoid(z) (1 + z (1 - sigmoid(z))) dy;  s = z
 *
 * With exp(-|z|), which does not overflow, both sigmoid(z) and 1 - sigmoid(z) keep all their digits. Left of
 * -200 both results are 0, and -Inf times 0 would be NaN. (Elfwing et al., arXiv:1702.03118)
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real activate(real z)
{
    z = select(z, (real)(-200.0f), isless(z, (real)(-200.0f)));
    const real e = exp(-fabs(z));
    return z * select((real)(1.0f), e, isless(z, (real)(0.0f))) / (1.0f + e);
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    s = select(s, copysign((real)(200.0f), s), isgreater(fabs(s), (real)(200.0f)));
    const real e = exp(-fabs(s)), near_1 = 1.0f / (1.0f + e), near_0 = e * near_1;
    const real below = select(near_1, near_0, isless(s, (real)(0.0f)));
    const real above = select(near_0, near_1, isless(s, (real)(0.0f)));
    return dy * (below * (1.0f + s * above));
}
