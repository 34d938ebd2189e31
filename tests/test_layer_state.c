/*
 * What a layer remembers between calls: the order of calls that it asks for, what forward saved, and what has
 * happened since to the tensors that it refers to. Gradients: test_layer_gradients.c; strict contexts:
 * test_layer_strict.c; what a failure leaves: test_layer_failure.c.
 */
#include <math.h>
#include <string.h>

#include "layer_bench.h"
#include "oclin_internal.h"

/* ------------------------------------------------------------------------------------- order of the calls */

/* backward wants a forward, step a gradient; infer and a look at dw are neither. */
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

/* Both gradients: one that holds something is enough to refuse. */
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
enum { LOOK_READ, LOOK_READ_ASYNC, LOOK_CL_MEM, LOOK_VIEW, LOOKS };
static const char *const looks[LOOKS] = {[LOOK_READ] = "read",
                                         [LOOK_READ_ASYNC] = "read_async",
                                         [LOOK_CL_MEM] = "cl_mem",
                                         [LOOK_VIEW] = "read of a view"};

static void test_looking_keeps_cleared(void **state)
{
    const int look = (int)(intptr_t)*state;
    struct bench b = make_bench(OCLIN_NONE);
    float got[NW];
    oclin_tensor *dw = oclin_layer_dw(b.l), *view = NULL;
    assert_ok(b.ctx, oclin_tensor_view(&view, dw, 0, 1, 1, 1));
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    if (look == LOOK_READ) assert_ok(b.ctx, oclin_tensor_read(dw, got));
    if (look == LOOK_READ_ASYNC) assert_ok(b.ctx, oclin_tensor_read_async(dw, got, NULL));
    if (look == LOOK_CL_MEM) assert_non_null(oclin_tensor_cl_mem(dw));
    if (look == LOOK_VIEW) assert_ok(b.ctx, oclin_tensor_read(view, got));
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

/* dX alone: the gradients that backward gives, whatever state the parameters' are in, and nothing else
 * changes. */
static void test_backward_x(void **state)
{
    struct bench b = make_bench((oclin_activation)(intptr_t)*state);
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

/* -------------------------------------------------------------------------------------- written meanwhile */

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
static const char *const ways[WAYS] = {[BY_WRITE] = "write",
                                       [BY_WRITE_ASYNC] = "write_async",
                                       [BY_FILL] = "fill",
                                       [BY_TOUCH] = "touch",
                                       [BY_VIEW] = "a view",
                                       [BY_WRAP] = "another wrapper of the buffer",
                                       [BY_LAYER] = "an output of a layer",
                                       [BY_LOSS] = "a gradient of a loss",
                                       [BY_ZERO_GRAD] = "zero_grad",
                                       [BESIDE] = "a write beside it"};

struct meanwhile {
    int way, of_y;
    oclin_activation activation;
};

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

/* A saved state serves the layer that filled it last, and no other, not even one in its place. */
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
    const oclin_activation activation = (oclin_activation)(intptr_t)*state;
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
    const oclin_activation activation = (oclin_activation)(intptr_t)*state;
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
        destroy_all(all, COUNT_OF(all));
        oclin_layer_destroy(l);
        oclin_context_destroy(ctx);
    }
}

/* ------------------------------------------------------------------------------------------ empty batches */

/* A batch of no samples is a batch: its gradient is zero, and adds nothing. */
static void test_no_samples(void **state)
{
    const oclin_activation activation = (oclin_activation)(intptr_t)*state;
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
    destroy_all(all, COUNT_OF(all));
    release(&b);
}

/* Of a tensor without rows: write and fill have nothing to write; touch says that it was written, whatever
 * there is. */
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
    destroy_all(all, COUNT_OF(all));
    release(&b);
}

static void add_meanwhile(struct test_list *list)
{
    static struct meanwhile cases[WAYS][2][2];
    for (int way = 0; way < WAYS; way++)
        for (int of_y = 0; of_y < 2; of_y++)
            for (int relu = 0; relu < 2; relu++) {
                struct meanwhile *m = &cases[way][of_y][relu];
                *m = (struct meanwhile){
                    .way = way, .of_y = of_y, .activation = relu ? OCLIN_RELU : OCLIN_NONE};
                add_test(list, test_written_meanwhile, m, "meanwhile/%s by %s, %s", of_y ? "y" : "x",
                         ways[way], relu ? "relu" : "none");
            }
    add_test(list, test_w_written_meanwhile, NULL, "meanwhile/w is taken as it is now");
    add_test(list, test_inputs_are_held, NULL, "meanwhile/inputs are held");
}

int main(int argc, char **argv)
{
    void *const relu = (void *)OCLIN_RELU, *const gelu = (void *)OCLIN_GELU;
    struct test_list list = {0};
    add_test(&list, test_too_early, NULL, "order/too early is refused");
    add_test(&list, test_backward_step_needs_cleared, NULL, "order/backward_step wants cleared gradients");
    for (intptr_t look = 0; look < LOOKS; look++)
        add_test(&list, test_looking_keeps_cleared, (void *)look, "order/cleared after a %s", looks[look]);
    add_test(&list, test_backward_step, NULL, "order/backward_step is zero_grad, backward, step");
    for (intptr_t activation = OCLIN_NONE; activation <= OCLIN_GELU; activation++)
        add_test(&list, test_backward_x, (void *)activation,
                 "backward_x/dx of backward, and nothing else, %s",
                 activation_name((oclin_activation)activation));
    add_meanwhile(&list);
    add_test(&list, test_saved_of_others, NULL, "saved/of others is refused");
    add_test(&list, test_recurrent, relu, "saved/recurrent, relu");
    add_test(&list, test_recurrent, gelu, "saved/recurrent, gelu");
    add_test(&list, test_which_forward, NULL, "saved/by the last forward, not by infer");
    add_test(&list, test_reserve_keeps_saved, relu, "saved/kept by reserve, relu");
    add_test(&list, test_reserve_keeps_saved, gelu, "saved/kept by reserve, gelu");
    add_test(&list, test_z_of_another_width, NULL, "saved/z of another width is made anew");
    add_test(&list, test_workspace_of_each, NULL, "workspace/is enough for each product");
    add_test(&list, test_no_samples, relu, "no samples/a gradient of zero, relu");
    add_test(&list, test_no_samples, gelu, "no samples/a gradient of zero, gelu");
    add_test(&list, test_no_samples_meanwhile, NULL, "no samples/what counts as written meanwhile");
    return run_layer_list("layer_state", &list, argc, argv);
}
