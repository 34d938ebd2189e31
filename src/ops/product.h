/* Launches a product, or a step, by its plan. */
#ifndef OCLIN_OPS_PRODUCT_H
#define OCLIN_OPS_PRODUCT_H

#include "ops/rule.h"
#include "plan/way.h"
#include "tensor/tensor.h"

/* Returns the request that describes the kernel of this plan. */
struct oclin_kernel_request oclin_product_request(const struct oclin_product *p,
                                                  const struct oclin_plan *plan);
/* The first decides and builds, so that all that can fail before the first launch fails there; the second
 * launches. */
oclin_status oclin_product_prepare(oclin_context *ctx, struct oclin_product *p);
oclin_status oclin_product_enqueue(oclin_context *ctx, const struct oclin_product *p);

/* The update of w by dw, element by element; prepared and enqueued apart, as products are. */
struct oclin_step {
    oclin_tensor *w, *dw;
    const char *fragment; /* of the rule */
    struct oclin_update_of update;
    struct oclin_elements elements; /* filled by oclin_step_prepare */
};
oclin_status oclin_step_prepare(oclin_context *ctx, struct oclin_step *s);
oclin_status oclin_step_enqueue(oclin_context *ctx, const struct oclin_step *s);

#endif
