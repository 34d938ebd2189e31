/*
 * nvcl LIBRARY FILE.cl FILE.ptx OPTION...: OpenCL C to PTX, by the compiler inside NVIDIA's driver. That is a
 * library of its own, libnvidia-nvvm.so.4, which needs no GPU and no driver beside it. ptxas makes machine
 * code of the PTX, as the driver does when a program is built.
 *
 * The compiler takes the options of clBuildProgram(), and these, which the driver adds:
 *   -cl-nv-cstd=CL1.2 -nv-m64 -cl-nv-arch sm_90
 * Its log goes to stderr; it is never empty.
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* There is no header for this function. 0 means success; log and PTX are memory of the library, which ends
 * with the process. */
typedef int compile_function(const char *const *texts, unsigned count, const size_t *lengths,
                             const char *options, char **log, char **ptx);

static int fail(const char *what, const char *why)
{
    fprintf(stderr, "nvcl: %s: %s\n", what, why);
    return 2;
}

/* Returns the function, or NULL; dlerror() then tells why. */
static compile_function *compiler_in(const char *library)
{
    compile_function *compile = NULL;
    void *handle = dlopen(library, RTLD_NOW | RTLD_GLOBAL);
    void *found = handle ? dlsym(handle, "NvCliCompileProgram") : NULL;
    memcpy(&compile, &found, sizeof compile); /* ISO C has no conversion between the two kinds of pointer */
    return compile;
}

/* Returns the whole file, or NULL. */
static char *text_of(const char *path, size_t *length)
{
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    char *text = NULL;
    long size = -1;
    if (fseek(file, 0, SEEK_END) == 0) size = ftell(file);
    rewind(file);
    if (size >= 0) text = malloc((size_t)size + 1);
    *length = text ? fread(text, 1, (size_t)size, file) : 0;
    fclose(file);
    return text;
}

/* Returns the words with spaces between them, or NULL. */
static char *joined(char **words)
{
    size_t size = 1;
    for (char **word = words; *word; word++) size += strlen(*word) + 1;
    char *line = calloc(size, 1);
    for (; line && *words; words++) strcat(strcat(line, *words), " ");
    return line;
}

static int write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file) return 0;
    const int written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

int main(int count, char **arguments)
{
    if (count < 4) return fail("usage", "nvcl LIBRARY FILE.cl FILE.ptx OPTION...");
    compile_function *compile = compiler_in(arguments[1]);
    if (!compile) return fail(arguments[1], dlerror());
    size_t length;
    char *text = text_of(arguments[2], &length), *options = joined(arguments + 4);
    if (!text || !options) return fail(arguments[2], "could not be read");
    const char *const texts[] = {text};
    char *log = NULL, *ptx = NULL;
    const int error = compile(texts, 1, &length, options, &log, &ptx);
    if (log) fputs(log, stderr);
    free(text);
    free(options);
    if (error || !ptx) return 1;
    return write_text(arguments[3], ptx) ? 0 : fail(arguments[3], "could not be written");
}
