/*
 * A library for LD_PRELOAD: the driver's device says other facts than its own, so that one machine can test
 * what oclin does on others. scripts/matrix.sh uses it for PoCL, whose kernels run on any such device:
 *
 *   OCLIN_FAKE_LOCAL_KB  local memory, in KB; a kernel that was built for more is refused at its launch, as
 * such a
 *                        device would refuse it. 32 is the least that OpenCL 1.2 allows.
 *   OCLIN_FAKE_LANES     the native width of float vectors: 4 (SSE, NEON), 8 (AVX), 16 (AVX-512)
 *
 * What is not set stays the device's own. PoCL has a variable of its own for the largest work-group
 * (POCL_MAX_WORK_GROUP_SIZE).
 */
#define _GNU_SOURCE /* RTLD_NEXT */
#define CL_TARGET_OPENCL_VERSION 120
#include <CL/cl.h>
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

static void find_real(const char *name, void *function)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) abort();
    memcpy(function, &symbol, sizeof symbol);
}

/* The number in this variable; 0: the device's own fact stays. */
static unsigned faked(const char *variable)
{
    const char *text = getenv(variable);
    return text ? (unsigned)strtoul(text, NULL, 10) : 0;
}

static cl_ulong local_bytes(void)
{
    return (cl_ulong)faked("OCLIN_FAKE_LOCAL_KB") * 1024;
}

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *to, size_t *size_ret)
{
    cl_int (*real)(cl_device_id, cl_device_info, size_t, void *, size_t *);
    find_real("clGetDeviceInfo", &real);
    const cl_int error = real(device, what, size, to, size_ret);
    const cl_ulong bytes = local_bytes();
    const cl_uint lanes = faked("OCLIN_FAKE_LANES");
    if (error || !to) return error;
    if (what == CL_DEVICE_LOCAL_MEM_SIZE && bytes) memcpy(to, &bytes, sizeof bytes);
    if (what == CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT && lanes) memcpy(to, &lanes, sizeof lanes);
    return error;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *offset, const size_t *global, const size_t *group, cl_uint waits,
                              const cl_event *wait_for, cl_event *event)
{
    cl_int (*real)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                   cl_uint, const cl_event *, cl_event *);
    cl_device_id device;
    cl_ulong needed = 0;
    if (local_bytes() && !clGetCommandQueueInfo(queue, CL_QUEUE_DEVICE, sizeof device, &device, NULL) &&
        !clGetKernelWorkGroupInfo(kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof needed, &needed, NULL) &&
        needed > local_bytes())
        return CL_OUT_OF_RESOURCES;
    find_real("clEnqueueNDRangeKernel", &real);
    return real(queue, kernel, dimensions, offset, global, group, waits, wait_for, event);
}
