/* Creates a context from its options and the environment: it finds a device, and chooses its plan. */
#include "open.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/os.h"
#include "plan/plan.h"

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
    cl_uint zeros[OCLIN_TICKET_COUNTERS] = {0};
    cl_int error;
    ctx->tickets =
        clCreateBuffer(ctx->cl, CL_MEM_READ_WRITE | CL_MEM_COPY_HOST_PTR, sizeof zeros, zeros, &error);
    return error ? oclin_fail_cl(ctx, error, "clCreateBuffer") : OCLIN_OK;
}

/* Returns an environment variable; `otherwise` if it is unset, empty, or not to be looked at. */
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

/* Here an empty variable differs from an unset one: it switches the cache off. So does an unknown home
 * folder. */
static oclin_status choose_cache(oclin_context *ctx, const struct oclin_context_options *o)
{
    const char *set = o->ignore_environment ? NULL : getenv("OCLIN_CACHE_DIR");
    const char *folder = set ? set : o->cache_dir;
    if (folder) return copy_text(ctx, &ctx->cache_dir, folder);
    ctx->cache_dir = oclin_os_cache_folder();
    return OCLIN_OK;
}

/* A folder that is named but missing is an error, because its kernels would silently not be used. */
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

/* Reads a switch that the environment may switch on as well. */
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
    if (ctx->device.tickets) OCLIN_TRY(make_tickets(ctx));
    OCLIN_TRY(choose_cl_dir(ctx, o));
    OCLIN_TRY(choose_cache(ctx, o));
    OCLIN_TRY(choose_switch(ctx, o, "OCLIN_VERIFY", o->verify, &ctx->verify));
    OCLIN_TRY(choose_switch(ctx, o, "OCLIN_STRICT", o->strict, &ctx->strict));
    OCLIN_TRY(oclin_plan_choose(ctx, environment(o, "OCLIN_PLAN", o->plan)));
    OCLIN_TRY(oclin_plan_load_tuning(ctx));
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

/* Reads the options, and prepares for reports while there is no context yet: `draft` becomes the context, or
 * is dropped. */
static oclin_status begin(oclin_context *draft, struct oclin_context_options *o,
                          const struct oclin_context_options *from)
{
    draft->references = 1;
    draft->number = -1;
    draft->process = oclin_os_process_id();
    const oclin_status status = oclin_options_read(draft, o, sizeof *o, from);
    draft->log = o->log;
    draft->log_user = o->log_user;
    /* oclin_fail() had no log to write to */
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
