/*
 * elu:  y = z where z > 0, else alpha (exp(z) - 1);  dz = dy where z > 0, else alpha exp(z) dy;  s = z
 *
 * z is kept: from y, act' = y + alpha would lose its digits on the left. NaN stays NaN. (Clevert et al.,
 * arXiv:1511.07289)
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real activate(real z)
{
    return select(z, OCLIN_ALPHA * expm1(z), islessequal(z, (real)(0.0f)));
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    return select(dy, dy * (OCLIN_ALPHA * exp(s)), islessequal(s, (real)(0.0f)));
}
