/*
 * What a process pays before its first result. One process, one measurement; start_up.sh runs it and takes the time.
 *
 *     start_up context    makes a context and destroys it
 *     start_up forward    makes a context, a 784 x 256 layer and its batch of 128, and waits for one forward
 *     start_up square     the same with a 512 x 512 layer and 512 samples, then prints the median time of a forward
 */
#define _POSIX_C_SOURCE 200809L /* clock_gettime */
#include <oclin.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static void check(const oclin_context *ctx, oclin_status status)
{
    if (status == OCLIN_OK) return;
    fprintf(stderr, "start_up: %s: %s\n", oclin_status_name(status), ctx ? oclin_context_error(ctx) : "");
    exit(1);
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void forward(oclin_context *ctx, int64_t batch, int64_t in, int64_t out, int timed)
{
    enum { RUNS = 31 };
    oclin_layer *layer;
    oclin_tensor *x, *y;
    float *samples = calloc((size_t)(batch * in), sizeof *samples);
    if (!samples) exit(1);
    check(ctx, oclin_layer_create(&layer, ctx, in, out, NULL));
    check(ctx, oclin_tensor_create(&x, ctx, OCLIN_F32, batch, in));
    check(ctx, oclin_tensor_create(&y, ctx, OCLIN_F32, batch, out));
    check(ctx, oclin_tensor_write(x, samples));
    check(ctx, oclin_layer_infer(layer, x, y));
    check(ctx, oclin_context_finish(ctx));
    if (timed) {
        double times[RUNS];
        for (int i = 0; i < RUNS; i++) {
            const double start = seconds();
            check(ctx, oclin_layer_infer(layer, x, y));
            check(ctx, oclin_context_finish(ctx));
            times[i] = seconds() - start;
        }
        qsort(times, RUNS, sizeof *times, ascending);
        printf("%.3f\n", 1e3 * times[RUNS / 2]);
    }
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(layer);
    free(samples);
}

int main(int argc, char **argv)
{
    const char *what = argc == 2 ? argv[1] : "";
    const int square = strcmp(what, "square") == 0;
    if (!square && strcmp(what, "forward") != 0 && strcmp(what, "context") != 0) {
        fprintf(stderr, "start_up context|forward|square\n");
        return 2;
    }
    oclin_context *ctx;
    check(NULL, oclin_context_create(&ctx, NULL));
    if (square) forward(ctx, 512, 512, 512, 1);
    if (strcmp(what, "forward") == 0) forward(ctx, 128, 784, 256, 0);
    oclin_context_destroy(ctx);
    return 0;
}
