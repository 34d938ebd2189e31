/* What the bounds of all formulas are made of. */
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

/* One rounding of the device, relative. Where it truncates, also those of its functions are taken for twice
 * as large. */
static inline double unit_of(const struct oclin_ref_case *c)
{
    return c->truncates ? 2 * U : U;
}

/* The bound e of a single result; INFINITY, which claims nothing, where e decides whether it overflows. */
static inline double unless_overflow(double value, double e)
{
    return isfinite(value) && fabs(fabs(value) - OVERFLOWS) <= e ? INFINITY : e;
}

#endif
