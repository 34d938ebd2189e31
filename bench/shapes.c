/* Lists of shapes, and the regime of one that has no name. */
#include "bench.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

const char *const regime_name[REGIME_COUNT] = {"tiny", "skinny", "square", "deep", "ragged"};

enum { LARGEST = 1 << 24 };

/* By what bounds the speed; the first that fits. A list may say otherwise. */
static enum regime regime_of(const struct shape *s)
{
    if ((double)s->batch * (double)s->in * (double)s->out < 1e6) return TINY;
    if (s->batch <= 16) return SKINNY;
    if (s->batch >= 4096 && s->out <= 64) return DEEP;
    if (s->batch % 4 || s->in % 4 || s->out % 4) return RAGGED;
    return SQUARE;
}

static int size_parse(const char **at, int64_t *size)
{
    char *end;
    errno = 0;
    const long long n = strtoll(*at, &end, 10);
    if (end == *at || errno || n < 1 || n > LARGEST) return 0;
    *at = end;
    *size = n;
    return 1;
}

int shape_parse(const char *text, struct shape *s)
{
    if (!size_parse(&text, &s->batch) || *text++ != ',') return 0;
    if (!size_parse(&text, &s->in) || *text++ != ',') return 0;
    if (!size_parse(&text, &s->out) || *text) return 0;
    s->regime = regime_of(s);
    return 1;
}

static int line_parse(const char *line, struct shape *s)
{
    for (int r = 0; r < REGIME_COUNT; r++) {
        const size_t length = strlen(regime_name[r]);
        if (strncmp(line, regime_name[r], length) != 0 || line[length] != ',') continue;
        if (!shape_parse(line + length + 1, s)) return 0;
        s->regime = (enum regime)r;
        return 1;
    }
    return shape_parse(line, s);
}

int shapes_read(const char *path, struct shape **list)
{
    char line[256];
    int count = 0, number = 0;
    *list = NULL;
    FILE *file = fopen(path, "r");
    if (!file) {
        fprintf(stderr, "oclin_bench: %s: %s\n", path, strerror(errno));
        return -1;
    }
    while (fgets(line, sizeof line, file)) {
        number++;
        line[strcspn(line, "#\r\n \t")] = 0;
        if (!line[0]) continue;
        struct shape *more = realloc(*list, (size_t)(count + 1) * sizeof **list);
        if (more) *list = more;
        if (!more || !line_parse(line, &more[count])) {
            fprintf(stderr,
                    "oclin_bench: %s, line %d: batch,in,out or regime,batch,in,out is expected, not %s\n",
                    path, number, line);
            count = -1;
            break;
        }
        count++;
    }
    fclose(file);
    if (count == 0) fprintf(stderr, "oclin_bench: %s has no shapes\n", path);
    return count > 0 ? count : -1;
}
