/* Cuts long sums into parts, and counts the roundings that their terms pass. */
#ifndef OCLIN_PLAN_ADDITIONS_H
#define OCLIN_PLAN_ADDITIONS_H

#include "plan/way.h"

/* Set block_k, slice_k, chunk or block_m of a plan whose tile is chosen, so that no term of a sum of k (of a
 * row of cols) is rounded more often than oclin_layer_additions() promises. depth is the largest block that
 * caches hold. */
void oclin_cut_plain(struct oclin_plan *plan, int64_t k);
void oclin_cut_simd(struct oclin_plan *plan, int64_t k, int64_t depth);
void oclin_cut_simt(struct oclin_plan *plan, int64_t k);
/* As oclin_cut_simt(), with each slice split into so many parts, or fewer: block_k is a part's length. */
void oclin_cut_split(struct oclin_plan *plan, int64_t k, int64_t parts);
void oclin_cut_skinny(struct oclin_plan *plan, int64_t k, int64_t depth);
void oclin_cut_grads(struct oclin_plan *plan, int64_t k);
void oclin_cut_row(struct oclin_plan *plan, int64_t cols);
/* Returns a length that no slice exceeds, of this k or of a smaller one. */
int64_t oclin_longest_slice(const struct oclin_plan *plan, int64_t k);
/* A product is split where its groups work on parts of k side by side. */
static inline int oclin_is_split(const struct oclin_plan *plan)
{
    return plan->tile.stage == OCLIN_STAGE_PARTS;
}
/* Returns the largest number of parts of k that adds few roundings; it grows with k. */
int64_t oclin_most_parts(int64_t k);
/* Returns the number of parts of each slice, the last one of which may have fewer; 1 without a split. */
int64_t oclin_parts(const struct oclin_plan *plan, int64_t k);
/* Returns the number of launches that add up k. Where there is more than one, the sums so far stand in the
 * memory that forward keeps as Z, or in what is to become C. They stand in scratch memory, in rows of this
 * stride, for dW, which may be added to or updated only once its sum is whole, and for a C that is added to,
 * or that kernels may not read. Where k is split, they stand there for each part. */
int64_t oclin_slices(const struct oclin_plan *plan, int64_t k);
int oclin_slices_need_scratch(const struct oclin_product *p, const struct oclin_plan *plan);
int64_t oclin_slices_stride(int64_t n);
/* Returns the floats of scratch memory for the sums of slices and parts; 0 if they need none. */
int64_t oclin_slices_floats(const struct oclin_product *p, const struct oclin_plan *plan);
/* Return the bytes of scratch memory that this plan takes, and the float in it where the sums of slices
 * begin. */
int64_t oclin_plan_scratch_bytes(const struct oclin_product *p, const struct oclin_plan *plan);
int64_t oclin_plan_slices_at(const struct oclin_plan *plan);
/* Return the most roundings in a slice of k, for the rows of ways: those of a product on its way to the
 * slice's sum, and those of an element of A on its way to the sum over k. */
int64_t oclin_roundings_in_a_chain(const struct oclin_plan *plan, int64_t k);
int64_t oclin_roundings_in_blocks(const struct oclin_plan *plan, int64_t k);
int64_t oclin_roundings_in_lanes(const struct oclin_plan *plan, int64_t k);
int64_t oclin_roundings_of_one_pass(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_in_blocks(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_in_shares(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_in_parts(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_in_quads(const struct oclin_plan *plan, int64_t k);
int64_t oclin_sum_roundings_of_one_pass(const struct oclin_plan *plan, int64_t batch);
/* Return the most roundings that a term passes from its product to the finished sum, without those of the
 * epilogue: for a sum in C, for a sum of A (db; with OCLIN_KERNEL_ONE_PASS dW as well, whose sum is as long),
 * and for the loss of one row. */
enum oclin_sum { OCLIN_SUM_OF_PRODUCTS, OCLIN_SUM_OF_A };
int64_t oclin_additions(const struct oclin_product *p, const struct oclin_plan *plan, enum oclin_sum sum);
int64_t oclin_additions_of_row(const struct oclin_plan *plan, int64_t cols);

#endif
