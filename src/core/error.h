/* The record of the last error, the log, and option structs of any age. */
#ifndef OCLIN_CORE_ERROR_H
#define OCLIN_CORE_ERROR_H

#include "core/base.h"

/* Begins a public call: clears the error record, and refuses the call after a fork or the loss of the
 * device. */
oclin_status oclin_enter(oclin_context *ctx);
/* Clears the error record when a call begins, or when it has found another way to succeed. */
void oclin_forget_error(oclin_context *ctx);
/* Records the sentence and returns the status unchanged. */
OCLIN_PRINTF(3, 4)
oclin_status oclin_fail(oclin_context *ctx, oclin_status status, const char *format, ...);
/* Makes the status and the sentence for an OpenCL failure in `call`. Allocation failures become
 * OCLIN_E_MEMORY, and a lost device is noted in the context. */
oclin_status oclin_fail_cl(oclin_context *ctx, cl_int error, const char *call);
/* Tells whether the code alone says what is wrong, whichever call failed: no memory, or no device any
 * more. */
int oclin_error_says_all(cl_int error);
OCLIN_PRINTF(2, 3)
void oclin_log(const oclin_context *ctx, const char *format, ...);
/* Like oclin_fail_cl(), but for a command that was (or may have been) enqueued: returns OCLIN_E_CL always.
 * A lost device is noted as well. */
oclin_status oclin_fail_run(oclin_context *ctx, cl_int error, const char *call);

/* Fills `to` (known_size bytes of defaults) from a caller's option struct of any age; see oclin.h on
 * `size`. */
oclin_status oclin_options_read(oclin_context *ctx, void *to, size_t known_size, const void *from);

#endif
