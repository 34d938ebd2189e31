/*
 * Operands in global memory hold elements of 32 bits: float. Kernels compute in float (real); another element
 * type needs a file like this one.
 *
 * Vectors at the right edge of a matrix are partial: `lanes` says how many of their elements exist; the
 * others are neither read (they come as 0) nor written.
 */
typedef float element;

#define LOAD_ONE(p) (*(p))
/* A vector from any address as one access, a vector and a quad from one that is a multiple of its size. */
#define LOAD_ANY(p) (((global const struct any_real *)(p))->lanes)
#define LOAD_ALIGNED(p) (*(global const real *)(p))
#define LOAD_ALIGNED_QUAD(p) (*(global const float4 *)(p))

OCLIN_INLINE real load_lanes(global const element *p, int lanes)
{
    if (lanes >= OCLIN_VL) {
#if OCLIN_ALIGNED
        return LOAD_ALIGNED(p);
#else
        return LOAD_REAL(p);
#endif
    }
    float part[OCLIN_VL];
    for (int i = 0; i < OCLIN_VL; i++) part[i] = i < lanes ? p[i] : 0.0f;
    return LOAD_REAL(part);
}

/* Does what load_lanes() does, for CPUs, where whole vectors are what matters. */
OCLIN_INLINE real load_part(global const element *p, int lanes)
{
    return lanes >= OCLIN_VL ? LOAD_ANY(p) : load_lanes(p, lanes);
}

OCLIN_INLINE void store_lanes(global element *p, real value, int lanes)
{
    if (lanes >= OCLIN_VL) {
#if OCLIN_ALIGNED
        *(global real *)p = value;
#elif OCLIN_VL >= 8
        ((global struct any_real *)p)->lanes = value;
#else
        STORE_REAL(value, p);
#endif
        return;
    }
    float part[OCLIN_VL];
    STORE_REAL(value, part);
    for (int i = 0; i < OCLIN_VL; i++)
        if (i < lanes) p[i] = part[i];
}
