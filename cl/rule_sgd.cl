/* sgd:  w' = w - lr g */
OCLIN_INLINE real updated(real w, real g, struct update u)
{
    return MULTIPLY_ADD((real)(-u.lr), g, w);
}
