/* Contexts that come into being. */
#ifndef OCLIN_OPEN_H
#define OCLIN_OPEN_H

#include "core/context.h"

/* oclin_context_create() for a call on the context `caller`, whose failure it then is, with its sentence;
 * NULL: nobody's. */
oclin_status oclin_context_make(oclin_context **ctx, const struct oclin_context_options *options,
                                oclin_context *caller);

#endif
