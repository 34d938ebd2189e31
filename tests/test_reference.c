/*
 * The reference against second formulas: the explicit Jacobians of the source, finite differences,
 * identities, and PyTorch's numbers. Of losses: test_reference_loss.c, at the edges of float:
 * test_reference_edges.c; its bounds: test_bounds.c. Needs no device.
 */
#include <stdlib.h>
#include <string.h>

#include "golden/golden.h"
#include "oracle.h"
#include "support.h"

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

/* Sums of nothing: zero, divided by the batch or not. */
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
}

/* w - lr dW. */
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

struct smooth {
    struct oclin_ref_case c;
    float x[BATCH * IN], w[OUT * IN], b[OUT], dy[BATCH * OUT];
};

/* x and w are quarters, b an odd number of 32nds: every float that oracle_slope() shifts is exact, so is
 * z, and it is never nearer to the bend of ReLU than the steps reach. */
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
    for (int i = 0; i < OUT * IN; i++) want[i] = oracle_slope(loss_of_smooth, &p, &p.w[i]);
    check_close("dw", got, want, OUT * IN, tolerance);

    oclin_ref_grad_b(&p.c, p.dy, s, got, NULL);
    for (int i = 0; i < OUT; i++) want[i] = oracle_slope(loss_of_smooth, &p, &p.b[i]);
    check_close("db", got, want, OUT, tolerance);

    oclin_ref_grad_x(&p.c, p.w, p.dy, s, got, NULL);
    for (int i = 0; i < BATCH * IN; i++) want[i] = oracle_slope(loss_of_smooth, &p, &p.x[i]);
    check_close("dx", got, want, BATCH * IN, tolerance);
}

/* --------------------------------------------------------------------------------- PyTorch, and the case */

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

static void add_exact(struct test_list *list)
{
    static const struct {
        const char *promise;
        CMUnitTestFunction test;
    } exact[] = {
        {"dw is the chain of dy and J_w", test_jacobian_w},
        {"db is the chain of dy and J_b", test_jacobian_b},
        {"dx is the chain of dy and J_x", test_jacobian_x},
        {"forward and dx are adjoint", test_adjoint},
        {"gradients of half batches add up", test_split_batch},
        {"the mean divides dw and db, not dx", test_gradient_mean},
    };
    for (size_t i = 0; i < COUNT_OF(shapes); i++)
        for (size_t j = 0; j < COUNT_OF(exact); j++)
            add_test(list, exact[j].test, (void *)(uintptr_t)&shapes[i], "%s, %dx%dx%d", exact[j].promise,
                     (int)shapes[i].batch, (int)shapes[i].in, (int)shapes[i].out);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_exact(&list);
    for (intptr_t activation = 0; activation < count_activations(); activation++)
        add_test(&list, test_finite_differences, (void *)activation, "gradients are finite differences, %s",
                 activation_name((oclin_activation)activation));
    for (size_t i = 0; i < COUNT_OF(golden_cases); i++)
        add_test(&list, test_golden_case, (void *)&golden_cases[i], "as PyTorch, %s", golden_cases[i].name);
    add_test(&list, test_empty_batch, NULL, "gradients of no sample are zero");
    add_test(&list, test_step, NULL, "a step is w - lr dw");
    add_test(&list, test_case_size, NULL, "a shorter case has the defaults of what it lacks");
    return run_list("reference", &list, argc, argv);
}
