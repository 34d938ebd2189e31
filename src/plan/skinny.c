/* Small batches on CPUs: W (out, in) is read once, row by row, as fast as memory gives it. */
#include "plan/skinny.h"

#include "plan/additions.h"
#include "plan/simd.h"

/* SKINNY_FORWARD and SKINNY_GRADS are the largest batches, as measured: above them packing pays, or the
 * narrow way. SKINNY_NAMED, a whole tile, is the largest batch where forward is asked for by name. SKINNY_OUT
 * is the largest out, where the sum is long. Small products are made in one pass up to
 * OCLIN_TINY_ONE_PASS. */
enum { SKINNY_FORWARD = 32, SKINNY_NAMED = 64, SKINNY_OUT = 48, SKINNY_GRADS = 16 };

int oclin_few_columns(const struct oclin_product *p)
{
    return p->n <= (p->k >= 256 ? SKINNY_OUT : SKINNY_OUT / 3);
}

static int fits(const struct oclin_device_facts *d, const struct oclin_tile *t)
{
    return oclin_way_fits(d, t, OCLIN_SKINNY_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k));
}

/* --------------------------------------------------------------------------------------------- forward */

static int can_forward(const struct oclin_device_facts *d, const struct oclin_way *way,
                       const struct oclin_product *p, struct oclin_tile *t)
{
    (void)way;
    *t = (struct oclin_tile){.family = OCLIN_SKINNY,
                             .vl = t->vl,
                             .group = 1,
                             .tile_m = 64,
                             .tile_n = 192,
                             .prefetch = d->prefetches,
                             .tickets = d->tickets};
    /* take more rows of W side by side where X leaves room; rows a multiple of 4 KB apart share the places of
     * an L1 set */
    t->item_m = p->m <= 2 ? 2 : 4;
    t->item_n = p->m <= 2 ? 6 : 3;
    while (!fits(d, t) && t->tile_m > 4) t->tile_m /= 2;
    return !p->transposed && (p->m <= SKINNY_NAMED || oclin_few_columns(p));
}

static int suits_forward(const struct oclin_device_facts *d, const struct oclin_product *p,
                         const struct oclin_tile *t)
{
    (void)d, (void)t;
    return p->m <= SKINNY_FORWARD || oclin_few_columns(p);
}

static double place_forward(const struct oclin_device_facts *d, const struct oclin_product *p,
                            struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t parts = 4 * d->info.compute_units; /* several groups a core, so that all finish together */
    const int by_rows = oclin_few_columns(p) && p->m >= d->info.compute_units * t->item_m;
    const int64_t m = by_rows ? oclin_way_part(p->m, parts, t->item_m) : p->m;
    const int64_t n = by_rows ? p->n : oclin_way_part(p->n, parts, t->item_n);
    plan->block_m = (int)oclin_least(m, t->tile_m);
    plan->block_n = (int)oclin_least(n, t->tile_n);
    oclin_way_set_groups(d, plan, oclin_way_blocks(p, plan));
    const int64_t depth = 32768 / plan->block_m; /* X's block takes 128 KB of L2 */
    oclin_cut_skinny(plan, p->k, depth);
    return 1; /* behind the narrow way, where that one suits */
}

/* --------------------------------------------------------------------------- all gradients in one pass */

static int can_grads(const struct oclin_device_facts *d, const struct oclin_way *way,
                     const struct oclin_product *p, struct oclin_tile *t)
{
    const int few = p->m <= SKINNY_GRADS;
    (void)way;
    *t = (struct oclin_tile){.family = OCLIN_SKINNY,
                             .vl = t->vl,
                             .group = 1,
                             .tile_m = few ? SKINNY_GRADS : OCLIN_TINY_ONE_PASS,
                             .tile_n = few ? 2048 : 256,
                             .tile_k = t->vl > 8 ? t->vl : 8,
                             .item_m = 1,
                             .item_n = 1,
                             .prefetch = d->prefetches};
    while (!fits(d, t) && t->tile_n > 64) t->tile_n /= 2;
    return !p->transposed && p->m <= OCLIN_TINY_ONE_PASS && fits(d, t);
}

static int suits_grads(const struct oclin_device_facts *d, const struct oclin_product *p,
                       const struct oclin_tile *t)
{
    /* each group is a range of columns, so a narrow W leaves many cores without work */
    const double work = (double)p->m * (double)p->n * (double)p->k;
    (void)t;
    if (oclin_ceil_divide(p->n, 64) < d->info.compute_units / 4 && work > 1e6) return 0;
    return p->m <= SKINNY_GRADS || work < 4e5;
}

/* Memory is fastest on long rows: a group is as wide as the number of cores allows, and as its X and dX fit
 * into 128 KB of L2. */
static double place_grads(const struct oclin_device_facts *d, const struct oclin_product *p,
                          struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t width =
        oclin_least(oclin_way_part(p->n, d->info.compute_units, 64), 16384 / p->m / 64 * 64);
    plan->block_n = (int)oclin_least(width, t->tile_n);
    plan->groups = oclin_ceil_divide(p->n, plan->block_n);
    /* columns at a time: those of X and dX take half of a 32 KB L1 */
    plan->block_k = (int)oclin_least(256, (2048 / p->m / t->vl + 1) * t->vl);
    oclin_cut_grads(plan, p->k);
    return 0;
}

static const struct oclin_way ways[] = {
    {.name = "simd-skinny",
     .family = OCLIN_SIMD,
     .makes = OCLIN_MAKES_FORWARD,
     .leads = 1,
     .tuned = 1,
     .checked = 1,
     .kernel = "skinny",
     .files = {"forward_skinny.cl"},
     .takes = OCLIN_TAKES_TICKETS | OCLIN_TAKES_CHUNK,
     .can = can_forward,
     .suits = suits_forward,
     .place = place_forward,
     .of_products = oclin_roundings_in_lanes},
    {.name = "one-pass",
     .family = OCLIN_SIMD,
     .makes = OCLIN_MAKES_ONE_PASS,
     .leads = 1,
     .kernel = "skinny",
     .files = {"one_pass_skinny.cl"},
     .takes = OCLIN_TAKES_X,
     .can = can_grads,
     .suits = suits_grads,
     .place = place_grads,
     .of_products = oclin_roundings_of_one_pass,
     .of_sum_of_a = oclin_sum_roundings_of_one_pass},
};

const struct oclin_room oclin_skinny_room = {.family = OCLIN_SIMD, .ways = ways, .count = 2};
