/* Contexts in time: order against other queues, destruction in any order, several of them, fork. */
#define _POSIX_C_SOURCE 200809L /* fork, nanosleep */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#include "faults.h"
#include "oclin_internal.h"

/* --------------------------------------------------------------------------------------------- ordering */

/* Some runtimes begin without being told to, so that only counting shows whether they were. */
static void test_flushes(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("plain");
    float host = 1.0f;
    cl_event event = NULL;
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 1, &host);
    const int64_t flushes = faults_calls("clFlush");
    assert_ok(ctx, oclin_context_mark(ctx, &event));
    assert_int_equal(faults_calls("clFlush"), flushes + 1);
    assert_ok(ctx, oclin_tensor_write_async(t, &host, NULL));
    assert_int_equal(faults_calls("clFlush"), flushes + 2);
    assert_ok(ctx, oclin_tensor_read_async(t, &host, NULL));
    assert_int_equal(faults_calls("clFlush"), flushes + 3);
    assert_ok(ctx, oclin_context_finish(ctx));
    clReleaseEvent(event);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

static void test_wait_for_errors(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("plain");
    oclin_context *other = make_context("plain");
    cl_context context, foreign;
    cl_int error;
    assert_ok(ctx, oclin_context_cl(ctx, &context, NULL, NULL));
    assert_ok(other, oclin_context_cl(other, &foreign, NULL, NULL));
    cl_event events[2] = {clCreateUserEvent(context, &error), clCreateUserEvent(foreign, &error)};
    const cl_event with_null[2] = {events[0], NULL};
    assert_refused(ctx, OCLIN_E_ARG, "-1", oclin_context_wait_for(ctx, -1, events));
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_context_wait_for(ctx, 1, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "event 1 of 2", oclin_context_wait_for(ctx, 2, with_null));
    assert_refused(ctx, OCLIN_E_ARG, "event 1 of 2", oclin_context_wait_for(ctx, 2, events));
    assert_ok(ctx, oclin_context_wait_for(ctx, 0, NULL));
    assert_ok(ctx, oclin_context_wait_for(ctx, 0, events));
    /* had one of them been enqueued, this would never end: the events are not complete */
    assert_ok(ctx, oclin_context_finish(ctx));
    for (int i = 0; i < 2; i++) clReleaseEvent(events[i]);
    oclin_context_destroy(other);
    oclin_context_destroy(ctx);
}

/* 20 ms: long enough for a command that is not held back. */
static void wait_a_little(void)
{
    const struct timespec time = {0, 20 * 1000 * 1000};
    nanosleep(&time, NULL);
}

static cl_int event_state(cl_event event)
{
    cl_int now = -1;
    assert_int_equal(clGetEventInfo(event, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof now, &now, NULL),
                     CL_SUCCESS);
    return now;
}

static void test_wait_for_delays(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("plain");
    cl_context context;
    cl_int error;
    cl_event done = NULL;
    float got = 0.0f;
    const float one = 1.0f;
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 1, &one);
    assert_ok(ctx, oclin_context_cl(ctx, &context, NULL, NULL));
    cl_event gate = clCreateUserEvent(context, &error);
    assert_ok(ctx, oclin_context_wait_for(ctx, 1, &gate));
    assert_ok(ctx, oclin_tensor_read_async(t, &got, &done));
    wait_a_little();
    assert_true(event_state(done) > CL_COMPLETE);
    assert_true(got == 0.0f);
    clSetUserEventStatus(gate, CL_COMPLETE);
    assert_ok(ctx, oclin_context_finish(ctx));
    assert_int_equal(event_state(done), CL_COMPLETE);
    assert_true(got == 1.0f);
    clReleaseEvent(done);
    clReleaseEvent(gate);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

/* The event completes without any further call. */
static void test_mark(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("plain");
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    cl_event event = NULL;
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_context_mark(ctx, NULL));
    assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    assert_ok(ctx, oclin_context_mark(ctx, &event));
    assert_non_null(event);
    for (int i = 0; i < 1000 && event_state(event) != CL_COMPLETE; i++) wait_a_little();
    assert_int_equal(event_state(event), CL_COMPLETE);

    cl_context context = NULL, of = NULL;
    assert_ok(ctx, oclin_context_cl(ctx, &context, NULL, NULL));
    assert_int_equal(clGetEventInfo(event, CL_EVENT_CONTEXT, sizeof of, &of, NULL), CL_SUCCESS);
    assert_ptr_equal(of, context);
    clReleaseEvent(event);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

/* mark stands behind what was enqueued before it: a gate that is shut holds it back. */
static void test_mark_waits(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("plain");
    cl_context context;
    cl_int error;
    cl_event event = NULL;
    assert_ok(ctx, oclin_context_cl(ctx, &context, NULL, NULL));
    cl_event gate = clCreateUserEvent(context, &error);
    assert_ok(ctx, oclin_context_wait_for(ctx, 1, &gate));
    assert_ok(ctx, oclin_context_mark(ctx, &event));
    wait_a_little();
    assert_true(event_state(event) > CL_COMPLETE);
    clSetUserEventStatus(gate, CL_COMPLETE);
    assert_int_equal(clWaitForEvents(1, &event), CL_SUCCESS);
    clReleaseEvent(event);
    clReleaseEvent(gate);
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------------------------------- lifetimes */

enum { HANDLES = 5 };

static void destroy_nth(int nth, oclin_context *ctx, oclin_tensor *t, oclin_tensor *view, oclin_layer *l,
                        oclin_saved *saved)
{
    if (nth == 0) oclin_context_destroy(ctx);
    if (nth == 1) oclin_tensor_destroy(t);
    if (nth == 2) oclin_tensor_destroy(view);
    if (nth == 3) oclin_layer_destroy(l);
    if (nth == 4) oclin_saved_destroy(saved);
}

/* All handles, given back in one order; what is still held must work until then. */
static void destroy_in_order(const int order[HANDLES])
{
    oclin_context *ctx = make_context("plain");
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 2, 2, (float[]){1, 2, 3, 4}), *view = NULL;
    oclin_layer *l = NULL;
    oclin_saved *saved = NULL;
    int held[HANDLES] = {1, 1, 1, 1, 1};
    assert_ok(ctx, oclin_tensor_view(&view, t, 1, 2, 1, 2));
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.w = t;
    options.bias = 0;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 2, 2, &options));
    assert_ok(ctx, oclin_saved_create(&saved, ctx));
    for (int i = 0; i < HANDLES; i++) {
        destroy_nth(order[i], ctx, t, view, l, saved);
        held[order[i]] = 0;
        float got[4];
        if (held[1]) assert_int_equal(oclin_tensor_read(t, got), OCLIN_OK);
        if (held[2]) {
            assert_int_equal(oclin_tensor_read(view, got), OCLIN_OK);
            assert_true(got[0] == 2 && got[1] == 4);
        }
        if (held[3]) assert_int_equal(oclin_tensor_read(oclin_layer_w(l), got), OCLIN_OK);
    }
}

static void test_any_order_of_destruction(void **state)
{
    (void)state;
    for (int code = 0; code < 120; code++) { /* a permutation by its factorial digits */
        int rest[HANDLES] = {0, 1, 2, 3, 4}, order[HANDLES], digits = code;
        for (int i = 0; i < HANDLES; i++) {
            const int left = HANDLES - i, pick = digits % left;
            digits /= left;
            order[i] = rest[pick];
            rest[pick] = rest[left - 1];
        }
        destroy_in_order(order);
    }
}

static void test_two_contexts(void **state)
{
    (void)state;
    struct heard heard[2] = {{0}, {0}};
    oclin_context *ctx[2] = {NULL, NULL};
    oclin_tensor *t[2];
    float got[2];
    for (int i = 0; i < 2; i++) {
        struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
        options.log = hear;
        options.log_user = &heard[i];
        assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx[i], &options));
        const float value = (float)i;
        t[i] = make_tensor(ctx[i], OCLIN_F32, 1, 1, &value);
    }
    const int before = heard[1].lines;
    assert_refused(ctx[0], OCLIN_E_ARG, "another context", oclin_loss_mse(t[0], t[1], NULL, NULL, NULL));
    assert_string_equal(oclin_context_error(ctx[1]), "");
    assert_int_equal(heard[1].lines, before);
    assert_ok(ctx[1], oclin_context_finish(ctx[1]));
    assert_string_not_equal(oclin_context_error(ctx[0]), ""); /* the other one's success does not clear it */
    oclin_tensor_destroy(t[0]);
    oclin_context_destroy(ctx[0]);
    assert_ok(ctx[1], oclin_tensor_read(t[1], got));
    assert_true(got[0] == 1.0f);
    oclin_tensor_destroy(t[1]);
    oclin_context_destroy(ctx[1]);
}

/* The log is called as long as anything of the context lives, also after its destruction; not when all is
 * gone. */
static void test_log_outlives_handle(void **state)
{
    const int kind = *(int *)*state;
    struct heard *heard = new_array(struct heard, 1);
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx = NULL;
    oclin_tensor *t = NULL;
    oclin_layer *l = NULL;
    oclin_saved *saved = NULL;
    options.plan = "plain";
    options.log = hear;
    options.log_user = heard;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx, &options));
    if (kind == 0) t = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    if (kind == 1) assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, NULL));
    if (kind == 2) assert_ok(ctx, oclin_saved_create(&saved, ctx));
    oclin_context_destroy(ctx);
    const int before = heard->lines;
    if (kind == 0) assert_int_equal(oclin_tensor_write(t, NULL), OCLIN_E_ARG);
    if (kind == 1) assert_int_equal(oclin_layer_step(l, -1.0f), OCLIN_E_ARG);
    if (kind < 2) assert_int_equal(heard->lines, before + 1);
    oclin_tensor_destroy(t);
    oclin_layer_destroy(l);
    oclin_saved_destroy(saved);
    free(heard); /* a sanitizer sees it if anybody still uses it */
}

/* What the last destruction waits for: the work in an own queue on Rusticl, and nothing else. Other
 * drivers are told the name: what is called depends on it alone. */
static const struct parting {
    const char *what, *platform;
    int of_caller, lost, elsewhere; /* elsewhere: in a forked child */
    cl_int failure;                 /* of clFinish() */
    int waits;
} partings[] = {{"rusticl", "rusticl", 0, 0, 0, CL_SUCCESS, 1},
                {"rusticl, which fails", "rusticl", 0, 0, 0, CL_OUT_OF_RESOURCES, 1},
                {"rusticl, the caller's queue", "rusticl", 1, 0, 0, CL_SUCCESS, 0},
                {"rusticl, lost", "rusticl", 0, 1, 0, CL_SUCCESS, 0},
                {"rusticl, in a child", "rusticl", 0, 0, 1, CL_SUCCESS, 0},
                {"another", "Portable Computing Language", 0, 0, 0, CL_SUCCESS, 0},
                {"a longer name", "rusticl 2", 0, 0, 0, CL_SUCCESS, 0},
                {"a shorter name", "rustic", 0, 0, 0, CL_SUCCESS, 0},
                {"no name", "", 0, 0, 0, CL_SUCCESS, 0}};

/* Where the call comes among those that faults_count() has seen; -1: nowhere. */
static int64_t place_of(const char *name, int64_t count)
{
    for (int64_t i = 0; i < count; i++)
        if (strcmp(faults_called(i), name) == 0) return i;
    return -1;
}

static void test_parting(void **state)
{
    const struct parting *p = *state;
    const int64_t alive = faults_alive_cl();
    oclin_context *home = make_context("plain"), *ctx = home;
    cl_context cl;
    cl_command_queue queue;
    if (p->of_caller) {
        struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
        options.plan = "plain";
        assert_ok(home,
                  oclin_context_cl(home, &options.cl_context_handle, &options.cl_device, &options.cl_queue));
        ctx = make_context_with(options);
    }
    assert_ok(ctx, oclin_context_cl(ctx, &cl, NULL, &queue));
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 1, (float[]){1});
    cl_mem memory = oclin_tensor_cl_mem(t), tickets = ctx->tickets;
    strcpy(ctx->device.info.platform_name, p->platform);
    ctx->lost = p->lost;
    ctx->process += p->elsewhere;

    const int64_t finishes = faults_calls("clFinish"), markers = faults_calls("clEnqueueMarkerWithWaitList");
    oclin_context_destroy(ctx); /* the tensor has it */
    assert_int_equal(faults_calls("clFinish"), finishes);
    faults_count(FAULT_CL);
    if (p->failure) faults_fail_call("clFinish", 0, p->failure, FAULT_BEFORE);
    oclin_tensor_destroy(t);
    const int64_t calls = faults_end();
    assert_int_equal(faults_calls("clFinish"), finishes + p->waits);
    assert_int_equal(faults_calls("clEnqueueMarkerWithWaitList"), markers + p->waits);
    if (p->waits && !p->failure) {
        const int64_t waited = place_of("clFinish", calls);
        assert_true(place_of("clEnqueueMarkerWithWaitList", calls) < waited);
        assert_true(waited < place_of("clReleaseCommandQueue", calls));
    }
    if (p->elsewhere) { /* where they are left alone */
        clReleaseMemObject(memory);
        if (tickets) clReleaseMemObject(tickets);
        clReleaseCommandQueue(queue);
        clReleaseContext(cl);
    }
    if (p->of_caller) oclin_context_destroy(home);
    assert_int_equal(faults_alive_cl(), alive);
}

/* ------------------------------------------------------------------------------------------------- fork */

/* Everything that the child may try. */
struct family {
    oclin_context *ctx;
    oclin_tensor *t, *made;
    cl_mem memory;
    oclin_layer *layer, *made_layer;
    oclin_saved *saved, *made_saved;
};

/* The number of the first call in the child that does not answer OCLIN_E_STATE, or 0. */
static int first_wrong_in_child(struct family *f)
{
    float host[4];
    int64_t bytes;
    cl_event event;
    struct oclin_device_info info;
    const oclin_status answers[] = {
        oclin_context_finish(f->ctx),
        oclin_context_wait_for(f->ctx, 0, NULL),
        oclin_context_mark(f->ctx, &event),
        oclin_tensor_create(&f->made, f->ctx, OCLIN_F32, 1, 1),
        oclin_tensor_view(&f->made, f->t, 0, 1, 1, 1),
        oclin_tensor_view_rows(&f->made, f->t, 0, 1),
        oclin_tensor_wrap(&f->made, f->ctx, OCLIN_F32, f->memory, 0, 1, 1, 1),
        oclin_tensor_write(f->t, host),
        oclin_tensor_read(f->t, host),
        oclin_tensor_write_async(f->t, host, NULL),
        oclin_tensor_read_async(f->t, host, NULL),
        oclin_tensor_fill(f->t, 1.0),
        oclin_tensor_touch(f->t),
        oclin_layer_create(&f->made_layer, f->ctx, 1, 1, NULL),
        oclin_saved_create(&f->made_saved, f->ctx),
        oclin_layer_forward(f->layer, f->t, f->t),
        oclin_layer_forward_saved(f->layer, f->t, f->t, f->saved),
        oclin_layer_infer(f->layer, f->t, f->t),
        oclin_layer_backward(f->layer, f->t, NULL),
        oclin_layer_backward_saved(f->layer, f->t, NULL, f->saved),
        oclin_layer_backward_step(f->layer, f->t, NULL, 0.1f),
        oclin_layer_backward_step_saved(f->layer, f->t, NULL, 0.1f, f->saved),
        oclin_layer_step(f->layer, 0.1f),
        oclin_layer_zero_grad(f->layer),
        oclin_layer_workspace(f->layer, 1, &bytes),
        oclin_layer_reserve(f->layer, 1),
        oclin_layer_reserve_step(f->layer, 1),
        oclin_layer_workspace_infer(f->layer, 1, &bytes),
        oclin_layer_reserve_infer(f->layer, 1),
        oclin_loss_mse(f->t, f->t, NULL, NULL, NULL),
        oclin_loss_cross_entropy(f->t, f->t, NULL, NULL, NULL, NULL),
        oclin_loss_reserve(f->ctx, 1),
        oclin_tune(f->ctx, 1, 1, 1, 1.0, NULL, NULL),
        oclin_self_check(f->ctx, NULL),
        oclin_loss_workspace(f->ctx, 1, &bytes),
        oclin_context_device(f->ctx, &info),
        oclin_context_cl(f->ctx, NULL, NULL, NULL),
    };
    for (size_t i = 0; i < COUNT_OF(answers); i++)
        if (answers[i] != OCLIN_E_STATE) return (int)i + 1;
    if (oclin_tensor_cl_mem(f->t) || oclin_layer_dw(f->layer)) return 100;
    if (!strstr(oclin_context_error(f->ctx), "process")) return 101;
    return 0;
}

static void test_fork(void **state)
{
    (void)state;
    struct family f = {0};
    f.ctx = make_context("plain");
    f.t = make_tensor(f.ctx, OCLIN_F32, 1, 1, (float[]){1});
    f.memory = oclin_tensor_cl_mem(f.t);
    assert_ok(f.ctx, oclin_layer_create(&f.layer, f.ctx, 1, 1, NULL));
    assert_ok(f.ctx, oclin_saved_create(&f.saved, f.ctx));
    fflush(NULL);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const int wrong = first_wrong_in_child(&f);
        oclin_saved_destroy(f.saved);
        oclin_layer_destroy(f.layer);
        oclin_tensor_destroy(f.t);
        oclin_context_destroy(f.ctx);
        _exit(wrong);
    }
    int ended = 0;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_true(WIFEXITED(ended));
    if (WEXITSTATUS(ended))
        fail_msg("call %d in the child does not answer OCLIN_E_STATE", WEXITSTATUS(ended));

    float got;
    assert_ok(f.ctx, oclin_tensor_read(f.t, &got)); /* the parent goes on */
    assert_true(got == 1.0f);
    oclin_saved_destroy(f.saved);
    oclin_layer_destroy(f.layer);
    oclin_tensor_destroy(f.t);
    oclin_context_destroy(f.ctx);
}

int main(int argc, char **argv)
{
    static int kinds[] = {0, 1, 2};
    struct test_list list = {0};
    add_test(&list, test_wait_for_errors, NULL, "order/wait_for, errors");
    add_test(&list, test_wait_for_delays, NULL, "order/wait_for delays");
    add_test(&list, test_mark, NULL, "order/mark completes");
    add_test(&list, test_flushes, NULL, "order/what flushes");
    add_test(&list, test_mark_waits, NULL, "order/mark stands behind what came before");
    add_test(&list, test_any_order_of_destruction, NULL, "any order of destruction");
    add_test(&list, test_two_contexts, NULL, "two contexts");
    for (size_t i = 0; i < COUNT_OF(kinds); i++)
        add_test(&list, test_log_outlives_handle, &kinds[i], "log/outlives its context with a %s",
                 i == 0   ? "tensor"
                 : i == 1 ? "layer"
                          : "saved state");
    for (size_t i = 0; i < COUNT_OF(partings); i++)
        add_test(&list, test_parting, (void *)(uintptr_t)&partings[i], "parting/%s", partings[i].what);
    add_test(&list, test_fork, NULL, "fork");
    return run_list("lifetime", &list, argc, argv);
}
