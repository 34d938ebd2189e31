/*
 * oclin_tune(): what it finds is right, is used, and is found again by the next context; the call heeds its
 * arguments, its budget and who ends it, and gives back what it took. The file: test_tune_file.c; how it
 * decides: test_tune_rules.c; kernels that are wrong and calls that fail: test_tune_wrong.c.
 */
#define _XOPEN_SOURCE 700 /* setenv */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "tuning.h"

/* ---------------------------------------------------------------------------------- what is found is used */

static void test_finds(void **state)
{
    (void)state;
    struct folder f = make_folder();
    struct listener h = {0};
    oclin_context *ctx = make_context(NULL);
    const int products = is_cpu(ctx) ? 4 : 3;
    clear_context_log();
    assert_ok(ctx, tune(ctx, small, enough, &h));
    assert_int_equal(h.bad, 0);
    assert_int_equal(h.events[OCLIN_TUNE_CHOSEN], products);
    assert_true(h.events[OCLIN_TUNE_CHECKED] > products); /* there was a choice */
    assert_true(h.events[OCLIN_TUNE_TIMED] >= 3 * products);
    assert_true(h.events[OCLIN_TUNE_MEASURED] >= products);
    assert_int_equal(h.events[OCLIN_TUNE_SKIPPED], 0);
    assert_non_null(strstr(h.chosen, "forward "));
    assert_non_null(strstr(h.chosen, "grad_w "));
    assert_int_equal(ctx->tuning->count, products);
    check_logged("tuning: stored ");
    check_layer(ctx, small);

    clear_context_log();
    oclin_context *next = make_context(NULL);
    check_logged("tuning: ");
    assert_int_equal(next->tuning->count, products);
    for (int i = 0; i < products; i++)
        assert_string_equal(next->tuning->entries[i].plan, ctx->tuning->entries[i].plan);
    check_layer(next, small);
    oclin_context_destroy(ctx);
    oclin_context_destroy(next);
    free_folder(&f);
}

/* The plan of the table runs, for its shape alone, and is right. */
static void test_used(void **state)
{
    (void)state;
    struct folder f = make_folder();
    const struct oclin_tuned entries[] = {
        entry_of(OCLIN_KERNEL_FORWARD, small, "plain"),
        entry_of(OCLIN_KERNEL_GRAD_X, small, "plain"),
        entry_of(OCLIN_KERNEL_GRAD_W, small, "plain"),
        entry_of(OCLIN_KERNEL_ONE_PASS, small, "two-products"),
    };
    store_entries(entries, COUNT_OF(entries));
    clear_context_log();
    oclin_context *ctx = make_context(NULL);
    assert_int_equal(ctx->tuning->count, 4);
    for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++) {
        assert_int_equal(family_of(ctx, (enum oclin_kernel_id)id, small), OCLIN_PLAIN);
        for (int d = 0; d < 3; d++) {
            const struct oclin_shape other = {small.batch + (d == 0), small.in + (d == 1),
                                              small.out + (d == 2)};
            assert_int_not_equal(family_of(ctx, (enum oclin_kernel_id)id, other), OCLIN_PLAIN);
        }
        /* a W that is stored as (in, out) has other kernels */
        struct oclin_product transposed = oclin_plan_shaped((enum oclin_kernel_id)id, small);
        struct oclin_plan plan;
        transposed.transposed = 1;
        assert_true(oclin_plan_product(ctx, &transposed, 0, &plan));
        assert_int_not_equal(plan.tile.family, OCLIN_PLAIN);
    }
    assert_int_equal(is_one_pass(ctx, small), 0);
    check_layer(ctx, small);
    check_logged("forward_plain");
    check_logged("grad_x_plain");
    check_logged("grad_w_plain");
    check_times_logged("grads_", 0);
    const struct oclin_shape other = {small.batch + 1, small.in, small.out};
    assert_int_equal(is_one_pass(ctx, other), is_cpu(ctx));
    check_layer(ctx, other);
    oclin_context_destroy(ctx);

    ctx = make_context("simd"); /* by name: the file is not looked at */
    assert_int_equal(ctx->tuning->count, 0);
    assert_int_not_equal(family_of(ctx, OCLIN_KERNEL_FORWARD, small), OCLIN_PLAIN);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Every plan that may win is right when the table names it. */
static void test_every_plan(void **state)
{
    (void)state;
    static const struct oclin_shape shapes[] = {{8, 40, 24}, {33, 70, 50}};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        const char *names[3][OCLIN_MOST_CANDIDATES];
        int counts[3], most = 0;
        oclin_context *ctx = make_context(NULL);
        for (int id = 0; id < 3; id++) {
            counts[id] = oclin_plan_candidates(ctx, (enum oclin_kernel_id)id, shapes[i], names[id]);
            if (counts[id] > most) most = counts[id];
        }
        assert_true(most > 1);
        for (int n = 0; n < most; n++) {
            struct oclin_tuned t = entry_of(OCLIN_KERNEL_ONE_PASS, shapes[i], "two-products");
            assert_true(oclin_tuning_put(ctx->tuning, &t));
            for (int id = 0; id < 3; id++) {
                t = entry_of((enum oclin_kernel_id)id, shapes[i], names[id][n < counts[id] ? n : 0]);
                assert_true(oclin_tuning_put(ctx->tuning, &t));
            }
            check_layer(ctx, shapes[i]);
        }
        oclin_context_destroy(ctx);
    }
}

/* reserve(batch) is enough for what is tuned to need more at a smaller batch. */
static void test_workspace(void **state)
{
    (void)state;
    oclin_context *ctx = make_context(NULL);
    oclin_layer *l;
    int64_t before, after, smaller;
    const struct oclin_tuned t = entry_of(OCLIN_KERNEL_FORWARD, small, "simd-packed");
    assert_ok(ctx, oclin_layer_create(&l, ctx, small.in, small.out, NULL));
    assert_ok(ctx, oclin_layer_workspace(l, small.batch + 4, &before));
    assert_true(oclin_tuning_put(ctx->tuning, &t));
    assert_ok(ctx, oclin_layer_workspace(l, small.batch + 4, &after));
    assert_ok(ctx, oclin_layer_workspace(l, small.batch - 1, &smaller));
    assert_int_equal(smaller, before);
    if (is_cpu(ctx)) {
        assert_true(after > before);
        assert_ok(ctx, oclin_layer_reserve(l, small.batch + 4));
        const size_t reserved = ctx->scratch_bytes;
        check_layer(ctx, small);
        assert_int_equal(ctx->scratch_bytes, reserved);
    }
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* -------------------------------------------------------------------------------------------- the call */

static void test_arguments(void **state)
{
    (void)state;
    static const double budgets[] = {0.0, -1.0, NAN, INFINITY, -INFINITY};
    oclin_context *ctx = make_context(NULL);
    const int64_t before = faults_alive_cl();
    assert_int_equal(oclin_tune(NULL, 4, 4, 4, 1.0, NULL, NULL), OCLIN_E_ARG);
    for (size_t i = 0; i < COUNT_OF(budgets); i++)
        assert_refused(ctx, OCLIN_E_ARG, "a finite number above 0", tune(ctx, small, budgets[i], NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "at least 1", oclin_tune(ctx, 0, 4, 4, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "at least 1", oclin_tune(ctx, 4, -1, 4, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "at least 1", oclin_tune(ctx, 4, 4, 0, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "overflow", oclin_tune(ctx, INT64_MAX, 4, 4, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "overflow", oclin_tune(ctx, 4, 4, INT64_MAX, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "overflow",
                   oclin_tune(ctx, INT64_MAX / 16, INT64_MAX / 16, 4, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "largest buffer",
                   oclin_tune(ctx, 1 << 26, 1 << 26, 1, 1.0, NULL, NULL));
    assert_int_equal(faults_alive_cl(), before);
    assert_int_equal(ctx->tuning->count, 0);
    check_layer(ctx, small);
    oclin_context_destroy(ctx);

    ctx = make_context("plain");
    assert_refused(ctx, OCLIN_E_STATE, "'plain'", tune(ctx, small, 1.0, NULL));
    oclin_context_destroy(ctx);
}

/* Next to no time: nothing is decided, nothing is wrong. */
static void test_little_time(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    oclin_context *ctx = make_context(NULL);
    assert_ok(ctx, tune(ctx, small, 1e-9, NULL));
    assert_int_equal(ctx->tuning->count, 0);
    assert_int_equal(find_files(f.cache, "tuning-", path), 0);
    check_layer(ctx, small);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Ended at the first event, at some later one, and at the first choice, which stays. */
static void test_cancelled(void **state)
{
    (void)state;
    struct folder f = make_folder();
    oclin_context *ctx = make_context(NULL);
    const int64_t before = faults_alive_cl();
    for (int stop = 1; stop < 30; stop += 7) {
        struct listener h = {.stop_after = stop};
        assert_refused(ctx, OCLIN_E_STATE, "progress function ended", tune(ctx, small, enough, &h));
        assert_int_equal(faults_alive_cl(), before);
    }
    assert_int_equal(ctx->tuning->count, 0);
    struct listener h = {.stop_after = AT_CHOICE};
    assert_refused(ctx, OCLIN_E_STATE, "progress function ended", tune(ctx, small, enough, &h));
    assert_int_equal(ctx->tuning->count, 1);
    check_accepted(1);
    assert_int_equal(faults_alive_cl(), before);
    check_layer(ctx, small);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* The context's tensors, kernels, scratch memory and switches are as before; so is an error of before
 * forgotten. */
static void test_leaves_nothing(void **state)
{
    (void)state;
    oclin_context *ctx = make_context(NULL);
    float host[6] = {1, 2, 3, 4, 5, 6}, got[6];
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 2, 3, host);
    check_layer(ctx, small);
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_tensor_write(t, NULL));
    ctx->verify = 1; /* is for the caller's operations: as timings go it would be a catastrophe */
    const int64_t before = faults_alive_cl();
    const size_t scratch = ctx->scratch_bytes;
    const struct oclin_program *programs = ctx->programs;
    assert_ok(ctx, tune(ctx, small, 5.0, NULL));
    assert_int_equal(faults_alive_cl(), before);
    assert_int_equal(ctx->scratch_bytes, scratch);
    assert_ptr_equal(ctx->programs, programs);
    assert_int_equal(ctx->verify, 1);
    assert_string_equal(ctx->plan.name, "");
    assert_string_equal(oclin_context_error(ctx), "");
    assert_int_equal(ctx->references, 2); /* the caller's, the tensor's */
    assert_ok(ctx, oclin_tensor_read(t, got));
    check_same_bits("t", got, host, 6);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

/* Seconds that a look at the scripted clock takes. */
#define LOOK 0.03125

/* The tuner's own context is as the caller's, whatever the environment has become: its kernels, its checks,
 * its plan. */
static void test_environment(void **state)
{
    static const char *const names[] = {"OCLIN_CL_DIR", "OCLIN_VERIFY", "OCLIN_PLAN", "OCLIN_DEVICE"};
    (void)state;
    const char *was = getenv("OCLIN_DEVICE");
    char *device = was ? strdup(was) : NULL;
    struct folder f = make_folder();
    setenv("OCLIN_CACHE_DIR", "", 1);
    write_mistake(&f, "forward.cl", "sum += load_lanes(e.bias, lanes)", "sum += 0.5f");
    oclin_context *ctx = make_context(NULL);
    const char *const values[] = {f.path, "1", "simd-16", "no such device"};
    struct listener h = {0};
    clear_context_log();
    for (size_t i = 0; i < COUNT_OF(names); i++) setenv(names[i], values[i], 1);
    faults_clock(LOOK); /* a look at the clock takes so long, whatever happens between two */
    const oclin_status status = tune(ctx, small, enough, &h);
    faults_clock(0.0);
    for (size_t i = 0; i < COUNT_OF(names); i++) unsetenv(names[i]);
    if (device) setenv("OCLIN_DEVICE", device, 1);
    assert_ok(ctx, status);
    assert_int_equal(h.events[OCLIN_TUNE_SKIPPED], 0);
    check_times_logged("replaces the built-in", 0);
    check_layer(ctx, small);
    oclin_context_destroy(ctx);
    free_folder(&f);
    free(device);
}

/* A context with kernels of a folder tunes these kernels; and what is known of them is not what others use,
 * nor the other way round: the file is neither read nor written. */
static void test_kernels_of_folder(void **state)
{
    (void)state;
    struct folder f = make_folder(), kernels = make_folder();
    char path[PATH_BYTES];
    setenv("OCLIN_CACHE_DIR", f.cache, 1);
    store_one();
    check_accepted(1);
    find_file(&f, "tuning-", path);
    const struct bytes before = read_file(path);
    write_mistake(&kernels, "forward.cl", "forward:", "forward as well:");
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.cl_dir = kernels.path;
    oclin_context *ctx = make_context_with(o);
    assert_int_equal(ctx->tuning->count, 0);
    struct listener h = {0};
    clear_context_log();
    faults_clock(LOOK);
    const oclin_status status = tune(ctx, small, enough, &h);
    faults_clock(0.0);
    assert_ok(ctx, status);
    check_logged("replaces the built-in forward.cl");
    check_logged("tuning: not stored: kernels are replaced");
    assert_true(ctx->tuning->count >= 3);
    const struct bytes after = read_file(path);
    assert_int_equal(after.size, before.size);
    assert_memory_equal(after.at, before.at, before.size);
    free(before.at);
    free(after.at);
    oclin_context_destroy(ctx);
    free_folder(&kernels);
    free_folder(&f);
}

int main(int argc, char **argv)
{
    unsetenv("OCLIN_PLAN"); /* with it there is nothing to tune */
    struct test_list list = {0};
    add_test(&list, test_finds, NULL, "found/right plans, and the next context has them");
    add_test(&list, test_used, NULL, "used/the plan of the table, for its shape alone");
    add_test(&list, test_every_plan, NULL, "used/every plan that may win is right");
    add_test(&list, test_workspace, NULL, "used/within the memory that was reserved");
    add_test(&list, test_arguments, NULL, "call/wrong arguments are refused");
    add_test(&list, test_little_time, NULL, "call/in no time nothing is decided");
    add_test(&list, test_cancelled, NULL, "call/ended by the listener, what was chosen stays");
    add_test(&list, test_leaves_nothing, NULL, "call/the context is as before");
    add_test(&list, test_environment, NULL, "call/the environment is ignored");
    add_test(&list, test_kernels_of_folder, NULL, "call/kernels of a folder are tuned, and not stored");
    return run_list("tune", &list, argc, argv);
}
