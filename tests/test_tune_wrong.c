/*
 * What is wrong never wins: kernels with mistakes, kernels that do not build, results that hold NaN or are
 * another plan's, and calls of the driver that fail while oclin_tune() runs.
 */
#define _XOPEN_SOURCE 700 /* setenv */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "tuning.h"

/* ------------------------------------------------------------------------------------------ wrong kernels */

/* Never wins, and is named with product and plan. */
static void test_wrong_candidate(void **state)
{
    (void)state;
    struct folder f = make_folder();
    write_mistake(&f, "product_simd.cl", "MULTIPLY_ADD((real)(a", "MULTIPLY_ADD((real)(1.01f * a");
    oclin_context *ctx = context_with_kernels(&f);
    if (is_cpu(ctx)) {
        struct listener h = {0};
        const int64_t before = faults_alive_cl();
        /* grad_x and grad_w have the plain kernels left */
        assert_ok(ctx, tune(ctx, small, enough, &h));
        assert_true(h.events[OCLIN_TUNE_SKIPPED] > 0);
        assert_int_equal(h.bad, 0);
        /* forward's kernels for small batches are right, and may be the fastest */
        static const char *const wrong[] = {"simd-whole", "simd-packed", "simd-mixed",
                                            "simd-4;",    "simd-8;",     "simd-16;"};
        for (size_t i = 0; i < COUNT_OF(wrong); i++) assert_null(strstr(h.chosen, wrong[i]));
        assert_non_null(strstr(h.chosen, "grad_x plain;"));
        assert_non_null(strstr(h.chosen, "grad_w plain;"));
        assert_non_null(strstr(h.skipped, "the reference says"));
        check_logged("tuning: grad_x with plan default: dx[");
        check_logged("tuning: forward with plan simd-whole: y[");
        assert_int_equal(family_of(ctx, OCLIN_KERNEL_GRAD_W, small), OCLIN_PLAIN);
        assert_int_equal(faults_alive_cl(), before);
        check_layer(ctx, small); /* not a wrong kernel among those in use */
        clear_context_log();
        oclin_tuning_store(ctx, ctx->tuning);
        check_logged("tuning: not stored: ");
    }
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* The default is wrong: the fastest plan that is right takes its place. */
static void test_wrong_default(void **state)
{
    (void)state;
    struct folder f = make_folder();
    write_mistake(&f, "forward_skinny.cl", "MULTIPLY_ADD(", "(1.01f) * MULTIPLY_ADD(");
    oclin_context *ctx = context_with_kernels(&f);
    if (is_cpu(ctx)) {
        struct listener h = {0};
        assert_ok(ctx, tune(ctx, small, enough, &h));
        check_logged("tuning: forward with plan default: y[");
        assert_int_not_equal(family_of(ctx, OCLIN_KERNEL_FORWARD, small), OCLIN_SKINNY);
        assert_null(strstr(h.chosen, "forward default"));
        check_layer(ctx, small);
    }
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Every plan is wrong: nothing to be had, and it says so. */
static void test_all_wrong(void **state)
{
    (void)state;
    struct folder f = make_folder();
    write_mistake(&f, "forward.cl", "sum += load_lanes(e.bias, lanes)", "sum += 0.5f");
    write_mistake(&f, "forward_skinny.cl", "MULTIPLY_ADD(", "(1.01f) * MULTIPLY_ADD(");
    oclin_context *ctx = context_with_kernels(&f);
    const int64_t before = faults_alive_cl();
    assert_refused(ctx, OCLIN_E_VERIFY, "no plan for forward runs and is right",
                   tune(ctx, small, enough, NULL));
    assert_int_equal(faults_alive_cl(), before);
    assert_int_equal(ctx->tuning->count, 0);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* It is skipped, and what builds is right. */
static void test_does_not_build(void **state)
{
    (void)state;
    struct folder f = make_folder();
    write_mistake(&f, "simd_pack.cl", "#if OCLIN_VL == 1", "#if 1"); /* simd-narrow's file, too */
    oclin_context *ctx = context_with_kernels(&f);
    if (is_cpu(ctx)) {
        struct listener h = {0};
        assert_ok(ctx, tune(ctx, small, enough, &h));
        assert_true(h.events[OCLIN_TUNE_SKIPPED] > 0);
        assert_null(strstr(h.chosen, "simd"));
        assert_non_null(strstr(h.skipped, "simd"));
        check_layer(ctx, small);
    }
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Fails the first build behind grad_w's second plan, and hears what comes of it. */
struct stumble {
    int checked, event;
    const char *failed; /* NULL: not yet */
    char product[32], plan[32];
};

static int stumble(void *user, const struct oclin_tune_progress *p)
{
    struct stumble *h = user;
    if (h->checked == 2) {
        h->failed = faults_failed();
        faults_end();
        h->event = (int)p->event;
        snprintf(h->product, sizeof h->product, "%s", p->product);
        snprintf(h->plan, sizeof h->plan, "%s", p->plan);
        return 1; /* that is all */
    }
    h->checked += p->event == OCLIN_TUNE_CHECKED && strcmp(p->product, "grad_w") == 0;
    if (h->checked == 2) faults_fail_call("clBuildProgram", 0, CL_BUILD_PROGRAM_FAILURE, FAULT_BEFORE);
    return 0;
}

/* Whether the device has the local memory for it. */
static int may_be_one_pass(oclin_context *ctx, struct oclin_shape s)
{
    const struct oclin_tuned named = entry_of(OCLIN_KERNEL_ONE_PASS, s, "one-pass");
    assert_true(oclin_tuning_put(ctx->tuning, &named));
    const int may = is_one_pass(ctx, s);
    oclin_tuning_free(ctx->tuning);
    return may;
}

/* One pass that cannot be built is two products also where plans with names were tried before: nobody has
 * named this one. */
static void test_backward_does_not_build(void **state)
{
    (void)state;
    const struct oclin_shape s = {32, 128, 128};
    oclin_context *ctx = make_context(NULL);
    if (is_cpu(ctx) && may_be_one_pass(ctx, s)) {
        struct stumble h = {.event = -1};
        assert_int_equal(is_one_pass(ctx, s), 0); /* so that it is tried behind others */
        clear_context_log();
        assert_refused(ctx, OCLIN_E_STATE, "", oclin_tune(ctx, s.in, s.out, s.batch, enough, stumble, &h));
        assert_string_equal(h.product, "backward");
        assert_string_equal(h.plan, "one-pass");
        assert_non_null(h.failed);
        check_logged("one_pass_skinny");
        assert_int_equal(h.event, OCLIN_TUNE_CHECKED);
        check_layer(ctx, s);
    }
    oclin_context_destroy(ctx);
    faults_end();
}

/* ---------------------------------------------------------------------------------- what a check must see */

/* Ends the tuning when forward's plan "plain" is built and checked, or skipped; says why. */
enum { WHY_BYTES = 200 };

static int until_plain(void *why, const struct oclin_tune_progress *p)
{
    if (strcmp(p->product, "forward") != 0 || strcmp(p->plan, "plain") != 0) return 0;
    snprintf(why, WHY_BYTES, "%.150s", p->why);
    return 1;
}

/* The plan "plain" of forward, with this mistake in its text, is skipped for that reason. */
static void check_plain_skipped(struct oclin_shape s, const char *from, const char *to, const char *why)
{
    struct folder f = make_folder();
    char skipped[WHY_BYTES] = "";
    write_mistake(&f, "product_plain.cl", from, to);
    oclin_context *ctx = context_with_kernels(&f);
    assert_refused(ctx, OCLIN_E_STATE, "forward with plan plain",
                   oclin_tune(ctx, s.in, s.out, s.batch, enough, until_plain, skipped));
    if (!strstr(skipped, why)) fail_msg("'%s' does not say '%s'", skipped, why);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* A NaN anywhere is seen, also where nothing is compared with the reference: of 200 columns 96 are. */
static void test_nan_beside_samples(void **state)
{
    static const struct oclin_shape wide = {8, 40, 200};
    char to[120];
    (void)state;
    for (int column = 0; column < 3; column++) {
        snprintf(to, sizeof to, "return column == %d ? NAN : LOAD_ONE(b +", column);
        check_plain_skipped(wide, "return LOAD_ONE(b +", to, "nan");
    }
}

/* Results hold NaN before each candidate: one that writes nothing does not live on what the one before it has
 * left. */
static void test_poison_before_each(void **state)
{
    (void)state;
    check_plain_skipped(small, "if (item >= m * n) return;", "if (item >= 0) return;", "nan");
}

/* ---------------------------------------------------------------------------------------- calls that fail */

/* A call of the driver fails, each in turn: a status, nothing lost, and the context works. */
static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        cl_int code;
        enum fault_how how;
        int last;
    } faults[] = {
        {.call = "clCreateBuffer", .code = CL_MEM_OBJECT_ALLOCATION_FAILURE, .how = FAULT_BEFORE, .last = 12},
        {.call = "clEnqueueNDRangeKernel", .code = CL_OUT_OF_RESOURCES, .how = FAULT_BEFORE, .last = 24},
        {.call = "clFinish", .code = CL_OUT_OF_RESOURCES, .how = FAULT_AFTER, .last = 8},
        {.call = "clEnqueueReadBuffer", .code = CL_OUT_OF_RESOURCES, .how = FAULT_BEFORE, .last = 8},
    };
    struct folder f = make_folder(); /* kernels need not be built each time */
    oclin_context *ctx = make_context(NULL);
    float host[6] = {1, 2, 3, 4, 5, 6}, got[6];
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 2, 3, host);
    check_layer(ctx, small);
    const int64_t before = faults_alive_cl();
    int refused = 0;
    for (size_t i = 0; i < COUNT_OF(faults); i++)
        for (int n = 0; n < faults[i].last; n += n < 8 ? 1 : 4) {
            struct listener h = {.stop_after = 16};
            faults_fail_call(faults[i].call, n, faults[i].code, faults[i].how);
            const oclin_status status = tune(ctx, small, enough, &h);
            faults_end();
            refused += status != OCLIN_OK && status != OCLIN_E_STATE;
            if ((oclin_context_error(ctx)[0] != 0) != (status != OCLIN_OK))
                fail_msg("call %d of %s: %s with '%s'", n, faults[i].call, oclin_status_name(status),
                         oclin_context_error(ctx));
            assert_int_equal(faults_alive_cl(), before);
            assert_int_equal(ctx->lost, 0);
            if (faults[i].how == FAULT_AFTER && n == 0)
                assert_ok(ctx, oclin_tensor_write(t, host)); /* the caller's own finish */
            assert_ok(ctx, oclin_tensor_read(t, got));
            check_same_bits("t", got, host, 6);
        }
    assert_true(refused > 0);
    check_layer(ctx, small);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

int main(int argc, char **argv)
{
    unsetenv("OCLIN_PLAN"); /* with it there is nothing to tune */
    struct test_list list = {0};
    add_test(&list, test_wrong_candidate, NULL, "wrong/a candidate never wins, and is named");
    add_test(&list, test_wrong_default, NULL, "wrong/a default is replaced");
    add_test(&list, test_all_wrong, NULL, "wrong/all plans: an error");
    add_test(&list, test_does_not_build, NULL, "wrong/what does not build is skipped");
    add_test(&list, test_backward_does_not_build, NULL, "wrong/one pass that does not build is two products");
    add_test(&list, test_nan_beside_samples, NULL, "wrong/NaN beside the samples is seen");
    add_test(&list, test_poison_before_each, NULL, "wrong/results of the plan before are not taken");
    add_test(&list, test_faults, NULL, "faults/a status, nothing lost, and the context works");
    return run_list("tune_wrong", &list, argc, argv);
}
