/*
 * Every product of the layer on one plan, named by argv[1]: forward, backward, accumulation, step and
 * backward_step on operands that lie, with strides and offsets, inside poisoned arenas.
 *
 * Rows: the full product of sizes around the tile's edges, and all pairs of everything else. Integer data
 * must give the reference's bits; other data must be within its bounds. Every row runs twice and must give
 * the same bits.
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oclin_internal.h"

static const char *plan_name;

enum data { EXACT, ZERO_MEAN, POSITIVE, DATA_COUNT };
static const char *const data_names[] = {"exact", "zero_mean", "positive"};
static const char *const activation_names[] = {"none", "relu", "sigmoid", "tanh", "gelu"};

struct row {
    int64_t batch, in, out;
    oclin_activation activation;
    int bias;
    oclin_gradient gradient;
    int pad;    /* elements between the rows of every operand */
    int offset; /* elements in front of every operand */
    enum data data;
};

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

/* Operands on the device; the parameters and gradients are handed to the layer. */
struct operands {
    struct placed x, w, b, dw, db, y, dy, dx;
    oclin_layer *layer;
};

/* Each operand has a stride and an offset of its own (`which` times the row's): none may be taken for another's. */
static struct placed place(oclin_context *ctx, const struct row *r, int which, int64_t rows, int64_t cols,
                           const float *host)
{
    return tensor_from(ctx, rows, cols, cols + which * r->pad, which * r->offset, host);
}

static struct operands make_operands(oclin_context *ctx, const struct row *r, const struct host_data *h)
{
    struct operands o;
    memset(&o, 0, sizeof o);
    o.x = place(ctx, r, 1, r->batch, r->in, h->x);
    o.w = place(ctx, r, 2, r->out, r->in, h->w);
    o.b = place(ctx, r, 1, 1, r->out, h->b);
    o.dy = place(ctx, r, 1, r->batch, r->out, h->dy);
    /* outputs hold NaN: whoever reads what it should overwrite shows it */
    o.dw = place(ctx, r, 3, r->out, r->in, NULL);
    o.db = place(ctx, r, 2, 1, r->out, NULL);
    o.y = place(ctx, r, 2, r->batch, r->out, NULL);
    o.dx = place(ctx, r, 4, r->batch, r->in, NULL);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = r->activation;
    options.gradient = r->gradient;
    options.bias = r->bias;
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
    if (r->activation == OCLIN_GELU) {
        out->z = new_array(float, r->batch * r->out);
        assert_ok(ctx, oclin_tensor_read(o.layer->saved->z, out->z));
    }
    assert_ok(ctx, oclin_layer_backward(o.layer, o.dy.t, o.dx.t));
    out->dx = read_placed(ctx, &o.dx);
    out->dw = read_placed(ctx, &o.dw);
    if (r->bias) out->db = read_placed(ctx, &o.db);
    assert_ok(ctx, oclin_layer_backward(o.layer, o.dy.t, NULL));
    out->dw2 = read_placed(ctx, &o.dw);
    if (r->bias) out->db2 = read_placed(ctx, &o.db);
    assert_ok(ctx, oclin_layer_zero_grad(o.layer));
    assert_ok(ctx, oclin_layer_backward(o.layer, o.dy.t, NULL));
    assert_ok(ctx, oclin_layer_step(o.layer, lr));
    out->w_step = read_placed(ctx, &o.w);
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
    out->w_fused = read_placed(ctx, &o.w);
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
    static const char *const names[] = {"plain", "simt", "simd", "skinny"};
    const struct oclin_shape shape = {r->batch, r->in, r->out};
    const struct oclin_product grads = oclin_plan_shaped(OCLIN_KERNEL_GRADS, shape),
                               p = oclin_plan_shaped(is_forward ? OCLIN_KERNEL_FORWARD : OCLIN_KERNEL_GRAD_X,
                                                     shape);
    struct oclin_plan plan;
    if (!is_forward && oclin_plan_one_pass(shared_context, &grads)) return "skinny";
    return oclin_plan_product(shared_context, &p, 0, &plan) ? names[plan.tile.family] : "?";
}

static void measure_row(const struct row *r, const char *name)
{
    char operation[32];
    const int is_y = strcmp(name, "y") == 0;
    snprintf(operation, sizeof operation, is_y ? "forward, %s" : "%s",
             is_y ? activation_names[r->activation] : name);
    measure(family_of(r, is_y || strcmp(name, "z") == 0), operation, "%s %lld x %lld x %lld, %s, %s%s%s",
            plan_name, (long long)r->batch, (long long)r->in, (long long)r->out,
            activation_names[r->activation], data_names[r->data], r->bias ? ", bias" : "",
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
    oclin_ref_accumulate(n, got, g->value, g->bound, w.value, w.bound);
    check(r, name, rows, cols, twice, w.value, w.bound);
    snprintf(name, sizeof name, "%s after backward and step", letter);
    oclin_ref_step(n, parameter, g->value, g->bound, lr, w.value, w.bound);
    check(r, name, rows, cols, step, w.value, w.bound);
    snprintf(name, sizeof name, "%s after backward_step", letter);
    check_same_bits(name, fused, step, n);
    free_wanted(&w);
}

static void check_results(const oclin_context *ctx, const struct row *r, const struct host_data *h,
                          const struct results *got)
{
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(r->batch, r->in, r->out);
    c.activation = r->activation;
    c.gradient = r->gradient;
    c.zero_mean = r->data == ZERO_MEAN;
    c.no_denormals = !ctx->device.denormals;
    const float *s = r->activation == OCLIN_GELU ? got->z : got->y;
    struct wanted y = new_wanted(r->batch * r->out), z = new_wanted(r->batch * r->out);
    struct wanted dx = new_wanted(r->batch * r->in), dw = new_wanted(r->out * r->in), db = new_wanted(r->out);

    oclin_ref_forward(&c, h->x, h->w, r->bias ? h->b : NULL, z.value, z.bound, y.value, y.bound);
    check(r, "y", r->batch, r->out, got->y, y.value, y.bound);
    if (got->z) check(r, "z", r->batch, r->out, got->z, z.value, z.bound);
    /* derivatives of activations take both signs: products of any data */
    if (r->activation != OCLIN_NONE) c.zero_mean = 0;
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

static void check_same_twice(const struct row *r, const struct results *a, const struct results *b)
{
    check_same_bits("y of a second run", a->y, b->y, r->batch * r->out);
    check_same_bits("dx of a second run", a->dx, b->dx, r->batch * r->in);
    check_same_bits("dw of a second run", a->dw, b->dw, r->out * r->in);
    check_same_bits("dw2 of a second run", a->dw2, b->dw2, r->out * r->in);
    check_same_bits("w of a second run", a->w_fused, b->w_fused, r->out * r->in);
    if (r->bias) check_same_bits("db of a second run", a->db, b->db, r->out);
}

static void test_row(void **state)
{
    const struct row *r = *state;
    struct host_data h = make_data(r);
    struct results first = run(shared_context, r, &h), second = run(shared_context, r, &h);
    check_results(shared_context, r, &h, &first);
    check_same_twice(r, &first, &second);
    free_results(&first);
    free_results(&second);
    free(h.x);
    free(h.w);
    free(h.b);
    free(h.dy);
}

/* -------------------------------------------------------------------------------------------------- rows */

struct rows {
    struct row *rows;
    size_t count, capacity;
};

static void add_row(struct rows *rows, const struct row *row)
{
    if (rows->count == rows->capacity) {
        rows->capacity = rows->capacity ? 2 * rows->capacity : 64;
        rows->rows = realloc(rows->rows, rows->capacity * sizeof *rows->rows);
        if (!rows->rows) abort();
    }
    rows->rows[rows->count++] = *row;
}

static struct oclin_tile tile_in_use(oclin_context *ctx)
{
    struct oclin_product p;
    struct oclin_plan plan;
    memset(&p, 0, sizeof p);
    p.m = p.n = p.k = 1000;
    if (!oclin_plan_product(ctx, &p, 0, &plan)) abort();
    return plan.tile;
}

/* The full product of sizes[0..n) for batch, in and out. */
static void add_cube(struct rows *rows, const int64_t *sizes, int n)
{
    struct row r = {0, 0, 0, OCLIN_NONE, 1, OCLIN_GRAD_SUM, 0, 0, EXACT};
    for (int i = 0; i < n * n * n; i++) {
        r.batch = sizes[i / n / n];
        r.in = sizes[i / n % n];
        r.out = sizes[i % n];
        add_row(rows, &r);
    }
}

/* T-1, T, T+1 for every tile number that the family has; each size once. */
static int edges(const struct oclin_tile *t, int64_t *sizes)
{
    const int simt[] = {t->tile_k, t->tile_m}, simd[] = {t->item_m, t->item_n}, plain[] = {2};
    const int *of = t->family == OCLIN_SIMT ? simt : t->family == OCLIN_SIMD ? simd : plain;
    const int numbers = t->family == OCLIN_PLAIN ? 1 : 2;
    int n = 0;
    for (int i = 0; i < numbers; i++)
        for (int64_t d = -1; d <= 1; d++) {
            int known = 0;
            for (int j = 0; j < n; j++) known |= sizes[j] == of[i] + d;
            if (!known && of[i] + d > 0) sizes[n++] = of[i] + d;
        }
    return n;
}

/* simd holds large blocks: their edges, with the sum (k) of each product in turn on the edge of a k-block. */
static void add_block_edges(struct rows *rows, const struct oclin_tile *t)
{
    struct row r = {0, 0, 0, OCLIN_NONE, 1, OCLIN_GRAD_SUM, 0, 0, EXACT};
    for (int i = 0; i < 27; i++) {
        const int64_t m = t->tile_m - 1 + i / 9, n = t->tile_n - 1 + i / 3 % 3, k = t->tile_k - 1 + i % 3;
        const int64_t of_product[3][3] = {{m, k, n}, {m, n, k}, {k, n, m}}; /* batch, in, out */
        const int64_t *sizes = of_product[i % 3 == 1 ? i / 3 % 3 : i % 3];
        r.batch = sizes[0];
        r.in = sizes[1];
        r.out = sizes[2];
        add_row(rows, &r);
    }
}

/* The kernels for small batches: one sample more or less than a pair, than a panel and than the largest batch, columns and rows on the
 * edges of their chunks, more than one group, and more than one block of k. */
static void add_skinny(struct rows *rows)
{
    static const int64_t batches[] = {1, 2, 3, 16, 17, 33, 64, 130}, widths[] = {7, 8, 255, 257, 1041, 2100};
    static const int64_t outs[] = {1, 3, 4, 7, 9, 12, 195, 400};
    for (size_t i = 0; i < COUNT_OF(batches); i++)
        for (size_t j = 0; j < COUNT_OF(widths); j++) {
            const int64_t out = outs[(3 * i + j) % COUNT_OF(outs)];
            const struct row r = {batches[i],
                                  widths[j],
                                  out,
                                  (oclin_activation)((i + j) % 5),
                                  (int)(j % 2),
                                  OCLIN_GRAD_MEAN,
                                  (int)(i % 2) * 3,
                                  (int)(j % 3),
                                  j % 2 ? EXACT : ZERO_MEAN};
            add_row(rows, &r);
        }
}

/* Everything else, all pairs of levels. The last level of each size is long, so that a sum has many panels.
 */
enum { FACTORS = 9, MAX_PAIR_ROWS = 400 };

static void add_pairs(struct rows *rows, const struct oclin_tile *t)
{
    static const int levels[FACTORS] = {7, 7, 7, 5, 2, 2, 3, 3, DATA_COUNT};
    static const int pads[] = {0, 3, 4}, offsets[] = {0, 1, 4};
    static int table[MAX_PAIR_ROWS * FACTORS];
    const int T = t->family == OCLIN_SIMD ? t->item_n : t->family == OCLIN_SIMT ? t->tile_m : 8;
    const int64_t sizes[] = {1, T - 1, T, T + 1, 2 * T + 3, 37, 3 * T + 200};
    const int64_t count = all_pairs(FACTORS, levels, table, MAX_PAIR_ROWS);
    if (pairs_missing(FACTORS, levels, table, count) != 0) abort(); /* the proof that all pairs occur */
    for (int64_t i = 0; i < count; i++) {
        const int *l = table + i * FACTORS;
        const struct row r = {sizes[l[0]],          sizes[l[1]], sizes[l[2]],   (oclin_activation)l[3], l[4],
                              (oclin_gradient)l[5], pads[l[6]],  offsets[l[7]], (enum data)l[8]};
        add_row(rows, &r);
    }
}

static void add_extremes(struct rows *rows)
{
    const struct row tall = {3001, 2, 3, OCLIN_RELU, 1, OCLIN_GRAD_SUM, 1, 1, EXACT};
    const struct row wide = {2, 3, 3001, OCLIN_NONE, 1, OCLIN_GRAD_SUM, 0, 0, EXACT};
    const struct row deep = {2, 3001, 3, OCLIN_NONE, 0, OCLIN_GRAD_SUM, 0, 3, ZERO_MEAN};
    const struct row fashion = {128, 784, 10, OCLIN_NONE, 1, OCLIN_GRAD_MEAN, 0, 0, ZERO_MEAN};
    /* in dX and dW: several blocks of rows, and of the sum, of an A that has an s beside it */
    const struct row blocks = {300, 40, 300, OCLIN_SIGMOID, 1, OCLIN_GRAD_SUM, 3, 1, ZERO_MEAN};
    add_row(rows, &tall);
    add_row(rows, &blocks);
    add_row(rows, &wide);
    add_row(rows, &deep);
    add_row(rows, &fashion);
}

/* A few small rows that see every activation, aligned and ragged: for runtimes that interpret. */
static void add_small(struct rows *rows, oclin_activation first, oclin_activation last)
{
    for (int activation = (int)first; activation <= (int)last; activation++) {
        const struct row ragged = {9, 17, 5,        (oclin_activation)activation, 1, OCLIN_GRAD_MEAN,
                                   3, 1,  ZERO_MEAN};
        const struct row aligned = {8, 20, 12, (oclin_activation)activation, 0, OCLIN_GRAD_SUM, 0, 0, EXACT};
        add_row(rows, &ragged);
        add_row(rows, &aligned);
    }
}

static void name_rows(struct test_list *list, struct rows *rows, size_t first, size_t end, const char *kind)
{
    for (size_t i = first; i < end; i++) {
        struct row *r = &rows->rows[i];
        add_test(list, test_row, r, "%s/%s/%lldx%lldx%lld/%s/%s/%s/pad%d/offset%d/%s", plan_name, kind,
                 (long long)r->batch, (long long)r->in, (long long)r->out, activation_names[r->activation],
                 r->bias ? "bias" : "no_bias", r->gradient == OCLIN_GRAD_MEAN ? "mean" : "sum", r->pad,
                 r->offset, data_names[r->data]);
    }
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        fprintf(stderr, "usage: %s PLAN [PATTERN]\n", argv[0]);
        return 2;
    }
    plan_name = argv[1];
    if (plan_too_large(plan_name)) return run_refused(plan_name);
    shared_context = make_context(plan_name);
    const struct oclin_tile t = tile_in_use(shared_context);
    struct rows rows = {NULL, 0, 0};
    int64_t sizes[16];
    struct kind {
        const char *name;
        size_t end;
    } kinds[6];
    add_cube(&rows, sizes, edges(&t, sizes));
    kinds[0] = (struct kind){"edge", rows.count};
    if (t.family == OCLIN_SIMD) add_block_edges(&rows, &t);
    if (strcmp(plan_name, "simd-skinny") == 0 || strcmp(plan_name, "simd-narrow") == 0) add_skinny(&rows);
    kinds[1] = (struct kind){"block", rows.count};
    add_pairs(&rows, &t);
    kinds[2] = (struct kind){"pair", rows.count};
    add_extremes(&rows);
    kinds[3] = (struct kind){"extreme", rows.count};
    add_small(&rows, OCLIN_NONE, OCLIN_TANH);
    kinds[4] = (struct kind){"small", rows.count};
    add_small(&rows, OCLIN_GELU, OCLIN_GELU);
    kinds[5] = (struct kind){"small_gelu", rows.count};
    struct test_list list = {NULL, 0, 0};
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        name_rows(&list, &rows, i ? kinds[i - 1].end : 0, kinds[i].end, kinds[i].name);
    const int failed = run_list(plan_name, &list, argc - 1, argv + 1);
    oclin_context_destroy(shared_context);
    free(rows.rows);
    return failed;
}
