#include <oclin.h>

int wrapper(void);

int wrapper(void)
{
    return oclin_version() == OCLIN_VERSION;
}
