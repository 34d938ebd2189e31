/*
 * Kernels on the disk: the second context loads what the first one built, and whatever is wrong with the folder, a file or
 * what the driver makes of it, the kernel is built from its text, nobody sees an error, and the file is made good.
 *
 * The kernel is `fill`, which is small; `forward` where there must be two. Calls of OpenCL fail on
 * purpose: faults.h.
 */
#define _GNU_SOURCE /* mkdtemp, memmem */
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support.h"

#include "faults.h"
#include "oclin_internal.h"

/* --------------------------------------------------------------------------------------------- folders */

enum { PATH_BYTES = 600, FILES = 64 };

/* A temporary folder, and in it the cache folder, not made yet. */
struct folder {
    char path[PATH_BYTES / 2], cache[PATH_BYTES / 2 + 16];
};

static struct folder make_folder(void)
{
    struct folder f;
    const char *temporary = getenv("TMPDIR");
    snprintf(f.path, sizeof f.path, "%.200s/oclin-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(f.path)) fail_msg("no folder %s", f.path);
    snprintf(f.cache, sizeof f.cache, "%s/a/kept", f.path);
    setenv("OCLIN_CACHE_DIR", f.cache, 1);
    return f;
}

static void remove_all(const char *path)
{
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        char inside[2 * PATH_BYTES];
        snprintf(inside, sizeof inside, "%s/%s", path, e->d_name);
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) remove_all(inside);
    }
    if (dir) closedir(dir);
    remove(path);
}

static void free_folder(const struct folder *f)
{
    faults_end();
    setenv("OCLIN_CACHE_DIR", "", 1);
    remove_all(f->path);
}

/* The names of all files there; 0 also when there is no such folder. */
static int files_in(const char *path, char names[FILES][256])
{
    int count = 0;
    DIR *dir = opendir(path);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0) {
            if (count == FILES) fail_msg("too many files in %s", path);
            snprintf(names[count++], sizeof names[0], "%s", e->d_name);
        }
    if (dir) closedir(dir);
    return count;
}

/* The path of the one file whose name begins so. */
static void find_file(const struct folder *f, const char *begins, char *path)
{
    char names[FILES][256];
    int found = 0;
    for (int i = files_in(f->cache, names) - 1; i >= 0; i--)
        if (strncmp(names[i], begins, strlen(begins)) == 0) {
            snprintf(path, PATH_BYTES, "%s/%s", f->cache, names[i]);
            found++;
        }
    if (found != 1) fail_msg("%d files %s* in %s", found, begins, f->cache);
}

struct bytes {
    unsigned char *at;
    size_t size;
};

static struct bytes read_file(const char *path)
{
    struct bytes b = {allocate(1, 1 << 24), 0};
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be opened", path);
    b.size = fread(b.at, 1, 1 << 24, file);
    fclose(file);
    return b;
}

static void write_file(const char *path, const unsigned char *at, size_t size)
{
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("%s cannot be written", path);
    assert_int_equal(fwrite(at, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* --------------------------------------------------------------------------------------------- contexts */

static int times_logged(const char *part)
{
    int count = 0;
    for (const char *at = context_log(); (at = strstr(at, part)) != NULL; at++) count++;
    return count;
}

static void check_logged(const char *part, int times)
{
    if (times_logged(part) != times)
        fail_msg("\"%s\" stands %d times, not %d, in\n%s", part, times_logged(part), times, context_log());
}

static void fill(oclin_context *ctx)
{
    int32_t got[6];
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 2, 3, NULL);
    assert_ok(ctx, oclin_tensor_fill(t, 41));
    assert_ok(ctx, oclin_tensor_read(t, got));
    for (int i = 0; i < 6; i++) assert_int_equal(got[i], 41);
    assert_string_equal(oclin_context_error(ctx), "");
    assert_int_equal(oclin_context_cl_error(ctx), CL_SUCCESS);
    oclin_tensor_destroy(t);
}

/* y = x W^T + b of a 5 to 7 layer, and its W: 3 x 7 and 7 x 5 numbers. */
static void forward(oclin_context *ctx, float *y_out)
{
    struct rng rng = {42};
    float x_in[3 * 5];
    fill_zero_mean(&rng, x_in, 3 * 5);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 5, 7, NULL));
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 3, 5, x_in), *y = make_tensor(ctx, OCLIN_F32, 3, 7, NULL);
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_context_finish(ctx)); /* and not a read: the other way to have waited */
    faults_end();
    assert_ok(ctx, oclin_tensor_read(y, y_out));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
}

enum { FROM_TEXT, FROM_DISK };

/* A new context fills, with the kernel from there. What it logged stays for a closer look. */
static void fill_anew(int from)
{
    clear_context_log();
    oclin_context *ctx = make_context("plain");
    fill(ctx);
    oclin_context_destroy(ctx);
    assert_int_equal(faults_alive(ALIVE_PROGRAM), 0);
    check_logged("built fill:", from == FROM_TEXT);
    check_logged("loaded fill from ", from == FROM_DISK);
}

/* ------------------------------------------------------------------------------------------ as intended */

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
        check_logged("built ", round == 0 ? 2 : 0);
        check_logged("cache: stored ", round == 0 ? 2 : 0);
        check_logged("loaded ", round == 0 ? 0 : 2);
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
    assert_ok(ctx, oclin_elements_prepare(ctx, OCLIN_KERNEL_FILL, NULL, 2, 3, 0, &fill_of_6));
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
    const char *text = NULL;
    for (size_t i = 0; i < oclin_cl_file_count; i++)
        if (strcmp(oclin_cl_files[i].name, "fill.cl") == 0) text = oclin_cl_files[i].text;
    assert_non_null(text);
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

static void test_which_folder(void **state)
{
    (void)state;
    char *const home = getenv("HOME"), *const xdg = getenv("XDG_CACHE_HOME");
    char *const home_was = home ? strdup(home) : NULL, *const xdg_was = xdg ? strdup(xdg) : NULL;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    setenv("OCLIN_CACHE_DIR", "/of/variable", 1);
    check_folder(&options, "/of/variable");
    options.cache_dir = "/of/option";
    check_folder(&options, "/of/variable");
    options.ignore_environment = 1;
    check_folder(&options, "/of/option");
    options.cache_dir = "";
    check_folder(&options, NULL);
    options.ignore_environment = 0;
    options.cache_dir = "/of/option";
    setenv("OCLIN_CACHE_DIR", "", 1);
    check_folder(&options, NULL);
    unsetenv("OCLIN_CACHE_DIR");
    check_folder(&options, "/of/option");
#ifndef __APPLE__
    options.cache_dir = NULL;
    setenv("HOME", "relative", 1);
    unsetenv("XDG_CACHE_HOME");
    check_folder(&options, NULL);
    setenv("HOME", ".", 1);
    setenv("XDG_CACHE_HOME", "", 1);
    check_folder(&options, NULL);
    setenv("HOME", "/home", 1);
    setenv("XDG_CACHE_HOME", "/xdg", 1);
    check_folder(&options, "/xdg/oclin");
    setenv("XDG_CACHE_HOME", "relative", 1);
    check_folder(&options, "/home/.cache/oclin");
    unsetenv("XDG_CACHE_HOME");
    check_folder(&options, "/home/.cache/oclin");
    setenv("HOME", "", 1);
    check_folder(&options, NULL);
    unsetenv("HOME");
    check_folder(&options, NULL);
#endif
    if (home_was) setenv("HOME", home_was, 1);
    if (xdg_was) setenv("XDG_CACHE_HOME", xdg_was, 1);
    setenv("OCLIN_CACHE_DIR", "", 1);
    free(home_was);
    free(xdg_was);
}

static void test_off(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char names[FILES][256];
    setenv("OCLIN_CACHE_DIR", "", 1);
    assert_int_equal(chdir(f.path), 0); /* an empty name must not be the current folder */
    fill_anew(FROM_TEXT);
    fill_anew(FROM_TEXT);
    check_logged("cache: ", 0);
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
    write_file(path, (const unsigned char *)"x", 1);
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
    check_logged("built ", 2);
    check_logged("nothing is stored", 1); /* and it is not tried again */
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
    check_logged("loaded ", 1);
    check_logged("built ", 1);
    assert_int_equal(files_in(f.cache, names), 1);
    free_folder(&f);
}

/* --------------------------------------------------------------------------------------- damaged files */

/* The file of a kernel that was built just now, and where it is. */
static struct bytes stored_kernel(const struct folder *f, char path[PATH_BYTES])
{
    fill_anew(FROM_TEXT);
    find_file(f, "fill-", path);
    return read_file(path);
}

/* After something was done to the file: built from the text, one line says why, and the next one loads again. */
static void check_replaced(const char *why)
{
    fill_anew(FROM_TEXT);
    check_logged("cache: ", 2); /* why not, and stored */
    check_logged(why, 1);
    fill_anew(FROM_DISK);
    check_logged("cache: ", 0);
}

enum { HEADER = 40 };

static size_t number_at(const unsigned char *at)
{
    size_t number = 0;
    for (int i = 7; i >= 0; i--) number = number << 8 | at[i];
    return number;
}

static void test_damaged(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    struct bytes good = stored_kernel(&f, path);
    const size_t data = HEADER + number_at(good.at + 16);
    const struct {
        size_t at;
        const char *why;
    } rows[] = {{0, "is not a record"},     {7, "is not a record"},       {8, "another format"},
                {16, "another length"},     {23, "another length"},       {24, "another length"},
                {31, "another length"},     {32, "is damaged"},           {39, "is damaged"},
                {HEADER, "is damaged"},     {data - 1, "is damaged"},     {data, "is damaged"},
                {data + 100, "is damaged"}, {good.size - 1, "is damaged"}};
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int bit = 1; bit <= 128; bit *= 128) {
            good.at[rows[i].at] ^= (unsigned char)bit;
            write_file(path, good.at, good.size);
            good.at[rows[i].at] ^= (unsigned char)bit;
            check_replaced(rows[i].why);
        }
    free(good.at);
    free_folder(&f);
}

static void test_cut(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    struct bytes good = stored_kernel(&f, path);
    const size_t data = HEADER + number_at(good.at + 16);
    const size_t lengths[] = {0,
                              1,
                              7,
                              8,
                              HEADER - 1,
                              HEADER,
                              HEADER + 1,
                              data - 1,
                              data,
                              data + 1,
                              good.size / 2,
                              good.size - 1,
                              good.size + 1};
    good.at[good.size] = 0;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        write_file(path, good.at, lengths[i]);
        check_replaced(lengths[i] < HEADER ? "is not a record" : "another length");
    }
    free(good.at);
    free_folder(&f);
}

/* Files of two kernels under each other's names: each is whole, and neither is taken. */
static void test_swapped(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char a[PATH_BYTES], b[PATH_BYTES], c[PATH_BYTES];
    float y[2][3 * 7];
    for (int round = 0; round < 2; round++) {
        clear_context_log();
        oclin_context *ctx = make_context("plain");
        fill(ctx);
        forward(ctx, y[round]);
        oclin_context_destroy(ctx);
        check_logged("built ", 2);
        check_logged("belongs to another key", 2 * round);
        check_logged("cache: stored ", 2);
        find_file(&f, "fill-", a);
        find_file(&f, "forward_plain-", b);
        snprintf(c, sizeof c, "%s/c", f.path);
        assert_int_equal(rename(a, c) | rename(b, a) | rename(c, b), 0);
    }
    check_same_bits("y", y[1], y[0], 3 * 7);
    free_folder(&f);
}

/* Writes a file whose checksum is right, whatever it says. As the comment on the format has it. */
static void forge(const char *path, const struct bytes *b, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        if (i < 32 || i >= HEADER) hash = (hash ^ b->at[i]) * 0x100000001b3u;
    for (int i = 0; i < 8; i++) b->at[32 + i] = (unsigned char)(hash >> 8 * i);
    write_file(path, b->at, size);
}

/* Sizes that add up to the file's by overflow. */
static void test_absurd_sizes(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    struct bytes b = stored_kernel(&f, path);
    const uint64_t data = 10 - (uint64_t)number_at(b.at + 16); /* a key longer than the file */
    for (int i = 0; i < 8; i++) b.at[24 + i] = (unsigned char)(data >> 8 * i);
    forge(path, &b, HEADER + 10);
    check_replaced("another length");
    free(b.at);
    free_folder(&f);
}

/* A file of another version of the format, undamaged, is replaced. */
static void test_other_format(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    struct bytes b = stored_kernel(&f, path);
    for (int change = 0; change < 2; change++) {
        b.at[8] = (unsigned char)(b.at[8] + change);
        forge(path, &b, b.size);
        if (change)
            check_replaced("another format");
        else
            fill_anew(FROM_DISK);
    }
    free(b.at);
    free_folder(&f);
}

/* A folder under the file's name is not read, and cannot be replaced. */
static void test_folder_for_file(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES], names[FILES][256];
    fill_anew(FROM_TEXT);
    find_file(&f, "fill-", path);
    remove(path);
    assert_int_equal(mkdir(path, 0700), 0);
    fill_anew(FROM_TEXT);
    check_logged("is no regular file", 1);
    check_logged("cannot be written", 1);
    assert_int_equal(files_in(f.cache, names), 1); /* no temporary file */
    free_folder(&f);
}

/* What is no file, and might wait for ever, or go on for ever. */
static void put_pipe(const char *path)
{
    assert_int_equal(mkfifo(path, 0600), 0);
}

static void put_socket(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const int s = socket(AF_UNIX, SOCK_STREAM, 0);
    if (strlen(path) >= sizeof address.sun_path) skip();
    strcpy(address.sun_path, path);
    assert_true(s >= 0);
    assert_int_equal(bind(s, (struct sockaddr *)&address, sizeof address), 0);
    close(s);
}

static void put_device(const char *path)
{
    assert_int_equal(symlink("/dev/zero", path), 0);
}

struct special {
    const char *name;
    void (*put)(const char *path);
    const char *why;
};
static struct special specials[] = {{"a pipe", put_pipe, "is no regular file"},
                                    {"a socket", put_socket, "cannot be opened"},
                                    {"a device", put_device, "is no regular file"}};

/* Nobody waits for it, and it is replaced. */
static void test_special_for_file(void **state)
{
    const struct special *special = *state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    fill_anew(FROM_TEXT);
    find_file(&f, "fill-", path);
    remove(path);
    special->put(path);
    check_replaced(special->why);
    free_folder(&f);
}

/* The same in place of what oclin_tune() has stored, which a new context reads. */
static void test_special_for_tuning(void **state)
{
    const struct special *special = *state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    struct oclin_tuned entry = {OCLIN_KERNEL_FORWARD, {2, 3, 4}, "", 5, 6};
    const struct oclin_tuning tuning = {&entry, 1};
    oclin_context *ctx = make_context("plain");
    oclin_tuning_store(ctx, &tuning);
    oclin_context_destroy(ctx);
    find_file(&f, "tuning-", path);
    for (int round = 0; round < 2; round++) {
        clear_context_log();
        ctx = make_context("");
        assert_int_equal(ctx->tuning->count, round == 0);
        check_logged(special->why, round);
        oclin_context_destroy(ctx);
        remove(path);
        special->put(path);
    }
    free_folder(&f);
}

/* ---------------------------------------------------------------------------------------- somebody else's */

enum { NOBODY = 65534 };

/* A folder or file that it was done to is not loaded from. */
struct change {
    const char *name;
    mode_t mode; /* 0: it gets another owner */
    int is_fine;
};
static struct change changes[] = {{"0755", 0755, 1},      {"0700", 0700, 1}, {"0720", 0720, 0},
                                  {"0702", 0702, 0},      {"0777", 0777, 0}, {"1777", 01777, 0},
                                  {"another owner", 0, 0}};

static void apply(const struct change *change, const char *path)
{
    if (change->mode)
        assert_int_equal(chmod(path, change->mode), 0);
    else
        assert_int_equal(chown(path, NOBODY, (gid_t)-1), 0);
}

/* Nothing is loaded from the folder, nothing stored, and one line of a context's log says so. */
static void test_folder_of_others(void **state)
{
    const struct change *change = *state;
    struct folder f = make_folder();
    char names[FILES][256], link[PATH_BYTES];
    float y[3 * 7];
    if (!change->mode && geteuid() != 0) skip();
    fill_anew(FROM_TEXT);
    apply(change, f.cache);
    snprintf(link, sizeof link, "%s/link", f.path);
    assert_int_equal(symlink(f.cache, link), 0);
    for (int linked = 0; linked < 2; linked++) {
        if (linked) setenv("OCLIN_CACHE_DIR", link, 1);
        fill_anew(change->is_fine ? FROM_DISK : FROM_TEXT);
        check_logged(change->mode ? "may be written to by others" : "belongs to another user",
                     !change->is_fine);
        if (change->is_fine) continue;
        clear_context_log();
        oclin_context *ctx = make_context("");
        fill(ctx);
        forward(ctx, y);
        oclin_context_destroy(ctx);
        check_logged("cache: ", 1); /* one line, for the tuning file and two kernels */
        assert_int_equal(files_in(f.cache, names), 1);
    }
    free_folder(&f);
}

/* The file is not loaded, and replaced. */
static void test_file_of_others(void **state)
{
    const struct change *change = *state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    if (!change->mode && geteuid() != 0) skip();
    fill_anew(FROM_TEXT);
    find_file(&f, "fill-", path);
    apply(change, path);
    if (change->is_fine)
        fill_anew(FROM_DISK);
    else
        check_replaced(change->mode ? "may be written to by others" : "belongs to another user");
    free_folder(&f);
}

/* ------------------------------------------------------------------------------------ refusing drivers */

/* Data of the caller's under the key of fill, in a record that is whole. */
static void put_data(const struct folder *f, const unsigned char *data, size_t size)
{
    char path[PATH_BYTES];
    find_file(f, "fill-", path);
    struct bytes b = read_file(path);
    oclin_context *ctx = make_context("plain");
    assert_int_equal(oclin_cache_store(ctx, "fill", b.at + HEADER, number_at(b.at + 16), data, size), 1);
    oclin_context_destroy(ctx);
    free(b.at);
}

static void test_no_binary_inside(void **state)
{
    (void)state;
    struct folder f = make_folder();
    fill_anew(FROM_TEXT);
    put_data(&f, (const unsigned char *)"not a binary", 12);
    check_replaced("the driver refuses");
    put_data(&f, (const unsigned char *)"", 0);
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
    const size_t data = HEADER + number_at(b.at + 16);
    put_data(&f, b.at + data, b.size - data);
    free(b.at);
    check_replaced("the driver refuses");
    free_folder(&f);
}

static void test_binary_refused(void **state)
{
    (void)state;
    struct folder f = make_folder();
    fill_anew(FROM_TEXT);
    static const struct {
        const char *call;
        enum fault_how how;
    } faults[] = {{"clCreateProgramWithBinary", FAULT_BEFORE},
                  {"clCreateProgramWithBinary", FAULT_AFTER},
                  {"clBuildProgram", FAULT_BEFORE}};
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
        check_logged("the driver gives no binary", 1);
        assert_int_equal(files_in(f.cache, names), 0);
    }
    /* after a finish as after a read */
    float y[3 * 7];
    clear_context_log();
    oclin_context *ctx = make_context("plain");
    faults_fail_call("clGetProgramInfo", 0, CL_OUT_OF_RESOURCES, FAULT_BEFORE);
    forward(ctx, y);
    check_logged("the driver gives no binary", 1);
    oclin_context_destroy(ctx);
    fill_anew(FROM_TEXT);
    fill_anew(FROM_DISK);
    free_folder(&f);
}

/* ----------------------------------------------------------------------------- the files, without OpenCL */

/* A context that knows its cache folder, and nothing else. */
static struct oclin_context only_files(struct folder *f)
{
    struct oclin_context ctx = {0};
    ctx.cache_dir = f->cache;
    return ctx;
}

static void test_whole_file(void **state)
{
    (void)state;
    struct folder f = make_folder();
    struct oclin_context ctx = only_files(&f);
    char path[PATH_BYTES], names[FILES][256];
    size_t size = 1;
    assert_null(oclin_cache_read(&ctx, "tuning", 100, &size));
    assert_int_equal(size, 0);
    for (int i = 0; i < 2; i++) { /* new, and over the old one */
        assert_int_equal(oclin_cache_write(&ctx, "tuning", "12\n34", 4 + (size_t)i), 1);
        unsigned char *bytes = oclin_cache_read(&ctx, "tuning", 4 + (size_t)i, &size);
        assert_non_null(bytes);
        assert_int_equal(size, 4 + i);
        assert_string_equal((char *)bytes, i ? "12\n34" : "12\n3");
        free(bytes);
    }
    assert_null(oclin_cache_read(&ctx, "tuning", 4, &size)); /* too large */
    assert_int_equal(oclin_cache_write(&ctx, "empty", "", 0), 1);
    unsigned char *bytes = oclin_cache_read(&ctx, "empty", 0, &size);
    assert_non_null(bytes);
    assert_int_equal(size, 0);
    free(bytes);
    assert_int_equal(files_in(f.cache, names), 2);
    snprintf(path, sizeof path, "%s/b", f.cache);
    assert_int_equal(oclin_os_make_folder(path), 1);
    assert_int_equal(oclin_os_make_folder(path), 1);
    ctx.cache_dir = NULL;
    assert_null(oclin_cache_read(&ctx, "tuning", 100, &size));
    assert_int_equal(oclin_cache_write(&ctx, "tuning", "1", 1), 0);
    free_folder(&f);
}

/* Keys of one length, whose files change places. */
static void test_other_key(void **state)
{
    (void)state;
    struct folder f = make_folder();
    struct oclin_context ctx = only_files(&f);
    char names[FILES][256], a[PATH_BYTES], b[PATH_BYTES], c[PATH_BYTES];
    size_t size;
    assert_int_equal(oclin_cache_store(&ctx, "a", "key", 3, "1", 1), 1);
    assert_int_equal(oclin_cache_store(&ctx, "b", "kez", 3, "2", 1), 1);
    unsigned char *data = oclin_cache_load(&ctx, "a", "key", 3, &size);
    assert_non_null(data);
    free(data);
    find_file(&f, "a-", a);
    find_file(&f, "b-", b);
    snprintf(c, sizeof c, "%s/c", f.path);
    assert_int_equal(rename(a, c) | rename(b, a) | rename(c, b), 0);
    assert_null(oclin_cache_load(&ctx, "a", "key", 3, &size));
    assert_null(oclin_cache_load(&ctx, "b", "kez", 3, &size));
    assert_int_equal(files_in(f.cache, names), 2);
    free_folder(&f);
}

/* A temporary file of another thread, in the middle of writing the same record, is left alone. */
static void test_two_threads(void **state)
{
    (void)state;
    struct folder f = make_folder();
    struct oclin_context ctx = only_files(&f);
    char path[PATH_BYTES], others[PATH_BYTES + 32];
    assert_int_equal(oclin_cache_write(&ctx, "tuning", "old", 3), 1);
    find_file(&f, "tuning", path);
    snprintf(others, sizeof others, "%s.%ld-0.tmp", path, (long)getpid());
    write_file(others, (const unsigned char *)"half of", 7);
    assert_int_equal(oclin_cache_write(&ctx, "tuning", "new", 3), 1);
    struct bytes b = read_file(others);
    assert_int_equal(b.size, 7);
    assert_memory_equal(b.at, "half of", 7);
    free(b.at);
    b = read_file(path);
    assert_int_equal(b.size, 3);
    assert_memory_equal(b.at, "new", 3);
    free(b.at);
    free_folder(&f);
}

/* Writers that were killed have left their files, under the names of this version and of older ones: each
 * write succeeds all the same, and those that nobody can be writing to any more go. */
static void test_left_behind(void **state)
{
    (void)state;
    enum { LEFT = 16, A_DAY = 24 * 60 * 60 };
    struct folder f = make_folder();
    char path[PATH_BYTES], names[FILES][256];
    static const char *const others[] = {"notes.tmp", "fill-0.bin", "fill-0.bin.tmp", "fill-0.bin.x.tmp",
                                         "fill-0.bin.1-2.tmp.gz"};
    const struct timespec now = {time(NULL), 0}, old = {now.tv_sec - A_DAY - 60, 0};
    const struct timespec old_times[] = {old, old}, young_times[] = {{now.tv_sec - A_DAY + 600, 0}, now};
    for (int age = 0; age < 2; age++) {
        struct oclin_context ctx = only_files(&f);
        for (int i = 0; i < 2 * LEFT; i++) {
            snprintf(path, sizeof path,
                     i < LEFT ? "%s/tuning-0.txt.%ld-%d.tmp" : "%s/tuning-0.txt.%010lx%06x.tmp", f.cache,
                     (long)getpid(), i);
            if (age == 0) assert_int_equal(oclin_os_make_folder(f.cache), 1);
            write_file(path, (const unsigned char *)"half", 4);
            assert_int_equal(utimensat(AT_FDCWD, path, age ? old_times : young_times, 0), 0);
        }
        for (size_t i = 0; i < COUNT_OF(others); i++) {
            snprintf(path, sizeof path, "%s/%s", f.cache, others[i]);
            write_file(path, (const unsigned char *)"x", 1);
            assert_int_equal(utimensat(AT_FDCWD, path, old_times, 0), 0);
        }
        snprintf(path, sizeof path, "%s/a-0.bin.12-3.tmp", f.cache); /* a folder is none of them */
        if (age == 0) assert_int_equal(mkdir(path, 0700), 0);
        assert_int_equal(utimensat(AT_FDCWD, path, old_times, 0), 0);
        for (int times = 0; times < 2; times++)
            assert_int_equal(oclin_cache_write(&ctx, "tuning-0.txt", "new", 3), 1);
        assert_int_equal(files_in(f.cache, names), 1 + (int)COUNT_OF(others) + 1 + (age ? 0 : 2 * LEFT));
    }
    free_folder(&f);
}

static void test_full_disk(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char names[FILES][256];
    static unsigned char data[100000];
    struct oclin_context ctx = only_files(&f);
    assert_int_equal(oclin_cache_store(&ctx, "record", "key", 3, "old", 3), 1);
    const pid_t child = fork();
    if (child == 0) {
        /* a limit on the size of files is met like the end of a disk */
        const struct rlimit limit = {4096, 4096};
        signal(SIGXFSZ, SIG_IGN);
        if (setrlimit(RLIMIT_FSIZE, &limit) != 0) _exit(2);
        const int stored = oclin_cache_store(&ctx, "record", "key", 3, data, sizeof data);
        _exit(stored || !ctx.cache_read_only);
    }
    int ended = 1;
    assert_int_equal(waitpid(child, &ended, 0), child);
    assert_int_equal(ended, 0);
    assert_int_equal(files_in(f.cache, names), 1);
    size_t size;
    unsigned char *old = oclin_cache_load(&ctx, "record", "key", 3, &size); /* as it was */
    assert_non_null(old);
    assert_int_equal(size, 3);
    assert_memory_equal(old, "old", 3);
    free(old);
    free_folder(&f);
}

/* Processes that write one record again and again, each its own data: readers see one or the other, always whole. */
static void test_writers(void **state)
{
    (void)state;
    enum { WRITERS = 4, TIMES = 60, BYTES = 200000 };
    struct folder f = make_folder();
    char names[FILES][256];
    struct oclin_context ctx = only_files(&f);
    static unsigned char data[BYTES];
    pid_t writers[WRITERS];
    memset(data, 'a', sizeof data);
    assert_int_equal(oclin_cache_store(&ctx, "record", "key", 3, data, sizeof data), 1);
    for (int w = 0; w < WRITERS; w++)
        if ((writers[w] = fork()) == 0) {
            int stored = 0;
            memset(data, 'b' + w, sizeof data);
            for (int i = 0; i < TIMES; i++)
                stored += oclin_cache_store(&ctx, "record", "key", 3, data, sizeof data);
            _exit(stored != TIMES);
        }
    for (int running = WRITERS; running > 0;) {
        size_t size;
        unsigned char *seen = oclin_cache_load(&ctx, "record", "key", 3, &size);
        assert_non_null(seen);
        assert_int_equal(size, BYTES);
        for (size_t i = 1; i < size; i++)
            if (seen[i] != seen[0]) fail_msg("byte %zu of a file of %c is %c", i, seen[0], seen[i]);
        free(seen);
        running = 0;
        for (int w = 0; w < WRITERS; w++) {
            int ended = 0;
            if (writers[w] && waitpid(writers[w], &ended, WNOHANG) == writers[w]) {
                assert_int_equal(ended, 0);
                writers[w] = 0;
            }
            running += writers[w] != 0;
        }
    }
    assert_int_equal(files_in(f.cache, names), 1);
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
    check_logged("cache: stored ", 2);
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
    add_test(&list, test_own_alone, NULL, "nobody else's");
    add_test(&list, test_stored_after_run, NULL, "stored after the first run");
    add_test(&list, test_text_is_key, NULL, "key/text");
    add_test(&list, test_facts_are_key, NULL, "key/device, driver, platform");
    add_test(&list, test_which_folder, NULL, "folder/which");
    add_test(&list, test_off, NULL, "folder/off");
    add_test(&list, test_no_folder, itself, "folder/is a file");
    add_test(&list, test_no_folder, below, "folder/below a file");
    add_test(&list, test_read_only, NULL, "folder/read only");
    add_test(&list, test_damaged, NULL, "file/damaged");
    add_test(&list, test_cut, NULL, "file/cut");
    add_test(&list, test_swapped, NULL, "file/swapped");
    add_test(&list, test_other_format, NULL, "file/other format");
    add_test(&list, test_absurd_sizes, NULL, "file/absurd sizes");
    add_test(&list, test_folder_for_file, NULL, "file/a folder in its place");
    for (size_t i = 0; i < COUNT_OF(specials); i++) {
        add_test(&list, test_special_for_file, &specials[i], "file/%s in its place", specials[i].name);
        add_test(&list, test_special_for_tuning, &specials[i], "tuning/%s in its place", specials[i].name);
    }
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        add_test(&list, test_folder_of_others, &changes[i], "others/folder, %s", changes[i].name);
        add_test(&list, test_file_of_others, &changes[i], "others/file, %s", changes[i].name);
    }
    add_test(&list, test_no_binary_inside, NULL, "driver/not a binary");
    add_test(&list, test_other_kernel_inside, NULL, "driver/other kernel");
    add_test(&list, test_binary_refused, NULL, "driver/refuses");
    add_test(&list, test_binary_not_given, NULL, "driver/gives none");
    add_test(&list, test_whole_file, NULL, "files/whole");
    add_test(&list, test_other_key, NULL, "files/other key");
    add_test(&list, test_two_threads, NULL, "files/two threads");
    add_test(&list, test_left_behind, NULL, "files/left behind by killed writers");
    add_test(&list, test_full_disk, NULL, "files/full disk");
    add_test(&list, test_writers, NULL, "files/four writers");
    add_test(&list, test_two_contexts, NULL, "files/two contexts");
    return run_list("cache", &list, argc, argv);
}
