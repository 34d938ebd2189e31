/* The life of a context, and the calls that wait for its queue. */
#ifndef OCLIN_CORE_CONTEXT_H
#define OCLIN_CORE_CONTEXT_H

#include "core/handle.h"

void oclin_context_retain(oclin_context *ctx);
/* A clFinish() that really waits. */
cl_int oclin_finish_queue(cl_command_queue queue);

#endif
