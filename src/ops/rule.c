/*
 * The rules of update: their numbers, and their equations in double, with bounds for a device that computes
 * them in float as cl/rule_*.cl does.
 *
 * A bound is carried along with each number, operation by operation: what it inherits from its operands, and
 * one rounding. In units of u (OpenCL 1.2, full profile, 7.4): 1 for + - * fma, 5 for division, 6 for sqrt.
 * A device may flush operands and results that are denormal.
 */
#include "ops/rule.h"

#include <math.h>
#include <string.h>

#include "ops/bounds.h"

/* ------------------------------------------------------------------------------------------- arithmetic */

typedef struct oclin_number number;

static number exact(double value)
{
    return (number){value, 0};
}

static int is_zero(number a)
{
    return a.value == 0 && a.error == 0;
}

/* Returns the larger error; NaN claims least of all. */
static double larger_error(double a, double b)
{
    return isnan(a) || a > b ? a : b;
}

/* Returns the result of an operation whose operands may move it by `carried`. A result that may overflow has
 * no bound. */
static number rounded(double value, double carried, double roundings, double flush)
{
    const double error = SECOND_ORDER * (carried + roundings * (fabs(value) + carried)) + flush;
    return (number){value, isfinite(value) && fabs(value) + error >= OVERFLOWS ? INFINITY : error};
}

static int may_be_inf(number a)
{
    return isfinite(a.value) && !(fabs(a.value) + a.error < OVERFLOWS);
}

static int may_be_zero(number a)
{
    return a.value != 0 && !(fabs(a.value) - a.error > FLUSH);
}

static number plus(double u, number a, number b)
{
    if (is_zero(a)) return b;
    if (is_zero(b)) return a;
    /* on the device the finite one may be the other Inf, and the sum NaN */
    if (may_be_inf(a) && isinf(b.value)) return (number){a.value + b.value, NAN};
    if (may_be_inf(b) && isinf(a.value)) return (number){a.value + b.value, NAN};
    return rounded(a.value + b.value, a.error + b.error, u, 3 * FLUSH);
}

static number minus(double u, number a, number b)
{
    b.value = -b.value;
    return plus(u, a, b);
}

static number times(double u, number a, number b)
{
    const double value = a.value * b.value;
    if (a.value == 1 && a.error == 0) return b;
    if (value == 0 && (is_zero(a) || is_zero(b)) && isfinite(a.error) && isfinite(b.error)) return exact(0);
    /* on the device the other one may be 0, and the product NaN */
    if ((isinf(a.value) && may_be_zero(b)) || (isinf(b.value) && may_be_zero(a))) return (number){value, NAN};
    const double of_a = a.error ? (fabs(b.value) + b.error) * a.error : 0; /* no claim times 0 is no claim */
    return rounded(value, (b.error ? fabs(a.value) * b.error : 0) + of_a, u,
                   FLUSH * (1 + fabs(a.value) + fabs(b.value)));
}

static number divided(double u, number a, number by)
{
    const double value = a.value / by.value, least = fabs(by.value) - by.error - FLUSH;
    if (is_zero(a) && by.value != 0 && least > 0) return exact(0);
    if (!(least > 0)) return (number){value, INFINITY};
    return rounded(value, (a.error + fabs(value) * by.error) / least, 5 * u, FLUSH * (1 + 1 / least));
}

static number root_of(double u, number a)
{
    const double value = sqrt(a.value), least = a.value - a.error - FLUSH;
    if (is_zero(a)) return a;
    const double above = sqrt(a.value + a.error) - value, below = value - sqrt(least > 0 ? least : 0);
    return rounded(value, larger_error(above, below), 6 * u, FLUSH);
}

static number larger_of(number a, number b)
{
    if (isnan(a.value)) return a;
    if (isnan(b.value)) return b;
    return (number){fmax(a.value, b.value), larger_error(a.error, b.error)};
}

/* The sign of NaN is 0. Where the bound leaves the sign open, so does this one's. */
static number sign_of(number a)
{
    const double value = (double)(a.value > 0) - (double)(a.value < 0);
    return (number){value, fabs(a.value) > a.error || is_zero(a) || isnan(a.value) ? 0 : 2};
}

/* a b + c, rounded once or twice. */
static number times_plus(double u, number a, number b, number c)
{
    return plus(u, times(u, a, b), c);
}

static number negative(number a)
{
    return (number){-a.value, a.error};
}

/* a + share (b - a), from the nearer end. */
static number between(double u, number a, number b, number share, number rest)
{
    const number d = minus(u, b, a);
    return share.value < 0.5 ? times_plus(u, share, d, a) : times_plus(u, negative(rest), d, b);
}

/* --------------------------------------------------------------------------------------------- equations */

static number decayed(double u, const struct oclin_numbers *n, number w, number g)
{
    return n->decay.value != 0 ? times_plus(u, n->decay, w, g) : g;
}

static void sgd_at(struct oclin_numbers *n, const struct oclin_rule_step *step)
{
    n->first = exact(step->first);
}

static void sgd(double u, const struct oclin_numbers *n, struct oclin_rule_element *e)
{
    number g = decayed(u, n, e->w, e->g);
    if ((float)n->beta1.value != 0) { /* as the kernel sees it */
        number *v = &e->state[0];
        *v = n->first.value ? g : times_plus(u, n->rate1, g, times(u, n->beta1, *v));
        g = n->variant.value ? times_plus(u, n->beta1, *v, g) : *v;
    }
    e->w = times_plus(u, negative(n->lr), g, e->w);
}

static void adam_at(struct oclin_numbers *n, const struct oclin_rule_step *step)
{
    n->lr.value /= step->bias1;
    n->unbias.value = 1 / sqrt(step->bias2);
}

static void adam(double u, const struct oclin_numbers *n, struct oclin_rule_element *e)
{
    const number g = decayed(u, n, e->w, e->g), w = times(u, n->keep, e->w);
    number *m = &e->state[0], *v = &e->state[1];
    *m = between(u, *m, g, n->rate1, n->beta1);
    *v = times_plus(u, times(u, n->rate2, g), g, times(u, n->beta2, *v));
    number second = *v;
    if (n->variant.value) second = e->state[2] = larger_of(e->state[2], *v);
    const number by = times_plus(u, n->unbias, root_of(u, second), n->eps);
    e->w = times_plus(u, negative(n->lr), divided(u, *m, by), w);
}

static void lion(double u, const struct oclin_numbers *n, struct oclin_rule_element *e)
{
    number *m = &e->state[0];
    const number c = times_plus(u, n->rate1, e->g, times(u, n->beta1, *m));
    *m = times_plus(u, n->rate2, e->g, times(u, n->beta2, *m));
    e->w = times_plus(u, negative(n->lr), sign_of(c), times(u, n->keep, e->w));
}

static void schedule_free_at(struct oclin_numbers *n, const struct oclin_rule_step *step)
{
    n->first = exact(step->first);
    n->unbias.value = 1 / step->bias2;
    n->toward.value = step->share;
    n->w_rate.value = n->lr.value * (n->beta1.value * (1 - step->share) - 1);
}

static void schedule_free(double u, const struct oclin_numbers *n, struct oclin_rule_element *e)
{
    number *z = &e->state[0], *v = &e->state[1];
    if (n->first.value) *z = e->w;
    *v = times_plus(u, times(u, n->rate2, e->g), e->g, times(u, n->beta2, *v));
    number d = divided(u, e->g, plus(u, root_of(u, times(u, *v, n->unbias)), n->eps));
    d = decayed(u, n, e->w, d);
    const number rest = rounded(1 - n->toward.value, n->toward.error, u, 0);
    e->w = times_plus(u, n->w_rate, d, between(u, e->w, *z, n->toward, rest));
    *z = times_plus(u, negative(n->lr), d, *z);
}

static void no_step(struct oclin_numbers *n, const struct oclin_rule_step *step)
{
    (void)n, (void)step;
}

/* -------------------------------------------------------------------------------------------------- rows */

static const struct oclin_rule_row rows[] = {
    [OCLIN_SGD] = {.name = "SGD",
                   .fragment = "momentum",
                   .states = {"momentum_buffer"},
                   .takes_momentum = 1,
                   .couples_decay = 1,
                   .at_step = sgd_at,
                   .update = sgd},
    [OCLIN_ADAM] = {.name = "Adam",
                    .fragment = "adam",
                    .states = {"exp_avg", "exp_avg_sq"},
                    .variant_state = "max_exp_avg_sq",
                    .takes_betas = 1,
                    .takes_amsgrad = 1,
                    .couples_decay = 1,
                    .at_step = adam_at,
                    .update = adam},
    [OCLIN_ADAMW] = {.name = "AdamW",
                     .fragment = "adam",
                     .states = {"exp_avg", "exp_avg_sq"},
                     .variant_state = "max_exp_avg_sq",
                     .takes_betas = 1,
                     .takes_amsgrad = 1,
                     .at_step = adam_at,
                     .update = adam},
    [OCLIN_LION] = {.name = "Lion",
                    .fragment = "lion",
                    .states = {"exp_avg"},
                    .takes_betas = 1,
                    .at_step = no_step,
                    .update = lion},
    [OCLIN_SCHEDULE_FREE] = {.name = "schedule-free AdamW",
                             .fragment = "schedule_free",
                             .states = {"z", "exp_avg_sq"},
                             .takes_betas = 1,
                             .couples_decay = 1,
                             .at_step = schedule_free_at,
                             .update = schedule_free},
};
const char oclin_plain_sgd[] = "sgd", oclin_toward[] = "toward";

const struct oclin_rule_row *oclin_rule_of(oclin_rule rule)
{
    return (unsigned)rule < sizeof rows / sizeof *rows ? &rows[rule] : NULL;
}

const char *oclin_rule_state(const struct oclin_optimizer_options *o, int i)
{
    const struct oclin_rule_row *row = oclin_rule_of(o->rule);
    if (row->takes_momentum && o->momentum == 0) return NULL;
    if (i >= OCLIN_MOST_STATES) return NULL;
    return row->states[i] || !o->amsgrad ? row->states[i] : i == 2 ? row->variant_state : NULL;
}

int oclin_rule_states(const struct oclin_optimizer_options *o)
{
    int n = 0;
    while (oclin_rule_state(o, n)) n++;
    return n;
}

const char *oclin_rule_fragment(const struct oclin_optimizer_options *o, int lr_alone)
{
    const int plain = o->rule == OCLIN_SGD && o->momentum == 0 && !o->maximize && lr_alone;
    return plain ? oclin_plain_sgd : oclin_rule_of(o->rule)->fragment;
}

/* ----------------------------------------------------------------------------------------------- numbers */

struct oclin_numbers oclin_rule_start(const struct oclin_ref_update *update)
{
    const struct oclin_optimizer_options *o = &update->rule;
    const struct oclin_rule_row *row = oclin_rule_of(o->rule);
    const double decay = update->weight_decay;
    return (struct oclin_numbers){
        .factor = exact(o->maximize ? -update->factor : update->factor),
        .clip = exact(update->clip_value > 0 ? update->clip_value : INFINITY),
        .lr = exact(update->lr),
        .decay = exact(row->couples_decay ? decay : 0),
        .keep = exact(row->couples_decay ? 1 : 1 - update->lr * decay),
        .beta1 = exact(row->takes_momentum ? o->momentum : o->beta1),
        .rate1 = exact(row->takes_momentum ? 1 - o->dampening : 1 - o->beta1),
        .beta2 = exact(o->beta2),
        .rate2 = exact(1 - o->beta2),
        .unbias = exact(1),
        .eps = exact(o->eps),
        .variant = exact(o->amsgrad || o->nesterov),
    };
}

struct oclin_numbers oclin_plain_numbers(double lr)
{
    return (struct oclin_numbers){.factor = exact(1), .clip = exact(INFINITY), .lr = exact(lr)};
}

void oclin_rule_count(struct oclin_steps *steps, double lr)
{
    if (steps->steps < INT64_MAX) steps->steps++;
    steps->largest_lr = fmax(steps->largest_lr, lr);
    steps->weight_sum += steps->largest_lr * steps->largest_lr;
}

static double rounding_of(double value)
{
    return isfinite(value) ? fabs((double)(float)value - value) : 0;
}

/* All are rounded to float. Those that a device works out itself pass some functions and roundings more
 * (numbers.cl); the sum of two terms of opposite sign in w_rate is not smaller than its error. */
static void set_errors(struct oclin_numbers *n, double u, int on_device)
{
    const double lr = fabs(n->lr.value);
#define ERROR(name, digit) n->name.error = rounding_of(n->name.value);
    OCLIN_NUMBERS(ERROR)
#undef ERROR
    if (!on_device) return;
    n->lr.error = 24 * u * lr;
    n->unbias.error = 24 * u * n->unbias.value;
    n->factor.error = 2 * u * fabs(n->factor.value);
    n->toward.error = 24 * u * n->toward.value;
    n->w_rate.error = 64 * u * lr;
}

struct oclin_numbers oclin_rule_numbers(const struct oclin_ref_update *update, double u)
{
    const struct oclin_optimizer_options *o = &update->rule;
    struct oclin_steps steps = update->steps;
    struct oclin_numbers n = oclin_rule_start(update);
    oclin_rule_count(&steps, update->lr);
    const double t = (double)steps.steps, weight = steps.largest_lr * steps.largest_lr;
    const struct oclin_rule_step step = {.first = steps.steps == 1,
                                         .bias1 = -expm1(t * log(o->beta1)),
                                         .bias2 = -expm1(t * log(o->beta2)),
                                         .share = weight > 0 ? weight / steps.weight_sum : 0};
    oclin_rule_of(o->rule)->at_step(&n, &step);
    set_errors(&n, u, update->on_device);
    return n;
}

void oclin_rule_update(const struct oclin_rule_row *rule, double u, const struct oclin_numbers *n,
                       struct oclin_rule_element *e)
{
    e->g = times(u, n->factor, e->g);
    if (fabs(e->g.value) > n->clip.value) {
        e->g.value = copysign(n->clip.value, e->g.value);
        e->g.error = larger_error(e->g.error, n->clip.error);
    }
    rule->update(u, n, e);
}

void oclin_numbers_as_floats(const struct oclin_numbers *n, float to[16])
{
#define STORE(name, digit) to[0x##digit] = (float)n->name.value;
    OCLIN_NUMBERS(STORE)
#undef STORE
}

/* --------------------------------------------------------------------------------------------- arguments */

static void argument_numbers(struct oclin_arguments *arguments, const struct oclin_update_of *u, cl_mem any)
{
    float numbers[16];
    oclin_numbers_as_floats(&u->numbers, numbers);
    oclin_argument(arguments, sizeof numbers, numbers);
    oclin_argument(arguments, sizeof any, u->control ? &u->control : &any);
}

void oclin_argument_lr(struct oclin_arguments *arguments, const struct oclin_update_of *u)
{
    const float lr = (float)u->numbers.lr.value;
    oclin_argument(arguments, sizeof lr, &lr);
}

void oclin_argument_update(struct oclin_arguments *arguments, const struct oclin_update_of *u,
                           int with_stride, cl_mem any)
{
    struct oclin_operand state = u->state;
    if (!state.mem) state.mem = any;
    oclin_argument_operand(arguments, &state, with_stride);
    oclin_argument_long(arguments, u->plane);
    argument_numbers(arguments, u, any);
}
