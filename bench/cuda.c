/* NVIDIA's driver: see cuda.h. */
#include "cuda.h"

#include "bench.h"

#include <dlfcn.h>
#include <string.h>

int cuda_find(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found); /* C has no cast from an object's pointer to a function's */
    return found != NULL;
}

static const char *open_driver(struct cuda *c)
{
    enum { MAJOR = 75, MINOR = 76 }; /* CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_... */
    int device, error;
    void *library = dlopen("libcuda.so.1", RTLD_NOW);
    if (!library) return "there is no libcuda.so.1";
#define CUDA_FIND(name, ...) \
    if (!cuda_find(library, #name, &c->name)) return "libcuda.so.1 has no " #name;
    CUDA_CALLS(CUDA_FIND)
#undef CUDA_FIND
    if ((error = c->cuInit(0)) != 0 || (error = c->cuDriverGetVersion(&c->version)) != 0 ||
        (error = c->cuDeviceGet(&device, 0)) != 0 ||
        (error = c->cuDeviceGetName(c->device, (int)sizeof c->device, device)) != 0 ||
        (error = c->cuDeviceGetAttribute(&c->major, MAJOR, device)) != 0 ||
        (error = c->cuDeviceGetAttribute(&c->minor, MINOR, device)) != 0 ||
        (error = c->cuDevicePrimaryCtxRetain(&c->context, device)) != 0 ||
        (error = c->cuCtxSetCurrent(c->context)) != 0)
        return sentence("NVIDIA's driver has no device: error %d", error);
    return NULL;
}

const char *cuda_open(const struct cuda **cuda)
{
    static struct cuda c;
    static char why[SENTENCE];
    static int tried;
    if (!tried) {
        const char *error = open_driver(&c);
        if (error) snprintf(why, sizeof why, "%s", error);
        tried = 1;
    }
    *cuda = &c;
    return why[0] ? why : NULL;
}

void cuda_enter(const struct cuda *cuda)
{
    cuda->cuCtxSetCurrent(cuda->context); /* where this fails, so does what follows */
}

uint64_t cuda_floats(const struct cuda *cuda, const float *from, int64_t n)
{
    const size_t bytes = (size_t)n * sizeof *from;
    uint64_t mem;
    if (cuda->cuMemAlloc_v2(&mem, bytes) != 0) return 0;
    if ((from ? cuda->cuMemcpyHtoD_v2(mem, from, bytes)
              : cuda->cuMemsetD32_v2(mem, 0xFFFFFFFFu, (size_t)n)) == 0)
        return mem;
    cuda->cuMemFree_v2(mem);
    return 0;
}
