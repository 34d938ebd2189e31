/*
 * Operands of a layer's calls: what is refused, what is not, and that a refused call changes nothing. Every
 * operand has its own piece of one arena, far from the others; then one thing is made wrong.
 */
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

static oclin_context *shared, *stranger; /* of all tests; numerics do not matter here */

static oclin_context *context(void)
{
    if (!shared) shared = make_context("plain");
    return shared;
}

static oclin_context *other_context(void)
{
    if (!stranger) stranger = make_context("plain");
    return stranger;
}

/* --------------------------------------------------------------------------------------------- the scene */

enum { BATCH = 4, IN = 3, OUT = 2 };
enum { X, Y, DY, DX, W, B, DW, DB, OPERANDS };
enum { PIECE = 64, ARENA = PIECE * OPERANDS };

static const char *const names[OPERANDS] = {"x", "y", "dy", "dx", "w", "b", "dw", "db"};
static const struct {
    int64_t rows, cols;
} sizes[OPERANDS] = {{BATCH, IN}, {BATCH, OUT}, {BATCH, OUT}, {BATCH, IN},
                     {OUT, IN},   {1, OUT},     {OUT, IN},    {1, OUT}};

struct scene {
    oclin_context *ctx;
    oclin_tensor *arena, *t[OPERANDS];
    oclin_layer *layer;
};

static int64_t elements(int operand)
{
    return sizes[operand].rows * sizes[operand].cols;
}

/* Operand `moved` begins `distance` elements behind the first of operand `onto`; all others apart. */
static struct scene make_scene(int moved, int onto, int64_t distance)
{
    struct scene s = {.ctx = context()};
    struct rng rng = {42};
    float numbers[ARENA];
    fill_integers(&rng, numbers, ARENA, 9);
    s.arena = make_tensor(s.ctx, OCLIN_F32, 1, ARENA, numbers);
    for (int i = 0; i < OPERANDS; i++) {
        const int64_t offset = i == moved ? onto * PIECE + distance : i * PIECE;
        assert_ok(s.ctx,
                  oclin_tensor_view(&s.t[i], s.arena, offset, sizes[i].rows, sizes[i].cols, sizes[i].cols));
    }
    return s;
}

static oclin_status make_layer(struct scene *s, oclin_activation activation)
{
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = activation;
    options.w = s->t[W];
    options.b = s->t[B];
    options.dw = s->t[DW];
    options.db = s->t[DB];
    return oclin_layer_create(&s->layer, s->ctx, IN, OUT, &options);
}

static void release(struct scene *s)
{
    oclin_layer_destroy(s->layer);
    for (int i = 0; i < OPERANDS; i++) oclin_tensor_destroy(s->t[i]);
    oclin_tensor_destroy(s->arena);
}

/* --------------------------------------------------------------------------------------------- the calls */

enum { FORWARD, INFER, BACKWARD, BACKWARD_STEP, BACKWARD_X, CALLS };
static const char *const call_names[CALLS] = {"forward", "infer", "backward", "backward_step", "backward_x"};

static oclin_status do_call(struct scene *s, int call)
{
    switch (call) {
    case FORWARD:
        return oclin_layer_forward(s->layer, s->t[X], s->t[Y]);
    case INFER:
        return oclin_layer_infer(s->layer, s->t[X], s->t[Y]);
    case BACKWARD:
        return oclin_layer_backward(s->layer, s->t[DY], s->t[DX]);
    case BACKWARD_STEP:
        return oclin_layer_backward_step(s->layer, s->t[DY], s->t[DX], 0.5f);
    default:
        return oclin_layer_backward_x(s->layer, s->t[DY], s->t[DX]);
    }
}

/* All that a call could change: memory, counters of writes, memory of the context. */
struct snapshot {
    float memory[ARENA];
    uint64_t versions[OPERANDS];
    int64_t saved_batch;
    uint64_t saved_layer;
    int cleared;
};

/* Leaves the gradients marked as zero, with zeros in memory as well: reading them back changes nothing then.
 */
static void take_snapshot(struct scene *s, struct snapshot *snap)
{
    assert_ok(s->ctx, oclin_layer_zero_grad(s->layer));
    assert_ok(s->ctx, oclin_tensor_read(s->arena, snap->memory));
    snap->saved_batch = s->layer->saved->batch;
    snap->saved_layer = s->layer->saved->layer;
    assert_ok(s->ctx, oclin_layer_zero_grad(s->layer));
    for (int i = 0; i < OPERANDS; i++) snap->versions[i] = s->t[i] ? s->t[i]->version : 0;
}

static void check_unchanged(struct scene *s, const struct snapshot *snap)
{
    float now[ARENA];
    assert_true(s->layer->dw->zero_pending && s->layer->db->zero_pending);
    for (int i = 0; i < OPERANDS; i++)
        if (s->t[i] && s->t[i]->version != snap->versions[i]) fail_msg("%s counts as written", names[i]);
    assert_true(s->layer->saved->batch == snap->saved_batch && s->layer->saved->layer == snap->saved_layer);
    assert_ok(s->ctx, oclin_tensor_read(s->arena, now));
    check_same_bits("the arena", now, snap->memory, ARENA);
}

/* A call that must be refused, changing nothing and enqueuing no kernel; or one that must not. */
static void check_call(struct scene *s, int call, oclin_status expected, const char *part)
{
    struct snapshot snap;
    take_snapshot(s, &snap);
    clear_context_log();
    const oclin_status status = do_call(s, call);
    if (expected == OCLIN_OK) {
        assert_ok(s->ctx, status);
        return;
    }
    assert_refused(s->ctx, expected, part, status);
    assert_null(strstr(context_log(), "grows"));
    assert_null(strstr(context_log(), "built"));
    check_unchanged(s, &snap);
}

/* ------------------------------------------------------------------------------------- one operand wrong */

enum { MISSING, MORE_ROWS, MORE_COLS, INTEGERS, FOREIGN, READ_ONLY, WRITE_ONLY, KINDS };
static const char *const kind_names[KINDS] = {"NULL",          "more rows", "more columns", "i32",
                                              "other context", "READ_ONLY", "WRITE_ONLY"};

struct operand_case {
    int call, operand, kind;
};

static oclin_tensor *wrapped(oclin_context *ctx, cl_mem_flags flags, int64_t rows, int64_t cols)
{
    cl_context handle;
    cl_int error;
    oclin_tensor *t = NULL;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_mem buffer = clCreateBuffer(handle, flags, (size_t)(rows * cols) * sizeof(float), NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(ctx, oclin_tensor_wrap(&t, ctx, OCLIN_F32, buffer, 0, rows, cols, cols));
    clReleaseMemObject(buffer);
    return t;
}

static oclin_tensor *make_wrong(oclin_context *ctx, int operand, int kind)
{
    const int64_t rows = sizes[operand].rows, cols = sizes[operand].cols;
    switch (kind) {
    case MORE_ROWS:
        return make_tensor(ctx, OCLIN_F32, rows + 1, cols, NULL);
    case MORE_COLS:
        return make_tensor(ctx, OCLIN_F32, rows, cols + 1, NULL);
    case INTEGERS:
        return make_tensor(ctx, OCLIN_I32, rows, cols, NULL);
    case FOREIGN:
        return make_tensor(other_context(), OCLIN_F32, rows, cols, NULL);
    case READ_ONLY:
        return wrapped(ctx, CL_MEM_READ_ONLY, rows, cols);
    case WRITE_ONLY:
        return wrapped(ctx, CL_MEM_WRITE_ONLY, rows, cols);
    default:
        return NULL;
    }
}

static oclin_status expected_of(const struct operand_case *c)
{
    const int is_output = c->operand == Y || c->operand == DX;
    if (c->kind == MISSING) /* dx is not always wanted */
        return c->operand == DX && c->call != BACKWARD_X ? OCLIN_OK : OCLIN_E_ARG;
    if (c->kind == MORE_ROWS || c->kind == MORE_COLS) return OCLIN_E_SHAPE;
    if (c->kind == READ_ONLY) return is_output ? OCLIN_E_ARG : OCLIN_OK;
    if (c->kind == WRITE_ONLY) return is_output ? OCLIN_OK : OCLIN_E_ARG;
    return OCLIN_E_ARG;
}

static void test_operand(void **state)
{
    const struct operand_case *c = *state;
    struct scene s = make_scene(-1, 0, 0);
    assert_ok(s.ctx, make_layer(&s, OCLIN_RELU));
    assert_ok(s.ctx, oclin_layer_forward(s.layer, s.t[X], s.t[Y]));
    oclin_tensor_destroy(s.t[c->operand]);
    s.t[c->operand] = make_wrong(s.ctx, c->operand, c->kind);
    const int mentions = c->operand == X && c->kind == MORE_ROWS; /* then it is y that does not fit */
    check_call(&s, c->call, expected_of(c), mentions ? "y" : names[c->operand]);
    release(&s);
}

static void test_null_layer(void **state)
{
    (void)state;
    struct scene s = make_scene(-1, 0, 0);
    int64_t bytes;
    for (int call = 0; call < CALLS; call++) assert_int_equal(do_call(&s, call), OCLIN_E_ARG);
    oclin_saved *saved = NULL;
    assert_ok(s.ctx, oclin_saved_create(&saved, s.ctx));
    assert_int_equal(oclin_layer_forward_saved(NULL, s.t[X], s.t[Y], saved), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_backward_saved(NULL, s.t[DY], NULL, saved), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_backward_step_saved(NULL, s.t[DY], NULL, 0.5f, saved), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_backward_x_saved(NULL, s.t[DY], s.t[DX], saved), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_zero_grad(NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_step(NULL, 0.5f), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_workspace(NULL, 1, &bytes), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_reserve(NULL, 1), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_reserve_step(NULL, 1), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_workspace_infer(NULL, 1, &bytes), OCLIN_E_ARG);
    assert_int_equal(oclin_layer_reserve_infer(NULL, 1), OCLIN_E_ARG);
    oclin_saved_destroy(saved);
    release(&s);
}

static void test_saved_arguments(void **state)
{
    (void)state;
    struct scene s = make_scene(-1, 0, 0);
    oclin_saved *foreign = NULL;
    assert_ok(s.ctx, make_layer(&s, OCLIN_RELU));
    assert_ok(NULL, oclin_saved_create(&foreign, other_context()));
    assert_ok(s.ctx, oclin_layer_forward(s.layer, s.t[X], s.t[Y]));
    oclin_saved *const wrong[] = {NULL, foreign};
    for (int i = 0; i < 2; i++) {
        struct snapshot snap;
        take_snapshot(&s, &snap);
        assert_refused(s.ctx, OCLIN_E_ARG, "saved",
                       oclin_layer_forward_saved(s.layer, s.t[X], s.t[Y], wrong[i]));
        assert_refused(s.ctx, OCLIN_E_ARG, "saved",
                       oclin_layer_backward_saved(s.layer, s.t[DY], s.t[DX], wrong[i]));
        assert_refused(s.ctx, OCLIN_E_ARG, "saved",
                       oclin_layer_backward_step_saved(s.layer, s.t[DY], s.t[DX], 0.5f, wrong[i]));
        assert_refused(s.ctx, OCLIN_E_ARG, "saved",
                       oclin_layer_backward_x_saved(s.layer, s.t[DY], s.t[DX], wrong[i]));
        check_unchanged(&s, &snap);
    }
    oclin_saved *saved = (oclin_saved *)s.ctx;
    assert_int_equal(oclin_saved_create(&saved, NULL), OCLIN_E_ARG);
    assert_null(saved);
    assert_int_equal(oclin_saved_create(NULL, s.ctx), OCLIN_E_ARG);
    oclin_saved_destroy(NULL);
    oclin_saved_destroy(foreign);
    release(&s);
}

/* -------------------------------------------------------------------------------------- shared elements */

/* One unordered pair of operands, which share one element in one scene and only touch in the other. */
struct pair_case {
    int a, b;
    oclin_activation activation;
};

static int is_pair(const struct pair_case *c, int p, int q)
{
    return (c->a == p && c->b == q) || (c->a == q && c->b == p);
}

static int refused_by_create(const struct pair_case *c)
{
    return c->a >= W && c->b >= W;
}

/* y must be apart from x, w and b; two inputs may be the same memory. */
static int refused_by_forward(const struct pair_case *c)
{
    return is_pair(c, Y, X) || is_pair(c, Y, W) || is_pair(c, Y, B);
}

/* dx apart from everything that is in use; what is updated apart from all that its sum reads. Without an
 * activation y is not in use. */
static int refused_by_backward(const struct pair_case *c, int call)
{
    if (c->a == DX || c->b == DX) return !is_pair(c, DX, Y) || c->activation != OCLIN_NONE;
    if (call == BACKWARD_X) return 0; /* dx is all that it writes */
    const int step = call == BACKWARD_STEP, updated[2] = {step ? W : DW, step ? B : DB};
    for (int i = 0; i < 2; i++) {
        if (is_pair(c, updated[i], DY) || is_pair(c, updated[i], X)) return 1;
        if (is_pair(c, updated[i], Y) && c->activation != OCLIN_NONE) return 1; /* then y is not read */
    }
    return 0;
}

static oclin_status refused(int yes)
{
    return yes ? OCLIN_E_ARG : OCLIN_OK;
}

static void check_backward(struct scene *s, const struct pair_case *c, int shares, int call)
{
    const int by_backward = shares && refused_by_backward(c, call);
    assert_ok(s->ctx, oclin_layer_forward(s->layer, s->t[X], s->t[Y]));
    const int gradient_in_use =
        is_pair(c, Y, DW) || is_pair(c, Y, DB) || is_pair(c, X, DW) || is_pair(c, X, DB);
    if (!shares || !gradient_in_use)
        check_call(s, call, refused(by_backward), "share elements");
    else if (call == BACKWARD) /* the snapshot would clear x or y */
        assert_status(s->ctx, refused(by_backward), do_call(s, call));
}

static void check_pair(const struct pair_case *c, int shares, int call)
{
    struct scene s = make_scene(c->a, c->b, elements(c->b) - shares);
    const oclin_status created = make_layer(&s, c->activation);
    assert_status(s.ctx, refused(shares && refused_by_create(c)), created);
    if (created == OCLIN_OK) {
        const int by_forward = shares && refused_by_forward(c);
        check_call(&s, FORWARD, refused(by_forward), "share elements");
        check_call(&s, INFER, refused(by_forward), "share elements");
        if (!by_forward) check_backward(&s, c, shares, call);
    } else {
        assert_null(s.layer);
        assert_non_null(strstr(oclin_context_error(s.ctx), "share elements"));
    }
    release(&s);
}

static void test_pair(void **state)
{
    const struct pair_case *c = *state;
    for (int shares = 0; shares < 2; shares++)
        for (int call = BACKWARD; call < CALLS; call++) check_pair(c, shares, call);
}

/* Columns of one matrix side by side: rows interleave, elements do not meet. */
static void test_columns_side_by_side(void **state)
{
    (void)state;
    oclin_context *ctx = context();
    enum { STRIDE = 2 * IN + 2 * OUT };
    const float ones[BATCH * STRIDE] = {1};
    oclin_tensor *all = make_tensor(ctx, OCLIN_F32, BATCH, STRIDE, ones), *t[4];
    static const struct {
        int64_t first, cols;
    } columns[] = {{0, IN}, {IN, OUT}, {IN + OUT, OUT}, {IN + 2 * OUT, IN}};
    for (int i = 0; i < 4; i++)
        assert_ok(ctx, oclin_tensor_view(&t[i], all, columns[i].first, BATCH, columns[i].cols, STRIDE));
    oclin_layer *l = NULL;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = OCLIN_RELU;
    assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &options));
    assert_ok(ctx, oclin_layer_forward(l, t[0], t[1]));
    assert_ok(ctx, oclin_layer_backward(l, t[2], t[3]));
    oclin_tensor_destroy(t[3]);
    assert_ok(ctx, oclin_tensor_view(&t[3], all, IN + 2 * OUT - 1, BATCH, IN, STRIDE)); /* over dy's end */
    assert_refused(ctx, OCLIN_E_ARG, "dy", oclin_layer_backward(l, t[2], t[3]));
    for (int i = 0; i < 4; i++) oclin_tensor_destroy(t[i]);
    oclin_tensor_destroy(all);
    oclin_layer_destroy(l);
}

/* --------------------------------------------------------------------------------------------- main */

static struct operand_case operand_cases[CALLS * 2 * KINDS];
static struct pair_case pair_cases[OPERANDS * OPERANDS];

int main(int argc, char **argv)
{
    struct test_list list = {0};
    size_t n = 0;
    for (int call = 0; call < CALLS; call++)
        for (int which = 0; which < 2; which++)
            for (int kind = 0; kind < KINDS; kind++) {
                struct operand_case *c = &operand_cases[n++];
                *c = (struct operand_case){call, (call < BACKWARD ? X : DY) + which, kind};
                add_test(&list, test_operand, c, "operand/%s: %s %s", call_names[call], names[c->operand],
                         kind_names[kind]);
            }
    add_test(&list, test_null_layer, NULL, "operand/layer NULL");
    add_test(&list, test_saved_arguments, NULL, "operand/saved");
    n = 0;
    for (int a = 0; a < OPERANDS; a++)
        for (int b = 0; b < a; b++)
            for (int relu = 0; relu < 2; relu++) {
                struct pair_case *c = &pair_cases[n++];
                *c = (struct pair_case){a, b, relu ? OCLIN_RELU : OCLIN_NONE};
                add_test(&list, test_pair, c, "sharing/%s and %s%s", names[b], names[a],
                         relu ? ", relu" : "");
            }
    add_test(&list, test_columns_side_by_side, NULL, "sharing/columns side by side");
    const int code = run_list("layer_args", &list, argc, argv);
    oclin_context_destroy(shared);
    oclin_context_destroy(stranger);
    return code;
}
