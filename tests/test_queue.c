/*
 * The queue that groups take their work from (epilogue.cl): nothing is computed before what it needs is
 * packed, however slow the core that packs it, and the counters are 0 again behind every launch. On
 * devices without one there is nothing to test.
 */
#define _XOPEN_SOURCE 700 /* setenv */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "files.h"
#include "oclin_internal.h"

enum { BATCH = 300, IN = 200, OUT = 150 };

static void needs_queue(const char *plan)
{
    oclin_context *ctx = make_context(plan);
    const int queues = ctx->device.tickets;
    oclin_context_destroy(ctx);
    if (!queues) skip_case();
}

/* ---------------------------------------------------------------------------------------------- counters */

static void check_counters(oclin_context *ctx)
{
    cl_uint counters[OCLIN_TICKET_COUNTERS];
    assert_int_equal(
        clEnqueueReadBuffer(ctx->queue, ctx->tickets, CL_TRUE, 0, sizeof counters, counters, 0, NULL, NULL),
        CL_SUCCESS);
    for (int i = 0; i < OCLIN_TICKET_COUNTERS; i++) assert_int_equal(counters[i], 0);
}

static void test_counters(void **state)
{
    static const int64_t batches[] = {1, 7, 40, 129, BATCH};
    const char *plan = *state;
    needs_queue(plan);
    oclin_context *ctx = make_context(plan);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, NULL));
    check_counters(ctx);
    for (size_t i = 0; i < COUNT_OF(batches); i++) {
        oclin_tensor *x = make_tensor(ctx, OCLIN_F32, batches[i], IN, NULL),
                     *y = make_tensor(ctx, OCLIN_F32, batches[i], OUT, NULL),
                     *dx = make_tensor(ctx, OCLIN_F32, batches[i], IN, NULL);
        assert_ok(ctx, oclin_tensor_fill(x, 1.0));
        assert_ok(ctx, oclin_layer_forward(l, x, y));
        check_counters(ctx);
        assert_ok(ctx, oclin_layer_backward(l, y, dx));
        check_counters(ctx);
        oclin_tensor_destroy(x);
        oclin_tensor_destroy(y);
        oclin_tensor_destroy(dx);
    }
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* -------------------------------------------------------------------------------------------- slow
 * packing */

/* A kernel text as it is: where OCLIN_CL_DIR names a folder that has it, that one (tests/mutants). To be
 * freed. */
static char *text_of(const char *name)
{
    const char *folder = getenv("OCLIN_CL_DIR");
    char path[400];
    snprintf(path, sizeof path, "%s/%s", folder ? folder : "", name);
    if (access(path, R_OK) == 0) return read_file(path).at;
    return strcpy(new_array(char, strlen(built_in(name)) + 1), built_in(name));
}

/* A context whose first packed part takes so long that all other cores wake up meanwhile, and have nothing
 * left to pack. */
static oclin_context *make_slow_context(const char *folder)
{
    const char *set = getenv("OCLIN_CL_DIR");
    char *before = set ? strcpy(new_array(char, strlen(set) + 1), set) : NULL;
    static const char pack[] = "pack_part(long part, HELPER_ARGUMENTS, global float *packed)\n{\n";
    static const char slow_pack[] = "pack_part(long part, HELPER_ARGUMENTS, global float *packed)\n{\n"
                                    "    for (volatile int i = 0; part == 0 && i < 50000000; i++) {\n    }\n";
    char *tickets = text_of("epilogue.cl"), *product = text_of("product_simd.cl");
    write_changed(folder, "epilogue.cl", tickets, "", "");
    write_changed(folder, "product_simd.cl", product, pack, slow_pack);
    free(tickets);
    free(product);
    setenv("OCLIN_CL_DIR", folder, 1);
    oclin_context *ctx = make_context("simd-packed");
    if (before)
        setenv("OCLIN_CL_DIR", before, 1);
    else
        unsetenv("OCLIN_CL_DIR");
    free(before);
    return ctx;
}

static void compute(oclin_context *ctx, float *x, float *y)
{
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, NULL));
    oclin_tensor *x_device = make_tensor(ctx, OCLIN_F32, BATCH, IN, x),
                 *y_device = make_tensor(ctx, OCLIN_F32, BATCH, OUT, NULL);
    assert_ok(ctx, oclin_layer_forward(l, x_device, y_device));
    assert_ok(ctx, oclin_tensor_read(y_device, y));
    oclin_tensor_destroy(x_device);
    oclin_tensor_destroy(y_device);
    oclin_layer_destroy(l);
}

static void test_slow_packing(void **state)
{
    char folder[PATH_BYTES / 2];
    (void)state;
    needs_queue("simd-packed");
    make_temporary_folder(folder);
    oclin_context *ctx = make_context("simd-packed"), *slow = make_slow_context(folder);
    float *x = new_array(float, BATCH *IN), *y = new_array(float, BATCH *OUT),
          *y_slow = new_array(float, BATCH *OUT);
    struct rng rng = {42};
    for (int i = 0; i < 3; i++) { /* what an earlier one has packed is wrong for the next */
        fill_zero_mean(&rng, x, BATCH * IN);
        compute(ctx, x, y);
        compute(slow, x, y_slow);
        check_same_bits("y", y_slow, y, BATCH * OUT);
    }
    free(x);
    free(y);
    free(y_slow);
    oclin_context_destroy(ctx);
    oclin_context_destroy(slow);
    remove_all(folder);
}

/* The counters are there where plans use them. */
static void test_who_queues(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("");
    struct oclin_plan plan;
    const struct oclin_product p =
        oclin_plan_shaped(OCLIN_KERNEL_FORWARD, (struct oclin_shape){1000, 1000, 1000});
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    assert_int_equal(plan.tile.tickets, ctx->device.tickets);
    assert_int_equal(ctx->tickets != NULL, ctx->device.tickets);
    oclin_context_destroy(ctx);
}

/* Of all plans those for CPUs, where groups may draw tickets. */
static void add_counters(struct test_list *list)
{
    const char *plan;
    for (int i = 0; (plan = every_plan(i)); i++)
        if (!*plan || strncmp(plan, "simd", 4) == 0)
            add_test(list, test_counters, (void *)(uintptr_t)plan, "counters/%s", *plan ? plan : "by device");
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_test(&list, test_who_queues, NULL, "who queues");
    add_counters(&list);
    add_test(&list, test_slow_packing, NULL, "slow packing");
    return run_list("queue", &list, argc, argv);
}
