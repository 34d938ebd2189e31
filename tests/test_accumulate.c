/*
 * Y += act(Z) and dX += dZ W: residual branches. What is added is what the same call without the option
 * stores, so that the sum is known to the bit; what backward reads stays apart from Y.
 */
#include "support.h"

#include <stdlib.h>
#include <string.h>

#include "oclin_internal.h"

struct row {
    const char *plan;
    int64_t batch, in, out;
};

static const struct row rows[] = {
    {"plain", 3, 5, 4},          {"simt-16", 17, 33, 9},       {"simt-16", 4, 4100, 4},
    {"simd", 5, 40, 24},         {"simd-skinny", 7, 270, 40},  {"simd-narrow", 16, 300, 40},
    {"simd-packed", 64, 70, 48}, {"simt-16-split", 17, 33, 9}, {"simt-16-split", 12, 400, 100},
};

enum { X, W, B, DY, BASE_Y, BASE_X, INPUTS };

/* A layer and its operands; y and dx hold `base`. */
struct bench {
    oclin_context *ctx;
    oclin_layer *layer;
    oclin_tensor *x, *y, *dy, *dx;
    float *in[INPUTS];
    int64_t n_y, n_x;
};

static float *random_values(struct rng *rng, int64_t n)
{
    float *values = new_array(float, n);
    fill_zero_mean(rng, values, n);
    return values;
}

static struct bench make_bench(const struct row *r, oclin_activation activation)
{
    struct bench b = {.ctx = make_context(r->plan), .n_y = r->batch * r->out, .n_x = r->batch * r->in};
    struct rng rng = {7};
    const int64_t n[INPUTS] = {b.n_x, r->out * r->in, r->out, b.n_y, b.n_y, b.n_x};
    for (int i = 0; i < INPUTS; i++) b.in[i] = random_values(&rng, n[i]);
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.activation = activation;
    assert_ok(b.ctx, oclin_layer_create(&b.layer, b.ctx, r->in, r->out, &o));
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_w(b.layer), b.in[W]));
    assert_ok(b.ctx, oclin_tensor_write(oclin_layer_b(b.layer), b.in[B]));
    b.x = make_tensor(b.ctx, OCLIN_F32, r->batch, r->in, b.in[X]);
    b.y = make_tensor(b.ctx, OCLIN_F32, r->batch, r->out, b.in[BASE_Y]);
    b.dy = make_tensor(b.ctx, OCLIN_F32, r->batch, r->out, b.in[DY]);
    b.dx = make_tensor(b.ctx, OCLIN_F32, r->batch, r->in, b.in[BASE_X]);
    return b;
}

static void free_bench(struct bench *b)
{
    oclin_tensor *const all[] = {b->x, b->y, b->dy, b->dx};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    for (int i = 0; i < INPUTS; i++) free(b->in[i]);
    oclin_layer_destroy(b->layer);
    oclin_context_destroy(b->ctx);
}

static float *read_all(const struct bench *b, oclin_tensor *t, int64_t n)
{
    float *values = new_array(float, n);
    assert_ok(b->ctx, oclin_tensor_read(t, values));
    return values;
}

/* sum is base + part, each rounded once. */
static void check_sum(const char *name, const float *base, const float *part, const float *sum, int64_t n)
{
    float *want = new_array(float, n);
    for (int64_t i = 0; i < n; i++) want[i] = base[i] + part[i];
    check_same_bits(name, sum, want, n);
    free(want);
}

struct results {
    float *y, *dx, *dw, *w;
};

static void free_results(struct results *r)
{
    free(r->y), free(r->dx), free(r->dw), free(r->w);
}

/* forward, backward, and a step in one: with y and dx overwritten, or added to. */
static struct results run(struct bench *b, const struct oclin_call_options *o, int verify)
{
    struct results r;
    oclin_layer *l = b->layer;
    b->ctx->verify = verify;
    assert_ok(b->ctx, oclin_tensor_write(b->y, b->in[BASE_Y]));
    assert_ok(b->ctx, oclin_tensor_write(b->dx, b->in[BASE_X]));
    assert_ok(b->ctx, oclin_tensor_write(oclin_layer_w(l), b->in[W]));
    assert_ok(b->ctx, oclin_tensor_write(oclin_layer_b(l), b->in[B]));
    assert_ok(b->ctx, oclin_layer_zero_grad(l));
    assert_ok(b->ctx, oclin_layer_forward_with(l, b->x, b->y, o));
    r.y = read_all(b, b->y, b->n_y);
    if (o->accumulate) assert_ok(b->ctx, oclin_tensor_fill(b->y, 3.5)); /* nobody needs it any more */
    assert_ok(b->ctx, oclin_layer_backward_with(l, b->dy, b->dx, o));
    r.dx = read_all(b, b->dx, b->n_x);
    r.dw = read_all(b, oclin_layer_dw(l), oclin_layer_in(l) * oclin_layer_out(l));
    assert_ok(b->ctx, oclin_layer_zero_grad(l));
    assert_ok(b->ctx, oclin_tensor_write(b->dx, b->in[BASE_X]));
    assert_ok(b->ctx, oclin_layer_backward_step_with(l, b->dy, b->dx, 0.25f, o));
    r.w = read_all(b, oclin_layer_w(l), oclin_layer_in(l) * oclin_layer_out(l));
    float *again = read_all(b, b->dx, b->n_x);
    check_same_bits("dx of a step", again, r.dx, b->n_x);
    free(again);
    return r;
}

static void test_residual(void **state)
{
    /* one that keeps nothing, one that keeps y, and one that keeps z */
    static const oclin_activation activations[] = {OCLIN_NONE, OCLIN_TANH, OCLIN_GELU};
    const struct row *r = *state;
    for (size_t a = 0; a < COUNT_OF(activations); a++) {
        struct bench b = make_bench(r, activations[a]);
        struct oclin_call_options store = OCLIN_CALL_OPTIONS_INIT, add = OCLIN_CALL_OPTIONS_INIT;
        add.accumulate = 1;
        /* dx is added to by a product of its own: so is the one to compare with */
        struct results stored = run(&b, &store, 0), added = run(&b, &add, 0), checked = run(&b, &add, 1);
        const struct oclin_product grads =
            oclin_plan_shaped(OCLIN_KERNEL_ONE_PASS, (struct oclin_shape){r->batch, r->in, r->out});
        const int64_t n_w = r->in * r->out;
        check_sum("y", b.in[BASE_Y], stored.y, added.y, b.n_y);
        if (!oclin_plan_one_pass(b.ctx, &grads)) {
            check_sum("dx", b.in[BASE_X], stored.dx, added.dx, b.n_x);
            check_same_bits("dw", added.dw, stored.dw, n_w);
            check_same_bits("w", added.w, stored.w, n_w);
        }
        check_same_bits("verified y", checked.y, added.y, b.n_y);
        check_same_bits("verified dx", checked.dx, added.dx, b.n_x);
        free_results(&stored), free_results(&added), free_results(&checked);
        free_bench(&b);
    }
}

/* infer keeps nothing, and leaves the saved state alone; dX alone adds, too. */
static void test_others(void **state)
{
    const struct row *r = *state;
    struct bench b = make_bench(r, OCLIN_TANH);
    struct oclin_call_options add = OCLIN_CALL_OPTIONS_INIT;
    add.accumulate = 1;
    oclin_saved *saved;
    assert_ok(b.ctx, oclin_saved_create(&saved, b.ctx));
    add.saved = saved;
    assert_ok(b.ctx, oclin_layer_infer_with(b.layer, b.x, b.y, &add));
    float *inferred = read_all(&b, b.y, b.n_y);
    assert_int_equal(oclin_layer_backward_with(b.layer, b.dy, NULL, &add), OCLIN_E_STATE);
    assert_ok(b.ctx, oclin_tensor_write(b.y, b.in[BASE_Y]));
    assert_ok(b.ctx, oclin_layer_forward_with(b.layer, b.x, b.y, &add));
    float *y = read_all(&b, b.y, b.n_y);
    check_same_bits("y of infer", inferred, y, b.n_y);
    assert_refused(b.ctx, OCLIN_E_STATE, "before forward", oclin_layer_backward(b.layer, b.dy, NULL));
    assert_ok(b.ctx, oclin_layer_backward_with(b.layer, b.dy, b.dx, &add));
    float *dx = read_all(&b, b.dx, b.n_x);
    assert_ok(b.ctx, oclin_tensor_write(b.dx, b.in[BASE_X]));
    assert_ok(b.ctx, oclin_layer_backward_x_with(b.layer, b.dy, b.dx, &add));
    float *alone = read_all(&b, b.dx, b.n_x);
    check_same_bits("dx alone", alone, dx, b.n_x);
    free(inferred), free(y), free(dx), free(alone);
    oclin_saved_destroy(saved);
    free_bench(&b);
}

static void test_refused(void **state)
{
    struct bench b = make_bench(&rows[0], OCLIN_RELU);
    struct oclin_call_options add = OCLIN_CALL_OPTIONS_INIT;
    (void)state;
    add.accumulate = 2;
    assert_refused(b.ctx, OCLIN_E_ARG, "accumulate is 2", oclin_layer_forward_with(b.layer, b.x, b.y, &add));
    add.accumulate = 1;
    add.reserved = 1;
    assert_refused(b.ctx, OCLIN_E_ARG, "reserved is 1", oclin_layer_infer_with(b.layer, b.x, b.y, &add));
    add.reserved = 0;
    add.size = 3;
    assert_refused(b.ctx, OCLIN_E_ARG, "options.size is 3",
                   oclin_layer_forward_with(b.layer, b.x, b.y, &add));
    add.size = sizeof add;
    b.y->unspecified = 1;
    assert_refused(b.ctx, OCLIN_E_STATE, "y is unspecified",
                   oclin_layer_forward_with(b.layer, b.x, b.y, &add));
    assert_ok(b.ctx, oclin_layer_forward_with(b.layer, b.x, b.y, NULL));
    b.dx->readable = 0;
    assert_refused(b.ctx, OCLIN_E_ARG, "dx is read", oclin_layer_backward_with(b.layer, b.dy, b.dx, &add));
    assert_ok(b.ctx, oclin_layer_backward_with(b.layer, b.dy, b.dx, NULL));
    assert_int_equal(oclin_layer_forward_with(NULL, b.x, b.y, &add), OCLIN_E_ARG);
    free_bench(&b);
}

/* Zeros that are only marked are what is added to. */
static void test_marked_zeros(void **state)
{
    struct bench b = make_bench(&rows[0], OCLIN_NONE);
    struct oclin_call_options add = OCLIN_CALL_OPTIONS_INIT;
    (void)state;
    add.accumulate = 1;
    assert_ok(b.ctx, oclin_layer_forward(b.layer, b.x, b.y));
    float *stored = read_all(&b, b.y, b.n_y);
    assert_ok(b.ctx, oclin_tensor_fill(b.y, 5));
    assert_int_equal(oclin_tensor_clear(b.y), OCLIN_OK);
    assert_ok(b.ctx, oclin_layer_infer_with(b.layer, b.x, b.y, &add));
    float *added = read_all(&b, b.y, b.n_y);
    check_same_bits("y", added, stored, b.n_y);
    free(stored), free(added);
    free_bench(&b);
}

int main(int argc, char **argv)
{
    struct test_list list = {NULL, 0, 0};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        add_test(&list, test_residual, (void *)(uintptr_t)&rows[i], "residual/%s/%lldx%lldx%lld",
                 rows[i].plan, (long long)rows[i].batch, (long long)rows[i].in, (long long)rows[i].out);
        add_test(&list, test_others, (void *)(uintptr_t)&rows[i], "others/%s/%lldx%lldx%lld", rows[i].plan,
                 (long long)rows[i].batch, (long long)rows[i].in, (long long)rows[i].out);
    }
    add_test(&list, test_refused, NULL, "refused");
    add_test(&list, test_marked_zeros, NULL, "zeros that are only marked");
    return run_list("accumulate", &list, argc, argv);
}
