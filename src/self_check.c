/* oclin_self_check: every operation on small shapes, each checked against the reference as it runs
 * (verify.c). */
#include "oclin_internal.h"

#include <math.h>
#include <stdlib.h>

/* Around the vector widths and small tiles, long enough for a second block of the sum, and aligned throughout. */
static const struct shape {
    int64_t batch, in, out;
} shapes[] = {{1, 1, 1}, {5, 7, 3}, {17, 33, 16}, {8, 300, 10}, {40, 20, 35}, {64, 32, 48}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* Everything that one round uses. Destroying NULL is fine, so a half-made bench is, too. */
struct bench {
    oclin_layer *layer;
    oclin_tensor *x, *y, *dy, *dx, *t, *labels, *loss, *correct;
};

static void bench_free(struct bench *b)
{
    oclin_layer_destroy(b->layer);
    oclin_tensor *const all[] = {b->x, b->y, b->dy, b->dx, b->t, b->labels, b->loss, b->correct};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) oclin_tensor_destroy(all[i]);
}

static oclin_status fill_random(oclin_tensor *t, uint64_t seed)
{
    const int64_t n = t->rows * t->cols;
    float *host = malloc((size_t)n * sizeof *host);
    if (!host)
        return oclin_fail(oclin_tensor_context(t), OCLIN_E_MEMORY, "no host memory for the self-check");
    oclin_random_fill(seed, 7, OCLIN_INIT_UNIFORM, 1.0, 0, n, host);
    const oclin_status status = oclin_tensor_write_inside(t, host);
    free(host);
    return status;
}

static oclin_status fill_labels(oclin_tensor *t, int64_t classes)
{
    int32_t labels[64];
    for (int64_t i = 0; i < t->rows; i++) labels[i] = (int32_t)(i * 7 % classes);
    return oclin_tensor_write_inside(t, labels);
}

static oclin_status bench_make(struct bench *b, oclin_context *ctx, const struct shape *s,
                               oclin_activation activation)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.activation = activation;
    o.gradient = activation == OCLIN_SIGMOID ? OCLIN_GRAD_MEAN : OCLIN_GRAD_SUM;
    o.bias = activation != OCLIN_TANH;
    OCLIN_TRY(oclin_layer_create(&b->layer, ctx, s->in, s->out, &o));
    OCLIN_TRY(oclin_tensor_make(&b->x, ctx, OCLIN_F32, s->batch, s->in));
    OCLIN_TRY(oclin_tensor_make(&b->dx, ctx, OCLIN_F32, s->batch, s->in));
    OCLIN_TRY(oclin_tensor_make(&b->y, ctx, OCLIN_F32, s->batch, s->out));
    OCLIN_TRY(oclin_tensor_make(&b->dy, ctx, OCLIN_F32, s->batch, s->out));
    OCLIN_TRY(oclin_tensor_make(&b->t, ctx, OCLIN_F32, s->batch, s->out));
    OCLIN_TRY(oclin_tensor_make(&b->labels, ctx, OCLIN_I32, s->batch, 1));
    OCLIN_TRY(oclin_tensor_make(&b->loss, ctx, OCLIN_F32, 1, 1));
    OCLIN_TRY(oclin_tensor_make(&b->correct, ctx, OCLIN_I32, 1, 1));
    OCLIN_TRY(fill_random(b->x, 1));
    OCLIN_TRY(fill_random(b->t, 2));
    return fill_labels(b->labels, s->out);
}

/* Outputs hold NaN before: a kernel that reads what it should overwrite shows it. */
static oclin_status poison(const struct bench *b)
{
    oclin_tensor *const outputs[] = {
        b->y, b->dy, b->dx, b->loss, oclin_layer_dw(b->layer), oclin_layer_db(b->layer)};
    for (size_t i = 0; i < sizeof outputs / sizeof *outputs; i++)
        if (outputs[i]) OCLIN_TRY(oclin_tensor_fill(outputs[i], NAN));
    return oclin_layer_zero_grad(b->layer); /* a mark: the NaN stays in memory */
}

/* The operations of training, in the order in which a program uses them. */
static oclin_status bench_run(const struct bench *b)
{
    struct oclin_loss_options add = OCLIN_LOSS_OPTIONS_INIT;
    add.accumulate = 1;
    OCLIN_TRY(poison(b));
    OCLIN_TRY(oclin_layer_infer(b->layer, b->x, b->y));
    OCLIN_TRY(oclin_layer_forward(b->layer, b->x, b->y));
    OCLIN_TRY(oclin_loss_cross_entropy(b->y, b->labels, b->loss, b->dy, b->correct, NULL));
    OCLIN_TRY(oclin_loss_mse(b->y, b->t, b->loss, b->dy, &add));
    OCLIN_TRY(oclin_layer_backward(b->layer, b->dy, b->dx));
    OCLIN_TRY(oclin_layer_backward(b->layer, b->dy, NULL));
    OCLIN_TRY(oclin_layer_step(b->layer, 0.1f));
    OCLIN_TRY(oclin_layer_zero_grad(b->layer));
    return oclin_layer_backward_step(b->layer, b->dy, b->dx, 0.1f);
}

oclin_status oclin_self_check(oclin_context *ctx, double *worst)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    const int verify = ctx->verify;
    ctx->verify = 1;
    ctx->verify_worst = 0.0;
    oclin_status status = OCLIN_OK;
    for (int activation = OCLIN_NONE; activation <= OCLIN_GELU; activation++)
        for (int i = 0; i < SHAPES && status == OCLIN_OK; i++) {
            struct bench b = {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL};
            status = bench_make(&b, ctx, &shapes[i], (oclin_activation)activation);
            if (status == OCLIN_OK) status = bench_run(&b);
            bench_free(&b);
        }
    ctx->verify = verify;
    if (worst) *worst = ctx->verify_worst;
    return status;
}
