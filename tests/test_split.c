/*
 * Sums that are split over groups, as oclin chooses them on a GPU: what is reserved is enough, and where
 * there is no memory for their parts another way makes them. PoCL's device says here that it is a GPU of many
 * units.
 */
#include "support.h"

#include <math.h>
#include <stdlib.h>

#include "faults.h"
#include "oclin_internal.h"

enum { BATCH = 240, IN = 256, OUT = 248, UNITS = 512, ITEMS = 256, LOCAL_BYTES = 32 << 10 };

static oclin_context *make_gpu(void)
{
    needs_plan("simt-16");
    oclin_context *ctx = make_context("");
    ctx->device.info.type = OCLIN_DEVICE_GPU;
    ctx->device.info.compute_units = UNITS;
    if (ctx->device.max_items > ITEMS) ctx->device.max_items = ITEMS;
    if (ctx->device.info.local_bytes > LOCAL_BYTES) ctx->device.info.local_bytes = LOCAL_BYTES;
    ctx->device.wave = 0;
    ctx->device.sub_group = 0;
    oclin_plan_select(ctx, "");
    return ctx;
}

static oclin_tensor *of_integers(oclin_context *ctx, struct rng *rng, int64_t rows, int64_t cols)
{
    float *host = new_array(float, rows *cols);
    fill_integers(rng, host, rows * cols, 4);
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, rows, cols, host);
    free(host);
    return t;
}

struct bench {
    oclin_context *ctx;
    oclin_layer *layer;
    oclin_tensor *x, *y, *dy, *dx;
};

static struct bench make_bench(void)
{
    struct rng rng = {42};
    struct bench b = {.ctx = make_gpu()};
    b.x = of_integers(b.ctx, &rng, BATCH, IN);
    b.dy = of_integers(b.ctx, &rng, BATCH, OUT);
    b.y = make_tensor(b.ctx, OCLIN_F32, BATCH, OUT, NULL);
    b.dx = make_tensor(b.ctx, OCLIN_F32, BATCH, IN, NULL);
    float *w = new_array(float, IN *OUT);
    fill_integers(&rng, w, IN * OUT, 4);
    assert_ok(b.ctx, oclin_layer_create(&b.layer, b.ctx, IN, OUT, NULL));
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_w(b.layer), w));
    free(w);
    return b;
}

static void free_bench(struct bench *b)
{
    oclin_tensor *const all[] = {b->x, b->y, b->dy, b->dx};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(b->layer);
    oclin_context_destroy(b->ctx);
}

/* Returns how many of the three products are split in the first choice for this batch. */
static int count_split(const oclin_context *ctx, int64_t batch)
{
    int count = 0;
    for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++) {
        const struct oclin_product p =
            oclin_plan_shaped((enum oclin_kernel_id)id, (struct oclin_shape){batch, IN, OUT});
        struct oclin_plan plan;
        count += oclin_plan_product(ctx, &p, 0, &plan) && oclin_is_split(&plan);
    }
    return count;
}

/* After reserve no smaller batch takes memory, and every result is right. */
static void test_reserve(void **state)
{
    static const int64_t batches[] = {BATCH, 1, 17, 100};
    struct bench b = make_bench();
    int64_t bytes;
    (void)state;
    assert_true(count_split(b.ctx, BATCH) > 0);
    assert_ok(b.ctx, oclin_layer_workspace(b.layer, BATCH, &bytes));
    assert_ok(b.ctx, oclin_layer_reserve(b.layer, BATCH));
    assert_true(b.ctx->scratch_bytes > 0 && (int64_t)b.ctx->scratch_bytes == bytes);
    clear_context_log();
    b.ctx->verify = 1;
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        oclin_tensor *const whole[] = {b.x, b.y, b.dy, b.dx};
        oclin_tensor *rows[COUNT_OF(whole)];
        for (size_t t = 0; t < COUNT_OF(whole); t++)
            assert_ok(b.ctx, oclin_tensor_view_rows(&rows[t], whole[t], 0, batches[i]));
        assert_ok(b.ctx, oclin_layer_forward(b.layer, rows[0], rows[1]));
        assert_ok(b.ctx, oclin_layer_backward(b.layer, rows[2], rows[3]));
        assert_ok(b.ctx, oclin_layer_zero_grad(b.layer));
        for (size_t t = 0; t < COUNT_OF(whole); t++) oclin_tensor_destroy(rows[t]);
    }
    check_times_logged("scratch memory grows", 0);
    free_bench(&b);
}

/* The next choice follows where there is no memory for the first one's parts. Integers add up to the same
 * bits, however they are added. */
static void test_no_memory(void **state)
{
    float *with = new_array(float, BATCH *OUT), *without = new_array(float, BATCH *OUT);
    struct bench b = make_bench();
    (void)state;
    assert_true(count_split(b.ctx, BATCH) > 0);
    faults_fail_call("clCreateBuffer", 0, CL_MEM_OBJECT_ALLOCATION_FAILURE, FAULT_BEFORE);
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    assert_non_null(faults_failed());
    faults_end();
    assert_string_equal(oclin_context_error(b.ctx), "");
    assert_ok(b.ctx, oclin_tensor_read(b.y, without));
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    assert_ok(b.ctx, oclin_tensor_read(b.y, with));
    check_same_bits("y without memory for parts", without, with, BATCH * OUT);
    free(with);
    free(without);
    free_bench(&b);
}

/* The largest batches that a layer takes are counted without overflow. */
static void test_huge_batch(void **state)
{
    oclin_context *ctx = make_gpu();
    oclin_layer *layer;
    int64_t bytes = 0;
    (void)state;
    assert_ok(ctx, oclin_layer_create(&layer, ctx, 1024, 1024, NULL));
    assert_ok(ctx, oclin_layer_workspace(layer, INT64_C(400000000000000), &bytes));
    assert_true(bytes > 0);
    oclin_layer_destroy(layer);
    oclin_context_destroy(ctx);
}

/* Returns `rows` ones, each a row, with NaN behind them. */
static oclin_tensor *ones_before_nan(oclin_context *ctx, int64_t rows)
{
    enum { BEHIND = 64 };
    oclin_tensor *all = make_tensor(ctx, OCLIN_F32, rows + BEHIND, 1, NULL), *ones;
    assert_ok(ctx, oclin_tensor_fill(all, NAN));
    assert_ok(ctx, oclin_tensor_view_rows(&ones, all, 0, rows));
    assert_ok(ctx, oclin_tensor_fill(ones, 1.0));
    oclin_tensor_destroy(all);
    return ones;
}

/* The shortest sum of two slices, the last of which has a part less. Ones add up exactly. */
static void test_shorter_slice(void **state)
{
    enum { TERMS = 1052673, PARTS = 257 };
    (void)state;
    oclin_context *ctx = make_context("simt-16-split");
    ctx->device.info.compute_units = PARTS;
    const struct oclin_product p = oclin_plan_shaped(OCLIN_KERNEL_GRAD_W, (struct oclin_shape){TERMS, 1, 1});
    struct oclin_plan plan;
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    assert_int_equal(oclin_slices(&plan, TERMS), 2);
    assert_int_equal(oclin_parts(&plan, TERMS), PARTS);
    assert_int_equal(oclin_parts(&plan, TERMS - plan.slice_k), PARTS - 1);
    oclin_layer *l;
    oclin_tensor *x = ones_before_nan(ctx, TERMS), *dy = ones_before_nan(ctx, TERMS),
                 *y = make_tensor(ctx, OCLIN_F32, TERMS, 1, NULL);
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, NULL));
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_layer_backward(l, dy, NULL));
    float dw, db;
    assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(l), &dw));
    assert_ok(ctx, oclin_tensor_read(oclin_layer_db(l), &db));
    assert_true(dw == (float)TERMS && db == (float)TERMS);
    oclin_tensor *const all[] = {x, dy, y};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    struct test_list list = {NULL, 0, 0};
    add_test(&list, test_reserve, NULL, "reserve/is enough for all smaller batches");
    add_test(&list, test_no_memory, NULL, "no memory for parts/another choice makes the sum");
    add_test(&list, test_huge_batch, NULL, "reserve/a huge batch");
    add_test(&list, test_shorter_slice, NULL, "slices/the last one has a part less");
    return run_list("split", &list, argc, argv);
}
