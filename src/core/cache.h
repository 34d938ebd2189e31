/* Files in the cache folder. */
#ifndef OCLIN_CORE_CACHE_H
#define OCLIN_CORE_CACHE_H

#include "core/base.h"

/* Files in ctx->cache_dir. No failure is an error for the caller: the log says why, and the call gives NULL
 * or 0. */

/* A whole file of at most `most` bytes, with a 0 behind; allocated. Not one that somebody else may have
 * written. */
unsigned char *oclin_cache_read(oclin_context *ctx, const char *name, size_t most, size_t *size);
/* Takes the place of a file of that name at once: readers see the old one or the new one. */
int oclin_cache_write(oclin_context *ctx, const char *name, const void *bytes, size_t count);
/* Whether something can be stored now; makes the folder. To be asked before work that is for storing alone.
 */
int oclin_cache_ready(oclin_context *ctx);
/* FNV-1a, 64 bits. */
uint64_t oclin_cache_hash(const void *bytes, size_t count);
/* Records: data under a key, which is compared whole. `what` becomes part of the file's name. */
unsigned char *oclin_cache_load(oclin_context *ctx, const char *what, const void *key, size_t key_size,
                                size_t *size);
int oclin_cache_store(oclin_context *ctx, const char *what, const void *key, size_t key_size,
                      const void *data, size_t size);

#endif
