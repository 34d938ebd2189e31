/* Device arrays. */
#ifndef OCLIN_TENSOR_TENSOR_H
#define OCLIN_TENSOR_TENSOR_H

#include "core/context.h"
#include "core/launch.h"

struct oclin_tensor {
    struct oclin_interval place; /* first: in storage's tree, bytes of the root buffer */
    int64_t references;
    struct oclin_storage *storage;
    cl_mem mem;     /* what kernels are given; NULL without memory (0 rows) */
    int64_t origin; /* of mem within the root buffer, elements of its own dtype */
    int64_t offset, rows, cols, stride;
    oclin_dtype dtype;
    int host_readable, host_writable; /* by copies to and from the host */
    int readable, writable;           /* by kernels, from the flags of a wrapped buffer */
    int base_aligned;                 /* the root buffer starts at a multiple of 16 bytes */
    int aligned;                      /* so does every row of the tensor */
    int cleared;                      /* a gradient that counts as zeros: it is overwritten, not added to */
    int zero_pending;                 /* its zeros are not in memory yet */
    int unspecified;                  /* a call that failed may have left anything in it */
    int all_written;                  /* known: each of its elements was written once */
    uint64_t version;                 /* number of writes to any of its elements */
    uint64_t epoch;                   /* the context's, at the last write */
};

oclin_context *oclin_tensor_context(const oclin_tensor *t);
oclin_tensor *oclin_tensor_retain(oclin_tensor *t);
/* As the public ones without beginning a new call. */
oclin_status oclin_tensor_make(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype, int64_t rows,
                               int64_t cols);
/* The same, with memory that another queue of the cl_context asks for, and may write to before it is empty
 * again. */
oclin_status oclin_tensor_make_by(cl_command_queue queue, oclin_tensor **tensor, oclin_context *ctx,
                                  oclin_dtype dtype, int64_t rows, int64_t cols);
oclin_status oclin_tensor_read_inside(oclin_tensor *t, void *host);
oclin_status oclin_tensor_write_inside(oclin_tensor *t, const void *host);
/* Of a dense copy on the host. */
size_t oclin_tensor_host_bytes(const oclin_tensor *t);
/* Each element becomes these bits. */
oclin_status oclin_tensor_fill_inside(oclin_tensor *t, uint32_t bits);
/* Whether two tensors share elements, exactly. */
int oclin_tensor_overlap(const oclin_tensor *t, const oclin_tensor *u);
/* Whether two are the same matrix: each element of one is the element of the other at its place. */
int oclin_tensor_same(const oclin_tensor *t, const oclin_tensor *u);
/* An operand's part of the argument checks; `name` is its letter in the sentences. */
oclin_status oclin_tensor_check(oclin_context *ctx, const oclin_tensor *t, const char *name,
                                oclin_dtype dtype, int64_t rows, int64_t cols);
oclin_status oclin_tensor_check_readable(oclin_context *ctx, const oclin_tensor *t, const char *name);
oclin_status oclin_tensor_check_writable(oclin_context *ctx, const oclin_tensor *t, const char *name);
oclin_status oclin_tensor_check_apart(oclin_context *ctx, const oclin_tensor *out, const char *out_name,
                                      const oclin_tensor *other, const char *other_name);
/* Before a kernel reads t, or writes all or part of it: zeros that are only marked, here or in tensors that
 * share elements, reach memory. */
oclin_status oclin_tensor_settle(oclin_tensor *t);
oclin_status oclin_tensor_settle_others(oclin_tensor *t);
/* Whether any of its elements was ever written. */
int oclin_tensor_ever_written(const oclin_tensor *t);
/* After the write of t was enqueued: it and all that share elements with it count as written (or
 * unspecified). */
void oclin_tensor_written(oclin_tensor *t, oclin_status outcome);
/* After a finish that failed: everything written since the last good one is unspecified. */
void oclin_tensors_lose_epoch(oclin_context *ctx);
/* A gradient becomes zeros, by mark alone. */
oclin_status oclin_tensor_clear(oclin_tensor *t);
struct oclin_operand oclin_operand_of(const oclin_tensor *t);

#endif
