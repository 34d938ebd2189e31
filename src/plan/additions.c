/*
 * Cuts long sums into parts, and counts the roundings that a term passes on its way to the result.
 *
 * A chain of L additions rounds its first term L times, and a sum of like numbers drifts to one side all the
 * way. So sums are made of parts: chunks inside a kernel, and slices of k, one launch each, where a kernel
 * has no room for sums of sums. The numbers here are those of the kernels; tests compare them with sums that
 * come close to them.
 */
#include "plan/additions.h"

#include <math.h>

enum {
    SIMT_SLICE = 4096, /* registers hold one sum for each result, and not two */
    SIMD_MOST = 516,   /* the most roundings of a long sum, without those of its epilogue ... */
    SIMD_LEAST = 260   /* ... and of a short one: a block of 256, and then one for each block */
};

/* Returns the square root of n, rounded up. Chunks of that many terms leave as many sums to be added. */
static int64_t root(int64_t n)
{
    int64_t r = (int64_t)sqrt((double)n);
    if (r < 1) return 1;
    while (n / r > r || (n / r == r && n % r > 0)) r++; /* r * r might overflow */
    return r;
}

/* Counts the roundings of terms that are added in chunks of `chunk`, one chain each; the chunks' sums are
 * then added one after the other. */
static int64_t chunked(int64_t terms, int64_t chunk)
{
    return oclin_least(terms, chunk) + oclin_ceil_divide(terms, chunk) - 1;
}

static int64_t levels_of_tree(int64_t leaves)
{
    int64_t levels = 0;
    while (leaves > 1) leaves = (leaves + 1) / 2, levels++;
    return levels;
}

/* ------------------------------------------------------------------------------------------------ slices */

/* Returns the fewest slices that keep the roundings low: the blocks of a slice are added in turn, then the
 * slices. It counts in 256ths, so that more blocks never make fewer slices, because memory for a batch must
 * be enough for all smaller ones. */
static int64_t simd_slices(int64_t blocks, int64_t depth)
{
    const int64_t most = oclin_least(SIMD_LEAST * 256 + blocks * depth, SIMD_MOST * 256);
    int64_t slices = 1;
    while ((depth + oclin_ceil_divide(blocks, slices) + slices) * 256 > most && slices * slices < blocks)
        slices++;
    return slices;
}

void oclin_cut_simd(struct oclin_plan *plan, int64_t k, int64_t depth)
{
    const int64_t blocks = oclin_ceil_divide(k, depth),
                  block = oclin_round_up(oclin_ceil_divide(k, blocks), plan->tile.vl);
    plan->block_k = (int)block;
    plan->slice_k = oclin_ceil_divide(blocks, simd_slices(blocks, depth)) * block;
}

int64_t oclin_longest_slice(const struct oclin_plan *plan, int64_t k)
{
    const int64_t blocks = oclin_ceil_divide(k, plan->block_k), most = SIMD_MOST - plan->tile.tile_k,
                  rare = root(blocks) + 1; /* where no number of slices keeps the roundings that low */
    return oclin_least(blocks, most > rare ? most : rare) * plan->block_k;
}

void oclin_cut_simt(struct oclin_plan *plan, int64_t k)
{
    plan->slice_k = oclin_round_up(oclin_ceil_divide(k, oclin_ceil_divide(k, SIMT_SLICE)), plan->tile.tile_k);
}

int64_t oclin_most_parts(int64_t k)
{
    return root(k);
}

void oclin_cut_split(struct oclin_plan *plan, int64_t k, int64_t parts)
{
    const int64_t slices = oclin_ceil_divide(k, parts * SIMT_SLICE), step = plan->tile.tile_k;
    plan->slice_k = oclin_round_up(oclin_ceil_divide(k, slices), step);
    plan->block_k = (int)oclin_round_up(oclin_ceil_divide(plan->slice_k, parts), step);
}

int64_t oclin_parts(const struct oclin_plan *plan, int64_t k)
{
    if (!oclin_is_split(plan)) return 1;
    return oclin_ceil_divide(oclin_least(k, plan->slice_k), plan->block_k);
}

void oclin_cut_plain(struct oclin_plan *plan, int64_t k)
{
    plan->slice_k = k;
    plan->block_k = (int)oclin_least(root(k), INT32_MAX);
}

void oclin_cut_skinny(struct oclin_plan *plan, int64_t k, int64_t depth)
{
    const int64_t fewest = 2 * root(k), vl = plan->tile.vl, most = depth > fewest ? depth : fewest;
    plan->slice_k = k;
    plan->block_k =
        (int)oclin_least(oclin_round_up(oclin_ceil_divide(k, oclin_ceil_divide(k, most)), vl), INT32_MAX / 2);
    plan->chunk = root(k) * vl;
}

/* Takes as many rows as keep the roundings within 8 + 2 sqrt k. What they give to dX is then added to it as
 * seldom as possible, since each such addition goes through the L2 (16 x 4096 x 1024: 1.2 times as fast as
 * with sqrt k rows). */
void oclin_cut_grads(struct oclin_plan *plan, int64_t k)
{
    const int64_t step = plan->tile.tile_k, most = 8 + 2 * (root(k + 1) - 1);
    int64_t rows = root(k) < step ? step : root(k) / step * step;
    while (rows < k && chunked(k, rows + step) <= most) rows += step;
    plan->slice_k = k;
    plan->block_m = (int)oclin_least(rows, INT32_MAX / 2);
}

void oclin_cut_row(struct oclin_plan *plan, int64_t cols)
{
    const int64_t lanes = (int64_t)plan->tile.group * plan->tile.vl;
    plan->chunk = root(oclin_ceil_divide(cols, lanes)) * lanes;
}

int64_t oclin_slices(const struct oclin_plan *plan, int64_t k)
{
    return oclin_ceil_divide(k, plan->slice_k);
}

int oclin_slices_need_scratch(const struct oclin_product *p, const struct oclin_plan *plan)
{
    if (p->id == OCLIN_KERNEL_GRAD_W || oclin_is_split(plan)) return 1;
    if (p->flags & (OCLIN_FLAG_KEEP_Z | OCLIN_FLAG_KEEP_ACT)) return 0;
    return (p->flags & OCLIN_FLAG_ACCUMULATE) || (p->c.mem && !p->c.readable);
}

int64_t oclin_slices_stride(int64_t n)
{
    return oclin_round_up(n + 1, 4);
}

int64_t oclin_slices_floats(const struct oclin_product *p, const struct oclin_plan *plan)
{
    const int64_t parts = oclin_parts(plan, p->k);
    if (!oclin_slices_need_scratch(p, plan) || (parts == 1 && oclin_slices(plan, p->k) == 1)) return 0;
    return oclin_way_swaps_c(p) ? (p->n + 1) * oclin_slices_stride(p->m)
                                : parts * p->m * oclin_slices_stride(p->n);
}

int64_t oclin_plan_slices_at(const struct oclin_plan *plan)
{
    return oclin_round_up(plan->packed_a + plan->packed_b, 16);
}

int64_t oclin_plan_scratch_bytes(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return (oclin_plan_slices_at(plan) + oclin_slices_floats(p, plan)) * (int64_t)sizeof(float);
}

/* --------------------------------------------------------------------------------------------- roundings */

int64_t oclin_roundings_in_a_chain(const struct oclin_plan *plan, int64_t k)
{
    (void)plan;
    return k;
}

int64_t oclin_roundings_in_blocks(const struct oclin_plan *plan, int64_t k)
{
    return chunked(k, plan->block_k);
}

/* Chunks of vectors are added first, then their lanes, then blocks; elements that do not fill a vector are
 * added after the chunks. */
int64_t oclin_roundings_in_lanes(const struct oclin_plan *plan, int64_t k)
{
    const int64_t vl = plan->tile.vl, block = oclin_least(k, plan->block_k);
    return chunked(oclin_ceil_divide(block, vl), plan->chunk / vl) + 1 + levels_of_tree(vl) +
           oclin_ceil_divide(k, plan->block_k) - 1;
}

int64_t oclin_roundings_of_one_pass(const struct oclin_plan *plan, int64_t k)
{
    return chunked(k, plan->block_m);
}

/* The sums of A beside dW are additions without products, and the first one, to 0, rounds nothing. */
int64_t oclin_sum_roundings_in_blocks(const struct oclin_plan *plan, int64_t k)
{
    return chunked(k, plan->block_k) - 1;
}

/* Several work-items share each sum; their sums are added last. */
int64_t oclin_sum_roundings_in_shares(const struct oclin_plan *plan, int64_t k)
{
    const int64_t shares = (int64_t)plan->tile.group * 4 / plan->tile.tile_m;
    return chunked(oclin_ceil_divide(k, shares), OCLIN_SIMT_SUM_STEPS) - 1 + shares - 1;
}

/* Each part's sum is made as without a split; then the parts are added in turn. */
int64_t oclin_sum_roundings_in_parts(const struct oclin_plan *plan, int64_t k)
{
    return oclin_sum_roundings_in_shares(plan, oclin_least(k, plan->block_k)) +
           oclin_ceil_divide(k, plan->block_k) - 1;
}

/* The kernel adds to four sums side by side; up to three terms that do not fill a group of four follow. */
int64_t oclin_sum_roundings_in_quads(const struct oclin_plan *plan, int64_t k)
{
    const int64_t block = oclin_least(k, plan->block_k), part = oclin_least(block, OCLIN_SIMD_SUM_DEPTH);
    return part / 4 + oclin_least(part, 3) - 1 + 2 + oclin_ceil_divide(block, OCLIN_SIMD_SUM_DEPTH) - 1 +
           chunked(oclin_ceil_divide(k, plan->block_k), OCLIN_SIMD_SUM_BLOCKS) - 1;
}

/* One launch sums the whole batch, and dW is summed in the same chunks. */
int64_t oclin_sum_roundings_of_one_pass(const struct oclin_plan *plan, int64_t batch)
{
    (void)plan;
    return chunked(batch, OCLIN_SKINNY_CHUNK);
}

int64_t oclin_additions(const struct oclin_product *p, const struct oclin_plan *plan, enum oclin_sum sum)
{
    const int64_t slice = oclin_least(p->k, plan->slice_k), behind = oclin_slices(plan, p->k) - 1;
    if (sum == OCLIN_SUM_OF_PRODUCTS) return plan->way->of_products(plan, slice) + behind;
    return plan->way->of_sum_of_a(plan, p->id == OCLIN_KERNEL_ONE_PASS ? p->m : slice) + behind;
}

int64_t oclin_additions_of_row(const struct oclin_plan *plan, int64_t cols)
{
    const int64_t lanes = (int64_t)plan->tile.group * plan->tile.vl;
    return chunked(oclin_ceil_divide(cols, lanes), plan->chunk / lanes) + levels_of_tree(lanes);
}
