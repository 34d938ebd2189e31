/* Launches one product, or one step, by its plan. */
#include "ops/product.h"

#include "core/error.h"
#include "core/memory.h"
#include "ops/activation.h"
#include "ops/rule.h"
#include "plan/additions.h"
#include "plan/plan.h"
#include "plan/simd.h"
#include "plan/simt.h"

/* -------------------------------------------------------------------------------------------- products */

/* Only one of the two launches of a packed or a split product has the activation in it: forward's second,
 * which stores Y, and the gradients' first, which reads dY. The other one is the same kernel for all
 * activations. */
static int has_activation(const struct oclin_product *p, const struct oclin_tile *t)
{
    const int first = t->stage == OCLIN_STAGE_PACK || t->stage == OCLIN_STAGE_PARTS,
              second = t->stage == OCLIN_STAGE_PACKED || t->stage == OCLIN_STAGE_SUMS;
    if (t->tickets || (!first && !second)) return 1;
    return (p->id == OCLIN_KERNEL_FORWARD) == second;
}

/* Returns 1 if the kernel can update parameters. */
static int takes_updates(const struct oclin_product *p)
{
    return p->id == OCLIN_KERNEL_GRAD_W || p->id == OCLIN_KERNEL_ONE_PASS;
}

struct oclin_kernel_request oclin_product_request(const struct oclin_product *p,
                                                  const struct oclin_plan *plan)
{
    const struct oclin_way *way = plan->way;
    const int active = has_activation(p, &plan->tile);
    const int updates = takes_updates(p);
    return (struct oclin_kernel_request){.id = p->id,
                                         .tile = plan->tile,
                                         .way = way->kernel,
                                         .files = {way->files[0], way->files[1]},
                                         .activation =
                                             oclin_activation_row(active ? p->activation : OCLIN_NONE)->name,
                                         .alpha = active ? p->alpha : 0.0f,
                                         .rule = !updates     ? NULL
                                                 : p->updates ? p->updates->fragment
                                                              : oclin_plain_sgd,
                                         .on_device = updates && p->updates && p->updates->w.control};
}

/* Makes the kernel of a launch before or behind the product's own. Where the device cannot run it, it cannot
 * run the product, either. */
static oclin_status prepare_beside(oclin_context *ctx, struct oclin_product *p, const struct oclin_plan *plan,
                                   cl_kernel *kernel)
{
    const struct oclin_kernel_request request = oclin_product_request(p, plan);
    OCLIN_TRY(oclin_program_kernel(ctx, &request, kernel));
    if (!*kernel) p->kernel = NULL;
    return OCLIN_OK;
}

/* Makes kernels and scratch memory for p->plan; p->kernel is NULL if the device cannot run them. *next is 1
 * if another plan may do after a failure, because the driver refused this tile where the plan leaves a
 * choice, or there is no scratch memory. */
static oclin_status prepare_plan(oclin_context *ctx, struct oclin_product *p, int *next)
{
    *next = !ctx->plan.name[0] && !ctx->cl_dir;
    p->packing_kernel = p->adding_kernel = NULL;
    const struct oclin_kernel_request request = oclin_product_request(p, &p->plan);
    OCLIN_TRY(oclin_program_kernel(ctx, &request, &p->kernel));
    const int64_t scratch = oclin_plan_scratch_bytes(p, &p->plan);
    if (!p->kernel || scratch == 0) return OCLIN_OK;
    if (!p->plan.tile.tickets && p->plan.packed_a > 0) {
        oclin_plan_packing(p, &p->plan, &p->packing);
        OCLIN_TRY(prepare_beside(ctx, p, &p->packing, &p->packing_kernel));
    }
    if (oclin_is_split(&p->plan)) {
        oclin_plan_adding(&ctx->device, p, &p->plan, &p->adding);
        OCLIN_TRY(prepare_beside(ctx, p, &p->adding, &p->adding_kernel));
    }
    if (!p->kernel) return OCLIN_OK;
    *next = 1; /* whatever the reason that there is no memory, another way may need none */
    return oclin_scratch(ctx, scratch, "packed operands or the sums of parts");
}

oclin_status oclin_product_prepare(oclin_context *ctx, struct oclin_product *p)
{
    oclin_status failed = OCLIN_OK;
    for (int attempt = 0; oclin_plan_product(ctx, p, attempt, &p->plan); attempt++) {
        int next;
        const oclin_status status = prepare_plan(ctx, p, &next);
        if (status == OCLIN_OK && p->kernel) {
            if (failed != OCLIN_OK) oclin_forget_error(ctx); /* the log has it */
            return OCLIN_OK;
        }
        if (status == OCLIN_OK) continue;
        if (!next || ctx->lost) return status;
        failed = status;
    }
    if (failed != OCLIN_OK) return failed;
    return oclin_fail(ctx, OCLIN_E_DEVICE,
                      "no kernel of plan '%s' can run a %lld x %lld x %lld product on this device",
                      ctx->plan.name, (long long)p->m, (long long)p->n, (long long)p->k);
}

static const struct oclin_updates no_updates;

/* Adds the updates, which the kernel takes whether there are any or not. */
static void argument_updates(struct oclin_arguments *arguments, const struct oclin_product *p)
{
    const struct oclin_updates *u = p->updates ? p->updates : &no_updates;
    oclin_argument_update(arguments, &u->w, 1, p->c.mem);
    oclin_argument_update(arguments, &u->b, 0, p->c.mem);
}

/* Adds the arguments that only this way's kernels take. */
static void argument_extras(struct oclin_arguments *arguments, const oclin_context *ctx,
                            const struct oclin_product *p, const struct oclin_way *way)
{
    if (way->takes & OCLIN_TAKES_X) {
        oclin_argument_operand(arguments, p->x.mem ? &p->x : &p->a, 1);
        oclin_argument_operand(arguments, p->dw.mem ? &p->dw : &p->c, 1);
    }
    if (way->takes & OCLIN_TAKES_TICKETS)
        oclin_argument(arguments, sizeof ctx->tickets, ctx->tickets ? &ctx->tickets : &p->c.mem);
    if (way->takes & OCLIN_TAKES_SCRATCH)
        oclin_argument(arguments, sizeof ctx->scratch, ctx->scratch ? &ctx->scratch : &p->c.mem);
    if (way->takes & OCLIN_TAKES_CHUNK) oclin_argument_int(arguments, (int)p->plan.chunk);
}

static oclin_status enqueue_one(oclin_context *ctx, const struct oclin_product *p, cl_kernel kernel,
                                const struct oclin_plan *plan)
{
    /* an operand that is not used still needs a valid buffer: not every driver takes NULL */
    const struct oclin_operand *s = p->s.mem ? &p->s : &p->a, *bias = p->bias.mem ? &p->bias : &p->a,
                               *db = p->db.mem ? &p->db : &p->c, *z = p->z.mem ? &p->z : &p->c;
    struct oclin_arguments arguments = {kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &p->a, 1);
    oclin_argument_operand(&arguments, s, 1);
    oclin_argument_operand(&arguments, &p->b, 1);
    oclin_argument_operand(&arguments, &p->c, 1);
    oclin_argument_operand(&arguments, bias, 0);
    oclin_argument_operand(&arguments, db, 0);
    oclin_argument_operand(&arguments, z, 1);
    oclin_argument_long(&arguments, p->m);
    oclin_argument_long(&arguments, p->n);
    oclin_argument_long(&arguments, p->k);
    oclin_argument(&arguments, sizeof p->scale, &p->scale);
    oclin_argument_lr(&arguments, p->updates ? &p->updates->w : &no_updates.w);
    oclin_argument_int(&arguments, p->flags);
    oclin_argument_int(&arguments, plan->block_m);
    oclin_argument_int(&arguments, plan->block_n);
    oclin_argument_int(&arguments, plan->block_k);
    if (takes_updates(p)) argument_updates(&arguments, p);
    argument_extras(&arguments, ctx, p, plan->way);
    return oclin_enqueue(ctx, &arguments, plan->groups, plan->tile.group,
                         "clEnqueueNDRangeKernel for a product");
}

/* Returns the place where the sums of the slices so far, or of their parts, stand. */
static struct oclin_operand place_of_slices(const oclin_context *ctx, const struct oclin_product *p)
{
    if (!oclin_slices_need_scratch(p, &p->plan))
        return p->flags & (OCLIN_FLAG_KEEP_Z | OCLIN_FLAG_KEEP_ACT) ? p->z : p->c;
    const struct oclin_operand scratch = {ctx->scratch, oclin_plan_slices_at(&p->plan),
                                          oclin_slices_stride(oclin_way_swaps_c(p) ? p->m : p->n), 1, 1};
    return scratch;
}

/* Returns the part of the product from k0 on that one launch computes. */
static struct oclin_product slice_of(const oclin_context *ctx, const struct oclin_product *p, int64_t k0)
{
    struct oclin_product slice = *p;
    const int split = oclin_is_split(&p->plan);
    if (p->k <= p->plan.slice_k && !split) return slice;
    const int a_along_k = p->id != OCLIN_KERNEL_GRAD_W, b_along_k = oclin_way_b_along_k(p);
    slice.a.offset += k0 * (a_along_k ? 1 : p->a.stride);
    slice.s.offset += k0 * (a_along_k ? 1 : p->s.stride);
    slice.b.offset += k0 * (b_along_k ? 1 : p->b.stride);
    slice.z = place_of_slices(ctx, p);
    slice.k = oclin_least(p->k - k0, p->plan.slice_k);
    if (k0 > 0) slice.flags |= OCLIN_FLAG_ONTO;
    if (split || k0 + slice.k < p->k) slice.flags |= OCLIN_FLAG_PARTIAL;
    slice.plan.groups = p->plan.groups / oclin_parts(&p->plan, p->k) * oclin_parts(&p->plan, slice.k);
    return slice;
}

/* Returns the product's last launch, which adds the sums of the parts: A, and as many as k says. */
static struct oclin_product sums_of(const oclin_context *ctx, const struct oclin_product *p)
{
    struct oclin_product sums = *p;
    sums.a = place_of_slices(ctx, p);
    sums.k = oclin_parts(&p->plan, p->k);
    return sums;
}

oclin_status oclin_product_enqueue(oclin_context *ctx, const struct oclin_product *p)
{
    for (int64_t k0 = 0; k0 < p->k; k0 += p->plan.slice_k) {
        const struct oclin_product slice = slice_of(ctx, p, k0);
        if (slice.packing_kernel) OCLIN_TRY(enqueue_one(ctx, &slice, slice.packing_kernel, &slice.packing));
        OCLIN_TRY(enqueue_one(ctx, &slice, slice.kernel, &slice.plan));
    }
    if (!p->adding_kernel) return OCLIN_OK;
    const struct oclin_product sums = sums_of(ctx, p);
    return enqueue_one(ctx, &sums, sums.adding_kernel, &sums.adding);
}

/* ----------------------------------------------------------------------------------------------- steps */

oclin_status oclin_step_prepare(oclin_context *ctx, struct oclin_step *s)
{
    const int aligned = s->w->aligned && s->dw->aligned && (!s->update.state.mem || s->update.state.aligned);
    const struct oclin_kernel_request request = {
        .id = OCLIN_KERNEL_STEP, .rule = s->fragment, .on_device = s->update.control != NULL};
    return oclin_elements_prepare(ctx, &request, s->w->rows, s->w->cols, aligned, &s->elements);
}

oclin_status oclin_step_enqueue(oclin_context *ctx, const struct oclin_step *s)
{
    const struct oclin_operand w = oclin_operand_of(s->w), dw = oclin_operand_of(s->dw);
    struct oclin_arguments arguments = {s->elements.kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &w, 1);
    oclin_argument_operand(&arguments, &dw, 1);
    oclin_argument_long(&arguments, s->w->rows);
    oclin_argument_long(&arguments, s->w->cols);
    oclin_argument_lr(&arguments, &s->update);
    oclin_argument_int(&arguments, OCLIN_FLAG_UPDATE);
    oclin_argument_update(&arguments, &s->update, 1, w.mem);
    return oclin_enqueue(ctx, &arguments, s->elements.groups, s->elements.tile.group,
                         "clEnqueueNDRangeKernel for a step");
}
