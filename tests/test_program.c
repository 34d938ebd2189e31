/* Kernel text: replaced file by file, what the compiler says, built once, and with which options. */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "support.h"

#include "oclin_internal.h"

/* ---------------------------------------------------------------------------------- a folder of kernels */

struct folder {
    char path[PATH_BYTES / 2], file[PATH_BYTES / 2 + 20];
};

static struct folder make_folder(void)
{
    struct folder f = {"", ""};
    make_temporary_folder(f.path);
    return f;
}

/* The built-in text of `name` with the first `old` replaced by `new`, as a file in the folder. */
static void put_changed(struct folder *f, const char *name, const char *old, const char *new)
{
    write_changed(f->path, name, built_in(name), old, new);
    snprintf(f->file, sizeof f->file, "%s/%s", f->path, name);
}

static void remove_folder(const struct folder *f)
{
    remove_all(f->path);
}

static oclin_context *make_context_in(const char *folder, const char *plan, int verify)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.cl_dir = folder;
    options.plan = plan;
    options.verify = verify;
    clear_context_log();
    return make_context_with(options);
}

/* ------------------------------------------------------------------------------------------ replacing */

/* A fill that adds 1: one file is replaced, all others are the built-in ones. */
static void test_replaced(void **state)
{
    (void)state;
    struct folder f = make_folder();
    put_changed(&f, "fill.cl", "t[i] = bits", "t[i] = bits + 1");
    oclin_context *ctx = make_context_in(f.path, "plain", 0);
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 2, 3, NULL);
    int32_t got[6];
    assert_ok(ctx, oclin_tensor_fill(t, 41));
    assert_ok(ctx, oclin_tensor_read(t, got));
    for (int i = 0; i < 6; i++) assert_int_equal(got[i], 42);
    assert_non_null(strstr(context_log(), f.file));
    assert_int_equal(times_logged("replaces the built-in"), 1);
    assert_int_equal(times_logged("replaces the built-in fill.cl"), 1);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    remove_folder(&f);
}

/* A shared text is replaced in all kernels that have it: ReLU becomes something else. */
static void test_shared_text_replaced(void **state)
{
    (void)state;
    struct folder f = make_folder();
    put_changed(&f, "activation_relu.cl", "select(z, (real)(0.0f)", "select(z, (real)(7.0f)");
    oclin_context *ctx = make_context_in(f.path, "plain", 0);
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.activation = OCLIN_RELU;
    options.init = OCLIN_INIT_ZERO;
    oclin_layer *l = NULL;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, &options));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_b(l), -1));
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 1, 1, (float[]){1}),
                 *y = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    float got;
    assert_ok(ctx, oclin_layer_infer(l, x, y));
    assert_ok(ctx, oclin_tensor_read(y, &got));
    assert_true(got == 7.0f);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
    remove_folder(&f);
}

static void check_fill(oclin_context *ctx)
{
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    int32_t got;
    assert_ok(ctx, oclin_tensor_fill(t, 41));
    assert_ok(ctx, oclin_tensor_read(t, &got));
    assert_int_equal(got, 41);
    oclin_tensor_destroy(t);
}

static void check_built_in(oclin_context *ctx)
{
    check_fill(ctx);
    assert_int_equal(times_logged("replaces"), 0);
}

/* A folder without such a file, or no folder named: the built-in text, without a word. */
static void test_nothing_there(void **state)
{
    struct folder f = make_folder();
    oclin_context *ctx = make_context_in(*state ? f.path : "", "plain", 0);
    check_built_in(ctx);
    oclin_context_destroy(ctx);
    remove_folder(&f);
}

/* The mark that names the file for the compiler stays a line, and so does a sentence. */
static void test_newline_in_folder(void **state)
{
    (void)state;
    struct folder f = make_folder(), inside = {"", ""};
    snprintf(inside.path, sizeof inside.path, "%.200s/new\nline", f.path);
    assert_int_equal(mkdir(inside.path, 0700), 0);
    put_changed(&inside, "fill.cl", "t[i] = bits", "t[i] = bits + 1");
    oclin_context *ctx = make_context_in(inside.path, "plain", 0);
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    int32_t got;
    assert_ok(ctx, oclin_tensor_fill(t, 41));
    assert_ok(ctx, oclin_tensor_read(t, &got));
    assert_int_equal(got, 42);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    remove(inside.file);
    assert_int_equal(mkdir(inside.file, 0700), 0);
    ctx = make_context_in(inside.path, "plain", 0);
    t = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    assert_refused(ctx, OCLIN_E_BUILD, "/new?line/fill.cl is no regular file", oclin_tensor_fill(t, 41));
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    remove_folder(&inside);
    remove_folder(&f);
}

/* A folder that is named and not there, or no folder: whoever named it waits for other kernels in vain. */
static void test_missing_folder(void **state)
{
    const char *folder = *state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    struct folder f = make_folder();
    struct heard heard = {0};
    char path[400];
    snprintf(path, sizeof path, "%s/%s", f.path, folder);
    put_changed(&f, "fill.cl", "", "");
    options.cl_dir = path;
    options.log = hear;
    options.log_user = &heard;
    for (int variable = 0; variable < 2; variable++) {
        oclin_context *ctx = NULL;
        if (variable) {
            options.cl_dir = NULL;
            setenv("OCLIN_CL_DIR", path, 1);
        }
        heard.last[0] = 0;
        assert_int_equal(oclin_context_create(&ctx, &options), OCLIN_E_ARG);
        assert_null(ctx);
        assert_non_null(strstr(heard.last, path));
        assert_non_null(strstr(heard.last, "is no folder"));
    }
    unsetenv("OCLIN_CL_DIR");
    remove_folder(&f);
}

static void put_folder(const char *path)
{
    assert_int_equal(mkdir(path, 0700), 0);
}

/* Opening it would wait for ever. */
static void put_pipe(const char *path)
{
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void put_link_to_itself(const char *path)
{
    assert_int_equal(symlink(path, path), 0);
}

struct unreadable {
    const char *name;
    void (*put)(const char *path);
    const char *why;
};
static struct unreadable unreadables[] = {
    {"a folder", put_folder, "fill.cl is no regular file"},
    {"a pipe", put_pipe, "fill.cl is no regular file"},
    {"a link to itself", put_link_to_itself, "fill.cl cannot be opened"}};

/* A file that is there but cannot be read is an error, not the built-in text. */
static void test_unreadable_file(void **state)
{
    const struct unreadable *unreadable = *state;
    struct folder f = make_folder();
    snprintf(f.file, sizeof f.file, "%s/fill.cl", f.path);
    unreadable->put(f.file);
    oclin_context *ctx = make_context_in(f.path, "plain", 0);
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    assert_refused(ctx, OCLIN_E_BUILD, unreadable->why, oclin_tensor_fill(t, 41));
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    remove_folder(&f);
}

/* ------------------------------------------------------------------------------------- compiler errors */

/* Whether the compiler's message names this place. */
static int names_line(const char *log, const char *file, int line)
{
    char place[400];
    snprintf(place, sizeof place, "%s:%d:", file, line);
    return strstr(log, place) != NULL;
}

/* The line of `text` on which `part` begins, from 1. */
static int line_of(const char *text, const char *part)
{
    int line = 1;
    for (const char *end = strstr(text, part); text < end; text++) line += *text == '\n';
    return line;
}

static void test_compiler_error(void **state)
{
    (void)state;
    struct folder f = make_folder();
    const char *const old = "if (e.flags & OCLIN_FLAG_BIAS)";
    const int line = line_of(built_in("forward.cl"), old);
    put_changed(&f, "forward.cl", old, "if (e.flags & OCLIN_FLAG_WHAT)");
    oclin_context *ctx = make_context_in(f.path, "plain", 0);
    oclin_layer *l = NULL;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 2, 2, NULL));
    float poison[2], got[2];
    fill_poison(poison, 2);
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 1, 2, poison),
                 *y = make_tensor(ctx, OCLIN_F32, 1, 2, poison);
    const uint64_t version = y->version;
    assert_refused(ctx, OCLIN_E_BUILD, "OCLIN_FLAG_WHAT", oclin_layer_forward(l, x, y));
    assert_non_null(strstr(oclin_context_error(ctx), "forward_plain"));
    assert_int_not_equal(oclin_context_cl_error(ctx), CL_SUCCESS);
    assert_non_null(strstr(oclin_context_build_log(ctx), "OCLIN_FLAG_WHAT"));
    if (!names_line(oclin_context_build_log(ctx), f.file, line))
        fail_msg("no %s:%d in\n%s", f.file, line, oclin_context_build_log(ctx));
    assert_int_equal(times_logged("built "), 0);

    /* nothing changed: y, its counter, and that there was no forward yet */
    assert_true(y->version == version && l->saved->layer == 0);
    assert_ok(ctx, oclin_tensor_read(y, got));
    check_same_bits("y", got, poison, 2);
    assert_refused(ctx, OCLIN_E_STATE, "before forward", oclin_layer_backward(l, y, NULL));

    /* other kernels are built all the same, and the repaired file then is */
    assert_ok(ctx, oclin_tensor_fill(y, 1));
    remove(f.file);
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
    remove_folder(&f);
}

/* A built-in text that does not compile because of a replaced one is named as such. */
static void test_compiler_error_elsewhere(void **state)
{
    (void)state;
    struct folder f = make_folder();
    put_changed(&f, "activation_none.cl", "OCLIN_INLINE real activate(real z)",
                "OCLIN_INLINE real activity(real z)");
    oclin_context *ctx = make_context_in(f.path, "plain", 0);
    oclin_layer *l = NULL;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 1, 1, NULL));
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 1, 1, (float[]){1}),
                 *y = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    assert_refused(ctx, OCLIN_E_BUILD, "activate", oclin_layer_infer(l, x, y));
    const int line = line_of(built_in("forward.cl"), "activate(sum)");
    if (!names_line(oclin_context_build_log(ctx), "forward.cl", line))
        fail_msg("no forward.cl:%d in\n%s", line, oclin_context_build_log(ctx));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
    remove_folder(&f);
}

/* A text whose kernel has another name compiles, and then has no kernel. */
static void test_kernel_is_missing(void **state)
{
    (void)state;
    struct folder f = make_folder();
    put_changed(&f, "fill.cl", "\nfill(", "\nfull(");
    oclin_context *ctx = make_context_in(f.path, "plain", 0);
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    assert_refused(ctx, OCLIN_E_BUILD, "kernel fill", oclin_tensor_fill(t, 41));
    assert_int_equal(oclin_context_cl_error(ctx), CL_INVALID_KERNEL_NAME);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    remove_folder(&f);
}

/* --------------------------------------------------------------------------------------------- verifying */

/* A forward that is wrong goes unnoticed, unless the context verifies. */
static void test_verify_sees_it(void **state)
{
    (void)state;
    struct folder f = make_folder();
    put_changed(&f, "forward.cl", "activate(sum)", "activate(sum + 0.001f)");
    for (int verify = 0; verify < 2; verify++) {
        oclin_context *ctx = make_context_in(f.path, "plain", verify);
        oclin_layer *l = NULL;
        assert_ok(ctx, oclin_layer_create(&l, ctx, 2, 2, NULL));
        oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 1, 2, (float[]){1, 2});
        oclin_tensor *y = make_tensor(ctx, OCLIN_F32, 1, 2, NULL);
        const oclin_status status = oclin_layer_forward(l, x, y);
        if (verify)
            assert_refused(ctx, OCLIN_E_VERIFY, "forward: y[0, 0]", status);
        else
            assert_ok(ctx, status);
        oclin_tensor_destroy(x);
        oclin_tensor_destroy(y);
        oclin_layer_destroy(l);
        oclin_context_destroy(ctx);
    }
    remove_folder(&f);
}

/* ------------------------------------------------------------------------------------ how it is built */

static void train_once(oclin_context *ctx, int64_t batch, int64_t in)
{
    oclin_layer *l = NULL;
    assert_ok(ctx, oclin_layer_create(&l, ctx, in, 3, NULL));
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, batch, in, NULL),
                 *y = make_tensor(ctx, OCLIN_F32, batch, 3, NULL);
    oclin_tensor *dx = make_tensor(ctx, OCLIN_F32, batch, in, NULL);
    assert_ok(ctx, oclin_tensor_fill(x, 1));
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_layer_infer(l, x, y));
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_layer_backward(l, y, dx));
    assert_ok(ctx, oclin_layer_step(l, 0.5f));
    assert_ok(ctx, oclin_loss_mse(y, y, NULL, NULL, NULL)); /* nothing is wanted: nothing is built */
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(dx);
    oclin_layer_destroy(l);
}

/* Each kernel when it is first needed, and never again: not for other layers, batches or sizes. */
static void test_built_once(void **state)
{
    (void)state;
    clear_context_log();
    oclin_context *ctx = make_context("plain");
    assert_int_equal(times_logged("built "), 0);
    train_once(ctx, 4, 5);
    static const char *const kernels[] = {"forward_plain", "grad_x_plain", "grad_w_plain", "update", "fill"};
    for (size_t i = 0; i < COUNT_OF(kernels); i++) {
        char line[64];
        snprintf(line, sizeof line, "built %s:", kernels[i]);
        assert_int_equal(times_logged(line), 1);
    }
    assert_int_equal(times_logged("built "), COUNT_OF(kernels));
    train_once(ctx, 7, 2);
    train_once(ctx, 1, 33);
    assert_int_equal(times_logged("built "), COUNT_OF(kernels));
    oclin_context_destroy(ctx);
}

/* A small batch on a CPU: backward is the one kernel that reads W once, and not the two products that
 * would do as well. test_plan.c knows when. */
static void test_one_pass(void **state)
{
    (void)state;
    oclin_context *ctx = make_context(NULL);
    const struct oclin_shape shape = {4, 5, 3};
    const struct oclin_product grads = oclin_plan_shaped(OCLIN_KERNEL_ONE_PASS, shape);
    const int one = oclin_plan_one_pass(ctx, &grads);
    clear_context_log();
    train_once(ctx, 4, 5);
    assert_int_equal(times_logged("built one_pass_skinny:"), one);
    assert_int_equal(times_logged("built grad_x_"), !one);
    assert_int_equal(times_logged("built grad_w_"), !one);
    oclin_context_destroy(ctx);
}

/* The options that the runtime was given, asked back from it: the language, and nothing that gives up IEEE.
 */
static void check_build_options(oclin_context *ctx, cl_kernel kernel)
{
    cl_program program = NULL;
    cl_device_id device;
    char options[2048] = "";
    assert_non_null(kernel);
    assert_ok(ctx, oclin_context_cl(ctx, NULL, &device, NULL));
    assert_int_equal(clGetKernelInfo(kernel, CL_KERNEL_PROGRAM, sizeof program, &program, NULL), CL_SUCCESS);
    assert_int_equal(
        clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_OPTIONS, sizeof options, options, NULL),
        CL_SUCCESS);
    assert_non_null(strstr(options, "-cl-std=CL1.2"));
    static const char *const forbidden[] = {"fast",
                                            "unsafe",
                                            "finite",
                                            "mad-enable",
                                            "signed-zeros",
                                            "denorms",
                                            "single-precision-constant",
                                            "correctly-rounded"};
    for (size_t i = 0; i < COUNT_OF(forbidden); i++)
        if (strstr(options, forbidden[i])) fail_msg("%s in \"%s\"", forbidden[i], options);
}

static void test_no_fast_math(void **state)
{
    const char *plan_name = *state;
    oclin_context *ctx = make_context(plan_name);
    struct oclin_plan plan;
    struct oclin_elements elements;
    cl_kernel kernel = NULL;
    assert_ok(ctx, oclin_elements_prepare(ctx, &(struct oclin_kernel_request){.id = OCLIN_KERNEL_FILL}, 4, 4,
                                          0, &elements));
    check_build_options(ctx, elements.kernel);
    oclin_plan_rows(ctx, 4, 4, OCLIN_LARGEST_GROUP, &plan);
    const struct oclin_kernel_request loss = {.id = OCLIN_KERNEL_LOSS,
                                              .way = oclin_cross_entropy.name,
                                              .files = {oclin_cross_entropy.files[0]},
                                              .tile = plan.tile};
    assert_ok(ctx, oclin_program_kernel(ctx, &loss, &kernel));
    check_build_options(ctx, kernel);
    const struct oclin_product product = {.id = OCLIN_KERNEL_FORWARD, .m = 4, .n = 4, .k = 4};
    assert_int_equal(oclin_plan_product(ctx, &product, 0, &plan), 1);
    const struct oclin_kernel_request forward = oclin_product_request(&product, &plan);
    assert_ok(ctx, oclin_program_kernel(ctx, &forward, &kernel));
    check_build_options(ctx, kernel);
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------------------------ drivers that differ */

/* What a test has the driver say, besides the truth. */
static struct {
    int failures;        /* so many of the next builds fail */
    int builds;          /* how often one was asked for */
    const char *kernels; /* those with this in their names need more_local bytes of local memory */
    cl_ulong more_local;
    size_t group;    /* the most that a built kernel may run in; 0: the truth */
    int devices, at; /* a program has so many devices, the real one at this place; 0: the truth */
} driver;

cl_int clBuildProgram(cl_program program, cl_uint count, const cl_device_id *devices, const char *options,
                      void(CL_CALLBACK *notify)(cl_program, void *), void *user)
{
    cl_int (*real)(cl_program, cl_uint, const cl_device_id *, const char *,
                   void(CL_CALLBACK *)(cl_program, void *), void *);
    find_real("clBuildProgram", &real);
    driver.builds++;
    if (driver.failures > 0 && driver.failures--) return CL_BUILD_PROGRAM_FAILURE;
    return real(program, count, devices, options, notify, user);
}

cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what,
                                size_t size, void *to, size_t *needed)
{
    cl_int (*real)(cl_kernel, cl_device_id, cl_kernel_work_group_info, size_t, void *, size_t *);
    find_real("clGetKernelWorkGroupInfo", &real);
    const cl_int error = real(kernel, device, what, size, to, needed);
    char name[128] = "";
    if (!error && to && what == CL_KERNEL_WORK_GROUP_SIZE && driver.group)
        memcpy(to, &driver.group, sizeof driver.group);
    if (error || !to || what != CL_KERNEL_LOCAL_MEM_SIZE || !driver.kernels) return error;
    assert_int_equal(clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL), CL_SUCCESS);
    if (strstr(name, driver.kernels)) memcpy(to, &driver.more_local, sizeof driver.more_local);
    return CL_SUCCESS;
}

enum { MOST_DEVICES = 3, OTHER_BYTES = 5 };
static const char other_device[MOST_DEVICES]; /* their addresses are handles of devices that are not there */

/* One device's part of an answer of `each` bytes a device. */
static cl_int put_among(const void *of_real, const void *of_others, size_t each, void *to, size_t *needed)
{
    for (int i = 0; to && i < driver.devices; i++)
        memcpy((char *)to + (size_t)i * each, i == driver.at ? of_real : of_others, each);
    if (needed) *needed = (size_t)driver.devices * each;
    return CL_SUCCESS;
}

cl_int clGetProgramInfo(cl_program program, cl_program_info what, size_t size, void *to, size_t *needed)
{
    cl_int (*real)(cl_program, cl_program_info, size_t, void *, size_t *);
    find_real("clGetProgramInfo", &real);
    const cl_device_id other = (cl_device_id)(uintptr_t)other_device;
    const size_t other_size = OTHER_BYTES;
    cl_device_id device;
    size_t bytes;
    unsigned char *binary[1];
    if (!driver.devices) return real(program, what, size, to, needed);
    switch (what) {
    case CL_PROGRAM_NUM_DEVICES:
        *(cl_uint *)to = (cl_uint)driver.devices;
        return CL_SUCCESS;
    case CL_PROGRAM_DEVICES:
        assert_int_equal(real(program, what, sizeof device, &device, NULL), CL_SUCCESS);
        return put_among(&device, &other, sizeof device, to, needed);
    case CL_PROGRAM_BINARY_SIZES:
        assert_int_equal(real(program, what, sizeof bytes, &bytes, NULL), CL_SUCCESS);
        return put_among(&bytes, &other_size, sizeof bytes, to, needed);
    case CL_PROGRAM_BINARIES:
        for (int i = 0; i < driver.devices; i++) /* NULL: not wanted */
            if (i != driver.at && ((unsigned char **)to)[i])
                memcpy(((unsigned char **)to)[i], "other", OTHER_BYTES);
        binary[0] = ((unsigned char **)to)[driver.at];
        return binary[0] ? real(program, what, sizeof binary, binary, NULL) : CL_SUCCESS;
    default:
        return real(program, what, size, to, needed);
    }
}

/* A build that fails is tried again in the next call: in the third one for the last time, but with a folder
 * of kernel texts, which are being worked on, as often as it is asked for. */
static void test_third_build(void **state)
{
    const int with_folder = *(const int *)*state;
    struct folder f = make_folder();
    for (int failures = 0; failures <= 5; failures++) {
        oclin_context *ctx = make_context_in(with_folder ? f.path : NULL, "plain", 0);
        oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
        driver.failures = failures;
        driver.builds = 0;
        for (int i = 0; i < failures; i++) {
            const int tried = i < 3 || with_folder;
            assert_refused(ctx, OCLIN_E_BUILD, tried ? "clBuildProgram" : "did not build earlier",
                           oclin_tensor_fill(t, 41));
            assert_int_equal(driver.builds, tried ? i + 1 : 3);
        }
        driver.failures = 0;
        if (failures < 3 || with_folder)
            check_fill(ctx);
        else
            assert_refused(ctx, OCLIN_E_BUILD, "did not build earlier", oclin_tensor_fill(t, 41));
        oclin_tensor_destroy(t);
        oclin_context_destroy(ctx);
    }
    remove_folder(&f);
}

/* The largest kernels turn out to need more local memory than the device has, which no calculation has
 * foreseen: others do their work, and where a plan was asked for by name it is refused. Just as much as there
 * is does. */
static void test_local_memory(void **state)
{
    static const struct {
        const char *plan, *kernels;
    } rows[] = {{NULL, "skinny"}, {NULL, "sim"}, {"simd", "simd"}, {"simt-16", "simt"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int more = 0; more < 2; more++) {
            oclin_context *ctx = make_context_in(NULL, rows[i].plan, 1);
            oclin_layer *l;
            assert_ok(ctx, oclin_layer_create(&l, ctx, 40, 24, NULL));
            oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 70, 40, NULL),
                         *y = make_tensor(ctx, OCLIN_F32, 70, 24, NULL);
            assert_ok(ctx, oclin_tensor_fill(x, 1.0)); /* element kernels say what they need */
            const int rusticl = strcmp(ctx->device.info.platform_name, "rusticl") == 0;
            driver.kernels = rows[i].kernels;
            driver.more_local = (cl_ulong)(ctx->device.info.local_bytes + more) * (rusticl ? 2 : 1);
            if (rusticl && more) driver.more_local++;
            const oclin_status status = oclin_layer_forward(l, x, y);
            if (more && rows[i].plan)
                assert_refused(ctx, OCLIN_E_DEVICE, "no kernel of plan", status);
            else {
                assert_ok(ctx, status); /* and verified */
                assert_ok(ctx, oclin_layer_backward(l, y, NULL));
            }
            if (rows[i].plan || strcmp(rows[i].kernels, "sim") == 0)
                assert_int_equal(times_logged("does not fit the device") > 0, more);
            memset(&driver, 0, sizeof driver);
            oclin_layer_destroy(l);
            oclin_tensor_destroy(x);
            oclin_tensor_destroy(y);
            oclin_context_destroy(ctx);
        }
}

/* A driver that gives a small limit for each kernel, and ran its compiler for the larger group that the text
 * requires: that it was compiled for it counts. */
static void test_required_group(void **state)
{
    (void)state;
    needs_plan("simt-32"); /* groups of 64, as those of plain */
    oclin_context *ctx = make_context_in(NULL, "plain", 0);
    driver.group = 4;
    train_once(ctx, 4, 5);
    assert_int_equal(times_logged("does not fit the device"), 0);
    assert_true(times_logged(": group 64,") > 0);
    memset(&driver, 0, sizeof driver);
    oclin_context_destroy(ctx);
}

/* A file stands where the folder of kernel texts should be: that is said, and not taken for a folder without
 * files. */
static void test_file_for_folder(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char aside[sizeof f.path + 8];
    snprintf(aside, sizeof aside, "%s.aside", f.path);
    put_changed(&f, "fill.cl", "t[i] = bits", "t[i] = bits + 1");
    oclin_context *ctx = make_context_in(f.path, "plain", 0);
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 1, 1, NULL);
    assert_int_equal(rename(f.path, aside), 0); /* after the context was made, which looked for the folder */
    FILE *file = fopen(f.path, "w");
    assert_non_null(file);
    fclose(file);
    assert_refused(ctx, OCLIN_E_BUILD, f.path, oclin_tensor_fill(t, 41));
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    assert_int_equal(remove(f.path), 0);
    assert_int_equal(rename(aside, f.path), 0);
    remove_folder(&f);
}

/* Of a program for several devices the binary for the context's device is the one that is stored. */
static void test_binary_of_device(void **state)
{
    (void)state;
    for (driver.devices = 1; driver.devices <= MOST_DEVICES; driver.devices++)
        for (driver.at = 0; driver.at < driver.devices; driver.at++) {
            struct folder f = make_folder();
            setenv("OCLIN_CACHE_DIR", f.path, 1);
            for (int loaded = 0; loaded < 2; loaded++) {
                oclin_context *ctx = make_context_in(NULL, "plain", 0);
                check_fill(ctx);
                oclin_context_destroy(ctx);
                if (times_logged("loaded fill") != loaded)
                    fail_msg("device %d of %d, context %d:\n%s", driver.at, driver.devices, loaded,
                             context_log());
            }
            setenv("OCLIN_CACHE_DIR", "", 1);
            remove_folder(&f);
        }
    memset(&driver, 0, sizeof driver);
}

static void add_drivers(struct test_list *list)
{
    static const int with_folder[] = {0, 1};
    add_test(list, test_file_for_folder, NULL, "replace/a file for the folder");
    add_test(list, test_third_build, (void *)(uintptr_t)&with_folder[0],
             "driver/builds at the third attempt");
    add_test(list, test_third_build, (void *)(uintptr_t)&with_folder[1], "driver/builds in a folder, always");
    add_test(list, test_local_memory, NULL, "driver/more local memory than foreseen");
    add_test(list, test_required_group, NULL, "driver/a smaller limit than what was required");
    add_test(list, test_binary_of_device, NULL, "driver/binaries of several devices");
}

int main(int argc, char **argv)
{
    static const char *const ours[] = {"OCLIN_PLAN", "OCLIN_VERIFY", "OCLIN_CL_DIR"};
    static char missing[] = "no/such/folder", file[] = "fill.cl", plain[] = "plain", simd[] = "simd",
                simt[] = "simt-16";
    for (size_t i = 0; i < COUNT_OF(ours); i++) unsetenv(ours[i]);
    struct test_list list = {0};
    add_test(&list, test_replaced, NULL, "replace/one file");
    add_test(&list, test_shared_text_replaced, NULL, "replace/a shared file");
    add_test(&list, test_nothing_there, missing, "replace/empty folder");
    add_test(&list, test_nothing_there, NULL, "replace/empty name");
    add_test(&list, test_missing_folder, missing, "replace/missing folder");
    add_test(&list, test_missing_folder, file, "replace/a file for a folder");
    for (size_t i = 0; i < COUNT_OF(unreadables); i++)
        add_test(&list, test_unreadable_file, &unreadables[i], "replace/unreadable file, %s",
                 unreadables[i].name);
    add_test(&list, test_newline_in_folder, NULL, "replace/a newline in the folder's name");
    add_test(&list, test_compiler_error, NULL, "error/file and line");
    add_test(&list, test_compiler_error_elsewhere, NULL, "error/in a built-in file");
    add_test(&list, test_kernel_is_missing, NULL, "error/no such kernel");
    add_test(&list, test_verify_sees_it, NULL, "verify/a wrong kernel");
    add_test(&list, test_built_once, NULL, "build/once");
    add_test(&list, test_one_pass, NULL, "build/one pass");
    add_test(&list, test_no_fast_math, plain, "build/no fast math, plain");
    add_test(&list, test_no_fast_math, simd, "build/no fast math, simd");
    add_test(&list, test_no_fast_math, simt, "build/no fast math, simt-16");
    add_drivers(&list);
    return run_list("program", &list, argc, argv);
}
