/* A program in any C from 1989 on, and any C++. With OPENCL_FIRST or OPENCL_LAST it includes OpenCL's own
 * header, too, for OpenCL 2.0, and the handles of both are the same. */
#ifdef OPENCL_FIRST
#include <CL/cl.h>
#endif
#include <oclin.h>
#ifdef OPENCL_LAST
#include <CL/cl.h>
#endif

struct oclin_context_options context_options = OCLIN_CONTEXT_OPTIONS_INIT;
struct oclin_layer_options layer_options = OCLIN_LAYER_OPTIONS_INIT;
struct oclin_loss_options loss_options = OCLIN_LOSS_OPTIONS_INIT;
struct oclin_ref_case ref_case = OCLIN_REF_CASE_INIT(1, 2, 3);

int main(void)
{
    oclin_context *ctx = NULL;
    const oclin_status status = oclin_context_create(&ctx, &context_options);
#if defined(OPENCL_FIRST) || defined(OPENCL_LAST)
    cl_context context = NULL;
    cl_device_id device = NULL;
    cl_command_queue queue = NULL;
    cl_event event = NULL;
    cl_int error = oclin_context_cl_error(ctx);
    oclin_context_cl(ctx, &context, &device, &queue);
    oclin_context_mark(ctx, &event);
    oclin_context_wait_for(ctx, 1, &event);
    queue = clCreateCommandQueueWithProperties(context, device, NULL, &error); /* OpenCL 2.0 */
#endif
    oclin_context_destroy(ctx);
    return status != OCLIN_OK;
}
