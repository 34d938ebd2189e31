/* The numbers that all libraries compute with. */
#define _XOPEN_SOURCE 700

#include "bench.h"

#include <stdlib.h>
#include <string.h>

int64_t x_count(const struct shape *s)
{
    return s->batch * s->in;
}

int64_t y_count(const struct shape *s)
{
    return s->batch * s->out;
}

int64_t w_count(const struct shape *s)
{
    return s->out * s->in;
}

float *floats(int64_t n)
{
    void *memory;
    return posix_memalign(&memory, 4096, (size_t)n * sizeof(float)) == 0 ? memory : NULL;
}

/* Uniform in [-0.5, 0.5): xorshift64* (Vigna, 2016), upper 24 bits. */
static float *random_floats(int64_t n, uint64_t *seed)
{
    float *f = floats(n);
    for (int64_t i = 0; f && i < n; i++) {
        *seed ^= *seed >> 12;
        *seed ^= *seed << 25;
        *seed ^= *seed >> 27;
        f[i] = (float)((*seed * UINT64_C(2685821657736338717)) >> 40) * 0x1p-24f - 0.5f;
    }
    return f;
}

int problem_make(struct problem *p, const struct shape *s, int64_t rotate_bytes, int cold)
{
    uint64_t seed = UINT64_C(0x9E3779B97F4A7C15);
    int64_t count = 2 * (x_count(s) + y_count(s));
    if (cold) count += w_count(s);
    const int64_t bytes = count * (int64_t)sizeof(float), wanted = (rotate_bytes + bytes - 1) / bytes;
    memset(p, 0, sizeof *p);
    p->shape = *s;
    p->sets = wanted < 1 ? 1 : wanted > MAX_SETS ? MAX_SETS : (int)wanted;
    p->w_sets = cold ? p->sets : 1;
    p->w = random_floats(w_count(s), &seed);
    p->b = random_floats(s->out, &seed);
    int ok = p->w && p->b;
    for (int i = 0; i < p->sets && ok; i++) {
        p->x[i] = random_floats(x_count(s), &seed);
        p->dy[i] = random_floats(y_count(s), &seed);
        ok = p->x[i] && p->dy[i];
    }
    if (!ok) problem_free(p);
    return ok;
}

void problem_free(struct problem *p)
{
    for (int i = 0; i < MAX_SETS; i++) {
        free(p->x[i]);
        free(p->dy[i]);
    }
    free(p->w);
    free(p->b);
    memset(p, 0, sizeof *p);
}
