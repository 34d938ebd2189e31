/* Forward for small batches on CPUs: X is packed, and W (out, in) is read in place. */
#include "plan/additions.h"
#include "plan/simd.h"
#include "plan/skinny.h"

/* NARROW_MOST is the largest batch for which this beats packing W. NARROW_LEAST is the number of columns of a
 * group that outweighs its packing of X. At NARROW_DEPTH a panel of X is half as large as a 32 KB L1 (512 and
 * 2048 were no faster, and a longer block has more roundings). */
enum { NARROW_MOST = 64, NARROW_LEAST = 96, NARROW_DEPTH = 256 };

/* Returns 1 if the batch is small enough, and fits in the tile's memory. */
static int can(const struct oclin_device_facts *d, const struct oclin_way *way, const struct oclin_product *p,
               struct oclin_tile *t)
{
    const int64_t width = oclin_round_up(p->m, t->item_n);
    (void)d, (void)way;
    return !p->transposed && p->m > 0 && p->m <= NARROW_MOST && width * t->vl <= t->tile_m * t->tile_k &&
           width * t->item_m <= t->tile_m * t->tile_n;
}

/* Returns 1 if its panels are nearly full, since it computes whole ones, and if there are columns for all
 * cores. */
static int suits(const struct oclin_device_facts *d, const struct oclin_product *p,
                 const struct oclin_tile *t)
{
    return !oclin_few_columns(p) && p->n >= NARROW_LEAST * d->info.compute_units &&
           10 * p->m >= 9 * oclin_round_up(p->m, t->item_n);
}

static double place(const struct oclin_device_facts *d, const struct oclin_product *p,
                    struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t width = oclin_round_up(p->m, t->item_n);
    const int64_t most = (int64_t)t->tile_m * t->tile_n / width / t->item_m * t->item_m;
    /* each core gets as many parts as the others, so that all finish together */
    const int64_t units = d->info.compute_units, rounds = oclin_least(4, p->n / NARROW_LEAST / units);
    int64_t parts = rounds > 0 ? rounds * units : oclin_ceil_divide(p->n, NARROW_LEAST);
    if (parts < oclin_ceil_divide(p->n, most)) parts = oclin_ceil_divide(p->n, most);
    const int64_t depth = oclin_least(NARROW_DEPTH, (int64_t)t->tile_m * t->tile_k / width / t->vl * t->vl);
    plan->block_m = (int)width;
    plan->block_n = (int)oclin_way_part(p->n, parts, t->item_m); /* most is a multiple of it, too */
    oclin_cut_simd(plan, p->k, depth);
    plan->groups = oclin_ceil_divide(p->n, plan->block_n);
    return 0;
}

static const struct oclin_way ways[] = {
    {.name = "simd-narrow",
     .family = OCLIN_SIMD,
     .makes = OCLIN_MAKES_FORWARD,
     .leads = 1,
     .tuned = 1,
     .checked = 1,
     .kernel = "narrow",
     .files = {"simd_pack.cl", "forward_narrow.cl"},
     .can = can,
     .suits = suits,
     .place = place,
     .of_products = oclin_roundings_in_blocks},
};

const struct oclin_room oclin_narrow_room = {.family = OCLIN_SIMD, .ways = ways, .count = 1};
