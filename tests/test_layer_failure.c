/*
 * What a failure leaves of a layer: what it was writing cannot be read, and each call that reads what is
 * unspecified refuses; so do the zeros of a gradient that could not be written any more.
 */
#include <stdio.h>

#include "layer_bench.h"
#include "oclin_internal.h"

/* Launches from now on until one fails; 0: none does. */
static int until_failure;

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *offset, const size_t *global, const size_t *local, cl_uint waits,
                              const cl_event *wait, cl_event *event)
{
    cl_int (*real)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                   cl_uint, const cl_event *, cl_event *);
    find_real("clEnqueueNDRangeKernel", &real);
    if (until_failure > 0 && --until_failure == 0) return CL_OUT_OF_RESOURCES;
    return real(queue, kernel, dimensions, offset, global, local, waits, wait, event);
}

static oclin_status read_status(oclin_tensor *t)
{
    float host[NX];
    return oclin_tensor_read(t, host);
}

/* One launch writes both the weights and the bias, or both gradients: when it fails, neither can be read. */
static void test_failed_launch(void **state)
{
    static const char *const plans[] = {"plain", "simd"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(plans); i++)
        for (int fused = 0; fused < 2; fused++) {
            struct bench b = make_bench_in(make_context(plans[i]), OCLIN_NONE);
            forward(&b);
            oclin_tensor *const written[] = {fused ? oclin_layer_w(b.l) : oclin_layer_dw(b.l),
                                             fused ? oclin_layer_b(b.l) : oclin_layer_db(b.l)};
            until_failure = 1; /* without dx there is one launch, whatever the plan */
            assert_status(b.ctx, OCLIN_E_CL,
                          fused ? oclin_layer_backward_step(b.l, b.dy, NULL, 0.5f)
                                : oclin_layer_backward(b.l, b.dy, NULL));
            assert_int_equal(until_failure, 0);
            for (int j = 0; j < 2; j++) assert_int_equal(read_status(written[j]), OCLIN_E_STATE);
            assert_status(b.ctx, fused ? OCLIN_E_STATE : OCLIN_OK, oclin_layer_infer(b.l, b.x, b.y));
            release(&b);
            oclin_context_destroy(b.ctx);
        }
}

/* The same of a step, whose launches are two: w first, then b. */
static void test_failed_step(void **state)
{
    (void)state;
    for (int nth = 1; nth <= 2; nth++) {
        struct bench b = make_bench_in(make_context("plain"), OCLIN_NONE);
        forward(&b);
        backward(&b);
        until_failure = nth;
        assert_status(b.ctx, OCLIN_E_CL, oclin_layer_step(b.l, 0.5f));
        assert_int_equal(read_status(oclin_layer_w(b.l)), OCLIN_E_STATE);
        assert_int_equal(read_status(oclin_layer_b(b.l)), nth == 2 ? OCLIN_E_STATE : OCLIN_OK);
        assert_int_equal(read_status(oclin_layer_dw(b.l)), OCLIN_OK);
        release(&b);
        oclin_context_destroy(b.ctx);
    }
}

enum { OF_X, OF_Y, OF_DY, OF_W, OF_B, OF_DW, OF_DB, OF_Z, OPERANDS };
static const char *const operand_names[OPERANDS] = {
    [OF_X] = "x", [OF_Y] = "y",   [OF_DY] = "dy", [OF_W] = "w",
    [OF_B] = "b", [OF_DW] = "dw", [OF_DB] = "db", [OF_Z] = "z"};
/* A call whose operand is unspecified; read: by this call. */
struct lost_case {
    int call, operand, read;
};

static const int reads_of[CALLS][OPERANDS] = {
    [DO_FORWARD] = {[OF_X] = 1, [OF_W] = 1, [OF_B] = 1},
    [DO_INFER] = {[OF_X] = 1, [OF_W] = 1, [OF_B] = 1},
    [DO_BACKWARD] = {[OF_X] = 1,
                     [OF_Y] = 1,
                     [OF_DY] = 1,
                     [OF_W] = 1,
                     [OF_B] = 1,
                     [OF_DW] = 1,
                     [OF_DB] = 1,
                     [OF_Z] = 1}, /* dw and db are added to */
    [DO_BACKWARD_STEP] = {[OF_X] = 1, [OF_Y] = 1, [OF_DY] = 1, [OF_W] = 1, [OF_B] = 1, [OF_Z] = 1},
    [DO_STEP] = {[OF_W] = 1, [OF_B] = 1, [OF_DW] = 1, [OF_DB] = 1}};

/* What is unspecified is refused by each call that reads it, and by no other. It became so without being
 * written: a finish has failed. */
static void test_lost_operand(void **state)
{
    const struct lost_case *c = *state;
    struct bench b = make_bench(c->operand == OF_Z ? OCLIN_GELU : OCLIN_RELU);
    forward(&b);
    backward(&b); /* gradients that are added to, but for */
    if (c->call == DO_BACKWARD_STEP) assert_ok(b.ctx, oclin_layer_zero_grad(b.l));
    oclin_tensor *const all[OPERANDS] = {
        [OF_X] = b.x,
        [OF_Y] = b.y,
        [OF_DY] = b.dy,
        [OF_W] = oclin_layer_w(b.l),
        [OF_B] = oclin_layer_b(b.l),
        [OF_DW] = oclin_layer_dw(b.l),
        [OF_DB] = oclin_layer_db(b.l),
        [OF_Z] = b.l->saved->z,
    };
    uint64_t versions[OPERANDS];
    char sentence[40];
    snprintf(sentence, sizeof sentence, "%s is unspecified", operand_names[c->operand]);
    all[c->operand]->unspecified = 1;
    for (int i = 0; i < OPERANDS; i++) versions[i] = all[i] ? all[i]->version : 0;
    if (c->read) {
        assert_refused(b.ctx, OCLIN_E_STATE, sentence, one_call(&b, c->call));
        for (int i = 0; i < OPERANDS; i++) assert_true(!all[i] || all[i]->version == versions[i]);
    } else
        assert_ok(b.ctx, one_call(&b, c->call));
    all[c->operand]->unspecified = 0;
    release(&b);
}

/* The last handle of a gradient goes, whose zeros were only marked: they are written for who sees that
 * memory. Where that fails, or is lost with a finish that fails, who shares elements with it cannot be read;
 * who lies beside it can. */
static void test_dropped_zeros(void **state)
{
    enum { N = 16, WRITTEN, FAILS, LOST, WAYS_TO_END };
    (void)state;
    for (int way = WRITTEN; way < WAYS_TO_END; way++) {
        oclin_context *ctx = make_context("plain");
        struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
        oclin_tensor *arena = make_tensor(ctx, OCLIN_F32, 1, N, NULL), *over, *beside;
        oclin_layer *l;
        assert_ok(ctx, oclin_tensor_fill(arena, 7.0));
        assert_ok(ctx, oclin_tensor_view(&over, arena, 5, 1, 4, 4));
        assert_ok(ctx, oclin_tensor_view(&beside, arena, 8, 1, 8, 8));
        assert_ok(ctx, oclin_tensor_view(&options.dw, arena, 2, OUT, IN, IN)); /* 2 to 7 */
        assert_ok(ctx, oclin_context_finish(ctx));
        assert_ok(ctx, oclin_layer_create(&l, ctx, IN, OUT, &options));
        assert_ok(ctx, oclin_layer_zero_grad(l));
        oclin_layer_destroy(l);
        assert_ok(ctx, oclin_context_finish(ctx)); /* so that nothing else can be lost */
        until_failure = way == FAILS;
        oclin_tensor_destroy(options.dw);
        assert_int_equal(until_failure, 0);
        if (way == LOST) oclin_tensors_lose_epoch(ctx);
        if (way == WRITTEN)
            check_sum(over, NULL, 1, (double[]){0, 0, 0, 7});
        else
            assert_int_equal(read_status(over), OCLIN_E_STATE);
        check_sum(beside, NULL, 1, (double[]){7, 7, 7, 7, 7, 7, 7, 7});
        oclin_tensor *const all[] = {arena, over, beside};
        destroy_all(all, COUNT_OF(all));
        oclin_context_destroy(ctx);
    }
}

int main(int argc, char **argv)
{
    static struct lost_case cases[CALLS][OPERANDS];
    struct test_list list = {0};
    add_test(&list, test_failed_launch, NULL, "failure/a launch of backward loses all that it writes");
    add_test(&list, test_failed_step, NULL, "failure/a launch of step loses what it writes");
    for (int call = 0; call < CALLS; call++)
        for (int operand = 0; operand < OPERANDS; operand++) {
            struct lost_case *c = &cases[call][operand];
            *c = (struct lost_case){.call = call, .operand = operand, .read = reads_of[call][operand]};
            add_test(&list, test_lost_operand, c, "unspecified/%s in %s: %s", operand_names[operand],
                     call_names[call], c->read ? "refused" : "not read");
        }
    add_test(&list, test_dropped_zeros, NULL, "zero_grad/dropped, and lost: who shares elements is told");
    return run_layer_list("layer_failure", &list, argc, argv);
}
