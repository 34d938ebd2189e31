/* Functions that the rooms of all families share. */
#include "plan/way.h"

int oclin_way_fits(const struct oclin_device_facts *d, const struct oclin_tile *t, int64_t local_floats)
{
    return t->group <= d->max_items && local_floats * (int64_t)sizeof(float) <= d->info.local_bytes;
}

int64_t oclin_way_blocks(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return oclin_ceil_divide(p->m, plan->block_m) * oclin_ceil_divide(p->n, plan->block_n);
}

void oclin_way_set_groups(const struct oclin_device_facts *d, struct oclin_plan *plan, int64_t parts)
{
    const int64_t most = INT32_MAX - d->info.compute_units; /* the tickets are counted in 32 bits */
    plan->tile.tickets = plan->tile.tickets && parts <= most;
    plan->groups = plan->tile.tickets ? oclin_least(parts, d->info.compute_units) : parts;
}
