/* The layer and its saved states. */
#ifndef OCLIN_LAYER_H
#define OCLIN_LAYER_H

#include "tensor/tensor.h"

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

#endif
