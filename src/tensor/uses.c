/* Tables that list the uses of a call's operands; the functions check, settle and mark them. */
#include "tensor/uses.h"

#include "core/error.h"

struct oclin_use oclin_use_as_it_is(oclin_tensor *t, const char *name, int flags)
{
    struct oclin_use use = {t, name, OCLIN_F32, 0, 0, flags};
    if (t) use.dtype = t->dtype, use.rows = t->rows, use.cols = t->cols;
    return use;
}

/* Returns 1 if the two must not share elements. */
static int kept_apart(const struct oclin_use *a, const struct oclin_use *b)
{
    if ((a->flags & b->flags & OCLIN_SAME) && a->tensor && b->tensor)
        if (oclin_tensor_same(a->tensor, b->tensor)) return 0;
    return ((a->flags | b->flags) & OCLIN_WRITES) || ((a->flags & b->flags) & OCLIN_APART);
}

/* The order of the arguments makes the sentence say which of the two is written. */
static oclin_status check_apart(oclin_context *ctx, const struct oclin_use *a, const struct oclin_use *b)
{
    if (!kept_apart(a, b)) return OCLIN_OK;
    if (!(a->flags & OCLIN_WRITES))
        return oclin_tensor_check_apart(ctx, b->tensor, b->name, a->tensor, a->name);
    return oclin_tensor_check_apart(ctx, a->tensor, a->name, b->tensor, b->name);
}

oclin_status oclin_uses_check(oclin_context *ctx, const struct oclin_use *uses, int n)
{
    for (const struct oclin_use *u = uses; u < uses + n; u++)
        if (u->tensor) OCLIN_TRY(oclin_tensor_check(ctx, u->tensor, u->name, u->dtype, u->rows, u->cols));
    for (const struct oclin_use *u = uses; u < uses + n; u++) {
        if (!u->tensor) continue;
        if (u->flags & OCLIN_WRITES) OCLIN_TRY(oclin_tensor_check_writable(ctx, u->tensor, u->name));
        for (const struct oclin_use *v = uses; v < u; v++) OCLIN_TRY(check_apart(ctx, u, v));
    }
    for (const struct oclin_use *u = uses; u < uses + n; u++)
        if (u->tensor && u->flags & OCLIN_READS)
            OCLIN_TRY(oclin_tensor_check_readable(ctx, u->tensor, u->name));
    return OCLIN_OK;
}

oclin_status oclin_uses_settle(const struct oclin_use *uses, int n)
{
    for (const struct oclin_use *u = uses; u < uses + n; u++) {
        if (!u->tensor) continue;
        if (u->flags & OCLIN_READS)
            OCLIN_TRY(oclin_tensor_settle(u->tensor));
        else if (u->flags & OCLIN_WRITES)
            OCLIN_TRY(oclin_tensor_settle_others(u->tensor));
    }
    return OCLIN_OK;
}

void oclin_uses_written(const struct oclin_use *uses, int n, oclin_status outcome)
{
    for (const struct oclin_use *u = uses; u < uses + n; u++)
        if (u->tensor && u->flags & OCLIN_WRITES) oclin_tensor_written(u->tensor, outcome);
}

oclin_status oclin_uses_verified(const struct oclin_use *uses, int n, oclin_status outcome)
{
    if (outcome == OCLIN_E_CL) oclin_uses_written(uses, n, outcome);
    return outcome;
}
