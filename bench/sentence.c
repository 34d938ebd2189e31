/* Sentences with a status in them. */
#include "bench.h"

#include <stdarg.h>

const char *sentence(const char *format, ...)
{
    static char text[SENTENCE]; /* of the last failure; the program ends soon after it */
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return text;
}
