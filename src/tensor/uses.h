/*
 * A table of the uses that a call makes of its operands, with one row per operand. The checks before a call,
 * the zeros that are written to memory first, and the marks after the call follow from the rows.
 */
#ifndef OCLIN_TENSOR_USES_H
#define OCLIN_TENSOR_USES_H

#include "tensor/tensor.h"

/* The flags say what happens to an operand. An operand with no flag is only kept apart from what is
 * written. */
enum oclin_use_flags {
    OCLIN_READS = 1,
    OCLIN_WRITES = 2,                        /* overwritten; its old contents are never read */
    OCLIN_ADDS = OCLIN_READS | OCLIN_WRITES, /* added to, or updated */
    /* not written now, but must share no elements with any other operand that has this flag */
    OCLIN_APART = 4,
    OCLIN_SAME = 8 /* two operands that have it may be the same matrix */
};

struct oclin_use {
    oclin_tensor *tensor; /* NULL: the call has no such operand */
    const char *name;     /* used in the sentences */
    oclin_dtype dtype;
    int64_t rows, cols; /* the values that they must have */
    int flags;
};

/* Makes the row of a tensor whose shape and dtype already are those that the call needs. */
struct oclin_use oclin_use_as_it_is(oclin_tensor *tensor, const char *name, int flags);

/* Checks in this order: context, dtype and shape of all operands; that each operand to be written may be
 * written and shares no elements with any other operand; that each operand to be read may be read and
 * holds something. Changes nothing. */
oclin_status oclin_uses_check(oclin_context *ctx, const struct oclin_use *uses, int n);
/* Call this before the first kernel is enqueued. Zeros that are only marked are written to memory if they
 * will be read, or overwritten in part. */
oclin_status oclin_uses_settle(const struct oclin_use *uses, int n);
/* Call this after the kernel that writes the operands was enqueued, with its outcome. */
void oclin_uses_written(const struct oclin_use *uses, int n, oclin_status outcome);
/* Call this after the results were read back to be verified. If that failed, the kernels before it may
 * have failed as well, so their results count as unspecified. Returns the outcome unchanged. */
oclin_status oclin_uses_verified(const struct oclin_use *uses, int n, oclin_status outcome);

#endif
