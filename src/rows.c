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

/* A kernel that goes over rows; its first arguments are the operands, the rows and the columns. */
struct launch {
    struct oclin_rows rows;
    struct oclin_arguments arguments;
};

/* Prepares it for vectors of rows of so many columns: 1 for a kernel that has none. */
static oclin_status prepare(oclin_context *ctx, enum oclin_kernel_id id, int64_t cols,
                            const struct oclin_use uses[ROW_USES], struct launch *l)
{
    const oclin_tensor *from = uses[FROM].tensor;
    OCLIN_TRY(oclin_rows_prepare(ctx, (struct oclin_kernel_request){.id = id}, from->rows, cols, &l->rows));
    OCLIN_TRY(oclin_uses_settle(uses, ROW_USES));
    l->arguments = (struct oclin_arguments){l->rows.kernel, 0, CL_SUCCESS};
    for (int i = 0; i < ROW_USES; i++) {
        const struct oclin_operand operand = oclin_operand_of(uses[i].tensor);
        oclin_argument_operand(&l->arguments, &operand, 1);
    }
    oclin_argument_long(&l->arguments, from->rows);
    oclin_argument_long(&l->arguments, from->cols);
    return OCLIN_OK;
}

static oclin_status enqueue(oclin_context *ctx, const struct launch *l, const struct oclin_use uses[ROW_USES],
                            const char *what)
{
    const oclin_status status =
        oclin_enqueue(ctx, &l->arguments, l->rows.plan.groups, l->rows.plan.tile.group, what);
    oclin_uses_written(uses, ROW_USES, status);
    return status;
}

oclin_status oclin_softmax(oclin_tensor *y, oclin_tensor *p)
{
    oclin_tensor *any = y ? y : p;
    if (!any) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(any);
    OCLIN_TRY(oclin_enter(ctx));
    const struct oclin_use uses[] = {{y, "y", OCLIN_F32, any->rows, any->cols, OCLIN_READS},
                                     {p, "p", OCLIN_F32, any->rows, any->cols, OCLIN_WRITES}};
    struct launch l;
    int done;
    OCLIN_TRY(begin(any, uses, &done));
    if (done) return OCLIN_OK;
    OCLIN_TRY(prepare(ctx, OCLIN_KERNEL_SOFTMAX, y->cols, uses, &l));
    oclin_argument_long(&l.arguments, l.rows.plan.chunk);
    OCLIN_TRY(enqueue(ctx, &l, uses, "clEnqueueNDRangeKernel for a softmax"));
    if (!ctx->verify) return OCLIN_OK;
    const int64_t additions = oclin_additions_of_row(&l.rows.plan, y->cols);
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
    struct launch l;
    int done;
    OCLIN_TRY(begin(any, uses, &done));
    if (done) return OCLIN_OK;
    OCLIN_TRY(prepare(ctx, OCLIN_KERNEL_ARGMAX, 1, uses, &l));
    OCLIN_TRY(enqueue(ctx, &l, uses, "clEnqueueNDRangeKernel for an argmax"));
    return ctx->verify ? oclin_uses_verified(uses, ROW_USES, oclin_verify_argmax(t, indices)) : OCLIN_OK;
}
