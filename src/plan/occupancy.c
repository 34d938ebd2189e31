/*
 * How many work-groups a GPU runs at once, from what drivers tell and vendors write. Where a number is not
 * known the smaller one is taken: then a plan has groups enough to fill the device by that number, and the
 * rest of it hides latency.
 *
 * What CL_DEVICE_MAX_COMPUTE_UNITS counts, and what holds a group and its local memory:
 *
 *   NVIDIA         multiprocessors; those                          CUDA C++ Programming Guide, table of
 *                                                                  compute capabilities
 *   AMD, wave 64   compute units; those                            GCN and CDNA instruction set guides
 *   AMD, wave 32   work-group processors, pairs of compute units;  RDNA white paper; a driver that counts
 *                  those                                           compute units names twice as many
 *   Intel          execution units; sub-slices of 8 (Gen9, Gen11;  oneAPI GPU optimization guide, table of
 *                  Xe-HPC, Xe2) or 16 (Xe-LP, Arc) of them         architectures
 *   CPUs           cores, and each runs one group to its end
 *   others         cores; those
 *
 * A unit's local memory is at least what one group may have, and it holds at least the work-items of the
 * largest group. NVIDIA's and AMD's have 65,536 registers or more (AMD's newer ones 131,072), and an AMD unit
 * holds more items than those suffice for. A work-item has its results in registers and about 64 besides
 * (docs/gpus.md lists them). On Intel's a work-item has 128 registers whatever it needs, which the largest
 * group counts already; for others nothing is known.
 */
#include "plan/occupancy.h"

#include <string.h>

enum { REGISTERS = 65536, OTHER_REGISTERS = 64 };

int oclin_vendor_is(const struct oclin_device_facts *d, const char *word)
{
    return strstr(d->info.vendor, word) != NULL;
}

int oclin_is_intel(const struct oclin_device_facts *d)
{
    return d->info.type == OCLIN_DEVICE_GPU && oclin_vendor_is(d, "Intel");
}

/* Gen9 and Gen11 allow groups of 256 work-items. The sub-groups of Xe-HPC and Xe2 have 16 lanes at least,
 * those of all others 8. */
static int64_t units_of(const struct oclin_device_facts *d)
{
    const int eights = d->max_items <= 256 || d->sub_group >= 16;
    return oclin_is_intel(d) ? oclin_ceil_divide(d->info.compute_units, eights ? 8 : 16)
                             : d->info.compute_units;
}

struct oclin_occupancy oclin_occupancy_of(const struct oclin_device_facts *d, const struct oclin_tile *t,
                                          int64_t local_floats)
{
    const int amd = oclin_vendor_is(d, "Advanced Micro Devices"), nvidia = oclin_vendor_is(d, "NVIDIA");
    const int64_t registers = (int64_t)t->group * (t->item_m * t->item_n + OTHER_REGISTERS);
    struct oclin_occupancy o = {units_of(d), 1};
    if (d->info.type == OCLIN_DEVICE_CPU) return o;
    int64_t groups = d->info.local_bytes / (local_floats * (int64_t)sizeof(float));
    if (!amd) groups = oclin_least(groups, d->max_items / t->group);
    if (amd || nvidia) groups = oclin_least(groups, REGISTERS / registers);
    if (groups > 1) o.groups = groups;
    return o;
}
