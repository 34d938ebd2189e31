/* The rules of update: one row each. */
#ifndef OCLIN_OPS_RULE_H
#define OCLIN_OPS_RULE_H

#include "core/launch.h"

/* A number that is computed in float, and how far the device's may be from it. */
struct oclin_number {
    double value, error;
};

/* The numbers of an update (oclin_tile.h). */
#define OCLIN_NUMBER_FIELD_(name, digit) struct oclin_number name;
struct oclin_numbers {
    OCLIN_NUMBERS(OCLIN_NUMBER_FIELD_)
};
#undef OCLIN_NUMBER_FIELD_

/* What the numbers of a step depend on, beside the options. */
struct oclin_rule_step {
    int first;
    double bias1, bias2; /* 1 - beta^t */
    double share;        /* schedule-free: of this step in the sum of weights */
};

/* One element: w, its gradient as the rule gets it, and its states. */
enum { OCLIN_MOST_STATES = 3 };
struct oclin_rule_element {
    struct oclin_number w, g, state[OCLIN_MOST_STATES];
};

/*
 * A rule. Its equations are found twice: as kernel text, in cl/rule_<fragment>.cl, and as the reference, in
 * rule.c. Nothing else knows them.
 */
struct oclin_rule_row {
    const char *name;     /* for sentences */
    const char *fragment; /* the file's name; the separate and the fused update share it */
    const char *states[OCLIN_MOST_STATES], *variant_state; /* their names; the last only with amsgrad */
    int takes_momentum, takes_betas, takes_amsgrad;
    int couples_decay; /* it adds l w to the gradient; 0: it multiplies w by 1 - lr l */
    /* Turns numbers that hold for all steps into those of one. */
    void (*at_step)(struct oclin_numbers *n, const struct oclin_rule_step *step);
    /* The equations, for a device whose unit of rounding is u. */
    void (*update)(double u, const struct oclin_numbers *n, struct oclin_rule_element *e);
};

/* Returns NULL for a rule that is not known. */
const struct oclin_rule_row *oclin_rule_of(oclin_rule rule);
/* Returns the number of states, and the name of one. */
int oclin_rule_states(const struct oclin_optimizer_options *o);
const char *oclin_rule_state(const struct oclin_optimizer_options *o, int i);
/* Returns the name of the kernel fragment. lr_alone: no parameter that the kernel updates decays, and
 * nothing scales, limits or skips their gradients. */
const char *oclin_rule_fragment(const struct oclin_optimizer_options *o, int lr_alone);
/* The fragment of plain SGD, w' = w - lr g, and its numbers. */
extern const char oclin_plain_sgd[];
/* The fragment that moves w toward another matrix, by `toward`. */
extern const char oclin_toward[];
struct oclin_numbers oclin_plain_numbers(double lr);

/* Returns the numbers of the step after update->steps, which are worked out on the host or on the device. */
struct oclin_numbers oclin_rule_numbers(const struct oclin_ref_update *update, double u);
/* Returns the numbers that hold for all steps: those that the kernel numbers.cl starts from. */
struct oclin_numbers oclin_rule_start(const struct oclin_ref_update *update);
/* Counts the step that follows. */
void oclin_rule_count(struct oclin_steps *steps, double lr);
/* Updates one element. */
void oclin_rule_update(const struct oclin_rule_row *rule, double u, const struct oclin_numbers *n,
                       struct oclin_rule_element *e);
/* As OpenCL's float16. */
void oclin_numbers_as_floats(const struct oclin_numbers *n, float to[16]);

/* The update of one parameter by a kernel. */
struct oclin_update_of {
    struct oclin_operand state; /* mem NULL: none */
    int64_t plane;              /* from one state to the next, in elements */
    struct oclin_numbers numbers;
    cl_mem control; /* NULL: the numbers are arguments; else they stand there */
};

/* The updates that a product makes in its epilogue. */
struct oclin_updates {
    const char *fragment;
    struct oclin_update_of w, b;
};

/* Add the arguments of an update: its rate, which plain SGD takes as a number of its own, and all others.
 * Those of b have no stride, because its states are rows. Where there is no state, any valid buffer is given
 * instead. */
void oclin_argument_lr(struct oclin_arguments *arguments, const struct oclin_update_of *u);
void oclin_argument_update(struct oclin_arguments *arguments, const struct oclin_update_of *u,
                           int with_stride, cl_mem any);

#endif
