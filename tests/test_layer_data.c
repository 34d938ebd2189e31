/*
 * Data that is not ordinary: outputs that hold NaN before, inputs with NaN and Inf. On one plan of every
 * kernel family, for their epilogues differ.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

enum { BATCH = 5, IN = 7, OUT = 6, NX = BATCH * IN, NY = BATCH * OUT, NW = OUT * IN };

static const char *const plans[] = {"plain", "simd", "simt-16"};
enum { PLANS = COUNT_OF(plans) };
static oclin_context *contexts[PLANS];

static oclin_context *context(int plan)
{
    if (!contexts[plan]) contexts[plan] = make_context(plans[plan]);
    return contexts[plan];
}

/* What a layer with ReLU is given. */
struct data {
    float x[NX], w[NW], b[OUT], dy[NY];
};

static struct data make_data(void)
{
    struct data d;
    struct rng rng = {42};
    fill_integers(&rng, d.x, NX, 5);
    fill_integers(&rng, d.w, NW, 5);
    fill_integers(&rng, d.b, OUT, 5);
    fill_integers(&rng, d.dy, NY, 5);
    return d;
}

struct bench {
    oclin_context *ctx;
    oclin_layer *l;
    oclin_tensor *x, *y, *dy, *dx;
};

/* The outputs hold NaN: y, dx and the gradients that the layer is handed. */
static struct bench make_bench(int plan, const struct data *d)
{
    struct bench b = {.ctx = context(plan)};
    float poison[NW + NX + NY];
    fill_poison(poison, NW + NX + NY);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = OCLIN_RELU;
    options.dw = make_tensor(b.ctx, OCLIN_F32, OUT, IN, poison);
    options.db = make_tensor(b.ctx, OCLIN_F32, 1, OUT, poison);
    assert_ok(b.ctx, oclin_layer_create(&b.l, b.ctx, IN, OUT, &options));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    oclin_tensor_destroy(options.dw);
    oclin_tensor_destroy(options.db);
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_w(b.l), d->w));
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_b(b.l), d->b));
    b.x = make_tensor(b.ctx, OCLIN_F32, BATCH, IN, d->x);
    b.y = make_tensor(b.ctx, OCLIN_F32, BATCH, OUT, poison);
    b.dy = make_tensor(b.ctx, OCLIN_F32, BATCH, OUT, d->dy);
    b.dx = make_tensor(b.ctx, OCLIN_F32, BATCH, IN, poison);
    return b;
}

static void release(struct bench *b)
{
    oclin_layer_destroy(b->l);
    oclin_tensor *const all[] = {b->x, b->y, b->dy, b->dx};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

static void check(const char *name, oclin_tensor *t, const double *want)
{
    float got[NX + NY + NW];
    assert_int_equal(oclin_tensor_read(t, got), OCLIN_OK);
    check_exact(name, oclin_tensor_rows(t), oclin_tensor_cols(t), oclin_tensor_cols(t), got, want);
}

/* Forward and backward of the bench against the reference, whose loops follow IEEE as written. */
static void check_all(const struct bench *b, const struct data *d)
{
    struct oclin_ref_case c = RANDOM_CASE(BATCH, IN, OUT);
    double y[NY], dx[NX], dw[NW], db[OUT];
    float rounded[NY];
    c.activation = OCLIN_RELU;
    oclin_ref_forward(&c, d->x, d->w, d->b, NULL, NULL, y, NULL);
    for (int i = 0; i < NY; i++) rounded[i] = (float)y[i];
    oclin_ref_grad_w(&c, d->x, d->dy, rounded, dw, NULL);
    oclin_ref_grad_b(&c, d->dy, rounded, db, NULL);
    oclin_ref_grad_x(&c, d->w, d->dy, rounded, dx, NULL);
    assert_ok(b->ctx, oclin_layer_forward(b->l, b->x, b->y));
    check("y", b->y, y);
    assert_ok(b->ctx, oclin_layer_backward(b->l, b->dy, b->dx));
    check("dx", b->dx, dx);
    check("dw", oclin_layer_dw(b->l), dw);
    check("db", oclin_layer_db(b->l), db);
}

/* ------------------------------------------------------------------------------------------------ tests */

/* NaN that lies in an output before does not come out of it; not in the gradients either when cleared. */
static void test_outputs_are_not_read(void **state)
{
    const int plan = *(int *)*state;
    const struct data d = make_data();
    struct bench b = make_bench(plan, &d);
    check_all(&b, &d);
    assert_ok(b.ctx, oclin_tensor_fill(oclin_layer_dw(b.l), NAN));
    assert_ok(b.ctx, oclin_tensor_fill(oclin_layer_db(b.l), NAN));
    assert_ok(b.ctx, oclin_tensor_fill(b.y, NAN));
    assert_ok(b.ctx, oclin_tensor_fill(b.dx, NAN));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    check_all(&b, &d);
    release(&b);
}

/* Where NaN and Inf are put, and what they become. */
static void test_not_finite(void **state)
{
    const int plan = *(int *)*state;
    struct data d = make_data();
    d.x[1] = NAN;
    d.x[IN + 2] = INFINITY;
    d.w[3] = -INFINITY;
    d.b[2] = NAN;
    d.dy[3 * OUT + 1] = INFINITY;
    struct bench b = make_bench(plan, &d);
    check_all(&b, &d);
    float y[NY];
    assert_ok(b.ctx, oclin_tensor_read(b.y, y));
    for (int i = 0; i < OUT; i++) assert_true(isnan(y[i])); /* ReLU of NaN is NaN, not 0 */
    for (int r = 0; r < BATCH; r++) assert_true(isnan(y[r * OUT + 2]));
    release(&b);
}

/* Where ReLU is off its derivative is 0, and 0 comes back whatever dy holds: never Inf * 0. */
static void test_relu_switches_off(void **state)
{
    const int plan = *(int *)*state;
    struct data d = make_data();
    for (int i = 0; i < NW; i++) d.w[i] = 0;
    for (int i = 0; i < OUT; i++) d.b[i] = -1;
    for (int i = 0; i < NY; i++) d.dy[i] = i % 2 ? INFINITY : NAN;
    struct bench b = make_bench(plan, &d);
    const double zeros[NX + NW] = {0};
    assert_ok(b.ctx, oclin_layer_forward(b.l, b.x, b.y));
    assert_ok(b.ctx, oclin_layer_backward(b.l, b.dy, b.dx));
    check("dx", b.dx, zeros);
    check("dw", oclin_layer_dw(b.l), zeros);
    check("db", oclin_layer_db(b.l), zeros);
    release(&b);
}

/* NaN in one sample stays in it: the rows of the others are those that they would be without it. */
static void test_samples_are_apart(void **state)
{
    const int plan = *(int *)*state;
    struct data d = make_data();
    for (int i = 0; i < IN; i++) d.x[2 * IN + i] = NAN;
    for (int i = 0; i < OUT; i++) d.dy[2 * OUT + i] = NAN;
    struct bench b = make_bench(plan, &d);
    float y[NY], dx[NX];
    assert_ok(b.ctx, oclin_layer_forward(b.l, b.x, b.y));
    assert_ok(b.ctx, oclin_layer_backward(b.l, b.dy, b.dx));
    assert_ok(b.ctx, oclin_tensor_read(b.y, y));
    assert_ok(b.ctx, oclin_tensor_read(b.dx, dx));
    for (int r = 0; r < BATCH; r++) {
        for (int i = 0; i < OUT; i++) assert_int_equal(!!isnan(y[r * OUT + i]), r == 2);
        if (r != 2)
            for (int i = 0; i < IN; i++) assert_false(isnan(dx[r * IN + i]));
    }
    release(&b);
}

/* A step takes NaN over into W, and only there. */
static void test_step_with_nan(void **state)
{
    const int plan = *(int *)*state;
    const struct data d = make_data();
    struct bench b = make_bench(plan, &d);
    float gradient[NW] = {0}, got[NW];
    gradient[3] = NAN;
    gradient[4] = -INFINITY;
    gradient[5] = 2;
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_dw(b.l), gradient));
    assert_ok(b.ctx, oclin_layer_step(b.l, 0.5f));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_w(b.l), got));
    for (int i = 0; i < NW; i++) {
        if (i == 3) assert_true(isnan(got[i]));
        if (i == 4) assert_true(isinf(got[i]) && got[i] > 0);
        if (i != 3 && i != 4) assert_true(got[i] == d.w[i] - (i == 5 ? 1.0f : 0.0f));
    }
    release(&b);
}

/* Rows that are computed in pieces, whose last vectors are full or not: Inf stays Inf in each piece, since
 * nothing that is not there is multiplied by it. */
static void test_inf_in_pieces(void **state)
{
    static const int64_t widths[] = {520, 600, 603};
    const char *plan = *state;
    oclin_context *ctx = make_context(plan);
    for (size_t i = 0; i < COUNT_OF(widths); i++) {
        const int64_t in = widths[i];
        const float dy[2 * 3] = {INFINITY, 1.0f, 1.0f, 1.0f, 2.0f, 3.0f};
        oclin_layer *l;
        assert_ok(ctx, oclin_layer_create(&l, ctx, in, 3, NULL));
        oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 2, in, NULL),
                     *y = make_tensor(ctx, OCLIN_F32, 2, 3, NULL);
        oclin_tensor *dx = make_tensor(ctx, OCLIN_F32, 2, in, NULL),
                     *t = make_tensor(ctx, OCLIN_F32, 2, 3, dy);
        float *got = new_array(float, 2 * in);
        assert_ok(ctx, oclin_tensor_fill(x, 1.0));
        assert_ok(ctx, oclin_tensor_fill(oclin_layer_w(l), 1.0));
        assert_ok(ctx, oclin_layer_forward(l, x, y));
        assert_ok(ctx, oclin_layer_backward(l, t, dx));
        assert_ok(ctx, oclin_tensor_read(dx, got));
        for (int64_t j = 0; j < in; j++)
            if (!(got[j] == INFINITY && got[in + j] == 6.0f))
                fail_msg("column %lld of %lld: %g, %g", (long long)j, (long long)in, (double)got[j],
                         (double)got[in + j]);
        oclin_tensor *const all[] = {x, y, dx, t};
        for (size_t k = 0; k < COUNT_OF(all); k++) oclin_tensor_destroy(all[k]);
        oclin_layer_destroy(l);
        free(got);
    }
    oclin_context_destroy(ctx);
}

enum { WIDE = 96, FEW = 8, MANY = 64 };

/* Forward and backward of the first rows of what x and dy are filled with. */
static void run_some(oclin_layer *l, oclin_tensor *const all[4], int64_t batch, double numbers)
{
    oclin_context *ctx = oclin_tensor_context(all[0]);
    oclin_tensor *some[4];
    assert_ok(ctx, oclin_tensor_fill(all[0], numbers));
    assert_ok(ctx, oclin_tensor_fill(all[2], numbers));
    for (int i = 0; i < 4; i++) assert_ok(ctx, oclin_tensor_view_rows(&some[i], all[i], 0, batch));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_layer_forward(l, some[0], some[1]));
    assert_ok(ctx, oclin_layer_backward(l, some[2], some[3]));
    for (int i = 0; i < 4; i++) oclin_tensor_destroy(some[i]);
}

static void check_all_are(const char *name, oclin_tensor *t, int64_t rows, float want)
{
    float got[MANY * WIDE];
    assert_int_equal(oclin_tensor_read(t, got), OCLIN_OK);
    for (int64_t i = 0; i < rows * oclin_tensor_cols(t); i++)
        if (got[i] != want)
            fail_msg("%s, element %lld is %g, must be %g", name, (long long)i, (double)got[i], (double)want);
}

/* What a batch of NaN has left in local memory is no part of a smaller batch behind it. */
static void test_nothing_stays(void **state)
{
    static const int64_t batches[] = {63, 50, 49, 48, 47, 33, 32, 31, 19, 18, 17, 16, 15, 9, 8, 7, 2, 1};
    oclin_context *ctx = context(*(int *)*state);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, WIDE, FEW, NULL));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_w(l), 1.0));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_b(l), 0.0));
    oclin_tensor *const all[] = {
        make_tensor(ctx, OCLIN_F32, MANY, WIDE, NULL), make_tensor(ctx, OCLIN_F32, MANY, FEW, NULL),
        make_tensor(ctx, OCLIN_F32, MANY, FEW, NULL), make_tensor(ctx, OCLIN_F32, MANY, WIDE, NULL)};
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        run_some(l, all, batches[i] > 16 ? MANY : 16, NAN); /* up to 16 there is another tile in one pass */
        run_some(l, all, batches[i], 1.0);
        check_all_are("y", all[1], batches[i], WIDE);
        check_all_are("dx", all[3], batches[i], FEW);
        check_all_are("dw", oclin_layer_dw(l), FEW, (float)batches[i]);
        check_all_are("db", oclin_layer_db(l), 1, (float)batches[i]);
    }
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(l);
}

/* leaky_relu or elu with this number, of one feature with w = 1: y and dx are the activation and its
 * derivative. */
static void check_alpha(oclin_context *ctx, oclin_activation activation, double alpha)
{
    enum { VALUES = 7 };
    static const float z[VALUES] = {-3, -1, -0.25f, 0, 0.25f, 1, 3};
    static const float ones[VALUES] = {1, 1, 1, 1, 1, 1, 1};
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = activation;
    options.bias = 0;
    options.alpha = (float)alpha;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, &options));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_w(l), 1.0));
    oclin_tensor *const all[] = {
        make_tensor(ctx, OCLIN_F32, VALUES, 1, z), make_tensor(ctx, OCLIN_F32, VALUES, 1, NULL),
        make_tensor(ctx, OCLIN_F32, VALUES, 1, ones), make_tensor(ctx, OCLIN_F32, VALUES, 1, NULL)};
    assert_ok(ctx, oclin_layer_forward(l, all[0], all[1]));
    assert_ok(ctx, oclin_layer_backward(l, all[2], all[3]));
    float y[VALUES], dx[VALUES];
    assert_ok(ctx, oclin_tensor_read(all[1], y));
    assert_ok(ctx, oclin_tensor_read(all[3], dx));
    const int is_elu = activation == OCLIN_ELU;
    double got[2 * VALUES], want[2 * VALUES];
    for (int i = 0; i < VALUES; i++) {
        got[i] = (double)y[i];
        got[VALUES + i] = (double)dx[i];
        want[i] = z[i] > 0 ? (double)z[i] : alpha * (is_elu ? exp((double)z[i]) - 1 : (double)z[i]);
        want[VALUES + i] = z[i] > 0 ? 1 : alpha * (is_elu ? exp((double)z[i]) : 1);
    }
    check_close(activation_name(activation), got, want, 2 * VALUES, 1e-6);
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(l);
}

/* One after the other in one context, which keeps the kernels that it has built. */
static void test_alpha(void **state)
{
    static const oclin_activation with_a_number[] = {OCLIN_LEAKY_RELU, OCLIN_ELU};
    oclin_context *ctx = context(*(int *)*state);
    for (size_t i = 0; i < COUNT_OF(with_a_number); i++) {
        check_alpha(ctx, with_a_number[i], 0.25);
        check_alpha(ctx, with_a_number[i], 3);
    }
}

int main(int argc, char **argv)
{
    static int numbers[PLANS];
    struct test_list list = {0};
    for (int i = 0; i < PLANS; i++) {
        numbers[i] = i;
        add_test(&list, test_outputs_are_not_read, &numbers[i], "%s/outputs are not read", plans[i]);
        add_test(&list, test_not_finite, &numbers[i], "%s/NaN and Inf follow IEEE", plans[i]);
        add_test(&list, test_relu_switches_off, &numbers[i], "%s/ReLU switches off", plans[i]);
        add_test(&list, test_samples_are_apart, &numbers[i], "%s/samples are apart", plans[i]);
        add_test(&list, test_nothing_stays, &numbers[i], "%s/nothing stays in local memory", plans[i]);
        add_test(&list, test_step_with_nan, &numbers[i], "%s/step with NaN", plans[i]);
        add_test(&list, test_alpha, &numbers[i], "%s/alpha", plans[i]);
    }
    for (int i = 0; i < 2; i++) {
        static char skinny[] = "simd-skinny", whole[] = "simd-8";
        add_test(&list, test_inf_in_pieces, i ? whole : skinny, "%s/Inf in pieces", i ? whole : skinny);
    }
    const int code = run_list("layer_data", &list, argc, argv);
    for (int i = 0; i < PLANS; i++) oclin_context_destroy(contexts[i]);
    return code;
}
