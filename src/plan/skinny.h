/* Kernels for small batches on CPUs. */
#ifndef OCLIN_PLAN_SKINNY_H
#define OCLIN_PLAN_SKINNY_H

#include "plan/way.h"

/* Few results a row of W: its lanes' sums outweigh a short product. */
int oclin_few_columns(const struct oclin_product *p);
/* Batches up to which one pass over W may be faster than two products. */
enum { OCLIN_TINY_ONE_PASS = 64 };

#endif
