/* Operations on tensors without a layer: they are added, copied, and gathered row by row, on the device. */
#include <math.h>

#include "check/verify.h"
#include "core/error.h"
#include "core/launch.h"
#include "tensor/element.h"
#include "tensor/uses.h"

/* Begins a call. A NULL operand is reported on the context of one that is not NULL. */
static oclin_status enter(oclin_context **ctx, const oclin_tensor *const *operands, int n)
{
    static const char *const names[] = {"dst", "src", "indices"};
    const oclin_tensor *any = NULL;
    for (int i = 0; i < n && !any; i++) any = operands[i];
    if (!any) return OCLIN_E_ARG;
    *ctx = oclin_tensor_context(any);
    OCLIN_TRY(oclin_enter(*ctx));
    for (int i = 0; i < n; i++)
        if (!operands[i]) return oclin_fail(*ctx, OCLIN_E_ARG, "%s is NULL", names[i]);
    return OCLIN_OK;
}

/* A kernel that goes over the elements of uses[0], which it writes; its first arguments are dst and src. */
struct launch {
    struct oclin_elements elements;
    struct oclin_arguments arguments;
};

static oclin_status prepare(oclin_context *ctx, enum oclin_kernel_id id, const struct oclin_use *uses, int n,
                            struct launch *l)
{
    const oclin_tensor *dst = uses[0].tensor, *src = uses[1].tensor;
    OCLIN_TRY(oclin_elements_prepare(ctx, &(struct oclin_kernel_request){.id = id}, dst->rows, dst->cols,
                                     dst->aligned && src->aligned, &l->elements));
    OCLIN_TRY(oclin_uses_settle(uses, n));
    /* the same matrix is given as one buffer, not as a buffer and a part of it; a src without memory is not
     * read, but not every driver takes NULL */
    const int one = !src->mem || oclin_tensor_same(dst, src);
    const struct oclin_operand to = oclin_operand_of(dst), from = oclin_operand_of(one ? dst : src);
    l->arguments = (struct oclin_arguments){l->elements.kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&l->arguments, &to, 1);
    oclin_argument_operand(&l->arguments, &from, 1);
    return OCLIN_OK;
}

static oclin_status enqueue(oclin_context *ctx, const struct launch *l, const struct oclin_use *uses, int n,
                            const char *what)
{
    const oclin_status status =
        oclin_enqueue(ctx, &l->arguments, l->elements.groups, l->elements.tile.group, what);
    oclin_uses_written(uses, n, status);
    return status;
}

/* rows and cols follow the operands in every kernel. */
static void argument_shape(struct launch *l, const oclin_tensor *dst)
{
    oclin_argument_long(&l->arguments, dst->rows);
    oclin_argument_long(&l->arguments, dst->cols);
}

/* -------------------------------------------------------------------------------------------------- add */

static oclin_status run_add(oclin_context *ctx, const struct oclin_use *uses, float alpha)
{
    struct launch l;
    OCLIN_TRY(prepare(ctx, OCLIN_KERNEL_ADD, uses, 2, &l));
    argument_shape(&l, uses[0].tensor);
    oclin_argument(&l.arguments, sizeof alpha, &alpha);
    return enqueue(ctx, &l, uses, 2, "clEnqueueNDRangeKernel for an addition");
}

oclin_status oclin_tensor_add(oclin_tensor *dst, oclin_tensor *src, float alpha)
{
    oclin_context *ctx;
    OCLIN_TRY(enter(&ctx, (const oclin_tensor *const[]){dst, src}, 2));
    if (!isfinite(alpha))
        return oclin_fail(ctx, OCLIN_E_ARG, "alpha is %g, a finite number is needed", (double)alpha);
    const struct oclin_use uses[] = {{dst, "dst", OCLIN_F32, dst->rows, dst->cols, OCLIN_ADDS | OCLIN_SAME},
                                     {src, "src", OCLIN_F32, dst->rows, dst->cols, OCLIN_READS | OCLIN_SAME}};
    OCLIN_TRY(oclin_uses_check(ctx, uses, 2));
    if (dst->rows == 0) return OCLIN_OK;
    struct oclin_add_check check = {.dst = dst, .src = src, .alpha = alpha};
    if (ctx->verify) OCLIN_TRY(oclin_verify_add_before(&check));
    OCLIN_TRY(run_add(ctx, uses, alpha));
    return ctx->verify ? oclin_uses_verified(uses, 2, oclin_verify_add(&check)) : OCLIN_OK;
}

/* ------------------------------------------------------------------------------------------------- copy */

static oclin_status run_copy(oclin_context *ctx, const struct oclin_use *uses)
{
    struct launch l;
    OCLIN_TRY(prepare(ctx, OCLIN_KERNEL_COPY, uses, 2, &l));
    argument_shape(&l, uses[0].tensor);
    return enqueue(ctx, &l, uses, 2, "clEnqueueNDRangeKernel for a copy");
}

oclin_status oclin_tensor_copy(oclin_tensor *dst, oclin_tensor *src)
{
    oclin_context *ctx;
    OCLIN_TRY(enter(&ctx, (const oclin_tensor *const[]){dst, src}, 2));
    const struct oclin_use uses[] = {
        {dst, "dst", dst->dtype, dst->rows, dst->cols, OCLIN_WRITES | OCLIN_SAME},
        {src, "src", dst->dtype, dst->rows, dst->cols, OCLIN_READS | OCLIN_SAME}};
    OCLIN_TRY(oclin_uses_check(ctx, uses, 2));
    if (dst->rows == 0 || oclin_tensor_same(dst, src)) return OCLIN_OK;
    const struct oclin_moved_check check = {"copy", dst, src, NULL};
    if (ctx->verify) OCLIN_TRY(oclin_verify_moved_room(&check));
    OCLIN_TRY(run_copy(ctx, uses));
    return ctx->verify ? oclin_uses_verified(uses, 2, oclin_verify_moved(&check)) : OCLIN_OK;
}

/* ----------------------------------------------------------------------------------------------- gather */

static oclin_status run_gather(oclin_context *ctx, const struct oclin_use uses[3])
{
    const oclin_tensor *dst = uses[0].tensor, *src = uses[1].tensor;
    const struct oclin_operand indices = oclin_operand_of(uses[2].tensor);
    const cl_uint missing = oclin_element_of(dst->dtype)->missing;
    struct launch l;
    OCLIN_TRY(prepare(ctx, OCLIN_KERNEL_GATHER_ROWS, uses, 3, &l));
    oclin_argument_operand(&l.arguments, &indices, 1);
    argument_shape(&l, dst);
    oclin_argument_int(&l.arguments, (int)oclin_least(src->rows - 1, INT32_MAX));
    oclin_argument(&l.arguments, sizeof missing, &missing);
    return enqueue(ctx, &l, uses, 3, "clEnqueueNDRangeKernel to gather rows");
}

oclin_status oclin_tensor_gather_rows(oclin_tensor *dst, oclin_tensor *src, oclin_tensor *indices)
{
    oclin_context *ctx;
    OCLIN_TRY(enter(&ctx, (const oclin_tensor *const[]){dst, src, indices}, 3));
    const struct oclin_use uses[] = {{dst, "dst", dst->dtype, dst->rows, dst->cols, OCLIN_WRITES},
                                     {src, "src", dst->dtype, src->rows, dst->cols, OCLIN_READS},
                                     {indices, "indices", OCLIN_I32, dst->rows, 1, OCLIN_READS}};
    OCLIN_TRY(oclin_uses_check(ctx, uses, 3));
    if (dst->rows == 0) return OCLIN_OK;
    const struct oclin_moved_check check = {"gather_rows", dst, src, indices};
    if (ctx->verify) OCLIN_TRY(oclin_verify_moved_room(&check));
    OCLIN_TRY(run_gather(ctx, uses));
    return ctx->verify ? oclin_uses_verified(uses, 3, oclin_verify_moved(&check)) : OCLIN_OK;
}
