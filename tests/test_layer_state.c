/*
 * What a layer remembers between calls: what it saved, whether gradients are cleared, computed or written,
 * and what has happened since to the tensors it refers to. All numbers are small integers: every sum is
 * exact.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

static oclin_context *shared; /* of the tests whose numerics do not matter */

static oclin_context *context(void)
{
    if (!shared) shared = make_context("plain");
    return shared;
}

/* --------------------------------------------------------------------------------------------- a bench */

enum { BATCH = 4, IN = 3, OUT = 2, NX = BATCH * IN, NY = BATCH * OUT, NW = OUT * IN };

static const float host_x[NX] = {1, -2, 3, 0, 1, -1, 2, 2, 1, -3, 0, 2};
static const float host_w[NW] = {2, -1, 1, 0, 3, -2};
static const float host_b[OUT] = {1, -1};
static const float host_dy[NY] = {1, -1, 2, 0, -1, 3, 1, 1};

struct bench {
    oclin_context *ctx;
    oclin_layer *l;
    oclin_tensor *x, *y, *dy, *dx;
};

static struct bench make_bench_in(oclin_context *ctx, oclin_activation activation)
{
    struct bench b = {.ctx = ctx};
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = activation;
    assert_ok(ctx, oclin_layer_create(&b.l, ctx, IN, OUT, &options));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_w(b.l), host_w));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_b(b.l), host_b));
    b.x = make_tensor(ctx, OCLIN_F32, BATCH, IN, host_x);
    b.y = make_tensor(ctx, OCLIN_F32, BATCH, OUT, NULL);
    b.dy = make_tensor(ctx, OCLIN_F32, BATCH, OUT, host_dy);
    b.dx = make_tensor(ctx, OCLIN_F32, BATCH, IN, NULL);
    return b;
}

static struct bench make_bench(oclin_activation activation)
{
    return make_bench_in(context(), activation);
}

static void release(struct bench *b)
{
    oclin_layer_destroy(b->l);
    oclin_tensor *const all[] = {b->x, b->y, b->dy, b->dx};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

static void forward(const struct bench *b)
{
    assert_ok(b->ctx, oclin_layer_forward(b->l, b->x, b->y));
}

static void backward(const struct bench *b)
{
    assert_ok(b->ctx, oclin_layer_backward(b->l, b->dy, b->dx));
}

/* The tensor holds factor times `want`, added to `base` (NULL: nothing). */
static void check_sum(oclin_tensor *t, const float *base, double factor, const double *want)
{
    const int64_t rows = oclin_tensor_rows(t), cols = oclin_tensor_cols(t);
    float *got = new_array(float, rows *cols);
    double *sum = new_array(double, rows *cols);
    for (int64_t i = 0; i < rows * cols; i++) sum[i] = (base ? base[i] : 0) + factor * want[i];
    assert_int_equal(oclin_tensor_read(t, got), OCLIN_OK);
    check_exact("sum", rows, cols, cols, got, sum);
    free(got);
    free(sum);
}

/* What the reference says of one backward of the bench. */
struct truth {
    double y[NY], dx[NX], dw[NW], db[OUT];
};

static struct truth truth_of(oclin_activation activation)
{
    struct truth t;
    struct oclin_ref_case c = RANDOM_CASE(BATCH, IN, OUT);
    float y[NY];
    c.activation = activation;
    oclin_ref_forward(&c, host_x, host_w, host_b, NULL, NULL, t.y, NULL);
    for (int i = 0; i < NY; i++) y[i] = (float)t.y[i];
    oclin_ref_grad_w(&c, host_x, host_dy, y, t.dw, NULL);
    oclin_ref_grad_b(&c, host_dy, y, t.db, NULL);
    oclin_ref_grad_x(&c, host_w, host_dy, y, t.dx, NULL);
    return t;
}

/* dW and db hold `times` the gradients of one backward; w and b are as they were. */
static void check_gradients(const struct bench *b, double times)
{
    const struct truth t = truth_of(b->l->activation);
    check_sum(oclin_layer_dw(b->l), NULL, times, t.dw);
    check_sum(oclin_layer_db(b->l), NULL, times, t.db);
}

static void check_parameters(const struct bench *b, double minus)
{
    const struct truth t = truth_of(b->l->activation);
    check_sum(oclin_layer_w(b->l), host_w, -minus, t.dw);
    check_sum(oclin_layer_b(b->l), host_b, -minus, t.db);
}

/* ------------------------------------------------------------------------------------- order of the calls */

static void test_too_early(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    assert_refused(b.ctx, OCLIN_E_STATE, "before forward", oclin_layer_backward(b.l, b.dy, b.dx));
    assert_refused(b.ctx, OCLIN_E_STATE, "before forward", oclin_layer_backward_step(b.l, b.dy, b.dx, 1.0f));
    assert_refused(b.ctx, OCLIN_E_STATE, "gradient", oclin_layer_step(b.l, 1.0f));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, oclin_layer_infer(b.l, b.x, b.y));
    assert_refused(b.ctx, OCLIN_E_STATE, "before forward", oclin_layer_backward(b.l, b.dy, b.dx));
    forward(&b);
    assert_refused(b.ctx, OCLIN_E_STATE, "gradient", oclin_layer_step(b.l, 1.0f));
    assert_non_null(oclin_layer_dw(b.l)); /* to look at it is not to compute it */
    assert_refused(b.ctx, OCLIN_E_STATE, "gradient", oclin_layer_step(b.l, 1.0f));
    check_parameters(&b, 0);
    release(&b);
}

static void test_backward_step_needs_cleared(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    forward(&b);
    backward(&b);
    assert_refused(b.ctx, OCLIN_E_STATE, "zero_grad", oclin_layer_backward_step(b.l, b.dy, b.dx, 1.0f));
    check_parameters(&b, 0);
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, b.dy, b.dx, 1.0f));
    check_parameters(&b, 1);
    assert_ok(b.ctx, oclin_tensor_fill(oclin_layer_db(b.l), 1.0)); /* one of the two is enough */
    assert_refused(b.ctx, OCLIN_E_STATE, "zero_grad", oclin_layer_backward_step(b.l, b.dy, b.dx, 1.0f));
    release(&b);
}

/* Looking at cleared gradients does not make them uncleared, in whatever way they are looked at. */
static const char *const looks[] = {"read", "read_async", "cl_mem", "read of a view"};
static int look_numbers[COUNT_OF(looks)];

static void test_looking_keeps_cleared(void **state)
{
    const int look = *(int *)*state;
    struct bench b = make_bench(OCLIN_NONE);
    float got[NW];
    oclin_tensor *dw = oclin_layer_dw(b.l), *view = NULL;
    assert_ok(b.ctx, oclin_tensor_view(&view, dw, 0, 1, 1, 1));
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    if (look == 0) assert_ok(b.ctx, oclin_tensor_read(dw, got));
    if (look == 1) assert_ok(b.ctx, oclin_tensor_read_async(dw, got, NULL));
    if (look == 2) assert_non_null(oclin_tensor_cl_mem(dw));
    if (look == 3) assert_ok(b.ctx, oclin_tensor_read(view, got));
    assert_ok(b.ctx, oclin_context_finish(b.ctx));
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, b.dy, b.dx, 1.0f));
    check_parameters(&b, 1);
    oclin_tensor_destroy(view);
    release(&b);
}

/* backward_step is zero_grad, backward, step, with dX from the old W; and its gradients stay cleared. */
static void test_backward_step(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_RELU);
    const struct truth t = truth_of(OCLIN_RELU);
    forward(&b);
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, b.dy, b.dx, 2.0f));
    assert_null(b.l->dw);
    assert_null(b.l->db);
    check_sum(b.dx, NULL, 1, t.dx);
    check_parameters(&b, 2);
    check_gradients(&b, 0);
    release(&b);
}

/* --------------------------------------------------------------------------------------- written meanwhile
 */

enum {
    BY_WRITE,
    BY_WRITE_ASYNC,
    BY_FILL,
    BY_TOUCH,
    BY_VIEW,
    BY_WRAP,
    BY_LAYER,
    BY_LOSS,
    BY_ZERO_GRAD,
    BESIDE,
    WAYS
};
static const char *const ways[WAYS] = {"write",
                                       "write_async",
                                       "fill",
                                       "touch",
                                       "a view",
                                       "another wrapper of the buffer",
                                       "an output of a layer",
                                       "a gradient of a loss",
                                       "zero_grad",
                                       "a write beside it"};

struct meanwhile {
    int way, of_y;
    oclin_activation activation;
};
static struct meanwhile meanwhiles[WAYS * 4];

/* x and y of these tests lie in one arena, y first, so that a view can look over both. */
static struct bench make_arena_bench(oclin_activation activation, oclin_tensor **arena)
{
    struct bench b = make_bench(activation);
    oclin_tensor_destroy(b.x);
    oclin_tensor_destroy(b.y);
    *arena = make_tensor(b.ctx, OCLIN_F32, 1, 64, NULL);
    assert_ok(b.ctx, oclin_tensor_fill(*arena, 1.0));
    assert_ok(b.ctx, oclin_tensor_view(&b.y, *arena, 3, BATCH, OUT, OUT));
    assert_ok(b.ctx, oclin_tensor_view(&b.x, *arena, 20, BATCH, IN, IN));
    return b;
}

/* Another layer whose dW is `t`, with a gradient in it, which is then cleared. */
static void write_by_zero_grad(oclin_context *ctx, oclin_tensor *t)
{
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *other = NULL;
    options.bias = 0;
    options.dw = t;
    assert_ok(ctx, oclin_layer_create(&other, ctx, oclin_tensor_cols(t), oclin_tensor_rows(t), &options));
    assert_ok(ctx, oclin_layer_zero_grad(other));
    oclin_layer_destroy(other);
}

static void write_by_layer(oclin_context *ctx, oclin_tensor *t)
{
    const int64_t rows = oclin_tensor_rows(t), cols = oclin_tensor_cols(t);
    oclin_layer *other = NULL;
    oclin_tensor *input = make_tensor(ctx, OCLIN_F32, rows, 1, NULL);
    assert_ok(ctx, oclin_tensor_fill(input, 1.0));
    assert_ok(ctx, oclin_layer_create(&other, ctx, 1, cols, NULL));
    assert_ok(ctx, oclin_layer_infer(other, input, t));
    oclin_tensor_destroy(input);
    oclin_layer_destroy(other);
}

static void write_by_loss(oclin_context *ctx, oclin_tensor *t)
{
    oclin_tensor *y = make_tensor(ctx, OCLIN_F32, oclin_tensor_rows(t), oclin_tensor_cols(t), NULL);
    assert_ok(ctx, oclin_loss_mse(y, y, NULL, t, NULL));
    oclin_tensor_destroy(y);
}

static void write_it(oclin_context *ctx, oclin_tensor *arena, oclin_tensor *t, int way)
{
    static float host[64];
    const int64_t first = oclin_tensor_offset(t), n = oclin_tensor_rows(t) * oclin_tensor_cols(t);
    oclin_tensor *window = NULL;
    if (way == BY_WRITE) assert_ok(ctx, oclin_tensor_write(t, host));
    if (way == BY_WRITE_ASYNC) assert_ok(ctx, oclin_tensor_write_async(t, host, NULL));
    if (way == BY_FILL) assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    if (way == BY_TOUCH) assert_ok(ctx, oclin_tensor_touch(t));
    if (way == BY_LAYER) write_by_layer(ctx, t);
    if (way == BY_LOSS) write_by_loss(ctx, t);
    if (way == BY_ZERO_GRAD) write_by_zero_grad(ctx, t);
    if (way == BY_VIEW) assert_ok(ctx, oclin_tensor_view(&window, arena, first + n - 1, 1, 2, 2));
    if (way == BESIDE) assert_ok(ctx, oclin_tensor_view(&window, arena, first + n, 1, 2, 2));
    if (way == BY_WRAP)
        assert_ok(ctx,
                  oclin_tensor_wrap(&window, ctx, OCLIN_F32, oclin_tensor_cl_mem(arena), first, 1, 1, 1));
    if (window) assert_ok(ctx, oclin_tensor_fill(window, 5.0));
    oclin_tensor_destroy(window);
}

/* backward refuses when its x was written since, or its y where the derivative is taken from it. */
static void test_written_meanwhile(void **state)
{
    const struct meanwhile *m = *state;
    oclin_tensor *arena;
    struct bench b = make_arena_bench(m->activation, &arena);
    forward(&b);
    write_it(b.ctx, arena, m->of_y ? b.y : b.x, m->way);
    const int matters = m->way != BESIDE && (!m->of_y || m->activation == OCLIN_RELU);
    const oclin_status expected = matters ? OCLIN_E_STATE : OCLIN_OK;
    assert_status(b.ctx, expected, oclin_layer_backward(b.l, b.dy, b.dx));
    assert_int_equal(b.l->dw != NULL, !matters); /* a refusal allocates nothing */
    if (matters) {
        assert_refused(b.ctx, OCLIN_E_STATE, m->of_y ? "y was written" : "x was written",
                       oclin_layer_backward_step(b.l, b.dy, b.dx, 1.0f));
        forward(&b);
        backward(&b); /* a new forward puts it right */
    }
    assert_ok(b.ctx, oclin_context_finish(b.ctx));
    oclin_tensor_destroy(arena);
    release(&b);
}

/* W is taken as it is now: to write it in between is allowed. */
static void test_w_written_meanwhile(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    const struct truth t = truth_of(OCLIN_NONE);
    forward(&b);
    float twice[NW];
    for (int i = 0; i < NW; i++) twice[i] = 2 * host_w[i];
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_w(b.l), twice));
    backward(&b);
    check_sum(b.dx, NULL, 2, t.dx);
    check_gradients(&b, 1);
    release(&b);
}

/* The layer holds what it refers to. */
static void test_inputs_are_held(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_RELU);
    forward(&b);
    oclin_tensor_destroy(b.x);
    oclin_tensor_destroy(b.y);
    b.x = b.y = NULL;
    backward(&b);
    check_gradients(&b, 1);
    release(&b);
}

/* ------------------------------------------------------------------------------------------ saved states */

static void test_saved_of_others(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE), other = make_bench(OCLIN_NONE);
    oclin_saved *saved = NULL;
    assert_ok(b.ctx, oclin_saved_create(&saved, b.ctx));
    assert_refused(b.ctx, OCLIN_E_STATE, "before forward",
                   oclin_layer_backward_saved(b.l, b.dy, b.dx, saved));
    assert_ok(b.ctx, oclin_layer_forward_saved(other.l, b.x, b.y, saved));
    assert_refused(b.ctx, OCLIN_E_STATE, "another layer", oclin_layer_backward_saved(b.l, b.dy, b.dx, saved));
    assert_refused(b.ctx, OCLIN_E_STATE, "another layer",
                   oclin_layer_backward_step_saved(b.l, b.dy, b.dx, 1.0f, saved));
    assert_refused(b.ctx, OCLIN_E_STATE, "before forward", oclin_layer_backward(other.l, b.dy, b.dx));
    assert_ok(b.ctx, oclin_layer_forward_saved(b.l, b.x, b.y, saved)); /* filled again, by this one */
    assert_ok(b.ctx, oclin_layer_backward_saved(b.l, b.dy, b.dx, saved));
    check_gradients(&b, 1);
    /* a layer that comes to lie where an old one was is another layer */
    oclin_layer_destroy(b.l);
    b.l = NULL;
    struct bench fresh = make_bench(OCLIN_NONE);
    assert_refused(b.ctx, OCLIN_E_STATE, "another layer",
                   oclin_layer_backward_saved(fresh.l, b.dy, b.dx, saved));
    oclin_saved_destroy(saved);
    release(&b);
    release(&other);
    release(&fresh);
}

/* The same layer at two times, backward in the order of time reversed. */
static void test_recurrent(void **state)
{
    const oclin_activation activation = *(oclin_activation *)*state;
    struct bench b = make_bench(activation);
    oclin_saved *saved[2] = {NULL, NULL};
    oclin_tensor *x[2], *y[2];
    for (int i = 0; i < 2; i++) {
        assert_ok(b.ctx, oclin_saved_create(&saved[i], b.ctx));
        x[i] = make_tensor(b.ctx, OCLIN_F32, BATCH / 2, IN, host_x + i * NX / 2);
        y[i] = make_tensor(b.ctx, OCLIN_F32, BATCH / 2, OUT, NULL);
        assert_ok(b.ctx, oclin_layer_forward_saved(b.l, x[i], y[i], saved[i]));
    }
    for (int i = 1; i >= 0; i--) {
        oclin_tensor *dy = make_tensor(b.ctx, OCLIN_F32, BATCH / 2, OUT, host_dy + i * NY / 2);
        assert_ok(b.ctx, oclin_layer_backward_saved(b.l, dy, NULL, saved[i]));
        oclin_tensor_destroy(dy);
    }
    if (activation == OCLIN_RELU) check_gradients(&b, 1); /* two halves make the whole */
    float halves[NW], whole[NW];
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_dw(b.l), halves));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_dw(b.l), whole));
    for (int i = 0; i < NW; i++) assert_true(fabsf(halves[i] - whole[i]) < 1e-5f * (1 + fabsf(whole[i])));
    for (int i = 0; i < 2; i++) {
        oclin_saved_destroy(saved[i]);
        oclin_tensor_destroy(x[i]);
        oclin_tensor_destroy(y[i]);
    }
    release(&b);
}

/* The second forward is the one that counts; infer counts for nothing, nor does a call that was refused. */
static void test_which_forward(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_RELU);
    oclin_tensor *x1 = make_tensor(b.ctx, OCLIN_F32, 1, IN, host_x),
                 *y1 = make_tensor(b.ctx, OCLIN_F32, 1, OUT, NULL);
    assert_ok(b.ctx, oclin_layer_forward(b.l, x1, y1));
    forward(&b);
    assert_ok(b.ctx, oclin_layer_infer(b.l, x1, y1));
    assert_status(b.ctx, OCLIN_E_SHAPE, oclin_layer_forward(b.l, x1, b.y));
    backward(&b);
    check_gradients(&b, 1);
    assert_ok(b.ctx, oclin_layer_forward(b.l, x1, y1));
    assert_refused(b.ctx, OCLIN_E_SHAPE, "4 x 2, 1 x 2", oclin_layer_backward(b.l, b.dy, b.dx));
    forward(&b);
    assert_ok(b.ctx, oclin_layer_infer(b.l, b.x, b.y)); /* over the y that is kept */
    assert_status(b.ctx, OCLIN_E_STATE, oclin_layer_backward(b.l, b.dy, b.dx));
    oclin_tensor_destroy(x1);
    oclin_tensor_destroy(y1);
    release(&b);
}

/* To reserve memory for a larger batch keeps what the last forward kept. */
static void test_reserve_keeps_saved(void **state)
{
    const oclin_activation activation = *(oclin_activation *)*state;
    struct bench b = make_bench(activation);
    float dx[NX], dx_again[NX], dw[NW], dw_again[NW];
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_tensor_read(b.dx, dx));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_dw(b.l), dw));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, oclin_layer_reserve(b.l, 10 * BATCH));
    backward(&b);
    assert_ok(b.ctx, oclin_tensor_read(b.dx, dx_again));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_dw(b.l), dw_again));
    check_same_bits("dx", dx_again, dx, NX);
    check_same_bits("dw", dw_again, dw, NW);
    release(&b);
}

/* ---------------------------------------------------------------------------------------------- gradients */

static void test_accumulate(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_RELU);
    forward(&b);
    for (int times = 1; times <= 3; times++) { /* backward does not consume what forward kept */
        backward(&b);
        check_gradients(&b, times);
    }
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    check_gradients(&b, 0);
    backward(&b);
    check_gradients(&b, 1);
    release(&b);
}

static void test_repeated_step(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    forward(&b);
    backward(&b);
    for (int times = 1; times <= 3; times++) {
        assert_ok(b.ctx, oclin_layer_step(b.l, 0.5f));
        check_parameters(&b, 0.5 * times);
    }
    check_gradients(&b, 1); /* a step does not clear */
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, oclin_layer_step(b.l, 0.5f)); /* a gradient of zero */
    check_parameters(&b, 1.5);
    release(&b);
}

/* A gradient that the caller has written is as good as a computed one, one of the two is enough. */
static void test_written_gradient(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_db(b.l), host_b));
    assert_ok(b.ctx, oclin_layer_step(b.l, 2.0f));
    check_sum(oclin_layer_w(b.l), host_w, 0, (double[NW]){0});
    check_sum(oclin_layer_b(b.l), host_b, -2, (double[]){host_b[0], host_b[1]});
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_b(b.l), host_b));
    forward(&b);
    backward(&b); /* adds to what was written, and to the zeros of the other */
    const struct truth t = truth_of(OCLIN_NONE);
    check_sum(oclin_layer_dw(b.l), NULL, 1, t.dw);
    check_sum(oclin_layer_db(b.l), host_b, 1, t.db);
    release(&b);
}

static float lr_cases[] = {NAN, INFINITY, -INFINITY, -1e-9f};

/* A step that is refused changes no bit, not even of a NaN, and does not count as a write. */
static void test_lr(void **state)
{
    const float lr = *(float *)*state;
    struct bench b = make_bench(OCLIN_NONE);
    float poison[NW], got[NW];
    fill_poison(poison, NW);
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_w(b.l), poison));
    const uint64_t version = oclin_layer_w(b.l)->version;
    assert_status(b.ctx, OCLIN_E_ARG, oclin_layer_step(b.l, lr));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_status(b.ctx, OCLIN_E_ARG, oclin_layer_backward_step(b.l, b.dy, b.dx, lr));
    assert_true(oclin_layer_w(b.l)->version == version);
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_w(b.l), got));
    check_same_bits("w", got, poison, NW);
    release(&b);
}

/* w - 0 dw: w beside numbers, and NaN beside what is none. It counts as a write. */
static void test_lr_0(void **state)
{
    const float lr = *(int *)*state ? -0.0f : 0.0f;
    struct bench b = make_bench(OCLIN_NONE);
    const struct truth t = truth_of(OCLIN_NONE);
    const float odd[NW] = {NAN, INFINITY, -INFINITY};
    float got[NW];
    forward(&b);
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, b.dy, b.dx, lr));
    check_sum(b.dx, NULL, 1, t.dx);
    check_parameters(&b, 0);
    backward(&b);
    const uint64_t version = oclin_layer_w(b.l)->version;
    assert_ok(b.ctx, oclin_layer_step(b.l, lr));
    check_parameters(&b, 0);
    assert_true(oclin_layer_w(b.l)->version == version + 1);
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_dw(b.l), odd));
    assert_ok(b.ctx, oclin_layer_step(b.l, lr));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_w(b.l), got));
    for (int i = 0; i < NW; i++) assert_true(i < 3 ? isnan(got[i]) : got[i] == host_w[i]);
    assert_ok(b.ctx, oclin_tensor_fill(b.dy, INFINITY));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    forward(&b);
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, b.dy, NULL, lr));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_b(b.l), got));
    for (int i = 0; i < OUT; i++) assert_true(isnan(got[i]));
    release(&b);
}

/* dX alone: the gradients that backward gives, whatever state the parameters' are in, and nothing else changes. */
static void test_backward_x(void **state)
{
    struct bench b = make_bench((oclin_activation) * (int *)*state);
    const struct truth t = truth_of(b.l->activation);
    float want[NX], got[NX];
    oclin_saved *saved = NULL;
    assert_ok(b.ctx, oclin_saved_create(&saved, b.ctx));
    assert_refused(b.ctx, OCLIN_E_STATE, "before forward", oclin_layer_backward_x(b.l, b.dy, b.dx));
    forward(&b);
    assert_ok(b.ctx, oclin_layer_forward_saved(b.l, b.x, b.y, saved));
    assert_ok(b.ctx, oclin_tensor_fill(b.dx, NAN));
    assert_ok(b.ctx, oclin_layer_backward_x_saved(b.l, b.dy, b.dx, saved));
    assert_true(!b.l->dw && !b.l->db && !b.l->computed); /* none was needed */
    assert_ok(b.ctx, oclin_tensor_read(b.dx, want));
    if (b.l->activation == OCLIN_NONE) check_sum(b.dx, NULL, 1, t.dx);
    if (b.l->activation != OCLIN_NONE) forward(&b); /* y counts as written */
    backward(&b);
    assert_ok(b.ctx, oclin_tensor_read(b.dx, got));
    check_same_bits("dx of backward", got, want, NX);
    const uint64_t versions[] = {b.l->w->version, b.l->b->version, b.l->dw->version, b.l->db->version};
    b.l->dw->unspecified = b.l->db->unspecified = b.l->b->unspecified = b.x->unspecified = 1;
    b.x->version++; /* x is not read */
    assert_ok(b.ctx, oclin_tensor_fill(b.dx, NAN));
    assert_ok(b.ctx, oclin_layer_backward_x(b.l, b.dy, b.dx));
    assert_ok(b.ctx, oclin_tensor_read(b.dx, got));
    check_same_bits("dx of backward_x", got, want, NX);
    assert_true(versions[0] == b.l->w->version && versions[1] == b.l->b->version &&
                versions[2] == b.l->dw->version && versions[3] == b.l->db->version);
    b.l->w->unspecified = 1;
    assert_refused(b.ctx, OCLIN_E_STATE, "w is unspecified", oclin_layer_backward_x(b.l, b.dy, b.dx));
    b.l->w->unspecified = 0;
    assert_ok(b.ctx, oclin_tensor_fill(b.dy, 1.0));
    const int needs_y = b.l->activation != OCLIN_NONE && b.l->activation != OCLIN_GELU;
    b.y->version++;
    assert_status(b.ctx, needs_y ? OCLIN_E_STATE : OCLIN_OK, oclin_layer_backward_x(b.l, b.dy, b.dx));
    oclin_saved_destroy(saved);
    release(&b);
}

/* zero_grad is seen through the tensors, through an arena around them and in the cl_mem; neighbours keep
 * theirs. */
static void test_zero_grad_through_arena(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    enum { N = 16 };
    float numbers[N], got[N];
    for (int i = 0; i < N; i++) numbers[i] = (float)(i + 1);
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, N, numbers);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    assert_ok(ctx, oclin_tensor_view(&options.dw, arena, 3, OUT, IN, 5)); /* 3 4 5, 8 9 10 */
    assert_ok(ctx, oclin_tensor_view(&options.db, arena, 12, 1, OUT, OUT));
    oclin_layer *l = NULL;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &options));
    for (int round = 0; round < 2; round++) {
        assert_ok(ctx, oclin_layer_zero_grad(l));
        assert_ok(ctx, oclin_tensor_read(arena, got));
        for (int i = 0; i < N; i++) {
            const int inside = (i >= 3 && i < 6) || (i >= 8 && i < 11) || i == 12 || i == 13;
            assert_true(got[i] == (inside ? 0.0f : numbers[i]));
        }
        assert_ok(ctx, oclin_tensor_write(arena, numbers)); /* over everything: written, no longer cleared */
        assert_ok(ctx, oclin_tensor_read(options.dw, got));
        assert_true(got[0] == 4.0f && got[5] == 11.0f);
        assert_ok(ctx, oclin_layer_zero_grad(l));
        assert_ok(ctx, oclin_tensor_touch(arena)); /* the same: what lies there counts */
        assert_ok(ctx, oclin_tensor_read(arena, got));
    }
    oclin_layer_destroy(l);
    oclin_tensor_destroy(options.dw);
    oclin_tensor_destroy(options.db);
    oclin_tensor_destroy(arena);
}

/* A layer is dropped whose gradient is only marked as zero: the zeros stay for who looks at that memory. */
static void test_zero_grad_and_drop(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    const float numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    cl_context handle;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    for (int wrapped = 0; wrapped < 2; wrapped++) {
        cl_mem m =
            clCreateBuffer(handle, CL_MEM_COPY_HOST_PTR, sizeof numbers, (void *)(uintptr_t)numbers, NULL);
        oclin_tensor *arena = NULL;
        oclin_layer *l = NULL;
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        assert_ok(ctx, oclin_tensor_wrap(&arena, ctx, OCLIN_F32, m, 0, 1, 8, 8));
        assert_ok(ctx, oclin_tensor_view(&options.dw, arena, 1, 2, 2, 3));
        if (wrapped) oclin_tensor_destroy(arena);
        assert_ok(ctx, oclin_layer_create(&l, ctx, 2, 2, &options));
        assert_ok(ctx, oclin_layer_zero_grad(l));
        oclin_tensor_destroy(options.dw);
        oclin_layer_destroy(l);
        if (wrapped) assert_ok(ctx, oclin_tensor_wrap(&arena, ctx, OCLIN_F32, m, 0, 1, 8, 8));
        check_sum(arena, NULL, 1, (double[]){1, 0, 0, 4, 0, 0, 7, 8});
        oclin_tensor_destroy(arena);
        clReleaseMemObject(m);
    }
}

/* The same past oclin, and announced: what was written stays, the rest is zero. */
static void test_touch_in_cleared(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    const float ones[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1}, sevens[2] = {7, 7};
    cl_context handle;
    cl_command_queue queue;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, &queue));
    cl_mem m = clCreateBuffer(handle, CL_MEM_COPY_HOST_PTR, sizeof ones, (void *)(uintptr_t)ones, NULL);
    oclin_tensor *all = NULL, *part = NULL;
    oclin_layer *l = NULL;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    assert_ok(ctx, oclin_tensor_wrap(&all, ctx, OCLIN_F32, m, 0, 1, 16, 16));
    assert_ok(ctx, oclin_tensor_wrap(&options.dw, ctx, OCLIN_F32, m, 1, 3, 3, 4)); /* 1-3, 5-7, 9-11 */
    assert_ok(ctx, oclin_tensor_wrap(&part, ctx, OCLIN_F32, m, 6, 1, 2, 2));
    assert_ok(ctx, oclin_layer_create(&l, ctx, 3, 3, &options));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_int_equal(
        clEnqueueWriteBuffer(queue, m, CL_TRUE, 6 * sizeof(float), sizeof sevens, sevens, 0, NULL, NULL),
        CL_SUCCESS);
    assert_ok(ctx, oclin_tensor_touch(part));
    check_sum(all, NULL, 1, (double[]){1, 0, 0, 0, 1, 0, 7, 7, 1, 0, 0, 0, 1, 1, 1, 1});
    oclin_layer_destroy(l);
    oclin_tensor_destroy(options.dw);
    oclin_tensor_destroy(part);
    oclin_tensor_destroy(all);
    clReleaseMemObject(m);
}

/* Half of a cleared gradient is overwritten: the other half is zero. */
static void test_write_into_cleared(void **state)
{
    const int by_write = *(int *)*state;
    const float sevens[IN] = {7, 7, 7};
    struct bench b = make_bench(OCLIN_NONE);
    oclin_tensor *dw = oclin_layer_dw(b.l), *row = NULL;
    assert_ok(b.ctx, oclin_tensor_view(&row, dw, IN, 1, IN, IN));
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, by_write ? oclin_tensor_write(row, sevens) : oclin_tensor_fill(row, 7.0));
    check_sum(dw, NULL, 1, (double[]){0, 0, 0, 7, 7, 7});
    oclin_tensor_destroy(row);
    release(&b);
}

/* What lies in the cl_mem when it is taken: the zeros that until then were only a mark. */
static void test_cl_mem_is_settled(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    cl_command_queue queue;
    float got[NW];
    const float zeros[NW] = {0};
    fill_poison(got, NW);
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, oclin_context_cl(b.ctx, NULL, NULL, &queue));
    cl_mem memory = oclin_tensor_cl_mem(oclin_layer_dw(b.l));
    assert_int_equal(clEnqueueReadBuffer(queue, memory, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL),
                     CL_SUCCESS);
    check_same_bits("dw", got, zeros, NW);
    release(&b);
}

/* A gradient of rows x cols that holds sevens in memory and is marked as cleared: a tensor like any other, for others to
 * read. */
static oclin_tensor *cleared_gradient(oclin_context *ctx, oclin_layer **owner, int64_t rows, int64_t cols)
{
    assert_ok(ctx, oclin_layer_create(owner, ctx, cols, rows, NULL));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_dw(*owner), 7.0));
    assert_ok(ctx, oclin_layer_zero_grad(*owner));
    assert_true(oclin_layer_dw(*owner)->zero_pending);
    return oclin_layer_dw(*owner);
}

static void check_zeros(oclin_tensor *t)
{
    float got[NX];
    assert_true(t->rows * t->cols <= NX);
    assert_ok(oclin_tensor_context(t), oclin_tensor_read(t, got));
    for (int64_t i = 0; i < t->rows * t->cols; i++) assert_true(got[i] == 0.0f);
}

/* Whoever reads a cleared gradient of another layer reads zeros, and not what memory still holds. */
static void test_cleared_is_read(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    oclin_layer *owner, *of_given;
    oclin_tensor *loss = make_tensor(b.ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    /* as dy, of backward and of its fused step */
    forward(&b);
    oclin_tensor *dy = cleared_gradient(b.ctx, &owner, BATCH, OUT);
    assert_ok(b.ctx, oclin_layer_backward(b.l, dy, b.dx));
    check_zeros(b.dx);
    check_zeros(oclin_layer_dw(b.l));
    check_zeros(oclin_layer_db(b.l));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    oclin_layer_destroy(owner);
    dy = cleared_gradient(b.ctx, &owner, BATCH, OUT);
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, dy, b.dx, 1.0f));
    check_zeros(b.dx);
    oclin_layer_destroy(owner);
    /* as x */
    oclin_tensor *x = cleared_gradient(b.ctx, &owner, BATCH, IN);
    options.bias = 0;
    assert_ok(b.ctx, oclin_layer_create(&of_given, b.ctx, IN, OUT, &options));
    assert_ok(b.ctx, oclin_layer_forward(of_given, x, b.y));
    check_zeros(b.y);
    oclin_layer_destroy(of_given);
    oclin_layer_destroy(owner);
    /* as w */
    options.w = cleared_gradient(b.ctx, &owner, OUT, IN);
    assert_ok(b.ctx, oclin_layer_create(&of_given, b.ctx, IN, OUT, &options));
    assert_ok(b.ctx, oclin_layer_infer(of_given, b.x, b.y));
    check_zeros(b.y);
    oclin_layer_destroy(of_given);
    oclin_layer_destroy(owner);
    /* as both operands of a loss */
    oclin_tensor *y = cleared_gradient(b.ctx, &owner, BATCH, OUT);
    assert_ok(b.ctx, oclin_tensor_fill(b.y, 0.0));
    assert_ok(b.ctx, oclin_loss_mse(y, b.y, loss, b.dy, NULL));
    check_zeros(loss);
    check_zeros(b.dy);
    assert_ok(b.ctx, oclin_layer_zero_grad(owner));
    assert_ok(b.ctx, oclin_tensor_fill(y, 7.0));
    assert_ok(b.ctx, oclin_layer_zero_grad(owner));
    assert_ok(b.ctx, oclin_loss_mse(b.y, y, loss, b.dy, NULL));
    check_zeros(loss);
    check_zeros(b.dy);
    oclin_layer_destroy(owner);
    oclin_tensor_destroy(loss);
    release(&b);
}

/* -------------------------------------------------------------------------------- gradients handed in */

/* A layer on the gradients of another one, or on a tensor with numbers: its creation changes nothing,
 * whatever they are; backward adds to them, and step applies them. */
static void test_creation_changes_nothing(void **state)
{
    const int cleared = *(int *)*state;
    struct bench b = make_bench(OCLIN_NONE);
    const struct truth t = truth_of(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *second = NULL;
    float before[4][NW], after[4][NW];
    forward(&b);
    backward(&b);
    if (cleared) assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    oclin_tensor *const all[] = {options.w = oclin_layer_w(b.l), options.b = oclin_layer_b(b.l),
                                 options.dw = oclin_layer_dw(b.l), options.db = oclin_layer_db(b.l)};
    uint64_t versions[4];
    for (int i = 0; i < 4; i++) versions[i] = all[i]->version;
    if (!cleared)
        for (int i = 0; i < 4; i++) assert_ok(b.ctx, oclin_tensor_read(all[i], before[i]));
    assert_ok(b.ctx, oclin_layer_create(&second, b.ctx, IN, OUT, &options));
    for (int i = 0; i < 4; i++) assert_true(all[i]->version == versions[i]);
    for (int i = 2; i < 4; i++) assert_true(all[i]->cleared == cleared && all[i]->zero_pending == cleared);
    if (!cleared)
        for (int i = 0; i < 4; i++) {
            assert_ok(b.ctx, oclin_tensor_read(all[i], after[i]));
            check_same_bits("what was handed in", after[i], before[i], i % 2 ? OUT : NW);
        }
    /* the first one goes on as if nothing had happened */
    backward(&b);
    check_gradients(&b, cleared ? 1 : 2);
    /* so does the second: its backward adds, its step applies what there is */
    assert_ok(b.ctx, oclin_layer_forward(second, b.x, b.y));
    assert_refused(b.ctx, OCLIN_E_STATE, "zero_grad", oclin_layer_backward_step(second, b.dy, b.dx, 1.0f));
    assert_ok(b.ctx, oclin_layer_backward(second, b.dy, b.dx));
    check_gradients(&b, cleared ? 2 : 3);
    assert_ok(b.ctx, oclin_layer_step(second, 1.0f));
    check_sum(all[0], host_w, cleared ? -2 : -3, t.dw);
    oclin_layer_destroy(second);
    release(&b);
}

/* Whether there is a gradient to step with, right after creation: only where somebody has computed or
 * written one. */
static void test_step_with_handed_in(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    const float ones[NW] = {1, 1, 1, 1, 1, 1};
    options.bias = 0;
    for (int kind = 0; kind < 3; kind++) { /* 0: never written; 1: cleared; 2: written */
        oclin_layer *l = NULL, *owner = NULL;
        if (kind == 1) assert_ok(b.ctx, oclin_layer_create(&owner, b.ctx, IN, OUT, NULL));
        options.dw = owner ? oclin_tensor_retain(oclin_layer_dw(owner))
                           : make_tensor(b.ctx, OCLIN_F32, OUT, IN, kind == 2 ? ones : NULL);
        assert_ok(b.ctx, oclin_layer_create(&l, b.ctx, IN, OUT, &options));
        if (kind == 2)
            assert_ok(b.ctx, oclin_layer_step(l, 1.0f));
        else
            assert_refused(b.ctx, OCLIN_E_STATE, "gradient", oclin_layer_step(l, 1.0f));
        oclin_layer_destroy(l);
        oclin_layer_destroy(owner);
        oclin_tensor_destroy(options.dw);
    }
    release(&b);
}

/* Memory of which no element was ever written is a cleared gradient, whatever lies there; also a part of
 * an arena whose other parts were. One element that was written makes it a gradient. */
static void test_never_written_gradient(void **state)
{
    const int with_one = *(int *)*state;
    struct bench b = make_bench(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_tensor *arena = make_tensor(b.ctx, OCLIN_F32, 1, 32, NULL), *part = NULL;
    cl_command_queue queue;
    const float seven = 7;
    assert_ok(b.ctx, oclin_context_cl(b.ctx, NULL, NULL, &queue));
    assert_int_equal(clEnqueueFillBuffer(queue, oclin_tensor_cl_mem(arena), &seven, sizeof seven, 0,
                                         32 * sizeof seven, 0, NULL, NULL),
                     CL_SUCCESS); /* not announced: to oclin it is as it came */
    assert_ok(b.ctx, oclin_tensor_view(&part, arena, 0, 1, 10 + with_one, 32));
    assert_ok(b.ctx, oclin_tensor_fill(part, 3.0));
    assert_ok(b.ctx, oclin_tensor_view(&options.dw, arena, 10, OUT, IN, 5)); /* 10 to 12, 15 to 17 */
    assert_ok(b.ctx, oclin_tensor_view(&options.db, arena, 20, 1, OUT, OUT));
    options.w = oclin_layer_w(b.l);
    options.b = oclin_layer_b(b.l);
    oclin_layer *l = NULL;
    assert_ok(b.ctx, oclin_layer_create(&l, b.ctx, IN, OUT, &options));
    assert_int_equal(options.dw->cleared, !with_one);
    assert_int_equal(options.db->cleared, 1);
    if (!with_one) {
        const struct truth t = truth_of(OCLIN_NONE);
        check_sum(options.dw, NULL, 0, t.dw);
        check_sum(part, NULL, 1, (double[]){3, 3, 3, 3, 3, 3, 3, 3, 3, 3});
        assert_ok(b.ctx, oclin_layer_forward(l, b.x, b.y));
        assert_ok(b.ctx, oclin_layer_backward(l, b.dy, NULL));
        check_sum(options.dw, NULL, 1, t.dw);
        check_sum(options.db, NULL, 1, t.db);
    }
    oclin_layer_destroy(l);
    oclin_tensor *const all[] = {options.dw, options.db, part, arena};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    release(&b);
}

/* The caller's memory counts as written: what is there is a gradient. */
static void test_wrapped_gradient(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    const struct truth t = truth_of(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    cl_context handle;
    const float old[NW] = {1, 2, 3, 4, 5, 6};
    assert_ok(b.ctx, oclin_context_cl(b.ctx, &handle, NULL, NULL));
    cl_mem m = clCreateBuffer(handle, CL_MEM_COPY_HOST_PTR, sizeof old, (void *)(uintptr_t)old, NULL);
    oclin_layer *l = NULL;
    assert_ok(b.ctx, oclin_tensor_wrap(&options.dw, b.ctx, OCLIN_F32, m, 0, OUT, IN, IN));
    options.w = oclin_layer_w(b.l);
    options.bias = 0;
    assert_ok(b.ctx, oclin_layer_create(&l, b.ctx, IN, OUT, &options));
    assert_ok(b.ctx, oclin_layer_forward(l, b.x, b.y));
    assert_ok(b.ctx, oclin_layer_backward(l, b.dy, NULL));
    check_sum(options.dw, old, 1, t.dw);
    oclin_layer_destroy(l);
    oclin_tensor_destroy(options.dw);
    clReleaseMemObject(m);
    release(&b);
}

/* ------------------------------------------------------------------------- two contexts, the same memory */

/* Two oclin contexts on one cl_context, with one queue or one each; the layer and its tensors are the
 * first one's. */
struct pair {
    struct bench b;
    oclin_context *other;
    cl_command_queue queue; /* of the second one, if it has its own */
};

static struct pair make_pair(int queues)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    struct pair p = {.b = make_bench_in(make_context("plain"), OCLIN_NONE)};
    assert_ok(p.b.ctx,
              oclin_context_cl(p.b.ctx, &options.cl_context_handle, &options.cl_device, &options.cl_queue));
    if (queues == 2)
        options.cl_queue = p.queue =
            clCreateCommandQueue(options.cl_context_handle, options.cl_device, 0, NULL);
    options.plan = "plain";
    p.other = make_context_with(options);
    return p;
}

static void release_pair(struct pair *p)
{
    oclin_context *ctx = p->b.ctx;
    release(&p->b);
    oclin_context_destroy(p->other);
    if (p->queue) clReleaseCommandQueue(p->queue);
    oclin_context_destroy(ctx);
}

/* The other context's tensor on the same elements. */
static oclin_tensor *seen_by(oclin_context *other, oclin_tensor *t)
{
    oclin_tensor *seen = NULL;
    assert_ok(other,
              oclin_tensor_wrap(&seen, other, OCLIN_F32, oclin_tensor_cl_mem(t), oclin_tensor_offset(t),
                                oclin_tensor_rows(t), oclin_tensor_cols(t), oclin_tensor_row_stride(t)));
    return seen;
}

/* The manual's recipe: memory changes hands. */
static void hand_over(const struct pair *p, oclin_tensor *from, oclin_tensor *to, int wrote)
{
    oclin_context *const giver = oclin_tensor_context(from), *const taker = oclin_tensor_context(to);
    cl_event event = NULL;
    assert_non_null(oclin_tensor_cl_mem(from));
    if (p->queue) {
        assert_ok(giver, oclin_context_mark(giver, &event));
        assert_ok(taker, oclin_context_wait_for(taker, 1, &event));
        clReleaseEvent(event);
    }
    if (wrote) assert_ok(taker, oclin_tensor_touch(to));
}

/* One gradient of two layers, a layer in each context: cleared in one, added to in both, stepped,
 * cleared in the other. */
static void test_pair_gradients(void **state)
{
    struct pair p = make_pair(*(int *)*state);
    struct bench *b = &p.b;
    const struct truth t = truth_of(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l = NULL;
    float got[NW];
    const float zeros[NW] = {0};
    options.bias = 0;
    forward(b);
    backward(b);
    oclin_tensor *const dw = oclin_layer_dw(b->l), *const w = oclin_layer_w(b->l);
    oclin_tensor *const x = seen_by(p.other, b->x), *const dy = seen_by(p.other, b->dy);
    oclin_tensor *const y = make_tensor(p.other, OCLIN_F32, BATCH, OUT, NULL);
    options.w = seen_by(p.other, w);
    options.dw = seen_by(p.other, dw);
    assert_ok(p.other, oclin_layer_create(&l, p.other, IN, OUT, &options));
    /* the first clears, the second reads zeros and adds to them */
    assert_ok(b->ctx, oclin_layer_zero_grad(b->l));
    hand_over(&p, dw, options.dw, 1);
    assert_ok(p.other, oclin_tensor_read(options.dw, got));
    check_same_bits("dw", got, zeros, NW);
    assert_ok(p.other, oclin_layer_forward(l, x, y));
    assert_ok(p.other, oclin_layer_backward(l, dy, NULL));
    /* the first adds as well, and steps */
    hand_over(&p, options.dw, dw, 1);
    backward(b);
    check_sum(dw, NULL, 2, t.dw);
    assert_ok(b->ctx, oclin_layer_step(b->l, 1.0f));
    check_sum(w, host_w, -2, t.dw);
    /* the second reads the new w, and clears; the first reads zeros */
    hand_over(&p, w, options.w, 1);
    hand_over(&p, dw, options.dw, 1);
    check_sum(options.w, host_w, -2, t.dw);
    assert_ok(p.other, oclin_layer_zero_grad(l));
    hand_over(&p, options.dw, dw, 1);
    check_sum(dw, NULL, 0, t.dw);
    /* the first clears and is dropped: the zeros are there for the second */
    assert_ok(b->ctx, oclin_tensor_fill(dw, 7.0));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->l));
    hand_over(&p, dw, options.dw, 1);
    oclin_layer_destroy(b->l);
    b->l = NULL;
    assert_ok(p.other, oclin_tensor_read(options.dw, got));
    check_same_bits("dw", got, zeros, NW);
    oclin_layer_destroy(l);
    oclin_tensor *const all[] = {x, dy, y, options.w, options.dw};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    release_pair(&p);
}

/* An input that the second context writes between a forward of the first and its backward: the first is
 * told, and refuses. */
static void test_pair_inputs(void **state)
{
    struct pair p = make_pair(*(int *)*state);
    struct bench *b = &p.b;
    oclin_tensor *const x = seen_by(p.other, b->x);
    forward(b);
    hand_over(&p, b->x, x, 0);
    assert_ok(p.other, oclin_tensor_fill(x, 100.0));
    hand_over(&p, x, b->x, 1);
    assert_refused(b->ctx, OCLIN_E_STATE, "x was written 1 times", oclin_layer_backward(b->l, b->dy, NULL));
    hand_over(&p, b->x, x, 0);
    assert_ok(p.other, oclin_tensor_write(x, host_x));
    hand_over(&p, x, b->x, 1);
    forward(b);
    backward(b);
    check_gradients(b, 1);
    oclin_tensor_destroy(x);
    release_pair(&p);
}

/* -------------------------------------------------------------------------------------- strict contexts */

static oclin_context *lax_or_strict(int strict)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = "plain";
    options.strict = strict;
    return make_context_with(options);
}

/* How w can change between a forward and its backward; and how it does not. */
enum {
    W_WRITE,
    W_FILL,
    W_TOUCH,
    W_VIEW,
    W_STEP,
    W_STEP_OF_OTHER,
    W_BACKWARD_STEP,
    STEP_OF_0,
    B_WRITE,
    W_READ,
    W_WAYS
};
static const char *const w_ways[W_WAYS] = {
    "w is written",         "w is filled",   "w is touched", "a part of w is written", "a step",
    "another layer's step", "backward_step", "a step of 0",  "b is written",           "w is read"};
struct w_case {
    int way, strict;
};
static struct w_case w_cases[2 * W_WAYS];

static void change_w(const struct bench *b, int way)
{
    oclin_tensor *const w = oclin_layer_w(b->l);
    oclin_tensor *view = NULL;
    oclin_layer *other = NULL;
    float got[NW];
    if (way == W_WRITE) assert_ok(b->ctx, oclin_tensor_write(w, host_w));
    if (way == W_FILL) assert_ok(b->ctx, oclin_tensor_fill(w, 1.0));
    if (way == W_TOUCH) assert_ok(b->ctx, oclin_tensor_touch(w));
    if (way == B_WRITE) assert_ok(b->ctx, oclin_tensor_write(oclin_layer_b(b->l), host_b));
    if (way == W_READ) assert_ok(b->ctx, oclin_tensor_read(w, got));
    if (way == W_VIEW) {
        assert_ok(b->ctx, oclin_tensor_view(&view, w, NW - 1, 1, 1, 1));
        assert_ok(b->ctx, oclin_tensor_fill(view, 1.0));
    }
    if (way == W_STEP || way == STEP_OF_0) {
        assert_ok(b->ctx, oclin_tensor_fill(oclin_layer_dw(b->l), 1.0));
        assert_ok(b->ctx, oclin_layer_step(b->l, way == W_STEP ? 1.0f : 0.0f));
        assert_ok(b->ctx, oclin_layer_zero_grad(b->l));
    }
    if (way == W_STEP_OF_OTHER) {
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        options.w = w;
        assert_ok(b->ctx, oclin_layer_create(&other, b->ctx, IN, OUT, &options));
        assert_ok(b->ctx, oclin_tensor_fill(oclin_layer_dw(other), 1.0));
        assert_ok(b->ctx, oclin_layer_step(other, 1.0f));
    }
    if (way == W_BACKWARD_STEP) assert_ok(b->ctx, oclin_layer_backward_step(b->l, b->dy, b->dx, 1.0f));
    oclin_tensor_destroy(view);
    oclin_layer_destroy(other);
}

static void test_w_changes(void **state)
{
    const struct w_case *c = *state;
    struct bench b = make_bench_in(lax_or_strict(c->strict), OCLIN_NONE);
    const int refused = c->strict && c->way < B_WRITE;
    oclin_saved *saved = NULL;
    assert_ok(b.ctx, oclin_saved_create(&saved, b.ctx));
    forward(&b);
    assert_ok(b.ctx, oclin_layer_forward_saved(b.l, b.x, b.y, saved));
    change_w(&b, c->way);
    const oclin_status statuses[] = {
        oclin_layer_backward_saved(b.l, b.dy, NULL, saved), oclin_layer_zero_grad(b.l),
        oclin_layer_backward_x_saved(b.l, b.dy, b.dx, saved), oclin_layer_backward_x(b.l, b.dy, b.dx),
        oclin_layer_backward(b.l, b.dy, b.dx)};
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        assert_int_equal(statuses[i], refused && i != 1 ? OCLIN_E_STATE : OCLIN_OK);
    if (refused) {
        assert_non_null(strstr(oclin_context_error(b.ctx), "w was written 1 times"));
        assert_int_equal(b.l->dw ? b.l->dw->cleared : 1, 1); /* nothing was added */
        forward(&b);
        backward(&b); /* a new forward puts it right */
    }
    oclin_saved_destroy(saved);
    release(&b);
    oclin_context_destroy(b.ctx);
}

/* A call with one operand of which an element was never written. */
enum {
    READ_X,
    READ_DY,
    READ_W,
    READ_B,
    READ_DW,
    READ_DB,
    READ_STEP_DW,
    READ_T,
    READ_SCORES,
    READ_LABELS,
    READ_LOSS,
    READ_COUNT,
    READ_READ,
    READ_ASYNC,
    READS
};
static const char *const reads[READS] = {"x of forward",
                                         "dy of backward",
                                         "w of infer",
                                         "b of infer",
                                         "dw of backward",
                                         "db of backward",
                                         "dw of step",
                                         "t of a loss",
                                         "y of a loss",
                                         "labels",
                                         "a loss that is accumulated",
                                         "a count that is accumulated",
                                         "read",
                                         "read_async"};
struct read_case {
    int which, strict, partly; /* all but the last element was written */
};
static struct read_case read_cases[READS * 4];

/* Never written, or all but the last element, or as a whole. */
static oclin_tensor *half_written(oclin_context *ctx, oclin_dtype dtype, int64_t rows, int64_t cols,
                                  int partly)
{
    oclin_tensor *t = make_tensor(ctx, dtype, rows, cols, NULL), *most = NULL;
    const int64_t n = rows * cols;
    if (partly && n > 1) {
        assert_ok(ctx, oclin_tensor_view(&most, t, 0, 1, n - 1, n - 1));
        assert_ok(ctx, oclin_tensor_fill(most, 1.0));
        oclin_tensor_destroy(most);
    }
    return t;
}

static oclin_status read_one(struct bench *b, int which, oclin_tensor *t)
{
    static float got[NX];
    oclin_tensor *const labels = make_tensor(b->ctx, OCLIN_I32, BATCH, 1, (int32_t[]){0, 1, 0, 1});
    oclin_tensor *const y = make_tensor(b->ctx, OCLIN_F32, BATCH, OUT, host_dy);
    struct oclin_loss_options add = OCLIN_LOSS_OPTIONS_INIT;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l = NULL;
    oclin_status status = OCLIN_OK;
    add.accumulate = 1;
    if (which == READ_W) options.w = t;
    if (which == READ_B) options.b = t;
    if (which == READ_DW || which == READ_STEP_DW) options.dw = t;
    if (which == READ_DB) options.db = t;
    assert_ok(b->ctx, oclin_layer_create(&l, b->ctx, IN, OUT, &options));
    assert_ok(b->ctx, oclin_tensor_write(b->x, host_x));
    if (which == READ_DY || which == READ_DW || which == READ_DB)
        assert_ok(b->ctx, oclin_layer_forward(l, b->x, b->y));
    if (which == READ_X) status = oclin_layer_forward(l, t, b->y);
    if (which == READ_DY) status = oclin_layer_backward(l, t, b->dx);
    if (which == READ_DW || which == READ_DB) status = oclin_layer_backward(l, b->dy, b->dx);
    if (which == READ_W || which == READ_B) status = oclin_layer_infer(l, b->x, b->y);
    if (which == READ_STEP_DW) status = oclin_layer_step(l, 1.0f);
    if (which == READ_T) status = oclin_loss_mse(y, t, NULL, b->dy, NULL);
    if (which == READ_SCORES) status = oclin_loss_cross_entropy(t, labels, NULL, b->dy, NULL, NULL);
    if (which == READ_LABELS) status = oclin_loss_cross_entropy(y, t, NULL, b->dy, NULL, NULL);
    if (which == READ_LOSS) status = oclin_loss_mse(y, b->dy, t, NULL, &add);
    if (which == READ_COUNT) status = oclin_loss_cross_entropy(y, labels, NULL, NULL, t, &add);
    if (which == READ_READ) status = oclin_tensor_read(t, got);
    if (which == READ_ASYNC) status = oclin_tensor_read_async(t, got, NULL);
    char sentence[512];
    snprintf(sentence, sizeof sentence, "%s", oclin_context_error(b->ctx));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
    oclin_tensor_destroy(labels);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
    if (status != OCLIN_OK) assert_non_null(strstr(sentence, "was never written"));
    return status;
}

static const struct {
    oclin_dtype dtype;
    int64_t rows, cols;
} read_sizes[READS] = {{OCLIN_F32, BATCH, IN}, {OCLIN_F32, BATCH, OUT}, {OCLIN_F32, OUT, IN},
                       {OCLIN_F32, 1, OUT},    {OCLIN_F32, OUT, IN},    {OCLIN_F32, 1, OUT},
                       {OCLIN_F32, OUT, IN},   {OCLIN_F32, BATCH, OUT}, {OCLIN_F32, BATCH, OUT},
                       {OCLIN_I32, BATCH, 1},  {OCLIN_F32, 1, 1},       {OCLIN_I32, 1, 1},
                       {OCLIN_F32, BATCH, IN}, {OCLIN_F32, BATCH, IN}};

static void test_never_written(void **state)
{
    const struct read_case *c = *state;
    struct bench b = make_bench_in(lax_or_strict(c->strict), OCLIN_NONE);
    const int64_t rows = read_sizes[c->which].rows, cols = read_sizes[c->which].cols;
    oclin_tensor *t = half_written(b.ctx, read_sizes[c->which].dtype, rows, cols, c->partly), *last = NULL;
    /* a gradient of which nothing was written is cleared: there is none to step with */
    const int is_gradient = c->which == READ_DW || c->which == READ_DB || c->which == READ_STEP_DW;
    if (c->partly || !is_gradient) {
        const oclin_status want = c->strict && !(c->partly && rows * cols == 1) ? OCLIN_E_STATE : OCLIN_OK;
        if (!(c->partly && rows * cols == 1)) assert_status(b.ctx, want, read_one(&b, c->which, t));
        assert_ok(b.ctx, oclin_tensor_view(&last, t, rows * cols - 1, 1, 1, 1));
        assert_ok(b.ctx, oclin_tensor_fill(last, 1.0)); /* the last one: now all of it is */
        oclin_tensor_destroy(last);
        if (c->partly) assert_ok(b.ctx, read_one(&b, c->which, t));
    } else if (c->which != READ_STEP_DW) {
        assert_ok(b.ctx, read_one(&b, c->which, t));
    }
    oclin_tensor_destroy(t);
    release(&b);
    oclin_context_destroy(b.ctx);
}

/* Whatever counts as writing, for a tensor and for who looks at it; and a whole training step is no
 * false alarm. */
static void test_strict_written_ways(void **state)
{
    (void)state;
    oclin_context *ctx = lax_or_strict(1);
    cl_context handle;
    const float ones[12] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    float got[12];
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    for (int way = 0; way < 7; way++) {
        oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 3, 4, NULL), *view = NULL, *late = NULL,
                     *wrapper = NULL;
        assert_ok(ctx, oclin_tensor_view(&view, t, 1, 3, 2, 4));
        assert_refused(ctx, OCLIN_E_STATE, "element [0, 0] was never written", oclin_tensor_read(view, got));
        if (way == 0) assert_ok(ctx, oclin_tensor_write(t, ones));
        if (way == 1) assert_ok(ctx, oclin_tensor_write_async(t, ones, NULL));
        if (way == 2) assert_ok(ctx, oclin_tensor_fill(t, 1.0));
        if (way == 3) assert_ok(ctx, oclin_tensor_touch(t));
        if (way == 4) write_by_layer(ctx, t);
        if (way == 5) write_by_zero_grad(ctx, t);
        if (way == 6) { /* through another wrapper of the same memory, and only what is looked at */
            assert_ok(ctx, oclin_tensor_wrap(&wrapper, ctx, OCLIN_F32, oclin_tensor_cl_mem(t), 1, 3, 2, 4));
            assert_refused(ctx, OCLIN_E_STATE, "never written", oclin_tensor_read(wrapper, got));
            assert_ok(ctx, oclin_tensor_fill(wrapper, 1.0));
            assert_refused(ctx, OCLIN_E_STATE, "element [0, 0] was never written", oclin_tensor_read(t, got));
        }
        assert_ok(ctx, oclin_tensor_view(&late, t, 1, 3, 2, 4));
        assert_ok(ctx, oclin_tensor_read(view, got));
        assert_ok(ctx, oclin_tensor_read(late, got));
        if (way < 6) assert_ok(ctx, oclin_tensor_read(t, got));
        assert_ok(ctx, oclin_context_finish(ctx));
        oclin_tensor *const all[] = {t, view, late, wrapper};
        for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    }
    /* the caller's memory is the caller's business */
    cl_mem m = clCreateBuffer(handle, CL_MEM_READ_WRITE, sizeof ones, NULL, NULL);
    oclin_tensor *t = NULL;
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, OCLIN_F32, m, 0, 3, 4, 4));
    assert_ok(ctx, oclin_tensor_read(t, got));
    oclin_tensor_destroy(t);
    clReleaseMemObject(m);
    oclin_context_destroy(ctx);
}

/* A program without mistakes notices nothing, also while it verifies itself, looking into memory that is
 * hidden. */
static void test_strict_training(void **state)
{
    const oclin_activation activation = *(oclin_activation *)*state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = "plain";
    options.strict = options.verify = 1;
    struct bench b = make_bench_in(make_context_with(options), activation);
    cl_context handle;
    assert_ok(b.ctx, oclin_context_cl(b.ctx, &handle, NULL, NULL));
    cl_mem m = clCreateBuffer(handle, CL_MEM_HOST_NO_ACCESS, NY * sizeof(float), NULL, NULL);
    oclin_tensor_destroy(b.y);
    assert_ok(b.ctx, oclin_tensor_wrap(&b.y, b.ctx, OCLIN_F32, m, 0, BATCH, OUT, OUT));
    assert_ok(b.ctx, oclin_layer_reserve(b.l, 3 * BATCH));
    for (int step = 0; step < 2; step++) {
        forward(&b);
        backward(&b);
        assert_ok(b.ctx, oclin_layer_step(b.l, 0.25f));
        assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
        forward(&b);
        assert_ok(b.ctx, oclin_layer_backward_step(b.l, b.dy, b.dx, 0.25f));
    }
    assert_ok(b.ctx, oclin_self_check(b.ctx, NULL));
    assert_int_equal(b.ctx->strict, 1); /* as before */
    release(&b);
    clReleaseMemObject(m);
    oclin_context_destroy(b.ctx);
}

/* ------------------------------------------------------------------------------------------ empty batches */

static void test_no_samples(void **state)
{
    const oclin_activation activation = *(oclin_activation *)*state;
    struct bench b = make_bench(activation);
    oclin_tensor *x = make_tensor(b.ctx, OCLIN_F32, 0, IN, NULL),
                 *y = make_tensor(b.ctx, OCLIN_F32, 0, OUT, NULL);
    oclin_tensor *dy = make_tensor(b.ctx, OCLIN_F32, 0, OUT, NULL),
                 *dx = make_tensor(b.ctx, OCLIN_F32, 0, IN, NULL);
    const double zeros[NW] = {0};
    assert_ok(b.ctx, oclin_layer_infer(b.l, x, y));
    assert_ok(b.ctx, oclin_layer_forward(b.l, x, y));
    assert_status(b.ctx, OCLIN_E_SHAPE, oclin_layer_backward(b.l, b.dy, NULL)); /* 4 rows, for none */
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, dy, dx, 1.0f));
    assert_ok(b.ctx, oclin_layer_backward(b.l, dy, dx));
    check_sum(oclin_layer_dw(b.l), NULL, 1, zeros);
    check_sum(oclin_layer_db(b.l), NULL, 1, zeros);
    assert_ok(b.ctx, oclin_layer_step(b.l, 1.0f)); /* a gradient was computed: it is zero */
    check_sum(oclin_layer_w(b.l), host_w, 0, zeros);

    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    forward(&b);
    backward(&b);
    float before[NW], after[NW];
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_dw(b.l), before));
    assert_ok(b.ctx, oclin_layer_forward(b.l, x, y));
    assert_ok(b.ctx, oclin_layer_backward(b.l, dy, NULL));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_dw(b.l), after));
    check_same_bits("dw", after, before, NW); /* nothing is added to it */
    oclin_tensor *const all[] = {x, y, dy, dx};
    for (int i = 0; i < 4; i++) oclin_tensor_destroy(all[i]);
    release(&b);
}

/* Of a tensor without rows: write and fill have nothing to write; touch says that it was written, whatever there is. */
static void test_no_samples_meanwhile(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_RELU);
    oclin_tensor *x, *y, *dy = make_tensor(b.ctx, OCLIN_F32, 0, OUT, NULL);
    assert_ok(b.ctx, oclin_tensor_view_rows(&x, b.x, BATCH, 0)); /* with memory of others behind it */
    assert_ok(b.ctx, oclin_tensor_view_rows(&y, b.y, 1, 0));
    assert_ok(b.ctx, oclin_layer_forward(b.l, x, y));
    oclin_tensor *const both[] = {x, y};
    for (int i = 0; i < 2; i++) {
        assert_ok(b.ctx, oclin_tensor_write(both[i], host_x));
        assert_ok(b.ctx, oclin_tensor_write_async(both[i], host_x, NULL));
        assert_ok(b.ctx, oclin_tensor_fill(both[i], 1.0));
    }
    assert_ok(b.ctx, oclin_tensor_write(b.x, host_x)); /* they share no element with anybody */
    assert_ok(b.ctx, oclin_tensor_touch(b.y));
    assert_ok(b.ctx, oclin_layer_backward(b.l, dy, NULL));
    for (int i = 0; i < 2; i++) {
        assert_ok(b.ctx, oclin_layer_forward(b.l, x, y));
        assert_ok(b.ctx, oclin_tensor_touch(both[i]));
        assert_refused(b.ctx, OCLIN_E_STATE, i ? "y was written 1 times" : "x was written 1 times",
                       oclin_layer_backward(b.l, dy, NULL));
    }
    oclin_tensor *const all[] = {x, y, dy};
    for (int i = 0; i < 3; i++) oclin_tensor_destroy(all[i]);
    release(&b);
}

/* ------------------------------------------------------------------------------------ what a failure leaves
 */

/* Launches from now on until one fails; 0: none does. */
static int until_failure;

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *offset, const size_t *global, const size_t *local, cl_uint waits,
                              const cl_event *wait, cl_event *event)
{
    cl_int (*real)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                   cl_uint, const cl_event *, cl_event *);
    find_real("clEnqueueNDRangeKernel", &real);
    if (until_failure > 0 && --until_failure == 0) return CL_OUT_OF_RESOURCES;
    return real(queue, kernel, dimensions, offset, global, local, waits, wait, event);
}

static oclin_status read_status(oclin_tensor *t)
{
    float host[NX];
    return oclin_tensor_read(t, host);
}

/* One launch writes both the weights and the bias, or both gradients: when it fails, neither can be read. */
static void test_failed_launch(void **state)
{
    static const char *const plans[] = {"plain", "simd"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(plans); i++)
        for (int fused = 0; fused < 2; fused++) {
            struct bench b = make_bench_in(make_context(plans[i]), OCLIN_NONE);
            forward(&b);
            oclin_tensor *const written[] = {fused ? oclin_layer_w(b.l) : oclin_layer_dw(b.l),
                                             fused ? oclin_layer_b(b.l) : oclin_layer_db(b.l)};
            until_failure = 1; /* without dx there is one launch, whatever the plan */
            assert_status(b.ctx, OCLIN_E_CL,
                          fused ? oclin_layer_backward_step(b.l, b.dy, NULL, 0.5f)
                                : oclin_layer_backward(b.l, b.dy, NULL));
            assert_int_equal(until_failure, 0);
            for (int j = 0; j < 2; j++) assert_int_equal(read_status(written[j]), OCLIN_E_STATE);
            assert_status(b.ctx, fused ? OCLIN_E_STATE : OCLIN_OK, oclin_layer_infer(b.l, b.x, b.y));
            release(&b);
            oclin_context_destroy(b.ctx);
        }
}

/* The same of a step, whose launches are two: w first, then b. */
static void test_failed_step(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 2; nth++) {
        struct bench b = make_bench_in(make_context("plain"), OCLIN_NONE);
        forward(&b);
        backward(&b);
        until_failure = nth;
        assert_status(b.ctx, OCLIN_E_CL, oclin_layer_step(b.l, 0.5f));
        assert_int_equal(read_status(oclin_layer_w(b.l)), OCLIN_E_STATE);
        assert_int_equal(read_status(oclin_layer_b(b.l)), nth == 2 ? OCLIN_E_STATE : OCLIN_OK);
        assert_int_equal(read_status(oclin_layer_dw(b.l)), OCLIN_OK);
        release(&b);
        oclin_context_destroy(b.ctx);
    }
}

enum { OF_X, OF_Y, OF_DY, OF_W, OF_B, OF_DW, OF_DB, OF_Z, OPERANDS };
static const char *const operand_names[OPERANDS] = {"x", "y", "dy", "w", "b", "dw", "db", "z"};
enum { DO_FORWARD, DO_INFER, DO_BACKWARD, DO_BACKWARD_STEP, DO_STEP, CALLS };
static const char *const call_names[CALLS] = {"forward", "infer", "backward", "backward_step", "step"};

/* A call whose operand is unspecified; read: by this call. */
struct lost_case {
    int call, operand, read;
};
static struct lost_case lost_cases[CALLS * OPERANDS];

static const int reads_of[CALLS][OPERANDS] = {
    [DO_FORWARD] = {[OF_X] = 1, [OF_W] = 1, [OF_B] = 1},
    [DO_INFER] = {[OF_X] = 1, [OF_W] = 1, [OF_B] = 1},
    [DO_BACKWARD] = {1, 1, 1, 1, 1, 1, 1, 1}, /* dw and db are added to */
    [DO_BACKWARD_STEP] = {[OF_X] = 1, [OF_Y] = 1, [OF_DY] = 1, [OF_W] = 1, [OF_B] = 1, [OF_Z] = 1},
    [DO_STEP] = {[OF_W] = 1, [OF_B] = 1, [OF_DW] = 1, [OF_DB] = 1}};

static oclin_status do_call(const struct bench *b, int call)
{
    switch (call) {
    case DO_FORWARD:
        return oclin_layer_forward(b->l, b->x, b->y);
    case DO_INFER:
        return oclin_layer_infer(b->l, b->x, b->y);
    case DO_BACKWARD:
        return oclin_layer_backward(b->l, b->dy, b->dx);
    case DO_BACKWARD_STEP:
        return oclin_layer_backward_step(b->l, b->dy, b->dx, 0.5f);
    default:
        return oclin_layer_step(b->l, 0.5f);
    }
}

/* What is unspecified is refused by each call that reads it, and by no other. It became so without being
 * written: a finish has failed. */
static void test_lost_operand(void **state)
{
    const struct lost_case *c = *state;
    struct bench b = make_bench(c->operand == OF_Z ? OCLIN_GELU : OCLIN_RELU);
    forward(&b);
    backward(&b); /* gradients that are added to, but for */
    if (c->call == DO_BACKWARD_STEP) assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    oclin_tensor *const all[OPERANDS] = {b.x,
                                         b.y,
                                         b.dy,
                                         oclin_layer_w(b.l),
                                         oclin_layer_b(b.l),
                                         oclin_layer_dw(b.l),
                                         oclin_layer_db(b.l),
                                         b.l->saved->z};
    uint64_t versions[OPERANDS];
    char sentence[40];
    snprintf(sentence, sizeof sentence, "%s is unspecified", operand_names[c->operand]);
    all[c->operand]->unspecified = 1;
    for (int i = 0; i < OPERANDS; i++) versions[i] = all[i] ? all[i]->version : 0;
    if (c->read) {
        assert_refused(b.ctx, OCLIN_E_STATE, sentence, do_call(&b, c->call));
        for (int i = 0; i < OPERANDS; i++) assert_true(!all[i] || all[i]->version == versions[i]);
    } else
        assert_ok(b.ctx, do_call(&b, c->call));
    all[c->operand]->unspecified = 0;
    release(&b);
}

/* Marked zeros of memory that holds sevens, used as the bias or the weights of a layer: each call that reads
 * them sees zeros. A gradient of the owner is marked anew before each. */
static void test_cleared_parameter(void **state)
{
    const int is_w = *(const int *)*state;
    for (int call = DO_FORWARD; call < CALLS; call++) {
        struct bench b = make_bench(OCLIN_NONE);
        const struct truth t = truth_of(OCLIN_NONE);
        const float zeros[NW] = {0};
        oclin_layer *owner;
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        oclin_tensor *marked = cleared_gradient(b.ctx, &owner, is_w ? OUT : 1, is_w ? IN : OUT);
        oclin_layer_destroy(b.l);
        options.w = is_w ? marked : make_tensor(b.ctx, OCLIN_F32, OUT, IN, host_w);
        options.b = is_w ? make_tensor(b.ctx, OCLIN_F32, 1, OUT, host_b) : marked;
        assert_ok(b.ctx, oclin_layer_create(&b.l, b.ctx, IN, OUT, &options));
        forward(&b);
        if (call == DO_STEP) backward(&b);
        assert_ok(b.ctx, oclin_tensor_fill(marked, 7.0));
        assert_ok(b.ctx, oclin_layer_zero_grad(owner));
        assert_true(marked->zero_pending);
        assert_ok(b.ctx, do_call(&b, call));
        if (call == DO_FORWARD || call == DO_INFER) { /* y with W or b of zeros */
            double y[NY];
            const struct oclin_ref_case c = OCLIN_REF_CASE_INIT(BATCH, IN, OUT);
            oclin_ref_forward(&c, host_x, is_w ? zeros : host_w, is_w ? host_b : zeros, NULL, NULL, y, NULL);
            check_sum(b.y, NULL, 1, y);
        }
        if (is_w && (call == DO_BACKWARD || call == DO_BACKWARD_STEP)) check_zeros(b.dx);
        if (call == DO_BACKWARD_STEP || call == DO_STEP) check_sum(marked, NULL, -0.5, is_w ? t.dw : t.db);
        oclin_tensor_destroy(is_w ? options.b : options.w);
        release(&b);
        oclin_layer_destroy(owner);
    }
}

/* Elements of a cleared gradient that were written past oclin stay, wherever they lie in its rows; all others
 * become zero, on both sides of them and in all rows. */
static void test_touch_anywhere(void **state)
{
    enum { N = 16 };
    static const int64_t parts[][2] = {{1, 1}, {2, 1}, {3, 1},  {5, 2}, {6, 1},
                                       {6, 4}, {2, 9}, {11, 1}, {0, 2}, {11, 3}};
    (void)state;
    oclin_context *ctx = context();
    cl_context handle;
    cl_command_queue queue;
    float sevens[N], ones[N];
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, &queue));
    for (int i = 0; i < N; i++) ones[i] = 1, sevens[i] = 7;
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const int64_t first = parts[i][0], count = parts[i][1];
        cl_mem m = clCreateBuffer(handle, CL_MEM_COPY_HOST_PTR, sizeof ones, ones, NULL);
        oclin_tensor *all = NULL, *part = NULL;
        oclin_layer *l = NULL;
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        double want[N];
        assert_ok(ctx, oclin_tensor_wrap(&all, ctx, OCLIN_F32, m, 0, 1, N, N));
        assert_ok(ctx, oclin_tensor_wrap(&options.dw, ctx, OCLIN_F32, m, 1, 3, 3, 4)); /* 1-3, 5-7, 9-11 */
        assert_ok(ctx, oclin_tensor_wrap(&part, ctx, OCLIN_F32, m, first, 1, count, count));
        assert_ok(ctx, oclin_layer_create(&l, ctx, 3, 3, &options));
        assert_ok(ctx, oclin_layer_zero_grad(l));
        assert_int_equal(clEnqueueWriteBuffer(queue, m, CL_TRUE, (size_t)first * sizeof(float),
                                              (size_t)count * sizeof(float), sevens, 0, NULL, NULL),
                         CL_SUCCESS);
        assert_ok(ctx, oclin_tensor_touch(part));
        for (int j = 0; j < N; j++) {
            const int of_dw = j >= 1 && j < 12 && j % 4 != 0;
            want[j] = j >= first && j < first + count ? 7 : of_dw ? 0 : 1;
        }
        check_sum(all, NULL, 1, want);
        oclin_layer_destroy(l);
        oclin_tensor_destroy(options.dw);
        oclin_tensor_destroy(part);
        oclin_tensor_destroy(all);
        clReleaseMemObject(m);
    }
}

/* The last handle of a gradient goes, whose zeros were only marked: they are written for who sees that
 * memory. Where that fails, or is lost with a finish that fails, who shares elements with it cannot be read;
 * who lies beside it can. */
static void test_dropped_zeros(void **state)
{
    enum { N = 16, WRITTEN, FAILS, LOST, WAYS_TO_END };
    (void)state;
    for (int way = WRITTEN; way < WAYS_TO_END; way++) {
        oclin_context *ctx = make_context("plain");
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, N, NULL), *over, *beside;
        oclin_layer *l;
        assert_ok(ctx, oclin_tensor_fill(arena, 7.0));
        assert_ok(ctx, oclin_tensor_view(&over, arena, 5, 1, 4, 4));
        assert_ok(ctx, oclin_tensor_view(&beside, arena, 8, 1, 8, 8));
        assert_ok(ctx, oclin_tensor_view(&options.dw, arena, 2, OUT, IN, IN)); /* 2 to 7 */
        assert_ok(ctx, oclin_context_finish(ctx));
        assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &options));
        assert_ok(ctx, oclin_layer_zero_grad(l));
        oclin_layer_destroy(l);
        assert_ok(ctx, oclin_context_finish(ctx)); /* so that nothing else can be lost */
        until_failure = way == FAILS;
        oclin_tensor_destroy(options.dw);
        assert_int_equal(until_failure, 0);
        if (way == LOST) oclin_tensors_lose_epoch(ctx);
        if (way == WRITTEN)
            check_sum(over, NULL, 1, (double[]){0, 0, 0, 7});
        else
            assert_int_equal(read_status(over), OCLIN_E_STATE);
        check_sum(beside, NULL, 1, (double[]){7, 7, 7, 7, 7, 7, 7, 7});
        oclin_tensor *const all[] = {arena, over, beside};
        for (int i = 0; i < 3; i++) oclin_tensor_destroy(all[i]);
        oclin_context_destroy(ctx);
    }
}

/* To ask for dW and db, and to clear them, is not to compute them. */
static void test_asked_and_cleared(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    assert_non_null(oclin_layer_dw(b.l));
    assert_non_null(oclin_layer_db(b.l));
    for (int i = 0; i < 2; i++) {
        assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
        assert_refused(b.ctx, OCLIN_E_STATE, "before any gradient", oclin_layer_step(b.l, 1.0f));
    }
    assert_ok(b.ctx,
              oclin_tensor_write(oclin_layer_db(b.l), host_b)); /* a gradient that somebody has written */
    assert_ok(b.ctx, oclin_layer_step(b.l, 1.0f));
    release(&b);
}

/* A state that GELU layers of other widths have filled: z is of this layer's width, not only large enough. */
static void test_z_of_another_width(void **state)
{
    enum { SHORT = 3, WIDE = 8, MANY = 8 };
    (void)state;
    struct oclin_context_options verifying = OCLIN_CONTEXT_OPTIONS_INIT;
    verifying.verify = 1;
    oclin_context *ctx = make_context_with(verifying);
    oclin_saved *saved;
    assert_ok(ctx, oclin_saved_create(&saved, ctx));
    for (int i = 0; i < 4; i++) {
        const int64_t out = i % 2 ? SHORT : WIDE, batch = i % 2 ? MANY : SHORT;
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        oclin_layer *l;
        options.activation = OCLIN_GELU;
        assert_ok(ctx, oclin_layer_create(&l, ctx, IN, out, &options));
        oclin_tensor *x = make_tensor(ctx, OCLIN_F32, batch, IN, NULL),
                     *y = make_tensor(ctx, OCLIN_F32, batch, out, NULL),
                     *dx = make_tensor(ctx, OCLIN_F32, batch, IN, NULL);
        float ramp[MANY * IN];
        for (int j = 0; j < MANY * IN; j++) ramp[j] = (float)j / 8.0f - 1.0f;
        assert_ok(ctx, oclin_tensor_write(x, ramp));
        assert_ok(ctx, oclin_layer_forward_saved(l, x, y, saved));
        assert_int_equal(saved->z->cols, out);
        assert_ok(ctx, oclin_layer_backward_saved(l, y, dx, saved));
        oclin_tensor_destroy(x);
        oclin_tensor_destroy(y);
        oclin_tensor_destroy(dx);
        oclin_layer_destroy(l);
    }
    oclin_saved_destroy(saved);
    oclin_context_destroy(ctx);
}

/* What oclin_layer_workspace() tells is enough, whichever of the three products needs the most. */
static void test_workspace_of_each(void **state)
{
    static const struct oclin_shape shapes[] = {{200, 8, 200}, {200, 200, 8}, {8, 200, 200}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        const struct oclin_shape s = shapes[i];
        oclin_context *ctx = make_context("simd-packed");
        oclin_layer *l;
        int64_t bytes;
        assert_ok(ctx, oclin_layer_create(&l, ctx, s.in, s.out, NULL));
        oclin_tensor *x = make_tensor(ctx, OCLIN_F32, s.batch, s.in, NULL),
                     *y = make_tensor(ctx, OCLIN_F32, s.batch, s.out, NULL),
                     *dx = make_tensor(ctx, OCLIN_F32, s.batch, s.in, NULL);
        assert_ok(ctx, oclin_tensor_fill(x, 1.0));
        assert_ok(ctx, oclin_layer_workspace(l, s.batch, &bytes));
        assert_true(bytes > 0);
        assert_ok(ctx, oclin_layer_reserve(l, s.batch));
        assert_int_equal(ctx->scratch_bytes, bytes);
        for (int fused = 0; fused < 2; fused++) {
            assert_ok(ctx, oclin_layer_forward(l, x, y));
            assert_ok(ctx,
                      fused ? oclin_layer_backward_step(l, y, dx, 0.5f) : oclin_layer_backward(l, y, dx));
            assert_ok(ctx, oclin_layer_zero_grad(l));
        }
        assert_int_equal(ctx->scratch_bytes, bytes);
        oclin_tensor *const all[] = {x, y, dx};
        for (int j = 0; j < 3; j++) oclin_tensor_destroy(all[j]);
        oclin_layer_destroy(l);
        oclin_context_destroy(ctx);
    }
}

/* In any order among the other tests. */
static void add_failures(struct test_list *list)
{
    static const int is_w[] = {0, 1};
    add_test(list, test_failed_launch, NULL, "failure/a launch of backward");
    add_test(list, test_failed_step, NULL, "failure/a launch of step");
    for (int i = 0; i < CALLS * OPERANDS; i++) {
        struct lost_case *c = &lost_cases[i];
        *c = (struct lost_case){i / OPERANDS, i % OPERANDS, reads_of[i / OPERANDS][i % OPERANDS]};
        add_test(list, test_lost_operand, c, "unspecified/%s in %s", operand_names[c->operand],
                 call_names[c->call]);
    }
    for (int i = 0; i < 2; i++)
        add_test(list, test_cleared_parameter, (void *)(uintptr_t)&is_w[i], "zero_grad/as %s of another",
                 i ? "w" : "b");
    add_test(list, test_touch_anywhere, NULL, "zero_grad/touched anywhere");
    add_test(list, test_dropped_zeros, NULL, "zero_grad/dropped, and lost");
    add_test(list, test_asked_and_cleared, NULL, "zero_grad/asked for and cleared");
    add_test(list, test_z_of_another_width, NULL, "saved/z of another width");
    add_test(list, test_workspace_of_each, NULL, "workspace/of each product");
}

int main(int argc, char **argv)
{
    static oclin_activation relu = OCLIN_RELU, gelu = OCLIN_GELU;
    static int by[] = {0, 1}, queues[] = {1, 2}, numbers[] = {0, 1, 2, 3, 4};
    struct test_list list = {0};
    add_test(&list, test_too_early, NULL, "order/too early");
    add_test(&list, test_backward_step_needs_cleared, NULL, "order/backward_step on uncleared gradients");
    for (size_t i = 0; i < COUNT_OF(looks); i++) {
        look_numbers[i] = (int)i;
        add_test(&list, test_looking_keeps_cleared, &look_numbers[i], "order/cleared after a %s", looks[i]);
    }
    add_test(&list, test_backward_step, NULL, "order/backward_step");
    for (int i = 0; i < WAYS * 4; i++) {
        struct meanwhile *m = &meanwhiles[i];
        *m = (struct meanwhile){i / 4, i / 2 % 2, i % 2 ? OCLIN_RELU : OCLIN_NONE};
        add_test(&list, test_written_meanwhile, m, "meanwhile/%s by %s, %s", m->of_y ? "y" : "x",
                 ways[m->way], i % 2 ? "relu" : "none");
    }
    add_test(&list, test_w_written_meanwhile, NULL, "meanwhile/w by write");
    add_test(&list, test_inputs_are_held, NULL, "meanwhile/inputs are held");
    add_test(&list, test_saved_of_others, NULL, "saved/of others");
    add_test(&list, test_recurrent, &relu, "saved/recurrent, relu");
    add_test(&list, test_recurrent, &gelu, "saved/recurrent, gelu");
    add_test(&list, test_which_forward, NULL, "saved/which forward");
    add_test(&list, test_reserve_keeps_saved, &relu, "saved/reserve in between, relu");
    add_test(&list, test_reserve_keeps_saved, &gelu, "saved/reserve in between, gelu");
    add_test(&list, test_accumulate, NULL, "gradients/accumulate");
    add_test(&list, test_repeated_step, NULL, "gradients/repeated step");
    add_test(&list, test_written_gradient, NULL, "gradients/written");
    for (size_t i = 0; i < COUNT_OF(lr_cases); i++)
        add_test(&list, test_lr, &lr_cases[i], "gradients/lr %g", (double)lr_cases[i]);
    for (int i = 0; i < 2; i++) add_test(&list, test_lr_0, &numbers[i], "gradients/lr %s", i ? "-0" : "0");
    for (int i = 0; i <= OCLIN_GELU; i++)
        add_test(&list, test_backward_x, &numbers[i], "backward_x/activation %d", i);
    add_test(&list, test_zero_grad_through_arena, NULL, "zero_grad/through an arena");
    add_test(&list, test_zero_grad_and_drop, NULL, "zero_grad/and dropped");
    add_test(&list, test_touch_in_cleared, NULL, "zero_grad/partly touched");
    add_test(&list, test_write_into_cleared, &by[0], "zero_grad/partly filled");
    add_test(&list, test_write_into_cleared, &by[1], "zero_grad/partly written");
    add_test(&list, test_cl_mem_is_settled, NULL, "zero_grad/cl_mem");
    add_test(&list, test_cleared_is_read, NULL, "zero_grad/read by others");
    add_test(&list, test_creation_changes_nothing, &by[0], "handed in/creation changes nothing");
    add_test(&list, test_creation_changes_nothing, &by[1], "handed in/creation changes nothing, cleared");
    add_test(&list, test_step_with_handed_in, NULL, "handed in/step");
    add_test(&list, test_never_written_gradient, &by[0], "handed in/never written");
    add_test(&list, test_never_written_gradient, &by[1], "handed in/one element was written");
    add_test(&list, test_wrapped_gradient, NULL, "handed in/memory of the caller");
    for (int i = 0; i < 2; i++) {
        add_test(&list, test_pair_gradients, &queues[i], "two contexts/gradients, queues: %d", queues[i]);
        add_test(&list, test_pair_inputs, &queues[i], "two contexts/inputs, queues: %d", queues[i]);
    }
    for (int i = 0; i < 2 * W_WAYS; i++) {
        w_cases[i] = (struct w_case){i / 2, i % 2};
        add_test(&list, test_w_changes, &w_cases[i], "strict %d/%s before backward", i % 2, w_ways[i / 2]);
    }
    for (int i = 0; i < READS * 4; i++) {
        read_cases[i] = (struct read_case){i / 4, i % 2, i / 2 % 2};
        add_test(&list, test_never_written, &read_cases[i], "strict %d/%s %s written", i % 2, reads[i / 4],
                 i / 2 % 2 ? "partly" : "never");
    }
    add_test(&list, test_strict_written_ways, NULL, "strict/ways to write");
    add_test(&list, test_strict_training, &relu, "strict/training, relu");
    add_test(&list, test_strict_training, &gelu, "strict/training, gelu");
    add_test(&list, test_no_samples, &relu, "no samples, relu");
    add_test(&list, test_no_samples, &gelu, "no samples, gelu");
    add_test(&list, test_no_samples_meanwhile, NULL, "no samples, meanwhile");
    add_failures(&list);
    const int code = run_list("layer_state", &list, argc, argv);
    oclin_context_destroy(shared);
    return code;
}
