/*
 * The bounds of the reference (docs/numbers.md): the rules by hand, what is claimed where float ends, and a
 * float evaluation that errs as much as OpenCL allows, which must stay below them and come near them. Needs
 * no device.
 */
#include <math.h>
#include <stdlib.h>

#include "support.h"

#define U 0x1p-24

/* ------------------------------------------------------------------------------------- the rules, by hand */

/* The rule, by hand: ones and minus ones, so that S = K (+ 1 for b). */
static void test_sum_rule(void **state)
{
    (void)state;
    const struct {
        int64_t K;
        int zero_mean, bias;
        double in_u; /* the bound, in units of u */
    } rows[] = {
        {.K = 1, .in_u = 2 * 1},
        {.K = 9, .in_u = 10 * 9},
        {.K = 16, .in_u = 16 * 16},
        {.K = 100, .in_u = 28 * 100},
        {.K = 400, .in_u = 48 * 400},
        {.K = 10000, .bias = 1, .in_u = 208 * 10001.},
        {.K = 1, .zero_mean = 1, .bias = 1, .in_u = 2 * 2},
        {.K = 14, .zero_mean = 1, .in_u = 15 * 14},
        {.K = 15, .zero_mean = 1, .in_u = 16 * 15},
        {.K = 16, .zero_mean = 1, .in_u = 16 * 16},
        {.K = 100, .zero_mean = 1, .bias = 1, .in_u = 16 * 101},
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
    } rows[] = {
        {.K = 1, .n_u = U},
        {.K = 1, .bias = 1, .n_u = 2 * U},
        {.K = 9, .n_u = 9 * U},
        {.K = 400, .n_u = 400 * U},
        {.K = 400, .additions = 48, .n_u = 48 * U},
        {.K = 400, .additions = 48, .bias = 1, .n_u = 49 * U},
        {.K = 400, .additions = 500, .n_u = 500 * U},
        {.K = 400, .additions = 48, .bias = 1, .truncates = 1, .n_u = 98 * U},
        {.K = 1, .additions = 1 << 22, .n_u = 0.25},
        {.K = 1, .additions = (1 << 23) - 1, .n_u = 0.5 - U},
    };
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
        {OCLIN_NONE, .z = 1, .slope = 1},
        {OCLIN_RELU, .z = 2, .slope = 1},
        {OCLIN_RELU, .z = -2, .slope = 0},
        {OCLIN_SIGMOID, .z = 0, .slope = 0.25},
        {OCLIN_SIGMOID, .z = -2, .slope = 0.10499358540350652},
        {OCLIN_TANH, .z = 0, .slope = 1},
        {OCLIN_TANH, .z = 1, .slope = 0.41997434161402607},
        {OCLIN_GELU, .z = 1.5f, .slope = 1.13}, /* the most that it ever has */
        {OCLIN_GELU, .z = -3, .slope = 0.014645452480205},
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

/* ----------------------------------------------------------------------- what is claimed where float ends */

/* 2 (K + 1) 2^-126 max(1, |x|, |w|) where denormals are flushed; and no claim where a sum may overflow. */
static void test_sum_at_both_ends(void **state)
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
}

/* An Inf stays one; beside a sum that may overflow to -Inf it may be NaN as well. */
static void test_sum_with_inf(void **state)
{
    (void)state;
    struct oclin_ref_case c = RANDOM_CASE(1, 3, 1);
    const float w[3] = {-2, 8, 4};
    double y, bound;
    c.no_denormals = 1;
    for (int overflows = 0; overflows < 2; overflows++) {
        const float x[3] = {-INFINITY, overflows ? 0x1p127f : 1, 0};
        oclin_ref_forward(&c, x, w, NULL, NULL, NULL, &y, &bound);
        assert_true(y == INFINITY && (overflows ? isnan(bound) : bound == 0));
    }
}

/* gelu'(-20) is no float but 0, and 0 Inf is NaN. */
static void test_inf_beside_a_vanishing_derivative(void **state)
{
    (void)state;
    const float far_left = -20, one = 1, inf = INFINITY;
    struct oclin_ref_case gelu = RANDOM_CASE(1, 1, 1);
    double dw, bound;
    gelu.activation = OCLIN_GELU;
    oclin_ref_grad_w(&gelu, &inf, &one, &far_left, &dw, &bound);
    assert_true(dw == -INFINITY && isnan(bound));
    oclin_ref_grad_w(&gelu, &one, &inf, &far_left, &dw, &bound);
    assert_true(dw == -INFINITY && isnan(bound));
    oclin_ref_grad_w(&gelu, &one, &inf, &one, &dw, &bound);
    assert_true(dw == INFINITY && bound == 0);
    oclin_ref_grad_w(&gelu, &inf, &one, &one, &dw, &bound);
    assert_true(dw == INFINITY && bound == 0);
}

/* An old -Inf, and a gradient that is finite here, but Inf on a device. */
static void test_update_of_inf(void **state)
{
    (void)state;
    const float old = -INFINITY;
    double new, bound;
    for (int overflows = 0; overflows < 2; overflows++) {
        const double dw = overflows ? 0x1p130 : 1, e = overflows ? INFINITY : 0x1p-20;
        oclin_ref_accumulate(NULL, 1, &old, &dw, &e, &new, &bound);
        assert_true(new == -INFINITY && (overflows ? isnan(bound) : bound == INFINITY));
        oclin_ref_step(NULL, 1, &old, &dw, NULL, 1.0f, &new, &bound);
        assert_true(new == -INFINITY && (overflows ? isnan(bound) : bound == INFINITY));
    }
}

/* A device that flushes denormals may take an s of that size for 0, and then lets no dy through. */
static void test_relu_of_a_denormal(void **state)
{
    (void)state;
    struct oclin_ref_case c = RANDOM_CASE(3, 3, 1);
    const float dy[3] = {3, 3, 3}, s[3] = {0x1p-127f, 0x1p-126f, 0};
    double dz[3], dz_bound[3];
    c.no_denormals = 1;
    c.activation = OCLIN_RELU;
    oclin_ref_grad_z(&c, dy, s, dz, dz_bound);
    assert_true(dz_bound[0] == 3 && dz_bound[1] == 0 && dz_bound[2] == 0);
}

static void test_losses_that_may_overflow(void **state)
{
    (void)state;
    const float scores[2] = {3e38f, -3e38f}, targets[2] = {-3e38f, -3e38f};
    const int32_t label = 1;
    double loss, loss_bound, dy[2], dy_bound[2];
    oclin_ref_mse(&RANDOM_CASE(1, 0, 2), scores, targets, OCLIN_MEAN, 1e-3f, &loss, &loss_bound, dy,
                  dy_bound);
    assert_true(loss_bound == INFINITY && dy_bound[0] == INFINITY && isfinite(dy_bound[1]));
    oclin_ref_cross_entropy(&RANDOM_CASE(1, 0, 2), scores, &label, OCLIN_SUM, 1, &loss, &loss_bound, dy,
                            dy_bound, NULL);
    assert_true(loss_bound == INFINITY && isfinite(dy_bound[0]) && isfinite(dy_bound[1]));
}

/* --------------------------------------------------------------------------- a device that errs as it may */

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

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_test(&list, test_sum_rule, NULL, "rule/sums of random numbers");
    add_test(&list, test_proven_rule, NULL, "rule/any sums");
    add_test(&list, test_proven_operands, NULL, "rule/errors of operands are carried through a sum");
    add_test(&list, test_carried_bounds, NULL, "rule/errors of z are carried through activations");
    add_test(&list, test_gradients_carry_dz, NULL, "rule/errors of dz are in all three gradients");
    add_test(&list, test_update_bounds, NULL, "rule/mean, accumulation and step add their roundings");
    add_test(&list, test_loss_bounds, NULL, "rule/losses");
    add_test(&list, test_overflowing_operand, NULL, "ends/an operand that overflows is Inf, beside 0 NaN");
    add_test(&list, test_sum_at_both_ends, NULL, "ends/flushed denormals count, an overflow claims nothing");
    add_test(&list, test_sum_with_inf, NULL, "ends/Inf is exact, unless it may meet -Inf");
    add_test(&list, test_inf_beside_a_vanishing_derivative, NULL, "ends/Inf beside a derivative of 0");
    add_test(&list, test_update_of_inf, NULL, "ends/updates of -Inf");
    add_test(&list, test_relu_of_a_denormal, NULL, "ends/relu may take a denormal for 0");
    add_test(&list, test_losses_that_may_overflow, NULL, "ends/losses that may overflow claim nothing");
    for (intptr_t activation = 0; activation < count_activations(); activation++)
        add_test(&list, test_activation_bounds, (void *)activation, "tight/%s",
                 activation_name((oclin_activation)activation));
    add_test(&list, test_product_bounds, (void *)0, "tight/sums of positive numbers miss no term");
    add_test(&list, test_product_bounds, (void *)1, "tight/sums of mean zero miss no term");
    add_test(&list, test_mse_bounds, NULL, "tight/mse");
    add_test(&list, test_cross_entropy_bounds, NULL, "tight/cross-entropy");
    return run_list("bounds", &list, argc, argv);
}
