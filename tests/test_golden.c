/* The device against PyTorch's numbers (golden/golden.h). The plan is argv[1]. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "oclin_internal.h"

#include "golden/golden.h"

static const char *plan_name;

static struct oclin_ref_case case_of(const struct golden_case *g)
{
    struct oclin_ref_case c = RANDOM_CASE(g->batch, g->in, g->out);
    c.activation = g->activation;
    return c;
}

static oclin_tensor *tensor_of(oclin_context *ctx, oclin_dtype dtype, int64_t rows, int64_t cols,
                               const void *host)
{
    oclin_tensor *t;
    assert_ok(ctx, oclin_tensor_create(&t, ctx, dtype, rows, cols));
    if (host) assert_ok(ctx, oclin_tensor_write(t, host));
    return t;
}

static void check(const char *name, oclin_context *ctx, oclin_tensor *t, const double *want,
                  const double *bound)
{
    const int64_t rows = oclin_tensor_rows(t), cols = oclin_tensor_cols(t);
    float *got = new_array(float, rows *cols);
    assert_ok(ctx, oclin_tensor_read(t, got));
    check_bound(name, rows, cols, cols, got, want, bound);
    free(got);
}

/* Bounds from the reference; the values that they go with are PyTorch's. */
struct bounds {
    double *y, *dx, *dw, *db, *w, *b;
};

static struct bounds make_bounds(const struct golden_case *g)
{
    const struct oclin_ref_case c = case_of(g);
    const int64_t n_y = g->batch * g->out, n_w = g->out * g->in, n_x = g->batch * g->in;
    struct bounds e = {new_array(double, n_y),    new_array(double, n_x), new_array(double, n_w),
                       new_array(double, g->out), new_array(double, n_w), new_array(double, g->out)};
    double *value = new_array(double, n_y + n_w + n_x + g->out);
    float *s = new_array(float, n_y);
    for (int64_t i = 0; i < n_y; i++) s[i] = (float)(keeps_z(g->activation) ? g->z[i] : g->y[i]);
    oclin_ref_forward(&c, g->x, g->w, g->b, NULL, NULL, value, e.y);
    oclin_ref_grad_x(&c, g->w, g->dy, s, value, e.dx);
    oclin_ref_grad_w(&c, g->x, g->dy, s, value, e.dw);
    oclin_ref_step(NULL, n_w, g->w, value, e.dw, golden_lr, value, e.w);
    oclin_ref_grad_b(&c, g->dy, s, value, e.db);
    oclin_ref_step(NULL, g->out, g->b, value, e.db, golden_lr, value, e.b);
    free(value);
    free(s);
    return e;
}

/* PyTorch's gradients were made from its own y, rounded to float (GELU's z is exact): the device gets that y,
 * which differs from its own by less than the bound that was just checked. */
static void give_stored(oclin_context *ctx, const struct golden_case *g, oclin_layer *layer, oclin_tensor *y)
{
    float *s = new_array(float, g->batch * g->out);
    for (int i = 0; i < g->batch * g->out; i++) s[i] = (float)g->y[i];
    assert_ok(ctx, oclin_tensor_write(y, s));
    layer->saved->y_version = y->version; /* the one write that backward shall not mind */
    free(s);
}

static void test_layer(void **state)
{
    const struct golden_case *g = *state;
    oclin_context *ctx = make_context(plan_name);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = g->activation;
    options.w = tensor_of(ctx, OCLIN_F32, g->out, g->in, g->w);
    options.b = tensor_of(ctx, OCLIN_F32, 1, g->out, g->b);
    oclin_layer *layer;
    assert_ok(ctx, oclin_layer_create(&layer, ctx, g->in, g->out, &options));
    oclin_tensor *x = tensor_of(ctx, OCLIN_F32, g->batch, g->in, g->x),
                 *y = tensor_of(ctx, OCLIN_F32, g->batch, g->out, NULL);
    oclin_tensor *dy = tensor_of(ctx, OCLIN_F32, g->batch, g->out, g->dy),
                 *dx = tensor_of(ctx, OCLIN_F32, g->batch, g->in, NULL);
    struct bounds e = make_bounds(g);

    assert_ok(ctx, oclin_layer_forward(layer, x, y));
    check("y", ctx, y, g->y, e.y);
    give_stored(ctx, g, layer, y);
    assert_ok(ctx, oclin_layer_backward(layer, dy, dx));
    check("dx", ctx, dx, g->dx, e.dx);
    check("dw", ctx, oclin_layer_dw(layer), g->dw, e.dw);
    check("db", ctx, oclin_layer_db(layer), g->db, e.db);
    assert_ok(ctx, oclin_layer_step(layer, golden_lr));
    check("w after a step", ctx, options.w, g->w_step, e.w);
    check("b after a step", ctx, options.b, g->b_step, e.b);

    double *const all[] = {e.y, e.dx, e.dw, e.db, e.w, e.b};
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
    oclin_tensor *const tensors[] = {x, y, dy, dx, options.w, options.b};
    for (size_t i = 0; i < COUNT_OF(tensors); i++) oclin_tensor_destroy(tensors[i]);
    oclin_layer_destroy(layer);
    oclin_context_destroy(ctx);
}

static void check_loss(oclin_context *ctx, const struct golden_loss *g, oclin_tensor *loss, oclin_tensor *dy,
                       int classes, oclin_reduction reduction)
{
    double unused, loss_bound, *value = new_array(double, g->rows * g->cols),
                               *bound = new_array(double, g->rows * g->cols);
    if (classes)
        oclin_ref_cross_entropy(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->labels, reduction, 1.0f, &unused,
                                &loss_bound, value, bound, NULL);
    else
        oclin_ref_mse(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->t, reduction, 1.0f, &unused, &loss_bound,
                      value, bound);
    const int mean = reduction == OCLIN_MEAN;
    const double want = classes ? (mean ? g->cross_entropy_mean : g->cross_entropy_sum)
                        : mean  ? g->mse_mean
                                : g->mse_sum;
    const double *want_dy = classes ? (mean ? g->cross_entropy_mean_dy : g->cross_entropy_sum_dy)
                            : mean  ? g->mse_mean_dy
                                    : g->mse_sum_dy;
    check("loss", ctx, loss, &want, &loss_bound);
    check("dy", ctx, dy, want_dy, bound);
    free(value);
    free(bound);
}

static void test_loss(void **state)
{
    const struct golden_loss *g = *state;
    oclin_context *ctx = make_context(plan_name);
    oclin_tensor *y = tensor_of(ctx, OCLIN_F32, g->rows, g->cols, g->y),
                 *t = tensor_of(ctx, OCLIN_F32, g->rows, g->cols, g->t);
    oclin_tensor *labels = tensor_of(ctx, OCLIN_I32, g->rows, 1, g->labels),
                 *dy = tensor_of(ctx, OCLIN_F32, g->rows, g->cols, NULL);
    oclin_tensor *loss = tensor_of(ctx, OCLIN_F32, 1, 1, NULL),
                 *correct = tensor_of(ctx, OCLIN_I32, 1, 1, NULL);
    for (int reduction = OCLIN_MEAN; reduction <= OCLIN_SUM; reduction++) {
        struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
        o.reduction = (oclin_reduction)reduction;
        assert_ok(ctx, oclin_loss_mse(y, t, loss, dy, &o));
        check_loss(ctx, g, loss, dy, 0, o.reduction);
        assert_ok(ctx, oclin_loss_cross_entropy(y, labels, loss, dy, correct, &o));
        check_loss(ctx, g, loss, dy, 1, o.reduction);
        int32_t count;
        assert_ok(ctx, oclin_tensor_read(correct, &count));
        assert_int_equal(count, g->correct);
    }
    oclin_tensor *const tensors[] = {y, t, labels, dy, loss, correct};
    for (size_t i = 0; i < COUNT_OF(tensors); i++) oclin_tensor_destroy(tensors[i]);
    oclin_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s PLAN [PATTERN]\n", argv[0]);
        return 2;
    }
    plan_name = argv[1];
    if (plan_too_large(plan_name)) return run_refused(plan_name);
    struct test_list list = {NULL, 0, 0};
    for (size_t i = 0; i < COUNT_OF(golden_cases); i++)
        add_test(&list, test_layer, (void *)(uintptr_t)&golden_cases[i], "%s/layer/%s", plan_name,
                 golden_cases[i].name);
    for (size_t i = 0; i < COUNT_OF(golden_losses); i++)
        add_test(&list, test_loss, (void *)(uintptr_t)&golden_losses[i], "%s/loss/%s", plan_name,
                 golden_losses[i].name);
    return run_list(plan_name, &list, argc - 1, argv + 1);
}
