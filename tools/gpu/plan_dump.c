/*
 * What oclin would do on a device that is only described. The numbers are those of struct oclin_device_facts.
 * No OpenCL driver is needed.
 *
 *   plan_dump VENDOR COMPUTE_UNITS LOCAL_BYTES MAX_ITEMS WAVE SUB_GROUP FOLDER
 *
 * writes for each product, activation and alignment of a large layer the kernel's text to FOLDER, and prints
 * "PRODUCT ACTIVATION ALIGNED KERNEL FILE OPTIONS", with tabs between them, the options of its default tile.
 * OCLIN_CL_DIR replaces kernel files, as it does elsewhere.
 *
 *   plan_dump VENDOR COMPUTE_UNITS LOCAL_BYTES MAX_ITEMS WAVE SUB_GROUP PRODUCT BATCH IN OUT
 *
 * prints a line for each product that forward, grad_x, grad_w or step (forward, and backward with the update)
 * is made of, with the plan that oclin chooses: "PRODUCT way=... m=... n=... k=... groups=...", and so on.
 */
#include "oclin_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LARGE = 4096 }; /* rows and columns of each operand: many tiles of every size */

static const char *const products[] = {"forward", "grad_x", "grad_w", "one_pass"};

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
    d->info.max_allocation = 1 << 30;
    return d->info.compute_units > 0 && d->info.local_bytes > 0 && d->max_items > 0;
}

/* A product of large matrices, whose rows are aligned or not. */
static struct oclin_product large_product(int id, int activation, int aligned)
{
    struct oclin_product p;
    memset(&p, 0, sizeof p);
    p.id = (enum oclin_kernel_id)id;
    p.activation = (oclin_activation)activation;
    p.alpha = oclin_activation_alpha(p.activation, -1.0f);
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
    const char *const act = oclin_activation_row(p.activation)->name;
    struct oclin_plan plan;
    char name[OCLIN_KERNEL_NAME_SIZE], options[OCLIN_OPTIONS_SIZE], path[1024], *text;
    if (!oclin_plan_product(ctx, &p, 0, &plan)) return 0;
    const struct oclin_kernel_request request = oclin_product_request(&p, &plan);
    if (oclin_program_source(ctx, &request, name, &text, options) != OCLIN_OK) return 0;
    snprintf(path, sizeof path, "%s/%s-%s.cl", folder, name, act);
    const int written = write_text(path, text);
    free(text);
    printf("%s\t%s\t%d\t%s\t%s\t%s\n", products[id], act, aligned, name, path, options);
    return written;
}

static int dump_all(oclin_context *ctx, const char *folder)
{
    for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++)
        for (int activation = OCLIN_NONE; oclin_activation_row((oclin_activation)activation); activation++)
            for (int aligned = 1; aligned >= 0; aligned--)
                if (!dump(ctx, folder, id, activation, aligned)) {
                    fprintf(stderr, "plan_dump: %s %s: %s\n", products[id],
                            oclin_activation_row((oclin_activation)activation)->name,
                            ctx->error[0] ? ctx->error : "not planned, or not written");
                    return 0;
                }
    return 1;
}

static int print_plan(const oclin_context *ctx, int id, struct oclin_shape shape)
{
    const struct oclin_product p = oclin_plan_shaped((enum oclin_kernel_id)id, shape);
    struct oclin_plan plan;
    if (!oclin_plan_product(ctx, &p, 0, &plan)) return 0;
    printf("%s way=%s kernel=%s m=%lld n=%lld k=%lld groups=%lld block_k=%d slice_k=%lld scratch=%lld",
           products[id], plan.way->name, plan.way->kernel, (long long)p.m, (long long)p.n, (long long)p.k,
           (long long)plan.groups, plan.block_k, (long long)plan.slice_k,
           (long long)oclin_plan_scratch_bytes(&p, &plan));
#define PRINT(field, option) printf(" " #field "=%d", plan.tile.field);
    OCLIN_TILE_FIELDS(PRINT)
    printf("\n");
    return 1;
}

static int print_plans(const oclin_context *ctx, const char *product, struct oclin_shape shape)
{
    const struct oclin_product grads = oclin_plan_shaped(OCLIN_KERNEL_ONE_PASS, shape);
    for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++)
        if (strcmp(product, products[id]) == 0) return print_plan(ctx, id, shape);
    if (strcmp(product, "step") != 0 || !print_plan(ctx, OCLIN_KERNEL_FORWARD, shape)) return 0;
    if (oclin_plan_one_pass(ctx, &grads)) return print_plan(ctx, OCLIN_KERNEL_ONE_PASS, shape);
    return print_plan(ctx, OCLIN_KERNEL_GRAD_X, shape) && print_plan(ctx, OCLIN_KERNEL_GRAD_W, shape);
}

int main(int count, char **arguments)
{
    oclin_context ctx;
    memset(&ctx, 0, sizeof ctx);
    if ((count != 8 && count != 11) || !describe(&ctx.device, arguments + 1)) {
        fprintf(stderr, "plan_dump VENDOR COMPUTE_UNITS LOCAL_BYTES MAX_ITEMS WAVE SUB_GROUP "
                        "(FOLDER | PRODUCT BATCH IN OUT)\n");
        return 2;
    }
    ctx.cl_dir = getenv("OCLIN_CL_DIR");
    if (count == 8) return !dump_all(&ctx, arguments[7]);
    const struct oclin_shape shape = {atoll(arguments[8]), atoll(arguments[9]), atoll(arguments[10])};
    if (print_plans(&ctx, arguments[7], shape)) return 0;
    fprintf(stderr, "plan_dump: no plan for %s\n", arguments[7]);
    return 1;
}
