/*
 * leaky_relu:  y = z where z >= 0, else alpha z;  dz = dy where y > 0, else alpha dy;  s = y
 *
 * NaN stays NaN. alpha, OCLIN_ALPHA, is above 0, so that y has z's sign.
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real activate(real z)
{
    return select(z, OCLIN_ALPHA * z, isless(z, (real)(0.0f)));
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    return select(OCLIN_ALPHA * dy, dy, isgreater(s, (real)(0.0f)));
}
