/*
 * What the header promises of optimizers, on plain kernels: which arguments are refused, and that nothing has
 * changed then; state and counts, and going on from them; layers that are frozen or tied; micro-batches;
 * scalars on the device; schedule-free's two sides; what a failure leaves behind; that wrong rules are
 * noticed; that nothing is allocated. The numbers of the rules are test_rules.c's.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "support.h"

#include "faults.h"
#include "oclin_internal.h"

enum { BATCH = 4, IN = 3, OUT = 2, NX = BATCH * IN, NY = BATCH * OUT, NW = OUT * IN };

static oclin_context *shared;

static oclin_context *context(void)
{
    if (!shared) shared = make_context("plain");
    return shared;
}

/* ---------------------------------------------------------------------------------------------- choices */

#define OPTIONS(...)                                                \
    {                                                               \
        .size = sizeof(struct oclin_optimizer_options), __VA_ARGS__ \
    }
static const struct choice {
    const char *name;
    struct oclin_optimizer_options options;
} choices[] = {
    {"sgd", OCLIN_SGD_OPTIONS_INIT},
    {"momentum", OPTIONS(.momentum = 0.9, .dampening = 0.25, .weight_decay = 0.1, .decay_bias = 1)},
    {"adam", OCLIN_ADAM_OPTIONS_INIT},
    {"amsgrad", OPTIONS(.rule = OCLIN_ADAMW, .beta1 = 0.8, .beta2 = 0.9, .eps = 1e-6, .weight_decay = 0.1,
                        .amsgrad = 1, .decay_bias = 1)},
    {"lion", OCLIN_LION_OPTIONS_INIT},
    {"schedule-free", OCLIN_SCHEDULE_FREE_OPTIONS_INIT},
};
enum { SGD, MOMENTUM, ADAM, AMSGRAD, LION, SCHEDULE_FREE, CHOICES };

/* Options of a parameter: those that are named, and the defaults. */
#define PARAMETER(...)                                                                                  \
    (struct oclin_parameter_options)                                                                    \
    {                                                                                                   \
        .size = sizeof(struct oclin_parameter_options), .lr_factor = 1, .weight_decay = -1, __VA_ARGS__ \
    }
static struct oclin_parameter_options rated(double lr_factor, double weight_decay)
{
    struct oclin_parameter_options p = OCLIN_PARAMETER_OPTIONS_INIT;
    p.lr_factor = lr_factor;
    p.weight_decay = weight_decay;
    return p;
}

/* ------------------------------------------------------------------------------- a layer that is trained */

struct unit {
    oclin_context *ctx;
    struct oclin_optimizer_options options;
    oclin_layer *l;
    oclin_optimizer *opt;
    oclin_tensor *x, *y, *dy, *dx;
};

static oclin_layer *make_layer(oclin_context *ctx, const struct oclin_layer_options *from)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l;
    if (from) o = *from;
    o.seed = 5;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &o));
    return l;
}

static struct unit make_unit_in(oclin_context *ctx, const struct oclin_optimizer_options *options,
                                const struct oclin_parameter_options *p)
{
    struct unit u = {.ctx = ctx, .options = *options};
    u.l = make_layer(ctx, NULL);
    assert_ok(ctx, oclin_optimizer_create(&u.opt, ctx, options));
    assert_ok(ctx, oclin_optimizer_add(u.opt, u.l, p));
    u.x = make_tensor(ctx, OCLIN_F32, BATCH, IN, NULL);
    u.y = make_tensor(ctx, OCLIN_F32, BATCH, OUT, NULL);
    u.dy = make_tensor(ctx, OCLIN_F32, BATCH, OUT, NULL);
    u.dx = make_tensor(ctx, OCLIN_F32, BATCH, IN, NULL);
    return u;
}

static struct unit make_unit(int choice)
{
    return make_unit_in(context(), &choices[choice].options, NULL);
}

static void release(struct unit *u)
{
    oclin_tensor *const all[] = {u->x, u->y, u->dy, u->dx};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_optimizer_destroy(u->opt);
    oclin_layer_destroy(u->l);
}

static oclin_tensor *w_of(const struct unit *u)
{
    return oclin_layer_w(u->l);
}

static oclin_tensor *b_of(const struct unit *u)
{
    return oclin_layer_b(u->l);
}

/* The operands of the i-th batch, and a forward. */
static void forward(const struct unit *u, uint64_t i)
{
    struct rng rng = {i + 1};
    float x[NX], dy[NY];
    fill_zero_mean(&rng, x, NX);
    fill_zero_mean(&rng, dy, NY);
    assert_ok(u->ctx, oclin_tensor_write(u->x, x));
    assert_ok(u->ctx, oclin_tensor_write(u->dy, dy));
    assert_ok(u->ctx, oclin_layer_forward(u->l, u->x, u->y));
}

/* Its gradients, stored. */
static void backward(const struct unit *u, uint64_t i)
{
    forward(u, i);
    assert_ok(u->ctx, oclin_layer_zero_grad(u->l));
    assert_ok(u->ctx, oclin_layer_backward(u->l, u->dy, NULL));
}

static struct oclin_update rate(double lr)
{
    const struct oclin_update update = OCLIN_UPDATE_INIT(lr);
    return update;
}

static void step_by(const struct unit *u, uint64_t i, const struct oclin_update *update)
{
    backward(u, i);
    assert_ok(u->ctx, oclin_layer_update(u->l, u->opt, update));
}

static void step(const struct unit *u, uint64_t i)
{
    const struct oclin_update update = rate(0.125);
    step_by(u, i, &update);
}

static struct oclin_steps steps_of(const struct unit *u, const oclin_tensor *parameter)
{
    struct oclin_steps steps = OCLIN_STEPS_INIT;
    assert_ok(u->ctx, oclin_optimizer_steps(u->opt, parameter, &steps));
    return steps;
}

static int64_t count_of(const struct unit *u, const oclin_tensor *parameter)
{
    return steps_of(u, parameter).steps;
}

/* All that training changes: w, b, their states one behind the other, their counts. */
enum { MOST = 2 * (1 + 3) * NW };
struct image {
    float values[MOST];
    int n;
    struct oclin_steps w, b;
};

static void add_to_image(struct image *image, oclin_context *ctx, oclin_tensor *t)
{
    assert_ok(ctx, oclin_tensor_read(t, image->values + image->n));
    image->n += (int)(oclin_tensor_rows(t) * oclin_tensor_cols(t));
}

static struct image image_of(const struct unit *u)
{
    struct image image = {.n = 0};
    oclin_tensor *parameters[] = {w_of(u), b_of(u)};
    for (int i = 0; i < 2; i++) {
        add_to_image(&image, u->ctx, parameters[i]);
        for (int k = 0; oclin_rule_state(&u->options, k); k++)
            add_to_image(&image, u->ctx,
                         oclin_optimizer_state(u->opt, parameters[i], oclin_rule_state(&u->options, k)));
    }
    image.w = steps_of(u, parameters[0]);
    image.b = steps_of(u, parameters[1]);
    return image;
}

static void check_same_image(const char *name, const struct image *a, const struct image *b)
{
    assert_int_equal(a->n, b->n);
    check_same_bits(name, a->values, b->values, a->n);
    assert_memory_equal(&a->w, &b->w, sizeof a->w);
    assert_memory_equal(&a->b, &b->b, sizeof a->b);
}

static void check_unchanged(const char *name, const struct unit *u, const struct image *before)
{
    const struct image now = image_of(u);
    check_same_image(name, &now, before);
}

/* Two units hold the same bits. */
static void check_equal(const char *name, const struct unit *a, const struct unit *b)
{
    const struct image one = image_of(a), other = image_of(b);
    check_same_image(name, &one, &other);
}

static void check_tensors_equal(const char *name, oclin_context *ctx, oclin_tensor *a, oclin_tensor *b)
{
    const int64_t n = oclin_tensor_rows(a) * oclin_tensor_cols(a);
    float *x = new_array(float, n), *y = new_array(float, n);
    assert_ok(ctx, oclin_tensor_read(a, x));
    assert_ok(ctx, oclin_tensor_read(b, y));
    check_same_bits(name, x, y, n);
    free(x), free(y);
}

static void fill_with(oclin_context *ctx, oclin_tensor *t, double value)
{
    assert_ok(ctx, oclin_tensor_fill(t, value));
}

static void check_all(const char *name, oclin_context *ctx, oclin_tensor *t, float value)
{
    const int64_t n = oclin_tensor_rows(t) * oclin_tensor_cols(t);
    float *got = new_array(float, n);
    assert_ok(ctx, oclin_tensor_read(t, got));
    for (int64_t i = 0; i < n; i++)
        if (!(got[i] == value)) fail_msg("%s[%d] is %g, not %g", name, (int)i, (double)got[i], (double)value);
    free(got);
}

/* A tensor in a buffer that kernels may only read, or only write. It holds 1, 2, 3 and so on. */
static oclin_tensor *with_flags(oclin_context *ctx, cl_mem_flags flags, int64_t rows, int64_t cols)
{
    cl_context cl;
    cl_int error;
    oclin_tensor *t;
    float numbers[2 * NW];
    for (int i = 0; i < 2 * NW; i++) numbers[i] = (float)(1 + i);
    assert_ok(ctx, oclin_context_cl(ctx, &cl, NULL, NULL));
    cl_mem mem = clCreateBuffer(cl, flags | CL_MEM_COPY_HOST_PTR, (size_t)(rows * cols) * sizeof(float),
                                numbers, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, OCLIN_F32, mem, 0, rows, cols, cols));
    clReleaseMemObject(mem);
    return t;
}

/* ----------------------------------------------------------------------------------------------- create */

static void test_defaults(void **state)
{
    const struct {
        struct oclin_optimizer_options is;
        oclin_rule rule;
        double beta1, beta2, eps, weight_decay;
    } rows[] = {{OCLIN_SGD_OPTIONS_INIT, OCLIN_SGD, 0, 0, 0, 0},
                {OCLIN_ADAM_OPTIONS_INIT, OCLIN_ADAM, 0.9, 0.999, 1e-8, 0},
                {OCLIN_ADAMW_OPTIONS_INIT, OCLIN_ADAMW, 0.9, 0.999, 1e-8, 0.01},
                {OCLIN_LION_OPTIONS_INIT, OCLIN_LION, 0.9, 0.99, 0, 0},
                {OCLIN_SCHEDULE_FREE_OPTIONS_INIT, OCLIN_SCHEDULE_FREE, 0.9, 0.999, 1e-8, 0}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct oclin_optimizer_options want = {.size = sizeof want,
                                                     .rule = rows[i].rule,
                                                     .beta1 = rows[i].beta1,
                                                     .beta2 = rows[i].beta2,
                                                     .eps = rows[i].eps,
                                                     .weight_decay = rows[i].weight_decay,
                                                     .decay_bias = 1};
        assert_memory_equal(&rows[i].is, &want, sizeof want);
    }
    const struct oclin_parameter_options p = OCLIN_PARAMETER_OPTIONS_INIT;
    assert_true(p.size == sizeof p && p.lr_factor == 1 && p.weight_decay < 0 && p.freeze == 0 && !p.w_state &&
                !p.b_state);
    const struct oclin_update u = OCLIN_UPDATE_INIT(0.5);
    assert_true(u.size == sizeof u && u.lr == 0.5 && u.grad_scale == 1 && u.clip_value == 0 && !u.factor &&
                !u.skip);
    struct oclin_optimizer *opt; /* NULL options: plain SGD */
    assert_ok(context(), oclin_optimizer_create(&opt, context(), NULL));
    assert_memory_equal(&opt->options, &choices[SGD].options, sizeof opt->options);
    oclin_optimizer_destroy(opt);
}

static const struct refused_options {
    struct oclin_optimizer_options o;
    const char *says;
} refused_options[] = {
    {OPTIONS(.rule = (oclin_rule)5), "rule 5 is not known"},
    {OPTIONS(.rule = (oclin_rule)-1), "rule -1 is not known"},
    {OPTIONS(.nesterov = 2, .momentum = 0.5), "nesterov is 2, 0 or 1 is needed"},
    {OPTIONS(.rule = OCLIN_ADAM, .amsgrad = -1), "amsgrad is -1, 0 or 1 is needed"},
    {OPTIONS(.maximize = 3), "maximize is 3, 0 or 1 is needed"},
    {OPTIONS(.decay_bias = 2), "decay_bias is 2, 0 or 1 is needed"},
    {OPTIONS(.reserved = 7), "reserved is 7, 0 is needed"},
    {OPTIONS(.momentum = -0.5), "momentum is -0.5"},
    {OPTIONS(.momentum = NAN), "momentum is nan"},
    {OPTIONS(.momentum = INFINITY), "momentum is inf"},
    {OPTIONS(.momentum = 0.5, .dampening = NAN), "dampening is nan"},
    {OPTIONS(.momentum = 0.5, .dampening = INFINITY), "dampening is inf"},
    {OPTIONS(.nesterov = 1), "nesterov needs momentum > 0 and dampening 0, not 0 and 0"},
    {OPTIONS(.nesterov = 1, .momentum = 0.5, .dampening = 0.25),
     "nesterov needs momentum > 0 and dampening 0"},
    {OPTIONS(.amsgrad = 1), "SGD has no amsgrad"},
    {OPTIONS(.rule = OCLIN_LION, .amsgrad = 1), "Lion has no amsgrad"},
    {OPTIONS(.rule = OCLIN_SCHEDULE_FREE, .beta1 = 0.9, .amsgrad = 1), "schedule-free AdamW has no amsgrad"},
    {OPTIONS(.rule = OCLIN_ADAM, .momentum = 0.5), "Adam has no momentum"},
    {OPTIONS(.rule = OCLIN_ADAMW, .dampening = 0.5), "AdamW has no dampening"},
    {OPTIONS(.rule = OCLIN_LION, .nesterov = 1), "Lion has no nesterov"},
    {OPTIONS(.rule = OCLIN_ADAM, .beta1 = 1), "beta1 is 1, a number in [0, 1) is needed"},
    {OPTIONS(.rule = OCLIN_ADAM, .beta1 = -0.125), "beta1 is -0.125"},
    {OPTIONS(.rule = OCLIN_ADAM, .beta2 = 1), "beta2 is 1, a number in [0, 1) is needed"},
    {OPTIONS(.rule = OCLIN_ADAM, .beta2 = NAN), "beta2 is nan"},
    {OPTIONS(.rule = OCLIN_LION, .beta2 = 1.5), "beta2 is 1.5"},
    {OPTIONS(.rule = OCLIN_SCHEDULE_FREE, .beta1 = 0), "beta1 is 0, a number in (0, 1) is needed"},
    {OPTIONS(.rule = OCLIN_ADAM, .eps = -1), "eps is -1"},
    {OPTIONS(.rule = OCLIN_ADAM, .eps = NAN), "eps is nan"},
    {OPTIONS(.weight_decay = -1), "weight_decay is -1"},
    {OPTIONS(.rule = OCLIN_ADAMW, .weight_decay = INFINITY), "weight_decay is inf"},
    {{.size = 3}, "size"},
};

static void test_options(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused_options); i++) {
        oclin_optimizer *opt = (oclin_optimizer *)&shared;
        assert_refused(context(), OCLIN_E_ARG, refused_options[i].says,
                       oclin_optimizer_create(&opt, context(), &refused_options[i].o));
        assert_null(opt);
    }
    /* the ends of what is legal */
    const struct oclin_optimizer_options legal[] = {OPTIONS(.rule = OCLIN_ADAM, .beta1 = 0, .beta2 = 0),
                                                    OPTIONS(.momentum = 2, .dampening = -1),
                                                    OPTIONS(.beta1 = 7, .eps = 1)};
    for (size_t i = 0; i < COUNT_OF(legal); i++) {
        oclin_optimizer *opt;
        assert_ok(context(), oclin_optimizer_create(&opt, context(), &legal[i]));
        oclin_optimizer_destroy(opt);
    }
}

/* ------------------------------------------------------------------------------------------ textbook */

/* The rules as their papers and PyTorch have them, in double, and apart from the library's reference. */
struct element {
    double w, m, v, most; /* m: SGD's buffer; schedule-free's z */
};
struct textbook {
    struct oclin_optimizer_options o;
    int t;
    double largest, sum;
};

static void sgd(const struct textbook *book, double lr, double g, struct element *e)
{
    const struct oclin_optimizer_options *o = &book->o;
    g += o->weight_decay * e->w;
    if (o->momentum != 0) {
        e->m = book->t == 1 ? g : o->momentum * e->m + (1 - o->dampening) * g;
        g = o->nesterov ? g + o->momentum * e->m : e->m;
    }
    e->w -= lr * g;
}

static void adam(const struct textbook *book, double lr, double g, struct element *e)
{
    const struct oclin_optimizer_options *o = &book->o;
    if (o->rule == OCLIN_ADAMW)
        e->w -= lr * o->weight_decay * e->w;
    else
        g += o->weight_decay * e->w;
    e->m = o->beta1 * e->m + (1 - o->beta1) * g;
    e->v = o->beta2 * e->v + (1 - o->beta2) * g * g;
    e->most = fmax(e->most, e->v);
    const double v = o->amsgrad ? e->most : e->v, root = sqrt(v) / sqrt(1 - pow(o->beta2, book->t));
    e->w -= lr / (1 - pow(o->beta1, book->t)) * e->m / (root + o->eps);
}

static void lion(const struct textbook *book, double lr, double g, struct element *e)
{
    const struct oclin_optimizer_options *o = &book->o;
    const double c = o->beta1 * e->m + (1 - o->beta1) * g;
    e->w -= lr * o->weight_decay * e->w;
    e->w -= lr * (double)((c > 0) - (c < 0));
    e->m = o->beta2 * e->m + (1 - o->beta2) * g;
}

static void schedule_free(const struct textbook *book, double lr, double g, struct element *e)
{
    const struct oclin_optimizer_options *o = &book->o;
    const double y = e->w, z = book->t == 1 ? y : e->m;
    const double c = book->sum > 0 ? book->largest * book->largest / book->sum : 0;
    e->v = o->beta2 * e->v + (1 - o->beta2) * g * g;
    const double d = g / (sqrt(e->v / (1 - pow(o->beta2, book->t))) + o->eps) + o->weight_decay * y;
    e->m = z - lr * d;
    e->w = (1 - c) * y + c * z + lr * (o->beta1 * (1 - c) - 1) * d;
}

static void by_the_book(struct textbook *book, const struct oclin_update *u, const float *g,
                        struct element *e)
{
    static void (*const rules[])(const struct textbook *, double, double,
                                 struct element *) = {[OCLIN_SGD] = sgd,
                                                      [OCLIN_ADAM] = adam,
                                                      [OCLIN_ADAMW] = adam,
                                                      [OCLIN_LION] = lion,
                                                      [OCLIN_SCHEDULE_FREE] = schedule_free};
    book->t++;
    book->largest = fmax(book->largest, u->lr);
    book->sum += book->largest * book->largest;
    for (int i = 0; i < NX; i++) {
        double used = (book->o.maximize ? -1 : 1) * u->grad_scale * (double)g[i];
        if (u->clip_value > 0) used = fmin(fmax(used, -u->clip_value), u->clip_value);
        rules[book->o.rule](book, u->lr, used, &e[i]);
    }
}

static const struct choice books[] = {
    {"sgd, decay", OPTIONS(.weight_decay = 0.25, .maximize = 1)},
    {"momentum", OPTIONS(.momentum = 0.9, .dampening = 0.25)},
    {"nesterov", OPTIONS(.momentum = 0.75, .nesterov = 1, .weight_decay = 0.25, .maximize = 1)},
    {"adam", OPTIONS(.rule = OCLIN_ADAM, .beta1 = 0.8, .beta2 = 0.9, .eps = 0.125, .weight_decay = 0.25)},
    {"adamw", OPTIONS(.rule = OCLIN_ADAMW, .beta1 = 0.4, .beta2 = 0.9, .eps = 1e-3, .weight_decay = 0.25)},
    {"amsgrad",
     OPTIONS(.rule = OCLIN_ADAMW, .beta1 = 0.9, .beta2 = 0.25, .eps = 1e-3, .amsgrad = 1, .maximize = 1)},
    {"lion", OPTIONS(.rule = OCLIN_LION, .beta1 = 0.5, .beta2 = 0.75, .weight_decay = 0.25)},
    {"schedule-free",
     OPTIONS(.rule = OCLIN_SCHEDULE_FREE, .beta1 = 0.9, .beta2 = 0.75, .eps = 1e-3, .weight_decay = 0.25)},
};

static void test_textbook(void **state)
{
    const struct choice *choice = *state;
    oclin_context *ctx = context();
    struct rng rng = {1};
    struct textbook book = {.o = choice->options};
    struct element e[NX] = {{0}};
    float w[NX], g[NX];
    double want[NX], got[NX];
    oclin_optimizer *opt;
    fill_zero_mean(&rng, w, NX);
    oclin_tensor *tw = make_tensor(ctx, OCLIN_F32, BATCH, IN, w),
                 *tg = make_tensor(ctx, OCLIN_F32, BATCH, IN, w);
    assert_ok(ctx, oclin_optimizer_create(&opt, ctx, &choice->options));
    assert_ok(ctx, oclin_optimizer_add_tensor(opt, tw, tg, NULL));
    for (int i = 0; i < NX; i++) e[i].w = (double)w[i];
    for (int step = 0; step < 6; step++) {
        static const double rates[6] = {0.03125, 0.125, 0.0, 0.0625, 0.25, 0.125};
        struct oclin_update u = OCLIN_UPDATE_INIT(rates[step]);
        u.grad_scale = 0.5 + step;
        u.clip_value = step % 2 ? 0.75 : 0;
        fill_zero_mean(&rng, g, NX);
        assert_ok(ctx, oclin_tensor_write(tg, g));
        assert_ok(ctx, oclin_tensor_update(tw, opt, &u));
        by_the_book(&book, &u, g, e);
        assert_ok(ctx, oclin_tensor_read(tw, w));
        for (int i = 0; i < NX; i++) got[i] = (double)w[i], want[i] = e[i].w;
        check_close(choice->name, got, want, NX, 1e-5);
    }
    oclin_optimizer_destroy(opt);
    oclin_tensor_destroy(tw);
    oclin_tensor_destroy(tg);
}

/* -------------------------------------------------------------------------------------------- refusals */

static void test_null(void **state)
{
    (void)state;
    struct unit u = make_unit(ADAM);
    oclin_context *ctx = u.ctx;
    oclin_optimizer *opt;
    struct oclin_steps steps = OCLIN_STEPS_INIT;
    const struct oclin_update up = rate(1);
    oclin_tensor *w = w_of(&u);
    step(&u, 0);
    const struct image before = image_of(&u);
    assert_int_equal(oclin_optimizer_create(&opt, NULL, NULL), OCLIN_E_ARG);
    assert_null(opt);
    assert_refused(ctx, OCLIN_E_ARG, "the address for the optimizer is NULL",
                   oclin_optimizer_create(NULL, ctx, NULL));
    oclin_optimizer_destroy(NULL);
    assert_int_equal(oclin_optimizer_add(NULL, u.l, NULL), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "layer is NULL", oclin_optimizer_add(u.opt, NULL, NULL));
    assert_int_equal(oclin_optimizer_add_tensor(NULL, u.x, u.dx, NULL), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "w is NULL", oclin_optimizer_add_tensor(u.opt, NULL, u.dx, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "gradient is NULL", oclin_optimizer_add_tensor(u.opt, u.x, NULL, NULL));
    assert_null(oclin_optimizer_state(NULL, w, "exp_avg"));
    assert_null(oclin_optimizer_state(u.opt, NULL, "exp_avg"));
    assert_null(oclin_optimizer_state(u.opt, w, NULL));
    assert_int_equal(oclin_optimizer_steps(NULL, w, &steps), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "parameter is NULL", oclin_optimizer_steps(u.opt, NULL, &steps));
    assert_refused(ctx, OCLIN_E_ARG, "steps is NULL", oclin_optimizer_steps(u.opt, w, NULL));
    assert_int_equal(oclin_optimizer_set_steps(NULL, w, &steps), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "parameter is NULL", oclin_optimizer_set_steps(u.opt, NULL, &steps));
    assert_refused(ctx, OCLIN_E_ARG, "steps is NULL", oclin_optimizer_set_steps(u.opt, w, NULL));
    assert_int_equal(oclin_optimizer_eval(NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_optimizer_train(NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_update(NULL, u.opt, &up), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "optimizer is NULL", oclin_layer_update(u.l, NULL, &up));
    assert_refused(ctx, OCLIN_E_ARG, "update is NULL", oclin_layer_update(u.l, u.opt, NULL));
    assert_int_equal(oclin_tensor_update(NULL, u.opt, &up), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "optimizer is NULL", oclin_tensor_update(w, NULL, &up));
    assert_refused(ctx, OCLIN_E_ARG, "update is NULL", oclin_tensor_update(w, u.opt, NULL));
    assert_int_equal(oclin_layer_backward_update(NULL, u.dy, NULL, u.opt, &up), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "optimizer is NULL",
                   oclin_layer_backward_update(u.l, u.dy, NULL, NULL, &up));
    assert_refused(ctx, OCLIN_E_ARG, "update is NULL",
                   oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "dy is NULL", oclin_layer_backward_update(u.l, NULL, NULL, u.opt, &up));
    check_unchanged("after NULL", &u, &before);
    release(&u);
}

/* A state of the right size that is this much too large. */
static oclin_tensor *state_of(oclin_context *ctx, int64_t rows, int64_t cols)
{
    return make_tensor(ctx, OCLIN_F32, rows, cols, NULL);
}

static void refuse_add(oclin_optimizer *opt, oclin_layer *l, struct oclin_parameter_options p,
                       oclin_status status, const char *says)
{
    assert_refused(context(), status, says, oclin_optimizer_add(opt, l, &p));
    assert_null(oclin_optimizer_state(opt, oclin_layer_w(l), "exp_avg"));
    assert_null(oclin_optimizer_state(opt, oclin_layer_b(l), "exp_avg"));
}

static void test_add(void **state)
{
    (void)state;
    oclin_context *ctx = context(), *foreign = make_context("plain");
    oclin_layer *l = make_layer(ctx, NULL), *theirs = make_layer(foreign, NULL);
    oclin_optimizer *opt, *plain;
    assert_ok(ctx, oclin_optimizer_create(&opt, ctx, &choices[ADAM].options));
    assert_ok(ctx, oclin_optimizer_create(&plain, ctx, NULL));
    oclin_tensor *good = state_of(ctx, 2 * OUT, IN), *tall = state_of(ctx, 3 * OUT, IN),
                 *wide = state_of(ctx, 2 * OUT, IN + 1),
                 *ints = make_tensor(ctx, OCLIN_I32, 2 * OUT, IN, NULL), *bias = state_of(ctx, 2, OUT),
                 *other = state_of(foreign, 2 * OUT, IN),
                 *locked = with_flags(ctx, CL_MEM_READ_ONLY, 2 * OUT, IN),
                 *blind = with_flags(ctx, CL_MEM_WRITE_ONLY, 2 * OUT, IN), *inside;
    assert_ok(ctx, oclin_tensor_view(&inside, good, 2, 2, OUT, OUT));
    refuse_add(opt, theirs, rated(1, -1), OCLIN_E_ARG, "the layer belongs to another context");
    refuse_add(opt, l, rated(-1, -1), OCLIN_E_ARG, "lr_factor is -1");
    refuse_add(opt, l, rated(NAN, -1), OCLIN_E_ARG, "lr_factor is nan");
    refuse_add(opt, l, rated(INFINITY, -1), OCLIN_E_ARG, "lr_factor is inf");
    refuse_add(opt, l, rated(1, NAN), OCLIN_E_ARG, "weight_decay is nan");
    refuse_add(opt, l, rated(1, INFINITY), OCLIN_E_ARG, "weight_decay is inf");
    refuse_add(opt, l, PARAMETER(.freeze = (oclin_freeze)3), OCLIN_E_ARG, "freeze 3 is not known");
    refuse_add(opt, l, PARAMETER(.reserved = 1), OCLIN_E_ARG, "reserved is 1");
    refuse_add(opt, l, PARAMETER(.w_state = tall), OCLIN_E_SHAPE, "w_state");
    refuse_add(opt, l, PARAMETER(.w_state = wide), OCLIN_E_SHAPE, "w_state");
    refuse_add(opt, l, PARAMETER(.w_state = good, .b_state = good), OCLIN_E_SHAPE, "b_state");
    refuse_add(opt, l, PARAMETER(.w_state = ints), OCLIN_E_ARG, "w_state");
    refuse_add(opt, l, PARAMETER(.w_state = other), OCLIN_E_ARG, "w_state");
    refuse_add(opt, l, PARAMETER(.w_state = locked), OCLIN_E_ARG, "w_state");
    refuse_add(opt, l, PARAMETER(.w_state = blind), OCLIN_E_ARG, "w_state");
    refuse_add(opt, l, PARAMETER(.w_state = good, .b_state = inside), OCLIN_E_ARG, "share elements");
    refuse_add(opt, l, PARAMETER(.freeze = OCLIN_FREEZE_LAYER, .w_state = good), OCLIN_E_ARG,
               "a parameter that does not learn");
    refuse_add(opt, l, PARAMETER(.freeze = OCLIN_FREEZE_BIAS, .b_state = bias), OCLIN_E_ARG,
               "a parameter that does not learn");
    refuse_add(plain, l, PARAMETER(.w_state = good), OCLIN_E_ARG,
               "w_state is given, but the rule has no state");
    refuse_add(plain, l, PARAMETER(.b_state = bias), OCLIN_E_ARG,
               "b_state is given, but the rule has no state");
    /* what was refused may be added still, but only once */
    struct oclin_parameter_options p = PARAMETER(.w_state = good, .b_state = bias);
    assert_ok(ctx, oclin_optimizer_add(opt, l, &p));
    assert_refused(ctx, OCLIN_E_ARG, "the layer was added before", oclin_optimizer_add(opt, l, NULL));
    oclin_tensor *all[] = {good, tall, wide, ints, bias, other, locked, blind, inside};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_optimizer_destroy(opt);
    oclin_optimizer_destroy(plain);
    oclin_layer_destroy(l);
    oclin_layer_destroy(theirs);
    oclin_context_destroy(foreign);
}

/* States, and w, that share elements with what is there. */
static void test_add_overlaps(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *arena = state_of(ctx, 20, IN), *part[4];
    for (int i = 0; i < 4; i++)
        assert_ok(ctx, oclin_tensor_view_rows(&part[i], arena, 5 * i, i == 1 ? OUT : 4));
    struct oclin_layer_options lo = OCLIN_LAYER_OPTIONS_INIT;
    fill_with(ctx, arena, 1);
    lo.w = part[1];
    oclin_layer *l = make_layer(ctx, &lo), *second = make_layer(ctx, NULL);
    oclin_tensor *on_w, *shifted, *dw = oclin_layer_dw(l), *none;
    assert_ok(ctx, oclin_tensor_view_rows(&on_w, arena, 6, 4));
    assert_ok(ctx, oclin_tensor_view_rows(&shifted, arena, 6, OUT));
    assert_ok(ctx, oclin_tensor_view_rows(&none, arena, 0, 0));
    oclin_optimizer *opt;
    assert_ok(ctx, oclin_optimizer_create(&opt, ctx, &choices[ADAM].options));
    refuse_add(opt, l, PARAMETER(.w_state = on_w), OCLIN_E_ARG, "share elements");
    struct oclin_parameter_options p = PARAMETER(.w_state = part[0]);
    assert_ok(ctx, oclin_optimizer_add(opt, l, &p));
    /* one state for two parameters */
    refuse_add(opt, second, PARAMETER(.w_state = part[0]), OCLIN_E_ARG, "w_state");
    refuse_add(opt, second, PARAMETER(.w_state = on_w), OCLIN_E_ARG, "w_state");
    lo = (struct oclin_layer_options)OCLIN_LAYER_OPTIONS_INIT;
    lo.w = shifted;
    oclin_layer *third = make_layer(ctx, &lo);
    refuse_add(opt, third, rated(1, -1), OCLIN_E_ARG,
               "w shares elements with a parameter that was added before");
    /* tensors */
    assert_refused(ctx, OCLIN_E_ARG, "shares elements with a parameter that was added before",
                   oclin_optimizer_add_tensor(opt, shifted, dw, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "shares elements with a parameter that was added before",
                   oclin_optimizer_add_tensor(opt, part[1], dw, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "share elements",
                   oclin_optimizer_add_tensor(opt, part[2], part[2], NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "gradient", oclin_optimizer_add_tensor(opt, part[2], dw, NULL));
    oclin_tensor *more[] = {on_w, shifted, none, arena, part[0], part[1], part[2], part[3]};
    for (size_t i = 0; i < COUNT_OF(more); i++) oclin_tensor_destroy(more[i]);
    oclin_optimizer_destroy(opt);
    oclin_layer_destroy(third);
    oclin_layer_destroy(second);
    oclin_layer_destroy(l);
}

static void test_add_tensor(void **state)
{
    (void)state;
    oclin_context *ctx = context(), *foreign = make_context("plain");
    const float one[6] = {1, 1, 1, 1, 1, 1}, grad[6] = {1, 2, 3, 4, 5, 6};
    oclin_tensor *w = make_tensor(ctx, OCLIN_F32, 2, 3, one), *g = make_tensor(ctx, OCLIN_F32, 2, 3, grad),
                 *theirs = make_tensor(foreign, OCLIN_F32, 2, 3, one),
                 *ints = make_tensor(ctx, OCLIN_I32, 2, 3, one), *state_w = state_of(ctx, 3, 3),
                 *locked = with_flags(ctx, CL_MEM_READ_ONLY, 2, 3);
    oclin_optimizer *opt, *plain;
    assert_ok(ctx, oclin_optimizer_create(&opt, ctx, &choices[ADAM].options));
    assert_ok(ctx, oclin_optimizer_create(&plain, ctx, NULL));
    const struct oclin_parameter_options frozen = PARAMETER(.freeze = OCLIN_FREEZE_LAYER),
                                         biased = PARAMETER(.b_state = state_w),
                                         short_one = PARAMETER(.w_state = state_w);
    assert_refused(ctx, OCLIN_E_ARG, "is not frozen", oclin_optimizer_add_tensor(opt, w, g, &frozen));
    assert_refused(ctx, OCLIN_E_ARG, "has no bias", oclin_optimizer_add_tensor(opt, w, g, &biased));
    assert_refused(ctx, OCLIN_E_SHAPE, "w_state", oclin_optimizer_add_tensor(opt, w, g, &short_one));
    assert_refused(ctx, OCLIN_E_ARG, "another context", oclin_optimizer_add_tensor(opt, theirs, g, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "another context", oclin_optimizer_add_tensor(opt, w, theirs, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "w is i32", oclin_optimizer_add_tensor(opt, ints, g, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "gradient is i32", oclin_optimizer_add_tensor(opt, w, ints, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "w is written", oclin_optimizer_add_tensor(opt, locked, g, NULL));
    const struct oclin_update up = rate(0.5);
    assert_refused(ctx, OCLIN_E_ARG, "the tensor was not added", oclin_tensor_update(w, opt, &up));
    assert_ok(ctx, oclin_optimizer_add_tensor(plain, w, g, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "added before", oclin_optimizer_add_tensor(plain, w, g, NULL));
    const struct oclin_update half = rate(0.5);
    assert_ok(ctx, oclin_tensor_update(w, plain, &half));
    const double want[6] = {0.5, 0, -0.5, -1, -1.5, -2};
    float got[6];
    assert_ok(ctx, oclin_tensor_read(w, got));
    check_exact("w", 2, 3, 3, got, want);
    assert_ok(ctx, oclin_tensor_read(g, got));
    check_same_bits("the gradient", got, grad, 6);
    /* a layer's w is no tensor that was added */
    oclin_layer *l = make_layer(ctx, NULL);
    assert_ok(ctx, oclin_optimizer_add(opt, l, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "the tensor was not added",
                   oclin_tensor_update(oclin_layer_w(l), opt, &up));
    /* w of a layer that was added as a tensor */
    struct oclin_layer_options lo = OCLIN_LAYER_OPTIONS_INIT;
    lo.w = w;
    oclin_layer *of_w = make_layer(ctx, &lo);
    assert_refused(ctx, OCLIN_E_ARG, "w was added before, as a tensor",
                   oclin_optimizer_add(plain, of_w, NULL));
    oclin_tensor *all[] = {w, g, theirs, ints, state_w, locked};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(l);
    oclin_layer_destroy(of_w);
    oclin_optimizer_destroy(opt);
    oclin_optimizer_destroy(plain);
    oclin_context_destroy(foreign);
}

/* A tensor without rows is added, updated and switched like any other; a gradient that nobody has written is
 * none. */
static void test_tensor_edges(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    const float one[4] = {1, 1, 1, 1};
    oclin_tensor *w = make_tensor(ctx, OCLIN_F32, 2, 2, one), *g = make_tensor(ctx, OCLIN_F32, 2, 2, NULL),
                 *ew, *eg;
    oclin_optimizer *opt;
    struct oclin_steps steps = OCLIN_STEPS_INIT;
    const struct oclin_update up = rate(0.5);
    assert_ok(ctx, oclin_tensor_view_rows(&ew, w, 0, 0));
    assert_ok(ctx, oclin_tensor_view_rows(&eg, g, 0, 0));
    assert_ok(ctx, oclin_optimizer_create(&opt, ctx, &choices[SCHEDULE_FREE].options));
    assert_ok(ctx, oclin_optimizer_add_tensor(opt, w, g, NULL));
    assert_refused(ctx, OCLIN_E_STATE, "gradient", oclin_tensor_update(w, opt, &up));
    assert_ok(ctx, oclin_optimizer_add_tensor(opt, ew, eg, NULL));
    assert_ok(ctx, oclin_tensor_update(ew, opt, &up));
    steps.steps = 3;
    assert_ok(ctx, oclin_optimizer_set_steps(opt, ew, &steps));
    assert_ok(ctx, oclin_optimizer_eval(opt));
    assert_ok(ctx, oclin_optimizer_train(opt));
    check_all("w", ctx, w, 1);
    oclin_optimizer_destroy(opt);
    oclin_tensor *all[] = {w, g, ew, eg};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* Updates that are refused change nothing. */
static void test_update_refused(void **state)
{
    (void)state;
    struct unit u = make_unit(ADAM);
    oclin_context *ctx = u.ctx, *foreign = make_context("plain");
    oclin_optimizer *theirs, *empty;
    const float one[4] = {1, 1, 1, 1};
    oclin_tensor *row = make_tensor(ctx, OCLIN_F32, 1, 2, one),
                 *ints = make_tensor(ctx, OCLIN_I32, 1, 1, one),
                 *real_one = make_tensor(ctx, OCLIN_F32, 1, 1, one),
                 *int_row = make_tensor(ctx, OCLIN_I32, 2, 1, one),
                 *far = make_tensor(foreign, OCLIN_F32, 1, 1, one);
    assert_ok(foreign, oclin_optimizer_create(&theirs, foreign, NULL));
    assert_ok(ctx, oclin_optimizer_create(&empty, ctx, NULL));
    step(&u, 0);
    backward(&u, 1);
    const struct image before = image_of(&u);
    oclin_tensor *w_m = oclin_optimizer_state(u.opt, w_of(&u), "exp_avg"), *in_state, *in_w;
    assert_ok(ctx, oclin_tensor_view(&in_state, w_m, 0, 1, 1, 1));
    assert_ok(ctx, oclin_tensor_view(&in_w, w_of(&u), 1, 1, 1, 1));
    const struct {
        struct oclin_update u;
        oclin_status status;
        const char *says;
    } rows[] = {
        {{sizeof rows[0].u, -1, 1, 0, NULL, NULL}, OCLIN_E_ARG, "lr is -1, a finite number >= 0 is needed"},
        {{sizeof rows[0].u, NAN, 1, 0, NULL, NULL}, OCLIN_E_ARG, "lr is nan"},
        {{sizeof rows[0].u, INFINITY, 1, 0, NULL, NULL}, OCLIN_E_ARG, "lr is inf"},
        {{sizeof rows[0].u, 1, 0, 0, NULL, NULL}, OCLIN_E_ARG, "grad_scale is 0"},
        {{sizeof rows[0].u, 1, NAN, 0, NULL, NULL}, OCLIN_E_ARG, "grad_scale is nan"},
        {{sizeof rows[0].u, 1, -INFINITY, 0, NULL, NULL}, OCLIN_E_ARG, "grad_scale is -inf"},
        {{sizeof rows[0].u, 1, 1, -1, NULL, NULL}, OCLIN_E_ARG, "clip_value is -1"},
        {{sizeof rows[0].u, 1, 1, NAN, NULL, NULL}, OCLIN_E_ARG, "clip_value is nan"},
        {{sizeof rows[0].u, 1, 1, 0, row, NULL}, OCLIN_E_ARG, "factor"},
        {{sizeof rows[0].u, 1, 1, 0, ints, NULL}, OCLIN_E_ARG, "factor"},
        {{sizeof rows[0].u, 1, 1, 0, far, NULL}, OCLIN_E_ARG, "factor"},
        {{sizeof rows[0].u, 1, 1, 0, NULL, int_row}, OCLIN_E_ARG, "skip"},
        {{sizeof rows[0].u, 1, 1, 0, NULL, real_one}, OCLIN_E_ARG, "skip"},
        {{sizeof rows[0].u, 1, 1, 0, in_state, NULL}, OCLIN_E_ARG, "share elements"},
        {{sizeof rows[0].u, 1, 1, 0, in_w, NULL}, OCLIN_E_ARG, "share elements"},
        {{5, 1, 1, 0, NULL, NULL}, OCLIN_E_ARG, "size"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        /* a wrong shape or dtype is OCLIN_E_SHAPE everywhere in the library */
        const oclin_status by_separate = oclin_layer_update(u.l, u.opt, &rows[i].u);
        assert_true(by_separate == rows[i].status || by_separate == OCLIN_E_SHAPE);
        assert_refused(ctx, by_separate, rows[i].says, oclin_layer_update(u.l, u.opt, &rows[i].u));
        assert_refused(ctx, by_separate, rows[i].says,
                       oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, &rows[i].u));
    }
    const struct oclin_update up = rate(1);
    assert_refused(ctx, OCLIN_E_ARG, "the optimizer belongs to another context",
                   oclin_layer_update(u.l, theirs, &up));
    assert_refused(ctx, OCLIN_E_ARG, "the optimizer belongs to another context",
                   oclin_tensor_update(w_of(&u), theirs, &up));
    assert_refused(ctx, OCLIN_E_ARG, "the layer was not added", oclin_layer_update(u.l, empty, &up));
    assert_refused(ctx, OCLIN_E_ARG, "the layer was not added",
                   oclin_layer_backward_update(u.l, u.dy, NULL, empty, &up));
    check_unchanged("after refusals", &u, &before);
    /* the gradients are those of one batch still */
    assert_ok(ctx, oclin_layer_update(u.l, u.opt, &up));
    struct unit v = make_unit(ADAM);
    step(&v, 0);
    step_by(&v, 1, &up);
    check_equal("after refusals", &u, &v);
    oclin_tensor *all[] = {row, ints, real_one, int_row, far, in_state, in_w};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_optimizer_destroy(theirs);
    oclin_optimizer_destroy(empty);
    release(&u);
    release(&v);
    oclin_context_destroy(foreign);
}

static void test_without_gradient(void **state)
{
    (void)state;
    struct unit u = make_unit(ADAM);
    const struct oclin_update up = rate(1);
    assert_refused(u.ctx, OCLIN_E_STATE, "before any gradient was computed",
                   oclin_layer_update(u.l, u.opt, &up));
    assert_refused(u.ctx, OCLIN_E_STATE, "backward before forward",
                   oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, &up));
    assert_int_equal(count_of(&u, w_of(&u)), 0);
    release(&u);
}

/* What is refused before anything runs, although gradients of micro-batches wait. */
static void test_refused_with_stored(void **state)
{
    const int *stored = *state;
    struct unit u = make_unit(ADAM);
    oclin_context *ctx = u.ctx;
    oclin_tensor *arena = state_of(ctx, 4 * BATCH, IN), *w_state, *dx;
    oclin_optimizer_destroy(u.opt);
    assert_ok(ctx, oclin_optimizer_create(&u.opt, ctx, &u.options));
    assert_ok(ctx, oclin_tensor_view_rows(&w_state, arena, 1, 2 * OUT));
    assert_ok(ctx, oclin_tensor_view_rows(&dx, arena, 2, BATCH));
    struct oclin_parameter_options p = PARAMETER(.w_state = w_state);
    assert_ok(ctx, oclin_optimizer_add(u.opt, u.l, &p));
    step(&u, 0);
    assert_ok(ctx, oclin_layer_zero_grad(u.l));
    if (*stored) backward(&u, 1);
    forward(&u, 2);
    const struct image before = image_of(&u);
    float dw[NW], now[NW];
    assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(u.l), dw));
    const struct oclin_update up = rate(1);
    /* dx lies over the state */
    assert_refused(ctx, OCLIN_E_ARG, "share elements",
                   oclin_layer_backward_update(u.l, u.dy, dx, u.opt, &up));
    /* dy lies over w */
    oclin_tensor *dy;
    assert_ok(ctx, oclin_tensor_view(&dy, w_of(&u), 0, 1, OUT, OUT));
    const struct oclin_update bad_factor = {sizeof bad_factor, 1, 1, 0, dx, NULL};
    assert_int_not_equal(oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, &bad_factor), OCLIN_OK);
    check_unchanged("a refused backward_update", &u, &before);
    assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(u.l), now));
    check_same_bits("dw", now, dw, NW);
    oclin_tensor *all[] = {arena, w_state, dx, dy};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    release(&u);
}

/* w that may not be written: nothing is added to the gradients either. */
static void test_locked_w(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    struct oclin_layer_options lo = OCLIN_LAYER_OPTIONS_INIT;
    lo.w = with_flags(ctx, CL_MEM_READ_ONLY, OUT, IN);
    struct unit u = make_unit(SGD);
    oclin_layer_destroy(u.l);
    u.l = make_layer(ctx, &lo);
    const oclin_status added = oclin_optimizer_add(u.opt, u.l, NULL);
    if (added == OCLIN_OK) { /* it may be refused when it is added, or when it is updated */
        const struct oclin_update up = rate(1);
        float dw[NW], now[NW];
        backward(&u, 0);
        assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(u.l), dw));
        forward(&u, 1);
        assert_refused(ctx, OCLIN_E_ARG, "w is written", oclin_layer_update(u.l, u.opt, &up));
        assert_refused(ctx, OCLIN_E_ARG, "w is written",
                       oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, &up));
        assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(u.l), now));
        check_same_bits("dw", now, dw, NW);
    }
    oclin_tensor_destroy(lo.w);
    release(&u);
}

/* ------------------------------------------------------------------------------------ frozen, decay, rate */

static void test_frozen_layer(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    struct oclin_layer_options lo = OCLIN_LAYER_OPTIONS_INIT;
    struct unit u = make_unit(ADAM);
    lo.w = with_flags(ctx, CL_MEM_READ_ONLY, OUT, IN);
    const float w[NW] = {1, 2, 3, 4, 5, 6};
    oclin_layer_destroy(u.l);
    u.l = make_layer(ctx, &lo);
    const struct oclin_parameter_options frozen = PARAMETER(.freeze = OCLIN_FREEZE_LAYER);
    assert_ok(ctx, oclin_optimizer_add(u.opt, u.l, &frozen));
    assert_refused(ctx, OCLIN_E_ARG, "the layer was added before", oclin_optimizer_add(u.opt, u.l, &frozen));
    assert_null(oclin_optimizer_state(u.opt, lo.w, "exp_avg"));
    float b[OUT], b_now[OUT], got[NW];
    assert_ok(ctx, oclin_tensor_read(b_of(&u), b));
    const struct oclin_update up = rate(1);
    assert_refused(ctx, OCLIN_E_STATE, "backward before forward",
                   oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
    assert_refused(ctx, OCLIN_E_STATE, "backward before forward",
                   oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, &up));
    forward(&u, 0);
    assert_refused(ctx, OCLIN_E_ARG, "dy is NULL", oclin_layer_backward_update(u.l, NULL, NULL, u.opt, &up));
    assert_ok(ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
    assert_ok(ctx, oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, &up));
    assert_ok(ctx, oclin_layer_update(u.l, u.opt, &up));
    assert_null(u.l->dw);
    assert_null(u.l->db);
    oclin_tensor *dx = make_tensor(ctx, OCLIN_F32, BATCH, IN, NULL);
    assert_ok(ctx, oclin_layer_backward_x(u.l, u.dy, dx));
    check_tensors_equal("dx", ctx, u.dx, dx);
    /* added to what dx holds */
    const struct oclin_call_options adds = {.size = sizeof adds, .accumulate = 1};
    fill_with(ctx, dx, 1);
    fill_with(ctx, u.dx, 1);
    assert_ok(ctx, oclin_layer_backward_update_with(u.l, u.dy, u.dx, u.opt, &up, &adds));
    assert_ok(ctx, oclin_layer_backward_x_with(u.l, u.dy, dx, &adds));
    check_tensors_equal("dx", ctx, u.dx, dx);
    assert_ok(ctx, oclin_tensor_read(lo.w, got));
    check_same_bits("w", got, w, NW);
    assert_ok(ctx, oclin_tensor_read(b_of(&u), b_now));
    check_same_bits("b", b_now, b, OUT);
    oclin_tensor_destroy(dx);
    oclin_tensor_destroy(lo.w);
    release(&u);
}

static void test_frozen_bias(void **state)
{
    const int *fused = *state;
    const struct oclin_parameter_options frozen = PARAMETER(.freeze = OCLIN_FREEZE_BIAS);
    struct unit u = make_unit_in(context(), &choices[ADAM].options, &frozen), v = make_unit(ADAM);
    const struct oclin_update up = rate(0.25);
    float b[OUT], now[OUT];
    assert_null(oclin_optimizer_state(u.opt, b_of(&u), "exp_avg"));
    assert_ok(u.ctx, oclin_tensor_read(b_of(&u), b));
    for (int i = 0; i < 3; i++) {
        step_by(&v, (uint64_t)i, &up);
        if (!*fused) step_by(&u, (uint64_t)i, &up);
        if (!*fused) continue;
        forward(&u, (uint64_t)i);
        assert_ok(u.ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
    }
    check_tensors_equal("w", u.ctx, w_of(&u), w_of(&v));
    assert_ok(u.ctx, oclin_tensor_read(b_of(&u), now));
    check_same_bits("b", now, b, OUT);
    struct oclin_steps steps = OCLIN_STEPS_INIT;
    assert_refused(u.ctx, OCLIN_E_ARG, "the parameter was not added",
                   oclin_optimizer_steps(u.opt, b_of(&u), &steps));
    release(&u);
    release(&v);
}

/* b of a layer whose biases do not decay is that of one without decay; its own decay does not change that. */
static void test_decay(void **state)
{
    const int *rule = *state;
    struct oclin_optimizer_options with = choices[*rule].options, without;
    with.weight_decay = 0.25;
    with.decay_bias = 1;
    without = with;
    without.weight_decay = 0;
    struct oclin_optimizer_options w_only = with;
    w_only.decay_bias = 0;
    const struct oclin_parameter_options own = rated(1, 0.25), none = rated(1, 0);
    struct unit all = make_unit_in(context(), &with, NULL), no = make_unit_in(context(), &without, NULL),
                half = make_unit_in(context(), &w_only, NULL),
                given = make_unit_in(context(), &without, &own),
                given_none = make_unit_in(context(), &with, &none);
    struct unit *const units[] = {&all, &no, &half, &given, &given_none};
    fill_with(context(), b_of(&all), 0.5);
    for (size_t i = 0; i < COUNT_OF(units); i++) {
        fill_with(context(), b_of(units[i]), 0.5);
        for (uint64_t k = 0; k < 3; k++) step(units[i], k);
    }
    check_tensors_equal("w decays alone", context(), w_of(&half), w_of(&all));
    check_tensors_equal("b without decay", context(), b_of(&half), b_of(&no));
    check_equal("a layer's own decay", &given, &all);
    check_equal("a layer's own decay of 0", &given_none, &no);
    float with_decay[OUT], without_decay[OUT];
    assert_ok(context(), oclin_tensor_read(b_of(&all), with_decay));
    assert_ok(context(), oclin_tensor_read(b_of(&no), without_decay));
    assert_memory_not_equal(with_decay, without_decay, sizeof with_decay);
    for (size_t i = 0; i < COUNT_OF(units); i++) release(units[i]);
}

static void test_lr_factor(void **state)
{
    const int *rule = *state;
    const struct oclin_parameter_options half = rated(0.5, -1);
    struct unit u = make_unit_in(context(), &choices[*rule].options, &half), v = make_unit(*rule);
    const struct oclin_update fast = rate(0.25), slow = rate(0.125);
    for (uint64_t i = 0; i < 3; i++) {
        step_by(&u, i, &fast);
        step_by(&v, i, &slow);
    }
    check_equal("half the rate", &u, &v);
    release(&u);
    release(&v);
}

/* ------------------------------------------------------------------------------------------ state, counts */

/* Two layers' states in one arena: what was never written begins as zeros, although its neighbours were. */
static void test_arena(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    enum { W_ROWS = 2 * OUT };
    oclin_tensor *arena = state_of(ctx, 2 * W_ROWS, IN), *ws[2], *bs[2], *b_arena = state_of(ctx, 4, OUT + 3);
    struct unit u[2];
    struct unit plain = make_unit(ADAM);
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, oclin_tensor_view_rows(&ws[i], arena, i * W_ROWS, W_ROWS));
        assert_ok(ctx, oclin_tensor_view(&bs[i], b_arena, 1 + i * 2 * (OUT + 3), 2, OUT, OUT + 3));
        const struct oclin_parameter_options p = PARAMETER(.w_state = ws[i], .b_state = bs[i]);
        u[i] = make_unit_in(ctx, &choices[ADAM].options, &p);
        check_all("state", ctx, ws[i], 0);
        for (uint64_t k = 0; k < 3; k++) step(&u[i], k);
    }
    for (uint64_t k = 0; k < 3; k++) step(&plain, k);
    check_equal("in an arena", &u[0], &plain);
    check_equal("in an arena", &u[1], &plain);
    /* by name: views of what was handed in, in this order */
    float m[NW], v[NW], both[2 * NW];
    assert_ok(ctx, oclin_tensor_read(oclin_optimizer_state(u[0].opt, w_of(&u[0]), "exp_avg"), m));
    assert_ok(ctx, oclin_tensor_read(oclin_optimizer_state(u[0].opt, w_of(&u[0]), "exp_avg_sq"), v));
    assert_ok(ctx, oclin_tensor_read(ws[0], both));
    check_same_bits("exp_avg", m, both, NW);
    check_same_bits("exp_avg_sq", v, both + NW, NW);
    for (int i = 0; i < 2; i++) {
        oclin_tensor_destroy(ws[i]);
        oclin_tensor_destroy(bs[i]);
        release(&u[i]);
    }
    oclin_tensor_destroy(arena);
    oclin_tensor_destroy(b_arena);
    release(&plain);
}

/* A state that was written is taken as it is. */
static void test_written_state(void **state)
{
    (void)state;
    float ones[2 * NW];
    for (int i = 0; i < 2 * NW; i++) ones[i] = 1;
    oclin_tensor *s = make_tensor(context(), OCLIN_F32, 2 * OUT, IN, ones);
    const struct oclin_parameter_options p = PARAMETER(.w_state = s);
    struct unit u = make_unit_in(context(), &choices[ADAM].options, &p), v = make_unit(ADAM);
    fill_with(v.ctx, oclin_optimizer_state(v.opt, w_of(&v), "exp_avg"), 1);
    fill_with(v.ctx, oclin_optimizer_state(v.opt, w_of(&v), "exp_avg_sq"), 1);
    check_all("exp_avg", u.ctx, oclin_optimizer_state(u.opt, w_of(&u), "exp_avg"), 1);
    step(&u, 0);
    step(&v, 0);
    check_equal("a state that was written", &u, &v);
    oclin_tensor_destroy(s);
    step(&u, 1); /* it was retained */
    step(&v, 1);
    check_equal("a state that was retained", &u, &v);
    release(&u);
    release(&v);
}

static void test_names(void **state)
{
    static const char *const names[CHOICES][4] = {{NULL},
                                                  {"momentum_buffer"},
                                                  {"exp_avg", "exp_avg_sq"},
                                                  {"exp_avg", "exp_avg_sq", "max_exp_avg_sq"},
                                                  {"exp_avg"},
                                                  {"z", "exp_avg_sq"}};
    static const char *const all[] = {"momentum_buffer", "exp_avg", "exp_avg_sq", "max_exp_avg_sq", "z", ""};
    (void)state;
    for (int i = 0; i < CHOICES; i++) {
        struct unit u = make_unit(i);
        for (size_t k = 0; k < COUNT_OF(all); k++) {
            int has = 0;
            for (int n = 0; names[i][n]; n++) has |= strcmp(names[i][n], all[k]) == 0;
            oclin_tensor *w = oclin_optimizer_state(u.opt, w_of(&u), all[k]),
                         *b = oclin_optimizer_state(u.opt, b_of(&u), all[k]);
            assert_true(!w == !has && !b == !has);
            assert_null(oclin_optimizer_state(u.opt, u.x, all[k]));
            if (!has) continue;
            assert_int_equal(oclin_tensor_rows(w), OUT);
            assert_int_equal(oclin_tensor_cols(w), IN);
            assert_int_equal(oclin_tensor_rows(b), 1);
            assert_int_equal(oclin_tensor_cols(b), OUT);
            check_all("a new state", u.ctx, w, 0);
            check_all("a new state", u.ctx, b, 0);
        }
        release(&u);
    }
}

static void test_steps(void **state)
{
    (void)state;
    struct unit u = make_unit(ADAM);
    oclin_context *ctx = u.ctx;
    struct oclin_steps s = OCLIN_STEPS_INIT;
    const struct {
        struct oclin_steps s;
        const char *says;
    } bad[] = {{{sizeof s, -1, 0, 0}, "steps is -1"},
               {{sizeof s, 1, -1, 0}, "largest_lr is -1"},
               {{sizeof s, 1, NAN, 0}, "largest_lr is nan"},
               {{sizeof s, 1, 0, INFINITY}, "weight_sum is inf"},
               {{3, 1, 0, 0}, "size"}};
    step(&u, 0);
    const struct image before = image_of(&u);
    for (size_t i = 0; i < COUNT_OF(bad); i++)
        assert_refused(ctx, OCLIN_E_ARG, bad[i].says, oclin_optimizer_set_steps(u.opt, w_of(&u), &bad[i].s));
    assert_refused(ctx, OCLIN_E_ARG, "the parameter was not added",
                   oclin_optimizer_set_steps(u.opt, u.x, &s));
    assert_refused(ctx, OCLIN_E_ARG, "the parameter was not added", oclin_optimizer_steps(u.opt, u.x, &s));
    s.size = 3;
    assert_refused(ctx, OCLIN_E_ARG, "size", oclin_optimizer_steps(u.opt, w_of(&u), &s));
    check_unchanged("steps", &u, &before);
    s = (struct oclin_steps){sizeof s, 41, 0.5, 2.25};
    assert_ok(ctx, oclin_optimizer_set_steps(u.opt, w_of(&u), &s));
    const struct oclin_steps got = steps_of(&u, w_of(&u));
    assert_memory_equal(&got, &s, sizeof s);
    assert_int_equal(count_of(&u, b_of(&u)), 1);
    step(&u, 1);
    assert_int_equal(count_of(&u, w_of(&u)), 42);
    assert_int_equal(count_of(&u, b_of(&u)), 2);
    /* the largest number is no trap */
    s.steps = INT64_MAX;
    assert_ok(ctx, oclin_optimizer_set_steps(u.opt, w_of(&u), &s));
    step(&u, 2);
    assert_true(count_of(&u, w_of(&u)) == INT64_MAX);
    release(&u);
}

/* Three steps, saved and loaded into a new optimizer, and three more: as six. With `skip` the counts live on
 * the device. */
struct resumed {
    int choice, skips;
};

static void six(const struct unit *u, oclin_tensor *skip, int from, int to)
{
    static const double rates[6] = {0.25, 0.125, 0.0, 0.5, 0.0625, 0.25};
    for (int i = from; i < to; i++) {
        struct oclin_update up = rate(rates[i]);
        up.skip = skip;
        if (skip) fill_with(u->ctx, skip, i == 1 || i == 4);
        step_by(u, (uint64_t)i, &up);
    }
}

static void copy_over(oclin_context *ctx, oclin_tensor *to, oclin_tensor *from)
{
    float values[NW];
    assert_ok(ctx, oclin_tensor_read(from, values));
    assert_ok(ctx, oclin_tensor_write(to, values));
}

static void load(const struct unit *to, const struct unit *from)
{
    oclin_tensor *const a[] = {w_of(to), b_of(to)}, *const b[] = {w_of(from), b_of(from)};
    for (int i = 0; i < 2; i++) {
        const struct oclin_steps steps = steps_of(from, b[i]);
        copy_over(to->ctx, a[i], b[i]);
        for (int k = 0; oclin_rule_state(&to->options, k); k++) {
            const char *name = oclin_rule_state(&to->options, k);
            copy_over(to->ctx, oclin_optimizer_state(to->opt, a[i], name),
                      oclin_optimizer_state(from->opt, b[i], name));
        }
        assert_ok(to->ctx, oclin_optimizer_set_steps(to->opt, a[i], &steps));
    }
}

static void test_resume(void **state)
{
    const struct resumed *r = *state;
    oclin_tensor *skip = r->skips ? make_tensor(context(), OCLIN_I32, 1, 1, NULL) : NULL;
    struct unit through = make_unit(r->choice), first = make_unit(r->choice), second = make_unit(r->choice);
    fill_with(context(), w_of(&second), 9);
    six(&through, skip, 0, 6);
    six(&first, skip, 0, 3);
    load(&second, &first);
    check_equal("loaded", &second, &first);
    release(&first);
    six(&second, skip, 3, 6);
    check_equal("resumed", &second, &through);
    assert_int_equal(count_of(&second, w_of(&second)), r->skips ? 4 : 6);
    oclin_tensor_destroy(skip);
    release(&second);
    release(&through);
}

/* ------------------------------------------------------------------------------------------------- ties */

static void test_tied(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    struct unit a = make_unit(ADAM), b = a, lone = make_unit(ADAM);
    struct oclin_layer_options lo = OCLIN_LAYER_OPTIONS_INIT;
    lo.w = oclin_tensor_retain(w_of(&a));
    oclin_tensor *dw_of_both = lo.dw = make_tensor(ctx, OCLIN_F32, OUT, IN, NULL);
    oclin_layer_destroy(a.l);
    oclin_optimizer_destroy(a.opt);
    assert_ok(ctx, oclin_optimizer_create(&a.opt, ctx, &a.options));
    a.l = make_layer(ctx, &lo);
    b.opt = a.opt;
    b.l = make_layer(ctx, &lo);
    fill_with(ctx, b_of(&b), 0.5);
    lo.dw = NULL;
    oclin_layer *apart = make_layer(ctx, &lo);
    assert_ok(ctx, oclin_optimizer_add(a.opt, a.l, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "do not share dw", oclin_optimizer_add(a.opt, apart, NULL));
    oclin_tensor *extra = state_of(ctx, 2 * OUT, IN);
    refuse_add(lone.opt, apart, PARAMETER(.freeze = OCLIN_FREEZE_LAYER, .w_state = extra), OCLIN_E_ARG, "");
    const struct oclin_parameter_options own[] = {PARAMETER(.w_state = extra), rated(0.5, -1), rated(1, 0)};
    for (size_t i = 0; i < COUNT_OF(own); i++)
        assert_refused(ctx, OCLIN_E_ARG, "are that layer's", oclin_optimizer_add(a.opt, b.l, &own[i]));
    assert_ok(ctx, oclin_optimizer_add(a.opt, b.l, NULL));
    const struct oclin_update up = rate(0.25);
    forward(&a, 0);
    assert_refused(ctx, OCLIN_E_ARG, "w is tied", oclin_layer_backward_update(a.l, a.dy, NULL, a.opt, &up));
    forward(&b, 0);
    assert_refused(ctx, OCLIN_E_ARG, "w is tied", oclin_layer_backward_update(b.l, b.dy, NULL, b.opt, &up));
    /* both gradients in one dw; the follower changes its b alone, whatever comes first */
    float w[NW], now[NW], dw[NW], b_before[OUT], b_after[OUT];
    backward(&a, 1);
    forward(&b, 2);
    assert_ok(ctx, oclin_layer_backward(b.l, b.dy, NULL));
    assert_ok(ctx, oclin_tensor_read(w_of(&a), w));
    assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(a.l), dw));
    assert_ok(ctx, oclin_tensor_read(b_of(&b), b_before));
    assert_ok(ctx, oclin_layer_update(b.l, b.opt, &up));
    assert_ok(ctx, oclin_tensor_read(w_of(&a), now));
    check_same_bits("w after the follower's update", now, w, NW);
    assert_ok(ctx, oclin_tensor_read(b_of(&b), b_after));
    assert_memory_not_equal(b_after, b_before, sizeof b_after);
    assert_int_equal(count_of(&b, w_of(&b)), 0);
    assert_ok(ctx, oclin_layer_update(a.l, a.opt, &up));
    assert_int_equal(count_of(&a, w_of(&a)), 1);
    assert_int_equal(count_of(&a, b_of(&a)), 1);
    assert_int_equal(count_of(&b, b_of(&b)), 1);
    /* w is what the sum of both gradients makes of it */
    assert_ok(ctx, oclin_tensor_write(w_of(&lone), w));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_dw(lone.l), dw));
    assert_ok(ctx, oclin_layer_update(lone.l, lone.opt, &up));
    check_tensors_equal("w", ctx, w_of(&a), w_of(&lone));
    oclin_layer_destroy(b.l);
    oclin_layer_destroy(apart);
    oclin_tensor *all[] = {extra, lo.w, dw_of_both};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    release(&a);
    release(&lone);
}

/* --------------------------------------------------------------------------------------- micro-batches */

static void test_micro_batches(void **state)
{
    const int *choice = *state;
    struct unit u = make_unit(*choice), v = make_unit(*choice);
    const struct oclin_update up = rate(0.125);
    float dx_want[NX], dx_got[NX];
    for (uint64_t round = 0; round < 3; round++) {
        backward(&u, 10 * round); /* the last of three goes through backward_update */
        backward(&v, 10 * round);
        for (uint64_t i = 1; i < 3; i++) {
            forward(&u, 10 * round + i);
            forward(&v, 10 * round + i);
            assert_ok(v.ctx, oclin_layer_backward(v.l, v.dy, v.dx));
            if (i == 1) assert_ok(u.ctx, oclin_layer_backward(u.l, u.dy, u.dx));
        }
        assert_ok(u.ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
        assert_ok(v.ctx, oclin_layer_update(v.l, v.opt, &up));
        check_equal("micro-batches", &u, &v);
        assert_ok(u.ctx, oclin_tensor_read(u.dx, dx_got));
        assert_ok(v.ctx, oclin_tensor_read(v.dx, dx_want));
        check_same_bits("dx", dx_got, dx_want, NX);
        check_all("dw", u.ctx, oclin_layer_dw(u.l), 0);
        check_all("db", u.ctx, oclin_layer_db(u.l), 0);
        assert_true(u.l->dw->cleared && u.l->db->cleared);
        assert_false(v.l->dw->cleared || v.l->db->cleared); /* update leaves the gradients */
        assert_int_equal(count_of(&u, w_of(&u)), round + 1);
    }
    release(&u);
    release(&v);
}

/* A cleared gradient moves nothing and counts nothing, parameter by parameter. */
static void test_cleared(void **state)
{
    (void)state;
    struct unit u = make_unit(ADAM);
    const struct oclin_update up = rate(0.5);
    step(&u, 0);
    assert_ok(u.ctx, oclin_layer_zero_grad(u.l));
    const struct image before = image_of(&u);
    assert_ok(u.ctx, oclin_layer_update(u.l, u.opt, &up));
    check_unchanged("cleared gradients", &u, &before);
    float db[OUT] = {1, 2}, b[OUT];
    assert_ok(u.ctx, oclin_tensor_read(b_of(&u), b));
    assert_ok(u.ctx, oclin_tensor_write(oclin_layer_db(u.l), db));
    assert_ok(u.ctx, oclin_layer_update(u.l, u.opt, &up));
    float b_now[OUT];
    assert_ok(u.ctx, oclin_tensor_read(b_of(&u), b_now));
    assert_memory_not_equal(b_now, b, sizeof b);
    const struct image now = image_of(&u);
    check_same_bits("w", now.values, before.values, 3 * NW);
    assert_int_equal(now.w.steps, 1);
    assert_int_equal(now.b.steps, 2);
    /* zeros that were written are a gradient like any other */
    fill_with(u.ctx, oclin_layer_dw(u.l), 0);
    assert_ok(u.ctx, oclin_layer_update(u.l, u.opt, &up));
    assert_int_equal(count_of(&u, w_of(&u)), 2);
    assert_int_equal(count_of(&u, b_of(&u)), 3);
    release(&u);
}

static void test_empty_batch(void **state)
{
    const int *stored = *state;
    struct unit u = make_unit(ADAM), v = make_unit(ADAM);
    const struct oclin_update up = rate(0.5);
    oclin_tensor *x, *y;
    step(&u, 0);
    step(&v, 0);
    assert_ok(u.ctx, oclin_layer_zero_grad(u.l));
    if (*stored) {
        backward(&u, 1);
        step_by(&v, 1, &up);
    }
    assert_ok(u.ctx, oclin_tensor_view_rows(&x, u.x, 0, 0));
    assert_ok(u.ctx, oclin_tensor_view_rows(&y, u.y, 0, 0));
    assert_ok(u.ctx, oclin_layer_forward(u.l, x, y));
    assert_ok(u.ctx, oclin_layer_backward_update(u.l, y, x, u.opt, &up));
    check_equal("no samples", &u, &v);
    check_all("dw", u.ctx, oclin_layer_dw(u.l), 0);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    release(&u);
    release(&v);
}

/* ---------------------------------------------------------------------------------- scalars on the device */

/* A skipped step leaves every bit, and the counts; fused, too. What follows is as if it had not been. */
static void test_skip(void **state)
{
    const int *choice = *state;
    struct unit u = make_unit(*choice), v = make_unit(*choice);
    oclin_tensor *skip = make_tensor(u.ctx, OCLIN_I32, 1, 1, NULL);
    struct oclin_update up = rate(0.25);
    up.skip = skip;
    for (uint64_t i = 0; i < 4; i++) {
        const int skips = i % 2 == 0;
        const struct image before = image_of(&u);
        fill_with(u.ctx, skip, skips ? 3 : 0);
        forward(&u, i);
        if (skips) fill_with(u.ctx, u.dy, NAN);
        if (i < 2)
            assert_ok(u.ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
        else {
            assert_ok(u.ctx, oclin_layer_zero_grad(u.l));
            assert_ok(u.ctx, oclin_layer_backward(u.l, u.dy, NULL));
            assert_ok(u.ctx, oclin_layer_update(u.l, u.opt, &up));
            assert_ok(u.ctx, oclin_layer_zero_grad(u.l));
        }
        if (skips)
            check_unchanged("a step that is skipped", &u, &before);
        else
            step_by(&v, i, &up);
    }
    check_equal("what was not skipped", &u, &v);
    assert_int_equal(count_of(&u, w_of(&u)), 2);
    oclin_tensor_destroy(skip);
    release(&u);
    release(&v);
}

/* The counts are on the device: nobody asks for them in between, and the host goes on from them. */
static void test_counts_on_device(void **state)
{
    const int *choice = *state;
    struct unit u = make_unit(*choice), v = make_unit(*choice);
    oclin_tensor *skip = make_tensor(u.ctx, OCLIN_I32, 1, 1, NULL);
    struct oclin_update with = rate(0.25), without = rate(0.25);
    with.skip = skip;
    step_by(&u, 0, &without); /* known by the host */
    for (uint64_t i = 1; i < 6; i++) {
        fill_with(u.ctx, skip, i == 2);
        step_by(&u, i, i == 4 ? &without : &with);
    }
    step_by(&v, 0, &without);
    for (uint64_t i = 1; i < 6; i++) {
        if (i == 2) continue;
        fill_with(u.ctx, skip, 0);
        step_by(&v, i, &with);
    }
    check_equal("counts on the device", &u, &v);
    assert_int_equal(count_of(&u, w_of(&u)), 5);
    assert_int_equal(count_of(&u, b_of(&u)), 5);
    oclin_tensor_destroy(skip);
    release(&u);
    release(&v);
}

/* The factor multiplies the gradient, and one that is NaN spoils all that it reaches. */
static void test_factor(void **state)
{
    const int *choice = *state;
    struct unit u = make_unit(*choice), v = make_unit(*choice);
    oclin_tensor *factor = make_tensor(u.ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_update with = rate(0.5), plain = rate(0.5);
    with.factor = plain.factor = factor;
    with.grad_scale = 8;
    plain.grad_scale = 0.5;
    fill_with(u.ctx, factor, 0.0625);
    step_by(&u, 0, &with);
    fill_with(u.ctx, factor, 1);
    step_by(&v, 0, &plain);
    check_equal("factor times grad_scale", &u, &v);
    fill_with(u.ctx, factor, NAN);
    step_by(&u, 1, &with);
    float w[NW], b[OUT];
    assert_ok(u.ctx, oclin_tensor_read(w_of(&u), w));
    assert_ok(u.ctx, oclin_tensor_read(b_of(&u), b));
    /* the sign of NaN is 0: with Lion it is the state that stays NaN */
    if (*choice == LION) {
        assert_ok(u.ctx, oclin_tensor_read(oclin_optimizer_state(u.opt, w_of(&u), "exp_avg"), w));
        assert_ok(u.ctx, oclin_tensor_read(oclin_optimizer_state(u.opt, b_of(&u), "exp_avg"), b));
    }
    for (int i = 0; i < NW; i++) assert_true(isnan(w[i]));
    for (int i = 0; i < OUT; i++) assert_true(isnan(b[i]));
    oclin_tensor_destroy(factor);
    release(&u);
    release(&v);
}

/* In one kernel w and b have numbers of their own, from the host and from the device. */
static void test_fused_numbers(void **state)
{
    const int *on_device = *state;
    struct oclin_optimizer_options o = choices[AMSGRAD].options;
    o.decay_bias = 0;
    struct unit u = make_unit_in(context(), &o, NULL), v = make_unit_in(context(), &o, NULL);
    oclin_tensor *factor = make_tensor(u.ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_update up = rate(0.25);
    struct oclin_steps ahead = {sizeof ahead, 3, 0, 0}; /* b's count is another one, too */
    if (*on_device) up.factor = factor;
    fill_with(u.ctx, factor, 0.5);
    fill_with(u.ctx, b_of(&u), 0.5);
    fill_with(v.ctx, b_of(&v), 0.5);
    assert_ok(u.ctx, oclin_optimizer_set_steps(u.opt, b_of(&u), &ahead));
    assert_ok(v.ctx, oclin_optimizer_set_steps(v.opt, b_of(&v), &ahead));
    for (uint64_t i = 0; i < 3; i++) {
        forward(&u, i);
        assert_ok(u.ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
        step_by(&v, i, &up);
    }
    check_equal("fused", &u, &v);
    assert_int_equal(count_of(&u, b_of(&u)), 6);
    oclin_tensor_destroy(factor);
    release(&u);
    release(&v);
}

static void test_clip(void **state)
{
    (void)state;
    struct unit u = make_unit(SGD);
    const float dw[NW] = {NAN, 4, -4, 1, -1, INFINITY};
    const double want[NW] = {NAN, -3, 3, -2, 2, -3};
    float w[NW];
    struct oclin_update up = rate(1);
    up.clip_value = 3;
    up.grad_scale = 2;
    fill_with(u.ctx, w_of(&u), 0);
    assert_ok(u.ctx, oclin_tensor_write(oclin_layer_dw(u.l), dw));
    assert_ok(u.ctx, oclin_layer_update(u.l, u.opt, &up));
    assert_ok(u.ctx, oclin_tensor_read(w_of(&u), w));
    check_exact("w", OUT, IN, IN, w, want);
    release(&u);
}

/* ---------------------------------------------------------------------------------------- schedule-free */

static void test_eval(void **state)
{
    (void)state;
    struct unit u = make_unit(SCHEDULE_FREE), v = make_unit(SCHEDULE_FREE);
    const struct oclin_update up = rate(0.125);
    const struct image none = image_of(&u);
    assert_ok(u.ctx, oclin_optimizer_eval(u.opt)); /* before any step: w stays */
    check_unchanged("eval before any step", &u, &none);
    assert_ok(u.ctx, oclin_optimizer_train(u.opt));
    for (uint64_t i = 0; i < 4; i++) {
        step(&u, i);
        step(&v, i);
    }
    check_equal("after eval and train", &u, &v);
    float y[NW], z[NW], x[NW], back[NW];
    double want[NW], train[NW];
    assert_ok(u.ctx, oclin_tensor_read(w_of(&u), y));
    assert_ok(u.ctx, oclin_tensor_read(oclin_optimizer_state(u.opt, w_of(&u), "z"), z));
    assert_ok(u.ctx, oclin_optimizer_train(u.opt)); /* it does train */
    check_equal("train twice", &u, &v);
    assert_ok(u.ctx, oclin_optimizer_eval(u.opt));
    assert_ok(u.ctx, oclin_tensor_read(w_of(&u), x));
    for (int i = 0; i < NW; i++) want[i] = (double)y[i] + (1 - 1 / 0.9) * ((double)z[i] - (double)y[i]);
    for (int i = 0; i < NW; i++) train[i] = (double)x[i];
    check_close("the average", train, want, NW, 1e-6);
    assert_memory_not_equal(x, y, sizeof x);
    assert_ok(u.ctx, oclin_optimizer_eval(u.opt));
    assert_ok(u.ctx, oclin_tensor_read(w_of(&u), back));
    check_same_bits("eval twice", back, x, NW);
    /* no update of averages */
    const struct image averages = image_of(&u);
    forward(&u, 9);
    assert_refused(u.ctx, OCLIN_E_STATE, "switched to eval", oclin_layer_update(u.l, u.opt, &up));
    assert_refused(u.ctx, OCLIN_E_STATE, "switched to eval",
                   oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
    check_unchanged("refused in eval", &u, &averages);
    assert_ok(u.ctx, oclin_optimizer_train(u.opt));
    assert_ok(u.ctx, oclin_tensor_read(w_of(&u), back));
    for (int i = 0; i < NW; i++) train[i] = (double)back[i], want[i] = (double)y[i];
    check_close("back to training", train, want, NW, 1e-6);
    step(&u, 4);
    release(&u);
    release(&v);
    /* the others hold one thing only */
    struct unit a = make_unit(ADAM);
    step(&a, 0);
    const struct image before = image_of(&a);
    assert_ok(a.ctx, oclin_optimizer_eval(a.opt));
    check_unchanged("eval of Adam", &a, &before);
    step(&a, 1);
    release(&a);
}

/* With counts on the device, and parameters that were never updated: b of a frozen bias has no z. */
static void test_eval_on_device(void **state)
{
    (void)state;
    struct unit u = make_unit(SCHEDULE_FREE);
    oclin_tensor *skip = make_tensor(u.ctx, OCLIN_I32, 1, 1, NULL);
    struct oclin_update up = rate(0.125);
    up.skip = skip;
    fill_with(u.ctx, skip, 1);
    step_by(&u, 0, &up);
    const struct image before = image_of(&u);
    assert_ok(u.ctx, oclin_optimizer_eval(u.opt));
    check_unchanged("eval of what was always skipped", &u, &before);
    assert_ok(u.ctx, oclin_optimizer_train(u.opt));
    fill_with(u.ctx, skip, 0);
    step_by(&u, 0, &up);
    step_by(&u, 1, &up);
    float w[NW], x[NW];
    assert_ok(u.ctx, oclin_tensor_read(w_of(&u), w));
    assert_ok(u.ctx, oclin_optimizer_eval(u.opt));
    assert_ok(u.ctx, oclin_tensor_read(w_of(&u), x));
    assert_memory_not_equal(w, x, sizeof w);
    oclin_tensor_destroy(skip);
    release(&u);
}

/* ------------------------------------------------------------------------------------------- life, strict */

static void test_strict(void **state)
{
    (void)state;
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = "plain";
    o.strict = 1;
    oclin_context *ctx = make_context_with(o);
    struct unit u = make_unit_in(ctx, &choices[ADAM].options, NULL);
    const struct oclin_update up = rate(0.5);
    for (uint64_t i = 0; i < 2; i++) {
        forward(&u, i);
        assert_ok(ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
        assert_refused(ctx, OCLIN_E_STATE, "w was written 1 times",
                       oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
        backward(&u, i);
        assert_ok(ctx, oclin_layer_update(u.l, u.opt, &up));
        assert_refused(ctx, OCLIN_E_STATE, "w was written 1 times", oclin_layer_backward(u.l, u.dy, NULL));
        assert_ok(ctx, oclin_layer_zero_grad(u.l));
    }
    oclin_tensor *factor = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_update with = rate(0.5);
    with.factor = factor; /* nobody has written it */
    forward(&u, 3);
    assert_refused(ctx, OCLIN_E_STATE, "factor", oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, &with));
    assert_int_equal(count_of(&u, w_of(&u)), 4);
    oclin_tensor_destroy(factor);
    release(&u);
    oclin_context_destroy(ctx);
}

/* In each order of the optimizer, the layer, the context and the tensors; nothing is alive afterwards. */
static void test_destroy(void **state)
{
    (void)state;
    int64_t alive[ALIVE_KINDS];
    for (int order = 0; order < 6; order++) {
        for (int k = 0; k < ALIVE_KINDS; k++) alive[k] = faults_alive((enum alive)k);
        oclin_context *ctx = make_context("plain");
        oclin_tensor *skip = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
        struct unit u = make_unit_in(ctx, &choices[AMSGRAD].options, NULL);
        struct oclin_update up = rate(0.5);
        up.skip = skip;
        fill_with(ctx, skip, 0);
        step_by(&u, 0, &up);
        oclin_tensor *const t[] = {u.x, u.y, u.dy, u.dx, skip};
        for (int k = 0; k < 3; k++) {
            const int what = order < 3 ? (k + order) % 3 : (5 - order + 2 * k) % 3;
            for (size_t i = 0; what == 0 && i < COUNT_OF(t); i++) oclin_tensor_destroy(t[i]);
            if (what == 1) oclin_optimizer_destroy(u.opt);
            if (what == 2) oclin_layer_destroy(u.l);
            if (k == 0) oclin_context_destroy(ctx);
        }
        for (int k = 0; k < ALIVE_KINDS; k++)
            if (faults_alive((enum alive)k) != alive[k])
                fail_msg("order %d: %d %s more", order, (int)(faults_alive((enum alive)k) - alive[k]),
                         faults_alive_name((enum alive)k));
    }
}

/* A layer that is gone takes nothing of the optimizer's with it. */
static void test_layer_gone(void **state)
{
    (void)state;
    struct unit u = make_unit(SCHEDULE_FREE);
    step(&u, 0);
    step(&u, 1);
    oclin_tensor *w = oclin_tensor_retain(w_of(&u));
    oclin_layer_destroy(u.l);
    u.l = NULL;
    assert_ok(u.ctx, oclin_optimizer_eval(u.opt));
    assert_non_null(oclin_optimizer_state(u.opt, w, "z"));
    assert_int_equal(count_of(&u, w), 2);
    oclin_tensor_destroy(w);
    release(&u);
}

/* -------------------------------------------------------------------------------------------- failures */

/* The update of b fails: nobody knows what w, b and their states hold, and nothing goes on with them, until
 * they are written. The nth launch of the call fails. */
struct failure {
    const char *name;
    int fused, stored, on_device, nth;
    int b_stays; /* w's launch was the one that failed, and b's did not come */
};
static const struct failure failures[] = {
    {"update of w", 0, 1, 0, 0, 1},
    {"update of b", 0, 1, 0, 1, 0},
    {"numbers of w", 0, 1, 1, 0, 0},
    {"numbers of b", 0, 1, 1, 1, 0},
    {"update by numbers", 0, 1, 1, 2, 0},
    {"fused", 1, 0, 0, 1, 0},
    {"fused, numbers", 1, 0, 1, 1, 0},
    {"fused, by numbers", 1, 0, 1, 3, 0},
    {"micro-batches, gradients", 1, 1, 0, 1, 0},
    {"micro-batches, update", 1, 1, 0, 2, 1},
};

static void recover(const struct unit *to, const struct image *from)
{
    int at = 0;
    oclin_tensor *const parameters[] = {w_of(to), b_of(to)};
    for (int i = 0; i < 2; i++) {
        assert_ok(to->ctx, oclin_tensor_write(parameters[i], from->values + at));
        at += i ? OUT : NW;
        for (int k = 0; oclin_rule_state(&to->options, k); k++) {
            const char *name = oclin_rule_state(&to->options, k);
            assert_ok(to->ctx, oclin_tensor_write(oclin_optimizer_state(to->opt, parameters[i], name),
                                                  from->values + at));
            at += i ? OUT : NW;
        }
        assert_ok(to->ctx, oclin_optimizer_set_steps(to->opt, parameters[i], i ? &from->b : &from->w));
    }
}

static oclin_status fail_once(const struct unit *u, const struct failure *f, const struct oclin_update *up)
{
    if (f->stored) {
        backward(u, 1);
    } else
        assert_ok(u->ctx, oclin_layer_zero_grad(u->l));
    if (f->fused) forward(u, 2);
    faults_fail_call("clEnqueueNDRangeKernel", f->nth, CL_OUT_OF_RESOURCES, FAULT_BEFORE);
    const oclin_status status = f->fused ? oclin_layer_backward_update(u->l, u->dy, u->dx, u->opt, up)
                                         : oclin_layer_update(u->l, u->opt, up);
    assert_non_null(faults_failed());
    faults_end();
    return status;
}

static void test_failure(void **state)
{
    const struct failure *f = *state;
    struct unit u = make_unit(ADAM), v = make_unit(ADAM);
    oclin_context *ctx = u.ctx;
    oclin_tensor *skip = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    struct oclin_update up = rate(0.125);
    fill_with(ctx, skip, 0);
    if (f->on_device) up.skip = skip;
    float got[NW];
    step_by(&u, 0, &up);
    step_by(&v, 0, &up);
    const struct image before = image_of(&v);
    assert_int_equal(fail_once(&u, f, &up), OCLIN_E_CL);
    const int gradients_alone = strcmp(f->name, "micro-batches, gradients") == 0;
    if (gradients_alone)
        check_unchanged("the gradients failed", &u, &before);
    else {
        assert_refused(ctx, OCLIN_E_STATE, "unspecified", oclin_tensor_read(w_of(&u), got));
        assert_refused(ctx, OCLIN_E_STATE, "unspecified",
                       oclin_tensor_read(oclin_optimizer_state(u.opt, w_of(&u), "exp_avg_sq"), got));
        oclin_tensor *const of_b[] = {b_of(&u), oclin_optimizer_state(u.opt, b_of(&u), "exp_avg")};
        for (int i = 0; i < 2; i++)
            assert_status(ctx, f->b_stays ? OCLIN_OK : OCLIN_E_STATE, oclin_tensor_read(of_b[i], got));
        assert_refused(ctx, OCLIN_E_STATE, "w is unspecified", oclin_layer_infer(u.l, u.x, u.y));
    }
    if (f->fused && f->stored) /* the sums may have this batch in them already */
        assert_refused(ctx, OCLIN_E_STATE, "unspecified", oclin_tensor_read(oclin_layer_dw(u.l), got));
    /* w and b are not enough: their state is needed, too */
    if (!gradients_alone) {
        assert_ok(ctx, oclin_tensor_write(w_of(&u), before.values));
        assert_ok(ctx, oclin_tensor_write(b_of(&u), before.values + 3 * NW));
        backward(&u, 1);
        assert_refused(ctx, OCLIN_E_STATE, "state of w is unspecified", oclin_layer_update(u.l, u.opt, &up));
    }
    recover(&u, &before);
    step_by(&u, 1, &up);
    step_by(&v, 1, &up);
    check_equal("after a failure", &u, &v);
    oclin_tensor_destroy(skip);
    release(&u);
    release(&v);
}

/* A count that the device has is lost with a failure: it is refused until it is set. */
static void test_lost_count(void **state)
{
    (void)state;
    const struct failure f = {"update by numbers", 0, 1, 1, 2, 0};
    struct unit u = make_unit(ADAM), v = make_unit(ADAM);
    oclin_tensor *skip = make_tensor(u.ctx, OCLIN_I32, 1, 1, NULL);
    struct oclin_update up = rate(0.125);
    struct oclin_steps steps = OCLIN_STEPS_INIT;
    fill_with(u.ctx, skip, 0);
    up.skip = skip;
    step_by(&v, 0, &up);
    const struct image before = image_of(&v);
    step_by(&u, 0, &up); /* the count is on the device, and stays there */
    assert_int_equal(fail_once(&u, &f, &up), OCLIN_E_CL);
    assert_refused(u.ctx, OCLIN_E_STATE, "unspecified", oclin_optimizer_steps(u.opt, w_of(&u), &steps));
    /* all but the counts is written again */
    oclin_tensor *const parameters[] = {w_of(&u), b_of(&u)};
    for (int i = 0; i < 2; i++) {
        copy_over(u.ctx, parameters[i], i ? b_of(&v) : w_of(&v));
        for (int k = 0; oclin_rule_state(&u.options, k); k++) {
            const char *name = oclin_rule_state(&u.options, k);
            copy_over(u.ctx, oclin_optimizer_state(u.opt, parameters[i], name),
                      oclin_optimizer_state(v.opt, i ? b_of(&v) : w_of(&v), name));
        }
    }
    backward(&u, 1);
    assert_refused(u.ctx, OCLIN_E_STATE, "oclin_optimizer_set_steps", oclin_layer_update(u.l, u.opt, &up));
    assert_ok(u.ctx, oclin_optimizer_set_steps(u.opt, w_of(&u), &before.w));
    assert_ok(u.ctx, oclin_optimizer_set_steps(u.opt, b_of(&u), &before.b));
    assert_ok(u.ctx, oclin_layer_update(u.l, u.opt, &up));
    step_by(&v, 1, &up);
    check_equal("after the counts were set", &u, &v);
    oclin_tensor_destroy(skip);
    release(&u);
    release(&v);
}

/* One of the moves of eval fails: those before it have been made, so that no parameter is what it was. */
static void test_eval_failure(void **state)
{
    (void)state;
    struct unit u = make_unit(SCHEDULE_FREE);
    float got[NW];
    step(&u, 0);
    step(&u, 1);
    const struct image before = image_of(&u);
    faults_fail_call("clEnqueueNDRangeKernel", 1, CL_OUT_OF_RESOURCES, FAULT_BEFORE);
    assert_int_equal(oclin_optimizer_eval(u.opt), OCLIN_E_CL);
    faults_end();
    assert_refused(u.ctx, OCLIN_E_STATE, "unspecified", oclin_tensor_read(w_of(&u), got));
    assert_refused(u.ctx, OCLIN_E_STATE, "unspecified", oclin_tensor_read(b_of(&u), got));
    assert_refused(u.ctx, OCLIN_E_STATE, "unspecified", oclin_optimizer_eval(u.opt));
    recover(&u, &before);
    assert_ok(u.ctx, oclin_optimizer_eval(u.opt));
    assert_ok(u.ctx, oclin_optimizer_train(u.opt));
    step(&u, 2);
    release(&u);
}

/* --------------------------------------------------------------------------------------- verification */

static oclin_context *verifying(const char *folder)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = "plain";
    o.verify = 1;
    o.cl_dir = folder;
    return make_context_with(o);
}

static const struct mistake {
    const char *name, *file, *from, *to;
    int choice, fused, on_device;
    const char *says;
} mistakes[] = {
    {"adam moves w too far", "rule_adam.cl", "(real)(-u.n.lr)", "(real)(-1.01f * u.n.lr)", ADAM, 0, 0,
     "update: w["},
    {"adam moves w too far, fused", "rule_adam.cl", "(real)(-u.n.lr)", "(real)(-1.01f * u.n.lr)", ADAM, 1, 0,
     "backward_update: w["},
    {"adam keeps too much of m", "rule_adam.cl", "store_lanes(u.state, m, lanes)",
     "store_lanes(u.state, m * 1.01f, lanes)", ADAM, 0, 0, "exp_avg["},
    {"adam keeps too much of v, fused", "rule_adam.cl", "store_lanes(at_v, v, lanes)",
     "store_lanes(at_v, v * 1.01f, lanes)", ADAM, 1, 0, "exp_avg_sq["},
    {"amsgrad takes v", "rule_adam.cl", "v = select(v, largest,", "v = select(v, v,", AMSGRAD, 0, 0,
     "update: w["},
    {"lion's sign", "rule_lion.cl", "sign(c)", "c", LION, 0, 0, "update: w["},
    {"momentum forgets the first", "rule_momentum.cl", "if (u.n.first == 0.0f)", "", MOMENTUM, 0, 0,
     "update: w["},
    {"schedule-free leaves z", "rule_schedule_free.cl", "(real)(-u.n.lr), d, z", "(real)(0.0f), d, z",
     SCHEDULE_FREE, 0, 0, "update: z["},
    {"numbers of the step before", "numbers.cl", "bias_of(t, logs.x, logs.y)",
     "bias_of(t + 1.0f, logs.x, logs.y)", ADAM, 0, 1, "update: w["},
    {"a count that goes on when skipped", "numbers.cl", "if (!skipped) {",
     "steps++; if (!skipped) { steps--;", ADAM, 1, 2, "update: the device has counted"},
    {"a skip that is not looked at", "numbers.cl", "n.skip = skipped;", "n.skip = 0;", ADAM, 1, 2, NULL},
    {"a clip that NaN does not pass", "updates.cl", "g *= n.factor;", "g = n.factor;", MOMENTUM, 0, 0,
     "update: w["},
};

static oclin_status updates(const struct unit *u, int fused, int on_device)
{
    oclin_tensor *skip = make_tensor(u->ctx, OCLIN_I32, 1, 1, NULL);
    struct oclin_update up = rate(0.25);
    oclin_status status = OCLIN_OK;
    if (on_device) up.skip = skip;
    for (uint64_t i = 0; i < 3 && status == OCLIN_OK; i++) {
        fill_with(u->ctx, skip, on_device == 2 && i == 1);
        forward(u, i);
        assert_ok(u->ctx, oclin_layer_zero_grad(u->l));
        if (fused)
            status = oclin_layer_backward_update(u->l, u->dy, u->dx, u->opt, &up);
        else {
            assert_ok(u->ctx, oclin_layer_backward(u->l, u->dy, NULL));
            status = oclin_layer_update(u->l, u->opt, &up);
        }
    }
    oclin_tensor_destroy(skip);
    return status;
}

static void test_mistake(void **state)
{
    const struct mistake *m = *state;
    char folder[PATH_BYTES / 2];
    make_temporary_folder(folder);
    write_changed(folder, m->file, built_in(m->file), m->from, m->to);
    oclin_context *ctx = verifying(folder);
    struct unit u = make_unit_in(ctx, &choices[m->choice].options, NULL);
    const oclin_status status = updates(&u, m->fused, m->on_device);
    assert_refused(ctx, OCLIN_E_VERIFY, m->says ? m->says : "", status);
    release(&u);
    oclin_context_destroy(ctx);
    remove_all(folder);
}

/* b alone is updated, by a gradient of its own: its check has a rule and states without those of w. */
static void test_b_alone(void **state)
{
    const float db[OUT] = {0.5f, -0.25f};
    const struct oclin_update up = rate(0.25);
    oclin_context *ctx = verifying(NULL);
    struct unit u = make_unit_in(ctx, &choices[ADAM].options, NULL);
    (void)state;
    assert_ok(ctx, oclin_layer_zero_grad(u.l));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_db(u.l), db));
    assert_ok(ctx, oclin_layer_update(u.l, u.opt, &up));
    assert_int_equal(count_of(&u, b_of(&u)), 1);
    assert_int_equal(count_of(&u, w_of(&u)), 0);
    release(&u);
    oclin_context_destroy(ctx);
}

/* Where the sum that makes dW may overflow, nothing is claimed of what a clip makes of it. */
static void test_no_claim(void **state)
{
    const float x[2] = {1e25f, -1e25f}, dy[2] = {0.99e20f, 1e20f};
    oclin_context *ctx = verifying(NULL);
    oclin_layer *l;
    oclin_optimizer *opt;
    oclin_tensor *tx = make_tensor(ctx, OCLIN_F32, 2, 1, x), *tdy = make_tensor(ctx, OCLIN_F32, 2, 1, dy),
                 *y = make_tensor(ctx, OCLIN_F32, 2, 1, NULL);
    (void)state;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, NULL));
    assert_ok(ctx, oclin_optimizer_create(&opt, ctx, NULL));
    assert_ok(ctx, oclin_optimizer_add(opt, l, NULL));
    for (int i = 0; i < 2; i++) {
        struct oclin_update up = rate(0.01);
        up.clip_value = 1;
        up.grad_scale = i ? 0.5 : 1;
        assert_ok(ctx, oclin_layer_forward(l, tx, y));
        assert_ok(ctx, oclin_layer_backward_update(l, tdy, NULL, opt, &up));
    }
    oclin_tensor_destroy(tx);
    oclin_tensor_destroy(tdy);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
    oclin_optimizer_destroy(opt);
    oclin_context_destroy(ctx);
}

static void test_right(void **state)
{
    const int *choice = *state;
    oclin_context *ctx = verifying(NULL);
    for (int fused = 0; fused < 2; fused++)
        for (int on_device = 0; on_device < 3; on_device++) {
            struct unit u = make_unit_in(ctx, &choices[*choice].options, NULL);
            assert_ok(ctx, updates(&u, fused, on_device));
            assert_int_equal(count_of(&u, w_of(&u)), on_device == 2 ? 2 : 3);
            backward(&u, 7); /* micro-batches, and an end to training */
            forward(&u, 8);
            const struct oclin_update up = rate(0.25);
            assert_ok(ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
            assert_ok(ctx, oclin_optimizer_eval(u.opt));
            assert_ok(ctx, oclin_optimizer_train(u.opt));
            release(&u);
        }
    assert_true(ctx->verify_worst > 0.0 && ctx->verify_worst <= 1.0);
    oclin_context_destroy(ctx);
}

/* --------------------------------------------------------------------------------- launches, allocations */

static int64_t launches(void)
{
    return faults_calls("clEnqueueNDRangeKernel");
}

static void test_launches(void **state)
{
    const int *choice = *state;
    struct unit u = make_unit(*choice), v = make_unit(SGD);
    const struct oclin_update up = rate(0.125);
    step(&u, 0);
    backward(&u, 1);
    int64_t from = launches();
    assert_ok(u.ctx, oclin_layer_update(u.l, u.opt, &up));
    assert_int_equal(launches() - from, 2);
    backward(&v, 1);
    from = launches();
    assert_ok(v.ctx, oclin_layer_step(v.l, 0.125f));
    assert_int_equal(launches() - from, 2);
    assert_ok(u.ctx, oclin_layer_zero_grad(u.l));
    forward(&u, 2);
    from = launches();
    assert_ok(u.ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, &up));
    assert_int_equal(launches() - from, 2);
    forward(&u, 2);
    from = launches();
    assert_ok(u.ctx, oclin_layer_backward_update(u.l, u.dy, NULL, u.opt, &up));
    assert_int_equal(launches() - from, 1);
    release(&u);
    release(&v);
}

/* Nothing is taken after the first update; a skip takes what it needs with the first that has one. */
static void test_allocations(void **state)
{
    const int *choice = *state;
    struct unit u = make_unit(*choice);
    oclin_tensor *skip = make_tensor(u.ctx, OCLIN_I32, 1, 1, NULL);
    static const char *const takes[] = {
        "malloc", "calloc", "realloc", "clCreateBuffer", "clCreateSubBuffer", "clCreateKernel"};
    struct oclin_update up = rate(0.125), with = up;
    with.skip = skip;
    fill_with(u.ctx, skip, 0);
    step(&u, 0);
    for (int round = 0; round < 2; round++) {
        const struct oclin_update *update = round ? &with : &up;
        step_by(&u, 1, update);
        assert_ok(u.ctx, oclin_layer_zero_grad(u.l));
        forward(&u, 2);
        assert_ok(u.ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, update));
        int64_t before[COUNT_OF(takes)], living[ALIVE_KINDS];
        for (size_t i = 0; i < COUNT_OF(takes); i++) before[i] = faults_calls(takes[i]);
        for (int k = 0; k < ALIVE_KINDS; k++) living[k] = faults_alive((enum alive)k);
        for (uint64_t i = 0; i < 20; i++) {
            assert_ok(u.ctx, oclin_layer_forward(u.l, u.x, u.y));
            assert_ok(u.ctx, oclin_layer_backward_update(u.l, u.dy, u.dx, u.opt, update));
            assert_ok(u.ctx, oclin_layer_backward(u.l, u.dy, NULL));
            assert_ok(u.ctx, oclin_layer_update(u.l, u.opt, update));
            assert_ok(u.ctx, oclin_layer_zero_grad(u.l));
        }
        for (size_t i = 0; i < COUNT_OF(takes); i++)
            if (faults_calls(takes[i]) != before[i])
                fail_msg("%s was called %d times", takes[i], (int)(faults_calls(takes[i]) - before[i]));
        for (int k = 0; k < ALIVE_KINDS; k++) assert_int_equal(faults_alive((enum alive)k), living[k]);
    }
    oclin_tensor_destroy(skip);
    release(&u);
}

int main(int argc, char **argv)
{
    static int no = 0, yes = 1, number[CHOICES];
    static struct resumed resumed[CHOICES][2];
    struct test_list list = {NULL, 0, 0};
    add_test(&list, test_defaults, NULL, "create/defaults");
    add_test(&list, test_options, NULL, "create/refused");
    add_test(&list, test_null, NULL, "refused/NULL");
    add_test(&list, test_add, NULL, "refused/add");
    add_test(&list, test_add_overlaps, NULL, "refused/overlaps");
    add_test(&list, test_add_tensor, NULL, "tensor/added");
    add_test(&list, test_tensor_edges, NULL, "tensor/edges");
    add_test(&list, test_update_refused, NULL, "refused/update");
    add_test(&list, test_without_gradient, NULL, "refused/no gradient");
    add_test(&list, test_refused_with_stored, &no, "refused/backward_update");
    add_test(&list, test_refused_with_stored, &yes, "refused/backward_update, gradients stored");
    add_test(&list, test_locked_w, NULL, "refused/read-only w");
    add_test(&list, test_frozen_layer, NULL, "frozen/layer");
    add_test(&list, test_frozen_bias, &no, "frozen/bias");
    add_test(&list, test_frozen_bias, &yes, "frozen/bias, fused");
    add_test(&list, test_arena, NULL, "state/in an arena");
    add_test(&list, test_written_state, NULL, "state/written");
    add_test(&list, test_names, NULL, "state/names");
    add_test(&list, test_steps, NULL, "state/steps");
    add_test(&list, test_tied, NULL, "tied");
    add_test(&list, test_cleared, NULL, "gradients/cleared");
    add_test(&list, test_empty_batch, &no, "gradients/empty batch");
    add_test(&list, test_empty_batch, &yes, "gradients/empty batch, gradients stored");
    add_test(&list, test_fused_numbers, &no, "device/fused, numbers of the host");
    add_test(&list, test_fused_numbers, &yes, "device/fused, numbers of the device");
    add_test(&list, test_clip, NULL, "device/clip");
    add_test(&list, test_eval, NULL, "eval/round trip");
    add_test(&list, test_eval_on_device, NULL, "eval/counts on the device");
    add_test(&list, test_eval_failure, NULL, "eval/failure");
    add_test(&list, test_strict, NULL, "strict");
    add_test(&list, test_destroy, NULL, "destroy/any order");
    add_test(&list, test_layer_gone, NULL, "destroy/layer first");
    add_test(&list, test_lost_count, NULL, "failure/lost count");
    for (size_t i = 0; i < COUNT_OF(books); i++)
        add_test(&list, test_textbook, (void *)(uintptr_t)&books[i], "textbook/%s", books[i].name);
    for (size_t i = 0; i < COUNT_OF(failures); i++)
        add_test(&list, test_failure, (void *)(uintptr_t)&failures[i], "failure/%s", failures[i].name);
    add_test(&list, test_b_alone, NULL, "verify/b alone");
    add_test(&list, test_no_claim, NULL, "verify/no claim");
    for (int i = 0; i < CHOICES; i++) {
        const char *name = choices[i].name;
        number[i] = i;
        for (int s = 0; s < 2; s++) {
            resumed[i][s] = (struct resumed){i, s};
            add_test(&list, test_resume, &resumed[i][s], "resume/%s%s", name, s ? ", skip" : "");
        }
        add_test(&list, test_decay, &number[i], "decay/%s", name);
        add_test(&list, test_lr_factor, &number[i], "rate/%s", name);
        add_test(&list, test_micro_batches, &number[i], "gradients/micro-batches/%s", name);
        add_test(&list, test_factor, &number[i], "device/factor/%s", name);
        add_test(&list, test_skip, &number[i], "device/skip/%s", name);
        add_test(&list, test_counts_on_device, &number[i], "device/counts/%s", name);
        add_test(&list, test_right, &number[i], "verify/right/%s", name);
        add_test(&list, test_launches, &number[i], "costs/launches/%s", name);
        add_test(&list, test_allocations, &number[i], "costs/allocations/%s", name);
    }
    for (size_t i = 0; i < COUNT_OF(mistakes); i++)
        add_test(&list, test_mistake, (void *)(uintptr_t)&mistakes[i], "verify/wrong/%s", mistakes[i].name);
    const int code = run_list("optimizer", &list, argc, argv);
    oclin_context_destroy(shared);
    return code;
}
