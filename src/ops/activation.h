/* The activations: one row each. */
#ifndef OCLIN_OPS_ACTIVATION_H
#define OCLIN_OPS_ACTIVATION_H

#include "oclin.h"

/* The tensor that act' is computed from, which forward therefore keeps. */
enum oclin_keeps { OCLIN_KEEPS_NOTHING, OCLIN_KEEPS_Y, OCLIN_KEEPS_Z };

/* The functions compute in double, with bounds for a device that computes the formulas of
 * cl/activation_<name>.cl in float. c has the activation's number (alpha), and what the device does to
 * denormals and roundings. */
struct oclin_activation_row {
    const char *name;
    enum oclin_keeps keeps;
    float alpha; /* where the caller gives none */
    /* act(z); and its bound where the device's z is off by e */
    double (*value)(const struct oclin_ref_case *c, double z);
    double (*value_bound)(const struct oclin_ref_case *c, double z, double e);
    /* act' dy from s, which is y or z; and its bound, where s and dy are the device's */
    double (*grad)(const struct oclin_ref_case *c, double dy, double s);
    double (*grad_bound)(const struct oclin_ref_case *c, double dy, double s);
};

/* Returns the row of an activation; NULL if there is no such activation. */
const struct oclin_activation_row *oclin_activation_row(oclin_activation activation);
/* Returns the activation's number: what the caller gave, or the usual one if that is below 0. */
float oclin_activation_alpha(oclin_activation activation, float alpha);

#endif
