/* The shapes of oclin_self_check(). */
#ifndef OCLIN_TOP_SELF_CHECK_H
#define OCLIN_TOP_SELF_CHECK_H

#include "plan/way.h"

/* Returns the shape of a run of oclin_self_check(), whose plan is oclin_plan_to_check(ctx, round, run). */
struct oclin_shape oclin_self_check_shape(const oclin_context *ctx, int round, int run);

#endif
