/* The few lines that differ by operating system. Nothing else includes these headers. */
#include "oclin_internal.h"

#ifdef _WIN32
#include <process.h>
long oclin_os_process_id(void)
{
    return (long)_getpid();
}
#else
#include <unistd.h>
long oclin_os_process_id(void)
{
    return (long)getpid();
}
#endif
