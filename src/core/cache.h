/* Files in the cache folder. */
#ifndef OCLIN_CORE_CACHE_H
#define OCLIN_CORE_CACHE_H

#include "core/base.h"

/* Files in ctx->cache_dir. No failure is an error for the caller: the log says why, and the call returns
 * NULL or 0. */

/* Reads a whole file of at most `most` bytes and appends a 0; the caller frees the result. A file that
 * another user may have written is refused. */
unsigned char *oclin_cache_read(oclin_context *ctx, const char *name, size_t most, size_t *size);
/* Replaces the file of that name in one step, so that readers see either the old file or the new one. */
int oclin_cache_write(oclin_context *ctx, const char *name, const void *bytes, size_t count);
/* Tells whether something can be stored now, and makes the folder. Call it before work that is done only
 * to store its result. */
int oclin_cache_ready(oclin_context *ctx);
/* Returns the 64-bit FNV-1a hash. */
uint64_t oclin_cache_hash(const void *bytes, size_t count);
/* Records hold data under a key, which is compared as a whole. `what` becomes part of the file's name. */
unsigned char *oclin_cache_load(oclin_context *ctx, const char *what, const void *key, size_t key_size,
                                size_t *size);
int oclin_cache_store(oclin_context *ctx, const char *what, const void *key, size_t key_size,
                      const void *data, size_t size);

#endif
