/* Launches that go over rows. */
#include "ops/rows.h"

#include "core/error.h"
#include "plan/plan.h"

oclin_status oclin_rows_prepare(oclin_context *ctx, struct oclin_kernel_request request, int64_t rows,
                                int64_t cols, struct oclin_rows *l)
{
    l->kernel = NULL;
    for (int group = OCLIN_LARGEST_GROUP; group > 0 && !l->kernel; group /= 2) {
        oclin_plan_rows(ctx, rows, cols, group, &l->plan);
        request.tile = l->plan.tile;
        OCLIN_TRY(oclin_program_kernel(ctx, &request, &l->kernel));
    }
    return l->kernel ? OCLIN_OK
                     : oclin_fail(ctx, OCLIN_E_DEVICE, "a kernel of rows does not fit this device");
}
