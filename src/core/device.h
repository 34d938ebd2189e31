/* Finding, ranking and describing OpenCL devices. */
#ifndef OCLIN_CORE_DEVICE_H
#define OCLIN_CORE_DEVICE_H

#include "core/base.h"

/* What plans are made from. */
struct oclin_device_facts {
    struct oclin_device_info info;
    int64_t max_items; /* work-items along the first dimension of a group */
    int denormals;     /* float32 keeps them */
    int truncates;     /* it does not round to nearest */
    int64_t wave;      /* work-items that run in step, where the driver tells (NVIDIA, AMD); 0 elsewhere */
    int64_t sub_group; /* the narrowest sub-group that a kernel can require; 0: it cannot */
    int64_t cache;  /* bytes of its largest cache, as far as the driver tells: some name the second largest */
    int prefetches; /* its compiler is known to make __builtin_prefetch() an instruction */
    int tickets; /* its groups are known to run on threads, and its compiler to have __sync_synchronize() */
    int mixes_contexts; /* it mistakes kernels of one context for those of another with the same text */
    char platform_version[128];
};

/* Whether oclin can use it at all; if not, *why is set to the reason. */
int oclin_device_usable(cl_device_id device, const char **why);
void oclin_device_facts_read(cl_device_id device, struct oclin_device_facts *facts);
/* Picks the device that options and environment name, or sets *why to one sentence. */
oclin_status oclin_device_pick(const struct oclin_context_options *options, cl_device_id *device, char *why,
                               size_t why_size);

#endif
