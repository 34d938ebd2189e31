/*
 * Every OpenCL call, every allocation and every call for a file that the library makes fails once, in turn, in every public
 * function: a clear status and sentence, no object kept, the state that the header promises, and the same handles work when
 * the fault is gone, with the numbers of a run without one, bit for bit.
 *
 * A scenario is one call with what comes before it. It is tried on a context that has not run it before ("cold": kernels are
 * built, memory is taken), and on one that has ("warm"). Numbers are small integers, so that another plan, taken because the
 * first one failed, gives the same bits.
 *
 * Each point is tried with one error code, and one in a loss of the device; OCLIN_FAULTS=all tries all codes at all points.
 */
#define _GNU_SOURCE /* mkdtemp, popen */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

#include "faults.h"
#include "oclin_internal.h"

static struct {
    int64_t tried, survived;
} points;

static int all_codes; /* OCLIN_FAULTS=all */

/* The context whose OpenCL handles all others are made around: kernels built once are kept for it. */
static oclin_context *home;

/* ------------------------------------------------------------------------------------------ the bench */

enum { X, Y, DY, DX, T, LABELS, LOSS, CORRECT, W, B, DW, DB, TENSORS };
static const char *const tensor_names[] = {"x",    "y",       "dy", "dx", "t",  "labels",
                                           "loss", "correct", "w",  "b",  "dw", "db"};
#define BIT(tensor) (1u << (tensor))

enum { MOST = 440 * 440 };

/* How a scenario's context and call are special. */
enum {
    VERIFY = 1,     /* the context checks each operation */
    CACHE = 2,      /* it has a cache folder */
    OTHER_TEXT = 4, /* and one with kernel texts */
    NO_CONTEXT = 8, /* the call needs none */
    ANY_PLAN = 16,  /* what fails may be replaced by another plan */
    COLD_ONLY = 32, /* it is another call the second time */
    LOSES_ALL = 64, /* a failure of the call concerns all that was written since the last finish */
    LARGE = 128,    /* large enough for packing */
    REPEATS = 256   /* its first thousand calls have all that the others have */
};

struct bench;
struct scenario {
    const char *name;
    const char *covers; /* public functions that may fail in it, one blank after each */
    oclin_status (*call)(struct bench *b);
    void (*prepare)(struct bench *b); /* calls that come before; NULL: none */
    unsigned overwrites, updates;     /* tensors that the call writes; that it changes */
    unsigned how;
    oclin_activation activation;
    const char *plan; /* NULL: "plain" */
};

struct bench {
    const struct scenario *s;
    oclin_context *ctx;
    oclin_layer *layer;
    oclin_saved *saved;
    oclin_tensor *own[W]; /* those that are no parameters */
    oclin_tensor *view;   /* columns of x */
    int64_t batch, in, out;
    cl_mem buffer, part; /* the caller's */
    int fresh;           /* or anything may have happened to all tensors */
    cl_event event;
    /* what calls make */
    oclin_context *made_ctx;
    oclin_tensor *made;
    oclin_layer *made_layer, *made_other;
    oclin_tensor *made_parts[3];
    oclin_saved *made_saved;
    cl_event made_event;
};

static float host[MOST];
static char folder[300], last_line[700];
static char reason[512]; /* of a failed creation of a context */

static int failures_heard; /* lines that tell of one */
static int only_failures;  /* are kept */

static void keep_line(void *user, const char *line)
{
    (void)user;
    const int failure = strstr(line, "OCLIN_E_") != NULL;
    failures_heard += failure;
    if (failure || !only_failures) snprintf(last_line, sizeof last_line, "%s", line);
}

static oclin_tensor *tensor_of(const struct bench *b, int which)
{
    if (which < W) return b->own[which];
    return which == W ? b->layer->w : which == B ? b->layer->b : which == DW ? b->layer->dw : b->layer->db;
}

/* What tensors hold before a scenario. */
static void data_of(int which, int64_t n, void *to)
{
    struct rng rng = {(uint64_t)which + 1};
    if (which == LABELS)
        fill_labels(&rng, to, n, 2);
    else if (which == CORRECT)
        *(int32_t *)to = 7;
    else
        fill_integers(&rng, to, n, 4);
}

static void empty_folder(void)
{
    DIR *dir = opendir(folder);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        char path[600];
        snprintf(path, sizeof path, "%s/%s", folder, e->d_name);
        if (strcmp(e->d_name, "fill.cl") != 0) remove(path);
    }
    if (dir) closedir(dir);
}

static struct oclin_context_options options_of(const struct scenario *s)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    assert_ok(home, oclin_context_cl(home, &o.cl_context_handle, &o.cl_device, &o.cl_queue));
    o.ignore_environment = 1;
    o.plan = s->plan ? s->plan : "plain";
    o.verify = (s->how & VERIFY) != 0;
    o.cache_dir = s->how & CACHE ? folder : "";
    o.cl_dir = s->how & OTHER_TEXT ? folder : NULL;
    o.log = keep_line;
    return o;
}

static void make_handles(struct bench *b)
{
    cl_context context;
    cl_int error;
    b->buffer = b->part = NULL;
    assert_ok(home, oclin_context_cl(home, &context, NULL, NULL));
    const cl_buffer_region region = {128, 64};
    b->buffer = clCreateBuffer(context, CL_MEM_READ_WRITE, 256, NULL, &error);
    b->part = clCreateSubBuffer(b->buffer, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    b->event = clCreateUserEvent(context, &error);
    assert_int_equal(clSetUserEventStatus(b->event, CL_COMPLETE), CL_SUCCESS);
}

static struct bench *make_bench(const struct scenario *s)
{
    needs_plan(options_of(s).plan);
    struct bench *b = new_array(struct bench, 1);
    b->s = s;
    b->fresh = 1;
    b->batch = s->how & LARGE ? 440 : 4;
    b->in = s->how & LARGE ? 440 : 3;
    b->out = s->how & LARGE ? 440 : 2;
    make_handles(b);
    if (s->how & NO_CONTEXT) return b;
    const struct oclin_context_options o = options_of(s);
    struct oclin_layer_options lo = OCLIN_LAYER_OPTIONS_INIT;
    lo.activation = s->activation;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&b->ctx, &o));
    assert_ok(b->ctx, oclin_layer_create(&b->layer, b->ctx, b->in, b->out, &lo));
    assert_ok(b->ctx, oclin_saved_create(&b->saved, b->ctx));
    const int64_t sizes[W][2] = {{b->batch, b->in},
                                 {b->batch, b->out},
                                 {b->batch, b->out},
                                 {b->batch, b->in},
                                 {b->batch, b->out},
                                 {b->batch, 1},
                                 {1, 1},
                                 {1, 1}};
    for (int i = 0; i < W; i++)
        assert_ok(b->ctx,
                  oclin_tensor_create(&b->own[i], b->ctx, i == LABELS || i == CORRECT ? OCLIN_I32 : OCLIN_F32,
                                      sizes[i][0], sizes[i][1]));
    assert_ok(b->ctx, oclin_tensor_view(&b->view, b->own[X], 1, b->batch, b->in - 1, b->in));
    return b;
}

/* What a call has made. */
static void undo(struct bench *b)
{
    oclin_tensor_destroy(b->made);
    oclin_layer_destroy(b->made_layer);
    oclin_layer_destroy(b->made_other);
    for (int i = 0; i < 3; i++) {
        oclin_tensor_destroy(b->made_parts[i]);
        b->made_parts[i] = NULL;
    }
    oclin_saved_destroy(b->made_saved);
    oclin_context_destroy(b->made_ctx);
    if (b->made_event) clReleaseEvent(b->made_event);
    b->made = NULL;
    b->made_layer = b->made_other = NULL;
    b->made_saved = NULL;
    b->made_ctx = NULL;
    b->made_event = NULL;
}

static void free_bench(struct bench *b)
{
    undo(b);
    oclin_tensor_destroy(b->view);
    for (int i = 0; i < W; i++) oclin_tensor_destroy(b->own[i]);
    oclin_saved_destroy(b->saved);
    oclin_layer_destroy(b->layer);
    oclin_context_destroy(b->ctx);
    if (b->part) clReleaseMemObject(b->part);
    if (b->buffer) clReleaseMemObject(b->buffer);
    clReleaseEvent(b->event);
    free(b);
}

/* What all tensors hold; status -1: there is no such tensor (yet). */
static struct image {
    int status[TENSORS];
    float data[TENSORS][MOST];
} set_up, before, after, now;
static const struct scenario *set_up_for;

/* All that the bench holds, and what comes before the call. */
static void set(struct bench *b)
{
    const unsigned written = b->s->overwrites | b->s->updates | BIT(X) | BIT(Y);
    undo(b);
    if (b->s->how & CACHE) empty_folder();
    for (int i = 0; i < DW && b->ctx; i++) {
        oclin_tensor *t = tensor_of(b, i);
        if (!b->fresh && !(written & BIT(i))) continue;
        if (set_up_for != b->s) data_of(i, t->rows * t->cols, set_up.data[i]);
        assert_ok(b->ctx, oclin_tensor_write_async(t, set_up.data[i], NULL));
    }
    b->fresh = 0;
    set_up_for = b->s;
    if (b->ctx) assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    if (b->ctx) assert_ok(b->ctx, oclin_context_finish(b->ctx));
    if (b->s->prepare) b->s->prepare(b);
}

/* ---------------------------------------------------------------------------------------------- images */

static int64_t elements(const struct bench *b, int which)
{
    const oclin_tensor *t = tensor_of(b, which);
    return t ? t->rows * t->cols : 0;
}

static void take_image(struct bench *b, struct image *image)
{
    for (int i = 0; i < TENSORS && b->ctx; i++) {
        oclin_tensor *t = tensor_of(b, i);
        image->status[i] = t ? (int)oclin_tensor_read_async(t, image->data[i], NULL) : -1;
        if (image->status[i] > 0) assert_string_not_equal(oclin_context_error(b->ctx), "");
    }
    if (b->ctx) assert_ok(b->ctx, oclin_context_finish(b->ctx)); /* one for all: waiting is what costs here */
}

static int same(const struct bench *b, int which, const struct image *u)
{
    return memcmp(now.data[which], u->data[which], (size_t)elements(b, which) * sizeof(float)) == 0;
}

static int is_zero(const struct bench *b, int which)
{
    for (int64_t i = 0; i < elements(b, which); i++)
        if (now.data[which][i] != 0.0f) return 0;
    return 1;
}

static void point(const struct bench *b, char *text, size_t size, const char *call, int64_t n, cl_int code,
                  enum fault_how how)
{
    snprintf(text, size, "%s: %s, call %lld, error %d%s", b->s->name, call, (long long)n, (int)code,
             how == FAULT_AFTER ? " after it was done" : "");
}

/* ------------------------------------------------------------------------------------- what may be ignored */

/* Calls whose failure costs nothing but what is said here. Names are meant by their beginnings; `before` is the call before
 * it, where there are several places. */
static struct {
    const char *call, *before, *scenario, *why;
    int64_t seen;
} ignored[] = {
    {"clRelease", "", "", "nobody can do anything about it", 0},
    {"clGetProgramBuildInfo", "", "", "the compiler's log stays empty", 0},
    {"malloc", "clGetProgramBuildInfo", "", "the same", 0},
    {"clGetPlatformIDs", "", "device list", "no driver is no error: the list is empty", 0},
    {"clGetDeviceIDs", "", "", "a platform that cannot be asked is passed over", 0},
    {"clGetDeviceInfo", "", "", "a fact is left out, or the device is passed over", 0},
    {"clGetPlatformInfo", "", "", "a text is left out", 0},
    {"calloc", "clGetDeviceInfo", "", "the device's extensions are unknown: a fact is left out", 0},
    {"clEnqueueMarkerWithWaitList", "", "finish", "clFinish() follows, and says what is wrong", 0},
    {"clEnqueueMarkerWithWaitList", "", "cache", "the same", 0},
    {"clEnqueueMarkerWithWaitList", "", "tune", "the same", 0},
    {"clCreateProgram", "", "choice", "another tile does it", 0},
    {"clBuildProgram", "", "choice", "the same", 0},
    {"clCreateKernel", "", "choice", "the same", 0},
    {"clGetKernelWorkGroupInfo", "", "choice", "the same", 0},
    {"calloc", "", "choice", "the same", 0},
    {"realloc", "", "choice", "the same", 0},
    {"clCreateBuffer", "", "choice", "a kernel that needs no scratch memory does it", 0},
    {"clEnqueueMigrateMemObjects", "", "choice", "the same", 0},
    {"clCreateProgram", "", "self-check", "a tile that cannot be built is passed over", 0},
    {"clBuildProgram", "", "self-check", "the same", 0},
    {"clCreateKernel", "", "self-check", "the same", 0},
    {"f", "", "cache", "a file of the cache is not read or written", 0},
    {"malloc", "", "cache", "the same", 0},
    {"calloc", "clGetProgramInfo", "cache", "the same", 0},
    {"calloc", "calloc", "cache", "the same", 0},
    {"open", "", "cache", "the same", 0},
    {"rename", "", "cache", "the same", 0},
    {"stat", "", "cache", "a folder of which nothing is known is not used", 0},
    {"readdir", "", "cache", "what is old stays for the next time", 0},
    {"close", "", "cache", "nothing was written to it", 0},
    {"mkdir", "", "cache", "what is there need not be made, and access() says whether it is", 0},
    {"access", "", "cache", "nothing is stored", 0},
    {"clGetProgramInfo", "", "cache", "a binary is not stored", 0},
    {"clCreateProgramWithBinary", "", "cache", "the kernel is built from its text", 0},
    {"clBuildProgram", "clCreateProgramWithBinary", "cache", "the same", 0},
    {"clCreateKernel", "clBuildProgram", "cache, loaded", "the same", 0},
    {"clGetKernelWorkGroupInfo", "", "cache, loaded", "the same", 0},
    {"fclose", "", "text from a folder", "it was read", 0},
    {"", "", "tune", "a plan that fails is left out, and the log says why", 0},
};

static int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static int may_be_ignored(const struct bench *b, const char *call)
{
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        if (begins(call, ignored[i].call) && begins(faults_before(), ignored[i].before) &&
            begins(b->s->name, ignored[i].scenario)) {
            ignored[i].seen++;
            return ignored[i].call[0] || failures_heard > 0;
        }
    return 0;
}

/* -------------------------------------------------------------------------------------- what must be said */

static int is_loss(cl_int code)
{
    return code == CL_DEVICE_NOT_AVAILABLE || code == -9999;
}

static int is_any(const char *call, const char *const *names)
{
    for (; *names; names++)
        if (strncmp(call, *names, strlen(*names)) == 0) return 1;
    return 0;
}

/* A command, or what belongs to one: there is no way back. Migration only asks for memory. */
static int is_command(const char *call)
{
    static const char *const commands[] = {"clEnqueue", "clFinish", "clFlush", "clSetKernelArg", NULL};
    return is_any(call, commands) && strcmp(call, "clEnqueueMigrateMemObjects") != 0;
}

static int is_build(const char *call)
{
    static const char *const builds[] = {"clCreateProgram", "clBuildProgram", "clCreateKernel",
                                         "clGetKernelWorkGroupInfo", NULL};
    return is_any(call, builds);
}

/* The status that the header has for this failure. */
static oclin_status do_layer_create(struct bench *b);
static oclin_status do_context_create(struct bench *b);

static oclin_status status_for(const char *call, cl_int code)
{
    if (strncmp(call, "cl", 2) != 0) return strstr(call, "alloc") ? OCLIN_E_MEMORY : OCLIN_E_BUILD;
    if (is_loss(code)) return OCLIN_E_CL;
    if (!is_command(call) && (code == CL_OUT_OF_HOST_MEMORY || code == CL_MEM_OBJECT_ALLOCATION_FAILURE))
        return OCLIN_E_MEMORY;
    return is_build(call) ? OCLIN_E_BUILD : OCLIN_E_CL;
}

static void check_words(const struct bench *b, oclin_status status, const char *call, cl_int code,
                        const char *text)
{
    const oclin_status wanted = status_for(call, code);
    /* a device that cannot be asked whether it is available is not */
    const int no_device = begins(call, "clGet") && status == OCLIN_E_DEVICE;
    if (status != wanted && !no_device)
        fail_msg("%s: gives %s, not %s: %s", text, oclin_status_name(status), oclin_status_name(wanted),
                 last_line);
    const char *name = oclin_status_name(status);
    if (strncmp(last_line, name, strlen(name)) != 0 || strlen(last_line) < strlen(name) + 12)
        fail_msg("%s: the log ends with \"%s\"", text, last_line);
    if (b->s->call == do_context_create && (!strstr(last_line, reason) || !reason[0]))
        fail_msg("%s: the reason is \"%s\", in the log \"%s\"", text, reason, last_line);
    if (!b->ctx) return;
    if (!strstr(last_line, oclin_context_error(b->ctx)) || !oclin_context_error(b->ctx)[0])
        fail_msg("%s: the sentence is \"%s\", in the log \"%s\"", text, oclin_context_error(b->ctx),
                 last_line);
    const cl_int wanted_code = begins(call, "cl") && !no_device ? code : CL_SUCCESS;
    if (oclin_context_cl_error(b->ctx) != wanted_code)
        fail_msg("%s: oclin_context_cl_error() is %d", text, (int)oclin_context_cl_error(b->ctx));
}

static void check_nothing_made(const struct bench *b, const char *text)
{
    const int made_layer = b->made_layer && b->s->call == do_layer_create;
    if (b->made || b->made_ctx || b->made_event || made_layer || b->made_saved)
        fail_msg("%s: the call failed, and there is a handle", text);
}

/* --------------------------------------------------------------------------------- what must be unchanged */

/* After a failure while it ran: may this tensor be unspecified? */
static int may_be_lost(const struct bench *b, int which)
{
    return (b->s->how & LOSES_ALL) || ((b->s->overwrites | b->s->updates) & BIT(which));
}

static void check_tensors(struct bench *b, oclin_status status, const char *text)
{
    for (int i = 0; i < TENSORS && b->ctx; i++) {
        const int ran = status == OCLIN_E_CL;
        if (now.status[i] == -1 && before.status[i] == -1) continue;
        if (now.status[i] == OCLIN_E_STATE && ran && may_be_lost(b, i)) continue;
        if (now.status[i] != OCLIN_OK)
            fail_msg("%s: then reading %s gives %s", text, tensor_names[i],
                     oclin_status_name((oclin_status)now.status[i]));
        if (before.status[i] == -1 ? is_zero(b, i) : same(b, i, &before)) continue;
        if (ran && (b->s->overwrites & BIT(i)) && same(b, i, &after)) continue;
        fail_msg("%s: %s, and %s has changed", text, oclin_status_name(status), tensor_names[i]);
    }
}

/* The layer must not go on with what is unspecified. */
static void check_refusal(struct bench *b, const char *text)
{
    oclin_tensor *y = NULL;
    int lost = 0, gradient = 0;
    for (int i = 0; i < TENSORS; i++)
        if (now.status[i] == OCLIN_E_STATE) {
            lost |= i == X || i == W || i == B;
            gradient |= i == DW || i == DB || i == W || i == B;
        }
    assert_ok(b->ctx, oclin_tensor_create(&y, b->ctx, OCLIN_F32, b->batch, b->out));
    if (lost && oclin_layer_infer(b->layer, b->own[X], y) != OCLIN_E_STATE)
        fail_msg("%s: a parameter or x is unspecified, and infer goes on", text);
    if (gradient && oclin_layer_step(b->layer, 0.5f) != OCLIN_E_STATE)
        fail_msg("%s: a parameter or gradient is unspecified, and step goes on", text);
    oclin_tensor_destroy(y);
}

/* What the header asks for, and no more. */
static void heal(struct bench *b)
{
    int gradient = 0;
    for (int i = 0; i < TENSORS; i++) {
        if (now.status[i] != OCLIN_E_STATE) continue;
        if (i >= DW)
            gradient = 1;
        else
            assert_ok(b->ctx, oclin_tensor_write(tensor_of(b, i), before.data[i]));
    }
    if (gradient) assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    take_image(b, &now);
    for (int i = 0; i < TENSORS; i++) assert_true(now.status[i] <= OCLIN_OK);
}

/* All results as they are without a fault. */
static void check_results(struct bench *b, const char *text)
{
    take_image(b, &now);
    for (int i = 0; i < TENSORS && b->ctx; i++)
        if (now.status[i] != after.status[i] || (now.status[i] == OCLIN_OK && !same(b, i, &after)))
            fail_msg("%s: then, without a fault, %s is another one (%s)", text, tensor_names[i],
                     now.status[i] < 0 ? "none" : oclin_status_name((oclin_status)now.status[i]));
    if (b->made_ctx) { /* it works */
        oclin_tensor *t = NULL;
        const float one = 1.0f;
        float got = 0.0f;
        assert_ok(b->made_ctx, oclin_tensor_create(&t, b->made_ctx, OCLIN_F32, 1, 1));
        assert_ok(b->made_ctx, oclin_tensor_write(t, &one));
        assert_ok(b->made_ctx, oclin_tensor_read(t, &got));
        assert_true(got == 1.0f);
        oclin_tensor_destroy(t);
    }
}

static void call_without_fault(struct bench *b, const char *text)
{
    const oclin_status status = b->s->call(b);
    if (status != OCLIN_OK)
        fail_msg("%s: without a fault the call gives %s: %s", text, oclin_status_name(status), last_line);
    if (b->ctx) assert_string_equal(oclin_context_error(b->ctx), "");
    check_results(b, text);
    undo(b);
}

static void check_lost(struct bench *b, const char *text)
{
    const oclin_status finish = oclin_context_finish(b->ctx);
    if (finish != OCLIN_E_STATE || !strstr(oclin_context_error(b->ctx), "lost"))
        fail_msg("%s: the device is lost, and finish gives %s: %s", text, oclin_status_name(finish),
                 oclin_context_error(b->ctx));
    for (int i = 0; i < TENSORS; i++)
        if (tensor_of(b, i)) assert_int_equal(oclin_tensor_read(tensor_of(b, i), host), OCLIN_E_STATE);
    assert_int_not_equal(b->s->call(b), OCLIN_OK);
    undo(b);
}

/* ------------------------------------------------------------------------------------------ one point */

/* Fails the nth call. 0: there was none; -1: the context is lost. Else 1, and the bench has done its work since. */
static int try_point(struct bench *b, int64_t n, cl_int code, enum fault_how how)
{
    char text[300];
    set(b);
    last_line[0] = 0;
    faults_fail(FAULT_ANY, n, code, how);
    const oclin_status status = b->s->call(b);
    faults_end();
    const char *call = faults_failed();
    b->fresh |= status != OCLIN_OK || (b->s->how & (LOSES_ALL | VERIFY));
    if (!call) {
        assert_status(b->ctx, OCLIN_OK, status);
        undo(b);
        return 0;
    }
    points.tried++;
    point(b, text, sizeof text, call, n, code, how);
    if (status == OCLIN_OK) {
        if (!may_be_ignored(b, call)) fail_msg("%s: is not noticed", text);
        if (b->ctx) assert_string_equal(oclin_context_error(b->ctx), "");
        check_results(b, text);
        undo(b);
        points.survived++;
        return 1;
    }
    check_words(b, status, call, code, text);
    check_nothing_made(b, text);
    if (b->ctx && is_loss(code) && strncmp(call, "cl", 2) == 0) {
        check_lost(b, text);
        points.survived++;
        return -1;
    }
    take_image(b, &now);
    check_tensors(b, status, text);
    if (status == OCLIN_E_CL && b->ctx) {
        check_refusal(b, text);
        heal(b);
        set(b);
    } else if (b->s->how & CACHE)
        set(b);
    call_without_fault(b, text);
    points.survived++;
    return 1;
}

/* ---------------------------------------------------------------------------------------- a scenario */

struct count {
    int64_t alive[ALIVE_KINDS];
};

static struct count count_alive(void)
{
    struct count c;
    for (int i = 0; i < ALIVE_KINDS; i++) c.alive[i] = faults_alive((enum alive)i);
    return c;
}

/* At the end everything; while a context lives it may have built more kernels than without faults, and keeps them. */
static void check_alive(const struct scenario *s, const char *when, const struct count *is,
                        const struct count *was, int at_end)
{
    for (int i = 0; i < (at_end ? ALIVE_KINDS : ALIVE_FILE + 1); i++)
        if (is->alive[i] != was->alive[i] && (at_end || (i != ALIVE_PROGRAM && i != ALIVE_KERNEL)))
            fail_msg("%s: %s there are %lld %s more than there should be", s->name, when,
                     (long long)(is->alive[i] - was->alive[i]), faults_alive_name((enum alive)i));
}

static const cl_int codes[] = {CL_OUT_OF_RESOURCES, CL_OUT_OF_HOST_MEMORY, CL_MEM_OBJECT_ALLOCATION_FAILURE,
                               CL_DEVICE_NOT_AVAILABLE, -9999};
enum { PASSING = 3, CODES = COUNT_OF(codes) };

/* Every point of these kinds with each code of one of the three sets, on one bench for as long as it lives. */
enum { WITH_PASSING, WITH_LOSS, WITH_AFTER };

/* What the calls of a scenario are. */
enum { MOST_CALLS = 4096 };
struct calls {
    const char *names[MOST_CALLS];
};
static struct calls cold_calls, warm_calls;

static void note_calls(struct calls *calls)
{
    for (int64_t n = 0; n < MOST_CALLS; n++) calls->names[n] = faults_called(n);
}

/* Dozens of arguments make a launch: where they have been tried one by one some of them stand for all. */
static int is_argument(const struct calls *calls, int64_t n)
{
    const char *name = n < MOST_CALLS ? calls->names[n] : NULL;
    return !all_codes && n % 8 && name && strcmp(name, "clSetKernelArg") == 0;
}

static int worth_trying(int64_t n, int set_of_codes)
{
    const char *name = n < MOST_CALLS ? warm_calls.names[n] : NULL;
    if (set_of_codes == WITH_PASSING || !name) return 1;
    if (!begins(name, "cl") || (set_of_codes == WITH_AFTER && !is_command(name))) return 0;
    return !is_argument(&warm_calls, n);
}

static struct bench *make_warm(const struct scenario *s)
{
    struct bench *b = make_bench(s);
    set(b);
    assert_status(b->ctx, OCLIN_OK, s->call(b));
    undo(b);
    return b;
}

static void try_warm(const struct scenario *s, int set_of_codes, const struct count *healthy)
{
    const int first = set_of_codes == WITH_LOSS ? PASSING : 0;
    const int last = set_of_codes == WITH_LOSS ? CODES : PASSING;
    const enum fault_how how = set_of_codes == WITH_AFTER ? FAULT_AFTER : FAULT_BEFORE;
    struct bench *b = NULL;
    int result = 1;
    for (int64_t n = 0; result; n++)
        for (int c = first; c < last && result && worth_trying(n, set_of_codes); c++) {
            if (!all_codes && n % (last - first) != c - first) continue;
            if (!b) b = make_warm(s);
            result = try_point(b, n, codes[c], how);
            const struct count c_now = count_alive();
            if (result == 1 && !(s->how & ANY_PLAN)) check_alive(s, "on a warm context", &c_now, healthy, 0);
            if (result == 1) continue;
            free_bench(b);
            b = NULL;
        }
}

/* Whatever a failure has left in the folder, the next context has its kernel and the right numbers. */
static void check_cache(const struct scenario *s)
{
    const struct oclin_context_options o = options_of(s);
    oclin_context *ctx = NULL;
    oclin_tensor *t = NULL;
    float got[2] = {0, 0};
    assert_int_equal(oclin_context_create(&ctx, &o), OCLIN_OK);
    assert_ok(ctx, oclin_tensor_create(&t, ctx, OCLIN_F32, 1, 2));
    assert_ok(ctx, oclin_tensor_fill(t, 9.0));
    assert_ok(ctx, oclin_tensor_read(t, got));
    assert_true(got[0] == 9.0f && got[1] == 9.0f);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

static int try_cold_point(const struct scenario *s, int64_t n, cl_int code, enum fault_how how,
                          const struct count *healthy)
{
    struct bench *b = make_bench(s);
    const int result = try_point(b, n, code, how);
    if (s->how & CACHE) check_cache(s);
    const struct count c_now = count_alive();
    if (result == 1 && !(s->how & ANY_PLAN)) check_alive(s, "on a cold context", &c_now, healthy, 0);
    free_bench(b);
    return result;
}

/* Each on a bench of its own; where there is no other, each with a failure that passes as well. */
static void try_cold(const struct scenario *s, enum fault_how how, const struct count *healthy)
{
    int result = 1;
    for (int64_t n = 0; result; n++) {
        if (is_argument(&cold_calls, n)) continue;
        result = try_cold_point(s, n, codes[n % CODES], how, healthy);
        if (result && s->how & COLD_ONLY) try_cold_point(s, n, codes[n % PASSING], how, healthy);
    }
}

static void test_scenario(void **state)
{
    const struct scenario *s = *state;
    const struct count start = count_alive();
    struct bench *b = make_bench(s);
    set(b);
    take_image(b, &before);
    set(b);
    faults_count(FAULT_ANY);
    assert_status(b->ctx, OCLIN_OK, s->call(b));
    const int64_t cold = faults_end();
    note_calls(&cold_calls);
    take_image(b, &after);
    undo(b);
    const struct count healthy_cold = count_alive();
    set(b);
    faults_count(FAULT_ANY);
    assert_status(b->ctx, OCLIN_OK, s->call(b));
    const int64_t warm = faults_end();
    note_calls(&warm_calls);
    undo(b);
    const struct count healthy_warm = count_alive();
    free_bench(b);
    struct count end = count_alive();
    check_alive(s, "without a fault", &end, &start, 1);

    assert_true(cold > 0);
    if (cold != warm || (s->how & (COLD_ONLY | CACHE))) try_cold(s, FAULT_BEFORE, &healthy_cold);
    if (s->how & CACHE) try_cold(s, FAULT_AFTER, &healthy_cold);
    if (!(s->how & COLD_ONLY)) {
        try_warm(s, WITH_PASSING, &healthy_warm);
        try_warm(s, WITH_LOSS, &healthy_warm);
        try_warm(s, WITH_AFTER, &healthy_warm);
    }
    end = count_alive();
    check_alive(s, "after all faults", &end, &start, 1);
}

/* ------------------------------------------------------------------------------------- the scenarios */

static void forward(struct bench *b)
{
    assert_ok(b->ctx, oclin_layer_forward(b->layer, b->own[X], b->own[Y]));
}

static void forward_saved(struct bench *b)
{
    assert_ok(b->ctx, oclin_layer_forward_saved(b->layer, b->own[X], b->own[Y], b->saved));
}

static void backward(struct bench *b)
{
    forward(b);
    assert_ok(b->ctx, oclin_layer_backward(b->layer, b->own[DY], NULL));
}

static void need_gradients(struct bench *b)
{
    assert_non_null(oclin_layer_dw(b->layer));
    assert_non_null(oclin_layer_db(b->layer));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
}

/* What a function says that has a pointer for an answer: the last line begins with it. */
static oclin_status said(const void *pointer)
{
    for (int status = 1; !pointer && status < OCLIN_STATUS_COUNT; status++) {
        const char *name = oclin_status_name((oclin_status)status);
        if (strncmp(last_line, name, strlen(name)) == 0) return (oclin_status)status;
    }
    return pointer ? OCLIN_OK : OCLIN_STATUS_COUNT;
}

static oclin_status do_forward(struct bench *b)
{
    return oclin_layer_forward(b->layer, b->own[X], b->own[Y]);
}

static oclin_status do_forward_saved(struct bench *b)
{
    return oclin_layer_forward_saved(b->layer, b->own[X], b->own[Y], b->saved);
}

static oclin_status do_infer(struct bench *b)
{
    return oclin_layer_infer(b->layer, b->own[X], b->own[Y]);
}

static oclin_status do_backward(struct bench *b)
{
    return oclin_layer_backward(b->layer, b->own[DY], b->own[DX]);
}

static oclin_status do_backward_saved(struct bench *b)
{
    return oclin_layer_backward_saved(b->layer, b->own[DY], b->own[DX], b->saved);
}

static oclin_status do_backward_step(struct bench *b)
{
    return oclin_layer_backward_step(b->layer, b->own[DY], b->own[DX], 0.5f);
}

static oclin_status do_backward_step_saved(struct bench *b)
{
    return oclin_layer_backward_step_saved(b->layer, b->own[DY], b->own[DX], 0.5f, b->saved);
}

static oclin_status do_backward_x(struct bench *b)
{
    return oclin_layer_backward_x(b->layer, b->own[DY], b->own[DX]);
}

static oclin_status do_backward_x_saved(struct bench *b)
{
    return oclin_layer_backward_x_saved(b->layer, b->own[DY], b->own[DX], b->saved);
}

static oclin_status do_step(struct bench *b)
{
    return oclin_layer_step(b->layer, 0.5f);
}

/* x as the home of gradients: dw, db, and behind them another layer's db, which is only marked as zeros and shares an
 * element with the first: it must be written before that one can be cleared. */
static void make_other(struct bench *b)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    oclin_tensor *const x = b->own[X];
    assert_ok(b->ctx, oclin_tensor_view(&b->made_parts[0], x, 0, 2, 3, 3));
    assert_ok(b->ctx, oclin_tensor_view(&b->made_parts[1], x, 6, 1, 2, 2));
    assert_ok(b->ctx, oclin_tensor_view(&b->made_parts[2], x, 7, 1, 2, 2));
    o.db = b->made_parts[2];
    assert_ok(b->ctx, oclin_layer_create(&b->made_other, b->ctx, 3, 2, &o));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->made_other));
}

static oclin_status do_layer_with_gradients(struct bench *b)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.dw = b->made_parts[0];
    o.db = b->made_parts[1];
    o.w = b->layer->w;
    o.b = b->layer->b;
    return oclin_layer_create(&b->made_layer, b->ctx, 3, 2, &o);
}

static void make_neighbours(struct bench *b)
{
    const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    make_other(b);
    assert_ok(b->ctx, do_layer_with_gradients(b));
    assert_ok(b->ctx, oclin_tensor_write(b->made_parts[0], ones));
    assert_ok(b->ctx, oclin_tensor_write(b->made_parts[1], ones));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->made_other));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

static oclin_status do_zero_grad(struct bench *b)
{
    return oclin_layer_zero_grad(b->made_layer);
}

static oclin_status do_dw(struct bench *b)
{
    return said(oclin_layer_dw(b->layer));
}

static oclin_status do_db(struct bench *b)
{
    return said(oclin_layer_db(b->layer));
}

static oclin_status do_reserve(struct bench *b)
{
    return oclin_layer_reserve(b->layer, b->batch);
}

static oclin_status do_reserve_step(struct bench *b)
{
    return oclin_layer_reserve_step(b->layer, b->batch);
}

static oclin_status do_reserve_infer(struct bench *b)
{
    return oclin_layer_reserve_infer(b->layer, b->batch);
}

static oclin_status do_layer_create(struct bench *b)
{
    return oclin_layer_create(&b->made_layer, b->ctx, 5, 7, NULL);
}

static oclin_status do_saved_create(struct bench *b)
{
    return oclin_saved_create(&b->made_saved, b->ctx);
}

static oclin_status do_create(struct bench *b)
{
    return oclin_tensor_create(&b->made, b->ctx, OCLIN_F32, 2, 3);
}

static oclin_status do_view(struct bench *b)
{
    return oclin_tensor_view(&b->made, b->own[X], 1, 2, 2, b->in);
}

static oclin_status do_view_rows(struct bench *b)
{
    return oclin_tensor_view_rows(&b->made, b->own[X], 1, 2);
}

static oclin_status do_wrap(struct bench *b)
{
    return oclin_tensor_wrap(&b->made, b->ctx, OCLIN_F32, b->buffer, 1, 2, 3, 3);
}

static oclin_status do_wrap_part(struct bench *b)
{
    return oclin_tensor_wrap(&b->made, b->ctx, OCLIN_F32, b->part, 0, 2, 3, 3);
}

static oclin_status do_view_of_part(struct bench *b)
{
    oclin_tensor *base = NULL;
    OCLIN_TRY(oclin_tensor_wrap(&base, b->ctx, OCLIN_F32, b->part, 0, 2, 3, 3));
    const oclin_status status = oclin_tensor_view_rows(&b->made, base, 1, 1);
    oclin_tensor_destroy(base);
    return status;
}

static oclin_status do_write(struct bench *b)
{
    data_of(TENSORS, b->batch * b->in, host);
    return oclin_tensor_write(b->own[X], host);
}

static oclin_status do_write_rect(struct bench *b)
{
    data_of(TENSORS, b->batch * b->in, host);
    return oclin_tensor_write(b->view, host);
}

static oclin_status do_read(struct bench *b)
{
    return oclin_tensor_read(b->own[X], host);
}

static oclin_status do_read_rect(struct bench *b)
{
    return oclin_tensor_read(b->view, host);
}

static oclin_status do_read_dw(struct bench *b)
{
    return oclin_tensor_read(b->layer->dw, host);
}

static oclin_status do_write_async(struct bench *b)
{
    data_of(TENSORS, b->batch * b->in, host);
    return oclin_tensor_write_async(b->own[X], host, &b->made_event);
}

static oclin_status do_read_async(struct bench *b)
{
    return oclin_tensor_read_async(b->own[X], host, &b->made_event);
}

static oclin_status do_fill(struct bench *b)
{
    return oclin_tensor_fill(b->own[X], 3.0);
}

static oclin_status do_fill_rect(struct bench *b)
{
    return oclin_tensor_fill(b->view, 3.0);
}

static oclin_status do_cl_mem(struct bench *b)
{
    return said(oclin_tensor_cl_mem(b->layer->dw));
}

static oclin_status do_finish(struct bench *b)
{
    return oclin_context_finish(b->ctx);
}

static oclin_status do_wait_for(struct bench *b)
{
    return oclin_context_wait_for(b->ctx, 1, &b->event);
}

static oclin_status do_mark(struct bench *b)
{
    return oclin_context_mark(b->ctx, &b->made_event);
}

static oclin_status do_mse(struct bench *b)
{
    return oclin_loss_mse(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_l1(struct bench *b)
{
    return oclin_loss_l1(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_huber(struct bench *b)
{
    return oclin_loss_huber(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_bce(struct bench *b)
{
    return oclin_loss_bce(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_soft_cross_entropy(struct bench *b)
{
    return oclin_loss_soft_cross_entropy(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_ignoring_loss(struct bench *b)
{
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    o.ignore_index = 0;
    o.label_smoothing = 0.25f;
    return oclin_loss_cross_entropy(b->own[Y], b->own[LABELS], b->own[LOSS], b->own[DY], b->own[CORRECT], &o);
}

static oclin_status do_softmax(struct bench *b)
{
    return oclin_softmax(b->own[Y], b->own[DY]);
}

static oclin_status do_argmax(struct bench *b)
{
    return oclin_tensor_argmax(b->own[Y], b->own[LABELS]);
}

static oclin_status do_cross_entropy(struct bench *b)
{
    return oclin_loss_cross_entropy(b->own[Y], b->own[LABELS], b->own[LOSS], b->own[DY], b->own[CORRECT],
                                    NULL);
}

static oclin_status do_accumulated_loss(struct bench *b)
{
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    o.accumulate = 1;
    o.reduction = OCLIN_SUM;
    o.scale = 2.0f;
    return oclin_loss_cross_entropy(b->own[Y], b->own[LABELS], b->own[LOSS], b->own[DY], b->own[CORRECT], &o);
}

static oclin_status do_empty_loss(struct bench *b)
{
    oclin_tensor *y = NULL, *labels = NULL;
    oclin_status status = oclin_tensor_view_rows(&y, b->own[Y], 0, 0);
    if (status == OCLIN_OK) status = oclin_tensor_view_rows(&labels, b->own[LABELS], 0, 0);
    if (status == OCLIN_OK)
        status = oclin_loss_cross_entropy(y, labels, b->own[LOSS], NULL, b->own[CORRECT], NULL);
    oclin_tensor_destroy(labels);
    oclin_tensor_destroy(y);
    return status;
}

static oclin_status do_loss_reserve(struct bench *b)
{
    return oclin_loss_reserve(b->ctx, 1000);
}

static oclin_status do_device_list(struct bench *b)
{
    struct oclin_device_info list[4];
    size_t count;
    (void)b;
    const oclin_status status = oclin_device_list(list, 4, &count);
    if (status != OCLIN_OK)
        snprintf(last_line, sizeof last_line, "%s: no sentence here", oclin_status_name(status));
    return status;
}

static oclin_status do_context_create(struct bench *b)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = "plain";
    o.log = keep_line;
    o.error_text = reason;
    o.error_text_size = sizeof reason;
    return oclin_context_create(&b->made_ctx, &o);
}

static oclin_status do_context_around(struct bench *b)
{
    const struct oclin_context_options o = options_of(b->s);
    return oclin_context_create(&b->made_ctx, &o);
}

/* Everything that can be destroyed, with a view that outlives its base. */
static void make_all(struct bench *b)
{
    const struct oclin_context_options o = options_of(b->s);
    assert_int_equal(oclin_context_create(&b->made_ctx, &o), OCLIN_OK);
    assert_int_equal(oclin_layer_create(&b->made_layer, b->made_ctx, 3, 2, NULL), OCLIN_OK);
    assert_int_equal(oclin_saved_create(&b->made_saved, b->made_ctx), OCLIN_OK);
    assert_int_equal(oclin_tensor_wrap(&b->made, b->made_ctx, OCLIN_F32, b->part, 0, 2, 3, 3), OCLIN_OK);
    assert_int_equal(oclin_tensor_fill(b->made, 1.0), OCLIN_OK);
}

static oclin_status do_destroy(struct bench *b)
{
    oclin_context_destroy(b->made_ctx);
    oclin_saved_destroy(b->made_saved);
    oclin_layer_destroy(b->made_layer);
    oclin_tensor_destroy(b->made);
    b->made_ctx = NULL;
    b->made_saved = NULL;
    b->made_layer = NULL;
    b->made = NULL;
    return OCLIN_OK;
}

static oclin_status do_touch(struct bench *b)
{
    return oclin_tensor_touch(b->made_parts[1]);
}

static oclin_status do_fill_part(struct bench *b)
{
    return oclin_tensor_fill(b->made_parts[1], 5.0);
}

/* x is a gradient that is only marked as zeros. */
static void make_zeros(struct bench *b)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.dw = b->own[X];
    assert_ok(b->ctx, oclin_layer_create(&b->made_other, b->ctx, b->in, b->batch, &o));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

static oclin_status do_fill_and_finish(struct bench *b)
{
    OCLIN_TRY(oclin_tensor_fill(b->own[X], 3.0));
    return oclin_context_finish(b->ctx);
}

/* The cache folder has the kernel that the call needs. */
static void store_kernel(struct bench *b)
{
    const struct oclin_context_options o = options_of(b->s);
    oclin_context *ctx = NULL;
    oclin_tensor *t = NULL;
    assert_int_equal(oclin_context_create(&ctx, &o), OCLIN_OK);
    assert_ok(ctx, oclin_tensor_create(&t, ctx, OCLIN_F32, 1, 1));
    assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    assert_ok(ctx, oclin_context_finish(ctx));
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

#define GRADIENTS (BIT(DW) | BIT(DB))
#define PARAMETERS (BIT(W) | BIT(B))

static const struct scenario scenarios[] = {
    {"device list", "oclin_device_list ", do_device_list, NULL, 0, 0, NO_CONTEXT, 0, NULL},
    {"context", "oclin_context_create ", do_context_create, NULL, 0, 0, NO_CONTEXT, 0, NULL},
    {"context around a queue", "oclin_context_create ", do_context_around, NULL, 0, 0, NO_CONTEXT, 0, NULL},
    {"destroy", "oclin_context_destroy oclin_tensor_destroy oclin_layer_destroy oclin_saved_destroy ",
     do_destroy, make_all, 0, 0, NO_CONTEXT, 0, NULL},
    {"finish", "oclin_context_finish ", do_finish, backward, 0, 0, LOSES_ALL, 0, NULL},
    {"wait_for", "oclin_context_wait_for ", do_wait_for, NULL, 0, 0, 0, 0, NULL},
    {"mark", "oclin_context_mark ", do_mark, forward, 0, 0, 0, 0, NULL},

    {"create", "oclin_tensor_create ", do_create, NULL, 0, 0, 0, 0, NULL},
    {"view", "oclin_tensor_view ", do_view, NULL, 0, 0, 0, 0, NULL},
    {"view of rows", "oclin_tensor_view_rows ", do_view_rows, NULL, 0, 0, 0, 0, NULL},
    {"wrap", "oclin_tensor_wrap ", do_wrap, NULL, 0, 0, 0, 0, NULL},
    {"wrap a sub-buffer", "oclin_tensor_wrap ", do_wrap_part, NULL, 0, 0, 0, 0, NULL},
    {"view of a sub-buffer", "oclin_tensor_view ", do_view_of_part, NULL, 0, 0, 0, 0, NULL},
    {"write", "oclin_tensor_write ", do_write, NULL, BIT(X), 0, 0, 0, NULL},
    {"write, strided", "oclin_tensor_write ", do_write_rect, NULL, BIT(X), 0, 0, 0, NULL},
    {"read", "oclin_tensor_read ", do_read, forward, 0, 0, LOSES_ALL, 0, NULL},
    {"read, strided", "oclin_tensor_read ", do_read_rect, forward, 0, 0, LOSES_ALL, 0, NULL},
    {"read zeros", "oclin_tensor_read ", do_read_dw, need_gradients, 0, 0, LOSES_ALL, 0, NULL},
    {"write, no waiting", "oclin_tensor_write_async ", do_write_async, NULL, BIT(X), 0, 0, 0, NULL},
    {"read, no waiting", "oclin_tensor_read_async ", do_read_async, forward, 0, 0, LOSES_ALL, 0, NULL},
    {"fill", "oclin_tensor_fill ", do_fill, NULL, BIT(X), 0, 0, 0, NULL},
    {"fill, strided", "oclin_tensor_fill ", do_fill_rect, NULL, BIT(X), 0, 0, 0, NULL},
    {"cl_mem of zeros", "oclin_tensor_cl_mem ", do_cl_mem, need_gradients, 0, 0, 0, 0, NULL},

    {"layer", "oclin_layer_create ", do_layer_create, NULL, 0, 0, 0, 0, NULL},
    {"saved", "oclin_saved_create ", do_saved_create, NULL, 0, 0, 0, 0, NULL},
    {"dw", "oclin_layer_dw ", do_dw, NULL, 0, 0, COLD_ONLY, 0, NULL},
    {"db", "oclin_layer_db ", do_db, NULL, 0, 0, COLD_ONLY, 0, NULL},
    {"reserve", "oclin_layer_reserve ", do_reserve, NULL, 0, 0, COLD_ONLY, OCLIN_GELU, NULL},
    {"reserve, packed", "oclin_layer_reserve ", do_reserve, NULL, 0, 0, COLD_ONLY, OCLIN_GELU, "simd-packed"},
    {"reserve for steps", "oclin_layer_reserve_step ", do_reserve_step, NULL, 0, 0, COLD_ONLY, OCLIN_GELU,
     "simd-packed"},
    {"reserve for infer", "oclin_layer_reserve_infer ", do_reserve_infer, NULL, 0, 0, COLD_ONLY, OCLIN_GELU,
     "simd-packed"},
    {"forward", "oclin_layer_forward ", do_forward, NULL, BIT(Y), 0, 0, 0, NULL},
    {"forward, GELU", "oclin_layer_forward ", do_forward, NULL, BIT(Y), 0, 0, OCLIN_GELU, NULL},
    {"forward, checked", "oclin_layer_forward ", do_forward, NULL, BIT(Y), 0, VERIFY, OCLIN_GELU, NULL},
    {"forward, saved", "oclin_layer_forward_saved ", do_forward_saved, NULL, BIT(Y), 0, 0, OCLIN_GELU, NULL},
    {"infer", "oclin_layer_infer ", do_infer, NULL, BIT(Y), 0, 0, OCLIN_TANH, NULL},
    {"infer, checked", "oclin_layer_infer ", do_infer, NULL, BIT(Y), 0, VERIFY, OCLIN_RELU, NULL},
    {"backward", "oclin_layer_backward ", do_backward, forward, BIT(DX) | GRADIENTS, 0, 0, OCLIN_RELU, NULL},
    {"backward, accumulating", "oclin_layer_backward ", do_backward, backward, BIT(DX), GRADIENTS, 0,
     OCLIN_GELU, NULL},
    {"backward, checked", "oclin_layer_backward ", do_backward, backward, BIT(DX), GRADIENTS, VERIFY,
     OCLIN_TANH, NULL},
    {"backward, saved", "oclin_layer_backward_saved ", do_backward_saved, forward_saved, BIT(DX) | GRADIENTS,
     0, 0, OCLIN_GELU, NULL},
    {"backward_step", "oclin_layer_backward_step ", do_backward_step, forward, BIT(DX), PARAMETERS, 0,
     OCLIN_SIGMOID, NULL},
    {"backward_step, checked", "oclin_layer_backward_step ", do_backward_step, forward, BIT(DX), PARAMETERS,
     VERIFY, OCLIN_RELU, NULL},
    {"backward_step, saved", "oclin_layer_backward_step_saved ", do_backward_step_saved, forward_saved,
     BIT(DX), PARAMETERS, 0, OCLIN_GELU, NULL},
    {"backward_x", "oclin_layer_backward_x ", do_backward_x, forward, BIT(DX), 0, 0, OCLIN_SIGMOID, NULL},
    {"backward_x, checked", "oclin_layer_backward_x ", do_backward_x, backward, BIT(DX), 0, VERIFY,
     OCLIN_GELU, NULL},
    {"backward_x, saved", "oclin_layer_backward_x_saved ", do_backward_x_saved, forward_saved, BIT(DX), 0, 0,
     OCLIN_RELU, NULL},
    {"step", "oclin_layer_step ", do_step, backward, 0, PARAMETERS, 0, 0, NULL},
    {"step, checked", "oclin_layer_step ", do_step, backward, 0, PARAMETERS, VERIFY, 0, NULL},

    {"mse", "oclin_loss_mse ", do_mse, NULL, BIT(LOSS) | BIT(DY), 0, 0, 0, NULL},
    {"mse, checked", "oclin_loss_mse ", do_mse, NULL, BIT(LOSS) | BIT(DY), 0, VERIFY, 0, NULL},
    {"l1", "oclin_loss_l1 ", do_l1, NULL, BIT(LOSS) | BIT(DY), 0, 0, 0, NULL},
    {"huber", "oclin_loss_huber ", do_huber, NULL, BIT(LOSS) | BIT(DY), 0, 0, 0, NULL},
    {"bce, checked", "oclin_loss_bce ", do_bce, NULL, BIT(LOSS) | BIT(DY), 0, VERIFY, 0, NULL},
    {"soft cross-entropy, checked", "oclin_loss_soft_cross_entropy ", do_soft_cross_entropy, NULL,
     BIT(LOSS) | BIT(DY), 0, VERIFY, 0, NULL},
    {"cross-entropy, labels ignored", "oclin_loss_cross_entropy ", do_ignoring_loss, NULL,
     BIT(LOSS) | BIT(DY) | BIT(CORRECT), 0, 0, 0, NULL},
    {"softmax, checked", "oclin_softmax ", do_softmax, NULL, BIT(DY), 0, VERIFY, 0, NULL},
    {"argmax, checked", "oclin_tensor_argmax ", do_argmax, NULL, BIT(LABELS), 0, VERIFY, 0, NULL},
    {"cross-entropy", "oclin_loss_cross_entropy ", do_cross_entropy, NULL, BIT(LOSS) | BIT(DY) | BIT(CORRECT),
     0, 0, 0, NULL},
    {"cross-entropy, accumulated", "oclin_loss_cross_entropy ", do_accumulated_loss, NULL, BIT(DY),
     BIT(LOSS) | BIT(CORRECT), 0, 0, NULL},
    {"cross-entropy, accumulated and checked", "oclin_loss_cross_entropy ", do_accumulated_loss, NULL,
     BIT(DY), BIT(LOSS) | BIT(CORRECT), VERIFY, 0, NULL},
    {"cross-entropy of nothing", "oclin_loss_cross_entropy ", do_empty_loss, NULL, BIT(LOSS) | BIT(CORRECT),
     0, 0, 0, NULL},
    {"layer, gradients of others", "oclin_layer_create ", do_layer_with_gradients, make_other, 0, 0, 0, 0,
     NULL},
    {"zero_grad, zeros of others", "oclin_layer_zero_grad ", do_zero_grad, make_neighbours, BIT(X), 0, 0, 0,
     NULL},
    {"touch, zeros of others", "oclin_tensor_touch ", do_touch, make_neighbours, BIT(X), 0, 0, 0, NULL},
    {"fill, zeros of others", "oclin_tensor_fill ", do_fill_part, make_neighbours, BIT(X), 0, 0, 0, NULL},
    {"infer, x of zeros", "oclin_layer_infer ", do_infer, make_zeros, BIT(X) | BIT(Y), 0, 0, 0, NULL},
    {"loss reserve", "oclin_loss_reserve ", do_loss_reserve, NULL, 0, 0, COLD_ONLY, 0, NULL},

    {"packed forward", "", do_forward, NULL, BIT(Y), 0, 0, OCLIN_GELU, "simd-packed"},
    {"packed backward", "", do_backward, forward, BIT(DX) | GRADIENTS, 0, 0, OCLIN_RELU, "simd-packed"},
    {"packed backward_step", "", do_backward_step, forward, BIT(DX), PARAMETERS, 0, OCLIN_TANH,
     "simd-packed"},
    {"one pass forward", "", do_forward, NULL, BIT(Y), 0, 0, OCLIN_GELU, "simd-skinny"},
    {"one pass backward", "", do_backward, backward, BIT(DX), GRADIENTS, 0, OCLIN_GELU, "simd-skinny"},
    {"one pass backward_step", "", do_backward_step, forward, BIT(DX), PARAMETERS, 0, OCLIN_RELU,
     "simd-skinny"},
    {"one pass backward_x", "", do_backward_x, backward, BIT(DX), 0, 0, OCLIN_RELU, "simd-skinny"},
    {"step, simt", "", do_step, backward, 0, PARAMETERS, 0, 0, "simt-16"},
    {"choice, forward", "", do_forward, NULL, BIT(Y), 0, ANY_PLAN, 0, ""},
    {"choice, backward", "", do_backward, forward, BIT(DX) | GRADIENTS, 0, ANY_PLAN, 0, ""},
    {"choice, backward_step", "", do_backward_step, forward, BIT(DX), PARAMETERS, ANY_PLAN, 0, ""},
    {"choice, large forward", "", do_forward, NULL, BIT(Y), 0, ANY_PLAN | LARGE | COLD_ONLY, 0, ""},
    {"choice, large backward", "", do_backward, forward, BIT(DX) | GRADIENTS, 0, ANY_PLAN | LARGE | COLD_ONLY,
     0, ""},

    {"cache, stored", "", do_fill_and_finish, NULL, BIT(X), 0, CACHE | COLD_ONLY, 0, NULL},
    {"cache, loaded", "", do_fill, store_kernel, BIT(X), 0, CACHE | COLD_ONLY, 0, NULL},
    {"text from a folder", "", do_fill, NULL, BIT(X), 0, OTHER_TEXT | COLD_ONLY, 0, NULL},
};

/* ------------------------------------------------------------------------------------- sampled scenarios */

/* Thousands of calls, on memory of the library's own: early points one by one, later ones ever farther apart. Nothing of the
 * caller's changes, and the context works afterwards. */
static void test_sampled(void **state)
{
    const struct scenario *s = *state;
    const struct count start = count_alive();
    struct bench *b = NULL;
    int64_t tried = 0;
    only_failures = 1; /* the tuner still writes its file */
    for (int64_t n = 0;; n += 1 + n / (all_codes ? 32 : 4), tried++) {
        char text[300];
        const cl_int code = codes[tried % CODES];
        if (!b) {
            b = make_bench(s);
            set(b);
            take_image(b, &before);
        }
        failures_heard = 0;
        faults_fail(FAULT_ANY, n, code, FAULT_BEFORE);
        const oclin_status status = s->call(b);
        faults_end();
        const char *call = faults_failed();
        if (!call) {
            assert_status(b->ctx, OCLIN_OK, status);
            break;
        }
        if ((s->how & REPEATS) && n > 1000 && !all_codes) break;
        points.tried++;
        point(b, text, sizeof text, call, n, code, FAULT_BEFORE);
        if (status == OCLIN_OK && !may_be_ignored(b, call)) fail_msg("%s: is not noticed", text);
        if (status != OCLIN_OK) check_words(b, status, call, code, text);
        if (status == OCLIN_E_CL && is_loss(code)) {
            assert_int_equal(oclin_context_finish(b->ctx), OCLIN_E_STATE);
            free_bench(b);
            b = NULL;
        } else {
            take_image(b, &now);
            for (int i = 0; i < TENSORS; i++)
                if (now.status[i] != before.status[i] || (now.status[i] == OCLIN_OK && !same(b, i, &before)))
                    fail_msg("%s: %s has changed", text, tensor_names[i]);
            assert_ok(b->ctx, oclin_layer_infer(b->layer, b->own[X], b->own[Y]));
            assert_ok(b->ctx, oclin_tensor_write(b->own[Y], before.data[Y]));
            assert_ok(b->ctx,
                      oclin_context_finish(b->ctx)); /* the next one may fail: it loses nothing then */
        }
        points.survived++;
    }
    only_failures = 0;
    free_bench(b);
    const struct count end = count_alive();
    check_alive(s, "after all faults", &end, &start, 1);
}

static oclin_status do_self_check(struct bench *b)
{
    return oclin_self_check(b->ctx, NULL);
}

/* With a clock that goes by calls, so that the numbers of calls are the same each time. */
static oclin_status do_tune(struct bench *b)
{
    faults_clock(0.02);
    const oclin_status status = oclin_tune(b->ctx, 4, 3, 2, 4.0, NULL, NULL);
    faults_clock(0.0);
    return status;
}

static const struct scenario sampled[] = {
    {"self-check", "oclin_self_check ", do_self_check, NULL, 0, 0, REPEATS, 0, NULL},
    {"tune", "oclin_tune ", do_tune, NULL, 0, 0, ANY_PLAN, 0, ""},
};

/* ------------------------------------------------------------------------------------------- builds */

/* What a compiler says, in each of the calls that make a kernel: an error each time, and a kernel in the end. */
static void test_builds(void **state)
{
    static const char *const calls[] = {"clCreateProgramWithSource", "clBuildProgram", "clCreateKernel",
                                        "clGetKernelWorkGroupInfo"};
    static const cl_int said_codes[] = {CL_BUILD_PROGRAM_FAILURE, CL_INVALID_BINARY, CL_INVALID_KERNEL_NAME,
                                        CL_COMPILER_NOT_AVAILABLE, -9998};
    const struct scenario s = {"builds", "", do_fill, NULL, BIT(X), 0, 0, 0, NULL};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(calls); i++)
        for (size_t c = 0; c < COUNT_OF(said_codes); c++) {
            struct bench *b = make_bench(&s);
            set(b);
            take_image(b, &before);
            for (int times = 0; times < 2; times++) {
                points.tried++;
                faults_fail_call(calls[i], 0, said_codes[c], FAULT_BEFORE);
                assert_refused(b->ctx, OCLIN_E_BUILD, calls[i], do_fill(b));
                faults_end();
                assert_int_equal(oclin_context_cl_error(b->ctx), said_codes[c]);
                take_image(b, &now);
                check_tensors(b, OCLIN_E_BUILD, calls[i]);
                points.survived++;
            }
            assert_ok(b->ctx, do_fill(b));
            free_bench(b);
        }
}

/* The third refusal is final, and is remembered without another try. */
static void test_builds_end(void **state)
{
    const struct scenario s = {"builds", "", do_fill, NULL, BIT(X), 0, 0, 0, NULL};
    (void)state;
    struct bench *b = make_bench(&s);
    set(b);
    for (int times = 0; times < 3; times++) {
        faults_fail_call("clBuildProgram", 0, CL_BUILD_PROGRAM_FAILURE, FAULT_BEFORE);
        assert_status(b->ctx, OCLIN_E_BUILD, do_fill(b));
    }
    faults_count(FAULT_CL);
    assert_refused(b->ctx, OCLIN_E_BUILD, "did not build earlier", do_fill(b));
    assert_int_equal(faults_end(), 0);
    free_bench(b);
}

/* A driver that says zero, and CL_SUCCESS: an error, or the right numbers, and a new context works. */
static void test_lies(void **state)
{
    static const struct scenario all[] = {
        {"lies: fill", "", do_fill, NULL, BIT(X), 0, 0, 0, NULL},
        {"lies: forward", "", do_forward, NULL, BIT(Y), 0, 0, 0, "simt-16"},
        {"lies: loss", "", do_cross_entropy, NULL, BIT(LOSS) | BIT(DY) | BIT(CORRECT), 0, 0, 0, NULL},
        {"lies: wrap", "", do_wrap_part, NULL, 0, 0, 0, 0, NULL},
        {"lies: wait_for", "", do_wait_for, NULL, 0, 0, 0, 0, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(all); i++) {
        struct bench *b = make_bench(&all[i]);
        set(b);
        take_image(b, &before);
        set(b);
        assert_ok(b->ctx, all[i].call(b));
        take_image(b, &after);
        free_bench(b);
        int64_t n = 0;
        for (const char *call = ""; call; n++) {
            b = make_bench(&all[i]);
            set(b);
            faults_fail(FAULT_INFO, n, CL_SUCCESS, FAULT_LIE);
            const oclin_status status = all[i].call(b);
            faults_end();
            call = faults_failed();
            points.tried += call != NULL;
            if (status == OCLIN_OK) check_results(b, all[i].name);
            if (status != OCLIN_OK) {
                assert_string_not_equal(oclin_context_error(b->ctx), "");
                take_image(b, &now);
                check_tensors(b, status, all[i].name);
            }
            points.survived += call != NULL;
            free_bench(b);
        }
        assert_true(n > 1);
    }
}

/* ------------------------------------------------------------------------------------- nothing is missing */

/* Functions that neither call OpenCL nor take memory: nothing of theirs can fail but their arguments. */
static const char quiet[] =
    "oclin_status_name oclin_status_text oclin_version oclin_context_error oclin_context_cl_error "
    "oclin_context_build_log oclin_context_device oclin_context_cl oclin_tensor_dtype oclin_tensor_rows "
    "oclin_tensor_cols oclin_tensor_row_stride oclin_tensor_offset oclin_layer_w oclin_layer_b "
    "oclin_layer_in "
    "oclin_layer_out oclin_layer_workspace oclin_layer_workspace_infer oclin_loss_workspace "
    "oclin_layer_additions oclin_loss_additions oclin_ref_forward oclin_ref_grad_z "
    "oclin_ref_grad_w "
    "oclin_ref_grad_b oclin_ref_grad_x oclin_ref_accumulate oclin_ref_step oclin_ref_mse "
    "oclin_ref_cross_entropy oclin_ref_l1 oclin_ref_huber oclin_ref_bce "
    "oclin_ref_weighted_cross_entropy oclin_ref_soft_cross_entropy oclin_ref_softmax oclin_ref_argmax ";

static void call_references(void)
{
    const struct oclin_ref_case c = RANDOM_CASE(1, 1, 1);
    const float one[1] = {1};
    const int32_t label[1] = {0};
    int32_t index;
    double got[1], bound[1], loss, loss_bound;
    int64_t correct;
    oclin_ref_forward(&c, one, one, one, got, bound, got, bound);
    oclin_ref_grad_z(&c, one, one, got, bound);
    oclin_ref_grad_w(&c, one, one, one, got, bound);
    oclin_ref_grad_b(&c, one, one, got, bound);
    oclin_ref_grad_x(&c, one, one, one, got, bound);
    oclin_ref_accumulate(NULL, 1, one, got, bound, got, bound);
    oclin_ref_step(NULL, 1, one, got, bound, 0.5f, got, bound);
    oclin_ref_mse(&RANDOM_CASE(1, 0, 1), one, one, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got, bound);
    oclin_ref_softmax(&RANDOM_CASE(1, 0, 1), one, got, bound);
    oclin_ref_argmax(&RANDOM_CASE(1, 0, 1), one, &index);
    oclin_ref_weighted_cross_entropy(&RANDOM_CASE(1, 0, 1), one, label, one, 0.5f, -1, OCLIN_MEAN, 1.0f,
                                     &loss, &loss_bound, got, bound, &correct);
    oclin_ref_soft_cross_entropy(&RANDOM_CASE(1, 0, 1), one, one, one, 0.5f, OCLIN_MEAN, 1.0f, &loss,
                                 &loss_bound, got, bound);
    oclin_ref_l1(&RANDOM_CASE(1, 0, 1), one, one, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got, bound);
    oclin_ref_huber(&RANDOM_CASE(1, 0, 1), one, one, 1.0f, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got, bound);
    oclin_ref_bce(&RANDOM_CASE(1, 0, 1), one, one, one, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got, bound);
    oclin_ref_cross_entropy(&RANDOM_CASE(1, 0, 1), one, label, OCLIN_MEAN, 1.0f, &loss, &loss_bound, got,
                            bound, &correct);
}

static void test_quiet(void **state)
{
    const struct scenario s = {"quiet", "", NULL, NULL, 0, 0, 0, 0, NULL};
    struct oclin_device_info info;
    int64_t bytes;
    (void)state;
    struct bench *b = make_bench(&s);
    faults_count(FAULT_ANY);
    oclin_status_name(OCLIN_OK);
    oclin_status_text(OCLIN_OK);
    oclin_version();
    oclin_context_error(b->ctx);
    oclin_context_cl_error(b->ctx);
    oclin_context_build_log(b->ctx);
    oclin_context_device(b->ctx, &info);
    oclin_context_cl(b->ctx, NULL, NULL, NULL);
    oclin_tensor_dtype(b->view);
    oclin_tensor_rows(b->view);
    oclin_tensor_cols(b->view);
    oclin_tensor_row_stride(b->view);
    oclin_tensor_offset(b->view);
    oclin_layer_w(b->layer);
    oclin_layer_b(b->layer);
    oclin_layer_in(b->layer);
    oclin_layer_out(b->layer);
    oclin_layer_workspace(b->layer, 5, &bytes);
    oclin_layer_workspace_infer(b->layer, 5, &bytes);
    oclin_loss_workspace(b->ctx, 5, &bytes);
    oclin_layer_additions(b->layer, OCLIN_RESULT_DW, 5, &bytes);
    oclin_loss_additions(b->ctx, 5, &bytes);
    call_references();
    assert_int_equal(faults_end(), 0);
    free_bench(b);
}

static int names(const char *list, const char *name)
{
    const size_t length = strlen(name);
    for (const char *at = list; (at = strstr(at, name)) != NULL; at++)
        if (at[length] == ' ' && (at == list || at[-1] == ' ')) return 1;
    return 0;
}

static int is_tried(const char *function)
{
    for (size_t i = 0; i < COUNT_OF(scenarios); i++)
        if (names(scenarios[i].covers, function)) return 1;
    for (size_t i = 0; i < COUNT_OF(sampled); i++)
        if (names(sampled[i].covers, function)) return 1;
    return names(quiet, function);
}

/* Every function that the header declares is tried, or quiet. */
static void test_all_functions(void **state)
{
    char *text = new_array(char, 1 << 18), function[100];
    FILE *file = fopen(OCLIN_HEADER, "rb");
    int found = 0;
    (void)state;
    assert_non_null(file);
    assert_in_range(fread(text, 1, (1 << 18) - 1, file), 10000, (1 << 18) - 2);
    fclose(file);
    for (const char *at = text; (at = strstr(at, "\nOCLIN_API ")) != NULL; at++) {
        const char *end = strchr(at, '('), *start = end;
        assert_non_null(end);
        while (start[-1] == '_' || (start[-1] >= 'a' && start[-1] <= 'z')) start--;
        snprintf(function, sizeof function, "%.*s", (int)(end - start), start);
        if (!is_tried(function)) fail_msg("%s is in the header and in no scenario", function);
        found++;
    }
    assert_in_range(found, 60, 200);
    free(text);
}

/* What the library calls of others, and cannot fail, or says so by its result alone: no memory, no file. */
static const char harmless[] =
    "memcpy memmove memset memcmp strlen strcmp strncmp strchr strstr strcspn "
    "strtoll strspn snprintf vsnprintf getenv getpid geteuid time difftime "
    "qsort ceil erfc exp expm1 log1p fmax fmin frexp ldexp log sqrt sincos sin cos tanh floor isnan "
    "__ctype_tolower_loc tolower __errno_location "
    "__isoc99_sscanf __isoc99_strtoll __stack_chk_fail pthread_mutex_lock pthread_mutex_unlock ";

/* All that the archive needs from elsewhere can fail here, or is harmless. */
static void test_all_calls(void **state)
{
    char line[300], symbol[200];
    int calls = 0;
    (void)state;
    FILE *nm = popen("\"" OCLIN_NM "\" -u \"" OCLIN_ARCHIVE "\" 2>&1", "r");
    assert_non_null(nm);
    while (fgets(line, sizeof line, nm)) {
        if (sscanf(line, " U %199s", symbol) != 1) continue;
        const int own = begins(symbol, "oclin_") || begins(symbol, "_GLOBAL_OFFSET_TABLE_");
        const int sanitizer = begins(symbol, "__asan_") || begins(symbol, "__ubsan_") ||
                              begins(symbol, "__tsan_") || begins(symbol, "__gcov_") ||
                              begins(symbol, "__llvm_") || begins(symbol, "__sanitizer_");
        calls++;
        if (!own && !sanitizer && !names(harmless, symbol) && !names(OCLIN_CALLS " ", symbol))
            fail_msg("the library calls %s, which cannot fail here", symbol);
    }
    assert_int_equal(pclose(nm), 0);
    assert_true(calls > 50);
}

/* What may be ignored is, somewhere: an entry that nothing needs hides something else one day. */
static void test_ignored(void **state)
{
    int unseen = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ignored); i++) {
        if (ignored[i].seen) continue;
        print_error("no failure of %s after %s in %s was ignored\n", ignored[i].call, ignored[i].before,
                    ignored[i].scenario);
        unseen++;
    }
    assert_int_equal(unseen, 0);
}

/* A text in the folder, for the scenario that takes it from there. */
static void write_text(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/fill.cl", folder);
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("%s cannot be written", path);
    for (size_t i = 0; i < oclin_cl_file_count; i++)
        if (strcmp(oclin_cl_files[i].name, "fill.cl") == 0) fputs(oclin_cl_files[i].text, file);
    fclose(file);
}

static void remove_folder(void)
{
    char path[400];
    snprintf(path, sizeof path, "%s/fill.cl", folder);
    remove(path);
    empty_folder();
    rmdir(folder);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    const char *all = getenv("OCLIN_FAULTS"), *temporary = getenv("TMPDIR");
    all_codes = all && strcmp(all, "all") == 0;
    snprintf(folder, sizeof folder, "%.200s/oclin-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(folder)) return 2;
    write_text();
    home = make_context("plain");
    faults_keep_builds(1);
    for (size_t i = 0; i < COUNT_OF(scenarios); i++)
        add_test(&list, test_scenario, (void *)(uintptr_t)&scenarios[i], "%s", scenarios[i].name);
    for (size_t i = 0; i < COUNT_OF(sampled); i++)
        add_test(&list, test_sampled, (void *)(uintptr_t)&sampled[i], "%s", sampled[i].name);
    add_test(&list, test_builds, NULL, "builds/each call, each code");
    add_test(&list, test_builds_end, NULL, "builds/the third refusal");
    add_test(&list, test_lies, NULL, "lies");
    add_test(&list, test_quiet, NULL, "quiet functions");
    add_test(&list, test_all_functions, NULL, "all functions of the header");
    add_test(&list, test_all_calls, NULL, "all calls of the library");
    /* only after all others, each of which may ignore something */
    if (argc < 2 && !getenv("OCLIN_TEST")) add_test(&list, test_ignored, NULL, "what was ignored");
    const int result = run_list("faults", &list, argc, argv);
    printf("fault points: %lld tried, %lld survived\n", (long long)points.tried, (long long)points.survived);
    faults_keep_builds(0);
    oclin_context_destroy(home);
    remove_folder();
    return result;
}
