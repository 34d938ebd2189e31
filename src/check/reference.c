/*
 * The CPU path: every operation as a formula and a bound, for dense host arrays, with sums in double.
 *
 * The bounds are first order in u and then widened by SECOND_ORDER. OpenCL 1.2 (full profile) states the
 * errors of its functions in ulp; k ulp of a value v are at most 2 k u |v|, or k times the smallest denormal.
 * So in units of u: exp 6, log 6, tanh 10, erfc 32, division 5, and 1 for + - * fma.
 */
#include <math.h>
#include <string.h>

#include "oclin.h"
#include "ops/activation.h"
#include "ops/bounds.h"
#include "tensor/element.h"

/* A caller's case of any age: what it does not have takes its default; an activation that is not known is
 * none. */
static struct oclin_ref_case read_case(const struct oclin_ref_case *from)
{
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(0, 0, 0);
    if (from) memcpy(&c, from, from->size < sizeof c ? from->size : sizeof c);
    if (!oclin_activation_row(c.activation)) c.activation = OCLIN_NONE;
    c.alpha = oclin_activation_alpha(c.activation, c.alpha);
    return c;
}

/* ------------------------------------------------------------------------------------------------ sums */

struct sum {
    int64_t K;
    double value;
    double S;       /* of magnitudes */
    double finite;  /* the part of S that is not from an Inf or NaN; Inf: nothing is known */
    double carried; /* E: errors that the operands bring along */
    double largest; /* operand */
};

/* n u / (1 - n u): how far n roundings may change a number, relative (Higham, Accuracy and Stability of
 * Numerical Algorithms, chapter 3). No claim where they may double it. */
static double gamma_of(double n, double u)
{
    return n * u < 0.5 ? n * u / (1 - n * u) : INFINITY;
}

/*
 * How far a sum of K products in float32 may be from the exact one; `more` counts the roundings that follow
 * the sum, as of a bias. S is the sum of the magnitudes (with |b|, if one is added), E the errors of the
 * operands carried through.
 *
 *   proven   gamma(n) (S + E) + E, n the roundings that a term passes: for any data. And what may underflow:
 *            each product by half of the smallest denormal, or, on a device without them, each operation by
 *            2^-126 of its largest operand; and the sums in double of this file.
 *   random   the smaller of gamma and (8 + 2 sqrt K) u, which right sums of random numbers were seen to stay
 *            below; 16 u where the products have mean zero. They see what gamma does not, as a last term left
 *            out of a long sum.
 */
static double sum_bound(const struct oclin_ref_case *c, const struct sum *sum, int64_t more)
{
    if (sum->S >= NO_OVERFLOW) return INFINITY;
    const double u = unit_of(c), K = (double)sum->K, all = K + 1;
    const double n = (double)(c->additions > 0 ? c->additions : sum->K) + (double)more;
    const double underflow = K * TINY / 2 + (c->no_denormals ? 2 * all * FLUSH * fmax(1, sum->largest) : 0);
    if (c->rule == OCLIN_PROVEN) {
        const double gamma = gamma_of(n, u), doubles = 2 * K * 0x1p-53;
        return (gamma + doubles) * (sum->S + sum->carried) + sum->carried + (1 + gamma) * underflow;
    }
    const double seen = (c->rule == OCLIN_ZERO_MEAN ? 16 : 8 + 2 * sqrt(K)) * u;
    const double fewest = c->additions > 0 ? fmin(n, all) : all;
    return fmin(gamma_of(fewest, u), seen) * sum->S + underflow + sum->carried;
}

/* Not fmax(), which is a function call for each operand; of NaN neither takes notice. */
static double larger(double largest, double of)
{
    return of > largest ? of : largest;
}

/* a may be off by a_bound, so the device may be adding products that much larger. */
static void add_product(struct sum *sum, double a, double a_bound, double b)
{
    sum->K++;
    sum->value += a * b;
    const double magnitude = (fabs(a) + a_bound) * fabs(b);
    sum->S += magnitude;
    if (isfinite(magnitude)) sum->finite += magnitude;
    /* a may be NaN there, or Inf or not; or 0, and 0 Inf is NaN */
    if (isnan(a_bound) || (isinf(a_bound) && isfinite(a)) || (isinf(b) && fabs(a) <= a_bound))
        sum->finite = INFINITY;
    sum->carried += a_bound * fabs(b);
    sum->largest = larger(larger(sum->largest, fabs(a)), fabs(b));
}

static double bound_of(const struct oclin_ref_case *c, const struct sum *sum, int64_t more)
{
    /* Inf or NaN, on the device too; unless the finite products may overflow there to the other Inf, which
     * makes NaN, or a factor of the Inf may underflow */
    if (!isfinite(sum->S)) return sum->finite < NO_OVERFLOW ? 0 : NAN;
    return sum_bound(c, sum, more);
}

/* ----------------------------------------------------------------------------------------- activations */

static const struct oclin_activation_row *row_of(const struct oclin_ref_case *c)
{
    return oclin_activation_row(c->activation);
}

static double grad_z(const struct oclin_ref_case *c, double dy, double s)
{
    return row_of(c)->grad(c, dy, s);
}

static double grad_z_bound(const struct oclin_ref_case *c, double dy, double s)
{
    return row_of(c)->grad_bound(c, dy, s);
}

/* s may be NULL where there is no activation. */
static double grad_z_at(const struct oclin_ref_case *c, const float *dy, const float *s, int64_t at)
{
    return grad_z(c, dy[at], c->activation == OCLIN_NONE ? 0 : s[at]);
}

static double grad_z_bound_at(const struct oclin_ref_case *c, const float *dy, const float *s, int64_t at)
{
    return c->activation == OCLIN_NONE ? 0 : grad_z_bound(c, dy[at], s[at]);
}

/* dz times b joins a sum. Where dz overflows on every device it is Inf, which makes NaN of a b that is 0;
 * where its last rounding decides, it stays as it is, and its bound is Inf. */
static void add_grad_z(const struct oclin_ref_case *c, struct sum *sum, const float *dy, const float *s,
                       int64_t at, int bounded, double b)
{
    const double e = bounded ? grad_z_bound_at(c, dy, s, at) : 0, dz = grad_z_at(c, dy, s, at);
    const int overflows = isfinite(dz) && fabs(dz) >= OVERFLOWS && isfinite(e);
    add_product(sum, overflows ? copysign(INFINITY, dz) : dz, e, b);
}

/* --------------------------------------------------------------------------------------------- products */

void oclin_ref_forward(const struct oclin_ref_case *from, const float *x, const float *w, const float *b,
                       double *z, double *z_bound, double *y, double *bound)
{
    const struct oclin_ref_case copy = read_case(from), *c = &copy;
    for (int64_t n = 0; n < c->batch; n++) {
        for (int64_t o = 0; o < c->out; o++) {
            struct sum sum = {0};
            for (int64_t i = 0; i < c->in; i++) add_product(&sum, x[n * c->in + i], 0, w[o * c->in + i]);
            if (b) {
                sum.value += b[o];
                sum.S += fabs(b[o]);
                if (isfinite(b[o])) sum.finite += fabs(b[o]);
            }
            const int64_t at = n * c->out + o;
            const double e = bound_of(c, &sum, b ? 1 : 0);
            if (z) z[at] = sum.value;
            if (z_bound) z_bound[at] = e;
            if (y) y[at] = row_of(c)->value(c, sum.value);
            if (bound) bound[at] = row_of(c)->value_bound(c, sum.value, e);
        }
    }
}

void oclin_ref_grad_z(const struct oclin_ref_case *from, const float *dy, const float *s, double *dz,
                      double *bound)
{
    const struct oclin_ref_case copy = read_case(from), *c = &copy;
    for (int64_t at = 0; at < c->batch * c->out; at++) {
        dz[at] = grad_z_at(c, dy, s, at);
        if (bound) bound[at] = grad_z_bound_at(c, dy, s, at);
    }
}

/* Stores a sum over the batch as the gradient: itself, or divided by the batch. */
static void store_gradient(const struct oclin_ref_case *c, const struct sum *sum, double *g, double *bound)
{
    double e = bound_of(c, sum, 0);
    *g = sum->value;
    if (c->gradient == OCLIN_GRAD_MEAN && c->batch > 0) { /* the device multiplies by a rounded 1 / batch */
        const double u = unit_of(c), twice = 2 * u + u * u;
        e = (e + twice * (fabs(sum->value) + e)) / (double)c->batch + TINY + (c->no_denormals ? FLUSH : 0);
        *g /= (double)c->batch;
    }
    if (bound) *bound = e;
}

void oclin_ref_grad_w(const struct oclin_ref_case *from, const float *x, const float *dy, const float *s,
                      double *dw, double *bound)
{
    const struct oclin_ref_case copy = read_case(from), *c = &copy;
    for (int64_t o = 0; o < c->out; o++) {
        for (int64_t i = 0; i < c->in; i++) {
            struct sum sum = {0};
            for (int64_t n = 0; n < c->batch; n++) {
                const int64_t at = n * c->out + o;
                add_grad_z(c, &sum, dy, s, at, bound != NULL, x[n * c->in + i]);
            }
            store_gradient(c, &sum, &dw[o * c->in + i], bound ? &bound[o * c->in + i] : NULL);
        }
    }
}

void oclin_ref_grad_b(const struct oclin_ref_case *from, const float *dy, const float *s, double *db,
                      double *bound)
{
    const struct oclin_ref_case copy = read_case(from), *c = &copy;
    for (int64_t o = 0; o < c->out; o++) {
        struct sum sum = {0};
        for (int64_t n = 0; n < c->batch; n++) {
            const int64_t at = n * c->out + o;
            add_grad_z(c, &sum, dy, s, at, bound != NULL, 1);
        }
        store_gradient(c, &sum, &db[o], bound ? &bound[o] : NULL);
    }
}

void oclin_ref_grad_x(const struct oclin_ref_case *from, const float *w, const float *dy, const float *s,
                      double *dx, double *bound)
{
    const struct oclin_ref_case copy = read_case(from), *c = &copy;
    for (int64_t n = 0; n < c->batch; n++) {
        for (int64_t i = 0; i < c->in; i++) {
            struct sum sum = {0};
            for (int64_t o = 0; o < c->out; o++) {
                const int64_t at = n * c->out + o;
                add_grad_z(c, &sum, dy, s, at, bound != NULL, w[o * c->in + i]);
            }
            dx[n * c->in + i] = sum.value;
            if (bound) bound[n * c->in + i] = bound_of(c, &sum, 0);
        }
    }
}

/* ---------------------------------------------------------------------------------------------- updates */

/* A finite addend, known to within e, may be Inf on a device; beside the other Inf that makes NaN, and
 * nothing is known. */
static int unknown_beside_inf(float old, double addend, double e)
{
    return isinf(old) && isfinite(addend) && !(fabs(addend) + e < NO_OVERFLOW);
}

/* Whatever the case says of denormals, operands and results may each be flushed. */
void oclin_ref_accumulate(const struct oclin_ref_case *from, int64_t n, const float *old, const double *dw,
                          const double *dw_bound, double *sum, double *bound)
{
    const struct oclin_ref_case c = read_case(from);
    const double u = unit_of(&c);
    for (int64_t i = 0; i < n; i++) {
        const double e = dw_bound ? dw_bound[i] : 0;
        sum[i] = old[i] + dw[i];
        if (bound) bound[i] = unless_overflow(sum[i], e + u * (fabs(sum[i]) + e) + 3 * FLUSH);
        if (bound && unknown_beside_inf(old[i], dw[i], e)) bound[i] = NAN;
    }
}

static double step_bound(double u, float w, double dw, double e, float lr)
{
    const double lr_dw = (double)lr * dw, lr_flushed = (double)lr < FLUSH ? lr : 0;
    const double rounding = 2 * u * (fabs(w) + fabs(lr_dw)) + SECOND_ORDER * lr * e;
    if (unknown_beside_inf(w, lr_dw, lr * e) || (isinf(dw) && lr_flushed > 0)) return NAN;
    /* without fma the product may overflow, and the difference not */
    if (isfinite(lr_dw) && fabs(lr_dw) + rounding >= OVERFLOWS && fabs(w - lr_dw) < OVERFLOWS)
        return INFINITY;
    return unless_overflow(w - lr_dw,
                           rounding + (3 + lr) * FLUSH + (lr_flushed > 0 ? lr_flushed * fabs(dw) : 0));
}

void oclin_ref_step(const struct oclin_ref_case *from, int64_t n, const float *w, const double *dw,
                    const double *dw_bound, float lr, double *w_new, double *bound)
{
    const struct oclin_ref_case c = read_case(from);
    for (int64_t i = 0; i < n; i++) {
        const double e = dw_bound ? dw_bound[i] : 0;
        w_new[i] = w[i] - (double)lr * dw[i];
        if (bound) bound[i] = step_bound(unit_of(&c), w[i], dw[i], e, lr);
    }
}

/* ----------------------------------------------------------------------------------------------- arrays */

/* Where there is no fma, the product is rounded alone. A device without denormals may flush each operand, the
 * product and the sum. */
static double add_bound(const struct oclin_ref_case *c, float dst, float src, float alpha)
{
    const double u = unit_of(c), product = (double)alpha * src, sum = dst + product;
    const double flush = c->no_denormals ? FLUSH : 0, flushed = fabs(alpha) < flush ? fabs(product) : 0;
    if (unknown_beside_inf(dst, product, 0)) return NAN;
    if (isinf(src) && alpha != 0 && fabs(alpha) < flush) return NAN; /* Inf, or flushed: 0 Inf */
    const double rounding =
        SECOND_ORDER * u * (fabs(product) + fabs(sum)) + TINY + (3 + fabs(alpha)) * flush + flushed;
    if (isfinite(product) && fabs(product) + rounding >= OVERFLOWS && fabs(sum) < OVERFLOWS) return INFINITY;
    return unless_overflow(sum, rounding);
}

void oclin_ref_add(const struct oclin_ref_case *from, int64_t n, const float *dst, const float *src,
                   float alpha, double *sum, double *bound)
{
    const struct oclin_ref_case c = read_case(from);
    for (int64_t i = 0; i < n; i++) {
        sum[i] = dst[i] + (double)alpha * src[i];
        if (bound) bound[i] = add_bound(&c, dst[i], src[i], alpha);
    }
}

/* Bytes, so that a NaN keeps its bits. */
void oclin_ref_gather_rows(oclin_dtype dtype, int64_t rows, int64_t cols, int64_t src_rows, const void *src,
                           const int32_t *indices, void *dst)
{
    const struct oclin_element *element = oclin_element_of(dtype);
    if (!element) return;
    const int64_t bytes = element->bytes, row = cols * bytes;
    for (int64_t r = 0; r < rows; r++) {
        unsigned char *to = (unsigned char *)dst + r * row;
        if (indices[r] >= 0 && indices[r] < src_rows)
            memcpy(to, (const unsigned char *)src + indices[r] * row, (size_t)row);
        else
            for (int64_t i = 0; i < row; i += bytes) memcpy(to + i, &element->missing, (size_t)bytes);
    }
}

/* ----------------------------------------------------------------------------------------------- losses */

/* scale / D is rounded once (to a float times a power of two, so that it never underflows), and the product
 * with it once. */
#define FACTOR_ROUNDINGS 2

static double loss_factor(oclin_reduction reduction, double count, float scale)
{
    if (reduction == OCLIN_SUM) return scale;
    return count > 0 ? scale / count : 0;
}

/* Of factor * (sum of the row losses), which may together be off by e. They are added by compensated
 * summation (2 u, and a little for their number) in the items of a work-group, and these as a tree of at most
 * 10 levels. */
static double loss_bound_of(const struct oclin_ref_case *c, double factor, double sum, double e)
{
    const double u = unit_of(c), rows = (double)c->batch;
    const double compensated = (2 + fmin(rows, 10)) * u + 8 * rows * u * u;
    const double rounding = SECOND_ORDER * fabs(factor) * (e + (compensated + FACTOR_ROUNDINGS * u) * sum);
    return unless_overflow(factor * sum, rounding + (2 + fabs(factor) * rows) * FLUSH);
}

/* factor is 2 scale / D. The difference is a float; so are its operands, and each may be flushed. */
static double mse_gradient_bound(double u, double factor, double d)
{
    if (isfinite(d) && fabs(d) >= NO_OVERFLOW) return INFINITY;
    const double rounding = SECOND_ORDER * (1 + FACTOR_ROUNDINGS) * u * fabs(factor * d);
    return unless_overflow(factor * d, rounding + (2 + 3 * fabs(factor)) * FLUSH);
}

/* Losses allow every device to flush denormals. */
static struct oclin_ref_case read_loss_case(const struct oclin_ref_case *from)
{
    struct oclin_ref_case c = read_case(from);
    c.no_denormals = 1;
    return c;
}

void oclin_ref_mse(const struct oclin_ref_case *from, const float *y, const float *t,
                   oclin_reduction reduction, float scale, double *loss, double *loss_bound, double *dy,
                   double *bound)
{
    const struct oclin_ref_case c = read_loss_case(from);
    const double factor = loss_factor(reduction, (double)c.batch * (double)c.out, scale), u = unit_of(&c);
    double sum = 0, e = 0;
    for (int64_t r = 0; r < c.batch; r++) {
        struct sum row = {.K = c.out, .largest = 1};
        for (int64_t j = 0; j < c.out; j++) {
            const int64_t at = r * c.out + j;
            const double d = (double)y[at] - (double)t[at];
            row.S += d * d;
            if (dy) dy[at] = factor * 2 * d;
            if (bound) bound[at] = mse_gradient_bound(u, factor * 2, d);
        }
        row.carried = (2 * u + u * u) * row.S; /* the rounded difference, squared */
        sum += row.S;
        e += sum_bound(&c, &row, 0);
    }
    *loss = factor * sum;
    if (loss_bound) *loss_bound = sum < NO_OVERFLOW ? loss_bound_of(&c, factor, sum, e) : INFINITY;
}

/* One row's softmax: p_j = exp(y_j - m) / s. */
struct softmax {
    double m, s;
    double s_error; /* relative */
    int64_t best;   /* where the largest score is; -1 if there is a NaN */
};

/* exp(y_j - m): 6 for exp, and the rounding of the difference v. 0 where exp is 0, for v may be -Inf. */
static double exp_error(double u, double v)
{
    const double value = exp(v);
    return value > 0 ? value * (6 + fabs(v)) * u + FLUSH : FLUSH;
}

static struct softmax softmax_of(const struct oclin_ref_case *c, const float *y)
{
    const int64_t cols = c->out;
    const double u = unit_of(c);
    struct softmax p = {.m = -INFINITY};
    int has_nan = 0;
    for (int64_t j = 0; j < cols; j++) {
        if (isnan(y[j])) has_nan = 1;
        if (y[j] > p.m) { /* strictly: of equal scores the first stays */
            p.m = y[j];
            p.best = j;
        }
    }
    if (has_nan) p.best = -1;
    struct sum sum = {.K = cols, .largest = 1};
    for (int64_t j = 0; j < cols; j++) {
        sum.S += exp(y[j] - p.m);
        sum.carried += exp_error(u, y[j] - p.m);
    }
    p.s = sum.S;
    p.s_error = sum_bound(c, &sum, 0) / p.s;
    /* of 1 / s and log s; the other rules keep to the first order */
    if (c->rule == OCLIN_PROVEN) p.s_error = p.s_error < 1 ? p.s_error / (1 - p.s_error) : INFINITY;
    return p;
}

/* One row of dy. p_j: exp and s as said, and 5 for the quotient. */
static void cross_entropy_gradient(const struct oclin_ref_case *c, const float *y, int32_t label,
                                   const struct softmax *p, double factor, double *dy, double *bound)
{
    const int64_t cols = c->out;
    const double u = unit_of(c);
    const int valid = label >= 0 && label < cols;
    for (int64_t j = 0; j < cols; j++) {
        const double p_j = exp(y[j] - p->m) / p->s;
        const double difference = p_j - (j == label ? 1 : 0);
        const double p_error = exp_error(u, y[j] - p->m) / p->s + (p->s_error + 5 * u) * p_j + FLUSH;
        if (dy) dy[j] = valid ? factor * difference : NAN;
        const double e =
            SECOND_ORDER * fabs(factor) * (p_error + (1 + FACTOR_ROUNDINGS) * u * fabs(difference));
        if (bound) bound[j] = unless_overflow(factor * difference, e + 2 * FLUSH);
    }
}

void oclin_ref_cross_entropy(const struct oclin_ref_case *from, const float *y, const int32_t *labels,
                             oclin_reduction reduction, float scale, double *loss, double *loss_bound,
                             double *dy, double *bound, int64_t *correct)
{
    const struct oclin_ref_case c = read_loss_case(from);
    const int64_t rows = c.batch, cols = c.out;
    const double factor = loss_factor(reduction, (double)rows, scale), u = unit_of(&c);
    double sum = 0, e = 0;
    int64_t hits = 0;
    for (int64_t r = 0; r < rows; r++) {
        const float *y_r = y + r * cols;
        const int64_t label = labels[r];
        const struct softmax p = softmax_of(&c, y_r);
        if (label < 0 || label >= cols) {
            sum = NAN;
        } else {
            const double v = y_r[label] - p.m, row = log(p.s) - v;
            sum += row;
            e += p.s_error + 6 * u * log(p.s) + u * fabs(v) + u * row;
            hits += p.best == label;
        }
        if (dy || bound)
            cross_entropy_gradient(&c, y_r, labels[r], &p, factor, dy ? dy + r * cols : NULL,
                                   bound ? bound + r * cols : NULL);
    }
    *loss = factor * sum;
    if (loss_bound) *loss_bound = sum < NO_OVERFLOW ? loss_bound_of(&c, factor, sum, e) : INFINITY;
    if (correct) *correct = hits;
}
