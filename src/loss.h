/* Losses by their kind, for a network. */
#ifndef OCLIN_LOSS_H
#define OCLIN_LOSS_H

#include "tensor/tensor.h"

/* A call of a loss whose kind is known. */
struct oclin_loss_ahead {
    oclin_loss kind;
    oclin_tensor *y, *target, *loss, *dy, *correct;
    const struct oclin_loss_options *options;
};
/* Checks everything but what y holds, which is still to come. */
oclin_status oclin_loss_check(oclin_context *ctx, const struct oclin_loss_ahead *ahead);
oclin_status oclin_loss_of_kind(const struct oclin_loss_ahead *ahead);

#endif
