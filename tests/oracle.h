/*
 * A second opinion for values at the edges: activations, their derivatives and losses of single numbers, in
 * double, each from its definition and with its limits at Inf written down. It shares no formula with the
 * library or its reference.
 */
#ifndef OCLIN_TESTS_ORACLE_H
#define OCLIN_TESTS_ORACLE_H

#include "oclin.h"

/* Zeros, denormals, the smallest and largest floats, where functions leave their range, Inf and NaN; of both
 * signs. */
enum { EDGES = 65 };
extern const float edge_values[EDGES];

/* act(z), and its derivative at z. GELU is 0, and its derivative 0, at -Inf. ReLU's derivative at NaN is 1:
 * it selects. */
double oracle_activation(oclin_activation activation, double z);
double oracle_derivative(oclin_activation activation, double z);

/* The derivative as oclin has it: sigmoid's and tanh's from the stored y, which is a float; the others' from
 * z. */
double oracle_stored_derivative(oclin_activation activation, double z, double y);

/* What dy becomes: dy times that derivative by the rules of IEEE, but ReLU selects. */
double oracle_dz(oclin_activation activation, double dy, double derivative);

/* Softmax cross-entropy of a row: its loss, p - onehot(label), and whether the label is right. NaN where a
 * score is NaN or Inf, where all are -Inf, and where the label is no index. */
double oracle_cross_entropy(int cols, const float *y, int32_t label, double *difference, int *correct);

/* dL / d*v by the central difference of fourth order, with steps of 2^-9 and 2^-8. */
double oracle_slope(double (*L)(void *), void *context, float *v);

#endif
