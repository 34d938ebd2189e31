/* The parts that the bounds of all formulas are made of. */
#ifndef OCLIN_OPS_BOUNDS_H
#define OCLIN_OPS_BOUNDS_H

#include <math.h>

#include "oclin.h"

#define U 0x1p-24                    /* one rounding to float, relative */
#define TINY 0x1p-149                /* the smallest denormal: one ulp where a result underflows */
#define FLUSH 0x1p-126               /* what a device without denormals may turn into zero */
#define NO_OVERFLOW 0x1p127          /* sums below it stay finite in float, rounding errors included */
#define OVERFLOWS 0x1.ffffffp127     /* a single result rounds to Inf from here on */
#define SECOND_ORDER (1.0 + 0x1p-10) /* for the terms in u^2 that the bounds leave out */

/* Returns one rounding of the device, relative. Where the device truncates, the roundings of its functions
 * are also taken to be twice as large. */
static inline double unit_of(const struct oclin_ref_case *c)
{
    return c->truncates ? 2 * U : U;
}

/* Returns the bound e of a single result; or INFINITY, which claims nothing, where e decides whether the
 * result overflows. */
static inline double unless_overflow(double value, double e)
{
    return isfinite(value) && fabs(fabs(value) - OVERFLOWS) <= e ? INFINITY : e;
}

/* A sum of K products. */
struct sum {
    int64_t K;
    double value;
    double S;       /* of magnitudes */
    double finite;  /* the part of S that is not from an Inf or NaN; Inf if nothing is known */
    double carried; /* E: errors that the operands bring along */
    double largest; /* operand */
};

/* Returns the larger of both. It replaces fmax(), which is a function call for each operand; both ignore
 * NaN. */
static inline double larger(double largest, double of)
{
    return of > largest ? of : largest;
}

/* Returns n u / (1 - n u), by which n roundings may change a number, relative (Higham, Accuracy and Stability
 * of Numerical Algorithms, chapter 3). It claims nothing where they may double it. */
static inline double gamma_of(double n, double u)
{
    return n * u < 0.5 ? n * u / (1 - n * u) : INFINITY;
}

/*
 * Returns how far a sum of K products in float32 may be from the exact one; `more` counts the roundings that
 * follow the sum, as of a bias. S is the sum of the magnitudes (with |b|, if one is added), E the errors of
 * the operands carried through.
 *
 *   proven   gamma(n) (S + E) + E, where n is the roundings that a term passes; it holds for any data. It
 *            includes what may underflow (each product by half of the smallest denormal, or, on a device
 *            without denormals, each operation by 2^-126 of its largest operand), and the errors of the
 *            reference's sums in double.
 *   random   the smaller of gamma and (8 + 2 sqrt K) u, below which correct sums of random numbers were seen
 *            to stay; 16 u where the products have mean zero. These bounds detect errors that gamma does
 *            not, such as a last term left out of a long sum.
 */
static inline double sum_bound(const struct oclin_ref_case *c, const struct sum *sum, int64_t more)
{
    if (sum->S >= NO_OVERFLOW) return INFINITY;
    const double u = unit_of(c), K = (double)sum->K, all = K + 1;
    const double n = (double)(c->additions > 0 ? c->additions : sum->K) + (double)more;
    const double underflow = K * TINY / 2 + (c->no_denormals ? 2 * all * FLUSH * fmax(1, sum->largest) : 0);
    if (c->rule == OCLIN_PROVEN) {
        const double gamma = gamma_of(n, u), doubles = 2 * K * 0x1p-53;
        return (gamma + doubles) * (sum->S + sum->carried) + sum->carried + (1 + gamma) * underflow;
    }
    const double seen = (c->rule == OCLIN_ZERO_MEAN ? 16 : 8 + 2 * sqrt(K)) * u;
    const double fewest = c->additions > 0 ? fmin(n, all) : all;
    return fmin(gamma_of(fewest, u), seen) * sum->S + underflow + sum->carried;
}

#endif
