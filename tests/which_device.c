/*
 * which_device [PART]: the device that a context gets in this environment, as one line of fields with tabs
 * between: platform, device, driver version, OpenCL version, bytes of local memory, largest work-group,
 * native vector width of floats. Fails when the platform's name has no PART in it, or when another platform
 * has a device as well: scripts/matrix.sh asks it whether the runtime that it is about to test is the one
 * that it will get.
 */
#include <stdio.h>
#include <string.h>

#include "oclin_internal.h"

int main(int argc, char **argv)
{
    struct oclin_device_info all[16];
    oclin_context *ctx = NULL;
    size_t count = 0;
    if (oclin_device_list(all, sizeof all / sizeof *all, &count) != OCLIN_OK ||
        oclin_context_create(&ctx, NULL) != OCLIN_OK) {
        fprintf(stderr, "which_device: there is no device\n");
        return 1;
    }
    const struct oclin_device_info *d = &ctx->device.info;
    int alone = count <= sizeof all / sizeof *all;
    for (size_t i = 0; alone && i < count; i++) alone = all[i].platform == d->platform;
    const int wanted = argc < 2 || strstr(d->platform_name, argv[1]) != NULL;
    printf("%s\t%s\t%s\t%s\t%lld\t%lld\t%lld\n", d->platform_name, d->name, d->driver, d->version,
           (long long)d->local_bytes, (long long)d->max_work_group, (long long)d->vector_width);
    if (!wanted) fprintf(stderr, "which_device: this is %s, not %s\n", d->platform_name, argv[1]);
    if (!alone) fprintf(stderr, "which_device: other platforms have devices as well\n");
    oclin_context_destroy(ctx);
    return wanted && alone ? 0 : 1;
}
