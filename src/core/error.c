/* Statuses, the record of the last error, the log, and option structs of any age. */
#include "core/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/handle.h"
#include "core/os.h"

/* -------------------------------------------------------------------------------------------- statuses */

const char *oclin_status_name(oclin_status status)
{
#define STATUS_NAME(name, text) \
    case name:                  \
        return #name;
    switch ((int)status) {
        OCLIN_STATUS_LIST(STATUS_NAME)
    default:
        return "?";
    }
}

const char *oclin_status_text(oclin_status status)
{
#define STATUS_TEXT(name, text) \
    case name:                  \
        return text;
    switch ((int)status) {
        OCLIN_STATUS_LIST(STATUS_TEXT)
    default:
        return "unknown status";
    }
}

int oclin_version(void)
{
    return OCLIN_VERSION;
}

/* ---------------------------------------------------------------------------------------- error record */

void oclin_forget_error(oclin_context *ctx)
{
    ctx->error[0] = 0;
    ctx->cl_error = CL_SUCCESS;
}

oclin_status oclin_enter(oclin_context *ctx)
{
    oclin_forget_error(ctx);
    if (ctx->process != oclin_os_process_id())
        return oclin_fail(ctx, OCLIN_E_STATE,
                          "the context belongs to process %ld, a forked child cannot use it", ctx->process);
    if (ctx->lost)
        return oclin_fail(ctx, OCLIN_E_STATE, "the device was lost; nothing can be done with this context");
    return OCLIN_OK;
}

/* Paths, names from the environment and texts of drivers may contain any character. A line of the log must
 * stay one line and must not move the cursor. */
static void make_printable(char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text < ' ' || *text == 0x7f) *text = '?';
}

oclin_status oclin_fail(oclin_context *ctx, oclin_status status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(ctx->error, sizeof ctx->error, format, arguments);
    va_end(arguments);
    make_printable(ctx->error);
    oclin_log(ctx, "%s: %s", oclin_status_name(status), ctx->error);
    return status;
}

/* Drivers answer every call with one of these after a reset; -9999 is NVIDIA's code for a kernel that
 * crashed. */
static int is_loss(cl_int error)
{
    return error == CL_DEVICE_NOT_AVAILABLE || error == CL_INVALID_COMMAND_QUEUE ||
           error == CL_INVALID_CONTEXT || error == -9999;
}

oclin_status oclin_fail_run(oclin_context *ctx, cl_int error, const char *call)
{
    ctx->cl_error = error;
    ctx->lost |= is_loss(error);
    return oclin_fail(ctx, OCLIN_E_CL, "%s failed with OpenCL error %d%s", call, (int)error,
                      ctx->lost ? "; the device is lost" : "");
}

static int is_memory(cl_int error)
{
    return error == CL_MEM_OBJECT_ALLOCATION_FAILURE || error == CL_OUT_OF_HOST_MEMORY;
}

int oclin_error_says_all(cl_int error)
{
    return is_memory(error) || is_loss(error);
}

oclin_status oclin_fail_cl(oclin_context *ctx, cl_int error, const char *call)
{
    if (!is_memory(error)) return oclin_fail_run(ctx, error, call);
    ctx->cl_error = error;
    return oclin_fail(ctx, OCLIN_E_MEMORY, "%s: out of memory (OpenCL error %d)", call, (int)error);
}

void oclin_log(const oclin_context *ctx, const char *format, ...)
{
    if (!ctx->log) return;
    char line[640];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    make_printable(line);
    ctx->log(ctx->log_user, line);
}

/* --------------------------------------------------------------------------------------------- options */

/* An option struct larger than this was never filled in, so its size is garbage. The same holds for a size
 * that is no multiple of the size of a size_t, with which all option structs begin: such a size might cut
 * a pointer in two. */
enum { LARGEST_OPTIONS = 4096 };

oclin_status oclin_options_read(oclin_context *ctx, void *to, size_t known_size, const void *from)
{
    if (!from) return OCLIN_OK;
    size_t size;
    memcpy(&size, from, sizeof size);
    if (size < sizeof size || size > LARGEST_OPTIONS || size % sizeof size)
        return oclin_fail(ctx, OCLIN_E_ARG,
                          "options.size is %zu, this library knows %zu; fill them with OPTIONS_INIT", size,
                          known_size);
    memcpy(to, from, size < known_size ? size : known_size);
    memcpy(to, &known_size, sizeof known_size);
    for (size_t i = known_size; i < size; i++)
        if (((const unsigned char *)from)[i])
            return oclin_fail(ctx, OCLIN_E_ARG,
                              "an option beyond byte %zu is set that this library does not know", known_size);
    return OCLIN_OK;
}
