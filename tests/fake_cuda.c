/*
 * NVIDIA's driver and cuBLAS on the host, as far as the programs of bench/ call them: device memory is
 * malloc's, a product is plain loops, a kernel is known by its name, and TF32 cuts its operands to 10
 * bits of fraction. It is built twice, as libcuda.so.1 and as libcublas.so.13.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The programs find these by name; nothing declares them. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"

/* -------------------------------------------------------------------------------------------- driver */

int cuInit(unsigned flags)
{
    return flags != 0;
}

int cuDriverGetVersion(int *version)
{
    *version = 13000;
    return 0;
}

int cuDeviceGet(int *device, int ordinal)
{
    *device = ordinal;
    return ordinal != 0;
}

int cuDeviceGetName(char *name, int size, int device)
{
    snprintf(name, (size_t)size, "fake device %d", device);
    return 0;
}

int cuDeviceGetAttribute(int *value, int attribute, int device)
{
    *value = attribute == 75 ? 9 : 0; /* sm_90 */
    return device != 0;
}

int cuDevicePrimaryCtxRetain(void **context, int device)
{
    static int one;
    *context = &one;
    return device != 0;
}

int cuCtxSetCurrent(void *context)
{
    return context == NULL;
}

int cuCtxSynchronize(void)
{
    return 0;
}

int cuMemAlloc_v2(uint64_t *address, size_t bytes)
{
    void *mem = malloc(bytes);
    *address = (uint64_t)(uintptr_t)mem;
    return mem == NULL;
}

int cuMemFree_v2(uint64_t address)
{
    free((void *)(uintptr_t)address);
    return 0;
}

int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t bytes)
{
    memcpy((void *)(uintptr_t)to, from, bytes);
    return 0;
}

int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t bytes)
{
    memcpy(to, (const void *)(uintptr_t)from, bytes);
    return 0;
}

int cuMemsetD32_v2(uint64_t to, unsigned bits, size_t count)
{
    uint32_t *words = (uint32_t *)(uintptr_t)to;
    for (size_t i = 0; i < count; i++) words[i] = bits;
    return 0;
}

int cuModuleLoadData(void **module, const void *ptx)
{
    *module = malloc(1);
    return *module == NULL || ptx == NULL;
}

int cuModuleUnload(void *module)
{
    free(module);
    return 0;
}

int cuModuleGetFunction(void **function, void *module, const char *name)
{
    *function = malloc(strlen(name) + 1);
    if (*function) strcpy(*function, name);
    return module == NULL || *function == NULL;
}

/* What a kernel is told about an operand: PRODUCT_ARGUMENTS in cl/epilogue.cl. */
static float *operand_at(void **arguments, int first)
{
    return *(float **)arguments[first] + *(const int64_t *)arguments[first + 1];
}

/* Computes a product as the kernel of that name does, in plain loops. */
int cuLaunchKernel(void *function, unsigned groups_x, unsigned groups_y, unsigned groups_z, unsigned x,
                   unsigned y, unsigned z, unsigned shared_bytes, void *stream, void **arguments,
                   void **extra)
{
    enum { A = 0, B = 6, C = 9, BIAS = 12, M = 19, N = 20, K = 21, STRIDE = 2 };
    const char *name = function;
    const int forward = strncmp(name, "forward", 7) == 0, grad_w = strncmp(name, "grad_w", 6) == 0;
    const float *a = operand_at(arguments, A), *b = operand_at(arguments, B);
    float *c = operand_at(arguments, C);
    const int64_t m = *(const int64_t *)arguments[M], n = *(const int64_t *)arguments[N],
                  k = *(const int64_t *)arguments[K], a_stride = *(const int64_t *)arguments[A + STRIDE],
                  b_stride = *(const int64_t *)arguments[B + STRIDE],
                  c_stride = *(const int64_t *)arguments[C + STRIDE];
    (void)shared_bytes, (void)stream, (void)extra;
    if (groups_x < 1 || groups_y * groups_z * y * z != 1 || x < 1) return 1;
    for (int64_t i = 0; i < m; i++)
        for (int64_t j = 0; j < n; j++) {
            float sum = forward ? operand_at(arguments, BIAS)[j] : 0.0f;
            for (int64_t l = 0; l < k; l++)
                sum += a[grad_w ? l * a_stride + i : i * a_stride + l] *
                       b[forward ? j * b_stride + l : l * b_stride + j];
            c[i * c_stride + j] = sum;
        }
    return 0;
}

/* -------------------------------------------------------------------------------------------- cuBLAS */

int cublasCreate_v2(void **handle)
{
    *handle = calloc(1, sizeof(int)); /* the mode */
    return *handle == NULL;
}

int cublasGetVersion_v2(void *handle, int *version)
{
    *version = 130000;
    return handle == NULL;
}

int cublasSetMathMode(void *handle, int mode)
{
    *(int *)handle = mode;
    return 0;
}

static float operand(const float *from, int tf32)
{
    uint32_t bits;
    memcpy(&bits, from, sizeof bits);
    if (tf32) bits &= ~UINT32_C(0x1FFF);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

/* C (m, n) = alpha op(A) op(B) + beta C, all by columns. */
int cublasSgemm_v2(void *handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a,
                   int lda, const float *b, int ldb, const float *beta, float *c, int ldc)
{
    const int tf32 = *(const int *)handle == 3 || getenv("NVIDIA_TF32_OVERRIDE") != NULL;
    if (lda < (op_a ? k : m) || ldb < (op_b ? n : k) || ldc < m) return 7; /* an invalid value */
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < m; i++) {
            float sum = 0.0f;
            for (int64_t l = 0; l < k; l++)
                sum += operand(&a[op_a ? i * lda + l : l * lda + i], tf32) *
                       operand(&b[op_b ? l * ldb + j : j * ldb + l], tf32);
            float *to = &c[j * ldc + i];
            *to = *alpha * sum + (*beta != 0.0f ? *beta * *to : 0.0f);
        }
    return 0;
}

int cublasSaxpy_v2(void *handle, int n, const float *alpha, const float *x, int dx, float *y, int dy)
{
    for (int64_t i = 0; i < n; i++) y[i * dy] += *alpha * x[i * dx];
    return handle == NULL;
}
