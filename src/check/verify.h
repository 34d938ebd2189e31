/* Comparing operations with the reference. */
#ifndef OCLIN_CHECK_VERIFY_H
#define OCLIN_CHECK_VERIFY_H

#include "check/norm.h"
#include "ops/loss_kind.h"
#include "ops/rule.h"
#include "tensor/tensor.h"

/* Returns how far got is from want, in units of the bound; above 1 is wrong. NaN and Inf must be met by
 * the same value. For other values a bound that is not finite makes no claim, and a NaN bound makes no
 * claim about an Inf either. */
double oclin_error_in_bounds(float got, double want, double bound);

/* The mathematical description of a layer. */
struct oclin_linear {
    oclin_context *ctx;
    int64_t in, out;
    oclin_activation activation;
    float alpha;
    oclin_gradient gradient;
    int bias, transposed;
    oclin_tensor *w, *b, *dw, *db; /* each but w may be NULL */
    /* the states that an update changes with w and b; NULL where there are none */
    oclin_tensor *w_states[OCLIN_MOST_STATES], *b_states[OCLIN_MOST_STATES];
};

/* Takes all the host memory that checking an operation of the layer with so many rows needs. Call it
 * before the operation, because a lack of memory must not be found when something has changed. rows are
 * those of x, y and z; z may have room for more. */
oclin_status oclin_verify_room(const struct oclin_linear *layer, int64_t rows);

/* Copies, in that memory, of what an operation is about to change. Each may be NULL. */
struct oclin_before {
    float *w, *b, *dw, *db;
    float *w_states, *b_states; /* one behind the other */
    float *sum;                 /* y or dx, if it is added to */
};

/* What the update of w and b should have done. */
struct oclin_update_check {
    struct oclin_ref_update w, b;
    const char *operation;
    int learns_b;
    int skipped; /* by a scalar on the device */
};

/* A backward that ran. s is the tensor that the derivative was taken from, with room for a larger batch,
 * or NULL. x is NULL if only dX was wanted. */
struct oclin_backward_check {
    struct oclin_linear layer;
    int64_t batch;
    oclin_tensor *x, *s, *dy, *dx;
    const struct oclin_update_check *update; /* with the update of w and b; NULL: their gradients */
};

/* The number of roundings that a term of each sum passed through in the kernels that ran. */
struct oclin_roundings {
    int64_t y, dx, dw, db;
};

/* These take that memory. y or dx is the tensor that is added to, or NULL. */
oclin_status oclin_verify_before_forward(const struct oclin_linear *layer, int64_t rows, oclin_tensor *y,
                                         struct oclin_before *before);
oclin_status oclin_verify_before(const struct oclin_linear *layer, int64_t rows, oclin_tensor *dx,
                                 struct oclin_before *before);
/* kept is the tensor that backward will read, z or act(z); NULL if none was kept apart. */
oclin_status oclin_verify_forward(const struct oclin_linear *layer, oclin_tensor *x, oclin_tensor *y,
                                  oclin_tensor *kept, int kept_is_z, const struct oclin_before *before,
                                  const struct oclin_roundings *roundings);
oclin_status oclin_verify_backward(const struct oclin_backward_check *call, const struct oclin_before *before,
                                   const struct oclin_roundings *roundings);
/* Checks the update of w and of b, each of which has a gradient in `before` if it was updated. */
oclin_status oclin_verify_update(const struct oclin_linear *layer, const struct oclin_update_check *update,
                                 const struct oclin_before *before);

/* Lets the host look into a tensor, even into a buffer that kernels may only write, or that the host may not
 * read. */
oclin_status oclin_verify_look(oclin_tensor *t, void *host);

/* w += toward (g - w), and what the two held before. */
struct oclin_toward_check {
    const char *operation;
    oclin_tensor *w, *g;
    double toward;
    float *w_before, *g_before;
};
oclin_status oclin_verify_toward_before(struct oclin_toward_check *check);
oclin_status oclin_verify_toward(const struct oclin_toward_check *check);

struct oclin_loss_call {
    const struct oclin_loss_kind *kind;
    oclin_tensor *y, *target, *loss, *dy, *correct;
    struct oclin_loss_options options;
    float loss_before; /* used if the loss accumulates */
    int32_t correct_before;
    int64_t additions; /* in the sum of a row, as the kernel did it */
};
oclin_status oclin_verify_loss_before(struct oclin_loss_call *call);
oclin_status oclin_verify_loss(const struct oclin_loss_call *call);

/* Call this before the two functions that follow, with the number of elements that they need. */
oclin_status oclin_verify_rows_room(oclin_context *ctx, int64_t elements);
oclin_status oclin_verify_softmax(oclin_tensor *y, oclin_tensor *p, int64_t additions);
oclin_status oclin_verify_argmax(oclin_tensor *t, oclin_tensor *indices);

/* Describes norm2 (+)= the squares of stored elements, or of the gradient of a layer that dY gives. */
struct oclin_norm_check {
    oclin_tensor *norm2;
    int accumulate;
    float before;              /* used if it accumulates */
    oclin_tensor *stored[2];   /* each may be NULL */
    struct oclin_linear layer; /* with dy; else nothing of it is used */
    int64_t batch;
    oclin_tensor *dy, *x, *s;
    struct oclin_norm_way way;
};
oclin_status oclin_verify_norm_before(struct oclin_norm_check *check);
oclin_status oclin_verify_norm(const struct oclin_norm_check *check);
oclin_status oclin_verify_factor_room(oclin_context *ctx);
oclin_status oclin_verify_factor(oclin_tensor *norm2, double max_norm, double scale, oclin_tensor *factor);

/* Describes a look at stored elements, or at x and the dZ that dY gives. */
struct oclin_finite_check {
    oclin_tensor *flag;
    int32_t before;
    oclin_tensor *looked_at[2]; /* each may be NULL; with dy they are dy, for dZ, and x */
    struct oclin_linear layer;
    int64_t batch;
    oclin_tensor *dy, *s;
};
oclin_status oclin_verify_finite_before(struct oclin_finite_check *check);
oclin_status oclin_verify_finite(const struct oclin_finite_check *check);

/* Describes dst += alpha src, and what the two held before. */
struct oclin_add_check {
    oclin_tensor *dst, *src;
    float alpha;
    float *dst_before, *src_before;
};
oclin_status oclin_verify_add_before(struct oclin_add_check *check);
oclin_status oclin_verify_add(const struct oclin_add_check *check);

/* Describes rows of src that were copied to dst: those of the indices, or all of them (indices NULL). */
struct oclin_moved_check {
    const char *operation;
    oclin_tensor *dst, *src, *indices;
};
oclin_status oclin_verify_moved_room(const struct oclin_moved_check *check);
oclin_status oclin_verify_moved(const struct oclin_moved_check *check);

#endif
