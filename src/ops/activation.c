/*
 * The activations: value, derivative, and how far a device may be from them. A row names its fragment of
 * kernel text, cl/activation_<name>.cl, whose formulas the bounds follow: first order in u, widened by
 * SECOND_ORDER. (reference.c says where the units come from.)
 */
#include "ops/activation.h"

#include <stddef.h>

#include "ops/bounds.h"

#define SQRT_HALF 0.70710678118654752440
#define INV_SQRT_2PI 0.39894228040143267794

static double flushed(const struct oclin_ref_case *c)
{
    return c->no_denormals ? FLUSH : 0;
}

/* Returns the bound of dy times act', where act' is off by `own` from roundings, and by `tiny` smallest
 * denormals from underflow. */
static double product_bound(const struct oclin_ref_case *c, double dy, double derivative, double own,
                            double tiny)
{
    const double smallest = TINY + flushed(c), product = dy * derivative;
    /* act' may be 0 on the device, and 0 times Inf is NaN */
    if (isinf(dy) && fabs(derivative) <= SECOND_ORDER * own + tiny * smallest) return NAN;
    return unless_overflow(product, SECOND_ORDER * own * fabs(dy) + tiny * smallest * fabs(dy) + smallest);
}

/* ------------------------------------------------------------------------------------------------- none */

static double none(const struct oclin_ref_case *c, double z)
{
    (void)c;
    return z;
}

static double none_bound(const struct oclin_ref_case *c, double z, double e)
{
    (void)c, (void)z;
    return e;
}

static double none_grad(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c, (void)s;
    return dy;
}

static double none_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c, (void)dy, (void)s;
    return 0;
}

/* ------------------------------------------------------------------------------------------------- relu */

static double relu(const struct oclin_ref_case *c, double z)
{
    (void)c;
    return z < 0 ? 0 : z;
}

static double relu_bound(const struct oclin_ref_case *c, double z, double e)
{
    (void)c;
    return z + e < 0 ? 0 : e;
}

/* It selects, because Inf * 0 must not appear, and a NaN in s is not zero. */
static double relu_grad(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c;
    return s <= 0 ? 0 : dy;
}

static double relu_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    if (!(s > 0 && s < flushed(c))) return 0;
    return isinf(dy) ? NAN : fabs(dy); /* s may count as 0 */
}

/* ---------------------------------------------------------------------------------------------- sigmoid */

static double sigmoid(const struct oclin_ref_case *c, double z)
{
    (void)c;
    return 1 / (1 + exp(-z));
}

/* In units of u, exp has 6, which count with its share of 1 + exp, which is 1 - y; the sum has 1, the
 * division 5. */
static double sigmoid_bound(const struct oclin_ref_case *c, double z, double e)
{
    const double nearest = fmax(0, fabs(z) - e); /* the point nearest to 0, where the slope is largest */
    const double carried = e / (2 + exp(nearest) + exp(-nearest)), value = sigmoid(c, z);
    const double y = value + carried;
    double own = (6 * (1 - value + carried) + 6) * unit_of(c) * y;
    if (y < 0x1p-127) own += y; /* exp(-z) may overflow: 1 / Inf */
    return carried + SECOND_ORDER * own + TINY + flushed(c);
}

static double sigmoid_grad(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c;
    return dy * (s * (1 - s));
}

static double sigmoid_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    return product_bound(c, dy, s * (1 - s), 3 * unit_of(c) * fabs(s * (1 - s)), 1);
}

/* ------------------------------------------------------------------------------------------------- tanh */

static double tanh_(const struct oclin_ref_case *c, double z)
{
    (void)c;
    return tanh(z);
}

static double tanh_bound(const struct oclin_ref_case *c, double z, double e)
{
    const double nearest = fmax(0, fabs(z) - e);
    const double carried = 4 / (2 + exp(2 * nearest) + exp(-2 * nearest)) * e;
    const double y = fabs(tanh(z)) + carried;
    return carried + SECOND_ORDER * 10 * unit_of(c) * y + 5 * TINY + flushed(c);
}

static double tanh_grad(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c;
    return dy * (1 - s * s);
}

/* The rounding of s * s remains whole when 1 - s * s cancels. */
static double tanh_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    const double u = unit_of(c);
    return product_bound(c, dy, 1 - s * s, u * s * s + 2 * u * fabs(1 - s * s), 1);
}

/* ------------------------------------------------------------------------------------------------- gelu */

static double normal_pdf(double z)
{
    return INV_SQRT_2PI * exp(-0.5 * z * z);
}

static double normal_cdf(double z)
{
    return 0.5 * erfc(-z * SQRT_HALF);
}

/* Returns 0 at both ends, where the product would be Inf * 0. */
static double z_normal_pdf(double z)
{
    return isinf(z) ? 0 : z * normal_pdf(z);
}

/* Beyond this the kernels compute GELU as if z were here, where, as a float, it has reached its limits. */
#define GELU_FAR 30.0

static double gelu(const struct oclin_ref_case *c, double z)
{
    (void)c;
    return z == -INFINITY ? 0 : z * normal_cdf(z);
}

/* In units of u, erfc has 32, its product 1, and its argument 2, magnified by z erfc'(z). `steepest` is above
 * the largest |act'| near z: left of 0, cdf + |z| pdf grows with z and is above |act'|, whose maximum is
 * 1.1290. */
static double gelu_bound(const struct oclin_ref_case *c, double z, double e)
{
    const double steepest = z + e < 0 ? normal_cdf(z + e) - z_normal_pdf(z + e) : 1.13;
    const double carried = steepest * e, y = fabs(gelu(c, z)) + carried, u = unit_of(c);
    if (isinf(z)) return e;
    const double farthest = fabs(z) + e, nearest = fmax(0, fabs(z) - e), reach = fmin(fabs(z), GELU_FAR);
    const double own = 33 * u * y + 2 * u * farthest * farthest * normal_pdf(nearest);
    return carried + SECOND_ORDER * own + (1 + 8 * reach) * TINY + (1 + reach) * flushed(c);
}

static double gelu_derivative(double s)
{
    return normal_cdf(s) + z_normal_pdf(s);
}

static double gelu_grad(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c;
    return dy * gelu_derivative(s);
}

/* In units of u, cdf has 32 for erfc, and 2 for its argument (times s pdf). s pdf has 6 for exp, 1 for the
 * constant, 2 for the products, and 1 for the argument of exp, magnified by s^2 / 2. Their sum has 1 and dy
 * 1, after cancellation. */
static double gelu_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    const double cdf = normal_cdf(s), s_pdf = fabs(z_normal_pdf(s)), reach = fmin(fabs(s), GELU_FAR);
    const double own = unit_of(c) * (32 * cdf + 2 * s_pdf + (9 + 0.5 * reach * reach) * s_pdf +
                                     2 * fabs(gelu_derivative(s)));
    return product_bound(c, dy, gelu_derivative(s), own, 16 + 2 * reach);
}

/* ------------------------------------------------------------------------------------------------- silu */

/* Returns 1 / (1 + exp(-z)) with all its digits; below(-z) is what is left of 1, with all of its own. */
static double below(double z)
{
    return z < 0 ? exp(z) / (1 + exp(z)) : 1 / (1 + exp(-z));
}

static double silu(const struct oclin_ref_case *c, double z)
{
    (void)c;
    return z == -INFINITY ? 0 : z * below(z);
}

/* Returns the roundings, in units of u, of z sigmoid(z) computed with exp(-|z|), whose share in 1 + exp is p.
 * Right of 0 exp counts with that share, 6 p, the sum, which is below 2, with 1 - p, and the division with 5.
 * Left of 0 exp is also a factor, so that it counts with 6 (1 - p), and its product with 1. */
static double sigmoid_roundings(double z, double e)
{
    return z < e ? 13 - 7 * below(-fabs(z) - e) : 6 + 5 * below(-fmax(0, fabs(z) - e));
}

/* The largest |act'| is 1.0998; left of -2, below (1 + |z|) grows with z and is above it. */
static double silu_bound(const struct oclin_ref_case *c, double z, double e)
{
    if (isinf(z)) return e;
    const double right = z + e, steepest = right < -2 ? below(right) * (1 - right) : 1.1;
    const double carried = steepest * e, y = fabs(silu(c, z)) + carried, reach = fmin(fabs(z), 200);
    const double own = sigmoid_roundings(z, e) * unit_of(c) * y;
    return carried + SECOND_ORDER * own + (1 + 8 * reach) * TINY + (1 + reach) * flushed(c);
}

static double silu_derivative(double s)
{
    return isinf(s) ? s > 0 : below(s) * (1 + s * below(-s));
}

static double silu_grad(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c;
    return dy * silu_derivative(s);
}

/* act' = p (1 + s q), p = sigmoid(s), q = 1 - p, t = s q. exp moves p and q against each other: 6 p q (1 + s
 * (q - p)). The sum with 1 and the division have 6, and are a factor of both: p (1 + 2 t). The product with
 * exp has 1, in p left of 0, else in q. s q has 1, 1 + t has 1, p times that has 1, and dy has 1. */
static double sigmoid_grad_roundings(double s, double p, double q)
{
    const double t = s * q, d = fabs(p * (1 + t));
    return 6 * fabs(p * q * (1 + s * (q - p))) + 6 * fabs(p * (1 + 2 * t)) + (s < 0 ? d : p * fabs(t)) +
           p * fabs(t) + 3 * d;
}

static double silu_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    const double reach = fmin(fabs(s), 200), at = copysign(reach, s);
    const double own = unit_of(c) * sigmoid_grad_roundings(at, below(at), below(-at));
    return product_bound(c, dy, silu_derivative(s), own, 4 + 8 * reach);
}

/* --------------------------------------------------------------------------------------------- gelu_tanh */

#define SQRT_8_OVER_PI 1.59576912160573071176
#define CUBIC 0.044715

/* Returns twice the argument of tanh, which is the argument of the sigmoid. */
static double inner(double z)
{
    return SQRT_8_OVER_PI * z * (1 + CUBIC * z * z);
}

/* Returns its roundings: the first factor has 0.5 (of the constant, as a float), two products and the sum
 * have 3, and 3 more count with the share of the cube. */
static double inner_roundings(double z)
{
    const double cube = CUBIC * z * z;
    return 3.5 + 3 * cube / (1 + cube);
}

static double gelu_tanh(const struct oclin_ref_case *c, double z)
{
    (void)c;
    return z == -INFINITY ? 0 : z * below(inner(z));
}

/* The largest |act'| is 1.1290; left of -2, p (1 + |z v'|) grows with z and is above it. */
static double gelu_tanh_bound(const struct oclin_ref_case *c, double z, double e)
{
    if (isinf(z)) return e;
    const double right = z + e, slope = SQRT_8_OVER_PI * (1 + 3 * CUBIC * right * right);
    const double steepest = right < -2 ? below(inner(right)) * (1 - right * slope) : 1.13;
    const double carried = steepest * e, y = fabs(gelu_tanh(c, z)) + carried, reach = fmin(fabs(z), 30);
    const double at = copysign(fmin(fabs(z) + e, 31), z), v = fabs(inner(at));
    const double own =
        sigmoid_roundings(inner(z), e) + inner_roundings(at) * v * below(-inner(z < 0 ? at : z));
    return carried + SECOND_ORDER * own * unit_of(c) * y + (1 + 8 * reach) * TINY + (1 + reach) * flushed(c);
}

static double gelu_tanh_derivative(double s)
{
    const double slope = SQRT_8_OVER_PI * s * (1 + 3 * CUBIC * s * s);
    return isinf(s) ? s > 0 : below(inner(s)) * (1 + slope * below(-inner(s)));
}

static double gelu_tanh_grad(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c;
    return dy * gelu_tanh_derivative(s);
}

/* This is silu's bound, with the slope s v' in the place of s, which itself has 8 roundings; and the
 * roundings of v move p and q as exp does. */
static double gelu_tanh_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    const double at = copysign(fmin(fabs(s), 30), s), v = inner(at), p = below(v), q = below(-v);
    const double slope = SQRT_8_OVER_PI * at * (1 + 3 * CUBIC * at * at);
    const double moved = inner_roundings(at) * fabs(v * p * q * (1 + slope * (q - p)));
    const double own = sigmoid_grad_roundings(slope, p, q) + moved + 8 * fabs(p * slope * q);
    return product_bound(c, dy, gelu_tanh_derivative(s), unit_of(c) * own, 4 + 8 * fabs(slope));
}

/* --------------------------------------------------------------------------------------------- leaky_relu */

static double leaky_relu(const struct oclin_ref_case *c, double z)
{
    return z < 0 ? (double)c->alpha * z : z;
}

static double leaky_relu_bound(const struct oclin_ref_case *c, double z, double e)
{
    const double alpha = (double)c->alpha, y = leaky_relu(c, z);
    const double carried = e * (z + e < 0 ? alpha : z - e < 0 ? fmax(1, alpha) : 1);
    if (z - e >= 0) return carried;
    return carried + unless_overflow(y, unit_of(c) * (fabs(y) + carried) + TINY + (1 + alpha) * flushed(c));
}

static double leaky_relu_grad(const struct oclin_ref_case *c, double dy, double s)
{
    return s > 0 ? dy : (double)c->alpha * dy;
}

static double leaky_relu_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    const double alpha = (double)c->alpha, product = alpha * dy;
    if (s > 0)
        return s < flushed(c) && isfinite(dy) ? fabs((1 - alpha) * dy) + TINY : 0; /* s may count as 0 */
    return unless_overflow(product, unit_of(c) * fabs(product) + TINY + (1 + alpha) * flushed(c));
}

/* ----------------------------------------------------------------------------------------------- softplus */

static double softplus(const struct oclin_ref_case *c, double z)
{
    (void)c;
    return fmax(z, 0) + log1p(exp(-fabs(z))) + 0 * (isnan(z) ? z : 0);
}

/* In units of u, exp has 6, which count with its share in 1 + exp; log1p has 4; the sum has 1, unless it is
 * with 0. */
static double softplus_bound(const struct oclin_ref_case *c, double z, double e)
{
    if (isinf(z)) return z > 0 ? e : TINY;
    const double carried = e * below(z + e), nearest = fmax(0, fabs(z) - e), small = log1p(exp(-nearest));
    const double sum = z + e > 0 ? softplus(c, z) + carried : 0;
    const double own = unit_of(c) * (6 * below(-nearest) + 4 * small + sum);
    return carried + SECOND_ORDER * own + 8 * TINY + 2 * flushed(c);
}

static double softplus_grad(const struct oclin_ref_case *c, double dy, double s)
{
    (void)c;
    return dy * -expm1(-s);
}

/* In units of u, expm1 has 6, dy 1. */
static double softplus_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    const double derivative = -expm1(-s);
    return product_bound(c, dy, derivative, 7 * unit_of(c) * fabs(derivative), 4);
}

/* ---------------------------------------------------------------------------------------------------- elu */

static double elu(const struct oclin_ref_case *c, double z)
{
    return z <= 0 ? (double)c->alpha * expm1(z) : z;
}

/* In units of u, expm1 has 6, alpha 1. */
static double elu_bound(const struct oclin_ref_case *c, double z, double e)
{
    const double alpha = (double)c->alpha, y = elu(c, z);
    const double left = alpha * exp(fmin(z + e, 0)); /* the slope there */
    if (z == -INFINITY) return unit_of(c) * alpha;
    const double carried = e * (z + e <= 0 ? left : z - e <= 0 ? fmax(1, left) : 1);
    if (z - e > 0) return carried;
    return carried + SECOND_ORDER * 7 * unit_of(c) * (fabs(y) + carried) + (1 + 4 * alpha) * TINY +
           (1 + alpha) * flushed(c);
}

static double elu_grad(const struct oclin_ref_case *c, double dy, double s)
{
    return s <= 0 ? dy * ((double)c->alpha * exp(s)) : dy;
}

/* In units of u, exp has 6, alpha 1, dy 1. */
static double elu_grad_bound(const struct oclin_ref_case *c, double dy, double s)
{
    const double alpha = (double)c->alpha, derivative = alpha * exp(s);
    if (!(s <= 0)) return s < flushed(c) && isfinite(dy) ? fabs((1 - alpha) * dy) : 0; /* s may count as 0 */
    return product_bound(c, dy, derivative, 8 * unit_of(c) * derivative, 1 + 4 * alpha);
}

/* ------------------------------------------------------------------------------------------------- rows */

#define ROW(text, what, keeps_, alpha_)                                          \
    {                                                                            \
        text, keeps_, alpha_, what, what##_bound, what##_grad, what##_grad_bound \
    }
static const struct oclin_activation_row rows[] = {
    [OCLIN_NONE] = ROW("none", none, OCLIN_KEEPS_NOTHING, 0),
    [OCLIN_RELU] = ROW("relu", relu, OCLIN_KEEPS_Y, 0),
    [OCLIN_SIGMOID] = ROW("sigmoid", sigmoid, OCLIN_KEEPS_Y, 0),
    [OCLIN_TANH] = {"tanh", OCLIN_KEEPS_Y, 0, tanh_, tanh_bound, tanh_grad, tanh_grad_bound},
    [OCLIN_GELU] = ROW("gelu", gelu, OCLIN_KEEPS_Z, 0),
    [OCLIN_SILU] = ROW("silu", silu, OCLIN_KEEPS_Z, 0),
    [OCLIN_GELU_TANH] = ROW("gelu_tanh", gelu_tanh, OCLIN_KEEPS_Z, 0),
    [OCLIN_LEAKY_RELU] = ROW("leaky_relu", leaky_relu, OCLIN_KEEPS_Y, 0.01f),
    [OCLIN_SOFTPLUS] = ROW("softplus", softplus, OCLIN_KEEPS_Y, 0),
    [OCLIN_ELU] = ROW("elu", elu, OCLIN_KEEPS_Z, 1),
};

const struct oclin_activation_row *oclin_activation_row(oclin_activation activation)
{
    const int i = (int)activation;
    return i >= 0 && (size_t)i < sizeof rows / sizeof *rows ? &rows[i] : NULL;
}

float oclin_activation_alpha(oclin_activation activation, float alpha)
{
    return alpha < 0 ? rows[activation].alpha : alpha;
}
