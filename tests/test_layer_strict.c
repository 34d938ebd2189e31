/*
 * Strict contexts: they refuse a backward whose w has changed since the forward, and each read of an element
 * that was never written; other contexts let both pass, and a program without mistakes notices nothing.
 */
#include <stdio.h>
#include <string.h>

#include "layer_bench.h"
#include "oclin_internal.h"

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
static const char *const w_ways[W_WAYS] = {[W_WRITE] = "w is written",
                                           [W_FILL] = "w is filled",
                                           [W_TOUCH] = "w is touched",
                                           [W_VIEW] = "a part of w is written",
                                           [W_STEP] = "a step",
                                           [W_STEP_OF_OTHER] = "another layer's step",
                                           [W_BACKWARD_STEP] = "backward_step",
                                           [B_WRITE] = "b is written",
                                           [W_READ] = "w is read",
                                           [STEP_OF_0] = "a step of 0"};
struct w_case {
    int way, strict;
};

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

/* Refused in a strict context alone, and only where w has changed: all four ways back, until the next
 * forward. */
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
    enum { ZERO_GRAD = 1 };
    const oclin_status statuses[] = {
        oclin_layer_backward_saved(b.l, b.dy, NULL, saved),
        [ZERO_GRAD] = oclin_layer_zero_grad(b.l),
        oclin_layer_backward_x_saved(b.l, b.dy, b.dx, saved),
        oclin_layer_backward_x(b.l, b.dy, b.dx),
        oclin_layer_backward(b.l, b.dy, b.dx),
    };
    for (size_t i = 0; i < COUNT_OF(statuses); i++)
        assert_int_equal(statuses[i], refused && i != ZERO_GRAD ? OCLIN_E_STATE : OCLIN_OK);
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
static const struct {
    const char *name;
    oclin_dtype dtype;
    int64_t rows, cols;
    int is_gradient; /* of which nothing was written: cleared, there is none to step with */
} reads[READS] = {
    [READ_X] = {.name = "x of forward", .dtype = OCLIN_F32, .rows = BATCH, .cols = IN},
    [READ_DY] = {.name = "dy of backward", .dtype = OCLIN_F32, .rows = BATCH, .cols = OUT},
    [READ_W] = {.name = "w of infer", .dtype = OCLIN_F32, .rows = OUT, .cols = IN},
    [READ_B] = {.name = "b of infer", .dtype = OCLIN_F32, .rows = 1, .cols = OUT},
    [READ_DW] = {.name = "dw of backward", .dtype = OCLIN_F32, .rows = OUT, .cols = IN, .is_gradient = 1},
    [READ_DB] = {.name = "db of backward", .dtype = OCLIN_F32, .rows = 1, .cols = OUT, .is_gradient = 1},
    [READ_STEP_DW] = {.name = "dw of step", .dtype = OCLIN_F32, .rows = OUT, .cols = IN, .is_gradient = 1},
    [READ_T] = {.name = "t of a loss", .dtype = OCLIN_F32, .rows = BATCH, .cols = OUT},
    [READ_SCORES] = {.name = "y of a loss", .dtype = OCLIN_F32, .rows = BATCH, .cols = OUT},
    [READ_LABELS] = {.name = "labels", .dtype = OCLIN_I32, .rows = BATCH, .cols = 1},
    [READ_LOSS] = {.name = "a loss that is accumulated", .dtype = OCLIN_F32, .rows = 1, .cols = 1},
    [READ_COUNT] = {.name = "a count that is accumulated", .dtype = OCLIN_I32, .rows = 1, .cols = 1},
    [READ_READ] = {.name = "read", .dtype = OCLIN_F32, .rows = BATCH, .cols = IN},
    [READ_ASYNC] = {.name = "read_async", .dtype = OCLIN_F32, .rows = BATCH, .cols = IN},
};
struct read_case {
    int which, strict, partly; /* all but the last element was written */
};

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

/* Refused in a strict context, until the last element is written, too. */
static void test_never_written(void **state)
{
    const struct read_case *c = *state;
    struct bench b = make_bench_in(lax_or_strict(c->strict), OCLIN_NONE);
    const int64_t rows = reads[c->which].rows, cols = reads[c->which].cols;
    oclin_tensor *t = half_written(b.ctx, reads[c->which].dtype, rows, cols, c->partly), *last = NULL;
    if (c->partly || !reads[c->which].is_gradient) {
        const int nothing_yet = c->partly && rows * cols == 1; /* all but the last of one element */
        if (!nothing_yet)
            assert_status(b.ctx, c->strict ? OCLIN_E_STATE : OCLIN_OK, read_one(&b, c->which, t));
        assert_ok(b.ctx, oclin_tensor_view(&last, t, rows * cols - 1, 1, 1, 1));
        assert_ok(b.ctx, oclin_tensor_fill(last, 1.0));
        oclin_tensor_destroy(last);
        if (c->partly) assert_ok(b.ctx, read_one(&b, c->which, t));
    } else if (c->which != READ_STEP_DW) {
        assert_ok(b.ctx, read_one(&b, c->which, t));
    }
    oclin_tensor_destroy(t);
    release(&b);
    oclin_context_destroy(b.ctx);
}

/* Whatever counts as writing, for a tensor and for who looks at it. */
enum { ROWS = 3, COLS = 4, ALL = ROWS * COLS };
enum { BY_WRITE, BY_WRITE_ASYNC, BY_FILL, BY_TOUCH, BY_LAYER, BY_ZERO_GRAD, WAYS };

static void write_by(oclin_context *ctx, oclin_tensor *t, int way)
{
    static const float ones[ALL] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
    if (way == BY_WRITE) assert_ok(ctx, oclin_tensor_write(t, ones));
    if (way == BY_WRITE_ASYNC) assert_ok(ctx, oclin_tensor_write_async(t, ones, NULL));
    if (way == BY_FILL) assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    if (way == BY_TOUCH) assert_ok(ctx, oclin_tensor_touch(t));
    if (way == BY_LAYER) write_by_layer(ctx, t);
    if (way == BY_ZERO_GRAD) write_by_zero_grad(ctx, t);
}

static void test_strict_written_ways(void **state)
{
    (void)state;
    oclin_context *ctx = lax_or_strict(1);
    float got[ALL];
    for (int way = 0; way < WAYS; way++) {
        oclin_tensor *t = make_tensor(ctx, OCLIN_F32, ROWS, COLS, NULL), *view = NULL, *late = NULL;
        assert_ok(ctx, oclin_tensor_view(&view, t, 1, ROWS, 2, COLS));
        assert_refused(ctx, OCLIN_E_STATE, "element [0, 0] was never written", oclin_tensor_read(view, got));
        write_by(ctx, t, way);
        assert_ok(ctx, oclin_tensor_view(&late, t, 1, ROWS, 2, COLS));
        assert_ok(ctx, oclin_tensor_read(view, got));
        assert_ok(ctx, oclin_tensor_read(late, got));
        assert_ok(ctx, oclin_tensor_read(t, got));
        assert_ok(ctx, oclin_context_finish(ctx));
        oclin_tensor *const all[] = {t, view, late};
        destroy_all(all, COUNT_OF(all));
    }
    oclin_context_destroy(ctx);
}

/* Through another wrapper of the same memory: what is looked at is written, and only that. */
static void test_strict_written_by_wrapper(void **state)
{
    (void)state;
    oclin_context *ctx = lax_or_strict(1);
    float got[ALL];
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, ROWS, COLS, NULL), *view = NULL, *late = NULL,
                 *wrapper = NULL;
    assert_ok(ctx, oclin_tensor_view(&view, t, 1, ROWS, 2, COLS));
    assert_refused(ctx, OCLIN_E_STATE, "element [0, 0] was never written", oclin_tensor_read(view, got));
    assert_ok(ctx, oclin_tensor_wrap(&wrapper, ctx, OCLIN_F32, oclin_tensor_cl_mem(t), 1, ROWS, 2, COLS));
    assert_refused(ctx, OCLIN_E_STATE, "never written", oclin_tensor_read(wrapper, got));
    assert_ok(ctx, oclin_tensor_fill(wrapper, 1.0));
    assert_refused(ctx, OCLIN_E_STATE, "element [0, 0] was never written", oclin_tensor_read(t, got));
    assert_ok(ctx, oclin_tensor_view(&late, t, 1, ROWS, 2, COLS));
    assert_ok(ctx, oclin_tensor_read(view, got));
    assert_ok(ctx, oclin_tensor_read(late, got));
    assert_ok(ctx, oclin_context_finish(ctx));
    oclin_tensor *const all[] = {t, view, late, wrapper};
    destroy_all(all, COUNT_OF(all));
    oclin_context_destroy(ctx);
}

/* The caller's memory is the caller's business. */
static void test_strict_memory_of_the_caller(void **state)
{
    (void)state;
    oclin_context *ctx = lax_or_strict(1);
    cl_context handle;
    float got[ALL];
    oclin_tensor *t = NULL;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_mem m = clCreateBuffer(handle, CL_MEM_READ_WRITE, sizeof got, NULL, NULL);
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, OCLIN_F32, m, 0, ROWS, COLS, COLS));
    assert_ok(ctx, oclin_tensor_read(t, got));
    oclin_tensor_destroy(t);
    clReleaseMemObject(m);
    oclin_context_destroy(ctx);
}

/* A program without mistakes notices nothing, also while it verifies itself, looking into memory that is
 * hidden. */
static void test_strict_training(void **state)
{
    const oclin_activation activation = (oclin_activation)(intptr_t)*state;
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

int main(int argc, char **argv)
{
    static struct w_case w_cases[W_WAYS][2];
    static struct read_case read_cases[READS][2][2];
    void *const relu = (void *)OCLIN_RELU, *const gelu = (void *)OCLIN_GELU;
    struct test_list list = {0};
    for (int way = 0; way < W_WAYS; way++)
        for (int strict = 0; strict < 2; strict++) {
            w_cases[way][strict] = (struct w_case){.way = way, .strict = strict};
            add_test(&list, test_w_changes, &w_cases[way][strict], "strict %d/%s before backward", strict,
                     w_ways[way]);
        }
    for (int which = 0; which < READS; which++)
        for (int partly = 0; partly < 2; partly++)
            for (int strict = 0; strict < 2; strict++) {
                struct read_case *c = &read_cases[which][partly][strict];
                *c = (struct read_case){.which = which, .strict = strict, .partly = partly};
                add_test(&list, test_never_written, c, "strict %d/%s %s written", strict, reads[which].name,
                         partly ? "partly" : "never");
            }
    add_test(&list, test_strict_written_ways, NULL, "strict/ways to write");
    add_test(&list, test_strict_written_by_wrapper, NULL, "strict/written through another wrapper");
    add_test(&list, test_strict_memory_of_the_caller, NULL, "strict/memory of the caller counts as written");
    add_test(&list, test_strict_training, relu, "strict/training notices nothing, relu");
    add_test(&list, test_strict_training, gelu, "strict/training notices nothing, gelu");
    return run_layer_list("layer_strict", &list, argc, argv);
}
