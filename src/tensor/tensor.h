/* Device arrays. */
#ifndef OCLIN_TENSOR_TENSOR_H
#define OCLIN_TENSOR_TENSOR_H

#include "core/context.h"
#include "core/launch.h"

struct oclin_tensor {
    struct oclin_interval place; /* must come first: in the storage's tree, in bytes of root */
    int64_t references;
    struct oclin_storage *storage;
    cl_mem mem;     /* the buffer that kernels get; NULL without memory (0 rows) */
    int64_t origin; /* start of mem within the root buffer, in elements of its own dtype */
    int64_t offset, rows, cols, stride;
    oclin_dtype dtype;
    int host_readable, host_writable; /* whether copies to and from the host are allowed */
    int readable, writable;           /* whether kernels may do so, by the flags of a wrapped buffer */
    int base_aligned;                 /* the root buffer starts at a multiple of 16 bytes */
    int aligned;                      /* every row of the tensor does so, too */
    int cleared;                      /* a gradient that counts as zeros: it is overwritten, not added to */
    int zero_pending;                 /* its zeros are not in memory yet */
    int unspecified;                  /* a call that failed may have left anything in it */
    int all_written;                  /* known to be true: each of its elements was written at least once */
    uint64_t version;                 /* number of writes to any of its elements */
    uint64_t epoch;                   /* the context's epoch at the last write */
};

oclin_context *oclin_tensor_context(const oclin_tensor *t);
oclin_tensor *oclin_tensor_retain(oclin_tensor *t);
/* These do the same as the public functions, without beginning a new call. */
oclin_status oclin_tensor_make(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype, int64_t rows,
                               int64_t cols);
/* Like oclin_tensor_make(), but another queue of the cl_context asks for the memory. That queue may write
 * to the memory until it is empty again. */
oclin_status oclin_tensor_make_by(cl_command_queue queue, oclin_tensor **tensor, oclin_context *ctx,
                                  oclin_dtype dtype, int64_t rows, int64_t cols);
oclin_status oclin_tensor_read_inside(oclin_tensor *t, void *host);
oclin_status oclin_tensor_write_inside(oclin_tensor *t, const void *host);
/* Returns the size of a dense copy on the host. */
size_t oclin_tensor_host_bytes(const oclin_tensor *t);
/* Sets each element to these bits. */
oclin_status oclin_tensor_fill_inside(oclin_tensor *t, uint32_t bits);
/* Tells whether two tensors share elements; the answer is exact. */
int oclin_tensor_overlap(const oclin_tensor *t, const oclin_tensor *u);
/* Tells whether two tensors are the same matrix, so that each element of one is the element of the other
 * at its place. */
int oclin_tensor_same(const oclin_tensor *t, const oclin_tensor *u);
/* These check an operand's part of the arguments; `name` is its letter in the sentences. */
oclin_status oclin_tensor_check(oclin_context *ctx, const oclin_tensor *t, const char *name,
                                oclin_dtype dtype, int64_t rows, int64_t cols);
oclin_status oclin_tensor_check_readable(oclin_context *ctx, const oclin_tensor *t, const char *name);
oclin_status oclin_tensor_check_writable(oclin_context *ctx, const oclin_tensor *t, const char *name);
oclin_status oclin_tensor_check_apart(oclin_context *ctx, const oclin_tensor *out, const char *out_name,
                                      const oclin_tensor *other, const char *other_name);
/* Call this before a kernel reads t, or writes all or part of it. Zeros that are only marked, in t or in
 * tensors that share elements with it, are written to memory. */
oclin_status oclin_tensor_settle(oclin_tensor *t);
oclin_status oclin_tensor_settle_others(oclin_tensor *t);
/* Tells whether any of its elements was ever written. */
int oclin_tensor_ever_written(const oclin_tensor *t);
/* Call this after the write of t was enqueued. Then t and all tensors that share elements with it count as
 * written, or as unspecified if the outcome is a failure. */
void oclin_tensor_written(oclin_tensor *t, oclin_status outcome);
/* Call this after a finish that failed: everything written since the last good one becomes unspecified. */
void oclin_tensors_lose_epoch(oclin_context *ctx);
/* Turns a gradient into zeros, by a mark alone. */
oclin_status oclin_tensor_clear(oclin_tensor *t);
struct oclin_operand oclin_operand_of(const oclin_tensor *t);

#endif
