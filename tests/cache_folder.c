#define _XOPEN_SOURCE 700 /* setenv */
#include <stdio.h>
#include <stdlib.h>

#include "support.h"

#include "cache_folder.h"
#include "faults.h"

struct folder make_folder(void)
{
    struct folder f;
    make_temporary_folder(f.path);
    snprintf(f.cache, sizeof f.cache, "%s/a/kept", f.path);
    setenv("OCLIN_CACHE_DIR", f.cache, 1);
    return f;
}

void free_folder(const struct folder *f)
{
    faults_end();
    setenv("OCLIN_CACHE_DIR", "", 1);
    remove_all(f->path);
}

void find_file(const struct folder *f, const char *begins, char path[PATH_BYTES])
{
    const int found = find_files(f->cache, begins, path);
    if (found != 1) fail_msg("%d files %s* in %s", found, begins, f->cache);
}
