/* The launch of a split product that is no product itself. */
#ifndef OCLIN_PLAN_SIMT_H
#define OCLIN_PLAN_SIMT_H

#include "plan/way.h"

/* Plans the launch that adds the sums of the parts of a product split by `product`. */
void oclin_plan_adding(const struct oclin_device_facts *d, const struct oclin_product *p,
                       const struct oclin_plan *product, struct oclin_plan *plan);

#endif
