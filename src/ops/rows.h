/* Launches that go over rows. */
#ifndef OCLIN_OPS_ROWS_H
#define OCLIN_OPS_ROWS_H

#include "plan/way.h"

struct oclin_rows {
    struct oclin_plan plan;
    cl_kernel kernel;
};

/* Builds the kernel of the request for so many rows of so many elements, in the largest work-group that it
 * can run with. The tile of the request is replaced. */
oclin_status oclin_rows_prepare(oclin_context *ctx, struct oclin_kernel_request request, int64_t rows,
                                int64_t cols, struct oclin_rows *l);

#endif
