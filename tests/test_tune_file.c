/*
 * The table of oclin_tune() and its file: entries are merged, the oldest go; whatever is wrong with the file
 * - damage, another device, a line that nobody understands - nobody gets a wrong result, and the next tuning
 * makes it good.
 */
#define _XOPEN_SOURCE 700 /* setenv */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuning.h"

/* ---------------------------------------------------------------------------------------------- the table */

/* Entries of other shapes stay, also those that another context has stored meanwhile. */
static void test_merged(void **state)
{
    (void)state;
    struct folder f = make_folder();
    const struct oclin_shape other = {5, 6, 7};
    const struct oclin_tuned first[] = {entry_of(OCLIN_KERNEL_FORWARD, small, "plain"),
                                        entry_of(OCLIN_KERNEL_GRAD_X, small, "plain")};
    struct oclin_tuned second[] = {entry_of(OCLIN_KERNEL_FORWARD, other, "plain"),
                                   entry_of(OCLIN_KERNEL_GRAD_X, small, "")};
    second[1].ns = 30;
    oclin_context *early = make_context(NULL);
    store_entries(first, 2);
    struct oclin_tuning fresh = {NULL, 0};
    for (int i = 0; i < 2; i++) assert_true(oclin_tuning_put(&fresh, &second[i]));
    oclin_tuning_store(early, &fresh);
    oclin_tuning_free(&fresh);
    assert_int_equal(early->tuning->count, 0);
    oclin_context *ctx = make_context(NULL);
    assert_int_equal(ctx->tuning->count, 3);
    const struct oclin_tuned *t = oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_GRAD_X, small);
    assert_non_null(t);
    assert_string_equal(t->plan, "");
    assert_int_equal(t->ns, 30);
    assert_non_null(oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_FORWARD, small));
    assert_non_null(oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_FORWARD, other));
    assert_null(oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_GRAD_W, small));
    oclin_context_destroy(early);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* A table of too many entries forgets the oldest. */
static void test_many(void **state)
{
    (void)state;
    struct oclin_tuning tuning = {NULL, 0};
    struct oclin_tuned t = entry_of(OCLIN_KERNEL_FORWARD, small, "plain");
    for (t.shape.batch = 1; t.shape.batch <= 1100; t.shape.batch++)
        assert_true(oclin_tuning_put(&tuning, &t));
    assert_int_equal(tuning.count, 1024);
    t.shape.batch = 76;
    assert_null(oclin_tuning_find(&tuning, OCLIN_KERNEL_FORWARD, t.shape));
    t.shape.batch = 77;
    assert_non_null(oclin_tuning_find(&tuning, OCLIN_KERNEL_FORWARD, t.shape));
    assert_null(oclin_tuning_find(&tuning, OCLIN_KERNEL_GRAD_X, t.shape));
    oclin_tuning_free(&tuning);
}

/* ----------------------------------------------------------------------------------------------- the file */

/* With the checksum of what it says. */
static void write_signed(const char *path, const char *text)
{
    char all[1 << 14];
    const int length =
        snprintf(all, sizeof all, "%schecksum %016" PRIx64 "\n", text, oclin_cache_hash(text, strlen(text)));
    write_file(path, all, (size_t)length);
}

/* Nothing of the file is used, the log says so, and the next tuning makes it good. */
static void check_refused(const char *says)
{
    clear_context_log();
    oclin_context *ctx = make_context(NULL);
    assert_int_equal(ctx->tuning->count, 0);
    assert_string_equal(oclin_context_error(ctx), "");
    check_logged(says);
    check_layer(ctx, small);
    oclin_context_destroy(ctx);
}

/* Nothing of a file with these bytes is used. */
static void check_unused(const char *path, const char *bytes, size_t size)
{
    write_file(path, bytes, size);
    clear_context_log();
    oclin_context *ctx = make_context(NULL);
    assert_int_equal(ctx->tuning->count, 0);
    check_logged("; it is not used");
    oclin_context_destroy(ctx);
}

/* Every byte with another value, and every length. */
static void test_damaged(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    store_one();
    check_accepted(1);
    find_file(&f, "tuning-", path);
    struct bytes b = read_file(path);
    for (size_t at = 0; at < b.size; at++) {
        b.at[at] ^= 1;
        check_unused(path, b.at, b.size);
        b.at[at] ^= 1;
    }
    for (size_t cut = 0; cut < b.size; cut++) check_unused(path, b.at, cut);
    b.at[b.size / 2] = 0;
    write_file(path, b.at, b.size);
    check_refused("is cut off");
    store_one();
    check_accepted(1);
    free(b.at);
    free_folder(&f);
}

/* The file's head, up to its entries, and where it is. */
static char *head_of_file(const struct folder *f, char path[PATH_BYTES])
{
    store_one();
    find_file(f, "tuning-", path);
    char *const text = read_file(path).at, *entries = strstr(text, "\nforward ");
    assert_non_null(entries);
    entries[1] = 0;
    return text;
}

/* The file of another device, or of another format, is not used. */
static void test_foreign(void **state)
{
    (void)state;
    static const char *const parts[] = {
        "platform: ", "platform version: ", "device: ", "driver: ", "oclin: "};
    struct folder f = make_folder();
    char path[PATH_BYTES], changed[1 << 13];
    char *head = head_of_file(&f, path);
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        const char *at = strstr(head, parts[i]);
        assert_non_null(at);
        const int until = (int)(at - head) + (int)strlen(parts[i]);
        snprintf(changed, sizeof changed, "%.*s9%sforward 8 40 24 plain 20 10\n", until, head, head + until);
        write_signed(path, changed);
        check_refused("belongs to another device, driver or version");
    }
    snprintf(changed, sizeof changed, "oclin tuning 0%sforward 8 40 24 plain 20 10\n", head + 14);
    write_signed(path, changed);
    check_refused("has another format");
    write_signed(path, "something else\n");
    check_refused("is not a tuning file");
    free(head);
    free_folder(&f);
}

/* What is known of another device or driver does not count here: each fact is part of the key. */
static void test_facts_are_key(void **state)
{
    (void)state;
    struct folder f = make_folder();
    store_one();
    oclin_context *ctx = make_context(NULL);
    struct oclin_device_facts *d = &ctx->device;
    char *const facts[] = {d->info.name,          d->info.vendor,      d->info.version,
                           d->info.platform_name, d->platform_version, d->info.driver};
    for (size_t i = 0; i <= COUNT_OF(facts); i++)
        for (int other = 1; other >= 0; other--) {
            oclin_tuning_free(ctx->tuning);
            if (i < COUNT_OF(facts))
                facts[i][strlen(facts[i]) - 1] ^= other;
            else
                d->info.compute_units += other ? 1 : -1;
            oclin_tuning_load(ctx);
            if (i < COUNT_OF(facts)) facts[i][strlen(facts[i]) - 1] ^= other;
            if (ctx->tuning->count != !other) fail_msg("fact %d, changed %d", (int)i, other);
        }
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Each of these alone between two good lines: those are used, it is not. */
static const struct {
    const char *line, *why;
} bad_lines[] = {
    {"forward 8 40 24 simd-warp 20 10", "no such plan"},
    {"forward 8 40 24 two-products 20 10", "a plan of backward alone"},
    {"backward 8 40 24 plain 20 10", "no plan of backward"},
    {"backward 4000 40 24 two-products 20 10", "there is no choice for so many samples"},
    {"sideways 8 40 24 plain 20 10", "no such product"},
    {"forward -8 40 24 plain 20 10", "a negative size"},
    {"forward 0 40 24 plain 20 10", "an empty size"},
    {"forward 8 40 99999999999999999999 plain 20 10", "a size that is no number of 64 bits"},
    {"forward 8 40 9999999999999999 plain 20 10", "a matrix that no memory holds"},
    {"forward nan 40 24 plain 20 10", "a size that is no number"},
    {"forward 8 40 24 plain nan 10", "a time that is no number"},
    {"forward 8 40 24 plain inf 10", "a time without end"},
    {"forward 8 40 24 plain 20 -10", "a negative time"},
    {"forward 8 40 24 plain 20 0", "no time"},
    {"forward 8 40 24 plain 2e1 10", "a time that is no integer"},
    {"forward 0x8 40 24 plain 20 10", "a size that is not decimal"},
    {"forward 8  40 24 plain 20 10", "two blanks"},
    {"forward 8 40 24  20 10", "no plan between the blanks"},
    {"forward 8 40 24 plain 20", "a time is missing"},
    {"forward 8 40 24 plain 20 10 30", "a time too many"},
    {"forward 8 40 24 plain 20 10 ", "a blank at the end"},
    {"forward 8 40 24", "plan and times are missing"},
    {"forward", "all is missing"},
    {" ", "a blank"},
    {"", "nothing"},
    {"forward 8 40 24 a-plan-whose-name-is-much-longer-than-a-plan 20 10", "a name too long"},
    {"grad_w 1 1 1 plain 30 20", "an entry again"},
};

static void test_bad_lines(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES], text[1 << 13];
    char *head = head_of_file(&f, path);
    for (size_t i = 0; i <= COUNT_OF(bad_lines); i++) {
        char longest[1000];
        memset(longest, '1', sizeof longest);
        longest[sizeof longest - 1] = 0;
        const char *line = i < COUNT_OF(bad_lines) ? bad_lines[i].line : longest;
        const char *why = i < COUNT_OF(bad_lines) ? bad_lines[i].why : "a line without end";
        snprintf(text, sizeof text, "%sgrad_w 1 1 1 plain 20 10\n%s\ngrad_x 1 1 1 default 20 20\n", head,
                 line);
        write_signed(path, text);
        clear_context_log();
        oclin_context *ctx = make_context(NULL);
        if (ctx->tuning->count != 2)
            fail_msg("%s: %d entries with the line '%s'", why, ctx->tuning->count, line);
        check_logged("tuning: entry 2 has ");
        const struct oclin_shape one = {1, 1, 1};
        const struct oclin_tuned *t = oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_GRAD_W, one);
        assert_non_null(t);
        assert_int_equal(t->ns, 20);
        assert_int_equal(family_of(ctx, OCLIN_KERNEL_FORWARD, small),
                         is_cpu(ctx) ? OCLIN_SKINNY : OCLIN_SIMT);
        oclin_context_destroy(ctx);
    }
    free(head);
    free_folder(&f);
}

/* A plan that another machine's file names, and that this device cannot run. */
static void test_does_not_fit(void **state)
{
    (void)state;
    oclin_context *ctx = make_context(NULL);
    ctx->device.info.local_bytes = 4096;
    assert_int_equal(oclin_plan_tunable(ctx, OCLIN_KERNEL_FORWARD, small, "simt-128"), 0);
    assert_int_equal(oclin_plan_tunable(ctx, OCLIN_KERNEL_FORWARD, small, "plain"), 1);
    const char *names[OCLIN_MOST_CANDIDATES];
    const int count = oclin_plan_candidates(ctx, OCLIN_KERNEL_FORWARD, small, names);
    for (int i = 0; i < count; i++) assert_int_not_equal(strcmp(names[i], "simt-128"), 0);
    oclin_context_destroy(ctx);
}

/* Without a folder, or where it cannot be made, what is found is in force, and forgotten with the context. */
static void test_no_folder(void **state)
{
    (void)state;
    struct listener h = {0};
    setenv("OCLIN_CACHE_DIR", "", 1);
    oclin_context *ctx = make_context(NULL);
    clear_context_log();
    assert_ok(ctx, tune(ctx, small, enough, &h));
    check_logged("tuning: not stored: there is no cache folder");
    assert_true(ctx->tuning->count >= 3); /* in force here all the same */
    oclin_context_destroy(ctx);
    check_accepted(0);

    setenv("OCLIN_CACHE_DIR", "/dev/null/oclin", 1);
    ctx = make_context(NULL);
    clear_context_log();
    h.stop_after = 1000000;
    assert_ok(ctx, tune(ctx, small, 2.0, &h));
    assert_string_equal(oclin_context_error(ctx), "");
    oclin_context_destroy(ctx);
    setenv("OCLIN_CACHE_DIR", "", 1);
}

int main(int argc, char **argv)
{
    unsetenv("OCLIN_PLAN"); /* with it there is nothing to tune */
    struct test_list list = {0};
    add_test(&list, test_merged, NULL, "table/entries of others stay");
    add_test(&list, test_many, NULL, "table/of too many the oldest go");
    add_test(&list, test_damaged, NULL, "file/damaged anywhere: not used");
    add_test(&list, test_foreign, NULL, "file/of another device or format: not used");
    add_test(&list, test_facts_are_key, NULL, "file/each fact of the device is in the key");
    add_test(&list, test_bad_lines, NULL, "file/a bad line alone is left out");
    add_test(&list, test_does_not_fit, NULL, "file/a plan that the device cannot run is no candidate");
    add_test(&list, test_no_folder, NULL, "file/no folder: tuned all the same");
    return run_list("tune_file", &list, argc, argv);
}
