#include "command_line.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int complain_option(const char *flag, const char *value, const char *expected)
{
    fprintf(stderr, "%s: --%s %s: %s\n", program_name, flag, value, expected);
    return 0;
}

int parse_count(const char *flag, const char *text, int64_t largest, int64_t *value)
{
    char *end, expected[64];
    errno = 0;
    long long n = strtoll(text, &end, 10);
    if (end != text && !*end && !errno && n >= 1 && n <= largest) {
        *value = n;
        return 1;
    }
    snprintf(expected, sizeof expected, "a whole number from 1 to %lld is expected", (long long)largest);
    return complain_option(flag, text, expected);
}

void choose_device(struct oclin_context_options *c, const char *device)
{
    if (!device) return;
    if (!strcmp(device, "gpu"))
        c->device_type = OCLIN_DEVICE_GPU;
    else if (!strcmp(device, "cpu"))
        c->device_type = OCLIN_DEVICE_CPU;
    else if (!strcmp(device, "accelerator"))
        c->device_type = OCLIN_DEVICE_ACCELERATOR;
    else if (*device && strlen(device) < 9 && strspn(device, "0123456789") == strlen(device))
        c->device_index = atoi(device);
    else
        c->device_name = device;
}
