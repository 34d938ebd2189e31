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

/* More than any file of this kind holds: a larger product of dimensions is a damaged header. */
#define MAX_BYTES (INT64_C(1) << 30)

static int fail(struct idx_set *set, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(set->error, sizeof set->error, format, arguments);
    va_end(arguments);
    return 0;
}

/* Why zlib gave less than it was asked for. */
static int fail_read(struct idx_set *set, gzFile file, const char *path)
{
    int code = Z_OK;
    const char *text = gzerror(file, &code);
    if (code == Z_ERRNO) return fail(set, "cannot read %s: %s", path, strerror(errno));
    if (code == Z_OK || code == Z_BUF_ERROR) return fail(set, "%s is cut short", path);
    return fail(set, "%s is damaged (%s)", path, text);
}

/* n fits an int: see MAX_BYTES. */
static int read_exactly(struct idx_set *set, gzFile file, const char *path, void *to, int64_t n)
{
    return gzread(file, to, (unsigned)n) == (int)n ? 1 : fail_read(set, file, path);
}

static int read_header(struct idx_set *set, gzFile file, const char *path, int dimensions, int64_t *size)
{
    uint8_t bytes[4 + 4 * MAX_DIMENSIONS];
    if (!read_exactly(set, file, path, bytes, 4 + 4 * dimensions)) return 0;
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

/* The whole file as one array, *size in each dimension. */
static uint8_t *read_array(struct idx_set *set, gzFile file, const char *path, int dimensions, int64_t *size)
{
    if (!read_header(set, file, path, dimensions, size)) return NULL;
    int64_t n = 1;
    for (int i = 0; i < dimensions; i++) n *= size[i];

    uint8_t *data = malloc((size_t)n);
    uint8_t beyond;
    if (!data) {
        fail(set, "no memory for the %lld bytes of %s", (long long)n, path);
        return NULL;
    }
    if (!read_exactly(set, file, path, data, n)) goto failed;
    /* gzip keeps its checksum behind the data: it is compared when the end is asked for. */
    switch (gzread(file, &beyond, 1)) {
    case 0: {
        int code = Z_OK;
        gzerror(file, &code);
        if (code == Z_OK) return data;
        fail_read(set, file, path);
        break;
    }
    case 1:
        fail(set, "%s is longer than its header says", path);
        break;
    default:
        fail_read(set, file, path);
        break;
    }
failed:
    free(data);
    return NULL;
}

static uint8_t *read_file(struct idx_set *set, const char *path, int dimensions, int64_t *size)
{
    errno = 0;
    gzFile file = gzopen(path, "rb");
    if (!file) {
        fail(set, "cannot open %s: %s", path, strerror(errno ? errno : ENOMEM));
        return NULL;
    }
    gzbuffer(file, 1 << 17);
    uint8_t *data = read_array(set, file, path, dimensions, size);
    gzclose(file);
    return data;
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
