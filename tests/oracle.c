#include "oracle.h"

#include <float.h>
#include <math.h>

#define BOTH(value) value, -(value)

const float edge_values[EDGES] = {
    BOTH(0.0f),  BOTH(0x1p-149f), BOTH(1e-40f),  BOTH(FLT_MIN),  BOTH(1e-20f), BOTH(1e-8f),   BOTH(0.5f),
    BOTH(1.0f),  BOTH(2.0f),      BOTH(3.5f),    BOTH(5.0f),     BOTH(8.0f),   BOTH(10.0f),   BOTH(12.9f),
    BOTH(13.5f), BOTH(14.5f),     BOTH(17.5f),   BOTH(29.9f),    BOTH(30.1f),  BOTH(87.0f),   BOTH(88.5f),
    BOTH(89.0f), BOTH(100.0f),    BOTH(104.0f),  BOTH(1e3f),     BOTH(1e10f),  BOTH(1.9e19f), BOTH(1e30f),
    BOTH(1e38f), BOTH(1.8e38f),   BOTH(FLT_MAX), BOTH(INFINITY), NAN,
};

/* The normal density, and the chance to be below z: by its series near 0, in the tails by the continued
 * fraction of Mills' ratio. */
static double density(double z)
{
    return exp(-z * z / 2) / sqrt(2 * acos(-1.0));
}

static double mills(double x)
{
    double fraction = x;
    for (int k = 200; k > 0; k--) fraction = x + k / fraction;
    return 1 / fraction;
}

static double chance_below(double z)
{
    if (z < -3) return density(z) * mills(-z);
    if (z > 3) return 1 - density(z) * mills(z);
    double term = z, sum = z;
    for (int k = 3; k < 200; k += 2) {
        term *= z * z / k;
        sum += term;
    }
    return 0.5 + density(z) * sum;
}

static double sigmoid(double z)
{
    return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z));
}

double oracle_activation(oclin_activation activation, double z)
{
    if (isnan(z)) return NAN;
    switch (activation) {
    case OCLIN_RELU:
        return z > 0 ? z : 0;
    case OCLIN_SIGMOID:
        return sigmoid(z);
    case OCLIN_TANH: {
        const double t = expm1(-2 * fabs(z)); /* e^-2|z| - 1, exact for small z */
        return copysign(-t / (2 + t), z);
    }
    case OCLIN_GELU:
        if (isinf(z)) return z > 0 ? INFINITY : 0;
        return z * chance_below(z);
    case OCLIN_SILU:
        if (isinf(z)) return z > 0 ? INFINITY : 0;
        return z * sigmoid(z);
    case OCLIN_GELU_TANH:
        if (isinf(z)) return z > 0 ? INFINITY : 0;
        return z * sigmoid(2 * sqrt(2 / acos(-1.0)) * (z + 0.044715 * z * z * z));
    case OCLIN_LEAKY_RELU:
        return z < 0 ? (double)0.01f * z : z;
    case OCLIN_SOFTPLUS:
        return z > 40 ? z : z < -40 ? exp(z) : log1p(exp(z));
    case OCLIN_ELU:
        return z < 0 ? expm1(z) : z;
    default:
        return z;
    }
}

double oracle_derivative(oclin_activation activation, double z)
{
    if (activation == OCLIN_NONE) return 1;
    if (activation == OCLIN_RELU) return z <= 0 ? 0 : 1;
    if (activation == OCLIN_LEAKY_RELU) return z > 0 ? 1 : (double)0.01f;
    if (activation == OCLIN_ELU && (z > 0 || isnan(z))) return 1;
    if (isnan(z)) return NAN;
    if (activation == OCLIN_ELU) return exp(z);
    if (activation == OCLIN_SOFTPLUS) return sigmoid(z);
    if (activation == OCLIN_SIGMOID) return sigmoid(z) * sigmoid(-z);
    if (activation == OCLIN_TANH) return 4 * sigmoid(2 * z) * sigmoid(-2 * z);
    if (isinf(z)) return z > 0 ? 1 : 0;
    if (activation == OCLIN_SILU) return sigmoid(z) + z * sigmoid(z) * sigmoid(-z);
    if (activation == OCLIN_GELU_TANH) {
        const double a = 2 * sqrt(2 / acos(-1.0)), v = a * (z + 0.044715 * z * z * z);
        return sigmoid(v) + z * sigmoid(v) * sigmoid(-v) * a * (1 + 3 * 0.044715 * z * z);
    }
    return chance_below(z) + z * density(z);
}

double oracle_stored_derivative(oclin_activation activation, double z, double y)
{
    if (activation == OCLIN_SIGMOID) return y - y * y;
    if (activation == OCLIN_TANH) return (1 - y) * (1 + y);
    if (activation == OCLIN_SOFTPLUS) return y < 0.5 ? -expm1(-y) : 1 - exp(-y);
    return oracle_derivative(activation, z);
}

double oracle_dz(oclin_activation activation, double dy, double derivative)
{
    return activation == OCLIN_RELU && derivative == 0 ? 0 : dy * derivative;
}

double oracle_cross_entropy(int cols, const float *y, int32_t label, double *difference, int *correct)
{
    int best = 0, unknown = label < 0 || label >= cols, nan = 0;
    for (int j = 0; j < cols; j++) {
        nan = nan || isnan(y[j]);
        if (y[j] > y[best]) best = j;
    }
    *correct = !unknown && !nan && best == label;
    unknown = unknown || nan || isinf(y[best]);
    double sum = 0;
    for (int j = 0; j < cols && !unknown; j++) sum += exp((double)y[j] - (double)y[best]);
    for (int j = 0; j < cols; j++)
        difference[j] = unknown ? NAN : exp((double)y[j] - (double)y[best]) / sum - (j == label);
    return unknown ? NAN : log(sum) + ((double)y[best] - (double)y[label]);
}

double oracle_slope(double (*L)(void *), void *context, float *v)
{
    const float v0 = *v, step = 0x1p-9f;
    double at[5];
    for (int k = -2; k <= 2; k++) {
        *v = v0 + (float)k * step;
        at[k + 2] = L(context);
    }
    *v = v0;
    return (at[0] - 8 * at[1] + 8 * at[3] - at[4]) / (12 * (double)step);
}
