/*
 * Files in the cache folder. They are read whole and written so that a reader never sees half of one.
 * Records know which key they belong to and whether they are damaged. Nothing here is an error for the
 * caller: a file that cannot be read is treated as absent, a file that cannot be written is left out, and
 * the log says why.
 *
 * A record has the following layout. Numbers have 64 bits with the low byte first, so that a machine of the
 * other byte order reads them as well:
 *
 *     "oclinrec"  FORMAT  size of the key  size of the data  checksum  |  key  |  data
 *
 * The checksum is FNV-1a with 64 bits over all the rest. It finds every change of a single byte, and any
 * other change with probability 1 - 2^-64. It guards against damage only. Against malice, oclin checks the
 * owner and the permissions of the folder and the file before it loads anything. The file's name contains
 * the same hash of the key. If two keys get the same name, that costs rebuilding and no more, because the
 * whole key is compared.
 */
#include "core/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/handle.h"
#include "core/error.h"
#include "core/os.h"

enum { FORMAT = 1, HEADER_BYTES = 40, CHECKSUM_AT = 32 };
static const char magic[8] = {'o', 'c', 'l', 'i', 'n', 'r', 'e', 'c'};

/* A program binary has some hundred kilobytes, so a file larger than this is not one of ours. */
#define LARGEST_RECORD ((size_t)256 << 20)

/* ------------------------------------------------------------------------------------------------ files */

/* Returns folder/name, which the caller frees. */
static char *path_of(const oclin_context *ctx, const char *name)
{
    const size_t size = strlen(ctx->cache_dir) + strlen(name) + 2;
    char *path = malloc(size);
    if (path) snprintf(path, size, "%s/%s", ctx->cache_dir, name);
    return path;
}

static unsigned char *read_stream(FILE *file, size_t most, size_t *size)
{
    if (fseek(file, 0, SEEK_END) != 0) return NULL;
    const long end = ftell(file);
    if (end < 0 || (unsigned long)end > most || fseek(file, 0, SEEK_SET) != 0) return NULL;
    *size = (size_t)end;
    unsigned char *bytes = malloc(*size + 1);
    if (bytes && fread(bytes, 1, *size, file) == *size) {
        bytes[*size] = 0;
        return bytes;
    }
    free(bytes);
    return NULL;
}

/* Tells whether only the user can write to the folder; if not, the log says why, once. Files of other
 * users are not used, because what is loaded from the folder is run. */
static int is_trusted(oclin_context *ctx)
{
    if (!ctx->cache_dir || ctx->cache_refused) return 0;
    const char *why = oclin_os_distrust(ctx->cache_dir);
    if (!why) return 1;
    oclin_log(ctx, "cache: %s %s; nothing is loaded from there, or stored", ctx->cache_dir, why);
    ctx->cache_refused = 1;
    return 0;
}

unsigned char *oclin_cache_read(oclin_context *ctx, const char *name, size_t most, size_t *size)
{
    *size = 0;
    const char *why = NULL;
    char *path = is_trusted(ctx) ? path_of(ctx, name) : NULL;
    FILE *file = path ? oclin_os_open(path, 1, &why) : NULL;
    unsigned char *bytes = file ? read_stream(file, most, size) : NULL;
    if (file && !bytes) why = "cannot be read, or is too large";
    if (why) oclin_log(ctx, "cache: %s %s; it is not used", path, why);
    if (file) fclose(file);
    free(path);
    return bytes;
}

/* Tells whether a file of this name is one that create_beside(), of any version of oclin, makes. */
static int is_temporary(const char *name)
{
    const char *at = strstr(name, ".bin.");
    if (!at) at = strstr(name, ".txt.");
    if (!at) return 0;
    at += strlen(".bin.");
    const size_t digits = strspn(at, "0123456789abcdef-");
    return digits > 0 && strcmp(at + digits, ".tmp") == 0;
}

/* Removes the temporary files of writers that were killed. No write takes a day. A writer that was stopped
 * for so long and then goes on finds that its file is gone, and merely fails to store it. */
static void remove_old_temporaries(oclin_context *ctx)
{
    enum { A_DAY = 24 * 60 * 60 };
    if (!ctx->cache_tidied) oclin_os_remove_old(ctx->cache_dir, is_temporary, A_DAY);
    ctx->cache_tidied = 1;
}

int oclin_cache_ready(oclin_context *ctx)
{
    if (!is_trusted(ctx) || ctx->cache_read_only) return 0;
    const int writable = oclin_os_make_folder(ctx->cache_dir);
    if (writable && !is_trusted(ctx)) return 0; /* another user has just made the folder */
    if (writable) {
        remove_old_temporaries(ctx);
        return 1;
    }
    oclin_log(ctx, "cache: %s cannot be made or written to; nothing is stored", ctx->cache_dir);
    ctx->cache_read_only = 1;
    return 0;
}

/* Creates a file beside `path` that no other writer has. Its name is new for each process, context and
 * moment. So it cannot clash with a file that a killed writer left behind, even if that writer had the
 * same process id. */
static FILE *create_beside(const oclin_context *ctx, const char *path, char *temporary, size_t size)
{
    enum { ATTEMPTS = 16 };
    struct {
        const void *context;
        double seconds;
        long process, attempt;
    } unique;
    FILE *file = NULL;
    memset(&unique, 0, sizeof unique);
    unique.context = ctx;
    unique.process = oclin_os_process_id();
    for (; unique.attempt < ATTEMPTS && !file; unique.attempt++) {
        unique.seconds = oclin_os_seconds();
        const unsigned long long hash = oclin_cache_hash(&unique, sizeof unique);
        snprintf(temporary, size, "%s.%016llx.tmp", path, hash);
        file = oclin_os_create(temporary);
        if (!file && errno != EEXIST) break;
    }
    return file;
}

/* Does not flush the file to the disk, on purpose: a file that a power cut damaged is recognized and made
 * again. */
static int write_at(const oclin_context *ctx, const char *path, char *temporary, size_t size,
                    const void *bytes, size_t count)
{
    FILE *file = create_beside(ctx, path, temporary, size);
    if (!file) return 0;
    const int written = fwrite(bytes, 1, count, file) == count;
    const int closed = fclose(file) == 0;
    if (written && closed && oclin_os_replace(temporary, path)) return 1;
    remove(temporary);
    return 0;
}

int oclin_cache_write(oclin_context *ctx, const char *name, const void *bytes, size_t count)
{
    if (!oclin_cache_ready(ctx)) return 0;
    char *path = path_of(ctx, name);
    const size_t size = path ? strlen(path) + 64 : 0;
    char *temporary = path ? malloc(size) : NULL;
    const int done = temporary && write_at(ctx, path, temporary, size, bytes, count);
    if (!done) {
        oclin_log(ctx, "cache: %s cannot be written; nothing more is stored", path ? path : name);
        ctx->cache_read_only = 1;
    }
    free(temporary);
    free(path);
    return done;
}

/* ---------------------------------------------------------------------------------------------- records */

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv), continued from `hash`. */
static const uint64_t hash_start = 0xcbf29ce484222325u;
static uint64_t hash_more(uint64_t hash, const void *bytes, size_t count)
{
    const unsigned char *b = bytes;
    for (size_t i = 0; i < count; i++) hash = (hash ^ b[i]) * 0x100000001b3u;
    return hash;
}

uint64_t oclin_cache_hash(const void *bytes, size_t count)
{
    return hash_more(hash_start, bytes, count);
}

static uint64_t checksum(const unsigned char *record, size_t size)
{
    return hash_more(hash_more(hash_start, record, CHECKSUM_AT), record + HEADER_BYTES, size - HEADER_BYTES);
}

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

/* Returns why a file is not the record that was looked for, or NULL if it is. The sizes are compared in an
 * order in which no sum overflows. */
static const char *what_is_wrong(const unsigned char *file, size_t size, const void *key, size_t key_size)
{
    if (size < HEADER_BYTES || memcmp(file, magic, sizeof magic) != 0) return "is not a record";
    if (get_number(file + 8) != FORMAT) return "has another format";
    const uint64_t of_key = get_number(file + 16), of_data = get_number(file + 24), all = size - HEADER_BYTES;
    if (of_key > all || of_data != all - of_key) return "has another length than it says";
    if (get_number(file + CHECKSUM_AT) != checksum(file, size)) return "is damaged";
    if (of_key != key_size || memcmp(file + HEADER_BYTES, key, key_size) != 0)
        return "belongs to another key";
    return NULL;
}

/* Makes the name of the file for a key; `what` is for people who look into the folder. */
enum { NAME_BYTES = 128 };
static void name_of(char *name, const char *what, const void *key, size_t key_size)
{
    const unsigned long long hash = hash_more(hash_start, key, key_size);
    snprintf(name, NAME_BYTES, "%.80s-%016llx.bin", what, hash);
}

unsigned char *oclin_cache_load(oclin_context *ctx, const char *what, const void *key, size_t key_size,
                                size_t *size)
{
    char name[NAME_BYTES];
    name_of(name, what, key, key_size);
    size_t file_size;
    unsigned char *file = oclin_cache_read(ctx, name, LARGEST_RECORD, &file_size);
    if (!file) return NULL;
    const char *wrong = what_is_wrong(file, file_size, key, key_size);
    if (wrong) {
        oclin_log(ctx, "cache: %s/%s %s; it is not used", ctx->cache_dir, name, wrong);
        free(file);
        return NULL;
    }
    *size = file_size - HEADER_BYTES - key_size;
    memmove(file, file + HEADER_BYTES + key_size, *size);
    return file;
}

int oclin_cache_store(oclin_context *ctx, const char *what, const void *key, size_t key_size,
                      const void *data, size_t size)
{
    if (key_size > LARGEST_RECORD || size > LARGEST_RECORD - HEADER_BYTES - key_size) return 0;
    const size_t all = HEADER_BYTES + key_size + size;
    unsigned char *record = malloc(all);
    if (!record) return 0;
    memcpy(record, magic, sizeof magic);
    put_number(record + 8, FORMAT);
    put_number(record + 16, key_size);
    put_number(record + 24, size);
    memcpy(record + HEADER_BYTES, key, key_size);
    memcpy(record + HEADER_BYTES + key_size, data, size);
    put_number(record + CHECKSUM_AT, checksum(record, all));
    char name[NAME_BYTES];
    name_of(name, what, key, key_size);
    const int done = oclin_cache_write(ctx, name, record, all);
    free(record);
    if (done) oclin_log(ctx, "cache: stored %s/%s, %zu bytes", ctx->cache_dir, name, all);
    return done;
}
