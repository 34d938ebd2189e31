/* NVIDIA's driver, opened when the program runs: it builds without CUDA's headers, and links nothing. */
#ifndef CUDA_H
#define CUDA_H

#include <stddef.h>
#include <stdint.h>

/* The entry points that are used, by their names in the library. Each returns 0, or an error's number. */
#define CUDA_CALLS(X)                                                                                      \
    X(cuInit, unsigned flags)                                                                              \
    X(cuDriverGetVersion, int *version)                                                                    \
    X(cuDeviceGet, int *device, int ordinal)                                                               \
    X(cuDeviceGetName, char *name, int size, int device)                                                   \
    X(cuDeviceGetAttribute, int *value, int attribute, int device)                                         \
    X(cuDevicePrimaryCtxRetain, void **context, int device)                                                \
    X(cuCtxSetCurrent, void *context)                                                                      \
    X(cuCtxSynchronize, void)                                                                              \
    X(cuMemAlloc_v2, uint64_t *address, size_t bytes)                                                      \
    X(cuMemFree_v2, uint64_t address)                                                                      \
    X(cuMemcpyHtoD_v2, uint64_t to, const void *from, size_t bytes)                                        \
    X(cuMemcpyDtoH_v2, void *to, uint64_t from, size_t bytes)                                              \
    X(cuMemsetD32_v2, uint64_t to, unsigned bits, size_t count)                                            \
    X(cuModuleLoadData, void **module, const void *ptx)                                                    \
    X(cuModuleUnload, void *module)                                                                        \
    X(cuModuleGetFunction, void **function, void *module, const char *name)                                \
    X(cuLaunchKernel, void *function, unsigned groups_x, unsigned groups_y, unsigned groups_z, unsigned x, \
      unsigned y, unsigned z, unsigned shared_bytes, void *stream, void **arguments, void **extra)

struct cuda {
#define CUDA_MEMBER(name, ...) int (*name)(__VA_ARGS__);
    CUDA_CALLS(CUDA_MEMBER)
#undef CUDA_MEMBER
    void *context;
    int version;      /* 13000 is 13.0 */
    int major, minor; /* the device's compute capability */
    char device[128];
};

/* Opens the driver with the context of device 0, once. NULL after *cuda is set, or why it cannot be had. */
const char *cuda_open(const struct cuda **cuda);
/* Makes the device the thread's: an OpenCL driver of the same maker may have changed that. */
void cuda_enter(const struct cuda *cuda);
/* Finds a function of a library: *function is a pointer to the pointer. 0 where there is none. */
int cuda_find(void *library, const char *name, void *function);
/* Memory with these numbers, or NaN where there are none; 0 when there is no memory. */
uint64_t cuda_floats(const struct cuda *cuda, const float *from, int64_t n);

#endif
