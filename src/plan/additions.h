/* How long sums are cut, and how many roundings they pass. */
#ifndef OCLIN_PLAN_ADDITIONS_H
#define OCLIN_PLAN_ADDITIONS_H

#include "plan/way.h"

/* Set block_k, slice_k, chunk or block_m of a plan whose tile is chosen, so that no term of a sum of k (of a
 * row of cols) is rounded more often than said at oclin_layer_additions(). depth: the largest block that
 * caches hold. */
void oclin_cut_plain(struct oclin_plan *plan, int64_t k);
void oclin_cut_simd(struct oclin_plan *plan, int64_t k, int64_t depth);
void oclin_cut_simt(struct oclin_plan *plan, int64_t k);
void oclin_cut_skinny(struct oclin_plan *plan, int64_t k, int64_t depth);
void oclin_cut_grads(struct oclin_plan *plan, int64_t k);
void oclin_cut_row(struct oclin_plan *plan, int64_t cols);
/* No smaller k is cut into longer slices. */
int64_t oclin_longest_slice(const struct oclin_plan *plan, int64_t k);
/* Launches of a product. Where there is more than one, the sums of those so far stand in what forward keeps
 * as Z, or in what is to become C; in scratch memory, m rows of this stride, for dW, which may be added to or
 * updated once its sum is whole, and for a C that is added to, or that kernels may not read. */
int64_t oclin_slices(const struct oclin_plan *plan, int64_t k);
int oclin_slices_need_scratch(const struct oclin_product *p);
int64_t oclin_slices_stride(int64_t n);
/* Floats for the sums of slices, where they need scratch memory. */
int64_t oclin_slices_floats(const struct oclin_product *p, const struct oclin_plan *plan);
/* Bytes of scratch memory that this plan takes, and the float in it where the sums of slices begin. */
int64_t oclin_plan_scratch_bytes(const struct oclin_product *p, const struct oclin_plan *plan);
int64_t oclin_plan_slices_at(const struct oclin_plan *plan);
/* The most roundings in a slice of k, for the rows of ways: of a product on its way to the slice's sum,
 * and of an element of A on its way to the sum over k. */
int64_t oclin_roundings_in_a_chain(const struct oclin_plan *plan, int64_t k);
int64_t oclin_roundings_in_blocks(const struct oclin_plan *plan, int64_t k);
int64_t oclin_roundings_in_lanes(const struct oclin_plan *plan, int64_t k);
int64_t oclin_roundings_of_one_pass(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_in_blocks(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_in_shares(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_in_quads(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_of_one_pass(const struct oclin_plan *plan, int64_t batch);
/* The most roundings that a term passes from its product to the finished sum, without what the epilogue does:
 * in C, or in the sums of A (db; of OCLIN_KERNEL_ONE_PASS dW as well, whose sum is as long); in the loss
 * of one row. */
enum oclin_sum { OCLIN_SUM_OF_PRODUCTS, OCLIN_SUM_OF_A };
int64_t oclin_additions(const struct oclin_product *p, const struct oclin_plan *plan, enum oclin_sum sum);
int64_t oclin_additions_of_row(const struct oclin_plan *plan, int64_t cols);

#endif
