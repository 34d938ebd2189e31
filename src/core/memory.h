/* Device memory, scratch memory, and events for what the queue has reached. */
#ifndef OCLIN_CORE_MEMORY_H
#define OCLIN_CORE_MEMORY_H

#include "core/base.h"

/* Makes a new buffer of a size that the device allows; `what` names it in the error sentence. The memory
 * is certain to exist once the commands that `queue` holds now have run. */
oclin_status oclin_device_memory(oclin_context *ctx, cl_command_queue queue, int64_t bytes, const char *what,
                                 cl_mem *mem);
/* Provides scratch memory of at least so many bytes, which is valid for the launches up to the next call. */
oclin_status oclin_scratch(oclin_context *ctx, int64_t bytes, const char *user);
/* oclin_mark() makes an event for all that was enqueued so far. oclin_flush() flushes the queue, and
 * releases *event if that fails; event may be NULL. */
oclin_status oclin_mark(oclin_context *ctx, cl_event *event);
oclin_status oclin_flush(oclin_context *ctx, cl_event *event);

#endif
