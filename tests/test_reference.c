/*
 * The reference against second formulas: the explicit Jacobians of the source, finite differences,
 * identities, PyTorch; its bounds against a float evaluation that errs as much as OpenCL allows. And the
 * helpers of support.c, whose failure would make every other test pass. Needs no device.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "golden/golden.h"
#include "oracle.h"
#include "support.h"

#define U 0x1p-24

/* |got - want| <= tolerance * (1 + |want|) for all; NaN never is. */
static void check_close(const char *name, const double *got, const double *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= tolerance * (1 + fabs(want[i]))))
            fail_msg("%s[%lld] is %.17g, must be %.17g", name, (long long)i, got[i], want[i]);
}

static double dot(const double *p, const float *q, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++) sum += p[i] * q[i];
    return sum;
}

/* ------------------------------------------------------------------------------------ integer matrices */

enum { MOST = 256 }; /* elements of any matrix in this file */

/* A layer with small integers everywhere: all sums are exact. */
struct integers {
    struct oclin_ref_case c;
    float x[MOST], w[MOST], b[MOST], dy[MOST];
};

struct shape {
    int64_t batch, in, out;
};

static const struct shape shapes[] = {{1, 1, 1}, {1, 5, 3}, {4, 1, 3}, {4, 3, 1}, {2, 3, 4}, {5, 7, 6}};

static struct integers make_integers(const struct shape *shape)
{
    struct integers p = {.c = RANDOM_CASE(shape->batch, shape->in, shape->out)};
    struct rng rng = {42};
    fill_integers(&rng, p.x, MOST, 8);
    fill_integers(&rng, p.w, MOST, 8);
    fill_integers(&rng, p.b, MOST, 8);
    fill_integers(&rng, p.dy, MOST, 8);
    return p;
}

/* y = W x + b of one sample, by the reference. */
static void forward_one(const struct integers *p, const float *x, const float *w, double *y)
{
    struct oclin_ref_case one = p->c;
    one.batch = 1;
    oclin_ref_forward(&one, x, w, p->b, NULL, NULL, y, NULL);
}

/* J_w (m x mn) of the source: row i has x in columns i n .. i n + n - 1, and zeros. It is what forward does
 * when one weight grows by 1; and the chain dy^T J_w, unrolled, summed over the samples, is dW. */
static void test_jacobian_w(void **state)
{
    struct integers p = make_integers(*state);
    const int64_t m = p.c.out, n = p.c.in;
    double chained[MOST] = {0}, dw[MOST];
    for (int64_t sample = 0; sample < p.c.batch; sample++) {
        const float *x = p.x + sample * n, *dy = p.dy + sample * m;
        double y[MOST], y_grown[MOST];
        forward_one(&p, x, p.w, y);
        for (int64_t column = 0; column < m * n; column++) {
            p.w[column] += 1;
            forward_one(&p, x, p.w, y_grown);
            p.w[column] -= 1;
            for (int64_t i = 0; i < m; i++) {
                const double J_w = column / n == i ? x[column % n] : 0;
                assert_true(y_grown[i] - y[i] == J_w);
                chained[column] += dy[i] * J_w;
            }
        }
    }
    oclin_ref_grad_w(&p.c, p.x, p.dy, NULL, dw, NULL);
    check_close("dw", dw, chained, m * n, 0);
}

/* J_b = I: summed over the samples, dy itself. */
static void test_jacobian_b(void **state)
{
    struct integers p = make_integers(*state);
    const int64_t m = p.c.out;
    double chained[MOST] = {0}, db[MOST];
    for (int64_t sample = 0; sample < p.c.batch; sample++)
        for (int64_t i = 0; i < m; i++)
            for (int64_t j = 0; j < m; j++) chained[j] += p.dy[sample * m + i] * (i == j);
    oclin_ref_grad_b(&p.c, p.dy, NULL, db, NULL);
    check_close("db", db, chained, m, 0);
}

/* J_x = W: what forward does when one x grows by 1; dx = J_x^T dy. */
static void test_jacobian_x(void **state)
{
    struct integers p = make_integers(*state);
    const int64_t m = p.c.out, n = p.c.in;
    double chained[MOST] = {0}, dx[MOST];
    for (int64_t sample = 0; sample < p.c.batch; sample++) {
        float *x = p.x + sample * n;
        double y[MOST], y_grown[MOST];
        forward_one(&p, x, p.w, y);
        for (int64_t j = 0; j < n; j++) {
            x[j] += 1;
            forward_one(&p, x, p.w, y_grown);
            x[j] -= 1;
            for (int64_t i = 0; i < m; i++) {
                assert_true(y_grown[i] - y[i] == p.w[i * n + j]);
                chained[sample * n + j] += (y_grown[i] - y[i]) * p.dy[sample * m + i];
            }
        }
    }
    oclin_ref_grad_x(&p.c, p.w, p.dy, NULL, dx, NULL);
    check_close("dx", dx, chained, p.c.batch * n, 0);
}

/* <dY, X W^T> = <dY W, X>; with b it is short of <dY, 1 b^T> = <db, b>. */
static void test_adjoint(void **state)
{
    const struct integers p = make_integers(*state);
    double y[MOST], dx[MOST], db[MOST];
    oclin_ref_forward(&p.c, p.x, p.w, NULL, NULL, NULL, y, NULL);
    oclin_ref_grad_x(&p.c, p.w, p.dy, NULL, dx, NULL);
    assert_true(dot(y, p.dy, p.c.batch * p.c.out) == dot(dx, p.x, p.c.batch * p.c.in));

    const double without_b = dot(y, p.dy, p.c.batch * p.c.out);
    oclin_ref_forward(&p.c, p.x, p.w, p.b, NULL, NULL, y, NULL);
    oclin_ref_grad_b(&p.c, p.dy, NULL, db, NULL);
    assert_true(dot(y, p.dy, p.c.batch * p.c.out) - without_b == dot(db, p.b, p.c.out));
}

/* The gradient of a batch is that of its first samples, with that of the others accumulated. */
static void test_split_batch(void **state)
{
    const struct integers p = make_integers(*state);
    const int64_t half = p.c.batch / 2, size = p.c.in * p.c.out;
    struct oclin_ref_case first = p.c, second = p.c;
    first.batch = half;
    second.batch = p.c.batch - half;
    double whole[MOST], part[MOST], rest[MOST], sum[MOST], bound[MOST];
    float old[MOST];

    oclin_ref_grad_w(&p.c, p.x, p.dy, NULL, whole, NULL);
    oclin_ref_grad_w(&first, p.x, p.dy, NULL, part, NULL);
    for (int64_t i = 0; i < size; i++) old[i] = (float)part[i];
    oclin_ref_grad_w(&second, p.x + half * p.c.in, p.dy + half * p.c.out, NULL, rest, NULL);
    oclin_ref_accumulate(NULL, size, old, rest, NULL, sum, bound);
    check_close("dw", sum, whole, size, 0);

    oclin_ref_grad_b(&p.c, p.dy, NULL, whole, NULL);
    oclin_ref_grad_b(&first, p.dy, NULL, part, NULL);
    for (int64_t i = 0; i < p.c.out; i++) old[i] = (float)part[i];
    oclin_ref_grad_b(&second, p.dy + half * p.c.out, NULL, rest, NULL);
    oclin_ref_accumulate(NULL, p.c.out, old, rest, NULL, sum, NULL);
    check_close("db", sum, whole, p.c.out, 0);
}

/* mnn's gradients: dW and db divided by the batch, dX not. */
static void test_gradient_mean(void **state)
{
    const struct integers p = make_integers(*state);
    struct oclin_ref_case mean = p.c;
    mean.gradient = OCLIN_GRAD_MEAN;
    double sum[MOST], averaged[MOST];

    oclin_ref_grad_w(&p.c, p.x, p.dy, NULL, sum, NULL);
    oclin_ref_grad_w(&mean, p.x, p.dy, NULL, averaged, NULL);
    for (int64_t i = 0; i < p.c.in * p.c.out; i++) sum[i] /= (double)p.c.batch;
    check_close("dw", averaged, sum, p.c.in * p.c.out, 0);

    oclin_ref_grad_b(&p.c, p.dy, NULL, sum, NULL);
    oclin_ref_grad_b(&mean, p.dy, NULL, averaged, NULL);
    for (int64_t i = 0; i < p.c.out; i++) sum[i] /= (double)p.c.batch;
    check_close("db", averaged, sum, p.c.out, 0);

    oclin_ref_grad_x(&p.c, p.w, p.dy, NULL, sum, NULL);
    oclin_ref_grad_x(&mean, p.w, p.dy, NULL, averaged, NULL);
    check_close("dx", averaged, sum, p.c.batch * p.c.in, 0);
}

static void test_empty_batch(void **state)
{
    (void)state;
    for (int gradient = OCLIN_GRAD_SUM; gradient <= OCLIN_GRAD_MEAN; gradient++) {
        struct oclin_ref_case c = RANDOM_CASE(0, 2, 3);
        c.gradient = (oclin_gradient)gradient;
        double dw[6], db[3];
        memset(dw, 0xff, sizeof dw);
        memset(db, 0xff, sizeof db);
        oclin_ref_grad_w(&c, NULL, NULL, NULL, dw, NULL);
        oclin_ref_grad_b(&c, NULL, NULL, db, NULL);
        for (int i = 0; i < 6; i++) assert_true(dw[i] == 0);
        for (int i = 0; i < 3; i++) assert_true(db[i] == 0);
    }
    double loss = 7, bound = 7;
    int64_t correct = 7;
    oclin_ref_mse(&RANDOM_CASE(0, 0, 3), NULL, NULL, OCLIN_MEAN, 1, &loss, &bound, NULL, NULL);
    assert_true(loss == 0 && bound < 1e-30);
    loss = 7;
    oclin_ref_cross_entropy(&RANDOM_CASE(0, 0, 3), NULL, NULL, OCLIN_MEAN, 1, &loss, &bound, NULL, NULL,
                            &correct);
    assert_true(loss == 0 && bound < 1e-30 && correct == 0);
}

static void test_step(void **state)
{
    (void)state;
    const float w[3] = {1, -2, 0};
    const double dw[3] = {4, 0.5, -8};
    const double want[3] = {0, -2.125, 2};
    double w_new[3];
    oclin_ref_step(NULL, 3, w, dw, NULL, 0.25f, w_new, NULL);
    check_close("w", w_new, want, 3, 0);
}

/* --------------------------------------------------------------------------------- finite differences */

enum { BATCH = 3, IN = 4, OUT = 5 };
#define H 0x1p-9f /* the step: with the data below, every shifted float is exact */

struct smooth {
    struct oclin_ref_case c;
    float x[BATCH * IN], w[OUT * IN], b[OUT], dy[BATCH * OUT];
};

/* x and w are quarters, b an odd number of 32nds: z is exact in float, and never nearer to the bend of ReLU
 * than the steps reach. */
static struct smooth make_smooth(oclin_activation activation)
{
    struct smooth p = {.c = RANDOM_CASE(BATCH, IN, OUT)};
    struct rng rng = {7};
    p.c.activation = activation;
    fill_integers(&rng, p.x, BATCH * IN, 4);
    fill_integers(&rng, p.w, OUT * IN, 4);
    fill_integers(&rng, p.b, OUT, 15);
    fill_integers(&rng, p.dy, BATCH * OUT, 8);
    for (int i = 0; i < BATCH * IN; i++) p.x[i] /= 4;
    for (int i = 0; i < OUT * IN; i++) p.w[i] /= 4;
    for (int i = 0; i < OUT; i++) p.b[i] = (2 * p.b[i] + 1) / 32;
    return p;
}

/* L = <dY, act(X W^T + b)> */
static double loss_of_smooth(void *context)
{
    const struct smooth *p = context;
    double y[BATCH * OUT];
    oclin_ref_forward(&p->c, p->x, p->w, p->b, NULL, NULL, y, NULL);
    return dot(y, p->dy, BATCH * OUT);
}

/* dL / d*v by the central difference of fourth order. */
static double slope(double (*L)(void *), void *context, float *v)
{
    const float v0 = *v;
    double at[5];
    for (int k = -2; k <= 2; k++) {
        *v = v0 + (float)k * H;
        at[k + 2] = L(context);
    }
    *v = v0;
    return (at[0] - 8 * at[1] + 8 * at[3] - at[4]) / (12 * (double)H);
}

/* Most derivatives come from z, exact here; those of sigmoid, tanh and softplus from y rounded to float. */
static void test_finite_differences(void **state)
{
    const oclin_activation activation = (oclin_activation)(intptr_t)*state;
    const int from_y =
        activation == OCLIN_SIGMOID || activation == OCLIN_TANH || activation == OCLIN_SOFTPLUS;
    const double tolerance = from_y ? 1e-6 : 1e-9;
    struct smooth p = make_smooth(activation);
    double z[BATCH * OUT], y[BATCH * OUT], want[OUT * IN], got[OUT * IN];
    float s[BATCH * OUT];
    oclin_ref_forward(&p.c, p.x, p.w, p.b, z, NULL, y, NULL);
    for (int i = 0; i < BATCH * OUT; i++) s[i] = (float)(keeps_z(activation) ? z[i] : y[i]);

    oclin_ref_grad_w(&p.c, p.x, p.dy, s, got, NULL);
    for (int i = 0; i < OUT * IN; i++) want[i] = slope(loss_of_smooth, &p, &p.w[i]);
    check_close("dw", got, want, OUT * IN, tolerance);

    oclin_ref_grad_b(&p.c, p.dy, s, got, NULL);
    for (int i = 0; i < OUT; i++) want[i] = slope(loss_of_smooth, &p, &p.b[i]);
    check_close("db", got, want, OUT, tolerance);

    oclin_ref_grad_x(&p.c, p.w, p.dy, s, got, NULL);
    for (int i = 0; i < BATCH * IN; i++) want[i] = slope(loss_of_smooth, &p, &p.x[i]);
    check_close("dx", got, want, BATCH * IN, tolerance);
}

/* ------------------------------------------------------------------------------------- special values */

/* act(z) for one z, and the bound. */
static double activate_one(oclin_activation activation, float z, double *bound)
{
    struct oclin_ref_case c = RANDOM_CASE(1, 1, 1);
    const float one = 1;
    double y;
    c.activation = activation;
    oclin_ref_forward(&c, &z, &one, NULL, NULL, NULL, &y, bound);
    return y;
}

static double grad_one(oclin_activation activation, float dy, float s, double *bound)
{
    struct oclin_ref_case c = RANDOM_CASE(1, 1, 1);
    double dz;
    c.activation = activation;
    oclin_ref_grad_z(&c, &dy, &s, &dz, bound);
    return dz;
}

static void test_relu_selects(void **state)
{
    (void)state;
    double bound = 1;
    assert_true(grad_one(OCLIN_RELU, 3, 0, &bound) == 0 && bound == 0); /* derivative 0 at 0 */
    assert_true(grad_one(OCLIN_RELU, 3, 1, NULL) == 3);
    assert_true(grad_one(OCLIN_RELU, INFINITY, 0, NULL) == 0); /* not Inf * 0 */
    assert_true(grad_one(OCLIN_RELU, 3, 0x1p-127f, &bound) == 3 && bound == 0);
    assert_true(grad_one(OCLIN_RELU, 3, NAN, NULL) == 3);
    assert_true(isnan(grad_one(OCLIN_RELU, NAN, 1, NULL)));
    assert_true(isnan(activate_one(OCLIN_RELU, NAN, NULL)));
    assert_true(activate_one(OCLIN_RELU, -INFINITY, &bound) == 0 && bound == 0);
    assert_true(activate_one(OCLIN_RELU, INFINITY, NULL) == INFINITY);
}

/* Far out, where a careless formula gives 0, NaN or 1 - 1. Values from 50-digit arithmetic. */
static void test_activation_tails(void **state)
{
    (void)state;
    const struct {
        oclin_activation activation;
        float z;
        double y;
    } rows[] = {
        {OCLIN_GELU, -10, -7.6198530241605260660e-23},
        {OCLIN_GELU, -5, -1.4332578593959695584e-06},
        {OCLIN_GELU, 10, 10},
        {OCLIN_SIGMOID, -80, 1.8048513878454151701e-35},
        {OCLIN_SIGMOID, 80, 1},
        {OCLIN_SIGMOID, -1000, 0},
        {OCLIN_TANH, -100, -1},
        {OCLIN_TANH, 0x1p-30f, 0x1p-30},
        {OCLIN_SIGMOID, INFINITY, 1},
        {OCLIN_SIGMOID, -INFINITY, 0},
        {OCLIN_TANH, -INFINITY, -1},
        {OCLIN_GELU, INFINITY, INFINITY},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        double bound;
        const double y = activate_one(rows[i].activation, rows[i].z, &bound);
        if (!(y == rows[i].y || fabs(y - rows[i].y) <= 1e-13 * fabs(rows[i].y)))
            fail_msg("%s(%g) is %.17g", activation_name(rows[i].activation), rows[i].z, y);
        if (isfinite(y) && !(bound <= 500 * U * fabs(y) + 0x1p-126)) fail_msg("row %zu: bound %g", i, bound);
    }
}

/* At every edge the value of the second opinion, and a bound that says something. */
static void test_activation_edges(void **state)
{
    const oclin_activation activation = (oclin_activation)(intptr_t)*state;
    for (int i = 0; i < EDGES; i++) {
        double bound;
        const double y = activate_one(activation, edge_values[i], &bound);
        const double want = oracle_activation(activation, edge_values[i]);
        if (isnan(want) ? !isnan(y) : !(y == want || fabs(y - want) <= 1e-12 * fabs(want) + 1e-60))
            fail_msg("%s(%g) is %.17g, must be %.17g", activation_name((oclin_activation)activation),
                     edge_values[i], y, want);
        if ((isinf(edge_values[i]) ? isfinite(want) : fabs(edge_values[i]) < 0x1p127) &&
            !(bound <= 5e-5 * fabs(want) + 1e-38))
            fail_msg("%s(%g): bound %g", activation_name((oclin_activation)activation), edge_values[i],
                     bound);
        if (isnan(bound) && !isnan(want))
            fail_msg("%s(%g) is not known", activation_name((oclin_activation)activation), edge_values[i]);
    }
}

static void check_derivative(oclin_activation activation, float dy, float z, float s)
{
    double bound;
    const double got = grad_one(activation, dy, s, &bound);
    const double slope = oracle_stored_derivative(activation, z, s), dz = oracle_dz(activation, dy, slope);
    if (isnan(dz) ? !isnan(got) : !(got == dz || fabs(got - dz) <= 1e-12 * (fabs(dz) + fabs(dy)) + 1e-60))
        fail_msg("%s'(%g) * %g is %.17g, must be %.17g", activation_name((oclin_activation)activation), z, dy,
                 got, dz);
    if (isfinite(dy) && isfinite(slope) && fabs(dz) < 0x1p127 && !(bound <= 1e-5 * fabs(dy) + 1e-38))
        fail_msg("%s'(%g) * %g: bound %g", activation_name((oclin_activation)activation), z, dy, bound);
}

static void test_derivative_edges(void **state)
{
    const oclin_activation activation = (oclin_activation)(intptr_t)*state;
    for (int i = 0; i < EDGES; i++) {
        const float z = edge_values[i];
        const float s = keeps_z(activation) ? z : (float)oracle_activation(activation, z);
        const double want = oracle_derivative(activation, z), of_one = grad_one(activation, 1, s, NULL);
        const double rounded = keeps_z(activation) ? 1e-12 : 1e-7; /* what the stored y lost */
        if (isnan(want) ? !isnan(of_one) : !(fabs(of_one - want) <= rounded))
            fail_msg("%s'(%g) is %.17g, must be %.17g", activation_name((oclin_activation)activation), z,
                     of_one, want);
        for (int j = 0; j < EDGES; j++) check_derivative(activation, edge_values[j], z, s);
    }
}

/* A result at the end of the range may be Inf on a device, or may not; the next operation claims nothing,
 * either. */
static void test_overflow_by_rounding(void **state)
{
    (void)state;
    const float largest = FLT_MAX, far_right = 10, one = 1, lr = 1;
    double bound, y;
    assert_true(grad_one(OCLIN_GELU, FLT_MAX, far_right, &bound) <= FLT_MAX && bound == INFINITY);
    grad_one(OCLIN_GELU, FLT_MAX / 2, far_right, &bound);
    assert_true(bound < FLT_MAX * 1e-5);
    struct oclin_ref_case gelu = RANDOM_CASE(1, 1, 1);
    gelu.activation = OCLIN_GELU;
    oclin_ref_grad_w(&gelu, &one, &largest, &far_right, &y, &bound);
    assert_true(isfinite(y) && !isfinite(bound));

    const double ulp = 0x1p104, none = 0;
    oclin_ref_accumulate(NULL, 1, &largest, &ulp, &none, &y, &bound);
    assert_true(bound == INFINITY);
    const double back = -ulp, twice = 2.0 * FLT_MAX, inf = INFINITY;
    oclin_ref_step(NULL, 1, &largest, &back, &none, lr, &y, &bound);
    assert_true(bound == INFINITY);
    oclin_ref_step(NULL, 1, &largest, &twice, &none, lr, &y,
                   &bound); /* the product may overflow where no fma is */
    assert_true(y == -(double)FLT_MAX && bound == INFINITY);
    oclin_ref_step(NULL, 1, &one, &inf, &none, 0, &y, &bound); /* 1 - 0 Inf */
    assert_true(isnan(y));
    oclin_ref_step(NULL, 1, &one, &back, &none, 0, &y, &bound); /* 1 - 0 */
    assert_true(y == 1 && bound <= 4 * 0x1p-24);
    oclin_ref_step(NULL, 1, &one, &back, &inf, 0, &y, &bound); /* dw may be Inf, and then y is NaN */
    assert_true(y == 1 && isnan(bound));
    const double large = 1e30;
    oclin_ref_step(NULL, 1, &one, &large, &none, 0x1p-130f, &y,
                   &bound); /* lr may be flushed, and then takes no step */
    assert_true(bound >= fabs(1 - y));
}

/* NaN or Inf in one x reaches exactly the results of its row, and their bounds claim no distance. */
static void test_non_finite_input(void **state)
{
    (void)state;
    struct integers p = make_integers(&shapes[COUNT_OF(shapes) - 1]);
    double y[MOST], bound[MOST];
    p.x[0] = NAN;
    p.x[p.c.in] = INFINITY;
    oclin_ref_forward(&p.c, p.x, p.w, p.b, NULL, NULL, y, bound);
    for (int64_t o = 0; o < p.c.out; o++) {
        const float w_o = p.w[o * p.c.in];
        assert_true(isnan(y[o]));
        assert_true(w_o == 0 ? isnan(y[p.c.out + o]) : y[p.c.out + o] == copysign(INFINITY, w_o));
        assert_true(bound[o] == 0 && bound[p.c.out + o] == 0);
    }
    for (int64_t i = 2 * p.c.out; i < p.c.batch * p.c.out; i++) assert_true(isfinite(y[i]) && bound[i] > 0);
}

/* ---------------------------------------------------------------------------------------------- losses */

struct scores {
    int64_t rows, cols;
    float y[BATCH * OUT], t[BATCH * OUT];
    int32_t labels[BATCH];
    oclin_reduction reduction;
    float scale;
};

static struct scores make_scores(oclin_reduction reduction, float scale)
{
    struct scores p = {BATCH, OUT, {0}, {0}, {4, 0, 2}, reduction, scale};
    struct rng rng = {11};
    fill_integers(&rng, p.y, BATCH * OUT, 12);
    fill_integers(&rng, p.t, BATCH * OUT, 12);
    for (int i = 0; i < BATCH * OUT; i++) p.y[i] /= 4;
    return p;
}

static double mse_of(void *context)
{
    const struct scores *p = context;
    double loss;
    oclin_ref_mse(&RANDOM_CASE(p->rows, 0, p->cols), p->y, p->t, p->reduction, p->scale, &loss, NULL, NULL,
                  NULL);
    return loss;
}

static double cross_entropy_of(void *context)
{
    const struct scores *p = context;
    double loss;
    oclin_ref_cross_entropy(&RANDOM_CASE(p->rows, 0, p->cols), p->y, p->labels, p->reduction, p->scale, &loss,
                            NULL, NULL, NULL, NULL);
    return loss;
}

/* The loss itself by its definition, the gradient by finite differences; both reductions, with a scale. */
static void test_loss_gradients(void **state)
{
    (void)state;
    for (int reduction = OCLIN_MEAN; reduction <= OCLIN_SUM; reduction++) {
        struct scores p = make_scores((oclin_reduction)reduction, 2.5f);
        double dy[BATCH * OUT], want[BATCH * OUT], loss, squares = 0, log_p = 0;
        for (int i = 0; i < BATCH * OUT; i++) squares += (p.y[i] - p.t[i]) * (p.y[i] - p.t[i]);
        for (int r = 0; r < BATCH; r++) {
            double s = 0;
            for (int j = 0; j < OUT; j++) s += exp(p.y[r * OUT + j]);
            log_p += log(exp(p.y[r * OUT + p.labels[r]]) / s);
        }

        oclin_ref_mse(&RANDOM_CASE(BATCH, 0, OUT), p.y, p.t, p.reduction, p.scale, &loss, NULL, dy, NULL);
        const double mse = 2.5 * squares / (reduction == OCLIN_MEAN ? BATCH * OUT : 1);
        check_close("mse", &loss, &mse, 1, 1e-14);
        for (int i = 0; i < BATCH * OUT; i++) want[i] = slope(mse_of, &p, &p.y[i]);
        check_close("mse dy", dy, want, BATCH * OUT, 1e-9);

        oclin_ref_cross_entropy(&RANDOM_CASE(BATCH, 0, OUT), p.y, p.labels, p.reduction, p.scale, &loss, NULL,
                                dy, NULL, NULL);
        const double cross_entropy = 2.5 * -log_p / (reduction == OCLIN_MEAN ? BATCH : 1);
        check_close("cross-entropy", &loss, &cross_entropy, 1, 1e-13);
        for (int i = 0; i < BATCH * OUT; i++) want[i] = slope(cross_entropy_of, &p, &p.y[i]);
        check_close("cross-entropy dy", dy, want, BATCH * OUT, 1e-9);
    }
}

/* One row of three scores, and what must come of it. */
static const struct one_row {
    const char *name;
    float y[3];
    int32_t label;
    double loss, dy[3];
    int correct;
} one_rows[] = {
    {"huge scores, right", {1e4f, -1e4f, 0}, 0, 0, {0, 0, 0}, 1},
    {"huge scores, wrong", {1e4f, -1e4f, 0}, 1, 2e4, {1, -1, 0}, 0},
    {"all very negative", {-1e4f, -1e4f, -2e4f}, 1, 0.69314718055994531, {0.5, -0.5, 0}, 0},
    {"the largest floats", {3e38f, -3e38f, 3e38f}, 0, 0.69314718055994531, {-0.5, 0, 0.5}, 1},
    {"-Inf elsewhere", {0, -INFINITY, 0}, 0, 0.69314718055994531, {-0.5, 0, 0.5}, 1},
    {"-Inf at the label", {0, -INFINITY, 0}, 1, INFINITY, {0.5, -1, 0.5}, 0},
    {"Inf", {0, INFINITY, 0}, 1, NAN, {NAN, NAN, NAN}, 1},
    {"only -Inf", {-INFINITY, -INFINITY, -INFINITY}, 0, NAN, {NAN, NAN, NAN}, 1},
    {"NaN at the label", {0, NAN, 0}, 1, NAN, {NAN, NAN, NAN}, 0},
    {"NaN elsewhere", {5, NAN, 0}, 0, NAN, {NAN, NAN, NAN}, 0},
    {"tie, the lowest index", {2, 2, 2}, 0, 1.0986122886681098, {-2. / 3, 1. / 3, 1. / 3}, 1},
    {"tie, a later index", {2, 2, 2}, 1, 1.0986122886681098, {1. / 3, -2. / 3, 1. / 3}, 0},
    {"the last is the largest",
     {1, 2, 3},
     2,
     0.40760596444438030,
     {0.090030573170380458, 0.24472847105479765, -0.33475904422517811},
     1},
    {"label -1", {1, 2, 3}, -1, NAN, {NAN, NAN, NAN}, 0},
    {"label 3", {1, 2, 3}, 3, NAN, {NAN, NAN, NAN}, 0},
    {"label INT32_MIN", {1, 2, 3}, INT32_MIN, NAN, {NAN, NAN, NAN}, 0},
    {"label INT32_MAX", {1, 2, 3}, INT32_MAX, NAN, {NAN, NAN, NAN}, 0},
};

static void assert_number(const char *what, double got, double want)
{
    if (isnan(want) ? !isnan(got) : !(got == want || fabs(got - want) <= 1e-14 * (1 + fabs(want))))
        fail_msg("%s is %.17g, must be %.17g", what, got, want);
}

/* As the second of three rows, the others being ordinary: a bad row spoils the loss and its own gradient, no
 * other. */
static void test_cross_entropy_row(void **state)
{
    const struct one_row *row = *state;
    float y[9] = {0};
    const int32_t labels[3] = {1, row->label, 0};
    double loss, loss_bound, dy[9], bound[3];
    int64_t correct;
    oclin_ref_cross_entropy(&RANDOM_CASE(1, 0, 3), row->y, &row->label, OCLIN_MEAN, 1, &loss, &loss_bound, dy,
                            bound, &correct);
    assert_number("loss", loss, row->loss);
    assert_true(!isfinite(loss) || loss_bound < 1e-5 * (1 + loss));
    for (int j = 0; j < 3; j++) assert_number("dy", dy[j], row->dy[j]);
    for (int j = 0; j < 3; j++) assert_true(!isfinite(dy[j]) || bound[j] < 1e-5);
    assert_int_equal(correct, row->correct);

    memcpy(y + 3, row->y, sizeof row->y);
    oclin_ref_cross_entropy(&RANDOM_CASE(3, 0, 3), y, labels, OCLIN_MEAN, 3, &loss, NULL, dy, NULL, &correct);
    assert_number("loss of three", loss, row->loss + 2 * 1.0986122886681098);
    for (int j = 0; j < 3; j++) {
        assert_number("dy before", dy[j], (j == 1) ? -2. / 3 : 1. / 3);
        assert_number("dy", dy[3 + j], row->dy[j]);
        assert_number("dy behind", dy[6 + j], (j == 0) ? -2. / 3 : 1. / 3);
    }
    assert_int_equal(correct, row->correct + 1);
}

/* ---------------------------------------------------------------------------------------------- golden */

static void test_golden_case(void **state)
{
    const struct golden_case *g = *state;
    struct oclin_ref_case c = RANDOM_CASE(g->batch, g->in, g->out);
    const int64_t size = c.out * c.in, results = c.batch * c.out;
    double z[MOST], y[MOST], dw[MOST], db[MOST], dx[MOST], step[MOST];
    float s[MOST];
    c.activation = g->activation;
    oclin_ref_forward(&c, g->x, g->w, g->b, z, NULL, y, NULL);
    check_close("z", z, g->z, results, 0);
    check_close("y", y, g->y, results, 1e-14);

    for (int64_t i = 0; i < results; i++) s[i] = (float)(keeps_z(c.activation) ? z[i] : g->y[i]);
    oclin_ref_grad_w(&c, g->x, g->dy, s, dw, NULL);
    oclin_ref_grad_b(&c, g->dy, s, db, NULL);
    oclin_ref_grad_x(&c, g->w, g->dy, s, dx, NULL);
    check_close("dw", dw, g->dw, size, 1e-14);
    check_close("db", db, g->db, c.out, 1e-14);
    check_close("dx", dx, g->dx, c.batch * c.in, 1e-14);

    oclin_ref_step(NULL, size, g->w, dw, NULL, golden_lr, step, NULL);
    check_close("w_step", step, g->w_step, size, 1e-14);
    oclin_ref_step(NULL, c.out, g->b, db, NULL, golden_lr, step, NULL);
    check_close("b_step", step, g->b_step, c.out, 1e-14);
}

static void test_golden_loss(void **state)
{
    const struct golden_loss *g = *state;
    const int64_t size = (int64_t)g->rows * g->cols;
    double loss, dy[MOST];
    int64_t correct;
    oclin_ref_mse(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->t, OCLIN_MEAN, 1, &loss, NULL, dy, NULL);
    check_close("mse mean", &loss, &g->mse_mean, 1, 1e-14);
    check_close("mse mean dy", dy, g->mse_mean_dy, size, 1e-14);
    oclin_ref_mse(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->t, OCLIN_SUM, 1, &loss, NULL, dy, NULL);
    check_close("mse sum", &loss, &g->mse_sum, 1, 1e-14);
    check_close("mse sum dy", dy, g->mse_sum_dy, size, 1e-14);
    oclin_ref_cross_entropy(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->labels, OCLIN_MEAN, 1, &loss, NULL,
                            dy, NULL, &correct);
    check_close("cross-entropy mean", &loss, &g->cross_entropy_mean, 1, 1e-14);
    check_close("cross-entropy mean dy", dy, g->cross_entropy_mean_dy, size, 1e-14);
    assert_int_equal(correct, g->correct);
    oclin_ref_cross_entropy(&RANDOM_CASE(g->rows, 0, g->cols), g->y, g->labels, OCLIN_SUM, 1, &loss, NULL, dy,
                            NULL, NULL);
    check_close("cross-entropy sum", &loss, &g->cross_entropy_sum, 1, 1e-14);
    check_close("cross-entropy sum dy", dy, g->cross_entropy_sum_dy, size, 1e-14);
}

/* ---------------------------------------------------------------------------------------------- bounds */

/* The rule, by hand: ones and minus ones, so that S = K (+ 1 for b). */
static void test_sum_rule(void **state)
{
    (void)state;
    const struct {
        int64_t K;
        int zero_mean, bias;
        double in_u; /* the bound, in units of u */
    } rows[] = {
        {1, 0, 0, 2 * 1},      {1, 1, 1, 2 * 2},    {14, 1, 0, 15 * 14},         {15, 1, 0, 16 * 15},
        {16, 1, 0, 16 * 16},   {16, 0, 0, 16 * 16}, {100, 0, 0, 28 * 100},       {100, 1, 1, 16 * 101},
        {400, 0, 0, 48 * 400}, {9, 0, 0, 10 * 9},   {10000, 0, 1, 208 * 10001.},
    };
    float *x = new_array(float, 10000);
    for (int i = 0; i < 10000; i++) x[i] = i % 2 ? 1 : -1;
    const float b = -1;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_ref_case c = RANDOM_CASE(1, rows[i].K, 1);
        double bound[2], y[2];
        if (rows[i].zero_mean) c.rule = OCLIN_ZERO_MEAN;
        oclin_ref_forward(&c, x, x, rows[i].bias ? &b : NULL, &y[0], &bound[0], &y[1], &bound[1]);
        const double want = rows[i].in_u * U;
        if (fabs(bound[0] - want) > 1e-4 * want || bound[1] != bound[0])
            fail_msg("K = %lld: bound %.9g, must be %.9g", (long long)rows[i].K, bound[0], want);
        c.no_denormals = 1;
        oclin_ref_forward(&c, x, x, NULL, NULL, NULL, &y[0], &bound[1]);
        c.no_denormals = 0;
        oclin_ref_forward(&c, x, x, NULL, NULL, NULL, &y[0], &bound[0]);
        assert_true(bound[1] >= bound[0]);
    }
    free(x);
}

/* The proven rule, by hand: gamma(n) S, n from the case or K, and one for b. */
static void test_proven_rule(void **state)
{
    (void)state;
    const struct {
        int64_t K, additions;
        int bias, truncates;
        double n_u; /* n u */
    } rows[] = {{1, 0, 0, 0, U},           {1, 0, 1, 0, 2 * U},
                {9, 0, 0, 0, 9 * U},       {400, 0, 0, 0, 400 * U},
                {400, 48, 0, 0, 48 * U},   {400, 48, 1, 0, 49 * U},
                {400, 500, 0, 0, 500 * U}, {400, 48, 1, 1, 98 * U},
                {1, 1 << 22, 0, 0, 0.25},  {1, (1 << 23) - 1, 0, 0, 0.5 - U}};
    float x[400];
    for (int i = 0; i < 400; i++) x[i] = i % 2 ? 1 : -1;
    const float b = -1;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_ref_case c = OCLIN_REF_CASE_INIT(1, rows[i].K, 1);
        double bound, z, gamma = rows[i].n_u / (1 - rows[i].n_u);
        c.additions = rows[i].additions;
        c.truncates = rows[i].truncates;
        oclin_ref_forward(&c, x, x, rows[i].bias ? &b : NULL, &z, &bound, NULL, NULL);
        const double want = gamma * (double)(rows[i].K + rows[i].bias);
        if (bound < want || bound > want * (1 + 1e-6))
            fail_msg("K = %lld, %lld additions: bound %.9g, must be %.9g", (long long)rows[i].K,
                     (long long)rows[i].additions, bound, want);
    }
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(1, 1, 1);
    double z, bound;
    c.additions = 1 << 23; /* a term may be twice as large */
    oclin_ref_forward(&c, x, x, NULL, &z, &bound, NULL, NULL);
    assert_true(bound == INFINITY);
}

/* Errors of the operands: carried through, and what they add to S. */
static void test_proven_operands(void **state)
{
    (void)state;
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(1, 1, 4);
    const float dy[4] = {0.5f, -0.25f, 0.125f, 0.75f}, s[4] = {0.5f, 0.25f, 0.75f, 0.125f},
                w[4] = {3, -5, 7, 2};
    double dz[4], dz_bound[4], dx, bound, S = 0, E = 0;
    c.activation = OCLIN_TANH;
    c.additions = 100;
    oclin_ref_grad_z(&c, dy, s, dz, dz_bound);
    for (int i = 0; i < 4; i++) {
        S += (fabs(dz[i]) + dz_bound[i]) * fabs((double)w[i]);
        E += dz_bound[i] * fabs((double)w[i]);
    }
    oclin_ref_grad_x(&c, w, dy, s, &dx, &bound);
    const double want = 100 * U / (1 - 100 * U) * S + E;
    assert_true(E > 0 && bound >= want && bound <= want * (1 + 1e-5));
}

/* A dZ that overflows is Inf on the device: beside a 0 the sum is NaN, and never a finite number. */
static void test_overflowing_operand(void **state)
{
    (void)state;
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(1, 1, 1);
    const float dy = 3.2e38f, s = 1.5f, x[2] = {0, 1};
    double dw, bound;
    c.activation = OCLIN_GELU; /* gelu'(1.5) is 1.13 */
    oclin_ref_grad_w(&c, &x[0], &dy, &s, &dw, &bound);
    assert_true(isnan(dw));
    oclin_ref_grad_w(&c, &x[1], &dy, &s, &dw, &bound);
    assert_true(dw == INFINITY);
}

/* A case of an older program is shorter; one that was filled by nobody newer has its defaults. */
static void test_case_size(void **state)
{
    (void)state;
    const float x[2] = {1, -1}, w[2] = {1, 1};
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(1, 2, 1);
    double z, short_bound, bound;
    oclin_ref_forward(&c, x, w, NULL, &z, &bound, NULL, NULL);
    c.size = offsetof(struct oclin_ref_case, rule);
    c.rule = OCLIN_ZERO_MEAN;
    c.additions = 1 << 22;
    c.no_denormals = c.truncates = 1;
    oclin_ref_forward(&c, x, w, NULL, &z, &short_bound, NULL, NULL);
    assert_true(z == 0 && short_bound == bound);
}

/* 2 (K + 1) 2^-126 max(1, |x|, |w|) where denormals are flushed; and no claim where a sum may overflow. */
static void test_extreme_bounds(void **state)
{
    (void)state;
    struct oclin_ref_case c = RANDOM_CASE(1, 3, 1);
    float x[3] = {0, 0, 0}, w[3] = {-2, 8, 4};
    double y, bound;
    oclin_ref_forward(&c, x, w, NULL, NULL, NULL, &y, &bound);
    assert_true(bound <= 3 * 0x1p-149);
    c.no_denormals = 1;
    oclin_ref_forward(&c, x, w, NULL, NULL, NULL, &y, &bound);
    assert_true(fabs(bound - 2 * 4 * 8 * 0x1p-126) <= 3 * 0x1p-149);
    x[0] = 0x1p127f;
    oclin_ref_forward(&c, x, w, NULL, NULL, NULL, &y, &bound);
    assert_true(bound == INFINITY);

    for (int overflows = 0; overflows < 2; overflows++) { /* Inf, or Inf and an overflow to -Inf */
        const float data[3] = {-INFINITY, overflows ? 0x1p127f : 1, 0};
        oclin_ref_forward(&c, data, w, NULL, NULL, NULL, &y, &bound);
        assert_true(y == INFINITY && (overflows ? isnan(bound) : bound == 0));
    }

    const float far_left = -20, one = 1, inf = INFINITY; /* gelu'(-20) is no float but 0, and 0 Inf is NaN */
    struct oclin_ref_case gelu = RANDOM_CASE(1, 1, 1);
    gelu.activation = OCLIN_GELU;
    oclin_ref_grad_w(&gelu, &inf, &one, &far_left, &y, &bound);
    assert_true(y == -INFINITY && isnan(bound));
    oclin_ref_grad_w(&gelu, &one, &inf, &far_left, &y, &bound);
    assert_true(y == -INFINITY && isnan(bound));
    oclin_ref_grad_w(&gelu, &one, &inf, &one, &y, &bound);
    assert_true(y == INFINITY && bound == 0);
    oclin_ref_grad_w(&gelu, &inf, &one, &one, &y, &bound);
    assert_true(y == INFINITY && bound == 0);

    const float old = -INFINITY; /* and a gradient that is finite here, but Inf on a device */
    for (int overflows = 0; overflows < 2; overflows++) {
        const double dw = overflows ? 0x1p130 : 1, e = overflows ? INFINITY : 0x1p-20;
        oclin_ref_accumulate(NULL, 1, &old, &dw, &e, &y, &bound);
        assert_true(y == -INFINITY && (overflows ? isnan(bound) : bound == INFINITY));
        oclin_ref_step(NULL, 1, &old, &dw, NULL, 1.0f, &y, &bound);
        assert_true(y == -INFINITY && (overflows ? isnan(bound) : bound == INFINITY));
    }

    c.activation = OCLIN_RELU; /* a device that flushes may take this s for 0 */
    const float dy[3] = {3, 3, 3}, s[3] = {0x1p-127f, 0x1p-126f, 0};
    double dz[3], dz_bound[3];
    c.batch = 3;
    oclin_ref_grad_z(&c, dy, s, dz, dz_bound);
    assert_true(dz_bound[0] == 3 && dz_bound[1] == 0 && dz_bound[2] == 0);

    const float scores[2] = {3e38f, -3e38f}, targets[2] = {-3e38f, -3e38f};
    const int32_t label = 1;
    double loss, loss_bound, dy_bound[2];
    oclin_ref_mse(&RANDOM_CASE(1, 0, 2), scores, targets, OCLIN_MEAN, 1e-3f, &loss, &loss_bound, dz,
                  dy_bound);
    assert_true(loss_bound == INFINITY && dy_bound[0] == INFINITY && isfinite(dy_bound[1]));
    oclin_ref_cross_entropy(&RANDOM_CASE(1, 0, 2), scores, &label, OCLIN_SUM, 1, &loss, &loss_bound, dz,
                            dy_bound, NULL);
    assert_true(loss_bound == INFINITY && isfinite(dy_bound[0]) && isfinite(dy_bound[1]));
}

/* Adding 1 / batch, a rounded old value, or a step costs what is promised, and not much more. */
static void test_update_bounds(void **state)
{
    (void)state;
    struct oclin_ref_case c = RANDOM_CASE(4, 1, 1);
    const float x[4] = {1, 1, 1, 1}, old = 16, w = 3, lr = 0.5f;
    double dw, sum, mean, sum_bound, mean_bound, bound, out;
    oclin_ref_grad_w(&c, x, x, NULL, &sum, &sum_bound);
    c.gradient = OCLIN_GRAD_MEAN;
    oclin_ref_grad_w(&c, x, x, NULL, &mean, &mean_bound);
    assert_true(fabs(mean_bound - (sum_bound + 2 * U * sum) / 4) < 1e-4 * mean_bound);

    dw = 4;
    oclin_ref_accumulate(NULL, 1, &old, &dw, NULL, &out, &bound);
    assert_true(fabs(bound - U * 20) < 1e-4 * bound);
    oclin_ref_accumulate(NULL, 1, &old, &dw, &sum_bound, &out, &bound);
    assert_true(fabs(bound - U * 20 - sum_bound) < 1e-4 * bound);
    oclin_ref_step(NULL, 1, &w, &dw, NULL, lr, &out, &bound);
    assert_true(fabs(bound - 2 * U * (3 + 2)) < 1e-4 * bound);
    oclin_ref_step(NULL, 1, &w, &dw, &sum_bound, lr, &out, &bound);
    assert_true(fabs(bound - 2 * U * (3 + 2) - 0.5 * sum_bound) < 1e-3 * bound);
}

/* What an error of z becomes in y: with ones and minus ones z is b, and its bound is large enough to hide the
 * activation's own. */
static void test_carried_bounds(void **state)
{
    (void)state;
    enum { K = 10000 };
    const struct {
        oclin_activation activation;
        float z;
        double slope;
    } rows[] = {
        {OCLIN_NONE, 1, 1},
        {OCLIN_RELU, 2, 1},
        {OCLIN_RELU, -2, 0},
        {OCLIN_SIGMOID, 0, 0.25},
        {OCLIN_SIGMOID, -2, 0.10499358540350652},
        {OCLIN_TANH, 0, 1},
        {OCLIN_TANH, 1, 0.41997434161402607},
        {OCLIN_GELU, 1.5f, 1.13}, /* the most that it ever has */
        {OCLIN_GELU, -3, 0.014645452480205},
    };
    float *x = new_array(float, K), *w = new_array(float, K);
    for (int i = 0; i < K; i++) {
        x[i] = 1.0f / 16;
        w[i] = i % 2 ? 1 : -1;
    }
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_ref_case c = RANDOM_CASE(1, K, 1);
        double y, e, bound;
        c.activation = rows[i].activation;
        oclin_ref_forward(&c, x, w, &rows[i].z, NULL, &e, &y, &bound);
        const double want =
            rows[i].slope * e; /* the interval around z, and the activation's own, add to it */
        if (!(bound >= want && bound <= 1.1 * want))
            fail_msg("row %zu: bound %g, slope times error %g", i, bound, want);
    }
    free(x);
    free(w);
}

/* The formulas for the losses, by hand, where every term is simple. In units of u. */
static void test_loss_bounds(void **state)
{
    (void)state;
    const float y[2] = {3, 1}, t[2] = {1, 1}, equal[2] = {5, 5};
    const int32_t label = 0;
    double loss, loss_bound, dy[2], bound[2];
    /* S = 4: its sum 3 (K + 1), the difference squared 2, adding rows 2 + 1, the factor 2 */
    oclin_ref_mse(&RANDOM_CASE(1, 0, 2), y, t, OCLIN_MEAN, 1, &loss, &loss_bound, dy, bound);
    assert_true(fabs(loss_bound - (3 + 2 + 3 + 2) * 2 * U) < 2e-3 * loss_bound);
    assert_true(fabs(bound[0] - 3 * 2 * U) < 2e-3 * bound[0] && bound[1] < 0x1p-120);

    /* s = 2, off by 6 + 3; log 6, its difference 1, adding rows 3, the factor 2 */
    oclin_ref_cross_entropy(&RANDOM_CASE(1, 0, 2), equal, &label, OCLIN_MEAN, 1, &loss, &loss_bound, dy,
                            bound, NULL);
    assert_true(fabs(loss_bound - (9 + (6 + 1 + 3 + 2) * 0.693147) * U) < 2e-3 * loss_bound);
    /* p = 0.5: exp 6, s 9, quotient 5; the difference 1, the factor 2 */
    assert_true(fabs(bound[0] - (6 + 9 + 5 + 1 + 2) * 0.5 * U) < 2e-3 * bound[0]);
    assert_true(fabs(bound[1] - bound[0]) < 1e-6 * bound[0]);
}

/*
 * A device that errs as much as OpenCL allows: functions by their whole limit in ulp, up or down by chance,
 * everything else by one rounding. The bounds must hold for it (worst <= 1), and be no looser than needed
 * (worst not far below 1).
 */
static double off(struct rng *rng, double value, double ulp)
{
    const double error = (2 * ulp - 1) * U; /* the rounding adds 1 */
    return (float)(value * (1 + (rng_next(rng) & 1 ? error : -error)));
}

#define ROUND(value) ((double)(float)(value))

/* z times the sigmoid of v, and that sigmoid with what is left of 1. */
static double device_times_sigmoid(struct rng *rng, double z, double v)
{
    const double e = off(rng, exp(-fabs(v)), 3);
    return off(rng, (v < 0 ? ROUND(z * e) : z) / ROUND(1 + e), 2.5);
}

static void device_sigmoids(struct rng *rng, double v, double *p, double *q)
{
    const double e = off(rng, exp(-fabs(v)), 3), r = off(rng, 1 / ROUND(1 + e), 2.5);
    *p = v < 0 ? ROUND(e * r) : r;
    *q = v < 0 ? r : ROUND(e * r);
}

static double device_inner(double z, float cubic)
{
    return ROUND(ROUND(1.5957691216057308f * z) * ROUND(ROUND(ROUND(z * z) * cubic) + 1));
}

static double device_activate(struct rng *rng, oclin_activation activation, double z)
{
    const double c = -0.70710678118654752f;
    switch (activation) {
    case OCLIN_RELU:
        return z < 0 ? 0 : z;
    case OCLIN_SIGMOID:
        return off(rng, 1 / ROUND(1 + off(rng, exp(-z), 3)), 2.5);
    case OCLIN_TANH:
        return off(rng, tanh(z), 5);
    case OCLIN_GELU:
        return ROUND(0.5 * z * off(rng, erfc(ROUND(z * c)), 16));
    case OCLIN_SILU:
        return device_times_sigmoid(rng, z, z);
    case OCLIN_GELU_TANH:
        return device_times_sigmoid(rng, z, device_inner(z, 0.044715f));
    case OCLIN_LEAKY_RELU:
        return z < 0 ? ROUND(0.01f * z) : z;
    case OCLIN_SOFTPLUS:
        return ROUND(fmax(z, 0) + off(rng, log1p(off(rng, exp(-fabs(z)), 3)), 2));
    case OCLIN_ELU:
        return z <= 0 ? off(rng, expm1(z), 3) : z;
    default:
        return z;
    }
}

static double device_grad_z(struct rng *rng, oclin_activation activation, double dy, double s)
{
    const double c = -0.70710678118654752f, k = 0.39894228040143268f;
    switch (activation) {
    case OCLIN_RELU:
        return s <= 0 ? 0 : dy;
    case OCLIN_SIGMOID:
        return ROUND(dy * ROUND(s * ROUND(1 - s)));
    case OCLIN_TANH:
        return ROUND(dy * ROUND(1 - ROUND(s * s)));
    case OCLIN_GELU: {
        const double cdf = 0.5 * off(rng, erfc(ROUND(s * c)), 16);
        const double pdf = ROUND(k * off(rng, exp(ROUND(-0.5 * s * s)), 3));
        return ROUND(dy * ROUND(cdf + ROUND(s * pdf)));
    }
    case OCLIN_SILU: {
        double p, q;
        device_sigmoids(rng, s, &p, &q);
        return ROUND(dy * ROUND(p * ROUND(1 + ROUND(s * q))));
    }
    case OCLIN_GELU_TANH: {
        double p, q;
        device_sigmoids(rng, device_inner(s, 0.044715f), &p, &q);
        return ROUND(dy * ROUND(p * ROUND(1 + ROUND(device_inner(s, 0.134145f) * q))));
    }
    case OCLIN_LEAKY_RELU:
        return s > 0 ? dy : ROUND(0.01f * dy);
    case OCLIN_SOFTPLUS:
        return ROUND(dy * off(rng, -expm1(-s), 3));
    case OCLIN_ELU:
        return s <= 0 ? ROUND(dy * off(rng, exp(s), 3)) : dy;
    default:
        return dy;
    }
}

static void assert_tight(const char *name, double worst, double at_least)
{
    if (!(worst <= 1)) fail_msg("%s: the bound is passed, %.3g of it", name, worst);
    if (!(worst >= at_least)) fail_msg("%s: the bound is loose, only %.3g of it are used", name, worst);
}

/* z = x w + b with the float's own rounding of both, so that an error is carried through act. */
static void test_activation_bounds(void **state)
{
    const oclin_activation activation = (oclin_activation)(intptr_t)*state;
    struct oclin_ref_case c = RANDOM_CASE(1, 1, 1);
    struct rng rng = {3};
    double forward = 0, near_forward = 0, backward = 0, near_backward = 0; /* near: of arguments below 1 */
    c.activation = activation;
    for (int i = 0; i < 200000; i++) {
        const float range = i % 2 ? 4 : i % 16 == 0 ? 200 : 24;
        const float x = (2 * rng_unit(&rng) - 1) * range, w = rng_unit(&rng), b = rng_unit(&rng);
        const float dy = 2 * rng_unit(&rng) - 1;
        const float s = activation == OCLIN_SIGMOID    ? rng_unit(&rng)
                        : activation == OCLIN_TANH     ? 2 * b - 1
                        : activation == OCLIN_SOFTPLUS ? fabsf(x)
                                                       : x;
        double y, dz, bound;
        oclin_ref_forward(&c, &x, &w, &b, NULL, NULL, &y, &bound);
        const float z = (float)ROUND((double)x * w) + b;
        const float got_y = (float)device_activate(&rng, activation, z);
        const double worst_y = compare_bound(1, 1, 1, &got_y, &y, &bound).worst;
        forward = fmax(forward, worst_y);
        if (fabsf(z) < 1) near_forward = fmax(near_forward, worst_y);

        oclin_ref_grad_z(&c, &dy, &s, &dz, &bound);
        const float got_dz = (float)device_grad_z(&rng, activation, dy, s);
        const double worst_dz = compare_bound(1, 1, 1, &got_dz, &dz, &bound).worst;
        backward = fmax(backward, worst_dz);
        if (fabsf(s) < 1) near_backward = fmax(near_backward, worst_dz);
    }
    const double some = activation == OCLIN_NONE || activation == OCLIN_RELU ? 0 : 0.6; /* these are exact */
    /* the argument of GELU's tanh has seven roundings, which are never all at their limits */
    assert_tight("y", forward, activation == OCLIN_GELU_TANH ? 0.8 : 0.9);
    assert_tight("y near 0", near_forward, 0.7);
    assert_tight("dz", backward, some);
    assert_tight("dz near 0", near_backward, some);
}

/* Sums in float, forwards and backwards, stay within the bound; without their last term they don't. */
static void test_product_bounds(void **state)
{
    const int zero_mean = (int)(intptr_t)*state;
    enum { K = 64, N = 500 };
    struct oclin_ref_case c = RANDOM_CASE(1, K, 1);
    struct rng rng = {5};
    int caught = 0;
    if (zero_mean) c.rule = OCLIN_ZERO_MEAN;
    for (int n = 0; n < N; n++) {
        float x[K], w[K], up = 0, down = 0, dropped = 0;
        double y, bound;
        (zero_mean ? fill_zero_mean : fill_positive)(&rng, x, K);
        (zero_mean ? fill_zero_mean : fill_positive)(&rng, w, K);
        for (int k = 0; k < K; k++) {
            dropped = up;
            up += x[k] * w[k];
            down = fmaf(x[K - 1 - k], w[K - 1 - k], down);
        }
        oclin_ref_forward(&c, x, w, NULL, NULL, NULL, &y, &bound);
        check_bound("sum upwards", 1, 1, 1, &up, &y, &bound);
        check_bound("sum downwards", 1, 1, 1, &down, &y, &bound);
        caught += compare_bound(1, 1, 1, &dropped, &y, &bound).first == 0;
    }
    assert_in_range(caught, N * 99 / 100, N);
}

/* dz's own error is part of the bounds of all three gradients: 1 in x and w makes them sums of dz. */
static void test_gradients_carry_dz(void **state)
{
    (void)state;
    struct oclin_ref_case c = RANDOM_CASE(2, 1, 2);
    const float x[2] = {1, 1}, w[2] = {1, 1}, dy[4] = {1, 1, 1, 1}, s[4] = {0.99f, 0.99f, 0.99f, 0.99f};
    double dz[4], dz_bound[4], dw[2], db[2], dx[2], got[3], want[3];
    double dw_bound[2], db_bound[2], dx_bound[2];
    c.activation = OCLIN_TANH;
    oclin_ref_grad_z(&c, dy, s, dz, dz_bound);
    oclin_ref_grad_w(&c, x, dy, s, dw, dw_bound);
    oclin_ref_grad_b(&c, dy, s, db, db_bound);
    oclin_ref_grad_x(&c, w, dy, s, dx, dx_bound);
    got[0] = dw_bound[0], got[1] = db_bound[0], got[2] = dx_bound[0];
    for (int i = 0; i < 3; i++) {
        want[i] = 2 * dz_bound[0] + 3 * U * 2 * dz[0];
        assert_true(fabs(got[i] - want[i]) < 1e-4 * want[i]);
    }
}

static void test_mse_bounds(void **state)
{
    (void)state;
    enum { ROWS = 3, COLS = 5, SIZE = ROWS * COLS };
    const float factor = 1.7f / SIZE;
    struct rng rng = {9};
    double worst_loss = 0, worst_dy = 0;
    for (int i = 0; i < 20000; i++) {
        float y[SIZE], t[SIZE], got_dy[SIZE], sum = 0;
        double loss, loss_bound, dy[SIZE], bound[SIZE];
        fill_zero_mean(&rng, y, SIZE);
        fill_zero_mean(&rng, t, SIZE);
        for (int r = 0; r < ROWS; r++) {
            float row = 0;
            for (int at = r * COLS; at < (r + 1) * COLS; at++) {
                const float d = y[at] - t[at], square = d * d;
                row += square;
                got_dy[at] = factor * 2 * d;
            }
            sum += row;
        }
        const float got = factor * sum;
        oclin_ref_mse(&RANDOM_CASE(ROWS, 0, COLS), y, t, OCLIN_MEAN, 1.7f, &loss, &loss_bound, dy, bound);
        worst_loss = fmax(worst_loss, compare_bound(1, 1, 1, &got, &loss, &loss_bound).worst);
        worst_dy = fmax(worst_dy, compare_bound(ROWS, COLS, COLS, got_dy, dy, bound).worst);
    }
    assert_tight("loss", worst_loss, 0.1);
    assert_tight("dy", worst_dy, 0.3);
}

/* One row of cross-entropy as a device computes it, erring as it may. */
static double device_softmax(struct rng *rng, int cols, const float *y, int label, double *dy)
{
    double m = -INFINITY, s = 0, e[16];
    for (int j = 0; j < cols; j++) m = fmax(m, y[j]);
    for (int j = 0; j < cols; j++) {
        e[j] = off(rng, exp(ROUND(y[j] - m)), 3);
        s = ROUND(s + e[j]);
    }
    for (int j = 0; j < cols; j++) dy[j] = ROUND(off(rng, e[j] / s, 2.5) - (j == label));
    return ROUND(off(rng, log(s), 3) - ROUND(y[label] - m));
}

static void test_cross_entropy_bounds(void **state)
{
    (void)state;
    enum { ROWS = 2, COLS = 7, SIZE = ROWS * COLS };
    struct rng rng = {13};
    double worst_loss = 0, worst_dy = 0;
    for (int i = 0; i < 20000; i++) {
        const float range = i % 3 == 0 ? 1 : i % 3 == 1 ? 20 : 120;
        float y[SIZE], got_dy[SIZE], got = 0;
        int32_t labels[ROWS];
        double loss, loss_bound, dy[SIZE], bound[SIZE], device_dy[SIZE];
        fill_zero_mean(&rng, y, SIZE);
        for (int at = 0; at < SIZE; at++) y[at] *= range;
        fill_labels(&rng, labels, ROWS, COLS);
        for (int r = 0; r < ROWS; r++)
            got += (float)device_softmax(&rng, COLS, y + r * COLS, labels[r], device_dy + r * COLS);
        for (int at = 0; at < SIZE; at++) got_dy[at] = 0.7f * (float)device_dy[at];
        got *= 0.7f;
        oclin_ref_cross_entropy(&RANDOM_CASE(ROWS, 0, COLS), y, labels, OCLIN_SUM, 0.7f, &loss, &loss_bound,
                                dy, bound, NULL);
        worst_loss = fmax(worst_loss, compare_bound(1, 1, 1, &got, &loss, &loss_bound).worst);
        worst_dy = fmax(worst_dy, compare_bound(ROWS, COLS, COLS, got_dy, dy, bound).worst);
    }
    assert_tight("loss", worst_loss, 0.3);
    assert_tight("dy", worst_dy, 0.3);
}

/* --------------------------------------------------------------------------------------------- helpers */

static void test_compare_exact(void **state)
{
    (void)state;
    const float got[6] = {1, 2, 99, 3, NAN, 99}; /* 2 x 2, stride 3 */
    double want[4] = {1, 2, 3, NAN};
    assert_int_equal(first_inexact(2, 2, 3, got, want), -1);
    want[2] = 3 + 0x1p-30; /* rounds to 3 */
    assert_int_equal(first_inexact(2, 2, 3, got, want), -1);
    want[2] = 3 + 0x1p-22;
    assert_int_equal(first_inexact(2, 2, 3, got, want), 2);
    want[2] = NAN;
    assert_int_equal(first_inexact(2, 2, 3, got, want), 2);
    want[1] = -2;
    assert_int_equal(first_inexact(2, 2, 3, got, want), 1);
    const float zero = -0.0f;
    const double plus = 0;
    assert_int_equal(first_inexact(1, 1, 1, &zero, &plus), -1);
}

static void test_compare_bound(void **state)
{
    (void)state;
    const struct {
        float got;
        double want, bound, error; /* error in bounds; -1: no claim */
    } rows[] = {
        {1, 1, 0, 0},
        {1.5f, 1, 0.5, 1},
        {1.5f, 1, 0.25, 2},
        {1.5f, 1, 0, INFINITY},
        {NAN, 1, 9, INFINITY},
        {NAN, NAN, 0, 0},
        {1, NAN, 9, INFINITY},
        {INFINITY, INFINITY, NAN, 0},
        {-INFINITY, INFINITY, 0, INFINITY},
        {-INFINITY, INFINITY, INFINITY, INFINITY},
        {-INFINITY, INFINITY, NAN, -1}, /* it may be NaN as well */
        {INFINITY, 1e39, 1, 0},
        {INFINITY, 0x1p128 - 0x1p104, 0x1p105, 0.5},
        {INFINITY, 1, 1, 0x1p128},
        {7, 1, INFINITY, -1},
        {7, 1, NAN, -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct comparison c = compare_bound(1, 1, 1, &rows[i].got, &rows[i].want, &rows[i].bound);
        if (c.worst != fmax(0, rows[i].error) || c.compared != (rows[i].error >= 0) ||
            c.first != (rows[i].error > 1 ? 0 : -1))
            fail_msg("row %zu: worst %g, first %lld, compared %lld", i, c.worst, (long long)c.first,
                     (long long)c.compared);
    }
    const float got[5] = {0, 0, 99, 3, 5}; /* stride 3 */
    const double want[4] = {0, 0, 0, 0}, bound[4] = {1, 1, 1, 1};
    const struct comparison c = compare_bound(2, 2, 3, got, want, bound);
    assert_true(c.worst == 5 && c.first == 2 && c.compared == 4);
}

static void test_data(void **state)
{
    (void)state;
    struct rng rng = {1};
    float p[1000];
    fill_poison(p, 1000);
    assert_int_equal(first_not_poison(p, 1000), -1);
    p[500] = NAN;
    assert_int_equal(first_not_poison(p, 1000), 500);

    assert_int_equal(exact_limit(1), 64);
    assert_int_equal(exact_limit(16384), 31);
    for (int64_t terms = 1; terms < 100000; terms += 977) {
        const int64_t m = exact_limit(terms);
        assert_true(terms * m * m + m < 1 << 24 && (m == 64 || terms * (m + 1) * (m + 1) + m + 1 >= 1 << 24));
    }
    double mean = 0, smallest = 2, largest = -2;
    fill_zero_mean(&rng, p, 1000);
    for (int i = 0; i < 1000; i++) {
        mean += p[i] / 1000;
        smallest = fmin(smallest, p[i]);
        largest = fmax(largest, p[i]);
    }
    assert_true(fabs(mean) < 0.06 && smallest >= -1 && smallest < -0.9 && largest < 1 && largest > 0.9);
    fill_positive(&rng, p, 1000);
    for (int i = 0; i < 1000; i++) assert_true(p[i] > 0 && p[i] <= 1);
    fill_integers(&rng, p, 1000, 3);
    for (int i = 0; i < 1000; i++) assert_true(p[i] == rintf(p[i]) && fabsf(p[i]) <= 3);
    int nan = 0, inf = 0, denormal = 0;
    fill_special(&rng, p, 1000);
    for (int i = 0; i < 1000; i++) {
        nan += isnan(p[i]) != 0;
        inf += isinf(p[i]) != 0;
        denormal += fpclassify(p[i]) == FP_SUBNORMAL;
    }
    assert_true(nan > 5 && inf > 10 && denormal > 10);
}

static void test_all_pairs(void **state)
{
    (void)state;
    const int levels[6] = {5, 2, 3, 7, 2, 4};
    int rows[6 * 70];
    const int64_t count = all_pairs(6, levels, rows, 70);
    assert_in_range(count, 5 * 7, 49); /* no fewer than the two largest; of 1680 */
    assert_int_equal(pairs_missing(6, levels, rows, count), 0);
    assert_true(pairs_missing(6, levels, rows, count - 1) > 0);
    for (int64_t i = 0; i < count * 6; i++) assert_in_range(rows[i], 0, levels[i % 6] - 1);
    /* without any row: 5 (2 + 3 + 7 + 2 + 4) + 2 (3 + 7 + 2 + 4) + 3 (7 + 2 + 4) + 7 (2 + 4) + 2 * 4 */
    assert_int_equal(pairs_missing(6, levels, rows, 0), 90 + 32 + 39 + 42 + 8);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        const struct {
            const char *name;
            CMUnitTestFunction test;
        } exact[] = {{"jacobian w", test_jacobian_w},   {"jacobian b", test_jacobian_b},
                     {"jacobian x", test_jacobian_x},   {"adjoint", test_adjoint},
                     {"split batch", test_split_batch}, {"gradient mean", test_gradient_mean}};
        for (size_t j = 0; j < COUNT_OF(exact); j++)
            add_test(&list, exact[j].test, (void *)&shapes[i], "%s %dx%dx%d", exact[j].name,
                     (int)shapes[i].batch, (int)shapes[i].in, (int)shapes[i].out);
    }
    for (intptr_t activation = OCLIN_NONE; activation < count_activations(); activation++) {
        const char *name = activation_name((oclin_activation)activation);
        add_test(&list, test_finite_differences, (void *)activation, "finite differences %s", name);
        add_test(&list, test_activation_bounds, (void *)activation, "activation bounds %s", name);
        add_test(&list, test_activation_edges, (void *)activation, "activation edges %s", name);
        add_test(&list, test_derivative_edges, (void *)activation, "derivative edges %s", name);
    }
    for (size_t i = 0; i < COUNT_OF(one_rows); i++)
        add_test(&list, test_cross_entropy_row, (void *)&one_rows[i], "cross-entropy %s", one_rows[i].name);
    for (size_t i = 0; i < COUNT_OF(golden_cases); i++)
        add_test(&list, test_golden_case, (void *)&golden_cases[i], "golden %s", golden_cases[i].name);
    for (size_t i = 0; i < COUNT_OF(golden_losses); i++)
        add_test(&list, test_golden_loss, (void *)&golden_losses[i], "golden losses %s",
                 golden_losses[i].name);
    add_test(&list, test_product_bounds, (void *)0, "product bounds positive");
    add_test(&list, test_product_bounds, (void *)1, "product bounds zero mean");

    static const struct {
        const char *name;
        CMUnitTestFunction test;
    } single[] = {{"empty batch", test_empty_batch},
                  {"step", test_step},
                  {"relu selects", test_relu_selects},
                  {"activation tails", test_activation_tails},
                  {"overflow by rounding", test_overflow_by_rounding},
                  {"non-finite input", test_non_finite_input},
                  {"loss gradients", test_loss_gradients},
                  {"sum rule", test_sum_rule},
                  {"proven rule", test_proven_rule},
                  {"proven rule/operands", test_proven_operands},
                  {"a case of another size", test_case_size},
                  {"an operand that overflows", test_overflowing_operand},
                  {"extreme bounds", test_extreme_bounds},
                  {"update bounds", test_update_bounds},
                  {"carried bounds", test_carried_bounds},
                  {"loss bounds", test_loss_bounds},
                  {"gradients carry dz", test_gradients_carry_dz},
                  {"mse bounds", test_mse_bounds},
                  {"cross-entropy bounds", test_cross_entropy_bounds},
                  {"compare exact", test_compare_exact},
                  {"compare bound", test_compare_bound},
                  {"data", test_data},
                  {"all pairs", test_all_pairs}};
    for (size_t i = 0; i < COUNT_OF(single); i++) add_test(&list, single[i].test, NULL, "%s", single[i].name);
    return run_list("reference", &list, argc, argv);
}
