/* Decides which kernel runs, and with which numbers. */
#ifndef OCLIN_PLAN_PLAN_H
#define OCLIN_PLAN_PLAN_H

#include "plan/way.h"

/* Selects the plan `name`; fails if it is not a plan, or if the device cannot run it. */
oclin_status oclin_plan_choose(oclin_context *ctx, const char *name);
/* Selects the plan of a name that is known to be one, or "", without a check. */
void oclin_plan_select(oclin_context *ctx, const char *name);
/* Returns number `at` of the names that plans have, in the order in which they are tried; NULL behind the
 * last. */
const char *oclin_plan_name(int at);
/* Finds the attempt-th choice for a product, the best first; returns 0 if there is none left. */
int oclin_plan_product(const oclin_context *ctx, const struct oclin_product *p, int attempt,
                       struct oclin_plan *plan);
/* Returns 1 if grad_x and grad_w run as one kernel; p has the sizes of grad_x. */
int oclin_plan_one_pass(const oclin_context *ctx, const struct oclin_product *p);
/* Returns the bytes of scratch memory that the product, or one of smaller m, n and k, may ask for. */
int64_t oclin_plan_scratch(const oclin_context *ctx, const struct oclin_product *p);
/* Returns 1 if |dW|^2 (with_w 0: |db|^2 alone) takes fewer multiplications by dZ dZ^T and X X^T than by
 * dW. */
int oclin_plan_grams(struct oclin_shape shape, int with_w);
/* Plans kernels that go over rows: a group for each, on CPUs for many. */
void oclin_plan_rows(const oclin_context *ctx, int64_t rows, int64_t cols, int max_group,
                     struct oclin_plan *plan);

/* Returns a product of this shape, without operands. */
struct oclin_product oclin_plan_shaped(enum oclin_kernel_id id, struct oclin_shape shape);
/* Lists the plans that oclin_tune() compares, the default "" first, and returns their number; 0 if there is
 * no choice. OCLIN_KERNEL_ONE_PASS stands for backward as a whole: one pass or two products. */
enum { OCLIN_MOST_CANDIDATES = 16 };
int oclin_plan_candidates(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape,
                          const char *names[OCLIN_MOST_CANDIDATES]);
/* Returns the plan for one run of oclin_self_check(), which makes OCLIN_CHECK_RUNS in each round. The runs of
 * a round use every tile that oclin, or the plan that is asked for, may choose for it, except one that
 * differs only in prefetching (a dW whose X no cache holds). The rounds from OCLIN_CHECK_SPLIT on are those
 * before them, with split sums; NULL if this device makes none. The name is borrowed. */
enum { OCLIN_CHECK_ROUNDS = 4, OCLIN_CHECK_SPLIT = 2, OCLIN_CHECK_RUNS = 5 };
const char *oclin_plan_to_check(const oclin_context *ctx, int round, int run);
/* Returns the largest part that the plan of this name handles at once. */
struct oclin_part oclin_plan_part(const oclin_context *ctx, const char *name);
/* Returns 1 if a tuning file may name this plan: it is known, and the device can run it. */
int oclin_plan_tunable(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape,
                       const char *name);
/* Gives the context its table of what oclin_tune() found, read from the file of its device if there is
 * one. */
oclin_status oclin_plan_load_tuning(oclin_context *ctx);

#endif
