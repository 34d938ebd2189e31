/* The reference of norms of gradients, for a device that has taken them in one way or the other. */
#ifndef OCLIN_CHECK_NORM_H
#define OCLIN_CHECK_NORM_H

#include "oclin.h"

/* How |dW|^2 + |db|^2 was taken. */
struct oclin_norm_way {
    int w, b;  /* which of the two count */
    int grams; /* by dZ dZ^T and X X^T; 0: by dW and db */
    /* The most roundings of a term: in the sums of dZ dZ^T or dW, in those of X X^T or db, and in the sum of
     * all. 0: as many as there are terms, which is right for any order. */
    int64_t first, second, last;
};

/* What is known of it. */
struct oclin_norm_known {
    double value, bound;
    int not_finite; /* it must be NaN or Inf; which of both is not known, and nothing else */
};

/* The norm of the gradient of dZ (batch, out), each element off by its bound (NULL: by nothing), and x. */
void oclin_norm_of_gradient(const struct oclin_ref_case *c, const struct oclin_norm_way *way, const float *x,
                            const double *dz, const double *dz_bound, struct oclin_norm_known *known);
/* The same of n elements that stand in memory. */
void oclin_norm_of_stored(const struct oclin_ref_case *c, int64_t n, const float *t,
                          struct oclin_norm_known *known);

#endif
