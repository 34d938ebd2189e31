/*
 * Plans of devices that are not there: whatever the device and the shape, a plan covers the product once,
 * fits the device, and is one that its kernel can be built for. And some of the choices that plan.c's
 * comments promise, by name: which tile a GPU gets, when a CPU packs, when backward is one pass. Nothing is
 * run.
 */
#include "support.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "oclin_internal.h"

/* ------------------------------------------------------------------------------------- devices and shapes */

static const struct made_up {
    const char *name, *vendor;
    oclin_device_type type;
    int64_t units, width, items, local_bytes, max_allocation;
    int64_t wave, sub_group; /* of GPUs that tell */
    int tickets;             /* several groups run at once, and hand out parts among themselves */
} made_up[] = {
    {"two cores", "AuthenticAMD", OCLIN_DEVICE_CPU, .units = 2, .width = 8, .items = 4096,
     .local_bytes = 512 << 10, .max_allocation = INT64_C(4) << 30},
    {"two threads", "AuthenticAMD", OCLIN_DEVICE_CPU, .units = 2, .width = 8, .items = 4096,
     .local_bytes = 512 << 10, .max_allocation = INT64_C(4) << 30, .tickets = 1},
    {"64 threads", "AuthenticAMD", OCLIN_DEVICE_CPU, .units = 64, .width = 8, .items = 4096,
     .local_bytes = 512 << 10, .max_allocation = INT64_C(4) << 30, .tickets = 1},
    {"64 cores", "GenuineIntel", OCLIN_DEVICE_CPU, .units = 64, .width = 16, .items = 8192,
     .local_bytes = 1 << 20, .max_allocation = INT64_C(16) << 30},
    {"ARM core", "ARM", OCLIN_DEVICE_CPU, .units = 1, .width = 4, .items = 4096, .local_bytes = 32 << 10,
     .max_allocation = 128 << 20},
    {"few bytes", "nobody", OCLIN_DEVICE_CPU, .units = 3, .width = 1, .items = 1, .local_bytes = 16 << 10,
     .max_allocation = 1 << 20},
    {"NVIDIA", "NVIDIA Corporation", OCLIN_DEVICE_GPU, .units = 108, .width = 1, .items = 1024,
     .local_bytes = 48 << 10, .max_allocation = INT64_C(10) << 30, .wave = 32},
    {"AMD", "Advanced Micro Devices, Inc.", OCLIN_DEVICE_GPU, .units = 36, .width = 1, .items = 256,
     .local_bytes = 32 << 10, .max_allocation = INT64_C(4) << 30, .wave = 64},
    {"Intel", "Intel(R) Corporation", OCLIN_DEVICE_GPU, .units = 24, .width = 1, .items = 256,
     .local_bytes = 64 << 10, .max_allocation = INT64_C(4) << 30, .sub_group = 8},
    {"Mali", "ARM", OCLIN_DEVICE_GPU, .units = 8, .width = 4, .items = 384, .local_bytes = 32 << 10,
     .max_allocation = INT64_C(1) << 30},
    {"H100", "NVIDIA Corporation", OCLIN_DEVICE_GPU, .units = 132, .width = 1, .items = 1024,
     .local_bytes = 48 << 10, .max_allocation = INT64_C(20) << 30, .wave = 32},
    {"RX 6800", "Advanced Micro Devices, Inc.", OCLIN_DEVICE_GPU, .units = 30, .width = 1, .items = 256,
     .local_bytes = 64 << 10, .max_allocation = INT64_C(4) << 30, .wave = 32},
    {"Arc A770", "Intel(R) Corporation", OCLIN_DEVICE_GPU, .units = 512, .width = 1, .items = 1024,
     .local_bytes = 64 << 10, .max_allocation = INT64_C(4) << 30, .sub_group = 8},
    {"Max 1550", "Intel(R) Corporation", OCLIN_DEVICE_GPU, .units = 512, .width = 1, .items = 1024,
     .local_bytes = 64 << 10, .max_allocation = INT64_C(4) << 30, .sub_group = 16},
    {"small groups", "nobody", OCLIN_DEVICE_GPU, .units = 4, .width = 1, .items = 16, .local_bytes = 64 << 10,
     .max_allocation = 64 << 20},
    {"no groups", "nobody", OCLIN_DEVICE_ACCELERATOR, .units = 1, .width = 1, .items = 1,
     .local_bytes = 8 << 10, .max_allocation = 64 << 20},
};

/* A product of a layer, in rows of the tables below. */
#define PRODUCT_OF(kernel, samples, from, to) .id = kernel, .batch = samples, .in = from, .out = to
#define FORWARD(batch, in, out) PRODUCT_OF(OCLIN_KERNEL_FORWARD, batch, in, out)
#define GRAD_X(batch, in, out) PRODUCT_OF(OCLIN_KERNEL_GRAD_X, batch, in, out)
#define GRAD_W(batch, in, out) PRODUCT_OF(OCLIN_KERNEL_GRAD_W, batch, in, out)
#define BACKWARD(batch, in, out) PRODUCT_OF(OCLIN_KERNEL_ONE_PASS, batch, in, out)

static const char *const product_names[] = {[OCLIN_KERNEL_FORWARD] = "forward",
                                            [OCLIN_KERNEL_GRAD_X] = "grad_x",
                                            [OCLIN_KERNEL_GRAD_W] = "grad_w",
                                            [OCLIN_KERNEL_ONE_PASS] = "backward"};

static const int64_t sizes[] = {1, 2, 3, 7, 16, 17, 33, 48, 64, 65, 200, 257, 784, 2048, 10001};

/* Without an OpenCL context: plans ask for facts alone. */
static oclin_context *context_of(const struct made_up *d, const char *plan)
{
    oclin_context *ctx = new_array(oclin_context, 1);
    struct oclin_device_facts *f = &ctx->device;
    f->info.type = d->type;
    strcpy(f->info.name, d->name);
    strcpy(f->info.vendor, d->vendor);
    f->info.compute_units = d->units;
    f->info.vector_width = d->width;
    f->info.max_work_group = f->max_items = d->items;
    f->info.local_bytes = d->local_bytes;
    f->info.max_allocation = d->max_allocation;
    f->wave = d->wave;
    f->sub_group = d->sub_group;
    f->cache = 32 << 20;
    f->tickets = d->tickets;
    oclin_plan_select(ctx, plan);
    return ctx;
}

static const struct made_up *device_named(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(made_up); i++)
        if (strcmp(made_up[i].name, name) == 0) return &made_up[i];
    fail_msg("no device is called %s", name);
    return NULL;
}

static struct oclin_product product_of(enum oclin_kernel_id id, int64_t batch, int64_t in, int64_t out)
{
    const struct oclin_shape shape = {batch, in, out};
    return oclin_plan_shaped(id, shape);
}

static int64_t ceil_divide(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

/* -------------------------------------------------------------------------------------------- invariants */

/* What is being looked at, for the sentence of a failure. */
static char looked_at[400];

#define must(condition)                                              \
    do {                                                             \
        if (!(condition)) fail_msg("%s: %s", looked_at, #condition); \
    } while (0)

static void look_at(const oclin_context *ctx, const struct oclin_product *p, int attempt)
{
    snprintf(looked_at, sizeof looked_at, "%s, plan '%s', %s of %lld x %lld x %lld, attempt %d",
             ctx->device.info.name, ctx->plan.name, product_names[p->id], (long long)p->m, (long long)p->n,
             (long long)p->k, attempt);
}

static void check_plain(const struct oclin_product *p, const struct oclin_plan *plan)
{
    must(plan->tile.vl == 1);
    must(plan->groups == ceil_divide(p->m * p->n, plan->tile.group));
}

static int64_t bytes_of(int64_t floats)
{
    return floats * (int64_t)sizeof(float);
}

static void check_scratch(const oclin_context *ctx, const struct oclin_product *p,
                          const struct oclin_plan *plan)
{
    static const char *const packing[] = {"simd-packed", "simd-mixed", "simd-staged"};
    int always = 0;
    for (size_t i = 0; i < COUNT_OF(packing); i++) always |= strcmp(ctx->plan.name, packing[i]) == 0;
    must(always || oclin_plan_scratch_bytes(p, plan) <= oclin_plan_scratch(ctx, p));
}

/* Parts of whole tiles cover each slice once, their sums have room, and the last launch adds each of them. */
static void check_split(const oclin_context *ctx, const struct oclin_product *p,
                        const struct oclin_plan *plan)
{
    struct oclin_plan adding;
    const int64_t slice = p->k < plan->slice_k ? p->k : plan->slice_k, parts = oclin_parts(plan, p->k);
    must(parts >= 2 && plan->block_k > 0 && plan->block_k % plan->tile.tile_k == 0);
    must(parts * plan->block_k >= slice && (parts - 1) * plan->block_k < slice);
    must(oclin_plan_scratch_bytes(p, plan) == bytes_of(parts * p->m * ((p->n + 1 + 3) / 4 * 4)));
    must(oclin_plan_scratch_bytes(p, plan) <= ctx->device.info.max_allocation);
    check_scratch(ctx, p, plan);
    oclin_plan_adding(&ctx->device, p, plan, &adding);
    must(adding.tile.group > 0 && adding.tile.group <= ctx->device.max_items);
    must(adding.tile.vl == 4 && adding.tile.aligned == plan->tile.aligned);
    must(adding.groups == ceil_divide(p->m * ceil_divide(p->n, 4), adding.tile.group));
}

static void check_simt(const oclin_context *ctx, const struct oclin_product *p, const struct oclin_plan *plan)
{
    const int split = plan->tile.stage == OCLIN_STAGE_PARTS;
    const struct oclin_tile *t = &plan->tile;
    must(OCLIN_SIMT_TILE_OK(t->tile_m, t->tile_n, t->tile_k, t->item_m, t->item_n));
    must(t->vl == 4 && t->unroll_k > 0 && t->tile_k % t->unroll_k == 0);
    must(t->group == OCLIN_SIMT_ITEMS(t->tile_m, t->tile_n, t->item_m, t->item_n));
    must(bytes_of(OCLIN_SIMT_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k)) <=
         ctx->device.info.local_bytes);
    must(plan->groups ==
         ceil_divide(p->m, t->tile_m) * ceil_divide(p->n, t->tile_n) * oclin_parts(plan, p->k));
    must(t->sub_group == ctx->device.sub_group);
    must(split || t->stage == OCLIN_STAGE_WHOLE);
    if (split) check_split(ctx, p, plan);
}

/* A group for each block; or as many as there are cores, or blocks, and parts that are packed before. */
static void check_groups(const oclin_context *ctx, const struct oclin_plan *plan, int64_t parts)
{
    const int64_t units = ctx->device.info.compute_units;
    must(!plan->tile.tickets || ctx->device.tickets);
    must(plan->groups == (plan->tile.tickets && parts > units ? units : parts));
}

/* Of what one launch adds up. */
static int64_t blocks_of_slice(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return ceil_divide(p->k < plan->slice_k ? p->k : plan->slice_k, plan->block_k);
}

/* Of all of A, and of B. */
static int64_t parts_of_a(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return blocks_of_slice(p, plan) * ceil_divide(p->m, 16 * plan->tile.item_m);
}

static int64_t parts_of_b(const struct oclin_product *p, const struct oclin_plan *plan)
{
    return blocks_of_slice(p, plan) * ceil_divide(p->n, OCLIN_SIMD_PANELS * plan->tile.item_n);
}

/* Every block of k of A and B is packed, into memory that has room for them. */
static void check_packing(const oclin_context *ctx, const struct oclin_product *p,
                          const struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    struct oclin_plan packing;
    oclin_plan_packing(p, plan, &packing);
    must(packing.tile.stage == OCLIN_STAGE_PACK && packing.tile.tickets == 0);
    must(packing.block_k == plan->block_k);
    const int64_t blocks_k = blocks_of_slice(p, plan);
    must(packing.groups == parts_of_a(p, plan) + parts_of_b(p, plan));
    must(plan->packed_a ==
         blocks_k * ceil_divide(p->m, t->item_m) * (t->item_m * (int64_t)t->tile_k + t->vl));
    must(plan->packed_b == blocks_k * ceil_divide(p->n, t->item_n) * t->item_n * t->tile_k);
    check_scratch(ctx, p, plan);
}

/* A is packed, and each group has room for some panels of B. */
static void check_mixed(const oclin_context *ctx, const struct oclin_product *p,
                        const struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    must(t->tickets);
    must(plan->packed_a ==
         blocks_of_slice(p, plan) * ceil_divide(p->m, t->item_m) * (t->item_m * (int64_t)t->tile_k + t->vl));
    must(plan->packed_b >= plan->groups * OCLIN_SIMD_PANELS * t->item_n * t->tile_k);
    check_scratch(ctx, p, plan);
}

static int is_narrow(const struct oclin_plan *plan)
{
    return plan->way && plan->way->name && strcmp(plan->way->name, "simd-narrow") == 0;
}

/* All samples in whole panels; columns in whole rows of the register tile, so many as the memory of A's
 * block and of C's takes. */
static void check_narrow(const oclin_context *ctx, const struct oclin_product *p,
                         const struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    must(p->id == OCLIN_KERNEL_FORWARD && p->m <= 64);
    must(strcmp(ctx->plan.name, "simd-narrow") == 0 || 10 * p->m >= 9 * plan->block_m);
    must(plan->block_m == ceil_divide(p->m, t->item_n) * t->item_n);
    must(plan->block_n > 0 && plan->block_n % t->item_m == 0);
    must(plan->block_k > 0 && plan->block_k % t->vl == 0);
    must((int64_t)plan->block_m * plan->block_n <= (int64_t)t->tile_m * t->tile_n);
    must((int64_t)plan->block_m * plan->block_k <= (int64_t)t->tile_m * t->tile_k);
    must(plan->groups == ceil_divide(p->n, plan->block_n));
    must(plan->packed_a == 0 && plan->packed_b == 0 && !t->tickets);
}

static void check_simd(const oclin_context *ctx, const struct oclin_product *p, const struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    must(t->vl == 4 || t->vl == 8 || t->vl == 16);
    must(t->group == 1);
    must(OCLIN_SIMD_TILE_OK(t->tile_m, t->tile_n, t->tile_k, t->item_m, t->item_n, t->vl));
    must(t->item_m * t->item_n == (t->vl == 16 ? 24 : 12) * t->vl); /* so many sums fit the registers */
    const int64_t floats =
        OCLIN_SIMD_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k, t->item_m, t->item_n, t->vl);
    must(bytes_of(floats) <= ctx->device.info.local_bytes ||
         t->tile_k == t->vl); /* or there is nothing smaller */
    if (is_narrow(plan)) {
        check_narrow(ctx, p, plan);
        return;
    }
    must(plan->block_m > 0 && plan->block_m <= t->tile_m && plan->block_m % t->item_m == 0);
    must(plan->block_n > 0 && plan->block_n % t->item_n == 0);
    must((int64_t)plan->block_m * plan->block_n <= (int64_t)t->tile_m * t->tile_n); /* its sums' memory */
    must(plan->block_k > 0 && plan->block_k <= t->tile_k && plan->block_k % t->vl == 0);
    const int64_t blocks = ceil_divide(p->m, plan->block_m) * ceil_divide(p->n, plan->block_n);
    const int packs_a = t->tickets && t->stage != OCLIN_STAGE_WHOLE;
    const int packs_b = t->tickets && t->stage == OCLIN_STAGE_PACKED;
    check_groups(ctx, plan,
                 blocks + (packs_a ? parts_of_a(p, plan) : 0) + (packs_b ? parts_of_b(p, plan) : 0));
    must(t->stage == OCLIN_STAGE_WHOLE || t->stage == OCLIN_STAGE_PACKED || t->stage == OCLIN_STAGE_MIXED);
    if (t->stage == OCLIN_STAGE_PACKED)
        check_packing(ctx, p, plan);
    else if (t->stage == OCLIN_STAGE_MIXED)
        check_mixed(ctx, p, plan);
    else
        must(plan->packed_a == 0 && plan->packed_b == 0);
}

static void check_skinny(const oclin_context *ctx, const struct oclin_product *p,
                         const struct oclin_plan *plan)
{
    const struct oclin_tile *t = &plan->tile;
    const int64_t floats = OCLIN_SKINNY_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k);
    must(t->group == 1 && plan->packed_a == 0 && plan->packed_b == 0);
    must(bytes_of(floats) <= ctx->device.info.local_bytes || p->id == OCLIN_KERNEL_FORWARD);
    must(plan->block_n > 0 && plan->block_n <= t->tile_n && t->tile_n % t->vl == 0);
    must(plan->block_k > 0 && plan->block_k % t->vl == 0);
    if (p->id == OCLIN_KERNEL_FORWARD) {
        must(t->item_m == (p->m <= 2 ? 2 : 4) && t->item_m * t->item_n == 12); /* sums in registers */
        must(plan->block_m > 0 && plan->block_m <= t->tile_m);
        must(plan->block_m * (plan->block_k - t->vl) < 32768); /* 128 KB of X */
        check_groups(ctx, plan, ceil_divide(p->m, plan->block_m) * ceil_divide(p->n, plan->block_n));
    } else {
        must(t->tile_m == (p->m <= 16 ? 16 : 64) && p->m <= t->tile_m);
        must(t->tile_k % t->vl == 0 && t->tile_k % 4 == 0);
        must(plan->block_n % 64 == 0 && p->m * plan->block_n <= 16384); /* 128 KB of X and dX */
        /* as wide as that, the tile, and a core's share of the columns leave it */
        must(p->m * (plan->block_n + 64) > 16384 || plan->block_n == t->tile_n ||
             plan->block_n >= ceil_divide(p->n, ctx->device.info.compute_units));
        must(plan->groups == ceil_divide(p->n, plan->block_n));
    }
}

static void check_plan(const oclin_context *ctx, const struct oclin_product *p, const struct oclin_plan *plan)
{
    must(plan->tile.group > 0 && plan->tile.group <= ctx->device.max_items);
    must(plan->groups > 0);
    if (plan->tile.family == OCLIN_PLAIN) check_plain(p, plan);
    if (plan->tile.family == OCLIN_SIMT) check_simt(ctx, p, plan);
    if (plan->tile.family == OCLIN_SIMD) check_simd(ctx, p, plan);
    if (plan->tile.family == OCLIN_SKINNY) check_skinny(ctx, p, plan);
}

/* Returns 1 if k is longer than a tile, and there is memory for two parts. */
static int can_be_split(const oclin_context *ctx, const struct oclin_product *p)
{
    return p->k > 8 && bytes_of(2 * p->m * ((p->n + 1 + 3) / 4 * 4)) <= ctx->device.info.max_allocation;
}

/* A split that is asked for by name is the only choice where there is something to split. */
static void check_named_split(const oclin_context *ctx, const struct oclin_product *p, int attempts,
                              const struct oclin_plan *last)
{
    must((attempts == 1 && last->way == ctx->plan.way) == can_be_split(ctx, p));
}

/* All choices for one product; without a forced plan the last one runs anywhere. */
static void check_choices(const oclin_context *ctx, const struct oclin_product *p)
{
    struct oclin_plan plan;
    int attempts = 0, without_tickets = 0;
    for (; attempts < 20 && oclin_plan_product(ctx, p, attempts, &plan); attempts++) {
        look_at(ctx, p, attempts);
        check_plan(ctx, p, &plan);
        const char *way = plan.way->name;
        if (strcmp(way, "simd-static") == 0 || strcmp(way, "simd-staged") == 0) must(!plan.tile.tickets);
        without_tickets += plan.tile.family != OCLIN_PLAIN && !plan.tile.tickets;
    }
    must(attempts > 0 && attempts < 20);
    const char *name = ctx->plan.name;
    const int splits = strstr(name, "-split") != NULL;
    if ((strncmp(name, "simt-", 5) == 0 && !splits) || strcmp(name, "simd-whole") == 0 ||
        strcmp(name, "simd-packed") == 0 || strcmp(name, "simd-mixed") == 0 ||
        strcmp(name, "simd-staged") == 0)
        must(attempts == 1 && plan.tile.family != OCLIN_PLAIN); /* it, or nothing */
    if (splits) check_named_split(ctx, p, attempts, &plan);
    if (ctx->plan.name[0]) return;
    must(plan.tile.family == OCLIN_PLAIN && plan.tile.group == 1);
    must(!ctx->device.tickets || without_tickets > 0); /* where the compiler refuses what they need */
}

/* Every plan on every device, for shapes by chance. */
static void test_every_device(void **state)
{
    const struct made_up *d = *state;
    struct rng rng = {42};
    const char *name;
    for (int number = 0; (name = every_plan(number)); number++) {
        oclin_context *ctx = context_of(d, "");
        if (oclin_plan_choose(ctx, name) == OCLIN_OK)
            for (int i = 0; i < 150; i++) {
                const int64_t batch = sizes[rng_below(&rng, COUNT_OF(sizes))],
                              in = sizes[rng_below(&rng, COUNT_OF(sizes))],
                              out = sizes[rng_below(&rng, COUNT_OF(sizes))];
                for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++) {
                    const struct oclin_product p = product_of((enum oclin_kernel_id)id, batch, in, out);
                    check_choices(ctx, &p);
                }
                const struct oclin_product grads = product_of(OCLIN_KERNEL_ONE_PASS, batch, in, out);
                struct oclin_plan plan;
                if (oclin_plan_one_pass(ctx, &grads) && oclin_plan_product(ctx, &grads, 0, &plan))
                    check_plan(ctx, &grads, &plan);
            }
        free(ctx);
    }
}

/* ------------------------------------------------------------------------------------------ long sums */

/* Sums of so many terms, in each of the four places where there are any. */
static const int64_t terms[] = {1,      2,      3,       7,       8,       9,      15,    16,    17,    18,
                                20,     21,     31,      33,      64,      65,     100,   117,   128,   255,
                                256,    257,    300,     511,     513,     784,    1000,  1024,  2049,  4095,
                                4096,   4097,   4444,    10001,   16384,   50257,  65535, 65536, 65537, 66305,
                                128256, 262144, 1000003, 1048576, 4000000, 4194304};

static double root_limit(int64_t k)
{
    return 8.0 + 2.0 * sqrt((double)k);
}

/* The most roundings that are promised of a product. Blocks that are shallow, as in little local memory,
 * are too many for two levels to keep them so low. */
static double limit_of(const struct oclin_plan *plan, int64_t k)
{
    const struct oclin_tile *t = &plan->tile;
    if (t->family == OCLIN_SIMT) return (double)(k < 4096 ? k : 4096) + (double)k / 4096.0;
    if (t->family != OCLIN_SIMD) return root_limit(k);
    const double most = k <= 65536 ? 264.0 + (double)k / 256.0 : 520.0;
    const double two_levels = plan->block_k + 2.0 * sqrt((double)k / plan->block_k) + 3.0;
    return most > two_levels ? most : two_levels;
}

static void check_additions(const oclin_context *ctx, const struct oclin_product *p)
{
    struct oclin_plan plan;
    for (int attempt = 0; attempt < 20 && oclin_plan_product(ctx, p, attempt, &plan); attempt++) {
        look_at(ctx, p, attempt);
        const double n = (double)oclin_additions(p, &plan, OCLIN_SUM_OF_PRODUCTS);
        /* 17 to 20 rows of W are more than one block of 16 and less than the root allows two of */
        const int short_dx =
            p->id == OCLIN_KERNEL_ONE_PASS && plan.tile.tile_k == 16 && p->k > 16 && p->k < 21;
        must(n >= 1 && n <= (short_dx ? 17.0 : limit_of(&plan, p->k)));
        must(plan.slice_k > 0 && oclin_slices(&plan, p->k) * plan.slice_k >= p->k);
        must((oclin_slices(&plan, p->k) - 1) * plan.slice_k < p->k);
        if (p->id == OCLIN_KERNEL_GRAD_W)
            must((double)oclin_additions(p, &plan, OCLIN_SUM_OF_A) <= root_limit(p->k));
        if (p->id == OCLIN_KERNEL_ONE_PASS)
            must((double)oclin_additions(p, &plan, OCLIN_SUM_OF_A) <=
                 (p->m > 16 && p->m < 21 ? 17.0 : root_limit(p->m)));
    }
}

/* No sum is rounded more often than is promised. */
static void test_additions(void **state)
{
    static const int64_t others[] = {1, 5, 40, 64};
    const struct made_up *d = *state;
    const char *name;
    for (int number = 0; (name = every_plan(number)); number++) {
        oclin_context *ctx = context_of(d, "");
        for (size_t i = 0; oclin_plan_choose(ctx, name) == OCLIN_OK && i < COUNT_OF(terms); i++)
            for (size_t j = 0; j < COUNT_OF(others); j++) {
                const int64_t k = terms[i], n = others[j];
                const struct oclin_product products[] = {
                    product_of(OCLIN_KERNEL_FORWARD, n, k, 10), product_of(OCLIN_KERNEL_FORWARD, 10, k, n),
                    product_of(OCLIN_KERNEL_GRAD_X, n, 10, k), product_of(OCLIN_KERNEL_GRAD_W, k, 10, n),
                    product_of(OCLIN_KERNEL_ONE_PASS, n, 40, k)};
                for (size_t p = 0; p < COUNT_OF(products); p++)
                    if (products[p].id != OCLIN_KERNEL_ONE_PASS || oclin_plan_one_pass(ctx, &products[p]))
                        check_additions(ctx, &products[p]);
                struct oclin_plan rows;
                for (int most = OCLIN_LARGEST_GROUP; most > 0; most /= 2) {
                    oclin_plan_rows(ctx, 3, k, most, &rows);
                    must((double)oclin_additions_of_row(&rows, k) <= root_limit(k));
                }
            }
        free(ctx);
    }
}

/* Where the split depends on how operands lie, a layer tells the larger number of roundings: Intel's GPUs
 * have registers for the largest tile only where quads are loaded whole. */
static void test_additions_of_ragged_rows(void **state)
{
    oclin_context *ctx = context_of(device_named("Arc A770"), "");
    struct oclin_tensor w = {.mem = (cl_mem)(uintptr_t)ctx}; /* any memory: it is not touched */
    const struct oclin_layer layer = {.ctx = ctx, .in = 4096, .out = 128, .w = &w};
    struct oclin_product p = product_of(OCLIN_KERNEL_FORWARD, 128, 4096, 128);
    struct oclin_plan aligned, ragged;
    int64_t told = 0;
    (void)state;
    ctx->process = oclin_os_process_id();
    assert_true(oclin_plan_product(ctx, &p, 0, &aligned));
    p.a = (struct oclin_operand){.mem = w.mem};
    assert_true(oclin_plan_product(ctx, &p, 0, &ragged));
    const int64_t of_aligned = oclin_additions(&p, &aligned, OCLIN_SUM_OF_PRODUCTS),
                  of_ragged = oclin_additions(&p, &ragged, OCLIN_SUM_OF_PRODUCTS);
    assert_true(of_ragged > of_aligned);
    assert_int_equal(oclin_layer_additions(&layer, OCLIN_RESULT_Y, 128, &told), OCLIN_OK);
    assert_int_equal(told, of_ragged);
    free(ctx);
}

/* The sums of slices meet in Y or dX, unless a kernel may not read there; those of dW always in scratch
 * memory. */
static void test_places_of_slices(void **state)
{
    static char some_memory;
    (void)state;
    oclin_context *ctx = context_of(device_named("NVIDIA"), "simt-64");
    for (int i = 0; i < 4; i++)
        for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++) {
            const int readable = i % 2, slices = 2 + i / 2;
            const int64_t k = slices == 2 ? 4097 : 9000;
            struct oclin_product p =
                product_of((enum oclin_kernel_id)id, id == OCLIN_KERNEL_GRAD_W ? k : 5,
                           id == OCLIN_KERNEL_FORWARD ? k : 4, id == OCLIN_KERNEL_GRAD_X ? k : 3);
            struct oclin_plan plan;
            p.c = (struct oclin_operand){(cl_mem)(uintptr_t)&some_memory, 0, p.n, 1, readable};
            assert_true(oclin_plan_product(ctx, &p, 0, &plan));
            assert_int_equal(oclin_slices(&plan, p.k), slices);
            const int in_scratch = id == OCLIN_KERNEL_GRAD_W || !readable;
            assert_int_equal(oclin_plan_scratch_bytes(&p, &plan),
                             in_scratch ? p.m * ((p.n + 1 + 3) / 4 * 4) * (int64_t)sizeof(float) : 0);
            p.flags = OCLIN_FLAG_KEEP_Z;
            if (id == OCLIN_KERNEL_FORWARD) assert_int_equal(oclin_plan_scratch_bytes(&p, &plan), 0);
        }
    free(ctx);
}

/* Memory that was reserved for a batch is enough for each smaller one. */
static void test_scratch_grows(void **state)
{
    const struct made_up *d = *state;
    const char *name;
    for (int number = 0; (name = every_plan(number)); number++) {
        oclin_context *ctx = context_of(d, name);
        for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++)
            for (size_t i = 0; i < COUNT_OF(sizes); i += 2)
                for (size_t o = 1; o < COUNT_OF(sizes); o += 2) {
                    int64_t most = 0;
                    for (int64_t batch = 1; batch <= 300000; batch += 1 + batch / 2) {
                        const struct oclin_product p =
                            product_of((enum oclin_kernel_id)id, batch, sizes[i], sizes[o]);
                        const int64_t bytes = oclin_plan_scratch(ctx, &p);
                        snprintf(looked_at, sizeof looked_at,
                                 "%s, plan '%s', %s of batch %lld, %lld to %lld features", d->name, name,
                                 product_names[id], (long long)batch, (long long)sizes[i],
                                 (long long)sizes[o]);
                        must(bytes >= most);
                        must(bytes <= d->max_allocation);
                        most = bytes;
                    }
                }
        free(ctx);
    }
}

/* Of each element one work-item has it, of each row one group, and none is larger than it may be. */
static void test_elements_and_rows(void **state)
{
    const struct made_up *d = *state;
    const char *name;
    for (int number = 0; (name = every_plan(number)); number++) {
        oclin_context *ctx = context_of(d, name);
        for (int most = OCLIN_LARGEST_GROUP; most > 0; most /= 2)
            for (size_t i = 0; i < COUNT_OF(sizes) * COUNT_OF(sizes); i++) {
                const int64_t rows = sizes[i / COUNT_OF(sizes)], cols = sizes[i % COUNT_OF(sizes)];
                struct oclin_plan plan;
                snprintf(looked_at, sizeof looked_at, "%s, plan '%s', %lld x %lld elements, groups of %d",
                         d->name, name, (long long)rows, (long long)cols, most);
                struct oclin_elements elements;
                oclin_elements_plan(ctx, rows, cols, 0, most, &elements);
                const struct oclin_tile *t = &elements.tile;
                must(t->group > 0 && t->group <= most && t->group <= d->items);
                must(t->item_n > 0 && t->item_n % t->vl == 0);
                must(elements.groups == ceil_divide(rows * ceil_divide(cols, t->item_n), t->group));
                oclin_plan_rows(ctx, rows, cols, most, &plan);
                const int on_cpu = plan.tile.family == OCLIN_SIMD;
                must(plan.groups == (on_cpu ? oclin_least(rows, 8 * d->units) : rows));
                must(on_cpu || plan.tile.vl == 1);
                must(plan.tile.vl == 1 || plan.tile.vl <= cols);
                must(t->group > 0 && t->group <= most && t->group <= d->items &&
                     (t->group & (t->group - 1)) == 0);
                must(2 * t->group > most || 2 * t->group > d->items ||
                     t->family == OCLIN_SIMD); /* the largest there is */
            }
        free(ctx);
    }
}

/* --------------------------------------------------------------------------------------------- choices */

/* The tile of the first choice, in rows of the tables below. */
#define TILE(kind, lanes, m, n) .family = kind, .vl = lanes, .tile_m = m, .tile_n = n
#define PLAIN TILE(OCLIN_PLAIN, 1, 1, 1)
#define SIMT(m, n) TILE(OCLIN_SIMT, 4, m, n)
#define SPLIT(m, n) SIMT(m, n), .stage = OCLIN_STAGE_PARTS
#define SIMD(lanes, m, n, packing) TILE(OCLIN_SIMD, lanes, m, n), .stage = packing
#define SKINNY(lanes, m, n) TILE(OCLIN_SKINNY, lanes, m, n)

static const struct choice {
    const char *device, *why;
    enum oclin_kernel_id id;
    int64_t batch, in, out;
    oclin_activation activation;
    int family, vl, tile_m, tile_n;
    int stage;          /* of simd, and of a split */
    int narrow;         /* of simd */
    int unroll_k, peel; /* of simt: hints */
} choices[] = {
    {"NVIDIA", "the largest tile that gives every unit a group", FORWARD(2048, 2048, 2048),
     .activation = OCLIN_GELU, SIMT(128, 128), .unroll_k = 8, .peel = 1},
    {"NVIDIA", "tanh' leaves registers for a whole loop", GRAD_W(2048, 2048, 2048), .activation = OCLIN_TANH,
     SIMT(128, 128), .unroll_k = 8, .peel = 1},
    {"NVIDIA", "GELU' leaves none; peeled where a wave is told", GRAD_X(2048, 2048, 2048),
     .activation = OCLIN_GELU, SIMT(128, 128), .unroll_k = 2, .peel = 1},
    {"NVIDIA", "ragged rows leave none for a whole loop of dW", GRAD_W(2048, 2047, 2048), SIMT(128, 128),
     .unroll_k = 2, .peel = 1},
    {"NVIDIA", "but for one of dX", GRAD_X(2048, 2047, 2048), SIMT(128, 128), .unroll_k = 8, .peel = 1},
    {"NVIDIA", "16 would be half a wave", FORWARD(16, 64, 10), SIMT(32, 32), .unroll_k = 8, .peel = 1},
    {"NVIDIA", "a smaller tile gives every unit a group", FORWARD(2048, 64, 384), SIMT(64, 64), .unroll_k = 8,
     .peel = 1},
    {"NVIDIA", "a large tile, and three parts of k, give every unit a group", FORWARD(768, 784, 768),
     SPLIT(128, 128), .unroll_k = 8, .peel = 1},
    {"NVIDIA", "a sum too short to be split", GRAD_W(40, 64, 10), SIMT(32, 32), .unroll_k = 2, .peel = 1},
    {"NVIDIA", "few results of a long sum", GRAD_W(10000, 784, 10), SPLIT(32, 32), .unroll_k = 2, .peel = 1},
    {"Intel", "few results of a long sum, on three sub-slices", GRAD_W(10000, 40, 10), SPLIT(16, 16),
     .unroll_k = 8, .peel = 1},
    {"Intel", "8 x 8 results of a split dX", GRAD_X(128, 128, 10000), SPLIT(128, 128), .unroll_k = 8},
    {"Intel", "8 x 8 results of a split dW spill", GRAD_W(10000, 128, 128), SIMT(64, 32), .unroll_k = 8,
     .peel = 1},
    {"Mali", "few results of a long sum, on a small GPU", GRAD_W(10000, 128, 64), SPLIT(64, 64),
     .unroll_k = 4, .peel = 1},
    {"RX 6800", "a small batch", FORWARD(16, 4096, 1024), SPLIT(32, 32), .unroll_k = 4, .peel = 1},
    {"AMD", "32 KB, and many registers", FORWARD(2048, 2048, 2048), SIMT(128, 128), .unroll_k = 4, .peel = 1},
    {"AMD", "a smaller tile gives every unit a group", GRAD_W(128, 784, 256), SIMT(64, 32), .unroll_k = 4,
     .peel = 1},
    {"Intel", "tanh leaves registers for 8 x 8 results of whole quads", FORWARD(2048, 2048, 2048),
     .activation = OCLIN_TANH, SIMT(128, 128), .unroll_k = 8, .peel = 1},
    {"Intel", "GELU does not leave registers for 8 x 8 results", FORWARD(2048, 2048, 2048),
     .activation = OCLIN_GELU, SIMT(64, 64), .unroll_k = 8, .peel = 1},
    {"Intel", "8 x 8 results only of quads that are loaded whole", FORWARD(2048, 2047, 2048), SIMT(64, 64),
     .unroll_k = 8, .peel = 1},
    {"Intel", "8 x 8 results of dX without an activation", GRAD_X(2048, 2048, 2048), SIMT(128, 128),
     .unroll_k = 8},
    {"Intel", "no registers for 8 x 8 results of dX with an activation", GRAD_X(2048, 2048, 2048),
     .activation = OCLIN_TANH, SIMT(64, 64), .unroll_k = 8},
    {"Mali", "32 KB: few registers", FORWARD(2048, 2048, 2048), SIMT(64, 64), .unroll_k = 4, .peel = 1},
    {"Mali", "32 KB: few registers for dX, either", GRAD_X(2048, 2048, 2048), SIMT(64, 64), .unroll_k = 4},
    {"Mali", "none is enough: the smallest", FORWARD(16, 64, 10), SIMT(16, 16), .unroll_k = 4, .peel = 1},
    {"small groups", "groups of 16 are the largest", FORWARD(2048, 2048, 2048), SIMT(16, 16), .unroll_k = 4,
     .peel = 1},
    {"no groups", "no groups: plain", FORWARD(2048, 2048, 2048), PLAIN},
    {"two cores", "large: two launches, blocks of half the height behind packing", FORWARD(2048, 2048, 2048),
     SIMD(8, 96, 256, OCLIN_STAGE_PACKED)},
    {"two cores", "large dW: two launches", GRAD_W(2048, 2048, 2048), SIMD(8, 96, 256, OCLIN_STAGE_PACKED)},
    {"two cores", "small: one launch", FORWARD(100, 200, 100), SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "28 of 32 samples leave too much of a panel empty", FORWARD(28, 784, 256),
     SKINNY(8, 64, 192)},
    {"two cores", "29 of 32 samples: narrow", FORWARD(29, 784, 256), SIMD(8, 192, 256, OCLIN_STAGE_WHOLE),
     .narrow = 1},
    {"two cores", "whole panels of samples: narrow", FORWARD(64, 784, 256),
     SIMD(8, 192, 256, OCLIN_STAGE_WHOLE), .narrow = 1},
    {"64 cores", "fewer columns than all cores want", FORWARD(64, 784, 4096),
     SIMD(16, 192, 256, OCLIN_STAGE_WHOLE)},
    {"64 cores", "columns for all cores: narrow", FORWARD(64, 784, 6144),
     SIMD(16, 192, 256, OCLIN_STAGE_WHOLE), .narrow = 1},
    {"two cores", "few outs with a long sum", FORWARD(64, 784, 48), SKINNY(8, 64, 192)},
    {"two cores", "65 samples are too many for narrow", FORWARD(65, 784, 256),
     SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "dX is not narrow", GRAD_X(64, 784, 256), SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "33 of 64 samples: not narrow", FORWARD(33, 784, 256),
     SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "few outs with a long sum, a large batch", FORWARD(500, 784, 48), SKINNY(8, 64, 192)},
    {"two cores", "few outs with a short sum", FORWARD(500, 255, 48), SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "49 outs are not few", FORWARD(500, 784, 49), SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two threads", "without a launch of its own packing pays earlier", FORWARD(500, 784, 49),
     SIMD(8, 96, 256, OCLIN_STAGE_PACKED)},
    {"two cores", "dX: packing does not pay in a launch of its own", GRAD_X(128, 784, 512),
     SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two threads", "a small A is packed for all, a large B not", GRAD_X(128, 784, 512),
     SIMD(8, 192, 256, OCLIN_STAGE_MIXED)},
    {"two threads", "large: both are packed", GRAD_X(1024, 1024, 1024), SIMD(8, 96, 256, OCLIN_STAGE_PACKED)},
    {"two threads", "few rows: B is most of the work, and read in as few pieces as possible",
     GRAD_W(10000, 784, 10), SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two threads", "small: nothing is packed", FORWARD(100, 200, 100), SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "long and narrow: A is packed once in one launch as well", FORWARD(8192, 128, 64),
     SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "long and narrow dX: A is packed once in one launch as well", GRAD_X(8192, 128, 64),
     SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "a dW packs A across k again and again", GRAD_W(8192, 128, 64),
     SIMD(8, 96, 256, OCLIN_STAGE_PACKED)},
    {"two cores", "a dW of few outs packs nothing", GRAD_W(4096, 200, 10),
     SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"two cores", "a dW reads an X that no cache holds as it comes", GRAD_W(10000, 784, 10),
     SIMD(8, 192, 256, OCLIN_STAGE_WHOLE)},
    {"64 cores", "16 lanes", FORWARD(2048, 2048, 2048), SIMD(16, 96, 256, OCLIN_STAGE_PACKED)},
    {"ARM core", "4 lanes, little memory", GRAD_X(2048, 2048, 2048), SIMD(4, 18, 64, OCLIN_STAGE_PACKED)},
    {"few bytes", "less memory than a block wants", GRAD_X(48, 48, 48), SIMD(4, 42, 32, OCLIN_STAGE_WHOLE)},
};

static void test_choice(void **state)
{
    const struct choice *c = *state;
    oclin_context *ctx = context_of(device_named(c->device), "");
    struct oclin_product p = product_of(c->id, c->batch, c->in, c->out);
    struct oclin_plan plan;
    p.activation = c->activation;
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    assert_int_equal(plan.tile.family, c->family);
    assert_int_equal(plan.tile.vl, c->vl);
    assert_int_equal(plan.tile.tile_m, c->tile_m);
    assert_int_equal(plan.tile.tile_n, c->tile_n);
    assert_int_equal(plan.tile.stage, c->stage);
    assert_int_equal(is_narrow(&plan), c->narrow);
    assert_int_equal(plan.tile.unroll_k, c->unroll_k);
    assert_int_equal(plan.tile.peel, c->peel);
    free(ctx);
}

/* How many groups of a tile run at once. The occupancies of docs/gpus.md, which come from registers that were
 * counted, are as high or higher. */
static const struct held {
    const char *device, *plan, *why;
    int64_t units, groups;
} helds[] = {
    {"H100", "simt-128", "128 registers of each of 256 items, twice", .units = 132, .groups = 2},
    {"H100", "simt-64", "local memory", .units = 132, .groups = 5},
    {"H100", "simt-64x32", "local memory", .units = 132, .groups = 7},
    {"H100", "simt-32", "local memory", .units = 132, .groups = 10},
    {"H100", "simt-32-split", "as without a split", .units = 132, .groups = 10},
    {"RX 6800", "simt-128", "registers", .units = 30, .groups = 2},
    {"RX 6800", "simt-64", "registers", .units = 30, .groups = 5},
    {"AMD", "simt-128", "32 KB of local memory", .units = 36, .groups = 1},
    {"AMD", "simt-32", "32 KB of local memory", .units = 36, .groups = 7},
    {"Intel", "simt-128", "256 items are all that 8 execution units hold", .units = 3, .groups = 1},
    {"Intel", "simt-64", "half as many items", .units = 3, .groups = 2},
    {"Arc A770", "simt-128", "sub-slices of 16 execution units; local memory", .units = 32, .groups = 3},
    {"Max 1550", "simt-128", "sub-slices of 8 execution units; local memory", .units = 64, .groups = 3},
    {"Mali", "simt-64", "384 items", .units = 8, .groups = 3},
    {"Mali", "simt-16", "local memory", .units = 8, .groups = 12},
    {"small groups", "simt-16", "one group, whatever it needs", .units = 4, .groups = 1},
    {"64 cores", "simt-16", "a core runs one group to its end", .units = 64, .groups = 1},
};

static void test_held(void **state)
{
    const struct held *h = *state;
    oclin_context *ctx = context_of(device_named(h->device), h->plan);
    const struct oclin_product p = product_of(OCLIN_KERNEL_FORWARD, 64, 64, 64);
    struct oclin_plan plan;
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    const struct oclin_tile *t = &plan.tile;
    const struct oclin_occupancy o = oclin_occupancy_of(
        &ctx->device, t, OCLIN_SIMT_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k));
    assert_int_equal(o.units, h->units);
    assert_int_equal(o.groups, h->groups);
    free(ctx);
}

/* Products with long sums and few results, or few of large tiles: on a large GPU each unit has a group, or,
 * of a tile as large as 128 x 128, nearly each. */
static const struct filled {
    enum oclin_kernel_id id;
    int64_t batch, in, out;
} filleds[] = {
    {FORWARD(1, 4096, 4096)},    {GRAD_X(1, 4096, 4096)},   {GRAD_X(4, 2048, 8192)},
    {FORWARD(16, 4096, 1024)},   {FORWARD(64, 1024, 1024)}, {GRAD_W(10000, 784, 10)},
    {GRAD_W(8192, 128, 64)},     {GRAD_W(512, 768, 3072)},  {FORWARD(256, 4096, 1024)},
    {FORWARD(1024, 1024, 1024)}, {GRAD_W(1000000, 64, 64)}, {GRAD_W(4000000, 10, 1)},
};

static void test_filled(void **state)
{
    static const char *const large[] = {"H100", "NVIDIA", "RX 6800", "Arc A770", "Max 1550"};
    const struct filled *f = *state;
    for (size_t i = 0; i < COUNT_OF(large); i++) {
        oclin_context *ctx = context_of(device_named(large[i]), "");
        const struct oclin_product p = product_of(f->id, f->batch, f->in, f->out);
        struct oclin_plan plan;
        assert_true(oclin_plan_product(ctx, &p, 0, &plan));
        look_at(ctx, &p, 0);
        const struct oclin_tile *t = &plan.tile;
        const struct oclin_occupancy o = oclin_occupancy_of(
            &ctx->device, t, OCLIN_SIMT_LOCAL_FLOATS((int64_t)t->tile_m, t->tile_n, t->tile_k));
        must(10 * plan.groups >= 7 * o.units);
        must(plan.tile.stage == OCLIN_STAGE_WHOLE || plan.groups <= o.units * o.groups);
        free(ctx);
    }
}

/* Where there is little memory there are fewer parts, and then none; and behind a split the next choices need
 * no memory for parts. */
static void test_memory_for_parts(void **state)
{
    (void)state;
    oclin_context *ctx = context_of(device_named("H100"), "");
    const struct oclin_product p = product_of(OCLIN_KERNEL_FORWARD, 64, 4096, 1024);
    const int64_t part = 64 * 1028 * (int64_t)sizeof(float);
    struct oclin_plan plan;
    for (int64_t parts = 8; parts >= 0; parts--) {
        ctx->device.info.max_allocation = parts * part + 3;
        assert_true(oclin_plan_product(ctx, &p, 0, &plan));
        assert_int_equal(oclin_is_split(&plan), parts >= 2);
        assert_true(oclin_parts(&plan, p.k) <= (parts < 2 ? 1 : parts));
        int whole = 0;
        for (int i = 1; i < 20 && oclin_plan_product(ctx, &p, i, &plan); i++)
            whole |= plan.tile.family == OCLIN_SIMT && oclin_plan_scratch_bytes(&p, &plan) == 0;
        assert_true(whole);
    }
    free(ctx);
}

/* Memory is asked ahead for what waits for it, where the compiler can. */
static const struct ahead {
    const char *plan, *why;
    enum oclin_kernel_id id;
    int64_t batch, in, out, cache;
    int can, prefetch;
} aheads[] = {
    {"", "X is read once, from memory", GRAD_W(10000, 784, 10), .cache = 32 << 20, .can = 1, .prefetch = 1},
    {"", "two strips of A", GRAD_W(10000, 784, 12), .cache = 32 << 20, .can = 1, .prefetch = 1},
    {"simd-whole", "three strips of A: X is read again", GRAD_W(10000, 784, 13), .cache = 32 << 20, .can = 1,
     .prefetch = 0},
    {"simd-whole", "X and as much stay in the cache", GRAD_W(10000, 784, 10), .cache = 64 << 20, .can = 1,
     .prefetch = 0},
    {"simd-whole", "a small cache is taken for 8 MB, which X fits", GRAD_W(1300, 784, 10), .cache = 512 << 10,
     .can = 1, .prefetch = 0},
    {"simd-whole", "a small cache is taken for 8 MB, which X exceeds", GRAD_W(1400, 784, 10),
     .cache = 512 << 10, .can = 1, .prefetch = 1},
    {"simd-whole", "dW without a compiler that can", GRAD_W(10000, 784, 10), .cache = 32 << 20, .can = 0,
     .prefetch = 0},
    {"simd-whole", "dX of the same size", GRAD_X(10, 784, 10000), .cache = 32 << 20, .can = 1, .prefetch = 0},
    {"", "a small batch waits for W", FORWARD(8, 784, 256), .cache = 32 << 20, .can = 1, .prefetch = 1},
    {"", "a small batch without a compiler that can", FORWARD(8, 784, 256), .cache = 32 << 20, .can = 0,
     .prefetch = 0},
    {"", "a large batch computes", FORWARD(128, 784, 256), .cache = 32 << 20, .can = 1, .prefetch = 0},
    {"", "one pass waits for W", BACKWARD(8, 784, 256), .cache = 32 << 20, .can = 1, .prefetch = 1},
    {"", "one pass without a compiler that can", BACKWARD(8, 784, 256), .cache = 32 << 20, .can = 0,
     .prefetch = 0},
};

static void test_ahead(void **state)
{
    const struct ahead *s = *state;
    oclin_context *ctx = context_of(device_named("two cores"), s->plan);
    ctx->device.cache = s->cache;
    ctx->device.prefetches = s->can;
    const struct oclin_product p = product_of(s->id, s->batch, s->in, s->out);
    struct oclin_plan plan;
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    assert_int_equal(plan.tile.prefetch, s->prefetch);
    free(ctx);
}

/* A queue counts in 32 bits: what has more parts goes without. */
static void test_queue_counts(void **state)
{
    (void)state;
    oclin_context *ctx = context_of(device_named("two threads"), "simd-whole");
    for (int bits = 30; bits < 50; bits++) {
        const struct oclin_product p = product_of(OCLIN_KERNEL_FORWARD, INT64_C(1) << bits, 784, 100);
        struct oclin_plan plan;
        assert_true(oclin_plan_product(ctx, &p, 0, &plan));
        const int64_t blocks = ceil_divide(p.m, plan.block_m) * ceil_divide(p.n, plan.block_n);
        assert_int_equal(plan.tile.tickets, blocks <= INT32_MAX - 2);
        assert_true(plan.groups == (plan.tile.tickets ? 2 : blocks));
    }
    free(ctx);
}

/* The narrow form has as many groups for each core. */
static void test_narrow_groups(void **state)
{
    static const struct {
        const char *device;
        int64_t batch, out, groups;
    } rows[] = {
        {"two cores", .batch = 64, .out = 191, .groups = 2},
        {"two cores", .batch = 64, .out = 256, .groups = 2},
        {"two cores", .batch = 64, .out = 384, .groups = 4},
        {"two cores", .batch = 64, .out = 784, .groups = 8},
        {"two cores", .batch = 16, .out = 4096, .groups = 8},
        {"64 cores", .batch = 64, .out = 6144, .groups = 64},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        oclin_context *ctx = context_of(device_named(rows[i].device), "simd-narrow");
        const struct oclin_product p = product_of(OCLIN_KERNEL_FORWARD, rows[i].batch, 784, rows[i].out);
        struct oclin_plan plan;
        assert_true(oclin_plan_product(ctx, &p, 0, &plan));
        assert_int_equal(plan.groups, rows[i].groups);
        free(ctx);
    }
}

/* Backward in one pass over W. */
static const struct pass {
    const char *device, *plan, *why;
    enum oclin_kernel_id id;
    int64_t batch, in, out;
    int one;
} passes[] = {
    {"two cores", "", "up to 16 samples", BACKWARD(16, 784, 256), .one = 1},
    {"two cores", "", "17 samples are too many for a large layer", BACKWARD(17, 784, 256), .one = 0},
    {"two cores", "", "64 samples of a small layer", BACKWARD(64, 78, 64), .one = 1},
    {"two cores", "", "64 samples of a layer that is too large", BACKWARD(64, 98, 64), .one = 0},
    {"two cores", "", "65 samples are too many for any layer", BACKWARD(65, 8, 8), .one = 0},
    {"two cores", "simd-skinny", "a plan for small batches", BACKWARD(8, 784, 256), .one = 1},
    {"two cores", "simd-8", "a plan of products", BACKWARD(8, 784, 256), .one = 0},
    {"two cores", "plain", "a plan of plain products", BACKWARD(8, 784, 256), .one = 0},
    {"NVIDIA", "", "not on a GPU", BACKWARD(8, 784, 256), .one = 0},
    {"64 cores", "", "columns for all cores", BACKWARD(16, 4096, 1024), .one = 1},
    {"64 cores", "", "too few columns for all cores", BACKWARD(16, 700, 1024), .one = 0},
    {"64 cores", "", "just columns enough for all cores", BACKWARD(16, 1024, 1024), .one = 1},
    {"64 cores", "", "so little work that idle cores do not matter", BACKWARD(16, 64, 16), .one = 1},
    {"few bytes", "", "with little local memory", BACKWARD(8, 784, 256), .one = 1},
};

static void test_pass(void **state)
{
    const struct pass *s = *state;
    oclin_context *ctx = context_of(device_named(s->device), s->plan);
    const struct oclin_product p = product_of(s->id, s->batch, s->in, s->out);
    assert_int_equal(oclin_plan_one_pass(ctx, &p), s->one);
    free(ctx);
}

/* What a plan's name stands for, on a device, for a forward of this shape. */
static const struct meaning {
    const char *device, *plan;
    enum oclin_kernel_id id;
    int64_t batch, in, out;
    int family, vl, tile_m;
    int stage, narrow; /* of simd */
} meanings[] = {
    {"two cores", "plain", FORWARD(100, 100, 100), .family = OCLIN_PLAIN, .vl = 1, .tile_m = 1},
    {"two cores", "simd", FORWARD(100, 100, 100), .family = OCLIN_SIMD, .vl = 8, .tile_m = 192,
     .stage = OCLIN_STAGE_WHOLE},
    {"two cores", "simd", FORWARD(8, 100, 100), .family = OCLIN_SKINNY, .vl = 8, .tile_m = 64},
    {"two cores", "simd-4", FORWARD(8, 100, 100), .family = OCLIN_SIMD, .vl = 4, .tile_m = 192,
     .stage = OCLIN_STAGE_WHOLE},
    {"two cores", "simd-8", FORWARD(8, 100, 100), .family = OCLIN_SIMD, .vl = 8, .tile_m = 192,
     .stage = OCLIN_STAGE_WHOLE},
    {"two cores", "simd-16", FORWARD(8, 100, 100), .family = OCLIN_SIMD, .vl = 16, .tile_m = 180,
     .stage = OCLIN_STAGE_WHOLE},
    {"two cores", "simd-whole", FORWARD(2048, 2048, 2048), .family = OCLIN_SIMD, .vl = 8, .tile_m = 192,
     .stage = OCLIN_STAGE_WHOLE},
    {"two cores", "simd-packed", FORWARD(8, 100, 100), .family = OCLIN_SIMD, .vl = 8, .tile_m = 96,
     .stage = OCLIN_STAGE_PACKED},
    {"two cores", "simd-skinny", FORWARD(64, 784, 256), .family = OCLIN_SKINNY, .vl = 8, .tile_m = 64},
    {"two cores", "simd-narrow", FORWARD(5, 784, 256), .family = OCLIN_SIMD, .vl = 8, .tile_m = 192,
     .narrow = 1},
    {"two cores", "simd-narrow", FORWARD(64, 784, 8), .family = OCLIN_SIMD, .vl = 8, .tile_m = 192,
     .narrow = 1},
    {"two cores", "simd-narrow", FORWARD(65, 784, 8), .family = OCLIN_SIMD, .vl = 8, .tile_m = 192,
     .stage = OCLIN_STAGE_WHOLE},
    {"two cores", "simd-skinny", FORWARD(65, 784, 256), .family = OCLIN_SIMD, .vl = 8, .tile_m = 192,
     .stage = OCLIN_STAGE_WHOLE},
    {"two cores", "simd-skinny", FORWARD(512, 1024, 1024), .family = OCLIN_SIMD, .vl = 8, .tile_m = 96,
     .stage = OCLIN_STAGE_PACKED},
    {"AMD", "simt", FORWARD(2048, 2048, 2048), .family = OCLIN_SIMT, .vl = 4, .tile_m = 128},
    {"AMD", "simt-16", FORWARD(2048, 2048, 2048), .family = OCLIN_SIMT, .vl = 4, .tile_m = 16},
    {"AMD", "simt-32", FORWARD(2048, 2048, 2048), .family = OCLIN_SIMT, .vl = 4, .tile_m = 32},
    {"AMD", "simt-64x32", FORWARD(2048, 2048, 2048), .family = OCLIN_SIMT, .vl = 4, .tile_m = 64},
    {"AMD", "simt-64", FORWARD(16, 16, 16), .family = OCLIN_SIMT, .vl = 4, .tile_m = 64},
    {"AMD", "simt-128", FORWARD(16, 16, 16), .family = OCLIN_SIMT, .vl = 4, .tile_m = 128},
    {"AMD", "simt-128-split", FORWARD(16, 16, 16), .family = OCLIN_SIMT, .vl = 4, .tile_m = 128,
     .stage = OCLIN_STAGE_PARTS},
    {"AMD", "simt-64-split", FORWARD(2048, 2048, 2048), .family = OCLIN_SIMT, .vl = 4, .tile_m = 64,
     .stage = OCLIN_STAGE_PARTS},
    {"AMD", "simt-64x32-split", FORWARD(16, 9, 16), .family = OCLIN_SIMT, .vl = 4, .tile_m = 64,
     .stage = OCLIN_STAGE_PARTS},
    {"AMD", "simt-32-split", FORWARD(16, 8, 16), .family = OCLIN_SIMT, .vl = 4, .tile_m = 32},
};

static void test_meaning(void **state)
{
    const struct meaning *n = *state;
    oclin_context *ctx = context_of(device_named(n->device), "");
    assert_ok(ctx, oclin_plan_choose(ctx, n->plan));
    const struct oclin_product p = product_of(n->id, n->batch, n->in, n->out);
    struct oclin_plan plan;
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    assert_int_equal(plan.tile.family, n->family);
    assert_int_equal(plan.tile.vl, n->vl);
    assert_int_equal(plan.tile.tile_m, n->tile_m);
    assert_int_equal(plan.tile.stage, n->stage);
    assert_int_equal(is_narrow(&plan), n->narrow);
    free(ctx);
}

/* Refused: no such plan, and one that the device has no room for. The context stays as it was. */
static void test_refused(void **state)
{
    (void)state;
    oclin_context *ctx = context_of(device_named("small groups"), "");
    assert_refused(ctx, OCLIN_E_ARG, "simt-128", oclin_plan_choose(ctx, "simt-17"));
    assert_refused(ctx, OCLIN_E_ARG, "simd-packed", oclin_plan_choose(ctx, "simd-9"));
    assert_refused(ctx, OCLIN_E_DEVICE, "16 work-items", oclin_plan_choose(ctx, "simt-32"));
    assert_string_equal(ctx->plan.name, "");
    free(ctx);
}

/* What tuning compares: no plan twice, none of the other kind of device, none that takes for ever. */
static const struct comparison_of {
    const char *device;
    enum oclin_kernel_id id;
    int64_t batch, in, out;
    const char *names; /* behind the default, with a blank before each; NULL: no choice */
} comparisons[] = {
    {"two cores", FORWARD(128, 784, 256), .names = " simd-whole simd-4"},
    {"two cores", FORWARD(8, 40, 24), .names = " simd-whole simd-packed simd-4 simd-narrow plain"},
    {"two cores", BACKWARD(8, 40, 24), .names = " two-products"},
    {"two cores", BACKWARD(64, 784, 256), .names = " one-pass"},
    {"two cores", BACKWARD(65, 784, 256), .names = NULL},
    {"NVIDIA", GRAD_X(128, 784, 256),
     .names = " simt-128 simt-64 simt-64x32 simt-32 simt-16 simt-128-split simt-64-split simt-32-split"},
    {"NVIDIA", GRAD_X(2048, 2048, 2048), .names = " simt-64 simt-64x32 simt-32 simt-16"},
    {"NVIDIA", BACKWARD(8, 40, 24), .names = NULL},
};

static void test_comparison(void **state)
{
    const struct comparison_of *c = *state;
    oclin_context *ctx = context_of(device_named(c->device), "");
    const struct oclin_shape shape = {c->batch, c->in, c->out};
    const char *names[OCLIN_MOST_CANDIDATES];
    const int count = oclin_plan_candidates(ctx, c->id, shape, names);
    char all[200] = "";
    for (int i = 1; i < count; i++) snprintf(all + strlen(all), sizeof all - strlen(all), " %s", names[i]);
    assert_int_equal(count > 0, c->names != NULL);
    if (c->names) {
        assert_string_equal(names[0], "");
        assert_string_equal(all, c->names);
    }
    free(ctx);
}

/* A tuned plan comes first, for its shape alone, and oclin's own choices stand behind it. One pass is made
 * where it was tuned, also where oclin would not choose it. */
static void test_tuned(void **state)
{
    const struct oclin_shape shape = {64, 784, 256};
    const struct oclin_tuned tuned[] = {{OCLIN_KERNEL_FORWARD, shape, "simd-staged", 2, 1},
                                        {OCLIN_KERNEL_ONE_PASS, shape, "one-pass", 2, 1}};
    const struct oclin_product forward = oclin_plan_shaped(OCLIN_KERNEL_FORWARD, shape),
                               backward = oclin_plan_shaped(OCLIN_KERNEL_ONE_PASS, shape),
                               other = product_of(OCLIN_KERNEL_ONE_PASS, 65, 784, 256);
    struct oclin_plan own, plan;
    (void)state;
    oclin_context *ctx = context_of(device_named("two cores"), "");
    assert_true(oclin_plan_product(ctx, &forward, 0, &own));
    assert_false(oclin_plan_one_pass(ctx, &backward));
    ctx->tuning = new_array(struct oclin_tuning, 1);
    for (size_t i = 0; i < COUNT_OF(tuned); i++) assert_true(oclin_tuning_put(ctx->tuning, &tuned[i]));
    assert_true(oclin_plan_product(ctx, &forward, 0, &plan));
    assert_string_equal(plan.way->name, "simd-staged");
    assert_true(oclin_plan_product(ctx, &forward, 1, &plan));
    assert_ptr_equal(plan.way, own.way);
    assert_true(oclin_plan_one_pass(ctx, &backward));
    assert_true(oclin_plan_product(ctx, &backward, 0, &plan));
    assert_int_equal(plan.way->makes, OCLIN_MAKES_ONE_PASS);
    assert_false(oclin_plan_one_pass(ctx, &other));
    oclin_tuning_free(ctx->tuning);
    free(ctx->tuning);
    free(ctx);
}

/* Which plans oclin_self_check() runs: all that may be chosen, and where one is asked for that one. */
static const struct check {
    const char *device, *plan, *rounds[OCLIN_CHECK_ROUNDS][OCLIN_CHECK_RUNS];
} checks[] = {
    {"two cores",
     "",
     {{"simd-whole", "simd-packed", "simd-mixed", "simd-whole", "simd-packed"},
      {"simd-skinny", "simd-narrow", "simd-skinny", "simd-narrow", "simd-skinny"}}},
    {"two cores",
     "simd-8",
     {{"simd-8", "simd-8", "simd-8", "simd-8", "simd-8"},
      {"simd-8", "simd-8", "simd-8", "simd-8", "simd-8"}}},
    {"AMD",
     "simt",
     {{"simt-128", "simt-64", "simt-64x32", "simt-32", "simt-128"},
      {"simt-64x32", "simt-32", "simt-128", "simt-64", "simt-64x32"},
      {"simt-128-split", "simt-64-split", "simt-64x32-split", "simt-32-split", "simt-128-split"},
      {"simt-64x32-split", "simt-32-split", "simt-128-split", "simt-64-split", "simt-64x32-split"}}},
    {"AMD",
     "simt-32-split",
     {{"simt-32-split", "simt-32-split", "simt-32-split", "simt-32-split", "simt-32-split"},
      {"simt-32-split", "simt-32-split", "simt-32-split", "simt-32-split", "simt-32-split"}}},
    {"Intel",
     "",
     {{"simt-128", "simt-64", "simt-64x32", "simt-32", "simt-16"},
      {"simt-64x32", "simt-32", "simt-16", "simt-128", "simt-64"},
      {"simt-128-split", "simt-64-split", "simt-64x32-split", "simt-32-split", "simt-16-split"},
      {"simt-64x32-split", "simt-32-split", "simt-16-split", "simt-128-split", "simt-64-split"}}},
    {"no groups", "", {{"", "", "", "", ""}, {"", "", "", "", ""}}},
};

static void test_to_check(void **state)
{
    const struct check *c = *state;
    oclin_context *ctx = context_of(device_named(c->device), c->plan);
    for (int round = 0; round < OCLIN_CHECK_ROUNDS; round++)
        for (int run = 0; run < OCLIN_CHECK_RUNS; run++) {
            const char *name = oclin_plan_to_check(ctx, round, run), *wanted = c->rounds[round][run];
            assert_string_equal(name ? name : "none", wanted ? wanted : "none");
        }
    free(ctx);
}

/* ---------------------------------------------------------------------------------------------- alignment */

/* Quads of memory, on devices that like them, if each operand's rows begin and end with whole ones. One that
 * does not is enough to spoil it, whichever it is; one that is not there has no say. */
static void test_aligned(void **state)
{
    enum { OPERANDS = 7 };
    static const enum oclin_kernel_id ids[] = {OCLIN_KERNEL_FORWARD, OCLIN_KERNEL_GRAD_X,
                                               OCLIN_KERNEL_GRAD_W};
    static char some_memory;
    (void)state;
    oclin_context *ctx = context_of(device_named("NVIDIA"), "simt-16");
    struct oclin_plan plan;
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        struct oclin_product p = product_of(ids[i], 8, 16, 12);
        struct oclin_operand *const all[OPERANDS] = {&p.a, &p.s, &p.b, &p.c, &p.bias, &p.db, &p.z};
        for (int j = 0; j < OPERANDS; j++)
            *all[j] = (struct oclin_operand){(cl_mem)(uintptr_t)&some_memory, 0, 16, 1, 1};
        assert_true(oclin_plan_product(ctx, &p, 0, &plan));
        assert_int_equal(plan.tile.aligned, 1);
        for (int j = 0; j < OPERANDS; j++) {
            cl_mem memory = all[j]->mem;
            all[j]->aligned = 0;
            assert_true(oclin_plan_product(ctx, &p, 0, &plan));
            if (plan.tile.aligned) fail_msg("%s with an unaligned operand %d", product_names[ids[i]], j);
            all[j]->mem = NULL;
            assert_true(oclin_plan_product(ctx, &p, 0, &plan));
            if (!plan.tile.aligned) fail_msg("%s without operand %d", product_names[ids[i]], j);
            all[j]->mem = memory;
            all[j]->aligned = 1;
        }
        for (int dimension = 0; dimension < 3; dimension++) { /* m matters where rows of A lie along it: dW */
            int64_t *const sizes_of[] = {&p.m, &p.n, &p.k};
            const int matters = dimension == 1 || (ids[i] == OCLIN_KERNEL_GRAD_W) == (dimension == 0);
            for (int more = 1; more < 4; more++) {
                *sizes_of[dimension] += more;
                assert_true(oclin_plan_product(ctx, &p, 0, &plan));
                if (plan.tile.aligned != !matters)
                    fail_msg("%s of %d x %d x %d", product_names[ids[i]], (int)p.m, (int)p.n, (int)p.k);
                *sizes_of[dimension] -= more;
            }
        }
    }
    free(ctx);
}

static void add_invariants(struct test_list *list)
{
    for (size_t i = 0; i < COUNT_OF(made_up); i++) {
        void *d = (void *)(uintptr_t)&made_up[i];
        add_test(list, test_every_device, d, "invariants/plans cover the product and fit the device, %s",
                 made_up[i].name);
        add_test(list, test_scratch_grows, d, "scratch/a larger batch needs no less, %s", made_up[i].name);
        add_test(list, test_additions, d, "additions/no sum is rounded more often than promised, %s",
                 made_up[i].name);
        add_test(list, test_elements_and_rows, d, "elements/each is covered once, %s", made_up[i].name);
    }
    add_test(list, test_additions_of_ragged_rows, NULL, "additions/of ragged rows");
    add_test(list, test_places_of_slices, NULL, "slices/where their sums meet");
}

static void add_choices(struct test_list *list)
{
    for (size_t i = 0; i < COUNT_OF(choices); i++) {
        const struct choice *c = &choices[i];
        add_test(list, test_choice, (void *)(uintptr_t)c, "choice/%s, %s of %lldx%lldx%lld, %s: %s",
                 c->device, product_names[c->id], (long long)c->batch, (long long)c->in, (long long)c->out,
                 activation_name(c->activation), c->why);
    }
    for (size_t i = 0; i < COUNT_OF(helds); i++)
        add_test(list, test_held, (void *)(uintptr_t)&helds[i], "held/%s, %s: %s", helds[i].device,
                 helds[i].plan, helds[i].why);
    for (size_t i = 0; i < COUNT_OF(filleds); i++)
        add_test(list, test_filled, (void *)(uintptr_t)&filleds[i], "filled/%s of %lldx%lldx%lld",
                 product_names[filleds[i].id], (long long)filleds[i].batch, (long long)filleds[i].in,
                 (long long)filleds[i].out);
    for (size_t i = 0; i < COUNT_OF(aheads); i++)
        add_test(list, test_ahead, (void *)(uintptr_t)&aheads[i], "ahead/plan '%s', %s: %s", aheads[i].plan,
                 aheads[i].why, aheads[i].prefetch ? "asked ahead" : "not");
    for (size_t i = 0; i < COUNT_OF(passes); i++)
        add_test(list, test_pass, (void *)(uintptr_t)&passes[i], "pass/%s, plan '%s', %s: %s",
                 passes[i].device, passes[i].plan, passes[i].why, passes[i].one ? "one" : "two products");
    for (size_t i = 0; i < COUNT_OF(meanings); i++)
        add_test(list, test_meaning, (void *)(uintptr_t)&meanings[i], "names/%s, batch %lld",
                 meanings[i].plan, (long long)meanings[i].batch);
    for (size_t i = 0; i < COUNT_OF(comparisons); i++)
        add_test(list, test_comparison, (void *)(uintptr_t)&comparisons[i],
                 "candidates/%s, %s of %lldx%lldx%lld", comparisons[i].device,
                 product_names[comparisons[i].id], (long long)comparisons[i].batch,
                 (long long)comparisons[i].in, (long long)comparisons[i].out);
    for (size_t i = 0; i < COUNT_OF(checks); i++)
        add_test(list, test_to_check, (void *)(uintptr_t)&checks[i], "self-check/%s, plan '%s'",
                 checks[i].device, checks[i].plan);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_invariants(&list);
    add_choices(&list);
    add_test(&list, test_queue_counts, NULL, "queue/no more parts than it can count");
    add_test(&list, test_narrow_groups, NULL, "narrow/as many groups for each core");
    add_test(&list, test_memory_for_parts, NULL, "split/as many parts as there is memory for");
    add_test(&list, test_tuned, NULL, "tuned/first, and oclin's own behind it");
    add_test(&list, test_refused, NULL, "names/refused: none such, or too large for the device");
    add_test(&list, test_aligned, NULL, "aligned/one operand alone spoils it");
    return run_list("plan", &list, argc, argv);
}
