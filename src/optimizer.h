/* Optimizers: the parameters that they update, and what an update of them takes. */
#ifndef OCLIN_OPTIMIZER_H
#define OCLIN_OPTIMIZER_H

#include "tensor/tensor.h"
#include "ops/rule.h"
#include "tensor/uses.h"

/* A parameter, its state and its count. */
struct oclin_parameter {
    struct oclin_parameter *next;
    oclin_tensor *w, *gradient; /* of a layer: the dw that it had when it was added, or NULL */
    int is_tensor;              /* the caller's own, and not of a layer */
    oclin_tensor *state;        /* the states one below the other; NULL: there are none */
    oclin_tensor *states[OCLIN_MOST_STATES];
    double lr_factor, weight_decay;
    int tied; /* two layers or more have it as their W */
    struct oclin_steps steps;
    oclin_tensor *control; /* numbers and counts on the device; NULL until a scalar there is given */
    int on_device;         /* the counts there are the true ones */
};

/* A layer that was added. */
struct oclin_member {
    struct oclin_member *next;
    uint64_t layer;                /* id */
    struct oclin_parameter *w, *b; /* NULL: it does not learn */
    int leads;                     /* it updates w; 0: a layer that it shares w with does */
    oclin_freeze freeze;
};

struct oclin_optimizer {
    oclin_context *ctx;
    struct oclin_optimizer_options options;
    struct oclin_parameter *parameters;
    struct oclin_member *members;
    int evaluates; /* parameters hold averages (schedule-free) */
};

/* What an optimizer needs to know of a layer. */
struct oclin_trainable {
    oclin_context *ctx;
    uint64_t id;
    oclin_tensor *w, *b, *dw, *db; /* b, dw and db may be NULL */
};
/* oclin_optimizer_add(), but for the first checks. */
oclin_status oclin_optimizer_add_layer(oclin_optimizer *optimizer, const struct oclin_trainable *layer,
                                       const struct oclin_parameter_options *options);

/* Returns the layer's entry; NULL if it was not added. */
struct oclin_member *oclin_optimizer_member(const oclin_optimizer *optimizer, uint64_t layer);
struct oclin_parameter *oclin_optimizer_parameter(const oclin_optimizer *optimizer, const oclin_tensor *w);

/* Takes out what was added since the lists began with these. */
void oclin_optimizer_take_out(oclin_optimizer *optimizer, const struct oclin_member *members,
                              const struct oclin_parameter *parameters);

/* One update of up to two parameters: w and b of a layer, or one of them. */
struct oclin_update_call {
    oclin_optimizer *optimizer;
    struct oclin_update update;
    struct oclin_parameter *parameters[2]; /* w, b; NULL: it is not updated */
    /* filled by oclin_update_prepare() */
    struct oclin_updates updates;
    struct oclin_ref_update reference[2]; /* what it should do; steps are those before it */
    cl_kernel numbers;                    /* NULL: the host knows all numbers */
    float factor;                         /* only when verifying: what the scalars on the device say */
    int32_t skipped;
};

/* Reads the caller's numbers and checks all but operands. */
oclin_status oclin_update_read(struct oclin_update_call *call, oclin_optimizer *optimizer,
                               const struct oclin_update *update);
/* The operands that it has beside the parameters: their states, the scalars, and counts on the device, which
 * are there after oclin_update_prepare(). */
enum { OCLIN_UPDATE_USES = 6 };
void oclin_update_uses(const struct oclin_update_call *call, struct oclin_use uses[OCLIN_UPDATE_USES]);
/* Does all that can fail before the first kernel is enqueued. */
oclin_status oclin_update_prepare(struct oclin_update_call *call);
/* Enqueues what works out the numbers; call it before the kernels that update, whose outcome is that of the
 * counts, too. */
oclin_status oclin_update_enqueue(const struct oclin_update_call *call);
/* Compares the counts that the device has made, after the kernels that update were enqueued. */
oclin_status oclin_update_verify(const struct oclin_update_call *call);
/* Counts the step, after that. */
void oclin_update_count(const struct oclin_update_call *call);

#endif
