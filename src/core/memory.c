/* Device memory, scratch memory, and events for what the queue has reached. */
#include "core/memory.h"

#include "core/handle.h"
#include "core/error.h"

/* Drivers allocate lazily, so that a lack of memory would show later, in a kernel. Migrating asks for it
 * now. */
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
