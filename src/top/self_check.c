/* oclin_self_check: runs every operation on small shapes and checks each against the reference as it runs
 * (verify.c). */
#include "top/self_check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/random.h"
#include "core/context.h"
#include "core/error.h"
#include "ops/activation.h"
#include "plan/additions.h"
#include "plan/plan.h"
#include "tensor/tensor.h"

/*
 * A kernel is built for a product, a tile and an activation. There are too many combinations to compile them
 * all. So run i of a round has activation i and a plan of its own, and a round has every tile that oclin may
 * choose (plan.c) and every activation.
 *
 * The first round is aligned, and its sizes come from the plan's tile. Each product has rows of A and
 * columns of B for more than one part, and in some run each has a sum of more than one block. The last part
 * is ragged: MORE is a whole strip of rows, or panel of columns, and some of the next one. Fixed sizes would
 * not do, because a part of packing is 96 rows with 8 lanes and 192 with 16.
 *
 * The second round is ragged throughout and has batches for the kernels that serve small batches. Its fourth
 * run has enough columns for two groups even on one core. The run with GELU is small, because GELU's
 * reference is slow.
 *
 * Where a device splits sums over groups, two more rounds are these two on the plans that do.
 */
enum { MORE = 20 };

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* Returns the shortest of some lengths at which the context's plan makes a sum in slices (additions.c), or
 * 0 if it makes none. */
static int64_t sliced_length(const oclin_context *ctx)
{
    for (int64_t k = 4096 + MORE; k < 1 << 18; k *= 2) {
        const struct oclin_product p =
            oclin_plan_shaped(OCLIN_KERNEL_GRAD_W, (struct oclin_shape){k, MORE, MORE});
        struct oclin_plan plan;
        if (oclin_plan_product(ctx, &p, 0, &plan) && oclin_slices(&plan, k) > 1) return k;
    }
    return 0;
}

struct oclin_shape oclin_self_check_shape(const oclin_context *ctx, int round, int run)
{
    static const struct oclin_shape second[OCLIN_CHECK_RUNS] = {
        {16, 2100, 50}, {2, 131, 33}, {17, 33, 131}, {33, 517, 197}, {1, 67, 35}};
    if (round % OCLIN_CHECK_SPLIT > 0) return second[run];
    const struct oclin_part part = oclin_plan_part(ctx, oclin_plan_to_check(ctx, round, run));
    const int64_t m = part.m + MORE, n = part.n + MORE, k = part.k + MORE;
    const struct oclin_shape first[OCLIN_CHECK_RUNS] = {{m, n, larger(m, n)},
                                                        {m, larger(n, k), n}, /* forward: k in blocks, too */
                                                        {m, n, larger(m, k)}, /* dX */
                                                        {larger(m, k), 28, 16}, /* dW */
                                                        {12, n, m}};            /* dW: A in parts */
    return first[run];
}

/* What one run checks. */
struct run {
    struct oclin_shape shape;
    int activation;
    int transposed; /* W is stored as (in, out), which other kernels compute with */
    int norms;      /* with the norm of its gradient, too */
    const struct oclin_optimizer_options *rule; /* that updates the parameters; NULL: training by plain SGD */
};

/* Everything that one run uses. Destroying NULL is fine, so a half-made bench can be freed as well. */
struct bench {
    oclin_layer *layer;
    oclin_tensor *x, *y, *dy, *dx, *t, *rows, *labels, *indices, *loss, *correct, *factor;
};

static void bench_free(struct bench *b)
{
    oclin_layer_destroy(b->layer);
    oclin_tensor *const all[] = {b->x,      b->y,       b->dy,   b->dx,      b->t,     b->rows,
                                 b->labels, b->indices, b->loss, b->correct, b->factor};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) oclin_tensor_destroy(all[i]);
}

/* Takes host memory for all elements of t; fails if there is none. */
static oclin_status host_memory(const oclin_tensor *t, void **host)
{
    *host = malloc(oclin_tensor_host_bytes(t));
    return *host ? OCLIN_OK
                 : oclin_fail(oclin_tensor_context(t), OCLIN_E_MEMORY, "no host memory for the self-check");
}

static oclin_status fill_random(oclin_tensor *t, uint64_t seed)
{
    void *host;
    OCLIN_TRY(host_memory(t, &host));
    oclin_random_fill(seed, 7, OCLIN_INIT_UNIFORM, 1.0, 0, t->rows * t->cols, host);
    const oclin_status status = oclin_tensor_write_inside(t, host);
    free(host);
    return status;
}

static oclin_status fill_labels(oclin_tensor *t, int64_t classes)
{
    void *host;
    OCLIN_TRY(host_memory(t, &host));
    int32_t *labels = host;
    for (int64_t i = 0; i < t->rows; i++) labels[i] = (int32_t)(i * 7 % classes);
    const oclin_status status = oclin_tensor_write_inside(t, labels);
    free(host);
    return status;
}

static oclin_status bench_make(struct bench *b, oclin_context *ctx, const struct run *run)
{
    const struct oclin_shape *s = &run->shape;
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.activation = (oclin_activation)run->activation;
    o.gradient = run->activation % OCLIN_CHECK_RUNS == 2 ? OCLIN_GRAD_MEAN : OCLIN_GRAD_SUM;
    o.bias = run->activation % OCLIN_CHECK_RUNS != 3;
    o.transposed = run->transposed;
    OCLIN_TRY(oclin_layer_create(&b->layer, ctx, s->in, s->out, &o));
    OCLIN_TRY(oclin_tensor_make(&b->x, ctx, OCLIN_F32, s->batch, s->in));
    OCLIN_TRY(oclin_tensor_make(&b->dx, ctx, OCLIN_F32, s->batch, s->in));
    OCLIN_TRY(oclin_tensor_make(&b->y, ctx, OCLIN_F32, s->batch, s->out));
    OCLIN_TRY(oclin_tensor_make(&b->dy, ctx, OCLIN_F32, s->batch, s->out));
    OCLIN_TRY(oclin_tensor_make(&b->t, ctx, OCLIN_F32, s->batch, s->out));
    OCLIN_TRY(oclin_tensor_make(&b->rows, ctx, OCLIN_F32, s->batch, s->out));
    OCLIN_TRY(oclin_tensor_make(&b->labels, ctx, OCLIN_I32, s->batch, 1));
    OCLIN_TRY(oclin_tensor_make(&b->indices, ctx, OCLIN_I32, s->batch, 1));
    OCLIN_TRY(oclin_tensor_make(&b->loss, ctx, OCLIN_F32, 1, 1));
    OCLIN_TRY(oclin_tensor_make(&b->correct, ctx, OCLIN_I32, 1, 1));
    OCLIN_TRY(oclin_tensor_make(&b->factor, ctx, OCLIN_F32, 1, 1));
    OCLIN_TRY(fill_random(b->x, 1));
    OCLIN_TRY(fill_random(b->t, 2));
    return fill_labels(b->labels, s->out);
}

/* Fills outputs with NaN before a run, so that a kernel shows if it reads what it should overwrite. */
static oclin_status poison(const struct bench *b)
{
    OCLIN_TRY(oclin_layer_reserve(b->layer, 0)); /* makes dw and db, or says why there are none */
    oclin_tensor *const outputs[] = {
        b->y, b->dy, b->dx, b->rows, b->loss, oclin_layer_dw(b->layer), oclin_layer_db(b->layer)};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        if (outputs[i]) OCLIN_TRY(oclin_tensor_fill(outputs[i], NAN));
    return oclin_layer_zero_grad(b->layer); /* only a mark: the NaN stays in memory */
}

/* If there are more classes than samples, some labels are not rows of t. */
static oclin_status run_arrays(const struct bench *b)
{
    OCLIN_TRY(oclin_tensor_gather_rows(b->rows, b->t, b->labels));
    OCLIN_TRY(oclin_tensor_copy(b->rows, b->t));
    return oclin_tensor_add(b->rows, b->y, -0.75f);
}

/* Looks at the gradient before it is stored, and at the parameters. */
static oclin_status run_norms(const struct bench *b)
{
    OCLIN_TRY(oclin_tensor_fill(b->correct, 0));
    OCLIN_TRY(oclin_check_finite(b->x, b->correct));
    OCLIN_TRY(oclin_layer_check_finite(b->layer, b->dy, b->correct, NULL));
    OCLIN_TRY(oclin_tensor_norm2(oclin_layer_w(b->layer), b->loss, 0));
    OCLIN_TRY(oclin_layer_grad_norm2(b->layer, b->dy, b->loss, NULL));
    return oclin_clip_factor(b->loss, 0.5, 0.5, b->factor);
}

/* Runs the operations of training in the order in which a program uses them. */
static oclin_status bench_run(const struct bench *b, const struct run *run)
{
    struct oclin_loss_options add = OCLIN_LOSS_OPTIONS_INIT, ignoring = add;
    add.accumulate = 1;
    ignoring.ignore_index = 0;
    ignoring.label_smoothing = 0.125f;
    OCLIN_TRY(poison(b));
    OCLIN_TRY(oclin_layer_infer(b->layer, b->x, b->y));
    OCLIN_TRY(oclin_layer_forward(b->layer, b->x, b->y));
    OCLIN_TRY(oclin_softmax(b->y, b->dy));
    OCLIN_TRY(oclin_tensor_argmax(b->y, b->indices));
    OCLIN_TRY(oclin_loss_cross_entropy(b->y, b->labels, b->loss, b->dy, b->correct, NULL));
    OCLIN_TRY(oclin_loss_cross_entropy(b->y, b->labels, b->loss, b->dy, b->correct, &ignoring));
    OCLIN_TRY(oclin_loss_soft_cross_entropy(b->y, b->t, b->loss, b->dy, NULL));
    OCLIN_TRY(oclin_loss_l1(b->y, b->t, b->loss, b->dy, NULL));
    OCLIN_TRY(oclin_loss_huber(b->y, b->t, b->loss, b->dy, NULL));
    OCLIN_TRY(oclin_loss_bce(b->y, b->t, b->loss, b->dy, NULL));
    OCLIN_TRY(oclin_loss_mse(b->y, b->t, b->loss, b->dy, &add));
    OCLIN_TRY(run_arrays(b));
    if (run->norms) OCLIN_TRY(run_norms(b));
    OCLIN_TRY(oclin_layer_backward(b->layer, b->dy, b->dx));
    OCLIN_TRY(oclin_layer_backward(b->layer, b->dy, NULL));
    OCLIN_TRY(oclin_layer_backward_x(b->layer, b->dy, b->dx));
    OCLIN_TRY(oclin_layer_step(b->layer, 0.1f));
    OCLIN_TRY(oclin_layer_zero_grad(b->layer));
    return oclin_layer_backward_step(b->layer, b->dy, b->dx, 0.1f);
}

/* Updates the parameters in backward by numbers of the host, and after it by numbers of the device: each
 * kernel more takes its time to compile. */
static oclin_status run_updates(const struct bench *b, oclin_optimizer *optimizer)
{
    struct oclin_update u = OCLIN_UPDATE_INIT(0.01), scaled = u;
    scaled.factor = b->loss;
    scaled.skip = b->correct;
    OCLIN_TRY(oclin_tensor_fill(b->loss, 0.5));
    OCLIN_TRY(oclin_tensor_fill(b->correct, 0));
    OCLIN_TRY(oclin_optimizer_add(optimizer, b->layer, NULL));
    OCLIN_TRY(oclin_layer_forward(b->layer, b->x, b->y));
    OCLIN_TRY(oclin_loss_mse(b->y, b->t, NULL, b->dy, NULL));
    OCLIN_TRY(oclin_layer_backward_update(b->layer, b->dy, b->dx, optimizer, &u));
    OCLIN_TRY(oclin_layer_backward_update(b->layer, b->dy, b->dx, optimizer, &u));
    OCLIN_TRY(oclin_layer_backward(b->layer, b->dy, NULL));
    OCLIN_TRY(oclin_layer_update(b->layer, optimizer, &scaled));
    OCLIN_TRY(oclin_tensor_fill(b->correct, 1));
    return oclin_layer_update(b->layer, optimizer, &scaled);
}

static oclin_status rule_run(const struct bench *b, oclin_context *ctx,
                             const struct oclin_optimizer_options *rule)
{
    oclin_optimizer *optimizer;
    OCLIN_TRY(oclin_optimizer_create(&optimizer, ctx, rule));
    const oclin_status status = run_updates(b, optimizer);
    oclin_optimizer_destroy(optimizer);
    return status;
}

static oclin_status check_here(oclin_context *ctx, const struct run *run)
{
    struct bench b = {.layer = NULL};
    oclin_status status = bench_make(&b, ctx, run);
    if (status == OCLIN_OK) status = run->rule ? rule_run(&b, ctx, run->rule) : bench_run(&b, run);
    bench_free(&b);
    return status;
}

/* Adds the place of the failure to the sentence of verify.c: a report to the maker of the driver needs it. */
static oclin_status say_where(oclin_context *ctx, const struct run *run)
{
    char said[sizeof ctx->error];
    memcpy(said, ctx->error, sizeof said);
    return oclin_fail(ctx, OCLIN_E_VERIFY,
                      "%.300s (batch %lld, %lld to %lld features%s, activation %s, plan %s)", said,
                      (long long)run->shape.batch, (long long)run->shape.in, (long long)run->shape.out,
                      run->transposed ? ", W transposed" : "",
                      oclin_activation_row((oclin_activation)run->activation)->name,
                      ctx->plan.name[0] ? ctx->plan.name : "by device");
}

/* Checks a run on this plan, which the caller's context has for the time being. */
static oclin_status check_on(oclin_context *ctx, const char *name, const struct run *run)
{
    const struct oclin_plan_choice asked = ctx->plan;
    oclin_plan_select(ctx, name);
    oclin_status status = check_here(ctx, run);
    /* A kernel that the driver cannot build is passed over, as it is when oclin chooses the plan. But it
     * is a failure while somebody works on kernels (OCLIN_CL_DIR is set). */
    if ((status == OCLIN_E_DEVICE || (status == OCLIN_E_BUILD && !ctx->cl_dir)) &&
        strcmp(name, asked.name) != 0) {
        ctx->plan = asked;
        oclin_forget_error(ctx); /* the log has kept it */
        status = check_here(ctx, run);
    }
    if (status == OCLIN_E_VERIFY) say_where(ctx, run);
    ctx->plan = asked;
    return status;
}

static oclin_status check_run(oclin_context *ctx, int round, int number)
{
    const char *name = oclin_plan_to_check(ctx, round, number);
    if (!name) return OCLIN_OK;
    const struct run run = {oclin_self_check_shape(ctx, round, number), number, 0, 0, NULL};
    return check_on(ctx, name, &run);
}

/* Checks the plans of the first round with a W that is stored as (in, out), on the shapes of the second. */
static oclin_status check_transposed(oclin_context *ctx)
{
    const char *first = oclin_plan_to_check(ctx, 0, 0);
    for (int i = 0; i < OCLIN_CHECK_RUNS; i++) {
        const char *name = oclin_plan_to_check(ctx, 0, i);
        const struct run run = {oclin_self_check_shape(ctx, 1, i), i == 0 ? OCLIN_RELU : OCLIN_NONE, 1,
                                i == 0, NULL};
        if (i > 0 && strcmp(name, first) == 0) break; /* the plans have begun again */
        OCLIN_TRY(check_on(ctx, name, &run));
    }
    return OCLIN_OK;
}

/* Checks each activation that the two rounds have no run for, once, on the shapes of the second round. */
static oclin_status check_further_activations(oclin_context *ctx)
{
    for (int a = OCLIN_CHECK_RUNS; oclin_activation_row((oclin_activation)a); a++) {
        const struct run run = {oclin_self_check_shape(ctx, 1, a % OCLIN_CHECK_RUNS), a, 0, 1, NULL};
        OCLIN_TRY(check_on(ctx, oclin_plan_to_check(ctx, a % 2, a), &run));
    }
    return OCLIN_OK;
}

/* Checks each rule of update once, with what options add to it, on the shapes of the second round. */
static oclin_status check_rules(oclin_context *ctx)
{
    struct oclin_optimizer_options rules[] = {OCLIN_SGD_OPTIONS_INIT, OCLIN_ADAM_OPTIONS_INIT,
                                              OCLIN_ADAMW_OPTIONS_INIT, OCLIN_LION_OPTIONS_INIT,
                                              OCLIN_SCHEDULE_FREE_OPTIONS_INIT};
    rules[0].momentum = 0.9;
    rules[0].nesterov = rules[2].amsgrad = 1;
    for (int i = 0; i < OCLIN_CHECK_RUNS; i++) {
        const struct run run = {oclin_self_check_shape(ctx, 1, i), OCLIN_NONE, 0, 0, &rules[i]};
        rules[i].weight_decay = 0.125;
        OCLIN_TRY(check_on(ctx, oclin_plan_to_check(ctx, i % 2, i), &run));
    }
    return OCLIN_OK;
}

/* Checks each product once with a sum in slices, by the kernels of the very first run; dW, whose slices
 * have a place of their own, also where it is stored as (in, out). */
static oclin_status check_slices(oclin_context *ctx)
{
    const char *name = oclin_plan_to_check(ctx, 0, 0);
    const struct oclin_plan_choice asked = ctx->plan;
    oclin_plan_select(ctx, name);
    const int64_t k = sliced_length(ctx);
    ctx->plan = asked;
    const struct run runs[] = {{{k, 4, 4}, OCLIN_NONE, 0, 0, NULL},
                               {{4, k, 4}, OCLIN_NONE, 0, 0, NULL},
                               {{4, 4, k}, OCLIN_NONE, 0, 0, NULL},
                               {{k, 5, 7}, OCLIN_NONE, 1, 1, NULL}};
    for (int i = 0; i < 4 && k > 0; i++) OCLIN_TRY(check_on(ctx, name, &runs[i]));
    return OCLIN_OK;
}

oclin_status oclin_self_check(oclin_context *ctx, double *worst)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    const int verify = ctx->verify, strict = ctx->strict;
    ctx->verify = 1;
    ctx->verify_rule = OCLIN_RANDOM; /* its own data are random */
    ctx->strict = 0;                 /* on purpose the sequence of operations uses a W that has changed */
    ctx->verify_worst = 0.0;
    oclin_status status = OCLIN_OK;
    for (int i = 0; i < OCLIN_CHECK_ROUNDS * OCLIN_CHECK_RUNS && status == OCLIN_OK; i++)
        status = check_run(ctx, i / OCLIN_CHECK_RUNS, i % OCLIN_CHECK_RUNS);
    if (status == OCLIN_OK) status = check_further_activations(ctx);
    if (status == OCLIN_OK) status = check_transposed(ctx);
    if (status == OCLIN_OK) status = check_slices(ctx);
    if (status == OCLIN_OK) status = check_rules(ctx);
    ctx->verify = verify;
    ctx->verify_rule = OCLIN_PROVEN;
    ctx->strict = strict;
    if (worst) *worst = ctx->verify_worst;
    return status;
}
