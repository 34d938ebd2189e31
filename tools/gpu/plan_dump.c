/*
 * What oclin would build on a device that is only described: for each product, activation and alignment of a
 * large layer the kernel's text, written to FOLDER, and one line with the options of its default tile.
 *
 *   plan_dump VENDOR COMPUTE_UNITS LOCAL_BYTES MAX_ITEMS WAVE SUB_GROUP FOLDER
 *
 * prints "PRODUCT ACTIVATION ALIGNED KERNEL FILE OPTIONS", with tabs between them. The numbers are those of
 * struct oclin_device_facts. No OpenCL driver is needed. OCLIN_CL_DIR replaces kernel files, as it does
 * elsewhere.
 */
#include "oclin_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 4096 }; /* rows and columns of each operand: many tiles of every size */

static const char *const products[] = {"forward", "grad_x", "grad_w"};
static const char *const activations[] = {"none", "relu", "sigmoid", "tanh", "gelu"};

static int describe(struct oclin_device_facts *d, char **arguments)
{
    memset(d, 0, sizeof *d);
    d->info.type = OCLIN_DEVICE_GPU;
    snprintf(d->info.vendor, sizeof d->info.vendor, "%s", arguments[0]);
    d->info.compute_units = atoll(arguments[1]);
    d->info.local_bytes = atoll(arguments[2]);
    d->info.max_work_group = d->max_items = atoll(arguments[3]);
    d->wave = atoll(arguments[4]);
    d->sub_group = atoll(arguments[5]);
    d->info.vector_width = 1;
    return d->info.compute_units > 0 && d->info.local_bytes > 0 && d->max_items > 0;
}

/* A product of large matrices, whose rows are aligned or not. */
static struct oclin_product large_product(int id, int activation, int aligned)
{
    struct oclin_product p;
    memset(&p, 0, sizeof p);
    p.id = (enum oclin_kernel_id)id;
    p.activation = (oclin_activation)activation;
    p.m = p.n = p.k = aligned ? LARGE : LARGE - 1;
    p.a.aligned = p.s.aligned = p.b.aligned = p.c.aligned = p.bias.aligned = p.db.aligned = p.z.aligned =
        aligned;
    return p;
}

static int write_text(const char *path, const char *text)
{
    FILE *file = fopen(path, "w");
    if (!file) return 0;
    const int written = fputs(text, file) >= 0;
    return fclose(file) == 0 && written;
}

static int dump(oclin_context *ctx, const char *folder, int id, int activation, int aligned)
{
    const struct oclin_product p = large_product(id, activation, aligned);
    struct oclin_plan plan;
    char name[OCLIN_KERNEL_NAME_SIZE], options[OCLIN_OPTIONS_SIZE], path[1024], *text;
    if (!oclin_plan_product(ctx, &p, 0, &plan)) return 0;
    const struct oclin_kernel_request request = oclin_product_request(&p, &plan);
    if (oclin_program_source(ctx, &request, name, &text, options) != OCLIN_OK) return 0;
    snprintf(path, sizeof path, "%s/%s-%s.cl", folder, name, activations[activation]);
    const int written = write_text(path, text);
    free(text);
    printf("%s\t%s\t%d\t%s\t%s\t%s\n", products[id], activations[activation], aligned, name, path, options);
    return written;
}

int main(int count, char **arguments)
{
    oclin_context ctx;
    memset(&ctx, 0, sizeof ctx);
    if (count != 8 || !describe(&ctx.device, arguments + 1)) {
        fprintf(stderr, "plan_dump VENDOR COMPUTE_UNITS LOCAL_BYTES MAX_ITEMS WAVE SUB_GROUP FOLDER\n");
        return 2;
    }
    ctx.cl_dir = getenv("OCLIN_CL_DIR");
    for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++)
        for (int activation = OCLIN_NONE; activation <= OCLIN_GELU; activation++)
            for (int aligned = 1; aligned >= 0; aligned--)
                if (!dump(&ctx, arguments[7], id, activation, aligned)) {
                    fprintf(stderr, "plan_dump: %s %s: %s\n", products[id], activations[activation],
                            ctx.error[0] ? ctx.error : "not planned, or not written");
                    return 1;
                }
    return 0;
}
