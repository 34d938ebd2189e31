/*
 * The files of the cache: whatever is wrong with one - damaged, cut, forged, somebody else's, no file at all
 * - it is not used, the log says why, and it is made good; readers see whole files whoever writes, is killed,
 * or finds the disk full.
 */
#define _GNU_SOURCE /* utimensat */
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

#include "cached_kernel.h"
#include "oclin_internal.h"

/* ------------------------------------------------------------------------------------------ damaged files */

/* A bit of each field, of the key and of the data. */
static void test_damaged(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    struct bytes good = stored_kernel(&f, path);
    const size_t data = HEADER + number_at(good.at + KEY_SIZE_AT);
    const struct {
        size_t at;
        const char *why;
    } rows[] = {
        {.at = 0, .why = "is not a record"},
        {.at = 7, .why = "is not a record"},
        {.at = 8, .why = "another format"},
        {.at = KEY_SIZE_AT, .why = "another length"},
        {.at = KEY_SIZE_AT + 7, .why = "another length"},
        {.at = DATA_SIZE_AT, .why = "another length"},
        {.at = DATA_SIZE_AT + 7, .why = "another length"},
        {.at = CHECKSUM_AT, .why = "is damaged"},
        {.at = CHECKSUM_AT + 7, .why = "is damaged"},
        {.at = HEADER, .why = "is damaged"},
        {.at = data - 1, .why = "is damaged"},
        {.at = data, .why = "is damaged"},
        {.at = data + 100, .why = "is damaged"},
        {.at = good.size - 1, .why = "is damaged"},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++)
        for (int bit = 1; bit <= 128; bit *= 128) {
            good.at[rows[i].at] = (char)(good.at[rows[i].at] ^ bit);
            write_file(path, good.at, good.size);
            good.at[rows[i].at] = (char)(good.at[rows[i].at] ^ bit);
            check_replaced(rows[i].why);
        }
    free(good.at);
    free_folder(&f);
}

/* Cut in each of its parts, and with a byte too many. */
static void test_cut(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    struct bytes good = stored_kernel(&f, path);
    const size_t data = HEADER + number_at(good.at + KEY_SIZE_AT);
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
        check_times_logged("built ", 2);
        check_times_logged("belongs to another key", 2 * round);
        check_times_logged("cache: stored ", 2);
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
        if (i < CHECKSUM_AT || i >= HEADER) hash = (hash ^ (unsigned char)b->at[i]) * 0x100000001b3u;
    for (int i = 0; i < 8; i++) b->at[CHECKSUM_AT + i] = (char)(hash >> 8 * i);
    write_file(path, b->at, size);
}

/* Sizes that add up to the file's by overflow. */
static void test_absurd_sizes(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    struct bytes b = stored_kernel(&f, path);
    const uint64_t data = 10 - (uint64_t)number_at(b.at + KEY_SIZE_AT); /* a key longer than the file */
    for (int i = 0; i < 8; i++) b.at[DATA_SIZE_AT + i] = (char)(data >> 8 * i);
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
        b.at[8] = (char)(b.at[8] + change);
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
    check_times_logged("is no regular file", 1);
    check_times_logged("cannot be written", 1);
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
static const struct special specials[] = {
    {.name = "a pipe", .put = put_pipe, .why = "is no regular file"},
    {.name = "a socket", .put = put_socket, .why = "cannot be opened"},
    {.name = "a device", .put = put_device, .why = "is no regular file"},
};

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
    struct oclin_tuned entry = {.id = OCLIN_KERNEL_FORWARD, .shape = {2, 3, 4}, .ns = 5, .plan_ns = 6};
    const struct oclin_tuning tuning = {&entry, 1};
    oclin_context *ctx = make_context("plain");
    oclin_tuning_store(ctx, &tuning);
    oclin_context_destroy(ctx);
    find_file(&f, "tuning-", path);
    for (int round = 0; round < 2; round++) {
        clear_context_log();
        ctx = make_context("");
        assert_int_equal(ctx->tuning->count, round == 0);
        check_times_logged(special->why, round);
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
static const struct change changes[] = {
    {.name = "0755", .mode = 0755, .is_fine = 1},
    {.name = "0700", .mode = 0700, .is_fine = 1},
    {.name = "0720", .mode = 0720},
    {.name = "0702", .mode = 0702},
    {.name = "0777", .mode = 0777},
    {.name = "1777", .mode = 01777},
    {.name = "another owner"},
};

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
        check_times_logged(change->mode ? "may be written to by others" : "belongs to another user",
                           !change->is_fine);
        if (change->is_fine) continue;
        clear_context_log();
        oclin_context *ctx = make_context("");
        fill(ctx);
        forward(ctx, y);
        oclin_context_destroy(ctx);
        check_times_logged("cache: ", 1); /* one line, for the tuning file and two kernels */
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

/* ----------------------------------------------------------------------------- the files, without OpenCL */

/* A context that knows its cache folder, and nothing else. */
static struct oclin_context only_files(struct folder *f)
{
    struct oclin_context ctx = {0};
    ctx.cache_dir = f->cache;
    return ctx;
}

/* What was written is read, over what was there, and no more than is asked for. */
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
    write_file(others, "half of", 7);
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
            write_file(path, "half", 4);
            assert_int_equal(utimensat(AT_FDCWD, path, age ? old_times : young_times, 0), 0);
        }
        for (size_t i = 0; i < COUNT_OF(others); i++) {
            snprintf(path, sizeof path, "%s/%s", f.cache, others[i]);
            write_file(path, "x", 1);
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

/* The old file stays, and the folder is only read from then on. */
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

/* Processes that write one record again and again, each its own data: readers see one or the other, always
 * whole. */
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

int main(int argc, char **argv)
{
    static const char *const ours[] = {"OCLIN_PLAN", "OCLIN_VERIFY", "OCLIN_CL_DIR"};
    for (size_t i = 0; i < COUNT_OF(ours); i++) unsetenv(ours[i]);
    struct test_list list = {0};
    add_test(&list, test_damaged, NULL, "file/damaged anywhere is replaced");
    add_test(&list, test_cut, NULL, "file/cut anywhere is replaced");
    add_test(&list, test_swapped, NULL, "file/under another's name is replaced");
    add_test(&list, test_other_format, NULL, "file/of another format is replaced");
    add_test(&list, test_absurd_sizes, NULL, "file/sizes that overflow are seen");
    add_test(&list, test_folder_for_file, NULL, "file/a folder in its place stays");
    for (size_t i = 0; i < COUNT_OF(specials); i++) {
        void *const special = (void *)(uintptr_t)&specials[i];
        add_test(&list, test_special_for_file, special, "file/%s in its place is replaced", specials[i].name);
        add_test(&list, test_special_for_tuning, special, "tuning/%s in its place is not read",
                 specials[i].name);
    }
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        const char *use = changes[i].is_fine ? "used" : "not used";
        void *const change = (void *)(uintptr_t)&changes[i];
        add_test(&list, test_folder_of_others, change, "others/folder, %s: %s", changes[i].name, use);
        add_test(&list, test_file_of_others, change, "others/file, %s: %s", changes[i].name, use);
    }
    add_test(&list, test_whole_file, NULL, "files/read as they were written");
    add_test(&list, test_other_key, NULL, "files/of another key are not taken");
    add_test(&list, test_two_threads, NULL, "files/another thread's half of one is left alone");
    add_test(&list, test_left_behind, NULL, "files/left behind by killed writers go");
    add_test(&list, test_full_disk, NULL, "files/full disk: the old one stays");
    add_test(&list, test_writers, NULL, "files/four writers: always whole");
    return run_list("cache_files", &list, argc, argv);
}
