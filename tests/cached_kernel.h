/*
 * The kernel `fill`, which is small, from its text or from the disk; and its file.
 */
#ifndef OCLIN_TESTS_CACHED_KERNEL_H
#define OCLIN_TESTS_CACHED_KERNEL_H

#include "support.h"

#include "cache_folder.h"

/* The context fills a tensor; the numbers are right, and there is no error. */
void fill(oclin_context *ctx);

/* y = x W^T + b of a 5 to 7 layer, and its W: 3 x 7 and 7 x 5 numbers. For where there must be two
 * kernels. */
void forward(oclin_context *ctx, float *y_out);

/* A new context fills, with the kernel from there. What it logged stays for a closer look. */
enum { FROM_TEXT, FROM_DISK };
void fill_anew(int from);

/* The file of a kernel that was built just now, and where it is. */
struct bytes stored_kernel(const struct folder *f, char path[PATH_BYTES]);

/* After something was done to the file: built from the text, one line says why, and the next one loads
 * again. */
void check_replaced(const char *why);

/* Of a file: bytes before the key, and where its lengths are. */
enum { HEADER = 40, KEY_SIZE_AT = 16, DATA_SIZE_AT = 24, CHECKSUM_AT = 32 };
size_t number_at(const char *at);

#endif
