/*
 * A small layer with its operands, for tests of what it remembers between calls. All numbers are small
 * integers: every sum is exact.
 */
#ifndef OCLIN_TESTS_LAYER_BENCH_H
#define OCLIN_TESTS_LAYER_BENCH_H

#include "support.h"

enum { BATCH = 4, IN = 3, OUT = 2, NX = BATCH * IN, NY = BATCH * OUT, NW = OUT * IN };

extern const float host_x[NX], host_w[NW], host_b[OUT], host_dy[NY];

struct bench {
    oclin_context *ctx;
    oclin_layer *l;
    oclin_tensor *x, *y, *dy, *dx;
};

/* The context of tests whose numerics do not matter: one for all, with plain kernels. */
oclin_context *shared_context(void);
/* run_list(), and then that context goes. */
int run_layer_list(const char *group, struct test_list *list, int argc, char **argv);

/* In the shared context, or in another one. */
struct bench make_bench(oclin_activation activation);
struct bench make_bench_in(oclin_context *ctx, oclin_activation activation);
void release(struct bench *b);

/* These must succeed; one_call() tells. */
void forward(const struct bench *b);
void backward(const struct bench *b);
enum { DO_FORWARD, DO_INFER, DO_BACKWARD, DO_BACKWARD_STEP, DO_STEP, CALLS };
extern const char *const call_names[CALLS];
oclin_status one_call(const struct bench *b, int call);

/* What the reference says of one backward of the bench. */
struct truth {
    double y[NY], dx[NX], dw[NW], db[OUT];
};
struct truth truth_of(oclin_activation activation);

/* The tensor holds factor times `want`, added to `base` (NULL: nothing). */
void check_sum(oclin_tensor *t, const float *base, double factor, const double *want);
void check_zeros(oclin_tensor *t);
/* dW and db hold `times` the gradients of one backward; w and b are what they were, less `minus` times
 * those. */
void check_gradients(const struct bench *b, double times);
void check_parameters(const struct bench *b, double minus);

/* A gradient of rows x cols that holds sevens in memory and is marked as cleared: a tensor like any other,
 * for others to read. The layer that owns it goes to *owner. */
oclin_tensor *cleared_gradient(oclin_context *ctx, oclin_layer **owner, int64_t rows, int64_t cols);

/* All of `t` is written: as the output of another layer; as the dW of another layer, which clears it. */
void write_by_layer(oclin_context *ctx, oclin_tensor *t);
void write_by_zero_grad(oclin_context *ctx, oclin_tensor *t);

void destroy_all(oclin_tensor *const *tensors, size_t count);

#endif
