/*
 * Beyond 2^31 and 2^32 elements: every operand of every kernel once in rows so far apart that the last begins
 * behind element 2^32, and once close together, behind it. An offset, stride or index of 32 bits, signed or
 * not, goes elsewhere.
 *
 * The arena is address space: of its 21 GB only the pages of the operands are ever touched, some MB. (It is
 * the host's memory, so this needs a device that works in it: a CPU.) PoCL's largest buffer is a part of the
 * memory that hwloc says there is; hwloc says what HWLOC_SYNTHETIC tells it, so main() tells it of enough.
 *
 * Only when asked for by a pattern that begins with huge/: more than 2^31 and 2^32 rows, results, terms and
 * work-items at once. They take minutes: scripts/large.sh.
 */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "oclin_internal.h"

#define TWO_32 ((int64_t)1 << 32)
/* A row begins at a multiple of STEP; what it belongs to begins at one of GAP. So operands never share
 * elements. */
#define STEP ((int64_t)1 << 20)
#define GAP ((int64_t)1 << 16)
#define ARENA (TWO_32 + ((int64_t)1 << 30))

static float *memory; /* ARENA of them, all 0 until written */

static void map_memory(void)
{
    memory = mmap(NULL, (size_t)ARENA * sizeof(float), PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) memory = NULL;
#ifdef MADV_NOHUGEPAGE
    if (memory) madvise(memory, (size_t)ARENA * sizeof(float), MADV_NOHUGEPAGE);
#endif
}

/* ------------------------------------------------------------------------------------------------- arenas */

/* What a test is about. All matrices have the same stride, which the one with the most rows determines. */
struct row {
    const char *plan;
    int64_t batch, out, in;
    int64_t
        local; /* bytes of local memory: little makes small tiles, and more blocks of k; 0: the device's */
    int apart;
};

/* A context of one plan with the arena as one tensor of floats. */
struct arena {
    oclin_context *ctx;
    cl_mem mem;
    cl_command_queue queue;
    int64_t stride; /* of rows far apart; 0: close together, and far behind the start */
    int pieces;
};

/* Skips the test where the device's buffers are too small, or not of the host's memory. */
static struct arena make_arena(const struct row *r)
{
    struct arena a = {.ctx = make_context(r->plan)};
    const int64_t most = r->batch > r->out ? r->batch : r->out;
    if (r->apart) a.stride = (TWO_32 / (most - 1) / STEP + 1) * STEP;
    if (r->local > 0) a.ctx->device.info.local_bytes = r->local;
    struct oclin_device_info info;
    cl_context context;
    cl_int error = CL_SUCCESS;
    assert_ok(a.ctx, oclin_context_device(a.ctx, &info));
    assert_ok(a.ctx, oclin_context_cl(a.ctx, &context, NULL, &a.queue));
    const int64_t bytes = ARENA * (int64_t)sizeof(float);
    if (memory && info.type == OCLIN_DEVICE_CPU && info.max_allocation >= bytes)
        a.mem =
            clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, (size_t)bytes, memory, &error);
    if (a.mem) return a;
    printf("skipped: the arena has %lld bytes, the largest buffer of %s %lld (OpenCL error %d, %s)\n",
           (long long)bytes, info.name, (long long)info.max_allocation, (int)error,
           memory ? "mapped" : "not mapped");
    oclin_context_destroy(a.ctx);
    skip();
    return a;
}

static void free_arena(struct arena *a)
{
    clReleaseMemObject(a->mem);
    oclin_context_destroy(a->ctx);
    madvise(memory, (size_t)ARENA * sizeof(float), MADV_DONTNEED); /* zeros again */
}

/* An operand in the arena, and what it holds or must hold. */
struct piece {
    oclin_tensor *t;
    int64_t offset, rows, cols, stride;
    float *host;
};

static size_t byte_of(const struct piece *p, int64_t row)
{
    return (size_t)(p->offset + row * p->stride) * sizeof(float);
}

/* rows x cols of `dtype`, of 4 bytes each, that hold host (NULL: zeros), written by the test itself. */
static struct piece place(struct arena *a, oclin_dtype dtype, int64_t rows, int64_t cols, const void *host)
{
    struct piece p = {.offset = ++a->pieces * GAP, .rows = rows, .cols = cols, .stride = cols};
    if (rows > 1) p.stride = a->stride ? a->stride : cols + 4;
    if (p.stride != a->stride) p.offset += TWO_32;
    assert_ok(a->ctx, oclin_tensor_wrap(&p.t, a->ctx, dtype, a->mem, p.offset, rows, cols, p.stride));
    p.host = new_array(float, rows *cols);
    if (host) memcpy(p.host, host, (size_t)(rows * cols) * sizeof(float));
    for (int64_t r = 0; r < rows; r++)
        assert_int_equal(clEnqueueWriteBuffer(a->queue, a->mem, CL_TRUE, byte_of(&p, r),
                                              (size_t)cols * sizeof(float), p.host + r * cols, 0, NULL, NULL),
                         CL_SUCCESS);
    assert_ok(a->ctx, oclin_tensor_touch(p.t));
    return p;
}

/* That it holds p->host now, as the test reads it, and as oclin does. */
static void check_piece(struct arena *a, const char *name, const struct piece *p)
{
    float *got = new_array(float, p->rows * p->cols), *read = new_array(float, p->rows * p->cols);
    for (int64_t r = 0; r < p->rows; r++)
        assert_int_equal(clEnqueueReadBuffer(a->queue, a->mem, CL_TRUE, byte_of(p, r),
                                             (size_t)p->cols * sizeof(float), got + r * p->cols, 0, NULL,
                                             NULL),
                         CL_SUCCESS);
    check_same_bits(name, got, p->host, p->rows * p->cols);
    assert_ok(a->ctx, oclin_tensor_read(p->t, read));
    check_same_bits(name, read, p->host, p->rows * p->cols);
    free(got);
    free(read);
}

static void drop(struct piece *pieces, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        oclin_tensor_destroy(pieces[i].t);
        free(pieces[i].host);
    }
}

/* Small integers, different in each row and column. */
static float *numbers(int64_t rows, int64_t cols, int step)
{
    float *all = new_array(float, rows *cols);
    for (int64_t i = 0; i < rows * cols; i++) all[i] = (float)((i / cols * step + i % cols * 5) % 7 - 3);
    return all;
}

/* ------------------------------------------------------------------------------------------------- layers */

enum { X, W, B, Y, DY, DX, DW, DB, PIECES };
static const char *const piece_names[PIECES] = {"x", "w", "b", "y", "dy", "dx", "dw", "db"};

/* What forward with ReLU, and backward, must leave: sums of small integers. */
static void expect_layer(const struct row *r, struct piece *p)
{
    const int64_t in = r->in;
    for (int64_t i = 0; i < r->batch * r->out; i++) {
        const int64_t sample = i / r->out, out = i % r->out;
        float sum = p[B].host[out];
        for (int64_t k = 0; k < in; k++) sum += p[X].host[sample * in + k] * p[W].host[out * in + k];
        p[Y].host[i] = sum > 0.0f ? sum : 0.0f;
        const float dz = sum > 0.0f ? p[DY].host[i] : 0.0f;
        p[DB].host[out] += dz;
        for (int64_t k = 0; k < in; k++) {
            p[DX].host[sample * in + k] += dz * p[W].host[out * in + k];
            p[DW].host[out * in + k] += dz * p[X].host[sample * in + k];
        }
    }
}

static void place_layer(struct arena *a, const struct row *r, struct piece *p)
{
    const int64_t cols[PIECES] = {r->in, r->in, r->out, r->out, r->out, r->in, r->in, r->out};
    for (int i = 0; i < PIECES; i++) {
        const int64_t rows = i == B || i == DB ? 1 : i == W || i == DW ? r->out : r->batch;
        const int given = i == X || i == W || i == B || i == DY;
        float *host = given ? numbers(rows, cols[i], i + 2) : NULL;
        p[i] = place(a, OCLIN_F32, rows, cols[i], host);
        free(host);
    }
}

/* forward, backward twice (the second is added), step, backward_step. */
static void test_layer(void **state)
{
    const struct row *r = *state;
    struct arena a = make_arena(r);
    struct piece p[PIECES];
    place_layer(&a, r, p);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = OCLIN_RELU;
    options.w = p[W].t;
    options.b = p[B].t;
    options.dw = p[DW].t;
    options.db = p[DB].t;
    oclin_layer *l;
    assert_ok(a.ctx, oclin_layer_create(&l, a.ctx, r->in, r->out, &options));
    expect_layer(r, p);
    assert_ok(a.ctx, oclin_layer_forward(l, p[X].t, p[Y].t));
    check_piece(&a, "y", &p[Y]);
    assert_ok(a.ctx, oclin_layer_backward(l, p[DY].t, p[DX].t));
    for (int i = DX; i < PIECES; i++) check_piece(&a, piece_names[i], &p[i]);
    assert_ok(a.ctx, oclin_layer_backward(l, p[DY].t, NULL));
    for (int64_t i = 0; i < r->out * r->in; i++) p[DW].host[i] *= 2.0f;
    for (int64_t i = 0; i < r->out; i++) p[DB].host[i] *= 2.0f;
    for (int i = DW; i < PIECES; i++) check_piece(&a, piece_names[i], &p[i]);

    for (int step = 0; step < 2; step++) { /* 1/4 of twice the gradient, then 1/2 of it in the fused form */
        for (int64_t i = 0; i < r->out * r->in; i++) p[W].host[i] -= 0.25f * p[DW].host[i];
        for (int64_t i = 0; i < r->out; i++) p[B].host[i] -= 0.25f * p[DB].host[i];
        if (step == 0)
            assert_ok(a.ctx, oclin_layer_step(l, 0.25f));
        else
            assert_ok(a.ctx, oclin_layer_backward_step(l, p[DY].t, NULL, 0.5f));
        assert_ok(a.ctx, oclin_layer_zero_grad(l));
        check_piece(&a, "w", &p[W]);
        check_piece(&a, "b", &p[B]);
    }
    oclin_layer_destroy(l);
    for (int i = 0; i < PIECES; i++)
        if (i <= B || i == DY) check_piece(&a, piece_names[i], &p[i]); /* nothing else was written */
    drop(p, PIECES);
    free_arena(&a);
}

/* Z, which GELU keeps, is memory of the library's own, dense: here it is put into the saved state. */
static void test_kept_z(void **state)
{
    const struct row *r = *state;
    struct arena a = make_arena(r);
    struct piece p[PIECES];
    place_layer(&a, r, p);
    struct piece z = place(&a, OCLIN_F32, r->batch, r->out, NULL);
    for (int64_t i = 0; i < r->batch * r->out; i++) {
        z.host[i] = p[B].host[i % r->out];
        for (int64_t k = 0; k < r->in; k++)
            z.host[i] += p[X].host[i / r->out * r->in + k] * p[W].host[i % r->out * r->in + k];
    }
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = OCLIN_GELU;
    options.w = p[W].t;
    options.b = p[B].t;
    oclin_layer *l;
    oclin_saved *saved;
    assert_ok(a.ctx, oclin_layer_create(&l, a.ctx, r->in, r->out, &options));
    assert_ok(a.ctx, oclin_saved_create(&saved, a.ctx));
    saved->z = z.t; /* which takes over the test's hold on it */
    assert_ok(a.ctx, oclin_layer_forward_saved(l, p[X].t, p[Y].t, saved));
    assert_ptr_equal(saved->z, z.t);
    check_piece(&a, "z", &z);
    oclin_layer_destroy(l);
    oclin_saved_destroy(saved);
    free(z.host);
    drop(p, PIECES);
    free_arena(&a);
}

/* ------------------------------------------------------------------------------------- losses and tensors */

enum { ROWS = 2, COLS = 3 }; /* one row further is beyond 2^32 already: the stride itself, too */

static void test_losses(void **state)
{
    const struct row *r = *state;
    struct arena a = make_arena(r);
    const float one = 1.0f;
    const int32_t ten = 10;
    float scores[ROWS * COLS] = {0}, *y = numbers(ROWS, COLS, 3), *t = numbers(ROWS, COLS, 2);
    int32_t labels[ROWS];
    struct piece p[] = {place(&a, OCLIN_F32, ROWS, COLS, y), place(&a, OCLIN_F32, ROWS, COLS, t),
                        place(&a, OCLIN_F32, ROWS, COLS, NULL), place(&a, OCLIN_F32, 1, 1, NULL)};
    for (int i = 0; i < ROWS; i++) { /* so far above the others that p is 1 there, and 0 elsewhere */
        labels[i] = COLS - 1 - i;    /* not 0, which untouched memory holds */
        scores[i * COLS + labels[i]] = 1000.0f;
    }
    struct piece s = place(&a, OCLIN_F32, ROWS, COLS, scores), l = place(&a, OCLIN_I32, ROWS, 1, labels),
                 correct = place(&a, OCLIN_I32, 1, 1, &ten), dy = place(&a, OCLIN_F32, ROWS, COLS, y),
                 loss = place(&a, OCLIN_F32, 1, 1, &one);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.reduction = OCLIN_SUM;
    for (int i = 0; i < ROWS * COLS; i++) {
        p[2].host[i] = 2.0f * (y[i] - t[i]);
        p[3].host[0] += (y[i] - t[i]) * (y[i] - t[i]);
    }
    assert_ok(a.ctx, oclin_loss_mse(p[0].t, p[1].t, p[3].t, p[2].t, &options));
    check_piece(&a, "dy of mse", &p[2]);
    check_piece(&a, "mse", &p[3]);

    options.accumulate = 1;
    const int32_t all = ten + ROWS;
    memcpy(correct.host, &all, sizeof all);
    memset(dy.host, 0, sizeof scores);
    assert_ok(a.ctx, oclin_loss_cross_entropy(s.t, l.t, loss.t, dy.t, correct.t, &options));
    check_piece(&a, "dy of cross-entropy", &dy);
    check_piece(&a, "cross-entropy, added to 1", &loss);
    check_piece(&a, "correct", &correct);
    drop(p, COUNT_OF(p));
    drop((struct piece[]){s, l, correct, dy, loss}, 5);
    free(y);
    free(t);
    free_arena(&a);
}

/* A verified loss reads all its operands; y, which the host may not read, through a copy. */
static void test_verified(void **state)
{
    const struct row *r = *state;
    struct arena a = make_arena(r);
    a.ctx->verify = 1;
    float *y = numbers(ROWS, COLS, 3), *t = numbers(ROWS, COLS, 2);
    struct piece p[] = {place(&a, OCLIN_F32, ROWS, COLS, y), place(&a, OCLIN_F32, ROWS, COLS, t),
                        place(&a, OCLIN_F32, ROWS, COLS, NULL), place(&a, OCLIN_F32, 1, 1, NULL)};
    cl_context context;
    cl_int error;
    oclin_tensor *hidden;
    assert_ok(a.ctx, oclin_context_cl(a.ctx, &context, NULL, NULL));
    cl_mem mem = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_HOST_NO_ACCESS | CL_MEM_USE_HOST_PTR,
                                (size_t)ARENA * sizeof(float), memory, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(a.ctx, oclin_tensor_wrap(&hidden, a.ctx, OCLIN_F32, mem, p[0].offset, ROWS, COLS, p[0].stride));
    assert_ok(a.ctx, oclin_loss_mse(hidden, p[1].t, p[3].t, p[2].t, NULL));
    assert_ok(a.ctx, oclin_loss_mse(p[0].t, p[1].t, p[3].t, p[2].t, NULL));
    oclin_tensor_destroy(hidden);
    clReleaseMemObject(mem);
    drop(p, COUNT_OF(p));
    free(y);
    free(t);
    free_arena(&a);
}

/* dst, src and indices each behind 2^32, or with the second row there. */
static void test_arrays(void **state)
{
    const struct row *r = *state;
    struct arena a = make_arena(r);
    float *y = numbers(ROWS, COLS, 3), *t = numbers(ROWS, COLS, 2);
    const int32_t turned[ROWS] = {1, 0};
    struct piece dst = place(&a, OCLIN_F32, ROWS, COLS, y), src = place(&a, OCLIN_F32, ROWS, COLS, t),
                 copy = place(&a, OCLIN_F32, ROWS, COLS, NULL), rows = place(&a, OCLIN_F32, ROWS, COLS, NULL),
                 indices = place(&a, OCLIN_I32, ROWS, 1, turned);
    for (int i = 0; i < ROWS * COLS; i++) {
        dst.host[i] += 2.0f * t[i];
        copy.host[i] = t[i];
        rows.host[i] = t[turned[i / COLS] * COLS + i % COLS];
    }
    assert_ok(a.ctx, oclin_tensor_add(dst.t, src.t, 2.0f));
    assert_ok(a.ctx, oclin_tensor_copy(copy.t, src.t));
    assert_ok(a.ctx, oclin_tensor_gather_rows(rows.t, src.t, indices.t));
    check_piece(&a, "added to", &dst);
    check_piece(&a, "copied", &copy);
    check_piece(&a, "gathered", &rows);
    check_piece(&a, "src", &src);
    drop((struct piece[]){dst, src, copy, rows, indices}, 5);
    free(y);
    free(t);
    free_arena(&a);
}

/* Write, fill, a view of a view, and asynchronous copies. */
static void test_tensors(void **state)
{
    const struct row *r = *state;
    struct arena a = make_arena(r);
    struct piece p = place(&a, OCLIN_F32, ROWS, COLS, NULL);
    float *host = numbers(ROWS, COLS, 4), got[COLS];
    assert_ok(a.ctx, oclin_tensor_write(p.t, host));
    memcpy(p.host, host, ROWS * COLS * sizeof *host);
    check_piece(&a, "written", &p);

    oclin_tensor *rows, *last, *whole, *flat;
    assert_ok(a.ctx, oclin_tensor_view_rows(&rows, p.t, 1, ROWS - 1));
    assert_ok(a.ctx, oclin_tensor_view(&last, rows, (ROWS - 2) * p.stride, 1, COLS, COLS));
    assert_ok(a.ctx, oclin_tensor_read(last, got));
    check_same_bits("the last row, by views", got, p.host + (ROWS - 1) * COLS, COLS);
    assert_true(oclin_tensor_offset(last) == p.offset + (ROWS - 1) * p.stride);
    assert_ok(a.ctx, oclin_tensor_wrap(&whole, a.ctx, OCLIN_F32, a.mem, 0, 1, ARENA, ARENA));
    assert_ok(a.ctx, oclin_tensor_view(&flat, whole, p.offset + (ROWS - 1) * p.stride, 1, COLS, COLS));
    assert_ok(a.ctx, oclin_tensor_fill(flat, 7.0));
    for (int i = 0; i < COLS; i++) p.host[(ROWS - 1) * COLS + i] = 7.0f;
    check_piece(&a, "the last row filled", &p);

    for (int i = 0; i < ROWS * COLS; i++) p.host[i] = host[i] = -1.5f;
    assert_ok(a.ctx, oclin_tensor_fill(p.t, -1.5));
    check_piece(&a, "filled", &p);
    for (int i = 0; i < ROWS * COLS; i++) p.host[i] = host[i] = (float)i;
    assert_ok(a.ctx, oclin_tensor_write_async(p.t, host, NULL));
    assert_ok(a.ctx, oclin_context_finish(a.ctx));
    check_piece(&a, "written asynchronously", &p);
    oclin_tensor *const views[] = {rows, last, whole, flat};
    for (size_t i = 0; i < COUNT_OF(views); i++) oclin_tensor_destroy(views[i]);
    drop(&p, 1);
    free(host);
    free_arena(&a);
}

/* -------------------------------------------------------------------------------------------------- plans */

static int64_t parts_of(int64_t whole, int64_t part)
{
    return (whole + part - 1) / part;
}

/* Launches that are too large for the suite are at least planned: every result has a work-item or a block. */
static void check_plan(oclin_context *ctx, enum oclin_kernel_id id, int64_t m, int64_t n, int64_t k)
{
    struct oclin_product p = {.id = id, .m = m, .n = n, .k = k};
    struct oclin_plan plan;
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    const struct oclin_tile *t = &plan.tile;
    int64_t needed = 1;
    if (t->family == OCLIN_PLAIN)
        needed = parts_of(m * n, t->group);
    else if (t->family == OCLIN_SIMT)
        needed = parts_of(m, t->tile_m) * parts_of(n, t->tile_n);
    else
        needed = parts_of(m, plan.block_m) * parts_of(n, plan.block_n);
    if (t->tickets ? needed > INT32_MAX : plan.groups < needed)
        fail_msg("%lld x %lld x %lld: %lld groups, queue %d, %lld are needed", (long long)m, (long long)n,
                 (long long)k, (long long)plan.groups, t->tickets, (long long)needed);
}

static void test_plans(void **state)
{
    const struct row *r = *state;
    oclin_context *ctx = make_context(r->plan);
    static const int64_t shapes[][3] = {{((int64_t)1 << 31) + 5, 1, 1},
                                        {((int64_t)1 << 33) + 5, 3, 2},
                                        {47000, 47000, 1},
                                        {70000, 70000, 1},
                                        {1, ((int64_t)1 << 33) + 1, 1},
                                        {1, 3, (int64_t)1 << 33},
                                        {1 << 20, 1 << 20, 1 << 20}};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        struct oclin_plan plan;
        const int64_t m = shapes[i][0], n = shapes[i][1], k = shapes[i][2];
        check_plan(ctx, OCLIN_KERNEL_FORWARD, m, n, k);
        check_plan(ctx, OCLIN_KERNEL_GRAD_X, m, n, k);
        check_plan(ctx, OCLIN_KERNEL_GRAD_W, m, n, k);
        struct oclin_elements elements;
        oclin_elements_plan(ctx, m, n, 1, OCLIN_LARGEST_GROUP, &elements);
        assert_true(elements.groups * elements.tile.group >= m * parts_of(n, elements.tile.item_n));
        oclin_plan_rows(ctx, m, n, OCLIN_LARGEST_GROUP, &plan);
        assert_true(plan.groups > 0 && plan.groups <= m);
    }
    oclin_context_destroy(ctx);
}

/* ---------------------------------------------------------------------------------------------- huge/... */

/*
 * A tensor of more than 2^31 elements that takes 140 MB. All of it is written, and read: so its front is one
 * CHUNK of memory, mapped again and again, and only from the last CHUNK before 2^31 or 2^32 on has it memory
 * of its own. What is looked at is that tail.
 */
enum { CHUNK = 1 << 24 };

struct huge {
    float *memory;
    int64_t count, tail; /* elements; the first of the tail */
    cl_mem mem;
    oclin_tensor *t;
};

struct huge_row {
    const char *plan;
    int64_t beyond; /* 2^31 or 2^32 */
};

static float *map_chunks(int64_t count, int64_t tail)
{
    const size_t chunk = CHUNK * sizeof(float), bytes = ((size_t)count / CHUNK + 1) * chunk;
    char *all = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    FILE *file = tmpfile();
    assert_true(all != MAP_FAILED && file && ftruncate(fileno(file), (off_t)chunk) == 0);
    for (int64_t i = 0; i < tail / CHUNK; i++)
        assert_true(mmap(all + (size_t)i * chunk, chunk, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                         fileno(file), 0) != MAP_FAILED);
    fclose(file); /* the mappings keep it */
    return (float *)(void *)all;
}

/* front: everywhere but in the last TAIL elements, which are `last`. */
enum { TAIL = 1000 };

static struct huge make_huge(oclin_context *ctx, int64_t rows, int64_t cols, int64_t beyond, float front,
                             float last)
{
    struct huge h = {.count = rows * cols, .tail = beyond - CHUNK};
    cl_context context;
    cl_int error;
    struct oclin_device_info info;
    assert_ok(ctx, oclin_context_device(ctx, &info));
    if (info.type != OCLIN_DEVICE_CPU || info.max_allocation < h.count * (int64_t)sizeof(float)) {
        printf("skipped: %lld elements, the largest buffer of %s has %lld bytes\n", (long long)h.count,
               info.name, (long long)info.max_allocation);
        skip();
    }
    h.memory = map_chunks(h.count, h.tail);
    for (int64_t i = 0; i < CHUNK; i++) h.memory[i] = front;
    for (int64_t i = h.tail; i < h.count; i++) h.memory[i] = i < h.count - TAIL ? front : last;
    assert_ok(ctx, oclin_context_cl(ctx, &context, NULL, NULL));
    h.mem = clCreateBuffer(context, CL_MEM_READ_WRITE | CL_MEM_USE_HOST_PTR, (size_t)h.count * sizeof(float),
                           h.memory, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(ctx, oclin_tensor_wrap(&h.t, ctx, OCLIN_F32, h.mem, 0, rows, cols, cols));
    return h;
}

static void free_huge(struct huge *h)
{
    oclin_tensor_destroy(h->t);
    clReleaseMemObject(h->mem);
    munmap(h->memory, ((size_t)h->count / CHUNK + 1) * CHUNK * sizeof(float));
}

/* The tail, read through oclin: but for its last TAIL elements, which are `last`, `front`. */
static float *read_tail(oclin_context *ctx, const struct huge *h)
{
    oclin_tensor *flat, *tail;
    float *got = new_array(float, h->count - h->tail);
    assert_ok(ctx, oclin_tensor_wrap(&flat, ctx, OCLIN_F32, h->mem, 0, 1, h->count, h->count));
    assert_ok(ctx, oclin_tensor_view(&tail, flat, h->tail, 1, h->count - h->tail, h->count - h->tail));
    assert_ok(ctx, oclin_tensor_read(tail, got));
    oclin_tensor_destroy(flat);
    oclin_tensor_destroy(tail);
    return got;
}

static void check_tail(oclin_context *ctx, const char *name, const struct huge *h, float front, float last)
{
    float *got = read_tail(ctx, h);
    for (int64_t i = h->tail; i < h->count; i++) {
        const float want = i < h->count - TAIL ? front : last, is = got[i - h->tail];
        if (is != want) fail_msg("%s[%lld] is %g, must be %g", name, (long long)i, (double)is, (double)want);
    }
    free(got);
}

static int64_t more_than(int64_t beyond)
{
    return beyond + 3 * (1 << 20) + 5;
}

static void test_huge_fill(void **state)
{
    const struct huge_row *r = *state;
    oclin_context *ctx = make_context(r->plan);
    struct huge t = make_huge(ctx, more_than(r->beyond), 1, r->beyond, 0.0f, 0.0f);
    assert_ok(ctx, oclin_tensor_fill(t.t, 7.0));
    check_tail(ctx, "rows that are filled", &t, 7.0f, 7.0f);
    free_huge(&t);
    oclin_context_destroy(ctx);
}

static void test_huge_step(void **state)
{
    const struct huge_row *r = *state;
    oclin_context *ctx = make_context(r->plan);
    const int64_t rows = more_than(r->beyond);
    struct huge w = make_huge(ctx, rows, 1, r->beyond, 1.0f, 2.0f),
                dw = make_huge(ctx, rows, 1, r->beyond, 2.0f, 4.0f);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = 0;
    options.w = w.t;
    options.dw = dw.t;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, rows, &options));
    assert_ok(ctx, oclin_tensor_touch(dw.t));
    assert_ok(ctx, oclin_layer_step(l, 0.25f));
    check_tail(ctx, "w", &w, 0.5f, 1.0f);
    oclin_layer_destroy(l);
    free_huge(&w);
    free_huge(&dw);
    oclin_context_destroy(ctx);
}

/* A long row: a sum of more than 2^31 terms, and as many gradients. */
static void test_huge_losses(void **state)
{
    const struct huge_row *r = *state;
    oclin_context *ctx = make_context(r->plan);
    const int64_t cols = more_than(r->beyond);
    struct huge y = make_huge(ctx, 1, cols, r->beyond, 2.0f, 3.0f),
                t = make_huge(ctx, 1, cols, r->beyond, 2.0f, 1.0f);
    struct huge dy = make_huge(ctx, 1, cols, r->beyond, -5.0f, -5.0f);
    oclin_tensor *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL),
                 *count = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    struct oclin_loss_options options = OCLIN_LOSS_OPTIONS_INIT;
    options.reduction = OCLIN_SUM;
    float got;
    int32_t hits;
    assert_ok(ctx, oclin_loss_mse(y.t, t.t, loss, dy.t, &options));
    assert_ok(ctx, oclin_tensor_read(loss, &got));
    assert_true(got == 4.0f * TAIL);
    check_tail(ctx, "dy", &dy, 0.0f, 4.0f);

    y.memory[cols - 1] = 1000.0f; /* the last score has all of p */
    assert_ok(ctx, oclin_tensor_touch(y.t));
    const int32_t label = INT32_MAX;
    oclin_tensor *labels = make_tensor(ctx, OCLIN_I32, 1, 1, &label);
    assert_ok(ctx, oclin_loss_cross_entropy(y.t, labels, loss, dy.t, count, &options));
    assert_ok(ctx, oclin_tensor_read(loss, &got));
    assert_ok(ctx, oclin_tensor_read(count, &hits));
    assert_true(got == 1000.0f - y.memory[label] && hits == 0);
    float *tail = read_tail(ctx, &dy);
    for (int64_t i = dy.tail; i < cols; i++) {
        const float want = i == cols - 1 ? 1.0f : i == label ? -1.0f : 0.0f;
        if (tail[i - dy.tail] != want) fail_msg("dy[%lld] is %g", (long long)i, (double)tail[i - dy.tail]);
    }
    free(tail);
    oclin_tensor *const all[] = {loss, count, labels};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    free_huge(&y);
    free_huge(&t);
    free_huge(&dy);
    oclin_context_destroy(ctx);
}

/* As many input features: Y is a sum of them, for one sample and one output. */
static void test_huge_inputs(void **state)
{
    const struct huge_row *r = *state;
    oclin_context *ctx = make_context(r->plan);
    const int64_t in = more_than(r->beyond);
    struct huge x = make_huge(ctx, 1, in, r->beyond, 0.0f, 2.0f),
                w = make_huge(ctx, 1, in, r->beyond, 1.0f, 3.0f);
    oclin_tensor *y = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = 0;
    options.w = w.t;
    oclin_layer *l;
    float got;
    assert_ok(ctx, oclin_layer_create(&l, ctx, in, 1, &options));
    assert_ok(ctx, oclin_layer_infer(l, x.t, y));
    assert_ok(ctx, oclin_tensor_read(y, &got));
    assert_true(got == 6.0f * TAIL);
    oclin_layer_destroy(l);
    oclin_tensor_destroy(y);
    free_huge(&x);
    free_huge(&w);
    oclin_context_destroy(ctx);
}

/* As many samples: results of forward and dX, terms of dW and db. */
static void test_huge_batch(void **state)
{
    const struct huge_row *r = *state;
    oclin_context *ctx = make_context(r->plan);
    const int64_t batch = more_than(r->beyond);
    struct huge x = make_huge(ctx, batch, 1, r->beyond, 1.0f, 2.0f),
                y = make_huge(ctx, batch, 1, r->beyond, 0.0f, 0.0f);
    struct huge dy = make_huge(ctx, batch, 1, r->beyond, 0.0f, 3.0f);
    const float two = 2.0f;
    float got[2];
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.w = make_tensor(ctx, OCLIN_F32, 1, 1, &two);
    options.b = make_tensor(ctx, OCLIN_F32, 1, 1, &two);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, &options));
    assert_ok(ctx, oclin_layer_forward(l, x.t, y.t));
    check_tail(ctx, "y", &y, 4.0f, 6.0f);
    assert_ok(ctx, oclin_layer_backward(l, dy.t, y.t));
    check_tail(ctx, "dx", &y, 0.0f, 6.0f);
    assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(l), &got[0]));
    assert_ok(ctx, oclin_tensor_read(oclin_layer_db(l), &got[1]));
    assert_true(got[0] == 6.0f * TAIL && got[1] == 3.0f * TAIL);
    oclin_layer_destroy(l);
    oclin_tensor_destroy(options.w);
    oclin_tensor_destroy(options.b);
    free_huge(&x);
    free_huge(&y);
    free_huge(&dy);
    oclin_context_destroy(ctx);
}

/* Of a square matrix with as many elements, so many rows and columns. */
static int64_t side_of(int64_t beyond)
{
    int64_t side = 16;
    while (side * side < more_than(beyond)) side += 16;
    return side;
}

static float at_row(int64_t i)
{
    return (float)(i % 5 - 2);
}
static float at_column(int64_t i)
{
    return (float)(i % 7 - 3);
}

static oclin_tensor *numbers_of(oclin_context *ctx, int64_t rows, int64_t cols, float (*number)(int64_t))
{
    float *all = new_array(float, rows *cols);
    for (int64_t i = 0; i < rows * cols; i++) all[i] = number(i);
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, rows, cols, all);
    free(all);
    return t;
}

/* base + scale * (product of a row's and a column's number), in the tail. */
static void check_product(oclin_context *ctx, const char *name, const struct huge *h, int64_t side,
                          float base, float scale)
{
    float *got = read_tail(ctx, h);
    for (int64_t i = h->tail; i < h->count; i++) {
        const float want = base + scale * at_row(i / side) * at_column(i % side), is = got[i - h->tail];
        if (is != want) fail_msg("%s[%lld] is %g, must be %g", name, (long long)i, (double)is, (double)want);
    }
    free(got);
}

/* batch * out: one input feature. */
static void test_huge_outputs(void **state)
{
    const struct huge_row *r = *state;
    oclin_context *ctx = make_context(r->plan);
    const int64_t side = side_of(r->beyond);
    struct huge y = make_huge(ctx, side, side, r->beyond, -1.0f, -1.0f);
    oclin_tensor *x = numbers_of(ctx, side, 1, at_row);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = 0;
    options.w = numbers_of(ctx, side, 1, at_column);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, side, &options));
    assert_ok(ctx, oclin_layer_infer(l, x, y.t));
    check_product(ctx, "y", &y, side, 0.0f, 1.0f);
    oclin_layer_destroy(l);
    oclin_tensor_destroy(options.w);
    oclin_tensor_destroy(x);
    free_huge(&y);
    oclin_context_destroy(ctx);
}

/* out * in: one sample. dW, the fused step, and dX from all of W. */
static void test_huge_weights(void **state)
{
    const struct huge_row *r = *state;
    oclin_context *ctx = make_context(r->plan);
    const int64_t side = side_of(r->beyond);
    struct huge w = make_huge(ctx, side, side, r->beyond, 1.0f, 1.0f),
                dw = make_huge(ctx, side, side, r->beyond, -1.0f, -1.0f);
    oclin_tensor *dy = numbers_of(ctx, 1, side, at_row), *x = numbers_of(ctx, 1, side, at_column),
                 *dx = make_tensor(ctx, OCLIN_F32, 1, side, NULL),
                 *y = make_tensor(ctx, OCLIN_F32, 1, side, NULL);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.bias = 0;
    options.w = w.t;
    options.dw = dw.t;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, side, side, &options));
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_layer_backward(l, dy, dx));
    check_product(ctx, "dw", &dw, side, 0.0f, 1.0f);
    float *got = new_array(float, side), sum = 0.0f;
    for (int64_t i = 0; i < side; i++) sum += at_row(i);
    assert_ok(ctx, oclin_tensor_read(dx, got));
    for (int64_t i = 0; i < side; i++) assert_true(got[i] == sum);
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_layer_backward_step(l, dy, NULL, 0.5f));
    check_product(ctx, "w", &w, side, 1.0f, -0.5f);
    free(got);
    oclin_layer_destroy(l);
    oclin_tensor *const all[] = {dy, x, dx, y};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    free_huge(&w);
    free_huge(&dw);
    oclin_context_destroy(ctx);
}

/* names_only: a list for scripts/large.sh, on the standard output. */
static void add_huge(struct test_list *list, int names_only)
{
    static const struct {
        const char *name, *plans[6];
        CMUnitTestFunction test;
    } tests[] = {{"fill", {"plain", "simd", "simt-16"}, test_huge_fill},
                 {"step", {"plain", "simd", "simt-16"}, test_huge_step},
                 {"losses", {"plain", "simd", "simt-16"}, test_huge_losses},
                 {"inputs", {"plain", "simd-8", "simd-skinny", "simt-16"}, test_huge_inputs},
                 {"batch", {"plain", "simd-8", "simt-16"}, test_huge_batch},
                 {"outputs", {"plain", "simd-8", "simt-16"}, test_huge_outputs},
                 {"weights", {"plain", "simd-8", "simd-skinny", "simt-16"}, test_huge_weights}};
    static struct huge_row rows[2 * COUNT_OF(tests) * 6];
    int count = 0;
    for (int power = 31; power <= 32; power++)
        for (size_t t = 0; t < COUNT_OF(tests); t++)
            for (int p = 0; p < 6 && tests[t].plans[p]; p++, count++) {
                rows[count] = (struct huge_row){tests[t].plans[p], (int64_t)1 << power};
                if (names_only) printf("huge/%d/%s/%s\n", power, tests[t].name, tests[t].plans[p]);
                add_test(list, tests[t].test, &rows[count], "huge/%d/%s/%s", power, tests[t].name,
                         tests[t].plans[p]);
            }
}

int main(int argc, char **argv)
{
    static struct row rows[2 * (32 + 3)];
    static const struct row layers[] = {
        {"plain", 5, 5, 3, 0, 0},
        {"plain", 2, 2, 3, 0, 0}, /* the stride itself is beyond 2^32 */
        {"simt-16", 2, 2, 18, 0, 0},
        {"simd-8", 2, 2, 20, 0, 0},
        {"simd-skinny", 2, 2, 20, 0, 0},
        {"simt-16", 9, 9, 18, 0, 0},
        {"simt-16", 17, 17, 18, 0, 0}, /* a third tile along k */
        {"simt-64x32", 17, 17, 20, 0, 0},
        {"simt-64", 36, 36, 20, 0, 0},
        {"simd-8", 36, 36, 20, 0, 0},
        {"simd-8", 36, 36, 20, 16 << 10, 0},
        {"simd-whole", 36, 36, 20, 0, 0},
        {"simd-packed", 36, 36, 20, 0, 0},
        {"simd-packed", 36, 36, 20, 16 << 10, 0},
        {"simd-mixed", 36, 36, 20, 0, 0},
        {"simd-staged", 36, 36, 20, 0, 0},
        {"simd-skinny", 7, 7, 20, 0, 0},
        {"simd-skinny", 2, 36, 20, 0, 0},
        {"simd-narrow", 17, 17, 20, 0, 0},
    };
    static const char *const elements[] = {"plain", "simd", "simt-16"};
    static const char *const where[] = {"behind", "apart"};
    setenv("HWLOC_SYNTHETIC", "NUMANode:1(memory=137438953472) Core:2 PU:1", 0);
    map_memory();
    struct test_list list = {0};
    int count = 0;
    for (int apart = 0; apart < 2; apart++) {
        for (size_t i = 0; i < COUNT_OF(layers); i++) {
            rows[count] = layers[i];
            rows[count].apart = apart;
            add_test(&list, test_layer, &rows[count], "%s/layer/%d-%d%s/%s", layers[i].plan,
                     (int)layers[i].batch, (int)layers[i].out, layers[i].local ? "/blocks" : "",
                     where[apart]);
            add_test(&list, test_kept_z, &rows[count++], "%s/z/%d-%d%s/%s", layers[i].plan,
                     (int)layers[i].batch, (int)layers[i].out, layers[i].local ? "/blocks" : "",
                     where[apart]);
        }
        for (size_t i = 0; i < COUNT_OF(elements); i++) {
            if (apart) add_test(&list, test_plans, &rows[count], "%s/plans", elements[i]);
            rows[count] = (struct row){elements[i], ROWS, ROWS, COLS, 0, apart};
            add_test(&list, test_losses, &rows[count], "%s/losses/%s", elements[i], where[apart]);
            add_test(&list, test_arrays, &rows[count], "%s/arrays/%s", elements[i], where[apart]);
            add_test(&list, test_verified, &rows[count], "%s/verified/%s", elements[i], where[apart]);
            add_test(&list, test_tensors, &rows[count++], "%s/tensors/%s", elements[i], where[apart]);
        }
    }
    const char *pattern = argc > 1 ? argv[1] : getenv("OCLIN_TEST");
    if (pattern && strncmp(pattern, "huge/", 5) == 0)
        add_huge(&list, strcmp(pattern, "huge/names") == 0); /* only when asked for */
    return run_list("large", &list, argc, argv);
}
