/* The losses: their checks, and their two launches, one for the rows and one for the sum over rows. */
#include "loss.h"

#include "check/verify.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "ops/rows.h"
#include "plan/additions.h"
#include "plan/plan.h"
#include "tensor/element.h"
#include "tensor/uses.h"

/* Scratch memory holds a float (row loss) for every row, then an int (row correct) for every row, then a
 * float for the weights of all. */
static int64_t scratch_bytes(int64_t batch)
{
    const int64_t rows = oclin_multiply(batch, (int64_t)(sizeof(cl_float) + sizeof(cl_int)));
    return rows > 0 ? rows + (int64_t)sizeof(cl_float) : rows;
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
    if (cols < 1 || cols > INT64_MAX / oclin_element_bytes(OCLIN_F32))
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
    if (!(o->delta >= FLT_MIN) || isinf(o->delta))
        return oclin_fail(ctx, OCLIN_E_ARG, "delta is %g, a finite number from %g on is needed",
                          (double)o->delta, (double)FLT_MIN);
    if (!(o->label_smoothing >= 0.0f && o->label_smoothing <= 1.0f))
        return oclin_fail(ctx, OCLIN_E_ARG, "label_smoothing is %g, 0 to 1 is needed",
                          (double)o->label_smoothing);
    return OCLIN_OK;
}

/* The operands of a call. The row kernels write USE_DY and USE_ROWS; the sum over the rows writes USE_LOSS
 * and USE_CORRECT. */
enum { USE_Y, USE_TARGET, USE_CLASSES, USE_WEIGHTS, USE_DY, USE_ROWS, USE_LOSS, USE_CORRECT, LOSS_USES };

/* y_flags is 0 where y is still to be written. */
static oclin_status check_call(oclin_context *ctx, const struct oclin_loss_call *c, int y_flags,
                               struct oclin_use uses[LOSS_USES])
{
    const char *target = c->kind->target;
    if (!c->y || !c->target) return oclin_fail(ctx, OCLIN_E_ARG, "%s is NULL", c->y ? target : "y");
    const int64_t rows = c->y->rows, cols = c->y->cols;
    const struct oclin_loss_options *o = &c->options;
    if (o->class_weights && !c->kind->weighs_classes)
        return oclin_fail(ctx, OCLIN_E_ARG, "class_weights is given to %s, which takes none", c->kind->name);
    if (o->label_smoothing != 0.0f && oclin_loss_number(c->kind, o) != o->label_smoothing)
        return oclin_fail(ctx, OCLIN_E_ARG, "label_smoothing is given to %s, which takes none",
                          c->kind->name);
    if (o->ignore_index != INT64_MIN && !c->kind->counts_labels)
        return oclin_fail(ctx, OCLIN_E_ARG, "ignore_index is given to %s, which takes none", c->kind->name);
    const int sums = c->options.accumulate ? OCLIN_ADDS : OCLIN_WRITES;
    const struct oclin_use all[] = {
        [USE_Y] = {c->y, "y", OCLIN_F32, rows, cols, y_flags},
        [USE_TARGET] = {c->target, target, c->kind->target_dtype, rows, c->kind->target_is_column ? 1 : cols,
                        OCLIN_READS},
        [USE_CLASSES] = {o->class_weights, "class_weights", OCLIN_F32, 1, cols, OCLIN_READS},
        [USE_WEIGHTS] = {o->row_weights, "row_weights", OCLIN_F32, rows, 1, OCLIN_READS},
        [USE_ROWS] = {o->row_losses, "row_losses", OCLIN_F32, rows, 1, OCLIN_WRITES},
        [USE_DY] = {c->dy, "dy", OCLIN_F32, rows, cols, OCLIN_WRITES},
        [USE_LOSS] = {c->loss, "loss", OCLIN_F32, 1, 1, sums},
        [USE_CORRECT] = {c->correct, "correct", OCLIN_I32, 1, 1, sums}};
    memcpy(uses, all, sizeof all);
    return oclin_uses_check(ctx, uses, LOSS_USES);
}

/* --------------------------------------------------------------------------------------------- launches */

/*
 * Splits a scale into two floats whose product it is; a kernel multiplies by the first, then by the second.
 * One float would not do: 2 * scale may be beyond the largest float where y - t is small, and scale / D below
 * the smallest where y - t is large. The first has the digits, and an exponent with which nothing overflows
 * or underflows that does not in the end; the second is a power of two.
 */
static cl_float2 in_two(double scale)
{
    int exponent;
    const double digits = frexp(scale, &exponent);
    const int first = exponent < -100 ? -100 : exponent > 120 ? 120 : exponent;
    return (cl_float2){{(float)ldexp(digits, first), (float)ldexp(1.0, exponent - first)}};
}

static oclin_status prepare_rows(oclin_context *ctx, const struct oclin_loss_call *c, struct oclin_rows *l)
{
    const struct oclin_kernel_request request = {
        .id = OCLIN_KERNEL_LOSS, .way = c->kind->name, .files = {c->kind->files[0], c->kind->files[1]}};
    return oclin_rows_prepare(ctx, request, c->y->rows, c->y->cols, l);
}

/* Prepares a kernel of one group that goes over the rows, of which it takes one at a time. */
static oclin_status prepare_over_rows(oclin_context *ctx, enum oclin_kernel_id id, struct oclin_rows *l)
{
    return oclin_rows_prepare(ctx, (struct oclin_kernel_request){.id = id}, 1, 1, l);
}

/* Returns what all kernels of a call are told of it. */
static int flags_of(const struct oclin_loss_call *c)
{
    const struct oclin_loss_options *o = &c->options;
    const int total =
        oclin_loss_totals(c->kind, o->reduction, o->class_weights != NULL, o->ignore_index != INT64_MIN);
    return (c->dy ? OCLIN_FLAG_GRADIENT : 0) | (c->loss ? OCLIN_FLAG_LOSS : 0) |
           (c->correct ? OCLIN_FLAG_CORRECT : 0) | (o->accumulate ? OCLIN_FLAG_ACCUMULATE : 0) |
           (o->class_weights ? OCLIN_FLAG_CLASSES : 0) | (o->row_weights ? OCLIN_FLAG_WEIGHTS : 0) |
           (o->row_losses ? OCLIN_FLAG_ROWS : 0) | (total ? OCLIN_FLAG_TOTAL : 0) |
           (o->ignore_index == (int32_t)o->ignore_index ? OCLIN_FLAG_IGNORE : 0);
}

/* An output that is not wanted is given y's buffer, which stays untouched because the flag is not set. */
static struct oclin_operand operand_or_y(const oclin_tensor *t, const oclin_tensor *y)
{
    return oclin_operand_of(t ? t : y);
}

static oclin_status enqueue_total(oclin_context *ctx, const struct oclin_rows *l,
                                  const struct oclin_loss_call *c, int flags)
{
    const struct oclin_operand labels = oclin_operand_of(c->target),
                               classes = operand_or_y(c->options.class_weights, c->y);
    struct oclin_arguments arguments = {l->kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &labels, 1);
    oclin_argument_operand(&arguments, &classes, 0);
    oclin_argument_long(&arguments, c->y->cols);
    oclin_argument_long(&arguments, c->y->rows);
    oclin_argument(&arguments, sizeof ctx->scratch, &ctx->scratch);
    oclin_argument_int(&arguments, (int)c->options.ignore_index);
    oclin_argument_int(&arguments, flags);
    return oclin_enqueue(ctx, &arguments, l->plan.groups, l->plan.tile.group,
                         "clEnqueueNDRangeKernel for the weights of a loss");
}

static oclin_status enqueue_rows(oclin_context *ctx, const struct oclin_rows *l,
                                 const struct oclin_loss_call *c, int flags, cl_float2 gradient_scale)
{
    const struct oclin_loss_options *o = &c->options;
    const struct oclin_operand y = oclin_operand_of(c->y), target = oclin_operand_of(c->target),
                               dy = operand_or_y(c->dy, c->y), classes = operand_or_y(o->class_weights, c->y),
                               weights = operand_or_y(o->row_weights, c->y),
                               losses = operand_or_y(o->row_losses, c->y);
    const cl_float2 row_scale = in_two((double)o->scale);
    const cl_float number = oclin_loss_number(c->kind, o);
    struct oclin_arguments arguments = {l->kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &y, 1);
    oclin_argument_operand(&arguments, &target, 1);
    oclin_argument_operand(&arguments, &dy, 1);
    oclin_argument(&arguments, sizeof ctx->scratch, &ctx->scratch);
    oclin_argument_long(&arguments, c->y->rows);
    oclin_argument_operand(&arguments, &classes, 0);
    oclin_argument_operand(&arguments, &weights, 1);
    oclin_argument_operand(&arguments, &losses, 1);
    oclin_argument_long(&arguments, c->y->cols);
    oclin_argument_long(&arguments, l->plan.chunk);
    oclin_argument(&arguments, sizeof gradient_scale, &gradient_scale);
    oclin_argument(&arguments, sizeof row_scale, &row_scale);
    oclin_argument(&arguments, sizeof number, &number);
    oclin_argument_int(&arguments, (int)o->ignore_index);
    oclin_argument_int(&arguments, flags);
    return oclin_enqueue(ctx, &arguments, l->plan.groups, l->plan.tile.group,
                         "clEnqueueNDRangeKernel for a loss");
}

static oclin_status enqueue_sum(oclin_context *ctx, const struct oclin_rows *l,
                                const struct oclin_loss_call *c, int flags, cl_float2 loss_scale)
{
    const struct oclin_operand loss = operand_or_y(c->loss, c->y), correct = operand_or_y(c->correct, c->y);
    struct oclin_arguments arguments = {l->kernel, 0, CL_SUCCESS};
    oclin_argument(&arguments, sizeof ctx->scratch, &ctx->scratch);
    oclin_argument_long(&arguments, c->y->rows);
    oclin_argument_operand(&arguments, &loss, 0);
    oclin_argument_operand(&arguments, &correct, 0);
    oclin_argument(&arguments, sizeof loss_scale, &loss_scale);
    oclin_argument_int(&arguments, flags);
    return oclin_enqueue(ctx, &arguments, l->plan.groups, l->plan.tile.group,
                         "clEnqueueNDRangeKernel for the sum of a loss");
}

/* A loss over nothing is zero. */
static oclin_status empty_batch(const struct oclin_loss_call *c)
{
    if (c->options.accumulate) return OCLIN_OK;
    if (c->loss) OCLIN_TRY(oclin_tensor_fill_inside(c->loss, 0));
    return c->correct ? oclin_tensor_fill_inside(c->correct, 0) : OCLIN_OK;
}

static oclin_status run(oclin_context *ctx, struct oclin_loss_call *c, const struct oclin_use *uses)
{
    const int64_t rows = c->y->rows;
    if (rows == 0) return empty_batch(c);
    if (!c->dy && !c->loss && !c->correct && !c->options.row_losses) return OCLIN_OK;
    const int flags = flags_of(c), has_total = flags & OCLIN_FLAG_TOTAL;
    const double count = has_total ? 1 : oclin_loss_count(c->kind, c->options.reduction, rows, c->y->cols);
    const double scale = (double)c->options.scale / count;
    struct oclin_rows total, by_row, sum;
    if (has_total) OCLIN_TRY(prepare_over_rows(ctx, OCLIN_KERNEL_LOSS_TOTAL, &total));
    OCLIN_TRY(prepare_rows(ctx, c, &by_row));
    OCLIN_TRY(prepare_over_rows(ctx, OCLIN_KERNEL_LOSS_SUM, &sum));
    c->additions = oclin_additions_of_row(&by_row.plan, c->y->cols);
    OCLIN_TRY(oclin_scratch(ctx, scratch_bytes(rows), "a loss"));
    OCLIN_TRY(oclin_uses_settle(uses, LOSS_USES));
    oclin_status status = has_total ? enqueue_total(ctx, &total, c, flags) : OCLIN_OK;
    if (status == OCLIN_OK) status = enqueue_rows(ctx, &by_row, c, flags, in_two(scale * c->kind->slope));
    oclin_uses_written(&uses[USE_DY], USE_LOSS - USE_DY, status);
    if (status == OCLIN_OK && (c->loss || c->correct))
        status = enqueue_sum(ctx, &sum, c, flags, in_two(scale));
    oclin_uses_written(&uses[USE_LOSS], LOSS_USES - USE_LOSS, status);
    return status;
}

static oclin_status compute(struct oclin_loss_call *c, const struct oclin_loss_options *options)
{
    const oclin_tensor *any = c->y ? c->y : c->target;
    if (!any) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(any);
    OCLIN_TRY(oclin_enter(ctx));
    c->options = (struct oclin_loss_options)OCLIN_LOSS_OPTIONS_INIT;
    OCLIN_TRY(read_options(ctx, &c->options, options));
    struct oclin_use uses[LOSS_USES];
    OCLIN_TRY(check_call(ctx, c, OCLIN_READS, uses));
    if (ctx->verify) OCLIN_TRY(oclin_verify_loss_before(c));
    OCLIN_TRY(run(ctx, c, uses));
    return ctx->verify ? oclin_uses_verified(uses, LOSS_USES, oclin_verify_loss(c)) : OCLIN_OK;
}

oclin_status oclin_loss_mse(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                            const struct oclin_loss_options *options)
{
    return compute(&(struct oclin_loss_call){.kind = &oclin_mse, .y = y, .target = t, .loss = loss, .dy = dy},
                   options);
}

oclin_status oclin_loss_l1(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                           const struct oclin_loss_options *options)
{
    return compute(&(struct oclin_loss_call){.kind = &oclin_l1, .y = y, .target = t, .loss = loss, .dy = dy},
                   options);
}

oclin_status oclin_loss_huber(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                              const struct oclin_loss_options *options)
{
    return compute(
        &(struct oclin_loss_call){.kind = &oclin_huber, .y = y, .target = t, .loss = loss, .dy = dy},
        options);
}

oclin_status oclin_loss_bce(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                            const struct oclin_loss_options *options)
{
    return compute(&(struct oclin_loss_call){.kind = &oclin_bce, .y = y, .target = t, .loss = loss, .dy = dy},
                   options);
}

oclin_status oclin_loss_cross_entropy(oclin_tensor *y, oclin_tensor *labels, oclin_tensor *loss,
                                      oclin_tensor *dy, oclin_tensor *correct,
                                      const struct oclin_loss_options *options)
{
    struct oclin_loss_call call = {
        .kind = &oclin_cross_entropy, .y = y, .target = labels, .loss = loss, .dy = dy, .correct = correct};
    return compute(&call, options);
}

oclin_status oclin_loss_soft_cross_entropy(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss,
                                           oclin_tensor *dy, const struct oclin_loss_options *options)
{
    return compute(
        &(struct oclin_loss_call){
            .kind = &oclin_soft_cross_entropy, .y = y, .target = t, .loss = loss, .dy = dy},
        options);
}

/* ------------------------------------------------------------------------------------- for a network */

static const struct oclin_loss_kind *const kinds[] = {[OCLIN_LOSS_MSE] = &oclin_mse,
                                                      [OCLIN_LOSS_L1] = &oclin_l1,
                                                      [OCLIN_LOSS_HUBER] = &oclin_huber,
                                                      [OCLIN_LOSS_BCE] = &oclin_bce,
                                                      [OCLIN_LOSS_CROSS_ENTROPY] = &oclin_cross_entropy,
                                                      [OCLIN_LOSS_SOFT_CROSS_ENTROPY] =
                                                          &oclin_soft_cross_entropy};

static struct oclin_loss_call call_of(const struct oclin_loss_ahead *a)
{
    return (struct oclin_loss_call){.kind = kinds[a->kind],
                                    .y = a->y,
                                    .target = a->target,
                                    .loss = a->loss,
                                    .dy = a->dy,
                                    .correct = a->correct};
}

oclin_status oclin_loss_check(oclin_context *ctx, const struct oclin_loss_ahead *ahead)
{
    struct oclin_use uses[LOSS_USES];
    if ((int)ahead->kind < 0 || (size_t)ahead->kind >= sizeof kinds / sizeof *kinds)
        return oclin_fail(ctx, OCLIN_E_ARG, "kind %d of loss is not known", (int)ahead->kind);
    struct oclin_loss_call c = call_of(ahead);
    if (c.correct && !c.kind->counts_labels)
        return oclin_fail(ctx, OCLIN_E_ARG, "correct is given to %s, which counts nothing", c.kind->name);
    c.options = (struct oclin_loss_options)OCLIN_LOSS_OPTIONS_INIT;
    OCLIN_TRY(read_options(ctx, &c.options, ahead->options));
    return check_call(ctx, &c, 0, uses);
}

oclin_status oclin_loss_of_kind(const struct oclin_loss_ahead *ahead)
{
    struct oclin_loss_call c = call_of(ahead);
    return compute(&c, ahead->options);
}
