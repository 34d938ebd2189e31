/* A sequence of layers, and the memory between them. */
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "layer.h"
#include "loss.h"
#include "optimizer.h"
#include "tensor/uses.h"

/* A layer in its place. */
struct part {
    oclin_layer *layer;
    int owned; /* the network made it */
    int residual;
    oclin_saved *saved;
    oclin_tensor *y;  /* memory of its outputs; NULL until a forward needs it */
    oclin_tensor *dy; /* of their gradient, where all are kept; NULL until a step with limits needs it */
};

/* Views for one size of batches: of part i, its output is views[i], and the i-th row of gradients, which is
 * the output of an infer as well, is views[n + i]; where all gradients are kept, it is views[2 n + i]. NULL
 * until needed. */
struct window {
    int64_t rows;
    uint64_t used; /* when; 0: never, and rows says nothing */
    oclin_tensor **views;
};

enum { WINDOWS = 4, VIEWS = 3 /* of a part */ };

struct oclin_network {
    oclin_context *ctx;
    int64_t n;
    struct part *parts;
    oclin_tensor *turns[2]; /* memory that gradients take turns in: that behind part i in turns[i % 2] */
    struct window windows[WINDOWS];
    uint64_t clock;
    int64_t batch;        /* of the last forward; -1: there is none */
    oclin_tensor *output; /* of the last forward */
    int64_t reserved;     /* all memory of a training step is there for batches of so many samples */
    oclin_tensor *norm2, *factor, *skipped; /* scalars of steps with limits; NULL until needed */
};

/* Adds the number of the layer to the sentence of a failure. */
static oclin_status of_layer(const oclin_network *net, int64_t i, oclin_status status)
{
    char sentence[sizeof net->ctx->error];
    if (status == OCLIN_OK) return status;
    memcpy(sentence, net->ctx->error, sizeof sentence);
    return oclin_fail(net->ctx, status, "layer %lld: %s", (long long)i, sentence);
}

/* As OCLIN_TRY(), of a call of layer i. */
#define TRY_LAYER(net, i, call) OCLIN_TRY(of_layer(net, i, call))

static int64_t out_of(const oclin_network *net, int64_t i)
{
    return oclin_layer_out(net->parts[i].layer);
}

static int64_t in_of(const oclin_network *net, int64_t i)
{
    return oclin_layer_in(net->parts[i].layer);
}

/* ---------------------------------------------------------------------------------- making and dropping */

static oclin_status read_options(oclin_context *ctx, int64_t n, struct oclin_network_options *o,
                                 const struct oclin_network_options *from)
{
    OCLIN_TRY(oclin_options_read(ctx, o, sizeof *o, from));
    if (n < 1 || oclin_multiply(n, VIEWS * WINDOWS * (int64_t)sizeof(struct part)) < 0)
        return oclin_fail(ctx, OCLIN_E_ARG, "a network of %lld layers is not possible", (long long)n);
    if (o->gradient != OCLIN_GRAD_SUM && o->gradient != OCLIN_GRAD_MEAN)
        return oclin_fail(ctx, OCLIN_E_ARG, "gradient %d is not known", (int)o->gradient);
    if (o->reserved) return oclin_fail(ctx, OCLIN_E_ARG, "reserved is %d, 0 is needed", o->reserved);
    for (int64_t i = 0; o->residual && i < n; i++)
        if (o->residual[i] != 0 && o->residual[i] != 1)
            return oclin_fail(ctx, OCLIN_E_ARG, "layer %lld: residual is %d, 0 or 1 is needed", (long long)i,
                              o->residual[i]);
    return OCLIN_OK;
}

/* Makes a network without layers. */
static oclin_status make_empty(oclin_network **network, oclin_context *ctx, int64_t n,
                               const struct oclin_network_options *o)
{
    oclin_network *net = calloc(1, sizeof *net);
    if (!net) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a network");
    oclin_context_retain(ctx);
    net->ctx = ctx;
    net->batch = net->reserved = -1;
    *network = net;
    net->parts = calloc((size_t)n, sizeof *net->parts);
    oclin_tensor **views = calloc((size_t)n, VIEWS * WINDOWS * sizeof *views);
    net->windows[0].views = views;
    if (!net->parts || !views)
        return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a network of %lld layers", (long long)n);
    net->n = n;
    for (int i = 0; i < WINDOWS; i++) net->windows[i].views = views + VIEWS * n * i;
    for (int64_t i = 0; i < n; i++) {
        net->parts[i].residual = o->residual && o->residual[i];
        OCLIN_TRY(oclin_saved_create(&net->parts[i].saved, ctx));
    }
    return OCLIN_OK;
}

/* Checks that each layer takes what the one before it gives. */
static oclin_status check_chain(const oclin_network *net)
{
    for (int64_t i = 0; i < net->n; i++) {
        if (i > 0 && in_of(net, i) != out_of(net, i - 1))
            return oclin_fail(net->ctx, OCLIN_E_SHAPE,
                              "layer %lld takes %lld features, but %lld come from layer %lld", (long long)i,
                              (long long)in_of(net, i), (long long)out_of(net, i - 1), (long long)i - 1);
        if (net->parts[i].residual && in_of(net, i) != out_of(net, i))
            return oclin_fail(
                net->ctx, OCLIN_E_SHAPE,
                "layer %lld: a residual branch from %lld to %lld features cannot be added to its input",
                (long long)i, (long long)in_of(net, i), (long long)out_of(net, i));
    }
    return OCLIN_OK;
}

/* Makes layer i as the options say. */
static oclin_status make_layer(oclin_network *net, int64_t i, const int64_t *widths,
                               const oclin_activation *activations, const struct oclin_network_options *o)
{
    struct oclin_layer_options usual = OCLIN_LAYER_OPTIONS_INIT;
    const struct oclin_layer_options *from = o->layers ? o->layers[i] : NULL;
    if (from)
        OCLIN_TRY(oclin_options_read(net->ctx, &usual, sizeof usual, from));
    else {
        usual.gradient = o->gradient;
        usual.seed = o->seed + (uint64_t)i;
    }
    usual.size = sizeof usual;
    usual.activation = activations ? activations[i] : i < net->n - 1 ? OCLIN_RELU : OCLIN_NONE;
    net->parts[i].owned = 1;
    return oclin_layer_create(&net->parts[i].layer, net->ctx, widths[i], widths[i + 1], &usual);
}

static oclin_status make_layers(oclin_network *net, const int64_t *widths,
                                const oclin_activation *activations, const struct oclin_network_options *o)
{
    for (int64_t i = 0; i < net->n; i++) TRY_LAYER(net, i, make_layer(net, i, widths, activations, o));
    return check_chain(net);
}

static oclin_status take_layers(oclin_network *net, oclin_layer *const *layers)
{
    for (int64_t i = 0; i < net->n; i++) {
        if (!layers[i]) return oclin_fail(net->ctx, OCLIN_E_ARG, "layer %lld is NULL", (long long)i);
        if (layers[i]->ctx != net->ctx)
            return oclin_fail(net->ctx, OCLIN_E_ARG, "layer %lld belongs to another context", (long long)i);
        for (int64_t j = 0; j < i; j++)
            if (layers[j] == layers[i])
                return oclin_fail(net->ctx, OCLIN_E_ARG, "layer %lld is layer %lld again", (long long)i,
                                  (long long)j);
        net->parts[i].layer = layers[i];
    }
    return check_chain(net);
}

/* Hands out a network that was made, or destroys it. */
static oclin_status hand_out(oclin_network **network, oclin_network *net, oclin_status status)
{
    if (status == OCLIN_OK)
        *network = net;
    else
        oclin_network_destroy(net);
    return status;
}

/* Begins a call that makes a network of what is not NULL. */
static oclin_status enter_create(oclin_network **network, oclin_context *ctx, const void *given,
                                 const char *name)
{
    if (network) *network = NULL;
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!network) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the network is NULL");
    return given ? OCLIN_OK : oclin_fail(ctx, OCLIN_E_ARG, "%s is NULL", name);
}

oclin_status oclin_network_create(oclin_network **network, oclin_context *ctx, int64_t n,
                                  const int64_t *widths, const oclin_activation *activations,
                                  const struct oclin_network_options *options)
{
    struct oclin_network_options o = OCLIN_NETWORK_OPTIONS_INIT;
    oclin_network *net = NULL;
    OCLIN_TRY(enter_create(network, ctx, widths, "widths"));
    OCLIN_TRY(read_options(ctx, n, &o, options));
    oclin_status status = make_empty(&net, ctx, n, &o);
    if (status == OCLIN_OK) status = make_layers(net, widths, activations, &o);
    return hand_out(network, net, status);
}

oclin_status oclin_network_create_from(oclin_network **network, oclin_context *ctx, int64_t n,
                                       oclin_layer *const *layers,
                                       const struct oclin_network_options *options)
{
    struct oclin_network_options o = OCLIN_NETWORK_OPTIONS_INIT;
    oclin_network *net = NULL;
    OCLIN_TRY(enter_create(network, ctx, layers, "layers"));
    OCLIN_TRY(read_options(ctx, n, &o, options));
    oclin_status status = make_empty(&net, ctx, n, &o);
    if (status == OCLIN_OK) status = take_layers(net, layers);
    return hand_out(network, net, status);
}

static void drop(oclin_tensor **t)
{
    oclin_tensor_destroy(*t);
    *t = NULL;
}

static void drop_window(const oclin_network *net, struct window *w)
{
    for (int64_t i = 0; i < VIEWS * net->n; i++) drop(&w->views[i]);
    w->used = 0;
}

void oclin_network_destroy(oclin_network *net)
{
    if (!net) return;
    for (int i = 0; i < WINDOWS; i++) drop_window(net, &net->windows[i]);
    for (int64_t i = 0; i < net->n; i++) {
        struct part *p = &net->parts[i];
        oclin_saved_destroy(p->saved);
        drop(&p->y);
        drop(&p->dy);
        if (p->owned) oclin_layer_destroy(p->layer); /* others may be gone */
    }
    for (int i = 0; i < 2; i++) drop(&net->turns[i]);
    drop(&net->output);
    drop(&net->norm2);
    drop(&net->factor);
    drop(&net->skipped);
    free(net->windows[0].views);
    free(net->parts);
    oclin_context_destroy(net->ctx);
    free(net);
}

int64_t oclin_network_layers(const oclin_network *net)
{
    return net ? net->n : 0;
}

oclin_layer *oclin_network_layer(oclin_network *net, int64_t i)
{
    return net && i >= 0 && i < net->n ? net->parts[i].layer : NULL;
}

oclin_tensor *oclin_network_output(const oclin_network *net)
{
    return net ? net->output : NULL;
}

oclin_tensor *oclin_network_norm2(const oclin_network *net)
{
    return net ? net->norm2 : NULL;
}

oclin_tensor *oclin_network_skipped(const oclin_network *net)
{
    return net ? net->skipped : NULL;
}

/* ----------------------------------------------------------------------------------------------- memory */

/* Returns the window for batches of so many rows; another one may give way, that was not used for longest. */
static struct window *window_of(oclin_network *net, int64_t rows)
{
    struct window *w = net->windows, *oldest = w;
    for (int i = 0; i < WINDOWS; i++) {
        if (w[i].used && w[i].rows == rows) {
            w[i].used = ++net->clock;
            return &w[i];
        }
        if (w[i].used < oldest->used) oldest = &w[i];
    }
    drop_window(net, oldest);
    oldest->rows = rows;
    oldest->used = ++net->clock;
    return oldest;
}

/* Makes memory of at least so many rows; then the views number `first`, first + step and so on up to `end`
 * are of old memory. */
static oclin_status need_memory(oclin_network *net, oclin_tensor **memory, int64_t rows, int64_t cols,
                                int64_t first, int64_t end, int64_t step)
{
    oclin_tensor *larger;
    if (*memory && oclin_tensor_rows(*memory) >= rows) return OCLIN_OK;
    OCLIN_TRY(oclin_tensor_make(&larger, net->ctx, OCLIN_F32, rows, cols));
    oclin_tensor_destroy(*memory);
    *memory = larger;
    for (int w = 0; w < WINDOWS; w++)
        for (int64_t i = first; i < end; i += step) drop(&net->windows[w].views[i]);
    return OCLIN_OK;
}

static oclin_status need_view(oclin_tensor **view, oclin_tensor *memory, int64_t rows, int64_t cols)
{
    return *view ? OCLIN_OK : oclin_tensor_view(view, memory, 0, rows, cols, cols);
}

/* Takes the memory of gradients, and of what infer has between layers. */
static oclin_status need_turns(oclin_network *net, int64_t rows, const struct window *w)
{
    for (int turn = 0; turn < 2; turn++) {
        int64_t widest = 1;
        for (int64_t i = turn; i < net->n; i += 2)
            if (out_of(net, i) > widest) widest = out_of(net, i);
        OCLIN_TRY(need_memory(net, &net->turns[turn], rows, widest, net->n + turn, 2 * net->n, 2));
    }
    for (int64_t i = 0; i < net->n; i++)
        OCLIN_TRY(need_view(&w->views[net->n + i], net->turns[i % 2], rows, out_of(net, i)));
    return OCLIN_OK;
}

static oclin_status need_outputs(oclin_network *net, int64_t rows, const struct window *w)
{
    for (int64_t i = 0; i < net->n; i++) {
        struct part *p = &net->parts[i];
        OCLIN_TRY(need_memory(net, &p->y, rows, out_of(net, i), i, i + 1, 1));
        OCLIN_TRY(need_view(&w->views[i], p->y, rows, out_of(net, i)));
    }
    return OCLIN_OK;
}

/* Takes what is not the network's own memory. */
static oclin_status need_rest(oclin_network *net, int64_t rows)
{
    if (rows <= net->reserved) return OCLIN_OK;
    for (int64_t i = 0; i < net->n; i++) {
        const struct part *p = &net->parts[i];
        TRY_LAYER(net, i, oclin_layer_reserve_saved(p->layer, p->saved, rows, p->residual));
    }
    OCLIN_TRY(oclin_loss_reserve(net->ctx, rows));
    oclin_log(net->ctx, "a network has memory for %lld samples", (long long)rows);
    net->reserved = rows;
    return OCLIN_OK;
}

/* Takes all that a step of training needs, but dW and db. */
static oclin_status take_step(oclin_network *net, int64_t rows, struct window **window)
{
    struct window *w = *window = window_of(net, rows);
    OCLIN_TRY(need_turns(net, rows, w));
    OCLIN_TRY(need_outputs(net, rows, w));
    return need_rest(net, rows);
}

static oclin_status take_infer(oclin_network *net, int64_t rows, struct window **window)
{
    *window = window_of(net, rows);
    return need_turns(net, rows, *window);
}

/* Begins a call that takes memory. */
static oclin_status enter_reserve(oclin_network *net, int64_t batch)
{
    if (!net) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(net->ctx));
    return batch >= 0 ? OCLIN_OK
                      : oclin_fail(net->ctx, OCLIN_E_SHAPE, "a batch of %lld is negative", (long long)batch);
}

oclin_status oclin_network_reserve_step(oclin_network *net, int64_t batch)
{
    struct window *w;
    const int64_t before = net ? net->reserved : -1;
    OCLIN_TRY(enter_reserve(net, batch));
    net->reserved = -1; /* plans may have changed, and what they need */
    OCLIN_TRY(take_step(net, batch, &w));
    if (net->reserved < before) net->reserved = before;
    return OCLIN_OK;
}

oclin_status oclin_network_reserve(oclin_network *net, int64_t batch)
{
    OCLIN_TRY(oclin_network_reserve_step(net, batch));
    for (int64_t i = 0; i < net->n; i++) {
        const struct oclin_backward_ahead ahead = {.batch = batch, .clears = 1};
        TRY_LAYER(net, i, oclin_layer_check_backward(net->parts[i].layer, &ahead));
    }
    return OCLIN_OK;
}

oclin_status oclin_network_reserve_infer(oclin_network *net, int64_t batch)
{
    struct window *w;
    OCLIN_TRY(enter_reserve(net, batch));
    for (int64_t i = 0; i < net->n; i++)
        TRY_LAYER(net, i, oclin_layer_reserve_infer(net->parts[i].layer, batch));
    return take_infer(net, batch, &w);
}

/* ----------------------------------------------------------------------------------------- forward, infer */

/* Begins a call that takes x. */
static oclin_status enter_with_x(oclin_network *net, const oclin_tensor *x)
{
    if (!net) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(net->ctx));
    if (!x) return oclin_fail(net->ctx, OCLIN_E_ARG, "x is NULL");
    return oclin_tensor_check(net->ctx, x, "x", OCLIN_F32, x->rows, in_of(net, 0));
}

/* Checks that layer i can compute from x, into y (one of them, or both, not looked at if NULL). */
static oclin_status check_layer(const oclin_network *net, int64_t i, oclin_tensor *x, oclin_tensor *y)
{
    oclin_layer *l = net->parts[i].layer;
    const struct oclin_use uses[] = {oclin_use_as_it_is(x, "x", OCLIN_READS),
                                     oclin_use_as_it_is(y, "y", OCLIN_WRITES),
                                     oclin_use_as_it_is(oclin_layer_w(l), "w", OCLIN_READS),
                                     oclin_use_as_it_is(oclin_layer_b(l), "b", OCLIN_READS)};
    return of_layer(net, i, oclin_uses_check(net->ctx, uses, 4));
}

static oclin_status check_forward(const oclin_network *net, oclin_tensor *x, const struct window *w)
{
    for (int64_t i = 0; i < net->n; i++) OCLIN_TRY(check_layer(net, i, x, w->views[i]));
    return OCLIN_OK;
}

/* Returns the options of a call of part i. */
static struct oclin_call_options options_of(const struct part *p)
{
    struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
    o.saved = p->saved;
    o.accumulate = p->residual;
    return o;
}

/* Forward of part i, or infer. A residual branch is added to a copy of x. */
static oclin_status forward_part(const struct part *p, oclin_tensor *x, oclin_tensor *y, int infers)
{
    const struct oclin_call_options o = options_of(p);
    if (p->residual) OCLIN_TRY(oclin_tensor_copy(y, x));
    return infers ? oclin_layer_infer_with(p->layer, x, y, &o) : oclin_layer_forward_with(p->layer, x, y, &o);
}

/* Runs a forward that was checked. */
static oclin_status run_forward(oclin_network *net, oclin_tensor *x, const struct window *w)
{
    net->batch = -1;
    drop(&net->output);
    const int64_t rows = x->rows;
    for (int64_t i = 0; i < net->n; i++) {
        TRY_LAYER(net, i, forward_part(&net->parts[i], x, w->views[i], 0));
        x = w->views[i];
    }
    net->output = oclin_tensor_retain(x);
    net->batch = rows;
    return OCLIN_OK;
}

oclin_status oclin_network_forward(oclin_network *net, oclin_tensor *x, oclin_tensor **y)
{
    struct window *w;
    OCLIN_TRY(enter_with_x(net, x));
    OCLIN_TRY(take_step(net, x->rows, &w));
    OCLIN_TRY(check_forward(net, x, w));
    OCLIN_TRY(run_forward(net, x, w));
    if (y) *y = net->output;
    return OCLIN_OK;
}

oclin_status oclin_network_infer(oclin_network *net, oclin_tensor *x, oclin_tensor *y)
{
    struct window *w;
    OCLIN_TRY(enter_with_x(net, x));
    if (!y) return oclin_fail(net->ctx, OCLIN_E_ARG, "y is NULL");
    OCLIN_TRY(oclin_tensor_check(net->ctx, y, "y", OCLIN_F32, x->rows, out_of(net, net->n - 1)));
    OCLIN_TRY(take_infer(net, x->rows, &w));
    for (int64_t i = 0; i < net->n; i++) OCLIN_TRY(check_layer(net, i, x, y));
    for (int64_t i = 0; i < net->n; i++) {
        oclin_tensor *to = i < net->n - 1 ? w->views[net->n + i] : y;
        TRY_LAYER(net, i, forward_part(&net->parts[i], x, to, 1));
        x = to;
    }
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------------- backward */

/* A backward of the network. */
struct pass {
    oclin_tensor *dy, *dx;
    oclin_optimizer *optimizer;        /* NULL: all layers' gradients are stored */
    const struct oclin_update *update; /* NULL: they are stored */
    int clears;                        /* the gradients are cleared before */
    oclin_tensor *x;                   /* of a forward that is to come; NULL: it was */
    int64_t stop;                      /* the part that it ends with */
};

/* Returns 1 if the optimizer has frozen the part. */
static int is_frozen(const oclin_optimizer *optimizer, const struct part *p)
{
    const struct oclin_member *m = optimizer ? oclin_optimizer_member(optimizer, p->layer->id) : NULL;
    return m && m->freeze == OCLIN_FREEZE_LAYER;
}

/* Checks all that a pass of a batch needs, before anything is enqueued. */
static oclin_status check_pass(const oclin_network *net, struct pass *pass, int64_t batch)
{
    const int64_t last = net->n - 1;
    for (int64_t i = last; i >= 0; i--) {
        const struct part *p = &net->parts[i];
        const struct oclin_backward_ahead ahead = {.saved = pass->x ? NULL : p->saved,
                                                   .batch = batch,
                                                   .x = i == 0 ? pass->x : NULL,
                                                   .dy = i == last ? pass->dy : NULL,
                                                   .dx = i == 0 ? pass->dx : NULL,
                                                   .optimizer = pass->optimizer,
                                                   .update = pass->update,
                                                   .clears = pass->clears};
        TRY_LAYER(net, i, oclin_layer_check_backward(p->layer, &ahead));
    }
    pass->stop = 0;
    while (!pass->dx && pass->stop < last && is_frozen(pass->optimizer, &net->parts[pass->stop]))
        pass->stop++;
    return OCLIN_OK;
}

/* Backward of one part. What a residual branch adds its dX to is a copy of dY. */
static oclin_status backward_part(const struct pass *pass, const struct part *p, oclin_tensor *dy,
                                  oclin_tensor *dx)
{
    const struct oclin_call_options o = options_of(p);
    if (p->residual && dx) OCLIN_TRY(oclin_tensor_copy(dx, dy));
    if (is_frozen(pass->optimizer, p))
        return dx ? oclin_layer_backward_x_with(p->layer, dy, dx, &o) : OCLIN_OK;
    if (!pass->update) return oclin_layer_backward_with(p->layer, dy, dx, &o);
    return oclin_layer_backward_update_with(p->layer, dy, dx, pass->optimizer, pass->update, &o);
}

/* Runs a pass that was checked. */
static oclin_status run_pass(const oclin_network *net, const struct pass *pass, const struct window *w)
{
    oclin_tensor *dy = pass->dy;
    for (int64_t i = net->n - 1; i >= pass->stop; i--) {
        oclin_tensor *dx = i == 0 ? pass->dx : i > pass->stop ? w->views[net->n + i - 1] : NULL;
        TRY_LAYER(net, i, backward_part(pass, &net->parts[i], dy, dx));
        dy = dx;
    }
    return OCLIN_OK;
}

/* Begins a backward, checks it and runs it. */
static oclin_status backward(oclin_network *net, struct pass *pass)
{
    oclin_context *ctx = net->ctx;
    struct window *w;
    if (!pass->dy) return oclin_fail(ctx, OCLIN_E_ARG, "dy is NULL");
    if (net->batch < 0)
        return oclin_fail(ctx, OCLIN_E_STATE, "backward before forward, or after one that failed");
    OCLIN_TRY(take_infer(net, net->batch, &w));
    OCLIN_TRY(check_pass(net, pass, net->batch));
    return run_pass(net, pass, w);
}

oclin_status oclin_network_backward(oclin_network *net, oclin_tensor *dy, oclin_tensor *dx)
{
    struct pass pass = {.dy = dy, .dx = dx};
    if (!net) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(net->ctx));
    return backward(net, &pass);
}

static oclin_status clear_gradients(const oclin_network *net)
{
    for (int64_t i = 0; i < net->n; i++) TRY_LAYER(net, i, oclin_layer_zero_grad(net->parts[i].layer));
    return OCLIN_OK;
}

oclin_status oclin_network_zero_grad(oclin_network *net)
{
    if (!net) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(net->ctx));
    return clear_gradients(net);
}

/* --------------------------------------------------------------------------------------------- updates */

oclin_status oclin_network_add(oclin_optimizer *optimizer, oclin_network *net)
{
    if (!optimizer) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(optimizer->ctx));
    if (!net) return oclin_fail(optimizer->ctx, OCLIN_E_ARG, "network is NULL");
    if (net->ctx != optimizer->ctx)
        return oclin_fail(optimizer->ctx, OCLIN_E_ARG, "the network belongs to another context");
    const struct oclin_member *members = optimizer->members;
    const struct oclin_parameter *parameters = optimizer->parameters;
    for (int64_t i = 0; i < net->n; i++) {
        oclin_layer *l = net->parts[i].layer;
        if (oclin_optimizer_member(optimizer, l->id)) continue;
        const oclin_status status = oclin_optimizer_add(optimizer, l, NULL);
        if (status == OCLIN_OK) continue;
        oclin_optimizer_take_out(optimizer, members, parameters);
        return of_layer(net, i, status);
    }
    return OCLIN_OK;
}

/* Begins a call that updates. */
static oclin_status enter_update(const oclin_network *net, const oclin_optimizer *optimizer,
                                 const struct oclin_update *update)
{
    if (!net) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(net->ctx));
    if (!optimizer || !update)
        return oclin_fail(net->ctx, OCLIN_E_ARG, "%s is NULL", optimizer ? "update" : "optimizer");
    return OCLIN_OK;
}

oclin_status oclin_network_update(oclin_network *net, oclin_optimizer *optimizer,
                                  const struct oclin_update *update)
{
    OCLIN_TRY(enter_update(net, optimizer, update));
    for (int64_t i = 0; i < net->n; i++)
        TRY_LAYER(net, i, oclin_layer_check_update(net->parts[i].layer, optimizer, update));
    for (int64_t i = 0; i < net->n; i++)
        TRY_LAYER(net, i, oclin_layer_update(net->parts[i].layer, optimizer, update));
    return OCLIN_OK;
}

oclin_status oclin_network_backward_update(oclin_network *net, oclin_tensor *dy, oclin_tensor *dx,
                                           oclin_optimizer *optimizer, const struct oclin_update *update)
{
    struct pass pass = {.dy = dy, .dx = dx, .optimizer = optimizer, .update = update};
    OCLIN_TRY(enter_update(net, optimizer, update));
    return backward(net, &pass);
}

/* ----------------------------------------------------------------------------------------------- a step */

/* Returns 1 if the update depends on all gradients together. */
static int has_limits(const struct oclin_train_step_options *o)
{
    return o->max_norm != 0 || o->check_finite;
}

static oclin_status check_limits(oclin_context *ctx, const struct oclin_train_step_options *o)
{
    const struct oclin_update *u = o->update;
    if (!(o->max_norm >= 0))
        return oclin_fail(ctx, OCLIN_E_ARG, "max_norm is %g, a number >= 0 is needed", o->max_norm);
    if (o->check_finite != 0 && o->check_finite != 1)
        return oclin_fail(ctx, OCLIN_E_ARG, "check_finite is %d, 0 or 1 is needed", o->check_finite);
    if (has_limits(o) && !o->last)
        return oclin_fail(ctx, OCLIN_E_ARG, "max_norm or check_finite without an update: last is 0");
    if (o->max_norm != 0 && u && u->factor)
        return oclin_fail(ctx, OCLIN_E_ARG, "max_norm and a factor in the update exclude each other");
    if (o->check_finite && u && u->skip)
        return oclin_fail(ctx, OCLIN_E_ARG, "check_finite and a skip in the update exclude each other");
    return OCLIN_OK;
}

static oclin_status need_scalar(oclin_network *net, oclin_tensor **scalar, oclin_dtype dtype)
{
    return *scalar ? OCLIN_OK : oclin_tensor_make(scalar, net->ctx, dtype, 1, 1);
}

/* Takes what a step with limits needs besides. */
static oclin_status take_limits(oclin_network *net, const struct oclin_train_step_options *o, int64_t rows,
                                const struct window *w)
{
    if (o->max_norm != 0) OCLIN_TRY(need_scalar(net, &net->norm2, OCLIN_F32));
    if (o->max_norm != 0) OCLIN_TRY(need_scalar(net, &net->factor, OCLIN_F32));
    if (o->check_finite) OCLIN_TRY(need_scalar(net, &net->skipped, OCLIN_I32));
    for (int64_t i = 0; has_limits(o) && i < net->n; i++) {
        struct part *p = &net->parts[i];
        const int64_t at = 2 * net->n + i;
        OCLIN_TRY(need_memory(net, &p->dy, rows, out_of(net, i), at, at + 1, 1));
        OCLIN_TRY(need_view(&w->views[at], p->dy, rows, out_of(net, i)));
    }
    return OCLIN_OK;
}

/* Works out the scalars of a step with limits. stored: all gradients are; else each layer's dY is in w. */
static oclin_status run_scalars(oclin_network *net, const struct pass *pass, const struct window *w,
                                int stored, const struct oclin_train_step_options *o,
                                struct oclin_update *update)
{
    struct oclin_grad_norm_options norm = OCLIN_GRAD_NORM_OPTIONS_INIT;
    if (o->check_finite) OCLIN_TRY(oclin_tensor_fill(net->skipped, 0));
    if (o->max_norm != 0) OCLIN_TRY(oclin_tensor_fill(net->norm2, 0));
    norm.accumulate = 1;
    for (int64_t i = net->n - 1; i >= pass->stop; i--) {
        const struct part *p = &net->parts[i];
        const struct oclin_member *m = oclin_optimizer_member(pass->optimizer, p->layer->id);
        oclin_tensor *dy = stored ? NULL : w->views[2 * net->n + i];
        if (m->freeze == OCLIN_FREEZE_LAYER) continue;
        norm.saved = p->saved;
        norm.w = m->leads;
        norm.b = m->b != NULL;
        if (o->check_finite)
            TRY_LAYER(net, i, oclin_layer_check_finite(p->layer, dy, net->skipped, p->saved));
        if (o->max_norm != 0) TRY_LAYER(net, i, oclin_layer_grad_norm2(p->layer, dy, net->norm2, &norm));
    }
    if (o->check_finite) update->skip = net->skipped;
    if (o->max_norm == 0) return OCLIN_OK;
    update->factor = net->factor; /* the scale is in it */
    update->grad_scale = 1;
    return oclin_clip_factor(net->norm2, o->max_norm, pass->update->grad_scale, net->factor);
}

/* dX of all layers; each dY stays. */
static oclin_status run_dx(const oclin_network *net, const struct pass *pass, const struct window *w)
{
    for (int64_t i = net->n - 1; i > pass->stop; i--) {
        const struct part *p = &net->parts[i];
        const struct oclin_call_options o = options_of(p);
        oclin_tensor *dy = w->views[2 * net->n + i], *dx = w->views[2 * net->n + i - 1];
        if (p->residual) TRY_LAYER(net, i, oclin_tensor_copy(dx, dy));
        TRY_LAYER(net, i, oclin_layer_backward_x_with(p->layer, dy, dx, &o));
    }
    return OCLIN_OK;
}

/* Runs a pass whose update depends on all gradients. Those of micro-batches are stored, as this one's are. */
static oclin_status run_limited(oclin_network *net, const struct pass *pass, const struct window *w,
                                const struct oclin_train_step_options *o)
{
    struct pass storing = *pass, updating = *pass;
    struct oclin_update update = OCLIN_UPDATE_INIT(0);
    const int stored = !o->first;
    OCLIN_TRY(oclin_options_read(net->ctx, &update, sizeof update, pass->update));
    storing.update = NULL;
    OCLIN_TRY(stored ? run_pass(net, &storing, w) : run_dx(net, pass, w));
    OCLIN_TRY(run_scalars(net, pass, w, stored, o, &update));
    updating.update = &update;
    for (int64_t i = net->n - 1; i >= pass->stop; i--) {
        const struct part *p = &net->parts[i];
        if (stored)
            TRY_LAYER(net, i, oclin_layer_update(p->layer, pass->optimizer, &update));
        else
            TRY_LAYER(net, i, backward_part(&updating, p, w->views[2 * net->n + i], NULL));
    }
    return stored ? clear_gradients(net) : OCLIN_OK;
}

static oclin_status read_step_options(oclin_context *ctx, struct oclin_train_step_options *o,
                                      const struct oclin_train_step_options *from)
{
    if (!from) return oclin_fail(ctx, OCLIN_E_ARG, "options is NULL");
    OCLIN_TRY(oclin_options_read(ctx, o, sizeof *o, from));
    if ((o->first != 0 && o->first != 1) || (o->last != 0 && o->last != 1))
        return oclin_fail(ctx, OCLIN_E_ARG, "first is %d and last is %d, 0 or 1 is needed", o->first,
                          o->last);
    if (o->reserved) return oclin_fail(ctx, OCLIN_E_ARG, "reserved is %d, 0 is needed", o->reserved);
    return check_limits(ctx, o);
}

oclin_status oclin_network_train_step(oclin_network *net, oclin_tensor *x, oclin_tensor *target,
                                      oclin_loss kind, const struct oclin_loss_options *loss_options,
                                      oclin_tensor *loss, oclin_tensor *correct, oclin_optimizer *optimizer,
                                      const struct oclin_train_step_options *options)
{
    struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(NULL);
    struct window *w;
    OCLIN_TRY(enter_with_x(net, x));
    OCLIN_TRY(read_step_options(net->ctx, &o, options));
    if (o.last) OCLIN_TRY(enter_update(net, optimizer, o.update));
    if (optimizer && optimizer->ctx != net->ctx)
        return oclin_fail(net->ctx, OCLIN_E_ARG, "the optimizer belongs to another context");
    OCLIN_TRY(take_step(net, x->rows, &w));
    OCLIN_TRY(check_forward(net, x, w));
    OCLIN_TRY(take_limits(net, &o, x->rows, w));
    const int keeps = has_limits(&o) && o.first;
    oclin_tensor *y = w->views[net->n - 1], *dy = w->views[(keeps ? 3 : 2) * net->n - 1];
    const struct oclin_loss_ahead ahead = {kind, y, target, loss, dy, correct, loss_options};
    OCLIN_TRY(oclin_loss_check(net->ctx, &ahead));
    struct pass pass = {
        .dx = NULL, .optimizer = optimizer, .update = o.last ? o.update : NULL, .clears = o.first, .x = x};
    OCLIN_TRY(check_pass(net, &pass, x->rows));
    if (o.first) OCLIN_TRY(clear_gradients(net));
    OCLIN_TRY(run_forward(net, x, w));
    OCLIN_TRY(oclin_loss_of_kind(&ahead));
    pass.dy = dy;
    return has_limits(&o) ? run_limited(net, &pass, w, &o) : run_pass(net, &pass, w);
}
