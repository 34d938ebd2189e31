/*
 * oclin inside a program that has OpenCL of its own: the program's context and queue, the program's buffers,
 * and events that order two queues, without the host ever waiting in between.
 *
 *     my queue        produce x                            consume y
 *                              \ x_ready         y_ready /
 *     oclin's queue              --------> forward --------
 *
 * Two rounds are enqueued one behind the other, through the same buffers. All numbers are small integers, so
 * the result must be exact.
 */
#include <oclin.h>

#define CL_TARGET_OPENCL_VERSION 120
#ifdef __APPLE__
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif

#include <stdio.h>
#include <stdlib.h>

enum { ROUNDS = 2, BATCH = 4, IN = 3, OUT = 2, NX = BATCH * IN, NY = BATCH * OUT };

static const float w[OUT][IN] = {{1, 2, 3}, {-1, 0, 4}}, b[OUT] = {10, -20};

static const char *const kernels =
    "kernel void produce(global float *x, int round)                                   \n"
    "{                                                                                 \n"
    "    int i = (int)get_global_id(0);                                                \n"
    "    x[i] = (float)(i % 5 - 2 + 3 * round);                                        \n"
    "}                                                                                 \n"
    "kernel void consume(global const float *y, global float *sum, int first)          \n"
    "{                                                                                 \n"
    "    int i = (int)get_global_id(0);                                                \n"
    "    sum[i] = first ? y[i] : sum[i] + y[i];                                        \n"
    "}                                                                                 \n";

/* What the program has without oclin. */
struct mine {
    cl_context context;
    cl_device_id device;
    cl_command_queue queue, oclin_queue; /* both in order */
    cl_program program;
    cl_kernel produce, consume;
    cl_mem x, y, sum;
};

static void check_cl(cl_int code, const char *what)
{
    if (code == CL_SUCCESS) return;
    fprintf(stderr, "interop: %s failed with %d\n", what, (int)code);
    exit(1);
}

/* The last line of oclin's log: where no context is made, the reason. */
static char last_line[512];

static void keep_line(void *user, const char *line)
{
    (void)user;
    snprintf(last_line, sizeof last_line, "%s", line);
}

static void check(const oclin_context *ctx, oclin_status status)
{
    if (status == OCLIN_OK) return;
    fprintf(stderr, "interop: %s\n",
            ctx            ? oclin_context_error(ctx)
            : last_line[0] ? last_line
                           : oclin_status_text(status));
    exit(1);
}

static cl_mem make_buffer(const struct mine *m, size_t floats)
{
    cl_int code;
    cl_mem buffer = clCreateBuffer(m->context, CL_MEM_READ_WRITE, floats * sizeof(float), NULL, &code);
    check_cl(code, "clCreateBuffer");
    return buffer;
}

static cl_kernel make_kernel(const struct mine *m, const char *name)
{
    cl_int code;
    cl_kernel kernel = clCreateKernel(m->program, name, &code);
    check_cl(code, "clCreateKernel");
    return kernel;
}

/* A context of oclin's own fails as well, with a sentence that says what may be wrong. */
static void say_why_none(void)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx;
    options.log = keep_line;
    check(NULL, oclin_context_create(&ctx, &options));
    oclin_context_destroy(ctx);
    check_cl(CL_DEVICE_NOT_FOUND, "the search for a device");
}

static void start(struct mine *m)
{
    struct oclin_device_info best;
    size_t count = 0;
    cl_int code;
    check(NULL, oclin_device_list(&best, 1, &count));
    if (count == 0) say_why_none();
    printf("device   %s, %s\n", best.name, best.platform_name);
    m->device = best.device;
    m->context = clCreateContext(NULL, 1, &m->device, NULL, NULL, &code);
    check_cl(code, "clCreateContext");
    m->queue = clCreateCommandQueue(m->context, m->device, 0, &code);
    check_cl(code, "clCreateCommandQueue");
    m->oclin_queue = clCreateCommandQueue(m->context, m->device, 0, &code);
    check_cl(code, "clCreateCommandQueue");
    m->program = clCreateProgramWithSource(m->context, 1, (const char **)&kernels, NULL, &code);
    check_cl(code, "clCreateProgramWithSource");
    check_cl(clBuildProgram(m->program, 1, &m->device, "", NULL, NULL), "clBuildProgram");
    m->produce = make_kernel(m, "produce");
    m->consume = make_kernel(m, "consume");
    m->x = make_buffer(m, NX);
    m->y = make_buffer(m, NY);
    m->sum = make_buffer(m, NY);
}

static void stop(struct mine *m)
{
    clReleaseMemObject(m->x);
    clReleaseMemObject(m->y);
    clReleaseMemObject(m->sum);
    clReleaseKernel(m->produce);
    clReleaseKernel(m->consume);
    clReleaseProgram(m->program);
    clReleaseCommandQueue(m->queue);
    clReleaseCommandQueue(m->oclin_queue);
    clReleaseContext(m->context);
}

/* x = ... on the program's own queue; the event is complete when x is there. */
static cl_event produce(const struct mine *m, int round)
{
    const size_t items = NX;
    cl_event ready;
    check_cl(clSetKernelArg(m->produce, 0, sizeof m->x, &m->x), "clSetKernelArg");
    check_cl(clSetKernelArg(m->produce, 1, sizeof round, &round), "clSetKernelArg");
    check_cl(clEnqueueNDRangeKernel(m->queue, m->produce, 1, NULL, &items, NULL, 0, NULL, &ready), "produce");
    /* Another queue will wait for the event: it must be sure to come. */
    check_cl(clFlush(m->queue), "clFlush");
    return ready;
}

/* sum = y or sum += y, when y is ready. The next produce() on this queue comes after it, and the next forward
 * after that: neither x nor y is overwritten while somebody still reads it. */
static void consume(const struct mine *m, int round, cl_event ready)
{
    const size_t items = NY;
    int first = round == 0;
    check_cl(clSetKernelArg(m->consume, 0, sizeof m->y, &m->y), "clSetKernelArg");
    check_cl(clSetKernelArg(m->consume, 1, sizeof m->sum, &m->sum), "clSetKernelArg");
    check_cl(clSetKernelArg(m->consume, 2, sizeof first, &first), "clSetKernelArg");
    check_cl(clEnqueueNDRangeKernel(m->queue, m->consume, 1, NULL, &items, NULL, 1, &ready, NULL), "consume");
}

/* What is enqueued here: oclin waits for x_ready, computes, and y_ready follows. */
static cl_event forward(oclin_context *ctx, oclin_layer *layer, oclin_tensor *x, oclin_tensor *y,
                        cl_event x_ready)
{
    cl_event y_ready;
    check(ctx, oclin_context_wait_for(ctx, 1, &x_ready));
    /* x was written past oclin. Without this a backward could not know that its x is not the forward's. */
    check(ctx, oclin_tensor_touch(x));
    check(ctx, oclin_layer_forward(layer, x, y));
    check(ctx, oclin_context_mark(ctx, &y_ready)); /* also flushes */
    return y_ready;
}

static void run(const struct mine *m, oclin_context *ctx)
{
    oclin_layer *layer;
    oclin_tensor *x, *y;
    check(ctx, oclin_layer_create(&layer, ctx, IN, OUT, NULL));
    check(ctx, oclin_tensor_write(oclin_layer_w(layer), w));
    check(ctx, oclin_tensor_write(oclin_layer_b(layer), b));
    check(ctx, oclin_tensor_wrap(&x, ctx, OCLIN_F32, m->x, 0, BATCH, IN, IN));
    check(ctx, oclin_tensor_wrap(&y, ctx, OCLIN_F32, m->y, 0, BATCH, OUT, OUT));
    for (int round = 0; round < ROUNDS; round++) {
        cl_event x_ready = produce(m, round);
        cl_event y_ready = forward(ctx, layer, x, y, x_ready);
        consume(m, round, y_ready);
        clReleaseEvent(x_ready);
        clReleaseEvent(y_ready);
    }
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(layer);
}

/* The sum over the rounds of y (row r, feature o), by hand. */
static float expected(int r, int o)
{
    float sum = 0;
    for (int round = 0; round < ROUNDS; round++) {
        sum += b[o];
        for (int i = 0; i < IN; i++) sum += w[o][i] * (float)((r * IN + i) % 5 - 2 + 3 * round);
    }
    return sum;
}

static int report(const struct mine *m)
{
    float sum[BATCH][OUT];
    int wrong = 0;
    check_cl(clEnqueueReadBuffer(m->queue, m->sum, CL_TRUE, 0, sizeof sum, sum, 0, NULL, NULL), "the read");
    for (int r = 0; r < BATCH; r++) {
        printf("row %d   ", r);
        for (int o = 0; o < OUT; o++) {
            printf(" %6g (expected %6g)", sum[r][o], expected(r, o));
            wrong += !(sum[r][o] == expected(r, o));
        }
        printf("\n");
    }
    printf("%s\n", wrong ? "WRONG" : "exact, as it must be");
    return wrong ? 1 : 0;
}

int main(void)
{
    struct mine m;
    oclin_context *ctx;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    start(&m);
    options.cl_context_handle = m.context;
    options.cl_device = m.device;
    options.cl_queue = m.oclin_queue;
    options.log = keep_line;
    check(NULL, oclin_context_create(&ctx, &options));
    run(&m, ctx);
    int status = report(&m);
    oclin_context_destroy(ctx);
    stop(&m);
    return status;
}
