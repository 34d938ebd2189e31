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
#include "ops/loss_kind.h"
#include "ops/rule.h"
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
