/*
 * relu:  y = max(z, 0),  dz = dy where y > 0, else 0;  s = y
 *
 * NaN stays NaN: fmax(z, 0) would lose it, and so may clamp(). dz is selected, because Inf * 0 must not
 * appear.
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real activate(real z)
{
    return select(z, (real)(0.0f), isless(z, (real)(0.0f)));
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    return select(dy, (real)(0.0f), islessequal(s, (real)(0.0f)));
}
