/* Operations compared with the reference. */
#ifndef OCLIN_CHECK_VERIFY_H
#define OCLIN_CHECK_VERIFY_H

#include "ops/loss_kind.h"
#include "tensor/tensor.h"

/* How far got is from want, in units of the bound; above 1 is wrong. NaN and Inf must be met by the same;
 * elsewhere a bound that is not finite makes no claim; NaN makes none about an Inf either. */
double oclin_error_in_bounds(float got, double want, double bound);

/* What the mathematics knows of a layer. */
struct oclin_linear {
    oclin_context *ctx;
    int64_t in, out;
    oclin_activation activation;
    float alpha;
    oclin_gradient gradient;
    int bias;
    oclin_tensor *w, *b, *dw, *db; /* each may be NULL but w */
};

/* Takes all the host memory that checking an operation of the layer with so many rows needs, before the
 * operation: its lack must not be found when something has changed. rows: of x, y, and of z, which may have
 * room for more. */
oclin_status oclin_verify_room(const struct oclin_linear *layer, int64_t rows);

/* Copies of what an operation is about to change, in that memory. Each may be NULL. */
struct oclin_before {
    float *w, *b, *dw, *db;
    float *sum; /* y, or dx, that is added to */
};

/* A backward that ran. s: what the derivative was taken from, with room for a larger batch, or NULL. x: NULL
 * where only dX was wanted. */
struct oclin_backward_check {
    struct oclin_linear layer;
    int64_t batch;
    oclin_tensor *x, *s, *dy, *dx;
    int step;
    float lr;
};

/* How many roundings a term of each sum passed, in the kernels that ran. */
struct oclin_roundings {
    int64_t y, dx, dw, db;
};

/* Takes that memory; y, dx: what is added to, or NULL. */
oclin_status oclin_verify_before_forward(const struct oclin_linear *layer, int64_t rows, oclin_tensor *y,
                                         struct oclin_before *before);
oclin_status oclin_verify_before(const struct oclin_linear *layer, int64_t rows, oclin_tensor *dx,
                                 struct oclin_before *before);
/* kept: what backward will read, z or act(z); NULL: nothing that was kept apart. */
oclin_status oclin_verify_forward(const struct oclin_linear *layer, oclin_tensor *x, oclin_tensor *y,
                                  oclin_tensor *kept, int kept_is_z, const struct oclin_before *before,
                                  const struct oclin_roundings *roundings);
oclin_status oclin_verify_backward(const struct oclin_backward_check *call, const struct oclin_before *before,
                                   const struct oclin_roundings *roundings);
oclin_status oclin_verify_step(const struct oclin_linear *layer, float lr, const struct oclin_before *before);

struct oclin_loss_call {
    const struct oclin_loss_kind *kind;
    oclin_tensor *y, *target, *loss, *dy, *correct;
    struct oclin_loss_options options;
    float loss_before; /* for accumulate */
    int32_t correct_before;
    int64_t additions; /* in the sum of a row, as it ran */
};
oclin_status oclin_verify_loss_before(struct oclin_loss_call *call);
oclin_status oclin_verify_loss(const struct oclin_loss_call *call);

/* Before the two that follow, for so many elements. */
oclin_status oclin_verify_rows_room(oclin_context *ctx, int64_t elements);
oclin_status oclin_verify_softmax(oclin_tensor *y, oclin_tensor *p, int64_t additions);
oclin_status oclin_verify_argmax(oclin_tensor *t, oclin_tensor *indices);

#endif
