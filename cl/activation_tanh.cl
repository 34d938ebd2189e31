/*
 * tanh:  y = tanh(z),  dz = (1 - y^2) dy;  s = y
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real activate(real z)
{
    return tanh(z);
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    return dy * (1.0f - s * s);
}
