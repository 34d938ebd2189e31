/* Arguments, launches, and kernels that go over elements one by one. */
#ifndef OCLIN_CORE_LAUNCH_H
#define OCLIN_CORE_LAUNCH_H

#include "core/base.h"
#include "core/device.h"
#include "core/program.h"

/* An operand of a kernel in device memory. mem is NULL if it is not used. */
struct oclin_operand {
    cl_mem mem;
    int64_t offset, stride;
    int aligned, readable;
};

/* Sets one kernel argument after the other and keeps the first failure. */
struct oclin_arguments {
    cl_kernel kernel;
    cl_uint next;
    cl_int error;
};
void oclin_argument(struct oclin_arguments *arguments, size_t size, const void *value);
void oclin_argument_operand(struct oclin_arguments *arguments, const struct oclin_operand *o,
                            int with_stride);
void oclin_argument_long(struct oclin_arguments *arguments, int64_t value);
void oclin_argument_int(struct oclin_arguments *arguments, int value);
/* Launches `groups` work-groups of `group` work-items each. */
oclin_status oclin_enqueue(oclin_context *ctx, const struct oclin_arguments *arguments, int64_t groups,
                           int group, const char *what);

/* A launch of a kernel that goes over rows x cols elements one by one. */
struct oclin_elements {
    struct oclin_tile tile;
    int64_t groups;
    cl_kernel kernel;
};
/* Returns the tile of a kernel with one result per work-item and groups of at most max_group work-items. */
struct oclin_tile oclin_plain_tile(const struct oclin_device_facts *d, int max_group);
/* oclin_elements_plan() works out the tile and the number of groups of at most max_group work-items.
 * Preparing begins with groups of OCLIN_LARGEST_GROUP and halves them until the built kernel fits. */
enum { OCLIN_LARGEST_GROUP = 64 };
void oclin_elements_plan(const oclin_context *ctx, int64_t rows, int64_t cols, int aligned, int max_group,
                         struct oclin_elements *e);
/* Plans as oclin_elements_plan() does and builds the kernel, with the largest work-group that it can run
 * with. The request lacks only the tile. */
oclin_status oclin_elements_prepare(oclin_context *ctx, const struct oclin_kernel_request *request,
                                    int64_t rows, int64_t cols, int aligned, struct oclin_elements *e);
/* Sets rows x cols elements of t to these bits. */
oclin_status oclin_fill_enqueue(oclin_context *ctx, const struct oclin_operand *t, int64_t rows, int64_t cols,
                                uint32_t bits);

#endif
