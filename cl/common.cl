/*
 * The base of all kernels: `real`, the vector of OCLIN_VL floats (one float in the plain kernels) in which
 * they compute. Everything is written once for all widths.
 */
#if OCLIN_VL == 1
typedef float real;
#elif OCLIN_VL == 4
typedef float4 real;
#elif OCLIN_VL == 8
typedef float8 real;
#elif OCLIN_VL == 16
typedef float16 real;
#else
#error "OCLIN_VL must be 1, 4, 8 or 16"
#endif

#define OCLIN_JOIN_(a, b) a##b
#define OCLIN_JOIN(a, b) OCLIN_JOIN_(a, b)

/* Adds the lanes of a vector as a tree. */
OCLIN_INLINE float sum_of_lanes(real v)
{
#if OCLIN_VL == 1
    return v;
#else
#if OCLIN_VL == 16
    const float8 v8 = v.lo + v.hi;
    const float4 v4 = v8.lo + v8.hi;
#elif OCLIN_VL == 8
    const float4 v4 = v.lo + v.hi;
#else
    const float4 v4 = v;
#endif
    const float2 v2 = v4.lo + v4.hi;
    return v2.x + v2.y;
#endif
}

/* a * b + c is rounded once where the hardware has such an instruction; elsewhere fma() would be a slow
 * function. Every kernel uses this form, so that the same sum gives the same bits wherever it is computed. */
#ifdef FP_FAST_FMAF
#define MULTIPLY_ADD(a, b, c) fma(a, b, c)
#else
#define MULTIPLY_ADD(a, b, c) ((a) * (b) + (c))
#endif

/* These are vload4(), vstore4() and their kin, for any address space. On NVIDIA vload4 becomes four scalar
 * loads; where alignment is known, a dereferenced pointer is one 128-bit load. */
#if OCLIN_VL == 1
#define LOAD_REAL(p) (*(p))
#define STORE_REAL(value, p) (*(p) = (value))
#else
#define LOAD_REAL(p) OCLIN_JOIN(vload, OCLIN_VL)(0, p)
#define STORE_REAL(value, p) OCLIN_JOIN(vstore, OCLIN_VL)(value, 0, p)
#endif

/* A vector at any address, as one access: PoCL's vload8() and vstore8() are two accesses of four lanes each.
 * In packing, which does little else, that cost grad_w 3 to 12 %; where results are stored, it cost products
 * of short sums 4 to 20 %. */
struct any_real {
    real lanes;
} __attribute__((packed));

/* Asks for the cache line at p, which will be read soon; an address that does not exist does no harm.
 * OpenCL's own prefetch() does nothing on PoCL. A compiler that does not know this one fails the build, so it
 * is used only where the plan says so. It brings the line into the L2, because where rows lie a multiple of 4
 * KB apart, lines that come too early push each other out of the L1. */
#if OCLIN_PREFETCH
#define PREFETCH(p) __builtin_prefetch((const void *)(uintptr_t)(p), 0, 2)
#else
#define PREFETCH(p)
#endif
/* Does the same for a line that will be written, on the compilers that tickets are for (epilogue.cl). */
#if OCLIN_TICKETS
#define PREFETCH_TO_WRITE(p) __builtin_prefetch((const void *)(uintptr_t)(p), 1, 2)
#else
#define PREFETCH_TO_WRITE(p)
#endif
