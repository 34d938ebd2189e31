/*
 * cuBLAS: one sgemm a product, saxpy for the step, on CUDA's device 0. It adds no bias. It is two peers:
 * `cublas` computes in FP32 throughout, `cublas_tf32` may round the operands of a product to TF32. Driver and
 * library are opened at run time.
 */
#include "bench.h"
#include "cuda.h"

#include <dlfcn.h>
#include <stdlib.h>

enum { OP_N, OP_T };                      /* CUBLAS_OP_N, CUBLAS_OP_T */
enum { DEFAULT_MATH = 0, TF32_MATH = 3 }; /* CUBLAS_DEFAULT_MATH, CUBLAS_TF32_TENSOR_OP_MATH */

static struct {
    int (*create)(void **handle);
    int (*version)(void *handle, int *version);
    int (*math)(void *handle, int mode);
    int (*sgemm)(void *handle, int op_a, int op_b, int m, int n, int k, const float *alpha, const float *a,
                 int lda, const float *b, int ldb, const float *beta, float *c, int ldc);
    int (*saxpy)(void *handle, int n, const float *alpha, const float *x, int dx, float *y, int dy);
    void *handle[2]; /* FP32, TF32 */
} blas;
static const struct cuda *cuda;

struct state {
    const struct problem *p;
    void *handle;
    uint64_t w[MAX_SETS], dw[MAX_SETS], x[MAX_SETS], y[MAX_SETS], dy[MAX_SETS], dx[MAX_SETS];
};

static const char *open_library(void)
{
    static const char *const names[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11",
                                        "libcublas.so"};
    void *library = NULL;
    const char *error = cuda_open(&cuda);
    if (error) return error;
    for (size_t i = 0; i < sizeof names / sizeof *names && !library; i++)
        library = dlopen(names[i], RTLD_NOW);
    if (!library) return "there is no libcublas.so";
    if (!cuda_find(library, "cublasCreate_v2", &blas.create) ||
        !cuda_find(library, "cublasGetVersion_v2", &blas.version) ||
        !cuda_find(library, "cublasSetMathMode", &blas.math) ||
        !cuda_find(library, "cublasSgemm_v2", &blas.sgemm) ||
        !cuda_find(library, "cublasSaxpy_v2", &blas.saxpy))
        return "libcublas.so lacks a function";
    for (int i = 0; i < 2; i++)
        if (blas.create(&blas.handle[i]) != 0 || blas.math(blas.handle[i], i ? TF32_MATH : DEFAULT_MATH) != 0)
            return "cuBLAS does not start";
    return NULL;
}

static const char *missing(void)
{
    static const char *why;
    static int tried;
    if (!tried) why = open_library();
    tried = 1;
    return why;
}

static void version(char *text, size_t size)
{
    int number = 0;
    blas.version(blas.handle[0], &number);
    snprintf(text, size, "cuBLAS %d, CUDA %d.%d, %s%s", number, cuda->version / 1000,
             cuda->version / 10 % 100, cuda->device,
             getenv("NVIDIA_TF32_OVERRIDE") ? "; NVIDIA_TF32_OVERRIDE is set" : "");
}

static const char *reset(void *state)
{
    struct state *s = state;
    cuda_enter(cuda);
    for (int i = 0; i < s->p->w_sets; i++)
        if (cuda->cuMemcpyHtoD_v2(s->w[i], s->p->w, (size_t)w_count(&s->p->shape) * sizeof(float)) != 0)
            return "W could not be written";
    return NULL;
}

static const char *open_with(void **state, const struct problem *p, void *handle)
{
    struct state *s = calloc(1, sizeof *s);
    const struct shape *n = &p->shape;
    int ok = s != NULL;
    *state = s;
    if (!s) return "no memory";
    s->p = p;
    s->handle = handle;
    cuda_enter(cuda);
    for (int i = 0; i < p->w_sets && ok; i++) {
        s->w[i] = cuda_floats(cuda, p->w, w_count(n));
        s->dw[i] = cuda_floats(cuda, NULL, w_count(n));
        ok = s->w[i] && s->dw[i];
    }
    for (int i = 0; i < p->sets && ok; i++) {
        s->x[i] = cuda_floats(cuda, p->x[i], x_count(n));
        s->dx[i] = cuda_floats(cuda, NULL, x_count(n));
        s->dy[i] = cuda_floats(cuda, p->dy[i], y_count(n));
        s->y[i] = cuda_floats(cuda, NULL, y_count(n));
        ok = s->x[i] && s->dx[i] && s->dy[i] && s->y[i];
    }
    return ok ? NULL : "no device memory";
}

static const char *open_fp32(void **state, const struct problem *p, oclin_context *ctx)
{
    (void)ctx;
    return open_with(state, p, blas.handle[0]);
}

static const char *open_tf32(void **state, const struct problem *p, oclin_context *ctx)
{
    (void)ctx;
    return open_with(state, p, blas.handle[1]);
}

static void close_all(void *state)
{
    struct state *s = state;
    if (!s) return;
    cuda_enter(cuda);
    for (int i = 0; i < MAX_SETS; i++) {
        const uint64_t all[] = {s->w[i], s->dw[i], s->x[i], s->y[i], s->dy[i], s->dx[i]};
        for (size_t k = 0; k < sizeof all / sizeof *all; k++)
            if (all[k]) cuda->cuMemFree_v2(all[k]);
    }
    free(s);
}

/* C (m, n) = op(first) op(second), all by columns, as cuBLAS counts: to it, our row-major matrices are their
 * transposes. */
static int product(struct state *s, int op_first, int op_second, int64_t m, int64_t n, int64_t k,
                   uint64_t first, int64_t ld_first, uint64_t second, int64_t ld_second, uint64_t c)
{
    const float one = 1.0f, zero = 0.0f;
    return blas.sgemm(s->handle, op_first, op_second, (int)m, (int)n, (int)k, &one,
                      (const float *)(uintptr_t)first, (int)ld_first, (const float *)(uintptr_t)second,
                      (int)ld_second, &zero, (float *)(uintptr_t)c, (int)m);
}

static const char *enqueue(void *state, enum op op, int i, float lr)
{
    struct state *s = state;
    const int l = i % s->p->w_sets;
    const int64_t batch = s->p->shape.batch, in = s->p->shape.in, out = s->p->shape.out;
    const float minus_lr = -lr;
    int error = 0;
    cuda_enter(cuda);
    if (op == FORWARD || op == STEP) /* Y^T = W X^T */
        error |= product(s, OP_T, OP_N, out, batch, in, s->w[l], in, s->x[i], in, s->y[i]);
    if (op == DX || op == STEP) /* dX^T = W^T dY^T */
        error |= product(s, OP_N, OP_N, in, batch, out, s->w[l], in, s->dy[i], out, s->dx[i]);
    if (op == DW || op == STEP) /* dW^T = X^T dY */
        error |= product(s, OP_N, OP_T, in, out, batch, s->x[i], in, s->dy[i], out, s->dw[l]);
    if (op == STEP)
        error |= blas.saxpy(s->handle, (int)w_count(&s->p->shape), &minus_lr,
                            (const float *)(uintptr_t)s->dw[l], 1, (float *)(uintptr_t)s->w[l], 1);
    return error ? "cuBLAS failed" : NULL;
}

static const char *finish(void *state)
{
    (void)state;
    cuda_enter(cuda);
    const int error = cuda->cuCtxSynchronize();
    return error ? sentence("cuCtxSynchronize: error %d", error) : NULL;
}

static const char *fetch(void *state, enum result what, int i, float *host)
{
    struct state *s = state;
    const struct shape *n = &s->p->shape;
    const int l = i % s->p->w_sets;
    cuda_enter(cuda);
    const uint64_t from = what == RESULT_Y    ? s->y[i]
                          : what == RESULT_DX ? s->dx[i]
                          : what == RESULT_DW ? s->dw[l]
                                              : s->w[l];
    const int64_t count = what == RESULT_Y ? y_count(n) : what == RESULT_DX ? x_count(n) : w_count(n);
    return cuda->cuMemcpyDtoH_v2(host, from, (size_t)count * sizeof *host) == 0
               ? NULL
               : "a result could not be read";
}

const struct library library_cublas = {.name = "cublas",
                                       .missing = missing,
                                       .version = version,
                                       .open = open_fp32,
                                       .close = close_all,
                                       .reset = reset,
                                       .enqueue = enqueue,
                                       .finish = finish,
                                       .fetch = fetch};
const struct library library_cublas_tf32 = {.name = "cublas_tf32",
                                            .rounding = 1.0 / 1024.0, /* TF32 has 10 bits of fraction */
                                            .missing = missing,
                                            .version = version,
                                            .open = open_tf32,
                                            .close = close_all,
                                            .reset = reset,
                                            .enqueue = enqueue,
                                            .finish = finish,
                                            .fetch = fetch};
