/*
 * probe WHAT [SHAPES]: what scripts/gpu_measure.sh asks about the device besides oclin_bench's table.
 *   devices   every platform and device, with extensions (text)
 *   chosen    the device of OCLIN_DEVICE, in one line
 *   check     oclin_self_check() on the device of OCLIN_DEVICE
 *   rates     launches, and plain copies, reads and writes of memory (CSV: what,value,unit)
 *   plans     the names of the plans that may suit the device, a line each
 *   kernels   every kernel of each operation on the shapes of a file, by the device's own clock (CSV)
 * Each result that is timed is checked first.
 */
#define _XOPEN_SOURCE 700

#include "bench.h"
#include "plan/plan.h"

#include <stdlib.h>
#include <string.h>

#define TRY(call)                                                                               \
    do {                                                                                        \
        const cl_int status_ = (call);                                                          \
        if (status_ != CL_SUCCESS) return sentence("%s: OpenCL error %d", #call, (int)status_); \
    } while (0)

/* ----------------------------------------------------------------------------------------------- devices */

enum { MOST = 16 }; /* platforms, and devices of one */

static void print_text(cl_device_id device, const char *name, cl_device_info what)
{
    char text[8192] = "";
    clGetDeviceInfo(device, what, sizeof text, text, NULL);
    text[sizeof text - 1] = 0;
    printf("  %-22s %s\n", name, text);
}

/* The number of a property that has 4 or 8 bytes. */
static void print_number(cl_device_id device, const char *name, cl_device_info what)
{
    cl_ulong wide = 0;
    cl_uint narrow = 0;
    if (clGetDeviceInfo(device, what, sizeof narrow, &narrow, NULL) == CL_SUCCESS)
        wide = narrow;
    else
        clGetDeviceInfo(device, what, sizeof wide, &wide, NULL);
    printf("  %-22s %llu\n", name, (unsigned long long)wide);
}

static void print_device(cl_device_id device)
{
    print_text(device, "device", CL_DEVICE_NAME);
    print_text(device, "vendor", CL_DEVICE_VENDOR);
    print_text(device, "driver", CL_DRIVER_VERSION);
    print_text(device, "version", CL_DEVICE_VERSION);
    print_text(device, "OpenCL C", CL_DEVICE_OPENCL_C_VERSION);
    print_number(device, "type", CL_DEVICE_TYPE);
    print_number(device, "compute units", CL_DEVICE_MAX_COMPUTE_UNITS);
    print_number(device, "clock MHz", CL_DEVICE_MAX_CLOCK_FREQUENCY);
    print_number(device, "work-group", CL_DEVICE_MAX_WORK_GROUP_SIZE);
    print_number(device, "vector width float", CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT);
    print_number(device, "global bytes", CL_DEVICE_GLOBAL_MEM_SIZE);
    print_number(device, "largest allocation", CL_DEVICE_MAX_MEM_ALLOC_SIZE);
    print_number(device, "cache bytes", CL_DEVICE_GLOBAL_MEM_CACHE_SIZE);
    print_number(device, "cache line", CL_DEVICE_GLOBAL_MEM_CACHELINE_SIZE);
    print_number(device, "local bytes", CL_DEVICE_LOCAL_MEM_SIZE);
    print_number(device, "local memory type", CL_DEVICE_LOCAL_MEM_TYPE);
    print_number(device, "float config", CL_DEVICE_SINGLE_FP_CONFIG);
    print_number(device, "profiling timer ns", CL_DEVICE_PROFILING_TIMER_RESOLUTION);
    print_number(device, "address alignment bits", CL_DEVICE_MEM_BASE_ADDR_ALIGN);
    print_text(device, "extensions", CL_DEVICE_EXTENSIONS);
}

static const char *devices(oclin_context *ctx, const char *path)
{
    cl_platform_id platform[MOST];
    cl_device_id device[MOST];
    cl_uint platforms = 0, count;
    char text[1024];
    (void)ctx, (void)path;
    if (clGetPlatformIDs(MOST, platform, &platforms) != CL_SUCCESS) return "there is no OpenCL platform";
    for (cl_uint i = 0; i < platforms && i < MOST; i++) {
        text[0] = 0;
        clGetPlatformInfo(platform[i], CL_PLATFORM_NAME, sizeof text, text, NULL);
        printf("platform %s", text);
        text[0] = 0;
        clGetPlatformInfo(platform[i], CL_PLATFORM_VERSION, sizeof text, text, NULL);
        printf(", %s\n", text);
        count = 0;
        clGetDeviceIDs(platform[i], CL_DEVICE_TYPE_ALL, MOST, device, &count);
        for (cl_uint k = 0; k < count && k < MOST; k++) print_device(device[k]);
    }
    return NULL;
}

static const char *chosen(oclin_context *ctx, const char *path)
{
    struct oclin_device_info d;
    (void)path;
    if (oclin_context_device(ctx, &d) != OCLIN_OK) return oclin_context_error(ctx);
    printf("%s; %s, %s, %s; %lld compute units\n", d.name, d.platform_name, d.driver, d.version,
           (long long)d.compute_units);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------- check */

static const char *self_check(oclin_context *ctx, const char *path)
{
    double worst = 0.0;
    (void)path;
    const oclin_status status = oclin_self_check(ctx, &worst);
    if (status != OCLIN_OK) return oclin_context_error(ctx);
    printf("right; at worst %.3f of the bound\n", worst);
    return NULL;
}

/* ------------------------------------------------------------------------------------------------- rates */

static const char rate_text[] =
    "kernel void nothing(global float *a) { if (get_global_id(0) > 0) a[0] = 1.0f; }\n"
    "kernel void copy(global float4 *to, global const float4 *from)\n"
    "{ to[get_global_id(0)] = from[get_global_id(0)]; }\n"
    "kernel void write(global float4 *to, float x) { to[get_global_id(0)] = x; }\n"
    "kernel void read(global float *to, global const float4 *from, int each)\n"
    "{\n"
    "    const size_t n = get_global_size(0);\n"
    "    float4 s = 0.0f;\n"
    "    for (int i = 0; i < each; i++) s += from[i * n + get_global_id(0)];\n"
    "    to[get_global_id(0)] = s.x + s.y + s.z + s.w;\n"
    "}\n";

enum { LAUNCHES = 1000, ROUNDS = 9, EACH = 16 };

struct rates {
    cl_context context;
    cl_device_id device;
    cl_command_queue queue; /* with profiling: memory is timed by the device's own clock */
    cl_program program;
    cl_kernel nothing, copy, write, read;
    cl_mem a, b;
    size_t vectors; /* float4s in a and in b */
    float *host;
};

static const char *make_rates(struct rates *r, oclin_context *ctx)
{
    struct oclin_device_info info;
    const char *text = rate_text;
    cl_int error;
    oclin_context_device(ctx, &info);
    oclin_context_cl(ctx, &r->context, &r->device, NULL);
    r->vectors = (size_t)(info.type == OCLIN_DEVICE_CPU ? 1 << 20 : 1 << 24); /* 16 or 256 MiB */
    r->queue = clCreateCommandQueue(r->context, r->device, CL_QUEUE_PROFILING_ENABLE, &error);
    TRY(error);
    r->program = clCreateProgramWithSource(r->context, 1, &text, NULL, &error);
    TRY(error);
    TRY(clBuildProgram(r->program, 1, &r->device, "", NULL, NULL));
    const char *const name[] = {"nothing", "copy", "write", "read"};
    cl_kernel *const kernel[] = {&r->nothing, &r->copy, &r->write, &r->read};
    for (int i = 0; i < 4; i++) {
        *kernel[i] = clCreateKernel(r->program, name[i], &error);
        TRY(error);
    }
    cl_mem *const mem[] = {&r->a, &r->b};
    for (int i = 0; i < 2; i++) {
        *mem[i] = clCreateBuffer(r->context, CL_MEM_READ_WRITE, 16 * r->vectors, NULL, &error);
        TRY(error);
    }
    r->host = malloc(16 * r->vectors);
    if (!r->host) return "no memory";
    for (size_t i = 0; i < 4 * r->vectors; i++) r->host[i] = (float)(i % 251);
    TRY(clEnqueueWriteBuffer(r->queue, r->a, CL_TRUE, 0, 16 * r->vectors, r->host, 0, NULL, NULL));
    TRY(clSetKernelArg(r->nothing, 0, sizeof r->a, &r->a));
    return NULL;
}

static void free_rates(struct rates *r)
{
    cl_kernel const kernel[] = {r->nothing, r->copy, r->write, r->read};
    for (int i = 0; i < 4; i++)
        if (kernel[i]) clReleaseKernel(kernel[i]);
    if (r->a) clReleaseMemObject(r->a);
    if (r->b) clReleaseMemObject(r->b);
    if (r->program) clReleaseProgram(r->program);
    if (r->queue) clReleaseCommandQueue(r->queue);
    free(r->host);
}

static const char *launches(struct rates *r)
{
    double alone[ROUNDS], row[ROUNDS];
    const size_t one = 1;
    for (int i = -1; i < ROUNDS; i++) { /* the first round warms up */
        const double start = now_ms();
        for (int k = 0; k < LAUNCHES / 10; k++) {
            TRY(clEnqueueNDRangeKernel(r->queue, r->nothing, 1, NULL, &one, NULL, 0, NULL, NULL));
            TRY(clFinish(r->queue));
        }
        const double middle = now_ms();
        for (int k = 0; k < LAUNCHES; k++)
            TRY(clEnqueueNDRangeKernel(r->queue, r->nothing, 1, NULL, &one, NULL, 0, NULL, NULL));
        TRY(clFinish(r->queue));
        if (i < 0) continue;
        alone[i] = (middle - start) / (LAUNCHES / 10);
        row[i] = (now_ms() - middle) / LAUNCHES;
    }
    printf("launch and wait,%.3f,us\n", 1e3 * median(alone, ROUNDS));
    printf("launch in a row of %d,%.3f,us\n", LAUNCHES, 1e3 * median(row, ROUNDS));
    return NULL;
}

/* The median time of one command on the device's own clock. kernel NULL: clEnqueueCopyBuffer. */
static const char *device_ms(struct rates *r, cl_kernel kernel, size_t items, double *ms)
{
    double all[ROUNDS];
    for (int i = -1; i < ROUNDS; i++) {
        cl_event event;
        cl_ulong start = 0, end = 0;
        if (kernel)
            TRY(clEnqueueNDRangeKernel(r->queue, kernel, 1, NULL, &items, NULL, 0, NULL, &event));
        else
            TRY(clEnqueueCopyBuffer(r->queue, r->a, r->b, 0, 0, 16 * r->vectors, 0, NULL, &event));
        TRY(clWaitForEvents(1, &event));
        TRY(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL));
        TRY(clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL));
        TRY(clReleaseEvent(event));
        if (i >= 0) all[i] = 1e-6 * (double)(end - start);
    }
    *ms = median(all, ROUNDS);
    return NULL;
}

static int right_copy(const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i] != (float)(i % 251)) return 0;
    return 1;
}

static int right_write(const float *got, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (got[i] != 3.0f) return 0;
    return 1;
}

/* Sums of small integers: exact in any order. */
static int right_read(const float *got, size_t n)
{
    const size_t items = n / 4 / EACH;
    for (size_t item = 0; item < items; item++) {
        float sum = 0.0f;
        for (size_t i = 0; i < EACH; i++)
            for (size_t k = 0; k < 4; k++) sum += (float)((4 * (i * items + item) + k) % 251);
        if (got[item] != sum) return 0;
    }
    return 1;
}

/* Times one command and looks at what it left in b, which held nothing of the kind before. */
static const char *rate(struct rates *r, const char *name, cl_kernel kernel, size_t items, double bytes,
                        int (*right)(const float *, size_t))
{
    const cl_float nan = 0.0f / 0.0f;
    double ms = 0.0;
    TRY(clEnqueueFillBuffer(r->queue, r->b, &nan, sizeof nan, 0, 16 * r->vectors, 0, NULL, NULL));
    const char *error = device_ms(r, kernel, items, &ms);
    if (error) return error;
    TRY(clEnqueueReadBuffer(r->queue, r->b, CL_TRUE, 0, 16 * r->vectors, r->host, 0, NULL, NULL));
    if (!right(r->host, 4 * r->vectors)) return sentence("%s: the result is wrong", name);
    if (ms > 0.0) printf("%s,%.2f,GB/s\n", name, bytes / ms * 1e-6);
    return NULL;
}

static const char *bandwidths(struct rates *r)
{
    const cl_int each = EACH;
    const cl_float three = 3.0f;
    const double bytes = 16.0 * (double)r->vectors;
    TRY(clSetKernelArg(r->copy, 0, sizeof r->b, &r->b));
    TRY(clSetKernelArg(r->copy, 1, sizeof r->a, &r->a));
    TRY(clSetKernelArg(r->write, 0, sizeof r->b, &r->b));
    TRY(clSetKernelArg(r->write, 1, sizeof three, &three));
    TRY(clSetKernelArg(r->read, 0, sizeof r->b, &r->b));
    TRY(clSetKernelArg(r->read, 1, sizeof r->a, &r->a));
    TRY(clSetKernelArg(r->read, 2, sizeof each, &each));
    const char *error = rate(r, "copy (read and written)", NULL, 0, 2.0 * bytes, right_copy);
    if (!error) error = rate(r, "copy by a kernel", r->copy, r->vectors, 2.0 * bytes, right_copy);
    if (!error) error = rate(r, "read", r->read, r->vectors / EACH, bytes, right_read);
    return error ? error : rate(r, "write", r->write, r->vectors, bytes, right_write);
}

static const char *rates(oclin_context *ctx, const char *path)
{
    struct rates r = {0};
    double gflops;
    (void)path;
    printf("what,value,unit\n");
    const char *error = make_rates(&r, ctx);
    if (!error) error = launches(&r);
    if (!error) error = bandwidths(&r);
    free_rates(&r);
    if (!error) error = fma_peak(ctx, &gflops);
    if (!error) printf("fused multiply-adds in registers,%.1f,GFLOP/s\n", gflops);
    return error;
}

/* ----------------------------------------------------------------------------------------- plans, kernels */

/* A GPU is never given the plans for CPUs. */
static const char *plans(oclin_context *ctx, const char *path)
{
    struct oclin_device_info d;
    (void)path;
    if (oclin_context_device(ctx, &d) != OCLIN_OK) return oclin_context_error(ctx);
    for (int i = 0; oclin_plan_name(i); i++)
        if (d.type == OCLIN_DEVICE_CPU || strncmp(oclin_plan_name(i), "simd", 4) != 0)
            puts(oclin_plan_name(i));
    return NULL;
}

/* The kernels that one operation launches: the linker sends oclin's launches through here, and each gets an
 * event. */
enum { MOST_LAUNCHES = 256, MOST_KERNELS = 8 };
static struct {
    cl_event event[MOST_LAUNCHES];
    char name[MOST_LAUNCHES][64];
    int count, listening;
} launched;

cl_int __real_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                     const size_t *offset, const size_t *items, const size_t *group,
                                     cl_uint waits, const cl_event *wait, cl_event *event);
cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                     const size_t *offset, const size_t *items, const size_t *group,
                                     cl_uint waits, const cl_event *wait, cl_event *event);
cl_int __wrap_clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                                     const size_t *offset, const size_t *items, const size_t *group,
                                     cl_uint waits, const cl_event *wait, cl_event *event)
{
    const int keep = launched.listening && !event && launched.count < MOST_LAUNCHES;
    if (keep) event = &launched.event[launched.count];
    const cl_int status =
        __real_clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, items, group, waits, wait, event);
    if (!keep || status != CL_SUCCESS) return status;
    char *name = launched.name[launched.count++];
    return clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof launched.name[0], name, NULL);
}

struct kernel_time {
    char name[64];
    int launches;
    double us[ROUNDS];
};

/* Adds the launches of a round to the times of their kernels. Returns how many kernels there are. */
static int add_launches(struct kernel_time *all, int count, int round)
{
    for (int i = 0; i < launched.count; i++) {
        cl_ulong start = 0, end = 0;
        int k = 0;
        clGetEventProfilingInfo(launched.event[i], CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
        clGetEventProfilingInfo(launched.event[i], CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
        clReleaseEvent(launched.event[i]);
        while (k < count && strcmp(all[k].name, launched.name[i]) != 0) k++;
        if (k == MOST_KERNELS) continue;
        if (k == count) {
            all[count++] = (struct kernel_time){.launches = 0};
            memcpy(all[k].name, launched.name[i], sizeof all[k].name);
        }
        all[k].launches += round == 0;
        all[k].us[round] += 1e-3 * (double)(end - start);
    }
    launched.count = 0;
    return count;
}

static const char *time_kernels(void *state, const struct problem *p, enum op op)
{
    struct kernel_time all[MOST_KERNELS];
    int count = 0;
    const char *error = check(&library_oclin, state, p, op);
    for (int round = 0; round < ROUNDS && !error; round++) {
        launched.listening = 1;
        error = library_oclin.enqueue(state, op, round % p->sets, 1e-7f);
        launched.listening = 0;
        if (!error) error = library_oclin.finish(state);
        if (!error) count = add_launches(all, count, round);
    }
    for (int i = 0; i < count && !error; i++)
        printf("%s,%lld,%lld,%lld,%s,%d,%.3f\n", op_name[op], (long long)p->shape.batch,
               (long long)p->shape.in, (long long)p->shape.out, all[i].name, all[i].launches,
               median(all[i].us, ROUNDS));
    fflush(stdout);
    return error;
}

static const char *time_shape(oclin_context *ctx, const struct shape *shape)
{
    static const enum op ops[] = {FORWARD, DW, DX, STEP, FUSED_STEP};
    struct problem p;
    void *state = NULL;
    if (!problem_make(&p, shape, (int64_t)128 << 20, 0)) return "no memory";
    const char *error = library_oclin.open(&state, &p, ctx);
    for (size_t i = 0; i < sizeof ops / sizeof *ops && !error; i++) error = time_kernels(state, &p, ops[i]);
    library_oclin.close(state);
    problem_free(&p);
    return error;
}

/* Around a queue of our own, since the context's does not profile. */
static const char *kernels(oclin_context *outer, const char *path)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    struct shape *shapes = NULL;
    oclin_context *ctx = NULL;
    cl_int error;
    const int count = path ? shapes_read(path, &shapes) : -1;
    if (count < 0) return "a file of shapes is needed";
    oclin_context_cl(outer, &options.cl_context_handle, &options.cl_device, NULL);
    options.cl_queue =
        clCreateCommandQueue(options.cl_context_handle, options.cl_device, CL_QUEUE_PROFILING_ENABLE, &error);
    TRY(error);
    const char *why = oclin_context_create(&ctx, &options) == OCLIN_OK ? NULL : "no context around a queue";
    printf("op,batch,in,out,kernel,launches,device_us\n");
    for (int i = 0; i < count && !why; i++) why = time_shape(ctx, &shapes[i]);
    oclin_context_destroy(ctx);
    clReleaseCommandQueue(options.cl_queue);
    free(shapes);
    return why;
}

/* ------------------------------------------------------------------------------------------------ running */

static char last_line[SENTENCE]; /* why no context could be made */

static void keep_line(void *user, const char *line)
{
    (void)user;
    snprintf(last_line, sizeof last_line, "%s", line);
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        const char *(*run)(oclin_context *ctx, const char *path);
        int needs_context;
    } all[] = {{"devices", devices, 0}, {"chosen", chosen, 1}, {"check", self_check, 1},
               {"rates", rates, 1},     {"plans", plans, 1},   {"kernels", kernels, 1}};
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx = NULL;
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (argc < 2 || argc > 3 || strcmp(argv[1], all[i].name) != 0) continue;
        const char *error = NULL;
        options.log = keep_line;
        if (all[i].needs_context && oclin_context_create(&ctx, &options) != OCLIN_OK) error = last_line;
        if (!error) error = all[i].run(ctx, argv[2]);
        if (error) fprintf(stderr, "probe %s: %s\n", argv[1], error);
        oclin_context_destroy(ctx);
        return error != NULL;
    }
    fprintf(stderr, "probe devices|chosen|check|rates|plans|kernels [SHAPES]\n");
    return 2;
}
