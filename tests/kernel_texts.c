/*
 * Every kernel text that oclin builds, for scripts/lint_kernels.sh: of each way, activation, kernel that goes
 * over elements, and loss, on devices that are only described.
 *
 *   kernel_texts FOLDER
 *
 * writes them to FOLDER and prints "FILE OPTIONS" for each, with a tab between. Those that differ in nothing
 * are written once. All ways come with two activations, one with a derivative to take and one without, and
 * all activations in oclin's own way for a large layer: they are only two functions more, and the devices
 * have all widths of vectors. Ends with 1 where a file of cl/ is in none of the texts. No OpenCL driver is
 * needed. OCLIN_CL_DIR replaces kernel files, as it does elsewhere.
 */
#include "oclin_internal.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/launch.h"
#include "core/program.h"
#include "ops/activation.h"
#include "ops/product.h"
#include "ops/rule.h"
#include "plan/additions.h"
#include "plan/plan.h"
#include "plan/simd.h"
#include "plan/simt.h"

static const struct described {
    const char *vendor;
    oclin_device_type type;
    int64_t units, width, items, local_bytes, wave, sub_group;
    int tickets; /* and what else CPUs of this kind can */
} devices[] = {
    {"any", OCLIN_DEVICE_CPU, .units = 2, .width = 4, .items = 4096, .local_bytes = 512 << 10},
    {"any", OCLIN_DEVICE_CPU, .units = 2, .width = 8, .items = 4096, .local_bytes = 512 << 10},
    {"any", OCLIN_DEVICE_CPU, .units = 2, .width = 16, .items = 4096, .local_bytes = 512 << 10},
    {"any", OCLIN_DEVICE_CPU, .units = 2, .width = 4, .items = 4096, .local_bytes = 512 << 10, .tickets = 1},
    {"any", OCLIN_DEVICE_CPU, .units = 2, .width = 8, .items = 4096, .local_bytes = 512 << 10, .tickets = 1},
    {"any", OCLIN_DEVICE_CPU, .units = 2, .width = 16, .items = 4096, .local_bytes = 512 << 10, .tickets = 1},
    {"NVIDIA Corporation", OCLIN_DEVICE_GPU, .units = 108, .width = 1, .items = 1024, .local_bytes = 48 << 10,
     .wave = 32},
    {"Advanced Micro Devices, Inc.", OCLIN_DEVICE_GPU, .units = 60, .width = 1, .items = 256,
     .local_bytes = 64 << 10, .wave = 64},
    {"Intel(R) Corporation", OCLIN_DEVICE_GPU, .units = 24, .width = 1, .items = 256, .local_bytes = 64 << 10,
     .sub_group = 8},
    {"any", OCLIN_DEVICE_GPU, .units = 4, .width = 1, .items = 16, .local_bytes = 32 << 10},
    {"any", OCLIN_DEVICE_ACCELERATOR, .units = 1, .width = 1, .items = 1, .local_bytes = 8 << 10},
};
enum { DEVICES = sizeof devices / sizeof *devices };

/* Small and large batches, of layers for which each way suits once. */
static const struct oclin_shape shapes[] = {{1, 64, 64},  {8, 784, 256},   {64, 784, 256},
                                            {64, 24, 16}, {128, 784, 512}, {1024, 1024, 1024}};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* --------------------------------------------------------------------------------------- what is written */

struct texts {
    const char *folder;
    char **known; /* options and text of each that is written */
    size_t count;
    char used[64]; /* of oclin_cl_files */
};

static void end(const char *what)
{
    fprintf(stderr, "kernel_texts: %s\n", what);
    exit(1);
}

static int is_known(const struct texts *t, const char *both)
{
    for (size_t i = 0; i < t->count; i++)
        if (strcmp(t->known[i], both) == 0) return 1;
    return 0;
}

/* By the mark that each file begins with, which ends with its name. */
static void note_files(struct texts *t, const char *text)
{
    for (size_t i = 0; i < oclin_cl_file_count; i++) {
        char mark[100];
        snprintf(mark, sizeof mark, "%s\"\n", oclin_cl_files[i].name);
        if (strstr(text, mark)) t->used[i] = 1;
    }
}

static void write_new(struct texts *t, const char *name, const char *options, const char *text)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/%04zu-%s.cl", t->folder, t->count, name);
    FILE *file = fopen(path, "w");
    if (!file || fputs(text, file) < 0 || fclose(file) != 0) end(path);
    printf("%s\t%s\n", path, options);
    note_files(t, text);
}

static void write_request(struct texts *t, oclin_context *ctx, const struct oclin_kernel_request *r)
{
    char name[OCLIN_KERNEL_NAME_SIZE], options[OCLIN_OPTIONS_SIZE], *text;
    if (oclin_program_source(ctx, r, name, &text, options) != OCLIN_OK) end(ctx->error);
    const size_t size = strlen(options) + strlen(text) + 1;
    char *both = malloc(size);
    char **grown = realloc(t->known, (t->count + 1) * sizeof *grown);
    if (!both || !grown) end("no memory");
    snprintf(both, size, "%s%s", options, text);
    t->known = grown;
    if (is_known(t, both))
        free(both);
    else {
        write_new(t, name, options, text);
        t->known[t->count++] = both;
    }
    free(text);
}

/* ----------------------------------------------------------------------------------------- what there is */

/* The first `most` choices for a product. */
static void write_choices(struct texts *t, oclin_context *ctx, const struct oclin_product *p, int most)
{
    struct oclin_plan plan, beside;
    for (int i = 0; i < most && oclin_plan_product(ctx, p, i, &plan); i++) {
        const int packs = !plan.tile.tickets && plan.packed_a > 0;
        const struct oclin_kernel_request request = oclin_product_request(p, &plan);
        write_request(t, ctx, &request);
        if (packs) oclin_plan_packing(p, &plan, &beside);
        if (oclin_is_split(&plan)) oclin_plan_adding(&ctx->device, p, &plan, &beside);
        if (!packs && !oclin_is_split(&plan)) continue;
        const struct oclin_kernel_request other = oclin_product_request(p, &beside);
        write_request(t, ctx, &other);
    }
}

static struct oclin_product product_of(int id, struct oclin_shape shape, int activation, int aligned)
{
    static char some_memory; /* it is only asked whether there is an operand */
    struct oclin_product p = oclin_plan_shaped((enum oclin_kernel_id)id, shape);
    p.activation = (oclin_activation)activation;
    p.alpha = oclin_activation_alpha(p.activation, -1.0f);
    p.a.mem = (cl_mem)(uintptr_t)&some_memory;
    p.a.aligned = aligned;
    return p;
}

/* All ways, with one activation of each kind. */
static void write_products(struct texts *t, oclin_context *ctx)
{
    for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_ONE_PASS; id++)
        for (int i = 0; i < 4 * SHAPES; i++) {
            const struct oclin_product p =
                product_of(id, shapes[i / 4], i & 1 ? OCLIN_RELU : OCLIN_NONE, i >> 1 & 1);
            write_choices(t, ctx, &p, INT_MAX);
        }
}

/* Kernels over rows that take dZ, with all activations. */
static void write_rows_of_grad_z(struct texts *t, oclin_context *ctx)
{
    static const enum oclin_kernel_id ids[] = {OCLIN_KERNEL_GRAD_Z, OCLIN_KERNEL_CHECK_FINITE};
    struct oclin_plan rows;
    oclin_plan_rows(ctx, 100, 100, OCLIN_LARGEST_GROUP, &rows);
    for (int activation = 0; oclin_activation_row((oclin_activation)activation); activation++)
        for (int i = 0; i < 2; i++) {
            const struct oclin_kernel_request r = {
                .id = ids[i],
                .tile = rows.tile,
                .activation = oclin_activation_row((oclin_activation)activation)->name,
                .alpha = oclin_activation_alpha((oclin_activation)activation, -1.0f)};
            write_request(t, ctx, &r);
        }
}

/* All activations, in one way. */
static void write_activations(struct texts *t, oclin_context *ctx)
{
    for (int activation = 0; oclin_activation_row((oclin_activation)activation); activation++)
        for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++) {
            const struct oclin_product p = product_of(id, shapes[SHAPES - 1], activation, 1);
            write_choices(t, ctx, &p, 1);
        }
    write_rows_of_grad_z(t, ctx);
}

/* The fragments of rules, as long as there are any. */
static const char *fragment(int i)
{
    const struct oclin_rule_row *rule = i > 1 ? oclin_rule_of((oclin_rule)(i - 2)) : NULL;
    return i == 0 ? oclin_plain_sgd : i == 1 ? oclin_toward : rule ? rule->fragment : NULL;
}

/* All rules, in one way of each product that updates, apart, and with their numbers. */
static void write_rules(struct texts *t, oclin_context *ctx)
{
    struct oclin_elements e;
    for (int i = 0; fragment(i); i++) {
        const int alone = fragment(i) == oclin_plain_sgd; /* its number never stands on the device */
        const struct oclin_updates updates = {.fragment = fragment(i)};
        for (int id = OCLIN_KERNEL_GRAD_W; id <= OCLIN_KERNEL_ONE_PASS; id++)
            for (int large = 0; large < 2; large++) {
                struct oclin_product p = product_of(id, shapes[large ? SHAPES - 1 : 1], OCLIN_NONE, 1);
                p.updates = &updates;
                write_choices(t, ctx, &p, 1);
            }
        for (int kind = 0; kind < (alone ? 2 : 4); kind++) {
            struct oclin_kernel_request r = {
                .id = OCLIN_KERNEL_STEP, .rule = fragment(i), .on_device = kind / 2};
            oclin_elements_plan(ctx, 100, 100, kind % 2, OCLIN_LARGEST_GROUP, &e);
            r.tile = e.tile;
            write_request(t, ctx, &r);
        }
        const struct oclin_kernel_request numbers = {
            .id = OCLIN_KERNEL_NUMBERS, .rule = fragment(i), .tile = oclin_plain_tile(&ctx->device, 1)};
        if (!alone) write_request(t, ctx, &numbers);
    }
}

/* Kernels over elements, and those over rows: each loss is one. */
static void write_others(struct texts *t, oclin_context *ctx)
{
    static const struct oclin_loss_kind *const losses[] = {
        &oclin_mse, &oclin_l1, &oclin_huber, &oclin_bce, &oclin_cross_entropy, &oclin_soft_cross_entropy};
    struct oclin_elements e;
    struct oclin_plan rows;
    oclin_plan_rows(ctx, 100, 100, OCLIN_LARGEST_GROUP, &rows);
    for (int id = OCLIN_KERNEL_FILL; id < OCLIN_KERNEL_COUNT; id++)
        for (int aligned = 0; aligned < 2; aligned++) {
            struct oclin_kernel_request r = {.id = (enum oclin_kernel_id)id};
            if (id == OCLIN_KERNEL_LOSS) continue;
            if (id == OCLIN_KERNEL_GRAD_Z || id == OCLIN_KERNEL_CHECK_FINITE) continue;
            oclin_elements_plan(ctx, 100, 100, aligned, OCLIN_LARGEST_GROUP, &e);
            r.tile = id < OCLIN_KERNEL_LOSS ? e.tile : rows.tile;
            write_request(t, ctx, &r);
        }
    for (size_t i = 0; i < sizeof losses / sizeof *losses; i++) {
        const struct oclin_kernel_request r = {.id = OCLIN_KERNEL_LOSS,
                                               .tile = rows.tile,
                                               .way = losses[i]->name,
                                               .files = {losses[i]->files[0], losses[i]->files[1]}};
        write_request(t, ctx, &r);
    }
}

/* Without an OpenCL context: plans and texts ask for facts alone. */
static void describe(oclin_context *ctx, const struct described *d)
{
    struct oclin_device_facts *f = &ctx->device;
    memset(ctx, 0, sizeof *ctx);
    ctx->cl_dir = getenv("OCLIN_CL_DIR");
    snprintf(f->info.vendor, sizeof f->info.vendor, "%s", d->vendor);
    f->info.type = d->type;
    f->info.compute_units = d->units;
    f->info.vector_width = d->width;
    f->info.max_work_group = f->max_items = d->items;
    f->info.local_bytes = d->local_bytes;
    f->info.max_allocation = INT64_C(4) << 30;
    f->wave = d->wave;
    f->sub_group = d->sub_group;
    f->cache = 32 << 20;
    f->tickets = f->prefetches = d->tickets;
}

static void write_device(struct texts *t, const struct described *d)
{
    oclin_context ctx;
    describe(&ctx, d);
    for (int i = -1; i < 0 || oclin_plan_name(i); i++) {
        const char *name = i < 0 ? "" : oclin_plan_name(i);
        if (oclin_plan_choose(&ctx, name) != OCLIN_OK) continue; /* the device has no room for it */
        write_products(t, &ctx);
        write_others(t, &ctx);
    }
    oclin_plan_select(&ctx, "");
    write_activations(t, &ctx);
    write_rules(t, &ctx);
}

int main(int count, char **arguments)
{
    if (count != 2) {
        fprintf(stderr, "usage: kernel_texts FOLDER\n");
        return 2;
    }
    struct texts t = {.folder = arguments[1]};
    if (oclin_cl_file_count > sizeof t.used) end("more files than it counts");
    for (int i = 0; i < DEVICES; i++) write_device(&t, &devices[i]);
    int missing = 0;
    for (size_t i = 0; i < oclin_cl_file_count; i++)
        if (!t.used[i]) {
            fprintf(stderr, "kernel_texts: %s is in no text\n", oclin_cl_files[i].name);
            missing = 1;
        }
    for (size_t i = 0; i < t.count; i++) free(t.known[i]);
    free(t.known);
    return missing;
}
