/* The record of the last error, the log, and option structs of any age. */
#ifndef OCLIN_CORE_ERROR_H
#define OCLIN_CORE_ERROR_H

#include "core/base.h"

/* Begins a public call: clears the error record, refuses after fork and device loss. */
oclin_status oclin_enter(oclin_context *ctx);
/* Clears the error record: a call begins, or has found another way. */
void oclin_forget_error(oclin_context *ctx);
/* Records the sentence and hands the status through. */
OCLIN_PRINTF(3, 4)
oclin_status oclin_fail(oclin_context *ctx, oclin_status status, const char *format, ...);
/* The status and sentence for an OpenCL failure in `call`; allocation failures become OCLIN_E_MEMORY; notices
 * a lost device. */
oclin_status oclin_fail_cl(oclin_context *ctx, cl_int error, const char *call);
/* Whether the code alone says what is wrong, whatever the call was: no memory, or no device any more. */
int oclin_error_says_all(cl_int error);
OCLIN_PRINTF(2, 3)
void oclin_log(const oclin_context *ctx, const char *format, ...);
/* The same for a command that was (or may have been) enqueued: always OCLIN_E_CL; notices a lost device. */
oclin_status oclin_fail_run(oclin_context *ctx, cl_int error, const char *call);

/* Fills `to` (known_size bytes of defaults) from a caller's option struct of any age; see oclin.h on `size`.
 */
oclin_status oclin_options_read(oclin_context *ctx, void *to, size_t known_size, const void *from);

#endif
