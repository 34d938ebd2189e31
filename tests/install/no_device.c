/* For a loader that finds no driver: the library is there and says so. */
#include <oclin.h>

#include <stdio.h>

int main(void)
{
    size_t count = 7;
    oclin_context *ctx = NULL;
    const oclin_status listed = oclin_device_list(NULL, 0, &count), made = oclin_context_create(&ctx, NULL);
    printf("oclin %d: %d devices, %s\n", oclin_version(), (int)count, oclin_status_text(made));
    return !(listed == OCLIN_OK && count == 0 && made == OCLIN_E_DEVICE && !ctx);
}
