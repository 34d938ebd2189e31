/*
 * Norms of gradients without dW, the factor that clips by them, and the search for what is not finite:
 * against the reference and against stored gradients, on every family of kernels, where gradients cancel,
 * overflow or are not finite, and what is refused.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "support.h"

#include "oclin_internal.h"

static const char *const plans[] = {"plain", "simd", "simt-16"};
enum { PLANS = COUNT_OF(plans) };
static int plan_numbers[PLANS] = {0, 1, 2};
static oclin_context *contexts[PLANS];

/* All contexts compare what they compute, with the proven bounds; the tests do with others. */
static oclin_context *verifying(const char *plan, const char *folder)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = plan;
    options.verify = 1;
    options.cl_dir = folder;
    return make_context_with(options);
}

static oclin_context *context(int plan)
{
    if (!contexts[plan]) {
        needs_plan(plans[plan]);
        contexts[plan] = verifying(plans[plan], NULL);
    }
    return contexts[plan];
}

static float scalar(oclin_context *ctx, oclin_tensor *t)
{
    float value;
    assert_ok(ctx, oclin_tensor_read(t, &value));
    return value;
}

static int32_t integer(oclin_context *ctx, oclin_tensor *t)
{
    int32_t value;
    assert_ok(ctx, oclin_tensor_read(t, &value));
    return value;
}

static void check_scalar(const char *name, float got, double want, double bound)
{
    check_bound(name, 1, 1, 1, &got, &want, &bound);
}

/* The float behind or in front of a scalar must stay as it is, so scalars lie in poison. */
static struct placed make_scalar(oclin_context *ctx)
{
    return tensor_from(ctx, 1, 1, 3, 2, NULL);
}

/* --------------------------------------------------------------------------------------------- tensors */

/* Rows with gaps and without, shorter and longer than a span of 8192 elements. */
static const struct {
    int64_t rows, cols, pad;
} shapes[] = {{1, 1, 0},    {3, 5, 1},   {17, 33, 0}, {5, 16, 4},    {1, 8192, 0},  {2, 8193, 0},
              {3, 8200, 2}, {300, 3, 0}, {300, 3, 1}, {1, 16384, 0}, {2, 16385, 3}, {1, 70000, 0}};

static void test_tensor(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    for (size_t k = 0; k < COUNT_OF(shapes); k++) {
        const int64_t n = shapes[k].rows * shapes[k].cols;
        struct rng rng = {k};
        struct oclin_ref_case c = RANDOM_CASE(0, 0, 0);
        float *host = new_array(float, n), first = 0;
        double want, bound, twice, twice_bound;
        fill_zero_mean(&rng, host, n);
        struct placed t = tensor_from(ctx, shapes[k].rows, shapes[k].cols, shapes[k].cols + shapes[k].pad,
                                      shapes[k].pad, host);
        struct placed norm2 = make_scalar(ctx);
        oclin_ref_norm2(&c, n, host, &want, &bound);
        for (int again = 0; again < 2; again++) {
            assert_ok(ctx, oclin_tensor_norm2(t.t, norm2.t, 0));
            const float got = scalar(ctx, norm2.t);
            check_scalar("norm2", got, want, bound);
            if (again) check_same_bits("again", &got, &first, 1);
            first = got;
        }
        assert_ok(ctx, oclin_tensor_norm2(t.t, norm2.t, 1));
        oclin_ref_accumulate(&c, 1, &first, &want, &bound, &twice, &twice_bound);
        check_scalar("added", scalar(ctx, norm2.t), twice, twice_bound);
        check_canaries("norm2", &norm2);
        check_canaries("t", &t);
        tensor_release(&t);
        tensor_release(&norm2);
        free(host);
    }
}

/* Whole numbers: the very sum. One element in each place: none is left out, and none counts twice. */
static void test_tensor_exact(void **state)
{
    enum { COLS = 8195 };
    oclin_context *ctx = context(*(int *)*state);
    static const int64_t places[] = {0, 1, 8191, 8192, COLS - 1, COLS, 2 * COLS - 1};
    oclin_tensor *base = make_tensor(ctx, OCLIN_F32, 2, COLS + 1, NULL), *t,
                 *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    float *host = new_array(float, 2 * COLS);
    assert_ok(ctx, oclin_tensor_fill(base, 1000));
    assert_ok(ctx, oclin_tensor_view(&t, base, 1, 2, COLS, COLS + 1));
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        memset(host, 0, 2 * COLS * sizeof *host);
        host[places[i]] = 3;
        assert_ok(ctx, oclin_tensor_write(t, host));
        assert_ok(ctx, oclin_tensor_norm2(t, norm2, 0));
        assert_true(scalar(ctx, norm2) == 9.0f);
    }
    oclin_tensor_destroy(base);
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(norm2);
    free(host);
}

/* NaN and Inf stay, an overflow is Inf, what is too small counts as 0 or as it is. */
static void test_tensor_special(void **state)
{
    static const struct {
        float a, b, least, most;
    } odd[] = {{NAN, 1, NAN, NAN},
               {INFINITY, 1, INFINITY, INFINITY},
               {-INFINITY, INFINITY, INFINITY, INFINITY},
               {NAN, INFINITY, NAN, NAN},
               {1e20f, -1, INFINITY, INFINITY},
               {1.5e19f, 1.5e19f, INFINITY, INFINITY},
               {1e19f, 0, 0.9999e38f, 1.0001e38f},
               {1e-30f, 1e-30f, 0, 0},
               {-0.0f, 0, 0, 0}};
    oclin_context *ctx = context(*(int *)*state);
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 40, 5, NULL),
                 *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    for (size_t i = 0; i < COUNT_OF(odd); i++) {
        float host[200] = {0}, got;
        host[0] = odd[i].a;
        host[199] = odd[i].b;
        assert_ok(ctx, oclin_tensor_write(t, host));
        assert_ok(ctx, oclin_tensor_norm2(t, norm2, 0));
        got = scalar(ctx, norm2);
        if (isnan(odd[i].least) ? !isnan(got) : !(got >= odd[i].least && got <= odd[i].most))
            fail_msg("the squares of %g and %g are %g", (double)odd[i].a, (double)odd[i].b, (double)got);
    }
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(norm2);
}

/* ---------------------------------------------------------------------------------------------- layers */

/* Shapes for which two products are cheaper than dW, and others (`grams` says). */
static const struct config {
    int64_t batch, in, out;
    oclin_activation activation;
    int mean, bias, transposed, w, b, grams;
} configs[] = {
    {1, 9, 7, OCLIN_NONE, 0, 1, 0, 1, 1, 1},      {2, 7, 5, OCLIN_RELU, 1, 1, 0, 1, 1, 1},
    {3, 7, 5, OCLIN_RELU, 0, 1, 0, 1, 1, 0},      {4, 40, 33, OCLIN_GELU, 1, 1, 0, 1, 1, 1},
    {40, 20, 24, OCLIN_RELU, 1, 1, 1, 1, 1, 0},   {6, 30, 50, OCLIN_NONE, 1, 0, 0, 1, 1, 1},
    {6, 30, 50, OCLIN_RELU, 0, 1, 0, 0, 1, 1},    {6, 30, 50, OCLIN_RELU, 1, 1, 0, 1, 0, 1},
    {33, 6, 9, OCLIN_NONE, 1, 1, 0, 0, 1, 0},     {33, 6, 9, OCLIN_NONE, 0, 1, 0, 1, 0, 0},
    {2, 8200, 3, OCLIN_NONE, 0, 1, 0, 1, 1, 1},   {2, 8200, 2, OCLIN_NONE, 0, 1, 0, 1, 1, 0},
    {90, 120, 400, OCLIN_NONE, 0, 1, 0, 1, 1, 1},
};
enum { CONFIGS = COUNT_OF(configs) };

/* A layer after its forward. Operands lie inside poison. */
struct bench {
    oclin_context *ctx;
    struct config c;
    oclin_layer *layer;
    struct placed x, y, dy;
    float *host_x, *host_dy;
    double *dz, *dz_bound;
};

static struct bench bench(oclin_context *ctx, const struct config *c, uint64_t seed, int positive)
{
    struct bench b = {.ctx = ctx, .c = *c};
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    struct rng rng = {seed};
    o.activation = c->activation;
    o.gradient = c->mean ? OCLIN_GRAD_MEAN : OCLIN_GRAD_SUM;
    o.bias = c->bias;
    o.transposed = c->transposed;
    o.seed = seed;
    assert_ok(ctx, oclin_layer_create(&b.layer, ctx, c->in, c->out, &o));
    b.host_x = new_array(float, c->batch * c->in);
    b.host_dy = new_array(float, c->batch * c->out);
    b.dz = new_array(double, c->batch * c->out);
    b.dz_bound = new_array(double, c->batch * c->out);
    (positive ? fill_positive : fill_zero_mean)(&rng, b.host_x, c->batch * c->in);
    (positive ? fill_positive : fill_zero_mean)(&rng, b.host_dy, c->batch * c->out);
    b.x = tensor_from(ctx, c->batch, c->in, c->in + 1, 1, b.host_x);
    b.y = tensor_from(ctx, c->batch, c->out, c->out + 2, 3, NULL);
    b.dy = tensor_from(ctx, c->batch, c->out, c->out + 3, 2, b.host_dy);
    assert_ok(ctx, oclin_layer_forward(b.layer, b.x.t, b.y.t));
    return b;
}

static void release(struct bench *b)
{
    oclin_layer_destroy(b->layer);
    tensor_release(&b->x);
    tensor_release(&b->y);
    tensor_release(&b->dy);
    free(b->host_x), free(b->host_dy), free(b->dz), free(b->dz_bound);
}

static struct oclin_ref_case case_of(const struct bench *b)
{
    struct oclin_ref_case c = RANDOM_CASE(b->c.batch, b->c.in, b->c.out);
    c.activation = b->c.activation;
    c.gradient = b->c.mean ? OCLIN_GRAD_MEAN : OCLIN_GRAD_SUM;
    return c;
}

/* The derivative's tensor: y, or z that the layer keeps. */
static float *stored_of(const struct bench *b)
{
    const int64_t n = b->c.batch * b->c.out;
    float *s = new_array(float, n);
    if (keeps_z(b->c.activation)) assert_ok(b->ctx, oclin_tensor_read(b->layer->saved->z, s));
    if (!keeps_z(b->c.activation)) assert_ok(b->ctx, oclin_tensor_read(b->y.t, s));
    return s;
}

/* dZ, and |dW|^2 + |db|^2 by dW and db in double. */
static double direct(struct bench *b)
{
    const struct oclin_ref_case c = case_of(b);
    const int64_t n = b->c.in * b->c.out;
    float *s = stored_of(b);
    double *dw = new_array(double, n), *db = new_array(double, b->c.out), sum = 0;
    oclin_ref_grad_z(&c, b->host_dy, s, b->dz, b->dz_bound);
    oclin_ref_grad_w(&c, b->host_x, b->host_dy, s, dw, NULL);
    oclin_ref_grad_b(&c, b->host_dy, s, db, NULL);
    for (int64_t i = 0; b->c.w && i < n; i++) sum += dw[i] * dw[i];
    for (int64_t i = 0; b->c.b && b->c.bias && i < b->c.out; i++) sum += db[i] * db[i];
    free(s), free(dw), free(db);
    return sum;
}

static struct oclin_grad_norm_options options_of(const struct config *c)
{
    struct oclin_grad_norm_options o = OCLIN_GRAD_NORM_OPTIONS_INIT;
    o.w = c->w;
    o.b = c->b;
    return o;
}

/* The reference's own two ways agree with dW, the device with both; nothing is allocated or changed. */
static void check_layer(struct bench *b)
{
    const struct oclin_ref_case c = case_of(b);
    struct oclin_grad_norm_options o = options_of(&b->c);
    struct placed norm2 = make_scalar(b->ctx);
    double want = direct(b), reference, bound;
    float first = 0;
    oclin_ref_grad_norm2(&c, b->c.w, b->c.b && b->c.bias, b->host_x, b->dz, b->dz_bound, &reference, &bound);
    if (!(fabs(reference - want) <= 1e-11 * (want + bound * 0x1p24)))
        fail_msg("the reference says %.17g, dw %.17g", reference, want);
    assert_true(isfinite(bound) && bound < 1e-3 * want);
    for (int again = 0; again < 2; again++) {
        assert_ok(b->ctx, oclin_layer_grad_norm2(b->layer, b->dy.t, norm2.t, &o));
        const float got = scalar(b->ctx, norm2.t);
        check_scalar("norm2", got, want, bound);
        if (again) check_same_bits("again", &got, &first, 1);
        first = got;
    }
    assert_true(!b->layer->dw && !b->layer->db && !oclin_layer_has_gradient(b->layer));
    double twice, twice_bound;
    o.accumulate = 1;
    assert_ok(b->ctx, oclin_layer_grad_norm2(b->layer, b->dy.t, norm2.t, &o));
    oclin_ref_accumulate(&c, 1, &first, &want, &bound, &twice, &twice_bound);
    check_scalar("added", scalar(b->ctx, norm2.t), twice, twice_bound);
    check_canaries("norm2", &norm2);
    tensor_release(&norm2);
}

/* The squares of a gradient that is stored. */
static double squares(oclin_context *ctx, oclin_tensor *t)
{
    const int64_t n = oclin_tensor_rows(t) * oclin_tensor_cols(t);
    float *host = new_array(float, n);
    double sum = 0;
    assert_ok(ctx, oclin_tensor_read(t, host));
    for (int64_t i = 0; i < n; i++) sum += (double)host[i] * (double)host[i];
    free(host);
    return sum;
}

static void check_stored_norm(struct bench *b)
{
    const struct oclin_grad_norm_options o = options_of(&b->c);
    oclin_tensor *norm2 = make_tensor(b->ctx, OCLIN_F32, 1, 1, NULL);
    assert_ok(b->ctx, oclin_layer_backward(b->layer, b->dy.t, NULL));
    const double want = (b->c.w ? squares(b->ctx, oclin_layer_dw(b->layer)) : 0) +
                        (b->c.b && b->c.bias ? squares(b->ctx, oclin_layer_db(b->layer)) : 0);
    for (int with_dy = 0; with_dy < 2; with_dy++) {
        assert_ok(b->ctx, oclin_layer_grad_norm2(b->layer, with_dy ? b->dy.t : NULL, norm2, &o));
        check_scalar("stored", scalar(b->ctx, norm2), want, 20 * 0x1p-24 * want);
    }
    assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    assert_ok(b->ctx, oclin_layer_grad_norm2(b->layer, NULL, norm2, &o));
    assert_true(scalar(b->ctx, norm2) == 0);
    oclin_tensor_destroy(norm2);
}

struct layer_case {
    int plan, config;
};

static void test_layer(void **state)
{
    const struct layer_case *t = *state;
    const struct config *c = &configs[t->config];
    for (int positive = 0; positive < 2; positive++) {
        struct bench b = bench(context(t->plan), c, 5 + (uint64_t)t->config, positive);
        assert_int_equal(oclin_plan_grams((struct oclin_shape){c->batch, c->in, c->out}, c->w), c->grams);
        check_layer(&b);
        check_stored_norm(&b);
        check_canaries("x", &b.x);
        check_canaries("dy", &b.dy);
        release(&b);
    }
}

/* Operands are packed into scratch memory, in front of what the norm keeps there. */
static void test_packed(void **state)
{
    static const struct config packed[] = {{60, 300, 200, OCLIN_NONE, 1, 1, 0, 1, 1, 1},
                                           {40, 20, 24, OCLIN_NONE, 0, 1, 0, 1, 1, 0}};
    (void)state;
    needs_plan("simd-packed");
    oclin_context *ctx = verifying("simd-packed", NULL);
    for (size_t i = 0; i < COUNT_OF(packed); i++) {
        struct bench b = bench(ctx, &packed[i], i, 0);
        check_layer(&b);
        release(&b);
    }
    oclin_context_destroy(ctx);
}

/* Several layers and a tensor share a scalar; an empty batch adds nothing; a saved state is another
 * forward. */
static void test_shared_scalar(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    struct bench b = bench(ctx, &configs[1], 3, 0), other = bench(ctx, &configs[2], 4, 0);
    struct oclin_grad_norm_options o = OCLIN_GRAD_NORM_OPTIONS_INIT;
    oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL), *none, *none_out;
    const double first = direct(&b), second = direct(&other), third = squares(ctx, oclin_layer_w(b.layer));
    double want = first + second + third;
    o.accumulate = 1;
    assert_ok(ctx, oclin_tensor_norm2(oclin_layer_w(b.layer), norm2, 0));
    assert_ok(ctx, oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, &o));
    assert_ok(ctx, oclin_layer_grad_norm2(other.layer, other.dy.t, norm2, &o));
    check_scalar("all", scalar(ctx, norm2), want, 1e-5 * want);

    assert_ok(ctx, oclin_saved_create(&o.saved, ctx));
    assert_ok(ctx, oclin_tensor_view_rows(&none, b.x.t, 0, 0));
    assert_ok(ctx, oclin_tensor_view_rows(&none_out, b.y.t, 0, 0));
    assert_ok(ctx, oclin_layer_forward_saved(b.layer, none, none_out, o.saved));
    assert_ok(ctx, oclin_layer_grad_norm2(b.layer, none_out, norm2, &o));
    check_scalar("all", scalar(ctx, norm2), want, 1e-5 * want);
    o.accumulate = 0;
    assert_ok(ctx, oclin_layer_grad_norm2(b.layer, none_out, norm2, &o));
    assert_true(scalar(ctx, norm2) == 0);
    assert_ok(ctx, oclin_tensor_norm2(b.x.t, norm2, 0));
    assert_ok(ctx, oclin_tensor_norm2(none, norm2, 1));
    check_scalar("of x", scalar(ctx, norm2), squares(ctx, b.x.t), 1e-5 * squares(ctx, b.x.t));
    assert_ok(ctx, oclin_tensor_norm2(none, norm2, 0));
    assert_true(scalar(ctx, norm2) == 0);
    /* the layer's own forward is still the first one */
    assert_ok(ctx, oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, NULL));
    check_scalar("own", scalar(ctx, norm2), first, 1e-5 * first);
    oclin_saved_destroy(o.saved);
    /* nothing counts */
    o = (struct oclin_grad_norm_options)OCLIN_GRAD_NORM_OPTIONS_INIT;
    o.w = o.b = 0;
    assert_ok(ctx, oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, &o));
    assert_true(scalar(ctx, norm2) == 0);
    oclin_tensor_destroy(none);
    oclin_tensor_destroy(none_out);
    oclin_tensor_destroy(norm2);
    release(&b);
    release(&other);
}

/* Where y was added to, the derivative comes from what was kept apart. */
static void test_kept_apart(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    struct bench b = bench(ctx, &configs[1], 8, 0);
    struct oclin_call_options adds = OCLIN_CALL_OPTIONS_INIT;
    oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    const double want = direct(&b);
    adds.accumulate = 1;
    assert_ok(ctx, oclin_tensor_fill(flag, 0));
    assert_ok(ctx, oclin_tensor_fill(b.y.t, -100));
    assert_ok(ctx, oclin_layer_forward_with(b.layer, b.x.t, b.y.t, &adds));
    assert_ok(ctx, oclin_tensor_fill(b.y.t, NAN));
    assert_ok(ctx, oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, NULL));
    check_scalar("norm2", scalar(ctx, norm2), want, 1e-5 * want);
    assert_ok(ctx, oclin_layer_check_finite(b.layer, b.dy.t, flag, NULL));
    assert_int_equal(integer(ctx, flag), 0);
    oclin_tensor_destroy(norm2);
    oclin_tensor_destroy(flag);
    release(&b);
}

/* ------------------------------------------------------------------------------ near 0, and not finite */

/* All samples have the same x, and the dZ of the last one undoes the others': dW is what the roundings of dY
 * leave, while dZ and X are large. Of many such norms some would be below 0. */
static void test_cancels(void **state)
{
    static const struct config c = {5, 40, 30, OCLIN_NONE, 0, 1, 0, 1, 1, 1};
    oclin_context *ctx = context(*(int *)*state);
    oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    int clamped = 0;
    for (uint64_t seed = 0; seed < 24; seed++) {
        struct bench b = bench(ctx, &c, seed, 0);
        double reference, bound, largest = 0;
        for (int64_t i = c.in; i < c.batch * c.in; i++) b.host_x[i] = b.host_x[i % c.in];
        for (int64_t o = 0; o < c.out; o++) {
            float sum = 0;
            for (int64_t n = 0; n + 1 < c.batch; n++) sum += b.host_dy[n * c.out + o];
            b.host_dy[(c.batch - 1) * c.out + o] = -sum;
        }
        assert_ok(ctx, oclin_tensor_write(b.x.t, b.host_x));
        assert_ok(ctx, oclin_tensor_write(b.dy.t, b.host_dy));
        assert_ok(ctx, oclin_layer_forward(b.layer, b.x.t, b.y.t));
        const double want = direct(&b);
        const struct oclin_ref_case rc = case_of(&b);
        oclin_ref_grad_norm2(&rc, 1, 1, b.host_x, b.dz, b.dz_bound, &reference, &bound);
        for (int64_t i = 0; i < c.batch * c.out; i++) largest = fmax(largest, fabs(b.dz[i]));
        assert_true(largest > 1 && want < 1e-10 && bound < 0.05);
        assert_ok(ctx, oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, NULL));
        const float got = scalar(ctx, norm2);
        assert_true(got >= 0);
        check_scalar("norm2", got, want, bound);
        clamped += got == 0;
        release(&b);
    }
    assert_in_range(clamped, 1, 23);
    oclin_tensor_destroy(norm2);
}

/* By the identity and by dW alike. ReLU drops what its derivative drops. */
static const struct {
    int in_x;
    float value;
} odd_values[] = {{0, NAN}, {0, INFINITY}, {0, -INFINITY}, {1, NAN}, {1, INFINITY}, {1, -INFINITY}};

static void set_element(struct bench *b, int in_x, int64_t at, float value)
{
    (in_x ? b->host_x : b->host_dy)[at] = value;
    assert_ok(b->ctx, oclin_tensor_write(in_x ? b->x.t : b->dy.t, in_x ? b->host_x : b->host_dy));
    if (in_x) assert_ok(b->ctx, oclin_layer_forward(b->layer, b->x.t, b->y.t));
}

static void test_not_finite(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    for (int grams = 0; grams < 2; grams++)
        for (size_t i = 0; i < COUNT_OF(odd_values); i++) {
            const struct config none = {grams ? 2 : 4, 7, 5, OCLIN_NONE, 0, 1, 0, 1, 1, grams};
            struct bench b = bench(ctx, &none, i, 0);
            set_element(&b, odd_values[i].in_x, 4, odd_values[i].value);
            assert_ok(ctx, oclin_tensor_fill(flag, 0));
            assert_ok(ctx, oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, NULL));
            assert_false(isfinite(scalar(ctx, norm2)));
            assert_ok(ctx, oclin_layer_check_finite(b.layer, b.dy.t, flag, NULL));
            assert_int_equal(integer(ctx, flag), 1);
            release(&b);
        }
    oclin_tensor_destroy(norm2);
    oclin_tensor_destroy(flag);
}

static void test_relu_drops(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    for (int grams = 0; grams < 2; grams++) {
        const struct config c = {grams ? 2 : 4, 7, 5, OCLIN_RELU, 0, 1, 0, 1, 1, grams};
        struct bench b = bench(ctx, &c, 1, 0);
        float *y = stored_of(&b);
        int64_t off = 0, on = 0;
        while (y[off] > 0) off++;
        while (!(y[on] > 0)) on++;
        set_element(&b, 0, off, INFINITY);
        assert_ok(ctx, oclin_tensor_fill(flag, 0));
        assert_ok(ctx, oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, NULL));
        assert_true(isfinite(scalar(ctx, norm2)) && scalar(ctx, norm2) > 0);
        assert_ok(ctx, oclin_layer_check_finite(b.layer, b.dy.t, flag, NULL));
        assert_int_equal(integer(ctx, flag), 0);
        set_element(&b, 0, on, INFINITY);
        assert_ok(ctx, oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, NULL));
        assert_false(isfinite(scalar(ctx, norm2)));
        assert_ok(ctx, oclin_layer_check_finite(b.layer, b.dy.t, flag, NULL));
        assert_int_equal(integer(ctx, flag), 1);
        free(y);
        release(&b);
    }
    oclin_tensor_destroy(norm2);
    oclin_tensor_destroy(flag);
}

/* A NaN or Inf in each place of a matrix with gaps, in which poison must not be seen. */
static void test_finite(void **state)
{
    enum { COLS = 8195, N = 2 * COLS };
    static const int64_t places[] = {0, 1, 5, 4096, 8191, 8192, COLS - 1, COLS, N - 1};
    static const float values[] = {NAN, INFINITY, -INFINITY};
    oclin_context *ctx = context(*(int *)*state);
    float *host = new_array(float, N);
    struct rng rng = {9};
    fill_zero_mean(&rng, host, N);
    host[7] = FLT_MAX;
    host[8] = 0x1p-149f;
    struct placed t = tensor_from(ctx, 2, COLS, COLS + 3, 5, host);
    oclin_tensor *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    for (int before = 0; before < 6; before += 5) { /* a flag that nobody sets stays what it is */
        assert_ok(ctx, oclin_tensor_fill(flag, before));
        assert_ok(ctx, oclin_check_finite(t.t, flag));
        assert_int_equal(integer(ctx, flag), before);
    }
    for (size_t i = 0; i < COUNT_OF(places); i++) {
        const float was = host[places[i]];
        host[places[i]] = values[i % COUNT_OF(values)];
        assert_ok(ctx, oclin_tensor_write(t.t, host));
        assert_ok(ctx, oclin_tensor_fill(flag, i % 2 ? 0 : 6));
        assert_ok(ctx, oclin_check_finite(t.t, flag));
        assert_int_equal(integer(ctx, flag), 1);
        host[places[i]] = was;
    }
    assert_ok(ctx, oclin_tensor_write(t.t, host));
    assert_ok(ctx, oclin_check_finite(t.t, flag));
    assert_int_equal(integer(ctx, flag), 1); /* shared: it stays set */
    oclin_tensor *none;
    assert_ok(ctx, oclin_tensor_view_rows(&none, t.t, 0, 0));
    assert_ok(ctx, oclin_check_finite(none, flag));
    check_canaries("t", &t);
    tensor_release(&t);
    oclin_tensor_destroy(none);
    oclin_tensor_destroy(flag);
    free(host);
}

/* Of a layer with stored gradients it looks at these. */
static void test_finite_stored(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    struct bench b = bench(ctx, &configs[1], 2, 0);
    oclin_tensor *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    const float bad[5] = {0, 0, 0, INFINITY, 0};
    assert_ok(ctx, oclin_tensor_fill(flag, 0));
    assert_ok(ctx, oclin_layer_backward(b.layer, b.dy.t, NULL));
    assert_ok(ctx, oclin_layer_check_finite(b.layer, NULL, flag, NULL));
    assert_int_equal(integer(ctx, flag), 0);
    assert_ok(ctx, oclin_tensor_write(oclin_layer_db(b.layer), bad));
    assert_ok(ctx, oclin_layer_check_finite(b.layer, b.dy.t, flag, NULL));
    assert_int_equal(integer(ctx, flag), 1);
    assert_ok(ctx, oclin_tensor_fill(flag, 0));
    assert_ok(ctx, oclin_layer_zero_grad(b.layer));
    assert_ok(ctx, oclin_layer_check_finite(b.layer, NULL, flag, NULL));
    assert_int_equal(integer(ctx, flag), 0);
    assert_ok(ctx, oclin_tensor_write(oclin_layer_db(b.layer), bad)); /* db alone */
    assert_ok(ctx, oclin_layer_check_finite(b.layer, b.dy.t, flag, NULL));
    assert_int_equal(integer(ctx, flag), 1);
    oclin_tensor_destroy(flag);
    release(&b);
}

/* -------------------------------------------------------------------------------------------- the factor */

static void test_factor(void **state)
{
    static const float norms[] = {0, 1e-12f, 1e-3f, 0.25f, 1, 4, 100, 1e10f, 3e38f, 0x1p-149f, INFINITY, NAN};
    static const double limits[] = {0, 1e-7, 0.5, 1, 2, 1e3, INFINITY}, scales[] = {1, 1.0 / 65536, 3, 1e30};
    oclin_context *ctx = context(*(int *)*state);
    oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *factor = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    for (size_t i = 0; i < COUNT_OF(norms); i++)
        for (size_t j = 0; j < COUNT_OF(limits); j++)
            for (size_t k = 0; k < COUNT_OF(scales); k++) {
                const double s = scales[k], norm = s * sqrt((double)norms[i]);
                const double share = limits[j] / (norm + 1e-6);
                if (isfinite(norm) && norm > (double)FLT_MAX) continue; /* infinite on the device */
                const double want = isnan(share) ? NAN : s * (share < 1 ? share : 1);
                double reference, bound;
                assert_ok(ctx, oclin_tensor_write(norm2, &norms[i]));
                assert_ok(ctx, oclin_clip_factor(norm2, limits[j], s, factor));
                oclin_ref_clip_factor(NULL, (double)norms[i], 0, limits[j], s, &reference, &bound);
                const float got = scalar(ctx, factor);
                assert_true(isnan(want) ? isnan(reference) : fabs(reference - want) <= 1e-15 * want);
                if (isnan(want) ? !isnan(got) : !(fabs((double)got - want) <= 3e-6 * want + 1e-37 * (1 + s)))
                    fail_msg("of %g, limit %g, scale %g: %g", (double)norms[i], limits[j], s, (double)got);
                const int flushed = norms[i] > 0 && norms[i] < FLT_MIN;
                if (!isnan(want) && !flushed && !(bound <= 3e-6 * want + 1e-37 * (1 + s)))
                    fail_msg("the bound of %g, limit %g, scale %g, is %g", (double)norms[i], limits[j], s,
                             bound);
                if (!isnan(want)) check_scalar("factor", got, want, bound);
            }
    oclin_tensor_destroy(norm2);
    oclin_tensor_destroy(factor);
}

/* -------------------------------------------------------------------------------------- a clipped step */

/* Two layers with a global norm, without dW, against PyTorch's formula on gradients that are stored. */
static void test_clipped_update(void **state)
{
    enum { LAYERS = 2 };
    oclin_context *ctx = context(*(int *)*state);
    const double scale = 1.0 / 1024, lr = 0.5;
    for (int clips = 0; clips < 2; clips++) {
        struct bench b[LAYERS] = {bench(ctx, &configs[0], 21, 0), bench(ctx, &configs[2], 22, 0)};
        struct oclin_optimizer_options momentum = OCLIN_SGD_OPTIONS_INIT;
        struct oclin_grad_norm_options o = OCLIN_GRAD_NORM_OPTIONS_INIT;
        oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                     *factor = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                     *skip = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
        oclin_optimizer *optimizer;
        double sum = 0;
        float *w[LAYERS], *dw[LAYERS];
        momentum.momentum = 0.9;
        assert_ok(ctx, oclin_optimizer_create(&optimizer, ctx, &momentum));
        for (int i = 0; i < LAYERS; i++) {
            const int64_t n = b[i].c.in * b[i].c.out;
            w[i] = new_array(float, n);
            dw[i] = new_array(float, n);
            assert_ok(ctx, oclin_optimizer_add(optimizer, b[i].layer, NULL));
            assert_ok(ctx, oclin_layer_backward(b[i].layer, b[i].dy.t, NULL));
            sum += squares(ctx, oclin_layer_dw(b[i].layer)) + squares(ctx, oclin_layer_db(b[i].layer));
            assert_ok(ctx, oclin_tensor_read(oclin_layer_w(b[i].layer), w[i]));
            assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(b[i].layer), dw[i]));
            assert_ok(ctx, oclin_layer_zero_grad(b[i].layer));
        }
        const double norm = scale * sqrt(sum), max_norm = clips ? norm / 3 : norm * 3;
        const double share = max_norm / (norm + 1e-6), want = scale * (share < 1 ? share : 1);
        assert_ok(ctx, oclin_tensor_fill(skip, 0));
        for (int i = 0; i < LAYERS; i++) {
            o.accumulate = i > 0;
            assert_ok(ctx, oclin_layer_check_finite(b[i].layer, b[i].dy.t, skip, NULL));
            assert_ok(ctx, oclin_layer_grad_norm2(b[i].layer, b[i].dy.t, norm2, &o));
        }
        assert_ok(ctx, oclin_clip_factor(norm2, max_norm, scale, factor));
        check_scalar("factor", scalar(ctx, factor), want, 1e-5 * want);
        struct oclin_update update = OCLIN_UPDATE_INIT(lr);
        update.factor = factor;
        update.skip = skip;
        for (int i = 0; i < LAYERS; i++) {
            const int64_t n = b[i].c.in * b[i].c.out;
            float *got = new_array(float, n);
            double *new_w = new_array(double, n), *bound = new_array(double, n);
            assert_ok(ctx, oclin_layer_backward_update(b[i].layer, b[i].dy.t, NULL, optimizer, &update));
            assert_ok(ctx, oclin_tensor_read(oclin_layer_w(b[i].layer), got));
            for (int64_t j = 0; j < n; j++) {
                const double step = lr * want * (double)dw[i][j];
                new_w[j] = (double)w[i][j] - step;
                bound[j] = 3 * 0x1p-24 * fabs((double)w[i][j]) + 2e-5 * fabs(step) + 1e-9;
            }
            check_bound("w", 1, n, n, got, new_w, bound);
            /* and one that is to be skipped */
            assert_ok(ctx, oclin_tensor_fill(b[i].dy.t, INFINITY));
            assert_ok(ctx, oclin_layer_check_finite(b[i].layer, b[i].dy.t, skip, NULL));
            assert_ok(ctx, oclin_layer_backward_update(b[i].layer, b[i].dy.t, NULL, optimizer, &update));
            float *after = new_array(float, n);
            assert_ok(ctx, oclin_tensor_read(oclin_layer_w(b[i].layer), after));
            check_same_bits("skipped", after, got, n);
            assert_ok(ctx, oclin_tensor_fill(skip, 0));
            free(got), free(after), free(new_w), free(bound), free(w[i]), free(dw[i]);
        }
        oclin_optimizer_destroy(optimizer);
        oclin_tensor_destroy(norm2);
        oclin_tensor_destroy(factor);
        oclin_tensor_destroy(skip);
        for (int i = 0; i < LAYERS; i++) release(&b[i]);
    }
}

/* --------------------------------------------------------------------------------------------- refusals */

static void test_refused_tensors(void **state)
{
    oclin_context *ctx = context(0), *other = verifying("plain", NULL);
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 2, 3, NULL),
                 *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *factor = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL),
                 *wide = make_tensor(ctx, OCLIN_F32, 1, 2, NULL),
                 *flags = make_tensor(ctx, OCLIN_I32, 2, 1, NULL),
                 *foreign = make_tensor(other, OCLIN_F32, 1, 1, NULL), *inside;
    static const double no_scale[] = {0, -1, 1e-46, 1e39, INFINITY, NAN};
    (void)state;
    assert_ok(ctx, oclin_tensor_fill(t, 1));
    assert_ok(ctx, oclin_tensor_fill(norm2, 1));
    assert_ok(ctx, oclin_tensor_fill(flag, 0));
    assert_ok(ctx, oclin_tensor_view(&inside, t, 4, 1, 1, 1));
    assert_int_equal(oclin_tensor_norm2(NULL, NULL, 0), OCLIN_E_ARG);
    assert_int_equal(oclin_clip_factor(NULL, 1, 1, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_check_finite(NULL, NULL), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "t is NULL", oclin_tensor_norm2(NULL, norm2, 0));
    assert_refused(ctx, OCLIN_E_ARG, "norm2 is NULL", oclin_tensor_norm2(t, NULL, 0));
    assert_refused(ctx, OCLIN_E_ARG, "accumulate is 2", oclin_tensor_norm2(t, norm2, 2));
    assert_refused(ctx, OCLIN_E_SHAPE, "norm2 is 1 x 2", oclin_tensor_norm2(t, wide, 0));
    assert_refused(ctx, OCLIN_E_ARG, "norm2 is i32", oclin_tensor_norm2(t, flag, 0));
    assert_refused(ctx, OCLIN_E_ARG, "t is i32", oclin_tensor_norm2(flag, norm2, 0));
    assert_refused(ctx, OCLIN_E_ARG, "another context", oclin_tensor_norm2(t, foreign, 0));
    assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_tensor_norm2(t, inside, 0));
    assert_refused(ctx, OCLIN_E_ARG, "norm2 is NULL", oclin_clip_factor(NULL, 1, 1, factor));
    assert_refused(ctx, OCLIN_E_ARG, "factor is NULL", oclin_clip_factor(norm2, 1, 1, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "max_norm is -1", oclin_clip_factor(norm2, -1, 1, factor));
    assert_refused(ctx, OCLIN_E_ARG, "max_norm is ", oclin_clip_factor(norm2, NAN, 1, factor));
    for (size_t i = 0; i < COUNT_OF(no_scale); i++)
        assert_refused(ctx, OCLIN_E_ARG, "scale is ", oclin_clip_factor(norm2, 1, no_scale[i], factor));
    assert_refused(ctx, OCLIN_E_SHAPE, "factor is 1 x 2", oclin_clip_factor(norm2, 1, 1, wide));
    assert_refused(ctx, OCLIN_E_SHAPE, "norm2 is 1 x 2", oclin_clip_factor(wide, 1, 1, factor));
    assert_refused(ctx, OCLIN_E_ARG, "factor is i32", oclin_clip_factor(norm2, 1, 1, flag));
    assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_clip_factor(norm2, 1, 1, norm2));
    assert_refused(ctx, OCLIN_E_ARG, "t is NULL", oclin_check_finite(NULL, flag));
    assert_refused(ctx, OCLIN_E_ARG, "flag is NULL", oclin_check_finite(t, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "flag is f32", oclin_check_finite(t, norm2));
    assert_refused(ctx, OCLIN_E_ARG, "t is i32", oclin_check_finite(flags, flag));
    assert_refused(ctx, OCLIN_E_SHAPE, "flag is 2 x 1", oclin_check_finite(t, flags));
    assert_true(scalar(ctx, norm2) == 1 && integer(ctx, flag) == 0);
    oclin_tensor *const all[] = {t, norm2, factor, flag, wide, flags, foreign, inside};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_context_destroy(other);
}

static void test_refused_layers(void **state)
{
    oclin_context *ctx = context(0);
    struct bench b = bench(ctx, &configs[1], 3, 0);
    oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL), *inside;
    struct oclin_grad_norm_options o = OCLIN_GRAD_NORM_OPTIONS_INIT;
    oclin_layer *fresh;
    oclin_saved *empty;
    (void)state;
    assert_ok(ctx, oclin_tensor_fill(norm2, 7));
    assert_ok(ctx, oclin_tensor_fill(flag, 0));
    assert_ok(ctx, oclin_layer_create(&fresh, ctx, 7, 5, NULL));
    assert_ok(ctx, oclin_saved_create(&empty, ctx));
    assert_ok(ctx, oclin_tensor_view(&inside, b.dy.t, 1, 1, 1, 1));
    assert_int_equal(oclin_layer_grad_norm2(NULL, b.dy.t, norm2, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_check_finite(NULL, b.dy.t, flag, NULL), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "norm2 is NULL", oclin_layer_grad_norm2(b.layer, b.dy.t, NULL, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "flag is NULL", oclin_layer_check_finite(b.layer, b.dy.t, NULL, NULL));
    assert_refused(ctx, OCLIN_E_STATE, "dy is NULL, and no gradient",
                   oclin_layer_grad_norm2(b.layer, NULL, norm2, NULL));
    assert_refused(ctx, OCLIN_E_STATE, "dy is NULL, and no gradient",
                   oclin_layer_check_finite(b.layer, NULL, flag, NULL));
    assert_refused(ctx, OCLIN_E_STATE, "before forward", oclin_layer_grad_norm2(fresh, b.dy.t, norm2, NULL));
    assert_refused(ctx, OCLIN_E_STATE, "before forward", oclin_layer_check_finite(fresh, b.dy.t, flag, NULL));
    assert_refused(ctx, OCLIN_E_STATE, "before forward",
                   oclin_layer_check_finite(b.layer, b.dy.t, flag, empty));
    assert_refused(ctx, OCLIN_E_SHAPE, "dy is 2 x 7", oclin_layer_grad_norm2(b.layer, b.x.t, norm2, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "dy is 2 x 7", oclin_layer_check_finite(b.layer, b.x.t, flag, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_layer_grad_norm2(b.layer, b.dy.t, inside, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "norm2 is i32", oclin_layer_grad_norm2(b.layer, b.dy.t, flag, NULL));
    o.w = 2;
    assert_refused(ctx, OCLIN_E_ARG, "w is 2", oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, &o));
    o.w = 1, o.b = -1;
    assert_refused(ctx, OCLIN_E_ARG, "b is -1", oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, &o));
    o.b = 1, o.accumulate = 3;
    assert_refused(ctx, OCLIN_E_ARG, "accumulate is 3", oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, &o));
    o.accumulate = 0, o.reserved = 1;
    assert_refused(ctx, OCLIN_E_ARG, "reserved is 1", oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, &o));
    o.reserved = 0, o.saved = empty;
    assert_refused(ctx, OCLIN_E_STATE, "before forward", oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, &o));
    o.size = 0;
    assert_refused(ctx, OCLIN_E_ARG, "size", oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, &o));
    assert_ok(ctx, oclin_tensor_write(b.x.t, b.host_x));
    assert_refused(ctx, OCLIN_E_STATE, "x was written 1 times",
                   oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, NULL));
    assert_true(scalar(ctx, norm2) == 7 && integer(ctx, flag) == 0);
    oclin_layer_destroy(fresh);
    oclin_saved_destroy(empty);
    oclin_tensor_destroy(norm2);
    oclin_tensor_destroy(flag);
    oclin_tensor_destroy(inside);
    release(&b);
}

/* In a strict context what is added to must have been written; what is overwritten need not. */
static void test_strict(void **state)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = "plain";
    options.strict = 1;
    oclin_context *ctx = make_context_with(options);
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 2, 3, NULL),
                 *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *factor = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    (void)state;
    assert_refused(ctx, OCLIN_E_STATE, "t is read", oclin_tensor_norm2(t, norm2, 0));
    assert_ok(ctx, oclin_tensor_fill(t, 2));
    assert_refused(ctx, OCLIN_E_STATE, "norm2 is read", oclin_tensor_norm2(t, norm2, 1));
    assert_refused(ctx, OCLIN_E_STATE, "norm2 is read", oclin_clip_factor(norm2, 1, 1, factor));
    assert_refused(ctx, OCLIN_E_STATE, "flag is read", oclin_check_finite(t, flag));
    assert_ok(ctx, oclin_tensor_norm2(t, norm2, 0));
    assert_ok(ctx, oclin_tensor_norm2(t, norm2, 1));
    assert_true(scalar(ctx, norm2) == 48);
    assert_ok(ctx, oclin_clip_factor(norm2, 1, 1, factor));
    assert_ok(ctx, oclin_tensor_fill(flag, 0));
    assert_ok(ctx, oclin_check_finite(t, flag));
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(norm2);
    oclin_tensor_destroy(factor);
    oclin_tensor_destroy(flag);
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------------------------------ wrong kernels */

enum { TENSOR_NORM, LAYER_NORM, FACTOR, FINITE, NOT_FINITE };
static const struct mistake {
    const char *what, *file, *from, *to;
    int call;
    const char *says;
} mistakes[] = {
    {"squares that are taken off", "norm_parts.cl", "MULTIPLY_ADD(load", "MULTIPLY_ADD(-load", TENSOR_NORM,
     "norm2: norm2[0, 0] is 1, the reference says "},
    {"a sum that is not added to", "norm_sum.cl", "sum += norm2[norm2_offset]", "sum += 0.0f", TENSOR_NORM,
     "norm2: norm2[0, 0] is "},
    {"dy for dZ", "grad_z.cl", "grad_z(load_lanes(dy_row + i, lanes), load_lanes(s_row + i, lanes))",
     "load_lanes(dy_row + i, lanes)", LAYER_NORM, "norm2: norm2[0, 0] is "},
    {"no epsilon", "clip_factor.cl", " + 1e-6f", "", FACTOR, "clip_factor: factor[0, 0] is "},
    {"a flag too many", "check_finite.cl", "isnan(all)", "!isnan(all)", FINITE,
     "check_finite: flag[0, 0] is 1, the reference says 0"},
    {"an Inf that is passed over", "check_finite.cl", "isnan(all)", "0", NOT_FINITE,
     "check_finite: flag[0, 0] is 0, the reference says 1"},
};

static oclin_status mistaken_call(oclin_context *ctx, int call, oclin_tensor *norm2, oclin_tensor *flag)
{
    const float two[] = {1, 1.5f};
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 2, two),
                 *factor = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    oclin_status status = OCLIN_OK;
    if (call == TENSOR_NORM) status = oclin_tensor_norm2(t, norm2, 1);
    if (call == FACTOR) status = oclin_clip_factor(norm2, 1e-4, 1, factor);
    if (call == NOT_FINITE) assert_ok(ctx, oclin_tensor_fill(t, NAN));
    if (call == FINITE || call == NOT_FINITE) status = oclin_check_finite(t, flag);
    if (call == LAYER_NORM) {
        struct bench b = bench(ctx, &configs[1], 1, 1);
        status = oclin_layer_grad_norm2(b.layer, b.dy.t, norm2, NULL);
        release(&b);
    }
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(factor);
    return status;
}

static void test_mistake(void **state)
{
    const struct mistake *m = *state;
    char folder[PATH_BYTES / 2];
    make_temporary_folder(folder);
    write_changed(folder, m->file, built_in(m->file), m->from, m->to);
    oclin_context *ctx = verifying("plain", folder);
    oclin_tensor *norm2 = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *flag = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    assert_ok(ctx, oclin_tensor_fill(norm2, m->call == FACTOR ? 1e-8 : 1));
    assert_ok(ctx, oclin_tensor_fill(flag, 0));
    clear_context_log();
    assert_status(ctx, OCLIN_E_VERIFY, mistaken_call(ctx, m->call, norm2, flag));
    check_logged(m->says);
    oclin_tensor_destroy(norm2);
    oclin_tensor_destroy(flag);
    oclin_context_destroy(ctx);
    remove_all(folder);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        CMUnitTestFunction test;
    } on_plans[] = {{"tensor", test_tensor},
                    {"tensor, exact", test_tensor_exact},
                    {"tensor, special", test_tensor_special},
                    {"shared scalar", test_shared_scalar},
                    {"kept apart", test_kept_apart},
                    {"cancels", test_cancels},
                    {"not finite", test_not_finite},
                    {"relu drops", test_relu_drops},
                    {"finite", test_finite},
                    {"finite, stored", test_finite_stored},
                    {"factor", test_factor},
                    {"clipped update", test_clipped_update}};
    static struct layer_case cases[PLANS * CONFIGS];
    struct test_list list = {NULL, 0, 0};
    for (int p = 0; p < PLANS; p++) {
        for (size_t i = 0; i < COUNT_OF(on_plans); i++)
            add_test(&list, on_plans[i].test, &plan_numbers[p], "%s/%s", plans[p], on_plans[i].name);
        for (int i = 0; i < CONFIGS; i++) {
            const struct config *c = &configs[i];
            cases[p * CONFIGS + i] = (struct layer_case){p, i};
            add_test(&list, test_layer, &cases[p * CONFIGS + i], "%s/layer %lldx%lldx%lld/%s%s%s%s%s%s",
                     plans[p], (long long)c->batch, (long long)c->in, (long long)c->out,
                     activation_name(c->activation), c->mean ? ", mean" : "", c->bias ? "" : ", no bias",
                     c->transposed ? ", transposed" : "", c->w ? "" : ", db", c->b ? "" : ", dw");
        }
    }
    add_test(&list, test_packed, NULL, "simd-packed/layer");
    add_test(&list, test_refused_tensors, NULL, "refused/tensors");
    add_test(&list, test_refused_layers, NULL, "refused/layers");
    add_test(&list, test_strict, NULL, "refused/strict");
    for (size_t i = 0; i < COUNT_OF(mistakes); i++)
        add_test(&list, test_mistake, (void *)(uintptr_t)&mistakes[i], "wrong kernel/%s", mistakes[i].what);
    const int code = run_list("norm", &list, argc, argv);
    for (int p = 0; p < PLANS; p++) oclin_context_destroy(contexts[p]);
    return code;
}
