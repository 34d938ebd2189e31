/*
 * The gradients of a layer: accumulated, stepped with, cleared (zeros are only marked, and written when
 * somebody looks), handed in by the caller, and shared between two contexts.
 */
#include <math.h>

#include "layer_bench.h"
#include "oclin_internal.h"

/* ---------------------------------------------------------------------------------------------- gradients */

/* Each backward adds, until zero_grad. */
static void test_accumulate(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_RELU);
    forward(&b);
    for (int times = 1; times <= 3; times++) { /* backward does not consume what forward kept */
        backward(&b);
        check_gradients(&b, times);
    }
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    check_gradients(&b, 0);
    backward(&b);
    check_gradients(&b, 1);
    release(&b);
}

/* Each takes the same gradient again, until it is cleared. */
static void test_repeated_step(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    forward(&b);
    backward(&b);
    for (int times = 1; times <= 3; times++) {
        assert_ok(b.ctx, oclin_layer_step(b.l, 0.5f));
        check_parameters(&b, 0.5 * times);
    }
    check_gradients(&b, 1); /* a step does not clear */
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, oclin_layer_step(b.l, 0.5f)); /* a gradient of zero */
    check_parameters(&b, 1.5);
    release(&b);
}

/* A gradient that the caller has written is as good as a computed one, one of the two is enough. */
static void test_written_gradient(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_db(b.l), host_b));
    assert_ok(b.ctx, oclin_layer_step(b.l, 2.0f));
    check_sum(oclin_layer_w(b.l), host_w, 0, (double[NW]){0});
    check_sum(oclin_layer_b(b.l), host_b, -2, (double[]){host_b[0], host_b[1]});
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_b(b.l), host_b));
    forward(&b);
    backward(&b); /* adds to what was written, and to the zeros of the other */
    const struct truth t = truth_of(OCLIN_NONE);
    check_sum(oclin_layer_dw(b.l), NULL, 1, t.dw);
    check_sum(oclin_layer_db(b.l), host_b, 1, t.db);
    release(&b);
}

static const float lr_cases[] = {NAN, INFINITY, -INFINITY, -1e-9f};

/* A step that is refused changes no bit, not even of a NaN, and does not count as a write. */
static void test_lr(void **state)
{
    const float lr = *(const float *)*state;
    struct bench b = make_bench(OCLIN_NONE);
    float poison[NW], got[NW];
    fill_poison(poison, NW);
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_w(b.l), poison));
    const uint64_t version = oclin_layer_w(b.l)->version;
    assert_status(b.ctx, OCLIN_E_ARG, oclin_layer_step(b.l, lr));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_status(b.ctx, OCLIN_E_ARG, oclin_layer_backward_step(b.l, b.dy, b.dx, lr));
    assert_true(oclin_layer_w(b.l)->version == version);
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_w(b.l), got));
    check_same_bits("w", got, poison, NW);
    release(&b);
}

/* w - 0 dw: w beside numbers, and NaN beside what is none. It counts as a write. */
static void test_lr_0(void **state)
{
    const float lr = *state ? -0.0f : 0.0f;
    struct bench b = make_bench(OCLIN_NONE);
    const struct truth t = truth_of(OCLIN_NONE);
    const float odd[NW] = {NAN, INFINITY, -INFINITY};
    float got[NW];
    forward(&b);
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, b.dy, b.dx, lr));
    check_sum(b.dx, NULL, 1, t.dx);
    check_parameters(&b, 0);
    backward(&b);
    const uint64_t version = oclin_layer_w(b.l)->version;
    assert_ok(b.ctx, oclin_layer_step(b.l, lr));
    check_parameters(&b, 0);
    assert_true(oclin_layer_w(b.l)->version == version + 1);
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_dw(b.l), odd));
    assert_ok(b.ctx, oclin_layer_step(b.l, lr));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_w(b.l), got));
    for (int i = 0; i < NW; i++) assert_true(i < 3 ? isnan(got[i]) : got[i] == host_w[i]);
    assert_ok(b.ctx, oclin_tensor_fill(b.dy, INFINITY));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    forward(&b);
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, b.dy, NULL, lr));
    assert_ok(b.ctx, oclin_tensor_read(oclin_layer_b(b.l), got));
    for (int i = 0; i < OUT; i++) assert_true(isnan(got[i]));
    release(&b);
}

/* zero_grad is seen through the tensors, through an arena around them and in the cl_mem; neighbours keep
 * theirs. */
static void test_zero_grad_through_arena(void **state)
{
    (void)state;
    oclin_context *ctx = shared_context();
    enum { N = 16 };
    float numbers[N], got[N];
    for (int i = 0; i < N; i++) numbers[i] = (float)(i + 1);
    oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, N, numbers);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    assert_ok(ctx, oclin_tensor_view(&options.dw, arena, 3, OUT, IN, 5)); /* 3 4 5, 8 9 10 */
    assert_ok(ctx, oclin_tensor_view(&options.db, arena, 12, 1, OUT, OUT));
    oclin_layer *l = NULL;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &options));
    for (int round = 0; round < 2; round++) {
        assert_ok(ctx, oclin_layer_zero_grad(l));
        assert_ok(ctx, oclin_tensor_read(arena, got));
        for (int i = 0; i < N; i++) {
            const int inside = (i >= 3 && i < 6) || (i >= 8 && i < 11) || i == 12 || i == 13;
            assert_true(got[i] == (inside ? 0.0f : numbers[i]));
        }
        assert_ok(ctx, oclin_tensor_write(arena, numbers)); /* over everything: written, no longer cleared */
        assert_ok(ctx, oclin_tensor_read(options.dw, got));
        assert_true(got[0] == 4.0f && got[5] == 11.0f);
        assert_ok(ctx, oclin_layer_zero_grad(l));
        assert_ok(ctx, oclin_tensor_touch(arena)); /* the same: what lies there counts */
        assert_ok(ctx, oclin_tensor_read(arena, got));
    }
    oclin_layer_destroy(l);
    oclin_tensor_destroy(options.dw);
    oclin_tensor_destroy(options.db);
    oclin_tensor_destroy(arena);
}

/* A layer is dropped whose gradient is only marked as zero: the zeros stay for who looks at that memory. */
static void test_zero_grad_and_drop(void **state)
{
    (void)state;
    oclin_context *ctx = shared_context();
    const float numbers[8] = {1, 2, 3, 4, 5, 6, 7, 8};
    cl_context handle;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    for (int wrapped = 0; wrapped < 2; wrapped++) {
        cl_mem m =
            clCreateBuffer(handle, CL_MEM_COPY_HOST_PTR, sizeof numbers, (void *)(uintptr_t)numbers, NULL);
        oclin_tensor *arena = NULL;
        oclin_layer *l = NULL;
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        assert_ok(ctx, oclin_tensor_wrap(&arena, ctx, OCLIN_F32, m, 0, 1, 8, 8));
        assert_ok(ctx, oclin_tensor_view(&options.dw, arena, 1, 2, 2, 3));
        if (wrapped) oclin_tensor_destroy(arena);
        assert_ok(ctx, oclin_layer_create(&l, ctx, 2, 2, &options));
        assert_ok(ctx, oclin_layer_zero_grad(l));
        oclin_tensor_destroy(options.dw);
        oclin_layer_destroy(l);
        if (wrapped) assert_ok(ctx, oclin_tensor_wrap(&arena, ctx, OCLIN_F32, m, 0, 1, 8, 8));
        check_sum(arena, NULL, 1, (double[]){1, 0, 0, 4, 0, 0, 7, 8});
        oclin_tensor_destroy(arena);
        clReleaseMemObject(m);
    }
}

/* Half of a cleared gradient is overwritten: the other half is zero. */
static void test_write_into_cleared(void **state)
{
    const int by_write = (int)(intptr_t)*state;
    const float sevens[IN] = {7, 7, 7};
    struct bench b = make_bench(OCLIN_NONE);
    oclin_tensor *dw = oclin_layer_dw(b.l), *row = NULL;
    assert_ok(b.ctx, oclin_tensor_view(&row, dw, IN, 1, IN, IN));
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, by_write ? oclin_tensor_write(row, sevens) : oclin_tensor_fill(row, 7.0));
    check_sum(dw, NULL, 1, (double[]){0, 0, 0, 7, 7, 7});
    oclin_tensor_destroy(row);
    release(&b);
}

/* What lies in the cl_mem when it is taken: the zeros that until then were only a mark. */
static void test_cl_mem_is_settled(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    cl_command_queue queue;
    float got[NW];
    const float zeros[NW] = {0};
    fill_poison(got, NW);
    forward(&b);
    backward(&b);
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    assert_ok(b.ctx, oclin_context_cl(b.ctx, NULL, NULL, &queue));
    cl_mem memory = oclin_tensor_cl_mem(oclin_layer_dw(b.l));
    assert_int_equal(clEnqueueReadBuffer(queue, memory, CL_TRUE, 0, sizeof got, got, 0, NULL, NULL),
                     CL_SUCCESS);
    check_same_bits("dw", got, zeros, NW);
    release(&b);
}

/* Whoever reads a cleared gradient of another layer reads zeros, and not what memory still holds: as dy,
 * of backward and of its fused step; */
static void test_cleared_is_read_as_dy(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    oclin_layer *owner;
    forward(&b);
    oclin_tensor *dy = cleared_gradient(b.ctx, &owner, BATCH, OUT);
    assert_ok(b.ctx, oclin_layer_backward(b.l, dy, b.dx));
    check_zeros(b.dx);
    check_zeros(oclin_layer_dw(b.l));
    check_zeros(oclin_layer_db(b.l));
    assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    oclin_layer_destroy(owner);
    dy = cleared_gradient(b.ctx, &owner, BATCH, OUT);
    assert_ok(b.ctx, oclin_layer_backward_step(b.l, dy, b.dx, 1.0f));
    check_zeros(b.dx);
    oclin_layer_destroy(owner);
    release(&b);
}

/* as x, and as w; */
static void test_cleared_is_read_as_x_or_w(void **state)
{
    const int is_w = (int)(intptr_t)*state;
    struct bench b = make_bench(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *owner, *reader;
    oclin_tensor *cleared = cleared_gradient(b.ctx, &owner, is_w ? OUT : BATCH, IN);
    options.bias = 0;
    if (is_w) options.w = cleared;
    assert_ok(b.ctx, oclin_layer_create(&reader, b.ctx, IN, OUT, &options));
    assert_ok(b.ctx, is_w ? oclin_layer_infer(reader, b.x, b.y) : oclin_layer_forward(reader, cleared, b.y));
    check_zeros(b.y);
    oclin_layer_destroy(reader);
    oclin_layer_destroy(owner);
    release(&b);
}

/* and as each of the operands of a loss. */
static void test_cleared_is_read_by_a_loss(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    oclin_layer *owner;
    oclin_tensor *loss = make_tensor(b.ctx, OCLIN_F32, 1, 1, NULL);
    oclin_tensor *y = cleared_gradient(b.ctx, &owner, BATCH, OUT);
    assert_ok(b.ctx, oclin_tensor_fill(b.y, 0.0));
    assert_ok(b.ctx, oclin_loss_mse(y, b.y, loss, b.dy, NULL));
    check_zeros(loss);
    check_zeros(b.dy);
    assert_ok(b.ctx, oclin_layer_zero_grad(owner));
    assert_ok(b.ctx, oclin_tensor_fill(y, 7.0));
    assert_ok(b.ctx, oclin_layer_zero_grad(owner));
    assert_ok(b.ctx, oclin_loss_mse(b.y, y, loss, b.dy, NULL));
    check_zeros(loss);
    check_zeros(b.dy);
    oclin_layer_destroy(owner);
    oclin_tensor_destroy(loss);
    release(&b);
}

/* Marked zeros of memory that holds sevens, used as the bias or the weights of a layer: each call that reads
 * them sees zeros. A gradient of the owner is marked anew before each. */
static void test_cleared_parameter(void **state)
{
    const int is_w = (int)(intptr_t)*state;
    for (int call = DO_FORWARD; call < CALLS; call++) {
        struct bench b = make_bench(OCLIN_NONE);
        const struct truth t = truth_of(OCLIN_NONE);
        const float zeros[NW] = {0};
        oclin_layer *owner;
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        oclin_tensor *marked = cleared_gradient(b.ctx, &owner, is_w ? OUT : 1, is_w ? IN : OUT);
        oclin_layer_destroy(b.l);
        options.w = is_w ? marked : make_tensor(b.ctx, OCLIN_F32, OUT, IN, host_w);
        options.b = is_w ? make_tensor(b.ctx, OCLIN_F32, 1, OUT, host_b) : marked;
        assert_ok(b.ctx, oclin_layer_create(&b.l, b.ctx, IN, OUT, &options));
        forward(&b);
        if (call == DO_STEP) backward(&b);
        assert_ok(b.ctx, oclin_tensor_fill(marked, 7.0));
        assert_ok(b.ctx, oclin_layer_zero_grad(owner));
        assert_true(marked->zero_pending);
        assert_ok(b.ctx, one_call(&b, call));
        if (call == DO_FORWARD || call == DO_INFER) { /* y with W or b of zeros */
            double y[NY];
            const struct oclin_ref_case c = OCLIN_REF_CASE_INIT(BATCH, IN, OUT);
            oclin_ref_forward(&c, host_x, is_w ? zeros : host_w, is_w ? host_b : zeros, NULL, NULL, y, NULL);
            check_sum(b.y, NULL, 1, y);
        }
        if (is_w && (call == DO_BACKWARD || call == DO_BACKWARD_STEP)) check_zeros(b.dx);
        if (call == DO_BACKWARD_STEP || call == DO_STEP) check_sum(marked, NULL, -0.5, is_w ? t.dw : t.db);
        oclin_tensor_destroy(is_w ? options.b : options.w);
        release(&b);
        oclin_layer_destroy(owner);
    }
}

/* Elements of a cleared gradient that were written past oclin stay, wherever they lie in its rows; all
 * others become zero, on both sides of them and in all rows. */
struct touched {
    int64_t first, count;
};
static const struct touched touched[] = {{1, 1}, {2, 1}, {3, 1},  {5, 2}, {6, 1}, {6, 2},
                                         {6, 4}, {2, 9}, {11, 1}, {0, 2}, {11, 3}};

static void test_touch_in_cleared(void **state)
{
    enum { N = 16 };
    const struct touched *part = *state;
    oclin_context *ctx = shared_context();
    cl_context handle;
    cl_command_queue queue;
    float sevens[N], ones[N];
    double want[N];
    for (int i = 0; i < N; i++) {
        const int of_dw = i >= 1 && i < 12 && i % 4 != 0;
        const int is_touched = i >= part->first && i < part->first + part->count;
        ones[i] = 1;
        sevens[i] = 7;
        want[i] = is_touched ? 7 : of_dw ? 0 : 1;
    }
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, &queue));
    cl_mem m = clCreateBuffer(handle, CL_MEM_COPY_HOST_PTR, sizeof ones, ones, NULL);
    oclin_tensor *all = NULL, *written = NULL;
    oclin_layer *l = NULL;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    assert_ok(ctx, oclin_tensor_wrap(&all, ctx, OCLIN_F32, m, 0, 1, N, N));
    assert_ok(ctx, oclin_tensor_wrap(&options.dw, ctx, OCLIN_F32, m, 1, 3, 3, 4)); /* 1-3, 5-7, 9-11 */
    assert_ok(ctx, oclin_tensor_wrap(&written, ctx, OCLIN_F32, m, part->first, 1, part->count, part->count));
    assert_ok(ctx, oclin_layer_create(&l, ctx, 3, 3, &options));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_int_equal(clEnqueueWriteBuffer(queue, m, CL_TRUE, (size_t)part->first * sizeof(float),
                                          (size_t)part->count * sizeof(float), sevens, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_ok(ctx, oclin_tensor_touch(written));
    check_sum(all, NULL, 1, want);
    oclin_layer_destroy(l);
    oclin_tensor *const tensors[] = {options.dw, written, all};
    destroy_all(tensors, COUNT_OF(tensors));
    clReleaseMemObject(m);
}

/* To ask for dW and db, and to clear them, is not to compute them. */
static void test_asked_and_cleared(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    assert_non_null(oclin_layer_dw(b.l));
    assert_non_null(oclin_layer_db(b.l));
    for (int i = 0; i < 2; i++) {
        assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
        assert_refused(b.ctx, OCLIN_E_STATE, "before any gradient", oclin_layer_step(b.l, 1.0f));
    }
    assert_ok(b.ctx,
              oclin_tensor_write(oclin_layer_db(b.l), host_b)); /* a gradient that somebody has written */
    assert_ok(b.ctx, oclin_layer_step(b.l, 1.0f));
    release(&b);
}

/* -------------------------------------------------------------------------------- gradients handed in */

/* A layer on the gradients of another one, or on a tensor with numbers: its creation changes nothing,
 * whatever they are; backward adds to them, and step applies them. */
static void test_creation_changes_nothing(void **state)
{
    const int cleared = (int)(intptr_t)*state;
    struct bench b = make_bench(OCLIN_NONE);
    const struct truth t = truth_of(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *second = NULL;
    float before[4][NW], after[4][NW];
    forward(&b);
    backward(&b);
    if (cleared) assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    oclin_tensor *const all[] = {options.w = oclin_layer_w(b.l), options.b = oclin_layer_b(b.l),
                                 options.dw = oclin_layer_dw(b.l), options.db = oclin_layer_db(b.l)};
    uint64_t versions[4];
    for (int i = 0; i < 4; i++) versions[i] = all[i]->version;
    if (!cleared)
        for (int i = 0; i < 4; i++) assert_ok(b.ctx, oclin_tensor_read(all[i], before[i]));
    assert_ok(b.ctx, oclin_layer_create(&second, b.ctx, IN, OUT, &options));
    for (int i = 0; i < 4; i++) assert_true(all[i]->version == versions[i]);
    for (int i = 2; i < 4; i++) assert_true(all[i]->cleared == cleared && all[i]->zero_pending == cleared);
    if (!cleared)
        for (int i = 0; i < 4; i++) {
            assert_ok(b.ctx, oclin_tensor_read(all[i], after[i]));
            check_same_bits("what was handed in", after[i], before[i], i % 2 ? OUT : NW);
        }
    /* the first one goes on as if nothing had happened */
    backward(&b);
    check_gradients(&b, cleared ? 1 : 2);
    /* so does the second: its backward adds, its step applies what there is */
    assert_ok(b.ctx, oclin_layer_forward(second, b.x, b.y));
    assert_refused(b.ctx, OCLIN_E_STATE, "zero_grad", oclin_layer_backward_step(second, b.dy, b.dx, 1.0f));
    assert_ok(b.ctx, oclin_layer_backward(second, b.dy, b.dx));
    check_gradients(&b, cleared ? 2 : 3);
    assert_ok(b.ctx, oclin_layer_step(second, 1.0f));
    check_sum(all[0], host_w, cleared ? -2 : -3, t.dw);
    oclin_layer_destroy(second);
    release(&b);
}

/* Whether there is a gradient to step with, right after creation: only where somebody has computed or
 * written one. */
static void test_step_with_handed_in(void **state)
{
    enum { NEVER_WRITTEN, CLEARED, WRITTEN, KINDS };
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    const float ones[NW] = {1, 1, 1, 1, 1, 1};
    options.bias = 0;
    for (int kind = NEVER_WRITTEN; kind < KINDS; kind++) {
        oclin_layer *l = NULL, *owner = NULL;
        if (kind == CLEARED) assert_ok(b.ctx, oclin_layer_create(&owner, b.ctx, IN, OUT, NULL));
        options.dw = owner ? oclin_tensor_retain(oclin_layer_dw(owner))
                           : make_tensor(b.ctx, OCLIN_F32, OUT, IN, kind == WRITTEN ? ones : NULL);
        assert_ok(b.ctx, oclin_layer_create(&l, b.ctx, IN, OUT, &options));
        if (kind == WRITTEN)
            assert_ok(b.ctx, oclin_layer_step(l, 1.0f));
        else
            assert_refused(b.ctx, OCLIN_E_STATE, "gradient", oclin_layer_step(l, 1.0f));
        oclin_layer_destroy(l);
        oclin_layer_destroy(owner);
        oclin_tensor_destroy(options.dw);
    }
    release(&b);
}

/* Memory of which no element was ever written is a cleared gradient, whatever lies there; also a part of
 * an arena whose other parts were. One element that was written makes it a gradient. */
static void test_never_written_gradient(void **state)
{
    const int with_one = (int)(intptr_t)*state;
    struct bench b = make_bench(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_tensor *arena = make_tensor(b.ctx, OCLIN_F32, 1, 32, NULL), *part = NULL;
    cl_command_queue queue;
    const float seven = 7;
    assert_ok(b.ctx, oclin_context_cl(b.ctx, NULL, NULL, &queue));
    assert_int_equal(clEnqueueFillBuffer(queue, oclin_tensor_cl_mem(arena), &seven, sizeof seven, 0,
                                         32 * sizeof seven, 0, NULL, NULL),
                     CL_SUCCESS); /* not announced: to oclin it is as it came */
    assert_ok(b.ctx, oclin_tensor_view(&part, arena, 0, 1, 10 + with_one, 32));
    assert_ok(b.ctx, oclin_tensor_fill(part, 3.0));
    assert_ok(b.ctx, oclin_tensor_view(&options.dw, arena, 10, OUT, IN, 5)); /* 10 to 12, 15 to 17 */
    assert_ok(b.ctx, oclin_tensor_view(&options.db, arena, 20, 1, OUT, OUT));
    options.w = oclin_layer_w(b.l);
    options.b = oclin_layer_b(b.l);
    oclin_layer *l = NULL;
    assert_ok(b.ctx, oclin_layer_create(&l, b.ctx, IN, OUT, &options));
    assert_int_equal(options.dw->cleared, !with_one);
    assert_int_equal(options.db->cleared, 1);
    if (!with_one) {
        const struct truth t = truth_of(OCLIN_NONE);
        check_sum(options.dw, NULL, 0, t.dw);
        check_sum(part, NULL, 1, (double[]){3, 3, 3, 3, 3, 3, 3, 3, 3, 3});
        assert_ok(b.ctx, oclin_layer_forward(l, b.x, b.y));
        assert_ok(b.ctx, oclin_layer_backward(l, b.dy, NULL));
        check_sum(options.dw, NULL, 1, t.dw);
        check_sum(options.db, NULL, 1, t.db);
    }
    oclin_layer_destroy(l);
    oclin_tensor *const all[] = {options.dw, options.db, part, arena};
    destroy_all(all, COUNT_OF(all));
    release(&b);
}

/* The caller's memory counts as written: what is there is a gradient. */
static void test_wrapped_gradient(void **state)
{
    (void)state;
    struct bench b = make_bench(OCLIN_NONE);
    const struct truth t = truth_of(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    cl_context handle;
    const float old[NW] = {1, 2, 3, 4, 5, 6};
    assert_ok(b.ctx, oclin_context_cl(b.ctx, &handle, NULL, NULL));
    cl_mem m = clCreateBuffer(handle, CL_MEM_COPY_HOST_PTR, sizeof old, (void *)(uintptr_t)old, NULL);
    oclin_layer *l = NULL;
    assert_ok(b.ctx, oclin_tensor_wrap(&options.dw, b.ctx, OCLIN_F32, m, 0, OUT, IN, IN));
    options.w = oclin_layer_w(b.l);
    options.bias = 0;
    assert_ok(b.ctx, oclin_layer_create(&l, b.ctx, IN, OUT, &options));
    assert_ok(b.ctx, oclin_layer_forward(l, b.x, b.y));
    assert_ok(b.ctx, oclin_layer_backward(l, b.dy, NULL));
    check_sum(options.dw, old, 1, t.dw);
    oclin_layer_destroy(l);
    oclin_tensor_destroy(options.dw);
    clReleaseMemObject(m);
    release(&b);
}

/* ------------------------------------------------------------------------- two contexts, the same memory */

/* Two oclin contexts on one cl_context, with one queue or one each; the layer and its tensors are the
 * first one's. */
struct pair {
    struct bench b;
    oclin_context *other;
    cl_command_queue queue; /* of the second one, if it has its own */
};

static struct pair make_pair(int queues)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    struct pair p = {.b = make_bench_in(make_context("plain"), OCLIN_NONE)};
    assert_ok(p.b.ctx,
              oclin_context_cl(p.b.ctx, &options.cl_context_handle, &options.cl_device, &options.cl_queue));
    if (queues == 2)
        options.cl_queue = p.queue =
            clCreateCommandQueue(options.cl_context_handle, options.cl_device, 0, NULL);
    options.plan = "plain";
    p.other = make_context_with(options);
    return p;
}

static void release_pair(struct pair *p)
{
    oclin_context *ctx = p->b.ctx;
    release(&p->b);
    oclin_context_destroy(p->other);
    if (p->queue) clReleaseCommandQueue(p->queue);
    oclin_context_destroy(ctx);
}

/* The other context's tensor on the same elements. */
static oclin_tensor *seen_by(oclin_context *other, oclin_tensor *t)
{
    oclin_tensor *seen = NULL;
    assert_ok(other,
              oclin_tensor_wrap(&seen, other, OCLIN_F32, oclin_tensor_cl_mem(t), oclin_tensor_offset(t),
                                oclin_tensor_rows(t), oclin_tensor_cols(t), oclin_tensor_row_stride(t)));
    return seen;
}

/* The manual's recipe: memory changes hands. */
static void hand_over(const struct pair *p, oclin_tensor *from, oclin_tensor *to, int wrote)
{
    oclin_context *const giver = oclin_tensor_context(from), *const taker = oclin_tensor_context(to);
    cl_event event = NULL;
    assert_non_null(oclin_tensor_cl_mem(from));
    if (p->queue) {
        assert_ok(giver, oclin_context_mark(giver, &event));
        assert_ok(taker, oclin_context_wait_for(taker, 1, &event));
        clReleaseEvent(event);
    }
    if (wrote) assert_ok(taker, oclin_tensor_touch(to));
}

/* One gradient of two layers, a layer in each context: cleared in one, added to in both, stepped,
 * cleared in the other. */
static void test_pair_gradients(void **state)
{
    struct pair p = make_pair((int)(intptr_t)*state);
    struct bench *b = &p.b;
    const struct truth t = truth_of(OCLIN_NONE);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l = NULL;
    float got[NW];
    const float zeros[NW] = {0};
    options.bias = 0;
    forward(b);
    backward(b);
    oclin_tensor *const dw = oclin_layer_dw(b->l), *const w = oclin_layer_w(b->l);
    oclin_tensor *const x = seen_by(p.other, b->x), *const dy = seen_by(p.other, b->dy);
    oclin_tensor *const y = make_tensor(p.other, OCLIN_F32, BATCH, OUT, NULL);
    options.w = seen_by(p.other, w);
    options.dw = seen_by(p.other, dw);
    assert_ok(p.other, oclin_layer_create(&l, p.other, IN, OUT, &options));
    /* the first clears, the second reads zeros and adds to them */
    assert_ok(b->ctx, oclin_layer_zero_grad(b->l));
    hand_over(&p, dw, options.dw, 1);
    assert_ok(p.other, oclin_tensor_read(options.dw, got));
    check_same_bits("dw", got, zeros, NW);
    assert_ok(p.other, oclin_layer_forward(l, x, y));
    assert_ok(p.other, oclin_layer_backward(l, dy, NULL));
    /* the first adds as well, and steps */
    hand_over(&p, options.dw, dw, 1);
    backward(b);
    check_sum(dw, NULL, 2, t.dw);
    assert_ok(b->ctx, oclin_layer_step(b->l, 1.0f));
    check_sum(w, host_w, -2, t.dw);
    /* the second reads the new w, and clears; the first reads zeros */
    hand_over(&p, w, options.w, 1);
    hand_over(&p, dw, options.dw, 1);
    check_sum(options.w, host_w, -2, t.dw);
    assert_ok(p.other, oclin_layer_zero_grad(l));
    hand_over(&p, options.dw, dw, 1);
    check_sum(dw, NULL, 0, t.dw);
    /* the first clears and is dropped: the zeros are there for the second */
    assert_ok(b->ctx, oclin_tensor_fill(dw, 7.0));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->l));
    hand_over(&p, dw, options.dw, 1);
    oclin_layer_destroy(b->l);
    b->l = NULL;
    assert_ok(p.other, oclin_tensor_read(options.dw, got));
    check_same_bits("dw", got, zeros, NW);
    oclin_layer_destroy(l);
    oclin_tensor *const all[] = {x, dy, y, options.w, options.dw};
    destroy_all(all, COUNT_OF(all));
    release_pair(&p);
}

/* An input that the second context writes between a forward of the first and its backward: the first is
 * told, and refuses. */
static void test_pair_inputs(void **state)
{
    struct pair p = make_pair((int)(intptr_t)*state);
    struct bench *b = &p.b;
    oclin_tensor *const x = seen_by(p.other, b->x);
    forward(b);
    hand_over(&p, b->x, x, 0);
    assert_ok(p.other, oclin_tensor_fill(x, 100.0));
    hand_over(&p, x, b->x, 1);
    assert_refused(b->ctx, OCLIN_E_STATE, "x was written 1 times", oclin_layer_backward(b->l, b->dy, NULL));
    hand_over(&p, b->x, x, 0);
    assert_ok(p.other, oclin_tensor_write(x, host_x));
    hand_over(&p, x, b->x, 1);
    forward(b);
    backward(b);
    check_gradients(b, 1);
    oclin_tensor_destroy(x);
    release_pair(&p);
}

static void add_zero_grad(struct test_list *list)
{
    void *const no = NULL, *const yes = (void *)1;
    add_test(list, test_zero_grad_through_arena, NULL,
             "zero_grad/seen through an arena, and nothing beside it");
    add_test(list, test_zero_grad_and_drop, NULL, "zero_grad/zeros stay when the layer goes");
    for (size_t i = 0; i < COUNT_OF(touched); i++)
        add_test(list, test_touch_in_cleared, (void *)(uintptr_t)&touched[i],
                 "zero_grad/touched in it: the rest is zero, %d from %d on", (int)touched[i].count,
                 (int)touched[i].first);
    add_test(list, test_write_into_cleared, no, "zero_grad/partly filled: the rest is zero");
    add_test(list, test_write_into_cleared, yes, "zero_grad/partly written: the rest is zero");
    add_test(list, test_cl_mem_is_settled, NULL, "zero_grad/zeros lie in the cl_mem");
    add_test(list, test_cleared_is_read_as_dy, NULL, "zero_grad/read as dy of another");
    add_test(list, test_cleared_is_read_as_x_or_w, no, "zero_grad/read as x of another");
    add_test(list, test_cleared_is_read_as_x_or_w, yes, "zero_grad/read as given w of another");
    add_test(list, test_cleared_is_read_by_a_loss, NULL, "zero_grad/read by a loss");
    add_test(list, test_cleared_parameter, no, "zero_grad/as b of another");
    add_test(list, test_cleared_parameter, yes, "zero_grad/as w of another");
    add_test(list, test_asked_and_cleared, NULL, "zero_grad/asked for and cleared is not computed");
}

int main(int argc, char **argv)
{
    void *const no = NULL, *const yes = (void *)1;
    struct test_list list = {0};
    add_test(&list, test_accumulate, NULL, "gradients/accumulate");
    add_test(&list, test_repeated_step, NULL, "gradients/a step does not clear them");
    add_test(&list, test_written_gradient, NULL, "gradients/written are as good as computed");
    for (size_t i = 0; i < COUNT_OF(lr_cases); i++)
        add_test(&list, test_lr, (void *)(uintptr_t)&lr_cases[i], "gradients/lr %g is refused",
                 (double)lr_cases[i]);
    add_test(&list, test_lr_0, no, "gradients/lr 0 is a number");
    add_test(&list, test_lr_0, yes, "gradients/lr -0 is a number");
    add_zero_grad(&list);
    add_test(&list, test_creation_changes_nothing, no, "handed in/creation changes nothing");
    add_test(&list, test_creation_changes_nothing, yes, "handed in/creation changes nothing, cleared");
    add_test(&list, test_step_with_handed_in, NULL, "handed in/a step wants one that was written");
    add_test(&list, test_never_written_gradient, no, "handed in/never written is cleared");
    add_test(&list, test_never_written_gradient, yes, "handed in/one element was written: a gradient");
    add_test(&list, test_wrapped_gradient, NULL, "handed in/memory of the caller is a gradient");
    for (intptr_t queues = 1; queues <= 2; queues++) {
        add_test(&list, test_pair_gradients, (void *)queues, "two contexts/gradients, queues: %d",
                 (int)queues);
        add_test(&list, test_pair_inputs, (void *)queues, "two contexts/inputs, queues: %d", (int)queues);
    }
    return run_layer_list("layer_gradients", &list, argc, argv);
}
