/* Turns kernel text into a cl_kernel. */
#ifndef OCLIN_CORE_PROGRAM_H
#define OCLIN_CORE_PROGRAM_H

#include "core/handle.h"

struct oclin_program; /* one built kernel of the context's list */

/* Provides a kernel, which is built when it is first needed and is borrowed by the caller. *kernel is NULL
 * (with OCLIN_OK) if the device cannot run it with this work-group; the caller then tries a smaller one. */
oclin_status oclin_program_kernel(oclin_context *ctx, const struct oclin_kernel_request *request,
                                  cl_kernel *kernel);
int oclin_same_tile(const struct oclin_tile *a, const struct oclin_tile *b);
/* oclin_program_ran() notes that the kernel was enqueued. oclin_program_store_all() is called once all
 * that was enqueued so far has run, and writes the binaries to the disk. */
void oclin_program_ran(oclin_context *ctx, cl_kernel kernel);
void oclin_program_store_all(oclin_context *ctx);
void oclin_program_free_all(oclin_context *ctx);
/* Provides the name, the text (which the caller frees) and the options that a kernel is built from. No
 * device is needed. */
enum { OCLIN_KERNEL_NAME_SIZE = 64, OCLIN_OPTIONS_SIZE = 512 };
oclin_status oclin_program_source(oclin_context *ctx, const struct oclin_kernel_request *request,
                                  char name[OCLIN_KERNEL_NAME_SIZE], char **text,
                                  char options[OCLIN_OPTIONS_SIZE]);

/* A file of kernel text that is embedded in the library; cmake/embed.cmake writes the list. */
struct oclin_cl_file {
    const char *name, *text;
};
extern const struct oclin_cl_file oclin_cl_files[];
extern const size_t oclin_cl_file_count;

#endif
