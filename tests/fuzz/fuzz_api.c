/*
 * A fuzzer of the whole API: the bytes of an input become a sequence of calls with more or less absurd
 * arguments, which the model judges. The first byte chooses the kernels; contexts stay for all inputs,
 * everything else is made anew, and at the end all of it must be gone. FUZZ_TRACE=1 tells each call and
 * its answer.
 */
#include "model.h"

#include <dlfcn.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_CALLS = 48, ARENA = 320, BUFFERS = 6, EVENTS = 4 };
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* ------------------------------------------------------------------------- the OpenCL objects that live */

static long live_buffers;

#define REAL(function, result, ...)                         \
    static result (*real)(__VA_ARGS__);                     \
    if (!real) {                                            \
        void *found = dlsym(RTLD_NEXT, function);           \
        memcpy((void *)&real, (void *)&found, sizeof real); \
    }

cl_mem clCreateBuffer(cl_context c, cl_mem_flags f, size_t s, void *p, cl_int *e)
{
    REAL("clCreateBuffer", cl_mem, cl_context, cl_mem_flags, size_t, void *, cl_int *)
    const cl_mem made = real(c, f, s, p, e);
    live_buffers += made != NULL;
    return made;
}

cl_mem clCreateSubBuffer(cl_mem b, cl_mem_flags f, cl_buffer_create_type t, const void *p, cl_int *e)
{
    REAL("clCreateSubBuffer", cl_mem, cl_mem, cl_mem_flags, cl_buffer_create_type, const void *, cl_int *)
    const cl_mem made = real(b, f, t, p, e);
    live_buffers += made != NULL;
    return made;
}

cl_int clRetainMemObject(cl_mem m)
{
    REAL("clRetainMemObject", cl_int, cl_mem)
    live_buffers++;
    return real(m);
}

cl_int clReleaseMemObject(cl_mem m)
{
    REAL("clReleaseMemObject", cl_int, cl_mem)
    live_buffers--;
    return real(m);
}

/* ------------------------------------------------------------------------------------- the input's bytes */

static const uint8_t *at, *end;

static unsigned byte(void)
{
    return at < end ? *at++ : 0;
}

static int one_in(unsigned n)
{
    return byte() % n == n - 1;
}

static const int64_t absurd[] = {0,
                                 -1,
                                 INT64_MIN,
                                 INT64_MAX,
                                 INT64_MAX - 3,
                                 (int64_t)1 << 62,
                                 (int64_t)1 << 61,
                                 ((int64_t)1 << 61) + 1,
                                 (int64_t)1 << 40,
                                 -((int64_t)1 << 32),
                                 INT64_MAX / 4,
                                 3037000500};

/* A size: nearly always a small one. */
static int64_t size(void)
{
    static const int64_t some[] = {17, 33, 8, 16, 4, 1, 32, 12};
    const unsigned b = byte();
    return b < 208 ? 1 + b % 9 : b < 248 ? some[b % COUNT_OF(some)] : absurd[byte() % COUNT_OF(absurd)];
}

static int64_t a_little_more(int64_t n)
{
    return n > INT64_MAX - 4 ? n : n + byte() % 4;
}

static float number(unsigned kind, uint32_t *seed)
{
    static const float special[] = {NAN,    INFINITY, -INFINITY, 1e-40f,  -0.0f, 3e38f,
                                    -3e38f, 0,        1e20f,     -1e-30f, 1,     88.8f};
    *seed = *seed * 1664525u + 1013904223u;
    const uint32_t r = *seed >> 8;
    if (kind < 170) return (float)(int)(r % 9) - 4;
    if (kind < 235) return (float)r / (1 << 23) - 1;
    if (kind < 245) return r % 8 ? (float)(int)(r % 9) - 4 : special[r / 8 % COUNT_OF(special)];
    return special[r % COUNT_OF(special)];
}

/* Dense elements for a tensor: integers most of the time; labels, sometimes out of range. */
static uint32_t *some_data(oclin_dtype dtype, int64_t n)
{
    uint32_t *bits = keep((size_t)n, sizeof *bits), seed = byte();
    const unsigned kind = byte();
    for (int64_t i = 0; i < n; i++) {
        const float f = number(kind, &seed);
        if (dtype == OCLIN_I32)
            bits[i] = kind < 245 ? (seed >> 9) % (kind < 128 ? 9 : 3) : seed;
        else
            memcpy(&bits[i], &f, sizeof f);
    }
    return bits;
}

/* ------------------------------------------------------------------------------------------ contexts */

/* Kernels to run; every second one inside handles that are the caller's own. */
static struct place {
    const char *plan;
    int verify, strict;
    oclin_context *ctx;
    cl_context cl;
    cl_device_id device;
    cl_command_queue queue;
    long grown;
} places[] = {{.plan = "plain"},
              {.plan = "simt-16"},
              {.plan = "simd-8", .strict = 1},
              {.plan = "plain", .verify = 1},
              {.plan = "simd-packed"},
              {.plan = "simd-narrow"},
              {.plan = NULL},
              {.plan = "simd-skinny"},
              {.plan = "simt-32"},
              {.plan = NULL, .verify = 1, .strict = 1}};
static struct place *place;

/* Somebody else's objects. */
static struct {
    oclin_context *ctx;
    cl_context cl;
    cl_command_queue queue;
    struct tensor tensor;
    struct saved saved;
    cl_mem buffer;
    cl_event event;
    int used; /* in this call */
} foreign;

static void hear(void *user, const char *line)
{
    struct place *p = user;
    if (strchr(line, '\n')) wrong("the log has a newline in '%s'", line);
    if (p && strstr(line, " grows ")) p->grown++;
}

static oclin_context *make_context(struct oclin_context_options o, struct place *p)
{
    oclin_context *ctx;
    o.cache_dir = "";
    o.log = hear;
    o.log_user = p;
    oclin_status status = oclin_context_create(&ctx, &o);
    if (status == OCLIN_E_DEVICE && o.plan) { /* the device's work-groups are too small for it */
        o.plan = "plain";
        status = oclin_context_create(&ctx, &o);
    }
    if (status != OCLIN_OK) wrong("there is no context for plan '%s'", o.plan ? o.plan : "");
    return ctx;
}

static void open_foreign(void)
{
    static const char *const ours[] = {"OCLIN_PLAN", "OCLIN_VERIFY", "OCLIN_STRICT", "OCLIN_CL_DIR"};
    for (size_t i = 0; i < COUNT_OF(ours); i++) unsetenv(ours[i]);
    const struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    foreign.ctx = make_context(o, NULL);
    oclin_context_cl(foreign.ctx, &foreign.cl, NULL, &foreign.queue);
    foreign.tensor =
        (struct tensor){.ctx = foreign.ctx, .rows = 3, .cols = 3, .stride = 3, .readable = 1, .writable = 1};
    foreign.saved.ctx = foreign.ctx;
    if (oclin_tensor_create(&foreign.tensor.handle, foreign.ctx, OCLIN_F32, 3, 3) ||
        oclin_saved_create(&foreign.saved.handle, foreign.ctx) ||
        oclin_context_mark(foreign.ctx, &foreign.event))
        wrong("no objects on another context");
    foreign.buffer = clCreateBuffer(foreign.cl, CL_MEM_READ_WRITE, 64, NULL, NULL);
}

static void open_place(struct place *p)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = p->plan;
    o.verify = p->verify;
    o.strict = p->strict;
    p->ctx = make_context(o, p);
    oclin_context_cl(p->ctx, &p->cl, &p->device, &p->queue);
    if ((p - places) % 2 == 0) return;
    o.cl_device = p->device;
    o.cl_context_handle = clCreateContext(NULL, 1, &p->device, NULL, NULL, NULL);
    o.cl_queue = clCreateCommandQueue(o.cl_context_handle, p->device, 0, NULL);
    oclin_context_destroy(p->ctx);
    p->ctx = make_context(o, p);
    p->cl = o.cl_context_handle;
    p->queue = o.cl_queue;
}

/* ------------------------------------------------------------------------------- tensors: making, picking */

static oclin_tensor *handle_of(const struct tensor *t)
{
    return t ? t->handle : NULL;
}

static oclin_context *context_of(const struct tensor *t)
{
    return t ? t->ctx : NULL;
}

/* What must hold for every handle that was made, or was not. */
static int judge_new(const char *what, oclin_context *of, unsigned refusals, oclin_status status,
                     const void *handle)
{
    const int made = judge(what, of, refusals, status);
    if (made != (handle != NULL)) wrong("%s: status %d and handle %p", what, (int)status, handle);
    return made;
}

static struct tensor *do_create(oclin_dtype dtype, int64_t rows, int64_t cols)
{
    oclin_tensor *h = (oclin_tensor *)&place;
    const oclin_status status = oclin_tensor_create(&h, world.ctx, dtype, rows, cols);
    if (!judge_new("create", world.ctx, refusals_create(dtype, rows, cols), status, h)) return NULL;
    return model_tensor(h, memory_of(oclin_tensor_cl_mem(h), rows * cols, 0), dtype, 0, rows, cols, cols);
}

static struct tensor *do_view(struct tensor *base, int64_t offset, int64_t rows, int64_t cols, int64_t stride)
{
    oclin_tensor *h = (oclin_tensor *)&place;
    const oclin_status status = oclin_tensor_view(&h, handle_of(base), offset, rows, cols, stride);
    if (!judge_new("view", context_of(base), refusals_view(base, offset, rows, cols, stride), status, h))
        return NULL;
    struct tensor *t = model_tensor(h, base->memory, base->dtype, base->first + offset, rows, cols, stride);
    t->readable = base->readable;
    t->writable = base->writable;
    t->host_readable = base->host_readable;
    t->host_writable = base->host_writable;
    return t;
}

static void do_write(struct tensor *t)
{
    const unsigned how = byte();
    const uint32_t *host = t && how != 255 ? some_data(t->dtype, t->rows * t->cols) : NULL;
    const unsigned no = !t || !host || !t->writable || !t->host_writable ? ARG : 0;
    cl_event event = NULL;
    const oclin_status status = how % 4
                                    ? oclin_tensor_write(handle_of(t), host)
                                    : oclin_tensor_write_async(handle_of(t), host, how % 8 ? &event : NULL);
    if (judge("write", context_of(t), no, status)) model_write(t, host);
    if (how % 4 == 0 && how % 8 && (event != NULL) != (no == 0))
        wrong("write_async: event %p", (void *)event);
    if (event) clReleaseEvent(event);
}

/* Buffers of the caller. */
static struct buffer {
    cl_mem mem, root;
    int64_t origin, count, whole; /* elements: in the root, here, in the root */
    cl_mem_flags flags;
    int misaligned;
} buffers[BUFFERS];
static size_t buffer_count;

static struct buffer *some_buffer(void)
{
    static const cl_mem_flags flags[] = {CL_MEM_READ_WRITE,      CL_MEM_READ_WRITE,    CL_MEM_READ_WRITE,
                                         CL_MEM_READ_ONLY,       CL_MEM_WRITE_ONLY,    CL_MEM_HOST_READ_ONLY,
                                         CL_MEM_HOST_WRITE_ONLY, CL_MEM_HOST_NO_ACCESS};
    const unsigned how = byte();
    if (buffer_count == BUFFERS || (buffer_count && how < 128)) return &buffers[how % buffer_count];
    struct buffer *b = &buffers[buffer_count], *parent = buffer_count ? &buffers[how % buffer_count] : NULL;
    cl_int error = CL_SUCCESS;
    if (parent && how > 200 && parent->flags == CL_MEM_READ_WRITE && parent->mem == parent->root) {
        const cl_buffer_region region = {128, 128 * 4};
        *b = (struct buffer){.root = parent->mem,
                             .origin = 32,
                             .count = 128,
                             .whole = parent->count,
                             .flags = how % 2 ? CL_MEM_READ_WRITE : CL_MEM_READ_ONLY,
                             .misaligned = parent->misaligned};
        b->mem = clCreateSubBuffer(parent->mem, b->flags, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    } else {
        const int by_host = how % 16 == 15, count = ARENA / 2;
        *b = (struct buffer){.count = count, .whole = count, .flags = flags[how % COUNT_OF(flags)]};
        if (by_host) b->flags = CL_MEM_READ_WRITE;
        const unsigned shift = !by_host ? 0 : one_in(16) ? 2 : 4; /* bytes */
        b->misaligned = shift % 4 != 0;
        char *host = keep((size_t)count + 4, 4);
        memcpy(host + shift, some_data(OCLIN_F32, count), (size_t)count * 4);
        b->mem = b->root =
            clCreateBuffer(place->cl, b->flags | (by_host ? CL_MEM_USE_HOST_PTR : CL_MEM_COPY_HOST_PTR),
                           (size_t)count * 4, host + shift, &error);
    }
    if (error) wrong("no buffer (OpenCL error %d)", (int)error);
    buffer_count++;
    return b;
}

static struct tensor *do_wrap(struct buffer *b, oclin_dtype dtype, int64_t offset, int64_t rows, int64_t cols,
                              int64_t stride)
{
    oclin_tensor *h = (oclin_tensor *)&place;
    const unsigned no =
        refusals_wrap(dtype, b->count, offset, rows, cols, stride) | (b->misaligned ? ARG : 0);
    const oclin_status status = oclin_tensor_wrap(&h, world.ctx, dtype, b->mem, offset, rows, cols, stride);
    if (!judge_new("wrap", world.ctx, no, status, h)) return NULL;
    struct tensor *t =
        model_tensor(h, memory_of(b->root, b->whole, 1), dtype, b->origin + offset, rows, cols, stride);
    t->readable = !(b->flags & CL_MEM_WRITE_ONLY);
    t->writable = !(b->flags & CL_MEM_READ_ONLY);
    t->host_readable = !(b->flags & (CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_NO_ACCESS));
    t->host_writable = !(b->flags & (CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS));
    return t;
}

static struct tensor *arena;

/* A tensor of this shape: by itself, in the arena that others are in, too, or in a buffer of the caller. */
static struct tensor *make(oclin_dtype dtype, int64_t rows, int64_t cols)
{
    const unsigned how = byte();
    const int64_t stride = cols < ARENA ? cols + how / 8 % 3 : cols;
    struct tensor *t = NULL;
    const int fits = rows >= 0 && rows <= 33 && cols >= 1 && cols <= 33 && rows * stride < ARENA;
    if (fits && how % 8 == 7) {
        struct buffer *b = some_buffer();
        t = do_wrap(b, dtype, byte() % 32, rows, cols, stride);
    } else if (fits && how % 8 >= 4 && dtype == OCLIN_F32) {
        if (!arena || !arena->handle) arena = do_create(OCLIN_F32, 1, ARENA);
        t = do_view(arena, byte() * ARENA / 256 % (ARENA - rows * stride), rows, cols, stride);
    } else {
        t = do_create(dtype, rows, cols);
    }
    if (t && how < 230) do_write(t);
    return t;
}

/* The n-th tensor, counted around, of those that still have a handle and this shape (ANY: any). */
static struct tensor *nth_tensor(unsigned n, int dtype, int64_t rows, int64_t cols)
{
    struct tensor *fit[64];
    unsigned count = 0;
    for (struct tensor *t = world.tensors; t && count < COUNT_OF(fit); t = t->next)
        if (t->handle && (dtype == ANY || (int)t->dtype == dtype) && (rows == ANY || t->rows == rows) &&
            (cols == ANY || t->cols == cols))
            fit[count++] = t;
    return count ? fit[n % count] : NULL;
}

/* An operand that should have this shape. */
static struct tensor *pick(oclin_dtype dtype, int64_t rows, int64_t cols)
{
    const unsigned how = byte();
    if (how > 253) return NULL;
    if (how > 251 && !foreign.used) {
        foreign.used = 1;
        return &foreign.tensor;
    }
    struct tensor *t = NULL;
    if (how > 246) t = nth_tensor(byte(), ANY, ANY, ANY);
    if (how < 130) t = nth_tensor(how, (int)dtype, rows, cols);
    if (rows == ANY) rows = one_in(16) ? 0 : 1 + byte() % 9;
    return t ? t : make(dtype, rows, cols);
}

/* Any tensor, seldom none. */
static struct tensor *any_tensor(void)
{
    const unsigned how = byte();
    struct tensor *t = how > 251 ? NULL : nth_tensor(how, ANY, ANY, ANY);
    return t || how > 251 ? t : make(how % 8 ? OCLIN_F32 : OCLIN_I32, how % 4, 1 + how % 5);
}

/* ----------------------------------------------------------------------------------------- tensor calls */

static oclin_dtype some_dtype(void)
{
    const unsigned b = byte();
    return b < 160 ? OCLIN_F32 : b < 250 ? OCLIN_I32 : (oclin_dtype)(b - 253);
}

static void call_create(void)
{
    const oclin_dtype dtype = some_dtype();
    const int64_t rows = size(), cols = size();
    struct tensor *t = do_create(dtype, rows, cols);
    if (t && byte() < 200) do_write(t);
}

static void call_view(void)
{
    struct tensor *base = any_tensor();
    if (byte() % 2) {
        const int64_t offset = one_in(16) ? size() : byte() % 24, rows = one_in(8) ? 0 : size(),
                      cols = size();
        const unsigned how = byte();
        do_view(base, offset, rows, cols,
                how < 100 && base ? base->stride
                : how < 230       ? a_little_more(cols)
                                  : size());
        return;
    }
    const int64_t first = one_in(16) ? size() : byte() % 4, count = one_in(8) ? 0 : size();
    oclin_tensor *h = (oclin_tensor *)&place;
    const int inside = base && first >= 0 && first <= base->rows && count >= 0 && count <= base->rows - first;
    const unsigned no = !base ? ARG : inside ? 0 : SHAPE;
    const oclin_status status = oclin_tensor_view_rows(&h, handle_of(base), first, count);
    if (!judge_new("view_rows", context_of(base), no, status, h)) return;
    struct tensor *t =
        model_tensor(h, base->memory, base->dtype, base->first + (count ? first * base->stride : 0), count,
                     base->cols, base->stride);
    t->readable = base->readable;
    t->writable = base->writable;
    t->host_readable = base->host_readable;
    t->host_writable = base->host_writable;
}

static void call_wrap(void)
{
    struct buffer *b = some_buffer();
    const oclin_dtype dtype = some_dtype();
    const int64_t offset = one_in(16) ? size() : byte() % 64, rows = one_in(8) ? 0 : size(), cols = size();
    do_wrap(b, dtype, offset, rows, cols, one_in(8) ? size() : a_little_more(cols));
}

static void call_destroy(void)
{
    struct tensor *t = nth_tensor(byte(), ANY, ANY, ANY);
    if (!t || t->borrowed) return;
    oclin_tensor_destroy(t->handle);
    t->handle = NULL;
}

static void call_write(void)
{
    do_write(any_tensor());
}

static void do_read(struct tensor *t, unsigned how)
{
    uint32_t *host = t && how != 255 ? keep((size_t)(t->rows * t->cols), 4) : NULL;
    const unsigned no = (!t || !host || !t->readable || !t->host_readable ? ARG : 0) | (t ? unknown(t) : 0);
    const int async = how % 4 == 0;
    cl_event event = NULL;
    const oclin_status status =
        async ? oclin_tensor_read_async(handle_of(t), host, &event) : oclin_tensor_read(handle_of(t), host);
    const int good = judge("read", context_of(t), no, status);
    if (async && (event != NULL) != good) wrong("read_async: event %p", (void *)event);
    if (event) clWaitForEvents(1, &event);
    if (event) clReleaseEvent(event);
    if (good) model_read(t, host);
}

static void call_read(void)
{
    struct tensor *t = any_tensor();
    do_read(t, byte());
}

static void call_fill(void)
{
    static const double values[] = {0,         1,          -3,           0.1,           NAN,   INFINITY,
                                    -INFINITY, 2147483647, 2147483648.0, -2147483648.0, 1e300, -0.0};
    struct tensor *t = any_tensor();
    const double value = values[byte() % COUNT_OF(values)];
    const int no_integer = !(value >= INT32_MIN && value <= INT32_MAX) || value != floor(value);
    const int is_int = t && t->dtype == OCLIN_I32;
    const unsigned no = !t || !t->writable || (is_int && no_integer) ? ARG : 0;
    if (!judge("fill", context_of(t), no, oclin_tensor_fill(handle_of(t), value))) return;
    const float f = (float)value;
    uint32_t bits;
    memcpy(&bits, &f, sizeof bits);
    model_fill(t, is_int ? (uint32_t)(int32_t)value : bits);
}

/* A write past the library, in front of oclin_tensor_touch(). */
static void write_past(const struct tensor *t, cl_mem mem, const uint32_t *bits)
{
    for (int64_t r = 0; r < t->rows; r++)
        if (clEnqueueWriteBuffer(place->queue, mem, CL_TRUE, (size_t)(t->first + r * t->stride) * 4,
                                 (size_t)t->cols * 4, bits + r * t->cols, 0, NULL, NULL))
            wrong("a buffer cannot be written");
}

static void call_touch(void)
{
    struct tensor *t = any_tensor();
    const unsigned how = byte();
    const int past =
        t && t->rows > 0 && how % 4 && t->memory && t->writable && t->host_writable && t->host_readable;
    const uint32_t *bits = past ? some_data(t->dtype, t->rows * t->cols) : NULL;
    if (t && how % 8 < 6) oclin_tensor_cl_mem(t->handle); /* puts zeros that are only marked there */
    if (past) write_past(t, t->memory->mem, bits);
    if (!judge("touch", context_of(t), t ? 0 : ARG, oclin_tensor_touch(handle_of(t)))) return;
    if (past)
        model_write(t, bits);
    else
        model_touch(t); /* without rows as well: what is said to be written counts */
}

/* ------------------------------------------------------------------------------------------ layer calls */

/* Bytes of an option struct that may be of another version: shorter, longer with or without something in
 * its tail, garbage. What the library must understand of it goes to *effective, which holds the defaults. */
static const void *odd_size(const void *options, size_t known, void *effective)
{
    const unsigned how = byte();
    unsigned char *copy = keep(8192, 1);
    size_t size = known;
    if (how >= 250) size = known + (size_t)(how - 249) * 8;
    if (how >= 246 && how < 250) size = how % 2 ? how % 4 : SIZE_MAX / (how - 245);
    if (how >= 236 && how < 246) size = 8 + (how - 236) * 4;
    memcpy(copy, options, known);
    memcpy(copy, &size, sizeof size);
    if (how == 255) copy[size - 1] = 1;
    memcpy(effective, copy, size < known ? size : known);
    return copy;
}

static struct layer *do_layer(int64_t in, int64_t out, int odd)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT, effective = o;
    o.bias = byte() % 4 != 0;
    o.activation = (oclin_activation)(byte() % 5);
    o.init = (oclin_init)(byte() % 3);
    o.gradient = (oclin_gradient)one_in(4);
    o.seed = byte();
    if (odd && one_in(24)) o.bias = (int)byte() - 128;
    if (odd && one_in(24)) o.activation = (oclin_activation)((int)byte() - 128);
    if (odd && one_in(24)) o.init = (oclin_init)((int)byte() - 128);
    if (odd && one_in(24)) o.gradient = (oclin_gradient)((int)byte() - 128);
    struct tensor *given[4] = {NULL, NULL, NULL, NULL};
    if (in > 0 && in < 64 && out > 0 && out < 64) {
        if (one_in(3)) given[0] = pick(OCLIN_F32, out, in);
        if (one_in(3) && (o.bias || one_in(16))) given[1] = pick(OCLIN_F32, 1, out);
        if (one_in(2)) given[2] = pick(OCLIN_F32, out, in);
        if (one_in(3) && (o.bias || one_in(16))) given[3] = pick(OCLIN_F32, 1, out);
    }
    o.w = handle_of(given[0]);
    o.b = handle_of(given[1]);
    o.dw = handle_of(given[2]);
    o.db = handle_of(given[3]);
    const void *options = odd ? odd_size(&o, sizeof o, &effective) : memcpy(&effective, &o, sizeof o);
    if (!effective.w) given[0] = NULL;
    if (!effective.b) given[1] = NULL;
    if (!effective.dw) given[2] = NULL;
    if (!effective.db) given[3] = NULL;
    oclin_layer *h = (oclin_layer *)&place;
    const unsigned no = refusals_options(options, sizeof o) | refusals_layer(in, out, &effective, given);
    const oclin_status status = oclin_layer_create(&h, world.ctx, in, out, options);
    return judge_new("layer", world.ctx, no, status, h) ? model_layer(h, in, out, &effective, given) : NULL;
}

static struct layer *last_layer;

static struct layer *pick_layer(void)
{
    struct layer *fit[16];
    unsigned count = 0, how = byte();
    for (struct layer *l = world.layers; l && count < COUNT_OF(fit); l = l->next)
        if (l->handle) fit[count++] = l;
    if (how > 253) return NULL;
    if (how < 128 && last_layer && last_layer->handle) return last_layer;
    return last_layer = count ? fit[how % count] : do_layer(1 + how % 9, 1 + how / 9 % 9, 0);
}

static struct saved *pick_saved(void)
{
    struct saved *fit[16];
    unsigned count = 0, how = byte();
    for (struct saved *s = world.saved; s && count < COUNT_OF(fit); s = s->next)
        if (s->handle) fit[count++] = s;
    if (how > 253) return NULL;
    if (how > 251) return &foreign.saved;
    if (count && how < 220) return fit[how % count];
    oclin_saved *h = NULL;
    const oclin_status status = oclin_saved_create(&h, world.ctx);
    return judge_new("saved", world.ctx, 0, status, h) ? model_saved(h) : NULL;
}

static float some_lr(void)
{
    static const float rates[] = {0.5f,  1,   0,        0.01f, 2,         0.25f, -0.0f,
                                  1e-3f, NAN, INFINITY, -1,    -INFINITY, 1e30f};
    const unsigned how = byte();
    return rates[how < 224 ? how % 8 : how % COUNT_OF(rates)];
}

static oclin_layer *handle_of_layer(const struct layer *l)
{
    return l ? l->handle : NULL;
}

static oclin_context *context_of_layer(const struct layer *l)
{
    return l ? world.ctx : NULL;
}

static void call_layer(void)
{
    const int64_t in = size(), out = size();
    do_layer(in, out, 1);
}

static void call_forward(void)
{
    struct layer *l = pick_layer();
    const unsigned how = byte() % 8;
    struct tensor *x = pick(OCLIN_F32, ANY, l ? l->in : 2),
                  *y = pick(OCLIN_F32, x ? x->rows : 3, l ? l->out : 2);
    struct saved *s = how > 4 ? pick_saved() : l && how > 0 ? l->saved : NULL;
    unsigned no = refusals_forward(l, x, y);
    oclin_status status;
    if (how > 4) {
        if (!s || s->ctx != world.ctx) no |= ARG;
        status =
            oclin_layer_forward_saved(handle_of_layer(l), handle_of(x), handle_of(y), s ? s->handle : NULL);
    } else {
        status =
            (how ? oclin_layer_forward : oclin_layer_infer)(handle_of_layer(l), handle_of(x), handle_of(y));
    }
    if (judge(how > 4 ? "forward_saved" : how ? "forward" : "infer", context_of_layer(l), no, status))
        model_forward(l, x, y, s);
}

/* backward, backward_step or backward_x. */
static oclin_status do_backward(enum backward_kind kind, oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                float lr, const struct saved *s, int with_saved)
{
    oclin_saved *saved = s ? s->handle : NULL;
    switch (kind) {
    case STEP:
        return with_saved ? oclin_layer_backward_step_saved(l, dy, dx, lr, saved)
                          : oclin_layer_backward_step(l, dy, dx, lr);
    case X_ALONE:
        return with_saved ? oclin_layer_backward_x_saved(l, dy, dx, saved)
                          : oclin_layer_backward_x(l, dy, dx);
    default:
        return with_saved ? oclin_layer_backward_saved(l, dy, dx, saved) : oclin_layer_backward(l, dy, dx);
    }
}

static void backward(enum backward_kind kind)
{
    static const char *const names[] = {"backward", "backward_step", "backward_x"};
    struct layer *l = pick_layer();
    const unsigned how = byte() % 8;
    const float lr = kind == STEP ? some_lr() : 0;
    struct saved *s = how > 5 ? pick_saved() : l ? l->saved : NULL;
    const int known = s && l && s->layer == l;
    struct tensor *dy = pick(OCLIN_F32, known ? s->batch : 2, l ? l->out : 2),
                  *dx = how % 3 ? pick(OCLIN_F32, known ? s->batch : 2, l ? l->in : 2) : NULL;
    const unsigned no = refusals_backward(l, dy, dx, s, kind, lr);
    const oclin_status status =
        do_backward(kind, handle_of_layer(l), handle_of(dy), handle_of(dx), lr, s, how > 5);
    if (judge(names[kind], context_of_layer(l), no, status)) model_backward(l, dy, dx, s, kind, lr);
}

static void call_backward(void)
{
    backward(GRADIENTS);
}

static void call_backward_step(void)
{
    backward(STEP);
}

static void call_backward_x(void)
{
    backward(X_ALONE);
}

static void call_zero_grad(void)
{
    struct layer *l = pick_layer();
    if (judge("zero_grad", context_of_layer(l), l ? 0 : ARG, oclin_layer_zero_grad(handle_of_layer(l))))
        model_zero_grad(l);
}

static void call_step(void)
{
    struct layer *l = pick_layer();
    const float lr = some_lr();
    if (judge("step", context_of_layer(l), refusals_step(l, lr), oclin_layer_step(handle_of_layer(l), lr)))
        model_step(l, lr);
}

static void call_gradients(void)
{
    struct layer *l = pick_layer();
    oclin_tensor *dw = oclin_layer_dw(handle_of_layer(l)), *db = oclin_layer_db(handle_of_layer(l));
    if (!l ? dw || db : !dw || (db != NULL) != l->options.bias)
        wrong("gradients %p and %p", (void *)dw, (void *)db);
    if (l) model_gradients(l);
}

static void call_destroy_other(void)
{
    const unsigned how = byte();
    struct layer *l = how % 2 ? pick_layer() : NULL;
    struct saved *s = how % 2 ? NULL : pick_saved();
    if (l) {
        oclin_layer_destroy(l->handle);
        model_drop_layer(l);
    }
    if (s && s != &foreign.saved) {
        oclin_saved_destroy(s->handle);
        s->handle = s->inside = NULL;
    }
}

static void call_reserve(void)
{
    struct layer *l = pick_layer();
    const int64_t batch = size();
    const unsigned how = byte() % 7;
    int64_t bytes = -7;
    oclin_status status;
    switch (how) {
    case 0:
        status = oclin_layer_reserve(handle_of_layer(l), batch);
        break;
    case 1:
        status = oclin_layer_reserve_step(handle_of_layer(l), batch);
        break;
    case 2:
        status = oclin_layer_workspace(handle_of_layer(l), batch, &bytes);
        break;
    case 3:
        status = oclin_loss_reserve(world.ctx, batch);
        break;
    case 5:
        status = oclin_layer_reserve_infer(handle_of_layer(l), batch);
        break;
    case 6:
        status = oclin_layer_workspace_infer(handle_of_layer(l), batch, &bytes);
        break;
    default:
        status = oclin_loss_workspace(world.ctx, batch, &bytes);
    }
    const int no_layer = (how < 3 || how > 4) && !l;
    const unsigned no = no_layer ? ARG : batch < 0 ? SHAPE : 0;
    /* a batch that does not overflow may be too much for the device */
    const int may_be_much = !no && batch > 64 && status == OCLIN_E_SHAPE;
    const int good = judge("reserve", no_layer ? NULL : world.ctx, may_be_much ? SHAPE : no, status);
    if ((how == 2 || how == 4 || how == 6) && good != (bytes >= 0))
        wrong("a workspace of %lld bytes", (long long)bytes);
    if (good && how == 0) model_gradients(l);
}

/* --------------------------------------------------------------------------------------- losses, contexts */

static void call_loss(void)
{
    const unsigned how = byte();
    struct loss_call c = {.classes = how % 2, .options = OCLIN_LOSS_OPTIONS_INIT};
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    static const float scales[] = {1, 0.5f, 0, -2, 3, 1e-3f, NAN, INFINITY};
    o.reduction = (oclin_reduction)one_in(2);
    const unsigned scale = byte();
    o.scale = scales[scale < 224 ? scale % 6 : scale % 8];
    o.accumulate = one_in(3);
    if (one_in(32)) o.reduction = (oclin_reduction)((int)byte() - 128);
    if (one_in(32)) o.reserved = (int)byte();
    c.y = pick(OCLIN_F32, ANY, 1 + byte() % 9);
    const int64_t rows = c.y ? c.y->rows : 2, cols = c.y ? c.y->cols : 2;
    c.target = pick(c.classes ? OCLIN_I32 : OCLIN_F32, rows, c.classes ? 1 : cols);
    if (how & 2) c.loss = pick(OCLIN_F32, 1, 1);
    if (how & 4) c.dy = pick(OCLIN_F32, rows, cols);
    if (how & 8 && c.classes) c.correct = pick(OCLIN_I32, 1, 1);
    const void *options = how & 16   ? odd_size(&o, sizeof o, &c.options)
                          : how & 32 ? NULL
                                     : memcpy(&c.options, &o, sizeof o);
    oclin_context *of = c.y ? c.y->ctx : context_of(c.target);
    const oclin_status status =
        c.classes ? oclin_loss_cross_entropy(handle_of(c.y), handle_of(c.target), handle_of(c.loss),
                                             handle_of(c.dy), handle_of(c.correct), options)
                  : oclin_loss_mse(handle_of(c.y), handle_of(c.target), handle_of(c.loss), handle_of(c.dy),
                                   options);
    if (judge("loss", of, refusals_options(options, sizeof o) | refusals_loss(&c), status)) model_loss(&c);
}

static void call_order(void)
{
    cl_event events[EVENTS] = {NULL, NULL, NULL, NULL};
    const unsigned how = byte();
    unsigned no = 0;
    int n = how % (EVENTS + 1);
    for (int i = 0; i < n; i++) {
        const unsigned which = byte();
        if (which > 250 || (which > 245 && (events[i] = foreign.event)))
            no |= ARG;
        else if (judge("mark", world.ctx, 0, oclin_context_mark(world.ctx, &events[i])) && !events[i])
            wrong("mark gives no event");
    }
    const int given = n;
    if (how > 250) n = -n - 1;
    judge("wait_for", world.ctx, n < 0 ? ARG : no, oclin_context_wait_for(world.ctx, n, events));
    if (how > 100) judge("finish", world.ctx, 0, oclin_context_finish(world.ctx));
    for (int i = 0; i < given; i++)
        if (events[i] && events[i] != foreign.event) clReleaseEvent(events[i]);
}

/* Another context, which is dropped again, before or after a tensor of its own. */
static void call_context(void)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT, effective = o;
    const unsigned how = byte();
    unsigned no = 0;
    char text[64] = "as it was";
    o.ignore_environment = 1;
    o.cache_dir = "";
    o.cl_context_handle = place->cl;
    o.cl_device = place->device;
    o.cl_queue = place->queue;
    o.device_type = (oclin_device_type)(one_in(8) ? (int)byte() - 128 : 0);
    o.device_index = one_in(8) ? size() : 0;
    o.error_text = text;
    o.error_text_size = sizeof text;
    if (one_in(8)) o.plan = how % 2 ? "simt-8" : "PLAIN";
    if (how & 8) o.cl_queue = how & 16 ? foreign.queue : NULL;
    if (how & 32) o.cl_device = NULL;
    if ((how & 0xc0) == 0xc0) o.cl_context_handle = NULL;
    const void *options = odd_size(&o, sizeof o, &effective);
    const struct oclin_context_options *e = &effective;
    if ((int)e->device_type < 0 || (int)e->device_type > 3 || e->device_index < 0 || e->plan) no |= ARG;
    if (!e->cl_context_handle || !e->cl_device || e->cl_queue != place->queue) no |= ARG;
    no |= refusals_options(options, sizeof o);
    if (!e->cl_context_handle && !e->cl_device && !e->cl_queue)
        return; /* every device of the machine: others test that */
    oclin_context *ctx = (oclin_context *)&place;
    const oclin_status status = oclin_context_create(&ctx, options);
    if (e->error_text && (status == OCLIN_OK) != !text[0]) wrong("the reason is '%s'", text);
    if (!e->error_text && strcmp(text, "as it was") != 0) wrong("a text that was not asked for: '%s'", text);
    if (!judge_new("context", NULL, no, status, ctx)) return;
    oclin_tensor *t = NULL;
    float number = 3, back = 0;
    judge("create there", ctx, 0, oclin_tensor_create(&t, ctx, OCLIN_F32, 1, 1));
    if (how % 2) oclin_context_destroy(ctx);
    judge("write there", ctx, 0, oclin_tensor_write(t, &number));
    judge("read there", ctx, 0, oclin_tensor_read(t, &back));
    if (back != number) wrong("%g is read, %g was written", (double)back, (double)number);
    oclin_tensor_destroy(t);
    if (how % 2 == 0) oclin_context_destroy(ctx);
}

static void call_tune(void)
{
    static const double budgets[] = {NAN, 0, -1, INFINITY, 1};
    const double budget = budgets[byte() % COUNT_OF(budgets)];
    const int64_t in = size(), out = size(), batch = size();
    unsigned no = isfinite(budget) && budget > 0 ? 0 : ARG;
    if (in < 1 || out < 1 || batch < 1) no |= SHAPE;
    if (place->plan) no |= STATE;
    if (no) judge("tune", world.ctx, no | SHAPE, oclin_tune(world.ctx, in, out, batch, budget, NULL, NULL));
}

/* NULL where a handle or an address is needed; the call has a context to say so in, or not. */
static void call_null(void)
{
    oclin_context *const ctx = world.ctx;
    struct tensor *t = nth_tensor(byte(), ANY, ANY, ANY);
    struct layer *l = pick_layer();
    oclin_tensor *h = handle_of(t);
    const unsigned which = byte() % 24;
    const struct {
        oclin_context *of;
        oclin_status status;
    } answers[] = {
        {NULL, which == 0 ? oclin_context_create(NULL, NULL) : OCLIN_E_ARG},
        {NULL, which == 1 ? oclin_context_finish(NULL) : OCLIN_E_ARG},
        {NULL, which == 2 ? oclin_context_wait_for(NULL, 0, NULL) : OCLIN_E_ARG},
        {ctx, which == 3 ? oclin_context_wait_for(ctx, 1, NULL) : OCLIN_E_ARG},
        {ctx, which == 4 ? oclin_context_mark(ctx, NULL) : OCLIN_E_ARG},
        {ctx, which == 5 ? oclin_context_device(ctx, NULL) : OCLIN_E_ARG},
        {NULL, which == 6 ? oclin_context_cl(NULL, NULL, NULL, NULL) : OCLIN_E_ARG},
        {ctx, which == 7 ? oclin_tensor_create(NULL, ctx, OCLIN_F32, 1, 1) : OCLIN_E_ARG},
        {NULL, which == 8 ? oclin_tensor_create(&h, NULL, OCLIN_F32, 1, 1) : OCLIN_E_ARG},
        {h ? ctx : NULL, which == 9 ? oclin_tensor_view(NULL, h, 0, 1, 1, 1) : OCLIN_E_ARG},
        {NULL, which == 10 ? oclin_tensor_view_rows(NULL, NULL, 0, 0) : OCLIN_E_ARG},
        {ctx, which == 11 ? oclin_tensor_wrap(&h, ctx, OCLIN_F32, NULL, 0, 1, 1, 1) : OCLIN_E_ARG},
        {ctx, which == 12 ? oclin_tensor_wrap(&h, ctx, OCLIN_F32, foreign.buffer, 0, 1, 1, 1) : OCLIN_E_ARG},
        {NULL, which == 13 ? oclin_layer_create(NULL, NULL, 1, 1, NULL) : OCLIN_E_ARG},
        {ctx, which == 14 ? oclin_layer_create(NULL, ctx, 1, 1, NULL) : OCLIN_E_ARG},
        {ctx, which == 15 ? oclin_saved_create(NULL, ctx) : OCLIN_E_ARG},
        {ctx, which == 16 ? oclin_loss_workspace(ctx, 1, NULL) : OCLIN_E_ARG},
        {l ? ctx : NULL, which == 17 ? oclin_layer_workspace(handle_of_layer(l), 1, NULL) : OCLIN_E_ARG},
        {NULL, which == 18 ? oclin_self_check(NULL, NULL) : OCLIN_E_ARG},
        {NULL, which == 19 ? oclin_device_list(NULL, 1, NULL) : OCLIN_E_ARG},
        {NULL, which == 20 ? oclin_loss_reserve(NULL, 1) : OCLIN_E_ARG},
        {NULL, which == 21 ? oclin_tune(NULL, 1, 1, 1, 1, NULL, NULL) : OCLIN_E_ARG},
    };
    if (which < COUNT_OF(answers)) judge("NULL", answers[which].of, ARG, answers[which].status);
    oclin_context_destroy(NULL);
    oclin_tensor_destroy(NULL);
    oclin_layer_destroy(NULL);
    oclin_saved_destroy(NULL);
    if (oclin_layer_w(NULL) || oclin_layer_b(NULL) || oclin_layer_in(NULL) || oclin_layer_out(NULL) ||
        oclin_tensor_rows(NULL) || oclin_tensor_cl_mem(NULL))
        wrong("something is known of NULL");
    if (t && (oclin_tensor_rows(t->handle) != t->rows || oclin_tensor_cols(t->handle) != t->cols ||
              oclin_tensor_row_stride(t->handle) != t->stride || oclin_tensor_dtype(t->handle) != t->dtype))
        wrong("a tensor has another shape than it was made with");
}

/* ------------------------------------------------------------------------------------------------ one run */

static void (*const calls[])(void) = {
    call_create,    call_view,      call_wrap,     call_destroy,    call_write,         call_read,
    call_fill,      call_touch,     call_layer,    call_forward,    call_forward,       call_forward,
    call_forward,   call_backward,  call_backward, call_backward_x, call_backward_step, call_backward_step,
    call_zero_grad, call_zero_grad, call_step,     call_step,       call_gradients,     call_destroy_other,
    call_reserve,   call_loss,      call_loss,     call_loss,       call_order,         call_context,
    call_tune,      call_null,      call_read,     call_view,       call_destroy};

static void drop_tensors(unsigned every)
{
    unsigned n = 0;
    for (struct tensor *t = world.tensors; t; t = t->next)
        if (t->handle && !t->borrowed && n++ % every == 0) {
            oclin_tensor_destroy(t->handle);
            t->handle = NULL;
        }
}

/* Everything that is left, in an order that the input chooses. Tensors that survive the first are read. */
static void drop_all(unsigned how)
{
    if (how % 2) drop_tensors(2);
    for (unsigned kind = 0; kind < 2; kind++) {
        for (struct layer *l = world.layers; l && kind == how / 2 % 2; l = l->next)
            if (l->handle) {
                oclin_layer_destroy(l->handle);
                model_drop_layer(l);
            }
        for (struct saved *s = world.saved; s && kind != how / 2 % 2; s = s->next)
            oclin_saved_destroy(s->handle);
    }
    if (how % 2 == 0) drop_tensors(2);
    for (struct tensor *t = world.tensors; t; t = t->next)
        if (t->handle) do_read(t, 1);
    drop_tensors(1);
    for (size_t i = 0; i < buffer_count; i++) clReleaseMemObject(buffers[i].mem);
    buffer_count = 0;
}

/* PoCL's compiler takes the signals away with which libFuzzer notices a crash, and writes the input to a
 * file. */
static void keep_signals(void)
{
    static const int signals[] = {SIGABRT, SIGSEGV, SIGBUS, SIGILL};
    static struct sigaction before[COUNT_OF(signals)];
    for (size_t i = 0; i < COUNT_OF(signals); i++)
        sigaction(signals[i], foreign.ctx ? &before[i] : NULL, foreign.ctx ? NULL : &before[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t data_size)
{
    keep_signals();
    at = data;
    end = data + data_size;
    if (!foreign.ctx) open_foreign();
    const unsigned first = byte();
    place = &places[first % COUNT_OF(places)];
    if (!place->ctx) open_place(place);
    world_begin(place->ctx, place->queue, place->plan);
    arena = NULL;
    last_layer = NULL;
    const long buffers_before = live_buffers - (place->ctx->scratch != NULL);
    for (int n = 0; at < end && n < MOST_CALLS; n++) {
        foreign.used = 0;
        keep_signals();
        calls[byte() % COUNT_OF(calls)]();
        check_memories(0);
    }
    check_memories(1);
    drop_all(first / COUNT_OF(places));
    world_end();
    const long left = live_buffers - (place->ctx->scratch != NULL) - buffers_before;
    if (left || place->ctx->storages.root || place->ctx->references != 1)
        wrong("%ld buffers, %s storage and %lld references are left", left,
              place->ctx->storages.root ? "some" : "no", (long long)place->ctx->references - 1);
    return 0;
}
