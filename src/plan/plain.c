/* Each work-item computes one result. This is the specification of all other ways, and the last resort of
 * every device. */
#include "plan/additions.h"
#include "plan/way.h"

static struct oclin_tile plain_tile(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    (void)named;
    return oclin_plain_tile(d, OCLIN_LARGEST_GROUP);
}

static int64_t no_floats(const struct oclin_tile *t)
{
    (void)t;
    return 0;
}

static int can(const struct oclin_device_facts *d, const struct oclin_way *way, const struct oclin_product *p,
               struct oclin_tile *t)
{
    (void)p;
    *t = oclin_plain_tile(d, way->tile.group);
    return 1;
}

static int suits(const struct oclin_device_facts *d, const struct oclin_product *p,
                 const struct oclin_tile *t)
{
    (void)d, (void)p, (void)t;
    return 1;
}

/* The larger group is tried first. */
static double place(const struct oclin_device_facts *d, const struct oclin_product *p,
                    struct oclin_plan *plan)
{
    (void)d;
    plan->groups = oclin_ceil_divide(p->m * p->n, plan->tile.group);
    oclin_cut_plain(plan, p->k);
    return 1.0 / plan->tile.group;
}

static int64_t no_scratch(const struct oclin_device_facts *d, const struct oclin_way *named,
                          const struct oclin_product *p)
{
    (void)d, (void)named, (void)p;
    return 0;
}

/* The part is the results of one group. */
static struct oclin_part part(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    (void)d, (void)named;
    return (struct oclin_part){OCLIN_LARGEST_GROUP, OCLIN_LARGEST_GROUP, 1};
}

#define PLAIN(size)                                                                                         \
    .family = OCLIN_PLAIN, .makes = OCLIN_MAKES_PRODUCTS, .kernel = "plain", .files = {"product_plain.cl"}, \
    .tile = {.group = size}, .can = can, .suits = suits, .place = place,                                    \
    .of_products = oclin_roundings_in_blocks, .of_sum_of_a = oclin_sum_roundings_in_blocks

static const struct oclin_way ways[] = {
    {.name = "plain", .family = OCLIN_PLAIN, .tuned = 1},
    {.name = "plain-group", PLAIN(OCLIN_LARGEST_GROUP), .checked = 1},
    {.name = "plain-single", PLAIN(1)}, /* for a device that allows no group */
};

const struct oclin_room oclin_plain_room = {
    OCLIN_PLAIN, ways, sizeof ways / sizeof *ways, plain_tile, no_floats, no_scratch, part};
