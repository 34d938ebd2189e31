/* Norms of gradients, the factor that clips them, and the search for what is not finite. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "check/verify.h"
#include "core/context.h"
#include "core/error.h"
#include "core/memory.h"
#include "layer.h"
#include "ops/activation.h"
#include "ops/product.h"
#include "ops/rows.h"
#include "plan/additions.h"
#include "plan/plan.h"
#include "tensor/element.h"
#include "tensor/uses.h"

/* ------------------------------------------------------------------------------------------------ spans */

/* Elements of a row that one group takes: few enough for one long row to keep a GPU busy. */
enum { SPAN = 1 << 13 };

/* A launch over the rows of a matrix, which are cut into spans. */
struct spans {
    int64_t rows, cols, in_row; /* spans of a row */
    struct oclin_rows launch;
};

/* A matrix without gaps is one row: its rows may be many and short. */
static struct spans spans_of(int64_t rows, int64_t cols, int dense)
{
    if (dense) cols *= rows, rows = 1;
    return (struct spans){.rows = rows, .cols = cols, .in_row = oclin_ceil_divide(cols, SPAN)};
}

static int is_dense(const oclin_tensor *t)
{
    return t->stride == t->cols;
}

static int64_t count(const struct spans *s)
{
    return s->rows * s->in_row;
}

static oclin_status prepare_spans(oclin_context *ctx, const struct oclin_kernel_request *request,
                                  struct spans *s)
{
    return oclin_rows_prepare(ctx, *request, count(s), oclin_least(s->cols, SPAN), &s->launch);
}

/* Prepares a kernel of one group. */
static oclin_status prepare_one(oclin_context *ctx, enum oclin_kernel_id id, struct oclin_rows *launch)
{
    return oclin_rows_prepare(ctx, (struct oclin_kernel_request){.id = id}, 1, 1, launch);
}

static oclin_status enqueue(oclin_context *ctx, const struct oclin_rows *launch,
                            const struct oclin_arguments *arguments, const char *what)
{
    return oclin_enqueue(ctx, arguments, launch->plan.groups, launch->plan.tile.group, what);
}

/* -------------------------------------------------------------------------------------- making a norm */

/* A sum of squares a a, or of products a b, by norm_parts.cl. */
struct part {
    struct oclin_operand a, b;
    int flags;
    struct spans spans;
    int64_t first; /* where its sums stand, in floats of scratch memory */
};

/*
 * All launches of a norm, in their order: dZ, the products, the sums of parts, and their sum. Results on the
 * way stand in scratch memory, behind that of the products.
 */
struct norm {
    oclin_context *ctx;
    struct oclin_norm_check check; /* also says what the norm is of */
    float scale;
    const struct oclin_gradient_call *gradient; /* NULL: of what is stored */
    struct oclin_rows grad_z;                   /* kernel NULL: it is not needed */
    struct oclin_operand dz;                    /* in scratch memory, if it is */
    int products, parts;
    struct oclin_product product[2];
    struct part part[2];
    struct oclin_rows sum;
    int64_t floats; /* of scratch memory */
};

/* Takes a place for rows x cols elements in scratch memory, whose buffer is not known yet: any other stands
 * for it. */
static struct oclin_operand place(struct norm *n, int64_t rows, int64_t cols)
{
    const struct oclin_operand o = {n->check.norm2->mem, n->floats, oclin_slices_stride(cols), 1, 1};
    n->floats += oclin_round_up(rows * o.stride, 16);
    return o;
}

static oclin_status add_part(struct norm *n, struct oclin_operand a, struct oclin_operand b, int flags,
                             struct spans spans)
{
    const struct oclin_kernel_request request = {.id = OCLIN_KERNEL_NORM_PARTS};
    struct part *p = &n->part[n->parts++];
    *p = (struct part){.a = a, .b = b, .flags = flags, .spans = spans, .first = n->floats};
    n->floats += count(&spans);
    return prepare_spans(n->ctx, &request, &p->spans);
}

/* Returns the roundings of a term in the parts and in their compensated sum, whose error also grows with
 * their number, but by 8 u^2 each (numbers.md). */
static int64_t additions_of(const struct norm *n)
{
    int64_t most = 0, sums = 0;
    for (int i = 0; i < n->parts; i++) {
        const struct spans *s = &n->part[i].spans;
        const int64_t own = oclin_additions_of_row(&s->launch.plan, oclin_least(s->cols, SPAN));
        if (own > most) most = own;
        sums += count(s);
    }
    return most + 1 + 3 + oclin_least(sums, 10) + (sums >> 20) + 1;
}

/* Prepares the last launch, and takes the memory. */
static oclin_status prepare_sum(struct norm *n)
{
    const int64_t bytes = oclin_multiply(n->floats, (int64_t)sizeof(cl_float));
    OCLIN_TRY(prepare_one(n->ctx, OCLIN_KERNEL_NORM_SUM, &n->sum));
    n->check.way.last = additions_of(n);
    if (bytes < 0) return oclin_fail(n->ctx, OCLIN_E_SHAPE, "the scratch memory of a norm overflows");
    return oclin_scratch(n->ctx, bytes, "a norm");
}

static oclin_status prepare_stored(struct norm *n)
{
    for (int i = 0; i < 2; i++) {
        const oclin_tensor *t = n->check.stored[i];
        if (!t) continue;
        const struct oclin_operand o = oclin_operand_of(t);
        OCLIN_TRY(add_part(n, o, o, OCLIN_FLAG_DW, spans_of(t->rows, t->cols, is_dense(t))));
    }
    return prepare_sum(n);
}

/* ------------------------------------------------------------------------------------ by two products */

/* Returns the product A A^T, as a forward without activation whose W is X. */
static struct oclin_product gram_of(struct oclin_operand a, int64_t rows, int64_t cols,
                                    struct oclin_operand c)
{
    return (struct oclin_product){.id = OCLIN_KERNEL_FORWARD,
                                  .activation = OCLIN_NONE,
                                  .a = a,
                                  .b = a,
                                  .c = c,
                                  .m = rows,
                                  .n = rows,
                                  .k = cols,
                                  .scale = 1.0f};
}

/* dZ is dY itself where there is no activation. */
static oclin_status prepare_grad_z(struct norm *n)
{
    const struct oclin_gradient_call *g = n->gradient;
    n->dz = oclin_operand_of(g->dy);
    if (g->layer.activation == OCLIN_NONE) return OCLIN_OK;
    n->dz = place(n, g->batch, g->layer.out);
    const struct oclin_kernel_request request = {.id = OCLIN_KERNEL_GRAD_Z,
                                                 .activation =
                                                     oclin_activation_row(g->layer.activation)->name,
                                                 .alpha = g->layer.alpha};
    return oclin_rows_prepare(n->ctx, request, g->batch, g->layer.out, &n->grad_z);
}

/* What the products ask for lies in front: they know of no offset. */
static void make_way_for_products(struct norm *n)
{
    int64_t most = 0;
    for (int i = 0; i < n->products; i++) {
        const int64_t bytes = oclin_plan_scratch_bytes(&n->product[i], &n->product[i].plan);
        if (bytes > most) most = bytes;
    }
    n->floats = oclin_round_up(oclin_ceil_divide(most, (int64_t)sizeof(cl_float)), 64);
}

static oclin_status prepare_products(struct norm *n)
{
    for (int i = 0; i < n->products; i++) OCLIN_TRY(oclin_product_prepare(n->ctx, &n->product[i]));
    make_way_for_products(n);
    return OCLIN_OK;
}

static int64_t sums_of_products(const struct oclin_product *p)
{
    return oclin_additions(p, &p->plan, OCLIN_SUM_OF_PRODUCTS);
}

/* <dZ dZ^T, X X^T + 1 1^T> */
static oclin_status prepare_grams(struct norm *n)
{
    const struct oclin_gradient_call *g = n->gradient;
    struct oclin_norm_way *way = &n->check.way;
    const int64_t batch = g->batch;
    n->dz = g->layer.activation == OCLIN_NONE ? oclin_operand_of(g->dy) : place(n, batch, g->layer.out);
    n->products = way->w ? 2 : 1;
    n->product[0] = gram_of(n->dz, batch, g->layer.out, place(n, batch, batch));
    n->product[1] = gram_of(oclin_operand_of(g->x), batch, g->layer.in, place(n, batch, batch));
    OCLIN_TRY(prepare_products(n));
    OCLIN_TRY(prepare_grad_z(n)); /* here places become final */
    n->product[0].a = n->product[0].b = n->dz;
    for (int i = 0; i < n->products; i++) n->product[i].c = place(n, batch, batch);
    way->first = sums_of_products(&n->product[0]);
    if (way->w) way->second = sums_of_products(&n->product[1]);
    const struct oclin_operand a = n->product[0].c, b = n->product[way->w ? 1 : 0].c;
    const int flags = (way->w ? OCLIN_FLAG_DW : 0) | (way->b ? OCLIN_FLAG_BIAS : 0);
    n->scale = g->dw.scale;
    OCLIN_TRY(add_part(n, a, b, flags, spans_of(batch, batch, 0)));
    return prepare_sum(n);
}

/* |dW|^2 + |db|^2, of both in scratch memory. Where w is stored as (in, out), so is dW. */
static oclin_status prepare_gradient(struct norm *n)
{
    const struct oclin_gradient_call *g = n->gradient;
    const struct oclin_linear *l = &g->layer;
    struct oclin_norm_way *way = &n->check.way;
    const int64_t rows = l->transposed ? l->in : l->out, cols = l->transposed ? l->out : l->in;
    struct oclin_product *p = &n->product[0];
    n->products = 1;
    *p = g->dw;
    p->flags = way->b ? OCLIN_FLAG_BIAS : 0;
    p->c = place(n, rows, cols);
    p->db = p->c;
    OCLIN_TRY(prepare_products(n));
    p->c = place(n, rows, cols);
    p->db = place(n, 1, l->out);
    way->first = sums_of_products(p);
    way->second = oclin_additions(p, &p->plan, OCLIN_SUM_OF_A);
    if (way->w) OCLIN_TRY(add_part(n, p->c, p->c, OCLIN_FLAG_DW, spans_of(rows, cols, 0)));
    if (way->b) OCLIN_TRY(add_part(n, p->db, p->db, OCLIN_FLAG_DW, spans_of(1, l->out, 0)));
    return prepare_sum(n);
}

/* ---------------------------------------------------------------------------------------------- launches */

/* Now that the scratch memory will not move, places in it get its buffer. */
static void settle_places(struct norm *n)
{
    if (n->grad_z.kernel) n->dz.mem = n->ctx->scratch;
    for (int i = 0; i < n->products; i++) {
        struct oclin_product *p = &n->product[i];
        p->c.mem = n->ctx->scratch;
        if (p->id == OCLIN_KERNEL_GRAD_W) p->db.mem = n->ctx->scratch;
        if (n->grad_z.kernel && i == 0) p->a.mem = p->b.mem = n->ctx->scratch;
    }
    for (int i = 0; i < n->parts && n->products > 0; i++)
        n->part[i].a.mem = n->part[i].b.mem = n->ctx->scratch;
}

static oclin_status enqueue_grad_z(const struct norm *n)
{
    const struct oclin_gradient_call *g = n->gradient;
    const struct oclin_operand dy = oclin_operand_of(g->dy), s = oclin_operand_of(g->s);
    struct oclin_arguments arguments = {n->grad_z.kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &dy, 1);
    oclin_argument_operand(&arguments, &s, 1);
    oclin_argument_operand(&arguments, &n->dz, 1);
    oclin_argument_long(&arguments, g->batch);
    oclin_argument_long(&arguments, g->layer.out);
    return enqueue(n->ctx, &n->grad_z, &arguments, "clEnqueueNDRangeKernel for dZ");
}

/* Adds the sizes of spans. */
static void argument_spans(struct oclin_arguments *arguments, const struct spans *s)
{
    oclin_argument_long(arguments, s->rows);
    oclin_argument_long(arguments, s->cols);
    oclin_argument_long(arguments, s->in_row);
    oclin_argument_long(arguments, SPAN);
}

static oclin_status enqueue_part(const struct norm *n, const struct part *p)
{
    struct oclin_arguments arguments = {p->spans.launch.kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &p->a, 1);
    oclin_argument_operand(&arguments, &p->b, 1);
    argument_spans(&arguments, &p->spans);
    oclin_argument_long(&arguments, p->spans.launch.plan.chunk);
    oclin_argument(&arguments, sizeof n->ctx->scratch, &n->ctx->scratch);
    oclin_argument_long(&arguments, p->first);
    oclin_argument_int(&arguments, p->flags);
    return enqueue(n->ctx, &p->spans.launch, &arguments, "clEnqueueNDRangeKernel for a norm");
}

static oclin_status enqueue_sum(const struct norm *n)
{
    const struct oclin_operand norm2 = oclin_operand_of(n->check.norm2);
    int64_t sums = 0;
    for (int i = 0; i < n->parts; i++) sums += count(&n->part[i].spans);
    struct oclin_arguments arguments = {n->sum.kernel, 0, CL_SUCCESS};
    oclin_argument(&arguments, sizeof n->ctx->scratch, &n->ctx->scratch);
    oclin_argument_long(&arguments, n->part[0].first);
    oclin_argument_long(&arguments, sums);
    oclin_argument_operand(&arguments, &norm2, 0);
    oclin_argument(&arguments, sizeof n->scale, &n->scale);
    oclin_argument_int(&arguments, n->check.accumulate ? OCLIN_FLAG_ACCUMULATE : 0);
    return enqueue(n->ctx, &n->sum, &arguments, "clEnqueueNDRangeKernel for the sum of a norm");
}

static oclin_status enqueue_norm(const struct norm *n)
{
    if (n->grad_z.kernel) OCLIN_TRY(enqueue_grad_z(n));
    for (int i = 0; i < n->products; i++) OCLIN_TRY(oclin_product_enqueue(n->ctx, &n->product[i]));
    for (int i = 0; i < n->parts; i++) OCLIN_TRY(enqueue_part(n, &n->part[i]));
    return enqueue_sum(n);
}

/* Takes a norm whose operands were checked; those of the sum are the uses. */
static oclin_status run(struct norm *n, const struct oclin_use *uses, int count_of_uses)
{
    const int verify = n->ctx->verify;
    n->scale = 1.0f;
    if (verify) OCLIN_TRY(oclin_verify_norm_before(&n->check));
    OCLIN_TRY(!n->gradient ? prepare_stored(n) : n->check.way.grams ? prepare_grams(n) : prepare_gradient(n));
    settle_places(n);
    OCLIN_TRY(oclin_uses_settle(uses, count_of_uses));
    const oclin_status status = enqueue_norm(n);
    oclin_uses_written(uses, count_of_uses, status);
    if (status != OCLIN_OK || !verify) return status;
    return oclin_uses_verified(uses, count_of_uses, oclin_verify_norm(&n->check));
}

/* -------------------------------------------------------------------------------------------- the calls */

/* The norm of nothing is 0. */
static oclin_status norm_of_nothing(const struct norm *n)
{
    return n->check.accumulate ? OCLIN_OK : oclin_tensor_fill_inside(n->check.norm2, 0);
}

static struct oclin_use use_of_sum(oclin_tensor *norm2, int accumulate)
{
    return (struct oclin_use){norm2, "norm2", OCLIN_F32, 1, 1, accumulate ? OCLIN_ADDS : OCLIN_WRITES};
}

static oclin_status check_flag(oclin_context *ctx, const char *name, int value)
{
    if (value == 0 || value == 1) return OCLIN_OK;
    return oclin_fail(ctx, OCLIN_E_ARG, "%s is %d, 0 or 1 is needed", name, value);
}

/* Begins a call on two tensors, one of which may be NULL, which is refused. */
static oclin_status enter_pair(oclin_context **ctx, const oclin_tensor *a, const char *a_name,
                               const oclin_tensor *b, const char *b_name)
{
    if (!a && !b) return OCLIN_E_ARG;
    *ctx = oclin_tensor_context(a ? a : b);
    OCLIN_TRY(oclin_enter(*ctx));
    return a && b ? OCLIN_OK : oclin_fail(*ctx, OCLIN_E_ARG, "%s is NULL", a ? b_name : a_name);
}

oclin_status oclin_tensor_norm2(oclin_tensor *t, oclin_tensor *norm2, int accumulate)
{
    oclin_context *ctx;
    OCLIN_TRY(enter_pair(&ctx, t, "t", norm2, "norm2"));
    OCLIN_TRY(check_flag(ctx, "accumulate", accumulate));
    const struct oclin_use uses[] = {use_of_sum(norm2, accumulate),
                                     {t, "t", OCLIN_F32, t->rows, t->cols, OCLIN_READS}};
    OCLIN_TRY(oclin_uses_check(ctx, uses, 2));
    struct norm n = {.ctx = ctx, .check = {.norm2 = norm2, .accumulate = accumulate, .stored = {t, NULL}}};
    return t->rows == 0 ? norm_of_nothing(&n) : run(&n, uses, 2);
}

/* Returns 1 if the layer's own dW or db hold something, which then is the gradient. */
static int holds_gradient(const oclin_layer *l)
{
    return (l->dw && !l->dw->cleared) || (l->db && !l->db->cleared);
}

/* Refuses a look at a gradient that nobody has made. */
static oclin_status check_stored(const oclin_layer *l)
{
    if (oclin_layer_has_gradient(l)) return OCLIN_OK;
    return oclin_fail(l->ctx, OCLIN_E_STATE, "dy is NULL, and no gradient was ever computed or written");
}

/* Sets the uses of dW and db: those that are there, and not known to be zeros. Returns how many there are. */
static int use_stored(const oclin_layer *l, int w, int b, struct oclin_use uses[2])
{
    int n = 0;
    if (w && l->dw && !l->dw->cleared) uses[n++] = oclin_use_as_it_is(l->dw, "dw", OCLIN_READS);
    if (b && l->db && !l->db->cleared) uses[n++] = oclin_use_as_it_is(l->db, "db", OCLIN_READS);
    return n;
}

static oclin_status norm_of_layer(const oclin_layer *l, struct norm *n)
{
    struct oclin_use uses[3] = {use_of_sum(n->check.norm2, n->check.accumulate)};
    OCLIN_TRY(check_stored(l));
    const int stored = use_stored(l, n->check.way.w, n->check.way.b, uses + 1);
    OCLIN_TRY(oclin_uses_check(l->ctx, uses, 1 + stored));
    for (int i = 0; i < stored; i++) n->check.stored[i] = uses[1 + i].tensor;
    return stored > 0 ? run(n, uses, 1 + stored) : norm_of_nothing(n);
}

static oclin_status norm_of_dy(oclin_layer *l, oclin_tensor *dy, oclin_saved *saved, struct norm *n)
{
    struct oclin_gradient_call g;
    struct oclin_norm_check *check = &n->check;
    struct oclin_use uses[1 + OCLIN_GRADIENT_USES] = {use_of_sum(check->norm2, check->accumulate)};
    OCLIN_TRY(oclin_layer_gradient_call(l, dy, saved, &g));
    memcpy(uses + 1, g.uses, sizeof g.uses);
    OCLIN_TRY(oclin_uses_check(l->ctx, uses, 1 + OCLIN_GRADIENT_USES));
    if (g.batch == 0 || (!check->way.w && !check->way.b)) return norm_of_nothing(n);
    check->layer = g.layer;
    check->batch = g.batch;
    check->dy = g.dy;
    check->x = g.x;
    check->s = g.s;
    check->way.grams = oclin_plan_grams((struct oclin_shape){g.batch, l->in, l->out}, check->way.w);
    n->gradient = &g;
    return run(n, uses, 1 + OCLIN_GRADIENT_USES);
}

oclin_status oclin_layer_grad_norm2(oclin_layer *l, oclin_tensor *dy, oclin_tensor *norm2,
                                    const struct oclin_grad_norm_options *options)
{
    if (!l) return OCLIN_E_ARG;
    struct oclin_grad_norm_options o = OCLIN_GRAD_NORM_OPTIONS_INIT;
    OCLIN_TRY(oclin_enter(l->ctx));
    OCLIN_TRY(oclin_options_read(l->ctx, &o, sizeof o, options));
    OCLIN_TRY(check_flag(l->ctx, "accumulate", o.accumulate));
    OCLIN_TRY(check_flag(l->ctx, "w", o.w));
    OCLIN_TRY(check_flag(l->ctx, "b", o.b));
    if (o.reserved) return oclin_fail(l->ctx, OCLIN_E_ARG, "reserved is %d, 0 is needed", o.reserved);
    if (!norm2) return oclin_fail(l->ctx, OCLIN_E_ARG, "norm2 is NULL");
    struct norm n = {
        .ctx = l->ctx,
        .check = {.norm2 = norm2, .accumulate = o.accumulate, .way = {.w = o.w, .b = o.b && l->bias}}};
    return dy && !holds_gradient(l) ? norm_of_dy(l, dy, o.saved, &n) : norm_of_layer(l, &n);
}

/* ------------------------------------------------------------------------------------------- the factor */

static oclin_status run_factor(oclin_context *ctx, const struct oclin_use uses[2], float max_norm,
                               float scale)
{
    const struct oclin_operand norm2 = oclin_operand_of(uses[0].tensor),
                               factor = oclin_operand_of(uses[1].tensor);
    struct oclin_rows launch;
    OCLIN_TRY(prepare_one(ctx, OCLIN_KERNEL_CLIP_FACTOR, &launch));
    OCLIN_TRY(oclin_uses_settle(uses, 2));
    struct oclin_arguments arguments = {launch.kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &norm2, 0);
    oclin_argument_operand(&arguments, &factor, 0);
    oclin_argument(&arguments, sizeof max_norm, &max_norm);
    oclin_argument(&arguments, sizeof scale, &scale);
    const oclin_status status = enqueue(ctx, &launch, &arguments, "clEnqueueNDRangeKernel for a factor");
    oclin_uses_written(uses, 2, status);
    return status;
}

oclin_status oclin_clip_factor(oclin_tensor *norm2, double max_norm, double scale, oclin_tensor *factor)
{
    oclin_context *ctx;
    OCLIN_TRY(enter_pair(&ctx, norm2, "norm2", factor, "factor"));
    if (!(max_norm >= 0))
        return oclin_fail(ctx, OCLIN_E_ARG, "max_norm is %g, a number >= 0 is needed", max_norm);
    if (!(scale >= (double)FLT_MIN && scale <= (double)FLT_MAX))
        return oclin_fail(ctx, OCLIN_E_ARG, "scale is %g, a number from %g to %g is needed", scale,
                          (double)FLT_MIN, (double)FLT_MAX);
    const struct oclin_use uses[] = {{norm2, "norm2", OCLIN_F32, 1, 1, OCLIN_READS},
                                     {factor, "factor", OCLIN_F32, 1, 1, OCLIN_WRITES}};
    OCLIN_TRY(oclin_uses_check(ctx, uses, 2));
    if (ctx->verify) OCLIN_TRY(oclin_verify_factor_room(ctx));
    OCLIN_TRY(run_factor(ctx, uses, (float)max_norm, (float)scale));
    if (!ctx->verify) return OCLIN_OK;
    return oclin_uses_verified(uses, 2, oclin_verify_factor(norm2, max_norm, scale, factor));
}

/* --------------------------------------------------------------------------------------- what is finite */

/* One matrix to look at: T itself, or dZ of dY and s. */
struct look {
    const oclin_tensor *t, *s; /* s NULL: T itself */
    struct spans spans;
};

static oclin_status prepare_look(oclin_context *ctx, const struct oclin_linear *layer, struct look *l)
{
    const struct oclin_kernel_request request = {
        .id = OCLIN_KERNEL_CHECK_FINITE,
        .activation = oclin_activation_row(l->s ? layer->activation : OCLIN_NONE)->name,
        .alpha = l->s ? layer->alpha : 0.0f};
    l->spans = spans_of(l->t->rows, l->t->cols, is_dense(l->t) && (!l->s || is_dense(l->s)));
    return prepare_spans(ctx, &request, &l->spans);
}

static oclin_status enqueue_look(oclin_context *ctx, const struct look *l, const oclin_tensor *flag)
{
    const struct oclin_operand t = oclin_operand_of(l->t), s = oclin_operand_of(l->s ? l->s : l->t),
                               to = oclin_operand_of(flag);
    struct oclin_arguments arguments = {l->spans.launch.kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, &t, 1);
    oclin_argument_operand(&arguments, &s, 1);
    argument_spans(&arguments, &l->spans);
    oclin_argument_operand(&arguments, &to, 0);
    return enqueue(ctx, &l->spans.launch, &arguments, "clEnqueueNDRangeKernel to look for NaN and Inf");
}

static struct oclin_use use_of_flag(oclin_tensor *flag)
{
    return (struct oclin_use){flag, "flag", OCLIN_I32, 1, 1, OCLIN_ADDS};
}

/* Looks at what the check says. The flag is uses[0]. */
static oclin_status find(struct oclin_finite_check *check, const struct oclin_use *uses, int count_of_uses)
{
    oclin_context *ctx = oclin_tensor_context(check->flag);
    struct look looks[2];
    int n = 0;
    for (int i = 0; i < 2; i++)
        if (check->looked_at[i] && check->looked_at[i]->rows > 0)
            looks[n++] = (struct look){.t = check->looked_at[i], .s = check->dy && i == 0 ? check->s : NULL};
    if (n == 0) return OCLIN_OK;
    if (ctx->verify) OCLIN_TRY(oclin_verify_finite_before(check));
    for (int i = 0; i < n; i++) OCLIN_TRY(prepare_look(ctx, &check->layer, &looks[i]));
    OCLIN_TRY(oclin_uses_settle(uses, count_of_uses));
    oclin_status status = OCLIN_OK;
    for (int i = 0; i < n && status == OCLIN_OK; i++) status = enqueue_look(ctx, &looks[i], check->flag);
    oclin_uses_written(uses, count_of_uses, status);
    if (status != OCLIN_OK || !ctx->verify) return status;
    return oclin_uses_verified(uses, count_of_uses, oclin_verify_finite(check));
}

oclin_status oclin_check_finite(oclin_tensor *t, oclin_tensor *flag)
{
    oclin_context *ctx;
    OCLIN_TRY(enter_pair(&ctx, t, "t", flag, "flag"));
    const struct oclin_use uses[] = {use_of_flag(flag), {t, "t", OCLIN_F32, t->rows, t->cols, OCLIN_READS}};
    OCLIN_TRY(oclin_uses_check(ctx, uses, 2));
    struct oclin_finite_check check = {.flag = flag, .looked_at = {t, NULL}};
    return find(&check, uses, 2);
}

static oclin_status find_in_dy(oclin_layer *l, oclin_tensor *dy, oclin_saved *saved, oclin_tensor *flag)
{
    struct oclin_gradient_call g;
    struct oclin_use uses[1 + OCLIN_GRADIENT_USES] = {use_of_flag(flag)};
    OCLIN_TRY(oclin_layer_gradient_call(l, dy, saved, &g));
    memcpy(uses + 1, g.uses, sizeof g.uses);
    OCLIN_TRY(oclin_uses_check(l->ctx, uses, 1 + OCLIN_GRADIENT_USES));
    struct oclin_finite_check check = {
        .flag = flag, .looked_at = {g.dy, g.x}, .layer = g.layer, .batch = g.batch, .dy = g.dy, .s = g.s};
    return find(&check, uses, 1 + OCLIN_GRADIENT_USES);
}

static oclin_status find_in_stored(const oclin_layer *l, oclin_tensor *flag)
{
    struct oclin_use uses[3] = {use_of_flag(flag)};
    struct oclin_finite_check check = {.flag = flag};
    OCLIN_TRY(check_stored(l));
    const int stored = use_stored(l, 1, 1, uses + 1);
    OCLIN_TRY(oclin_uses_check(l->ctx, uses, 1 + stored));
    for (int i = 0; i < stored; i++) check.looked_at[i] = uses[1 + i].tensor;
    return find(&check, uses, 1 + stored);
}

oclin_status oclin_layer_check_finite(oclin_layer *l, oclin_tensor *dy, oclin_tensor *flag,
                                      oclin_saved *saved)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    if (!flag) return oclin_fail(l->ctx, OCLIN_E_ARG, "flag is NULL");
    return dy && !holds_gradient(l) ? find_in_dy(l, dy, saved, flag) : find_in_stored(l, flag);
}
