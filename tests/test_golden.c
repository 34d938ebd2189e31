/*
 * The device against PyTorch's numbers (golden/golden.h), and for losses with options, softmax and argmax the
 * reference as well. The plan is argv[1].
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "oclin_internal.h"
#include "ops/loss_kind.h"

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

/* A matrix as the layer stores it: as it is, or its transpose. */
static double *stored(const double *matrix, int64_t rows, int64_t cols, int transposed)
{
    double *to = new_array(double, rows *cols);
    for (int64_t i = 0; i < rows * cols; i++) to[transposed ? i % cols * rows + i / cols : i] = matrix[i];
    return to;
}

static oclin_tensor *tensor_of_w(oclin_context *ctx, const struct golden_case *g, int transposed)
{
    float *w = new_array(float, g->out * g->in);
    for (int i = 0; i < g->out * g->in; i++) w[transposed ? i % g->in * g->out + i / g->in : i] = g->w[i];
    oclin_tensor *t = tensor_of(ctx, OCLIN_F32, transposed ? g->in : g->out, transposed ? g->out : g->in, w);
    free(w);
    return t;
}

/* Checks a tensor that is stored as W is. */
static void check_w(const char *name, oclin_context *ctx, const struct golden_case *g, int transposed,
                    oclin_tensor *t, const double *want, const double *bound)
{
    double *value = stored(want, g->out, g->in, transposed), *room = stored(bound, g->out, g->in, transposed);
    check(name, ctx, t, value, room);
    free(value);
    free(room);
}

static void run_layer(const struct golden_case *g, int transposed)
{
    oclin_context *ctx = make_context(plan_name);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = g->activation;
    options.transposed = transposed;
    options.w = tensor_of_w(ctx, g, transposed);
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
    check_w("dw", ctx, g, transposed, oclin_layer_dw(layer), g->dw, e.dw);
    check("db", ctx, oclin_layer_db(layer), g->db, e.db);
    assert_ok(ctx, oclin_layer_step(layer, golden_lr));
    check_w("w after a step", ctx, g, transposed, options.w, g->w_step, e.w);
    check("b after a step", ctx, options.b, g->b_step, e.b);

    double *const all[] = {e.y, e.dx, e.dw, e.db, e.w, e.b};
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
    oclin_tensor *const tensors[] = {x, y, dy, dx, options.w, options.b};
    for (size_t i = 0; i < COUNT_OF(tensors); i++) oclin_tensor_destroy(tensors[i]);
    oclin_layer_destroy(layer);
    oclin_context_destroy(ctx);
}

static void test_layer(void **state)
{
    run_layer(*state, 0);
}

/* The same numbers where W is stored as (in, out). */
static void test_transposed(void **state)
{
    run_layer(*state, 1);
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

/* ---------------------------------------------------------------------- losses with options, and rows */

/* Both are in double. What is left of p - 1 has its errors relative to 1. */
static void check_double(const char *name, const double *got, const double *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (isnan(want[i]) ? !isnan(got[i]) : !(fabs(got[i] - want[i]) <= 1e-12 * fabs(want[i]) + 1e-15))
            fail_msg("%s[%lld] of the reference is %.17g, must be %.17g", name, (long long)i, got[i],
                     want[i]);
}

/* Of one golden loss and one reduction: what the reference makes of it, with the bounds for the device. */
struct reference {
    double loss, loss_bound, *dy, *bound, *rows, *rows_bound;
    int64_t correct;
};

static struct reference new_reference(int64_t rows, int64_t cols)
{
    return (struct reference){.dy = new_array(double, rows *cols),
                              .bound = new_array(double, rows *cols),
                              .rows = new_array(double, rows),
                              .rows_bound = new_array(double, rows)};
}

static void free_reference(struct reference *r)
{
    free(r->dy);
    free(r->bound);
    free(r->rows);
    free(r->rows_bound);
}

/* All options; oclin.h has functions for losses without weights of rows and losses of rows. */
static void fill_reference(const struct golden_option_loss *g, oclin_reduction reduction, struct reference *r)
{
    static const struct oclin_loss_kind *const kinds[] = {[GOLDEN_MSE] = &oclin_mse,
                                                          [GOLDEN_L1] = &oclin_l1,
                                                          [GOLDEN_HUBER] = &oclin_huber,
                                                          [GOLDEN_BCE] = &oclin_bce,
                                                          [GOLDEN_CROSS_ENTROPY] = &oclin_cross_entropy,
                                                          [GOLDEN_SOFT_CROSS_ENTROPY] =
                                                              &oclin_soft_cross_entropy};
    const struct oclin_loss_data data = {.y = g->y,
                                         .target = g->target,
                                         .reduction = reduction,
                                         .scale = 1,
                                         .number = g->kind == GOLDEN_HUBER ? g->delta : g->label_smoothing,
                                         .classes = g->class_weights,
                                         .weights = g->row_weights,
                                         .ignored = g->ignore_index};
    struct oclin_ref_case c = RANDOM_CASE(g->rows, 0, g->cols);
    c.no_denormals = 1;
    oclin_loss_reference(kinds[g->kind], &c, &data,
                         &(struct oclin_loss_results){&r->loss, &r->loss_bound, r->dy, r->bound, r->rows,
                                                      r->rows_bound, &r->correct});
}

/* The same by oclin.h; rows have no weights. */
static void fill_by_header(const struct golden_option_loss *g, oclin_reduction reduction, struct reference *r)
{
    const struct oclin_ref_case c = RANDOM_CASE(g->rows, 0, g->cols);
    switch (g->kind) {
    case GOLDEN_MSE:
        oclin_ref_mse(&c, g->y, g->target, reduction, 1, &r->loss, &r->loss_bound, r->dy, r->bound);
        break;
    case GOLDEN_L1:
        oclin_ref_l1(&c, g->y, g->target, reduction, 1, &r->loss, &r->loss_bound, r->dy, r->bound);
        break;
    case GOLDEN_HUBER:
        oclin_ref_huber(&c, g->y, g->target, g->delta, reduction, 1, &r->loss, &r->loss_bound, r->dy,
                        r->bound);
        break;
    case GOLDEN_BCE:
        oclin_ref_bce(&c, g->y, g->target, g->class_weights, reduction, 1, &r->loss, &r->loss_bound, r->dy,
                      r->bound);
        break;
    case GOLDEN_CROSS_ENTROPY:
        oclin_ref_weighted_cross_entropy(&c, g->y, g->target, g->class_weights, g->label_smoothing,
                                         g->ignore_index, reduction, 1, &r->loss, &r->loss_bound, r->dy,
                                         r->bound, &r->correct);
        break;
    case GOLDEN_SOFT_CROSS_ENTROPY:
        oclin_ref_soft_cross_entropy(&c, g->y, g->target, g->class_weights, g->label_smoothing, reduction, 1,
                                     &r->loss, &r->loss_bound, r->dy, r->bound);
        break;
    }
}

static void check_reference(const struct golden_option_loss *g, oclin_reduction reduction,
                            const struct reference *r)
{
    const int mean = reduction == OCLIN_MEAN;
    check_double(mean ? "mean" : "sum", &r->loss, mean ? &g->mean : &g->sum, 1);
    check_double(mean ? "mean dy" : "sum dy", r->dy, mean ? g->mean_dy : g->sum_dy,
                 (int64_t)g->rows * g->cols);
    assert_int_equal(r->correct, g->correct);
}

static void test_option_reference(void **state)
{
    const struct golden_option_loss *g = *state;
    for (int reduction = OCLIN_MEAN; reduction <= OCLIN_SUM; reduction++) {
        struct reference r = new_reference(g->rows, g->cols), by_header = new_reference(g->rows, g->cols);
        fill_reference(g, (oclin_reduction)reduction, &r);
        check_reference(g, (oclin_reduction)reduction, &r);
        check_double("row losses", r.rows, g->row_losses, g->rows);
        if (!g->row_weights) {
            fill_by_header(g, (oclin_reduction)reduction, &by_header);
            check_reference(g, (oclin_reduction)reduction, &by_header);
        }
        free_reference(&r);
        free_reference(&by_header);
    }
}

/* The operands of one golden loss on the device; those that it has not are NULL. */
struct operands {
    oclin_tensor *y, *target, *class_weights, *row_weights, *loss, *dy, *row_losses, *correct;
};

static struct operands make_operands(oclin_context *ctx, const struct golden_option_loss *g)
{
    const int labels = g->kind == GOLDEN_CROSS_ENTROPY;
    struct operands o = {.y = tensor_of(ctx, OCLIN_F32, g->rows, g->cols, g->y),
                         .target = labels ? tensor_of(ctx, OCLIN_I32, g->rows, 1, g->target)
                                          : tensor_of(ctx, OCLIN_F32, g->rows, g->cols, g->target),
                         .loss = tensor_of(ctx, OCLIN_F32, 1, 1, NULL),
                         .dy = tensor_of(ctx, OCLIN_F32, g->rows, g->cols, NULL),
                         .row_losses = tensor_of(ctx, OCLIN_F32, g->rows, 1, NULL),
                         .correct = tensor_of(ctx, OCLIN_I32, 1, 1, NULL)};
    if (g->class_weights) o.class_weights = tensor_of(ctx, OCLIN_F32, 1, g->cols, g->class_weights);
    if (g->row_weights) o.row_weights = tensor_of(ctx, OCLIN_F32, g->rows, 1, g->row_weights);
    return o;
}

static void destroy_operands(const struct operands *o)
{
    oclin_tensor *const tensors[] = {o->y,    o->target, o->class_weights, o->row_weights,
                                     o->loss, o->dy,     o->row_losses,    o->correct};
    for (size_t i = 0; i < COUNT_OF(tensors); i++) oclin_tensor_destroy(tensors[i]);
}

static oclin_status option_loss(const struct golden_option_loss *g, oclin_reduction reduction,
                                const struct operands *o)
{
    static oclin_status (*const functions[])(oclin_tensor *, oclin_tensor *, oclin_tensor *, oclin_tensor *,
                                             const struct oclin_loss_options *) = {
        [GOLDEN_MSE] = oclin_loss_mse,
        [GOLDEN_L1] = oclin_loss_l1,
        [GOLDEN_HUBER] = oclin_loss_huber,
        [GOLDEN_BCE] = oclin_loss_bce,
        [GOLDEN_SOFT_CROSS_ENTROPY] = oclin_loss_soft_cross_entropy};
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.reduction = reduction;
    options.delta = g->delta;
    options.class_weights = o->class_weights;
    options.row_weights = o->row_weights;
    options.row_losses = o->row_losses;
    options.label_smoothing = g->label_smoothing;
    options.ignore_index = g->ignore_index;
    if (g->kind == GOLDEN_CROSS_ENTROPY)
        return oclin_loss_cross_entropy(o->y, o->target, o->loss, o->dy, o->correct, &options);
    return functions[g->kind](o->y, o->target, o->loss, o->dy, &options);
}

static void test_option_loss(void **state)
{
    const struct golden_option_loss *g = *state;
    oclin_context *ctx = make_context(plan_name);
    const struct operands o = make_operands(ctx, g);
    for (int reduction = OCLIN_MEAN; reduction <= OCLIN_SUM; reduction++) {
        const int mean = reduction == OCLIN_MEAN;
        struct reference bounds = new_reference(g->rows, g->cols);
        fill_reference(g, (oclin_reduction)reduction, &bounds);
        assert_ok(ctx, option_loss(g, (oclin_reduction)reduction, &o));
        check("row losses", ctx, o.row_losses, g->row_losses, bounds.rows_bound);
        check("dy", ctx, o.dy, mean ? g->mean_dy : g->sum_dy, bounds.bound);
        check("loss", ctx, o.loss, mean ? &g->mean : &g->sum, &bounds.loss_bound);
        if (g->kind == GOLDEN_CROSS_ENTROPY) {
            int32_t correct;
            assert_ok(ctx, oclin_tensor_read(o.correct, &correct));
            assert_int_equal(correct, g->correct);
        }
        free_reference(&bounds);
    }
    destroy_operands(&o);
    oclin_context_destroy(ctx);
}

static void check_indices(const char *name, const int32_t *got, const int32_t *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (got[i] != want[i])
            fail_msg("%s[%lld] is %d, must be %d", name, (long long)i, (int)got[i], (int)want[i]);
}

static void test_rows(void **state)
{
    const struct golden_rows *g = *state;
    const int64_t size = (int64_t)g->rows * g->cols;
    const struct oclin_ref_case c = RANDOM_CASE(g->rows, 0, g->cols);
    double *p = new_array(double, size), *bound = new_array(double, size);
    int32_t *indices = new_array(int32_t, g->rows);
    oclin_ref_softmax(&c, g->y, p, bound);
    check_double("softmax", p, g->softmax, size);
    oclin_ref_argmax(&c, g->y, indices);
    check_indices("argmax of the reference", indices, g->argmax, g->rows);

    oclin_context *ctx = make_context(plan_name);
    oclin_tensor *y = tensor_of(ctx, OCLIN_F32, g->rows, g->cols, g->y),
                 *softmax = tensor_of(ctx, OCLIN_F32, g->rows, g->cols, NULL),
                 *argmax = tensor_of(ctx, OCLIN_I32, g->rows, 1, NULL);
    assert_ok(ctx, oclin_softmax(y, softmax));
    check("softmax", ctx, softmax, g->softmax, bound);
    assert_ok(ctx, oclin_tensor_argmax(y, argmax));
    assert_ok(ctx, oclin_tensor_read(argmax, indices));
    check_indices("argmax", indices, g->argmax, g->rows);

    oclin_tensor *const tensors[] = {y, softmax, argmax};
    for (size_t i = 0; i < COUNT_OF(tensors); i++) oclin_tensor_destroy(tensors[i]);
    oclin_context_destroy(ctx);
    free(p);
    free(bound);
    free(indices);
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
    for (size_t i = 0; i < COUNT_OF(golden_cases); i++)
        if (golden_cases[i].activation == OCLIN_NONE || golden_cases[i].activation == OCLIN_GELU)
            add_test(&list, test_transposed, (void *)(uintptr_t)&golden_cases[i], "%s/transposed/%s",
                     plan_name, golden_cases[i].name);
    for (size_t i = 0; i < COUNT_OF(golden_losses); i++)
        add_test(&list, test_loss, (void *)(uintptr_t)&golden_losses[i], "%s/loss/%s", plan_name,
                 golden_losses[i].name);
    for (size_t i = 0; i < COUNT_OF(golden_option_losses); i++) {
        void *row = (void *)(uintptr_t)&golden_option_losses[i];
        add_test(&list, test_option_reference, row, "%s/reference/%s", plan_name,
                 golden_option_losses[i].name);
        add_test(&list, test_option_loss, row, "%s/loss/%s", plan_name, golden_option_losses[i].name);
    }
    for (size_t i = 0; i < COUNT_OF(golden_rows); i++)
        add_test(&list, test_rows, (void *)(uintptr_t)&golden_rows[i], "%s/rows/%s", plan_name,
                 golden_rows[i].name);
    return run_list(plan_name, &list, argc - 1, argv + 1);
}
