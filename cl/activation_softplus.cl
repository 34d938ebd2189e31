/*
 * softplus:  y = log(1 + exp(z)),  dz = (1 - exp(-y)) dy;  s = y
 *
 * As max(z, 0) + log1p(exp(-|z|)) nothing overflows and no digits are lost; NaN stays NaN. PyTorch's
 * threshold of 20, beyond which y = z, changes no float.
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real activate(real z)
{
    return select(z, (real)(0.0f), isless(z, (real)(0.0f))) + log1p(exp(-fabs(z)));
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    return dy * -expm1(-s);
}
