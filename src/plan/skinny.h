/* Kernels for small batches on CPUs. */
#ifndef OCLIN_PLAN_SKINNY_H
#define OCLIN_PLAN_SKINNY_H

#include "plan/way.h"

/* Returns 1 if C has few columns; the limit is lower for a short k, because adding the lanes of each result
 * outweighs a short product. */
int oclin_few_columns(const struct oclin_product *p);
/* The largest batch for which one pass over W may be faster than two products. */
enum { OCLIN_TINY_ONE_PASS = 64 };

#endif
