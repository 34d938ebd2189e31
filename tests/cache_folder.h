/*
 * A cache folder of a test's own. For programs with faults.h.
 */
#ifndef OCLIN_TESTS_CACHE_FOLDER_H
#define OCLIN_TESTS_CACHE_FOLDER_H

#include "files.h"

/* A temporary folder, and in it the cache folder, which is not made yet: oclin makes it. */
struct folder {
    char path[PATH_BYTES / 2], cache[PATH_BYTES / 2 + 16];
};

/* OCLIN_CACHE_DIR names it, until it is freed with all that is in it; then there is no cache. */
struct folder make_folder(void);
void free_folder(const struct folder *f);

/* The path of the one file in the cache whose name begins so; fails the test if there is none or another
 * one. */
void find_file(const struct folder *f, const char *begins, char path[PATH_BYTES]);

#endif
