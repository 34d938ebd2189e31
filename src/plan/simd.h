/* Functions that the ways of a CPU share. */
#ifndef OCLIN_PLAN_SIMD_H
#define OCLIN_PLAN_SIMD_H

#include "plan/way.h"

/* Returns the register tile and the largest blocks; vl is 4, 8 or 16 lanes, or 0 for the device's native
 * width. */
struct oclin_tile oclin_simd_tile(const struct oclin_device_facts *d, int vl);
/* Plans the launch that packs A and B into scratch memory for the product planned in `product`. */
void oclin_plan_packing(const struct oclin_product *p, const struct oclin_plan *product,
                        struct oclin_plan *plan);

#endif
