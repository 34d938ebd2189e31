// The C++ bindings for OpenCL 2.0, behind oclin.h or, with BINDINGS_FIRST, before it.
#ifndef BINDINGS_FIRST
#include <oclin.h>
#endif
#define CL_HPP_MINIMUM_OPENCL_VERSION 200
#define CL_HPP_TARGET_OPENCL_VERSION 200
#include <CL/opencl.hpp>
#ifdef BINDINGS_FIRST
#include <oclin.h>
#endif

int main()
{
    oclin_context *ctx = nullptr;
    cl_context context = nullptr;
    cl_device_id device = nullptr;
    cl_command_queue queue = nullptr;
    if (oclin_context_create(&ctx, nullptr) != OCLIN_OK) return 1;
    oclin_context_cl(ctx, &context, &device, &queue);
    const cl::CommandQueue same(queue, true);
    const cl::DeviceCommandQueue *of_2_0 = nullptr;
    const bool right = same() == queue && cl::Context(context, true)() == context && !of_2_0;
    oclin_context_destroy(ctx);
    return !right;
}
