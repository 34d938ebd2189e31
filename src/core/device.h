/* Finding, ranking and describing OpenCL devices. */
#ifndef OCLIN_CORE_DEVICE_H
#define OCLIN_CORE_DEVICE_H

#include "core/base.h"

/* The facts that plans are made from. */
struct oclin_device_facts {
    struct oclin_device_info info;
    int64_t max_items; /* work-items along the first dimension of a group */
    int denormals;     /* float32 keeps denormals */
    int truncates;     /* float32 is not rounded to nearest */
    int64_t wave;      /* work-items that run in step, if the driver tells (NVIDIA, AMD); else 0 */
    int64_t sub_group; /* the narrowest sub-group that a kernel can require; 0 if it can require none */
    /* bytes of the largest cache, as far as the driver tells: some drivers name the second largest */
    int64_t cache;
    int prefetches; /* the compiler is known to make __builtin_prefetch() an instruction */
    /* work-groups are known to run on threads, and the compiler to have __sync_synchronize() */
    int tickets;
    /* the driver mistakes kernels of one context for kernels of another context with the same text */
    int mixes_contexts;
    char platform_version[128];
};

/* Tells whether oclin can use the device at all; if not, sets *why to the reason. */
int oclin_device_usable(cl_device_id device, const char **why);
void oclin_device_facts_read(cl_device_id device, struct oclin_device_facts *facts);
/* Picks the device that options and environment name. If there is none, sets *why to one sentence. */
oclin_status oclin_device_pick(const struct oclin_context_options *options, cl_device_id *device, char *why,
                               size_t why_size);

#endif
