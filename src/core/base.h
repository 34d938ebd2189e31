/* Includes what every source file of oclin may use: the public header, OpenCL, and arithmetic. */
#ifndef OCLIN_CORE_BASE_H
#define OCLIN_CORE_BASE_H

#include "oclin.h"
#include "core/opencl.h"

/* Returns a failure to the caller unchanged, because its sentence is already in the context. */
#define OCLIN_TRY(expression)                      \
    do {                                           \
        const oclin_status status_ = (expression); \
        if (status_ != OCLIN_OK) return status_;   \
    } while (0)

/* Makes the compiler compare the arguments with the format. MinGW needs the name gnu_printf: there plain
 * "printf" means Microsoft's function, which does not know %zu, whereas a program in C11 gets MinGW's own
 * function, which does. */
#if defined(__MINGW32__) && !defined(__clang__)
#define OCLIN_PRINTF(format_at, first_at) __attribute__((format(gnu_printf, format_at, first_at)))
#elif defined(__GNUC__)
#define OCLIN_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define OCLIN_PRINTF(format_at, first_at)
#endif

static inline int64_t oclin_ceil_divide(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t oclin_round_up(int64_t a, int64_t to)
{
    return oclin_ceil_divide(a, to) * to;
}

static inline int64_t oclin_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Returns a * b, or -1 if the product overflows or a factor is negative. */
static inline int64_t oclin_multiply(int64_t a, int64_t b)
{
    if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / b)) return -1;
    return a * b;
}

#endif
