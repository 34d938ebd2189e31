/* Tiles in local memory, for GPUs: each result by one group, or by one for each part of k. */
#include "plan/simt.h"

#include "plan/additions.h"
#include "plan/occupancy.h"

static int64_t local_floats(const struct oclin_tile *t)
{
    return OCLIN_SIMT_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k);
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
    if (oclin_is_intel(d))
        return d->sub_group && is_aligned(p) &&
               (p->activation == OCLIN_NONE ||
                (p->id == OCLIN_KERNEL_FORWARD &&
                 p->activation <= OCLIN_TANH)); /* GELU and later were not counted */
    /* 32 KB of local memory, the least that OpenCL allows, means a small GPU (Apple, ARM, Qualcomm), which
     * has few registers and is best at groups of 64 to 128. Old AMD drivers report 32 KB as well, for GPUs
     * with 256 registers. */
    return d->info.local_bytes > 32 * 1024 || oclin_vendor_is(d, "NVIDIA") ||
           oclin_vendor_is(d, "Advanced Micro Devices");
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
    if (oclin_is_intel(d)) return t->tile_k;
    if (!oclin_vendor_is(d, "NVIDIA")) return t->unroll_k;
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
    if (oclin_is_intel(d)) t->sub_group = (int)d->sub_group;
    return oclin_way_fits(d, t, local_floats(t));
}

/* Times in cycles of a unit: estimates from data sheets, since no GPU has been measured yet; only their
 * ratios matter. A unit does 128 FMAs in a cycle. An operand that comes from local memory takes as long as an
 * FMA, and each float of the panels 1/8 of a cycle on its way there. A group's tile takes at least as long as
 * a read from global memory and a barrier, while other groups of the unit work. */
#define FMAS_OF_UNIT 128.0
#define COST_OF_FLOAT 0.125
#define COST_OF_TILE 800.0
/* What a split adds: a second launch, which waits for the first one's last group, and which the host may take
 * as long to enqueue (5 us); each float of a part, written and read again through the cache that all units
 * share; and the loads of the parts, 8 at a time. DOUBT is the gain that an estimate must promise. */
#define DOUBT 1.1
#define COST_OF_LAUNCH 9000.0
#define COST_OF_SUM 0.5
#define COST_OF_PART 100.0

/* Returns the time in which a device makes so many groups, each with a sum of k. The unit with the most of
 * them is done last. */
static double cost_of(const struct oclin_occupancy *o, const struct oclin_tile *t, int64_t groups, int64_t k)
{
    const double fmas = (double)t->item_m * t->item_n, operands = (double)t->item_m + t->item_n;
    const double steps = (double)t->tile_m * t->tile_n * t->tile_k / FMAS_OF_UNIT;
    const double work =
        steps * (1.0 + operands / fmas) + COST_OF_FLOAT * ((double)t->tile_m + t->tile_n) * (double)t->tile_k;
    const int64_t of_unit = oclin_ceil_divide(groups, o->units),
                  waves = oclin_ceil_divide(of_unit, o->groups);
    const double busy = work * (double)of_unit, waiting = COST_OF_TILE * (double)waves;
    /* of tiles that take the same time the one with the least work is best */
    return ((busy > waiting ? busy : waiting) + busy / 100) * (double)oclin_ceil_divide(k, t->tile_k);
}

static int64_t tiles_of(const struct oclin_product *p, const struct oclin_tile *t)
{
    return oclin_ceil_divide(p->m, t->tile_m) * oclin_ceil_divide(p->n, t->tile_n);
}

static struct oclin_occupancy occupancy(const struct oclin_device_facts *d, const struct oclin_tile *t)
{
    return oclin_occupancy_of(d, t, local_floats(t));
}

static double place(const struct oclin_device_facts *d, const struct oclin_product *p,
                    struct oclin_plan *plan)
{
    const struct oclin_occupancy o = occupancy(d, &plan->tile);
    plan->tile.aligned = is_aligned(p);
    plan->groups = tiles_of(p, &plan->tile);
    oclin_cut_simt(plan, p->k);
    return cost_of(&o, &plan->tile, plan->groups, p->k);
}

/* ------------------------------------------------------------------------------------------------- split */

/* Returns the floats that the sums of one part take. */
static int64_t floats_of_part(const struct oclin_product *p)
{
    return p->m * oclin_slices_stride(p->n);
}

/* Returns the most parts that roundings and memory allow. */
static int64_t most_parts(const struct oclin_device_facts *d, const struct oclin_product *p)
{
    const int64_t room = d->info.max_allocation / (int64_t)sizeof(float);
    return oclin_least(oclin_most_parts(p->k), room / floats_of_part(p));
}

static int can_split(const struct oclin_device_facts *d, const struct oclin_way *way,
                     const struct oclin_product *p, struct oclin_tile *t)
{
    return can(d, way, p, t) && !oclin_way_swaps_c(p) && p->k > t->tile_k && most_parts(d, p) >= 2;
}

/* Two parts must fit side by side: so scratch memory never exceeds the results of groups that run at once. On
 * Intel's Arc the place of a part is one register too many for 8 x 8 results of dW. */
static int suits_split(const struct oclin_device_facts *d, const struct oclin_product *p,
                       const struct oclin_tile *t)
{
    const struct oclin_occupancy o = occupancy(d, t);
    if (oclin_is_intel(d) && p->id == OCLIN_KERNEL_GRAD_W && t->item_m * t->item_n > 32) return 0;
    return suits(d, p, t) && 2 * tiles_of(p, t) <= o.units * o.groups;
}

/* Returns the time of the launch that adds the sums of so many parts, and of writing them. */
static double cost_of_sums(const struct oclin_occupancy *o, const struct oclin_product *p, int64_t parts)
{
    const double floats = (double)parts * (double)floats_of_part(p);
    return COST_OF_LAUNCH + COST_OF_SUM * floats / (double)o->units + COST_OF_PART * (double)parts;
}

/* Tries the numbers of parts that give each unit one group, two, and so on up to those that it holds. */
static double place_split(const struct oclin_device_facts *d, const struct oclin_product *p,
                          struct oclin_plan *plan)
{
    const struct oclin_occupancy o = occupancy(d, &plan->tile);
    const int64_t tiles = tiles_of(p, &plan->tile), most = most_parts(d, p);
    struct oclin_plan tried = *plan;
    double best = 0.0;
    tried.tile.aligned = is_aligned(p);
    for (int64_t groups = 1; groups <= o.groups; groups++) {
        const int64_t wanted = oclin_least(groups * o.units / tiles, most);
        oclin_cut_split(&tried, p->k, wanted > 2 ? wanted : 2);
        const int64_t parts = oclin_parts(&tried, p->k), slices = oclin_slices(&tried, p->k);
        tried.groups = tiles * parts;
        const double cost =
            cost_of(&o, &tried.tile, tried.groups, tried.block_k * slices) + cost_of_sums(&o, p, parts);
        if (best != 0.0 && cost >= best) continue;
        best = cost;
        *plan = tried;
    }
    return DOUBT * best;
}

/* The kernel is the same for all tiles. */
static const struct oclin_way adding = {
    .name = "sums", .family = OCLIN_SIMT, .kernel = "sums", .files = {"split_sums.cl"}};

void oclin_plan_adding(const struct oclin_device_facts *d, const struct oclin_product *p,
                       const struct oclin_plan *product, struct oclin_plan *plan)
{
    const int sums_a = p->id == OCLIN_KERNEL_GRAD_W && (p->flags & OCLIN_FLAG_BIAS);
    *plan = (struct oclin_plan){.way = &adding, .tile = oclin_plain_tile(d, OCLIN_LARGEST_GROUP)};
    plan->tile.family = OCLIN_SIMT;
    plan->tile.vl = product->tile.vl;
    plan->tile.aligned = product->tile.aligned;
    plan->tile.stage = OCLIN_STAGE_SUMS;
    const int64_t items = p->m * oclin_ceil_divide(p->n, plan->tile.vl) + (sums_a ? p->m : 0);
    plan->groups = oclin_ceil_divide(items, plan->tile.group);
}

/* -------------------------------------------------------------------------------------------------- rows */

#define TILE(text, m, n, k, i_m, i_n)                                                            \
    .name = text, .family = OCLIN_SIMT, .makes = OCLIN_MAKES_PRODUCTS, .tuned = 1, .checked = 1, \
    .kernel = "simt", .files = {"product_simt.cl"},                                              \
    .tile = {.family = OCLIN_SIMT,                                                               \
             .vl = 4,                                                                            \
             .group = OCLIN_SIMT_ITEMS(m, n, i_m, i_n),                                          \
             .tile_m = m,                                                                        \
             .tile_n = n,                                                                        \
             .tile_k = k,                                                                        \
             .item_m = i_m,                                                                      \
             .item_n = i_n,                                                                      \
             .unroll_k = 4}
#define WHOLE                                                                              \
    .can = can, .suits = suits, .place = place, .of_products = oclin_roundings_in_a_chain, \
    .of_sum_of_a = oclin_sum_roundings_in_shares
#define SPLIT                                                                                               \
    .can = can_split, .suits = suits_split, .place = place_split, .of_products = oclin_roundings_in_blocks, \
    .of_sum_of_a = oclin_sum_roundings_in_parts, .tile.stage = OCLIN_STAGE_PARTS

static const struct oclin_way ways[] = {
    {.name = "simt", .family = OCLIN_SIMT},
    {TILE("simt-128", 128, 128, 8, 8, 8), WHOLE},
    {TILE("simt-64", 64, 64, 8, 8, 4), WHOLE},
    {TILE("simt-64x32", 64, 32, 8, 8, 4), WHOLE},
    {TILE("simt-32", 32, 32, 8, 4, 4), WHOLE},
    {TILE("simt-16", 16, 16, 8, 4, 4), WHOLE},
    {TILE("simt-128-split", 128, 128, 8, 8, 8), SPLIT},
    {TILE("simt-64-split", 64, 64, 8, 8, 4), SPLIT},
    {TILE("simt-64x32-split", 64, 32, 8, 8, 4), SPLIT},
    {TILE("simt-32-split", 32, 32, 8, 4, 4), SPLIT},
    {TILE("simt-16-split", 16, 16, 8, 4, 4), SPLIT},
};
enum { WAYS = sizeof ways / sizeof *ways };

/* The family as a whole runs if its smallest tile does. */
static struct oclin_tile simt_tile(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    (void)d;
    return named && named->makes ? named->tile : ways[WAYS - 1].tile;
}

/* Returns the most floats that parts of p, or of a smaller product, take in this way. There are not more
 * parts than the roundings allow, and not more groups than run at once, except that a way that is named makes
 * two parts of anything. */
static int64_t floats_of_parts(const struct oclin_device_facts *d, const struct oclin_way *way,
                               const struct oclin_product *p, int is_named)
{
    const struct oclin_tile *t = &way->tile;
    const struct oclin_occupancy o = occupancy(d, t);
    const int64_t at_once = o.units * o.groups * t->tile_m * oclin_slices_stride(t->tile_n),
                  pair = is_named ? 2 * floats_of_part(p) : 0, most = at_once > pair ? at_once : pair;
    const int64_t parts = oclin_most_parts(p->k), part = floats_of_part(p);
    return part > most / parts ? most : parts * part; /* their product might overflow */
}

static int64_t scratch(const struct oclin_device_facts *d, const struct oclin_way *named,
                       const struct oclin_product *p)
{
    struct oclin_plan plan = {.tile = ways[WAYS - 1].tile};
    plan.tile.stage = OCLIN_STAGE_WHOLE;
    oclin_cut_simt(&plan, p->k);
    int64_t most = oclin_plan_scratch_bytes(p, &plan);
    for (int i = 0; i < WAYS; i++) {
        const int is_named = named == &ways[i];
        if (ways[i].tile.stage != OCLIN_STAGE_PARTS || (named && named->makes && !is_named)) continue;
        const int64_t bytes = floats_of_parts(d, &ways[i], p, is_named) * (int64_t)sizeof(float);
        if (bytes > most) most = bytes;
    }
    return oclin_least(most, d->info.max_allocation);
}

static struct oclin_part part(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    const struct oclin_tile t = simt_tile(d, named);
    return (struct oclin_part){t.tile_m, t.tile_n, t.tile_k};
}

const struct oclin_room oclin_simt_room = {OCLIN_SIMT, ways, WAYS, simt_tile, local_floats, scratch, part};
