/* oclin as one of the libraries that are timed. */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

struct state {
    oclin_context *ctx;
    const struct problem *p;
    oclin_layer *layer[MAX_SETS];
    oclin_tensor *x[MAX_SETS], *y[MAX_SETS], *dy[MAX_SETS], *dx[MAX_SETS];
    oclin_saved *saved[MAX_SETS]; /* of a forward with each X: for backward without a forward before it */
};

#define TRY(call)                                                                \
    do {                                                                         \
        if ((call) != OCLIN_OK) return sentence("%s", oclin_context_error(ctx)); \
    } while (0)

static oclin_layer *layer_of(struct state *s, int set)
{
    return s->layer[set % s->p->w_sets];
}

static void version(char *text, size_t size)
{
    const int v = oclin_version();
    snprintf(text, size, "oclin %d.%d.%d", v / 1000000, v / 1000 % 1000, v % 1000);
}

static const char *reset(void *state)
{
    struct state *s = state;
    oclin_context *ctx = s->ctx;
    for (int i = 0; i < s->p->w_sets; i++) {
        TRY(oclin_tensor_write(oclin_layer_w(s->layer[i]), s->p->w));
        TRY(oclin_tensor_write(oclin_layer_b(s->layer[i]), s->p->b));
        TRY(oclin_layer_zero_grad(s->layer[i]));
    }
    return NULL;
}

static const char *open_set(struct state *s, int i)
{
    const struct shape *n = &s->p->shape;
    oclin_context *ctx = s->ctx;
    TRY(oclin_tensor_create(&s->x[i], ctx, OCLIN_F32, n->batch, n->in));
    TRY(oclin_tensor_create(&s->dx[i], ctx, OCLIN_F32, n->batch, n->in));
    TRY(oclin_tensor_create(&s->y[i], ctx, OCLIN_F32, n->batch, n->out));
    TRY(oclin_tensor_create(&s->dy[i], ctx, OCLIN_F32, n->batch, n->out));
    TRY(oclin_saved_create(&s->saved[i], ctx));
    TRY(oclin_tensor_write(s->x[i], s->p->x[i]));
    TRY(oclin_tensor_write(s->dy[i], s->p->dy[i]));
    TRY(oclin_layer_forward_saved(layer_of(s, i), s->x[i], s->y[i], s->saved[i]));
    return NULL;
}

static const char *open_all(void **state, const struct problem *p, oclin_context *ctx)
{
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    struct state *s = calloc(1, sizeof *s);
    *state = s;
    if (!s) return "no memory";
    s->ctx = ctx;
    s->p = p;
    options.init = OCLIN_INIT_ZERO; /* reset() writes the numbers */
    for (int i = 0; i < p->w_sets; i++)
        TRY(oclin_layer_create(&s->layer[i], ctx, p->shape.in, p->shape.out, &options));
    const char *error = reset(s);
    for (int i = 0; i < p->sets && !error; i++) error = open_set(s, i);
    return error;
}

static void close_all(void *state)
{
    struct state *s = state;
    if (!s) return;
    for (int i = 0; i < MAX_SETS; i++) {
        oclin_saved_destroy(s->saved[i]);
        oclin_tensor_destroy(s->x[i]);
        oclin_tensor_destroy(s->dx[i]);
        oclin_tensor_destroy(s->y[i]);
        oclin_tensor_destroy(s->dy[i]);
        oclin_layer_destroy(s->layer[i]);
    }
    free(s);
}

static oclin_status step(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, oclin_tensor *dy, oclin_tensor *dx,
                         float lr)
{
    oclin_status status = oclin_layer_forward(l, x, y);
    if (status == OCLIN_OK) status = oclin_layer_backward(l, dy, dx);
    if (status == OCLIN_OK) status = oclin_layer_step(l, lr);
    return status == OCLIN_OK ? oclin_layer_zero_grad(l) : status;
}

static oclin_status fused_step(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, oclin_tensor *dy,
                               oclin_tensor *dx, float lr)
{
    const oclin_status status = oclin_layer_forward(l, x, y);
    return status == OCLIN_OK ? oclin_layer_backward_step(l, dy, dx, lr) : status;
}

static const char *enqueue(void *state, enum op op, int i, float lr)
{
    struct state *s = state;
    oclin_context *ctx = s->ctx;
    oclin_layer *l = layer_of(s, i);
    switch (op) {
    case FORWARD:
        TRY(oclin_layer_forward(l, s->x[i], s->y[i]));
        return NULL;
    case INFER:
        TRY(oclin_layer_infer(l, s->x[i], s->y[i]));
        return NULL;
    case DW: /* cleared first: dW is overwritten, and can be read afterwards */
        TRY(oclin_layer_zero_grad(l));
        TRY(oclin_layer_backward_saved(l, s->dy[i], NULL, s->saved[i]));
        return NULL;
    case DX:
        TRY(oclin_layer_backward_x_saved(l, s->dy[i], s->dx[i], s->saved[i]));
        return NULL;
    case STEP:
        TRY(step(l, s->x[i], s->y[i], s->dy[i], s->dx[i], lr));
        return NULL;
    case FUSED_STEP:
        TRY(fused_step(l, s->x[i], s->y[i], s->dy[i], s->dx[i], lr));
        return NULL;
    default:
        return "no operation of oclin";
    }
}

static const char *finish(void *state)
{
    oclin_context *ctx = ((struct state *)state)->ctx;
    TRY(oclin_context_finish(ctx));
    return NULL;
}

static const char *fetch(void *state, enum result what, int i, float *host)
{
    struct state *s = state;
    oclin_context *ctx = s->ctx;
    oclin_tensor *t = what == RESULT_Y    ? s->y[i]
                      : what == RESULT_DX ? s->dx[i]
                      : what == RESULT_DW ? oclin_layer_dw(layer_of(s, i))
                                          : oclin_layer_w(layer_of(s, i));
    TRY(oclin_tensor_read(t, host));
    return NULL;
}

const struct library library_oclin = {
    .name = "oclin",
    .adds_bias = 1,
    .version = version,
    .open = open_all,
    .close = close_all,
    .reset = reset,
    .enqueue = enqueue,
    .finish = finish,
    .fetch = fetch,
};
