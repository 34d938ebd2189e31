/* The losses: one row each. */
#ifndef OCLIN_OPS_LOSS_KIND_H
#define OCLIN_OPS_LOSS_KIND_H

#include <stddef.h>

#include "oclin.h"

/* One row of y as the reference sees it, and the row's results. */
struct oclin_loss_row {
    const struct oclin_ref_case *c; /* of c->out columns */
    const float *y;
    const void *target;   /* of this row */
    const float *classes; /* a weight for each column; NULL: 1 */
    double number;        /* of losses that have one */
    double loss, error;   /* of the row, and how far a device may be from it */
    double magnitude;     /* of the terms of loss; 0: loss itself, whose terms are not negative */
    int correct;          /* its largest score is at the label */
    int64_t ignored;      /* the label of rows that do not count; INT64_MIN: none */
    double weight;        /* of the label, where the mean divides by such weights */
    double Q, Q_error;    /* sum of the weights of the terms of a cross-entropy */
    double m, s, s_error; /* softmax: p_j = exp(y_j - m) / s, and the relative error of s */
};

/* The kernel of a loss is loss_<name>, in cl/loss_common.cl and these files. The functions compute in double,
 * with bounds for a device that computes the formulas of the files in float. */
struct oclin_loss_kind {
    const char *name;
    const char *files[2]; /* the second may be NULL */
    const char *target;   /* the name of its operand, which is (batch, out), or (batch, 1) */
    oclin_dtype target_dtype;
    int target_is_column;
    int weighs_classes; /* it takes a weight for each column */
    int counts_labels; /* the mean divides by the labels' weights, where there are some or rows are ignored */
    size_t number;     /* its number, in the options; 0: it has none */
    int by_elements;   /* the mean is over batch * out elements, else over rows */
    double slope;      /* dY is scale / D times slope times what the kernel computes */
    /* Sets the results of a row. */
    void (*row)(struct oclin_loss_row *row);
    /* Returns element j of that row's dY without scale, D and slope; sets *error to how far the kernel's may
     * be off. */
    double (*gradient)(const struct oclin_loss_row *row, int64_t j, double *error);
};
extern const struct oclin_loss_kind oclin_mse, oclin_l1, oclin_huber, oclin_bce, oclin_cross_entropy,
    oclin_soft_cross_entropy;

struct oclin_loss_data {
    const float *y;
    const void *target;
    oclin_reduction reduction;
    float scale, number;
    const float *classes, *weights; /* of columns and of rows; NULL: 1 */
    int64_t ignored;                /* a label; INT64_MIN: none. Losses without labels do not look at it */
};

/* Each of these but loss may be NULL. */
struct oclin_loss_results {
    double *loss, *loss_bound, *dy, *bound, *rows, *rows_bound;
    int64_t *correct;
};

/* Returns the loss's number in the options, or 0. */
float oclin_loss_number(const struct oclin_loss_kind *kind, const struct oclin_loss_options *options);
/* Returns 1 if the mean divides by the weights of the labels. */
int oclin_loss_totals(const struct oclin_loss_kind *kind, oclin_reduction reduction, int has_classes,
                      int has_ignored);
/* Returns D of the equations, by which a sum over rows is divided, where the mean does not divide by
 * weights. */
double oclin_loss_count(const struct oclin_loss_kind *kind, oclin_reduction reduction, int64_t rows,
                        int64_t cols);
/* Computes the loss of c->batch rows and c->out columns, and its gradient. */
void oclin_loss_reference(const struct oclin_loss_kind *kind, const struct oclin_ref_case *c,
                          const struct oclin_loss_data *data, const struct oclin_loss_results *results);
/* Computes softmax of c->batch rows of c->out columns; bound may be NULL. */
void oclin_softmax_reference(const struct oclin_ref_case *c, const float *y, double *p, double *bound);

#endif
