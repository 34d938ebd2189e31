/*
 * The reference where float ends: zeros, denormals, the largest numbers, Inf and NaN through every activation
 * and its derivative, against formulas that share nothing with it (oracle.h), and what its bounds claim
 * there. Needs no device.
 */
#include <float.h>
#include <math.h>

#include "oracle.h"
#include "support.h"

#define U 0x1p-24

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
            fail_msg("%s(%g) is %.17g, must be %.17g", activation_name(activation), edge_values[i], y, want);
        if ((isinf(edge_values[i]) ? isfinite(want) : fabs(edge_values[i]) < 0x1p127) &&
            !(bound <= 5e-5 * fabs(want) + 1e-38))
            fail_msg("%s(%g): bound %g", activation_name(activation), edge_values[i], bound);
        if (isnan(bound) && !isnan(want))
            fail_msg("%s(%g) is not known", activation_name(activation), edge_values[i]);
    }
}

static void check_derivative(oclin_activation activation, float dy, float z, float s)
{
    double bound;
    const double got = grad_one(activation, dy, s, &bound);
    const double slope = oracle_stored_derivative(activation, z, s), dz = oracle_dz(activation, dy, slope);
    if (isnan(dz) ? !isnan(got) : !(got == dz || fabs(got - dz) <= 1e-12 * (fabs(dz) + fabs(dy)) + 1e-60))
        fail_msg("%s'(%g) * %g is %.17g, must be %.17g", activation_name(activation), z, dy, got, dz);
    if (isfinite(dy) && isfinite(slope) && fabs(dz) < 0x1p127 && !(bound <= 1e-5 * fabs(dy) + 1e-38))
        fail_msg("%s'(%g) * %g: bound %g", activation_name(activation), z, dy, bound);
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
            fail_msg("%s'(%g) is %.17g, must be %.17g", activation_name(activation), z, of_one, want);
        for (int j = 0; j < EDGES; j++) check_derivative(activation, edge_values[j], z, s);
    }
}

/* A result at the end of the range may be Inf on a device, or may not. */
static void test_dz_at_the_end_of_the_range(void **state)
{
    (void)state;
    const float far_right = 10, one = 1, largest = FLT_MAX;
    double bound, dw;
    assert_true(grad_one(OCLIN_GELU, FLT_MAX, far_right, &bound) <= FLT_MAX && bound == INFINITY);
    grad_one(OCLIN_GELU, FLT_MAX / 2, far_right, &bound);
    assert_true(bound < FLT_MAX * 1e-5);
    /* so the next operation claims nothing, either */
    struct oclin_ref_case gelu = RANDOM_CASE(1, 1, 1);
    gelu.activation = OCLIN_GELU;
    oclin_ref_grad_w(&gelu, &one, &largest, &far_right, &dw, &bound);
    assert_true(isfinite(dw) && !isfinite(bound));
}

static void test_sum_at_the_end_of_the_range(void **state)
{
    (void)state;
    const float largest = FLT_MAX, lr = 1;
    const double ulp = 0x1p104, back = -ulp, none = 0;
    double sum, bound;
    oclin_ref_accumulate(NULL, 1, &largest, &ulp, &none, &sum, &bound);
    assert_true(bound == INFINITY);
    oclin_ref_step(NULL, 1, &largest, &back, &none, lr, &sum, &bound);
    assert_true(bound == INFINITY);
}

/* lr dW may overflow where there is no fma; 0 dW is NaN where dW is, or may be, Inf; an lr that is flushed
 * to zero takes no step. */
static void test_step_at_the_end_of_the_range(void **state)
{
    (void)state;
    const float largest = FLT_MAX, one = 1, lr = 1;
    const double twice = 2.0 * FLT_MAX, back = -0x1p104, inf = INFINITY, large = 1e30, none = 0;
    double w, bound;
    oclin_ref_step(NULL, 1, &largest, &twice, &none, lr, &w, &bound);
    assert_true(w == -(double)FLT_MAX && bound == INFINITY);
    oclin_ref_step(NULL, 1, &one, &inf, &none, 0, &w, &bound);
    assert_true(isnan(w));
    oclin_ref_step(NULL, 1, &one, &back, &none, 0, &w, &bound);
    assert_true(w == 1 && bound <= 4 * U);
    oclin_ref_step(NULL, 1, &one, &back, &inf, 0, &w, &bound);
    assert_true(w == 1 && isnan(bound));
    oclin_ref_step(NULL, 1, &one, &large, &none, 0x1p-130f, &w, &bound);
    assert_true(bound >= fabs(1 - w));
}

/* NaN or Inf in one x reaches exactly the results of its row, and their bounds claim no distance. */
static void test_non_finite_input(void **state)
{
    (void)state;
    enum { BATCH = 5, IN = 7, OUT = 6 };
    const struct oclin_ref_case c = RANDOM_CASE(BATCH, IN, OUT);
    struct rng rng = {42};
    float x[BATCH * IN], w[OUT * IN], b[OUT];
    double y[BATCH * OUT], bound[BATCH * OUT];
    fill_integers(&rng, x, BATCH * IN, 8);
    fill_integers(&rng, w, OUT * IN, 8);
    fill_integers(&rng, b, OUT, 8);
    x[0] = NAN;
    x[IN] = INFINITY;
    w[0] = 0; /* 0 Inf is NaN */
    oclin_ref_forward(&c, x, w, b, NULL, NULL, y, bound);
    for (int o = 0; o < OUT; o++) {
        const float w_o = w[o * IN];
        assert_true(isnan(y[o]));
        assert_true(w_o == 0 ? isnan(y[OUT + o]) : y[OUT + o] == copysign(INFINITY, w_o));
        assert_true(bound[o] == 0 && bound[OUT + o] == 0);
    }
    for (int i = 2 * OUT; i < BATCH * OUT; i++) assert_true(isfinite(y[i]) && bound[i] > 0);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    for (intptr_t activation = 0; activation < count_activations(); activation++) {
        const char *name = activation_name((oclin_activation)activation);
        add_test(&list, test_activation_edges, (void *)activation, "edges/%s", name);
        add_test(&list, test_derivative_edges, (void *)activation, "edges/the derivative of %s", name);
    }
    add_test(&list, test_relu_selects, NULL, "relu selects, and multiplies nothing");
    add_test(&list, test_activation_tails, NULL, "the tails of activations keep their digits");
    add_test(&list, test_dz_at_the_end_of_the_range, NULL, "overflow by rounding/a gradient may be Inf");
    add_test(&list, test_sum_at_the_end_of_the_range, NULL, "overflow by rounding/a sum may be Inf");
    add_test(&list, test_step_at_the_end_of_the_range, NULL,
             "overflow by rounding/a step may be Inf, or none");
    add_test(&list, test_non_finite_input, NULL, "NaN and Inf in x reach their row alone");
    return run_list("reference_edges", &list, argc, argv);
}
