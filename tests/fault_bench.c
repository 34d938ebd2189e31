/* See fault_bench.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "support.h"

#include "fault_bench.h"
#include "oclin_internal.h"

struct fault_points points;
struct fault_talk talk;

enum { MOST = 440 * 440 };
float fault_host[MOST];

/* The context whose OpenCL handles all others are made around: kernels built once are kept for it. */
static oclin_context *home;
static char folder[PATH_BYTES / 2];

const cl_int fault_codes[CODES] = {CL_OUT_OF_RESOURCES, CL_OUT_OF_HOST_MEMORY,
                                   CL_MEM_OBJECT_ALLOCATION_FAILURE, CL_DEVICE_NOT_AVAILABLE, -9999};

int all_codes(void)
{
    const char *all = getenv("OCLIN_FAULTS");
    return all && strcmp(all, "all") == 0;
}

/* ------------------------------------------------------------------------ the bench */

static const char *const tensor_names[] = {"x",       "y",          "dy",         "dx", "t", "labels", "loss",
                                           "correct", "state of w", "state of b", "w",  "b", "dw",     "db"};

void fault_log(void *user, const char *line)
{
    (void)user;
    const int failure = strstr(line, "OCLIN_E_") != NULL;
    talk.failures_heard += failure;
    if (failure || !talk.only_failures) snprintf(talk.last_line, sizeof talk.last_line, "%s", line);
}

static oclin_tensor *tensor_of(const struct bench *b, int which)
{
    if (which < W) return b->own[which];
    return which == W ? b->layer->w : which == B ? b->layer->b : which == DW ? b->layer->dw : b->layer->db;
}

static int64_t elements(const struct bench *b, int which)
{
    const oclin_tensor *t = tensor_of(b, which);
    return t ? oclin_tensor_rows(t) * oclin_tensor_cols(t) : 0;
}

void data_of(int which, int64_t n, void *to)
{
    struct rng rng = {(uint64_t)which + 1};
    if (which == LABELS)
        fill_labels(&rng, to, n, 2);
    else if (which == CORRECT)
        *(int32_t *)to = 7;
    else
        fill_integers(&rng, to, n, 4);
}

/* But for the kernel text. */
static void empty_folder(void)
{
    char names[FILES][256], path[PATH_BYTES];
    for (int i = files_in(folder, names) - 1; i >= 0; i--) {
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        if (strcmp(names[i], "fill.cl") != 0) remove(path);
    }
}

struct oclin_context_options options_of(const struct scenario *s)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    assert_ok(home, oclin_context_cl(home, &o.cl_context_handle, &o.cl_device, &o.cl_queue));
    o.ignore_environment = 1;
    o.plan = s->plan ? s->plan : "plain";
    o.verify = (s->how & VERIFY) != 0;
    o.cache_dir = s->how & CACHE ? folder : "";
    o.cl_dir = s->how & OTHER_TEXT ? folder : NULL;
    o.log = fault_log;
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

static void make_optimizer(struct bench *b)
{
    struct oclin_optimizer_options o = OCLIN_SGD_OPTIONS_INIT;
    struct oclin_parameter_options p = OCLIN_PARAMETER_OPTIONS_INIT;
    o.momentum = 0.5;
    p.w_state = b->own[STATE_W];
    p.b_state = b->own[STATE_B];
    assert_ok(b->ctx, oclin_optimizer_create(&b->optimizer, b->ctx, &o));
    assert_ok(b->ctx, oclin_optimizer_add(b->optimizer, b->layer, &p));
}

/* Both parameters have made so many steps. */
static void set_counts(struct bench *b)
{
    const struct oclin_steps steps = {sizeof steps, STEPS_BEFORE, 0, 0};
    assert_ok(b->ctx, oclin_optimizer_set_steps(b->optimizer, b->layer->w, &steps));
    assert_ok(b->ctx, oclin_optimizer_set_steps(b->optimizer, b->layer->b, &steps));
}

/* A step that failed does not count; or nobody knows whether it does, and that is said. */
static void check_counts(struct bench *b, const char *text)
{
    struct oclin_steps steps = OCLIN_STEPS_INIT;
    const oclin_tensor *const parameters[] = {b->layer->w, b->layer->b};
    for (int i = 0; i < 2; i++) {
        const oclin_status status = oclin_optimizer_steps(b->optimizer, parameters[i], &steps);
        const int is_lost = status == OCLIN_E_STATE && strstr(oclin_context_error(b->ctx), "set_steps");
        if (!is_lost && (status != OCLIN_OK || steps.steps != b->steps_before))
            fail_msg("%s: the count is %lld, it was %lld", text, (long long)steps.steps,
                     (long long)b->steps_before);
    }
}

struct bench *make_bench(const struct scenario *s)
{
    needs_plan(options_of(s).plan);
    struct bench *b = new_array(struct bench, 1);
    b->s = s;
    b->fresh = 1;
    const int64_t more = s->how & LONG_SUMS ? 8 : 0;
    b->batch = s->how & LARGE ? 440 : 4 + more;
    b->in = s->how & LARGE ? 440 : 3 + more;
    b->out = s->how & LARGE ? 440 : 2 + more;
    make_handles(b);
    if (s->how & NO_CONTEXT) return b;
    const struct oclin_context_options o = options_of(s);
    struct oclin_layer_options lo = OCLIN_LAYER_OPTIONS_INIT;
    lo.activation = s->activation;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&b->ctx, &o));
    assert_ok(b->ctx, oclin_layer_create(&b->layer, b->ctx, b->in, b->out, &lo));
    assert_ok(b->ctx, oclin_saved_create(&b->saved, b->ctx));
    const struct {
        int64_t rows, cols;
    } sizes[W] = {
        [X] = {b->batch, b->in},  [Y] = {b->batch, b->out}, [DY] = {b->batch, b->out},
        [DX] = {b->batch, b->in}, [T] = {b->batch, b->out}, [LABELS] = {b->batch, 1},
        [LOSS] = {1, 1},          [CORRECT] = {1, 1},       [STATE_W] = {b->out, b->in},
        [STATE_B] = {1, b->out},
    };
    for (int i = 0; i < W; i++) {
        const oclin_dtype dtype = i == LABELS || i == CORRECT ? OCLIN_I32 : OCLIN_F32;
        b->own[i] = make_tensor(b->ctx, dtype, sizes[i].rows, sizes[i].cols, NULL);
    }
    assert_ok(b->ctx, oclin_tensor_view(&b->view, b->own[X], 1, b->batch, b->in - 1, b->in));
    if (s->how & OPTIMIZES) make_optimizer(b);
    return b;
}

void undo(struct bench *b)
{
    oclin_network_destroy(b->made_network);
    oclin_tensor_destroy(b->made);
    oclin_layer_destroy(b->made_layer);
    oclin_layer_destroy(b->made_other);
    for (int i = 0; i < 3; i++) {
        oclin_tensor_destroy(b->made_parts[i]);
        b->made_parts[i] = NULL;
    }
    oclin_saved_destroy(b->made_saved);
    oclin_optimizer_destroy(b->made_optimizer);
    oclin_context_destroy(b->made_ctx);
    if (b->made_event) clReleaseEvent(b->made_event);
    b->made = NULL;
    b->made_layer = b->made_other = NULL;
    b->made_saved = NULL;
    b->made_network = NULL;
    b->made_optimizer = NULL;
    b->made_ctx = NULL;
    b->made_event = NULL;
}

void free_bench(struct bench *b)
{
    undo(b);
    oclin_tensor_destroy(b->view);
    for (int i = 0; i < W; i++) oclin_tensor_destroy(b->own[i]);
    oclin_saved_destroy(b->saved);
    oclin_optimizer_destroy(b->optimizer);
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
} first, before, after, now;
static const struct scenario *first_of; /* the scenario that `first` is of */

void set_up(struct bench *b)
{
    const unsigned written = b->s->overwrites | b->s->updates | BIT(X) | BIT(Y);
    undo(b);
    if (b->s->how & CACHE) empty_folder();
    for (int i = 0; i < DW && b->ctx; i++) {
        oclin_tensor *t = tensor_of(b, i);
        if (!b->fresh && !(written & BIT(i))) continue;
        if (first_of != b->s) data_of(i, elements(b, i), first.data[i]);
        assert_ok(b->ctx, oclin_tensor_write_async(t, first.data[i], NULL));
    }
    b->fresh = 0;
    first_of = b->s;
    if (b->ctx) assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    if (b->optimizer) set_counts(b);
    if (b->ctx) assert_ok(b->ctx, oclin_context_finish(b->ctx));
    b->steps_before = STEPS_BEFORE;
    if (b->s->prepare) b->s->prepare(b);
}

/* ------------------------------------------------------------------------ images */

static void take_image(struct bench *b, struct image *image)
{
    for (int i = 0; i < TENSORS && b->ctx; i++) {
        oclin_tensor *t = tensor_of(b, i);
        image->status[i] = t ? (int)oclin_tensor_read_async(t, image->data[i], NULL) : -1;
        if (image->status[i] > 0) assert_string_not_equal(oclin_context_error(b->ctx), "");
    }
    if (b->ctx) assert_ok(b->ctx, oclin_context_finish(b->ctx)); /* one for all: waiting is what costs here */
}

void remember_before(struct bench *b)
{
    take_image(b, &before);
}

void remember_after(struct bench *b)
{
    take_image(b, &after);
}

void write_before(struct bench *b, int which)
{
    assert_ok(b->ctx, oclin_tensor_write(tensor_of(b, which), before.data[which]));
}

void look_now(struct bench *b)
{
    take_image(b, &now);
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

void name_point(const struct bench *b, char *text, size_t size, const char *call, int64_t n, cl_int code,
                enum fault_how how)
{
    snprintf(text, size, "%s (promised: %s): %s, call %lld, error %d%s", b->s->name, b->s->promise, call,
             (long long)n, (int)code, how == FAULT_AFTER ? " after it was done" : "");
}

/* ------------------------------------------------------------------------ what may be ignored */

#define ANOTHER_TILE "another tile does it"
#define NOT_CHECKED "a tile that cannot be built is passed over"
#define NO_SCRATCH "a kernel that needs no scratch memory does it"
#define NOT_CACHED "a file of the cache is not read or written"
#define FROM_TEXT "the kernel is built from its text"
#define FINISH_FOLLOWS "clFinish() follows, and says what is wrong"
#define NO_BUILD_LOG "the compiler's log stays empty"

/* Calls whose failure costs nothing but what is said here. Names are meant by their beginnings; `before`
 * is the call before it, where there are several places; NULL: any. */
static struct {
    const char *call, *before, *scenario, *why;
    int by_chance; /* the calls of its scenario are sampled, and this one may be missed */
    int64_t seen;
} ignored[] = {
    {.call = "clRelease", .why = "nobody can do anything about it"},
    {.call = "clGetProgramBuildInfo", .why = NO_BUILD_LOG},
    {.call = "malloc", .before = "clGetProgramBuildInfo", .why = NO_BUILD_LOG},
    {.call = "clGetPlatformIDs",
     .scenario = "device list",
     .why = "no driver is no error: the list is empty"},
    {.call = "clGetDeviceIDs", .why = "a platform that cannot be asked is passed over"},
    {.call = "clGetDeviceInfo", .why = "a fact is left out, or the device is passed over"},
    {.call = "clGetPlatformInfo", .why = "a text is left out"},
    {.call = "calloc",
     .before = "clGetDeviceInfo",
     .why = "the device's extensions are unknown: a fact is left out"},
    {.call = "clEnqueueMarkerWithWaitList", .scenario = "finish", .why = FINISH_FOLLOWS},
    {.call = "clEnqueueMarkerWithWaitList", .scenario = "layer", .why = FINISH_FOLLOWS},
    {.call = "clEnqueueMarkerWithWaitList", .scenario = "cache", .why = FINISH_FOLLOWS},
    {.call = "clEnqueueMarkerWithWaitList", .scenario = "tune", .why = FINISH_FOLLOWS},

    {.call = "clCreateProgram", .scenario = "choice", .why = ANOTHER_TILE},
    {.call = "clBuildProgram", .scenario = "choice", .why = ANOTHER_TILE},
    {.call = "clCreateKernel", .scenario = "choice", .why = ANOTHER_TILE},
    {.call = "clGetKernelWorkGroupInfo", .scenario = "choice", .why = ANOTHER_TILE},
    {.call = "calloc", .scenario = "choice", .why = ANOTHER_TILE},
    {.call = "realloc", .scenario = "choice", .why = ANOTHER_TILE},
    {.call = "clCreateBuffer", .scenario = "choice", .why = NO_SCRATCH},
    {.call = "clEnqueueMigrateMemObjects", .scenario = "choice", .why = NO_SCRATCH},

    {.call = "clCreateProgram", .scenario = "self-check", .why = NOT_CHECKED, .by_chance = 1},
    {.call = "clBuildProgram", .scenario = "self-check", .why = NOT_CHECKED, .by_chance = 1},
    {.call = "clCreateKernel", .scenario = "self-check", .why = NOT_CHECKED, .by_chance = 1},

    {.call = "f", .scenario = "cache", .why = NOT_CACHED}, /* fopen, fread, fwrite, ... */
    {.call = "malloc", .scenario = "cache", .why = NOT_CACHED},
    {.call = "calloc", .before = "clGetProgramInfo", .scenario = "cache", .why = NOT_CACHED},
    {.call = "calloc", .before = "calloc", .scenario = "cache", .why = NOT_CACHED},
    {.call = "open", .scenario = "cache", .why = NOT_CACHED},
    {.call = "rename", .scenario = "cache", .why = NOT_CACHED},
    {.call = "stat", .scenario = "cache", .why = "a folder of which nothing is known is not used"},
    {.call = "readdir", .scenario = "cache", .why = "what is old stays for the next time"},
    {.call = "close", .scenario = "cache", .why = "nothing was written to it"},
    {.call = "mkdir", .scenario = "cache", .why = "it may be there already, and access() says whether it is"},
    {.call = "access", .scenario = "cache", .why = "nothing is stored"},
    {.call = "clGetProgramInfo", .scenario = "cache", .why = "a binary is not stored"},
    {.call = "clCreateProgramWithBinary", .scenario = "cache", .why = FROM_TEXT},
    {.call = "clBuildProgram", .before = "clCreateProgramWithBinary", .scenario = "cache", .why = FROM_TEXT},
    {.call = "clCreateKernel", .before = "clBuildProgram", .scenario = "cache, loaded", .why = FROM_TEXT},
    {.call = "clGetKernelWorkGroupInfo", .scenario = "cache, loaded", .why = FROM_TEXT},

    {.call = "fclose", .scenario = "text from a folder", .why = "it was read"},
    {.call = "", .scenario = "tune", .why = "a plan that fails is left out, and the log says why"},
};

int begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

static int begins_or_any(const char *text, const char *with)
{
    return !with || begins(text, with);
}

int may_be_ignored(const struct bench *b, const char *call)
{
    for (size_t i = 0; i < COUNT_OF(ignored); i++)
        if (begins(call, ignored[i].call) && begins_or_any(faults_before(), ignored[i].before) &&
            begins_or_any(b->s->name, ignored[i].scenario)) {
            ignored[i].seen++;
            return ignored[i].call[0] || talk.failures_heard > 0;
        }
    return 0;
}

int count_unneeded_reasons(void)
{
    int unneeded = 0;
    for (size_t i = 0; i < COUNT_OF(ignored); i++) {
        if (ignored[i].seen || ignored[i].by_chance) continue;
        print_error("no failure of %s after %s in %s was ignored: %s\n", ignored[i].call,
                    ignored[i].before ? ignored[i].before : "any call",
                    ignored[i].scenario ? ignored[i].scenario : "any scenario", ignored[i].why);
        unneeded++;
    }
    return unneeded;
}

/* ------------------------------------------------------------------------ what must be said */

int is_loss(cl_int code)
{
    return code == CL_DEVICE_NOT_AVAILABLE || code == -9999;
}

static int begins_with_one(const char *call, const char *const *names)
{
    for (; *names; names++)
        if (begins(call, *names)) return 1;
    return 0;
}

/* A command, or what belongs to one: there is no way back. Migration only asks for memory. */
int is_command(const char *call)
{
    static const char *const commands[] = {"clEnqueue", "clFinish", "clFlush", "clSetKernelArg", NULL};
    return begins_with_one(call, commands) && strcmp(call, "clEnqueueMigrateMemObjects") != 0;
}

static int is_build(const char *call)
{
    static const char *const builds[] = {"clCreateProgram", "clBuildProgram", "clCreateKernel",
                                         "clGetKernelWorkGroupInfo", NULL};
    return begins_with_one(call, builds);
}

/* The status that the header has for this failure. */
static oclin_status status_for(const char *call, cl_int code)
{
    if (strncmp(call, "cl", 2) != 0) return strstr(call, "alloc") ? OCLIN_E_MEMORY : OCLIN_E_BUILD;
    if (is_loss(code)) return OCLIN_E_CL;
    if (!is_command(call) && (code == CL_OUT_OF_HOST_MEMORY || code == CL_MEM_OBJECT_ALLOCATION_FAILURE))
        return OCLIN_E_MEMORY;
    return is_build(call) ? OCLIN_E_BUILD : OCLIN_E_CL;
}

void check_said(const struct bench *b, oclin_status status, const char *call, cl_int code, const char *text)
{
    const oclin_status wanted = status_for(call, code);
    /* a device that cannot be asked whether it is available is not */
    const int no_device = begins(call, "clGet") && status == OCLIN_E_DEVICE;
    if (status != wanted && !no_device)
        fail_msg("%s: gives %s, not %s: %s", text, oclin_status_name(status), oclin_status_name(wanted),
                 talk.last_line);
    const char *name = oclin_status_name(status);
    if (strncmp(talk.last_line, name, strlen(name)) != 0 || strlen(talk.last_line) < strlen(name) + 12)
        fail_msg("%s: the log ends with \"%s\"", text, talk.last_line);
    if ((b->s->how & HAS_REASON) && (!strstr(talk.last_line, talk.reason) || !talk.reason[0]))
        fail_msg("%s: the reason is \"%s\", in the log \"%s\"", text, talk.reason, talk.last_line);
    if (!b->ctx) return;
    if (!strstr(talk.last_line, oclin_context_error(b->ctx)) || !oclin_context_error(b->ctx)[0])
        fail_msg("%s: the sentence is \"%s\", in the log \"%s\"", text, oclin_context_error(b->ctx),
                 talk.last_line);
    const cl_int wanted_code = begins(call, "cl") && !no_device ? code : CL_SUCCESS;
    if (oclin_context_cl_error(b->ctx) != wanted_code)
        fail_msg("%s: oclin_context_cl_error() is %d", text, (int)oclin_context_cl_error(b->ctx));
}

static void check_nothing_made(const struct bench *b, const char *text)
{
    const int made_layer = b->made_layer && (b->s->how & MAKES_LAYER);
    const int made_network = b->made_network && (b->s->how & MAKES_NETWORK);
    const int made_optimizer = b->made_optimizer && (b->s->how & MAKES_OPTIMIZER);
    if (b->made || b->made_ctx || b->made_event || made_layer || made_network || b->made_saved ||
        made_optimizer)
        fail_msg("%s: the call failed, and there is a handle", text);
}

/* ------------------------------------------------------------------------ what must be unchanged */

/* After a failure while it ran: may this tensor be unspecified? */
static int may_be_lost(const struct bench *b, int which)
{
    return (b->s->how & LOSES_ALL) || ((b->s->overwrites | b->s->updates) & BIT(which));
}

void check_kept(struct bench *b, oclin_status status, const char *text)
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

void check_all_unchanged(struct bench *b, const char *text)
{
    for (int i = 0; i < TENSORS; i++)
        if (now.status[i] != before.status[i] || (now.status[i] == OCLIN_OK && !same(b, i, &before)))
            fail_msg("%s: %s has changed", text, tensor_names[i]);
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
            write_before(b, i);
    }
    if (gradient) assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    look_now(b);
    for (int i = 0; i < TENSORS; i++) assert_true(now.status[i] <= OCLIN_OK);
}

/* All results as they are without a fault. */
void check_results(struct bench *b, const char *text)
{
    look_now(b);
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
        fail_msg("%s: without a fault the call gives %s: %s", text, oclin_status_name(status),
                 talk.last_line);
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
        if (tensor_of(b, i)) assert_int_equal(oclin_tensor_read(tensor_of(b, i), fault_host), OCLIN_E_STATE);
    assert_int_not_equal(b->s->call(b), OCLIN_OK);
    undo(b);
}

/* ------------------------------------------------------------------------ one point */

/* The call says OK although a call inside it failed: for a reason, and with the right results. */
static enum tried after_success(struct bench *b, const char *call, const char *text)
{
    if (!may_be_ignored(b, call)) fail_msg("%s: is not noticed", text);
    if (b->ctx) assert_string_equal(oclin_context_error(b->ctx), "");
    check_results(b, text);
    undo(b);
    return SURVIVED;
}

static enum tried after_failure(struct bench *b, oclin_status status, const char *call, cl_int code,
                                const char *text)
{
    check_said(b, status, call, code, text);
    check_nothing_made(b, text);
    if (b->ctx && is_loss(code) && begins(call, "cl")) {
        check_lost(b, text);
        return CONTEXT_LOST;
    }
    look_now(b);
    check_kept(b, status, text);
    if (b->optimizer) check_counts(b, text);
    const int may_be_unspecified = status == OCLIN_E_CL && b->ctx;
    if (may_be_unspecified) {
        check_refusal(b, text);
        heal(b);
    }
    if (may_be_unspecified || (b->s->how & CACHE)) set_up(b);
    call_without_fault(b, text);
    return SURVIVED;
}

enum tried try_fault(struct bench *b, int64_t n, cl_int code, enum fault_how how)
{
    char text[POINT_BYTES];
    set_up(b);
    talk.last_line[0] = 0;
    faults_fail(FAULT_ANY, n, code, how);
    const oclin_status status = b->s->call(b);
    faults_end();
    const char *call = faults_failed();
    b->fresh |= status != OCLIN_OK || (b->s->how & (LOSES_ALL | VERIFY));
    if (!call) {
        assert_status(b->ctx, OCLIN_OK, status);
        undo(b);
        return NO_SUCH_CALL;
    }
    points.tried++;
    name_point(b, text, sizeof text, call, n, code, how);
    const enum tried result =
        status == OCLIN_OK ? after_success(b, call, text) : after_failure(b, status, call, code, text);
    points.survived++;
    return result;
}

/* ------------------------------------------------------------------------ what must be given back */

struct count count_alive(void)
{
    struct count c;
    for (int i = 0; i < ALIVE_KINDS; i++) c.alive[i] = faults_alive((enum alive)i);
    return c;
}

void check_alive(const struct scenario *s, const char *when, const struct count *was, int at_end)
{
    const struct count is = count_alive();
    for (int i = 0; i < (at_end ? ALIVE_KINDS : ALIVE_FILE + 1); i++)
        if (is.alive[i] != was->alive[i] && (at_end || (i != ALIVE_PROGRAM && i != ALIVE_KERNEL)))
            fail_msg("%s: %s there are %lld %s more than there should be", s->name, when,
                     (long long)(is.alive[i] - was->alive[i]), faults_alive_name((enum alive)i));
}

/* ------------------------------------------------------------------------ a program */

void begin_benches(void)
{
    make_temporary_folder(folder);
    write_changed(folder, "fill.cl", built_in("fill.cl"), "", "");
    home = make_context("plain");
    faults_keep_builds(1);
}

int run_benches(const char *group, struct test_list *list, int argc, char **argv)
{
    const int result = run_list(group, list, argc, argv);
    printf("fault points: %lld tried, %lld survived\n", (long long)points.tried, (long long)points.survived);
    faults_keep_builds(0);
    oclin_context_destroy(home);
    remove_all(folder);
    return result;
}
