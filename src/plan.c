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

#define SIMT_TILE(name, m, n, k, item_m, item_n)                                              \
    {                                                                                         \
        name,                                                                                 \
        {                                                                                     \
            OCLIN_SIMT, 4, OCLIN_SIMT_ITEMS(m, n, item_m, item_n), m, n, k, item_m, item_n, 0 \
        }                                                                                     \
    }

/* Every tile that a plan may name, largest first: the order in which they are tried. */
static const struct named_tile {
    const char *name;
    struct oclin_tile tile;
} simt_tiles[] = {
    SIMT_TILE("simt-128", 128, 128, 8, 8, 8),
    SIMT_TILE("simt-64", 64, 64, 16, 4, 4),
    SIMT_TILE("simt-32", 32, 32, 8, 4, 4),
    SIMT_TILE("simt-16", 16, 16, 4, 4, 4),
};
enum { SIMT_TILES = sizeof simt_tiles / sizeof *simt_tiles };

static int fits(const struct oclin_device_facts *d, const struct oclin_tile *t)
{
    int64_t floats = 0;
    if (t->family == OCLIN_SIMT) floats = OCLIN_SIMT_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k);
    if (t->family == OCLIN_SIMD)
        floats = OCLIN_SIMD_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k, t->item_n);
    return t->group <= d->max_items && floats * (int64_t)sizeof(float) <= d->info.local_bytes;
}

static struct oclin_tile plain_tile(const struct oclin_device_facts *d)
{
    const struct oclin_tile t = {OCLIN_PLAIN, 1, (int)least(64, d->max_items), 1, 1, 1, 1, 1, 0};
    return t;
}

/* --------------------------------------------------------------------------------------- simd, for CPUs */

/* vl: 4, 8 or 16 lanes, 0 for the device's native width. */
static struct oclin_tile simd_tile(const struct oclin_device_facts *d, int vl)
{
    const int64_t native = d->info.vector_width;
    if (vl == 0) vl = native >= 16 ? 16 : native >= 8 ? 8 : 4;
    struct oclin_tile t = {OCLIN_SIMD, vl, 1, 0, 0, 0, 0, 0, 0};
    /* register tile: 24 of 32 registers for 16 lanes, 12 of 16 otherwise, two vectors wide */
    t.item_m = vl == 16 ? 12 : 6;
    t.item_n = 2 * vl;
    t.tile_m = t.tile_n = 192;
    t.tile_k = 256;
    while (!fits(d, &t) && t.tile_k > 4 * vl) {
        if (t.tile_m > 96)
            t.tile_m = t.tile_n = t.tile_m / 2;
        else
            t.tile_k /= 2;
    }
    return t;
}

static void simd_blocks(const struct oclin_device_facts *d, const struct oclin_product *p,
                        struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t m = ceil_divide(p->m, t->item_m), n = ceil_divide(p->n, t->item_n);
    int64_t groups_m = ceil_divide(m, t->tile_m / t->item_m),
            groups_n = ceil_divide(n, t->tile_n / t->item_n);
    const int64_t units = d->info.compute_units;
    while (groups_m * groups_n % units && groups_m * groups_n < 4 * units && (groups_n < n || groups_m < m)) {
        if (groups_n < n)
            groups_n++;
        else
            groups_m++;
    }
    plan->block_m = (int)(ceil_divide(m, groups_m) * t->item_m);
    plan->block_n = (int)(ceil_divide(n, groups_n) * t->item_n);
    plan->block_k = t->tile_k;
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
                      struct oclin_tile tiles[SIMT_TILES + 1])
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
            if (!fits(d, t) || (number_of(name) && strcmp(name, simt_tiles[i].name) != 0)) continue;
            tiles[count++] = *t;
            /* the largest tile that still gives every compute unit something to do */
            const int64_t groups = ceil_divide(p->m, t->tile_m) * ceil_divide(p->n, t->tile_n);
            if (first < 0 && groups >= d->info.compute_units) first = count - 1;
        }
        if (first > 0) memmove(tiles, tiles + first, (size_t)(count - first) * sizeof *tiles), count -= first;
        if (first < 0 && count > 1) tiles[0] = tiles[count - 1], count = 1;
    }
    if (count == 0 || !name[0] || family_of(ctx) == OCLIN_PLAIN) tiles[count++] = plain_tile(d);
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
    struct oclin_tile tiles[SIMT_TILES + 1];
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

void oclin_plan_elements(const oclin_context *ctx, int64_t rows, int64_t cols, int aligned,
                         struct oclin_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->tile = plain_tile(&ctx->device);
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

void oclin_plan_rows(const oclin_context *ctx, int64_t rows, struct oclin_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->tile = plain_tile(&ctx->device);
    plan->tile.family = family_of(ctx);
    if (plan->tile.family == OCLIN_SIMD) plan->tile.group = 1;
    while (plan->tile.group & (plan->tile.group - 1)) plan->tile.group--; /* its tree wants a power of two */
    plan->groups = rows;
}

/* ----------------------------------------------------------------------------------------- forced plans */

static int tile_named(const oclin_context *ctx, const char *name, struct oclin_tile *tile)
{
    *tile = plain_tile(&ctx->device);
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
    if (!tile_named(ctx, name, &tile))
        return oclin_fail(
            ctx, OCLIN_E_ARG,
            "plan '%.40s' is not known: plain, simd, simd-4, simd-8, simd-16, simt, simt-128, simt-64, "
            "simt-32, simt-16",
            name);
    if (!fits(&ctx->device, &tile))
        return oclin_fail(ctx, OCLIN_E_DEVICE,
                          "plan %s needs work-groups of %d and a %d x %d x %d tile; the device allows %lld "
                          "work-items and %lld bytes of local memory",
                          name, tile.group, tile.tile_m, tile.tile_n, tile.tile_k,
                          (long long)ctx->device.max_items, (long long)ctx->device.info.local_bytes);
    snprintf(ctx->plan.name, sizeof ctx->plan.name, "%s", name);
    return OCLIN_OK;
}
