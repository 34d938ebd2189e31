/* The losses: one row each, with the formulas of the reference and their bounds. */
#include "ops/loss_kind.h"

#include <string.h>

#include "ops/bounds.h"
#include "tensor/element.h"

/* ------------------------------------------------------------------------------------- mean squared error */

/* The difference is a float; so are its operands, and each may be flushed. */
static double difference_of(const struct oclin_loss_row *row, int64_t j, double *error)
{
    const float *t = row->target;
    const double d = (double)row->y[j] - (double)t[j];
    const int overflows = isfinite(d) && fabs(d) >= NO_OVERFLOW;
    *error = overflows ? INFINITY : unit_of(row->c) * fabs(d) + 3 * FLUSH / SECOND_ORDER;
    return d;
}

static void mse_row(struct oclin_loss_row *row)
{
    const double u = unit_of(row->c);
    struct sum squares = {.K = row->c->out, .largest = 1};
    double error;
    for (int64_t j = 0; j < row->c->out; j++) {
        const double d = difference_of(row, j, &error);
        squares.S += d * d;
    }
    squares.carried = (2 * u + u * u) * squares.S; /* the rounded difference, squared */
    row->loss = squares.S;
    row->error = sum_bound(row->c, &squares, 0);
}

const struct oclin_loss_kind oclin_mse = {.name = "mse",
                                          .files = {"loss_mse.cl", "loss_elements.cl"},
                                          .target = "t",
                                          .target_dtype = OCLIN_F32,
                                          .by_elements = 1,
                                          .slope = 2,
                                          .row = mse_row,
                                          .gradient = difference_of};

/* ---------------------------------------------------------------------------------------- L1 and Huber */

static void l1_row(struct oclin_loss_row *row)
{
    struct sum sum = {.K = row->c->out, .largest = 1};
    for (int64_t j = 0; j < row->c->out; j++) {
        double error;
        sum.S += fabs(difference_of(row, j, &error));
        sum.carried += error;
    }
    row->loss = sum.S;
    row->error = sum_bound(row->c, &sum, 0);
}

static double l1_gradient(const struct oclin_loss_row *row, int64_t j, double *error)
{
    const double d = difference_of(row, j, error);
    *error = d != 0 && fabs(d) < 2 * FLUSH ? 1 : 0; /* it may be flushed; equal numbers stay equal */
    return d > 0 ? 1 : d < 0 ? -1 : d;
}

const struct oclin_loss_kind oclin_l1 = {.name = "l1",
                                         .files = {"loss_l1.cl", "loss_elements.cl"},
                                         .target = "t",
                                         .target_dtype = OCLIN_F32,
                                         .by_elements = 1,
                                         .slope = 1,
                                         .row = l1_row,
                                         .gradient = l1_gradient};

/* Both branches have the same value and slope where they meet, so that a rounded difference on the other side
 * is off by no more. */
static void huber_row(struct oclin_loss_row *row)
{
    const double u = unit_of(row->c), delta = row->number;
    struct sum sum = {.K = row->c->out, .largest = fmax(1, delta)};
    for (int64_t j = 0; j < row->c->out; j++) {
        double error;
        const double d = fabs(difference_of(row, j, &error));
        const double l = d > delta ? delta * (d - delta / 2) : d * d / 2;
        sum.S += l;
        sum.carried += SECOND_ORDER * (fmin(d, delta) * error + 2 * u * l);
        sum.largest = larger(sum.largest, d);
        if (isinf(error)) sum.carried = INFINITY;
    }
    row->loss = sum.S;
    row->error = sum_bound(row->c, &sum, 0);
}

static double huber_gradient(const struct oclin_loss_row *row, int64_t j, double *error)
{
    const double d = difference_of(row, j, error), delta = row->number;
    const double g = fabs(d) > delta ? copysign(delta, d) : d;
    *error = unit_of(row->c) * fabs(g) + 3 * FLUSH;
    return g;
}

const struct oclin_loss_kind oclin_huber = {.name = "huber",
                                            .files = {"loss_huber.cl", "loss_elements.cl"},
                                            .target = "t",
                                            .target_dtype = OCLIN_F32,
                                            .by_elements = 1,
                                            .slope = 1,
                                            .number = offsetof(struct oclin_loss_options, delta),
                                            .row = huber_row,
                                            .gradient = huber_gradient};

/* ----------------------------------------------------------------------------------- binary cross-entropy */

/* Sets the factors of the two terms, 1 - t and p t. */
static void factors_of(const struct oclin_loss_row *row, int64_t j, double *negative, double *positive)
{
    const float *t = row->target;
    *negative = 1 - (double)t[j];
    *positive = (row->classes ? (double)row->classes[j] : 1) * (double)t[j];
}

/* A factor has 1 rounding, and its product with z 1. Their sum has 3, log1p 4, exp before it 6, which log1p
 * does not magnify, and the product and the sum of both terms 1 each. */
static void bce_row(struct oclin_loss_row *row)
{
    const double u = unit_of(row->c);
    struct sum sum = {.K = row->c->out, .largest = 1};
    for (int64_t j = 0; j < row->c->out; j++) {
        double negative, positive;
        factors_of(row, j, &negative, &positive);
        const double z = row->y[j], near = z >= 0 ? negative * z : -positive * z;
        const double l = log1p(exp(-fabs(z))), far = (fabs(negative) + fabs(positive)) * l;
        sum.value += (negative + positive) * l + near;
        sum.S += fabs(near) + far;
        sum.carried += SECOND_ORDER * u * (3 * fabs(near) + 15 * far);
        sum.largest = larger(larger(sum.largest, fabs(z)), fabs(negative) + fabs(positive));
        sum.largest = larger(sum.largest, row->classes ? fabs((double)row->classes[j] * z) : 0);
    }
    row->loss = sum.value;
    row->magnitude = sum.S;
    sum.carried += 8 * (double)sum.K * FLUSH * sum.largest; /* factors and exp may be flushed */
    row->error = sum_bound(row->c, &sum, 0);
}

/* In units of u, s(z) has 6 for exp, 4 for the sum 1 + e, and 5 for the quotient; then the factor has 1, the
 * product 1, and the difference 1. */
static double bce_gradient(const struct oclin_loss_row *row, int64_t j, double *error)
{
    const double u = unit_of(row->c), z = row->y[j], e = exp(-fabs(z));
    const double larger_part = 1 / (1 + e), smaller_part = e / (1 + e);
    double negative, positive;
    factors_of(row, j, &negative, &positive);
    const double a = negative * (z >= 0 ? larger_part : smaller_part),
                 b = positive * (z >= 0 ? smaller_part : larger_part);
    const double p = row->classes ? fabs((double)row->classes[j]) : 1;
    *error = SECOND_ORDER * u * (18 * (fabs(a) + fabs(b)) + fabs(a - b)) +
             4 * FLUSH * (2 + p + fabs(negative) + fabs(positive));
    return a - b;
}

const struct oclin_loss_kind oclin_bce = {.name = "bce",
                                          .files = {"loss_bce.cl", "loss_elements.cl"},
                                          .target = "t",
                                          .target_dtype = OCLIN_F32,
                                          .weighs_classes = 1,
                                          .by_elements = 1,
                                          .slope = 1,
                                          .row = bce_row,
                                          .gradient = bce_gradient};

/* ------------------------------------------------------------------------------------------ cross-entropy */

/* Returns the error of exp(y_j - m): 6 for exp, and the rounding of the difference v. Both are 0 where exp is
 * 0, because v may be -Inf. */
static double exp_error(double u, double v)
{
    const double value = exp(v);
    return value > 0 ? value * (6 + fabs(v)) * u + FLUSH : FLUSH;
}

/* Sets m, s and s_error. Returns the place of the largest score, the first of equals, or -1 if there is a
 * NaN. */
static int64_t set_softmax(struct oclin_loss_row *row)
{
    const struct oclin_ref_case *c = row->c;
    const float *y = row->y;
    const double u = unit_of(c);
    int64_t best = 0;
    int has_nan = 0;
    row->m = -INFINITY;
    for (int64_t j = 0; j < c->out; j++) {
        if (isnan(y[j])) has_nan = 1;
        if (y[j] > row->m) { /* strictly: of equal scores the first stays */
            row->m = y[j];
            best = j;
        }
    }
    struct sum sum = {.K = c->out, .largest = 1};
    for (int64_t j = 0; j < c->out; j++) {
        sum.S += exp(y[j] - row->m);
        sum.carried += exp_error(u, y[j] - row->m);
    }
    row->s = sum.S;
    row->s_error = sum_bound(c, &sum, 0) / row->s;
    /* the error of 1 / s and log s; the other rules keep to the first order */
    if (c->rule == OCLIN_PROVEN)
        row->s_error = row->s_error < 1 ? row->s_error / (1 - row->s_error) : INFINITY;
    return has_nan ? -1 : best;
}

/* Returns p_j, and sets its error: those of exp and s, and 5 for the quotient. */
static double softmax_at(const struct oclin_loss_row *row, int64_t j, double *error)
{
    const double u = unit_of(row->c), v = row->y[j] - row->m, p = exp(v) / row->s;
    *error = exp_error(u, v) / row->s + (row->s_error + 5 * u) * p + FLUSH;
    return p;
}

void oclin_softmax_reference(const struct oclin_ref_case *c, const float *y, double *p, double *bound)
{
    for (int64_t r = 0; r < c->batch; r++) {
        struct oclin_loss_row row = {.c = c, .y = y + r * c->out};
        set_softmax(&row);
        for (int64_t j = 0; j < c->out; j++) {
            double error;
            p[r * c->out + j] = softmax_at(&row, j, &error);
            if (bound) bound[r * c->out + j] = SECOND_ORDER * error + FLUSH;
        }
    }
}

static int32_t label_of(const struct oclin_loss_row *row)
{
    return *(const int32_t *)row->target;
}

static int is_class(const struct oclin_loss_row *row, int32_t label)
{
    return label >= 0 && label < row->c->out;
}

/* Sets the loss of a row to the sum of q_j (log s - v_j), v_j = y_j - m. A q has at most 10 roundings (a
 * quotient has 5); the sums of q and of q v are made apart, and then 3 more roundings follow. */
static void weigh_terms(struct oclin_loss_row *row, double (*q)(const struct oclin_loss_row *row, int64_t j))
{
    const struct oclin_ref_case *c = row->c;
    const double u = unit_of(c), log_s = log(row->s);
    struct sum terms = {.K = c->out, .largest = 1}, all = {.K = c->out, .largest = 1};
    for (int64_t j = 0; j < c->out; j++) {
        const double q_j = q(row, j), v = row->y[j] - row->m;
        all.value += q_j;
        all.S += fabs(q_j);
        if (q_j == 0 && !isnan(log_s)) continue; /* a score of Inf or NaN spoils the row all the same */
        terms.value += q_j * (log_s - v);
        terms.S += fabs(q_j) * (fabs(log_s) + fabs(v));
        terms.carried += fabs(q_j) * (row->s_error + 6 * u * fabs(log_s) + u * fabs(v));
        terms.largest = larger(terms.largest, fabs(v));
    }
    terms.largest = larger(terms.largest, all.S);
    terms.carried += 10 * u * terms.S;
    all.carried = 10 * u * all.S;
    row->loss = terms.value;
    row->magnitude = terms.S;
    row->error = sum_bound(c, &terms, 4);
    row->Q = all.value;
    row->Q_error = sum_bound(c, &all, 2);
}

static double class_weight(const struct oclin_loss_row *row, int64_t j)
{
    return row->classes ? (double)row->classes[j] : 1;
}

static double hard_weight(const struct oclin_loss_row *row, int64_t j)
{
    const double at_label = j == label_of(row) ? (1 - row->number) * class_weight(row, j) : 0;
    return at_label + row->number / (double)row->c->out * class_weight(row, j);
}

static double soft_weight(const struct oclin_loss_row *row, int64_t j)
{
    const float *t = row->target;
    return class_weight(row, j) * ((1 - row->number) * (double)t[j] + row->number / (double)row->c->out);
}

/* Returns p Q - q, where p has its error, and the products and the difference have one rounding each. */
static double weighted_gradient(const struct oclin_loss_row *row, int64_t j, double q, double *error)
{
    const double u = unit_of(row->c), p = softmax_at(row, j, error), g = p * row->Q - q;
    *error = fabs(row->Q) * *error + p * row->Q_error + 10 * u * fabs(q) + u * (fabs(p * row->Q) + fabs(g)) +
             FLUSH * (4 + fabs(row->Q));
    return g;
}

static int is_plain(const struct oclin_loss_row *row)
{
    return row->number == 0 && !row->classes;
}

static void cross_entropy_row(struct oclin_loss_row *row)
{
    const double u = unit_of(row->c);
    const int32_t label = label_of(row);
    row->weight = label != row->ignored;
    if (!row->weight) return;
    const int64_t best = set_softmax(row);
    row->loss = NAN;
    if (!is_class(row, label)) return;
    row->weight = class_weight(row, label);
    row->correct = best == label;
    if (!is_plain(row)) {
        weigh_terms(row, hard_weight);
        return;
    }
    const double v = row->y[label] - row->m;
    row->loss = log(row->s) - v;
    row->error = row->s_error + 6 * u * log(row->s) + u * fabs(v) + u * row->loss;
}

static double cross_entropy_gradient(const struct oclin_loss_row *row, int64_t j, double *error)
{
    const int32_t label = label_of(row);
    *error = 0;
    if (label == row->ignored) return 0;
    if (!is_class(row, label)) return NAN;
    if (!is_plain(row)) return weighted_gradient(row, j, hard_weight(row, j), error);
    const double p = softmax_at(row, j, error), difference = p - (j == label ? 1 : 0);
    *error += unit_of(row->c) * fabs(difference);
    return difference;
}

const struct oclin_loss_kind oclin_cross_entropy = {.name = "cross_entropy",
                                                    .files = {"loss_cross_entropy.cl", NULL},
                                                    .target = "labels",
                                                    .target_dtype = OCLIN_I32,
                                                    .target_is_column = 1,
                                                    .weighs_classes = 1,
                                                    .counts_labels = 1,
                                                    .slope = 1,
                                                    .number =
                                                        offsetof(struct oclin_loss_options, label_smoothing),
                                                    .row = cross_entropy_row,
                                                    .gradient = cross_entropy_gradient};

static void soft_cross_entropy_row(struct oclin_loss_row *row)
{
    set_softmax(row);
    weigh_terms(row, soft_weight);
}

static double soft_cross_entropy_gradient(const struct oclin_loss_row *row, int64_t j, double *error)
{
    return weighted_gradient(row, j, soft_weight(row, j), error);
}

const struct oclin_loss_kind oclin_soft_cross_entropy = {
    .name = "soft_cross_entropy",
    .files = {"loss_soft_cross_entropy.cl", NULL},
    .target = "t",
    .target_dtype = OCLIN_F32,
    .weighs_classes = 1,
    .slope = 1,
    .number = offsetof(struct oclin_loss_options, label_smoothing),
    .row = soft_cross_entropy_row,
    .gradient = soft_cross_entropy_gradient};

/* ------------------------------------------------------------------------------------------ all losses */

/* scale / D is rounded once (to a float times a power of two, so that it never underflows), and the product
 * with it once. */
#define FACTOR_ROUNDINGS 2

float oclin_loss_number(const struct oclin_loss_kind *kind, const struct oclin_loss_options *options)
{
    float number = 0;
    if (kind->number) memcpy(&number, (const char *)options + kind->number, sizeof number);
    return number;
}

int oclin_loss_totals(const struct oclin_loss_kind *kind, oclin_reduction reduction, int has_classes,
                      int has_ignored)
{
    return kind->counts_labels && reduction == OCLIN_MEAN && (has_classes || has_ignored);
}

double oclin_loss_count(const struct oclin_loss_kind *kind, oclin_reduction reduction, int64_t rows,
                        int64_t cols)
{
    if (reduction == OCLIN_SUM) return 1;
    return kind->by_elements ? (double)rows * (double)cols : (double)rows;
}

/* The factor that results are multiplied by, its relative error, and what is flushed besides. */
struct factor {
    double value, error, flushed;
};

/* Returns the relative error of a sum over rows, whose terms are added by compensated summation (2 u, and a
 * little for their number) in the items of a work-group, and these as a tree of at most 10 levels. */
static double compensated(const struct oclin_ref_case *c)
{
    const double u = unit_of(c), rows = (double)c->batch;
    return (2 + fmin(rows, 10)) * u + 8 * rows * u * u;
}

/* Returns the factor where the mean divides by the weights of labels: their sum is compensated like that of
 * rows, and a quotient (5) follows. */
static struct factor total_of(const struct oclin_ref_case *c, const struct oclin_loss_data *data)
{
    const double u = unit_of(c);
    double total = 0, magnitude = 0;
    for (int64_t r = 0; r < c->batch; r++) {
        struct oclin_loss_row row = {.c = c, .y = data->y + r * c->out, .classes = data->classes};
        const int32_t *labels = data->target;
        row.target = &labels[r];
        if (labels[r] == data->ignored) continue;
        const double w = is_class(&row, labels[r]) ? class_weight(&row, labels[r]) : 1;
        total += w;
        magnitude += fabs(w);
    }
    const double relative = compensated(c) * magnitude / fabs(total);
    return (struct factor){data->scale / total, (FACTOR_ROUNDINGS + 6) * u + SECOND_ORDER * relative,
                           (1 + 1 / fabs(total)) * FLUSH};
}

static struct factor factor_of(const struct oclin_ref_case *c, const struct oclin_loss_kind *kind,
                               const struct oclin_loss_data *data)
{
    if (oclin_loss_totals(kind, data->reduction, data->classes != NULL, data->ignored != INT64_MIN) &&
        c->batch > 0)
        return total_of(c, data);
    const double count = oclin_loss_count(kind, data->reduction, c->batch, c->out);
    return (struct factor){count > 0 ? data->scale / count : 0, FACTOR_ROUNDINGS * unit_of(c), 0};
}

/* Returns the bound of factor * (sum of the row losses), which may together be off by e. */
static double loss_bound_of(const struct oclin_ref_case *c, const struct factor *f, double sum,
                            double magnitude, double e)
{
    const double rows = (double)c->batch, factor = f->value;
    if (!(magnitude < NO_OVERFLOW)) return INFINITY;
    const double rounding = SECOND_ORDER * fabs(factor) * (e + (compensated(c) + f->error) * magnitude);
    return unless_overflow(factor * sum, rounding + (2 + fabs(factor) * rows) * FLUSH + f->flushed);
}

/* Returns the bound of factor * g, where the kernel's g is off by e. */
static double gradient_bound(const struct factor *f, double g, double e)
{
    if (isinf(e)) return INFINITY;
    const double rounding = SECOND_ORDER * fabs(f->value) * (e + f->error * fabs(g));
    return unless_overflow(f->value * g, rounding + 2 * FLUSH + f->flushed);
}

/* Multiplies by the weight of a row, which adds one rounding, or a product that is flushed. */
static void weigh(const struct oclin_ref_case *c, double w, double *value, double *error)
{
    *value *= w;
    *error = fabs(w) * *error + unit_of(c) * fabs(*value) + FLUSH * fmax(1, fabs(w));
}

static void gradient_of_row(const struct oclin_loss_kind *kind, const struct oclin_loss_row *row,
                            struct factor f, const float *weight, double *dy, double *bound)
{
    const int ignored = kind->counts_labels && row->weight == 0 && label_of(row) == row->ignored;
    for (int64_t j = 0; j < row->c->out; j++) {
        double e, g = kind->gradient(row, j, &e);
        if (weight) weigh(row->c, *weight, &g, &e);
        if (dy) dy[j] = ignored ? 0 : f.value * g;
        if (bound) bound[j] = ignored ? 0 : gradient_bound(&f, g, e);
    }
}

void oclin_loss_reference(const struct oclin_loss_kind *kind, const struct oclin_ref_case *c,
                          const struct oclin_loss_data *data, const struct oclin_loss_results *results)
{
    const int64_t cols = c->out, target_cols = kind->target_is_column ? 1 : cols;
    const int64_t target_bytes = target_cols * oclin_element_bytes(kind->target_dtype);
    const struct factor factor = factor_of(c, kind, data),
                        of_gradient = {factor.value * kind->slope, factor.error, factor.flushed},
                        of_row = {data->scale, FACTOR_ROUNDINGS * unit_of(c), 0};
    double sum = 0, magnitude = 0, e = 0;
    int64_t correct = 0;
    for (int64_t r = 0; r < c->batch; r++) {
        struct oclin_loss_row row = {.c = c,
                                     .y = data->y + r * cols,
                                     .classes = data->classes,
                                     .number = data->number,
                                     .ignored = data->ignored};
        const float *weight = data->weights ? data->weights + r : NULL;
        row.target = (const char *)data->target + r * target_bytes;
        kind->row(&row);
        row.magnitude = (row.magnitude > 0 ? row.magnitude : row.loss) * (weight ? fabs(*weight) : 1);
        if (weight) weigh(c, *weight, &row.loss, &row.error);
        sum += row.loss;
        magnitude += row.magnitude;
        e += row.error;
        correct += row.correct;
        if (results->rows) results->rows[r] = data->scale * row.loss;
        if (results->rows_bound) results->rows_bound[r] = gradient_bound(&of_row, row.loss, row.error);
        if (results->dy || results->bound)
            gradient_of_row(kind, &row, of_gradient, weight, results->dy ? results->dy + r * cols : NULL,
                            results->bound ? results->bound + r * cols : NULL);
    }
    *results->loss = factor.value * sum;
    if (results->loss_bound) *results->loss_bound = loss_bound_of(c, &factor, sum, magnitude, e);
    if (results->correct) *results->correct = correct;
}
