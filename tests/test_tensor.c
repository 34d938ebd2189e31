/*
 * Device arrays: shapes that are refused, windows, the caller's buffers, copies, fills, versions, overlap.
 *
 * The program counts the references that are taken of buffers itself, and hands the calls on to the
 * loader's: a runtime's own count may have references of its own in it (Rusticl's has those of the kernels
 * that a buffer was last an argument of).
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

static oclin_context *shared; /* of all tests; the plan does not matter here */

static oclin_context *context(void)
{
    if (!shared) shared = make_context("plain");
    return shared;
}

static cl_mem counted; /* by make_buffer(), the last one */
static int count;

static cl_mem make_buffer(oclin_context *ctx, cl_mem_flags flags, size_t floats)
{
    cl_context context_handle;
    cl_int error;
    assert_ok(ctx, oclin_context_cl(ctx, &context_handle, NULL, NULL));
    cl_mem buffer = clCreateBuffer(context_handle, flags, floats * sizeof(float), NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    counted = buffer;
    count = 1;
    return buffer;
}

static cl_int pass_on(const char *name, cl_mem buffer, int change)
{
    cl_int (*real)(cl_mem);
    find_real(name, &real);
    if (buffer == counted) count += change;
    return real(buffer);
}

cl_int clRetainMemObject(cl_mem buffer)
{
    return pass_on("clRetainMemObject", buffer, 1);
}

cl_int clReleaseMemObject(cl_mem buffer)
{
    return pass_on("clReleaseMemObject", buffer, -1);
}

/* Of the buffer that make_buffer() made last. */
static int references(cl_mem buffer)
{
    assert_ptr_equal(buffer, counted);
    return count;
}

/* --------------------------------------------------------------------------------------------- creation */

/* A size (or window) and what must come of it. */
struct size_case {
    const char *what;
    int64_t offset, rows, cols, stride;
    oclin_status status;
    const char *part;
};

static struct size_case create_cases[] = {
    {"rows negative", 0, -1, 3, 0, OCLIN_E_SHAPE, "-1 x 3"},
    {"cols 0", 0, 3, 0, 0, OCLIN_E_SHAPE, "3 x 0"},
    {"cols negative", 0, 3, -4, 0, OCLIN_E_SHAPE, "3 x -4"},
    {"rows lowest", 0, INT64_MIN, 1, 0, OCLIN_E_SHAPE, ""},
    {"rows 0, cols 0", 0, 0, 0, 0, OCLIN_E_SHAPE, ""},
    {"elements overflow", 0, INT64_MAX, 2, 0, OCLIN_E_SHAPE, "overflow"},
    {"elements overflow to a small number", 0, INT64_C(1) << 32, (INT64_C(1) << 32) + 1, 0, OCLIN_E_SHAPE,
     "overflow"},
    {"bytes overflow", 0, 1, INT64_MAX, 0, OCLIN_E_SHAPE, "overflow"},
    {"bytes overflow to 0", 0, 1, INT64_C(1) << 62, 0, OCLIN_E_SHAPE, "overflow"},
    {"both highest", 0, INT64_MAX, INT64_MAX, 0, OCLIN_E_SHAPE, "overflow"},
    {"too large for the device", 0, INT64_C(1) << 30, INT64_C(1) << 20, 0, OCLIN_E_SHAPE,
     SIZE_MAX > UINT32_MAX ? "largest buffer"
                           : "overflow"}, /* on a host of 32 bits its bytes are no number */
    {"rows 0 of many columns", 0, 0, INT64_MAX, 0, OCLIN_OK, ""},
};

static void test_create(void **state)
{
    const struct size_case *c = *state;
    oclin_context *ctx = context();
    oclin_tensor *t = (oclin_tensor *)(uintptr_t)c;
    const oclin_status status = oclin_tensor_create(&t, ctx, OCLIN_F32, c->rows, c->cols);
    if (c->status == OCLIN_OK) {
        assert_ok(ctx, status);
        assert_int_equal(oclin_tensor_rows(t), c->rows);
        assert_true(oclin_tensor_cols(t) == c->cols);
        oclin_tensor_destroy(t);
        return;
    }
    assert_refused(ctx, c->status, c->part, status);
    assert_null(t);
}

static void test_create_arguments(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *t = (oclin_tensor *)ctx;
    assert_int_equal(oclin_tensor_create(&t, NULL, OCLIN_F32, 1, 1), OCLIN_E_ARG);
    assert_null(t);
    assert_int_equal(oclin_tensor_create(NULL, ctx, OCLIN_F32, 1, 1), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "dtype 2", oclin_tensor_create(&t, ctx, (oclin_dtype)2, 1, 1));
    assert_refused(ctx, OCLIN_E_ARG, "dtype -1", oclin_tensor_create(&t, ctx, (oclin_dtype)-1, 1, 1));
    oclin_tensor_destroy(NULL);
}

static void test_getters(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 3, 5, NULL), *view = NULL;
    assert_ok(ctx, oclin_tensor_view(&view, t, 7, 2, 3, 5));
    assert_int_equal(oclin_tensor_dtype(view), OCLIN_I32);
    assert_int_equal(oclin_tensor_rows(view), 2);
    assert_int_equal(oclin_tensor_cols(view), 3);
    assert_int_equal(oclin_tensor_row_stride(view), 5);
    assert_int_equal(oclin_tensor_row_stride(t), 5);
    assert_int_equal(oclin_tensor_offset(view), 7);
    assert_int_equal(oclin_tensor_offset(t), 0);
    assert_non_null(oclin_tensor_cl_mem(t));
    assert_ptr_equal(oclin_tensor_cl_mem(t), oclin_tensor_cl_mem(view));
    assert_int_equal(oclin_tensor_dtype(NULL), 0);
    assert_int_equal(oclin_tensor_rows(NULL) + oclin_tensor_cols(NULL) + oclin_tensor_row_stride(NULL) +
                         oclin_tensor_offset(NULL),
                     0);
    assert_null(oclin_tensor_cl_mem(NULL));
    oclin_tensor_destroy(view);
    oclin_tensor_destroy(t);
}

/* An empty batch takes every call, and has no memory. */
static void test_no_rows(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 0, 7, NULL), *view = NULL;
    float canary;
    cl_event events[2] = {NULL, NULL};
    fill_poison(&canary, 1);
    assert_null(oclin_tensor_cl_mem(t));
    assert_ok(ctx, oclin_tensor_write(t, &canary));
    assert_ok(ctx, oclin_tensor_read(t, &canary));
    assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    assert_ok(ctx, oclin_tensor_touch(t));
    assert_ok(ctx, oclin_tensor_view(&view, t, 0, 0, 3, 3));
    assert_ok(ctx, oclin_tensor_write_async(view, &canary, &events[0]));
    assert_ok(ctx, oclin_tensor_read_async(view, &canary, &events[1]));
    assert_int_equal(clWaitForEvents(2, events), CL_SUCCESS);
    assert_int_equal(first_not_poison(&canary, 1), -1);
    for (int i = 0; i < 2; i++) clReleaseEvent(events[i]);
    oclin_tensor_destroy(view);
    oclin_tensor_destroy(t);
}

/* ------------------------------------------------------------------------------------------------ views */

enum { ARENA = 200, BASE_OFFSET = 11 };

/* A window into a base of 4 x 6, alone in its memory, and the same with stride 9 inside a larger arena. */
static struct size_case view_cases[] = {
    {"all", 0, 4, 6, 6, OCLIN_OK, ""},
    {"rows", 6, 2, 6, 6, OCLIN_OK, ""},
    {"columns", 2, 4, 3, 6, OCLIN_OK, ""},
    {"block", 8, 3, 4, 6, OCLIN_OK, ""},
    {"last element", 23, 1, 1, 1, OCLIN_OK, ""},
    {"no rows at the end", 24, 0, 6, 6, OCLIN_OK, ""},
    {"flat piece", 5, 3, 4, 4, OCLIN_OK, ""},
    {"other stride", 1, 3, 2, 7, OCLIN_OK, ""},
    {"one row of a large stride", 3, 1, 2, INT64_MAX, OCLIN_OK, ""},
    {"offset negative", -1, 1, 1, 1, OCLIN_E_SHAPE, "leaves"},
    {"one element too far", 24, 1, 1, 1, OCLIN_E_SHAPE, "leaves"},
    {"one column too many", 1, 4, 6, 6, OCLIN_E_SHAPE, "leaves"},
    {"one row too many", 6, 4, 6, 6, OCLIN_E_SHAPE, "leaves"},
    {"no rows behind the end", 25, 0, 6, 6, OCLIN_E_SHAPE, "leaves"},
    {"offset highest", INT64_MAX, 1, 1, 1, OCLIN_E_SHAPE, "leaves"},
    {"offset that wraps around", INT64_MAX - 5, 1, 10, 10, OCLIN_E_SHAPE, "leaves"},
    {"stride highest", 0, 2, 1, INT64_MAX, OCLIN_E_SHAPE, ""},
    {"stride that wraps around", 0, 5, 1, INT64_C(1) << 62, OCLIN_E_SHAPE, "overflow"},
    {"stride less than columns", 0, 2, 4, 3, OCLIN_E_SHAPE, "row_stride 3"},
    {"stride negative", 0, 2, 4, -6, OCLIN_E_SHAPE, "row_stride -6"},
    {"rows negative", 0, -1, 6, 6, OCLIN_E_SHAPE, "-1 x 6"},
    {"cols 0", 0, 4, 0, 6, OCLIN_E_SHAPE, "4 x 0"},
};

static struct size_case strided_view_cases[] = {
    {"all", 0, 4, 6, 9, OCLIN_OK, ""},
    {"rows", 9, 3, 6, 9, OCLIN_OK, ""},
    {"columns", 5, 4, 1, 9, OCLIN_OK, ""},
    {"block", 10, 3, 5, 9, OCLIN_OK, ""},
    {"one row of another stride", 20, 1, 4, 4, OCLIN_OK, ""},
    {"last element", 32, 1, 1, 1, OCLIN_OK, ""},
    {"flat piece over the gap", 0, 1, 9, 9, OCLIN_E_SHAPE, "no block"},
    {"begins in the gap", 7, 1, 1, 1, OCLIN_E_SHAPE, "no block"},
    {"a column of the gap", 6, 4, 1, 9, OCLIN_E_SHAPE, ""},
    {"a column of the gap, fewer rows", 6, 3, 1, 9, OCLIN_E_SHAPE, "no block"},
    {"runs into the gap", 4, 2, 3, 9, OCLIN_E_SHAPE, "no block"},
    {"dense", 0, 4, 6, 6, OCLIN_E_SHAPE, "no block"},
    {"every second row", 0, 2, 6, 18, OCLIN_E_SHAPE, "no block"},
    {"behind the last row", 33, 1, 1, 1, OCLIN_E_SHAPE, "leaves"},
    {"one row too many", 9, 4, 6, 9, OCLIN_E_SHAPE, "leaves"},
};

/* Element (r, c) of the base holds the number of its place in it: r * stride + c. */
static void check_view(oclin_context *ctx, oclin_tensor *base, const struct size_case *c)
{
    oclin_tensor *view = (oclin_tensor *)ctx;
    const oclin_status status = oclin_tensor_view(&view, base, c->offset, c->rows, c->cols, c->stride);
    if (c->status != OCLIN_OK) {
        assert_refused(ctx, c->status, c->part, status);
        assert_null(view);
        return;
    }
    assert_ok(ctx, status);
    assert_int_equal(oclin_tensor_offset(view), oclin_tensor_offset(base) + c->offset);
    float *got = new_array(float, c->rows * c->cols);
    double *want = new_array(double, c->rows * c->cols);
    for (int64_t i = 0; i < c->rows * c->cols; i++)
        want[i] = (double)(c->offset + i / c->cols * c->stride + i % c->cols);
    assert_ok(ctx, oclin_tensor_read(view, got));
    check_exact("view", c->rows, c->cols, c->cols, got, want);
    free(got);
    free(want);
    oclin_tensor_destroy(view);
}

static void test_view(void **state)
{
    oclin_context *ctx = context();
    float numbers[24];
    for (int i = 0; i < 24; i++) numbers[i] = (float)i;
    oclin_tensor *base = make_tensor(ctx, OCLIN_F32, 4, 6, numbers);
    check_view(ctx, base, *state);
    oclin_tensor_destroy(base);
}

static void test_view_of_strided(void **state)
{
    oclin_context *ctx = context();
    float numbers[24];
    for (int i = 0; i < 24; i++) numbers[i] = (float)(i / 6 * 9 + i % 6);
    struct placed base = tensor_from(ctx, 4, 6, 9, BASE_OFFSET, numbers);
    check_view(ctx, base.t, *state);
    check_canaries("base", &base);
    tensor_release(&base);
}

static void test_view_arguments(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *base = make_tensor(ctx, OCLIN_F32, 2, 2, NULL), *view = base;
    assert_int_equal(oclin_tensor_view(&view, NULL, 0, 1, 1, 1), OCLIN_E_ARG);
    assert_null(view);
    assert_int_equal(oclin_tensor_view(NULL, base, 0, 1, 1, 1), OCLIN_E_ARG);
    oclin_tensor_destroy(base);
}

/* A view lives on without its base. */
static void test_view_keeps_memory(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *base = make_tensor(ctx, OCLIN_F32, 2, 2, (float[]){1, 2, 3, 4}), *view = NULL,
                 *inner = NULL;
    float got = 0;
    assert_ok(ctx, oclin_tensor_view(&view, base, 1, 2, 1, 2));
    oclin_tensor_destroy(base);
    assert_ok(ctx, oclin_tensor_view(&inner, view, 2, 1, 1, 1));
    oclin_tensor_destroy(view);
    assert_ok(ctx, oclin_tensor_read(inner, &got));
    assert_true(got == 4.0f);
    oclin_tensor_destroy(inner);
}

/* ----------------------------------------------------------------------------------------------- copies */

/* Written into the middle of a poisoned arena and read back: nothing else changes. */
struct placement {
    int64_t rows, cols, stride, offset;
};

static struct placement placements[] = {{1, 1, 1, 0}, {3, 5, 5, 0}, {3, 5, 8, 0},   {4, 1, 3, 7},
                                        {1, 9, 9, 5}, {7, 4, 6, 2}, {2, 33, 40, 13}};

static void test_copy(void **state)
{
    const struct placement *p = *state;
    oclin_context *ctx = context();
    struct rng rng = {42};
    const int64_t n = p->rows * p->cols;
    float *sent = new_array(float, n), *got = new_array(float, n + 1);
    fill_special(&rng, sent, n);
    fill_poison(got, n + 1);
    struct placed t = tensor_from(ctx, p->rows, p->cols, p->stride, p->offset, NULL);
    assert_ok(ctx, oclin_tensor_write(t.t, sent));
    assert_ok(ctx, oclin_tensor_read(t.t, got));
    check_same_bits("copy", got, sent, n);
    assert_int_equal(first_not_poison(got + n, 1), -1);
    check_canaries("copy", &t);

    cl_event events[2] = {NULL, NULL};
    for (int64_t i = 0; i < n; i++) sent[i] = (float)i;
    assert_ok(ctx, oclin_tensor_write_async(t.t, sent, &events[0]));
    assert_ok(ctx, oclin_tensor_read_async(t.t, got, &events[1]));
    assert_int_equal(clWaitForEvents(2, events), CL_SUCCESS);
    check_same_bits("asynchronous copy", got, sent, n);
    check_canaries("asynchronous copy", &t);
    assert_ok(ctx, oclin_tensor_write_async(t.t, sent, NULL));
    fill_poison(got, n);
    assert_ok(ctx, oclin_tensor_read_async(t.t, got, NULL));
    assert_ok(ctx, oclin_context_finish(ctx));
    check_same_bits("copy that finish waited for", got, sent, n);
    for (int i = 0; i < 2; i++) clReleaseEvent(events[i]);
    tensor_release(&t);
    free(sent);
    free(got);
}

/* finish waits for a copy that was flushed before and takes a while. */
static void test_finish_waits(void **state)
{
    (void)state;
    enum { COUNT = 4 << 20 };
    oclin_context *ctx = context();
    float *got = new_array(float, COUNT);
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, COUNT, NULL);
    assert_ok(ctx, oclin_tensor_fill(t, 2.0));
    assert_ok(ctx, oclin_tensor_read_async(t, got, NULL));
    assert_ok(ctx, oclin_context_finish(ctx));
    assert_true(got[0] == 2.0f && got[COUNT - 1] == 2.0f);
    oclin_tensor_destroy(t);
    free(got);
}

static void test_copy_arguments(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    float host = 1.0f;
    cl_event event = (cl_event)(uintptr_t)ctx;
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 1, &host);
    const uint64_t version = t->version;
    assert_int_equal(oclin_tensor_write(NULL, &host), OCLIN_E_ARG);
    assert_int_equal(oclin_tensor_read(NULL, &host), OCLIN_E_ARG);
    assert_int_equal(oclin_tensor_fill(NULL, 0), OCLIN_E_ARG);
    assert_int_equal(oclin_tensor_touch(NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_tensor_write_async(NULL, &host, &event), OCLIN_E_ARG);
    assert_null(event);
    event = (cl_event)(uintptr_t)ctx;
    assert_int_equal(oclin_tensor_read_async(NULL, &host, &event), OCLIN_E_ARG);
    assert_null(event);
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_tensor_write(t, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_tensor_read(t, NULL));
    event = (cl_event)(uintptr_t)ctx;
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_tensor_write_async(t, NULL, &event));
    assert_null(event);
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_tensor_read_async(t, NULL, NULL));
    assert_true(t->version == version);
    oclin_tensor_destroy(t);
}

/* ------------------------------------------------------------------------------------------------- fill */

struct fill_case {
    oclin_dtype dtype;
    double value;
    oclin_status status;
    uint32_t bits;
};

static struct fill_case fill_cases[] = {
    {OCLIN_F32, 1.5, OCLIN_OK, 0x3fc00000},
    {OCLIN_F32, 0.0, OCLIN_OK, 0},
    {OCLIN_F32, -0.0, OCLIN_OK, 0x80000000},
    {OCLIN_F32, 0.1, OCLIN_OK, 0x3dcccccd},
    {OCLIN_F32, 16777217.0, OCLIN_OK, 0x4b800000},
    {OCLIN_F32, 1e-45, OCLIN_OK, 0x00000001},
    {OCLIN_F32, INFINITY, OCLIN_OK, 0x7f800000},
    {OCLIN_F32, -INFINITY, OCLIN_OK, 0xff800000},
    {OCLIN_I32, 7.0, OCLIN_OK, 7},
    {OCLIN_I32, -0.0, OCLIN_OK, 0},
    {OCLIN_I32, 2147483647.0, OCLIN_OK, 0x7fffffff},
    {OCLIN_I32, -2147483648.0, OCLIN_OK, 0x80000000},
    {OCLIN_I32, 2147483648.0, OCLIN_E_ARG, 0},
    {OCLIN_I32, -2147483649.0, OCLIN_E_ARG, 0},
    {OCLIN_I32, 2147483646.5, OCLIN_E_ARG, 0},
    {OCLIN_I32, 0.5, OCLIN_E_ARG, 0},
    {OCLIN_I32, INFINITY, OCLIN_E_ARG, 0},
    {OCLIN_I32, NAN, OCLIN_E_ARG, 0},
};

/* All of a strided window takes the bits, the gaps keep theirs; a value that is refused changes nothing. */
static void test_fill(void **state)
{
    const struct fill_case *c = *state;
    oclin_context *ctx = context();
    enum { ROWS = 3, COLS = 5, STRIDE = 8, OFFSET = 3, N = 40 };
    uint32_t before[N], after[N];
    for (uint32_t i = 0; i < N; i++) before[i] = 0x12340000 + i;
    oclin_tensor *arena = make_tensor(ctx, c->dtype, 1, N, before), *t = NULL;
    assert_ok(ctx, oclin_tensor_view(&t, arena, OFFSET, ROWS, COLS, STRIDE));
    const uint64_t version = t->version;
    if (c->status == OCLIN_OK)
        assert_ok(ctx, oclin_tensor_fill(t, c->value));
    else
        assert_refused(ctx, c->status, "32-bit integer", oclin_tensor_fill(t, c->value));
    assert_int_equal(t->version > version, c->status == OCLIN_OK);
    assert_ok(ctx, oclin_tensor_read(arena, after));
    for (int i = 0; i < N; i++) {
        const int at = i - OFFSET, inside = at >= 0 && at < ROWS * STRIDE && at % STRIDE < COLS;
        assert_int_equal(after[i], inside && c->status == OCLIN_OK ? c->bits : before[i]);
    }
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(arena);
}

static void test_fill_nan(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    float got[3] = {0};
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 3, NULL);
    assert_ok(ctx, oclin_tensor_fill(t, NAN));
    assert_ok(ctx, oclin_tensor_read(t, got));
    assert_true(isnan(got[0]) && isnan(got[1]) && isnan(got[2]));
    oclin_tensor_destroy(t);
}

/* ---------------------------------------------------------------------------------------------- wrapping */

enum { BUFFER = 64 }; /* floats */

static struct size_case wrap_cases[] = {
    {"all", 0, 1, BUFFER, BUFFER, OCLIN_OK, ""},
    {"strided, to the last element", 5, 3, 11, 24, OCLIN_OK, ""},
    {"no rows at the end", BUFFER, 0, 5, 5, OCLIN_OK, ""},
    {"one element too many", 0, 1, BUFFER + 1, BUFFER + 1, OCLIN_E_SHAPE, "holds 64"},
    {"strided, one too far", 6, 3, 11, 24, OCLIN_E_SHAPE, "holds 64"},
    {"offset negative", -1, 1, 1, 1, OCLIN_E_SHAPE, "offset -1"},
    {"offset at the end", BUFFER, 1, 1, 1, OCLIN_E_SHAPE, "holds 64"},
    {"offset highest", INT64_MAX, 1, 1, 1, OCLIN_E_SHAPE, "holds 64"},
    {"offset that wraps around", INT64_MAX - 3, 2, 8, 8, OCLIN_E_SHAPE, "holds 64"},
    {"rows negative", 0, -1, 1, 1, OCLIN_E_SHAPE, "-1 x 1"},
    {"cols 0", 0, 1, 0, 1, OCLIN_E_SHAPE, "1 x 0"},
    {"stride less than columns", 0, 2, 4, 3, OCLIN_E_SHAPE, "row_stride 3"},
    {"rows overflow", 0, INT64_MAX, 1, 2, OCLIN_E_SHAPE, "overflow"},
    {"bytes overflow", 0, 2, 1, INT64_MAX / 4 + 1, OCLIN_E_SHAPE, "overflow"},
};

static void test_wrap(void **state)
{
    const struct size_case *c = *state;
    oclin_context *ctx = context();
    cl_mem buffer = make_buffer(ctx, CL_MEM_READ_WRITE, BUFFER);
    oclin_tensor *t = (oclin_tensor *)ctx;
    const oclin_status status =
        oclin_tensor_wrap(&t, ctx, OCLIN_F32, buffer, c->offset, c->rows, c->cols, c->stride);
    if (c->status == OCLIN_OK) {
        assert_ok(ctx, status);
        assert_ok(ctx, oclin_tensor_fill(t, 3.0));
        oclin_tensor_destroy(t);
        assert_ok(ctx, oclin_context_finish(ctx));
    } else {
        assert_refused(ctx, c->status, c->part, status);
        assert_null(t);
    }
    assert_int_equal(references(buffer), 1);
    clReleaseMemObject(buffer);
}

static void test_wrap_arguments(void **state)
{
    (void)state;
    oclin_context *ctx = context(), *other = make_context("plain");
    cl_mem buffer = make_buffer(ctx, CL_MEM_READ_WRITE, BUFFER);
    cl_mem foreign = make_buffer(other, CL_MEM_READ_WRITE, BUFFER);
    oclin_tensor *t = (oclin_tensor *)ctx;
    assert_int_equal(oclin_tensor_wrap(&t, NULL, OCLIN_F32, buffer, 0, 1, 1, 1), OCLIN_E_ARG);
    assert_null(t);
    assert_int_equal(oclin_tensor_wrap(NULL, ctx, OCLIN_F32, buffer, 0, 1, 1, 1), OCLIN_E_ARG);
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_tensor_wrap(&t, ctx, OCLIN_F32, NULL, 0, 1, 1, 1));
    assert_refused(ctx, OCLIN_E_ARG, "dtype 9",
                   oclin_tensor_wrap(&t, ctx, (oclin_dtype)9, buffer, 0, 1, 1, 1));
    assert_refused(ctx, OCLIN_E_ARG, "another cl_context",
                   oclin_tensor_wrap(&t, ctx, OCLIN_F32, foreign, 0, 1, 1, 1));
    assert_int_equal(references(foreign), 1);
    clReleaseMemObject(buffer);
    clReleaseMemObject(foreign);
    oclin_context_destroy(other);
}

static void test_wrap_image(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    cl_context handle;
    cl_int error;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    const cl_image_format format = {CL_RGBA, CL_FLOAT};
    cl_image_desc desc;
    memset(&desc, 0, sizeof desc);
    desc.image_type = CL_MEM_OBJECT_IMAGE2D;
    desc.image_width = desc.image_height = 16;
    cl_mem image = clCreateImage(handle, CL_MEM_READ_WRITE, &format, &desc, NULL, &error);
    if (error) {
        print_message("this device has no images (OpenCL error %d)\n", (int)error);
        return;
    }
    oclin_tensor *t = (oclin_tensor *)ctx;
    assert_refused(ctx, OCLIN_E_ARG, "no buffer", oclin_tensor_wrap(&t, ctx, OCLIN_F32, image, 0, 1, 1, 1));
    assert_null(t);
    clReleaseMemObject(image);
}

/* The tensor holds the buffer, also when the caller lets go of it; and lets go of it itself. */
static void test_wrap_retains(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    cl_mem buffer = make_buffer(ctx, CL_MEM_READ_WRITE, 4);
    const float sent[4] = {1, 2, 3, 4};
    float got[4] = {0};
    oclin_tensor *t = NULL;
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, OCLIN_F32, buffer, 0, 2, 2, 2));
    assert_int_equal(references(buffer), 2);
    assert_ptr_equal(oclin_tensor_cl_mem(t), buffer);
    clRetainMemObject(buffer); /* the eye of this test */
    clReleaseMemObject(buffer);
    clReleaseMemObject(buffer);
    assert_ok(ctx, oclin_tensor_write(t, sent));
    assert_ok(ctx, oclin_tensor_read(t, got));
    check_same_bits("released", got, sent, 4);
    oclin_tensor_destroy(t);
}

/* What may be done with a buffer of these flags. */
struct access_case {
    const char *what;
    cl_mem_flags flags;
    int readable, writable;
};

static struct access_case access_cases[] = {{"READ_WRITE", CL_MEM_READ_WRITE, 1, 1},
                                            {"no flags", 0, 1, 1},
                                            {"READ_ONLY", CL_MEM_READ_ONLY, 1, 0},
                                            {"WRITE_ONLY", CL_MEM_WRITE_ONLY, 0, 1}};

static void test_access(void **state)
{
    const struct access_case *c = *state;
    oclin_context *ctx = context();
    cl_mem buffer = make_buffer(ctx, c->flags, 4);
    oclin_tensor *whole = NULL, *t = NULL;
    float host[4] = {0};
    assert_ok(ctx, oclin_tensor_wrap(&whole, ctx, OCLIN_F32, buffer, 0, 1, 4, 4));
    assert_ok(ctx, oclin_tensor_view(&t, whole, 0, 2, 1, 2)); /* a view takes after its base */
    const oclin_status write = c->writable ? OCLIN_OK : OCLIN_E_ARG,
                       read = c->readable ? OCLIN_OK : OCLIN_E_ARG;
    assert_status(ctx, write, oclin_tensor_write(t, host));
    assert_status(ctx, write, oclin_tensor_write_async(t, host, NULL));
    assert_status(ctx, write, oclin_tensor_fill(t, 1.0));
    assert_status(ctx, read, oclin_tensor_read(t, host));
    assert_status(ctx, read, oclin_tensor_read_async(t, host, NULL));
    assert_ok(ctx, oclin_context_finish(ctx));
    assert_int_equal(t->version, c->writable ? 3 : 0);
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(whole);
    clReleaseMemObject(buffer);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    for (size_t i = 0; i < COUNT_OF(create_cases); i++)
        add_test(&list, test_create, &create_cases[i], "create/%s", create_cases[i].what);
    add_test(&list, test_create_arguments, NULL, "create/arguments");
    add_test(&list, test_getters, NULL, "getters");
    add_test(&list, test_no_rows, NULL, "no rows");
    for (size_t i = 0; i < COUNT_OF(view_cases); i++)
        add_test(&list, test_view, &view_cases[i], "view/%s", view_cases[i].what);
    for (size_t i = 0; i < COUNT_OF(strided_view_cases); i++)
        add_test(&list, test_view_of_strided, &strided_view_cases[i], "view of strided/%s",
                 strided_view_cases[i].what);
    add_test(&list, test_view_arguments, NULL, "view/arguments");
    add_test(&list, test_view_keeps_memory, NULL, "view/keeps the memory");
    for (size_t i = 0; i < COUNT_OF(placements); i++)
        add_test(&list, test_copy, &placements[i], "copy/%d x %d, stride %d, offset %d",
                 (int)placements[i].rows, (int)placements[i].cols, (int)placements[i].stride,
                 (int)placements[i].offset);
    add_test(&list, test_finish_waits, NULL, "copy/finish waits");
    add_test(&list, test_copy_arguments, NULL, "copy/arguments");
    for (size_t i = 0; i < COUNT_OF(fill_cases); i++)
        add_test(&list, test_fill, &fill_cases[i], "fill/%s %.10g", fill_cases[i].dtype ? "i32" : "f32",
                 fill_cases[i].value);
    add_test(&list, test_fill_nan, NULL, "fill/f32 NaN");
    for (size_t i = 0; i < COUNT_OF(wrap_cases); i++)
        add_test(&list, test_wrap, &wrap_cases[i], "wrap/%s", wrap_cases[i].what);
    add_test(&list, test_wrap_arguments, NULL, "wrap/arguments");
    add_test(&list, test_wrap_image, NULL, "wrap/image");
    add_test(&list, test_wrap_retains, NULL, "wrap/retains");
    for (size_t i = 0; i < COUNT_OF(access_cases); i++)
        add_test(&list, test_access, &access_cases[i], "access/%s", access_cases[i].what);
    const int code = run_list("tensor", &list, argc, argv);
    oclin_context_destroy(shared);
    return code;
}
