/*
 * How long an optimizer's update takes: in backward, after it, and alone, on one layer, in turn.
 *
 *   optimizer_bench BATCH IN OUT [RULE [RUNS]]      RULE: sgd momentum adam adamw lion schedule-free
 *
 * Two equal layers take the same steps, one by oclin_layer_backward_update(), the other by
 * oclin_layer_backward() and oclin_layer_update(). Before anything is timed their parameters must be equal,
 * bit for bit. Prints medians in ms of RUNS timings (15), each of a run behind oclin_context_finish():
 *
 *   step      forward and fused: a whole training step
 *   fused     backward with the update in it
 *   apart     zero_grad, backward, update
 *   update    the update alone, and the GB/s of what it must move
 *   add       dst += alpha src with as many elements as W, and its GB/s: a plain pass over three arrays
 *   sgd       backward with plain SGD in it
 */
#define _POSIX_C_SOURCE 200809L
#include <oclin.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_RUNS = 1001, STEPS_BEFORE = 3 };
enum what { STEP, FUSED, APART, UPDATE, ADD, SGD, COUNT };

static const struct rule {
    const char *name;
    struct oclin_optimizer_options options;
    int states;
} rules[] = {
    {"sgd", OCLIN_SGD_OPTIONS_INIT, 0},
    {"momentum", {sizeof(struct oclin_optimizer_options), OCLIN_SGD, 0, 0.9, 0, 0, 0, 0, 0, 0, 0, 1, 0}, 1},
    {"adam", OCLIN_ADAM_OPTIONS_INIT, 2},
    {"adamw", OCLIN_ADAMW_OPTIONS_INIT, 2},
    {"lion", OCLIN_LION_OPTIONS_INIT, 1},
    {"schedule-free", OCLIN_SCHEDULE_FREE_OPTIONS_INIT, 2},
};

struct bench {
    oclin_context *ctx;
    oclin_layer *layer[2];
    oclin_optimizer *optimizer[2];
    oclin_tensor *x, *y[2], *dy, *dx, *like_w[2];
};

static void end(const struct bench *b, const char *what)
{
    fprintf(stderr, "optimizer_bench: %s: %s\n", what, b->ctx ? oclin_context_error(b->ctx) : "no device");
    exit(1);
}

#define TRY(call)                              \
    do {                                       \
        if ((call) != OCLIN_OK) end(b, #call); \
    } while (0)

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* A tensor of numbers in [-0.5, 0.5). */
static oclin_tensor *tensor(struct bench *b, int64_t rows, int64_t cols)
{
    oclin_tensor *t;
    const int64_t n = rows * cols;
    uint64_t state = 42;
    float *host = malloc((size_t)n * sizeof *host);
    if (!host) end(b, "no memory");
    for (int64_t i = 0; i < n; i++) {
        state = state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        host[i] = (float)(state >> 40) * 0x1p-24f - 0.5f;
    }
    TRY(oclin_tensor_create(&t, b->ctx, OCLIN_F32, rows, cols));
    TRY(oclin_tensor_write(t, host));
    free(host);
    return t;
}

static void make(struct bench *b, int64_t batch, int64_t in, int64_t out, const struct rule *rule)
{
    TRY(oclin_context_create(&b->ctx, NULL));
    b->x = tensor(b, batch, in);
    b->dx = tensor(b, batch, in);
    b->dy = tensor(b, batch, out);
    for (int i = 0; i < 2; i++) {
        b->y[i] = tensor(b, batch, out);
        b->like_w[i] = tensor(b, out, in);
        TRY(oclin_layer_create(&b->layer[i], b->ctx, in, out, NULL));
        TRY(oclin_optimizer_create(&b->optimizer[i], b->ctx, &rule->options));
        TRY(oclin_optimizer_add(b->optimizer[i], b->layer[i], NULL));
    }
}

static void run(struct bench *b, enum what what)
{
    const struct oclin_update u = OCLIN_UPDATE_INIT(1e-4);
    if (what == STEP) TRY(oclin_layer_forward(b->layer[0], b->x, b->y[0]));
    if (what == STEP || what == FUSED)
        TRY(oclin_layer_backward_update(b->layer[0], b->dy, b->dx, b->optimizer[0], &u));
    if (what == APART) {
        TRY(oclin_layer_zero_grad(b->layer[1]));
        TRY(oclin_layer_backward(b->layer[1], b->dy, b->dx));
    }
    if (what == APART || what == UPDATE) TRY(oclin_layer_update(b->layer[1], b->optimizer[1], &u));
    if (what == ADD) TRY(oclin_tensor_add(b->like_w[0], b->like_w[1], 1e-7f));
    if (what == SGD) TRY(oclin_layer_backward_step(b->layer[0], b->dy, b->dx, 1e-7f));
}

/* Ends the program unless the two layers are equal after some steps. */
static void check(struct bench *b, int64_t n)
{
    float *w[2];
    for (int i = 0; i < 2; i++) {
        w[i] = malloc((size_t)n * sizeof *w[i]);
        if (!w[i]) end(b, "no memory");
        TRY(oclin_layer_forward(b->layer[i], b->x, b->y[i]));
        for (int step = 0; step < STEPS_BEFORE; step++) run(b, i ? APART : FUSED);
        TRY(oclin_tensor_read(oclin_layer_w(b->layer[i]), w[i]));
    }
    if (memcmp(w[0], w[1], (size_t)n * sizeof *w[0]) != 0) {
        fprintf(stderr, "optimizer_bench: W differs between the fused and the separate update\n");
        exit(1);
    }
    free(w[0]);
    free(w[1]);
}

static int compare(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void destroy(struct bench *b)
{
    for (int i = 0; i < 2; i++) {
        oclin_optimizer_destroy(b->optimizer[i]);
        oclin_layer_destroy(b->layer[i]);
        oclin_tensor_destroy(b->y[i]);
        oclin_tensor_destroy(b->like_w[i]);
    }
    oclin_tensor_destroy(b->x);
    oclin_tensor_destroy(b->dx);
    oclin_tensor_destroy(b->dy);
    oclin_context_destroy(b->ctx);
}

int main(int count, char **arguments)
{
    static double seconds[COUNT][MOST_RUNS];
    const int64_t batch = count > 3 ? atoll(arguments[1]) : 0, in = count > 3 ? atoll(arguments[2]) : 0,
                  out = count > 3 ? atoll(arguments[3]) : 0;
    const int runs = count > 5 ? atoi(arguments[5]) : 15;
    const struct rule *rule = rules;
    const struct rule *last = rules + sizeof rules / sizeof *rules;
    while (rule < last && strcmp(rule->name, count > 4 ? arguments[4] : "adamw") != 0) rule++;
    if (batch < 1 || in < 1 || out < 1 || rule == last || runs < 1 || runs > MOST_RUNS || count > 6) {
        fprintf(stderr, "optimizer_bench BATCH IN OUT [RULE [RUNS]]\n"
                        "RULE: sgd momentum adam adamw lion schedule-free\n");
        return 2;
    }
    struct bench bench = {.ctx = NULL}, *b = &bench;
    make(b, batch, in, out, rule);
    check(b, in * out);
    for (int i = -1; i < runs; i++)
        for (int what = 0; what < COUNT; what++) {
            TRY(oclin_context_finish(b->ctx));
            const double start = now();
            run(b, (enum what)what);
            TRY(oclin_context_finish(b->ctx));
            if (i >= 0) seconds[what][i] = now() - start;
        }
    double ms[COUNT];
    for (int what = 0; what < COUNT; what++) {
        qsort(seconds[what], (size_t)runs, sizeof(double), compare);
        ms[what] = 1e3 * seconds[what][runs / 2];
    }
    const double megabytes = 4e-6 * (double)in * (double)out;
    const double update_rate = (3 + 2 * rule->states) * megabytes / ms[UPDATE],
                 add_rate = 3 * megabytes / ms[ADD];
    printf("%s, %lld x %lld x %lld: step %.3f, fused %.3f, apart %.3f (%.2f x), update %.3f (%.1f GB/s), "
           "add %.3f (%.1f GB/s; update %.2f of it), sgd %.3f\n",
           rule->name, (long long)batch, (long long)in, (long long)out, ms[STEP], ms[FUSED], ms[APART],
           ms[APART] / ms[FUSED], ms[UPDATE], update_rate, ms[ADD], add_rate, update_rate / add_rate,
           ms[SGD]);
    destroy(b);
    return 0;
}
