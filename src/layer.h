/* The layer and its saved states. */
#ifndef OCLIN_LAYER_H
#define OCLIN_LAYER_H

#include "check/verify.h"
#include "plan/way.h"
#include "tensor/tensor.h"
#include "tensor/uses.h"

struct oclin_saved {
    oclin_context *ctx;
    uint64_t layer; /* id of the layer that filled it, 0: nobody */
    int64_t batch;
    oclin_tensor *x, *y; /* y NULL unless the derivative needs it */
    oclin_tensor *z;     /* its own memory, of batch rows or more: z, or act(z) where y was added to */
    int apart;           /* y was added to */
    oclin_tensor
        *larger_z; /* reserved for a batch that z is too small for; that batch's forward makes it z */
    uint64_t x_version, y_version, w_version;
};

struct oclin_layer {
    oclin_context *ctx;
    uint64_t id;
    int64_t in, out;
    oclin_activation activation;
    float alpha;
    oclin_gradient gradient;
    int bias, transposed;
    int computed; /* a backward has computed gradients, or one was handed in that is not cleared */
    oclin_tensor *w, *b, *dw, *db;   /* dw, db NULL until needed */
    uint64_t dw_version, db_version; /* when they were made: a difference tells that they were written */
    oclin_saved *saved;
};

/* What a network asks of its layers before it enqueues anything. Nothing of these changes anything but
 * reserves and dW and db, which are made. */

/* Takes the memory of products and of what a forward keeps in `saved`; adds: of one that adds to y. */
oclin_status oclin_layer_reserve_saved(oclin_layer *l, oclin_saved *saved, int64_t batch, int adds);

/* A backward that is to come, of a batch. */
struct oclin_backward_ahead {
    const oclin_saved *saved; /* NULL: its forward is still to come */
    int64_t batch;
    oclin_tensor *x;            /* of that forward; NULL: it is not there yet */
    oclin_tensor *dy, *dx;      /* NULL: not there yet, or not wanted */
    oclin_optimizer *optimizer; /* NULL: the gradients are stored */
    const struct oclin_update *update;
    int clears; /* the gradients will be cleared before */
};
oclin_status oclin_layer_check_backward(oclin_layer *l, const struct oclin_backward_ahead *ahead);
oclin_status oclin_layer_check_update(oclin_layer *l, oclin_optimizer *optimizer,
                                      const struct oclin_update *update);
/* What the gradient of a layer is made from, for those who want to know something about it (norm.c). */
enum { OCLIN_GRADIENT_USES = 4 };
struct oclin_gradient_call {
    struct oclin_linear layer;
    int64_t batch;
    oclin_tensor *dy, *x, *s; /* s: what the derivative is taken from; NULL: it needs nothing */
    struct oclin_use uses[OCLIN_GRADIENT_USES]; /* dy, x, y, z, all of them read */
    struct oclin_product dw;                    /* (1) and (2), without a place for their results */
};
/* Fills it in after the checks of oclin_layer_backward() that are not those of the uses. saved NULL: the
 * layer's own. */
oclin_status oclin_layer_gradient_call(oclin_layer *l, oclin_tensor *dy, oclin_saved *saved,
                                       struct oclin_gradient_call *call);
/* Returns 1 if a gradient was computed, written or handed in. */
int oclin_layer_has_gradient(const oclin_layer *l);

#endif
