/*
 * Results against sums in double. Bound of a sum of K products in float32, in any order, as oclin.h has it: the
 * smaller of K + 1 roundings and (8 + 2 sqrt K) u, u = 2^-24, times the sum of magnitudes. All libraries must meet
 * it; one that rounds operands first gets the error of that besides.
 */
#include "bench.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

#define U (0.5 * FLT_EPSILON)

enum { BUDGET = 2000000, FEWEST = 256 }; /* products that a check may cost; elements at least */

static const float check_lr = 0.125f; /* large enough that W's change is not lost in its rounding */

struct sum {
    double value, bound;
};

/* rounding: of each operand, relative, before they are multiplied. */
static struct sum dot(const float *a, int64_t a_stride, const float *b, int64_t b_stride, int64_t k,
                      double rounding)
{
    double value = 0.0, magnitude = 0.0;
    for (int64_t i = 0; i < k; i++) {
        const double product = (double)a[i * a_stride] * (double)b[i * b_stride];
        value += product;
        magnitude += fabs(product);
    }
    const double roundings = fmin((double)k + 1.0, 8.0 + 2.0 * sqrt((double)k));
    return (struct sum){value, (roundings * U + 2.0 * rounding + rounding * rounding) * magnitude};
}

/* What element (r, c) of this library's result has to be. */
static struct sum expected(const struct library *library, const struct problem *p, enum result what, int set,
                           int64_t r, int64_t c)
{
    const double rounding = library->rounding;
    const int64_t batch = p->shape.batch, in = p->shape.in, out = p->shape.out;
    struct sum s;
    switch (what) {
    case RESULT_Y:
        s = dot(p->x[set] + r * in, 1, p->w + c * in, 1, in, rounding);
        if (library->adds_bias) {
            s.value += (double)p->b[c];
            s.bound += U * (fabs((double)p->b[c]) + fabs(s.value));
        }
        return s;
    case RESULT_DX:
        return dot(p->dy[set] + r * out, 1, p->w + c, in, out, rounding);
    case RESULT_DW:
        return dot(p->dy[set] + r, out, p->x[set] + c, in, batch, rounding);
    default:
        s = dot(p->dy[set] + r, out, p->x[set] + c, in, batch, rounding);
        s.bound = (double)check_lr * (s.bound + U * fabs(s.value));
        s.value = (double)p->w[r * in + c] - (double)check_lr * s.value;
        s.bound += U * fabs(s.value);
        return s;
    }
}

static const char *compare(const struct library *library, const float *got, const struct problem *p,
                           enum result what, int set)
{
    static const char *const name[] = {"y", "dx", "dw", "w"};
    const struct shape *n = &p->shape;
    const int64_t cols = what == RESULT_Y ? n->out : n->in;
    const int64_t count = what == RESULT_Y ? y_count(n) : what == RESULT_DX ? x_count(n) : w_count(n);
    const int64_t k = what == RESULT_Y ? n->in : what == RESULT_DX ? n->out : n->batch;
    int64_t samples = BUDGET / k;
    if (samples < FEWEST) samples = FEWEST;
    if (samples > count) samples = count;
    /* evenly spread, the first and the last among them; spread over the columns, too, by a shift that grows */
    for (int64_t i = 0; i < samples; i++) {
        const double place = samples > 1 ? (double)i / (double)(samples - 1) * (double)(count - 1) : 0.0;
        int64_t at = samples == count ? i : (int64_t)place;
        if (samples < count && i > 0 && i < samples - 1) at = (at + i * 7919) % count;
        const struct sum want = expected(library, p, what, set, at / cols, at % cols);
        if (!(fabs((double)got[at] - want.value) <= want.bound))
            return sentence("%s[%lld, %lld] is %.9g, the reference says %.9g within %.3g", name[what],
                            (long long)(at / cols), (long long)(at % cols), (double)got[at], want.value,
                            want.bound);
    }
    return NULL;
}

static const char *check_result(const struct library *library, void *state, const struct problem *p,
                                enum result what, int set)
{
    const struct shape *n = &p->shape;
    const int64_t count = what == RESULT_Y ? y_count(n) : what == RESULT_DX ? x_count(n) : w_count(n);
    float *got = floats(count);
    if (!got) return "no memory";
    const char *error = library->fetch(state, what, set, got);
    if (!error) error = compare(library, got, p, what, set);
    free(got);
    return error;
}

const char *check(const struct library *library, void *state, const struct problem *p, enum op op)
{
    const int step = op == STEP || op == FUSED_STEP, set = p->sets - 1;
    const char *error = library->reset(state);
    if (!error) error = library->enqueue(state, op, set, check_lr);
    if (!error) error = library->finish(state);
    if (!error && (op == FORWARD || op == INFER || step))
        error = check_result(library, state, p, RESULT_Y, set);
    if (!error && (op == DX || step)) error = check_result(library, state, p, RESULT_DX, set);
    if (!error && op == DW) error = check_result(library, state, p, RESULT_DW, set);
    if (!error && step) error = check_result(library, state, p, RESULT_W, set);
    const char *after = library->reset(state);
    return error ? error : after;
}
