/*
 * A compiler that refuses, and a driver that lies: each refusal to build is an error of its own kind, and no
 * more than three are asked for; a driver that says zero and success makes an error, or the right numbers.
 */
#include <string.h>

#include "fault_scenarios.h"

/* ------------------------------------------------------------------------ builds */

/* What a compiler says, in each of the calls that make a kernel: an error each time, and a kernel in the
 * end. */
static void test_builds(void **state)
{
    static const char *const calls[] = {"clCreateProgramWithSource", "clBuildProgram", "clCreateKernel",
                                        "clGetKernelWorkGroupInfo"};
    static const cl_int said_codes[] = {CL_BUILD_PROGRAM_FAILURE, CL_INVALID_BINARY, CL_INVALID_KERNEL_NAME,
                                        CL_COMPILER_NOT_AVAILABLE, -9998};
    const struct scenario s = {"builds", .promise = "x stays", .call = do_fill, .overwrites = BIT(X)};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        for (size_t c = 0; c < COUNT_OF(said_codes); c++) {
            struct bench *b = make_bench(&s);
            set_up(b);
            remember_before(b);
            for (int times = 0; times < 2; times++) {
                points.tried++;
                faults_fail_call(calls[i], 0, said_codes[c], FAULT_BEFORE);
                assert_refused(b->ctx, OCLIN_E_BUILD, calls[i], do_fill(b));
                faults_end();
                assert_int_equal(oclin_context_cl_error(b->ctx), said_codes[c]);
                look_now(b);
                check_kept(b, OCLIN_E_BUILD, calls[i]);
                points.survived++;
            }
            assert_ok(b->ctx, do_fill(b));
            free_bench(b);
        }
}

/* The third refusal is final, and is remembered without another try. */
static void test_builds_end(void **state)
{
    const struct scenario s = {"builds", .promise = "x stays", .call = do_fill, .overwrites = BIT(X)};
    (void)state;
    struct bench *b = make_bench(&s);
    set_up(b);
    for (int times = 0; times < 3; times++) {
        faults_fail_call("clBuildProgram", 0, CL_BUILD_PROGRAM_FAILURE, FAULT_BEFORE);
        assert_status(b->ctx, OCLIN_E_BUILD, do_fill(b));
    }
    faults_count(FAULT_CL);
    assert_refused(b->ctx, OCLIN_E_BUILD, "did not build earlier", do_fill(b));
    assert_int_equal(faults_end(), 0);
    free_bench(b);
}

/* The call while the nth answer of the driver is zero and CL_SUCCESS. 0: it asks less often. */
static int try_lie(const struct scenario *s, int64_t n)
{
    struct bench *b = make_bench(s);
    set_up(b);
    faults_fail(FAULT_INFO, n, CL_SUCCESS, FAULT_LIE);
    const oclin_status status = s->call(b);
    faults_end();
    const int lied = faults_failed() != NULL;
    points.tried += lied;
    if (status == OCLIN_OK) {
        check_results(b, s->name);
    } else {
        assert_string_not_equal(oclin_context_error(b->ctx), "");
        look_now(b);
        check_kept(b, status, s->name);
    }
    points.survived += lied;
    free_bench(b);
    return lied;
}

/* The parameters that a layer makes have arrived when its creation returns: what is written to them then,
 * through another queue, stays. A blocking write promises only that the host's numbers are copied; the
 * queue's end does. */
static void test_parameters_arrive(void **state)
{
    const struct scenario s = {"parameters", .promise = "x stays", .call = do_fill, .overwrites = BIT(X)};
    int64_t written = -1, finished = -1, released = -1;
    oclin_layer *layer;
    (void)state;
    struct bench *b = make_bench(&s);
    set_up(b);
    faults_count(FAULT_CL);
    assert_ok(b->ctx, oclin_layer_create(&layer, b->ctx, 3, 2, NULL));
    const int64_t calls = faults_end();
    for (int64_t i = 0; i < calls; i++) {
        const char *name = faults_called(i);
        if (strcmp(name, "clEnqueueWriteBuffer") == 0) written = i;
        if (strcmp(name, "clFinish") == 0) finished = i;
        if (strcmp(name, "clReleaseCommandQueue") == 0) released = i;
    }
    assert_in_range(written, 0, calls);
    assert_true(written < finished && finished < released);
    oclin_layer_destroy(layer);
    free_bench(b);
}

/* An error, or the right numbers, and a new context works. */
static void test_lies(void **state)
{
    static const struct scenario all[] = {
        {"lies: fill", .call = do_fill, .overwrites = BIT(X)},
        {"lies: forward", .call = do_forward, .overwrites = BIT(Y), .plan = "simt-16"},
        {"lies: loss", .call = do_cross_entropy, .overwrites = BIT(LOSS) | BIT(DY) | BIT(CORRECT)},
        {"lies: wrap", .call = do_wrap_part},
        {"lies: wait_for", .call = do_wait_for},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct bench *b = make_bench(&all[i]);
        set_up(b);
        remember_before(b);
        set_up(b);
        assert_ok(b->ctx, all[i].call(b));
        remember_after(b);
        free_bench(b);
        int64_t lies = 0;
        while (try_lie(&all[i], lies)) lies++;
        assert_true(lies > 0);
    }
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    begin_benches();
    add_test(&list, test_builds, NULL, "builds/each call, each code: an error, and a kernel in the end");
    add_test(&list, test_builds_end, NULL, "builds/the third refusal is final");
    add_test(&list, test_parameters_arrive, NULL, "creation/its parameters have arrived");
    add_test(&list, test_lies, NULL, "lies/an error, or the right numbers");
    return run_benches("faults_driver", &list, argc, argv);
}
