/* See layer_bench.h. */
#include <stdlib.h>

#include "layer_bench.h"
#include "oclin_internal.h"

const float host_x[NX] = {1, -2, 3, 0, 1, -1, 2, 2, 1, -3, 0, 2};
const float host_w[NW] = {2, -1, 1, 0, 3, -2};
const float host_b[OUT] = {1, -1};
const float host_dy[NY] = {1, -1, 2, 0, -1, 3, 1, 1};

static oclin_context *shared;

oclin_context *shared_context(void)
{
    if (!shared) shared = make_context("plain");
    return shared;
}

int run_layer_list(const char *group, struct test_list *list, int argc, char **argv)
{
    const int code = run_list(group, list, argc, argv);
    oclin_context_destroy(shared);
    return code;
}

void destroy_all(oclin_tensor *const *tensors, size_t count)
{
    for (size_t i = 0; i < count; i++) oclin_tensor_destroy(tensors[i]);
}

struct bench make_bench_in(oclin_context *ctx, oclin_activation activation)
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

struct bench make_bench(oclin_activation activation)
{
    return make_bench_in(shared_context(), activation);
}

void release(struct bench *b)
{
    oclin_layer_destroy(b->l);
    oclin_tensor *const all[] = {b->x, b->y, b->dy, b->dx};
    destroy_all(all, COUNT_OF(all));
}

void forward(const struct bench *b)
{
    assert_ok(b->ctx, oclin_layer_forward(b->l, b->x, b->y));
}

void backward(const struct bench *b)
{
    assert_ok(b->ctx, oclin_layer_backward(b->l, b->dy, b->dx));
}

const char *const call_names[CALLS] = {[DO_FORWARD] = "forward",
                                       [DO_INFER] = "infer",
                                       [DO_BACKWARD] = "backward",
                                       [DO_BACKWARD_STEP] = "backward_step",
                                       [DO_STEP] = "step"};

oclin_status one_call(const struct bench *b, int call)
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

struct truth truth_of(oclin_activation activation)
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

void check_sum(oclin_tensor *t, const float *base, double factor, const double *want)
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

void check_zeros(oclin_tensor *t)
{
    const double zeros[NX] = {0};
    assert_true(oclin_tensor_rows(t) * oclin_tensor_cols(t) <= NX);
    check_sum(t, NULL, 1, zeros);
}

void check_gradients(const struct bench *b, double times)
{
    const struct truth t = truth_of(b->l->activation);
    check_sum(oclin_layer_dw(b->l), NULL, times, t.dw);
    check_sum(oclin_layer_db(b->l), NULL, times, t.db);
}

void check_parameters(const struct bench *b, double minus)
{
    const struct truth t = truth_of(b->l->activation);
    check_sum(oclin_layer_w(b->l), host_w, -minus, t.dw);
    check_sum(oclin_layer_b(b->l), host_b, -minus, t.db);
}

oclin_tensor *cleared_gradient(oclin_context *ctx, oclin_layer **owner, int64_t rows, int64_t cols)
{
    assert_ok(ctx, oclin_layer_create(owner, ctx, cols, rows, NULL));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_dw(*owner), 7.0));
    assert_ok(ctx, oclin_layer_zero_grad(*owner));
    assert_true(oclin_layer_dw(*owner)->zero_pending);
    return oclin_layer_dw(*owner);
}

void write_by_zero_grad(oclin_context *ctx, oclin_tensor *t)
{
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *other = NULL;
    options.bias = 0;
    options.dw = t;
    assert_ok(ctx, oclin_layer_create(&other, ctx, oclin_tensor_cols(t), oclin_tensor_rows(t), &options));
    assert_ok(ctx, oclin_layer_zero_grad(other));
    oclin_layer_destroy(other);
}

void write_by_layer(oclin_context *ctx, oclin_tensor *t)
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
