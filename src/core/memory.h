/* Device memory, scratch memory, and what the queue has reached. */
#ifndef OCLIN_CORE_MEMORY_H
#define OCLIN_CORE_MEMORY_H

#include "core/base.h"

/* A new buffer of a size that the device allows; `what` is for the sentence. It really is there when what
 * `queue` holds now has run. */
oclin_status oclin_device_memory(oclin_context *ctx, cl_command_queue queue, int64_t bytes, const char *what,
                                 cl_mem *mem);
/* Scratch memory of at least so many bytes, valid for the launches up to the next call. */
oclin_status oclin_scratch(oclin_context *ctx, int64_t bytes, const char *user);
/* An event for all that was enqueued so far; and a flush, which takes *event back when it fails (event may be
 * NULL). */
oclin_status oclin_mark(oclin_context *ctx, cl_event *event);
oclin_status oclin_flush(oclin_context *ctx, cl_event *event);

#endif
