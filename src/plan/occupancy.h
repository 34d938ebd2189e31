/* Tells how many work-groups a GPU runs at once. */
#ifndef OCLIN_PLAN_OCCUPANCY_H
#define OCLIN_PLAN_OCCUPANCY_H

#include "core/device.h"
#include "core/kernel.h"

/* Units, each of which runs its groups in local memory of its own, and the groups of one tile that each of
 * them holds at a time. */
struct oclin_occupancy {
    int64_t units, groups;
};
struct oclin_occupancy oclin_occupancy_of(const struct oclin_device_facts *d, const struct oclin_tile *tile,
                                          int64_t local_floats);
/* Returns 1 if the vendor's name has this word in it. */
int oclin_vendor_is(const struct oclin_device_facts *d, const char *word);
/* Returns 1 for a GPU of Intel's. */
int oclin_is_intel(const struct oclin_device_facts *d);

#endif
