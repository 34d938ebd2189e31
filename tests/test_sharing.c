/* Tensors that share memory: which elements, who counts a write, sub-buffers, alignment. */
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

/* Not 0: sub-buffers say that they start at this byte, as those of runtimes do that do not look (Rusticl,
 * Oclgrind). */
static size_t said_origin;

cl_int clGetMemObjectInfo(cl_mem m, cl_mem_info what, size_t size, void *value, size_t *size_ret)
{
    cl_int (*real)(cl_mem, cl_mem_info, size_t, void *, size_t *);
    find_real("clGetMemObjectInfo", &real);
    const cl_int status = real(m, what, size, value, size_ret);
    if (said_origin && what == CL_MEM_OFFSET && value) memcpy(value, &said_origin, sizeof said_origin);
    return status;
}

static oclin_context *shared; /* of all tests; the plan does not matter here */

static oclin_context *context(void)
{
    if (!shared) shared = make_context("plain");
    return shared;
}

/* --------------------------------------------------------------------------------------------- overlap */

/* Small enough that its elements are the bits of one number. */
static uint64_t elements_of(const oclin_tensor *t)
{
    uint64_t set = 0;
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t c = 0; c < t->cols; c++)
            set |= UINT64_C(1) << (t->origin + t->offset + r * t->stride + c);
    return set;
}

enum { MOST_ROWS = 3, MOST_STRIDE = 5, MOST_OFFSET = 14, RECTANGLES = 1024 };

/* Every rectangle of up to 3 rows and stride 5 at every offset up to 14. */
static int make_rectangles(oclin_tensor *list)
{
    int count = 0;
    for (int64_t rows = 0; rows <= MOST_ROWS; rows++)
        for (int64_t stride = 1; stride <= MOST_STRIDE; stride++)
            for (int64_t cols = 1; cols <= stride; cols++)
                for (int64_t offset = 0; offset <= MOST_OFFSET; offset++) {
                    assert_true(count < RECTANGLES);
                    memset(&list[count], 0, sizeof list[count]);
                    list[count].storage = (struct oclin_storage *)(uintptr_t)list; /* one and the same */
                    list[count].rows = rows;
                    list[count].cols = cols;
                    list[count].stride = stride;
                    /* part of the way in the sub-buffer's origin, part in the offset */
                    list[count].origin = offset % 3;
                    list[count].offset = offset - offset % 3;
                    count++;
                }
    return count;
}

static void fail_pair(const char *what, const oclin_tensor *t, const oclin_tensor *u)
{
    fail_msg("%s: %d x %d stride %d at %d, and %d x %d stride %d at %d", what, (int)t->rows, (int)t->cols,
             (int)t->stride, (int)(t->origin + t->offset), (int)u->rows, (int)u->cols, (int)u->stride,
             (int)(u->origin + u->offset));
}

/* Against the sets of elements. */
static void test_overlap(void **state)
{
    (void)state;
    oclin_tensor *list = new_array(oclin_tensor, RECTANGLES);
    const int count = make_rectangles(list);
    int64_t sharing = 0, apart = 0;
    for (int i = 0; i < count; i++) {
        const uint64_t set = elements_of(&list[i]);
        for (int j = 0; j < count; j++) {
            const oclin_tensor *t = &list[i], *u = &list[j];
            const int truth = (set & elements_of(u)) != 0, said = oclin_tensor_overlap(t, u);
            if (truth && !said) fail_pair("an overlap is missed", t, u);
            if (!truth && said) fail_pair("an overlap is invented", t, u);
            sharing += truth;
            apart += !truth;
        }
    }
    free(list);
    assert_true(sharing > 10000 && apart > 10000); /* both kinds were there */
}

static oclin_tensor rectangle(int64_t first, int64_t rows, int64_t cols, int64_t stride)
{
    oclin_tensor t = {.offset = first, .rows = rows, .cols = cols, .stride = stride};
    t.storage = (struct oclin_storage *)(uintptr_t)elements_of; /* one and the same */
    return t;
}

static int64_t number(struct rng *rng, int64_t most)
{
    return 1 + (int64_t)(rng_next(rng) % (uint64_t)most);
}

static void mark(unsigned char *elements, const oclin_tensor *t)
{
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t c = 0; c < t->cols; c++) elements[t->offset + r * t->stride + c] = 1;
}

static int meets(const unsigned char *elements, const oclin_tensor *t)
{
    for (int64_t r = 0; r < t->rows; r++)
        for (int64_t c = 0; c < t->cols; c++)
            if (elements[t->offset + r * t->stride + c]) return 1;
    return 0;
}

/* Many more, and larger, with narrow columns, which interleave most. */
static void test_overlap_random(void **state)
{
    (void)state;
    enum { PAIRS = 60000, ELEMENTS = 100 + 12 * 40 + 40 };
    struct rng rng = {9};
    int64_t sharing = 0, interleaved = 0;
    for (int i = 0; i < PAIRS; i++) {
        unsigned char elements[ELEMENTS] = {0};
        oclin_tensor pair[2];
        for (int j = 0; j < 2; j++) {
            const int64_t stride = number(&rng, 40), cols = number(&rng, number(&rng, stride));
            pair[j] = rectangle(number(&rng, 100) - 1, number(&rng, 12), cols, stride);
        }
        mark(elements, &pair[0]);
        const int truth = meets(elements, &pair[1]);
        for (int j = 0; j < 2; j++)
            if (oclin_tensor_overlap(&pair[j], &pair[!j]) != truth)
                fail_pair(truth ? "an overlap is missed" : "an overlap is invented", &pair[j], &pair[!j]);
        sharing += truth;
        interleaved += !truth && pair[0].stride != pair[1].stride;
    }
    assert_true(sharing > PAIRS / 4 && interleaved > PAIRS / 10);
}

/* Whether [from, from + length) meets u, of which any number of rows may be: by division, without a wrap in
 * 64 bits. */
static int row_meets(int64_t from, int64_t length, const oclin_tensor *u)
{
    int64_t row = (from - u->offset) / u->stride - 1; /* none before this one reaches it */
    if (row < 0) row = 0;
    for (int i = 0; i < 4 && row < u->rows; i++, row++) {
        const int64_t at = u->offset + row * u->stride;
        if (at < from + length && from < at + u->cols) return 1;
    }
    return 0;
}

/* Rows in numbers that nobody could go through, against one that can be gone through. */
static void test_overlap_many_rows(void **state)
{
    (void)state;
    enum { PAIRS = 30000 };
    struct rng rng = {10};
    int64_t sharing = 0;
    for (int i = 0; i < PAIRS; i++) {
        const int64_t scale = INT64_C(1) << number(&rng, 26);
        const int64_t stride = number(&rng, 2 * scale) + 3, other = number(&rng, 60 * scale) + 3;
        const int64_t cols = number(&rng, number(&rng, 1 + stride / 8)),
                      wide = number(&rng, number(&rng, 1 + other / 100));
        const int64_t rows = INT64_C(1) << (20 + number(&rng, 10)), few = number(&rng, 60);
        const oclin_tensor many = rectangle(number(&rng, 1000), rows, cols, stride);
        /* as long as its rows are, so that length covers at most a few rows of the other one */
        const oclin_tensor t =
            rectangle(number(&rng, rows) * (stride / 2 + 1), few, wide < stride ? wide : stride, other);
        int truth = 0;
        for (int64_t r = 0; r < few && !truth; r++) truth = row_meets(t.offset + r * other, t.cols, &many);
        if (oclin_tensor_overlap(&many, &t) != truth || oclin_tensor_overlap(&t, &many) != truth)
            fail_msg("pair %d: %lld x %lld stride %lld at %lld, and %lld x %lld stride %lld at %lld: %s", i,
                     (long long)many.rows, (long long)many.cols, (long long)many.stride,
                     (long long)many.offset, (long long)t.rows, (long long)t.cols, (long long)t.stride,
                     (long long)t.offset, truth ? "missed" : "invented");
        sharing += truth;
    }
    assert_in_range(sharing, PAIRS / 10, PAIRS - PAIRS / 10);
}

/* Both with more rows than can be gone through: pairs that meet because they were made to, and pairs that
 * cannot, since all of one is even and all of the other odd. */
static void test_overlap_made(void **state)
{
    (void)state;
    struct rng rng = {11};
    for (int i = 0; i < 20000; i++) {
        const int64_t s = 2 * (number(&rng, INT64_C(1) << number(&rng, 28)) + 1),
                      r = 2 * (number(&rng, INT64_C(1) << number(&rng, 28)) + 1);
        const int64_t rows = INT64_C(1) << 29, a = number(&rng, rows) - 1, b = number(&rng, rows) - 1;
        int64_t first = a * s,
                second = b * r; /* to be taken off, so that row a of one is at row b of the other */
        const int64_t least = first > second ? first : second;
        oclin_tensor t = rectangle(least - first, rows, 1, s), u = rectangle(least - second, rows, 1, r);
        assert_true(oclin_tensor_overlap(&t, &u));
        assert_true(oclin_tensor_overlap(&u, &t));
        u.offset++;
        assert_false(oclin_tensor_overlap(&t, &u));
        assert_false(oclin_tensor_overlap(&u, &t));
        u.cols = 2;
        assert_true(oclin_tensor_overlap(&t, &u) == oclin_tensor_overlap(&u, &t));
    }
    /* the stride of a single row is any number, also the largest */
    oclin_tensor one = rectangle(10, 1, 5, INT64_MAX), two = rectangle(14, 3, 1, 7);
    assert_true(oclin_tensor_overlap(&one, &two) && oclin_tensor_overlap(&two, &one));
    two.offset = 15;
    assert_false(oclin_tensor_overlap(&one, &two) || oclin_tensor_overlap(&two, &one));
    two.offset = 4;
    assert_true(oclin_tensor_overlap(&one, &two) && oclin_tensor_overlap(&two, &one));
    two.rows = 1;
    assert_false(oclin_tensor_overlap(&one, &two) || oclin_tensor_overlap(&two, &one));
}

/* Operands that lie between each other's rows are no mistake. */
static void test_interleaved(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("plain");
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, 40, NULL), *x, *y, *meets;
    oclin_layer *l;
    float got[4];
    options.init = OCLIN_INIT_ZERO;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, &options));
    assert_ok(ctx, oclin_tensor_fill(arena, 7.0));
    assert_ok(ctx, oclin_tensor_view(&x, arena, 0, 4, 1, 4));     /* 0, 4, 8, 12 */
    assert_ok(ctx, oclin_tensor_view(&y, arena, 1, 4, 1, 6));     /* 1, 7, 13, 19 */
    assert_ok(ctx, oclin_tensor_view(&meets, arena, 2, 4, 1, 5)); /* 2, 7, 12, 17 */
    assert_ok(ctx, oclin_layer_infer(l, x, y));
    assert_refused(ctx, OCLIN_E_ARG, "share elements", oclin_layer_infer(l, x, meets));
    assert_ok(ctx, oclin_tensor_read(y, got));
    for (int i = 0; i < 4; i++) assert_true(got[i] == 0.0f);
    assert_ok(ctx, oclin_tensor_read(x, got));
    for (int i = 0; i < 4; i++) assert_true(got[i] == 7.0f);
    oclin_layer_destroy(l);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(meets);
    oclin_tensor_destroy(arena);
    oclin_context_destroy(ctx);
}

static void test_overlap_of_other_memory(void **state)
{
    (void)state;
    oclin_tensor t = {.rows = 2, .cols = 2, .stride = 2}, u = t;
    t.storage = (struct oclin_storage *)(uintptr_t)&t;
    u.storage = (struct oclin_storage *)(uintptr_t)&u;
    assert_false(oclin_tensor_overlap(&t, &u));
    u.storage = t.storage;
    assert_true(oclin_tensor_overlap(&t, &u));
}

/* Indices that would wrap around in 32 bits. */
static void test_overlap_far_away(void **state)
{
    (void)state;
    const int64_t far = INT64_C(1) << 33;
    oclin_tensor t = {.rows = 3, .cols = 2, .stride = far}, u = t;
    t.storage = u.storage = (struct oclin_storage *)(uintptr_t)&t;
    u.offset = 2;
    assert_false(oclin_tensor_overlap(&t, &u));
    u.offset = 2 * far + 1;
    assert_true(oclin_tensor_overlap(&t, &u));
    u.offset = far - 1;
    assert_true(oclin_tensor_overlap(&t, &u));
}

/* ----------------------------------------------------------------------------------------------- many */

/* What the tree promises about a node and all below it; the depth. */
static int check_tree(const struct oclin_interval *node)
{
    if (!node) return 0;
    int64_t reach = node->to;
    const struct oclin_interval *below[] = {node->left, node->right};
    for (int i = 0; i < 2; i++) {
        if (!below[i]) continue;
        assert_true(below[i]->rank <= node->rank);
        assert_true(i == 0 ? below[i]->from <= node->from : below[i]->from >= node->from);
        if (below[i]->reach > reach) reach = below[i]->reach;
    }
    assert_int_equal(node->reach, reach);
    const int left = check_tree(node->left), right = check_tree(node->right);
    return 1 + (left > right ? left : right);
}

/* What a search finds, and in which order, against a look at all of them, while intervals come and go. */
static void test_intervals(void **state)
{
    (void)state;
    enum { NODES = 120, ROUNDS = 4000 };
    static struct oclin_interval nodes[NODES];
    struct oclin_intervals all = {0};
    struct rng rng = {12};
    int in[NODES] = {0};
    int64_t found_in_all = 0;
    for (int round = 0; round < ROUNDS; round++) {
        const int i = (int)(rng_next(&rng) % NODES);
        if (in[i])
            oclin_intervals_remove(&all, &nodes[i]);
        else {
            nodes[i].from = number(&rng, 200);
            nodes[i].to = nodes[i].from + number(&rng, round % 2 ? 10 : 200) - 1; /* some are empty */
            oclin_intervals_add(&all, &nodes[i]);
        }
        in[i] = !in[i];
        check_tree(all.root);
        const int64_t from = number(&rng, 220) - 10, to = from + number(&rng, 60);
        int expected = 0, found = 0;
        for (int j = 0; j < NODES; j++) expected += in[j] && nodes[j].from < to && nodes[j].to > from;
        for (const struct oclin_interval *n = NULL, *next; (next = oclin_intervals_next(&all, from, to, n));
             n = next) {
            assert_true(next->from < to && next->to > from && in[next - nodes]);
            assert_true(!n || n->from < next->from || (n->from == next->from && n < next));
            found++;
        }
        assert_int_equal(found, expected);
        found_in_all += found;
    }
    assert_true(found_in_all > ROUNDS);
}

/* A tree of 2^17 is flat, whatever the order they come in: in a list each step of this would take a second.
 * */
static void test_many_intervals(void **state)
{
    (void)state;
    enum { NODES = 1 << 17, DEPTH = 64 };
    struct oclin_interval *nodes = new_array(struct oclin_interval, NODES);
    for (int order = 0; order < 3; order++) {
        struct oclin_intervals all = {0};
        for (int64_t i = 0; i < NODES; i++) {
            const int64_t at = order == 0 ? i : order == 1 ? NODES - 1 - i : 0;
            nodes[i].from = at;
            nodes[i].to = at + 1;
            oclin_intervals_add(&all, &nodes[i]);
        }
        assert_in_range(check_tree(all.root), 17, DEPTH);
        for (int64_t i = 0; i < NODES && order < 2; i++) {
            const struct oclin_interval *n = oclin_intervals_next(&all, nodes[i].from, nodes[i].to, NULL);
            assert_ptr_equal(n, &nodes[i]);
            assert_null(oclin_intervals_next(&all, n->from, n->to, n));
        }
        for (int64_t i = 0; i < NODES; i++) oclin_intervals_remove(&all, &nodes[i * 7919 % NODES]);
        assert_null(all.root);
    }
    free(nodes);
}

/* A view of each row of a large data set: what is done to one concerns it and the base, and takes no longer
 * than with a few. */
static void test_many_views(void **state)
{
    (void)state;
    enum { VIEWS = 100000, COLS = 2 };
    oclin_context *ctx = make_context("plain");
    oclin_tensor *base = make_tensor(ctx, OCLIN_F32, VIEWS, COLS, NULL),
                 **views = new_array(oclin_tensor *, VIEWS);
    for (int64_t i = 0; i < VIEWS; i++)
        assert_ok(ctx, oclin_tensor_view_rows(&views[i], base, i * 7919 % VIEWS, 1));
    for (int64_t i = 0; i < VIEWS; i++) assert_ok(ctx, oclin_tensor_touch(views[i]));
    assert_int_equal(base->version, VIEWS);
    for (int64_t i = 0; i < VIEWS; i++) assert_int_equal(views[i]->version, 1);
    assert_ok(ctx, oclin_tensor_touch(base)); /* concerns all of them */
    for (int64_t i = 0; i < VIEWS; i++) assert_int_equal(views[i]->version, 2);
    for (int64_t i = 0; i < VIEWS; i++) oclin_tensor_destroy(views[i * 17 % VIEWS]);
    oclin_tensor_destroy(base);
    free(views);
    oclin_context_destroy(ctx);
}

/* Many buffers of the caller's, each wrapped twice: the second time its storage is found among all the
 * others. */
static void test_many_buffers(void **state)
{
    (void)state;
    enum { BUFFERS = 3000 };
    oclin_context *ctx = make_context("plain");
    cl_context handle;
    oclin_tensor *(*pairs)[2] = allocate(BUFFERS, sizeof *pairs);
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    for (int i = 0; i < BUFFERS; i++) {
        cl_mem m = clCreateBuffer(handle, CL_MEM_READ_WRITE, 64, NULL, NULL);
        assert_non_null(m);
        for (int j = 0; j < 2; j++)
            assert_ok(ctx, oclin_tensor_wrap(&pairs[i][j], ctx, OCLIN_F32, m, 0, 1, 4, 4));
        clReleaseMemObject(m);
    }
    for (int i = 0; i < BUFFERS; i++) {
        assert_ptr_equal(pairs[i][0]->storage, pairs[i][1]->storage);
        assert_ok(ctx, oclin_tensor_touch(pairs[i][0]));
    }
    for (int i = 0; i < BUFFERS; i++) assert_int_equal(pairs[i][1]->version, 1);
    for (int i = 0; i < BUFFERS; i++) {
        oclin_tensor_destroy(pairs[i][0]);
        oclin_tensor_destroy(pairs[i * 7 % BUFFERS][1]);
    }
    free(pairs);
    oclin_context_destroy(ctx);
}

/* --------------------------------------------------------------------------------------------- versions */

/* Ways to write a tensor, and tensors that look at the same memory. */
static const char *const ways[] = {"write", "write_async", "fill", "touch"};
enum { WAYS = COUNT_OF(ways) };

static void write_it(oclin_context *ctx, oclin_tensor *t, int way)
{
    static float host[64]; /* stays while an asynchronous write is under way */
    if (way == 0) assert_ok(ctx, oclin_tensor_write(t, host));
    if (way == 1) assert_ok(ctx, oclin_tensor_write_async(t, host, NULL));
    if (way == 2) assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    if (way == 3) assert_ok(ctx, oclin_tensor_touch(t));
}

/* A write counts for exactly the tensors that share elements with what is written. */
static void test_versions(void **state)
{
    const int way = *(int *)*state;
    oclin_context *ctx = context();
    enum { N = 7 };
    oclin_tensor *t[N] = {make_tensor(ctx, OCLIN_F32, 4, 8, NULL)};
    const uint32_t shares[N] = {0x7f, 0x4b, 0x6d, 0x6f, 0x51, 0x6d, 0x7f}; /* bit j of [i]: i and j meet */
    assert_ok(ctx, oclin_tensor_view(&t[1], t[0], 0, 4, 4, 8));            /* left half */
    assert_ok(ctx, oclin_tensor_view(&t[2], t[0], 4, 2, 4, 8));            /* right half, upper rows */
    assert_ok(ctx, oclin_tensor_view(&t[3], t[0], 8, 1, 8, 8));            /* second row */
    assert_ok(ctx, oclin_tensor_view(&t[4], t[0], 22, 2, 2, 8));           /* right end of the lower rows */
    assert_ok(ctx, oclin_tensor_view(&t[5], t[2], 9, 1, 3, 3));            /* a view of a view */
    assert_ok(ctx, oclin_tensor_wrap(&t[6], ctx, OCLIN_F32, oclin_tensor_cl_mem(t[0]), 0, 4, 8, 8));
    for (int i = 0; i < N; i++) {
        uint64_t before[N];
        for (int j = 0; j < N; j++) before[j] = t[j]->version;
        write_it(ctx, t[i], way);
        for (int j = 0; j < N; j++)
            if ((t[j]->version > before[j]) != (shares[i] >> j & 1))
                fail_msg("%s of tensor %d: the version of %d went from %d to %d", ways[way], i, j,
                         (int)before[j], (int)t[j]->version);
    }
    assert_ok(ctx, oclin_context_finish(ctx));
    for (int i = 0; i < N; i++) oclin_tensor_destroy(t[i]);
}

static void test_reads_do_not_count(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 1, (float[]){1}), *view = NULL;
    float got;
    const uint64_t version = t->version;
    assert_ok(ctx, oclin_tensor_read(t, &got));
    assert_ok(ctx, oclin_tensor_read_async(t, &got, NULL));
    assert_ok(ctx, oclin_tensor_view(&view, t, 0, 1, 1, 1));
    assert_non_null(oclin_tensor_cl_mem(t));
    assert_ok(ctx, oclin_context_finish(ctx));
    assert_true(t->version == version);
    oclin_tensor_destroy(view);
    oclin_tensor_destroy(t);
}

/* ------------------------------------------------------------------------------------------- sub-buffers */

/* Elements that a sub-buffer's origin must be a multiple of. */
static size_t origin_step(oclin_context *ctx)
{
    cl_device_id device;
    cl_uint bits = 0;
    assert_ok(ctx, oclin_context_cl(ctx, NULL, &device, NULL));
    assert_int_equal(clGetDeviceInfo(device, CL_DEVICE_MEM_BASE_ADDR_ALIGN, sizeof bits, &bits, NULL),
                     CL_SUCCESS);
    return bits / 8 / sizeof(float);
}

static cl_mem make_parent(oclin_context *ctx, cl_mem_flags flags, size_t floats)
{
    cl_context handle;
    cl_int error;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_mem parent = clCreateBuffer(handle, flags, floats * sizeof(float), NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    return parent;
}

static cl_mem make_part(cl_mem parent, cl_mem_flags flags, size_t first, size_t count)
{
    const cl_buffer_region region = {first * sizeof(float), count * sizeof(float)};
    cl_int error;
    cl_mem part = clCreateSubBuffer(parent, flags, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    assert_int_equal(error, CL_SUCCESS);
    return part;
}

/* Parts of one buffer, and the buffer: offsets count from the part, and sharing is seen across them. */
static void test_parts_of_one_buffer(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    const size_t step = origin_step(ctx);
    cl_mem parent = make_parent(ctx, CL_MEM_READ_WRITE, 4 * step);
    cl_mem parts[3] = {make_part(parent, 0, 0, step), make_part(parent, 0, step, 2 * step),
                       make_part(parent, 0, 2 * step, 2 * step)};
    oclin_tensor *whole = NULL, *t[3];
    assert_ok(ctx, oclin_tensor_wrap(&whole, ctx, OCLIN_F32, parent, 0, 1, (int64_t)(4 * step),
                                     (int64_t)(4 * step)));
    for (int i = 0; i < 3; i++)
        assert_ok(ctx, oclin_tensor_wrap(&t[i], ctx, OCLIN_F32, parts[i], 1, 1, (int64_t)step - 1,
                                         (int64_t)step - 1));
    assert_ok(ctx, oclin_tensor_fill(whole, 0.0));
    for (int i = 0; i < 3; i++) assert_ok(ctx, oclin_tensor_fill(t[i], i + 1.0));
    assert_ok(ctx, oclin_context_finish(ctx));
    float *got = new_array(float, 4 * step);
    assert_ok(ctx, oclin_tensor_read(whole, got));
    for (size_t i = 0; i < 4 * step; i++) {
        const size_t part = i / step, at = i % step;
        assert_true(got[i] == (at > 0 && part < 3 ? (float)part + 1 : 0.0f));
    }
    free(got);
    oclin_tensor *meets = NULL;
    assert_ok(ctx, oclin_tensor_wrap(&meets, ctx, OCLIN_F32, parts[1], (int64_t)step + 1, 1, 1, 1));
    assert_true(oclin_tensor_overlap(meets, t[2]) && oclin_tensor_overlap(meets, whole));
    assert_false(oclin_tensor_overlap(meets, t[1]) || oclin_tensor_overlap(t[0], t[1]) ||
                 oclin_tensor_overlap(t[1], t[2]));
    const uint64_t before[2] = {t[2]->version, t[1]->version};
    assert_ok(ctx, oclin_tensor_touch(meets));
    assert_true(t[2]->version > before[0] && t[1]->version == before[1]);
    assert_refused(ctx, OCLIN_E_SHAPE, "holds",
                   oclin_tensor_wrap(&meets, ctx, OCLIN_F32, parts[0], 1, 1, (int64_t)step, (int64_t)step));
    for (int i = 0; i < 3; i++) oclin_tensor_destroy(t[i]);
    for (int i = 0; i < 3; i++) clReleaseMemObject(parts[i]);
    oclin_tensor_destroy(whole);
    clReleaseMemObject(parent);
}

/* A part is retained, and a view of it holds it alone. */
static void test_part_is_retained(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    const size_t step = origin_step(ctx);
    cl_mem parent = make_parent(ctx, CL_MEM_READ_WRITE, 2 * step), part = make_part(parent, 0, step, step);
    oclin_tensor *t = NULL, *view = NULL;
    float got = 0;
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, OCLIN_F32, part, 0, 1, 4, 4));
    clReleaseMemObject(part);
    clReleaseMemObject(parent);
    assert_ok(ctx, oclin_tensor_view(&view, t, 2, 1, 1, 1));
    assert_ptr_equal(oclin_tensor_cl_mem(view), part);
    assert_ok(ctx, oclin_tensor_write(t, (float[]){1, 2, 3, 4}));
    oclin_tensor_destroy(t);
    assert_ok(ctx, oclin_tensor_read(view, &got));
    assert_true(got == 3.0f);
    oclin_tensor_destroy(view);
}

/* Elements have four bytes: a start in between is refused, wherever the tensor would begin. */
static void test_part_at_odd_byte(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    cl_context handle;
    cl_int error;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_mem parent = clCreateBuffer(handle, CL_MEM_READ_WRITE, 4096, NULL, &error);
    const cl_buffer_region region = {1024, 1024};
    cl_mem part = clCreateSubBuffer(parent, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &error);
    assert_int_equal(error, CL_SUCCESS);
    for (size_t byte = 1024; byte < 1032; byte++) {
        oclin_tensor *t = NULL;
        said_origin = byte;
        const oclin_status status = oclin_tensor_wrap(&t, ctx, OCLIN_F32, part, 1, 2, 2, 2);
        said_origin = 0;
        if (byte % 4 == 0)
            assert_ok(ctx, status);
        else
            assert_refused(ctx, OCLIN_E_ARG, "not a multiple of 4", status);
        oclin_tensor_destroy(t);
    }
    clReleaseMemObject(part);
    clReleaseMemObject(parent);
}

/* A part without flags of its own takes those of its parent. */
static void test_part_of_read_only(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    const size_t step = origin_step(ctx);
    cl_mem parent = make_parent(ctx, CL_MEM_READ_ONLY, step), part = make_part(parent, 0, 0, step);
    oclin_tensor *t = NULL;
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, OCLIN_F32, part, 0, 1, 4, 4));
    assert_refused(ctx, OCLIN_E_ARG, "READ_ONLY", oclin_tensor_fill(t, 1.0));
    oclin_tensor_destroy(t);
    clReleaseMemObject(part);
    clReleaseMemObject(parent);
}

/* -------------------------------------------------------------------------------------------- alignment */

/* Of a window, 16 bytes at every row, in a buffer on host memory that is `skew` floats past such a multiple.
 */
struct alignment_case {
    int64_t skew, offset, rows, cols, stride;
    int aligned;
};

static struct alignment_case alignment_cases[] = {
    {0, 0, 3, 5, 8, 1}, {0, 4, 3, 5, 8, 1}, {0, 1, 3, 5, 8, 0}, {0, 0, 3, 5, 6, 0},
    {0, 0, 1, 5, 6, 1}, {0, 2, 1, 5, 5, 0}, {1, 0, 3, 5, 8, 0}, {1, 3, 3, 5, 8, 0}, /* it never says so */
    {2, 0, 1, 4, 4, 0},
};

static void test_alignment(void **state)
{
    const struct alignment_case *c = *state;
    oclin_context *ctx = context();
    enum { N = 64 };
    float *memory = new_array(float, N + 8);
    float *base = memory;
    while ((uintptr_t)base % 16) base++;
    cl_context handle;
    cl_int error;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_mem buffer = clCreateBuffer(handle, CL_MEM_USE_HOST_PTR, N * sizeof *base, base + c->skew, &error);
    assert_int_equal(error, CL_SUCCESS);
    oclin_tensor *t = NULL, *view = NULL;
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, OCLIN_F32, buffer, c->offset, c->rows, c->cols, c->stride));
    assert_int_equal(t->aligned, c->aligned);
    assert_ok(ctx, oclin_tensor_view(&view, t, 0, c->rows, c->cols, c->stride));
    assert_int_equal(view->aligned, c->aligned);
    oclin_tensor_destroy(view);
    oclin_tensor_destroy(t);
    clReleaseMemObject(buffer);
    free(memory);
}

/* -------------------------------------------------------------------------------------------- unspecified */

/* Windows of an arena of 24 elements: rows, cols, stride, first. */
enum { ARENA = 24, WINDOWS = 12 };
static const int64_t windows[WINDOWS][4] = {
    {1, 24, 24, 0}, /* all of it */
    {4, 3, 3, 0},   /* 0 to 11 without gaps */
    {1, 3, 3, 3},   /* its second row */
    {1, 1, 1, 11},  /* its last element */
    {4, 2, 3, 0},   /* its left two columns */
    {4, 2, 3, 1},   /* its right two columns: they end where it ends */
    {2, 3, 9, 0},   /* its first and last row: they begin and end where it does */
    {3, 3, 3, 0},   /* all but the last row */
    {4, 3, 3, 1},   /* one further: begins later, ends later */
    {2, 2, 3, 4},   /* a block in the middle */
    {1, 12, 12, 0}, /* the same elements as one row */
    {1, 2, 2, 20},  /* far away */
};

/* By a write that is over. Of whom it covers whole: that is known where t has no gaps, or u is one row or has
 * its stride. */
static int must_heal(const oclin_tensor *t, const oclin_tensor *u)
{
    const int has_gaps = t->rows > 1 && t->stride > t->cols;
    const int decided = !has_gaps || u->rows <= 1 || u->stride == t->stride;
    return decided && (elements_of(u) & ~elements_of(t)) == 0;
}

/* A failed call has left anything in u. A write of some elements does not make up for the others; one of all
 * elements does. */
static void test_healing(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, ARENA, NULL), *t[WINDOWS];
    int healed = 0, partly = 0;
    for (int i = 0; i < WINDOWS; i++)
        assert_ok(ctx, oclin_tensor_wrap(&t[i], ctx, OCLIN_F32, oclin_tensor_cl_mem(arena), windows[i][3],
                                         windows[i][0], windows[i][1], windows[i][2]));
    for (int i = 0; i < WINDOWS; i++)
        for (int j = 0; j < WINDOWS; j++) {
            assert_ok(ctx, oclin_tensor_fill(arena, 1.0));
            oclin_tensor_written(t[j], OCLIN_E_CL);
            assert_ok(ctx, oclin_tensor_fill(t[i], 2.0));
            const uint64_t left = elements_of(t[j]) & ~elements_of(t[i]);
            float got[ARENA];
            const oclin_status status = oclin_tensor_read(t[j], got);
            if (left ? status != OCLIN_E_STATE : must_heal(t[i], t[j]) && status != OCLIN_OK)
                fail_msg("window %d is unspecified, %d is filled: reading %d gives %s", j, i, j,
                         oclin_status_name(status));
            healed += status == OCLIN_OK;
            partly += left && (elements_of(t[j]) & elements_of(t[i]));
        }
    assert_true(healed > WINDOWS && partly > WINDOWS);
    for (int i = 0; i < WINDOWS; i++) oclin_tensor_destroy(t[i]);
    oclin_tensor_destroy(arena);
}

/* What looks at an unspecified tensor later, by a view or a wrapper, cannot be read either; what lies beside
 * it can. */
static void test_new_on_unspecified(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, ARENA, NULL), *lost;
    assert_ok(ctx, oclin_tensor_fill(arena, 1.0));
    assert_ok(ctx, oclin_tensor_view(&lost, arena, 3, 2, 3, 6)); /* 3 4 5, 9 10 11 */
    const uint64_t elements = elements_of(lost);
    float got[ARENA];
    int spared = 0;
    oclin_tensor_written(lost, OCLIN_E_CL);
    arena->unspecified = 0; /* so that it is the window which says so */
    for (int by_wrap = 0; by_wrap < 2; by_wrap++)
        for (int i = 0; i < WINDOWS; i++) {
            oclin_tensor *t;
            const int64_t *w = windows[i];
            assert_ok(ctx, by_wrap ? oclin_tensor_wrap(&t, ctx, OCLIN_F32, oclin_tensor_cl_mem(arena), w[3],
                                                       w[0], w[1], w[2])
                                   : oclin_tensor_view(&t, arena, w[3], w[0], w[1], w[2]));
            const int meets = (elements_of(t) & elements) != 0;
            const oclin_status status = oclin_tensor_read(t, got);
            if (status != (meets ? OCLIN_E_STATE : OCLIN_OK))
                fail_msg("window %d gives %s", i, oclin_status_name(status));
            spared += status == OCLIN_OK;
            oclin_tensor_destroy(t);
        }
    assert_true(spared > 0);
    oclin_tensor_destroy(lost);
    oclin_tensor_destroy(arena);
}

/* A write that was not finished is lost with a finish that fails, also for who looked at it between: a view
 * or a wrapper that was made after the write, and never written itself. What was finished before is as it
 * was. */
static void test_lost_epoch(void **state)
{
    (void)state;
    for (int by_wrap = 0; by_wrap < 2; by_wrap++) {
        oclin_context *ctx = make_context("plain");
        float got[ARENA];
        oclin_tensor *t[2], *views[2];
        for (int i = 0; i < 2; i++) {
            t[i] = make_tensor(ctx, OCLIN_F32, 1, ARENA, NULL);
            assert_ok(ctx, oclin_tensor_fill(t[i], 1.0));
        }
        assert_ok(ctx, oclin_context_finish(ctx));
        assert_ok(ctx, oclin_tensor_fill(t[1], 2.0)); /* the second alone */
        for (int i = 0; i < 2; i++)
            assert_ok(ctx, by_wrap ? oclin_tensor_wrap(&views[i], ctx, OCLIN_F32, oclin_tensor_cl_mem(t[i]),
                                                       4, 1, 4, 4)
                                   : oclin_tensor_view(&views[i], t[i], 4, 1, 4, 4));
        oclin_tensors_lose_epoch(ctx); /* as a finish that fails does */
        for (int i = 0; i < 2; i++) {
            assert_status(ctx, i ? OCLIN_E_STATE : OCLIN_OK, oclin_tensor_read(t[i], got));
            assert_status(ctx, i ? OCLIN_E_STATE : OCLIN_OK, oclin_tensor_read(views[i], got));
        }
        for (int i = 0; i < 2; i++) {
            oclin_tensor_destroy(views[i]);
            oclin_tensor_destroy(t[i]);
        }
        oclin_context_destroy(ctx);
    }
}

/* Who shares elements with what is written is told which: the first and the last of both. */
static void test_sentence(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, ARENA, NULL), *x, *y;
    oclin_layer *l;
    assert_ok(ctx, oclin_tensor_fill(arena, 1.0));
    assert_ok(ctx, oclin_tensor_view(&x, arena, 2, 2, 3, 3));
    assert_ok(ctx, oclin_tensor_view(&y, arena, 7, 2, 4, 5));
    assert_ok(ctx, oclin_layer_create(&l, ctx, 3, 4, NULL));
    assert_refused(ctx, OCLIN_E_ARG, "y (elements 7 to 15) and x (2 to 7)", oclin_layer_infer(l, x, y));
    oclin_layer_destroy(l);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(arena);
}

/* ------------------------------------------------------------------------------------- flags of a buffer */

/* A buffer of these flags; what is refused of it, for a tensor, a view of that, and a view of the view. */
struct flag_case {
    const char *what;
    cl_mem_flags flags;
    int reads, writes, kernel_writes;
};
static struct flag_case flag_cases[] = {{"HOST_NO_ACCESS", CL_MEM_HOST_NO_ACCESS, 0, 0, 1},
                                        {"HOST_READ_ONLY", CL_MEM_HOST_READ_ONLY, 1, 0, 1},
                                        {"HOST_WRITE_ONLY", CL_MEM_HOST_WRITE_ONLY, 0, 1, 1},
                                        {"READ_ONLY", CL_MEM_READ_ONLY, 1, 0, 0},
                                        {"WRITE_ONLY", CL_MEM_WRITE_ONLY, 0, 1, 1}};

static void test_flags_of_views(void **state)
{
    const struct flag_case *c = *state;
    oclin_context *ctx = context();
    cl_mem buffer = make_parent(ctx, c->flags, 16);
    oclin_tensor *t[3];
    float host[16] = {0};
    assert_ok(ctx, oclin_tensor_wrap(&t[0], ctx, OCLIN_F32, buffer, 0, 4, 4, 4));
    assert_ok(ctx, oclin_tensor_view(&t[1], t[0], 4, 2, 2, 4));
    assert_ok(ctx, oclin_tensor_view_rows(&t[2], t[1], 1, 1));
    for (int i = 0; i < 3; i++) {
        assert_status(ctx, c->writes ? OCLIN_OK : OCLIN_E_ARG, oclin_tensor_write(t[i], host));
        assert_status(ctx, c->kernel_writes ? OCLIN_OK : OCLIN_E_ARG, oclin_tensor_fill(t[i], 1.0));
        assert_status(ctx, c->reads ? OCLIN_OK : OCLIN_E_ARG, oclin_tensor_read(t[i], host));
    }
    for (int i = 0; i < 3; i++) oclin_tensor_destroy(t[i]);
    clReleaseMemObject(buffer);
}

static void add_states(struct test_list *list)
{
    add_test(list, test_healing, NULL, "unspecified/healed by a write of all of it");
    add_test(list, test_new_on_unspecified, NULL, "unspecified/views and wrappers made later");
    add_test(list, test_lost_epoch, NULL, "unspecified/views made before a finish that fails");
    add_test(list, test_sentence, NULL, "overlap/which elements");
    for (size_t i = 0; i < COUNT_OF(flag_cases); i++)
        add_test(list, test_flags_of_views, &flag_cases[i], "flags/views of a %s buffer", flag_cases[i].what);
}

int main(int argc, char **argv)
{
    static int numbers[WAYS];
    struct test_list list = {0};
    add_test(&list, test_overlap, NULL, "overlap/against sets of elements");
    add_test(&list, test_overlap_random, NULL, "overlap/random pairs");
    add_test(&list, test_overlap_many_rows, NULL, "overlap/many rows");
    add_test(&list, test_overlap_made, NULL, "overlap/made to meet, or not to");
    add_test(&list, test_interleaved, NULL, "overlap/interleaved operands");
    add_test(&list, test_overlap_of_other_memory, NULL, "overlap/other memory");
    add_test(&list, test_overlap_far_away, NULL, "overlap/beyond 32 bits");
    add_test(&list, test_intervals, NULL, "many/intervals against a list");
    add_test(&list, test_many_intervals, NULL, "many/a flat tree");
    add_test(&list, test_many_views, NULL, "many/views of a data set");
    add_test(&list, test_many_buffers, NULL, "many/buffers");
    for (int i = 0; i < WAYS; i++) {
        numbers[i] = i;
        add_test(&list, test_versions, &numbers[i], "versions/%s", ways[i]);
    }
    add_test(&list, test_reads_do_not_count, NULL, "versions/reads do not count");
    add_test(&list, test_parts_of_one_buffer, NULL, "sub-buffers/of one parent");
    add_test(&list, test_part_is_retained, NULL, "sub-buffers/retained");
    add_test(&list, test_part_at_odd_byte, NULL, "sub-buffers/at an odd byte");
    add_test(&list, test_part_of_read_only, NULL, "sub-buffers/of a read-only parent");
    for (size_t i = 0; i < COUNT_OF(alignment_cases); i++)
        add_test(&list, test_alignment, &alignment_cases[i],
                 "alignment/skew %d, offset %d, %d rows, stride %d", (int)alignment_cases[i].skew,
                 (int)alignment_cases[i].offset, (int)alignment_cases[i].rows,
                 (int)alignment_cases[i].stride);
    add_states(&list);
    const int code = run_list("sharing", &list, argc, argv);
    oclin_context_destroy(shared);
    return code;
}
