/*
 * Long sums of like numbers, on every plan: they stay within the proven bound, for as many roundings as
 * the plan says that a term passes (plan/additions.c), and numbers that are chosen to be rounded to one
 * side each time come close to it: so the plan says neither too few nor too many. OCLIN_VERIFY compares;
 * here is the data.
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oclin_internal.h"

/* Rows or columns that are not summed over; MORE are several blocks of rows, where cores share them out: for
 * dW by the default plan alone, since all simd plans share those lines. */
enum { FEW = 2, SOME = 3, MORE = 13 };

static const char *const names[] = {"y", "dx", "dw", "db"};

/* A sum of `terms`, which is one result's. */
struct sum_of {
    const char *plan;
    oclin_result result;
    int64_t terms;
    float like; /* every term; 0: those that are rounded to one side */
    int64_t batch;
    int units; /* that the device seems to have; 0: its own */
};

static oclin_context *verifying(const char *plan, int units)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = plan;
    o.verify = 1;
    needs_plan(plan);
    oclin_context *ctx = make_context_with(o);
    if (units) ctx->device.info.compute_units = units;
    return ctx;
}

/* ------------------------------------------------------------------------- terms that are rounded to one
 * side */

/* Just above half of the last place of a number in [1, 2): each rounds it up by nearly as much. */
static const float straw = 0x1p-24f * 1.0009765625f;

/* `count` terms, `step` apart, in one chain: the second and all behind it become straws. */
static int64_t add_straws(float *terms, int64_t n, int64_t step, int64_t count)
{
    int64_t added = 0;
    for (int64_t i = 1; i < count && i * step < n; i++, added++) terms[i * step] = straw;
    return added;
}

/* The lanes of a vector are added in halves. */
static int64_t add_lanes(float *terms, int64_t n, int64_t lanes)
{
    int64_t added = 0;
    for (int64_t half = lanes / 2; half > 0; half /= 2) added += add_straws(terms, n, half, 2);
    return added;
}

static int64_t blocks_of(int64_t n, int64_t block)
{
    return (n + block - 1) / block;
}

static int64_t place_db(float *terms, int64_t k, const struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t slice = plan->slice_k, block = plan->block_k;
    if (t->family == OCLIN_SIMT) {
        const int64_t shares = (int64_t)t->group * 4 / t->tile_m, together = OCLIN_SIMT_SUM_STEPS * shares,
                      part = oclin_is_split(plan) ? block : slice;
        return add_straws(terms, part, shares, OCLIN_SIMT_SUM_STEPS) +
               add_straws(terms, part, together, blocks_of(part, together)) + add_straws(terms, k, 1, shares);
    }
    const int64_t part = OCLIN_SIMD_SUM_DEPTH < block ? OCLIN_SIMD_SUM_DEPTH : block,
                  together = OCLIN_SIMD_SUM_BLOCKS * block;
    return add_straws(terms, k, 4, part / 4) + add_straws(terms, k, 1, 3) +
           add_straws(terms, k, part, blocks_of(block, part)) +
           add_straws(terms, k, block, OCLIN_SIMD_SUM_BLOCKS) +
           add_straws(terms, k, together, blocks_of(slice, together));
}

/* 1, and straws where the plan adds something to the sum that has it. Returns how many. */
static int64_t place(float *terms, int64_t k, const struct oclin_plan *plan, const struct sum_of *s)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t slice = plan->slice_k < k ? plan->slice_k : k, block = plan->block_k;
    memset(terms, 0, (size_t)k * sizeof *terms);
    terms[0] = 1.0f;
    if (t->family == OCLIN_SKINNY && s->result == OCLIN_RESULT_Y)
        return add_straws(terms, block, t->vl, plan->chunk / t->vl) +
               add_straws(terms, block, plan->chunk, blocks_of(block, plan->chunk)) +
               add_lanes(terms, k, t->vl) + add_straws(terms, k, block, blocks_of(k, block));
    if (t->family == OCLIN_SKINNY && s->result == OCLIN_RESULT_DX)
        return add_straws(terms, k, 1, plan->block_m) +
               add_straws(terms, k, plan->block_m, blocks_of(k, plan->block_m));
    if (t->family == OCLIN_SKINNY) {
        const int64_t chunk = OCLIN_SKINNY_CHUNK;
        return add_straws(terms, k, 1, chunk) + add_straws(terms, k, chunk, blocks_of(k, chunk));
    }
    int64_t slices = add_straws(terms, k, slice, blocks_of(k, slice));
    if (oclin_is_split(plan)) slices += add_straws(terms, slice, block, oclin_parts(plan, k));
    if (s->result == OCLIN_RESULT_DB && t->family != OCLIN_PLAIN) return slices + place_db(terms, k, plan);
    if (t->family == OCLIN_SIMT)
        return slices + add_straws(terms, slice, 1, oclin_is_split(plan) ? block : slice);
    return slices + add_straws(terms, slice, 1, block) +
           add_straws(terms, slice, block, blocks_of(slice, block));
}

/* ------------------------------------------------------------------------------------------------ layers */

static oclin_tensor *filled(oclin_context *ctx, int64_t rows, int64_t cols, float value)
{
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, rows, cols, NULL);
    assert_ok(ctx, oclin_tensor_fill(t, (double)value));
    return t;
}

/* A row of terms for each of `rows`, or, standing, a column for each. */
static oclin_tensor *of_terms(oclin_context *ctx, const float *terms, int64_t n, int64_t others, int standing)
{
    float *all = new_array(float, n *others);
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < others; j++) all[standing ? i * others + j : j * n + i] = terms[i];
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, standing ? n : others, standing ? others : n, all);
    free(all);
    return t;
}

/* x, w and dy are 1 but for the one whose elements are the terms. */
struct layer_of {
    oclin_layer *layer;
    oclin_tensor *x, *w, *y, *dy, *dx;
};

static struct layer_of layer_with(oclin_context *ctx, const struct sum_of *s, const float *terms)
{
    const int64_t k = s->terms, batch = s->result >= OCLIN_RESULT_DW ? k : s->batch,
                  in = s->result == OCLIN_RESULT_Y ? k : SOME, out = s->result == OCLIN_RESULT_DX ? k : SOME;
    struct layer_of l;
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    l.w = s->result == OCLIN_RESULT_Y    ? of_terms(ctx, terms, k, out, 0)
          : s->result == OCLIN_RESULT_DX ? of_terms(ctx, terms, k, in, 1)
                                         : filled(ctx, out, in, 1.0f);
    l.x = filled(ctx, batch, in, 1.0f);
    l.dy = s->result >= OCLIN_RESULT_DW ? of_terms(ctx, terms, k, out, 1) : filled(ctx, batch, out, 1.0f);
    l.y = make_tensor(ctx, OCLIN_F32, batch, out, NULL);
    l.dx = make_tensor(ctx, OCLIN_F32, batch, in, NULL);
    o.w = l.w;
    o.init = OCLIN_INIT_ZERO;
    assert_ok(ctx, oclin_layer_create(&l.layer, ctx, in, out, &o));
    return l;
}

static void layer_release(struct layer_of *l)
{
    oclin_tensor *const all[] = {l->x, l->w, l->y, l->dy, l->dx};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(l->layer);
}

/* The operation that makes the result; the context verifies it. */
static void run(oclin_context *ctx, const struct sum_of *s, const struct layer_of *l)
{
    if (s->result != OCLIN_RESULT_Y) {
        ctx->verify = 0;
        assert_ok(ctx, oclin_layer_forward(l->layer, l->x, l->y));
        ctx->verify = 1;
    }
    ctx->verify_worst = 0.0;
    if (s->result == OCLIN_RESULT_Y)
        assert_ok(ctx, oclin_layer_infer(l->layer, l->x, l->y));
    else
        assert_ok(ctx, oclin_layer_backward(l->layer, l->dy, s->result == OCLIN_RESULT_DX ? l->dx : NULL));
}

/* The plan of the kernel that makes the result. */
static struct oclin_plan plan_of(const oclin_context *ctx, const struct sum_of *s)
{
    static const enum oclin_kernel_id ids[] = {OCLIN_KERNEL_FORWARD, OCLIN_KERNEL_GRAD_X, OCLIN_KERNEL_GRAD_W,
                                               OCLIN_KERNEL_GRAD_W};
    const int64_t k = s->terms;
    const struct oclin_shape shape = {s->result >= OCLIN_RESULT_DW ? k : s->batch,
                                      s->result == OCLIN_RESULT_Y ? k : SOME,
                                      s->result == OCLIN_RESULT_DX ? k : SOME};
    struct oclin_product p = oclin_plan_shaped(ids[s->result], shape);
    const struct oclin_product grads = oclin_plan_shaped(OCLIN_KERNEL_ONE_PASS, shape);
    if (s->result != OCLIN_RESULT_Y && oclin_plan_one_pass(ctx, &grads)) p = grads;
    struct oclin_plan plan;
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    return plan;
}

static void test_like(void **state)
{
    const struct sum_of *s = *state;
    oclin_context *ctx = verifying(s->plan, s->units);
    float *terms = new_array(float, s->terms);
    for (int64_t i = 0; i < s->terms; i++) terms[i] = s->like;
    struct layer_of l = layer_with(ctx, s, terms);
    run(ctx, s, &l);
    layer_release(&l);
    free(terms);
    oclin_context_destroy(ctx);
}

/* Of n roundings the first is that of a product, which is exact here, and the last few may be of sums that
 * have no straw. */
static void test_one_side(void **state)
{
    const struct sum_of *s = *state;
    oclin_context *ctx = verifying(s->plan, s->units);
    const struct oclin_plan plan = plan_of(ctx, s);
    float *terms = new_array(float, s->terms);
    const int64_t straws = place(terms, s->terms, &plan, s);
    struct layer_of l = layer_with(ctx, s, terms);
    int64_t additions;
    assert_ok(ctx, oclin_layer_additions(l.layer, s->result,
                                         s->result >= OCLIN_RESULT_DW ? s->terms : s->batch, &additions));
    assert_true(straws <= additions);
    run(ctx, s, &l);
    /* of the bound for one rounding more, as of a bias */
    const double worst = ctx->verify_worst, least = 0.97 * (double)straws / ((double)additions + 1.0);
    if (worst < least || (double)straws < 0.8 * (double)(additions - 4))
        fail_msg(
            "%lld roundings are said, %lld terms are each rounded up, and the error is %.3f of the bound",
            (long long)additions, (long long)straws, worst);
    layer_release(&l);
    free(terms);
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------ all that follows a sum in slices, and
 * losses */

static void read_same(oclin_context *ctx, const char *name, oclin_tensor *t, oclin_tensor *u)
{
    const int64_t n = oclin_tensor_rows(t) * oclin_tensor_cols(t);
    float *a = new_array(float, n), *b = new_array(float, n);
    assert_ok(ctx, oclin_tensor_read(t, a));
    assert_ok(ctx, oclin_tensor_read(u, b));
    check_same_bits(name, a, b, n);
    free(a);
    free(b);
}

static oclin_tensor *random_tensor(oclin_context *ctx, struct rng *rng, int64_t rows, int64_t cols)
{
    float *host = new_array(float, rows *cols);
    fill_zero_mean(rng, host, rows * cols);
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, rows, cols, host);
    free(host);
    return t;
}

/* Z that is kept, a mean over the batch, gradients that are added to, both ways to step: each operation is
 * verified, and the two ways give the same bits. */
static void test_epilogues(void **state)
{
    const struct sum_of *s = *state;
    oclin_context *ctx = verifying(s->plan, s->units);
    /* in a multiple of 4, so that the column of db's slices is one that would fill no row */
    const int64_t k = s->terms, batch = s->result >= OCLIN_RESULT_DW ? k : FEW,
                  in = s->result == OCLIN_RESULT_Y ? k : 4,
                  some = s->result == OCLIN_RESULT_DW && !*s->plan ? MORE : SOME,
                  out = s->result == OCLIN_RESULT_DX ? k : some;
    struct rng rng = {42};
    oclin_tensor *x = random_tensor(ctx, &rng, batch, in), *dy = random_tensor(ctx, &rng, batch, out),
                 *y = filled(ctx, batch, out, NAN), *dx = filled(ctx, batch, in, NAN);
    oclin_layer *two[2];
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.activation = OCLIN_GELU;
    o.gradient = OCLIN_GRAD_MEAN;
    for (int i = 0; i < 2; i++) {
        assert_ok(ctx, oclin_layer_create(&two[i], ctx, in, out, &o));
        assert_ok(ctx, oclin_layer_forward(two[i], x, y));
    }
    assert_ok(ctx, oclin_layer_backward(two[0], dy, dx));
    assert_ok(ctx, oclin_layer_step(two[0], 0.5f));
    assert_ok(ctx, oclin_layer_backward_step(two[1], dy, dx, 0.5f));
    read_same(ctx, "w", oclin_layer_w(two[0]), oclin_layer_w(two[1]));
    read_same(ctx, "b", oclin_layer_b(two[0]), oclin_layer_b(two[1]));
    assert_ok(ctx, oclin_layer_backward(two[0], dy, NULL)); /* added to what is there */
    for (int i = 0; i < 2; i++) oclin_layer_destroy(two[i]);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(dy);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(dx);
    oclin_context_destroy(ctx);
}

/* Rows of like numbers: each loss within its proven bound, and cross-entropy's gradient adds up to 0. */
static void test_losses(void **state)
{
    const struct sum_of *s = *state;
    oclin_context *ctx = verifying(s->plan, s->units);
    const int64_t cols = s->terms;
    oclin_tensor *y = filled(ctx, FEW, cols, s->like), *t = filled(ctx, FEW, cols, 0.0f),
                 *dy = make_tensor(ctx, OCLIN_F32, FEW, cols, NULL),
                 *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *labels = make_tensor(ctx, OCLIN_I32, FEW, 1, (const int32_t[FEW]){0, 0});
    assert_ok(ctx, oclin_loss_mse(y, t, loss, dy, NULL));
    assert_ok(ctx, oclin_loss_cross_entropy(y, labels, loss, dy, NULL, NULL));
    float *host = new_array(float, FEW *cols);
    assert_ok(ctx, oclin_tensor_read(dy, host));
    int64_t additions;
    assert_ok(ctx, oclin_loss_additions(ctx, cols, &additions));
    for (int64_t r = 0; r < FEW; r++) {
        double sum = 0.0;
        for (int64_t i = 0; i < cols; i++) sum += (double)host[r * cols + i];
        if (fabs(sum) > 0x1p-24 * ((double)additions + 20.0) / FEW)
            fail_msg("the gradient of a row of %lld classes adds up to %g", (long long)cols, sum);
    }
    free(host);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(dy);
    oclin_tensor_destroy(loss);
    oclin_tensor_destroy(labels);
    oclin_context_destroy(ctx);
}

/* A row of squares, rounded to one side each time. */
static void test_loss_one_side(void **state)
{
    const struct sum_of *s = *state;
    oclin_context *ctx = verifying(s->plan, s->units);
    struct oclin_plan plan;
    oclin_plan_rows(ctx, 1, s->terms, OCLIN_LARGEST_GROUP, &plan);
    const int64_t lanes = (int64_t)plan.tile.group * plan.tile.vl, cols = s->terms;
    float *host = new_array(float, cols);
    host[0] = 1.0f;
    int64_t straws = add_straws(host, cols, lanes, plan.chunk / lanes) +
                     add_straws(host, cols, plan.chunk, blocks_of(cols, plan.chunk));
    straws += add_lanes(host, cols, lanes);
    for (int64_t i = 1; i < cols; i++)
        if (host[i] != 0.0f) host[i] = 0x1.002p-12f; /* its square is a straw */
    oclin_tensor *y = make_tensor(ctx, OCLIN_F32, 1, cols, host), *t = filled(ctx, 1, cols, 0.0f),
                 *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    o.reduction = OCLIN_SUM;
    assert_ok(ctx, oclin_loss_mse(y, t, loss, NULL, &o));
    int64_t additions;
    assert_ok(ctx, oclin_loss_additions(ctx, cols, &additions));
    /* beside n: 2 for the difference, 4 and 1 for the sum over rows and the factor */
    if (ctx->verify_worst < 0.9 * (double)straws / ((double)additions + 8.0))
        fail_msg(
            "%lld roundings are said, %lld terms are each rounded up, and the error is %.3f of the bound",
            (long long)additions, (long long)straws, ctx->verify_worst);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(loss);
    free(host);
    oclin_context_destroy(ctx);
}

/* Buffers that kernels may only write take y and dx of long sums, too; and a verified state that another
 * layer, with a z of its own, has used for a smaller batch has room for this one. */
static void test_write_only(void **state)
{
    enum { K = 9000, BATCH = 3 };
    const char *plan = *state;
    oclin_context *ctx = verifying(plan, 0);
    cl_context handle;
    cl_int error;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    struct rng rng = {42};
    for (int long_in = 0; long_in < 2; long_in++) {
        const int64_t in = long_in ? K : SOME, out = long_in ? SOME : K;
        oclin_layer *gelu, *plain;
        oclin_saved *saved;
        struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
        o.activation = OCLIN_GELU;
        assert_ok(ctx, oclin_layer_create(&gelu, ctx, in, out, &o));
        o.activation = OCLIN_NONE;
        assert_ok(ctx, oclin_layer_create(&plain, ctx, in, out, &o));
        assert_ok(ctx, oclin_saved_create(&saved, ctx));
        cl_mem memory[2] = {
            clCreateBuffer(handle, CL_MEM_WRITE_ONLY, sizeof(float) * BATCH * (size_t)out, NULL, &error),
            clCreateBuffer(handle, CL_MEM_WRITE_ONLY, sizeof(float) * BATCH * (size_t)in, NULL, &error)};
        oclin_tensor *x = random_tensor(ctx, &rng, BATCH, in), *dy = random_tensor(ctx, &rng, BATCH, out), *y,
                     *dx, *one_x, *one_y = make_tensor(ctx, OCLIN_F32, 1, out, NULL);
        assert_ok(ctx, oclin_tensor_wrap(&y, ctx, OCLIN_F32, memory[0], 0, BATCH, out, out));
        assert_ok(ctx, oclin_tensor_wrap(&dx, ctx, OCLIN_F32, memory[1], 0, BATCH, in, in));
        assert_ok(ctx, oclin_tensor_view_rows(&one_x, x, 0, 1));
        assert_ok(ctx, oclin_layer_forward_saved(gelu, one_x, one_y, saved));
        assert_ok(ctx, oclin_layer_forward_saved(plain, x, y, saved));
        assert_ok(ctx, oclin_layer_backward_saved(plain, dy, dx, saved));
        oclin_tensor *const all[] = {x, dy, y, dx, one_x, one_y};
        for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
        for (int i = 0; i < 2; i++) clReleaseMemObject(memory[i]);
        oclin_saved_destroy(saved);
        oclin_layer_destroy(gelu);
        oclin_layer_destroy(plain);
    }
    oclin_context_destroy(ctx);
}

static void test_asked_badly(void **state)
{
    (void)state;
    oclin_context *ctx = make_context(NULL);
    oclin_layer *l;
    int64_t n = 7;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 5, 3, NULL));
    assert_int_equal(oclin_layer_additions(NULL, OCLIN_RESULT_Y, 1, &n), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_layer_additions(l, OCLIN_RESULT_Y, 1, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "result 4", oclin_layer_additions(l, (oclin_result)4, 1, &n));
    assert_refused(ctx, OCLIN_E_SHAPE, "batch of 0", oclin_layer_additions(l, OCLIN_RESULT_DW, 0, &n));
    assert_refused(ctx, OCLIN_E_SHAPE, "-1", oclin_layer_additions(l, OCLIN_RESULT_DW, -1, &n));
    assert_int_equal(oclin_loss_additions(NULL, 1, &n), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_SHAPE, "larger than any memory", oclin_loss_additions(ctx, INT64_MAX, &n));
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_loss_additions(ctx, 1, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "0 columns", oclin_loss_additions(ctx, 0, &n));
    assert_int_equal(n, 7);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* -------------------------------------------------------------------------------------------------- rows */

static struct sum_of rows[900];
static size_t row_count;

static struct sum_of *row(const char *plan, oclin_result result, int64_t terms, float like, int64_t batch)
{
    assert_true(row_count < COUNT_OF(rows));
    rows[row_count] = (struct sum_of){plan, result, terms, like, batch, 0};
    return &rows[row_count++];
}

/* On two units a long sum is in two parts, and these in slices. */
static void add_slices_of_parts(struct test_list *list, const char *plan, oclin_result result)
{
    enum { LONG = 20000 };
    struct sum_of *const all[] = {row(plan, result, LONG, 0.0f, FEW), row(plan, result, 9000, 0.0f, FEW)};
    for (size_t i = 0; i < COUNT_OF(all); i++) all[i]->units = 2;
    add_test(list, test_one_side, all[0], "slices of parts/one side/%s/%s of %d", plan, names[result], LONG);
    if (result != OCLIN_RESULT_DB)
        add_test(list, test_epilogues, all[1], "slices of parts/%s/%s", plan, names[result]);
}

/* Few terms, and as many as make each level of sums: for all plans what they share is seen once, by the
 * default. */
static void add_rows(struct test_list *list, const char *plan)
{
    static const int64_t all[] = {1, 2, 16, 64, 117, 163, 784, 4096, 8192, 50257, 70000, 131072},
                         of_simt[] = {117, 4096, 8192}, of_others[] = {117, 4096, 70000};
    const int simt = strncmp(plan, "simt", 4) == 0;
    const int64_t *terms = simt ? of_simt : *plan ? of_others : all;
    const size_t count = *plan ? 3 : COUNT_OF(all);
    const char *name = *plan ? plan : "default";
    for (int result = OCLIN_RESULT_Y; result <= OCLIN_RESULT_DB; result++) {
        const oclin_result r = (oclin_result)result;
        for (size_t i = 0; i < count; i++) {
            add_test(list, test_like, row(plan, r, terms[i], i % 2 ? 0.889113903f : 0.524808884f, FEW),
                     "like/%s/%s of %lld", name, names[r], (long long)terms[i]);
            if (terms[i] % 8 == 0)
                add_test(list, test_one_side, row(plan, r, terms[i], 0.0f, FEW), "one side/%s/%s of %lld",
                         name, names[r], (long long)terms[i]);
        }
        if (strstr(plan, "-split")) add_slices_of_parts(list, plan, r);
        if (r != OCLIN_RESULT_DB)
            add_test(list, test_epilogues, row(plan, r, simt ? 9000 : 140000, 0.0f, FEW), "slices/%s/%s",
                     name, names[r]);
    }
}

static void add_losses(struct test_list *list)
{
    static const int64_t cols[] = {1, 163, 784, 50257, 1048576};
    static const char *const families[] = {"", "plain", "simt-16"};
    for (size_t p = 0; p < COUNT_OF(families); p++)
        for (size_t i = 0; i < COUNT_OF(cols); i++) {
            const char *name = *families[p] ? families[p] : "default";
            add_test(list, test_losses, row(families[p], OCLIN_RESULT_Y, cols[i], 0.889113903f, 0),
                     "losses/%s/%lld", name, (long long)cols[i]);
            add_test(list, test_loss_one_side, row(families[p], OCLIN_RESULT_Y, cols[i], 0.0f, 0),
                     "losses one side/%s/%lld", name, (long long)cols[i]);
        }
}

/* "simt": what such a name chooses is tested by its own name. */
static int is_family(const char *plan)
{
    return *plan && !strchr(plan, '-');
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    const char *plan;
    for (int i = 0; (plan = every_plan(i)); i++)
        if (!is_family(plan)) add_rows(&list, plan);
    add_losses(&list);
    for (int result = OCLIN_RESULT_Y; result <= OCLIN_RESULT_DB; result++) {
        static const int64_t millions[] = {1048576, 4000000};
        for (size_t i = 0; i < COUNT_OF(millions); i++)
            add_test(&list, test_like, row("", (oclin_result)result, millions[i], 0.524808884f, 1),
                     "like/default/%s of %lld", names[result], (long long)millions[i]);
    }
    static const char *const with_slices[] = {"", "simt-16", "simt-16-split"};
    for (size_t i = 0; i < COUNT_OF(with_slices); i++)
        add_test(&list, test_write_only, (void *)(uintptr_t)with_slices[i], "write-only/%s",
                 *with_slices[i] ? with_slices[i] : "default");
    add_test(&list, test_asked_badly, NULL, "additions/asked badly");
    return run_list("sums", &list, argc, argv);
}
