/*
 * A runtime that fails: one OpenCL call of an operation answers an error, once. Inputs stay intact, what
 * was being written is unspecified until it is written or cleared, and the same handles work when the
 * fault is gone.
 *
 * Chosen cases, one by one, as a program would meet them; test_faults.c lets every call fail in turn.
 */
#include "support.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "oclin_internal.h"

/* --------------------------------------------------------------------------------------------- a layer */

enum { BATCH = 4, IN = 3, OUT = 2 };

struct bench {
    oclin_context *ctx;
    oclin_layer *layer;
    oclin_tensor *x, *y, *dy, *dx, *labels, *loss;
    float w[OUT * IN], b[OUT];
};

static struct bench make_bench(oclin_activation activation)
{
    struct bench b = {0};
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = activation;
    b.ctx = make_context("plain");
    assert_ok(b.ctx, oclin_layer_create(&b.layer, b.ctx, IN, OUT, &options));
    oclin_tensor **const all[] = {&b.x, &b.y, &b.dy, &b.dx};
    const int64_t cols[] = {IN, OUT, OUT, IN};
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        assert_ok(b.ctx, oclin_tensor_create(all[i], b.ctx, OCLIN_F32, BATCH, cols[i]));
        assert_ok(b.ctx, oclin_tensor_fill(*all[i], 1.0));
    }
    assert_ok(b.ctx, oclin_tensor_create(&b.labels, b.ctx, OCLIN_I32, BATCH, 1));
    assert_ok(b.ctx, oclin_tensor_fill(b.labels, 1));
    assert_ok(b.ctx, oclin_tensor_create(&b.loss, b.ctx, OCLIN_F32, 1, 1));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_w(b.layer), b.w));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_b(b.layer), b.b));
    /* everything is built, and runs once */
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    assert_ok(b.ctx, oclin_layer_backward(b.layer, b.dy, b.dx));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.layer));
    assert_ok(b.ctx, oclin_context_finish(b.ctx));
    return b;
}

static void free_bench(struct bench *b)
{
    faults_end();
    oclin_tensor *const all[] = {b->x, b->y, b->dy, b->dx, b->labels, b->loss};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(b->layer);
    oclin_context_destroy(b->ctx);
}

static oclin_status state_of(const struct bench *b, oclin_tensor *t)
{
    float host[BATCH * IN];
    (void)b;
    return oclin_tensor_read(t, host);
}

/* ------------------------------------------------------------------------------------- failing launches */

enum operation { FORWARD, BACKWARD, BACKWARD_STEP, STEP, FILL, LOSS };

struct launch_case {
    const char *name;
    enum operation operation;
    oclin_activation activation;
    int nth; /* launch of the operation that fails */
};

static oclin_status operate(const struct bench *b, enum operation operation)
{
    switch (operation) {
    case FORWARD:
        return oclin_layer_forward(b->layer, b->x, b->y);
    case BACKWARD:
        return oclin_layer_backward(b->layer, b->dy, b->dx);
    case BACKWARD_STEP:
        return oclin_layer_backward_step(b->layer, b->dy, b->dx, 0.5f);
    case STEP:
        return oclin_layer_step(b->layer, 0.5f);
    case FILL:
        return oclin_tensor_fill(b->y, 2.0);
    default:
        return oclin_loss_cross_entropy(b->y, b->labels, b->loss, b->dy, NULL, NULL);
    }
}

/* The tensor that the failing launch would have written. */
static oclin_tensor *target_of(const struct bench *b, const struct launch_case *c)
{
    switch (c->operation) {
    case FORWARD:
    case FILL:
        return b->y;
    case BACKWARD:
        return c->nth == 0 ? b->dx : oclin_layer_dw(b->layer);
    case BACKWARD_STEP:
        return c->nth == 0 ? b->dx : oclin_layer_w(b->layer);
    case STEP:
        return c->nth == 0 ? oclin_layer_w(b->layer) : oclin_layer_b(b->layer);
    default:
        return c->nth == 0 ? b->dy : b->loss;
    }
}

/* Writing what is unspecified heals it. */
static void heal(const struct bench *b)
{
    assert_ok(b->ctx, oclin_tensor_write(oclin_layer_w(b->layer), b->w));
    assert_ok(b->ctx, oclin_tensor_write(oclin_layer_b(b->layer), b->b));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    oclin_tensor *const all[] = {b->x, b->dy, b->dx, b->y};
    for (size_t i = 0; i < COUNT_OF(all); i++) assert_ok(b->ctx, oclin_tensor_fill(all[i], 1.0));
    assert_ok(b->ctx, oclin_layer_forward(b->layer, b->x, b->y));
    assert_ok(b->ctx, oclin_layer_backward(b->layer, b->dy, b->dx));
    assert_ok(b->ctx, oclin_layer_step(b->layer, 0.0f));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

static void test_launch(void **state)
{
    static const cl_int codes[] = {CL_OUT_OF_RESOURCES, CL_MEM_OBJECT_ALLOCATION_FAILURE,
                                   CL_OUT_OF_HOST_MEMORY};
    const struct launch_case *c = *state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        struct bench b = make_bench(c->activation);
        if (c->operation == STEP) assert_ok(b.ctx, oclin_layer_backward(b.layer, b.dy, NULL));
        if (c->operation == STEP || c->operation == LOSS)
            assert_ok(b.ctx, operate(&b, c->operation)); /* builds */
        faults_fail_call("clEnqueueNDRangeKernel", c->nth, codes[i], FAULT_BEFORE);
        assert_status(b.ctx, OCLIN_E_CL, operate(&b, c->operation));
        assert_int_equal(oclin_context_cl_error(b.ctx), codes[i]);
        assert_string_not_equal(oclin_context_error(b.ctx), "");
        assert_status(b.ctx, OCLIN_E_STATE, state_of(&b, target_of(&b, c)));
        assert_ok(b.ctx, state_of(&b, b.x)); /* an input */
        heal(&b);
        free_bench(&b);
    }
}

/* ------------------------------------------------------------------------------------------ late failures */

/* What was written since the last good finish is unspecified; what was there before is not. */
static void test_finish(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    faults_fail_call("clFinish", 0, CL_OUT_OF_RESOURCES, FAULT_AFTER);
    assert_status(b.ctx, OCLIN_E_CL, oclin_context_finish(b.ctx));
    assert_status(b.ctx, OCLIN_E_STATE, state_of(&b, b.y));
    assert_ok(b.ctx, state_of(&b, b.x));
    assert_ok(b.ctx, state_of(&b, oclin_layer_w(b.layer)));
    heal(&b);
    free_bench(&b);
}

/* A z that was lost must not become a gradient. */
static void test_lost_z(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_GELU);
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    faults_fail_call("clFinish", 0, CL_OUT_OF_RESOURCES, FAULT_AFTER);
    assert_status(b.ctx, OCLIN_E_CL, oclin_context_finish(b.ctx));
    assert_status(b.ctx, OCLIN_E_STATE, oclin_layer_backward(b.layer, b.dy, b.dx));
    heal(&b);
    /* of one sample, too */
    oclin_tensor *x, *y, *dy;
    assert_ok(b.ctx, oclin_tensor_view_rows(&x, b.x, 0, 1));
    assert_ok(b.ctx, oclin_tensor_view_rows(&y, b.y, 0, 1));
    assert_ok(b.ctx, oclin_tensor_view_rows(&dy, b.dy, 0, 1));
    assert_ok(b.ctx, oclin_context_finish(b.ctx));
    assert_ok(b.ctx, oclin_layer_forward(b.layer, x, y));
    faults_fail_call("clFinish", 0, CL_OUT_OF_RESOURCES, FAULT_AFTER);
    assert_status(b.ctx, OCLIN_E_CL, oclin_context_finish(b.ctx));
    assert_refused(b.ctx, OCLIN_E_STATE, "z is", oclin_layer_backward(b.layer, dy, NULL));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(dy);
    heal(&b);
    /* and where the y beside it, which the host may not read, could not be copied to be verified */
    cl_context context;
    cl_int error;
    assert_ok(b.ctx, oclin_context_cl(b.ctx, &context, NULL, NULL));
    cl_mem hidden = clCreateBuffer(context, CL_MEM_HOST_NO_ACCESS, BATCH * OUT * sizeof(float), NULL, &error);
    assert_ok(b.ctx, oclin_tensor_wrap(&y, b.ctx, OCLIN_F32, hidden, 0, BATCH, OUT, OUT));
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, y));
    b.ctx->verify = 1;
    faults_fail_call("clEnqueueCopyBufferRect", 0, CL_OUT_OF_RESOURCES, FAULT_BEFORE);
    assert_status(b.ctx, OCLIN_E_CL, oclin_layer_forward(b.layer, b.x, y));
    b.ctx->verify = 0;
    assert_refused(b.ctx, OCLIN_E_STATE, "was lost", oclin_layer_backward(b.layer, b.dy, NULL));
    oclin_tensor_destroy(y);
    clReleaseMemObject(hidden);
    free_bench(&b);
}

/* Zeros that a cleared gradient had in memory may be lost; that it counts as zeros is not. */
static void test_lost_zeros(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    float dw[OUT * IN];
    assert_non_null(oclin_tensor_cl_mem(oclin_layer_dw(b.layer))); /* writes them */
    faults_fail_call("clFinish", 0, CL_OUT_OF_RESOURCES, FAULT_AFTER);
    assert_status(b.ctx, OCLIN_E_CL, oclin_context_finish(b.ctx));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_dw(b.layer), dw));
    for (int i = 0; i < OUT * IN; i++) assert_true(dw[i] == 0.0f);
    free_bench(&b);
}

static void test_read(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    faults_fail_call("clEnqueueReadBuffer", 0, CL_EXEC_STATUS_ERROR_FOR_EVENTS_IN_WAIT_LIST, FAULT_BEFORE);
    assert_status(b.ctx, OCLIN_E_CL, state_of(&b, b.y));
    assert_status(b.ctx, OCLIN_E_STATE, state_of(&b, b.y));
    heal(&b);
    free_bench(&b);
}

static void test_write(void **state)
{
    (void)state;
    const float host[BATCH * IN] = {0};
    struct bench b = make_bench(OCLIN_NONE);
    faults_fail_call("clEnqueueWriteBuffer", 0, CL_OUT_OF_RESOURCES, FAULT_BEFORE);
    assert_status(b.ctx, OCLIN_E_CL, oclin_tensor_write(b.x, host));
    assert_status(b.ctx, OCLIN_E_STATE, oclin_layer_forward(b.layer, b.x, b.y));
    heal(&b);
    free_bench(&b);
}

static void test_lost_device(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    faults_fail_call("clEnqueueNDRangeKernel", 0, CL_INVALID_COMMAND_QUEUE, FAULT_BEFORE);
    assert_status(b.ctx, OCLIN_E_CL, oclin_layer_forward(b.layer, b.x, b.y));
    assert_status(b.ctx, OCLIN_E_STATE, oclin_layer_forward(b.layer, b.x, b.y));
    assert_status(b.ctx, OCLIN_E_STATE, oclin_context_finish(b.ctx));
    free_bench(&b);
}

/* ------------------------------------------------------------------------- failures that change nothing */

static void test_no_memory(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    oclin_tensor *t = b.x;
    oclin_layer *l = b.layer;
    faults_fail_call("clCreateBuffer", 0, CL_MEM_OBJECT_ALLOCATION_FAILURE, FAULT_BEFORE);
    assert_status(b.ctx, OCLIN_E_MEMORY, oclin_tensor_create(&t, b.ctx, OCLIN_F32, 2, 2));
    assert_null(t);
    faults_fail_call("clCreateBuffer", 1, CL_OUT_OF_HOST_MEMORY, FAULT_BEFORE); /* w, then b */
    assert_status(b.ctx, OCLIN_E_MEMORY, oclin_layer_create(&l, b.ctx, IN, OUT, NULL));
    assert_null(l);
    faults_fail_call("clCreateBuffer", 0, CL_MEM_OBJECT_ALLOCATION_FAILURE, FAULT_BEFORE);
    assert_status(b.ctx, OCLIN_E_MEMORY, oclin_loss_reserve(b.ctx, 1000));
    assert_ok(b.ctx, oclin_loss_reserve(b.ctx, 1000));
    assert_status(b.ctx, OCLIN_E_SHAPE, oclin_loss_reserve(b.ctx, (int64_t)1 << 50));
    free_bench(&b);
}

/* A step whose second kernel does not build has not moved the first parameter. */
static void test_build(void **state)
{
    (void)state;
    const float ones[OUT * IN] = {1, 1, 1, 1, 1, 1};
    oclin_tensor *arena, *b_view, *db_view;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_context *ctx = make_context("simt-16");
    assert_ok(ctx, oclin_tensor_create(&arena, ctx, OCLIN_F32, 1, 16));
    assert_ok(ctx, oclin_tensor_fill(arena, 0.0));
    assert_ok(ctx,
              oclin_tensor_view(&b_view, arena, 1, 1, OUT, OUT)); /* not aligned: another kernel than w's */
    assert_ok(ctx, oclin_tensor_view(&db_view, arena, 9, 1, OUT, OUT));
    options.b = b_view;
    options.db = db_view;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN + 1, OUT, &options));
    float old[OUT * (IN + 1)], now[OUT * (IN + 1)], gradient[OUT * (IN + 1)] = {1, 1, 1, 1, 1, 1, 1, 1};
    assert_ok(ctx, oclin_tensor_read(oclin_layer_w(l), old));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_dw(l), gradient));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_db(l), ones));
    faults_fail_call("clBuildProgram", 1, CL_BUILD_PROGRAM_FAILURE, FAULT_BEFORE);
    assert_status(ctx, OCLIN_E_BUILD, oclin_layer_step(l, 1.0f));
    assert_null(strchr(oclin_context_error(ctx), '\n'));
    assert_ok(ctx, oclin_tensor_read(oclin_layer_w(l), now));
    check_same_bits("w after a step that was refused", now, old, OUT * (IN + 1));
    faults_end();
    oclin_tensor_destroy(b_view);
    oclin_tensor_destroy(db_view);
    oclin_tensor_destroy(arena);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* Where oclin chooses the plan, a kernel that does not build is a reason for another, not for giving up. */
static void test_next_tile(void **state)
{
    (void)state;
    const float ones[4] = {1, 1, 1, 1};
    float got[4];
    oclin_context *ctx = make_context("");
    oclin_layer *l;
    oclin_tensor *x, *y;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 2, 2, NULL));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_w(l), ones));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_b(l), ones));
    assert_ok(ctx, oclin_tensor_create(&x, ctx, OCLIN_F32, 2, 2));
    assert_ok(ctx, oclin_tensor_create(&y, ctx, OCLIN_F32, 2, 2));
    assert_ok(ctx, oclin_tensor_write(x, ones));
    faults_fail_call("clBuildProgram", 0, CL_BUILD_PROGRAM_FAILURE, FAULT_BEFORE);
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_string_equal(oclin_context_error(ctx), "");
    assert_int_equal(oclin_context_cl_error(ctx), CL_SUCCESS);
    assert_ok(ctx, oclin_layer_forward(l, x, y)); /* the failure is remembered, and passed over again */
    assert_string_equal(oclin_context_error(ctx), "");
    assert_ok(ctx, oclin_tensor_read(y, got));
    for (int i = 0; i < 4; i++) assert_true(got[i] == 3.0f);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* Buffers that the host may not touch are refused before anything is tried. */
static void test_host_access(void **state)
{
    (void)state;
    static const struct {
        cl_mem_flags flags;
        oclin_status read, write;
    } rows[] = {{CL_MEM_HOST_NO_ACCESS, OCLIN_E_ARG, OCLIN_E_ARG},
                {CL_MEM_HOST_READ_ONLY, OCLIN_OK, OCLIN_E_ARG},
                {CL_MEM_HOST_WRITE_ONLY, OCLIN_E_ARG, OCLIN_OK}};
    struct bench b = make_bench(OCLIN_NONE);
    float host[4] = {1, 2, 3, 4};
    cl_context context;
    assert_ok(b.ctx, oclin_context_cl(b.ctx, &context, NULL, NULL));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        oclin_tensor *t;
        cl_mem m = clCreateBuffer(context, rows[i].flags, sizeof host, NULL, NULL);
        assert_ok(b.ctx, oclin_tensor_wrap(&t, b.ctx, OCLIN_F32, m, 0, 2, 2, 2));
        assert_status(b.ctx, rows[i].write, oclin_tensor_write(t, host));
        assert_status(b.ctx, rows[i].read, oclin_tensor_read(t, host));
        assert_ok(b.ctx, state_of(&b, b.x)); /* nobody else is touched by it */
        oclin_tensor_destroy(t);
        clReleaseMemObject(m);
    }
    cl_mem odd = clCreateBuffer(context, CL_MEM_USE_HOST_PTR, 8, (char *)host + 1, NULL);
    oclin_tensor *t;
    if (odd) assert_status(b.ctx, OCLIN_E_ARG, oclin_tensor_wrap(&t, b.ctx, OCLIN_F32, odd, 0, 1, 2, 2));
    if (odd) clReleaseMemObject(odd);
    free_bench(&b);
}

int main(int argc, char **argv)
{
    static const struct launch_case launches[] = {
        {"forward", FORWARD, OCLIN_NONE, 0},
        {"forward gelu", FORWARD, OCLIN_GELU, 0},
        {"backward dx", BACKWARD, OCLIN_NONE, 0},
        {"backward dw", BACKWARD, OCLIN_NONE, 1},
        {"backward_step dx", BACKWARD_STEP, 0, 0},
        {"backward_step w", BACKWARD_STEP, OCLIN_RELU, 1},
        {"step w", STEP, OCLIN_NONE, 0},
        {"step b", STEP, OCLIN_NONE, 1},
        {"fill", FILL, OCLIN_NONE, 0},
        {"loss rows", LOSS, OCLIN_NONE, 0},
        {"loss sum", LOSS, OCLIN_NONE, 1},
    };
    static const struct {
        const char *name;
        CMUnitTestFunction run;
    } tests[] = {{"finish", test_finish},         {"lost z", test_lost_z},
                 {"lost zeros", test_lost_zeros}, {"read", test_read},
                 {"write", test_write},           {"lost device", test_lost_device},
                 {"no memory", test_no_memory},   {"build", test_build},
                 {"next tile", test_next_tile},   {"host access", test_host_access}};
    struct test_list list = {NULL, 0, 0};
    for (size_t i = 0; i < COUNT_OF(launches); i++)
        add_test(&list, test_launch, (void *)(uintptr_t)&launches[i], "launch/%s", launches[i].name);
    for (size_t i = 0; i < COUNT_OF(tests); i++) add_test(&list, tests[i].run, NULL, "%s", tests[i].name);
    return run_list("failure", &list, argc, argv);
}
