/* Making a layer: options, parameters of its own and handed in, what it says about itself, its memory. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

static oclin_context *shared; /* of all tests; the plan does not matter here */

static oclin_context *context(void)
{
    if (!shared) shared = make_context("plain");
    return shared;
}

static oclin_layer *make_layer(int64_t in, int64_t out, const struct oclin_layer_options *options)
{
    oclin_layer *l = NULL;
    assert_ok(context(), oclin_layer_create(&l, context(), in, out, options));
    return l;
}

static float *contents(oclin_tensor *t)
{
    float *host = new_array(float, oclin_tensor_rows(t) * oclin_tensor_cols(t));
    assert_ok(context(), oclin_tensor_read(t, host));
    return host;
}

/* ---------------------------------------------------------------------------------------------- options */

struct create_case {
    const char *what;
    int64_t in, out;
    int bias, activation, init, gradient;
    oclin_status status;
    const char *part;
};

static struct create_case create_cases[] = {
    {"in 0", 0, 3, 1, 0, 0, 0, OCLIN_E_SHAPE, "from 0 to 3"},
    {"out 0", 3, 0, 1, 0, 0, 0, OCLIN_E_SHAPE, "from 3 to 0"},
    {"in negative", -2, 3, 1, 0, 0, 0, OCLIN_E_SHAPE, "from -2 to 3"},
    {"out lowest", 3, INT64_MIN, 1, 0, 0, 0, OCLIN_E_SHAPE, ""},
    {"in times out overflows", INT64_MAX, INT64_MAX, 1, 0, 0, 0, OCLIN_E_SHAPE, "overflow"},
    {"bytes overflow", INT64_C(1) << 31, INT64_C(1) << 31, 1, 0, 0, 0, OCLIN_E_SHAPE, ""},
    {"too large for the device", INT64_C(1) << 25, INT64_C(1) << 25, 1, 0, 0, 0, OCLIN_E_SHAPE,
     "largest buffer"},
    {"activation too large", 2, 3, 1, 10, 0, 0, OCLIN_E_ARG, "activation 10"},
    {"activation negative", 2, 3, 1, -1, 0, 0, OCLIN_E_ARG, "activation -1"},
    {"init too large", 2, 3, 1, 0, 3, 0, OCLIN_E_ARG, "init 3"},
    {"init negative", 2, 3, 1, 0, -1, 0, OCLIN_E_ARG, "init -1"},
    {"gradient too large", 2, 3, 1, 0, 0, 2, OCLIN_E_ARG, "gradient 2"},
    {"gradient negative", 2, 3, 1, 0, 0, -1, OCLIN_E_ARG, "gradient -1"},
    {"bias 2", 2, 3, 2, 0, 0, 0, OCLIN_E_ARG, "bias is 2"},
    {"bias negative", 2, 3, -1, 0, 0, 0, OCLIN_E_ARG, "bias is -1"},
    {"smallest", 1, 1, 0, OCLIN_GELU, OCLIN_INIT_ZERO, OCLIN_GRAD_MEAN, OCLIN_OK, ""},
};

static void test_create(void **state)
{
    const struct create_case *c = *state;
    oclin_context *ctx = context();
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = c->bias;
    options.activation = (oclin_activation)c->activation;
    options.init = (oclin_init)c->init;
    options.gradient = (oclin_gradient)c->gradient;
    oclin_layer *l = (oclin_layer *)ctx;
    const int64_t held = ctx->references;
    const oclin_status status = oclin_layer_create(&l, ctx, c->in, c->out, &options);
    if (c->status == OCLIN_OK) {
        assert_ok(ctx, status);
        oclin_layer_destroy(l);
    } else {
        assert_refused(ctx, c->status, c->part, status);
        assert_null(l);
    }
    assert_true(ctx->references == held); /* nothing that was half made is left */
}

static void test_create_arguments(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_layer *l = (oclin_layer *)ctx;
    assert_int_equal(oclin_layer_create(&l, NULL, 1, 1, NULL), OCLIN_E_ARG);
    assert_null(l);
    assert_int_equal(oclin_layer_create(NULL, ctx, 1, 1, NULL), OCLIN_E_ARG);
    oclin_layer_destroy(NULL);
}

static void test_option_sizes(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    struct {
        struct oclin_layer_options options;
        unsigned char tail[16];
    } newer = {OCLIN_LAYER_OPTIONS_INIT, {0}};
    oclin_layer *l = NULL;
    newer.options.size = 3;
    assert_refused(ctx, OCLIN_E_ARG, "size is 3", oclin_layer_create(&l, ctx, 1, 1, &newer.options));
    newer.options.size = SIZE_MAX / 2;
    assert_refused(ctx, OCLIN_E_ARG, "size is", oclin_layer_create(&l, ctx, 1, 1, &newer.options));
    newer.options.size = sizeof newer;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, &newer.options));
    oclin_layer_destroy(l);
    newer.tail[0] = 1;
    assert_refused(ctx, OCLIN_E_ARG, "does not know", oclin_layer_create(&l, ctx, 1, 1, &newer.options));
    newer.options.size = offsetof(struct oclin_layer_options, init); /* an older caller */
    newer.options.init = (oclin_init)77;
    newer.options.activation = OCLIN_TANH;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, &newer.options));
    assert_int_equal(l->activation, OCLIN_TANH);
    oclin_layer_destroy(l);
}

static void test_getters(void **state)
{
    (void)state;
    oclin_layer *l = make_layer(5, 3, NULL);
    assert_int_equal(oclin_layer_in(l), 5);
    assert_int_equal(oclin_layer_out(l), 3);
    oclin_tensor *const t[] = {oclin_layer_w(l), oclin_layer_b(l), oclin_layer_dw(l), oclin_layer_db(l)};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(oclin_tensor_rows(t[i]), i % 2 ? 1 : 3);
        assert_int_equal(oclin_tensor_cols(t[i]), i % 2 ? 3 : 5);
        assert_int_equal(oclin_tensor_dtype(t[i]), OCLIN_F32);
    }
    assert_ptr_equal(oclin_layer_dw(l), t[2]);
    assert_ptr_equal(oclin_layer_db(l), t[3]);
    oclin_layer_destroy(l);

    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = 0;
    l = make_layer(5, 3, &options);
    assert_null(oclin_layer_b(l));
    assert_null(oclin_layer_db(l));
    assert_non_null(oclin_layer_dw(l));
    oclin_layer_destroy(l);

    assert_int_equal(oclin_layer_in(NULL), 0);
    assert_int_equal(oclin_layer_out(NULL), 0);
    assert_null(oclin_layer_w(NULL));
    assert_null(oclin_layer_b(NULL));
    assert_null(oclin_layer_dw(NULL));
    assert_null(oclin_layer_db(NULL));
}

/* --------------------------------------------------------------------------------------- initialisation */

enum { MANY_IN = 300, MANY_OUT = 301 }; /* more than one piece of the upload, and no multiple of 4 */

/* W is stream 0 and b stream 1 of the seed; with the limit that the number of inputs gives. */
static void test_init(void **state)
{
    const oclin_init init = *(oclin_init *)*state;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.init = init;
    options.seed = UINT64_C(0x100000002);
    oclin_layer *l = make_layer(MANY_IN, MANY_OUT, &options);
    const int64_t n[2] = {(int64_t)MANY_IN * MANY_OUT, MANY_OUT};
    oclin_tensor *const t[2] = {oclin_layer_w(l), oclin_layer_b(l)};
    for (uint32_t stream = 0; stream < 2; stream++) {
        float *want = new_array(float, n[stream]), *got = contents(t[stream]);
        oclin_random_fill(options.seed, stream, init, 1.0 / sqrt((double)MANY_IN), 0, n[stream], want);
        check_same_bits(stream ? "b" : "w", got, want, n[stream]);
        free(want);
        free(got);
    }
    oclin_layer_destroy(l);
}

/* As seen from outside: the range of U(-1/sqrt(in), 1/sqrt(in)), its mean and its variance. */
static void test_init_range(void **state)
{
    (void)state;
    oclin_layer *l = make_layer(MANY_IN, MANY_OUT, NULL);
    float *w = contents(oclin_layer_w(l));
    const int64_t n = (int64_t)MANY_IN * MANY_OUT;
    const double limit = 1.0 / sqrt((double)MANY_IN), variance = limit * limit / 3.0;
    double sum = 0, squares = 0;
    for (int64_t i = 0; i < n; i++) {
        assert_true(fabs((double)w[i]) <= limit);
        sum += w[i];
        squares += (double)w[i] * w[i];
    }
    assert_true(fabs(sum / (double)n) < 5 * sqrt(variance / (double)n));
    assert_true(fabs(squares / (double)n / variance - 1) < 5 * sqrt(0.8 / (double)n));
    free(w);
    oclin_layer_destroy(l);
}

/* The same seed: the same bits. Another: others, in W and in b. */
static void test_init_seeds(void **state)
{
    (void)state;
    enum { IN = 16, OUT = 8, SEEDS = 4 };
    const uint64_t seeds[SEEDS] = {5, 5, 6, 5 + (UINT64_C(1) << 32)};
    float *w[SEEDS], *b[SEEDS];
    for (int i = 0; i < SEEDS; i++) {
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        options.seed = seeds[i];
        oclin_layer *l = make_layer(IN, OUT, &options);
        w[i] = contents(oclin_layer_w(l));
        b[i] = contents(oclin_layer_b(l));
        oclin_layer_destroy(l);
    }
    check_same_bits("w of the same seed", w[1], w[0], IN * OUT);
    check_same_bits("b of the same seed", b[1], b[0], OUT);
    for (int i = 2; i < SEEDS; i++) {
        assert_true(memcmp(w[i], w[0], IN * OUT * sizeof(float)) != 0);
        assert_true(memcmp(b[i], b[0], OUT * sizeof(float)) != 0);
    }
    assert_true(memcmp(w[0], b[0], OUT * sizeof(float)) != 0); /* streams of their own */
    for (int i = 0; i < SEEDS; i++) {
        free(w[i]);
        free(b[i]);
    }
}

/* ------------------------------------------------------------------------------------ handed-in tensors */

enum { IN = 3, OUT = 2 };
enum { GIVEN_W, GIVEN_B, GIVEN_DW, GIVEN_DB, GIVEN };
static const char *const given_names[GIVEN] = {"w", "b", "dw", "db"};
static const int64_t given_rows[GIVEN] = {OUT, 1, OUT, 1}, given_cols[GIVEN] = {IN, OUT, IN, OUT};

static oclin_tensor **slot(struct oclin_layer_options *o, int which)
{
    oclin_tensor **const slots[GIVEN] = {&o->w, &o->b, &o->dw, &o->db};
    return slots[which];
}

static oclin_tensor *wrapped(cl_mem_flags flags, int64_t rows, int64_t cols)
{
    cl_context handle;
    cl_int error;
    oclin_tensor *t = NULL;
    assert_ok(context(), oclin_context_cl(context(), &handle, NULL, NULL));
    cl_mem buffer = clCreateBuffer(handle, flags, (size_t)(rows * cols) * sizeof(float), NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(context(), oclin_tensor_wrap(&t, context(), OCLIN_F32, buffer, 0, rows, cols, cols));
    clReleaseMemObject(buffer);
    return t;
}

enum { TRANSPOSED, MORE_ROWS, INTEGERS, FOREIGN, READ_ONLY, WRITE_ONLY, NO_BIAS, KINDS };
static const char *const kind_names[KINDS] = {"transposed", "more rows",  "i32",     "other context",
                                              "READ_ONLY",  "WRITE_ONLY", "bias = 0"};

struct given_case {
    int which, kind;
};
static struct given_case given_cases[GIVEN * KINDS];

static void test_given(void **state)
{
    const struct given_case *c = *state;
    oclin_context *ctx = context(), *other = make_context("plain");
    const int64_t rows = given_rows[c->which], cols = given_cols[c->which];
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = c->kind != NO_BIAS;
    oclin_tensor **t = slot(&options, c->which);
    oclin_status expected = OCLIN_E_ARG;
    if (c->kind == READ_ONLY || c->kind == WRITE_ONLY)
        *t = wrapped(c->kind == READ_ONLY ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY, rows, cols);
    else if (c->kind == TRANSPOSED || c->kind == MORE_ROWS)
        *t = make_tensor(ctx, OCLIN_F32, c->kind == TRANSPOSED ? cols : rows + 1,
                         c->kind == TRANSPOSED ? rows : cols, NULL);
    else
        *t = make_tensor(c->kind == FOREIGN ? other : ctx, c->kind == INTEGERS ? OCLIN_I32 : OCLIN_F32, rows,
                         cols, NULL);
    if (c->kind == TRANSPOSED || c->kind == MORE_ROWS) expected = OCLIN_E_SHAPE;
    if (c->kind == NO_BIAS && (c->which == GIVEN_W || c->which == GIVEN_DW)) expected = OCLIN_OK;
    if (c->kind == READ_ONLY && (c->which == GIVEN_W || c->which == GIVEN_B)) expected = OCLIN_OK;
    oclin_layer *l = (oclin_layer *)ctx;
    const int64_t held = (*t)->references;
    const oclin_status status = oclin_layer_create(&l, ctx, IN, OUT, &options);
    if (expected == OCLIN_OK)
        assert_ok(ctx, status);
    else {
        assert_refused(ctx, expected, given_names[c->which], status);
        assert_null(l);
    }
    oclin_layer_destroy(l);
    assert_true((*t)->references == held);
    oclin_tensor_destroy(*t);
    oclin_context_destroy(other);
}

/* Values stay, also those of gradients, which count as such; and the layer keeps all four alive. */
static void test_given_are_used(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    const float numbers[IN * OUT] = {1, 2, 3, 4, 5, 6};
    oclin_tensor *t[GIVEN];
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    for (int i = 0; i < GIVEN; i++)
        *slot(&options, i) = t[i] = make_tensor(ctx, OCLIN_F32, given_rows[i], given_cols[i], numbers);
    oclin_layer *l = make_layer(IN, OUT, &options);
    for (int i = 0; i < GIVEN; i++) oclin_tensor_destroy(t[i]);
    oclin_tensor *const held[] = {oclin_layer_w(l), oclin_layer_b(l), oclin_layer_dw(l), oclin_layer_db(l)};
    for (int i = 0; i < GIVEN; i++) {
        assert_ptr_equal(held[i], t[i]);
        float *got = contents(held[i]);
        check_same_bits(given_names[i], got, numbers, given_rows[i] * given_cols[i]);
        free(got);
    }
    assert_ok(ctx, oclin_layer_step(l, 0.5f));
    for (int i = 0; i < GIVEN; i++) {
        float *got = contents(held[i]);
        for (int64_t j = 0; j < given_rows[i] * given_cols[i]; j++)
            assert_true(got[j] == (i < GIVEN_DW ? 0.5f : 1.0f) * numbers[j]);
        free(got);
    }
    oclin_layer_destroy(l);
}

/* W and b that kernels may only read: everything works that does not write them. */
static void test_read_only_parameters(void **state)
{
    const int which = *(int *)*state; /* bit 0: w, bit 1: b */
    oclin_context *ctx = context();
    float w[IN * OUT] = {1, 2, 3, 4, 5, 6}, b[OUT] = {-1, 7};
    cl_context handle;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    for (int i = GIVEN_W; i <= GIVEN_B; i++) {
        const cl_mem_flags flags = which >> i & 1 ? CL_MEM_READ_ONLY : CL_MEM_READ_WRITE;
        cl_mem m = clCreateBuffer(handle, flags | CL_MEM_COPY_HOST_PTR, i == GIVEN_W ? sizeof w : sizeof b,
                                  i == GIVEN_W ? w : b, NULL);
        assert_ok(ctx, oclin_tensor_wrap(slot(&options, i), ctx, OCLIN_F32, m, 0, given_rows[i],
                                         given_cols[i], given_cols[i]));
        clReleaseMemObject(m);
    }
    oclin_layer *l = make_layer(IN, OUT, &options);
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 1, IN, (float[]){1, 0, 2}),
                 *y = make_tensor(ctx, OCLIN_F32, 1, OUT, NULL),
                 *dx = make_tensor(ctx, OCLIN_F32, 1, IN, NULL),
                 *dy = make_tensor(ctx, OCLIN_F32, 1, OUT, (float[]){1, -1});
    for (int forward = 0; forward < 2; forward++) {
        assert_ok(ctx, oclin_tensor_fill(y, NAN));
        assert_ok(ctx, forward ? oclin_layer_forward(l, x, y) : oclin_layer_infer(l, x, y));
        float *got = contents(y);
        check_exact("y", 1, OUT, OUT, got, (double[]){7 - 1, 16 + 7});
        free(got);
    }
    assert_ok(ctx, oclin_layer_backward(l, dy, dx));
    float *got_dx = contents(dx), *got_dw = contents(oclin_layer_dw(l));
    check_exact("dx", 1, IN, IN, got_dx, (double[]){-3, -3, -3});
    check_exact("dw", OUT, IN, IN, got_dw, (double[]){1, 0, 2, -1, 0, -2});
    const char *part = which & 1 ? "w is written" : "b is written";
    const float lrs[] = {0.5f, 0.0f};
    assert_ok(ctx, oclin_tensor_fill(dx, NAN));
    assert_ok(ctx, oclin_layer_backward_x(l, dy, dx));
    float *alone = contents(dx);
    check_same_bits("dx alone", alone, got_dx, IN);
    for (int i = 0; i < 2; i++) {
        assert_refused(ctx, OCLIN_E_ARG, part, oclin_layer_step(l, lrs[i]));
        assert_ok(ctx, oclin_layer_zero_grad(l));
        assert_refused(ctx, OCLIN_E_ARG, part, oclin_layer_backward_step(l, dy, dx, lrs[i]));
    }
    float *got_w = contents(options.w), *got_b = contents(options.b);
    check_same_bits("w", got_w, w, IN * OUT);
    check_same_bits("b", got_b, b, OUT);
    float *const arrays[] = {got_dx, got_dw, got_w, got_b, alone};
    for (size_t i = 0; i < COUNT_OF(arrays); i++) free(arrays[i]);
    oclin_layer_destroy(l);
    oclin_tensor *const all[] = {options.w, options.b, x, y, dx, dy};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* ---------------------------------------------------------------------------------------- weight tying */

/* What is tied of two layers in turn, y = W (W x + b1) + b2, by the ways of the manual. */
enum { TIE_W, TIE_W_B, TIE_W_DW, TIE_ALL, TIES };
static const char *const tie_names[TIES] = {"w", "w and b", "w and dw, own bias", "all four"};
enum { N = 3, SAMPLES = 2 };

struct tied {
    double w[N][N], b[2][N]; /* b[1] is b[0] where it is tied */
};

/* One step of the network in double, from the definition: dl/dW is the sum over both places where W is. */
static void step_by_hand(struct tied *p, int tied_b, const float x[SAMPLES][N], const float dy[SAMPLES][N],
                         double lr)
{
    double dw[N][N] = {{0}}, db[2][N] = {{0}};
    for (int s = 0; s < SAMPLES; s++) {
        double h[N], dh[N];
        for (int i = 0; i < N; i++) {
            h[i] = p->b[0][i];
            dh[i] = 0;
            for (int j = 0; j < N; j++) {
                h[i] += p->w[i][j] * (double)x[s][j];
                dh[i] += p->w[j][i] * (double)dy[s][j];
            }
        }
        for (int i = 0; i < N; i++) {
            db[0][i] += dh[i];
            db[1][i] += (double)dy[s][i];
            for (int j = 0; j < N; j++) dw[i][j] += dh[i] * (double)x[s][j] + (double)dy[s][i] * h[j];
        }
    }
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) p->w[i][j] -= lr * dw[i][j];
        if (tied_b) db[0][i] = db[1][i] = db[0][i] + db[1][i];
        for (int k = 0; k < 2; k++) p->b[k][i] -= lr * db[k][i];
    }
}

static void step_as_the_manual_says(oclin_context *ctx, oclin_layer *const l[2], int tie, float lr)
{
    assert_ok(ctx, oclin_layer_step(l[0], lr));
    if (tie == TIE_W_DW) assert_ok(ctx, oclin_layer_zero_grad(l[0]));
    if (tie != TIE_ALL) assert_ok(ctx, oclin_layer_step(l[1], lr));
    for (int i = 0; i < 2; i++) assert_ok(ctx, oclin_layer_zero_grad(l[i]));
}

static void check_tied(const oclin_layer *l, int k, const struct tied *p)
{
    float *w = contents(l->w), *b = contents(l->b);
    check_exact("w", N, N, N, w, &p->w[0][0]);
    check_exact(k ? "b of the second" : "b of the first", 1, N, N, b, p->b[k]);
    free(w);
    free(b);
}

/* Two steps: integers and halves, so that every sum is exact. */
static void test_weight_tying(void **state)
{
    const int tie = *(int *)*state, shares_b = tie == TIE_W_B || tie == TIE_ALL;
    oclin_context *ctx = context();
    struct tied p = {{{1, 2, -1}, {0, 1, 1}, {-2, 1, 1}}, {{1, -1, 2}, {0, 1, -1}}};
    const float x[SAMPLES][N] = {{1, 2, -1}, {0, -1, 1}}, dy[SAMPLES][N] = {{1, 0, -1}, {-1, 1, 2}};
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l[2];
    l[0] = make_layer(N, N, NULL);
    options.w = oclin_layer_w(l[0]);
    if (shares_b) options.b = oclin_layer_b(l[0]);
    if (tie == TIE_W_DW || tie == TIE_ALL) options.dw = oclin_layer_dw(l[0]);
    if (tie == TIE_ALL) options.db = oclin_layer_db(l[0]);
    l[1] = make_layer(N, N, &options);
    oclin_tensor *const w = oclin_layer_w(l[0]);
    float numbers[N * N];
    for (int i = 0; i < N * N; i++) numbers[i] = (float)p.w[i / N][i % N];
    assert_ok(ctx, oclin_tensor_write(w, numbers));
    if (shares_b) memcpy(p.b[1], p.b[0], sizeof p.b[0]);
    for (int k = 0; k < 2; k++) {
        for (int i = 0; i < N; i++) numbers[i] = (float)p.b[k][i];
        assert_ok(ctx, oclin_tensor_write(oclin_layer_b(l[k]), numbers));
    }
    oclin_tensor *tx = make_tensor(ctx, OCLIN_F32, SAMPLES, N, x),
                 *tdy = make_tensor(ctx, OCLIN_F32, SAMPLES, N, dy);
    oclin_tensor *h = make_tensor(ctx, OCLIN_F32, SAMPLES, N, NULL),
                 *dh = make_tensor(ctx, OCLIN_F32, SAMPLES, N, NULL),
                 *y = make_tensor(ctx, OCLIN_F32, SAMPLES, N, NULL);
    for (int step = 0; step < 2; step++) {
        assert_ok(ctx, oclin_layer_forward(l[0], tx, h));
        assert_ok(ctx, oclin_layer_forward(l[1], h, y));
        assert_ok(ctx, oclin_layer_backward(l[1], tdy, dh));
        assert_ok(ctx, oclin_layer_backward(l[0], dh, NULL));
        step_as_the_manual_says(ctx, l, tie, 0.5f);
        step_by_hand(&p, shares_b, x, dy, 0.5);
        for (int k = 0; k < 2; k++) check_tied(l[k], k, &p);
    }
    for (int k = 0; k < 2; k++) oclin_layer_destroy(l[k]);
    oclin_tensor *const all[] = {tx, tdy, h, dh, y};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* An autoencoder whose decoder has its encoder's W, transposed, and its dW: h = W x + b, y = W^T h + c. */
enum { WIDE = 4, NARROW = 3 };

static void autoencode_by_hand(const float w[NARROW][WIDE], const float x[SAMPLES][WIDE],
                               const float dy[SAMPLES][WIDE], double dw[NARROW][WIDE],
                               double y[SAMPLES][WIDE])
{
    memset(dw, 0, sizeof(double) * NARROW * WIDE);
    memset(y, 0, sizeof(double) * SAMPLES * WIDE);
    for (int s = 0; s < SAMPLES; s++)
        for (int i = 0; i < NARROW; i++) {
            double h = 0, dh = 0;
            for (int j = 0; j < WIDE; j++) {
                h += (double)w[i][j] * (double)x[s][j];
                dh += (double)w[i][j] * (double)dy[s][j];
            }
            for (int j = 0; j < WIDE; j++) {
                y[s][j] += h * (double)w[i][j];
                dw[i][j] += dh * (double)x[s][j] + h * (double)dy[s][j];
            }
        }
}

static void test_autoencoder(void **state)
{
    static const float host_w[NARROW][WIDE] = {{1, 2, -1, 3}, {0, 1, 1, -2}, {-2, 1, 1, 1}},
                       x[SAMPLES][WIDE] = {{1, 2, -1, 0}, {0, -1, 1, 3}},
                       dy[SAMPLES][WIDE] = {{1, 0, -1, 2}, {-1, 1, 2, 1}};
    double dw[NARROW][WIDE], y[SAMPLES][WIDE], stepped[NARROW][WIDE];
    oclin_context *ctx = context();
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    (void)state;
    ctx->verify = 1; /* it must take w and dw as they are stored, too */
    options.bias = 0;
    oclin_layer *encoder = make_layer(WIDE, NARROW, &options);
    options.w = oclin_layer_w(encoder);
    options.dw = oclin_layer_dw(encoder);
    options.transposed = 1;
    oclin_layer *decoder = make_layer(NARROW, WIDE, &options);
    assert_ok(ctx, oclin_tensor_write(options.w, host_w));
    oclin_tensor *tx = make_tensor(ctx, OCLIN_F32, SAMPLES, WIDE, x),
                 *tdy = make_tensor(ctx, OCLIN_F32, SAMPLES, WIDE, dy),
                 *h = make_tensor(ctx, OCLIN_F32, SAMPLES, NARROW, NULL),
                 *dh = make_tensor(ctx, OCLIN_F32, SAMPLES, NARROW, NULL),
                 *ty = make_tensor(ctx, OCLIN_F32, SAMPLES, WIDE, NULL);
    assert_ok(ctx, oclin_layer_forward(encoder, tx, h));
    assert_ok(ctx, oclin_layer_forward(decoder, h, ty));
    assert_ok(ctx, oclin_layer_backward(decoder, tdy, dh));
    assert_ok(ctx, oclin_layer_backward(encoder, dh, NULL));
    autoencode_by_hand(host_w, x, dy, dw, y);
    float *got_y = contents(ty), *got_dw = contents(options.dw);
    check_exact("y", SAMPLES, WIDE, WIDE, got_y, &y[0][0]);
    check_exact("dw of both", NARROW, WIDE, WIDE, got_dw, &dw[0][0]);
    assert_ok(ctx, oclin_layer_step(decoder, 0.5f));
    for (int i = 0; i < NARROW * WIDE; i++)
        stepped[i / WIDE][i % WIDE] = (double)host_w[i / WIDE][i % WIDE] - 0.5 * dw[i / WIDE][i % WIDE];
    float *got_w = contents(options.w);
    check_exact("w after a step", NARROW, WIDE, WIDE, got_w, &stepped[0][0]);
    float *const copies[] = {got_y, got_dw, got_w};
    for (size_t i = 0; i < COUNT_OF(copies); i++) free(copies[i]);
    oclin_tensor *const all[] = {tx, tdy, h, dh, ty};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(decoder);
    oclin_layer_destroy(encoder);
    ctx->verify = 0;
}

/* What the layer makes is (in, out), and what it is given must be. */
static void test_transposed_shapes(void **state)
{
    oclin_context *ctx = context();
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l = NULL;
    (void)state;
    options.transposed = 1;
    oclin_layer *own = make_layer(4, 3, &options);
    oclin_tensor *const parameters[] = {oclin_layer_w(own), oclin_layer_dw(own)};
    for (size_t i = 0; i < COUNT_OF(parameters); i++) {
        assert_int_equal(oclin_tensor_rows(parameters[i]), 4);
        assert_int_equal(oclin_tensor_cols(parameters[i]), 3);
    }
    options.transposed = 0;
    options.w = parameters[0];
    assert_refused(ctx, OCLIN_E_SHAPE, "w is 4 x 3", oclin_layer_create(&l, ctx, 4, 3, &options));
    options.transposed = 1;
    assert_refused(ctx, OCLIN_E_SHAPE, "w is 4 x 3", oclin_layer_create(&l, ctx, 3, 4, &options));
    options.transposed = -1;
    assert_refused(ctx, OCLIN_E_ARG, "transposed is -1", oclin_layer_create(&l, ctx, 4, 3, &options));
    oclin_layer_destroy(own);
}

/* ------------------------------------------------------------------------------------------------ memory */

/* What a call needs with this activation, and what makes it grow. */
static oclin_activation memory_cases[] = {OCLIN_NONE, OCLIN_GELU};

/* One batch of everything. */
static void use(oclin_layer *l, int64_t batch)
{
    oclin_context *ctx = l->ctx;
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, batch, l->in, NULL),
                 *y = make_tensor(ctx, OCLIN_F32, batch, l->out, NULL);
    assert_ok(ctx, oclin_tensor_fill(x, 1.0));
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_layer_backward_step(l, y, NULL, 0.5f));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
}

static void test_workspace(void **state)
{
    const oclin_activation activation = *(oclin_activation *)*state;
    oclin_context *ctx = context();
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = activation;
    oclin_layer *l = make_layer(IN, OUT, &options);
    const int64_t batches[] = {0, 1, 1000};
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        int64_t bytes = -1;
        assert_ok(ctx, oclin_layer_workspace(l, batches[i], &bytes));
        assert_true(bytes == (activation == OCLIN_GELU ? batches[i] * OUT * 4 : 0));
        assert_ok(ctx, oclin_layer_workspace_infer(l, batches[i], &bytes));
        assert_true(bytes == 0); /* no z, whatever the activation */
    }
    const int64_t wrong[] = {-1, INT64_MIN, INT64_MAX, INT64_MAX / OUT};
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        int64_t bytes;
        assert_refused(ctx, OCLIN_E_SHAPE, "batch", oclin_layer_workspace(l, wrong[i], &bytes));
        assert_refused(ctx, OCLIN_E_SHAPE, "batch", oclin_layer_reserve(l, wrong[i]));
        assert_refused(ctx, OCLIN_E_SHAPE, "batch", oclin_layer_reserve_step(l, wrong[i]));
        assert_refused(ctx, OCLIN_E_SHAPE, "batch", oclin_layer_workspace_infer(l, wrong[i], &bytes));
        assert_refused(ctx, OCLIN_E_SHAPE, "batch", oclin_layer_reserve_infer(l, wrong[i]));
    }
    assert_null(l->dw);
    oclin_layer_destroy(l);
}

/* The last batch for which the bytes of four operands, 256 rows and columns larger for rounding up, have a
 * number. */
static void test_largest_batch(void **state)
{
    (void)state;
    static const int64_t features[][2] = {{1, 1}, {3, 1}, {1, 1000}};
    for (size_t i = 0; i < COUNT_OF(features); i++) {
        const int64_t in = features[i][0], out = features[i][1], widest = in > out ? in : out;
        const int64_t largest = INT64_MAX / 16 / (widest + 256) - 256;
        oclin_layer *l = make_layer(in, out, NULL);
        int64_t bytes = -1;
        assert_ok(context(), oclin_layer_workspace(l, largest, &bytes));
        assert_true(bytes >= 0);
        assert_refused(context(), OCLIN_E_SHAPE, "overflows", oclin_layer_workspace(l, largest + 1, &bytes));
        oclin_layer_destroy(l);
    }
}

/* After reserve no call up to that batch grows anything; the first beyond it says so. */
static void test_reserve(void **state)
{
    const oclin_activation activation = *(oclin_activation *)*state;
    oclin_context *ctx = context();
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = activation;
    oclin_layer *l = make_layer(IN, OUT, &options);
    assert_ok(ctx, oclin_layer_reserve_step(l, 8));
    assert_null(l->dw);
    assert_null(l->db);
    clear_context_log();
    use(l, 8);
    use(l, 1);
    use(l, 8);
    assert_null(strstr(context_log(), "grows"));
    assert_null(l->dw); /* backward_step needs none */
    assert_null(l->db);
    assert_ok(ctx, oclin_layer_reserve(l, 9));
    assert_non_null(l->dw);
    assert_non_null(l->db);
    clear_context_log();
    use(l, 9);
    assert_null(strstr(context_log(), "grows"));
    use(l, 10);
    assert_int_equal(strstr(context_log(), "grows") != NULL, activation == OCLIN_GELU);
    oclin_layer_destroy(l);
}

/* Large products pack their operands into scratch memory, and reserve takes that as well. */
static void test_scratch(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("simd");
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 600, 500, NULL));
    int64_t few, many;
    assert_ok(ctx, oclin_layer_workspace(l, 400, &many));
    assert_ok(ctx, oclin_layer_workspace(l, 1, &few));
    assert_true(few == 0 && many > (400 * 600 + 500 * 600) * 4);
    assert_ok(ctx, oclin_layer_reserve(l, 400));
    assert_true((int64_t)ctx->scratch_bytes == many);
    for (int64_t batch = 400; batch > 0; batch /= 3) use(l, batch);
    assert_true((int64_t)ctx->scratch_bytes == many);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* For inference alone: what forward's product packs, where dX packs more; and infer takes nothing more
 * then. */
static void test_scratch_of_infer(void **state)
{
    (void)state;
    enum { MANY = 700, FROM = 200, TO = 1200 };
    oclin_context *ctx = make_context("simd");
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l;
    options.activation = OCLIN_GELU;
    assert_ok(ctx, oclin_layer_create(&l, ctx, FROM, TO, &options));
    int64_t all, infer;
    assert_ok(ctx, oclin_layer_workspace(l, MANY, &all));
    assert_ok(ctx, oclin_layer_workspace_infer(l, MANY, &infer));
    assert_true(infer >= (MANY + TO) * FROM * 4 && infer < all - MANY * TO * 4);
    assert_ok(ctx, oclin_layer_reserve_infer(l, MANY));
    assert_true((int64_t)ctx->scratch_bytes == infer);
    assert_true(!l->dw && !l->db && !l->saved->z && !l->saved->larger_z);
    clear_context_log();
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, MANY, FROM, NULL),
                 *y = make_tensor(ctx, OCLIN_F32, MANY, TO, NULL);
    assert_ok(ctx, oclin_tensor_fill(x, 1.0));
    const int64_t references = ctx->references; /* one of them for each piece of device memory */
    for (int64_t batch = MANY; batch > 0; batch /= 3) {
        oclin_tensor *some_x, *some_y;
        assert_ok(ctx, oclin_tensor_view_rows(&some_x, x, 0, batch));
        assert_ok(ctx, oclin_tensor_view_rows(&some_y, y, 0, batch));
        assert_ok(ctx, oclin_layer_infer(l, some_x, some_y));
        oclin_tensor_destroy(some_x);
        oclin_tensor_destroy(some_y);
    }
    assert_true((int64_t)ctx->scratch_bytes == infer && ctx->references == references);
    assert_null(strstr(context_log(), "grows"));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* Where every product is packed, one of no samples is none. */
static void test_no_scratch_for_no_samples(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("simd-packed");
    oclin_layer *l;
    int64_t none = -1, one = -1;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, NULL));
    assert_ok(ctx, oclin_layer_workspace(l, 0, &none));
    assert_ok(ctx, oclin_layer_workspace(l, 1, &one));
    assert_true(none == 0 && one > 0);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* A device whose largest buffer holds the operands, but not one of them packed, multiplies without
 * packing. */
static void test_no_room_for_scratch(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("simd");
    ctx->device.info.max_allocation = 1300000;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 560, 560, NULL));
    use(l, 560);
    assert_true(ctx->scratch_bytes == 0);
    assert_ok(ctx, oclin_layer_reserve(l, 560));
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* dW and db come with the first backward, not before. */
static void test_gradients_are_lazy(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_layer *l = make_layer(IN, OUT, NULL);
    use(l, 2);
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_status(ctx, OCLIN_E_STATE, oclin_layer_step(l, 0.5f));
    oclin_tensor *wrong = make_tensor(ctx, OCLIN_F32, 5, OUT, NULL),
                 *right = make_tensor(ctx, OCLIN_F32, 2, OUT, NULL);
    assert_status(ctx, OCLIN_E_SHAPE, oclin_layer_backward(l, wrong, NULL));
    assert_null(l->dw);
    assert_null(l->db);
    assert_ok(ctx, oclin_tensor_fill(right, 1.0));
    assert_ok(ctx, oclin_layer_backward(l, right, NULL));
    assert_non_null(l->dw);
    assert_non_null(l->db);
    oclin_tensor_destroy(wrong);
    oclin_tensor_destroy(right);
    oclin_layer_destroy(l);
}

/* ------------------------------------------------------------------------------------------------ alpha */

enum { ALPHA_N = 8 };

/* y, and dx for dy, of a layer that hands on z. */
static void check_alpha(oclin_activation activation, double alpha, const float *z, const float *dy,
                        const float *y, const float *dx)
{
    for (int i = 0; i < ALPHA_N; i++) {
        const double v = (double)z[i], g = (double)dy[i];
        const double left = activation == OCLIN_ELU ? expm1(v) : v;
        const double slope = activation == OCLIN_ELU ? exp(v) : 1;
        const double want = v > 0 ? v : alpha * left, want_dx = v > 0 ? g : alpha * slope * g;
        if (fabs((double)y[i] - want) > 1e-6 * (1 + fabs(want)))
            fail_msg("y[%d] is %g, must be %g", i, (double)y[i], want);
        if (fabs((double)dx[i] - want_dx) > 1e-6 * (1 + g))
            fail_msg("dx[%d] is %g, must be %g", i, (double)dx[i], want_dx);
    }
}

/* The activation's number reaches forward, backward and the check; below 0 it is the usual one. */
static void test_alpha(void **state)
{
    const oclin_activation activation = *(const oclin_activation *)*state;
    static const float alphas[] = {0.3f, 2.5f, -1.0f};
    oclin_context *ctx = context();
    float z[ALPHA_N], dy[ALPHA_N], y[ALPHA_N], dx[ALPHA_N];
    for (int i = 0; i < ALPHA_N; i++) z[i] = (float)(i - 4) / 2, dy[i] = (float)(i + 1);
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, ALPHA_N, 1, z),
                 *ty = make_tensor(ctx, OCLIN_F32, ALPHA_N, 1, NULL),
                 *tdy = make_tensor(ctx, OCLIN_F32, ALPHA_N, 1, dy),
                 *tdx = make_tensor(ctx, OCLIN_F32, ALPHA_N, 1, NULL);
    for (size_t a = 0; a < COUNT_OF(alphas); a++) {
        struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
        oclin_layer *l = NULL;
        o.activation = activation;
        o.alpha = alphas[a];
        o.bias = 0;
        assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, &o));
        assert_ok(ctx, oclin_tensor_fill(oclin_layer_w(l), 1));
        ctx->verify = 1;
        assert_ok(ctx, oclin_layer_forward(l, x, ty));
        assert_ok(ctx, oclin_layer_backward(l, tdy, tdx));
        ctx->verify = 0;
        assert_ok(ctx, oclin_tensor_read(ty, y));
        assert_ok(ctx, oclin_tensor_read(tdx, dx));
        check_alpha(activation,
                    alphas[a] > 0             ? (double)alphas[a]
                    : activation == OCLIN_ELU ? 1
                                              : 0.01,
                    z, dy, y, dx);
        oclin_layer_destroy(l);
    }
    oclin_tensor *const all[] = {x, ty, tdy, tdx};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

static void test_alpha_refused(void **state)
{
    static const float wrong[] = {0, -0.0f, NAN, INFINITY, -INFINITY};
    oclin_context *ctx = context();
    oclin_layer *l = NULL;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
        o.alpha = wrong[i];
        assert_refused(ctx, OCLIN_E_ARG, "alpha is", oclin_layer_create(&l, ctx, 1, 1, &o));
    }
}

int main(int argc, char **argv)
{
    static oclin_init inits[] = {OCLIN_INIT_UNIFORM, OCLIN_INIT_NORMAL, OCLIN_INIT_ZERO};
    static const char *const init_names[] = {"uniform", "normal", "zero"};
    static int which[] = {1, 2, 3}, ties[TIES];
    struct test_list list = {0};
    for (size_t i = 0; i < COUNT_OF(create_cases); i++)
        add_test(&list, test_create, &create_cases[i], "create/%s", create_cases[i].what);
    add_test(&list, test_create_arguments, NULL, "create/arguments");
    add_test(&list, test_option_sizes, NULL, "create/size of the options");
    add_test(&list, test_getters, NULL, "getters");
    for (size_t i = 0; i < COUNT_OF(inits); i++)
        add_test(&list, test_init, &inits[i], "init/%s", init_names[i]);
    add_test(&list, test_init_range, NULL, "init/range of uniform");
    add_test(&list, test_init_seeds, NULL, "init/seeds");
    for (int i = 0; i < GIVEN * KINDS; i++) {
        given_cases[i] = (struct given_case){i / KINDS, i % KINDS};
        add_test(&list, test_given, &given_cases[i], "given/%s %s", given_names[i / KINDS],
                 kind_names[i % KINDS]);
    }
    add_test(&list, test_given_are_used, NULL, "given/used and kept alive");
    for (size_t i = 0; i < COUNT_OF(which); i++)
        add_test(&list, test_read_only_parameters, &which[i], "given/read-only %s",
                 which[i] == 1   ? "w"
                 : which[i] == 2 ? "b"
                                 : "w and b");
    for (int i = 0; i < TIES; i++) {
        ties[i] = i;
        add_test(&list, test_weight_tying, &ties[i], "tying/%s", tie_names[i]);
        add_test(&list, test_autoencoder, NULL, "tying/an autoencoder, w transposed");
        add_test(&list, test_transposed_shapes, NULL, "transposed/shapes");
    }
    for (size_t i = 0; i < COUNT_OF(memory_cases); i++) {
        const char *name = memory_cases[i] == OCLIN_GELU ? "gelu" : "none";
        add_test(&list, test_workspace, &memory_cases[i], "memory/workspace, %s", name);
        add_test(&list, test_reserve, &memory_cases[i], "memory/reserve, %s", name);
    }
    add_test(&list, test_largest_batch, NULL, "memory/largest batch");
    add_test(&list, test_scratch_of_infer, NULL, "memory/scratch of infer");
    add_test(&list, test_scratch, NULL, "memory/scratch of packed operands");
    add_test(&list, test_no_scratch_for_no_samples, NULL, "memory/scratch of no samples");
    add_test(&list, test_no_room_for_scratch, NULL, "memory/no room for packed operands");
    add_test(&list, test_gradients_are_lazy, NULL, "memory/gradients are lazy");
    static oclin_activation with_alpha[] = {OCLIN_LEAKY_RELU, OCLIN_ELU};
    for (size_t i = 0; i < COUNT_OF(with_alpha); i++)
        add_test(&list, test_alpha, &with_alpha[i], "alpha/%s", activation_name(with_alpha[i]));
    add_test(&list, test_alpha_refused, NULL, "alpha/refused");
    const int code = run_list("layer", &list, argc, argv);
    oclin_context_destroy(shared);
    return code;
}
