/*
 * The ceilings, by kernels of the bench's own on oclin's device and queue: the rate of fused multiply-adds, and a plain
 * read and a plain update in place of as many bytes as W has. The last two are timed in turn with the libraries, and
 * therefore look like one.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

extern const char bench_text_ceiling[]; /* ceiling.cl */

struct state {
    const struct problem *p;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel read, update, fma;
    cl_mem w[MAX_SETS], result;
    int lanes;
    size_t group, groups;
};

#define TRY(call)                                                                               \
    do {                                                                                        \
        const cl_int status_ = (call);                                                          \
        if (status_ != CL_SUCCESS) return sentence("%s: OpenCL error %d", #call, (int)status_); \
    } while (0)

/* A CPU's core gets a few groups of one work-item with long vectors; another device many groups of many work-items. */
static void choose_sizes(struct state *s, const struct oclin_device_info *d)
{
    const int cpu = d->type == OCLIN_DEVICE_CPU;
    const int64_t width = d->vector_width;
    s->lanes = width >= 16 ? 16 : width >= 8 ? 8 : 4;
    s->group = cpu ? 1 : d->max_work_group < 256 ? (size_t)d->max_work_group : 256;
    s->groups = (size_t)d->compute_units * (cpu ? 4 : 16);
}

static const char *build(struct state *s, cl_device_id device)
{
    const char *text = bench_text_ceiling;
    char options[64];
    cl_int error;
    snprintf(options, sizeof options, "-DV=float%d -DGROUP=%d", s->lanes, (int)s->group);
    s->program = clCreateProgramWithSource(s->context, 1, &text, NULL, &error);
    TRY(error);
    TRY(clBuildProgram(s->program, 1, &device, options, NULL, NULL));
    s->read = clCreateKernel(s->program, "read_all", &error);
    TRY(error);
    s->update = clCreateKernel(s->program, "update_all", &error);
    TRY(error);
    s->fma = clCreateKernel(s->program, "fma_peak", &error);
    TRY(error);
    s->result = clCreateBuffer(s->context, CL_MEM_READ_WRITE,
                               s->groups * s->group * (size_t)s->lanes * sizeof(cl_float), NULL, &error);
    TRY(error);
    return NULL;
}

static const char *reset(void *state)
{
    struct state *s = state;
    if (!s->p) return NULL;
    for (int i = 0; i < s->p->w_sets; i++)
        TRY(clEnqueueWriteBuffer(s->queue, s->w[i], CL_TRUE, 0,
                                 (size_t)w_count(&s->p->shape) * sizeof(cl_float), s->p->w, 0, NULL, NULL));
    return NULL;
}

static const char *open_all(void **state, const struct problem *p, oclin_context *ctx)
{
    struct oclin_device_info info;
    struct state *s = calloc(1, sizeof *s);
    *state = s;
    if (!s) return "no memory";
    s->p = p;
    oclin_context_device(ctx, &info);
    oclin_context_cl(ctx, &s->context, NULL, &s->queue);
    choose_sizes(s, &info);
    const char *error = build(s, info.device);
    if (error || !p) return error;
    for (int i = 0; i < p->w_sets; i++) {
        cl_int status;
        s->w[i] = clCreateBuffer(s->context, CL_MEM_READ_WRITE, (size_t)w_count(&p->shape) * sizeof(cl_float),
                                 NULL, &status);
        TRY(status);
    }
    return reset(s);
}

static void close_all(void *state)
{
    struct state *s = state;
    if (!s) return;
    for (int i = 0; i < MAX_SETS; i++)
        if (s->w[i]) clReleaseMemObject(s->w[i]);
    if (s->result) clReleaseMemObject(s->result);
    if (s->read) clReleaseKernel(s->read);
    if (s->update) clReleaseKernel(s->update);
    if (s->fma) clReleaseKernel(s->fma);
    if (s->program) clReleaseProgram(s->program);
    free(s);
}

static const char *launch(struct state *s, cl_kernel kernel)
{
    const size_t items = s->groups * s->group;
    TRY(clEnqueueNDRangeKernel(s->queue, kernel, 1, NULL, &items, &s->group, 0, NULL, NULL));
    return NULL;
}

static const char *enqueue(void *state, enum op op, int i, float lr)
{
    struct state *s = state;
    const cl_mem *w = &s->w[i % s->p->w_sets];
    const cl_long n = w_count(&s->p->shape) / s->lanes; /* up to 15 elements are left out */
    const cl_float one = 1.0f;                          /* unknown to the compiler */
    const cl_kernel kernel = op == READ ? s->read : s->update;
    (void)lr;
    TRY(clSetKernelArg(kernel, 0, sizeof *w, w));
    if (op == READ) TRY(clSetKernelArg(kernel, 1, sizeof s->result, &s->result));
    if (op == UPDATE) TRY(clSetKernelArg(kernel, 1, sizeof one, &one));
    TRY(clSetKernelArg(kernel, 2, sizeof n, &n));
    return launch(s, kernel);
}

static const char *finish(void *state)
{
    TRY(clFinish(((struct state *)state)->queue));
    return NULL;
}

const struct library library_ceiling = {"ceiling", 0,     0,       NULL,   open_all,
                                        close_all, reset, enqueue, finish, NULL};

/* ----------------------------------------------------------------------------------------------- FMA peak */

enum { FMA_STEPS = 100000 };

static const char *enqueue_fma(void *state, enum op op, int i, float lr)
{
    struct state *s = state;
    const cl_int n = FMA_STEPS;
    const cl_float a = 0.999f, b = 0.001f;
    (void)op;
    (void)i;
    (void)lr;
    TRY(clSetKernelArg(s->fma, 0, sizeof s->result, &s->result));
    TRY(clSetKernelArg(s->fma, 1, sizeof n, &n));
    TRY(clSetKernelArg(s->fma, 2, sizeof a, &a));
    TRY(clSetKernelArg(s->fma, 3, sizeof b, &b));
    return launch(s, s->fma);
}

const char *fma_peak(oclin_context *ctx, double *gflops)
{
    struct library library = library_ceiling;
    void *state;
    const char *error = open_all(&state, NULL, ctx);
    library.enqueue = enqueue_fma;
    struct timing t = {.library = &library, .state = state, .op = READ, .sets = 1};
    if (!error) error = time_in_turn(&t, 1, 5);
    if (!error) {
        const struct state *s = state;
        const double flops = 2.0 * 12.0 * FMA_STEPS * (double)(s->groups * s->group) * s->lanes;
        *gflops = flops / smallest(t.ms, t.done) * 1e-6;
    }
    close_all(state);
    return error;
}
