/* Creating contexts. */
#ifndef OCLIN_OPEN_H
#define OCLIN_OPEN_H

#include "core/context.h"

/* Does what oclin_context_create() does, for a call on the context `caller`, which gets the status and
 * sentence of a failure; NULL: none does. */
oclin_status oclin_context_make(oclin_context **ctx, const struct oclin_context_options *options,
                                oclin_context *caller);

#endif
