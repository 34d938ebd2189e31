/*
 * The CPU path: every operation as a formula and a bound, for dense host arrays, with sums in double.
 *
 * The bounds are first order in u and then widened by SECOND_ORDER. OpenCL 1.2 (full profile) states the
 * errors of its functions in ulp; k ulp of a value v are at most 2 k u |v|, or k times the smallest denormal.
 * So in units of u: exp 6, log 6, tanh 10, erfc 32, division 5, and 1 for + - * fma.
 */
#include <math.h>
#include <string.h>

#include "check/norm.h"
#include "oclin.h"
#include "ops/activation.h"
#include "ops/bounds.h"
#include "ops/loss_kind.h"
#include "ops/rule.h"
#include "plan/plan.h"
#include "tensor/element.h"

/* Reads a caller's case of any age. Fields that it does not have take their defaults, and an activation
 * that is not known counts as none. */
static struct oclin_ref_case read_case(const struct oclin_ref_case *from)
{
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(0, 0, 0);
    if (from) memcpy(&c, from, from->size < sizeof c ? from->size : sizeof c);
    if (!oclin_activation_row(c.activation)) c.activation = OCLIN_NONE;
    c.alpha = oclin_activation_alpha(c.activation, c.alpha);
    return c;
}

/* ------------------------------------------------------------------------------------------------ sums */

/* a may be off by a_bound, so the products that the device adds may be that much larger. */
static void add_product(struct sum *sum, double a, double a_bound, double b)
{
    sum->K++;
    sum->value += a * b;
    const double magnitude = (fabs(a) + a_bound) * fabs(b);
    sum->S += magnitude;
    if (isfinite(magnitude)) sum->finite += magnitude;
    /* On the device a may be NaN, or may or may not be Inf, or it may be 0, and 0 times Inf is NaN. */
    if (isnan(a_bound) || (isinf(a_bound) && isfinite(a)) || (isinf(b) && fabs(a) <= a_bound))
        sum->finite = INFINITY;
    sum->carried += a_bound * fabs(b);
    sum->largest = larger(larger(sum->largest, fabs(a)), fabs(b));
}

static double bound_of(const struct oclin_ref_case *c, const struct sum *sum, int64_t more)
{
    /* The device has Inf or NaN as well, with two exceptions: the finite products may overflow to the
     * other Inf there, which makes NaN, or a factor of the Inf may underflow. */
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

/* s may be NULL if there is no activation. */
static double grad_z_at(const struct oclin_ref_case *c, const float *dy, const float *s, int64_t at)
{
    return grad_z(c, dy[at], c->activation == OCLIN_NONE ? 0 : s[at]);
}

static double grad_z_bound_at(const struct oclin_ref_case *c, const float *dy, const float *s, int64_t at)
{
    return c->activation == OCLIN_NONE ? 0 : grad_z_bound(c, dy[at], s[at]);
}

/* Adds dz times b to a sum. If dz overflows on every device, it is Inf here, because Inf makes NaN of a b
 * that is 0. If only its last rounding decides whether it overflows, it stays as it is, and its bound is
 * Inf. */
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

/* Stores a sum over the batch as the gradient, either as it is or divided by the batch. */
static void store_gradient(const struct oclin_ref_case *c, const struct sum *sum, double *g, double *bound)
{
    double e = bound_of(c, sum, 0);
    *g = sum->value;
    /* The device multiplies by a rounded 1 / batch. */
    if (c->gradient == OCLIN_GRAD_MEAN && c->batch > 0) {
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

/* A finite addend, known to within e, may be Inf on a device. Added to the other Inf that makes NaN, so
 * nothing is known. */
static int unknown_beside_inf(float old, double addend, double e)
{
    return isinf(old) && isfinite(addend) && !(fabs(addend) + e < NO_OVERFLOW);
}

/* Operands and results may each be flushed, whatever the case says of denormals. */
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
    /* without fma the product may overflow even if the difference does not */
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

/* Reads a caller's update of any age. */
static struct oclin_ref_update read_update(const struct oclin_ref_update *from)
{
    struct oclin_ref_update update;
    memset(&update, 0, sizeof update);
    memcpy(&update, from, from->size < sizeof update ? from->size : sizeof update);
    if (!oclin_rule_of(update.rule.rule)) update.rule.rule = OCLIN_SGD;
    return update;
}

void oclin_ref_rule_update(const struct oclin_ref_case *from, const struct oclin_ref_update *how, int64_t n,
                           const float *w, const double *dw, const double *dw_bound, const float *state,
                           double *w_new, double *bound, double *state_new, double *state_bound)
{
    const struct oclin_ref_case c = read_case(from);
    const struct oclin_ref_update update = read_update(how);
    const double u = unit_of(&c);
    const struct oclin_numbers numbers = oclin_rule_numbers(&update, u);
    const int states = oclin_rule_states(&update.rule);
    for (int64_t i = 0; i < n; i++) {
        struct oclin_rule_element e = {.w = {w[i], 0}, .g = {dw[i], dw_bound ? dw_bound[i] : 0}};
        for (int s = 0; s < states; s++) e.state[s].value = (double)state[s * n + i];
        oclin_rule_update(oclin_rule_of(update.rule.rule), u, &numbers, &e);
        w_new[i] = e.w.value;
        if (bound) bound[i] = e.w.error;
        for (int s = 0; s < states; s++) {
            state_new[s * n + i] = e.state[s].value;
            if (state_bound) state_bound[s * n + i] = e.state[s].error;
        }
    }
}

/* ----------------------------------------------------------------------------------------------- arrays */

/* Without fma the product is rounded on its own. A device without denormals may flush each operand, the
 * product and the sum. */
static double add_bound(const struct oclin_ref_case *c, float dst, float src, float alpha)
{
    const double u = unit_of(c), product = (double)alpha * src, sum = dst + product;
    const double flush = c->no_denormals ? FLUSH : 0, flushed = fabs(alpha) < flush ? fabs(product) : 0;
    if (unknown_beside_inf(dst, product, 0)) return NAN;
    /* On a device alpha src is Inf, or NaN if alpha is flushed, because 0 times Inf is NaN. */
    if (isinf(src) && alpha != 0 && fabs(alpha) < flush) return NAN;
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

/* Copies bytes, so that a NaN keeps its bits. */
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

/* ------------------------------------------------------------------------------------------------ norms */

/* Adds a b, where the device's a and b may be off by a_bound and b_bound. */
static void add_inexact(struct sum *sum, double a, double a_bound, double b, double b_bound)
{
    sum->K++;
    sum->value += a * b;
    sum->S += (fabs(a) + a_bound) * (fabs(b) + b_bound);
    sum->carried += a_bound * fabs(b) + b_bound * (fabs(a) + a_bound);
    sum->largest = larger(larger(sum->largest, fabs(a) + a_bound), fabs(b) + b_bound);
}

/* Returns the bound of a sum whose terms pass so many roundings; 0 stands for any order. */
static double bound_after(const struct oclin_ref_case *from, const struct sum *sum, int64_t additions)
{
    struct oclin_ref_case c = *from;
    c.additions = additions;
    return sum_bound(&c, sum, 0);
}

/* Squares never cancel, so an Inf or a NaN among the elements is one in the sum, and so is a sum that must
 * overflow. */
static void norm_of_stored(const struct oclin_ref_case *c, int64_t n, const float *t, int64_t additions,
                           struct oclin_norm_known *known)
{
    struct sum sum = {0};
    for (int64_t i = 0; i < n; i++) add_inexact(&sum, (double)t[i], 0, (double)t[i], 0);
    *known = (struct oclin_norm_known){.value = sum.value};
    if (!isfinite(sum.value)) return;
    known->bound = bound_after(c, &sum, additions);
    if (sum.S >= NO_OVERFLOW && sum.value >= 2 * OVERFLOWS && n < 1 << 20)
        *known = (struct oclin_norm_known){.value = INFINITY};
}

void oclin_norm_of_stored(const struct oclin_ref_case *c, int64_t n, const float *t,
                          struct oclin_norm_known *known)
{
    norm_of_stored(c, n, t, c->additions, known);
}

/* dZ and x on the host. */
struct norm_data {
    const struct oclin_ref_case *c;
    const struct oclin_norm_way *way;
    const float *x;
    const double *dz, *dz_bound;
};

static double dz_error(const struct norm_data *d, int64_t at)
{
    return d->dz_bound ? d->dz_bound[at] : 0;
}

/* Looks for what is not finite; returns 1 if there is something. An Inf or NaN of dZ or x is one of the
 * norm's, too, because it meets a square of its own. */
static int is_not_finite(const struct norm_data *d, struct oclin_norm_known *known)
{
    const struct oclin_ref_case *c = d->c;
    int unknown = 0, certain = 0;
    for (int64_t at = 0; at < c->batch * c->out; at++) {
        const int finite = isfinite(d->dz[at]);
        if (finite && !isfinite(dz_error(d, at))) unknown = 1;
        if (!finite && isnan(dz_error(d, at))) unknown = 1;
        if (!finite && !isnan(dz_error(d, at))) certain = 1;
    }
    for (int64_t at = 0; d->way->w && at < c->batch * c->in; at++)
        if (!isfinite(d->x[at])) certain = 1;
    if (certain) *known = (struct oclin_norm_known){.value = INFINITY, .bound = NAN, .not_finite = 1};
    if (unknown && !certain) *known = (struct oclin_norm_known){.bound = INFINITY};
    return unknown || certain;
}

/* Adds the product of two elements of the matrices of inner products, for samples i and j. */
static void add_grams(const struct norm_data *d, int64_t i, int64_t j, struct sum *all)
{
    const struct oclin_ref_case *c = d->c;
    struct sum g = {0}, k = {0};
    for (int64_t o = 0; o < c->out; o++) {
        const int64_t a = i * c->out + o, b = j * c->out + o;
        add_inexact(&g, d->dz[a], dz_error(d, a), d->dz[b], dz_error(d, b));
    }
    for (int64_t p = 0; d->way->w && p < c->in; p++)
        add_inexact(&k, (double)d->x[i * c->in + p], 0, (double)d->x[j * c->in + p], 0);
    double e = d->way->w ? bound_after(c, &k, d->way->second) : 0;
    const double by = k.value + (d->way->b ? 1 : 0);
    if (d->way->w && d->way->b) e += unit_of(c) * (fabs(by) + e);
    for (int times = i == j ? 1 : 2; times > 0; times--)
        add_inexact(all, g.value, bound_after(c, &g, d->way->first), by, e);
}

static void norm_by_grams(const struct norm_data *d, struct sum *all)
{
    for (int64_t i = 0; i < d->c->batch; i++)
        for (int64_t j = 0; j <= i; j++) add_grams(d, i, j, all);
}

/* Adds the square of an element of dW, or of db (i below 0). */
static void add_square(const struct norm_data *d, int64_t o, int64_t i, struct sum *all)
{
    struct oclin_ref_case c = *d->c;
    struct sum sum = {0};
    double g, e;
    for (int64_t n = 0; n < c.batch; n++) {
        const int64_t at = n * c.out + o;
        add_inexact(&sum, d->dz[at], dz_error(d, at), i < 0 ? 1 : (double)d->x[n * c.in + i], 0);
    }
    c.additions = i < 0 ? d->way->second : d->way->first;
    sum.finite = sum.S;
    store_gradient(&c, &sum, &g, &e);
    add_inexact(all, g, e, g, e);
}

static void norm_by_gradient(const struct norm_data *d, struct sum *all)
{
    for (int64_t o = 0; o < d->c->out; o++) {
        for (int64_t i = 0; d->way->w && i < d->c->in; i++) add_square(d, o, i, all);
        if (d->way->b) add_square(d, o, -1, all);
    }
}

/* Divides by the square of the batch: the device multiplies twice by a rounded 1 / batch. */
static void divide_twice(const struct oclin_ref_case *c, struct oclin_norm_known *known)
{
    const double squared = (double)c->batch * (double)c->batch, u = unit_of(c), e = known->bound;
    known->bound = (e + SECOND_ORDER * 4 * u * (fabs(known->value) + e)) / squared + 2 * (TINY + FLUSH);
    known->value /= squared;
}

/* The exact one is not below 0, so that a device which clamps is not farther from it. */
void oclin_norm_of_gradient(const struct oclin_ref_case *c, const struct oclin_norm_way *way, const float *x,
                            const double *dz, const double *dz_bound, struct oclin_norm_known *known)
{
    const struct norm_data d = {c, way, x, dz, dz_bound};
    struct sum all = {0};
    if (is_not_finite(&d, known)) return;
    if (way->grams)
        norm_by_grams(&d, &all);
    else
        norm_by_gradient(&d, &all);
    *known = (struct oclin_norm_known){.value = fmax(all.value, 0), .bound = bound_after(c, &all, way->last)};
    if (way->grams && c->gradient == OCLIN_GRAD_MEAN && c->batch > 0) divide_twice(c, known);
}

void oclin_ref_norm2(const struct oclin_ref_case *from, int64_t n, const float *t, double *norm2,
                     double *bound)
{
    const struct oclin_ref_case c = read_case(from);
    struct oclin_norm_known known;
    norm_of_stored(&c, n, t, c.additions, &known);
    *norm2 = known.value;
    if (bound) *bound = known.bound;
}

void oclin_ref_grad_norm2(const struct oclin_ref_case *from, int w, int b, const float *x, const double *dz,
                          const double *dz_bound, double *norm2, double *bound)
{
    const struct oclin_ref_case c = read_case(from);
    const struct oclin_norm_way way = {.w = w,
                                       .b = b,
                                       .grams =
                                           oclin_plan_grams((struct oclin_shape){c.batch, c.in, c.out}, w),
                                       .first = c.additions,
                                       .second = c.additions,
                                       .last = c.additions};
    struct oclin_norm_known known;
    oclin_norm_of_gradient(&c, &way, x, dz, dz_bound, &known);
    *norm2 = known.value;
    if (bound) *bound = known.bound;
}

/* In units of u: sqrt 6, division 5, and 1 for each number that is rounded to float and each operation. */
void oclin_ref_clip_factor(const struct oclin_ref_case *from, double norm2, double norm2_bound,
                           double max_norm, double scale, double *factor, double *bound)
{
    const struct oclin_ref_case c = read_case(from);
    const double u = unit_of(&c), e = norm2_bound, root = sqrt(norm2);
    const double off = fmax(sqrt(norm2 + e) - root, root - sqrt(fmax(norm2 - e - FLUSH, 0)));
    const double by = scale * root + 1e-6,
                 by_off = SECOND_ORDER * (scale * off + 10 * u * (by + scale * off)) + 2 * FLUSH;
    const double share = max_norm / by, least = by - by_off;
    *factor = isnan(share) ? share : scale * fmin(1, share);
    if (!bound) return;
    double share_off = share * by_off / least + SECOND_ORDER * 6 * u * (share + share * by_off / least) +
                       FLUSH * (1 + 1 / least);
    if (!(least > 0)) share_off = INFINITY; /* the share is anything, its minimum with 1 at most 1 off */
    if (isinf(norm2) || max_norm == 0 || isinf(max_norm)) share_off = 0;
    if (share - share_off > 1 || isinf(max_norm)) share_off = 0;
    *bound = SECOND_ORDER * (scale * fmin(share_off, 1) + 2 * u * *factor) + (1 + scale) * FLUSH + TINY;
    if (isfinite(norm2) && !(norm2 + e < OVERFLOWS)) *bound = INFINITY;
    /* the norm may be Inf on the device: the share is 0, or Inf / Inf */
    if (isfinite(by) && by + by_off >= OVERFLOWS) *bound = isinf(max_norm) ? INFINITY : *bound + *factor;
    if (isnan(share)) *bound = 0;
}

int oclin_ref_finite(int64_t n, const float *t)
{
    int64_t i = 0;
    while (i < n && isfinite(t[i])) i++;
    return i == n;
}

/* ----------------------------------------------------------------------------------------------- losses */

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
    const struct oclin_loss_data data = {.y = y, .target = t, .reduction = reduction, .scale = scale};
    oclin_loss_reference(
        &oclin_mse, &c, &data,
        &(struct oclin_loss_results){.loss = loss, .loss_bound = loss_bound, .dy = dy, .bound = bound});
}

void oclin_ref_cross_entropy(const struct oclin_ref_case *from, const float *y, const int32_t *labels,
                             oclin_reduction reduction, float scale, double *loss, double *loss_bound,
                             double *dy, double *bound, int64_t *correct)
{
    oclin_ref_weighted_cross_entropy(from, y, labels, NULL, 0, INT64_MIN, reduction, scale, loss, loss_bound,
                                     dy, bound, correct);
}

void oclin_ref_weighted_cross_entropy(const struct oclin_ref_case *from, const float *y,
                                      const int32_t *labels, const float *class_weights,
                                      float label_smoothing, int64_t ignore_index, oclin_reduction reduction,
                                      float scale, double *loss, double *loss_bound, double *dy,
                                      double *bound, int64_t *correct)
{
    const struct oclin_ref_case c = read_loss_case(from);
    const struct oclin_loss_data data = {.y = y,
                                         .target = labels,
                                         .reduction = reduction,
                                         .scale = scale,
                                         .number = label_smoothing,
                                         .classes = class_weights,
                                         .ignored = ignore_index};
    oclin_loss_reference(
        &oclin_cross_entropy, &c, &data,
        &(struct oclin_loss_results){
            .loss = loss, .loss_bound = loss_bound, .dy = dy, .bound = bound, .correct = correct});
}

void oclin_ref_soft_cross_entropy(const struct oclin_ref_case *from, const float *y, const float *t,
                                  const float *class_weights, float label_smoothing,
                                  oclin_reduction reduction, float scale, double *loss, double *loss_bound,
                                  double *dy, double *bound)
{
    const struct oclin_ref_case c = read_loss_case(from);
    const struct oclin_loss_data data = {.y = y,
                                         .target = t,
                                         .reduction = reduction,
                                         .scale = scale,
                                         .number = label_smoothing,
                                         .classes = class_weights};
    oclin_loss_reference(
        &oclin_soft_cross_entropy, &c, &data,
        &(struct oclin_loss_results){.loss = loss, .loss_bound = loss_bound, .dy = dy, .bound = bound});
}

void oclin_ref_l1(const struct oclin_ref_case *from, const float *y, const float *t,
                  oclin_reduction reduction, float scale, double *loss, double *loss_bound, double *dy,
                  double *bound)
{
    const struct oclin_ref_case c = read_loss_case(from);
    const struct oclin_loss_data data = {.y = y, .target = t, .reduction = reduction, .scale = scale};
    oclin_loss_reference(
        &oclin_l1, &c, &data,
        &(struct oclin_loss_results){.loss = loss, .loss_bound = loss_bound, .dy = dy, .bound = bound});
}

void oclin_ref_huber(const struct oclin_ref_case *from, const float *y, const float *t, float delta,
                     oclin_reduction reduction, float scale, double *loss, double *loss_bound, double *dy,
                     double *bound)
{
    const struct oclin_ref_case c = read_loss_case(from);
    const struct oclin_loss_data data = {
        .y = y, .target = t, .reduction = reduction, .scale = scale, .number = delta};
    oclin_loss_reference(
        &oclin_huber, &c, &data,
        &(struct oclin_loss_results){.loss = loss, .loss_bound = loss_bound, .dy = dy, .bound = bound});
}

void oclin_ref_bce(const struct oclin_ref_case *from, const float *y, const float *t, const float *pos_weight,
                   oclin_reduction reduction, float scale, double *loss, double *loss_bound, double *dy,
                   double *bound)
{
    const struct oclin_ref_case c = read_loss_case(from);
    const struct oclin_loss_data data = {
        .y = y, .target = t, .reduction = reduction, .scale = scale, .classes = pos_weight};
    oclin_loss_reference(
        &oclin_bce, &c, &data,
        &(struct oclin_loss_results){.loss = loss, .loss_bound = loss_bound, .dy = dy, .bound = bound});
}

void oclin_ref_softmax(const struct oclin_ref_case *from, const float *y, double *p, double *bound)
{
    const struct oclin_ref_case c = read_loss_case(from);
    oclin_softmax_reference(&c, y, p, bound);
}

void oclin_ref_argmax(const struct oclin_ref_case *from, const float *t, int32_t *indices)
{
    const struct oclin_ref_case c = read_case(from);
    for (int64_t r = 0; r < c.batch; r++) {
        const float *row = t + r * c.out;
        int64_t best = 0;
        for (int64_t j = 1; j < c.out && !isnan(row[best]); j++)
            if (row[j] > row[best] || isnan(row[j])) best = j;
        indices[r] = (int32_t)best;
    }
}
