/* Which peers there are, and which of them were there when the bench was built. */
#include "bench.h"

#include <stdarg.h>
#include <string.h>

const char *const peer_names[] = {"openblas", "clblast", "onednn", NULL};
const char *const peer_packages[] = {"libopenblas-dev", "libclblast-dev", "libdnnl-dev", NULL};

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
    NULL,
};

const struct library *peer_find(const char *name)
{
    for (int i = 0; built_in[i]; i++)
        if (strcmp(built_in[i]->name, name) == 0) return built_in[i];
    return NULL;
}

const char *sentence(const char *format, ...)
{
    static char text[SENTENCE]; /* of the last failure; the program ends soon after it */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}
