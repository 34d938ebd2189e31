/* Tiles in local memory, for GPUs. */
#include <string.h>

#include "plan/additions.h"
#include "plan/way.h"

static int64_t local_floats(const struct oclin_tile *t)
{
    return OCLIN_SIMT_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k);
}

static int is_of(const struct oclin_device_facts *d, const char *vendor)
{
    return strstr(d->info.vendor, vendor) != NULL;
}

static int is_intel(const struct oclin_device_facts *d)
{
    return d->info.type == OCLIN_DEVICE_GPU && is_of(d, "Intel");
}

/* Returns 1 if 128-bit accesses are possible along every row that the product touches. */
static int is_aligned(const struct oclin_product *p)
{
    const int64_t a_row = p->id == OCLIN_KERNEL_GRAD_W ? p->m : p->k;
    const struct oclin_operand *all[] = {&p->a, &p->s, &p->b, &p->c, &p->bias, &p->db, &p->z};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->mem && !all[i]->aligned) return 0;
    return a_row % 4 == 0 && p->n % 4 == 0;
}

/* Returns 1 if the device's registers hold 8 x 8 results of each work-item beside all else that the product
 * needs. Intel's GPUs have 128 registers, half of NVIDIA's. They hold the results as long as quads are loaded
 * whole, A needs no activation to become dZ, and no erfc() follows; beyond that they spill, or fall to half
 * the rate (docs/gpus.md). */
static int holds_large_items(const struct oclin_device_facts *d, const struct oclin_product *p)
{
    if (is_intel(d))
        return d->sub_group && is_aligned(p) &&
               (p->activation == OCLIN_NONE ||
                (p->id == OCLIN_KERNEL_FORWARD &&
                 p->activation <= OCLIN_TANH)); /* GELU and later were not counted */
    /* 32 KB of local memory, the least that OpenCL allows, means a small GPU (Apple, ARM, Qualcomm), which
     * has few registers and is best at groups of 64 to 128. Old AMD drivers report 32 KB as well, for GPUs
     * with 256 registers. */
    return d->info.local_bytes > 32 * 1024 || is_of(d, "NVIDIA") || is_of(d, "Advanced Micro Devices");
}

static int suits(const struct oclin_device_facts *d, const struct oclin_product *p,
                 const struct oclin_tile *t)
{
    /* a group that does not fill a wave leaves lanes idle */
    return t->group >= d->wave && (t->item_m * t->item_n <= 32 || holds_large_items(d, p));
}

/* Returns how many steps of the loop over a tile's depth are unrolled. Intel's compiler keeps results in
 * memory unless all are. NVIDIA's saves up to 3 % of the instructions with all, but takes more than 128
 * registers, and so half of the groups, where A is turned into dZ by a long function or, in grad_w, the quads
 * of both operands have edges. AMD's takes more registers with all in every product. */
static int unrolled(const struct oclin_device_facts *d, const struct oclin_product *p,
                    const struct oclin_tile *t)
{
    if (is_intel(d)) return t->tile_k;
    if (!is_of(d, "NVIDIA")) return t->unroll_k;
    if (p->id == OCLIN_KERNEL_FORWARD) return t->tile_k;
    if (p->id == OCLIN_KERNEL_GRAD_W && !is_aligned(p)) return 2;
    return p->activation <= OCLIN_TANH ? t->tile_k : 2;
}

/* Chooses what else the compiler is told, by the code that it then makes (docs/gpus.md). Peeling takes 2 to 4
 * percent of the instructions out of the loop; in grad_x it makes Intel's compiler spill, so that there only
 * devices whose drivers tell a wave (NVIDIA, AMD) use it. The narrowest sub-group gives each lane the most
 * registers. */
static int can(const struct oclin_device_facts *d, const struct oclin_way *way, const struct oclin_product *p,
               struct oclin_tile *t)
{
    *t = way->tile;
    t->unroll_k = unrolled(d, p, t);
    t->peel = p->id != OCLIN_KERNEL_GRAD_X || d->wave > 0;
    if (is_intel(d)) t->sub_group = (int)d->sub_group;
    return oclin_way_fits(d, t, local_floats(t));
}

/* Prefers the largest tile that still gives every compute unit something to do, then the smaller ones; where
 * none does, it prefers the smallest, which comes closest. */
static double place(const struct oclin_device_facts *d, const struct oclin_product *p,
                    struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const double results = (double)t->tile_m * t->tile_n;
    plan->tile.aligned = is_aligned(p);
    plan->groups = oclin_ceil_divide(p->m, t->tile_m) * oclin_ceil_divide(p->n, t->tile_n);
    oclin_cut_simt(plan, p->k);
    return plan->groups >= d->info.compute_units ? 1.0 / results : results;
}

#define TILE(text, m, n, k, i_m, i_n)                                                            \
    .name = text, .family = OCLIN_SIMT, .makes = OCLIN_MAKES_PRODUCTS, .tuned = 1, .checked = 1, \
    .kernel = "simt", .files = {"product_simt.cl"}, .can = can, .suits = suits, .place = place,  \
    .of_products = oclin_roundings_in_a_chain, .of_sum_of_a = oclin_sum_roundings_in_shares,     \
    .tile = {.family = OCLIN_SIMT,                                                               \
             .vl = 4,                                                                            \
             .group = OCLIN_SIMT_ITEMS(m, n, i_m, i_n),                                          \
             .tile_m = m,                                                                        \
             .tile_n = n,                                                                        \
             .tile_k = k,                                                                        \
             .item_m = i_m,                                                                      \
             .item_n = i_n,                                                                      \
             .unroll_k = 4}

static const struct oclin_way ways[] = {
    {.name = "simt", .family = OCLIN_SIMT}, {TILE("simt-128", 128, 128, 8, 8, 8)},
    {TILE("simt-64", 64, 64, 8, 8, 4)},     {TILE("simt-64x32", 64, 32, 8, 8, 4)},
    {TILE("simt-32", 32, 32, 8, 4, 4)},     {TILE("simt-16", 16, 16, 8, 4, 4)},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* The family as a whole runs if its smallest tile does. */
static struct oclin_tile simt_tile(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    (void)d;
    return named && named->makes ? named->tile : ways[WAYS - 1].tile;
}

static int64_t scratch(const struct oclin_device_facts *d, const struct oclin_way *named,
                       const struct oclin_product *p)
{
    struct oclin_plan plan = {.tile = ways[WAYS - 1].tile};
    (void)named;
    oclin_cut_simt(&plan, p->k);
    return oclin_least(oclin_plan_scratch_bytes(p, &plan), d->info.max_allocation);
}

static struct oclin_part part(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    const struct oclin_tile t = simt_tile(d, named);
    return (struct oclin_part){t.tile_m, t.tile_n, t.tile_k};
}

const struct oclin_room oclin_simt_room = {OCLIN_SIMT, ways, WAYS, simt_tile, local_floats, scratch, part};
