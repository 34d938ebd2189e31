/* Register tiles and packed panels, for CPUs. */
#include "plan/simd.h"

#include <math.h>

#include "plan/additions.h"

static int64_t local_floats(const struct oclin_tile *t)
{
    return OCLIN_SIMD_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k, t->item_m, t->item_n, t->vl);
}

/*
 * Returns the register tile and the largest blocks; vl is 4, 8 or 16 lanes, or 0 for the device's native
 * width. They depend on the device alone, so that one program serves all shapes. Where k = 256 fits, a panel
 * of B (k x item_n) is half of a 32 KB L1; the block of A (m x k) and the sums (m x n) share local memory,
 * which on a CPU is its L2.
 */
struct oclin_tile oclin_simd_tile(const struct oclin_device_facts *d, int vl)
{
    const int64_t native = d->info.vector_width;
    if (vl == 0) vl = native >= 16 ? 16 : native >= 8 ? 8 : 4;
    struct oclin_tile t = {.family = OCLIN_SIMD, .vl = vl, .group = 1};
    /* the sums take 24 of 32 registers with 16 lanes, 12 of 16 otherwise; two vectors wide */
    t.item_m = vl == 16 ? 12 : 6;
    t.item_n = 2 * vl;
    for (t.tile_k = 256; t.tile_k >= vl; t.tile_k /= 2) {
        t.tile_n = (int)oclin_round_up(t.tile_k, t.item_n);
        /* take the largest block of up to 192 rows; a flat one packs B too often, so a smaller depth is
         * better */
        for (t.tile_m = 192; t.tile_m >= t.item_m; t.tile_m -= t.item_m)
            if (oclin_way_fits(d, &t, local_floats(&t))) break;
        if (t.tile_m >= t.tile_n / 3 && t.tile_m >= t.item_m) return t;
    }
    t.tile_k = vl;
    t.tile_m = t.item_m;
    t.tile_n = t.item_n;
    return t;
}

/* Costs on a CPU, in multiplications of one core. They were measured on Zen 3; only their ratios matter, and
 * only roughly. */
#define COST_PACKED 20.0  /* to pack an element, from memory into a cache */
#define COST_COPIED 10.0  /* the same where B lies along n: no transposing */
#define COST_ACROSS 20.0  /* besides, where A lies across k: its strips are parts of cache lines */
#define COST_READ 4.0     /* to read a packed element once more */
#define COST_SPILLED 25.0 /* besides, where no cache holds all that is packed: it goes through memory */
#define COST_WRITTEN 10.0 /* besides, to write an element of B that all groups share */
#define COST_WAIT 2e5     /* until all that is packed is there: 4 us */
#define COST_LAUNCH 2.5e6 /* to launch, and to wake sleeping cores: 50 us */

/* Returns what a launch in blocks of m x n costs, for each k: the blocks are computed, and for each its rows
 * of A and columns of B are packed or read. Cores do not start together (one that slept is woken in up to 0.1
 * ms), nor do they run equally fast: the others take the blocks of a late core meanwhile, and all wait for
 * the last block. So use several blocks per core, so that a late core delays only one. */
static double cost_of(const struct oclin_product *p, const struct oclin_tile *t, int64_t units, int64_t m,
                      int64_t n, double each_a, double each_b)
{
    const double last = (double)m * (double)n + each_a * (double)m + each_b * (double)n;
    const double all = (double)oclin_round_up(p->m, t->item_m) * (double)oclin_round_up(p->n, t->item_n) +
                       each_a * (double)p->m * (double)oclin_ceil_divide(p->n, n) +
                       each_b * (double)p->n * (double)oclin_ceil_divide(p->m, m);
    return (all + (double)(units - 1) * last) / (double)units;
}

/* Returns the granularity of block_n: PANELS panels where the group itself packs a B that lies along n, and
 * has room for them, else one. */
static int64_t step_n(const struct oclin_product *p, const struct oclin_tile *t, int64_t room)
{
    const int64_t together = (int64_t)OCLIN_SIMD_PANELS * t->item_n;
    const int packs = t->stage != OCLIN_STAGE_PACKED && !oclin_way_b_along_k(p);
    return packs && together <= room ? together : t->item_n;
}

/* Chooses even blocks, in a number that lets all cores finish together: it tries a few splits of m, and for
 * each the splits of n that give up to 12 blocks a core. each_a and each_b are the cost of an element of A
 * and of B in a block. Returns the cost of all. */
static double place_blocks(const struct oclin_device_facts *d, const struct oclin_product *p, double each_a,
                           double each_b, struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t units = d->info.compute_units;
    const int64_t fewest_m = oclin_ceil_divide(p->m, t->tile_m);
    double best = 0.0;
    for (int64_t parts_m = fewest_m; parts_m <= fewest_m * 4 * units; parts_m *= 2) {
        const int64_t m = oclin_way_part(p->m, parts_m, t->item_m);
        /* a flat block may be wider than the tile */
        const int64_t room = (int64_t)t->tile_m * t->tile_n / m, step = step_n(p, t, room);
        const int64_t fewest_n = oclin_ceil_divide(p->n, room / step * step);
        for (int64_t rounds = 0; rounds <= 12; rounds++) {
            int64_t parts_n = oclin_ceil_divide(rounds * units, parts_m);
            if (parts_n < fewest_n) parts_n = fewest_n;
            const int64_t n =
                oclin_least(oclin_way_part(p->n, parts_n, step), oclin_round_up(p->n, t->item_n));
            const double cost = cost_of(p, t, units, m, n, each_a, each_b);
            if (best != 0.0 && cost >= best) continue;
            best = cost;
            plan->block_m = (int)m;
            plan->block_n = (int)n;
        }
    }
    oclin_cut_simd(plan, p->k, t->tile_k);
    return best * (double)p->k;
}

/* Returns 1 if so many floats exceed the device's caches, and pass through them and back to memory. */
static int exceeds_caches(const struct oclin_device_facts *d, int64_t floats)
{
    const int64_t some_have = 8 << 20; /* a driver that reports less may mean the L2 */
    return floats > (d->cache > some_have ? d->cache : some_have) / (int64_t)sizeof(float);
}

/* Returns 1 if A has so few rows that B is as much work to pack as to multiply with. */
static int is_flat(const struct oclin_product *p, const struct oclin_tile *t)
{
    return p->m <= 2 * t->item_m;
}

/* Returns 1 for the deep dW: few rows of A are multiplied with its long B, so B is read once, and cores wait
 * for it. */
static int is_stream(const struct oclin_device_facts *d, const struct oclin_product *p,
                     const struct oclin_tile *t)
{
    return p->id == OCLIN_KERNEL_GRAD_W && is_flat(p, t) && exceeds_caches(d, 2 * p->k * p->n);
}

/* Return the cost to pack an element of A, and of B. */
static double cost_of_a(const struct oclin_product *p)
{
    return p->id == OCLIN_KERNEL_GRAD_W ? COST_PACKED + COST_ACROSS : COST_PACKED;
}

static double cost_of_b(const struct oclin_product *p)
{
    return oclin_way_b_along_k(p) ? COST_PACKED : COST_COPIED;
}

/* ----------------------------------------------------------------------------------------------- whole */

static double place_whole(const struct oclin_device_facts *d, const struct oclin_product *p,
                          struct oclin_plan *plan)
{
    plan->tile.stage = OCLIN_STAGE_WHOLE;
    plan->tile.prefetch = d->prefetches && is_stream(d, p, &plan->tile);
    const double cost = place_blocks(d, p, cost_of_a(p), cost_of_b(p), plan);
    oclin_way_set_groups(d, plan, oclin_way_blocks(p, plan));
    return cost;
}

/* ---------------------------------------------------------------------------------------------- packed */

static int64_t blocks_of_slice(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return oclin_ceil_divide(oclin_least(p->k, plan->slice_k), plan->block_k);
}

/* Return the parts of the work of packing, and the floats of scratch memory, for a slice of A, and of B. */
static int64_t parts_of_a(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return blocks_of_slice(p, plan) * oclin_ceil_divide(p->m, OCLIN_SIMD_PACK_M((int64_t)plan->tile.item_m));
}

static int64_t parts_of_b(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return blocks_of_slice(p, plan) * oclin_ceil_divide(p->n, OCLIN_SIMD_PACK_N((int64_t)plan->tile.item_n));
}

static int64_t floats_of_a(const struct oclin_product *p, const struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    return blocks_of_slice(p, plan) * oclin_ceil_divide(p->m, t->item_m) *
           OCLIN_SIMD_STRIP_FLOATS((int64_t)t->tile_k, t->item_m, t->vl);
}

static int64_t floats_of_b(const struct oclin_product *p, const struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    return blocks_of_slice(p, plan) * oclin_ceil_divide(p->n, t->item_n) *
           OCLIN_SIMD_PANEL_FLOATS((int64_t)t->tile_k, t->item_n);
}

/* A and B are packed once, before the product: first in the same launch where groups draw tickets, else in a
 * launch of its own. Blocks have half the height: what is packed no longer depends on it, and A's block and
 * the sums then leave room in the cache for what streams through. */
static double place_packed(const struct oclin_device_facts *d, const struct oclin_product *p,
                           struct oclin_plan *plan)
{
    struct oclin_tile *t = &plan->tile;
    t->stage = OCLIN_STAGE_PACKED;
    if (t->tile_m >= 2 * t->item_m) t->tile_m = t->tile_m / 2 / t->item_m * t->item_m;
    const double cost = place_blocks(d, p, COST_READ, COST_READ, plan);
    plan->packed_a = floats_of_a(p, plan);
    plan->packed_b = floats_of_b(p, plan);
    oclin_way_set_groups(
        d, plan, oclin_way_blocks(p, plan) + (t->tickets ? parts_of_a(p, plan) + parts_of_b(p, plan) : 0));
    const int64_t packed = plan->packed_a + plan->packed_b; /* as much again is read to pack it */
    const double spilled = exceeds_caches(d, 2 * packed) ? COST_SPILLED : 0.0;
    const double packing =
        (cost_of_a(p) + spilled) * (double)p->m + (cost_of_b(p) + COST_WRITTEN + spilled) * (double)p->n;
    return cost + (t->tickets ? COST_WAIT : COST_LAUNCH) +
           packing * (double)p->k / (double)d->info.compute_units;
}

/* A is packed once, first in the same launch, and each block packs its part of B as it goes. This is for a
 * small A, and a B so large, for the little that it is multiplied with, that it should not go through memory
 * once more. Each group has its own place for panels of B, behind A. */
static double place_mixed(const struct oclin_device_facts *d, const struct oclin_product *p,
                          struct oclin_plan *plan)
{
    struct oclin_tile *t = &plan->tile;
    if (!t->tickets) return place_packed(d, p, plan); /* no group could wait for what is packed */
    t->stage = OCLIN_STAGE_MIXED;
    t->prefetch = d->prefetches && is_stream(d, p, t);
    const double cost = place_blocks(d, p, COST_READ, cost_of_b(p), plan);
    oclin_way_set_groups(d, plan, parts_of_a(p, plan) + oclin_way_blocks(p, plan));
    plan->packed_a = floats_of_a(p, plan);
    plan->packed_b =
        d->info.compute_units * OCLIN_SIMD_PANELS * OCLIN_SIMD_PANEL_FLOATS((int64_t)t->tile_k, t->item_n);
    const double packing = cost_of_a(p) * (double)p->m * (double)p->k;
    return cost + COST_WAIT + packing / (double)d->info.compute_units;
}

void oclin_plan_packing(const struct oclin_product *p, const struct oclin_plan *product,
                        struct oclin_plan *plan)
{
    *plan = *product;
    plan->tile.stage = OCLIN_STAGE_PACK;
    plan->tile.tickets = 0;
    plan->groups = parts_of_a(p, product) + parts_of_b(p, product);
}

/* Returns the bytes that a packed or mixed plan takes, or that one of a smaller k takes if they are more. */
static int64_t most_scratch(const struct oclin_product *p, struct oclin_plan *plan)
{
    const int64_t slices = oclin_slices_floats(p, plan), now = plan->packed_a + plan->packed_b;
    const int mixed = plan->tile.stage == OCLIN_STAGE_MIXED;
    plan->slice_k = oclin_longest_slice(plan, p->k);
    const int64_t packed = floats_of_a(p, plan) + (mixed ? plan->packed_b : floats_of_b(p, plan));
    return (oclin_round_up(packed > now ? packed : now, 16) + slices) * (int64_t)sizeof(float);
}

/* -------------------------------------------------------------------------------------------- the rows */

static int can_whole(const struct oclin_device_facts *d, const struct oclin_way *way,
                     const struct oclin_product *p, struct oclin_tile *t)
{
    (void)way, (void)p;
    t->tickets = d->tickets;
    return 1;
}

static int can_static(const struct oclin_device_facts *d, const struct oclin_way *way,
                      const struct oclin_product *p, struct oclin_tile *t)
{
    (void)way, (void)p;
    t->tickets = 0;
    return d->tickets; /* without tickets it is the same as simd-whole */
}

static int can_staged(const struct oclin_device_facts *d, const struct oclin_way *way,
                      const struct oclin_product *p, struct oclin_tile *t)
{
    (void)d, (void)way, (void)p;
    t->tickets = 0;
    return 1;
}

static int suits_always(const struct oclin_device_facts *d, const struct oclin_product *p,
                        const struct oclin_tile *t)
{
    (void)d, (void)p, (void)t;
    return 1;
}

/* Returns 1 if packing first may be worth its launch. The condition grows with each dimension, so that memory
 * for a batch is enough for all smaller ones. Strips and panels take the room of tile_k even where k is less,
 * so k must be at least half of it. */
static int suits_packed(const struct oclin_device_facts *d, const struct oclin_product *p,
                        const struct oclin_tile *t)
{
    (void)d;
    return 2 * p->k >= t->tile_k && (double)p->m * (double)p->n * (double)p->k >= 4e6;
}

static int suits_mixed(const struct oclin_device_facts *d, const struct oclin_product *p,
                       const struct oclin_tile *t)
{
    return t->tickets && suits_packed(d, p, t) && !is_flat(p, t);
}

/* This is the last resort, for a compiler that refuses what tickets need after all. */
static double place_static(const struct oclin_device_facts *d, const struct oclin_product *p,
                           struct oclin_plan *plan)
{
    place_whole(d, p, plan);
    return HUGE_VAL;
}

#define ANY(text, vl) .name = text, .family = OCLIN_SIMD, .lanes = vl
#define WAY(text)                                                                                     \
    .name = text, .family = OCLIN_SIMD, .makes = OCLIN_MAKES_PRODUCTS, .kernel = "simd",              \
    .files = {"simd_pack.cl", "product_simd.cl"}, .takes = OCLIN_TAKES_TICKETS | OCLIN_TAKES_SCRATCH, \
    .of_products = oclin_roundings_in_blocks, .of_sum_of_a = oclin_sum_roundings_in_quads

static const struct oclin_way ways[] = {
    {ANY("simd", 0)},
    {WAY("simd-whole"), .tuned = 1, .checked = 1, .can = can_whole, .suits = suits_always,
     .place = place_whole},
    {WAY("simd-packed"), .tuned = 1, .checked = 1, .can = can_whole, .suits = suits_packed,
     .place = place_packed},
    {WAY("simd-mixed"), .tuned = 1, .checked = 1, .can = can_whole, .suits = suits_mixed,
     .place = place_mixed},
    {WAY("simd-staged"), .can = can_staged, .place = place_packed},
    {WAY("simd-static"), .can = can_static, .suits = suits_always, .place = place_static},
    {ANY("simd-8", 8), .tuned = 1},
    {ANY("simd-16", 16), .tuned = 1},
    {ANY("simd-4", 4), .tuned = 1},
};

static struct oclin_tile simd_tile(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    return oclin_simd_tile(d, named ? named->lanes : 0);
}

/* Returns 1 if the named way packs A or B for all groups; without a name, if oclin may choose one that
 * does. */
static int packs(const struct oclin_device_facts *d, const struct oclin_way *named,
                 const struct oclin_product *p, const struct oclin_tile *t)
{
    if (named && named->place == place_static && !d->tickets) named = NULL; /* the usual ways stand in */
    if (named && (named->place == place_packed || named->place == place_mixed)) return 1;
    return !(named && (named->place == place_whole || named->place == place_static)) && suits_packed(d, p, t);
}

static int64_t scratch(const struct oclin_device_facts *d, const struct oclin_way *named,
                       const struct oclin_product *p)
{
    const int64_t allowed = d->info.max_allocation;
    struct oclin_plan plan = {.tile = simd_tile(d, named)};
    plan.tile.tickets = d->tickets && !(named && named->can == can_staged);
    if (!packs(d, named, p, &plan.tile)) {
        place_whole(d, p, &plan);
        return oclin_least(oclin_plan_scratch_bytes(p, &plan), allowed);
    }
    struct oclin_plan mixed = plan;
    place_packed(d, p, &plan);
    if (plan.tile.tickets) place_mixed(d, p, &mixed);
    const int64_t bytes = plan.tile.tickets ? most_scratch(p, &mixed) : 0, packed = most_scratch(p, &plan);
    /* a product that needs more does without packing, but one of a smaller batch may pack */
    return oclin_least(packed > bytes ? packed : bytes, allowed);
}

/* Returns the part of the packing that all groups share, or else a group's block, whose columns come panel by
 * panel. */
static struct oclin_part part(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    const struct oclin_tile t = simd_tile(d, named);
    const int shares = named && (named->place == place_packed || named->place == place_mixed);
    return (struct oclin_part){shares ? OCLIN_SIMD_PACK_M(t.item_m) : t.tile_m,
                               shares ? OCLIN_SIMD_PACK_N(t.item_n) : t.item_n, t.tile_k};
}

const struct oclin_room oclin_simd_room = {
    OCLIN_SIMD, ways, sizeof ways / sizeof *ways, simd_tile, local_floats, scratch, part};
