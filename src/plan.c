/*
 * (device facts, product, shape) -> kernel family, tile and groups. All heuristics, and nothing else.
 */
#include "oclin_internal.h"

#include <stdio.h>
#include <string.h>

/* The kernels' preprocessor compares activations by number. */
typedef char activations_agree[OCLIN_ACT_NONE == (int)OCLIN_NONE && OCLIN_ACT_RELU == (int)OCLIN_RELU &&
                                       OCLIN_ACT_SIGMOID == (int)OCLIN_SIGMOID &&
                                       OCLIN_ACT_TANH == (int)OCLIN_TANH && OCLIN_ACT_GELU == (int)OCLIN_GELU
                                   ? 1
                                   : -1];

static int64_t ceil_divide(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ----------------------------------------------------------------------------------------------- tiles */

#define SIMT_TILE(name, m, n, k, item_m, item_n)                                                 \
    {                                                                                            \
        name,                                                                                    \
        {                                                                                        \
            OCLIN_SIMT, 4, OCLIN_SIMT_ITEMS(m, n, item_m, item_n), m, n, k, item_m, item_n, 0, 4 \
        }                                                                                        \
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
enum { SIMT_TILES = sizeof simt_tiles / sizeof *simt_tiles, MOST_TILES = SIMT_TILES + 2 };

static int fits(const struct oclin_device_facts *d, const struct oclin_tile *t)
{
    int64_t floats = 0;
    if (t->family == OCLIN_SIMT) floats = OCLIN_SIMT_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k);
    if (t->family == OCLIN_SIMD)
        floats =
            OCLIN_SIMD_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k, t->item_m, t->item_n, t->vl);
    return t->group <= d->max_items && floats * (int64_t)sizeof(float) <= d->info.local_bytes;
}

/* Intel's compiler keeps the sums of 8 x 8 results in memory as soon as a kernel is a little more than the
 * bare product (17 to 52 % FMAs in its loop, offline, on Gen9, Xe and Arc), and wants the loop over a tile's
 * depth unrolled whole. */
static int is_intel_gpu(const struct oclin_device_facts *d)
{
    return d->info.type == OCLIN_DEVICE_GPU && strstr(d->info.vendor, "Intel") != NULL;
}

static struct oclin_tile plain_tile(const struct oclin_device_facts *d, int max_group)
{
    const struct oclin_tile t = {.family = OCLIN_PLAIN,
                                 .vl = 1,
                                 .group = (int)least(max_group, d->max_items),
                                 .tile_m = 1,
                                 .tile_n = 1,
                                 .tile_k = 1,
                                 .item_m = 1,
                                 .item_n = 1};
    return t;
}

/* --------------------------------------------------------------------------------------- simd, for CPUs */

static int64_t round_up(int64_t a, int64_t to)
{
    return ceil_divide(a, to) * to;
}

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
        t.tile_n = (int)round_up(t.tile_k, t.item_n);
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
    return round_up(ceil_divide(x, parts), item);
}

/* What a launch in blocks of m x n costs, in multiplications of its slowest core for each k: every round
 * computes a block and packs its rows of A and columns of B, at about ten multiplications an element. */
static double simd_cost(const struct oclin_product *p, int64_t units, int64_t m, int64_t n)
{
    const int64_t groups = ceil_divide(p->m, m) * ceil_divide(p->n, n);
    return (double)ceil_divide(groups, units) * ((double)m * (double)n + 10.0 * (double)m + 12.0 * (double)n);
}

/* Even blocks, in a number that lets all cores finish together: a few splits of m, and for each the splits of
 * n that give 1 to 4 groups a core. */
static void simd_blocks(const struct oclin_device_facts *d, const struct oclin_product *p,
                        struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t units = d->info.compute_units;
    const int64_t fewest_m = ceil_divide(p->m, t->tile_m), fewest_n = ceil_divide(p->n, t->tile_n);
    double best = 0.0;
    for (int64_t parts_m = fewest_m; parts_m <= fewest_m * 4 * units; parts_m *= 2)
        for (int64_t rounds = 0; rounds <= 4; rounds++) {
            int64_t parts_n = ceil_divide(rounds * units, parts_m);
            if (parts_n < fewest_n) parts_n = fewest_n;
            const int64_t m = part(p->m, parts_m, t->item_m), n = part(p->n, parts_n, t->item_n);
            const double cost = simd_cost(p, units, m, n);
            if (best != 0.0 && cost >= best) continue;
            best = cost;
            plan->block_m = (int)m;
            plan->block_n = (int)n;
        }
    plan->block_k = (int)part(p->k, ceil_divide(p->k, t->tile_k), t->vl);
    plan->groups = ceil_divide(p->m, plan->block_m) * ceil_divide(p->n, plan->block_n);
}

/* --------------------------------------------------------------------------------------- the choice */

static enum oclin_family family_of(const oclin_context *ctx)
{
    if (strncmp(ctx->plan.name, "plain", 5) == 0) return OCLIN_PLAIN;
    if (strncmp(ctx->plan.name, "simt", 4) == 0) return OCLIN_SIMT;
    if (strncmp(ctx->plan.name, "simd", 4) == 0) return OCLIN_SIMD;
    return ctx->device.info.type == OCLIN_DEVICE_CPU ? OCLIN_SIMD : OCLIN_SIMT;
}

/* The number behind a plan's name, "simd-8": 8; 0 when there is none. */
static int number_of(const char *name)
{
    const char *dash = strchr(name, '-');
    int number = 0;
    return dash && sscanf(dash, "-%d", &number) == 1 ? number : 0;
}

/* The tiles that the context's plan allows for this product, the best one first. */
static int candidates(const oclin_context *ctx, const struct oclin_product *p,
                      struct oclin_tile tiles[MOST_TILES])
{
    const struct oclin_device_facts *d = &ctx->device;
    const char *name = ctx->plan.name;
    int count = 0;
    if (family_of(ctx) == OCLIN_SIMD) {
        tiles[count++] = simd_tile(d, number_of(name));
    } else if (family_of(ctx) == OCLIN_SIMT) {
        int first = -1;
        for (int i = 0; i < SIMT_TILES; i++) {
            const struct oclin_tile *t = &simt_tiles[i].tile;
            const int forced = number_of(name) != 0;
            if (!fits(d, t) || (forced && strcmp(name, simt_tiles[i].name) != 0)) continue;
            if (!forced && is_intel_gpu(d) && t->item_m * t->item_n > 32) continue;
            tiles[count] = *t;
            if (is_intel_gpu(d)) tiles[count].unroll_k = t->tile_k;
            count++;
            /* the largest tile that still gives every compute unit something to do */
            const int64_t groups = ceil_divide(p->m, t->tile_m) * ceil_divide(p->n, t->tile_n);
            if (first < 0 && groups >= d->info.compute_units) first = count - 1;
        }
        if (first > 0) memmove(tiles, tiles + first, (size_t)(count - first) * sizeof *tiles), count -= first;
        if (first < 0 && count > 1) tiles[0] = tiles[count - 1], count = 1;
    }
    if (count == 0 || !name[0] || family_of(ctx) == OCLIN_PLAIN) {
        tiles[count++] = plain_tile(d, OCLIN_LARGEST_GROUP);
        tiles[count++] = plain_tile(d, 1); /* the last resort of a device that allows no group */
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

int oclin_plan_product(const oclin_context *ctx, const struct oclin_product *p, int attempt,
                       struct oclin_plan *plan)
{
    struct oclin_tile tiles[MOST_TILES];
    if (attempt >= candidates(ctx, p, tiles)) return 0;
    memset(plan, 0, sizeof *plan);
    plan->tile = tiles[attempt];
    switch (plan->tile.family) {
    case OCLIN_SIMD:
        simd_blocks(&ctx->device, p, plan);
        break;
    case OCLIN_SIMT:
        plan->tile.aligned = is_aligned(p);
        plan->groups = ceil_divide(p->m, plan->tile.tile_m) * ceil_divide(p->n, plan->tile.tile_n);
        break;
    default:
        plan->groups = ceil_divide(p->m * p->n, plan->tile.group);
    }
    return 1;
}

void oclin_plan_elements(const oclin_context *ctx, int64_t rows, int64_t cols, int aligned, int max_group,
                         struct oclin_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->tile = plain_tile(&ctx->device, max_group);
    struct oclin_tile *t = &plan->tile;
    t->family = family_of(ctx);
    if (t->family == OCLIN_SIMD) {
        t->group = 1;
        t->vl = simd_tile(&ctx->device, number_of(ctx->plan.name)).vl;
        t->item_n = 4096; /* 16 KB: a chunk outweighs the start of its group by far */
    } else if (t->family == OCLIN_SIMT) {
        t->vl = t->item_n = 4;
        t->aligned = aligned;
    }
    plan->groups = ceil_divide(rows * ceil_divide(cols, t->item_n), t->group);
}

void oclin_plan_rows(const oclin_context *ctx, int64_t rows, int max_group, struct oclin_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->tile = plain_tile(&ctx->device, max_group);
    plan->tile.family = family_of(ctx);
    if (plan->tile.family == OCLIN_SIMD) plan->tile.group = 1;
    while (plan->tile.group & (plan->tile.group - 1))
        plan->tile.group--; /* the largest power of two, which its tree wants */
    plan->groups = rows;
}

/* ----------------------------------------------------------------------------------------- forced plans */

static int tile_named(const oclin_context *ctx, const char *name, struct oclin_tile *tile)
{
    *tile = plain_tile(&ctx->device, 1);
    if (strcmp(name, "plain") == 0) return 1;
    if (strcmp(name, "simd") == 0 || strcmp(name, "simd-4") == 0 || strcmp(name, "simd-8") == 0 ||
        strcmp(name, "simd-16") == 0) {
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

oclin_status oclin_plan_choose(oclin_context *ctx, const char *name)
{
    struct oclin_tile tile;
    if (!name || !*name) return OCLIN_OK;
    if (!tile_named(ctx, name, &tile)) {
        char known[160] = "plain, simd, simd-4, simd-8, simd-16, simt";
        for (int i = 0; i < SIMT_TILES; i++)
            snprintf(known + strlen(known), sizeof known - strlen(known), ", %s", simt_tiles[i].name);
        return oclin_fail(ctx, OCLIN_E_ARG, "plan '%.40s' is not known: %s", name, known);
    }
    if (!fits(&ctx->device, &tile))
        return oclin_fail(ctx, OCLIN_E_DEVICE,
                          "plan %s needs work-groups of %d and a %d x %d x %d tile; the device allows %lld "
                          "work-items and %lld bytes of local memory",
                          name, tile.group, tile.tile_m, tile.tile_n, tile.tile_k,
                          (long long)ctx->device.max_items, (long long)ctx->device.info.local_bytes);
    snprintf(ctx->plan.name, sizeof ctx->plan.name, "%s", name);
    return OCLIN_OK;
}
