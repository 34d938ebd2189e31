/*
 * (device facts, product, shape) -> kernel family, tile and groups. All heuristics, and nothing else.
 */
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "plan/additions.h"
#include "plan/tune_table.h"

/* The kernels' preprocessor compares activations by number. */
typedef char activations_agree[OCLIN_ACT_NONE == (int)OCLIN_NONE && OCLIN_ACT_RELU == (int)OCLIN_RELU &&
                                       OCLIN_ACT_SIGMOID == (int)OCLIN_SIGMOID &&
                                       OCLIN_ACT_TANH == (int)OCLIN_TANH && OCLIN_ACT_GELU == (int)OCLIN_GELU
                                   ? 1
                                   : -1];

/* Of the plan of this name; "": of oclin's choice for the device. */
static enum oclin_family family_of(const oclin_context *ctx, const char *name)
{
    if (strncmp(name, "plain", 5) == 0) return OCLIN_PLAIN;
    if (strncmp(name, "simt", 4) == 0) return OCLIN_SIMT;
    if (strncmp(name, "simd", 4) == 0) return OCLIN_SIMD;
    return ctx->device.info.type == OCLIN_DEVICE_CPU ? OCLIN_SIMD : OCLIN_SIMT;
}

/* The number behind a plan's name, "simd-8": 8; 0 when there is none. */
static int number_of(const char *name)
{
    const char *dash = strchr(name, '-');
    int number = 0;
    return dash && sscanf(dash, "-%d", &number) == 1 ? number : 0;
}

/* A product of this shape, without operands; and back. */
struct oclin_product oclin_plan_shaped(enum oclin_kernel_id id, struct oclin_shape s)
{
    struct oclin_product p = {.id = id, .m = s.batch, .n = s.in, .k = s.out}; /* grad_x and grads */
    if (id == OCLIN_KERNEL_FORWARD) p.n = s.out, p.k = s.in;
    if (id == OCLIN_KERNEL_GRAD_W) p.m = s.out, p.k = s.batch;
    return p;
}

static struct oclin_shape shape_of(const struct oclin_product *p)
{
    struct oclin_shape s = {p->m, p->n, p->k};
    if (p->id == OCLIN_KERNEL_FORWARD) s.in = p->k, s.out = p->n;
    if (p->id == OCLIN_KERNEL_GRAD_W) s.batch = p->k, s.out = p->m;
    return s;
}

static int fits(const struct oclin_device_facts *d, const struct oclin_tile *t)
{
    int64_t floats = 0;
    if (t->family == OCLIN_SIMT) floats = OCLIN_SIMT_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k);
    if (t->family == OCLIN_SIMD)
        floats =
            OCLIN_SIMD_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k, t->item_m, t->item_n, t->vl);
    if (t->family == OCLIN_SKINNY)
        floats = OCLIN_SKINNY_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k);
    return t->group <= d->max_items && floats * (int64_t)sizeof(float) <= d->info.local_bytes;
}

/* --------------------------------------------------------------------------------------- simt, for GPUs */

#define SIMT_TILE(text, m, n, k, i_m, i_n)             \
    {                                                  \
        .name = text, .tile = {                        \
            .family = OCLIN_SIMT,                      \
            .vl = 4,                                   \
            .group = OCLIN_SIMT_ITEMS(m, n, i_m, i_n), \
            .tile_m = m,                               \
            .tile_n = n,                               \
            .tile_k = k,                               \
            .item_m = i_m,                             \
            .item_n = i_n,                             \
            .unroll_k = 4                              \
        }                                              \
    }

/* Every tile that a plan may name, largest first: the order in which they are tried. */
static const struct named_tile {
    const char *name;
    struct oclin_tile tile;
} simt_tiles[] = {
    SIMT_TILE("simt-128", 128, 128, 8, 8, 8), SIMT_TILE("simt-64", 64, 64, 8, 8, 4),
    SIMT_TILE("simt-64x32", 64, 32, 8, 8, 4), SIMT_TILE("simt-32", 32, 32, 8, 4, 4),
    SIMT_TILE("simt-16", 16, 16, 8, 4, 4),
};
enum { SIMT_TILES = sizeof simt_tiles / sizeof *simt_tiles, MOST_TILES = SIMT_TILES + 4 };

static int is_of(const struct oclin_device_facts *d, const char *vendor)
{
    return strstr(d->info.vendor, vendor) != NULL;
}

static int is_intel(const struct oclin_device_facts *d)
{
    return d->info.type == OCLIN_DEVICE_GPU && is_of(d, "Intel");
}

static int is_aligned(const struct oclin_product *p);

/* Whether the device's registers hold 8 x 8 results of each work-item beside all else that the product needs.
 * Intel's has 128, half of NVIDIA's, and keeps them as long as quads are loaded whole, A needs no activation
 * to become dZ, and no erfc() follows; beyond that it spills, or falls to half the rate (docs/gpus.md). */
static int holds_large_items(const struct oclin_device_facts *d, const struct oclin_product *p)
{
    if (is_intel(d))
        return d->sub_group && is_aligned(p) &&
               (p->activation == OCLIN_NONE ||
                (p->id == OCLIN_KERNEL_FORWARD && p->activation != OCLIN_GELU));
    /* 32 KB of local memory, the least that OpenCL allows: a small GPU (Apple, ARM, Qualcomm), with few
     * registers and best at groups of 64 to 128. Old AMD drivers say 32 KB as well, with 256 registers. */
    return d->info.local_bytes > 32 * 1024 || is_of(d, "NVIDIA") || is_of(d, "Advanced Micro Devices");
}

static int simt_suits(const struct oclin_device_facts *d, const struct oclin_product *p,
                      const struct oclin_tile *t)
{
    /* a group that does not fill a wave leaves lanes idle */
    return t->group >= d->wave && (t->item_m * t->item_n <= 32 || holds_large_items(d, p));
}

/* What the compiler is told besides, by what it then makes (docs/gpus.md). The loop over a tile's depth is
 * unrolled whole for Intel's, which keeps results in memory otherwise, and for NVIDIA's in grad_w; for the
 * other two products that costs it more than 128 registers, and half of the groups, and AMD's the same.
 * Peeling takes 2 to 4 percent of the instructions out of the loop; in grad_x it makes Intel's spill, so that
 * it is left to those whose drivers tell a wave (NVIDIA, AMD). The narrowest sub-group gives each lane the
 * most registers. */
static struct oclin_tile simt_tuned(const struct oclin_device_facts *d, const struct oclin_product *p,
                                    struct oclin_tile t)
{
    if (is_intel(d) || (is_of(d, "NVIDIA") && p->id == OCLIN_KERNEL_GRAD_W)) t.unroll_k = t.tile_k;
    t.peel = p->id != OCLIN_KERNEL_GRAD_X || d->wave > 0;
    if (is_intel(d)) t.sub_group = (int)d->sub_group;
    return t;
}

/* The tiles for a product, or the one that is forced by its name. */
static int simt_candidates(const struct oclin_device_facts *d, const struct oclin_product *p,
                           const char *forced, struct oclin_tile tiles[MOST_TILES])
{
    int count = 0, first = -1;
    for (int i = 0; i < SIMT_TILES; i++) {
        const struct oclin_tile *t = &simt_tiles[i].tile;
        if (!fits(d, t)) continue;
        if (forced ? strcmp(forced, simt_tiles[i].name) != 0 : !simt_suits(d, p, t)) continue;
        tiles[count++] = simt_tuned(d, p, *t);
        /* the largest tile that still gives every compute unit something to do */
        const int64_t groups = oclin_ceil_divide(p->m, t->tile_m) * oclin_ceil_divide(p->n, t->tile_n);
        if (first < 0 && groups >= d->info.compute_units) first = count - 1;
    }
    if (first < 0) first = count - 1; /* none does: the smallest comes closest */
    if (first > 0) memmove(tiles, tiles + first, (size_t)(count - first) * sizeof *tiles), count -= first;
    return count;
}

/* --------------------------------------------------------------------------------------- simd, for CPUs */

/*
 * The register tile and the largest blocks; vl: 4, 8 or 16 lanes, 0 for the device's native width.
 * They depend on the device alone, so that one program serves all shapes. Where k = 256 fits, a panel of B (k
 * x item_n) is half of a 32 KB L1; the block of A (m x k) and the sums (m x n) share local memory, which on a
 * CPU is its L2.
 */
static struct oclin_tile simd_tile(const struct oclin_device_facts *d, int vl)
{
    const int64_t native = d->info.vector_width;
    if (vl == 0) vl = native >= 16 ? 16 : native >= 8 ? 8 : 4;
    struct oclin_tile t = {.family = OCLIN_SIMD, .vl = vl, .group = 1};
    /* the sums take 24 of 32 registers with 16 lanes, 12 of 16 otherwise; two vectors wide */
    t.item_m = vl == 16 ? 12 : 6;
    t.item_n = 2 * vl;
    for (t.tile_k = 256; t.tile_k >= vl; t.tile_k /= 2) {
        t.tile_n = (int)oclin_round_up(t.tile_k, t.item_n);
        /* the largest block of up to 192 rows; a flat one packs B too often, a shallower k is better */
        for (t.tile_m = 192; t.tile_m >= t.item_m; t.tile_m -= t.item_m)
            if (fits(d, &t)) break;
        if (t.tile_m >= t.tile_n / 3 && t.tile_m >= t.item_m) return t;
    }
    t.tile_k = vl;
    t.tile_m = t.item_m;
    t.tile_n = t.item_n;
    return t;
}

/* `parts` blocks of x, as even as multiples of an item allow. */
static int64_t part(int64_t x, int64_t parts, int64_t item)
{
    return oclin_round_up(oclin_ceil_divide(x, parts), item);
}

/* Costs on a CPU, in multiplications of one core. Measured on Zen 3; only their ratios matter, and those
 * roughly. */
#define COST_PACKED 20.0  /* to pack an element, from memory into a cache */
#define COST_COPIED 10.0  /* the same where B lies along n: no transposing */
#define COST_ACROSS 20.0  /* besides, where A lies across k: its strips are parts of cache lines */
#define COST_READ 4.0     /* to read a packed one once more */
#define COST_SPILLED 25.0 /* besides, where no cache holds all that is packed: it goes through memory */
#define COST_WRITTEN 10.0 /* besides, for one of B that all groups share */
#define COST_WAIT 2e5     /* until all that is packed is there: 4 us */
#define COST_LAUNCH 2.5e6 /* a launch, with the waking of sleeping cores: 50 us */

/* What a launch in blocks of m x n costs, for each k: the blocks are computed, and for each its rows of A and
 * columns of B are packed or read. Cores do not start together (one that slept is woken in up to 0.1 ms), nor
 * run equally fast: the others take its blocks meanwhile, and the last block of all is waited for. So not one
 * block a core, but some more. */
static double simd_cost(const struct oclin_product *p, const struct oclin_tile *t, int64_t units, int64_t m,
                        int64_t n, double each_a, double each_b)
{
    const double last = (double)m * (double)n + each_a * (double)m + each_b * (double)n;
    const double all = (double)oclin_round_up(p->m, t->item_m) * (double)oclin_round_up(p->n, t->item_n) +
                       each_a * (double)p->m * (double)oclin_ceil_divide(p->n, n) +
                       each_b * (double)p->n * (double)oclin_ceil_divide(p->m, m);
    return (all + (double)(units - 1) * last) / (double)units;
}

/* The parts of a launch: each a group, or taken from a queue by as many groups as there are cores. */
static void set_groups(const struct oclin_device_facts *d, struct oclin_plan *plan, int64_t parts)
{
    const int64_t most = INT32_MAX - d->info.compute_units; /* the queue counts in 32 bits */
    plan->tile.queue = plan->tile.queue && parts <= most;
    plan->groups = plan->tile.queue ? oclin_least(parts, d->info.compute_units) : parts;
}

/* What the width of a block is a multiple of: where a group packs a B that lies along n, as much as it packs
 * together. */
static int64_t step_n(const struct oclin_product *p, const struct oclin_tile *t, int64_t room)
{
    const int64_t together = (int64_t)OCLIN_SIMD_PANELS * t->item_n;
    const int packs = t->stage != OCLIN_STAGE_PRODUCT && p->id != OCLIN_KERNEL_FORWARD;
    return packs && together <= room ? together : t->item_n;
}

/* Even blocks, in a number that lets all cores finish together: a few splits of m, and for each the splits of
 * n that give up to 12 blocks a core. each_a, each_b: the cost of an element of A or B in a block. */
static double simd_blocks(const struct oclin_device_facts *d, const struct oclin_product *p, double each_a,
                          double each_b, struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t units = d->info.compute_units;
    const int64_t fewest_m = oclin_ceil_divide(p->m, t->tile_m);
    double best = 0.0;
    for (int64_t parts_m = fewest_m; parts_m <= fewest_m * 4 * units; parts_m *= 2) {
        const int64_t m = part(p->m, parts_m, t->item_m);
        /* a flat block may be wider than the tile */
        const int64_t room = (int64_t)t->tile_m * t->tile_n / m, step = step_n(p, t, room);
        const int64_t fewest_n = oclin_ceil_divide(p->n, room / step * step);
        for (int64_t rounds = 0; rounds <= 12; rounds++) {
            int64_t parts_n = oclin_ceil_divide(rounds * units, parts_m);
            if (parts_n < fewest_n) parts_n = fewest_n;
            const int64_t n = oclin_least(part(p->n, parts_n, step), oclin_round_up(p->n, t->item_n));
            const double cost = simd_cost(p, t, units, m, n, each_a, each_b);
            if (best != 0.0 && cost >= best) continue;
            best = cost;
            plan->block_m = (int)m;
            plan->block_n = (int)n;
        }
    }
    oclin_cut_simd(plan, p->k, t->tile_k);
    return best * (double)p->k;
}

/* Whether so many floats pass through the device's caches and back to memory. */
static int exceeds_caches(const struct oclin_device_facts *d, int64_t floats)
{
    const int64_t some_have = 8 << 20; /* a driver that tells of less may mean the L2 */
    return floats > (d->cache > some_have ? d->cache : some_have) / (int64_t)sizeof(float);
}

/* Few rows of A, for each of which B is as much work to pack as to multiply with. */
static int is_flat(const struct oclin_product *p, const struct oclin_tile *t)
{
    return p->m <= 2 * t->item_m;
}

/* A long B that few rows of A are multiplied with is read once, and waited for: the deep dW. */
static int is_stream(const struct oclin_device_facts *d, const struct oclin_product *p,
                     const struct oclin_tile *t)
{
    return p->id == OCLIN_KERNEL_GRAD_W && is_flat(p, t) && exceeds_caches(d, 2 * p->k * p->n);
}

/* To pack an element. */
static double cost_of_a(const struct oclin_product *p)
{
    return p->id == OCLIN_KERNEL_GRAD_W ? COST_PACKED + COST_ACROSS : COST_PACKED;
}

static double cost_of_b(const struct oclin_product *p)
{
    return p->id == OCLIN_KERNEL_FORWARD ? COST_PACKED : COST_COPIED;
}

static int64_t blocks_of(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return oclin_ceil_divide(p->m, plan->block_m) * oclin_ceil_divide(p->n, plan->block_n);
}

static double simd_whole(const struct oclin_device_facts *d, const struct oclin_product *p,
                         struct oclin_plan *plan)
{
    plan->tile.stage = OCLIN_STAGE_WHOLE;
    plan->tile.prefetch = d->prefetches && is_stream(d, p, &plan->tile);
    const double cost = simd_blocks(d, p, cost_of_a(p), cost_of_b(p), plan);
    set_groups(d, plan, blocks_of(p, plan));
    return cost;
}

static int64_t blocks_of_slice(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return oclin_ceil_divide(oclin_least(p->k, plan->slice_k), plan->block_k);
}

/* Parts of the work of packing, and floats of scratch memory, for a slice of A, and of B. */
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

/* A is packed once, first in the same launch, and B by each block as it goes: where A is small, and B too
 * large for what it is multiplied with to go through memory once more. Each group has its own place for
 * panels of B behind A. */
static double simd_mixed(const struct oclin_device_facts *d, const struct oclin_product *p,
                         struct oclin_plan *plan)
{
    struct oclin_tile *t = &plan->tile;
    t->stage = OCLIN_STAGE_MIXED;
    t->prefetch = d->prefetches && is_stream(d, p, t);
    const double cost = simd_blocks(d, p, COST_READ, cost_of_b(p), plan);
    set_groups(d, plan, parts_of_a(p, plan) + blocks_of(p, plan));
    plan->packed_a = floats_of_a(p, plan);
    plan->packed_b =
        d->info.compute_units * OCLIN_SIMD_PANELS * OCLIN_SIMD_PANEL_FLOATS((int64_t)t->tile_k, t->item_n);
    const double packing = cost_of_a(p) * (double)p->m * (double)p->k;
    return cost + COST_WAIT + packing / (double)d->info.compute_units;
}

/* Packed once, before: first in the same launch where there is a queue, else in a launch of its own. Blocks
 * of half the height: what is packed no longer depends on it, and A's block and the sums then leave room in
 * the cache for what streams through. */
static double simd_packed(const struct oclin_device_facts *d, const struct oclin_product *p,
                          struct oclin_plan *plan)
{
    struct oclin_tile *t = &plan->tile;
    t->stage = OCLIN_STAGE_PRODUCT;
    if (t->tile_m >= 2 * t->item_m) t->tile_m = t->tile_m / 2 / t->item_m * t->item_m;
    const double cost = simd_blocks(d, p, COST_READ, COST_READ, plan);
    plan->packed_a = floats_of_a(p, plan);
    plan->packed_b = floats_of_b(p, plan);
    set_groups(d, plan, blocks_of(p, plan) + (t->queue ? parts_of_a(p, plan) + parts_of_b(p, plan) : 0));
    const int64_t packed = plan->packed_a + plan->packed_b; /* and as much is read for it */
    const double spilled = exceeds_caches(d, 2 * packed) ? COST_SPILLED : 0.0;
    const double packing =
        (cost_of_a(p) + spilled) * (double)p->m + (cost_of_b(p) + COST_WRITTEN + spilled) * (double)p->n;
    return cost + (t->queue ? COST_WAIT : COST_LAUNCH) +
           packing * (double)p->k / (double)d->info.compute_units;
}

void oclin_plan_packing(const struct oclin_product *p, const struct oclin_plan *product,
                        struct oclin_plan *plan)
{
    *plan = *product;
    plan->tile.stage = OCLIN_STAGE_PACK;
    plan->tile.queue = 0;
    plan->groups = parts_of_a(p, product) + parts_of_b(p, product);
}

static int packs_always(const char *name)
{
    return strcmp(name, "simd-packed") == 0 || strcmp(name, "simd-mixed") == 0 ||
           strcmp(name, "simd-staged") == 0;
}

/* Whether groups take their work from a queue: not where packing is asked for as a launch of its own. */
static int queues(const oclin_context *ctx, const char *name)
{
    return ctx->device.queues && strcmp(name, "simd-staged") != 0;
}

/* Whether packing first may be worth its launch: grows with each dimension, so that memory for a batch is
 * enough for all smaller ones. Strips and panels are tile_k deep, also where k is not: half of one at least.
 */
static int may_pack(const char *name, const struct oclin_product *p, const struct oclin_tile *t)
{
    if (packs_always(name)) return 1;
    return strcmp(name, "simd-whole") != 0 && 2 * p->k >= t->tile_k &&
           (double)p->m * (double)p->n * (double)p->k >= 4e6;
}

static int64_t floats_of_slices(const struct oclin_product *p, const struct oclin_plan *plan)
{
    if (!oclin_slices_need_scratch(p) || oclin_slices(plan, p->k) == 1) return 0;
    return p->m * oclin_slices_stride(p->n);
}

int64_t oclin_plan_slices_at(const struct oclin_plan *plan)
{
    return oclin_round_up(plan->packed_a + plan->packed_b, 16);
}

int64_t oclin_plan_scratch_bytes(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return (oclin_plan_slices_at(plan) + floats_of_slices(p, plan)) * (int64_t)sizeof(float);
}

/* The best way, or, where there was no memory for packing, the one that needs none. */
static void simd_plan(const oclin_context *ctx, const struct oclin_product *p, const char *name,
                      struct oclin_plan *plan)
{
    const struct oclin_device_facts *d = &ctx->device;
    const struct oclin_tile tile = plan->tile;
    const int named = packs_always(name), mixed_named = strcmp(name, "simd-mixed") == 0 && tile.queue;
    double best = simd_whole(d, p, plan);
    if (tile.stage != OCLIN_STAGE_PRODUCT) return;
    for (int mixed = 0; mixed <= tile.queue; mixed++) {
        struct oclin_plan other = {.tile = tile};
        if (named ? mixed != mixed_named : mixed && is_flat(p, &tile)) continue;
        const double cost = mixed ? simd_mixed(d, p, &other) : simd_packed(d, p, &other);
        if (!named && (cost >= best || oclin_plan_scratch_bytes(p, &other) > d->info.max_allocation))
            continue;
        best = cost;
        *plan = other;
    }
}

/* The bytes that a packed or mixed plan takes, or one of a smaller k if that takes more. */
static int64_t most_scratch(const struct oclin_product *p, struct oclin_plan *plan)
{
    const int64_t slices = floats_of_slices(p, plan), now = plan->packed_a + plan->packed_b;
    const int mixed = plan->tile.stage == OCLIN_STAGE_MIXED;
    plan->slice_k = oclin_longest_slice(plan, p->k);
    const int64_t packed = floats_of_a(p, plan) + (mixed ? plan->packed_b : floats_of_b(p, plan));
    return (oclin_round_up(packed > now ? packed : now, 16) + slices) * (int64_t)sizeof(float);
}

static int64_t scratch_named(const oclin_context *ctx, const struct oclin_product *p, const char *name)
{
    const struct oclin_device_facts *d = &ctx->device;
    const int64_t allowed = d->info.max_allocation;
    const enum oclin_family family = family_of(ctx, name);
    struct oclin_plan plan = {.tile = simt_tiles[SIMT_TILES - 1].tile};
    if (family == OCLIN_SIMT) {
        oclin_cut_simt(&plan, p->k);
        return oclin_least(oclin_plan_scratch_bytes(p, &plan), allowed);
    }
    if (family != OCLIN_SIMD) return 0;
    plan.tile = simd_tile(d, number_of(name));
    plan.tile.queue = queues(ctx, name);
    if (!may_pack(name, p, &plan.tile)) {
        simd_whole(d, p, &plan);
        return oclin_least(oclin_plan_scratch_bytes(p, &plan), allowed);
    }
    struct oclin_plan mixed = plan;
    simd_packed(d, p, &plan);
    if (plan.tile.queue) simd_mixed(d, p, &mixed);
    const int64_t bytes = plan.tile.queue ? most_scratch(p, &mixed) : 0, packed = most_scratch(p, &plan);
    /* a product that needs more does without, one of a smaller batch may not */
    return oclin_least(packed > bytes ? packed : bytes, allowed);
}

/* Smaller products are the same layer's with smaller batches, each of which may be tuned. */
int64_t oclin_plan_scratch(const oclin_context *ctx, const struct oclin_product *p)
{
    int64_t most = scratch_named(ctx, p, ctx->plan.name);
    const struct oclin_shape shape = shape_of(p);
    for (int i = 0; i < oclin_tuning_count(ctx->tuning) && !ctx->plan.name[0]; i++) {
        const struct oclin_tuned *t = &ctx->tuning->entries[i];
        if (t->id != p->id || t->shape.in != shape.in || t->shape.out != shape.out ||
            t->shape.batch > shape.batch)
            continue;
        const struct oclin_product tuned = oclin_plan_shaped(t->id, t->shape);
        const int64_t bytes = scratch_named(ctx, &tuned, t->plan);
        if (bytes > most) most = bytes;
    }
    return most;
}

/* ------------------------------------------------------------------------------- narrow: W is read in place
 */

/* Batches up to which this beats packing W; the columns of a group that outweigh its packing of X; the depth
 * at which a panel of X is half as large as a 32 KB L1 (512 and 2048 were no faster, and the longer a block,
 * the more roundings). */
enum { NARROW_MOST = 64, NARROW_LEAST = 96, NARROW_DEPTH = 256 };

static void narrow_plan(const struct oclin_device_facts *d, const struct oclin_product *p,
                        struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t width = oclin_round_up(p->m, t->item_n);
    const int64_t most = (int64_t)t->tile_m * t->tile_n / width / t->item_m * t->item_m;
    /* as many for each core, so that all finish together */
    const int64_t units = d->info.compute_units, rounds = oclin_least(4, p->n / NARROW_LEAST / units);
    int64_t parts = rounds > 0 ? rounds * units : oclin_ceil_divide(p->n, NARROW_LEAST);
    if (parts < oclin_ceil_divide(p->n, most)) parts = oclin_ceil_divide(p->n, most);
    const int64_t depth = oclin_least(NARROW_DEPTH, (int64_t)t->tile_m * t->tile_k / width / t->vl * t->vl);
    plan->block_m = (int)width;
    plan->block_n = (int)oclin_least(part(p->n, parts, t->item_m), most);
    oclin_cut_simd(plan, p->k, depth);
    plan->groups = oclin_ceil_divide(p->n, plan->block_n);
}

/* Whether the tile's memory takes the samples at all. */
static int may_narrow(const struct oclin_product *p, const struct oclin_tile *t)
{
    const int64_t width = oclin_round_up(p->m, t->item_n);
    return p->id == OCLIN_KERNEL_FORWARD && p->m > 0 && p->m <= NARROW_MOST &&
           width * t->vl <= t->tile_m * t->tile_k && width * t->item_m <= t->tile_m * t->tile_n;
}

/* ----------------------------------------------------------------------- skinny, for small batches on CPUs
 */

/* Largest batches, measured: above them packing pays, or the narrow form (SKINNY_NAMED: where forward is
 * asked for by name, a whole tile); and largest outs, where the sum is long. Small products take the one
 * launch of grads up to TINY_GRADS. */
enum { SKINNY_FORWARD = 32, SKINNY_NAMED = 64, SKINNY_OUT = 48, SKINNY_GRADS = 16, TINY_GRADS = 64 };

static int skinny_allowed(const oclin_context *ctx, const char *name)
{
    return family_of(ctx, name) == OCLIN_SIMD &&
           (name[0] == 0 || strcmp(name, "simd") == 0 || strcmp(name, "simd-skinny") == 0);
}

static struct oclin_tile skinny_tile(const struct oclin_device_facts *d, const struct oclin_product *p)
{
    struct oclin_tile t = {
        .family = OCLIN_SKINNY, .vl = simd_tile(d, 0).vl, .group = 1, .prefetch = d->prefetches};
    if (p->id == OCLIN_KERNEL_FORWARD) {
        t.queue = d->queues;
        t.tile_m = 64;
        t.tile_n = 192;
        /* more rows of W side by side where X leaves room: rows a multiple of 4 KB apart share the places of
         * an L1 set */
        t.item_m = p->m <= 2 ? 2 : 4;
        t.item_n = p->m <= 2 ? 6 : 3;
        while (!fits(d, &t) && t.tile_m > 4) t.tile_m /= 2;
    } else {
        t.tile_m = p->m <= SKINNY_GRADS ? SKINNY_GRADS : TINY_GRADS;
        t.tile_n = p->m <= SKINNY_GRADS ? 2048 : 256;
        t.tile_k = t.vl > 8 ? t.vl : 8;
        t.item_m = t.item_n = 1;
        while (!fits(d, &t) && t.tile_n > 64) t.tile_n /= 2;
    }
    return t;
}

/* Few results a row of W: its lanes' sums outweigh a short product. */
static int few_columns(const struct oclin_product *p)
{
    return p->n <= (p->k >= 256 ? SKINNY_OUT : SKINNY_OUT / 3);
}

/* Whether forward goes by the narrow form: by default where its panels are nearly full, since it computes
 * whole ones, and where there are columns for all cores. */
static int is_narrow(const oclin_context *ctx, const struct oclin_product *p, const char *name,
                     const struct oclin_tile *t)
{
    if (!may_narrow(p, t)) return 0;
    if (strcmp(name, "simd-narrow") == 0) return 1;
    return skinny_allowed(ctx, name) && strcmp(name, "simd-skinny") != 0 && !few_columns(p) &&
           p->n >= NARROW_LEAST * ctx->device.info.compute_units &&
           10 * p->m >= 9 * oclin_round_up(p->m, t->item_n);
}

/* Is a kernel for small batches the right one for this product? */
static int is_skinny(const oclin_context *ctx, const struct oclin_product *p, const char *name)
{
    if (!skinny_allowed(ctx, name)) return 0;
    const int64_t most = strcmp(name, "simd-skinny") == 0 ? SKINNY_NAMED : SKINNY_FORWARD;
    return p->id == OCLIN_KERNEL_GRADS || (p->id == OCLIN_KERNEL_FORWARD && (p->m <= most || few_columns(p)));
}

/* What a tuned backward may be. */
static const char one_pass[] = "one-pass", two_products[] = "two-products";

int oclin_plan_one_pass(const oclin_context *ctx, const struct oclin_product *p)
{
    const struct oclin_tuned *t = NULL;
    if (!skinny_allowed(ctx, ctx->plan.name)) return 0;
    if (!ctx->plan.name[0]) t = oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_GRADS, shape_of(p));
    const struct oclin_tile tile = skinny_tile(&ctx->device, p);
    if (!fits(&ctx->device, &tile)) return 0;
    if (t && t->plan[0]) return strcmp(t->plan, one_pass) == 0;
    /* groups are columns alone: a narrow W leaves many cores without work */
    const double work = (double)p->m * (double)p->n * (double)p->k;
    if (oclin_ceil_divide(p->n, 64) < ctx->device.info.compute_units / 4 && work > 1e6) return 0;
    return p->m <= SKINNY_GRADS || (p->m <= TINY_GRADS && work < 4e5);
}

static void skinny_forward_plan(const struct oclin_device_facts *d, const struct oclin_product *p,
                                struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t parts = 4 * d->info.compute_units; /* groups, so that all cores finish together */
    const int by_rows = few_columns(p) && p->m >= d->info.compute_units * t->item_m;
    const int64_t m = by_rows ? part(p->m, parts, t->item_m) : p->m;
    const int64_t n = by_rows ? p->n : part(p->n, parts, t->item_n);
    plan->block_m = (int)oclin_least(m, t->tile_m);
    plan->block_n = (int)oclin_least(n, t->tile_n);
    set_groups(d, plan, blocks_of(p, plan));
    const int64_t depth = 32768 / plan->block_m; /* X's block takes 128 KB of L2 */
    oclin_cut_skinny(plan, p->k, depth);
}

/* Long rows are what memory likes: as wide as the cores leave it, and as the group's X and dX fit into 128 KB
 * of L2. */
static void skinny_grads_plan(const struct oclin_device_facts *d, const struct oclin_product *p,
                              struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t width = oclin_least(part(p->n, d->info.compute_units, 64), 16384 / p->m / 64 * 64);
    plan->block_n = (int)oclin_least(width, t->tile_n);
    plan->groups = oclin_ceil_divide(p->n, plan->block_n);
    /* columns at a time: those of X and dX take half of a 32 KB L1 */
    plan->block_k = (int)oclin_least(256, (2048 / p->m / t->vl + 1) * t->vl);
    oclin_cut_grads(plan, p->k);
}

/* --------------------------------------------------------------------------------------- the choice */

/* The tiles that the plan of this name allows for this product, the best one first. */
static int candidates(const oclin_context *ctx, const struct oclin_product *p, const char *name,
                      struct oclin_tile tiles[MOST_TILES])
{
    const struct oclin_device_facts *d = &ctx->device;
    int count = 0;
    if (family_of(ctx, name) == OCLIN_SIMD) {
        struct oclin_tile simd = simd_tile(d, number_of(name));
        if (is_narrow(ctx, p, name, &simd)) tiles[count] = simd, tiles[count++].stage = OCLIN_STAGE_NARROW;
        simd.queue = queues(ctx, name);
        if (is_skinny(ctx, p, name)) tiles[count++] = skinny_tile(d, p);
        if (p->id == OCLIN_KERNEL_GRADS) return count;
        tiles[count] = tiles[count + 1] = simd;
        if (may_pack(name, p, &tiles[count])) tiles[count++].stage = OCLIN_STAGE_PRODUCT;
        if (!packs_always(name)) tiles[count++].stage = OCLIN_STAGE_WHOLE;
        /* should the compiler refuse what a queue needs after all */
        if (simd.queue && !name[0]) tiles[count] = simd, tiles[count++].queue = 0;
    } else if (family_of(ctx, name) == OCLIN_SIMT) {
        count = simt_candidates(d, p, number_of(name) ? name : NULL, tiles);
    }
    if (count == 0 || !name[0] || family_of(ctx, name) == OCLIN_PLAIN) {
        tiles[count++] = oclin_plain_tile(d, OCLIN_LARGEST_GROUP);
        tiles[count++] = oclin_plain_tile(d, 1); /* the last resort of a device that allows no group */
    }
    return count;
}

/* Whether 128-bit accesses are possible along every row that the product touches. */
static int is_aligned(const struct oclin_product *p)
{
    const int64_t a_row = p->id == OCLIN_KERNEL_GRAD_W ? p->m : p->k;
    const struct oclin_operand *all[] = {&p->a, &p->s, &p->b, &p->c, &p->v, &p->z};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i]->mem && !all[i]->aligned) return 0;
    return a_row % 4 == 0 && p->n % 4 == 0;
}

/* The attempt-th choice of the plan of this name. *count: how many there are. */
static int plan_named(const oclin_context *ctx, const struct oclin_product *p, const char *name, int attempt,
                      struct oclin_plan *plan, int *count)
{
    struct oclin_tile tiles[MOST_TILES];
    *count = candidates(ctx, p, name, tiles);
    if (attempt >= *count) return 0;
    memset(plan, 0, sizeof *plan);
    plan->tile = tiles[attempt];
    switch (plan->tile.family) {
    case OCLIN_SIMD:
        if (plan->tile.stage == OCLIN_STAGE_NARROW)
            narrow_plan(&ctx->device, p, plan);
        else
            simd_plan(ctx, p, name, plan);
        break;
    case OCLIN_SKINNY:
        if (p->id == OCLIN_KERNEL_FORWARD)
            skinny_forward_plan(&ctx->device, p, plan);
        else
            skinny_grads_plan(&ctx->device, p, plan);
        break;
    case OCLIN_SIMT:
        plan->tile.aligned = is_aligned(p);
        plan->groups =
            oclin_ceil_divide(p->m, plan->tile.tile_m) * oclin_ceil_divide(p->n, plan->tile.tile_n);
        oclin_cut_simt(plan, p->k);
        break;
    default:
        plan->groups = oclin_ceil_divide(p->m * p->n, plan->tile.group);
        oclin_cut_plain(plan, p->k);
    }
    return 1;
}

/* A forced plan is the only one; behind a tuned one stand oclin's own choices, should it not build here. */
int oclin_plan_product(const oclin_context *ctx, const struct oclin_product *p, int attempt,
                       struct oclin_plan *plan)
{
    int count;
    if (ctx->plan.name[0] || oclin_tuning_count(ctx->tuning) == 0 || p->id == OCLIN_KERNEL_GRADS)
        return plan_named(ctx, p, ctx->plan.name, attempt, plan, &count);
    const struct oclin_tuned *t = oclin_tuning_find(ctx->tuning, p->id, shape_of(p));
    if (!t || !t->plan[0]) return plan_named(ctx, p, "", attempt, plan, &count);
    return plan_named(ctx, p, t->plan, attempt, plan, &count) ||
           plan_named(ctx, p, "", attempt - count, plan, &count);
}

void oclin_plan_rows(const oclin_context *ctx, int64_t rows, int64_t cols, int max_group,
                     struct oclin_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->tile = oclin_plain_tile(&ctx->device, max_group);
    plan->tile.family = family_of(ctx, ctx->plan.name);
    if (plan->tile.family == OCLIN_SIMD) plan->tile.group = 1;
    while (plan->tile.group & (plan->tile.group - 1))
        plan->tile.group--; /* the largest power of two, which its tree wants */
    plan->groups = rows;
    oclin_cut_row(plan, cols);
}

/* ----------------------------------------------------------------------------------------- forced plans */

static const char *const simd_names[] = {"simd",       "simd-4",      "simd-8",      "simd-16",
                                         "simd-whole", "simd-packed", "simd-skinny", "simd-narrow",
                                         "simd-mixed", "simd-staged"};
enum { SIMD_NAMES = sizeof simd_names / sizeof *simd_names };

static int tile_named(const oclin_context *ctx, const char *name, struct oclin_tile *tile)
{
    *tile = oclin_plain_tile(&ctx->device, 1);
    if (strcmp(name, "plain") == 0) return 1;
    for (int i = 0; i < SIMD_NAMES; i++)
        if (strcmp(name, simd_names[i]) == 0) {
            *tile = simd_tile(&ctx->device, number_of(name));
            return 1;
        }
    /* the family as a whole runs if its smallest tile does */
    if (strcmp(name, "simt") == 0) name = simt_tiles[SIMT_TILES - 1].name;
    for (int i = 0; i < SIMT_TILES; i++)
        if (strcmp(name, simt_tiles[i].name) == 0) {
            *tile = simt_tiles[i].tile;
            return 1;
        }
    return 0;
}

void oclin_plan_select(oclin_context *ctx, const char *name)
{
    snprintf(ctx->plan.name, sizeof ctx->plan.name, "%s", name);
    /* element by element a device works as it does on products, with as many lanes as the plan names */
    ctx->plan.family = family_of(ctx, ctx->plan.name);
    ctx->plan.lanes =
        ctx->plan.family == OCLIN_SIMD ? simd_tile(&ctx->device, number_of(ctx->plan.name)).vl : 1;
}

oclin_status oclin_plan_choose(oclin_context *ctx, const char *name)
{
    struct oclin_tile tile;
    oclin_plan_select(ctx, "");
    if (!name || !*name) return OCLIN_OK;
    if (!tile_named(ctx, name, &tile)) {
        char known[240] = "plain";
        for (int i = 0; i < SIMD_NAMES + 1 + SIMT_TILES; i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), ", %s",
                     i < SIMD_NAMES    ? simd_names[i]
                     : i == SIMD_NAMES ? "simt"
                                       : simt_tiles[i - SIMD_NAMES - 1].name);
        return oclin_fail(ctx, OCLIN_E_ARG, "plan '%.40s' is not known: %s", name, known);
    }
    if (!fits(&ctx->device, &tile))
        return oclin_fail(ctx, OCLIN_E_DEVICE,
                          "plan %s needs work-groups of %d and a %d x %d x %d tile; the device allows %lld "
                          "work-items and %lld bytes of local memory",
                          name, tile.group, tile.tile_m, tile.tile_n, tile.tile_k,
                          (long long)ctx->device.max_items, (long long)ctx->device.info.local_bytes);
    oclin_plan_select(ctx, name);
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------- what may be tuned
 */

int oclin_plan_tunable(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape,
                       const char *name)
{
    struct oclin_tile tile;
    if (!name[0]) return 1;
    if (id == OCLIN_KERNEL_GRADS)
        return shape.batch <= TINY_GRADS && (strcmp(name, one_pass) == 0 || strcmp(name, two_products) == 0);
    return tile_named(ctx, name, &tile) && fits(&ctx->device, &tile);
}

/* Whether to try it costs no more than it may bring: vectors that no register holds, and the specification
 * for products that keep it busy for long, are never the best. */
static int is_worth_trying(const oclin_context *ctx, const struct oclin_product *p, const char *name)
{
    const enum oclin_family family = family_of(ctx, name);
    if (family == OCLIN_PLAIN) return (double)p->m * (double)p->n * (double)p->k <= 4e6;
    if (family == OCLIN_SIMD && number_of(name) > ctx->device.info.vector_width && number_of(name) > 4)
        return 0;
    return family == family_of(ctx, "");
}

static int same_plan(const struct oclin_plan *a, const struct oclin_plan *b)
{
    return oclin_same_tile(&a->tile, &b->tile) && a->block_m == b->block_m && a->block_n == b->block_n &&
           a->block_k == b->block_k && a->groups == b->groups;
}

/* Whether name's first choice is one that is there already. */
static int is_double(const oclin_context *ctx, const struct oclin_product *p, const char *name,
                     const char *const *names, int count)
{
    struct oclin_plan plan, other;
    int choices;
    if (!plan_named(ctx, p, name, 0, &plan, &choices)) return 1;
    for (int i = 0; i < count; i++)
        if (plan_named(ctx, p, names[i], 0, &other, &choices) && same_plan(&plan, &other)) return 1;
    return 0;
}

int oclin_plan_candidates(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape,
                          const char *names[OCLIN_MOST_CANDIDATES])
{
    static const char *const all[] = {"simd-whole", "simd-packed", "simd-mixed", "simd-skinny", "simd-narrow",
                                      "simd-8",     "simd-16",     "simd-4",     "plain"};
    enum { OTHERS = sizeof all / sizeof *all };
    typedef char room_for_all[1 + OTHERS + SIMT_TILES <= OCLIN_MOST_CANDIDATES ? 1 : -1];
    const struct oclin_product p = oclin_plan_shaped(id, shape);
    int count = 0;
    (void)sizeof(room_for_all);
    names[count++] = "";
    if (id == OCLIN_KERNEL_GRADS) {
        names[count++] = oclin_plan_one_pass(ctx, &p) ? two_products : one_pass;
        return shape.batch <= TINY_GRADS && skinny_allowed(ctx, "") ? count : 0;
    }
    for (int i = 0; i < SIMT_TILES + OTHERS; i++) {
        const char *name = i < SIMT_TILES ? simt_tiles[i].name : all[i - SIMT_TILES];
        if (oclin_plan_tunable(ctx, id, shape, name) && is_worth_trying(ctx, &p, name) &&
            !is_double(ctx, &p, name, names, count))
            names[count++] = name;
    }
    return count;
}

/* --------------------------------------------------------------------------------------- what is checked */

/* The simt tiles that oclin may choose on the device, the largest first. */
static int simt_choices(const struct oclin_device_facts *d, const char *names[SIMT_TILES])
{
    const struct oclin_product p = oclin_plan_shaped(OCLIN_KERNEL_FORWARD, (struct oclin_shape){64, 64, 64});
    int count = 0;
    for (int i = 0; i < SIMT_TILES; i++)
        if (fits(d, &simt_tiles[i].tile) && simt_suits(d, &p, &simt_tiles[i].tile))
            names[count++] = simt_tiles[i].name;
    return count;
}

const char *oclin_plan_to_check(const oclin_context *ctx, int round, int run)
{
    typedef char a_round_has_all_tiles[(int)SIMT_TILES <= (int)OCLIN_CHECK_RUNS ? 1 : -1];
    static const char *const packing[] = {"simd-whole", "simd-packed", "simd-mixed"};
    const char *asked = ctx->plan.name, *tiles[SIMT_TILES];
    (void)sizeof(a_round_has_all_tiles);
    if (asked[0] && strcmp(asked, "simd") != 0 && strcmp(asked, "simt") != 0) return asked;
    if (family_of(ctx, asked) == OCLIN_SIMD)
        return round == 1 ? (run % 2 == 1 ? "simd-narrow" : "simd-skinny") : packing[run % 3];
    const int count = simt_choices(&ctx->device, tiles);
    return count ? tiles[(run + 2 * round) % count] : asked; /* another activation in the second round */
}

struct oclin_part oclin_plan_part(const oclin_context *ctx, const char *name)
{
    struct oclin_tile t;
    struct oclin_part part = {OCLIN_LARGEST_GROUP, OCLIN_LARGEST_GROUP, 1}; /* plain: a group's results */
    if (family_of(ctx, name) == OCLIN_SIMD) {
        t = simd_tile(&ctx->device, number_of(name));
        /* of the packing that all groups share, or of a group's block, whose columns come panel by panel */
        part.m = packs_always(name) ? OCLIN_SIMD_PACK_M(t.item_m) : t.tile_m;
        part.n = packs_always(name) ? OCLIN_SIMD_PACK_N(t.item_n) : t.item_n;
        part.k = t.tile_k;
    } else if (family_of(ctx, name) == OCLIN_SIMT && tile_named(ctx, name, &t)) {
        part = (struct oclin_part){t.tile_m, t.tile_n, t.tile_k};
    }
    return part;
}

oclin_status oclin_plan_load_tuning(oclin_context *ctx)
{
    OCLIN_TRY(oclin_tuning_start(ctx, oclin_plan_tunable));
    if (!ctx->plan.name[0]) oclin_tuning_load(ctx);
    return OCLIN_OK;
}
