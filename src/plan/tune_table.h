/* What oclin_tune() has found. */
#ifndef OCLIN_PLAN_TUNE_TABLE_H
#define OCLIN_PLAN_TUNE_TABLE_H

#include "plan/way.h"

/* What oclin_tune() found for one product of one shape. */
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

/* "forward", "grad_x", "grad_w"; "backward" for OCLIN_KERNEL_ONE_PASS. */
const char *oclin_tuned_name(enum oclin_kernel_id id);
/* Entries; 0 of a table that is not there, NULL. */
static inline int oclin_tuning_count(const struct oclin_tuning *tuning)
{
    return tuning ? tuning->count : 0;
}
const struct oclin_tuned *oclin_tuning_find(const struct oclin_tuning *tuning, enum oclin_kernel_id id,
                                            struct oclin_shape shape);
/* Adds an entry, or replaces the one for its product and shape. 0: no memory. */
int oclin_tuning_put(struct oclin_tuning *tuning, const struct oclin_tuned *tuned);
void oclin_tuning_free(struct oclin_tuning *tuning);
/* Gives the context an empty table. may_be: whether an entry of a file may name this plan; plan.c tells. */
oclin_status oclin_tuning_start(oclin_context *ctx, int (*may_be)(const oclin_context *, enum oclin_kernel_id,
                                                                  struct oclin_shape, const char *plan));
/* Its table from the file of its device, where there is one; and the file with these entries added. Failures
 * are lines of the log. */
void oclin_tuning_load(oclin_context *ctx);
void oclin_tuning_store(oclin_context *ctx, const struct oclin_tuning *fresh);

#endif
