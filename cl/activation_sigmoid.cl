/*
 * sigmoid:  y = 1 / (1 + exp(-z)),  dz = y (1 - y) dy;  s = y
 */
#define GRAD_Z_NEEDS_S 1

OCLIN_INLINE real activate(real z)
{
    return 1.0f / (1.0f + exp(-z));
}

OCLIN_INLINE real grad_z(real dy, real s)
{
    return dy * (s * (1.0f - s));
}
