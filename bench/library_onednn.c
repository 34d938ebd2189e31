/*
 * oneDNN 2: inner product forward, backward data and backward weights, and `sum` for the step. All arrays are plain
 * row-major, as the other libraries have them (no layout of its own choice). It adds no bias.
 */
#include "bench.h"

#include <oneapi/dnnl/dnnl.h>
#include <stdlib.h>
#include <string.h>

struct state {
    const struct problem *p;
    dnnl_engine_t engine;
    dnnl_stream_t stream;
    dnnl_primitive_t forward, grad_x, grad_w, step;
    dnnl_memory_t w[MAX_SETS], dw[MAX_SETS], x[MAX_SETS], y[MAX_SETS], dy[MAX_SETS], dx[MAX_SETS];
    float lr; /* that `step` was made for */
    dnnl_memory_desc_t w_desc;
};

#define TRY(call)                                                                           \
    do {                                                                                    \
        const dnnl_status_t status_ = (call);                                               \
        if (status_ != dnnl_success) return sentence("%s: status %d", #call, (int)status_); \
    } while (0)

static void version(char *text, size_t size)
{
    const dnnl_version_t *v = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d, plain row-major arrays", v->major, v->minor, v->patch);
}

static const char *make_primitive(dnnl_primitive_t *primitive, const struct state *s, const void *op,
                                  dnnl_primitive_desc_t hint, dnnl_primitive_desc_t *kept)
{
    dnnl_primitive_desc_t desc;
    TRY(dnnl_primitive_desc_create(&desc, op, NULL, s->engine, hint));
    const dnnl_status_t status = dnnl_primitive_create(primitive, desc);
    if (kept)
        *kept = desc;
    else
        dnnl_primitive_desc_destroy(desc);
    TRY(status);
    return NULL;
}

static const char *make_primitives(struct state *s, const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *y)
{
    dnnl_inner_product_desc_t op;
    dnnl_primitive_desc_t forward = NULL;
    TRY(dnnl_inner_product_forward_desc_init(&op, dnnl_forward_training, x, &s->w_desc, NULL, y));
    const char *error = make_primitive(&s->forward, s, &op, NULL, &forward);
    if (!error && dnnl_inner_product_backward_data_desc_init(&op, x, &s->w_desc, y) == dnnl_success)
        error = make_primitive(&s->grad_x, s, &op, forward, NULL);
    if (!error && dnnl_inner_product_backward_weights_desc_init(&op, x, &s->w_desc, NULL, y) == dnnl_success)
        error = make_primitive(&s->grad_w, s, &op, forward, NULL);
    if (forward) dnnl_primitive_desc_destroy(forward);
    return !error && !(s->grad_x && s->grad_w) ? "no backward" : error;
}

/* The scales of a sum are fixed when it is made. */
static const char *make_step(struct state *s, float lr)
{
    const dnnl_memory_desc_t sources[] = {s->w_desc, s->w_desc};
    const float scales[] = {1.0f, -lr};
    dnnl_primitive_desc_t desc;
    if (s->step && s->lr == lr) return NULL;
    if (s->step) dnnl_primitive_destroy(s->step);
    s->step = NULL;
    s->lr = lr;
    TRY(dnnl_sum_primitive_desc_create(&desc, &s->w_desc, 2, scales, sources, NULL, s->engine));
    const dnnl_status_t status = dnnl_primitive_create(&s->step, desc);
    dnnl_primitive_desc_destroy(desc);
    TRY(status);
    return NULL;
}

/* Memory with these numbers; from NULL: NaN. */
static const char *make_memory(dnnl_memory_t *memory, const struct state *s, const dnnl_memory_desc_t *desc,
                               const float *from, int64_t n)
{
    float *to = floats(n);
    if (!to) return "no memory";
    if (from)
        memcpy(to, from, (size_t)n * sizeof *to);
    else
        memset(to, 0xFF, (size_t)n * sizeof *to);
    const dnnl_status_t status = dnnl_memory_create(memory, desc, s->engine, to);
    if (status != dnnl_success) free(to);
    TRY(status);
    return NULL;
}

static float *numbers_of(dnnl_memory_t memory)
{
    void *numbers = NULL;
    if (memory) dnnl_memory_get_data_handle(memory, &numbers);
    return numbers;
}

static const char *reset(void *state)
{
    struct state *s = state;
    for (int i = 0; i < s->p->w_sets; i++)
        memcpy(numbers_of(s->w[i]), s->p->w, (size_t)w_count(&s->p->shape) * sizeof(float));
    return NULL;
}

static const char *make_memories(struct state *s, const dnnl_memory_desc_t *x, const dnnl_memory_desc_t *y)
{
    const struct problem *p = s->p;
    const struct shape *n = &p->shape;
    const char *error = NULL;
    for (int i = 0; i < p->w_sets && !error; i++) {
        error = make_memory(&s->w[i], s, &s->w_desc, p->w, w_count(n));
        if (!error) error = make_memory(&s->dw[i], s, &s->w_desc, NULL, w_count(n));
    }
    for (int i = 0; i < p->sets && !error; i++) {
        error = make_memory(&s->x[i], s, x, p->x[i], x_count(n));
        if (!error) error = make_memory(&s->dx[i], s, x, NULL, x_count(n));
        if (!error) error = make_memory(&s->dy[i], s, y, p->dy[i], y_count(n));
        if (!error) error = make_memory(&s->y[i], s, y, NULL, y_count(n));
    }
    return error;
}

static const char *open_all(void **state, const struct problem *p, oclin_context *ctx)
{
    struct state *s = calloc(1, sizeof *s);
    const dnnl_dims_t x_dims = {p->shape.batch, p->shape.in}, y_dims = {p->shape.batch, p->shape.out};
    const dnnl_dims_t w_dims = {p->shape.out, p->shape.in};
    dnnl_memory_desc_t x, y;
    (void)ctx;
    *state = s;
    if (!s) return "no memory";
    s->p = p;
    TRY(dnnl_engine_create(&s->engine, dnnl_cpu, 0));
    TRY(dnnl_stream_create(&s->stream, s->engine, dnnl_stream_default_flags));
    TRY(dnnl_memory_desc_init_by_tag(&x, 2, x_dims, dnnl_f32, dnnl_ab));
    TRY(dnnl_memory_desc_init_by_tag(&y, 2, y_dims, dnnl_f32, dnnl_ab));
    TRY(dnnl_memory_desc_init_by_tag(&s->w_desc, 2, w_dims, dnnl_f32, dnnl_ab));
    const char *error = make_primitives(s, &x, &y);
    return error ? error : make_memories(s, &x, &y);
}

static void release_memory(dnnl_memory_t memory)
{
    float *numbers = numbers_of(memory);
    if (memory) dnnl_memory_destroy(memory);
    free(numbers);
}

static void close_all(void *state)
{
    struct state *s = state;
    if (!s) return;
    for (int i = 0; i < MAX_SETS; i++) {
        release_memory(s->w[i]);
        release_memory(s->dw[i]);
        release_memory(s->x[i]);
        release_memory(s->y[i]);
        release_memory(s->dy[i]);
        release_memory(s->dx[i]);
    }
    dnnl_primitive_t primitives[] = {s->forward, s->grad_x, s->grad_w, s->step};
    for (size_t i = 0; i < sizeof primitives / sizeof *primitives; i++)
        if (primitives[i]) dnnl_primitive_destroy(primitives[i]);
    if (s->stream) dnnl_stream_destroy(s->stream);
    if (s->engine) dnnl_engine_destroy(s->engine);
    free(s);
}

static dnnl_status_t execute(const struct state *s, dnnl_primitive_t primitive,
                             const dnnl_exec_arg_t *arguments)
{
    return dnnl_primitive_execute(primitive, s->stream, 3, arguments);
}

static const char *enqueue(void *state, enum op op, int i, float lr)
{
    struct state *s = state;
    const int l = i % s->p->w_sets;
    const dnnl_exec_arg_t forward[] = {
        {DNNL_ARG_SRC, s->x[i]}, {DNNL_ARG_WEIGHTS, s->w[l]}, {DNNL_ARG_DST, s->y[i]}};
    const dnnl_exec_arg_t grad_x[] = {
        {DNNL_ARG_DIFF_DST, s->dy[i]}, {DNNL_ARG_WEIGHTS, s->w[l]}, {DNNL_ARG_DIFF_SRC, s->dx[i]}};
    const dnnl_exec_arg_t grad_w[] = {
        {DNNL_ARG_SRC, s->x[i]}, {DNNL_ARG_DIFF_DST, s->dy[i]}, {DNNL_ARG_DIFF_WEIGHTS, s->dw[l]}};
    const dnnl_exec_arg_t step[] = {
        {DNNL_ARG_MULTIPLE_SRC, s->w[l]}, {DNNL_ARG_MULTIPLE_SRC + 1, s->dw[l]}, {DNNL_ARG_DST, s->w[l]}};
    if (op == FORWARD || op == STEP) TRY(execute(s, s->forward, forward));
    if (op == DX || op == STEP) TRY(execute(s, s->grad_x, grad_x));
    if (op == DW || op == STEP) TRY(execute(s, s->grad_w, grad_w));
    if (op != STEP) return NULL;
    const char *error = make_step(s, lr);
    if (error) return error;
    TRY(execute(s, s->step, step));
    return NULL;
}

static const char *finish(void *state)
{
    TRY(dnnl_stream_wait(((struct state *)state)->stream));
    return NULL;
}

static const char *fetch(void *state, enum result what, int i, float *host)
{
    struct state *s = state;
    const struct shape *n = &s->p->shape;
    const int l = i % s->p->w_sets;
    dnnl_memory_t from = what == RESULT_Y    ? s->y[i]
                         : what == RESULT_DX ? s->dx[i]
                         : what == RESULT_DW ? s->dw[l]
                                             : s->w[l];
    const int64_t count = what == RESULT_Y ? y_count(n) : what == RESULT_DX ? x_count(n) : w_count(n);
    memcpy(host, numbers_of(from), (size_t)count * sizeof *host);
    return NULL;
}

const struct library library_onednn = {
    .name = "onednn",
    .version = version,
    .open = open_all,
    .close = close_all,
    .reset = reset,
    .enqueue = enqueue,
    .finish = finish,
    .fetch = fetch,
};
