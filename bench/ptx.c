/*
 * ptx FOLDER: oclin's products through NVIDIA's driver, without OpenCL. FOLDER holds what ptx_record (tools/gpu)
 * wrote down, `record`, and its kernels as PTX. Results are checked and timed as oclin_bench does; rows go to
 * stdout as CSV.
 */
#define _XOPEN_SOURCE 700

#include "bench.h"
#include "cuda.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_BUFFERS = 64,
    MOST_LAUNCHES = 64,
    MOST_ARGUMENTS = 48,
    MOST_KERNELS = 256,
    LINE = 8192,
    WORDS = 8
};

struct launch {
    enum op op;
    void *function;
    unsigned groups, group;
    uint64_t value[MOST_ARGUMENTS][WORDS]; /* an address, or the argument's bytes */
    void *argument[MOST_ARGUMENTS];
};

/* One shape of the record. */
struct state {
    const struct problem *p;
    uint64_t buffer[MOST_BUFFERS], x, w, b, y, dy, dx, dw;
    struct launch launch[MOST_LAUNCHES];
    int launches;
};

static const struct cuda *cuda;
static void *functions[MOST_KERNELS];
static const char *folder;
static char *record, *section; /* the whole text; the lines of the shape that is open */

static char *read_text(const char *name)
{
    char path[1024], *text = NULL;
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (!file) return NULL;
    if (fseek(file, 0, SEEK_END) == 0 && ftell(file) >= 0) text = calloc((size_t)ftell(file) + 1, 1);
    const long size = ftell(file);
    rewind(file);
    if (text && fread(text, 1, (size_t)size, file) != (size_t)size) *text = 0;
    fclose(file);
    return text;
}

static const char *load_kernel(const char *line)
{
    char name[64], file[32];
    int number;
    void *module;
    if (sscanf(line, "kernel %d %63s", &number, name) != 2 || number < 0 || number >= MOST_KERNELS)
        return "a line of the record is wrong";
    snprintf(file, sizeof file, "%d.ptx", number);
    char *ptx = read_text(file);
    if (!ptx) return sentence("%s/%s is missing", folder, file);
    int error = cuda->cuModuleLoadData(&module, ptx);
    if (!error) error = cuda->cuModuleGetFunction(&functions[number], module, name);
    free(ptx);
    return error ? sentence("%s: error %d", file, error) : NULL;
}

static const char *add_buffer(struct state *s, const char *line)
{
    static const char *const roles[] = {"x", "w", "b", "y", "dy", "dx", "dw"};
    uint64_t *const place[] = {&s->x, &s->w, &s->b, &s->y, &s->dy, &s->dx, &s->dw};
    const struct problem *p = s->p;
    const float *const from[] = {p->x[0], p->w, p->b, NULL, p->dy[0], NULL, NULL};
    int id;
    long long bytes;
    char role[8];
    if (sscanf(line, "buffer %d %lld %7s", &id, &bytes, role) != 3 || id < 0 || id >= MOST_BUFFERS)
        return "a buffer of the record is wrong";
    s->buffer[id] = cuda_floats(cuda, NULL, bytes / (int64_t)sizeof(float) + 1);
    if (!s->buffer[id]) return "no device memory";
    for (size_t i = 0; i < sizeof roles / sizeof *roles; i++) {
        if (strcmp(roles[i], role) != 0) continue;
        *place[i] = s->buffer[id];
        if (from[i] && cuda->cuMemcpyHtoD_v2(*place[i], from[i], (size_t)bytes) != 0)
            return "an operand could not be written";
    }
    return NULL;
}

static const char *add_launch(struct state *s, const char *line)
{
    struct launch *l = &s->launch[s->launches];
    char name[16], text[140];
    int number, at, more, count = 0;
    if (s->launches == MOST_LAUNCHES ||
        sscanf(line, "launch %15s %d %u %u%n", name, &number, &l->groups, &l->group, &at) != 4 ||
        number < 0 || number >= MOST_KERNELS)
        return "a launch of the record is wrong";
    l->op = strcmp(name, "forward") == 0 ? FORWARD : strcmp(name, "dw") == 0 ? DW : DX;
    l->function = functions[number];
    for (; count < MOST_ARGUMENTS && sscanf(line + at, "%139s%n", text, &more) == 1; at += more, count++) {
        unsigned char *bytes = (unsigned char *)l->value[count];
        l->argument[count] = l->value[count];
        if (*text == 'b') l->value[count][0] = s->buffer[atoi(text + 1) % MOST_BUFFERS];
        for (size_t i = 0; *text == 'x' && i < sizeof l->value[count] && text[2 * i + 1]; i++) {
            const char pair[3] = {text[2 * i + 1], text[2 * i + 2], 0};
            bytes[i] = (unsigned char)strtoul(pair, NULL, 16);
        }
    }
    s->launches++;
    return NULL;
}

/* Calls `what` with each line of the text that begins with the word, up to the next shape. */
static const char *each_line(char *text, const char *word, struct state *s,
                             const char *(*what)(struct state *, const char *))
{
    char line[LINE];
    const char *error = NULL;
    for (int first = 1; *text && !error; first = 0) {
        const size_t length = strcspn(text, "\n");
        if (!first && strncmp(text, "shape ", 6) == 0) break;
        snprintf(line, sizeof line, "%.*s", (int)length, text);
        if (strncmp(line, word, strlen(word)) == 0) error = what(s, line);
        text += length + (text[length] != 0);
    }
    return error;
}

static const char *open_shape(void **state, const struct problem *p, oclin_context *ctx)
{
    struct state *s = calloc(1, sizeof *s);
    (void)ctx;
    *state = s;
    if (!s) return "no memory";
    s->p = p;
    /* buffers come after the launches that use them */
    const char *error = each_line(section, "buffer ", s, add_buffer);
    if (!error) error = each_line(section, "launch ", s, add_launch);
    return error || (s->x && s->w && s->y && s->dy && s->dx && s->dw) ? error : "the record lacks an operand";
}

static void close_shape(void *state)
{
    struct state *s = state;
    for (int i = 0; s && i < MOST_BUFFERS; i++)
        if (s->buffer[i]) cuda->cuMemFree_v2(s->buffer[i]);
    free(s);
}

static const char *reset(void *state)
{
    (void)state;
    return NULL; /* no product changes an operand */
}

static const char *enqueue(void *state, enum op op, int set, float lr)
{
    struct state *s = state;
    int done = 0;
    (void)set, (void)lr;
    for (int i = 0; i < s->launches; i++) {
        struct launch *l = &s->launch[i];
        if (l->op != op) continue;
        const int error =
            cuda->cuLaunchKernel(l->function, l->groups, 1, 1, l->group, 1, 1, 0, NULL, l->argument, NULL);
        if (error) return sentence("cuLaunchKernel: error %d", error);
        done++;
    }
    return done ? NULL : "the record has no such launch";
}

static const char *finish(void *state)
{
    (void)state;
    const int error = cuda->cuCtxSynchronize();
    return error ? sentence("cuCtxSynchronize: error %d", error) : NULL;
}

static const char *fetch(void *state, enum result what, int set, float *host)
{
    struct state *s = state;
    const struct shape *n = &s->p->shape;
    const uint64_t from = what == RESULT_Y ? s->y : what == RESULT_DX ? s->dx : s->dw;
    const int64_t count = what == RESULT_Y ? y_count(n) : what == RESULT_DX ? x_count(n) : w_count(n);
    (void)set;
    return cuda->cuMemcpyDtoH_v2(host, from, (size_t)count * sizeof *host) ? "a result could not be read"
                                                                           : NULL;
}

static const struct library library_ptx = {.name = "ptx",
                                           .adds_bias = 1,
                                           .open = open_shape,
                                           .close = close_shape,
                                           .reset = reset,
                                           .enqueue = enqueue,
                                           .finish = finish,
                                           .fetch = fetch};

static const char *measure(const struct shape *shape, int *wrong)
{
    static const enum op ops[] = {FORWARD, DW, DX};
    struct problem p;
    void *state;
    if (!problem_make(&p, shape, 1, 0)) return "no memory"; /* one set of operands */
    const char *error = library_ptx.open(&state, &p, NULL);
    for (size_t i = 0; i < sizeof ops / sizeof *ops && !error; i++) {
        struct timing t = {.library = &library_ptx, .state = state, .op = ops[i], .sets = 1};
        const struct row r = {.op = ops[i], .shape = *shape};
        const char *why = check(&library_ptx, state, &p, ops[i]);
        if (why) fprintf(stderr, "ptx: %s: %s\n", op_name[ops[i]], why);
        *wrong |= why != NULL;
        if (!why) error = time_in_turn(&t, 1, 3);
        printf("%s,%lld,%lld,%lld,", op_name[ops[i]], (long long)shape->batch, (long long)shape->in,
               (long long)shape->out);
        if (why || error)
            printf(",,no\n");
        else
            printf("%.6g,%.6g,yes\n", median(t.ms, t.done), row_gflop(&r) / median(t.ms, t.done) * 1e3);
        fflush(stdout);
    }
    library_ptx.close(state);
    problem_free(&p);
    return error;
}

static const char *load(struct state *none, const char *line)
{
    (void)none;
    return load_kernel(line);
}

static const char *measure_all(int *wrong)
{
    const char *error = cuda_open(&cuda);
    if (error) return error;
    record = read_text("record");
    if (!record) return "there is no record";
    char *kernels = strstr(record, "\nkernel ");
    if (!kernels) return "the record has no kernel";
    error = each_line(kernels + 1, "kernel ", NULL, load);
    printf("op,batch,in,out,ms,gflops,checked\n");
    for (section = record; section && !error;) {
        struct shape shape = {.regime = SQUARE};
        long long batch, in, out;
        if (sscanf(section, "shape %lld %lld %lld", &batch, &in, &out) != 3)
            return "a shape of the record is wrong";
        shape.batch = batch, shape.in = in, shape.out = out;
        error = measure(&shape, wrong);
        section = strstr(section + 1, "\nshape ");
        if (section) section++;
    }
    free(record);
    return error;
}

int main(int argc, char **argv)
{
    int wrong = 0;
    if (argc != 2) {
        fprintf(stderr, "ptx FOLDER\n");
        return 2;
    }
    folder = argv[1];
    const char *error = measure_all(&wrong);
    if (error) fprintf(stderr, "ptx: %s\n", error);
    return error || wrong ? 1 : 0;
}
