/*
 * What a call does with its operands, as a table: one row an operand. The checks before a call, the zeros
 * that reach memory first, and the marks after it follow from the rows.
 */
#ifndef OCLIN_TENSOR_USES_H
#define OCLIN_TENSOR_USES_H

#include "tensor/tensor.h"

/* What happens to an operand. An operand with none of the flags is only kept apart from what is written. */
enum oclin_use_flags {
    OCLIN_READS = 1,
    OCLIN_WRITES = 2,                        /* overwritten; what it held is never read */
    OCLIN_ADDS = OCLIN_READS | OCLIN_WRITES, /* added to, or updated */
    OCLIN_APART = 4                          /* not written now, but shares no elements with any other */
};

struct oclin_use {
    oclin_tensor *tensor; /* NULL: the call has no such operand */
    const char *name;     /* in the sentences */
    oclin_dtype dtype;
    int64_t rows, cols; /* as they must be */
    int flags;
};

/* The row of a tensor whose shape and dtype are those of the call already. */
struct oclin_use oclin_use_as_it_is(oclin_tensor *tensor, const char *name, int flags);

/* In this order: context, dtype and shape of all; that what is written may be written, and shares no
 * elements with any other operand; that what is read may be read, and holds something. Changes nothing. */
oclin_status oclin_uses_check(oclin_context *ctx, const struct oclin_use *uses, int n);
/* Before the first kernel is enqueued: zeros that are only marked reach memory where they are read, or would
 * be overwritten in part. */
oclin_status oclin_uses_settle(const struct oclin_use *uses, int n);
/* After the kernel that writes them was enqueued, with its outcome. */
void oclin_uses_written(const struct oclin_use *uses, int n, oclin_status outcome);
/* After the results were read back to be verified: where that failed so did, for all that is known, the
 * kernels before. Hands the outcome on. */
oclin_status oclin_uses_verified(const struct oclin_use *uses, int n, oclin_status outcome);

#endif
