/*
 * Tensors that are added, copied and gathered row by row: every bit on every family of kernels, odd numbers
 * and indices, who may share elements with whom, gradients that are cleared, and what is refused.
 */
#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "support.h"

#include "oclin_internal.h"

/* The buffers that a kernel of this file's was last given for dst and src. */
static cl_mem given[2];

cl_int clSetKernelArg(cl_kernel kernel, cl_uint index, size_t size, const void *value)
{
    cl_int (*real)(cl_kernel, cl_uint, size_t, const void *);
    find_real("clSetKernelArg", &real);
    if (size == sizeof given[0] && (index == 0 || index == 3))
        memcpy(&given[index / 3], value, sizeof given[0]);
    return real(kernel, index, size, value);
}

static const char *const plans[] = {"plain", "simd", "simd-4", "simd-8", "simt-16"};
enum { PLANS = COUNT_OF(plans) };
static oclin_context *contexts[PLANS], *strangers;

/* Made with the first test that needs it, so that a plan that the device cannot have skips that test. */
static oclin_context *context(int plan)
{
    if (!contexts[plan]) contexts[plan] = make_context(plans[plan]);
    return contexts[plan];
}

static oclin_context *stranger(void)
{
    if (!strangers) strangers = make_context("plain");
    return strangers;
}

/* -------------------------------------------------------------------------------------------- matrices */

/* Words of any dtype. An arena around a matrix is poisoned, and all of it is compared. */
struct matrix {
    oclin_context *ctx;
    oclin_tensor *arena, *t;
    int64_t rows, cols, stride, offset, length;
};

enum { MARGIN = 64, POISON = 0x7f8a9a57 }; /* a signalling NaN */

static uint32_t *arena_image(const struct matrix *m, const void *host)
{
    uint32_t *image = new_array(uint32_t, m->length);
    for (int64_t i = 0; i < m->length; i++) image[i] = POISON;
    for (int64_t r = 0; host && r < m->rows; r++)
        memcpy(image + m->offset + r * m->stride, (const uint32_t *)host + r * m->cols,
               (size_t)m->cols * sizeof *image);
    return image;
}

/* host NULL: poison in the matrix, too. */
static struct matrix matrix(oclin_context *ctx, oclin_dtype dtype, int64_t rows, int64_t cols, int64_t pad,
                            int64_t offset, const void *host)
{
    struct matrix m = {ctx, NULL, NULL, rows, cols, cols + pad, offset, 0};
    m.length = offset + rows * m.stride + MARGIN;
    uint32_t *image = arena_image(&m, host);
    m.arena = make_tensor(ctx, dtype, 1, m.length, image);
    assert_ok(ctx, oclin_tensor_view(&m.t, m.arena, offset, rows, cols, m.stride));
    free(image);
    return m;
}

static void drop(struct matrix *m)
{
    oclin_tensor_destroy(m->t);
    oclin_tensor_destroy(m->arena);
}

/* The matrix holds these words and all around it is as it was. */
static void check_words(const char *name, const struct matrix *m, const void *want)
{
    uint32_t *image = arena_image(m, want), *got = new_array(uint32_t, m->length);
    assert_ok(m->ctx, oclin_tensor_read(m->arena, got));
    for (int64_t i = 0; i < m->length; i++)
        if (got[i] != image[i])
            fail_msg("%s: element %lld of the arena is 0x%08x, must be 0x%08x (%lld x %lld, stride %lld, "
                     "offset %lld)",
                     name, (long long)i, (unsigned)got[i], (unsigned)image[i], (long long)m->rows,
                     (long long)m->cols, (long long)m->stride, (long long)m->offset);
    free(image);
    free(got);
}

static uint32_t *random_words(uint64_t seed, int64_t n)
{
    struct rng rng = {seed};
    uint32_t *words = new_array(uint32_t, n);
    for (int64_t i = 0; i < n; i++) words[i] = (uint32_t)rng_next(&rng);
    return words;
}

/* Sizes around vectors and chunks (4096 on CPUs), aligned and not; each operand has a place of its own. */
static const struct shape {
    int64_t rows, cols;
    struct {
        int64_t pad, offset;
    } dst, src;
} shapes[] = {
    {1, 1, {0, 0}, {0, 0}},    {1, 1, {3, 5}, {2, 1}},   {1, 3, {0, 0}, {0, 0}},    {3, 5, {0, 0}, {0, 0}},
    {3, 5, {2, 3}, {1, 7}},    {2, 8, {0, 0}, {0, 0}},   {5, 8, {4, 4}, {8, 12}},   {5, 8, {4, 4}, {8, 13}},
    {5, 8, {1, 4}, {8, 12}},   {7, 15, {1, 0}, {0, 2}},  {16, 16, {0, 0}, {0, 0}},  {70, 1, {0, 0}, {4, 1}},
    {33, 17, {3, 0}, {15, 0}}, {2, 64, {0, 16}, {0, 0}}, {3, 4097, {3, 0}, {2, 1}}, {2, 8192, {0, 0}, {4, 4}},
    {1, 8197, {0, 2}, {0, 0}}, {0, 4, {0, 0}, {0, 0}},
};
enum { SHAPES = COUNT_OF(shapes) };

struct shape_case {
    int plan, shape;
};
static struct shape_case shape_cases[PLANS * SHAPES];

/* -------------------------------------------------------------------------------------------------- add */

static const float alphas[] = {1.0f, -3.0f, 0.25f, 0.0f};

/* Whole numbers: one answer, whatever is rounded how often. Twice on the same dst: alpha is applied twice. */
static void test_add_exact(void **state)
{
    const struct shape_case *c = *state;
    const struct shape *s = &shapes[c->shape];
    const int64_t n = s->rows * s->cols;
    struct rng rng = {42};
    float *a = new_array(float, n), *b = new_array(float, n), *got = new_array(float, n);
    fill_integers(&rng, b, n, 1000);
    for (size_t i = 0; i < COUNT_OF(alphas); i++) {
        fill_integers(&rng, a, n, 1000);
        struct matrix dst =
            matrix(context(c->plan), OCLIN_F32, s->rows, s->cols, s->dst.pad, s->dst.offset, a);
        struct matrix src = matrix(dst.ctx, OCLIN_F32, s->rows, s->cols, s->src.pad, s->src.offset, b);
        for (int times = 0; times < 2; times++) {
            for (int64_t j = 0; j < n; j++) a[j] += alphas[i] * b[j];
            assert_ok(dst.ctx, oclin_tensor_add(dst.t, src.t, alphas[i]));
            check_words("dst", &dst, a);
            check_words("src", &src, b);
        }
        drop(&dst);
        drop(&src);
    }
    free(a);
    free(b);
    free(got);
}

/* Products that no float holds: within the bound, and the bits of one rounding or of two, the same kind in
 * all elements, whatever the shape. Twice, with the same bits. */
static void test_add_rounded(void **state)
{
    const struct shape_case *c = *state;
    const struct shape *s = &shapes[c->shape];
    const int64_t n = s->rows * s->cols;
    const float alpha = 0.3f;
    struct rng rng = {42};
    float *a = new_array(float, n), *b = new_array(float, n), *got = new_array(float, n);
    double *want = new_array(double, n), *bound = new_array(double, n);
    uint32_t *first = NULL;
    fill_zero_mean(&rng, a, n);
    fill_zero_mean(&rng, b, n);
    oclin_ref_add(&RANDOM_CASE(0, 0, 0), n, a, b, alpha, want, bound);
    for (int times = 0; times < 2; times++) {
        struct matrix dst =
            matrix(context(c->plan), OCLIN_F32, s->rows, s->cols, s->dst.pad, s->dst.offset, a);
        struct matrix src = matrix(dst.ctx, OCLIN_F32, s->rows, s->cols, s->src.pad, s->src.offset, b);
        assert_ok(dst.ctx, oclin_tensor_add(dst.t, src.t, alpha));
        assert_ok(dst.ctx, oclin_tensor_read(dst.t, got));
        if (n > 0) check_bound("dst", s->rows, s->cols, s->cols, got, want, bound);
        check_words("dst", &dst, got);
        int64_t one = 0, two = 0;
        for (int64_t i = 0; i < n; i++) {
            volatile float product = alpha * b[i];
            one += got[i] == fmaf(alpha, b[i], a[i]);
            two += got[i] == a[i] + product;
        }
        assert_true(one == n || two == n);
        if (first) check_same_bits("again", got, (const float *)first, n);
        if (!first) first = memcpy(new_array(uint32_t, n), got, (size_t)n * sizeof *got);
        drop(&dst);
        drop(&src);
    }
    free(first);
    free(a);
    free(b);
    free(got);
    free(want);
    free(bound);
}

/* ---------------------------------------------------------------------------------------- odd numbers */

static const float edges[] = {0.0f,    -0.0f,    0x1p-149f, -0x1p-149f, 1e-40f,   FLT_MIN,    -FLT_MIN,
                              1.0f,    -3.0f,    1e-20f,    1e20f,      0x1p126f, 0x1p127f,   -0x1p127f,
                              FLT_MAX, -FLT_MAX, INFINITY,  -INFINITY,  NAN,      0x1.8p-64f, 0x1.fffffep63f};
enum { VALUES = COUNT_OF(edges), PAIRS = VALUES * VALUES };
static const float odd_alphas[] = {0.0f,    1.0f,     -1.0f,    0.5f,  3.0f,     0x1p-149f,
                                   -1e-40f, -FLT_MIN, 0x1p-70f, 1e30f, 0x1p127f, -FLT_MAX};

/* Every dst beside every src. A device with denormals gives the bits of one rounding or of two; any device
 * stays in the bound, which claims something about most of them. */
static void test_add_edges(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    float a[PAIRS], b[PAIRS], got[PAIRS];
    double want[PAIRS], bound[PAIRS];
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(0, 0, 0);
    c.no_denormals = !ctx->device.denormals;
    for (int i = 0; i < PAIRS; i++) a[i] = edges[i / VALUES], b[i] = edges[i % VALUES];
    oclin_tensor *src = make_tensor(ctx, OCLIN_F32, 1, PAIRS, b);
    for (size_t k = 0; k < COUNT_OF(odd_alphas); k++) {
        const float alpha = odd_alphas[k];
        oclin_tensor *dst = make_tensor(ctx, OCLIN_F32, 1, PAIRS, a);
        assert_ok(ctx, oclin_tensor_add(dst, src, alpha));
        assert_ok(ctx, oclin_tensor_read(dst, got));
        oclin_ref_add(&c, PAIRS, a, b, alpha, want, bound);
        const struct comparison all = compare_bound(1, PAIRS, PAIRS, got, want, bound);
        if (all.first >= 0)
            fail_msg("%a + %a * %a is %a, must be %a within %a", (double)a[all.first], (double)alpha,
                     (double)b[all.first], (double)got[all.first], want[all.first], bound[all.first]);
        assert_true(all.compared > PAIRS / 2);
        for (int i = 0; i < PAIRS && ctx->device.denormals; i++) {
            volatile float product = alpha * b[i];
            const float one = fmaf(alpha, b[i], a[i]), two = a[i] + product;
            if (got[i] != one && got[i] != two && !(isnan(got[i]) && (isnan(one) || isnan(two))))
                fail_msg("%a + %a * %a is %a, must be %a or %a", (double)a[i], (double)alpha, (double)b[i],
                         (double)got[i], (double)one, (double)two);
        }
        oclin_tensor_destroy(dst);
    }
    oclin_tensor_destroy(src);
}

/* Devices that round once or twice, and flush what they may, stay within the bound and come close to it. */
static float flushed(float value, int flushes)
{
    return flushes && fabsf(value) < FLT_MIN ? 0.0f : value;
}

static float add_on(int flushes, int fused, float dst, float src, float alpha)
{
    const float d = flushed(dst, flushes), s = flushed(src, flushes), a = flushed(alpha, flushes);
    volatile float product = a * s;
    const float sum = fused ? fmaf(a, s, d) : d + flushed(product, flushes);
    return flushed(sum, flushes);
}

static void test_bound(void **state)
{
    struct rng rng = {42};
    double worst = 0.0;
    int64_t claims = 0;
    (void)state;
    for (int i = 0; i < 200000; i++) {
        const int flushes = i & 1, fused = i >> 1 & 1;
        float v[3];
        fill_special(&rng, v, 3);
        for (int j = 0; j < 3 && i % 3 == 0; j++) v[j] *= ldexpf(1.0f, (int)rng_below(&rng, 300) - 150);
        struct oclin_ref_case c = OCLIN_REF_CASE_INIT(0, 0, 0);
        double want, bound;
        if (!isfinite(v[2]) || i % 7 == 0) v[2] = 1.5f; /* products that overflow, and sums that do not */
        c.no_denormals = flushes;
        oclin_ref_add(&c, 1, &v[0], &v[1], v[2], &want, &bound);
        const float got = add_on(flushes, fused, v[0], v[1], v[2]);
        const double error = oclin_error_in_bounds(got, want, bound);
        if (error > 1.0)
            fail_msg("%a + %a * %a is %a on a device that %s and %s, the reference says %a within %a",
                     (double)v[0], (double)v[2], (double)v[1], (double)got,
                     flushes ? "flushes" : "does not flush", fused ? "rounds once" : "rounds twice", want,
                     bound);
        claims += isfinite(bound);
        if (error > worst) worst = error;
    }
    assert_true(worst > 0.9);
    assert_true(claims > 120000);
}

/* ------------------------------------------------------------------------------------------ copy, gather */

static const oclin_dtype dtypes[] = {OCLIN_F32, OCLIN_I32};

static void test_copy(void **state)
{
    const struct shape_case *c = *state;
    const struct shape *s = &shapes[c->shape];
    uint32_t *words = random_words(7, s->rows * s->cols);
    for (size_t i = 0; i < COUNT_OF(dtypes); i++) {
        struct matrix dst =
            matrix(context(c->plan), dtypes[i], s->rows, s->cols, s->dst.pad, s->dst.offset, NULL);
        struct matrix src = matrix(dst.ctx, dtypes[i], s->rows, s->cols, s->src.pad, s->src.offset, words);
        for (int times = 0; times < 2; times++) {
            assert_ok(dst.ctx, oclin_tensor_copy(dst.t, src.t));
            check_words("dst", &dst, words);
            check_words("src", &src, words);
        }
        drop(&dst);
        drop(&src);
    }
    free(words);
}

/* Numbers that a device might not leave alone if it took them for floats. */
static const uint32_t fragile[] = {0x00000001, 0x80000001, 0x007fffff, 0x807fffff, 0x80000000, 0x7f800001,
                                   0xff800001, 0x7fbfffff, 0x7fc00000, 0xffc12345, 0x7fffffff, 0xffffffff,
                                   0x7f800000, 0xff800000, 0x7f7fffff, 0x00000000, 0x12345678};
enum { FRAGILE = COUNT_OF(fragile) };

static void test_fragile_bits(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    const int32_t index = 0;
    struct matrix src = matrix(ctx, OCLIN_F32, 1, FRAGILE, 0, 0, fragile);
    struct matrix dst = matrix(ctx, OCLIN_F32, 1, FRAGILE, 0, 0, NULL);
    oclin_tensor *indices = make_tensor(ctx, OCLIN_I32, 1, 1, &index);
    assert_ok(ctx, oclin_tensor_copy(dst.t, src.t));
    check_words("copied", &dst, fragile);
    assert_ok(ctx, oclin_tensor_fill(dst.t, 0.0));
    assert_ok(ctx, oclin_tensor_gather_rows(dst.t, src.t, indices));
    check_words("gathered", &dst, fragile);
    oclin_tensor_destroy(indices);
    drop(&dst);
    drop(&src);
}

/* Rows of a src with this many; indices of every kind among them. */
static void fill_indices(int32_t *indices, int64_t n, int64_t rows)
{
    const int32_t odd[] = {-1, (int32_t)rows,    INT32_MIN, INT32_MAX, (int32_t)rows - 1, 0,
                           -2, (int32_t)rows + 1};
    struct rng rng = {3};
    for (int64_t i = 0; i < n; i++) {
        indices[i] = rows > 0 ? (int32_t)rng_below(&rng, rows) : 0;
        if (i % 3 == 1) indices[i] = odd[i / 3 % (int64_t)COUNT_OF(odd)];
    }
}

/* What must come of it, by an arithmetic of the test's own. */
static uint32_t *gathered(const uint32_t *words, int64_t src_rows, const int32_t *indices, int64_t rows,
                          int64_t cols, oclin_dtype dtype)
{
    uint32_t *want = new_array(uint32_t, rows * cols);
    for (int64_t i = 0; i < rows * cols; i++) {
        const int64_t from = indices[i / cols];
        const uint32_t none = dtype == OCLIN_F32 ? 0x7fc00000 : 0x80000000;
        want[i] = from >= 0 && from < src_rows ? words[from * cols + i % cols] : none;
    }
    return want;
}

/* Into as many rows as the shape has, from a table of another height, with indices that lie apart. */
static void check_gather(int plan, const struct shape *s, int64_t src_rows, oclin_dtype dtype)
{
    uint32_t *words = random_words(9, src_rows * s->cols);
    int32_t *numbers = new_array(int32_t, s->rows);
    fill_indices(numbers, s->rows, src_rows);
    uint32_t *want = gathered(words, src_rows, numbers, s->rows, s->cols, dtype);
    struct matrix dst = matrix(context(plan), dtype, s->rows, s->cols, s->dst.pad, s->dst.offset, NULL);
    struct matrix src = matrix(dst.ctx, dtype, src_rows, s->cols, s->src.pad, s->src.offset, words);
    struct matrix indices = matrix(dst.ctx, OCLIN_I32, s->rows, 1, s->src.pad, s->dst.offset, numbers);
    for (int times = 0; times < 2; times++) {
        assert_ok(dst.ctx, oclin_tensor_gather_rows(dst.t, src.t, indices.t));
        check_words("dst", &dst, want);
    }
    check_words("src", &src, words);
    check_words("indices", &indices, numbers);
    uint32_t *reference = new_array(uint32_t, s->rows * s->cols);
    oclin_ref_gather_rows(dtype, s->rows, s->cols, src_rows, words, numbers, reference);
    assert_memory_equal(reference, want, (size_t)(s->rows * s->cols) * sizeof *want);
    drop(&dst);
    drop(&src);
    drop(&indices);
    free(words);
    free(numbers);
    free(want);
    free(reference);
}

static void test_gather(void **state)
{
    static const int64_t tables[] = {0, 1, 2, 37};
    const struct shape_case *c = *state;
    for (size_t i = 0; i < COUNT_OF(dtypes); i++)
        for (size_t j = 0; j < COUNT_OF(tables); j++)
            check_gather(c->plan, &shapes[c->shape], tables[j], dtypes[i]);
}

/* A table of no rows that has no memory, either: nothing of it can be read. */
static void test_gather_from_nothing(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    const int32_t numbers[] = {0, -1, 1};
    const uint32_t want[] = {0x7fc00000, 0x7fc00000, 0x7fc00000, 0x7fc00000, 0x7fc00000, 0x7fc00000};
    oclin_tensor *src = make_tensor(ctx, OCLIN_F32, 0, 2, NULL), *indices;
    struct matrix dst = matrix(ctx, OCLIN_F32, 3, 2, 1, 1, NULL);
    indices = make_tensor(ctx, OCLIN_I32, 3, 1, numbers);
    assert_ok(ctx, oclin_tensor_gather_rows(dst.t, src, indices));
    assert_non_null(given[1]); /* not every driver takes NULL */
    check_words("dst", &dst, want);
    oclin_tensor_destroy(src);
    oclin_tensor_destroy(indices);
    drop(&dst);
}

/* Dense tensors, whose buffers end with the last element: under Oclgrind, who reads whole vectors there is
 * found. */
static void test_tight_end(void **state)
{
    enum { ROWS = 3, MOST = 17 };
    static const int64_t cols[] = {1, 3, 4, 5, MOST};
    oclin_context *ctx = context(*(int *)*state);
    const int32_t numbers[ROWS] = {2, 0, 2};
    float ones[ROWS * MOST], got[ROWS * MOST];
    for (int i = 0; i < ROWS * MOST; i++) ones[i] = 1.0f;
    oclin_tensor *indices = make_tensor(ctx, OCLIN_I32, ROWS, 1, numbers);
    for (size_t i = 0; i < COUNT_OF(cols); i++) {
        oclin_tensor *dst = make_tensor(ctx, OCLIN_F32, ROWS, cols[i], NULL),
                     *src = make_tensor(ctx, OCLIN_F32, ROWS, cols[i], ones);
        assert_ok(ctx, oclin_tensor_copy(dst, src));
        assert_ok(ctx, oclin_tensor_add(dst, src, 2.0f));
        assert_ok(ctx, oclin_tensor_gather_rows(src, dst, indices));
        assert_ok(ctx, oclin_tensor_read(src, got));
        for (int64_t j = 0; j < ROWS * cols[i]; j++) assert_true(got[j] == 3.0f);
        oclin_tensor_destroy(dst);
        oclin_tensor_destroy(src);
    }
    oclin_tensor_destroy(indices);
}

/* Where every row of both is aligned, GPUs get the kernel for that, and nowhere else. */
static void test_alignment(void **state)
{
    oclin_context *ctx = make_context("simt-16");
    float numbers[32] = {0};
    (void)state;
    for (int aligned = 0; aligned < 2; aligned++) {
        struct matrix dst = matrix(ctx, OCLIN_F32, 4, 8, 4, 4, numbers),
                      src = matrix(ctx, OCLIN_F32, 4, 8, 0, aligned ? 8 : 1, numbers);
        clear_context_log();
        assert_ok(ctx, oclin_tensor_add(dst.t, src.t, 1.0f));
        assert_ok(ctx, oclin_tensor_copy(dst.t, src.t));
        assert_non_null(strstr(context_log(), "built add:"));
        assert_int_equal(strstr(context_log(), ", aligned\n") != NULL, aligned);
        drop(&dst);
        drop(&src);
    }
    oclin_context_destroy(ctx);
}

/* ---------------------------------------------------------------------------------------- shared elements */

/* One tensor as both, and two that are the same matrix: dst *= 1 + alpha; a copy does not even count as a
 * write. */
static void test_same(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    enum { ROWS = 5, COLS = 19 };
    float a[ROWS * COLS], want[ROWS * COLS];
    struct rng rng = {42};
    oclin_tensor *twin;
    fill_integers(&rng, a, ROWS * COLS, 100);
    struct matrix m = matrix(ctx, OCLIN_F32, ROWS, COLS, 3, 1, a);
    assert_ok(ctx, oclin_tensor_view(&twin, m.arena, m.offset, ROWS, COLS, m.stride));
    oclin_tensor *const others[] = {m.t, twin};
    for (int i = 0; i < 2; i++) {
        const uint64_t version = m.t->version;
        assert_ok(ctx, oclin_tensor_copy(m.t, others[i]));
        assert_int_equal(m.t->version, version);
        check_words("copied", &m, a);
        for (int j = 0; j < ROWS * COLS; j++) a[j] = want[j] = a[j] * 1.5f;
        assert_ok(ctx, oclin_tensor_add(m.t, others[i], 0.5f));
        assert_int_equal(twin->version, version + 1);
        check_words("added", &m, want);
    }
    oclin_tensor_destroy(twin);
    drop(&m);
}

/* Matrices that begin together are not the same for that. */
static void test_not_same(void **state)
{
    static const int64_t sizes[][3] = {{3, 2, 3}, {2, 3, 3}, {2, 2, 4}};
    oclin_context *ctx = context(0);
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, 16, NULL), *first, *other;
    (void)state;
    assert_ok(ctx, oclin_tensor_view(&first, arena, 1, 2, 2, 3));
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        assert_ok(ctx, oclin_tensor_view(&other, arena, 1, sizes[i][0], sizes[i][1], sizes[i][2]));
        assert_false(oclin_tensor_same(first, other));
        oclin_tensor_destroy(other);
    }
    oclin_tensor_destroy(first);
    oclin_tensor_destroy(arena);
}

/* One row is the same row, whatever is said to lie between it and a next one. */
static void test_same_row(void **state)
{
    oclin_context *ctx = context(0);
    const float numbers[9] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    float got[9];
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, 9, numbers), *row, *twin;
    (void)state;
    assert_ok(ctx, oclin_tensor_view(&row, arena, 2, 1, 3, 3));
    assert_ok(ctx, oclin_tensor_view(&twin, arena, 2, 1, 3, 5));
    assert_true(oclin_tensor_same(row, twin));
    assert_false(oclin_tensor_same(row, arena));
    assert_ok(ctx, oclin_tensor_copy(row, twin));
    assert_ok(ctx, oclin_tensor_add(row, twin, 1.0f));
    assert_ok(ctx, oclin_tensor_read(arena, got));
    for (int i = 0; i < 9; i++) assert_true(got[i] == (i >= 2 && i < 5 ? 2 : 1) * numbers[i]);
    oclin_tensor_destroy(arena);
    oclin_tensor_destroy(row);
    oclin_tensor_destroy(twin);
}

/* The same matrix through a buffer and a part of it. */
static void test_same_through_part(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    enum { FIRST = 1024, N = 40 };
    cl_context handle;
    cl_int error = CL_SUCCESS;
    oclin_tensor *whole, *part, *beside;
    float got[N];
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_mem root = clCreateBuffer(handle, CL_MEM_READ_WRITE, (FIRST + N) * sizeof(float), NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    const cl_buffer_region region = {FIRST * sizeof(float), N * sizeof(float)};
    cl_mem sub = clCreateSubBuffer(root, CL_MEM_READ_WRITE, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(ctx, oclin_tensor_wrap(&whole, ctx, OCLIN_F32, root, FIRST, 2, N / 2, N / 2));
    assert_ok(ctx, oclin_tensor_wrap(&part, ctx, OCLIN_F32, sub, 0, 2, N / 2, N / 2));
    assert_ok(ctx, oclin_tensor_wrap(&beside, ctx, OCLIN_F32, sub, 1, 2, N / 2 - 1, N / 2));
    assert_ok(ctx, oclin_tensor_fill(whole, 2.0));
    assert_ok(ctx, oclin_tensor_add(whole, part, 2.0f));
    assert_ptr_equal(given[0],
                     given[1]); /* OpenCL does not define a kernel that uses a buffer and its part */
    assert_ok(ctx, oclin_tensor_copy(part, whole));
    assert_ok(ctx, oclin_tensor_add(part, whole, 0.5f));
    assert_ok(ctx, oclin_tensor_read(whole, got));
    for (int i = 0; i < N; i++) assert_true(got[i] == 9.0f);
    oclin_tensor_destroy(beside);
    oclin_tensor_destroy(part);
    oclin_tensor_destroy(whole);
    clReleaseMemObject(sub);
    clReleaseMemObject(root);
}

/* Windows of 3 x 4 into one arena of 64, and how they lie to the first. */
static const struct window {
    const char *how;
    int64_t offset, stride;
    int apart;
} windows[] = {
    {"an element later", 1, 8, 0},  {"a row later", 8, 8, 0},        {"another stride", 0, 9, 0},
    {"the last element", 19, 8, 0}, {"the columns beside", 4, 8, 1}, {"behind it", 24, 8, 1},
};

static void test_windows(void **state)
{
    const struct window *w = *state;
    oclin_context *ctx = context(0);
    float numbers[64], got[64];
    const int32_t three[] = {2, 0, 1};
    struct rng rng = {42};
    fill_integers(&rng, numbers, 64, 9);
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, 64, numbers), *dst, *src;
    oclin_tensor *indices = make_tensor(ctx, OCLIN_I32, 3, 1, three);
    assert_ok(ctx, oclin_tensor_view(&dst, arena, 0, 3, 4, 8));
    assert_ok(ctx, oclin_tensor_view(&src, arena, w->offset, 3, 4, w->stride));
    if (w->apart) {
        assert_ok(ctx, oclin_tensor_add(dst, src, 1.0f));
        assert_ok(ctx, oclin_tensor_copy(dst, src));
        assert_ok(ctx, oclin_tensor_gather_rows(dst, src, indices));
        for (int i = 0; i < 12; i++)
            numbers[i / 4 * 8 + i % 4] = numbers[w->offset + three[i / 4] * w->stride + i % 4];
    } else {
        assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_tensor_add(dst, src, 1.0f));
        assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_tensor_add(src, dst, 1.0f));
        assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_tensor_copy(dst, src));
        assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_tensor_gather_rows(dst, src, indices));
        assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_tensor_gather_rows(dst, dst, indices));
    }
    assert_ok(ctx, oclin_tensor_read(arena, got));
    check_same_bits("arena", got, numbers, 64);
    oclin_tensor *const all[] = {arena, dst, src, indices};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* An output over its own indices, which lie in the same buffer. src and indices may be the same. */
static void test_shared_indices(void **state)
{
    oclin_context *ctx = context(0);
    const int32_t numbers[] = {2, 0, 1, 7, 7, 7};
    const uint32_t want[] = {1, 2, 0};
    oclin_tensor *arena = make_tensor(ctx, OCLIN_I32, 6, 1, numbers), *indices, *behind;
    (void)state;
    assert_ok(ctx, oclin_tensor_view_rows(&indices, arena, 0, 3));
    assert_ok(ctx, oclin_tensor_view_rows(&behind, arena, 2, 3));
    struct matrix dst = matrix(ctx, OCLIN_I32, 3, 1, 0, 0, NULL);
    assert_refused(ctx, OCLIN_E_ARG, "indices", oclin_tensor_gather_rows(behind, dst.t, indices));
    assert_ok(ctx, oclin_tensor_gather_rows(dst.t, indices, indices));
    check_words("a permutation of itself", &dst, want);
    oclin_tensor_destroy(arena);
    oclin_tensor_destroy(indices);
    oclin_tensor_destroy(behind);
    drop(&dst);
}

/* ----------------------------------------------------------------------------------- gradients, contents */

enum { IN = 3, OUT = 2, WEIGHTS = IN * OUT };

/* A layer whose dw is the caller's tensor, cleared by mark alone: memory holds 5. */
static oclin_layer *make_cleared(oclin_context *ctx, oclin_tensor *dw)
{
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l;
    options.dw = dw;
    options.bias = 0;
    assert_ok(ctx, oclin_tensor_fill(dw, 5.0));
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &options));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_true(dw->zero_pending);
    return l;
}

static void test_cleared(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    const float ones[WEIGHTS] = {1, 2, 3, 4, 5, 6}, zeros[WEIGHTS] = {0};
    float doubled[WEIGHTS];
    const int32_t rows[OUT] = {1, 0};
    for (int i = 0; i < WEIGHTS; i++) doubled[i] = 2 * ones[i];
    struct matrix m = matrix(ctx, OCLIN_F32, OUT, IN, 1, 2, NULL),
                  to = matrix(ctx, OCLIN_F32, OUT, IN, 0, 0, ones);
    oclin_tensor *src = make_tensor(ctx, OCLIN_F32, OUT, IN, ones),
                 *indices = make_tensor(ctx, OCLIN_I32, OUT, 1, rows);
    oclin_layer *l = make_cleared(ctx, m.t);
    assert_ok(ctx, oclin_tensor_add(to.t, m.t, 7.0f)); /* zeros are read */
    check_words("zeros added", &to, ones);
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_tensor_copy(to.t, m.t));
    check_words("zeros copied", &to, zeros);
    assert_ok(ctx, oclin_tensor_write(to.t, ones));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_tensor_gather_rows(to.t, m.t, indices));
    check_words("zeros gathered", &to, zeros);

    assert_true(m.t->cleared);
    assert_ok(ctx, oclin_tensor_add(m.t, src, 2.0f)); /* onto zeros, and a gradient from now on */
    check_words("added to zeros", &m, doubled);
    assert_refused(ctx, OCLIN_E_STATE, "zero_grad", oclin_layer_backward_step(l, src, NULL, 1.0f));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_tensor_copy(m.t, src));
    assert_false(m.t->cleared);
    check_words("copied over zeros", &m, ones);
    oclin_layer_destroy(l);
    oclin_tensor_destroy(src);
    oclin_tensor_destroy(indices);
    drop(&m);
    drop(&to);
}

/* A part of a cleared gradient is overwritten: the rest of it must be zeros. */
static void test_part_of_cleared(void **state)
{
    oclin_context *ctx = context(*(int *)*state);
    const float nine[IN] = {9, 9, 9}, want[WEIGHTS] = {0, 0, 0, 9, 9, 9};
    const int32_t first = 0;
    struct matrix m = matrix(ctx, OCLIN_F32, OUT, IN, 0, 0, NULL);
    oclin_tensor *src = make_tensor(ctx, OCLIN_F32, 1, IN, nine), *row,
                 *indices = make_tensor(ctx, OCLIN_I32, 1, 1, &first);
    oclin_layer *l = make_cleared(ctx, m.t);
    assert_ok(ctx, oclin_tensor_view_rows(&row, m.t, 1, 1));
    assert_ok(ctx, oclin_tensor_copy(row, src));
    check_words("copied into zeros", &m, want);
    assert_ok(ctx, oclin_tensor_fill(m.t, 5.0));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_tensor_gather_rows(row, src, indices));
    check_words("gathered into zeros", &m, want);
    assert_ok(ctx, oclin_tensor_fill(m.t, 5.0));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_tensor_add(row, src, 1.0f));
    check_words("added into zeros", &m, want);
    oclin_layer_destroy(l);
    oclin_tensor_destroy(row);
    oclin_tensor_destroy(src);
    oclin_tensor_destroy(indices);
    drop(&m);
}

/* The forward's x is written: backward must not go on with it. */
static void test_counts_as_written(void **state)
{
    oclin_context *ctx = context(0);
    const float x[IN] = {1, 2, 3};
    const int32_t first = 0;
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, IN, x), *other = make_tensor(ctx, OCLIN_F32, 1, IN, x),
                 *y = make_tensor(ctx, OCLIN_F32, 1, OUT, NULL),
                 *indices = make_tensor(ctx, OCLIN_I32, 1, 1, &first);
    oclin_layer *l;
    (void)state;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, NULL));
    for (int call = 0; call < 3; call++) {
        assert_ok(ctx, oclin_layer_forward(l, t, y));
        if (call == 0) assert_ok(ctx, oclin_tensor_add(t, other, 1.0f));
        if (call == 1) assert_ok(ctx, oclin_tensor_copy(t, other));
        if (call == 2) assert_ok(ctx, oclin_tensor_gather_rows(t, other, indices));
        assert_refused(ctx, OCLIN_E_STATE, "x was written 1 times", oclin_layer_backward(l, y, NULL));
    }
    assert_ok(ctx, oclin_layer_forward(l, t, y));
    assert_ok(ctx, oclin_tensor_add(other, t, 1.0f)); /* to read it is not to write it */
    assert_ok(ctx, oclin_tensor_copy(other, t));
    assert_ok(ctx, oclin_tensor_gather_rows(other, t, indices));
    assert_ok(ctx, oclin_layer_backward(l, y, NULL));
    oclin_layer_destroy(l);
    oclin_tensor *const all[] = {t, other, y, indices};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* What a failure has left: what is read is refused, what is overwritten is whole again. */
static void test_unspecified(void **state)
{
    oclin_context *ctx = context(0);
    const float two[2] = {1, 2};
    const int32_t first = 0;
    float got[2];
    oclin_tensor *dst = make_tensor(ctx, OCLIN_F32, 1, 2, two), *src = make_tensor(ctx, OCLIN_F32, 1, 2, two),
                 *indices = make_tensor(ctx, OCLIN_I32, 1, 1, &first);
    (void)state;
    oclin_tensor_written(dst, OCLIN_E_CL);
    assert_refused(ctx, OCLIN_E_STATE, "dst is unspecified", oclin_tensor_add(dst, src, 1.0f));
    assert_refused(ctx, OCLIN_E_STATE, "dst is unspecified", oclin_tensor_add(dst, dst, 1.0f));
    assert_refused(ctx, OCLIN_E_STATE, "src is unspecified", oclin_tensor_copy(dst, dst));
    assert_refused(ctx, OCLIN_E_STATE, "src is unspecified", oclin_tensor_add(src, dst, 1.0f));
    assert_refused(ctx, OCLIN_E_STATE, "src is unspecified", oclin_tensor_copy(src, dst));
    assert_refused(ctx, OCLIN_E_STATE, "src is unspecified", oclin_tensor_gather_rows(src, dst, indices));
    assert_ok(ctx, oclin_tensor_copy(dst, src));
    assert_ok(ctx, oclin_tensor_read(dst, got));
    check_same_bits("copied", got, two, 2);
    oclin_tensor_written(dst, OCLIN_E_CL);
    assert_ok(ctx, oclin_tensor_gather_rows(dst, src, indices));
    assert_ok(ctx, oclin_tensor_read(dst, got));
    check_same_bits("gathered", got, two, 2);
    oclin_tensor_written(indices, OCLIN_E_CL);
    assert_refused(ctx, OCLIN_E_STATE, "indices is unspecified", oclin_tensor_gather_rows(dst, src, indices));
    oclin_tensor *const all[] = {dst, src, indices};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
}

/* In a strict context, what was never written is not read; what is overwritten counts as written. */
static void test_strict(void **state)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = "plain";
    options.strict = 1;
    oclin_context *ctx = make_context_with(options);
    const float numbers[4] = {1, 2, 3, 4};
    const int32_t rows[2] = {0, 0};
    float got[4];
    oclin_tensor *src = make_tensor(ctx, OCLIN_F32, 2, 2, NULL),
                 *dst = make_tensor(ctx, OCLIN_F32, 2, 2, NULL), *row;
    oclin_tensor *indices = make_tensor(ctx, OCLIN_I32, 2, 1, NULL);
    (void)state;
    assert_refused(ctx, OCLIN_E_STATE, "never written", oclin_tensor_copy(dst, src));
    assert_ok(ctx, oclin_tensor_view_rows(&row, src, 0, 1));
    assert_ok(ctx, oclin_tensor_write(row, numbers));
    assert_refused(ctx, OCLIN_E_STATE, "src is read, but its element [1, 0] was never",
                   oclin_tensor_copy(dst, src));
    assert_ok(ctx, oclin_tensor_write(indices, rows));
    assert_refused(ctx, OCLIN_E_STATE, "src is read", oclin_tensor_gather_rows(dst, src, indices));
    assert_ok(ctx, oclin_tensor_write(src, numbers));
    assert_refused(ctx, OCLIN_E_STATE, "dst is read", oclin_tensor_add(dst, src, 1.0f));
    assert_ok(ctx, oclin_tensor_gather_rows(dst, src, indices));
    assert_ok(ctx, oclin_tensor_add(dst, src, 1.0f));
    assert_ok(ctx, oclin_tensor_read(dst, got));
    assert_true(got[0] == 2 && got[1] == 4 && got[2] == 4 && got[3] == 6);
    oclin_tensor *const all[] = {src, dst, row, indices};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_context_destroy(ctx);
}

/* ---------------------------------------------------------------------------------------------- arguments */

enum { ADD, COPY, GATHER, CALLS };
static const char *const call_names[CALLS] = {"add", "copy", "gather_rows"};
enum { DST, SRC, INDICES, OPERANDS };
static const char *const operand_names[OPERANDS] = {"dst", "src", "indices"};

enum { MISSING, MORE_ROWS, MORE_COLS, OTHER_DTYPE, FOREIGN, READ_ONLY, WRITE_ONLY, FAULTS };
static const char *const fault_names[FAULTS] = {"NULL",          "more rows", "more columns", "another dtype",
                                                "other context", "READ_ONLY", "WRITE_ONLY"};

static oclin_status call(int which, oclin_tensor *const t[OPERANDS])
{
    if (which == ADD) return oclin_tensor_add(t[DST], t[SRC], 1.0f);
    if (which == COPY) return oclin_tensor_copy(t[DST], t[SRC]);
    return oclin_tensor_gather_rows(t[DST], t[SRC], t[INDICES]);
}

static oclin_tensor *wrapped(oclin_context *ctx, oclin_dtype dtype, cl_mem_flags flags, int64_t rows,
                             int64_t cols)
{
    cl_context handle;
    oclin_tensor *t;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_mem m = clCreateBuffer(handle, flags, (size_t)(rows * cols) * 4, NULL, NULL);
    assert_non_null(m);
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, dtype, m, 0, rows, cols, cols));
    clReleaseMemObject(m);
    return t;
}

struct argument_case {
    int call, operand, fault;
};
static struct argument_case argument_cases[CALLS * OPERANDS * FAULTS];

/* What the header has for it. A wrong dst shows as a wrong src or wrong indices, which must be like dst. */
static oclin_status status_of(const struct argument_case *c)
{
    const int written = c->operand == DST, read = !written || c->call == ADD;
    switch (c->fault) {
    case MORE_ROWS:
        return c->call == GATHER && c->operand == SRC ? OCLIN_OK : OCLIN_E_SHAPE;
    case MORE_COLS:
        return OCLIN_E_SHAPE;
    case READ_ONLY:
        return written ? OCLIN_E_ARG : OCLIN_OK;
    case WRITE_ONLY:
        return read ? OCLIN_E_ARG : OCLIN_OK;
    default:
        return OCLIN_E_ARG;
    }
}

static oclin_tensor *wrong_operand(oclin_context *ctx, const struct argument_case *c)
{
    const int64_t rows = 3 + (c->fault == MORE_ROWS),
                  cols = (c->operand == INDICES ? 1 : 2) + (c->fault == MORE_COLS);
    const int is_i32 = (c->operand == INDICES) != (c->fault == OTHER_DTYPE);
    const oclin_dtype dtype = is_i32 ? OCLIN_I32 : OCLIN_F32;
    if (c->fault == MISSING) return NULL;
    if (c->fault == READ_ONLY) return wrapped(ctx, dtype, CL_MEM_READ_ONLY, rows, cols);
    if (c->fault == WRITE_ONLY) return wrapped(ctx, dtype, CL_MEM_WRITE_ONLY, rows, cols);
    oclin_tensor *t = make_tensor(c->fault == FOREIGN ? stranger() : ctx, dtype, rows, cols, NULL);
    assert_int_equal(oclin_tensor_fill(t, 1.0), OCLIN_OK);
    return t;
}

static void test_argument(void **state)
{
    const struct argument_case *c = *state;
    oclin_context *ctx = context(0);
    oclin_tensor *t[OPERANDS];
    int32_t before[6], after[6];
    for (int i = 0; i < OPERANDS; i++) {
        t[i] = make_tensor(ctx, i == INDICES ? OCLIN_I32 : OCLIN_F32, 3, i == INDICES ? 1 : 2, NULL);
        assert_ok(ctx, oclin_tensor_fill(t[i], 2.0));
    }
    oclin_tensor *const right = t[c->operand];
    t[c->operand] = wrong_operand(ctx, c);
    if (c->operand != DST) assert_ok(ctx, oclin_tensor_read(t[DST], before));
    const oclin_status wanted = status_of(c), got = call(c->call, t);
    const oclin_context *says = c->fault == FOREIGN && c->operand == DST ? stranger() : ctx;
    assert_status(says, wanted, got);
    if (wanted != OCLIN_OK && c->operand != DST &&
        !strstr(oclin_context_error(says), operand_names[c->operand]))
        fail_msg("'%s' does not name %s", oclin_context_error(says), operand_names[c->operand]);
    if (c->operand != DST) assert_ok(ctx, oclin_tensor_read(t[DST], after));
    if (c->operand != DST && wanted != OCLIN_OK) assert_memory_equal(before, after, sizeof before);
    oclin_tensor_destroy(right);
    for (int i = 0; i < OPERANDS; i++) oclin_tensor_destroy(t[i]);
}

static void test_all_missing(void **state)
{
    oclin_tensor *const none[OPERANDS] = {NULL};
    (void)state;
    for (int i = 0; i < CALLS; i++) assert_int_equal(call(i, none), OCLIN_E_ARG);
    oclin_context *ctx = context(0);
    oclin_tensor *const only_indices[OPERANDS] = {NULL, NULL, make_tensor(ctx, OCLIN_I32, 1, 1, NULL)};
    assert_refused(ctx, OCLIN_E_ARG, "dst is NULL", call(GATHER, only_indices));
    oclin_tensor_destroy(only_indices[INDICES]);
}

static void test_alpha(void **state)
{
    static const float wrong[] = {NAN, INFINITY, -INFINITY};
    oclin_context *ctx = context(0);
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    (void)state;
    assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_refused(ctx, OCLIN_E_ARG, "alpha is ", oclin_tensor_add(t, t, wrong[i]));
    oclin_tensor_destroy(t);
}

/* i32 is moved, but not added. */
static void test_integers(void **state)
{
    oclin_context *ctx = context(0);
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    (void)state;
    assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    assert_refused(ctx, OCLIN_E_ARG, "dst is i32, f32 is needed", oclin_tensor_add(t, t, 1.0f));
    oclin_tensor_destroy(t);
}

/* Nothing is built, and nothing counts as written, where there are no rows. */
static void test_no_rows(void **state)
{
    oclin_context *ctx = make_context("plain");
    oclin_tensor *const t[OPERANDS] = {make_tensor(ctx, OCLIN_F32, 0, 2, NULL),
                                       make_tensor(ctx, OCLIN_F32, 0, 2, NULL),
                                       make_tensor(ctx, OCLIN_I32, 0, 1, NULL)};
    (void)state;
    clear_context_log();
    for (int i = 0; i < CALLS; i++) assert_ok(ctx, call(i, t));
    assert_null(strstr(context_log(), "built "));
    assert_int_equal(t[DST]->version, 0);
    for (int i = 0; i < OPERANDS; i++) oclin_tensor_destroy(t[i]);
    oclin_context_destroy(ctx);
}

/* ---------------------------------------------------------------------------------------------- verifying */

static oclin_context *verifying(const char *plan, const char *folder)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = plan;
    options.verify = 1;
    options.cl_dir = folder;
    return make_context_with(options);
}

/* Right kernels pass, on odd numbers and on memory that the host may not read. */
static void test_verified(void **state)
{
    enum { ROWS = 6, COLS = 301 }; /* more than verify.c has room for in any case */
    oclin_context *ctx = verifying(plans[*(int *)*state], NULL);
    float a[ROWS * COLS];
    int32_t numbers[ROWS];
    struct rng rng = {42};
    fill_special(&rng, a, ROWS * COLS);
    fill_indices(numbers, ROWS, ROWS);
    struct matrix src = matrix(ctx, OCLIN_F32, ROWS, COLS, 2, 1, a);
    oclin_tensor *const t[OPERANDS] = {wrapped(ctx, OCLIN_F32, CL_MEM_HOST_NO_ACCESS, ROWS, COLS), src.t,
                                       make_tensor(ctx, OCLIN_I32, ROWS, 1, numbers)};
    assert_ok(ctx, call(GATHER, t));
    assert_ok(ctx, call(ADD, t));
    assert_ok(ctx, call(COPY, t));
    assert_ok(ctx, oclin_tensor_add(t[DST], t[DST], -0.7f));
    oclin_tensor *out = wrapped(ctx, OCLIN_F32, CL_MEM_WRITE_ONLY, ROWS, COLS);
    oclin_tensor *const write_only[OPERANDS] = {out, t[SRC], t[INDICES]};
    assert_ok(ctx, call(COPY, write_only));
    assert_ok(ctx, call(GATHER, write_only));
    oclin_tensor_destroy(t[DST]);
    oclin_tensor_destroy(t[INDICES]);
    oclin_tensor_destroy(out);
    drop(&src);
    oclin_context_destroy(ctx);
}

/* A wrong kernel each, and what the sentence must say. */
static const struct mistake {
    const char *what, *plan, *from, *to;
    int call;
    const char *says;
} mistakes[] = {
    {"another sign", "plain", "(real)(alpha)", "(real)(-alpha)", ADD, "add: dst[0, 0] is "},
    {"the first row of src", "plain", "src += src_offset + c.row * src_stride", "src += src_offset", ADD,
     "add: dst[1, 0]"},
    {"every second vector", "simd-4", "i < c.end; i += OCLIN_VL) {", "i < c.end; i += 2 * OCLIN_VL) {", ADD,
     "add: dst[0, 4]"},
    {"without what is left", "simt-16", "for (; i < c.end; i++) to[i] = from[i]", "", COPY,
     "copy: dst[0, 12] has the bits"},
    {"the first row of src", "plain", "src + src_offset + c.row * src_stride, c)", "src + src_offset, c)",
     COPY, "copy: dst[1, 0] has the bits 0x"},
    {"the row before", "plain", "index * src_stride", "(index > 0 ? index - 1 : 0) * src_stride", GATHER,
     "gather_rows: dst[1, 0] has the bits"},
    {"an index that is too large", "plain", "index <= last", "true", GATHER,
     "gather_rows: dst[3, 0] has the bits"},
};

static void test_mistake(void **state)
{
    enum { ROWS = 4, COLS = 13 };
    const struct mistake *m = *state;
    char folder[PATH_BYTES];
    float a[2 * ROWS * COLS];
    const int32_t numbers[ROWS] = {0, 2, 1, ROWS};
    struct rng rng = {42};
    make_temporary_folder(folder);
    write_changed(folder, "arrays.cl", built_in("arrays.cl"), m->from, m->to);
    oclin_context *ctx = verifying(m->plan, folder);
    fill_positive(&rng, a, 2 * ROWS * COLS);
    oclin_tensor *memory = make_tensor(ctx, OCLIN_F32, 2 * ROWS, COLS, a),
                 *src; /* what is behind src is no poison */
    assert_ok(ctx, oclin_tensor_view_rows(&src, memory, 0, ROWS));
    oclin_tensor *const t[OPERANDS] = {make_tensor(ctx, OCLIN_F32, ROWS, COLS, a), src,
                                       make_tensor(ctx, OCLIN_I32, ROWS, 1, numbers)};
    if (m->call == COPY) assert_ok(ctx, oclin_tensor_fill(t[DST], -1.0));
    assert_refused(ctx, OCLIN_E_VERIFY, m->says, call(m->call, t));
    assert_non_null(strstr(oclin_context_error(ctx), ", the reference says "));
    for (int i = 0; i < OPERANDS; i++) oclin_tensor_destroy(t[i]);
    oclin_tensor_destroy(memory);
    oclin_context_destroy(ctx);
    remove_all(folder);
}

/* ----------------------------------------------------------------------------------------------- the list */

static int plan_numbers[PLANS];

static void add_shapes(struct test_list *list)
{
    for (int i = 0; i < PLANS * SHAPES; i++) {
        struct shape_case *c = &shape_cases[i];
        *c = (struct shape_case){i / SHAPES, i % SHAPES};
        const struct shape *s = &shapes[c->shape];
        const char *plan = plans[c->plan], *size = s->cols < 100 ? "small" : "wide";
        add_test(list, test_add_exact, c, "%s/%s/add, exact/%d x %d, %d", plan, size, (int)s->rows,
                 (int)s->cols, i);
        add_test(list, test_add_rounded, c, "%s/%s/add/%d x %d, %d", plan, size, (int)s->rows, (int)s->cols,
                 i);
        add_test(list, test_copy, c, "%s/%s/copy/%d x %d, %d", plan, size, (int)s->rows, (int)s->cols, i);
        add_test(list, test_gather, c, "%s/%s/gather/%d x %d, %d", plan, size, (int)s->rows, (int)s->cols, i);
    }
}

static void add_arguments(struct test_list *list)
{
    for (int i = 0; i < CALLS * OPERANDS * FAULTS; i++) {
        struct argument_case *c = &argument_cases[i];
        *c = (struct argument_case){i / (OPERANDS * FAULTS), i / FAULTS % OPERANDS, i % FAULTS};
        if (c->operand == INDICES && c->call != GATHER) continue;
        add_test(list, test_argument, c, "argument/%s, %s/%s", call_names[c->call], operand_names[c->operand],
                 fault_names[c->fault]);
    }
}

int main(int argc, char **argv)
{
    static const struct {
        const char *name;
        CMUnitTestFunction test;
    } on_plans[] = {{"add, odd numbers", test_add_edges},
                    {"fragile bits", test_fragile_bits},
                    {"gather from nothing", test_gather_from_nothing},
                    {"small/tight end", test_tight_end},
                    {"the same matrix", test_same},
                    {"the same matrix, part of a buffer", test_same_through_part},
                    {"cleared gradients", test_cleared},
                    {"part of a cleared gradient", test_part_of_cleared},
                    {"verified", test_verified}},
      once[] = {{"bound", test_bound},
                {"shared/not the same", test_not_same},
                {"shared/one row", test_same_row},
                {"alignment", test_alignment},
                {"shared/indices", test_shared_indices},
                {"counts as written", test_counts_as_written},
                {"unspecified", test_unspecified},
                {"strict", test_strict},
                {"argument/all missing", test_all_missing},
                {"argument/alpha", test_alpha},
                {"argument/integers", test_integers},
                {"no rows", test_no_rows}};
    struct test_list list = {0};
    add_shapes(&list);
    for (int p = 0; p < PLANS; p++) {
        plan_numbers[p] = p;
        for (size_t i = 0; i < COUNT_OF(on_plans); i++)
            add_test(&list, on_plans[i].test, &plan_numbers[p], "%s/%s", plans[p], on_plans[i].name);
    }
    for (size_t i = 0; i < COUNT_OF(once); i++) add_test(&list, once[i].test, NULL, "%s", once[i].name);
    for (size_t i = 0; i < COUNT_OF(windows); i++)
        add_test(&list, test_windows, (void *)(uintptr_t)&windows[i], "shared/%s", windows[i].how);
    add_arguments(&list);
    for (size_t i = 0; i < COUNT_OF(mistakes); i++)
        add_test(&list, test_mistake, (void *)(uintptr_t)&mistakes[i], "mistake/%s: %s",
                 call_names[mistakes[i].call], mistakes[i].what);
    const int result = run_list("arrays", &list, argc, argv);
    for (int i = 0; i < PLANS; i++) oclin_context_destroy(contexts[i]);
    oclin_context_destroy(strangers);
    return result;
}
