/*
 * oclin_tune: what it finds is right, is used, and is found again by the next context; whatever is wrong with the file,
 * a kernel or a call, nobody gets a wrong result, and what the tuner took is given back.
 */
#define _GNU_SOURCE /* mkdtemp */
#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "support.h"

#include "faults.h"
#include "oclin_internal.h"

/* ---------------------------------------------------------------------------------------- cache folders */

enum { PATH_BYTES = 600 };

struct folder {
    char path[PATH_BYTES / 2];
};

static struct folder make_folder(void)
{
    struct folder f;
    const char *temporary = getenv("TMPDIR");
    snprintf(f.path, sizeof f.path, "%.200s/oclin-XXXXXX", temporary && *temporary ? temporary : "/tmp");
    if (!mkdtemp(f.path)) fail_msg("no folder %s", f.path);
    setenv("OCLIN_CACHE_DIR", f.path, 1);
    return f;
}

static void free_folder(const struct folder *f)
{
    DIR *dir = opendir(f->path);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;) {
        char inside[2 * PATH_BYTES];
        snprintf(inside, sizeof inside, "%s/%s", f->path, e->d_name);
        remove(inside);
    }
    if (dir) closedir(dir);
    remove(f->path);
    setenv("OCLIN_CACHE_DIR", "", 1);
    faults_end();
}

/* The one tuning file there; 0: none. */
static int tuning_file(const struct folder *f, char path[PATH_BYTES])
{
    int found = 0;
    DIR *dir = opendir(f->path);
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        if (strncmp(e->d_name, "tuning-", 7) == 0) {
            snprintf(path, PATH_BYTES, "%s/%.250s", f->path, e->d_name);
            found++;
        }
    if (dir) closedir(dir);
    if (found > 1) fail_msg("%d tuning files in %s", found, f->path);
    return found;
}

static char *read_text(const char *path, size_t *length)
{
    char *text = new_array(char, 1 << 20);
    FILE *file = fopen(path, "rb");
    if (!file) fail_msg("%s cannot be opened", path);
    *length = fread(text, 1, (1 << 20) - 1, file);
    fclose(file);
    return text;
}

static void write_bytes(const char *path, const char *text, size_t length)
{
    FILE *file = fopen(path, "wb");
    if (!file) fail_msg("%s cannot be written", path);
    assert_int_equal(fwrite(text, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

/* With the checksum of what it says. */
static void write_signed(const char *path, const char *text)
{
    char all[1 << 14];
    const int length =
        snprintf(all, sizeof all, "%schecksum %016" PRIx64 "\n", text, oclin_cache_hash(text, strlen(text)));
    write_bytes(path, all, (size_t)length);
}

/* ------------------------------------------------------------------------------------------- contexts */

static int logged(const char *part)
{
    return strstr(context_log(), part) != NULL;
}

static void check_logged(const char *part)
{
    if (!logged(part)) fail_msg("\"%s\" does not stand in\n%s", part, context_log());
}

/* Small enough for every plan, and one pass on CPUs. */
static const struct oclin_shape small = {8, 40, 24};

/* The plan of a product on this context. */
static struct oclin_plan plan_of(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape)
{
    struct oclin_plan plan;
    const struct oclin_product p = oclin_plan_shaped(id, shape);
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    return plan;
}

static int one_pass(const oclin_context *ctx, struct oclin_shape shape)
{
    const struct oclin_product p = oclin_plan_shaped(OCLIN_KERNEL_GRADS, shape);
    return oclin_plan_one_pass(ctx, &p);
}

static int is_cpu(const oclin_context *ctx)
{
    return ctx->device.info.type == OCLIN_DEVICE_CPU;
}

/* forward, backward and the fused step of a layer against the reference. */
static void check_layer(oclin_context *ctx, struct oclin_shape s)
{
    struct rng rng = {42};
    const int64_t xs = s.batch * s.in, ys = s.batch * s.out, ws = s.in * s.out;
    float *x = new_array(float, xs), *dy = new_array(float, ys), *w = new_array(float, ws);
    float *got = new_array(float, xs + ys + ws), *b = new_array(float, s.out);
    double *want = new_array(double, xs + ys + ws), *bound = new_array(double, xs + ys + ws);
    double *new_w = new_array(double, ws), *new_bound = new_array(double, ws);
    fill_zero_mean(&rng, x, xs);
    fill_zero_mean(&rng, dy, ys);
    fill_zero_mean(&rng, w, ws);
    const struct oclin_ref_case c = RANDOM_CASE(s.batch, s.in, s.out);
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, s.in, s.out, &o));
    oclin_tensor *tx = make_tensor(ctx, OCLIN_F32, s.batch, s.in, x);
    oclin_tensor *tdx = make_tensor(ctx, OCLIN_F32, s.batch, s.in, NULL);
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, s.batch, s.out, NULL);
    oclin_tensor *tdy = make_tensor(ctx, OCLIN_F32, s.batch, s.out, dy);
    assert_ok(ctx, oclin_tensor_write(oclin_layer_w(l), w));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_b(l), b));

    assert_ok(ctx, oclin_layer_forward(l, tx, ty));
    assert_ok(ctx, oclin_tensor_read(ty, got));
    oclin_ref_forward(&c, x, w, b, NULL, NULL, want, bound);
    check_bound("y", s.batch, s.out, s.out, got, want, bound);

    assert_ok(ctx, oclin_layer_backward(l, tdy, tdx));
    assert_ok(ctx, oclin_tensor_read(tdx, got));
    oclin_ref_grad_x(&c, w, dy, NULL, want, bound);
    check_bound("dx", s.batch, s.in, s.in, got, want, bound);
    assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(l), got));
    oclin_ref_grad_w(&c, x, dy, NULL, want, bound);
    check_bound("dw", s.out, s.in, s.in, got, want, bound);

    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_layer_backward_step(l, tdy, tdx, 0.5f));
    assert_ok(ctx, oclin_tensor_read(oclin_layer_w(l), got));
    oclin_ref_step(NULL, ws, w, want, bound, 0.5f, new_w, new_bound);
    check_bound("w", s.out, s.in, s.in, got, new_w, new_bound);

    oclin_tensor *const tensors[] = {tx, tdx, ty, tdy};
    for (int i = 0; i < 4; i++) oclin_tensor_destroy(tensors[i]);
    oclin_layer_destroy(l);
    void *const all[] = {x, dy, w, got, b, want, bound, new_w, new_bound};
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
}

/* Puts entries into the folder's file, as oclin_tune() would. */
static void store(const struct oclin_tuned *entries, int count)
{
    oclin_context *ctx = make_context(NULL);
    struct oclin_tuning fresh = {NULL, 0};
    for (int i = 0; i < count; i++) assert_true(oclin_tuning_put(&fresh, &entries[i]));
    oclin_tuning_store(ctx, &fresh);
    oclin_tuning_free(&fresh);
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------------------------------- progress */

/* What was heard, and when to stop. */
struct listener {
    int events[OCLIN_TUNE_CHOSEN + 1], chosen_plain, stop_after /* so many events; 0: never */, bad;
    char skipped[600], chosen[400];
};
static const int at_choice = -1; /* a stop_after: at the first choice */

static int listen(void *user, const struct oclin_tune_progress *p)
{
    struct listener *h = user;
    const size_t length = strlen(h->chosen);
    h->bad |= p->size != sizeof *p || p->event > OCLIN_TUNE_CHOSEN || !p->product[0] || !p->plan[0];
    h->bad |= !isfinite(p->seconds) || !isfinite(p->gain) || p->gain <= 0.0;
    h->bad |= p->event == OCLIN_TUNE_CHOSEN && p->seconds <= 0.0;
    h->bad |= (p->event == OCLIN_TUNE_SKIPPED) != (p->why[0] != 0);
    h->events[p->event]++;
    if (p->event == OCLIN_TUNE_SKIPPED)
        snprintf(h->skipped, sizeof h->skipped, "%s %s: %.400s", p->product, p->plan, p->why);
    if (p->event == OCLIN_TUNE_CHOSEN)
        snprintf(h->chosen + length, sizeof h->chosen - length, "%s %s;", p->product, p->plan);
    if (h->stop_after == at_choice) return p->event == OCLIN_TUNE_CHOSEN;
    return h->stop_after > 0 && --h->stop_after == 0;
}

/* Seconds that no machine uses up, however busy it is: what a test expects must not depend on the clock. */
static const double enough = 1e9;

static oclin_status tune(oclin_context *ctx, struct oclin_shape s, double budget, struct listener *h)
{
    return oclin_tune(ctx, s.in, s.out, s.batch, budget, h ? listen : NULL, h);
}

/* ---------------------------------------------------------------------------------------- as intended */

static void test_finds(void **state)
{
    (void)state;
    struct folder f = make_folder();
    struct listener h = {{0}, 0, 0, 0, "", ""};
    oclin_context *ctx = make_context(NULL);
    const int products = is_cpu(ctx) ? 4 : 3;
    clear_context_log();
    assert_ok(ctx, tune(ctx, small, enough, &h));
    assert_int_equal(h.bad, 0);
    assert_int_equal(h.events[OCLIN_TUNE_CHOSEN], products);
    assert_true(h.events[OCLIN_TUNE_CHECKED] > products); /* there was a choice */
    assert_true(h.events[OCLIN_TUNE_TIMED] >= 3 * products);
    assert_true(h.events[OCLIN_TUNE_MEASURED] >= products);
    assert_int_equal(h.events[OCLIN_TUNE_SKIPPED], 0);
    assert_non_null(strstr(h.chosen, "forward "));
    assert_non_null(strstr(h.chosen, "grad_w "));
    assert_int_equal(ctx->tuning->count, products);
    check_logged("tuning: stored ");
    check_layer(ctx, small);

    clear_context_log();
    oclin_context *next = make_context(NULL);
    check_logged("tuning: ");
    assert_int_equal(next->tuning->count, products);
    for (int i = 0; i < products; i++)
        assert_string_equal(next->tuning->entries[i].plan, ctx->tuning->entries[i].plan);
    check_layer(next, small);
    oclin_context_destroy(ctx);
    oclin_context_destroy(next);
    free_folder(&f);
}

/* The plan of the table runs, for its shape alone, and is right. */
static void test_used(void **state)
{
    (void)state;
    struct folder f = make_folder();
    const struct oclin_tuned entries[] = {
        {OCLIN_KERNEL_FORWARD, small, "plain", 2, 1},
        {OCLIN_KERNEL_GRAD_X, small, "plain", 2, 1},
        {OCLIN_KERNEL_GRAD_W, small, "plain", 2, 1},
        {OCLIN_KERNEL_GRADS, small, "two-products", 2, 1},
    };
    store(entries, COUNT_OF(entries));
    clear_context_log();
    oclin_context *ctx = make_context(NULL);
    assert_int_equal(ctx->tuning->count, 4);
    for (int id = OCLIN_KERNEL_FORWARD; id <= OCLIN_KERNEL_GRAD_W; id++) {
        assert_int_equal(plan_of(ctx, (enum oclin_kernel_id)id, small).tile.family, OCLIN_PLAIN);
        for (int d = 0; d < 3; d++) {
            const struct oclin_shape other = {small.batch + (d == 0), small.in + (d == 1),
                                              small.out + (d == 2)};
            assert_int_not_equal(plan_of(ctx, (enum oclin_kernel_id)id, other).tile.family, OCLIN_PLAIN);
        }
    }
    assert_int_equal(one_pass(ctx, small), 0);
    check_layer(ctx, small);
    check_logged("forward_plain");
    check_logged("grad_x_plain");
    check_logged("grad_w_plain");
    assert_false(logged("grads_"));
    const struct oclin_shape other = {small.batch + 1, small.in, small.out};
    assert_int_equal(one_pass(ctx, other), is_cpu(ctx));
    check_layer(ctx, other);
    oclin_context_destroy(ctx);

    ctx = make_context("simd"); /* by name: the file is not looked at */
    assert_int_equal(ctx->tuning->count, 0);
    assert_int_not_equal(plan_of(ctx, OCLIN_KERNEL_FORWARD, small).tile.family, OCLIN_PLAIN);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Every plan that may win is right when the table names it. */
static void test_every_plan(void **state)
{
    (void)state;
    static const struct oclin_shape shapes[] = {{8, 40, 24}, {33, 70, 50}};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        const char *names[3][OCLIN_MOST_CANDIDATES];
        int counts[3], most = 0;
        oclin_context *ctx = make_context(NULL);
        for (int id = 0; id < 3; id++) {
            counts[id] = oclin_plan_candidates(ctx, (enum oclin_kernel_id)id, shapes[i], names[id]);
            if (counts[id] > most) most = counts[id];
        }
        assert_true(most > 1);
        for (int n = 0; n < most; n++) {
            struct oclin_tuned t = {OCLIN_KERNEL_GRADS, shapes[i], "two-products", 2, 1};
            assert_true(oclin_tuning_put(ctx->tuning, &t));
            for (int id = 0; id < 3; id++) {
                t.id = (enum oclin_kernel_id)id;
                snprintf(t.plan, sizeof t.plan, "%s", names[id][n < counts[id] ? n : 0]);
                assert_true(oclin_tuning_put(ctx->tuning, &t));
            }
            check_layer(ctx, shapes[i]);
        }
        oclin_context_destroy(ctx);
    }
}

/* Entries of other shapes stay, also those that another context has stored meanwhile. */
static void test_merged(void **state)
{
    (void)state;
    struct folder f = make_folder();
    const struct oclin_shape other = {5, 6, 7};
    const struct oclin_tuned first[] = {{OCLIN_KERNEL_FORWARD, small, "plain", 20, 10},
                                        {OCLIN_KERNEL_GRAD_X, small, "plain", 20, 10}};
    const struct oclin_tuned second[] = {{OCLIN_KERNEL_FORWARD, other, "plain", 20, 10},
                                         {OCLIN_KERNEL_GRAD_X, small, "", 30, 30}};
    oclin_context *early = make_context(NULL);
    store(first, 2);
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
    struct oclin_tuned t = {OCLIN_KERNEL_FORWARD, small, "plain", 2, 1};
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

/* reserve(batch) is enough for what is tuned to need more at a smaller batch. */
static void test_workspace(void **state)
{
    (void)state;
    oclin_context *ctx = make_context(NULL);
    oclin_layer *l;
    int64_t before, after, smaller;
    const struct oclin_tuned t = {OCLIN_KERNEL_FORWARD, small, "simd-packed", 2, 1};
    assert_ok(ctx, oclin_layer_create(&l, ctx, small.in, small.out, NULL));
    assert_ok(ctx, oclin_layer_workspace(l, small.batch + 4, &before));
    assert_true(oclin_tuning_put(ctx->tuning, &t));
    assert_ok(ctx, oclin_layer_workspace(l, small.batch + 4, &after));
    assert_ok(ctx, oclin_layer_workspace(l, small.batch - 1, &smaller));
    assert_int_equal(smaller, before);
    if (is_cpu(ctx)) {
        assert_true(after > before);
        assert_ok(ctx, oclin_layer_reserve(l, small.batch + 4));
        const size_t reserved = ctx->scratch_bytes;
        check_layer(ctx, small);
        assert_int_equal(ctx->scratch_bytes, reserved);
    }
    oclin_layer_destroy(l);
    oclin_context_destroy(ctx);
}

/* -------------------------------------------------------------------------------------------- the file */

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

static void store_one(void)
{
    const struct oclin_tuned t = {OCLIN_KERNEL_FORWARD, small, "plain", 20, 10};
    store(&t, 1);
}

static void check_accepted(int count)
{
    oclin_context *ctx = make_context(NULL);
    assert_int_equal(ctx->tuning->count, count);
    oclin_context_destroy(ctx);
}

static void test_damaged(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    size_t length;
    store_one();
    check_accepted(1);
    assert_true(tuning_file(&f, path));
    char *text = read_text(path, &length);
    for (size_t at = 0; at < length; at++) { /* every byte */
        text[at] ^= 1;
        write_bytes(path, text, length);
        text[at] ^= 1;
        clear_context_log();
        oclin_context *ctx = make_context(NULL);
        assert_int_equal(ctx->tuning->count, 0);
        check_logged("; it is not used");
        oclin_context_destroy(ctx);
    }
    for (size_t cut = 0; cut < length; cut++) {
        write_bytes(path, text, cut);
        clear_context_log();
        oclin_context *ctx = make_context(NULL);
        assert_int_equal(ctx->tuning->count, 0);
        check_logged("; it is not used");
        oclin_context_destroy(ctx);
    }
    text[length / 2] = 0;
    write_bytes(path, text, length);
    check_refused("is cut off");
    store_one();
    check_accepted(1);
    free(text);
    free_folder(&f);
}

/* The file's head, up to its entries, and where it is. */
static char *head_of_file(const struct folder *f, char path[PATH_BYTES])
{
    size_t length;
    store_one();
    assert_true(tuning_file(f, path));
    char *text = read_text(path, &length), *entries = strstr(text, "\nforward ");
    assert_non_null(entries);
    entries[1] = 0;
    return text;
}

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
    const struct oclin_tuned entry = {OCLIN_KERNEL_FORWARD, small, "plain", 20, 10};
    store(&entry, 1);
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
static const char *const bad_lines[] = {
    "forward 8 40 24 simd-warp 20 10",
    "forward 8 40 24 two-products 20 10",
    "backward 8 40 24 plain 20 10",
    "backward 4000 40 24 two-products 20 10",
    "sideways 8 40 24 plain 20 10",
    "forward -8 40 24 plain 20 10",
    "forward 0 40 24 plain 20 10",
    "forward 8 40 99999999999999999999 plain 20 10",
    "forward 8 40 9999999999999999 plain 20 10",
    "forward nan 40 24 plain 20 10",
    "forward 8 40 24 plain nan 10",
    "forward 8 40 24 plain inf 10",
    "forward 8 40 24 plain 20 -10",
    "forward 8 40 24 plain 20 0",
    "forward 8 40 24 plain 2e1 10",
    "forward 0x8 40 24 plain 20 10",
    "forward 8  40 24 plain 20 10",
    "forward 8 40 24  20 10", /* no plan between the blanks */
    "forward 8 40 24 plain 20",
    "forward 8 40 24 plain 20 10 30",
    "forward 8 40 24 plain 20 10 ",
    "forward 8 40 24",
    "forward",
    " ",
    "",
    "forward 8 40 24 a-plan-whose-name-is-much-longer-than-a-plan 20 10",
    "grad_w 1 1 1 plain 30 20", /* again */
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
        const char *line = i < COUNT_OF(bad_lines) ? bad_lines[i] : longest;
        snprintf(text, sizeof text, "%sgrad_w 1 1 1 plain 20 10\n%s\ngrad_x 1 1 1 default 20 20\n", head,
                 line);
        write_signed(path, text);
        clear_context_log();
        oclin_context *ctx = make_context(NULL);
        if (ctx->tuning->count != 2) fail_msg("%d entries with the line '%s'", ctx->tuning->count, line);
        check_logged("tuning: entry 2 has ");
        const struct oclin_shape one = {1, 1, 1};
        const struct oclin_tuned *t = oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_GRAD_W, one);
        assert_non_null(t);
        assert_int_equal(t->ns, 20);
        assert_int_equal(plan_of(ctx, OCLIN_KERNEL_FORWARD, small).tile.family,
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

static void test_no_folder(void **state)
{
    (void)state;
    struct listener h = {{0}, 0, 0, 0, "", ""};
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

/* -------------------------------------------------------------------------------------------- the call */

static void test_arguments(void **state)
{
    (void)state;
    static const double budgets[] = {0.0, -1.0, NAN, INFINITY, -INFINITY};
    oclin_context *ctx = make_context(NULL);
    const int64_t before = faults_alive_cl();
    assert_int_equal(oclin_tune(NULL, 4, 4, 4, 1.0, NULL, NULL), OCLIN_E_ARG);
    for (size_t i = 0; i < COUNT_OF(budgets); i++)
        assert_refused(ctx, OCLIN_E_ARG, "a finite number above 0", tune(ctx, small, budgets[i], NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "at least 1", oclin_tune(ctx, 0, 4, 4, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "at least 1", oclin_tune(ctx, 4, -1, 4, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "at least 1", oclin_tune(ctx, 4, 4, 0, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "overflow", oclin_tune(ctx, INT64_MAX, 4, 4, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "overflow", oclin_tune(ctx, 4, 4, INT64_MAX, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "overflow",
                   oclin_tune(ctx, INT64_MAX / 16, INT64_MAX / 16, 4, 1.0, NULL, NULL));
    assert_refused(ctx, OCLIN_E_SHAPE, "largest buffer",
                   oclin_tune(ctx, 1 << 26, 1 << 26, 1, 1.0, NULL, NULL));
    assert_int_equal(faults_alive_cl(), before);
    assert_int_equal(ctx->tuning->count, 0);
    check_layer(ctx, small);
    oclin_context_destroy(ctx);

    ctx = make_context("plain");
    assert_refused(ctx, OCLIN_E_STATE, "'plain'", tune(ctx, small, 1.0, NULL));
    oclin_context_destroy(ctx);
}

/* Next to no time: nothing is decided, nothing is wrong. */
static void test_little_time(void **state)
{
    (void)state;
    struct folder f = make_folder();
    char path[PATH_BYTES];
    oclin_context *ctx = make_context(NULL);
    assert_ok(ctx, tune(ctx, small, 1e-9, NULL));
    assert_int_equal(ctx->tuning->count, 0);
    assert_int_equal(tuning_file(&f, path), 0);
    check_layer(ctx, small);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Ended at the first event, at some later one, and at the first choice, which stays. */
static void test_cancelled(void **state)
{
    (void)state;
    struct folder f = make_folder();
    oclin_context *ctx = make_context(NULL);
    const int64_t before = faults_alive_cl();
    for (int stop = 1; stop < 30; stop += 7) {
        struct listener h = {{0}, 0, stop, 0, "", ""};
        assert_refused(ctx, OCLIN_E_STATE, "progress function ended", tune(ctx, small, enough, &h));
        assert_int_equal(faults_alive_cl(), before);
    }
    assert_int_equal(ctx->tuning->count, 0);
    struct listener h = {{0}, 0, at_choice, 0, "", ""};
    assert_refused(ctx, OCLIN_E_STATE, "progress function ended", tune(ctx, small, enough, &h));
    assert_int_equal(ctx->tuning->count, 1);
    check_accepted(1);
    assert_int_equal(faults_alive_cl(), before);
    check_layer(ctx, small);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* The context's tensors, kernels, scratch memory and switches are as before; so is an error of before forgotten. */
static void test_leaves_nothing(void **state)
{
    (void)state;
    oclin_context *ctx = make_context(NULL);
    float host[6] = {1, 2, 3, 4, 5, 6}, got[6];
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 2, 3, host);
    check_layer(ctx, small);
    assert_refused(ctx, OCLIN_E_ARG, "NULL", oclin_tensor_write(t, NULL));
    ctx->verify = 1; /* is for the caller's operations: as timings go it would be a catastrophe */
    const int64_t before = faults_alive_cl();
    const size_t scratch = ctx->scratch_bytes;
    const struct oclin_program *programs = ctx->programs;
    assert_ok(ctx, tune(ctx, small, 5.0, NULL));
    assert_int_equal(faults_alive_cl(), before);
    assert_int_equal(ctx->scratch_bytes, scratch);
    assert_ptr_equal(ctx->programs, programs);
    assert_int_equal(ctx->verify, 1);
    assert_string_equal(ctx->plan.name, "");
    assert_string_equal(oclin_context_error(ctx), "");
    assert_int_equal(ctx->references, 2); /* the caller's, the tensor's */
    assert_ok(ctx, oclin_tensor_read(t, got));
    check_same_bits("t", got, host, 6);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------------------------------ what is wrong */

/* `from` becomes `to`, everywhere, in a copy of the kernel text in the folder. */
static void write_mistake(const struct folder *f, const char *file, const char *from, const char *to)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", f->path, file);
    const char *text = built_in(file), *at = strstr(text, from);
    if (!at) fail_msg("%s has no '%s'", file, from);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    for (; (at = strstr(text, from)) != NULL; text = at + strlen(from))
        fprintf(out, "%.*s%s", (int)(at - text), text, to);
    fprintf(out, "%s", text);
    assert_int_equal(fclose(out), 0);
}

static oclin_context *context_with_kernels(const struct folder *f)
{
    setenv("OCLIN_CACHE_DIR", "", 1);
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.cl_dir = f->path;
    oclin_context *ctx = make_context_with(o);
    clear_context_log();
    return ctx;
}

/* Never wins, and is named with product and plan. */
static void test_wrong_candidate(void **state)
{
    (void)state;
    struct folder f = make_folder();
    write_mistake(&f, "product_simd.cl", "MULTIPLY_ADD((real)(a", "MULTIPLY_ADD((real)(1.01f * a");
    oclin_context *ctx = context_with_kernels(&f);
    if (is_cpu(ctx)) {
        struct listener h = {{0}, 0, 0, 0, "", ""};
        const int64_t before = faults_alive_cl();
        /* grad_x and grad_w have the plain kernels left */
        assert_ok(ctx, tune(ctx, small, enough, &h));
        assert_true(h.events[OCLIN_TUNE_SKIPPED] > 0);
        assert_int_equal(h.bad, 0);
        /* forward's kernels for small batches are right, and may be the fastest */
        static const char *const wrong[] = {"simd-whole", "simd-packed", "simd-mixed",
                                            "simd-4;",    "simd-8;",     "simd-16;"};
        for (size_t i = 0; i < COUNT_OF(wrong); i++) assert_null(strstr(h.chosen, wrong[i]));
        assert_non_null(strstr(h.chosen, "grad_x plain;"));
        assert_non_null(strstr(h.chosen, "grad_w plain;"));
        assert_non_null(strstr(h.skipped, "the reference says"));
        check_logged("tuning: grad_x with plan default: dx[");
        check_logged("tuning: forward with plan simd-whole: y[");
        assert_int_equal(plan_of(ctx, OCLIN_KERNEL_GRAD_W, small).tile.family, OCLIN_PLAIN);
        assert_int_equal(faults_alive_cl(), before);
        check_layer(ctx, small); /* not a wrong kernel among those in use */
        clear_context_log();
        oclin_tuning_store(ctx, ctx->tuning);
        check_logged("tuning: not stored: ");
    }
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* The default is wrong: the fastest plan that is right takes its place. */
static void test_wrong_default(void **state)
{
    (void)state;
    struct folder f = make_folder();
    write_mistake(&f, "forward_skinny.cl", "MULTIPLY_ADD(", "(1.01f) * MULTIPLY_ADD(");
    oclin_context *ctx = context_with_kernels(&f);
    if (is_cpu(ctx)) {
        struct listener h = {{0}, 0, 0, 0, "", ""};
        assert_ok(ctx, tune(ctx, small, enough, &h));
        check_logged("tuning: forward with plan default: y[");
        assert_int_not_equal(plan_of(ctx, OCLIN_KERNEL_FORWARD, small).tile.family, OCLIN_SKINNY);
        assert_null(strstr(h.chosen, "forward default"));
        check_layer(ctx, small);
    }
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Every plan is wrong: nothing to be had, and it says so. */
static void test_all_wrong(void **state)
{
    (void)state;
    struct folder f = make_folder();
    write_mistake(&f, "forward.cl", "sum += load_lanes(v, lanes)", "sum += 0.5f");
    write_mistake(&f, "forward_skinny.cl", "MULTIPLY_ADD(", "(1.01f) * MULTIPLY_ADD(");
    oclin_context *ctx = context_with_kernels(&f);
    const int64_t before = faults_alive_cl();
    assert_refused(ctx, OCLIN_E_VERIFY, "no plan for forward runs and is right",
                   tune(ctx, small, enough, NULL));
    assert_int_equal(faults_alive_cl(), before);
    assert_int_equal(ctx->tuning->count, 0);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

static void test_does_not_build(void **state)
{
    (void)state;
    struct folder f = make_folder();
    write_mistake(&f, "product_simd.cl", "MULTIPLY_ADD((real)(a", "no such thing((real)(a");
    oclin_context *ctx = context_with_kernels(&f);
    if (is_cpu(ctx)) {
        struct listener h = {{0}, 0, 0, 0, "", ""};
        assert_ok(ctx, tune(ctx, small, enough, &h));
        assert_true(h.events[OCLIN_TUNE_SKIPPED] > 0);
        assert_null(strstr(h.chosen, "simd"));
        assert_non_null(strstr(h.skipped, "simd"));
        check_layer(ctx, small);
    }
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* A call of the driver fails, each in turn: a status, nothing lost, and the context works. */
static void test_faults(void **state)
{
    (void)state;
    static const struct {
        const char *call;
        cl_int code;
        enum fault_how how;
        int last;
    } faults[] = {{"clCreateBuffer", CL_MEM_OBJECT_ALLOCATION_FAILURE, FAULT_BEFORE, 12},
                  {"clEnqueueNDRangeKernel", CL_OUT_OF_RESOURCES, FAULT_BEFORE, 24},
                  {"clFinish", CL_OUT_OF_RESOURCES, FAULT_AFTER, 8},
                  {"clEnqueueReadBuffer", CL_OUT_OF_RESOURCES, FAULT_BEFORE, 8}};
    struct folder f = make_folder(); /* kernels need not be built each time */
    oclin_context *ctx = make_context(NULL);
    float host[6] = {1, 2, 3, 4, 5, 6}, got[6];
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 2, 3, host);
    check_layer(ctx, small);
    const int64_t before = faults_alive_cl();
    int refused = 0;
    for (size_t i = 0; i < COUNT_OF(faults); i++)
        for (int n = 0; n < faults[i].last; n += n < 8 ? 1 : 4) {
            struct listener h = {{0}, 0, 16, 0, "", ""};
            faults_fail_call(faults[i].call, n, faults[i].code, faults[i].how);
            const oclin_status status = tune(ctx, small, enough, &h);
            faults_end();
            refused += status != OCLIN_OK && status != OCLIN_E_STATE;
            if ((oclin_context_error(ctx)[0] != 0) != (status != OCLIN_OK))
                fail_msg("call %d of %s: %s with '%s'", n, faults[i].call, oclin_status_name(status),
                         oclin_context_error(ctx));
            assert_int_equal(faults_alive_cl(), before);
            assert_int_equal(ctx->lost, 0);
            if (faults[i].how == FAULT_AFTER && n == 0)
                assert_ok(ctx, oclin_tensor_write(t, host)); /* the caller's own finish */
            assert_ok(ctx, oclin_tensor_read(t, got));
            check_same_bits("t", got, host, 6);
        }
    assert_true(refused > 0);
    check_layer(ctx, small);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* Fails the first build behind grad_w's second plan, and hears what comes of it. */
struct stumble {
    int checked, event;
    const char *failed; /* NULL: not yet */
    char product[32], plan[32];
};

static int stumble(void *user, const struct oclin_tune_progress *p)
{
    struct stumble *h = user;
    if (h->checked == 2) {
        h->failed = faults_failed();
        faults_end();
        h->event = (int)p->event;
        snprintf(h->product, sizeof h->product, "%s", p->product);
        snprintf(h->plan, sizeof h->plan, "%s", p->plan);
        return 1; /* that is all */
    }
    h->checked += p->event == OCLIN_TUNE_CHECKED && strcmp(p->product, "grad_w") == 0;
    if (h->checked == 2) faults_fail_call("clBuildProgram", 0, CL_BUILD_PROGRAM_FAILURE, FAULT_BEFORE);
    return 0;
}

/* Whether the device has the local memory for it. */
static int may_be_one_pass(oclin_context *ctx, struct oclin_shape s)
{
    const struct oclin_tuned named = {OCLIN_KERNEL_GRADS, s, "one-pass", 2, 1};
    assert_true(oclin_tuning_put(ctx->tuning, &named));
    const int may = one_pass(ctx, s);
    oclin_tuning_free(ctx->tuning);
    return may;
}

/* One pass that cannot be built is two products also where plans with names were tried before: nobody has named this one. */
static void test_backward_does_not_build(void **state)
{
    (void)state;
    const struct oclin_shape s = {32, 128, 128};
    oclin_context *ctx = make_context(NULL);
    if (is_cpu(ctx) && may_be_one_pass(ctx, s)) {
        struct stumble h = {0, -1, NULL, "", ""};
        assert_int_equal(one_pass(ctx, s), 0); /* so that it is tried behind others */
        clear_context_log();
        assert_refused(ctx, OCLIN_E_STATE, "", oclin_tune(ctx, s.in, s.out, s.batch, enough, stumble, &h));
        assert_string_equal(h.product, "backward");
        assert_string_equal(h.plan, "one-pass");
        assert_non_null(h.failed);
        check_logged("grads_skinny");
        assert_int_equal(h.event, OCLIN_TUNE_CHECKED);
        check_layer(ctx, s);
    }
    oclin_context_destroy(ctx);
    faults_end();
}

/* --------------------------------------------------------------------------------------- a scripted clock */

/* A launch of forward by its default, and by the plan "plain", takes so long in each round; of any other
 * kernel a hundred times as long. Nothing else takes time, so that it is known before what must be chosen. */
enum { ROUNDS = 21 };
/* Longer than the shortest timing, so that there is one launch a timing; sums of it are exact. */
static const double usual = 0.03125;

static struct script {
    double of_default[ROUNDS], of_plain[ROUNDS];
    int rounds_left;               /* the time is over when so many rounds are; 0: never */
    int checks_in_half;            /* half of it is when so many plans are checked; 0: not by this */
    int checked;                   /* plans of all products */
    double now;                    /* what the clock says */
    int round;                     /* of forward, that is over */
    int of_plain_timed;            /* rounds in which "plain" took part */
    char chosen[32], skipped[200]; /* for forward; why "plain" was skipped */
} script;

static double script_now(void)
{
    return script.now;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *offset, const size_t *global, const size_t *local, cl_uint waits,
                              const cl_event *wait, cl_event *event)
{
    cl_int (*real)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                   cl_uint, const cl_event *, cl_event *);
    char name[128] = "";
    find_real("clEnqueueNDRangeKernel", &real);
    clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
    const int round = script.round < ROUNDS ? script.round : ROUNDS - 1;
    script.now += strcmp(name, "forward_skinny") == 0  ? script.of_default[round]
                  : strcmp(name, "forward_plain") == 0 ? script.of_plain[round]
                                                       : 100.0 * usual;
    return real(queue, kernel, dimensions, offset, global, local, waits, wait, event);
}

/* Counts rounds; ends the tuning when forward is decided. */
static int follow(void *user, const struct oclin_tune_progress *p)
{
    (void)user;
    script.checked += p->event == OCLIN_TUNE_CHECKED;
    if (script.checks_in_half && script.checked == script.checks_in_half && script.round == 0)
        script.now = 0.6 * enough;
    if (strcmp(p->product, "forward") != 0) return 0;
    const int is_plain = strcmp(p->plan, "plain") == 0;
    script.of_plain_timed += is_plain && p->event == OCLIN_TUNE_TIMED;
    if (p->event == OCLIN_TUNE_TIMED && strcmp(p->plan, "default") == 0) script.round++;
    if (script.rounds_left && script.round == script.rounds_left) script.now = 2 * enough;
    if (p->event == OCLIN_TUNE_CHOSEN) snprintf(script.chosen, sizeof script.chosen, "%s", p->plan);
    return p->event == OCLIN_TUNE_CHOSEN;
}

/* Both take as long as usual in every round. */
static void begin_script(void)
{
    memset(&script, 0, sizeof script);
    for (int i = 0; i < ROUNDS; i++) script.of_default[i] = script.of_plain[i] = usual;
}

/* Tunes forward by the script, always in the same context, whose kernels are built once. 0: the device has
 * another default than the script. */
static oclin_context *scripted;

static int run_script(void)
{
    if (!scripted) scripted = make_context(NULL);
    oclin_context *ctx = scripted;
    oclin_tuning_free(ctx->tuning); /* of the run before */
    const int fits = plan_of(ctx, OCLIN_KERNEL_FORWARD, small).tile.family == OCLIN_SKINNY;
    clear_context_log();
    if (fits) {
        faults_keep_builds(1);
        faults_clock_of(script_now);
        const oclin_status status = oclin_tune(ctx, small.in, small.out, small.batch, enough, follow, NULL);
        faults_clock_of(NULL);
        assert_status(ctx, script.chosen[0] ? OCLIN_E_STATE : OCLIN_OK, status);
        const struct oclin_tuned *t = oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_FORWARD, small);
        assert_int_equal(t != NULL, script.chosen[0] != 0);
        if (t) assert_string_equal(t->plan[0] ? t->plan : "default", script.chosen);
    }
    return fits;
}

/* A plan that is faster by no more than 3 % in the middle does not win. */
static void test_least_gain(void **state)
{
    static const struct {
        double gain;
        const char *chosen;
    } rows[] = {{1.0, "default"}, {1.01, "default"}, {1.029, "default"}, {1.031, "plain"},
                {1.1, "plain"},   {3.0, "plain"},    {0.97, "default"},  {0.5, "default"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin_script();
        for (int round = 0; round < ROUNDS; round++) script.of_plain[round] = usual / rows[i].gain;
        if (!run_script()) skip();
        if (strcmp(script.chosen, rows[i].chosen) != 0) fail_msg("gain %g: %s", rows[i].gain, script.chosen);
    }
}

/* Nor one that is much faster in the middle, but not in three of four rounds. To be as fast is not to be
 * faster. */
static void test_most_rounds(void **state)
{
    static const struct {
        int faster;
        double otherwise; /* times the usual one */
        const char *chosen;
    } rows[] = {{21, 1.0, "plain"},     {16, 1.125, "plain"}, {15, 1.125, "default"},
                {11, 1.125, "default"}, {16, 1.0, "plain"},   {15, 1.0, "default"}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin_script();
        for (int round = 0; round < ROUNDS; round++)
            script.of_plain[round] = usual * (round < rows[i].faster ? 0.75 : rows[i].otherwise);
        if (!run_script()) skip();
        if (strcmp(script.chosen, rows[i].chosen) != 0)
            fail_msg("faster in %d rounds: %s", rows[i].faster, script.chosen);
    }
}

/* It is the middle that counts: not the mean, which one slow round moves, nor the best, which one fast round
 * makes. */
static void test_median(void **state)
{
    (void)state;
    begin_script();
    for (int round = 0; round < ROUNDS; round++) script.of_plain[round] = usual * (round < 18 ? 0.9 : 50.0);
    if (!run_script()) skip();
    assert_string_equal(script.chosen, "plain");
    begin_script();
    for (int round = 0; round < ROUNDS; round++) script.of_plain[round] = usual * (round < 18 ? 0.99 : 0.1);
    assert_true(run_script());
    assert_string_equal(script.chosen, "default");
}

/* Two rounds are too few, three are enough; and what is hopeless after three is not timed further. */
static void test_rounds(void **state)
{
    (void)state;
    for (int rounds = 1; rounds <= 4; rounds++) {
        begin_script();
        script.rounds_left = rounds;
        for (int round = 0; round < ROUNDS; round++) script.of_plain[round] = usual / 2;
        if (!run_script()) skip();
        assert_string_equal(script.chosen, rounds < 3 ? "" : "plain");
        assert_int_equal(script.of_plain_timed, rounds);
    }
    for (int hopeless = 0; hopeless < 2; hopeless++) {
        begin_script();
        for (int round = 0; round < ROUNDS; round++)
            script.of_plain[round] = usual * (hopeless ? 1.26 : 1.24);
        assert_true(run_script());
        assert_string_equal(script.chosen, "default");
        assert_int_equal(script.of_plain_timed, hopeless ? 3 : ROUNDS);
    }
}

/* Building and checking may take half of the time, but the defaults of all products are checked in any case. */
static void test_half_for_checks(void **state)
{
    static const int in_half[] = {1, 3, 4, 5, 7};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(in_half); i++) {
        begin_script();
        script.checks_in_half = in_half[i];
        if (!run_script()) skip();
        assert_int_equal(script.checked, in_half[i] < 4 ? 4 : in_half[i]);
        assert_string_equal(script.chosen, "default");
    }
}

/* ---------------------------------------------------------------------------------- what a check must see */

/* Ends the tuning when forward's plan "plain" is built and checked, or skipped. */
static int until_plain(void *user, const struct oclin_tune_progress *p)
{
    (void)user;
    if (strcmp(p->product, "forward") != 0 || strcmp(p->plan, "plain") != 0) return 0;
    snprintf(script.skipped, sizeof script.skipped, "%.150s", p->why);
    return 1;
}

/* The plan "plain" of forward, with this mistake in its text, is skipped for that reason. */
static void check_plain_skipped(struct oclin_shape s, const char *from, const char *to, const char *why)
{
    struct folder f = make_folder();
    begin_script();
    write_mistake(&f, "product_plain.cl", from, to);
    oclin_context *ctx = context_with_kernels(&f);
    assert_refused(ctx, OCLIN_E_STATE, "forward with plan plain",
                   oclin_tune(ctx, s.in, s.out, s.batch, enough, until_plain, NULL));
    if (!strstr(script.skipped, why)) fail_msg("'%s' does not say '%s'", script.skipped, why);
    oclin_context_destroy(ctx);
    free_folder(&f);
}

/* A NaN anywhere is seen, also where nothing is compared with the reference: of 200 columns 96 are. */
static void test_nan_beside_samples(void **state)
{
    static const struct oclin_shape wide = {8, 40, 200};
    char to[120];
    (void)state;
    for (int column = 0; column < 3; column++) {
        snprintf(to, sizeof to, "return column == %d ? NAN : b[column * b_stride + k];", column);
        check_plain_skipped(wide, "return b[column * b_stride + k];", to, "nan");
    }
}

/* Results hold NaN before each candidate: one that writes nothing does not live on what the one before it has
 * left. */
static void test_poison_before_each(void **state)
{
    (void)state;
    check_plain_skipped(small, "if (item >= m * n) return;", "if (item >= 0) return;", "nan");
}

/* The tuner's own context is as the caller's, whatever the environment has become: its kernels, its checks,
 * its plan. */
static void test_environment(void **state)
{
    static const char *const names[] = {"OCLIN_CL_DIR", "OCLIN_VERIFY", "OCLIN_PLAN", "OCLIN_DEVICE"};
    (void)state;
    const char *was = getenv("OCLIN_DEVICE");
    char *device = was ? strdup(was) : NULL;
    struct folder f = make_folder();
    setenv("OCLIN_CACHE_DIR", "", 1);
    write_mistake(&f, "forward.cl", "sum += load_lanes(v, lanes)", "sum += 0.5f");
    oclin_context *ctx = make_context(NULL);
    const char *const values[] = {f.path, "1", "simd-16", "no such device"};
    struct listener h = {{0}, 0, 0, 0, "", ""};
    clear_context_log();
    for (size_t i = 0; i < COUNT_OF(names); i++) setenv(names[i], values[i], 1);
    faults_clock(usual); /* a look at the clock takes so long, whatever happens between two */
    const oclin_status status = tune(ctx, small, enough, &h);
    faults_clock(0.0);
    for (size_t i = 0; i < COUNT_OF(names); i++) unsetenv(names[i]);
    if (device) setenv("OCLIN_DEVICE", device, 1);
    assert_ok(ctx, status);
    assert_int_equal(h.events[OCLIN_TUNE_SKIPPED], 0);
    assert_false(logged("replaces the built-in"));
    check_layer(ctx, small);
    oclin_context_destroy(ctx);
    free_folder(&f);
    free(device);
}

/* A context with kernels of a folder tunes these kernels; and what is known of them is not what others use,
 * nor the other way round: the file is neither read nor written. */
static void test_kernels_of_folder(void **state)
{
    (void)state;
    struct folder f = make_folder(), kernels = make_folder();
    char path[PATH_BYTES];
    size_t length[2];
    setenv("OCLIN_CACHE_DIR", f.path, 1);
    store_one();
    check_accepted(1);
    assert_true(tuning_file(&f, path));
    char *before = read_text(path, &length[0]);
    write_mistake(&kernels, "forward.cl", "forward:", "forward as well:");
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.cl_dir = kernels.path;
    oclin_context *ctx = make_context_with(o);
    assert_int_equal(ctx->tuning->count, 0);
    struct listener h = {{0}, 0, 0, 0, "", ""};
    clear_context_log();
    faults_clock(usual);
    const oclin_status status = tune(ctx, small, enough, &h);
    faults_clock(0.0);
    assert_ok(ctx, status);
    check_logged("replaces the built-in forward.cl");
    check_logged("tuning: not stored: kernels are replaced");
    assert_true(ctx->tuning->count >= 3);
    char *after = read_text(path, &length[1]);
    assert_int_equal(length[0], length[1]);
    assert_memory_equal(before, after, length[0]);
    free(before);
    free(after);
    oclin_context_destroy(ctx);
    free_folder(&kernels);
    free_folder(&f);
}

static void add_rules(struct test_list *list)
{
    add_test(list, test_least_gain, NULL, "rules/more than 3 percent");
    add_test(list, test_most_rounds, NULL, "rules/faster in most rounds");
    add_test(list, test_median, NULL, "rules/the median");
    add_test(list, test_rounds, NULL, "rules/how many rounds");
    add_test(list, test_half_for_checks, NULL, "rules/half of the time for checks");
    add_test(list, test_nan_beside_samples, NULL, "rules/NaN beside the samples");
    add_test(list, test_poison_before_each, NULL, "rules/poison before each");
    add_test(list, test_environment, NULL, "rules/the environment is ignored");
    add_test(list, test_kernels_of_folder, NULL, "rules/kernels of a folder");
}

int main(int argc, char **argv)
{
    unsetenv("OCLIN_PLAN"); /* with it there is nothing to tune */
    struct test_list list = {NULL, 0, 0};
    add_test(&list, test_finds, NULL, "finds");
    add_test(&list, test_used, NULL, "used");
    add_test(&list, test_every_plan, NULL, "every plan");
    add_test(&list, test_merged, NULL, "table/merged");
    add_test(&list, test_many, NULL, "table/many");
    add_test(&list, test_workspace, NULL, "workspace");
    add_test(&list, test_damaged, NULL, "file/damaged");
    add_test(&list, test_foreign, NULL, "file/foreign");
    add_test(&list, test_facts_are_key, NULL, "file/facts are the key");
    add_test(&list, test_bad_lines, NULL, "file/bad lines");
    add_test(&list, test_does_not_fit, NULL, "file/does not fit");
    add_test(&list, test_no_folder, NULL, "file/no folder");
    add_test(&list, test_arguments, NULL, "arguments");
    add_test(&list, test_little_time, NULL, "little time");
    add_test(&list, test_cancelled, NULL, "cancelled");
    add_test(&list, test_leaves_nothing, NULL, "leaves nothing");
    add_test(&list, test_wrong_candidate, NULL, "wrong/candidate");
    add_test(&list, test_wrong_default, NULL, "wrong/default");
    add_test(&list, test_all_wrong, NULL, "wrong/all");
    add_test(&list, test_does_not_build, NULL, "wrong/does not build");
    add_test(&list, test_backward_does_not_build, NULL, "wrong/backward does not build");
    add_test(&list, test_faults, NULL, "faults");
    add_rules(&list);
    const int code = run_list("tune", &list, argc, argv);
    faults_keep_builds(0);
    oclin_context_destroy(scripted);
    return code;
}
