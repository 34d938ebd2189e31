/*
 * The rules of optimizers as kernels: every rule with every option against the reference, on every family of
 * kernels, ragged and aligned; fused into backward with the bits of the separate update; numbers that the
 * device works out itself.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "golden/optimizers.h"
#include "oclin_internal.h"

static const char *const plans[] = {"plain", "simd", "simd-4", "simd-8", "simt-16"};
enum { PLANS = COUNT_OF(plans) };
static oclin_context *contexts[PLANS];

static oclin_context *context(int plan)
{
    if (!contexts[plan]) contexts[plan] = make_context(plans[plan]);
    return contexts[plan];
}

/* ---------------------------------------------------------------------------------------------- choices */

static const struct choice {
    const char *name;
    struct oclin_optimizer_options options;
} choices[] = {
    {"sgd", OCLIN_SGD_OPTIONS_INIT},
    {"sgd, decay", {sizeof(struct oclin_optimizer_options), .weight_decay = 0.1, .decay_bias = 1}},
    {"momentum", {sizeof(struct oclin_optimizer_options), .momentum = 0.9, .dampening = 0.25}},
    {"nesterov",
     {sizeof(struct oclin_optimizer_options), .nesterov = 1, .momentum = 0.9, .weight_decay = 0.1,
      .maximize = 1, .decay_bias = 1}},
    {"adam", OCLIN_ADAM_OPTIONS_INIT},
    {"adam, decay",
     {sizeof(struct oclin_optimizer_options), OCLIN_ADAM, .beta1 = 0.8, .beta2 = 0.99, .eps = 1e-6,
      .weight_decay = 0.1, .decay_bias = 1}},
    {"adamw", OCLIN_ADAMW_OPTIONS_INIT},
    {"adamw, amsgrad",
     {sizeof(struct oclin_optimizer_options), OCLIN_ADAMW, .beta1 = 0.3, .beta2 = 0.5, .eps = 1e-3,
      .weight_decay = 0.1, .amsgrad = 1, .maximize = 1}},
    {"lion", OCLIN_LION_OPTIONS_INIT},
    {"lion, decay",
     {sizeof(struct oclin_optimizer_options), OCLIN_LION, .beta1 = 0.9, .beta2 = 0.99, .weight_decay = 0.1,
      .decay_bias = 1}},
    {"schedule-free", OCLIN_SCHEDULE_FREE_OPTIONS_INIT},
    {"schedule-free, decay",
     {sizeof(struct oclin_optimizer_options), OCLIN_SCHEDULE_FREE, .beta1 = 0.95, .beta2 = 0.9, .eps = 1e-8,
      .weight_decay = 0.1, .decay_bias = 1}},
};
enum { CHOICES = COUNT_OF(choices), NESTEROV = 3, AMSGRAD = 7, STEPS = 4 };

/* A rate that changes with each step, and once is 0. */
static double rate(int step)
{
    return step == 2 ? 0 : 0.02 / (1 + step);
}

/* ------------------------------------------------------------------------------------- a tensor's update */

/* A parameter with its gradient and state, each inside an arena of poison, and what the reference makes of
 * them. */
struct subject {
    oclin_context *ctx;
    struct oclin_optimizer_options options;
    oclin_optimizer *optimizer;
    int64_t rows, cols, n;
    int states;
    struct placed w, dw, state;
    float *host_w, *host_dw, *host_state;
};

static struct subject subject(oclin_context *ctx, const struct oclin_optimizer_options *o, int64_t rows,
                              int64_t cols, int64_t pad, uint64_t seed)
{
    struct subject s = {.ctx = ctx, .options = *o, .rows = rows, .cols = cols, .n = rows * cols};
    struct rng rng = {seed};
    s.states = oclin_rule_states(o);
    s.host_w = new_array(float, s.n);
    s.host_dw = new_array(float, s.n);
    s.host_state = new_array(float, s.states *s.n);
    fill_zero_mean(&rng, s.host_w, s.n);
    s.w = tensor_from(ctx, rows, cols, cols + pad, pad, s.host_w);
    s.dw = tensor_from(ctx, rows, cols, cols, 0, s.host_w);
    struct oclin_parameter_options p = OCLIN_PARAMETER_OPTIONS_INIT;
    if (s.states) {
        s.state = tensor_from(ctx, s.states * rows, cols, cols + 3 * pad, 2 * pad, s.host_state);
        p.w_state = s.state.t;
    }
    assert_ok(ctx, oclin_optimizer_create(&s.optimizer, ctx, o));
    assert_ok(ctx, oclin_optimizer_add_tensor(s.optimizer, s.w.t, s.dw.t, &p));
    return s;
}

static void release(struct subject *s)
{
    oclin_optimizer_destroy(s->optimizer);
    tensor_release(&s->w);
    tensor_release(&s->dw);
    if (s->states) tensor_release(&s->state);
    free(s->host_w);
    free(s->host_dw);
    free(s->host_state);
}

/* Gives the gradient new numbers, of very different size. */
static void new_gradient(struct subject *s, struct rng *rng)
{
    fill_zero_mean(rng, s->host_dw, s->n);
    for (int64_t i = 0; i < s->n; i++) s->host_dw[i] *= ldexpf(1.0f, (int)rng_below(rng, 20) - 14);
    assert_ok(s->ctx, oclin_tensor_write(s->dw.t, s->host_dw));
}

/* Compares w and its state with what the reference makes of what they were, and goes on from the device's. */
static void check_subject(const char *name, struct subject *s, const struct oclin_ref_update *update,
                          int skipped)
{
    const int64_t n = s->n, in_states = s->states * n;
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(0, 0, 0);
    double *dw = new_array(double, n), *w = new_array(double, n), *bound = new_array(double, n),
           *state = new_array(double, in_states), *state_bound = new_array(double, in_states);
    for (int64_t i = 0; i < n; i++) dw[i] = (double)s->host_dw[i];
    oclin_ref_rule_update(&c, update, n, s->host_w, dw, NULL, s->host_state, w, bound, state, state_bound);
    for (int64_t i = 0; skipped && i < n; i++) w[i] = (double)s->host_w[i], bound[i] = 0;
    for (int64_t i = 0; skipped && i < in_states; i++)
        state[i] = (double)s->host_state[i], state_bound[i] = 0;
    check_tensor_bound(name, &s->w, w, bound);
    if (s->states) check_tensor_bound("state", &s->state, state, state_bound);
    assert_ok(s->ctx, oclin_tensor_read(s->w.t, s->host_w));
    if (s->states) assert_ok(s->ctx, oclin_tensor_read(s->state.t, s->host_state));
    free(dw), free(w), free(bound), free(state), free(state_bound);
}

static struct oclin_ref_update reference(const struct subject *s, const struct oclin_steps *before, double lr)
{
    return (struct oclin_ref_update){.size = sizeof(struct oclin_ref_update),
                                     .rule = s->options,
                                     .steps = *before,
                                     .lr = lr,
                                     .weight_decay = s->options.weight_decay,
                                     .factor = 1};
}

static struct oclin_steps steps_of(const struct subject *s)
{
    struct oclin_steps steps = OCLIN_STEPS_INIT;
    assert_ok(s->ctx, oclin_optimizer_steps(s->optimizer, s->w.t, &steps));
    return steps;
}

static const struct {
    int64_t rows, cols, pad;
} shapes[] = {{1, 1, 0}, {3, 5, 1}, {4, 16, 0}, {2, 24, 4}, {1, 8199, 0}};

struct numbered {
    int plan, choice;
};

static void test_update(void **state)
{
    const struct numbered *t = *state;
    oclin_context *ctx = context(t->plan);
    for (size_t k = 0; k < COUNT_OF(shapes); k++) {
        struct rng rng = {k};
        struct subject s =
            subject(ctx, &choices[t->choice].options, shapes[k].rows, shapes[k].cols, shapes[k].pad, 7 + k);
        for (int step = 0; step < STEPS; step++) {
            const struct oclin_steps before = steps_of(&s);
            const struct oclin_update u = OCLIN_UPDATE_INIT(rate(step));
            const struct oclin_ref_update r = reference(&s, &before, rate(step));
            assert_int_equal(before.steps, step);
            new_gradient(&s, &rng);
            assert_ok(ctx, oclin_tensor_update(s.w.t, s.optimizer, &u));
            check_subject(choices[t->choice].name, &s, &r, 0);
        }
        release(&s);
    }
}

/* Numbers from the device: a factor, a skip that is 0 or not, and back to numbers of the host. */
static void test_on_device(void **state)
{
    const struct numbered *t = *state;
    oclin_context *ctx = context(t->plan);
    struct rng rng = {1};
    struct subject s = subject(ctx, &choices[t->choice].options, 3, 9, 1, 5);
    const float half = 0.5f;
    const int32_t no = 0, yes = 1;
    oclin_tensor *factor = make_tensor(ctx, OCLIN_F32, 1, 1, &half),
                 *skip = make_tensor(ctx, OCLIN_I32, 1, 1, &no);
    int64_t made = 0;
    for (int step = 0; step < 8; step++) {
        const int skips = step == 1 || step == 5;
        struct oclin_update u = OCLIN_UPDATE_INIT(rate(step));
        const struct oclin_steps before = steps_of(&s);
        struct oclin_ref_update r = reference(&s, &before, rate(step));
        assert_int_equal(before.steps, made);
        r.clip_value = u.clip_value = step == 3 ? 0.01 : 0;
        u.grad_scale = 4;
        if (step != 4) u.factor = factor, u.skip = skip;
        r.factor = step == 4 ? 4 : 2;
        r.on_device = step != 4;
        new_gradient(&s, &rng);
        assert_ok(ctx, oclin_tensor_write(skip, skips ? &yes : &no));
        assert_ok(ctx, oclin_tensor_update(s.w.t, s.optimizer, &u));
        check_subject(choices[t->choice].name, &s, &r, skips);
        made += !skips;
    }
    oclin_tensor_destroy(factor);
    oclin_tensor_destroy(skip);
    release(&s);
}

/* -------------------------------------------------------------------------------------------- goldens */

/* Doubles that agree but for the order of their operations: to some roundings of the larger of what the
 * number was and is. */
static void check_double(const char *name, int step, int64_t i, double got, double want, double before)
{
    const double scale = fmax(fabs(before), fabs(want));
    if (isnan(want) ? isnan(got) : got == want || fabs(got - want) <= 1e-13 * scale) return;
    fail_msg("%s, step %d, element %lld: the reference says %.17g, must be %.17g", name, step, (long long)i,
             got, want);
}

/* What the packages make of a step that starts from what they made of the last one, rounded to float. */
static void test_golden(void **state)
{
    enum { N = OPTIMIZER_ELEMENTS };
    const struct optimizer_golden *g = *state;
    const struct oclin_ref_case c = OCLIN_REF_CASE_INIT(0, 0, 0);
    struct oclin_optimizer_options o = {.size = sizeof o,
                                        .rule = (oclin_rule)g->rule,
                                        .nesterov = g->nesterov,
                                        .momentum = g->momentum,
                                        .dampening = g->dampening,
                                        .beta1 = g->beta1,
                                        .beta2 = g->beta2,
                                        .eps = g->eps,
                                        .weight_decay = g->weight_decay,
                                        .amsgrad = g->amsgrad,
                                        .maximize = g->maximize,
                                        .decay_bias = 1};
    const int in_states = g->states * N;
    struct subject s = subject(context(0), &o, 1, N, 0, 1);
    double dw[N], w[N], bound[N], states[OCLIN_MOST_STATES * N], state_bound[OCLIN_MOST_STATES * N];
    assert_int_equal(s.states, g->states);
    memcpy(s.host_w, g->w0, N * sizeof *g->w0);
    for (int t = 0; t < OPTIMIZER_STEPS; t++) {
        struct oclin_steps before = {sizeof before, t, 0, 0};
        if (t > 0 && g->largest_lr) before.largest_lr = fmax(g->largest_lr[t - 1], 0);
        if (t > 0 && g->weight_sum) before.weight_sum = g->weight_sum[t - 1];
        const struct oclin_update u = OCLIN_UPDATE_INIT(g->lr[t]);
        const struct oclin_ref_update r = reference(&s, &before, g->lr[t]);
        const double *want = g->w + t * N, *want_state = g->states ? g->state + t * in_states : NULL;
        for (int i = 0; i < N; i++) dw[i] = (double)(s.host_dw[i] = g->g[t * N + i]);
        oclin_ref_rule_update(&c, &r, N, s.host_w, dw, NULL, s.host_state, w, bound, states, state_bound);
        for (int i = 0; i < N; i++) check_double("w", t, i, w[i], want[i], (double)s.host_w[i]);
        for (int i = 0; i < in_states; i++)
            check_double(oclin_rule_state(&o, i / N), t, i % N, states[i], want_state[i],
                         (double)s.host_state[i]);
        assert_ok(s.ctx, oclin_tensor_write(s.w.t, s.host_w));
        assert_ok(s.ctx, oclin_tensor_write(s.dw.t, s.host_dw));
        if (g->states) assert_ok(s.ctx, oclin_tensor_write(s.state.t, s.host_state));
        assert_ok(s.ctx, oclin_optimizer_set_steps(s.optimizer, s.w.t, &before));
        assert_ok(s.ctx, oclin_tensor_update(s.w.t, s.optimizer, &u));
        check_tensor_bound("w", &s.w, want, bound);
        if (g->states) check_tensor_bound("state", &s.state, want_state, state_bound);
        for (int i = 0; i < N; i++) s.host_w[i] = (float)want[i];
        for (int i = 0; i < in_states; i++) s.host_state[i] = (float)want_state[i];
    }
    if (g->eval) {
        assert_ok(s.ctx, oclin_tensor_write(s.w.t, s.host_w));
        assert_ok(s.ctx, oclin_tensor_write(s.state.t, s.host_state));
        assert_ok(s.ctx, oclin_optimizer_eval(s.optimizer));
        for (int i = 0; i < N; i++) bound[i] = 8 * 0x1p-24 * (fabs((double)s.host_w[i]) + fabs(g->eval[i]));
        check_tensor_bound("eval", &s.w, g->eval, bound);
    }
    release(&s);
}

/* ------------------------------------------------------------------------------------ fused and separate */

/* Batches for one pass and for packed kernels; shapes that are ragged, aligned and transposed. */
static const struct pair {
    const char *plan;
    int64_t batch, in, out;
    int transposed;
    int all; /* choices; 0: two of them, because each is some kernels more to compile */
} pairs[] = {
    {"plain", 3, 7, 5, 0, 1},         {"plain", 3, 7, 5, 1, 0},         {"simt-16", 9, 20, 24, 0, 0},
    {"simt-16", 9, 19, 21, 0, 0},     {"simt-16", 9, 20, 24, 1, 0},     {"simt-16-split", 40, 20, 24, 0, 0},
    {"simd", 40, 70, 50, 0, 0},       {"simd", 40, 70, 50, 1, 0},       {"simd-packed", 40, 70, 50, 0, 0},
    {"simd-skinny", 1, 70, 50, 0, 0}, {"simd-skinny", 5, 37, 18, 0, 1}, {"simd-static", 40, 70, 50, 0, 0},
};
struct paired {
    int pair, choice;
};

static oclin_layer *layer_of(oclin_context *ctx, const struct pair *p)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l;
    o.transposed = p->transposed;
    o.activation = OCLIN_RELU;
    o.seed = 3;
    assert_ok(ctx, oclin_layer_create(&l, ctx, p->in, p->out, &o));
    return l;
}

static void check_same(const char *name, oclin_context *ctx, oclin_tensor *a, oclin_tensor *b)
{
    const int64_t n = oclin_tensor_rows(a) * oclin_tensor_cols(a);
    float *x = new_array(float, n), *y = new_array(float, n);
    assert_ok(ctx, oclin_tensor_read(a, x));
    assert_ok(ctx, oclin_tensor_read(b, y));
    check_same_bits(name, x, y, n);
    free(x), free(y);
}

/* Two equal layers: one updates in backward, the other one after it. */
static void test_fused(void **state)
{
    const struct paired *t = *state;
    const struct pair *p = &pairs[t->pair];
    const struct oclin_optimizer_options *o = &choices[t->choice].options;
    oclin_context *ctx = make_context(p->plan);
    oclin_layer *l[2] = {layer_of(ctx, p), layer_of(ctx, p)};
    oclin_optimizer *opt[2];
    struct rng rng = {11};
    float *x = new_array(float, p->batch * p->in), *dy = new_array(float, p->batch * p->out);
    oclin_tensor *tx = make_tensor(ctx, OCLIN_F32, p->batch, p->in, NULL),
                 *tdy = make_tensor(ctx, OCLIN_F32, p->batch, p->out, NULL),
                 *y[2] = {make_tensor(ctx, OCLIN_F32, p->batch, p->out, NULL),
                          make_tensor(ctx, OCLIN_F32, p->batch, p->out, NULL)},
                 *dx[2] = {make_tensor(ctx, OCLIN_F32, p->batch, p->in, NULL),
                           make_tensor(ctx, OCLIN_F32, p->batch, p->in, NULL)};
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, oclin_optimizer_create(&opt[i], ctx, o));
        assert_ok(ctx, oclin_optimizer_add(opt[i], l[i], NULL));
    }
    for (int step = 0; step < 3; step++) {
        const struct oclin_update u = OCLIN_UPDATE_INIT(0.02);
        fill_zero_mean(&rng, x, p->batch * p->in);
        fill_zero_mean(&rng, dy, p->batch * p->out);
        assert_ok(ctx, oclin_tensor_write(tx, x));
        assert_ok(ctx, oclin_tensor_write(tdy, dy));
        for (int i = 0; i < 2; i++) assert_ok(ctx, oclin_layer_forward(l[i], tx, y[i]));
        assert_ok(ctx, oclin_layer_backward_update(l[0], tdy, dx[0], opt[0], &u));
        assert_ok(ctx, oclin_layer_zero_grad(l[1]));
        assert_ok(ctx, oclin_layer_backward(l[1], tdy, dx[1]));
        assert_ok(ctx, oclin_layer_update(l[1], opt[1], &u));
        check_same("w", ctx, oclin_layer_w(l[0]), oclin_layer_w(l[1]));
        check_same("b", ctx, oclin_layer_b(l[0]), oclin_layer_b(l[1]));
        check_same("dx", ctx, dx[0], dx[1]);
        for (int i = 0; oclin_rule_state(o, i); i++) {
            const char *name = oclin_rule_state(o, i);
            check_same(name, ctx, oclin_optimizer_state(opt[0], oclin_layer_w(l[0]), name),
                       oclin_optimizer_state(opt[1], oclin_layer_w(l[1]), name));
            check_same(name, ctx, oclin_optimizer_state(opt[0], oclin_layer_b(l[0]), name),
                       oclin_optimizer_state(opt[1], oclin_layer_b(l[1]), name));
        }
    }
    for (int i = 0; i < 2; i++) {
        oclin_optimizer_destroy(opt[i]);
        oclin_layer_destroy(l[i]);
        oclin_tensor_destroy(dx[i]);
        oclin_tensor_destroy(y[i]);
    }
    oclin_tensor_destroy(tx);
    oclin_tensor_destroy(tdy);
    oclin_context_destroy(ctx);
    free(x), free(dy);
}

int main(int argc, char **argv)
{
    static struct numbered numbered[PLANS][CHOICES];
    static struct paired paired[COUNT_OF(pairs)][CHOICES];
    struct test_list list = {NULL, 0, 0};
    for (int p = 0; p < PLANS; p++)
        for (int i = 0; i < CHOICES; i++) {
            numbered[p][i] = (struct numbered){p, i};
            add_test(&list, test_update, &numbered[p][i], "update/%s/%s", plans[p], choices[i].name);
            add_test(&list, test_on_device, &numbered[p][i], "on device/%s/%s", plans[p], choices[i].name);
        }
    for (size_t i = 0; i < COUNT_OF(optimizer_goldens); i++)
        add_test(&list, test_golden, (void *)(uintptr_t)&optimizer_goldens[i], "golden/%s",
                 optimizer_goldens[i].name);
    for (size_t p = 0; p < COUNT_OF(pairs); p++)
        for (int i = 0; i < CHOICES; i++) {
            if (!pairs[p].all && i != NESTEROV && i != AMSGRAD) continue;
            paired[p][i] = (struct paired){(int)p, i};
            add_test(&list, test_fused, &paired[p][i], "fused/%s/%lldx%lldx%lld%s/%s", pairs[p].plan,
                     (long long)pairs[p].batch, (long long)pairs[p].in, (long long)pairs[p].out,
                     pairs[p].transposed ? "t" : "", choices[i].name);
        }
    const int code = run_list("rules", &list, argc, argv);
    for (int p = 0; p < PLANS; p++) oclin_context_destroy(contexts[p]);
    return code;
}
