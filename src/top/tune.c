/*
 * oclin_tune: measures on the present device which plan is the fastest for each product of a layer.
 *
 * Everything runs in a context of the tuner's own, on the caller's queue, so that whatever candidates build,
 * allocate or break is gone with it. There a plan is forced as OCLIN_PLAN would force it, so that a plan
 * that does not run is noticed and not replaced.
 */
#include "core/context.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "check/random.h"
#include "check/verify.h"
#include "core/error.h"
#include "core/os.h"
#include "open.h"
#include "plan/plan.h"
#include "plan/tune_table.h"
#include "tensor/tensor.h"

enum { FEWEST_ROUNDS = 3, MOST_ROUNDS = 21, SAMPLE_ROWS = 24, SAMPLE_COLS = 96, PRODUCTS = 4 };

static const double least_gain = 1.03;
static const double shortest_timing = 0.010; /* seconds: starting and waiting are small against it */
static const double hopeless = 1.25;         /* times the best median, after the fewest rounds */
static const double sample_products = 5e7;   /* multiplications that the reference may cost */

/* ------------------------------------------------------------------------------------------------ state */

/* Some rows and columns of a result, and the reference's values for them. */
struct sample {
    const char *name;
    oclin_tensor *result; /* borrowed */
    int64_t rows, cols, row[SAMPLE_ROWS], col[SAMPLE_COLS];
    double *want, *bound;
};
enum { Y, DX, DW, DB, SAMPLES };

/* A plan of a product, and its timings. */
struct arm {
    const char *plan; /* "" is the default */
    int right, out;   /* out: the plan is no longer timed */
    int64_t calls;    /* calls of one timing */
    int rounds;
    double seconds[MOST_ROUNDS]; /* seconds of one call */
};

/* A product, and the plans that compete for it. */
struct contest {
    enum oclin_kernel_id id;
    /* names of all candidates; only those that there was time for have an arm */
    const char *names[OCLIN_MOST_CANDIDATES];
    int candidates, count;
    struct arm arms[OCLIN_MOST_CANDIDATES];
    oclin_status failed; /* the last failure, and its reason */
    char why[512];
};

struct tuner {
    oclin_context *ctx, *own;
    struct oclin_shape shape;
    oclin_tune_progress_fn progress;
    void *user;
    /* times of the budget; from built on no other plan is built */
    double start, built, end;
    oclin_layer *layer;
    oclin_tensor *w, *b, *x, *y, *dy, *dx;
    float *host_w, *host_b, *host_x, *host_dy, *got;
    struct sample samples[SAMPLES];
    struct oclin_tuning winners;
    struct contest contests[PRODUCTS];
};

static const char *plan_text(const char *plan)
{
    return plan[0] ? plan : "default";
}

static oclin_status no_memory(const struct tuner *t)
{
    return oclin_fail(t->ctx, OCLIN_E_MEMORY, "no host memory for tuning");
}

/* Passes a failure in the tuner's own context on to the caller's context. */
static oclin_status hand_on(const struct tuner *t, oclin_status status)
{
    if (status == OCLIN_OK) return status;
    t->ctx->cl_error = t->own->cl_error;
    t->ctx->lost |= t->own->lost;
    return oclin_fail(t->ctx, status, "%s", t->own->error);
}

/* --------------------------------------------------------------------------------------------- progress */

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Returns 0 if there is no timing. */
static double median(const struct arm *arm)
{
    double sorted[MOST_ROUNDS];
    const int n = arm->rounds;
    if (n == 0) return 0.0;
    memcpy(sorted, arm->seconds, (size_t)n * sizeof *sorted);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    return 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]);
}

static oclin_status report(const struct tuner *t, const struct contest *c, const struct arm *arm,
                           oclin_tune_event event)
{
    const double seconds = median(arm), of_default = median(&c->arms[0]);
    const double gain = seconds > 0.0 && of_default > 0.0 ? of_default / seconds : 1.0;
    const char *product = oclin_tuned_name(c->id), *plan = plan_text(arm->plan);
    if (event == OCLIN_TUNE_SKIPPED) oclin_log(t->ctx, "tuning: %s with plan %s: %s", product, plan, c->why);
    if (event >= OCLIN_TUNE_MEASURED)
        oclin_log(t->ctx, "tuning: %s %lld x %lld, batch %lld: plan %s %s, %.3g s, gain %.3f", product,
                  (long long)t->shape.in, (long long)t->shape.out, (long long)t->shape.batch, plan,
                  event == OCLIN_TUNE_CHOSEN ? "chosen" : "measured", seconds, gain);
    if (!t->progress) return OCLIN_OK;
    const struct oclin_tune_progress p = {.size = sizeof p,
                                          .event = event,
                                          .product = product,
                                          .plan = plan,
                                          .why = event == OCLIN_TUNE_SKIPPED ? c->why : "",
                                          .in = t->shape.in,
                                          .out = t->shape.out,
                                          .batch = t->shape.batch,
                                          .seconds = seconds,
                                          .default_seconds = of_default,
                                          .gain = gain,
                                          .seconds_left = t->end - oclin_os_seconds()};
    if (t->progress(t->user, &p) == 0) return OCLIN_OK;
    return oclin_fail(t->ctx, OCLIN_E_STATE, "the progress function ended the tuning at %s with plan %s",
                      product, plan);
}

/* ----------------------------------------------------------------------------------------------- samples */

/* Picks at most `most` of n places: the first, the last, and one in each equal part between them. */
static int64_t pick(int64_t n, int64_t most, int64_t *at)
{
    if (n <= most) {
        for (int64_t i = 0; i < n; i++) at[i] = i;
        return n;
    }
    for (int64_t i = 0; i < most; i++) {
        const int64_t from = (int64_t)((double)n * (double)i / (double)most);
        const int64_t to = (int64_t)((double)n * (double)(i + 1) / (double)most);
        at[i] = from + (to > from ? i * 7919 % (to - from) : 0);
    }
    at[most - 1] = n - 1;
    return most;
}

/* Copies the rows and columns `row` and `col` (NULL: the first ones) out of a dense matrix; returns NULL
 * if there is no memory. */
static float *gather(const float *from, int64_t stride, const int64_t *row, int64_t rows, const int64_t *col,
                     int64_t cols)
{
    float *to = malloc((size_t)(rows * cols) * sizeof *to);
    for (int64_t r = 0; to && r < rows; r++)
        for (int64_t c = 0; c < cols; c++)
            to[r * cols + c] = from[(row ? row[r] : r) * stride + (col ? col[c] : c)];
    return to;
}

/* Chooses places in a result of rows x cols, each of which is a sum of k products. */
static int sample_places(struct sample *s, int64_t k)
{
    int64_t most_rows = SAMPLE_ROWS, most_cols = SAMPLE_COLS;
    while ((double)(most_rows * most_cols) * (double)k > sample_products && most_cols > 8) {
        most_cols /= 2;
        most_rows = most_rows > 4 ? most_rows / 2 : most_rows;
    }
    s->rows = pick(s->result->rows, most_rows, s->row);
    s->cols = pick(s->result->cols, most_cols, s->col);
    s->want = calloc((size_t)(s->rows * s->cols), sizeof *s->want);
    s->bound = calloc((size_t)(s->rows * s->cols), sizeof *s->bound);
    return s->want && s->bound;
}

/* A part of a product is the same product of parts of its operands, so the reference can compute it. */
static int fill_sample(const struct tuner *t, int which, struct sample *s)
{
    const int64_t batch = t->shape.batch, in = t->shape.in, out = t->shape.out;
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(s->rows, s->cols, out); /* the sizes for DX */
    float *a = NULL, *b = NULL, *bias = NULL;
    int done = 0;
    c.rule = OCLIN_RANDOM;
    c.no_denormals = !t->own->device.denormals;
    c.truncates = t->own->device.truncates;
    switch (which) {
    case Y:
        c.in = in;
        c.out = s->cols;
        a = gather(t->host_x, in, s->row, s->rows, NULL, in);
        b = gather(t->host_w, in, s->col, s->cols, NULL, in);
        bias = gather(t->host_b, out, NULL, 1, s->col, s->cols);
        done = a && b && bias;
        if (done) oclin_ref_forward(&c, a, b, bias, NULL, NULL, s->want, s->bound);
        break;
    case DX:
        a = gather(t->host_w, in, NULL, out, s->col, s->cols);
        b = gather(t->host_dy, out, s->row, s->rows, NULL, out);
        done = a && b;
        if (done) oclin_ref_grad_x(&c, a, b, NULL, s->want, s->bound);
        break;
    case DW:
        c.batch = batch;
        c.out = s->rows;
        a = gather(t->host_x, in, NULL, batch, s->col, s->cols);
        b = gather(t->host_dy, out, NULL, batch, s->row, s->rows);
        done = a && b;
        if (done) oclin_ref_grad_w(&c, a, b, NULL, s->want, s->bound);
        break;
    default:
        c.batch = batch;
        c.out = s->cols;
        a = gather(t->host_dy, out, NULL, batch, s->col, s->cols);
        done = a != NULL;
        if (done) oclin_ref_grad_b(&c, a, NULL, s->want, s->bound);
    }
    free(a);
    free(b);
    free(bias);
    return done;
}

static oclin_status make_samples(struct tuner *t)
{
    static const char *const names[] = {"y", "dx", "dw", "db"};
    OCLIN_TRY(hand_on(t, oclin_layer_reserve(t->layer, 0))); /* makes dw and db, or says why there are none */
    oclin_tensor *const results[] = {t->y, t->dx, oclin_layer_dw(t->layer), oclin_layer_db(t->layer)};
    const int64_t k[] = {t->shape.in, t->shape.out, t->shape.batch, t->shape.batch};
    for (int i = 0; i < SAMPLES; i++) {
        struct sample *s = &t->samples[i];
        s->name = names[i];
        s->result = results[i];
        if (!sample_places(s, k[i]) || !fill_sample(t, i, s)) return no_memory(t);
    }
    return OCLIN_OK;
}

/* Reads the result and checks it. Every element must have been written, and those of the sample must be
 * within their bounds. */
static oclin_status check_sample(const struct tuner *t, const struct sample *s)
{
    const int64_t cols = s->result->cols;
    OCLIN_TRY(oclin_tensor_read_inside(s->result, t->got));
    for (int64_t i = 0; i < s->result->rows * cols; i++)
        if (!isfinite(t->got[i]))
            return oclin_fail(t->own, OCLIN_E_VERIFY, "%s[%lld, %lld] is %g, which the reference never is",
                              s->name, (long long)(i / cols), (long long)(i % cols), (double)t->got[i]);
    for (int64_t r = 0; r < s->rows; r++)
        for (int64_t c = 0; c < s->cols; c++) {
            const float got = t->got[s->row[r] * cols + s->col[c]];
            const double want = s->want[r * s->cols + c], bound = s->bound[r * s->cols + c];
            if (oclin_error_in_bounds(got, want, bound) > 1.0)
                return oclin_fail(t->own, OCLIN_E_VERIFY,
                                  "%s[%lld, %lld] is %.9g, the reference says %.9g within %.3g", s->name,
                                  (long long)s->row[r], (long long)s->col[c], (double)got, want, bound);
        }
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------------- operands */

static oclin_status fill_random(const struct tuner *t, uint32_t stream, oclin_tensor *tensor, float **host)
{
    const int64_t n = tensor->rows * tensor->cols;
    *host = malloc((size_t)n * sizeof **host);
    if (!*host) return no_memory(t);
    oclin_random_fill(1, stream, OCLIN_INIT_UNIFORM, 0.5, 0, n, *host);
    return hand_on(t, oclin_tensor_write_inside(tensor, *host));
}

/* Allocates the device's memory first, because the device refuses memory sooner than the host does. */
static oclin_status make_operands(struct tuner *t)
{
    const struct oclin_shape s = t->shape;
    OCLIN_TRY(hand_on(t, oclin_tensor_make(&t->w, t->own, OCLIN_F32, s.out, s.in)));
    OCLIN_TRY(hand_on(t, oclin_tensor_make(&t->b, t->own, OCLIN_F32, 1, s.out)));
    OCLIN_TRY(hand_on(t, oclin_tensor_make(&t->x, t->own, OCLIN_F32, s.batch, s.in)));
    OCLIN_TRY(hand_on(t, oclin_tensor_make(&t->dx, t->own, OCLIN_F32, s.batch, s.in)));
    OCLIN_TRY(hand_on(t, oclin_tensor_make(&t->y, t->own, OCLIN_F32, s.batch, s.out)));
    OCLIN_TRY(hand_on(t, oclin_tensor_make(&t->dy, t->own, OCLIN_F32, s.batch, s.out)));
    OCLIN_TRY(fill_random(t, 0, t->w, &t->host_w));
    OCLIN_TRY(fill_random(t, 1, t->b, &t->host_b));
    OCLIN_TRY(fill_random(t, 2, t->x, &t->host_x));
    OCLIN_TRY(fill_random(t, 3, t->dy, &t->host_dy));
    const int64_t wider = s.in > s.out ? s.in : s.out, taller = s.batch > s.out ? s.batch : s.out;
    t->got = malloc((size_t)(wider * taller) * sizeof *t->got);
    if (!t->got) return no_memory(t);
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.w = t->w;
    o.b = t->b;
    return hand_on(t, oclin_layer_create(&t->layer, t->own, s.in, s.out, &o));
}

/* ---------------------------------------------------------------------------------------------- running */

/* Makes the product run with this plan in the tuner's own context. */
static oclin_status select_plan(struct tuner *t, enum oclin_kernel_id id, const char *plan)
{
    const int whole = id == OCLIN_KERNEL_ONE_PASS;
    struct oclin_tuned backward = {.id = OCLIN_KERNEL_ONE_PASS, .shape = t->shape};
    int complete = 1;
    /* grad_x and grad_w run one by one; backward uses the plans that won for them */
    snprintf(backward.plan, sizeof backward.plan, "%s", whole ? plan : "two-products");
    oclin_plan_select(t->own, whole ? "" : plan);
    struct oclin_tuning *tuning = t->own->tuning;
    tuning->count = 0;
    for (int i = 0; whole && i < t->winners.count; i++)
        complete &= oclin_tuning_put(tuning, &t->winners.entries[i]);
    complete &= oclin_tuning_put(tuning, &backward);
    return complete ? OCLIN_OK : oclin_fail(t->own, OCLIN_E_MEMORY, "no host memory for a plan");
}

/* Runs the product once. */
static oclin_status enqueue(const struct tuner *t, enum oclin_kernel_id id)
{
    OCLIN_TRY(oclin_layer_zero_grad(t->layer));
    switch (id) {
    case OCLIN_KERNEL_FORWARD:
        return oclin_layer_forward(t->layer, t->x, t->y);
    case OCLIN_KERNEL_GRAD_X:
        return oclin_layer_backward_x(t->layer, t->dy, t->dx);
    case OCLIN_KERNEL_GRAD_W:
        return oclin_layer_backward(t->layer, t->dy, NULL);
    default:
        return oclin_layer_backward(t->layer, t->dy, t->dx);
    }
}

static oclin_status time_calls(const struct tuner *t, enum oclin_kernel_id id, int64_t calls, double *seconds)
{
    const double start = oclin_os_seconds();
    for (int64_t i = 0; i < calls; i++) OCLIN_TRY(enqueue(t, id));
    OCLIN_TRY(oclin_context_finish(t->own));
    *seconds = oclin_os_seconds() - start;
    return OCLIN_OK;
}

/* Takes one timing. The first timing also finds out how many calls are long enough. */
static oclin_status time_arm(struct tuner *t, enum oclin_kernel_id id, struct arm *arm)
{
    double seconds;
    OCLIN_TRY(select_plan(t, id, arm->plan));
    /* An untimed call comes first, because the caches still belong to the plan before. */
    if (arm->calls != 1) OCLIN_TRY(time_calls(t, id, 1, &seconds));
    if (arm->calls == 0) arm->calls = 1;
    for (;;) {
        OCLIN_TRY(time_calls(t, id, arm->calls, &seconds));
        if (seconds >= shortest_timing || arm->calls >= 1 << 20) break;
        const double factor = seconds > 0.0 ? 1.3 * shortest_timing / seconds : 16.0;
        arm->calls = (int64_t)((double)arm->calls * (factor < 16.0 ? factor : 16.0)) + 1;
    }
    arm->seconds[arm->rounds] = seconds / (double)arm->calls;
    return OCLIN_OK;
}

/* Gives the samples that the product writes, from first to last. */
static void results_of(enum oclin_kernel_id id, int *first, int *last)
{
    *first = id == OCLIN_KERNEL_FORWARD ? Y : id == OCLIN_KERNEL_GRAD_W ? DW : DX;
    *last = id == OCLIN_KERNEL_FORWARD ? Y : id == OCLIN_KERNEL_GRAD_X ? DX : DB;
}

/* Runs the plan once on results that hold NaN before, and compares them. */
static oclin_status check_plan(struct tuner *t, enum oclin_kernel_id id, const char *plan)
{
    int first, last;
    results_of(id, &first, &last);
    OCLIN_TRY(select_plan(t, id, ""));
    for (int i = first; i <= last; i++) OCLIN_TRY(oclin_tensor_fill(t->samples[i].result, NAN));
    OCLIN_TRY(select_plan(t, id, plan));
    OCLIN_TRY(enqueue(t, id));
    for (int i = first; i <= last; i++) OCLIN_TRY(check_sample(t, &t->samples[i]));
    return OCLIN_OK;
}

/* -------------------------------------------------------------------------------------------- a contest */

/* Leaves out a plan that fails, unless the failure took the device with it. */
static oclin_status skip(const struct tuner *t, struct contest *c, struct arm *arm, oclin_status status)
{
    if (t->own->lost) return hand_on(t, status);
    arm->right = 0;
    arm->rounds = 0;
    c->failed = status;
    snprintf(c->why, sizeof c->why, "%s", t->own->error);
    return report(t, c, arm, OCLIN_TUNE_SKIPPED);
}

/* Builds and checks the next candidate. */
static oclin_status next_arm(struct tuner *t, struct contest *c)
{
    struct arm *arm = &c->arms[c->count];
    arm->plan = c->names[c->count];
    c->count++;
    const oclin_status status = check_plan(t, c->id, arm->plan);
    if (status != OCLIN_OK) return skip(t, c, arm, status);
    arm->right = 1;
    return report(t, c, arm, OCLIN_TUNE_CHECKED);
}

static void drop_hopeless(struct contest *c)
{
    double best = INFINITY;
    for (int i = 0; i < c->count; i++)
        if (c->arms[i].right && median(&c->arms[i]) < best) best = median(&c->arms[i]);
    for (int i = 1; i < c->count; i++)
        if (median(&c->arms[i]) > hopeless * best) c->arms[i].out = 1;
}

/* Times the plans in turn, so that a disturbance of the machine affects all of them. An incomplete round
 * does not count. */
static oclin_status time_arms(struct tuner *t, struct contest *c, double end)
{
    for (int round = 0; round < MOST_ROUNDS; round++) {
        for (int i = 0; i < c->count; i++) {
            struct arm *arm = &c->arms[i];
            if (!arm->right || arm->out) continue;
            if (oclin_os_seconds() >= end) return OCLIN_OK;
            const oclin_status status = time_arm(t, c->id, arm);
            if (status != OCLIN_OK) OCLIN_TRY(skip(t, c, arm, status));
        }
        for (int i = 0; i < c->count; i++) {
            if (!c->arms[i].right || c->arms[i].out) continue;
            c->arms[i].rounds++;
            OCLIN_TRY(report(t, c, &c->arms[i], OCLIN_TUNE_TIMED));
        }
        if (round + 1 == FEWEST_ROUNDS) drop_hopeless(c);
    }
    return OCLIN_OK;
}

/* A gain must be more than chance, so the plan must also be faster in three of four rounds. */
static int beats_default(const struct contest *c, const struct arm *arm)
{
    const struct arm *of_default = &c->arms[0];
    int faster = 0;
    for (int i = 0; i < arm->rounds; i++) faster += arm->seconds[i] < of_default->seconds[i];
    return median(of_default) > least_gain * median(arm) && 4 * faster >= 3 * arm->rounds;
}

/* Returns NULL if too little was measured. A default that gives wrong results loses to every other plan. */
static const struct arm *winner(const struct contest *c)
{
    const struct arm *best = c->arms[0].rounds >= FEWEST_ROUNDS ? &c->arms[0] : NULL;
    for (int i = 1; i < c->count; i++) {
        const struct arm *arm = &c->arms[i];
        if (arm->rounds < FEWEST_ROUNDS || (best && median(arm) >= median(best))) continue;
        if (!c->arms[0].right || (best && beats_default(c, arm))) best = arm;
    }
    return best;
}

static oclin_status choose(struct tuner *t, const struct contest *c)
{
    for (int i = 0; i < c->count; i++)
        if (c->arms[i].rounds > 0) OCLIN_TRY(report(t, c, &c->arms[i], OCLIN_TUNE_MEASURED));
    const struct arm *best = winner(c);
    if (!best) return OCLIN_OK; /* say_too_little() reports it */
    struct oclin_tuned tuned = {.id = c->id, .shape = t->shape};
    snprintf(tuned.plan, sizeof tuned.plan, "%s", best->plan);
    tuned.ns = (int64_t)(1e9 * median(&c->arms[0]) + 0.5);
    tuned.plan_ns = (int64_t)(1e9 * median(best) + 0.5);
    if (tuned.plan_ns < 1) tuned.plan_ns = 1;
    if (!oclin_tuning_put(&t->winners, &tuned) || !oclin_tuning_put(t->ctx->tuning, &tuned))
        return no_memory(t);
    return report(t, c, best, OCLIN_TUNE_CHOSEN);
}

static int right_arms(const struct contest *c)
{
    int right = 0;
    for (int i = 0; i < c->count; i++) right += c->arms[i].right;
    return right;
}

static oclin_status decide(struct tuner *t, struct contest *c, double end)
{
    if (right_arms(c) > 0) OCLIN_TRY(time_arms(t, c, end));
    if (right_arms(c) > 0) return choose(t, c);
    if (c->count == 0) return OCLIN_OK;
    return oclin_fail(t->ctx, c->failed, "no plan for %s runs and is right; of the last one: %s",
                      oclin_tuned_name(c->id), c->why);
}

/* ------------------------------------------------------------------------------------------------- all */

/* Passes the lines of the tuner's own context on to the caller's log. */
static void pass_line(void *user, const char *line)
{
    oclin_log(user, "tuning: %s", line);
}

static oclin_status make_own_context(struct tuner *t)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx = t->ctx;
    o.cl_context_handle = ctx->cl;
    o.cl_device = ctx->device.info.device;
    o.cl_queue = ctx->queue;
    o.cl_dir = ctx->cl_dir;
    o.cache_dir = ctx->cache_dir ? ctx->cache_dir : "";
    o.ignore_environment = 1;
    o.log = pass_line;
    o.log_user = ctx;
    OCLIN_TRY(oclin_context_make(&t->own, &o, ctx));
    t->own->device = ctx->device;
    /* the tuner runs in place of the caller, and makes kernels that the caller will use */
    oclin_os_give_number(t->own->number);
    t->own->number = ctx->number;
    oclin_tuning_free(t->own->tuning); /* what was tuned before does not count as the default */
    t->own->cache_read_only = ctx->cache_read_only;
    return OCLIN_OK;
}

/* Logs which products stay as they were because the budget was used up, or how many plans were not tried,
 * and a budget that would do. That budget allows each plan as long as those that were built so far took,
 * and as long again for timing. */
static void say_too_little(const struct tuner *t)
{
    char names[96] = "";
    int built = 0, all = 0;
    for (int i = 0; i < PRODUCTS; i++) {
        const struct contest *c = &t->contests[i];
        built += c->count;
        all += c->candidates;
        if (c->candidates > 0 && !winner(c))
            snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", names[0] ? ", " : "",
                     oclin_tuned_name(c->id));
    }
    if (built == all && !names[0]) return;
    const double seconds = t->built - t->start;
    const double enough = ceil(2.0 * seconds / (built + 1) * all);
    if (names[0])
        oclin_log(
            t->ctx,
            "tuning: too little time for %s; %d of %d plans were built in %.1f s, a budget of about %.0f s "
            "would do for all",
            names, built, all, seconds, enough);
    else
        oclin_log(t->ctx, "tuning: only %d of %d plans were tried; a budget of about %.0f s would do for all",
                  built, all, enough);
}

/* Compiling may take most of the time. So the defaults of all products come first, then one candidate of
 * each, and so on for half of the budget. The other half is for timing. */
static oclin_status check_all(struct tuner *t)
{
    static const enum oclin_kernel_id ids[PRODUCTS] = {OCLIN_KERNEL_FORWARD, OCLIN_KERNEL_GRAD_X,
                                                       OCLIN_KERNEL_GRAD_W, OCLIN_KERNEL_ONE_PASS};
    const double start = oclin_os_seconds(), half = start + 0.5 * (t->end - start);
    for (int i = 0; i < PRODUCTS; i++) {
        struct contest *c = &t->contests[i];
        c->id = ids[i];
        c->candidates = oclin_plan_candidates(t->own, c->id, t->shape, c->names);
    }
    for (int rank = 0; rank < OCLIN_MOST_CANDIDATES; rank++)
        for (int i = 0; i < PRODUCTS; i++) {
            if (rank >= t->contests[i].candidates) continue;
            if (oclin_os_seconds() >= (rank == 0 ? t->end : half)) return OCLIN_OK;
            OCLIN_TRY(next_arm(t, &t->contests[i]));
        }
    return OCLIN_OK;
}

static oclin_status tune_all(struct tuner *t)
{
    OCLIN_TRY(make_own_context(t));
    OCLIN_TRY(make_operands(t));
    OCLIN_TRY(make_samples(t));
    OCLIN_TRY(hand_on(t, oclin_layer_forward(t->layer, t->x, t->y))); /* backward needs a forward before it */
    OCLIN_TRY(check_all(t));
    /* Backward comes last, because it takes the winners for its two products. */
    for (int i = 0; i < PRODUCTS; i++) {
        const double now = oclin_os_seconds(), left = t->end > now ? t->end - now : 0.0;
        if (i == 0) t->built = now;
        OCLIN_TRY(decide(t, &t->contests[i], now + left / (PRODUCTS - i)));
    }
    say_too_little(t);
    return OCLIN_OK;
}

static void tuner_free(struct tuner *t)
{
    oclin_tensor *const tensors[] = {t->w, t->b, t->x, t->y, t->dy, t->dx};
    void *const memory[] = {t->host_w, t->host_b, t->host_x, t->host_dy, t->got};
    oclin_layer_destroy(t->layer);
    for (size_t i = 0; i < sizeof tensors / sizeof *tensors; i++) oclin_tensor_destroy(tensors[i]);
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) free(memory[i]);
    for (int i = 0; i < SAMPLES; i++) {
        free(t->samples[i].want);
        free(t->samples[i].bound);
    }
    oclin_tuning_free(&t->winners);
    if (t->own) t->own->number = -1; /* the number belongs to the caller, who keeps it */
    oclin_context_destroy(t->own);
    free(t);
}

static oclin_status check_arguments(oclin_context *ctx, struct oclin_shape s, double budget)
{
    if (!(budget > 0.0) || isinf(budget))
        return oclin_fail(ctx, OCLIN_E_ARG, "a budget of %g seconds, a finite number above 0 is needed",
                          budget);
    const int64_t wider = s.in > s.out ? s.in : s.out, taller = s.batch > s.out ? s.batch : s.out;
    if (s.in < 1 || s.out < 1 || s.batch < 1)
        return oclin_fail(ctx, OCLIN_E_SHAPE,
                          "tuning from %lld to %lld features with a batch of %lld: all must be at least 1",
                          (long long)s.in, (long long)s.out, (long long)s.batch);
    if (s.in > INT64_MAX - 256 || s.out > INT64_MAX - 256 || s.batch > INT64_MAX - 256 ||
        oclin_multiply(oclin_multiply(taller + 256, wider + 256), 4 * (int64_t)sizeof(float)) < 0 ||
        (uint64_t)oclin_multiply(taller, wider) > SIZE_MAX / sizeof(float))
        return oclin_fail(ctx, OCLIN_E_SHAPE, "%lld x %lld elements overflow", (long long)taller,
                          (long long)wider);
    if (ctx->plan.name[0])
        return oclin_fail(ctx, OCLIN_E_STATE, "the plan is '%s' by name; there is nothing to choose",
                          ctx->plan.name);
    return OCLIN_OK;
}

oclin_status oclin_tune(oclin_context *ctx, int64_t in, int64_t out, int64_t batch, double budget_seconds,
                        oclin_tune_progress_fn progress, void *user)
{
    const struct oclin_shape shape = {batch, in, out};
    if (!ctx) return OCLIN_E_ARG;
    const double start = oclin_os_seconds();
    OCLIN_TRY(oclin_enter(ctx));
    OCLIN_TRY(check_arguments(ctx, shape, budget_seconds));
    OCLIN_TRY(oclin_context_finish(ctx)); /* so that a failure from here on is the tuner's own */
    struct tuner *t = calloc(1, sizeof *t);
    if (!t) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for tuning");
    t->ctx = ctx;
    t->shape = shape;
    t->progress = progress;
    t->user = user;
    t->start = start;
    t->end = start + budget_seconds;
    const oclin_status status = tune_all(t);
    if (t->winners.count > 0) oclin_tuning_store(ctx, &t->winners);
    tuner_free(t);
    return status;
}
