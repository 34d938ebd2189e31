/* Turns kernel text into a cl_kernel. The text is joined from files, built when it is first needed, and
 * kept for the life of the context and on the disk. */
#include "core/program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cache.h"
#include "core/error.h"
#include "core/os.h"

/* One built kernel and what it was built from. */
struct oclin_program {
    struct oclin_kernel_request request;
    char name[OCLIN_KERNEL_NAME_SIZE];
    cl_program program;
    cl_kernel kernel;
    int failures; /* number of builds that failed */
    int fits;     /* the built kernel can run with its work-group and local memory on this device */
    int ran;
    char *key; /* the key under which the binary is still to be stored */
    struct oclin_program *next;
};

/* Lists the texts of each kernel: %a stands for the name of its activation, %r for that of its rule. */
enum { FILES = 10 };
#define BASE "oclin_tile.h", "common.cl", "element_f32.cl"
#define PRODUCT "activation_%a.cl", "epilogue.cl"
#define UPDATE "updates.cl", "rule_%r.cl", "gradient.cl"
#define ROWS BASE, "rows.cl"
static const struct {
    const char *kernel, *files[FILES + 1];
} kernels[] = {
    [OCLIN_KERNEL_FORWARD] = {"forward", {BASE, PRODUCT, "forward.cl"}},
    [OCLIN_KERNEL_GRAD_X] = {"grad_x", {BASE, PRODUCT, "grad_x.cl"}},
    [OCLIN_KERNEL_GRAD_W] = {"grad_w", {BASE, UPDATE, PRODUCT, "grad_w.cl"}},
    [OCLIN_KERNEL_ONE_PASS] = {"one_pass", {BASE, UPDATE, PRODUCT}},
    [OCLIN_KERNEL_STEP] = {"update", {BASE, UPDATE, "update.cl"}},
    [OCLIN_KERNEL_NUMBERS] = {"numbers", {BASE, UPDATE, "numbers.cl"}},
    [OCLIN_KERNEL_FILL] = {"fill", {"oclin_tile.h", "fill.cl"}},
    [OCLIN_KERNEL_ADD] = {"add", {BASE, "arrays.cl"}},
    [OCLIN_KERNEL_COPY] = {"copy", {BASE, "arrays.cl"}},
    [OCLIN_KERNEL_GATHER_ROWS] = {"gather_rows", {BASE, "arrays.cl"}},
    [OCLIN_KERNEL_LOSS] = {"loss", {ROWS, "loss_common.cl"}},
    [OCLIN_KERNEL_LOSS_TOTAL] = {"loss_total", {ROWS, "loss_common.cl", "loss_total.cl"}},
    [OCLIN_KERNEL_LOSS_SUM] = {"loss_sum", {ROWS, "loss_common.cl", "loss_sum.cl"}},
    [OCLIN_KERNEL_SOFTMAX] = {"softmax", {ROWS, "softmax.cl"}},
    [OCLIN_KERNEL_ARGMAX] = {"argmax", {ROWS, "argmax.cl"}},
    [OCLIN_KERNEL_GRAD_Z] = {"store_grad_z", {ROWS, "activation_%a.cl", "grad_z.cl"}},
    [OCLIN_KERNEL_NORM_PARTS] = {"norm_parts", {ROWS, "norm_parts.cl"}},
    [OCLIN_KERNEL_NORM_SUM] = {"norm_sum", {ROWS, "loss_common.cl", "norm_sum.cl"}},
    [OCLIN_KERNEL_CLIP_FACTOR] = {"clip_factor", {ROWS, "clip_factor.cl"}},
    [OCLIN_KERNEL_CHECK_FINITE] = {"check_finite", {ROWS, "activation_%a.cl", "check_finite.cl"}},
};

static const char *const stage_names[] = {
    [OCLIN_STAGE_WHOLE] = "",         [OCLIN_STAGE_PACK] = " (packing)", [OCLIN_STAGE_PACKED] = " (packed)",
    [OCLIN_STAGE_MIXED] = " (mixed)", [OCLIN_STAGE_PARTS] = " (parts)",  [OCLIN_STAGE_SUMS] = " (sums)"};

/* ------------------------------------------------------------------------------------------------- text */

/* A text that grows. */
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

/* Adds a #line mark, so that the compiler's messages name the file that the reader knows. */
static oclin_status append_line_mark(oclin_context *ctx, struct text *t, const char *path)
{
    OCLIN_TRY(append(ctx, t, "#line 1 \"", 9));
    for (; *path; path++) {
        if (*path == '\\' || *path == '"') OCLIN_TRY(append(ctx, t, "\\", 1));
        OCLIN_TRY(
            append(ctx, t, (unsigned char)*path < ' ' ? "?" : path, 1)); /* a newline would end the mark */
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

/* Appends the replacement of a file from OCLIN_CL_DIR if there is one; *found tells whether there is. */
static oclin_status append_override(oclin_context *ctx, struct text *t, const char *name, int *found)
{
    *found = 0;
    if (!ctx->cl_dir || strcmp(name, "oclin_tile.h") == 0)
        return OCLIN_OK; /* the host uses its own copy of oclin_tile.h */
    const size_t size = strlen(ctx->cl_dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (!path) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for %zu bytes", size);
    snprintf(path, size, "%s/%s", ctx->cl_dir, name);
    const char *why;
    FILE *file = oclin_os_open(path, 0, &why);
    oclin_status status = OCLIN_OK;
    if (why) status = oclin_fail(ctx, OCLIN_E_BUILD, "%s %s (error %d)", path, why, errno);
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

/* Appends the file of that name, in which %a and %r stand for a fragment. */
static oclin_status append_named(oclin_context *ctx, struct text *t, const struct oclin_kernel_request *r,
                                 const char *pattern)
{
    char name[64];
    const char *at = strchr(pattern, '%');
    if (!at) return append_file(ctx, t, pattern);
    snprintf(name, sizeof name, "%.*s%s%s", (int)(at - pattern), pattern,
             at[1] == 'a' ? r->activation : r->rule, at + 2);
    return append_file(ctx, t, name);
}

static oclin_status join(oclin_context *ctx, const struct oclin_kernel_request *r, struct text *t)
{
    for (int i = 0; kernels[r->id].files[i]; i++) OCLIN_TRY(append_named(ctx, t, r, kernels[r->id].files[i]));
    for (int i = 0; i < 2 && r->files[i]; i++) OCLIN_TRY(append_file(ctx, t, r->files[i]));
    return OCLIN_OK;
}

oclin_status oclin_program_source(oclin_context *ctx, const struct oclin_kernel_request *r,
                                  char name[OCLIN_KERNEL_NAME_SIZE], char **text,
                                  char options[OCLIN_OPTIONS_SIZE])
{
    const struct oclin_tile *t = &r->tile;
    snprintf(name, OCLIN_KERNEL_NAME_SIZE, r->way ? "%s_%s" : "%s", kernels[r->id].kernel, r->way);
    /* No fast-math flags are set, because the handling of NaN and Inf and the order of sums are promised. */
#define FORMAT(field, option) " -DOCLIN_" #option "=%d"
#define VALUE(field, option) , t->field
    snprintf(options, OCLIN_OPTIONS_SIZE,
             "-cl-std=CL1.2" OCLIN_TILE_FIELDS(
                 FORMAT) " -DOCLIN_ON_DEVICE=%d -DOCLIN_ALPHA=%af" OCLIN_TILE_FIELDS(VALUE),
             r->on_device, (double)r->alpha);
    struct text joined = {NULL, 0};
    const oclin_status status = join(ctx, r, &joined);
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

/* Returns the first line of the log that speaks of an error; it becomes part of the sentence. */
static const char *first_error(const char *log)
{
    const char *at = log ? strstr(log, "error") : NULL;
    while (at && at > log && at[-1] != '\n') at--;
    return at ? at : "no message";
}

/* Sets *call to the OpenCL call that returned the error. */
static cl_int compile(oclin_context *ctx, struct oclin_program *p, const char *text, const char *options,
                      const char **call)
{
    const size_t length = strlen(text);
    cl_int error;
    *call = "clCreateProgramWithSource";
    p->program = clCreateProgramWithSource(ctx->cl, 1, &text, &length, &error);
    if (error) return error;
    *call = "clBuildProgram";
    error = clBuildProgram(p->program, 1, &ctx->device.info.device, options, NULL, NULL);
    keep_build_log(ctx, p->program);
    return error;
}

static cl_int make_kernel(oclin_context *ctx, struct oclin_program *p, const char **call)
{
    cl_int error;
    *call = "clCreateKernel";
    p->kernel = clCreateKernel(p->program, p->name, &error);
    if (error) return error;
    *call = "clGetKernelWorkGroupInfo";
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
    /* Rusticl (Mesa 22.3) reports its sub-group size as the kernel's limit, yet it runs the group that was
     * required of the compiler. So it also counts as fitting if the kernel was compiled for this size.
     * Besides, Rusticl reports twice the local memory that the kernel declares; oclin has counted that
     * itself (plan.c). */
    if (strcmp(ctx->device.info.platform_name, "rusticl") == 0) local /= 2;
    const int group_fits =
        (int64_t)group >= p->request.tile.group || (int64_t)required[0] == p->request.tile.group;
    p->fits = group_fits && local <= (cl_ulong)ctx->device.info.local_bytes;
    return error;
}

/* ------------------------------------------------------------------------------------------ on the disk */

static void release(struct oclin_program *p)
{
    if (p->kernel) clReleaseKernel(p->kernel);
    if (p->program) clReleaseProgram(p->program);
    p->kernel = NULL;
    p->program = NULL;
}

/* Writes down all that a binary depends on. Returns the length of the key, as snprintf() does. */
static int write_key(char *to, size_t size, const struct oclin_device_facts *d, const char *name,
                     const char *options, const char *text)
{
    return snprintf(to, size,
                    "oclin: %d\npointer: %zu\nplatform: %s, %s\ndevice: %s, %s, %s\ndriver: %s\nkernel: "
                    "%s\noptions: %s\n%s",
                    oclin_version(), sizeof(void *), d->info.platform_name, d->platform_version, d->info.name,
                    d->info.vendor, d->info.version, d->info.driver, name, options, text);
}

/* Returns NULL if nothing is cached. */
static char *key_of(const oclin_context *ctx, const char *name, const char *options, const char *text)
{
    if (!ctx->cache_dir) return NULL;
    const int length = write_key(NULL, 0, &ctx->device, name, options, text);
    char *key = length > 0 ? malloc((size_t)length + 1) : NULL;
    if (key) write_key(key, (size_t)length + 1, &ctx->device, name, options, text);
    return key;
}

static cl_int take_binary(oclin_context *ctx, struct oclin_program *p, const char *options,
                          const unsigned char *binary, size_t size)
{
    cl_int of_binary = CL_SUCCESS, error;
    const char *call;
    p->program =
        clCreateProgramWithBinary(ctx->cl, 1, &ctx->device.info.device, &size, &binary, &of_binary, &error);
    if (error) return error;
    if (of_binary) return of_binary;
    error = clBuildProgram(p->program, 1, &ctx->device.info.device, options, NULL, NULL);
    return error ? error : make_kernel(ctx, p, &call);
}

/* Returns 1 if the kernel could be loaded from the disk. */
static int load(oclin_context *ctx, struct oclin_program *p, const char *options, const char *key)
{
    size_t size;
    unsigned char *binary = key ? oclin_cache_load(ctx, p->name, key, strlen(key), &size) : NULL;
    if (!binary) return 0;
    const cl_int error = take_binary(ctx, p, options, binary, size);
    free(binary);
    if (!error) return 1;
    oclin_log(ctx, "cache: the driver refuses its binary of %s (OpenCL error %d)", p->name, (int)error);
    release(p);
    return 0;
}

/* Returns the binary for the context's device, which is one of the devices that a caller's cl_context may
 * have. */
static unsigned char *binary_of(const oclin_context *ctx, cl_program program, size_t *size)
{
    cl_uint count = 0;
    unsigned char *binary = NULL;
    if (clGetProgramInfo(program, CL_PROGRAM_NUM_DEVICES, sizeof count, &count, NULL) || count == 0)
        return NULL;
    cl_device_id *devices = calloc(count, sizeof *devices);
    size_t *sizes = calloc(count, sizeof *sizes);
    unsigned char **binaries = calloc(count, sizeof *binaries); /* NULL: this binary is not wanted */
    if (devices && sizes && binaries &&
        !clGetProgramInfo(program, CL_PROGRAM_DEVICES, count * sizeof *devices, devices, NULL) &&
        !clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, count * sizeof *sizes, sizes, NULL)) {
        cl_uint i = 0;
        while (i < count && devices[i] != ctx->device.info.device) i++;
        if (i < count && sizes[i] > 0) binaries[i] = binary = malloc(sizes[i]);
        if (binary) *size = sizes[i];
    }
    if (binary && clGetProgramInfo(program, CL_PROGRAM_BINARIES, count * sizeof *binaries, binaries, NULL)) {
        free(binary);
        binary = NULL;
    }
    free(devices);
    free(sizes);
    free(binaries);
    return binary;
}

static void store(oclin_context *ctx, const struct oclin_program *p)
{
    size_t size = 0;
    unsigned char *binary = binary_of(ctx, p->program, &size);
    if (!binary)
        oclin_log(ctx, "cache: the driver gives no binary of %s", p->name);
    else
        oclin_cache_store(ctx, p->name, p->key, strlen(p->key), binary, size);
    free(binary);
}

static void forget_key(oclin_context *ctx, struct oclin_program *p)
{
    if (p->key) ctx->unstored--;
    free(p->key);
    p->key = NULL;
}

void oclin_program_ran(oclin_context *ctx, cl_kernel kernel)
{
    if (ctx->unstored == 0) return;
    for (struct oclin_program *p = ctx->programs; p; p = p->next)
        if (p->kernel == kernel) p->ran = 1;
}

/* Binaries are stored after the first run, not after building. PoCL makes the machine code for a
 * work-group when it is first launched, so a binary from before that would have to be compiled again in
 * each process (half a second per kernel). */
void oclin_program_store_all(oclin_context *ctx)
{
    for (struct oclin_program *p = ctx->programs; p && ctx->unstored > 0; p = p->next)
        if (p->key && p->ran) {
            if (oclin_cache_ready(ctx)) store(ctx, p);
            forget_key(ctx, p);
        }
}

/* ------------------------------------------------------------------------------------------- both ways */

static oclin_status build_from(oclin_context *ctx, struct oclin_program *p, const char *text,
                               const char *options)
{
    const char *call;
    cl_int error = compile(ctx, p, text, options, &call);
    if (!error) error = make_kernel(ctx, p, &call);
    if (!error) return OCLIN_OK;
    release(p);
    if (oclin_error_says_all(error)) return oclin_fail_cl(ctx, error, call);
    ctx->cl_error = error;
    const char *said = first_error(strcmp(call, "clBuildProgram") == 0 ? ctx->build_log : NULL);
    const int length = (int)strcspn(said, "\n");
    return oclin_fail(ctx, OCLIN_E_BUILD, "kernel %s, %s (OpenCL error %d): %.*s", p->name, call, (int)error,
                      length < 300 ? length : 300, said);
}

static void log_made(const oclin_context *ctx, const struct oclin_program *p, int loaded)
{
    const struct oclin_tile *t = &p->request.tile;
    oclin_log(ctx, "%s %s%s%s%s: group %d, vector %d, tile %d x %d x %d, item %d x %d%s%s",
              loaded ? "loaded" : "built", p->name, stage_names[t->stage], loaded ? " from " : "",
              loaded ? ctx->cache_dir : "", t->group, t->vl, t->tile_m, t->tile_n, t->tile_k, t->item_m,
              t->item_n, t->aligned ? ", aligned" : "", p->fits ? "" : "; does not fit the device");
}

/* Some drivers know a kernel by its text and options alone, whatever context it belongs to. For them,
 * contexts that live at the same time get different options (device.c says what goes wrong otherwise). The
 * first context has the same options as with all other drivers. */
static void set_apart(const oclin_context *ctx, char options[OCLIN_OPTIONS_SIZE])
{
    const size_t length = strlen(options);
    if (ctx->number > 0)
        snprintf(options + length, OCLIN_OPTIONS_SIZE - length, " -DOCLIN_CONTEXT=%d", ctx->number);
}

static oclin_status build(oclin_context *ctx, struct oclin_program *p)
{
    char options[OCLIN_OPTIONS_SIZE], *text;
    OCLIN_TRY(oclin_program_source(ctx, &p->request, p->name, &text, options));
    set_apart(ctx, options);
    char *key = key_of(ctx, p->name, options, text);
    const int loaded = load(ctx, p, options, key);
    const oclin_status status = loaded ? OCLIN_OK : build_from(ctx, p, text, options);
    free(text);
    if (status == OCLIN_OK) log_made(ctx, p, loaded);
    if (status == OCLIN_OK && !loaded && key && !ctx->cache_read_only) {
        p->key = key;
        /* A kernel that does not fit is never launched, but storing it saves finding that out again. */
        p->ran = !p->fits;
        ctx->unstored++;
    } else
        free(key);
    return status;
}

/* ------------------------------------------------------------------------------------------------ keeping */

static void program_free(oclin_context *ctx, struct oclin_program *p)
{
    forget_key(ctx, p);
    release(p);
    free(p);
}

void oclin_program_free_all(oclin_context *ctx)
{
    while (ctx->programs) {
        struct oclin_program *next = ctx->programs->next;
        program_free(ctx, ctx->programs);
        ctx->programs = next;
    }
}

int oclin_same_tile(const struct oclin_tile *a, const struct oclin_tile *b)
{
#define SAME(field, option) &&a->field == b->field
    return a->family == b->family OCLIN_TILE_FIELDS(SAME);
}

/* The texts of rows are compared by address, because each stands in one place only. */
static int same_request(const struct oclin_kernel_request *a, const struct oclin_kernel_request *b)
{
    return a->id == b->id && a->way == b->way && a->files[0] == b->files[0] && a->files[1] == b->files[1] &&
           a->activation == b->activation && a->rule == b->rule && a->on_device == b->on_device &&
           a->alpha == b->alpha && oclin_same_tile(&a->tile, &b->tile);
}

static struct oclin_program *find(const oclin_context *ctx, const struct oclin_kernel_request *request)
{
    struct oclin_program *p = ctx->programs;
    while (p && !same_request(&p->request, request)) p = p->next;
    return p;
}

static struct oclin_program *add(oclin_context *ctx, const struct oclin_kernel_request *request)
{
    struct oclin_program *p = calloc(1, sizeof *p);
    if (!p) return NULL;
    p->request = *request;
    p->next = ctx->programs;
    ctx->programs = p;
    return p;
}

/* A driver may fail for a reason that passes. But a text that it refuses this often is not tried again,
 * unless OCLIN_CL_DIR is set, because then somebody is working on the kernels. */
enum { MOST_FAILURES = 3 };

oclin_status oclin_program_kernel(oclin_context *ctx, const struct oclin_kernel_request *request,
                                  cl_kernel *kernel)
{
    struct oclin_program *p = find(ctx, request);
    *kernel = NULL;
    if (!p) p = add(ctx, request);
    if (!p) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a program");
    if (p->failures == MOST_FAILURES)
        return oclin_fail(ctx, OCLIN_E_BUILD, "kernel %s did not build earlier; see the log of that call",
                          kernels[request->id].kernel);
    if (!p->kernel) {
        const oclin_status status = build(ctx, p);
        p->failures += status == OCLIN_E_BUILD && !ctx->cl_dir;
        OCLIN_TRY(status);
    }
    if (p->fits) *kernel = p->kernel;
    return OCLIN_OK;
}
