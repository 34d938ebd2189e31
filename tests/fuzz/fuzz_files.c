/*
 * A fuzzer of the files that the library reads: the tuning file, and records of the binary cache. Whatever
 * is in one, it is used when it is as it should be, and else ignored with a line of the log. The first
 * byte of an input says which file it is, and whether head and checksum are put right, so that the fuzzer
 * gets behind them. No device is needed.
 */
#include <dirent.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oclin_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LARGEST_NUMBER ((int64_t)1 << 50)
enum { MOST_ENTRIES = 1024, LINE_BYTES = 256, HEADER_BYTES = 40 };

static oclin_context ctx;
static char folder[256], tuning_name[64];
static char *tuning_head; /* all above the entries */
static int refusals;      /* lines of the log that say so */

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2), noreturn))
#endif
static void
wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "WRONG: ");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

static void hear(void *user, const char *line)
{
    (void)user;
    if (strchr(line, '\n')) wrong("the log has a newline in '%s'", line);
    if (strstr(line, "it is not used")) refusals++;
    if (getenv("FUZZ_TRACE")) fprintf(stderr, "%s\n", line);
}

static void path_of(char path[512], const char *name)
{
    snprintf(path, 512, "%s/%s", folder, name);
}

static void remove_folder(void)
{
    char path[512];
    path_of(path, tuning_name);
    remove(path);
    rmdir(folder);
    free(tuning_head);
}

static void put_file(const char *name, const void *bytes, size_t count)
{
    char path[512];
    path_of(path, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, count, file) != count || fclose(file)) wrong("%s cannot be written", path);
}

/* Name and head of the tuning file, from one that the library wrote. */
static void learn_head(void)
{
    static const char last[] = "product batch in out plan default_ns plan_ns\n";
    struct oclin_tuned one = {OCLIN_KERNEL_FORWARD, {1, 2, 3}, "plain", 5, 4};
    const struct oclin_tuning table = {&one, 1};
    size_t size;
    oclin_tuning_store(&ctx, &table);
    DIR *files = opendir(folder);
    for (struct dirent *entry; files && (entry = readdir(files));)
        if (strstr(entry->d_name, "tuning-"))
            snprintf(tuning_name, sizeof tuning_name, "%.60s", entry->d_name);
    closedir(files);
    tuning_head = (char *)oclin_cache_read(&ctx, tuning_name, 4096, &size);
    char *end = tuning_head ? strstr(tuning_head, last) : NULL;
    if (!end) wrong("the library stored no tuning file");
    end[sizeof last - 1] = 0;
}

static void set_up(void)
{
    struct oclin_device_facts *d = &ctx.device;
    ctx.process = oclin_os_process_id();
    ctx.log = hear;
    snprintf(d->info.name, sizeof d->info.name, "a device\nof two lines");
    snprintf(d->info.driver, sizeof d->info.driver, "1.2");
    d->info.compute_units = 2;
    d->info.vector_width = 8;
    d->info.max_work_group = d->max_items = 256;
    d->info.local_bytes = 32 << 10;
    const char *where = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%.200s/oclin-fuzz-XXXXXX", where && *where ? where : "/tmp");
    if (!mkdtemp(folder)) wrong("%s cannot be made", folder);
    ctx.cache_dir = folder;
    if (oclin_tuning_start(&ctx, oclin_plan_tunable) != OCLIN_OK) abort();
    atexit(remove_folder);
    learn_head();
}

/* ------------------------------------------------------------------------------------------- tuning file */

/* The words of a line between single blanks; their number, 0 if one is empty or there are too many. */
static int split(char *line, char *words[], int most)
{
    int count = 0;
    for (char *at = line; at; count++) {
        char *blank = strchr(at, ' ');
        if (count == most || *at == ' ' || !*at) return 0;
        words[count] = at;
        if (blank) *blank++ = 0;
        at = blank;
    }
    return count;
}

static int read_number(const char *word, int64_t least, int64_t *number)
{
    *number = 0;
    for (; *word; word++) {
        if (*word < '0' || *word > '9') return 0;
        *number = *number * 10 + (*word - '0');
        if (*number > LARGEST_NUMBER) return 0;
    }
    return *number >= least;
}

/* One line as tune_table.c has it, read in another way. */
static int read_entry(const char *text, struct oclin_tuned *t)
{
    static const char *const products[] = {"forward", "grad_x", "grad_w", "backward"};
    char line[LINE_BYTES], *words[7];
    int known = -1;
    memset(t, 0, sizeof *t);
    if (strlen(text) >= LINE_BYTES) return 0;
    strcpy(line, text);
    if (split(line, words, 7) != 7 || strlen(words[4]) >= sizeof t->plan) return 0;
    for (int i = 0; i < 4; i++)
        if (strcmp(words[0], products[i]) == 0) known = i;
    if (known < 0 || !read_number(words[1], 1, &t->shape.batch) || !read_number(words[2], 1, &t->shape.in) ||
        !read_number(words[3], 1, &t->shape.out) || !read_number(words[5], 0, &t->ns) ||
        !read_number(words[6], 1, &t->plan_ns))
        return 0;
    t->id = (enum oclin_kernel_id)known;
    if (strcmp(words[4], "default") != 0) strcpy(t->plan, words[4]);
    return oclin_plan_tunable(&ctx, t->id, t->shape, t->plan);
}

static int same_entry(const struct oclin_tuned *a, const struct oclin_tuned *b)
{
    return a->id == b->id && a->shape.batch == b->shape.batch && a->shape.in == b->shape.in &&
           a->shape.out == b->shape.out && strcmp(a->plan, b->plan) == 0 && a->ns == b->ns &&
           a->plan_ns == b->plan_ns;
}

/* The lines of a file whose head and checksum are right against the table that was read. */
static void check_entries(char *lines, const struct oclin_tuning *table)
{
    int expected = 0, ignored = 0;
    for (char *line = lines, *newline; (newline = strchr(line, '\n')); line = newline + 1) {
        struct oclin_tuned t;
        *newline = 0;
        const int good = read_entry(line, &t);
        int again = 0;
        for (int i = 0; good && i < expected; i++)
            again |= table->entries[i].id == t.id &&
                     memcmp(&table->entries[i].shape, &t.shape, sizeof t.shape) == 0;
        ignored += !good || again;
        if (!good || again) continue;
        if (expected >= table->count || !same_entry(&table->entries[expected], &t))
            wrong("'%s' is not in the table", line);
        expected++;
    }
    if (table->count != expected) wrong("%d entries instead of %d", table->count, expected);
    if (refusals != ignored) wrong("%d lines are not used, and %d of the log say so", ignored, refusals);
}

/* What was read is written and read again. */
static void check_round_trip(void)
{
    struct oclin_tuning before = *ctx.tuning;
    *ctx.tuning = (struct oclin_tuning){NULL, 0};
    put_file(tuning_name, "", 0);
    oclin_tuning_store(&ctx, &before);
    oclin_tuning_load(&ctx);
    if (ctx.tuning->count != before.count)
        wrong("%d entries were written, %d are read", before.count, ctx.tuning->count);
    for (int i = 0; i < before.count; i++)
        if (!same_entry(&before.entries[i], &ctx.tuning->entries[i])) wrong("entry %d comes back changed", i);
    oclin_tuning_free(&before);
}

enum { CHECKSUM_BYTES = sizeof "checksum 0123456789abcdef\n" - 1 };

static int is_tuning_file(const char *text, size_t length)
{
    char expected[64];
    const size_t head = strlen(tuning_head);
    if (strlen(text) != length || length < head + CHECKSUM_BYTES || strncmp(text, tuning_head, head) != 0)
        return 0;
    snprintf(expected, sizeof expected, "checksum %016" PRIx64 "\n",
             oclin_cache_hash(text, length - CHECKSUM_BYTES));
    return text[length - CHECKSUM_BYTES - 1] == '\n' && strcmp(text + length - CHECKSUM_BYTES, expected) == 0;
}

/* `repair`: data are the entries; else the whole file. */
static void tuning_file(const uint8_t *data, size_t size, int repair)
{
    const size_t head = strlen(tuning_head);
    char *text = malloc(head + size + 64);
    if (!text) return;
    memcpy(text, tuning_head, repair ? head : 0);
    size_t length = repair ? head : 0;
    memcpy(text + length, data, size);
    length += size;
    if (repair && text[length - 1] != '\n') text[length++] = '\n';
    if (repair) {
        const uint64_t hash = oclin_cache_hash(text, length);
        length += (size_t)snprintf(text + length, 64, "checksum %016" PRIx64 "\n", hash);
    }
    put_file(tuning_name, text, length);
    refusals = 0;
    oclin_tuning_load(&ctx);
    text[length] = 0;
    if (is_tuning_file(text, length)) {
        text[length - CHECKSUM_BYTES] = 0;
        if (ctx.tuning->count < MOST_ENTRIES) check_entries(text + head, ctx.tuning);
    } else if (ctx.tuning->count || refusals != 1) {
        wrong("a file that is none gives %d entries, and %d lines of the log", ctx.tuning->count, refusals);
    }
    check_round_trip();
    oclin_tuning_free(ctx.tuning);
    free(text);
}

/* ---------------------------------------------------------------------------------------- cache record */

static void put_number(unsigned char *to, uint64_t number)
{
    for (int i = 0; i < 8; i++) to[i] = (unsigned char)(number >> 8 * i);
}

static uint64_t get_number(const unsigned char *from)
{
    uint64_t number = 0;
    for (int i = 0; i < 8; i++) number |= (uint64_t)from[i] << 8 * i;
    return number;
}

/* FNV-1a over all but its own place, as cache.c says. */
static uint64_t checksum_of(const unsigned char *file, size_t size)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < size; i++)
        if (i < 32 || i >= HEADER_BYTES) hash = (hash ^ file[i]) * 0x100000001b3u;
    return hash;
}

static int is_record(const unsigned char *file, size_t size, const void *key, size_t key_size)
{
    if (size < HEADER_BYTES || memcmp(file, "oclinrec", 8) != 0 || get_number(file + 8) != 1) return 0;
    return get_number(file + 16) == key_size && key_size <= size - HEADER_BYTES &&
           get_number(file + 24) == size - HEADER_BYTES - key_size &&
           get_number(file + 32) == checksum_of(file, size) &&
           memcmp(file + HEADER_BYTES, key, key_size) == 0;
}

/* What is loaded must be what is expected; NULL: nothing. */
static void check_load(const char *key, const unsigned char *expected, size_t expected_size)
{
    size_t size = 0;
    unsigned char *got = oclin_cache_load(&ctx, "kernel", key, strlen(key), &size);
    if (!got != !expected) wrong("a record %s", got ? "that is none is used" : "that is right is refused");
    if (got && (size != expected_size || memcmp(got, expected, size) != 0))
        wrong("%zu bytes of a record are others", size);
    free(got);
}

/* `repair`: data are sizes and content, of which magic, format and checksum are put right. */
static void cache_record(const uint8_t *data, size_t size, int repair)
{
    static const char key[] = "key of a kernel";
    const size_t key_size = sizeof key - 1;
    char name[64];
    snprintf(name, sizeof name, "kernel-%016" PRIx64 ".bin", oclin_cache_hash(key, key_size));
    unsigned char *file = calloc(1, size + HEADER_BYTES);
    if (!file) return;
    memcpy(file + (repair ? 16 : 0), data, size);
    const size_t length = repair ? size + 16 : size;
    if (repair && length >= HEADER_BYTES) {
        memcpy(file, "oclinrec", 8);
        put_number(file + 8, 1);
        put_number(file + 32, checksum_of(file, length));
    }
    put_file(name, file, length);
    refusals = 0;
    const int good = is_record(file, length, key, key_size);
    check_load(key, good ? file + HEADER_BYTES + key_size : NULL, length - HEADER_BYTES - key_size);
    if (refusals != !good) wrong("%d lines of the log about a record", refusals);
    if (!oclin_cache_store(&ctx, "kernel", key, key_size, data, size)) wrong("a record cannot be stored");
    check_load(key, data, size);
    char path[512];
    path_of(path, name);
    remove(path);
    free(file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!ctx.log) set_up();
    if (size == 0) return 0;
    const int repair = data[0] & 2;
    (data[0] & 1 ? cache_record : tuning_file)(data + 1, size - 1, repair);
    return 0;
}
