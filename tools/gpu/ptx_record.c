/*
 * ptx_record SHAPES FOLDER: what oclin would launch on an H100, for bench/ptx.c to launch it there without
 * OpenCL. The context is one of this machine whose facts are replaced by those of an H100; the linker sends
 * its calls through here, and no kernel runs. FOLDER gets the kernels' texts, N.cl, and `record`:
 *
 *   kernel N NAME GROUP OPTIONS              for tools/gpu/ptx.py, which makes N.ptx
 *   shape BATCH IN OUT
 *   buffer ID BYTES ROLE                     of this shape; a role is x, w, b, y, dy, dx, dw, or - for scratch
 *   launch OP N GROUPS GROUP ARGUMENT...     b and a buffer's ID, or x and the argument's bytes
 */
#define _XOPEN_SOURCE 700 /* strdup, setenv */

#include "oclin_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_PROGRAMS = 256, MOST_BUFFERS = 64, MOST_ARGUMENTS = 48, ARGUMENT_BYTES = 64 };

static struct {
    cl_program program;
    char *text, *options;
} programs[MOST_PROGRAMS];
static struct {
    cl_kernel kernel;
    int group;
    char name[64];
} kernels[MOST_PROGRAMS]; /* a program has one */
static int program_count;
static struct {
    cl_mem mem;
    size_t bytes;
} buffers[MOST_BUFFERS];
static int buffer_count;
static struct {
    size_t size;
    unsigned char bytes[ARGUMENT_BYTES];
} arguments[MOST_ARGUMENTS]; /* of the kernel that is launched next */
static cl_uint argument_count;
static const char *op; /* what is recorded; NULL: nothing */
static FILE *record;

/* Declares what the linker calls instead, and the function itself. */
#define WRAP(type, name, parameters) \
    type __real_##name parameters;   \
    type __wrap_##name parameters;   \
    type __wrap_##name parameters

static int number_of(cl_program program)
{
    int i = program_count - 1;
    while (i > 0 && programs[i].program != program) i--;
    return i;
}

WRAP(cl_program, clCreateProgramWithSource,
     (cl_context context, cl_uint count, const char **texts, const size_t *lengths, cl_int *error))
{
    if (program_count == MOST_PROGRAMS) abort();
    programs[program_count].program = __real_clCreateProgramWithSource(context, count, texts, lengths, error);
    programs[program_count].text = calloc(1, 1);
    for (cl_uint i = 0; i < count; i++) {
        char *all = programs[program_count].text;
        const size_t old = strlen(all), more = lengths && lengths[i] ? lengths[i] : strlen(texts[i]);
        programs[program_count].text = all = realloc(all, old + more + 1);
        memcpy(all + old, texts[i], more);
        all[old + more] = 0;
    }
    return programs[program_count++].program;
}

WRAP(cl_int, clBuildProgram,
     (cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
      void(CL_CALLBACK *notify)(cl_program, void *), void *user))
{
    programs[number_of(program)].options = strdup(options);
    return __real_clBuildProgram(program, count, devices, options, notify, user);
}

WRAP(cl_kernel, clCreateKernel, (cl_program program, const char *name, cl_int *error))
{
    const int i = number_of(program);
    snprintf(kernels[i].name, sizeof kernels[i].name, "%s", name);
    return kernels[i].kernel = __real_clCreateKernel(program, name, error);
}

WRAP(cl_mem, clCreateBuffer,
     (cl_context context, cl_mem_flags flags, size_t bytes, void *host, cl_int *error))
{
    if (buffer_count == MOST_BUFFERS) abort();
    buffers[buffer_count].bytes = bytes;
    return buffers[buffer_count++].mem = __real_clCreateBuffer(context, flags, bytes, host, error);
}

WRAP(cl_int, clSetKernelArg, (cl_kernel kernel, cl_uint i, size_t size, const void *value))
{
    if (i >= MOST_ARGUMENTS || size > ARGUMENT_BYTES) abort();
    arguments[i].size = size;
    memcpy(arguments[i].bytes, value, size);
    argument_count = i + 1; /* they are set in order */
    return __real_clSetKernelArg(kernel, i, size, value);
}

static void write_argument(cl_uint i)
{
    for (int b = 0; b < buffer_count; b++)
        if (arguments[i].size == sizeof(cl_mem) &&
            memcmp(arguments[i].bytes, &buffers[b].mem, sizeof(cl_mem)) == 0) {
            fprintf(record, " b%d", b);
            return;
        }
    fprintf(record, " x");
    for (size_t k = 0; k < arguments[i].size; k++) fprintf(record, "%02x", arguments[i].bytes[k]);
}

WRAP(cl_int, clEnqueueNDRangeKernel,
     (cl_command_queue queue, cl_kernel kernel, cl_uint dimensions, const size_t *offset, const size_t *items,
      const size_t *group, cl_uint waits, const cl_event *wait, cl_event *event))
{
    int i = program_count - 1;
    while (i >= 0 && kernels[i].kernel != kernel) i--;
    if (!op || i < 0 || dimensions != 1 || event)
        return __real_clEnqueueNDRangeKernel(queue, kernel, dimensions, offset, items, group, waits, wait,
                                             event);
    kernels[i].group = (int)*group;
    fprintf(record, "launch %s %d %zu %zu", op, i, *items / *group, *group);
    for (cl_uint k = 0; k < argument_count; k++) write_argument(k);
    fprintf(record, "\n");
    return CL_SUCCESS;
}

static oclin_context *ctx;

static void check(oclin_status status)
{
    if (status == OCLIN_OK) return;
    fprintf(stderr, "ptx_record: %s\n", ctx ? oclin_context_error(ctx) : oclin_status_text(status));
    exit(1);
}

/* As the driver of an H100 describes it; tools/gpu/gpus.py has the same numbers. */
static void make_h100(struct oclin_device_facts *d)
{
    d->info.type = OCLIN_DEVICE_GPU;
    snprintf(d->info.vendor, sizeof d->info.vendor, "NVIDIA Corporation");
    d->info.compute_units = 132;
    d->info.local_bytes = 49152;
    d->info.max_work_group = d->max_items = 1024;
    d->info.vector_width = 1;
    d->wave = 32;
    d->sub_group = 0;
    d->cache = 50 << 20;
    d->prefetches = d->tickets = d->mixes_contexts = 0;
}

static void write_buffers(oclin_tensor *const *tensors, const char *const *roles, int count)
{
    for (int b = 0; b < buffer_count; b++) {
        const char *role = "-";
        for (int i = 0; i < count; i++)
            if (oclin_tensor_cl_mem(tensors[i]) == buffers[b].mem) role = roles[i];
        fprintf(record, "buffer %d %zu %s\n", b, buffers[b].bytes, role);
    }
}

static void record_shape(long long batch, long long in, long long out)
{
    oclin_layer *layer;
    oclin_tensor *x, *y, *dy, *dx;
    ctx = NULL;
    buffer_count = 0;
    check(oclin_context_create(&ctx, NULL));
    make_h100(&ctx->device);
    check(oclin_layer_create(&layer, ctx, in, out, NULL));
    check(oclin_tensor_create(&x, ctx, OCLIN_F32, batch, in));
    check(oclin_tensor_create(&y, ctx, OCLIN_F32, batch, out));
    check(oclin_tensor_create(&dy, ctx, OCLIN_F32, batch, out));
    check(oclin_tensor_create(&dx, ctx, OCLIN_F32, batch, in));
    check(oclin_tensor_fill(x, 0.0));
    check(oclin_tensor_fill(dy, 0.0));
    fprintf(record, "shape %lld %lld %lld\n", batch, in, out);
    op = "forward";
    check(oclin_layer_forward(layer, x, y));
    op = "dw";
    check(oclin_layer_backward(layer, dy, NULL));
    op = "dx";
    check(oclin_layer_backward_x(layer, dy, dx));
    op = NULL;
    oclin_tensor *const tensors[] = {x,  oclin_layer_w(layer), oclin_layer_b(layer), y, dy,
                                     dx, oclin_layer_dw(layer)};
    static const char *const roles[] = {"x", "w", "b", "y", "dy", "dx", "dw"};
    write_buffers(tensors, roles, 7);
    oclin_layer_destroy(layer);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(dy);
    oclin_tensor_destroy(dx);
    oclin_context_destroy(ctx);
}

static void write_kernels(const char *folder)
{
    char path[1024];
    for (int i = 0; i < program_count; i++) {
        if (!kernels[i].group) continue;
        snprintf(path, sizeof path, "%s/%d.cl", folder, i);
        FILE *file = fopen(path, "w");
        if (!file || fputs(programs[i].text, file) < 0 || fclose(file)) exit(1);
        fprintf(record, "kernel %d %s %d %s\n", i, kernels[i].name, kernels[i].group, programs[i].options);
    }
}

int main(int count, char **words)
{
    char path[1024], line[256];
    long long batch, in, out;
    if (count != 3) {
        fprintf(stderr, "ptx_record SHAPES FOLDER\n");
        return 2;
    }
    snprintf(path, sizeof path, "%s/record", words[2]);
    FILE *shapes = fopen(words[1], "r");
    record = fopen(path, "w");
    if (!shapes || !record) return 1;
    setenv("OCLIN_CACHE_DIR", "", 1); /* kernels from a cache have no text */
    while (fgets(line, sizeof line, shapes)) {
        const char *numbers = line + strcspn(line, "0123456789#");
        if (sscanf(numbers, "%lld,%lld,%lld", &batch, &in, &out) == 3) record_shape(batch, in, out);
    }
    write_kernels(words[2]);
    fclose(shapes);
    return fclose(record) != 0;
}
