/*
 * The mathematics of the source, asked of the device: equations (1) to (3) from the explicit Jacobians, the
 * adjoint identity, batches in parts, the mean over the batch as the source's formulas have it, the fused
 * step, and every activation at the edges of its range. The plan is argv[1].
 */
#include "oracle.h"
#include "support.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oclin_internal.h"

/* The sizes of one layer under test: n inputs, m outputs, as the source calls them. */
struct sizes {
    int64_t batch, in, out;
};

/* A layer with its tensors, and what the host knows of them. Integer data: every sum is exact. */
struct bench {
    oclin_context *ctx;
    oclin_layer *layer;
    oclin_tensor *x, *y, *dy, *dx;
    float *host_x, *host_w, *host_b, *host_dy;
};

static const char *plan_name;

static float *integers(struct rng *rng, int64_t n)
{
    float *p = new_array(float, n);
    fill_integers(rng, p, n, 5);
    return p;
}

static oclin_tensor *tensor_of(oclin_context *ctx, int64_t rows, int64_t cols, const float *host)
{
    oclin_tensor *t;
    assert_ok(ctx, oclin_tensor_create(&t, ctx, OCLIN_F32, rows, cols));
    if (host) assert_ok(ctx, oclin_tensor_write(t, host));
    return t;
}

static struct bench make_bench(const struct sizes *s, struct oclin_layer_options options)
{
    struct rng rng = {(uint64_t)(s->batch * 31 + s->in * 7 + s->out)};
    struct bench b = {0};
    b.ctx = make_context(plan_name);
    b.host_x = integers(&rng, s->batch * s->in);
    b.host_w = integers(&rng, s->out * s->in);
    b.host_b = integers(&rng, s->out);
    b.host_dy = integers(&rng, s->batch * s->out);
    assert_ok(b.ctx, oclin_layer_create(&b.layer, b.ctx, s->in, s->out, &options));
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_w(b.layer), b.host_w));
    if (options.bias) assert_ok(b.ctx, oclin_tensor_write(oclin_layer_b(b.layer), b.host_b));
    b.x = tensor_of(b.ctx, s->batch, s->in, b.host_x);
    b.dy = tensor_of(b.ctx, s->batch, s->out, b.host_dy);
    b.y = tensor_of(b.ctx, s->batch, s->out, NULL);
    b.dx = tensor_of(b.ctx, s->batch, s->in, NULL);
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    return b;
}

static void free_bench(struct bench *b)
{
    oclin_tensor *const tensors[] = {b->x, b->y, b->dy, b->dx};
    for (size_t i = 0; i < COUNT_OF(tensors); i++) oclin_tensor_destroy(tensors[i]);
    oclin_layer_destroy(b->layer);
    oclin_context_destroy(b->ctx);
    float *const hosts[] = {b->host_x, b->host_w, b->host_b, b->host_dy};
    for (size_t i = 0; i < COUNT_OF(hosts); i++) free(hosts[i]);
}

static float *read_all(oclin_context *ctx, oclin_tensor *t)
{
    float *host = new_array(float, oclin_tensor_rows(t) * oclin_tensor_cols(t));
    assert_ok(ctx, oclin_tensor_read(t, host));
    return host;
}

static void check_all(const char *name, oclin_context *ctx, oclin_tensor *t, const double *want)
{
    float *got = read_all(ctx, t);
    check_exact(name, oclin_tensor_rows(t), oclin_tensor_cols(t), oclin_tensor_cols(t), got, want);
    free(got);
}

/* ------------------------------------------------------------------------------------- explicit Jacobians */

/* J_w (m x mn) of one sample, as the source writes it: x^T in row i from column i n on, 0 elsewhere. */
static double *jacobian_w(const struct sizes *s, const float *x)
{
    double *j = new_array(double, s->out * s->out * s->in);
    for (int64_t i = 0; i < s->out; i++)
        for (int64_t k = 0; k < s->in; k++) j[i * s->out * s->in + i * s->in + k] = (double)x[k];
    return j;
}

/* += (grad_y l)^T J, a row vector of `columns`. */
static void chain(const struct sizes *s, const float *dy, const double *j, int64_t columns, double *sum)
{
    for (int64_t c = 0; c < columns; c++)
        for (int64_t i = 0; i < s->out; i++) sum[c] += (double)dy[i] * j[i * columns + c];
}

static void test_jacobian(void **state)
{
    const struct sizes *s = *state;
    struct bench b = make_bench(s, (struct oclin_layer_options)OCLIN_LAYER_OPTIONS_INIT);
    double *dw = new_array(double, s->out * s->in), *db = new_array(double, s->out),
           *dx = new_array(double, s->batch * s->in);
    double *identity = new_array(double, s->out * s->out), *w = new_array(double, s->out * s->in);
    for (int64_t i = 0; i < s->out; i++) identity[i * s->out + i] = 1.0;     /* J_b */
    for (int64_t i = 0; i < s->out * s->in; i++) w[i] = (double)b.host_w[i]; /* J_x */
    for (int64_t r = 0; r < s->batch; r++) {
        const float *dy = b.host_dy + r * s->out;
        double *j = jacobian_w(s, b.host_x + r * s->in);
        chain(s, dy, j, s->out * s->in, dw);
        chain(s, dy, identity, s->out, db);
        chain(s, dy, w, s->in, dx + r * s->in);
        free(j);
    }
    assert_ok(b.ctx, oclin_layer_backward(b.layer, b.dy, b.dx));
    check_all("(1) dW against J_w", b.ctx, oclin_layer_dw(b.layer), dw);
    check_all("(2) db against J_b = E", b.ctx, oclin_layer_db(b.layer), db);
    check_all("(3) dX against J_x = W", b.ctx, b.dx, dx);
    double *const all[] = {dw, db, dx, identity, w};
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
    free_bench(&b);
}

/* ------------------------------------------------------------------------------------------- identities */

static double dot(const float *a, const float *b, int64_t n)
{
    double sum = 0.0;
    for (int64_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

/* <dY, X W^T> = <dY W, X> = <dY^T X, W>: three products, one number. */
static void test_adjoint(void **state)
{
    const struct sizes *s = *state;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = 0;
    struct bench b = make_bench(s, options);
    assert_ok(b.ctx, oclin_layer_backward(b.layer, b.dy, b.dx));
    float *y = read_all(b.ctx, b.y), *dx = read_all(b.ctx, b.dx),
          *dw = read_all(b.ctx, oclin_layer_dw(b.layer));
    const double forward = dot(b.host_dy, y, s->batch * s->out);
    assert_true(forward == dot(dx, b.host_x, s->batch * s->in));
    assert_true(forward == dot(dw, b.host_w, s->out * s->in));
    free(y);
    free(dx);
    free(dw);
    free_bench(&b);
}

/* A batch in two parts, through views, with accumulation equals the whole. */
static void test_split_batch(void **state)
{
    const struct sizes *s = *state;
    struct bench b = make_bench(s, (struct oclin_layer_options)OCLIN_LAYER_OPTIONS_INIT);
    assert_ok(b.ctx, oclin_layer_backward(b.layer, b.dy, b.dx));
    float *dw = read_all(b.ctx, oclin_layer_dw(b.layer)), *db = read_all(b.ctx, oclin_layer_db(b.layer));
    float *dx = read_all(b.ctx, b.dx);
    assert_ok(b.ctx, oclin_layer_zero_grad(b.layer));
    assert_ok(b.ctx, oclin_tensor_fill(b.dx, NAN));
    const int64_t first = s->batch / 3;
    for (int part = 0; part < 2; part++) {
        const int64_t from = part ? first : 0, rows = part ? s->batch - first : first;
        oclin_tensor *x, *y, *dy, *part_dx;
        assert_ok(b.ctx, oclin_tensor_view(&x, b.x, from * s->in, rows, s->in, s->in));
        assert_ok(b.ctx, oclin_tensor_view(&y, b.y, from * s->out, rows, s->out, s->out));
        assert_ok(b.ctx, oclin_tensor_view(&dy, b.dy, from * s->out, rows, s->out, s->out));
        assert_ok(b.ctx, oclin_tensor_view(&part_dx, b.dx, from * s->in, rows, s->in, s->in));
        assert_ok(b.ctx, oclin_layer_forward(b.layer, x, y));
        assert_ok(b.ctx, oclin_layer_backward(b.layer, dy, part_dx));
        oclin_tensor *const views[] = {x, y, dy, part_dx};
        for (size_t i = 0; i < COUNT_OF(views); i++) oclin_tensor_destroy(views[i]);
    }
    float *dw2 = read_all(b.ctx, oclin_layer_dw(b.layer)), *db2 = read_all(b.ctx, oclin_layer_db(b.layer));
    float *dx2 = read_all(b.ctx, b.dx);
    check_same_bits("dw in two parts", dw2, dw, s->out * s->in);
    check_same_bits("db in two parts", db2, db, s->out);
    check_same_bits("dx in two parts", dx2, dx, s->batch * s->in);
    float *const all[] = {dw, db, dx, dw2, db2, dx2};
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
    free_bench(&b);
}

/*
 * The source divides dW and db by the batch, never dX: per sample (1) and (2), then the mean over the batch.
 * Batches here are powers of two, so that the division is exact.
 */
static void test_mean_over_batch(void **state)
{
    const struct sizes *s = *state;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.gradient = OCLIN_GRAD_MEAN;
    struct bench b = make_bench(s, options);
    double *dw = new_array(double, s->out * s->in), *db = new_array(double, s->out),
           *dx = new_array(double, s->batch * s->in);
    for (int64_t r = 0; r < s->batch; r++)
        for (int64_t i = 0; i < s->out; i++) {
            const double dy = (double)b.host_dy[r * s->out + i];
            db[i] += dy / (double)s->batch;
            for (int64_t k = 0; k < s->in; k++) {
                dw[i * s->in + k] += dy * (double)b.host_x[r * s->in + k] / (double)s->batch;
                dx[r * s->in + k] += (double)b.host_w[i * s->in + k] * dy;
            }
        }
    assert_ok(b.ctx, oclin_layer_backward(b.layer, b.dy, b.dx));
    check_all("mean dW", b.ctx, oclin_layer_dw(b.layer), dw);
    check_all("mean db", b.ctx, oclin_layer_db(b.layer), db);
    check_all("dX, which is no mean", b.ctx, b.dx, dx);
    free(dw);
    free(db);
    free(dx);
    free_bench(&b);
}

/* Fused: dX from the old W, then W and b move; the same bits as zero_grad, backward, step. */
static void test_fused_step(void **state)
{
    const struct sizes *s = *state;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = OCLIN_TANH;
    struct bench fused = make_bench(s, options), apart = make_bench(s, options);
    assert_ok(fused.ctx, oclin_layer_backward_step(fused.layer, fused.dy, fused.dx, 0.125f));
    assert_ok(apart.ctx, oclin_layer_backward(apart.layer, apart.dy, apart.dx));
    assert_ok(apart.ctx, oclin_layer_step(apart.layer, 0.125f));
    float *w1 = read_all(fused.ctx, oclin_layer_w(fused.layer)),
          *w2 = read_all(apart.ctx, oclin_layer_w(apart.layer));
    float *b1 = read_all(fused.ctx, oclin_layer_b(fused.layer)),
          *b2 = read_all(apart.ctx, oclin_layer_b(apart.layer));
    float *dx1 = read_all(fused.ctx, fused.dx), *dx2 = read_all(apart.ctx, apart.dx);
    check_same_bits("w", w1, w2, s->out * s->in);
    check_same_bits("b", b1, b2, s->out);
    check_same_bits("dx", dx1, dx2, s->batch * s->in);
    int64_t moved = 0;
    for (int64_t i = 0; i < s->out * s->in; i++) moved += w1[i] != fused.host_w[i];
    assert_true(moved > 0);
    float *const all[] = {w1, w2, b1, b2, dx1, dx2};
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
    free_bench(&fused);
    free_bench(&apart);
}

/* NaN and Inf in data go the way of IEEE: one bad sample spoils its own rows and what sums over the batch, no
 * more. */
static void test_special_values(void **state)
{
    const struct sizes *s = *state;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = OCLIN_RELU;
    struct bench b = make_bench(s, options);
    b.host_x[(s->batch - 1) * s->in] = NAN;
    assert_ok(b.ctx, oclin_tensor_write(b.x, b.host_x));
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    float *y = read_all(b.ctx, b.y);
    for (int64_t i = 0; i < s->batch * s->out; i++)
        assert_int_equal(isnan(y[i]) != 0, i >= (s->batch - 1) * s->out);
    /* dY = Inf where ReLU is closed: selected away, never multiplied by 0 */
    for (int64_t i = 0; i < s->batch * s->out; i++)
        if (y[i] == 0.0f) b.host_dy[i] = INFINITY;
    assert_ok(b.ctx, oclin_tensor_write(b.dy, b.host_dy));
    assert_ok(b.ctx, oclin_layer_backward(b.layer, b.dy, b.dx));
    float *dx = read_all(b.ctx, b.dx), *db = read_all(b.ctx, oclin_layer_db(b.layer));
    for (int64_t i = 0; i < (s->batch - 1) * s->in; i++) assert_true(isfinite(dx[i]));
    for (int64_t i = 0; i < s->out; i++) assert_true(isfinite(db[i]));
    free(y);
    free(dx);
    free(db);
    free_bench(&b);
}

/* ------------------------------------------------------------------------------ activations at edges */

struct edge_case {
    const char *plan;
    oclin_activation activation;
};

/* A device without denormals may have 0 for z, y, dy or the result. */
static double flushed_at(oclin_context *ctx)
{
    return ctx->device.denormals ? 0 : FLT_MIN;
}

static void check_edge(const char *name, const struct edge_case *c, float z, float dy, float got, double want,
                       double tolerance)
{
    if (isnan(want) ? isnan(got) : (double)got == want || fabs((double)got - want) <= tolerance) return;
    if (fabs(want) >= FLT_MAX && got == copysignf(INFINITY, (float)want))
        return; /* as a float that is Inf, or may be */
    fail_msg("%s, %s of %g, dy %g: %.9g, must be %.9g", name, activation_name(c->activation), (double)z,
             (double)dy, (double)got, want);
}

/* y is a function of OpenCL within its limits. Most of GELU's errors are erfc()'s, and grow with z^2 on the
 * left. */
static void check_edge_y(const struct edge_case *c, oclin_context *ctx, float z, float y)
{
    const double want = oracle_activation(c->activation, (double)z), reach = fmin(fabs((double)z), 30.0);
    const int exact = c->activation == OCLIN_NONE || c->activation == OCLIN_RELU;
    const double flushed = flushed_at(ctx) * (1 + reach),
                 overflow = c->activation == OCLIN_SIGMOID ? 0x1p-127 : 0;
    check_edge("y", c, z, 0.0f, y, want,
               exact ? flushed
                     : (40 + 3 * reach * reach) * 0x1p-24 * fabs(want) + flushed + overflow + 256 * 0x1p-149);
}

/* dz for one z and dy, from the y that the device has itself. */
static void check_edge_dz(const char *name, const struct edge_case *c, oclin_context *ctx, float z, float y,
                          float dy, float dz)
{
    const double slope = oracle_stored_derivative(c->activation, (double)z, (double)y);
    const double right = oracle_derivative(c->activation, (double)z), d = (double)dy;
    if (isfinite(right) && fabs(slope - right) > 1e-6)
        fail_msg("%s'(%g) is %g, must be %g", activation_name(c->activation), (double)z, slope, right);
    if (isinf(dy) && fabs(slope) < 1e-6)
        return; /* where slope is 0 as a float, Inf 0 is NaN; y may be 1 or nearly 1 */
    const double flushed = flushed_at(ctx) * (3 + 80 * fabs(d));
    const int exact = c->activation <= OCLIN_RELU;
    const double rounding = 2e-6 * fabs(slope) + 4e-7, tiny = (80 * fabs(d) + 1) * 0x1p-149;
    check_edge(name, c, z, dy, dz, oracle_dz(c->activation, d, slope),
               exact ? flushed : rounding * fabs(d) + tiny + flushed);
}

static const float edge_dy[] = {1.0f, -2.5f, 0.0f, 0x1p-149f, 1e30f, FLT_MAX, -INFINITY, NAN};

/* The values are b, so that they lie along the outputs; x is 1 for the first sample alone: dW and db are its
 * dZ. */
static void test_edges_along_outputs(void **state)
{
    const struct edge_case *c = *state;
    enum { BATCH = 3 };
    oclin_context *ctx = make_context(c->plan);
    const float x[BATCH] = {1.0f};
    float y[BATCH * EDGES], dy[BATCH * EDGES] = {0}, dw[EDGES], db[EDGES];
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = c->activation;
    options.init = OCLIN_INIT_ZERO;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, EDGES, &options));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_b(l), edge_values));
    oclin_tensor *tx = tensor_of(ctx, BATCH, 1, x), *ty = tensor_of(ctx, BATCH, EDGES, NULL),
                 *tdy = tensor_of(ctx, BATCH, EDGES, NULL);
    assert_ok(ctx, oclin_layer_forward(l, tx, ty));
    assert_ok(ctx, oclin_tensor_read(ty, y));
    for (int i = 0; i < BATCH * EDGES; i++) check_edge_y(c, ctx, edge_values[i % EDGES], y[i]);
    for (size_t d = 0; d < COUNT_OF(edge_dy); d++) {
        for (int i = 0; i < EDGES; i++) dy[i] = edge_dy[d];
        assert_ok(ctx, oclin_tensor_write(tdy, dy));
        assert_ok(ctx, oclin_layer_zero_grad(l));
        assert_ok(ctx, oclin_layer_backward(l, tdy, NULL));
        assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(l), dw));
        assert_ok(ctx, oclin_tensor_read(oclin_layer_db(l), db));
        for (int i = 0; i < EDGES; i++) {
            check_edge_dz("dw", c, ctx, edge_values[i], y[i], edge_dy[d], dw[i]);
            check_edge_dz("db", c, ctx, edge_values[i], y[i], edge_dy[d], db[i]);
        }
    }
    oclin_tensor *const tensors[] = {tx, ty, tdy};
    for (size_t i = 0; i < COUNT_OF(tensors); i++) oclin_tensor_destroy(tensors[i]);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* The values are x, a sample each, of a layer with the one weight 1: dX is dZ. */
static void test_edges_along_samples(void **state)
{
    const struct edge_case *c = *state;
    oclin_context *ctx = make_context(c->plan);
    const float one = 1.0f;
    float y[EDGES], dy[EDGES], dx[EDGES];
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = c->activation;
    options.bias = 0;
    options.w = tensor_of(ctx, 1, 1, &one);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, &options));
    oclin_tensor *tx = tensor_of(ctx, EDGES, 1, edge_values), *ty = tensor_of(ctx, EDGES, 1, NULL),
                 *tdy = tensor_of(ctx, EDGES, 1, NULL), *tdx = tensor_of(ctx, EDGES, 1, NULL);
    assert_ok(ctx, oclin_layer_forward(l, tx, ty));
    assert_ok(ctx, oclin_tensor_read(ty, y));
    for (int i = 0; i < EDGES; i++) check_edge_y(c, ctx, edge_values[i], y[i]);
    for (size_t d = 0; d < COUNT_OF(edge_dy); d++) {
        for (int i = 0; i < EDGES; i++) dy[i] = edge_dy[d];
        assert_ok(ctx, oclin_tensor_write(tdy, dy));
        assert_ok(ctx, oclin_layer_backward(l, tdy, tdx));
        assert_ok(ctx, oclin_tensor_read(tdx, dx));
        for (int i = 0; i < EDGES; i++) check_edge_dz("dx", c, ctx, edge_values[i], y[i], dy[i], dx[i]);
    }
    oclin_tensor *const tensors[] = {options.w, tx, ty, tdy, tdx};
    for (size_t i = 0; i < COUNT_OF(tensors); i++) oclin_tensor_destroy(tensors[i]);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* simd: also by the forms that it takes for few rows or for large products. */
static void add_edges(struct test_list *list)
{
    static const char *const forms[] = {"simd-skinny", "simd-narrow", "simd-packed"};
    enum { FORMS = COUNT_OF(forms) };
    static struct edge_case cases[(1 + FORMS) * MOST_ACTIVATIONS];
    const int activations = count_activations();
    const int plans = strcmp(plan_name, "simd") == 0 ? 1 + FORMS : 1;
    for (int i = 0; i < plans * activations; i++) {
        cases[i].plan = i < activations ? plan_name : forms[i / activations - 1];
        cases[i].activation = (oclin_activation)(i % activations);
        const char *name = activation_name(cases[i].activation);
        add_test(list, test_edges_along_outputs, &cases[i], "%s/edges/%s/outputs", cases[i].plan, name);
        add_test(list, test_edges_along_samples, &cases[i], "%s/edges/%s/samples", cases[i].plan, name);
    }
}

int main(int argc, char **argv)
{
    static const struct sizes sizes[] = {{1, 1, 1}, {4, 3, 5}, {8, 20, 17}, {16, 33, 9}, {64, 7, 40}};
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } tests[] = {
        {"jacobian", test_jacobian},       {"adjoint", test_adjoint},
        {"split_batch", test_split_batch}, {"mean_over_batch", test_mean_over_batch},
        {"fused_step", test_fused_step},   {"special_values", test_special_values},
    };
    if (argc < 2) {
        fprintf(stderr, "usage: %s PLAN [PATTERN]\n", argv[0]);
        return 2;
    }
    plan_name = argv[1];
    if (plan_too_large(plan_name)) return run_refused(plan_name);
    struct test_list list = {NULL, 0, 0};
    for (size_t t = 0; t < COUNT_OF(tests); t++)
        for (size_t i = 0; i < COUNT_OF(sizes); i++)
            add_test(&list, tests[t].run, (void *)(uintptr_t)&sizes[i], "%s/%s/%lldx%lldx%lld", plan_name,
                     tests[t].name, (long long)sizes[i].batch, (long long)sizes[i].in,
                     (long long)sizes[i].out);
    add_edges(&list);
    return run_list(plan_name, &list, argc - 1, argv + 1);
}
