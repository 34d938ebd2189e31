/*
 * Beyond 2^31 and 2^32 elements: every operand of every kernel once in rows so far apart that the last begins behind
 * element 2^32, and once, dense, behind it. An offset, stride or index of 32 bits, signed or not, goes elsewhere.
 *
 * The arena is address space: of its 21 GB only the pages of the operands are ever touched, some MB. (It is the host's
 * memory, so this needs a device that works in it: a CPU.) PoCL's largest buffer is a part of the memory that hwloc
 * says there is; hwloc says what HWLOC_SYNTHETIC tells it, so main() tells it of enough.
 *
 * The tests of OCLIN_LARGE=1 (huge/...): more than 2^31 rows, results and work-items at once. They touch all of what they
 * write, up to 9 GB, and take minutes: scripts/large.sh.
 */
#define _GNU_SOURCE
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "oclin_internal.h"

#define TWO_32 ((int64_t)1 << 32)
/* A row begins at a multiple of STEP; what it belongs to begins at one of GAP. So operands never share elements. */
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

/* A context of one plan with the arena as one tensor of floats. */
struct arena {
    oclin_context *ctx;
    cl_mem mem;
    cl_command_queue queue;
    int apart; /* rows far apart; else dense, and far behind the start */
    int pieces;
};

/* Skips the test where the device's buffers are too small, or not of the host's memory. */
static struct arena make_arena(const char *plan, int apart)
{
    struct arena a = {.ctx = make_context(plan), .apart = apart};
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

/* rows x cols of `dtype`, of 4 bytes each, that hold host (NULL: zeros). Written and read by the test itself. */
static struct piece place(struct arena *a, oclin_dtype dtype, int64_t rows, int64_t cols, const void *host)
{
    struct piece p = {.offset = ++a->pieces * GAP, .rows = rows, .cols = cols, .stride = cols};
    const int far_apart = a->apart && rows > 1;
    if (far_apart) p.stride = (TWO_32 / (rows - 1) / STEP + 1) * STEP;
    if (!far_apart) p.offset += TWO_32;
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

struct row {
    const char *plan;
    int apart;
    int64_t rows, in; /* batch and out are `rows`, so that all matrices have as many */
};

enum { X, W, B, Y, DY, DX, DW, DB, PIECES };
static const char *const piece_names[PIECES] = {"x", "w", "b", "y", "dy", "dx", "dw", "db"};

/* What forward with ReLU, and backward, must leave: sums of small integers. */
static void expect_layer(const struct row *r, struct piece *p)
{
    const int64_t n = r->rows, in = r->in;
    for (int64_t i = 0; i < n * n; i++) {
        const int64_t sample = i / n, out = i % n;
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
    const int64_t cols[PIECES] = {r->in, r->in, r->rows, r->rows, r->rows, r->in, r->in, r->rows};
    for (int i = 0; i < PIECES; i++) {
        const int64_t rows = i == B || i == DB ? 1 : r->rows;
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
    struct arena a = make_arena(r->plan, r->apart);
    struct piece p[PIECES];
    place_layer(&a, r, p);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = OCLIN_RELU;
    options.w = p[W].t;
    options.b = p[B].t;
    options.dw = p[DW].t;
    options.db = p[DB].t;
    oclin_layer *l;
    assert_ok(a.ctx, oclin_layer_create(&l, a.ctx, r->in, r->rows, &options));
    expect_layer(r, p);
    assert_ok(a.ctx, oclin_layer_forward(l, p[X].t, p[Y].t));
    check_piece(&a, "y", &p[Y]);
    assert_ok(a.ctx, oclin_layer_backward(l, p[DY].t, p[DX].t));
    for (int i = DX; i < PIECES; i++) check_piece(&a, piece_names[i], &p[i]);
    assert_ok(a.ctx, oclin_layer_backward(l, p[DY].t, NULL));
    for (int64_t i = 0; i < r->rows * r->in; i++) p[DW].host[i] *= 2.0f;
    for (int64_t i = 0; i < r->rows; i++) p[DB].host[i] *= 2.0f;
    for (int i = DW; i < PIECES; i++) check_piece(&a, piece_names[i], &p[i]);

    for (int step = 0; step < 2; step++) { /* 1/4 of twice the gradient, then 1/2 of it in the fused form */
        for (int64_t i = 0; i < r->rows * r->in; i++) p[W].host[i] -= 0.25f * p[DW].host[i];
        for (int64_t i = 0; i < r->rows; i++) p[B].host[i] -= 0.25f * p[DB].host[i];
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

/* ------------------------------------------------------------------------------------- losses and tensors */

enum { ROWS = 5, COLS = 3 };

static void test_losses(void **state)
{
    const struct row *r = *state;
    struct arena a = make_arena(r->plan, r->apart);
    const float one = 1.0f;
    float scores[ROWS * COLS] = {0}, *y = numbers(ROWS, COLS, 3), *t = numbers(ROWS, COLS, 2);
    int32_t labels[ROWS];
    struct piece p[] = {place(&a, OCLIN_F32, ROWS, COLS, y), place(&a, OCLIN_F32, ROWS, COLS, t),
                        place(&a, OCLIN_F32, ROWS, COLS, NULL), place(&a, OCLIN_F32, 1, 1, NULL)};
    for (int i = 0; i < ROWS; i++) { /* so far above the others that p is 1 there, and 0 elsewhere */
        labels[i] = (i * 2 + 1) % COLS;
        scores[i * COLS + labels[i]] = 1000.0f;
    }
    struct piece s = place(&a, OCLIN_F32, ROWS, COLS, scores), l = place(&a, OCLIN_I32, ROWS, 1, labels),
                 correct = place(&a, OCLIN_I32, 1, 1, NULL), dy = place(&a, OCLIN_F32, ROWS, COLS, y),
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
    const int32_t all = ROWS;
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

/* Write, fill, a view of a view, and asynchronous copies; and a verified layer, which reads all its operands. */
static void test_tensors(void **state)
{
    const struct row *r = *state;
    struct arena a = make_arena(r->plan, r->apart);
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

int main(int argc, char **argv)
{
    static struct row rows[64];
    static const struct {
        const char *plan;
        int64_t rows, in;
    } layers[] = {{"plain", 5, 3},         {"simt-16", 19, 18},     {"simt-64", 36, 20},
                  {"simd-8", 36, 20},      {"simd-whole", 36, 20},  {"simd-packed", 36, 20},
                  {"simd-mixed", 36, 20},  {"simd-staged", 36, 20}, {"simd-skinny", 7, 20},
                  {"simd-narrow", 17, 20}, {"simt-64x32", 36, 20}};
    static const char *const elements[] = {"plain", "simd", "simt-16"};
    static const char *const where[] = {"behind", "apart"};
    setenv("HWLOC_SYNTHETIC", "NUMANode:1(memory=137438953472) Core:2 PU:1", 0);
    map_memory();
    struct test_list list = {0};
    int count = 0;
    for (int apart = 0; apart < 2; apart++) {
        for (size_t i = 0; i < COUNT_OF(layers); i++) {
            rows[count] = (struct row){layers[i].plan, apart, layers[i].rows, layers[i].in};
            add_test(&list, test_layer, &rows[count++], "%s/layer/%s", layers[i].plan, where[apart]);
        }
        for (size_t i = 0; i < COUNT_OF(elements); i++) {
            rows[count] = (struct row){elements[i], apart, ROWS, COLS};
            add_test(&list, test_losses, &rows[count], "%s/losses/%s", elements[i], where[apart]);
            add_test(&list, test_tensors, &rows[count++], "%s/tensors/%s", elements[i], where[apart]);
        }
    }
    return run_list("large", &list, argc, argv);
}
