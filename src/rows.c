/* Operations on each row of a tensor: softmax, and the place of the largest element. */
#include "check/verify.h"
#include "core/error.h"
#include "ops/rows.h"
#include "plan/additions.h"
#include "tensor/uses.h"

/* The operands, in the order of the kernels' arguments. */
enum { FROM, TO, ROW_USES };

/* Checks the operands, and begins the call; *done is 1 if there is nothing to do. */
static oclin_status begin(oclin_tensor *any, const struct oclin_use uses[ROW_USES], int *done)
{
    oclin_context *ctx = oclin_tensor_context(any);
    for (int i = 0; i < ROW_USES; i++)
        if (!uses[i].tensor) return oclin_fail(ctx, OCLIN_E_ARG, "%s is NULL", uses[i].name);
    OCLIN_TRY(oclin_uses_check(ctx, uses, ROW_USES));
    *done = uses[FROM].rows == 0;
    return ctx->verify ? oclin_verify_rows_room(ctx, uses[FROM].rows * uses[FROM].cols) : OCLIN_OK;
}

static void argument_operands(struct oclin_arguments *arguments, const struct oclin_use uses[ROW_USES])
{
    for (int i = 0; i < ROW_USES; i++) {
        const struct oclin_operand operand = oclin_operand_of(uses[i].tensor);
        oclin_argument_operand(arguments, &operand, 1);
    }
    oclin_argument_long(arguments, uses[FROM].cols);
}

oclin_status oclin_softmax(oclin_tensor *y, oclin_tensor *p)
{
    oclin_tensor *any = y ? y : p;
    if (!any) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(any);
    OCLIN_TRY(oclin_enter(ctx));
    const struct oclin_use uses[] = {{y, "y", OCLIN_F32, any->rows, any->cols, OCLIN_READS},
                                     {p, "p", OCLIN_F32, any->rows, any->cols, OCLIN_WRITES}};
    struct oclin_rows l;
    int done;
    OCLIN_TRY(begin(any, uses, &done));
    if (done) return OCLIN_OK;
    OCLIN_TRY(oclin_rows_prepare(ctx, (struct oclin_kernel_request){.id = OCLIN_KERNEL_SOFTMAX}, y->rows,
                                 y->cols, &l));
    OCLIN_TRY(oclin_uses_settle(uses, ROW_USES));
    struct oclin_arguments arguments = {l.kernel, 0, CL_SUCCESS};
    argument_operands(&arguments, uses);
    oclin_argument_long(&arguments, l.plan.chunk);
    const oclin_status status = oclin_enqueue(ctx, &arguments, l.plan.groups, l.plan.tile.group,
                                              "clEnqueueNDRangeKernel for a softmax");
    oclin_uses_written(uses, ROW_USES, status);
    if (status != OCLIN_OK || !ctx->verify) return status;
    const int64_t additions = oclin_additions_of_row(&l.plan, y->cols);
    return oclin_uses_verified(uses, ROW_USES, oclin_verify_softmax(y, p, additions));
}

oclin_status oclin_tensor_argmax(oclin_tensor *t, oclin_tensor *indices)
{
    oclin_tensor *any = t ? t : indices;
    if (!any) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(any);
    OCLIN_TRY(oclin_enter(ctx));
    if (t && t->cols > INT32_MAX)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "t has %lld columns, more than an index of 32 bits",
                          (long long)t->cols);
    const struct oclin_use uses[] = {{t, "t", OCLIN_F32, any->rows, any->cols, OCLIN_READS},
                                     {indices, "indices", OCLIN_I32, any->rows, 1, OCLIN_WRITES}};
    struct oclin_rows l;
    int done;
    OCLIN_TRY(begin(any, uses, &done));
    if (done) return OCLIN_OK;
    OCLIN_TRY(oclin_rows_prepare(ctx, (struct oclin_kernel_request){.id = OCLIN_KERNEL_ARGMAX}, t->rows,
                                 t->cols, &l));
    OCLIN_TRY(oclin_uses_settle(uses, ROW_USES));
    struct oclin_arguments arguments = {l.kernel, 0, CL_SUCCESS};
    argument_operands(&arguments, uses);
    const oclin_status status = oclin_enqueue(ctx, &arguments, l.plan.groups, l.plan.tile.group,
                                              "clEnqueueNDRangeKernel for an argmax");
    oclin_uses_written(uses, ROW_USES, status);
    if (status != OCLIN_OK || !ctx->verify) return status;
    return oclin_uses_verified(uses, ROW_USES, oclin_verify_argmax(t, indices));
}
