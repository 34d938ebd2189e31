/*
 * The ceilings, by kernels of the bench's own on oclin's device and queue: the rate of fused multiply-adds, and a plain
 * read and a plain update in place of as many bytes as W has. The last two are timed in turn with the libraries, and
 * therefore look like one.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

extern const char bench_text_ceiling[]; /* ceiling.cl */

/* How a kernel goes through W. */
struct pass {
    size_t groups;
    cl_int streams;
};

struct state {
    const struct problem *p;
    cl_context context;
    cl_command_queue queue;
    cl_program program;
    cl_kernel read, update, fma;
    cl_mem w[MAX_SETS], result;
    int lanes;
    size_t group, units; /* work-items of a group; compute units */
    size_t few, most;    /* groups on each unit, at least and at most */
    struct pass pass[2]; /* READ, UPDATE */
};

#define TRY(call)                                                                               \
    do {                                                                                        \
        const cl_int status_ = (call);                                                          \
        if (status_ != CL_SUCCESS) return sentence("%s: OpenCL error %d", #call, (int)status_); \
    } while (0)

/* A CPU gets groups of one work-item with long vectors, another device groups of many work-items. */
static void choose_sizes(struct state *s, const struct oclin_device_info *d)
{
    const int64_t width = d->vector_width;
    s->lanes = width >= 16 ? 16 : width >= 8 ? 8 : 4;
    s->group = d->type == OCLIN_DEVICE_CPU ? 1 : d->max_work_group < 256 ? (size_t)d->max_work_group : 256;
    s->units = (size_t)d->compute_units;
    s->few = d->type == OCLIN_DEVICE_CPU ? 1 : 4;
    s->most = 16 * s->few;
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
    s->result =
        clCreateBuffer(s->context, CL_MEM_READ_WRITE,
                       s->units * s->most * s->group * (size_t)s->lanes * sizeof(cl_float), NULL, &error);
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

static const char *launch(struct state *s, cl_kernel kernel, size_t groups)
{
    const size_t items = groups * s->group;
    TRY(clEnqueueNDRangeKernel(s->queue, kernel, 1, NULL, &items, &s->group, 0, NULL, NULL));
    return NULL;
}

static const char *enqueue(void *state, enum op op, int i, float lr)
{
    struct state *s = state;
    const cl_mem *w = &s->w[i % s->p->w_sets];
    const cl_long n = w_count(&s->p->shape) / s->lanes; /* up to 15 elements are left out */
    const cl_float one = 1.0f;                          /* unknown to the compiler */
    const struct pass *pass = &s->pass[op == UPDATE];
    const cl_kernel kernel = op == READ ? s->read : s->update;
    (void)lr;
    TRY(clSetKernelArg(kernel, 0, sizeof *w, w));
    if (op == READ) TRY(clSetKernelArg(kernel, 1, sizeof s->result, &s->result));
    if (op == UPDATE) TRY(clSetKernelArg(kernel, 1, sizeof one, &one));
    TRY(clSetKernelArg(kernel, 2, sizeof n, &n));
    TRY(clSetKernelArg(kernel, 3, sizeof pass->streams, &pass->streams));
    return launch(s, kernel, pass->groups);
}

static const char *finish(void *state)
{
    TRY(clFinish(((struct state *)state)->queue));
    return NULL;
}

/* The fastest of some ways to go through this W: a ceiling must be well chosen. */
static const char *choose_pass(struct state *s, enum op op)
{
    struct pass *chosen = &s->pass[op == UPDATE], best = *chosen;
    double least = 0.0;
    /* round after round, so that a disturbance does not fall on one of them alone */
    for (int i = 0; i < 8; i++)
        for (size_t a_unit = s->few; a_unit <= s->most; a_unit *= 4)
            for (cl_int streams = 1; streams <= 8; streams *= 2) {
                *chosen = (struct pass){s->units * a_unit, streams};
                const double start = now_ms();
                const char *error = enqueue(s, op, i % s->p->w_sets, 0.0f);
                if (!error) error = finish(s);
                if (error) return error;
                const double ms = now_ms() - start;
                if (least > 0.0 && ms >= least) continue;
                least = ms;
                best = *chosen;
            }
    *chosen = best;
    return NULL;
}

static const char *open_chosen(void **state, const struct problem *p, oclin_context *ctx)
{
    const char *error = open_all(state, p, ctx);
    if (!error) error = choose_pass(*state, READ);
    return error ? error : choose_pass(*state, UPDATE);
}

const struct library library_ceiling = {
    .name = "ceiling",
    .open = open_chosen,
    .close = close_all,
    .reset = reset,
    .enqueue = enqueue,
    .finish = finish,
};

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
    return launch(s, s->fma, s->units * s->few * 4);
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
        const double flops = 2.0 * 12.0 * FMA_STEPS * (double)(s->units * s->few * 4 * s->group) * s->lanes;
        *gflops = flops / smallest(t.ms, t.done) * 1e-6;
    }
    close_all(state);
    return error;
}
