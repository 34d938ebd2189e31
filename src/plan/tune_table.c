/*
 * Keeps what oclin_tune() found: in a table of the context, which plan.c asks, and in a file in the cache
 * folder, one for each platform, device, driver and version of oclin:
 *
 *     oclin tuning 1
 *     platform: Portable Computing Language
 *     ...
 *     product batch in out plan default_ns plan_ns
 *     forward 128 784 256 simd-whole 812000 745000
 *     checksum 0123456789abcdef
 *
 * The lines up to the one with the names of the columns are the key, and are compared as they stand. The
 * checksum is FNV-1a over all that is above it. Numbers are whole, because the decimal point differs between
 * languages.
 *
 * A malformed file or line is ignored. Two processes that tune at the same time may lose the entries of one,
 * because the file is replaced as a whole.
 */
#include "plan/tune_table.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/cache.h"
#include "core/context.h"
#include "core/error.h"

enum { MOST_ENTRIES = 1024, LINE_BYTES = 256, KEY_BYTES = 1024, NAME_BYTES = 48, LARGEST_FILE = 1 << 20 };

/* A larger size or time is refused. */
#define LARGEST_NUMBER ((int64_t)1 << 50)

static const char *const product_names[] = {[OCLIN_KERNEL_FORWARD] = "forward",
                                            [OCLIN_KERNEL_GRAD_X] = "grad_x",
                                            [OCLIN_KERNEL_GRAD_W] = "grad_w",
                                            [OCLIN_KERNEL_ONE_PASS] = "backward"};
enum { PRODUCTS = sizeof product_names / sizeof *product_names };

const char *oclin_tuned_name(enum oclin_kernel_id id)
{
    return product_names[id];
}

/* ------------------------------------------------------------------------------------------------ table */

static int find(const struct oclin_tuning *tuning, enum oclin_kernel_id id, struct oclin_shape s)
{
    for (int i = 0; i < oclin_tuning_count(tuning); i++) {
        const struct oclin_tuned *t = &tuning->entries[i];
        if (t->id == id && t->shape.batch == s.batch && t->shape.in == s.in && t->shape.out == s.out)
            return i;
    }
    return -1;
}

const struct oclin_tuned *oclin_tuning_find(const struct oclin_tuning *tuning, enum oclin_kernel_id id,
                                            struct oclin_shape shape)
{
    const int i = find(tuning, id, shape);
    return i < 0 ? NULL : &tuning->entries[i];
}

static void forget(struct oclin_tuning *tuning, int i)
{
    tuning->count--;
    memmove(tuning->entries + i, tuning->entries + i + 1,
            (size_t)(tuning->count - i) * sizeof *tuning->entries);
}

/* The newest stands last; if there are too many, the oldest is dropped. */
int oclin_tuning_put(struct oclin_tuning *tuning, const struct oclin_tuned *tuned)
{
    const struct oclin_tuned copy = *tuned; /* it may lie in the table */
    const int old = find(tuning, copy.id, copy.shape);
    if (old >= 0) forget(tuning, old);
    if (tuning->count == MOST_ENTRIES) forget(tuning, 0);
    struct oclin_tuned *grown =
        realloc(tuning->entries, (size_t)(tuning->count + 1) * sizeof *tuning->entries);
    if (!grown) return 0;
    tuning->entries = grown;
    grown[tuning->count++] = copy;
    return 1;
}

void oclin_tuning_free(struct oclin_tuning *tuning)
{
    free(tuning->entries);
    tuning->entries = NULL;
    tuning->count = 0;
}

static void free_table(struct oclin_tuning *tuning)
{
    oclin_tuning_free(tuning);
    free(tuning);
}

oclin_status oclin_tuning_start(oclin_context *ctx, int (*may_be)(const oclin_context *, enum oclin_kernel_id,
                                                                  struct oclin_shape, const char *plan))
{
    ctx->may_be_tuned = may_be;
    ctx->free_tuning = free_table;
    ctx->tuning = calloc(1, sizeof *ctx->tuning);
    return ctx->tuning ? OCLIN_OK : oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for what was tuned");
}

/* -------------------------------------------------------------------------------------------------- key */

static const char first_line[] = "oclin tuning 1\n";

/* Writes everything above the entries. Control characters in a driver's texts become blanks, so that each
 * text stays on its line. */
static void write_key(const oclin_context *ctx, char key[KEY_BYTES])
{
    const struct oclin_device_facts *d = &ctx->device;
    const char *const facts[][2] = {
        {"platform", d->info.platform_name},
        {"platform version", d->platform_version},
        {"device", d->info.name},
        {"vendor", d->info.vendor},
        {"device version", d->info.version},
        {"driver", d->info.driver},
    };
    size_t length = (size_t)snprintf(key, KEY_BYTES, "%s", first_line);
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) {
        const size_t start = length;
        length += (size_t)snprintf(key + length, KEY_BYTES - length, "%s: %s", facts[i][0], facts[i][1]);
        for (size_t c = start; c < length; c++)
            if ((unsigned char)key[c] < ' ') key[c] = ' ';
        key[length++] = '\n';
    }
    snprintf(key + length, KEY_BYTES - length,
             "compute units: %lld\noclin: %d\n"
             "product batch in out plan default_ns plan_ns\n",
             (long long)d->info.compute_units, oclin_version());
}

static void file_name(const char *key, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "tuning-%016" PRIx64 ".txt", oclin_cache_hash(key, strlen(key)));
}

/* A context with kernels from a folder has no file, because those kernels are not the ones that others
 * run. */
static int has_file(const oclin_context *ctx)
{
    return ctx->cache_dir && !ctx->cl_dir;
}

/* ---------------------------------------------------------------------------------------------- reading */

/* Returns the next word of a line whose words are separated by single blanks; NULL if there is none. */
static char *next_word(char **line)
{
    char *word = *line;
    if (!word || !*word || *word == ' ') return NULL;
    char *blank = strchr(word, ' ');
    if (blank) *blank = 0;
    *line = blank ? blank + 1 : NULL;
    return word;
}

static int read_number(char **line, int64_t least, int64_t *number)
{
    char *word = next_word(line), *end;
    if (!word || *word < '0' || *word > '9') return 0;
    errno = 0;
    const long long value = strtoll(word, &end, 10);
    *number = value;
    return !*end && !errno && value >= least && value <= LARGEST_NUMBER;
}

static int read_product(char **line, enum oclin_kernel_id *id)
{
    const char *word = next_word(line);
    for (int i = 0; word && i < PRODUCTS; i++)
        if (strcmp(word, product_names[i]) == 0) {
            *id = (enum oclin_kernel_id)i;
            return 1;
        }
    return 0;
}

/* Returns what is wrong with the line, which is cut up; NULL if nothing is. */
static const char *read_entry(const oclin_context *ctx, char *line, struct oclin_tuned *t)
{
    memset(t, 0, sizeof *t);
    if (!read_product(&line, &t->id)) return "an unknown product";
    if (!read_number(&line, 1, &t->shape.batch) || !read_number(&line, 1, &t->shape.in) ||
        !read_number(&line, 1, &t->shape.out))
        return "a size that is none";
    const char *plan = next_word(&line);
    if (!plan || strlen(plan) >= sizeof t->plan) return "an unknown plan";
    if (strcmp(plan, "default") != 0) snprintf(t->plan, sizeof t->plan, "%s", plan);
    if (!ctx->may_be_tuned(ctx, t->id, t->shape, t->plan))
        return "a plan that is unknown, or does not fit the device";
    if (!read_number(&line, 0, &t->ns) || !read_number(&line, 1, &t->plan_ns) || line)
        return "a time that is none";
    return NULL;
}

static void read_line(oclin_context *ctx, char *line, int number, struct oclin_tuning *tuning)
{
    struct oclin_tuned t;
    const char *wrong = strlen(line) < LINE_BYTES ? read_entry(ctx, line, &t) : "too much";
    if (!wrong && find(tuning, t.id, t.shape) >= 0) wrong = "a product and shape again";
    if (!wrong && !oclin_tuning_put(tuning, &t)) wrong = "no host memory for it";
    if (wrong) oclin_log(ctx, "tuning: entry %d has %s; it is not used", number, wrong);
}

/* Returns the checksum line of a text of this length, or NULL. */
static char *find_checksum(char *text, size_t length)
{
    static const char word[] = "\nchecksum ";
    const size_t line = sizeof word - 1 + 16 + 1; /* 16 digits, newline */
    if (length < line || strlen(text) != length) return NULL;
    char *at = text + length - line;
    return memcmp(at, word, sizeof word - 1) == 0 && text[length - 1] == '\n' ? at + 1 : NULL;
}

/* Returns what is wrong with the file as a whole; NULL if nothing is, and then its entries are *entries to
 * *end. */
static const char *check_file(char *text, size_t length, const char *key, char **entries, char **end)
{
    if (strncmp(text, "oclin tuning ", 13) != 0) return "is not a tuning file";
    if (strncmp(text, first_line, sizeof first_line - 1) != 0) return "has another format";
    char *checksum = find_checksum(text, length), expected[20];
    if (!checksum) return "is cut off";
    const size_t above = (size_t)(checksum - text);
    snprintf(expected, sizeof expected, "%016" PRIx64, oclin_cache_hash(text, above));
    if (strncmp(checksum + strlen("checksum "), expected, 16) != 0) return "is damaged";
    if (strncmp(text, key, strlen(key)) != 0) return "belongs to another device, driver or version";
    *entries = text + strlen(key);
    *end = checksum;
    return NULL;
}

/* Adds the file's entries to the table. */
static void read_file(oclin_context *ctx, const char *key, const char *name, struct oclin_tuning *tuning)
{
    size_t length;
    char *entries = NULL, *end = NULL, *text = (char *)oclin_cache_read(ctx, name, LARGEST_FILE, &length);
    if (!text) return;
    const char *wrong = check_file(text, length, key, &entries, &end);
    if (wrong) oclin_log(ctx, "tuning: %s/%s %s; it is not used", ctx->cache_dir, name, wrong);
    for (int number = 1; !wrong && entries < end; number++) {
        char *newline = strchr(entries, '\n'); /* there is one: the checksum line ends with it */
        *newline = 0;
        read_line(ctx, entries, number, tuning);
        entries = newline + 1;
    }
    free(text);
}

void oclin_tuning_load(oclin_context *ctx)
{
    char key[KEY_BYTES], name[NAME_BYTES];
    if (!has_file(ctx)) return;
    write_key(ctx, key);
    file_name(key, name);
    read_file(ctx, key, name, ctx->tuning);
    if (ctx->tuning->count)
        oclin_log(ctx, "tuning: %d entries from %s/%s", ctx->tuning->count, ctx->cache_dir, name);
}

/* ---------------------------------------------------------------------------------------------- writing */

static size_t write_entry(const struct oclin_tuned *t, char line[LINE_BYTES])
{
    return (size_t)snprintf(line, LINE_BYTES, "%s %lld %lld %lld %s %lld %lld\n", product_names[t->id],
                            (long long)t->shape.batch, (long long)t->shape.in, (long long)t->shape.out,
                            t->plan[0] ? t->plan : "default", (long long)t->ns, (long long)t->plan_ns);
}

static void write_file(oclin_context *ctx, const char *key, const char *name,
                       const struct oclin_tuning *tuning)
{
    char *text = malloc(KEY_BYTES + (size_t)(tuning->count + 1) * LINE_BYTES);
    if (!text) {
        oclin_log(ctx, "tuning: no host memory for the file");
        return;
    }
    size_t length = strlen(key);
    memcpy(text, key, length);
    for (int i = 0; i < tuning->count; i++) length += write_entry(&tuning->entries[i], text + length);
    length += (size_t)snprintf(text + length, LINE_BYTES, "checksum %016" PRIx64 "\n",
                               oclin_cache_hash(text, length));
    if (oclin_cache_write(ctx, name, text, length))
        oclin_log(ctx, "tuning: stored %s/%s, %d entries", ctx->cache_dir, name, tuning->count);
    free(text);
}

/* The file is read again first, because other shapes may have been tuned since the context was made. */
void oclin_tuning_store(oclin_context *ctx, const struct oclin_tuning *fresh)
{
    char key[KEY_BYTES], name[NAME_BYTES];
    struct oclin_tuning all = {NULL, 0};
    if (!has_file(ctx)) {
        oclin_log(ctx, "tuning: not stored: %s",
                  ctx->cache_dir ? "kernels are replaced by those of a folder" : "there is no cache folder");
        return;
    }
    write_key(ctx, key);
    file_name(key, name);
    read_file(ctx, key, name, &all);
    int complete = 1;
    for (int i = 0; i < fresh->count; i++) complete &= oclin_tuning_put(&all, &fresh->entries[i]);
    if (complete) write_file(ctx, key, name, &all);
    oclin_tuning_free(&all);
}
