/* The losses: against the reference, odd labels and scores, options, operands. */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "oracle.h"
#include "support.h"

#include "oclin_internal.h"

static const char *const plans[] = {"plain", "simd", "simt"};
enum { PLANS = COUNT_OF(plans) };
static oclin_context *contexts[PLANS + 1];

static oclin_context *context(int plan)
{
    if (!contexts[plan]) contexts[plan] = make_context(plans[plan % PLANS]);
    return contexts[plan];
}

/* ------------------------------------------------------------------------------- against the reference */

enum { MSE, CROSS_ENTROPY, L1, HUBER, BCE, KINDS };
static const char *const kinds[KINDS] = {"mse", "cross_entropy", "l1", "huber", "bce"};

/* One of them; correct is cross-entropy's alone. */
static oclin_status loss_of(int kind, oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                            oclin_tensor *correct, const struct oclin_loss_options *options)
{
    static oclin_status (*const functions[KINDS])(oclin_tensor *, oclin_tensor *, oclin_tensor *,
                                                  oclin_tensor *, const struct oclin_loss_options *) = {
        [MSE] = oclin_loss_mse, [L1] = oclin_loss_l1, [HUBER] = oclin_loss_huber, [BCE] = oclin_loss_bce};
    return functions[kind] ? functions[kind](y, t, loss, dy, options)
                           : oclin_loss_cross_entropy(y, t, loss, dy, correct, options);
}

struct shape {
    int64_t rows, cols, stride, offset;
};
static const struct shape shapes[] = {{1, 1, 1, 0},   {1, 2, 2, 1},   {3, 10, 10, 0}, {7, 5, 9, 3},
                                      {2, 64, 64, 4}, {5, 65, 70, 1}, {130, 3, 3, 0}, {4, 257, 260, 0}};
enum { SHAPES = COUNT_OF(shapes) };

struct loss_case {
    int plan, kind, shape;
    oclin_reduction reduction;
    float scale;
};
static struct loss_case loss_cases[PLANS * KINDS * SHAPES * 2];

/* Everything of one call; t of mse and dy lie at places and strides of their own. */
struct bench {
    oclin_context *ctx;
    struct placed y, t, dy;
    oclin_tensor *labels, *loss, *correct;
    float *host_y, *host_t;
    int32_t *host_labels;
};

static struct bench make_bench(oclin_context *ctx, const struct shape *s)
{
    struct bench b = {.ctx = ctx};
    struct rng rng = {42};
    const int64_t n = s->rows * s->cols;
    b.host_y = new_array(float, n);
    b.host_t = new_array(float, n);
    b.host_labels = new_array(int32_t, s->rows);
    fill_zero_mean(&rng, b.host_y, n);
    fill_zero_mean(&rng, b.host_t, n);
    fill_labels(&rng, b.host_labels, s->rows, (int32_t)s->cols);
    for (int64_t i = 0; i < n; i++) b.host_y[i] *= 8;
    b.y = tensor_from(ctx, s->rows, s->cols, s->stride, s->offset, b.host_y);
    b.t = tensor_from(ctx, s->rows, s->cols, s->stride + 1, s->offset + 2, b.host_t);
    b.dy = tensor_from(ctx, s->rows, s->cols, s->stride + 3, s->offset, NULL);
    b.labels = make_tensor(ctx, OCLIN_I32, s->rows, 1, b.host_labels);
    b.loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    b.correct = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    assert_ok(ctx, oclin_tensor_fill(b.loss, NAN));
    assert_ok(ctx, oclin_tensor_fill(b.correct, -77));
    return b;
}

static void release(struct bench *b)
{
    tensor_release(&b->y);
    tensor_release(&b->t);
    tensor_release(&b->dy);
    oclin_tensor_destroy(b->labels);
    oclin_tensor_destroy(b->loss);
    oclin_tensor_destroy(b->correct);
    free(b->host_y);
    free(b->host_t);
    free(b->host_labels);
}

/* Outputs that are wanted, as bits. */
enum { WANT_LOSS = 1, WANT_DY = 2, WANT_CORRECT = 4, WANT_ALL = 7 };

static oclin_status call(const struct bench *b, int kind, int wanted,
                         const struct oclin_loss_options *options)
{
    oclin_tensor *loss = wanted & WANT_LOSS ? b->loss : NULL, *dy = wanted & WANT_DY ? b->dy.t : NULL;
    return loss_of(kind, b->y.t, kind == CROSS_ENTROPY ? b->labels : b->t.t, loss, dy,
                   wanted & WANT_CORRECT ? b->correct : NULL, options);
}

static float read_loss(const struct bench *b)
{
    float got;
    assert_ok(b->ctx, oclin_tensor_read(b->loss, &got));
    return got;
}

static int32_t read_correct(const struct bench *b)
{
    int32_t got;
    assert_ok(b->ctx, oclin_tensor_read(b->correct, &got));
    return got;
}

/* The bench's results so far against the reference, `times` of them added up in loss and correct. */
static void check_results(const struct bench *b, int kind, const struct oclin_loss_options *o, int times)
{
    const int64_t rows = b->y.rows, cols = b->y.cols;
    double loss, loss_bound, *dy = new_array(double, rows *cols), *bound = new_array(double, rows *cols);
    int64_t correct = 0;
    const struct oclin_ref_case c = RANDOM_CASE(rows, 0, cols);
    switch (kind) {
    case MSE:
        oclin_ref_mse(&c, b->host_y, b->host_t, o->reduction, o->scale, &loss, &loss_bound, dy, bound);
        break;
    case L1:
        oclin_ref_l1(&c, b->host_y, b->host_t, o->reduction, o->scale, &loss, &loss_bound, dy, bound);
        break;
    case HUBER:
        oclin_ref_huber(&c, b->host_y, b->host_t, o->delta, o->reduction, o->scale, &loss, &loss_bound, dy,
                        bound);
        break;
    case BCE:
        oclin_ref_bce(&c, b->host_y, b->host_t, NULL, o->reduction, o->scale, &loss, &loss_bound, dy, bound);
        break;
    default:
        oclin_ref_cross_entropy(&c, b->host_y, b->host_labels, o->reduction, o->scale, &loss, &loss_bound, dy,
                                bound, &correct);
    }
    char what[2][32];
    snprintf(what[0], sizeof what[0], "%s, dy", kinds[kind]);
    snprintf(what[1], sizeof what[1], "%s, loss", kinds[kind]);
    const char *plan = b->ctx->plan.name;
    measure(plan, what[0], "%lld x %lld", (long long)rows, (long long)cols);
    check_tensor_bound("dy", &b->dy, dy, bound);
    const float got = read_loss(b);
    loss *= times;
    loss_bound = times * loss_bound + (times - 1) * fabs(loss) * FLT_EPSILON;
    measure(plan, what[1], "%lld x %lld", (long long)rows, (long long)cols);
    check_bound("loss", 1, 1, 1, &got, &loss, &loss_bound);
    measure(NULL, NULL, "");
    if (kind == CROSS_ENTROPY) assert_int_equal(read_correct(b), times * correct);
    check_canaries("y", &b->y);
    check_canaries("t", &b->t);
    free(dy);
    free(bound);
}

static void test_loss(void **state)
{
    const struct loss_case *c = *state;
    struct bench b = make_bench(context(c->plan), &shapes[c->shape]);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.reduction = c->reduction;
    options.scale = c->scale;
    assert_ok(b.ctx, call(&b, c->kind, WANT_ALL, &options));
    check_results(&b, c->kind, &options, 1);
    options.accumulate = 1;
    assert_ok(b.ctx, call(&b, c->kind, WANT_ALL, &options));
    check_results(&b, c->kind, &options, 2);
    options.accumulate = 0;
    assert_ok(b.ctx, call(&b, c->kind, WANT_ALL, &options));
    check_results(&b, c->kind, &options, 1);
    release(&b);
}

static void test_default_options(void **state)
{
    const int kind = *(int *)*state;
    const struct oclin_loss_options defaults = OCLIN_LOSS_OPTIONS_INIT;
    assert_true(defaults.scale == 1.0f && defaults.reduction == OCLIN_MEAN && !defaults.accumulate);
    struct bench b = make_bench(context(0), &shapes[3]);
    assert_ok(b.ctx, call(&b, kind, WANT_ALL, NULL));
    check_results(&b, kind, &defaults, 1);
    release(&b);
}

/* Each output may be missing: the others are the same, and what is missing is not touched. */
static void test_missing_outputs(void **state)
{
    const int kind = *(int *)*state;
    struct bench b = make_bench(context(0), &shapes[3]);
    const int64_t n = shapes[3].rows * shapes[3].cols;
    float *all = new_array(float, n), *got = new_array(float, n), *scores = new_array(float, n);
    assert_ok(b.ctx, call(&b, kind, WANT_ALL, NULL));
    const float loss = read_loss(&b);
    const int32_t correct = read_correct(&b);
    assert_ok(b.ctx, oclin_tensor_read(b.dy.t, all));
    for (int wanted = 0; wanted < WANT_ALL; wanted++) {
        assert_ok(b.ctx, oclin_tensor_fill(b.loss, -5));
        assert_ok(b.ctx, oclin_tensor_fill(b.correct, -5));
        assert_ok(b.ctx, oclin_tensor_fill(b.dy.t, -5));
        assert_ok(b.ctx, call(&b, kind, wanted, NULL));
        assert_true(read_loss(&b) == (wanted & WANT_LOSS ? loss : -5.0f));
        if (kind == CROSS_ENTROPY) assert_int_equal(read_correct(&b), wanted & WANT_CORRECT ? correct : -5);
        assert_ok(b.ctx, oclin_tensor_read(b.dy.t, got));
        for (int64_t i = 0; i < n; i++) assert_true(got[i] == (wanted & WANT_DY ? all[i] : -5.0f));
        assert_ok(b.ctx, oclin_tensor_read(b.y.t, scores));
        check_same_bits("y", scores, b.host_y, n);
        check_canaries("y", &b.y);
    }
    free(all);
    free(got);
    free(scores);
    release(&b);
}

/* ------------------------------------------------------------------------------------- labels and scores */

enum { CLASSES = 3, ODD = 8 };

/* Rows with their label; what the row's loss is and whether it is correct. */
static const struct odd_row {
    const char *what;
    float y[CLASSES];
    int32_t label;
    double loss;
    int correct;
} odd_rows[] = {
    {"the lowest of equal scores", {2, 2, 1}, 0, 0.8619948040582511, 1},
    {"not the lowest of equal scores", {2, 2, 1}, 1, 0.8619948040582511, 0},
    {"all equal, first", {5, 5, 5}, 0, 1.0986122886681098, 1},
    {"all equal, last", {5, 5, 5}, 2, 1.0986122886681098, 0},
    {"label -1", {1, 2, 3}, -1, NAN, 0},
    {"label out of range by one", {1, 2, 3}, CLASSES, NAN, 0},
    {"label lowest", {1, 2, 3}, INT32_MIN, NAN, 0},
    {"label highest", {1, 2, 3}, INT32_MAX, NAN, 0},
    {"NaN at the label", {1, NAN, 0}, 1, NAN, 0},
    {"NaN beside the label", {9, NAN, 0}, 0, NAN, 0},
    {"large scores", {1e30f, 0, -1e30f}, 0, 0, 1},
    {"large scores, wrong label", {88, 0, 100}, 1, 100.00000614421235, 0},
    {"large negative scores", {-1e6f, -1e6f, -1e6f}, 1, 1.0986122886681098, 0},
    {"-Inf beside the label", {1, -INFINITY, 0}, 0, 0.31326168751822286, 1},
    {"-Inf at the label", {1, -INFINITY, 0}, 1, INFINITY, 0},
    {"Inf at the label", {INFINITY, 0, 0}, 0, NAN, 1},
    {"all -Inf", {-INFINITY, -INFINITY, -INFINITY}, 0, NAN, 1},
    {"largest floats", {FLT_MAX, -FLT_MAX, 0}, 0, 0, 1},
};
enum { ODD_ROWS = COUNT_OF(odd_rows) };
struct odd_case {
    int plan, row;
};
static struct odd_case odd_cases[PLANS * ODD_ROWS];

static void test_odd_row(void **state)
{
    const struct odd_case *c = *state;
    const struct odd_row *r = &odd_rows[c->row];
    oclin_context *ctx = context(c->plan);
    float scores[2 * CLASSES] = {[CLASSES + 1] = 1}, got[2 * CLASSES];
    int32_t labels[2] = {r->label, 1}; /* what the odd row does to the sum meets an ordinary one */
    memcpy(scores, r->y, sizeof r->y);
    oclin_tensor *y = make_tensor(ctx, OCLIN_F32, 2, CLASSES, scores),
                 *t = make_tensor(ctx, OCLIN_I32, 2, 1, labels);
    oclin_tensor *dy = make_tensor(ctx, OCLIN_F32, 2, CLASSES, NULL),
                 *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    oclin_tensor *correct = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.reduction = OCLIN_SUM;
    float sum;
    int32_t count;
    assert_ok(ctx, oclin_loss_cross_entropy(y, t, loss, dy, correct, &options));
    assert_ok(ctx, oclin_tensor_read(loss, &sum));
    assert_ok(ctx, oclin_tensor_read(correct, &count));
    assert_ok(ctx, oclin_tensor_read(dy, got));
    const double want = r->loss + 0.5514447139320511, bound = 1e-5 * fabs(want); /* of the ordinary row */
    check_bound("loss", 1, 1, 1, &sum, &want, &bound);
    assert_int_equal(count, 1 + r->correct);
    for (int i = 0; i < CLASSES; i++)
        assert_true(isfinite(got[CLASSES + i])); /* the ordinary row is not touched by it */
    double want_loss, loss_bound, want_dy[2 * CLASSES], dy_bound[2 * CLASSES];
    int64_t want_count;
    oclin_ref_cross_entropy(&RANDOM_CASE(2, 0, CLASSES), scores, labels, OCLIN_SUM, 1.0f, &want_loss,
                            &loss_bound, want_dy, dy_bound, &want_count);
    assert_int_equal(count, want_count);
    measure(ctx->plan.name, "cross_entropy, dy", "%s", r->what);
    check_bound("dy", 2, CLASSES, CLASSES, got, want_dy, dy_bound);
    measure(NULL, NULL, "");
    if (r->label < 0 || r->label >= CLASSES)
        for (int i = 0; i < CLASSES; i++) assert_true(isnan(got[i]));
    oclin_tensor *const all[] = {y, t, dy, loss, correct};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* -------------------------------------------------------------------------------------------------- edges */

static const float edges[] = {0.0f,   0x1p-149f, -1e-40f,  1.0f,     -3.0f,     1e-20f,
                              -88.0f, 104.0f,    1e15f,    -2e18f,   1e30f,     -1e38f,
                              3e38f,  FLT_MAX,   -FLT_MAX, INFINITY, -INFINITY, NAN};
enum { VALUES = COUNT_OF(edges), PAIRS = VALUES * VALUES };
static const float scales[] = {1.0f, -0.75f, 0.0f, 0x1p-149f, -3e-39f, 1e30f, 2e38f, FLT_MAX};

/* got is want, or as near as float allows; where want is beyond 2^127 it may be Inf. */
static void check_near(const char *what, float scale, const float *of, float got, double want,
                       double tolerance)
{
    if (isnan(want) ? isnan(got) : (double)got == want || fabs((double)got - want) <= tolerance) return;
    if (fabs(want) >= 0x1p127 && got == copysignf(INFINITY, (float)want)) return;
    fail_msg("%s of %g and %g, scale %g: %.9g, must be %.9g", what, (double)of[0], (double)of[1],
             (double)scale, (double)got, want);
}

/* Every y beside every t, as one row: dy = scale / D * 2 (y - t), with nothing that overflows or vanishes on
 * the way. */
static void check_mse_dy(oclin_context *ctx, oclin_reduction reduction, float scale)
{
    float y[PAIRS], t[PAIRS], got[PAIRS];
    for (int i = 0; i < PAIRS; i++) {
        y[i] = edges[i / VALUES];
        t[i] = edges[i % VALUES];
    }
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, 1, PAIRS, y),
                 *tt = make_tensor(ctx, OCLIN_F32, 1, PAIRS, t),
                 *dy = make_tensor(ctx, OCLIN_F32, 1, PAIRS, NULL);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.reduction = reduction;
    options.scale = scale;
    assert_ok(ctx, oclin_loss_mse(ty, tt, NULL, dy, &options));
    assert_ok(ctx, oclin_tensor_read(dy, got));
    const double factor = 2.0 * (double)scale / (reduction == OCLIN_MEAN ? PAIRS : 1);
    const double smallest = ctx->device.denormals ? 0x1p-149 : (1 + 3 * fabs(factor)) * FLT_MIN;
    for (int i = 0; i < PAIRS; i++) {
        const double d = (double)y[i] - (double)t[i];
        if (isfinite(d) && fabs(d) >= 0x1p127) continue; /* as a float it may be Inf */
        const float of[] = {y[i], t[i]};
        check_near("dy", scale, of, got[i], factor * d, 4 * 0x1p-24 * fabs(factor * d) + smallest);
    }
    oclin_tensor_destroy(ty);
    oclin_tensor_destroy(tt);
    oclin_tensor_destroy(dy);
}

static void test_mse_dy_edges(void **state)
{
    for (size_t i = 0; i < COUNT_OF(scales); i++) {
        check_mse_dy(context(*(int *)*state), OCLIN_SUM, scales[i]);
        check_mse_dy(context(*(int *)*state), OCLIN_MEAN, scales[i]);
    }
}

/* Each pair alone, as `rows` equal rows: loss = scale (y - t)^2 for the mean. */
static void check_mse_loss(oclin_context *ctx, int64_t rows, float y, float t, float scale)
{
    const float of[] = {y, t};
    const double d = (double)y - (double)t, want = (double)scale * (d * d);
    if (isfinite(d) && d * d * (double)rows >= 0x1p127)
        return; /* the sum comes before the scale, and may be Inf */
    float got;
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, rows, 1, NULL),
                 *tt = make_tensor(ctx, OCLIN_F32, rows, 1, NULL),
                 *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.scale = scale;
    assert_ok(ctx, oclin_tensor_fill(ty, (double)y));
    assert_ok(ctx, oclin_tensor_fill(tt, (double)t));
    assert_ok(ctx, oclin_loss_mse(ty, tt, loss, NULL, &options));
    assert_ok(ctx, oclin_tensor_read(loss, &got));
    const double smallest = ctx->device.denormals ? (1 + fabs((double)scale)) * 0x1p-149
                                                  : (2 + 4 * fabs((double)scale)) * FLT_MIN;
    check_near("loss", scale, of, got, want, 16 * 0x1p-24 * fabs(want) + smallest);
    oclin_tensor_destroy(ty);
    oclin_tensor_destroy(tt);
    oclin_tensor_destroy(loss);
}

static void test_mse_loss_edges(void **state)
{
    for (size_t s = 0; s < COUNT_OF(scales); s++)
        for (int i = 0; i < VALUES; i++) {
            check_mse_loss(context(*(int *)*state), 1, edges[i], edges[(i * 7 + 3) % VALUES], scales[s]);
            check_mse_loss(context(*(int *)*state), 1, edges[i], edges[i], scales[s]);
            check_mse_loss(context(*(int *)*state), 1000, edges[i], 1.0f, scales[s]);
        }
}

/* Rows of three scores: two of the edges, and 1 or -Inf. Every row with each label, and with one that is
 * none. */
enum { LABELS = CLASSES + 1, SCORE_ROWS = 2 * PAIRS * LABELS };

static void edge_row(int row, float *y, int32_t *label)
{
    y[0] = edges[row / LABELS % PAIRS / VALUES];
    y[1] = edges[row / LABELS % VALUES];
    y[2] = row < PAIRS * LABELS ? 1.0f : -INFINITY;
    *label = row % LABELS;
}

static void test_cross_entropy_dy_edges(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    float *y = new_array(float, SCORE_ROWS *CLASSES), *got = new_array(float, SCORE_ROWS *CLASSES);
    int32_t *labels = new_array(int32_t, SCORE_ROWS);
    for (int row = 0; row < SCORE_ROWS; row++) edge_row(row, y + row * CLASSES, &labels[row]);
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, SCORE_ROWS, CLASSES, y),
                 *tl = make_tensor(ctx, OCLIN_I32, SCORE_ROWS, 1, labels),
                 *dy = make_tensor(ctx, OCLIN_F32, SCORE_ROWS, CLASSES, NULL);
    for (size_t s = 0; s < COUNT_OF(scales); s++) {
        struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
        options.scale = scales[s];
        assert_ok(ctx, oclin_loss_cross_entropy(ty, tl, NULL, dy, NULL, &options));
        assert_ok(ctx, oclin_tensor_read(dy, got));
        const double factor = (double)scales[s] / SCORE_ROWS, magnitude = fabs(factor);
        const double smallest = (1 + 8 * magnitude) * (ctx->device.denormals ? 0x1p-149 : FLT_MIN);
        for (int row = 0; row < SCORE_ROWS; row++) {
            double difference[CLASSES];
            int correct;
            oracle_cross_entropy(CLASSES, y + row * CLASSES, labels[row], difference, &correct);
            for (int j = 0; j < CLASSES; j++)
                check_near("dy", scales[s], y + row * CLASSES, got[row * CLASSES + j], factor * difference[j],
                           1e-6 * magnitude * (j == labels[row]) + 2e-5 * magnitude * fabs(difference[j]) +
                               smallest);
        }
    }
    oclin_tensor *const all[] = {ty, tl, dy};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    free(y);
    free(got);
    free(labels);
}

static void test_cross_entropy_loss_edges(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, 1, CLASSES, NULL),
                 *tl = make_tensor(ctx, OCLIN_I32, 1, 1, NULL),
                 *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *count = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    for (int row = 0; row < SCORE_ROWS; row++) {
        float y[CLASSES], got;
        int32_t label, hits;
        edge_row(row, y, &label);
        assert_ok(ctx, oclin_tensor_write(ty, y));
        assert_ok(ctx, oclin_tensor_write(tl, &label));
        struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
        options.scale = scales[row % (int)COUNT_OF(scales)];
        assert_ok(ctx, oclin_loss_cross_entropy(ty, tl, loss, NULL, count, &options));
        assert_ok(ctx, oclin_tensor_read(loss, &got));
        assert_ok(ctx, oclin_tensor_read(count, &hits));
        double difference[CLASSES];
        int correct;
        const double row_loss = oracle_cross_entropy(CLASSES, y, label, difference, &correct);
        const double scale = (double)options.scale, tolerance = fabs(scale) * 1e-6 * (1 + row_loss);
        assert_int_equal(hits, correct);
        if (isfinite(row_loss) && row_loss >= 0x1p127)
            continue; /* it comes before the scale, and may be Inf */
        check_near("loss", options.scale, y, got, scale * row_loss,
                   tolerance + (ctx->device.denormals ? 0x1p-149 : FLT_MIN));
    }
    oclin_tensor *const all[] = {ty, tl, loss, count};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* More rows than the last group has work-items. */
static void test_count(void **state)
{
    const int plan = *(int *)*state;
    oclin_context *ctx = context(plan);
    enum { ROWS = 5000, COLS = 2 };
    float *y = new_array(float, ROWS *COLS);
    int32_t *labels = new_array(int32_t, ROWS), want = 0, got;
    struct rng rng = {42};
    for (int i = 0; i < ROWS; i++) {
        y[i * COLS + 1] = rng_unit(&rng) - 0.5f;
        labels[i] = (int32_t)rng_below(&rng, COLS);
        want += labels[i] == (y[i * COLS + 1] > 0);
    }
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, ROWS, COLS, y),
                 *tl = make_tensor(ctx, OCLIN_I32, ROWS, 1, labels);
    oclin_tensor *correct = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    assert_ok(ctx, oclin_loss_cross_entropy(ty, tl, NULL, NULL, correct, NULL));
    assert_ok(ctx, oclin_tensor_read(correct, &got));
    assert_int_equal(got, want);
    oclin_tensor_destroy(ty);
    oclin_tensor_destroy(tl);
    oclin_tensor_destroy(correct);
    free(y);
    free(labels);
}

static void test_no_rows(void **state)
{
    const int kind = *(int *)*state;
    const struct shape none = {0, 5, 5, 0};
    struct bench b = make_bench(context(0), &none);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    assert_ok(b.ctx, call(&b, kind, WANT_ALL, &options));
    assert_true(read_loss(&b) == 0.0f);
    if (kind == CROSS_ENTROPY) assert_int_equal(read_correct(&b), 0);
    assert_ok(b.ctx, oclin_tensor_fill(b.loss, 3));
    assert_ok(b.ctx, oclin_tensor_fill(b.correct, 4));
    options.accumulate = 1;
    assert_ok(b.ctx, call(&b, kind, WANT_ALL, &options));
    assert_true(read_loss(&b) == 3.0f);
    assert_int_equal(read_correct(&b), 4);
    assert_ok(b.ctx, call(&b, kind, 0, NULL));
    release(&b);
}

/* --------------------------------------------------------------------------------------------- refusals */

static const struct shape small = {3, 4, 4, 0};

struct option_case {
    const char *what;
    size_t size;
    int reduction;
    float scale;
    const char *part;
};
static struct option_case option_cases[] = {
    {"size 0", 0, 0, 1, "size"},
    {"size of garbage", (size_t)1 << 30, 0, 1, "size"},
    {"reduction 2", sizeof(struct oclin_loss_options), 2, 1, "reduction 2"},
    {"reduction -1", sizeof(struct oclin_loss_options), -1, 1, "reduction -1"},
    {"scale NaN", sizeof(struct oclin_loss_options), 0, NAN, "scale"},
    {"scale Inf", sizeof(struct oclin_loss_options), 0, INFINITY, "scale"},
    {"scale -Inf", sizeof(struct oclin_loss_options), 0, -INFINITY, "scale"},
};

/* Refused, with outputs and their counters of writes as they were. */
static void check_refused(const struct bench *b, oclin_status expected, const char *part, oclin_status status)
{
    assert_refused(b->ctx, expected, part, status);
    float poison = read_loss(b);
    assert_true(isnan(poison));
    assert_int_equal(read_correct(b), -77);
    float *dy = new_array(float, b->dy.rows * b->dy.cols);
    assert_ok(b->ctx, oclin_tensor_read(b->dy.t, dy));
    assert_int_equal(first_not_poison(dy, b->dy.rows * b->dy.cols), -1);
    free(dy);
}

static void test_option(void **state)
{
    const struct option_case *c = *state;
    struct bench b = make_bench(context(0), &small);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.size = c->size;
    options.reduction = (oclin_reduction)c->reduction;
    options.scale = c->scale;
    const uint64_t versions[] = {b.loss->version, b.dy.t->version, b.correct->version};
    for (int kind = 0; kind < KINDS; kind++)
        check_refused(&b, OCLIN_E_ARG, c->part, call(&b, kind, WANT_ALL, &options));
    assert_true(versions[0] == b.loss->version && versions[1] == b.dy.t->version &&
                versions[2] == b.correct->version);
    release(&b);
}

enum { Y, TARGET, LOSS, DY, CORRECT, OPERANDS };
enum { MISSING, MORE_ROWS, MORE_COLS, OTHER_DTYPE, FOREIGN, READ_ONLY, WRITE_ONLY, FAULTS };
static const char *const operand_names[OPERANDS] = {"y", "target", "loss", "dy", "correct"};
static const char *const fault_names[FAULTS] = {"NULL",          "more rows", "more columns", "other dtype",
                                                "other context", "READ_ONLY", "WRITE_ONLY"};
struct fault_case {
    int kind, operand, fault;
};
static struct fault_case fault_cases[KINDS * OPERANDS * FAULTS];

static oclin_tensor *make_wrong(oclin_context *ctx, const oclin_tensor *right, int fault)
{
    const int64_t rows = right->rows + (fault == MORE_ROWS), cols = right->cols + (fault == MORE_COLS);
    const oclin_dtype other = right->dtype == OCLIN_F32 ? OCLIN_I32 : OCLIN_F32;
    if (fault == MISSING) return NULL;
    if (fault < READ_ONLY)
        return make_tensor(fault == FOREIGN ? context(PLANS) : ctx,
                           fault == OTHER_DTYPE ? other : right->dtype, rows, cols, NULL);
    cl_context handle;
    cl_int error;
    oclin_tensor *t = NULL;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_mem buffer = clCreateBuffer(handle, fault == READ_ONLY ? CL_MEM_READ_ONLY : CL_MEM_WRITE_ONLY,
                                   (size_t)(rows * cols) * 4, NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, right->dtype, buffer, 0, rows, cols, cols));
    clReleaseMemObject(buffer);
    return t;
}

static oclin_status expected_of(const struct fault_case *c)
{
    const int is_output = c->operand >= LOSS;
    if (c->fault == MISSING) return is_output ? OCLIN_OK : OCLIN_E_ARG;
    if (c->fault == MORE_ROWS || c->fault == MORE_COLS) return OCLIN_E_SHAPE;
    if (c->fault == READ_ONLY) return is_output ? OCLIN_E_ARG : OCLIN_OK;
    if (c->fault == WRITE_ONLY) return is_output ? OCLIN_OK : OCLIN_E_ARG;
    return OCLIN_E_ARG;
}

static void test_operand(void **state)
{
    const struct fault_case *c = *state;
    struct bench b = make_bench(context(0), &small);
    oclin_tensor *t[OPERANDS] = {b.y.t, c->kind == CROSS_ENTROPY ? b.labels : b.t.t, b.loss, b.dy.t,
                                 b.correct};
    oclin_tensor *wrong = make_wrong(b.ctx, t[c->operand], c->fault);
    t[c->operand] = wrong;
    const oclin_status status = loss_of(c->kind, t[Y], t[TARGET], t[LOSS], t[DY], t[CORRECT], NULL);
    if (expected_of(c) == OCLIN_OK)
        assert_ok(b.ctx, status);
    else if (c->operand == Y && c->fault == FOREIGN)
        assert_status(b.ctx, OCLIN_E_ARG, status); /* then that other context has the sentence */
    else
        check_refused(&b, expected_of(c), "", status);
    oclin_tensor_destroy(wrong);
    release(&b);
}

static void test_all_null(void **state)
{
    (void)state;
    for (int kind = 0; kind < KINDS; kind++)
        assert_int_equal(loss_of(kind, NULL, NULL, NULL, NULL, NULL, NULL), OCLIN_E_ARG);
}

/* Outputs apart from all others, by one element; inputs may be the same. */
static void test_sharing(void **state)
{
    (void)state;
    oclin_context *ctx = context(0);
    enum { ROWS = 2, COLS = 3, PIECE = 32 };
    const int64_t rows[OPERANDS] = {ROWS, ROWS, 1, ROWS, 1}, cols[OPERANDS] = {COLS, COLS, 1, COLS, 1};
    for (int a = 0; a < OPERANDS; a++)
        for (int b = 0; b < a; b++)
            for (int shares = 0; shares < 2; shares++)
                for (int kind = 0; kind < KINDS; kind++) {
                    if (kind != CROSS_ENTROPY && a == CORRECT) continue;
                    cl_mem memory;
                    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, OPERANDS * PIECE, NULL),
                                 *t[OPERANDS];
                    assert_ok(ctx, oclin_tensor_fill(arena, 0));
                    memory = oclin_tensor_cl_mem(arena);
                    for (int i = 0; i < OPERANDS; i++) {
                        const int is_label = i == TARGET && kind == CROSS_ENTROPY;
                        const int64_t c = is_label ? 1 : cols[i];
                        const int64_t of_b = b == TARGET && kind == CROSS_ENTROPY ? ROWS : rows[b] * cols[b];
                        const int64_t at = i == a ? b * PIECE + of_b - shares : i * PIECE;
                        assert_ok(ctx, oclin_tensor_wrap(&t[i], ctx,
                                                         is_label || i == CORRECT ? OCLIN_I32 : OCLIN_F32,
                                                         memory, at, rows[i], c, c));
                    }
                    const oclin_status expected = shares && a != TARGET ? OCLIN_E_ARG : OCLIN_OK;
                    const oclin_status status =
                        loss_of(kind, t[Y], t[TARGET], t[LOSS], t[DY], t[CORRECT], NULL);
                    if (status != expected)
                        fail_msg("%s: %s and %s, sharing %d: %s", kinds[kind], operand_names[b],
                                 operand_names[a], shares, oclin_status_name(status));
                    for (int i = 0; i < OPERANDS; i++) oclin_tensor_destroy(t[i]);
                    oclin_tensor_destroy(arena);
                }
}

/* ------------------------------------------------------------------------------------------------ memory */

static void test_workspace(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("plain");
    int64_t bytes = -1;
    assert_ok(ctx, oclin_loss_workspace(ctx, 100, &bytes));
    assert_true(bytes == 804);
    assert_ok(ctx, oclin_loss_workspace(ctx, 0, &bytes));
    assert_true(bytes == 0);
    assert_int_equal(oclin_loss_workspace(NULL, 1, &bytes), OCLIN_E_ARG);
    assert_int_equal(oclin_loss_workspace(ctx, -1, &bytes), OCLIN_E_SHAPE);
    assert_int_equal(oclin_loss_workspace(ctx, INT64_MAX / 4, &bytes), OCLIN_E_SHAPE);
    assert_int_equal(oclin_loss_reserve(NULL, 1), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_SHAPE, "-1", oclin_loss_reserve(ctx, -1));
    assert_refused(ctx, OCLIN_E_SHAPE, "overflow", oclin_loss_reserve(ctx, INT64_MAX));
    assert_ok(ctx, oclin_loss_reserve(ctx, 0));

    assert_ok(ctx, oclin_loss_reserve(ctx, 3));
    struct bench b = make_bench(ctx, &small);
    clear_context_log();
    assert_ok(ctx, call(&b, CROSS_ENTROPY, WANT_ALL, NULL));
    assert_ok(ctx, call(&b, MSE, WANT_ALL, NULL));
    assert_null(strstr(context_log(), "grows"));
    release(&b);
    b = make_bench(ctx, &shapes[3]);
    assert_ok(ctx, call(&b, CROSS_ENTROPY, WANT_ALL, NULL));
    assert_non_null(strstr(context_log(), "grows"));
    release(&b);
    oclin_context_destroy(ctx);
}

static void add_tables(struct test_list *list)
{
    struct loss_case *c = loss_cases;
    for (int plan = 0; plan < PLANS; plan++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int shape = 0; shape < SHAPES; shape++)
                for (int sum = 0; sum < 2; sum++, c++) {
                    *c = (struct loss_case){plan, kind, shape, sum ? OCLIN_SUM : OCLIN_MEAN,
                                            sum ? -0.75f : 1.0f};
                    add_test(list, test_loss, c, "%s/%s %d x %d stride %d, %s", plans[plan], kinds[kind],
                             (int)shapes[shape].rows, (int)shapes[shape].cols, (int)shapes[shape].stride,
                             sum ? "sum" : "mean");
                }
    for (int i = 0; i < PLANS * ODD_ROWS; i++) {
        odd_cases[i] = (struct odd_case){i / ODD_ROWS, i % ODD_ROWS};
        add_test(list, test_odd_row, &odd_cases[i], "%s/%s", plans[i / ODD_ROWS],
                 odd_rows[i % ODD_ROWS].what);
    }
    for (size_t i = 0; i < COUNT_OF(option_cases); i++)
        add_test(list, test_option, &option_cases[i], "options/%s", option_cases[i].what);
    int n = 0;
    for (int kind = 0; kind < KINDS; kind++)
        for (int operand = 0; operand < OPERANDS - (kind != CROSS_ENTROPY); operand++)
            for (int fault = 0; fault < FAULTS; fault++, n++) {
                fault_cases[n] = (struct fault_case){kind, operand, fault};
                add_test(list, test_operand, &fault_cases[n], "operand/%s: %s %s", kinds[kind],
                         operand_names[operand], fault_names[fault]);
            }
}

/* ------------------------------------------------------------------------------------- elements and
 * weights */

/* l and its derivative in double, from the definitions of PyTorch's losses. */
static double element_of(int kind, double y, double t, double weight, double delta, double *slope)
{
    const double d = y - t, s = 1 / (1 + exp(-y));
    switch (kind) {
    case L1:
        *slope = isnan(d) ? NAN : (d > 0) - (d < 0);
        return fabs(d);
    case HUBER:
        *slope = isnan(d) ? NAN : d > delta ? delta : d < -delta ? -delta : d;
        return fabs(d) <= delta ? 0.5 * d * d : delta * (fabs(d) - 0.5 * delta);
    default: /* max(y, 0) - y t + log(1 + exp(-|y|)) where the weight is 1 */
        *slope = (1 - t) * s - weight * t * (1 - s);
        return (1 - t) * y + (1 + (weight - 1) * t) * (log1p(exp(-fabs(y))) + (y < 0 ? -y : 0));
    }
}

static const struct element {
    float y, t;
} elements[] = {{0, 0},        {0, 1},      {1, 1},       {1, 0},        {-2, 1},       {-2, 0},
                {0.25f, 0.5f}, {3, 0.125f}, {-3, 0.75f},  {1.5f, 0.5f},  {-0.5f, 0.5f}, {1.5000001f, 0.5f},
                {20, 1},       {20, 0},     {-20, 1},     {-20, 0},      {80, 1},       {80, 0},
                {-80, 1},      {-80, 0},    {1000, 0.5f}, {-1000, 0.5f}, {1e30f, 0},    {NAN, 1},
                {1, NAN}};
enum { ELEMENTS = COUNT_OF(elements) };

/* Each element as a row of its own: its loss as a row loss, weighted, and its dY. */
static void check_elements(oclin_context *ctx, int kind, int weighted, float delta)
{
    float y[ELEMENTS], t[ELEMENTS], w[ELEMENTS], losses[ELEMENTS], dy[ELEMENTS], total;
    const float positive = weighted && kind == BCE ? 3.0f : 1.0f, scale = -0.75f;
    for (int i = 0; i < ELEMENTS; i++) {
        y[i] = elements[i].y;
        t[i] = elements[i].t;
        w[i] = weighted ? 0.5f * (float)i : 1.0f;
    }
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, ELEMENTS, 1, y),
                 *tt = make_tensor(ctx, OCLIN_F32, ELEMENTS, 1, t),
                 *tw = make_tensor(ctx, OCLIN_F32, ELEMENTS, 1, w),
                 *tp = make_tensor(ctx, OCLIN_F32, 1, 1, &positive),
                 *tl = make_tensor(ctx, OCLIN_F32, ELEMENTS, 1, NULL),
                 *td = make_tensor(ctx, OCLIN_F32, ELEMENTS, 1, NULL),
                 *sum = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.scale = scale;
    options.delta = delta;
    options.row_losses = tl;
    if (weighted) options.row_weights = tw;
    if (weighted && kind == BCE) options.class_weights = tp;
    assert_ok(ctx, loss_of(kind, ty, tt, sum, td, NULL, &options));
    assert_ok(ctx, oclin_tensor_read(tl, losses));
    assert_ok(ctx, oclin_tensor_read(td, dy));
    assert_ok(ctx, oclin_tensor_read(sum, &total));
    assert_true(isnan(total)); /* of the rows with NaN */
    for (int i = 0; i < ELEMENTS; i++) {
        double slope;
        const double l = element_of(kind, y[i], t[i], positive, delta, &slope), want = scale * w[i] * l,
                     want_dy = scale * w[i] * slope / ELEMENTS;
        const float of[] = {y[i], t[i]};
        check_near("row loss", scale, of, losses[i], want, 8e-6 * fabs(want) + 1e-30);
        check_near("dy", scale, of, dy[i], want_dy,
                   4e-6 * (fabs(want_dy) + (kind == BCE ? 1e-3 : 0)) + 1e-30);
    }
    oclin_tensor *const all[] = {ty, tt, tw, tp, tl, td, sum};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

static void test_elements(void **state)
{
    const int plan = *(int *)*state;
    for (int kind = L1; kind <= BCE; kind++)
        for (int weighted = 0; weighted < 2; weighted++) {
            check_elements(context(plan), kind, weighted, 1.0f);
            check_elements(context(plan), kind, weighted, 0.375f);
        }
}

/* Weights of rows scale losses and dY, of every loss; the divisor of the mean stays, and so does the
 * count. */
static void test_row_weights(void **state)
{
    const int kind = *(int *)*state;
    enum { ROWS = 7, COLS = 5 };
    const float weights[ROWS] = {1, 0, 2, -1, 0.5f, 1, 3};
    for (int plan = 0; plan < PLANS; plan++) {
        struct bench b = make_bench(context(plan), &shapes[3]);
        struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
        struct placed w = tensor_from(b.ctx, ROWS, 1, 3, 2, weights),
                      rows = tensor_from(b.ctx, ROWS, 1, 2, 1, NULL);
        float plain[ROWS * COLS], weighted[ROWS * COLS], alone[ROWS], got[ROWS];
        options.row_losses = rows.t;
        assert_ok(b.ctx, call(&b, kind, WANT_ALL, &options));
        check_results(&b, kind, &options, 1);
        assert_ok(b.ctx, oclin_tensor_read(b.dy.t, plain));
        assert_ok(b.ctx, oclin_tensor_read(rows.t, alone));
        double sum = 0, want = 0;
        for (int r = 0; r < ROWS; r++) sum += alone[r], want += (double)weights[r] * alone[r];
        const double count = kind == CROSS_ENTROPY ? ROWS : ROWS * COLS;
        float loss = read_loss(&b);
        assert_true(fabs(loss * count - sum) < 1e-5 * fabs(sum));
        const int32_t correct = read_correct(&b);
        options.row_weights = w.t;
        assert_ok(b.ctx, call(&b, kind, WANT_ALL, &options));
        loss = read_loss(&b);
        if (kind == CROSS_ENTROPY) assert_int_equal(read_correct(&b), correct);
        assert_true(fabs(loss * count - want) < 1e-5 * fabs(sum) * 8);
        assert_ok(b.ctx, oclin_tensor_read(rows.t, got));
        for (int r = 0; r < ROWS; r++) assert_true(got[r] == weights[r] * alone[r]); /* rounded once */
        assert_ok(b.ctx, oclin_tensor_read(b.dy.t, weighted));
        for (int i = 0; i < ROWS * COLS; i++)
            assert_true(fabs((double)weighted[i] - (double)weights[i / COLS] * plain[i]) <=
                        4e-7 * fabs(3.0 * plain[i]));
        check_canaries("row_losses", &rows);
        /* alone, without any other output */
        assert_ok(b.ctx, oclin_tensor_fill(rows.t, NAN));
        assert_ok(b.ctx, call(&b, kind, 0, &options));
        assert_ok(b.ctx, oclin_tensor_read(rows.t, got));
        for (int r = 0; r < ROWS; r++) assert_true(got[r] == weights[r] * alone[r]);
        tensor_release(&w);
        tensor_release(&rows);
        release(&b);
    }
}

/* Which options of the cross-entropies are used, as bits. */
enum { CLASS_WEIGHTS = 1, SMOOTHING = 2, IGNORE = 4, SUM = 8, ROW_WEIGHTS = 16, SOFT = 32, MIXES = 64 };

/* PyTorch's definition, in double: -sum of q_j log p_j, and p * sum of q - q. */
static double define_row(const float *y, const double *q, int64_t cols, double *dy)
{
    double s = 0, all = 0, loss = 0, m = -INFINITY;
    for (int64_t j = 0; j < cols; j++) m = fmax(m, y[j]);
    for (int64_t j = 0; j < cols; j++) s += exp(y[j] - m), all += q[j];
    for (int64_t j = 0; j < cols; j++) {
        if (q[j] != 0) loss -= q[j] * (y[j] - m - log(s));
        dy[j] = exp(y[j] - m) / s * all - q[j];
    }
    return loss;
}

static void check_mix(oclin_context *ctx, const struct shape *shape, int mix)
{
    struct bench b = make_bench(ctx, shape);
    const int64_t rows = shape->rows, cols = shape->cols, n = rows * cols;
    const int soft = mix & SOFT, ignore = mix & IGNORE && !soft;
    float *w = new_array(float, cols), *row_w = new_array(float, rows);
    double *q = new_array(double, n), *want = new_array(double, n), *dy = new_array(double, n),
           *bound = new_array(double, n), *zero = new_array(double, n), total = 0, sum = 0, loss, loss_bound;
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    for (int64_t j = 0; j < cols; j++) w[j] = mix & CLASS_WEIGHTS ? 0.25f * (float)(j % 7 + 1) : 1.0f;
    for (int64_t r = 0; r < rows; r++) row_w[r] = mix & ROW_WEIGHTS ? 0.5f * (float)(r % 5) : 1.0f;
    oclin_tensor *tw = make_tensor(ctx, OCLIN_F32, 1, cols, w),
                 *tr = make_tensor(ctx, OCLIN_F32, rows, 1, row_w);
    if (mix & CLASS_WEIGHTS) o.class_weights = tw;
    if (mix & ROW_WEIGHTS) o.row_weights = tr;
    if (mix & SMOOTHING) o.label_smoothing = 0.125f;
    if (mix & SUM) o.reduction = OCLIN_SUM;
    if (ignore) o.ignore_index = b.host_labels[rows / 2];
    int64_t correct = 0, counted = 0;
    const double eps = o.label_smoothing;
    for (int64_t r = 0; r < rows; r++) {
        const int32_t label = b.host_labels[r];
        const int counts = !ignore || label != o.ignore_index;
        for (int64_t j = 0; j < cols; j++) {
            if (soft) b.host_t[r * cols + j] = (float)((r + j) % 3) * 0.25f; /* with zeros */
            const double t = soft ? b.host_t[r * cols + j] : j == label;
            q[r * cols + j] = (double)w[j] * ((1 - eps) * t + eps / (double)cols);
            if (!soft) q[r * cols + j] = (1 - eps) * w[label] * (j == label) + eps / (double)cols * w[j];
        }
        const double row = define_row(b.host_y + r * cols, q + r * cols, cols, want + r * cols);
        for (int64_t j = 0; j < cols; j++) want[r * cols + j] *= counts ? row_w[r] : 0;
        sum += counts ? row * row_w[r] : 0;
        total += soft ? 1 : counts ? w[label] : 0;
        counted += counts;
    }
    if (mix & SUM) total = 1;
    if (soft) assert_ok(ctx, oclin_tensor_write(b.t.t, b.host_t));
    const struct oclin_ref_case c = RANDOM_CASE(rows, 0, cols);
    if (soft)
        oclin_ref_soft_cross_entropy(&c, b.host_y, b.host_t, o.class_weights ? w : NULL, o.label_smoothing,
                                     o.reduction, 1, &loss, &loss_bound, dy, bound);
    else
        oclin_ref_weighted_cross_entropy(&c, b.host_y, b.host_labels, o.class_weights ? w : NULL,
                                         o.label_smoothing, o.ignore_index, o.reduction, 1, &loss,
                                         &loss_bound, dy, bound, &correct);
    assert_ok(ctx, soft ? oclin_loss_soft_cross_entropy(b.y.t, b.t.t, b.loss, b.dy.t, &o)
                        : call(&b, CROSS_ENTROPY, WANT_ALL, &o));
    const float got = read_loss(&b);
    if (counted == 0 && !(mix & SUM)) {
        assert_true(isnan(got) && isnan(loss));
    } else {
        const double mean = sum / total;
        for (int64_t i = 0; i < n; i++) want[i] /= total;
        assert_true(fabs(got - mean) <= 4e-6 * (1 + fabs(mean)));
        if (!(mix & ROW_WEIGHTS)) { /* the reference's public functions have none */
            assert_true(fabs(loss - mean) <= 1e-12 * (1 + fabs(mean)));
            measure(ctx->plan.name, "cross_entropy, loss", "mix %d", mix);
            check_bound("loss", 1, 1, 1, &got, &loss, &loss_bound);
            for (int64_t i = 0; i < n; i++) assert_true(fabs(dy[i] - want[i]) <= 1e-12);
            measure(ctx->plan.name, "cross_entropy, dy", "mix %d", mix);
            check_tensor_bound("dy", &b.dy, dy, bound);
            measure(NULL, NULL, "");
            if (!soft) assert_int_equal(read_correct(&b), correct);
        }
    }
    for (int64_t i = 0; i < n; i++) {
        zero[i] = 8e-6 / total;
        if (counted == 0) want[i] = 0, zero[i] = 0;
    }
    check_tensor_bound("dy by definition", &b.dy, want, zero);
    void *const arrays[] = {w, row_w, q, want, dy, bound, zero};
    for (size_t i = 0; i < COUNT_OF(arrays); i++) free(arrays[i]);
    oclin_tensor_destroy(tw);
    oclin_tensor_destroy(tr);
    release(&b);
}

static void test_mixes(void **state)
{
    const int plan = *(int *)*state;
    for (int mix = 0; mix < MIXES; mix++)
        for (int shape = 2; shape < SHAPES; shape++) check_mix(context(plan), &shapes[shape], mix);
    check_mix(context(plan), &shapes[0], IGNORE); /* its only row is ignored */
    check_mix(context(plan), &shapes[0], IGNORE | SUM);
}

/* A class of weight 0 adds nothing where its score is -Inf; Inf and NaN spoil the row, and a label that is no
 * class does. */
static void test_weights_of_zero(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    enum { ROWS = 4, COLS = 3 };
    const float y[ROWS * COLS] = {1, -INFINITY, 1, 1, NAN, 1, 1, INFINITY, 1, 1, 1, 1},
                         t[ROWS * COLS] = {0, 1, 0, 0, 1, 0, 0, 1, 0, 0, 1, 0}, w[COLS] = {1, 0, 1};
    const int32_t labels[ROWS] = {1, 1, 1, 3};
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, ROWS, COLS, y),
                 *tt = make_tensor(ctx, OCLIN_F32, ROWS, COLS, t),
                 *tl = make_tensor(ctx, OCLIN_I32, ROWS, 1, labels),
                 *tw = make_tensor(ctx, OCLIN_F32, 1, COLS, w),
                 *tr = make_tensor(ctx, OCLIN_F32, ROWS, 1, NULL);
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    o.class_weights = tw;
    o.row_losses = tr;
    for (int i = 0; i < 6; i++) {
        const int soft = i % 2;
        o.label_smoothing = (float)(i / 2) / 2; /* 0, 0.5, 1 */
        float rows[ROWS];
        assert_ok(ctx, soft ? oclin_loss_soft_cross_entropy(ty, tt, NULL, NULL, &o)
                            : oclin_loss_cross_entropy(ty, tl, NULL, NULL, NULL, &o));
        assert_ok(ctx, oclin_tensor_read(tr, rows));
        assert_true(fabs(rows[0] - (double)o.label_smoothing * 2 / 3 * log(2)) < 1e-6);
        assert_true(isnan(rows[1]) && isnan(rows[2]) && (soft || isnan(rows[3])));
        for (int r = 0; r < ROWS; r++) {
            double want, bound;
            const struct oclin_ref_case c = RANDOM_CASE(1, 0, COLS);
            if (soft)
                oclin_ref_soft_cross_entropy(&c, y + r * COLS, t + r * COLS, w, o.label_smoothing, OCLIN_SUM,
                                             1, &want, &bound, NULL, NULL);
            else
                oclin_ref_weighted_cross_entropy(&c, y + r * COLS, labels + r, w, o.label_smoothing,
                                                 INT64_MIN, OCLIN_SUM, 1, &want, &bound, NULL, NULL, NULL);
            check_bound("row loss", 1, 1, 1, rows + r, &want, &bound);
        }
    }
    oclin_tensor *const all[] = {ty, tt, tl, tw, tr};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* Labels that are no class, beside rows that are ignored; an infinite score where the target is 0. */
static void test_odd_mixes(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    enum { ROWS = 3, COLS = 3 };
    const float y[ROWS * COLS] = {1, 2, 3, 3, 2, 1, 1, -INFINITY, 1},
                         t[ROWS * COLS] = {1, 0, 0, 0, 0.5f, 0.5f, 0.5f, 0, 0.5f};
    const int32_t labels[ROWS] = {-100, 7, 0};
    float dy[ROWS * COLS], loss, rows[ROWS];
    int32_t correct;
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, ROWS, COLS, y),
                 *tt = make_tensor(ctx, OCLIN_F32, ROWS, COLS, t),
                 *tl = make_tensor(ctx, OCLIN_I32, ROWS, 1, labels),
                 *td = make_tensor(ctx, OCLIN_F32, ROWS, COLS, NULL),
                 *sum = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *tc = make_tensor(ctx, OCLIN_I32, 1, 1, NULL),
                 *tr = make_tensor(ctx, OCLIN_F32, ROWS, 1, NULL);
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    o.ignore_index = -100;
    o.row_losses = tr;
    assert_ok(ctx, oclin_loss_cross_entropy(ty, tl, sum, td, tc, &o));
    assert_ok(ctx, oclin_tensor_read(td, dy));
    assert_ok(ctx, oclin_tensor_read(sum, &loss));
    assert_ok(ctx, oclin_tensor_read(tc, &correct));
    assert_ok(ctx, oclin_tensor_read(tr, rows));
    assert_true(isnan(loss) && isnan(rows[1]) && rows[0] == 0 && fabs(rows[2] - log(2)) < 1e-6);
    assert_int_equal(correct, 1);
    for (int j = 0; j < COLS; j++) assert_true(dy[j] == 0 && isnan(dy[COLS + j]));
    assert_true(dy[6] == -0.25f && dy[7] == 0 && dy[8] == 0.25f); /* of two rows that count */
    o.ignore_index = (int64_t)INT32_MAX + 1 + 7;                  /* no label is that */
    assert_ok(ctx, oclin_loss_cross_entropy(ty, tl, sum, td, tc, &o));
    assert_ok(ctx, oclin_tensor_read(td, dy));
    assert_true(isnan(dy[0]) && isnan(dy[3]));
    o.ignore_index = INT64_MIN;
    assert_ok(ctx, oclin_loss_soft_cross_entropy(ty, tt, sum, td, &o));
    assert_ok(ctx, oclin_tensor_read(td, dy));
    assert_ok(ctx, oclin_tensor_read(tr, rows));
    assert_true(fabs(rows[2] - log(2)) < 1e-6 && dy[6] == 0 && dy[7] == 0 && dy[8] == 0);
    oclin_tensor *const all[] = {ty, tt, tl, td, sum, tc, tr};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* Softmax and argmax of placed operands, against bounds and exactly. */
static void test_rows(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    for (int shape = 0; shape < SHAPES; shape++) {
        struct bench b = make_bench(ctx, &shapes[shape]);
        const int64_t rows = shapes[shape].rows, cols = shapes[shape].cols;
        double *want = new_array(double, rows *cols), *bound = new_array(double, rows *cols);
        int32_t *got = new_array(int32_t, rows);
        for (int64_t r = 0; r < rows; r++) { /* the largest is there twice, where there is room */
            float *y = b.host_y + r * cols;
            const int64_t at = r * 7 % cols;
            y[at] = 9;
            y[(at + cols / 2) % cols] = 9;
        }
        assert_ok(ctx, oclin_tensor_write(b.y.t, b.host_y));
        const struct oclin_ref_case c = RANDOM_CASE(rows, 0, cols);
        oclin_ref_softmax(&c, b.host_y, want, bound);
        assert_ok(ctx, oclin_softmax(b.y.t, b.dy.t));
        measure(ctx->plan.name, "softmax", "%lld x %lld", (long long)rows, (long long)cols);
        check_tensor_bound("p", &b.dy, want, bound);
        measure(NULL, NULL, "");
        for (int64_t r = 0; r < rows; r++) {
            double sum = 0;
            for (int64_t j = 0; j < cols; j++) sum += exp(b.host_y[r * cols + j]);
            for (int64_t j = 0; j < cols; j++)
                assert_true(fabs(want[r * cols + j] - exp(b.host_y[r * cols + j]) / sum) < 1e-12);
        }
        assert_ok(ctx, oclin_tensor_argmax(b.y.t, b.labels));
        assert_ok(ctx, oclin_tensor_read(b.labels, got));
        for (int64_t r = 0; r < rows; r++) {
            const int64_t at = r * 7 % cols, other = (at + cols / 2) % cols;
            assert_int_equal(got[r], at < other ? at : other);
        }
        free(want);
        free(bound);
        free(got);
        release(&b);
    }
}

/* NaN, Inf and equal elements. */
static void test_odd_rows(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    enum { ROWS = 6, COLS = 4 };
    const float t[ROWS * COLS] = {1,   NAN,      NAN, 5,        -INFINITY, -INFINITY, -INFINITY, -INFINITY,
                                  1,   INFINITY, 2,   INFINITY, -0.0f,     0,         -1,        0,
                                  NAN, INFINITY, 0,   0,        0,         -INFINITY, 0,         -INFINITY};
    const int32_t want[ROWS] = {1, 0, 1, 0, 0, 0};
    int32_t got[ROWS];
    float p[ROWS * COLS];
    oclin_tensor *tt = make_tensor(ctx, OCLIN_F32, ROWS, COLS, t),
                 *ti = make_tensor(ctx, OCLIN_I32, ROWS, 1, NULL),
                 *tp = make_tensor(ctx, OCLIN_F32, ROWS, COLS, NULL),
                 *empty = make_tensor(ctx, OCLIN_F32, 0, COLS, NULL),
                 *none = make_tensor(ctx, OCLIN_I32, 0, 1, NULL);
    assert_ok(ctx, oclin_tensor_argmax(tt, ti));
    assert_ok(ctx, oclin_tensor_read(ti, got));
    for (int r = 0; r < ROWS; r++) assert_int_equal(got[r], want[r]);
    assert_ok(ctx, oclin_softmax(tt, tp));
    assert_ok(ctx, oclin_tensor_read(tp, p));
    for (int i = 0; i < ROWS * COLS; i++)
        assert_true(i / COLS == 3   ? isfinite(p[i])
                    : i / COLS == 5 ? p[i] == (i % 2 ? 0 : 0.5f)
                                    : isnan(p[i]));
    assert_ok(ctx, oclin_softmax(empty, empty)); /* 0 rows share nothing */
    assert_ok(ctx, oclin_tensor_argmax(empty, none));
    assert_int_equal(oclin_softmax(NULL, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_tensor_argmax(NULL, NULL), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "p is NULL", oclin_softmax(tt, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "y is NULL", oclin_softmax(NULL, tp));
    assert_refused(ctx, OCLIN_E_ARG, "t is NULL", oclin_tensor_argmax(NULL, ti));
    assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_softmax(tt, tt));
    assert_refused(ctx, OCLIN_E_ARG, "indices is f32", oclin_tensor_argmax(tt, tp));
    assert_refused(ctx, OCLIN_E_SHAPE, "p is 0 x 4", oclin_softmax(tt, empty));
    assert_refused(ctx, OCLIN_E_SHAPE, "indices is 0 x 1", oclin_tensor_argmax(tt, none));
    oclin_tensor *const all[] = {tt, ti, tp, empty, none};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* Of the operands in the options: shape, dtype, access and overlap. */
static void test_option_operands(void **state)
{
    (void)state;
    struct bench b = make_bench(context(0), &small);
    oclin_context *ctx = b.ctx;
    oclin_tensor *row = make_tensor(ctx, OCLIN_F32, small.rows, 1, NULL),
                 *more = make_tensor(ctx, OCLIN_F32, small.rows + 1, 1, NULL),
                 *column = make_tensor(ctx, OCLIN_F32, 1, small.cols, NULL),
                 *integers = make_tensor(ctx, OCLIN_I32, small.rows, 1, NULL);
    assert_ok(ctx, oclin_tensor_fill(row, 1));
    assert_ok(ctx, oclin_tensor_fill(column, 1));
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    for (int kind = 0; kind < KINDS; kind++) {
        o = (struct oclin_loss_options)OCLIN_LOSS_OPTIONS_INIT;
        o.row_weights = more;
        check_refused(&b, OCLIN_E_SHAPE, "row_weights is", call(&b, kind, WANT_ALL, &o));
        o.row_weights = integers;
        check_refused(&b, OCLIN_E_ARG, "row_weights is", call(&b, kind, WANT_ALL, &o));
        o.row_weights = row;
        o.row_losses = more;
        check_refused(&b, OCLIN_E_SHAPE, "row_losses is", call(&b, kind, WANT_ALL, &o));
        o.row_losses = row;
        check_refused(&b, OCLIN_E_ARG, "share elements", call(&b, kind, WANT_ALL, &o));
        o.row_losses = NULL;
        o.class_weights = row;
        const int weighs = kind == BCE || kind == CROSS_ENTROPY;
        check_refused(&b, weighs ? OCLIN_E_SHAPE : OCLIN_E_ARG, "class_weights",
                      call(&b, kind, WANT_ALL, &o));
        o.class_weights = NULL;
        if (kind != CROSS_ENTROPY) {
            o.label_smoothing = 0.5f;
            check_refused(&b, OCLIN_E_ARG, "label_smoothing is given", call(&b, kind, WANT_ALL, &o));
            o.label_smoothing = 0;
            o.ignore_index = -100;
            check_refused(&b, OCLIN_E_ARG, "ignore_index is given", call(&b, kind, WANT_ALL, &o));
            o.ignore_index = INT64_MIN;
        }
        const float parts[] = {-0.1f, 1.1f, NAN};
        for (size_t i = 0; i < COUNT_OF(parts); i++) {
            o.label_smoothing = parts[i];
            check_refused(&b, OCLIN_E_ARG, "label_smoothing is", call(&b, kind, WANT_ALL, &o));
        }
        o.label_smoothing = 0;
        const float deltas[] = {0, -1, NAN, INFINITY, FLT_MIN / 2};
        for (size_t i = 0; i < COUNT_OF(deltas); i++) {
            o.delta = deltas[i];
            check_refused(&b, OCLIN_E_ARG, "delta is", call(&b, kind, WANT_ALL, &o));
        }
    }
    o = (struct oclin_loss_options)OCLIN_LOSS_OPTIONS_INIT;
    o.class_weights = column;
    assert_ok(ctx, call(&b, BCE, WANT_ALL, &o));
    column->unspecified = 1;
    assert_status(ctx, OCLIN_E_STATE, call(&b, BCE, WANT_ALL, &o));
    oclin_tensor *const all[] = {row, more, column, integers};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    release(&b);
}

/* -------------------------------------------------------------------------------------- state of operands */

/* Options of a later version of oclin are refused, not ignored. */
static void test_reserved(void **state)
{
    const int kind = *(int *)*state;
    struct bench b = make_bench(context(0), &small);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    static const int numbers[] = {1, -1, 256, INT32_MIN};
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        options.reserved = numbers[i];
        check_refused(&b, OCLIN_E_ARG, "reserved", call(&b, kind, WANT_ALL, &options));
    }
    options.reserved = 0;
    assert_ok(b.ctx, call(&b, kind, WANT_ALL, &options));
    release(&b);
}

/* What a call that failed has left in an operand is not read: not as an input, and not to be added to.
 * Results that are overwritten are healed. */
static void test_unspecified(void **state)
{
    const int kind = *(int *)*state;
    for (int operand = Y; operand < OPERANDS - (kind != CROSS_ENTROPY); operand++)
        for (int accumulate = 0; accumulate < 2; accumulate++) {
            struct bench b = make_bench(context(0), &small);
            oclin_tensor *const t[OPERANDS] = {b.y.t, kind == CROSS_ENTROPY ? b.labels : b.t.t, b.loss,
                                               b.dy.t, b.correct};
            struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
            options.accumulate = accumulate;
            const int reads =
                operand == Y || operand == TARGET || (accumulate && (operand == LOSS || operand == CORRECT));
            const char *name = operand == TARGET && kind == CROSS_ENTROPY ? "labels is unspecified"
                               : operand == TARGET                        ? "t is unspecified"
                                                                          : "is unspecified";
            assert_ok(b.ctx, oclin_tensor_fill(b.loss, 3));
            assert_ok(b.ctx, oclin_tensor_fill(b.correct, 4));
            t[operand]->unspecified = 1; /* as a finish that fails makes it */
            const uint64_t versions[] = {b.loss->version, b.dy.t->version, b.correct->version};
            const oclin_status status = call(&b, kind, WANT_ALL, &options);
            if (reads) {
                assert_refused(b.ctx, OCLIN_E_STATE, name, status);
                assert_true(versions[0] == b.loss->version && versions[1] == b.dy.t->version &&
                            versions[2] == b.correct->version);
            } else {
                assert_ok(b.ctx, status);
                assert_int_equal(t[operand]->unspecified, 0);
            }
            release(&b);
        }
}

/* Results are added to zeros that are only marked, in memory that holds other numbers: a gradient of 1 x 1
 * that its layer has cleared, as the loss, and the same memory seen as an integer, as the count. */
static void test_accumulated_on_cleared(void **state)
{
    const int kind = *(int *)*state;
    for (int is_count = 0; is_count <= (kind == CROSS_ENTROPY); is_count++) {
        struct bench b = make_bench(context(0), &shapes[3]);
        struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
        oclin_layer *owner;
        assert_ok(b.ctx, oclin_layer_create(&owner, b.ctx, 1, 1, NULL));
        oclin_tensor *marked = oclin_layer_dw(owner);
        assert_ok(b.ctx, oclin_tensor_fill(b.loss, 0));
        assert_ok(b.ctx, oclin_tensor_fill(b.correct, 0));
        oclin_tensor **const slot = is_count ? &b.correct : &b.loss;
        oclin_tensor_destroy(*slot);
        assert_ok(b.ctx, oclin_tensor_wrap(slot, b.ctx, is_count ? OCLIN_I32 : OCLIN_F32,
                                           oclin_tensor_cl_mem(marked), 0, 1, 1, 1));
        assert_ok(b.ctx, oclin_tensor_fill(marked, 7.0));
        assert_ok(b.ctx, oclin_layer_zero_grad(owner));
        assert_true(marked->zero_pending);
        options.accumulate = 1;
        assert_ok(b.ctx, call(&b, kind, WANT_ALL, &options));
        check_results(&b, kind, &options, 1);
        release(&b);
        oclin_layer_destroy(owner);
    }
}

/* Two calls on the same data give the same bits in every output. */
static void test_twice(void **state)
{
    const int plan = *(int *)*state / KINDS, kind = *(int *)*state % KINDS;
    static const struct shape wide = {67, 301, 305, 1};
    const int64_t n = wide.rows * wide.cols;
    float *dy[2], loss[2];
    int32_t correct[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        struct bench b = make_bench(context(plan), &wide);
        dy[i] = new_array(float, n);
        assert_ok(b.ctx, call(&b, kind, WANT_ALL, NULL));
        assert_ok(b.ctx, oclin_tensor_read(b.dy.t, dy[i]));
        loss[i] = read_loss(&b);
        if (kind == CROSS_ENTROPY) correct[i] = read_correct(&b);
        release(&b);
    }
    check_same_bits("dy of a second run", dy[1], dy[0], n);
    check_same_bits("the loss of a second run", &loss[1], &loss[0], 1);
    assert_int_equal(correct[1], correct[0]);
    for (int i = 0; i < 2; i++) free(dy[i]);
}

static void add_states(struct test_list *list)
{
    static int numbers[PLANS * KINDS];
    for (int i = 0; i < PLANS * KINDS; i++) numbers[i] = i;
    for (int kind = 0; kind < KINDS; kind++) {
        add_test(list, test_reserved, &numbers[kind], "options/%s: reserved", kinds[kind]);
        add_test(list, test_unspecified, &numbers[kind], "state/%s: unspecified operands", kinds[kind]);
        add_test(list, test_accumulated_on_cleared, &numbers[kind], "state/%s: onto marked zeros",
                 kinds[kind]);
    }
    for (int i = 0; i < PLANS * KINDS; i++)
        add_test(list, test_twice, &numbers[i], "%s/%s twice", plans[i / KINDS], kinds[i % KINDS]);
}

int main(int argc, char **argv)
{
    static int numbers[KINDS] = {0, 1, 2, 3, 4};
    struct test_list list = {0};
    add_tables(&list);
    for (int kind = 0; kind < KINDS; kind++) {
        add_test(&list, test_default_options, &numbers[kind], "%s/default options", kinds[kind]);
        add_test(&list, test_missing_outputs, &numbers[kind], "%s/missing outputs", kinds[kind]);
        add_test(&list, test_no_rows, &numbers[kind], "%s/no rows", kinds[kind]);
    }
    for (int plan = 0; plan < PLANS; plan++) {
        add_test(&list, test_count, &numbers[plan], "%s/count of many rows", plans[plan]);
        add_test(&list, test_mse_dy_edges, &numbers[plan], "%s/edges/mse, dy", plans[plan]);
        add_test(&list, test_mse_loss_edges, &numbers[plan], "%s/edges/mse, loss", plans[plan]);
        add_test(&list, test_cross_entropy_dy_edges, &numbers[plan], "%s/edges/cross_entropy, dy",
                 plans[plan]);
        add_test(&list, test_cross_entropy_loss_edges, &numbers[plan], "%s/edges/cross_entropy, loss",
                 plans[plan]);
    }
    for (int kind = 0; kind < KINDS; kind++)
        add_test(&list, test_row_weights, &numbers[kind], "%s/row weights", kinds[kind]);
    for (int plan = 0; plan < PLANS; plan++) {
        add_test(&list, test_elements, &numbers[plan], "%s/elements", plans[plan]);
        add_test(&list, test_mixes, &numbers[plan], "%s/options of cross_entropy", plans[plan]);
        add_test(&list, test_rows, &numbers[plan], "%s/softmax and argmax", plans[plan]);
        add_test(&list, test_odd_rows, &numbers[plan], "%s/odd softmax and argmax", plans[plan]);
        add_test(&list, test_weights_of_zero, &numbers[plan], "%s/weights of 0", plans[plan]);
        add_test(&list, test_odd_mixes, &numbers[plan], "%s/odd labels and scores", plans[plan]);
    }
    add_test(&list, test_option_operands, NULL, "options/operands");
    add_test(&list, test_all_null, NULL, "operand/all NULL");
    add_test(&list, test_sharing, NULL, "operand/shared elements");
    add_test(&list, test_workspace, NULL, "memory");
    add_states(&list);
    const int code = run_list("loss", &list, argc, argv);
    for (int i = 0; i <= PLANS; i++) oclin_context_destroy(contexts[i]);
    return code;
}
