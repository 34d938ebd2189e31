/*
 * A small training that goes through most of the library, for tests of many threads, many steps, and
 * sudden ends. It uses nothing of cmocka: threads other than the test's own may run it.
 */
#ifndef OCLIN_TESTS_TRAINING_H
#define OCLIN_TESTS_TRAINING_H

#include "oclin.h"
#include "core/opencl.h"

enum { TRAINING_BATCH = 12, TRAINING_IN = 9, TRAINING_HIDDEN = 17, TRAINING_OUT = 5 };

/* A classifier of two layers with data of its own, on a context that stays the caller's. */
struct training {
    oclin_context *ctx;
    oclin_layer *hidden, *last;
    oclin_saved *saved; /* of the last layer's forward */
    oclin_tensor *x, *h, *y, *labels, *dy, *dh, *dx, *loss, *correct;
    float losses[TRAINING_BATCH]; /* read without waiting */
};

/* All that a training leaves behind. */
struct trained {
    float w[TRAINING_OUT * TRAINING_HIDDEN], b[TRAINING_OUT];
    float hidden_w[TRAINING_HIDDEN * TRAINING_IN], hidden_b[TRAINING_HIDDEN];
    float dx[TRAINING_BATCH * TRAINING_IN], loss;
    int32_t correct;
};

/* The first status that is not OCLIN_OK ends each of them. A half-made training can be freed. */
oclin_status training_make(struct training *t, oclin_context *ctx, oclin_activation activation,
                           uint64_t seed);
/* Step number `step` (from 0): forward, loss, both ways of backward and update; now and then a view, an
 * inference, a gradient in two halves, an event. */
oclin_status training_step(struct training *t, int64_t step);
oclin_status training_read(struct training *t, struct trained *result);
void training_free(struct training *t);

#endif
