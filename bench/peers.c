/* Which peers there are, and which of them can be used. */
#include "bench.h"

#include <string.h>

const char *const peer_names[] = {"openblas", "clblast", "onednn", "cublas", "cublas_tf32", NULL};
/* the Debian packages of those that must be there when the bench is built */
static const char *const packages[] = {"libopenblas-dev", "libclblast-dev", "libdnnl-dev", "", ""};

static const struct library *const built_in[] = {
#ifdef BENCH_OPENBLAS
    &library_openblas,
#endif
#ifdef BENCH_CLBLAST
    &library_clblast,
#endif
#ifdef BENCH_ONEDNN
    &library_onednn,
#endif
    &library_cublas,   &library_cublas_tf32, NULL,
};

const struct library *peer_find(const char *name, const char **why)
{
    for (int i = 0; built_in[i]; i++) {
        if (strcmp(built_in[i]->name, name) != 0) continue;
        *why = built_in[i]->missing ? built_in[i]->missing() : NULL;
        return *why ? NULL : built_in[i];
    }
    for (int i = 0; peer_names[i]; i++)
        if (strcmp(peer_names[i], name) == 0)
            *why = sentence("it was not there when oclin_bench was built (Debian: %s)", packages[i]);
    return NULL;
}
