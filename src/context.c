/* Lifetime of a context, its queue, scratch memory, error record and log. */
#include "oclin_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* -------------------------------------------------------------------------------------------- statuses */

const char *oclin_status_name(oclin_status status)
{
#define STATUS_NAME(name, text) \
    case name:                  \
        return #name;
    switch ((int)status) {
        OCLIN_STATUS_LIST(STATUS_NAME)
    default:
        return "?";
    }
}

const char *oclin_status_text(oclin_status status)
{
#define STATUS_TEXT(name, text) \
    case name:                  \
        return text;
    switch ((int)status) {
        OCLIN_STATUS_LIST(STATUS_TEXT)
    default:
        return "unknown status";
    }
}

int oclin_version(void)
{
    return OCLIN_VERSION;
}

/* ---------------------------------------------------------------------------------------- error record */

void oclin_forget_error(oclin_context *ctx)
{
    ctx->error[0] = 0;
    ctx->cl_error = CL_SUCCESS;
}

oclin_status oclin_enter(oclin_context *ctx)
{
    oclin_forget_error(ctx);
    if (ctx->process != oclin_os_process_id())
        return oclin_fail(ctx, OCLIN_E_STATE,
                          "the context belongs to process %ld, a forked child cannot use it", ctx->process);
    if (ctx->lost)
        return oclin_fail(ctx, OCLIN_E_STATE, "the device was lost; nothing can be done with this context");
    return OCLIN_OK;
}

/* Paths, names from the environment and what drivers say may hold anything; a line is one line, and moves
 * no cursor. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) *text = '?';
}

oclin_status oclin_fail(oclin_context *ctx, oclin_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ctx->error, sizeof ctx->error, format, arguments);
    va_end(arguments);
    make_printable(ctx->error);
    oclin_log(ctx, "%s: %s", oclin_status_name(status), ctx->error);
    return status;
}

/* What drivers answer to everything after a reset; -9999 is NVIDIA's for a kernel that crashed. */
static int is_loss(cl_int error)
{
    return error == CL_DEVICE_NOT_AVAILABLE || error == CL_INVALID_COMMAND_QUEUE ||
           error == CL_INVALID_CONTEXT || error == -9999;
}

oclin_status oclin_fail_run(oclin_context *ctx, cl_int error, const char *call)
{
    ctx->cl_error = error;
    ctx->lost |= is_loss(error);
    return oclin_fail(ctx, OCLIN_E_CL, "%s failed with OpenCL error %d%s", call, (int)error,
                      ctx->lost ? "; the device is lost" : "");
}

static int is_memory(cl_int error)
{
    return error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_HOST_MEMORY;
}

int oclin_error_says_all(cl_int error)
{
    return is_memory(error) || is_loss(error);
}

oclin_status oclin_fail_cl(oclin_context *ctx, cl_int error, const char *call)
{
    if (!is_memory(error)) return oclin_fail_run(ctx, error, call);
    ctx->cl_error = error;
    return oclin_fail(ctx, OCLIN_E_MEMORY, "%s: out of memory (OpenCL error %d)", call, (int)error);
}

void oclin_log(const oclin_context *ctx, const char *format, ...)
{
    if (!ctx->log) return;
    char line[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    make_printable(line);
    ctx->log(ctx->log_user, line);
}

const char *oclin_context_error(const oclin_context *ctx)
{
    return ctx ? ctx->error : "";
}

cl_int oclin_context_cl_error(const oclin_context *ctx)
{
    return ctx ? ctx->cl_error : CL_SUCCESS;
}

const char *oclin_context_build_log(const oclin_context *ctx)
{
    return ctx && ctx->build_log ? ctx->build_log : "";
}

/* --------------------------------------------------------------------------------------------- options */

/* An option struct larger than this was never filled: its size is garbage. So is one that is no multiple of a
 * size_t, which all of them begin with: it might cut a pointer in two. */
enum { LARGEST_OPTIONS = 4096 };

oclin_status oclin_options_read(oclin_context *ctx, void *to, size_t known_size, const void *from)
{
    if (!from) return OCLIN_OK;
    size_t size;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > LARGEST_OPTIONS || size % sizeof size)
        return oclin_fail(ctx, OCLIN_E_ARG,
                          "options.size is %zu, this library knows %zu; fill them with OPTIONS_INIT", size,
                          known_size);
    memcpy(to, from, size < known_size ? size : known_size);
    memcpy(to, &known_size, sizeof known_size);
    for (size_t i = known_size; i < size; i++)
        if (((const unsigned char *)from)[i])
            return oclin_fail(ctx, OCLIN_E_ARG,
                              "an option beyond byte %zu is set that this library does not know", known_size);
    return OCLIN_OK;
}

/* ------------------------------------------------------------------------------------------- creation */

static oclin_status check_queue(oclin_context *ctx, const struct oclin_context_options *o)
{
    cl_context of_context = NULL;
    cl_device_id of_device = NULL;
    cl_command_queue_properties properties = 0;
    cl_int error = clGetCommandQueueInfo(o->cl_queue, CL_QUEUE_CONTEXT, sizeof of_context, &of_context, NULL);
    if (!error)
        error = clGetCommandQueueInfo(o->cl_queue, CL_QUEUE_DEVICE, sizeof of_device, &of_device, NULL);
    if (!error)
        error = clGetCommandQueueInfo(o->cl_queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL);
    if (error == CL_INVALID_COMMAND_QUEUE) {
        ctx->cl_error = error;
        return oclin_fail(ctx, OCLIN_E_ARG, "cl_queue is not a command queue (OpenCL error %d)", (int)error);
    }
    if (error) return oclin_fail_cl(ctx, error, "clGetCommandQueueInfo");
    if (of_context != o->cl_context_handle)
        return oclin_fail(ctx, OCLIN_E_ARG, "cl_queue belongs to another cl_context than cl_context_handle");
    if (of_device != o->cl_device)
        return oclin_fail(ctx, OCLIN_E_ARG, "cl_queue belongs to another device than cl_device");
    if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)
        return oclin_fail(ctx, OCLIN_E_ARG, "cl_queue executes out of order; oclin needs an in-order queue");
    return OCLIN_OK;
}

static oclin_status adopt(oclin_context *ctx, const struct oclin_context_options *o, cl_device_id *device)
{
    if (!o->cl_context_handle || !o->cl_device || !o->cl_queue)
        return oclin_fail(ctx, OCLIN_E_ARG,
                          "cl_context_handle, cl_device and cl_queue are given together or not at all");
    OCLIN_TRY(check_queue(ctx, o));
    const char *why;
    if (!oclin_device_usable(o->cl_device, &why)) return oclin_fail(ctx, OCLIN_E_DEVICE, "cl_device %s", why);
    cl_int error = clRetainDevice(o->cl_device);
    if (error) return oclin_fail_cl(ctx, error, "clRetainDevice");
    ctx->retained = o->cl_device;
    error = clRetainContext(o->cl_context_handle);
    if (error) return oclin_fail_cl(ctx, error, "clRetainContext");
    ctx->cl = o->cl_context_handle;
    error = clRetainCommandQueue(o->cl_queue);
    if (error) return oclin_fail_cl(ctx, error, "clRetainCommandQueue");
    ctx->queue = o->cl_queue;
    *device = o->cl_device;
    return OCLIN_OK;
}

static oclin_status make_own(oclin_context *ctx, const struct oclin_context_options *o, cl_device_id *device)
{
    char why[sizeof ctx->error];
    const oclin_status picked = oclin_device_pick(o, device, why, sizeof why);
    if (picked != OCLIN_OK) return oclin_fail(ctx, picked, "%s", why);
    cl_platform_id platform = NULL;
    cl_int error = clGetDeviceInfo(*device, CL_DEVICE_PLATFORM, sizeof platform, &platform, NULL);
    if (error) return oclin_fail_cl(ctx, error, "clGetDeviceInfo");
    const cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)platform, 0};
    /* no callback: what may be called from one is undefined, and drivers deadlock */
    ctx->cl = clCreateContext(properties, 1, device, NULL, NULL, &error);
    if (error) return oclin_fail_cl(ctx, error, "clCreateContext");
    ctx->queue = clCreateCommandQueue(ctx->cl, *device, 0, &error);
    if (error) return oclin_fail_cl(ctx, error, "clCreateCommandQueue");
    return OCLIN_OK;
}

static oclin_status make_tickets(oclin_context *ctx)
{
    cl_uint zeros[OCLIN_QUEUE_COUNTERS] = {0};
    cl_int error;
    ctx->tickets =
        clCreateBuffer(ctx->cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof zeros, zeros, &error);
    return error ? oclin_fail_cl(ctx, error, "clCreateBuffer") : OCLIN_OK;
}

/* An environment variable, unless it is unset, empty, or not to be looked at. */
static const char *environment(const struct oclin_context_options *o, const char *name, const char *otherwise)
{
    const char *value = o->ignore_environment ? NULL : getenv(name);
    return value && *value ? value : otherwise;
}

static oclin_status copy_text(oclin_context *ctx, char **to, const char *from)
{
    if (!from || !*from) return OCLIN_OK;
    const size_t size = strlen(from) + 1;
    *to = malloc(size);
    if (!*to) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for %zu bytes", size);
    memcpy(*to, from, size);
    return OCLIN_OK;
}

/* Here an empty variable is not an unset one: it switches the cache off. So does a home folder that nobody
 * knows. */
static oclin_status choose_cache(oclin_context *ctx, const struct oclin_context_options *o)
{
    const char *set = o->ignore_environment ? NULL : getenv("OCLIN_CACHE_DIR");
    const char *folder = set ? set : o->cache_dir;
    if (folder) return copy_text(ctx, &ctx->cache_dir, folder);
    ctx->cache_dir = oclin_os_cache_folder();
    return OCLIN_OK;
}

/* A folder that is named and not there is a mistake: its kernels would not be looked at, and nobody would
 * know. */
static oclin_status choose_cl_dir(oclin_context *ctx, const struct oclin_context_options *o)
{
    OCLIN_TRY(copy_text(ctx, &ctx->cl_dir, environment(o, "OCLIN_CL_DIR", o->cl_dir)));
    if (!ctx->cl_dir || oclin_os_is_folder(ctx->cl_dir)) return OCLIN_OK;
    return oclin_fail(ctx, OCLIN_E_ARG, "cl_dir '%.400s' is no folder", ctx->cl_dir);
}

/* Letter case does not matter. */
static int is_one_of(const char *value, const char *const *words)
{
    for (; *words; words++) {
        size_t i = 0;
        while (value[i] && tolower((unsigned char)value[i]) == (*words)[i]) i++;
        if (!value[i] && !(*words)[i]) return 1;
    }
    return 0;
}

/* A switch that the environment may put on, too. */
static oclin_status choose_switch(oclin_context *ctx, const struct oclin_context_options *o, const char *name,
                                  int option, int *chosen)
{
    static const char *const on[] = {"1", "true", "yes", "on", NULL}, *const off[] = {"0", "false", "no",
                                                                                      "off", NULL};
    const char *said = environment(o, name, "0");
    *chosen = option || is_one_of(said, on);
    if (is_one_of(said, on) || is_one_of(said, off)) return OCLIN_OK;
    return oclin_fail(ctx, OCLIN_E_ARG,
                      "%s is '%.100s'; 1, true, yes or on switch it on, 0, false, no or off do not", name,
                      said);
}

static oclin_status set_up(oclin_context *ctx, const struct oclin_context_options *o)
{
    if ((int)o->device_type < OCLIN_DEVICE_ANY || (int)o->device_type > OCLIN_DEVICE_ACCELERATOR)
        return oclin_fail(ctx, OCLIN_E_ARG, "device_type is %d, 0 to 3 are known", (int)o->device_type);
    if (o->device_index < 0)
        return oclin_fail(ctx, OCLIN_E_ARG, "device_index is %lld, it counts from 0",
                          (long long)o->device_index);
    if (o->reserved != 0) return oclin_fail(ctx, OCLIN_E_ARG, "reserved is %d, 0 is needed", o->reserved);
    cl_device_id device = NULL;
    const int adopted = o->cl_context_handle || o->cl_device || o->cl_queue;
    OCLIN_TRY(adopted ? adopt(ctx, o, &device) : make_own(ctx, o, &device));
    oclin_device_facts_read(device, &ctx->device);
    if (ctx->device.mixes_contexts) ctx->number = oclin_os_take_number();
    if (ctx->number > 0)
        oclin_log(ctx, "context %d of this process on a PoCL before 6.0: it has kernels of its own",
                  ctx->number + 1);
    if (ctx->device.queues) OCLIN_TRY(make_tickets(ctx));
    OCLIN_TRY(choose_cl_dir(ctx, o));
    OCLIN_TRY(choose_cache(ctx, o));
    OCLIN_TRY(choose_switch(ctx, o, "OCLIN_VERIFY", o->verify, &ctx->verify));
    OCLIN_TRY(choose_switch(ctx, o, "OCLIN_STRICT", o->strict, &ctx->strict));
    OCLIN_TRY(oclin_plan_choose(ctx, environment(o, "OCLIN_PLAN", o->plan)));
    if (!ctx->plan.name[0]) oclin_tuning_load(ctx);
    const struct oclin_device_info *d = &ctx->device.info;
    oclin_log(ctx, "device %s (%s), driver %s, %lld compute units, plan %s, cache %s", d->name,
              d->platform_name, d->driver, (long long)d->compute_units,
              ctx->plan.name[0] ? ctx->plan.name : "by device", ctx->cache_dir ? ctx->cache_dir : "off");
    return OCLIN_OK;
}

static oclin_status hand_on(oclin_context *caller, const oclin_context *made, oclin_status status)
{
    if (!caller) return status;
    caller->cl_error = made->cl_error;
    caller->lost |= made->lost;
    return oclin_fail(caller, status, "%s", made->error);
}

/* The options and what is reported while there is no context yet: `draft` becomes it, or is forgotten. */
static oclin_status begin(oclin_context *draft, struct oclin_context_options *o,
                          const struct oclin_context_options *from)
{
    draft->references = 1;
    draft->number = -1;
    draft->process = oclin_os_process_id();
    const oclin_status status = oclin_options_read(draft, o, sizeof *o, from);
    draft->log = o->log;
    draft->log_user = o->log_user;
    /* oclin_fail() had nobody to tell it to */
    if (status != OCLIN_OK) oclin_log(draft, "%s: %s", oclin_status_name(status), draft->error);
    return status;
}

static void tell(const struct oclin_context_options *o, const char *sentence)
{
    if (o->error_text && o->error_text_size > 0) snprintf(o->error_text, o->error_text_size, "%s", sentence);
}

static oclin_status make(oclin_context **ctx, oclin_context *draft, const struct oclin_context_options *o)
{
    if (!ctx) return oclin_fail(draft, OCLIN_E_ARG, "the address for the context is NULL");
    oclin_context *made = malloc(sizeof *made);
    if (!made) return oclin_fail(draft, OCLIN_E_MEMORY, "no host memory for a context");
    *made = *draft;
    const oclin_status status = set_up(made, o);
    if (status == OCLIN_OK) {
        *ctx = made;
        return OCLIN_OK;
    }
    memcpy(draft->error, made->error, sizeof draft->error);
    draft->cl_error = made->cl_error;
    draft->lost = made->lost;
    oclin_context_destroy(made);
    return status;
}

oclin_status oclin_context_make(oclin_context **ctx, const struct oclin_context_options *options,
                                oclin_context *caller)
{
    if (ctx) *ctx = NULL;
    oclin_context draft = {0};
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_status status = begin(&draft, &o, options);
    if (status == OCLIN_OK) status = make(ctx, &draft, &o);
    tell(&o, status == OCLIN_OK ? "" : draft.error);
    return status == OCLIN_OK ? OCLIN_OK : hand_on(caller, &draft, status);
}

oclin_status oclin_context_create(oclin_context **ctx, const struct oclin_context_options *options)
{
    return oclin_context_make(ctx, options, NULL);
}

void oclin_context_retain(oclin_context *ctx)
{
    ctx->references++;
}

/* clFinish(), such that it waits. Rusticl (Mesa 22.3) waits in clFinish() for what was not flushed before,
 * and returns at once when that is nothing: a marker is something, and on an in-order queue the last. Should
 * it fail, so will clFinish(). */
static cl_int finish(cl_command_queue queue)
{
    clEnqueueMarkerWithWaitList(queue, 0, NULL, NULL);
    return clFinish(queue);
}

/* Rusticl (Mesa 22.3) corrupts the heap where a program ends while a queue that was given back still has
 * work: its exit handlers free what the queue's thread uses. So there the work is waited for; nowhere else,
 * since it may never end. */
static void await_rusticl(const oclin_context *ctx)
{
    const int is_own = ctx->queue && !ctx->retained;
    if (is_own && !ctx->lost && strcmp(ctx->device.info.platform_name, "rusticl") == 0) finish(ctx->queue);
}

void oclin_context_destroy(oclin_context *ctx)
{
    if (!ctx || --ctx->references > 0) return;
    /* In a forked child the runtime's threads are gone: its objects are left alone, only memory is given
     * back. */
    if (ctx->process == oclin_os_process_id()) {
        await_rusticl(ctx);
        oclin_program_free_all(ctx);
        /* One whose kernels may still run keeps it for good: the next one might meet them, and waiting
         * might never end. */
        if (!ctx->in_flight) oclin_os_give_number(ctx->number);
        if (ctx->scratch) clReleaseMemObject(ctx->scratch);
        if (ctx->tickets) clReleaseMemObject(ctx->tickets);
        if (ctx->queue) clReleaseCommandQueue(ctx->queue);
        if (ctx->cl) clReleaseContext(ctx->cl);
        if (ctx->retained) clReleaseDevice(ctx->retained);
    }
    free(ctx->verify_room);
    free(ctx->build_log);
    free(ctx->cl_dir);
    free(ctx->cache_dir);
    oclin_tuning_free(&ctx->tuning);
    free(ctx);
}

/* ------------------------------------------------------------------------------------------- ordering */

oclin_status oclin_context_finish(oclin_context *ctx)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    const cl_int error = finish(ctx->queue);
    if (error) oclin_tensors_lose_epoch(ctx);
    ctx->epoch++;
    if (error) return oclin_fail_run(ctx, error, "clFinish");
    ctx->in_flight = 0;
    oclin_program_store_all(ctx);
    return OCLIN_OK;
}

oclin_status oclin_context_wait_for(oclin_context *ctx, int n, const cl_event *events)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (n < 0 || (n > 0 && !events))
        return oclin_fail(ctx, OCLIN_E_ARG, "%d events at %s", n, events ? "an address" : "NULL");
    for (int i = 0; i < n; i++) {
        cl_context of = NULL;
        const cl_int error =
            events[i] ? clGetEventInfo(events[i], CL_EVENT_CONTEXT, sizeof of, &of, NULL) : CL_INVALID_EVENT;
        if (error == CL_INVALID_EVENT)
            return oclin_fail(ctx, OCLIN_E_ARG, "event %d of %d is not an event", i, n);
        if (error) return oclin_fail_cl(ctx, error, "clGetEventInfo");
        if (of != ctx->cl)
            return oclin_fail(ctx, OCLIN_E_ARG, "event %d of %d belongs to another cl_context", i, n);
    }
    if (n == 0) return OCLIN_OK;
    const cl_int error = clEnqueueBarrierWithWaitList(ctx->queue, (cl_uint)n, events, NULL);
    return error ? oclin_fail_run(ctx, error, "clEnqueueBarrierWithWaitList") : OCLIN_OK;
}

oclin_status oclin_mark(oclin_context *ctx, cl_event *event)
{
    const cl_int error = clEnqueueMarkerWithWaitList(ctx->queue, 0, NULL, event);
    if (!error) return OCLIN_OK;
    *event = NULL;
    return oclin_fail_run(ctx, error, "clEnqueueMarkerWithWaitList");
}

oclin_status oclin_flush(oclin_context *ctx, cl_event *event)
{
    const cl_int error = clFlush(ctx->queue);
    if (!error) return OCLIN_OK;
    if (event && *event) {
        clReleaseEvent(*event);
        *event = NULL;
    }
    return oclin_fail_run(ctx, error, "clFlush");
}

oclin_status oclin_context_mark(oclin_context *ctx, cl_event *event)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!event) return oclin_fail(ctx, OCLIN_E_ARG, "event is NULL");
    *event = NULL;
    OCLIN_TRY(oclin_mark(ctx, event));
    return oclin_flush(ctx, event);
}

oclin_status oclin_context_device(oclin_context *ctx, struct oclin_device_info *info)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!info) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the device info is NULL");
    *info = ctx->device.info;
    return OCLIN_OK;
}

oclin_status oclin_context_cl(oclin_context *ctx, cl_context *context, cl_device_id *device,
                              cl_command_queue *queue)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (context) *context = ctx->cl;
    if (device) *device = ctx->device.info.device;
    if (queue) *queue = ctx->queue;
    return OCLIN_OK;
}

/* -------------------------------------------------------------------------------------------- scratch */

/* Drivers allocate lazily, and would fail later in a kernel: migrating asks for the memory now. */
oclin_status oclin_device_memory(oclin_context *ctx, cl_command_queue queue, int64_t bytes, const char *what,
                                 cl_mem *mem)
{
    *mem = NULL;
    const int64_t largest = ctx->device.info.max_allocation;
    if ((largest > 0 && bytes > largest) || (uint64_t)bytes > SIZE_MAX)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "%s needs %lld bytes, the device's largest buffer is %lld",
                          what, (long long)bytes, (long long)largest);
    cl_int error;
    cl_mem made = clCreateBuffer(ctx->cl, CL_MEM_READ_WRITE, (size_t)bytes, NULL, &error);
    if (error) return oclin_fail_cl(ctx, error, "clCreateBuffer");
    error =
        clEnqueueMigrateMemObjects(queue, 1, &made, CL_MIGRATE_MEM_OBJECT_CONTENT_UNDEFINED, 0, NULL, NULL);
    if (error) {
        clReleaseMemObject(made);
        return oclin_fail_cl(ctx, error, "clEnqueueMigrateMemObjects");
    }
    *mem = made;
    return OCLIN_OK;
}

oclin_status oclin_scratch(oclin_context *ctx, int64_t bytes, const char *user)
{
    if (bytes <= (int64_t)ctx->scratch_bytes) return OCLIN_OK;
    cl_mem grown;
    OCLIN_TRY(oclin_device_memory(ctx, ctx->queue, bytes, user, &grown));
    oclin_log(ctx, "scratch memory grows from %zu to %lld bytes for %s", ctx->scratch_bytes, (long long)bytes,
              user);
    /* commands in flight keep the old buffer alive */
    if (ctx->scratch) clReleaseMemObject(ctx->scratch);
    ctx->scratch = grown;
    ctx->scratch_bytes = (size_t)bytes;
    return OCLIN_OK;
}

int64_t oclin_multiply(int64_t a, int64_t b)
{
    if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / b)) return -1;
    return a * b;
}
