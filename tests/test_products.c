/*
 * Every product of the layer on one plan, named by argv[1]: forward, backward, accumulation, step and
 * backward_step on operands that lie, with strides and offsets, inside poisoned arenas.
 *
 * Rows: the full product of sizes around the tile's edges, and all pairs of everything else; no two rows, of
 * this plan or another, ask the same of the same kernel. Integer data must give the reference's bits; other
 * data must be within its bounds. Every row runs twice and must give the same bits; so must another process.
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oclin_internal.h"

static const char *plan_name, *self; /* this program */

enum data { EXACT, ZERO_MEAN, POSITIVE, DATA_COUNT };
static const char *const data_names[DATA_COUNT] = {
    [EXACT] = "exact", [ZERO_MEAN] = "zero_mean", [POSITIVE] = "positive"};

/* Activations that pairs and small batches go through; the small rows have all that there are. */
enum { IN_PAIRS = OCLIN_GELU + 1 };

/* Rows around the edges of small tiles and of large blocks, all pairs of everything, long sizes, W stored as
 * (in, out), a few small ones. */
enum kind { EDGE, BLOCK, PAIR, EXTREME, TRANSPOSED, SMALL, SMALL_GELU, KINDS };

struct row {
    int64_t batch, in, out;
    oclin_activation activation;
    int bias;
    oclin_gradient gradient;
    int pad;        /* elements between the rows of every operand */
    int offset;     /* elements in front of every operand */
    int transposed; /* W and dW are stored as (in, out) */
    enum data data;
    enum kind kind;
};

/* The rest of a row: no activation, no bias, gradients that are sums, dense, exact data. */
#define SHAPE(samples, from, to) .batch = samples, .in = from, .out = to

/* ------------------------------------------------------------------------------------------------ one run */

/* Host copies of what a row starts from. */
struct host_data {
    float *x, *w, *b, *dy;
};

/* What the device made of it. All dense. */
struct results {
    float *y, *z, *dx, *dw, *db, *dw2, *db2, *w_step, *b_step, *w_fused, *b_fused;
};

static const float lr = 0.25f; /* a power of two: exact data stay exact */

static void fill(const struct row *r, struct rng *rng, float *p, int64_t n)
{
    int64_t terms = r->batch > r->in ? r->batch : r->in;
    if (r->out > terms) terms = r->out;
    /* dW is accumulated twice, and then scaled and added to W */
    if (r->data == EXACT) fill_integers(rng, p, n, exact_limit(4 * terms));
    if (r->data == ZERO_MEAN) fill_zero_mean(rng, p, n);
    if (r->data == POSITIVE) fill_positive(rng, p, n);
}

static struct host_data make_data(const struct row *r)
{
    struct rng rng = {(uint64_t)(r->batch * 7919 + r->in * 104729 + r->out)};
    struct host_data h = {new_array(float, r->batch * r->in), new_array(float, r->out * r->in),
                          new_array(float, r->out), new_array(float, r->batch * r->out)};
    fill(r, &rng, h.x, r->batch * r->in);
    fill(r, &rng, h.w, r->out * r->in);
    fill(r, &rng, h.b, r->out);
    fill(r, &rng, h.dy, r->batch * r->out);
    return h;
}

static float *read_placed(oclin_context *ctx, const struct placed *p)
{
    float *copy = new_array(float, p->rows * p->cols + 1);
    assert_ok(ctx, oclin_tensor_read(p->t, copy));
    check_canaries("an operand", p);
    return copy;
}

/* Each operand has a stride and an offset of its own (`times` the row's): none may be taken for another's. */
enum { X, W, B, DY, DW, DB, Y, DX, PLACED };
static const int times[PLACED] = {[X] = 1, [W] = 2, [B] = 1, [DY] = 1, [DW] = 3, [DB] = 2, [Y] = 2, [DX] = 4};

static int64_t rows_of(const struct row *r, int which)
{
    const int64_t w = r->transposed ? r->in : r->out;
    const int64_t rows[PLACED] = {[X] = r->batch, [W] = w,  [B] = 1,        [DY] = r->batch,
                                  [DW] = w,       [DB] = 1, [Y] = r->batch, [DX] = r->batch};
    return rows[which];
}

static int64_t cols_of(const struct row *r, int which)
{
    const int64_t w = r->transposed ? r->out : r->in;
    const int64_t cols[PLACED] = {[X] = r->in, [W] = w,       [B] = r->out, [DY] = r->out,
                                  [DW] = w,    [DB] = r->out, [Y] = r->out, [DX] = r->in};
    return cols[which];
}

/* Returns the transpose of a matrix, as memory of its own. */
static float *transpose_of(const float *from, int64_t rows, int64_t cols)
{
    float *to = new_array(float, rows *cols + 1);
    for (int64_t i = 0; i < rows * cols; i++) to[i % cols * rows + i / cols] = from[i];
    return to;
}

static int64_t stride_of(const struct row *r, int which)
{
    return cols_of(r, which) + times[which] * r->pad;
}

static int64_t offset_of(const struct row *r, int which)
{
    return times[which] * r->offset;
}

/* Operands on the device; the parameters and gradients are handed to the layer. */
struct operands {
    struct placed x, w, b, dw, db, y, dy, dx;
    oclin_layer *layer;
};

static struct placed place(oclin_context *ctx, const struct row *r, int which, const float *host)
{
    return tensor_from(ctx, rows_of(r, which), cols_of(r, which), stride_of(r, which), offset_of(r, which),
                       host);
}

/* w is (out, in) on the host, however it is stored. */
static struct placed place_w(oclin_context *ctx, const struct row *r, const float *w)
{
    if (!r->transposed) return place(ctx, r, W, w);
    float *stored = transpose_of(w, r->out, r->in);
    const struct placed placed = place(ctx, r, W, stored);
    free(stored);
    return placed;
}

static float *read_w(oclin_context *ctx, const struct row *r, const struct placed *p)
{
    float *stored = read_placed(ctx, p);
    if (!r->transposed) return stored;
    float *w = transpose_of(stored, r->in, r->out);
    free(stored);
    return w;
}

static struct operands make_operands(oclin_context *ctx, const struct row *r, const struct host_data *h)
{
    struct operands o;
    memset(&o, 0, sizeof o);
    o.x = place(ctx, r, X, h->x);
    o.w = place_w(ctx, r, h->w);
    o.b = place(ctx, r, B, h->b);
    o.dy = place(ctx, r, DY, h->dy);
    /* outputs hold NaN: whoever reads what it should overwrite shows it */
    o.dw = place(ctx, r, DW, NULL);
    o.db = place(ctx, r, DB, NULL);
    o.y = place(ctx, r, Y, NULL);
    o.dx = place(ctx, r, DX, NULL);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = r->activation;
    options.gradient = r->gradient;
    options.bias = r->bias;
    options.transposed = r->transposed;
    options.w = o.w.t;
    options.dw = o.dw.t;
    if (r->bias) {
        options.b = o.b.t;
        options.db = o.db.t;
    }
    assert_ok(ctx, oclin_layer_create(&o.layer, ctx, r->in, r->out, &options));
    assert_ok(ctx, oclin_layer_zero_grad(o.layer));
    return o;
}

static void free_operands(struct operands *o)
{
    oclin_layer_destroy(o->layer);
    struct placed *const all[] = {&o->x, &o->w, &o->b, &o->dw, &o->db, &o->y, &o->dy, &o->dx};
    for (size_t i = 0; i < COUNT_OF(all); i++) tensor_release(all[i]);
}

/* backward, the same again on top of it, and a step with a fresh gradient */
static void run_unfused(oclin_context *ctx, const struct row *r, const struct host_data *h,
                        struct results *out)
{
    struct operands o = make_operands(ctx, r, h);
    assert_ok(ctx, oclin_layer_forward(o.layer, o.x.t, o.y.t));
    out->y = read_placed(ctx, &o.y);
    if (keeps_z(r->activation)) {
        out->z = new_array(float, r->batch * r->out);
        assert_ok(ctx, oclin_tensor_read(o.layer->saved->z, out->z));
    }
    assert_ok(ctx, oclin_layer_backward(o.layer, o.dy.t, o.dx.t));
    out->dx = read_placed(ctx, &o.dx);
    out->dw = read_w(ctx, r, &o.dw);
    if (r->bias) out->db = read_placed(ctx, &o.db);
    assert_ok(ctx, oclin_layer_backward(o.layer, o.dy.t, NULL));
    out->dw2 = read_w(ctx, r, &o.dw);
    if (r->bias) out->db2 = read_placed(ctx, &o.db);
    assert_ok(ctx, oclin_layer_zero_grad(o.layer));
    assert_ok(ctx, oclin_layer_backward(o.layer, o.dy.t, NULL));
    assert_ok(ctx, oclin_layer_step(o.layer, lr));
    out->w_step = read_w(ctx, r, &o.w);
    if (r->bias) out->b_step = read_placed(ctx, &o.b);
    free(read_placed(ctx, &o.x)); /* inputs and their surroundings are as they were */
    free(read_placed(ctx, &o.dy));
    free_operands(&o);
}

static void run_fused(oclin_context *ctx, const struct row *r, const struct host_data *h, struct results *out)
{
    struct operands o = make_operands(ctx, r, h);
    assert_ok(ctx, oclin_layer_forward(o.layer, o.x.t, o.y.t));
    assert_ok(ctx, oclin_layer_backward_step(o.layer, o.dy.t, o.dx.t, lr));
    float *dx = read_placed(ctx, &o.dx);
    check_same_bits("dx of backward_step (from the old w)", dx, out->dx, r->batch * r->in);
    free(dx);
    out->w_fused = read_w(ctx, r, &o.w);
    if (r->bias) out->b_fused = read_placed(ctx, &o.b);
    free_operands(&o);
}

static struct results run(oclin_context *ctx, const struct row *r, const struct host_data *h)
{
    struct results out;
    memset(&out, 0, sizeof out);
    run_unfused(ctx, r, h, &out);
    run_fused(ctx, r, h, &out);
    return out;
}

static void free_results(struct results *out)
{
    float *const all[] = {out->y,   out->z,      out->dx,     out->dw,      out->db,     out->dw2,
                          out->db2, out->w_step, out->b_step, out->w_fused, out->b_fused};
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
}

/* ---------------------------------------------------------------------------------------------- checking */

/* Exact data through activations that keep integers give exact results. */
static int exact(const struct row *r)
{
    return r->data == EXACT && (r->activation == OCLIN_NONE || r->activation == OCLIN_RELU) &&
           (r->gradient == OCLIN_GRAD_SUM || (r->batch & (r->batch - 1)) == 0);
}

/* One context for all rows: programs are built once. */
static oclin_context *shared_context;

/* The kernels that compute y and z, or all that backward gives. */
static const char *family_of(const struct row *r, int is_forward)
{
    static const char *const names[] = {
        [OCLIN_PLAIN] = "plain", [OCLIN_SIMT] = "simt", [OCLIN_SIMD] = "simd", [OCLIN_SKINNY] = "skinny"};
    const struct oclin_shape shape = {r->batch, r->in, r->out};
    struct oclin_product grads = oclin_plan_shaped(OCLIN_KERNEL_ONE_PASS, shape),
                         p = oclin_plan_shaped(is_forward ? OCLIN_KERNEL_FORWARD : OCLIN_KERNEL_GRAD_X,
                                               shape);
    struct oclin_plan plan;
    grads.transposed = p.transposed = r->transposed;
    if (!is_forward && oclin_plan_one_pass(shared_context, &grads)) return "skinny";
    return oclin_plan_product(shared_context, &p, 0, &plan) ? names[plan.tile.family] : "?";
}

static void measure_row(const struct row *r, const char *name)
{
    char operation[32];
    const int is_y = strcmp(name, "y") == 0;
    snprintf(operation, sizeof operation, is_y ? "forward, %s" : "%s",
             is_y ? activation_name(r->activation) : name);
    measure(family_of(r, is_y || strcmp(name, "z") == 0), operation, "%s %lld x %lld x %lld, %s, %s%s%s",
            plan_name, (long long)r->batch, (long long)r->in, (long long)r->out,
            activation_name(r->activation), data_names[r->data], r->bias ? ", bias" : "",
            r->gradient == OCLIN_GRAD_MEAN ? ", mean" : "");
}

static void check(const struct row *r, const char *name, int64_t rows, int64_t cols, const float *got,
                  const double *want, const double *bound)
{
    measure_row(r, name);
    if (exact(r))
        check_exact(name, rows, cols, cols, got, want);
    else
        check_bound(name, rows, cols, cols, got, want, bound);
}

struct wanted {
    double *value, *bound;
};

static struct wanted new_wanted(int64_t n)
{
    return (struct wanted){new_array(double, n), new_array(double, n)};
}

static void free_wanted(struct wanted *w)
{
    free(w->value);
    free(w->bound);
}

/* A gradient, twice it, and the parameter after the step, fused and not. */
static void check_gradient(const struct row *r, const char *letter, int64_t rows, int64_t cols,
                           const struct wanted *g, const float *got, const float *twice,
                           const float *parameter, const float *step, const float *fused)
{
    char name[64];
    const int64_t n = rows * cols;
    struct wanted w = new_wanted(n);
    snprintf(name, sizeof name, "d%s", letter);
    check(r, name, rows, cols, got, g->value, g->bound);
    snprintf(name, sizeof name, "d%s accumulated", letter);
    oclin_ref_accumulate(NULL, n, got, g->value, g->bound, w.value, w.bound);
    check(r, name, rows, cols, twice, w.value, w.bound);
    snprintf(name, sizeof name, "%s after backward and step", letter);
    oclin_ref_step(NULL, n, parameter, g->value, g->bound, lr, w.value, w.bound);
    check(r, name, rows, cols, step, w.value, w.bound);
    snprintf(name, sizeof name, "%s after backward_step", letter);
    check_same_bits(name, fused, step, n);
    free_wanted(&w);
}

static void check_results(const oclin_context *ctx, const struct row *r, const struct host_data *h,
                          const struct results *got)
{
    struct oclin_ref_case c = RANDOM_CASE(r->batch, r->in, r->out);
    c.activation = r->activation;
    c.gradient = r->gradient;
    if (r->data == ZERO_MEAN) c.rule = OCLIN_ZERO_MEAN;
    c.no_denormals = !ctx->device.denormals;
    const float *s = keeps_z(r->activation) ? got->z : got->y;
    struct wanted y = new_wanted(r->batch * r->out), z = new_wanted(r->batch * r->out);
    struct wanted dx = new_wanted(r->batch * r->in), dw = new_wanted(r->out * r->in), db = new_wanted(r->out);

    oclin_ref_forward(&c, h->x, h->w, r->bias ? h->b : NULL, z.value, z.bound, y.value, y.bound);
    check(r, "y", r->batch, r->out, got->y, y.value, y.bound);
    if (got->z) check(r, "z", r->batch, r->out, got->z, z.value, z.bound);
    /* derivatives of activations take both signs: products of any data */
    if (r->activation != OCLIN_NONE) c.rule = OCLIN_RANDOM;
    oclin_ref_grad_x(&c, h->w, h->dy, s, dx.value, dx.bound);
    check(r, "dx", r->batch, r->in, got->dx, dx.value, dx.bound);
    oclin_ref_grad_w(&c, h->x, h->dy, s, dw.value, dw.bound);
    check_gradient(r, "w", r->out, r->in, &dw, got->dw, got->dw2, h->w, got->w_step, got->w_fused);
    if (r->bias) {
        oclin_ref_grad_b(&c, h->dy, s, db.value, db.bound);
        check_gradient(r, "b", 1, r->out, &db, got->db, got->db2, h->b, got->b_step, got->b_fused);
    }
    struct wanted *const all[] = {&y, &z, &dx, &dw, &db};
    for (size_t i = 0; i < COUNT_OF(all); i++) free_wanted(all[i]);
}

/* All that a run has made, with what it is called and its size; NULL: this row has none. */
enum { OUTPUTS = 11 };
struct output {
    const char *name;
    const float *values;
    int64_t n;
};

static void list_outputs(const struct row *r, const struct results *of, struct output list[OUTPUTS])
{
    const int64_t xs = r->batch * r->in, ys = r->batch * r->out, ws = r->out * r->in;
    const struct output all[OUTPUTS] = {
        {"y", of->y, ys},
        {"z", of->z, ys},
        {"dx", of->dx, xs},
        {"dw", of->dw, ws},
        {"db", of->db, r->out},
        {"dw accumulated", of->dw2, ws},
        {"db accumulated", of->db2, r->out},
        {"w after a step", of->w_step, ws},
        {"b after a step", of->b_step, r->out},
        {"w after backward_step", of->w_fused, ws},
        {"b after backward_step", of->b_fused, r->out},
    };
    memcpy(list, all, sizeof all);
}

static void check_same_twice(const struct row *r, const struct results *a, const struct results *b)
{
    struct output first[OUTPUTS], second[OUTPUTS];
    list_outputs(r, a, first);
    list_outputs(r, b, second);
    for (int i = 0; i < OUTPUTS; i++) {
        char name[64];
        snprintf(name, sizeof name, "%s of a second run", first[i].name);
        assert_int_equal(first[i].values != NULL, second[i].values != NULL);
        if (first[i].values) check_same_bits(name, second[i].values, first[i].values, first[i].n);
    }
}

static void free_data(struct host_data *h)
{
    free(h->x);
    free(h->w);
    free(h->b);
    free(h->dy);
}

/* A line for each output of a row, with a hash of its bits, is added to the file that OCLIN_HASH_FILE names:
 * scripts/bits.sh compares those of two versions. */
static void note_hashes(const struct row *r, const struct results *made)
{
    const char *path = getenv("OCLIN_HASH_FILE");
    struct output list[OUTPUTS];
    FILE *file = path ? fopen(path, "a") : NULL;
    if (!path) return;
    if (!file) fail_msg("%s cannot be written to", path);
    list_outputs(r, made, list);
    for (int i = 0; i < OUTPUTS; i++)
        if (list[i].values)
            fprintf(file, "%s %lldx%lldx%lld %s bias%d %s pad%d offset%d %s, %s: %016llx\n", plan_name,
                    (long long)r->batch, (long long)r->in, (long long)r->out, activation_name(r->activation),
                    r->bias, r->gradient == OCLIN_GRAD_MEAN ? "mean" : "sum", r->pad, r->offset,
                    data_names[r->data], list[i].name,
                    (unsigned long long)oclin_cache_hash(list[i].values, (size_t)list[i].n * sizeof(float)));
    fclose(file);
}

static void test_row(void **state)
{
    const struct row *r = *state;
    struct host_data h = make_data(r);
    struct results first = run(shared_context, r, &h), second = run(shared_context, r, &h);
    note_hashes(r, &first);
    check_results(shared_context, r, &h, &first);
    check_same_twice(r, &first, &second);
    free_results(&first);
    free_results(&second);
    free_data(&h);
}

/* --------------------------------------------------------------------------------------- another process */

/* The bits of every output of two rows, and of both losses of their Y, as hashes with names. */
enum { HASHES_BYTES = 1 << 12 };

static void add_hash(char *to, const char *name, const void *values, int64_t n)
{
    const size_t used = strlen(to);
    snprintf(to + used, HASHES_BYTES - used, "%s %016llx, ", name,
             (unsigned long long)oclin_cache_hash(values, (size_t)n * sizeof(float)));
}

static void add_hashes_of_losses(oclin_context *ctx, const struct row *r, const float *scores, char *to)
{
    struct rng rng = {42};
    float *dy = new_array(float, r->batch * r->out), loss;
    int32_t *labels = new_array(int32_t, r->batch), correct;
    fill_labels(&rng, labels, r->batch, (int32_t)r->out);
    oclin_tensor *y = make_tensor(ctx, OCLIN_F32, r->batch, r->out, scores),
                 *t = make_tensor(ctx, OCLIN_F32, r->batch, r->out, NULL),
                 *of_label = make_tensor(ctx, OCLIN_I32, r->batch, 1, labels),
                 *dloss = make_tensor(ctx, OCLIN_F32, r->batch, r->out, NULL),
                 *sum = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *count = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    assert_ok(ctx, oclin_tensor_fill(t, 0.3));
    for (int classes = 0; classes < 2; classes++) {
        assert_ok(ctx, classes ? oclin_loss_cross_entropy(y, of_label, sum, dloss, count, NULL)
                               : oclin_loss_mse(y, t, sum, dloss, NULL));
        assert_ok(ctx, oclin_tensor_read(dloss, dy));
        assert_ok(ctx, oclin_tensor_read(sum, &loss));
        add_hash(to, "gradient of a loss", dy, r->batch * r->out);
        add_hash(to, "loss", &loss, 1);
        if (!classes) continue;
        assert_ok(ctx, oclin_tensor_read(count, &correct));
        add_hash(to, "correct", &correct, 1);
    }
    oclin_tensor *const all[] = {y, t, of_label, dloss, sum, count};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    free(dy);
    free(labels);
}

/* Large enough for more than one group, block of k and core. */
static void list_hashes(oclin_context *ctx, char to[HASHES_BYTES])
{
    static const struct row rows[] = {
        {SHAPE(70, 270, 40), .activation = OCLIN_GELU, .bias = 1, .gradient = OCLIN_GRAD_MEAN, .pad = 3,
         .offset = 1, .data = ZERO_MEAN},
        {SHAPE(7, 301, 40), .activation = OCLIN_TANH, .bias = 1, .data = POSITIVE},
    };
    to[0] = 0;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct output list[OUTPUTS];
        struct host_data h = make_data(&rows[i]);
        struct results made = run(ctx, &rows[i], &h);
        list_outputs(&rows[i], &made, list);
        for (int j = 0; j < OUTPUTS; j++)
            if (list[j].values) add_hash(to, list[j].name, list[j].values, list[j].n);
        add_hashes_of_losses(ctx, &rows[i], made.y, to);
        free_results(&made);
        free_data(&h);
    }
}

/* This program run anew computes what it computes here. */
static void test_processes(void **state)
{
    char here[HASHES_BYTES], *there = new_array(char, 4 * HASHES_BYTES);
    (void)state;
    list_hashes(shared_context, here);
    const int ended = run_again(self, plan_name, "--hashes", 0, there, 4 * HASHES_BYTES);
    if (ended != 0) fail_msg("the other process ended with %d:\n%s", ended, there);
    if (!strstr(there, here)) fail_msg("here:\n%s\nanother process:\n%s", here, there);
    free(there);
}

static void test_print_hashes(void **state)
{
    char here[HASHES_BYTES];
    (void)state;
    list_hashes(shared_context, here);
    printf("%s\n", here);
}

/* -------------------------------------------------------------------------------------------------- rows */

/* Rows of a plan on a context that is made for planning alone. */
struct rows {
    const oclin_context *ctx;
    uint64_t seed;
    struct row *rows;
    uint64_t *keys; /* of each */
    size_t count, capacity;
    enum kind kind;            /* of those that are added now */
    int all_activations;       /* else one stands in for all that keep the same for backward */
    const struct rows *before; /* those of the plan before it */
};

static struct oclin_operand operand_at(const struct row *r, int which)
{
    static char some_memory;
    const int64_t stride = stride_of(r, which), offset = offset_of(r, which);
    const int aligned = offset % 4 == 0 && (rows_of(r, which) <= 1 || stride % 4 == 0);
    return (struct oclin_operand){(cl_mem)(uintptr_t)&some_memory, offset, stride, aligned, 1};
}

/* What layer.c makes of the row, as far as a plan asks for it. */
static struct oclin_product product_at(const struct row *r, enum oclin_kernel_id id)
{
    const struct oclin_shape shape = {r->batch, r->in, r->out};
    const struct oclin_operand none = {NULL, 0, 0, 0, 0};
    struct oclin_product p = oclin_plan_shaped(id, shape);
    p.activation = r->activation;
    p.transposed = r->transposed;
    if (id == OCLIN_KERNEL_FORWARD) {
        p.a = operand_at(r, X);
        p.b = operand_at(r, W);
        p.c = operand_at(r, Y);
        p.bias = r->bias ? operand_at(r, B) : none;
        return p;
    }
    p.a = operand_at(r, DY);
    if (r->activation != OCLIN_NONE && !keeps_z(r->activation)) p.s = operand_at(r, Y);
    p.b = operand_at(r, id == OCLIN_KERNEL_GRAD_W ? X : W);
    p.c = operand_at(r, id == OCLIN_KERNEL_GRAD_W ? DW : DX);
    if (id == OCLIN_KERNEL_GRAD_W && r->bias) p.db = operand_at(r, DB);
    return p;
}

/* All that the kernels of a row are told but its numbers: shape, places, activation, kind of gradient, and
 * the plan of each of its products with the kernel's own. Equal: the rows are the same test twice. */
static uint64_t key_of(const oclin_context *ctx, const struct row *r)
{
    int64_t all[128] = {r->batch, r->in, r->out, r->activation, r->gradient, r->bias, r->transposed};
    size_t n = 7;
    for (int i = 0; i < PLACED; i++) {
        if (!r->bias && (i == B || i == DB)) continue;
        all[n++] = rows_of(r, i) > 1 ? stride_of(r, i) : 0;
        all[n++] = offset_of(r, i);
    }
    const struct oclin_product grads = product_at(r, OCLIN_KERNEL_ONE_PASS);
    const int one_pass = oclin_plan_one_pass(ctx, &grads);
    for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_ONE_PASS; id++) {
        struct oclin_plan plan;
        const struct oclin_product p = product_at(r, (enum oclin_kernel_id)id);
        const int runs = id == OCLIN_KERNEL_FORWARD || one_pass == (id == OCLIN_KERNEL_ONE_PASS);
        if (!runs || !oclin_plan_product(ctx, &p, 0, &plan)) continue;
        const struct oclin_tile *t = &plan.tile;
        const int64_t of_plan[] = {id,         t->family,   t->vl,        t->group,     t->tile_m,
                                   t->tile_n,  t->tile_k,   t->item_m,    t->item_n,    t->aligned,
                                   t->stage,   t->unroll_k, t->peel,      t->sub_group, t->prefetch,
                                   t->tickets, plan.groups, plan.block_m, plan.block_n, plan.block_k};
        memcpy(all + n, of_plan, sizeof of_plan);
        n += COUNT_OF(of_plan);
    }
    return oclin_cache_hash(all, n * sizeof *all);
}

/* Whether this plan or one before it has such a row. */
static int is_known(const struct rows *rows, uint64_t key)
{
    for (; rows; rows = rows->before)
        for (size_t i = 0; i < rows->count; i++)
            if (rows->keys[i] == key) return 1;
    return 0;
}

static struct oclin_tile tile_in_use(const oclin_context *ctx)
{
    struct oclin_product p;
    struct oclin_plan plan;
    memset(&p, 0, sizeof p);
    p.m = p.n = p.k = 1000;
    if (!oclin_plan_product(ctx, &p, 0, &plan)) abort();
    return plan.tile;
}

/* An activation's text is the same for all plans of a family and a number of lanes, and kernels take long to
 * compile: one of these plans has all activations, the others NONE, ReLU and GELU. */
static int has_all_activations(const char *plan)
{
    static const char *const all[] = {"plain",   "simt-16",     "simd-4",     "simd-8",
                                      "simd-16", "simd-skinny", "simd-narrow"};
    for (size_t i = 0; i < COUNT_OF(all); i++)
        if (strcmp(plan, all[i]) == 0) return 1;
    return 0;
}

static oclin_activation stand_in(oclin_activation activation)
{
    return keeps_z(activation) ? OCLIN_GELU : activation == OCLIN_NONE ? OCLIN_NONE : OCLIN_RELU;
}

/* A row that is there already is moved to other places until it is a new one; it stays aligned if it was. */
static void add_row(struct rows *rows, const struct row *wanted)
{
    struct row row = *wanted;
    row.kind = rows->kind;
    if (!rows->all_activations) row.activation = stand_in(row.activation);
    const int step = row.pad % 4 == 0 && row.offset % 4 == 0 ? 4 : 1;
    for (int i = 0; is_known(rows, key_of(rows->ctx, &row)); i++) *(i % 2 ? &row.pad : &row.offset) += step;
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 64;
        rows->rows = realloc(rows->rows, rows->capacity * sizeof *rows->rows);
        rows->keys = realloc(rows->keys, rows->capacity * sizeof *rows->keys);
        if (!rows->rows || !rows->keys) abort();
    }
    rows->keys[rows->count] = key_of(rows->ctx, &row);
    rows->rows[rows->count++] = row;
}

/* Two of five rows are dense, and begin where their buffers do; two lie in larger ones, with numbers that
 * stay exact; and one besides has an activation whose numbers do not, or a mean. Which ones is another matter
 * for each plan. */
static void add_varied(struct rows *rows, const struct row *dense)
{
    struct row r = *dense;
    struct rng rng = {rows->seed + rows->count};
    const int64_t way = rng_below(&rng, 5);
    if (way >= 2) {
        r.pad = (int)rng_below(&rng, 6);
        r.offset = 1 + (int)rng_below(&rng, 7);
        r.bias = rng_below(&rng, 4) > 0;
        r.activation = rng_below(&rng, 2) ? OCLIN_RELU : OCLIN_NONE;
    }
    if (way == 4) {
        static const oclin_activation inexact[] = {OCLIN_NONE, OCLIN_RELU, OCLIN_SIGMOID, OCLIN_TANH};
        r.data = rng_below(&rng, 2) ? ZERO_MEAN : POSITIVE;
        r.activation = inexact[rng_below(&rng, COUNT_OF(inexact))];
        r.gradient = rng_below(&rng, 3) ? OCLIN_GRAD_MEAN : OCLIN_GRAD_SUM;
    }
    add_row(rows, &r);
}

/* T-1, T, T+1 for every tile number that the family has; each size once. A split needs a k that is longer
 * than a tile, and its tiles are those that are tested without: sizes on both sides of where parts begin. */
static int edges(const struct oclin_tile *t, int64_t *sizes)
{
    const int simt[] = {t->tile_k, t->tile_m}, simd[] = {t->item_m, t->item_n}, plain[] = {2};
    const int *of = t->family == OCLIN_SIMT ? simt : t->family == OCLIN_SIMD ? simd : plain;
    const int numbers = t->family == OCLIN_PLAIN ? 1 : 2;
    if (t->stage == OCLIN_STAGE_PARTS) {
        const int64_t of_split[] = {t->tile_k + 1, 2 * t->tile_k, t->tile_m + 1};
        memcpy(sizes, of_split, sizeof of_split);
        return COUNT_OF(of_split);
    }
    int n = 0;
    for (int i = 0; i < numbers; i++)
        for (int64_t d = -1; d <= 1; d++) {
            int known = 0;
            for (int j = 0; j < n; j++) known |= sizes[j] == of[i] + d;
            if (!known && of[i] + d > 0) sizes[n++] = of[i] + d;
        }
    return n;
}

/* The full product of those sizes for batch, in and out. */
static void add_edges(struct rows *rows, const struct oclin_tile *t)
{
    int64_t sizes[16];
    const int n = edges(t, sizes);
    struct row r = {.bias = 1};
    for (int i = 0; i < n * n * n; i++) {
        r.batch = sizes[i / n / n];
        r.in = sizes[i / n % n];
        r.out = sizes[i % n];
        add_varied(rows, &r);
    }
}

/* simd holds large blocks: their edges, with the sum (k) of each product in turn on the edge of a k-block. */
static void add_block_edges(struct rows *rows, const struct oclin_tile *t)
{
    struct row r = {.bias = 1};
    for (int i = 0; i < 27; i++) {
        const int64_t m = t->tile_m - 1 + i / 9, n = t->tile_n - 1 + i / 3 % 3, k = t->tile_k - 1 + i % 3;
        const int64_t of_product[3][3] = {{m, k, n}, {m, n, k}, {k, n, m}}; /* batch, in, out */
        const int64_t *sizes = of_product[i % 3 == 1 ? i / 3 % 3 : i % 3];
        r.batch = sizes[0];
        r.in = sizes[1];
        r.out = sizes[2];
        add_varied(rows, &r);
    }
}

/* The kernels for small batches: one sample more or less than a pair, than a panel and than the largest
 * batch, columns and rows on the edges of their chunks, more than one group, and more than one block of k. */
static void add_skinny(struct rows *rows)
{
    static const int64_t batches[] = {1, 2, 3, 16, 17, 33, 64, 130}, widths[] = {7, 8, 255, 257, 1041, 2100};
    static const int64_t outs[] = {1, 3, 4, 7, 9, 12, 195, 400};
    for (size_t i = 0; i < COUNT_OF(batches); i++)
        for (size_t j = 0; j < COUNT_OF(widths); j++) {
            const int64_t out = outs[(3 * i + j) % COUNT_OF(outs)];
            const struct row r = {SHAPE(batches[i], widths[j], out),
                                  .activation = (oclin_activation)((i + j) % IN_PAIRS),
                                  .bias = (int)(j % 2),
                                  .gradient = OCLIN_GRAD_MEAN,
                                  .pad = (int)(i % 2) * 3,
                                  .offset = (int)(j % 3),
                                  .data = j % 2 ? EXACT : ZERO_MEAN};
            add_row(rows, &r);
        }
}

static void add_blocks(struct rows *rows, const struct oclin_tile *t)
{
    const char *plan = rows->ctx->plan.name;
    if (t->family == OCLIN_SIMD) add_block_edges(rows, t);
    if (strcmp(plan, "simd-skinny") == 0 || strcmp(plan, "simd-narrow") == 0) add_skinny(rows);
}

/* Everything else, all pairs of levels. The last level of each size is long, so that a sum has many
 * panels. */
enum { OF_BATCH, OF_IN, OF_OUT, OF_ACTIVATION, OF_BIAS, OF_GRADIENT, OF_PAD, OF_OFFSET, OF_DATA, FACTORS };
enum { MAX_PAIR_ROWS = 400 };

static void add_pairs(struct rows *rows, const struct oclin_tile *t)
{
    static const int levels[FACTORS] = {
        [OF_BATCH] = 7,    [OF_IN] = 7,  [OF_OUT] = 7,    [OF_ACTIVATION] = IN_PAIRS, [OF_BIAS] = 2,
        [OF_GRADIENT] = 2, [OF_PAD] = 3, [OF_OFFSET] = 3, [OF_DATA] = DATA_COUNT};
    static const int pads[] = {0, 3, 4}, offsets[] = {0, 1, 4};
    static int table[MAX_PAIR_ROWS * FACTORS];
    const int T = t->family == OCLIN_SIMD ? t->item_n : t->family == OCLIN_SIMT ? t->tile_m : 8;
    const int64_t sizes[] = {1, T - 1, T, T + 1, 2 * T + 3, 37, 3 * T + 200};
    const int64_t count = all_pairs(FACTORS, levels, table, MAX_PAIR_ROWS);
    if (pairs_missing(FACTORS, levels, table, count) != 0) abort(); /* the proof that all pairs occur */
    for (int64_t i = 0; i < count; i++) {
        const int *l = table + i * FACTORS;
        const struct row r = {SHAPE(sizes[l[OF_BATCH]], sizes[l[OF_IN]], sizes[l[OF_OUT]]),
                              .activation = (oclin_activation)l[OF_ACTIVATION],
                              .bias = l[OF_BIAS],
                              .gradient = (oclin_gradient)l[OF_GRADIENT],
                              .pad = pads[l[OF_PAD]],
                              .offset = offsets[l[OF_OFFSET]],
                              .data = (enum data)l[OF_DATA]};
        add_row(rows, &r);
    }
}

static void add_extremes(struct rows *rows, const struct oclin_tile *t)
{
    static const struct row extremes[] = {
        {SHAPE(3001, 2, 3), .activation = OCLIN_RELU, .bias = 1, .pad = 1, .offset = 1}, /* tall */
        /* in dX and dW: several blocks of rows, and of the sum, of an A that has an s beside it */
        {SHAPE(300, 40, 300), .activation = OCLIN_SIGMOID, .bias = 1, .pad = 3, .offset = 1,
         .data = ZERO_MEAN},
        {SHAPE(2, 3, 3001), .bias = 1},                                                   /* wide */
        {SHAPE(2, 3001, 3), .offset = 3, .data = ZERO_MEAN},                              /* deep */
        {SHAPE(128, 784, 10), .bias = 1, .gradient = OCLIN_GRAD_MEAN, .data = ZERO_MEAN}, /* a usual one */
    };
    (void)t;
    for (size_t i = 0; i < COUNT_OF(extremes); i++) add_row(rows, &extremes[i]);
}

/* W and dW as (in, out): every edge of the tile in every product, shapes that use more than one part of A,
 * B and k, and a sum in slices for each product. One activation does, whose derivative reads y. */
static void add_transposed(struct rows *rows, const struct oclin_tile *t)
{
    const int64_t T = t->family == OCLIN_SIMD ? t->item_n : t->family == OCLIN_SIMT ? t->tile_m : 8;
    const struct row shapes[] = {
        {SHAPE(T - 1, T, T + 1)}, {SHAPE(T, T + 1, T - 1)}, {SHAPE(T + 1, T - 1, T)},
        {SHAPE(1, 67, 35)},       {SHAPE(2, 37, 131)},      {SHAPE(16, 210, 50)},
        {SHAPE(T + 9, 300, 40)},  {SHAPE(128, 28, 3 * T)},  {SHAPE(300, 3 * T + 4, 12)},
        {SHAPE(66600, 4, 9)},     {SHAPE(6, 66600, 3)},     {SHAPE(5, 7, 66600)}};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct row r = shapes[i];
        r.transposed = 1;
        r.activation = OCLIN_RELU;
        r.bias = i % 4 != 3;
        r.gradient = i % 2 ? OCLIN_GRAD_MEAN : OCLIN_GRAD_SUM;
        r.pad = i < 6 ? (int)(i % 3) * 3 : 0;
        r.offset = i < 6 ? (int)(i % 2) : 0;
        r.data = (enum data)(i / 2 % DATA_COUNT);
        add_row(rows, &r);
    }
}

/* A ragged and an aligned small row: for runtimes that interpret. */
static void add_small_of(struct rows *rows, oclin_activation activation)
{
    const struct row ragged = {
        SHAPE(9, 17, 5), .activation = activation, .bias = 1, .gradient = OCLIN_GRAD_MEAN, .pad = 3,
        .offset = 1,     .data = ZERO_MEAN};
    const struct row aligned = {SHAPE(8, 20, 12), .activation = activation};
    add_row(rows, &ragged);
    add_row(rows, &aligned);
    if (activation != OCLIN_GELU) return;
    struct row transposed = ragged;
    transposed.transposed = 1;
    add_row(rows, &transposed);
}

static void add_small_that(struct rows *rows, int keep_z)
{
    for (int activation = 0; activation < count_activations(); activation++)
        if (keeps_z((oclin_activation)activation) == keep_z) add_small_of(rows, (oclin_activation)activation);
}

static void add_small(struct rows *rows, const struct oclin_tile *t)
{
    (void)t;
    add_small_that(rows, 0);
}

/* Apart: they keep their z in memory that Oclgrind takes for uninitialised (scripts/oclgrind.sh). */
static void add_small_gelu(struct rows *rows, const struct oclin_tile *t)
{
    (void)t;
    add_small_that(rows, 1);
}

static const struct {
    const char *name;
    void (*add)(struct rows *rows, const struct oclin_tile *t);
} kinds[KINDS] = {
    [EDGE] = {"edge", add_edges},
    [BLOCK] = {"block", add_blocks},
    [PAIR] = {"pair", add_pairs},
    [EXTREME] = {"extreme", add_extremes},
    [TRANSPOSED] = {"transposed", add_transposed},
    [SMALL] = {"small", add_small},
    [SMALL_GELU] = {"small_gelu", add_small_gelu},
};

/* All rows of a plan; ctx is for planning alone. */
static struct rows *make_rows(const oclin_context *ctx, const struct rows *before)
{
    const char *plan = ctx->plan.name;
    const struct oclin_tile t = tile_in_use(ctx);
    struct rows *rows = new_array(struct rows, 1);
    rows->ctx = ctx;
    rows->before = before;
    rows->seed = oclin_cache_hash(plan, strlen(plan));
    rows->all_activations = has_all_activations(plan);
    for (int kind = 0; kind < KINDS; kind++) {
        rows->kind = (enum kind)kind;
        kinds[kind].add(rows, &t);
    }
    return rows;
}

/* A context that plans as one with this plan does, and does nothing else; NULL: the device has no room for
 * the plan. */
static oclin_context *make_planner(const char *plan)
{
    oclin_context *ctx = new_array(oclin_context, 1);
    *ctx = *shared_context;
    ctx->log = NULL;
    if (oclin_plan_choose(ctx, plan) == OCLIN_OK) return ctx;
    free(ctx);
    return NULL;
}

/* The rows of all plans up to the program's: a later plan's differ from those of all before it. */
static struct rows *make_all_rows(void)
{
    struct rows *rows = NULL;
    const char *plan;
    for (int i = 0; (plan = oclin_plan_name(i)); i++) {
        const oclin_context *ctx = strcmp(plan, "simt") == 0 ? NULL : make_planner(plan);
        if (ctx) rows = make_rows(ctx, rows);
        if (strcmp(plan, plan_name) == 0) return rows;
    }
    fprintf(stderr, "%s is no plan\n", plan_name);
    abort();
}

static void free_all_rows(struct rows *rows)
{
    while (rows) {
        struct rows *before = (struct rows *)(uintptr_t)rows->before;
        free((oclin_context *)(uintptr_t)rows->ctx);
        free(rows->rows);
        free(rows->keys);
        free(rows);
        rows = before;
    }
}

static void name_row(const struct rows *rows, size_t i, char name[160])
{
    const struct row *r = &rows->rows[i];
    snprintf(name, 160, "%s/%s%s/%lldx%lldx%lld/%s/%s/%s/pad%d/offset%d/%s", rows->ctx->plan.name,
             kinds[r->kind].name, r->transposed && r->kind != TRANSPOSED ? "_transposed" : "",
             (long long)r->batch, (long long)r->in, (long long)r->out, activation_name(r->activation),
             r->bias ? "bias" : "no_bias", r->gradient == OCLIN_GRAD_MEAN ? "mean" : "sum", r->pad, r->offset,
             data_names[r->data]);
}

static void add_rows(struct test_list *list, struct rows *rows)
{
    char name[160];
    for (size_t i = 0; i < rows->count; i++) {
        name_row(rows, i, name);
        add_test(list, test_row, &rows->rows[i], "%s", name);
    }
}

static uint64_t *all_keys(const struct rows *rows)
{
    uint64_t *keys = new_array(uint64_t, rows->count);
    for (size_t i = 0; i < rows->count; i++) keys[i] = key_of(rows->ctx, &rows->rows[i]);
    return keys;
}

/* No row of the plan is one that it, or a plan before it, has already. */
static void test_no_row_twice(void **state)
{
    const struct rows *rows = *state;
    uint64_t *keys = all_keys(rows);
    for (const struct rows *other = rows; other; other = other->before) {
        uint64_t *others = all_keys(other);
        for (size_t i = 0; i < rows->count; i++)
            for (size_t j = 0; j < (other == rows ? i : other->count); j++) {
                char a[160], b[160];
                if (keys[i] != others[j]) continue;
                name_row(rows, i, a);
                name_row(other, j, b);
                fail_msg("the same kernels, plans and places:\n%s\n%s", a, b);
            }
        free(others);
    }
    free(keys);
}

/* Of the rows around edges at least a third lies in larger buffers, and some of them have activations and
 * means. */
static void test_edges_are_varied(void **state)
{
    const struct rows *rows = *state;
    size_t all = 0, placed = 0, inexact = 0, dense = 0;
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *r = &rows->rows[i];
        if (r->kind != EDGE && r->kind != BLOCK) continue;
        all++;
        placed += r->pad > 0 && r->offset > 0;
        dense += r->pad == 0 && r->offset == 0;
        inexact += r->activation != OCLIN_NONE || r->gradient == OCLIN_GRAD_MEAN;
    }
    assert_true(3 * placed >= all);
    assert_true(5 * inexact >= all);
    assert_true(dense > 0);
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s PLAN [PATTERN]\n", argv[0]);
        return 2;
    }
    self = argv[0];
    plan_name = argv[1];
    if (plan_too_large(plan_name)) return run_refused(plan_name);
    shared_context = make_context(plan_name);
    struct rows *rows = NULL;
    struct test_list list = {NULL, 0, 0};
    if (argc > 2 && strcmp(argv[2], "--hashes") == 0) {
        add_test(&list, test_print_hashes, NULL, "--hashes");
    } else {
        rows = make_all_rows();
        add_rows(&list, rows);
        add_test(&list, test_no_row_twice, rows, "%s/rows/none twice", plan_name);
        add_test(&list, test_edges_are_varied, rows, "%s/rows/edges are varied", plan_name);
        add_test(&list, test_processes, NULL, "%s/processes", plan_name);
    }
    const int failed = run_list(plan_name, &list, argc - 1, argv + 1);
    free_all_rows(rows);
    oclin_context_destroy(shared_context);
    return failed;
}
