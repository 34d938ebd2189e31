/* Kernel text -> cl_kernel: joined, built when first needed, kept for the life of the context. */
#include "oclin_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One built kernel and the numbers that it was built for. */
struct oclin_program {
    enum oclin_kernel_id id;
    struct oclin_tile tile;
    oclin_activation activation;
    cl_program program;
    cl_kernel kernel;
    int failed; /* it did not build: not tried again */
    int fits;   /* the built kernel can run with its work-group and local memory on this device */
    struct oclin_program *next;
};

/* Which texts make which kernel. A product's last file is that of its family. */
enum { FILES = 4 };
static const struct {
    const char *kernel, *files[FILES];
} kernels[] = {
    [OCLIN_KERNEL_FORWARD] = {"forward", {"oclin_tile.h", "common.cl", "forward.cl"}},
    [OCLIN_KERNEL_GRAD_X] = {"grad_x", {"oclin_tile.h", "common.cl", "grad_x.cl"}},
    [OCLIN_KERNEL_GRAD_W] = {"grad_w", {"oclin_tile.h", "common.cl", "grad_w.cl"}},
    [OCLIN_KERNEL_GRADS] = {"grads", {"oclin_tile.h", "common.cl"}},
    [OCLIN_KERNEL_STEP] = {"sgd_step", {"oclin_tile.h", "common.cl", "update.cl"}},
    [OCLIN_KERNEL_FILL] = {"fill", {"oclin_tile.h", "fill.cl"}},
    [OCLIN_KERNEL_MSE] = {"mse", {"oclin_tile.h", "loss.cl"}},
    [OCLIN_KERNEL_CROSS_ENTROPY] = {"cross_entropy", {"oclin_tile.h", "loss.cl"}},
    [OCLIN_KERNEL_SUM_ROWS] = {"sum_rows", {"oclin_tile.h", "loss.cl"}},
};

static const char *const family_names[OCLIN_FAMILY_COUNT] = {"plain", "simt", "simd", "skinny"};
static const char *const stage_names[] = {
    [OCLIN_STAGE_WHOLE] = "", [OCLIN_STAGE_PACK] = " (packing)", [OCLIN_STAGE_PRODUCT] = " (packed)"};

/* The first four of enum oclin_kernel_id. */
static int is_product(enum oclin_kernel_id id)
{
    return id <= OCLIN_KERNEL_GRADS;
}

static const char *family_file(enum oclin_kernel_id id, int family)
{
    switch (family) {
    case OCLIN_SIMT:
        return "product_simt.cl";
    case OCLIN_SIMD:
        return "product_simd.cl";
    case OCLIN_SKINNY:
        return id == OCLIN_KERNEL_FORWARD ? "forward_skinny.cl" : "grads_skinny.cl";
    default:
        return "product_plain.cl";
    }
}

/* ------------------------------------------------------------------------------------------------- text */

/* A growing text. */
struct text {
    char *bytes;
    size_t length;
};

static oclin_status append(oclin_context *ctx, struct text *t, const char *bytes, size_t length)
{
    char *grown = realloc(t->bytes, t->length + length + 1);
    if (!grown)
        return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for %zu bytes of kernel text",
                          t->length + length);
    memcpy(grown + t->length, bytes, length);
    t->bytes = grown;
    t->length += length;
    grown[t->length] = 0;
    return OCLIN_OK;
}

/* So that the compiler's messages name the file that the reader knows. */
static oclin_status append_line_mark(oclin_context *ctx, struct text *t, const char *path)
{
    OCLIN_TRY(append(ctx, t, "#line 1 \"", 9));
    for (; *path; path++) {
        if (*path == '\\' || *path == '"') OCLIN_TRY(append(ctx, t, "\\", 1));
        OCLIN_TRY(append(ctx, t, path, 1));
    }
    return append(ctx, t, "\"\n", 2);
}

static oclin_status append_stream(oclin_context *ctx, struct text *t, FILE *file, const char *path)
{
    char block[4096];
    size_t got;
    while ((got = fread(block, 1, sizeof block, file)) > 0) OCLIN_TRY(append(ctx, t, block, got));
    if (ferror(file)) return oclin_fail(ctx, OCLIN_E_BUILD, "%s could not be read", path);
    return append(ctx, t, "\n", 1);
}

/* The replacement of a file in OCLIN_CL_DIR, where there is one; *found tells. */
static oclin_status append_override(oclin_context *ctx, struct text *t, const char *name, int *found)
{
    *found = 0;
    if (!ctx->cl_dir || strcmp(name, "oclin_tile.h") == 0)
        return OCLIN_OK; /* the host has its own copy of that one */
    const size_t size = strlen(ctx->cl_dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (!path) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for %zu bytes", size);
    snprintf(path, size, "%s/%s", ctx->cl_dir, name);
    errno = 0;
    FILE *file = fopen(path, "rb");
    oclin_status status = OCLIN_OK;
    if (!file && errno != ENOENT)
        status = oclin_fail(ctx, OCLIN_E_BUILD, "%s cannot be opened (error %d)", path, errno);
    if (file) {
        *found = 1;
        oclin_log(ctx, "%s replaces the built-in %s", path, name);
        status = append_line_mark(ctx, t, path);
        if (status == OCLIN_OK) status = append_stream(ctx, t, file, path);
        fclose(file);
    }
    free(path);
    return status;
}

static oclin_status append_file(oclin_context *ctx, struct text *t, const char *name)
{
    int found;
    OCLIN_TRY(append_override(ctx, t, name, &found));
    if (found) return OCLIN_OK;
    for (size_t i = 0; i < oclin_cl_file_count; i++)
        if (strcmp(oclin_cl_files[i].name, name) == 0) {
            OCLIN_TRY(append_line_mark(ctx, t, name));
            return append(ctx, t, oclin_cl_files[i].text, strlen(oclin_cl_files[i].text));
        }
    return oclin_fail(ctx, OCLIN_E_BUILD, "kernel text %s is not in the library", name);
}

static oclin_status join(oclin_context *ctx, enum oclin_kernel_id id, int family, struct text *t)
{
    for (int i = 0; i < FILES && kernels[id].files[i]; i++)
        OCLIN_TRY(append_file(ctx, t, kernels[id].files[i]));
    return is_product(id) ? append_file(ctx, t, family_file(id, family)) : OCLIN_OK;
}

oclin_status oclin_program_source(oclin_context *ctx, enum oclin_kernel_id id, const struct oclin_tile *tile,
                                  oclin_activation activation, char name[OCLIN_KERNEL_NAME_SIZE], char **text,
                                  char options[OCLIN_OPTIONS_SIZE])
{
    const struct oclin_tile *t = tile;
    snprintf(name, OCLIN_KERNEL_NAME_SIZE, is_product(id) ? "%s_%s" : "%s", kernels[id].kernel,
             family_names[t->family]);
    /* no fast-math flags: NaN, Inf and the order of sums are promised */
    snprintf(
        options, OCLIN_OPTIONS_SIZE,
        "-cl-std=CL1.2 -DOCLIN_GROUP=%d -DOCLIN_VL=%d -DOCLIN_TILE_M=%d -DOCLIN_TILE_N=%d -DOCLIN_TILE_K=%d "
        "-DOCLIN_ITEM_M=%d -DOCLIN_ITEM_N=%d -DOCLIN_ALIGNED=%d -DOCLIN_UNROLL_K=%d -DOCLIN_PEEL=%d "
        "-DOCLIN_SUB_GROUP=%d -DOCLIN_STAGE=%d -DOCLIN_ACTIVATION=%d",
        t->group, t->vl, t->tile_m, t->tile_n, t->tile_k, t->item_m, t->item_n, t->aligned, t->unroll_k,
        t->peel, t->sub_group, t->stage, (int)activation);
    struct text joined = {NULL, 0};
    const oclin_status status = join(ctx, id, t->family, &joined);
    if (status != OCLIN_OK) {
        free(joined.bytes);
        joined.bytes = NULL;
    }
    *text = joined.bytes;
    return status;
}

/* ---------------------------------------------------------------------------------------------- building */

static void keep_build_log(oclin_context *ctx, cl_program program)
{
    free(ctx->build_log);
    ctx->build_log = NULL;
    size_t size = 0;
    if (clGetProgramBuildInfo(program, ctx->device.info.device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size) !=
        CL_SUCCESS)
        return;
    char *log = malloc(size + 1);
    if (!log) return;
    log[size] = 0;
    if (clGetProgramBuildInfo(program, ctx->device.info.device, CL_PROGRAM_BUILD_LOG, size, log, NULL) !=
        CL_SUCCESS)
        log[0] = 0;
    ctx->build_log = log;
}

/* The first line of the log that speaks of an error, for the sentence. */
static const char *first_error(const char *log)
{
    const char *at = log ? strstr(log, "error") : NULL;
    while (at && at > log && at[-1] != '\n') at--;
    return at ? at : "no message";
}

static cl_int compile(oclin_context *ctx, struct oclin_program *p, const char *text, const char *options)
{
    const size_t length = strlen(text);
    cl_int error;
    p->program = clCreateProgramWithSource(ctx->cl, 1, &text, &length, &error);
    if (error) return error;
    error = clBuildProgram(p->program, 1, &ctx->device.info.device, options, NULL, NULL);
    keep_build_log(ctx, p->program);
    return error;
}

static cl_int make_kernel(oclin_context *ctx, struct oclin_program *p, const char *name)
{
    cl_int error;
    p->kernel = clCreateKernel(p->program, name, &error);
    if (error) return error;
    size_t group = 0, required[3] = {0, 0, 0};
    cl_ulong local = 0;
    cl_device_id device = ctx->device.info.device;
    error =
        clGetKernelWorkGroupInfo(p->kernel, device, CL_KERNEL_WORK_GROUP_SIZE, sizeof group, &group, NULL);
    if (!error)
        error =
            clGetKernelWorkGroupInfo(p->kernel, device, CL_KERNEL_LOCAL_MEM_SIZE, sizeof local, &local, NULL);
    if (!error)
        error = clGetKernelWorkGroupInfo(p->kernel, device, CL_KERNEL_COMPILE_WORK_GROUP_SIZE,
                                         sizeof required, required, NULL);
    /* Rusticl (Mesa 22.3) reports its sub-group size as the kernel's limit, and runs the group that was
     * required of the compiler: that it compiled for this size counts as well. */
    const int group_fits = (int64_t)group >= p->tile.group || (int64_t)required[0] == p->tile.group;
    p->fits = group_fits && local <= (cl_ulong)ctx->device.info.local_bytes;
    return error;
}

static oclin_status build(oclin_context *ctx, struct oclin_program *p)
{
    char name[OCLIN_KERNEL_NAME_SIZE], options[OCLIN_OPTIONS_SIZE], *text;
    oclin_status status = oclin_program_source(ctx, p->id, &p->tile, p->activation, name, &text, options);
    if (status == OCLIN_OK) {
        cl_int error = compile(ctx, p, text, options);
        if (!error) error = make_kernel(ctx, p, name);
        if (error) {
            ctx->cl_error = error;
            const char *said = first_error(ctx->build_log);
            const int length = (int)strcspn(said, "\n");
            status = oclin_fail(ctx, OCLIN_E_BUILD, "kernel %s (OpenCL error %d): %.*s", name, (int)error,
                                length < 300 ? length : 300, said);
        }
    }
    free(text);
    if (status == OCLIN_OK)
        oclin_log(ctx, "built %s%s: group %d, vector %d, tile %d x %d x %d, item %d x %d%s%s", name,
                  stage_names[p->tile.stage], p->tile.group, p->tile.vl, p->tile.tile_m, p->tile.tile_n,
                  p->tile.tile_k, p->tile.item_m, p->tile.item_n, p->tile.aligned ? ", aligned" : "",
                  p->fits ? "" : "; does not fit the device");
    return status;
}

/* ------------------------------------------------------------------------------------------------ keeping */

static void program_free(struct oclin_program *p)
{
    if (p->kernel) clReleaseKernel(p->kernel);
    if (p->program) clReleaseProgram(p->program);
    free(p);
}

void oclin_program_free_all(oclin_context *ctx)
{
    while (ctx->programs) {
        struct oclin_program *next = ctx->programs->next;
        program_free(ctx->programs);
        ctx->programs = next;
    }
}

static int same_tile(const struct oclin_tile *a, const struct oclin_tile *b)
{
    return a->family == b->family && a->vl == b->vl && a->group == b->group && a->tile_m == b->tile_m &&
           a->tile_n == b->tile_n && a->tile_k == b->tile_k && a->item_m == b->item_m &&
           a->item_n == b->item_n && a->aligned == b->aligned && a->unroll_k == b->unroll_k &&
           a->peel == b->peel && a->sub_group == b->sub_group && a->stage == b->stage;
}

oclin_status oclin_program_kernel(oclin_context *ctx, enum oclin_kernel_id id, const struct oclin_tile *tile,
                                  oclin_activation activation, cl_kernel *kernel)
{
    struct oclin_program *p;
    for (p = ctx->programs; p; p = p->next)
        if (p->id == id && p->activation == activation && same_tile(&p->tile, tile)) break;
    if (!p) {
        p = calloc(1, sizeof *p);
        if (!p) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a program");
        p->id = id;
        p->tile = *tile;
        p->activation = activation;
        const oclin_status status = build(ctx, p);
        p->failed = status == OCLIN_E_BUILD;
        /* texts of OCLIN_CL_DIR are being worked on: they are read again next time */
        if (status != OCLIN_OK && (!p->failed || ctx->cl_dir)) {
            program_free(p);
            return status;
        }
        p->next = ctx->programs;
        ctx->programs = p;
    }
    *kernel = p->fits ? p->kernel : NULL;
    if (!p->failed) return OCLIN_OK;
    if (ctx->error[0]) return OCLIN_E_BUILD; /* just now */
    return oclin_fail(ctx, OCLIN_E_BUILD, "kernel %s did not build earlier; see the log of that call",
                      kernels[id].kernel);
}
