/* The life of a context, and the calls that wait for its queue. */
#include "core/context.h"

#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/program.h"

void oclin_context_retain(oclin_context *ctx)
{
    ctx->references++;
}

/* Rusticl (Mesa 22.3) waits in clFinish() only for commands that were not flushed before, and returns at once
 * if there are none. A marker is such a command, and on an in-order queue it is the last one. If enqueueing
 * it fails, so will clFinish(). */
cl_int oclin_finish_queue(cl_command_queue queue)
{
    clEnqueueMarkerWithWaitList(queue, 0, NULL, NULL);
    return clFinish(queue);
}

/* Rusticl (Mesa 22.3) corrupts the heap if a program ends while a released queue still has work, because
 * its exit handlers free what the queue's thread uses. So with Rusticl oclin waits for the work. With
 * other platforms it does not, because the work may never end. */
static void await_rusticl(const oclin_context *ctx)
{
    const int is_own = ctx->queue && !ctx->retained;
    if (is_own && !ctx->lost && strcmp(ctx->device.info.platform_name, "rusticl") == 0)
        oclin_finish_queue(ctx->queue);
}

void oclin_context_destroy(oclin_context *ctx)
{
    if (!ctx || --ctx->references > 0) return;
    /* In a forked child the runtime's threads do not exist. So its objects are left alone, and only memory
     * is freed. */
    if (ctx->process == oclin_os_process_id()) {
        await_rusticl(ctx);
        oclin_program_free_all(ctx);
        /* A context whose kernels may still run keeps its number for good: the next owner of the number
         * might clash with these kernels, and waiting for them might never end. */
        if (!ctx->in_flight) oclin_os_give_number(ctx->number);
        if (ctx->scratch) clReleaseMemObject(ctx->scratch);
        if (ctx->tickets) clReleaseMemObject(ctx->tickets);
        if (ctx->queue) clReleaseCommandQueue(ctx->queue);
        if (ctx->cl) clReleaseContext(ctx->cl);
        if (ctx->retained) clReleaseDevice(ctx->retained);
    }
    free(ctx->build_log);
    free(ctx->cl_dir);
    free(ctx->cache_dir);
    if (ctx->verify_room.free) ctx->verify_room.free(ctx->verify_room.data);
    if (ctx->tuning) ctx->free_tuning(ctx->tuning);
    free(ctx);
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

/* ------------------------------------------------------------------------------------------- ordering */

oclin_status oclin_context_finish(oclin_context *ctx)
{
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    const cl_int error = oclin_finish_queue(ctx->queue);
    if (error && ctx->lose_epoch) ctx->lose_epoch(ctx);
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
