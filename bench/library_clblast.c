/* CLBlast: one sgemm a product, saxpy for the step, on oclin's device and queue. It adds no bias. */
#include "bench.h"

#include <clblast_c.h>
#include <stdlib.h>
#include <string.h>

#ifndef BENCH_CLBLAST_VERSION
#define BENCH_CLBLAST_VERSION "of unknown version"
#endif

struct state {
    const struct problem *p;
    cl_context context;
    cl_command_queue queue;
    cl_mem w[MAX_SETS], dw[MAX_SETS], x[MAX_SETS], y[MAX_SETS], dy[MAX_SETS], dx[MAX_SETS];
};

static void version(char *text, size_t size)
{
    snprintf(text, size, "CLBlast %s, on oclin's device and queue", BENCH_CLBLAST_VERSION);
}

static int write_all(struct state *s, cl_mem to, const float *from, int64_t n)
{
    return clEnqueueWriteBuffer(s->queue, to, CL_TRUE, 0, (size_t)n * sizeof *from, from, 0, NULL, NULL) ==
           CL_SUCCESS;
}

/* A buffer, with these numbers unless they are NULL; NULL when there is no memory. */
static cl_mem buffer(struct state *s, const float *from, int64_t n)
{
    const cl_float nan = 0.0f / 0.0f;
    cl_mem mem = clCreateBuffer(s->context, CL_MEM_READ_WRITE, (size_t)n * sizeof *from, NULL, NULL);
    if (!mem) return NULL;
    if (from ? write_all(s, mem, from, n)
             : clEnqueueFillBuffer(s->queue, mem, &nan, sizeof nan, 0, (size_t)n * sizeof nan, 0, NULL,
                                   NULL) == CL_SUCCESS)
        return mem;
    clReleaseMemObject(mem);
    return NULL;
}

static const char *reset(void *state)
{
    struct state *s = state;
    for (int i = 0; i < s->p->w_sets; i++)
        if (!write_all(s, s->w[i], s->p->w, w_count(&s->p->shape))) return "W could not be written";
    return NULL;
}

static const char *open_all(void **state, const struct problem *p, oclin_context *ctx)
{
    struct state *s = calloc(1, sizeof *s);
    const struct shape *n = &p->shape;
    *state = s;
    if (!s) return "no memory";
    s->p = p;
    int ok = oclin_context_cl(ctx, &s->context, NULL, &s->queue) == OCLIN_OK;
    for (int i = 0; i < p->w_sets && ok; i++) {
        s->w[i] = buffer(s, p->w, w_count(n));
        s->dw[i] = buffer(s, NULL, w_count(n));
        ok = s->w[i] && s->dw[i];
    }
    for (int i = 0; i < p->sets && ok; i++) {
        s->x[i] = buffer(s, p->x[i], x_count(n));
        s->dx[i] = buffer(s, NULL, x_count(n));
        s->dy[i] = buffer(s, p->dy[i], y_count(n));
        s->y[i] = buffer(s, NULL, y_count(n));
        ok = s->x[i] && s->dx[i] && s->dy[i] && s->y[i];
    }
    return ok ? NULL : "no device memory";
}

static void release(cl_mem mem)
{
    if (mem) clReleaseMemObject(mem);
}

static void close_all(void *state)
{
    struct state *s = state;
    if (!s) return;
    for (int i = 0; i < MAX_SETS; i++) {
        release(s->w[i]);
        release(s->dw[i]);
        release(s->x[i]);
        release(s->dx[i]);
        release(s->y[i]);
        release(s->dy[i]);
    }
    free(s);
}

struct matrix {
    CLBlastTranspose transpose;
    cl_mem mem;
    size_t ld;
};

/* C (m, n) = A B with a sum over k; all row-major. */
static CLBlastStatusCode product(struct state *s, size_t m, size_t n, size_t k, struct matrix a,
                                 struct matrix b, cl_mem c)
{
    return CLBlastSgemm(CLBlastLayoutRowMajor, a.transpose, b.transpose, m, n, k, 1.0f, a.mem, 0, a.ld, b.mem,
                        0, b.ld, 0.0f, c, 0, n, &s->queue, NULL);
}

static const char *enqueue(void *state, enum op op, int i, float lr)
{
    struct state *s = state;
    const size_t batch = (size_t)s->p->shape.batch, in = (size_t)s->p->shape.in,
                 out = (size_t)s->p->shape.out;
    const int l = i % s->p->w_sets;
    const struct matrix x = {CLBlastTransposeNo, s->x[i], in}, dy = {CLBlastTransposeNo, s->dy[i], out};
    const struct matrix w = {CLBlastTransposeNo, s->w[l], in}, w_t = {CLBlastTransposeYes, s->w[l], in};
    const struct matrix dy_t = {CLBlastTransposeYes, s->dy[i], out};
    CLBlastStatusCode status = CLBlastSuccess;
    if (op == FORWARD || op == STEP) status = product(s, batch, out, in, x, w_t, s->y[i]);
    if (status == CLBlastSuccess && (op == DX || op == STEP))
        status = product(s, batch, in, out, dy, w, s->dx[i]);
    if (status == CLBlastSuccess && (op == DW || op == STEP))
        status = product(s, out, in, batch, dy_t, x, s->dw[l]);
    if (status == CLBlastSuccess && op == STEP)
        status = CLBlastSaxpy(out * in, -lr, s->dw[l], 0, 1, s->w[l], 0, 1, &s->queue, NULL);
    return status == CLBlastSuccess ? NULL : sentence("CLBlast's status is %d", (int)status);
}

static const char *finish(void *state)
{
    return clFinish(((struct state *)state)->queue) == CL_SUCCESS ? NULL : "clFinish failed";
}

static const char *fetch(void *state, enum result what, int i, float *host)
{
    struct state *s = state;
    const struct shape *n = &s->p->shape;
    const int l = i % s->p->w_sets;
    cl_mem from = what == RESULT_Y    ? s->y[i]
                  : what == RESULT_DX ? s->dx[i]
                  : what == RESULT_DW ? s->dw[l]
                                      : s->w[l];
    const int64_t count = what == RESULT_Y ? y_count(n) : what == RESULT_DX ? x_count(n) : w_count(n);
    const cl_int error =
        clEnqueueReadBuffer(s->queue, from, CL_TRUE, 0, (size_t)count * sizeof *host, host, 0, NULL, NULL);
    return error == CL_SUCCESS ? NULL : "a result could not be read";
}

/* Ten times slower than the others on a CPU: three timings tell enough. */
const struct library library_clblast = {
    .name = "clblast",
    .runs = 3,
    .version = version,
    .open = open_all,
    .close = close_all,
    .reset = reset,
    .enqueue = enqueue,
    .finish = finish,
    .fetch = fetch,
};
