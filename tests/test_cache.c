/*
 * Kernels on the disk: the second context loads what the first one built, from the folder that the caller,
 * the environment or the system names, as long as nothing of the key has changed; whatever the driver makes
 * of a file, the kernel is built from its text and nobody sees an error. The files themselves:
 * test_cache_files.c.
 *
 * Calls of OpenCL fail on purpose: faults.h.
 */
#define _GNU_SOURCE /* memmem */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cached_kernel.h"
#include "faults.h"
#include "oclin_internal.h"

/* ------------------------------------------------------------------------------------------ as intended */

/* The same kernels, the same bits, and nothing is built. */
static void test_second_loads(void **state)
{
    const char *plan = *state;
    struct folder f = make_folder();
    float y[2][3 * 7];
    for (int round = 0; round < 2; round++) {
        clear_context_log();
        oclin_context *ctx = make_context(plan);
        forward(ctx, y[round]);
        fill(ctx);
        assert_int_equal(ctx->unstored, 0);
        oclin_context_destroy(ctx);
        check_times_logged("built ", round == 0 ? 2 : 0);
        check_times_logged("cache: stored ", round == 0 ? 2 : 0);
        check_times_logged("loaded ", round == 0 ? 0 : 2);
    }
    check_same_bits("y", y[1], y[0], 3 * 7);
    char names[FILES][256];
    assert_int_equal(files_in(f.cache, names), 2);
    for (int i = 0; i < 2; i++) assert_string_equal(strrchr(names[i], '.'), ".bin");
    free_folder(&f);
}

static int mode_of(const char *path)
{
    struct stat facts;
    if (stat(path, &facts) != 0) fail_msg("no %s", path);
    return (int)(facts.st_mode & 07777);
}

/* Folders and files are nobody else's, whatever the user's mask lets through. */
static void test_own_alone(void **state)
{
    (void)state;
    static const mode_t masks[] = {0, 002, 022, 077};
    for (size_t i = 0; i < COUNT_OF(masks); i++) {
        struct folder f = make_folder();
        char path[PATH_BYTES];
        const mode_t mask = umask(masks[i]);
        fill_anew(FROM_TEXT);
        umask(mask);
        assert_int_equal(mode_of(f.cache), 0700);
        find_file(&f, "fill-", path);
        assert_int_equal(mode_of(path), 0600);
        fill_anew(FROM_DISK);
        free_folder(&f);
    }
}

/* A kernel that was built and did not run yet is stored when it has run. */
static void test_stored_after_run(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char names[FILES][256];
    oclin_context *ctx = make_context("plain");
    struct oclin_elements fill_of_6;
    assert_ok(ctx, oclin_elements_prepare(ctx, &(struct oclin_kernel_request){.id = OCLIN_KERNEL_FILL}, 2, 3,
                                          0, &fill_of_6));
    assert_ok(ctx, oclin_context_finish(ctx));
    assert_int_equal(files_in(f.cache, names), 0);
    fill(ctx);
    assert_int_equal(files_in(f.cache, names), 1);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Kernel texts of the caller's are cached as well, and a change is noticed. */
static void test_text_is_key(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char file[PATH_BYTES];
    snprintf(file, sizeof file, "%s/fill.cl", f.path);
    const char *text = built_in("fill.cl");
    setenv("OCLIN_CL_DIR", f.path, 1);
    fill_anew(FROM_TEXT);
    for (int i = 0; i < 2; i++) {
        FILE *out = fopen(file, "wb");
        assert_non_null(out);
        fprintf(out, "%s/* %d */\n", text, i);
        fclose(out);
        fill_anew(FROM_TEXT);
        fill_anew(FROM_DISK);
    }
    unsetenv("OCLIN_CL_DIR");
    fill_anew(FROM_DISK);
    free_folder(&f);
}

/* Each fact about the device counts: with another one the file is not found, with the old one it is. */
static void test_facts_are_key(void **state)
{
    (void)state;
    struct folder f = make_folder();
    fill_anew(FROM_TEXT);
    for (int i = 0; i < 6; i++) {
        for (int other = 1; other >= 0; other--) {
            clear_context_log();
            oclin_context *ctx = make_context("plain");
            struct oclin_device_facts *d = &ctx->device;
            char *const facts[] = {d->info.name,          d->info.vendor,      d->info.version,
                                   d->info.platform_name, d->platform_version, d->info.driver};
            assert_int_equal(COUNT_OF(facts), 6);
            assert_true(strlen(facts[i]) > 0);
            facts[i][strlen(facts[i]) - 1] ^= other;
            fill(ctx);
            oclin_context_destroy(ctx);
            if (times_logged("loaded ") != !other) fail_msg("fact %d, changed %d", i, other);
        }
    }
    /* what cannot be changed here is looked for in the file; a change of the tile changes the options */
    char path[PATH_BYTES], part[64];
    remove_all(f.cache);
    fill_anew(FROM_TEXT);
    find_file(&f, "fill-", path);
    struct bytes b = read_file(path);
    snprintf(part, sizeof part, "oclin: %d\npointer: %zu\n", OCLIN_VERSION, sizeof(void *));
    assert_non_null(memmem(b.at, b.size, part, strlen(part)));
    assert_non_null(memmem(b.at, b.size, "-DOCLIN_GROUP=", 14));
    free(b.at);
    free_folder(&f);
}

/* ---------------------------------------------------------------------------------------- where, and off */

static void check_folder(const struct oclin_context_options *options, const char *expected)
{
    oclin_context *ctx = make_context_with(*options);
    if (expected)
        assert_string_equal(ctx->cache_dir ? ctx->cache_dir : "(off)", expected);
    else
        assert_null(ctx->cache_dir);
    oclin_context_destroy(ctx);
}

/* NULL: not set. */
static void set_variable(const char *name, const char *value)
{
    if (value)
        setenv(name, value, 1);
    else
        unsetenv(name);
}

/* The variable stands above the option, an empty one turns the cache off; without both it is the user's
 * folder, if an absolute path names that. */
static void test_which_folder(void **state)
{
    static const struct {
        const char *variable, *option;
        int ignored; /* the environment is */
        const char *xdg, *home, *expected;
    } rows[] = {
        {.variable = "/of/variable", .expected = "/of/variable"},
        {.variable = "/of/variable", .option = "/of/option", .expected = "/of/variable"},
        {.variable = "/of/variable", .option = "/of/option", .ignored = 1, .expected = "/of/option"},
        {.variable = "/of/variable", .option = "", .ignored = 1, .expected = NULL},
        {.variable = "", .option = "/of/option", .expected = NULL},
        {.option = "/of/option", .expected = "/of/option"},
#ifndef __APPLE__
        {.home = "relative", .expected = NULL},
        {.home = ".", .xdg = "", .expected = NULL},
        {.home = "/home", .xdg = "/xdg", .expected = "/xdg/oclin"},
        {.home = "/home", .xdg = "relative", .expected = "/home/.cache/oclin"},
        {.home = "/home", .expected = "/home/.cache/oclin"},
        {.home = "", .expected = NULL},
        {.expected = NULL},
#endif
    };
    (void)state;
    char *const home = getenv("HOME"), *const xdg = getenv("XDG_CACHE_HOME");
    char *const home_was = home ? strdup(home) : NULL, *const xdg_was = xdg ? strdup(xdg) : NULL;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
        options.cache_dir = rows[i].option;
        options.ignore_environment = rows[i].ignored;
        set_variable("OCLIN_CACHE_DIR", rows[i].variable);
        set_variable("HOME", rows[i].home);
        set_variable("XDG_CACHE_HOME", rows[i].xdg);
        check_folder(&options, rows[i].expected);
    }
    set_variable("HOME", home_was);
    set_variable("XDG_CACHE_HOME", xdg_was);
    setenv("OCLIN_CACHE_DIR", "", 1);
    free(home_was);
    free(xdg_was);
}

/* No cache: nothing is read, nothing is written, anywhere. */
static void test_off(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char names[FILES][256];
    setenv("OCLIN_CACHE_DIR", "", 1);
    assert_int_equal(chdir(f.path), 0); /* an empty name must not be the current folder */
    fill_anew(FROM_TEXT);
    fill_anew(FROM_TEXT);
    check_times_logged("cache: ", 0);
    assert_int_equal(files_in(f.path, names), 0);
    assert_int_equal(chdir("/"), 0);
    free_folder(&f);
}

/* A file stands where the folder, or one above it, should be. */
static void test_no_folder(void **state)
{
    const char *below = *state;
    struct folder f = make_folder();
    char path[PATH_BYTES], names[FILES][256];
    snprintf(path, sizeof path, "%s/a", f.path);
    write_file(path, "x", 1);
    snprintf(path, sizeof path, "%s/a%s", f.path, below);
    setenv("OCLIN_CACHE_DIR", path, 1);
    clear_context_log();
    oclin_context *ctx = make_context("plain");
    float y[3 * 7];
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 2, 3, NULL);
    assert_ok(ctx, oclin_tensor_fill(t, 41));
    forward(ctx, y); /* waits for both kernels */
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    check_times_logged("built ", 2);
    check_times_logged("nothing is stored", 1); /* and it is not tried again */
    assert_int_equal(files_in(f.path, names), 1);
    free_folder(&f);
}

/* A folder that cannot be written to serves for reading. */
static void test_read_only(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char names[FILES][256];
    float y[3 * 7];
    fill_anew(FROM_TEXT);
    clear_context_log();
    oclin_context *ctx = make_context("plain");
    ctx->cache_read_only = 1; /* permissions do not stop root */
    fill(ctx);
    forward(ctx, y);
    oclin_context_destroy(ctx);
    check_times_logged("loaded ", 1);
    check_times_logged("built ", 1);
    assert_int_equal(files_in(f.cache, names), 1);
    free_folder(&f);
}

/* ------------------------------------------------------------------------------------ refusing drivers */

/* Data of the caller's under the key of fill, in a record that is whole. */
static void put_data(const struct folder *f, const char *data, size_t size)
{
    char path[PATH_BYTES];
    find_file(f, "fill-", path);
    struct bytes b = read_file(path);
    oclin_context *ctx = make_context("plain");
    assert_int_equal(oclin_cache_store(ctx, "fill", b.at + HEADER, number_at(b.at + KEY_SIZE_AT), data, size),
                     1);
    oclin_context_destroy(ctx);
    free(b.at);
}

/* Data that are no binary, and none at all. */
static void test_no_binary_inside(void **state)
{
    (void)state;
    struct folder f = make_folder();
    fill_anew(FROM_TEXT);
    put_data(&f, "not a binary", 12);
    check_replaced("the driver refuses");
    put_data(&f, "", 0);
    check_replaced("the driver refuses");
    free_folder(&f);
}

/* A binary of the same device, but of another program. */
static void test_other_kernel_inside(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    float y[3 * 7];
    oclin_context *ctx = make_context("plain");
    fill(ctx);
    forward(ctx, y);
    oclin_context_destroy(ctx);
    find_file(&f, "forward_plain-", path);
    struct bytes b = read_file(path);
    const size_t data = HEADER + number_at(b.at + KEY_SIZE_AT);
    put_data(&f, b.at + data, b.size - data);
    free(b.at);
    check_replaced("the driver refuses");
    free_folder(&f);
}

/* When it makes the program, when the program is made with a failure, and when it builds. */
static void test_binary_refused(void **state)
{
    (void)state;
    struct folder f = make_folder();
    fill_anew(FROM_TEXT);
    static const struct {
        const char *call;
        enum fault_how how;
    } faults[] = {
        {.call = "clCreateProgramWithBinary", .how = FAULT_BEFORE},
        {.call = "clCreateProgramWithBinary", .how = FAULT_AFTER},
        {.call = "clBuildProgram", .how = FAULT_BEFORE},
    };
    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        faults_fail_call(faults[i].call, 0, CL_INVALID_BINARY, faults[i].how);
        check_replaced("the driver refuses");
        assert_non_null(faults_failed()); /* it was called */
    }
    free_folder(&f);
}

/* None of the four questions for the binary is answered: not stored, and not an error. */
static void test_binary_not_given(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char names[FILES][256];
    for (int nth = 0; nth < 4; nth++) {
        faults_fail_call("clGetProgramInfo", nth, CL_OUT_OF_RESOURCES, FAULT_BEFORE);
        fill_anew(FROM_TEXT);
        assert_non_null(faults_failed());
        check_times_logged("the driver gives no binary", 1);
        assert_int_equal(files_in(f.cache, names), 0);
    }
    /* after a finish as after a read */
    float y[3 * 7];
    clear_context_log();
    oclin_context *ctx = make_context("plain");
    faults_fail_call("clGetProgramInfo", 0, CL_OUT_OF_RESOURCES, FAULT_BEFORE);
    forward(ctx, y);
    check_times_logged("the driver gives no binary", 1);
    oclin_context_destroy(ctx);
    fill_anew(FROM_TEXT);
    fill_anew(FROM_DISK);
    free_folder(&f);
}

/* Two contexts that both built it store it both. */
static void test_two_contexts(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char names[FILES][256];
    clear_context_log();
    oclin_context *a = make_context("plain"), *b = make_context("plain");
    oclin_tensor *t = make_tensor(a, OCLIN_I32, 1, 1, NULL), *u = make_tensor(b, OCLIN_I32, 1, 1, NULL);
    assert_ok(a, oclin_tensor_fill(t, 1));
    assert_ok(b, oclin_tensor_fill(u, 1));
    assert_ok(a, oclin_context_finish(a));
    assert_ok(b, oclin_context_finish(b));
    check_times_logged("cache: stored ", 2);
    const int files = a->device.mixes_contexts ? 2 : 1; /* there each has a kernel of its own */
    oclin_tensor_destroy(t);
    oclin_tensor_destroy(u);
    oclin_context_destroy(a);
    oclin_context_destroy(b);
    assert_int_equal(files_in(f.cache, names), files);
    fill_anew(FROM_DISK);
    free_folder(&f);
}

int main(int argc, char **argv)
{
    static const char *const ours[] = {"OCLIN_PLAN", "OCLIN_VERIFY", "OCLIN_CL_DIR"};
    static char plain[] = "plain", simd[] = "simd", simt[] = "simt-16", itself[] = "", below[] = "/b/c";
    for (size_t i = 0; i < COUNT_OF(ours); i++) unsetenv(ours[i]);
    struct test_list list = {0};
    add_test(&list, test_second_loads, plain, "second context loads/plain");
    add_test(&list, test_second_loads, simd, "second context loads/simd");
    add_test(&list, test_second_loads, simt, "second context loads/simt-16");
    add_test(&list, test_own_alone, NULL, "folder and files are nobody else's");
    add_test(&list, test_stored_after_run, NULL, "stored after the first run");
    add_test(&list, test_two_contexts, NULL, "two contexts that built it store it both");
    add_test(&list, test_text_is_key, NULL, "key/text");
    add_test(&list, test_facts_are_key, NULL, "key/device, driver, platform");
    add_test(&list, test_which_folder, NULL, "folder/of the variable, the option, the user");
    add_test(&list, test_off, NULL, "folder/off: nothing is read or written");
    add_test(&list, test_no_folder, itself, "folder/is a file: nothing is stored");
    add_test(&list, test_no_folder, below, "folder/below a file: nothing is stored");
    add_test(&list, test_read_only, NULL, "folder/read only serves for reading");
    add_test(&list, test_no_binary_inside, NULL, "driver/not a binary");
    add_test(&list, test_other_kernel_inside, NULL, "driver/other kernel");
    add_test(&list, test_binary_refused, NULL, "driver/refuses");
    add_test(&list, test_binary_not_given, NULL, "driver/gives none");
    return run_list("cache", &list, argc, argv);
}
