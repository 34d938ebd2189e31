/* Launches: arguments, the NDRange, and kernels that go over elements one by one. */
#include "core/launch.h"

#include <string.h>

#include "core/handle.h"
#include "core/error.h"

/* ------------------------------------------------------------------------------------------- arguments */

void oclin_argument(struct oclin_arguments *arguments, size_t size, const void *value)
{
    const cl_int error = clSetKernelArg(arguments->kernel, arguments->next++, size, value);
    if (!arguments->error) arguments->error = error;
}

void oclin_argument_operand(struct oclin_arguments *arguments, const struct oclin_operand *o, int with_stride)
{
    const cl_long offset = o->offset, stride = o->stride;
    oclin_argument(arguments, sizeof o->mem, &o->mem);
    oclin_argument(arguments, sizeof offset, &offset);
    if (with_stride) oclin_argument(arguments, sizeof stride, &stride);
}

void oclin_argument_long(struct oclin_arguments *arguments, int64_t value)
{
    const cl_long number = value;
    oclin_argument(arguments, sizeof number, &number);
}

void oclin_argument_int(struct oclin_arguments *arguments, int value)
{
    const cl_int number = value;
    oclin_argument(arguments, sizeof number, &number);
}

oclin_status oclin_enqueue(oclin_context *ctx, const struct oclin_arguments *arguments, int64_t groups,
                           int group, const char *what)
{
    /* OCLIN_E_MEMORY would promise that nothing has changed, but a launch before this one may have run. */
    if (arguments->error) return oclin_fail_run(ctx, arguments->error, "clSetKernelArg");
    const size_t local = (size_t)group;
    if ((uint64_t)groups > SIZE_MAX / local)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "%s: %lld work-groups of %zu overflow", what, (long long)groups,
                          local);
    const size_t global = (size_t)groups * local;
    const cl_int error =
        clEnqueueNDRangeKernel(ctx->queue, arguments->kernel, 1, NULL, &global, &local, 0, NULL, NULL);
    ctx->in_flight = 1; /* set even if the call reports a failure */
    if (error) return oclin_fail_run(ctx, error, what);
    oclin_program_ran(ctx, arguments->kernel);
    return OCLIN_OK;
}

/* ------------------------------------------------------------------------------------- element by element */

struct oclin_tile oclin_plain_tile(const struct oclin_device_facts *d, int max_group)
{
    const struct oclin_tile t = {.family = OCLIN_PLAIN,
                                 .vl = 1,
                                 .group = (int)oclin_least(max_group, d->max_items),
                                 .tile_m = 1,
                                 .tile_n = 1,
                                 .tile_k = 1,
                                 .item_m = 1,
                                 .item_n = 1};
    return t;
}

void oclin_elements_plan(const oclin_context *ctx, int64_t rows, int64_t cols, int aligned, int max_group,
                         struct oclin_elements *e)
{
    memset(e, 0, sizeof *e);
    e->tile = oclin_plain_tile(&ctx->device, max_group);
    struct oclin_tile *t = &e->tile;
    t->family = ctx->plan.family;
    if (t->family == OCLIN_SIMD) {
        t->group = 1;
        t->vl = ctx->plan.lanes;
        t->item_n = 4096; /* 16 KB: the work on a chunk outweighs the start of its group by far */
    } else if (t->family == OCLIN_SIMT) {
        t->vl = t->item_n = 4;
        t->aligned = aligned;
    }
    e->groups = oclin_ceil_divide(rows * oclin_ceil_divide(cols, t->item_n), t->group);
}

oclin_status oclin_elements_prepare(oclin_context *ctx, const struct oclin_kernel_request *request,
                                    int64_t rows, int64_t cols, int aligned, struct oclin_elements *e)
{
    cl_kernel kernel = NULL;
    for (int group = OCLIN_LARGEST_GROUP; group > 0 && !kernel; group /= 2) {
        oclin_elements_plan(ctx, rows, cols, aligned, group, e);
        struct oclin_kernel_request with_tile = *request;
        with_tile.tile = e->tile;
        OCLIN_TRY(oclin_program_kernel(ctx, &with_tile, &kernel));
    }
    e->kernel = kernel;
    return kernel ? OCLIN_OK
                  : oclin_fail(ctx, OCLIN_E_DEVICE,
                               "a kernel that goes element by element does not fit this device");
}

oclin_status oclin_fill_enqueue(oclin_context *ctx, const struct oclin_operand *t, int64_t rows, int64_t cols,
                                uint32_t bits)
{
    struct oclin_elements e;
    OCLIN_TRY(oclin_elements_prepare(ctx, &(struct oclin_kernel_request){.id = OCLIN_KERNEL_FILL}, rows, cols,
                                     0, &e));
    struct oclin_arguments arguments = {e.kernel, 0, CL_SUCCESS};
    oclin_argument_operand(&arguments, t, 1);
    oclin_argument_long(&arguments, rows);
    oclin_argument_long(&arguments, cols);
    oclin_argument(&arguments, sizeof bits, &bits);
    return oclin_enqueue(ctx, &arguments, e.groups, e.tile.group, "clEnqueueNDRangeKernel for a fill");
}
