/*
 * What sizes around a tile do not show: losses on operands with strides and offsets, long sums, fills and
 * steps wider than one chunk, buffers that end with the last element, and work that should not happen at
 * all. Each on every family.
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oclin_internal.h"

static const char *const plans[] = {"plain", "simd", "simt-16"};

static const char *plan_of(void **state)
{
    return *(const char *const *)*state;
}

static float *constant(int64_t n, float value)
{
    float *p = new_array(float, n);
    for (int64_t i = 0; i < n; i++) p[i] = value;
    return p;
}

/* Labels, loss and count inside larger tensors, among numbers that would be noticed. */
static void test_placed_loss(void **state)
{
    enum { ROWS = 5, COLS = 4, STRIDE = 3, FIRST = 2, AT = 7 };
    oclin_context *ctx = make_context(plan_of(state));
    struct rng rng = {42};
    float y[ROWS * COLS];
    int32_t labels[ROWS], scattered[64], counts[16];
    fill_zero_mean(&rng, y, ROWS * COLS);
    fill_labels(&rng, labels, ROWS, COLS);
    for (int i = 0; i < 64; i++) scattered[i] = -1 - i; /* never a label */
    for (int i = 0; i < ROWS; i++) scattered[FIRST + i * STRIDE] = labels[i];
    for (int i = 0; i < 16; i++) counts[i] = 1000 + i;
    oclin_tensor *scores = make_tensor(ctx, OCLIN_F32, ROWS, COLS, y), *label_view, *count_view;
    oclin_tensor *label_arena = make_tensor(ctx, OCLIN_I32, 1, 64, scattered);
    oclin_tensor *count_arena = make_tensor(ctx, OCLIN_I32, 1, 16, counts);
    struct placed loss = tensor_from(ctx, 1, 1, 1, 5, NULL);
    assert_ok(ctx, oclin_tensor_view(&label_view, label_arena, FIRST, ROWS, 1, STRIDE));
    assert_ok(ctx, oclin_tensor_view(&count_view, count_arena, AT, 1, 1, 1));

    double want, bound;
    int64_t correct;
    assert_ok(ctx, oclin_loss_cross_entropy(scores, label_view, loss.t, NULL, count_view, NULL));
    oclin_ref_cross_entropy(&RANDOM_CASE(ROWS, 0, COLS), y, labels, OCLIN_MEAN, 1.0f, &want, &bound, NULL,
                            NULL, &correct);
    check_tensor_bound("loss", &loss, &want, &bound);
    assert_ok(ctx, oclin_tensor_read(count_arena, counts));
    for (int i = 0; i < 16; i++) assert_int_equal(counts[i], i == AT ? correct : 1000 + i);

    oclin_tensor *const all[] = {scores, label_arena, label_view, count_arena, count_view};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    tensor_release(&loss);
    oclin_context_destroy(ctx);
}

/* One large row and 64,000 small ones, each of which a plain float sum would lose. */
static void test_compensated_sum(void **state)
{
    enum { ROWS = 64001 };
    oclin_context *ctx = make_context(plan_of(state));
    float *y = constant(ROWS, 1.0f), *t = constant(ROWS, 0.0f), got;
    y[0] = 4096.0f;
    oclin_tensor *scores = make_tensor(ctx, OCLIN_F32, ROWS, 1, y),
                 *targets = make_tensor(ctx, OCLIN_F32, ROWS, 1, t);
    oclin_tensor *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.reduction = OCLIN_SUM;
    assert_ok(ctx, oclin_loss_mse(scores, targets, loss, NULL, &options));
    assert_ok(ctx, oclin_tensor_read(loss, &got));
    if (fabs((double)got - 16841216.0) > 8.0)
        fail_msg("the sum is %.9g, must be 16841216 within 8", (double)got);
    oclin_tensor *const all[] = {scores, targets, loss};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    free(y);
    free(t);
    oclin_context_destroy(ctx);
}

static void test_fill(void **state)
{
    static const int64_t cols[] = {1, 3, 5, 8, 4097}; /* the last is wider than a chunk of the simd family */
    oclin_context *ctx = make_context(plan_of(state));
    for (size_t i = 0; i < COUNT_OF(cols); i++) {
        struct placed p = tensor_from(ctx, 3, cols[i], cols[i] + 3, 2, NULL);
        double *want = new_array(double, 3 * cols[i]);
        for (int64_t j = 0; j < 3 * cols[i]; j++) want[j] = 1.5;
        assert_ok(ctx, oclin_tensor_fill(p.t, 1.5));
        check_tensor_exact("filled", &p, want);
        tensor_release(&p);
        free(want);
    }
    oclin_context_destroy(ctx);
}

/* Rows wider than two chunks. */
static void test_wide_step(void **state)
{
    enum { IN = 2 * 4096 + 5, OUT = 2 };
    oclin_context *ctx = make_context(plan_of(state));
    float *ones = constant(OUT * IN, 1.0f), *got = new_array(float, OUT *IN);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = 0;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &options));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_w(l), ones));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_dw(l), ones));
    assert_ok(ctx, oclin_layer_step(l, 0.25f));
    assert_ok(ctx, oclin_tensor_read(oclin_layer_w(l), got));
    for (int i = 0; i < OUT * IN; i++) assert_true(got[i] == 0.75f);
    oclin_layer_destroy(l);
    free(ones);
    free(got);
    oclin_context_destroy(ctx);
}

/* rows x cols with aligned rows, in a buffer that ends with the last element: who reads whole quads leaves
 * it. */
static oclin_tensor *tight(oclin_context *ctx, int64_t rows, int64_t cols)
{
    const int64_t stride = cols < 8 ? 8 : cols;
    oclin_tensor *t, *base = make_tensor(ctx, OCLIN_F32, 1, (rows - 1) * stride + cols, NULL);
    assert_ok(ctx, oclin_tensor_fill(base, 1.0));
    assert_ok(ctx, oclin_tensor_view(&t, base, 0, rows, cols, stride));
    oclin_tensor_destroy(base); /* the view keeps the memory */
    return t;
}

static void run_tight(oclin_context *ctx, int64_t batch, int64_t in, int64_t out)
{
    oclin_tensor *x = tight(ctx, batch, in), *y = tight(ctx, batch, out), *dy = tight(ctx, batch, out);
    oclin_tensor *dx = tight(ctx, batch, in);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = 0;
    options.w = tight(ctx, out, in);
    options.dw = tight(ctx, out, in);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, in, out, &options));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_layer_backward(l, dy, dx));
    oclin_tensor *const results[] = {y, dx, options.dw};
    const float want[] = {(float)in, (float)out, (float)batch};
    for (int i = 0; i < 3; i++) {
        const int64_t n = oclin_tensor_rows(results[i]) * oclin_tensor_cols(results[i]);
        float *got = new_array(float, n);
        assert_ok(ctx, oclin_tensor_read(results[i], got));
        for (int64_t j = 0; j < n; j++) assert_true(got[j] == want[i]);
        free(got);
    }
    oclin_layer_destroy(l);
    oclin_tensor *const all[] = {x, y, dy, dx, options.w, options.dw};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* Run under Oclgrind as well: only there a read behind the end is seen. */
static void test_tight_end(void **state)
{
    oclin_context *ctx = make_context(plan_of(state));
    run_tight(ctx, 4, 8, 5);
    run_tight(ctx, 4, 5, 8);
    run_tight(ctx, 5, 8, 5);   /* a row more than a register tile has */
    run_tight(ctx, 3, 128, 3); /* whole panels, as many as are packed together */
    oclin_context_destroy(ctx);
}

/* Small whole numbers, so that every sum is exact; different in each row and column. */
static float *numbers(int64_t rows, int64_t cols, int step)
{
    float *all = new_array(float, rows *cols);
    for (int64_t i = 0; i < rows * cols; i++) all[i] = (float)((i / cols * step + i % cols * 5) % 7 - 3);
    return all;
}

/* The kernels that take the device's vectors, at widths that it does not have: another machine's. More
 * than one block of k and more than one group. */
static void test_widths(void **state)
{
    enum { BATCH = 17, IN = 601, OUT = 205 };
    static const int widths[] = {4, 8, 16};
    float *x = numbers(BATCH, IN, 3), *w = numbers(OUT, IN, 2), *got = new_array(float, BATCH *OUT);
    for (size_t i = 0; i < COUNT_OF(widths); i++) {
        oclin_context *ctx = make_context(plan_of(state));
        ctx->device.info.vector_width = widths[i];
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        options.bias = 0;
        options.w = make_tensor(ctx, OCLIN_F32, OUT, IN, w);
        oclin_tensor *tx = make_tensor(ctx, OCLIN_F32, BATCH, IN, x),
                     *ty = make_tensor(ctx, OCLIN_F32, BATCH, OUT, NULL);
        oclin_layer *l;
        assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &options));
        assert_ok(ctx, oclin_layer_forward(l, tx, ty));
        assert_ok(ctx, oclin_tensor_read(ty, got));
        for (int64_t row = 0; row < BATCH; row++)
            for (int64_t column = 0; column < OUT; column++) {
                float want = 0.0f;
                for (int64_t k = 0; k < IN; k++) want += x[row * IN + k] * w[column * IN + k];
                if (got[row * OUT + column] != want)
                    fail_msg("width %d: y[%d][%d] is %g, must be %g", widths[i], (int)row, (int)column,
                             (double)got[row * OUT + column], (double)want);
            }
        oclin_layer_destroy(l);
        oclin_tensor_destroy(options.w);
        oclin_tensor_destroy(tx);
        oclin_tensor_destroy(ty);
        oclin_context_destroy(ctx);
    }
    free(x);
    free(w);
    free(got);
}

/* Cleared gradients are overwritten, not filled first; and operands that are aligned get the aligned
 * kernel. */
static void test_no_needless_work(void **state)
{
    enum { BATCH = 2, SIZE = 4 };
    clear_context_log();
    oclin_context *ctx = make_context(plan_of(state));
    float *ones = constant(BATCH * SIZE, 1.0f);
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, BATCH, SIZE, ones),
                 *y = make_tensor(ctx, OCLIN_F32, BATCH, SIZE, NULL);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, SIZE, SIZE, NULL));
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, oclin_layer_backward(l, x, NULL));
        assert_ok(ctx, oclin_layer_zero_grad(l));
    }
    const char *log = context_log();
    assert_true(strstr(log, "built grad") || strstr(log, "built one_pass"));
    assert_null(strstr(context_log(), "built fill"));
    if (strcmp(plan_of(state), "simt-16") == 0) assert_non_null(strstr(context_log(), ", aligned"));
    oclin_layer_destroy(l);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    free(ones);
    oclin_context_destroy(ctx);
}

/* ---------------------------------------------------------------------------------------------- denormals */

enum { D_BATCH = 5, D_IN = 17, D_OUT = 9 };

/* All zeros, but for `n` elements `step` apart from the first on: 1, 2, 3, ... times the value. */
static void check_progression(oclin_context *ctx, const char *name, oclin_tensor *t, int64_t n, int64_t step,
                              float value)
{
    const int64_t all = oclin_tensor_rows(t) * oclin_tensor_cols(t);
    float *got = new_array(float, all);
    assert_ok(ctx, oclin_tensor_read(t, got));
    for (int64_t i = 0; i < all; i++) {
        const float want = i % step == 0 && i / step < n ? (float)(i / step + 1) * value : 0.0f;
        if (got[i] != want) fail_msg("%s[%d] is %a, must be %a", name, (int)i, (double)got[i], (double)want);
    }
    free(got);
}

static void write_progression(oclin_context *ctx, oclin_tensor *t, int64_t n, int64_t step, float value)
{
    float *all = new_array(float, oclin_tensor_rows(t) * oclin_tensor_cols(t));
    for (int64_t i = 0; i < n; i++) all[i * step] = (float)(i + 1) * value;
    assert_ok(ctx, oclin_tensor_write(t, all));
    free(all);
}

/* The gradient of a loss whose scale is a denormal. */
static void check_denormal_loss(oclin_context *ctx, float scale)
{
    const float ones[D_OUT] = {1, 1, 1, 1, 1, 1, 1, 1, 1}, zeros[D_OUT] = {0};
    oclin_tensor *y = make_tensor(ctx, OCLIN_F32, 1, D_OUT, ones),
                 *t = make_tensor(ctx, OCLIN_F32, 1, D_OUT, zeros),
                 *dy = make_tensor(ctx, OCLIN_F32, 1, D_OUT, NULL),
                 *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    float got[D_OUT];
    options.reduction = OCLIN_SUM;
    options.scale = scale;
    assert_ok(ctx, oclin_loss_mse(y, t, loss, dy, &options));
    assert_ok(ctx, oclin_tensor_read(dy, got));
    for (int i = 0; i < D_OUT; i++) assert_true(got[i] == 2.0f * scale);
    assert_ok(ctx, oclin_tensor_read(loss, got));
    assert_true(got[0] == (float)D_OUT * scale);
    oclin_tensor *const all[] = {y, t, dy, loss};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* Sums of one product p q each, in each of the three products, a step and the fused step. */
static void check_denormal_layer(oclin_context *ctx, float p, float q)
{
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, D_BATCH, D_IN, NULL),
                 *dx = make_tensor(ctx, OCLIN_F32, D_BATCH, D_IN, NULL),
                 *w = make_tensor(ctx, OCLIN_F32, D_OUT, D_IN, NULL),
                 *y = make_tensor(ctx, OCLIN_F32, D_BATCH, D_OUT, NULL),
                 *dy = make_tensor(ctx, OCLIN_F32, D_BATCH, D_OUT, NULL);
    oclin_layer *l;
    options.bias = 0;
    options.w = w;
    assert_ok(ctx, oclin_layer_create(&l, ctx, D_IN, D_OUT, &options));
    write_progression(ctx, x, D_BATCH, D_IN, p);
    write_progression(ctx, w, 1, 1, q);
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    check_progression(ctx, "y", y, D_BATCH, D_OUT, p * q);

    write_progression(ctx, w, D_IN, 1, p);
    write_progression(ctx, dy, D_OUT, 1, q);
    assert_ok(ctx, oclin_layer_backward(l, dy, dx));
    check_progression(ctx, "dx", dx, D_IN, 1, p * q);
    check_progression(ctx, "dw", oclin_layer_dw(l), D_OUT, D_IN, p * q);

    write_progression(ctx, w, 0, 1, 0.0f);
    assert_ok(ctx, oclin_layer_step(l, 0.5f));
    check_progression(ctx, "w after a step", w, D_OUT, D_IN, -0.5f * p * q);
    assert_ok(ctx, oclin_layer_zero_grad(l));
    write_progression(ctx, w, 0, 1, 0.0f);
    assert_ok(ctx, oclin_layer_backward_step(l, dy, NULL, 0.5f));
    check_progression(ctx, "w after backward_step", w, D_OUT, D_IN, -0.5f * p * q);
    oclin_tensor *const all[] = {x, dx, w, y, dy};
    oclin_layer_destroy(l);
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* A device that says CL_FP_DENORM keeps denormals in every kernel, whatever the compiler calls its options:
 * as results of small factors, and as factors. Elsewhere nothing is promised. */
static void test_denormals(void **state)
{
    const char *plan = plan_of(state);
    oclin_context *ctx = make_context(plan);
    const int keeps = ctx->device.denormals;
    for (int i = 0; i < 3 && keeps; i++) {
        const float factors[3][2] = {{0x1p-100f, 0x1p-30f}, {0x1p-135f, 4.0f}, {4.0f, 0x1p-135f}};
        check_denormal_layer(ctx, factors[i][0], factors[i][1]);
        check_denormal_loss(ctx, factors[i][0] * factors[i][1]);
    }
    oclin_context_destroy(ctx);
    if (!keeps) skip();
}

/* ---------------------------------------------------------------------- one operand that is not aligned */

/* Aligned kernels read and write whole quads of memory. One operand alone starts 4 bytes beside them, all
 * others are aligned: no kernel that touches it may be an aligned one. Seen where the hardware cares, by
 * Oclgrind, and in the log. */
enum { A_X, A_W, A_B, A_DW, A_DB, A_Y, A_DY, A_DX, A_OPERANDS };
static const char *const a_names[A_OPERANDS + 1] = {"x", "w", "b", "dw", "db", "y", "dy", "dx", "nothing"};

/* Which operands each kernel touches; the fused step has w and b in the places of dw and db. */
enum { K_FORWARD, K_GRAD_X, K_GRAD_W, K_STEP, K_FUSED, K_KERNELS };
static const char *const k_names[K_KERNELS] = {"forward_simt", "grad_x_simt", "grad_w_simt", "update",
                                               "grad_w_simt"};

static int touches(int kernel, int operand, oclin_activation activation)
{
    static const unsigned bits[K_KERNELS] = {
        1u << A_X | 1u << A_W | 1u << A_B | 1u << A_Y, 1u << A_DY | 1u << A_W | 1u << A_DX,
        1u << A_DY | 1u << A_X | 1u << A_DW | 1u << A_DB, 1u << A_W | 1u << A_DW,
        1u << A_DY | 1u << A_X | 1u << A_W | 1u << A_B};
    const int of_y = operand == A_Y && activation != OCLIN_NONE;
    if (operand == A_OPERANDS) return 0;
    return (bits[kernel] >> operand & 1) ||
           (of_y && (kernel == K_GRAD_X || kernel == K_GRAD_W || kernel == K_FUSED));
}

struct alone_case {
    int operand;
    oclin_activation activation;
};
static const struct alone_case alone_cases[] = {
    {A_X, OCLIN_NONE},  {A_W, OCLIN_NONE},  {A_B, OCLIN_NONE},  {A_DW, OCLIN_NONE},
    {A_DB, OCLIN_NONE}, {A_Y, OCLIN_NONE},  {A_DY, OCLIN_NONE}, {A_DX, OCLIN_NONE},
    {A_Y, OCLIN_TANH},  {A_DY, OCLIN_TANH}, {A_B, OCLIN_TANH},  {A_OPERANDS, OCLIN_NONE},
};

/* The nth kernel of that name which was built since the log was cleared is an aligned one, or is not. */
static void check_built(const char *kernel, int nth, int aligned)
{
    char line[64];
    snprintf(line, sizeof line, "built %s:", kernel);
    const char *at = strstr(context_log(), line);
    for (; at && nth > 0; nth--) at = strstr(at + 1, line);
    if (!at) fail_msg("%s was not built", kernel);
    const size_t length = strcspn(at, "\n");
    const char *said = strstr(at, ", aligned");
    const int is_aligned = said && said < at + length;
    if (is_aligned != aligned) fail_msg("%.*s: must%s be aligned", (int)length, at, aligned ? "" : " not");
}

/* From ones, all results are whole numbers but those of tanh, which are compared in other programs. */
static void check_all_equal(const char *name, const struct placed *p, float value)
{
    double *want = new_array(double, p->rows * p->cols);
    for (int64_t i = 0; i < p->rows * p->cols; i++) want[i] = (double)value;
    check_tensor_exact(name, p, want);
    free(want);
}

enum { A_BATCH = 8, A_IN = 16, A_OUT = 12 };

static void place_all(oclin_context *ctx, int unaligned, struct placed p[A_OPERANDS])
{
    const int64_t rows[A_OPERANDS] = {A_BATCH, A_OUT, 1, A_OUT, 1, A_BATCH, A_BATCH, A_BATCH};
    const int64_t cols[A_OPERANDS] = {A_IN, A_IN, A_OUT, A_IN, A_OUT, A_OUT, A_OUT, A_IN};
    float *ones = constant(A_BATCH * A_IN + A_OUT * A_IN, 1.0f);
    for (int i = 0; i < A_OPERANDS; i++)
        p[i] = tensor_from(ctx, rows[i], cols[i], cols[i] + 4, i == unaligned ? 5 : 4, ones);
    free(ones);
}

static void check_alone(const struct alone_case *c, int kernel, int nth)
{
    check_built(k_names[kernel], nth, !touches(kernel, c->operand, c->activation));
}

/* A context of its own each, so that every kernel is built in it. */
static void run_alone(const struct alone_case *c, int fused)
{
    oclin_context *ctx = make_context("simt-16");
    struct placed p[A_OPERANDS];
    place_all(ctx, c->operand, p);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l;
    options.activation = c->activation;
    options.w = p[A_W].t;
    options.b = p[A_B].t;
    options.dw = p[A_DW].t;
    options.db = p[A_DB].t;
    assert_ok(ctx, oclin_layer_create(&l, ctx, A_IN, A_OUT, &options));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    clear_context_log();
    assert_ok(ctx, oclin_layer_forward(l, p[A_X].t, p[A_Y].t));
    if (fused) {
        assert_ok(ctx, oclin_layer_backward_step(l, p[A_DY].t, p[A_DX].t, 0.25f));
    } else {
        assert_ok(ctx, oclin_layer_backward(l, p[A_DY].t, p[A_DX].t));
        assert_ok(ctx, oclin_layer_step(l, 0.25f));
        check_alone(c, K_STEP, 0);
        if (c->operand == A_B || c->operand == A_DB) check_built(k_names[K_STEP], 1, 0); /* that of b */
    }
    check_alone(c, K_FORWARD, 0);
    check_alone(c, K_GRAD_X, 0);
    check_alone(c, fused ? K_FUSED : K_GRAD_W, 0);
    if (c->activation == OCLIN_NONE) {
        check_all_equal("y", &p[A_Y], A_IN + 1.0f);
        check_all_equal("dx", &p[A_DX], A_OUT);
        if (!fused) check_all_equal("dw", &p[A_DW], A_BATCH);
        if (!fused) check_all_equal("db", &p[A_DB], A_BATCH);
        check_all_equal("w", &p[A_W], 1.0f - 0.25f * A_BATCH);
        check_all_equal("b", &p[A_B], 1.0f - 0.25f * A_BATCH);
    }
    /* PoCL may still compile, which does not survive the end of the process */
    assert_ok(ctx, oclin_context_finish(ctx));
    oclin_layer_destroy(l);
    for (int i = 0; i < A_OPERANDS; i++) tensor_release(&p[i]);
    oclin_context_destroy(ctx);
}

static void test_alone(void **state)
{
    run_alone(*state, 0);
    run_alone(*state, 1);
}

static void add_numbers(struct test_list *list)
{
    static const char *all[40];
    for (int i = 0; (all[i] = oclin_plan_name(i)) && i + 1 < (int)COUNT_OF(all); i++)
        add_test(list, test_denormals, &all[i], "denormals/%s", all[i]);
    for (size_t i = 0; i < COUNT_OF(alone_cases); i++)
        add_test(list, test_alone, (void *)(uintptr_t)&alone_cases[i], "alone/%s, activation %d",
                 a_names[alone_cases[i].operand], (int)alone_cases[i].activation);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } tests[] = {{"placed_loss", test_placed_loss},
                 {"compensated_sum", test_compensated_sum},
                 {"fill", test_fill},
                 {"wide_step", test_wide_step},
                 {"tight_end", test_tight_end},
                 {"no_needless_work", test_no_needless_work}};
    struct test_list list = {NULL, 0, 0};
    for (size_t t = 0; t < COUNT_OF(tests); t++)
        for (size_t i = 0; i < COUNT_OF(plans); i++)
            add_test(&list, tests[t].run, (void *)(uintptr_t)&plans[i], "%s/%s", tests[t].name, plans[i]);
    /* what "simd" does not take for few rows */
    static const char *const others[] = {"simd-whole", "simd-packed", "simd-narrow"};
    for (size_t i = 0; i < COUNT_OF(others); i++)
        add_test(&list, test_tight_end, (void *)(uintptr_t)&others[i], "tight_end/%s", others[i]);
    static const char *const small[] = {"simd-narrow", "simd-skinny"};
    for (size_t i = 0; i < COUNT_OF(small); i++)
        add_test(&list, test_widths, (void *)(uintptr_t)&small[i], "widths/%s", small[i]);
    add_numbers(&list);
    return run_list("edges", &list, argc, argv);
}
