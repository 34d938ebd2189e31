#include "idx.h"

#include <zlib.h>

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * An IDX file: two zero bytes, the element type (8: unsigned byte), the number of dimensions, then each
 * dimension as a big-endian 32-bit number, then the elements, the last dimension fastest.
 */
enum { TYPE_U8 = 8, MAX_DIMENSIONS = 3 };

/* More than any file of this kind holds, packed or not, and zlib can count to it. */
#define MAX_BYTES (INT64_C(1) << 30)

static int fail(struct idx_set *set, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(set->error, sizeof set->error, format, arguments);
    va_end(arguments);
    return 0;
}

/* The file as it is. */
static uint8_t *read_packed(struct idx_set *set, const char *path, int64_t *n)
{
    errno = 0;
    FILE *file = fopen(path, "rb");
    uint8_t *bytes = NULL;
    if (!file || fseek(file, 0, SEEK_END) != 0 || (*n = ftell(file)) < 0) goto failed;
    rewind(file);
    /* A folder passes for a file of enormous size until it is read. */
    bytes = malloc(*n < MAX_BYTES ? (size_t)*n + 1 : 1);
    if (!bytes || fread(bytes, 1, *n < MAX_BYTES ? (size_t)*n : 1, file) != (size_t)*n) goto failed;
    fclose(file);
    return bytes;
failed:
    fail(set, "cannot read %s: %s", path, errno ? strerror(errno) : "its size changes or is enormous");
    if (file) fclose(file);
    free(bytes);
    return NULL;
}

/* Unpacks the next n bytes; with `last` they must be all that is left, and their checksum right. */
static int unpack(struct idx_set *set, z_stream *z, const char *path, void *to, int64_t n, int last)
{
    z->next_out = to;
    z->avail_out = (uInt)n;
    int code = inflate(z, last ? Z_FINISH : Z_SYNC_FLUSH);
    if (code == Z_MEM_ERROR) return fail(set, "no memory to unpack %s", path);
    if (code == Z_DATA_ERROR || code == Z_NEED_DICT)
        return fail(set, "%s is damaged or not packed with gzip (%s)", path,
                    z->msg ? z->msg : "no reason given");
    if (z->avail_out > 0 || (last && code != Z_STREAM_END && z->avail_in == 0))
        return fail(set, "%s is cut short", path);
    if (last && (code != Z_STREAM_END || z->avail_in > 0))
        return fail(set, "%s is longer than its header says", path);
    return 1;
}

static int unpack_header(struct idx_set *set, z_stream *z, const char *path, int dimensions, int64_t *size)
{
    uint8_t bytes[4 + 4 * MAX_DIMENSIONS];
    if (!unpack(set, z, path, bytes, 4 + 4 * dimensions, 0)) return 0;
    if (bytes[0] || bytes[1] || bytes[2] != TYPE_U8 || bytes[3] != dimensions)
        return fail(set, "%s is not an IDX file of bytes in %d dimension%s", path, dimensions,
                    dimensions == 1 ? "" : "s");

    int64_t product = 1;
    for (int i = 0; i < dimensions; i++) {
        const uint8_t *b = bytes + 4 + 4 * i;
        size[i] = (int64_t)b[0] << 24 | b[1] << 16 | b[2] << 8 | b[3];
        if (size[i] < 1 || size[i] > MAX_BYTES / product)
            return fail(set, "%s has a damaged header: dimension %d is %lld", path, i + 1,
                        (long long)size[i]);
        product *= size[i];
    }
    return 1;
}

/* The whole file as one array, size[i] in dimension i. */
static uint8_t *unpack_array(struct idx_set *set, z_stream *z, const char *path, int dimensions,
                             int64_t *size)
{
    int64_t n = 1;
    if (!unpack_header(set, z, path, dimensions, size)) return NULL;
    for (int i = 0; i < dimensions; i++) n *= size[i];
    uint8_t *array = malloc((size_t)n);
    if (array && unpack(set, z, path, array, n, 1)) return array;
    if (!array) fail(set, "no memory for the %lld bytes of %s", (long long)n, path);
    free(array);
    return NULL;
}

static uint8_t *read_file(struct idx_set *set, const char *path, int dimensions, int64_t *size)
{
    enum { GZIP_ONLY = 16, WINDOW_BITS = 15 };
    int64_t n;
    uint8_t *packed = read_packed(set, path, &n), *array = NULL;
    if (!packed) return NULL;
    z_stream z = {.next_in = packed, .avail_in = (uInt)n};
    if (inflateInit2(&z, WINDOW_BITS + GZIP_ONLY) == Z_OK) {
        array = unpack_array(set, &z, path, dimensions, size);
        inflateEnd(&z);
    } else {
        fail(set, "no memory to unpack %s", path);
    }
    free(packed);
    return array;
}

static int labels_fit(struct idx_set *set, const char *images, const char *labels, int64_t count, int classes)
{
    if (count != set->count)
        return fail(set, "%s has %lld images, but %s has %lld labels", images, (long long)set->count, labels,
                    (long long)count);
    for (int64_t i = 0; i < count; i++)
        if (set->labels[i] >= classes)
            return fail(set, "%s is damaged: label %lld is %d, the classes are 0 to %d", labels, (long long)i,
                        set->labels[i], classes - 1);
    return 1;
}

int idx_read(struct idx_set *set, const char *images, const char *labels, int classes)
{
    int64_t size[MAX_DIMENSIONS], count;
    *set = (struct idx_set){0};
    set->pixels = read_file(set, images, 3, size);
    if (set->pixels) {
        set->count = size[0], set->rows = size[1], set->cols = size[2];
        set->labels = read_file(set, labels, 1, &count);
        if (set->labels && labels_fit(set, images, labels, count, classes)) return 1;
    }
    idx_free(set);
    return 0;
}

void idx_free(struct idx_set *set)
{
    free(set->pixels);
    free(set->labels);
    set->pixels = set->labels = NULL;
}
