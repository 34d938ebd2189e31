/* The losses: checks, and their two launches: rows, then the sum over rows. */
#include "check/verify.h"

#include <math.h>

#include "core/error.h"
#include "core/memory.h"
#include "plan/additions.h"
#include "plan/plan.h"
#include "tensor/tensor.h"

/* Scratch: a float (row loss) and an int (row correct) for every row. */
static int64_t scratch_bytes(int64_t batch)
{
    return oclin_multiply(batch, (int64_t)(sizeof(cl_float) + sizeof(cl_int)));
}

oclin_status oclin_loss_workspace(oclin_context *ctx, int64_t batch, int64_t *bytes)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!bytes) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the bytes is NULL");
    const int64_t needed = scratch_bytes(batch);
    if (needed < 0)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "a batch of %lld is negative or overflows", (long long)batch);
    *bytes = needed;
    return OCLIN_OK;
}

oclin_status oclin_loss_reserve(oclin_context *ctx, int64_t batch)
{
    int64_t bytes = 0; /* GCC 12 for MinGW does not see that it is set */
    OCLIN_TRY(oclin_loss_workspace(ctx, batch, &bytes));
    return oclin_scratch(ctx, bytes, "a loss");
}

oclin_status oclin_loss_additions(oclin_context *ctx, int64_t cols, int64_t *additions)
{
    struct oclin_plan plan;
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!additions) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the additions is NULL");
    if (cols < 1 || cols > INT64_MAX / (int64_t)sizeof(float))
        return oclin_fail(ctx, OCLIN_E_SHAPE, "a row of %lld columns is too short, or larger than any memory",
                          (long long)cols);
    oclin_plan_rows(ctx, 1, cols, OCLIN_LARGEST_GROUP, &plan);
    *additions = oclin_additions_of_row(&plan, cols);
    return OCLIN_OK;
}

/* ----------------------------------------------------------------------------------------------- checks */

static oclin_status read_options(oclin_context *ctx, struct oclin_loss_options *o,
                                 const struct oclin_loss_options *from)
{
    OCLIN_TRY(oclin_options_read(ctx, o, sizeof *o, from));
    if (o->reduction != OCLIN_MEAN && o->reduction != OCLIN_SUM)
        return oclin_fail(ctx, OCLIN_E_ARG, "reduction %d is not known", (int)o->reduction);
    if (o->reserved != 0) return oclin_fail(ctx, OCLIN_E_ARG, "reserved is %d, 0 is needed", o->reserved);
    if (!isfinite(o->scale))
        return oclin_fail(ctx, OCLIN_E_ARG, "scale is %g, a finite number is needed", (double)o->scale);
    return OCLIN_OK;
}

struct named {
    oclin_tensor *t;
    const char *name;
    oclin_dtype dtype;
    int64_t rows, cols;
    int output, accumulated;
};

/* All operands against all: shapes, access, contents, and outputs apart from everything else. */
static oclin_status check_all(oclin_context *ctx, const struct named *all, int n)
{
    for (int i = 0; i < n; i++) {
        const struct named *a = &all[i];
        if (!a->t) continue;
        OCLIN_TRY(oclin_tensor_check(ctx, a->t, a->name, a->dtype, a->rows, a->cols));
        if (a->output) OCLIN_TRY(oclin_tensor_check_writable(ctx, a->t, a->name));
        if (!a->output || a->accumulated) OCLIN_TRY(oclin_tensor_check_readable(ctx, a->t, a->name));
        for (int j = 0; j < n; j++)
            if (a->output && j != i)
                OCLIN_TRY(oclin_tensor_check_apart(ctx, a->t, a->name, all[j].t, all[j].name));
    }
    return OCLIN_OK;
}

static oclin_status check_call(oclin_context *ctx, const struct oclin_loss_call *c, int classes)
{
    if (!c->y || !c->target)
        return oclin_fail(ctx, OCLIN_E_ARG, "%s is NULL", c->y ? (classes ? "labels" : "t") : "y");
    const int64_t rows = c->y->rows, cols = c->y->cols;
    const int accumulate = c->options.accumulate != 0;
    const struct named all[] = {
        {c->y, "y", OCLIN_F32, rows, cols, 0, 0},
        {c->target, classes ? "labels" : "t", classes ? OCLIN_I32 : OCLIN_F32, rows, classes ? 1 : cols, 0,
         0},
        {c->dy, "dy", OCLIN_F32, rows, cols, 1, 0},
        {c->loss, "loss", OCLIN_F32, 1, 1, 1, accumulate},
        {c->correct, "correct", OCLIN_I32, 1, 1, 1, accumulate},
    };
    return check_all(ctx, all, 5);
}

/* --------------------------------------------------------------------------------------------- launches */

struct launch {
    struct oclin_plan plan;
    cl_kernel kernel;
};

/*
 * A scale as two floats whose product it is; a kernel multiplies by the first, then by the second. One float
 * would not do: 2 * scale may be beyond the largest where y - t is small, and scale / D below the smallest
 * where y - t is large. The first has the digits, and an exponent with which nothing overflows or underflows
 * that does not in the end; the second is a power of two.
 */
static cl_float2 in_two(double scale)
{
    int exponent;
    const double digits = frexp(scale, &exponent);
    const int first = exponent < -100 ? -100 : exponent > 120 ? 120 : exponent;
    return (cl_float2){{(float)ldexp(digits, first), (float)ldexp(1.0, exponent - first)}};
}

static oclin_status prepare(oclin_context *ctx, enum oclin_kernel_id id, int64_t rows, int64_t cols,
                            struct launch *l)
{
    l->kernel = NULL;
    for (int group = OCLIN_LARGEST_GROUP; group > 0 && !l->kernel; group /= 2) {
        oclin_plan_rows(ctx, rows, cols, group, &l->plan);
        const struct oclin_kernel_request request = {.id = id, .tile = l->plan.tile};
        OCLIN_TRY(oclin_program_kernel(ctx, &request, &l->kernel));
    }
    return l->kernel ? OCLIN_OK : oclin_fail(ctx, OCLIN_E_DEVICE, "a loss kernel does not fit this device");
}

static int flags_of(const struct oclin_loss_call *c)
{
    return (c->dy ? OCLIN_FLAG_GRADIENT : 0) | (c->loss ? OCLIN_FLAG_LOSS : 0) |
           (c->correct ? OCLIN_FLAG_CORRECT : 0) | (c->options.accumulate ? OCLIN_FLAG_ACCUMULATE : 0);
}

/* An output that is not wanted is given y's buffer, which its flag keeps untouched. */
static struct oclin_operand operand_or_y(const oclin_tensor *t, const oclin_tensor *y)
{
    return oclin_operand_of(t ? t : y);
}

/* The row kernels differ in one thing: cross_entropy also counts. */
static oclin_status enqueue_rows(oclin_context *ctx, const struct launch *l, const struct oclin_loss_call *c,
                                 int classes, cl_float2 gradient_scale)
{
    const struct oclin_operand y = oclin_operand_of(c->y), target = oclin_operand_of(c->target),
                               dy = operand_or_y(c->dy, c->y);
    const cl_long cols = c->y->cols, chunk = l->plan.chunk, correct_offset = c->y->rows;
    const cl_int flags = flags_of(c);
    struct oclin_arguments arguments = {l->kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &y, 1);
    oclin_argument_operand(&arguments, &target, 1);
    oclin_argument_operand(&arguments, &dy, 1);
    oclin_argument(&arguments, sizeof ctx->scratch, &ctx->scratch);
    if (classes) {
        oclin_argument(&arguments, sizeof ctx->scratch, &ctx->scratch);
        oclin_argument(&arguments, sizeof correct_offset, &correct_offset);
    }
    oclin_argument(&arguments, sizeof cols, &cols);
    oclin_argument(&arguments, sizeof chunk, &chunk);
    oclin_argument(&arguments, sizeof gradient_scale, &gradient_scale);
    oclin_argument(&arguments, sizeof flags, &flags);
    return oclin_enqueue(ctx, &arguments, l->plan.groups, l->plan.tile.group,
                         "clEnqueueNDRangeKernel for a loss");
}

static oclin_status enqueue_sum(oclin_context *ctx, const struct launch *l, const struct oclin_loss_call *c,
                                cl_float2 loss_scale)
{
    const struct oclin_operand loss = operand_or_y(c->loss, c->y), correct = operand_or_y(c->correct, c->y);
    const cl_long rows = c->y->rows, correct_offset = c->y->rows;
    const cl_int flags = flags_of(c);
    struct oclin_arguments arguments = {l->kernel, 0, CL_SUCCESS};
    oclin_argument(&arguments, sizeof ctx->scratch, &ctx->scratch);
    oclin_argument(&arguments, sizeof ctx->scratch, &ctx->scratch);
    oclin_argument(&arguments, sizeof correct_offset, &correct_offset);
    oclin_argument(&arguments, sizeof rows, &rows);
    oclin_argument_operand(&arguments, &loss, 0);
    oclin_argument_operand(&arguments, &correct, 0);
    oclin_argument(&arguments, sizeof loss_scale, &loss_scale);
    oclin_argument(&arguments, sizeof flags, &flags);
    return oclin_enqueue(ctx, &arguments, l->plan.groups, l->plan.tile.group,
                         "clEnqueueNDRangeKernel for the sum of a loss");
}

static oclin_status settle(const struct oclin_loss_call *c)
{
    oclin_tensor *const inputs[] = {c->y, c->target}, *const outputs[] = {c->dy, c->loss, c->correct};
    for (int i = 0; i < 2; i++) OCLIN_TRY(oclin_tensor_settle(inputs[i]));
    for (int i = 0; i < 3; i++)
        if (outputs[i])
            OCLIN_TRY(c->options.accumulate ? oclin_tensor_settle(outputs[i])
                                            : oclin_tensor_settle_others(outputs[i]));
    return OCLIN_OK;
}

/* A loss over nothing is zero. */
static oclin_status empty_batch(oclin_context *ctx, const struct oclin_loss_call *c)
{
    oclin_tensor *const results[] = {c->loss, c->correct};
    for (int i = 0; i < 2; i++) {
        if (!results[i] || c->options.accumulate) continue;
        OCLIN_TRY(oclin_tensor_settle_others(results[i]));
        const struct oclin_operand result = oclin_operand_of(results[i]);
        const oclin_status status = oclin_fill_enqueue(ctx, &result, 1, 1, 0);
        if (status == OCLIN_OK || status == OCLIN_E_CL)
            oclin_tensor_written(results[i], status); /* else it was never enqueued */
        OCLIN_TRY(status);
    }
    return OCLIN_OK;
}

static void sums_written(const struct oclin_loss_call *c, oclin_status status)
{
    if (c->loss) oclin_tensor_written(c->loss, status);
    if (c->correct) oclin_tensor_written(c->correct, status);
}

static oclin_status run(oclin_context *ctx, struct oclin_loss_call *c, int classes)
{
    const int64_t rows = c->y->rows;
    if (rows == 0) return empty_batch(ctx, c);
    if (!c->dy && !c->loss && !c->correct) return OCLIN_OK;
    const double elements = classes ? (double)rows : (double)rows * (double)c->y->cols;
    const double scale = (double)c->options.scale / (c->options.reduction == OCLIN_MEAN ? elements : 1.0);
    struct launch by_row, sum;
    OCLIN_TRY(
        prepare(ctx, classes ? OCLIN_KERNEL_CROSS_ENTROPY : OCLIN_KERNEL_MSE, rows, c->y->cols, &by_row));
    OCLIN_TRY(prepare(ctx, OCLIN_KERNEL_SUM_ROWS, 1, rows, &sum));
    c->additions = oclin_additions_of_row(&by_row.plan, c->y->cols);
    OCLIN_TRY(oclin_scratch(ctx, scratch_bytes(rows), "a loss"));
    OCLIN_TRY(settle(c));
    oclin_status status = enqueue_rows(ctx, &by_row, c, classes, in_two(classes ? scale : 2.0 * scale));
    if (c->dy) oclin_tensor_written(c->dy, status);
    if (status == OCLIN_OK && (c->loss || c->correct)) status = enqueue_sum(ctx, &sum, c, in_two(scale));
    sums_written(c, status);
    return status;
}

static oclin_status compute(struct oclin_loss_call *c, const struct oclin_loss_options *options, int classes)
{
    const oclin_tensor *any = c->y ? c->y : c->target;
    if (!any) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(any);
    OCLIN_TRY(oclin_enter(ctx));
    OCLIN_TRY(read_options(ctx, &c->options, options));
    OCLIN_TRY(check_call(ctx, c, classes));
    if (ctx->verify) OCLIN_TRY(oclin_verify_loss_before(c));
    OCLIN_TRY(run(ctx, c, classes));
    const oclin_status status = ctx->verify ? oclin_verify_loss(c) : OCLIN_OK;
    if (status == OCLIN_E_CL) { /* it could not be read back */
        if (c->dy) oclin_tensor_written(c->dy, status);
        sums_written(c, status);
    }
    return status;
}

oclin_status oclin_loss_mse(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                            const struct oclin_loss_options *options)
{
    struct oclin_loss_call c = {y, t, loss, dy, NULL, OCLIN_LOSS_OPTIONS_INIT, 0.0f, 0, 0};
    return compute(&c, options, 0);
}

oclin_status oclin_loss_cross_entropy(oclin_tensor *y, oclin_tensor *labels, oclin_tensor *loss,
                                      oclin_tensor *dy, oclin_tensor *correct,
                                      const struct oclin_loss_options *options)
{
    struct oclin_loss_call c = {y, labels, loss, dy, correct, OCLIN_LOSS_OPTIONS_INIT, 0.0f, 0, 0};
    return compute(&c, options, 1);
}
