/*
 * A library for LD_PRELOAD: the device has 32 KB of local memory, the least that OpenCL 1.2 allows, whatever it says
 * itself; and a kernel that was built for more is refused at its launch, as such a device would. PoCL has a variable that
 * limits work-groups (POCL_MAX_WORK_GROUP_SIZE), and none for this.
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

enum { LOCAL_BYTES = 32 * 1024 };

static void find_real(const char *name, void *function)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) abort();
    memcpy(function, &symbol, sizeof symbol);
}

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *to, size_t *size_ret)
{
    cl_int (*real)(cl_device_id, cl_device_info, size_t, void *, size_t *);
    find_real("clGetDeviceInfo", &real);
    const cl_int error = real(device, what, size, to, size_ret);
    const cl_ulong bytes = LOCAL_BYTES;
    if (!error && what == CL_DEVICE_LOCAL_MEM_SIZE && to) memcpy(to, &bytes, sizeof bytes);
    return error;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *offset, const size_t *global, const size_t *group, cl_uint waits,
                              const cl_event *wait_for, cl_event *event)
{
    cl_int (*real)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                   cl_uint, const cl_event *, cl_event *);
    cl_device_id device;
    cl_ulong bytes = 0;
    if (!clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL) &&
        !clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof bytes, &bytes, NULL) &&
        bytes > LOCAL_BYTES)
        return CL_OUT_OF_RESOURCES;
    find_real("clEnqueueNDRangeKernel", &real);
    return real(queue, kernel, dimensions, offset, global, group, waits, wait_for, event);
}
