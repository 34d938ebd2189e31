/* The table of what oclin_tune() has found, and its file. */
#ifndef OCLIN_PLAN_TUNE_TABLE_H
#define OCLIN_PLAN_TUNE_TABLE_H

#include "plan/way.h"

/* The result of oclin_tune() for one product of one shape. */
struct oclin_tuned {
    enum oclin_kernel_id id; /* one of the first four */
    struct oclin_shape shape;
    char plan[32];       /* empty: the default */
    int64_t ns, plan_ns; /* of the default (0: it did not work) and of the plan, for readers of the file */
};

struct oclin_tuning {
    struct oclin_tuned *entries;
    int count;
};

/* Returns "forward", "grad_x" or "grad_w"; "backward" for OCLIN_KERNEL_ONE_PASS. */
const char *oclin_tuned_name(enum oclin_kernel_id id);
/* Returns the number of entries; 0 for NULL, a table that is not there. */
static inline int oclin_tuning_count(const struct oclin_tuning *tuning)
{
    return tuning ? tuning->count : 0;
}
const struct oclin_tuned *oclin_tuning_find(const struct oclin_tuning *tuning, enum oclin_kernel_id id,
                                            struct oclin_shape shape);
/* Adds an entry, or replaces the one for its product and shape. Returns 0 if there is no memory. */
int oclin_tuning_put(struct oclin_tuning *tuning, const struct oclin_tuned *tuned);
void oclin_tuning_free(struct oclin_tuning *tuning);
/* Gives the context an empty table. may_be() returns 1 if an entry of a file may name this plan; it is
 * plan.c's. */
oclin_status oclin_tuning_start(oclin_context *ctx, int (*may_be)(const oclin_context *, enum oclin_kernel_id,
                                                                  struct oclin_shape, const char *plan));
/* Read the context's table from the file of its device, if there is one; and write the file with these
 * entries added. Failures only go to the log. */
void oclin_tuning_load(oclin_context *ctx);
void oclin_tuning_store(oclin_context *ctx, const struct oclin_tuning *fresh);

#endif
