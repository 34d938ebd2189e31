/* A network of layers gives the bits that its layers give one by one, takes its memory once, and refuses what
 * its layers would refuse before anything is enqueued. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "support.h"

#include "oclin_internal.h"

static const char *const plans[] = {"plain", "simd"};
enum { PLANS = COUNT_OF(plans) };
static oclin_context *contexts[PLANS];

static oclin_context *context(int plan)
{
    if (!contexts[plan]) contexts[plan] = make_context(plans[plan]);
    return contexts[plan];
}

/* ------------------------------------------------------------------------------------------- a rig */

enum { N = 3, MOST = 9 }; /* layers, and samples */
static const int64_t widths[N + 1] = {5, 8, 8, 3};
static const oclin_activation activations[N] = {OCLIN_GELU, OCLIN_RELU, OCLIN_NONE};
static const int residual[N] = {0, 1, 0};

/* A network, and layers with the same parameters that are called one by one. */
struct rig {
    oclin_context *ctx;
    oclin_network *net;
    oclin_optimizer *optimizer, *single;
    oclin_layer *layers[N];
    const int *residual;
    int64_t batch;
    oclin_tensor *x, *dy, *dx, *dx_single, *loss, *loss_single, *labels, *target;
    oclin_tensor *y[N], *g[N]; /* of the layers: outputs, and the gradients there */
};

static void random_tensor(oclin_tensor *t, uint64_t seed)
{
    struct rng rng = {seed};
    const int64_t n = oclin_tensor_rows(t) * oclin_tensor_cols(t);
    float *host = new_array(float, n);
    fill_zero_mean(&rng, host, n);
    assert_int_equal(oclin_tensor_write(t, host), OCLIN_OK);
    free(host);
}

static oclin_tensor *new_tensor(oclin_context *ctx, int64_t rows, int64_t cols, uint64_t seed)
{
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, rows, cols, NULL);
    if (seed) random_tensor(t, seed);
    return t;
}

static void free_batch(struct rig *r)
{
    oclin_tensor **const all[] = {&r->x,    &r->dy,          &r->dx,     &r->dx_single,
                                  &r->loss, &r->loss_single, &r->labels, &r->target};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        oclin_tensor_destroy(*all[i]);
        *all[i] = NULL;
    }
    for (int i = 0; i < N; i++) {
        oclin_tensor_destroy(r->y[i]);
        oclin_tensor_destroy(r->g[i]);
        r->y[i] = r->g[i] = NULL;
    }
}

/* Operands of that many samples, with numbers that follow from the seed. */
static void set_batch(struct rig *r, int64_t batch, uint64_t seed)
{
    struct rng rng = {seed};
    int32_t labels[MOST];
    free_batch(r);
    r->batch = batch;
    r->x = new_tensor(r->ctx, batch, widths[0], seed);
    r->dy = new_tensor(r->ctx, batch, widths[N], seed + 1);
    r->target = new_tensor(r->ctx, batch, widths[N], seed + 2);
    r->dx = new_tensor(r->ctx, batch, widths[0], 0);
    r->dx_single = new_tensor(r->ctx, batch, widths[0], 0);
    r->loss = new_tensor(r->ctx, 1, 1, 0);
    r->loss_single = new_tensor(r->ctx, 1, 1, 0);
    fill_labels(&rng, labels, batch, (int32_t)widths[N]);
    r->labels = make_tensor(r->ctx, OCLIN_I32, batch, 1, labels);
    for (int i = 0; i < N; i++) {
        r->y[i] = new_tensor(r->ctx, batch, widths[i + 1], 0);
        r->g[i] = new_tensor(r->ctx, batch, widths[i + 1], 0);
    }
}

static struct rig make_rig_in(oclin_context *ctx, const int *flags,
                              const struct oclin_optimizer_options *rule)
{
    struct rig r = {.ctx = ctx, .residual = flags};
    struct oclin_network_options o = OCLIN_NETWORK_OPTIONS_INIT;
    o.seed = 40;
    o.residual = flags;
    assert_ok(ctx, oclin_network_create(&r.net, ctx, N, widths, activations, &o));
    assert_ok(ctx, oclin_optimizer_create(&r.optimizer, ctx, rule));
    assert_ok(ctx, oclin_optimizer_create(&r.single, ctx, rule));
    assert_ok(ctx, oclin_network_add(r.optimizer, r.net));
    for (int i = 0; i < N; i++) {
        struct oclin_layer_options l = OCLIN_LAYER_OPTIONS_INIT;
        l.seed = 40 + (uint64_t)i;
        l.activation = activations[i];
        assert_ok(ctx, oclin_layer_create(&r.layers[i], ctx, widths[i], widths[i + 1], &l));
        assert_ok(ctx, oclin_optimizer_add(r.single, r.layers[i], NULL));
    }
    return r;
}

static struct rig make_rig(int plan, const int *flags, const struct oclin_optimizer_options *rule)
{
    return make_rig_in(context(plan), flags, rule);
}

static void free_rig(struct rig *r)
{
    free_batch(r);
    oclin_network_destroy(r->net);
    for (int i = 0; i < N; i++) oclin_layer_destroy(r->layers[i]);
    oclin_optimizer_destroy(r->optimizer);
    oclin_optimizer_destroy(r->single);
}

static void same_bits(const char *name, oclin_tensor *got, oclin_tensor *want)
{
    const int64_t n = oclin_tensor_rows(want) * oclin_tensor_cols(want);
    float *g = new_array(float, n), *w = new_array(float, n);
    assert_int_equal(oclin_tensor_rows(got), oclin_tensor_rows(want));
    assert_int_equal(oclin_tensor_cols(got), oclin_tensor_cols(want));
    assert_int_equal(oclin_tensor_read(got, g), OCLIN_OK);
    assert_int_equal(oclin_tensor_read(want, w), OCLIN_OK);
    check_same_bits(name, g, w, n);
    free(g);
    free(w);
}

/* The network's parameters, or its gradients, are those of the layers. */
static void same_parameters(const struct rig *r)
{
    for (int i = 0; i < N; i++) {
        same_bits("w", oclin_layer_w(oclin_network_layer(r->net, i)), oclin_layer_w(r->layers[i]));
        same_bits("b", oclin_layer_b(oclin_network_layer(r->net, i)), oclin_layer_b(r->layers[i]));
    }
}

static void same_gradients(const struct rig *r)
{
    for (int i = 0; i < N; i++) {
        same_bits("dw", oclin_layer_dw(oclin_network_layer(r->net, i)), oclin_layer_dw(r->layers[i]));
        same_bits("db", oclin_layer_db(oclin_network_layer(r->net, i)), oclin_layer_db(r->layers[i]));
    }
}

static int is_residual(const struct rig *r, int i)
{
    return r->residual && r->residual[i];
}

/* The layers one by one. */
static void single_forward(const struct rig *r, int infers)
{
    oclin_tensor *x = r->x;
    for (int i = 0; i < N; i++) {
        struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
        o.accumulate = is_residual(r, i);
        if (o.accumulate) assert_ok(r->ctx, oclin_tensor_copy(r->y[i], x));
        assert_ok(r->ctx, infers ? oclin_layer_infer_with(r->layers[i], x, r->y[i], &o)
                                 : oclin_layer_forward_with(r->layers[i], x, r->y[i], &o));
        x = r->y[i];
    }
}

/* update NULL: the gradients are stored; dx 0: the first layer's is not wanted. */
static void single_backward(const struct rig *r, oclin_tensor *dy, const struct oclin_update *update, int dx)
{
    for (int i = N - 1; i >= 0; i--) {
        struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
        oclin_tensor *to = i ? r->g[i - 1] : dx ? r->dx_single : NULL;
        o.accumulate = is_residual(r, i);
        if (o.accumulate && to) assert_ok(r->ctx, oclin_tensor_copy(to, dy));
        assert_ok(r->ctx, update
                              ? oclin_layer_backward_update_with(r->layers[i], dy, to, r->single, update, &o)
                              : oclin_layer_backward_with(r->layers[i], dy, to, &o));
        dy = to;
    }
}

/* ------------------------------------------------------------------------------------ equal to layers */

static void test_forward(void **state)
{
    static const int64_t batches[] = {7, 3, 7, 9, 1, 2, 4, 5, 0, 7}; /* more sizes than have views at once */
    const int plan = *(int *)*state;
    for (int with = 0; with < 2; with++) {
        struct rig r = make_rig(plan, with ? residual : NULL, NULL);
        for (size_t i = 0; i < COUNT_OF(batches); i++) {
            oclin_tensor *y = NULL, *mine;
            set_batch(&r, batches[i], 100 + i);
            mine = new_tensor(r.ctx, r.batch, widths[N], 0);
            single_forward(&r, 0);
            assert_ok(r.ctx, oclin_network_forward(r.net, r.x, &y));
            assert_ptr_equal(y, oclin_network_output(r.net));
            same_bits("y", y, r.y[N - 1]);
            assert_ok(r.ctx, oclin_network_infer(r.net, r.x, mine));
            single_forward(&r, 1);
            same_bits("y of infer", mine, r.y[N - 1]);
            oclin_tensor_destroy(mine);
        }
        free_rig(&r);
    }
}

static void test_backward(void **state)
{
    static const int64_t batches[] = {7, 3, 9};
    const int plan = *(int *)*state;
    for (int with = 0; with < 2; with++) {
        struct rig r = make_rig(plan, with ? residual : NULL, NULL);
        for (size_t i = 0; i < COUNT_OF(batches); i++) {
            set_batch(&r, batches[i], 200 + i);
            single_forward(&r, 0);
            assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
            single_backward(&r, r.dy, NULL, 1);
            assert_ok(r.ctx, oclin_network_backward(r.net, r.dy, r.dx));
            same_bits("dx", r.dx, r.dx_single);
            same_gradients(&r);
            /* again, added; nobody wants dx */
            single_backward(&r, r.dy, NULL, 0);
            assert_ok(r.ctx, oclin_network_backward(r.net, r.dy, NULL));
            same_gradients(&r);
            if (i == 1) continue; /* the next batch is added to what there is */
            assert_ok(r.ctx, oclin_network_zero_grad(r.net));
            for (int l = 0; l < N; l++) assert_ok(r.ctx, oclin_layer_zero_grad(r.layers[l]));
        }
        free_rig(&r);
    }
}

/* An infer of another size between forward and backward takes nothing away. */
static void test_infer_between(void **state)
{
    struct rig r = make_rig(*(int *)*state, NULL, NULL);
    set_batch(&r, 4, 300);
    oclin_tensor *x = new_tensor(r.ctx, 8, widths[0], 5), *y = new_tensor(r.ctx, 8, widths[N], 0);
    single_forward(&r, 0);
    single_backward(&r, r.dy, NULL, 1);
    assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
    assert_ok(r.ctx, oclin_network_infer(r.net, x, y));
    assert_ok(r.ctx, oclin_network_reserve(r.net, 9));
    same_bits("y", oclin_network_output(r.net), r.y[N - 1]);
    assert_ok(r.ctx, oclin_network_backward(r.net, r.dy, r.dx));
    same_bits("dx", r.dx, r.dx_single);
    same_gradients(&r);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    free_rig(&r);
}

static void test_updates(void **state)
{
    const struct oclin_optimizer_options rule = OCLIN_ADAMW_OPTIONS_INIT;
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.01);
    const int plan = *(int *)*state;
    struct rig r = make_rig(plan, residual, &rule);
    for (int step = 0; step < 4; step++) {
        set_batch(&r, step % 2 ? 3 : 7, 400 + (uint64_t)step);
        single_forward(&r, 0);
        single_backward(&r, r.dy, &update, step > 1);
        assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
        if (step % 2 == 0)
            assert_ok(r.ctx, oclin_network_backward_update(r.net, r.dy, step > 1 ? r.dx : NULL, r.optimizer,
                                                           &update));
        else { /* stored first: the same bits */
            assert_ok(r.ctx, oclin_network_backward(r.net, r.dy, step > 1 ? r.dx : NULL));
            assert_ok(r.ctx, oclin_network_update(r.net, r.optimizer, &update));
            assert_ok(r.ctx, oclin_network_zero_grad(r.net));
        }
        if (step > 1) same_bits("dx", r.dx, r.dx_single);
        same_parameters(&r);
    }
    free_rig(&r);
}

static oclin_status single_loss(const struct rig *r, oclin_loss kind)
{
    oclin_tensor *y = r->y[N - 1], *dy = r->g[N - 1];
    switch (kind) {
    case OCLIN_LOSS_MSE:
        return oclin_loss_mse(y, r->target, r->loss_single, dy, NULL);
    case OCLIN_LOSS_L1:
        return oclin_loss_l1(y, r->target, r->loss_single, dy, NULL);
    case OCLIN_LOSS_HUBER:
        return oclin_loss_huber(y, r->target, r->loss_single, dy, NULL);
    case OCLIN_LOSS_BCE:
        return oclin_loss_bce(y, r->target, r->loss_single, dy, NULL);
    case OCLIN_LOSS_CROSS_ENTROPY:
        return oclin_loss_cross_entropy(y, r->labels, r->loss_single, dy, NULL, NULL);
    default:
        return oclin_loss_soft_cross_entropy(y, r->target, r->loss_single, dy, NULL);
    }
}

static void test_train_step(void **state)
{
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    const struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    const int plan = *(int *)*state;
    struct rig r = make_rig(plan, residual, NULL);
    for (int kind = plan ? OCLIN_LOSS_CROSS_ENTROPY : 0; kind <= OCLIN_LOSS_SOFT_CROSS_ENTROPY; kind++) {
        set_batch(&r, kind % 2 ? 3 : 7, 500 + (uint64_t)kind);
        single_forward(&r, 0);
        assert_ok(r.ctx, single_loss(&r, (oclin_loss)kind));
        single_backward(&r, r.g[N - 1], &update, 0);
        oclin_tensor *target = kind == OCLIN_LOSS_CROSS_ENTROPY ? r.labels : r.target;
        assert_ok(r.ctx, oclin_network_train_step(r.net, r.x, target, (oclin_loss)kind, NULL, r.loss, NULL,
                                                  r.optimizer, &o));
        same_bits("loss", r.loss, r.loss_single);
        same_bits("y", oclin_network_output(r.net), r.y[N - 1]);
        same_parameters(&r);
        if (plan) break;
    }
    free_rig(&r);
}

static int32_t read_int(oclin_tensor *t)
{
    int32_t value;
    assert_int_equal(oclin_tensor_read(t, &value), OCLIN_OK);
    return value;
}

/* The options of the loss, the count and the number of an update arrive. */
static void test_step_options(void **state)
{
    struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    struct oclin_loss_options l = OCLIN_LOSS_OPTIONS_INIT;
    struct rig r = make_rig(*(int *)*state, NULL, NULL);
    set_batch(&r, 7, 600);
    oclin_tensor *correct = make_tensor(r.ctx, OCLIN_I32, 1, 1, NULL),
                 *single = make_tensor(r.ctx, OCLIN_I32, 1, 1, NULL);
    l.label_smoothing = 0.25f;
    l.reduction = OCLIN_SUM;
    update.grad_scale = 0.5;
    update.clip_value = 0.125;
    single_forward(&r, 0);
    assert_ok(r.ctx, oclin_loss_cross_entropy(r.y[N - 1], r.labels, r.loss_single, r.g[N - 1], single, &l));
    single_backward(&r, r.g[N - 1], &update, 0);
    assert_ok(r.ctx, oclin_network_train_step(r.net, r.x, r.labels, OCLIN_LOSS_CROSS_ENTROPY, &l, r.loss,
                                              correct, r.optimizer, &o));
    same_bits("loss", r.loss, r.loss_single);
    same_parameters(&r);
    assert_int_equal(read_int(correct), read_int(single));
    oclin_tensor_destroy(correct);
    oclin_tensor_destroy(single);
    free_rig(&r);
}

/* k - 1 micro-batches are stored, the last is fused; the next step begins without them. */
static void test_micro_batches(void **state)
{
    enum { K = 3 };
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    struct rig r = make_rig(*(int *)*state, residual, NULL);
    for (int step = 0; step < 2; step++)
        for (int k = 0; k < K; k++) {
            set_batch(&r, k == K - 1 ? 3 : 5, 700 + (uint64_t)(K * step + k));
            single_forward(&r, 0);
            assert_ok(r.ctx, single_loss(&r, OCLIN_LOSS_MSE));
            single_backward(&r, r.g[N - 1], k < K - 1 ? NULL : &update, 0);
            o.first = k == 0;
            o.last = k == K - 1;
            assert_ok(r.ctx, oclin_network_train_step(r.net, r.x, r.target, OCLIN_LOSS_MSE, NULL, r.loss,
                                                      NULL, r.optimizer, &o));
            same_parameters(&r);
            same_gradients(&r);
        }
    /* first: what was left is forgotten */
    assert_ok(r.ctx, oclin_network_backward(r.net, r.dy, NULL));
    set_batch(&r, 5, 790);
    single_forward(&r, 0);
    assert_ok(r.ctx, single_loss(&r, OCLIN_LOSS_MSE));
    single_backward(&r, r.g[N - 1], NULL, 0);
    o.first = 1;
    o.last = 0;
    o.update = NULL;
    assert_ok(r.ctx,
              oclin_network_train_step(r.net, r.x, r.target, OCLIN_LOSS_MSE, NULL, r.loss, NULL, NULL, &o));
    same_gradients(&r);
    free_rig(&r);
}

/* -------------------------------------------------------------------------------------- limited steps */

/* The sum of the squares of all gradients of the single layers, which are stored for that. */
static double host_norm2(const struct rig *r, oclin_tensor *dy)
{
    double sum = 0;
    single_backward(r, dy, NULL, 0);
    for (int i = 0; i < N; i++) {
        oclin_tensor *const gradients[] = {oclin_layer_dw(r->layers[i]), oclin_layer_db(r->layers[i])};
        for (int k = 0; k < 2; k++) {
            const int64_t n = oclin_tensor_rows(gradients[k]) * oclin_tensor_cols(gradients[k]);
            float *host = new_array(float, n);
            assert_ok(r->ctx, oclin_tensor_read(gradients[k], host));
            for (int64_t j = 0; j < n; j++) sum += (double)host[j] * (double)host[j];
            free(host);
        }
    }
    return sum;
}

static double read_float(oclin_tensor *t)
{
    float value;
    assert_int_equal(oclin_tensor_read(t, &value), OCLIN_OK);
    return (double)value;
}

/* The single layers take the step by gradients that are stored, with the network's own factor. */
static void single_limited(const struct rig *r, const struct oclin_update *update, double max_norm,
                           oclin_tensor *factor)
{
    struct oclin_update with = *update;
    assert_ok(r->ctx, oclin_clip_factor(oclin_network_norm2(r->net), max_norm, update->grad_scale, factor));
    with.factor = factor;
    with.grad_scale = 1;
    for (int i = 0; i < N; i++) {
        assert_ok(r->ctx, oclin_layer_update(r->layers[i], r->single, &with));
        assert_ok(r->ctx, oclin_layer_zero_grad(r->layers[i]));
    }
}

/* The single layers are near the network's, and then take over its parameters. */
static void follow_parameters(const struct rig *r)
{
    for (int i = 0; i < N; i++) {
        oclin_layer *l = oclin_network_layer(r->net, i);
        const int64_t n = widths[i] * widths[i + 1];
        float *a = new_array(float, n), *b = new_array(float, n);
        assert_ok(r->ctx, oclin_tensor_read(oclin_layer_w(l), a));
        assert_ok(r->ctx, oclin_tensor_read(oclin_layer_w(r->layers[i]), b));
        for (int64_t j = 0; j < n; j++) assert_true(fabsf(a[j] - b[j]) <= 1e-4f);
        free(a);
        free(b);
        assert_ok(r->ctx, oclin_tensor_copy(oclin_layer_w(r->layers[i]), oclin_layer_w(l)));
        assert_ok(r->ctx, oclin_tensor_copy(oclin_layer_b(r->layers[i]), oclin_layer_b(l)));
    }
}

/* Steps whose norm is limited, and steps whose is not: in one batch, and over micro-batches. */
static void test_max_norm(void **state)
{
    const struct oclin_optimizer_options rule = OCLIN_ADAMW_OPTIONS_INIT;
    struct oclin_update update = OCLIN_UPDATE_INIT(0.01);
    struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    struct rig r = make_rig(*(int *)*state, residual, &rule);
    oclin_tensor *factor = new_tensor(r.ctx, 1, 1, 0);
    update.grad_scale = 0.25;
    for (int step = 0; step < 4; step++) {
        const int batches = step == 2 ? 2 : 1;
        double norm2 = 0;
        o.max_norm = 0;
        for (int k = 0; k < batches; k++) {
            set_batch(&r, step == 1 ? 3 : 7, 800 + (uint64_t)(2 * step + k));
            single_forward(&r, 0);
            assert_ok(r.ctx, single_loss(&r, OCLIN_LOSS_MSE));
            norm2 = host_norm2(&r, r.g[N - 1]);
            o.first = k == 0;
            o.last = k == batches - 1;
            if (o.last) o.max_norm = step == 3 ? 1e6 : 0.125 * sqrt(norm2);
            assert_ok(r.ctx, oclin_network_train_step(r.net, r.x, r.target, OCLIN_LOSS_MSE, NULL, r.loss,
                                                      NULL, r.optimizer, &o));
        }
        const double got = read_float(oclin_network_norm2(r.net));
        if (!(fabs(got - norm2) <= 1e-5 * norm2)) fail_msg("the norm's square is %g, must be %g", got, norm2);
        single_limited(&r, &update, o.max_norm, factor);
        if (*(int *)*state == 0)
            same_parameters(&r);
        else /* the update may be fused with another kernel than the one that stores: other bits */
            follow_parameters(&r);
    }
    oclin_tensor_destroy(factor);
    free_rig(&r);
}

/* A NaN in a sample skips the step, and nothing changes; the next one is taken. */
static void test_check_finite(void **state)
{
    const struct oclin_optimizer_options rule = OCLIN_ADAMW_OPTIONS_INIT;
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.01);
    struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    struct rig r = make_rig(*(int *)*state, NULL, &rule);
    float x[MOST * 5] = {NAN};
    o.check_finite = 1;
    for (int step = 0; step < 4; step++) {
        const int skips = step % 2;
        set_batch(&r, 5, 850 + (uint64_t)step);
        o.max_norm = step < 2 ? 0 : 1e6;
        if (skips) assert_ok(r.ctx, oclin_tensor_write(r.x, x));
        assert_ok(r.ctx, oclin_network_train_step(r.net, r.x, r.target, OCLIN_LOSS_MSE, NULL, r.loss, NULL,
                                                  r.optimizer, &o));
        assert_int_equal(read_int(oclin_network_skipped(r.net)), skips);
        if (!skips) {
            struct oclin_update with = update;
            oclin_tensor *no = make_tensor(r.ctx, OCLIN_I32, 1, 1, &(int32_t){0});
            oclin_tensor *one = make_tensor(r.ctx, OCLIN_F32, 1, 1, &(float){1});
            with.skip = no; /* numbers of the device, as the network's */
            with.factor = step < 2 ? NULL : one;
            single_forward(&r, 0);
            assert_ok(r.ctx, single_loss(&r, OCLIN_LOSS_MSE));
            single_backward(&r, r.g[N - 1], &with, 0);
            oclin_tensor_destroy(no);
            oclin_tensor_destroy(one);
        }
        same_parameters(&r);
    }
    free_rig(&r);
}

/* --------------------------------------------------------------------------------- residual branches */

enum { WIDE = 4, ROWS = 2, SIZE = WIDE * WIDE };

/* sum of dy y, where y = h + tanh(W1 h + b1), h = x + tanh(W0 x + b0), in double but for h. */
static double objective(const float *x, float w[2][SIZE], float b[2][WIDE], const float *dy)
{
    struct oclin_ref_case c = RANDOM_CASE(ROWS, WIDE, WIDE);
    double y[ROWS * WIDE], sum = 0;
    float h[ROWS * WIDE];
    c.activation = OCLIN_TANH;
    memcpy(h, x, sizeof h);
    for (int l = 0; l < 2; l++) {
        oclin_ref_forward(&c, h, w[l], b[l], NULL, NULL, y, NULL);
        for (int i = 0; i < ROWS * WIDE; i++) y[i] += h[i];
        for (int i = 0; i < ROWS * WIDE; i++) h[i] = (float)y[i];
    }
    for (int i = 0; i < ROWS * WIDE; i++) sum += y[i] * dy[i];
    return sum;
}

static double slope(float *at, const float *x, float w[2][SIZE], float b[2][WIDE], const float *dy)
{
    const float h = 1.0f / 64, old = *at;
    *at = old + h;
    const double above = objective(x, w, b, dy);
    *at = old - h;
    const double below = objective(x, w, b, dy);
    *at = old;
    return (above - below) / (2 * (double)h);
}

static void as_doubles(oclin_tensor *t, double *to)
{
    float host[SIZE];
    const int64_t n = oclin_tensor_rows(t) * oclin_tensor_cols(t);
    assert_true(n <= SIZE);
    assert_int_equal(oclin_tensor_read(t, host), OCLIN_OK);
    for (int64_t i = 0; i < n; i++) to[i] = (double)host[i];
}

static void test_residual(void **state)
{
    static const int64_t wide[] = {WIDE, WIDE, WIDE};
    static const oclin_activation tanhs[] = {OCLIN_TANH, OCLIN_TANH};
    static const int both[] = {1, 1};
    struct oclin_network_options o = OCLIN_NETWORK_OPTIONS_INIT;
    oclin_context *ctx = context(0);
    oclin_network *net = NULL;
    float x[ROWS * WIDE], dy[ROWS * WIDE], w[2][SIZE], b[2][WIDE];
    double got[SIZE], want[SIZE], y = 0;
    struct rng rng = {3};
    (void)state;
    o.residual = both;
    fill_zero_mean(&rng, x, ROWS * WIDE);
    fill_zero_mean(&rng, dy, ROWS * WIDE);
    oclin_tensor *tx = make_tensor(ctx, OCLIN_F32, ROWS, WIDE, x), *out,
                 *tdy = make_tensor(ctx, OCLIN_F32, ROWS, WIDE, dy),
                 *tdx = make_tensor(ctx, OCLIN_F32, ROWS, WIDE, NULL);
    assert_ok(ctx, oclin_network_create(&net, ctx, 2, wide, tanhs, &o));
    for (int l = 0; l < 2; l++) {
        assert_ok(ctx, oclin_tensor_read(oclin_layer_w(oclin_network_layer(net, l)), w[l]));
        assert_ok(ctx, oclin_tensor_read(oclin_layer_b(oclin_network_layer(net, l)), b[l]));
    }
    assert_ok(ctx, oclin_network_forward(net, tx, &out));
    as_doubles(out, got);
    for (int i = 0; i < ROWS * WIDE; i++) y += got[i] * dy[i];
    assert_true(fabs(y - objective(x, w, b, dy)) < 1e-5);
    assert_ok(ctx, oclin_network_backward(net, tdy, tdx));
    as_doubles(tdx, got);
    for (int i = 0; i < ROWS * WIDE; i++) want[i] = slope(&x[i], x, w, b, dy);
    check_close("dx", got, want, ROWS * WIDE, 1e-3);
    for (int l = 0; l < 2; l++) {
        as_doubles(oclin_layer_dw(oclin_network_layer(net, l)), got);
        for (int i = 0; i < SIZE; i++) want[i] = slope(&w[l][i], x, w, b, dy);
        check_close("dw", got, want, SIZE, 1e-3);
    }
    oclin_network_destroy(net);
    oclin_tensor *const all[] = {tx, tdy, tdx};
    for (int i = 0; i < 3; i++) oclin_tensor_destroy(all[i]);
}

/* ------------------------------------------------------------------------------------- memory, launches */

static int64_t allocations(void)
{
    static const char *const names[] = {"malloc", "calloc", "realloc", "clCreateBuffer", "clCreateSubBuffer"};
    int64_t n = 0;
    for (size_t i = 0; i < COUNT_OF(names); i++) n += faults_calls(names[i]);
    return n;
}

static void all_calls(const struct rig *r, oclin_tensor *y)
{
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.01);
    const struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    assert_ok(r->ctx, oclin_network_infer(r->net, r->x, y));
    assert_ok(r->ctx, oclin_network_forward(r->net, r->x, NULL));
    assert_ok(r->ctx, oclin_network_backward(r->net, r->dy, r->dx));
    assert_ok(r->ctx, oclin_network_update(r->net, r->optimizer, &update));
    assert_ok(r->ctx, oclin_network_zero_grad(r->net));
    assert_ok(r->ctx, oclin_network_backward_update(r->net, r->dy, NULL, r->optimizer, &update));
    assert_ok(r->ctx, oclin_network_train_step(r->net, r->x, r->labels, OCLIN_LOSS_CROSS_ENTROPY, NULL,
                                               r->loss, NULL, r->optimizer, &o));
}

static void test_reserve(void **state)
{
    static const int64_t batches[] = {MOST, 3};
    const int plan = *(int *)*state;
    struct rig warm = make_rig(plan, residual, NULL); /* for its kernels */
    oclin_tensor *y = NULL;
    for (int i = 0; i < 2; i++) {
        set_batch(&warm, batches[i], 800);
        y = new_tensor(warm.ctx, batches[i], widths[N], 0);
        all_calls(&warm, y);
        oclin_tensor_destroy(y);
    }
    struct rig r = make_rig(plan, residual, NULL);
    assert_ok(r.ctx, oclin_network_reserve(r.net, batches[0]));
    assert_ok(r.ctx, oclin_network_reserve(r.net, batches[1]));
    for (int i = 0; i < 4; i++) {
        set_batch(&r, batches[i % 2], 800);
        y = new_tensor(r.ctx, batches[i % 2], widths[N], 0);
        const int64_t before = allocations();
        all_calls(&r, y);
        assert_int_equal(allocations() - before, 0);
        oclin_tensor_destroy(y);
    }
    free_rig(&r);
    free_rig(&warm);
}

/* What each reserve leaves out is not there. */
static void test_reserve_kinds(void **state)
{
    (void)state;
    struct rig r = make_rig(0, NULL, NULL);
    set_batch(&r, 4, 810);
    assert_ok(r.ctx, oclin_network_reserve_infer(r.net, 6));
    int64_t buffers = faults_calls("clCreateBuffer");
    assert_ok(r.ctx, oclin_network_infer(r.net, r.x, r.y[N - 1]));
    assert_int_equal(faults_calls("clCreateBuffer") - buffers, 0);
    assert_ok(r.ctx, oclin_network_reserve_step(r.net, 6));
    for (int i = 0; i < N; i++) assert_null(oclin_network_layer(r.net, i)->dw);
    buffers = faults_calls("clCreateBuffer");
    assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
    assert_int_equal(faults_calls("clCreateBuffer") - buffers, 0);
    assert_ok(r.ctx, oclin_network_reserve(r.net, 6));
    for (int i = 0; i < N; i++) assert_non_null(oclin_network_layer(r.net, i)->dw);
    assert_refused(r.ctx, OCLIN_E_SHAPE, "-1", oclin_network_reserve(r.net, -1));
    assert_refused(r.ctx, OCLIN_E_SHAPE, "", oclin_network_reserve_step(r.net, INT64_MAX));
    assert_refused(r.ctx, OCLIN_E_SHAPE, "", oclin_network_reserve_infer(r.net, INT64_MAX / 2));
    free_rig(&r);
}

/* Memory that was too small is given back, with the views into it. */
static void test_growing(void **state)
{
    int64_t buffers[3];
    (void)state;
    for (int grows = -1; grows < 2; grows++) { /* first for the context's own memory */
        struct rig r = make_rig(0, residual, NULL);
        const int64_t before = faults_alive(ALIVE_BUFFER);
        if (grows == 1) assert_ok(r.ctx, oclin_network_reserve_step(r.net, 3));
        assert_ok(r.ctx, oclin_network_reserve_step(r.net, MOST));
        set_batch(&r, MOST, 820);
        assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL)); /* z of the smaller batch goes, too */
        buffers[grows + 1] = faults_alive(ALIVE_BUFFER) - before;
        free_rig(&r);
    }
    assert_int_equal(buffers[2], buffers[1]);
}

/* A step of a classifier, launch by launch: two forwards; two of the loss; dX and dW of the last layer, which
 * are one where a small batch lets a CPU make both in one pass over W; dW of the first, with the updates in
 * their epilogues. */
static int64_t launches_of_step(oclin_context *ctx, int64_t batch)
{
    static const int64_t classifier[] = {784, 256, 10};
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    const struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    oclin_network *net = NULL;
    oclin_optimizer *optimizer = NULL;
    int64_t launches = 0;
    oclin_tensor *x = new_tensor(ctx, batch, 784, 9), *labels = make_tensor(ctx, OCLIN_I32, batch, 1, NULL),
                 *loss = new_tensor(ctx, 1, 1, 0);
    assert_ok(ctx, oclin_tensor_fill(labels, 3));
    assert_ok(ctx, oclin_network_create(&net, ctx, 2, classifier, NULL, NULL));
    assert_ok(ctx, oclin_optimizer_create(&optimizer, ctx, NULL));
    assert_ok(ctx, oclin_network_add(optimizer, net));
    for (int step = 0; step < 2; step++) {
        launches = -faults_calls("clEnqueueNDRangeKernel");
        assert_ok(ctx, oclin_network_train_step(net, x, labels, OCLIN_LOSS_CROSS_ENTROPY, NULL, loss, NULL,
                                                optimizer, &o));
        launches += faults_calls("clEnqueueNDRangeKernel");
    }
    oclin_network_destroy(net);
    oclin_optimizer_destroy(optimizer);
    oclin_tensor *const all[] = {x, labels, loss};
    for (int i = 0; i < 3; i++) oclin_tensor_destroy(all[i]);
    return launches;
}

static void test_launches(void **state)
{
    enum { MOST_LAUNCHES = 8 };
    const int simd = *(int *)*state;
    assert_int_equal(launches_of_step(context(simd), 8), simd ? 6 : 7);
    const int64_t launches = launches_of_step(context(simd), 128);
    print_message("%d launches with 128 samples\n", (int)launches);
    assert_true(launches <= MOST_LAUNCHES);
}

/* --------------------------------------------------------------------------------------------- refusals */

static void test_create_refused(void **state)
{
    oclin_context *ctx = context(0);
    oclin_network *net = (oclin_network *)ctx;
    struct oclin_network_options o = OCLIN_NETWORK_OPTIONS_INIT;
    const int64_t bad[] = {5, 0, 3};
    const oclin_activation unknown[] = {OCLIN_RELU, (oclin_activation)77, OCLIN_NONE};
    const int twos[] = {0, 2, 0}, narrow[] = {1, 0, 0};
    const int64_t held = ctx->references;
    (void)state;
    assert_int_equal(oclin_network_create(&net, NULL, N, widths, NULL, NULL), OCLIN_E_ARG);
    assert_null(net);
    assert_refused(ctx, OCLIN_E_ARG, "address", oclin_network_create(NULL, ctx, N, widths, NULL, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "widths is NULL", oclin_network_create(&net, ctx, N, NULL, NULL, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "0 layers", oclin_network_create(&net, ctx, 0, widths, NULL, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "layers",
                   oclin_network_create(&net, ctx, INT64_MAX, widths, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "layer 0: a layer from 5 to 0",
                   oclin_network_create(&net, ctx, 2, bad, NULL, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "layer 1: activation 77",
                   oclin_network_create(&net, ctx, N, widths, unknown, NULL));
    o.residual = twos;
    assert_refused(ctx, OCLIN_E_ARG, "layer 1: residual is 2",
                   oclin_network_create(&net, ctx, N, widths, NULL, &o));
    o.residual = narrow;
    assert_refused(ctx, OCLIN_E_SHAPE, "layer 0: a residual branch from 5 to 8",
                   oclin_network_create(&net, ctx, N, widths, NULL, &o));
    o = (struct oclin_network_options)OCLIN_NETWORK_OPTIONS_INIT;
    o.gradient = (oclin_gradient)2;
    assert_refused(ctx, OCLIN_E_ARG, "gradient 2", oclin_network_create(&net, ctx, N, widths, NULL, &o));
    o.gradient = OCLIN_GRAD_SUM;
    o.reserved = 1;
    assert_refused(ctx, OCLIN_E_ARG, "reserved", oclin_network_create(&net, ctx, N, widths, NULL, &o));
    assert_true(ctx->references == held);
    assert_int_equal(oclin_network_layers(NULL), 0);
    assert_null(oclin_network_layer(NULL, 0));
    assert_null(oclin_network_output(NULL));
    oclin_network_destroy(NULL);
}

static void test_from_refused(void **state)
{
    oclin_context *ctx = context(0), *other = context(1);
    oclin_layer *a = NULL, *b = NULL, *strange = NULL;
    oclin_network *net = NULL;
    (void)state;
    assert_ok(ctx, oclin_layer_create(&a, ctx, 4, 4, NULL));
    assert_ok(ctx, oclin_layer_create(&b, ctx, 5, 4, NULL));
    assert_ok(other, oclin_layer_create(&strange, other, 4, 4, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "layers is NULL", oclin_network_create_from(&net, ctx, 2, NULL, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "layer 1 is NULL",
                   oclin_network_create_from(&net, ctx, 2, (oclin_layer *[]){a, NULL}, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "layer 1 belongs to another",
                   oclin_network_create_from(&net, ctx, 2, (oclin_layer *[]){a, strange}, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "layer 2 is layer 1 again",
                   oclin_network_create_from(&net, ctx, 3, (oclin_layer *[]){b, a, a}, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "layer 1 takes 5 features, but 4 come from layer 0",
                   oclin_network_create_from(&net, ctx, 2, (oclin_layer *[]){a, b}, NULL));
    assert_null(net);
    assert_ok(ctx, oclin_network_create_from(&net, ctx, 2, (oclin_layer *[]){b, a}, NULL));
    assert_int_equal(oclin_network_layers(net), 2);
    assert_ptr_equal(oclin_network_layer(net, 0), b);
    assert_null(oclin_network_layer(net, 2));
    assert_null(oclin_network_layer(net, -1));
    oclin_layer_destroy(a); /* borrowed: before the network, or after it */
    oclin_network_destroy(net);
    oclin_layer_destroy(b);
    oclin_layer_destroy(strange);
}

/* Refuses `call`, and nothing was launched. */
#define refused(r, status, part, call)                                         \
    do {                                                                       \
        const int64_t before_ = faults_calls("clEnqueueNDRangeKernel");        \
        assert_refused((r)->ctx, status, part, call);                          \
        assert_int_equal(faults_calls("clEnqueueNDRangeKernel") - before_, 0); \
    } while (0)

static void test_calls_refused(void **state)
{
    struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    struct rig r = make_rig(0, residual, NULL);
    (void)state;
    set_batch(&r, 4, 900);
    oclin_network *net = r.net;
    oclin_tensor *stranger = new_tensor(context(1), 4, widths[0], 7), *y = r.y[N - 1];
    assert_int_equal(oclin_network_forward(NULL, r.x, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_network_infer(NULL, r.x, y), OCLIN_E_ARG);
    assert_int_equal(oclin_network_backward(NULL, r.dy, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_network_zero_grad(NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_network_reserve(NULL, 1), OCLIN_E_ARG);
    assert_int_equal(oclin_network_update(NULL, r.optimizer, &update), OCLIN_E_ARG);
    refused(&r, OCLIN_E_ARG, "x is NULL", oclin_network_forward(net, NULL, NULL));
    refused(&r, OCLIN_E_SHAPE, "x", oclin_network_forward(net, r.dy, NULL));
    refused(&r, OCLIN_E_ARG, "x", oclin_network_forward(net, stranger, NULL));
    refused(&r, OCLIN_E_ARG, "y is NULL", oclin_network_infer(net, r.x, NULL));
    refused(&r, OCLIN_E_SHAPE, "y", oclin_network_infer(net, r.x, r.x));
    refused(&r, OCLIN_E_STATE, "backward before forward", oclin_network_backward(net, r.dy, NULL));
    assert_ok(r.ctx, oclin_network_forward(net, r.x, NULL));
    refused(&r, OCLIN_E_ARG, "dy is NULL", oclin_network_backward(net, NULL, NULL));
    refused(&r, OCLIN_E_SHAPE, "layer 2: dy", oclin_network_backward(net, r.x, NULL));
    refused(&r, OCLIN_E_SHAPE, "layer 0: dx", oclin_network_backward(net, r.dy, r.dy));
    refused(&r, OCLIN_E_ARG, "optimizer is NULL",
            oclin_network_backward_update(net, r.dy, NULL, NULL, &update));
    refused(&r, OCLIN_E_ARG, "update is NULL",
            oclin_network_backward_update(net, r.dy, NULL, r.optimizer, NULL));
    refused(&r, OCLIN_E_STATE, "layer 0: step before", oclin_network_update(net, r.optimizer, &update));
    update.lr = -1;
    refused(&r, OCLIN_E_ARG, "layer 2: lr is -1",
            oclin_network_backward_update(net, r.dy, NULL, r.optimizer, &update));
    update.lr = 0.1;
    refused(&r, OCLIN_E_ARG, "layer 2: the layer was not added",
            oclin_network_backward_update(net, r.dy, NULL, r.single, &update));
    assert_refused(r.ctx, OCLIN_E_ARG, "network is NULL", oclin_network_add(r.optimizer, NULL));
    assert_int_equal(oclin_network_add(NULL, net), OCLIN_E_ARG);
    random_tensor(r.x, 901); /* which the first layer has saved, and is asked last */
    refused(&r, OCLIN_E_STATE, "layer 0: x was written", oclin_network_backward(net, r.dy, NULL));
    oclin_layer_w(oclin_network_layer(net, 1))->unspecified = 1;
    refused(&r, OCLIN_E_STATE, "layer 1: w is unspecified", oclin_network_forward(net, r.x, NULL));
    refused(&r, OCLIN_E_STATE, "layer 1: w is unspecified", oclin_network_infer(net, r.x, y));
    oclin_layer_w(oclin_network_layer(net, 1))->unspecified = 0;
    /* x is what a later layer would overwrite */
    oclin_tensor *inside = NULL;
    assert_ok(r.ctx, oclin_network_forward(net, r.x, NULL));
    assert_ok(r.ctx, oclin_tensor_view(&inside, oclin_network_output(net), 0, 2, 5, 5));
    refused(&r, OCLIN_E_ARG, "layer 2: y (elements 0 to 5) and x (0 to 9) share elements",
            oclin_network_forward(net, inside, NULL));
    oclin_tensor_destroy(inside);
    oclin_tensor_destroy(stranger);
    free_rig(&r);
}

static oclin_status step_with(const struct rig *r, oclin_tensor *target, oclin_loss kind,
                              oclin_tensor *correct, oclin_optimizer *optimizer,
                              const struct oclin_train_step_options *o)
{
    return oclin_network_train_step(r->net, r->x, target, kind, NULL, r->loss, correct, optimizer, o);
}

static void test_step_refused(void **state)
{
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    const struct oclin_train_step_options good = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    struct oclin_train_step_options o = good;
    struct rig r = make_rig(0, NULL, NULL);
    (void)state;
    set_batch(&r, 4, 910);
    oclin_tensor *correct = make_tensor(r.ctx, OCLIN_I32, 1, 1, NULL);
    refused(&r, OCLIN_E_ARG, "options is NULL",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, NULL));
    refused(&r, OCLIN_E_ARG, "kind 6", step_with(&r, r.target, (oclin_loss)6, NULL, r.optimizer, &o));
    refused(&r, OCLIN_E_ARG, "kind -1", step_with(&r, r.target, (oclin_loss)-1, NULL, r.optimizer, &o));
    refused(&r, OCLIN_E_ARG, "t is NULL", step_with(&r, NULL, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    refused(&r, OCLIN_E_ARG, "", step_with(&r, r.labels, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    refused(&r, OCLIN_E_ARG, "correct", step_with(&r, r.target, OCLIN_LOSS_MSE, correct, r.optimizer, &o));
    refused(&r, OCLIN_E_ARG, "optimizer is NULL", step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, NULL, &o));
    refused(&r, OCLIN_E_ARG, "layer 2: the layer was not added",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.single, &o));
    oclin_optimizer *stranger;
    assert_ok(context(1), oclin_optimizer_create(&stranger, context(1), NULL));
    o.last = 0;
    refused(&r, OCLIN_E_ARG, "the optimizer belongs to another context",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, stranger, &o));
    oclin_optimizer_destroy(stranger);
    o.last = 1;
    o.update = NULL;
    refused(&r, OCLIN_E_ARG, "update is NULL",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o = good;
    o.first = 2;
    refused(&r, OCLIN_E_ARG, "first is 2", step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o = good;
    o.last = -1;
    refused(&r, OCLIN_E_ARG, "last is -1", step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o = good;
    o.max_norm = -1;
    refused(&r, OCLIN_E_ARG, "max_norm is -1",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o.max_norm = 1;
    o.last = 0;
    refused(&r, OCLIN_E_ARG, "without an update",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o.last = 1;
    struct oclin_update scaled = *good.update;
    scaled.factor = r.loss;
    scaled.skip = correct;
    o.update = &scaled;
    refused(&r, OCLIN_E_ARG, "a factor in the update",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o.max_norm = 0;
    o.check_finite = 1;
    refused(&r, OCLIN_E_ARG, "a skip in the update",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o.check_finite = 2;
    refused(&r, OCLIN_E_ARG, "check_finite is 2",
            step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o = good;
    o.reserved = 3;
    refused(&r, OCLIN_E_ARG, "reserved is 3", step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    o = good;
    oclin_layer_w(oclin_network_layer(r.net, 0))->writable = 0; /* found before the others have moved */
    refused(&r, OCLIN_E_ARG, "layer 0: w", step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    oclin_layer_w(oclin_network_layer(r.net, 0))->writable = 1;
    same_parameters(&r);
    assert_ok(r.ctx, step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
    oclin_tensor_destroy(correct);
    free_rig(&r);
}

/* ------------------------------------------------------------------ layers that are frozen, shared, added */

/* Frozen layers in front get no gradient, and nothing of them changes. */
static void test_frozen(void **state)
{
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    struct oclin_parameter_options frozen = OCLIN_PARAMETER_OPTIONS_INIT;
    struct rig r = make_rig(0, NULL, NULL);
    oclin_optimizer *half = NULL;
    (void)state;
    set_batch(&r, 4, 1000);
    frozen.freeze = OCLIN_FREEZE_LAYER;
    assert_ok(r.ctx, oclin_optimizer_create(&half, r.ctx, NULL));
    assert_ok(r.ctx, oclin_optimizer_add(half, oclin_network_layer(r.net, 0), &frozen));
    assert_ok(r.ctx, oclin_network_add(half, r.net));
    oclin_layer_w(oclin_network_layer(r.net, 0))->writable = 0; /* which a frozen layer may be */
    single_forward(&r, 0);
    assert_ok(r.ctx, single_loss(&r, OCLIN_LOSS_MSE));
    for (int i = N - 1; i > 0; i--)
        assert_ok(r.ctx, oclin_layer_backward_update(r.layers[i], r.g[i], i > 1 ? r.g[i - 1] : NULL, r.single,
                                                     &update));
    assert_ok(r.ctx, step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, half, &o));
    const int64_t launches = faults_calls("clEnqueueNDRangeKernel");
    assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
    assert_ok(r.ctx, oclin_network_backward_update(r.net, r.dy, NULL, half, &update));
    assert_int_equal(faults_calls("clEnqueueNDRangeKernel") - launches, N + 3); /* dW, dX; dW */
    single_forward(&r, 0);
    for (int i = N - 1; i > 0; i--)
        assert_ok(r.ctx, oclin_layer_backward_update(r.layers[i], i == N - 1 ? r.dy : r.g[i],
                                                     i > 1 ? r.g[i - 1] : NULL, r.single, &update));
    same_parameters(&r);
    assert_null(oclin_network_layer(r.net, 0)->dw);
    /* a dx that is wanted goes through it */
    assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
    assert_ok(r.ctx, oclin_network_backward_update(r.net, r.dy, r.dx, half, &update));
    single_forward(&r, 0);
    single_backward(&r, r.dy, NULL, 1);
    same_bits("dx", r.dx, r.dx_single);
    oclin_optimizer_destroy(half);
    free_rig(&r);
}

/* Two networks may share a layer: each keeps its own forward. */
static void test_shared_layer(void **state)
{
    struct rig r = make_rig(0, NULL, NULL);
    oclin_network *whole = NULL, *tail = NULL;
    (void)state;
    set_batch(&r, 4, 1100);
    assert_ok(r.ctx, oclin_network_create_from(&whole, r.ctx, N, r.layers, NULL));
    assert_ok(r.ctx, oclin_network_create_from(&tail, r.ctx, N - 1, r.layers + 1, NULL));
    oclin_tensor *middle = new_tensor(r.ctx, 4, widths[1], 8);
    assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
    assert_ok(r.ctx, oclin_network_forward(whole, r.x, NULL));
    assert_ok(r.ctx, oclin_network_forward(tail, middle, NULL));
    assert_ok(r.ctx, oclin_network_backward(r.net, r.dy, r.dx_single));
    assert_ok(r.ctx, oclin_network_backward(whole, r.dy, r.dx));
    same_bits("dx", r.dx, r.dx_single);
    same_gradients(&r);
    oclin_tensor_destroy(middle);
    oclin_network_destroy(whole);
    oclin_network_destroy(tail);
    free_rig(&r);
}

/* A network is added as a whole, or not at all. */
static void test_add(void **state)
{
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    struct oclin_layer_options l = OCLIN_LAYER_OPTIONS_INIT;
    oclin_context *ctx = context(0);
    oclin_optimizer *optimizer = NULL;
    oclin_layer *layers[3] = {NULL};
    oclin_network *net = NULL;
    (void)state;
    assert_ok(ctx, oclin_optimizer_create(&optimizer, ctx, NULL));
    assert_ok(ctx, oclin_layer_create(&layers[0], ctx, 4, 4, NULL));
    assert_ok(ctx, oclin_layer_create(&layers[1], ctx, 4, 4, NULL));
    l.w = oclin_layer_w(layers[0]); /* tied, with a dW of its own: refused */
    assert_ok(ctx, oclin_layer_create(&layers[2], ctx, 4, 4, &l));
    assert_ok(ctx, oclin_network_create_from(&net, ctx, 3, layers, NULL));
    assert_ok(ctx, oclin_optimizer_add(optimizer, layers[0], NULL));
    assert_refused(ctx, OCLIN_E_ARG, "layer 2: w is tied", oclin_network_add(optimizer, net));
    assert_refused(ctx, OCLIN_E_ARG, "was not added", oclin_layer_update(layers[1], optimizer, &update));
    assert_null(optimizer->members->next);                           /* layers[0] alone */
    assert_null(optimizer->parameters->next->next);                  /* its w and b */
    assert_ok(ctx, oclin_optimizer_add(optimizer, layers[1], NULL)); /* it is not there by half */
    oclin_network_destroy(net);
    /* tied as it should be, and taken out again: it can be fused as before */
    oclin_layer_destroy(layers[2]);
    l.dw = oclin_layer_dw(layers[0]);
    assert_ok(ctx, oclin_layer_create(&layers[2], ctx, 4, 4, &l));
    oclin_layer *again = NULL;
    l.dw = NULL;
    assert_ok(ctx, oclin_layer_create(&again, ctx, 4, 4, &l));
    oclin_optimizer_destroy(optimizer);
    assert_ok(ctx, oclin_optimizer_create(&optimizer, ctx, NULL));
    assert_ok(ctx, oclin_optimizer_add(optimizer, layers[0], NULL));
    assert_ok(ctx,
              oclin_network_create_from(&net, ctx, 3, (oclin_layer *[]){layers[0], layers[2], again}, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "layer 2: w is tied", oclin_network_add(optimizer, net));
    assert_int_equal(optimizer->members->w->tied, 0);
    oclin_network_destroy(net);
    oclin_layer_destroy(again);
    oclin_optimizer_destroy(optimizer);
    for (int i = 0; i < 3; i++) oclin_layer_destroy(layers[i]);
}

/* ------------------------------------------------------------------------ strict, verifying, destroying */

static void test_strict(void **state)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.1);
    (void)state;
    options.plan = "plain";
    options.strict = 1;
    options.verify = 1;
    oclin_context *ctx = make_context_with(options);
    struct rig r = make_rig_in(ctx, residual, NULL);
    for (int step = 0; step < 2; step++) {
        const struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
        set_batch(&r, step ? 3 : 5, 1200);
        assert_ok(ctx, oclin_network_infer(r.net, r.x, r.y[N - 1]));
        assert_ok(ctx, step_with(&r, r.target, OCLIN_LOSS_MSE, NULL, r.optimizer, &o));
        assert_ok(ctx, oclin_network_forward(r.net, r.x, NULL));
        assert_ok(ctx, oclin_network_backward(r.net, r.dy, r.dx));
        assert_ok(ctx, oclin_network_update(r.net, r.optimizer, &update));
        refused(&r, OCLIN_E_STATE, "layer 2: w was written", oclin_network_backward(r.net, r.dy, NULL));
        assert_ok(ctx, oclin_network_zero_grad(r.net));
    }
    oclin_tensor *never = make_tensor(ctx, OCLIN_F32, 3, widths[0], NULL);
    refused(&r, OCLIN_E_STATE, "x", oclin_network_forward(r.net, never, NULL));
    oclin_tensor_destroy(never);
    free_rig(&r);
    oclin_context_destroy(ctx);
}

/* Whatever is destroyed first, all of it is given back. */
static void test_destroy(void **state)
{
    int64_t before[ALIVE_KINDS];
    (void)state;
    for (int kind = 0; kind < ALIVE_KINDS; kind++) before[kind] = faults_alive((enum alive)kind);
    for (int order = 0; order < 3; order++) {
        oclin_context *ctx = make_context("plain");
        struct rig r = make_rig_in(ctx, residual, NULL);
        set_batch(&r, 4, 1300);
        assert_ok(ctx, oclin_network_forward(r.net, r.x, NULL));
        assert_ok(ctx, oclin_network_backward(r.net, r.dy, NULL));
        if (order == 0) oclin_context_destroy(ctx);
        if (order == 1) oclin_network_destroy(r.net);
        if (order == 2) oclin_optimizer_destroy(r.optimizer);
        if (order == 1) r.net = NULL;
        if (order == 2) r.optimizer = NULL;
        free_rig(&r);
        if (order) oclin_context_destroy(ctx);
    }
    for (int kind = 0; kind < ALIVE_KINDS; kind++)
        assert_int_equal(faults_alive((enum alive)kind), before[kind]);
}

/* After a failure in the middle of a forward there is none that backward could belong to. */
static void test_failure(void **state)
{
    struct rig r = make_rig(0, NULL, NULL);
    (void)state;
    set_batch(&r, 4, 1400);
    assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
    faults_fail_call("clEnqueueNDRangeKernel", 1, CL_OUT_OF_RESOURCES, FAULT_BEFORE);
    assert_refused(r.ctx, OCLIN_E_CL, "layer 1: ", oclin_network_forward(r.net, r.x, NULL));
    assert_int_equal(oclin_context_cl_error(r.ctx), CL_OUT_OF_RESOURCES);
    faults_end();
    assert_null(oclin_network_output(r.net));
    refused(&r, OCLIN_E_STATE, "one that failed", oclin_network_backward(r.net, r.dy, NULL));
    single_forward(&r, 0);
    single_backward(&r, r.dy, NULL, 1);
    assert_ok(r.ctx, oclin_network_forward(r.net, r.x, NULL));
    assert_ok(r.ctx, oclin_network_backward(r.net, r.dy, r.dx));
    same_bits("dx", r.dx, r.dx_single);
    free_rig(&r);
}

/* Options of single layers, and the usual ones. */
static void test_layer_options(void **state)
{
    struct oclin_layer_options own = OCLIN_LAYER_OPTIONS_INIT;
    const struct oclin_layer_options *const each[N] = {NULL, &own, NULL};
    struct oclin_network_options o = OCLIN_NETWORK_OPTIONS_INIT;
    oclin_context *ctx = context(0);
    oclin_network *net = NULL;
    oclin_layer *l = NULL;
    (void)state;
    own.bias = 0;
    own.activation = OCLIN_TANH; /* the network's counts */
    own.seed = 77;
    o.layers = each;
    o.seed = 5;
    o.gradient = OCLIN_GRAD_MEAN;
    assert_ok(ctx, oclin_network_create(&net, ctx, N, widths, NULL, &o));
    assert_int_equal(oclin_network_layers(net), N);
    for (int i = 0; i < N; i++) {
        const oclin_layer *made = oclin_network_layer(net, i);
        struct oclin_layer_options same = OCLIN_LAYER_OPTIONS_INIT;
        same.seed = i == 1 ? 77 : 5 + (uint64_t)i;
        same.bias = i != 1;
        assert_int_equal(made->activation, i < N - 1 ? OCLIN_RELU : OCLIN_NONE);
        assert_int_equal(made->gradient, i == 1 ? OCLIN_GRAD_SUM : OCLIN_GRAD_MEAN);
        assert_int_equal(made->bias, i != 1);
        assert_ok(ctx, oclin_layer_create(&l, ctx, widths[i], widths[i + 1], &same));
        same_bits("w", made->w, l->w);
        oclin_layer_destroy(l);
    }
    oclin_network_destroy(net);
}

int main(int argc, char **argv)
{
    static int numbers[PLANS];
    struct test_list list = {0};
    for (int i = 0; i < PLANS; i++) {
        numbers[i] = i;
        add_test(&list, test_forward, &numbers[i], "forward and infer are the layers', %s", plans[i]);
        add_test(&list, test_backward, &numbers[i], "backward is the layers', %s", plans[i]);
        add_test(&list, test_infer_between, &numbers[i], "infer between, %s", plans[i]);
        add_test(&list, test_updates, &numbers[i], "updates are the layers', %s", plans[i]);
        add_test(&list, test_train_step, &numbers[i], "train_step is its parts, %s", plans[i]);
        add_test(&list, test_micro_batches, &numbers[i], "micro-batches, %s", plans[i]);
        add_test(&list, test_reserve, &numbers[i], "after reserve nothing is allocated, %s", plans[i]);
        add_test(&list, test_launches, &numbers[i], "launches of a step of 784-256-10, %s", plans[i]);
    }
    for (int i = 0; i < PLANS; i++) {
        add_test(&list, test_max_norm, &numbers[i], "a norm that is limited, %s", plans[i]);
        add_test(&list, test_check_finite, &numbers[i], "steps that are skipped, %s", plans[i]);
    }
    add_test(&list, test_step_options, &numbers[0], "options of a step arrive");
    add_test(&list, test_residual, NULL, "residual branches against finite differences");
    add_test(&list, test_reserve_kinds, NULL, "each reserve takes its part");
    add_test(&list, test_growing, NULL, "memory that was too small");
    add_test(&list, test_create_refused, NULL, "networks that cannot be");
    add_test(&list, test_from_refused, NULL, "layers that cannot follow each other");
    add_test(&list, test_layer_options, NULL, "options of layers");
    add_test(&list, test_calls_refused, NULL, "calls that are refused");
    add_test(&list, test_step_refused, NULL, "steps that are refused");
    add_test(&list, test_frozen, NULL, "frozen layers");
    add_test(&list, test_shared_layer, NULL, "a layer in two networks");
    add_test(&list, test_add, NULL, "added as a whole");
    add_test(&list, test_strict, NULL, "a strict context that verifies");
    add_test(&list, test_destroy, NULL, "destroyed in any order");
    add_test(&list, test_failure, NULL, "a failure in the middle");
    const int code = run_list("network", &list, argc, argv);
    for (int i = 0; i < PLANS; i++) oclin_context_destroy(contexts[i]);
    return code;
}
