/* OpenBLAS: one sgemm a product, saxpy for the step; row-major as everywhere here. It adds no bias. */
#define _XOPEN_SOURCE 700

#include "bench.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct state {
    const struct problem *p;
    float *w[MAX_SETS], *dw[MAX_SETS], *x[MAX_SETS], *y[MAX_SETS], *dy[MAX_SETS], *dx[MAX_SETS];
};

static void version(char *text, size_t size)
{
    char config[256];
    snprintf(config, sizeof config, "%s", openblas_get_config());
    config[strcspn(config + 9, " ") + 9] = 0; /* "OpenBLAS 0.3.21 ..." */
    openblas_set_num_threads((int)sysconf(_SC_NPROCESSORS_ONLN));
    snprintf(text, size, "%s (%s, %d threads)%s", config, openblas_get_corename(), openblas_get_num_threads(),
             getenv("OPENBLAS_CORETYPE") || getenv("OPENBLAS_L2_SIZE")
                 ? "; OPENBLAS_CORETYPE or OPENBLAS_L2_SIZE is set: it may run a slower kernel"
                 : "");
}

static float *copy(const float *from, int64_t n)
{
    float *to = floats(n);
    if (to && from) memcpy(to, from, (size_t)n * sizeof *to);
    if (to && !from) memset(to, 0xFF, (size_t)n * sizeof *to); /* NaN, and the pages are there */
    return to;
}

static const char *reset(void *state)
{
    struct state *s = state;
    for (int i = 0; i < s->p->w_sets; i++)
        memcpy(s->w[i], s->p->w, (size_t)w_count(&s->p->shape) * sizeof(float));
    return NULL;
}

static const char *open_all(void **state, const struct problem *p, oclin_context *ctx)
{
    struct state *s = calloc(1, sizeof *s);
    const struct shape *n = &p->shape;
    int ok = s != NULL;
    (void)ctx;
    *state = s;
    for (int i = 0; i < p->w_sets && ok; i++) {
        s->p = p;
        s->w[i] = copy(p->w, w_count(n));
        s->dw[i] = copy(NULL, w_count(n));
        ok = s->w[i] && s->dw[i];
    }
    for (int i = 0; i < p->sets && ok; i++) {
        s->x[i] = copy(p->x[i], x_count(n));
        s->dx[i] = copy(NULL, x_count(n));
        s->dy[i] = copy(p->dy[i], y_count(n));
        s->y[i] = copy(NULL, y_count(n));
        ok = s->x[i] && s->dx[i] && s->dy[i] && s->y[i];
    }
    return ok ? NULL : "no memory";
}

static void close_all(void *state)
{
    struct state *s = state;
    if (!s) return;
    for (int i = 0; i < MAX_SETS; i++) {
        free(s->w[i]);
        free(s->dw[i]);
        free(s->x[i]);
        free(s->dx[i]);
        free(s->y[i]);
        free(s->dy[i]);
    }
    free(s);
}

/* Y = X W^T */
static void forward(struct state *s, int i)
{
    const blasint batch = (blasint)s->p->shape.batch, in = (blasint)s->p->shape.in,
                  out = (blasint)s->p->shape.out;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, batch, out, in, 1.0f, s->x[i], in,
                s->w[i % s->p->w_sets], in, 0.0f, s->y[i], out);
}

/* dW = dY^T X */
static void grad_w(struct state *s, int i)
{
    const blasint batch = (blasint)s->p->shape.batch, in = (blasint)s->p->shape.in,
                  out = (blasint)s->p->shape.out;
    cblas_sgemm(CblasRowMajor, CblasTrans, CblasNoTrans, out, in, batch, 1.0f, s->dy[i], out, s->x[i], in,
                0.0f, s->dw[i % s->p->w_sets], in);
}

/* dX = dY W */
static void grad_x(struct state *s, int i)
{
    const blasint batch = (blasint)s->p->shape.batch, in = (blasint)s->p->shape.in,
                  out = (blasint)s->p->shape.out;
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, batch, in, out, 1.0f, s->dy[i], out,
                s->w[i % s->p->w_sets], in, 0.0f, s->dx[i], in);
}

static const char *enqueue(void *state, enum op op, int i, float lr)
{
    struct state *s = state;
    const int l = i % s->p->w_sets;
    if (op == FORWARD || op == STEP) forward(s, i);
    if (op == DX || op == STEP) grad_x(s, i);
    if (op == DW || op == STEP) grad_w(s, i);
    if (op == STEP) cblas_saxpy((blasint)w_count(&s->p->shape), -lr, s->dw[l], 1, s->w[l], 1);
    return NULL;
}

static const char *finish(void *state)
{
    (void)state;
    return NULL;
}

static const char *fetch(void *state, enum result what, int i, float *host)
{
    struct state *s = state;
    const struct shape *n = &s->p->shape;
    const int l = i % s->p->w_sets;
    const float *from = what == RESULT_Y    ? s->y[i]
                        : what == RESULT_DX ? s->dx[i]
                        : what == RESULT_DW ? s->dw[l]
                                            : s->w[l];
    const int64_t count = what == RESULT_Y ? y_count(n) : what == RESULT_DX ? x_count(n) : w_count(n);
    memcpy(host, from, (size_t)count * sizeof *host);
    return NULL;
}

const struct library library_openblas = {
    .name = "openblas",
    .version = version,
    .open = open_all,
    .close = close_all,
    .reset = reset,
    .enqueue = enqueue,
    .finish = finish,
    .fetch = fetch,
};
