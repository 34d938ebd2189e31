/* Optimizers: what they hold for each parameter, and the numbers of an update. */
#include "optimizer.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/verify.h"
#include "core/context.h"
#include "core/error.h"
#include "ops/product.h"

/* ------------------------------------------------------------------------------------------------ making */

/* A beta is in [0, 1). */
static oclin_status check_beta(oclin_context *ctx, const char *name, double beta, int above_0)
{
    if (beta >= 0 && beta < 1 && (beta > 0 || !above_0)) return OCLIN_OK;
    return oclin_fail(ctx, OCLIN_E_ARG, "%s is %g, a number in %s0, 1) is needed", name, beta,
                      above_0 ? "(" : "[");
}

/* Rules take no notice of numbers that they do not have, but those must be harmless all the same. */
static oclin_status check_not_negative(oclin_context *ctx, const char *name, double value)
{
    if (value >= 0 && isfinite(value)) return OCLIN_OK;
    return oclin_fail(ctx, OCLIN_E_ARG, "%s is %g, a finite number >= 0 is needed", name, value);
}

static oclin_status check_flag(oclin_context *ctx, const char *name, int value)
{
    if (value == 0 || value == 1) return OCLIN_OK;
    return oclin_fail(ctx, OCLIN_E_ARG, "%s is %d, 0 or 1 is needed", name, value);
}

/* Refuses a number that is set for a rule which has no such number. */
static oclin_status check_taken(oclin_context *ctx, const struct oclin_rule_row *row, int takes, int set,
                                const char *name)
{
    if (takes || !set) return OCLIN_OK;
    return oclin_fail(ctx, OCLIN_E_ARG, "%s has no %s", row->name, name);
}

static oclin_status check_options(oclin_context *ctx, const struct oclin_optimizer_options *o)
{
    const struct oclin_rule_row *row = oclin_rule_of(o->rule);
    if (!row) return oclin_fail(ctx, OCLIN_E_ARG, "rule %d is not known", (int)o->rule);
    OCLIN_TRY(check_flag(ctx, "nesterov", o->nesterov));
    OCLIN_TRY(check_flag(ctx, "amsgrad", o->amsgrad));
    OCLIN_TRY(check_flag(ctx, "maximize", o->maximize));
    OCLIN_TRY(check_flag(ctx, "decay_bias", o->decay_bias));
    if (o->reserved) return oclin_fail(ctx, OCLIN_E_ARG, "reserved is %d, 0 is needed", o->reserved);
    OCLIN_TRY(check_taken(ctx, row, row->takes_momentum, o->momentum != 0, "momentum"));
    OCLIN_TRY(check_taken(ctx, row, row->takes_momentum, o->dampening != 0, "dampening"));
    OCLIN_TRY(check_taken(ctx, row, row->takes_momentum, o->nesterov, "nesterov"));
    OCLIN_TRY(check_taken(ctx, row, row->takes_amsgrad, o->amsgrad, "amsgrad"));
    OCLIN_TRY(check_not_negative(ctx, "momentum", o->momentum));
    if (!isfinite(o->dampening)) return oclin_fail(ctx, OCLIN_E_ARG, "dampening is %g", o->dampening);
    if (o->nesterov && (o->momentum == 0 || o->dampening != 0))
        return oclin_fail(ctx, OCLIN_E_ARG, "nesterov needs momentum > 0 and dampening 0, not %g and %g",
                          o->momentum, o->dampening);
    if (row->takes_betas) {
        OCLIN_TRY(check_beta(ctx, "beta1", o->beta1, o->rule == OCLIN_SCHEDULE_FREE));
        OCLIN_TRY(check_beta(ctx, "beta2", o->beta2, 0));
    }
    OCLIN_TRY(check_not_negative(ctx, "eps", o->eps));
    return check_not_negative(ctx, "weight_decay", o->weight_decay);
}

oclin_status oclin_optimizer_create(oclin_optimizer **optimizer, oclin_context *ctx,
                                    const struct oclin_optimizer_options *options)
{
    if (optimizer) *optimizer = NULL;
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!optimizer) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the optimizer is NULL");
    struct oclin_optimizer_options o = OCLIN_SGD_OPTIONS_INIT;
    OCLIN_TRY(oclin_options_read(ctx, &o, sizeof o, options));
    OCLIN_TRY(check_options(ctx, &o));
    oclin_optimizer *made = calloc(1, sizeof *made);
    if (!made) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for an optimizer");
    oclin_context_retain(ctx);
    made->ctx = ctx;
    made->options = o;
    *optimizer = made;
    return OCLIN_OK;
}

static void free_parameter(struct oclin_parameter *p)
{
    if (!p) return;
    oclin_tensor_destroy(p->w);
    oclin_tensor_destroy(p->gradient);
    for (int i = 0; i < OCLIN_MOST_STATES; i++) oclin_tensor_destroy(p->states[i]);
    oclin_tensor_destroy(p->state);
    oclin_tensor_destroy(p->control);
    free(p);
}

void oclin_optimizer_destroy(oclin_optimizer *optimizer)
{
    if (!optimizer) return;
    oclin_optimizer_take_out(optimizer, NULL, NULL);
    oclin_context_destroy(optimizer->ctx);
    free(optimizer);
}

/* --------------------------------------------------------------------------------------------- finding */

struct oclin_member *oclin_optimizer_member(const oclin_optimizer *optimizer, uint64_t layer)
{
    struct oclin_member *m = optimizer->members;
    while (m && m->layer != layer) m = m->next;
    return m;
}

struct oclin_parameter *oclin_optimizer_parameter(const oclin_optimizer *optimizer, const oclin_tensor *w)
{
    struct oclin_parameter *p = optimizer->parameters;
    while (p && !oclin_tensor_same(p->w, w)) p = p->next;
    return p;
}

/* --------------------------------------------------------------------------------------------- adding */

/* Reads the options of a parameter, whose states are named and checked by the caller. */
static oclin_status read_parameter_options(const oclin_optimizer *optimizer,
                                           struct oclin_parameter_options *o,
                                           const struct oclin_parameter_options *from)
{
    oclin_context *ctx = optimizer->ctx;
    OCLIN_TRY(oclin_options_read(ctx, o, sizeof *o, from));
    OCLIN_TRY(check_not_negative(ctx, "lr_factor", o->lr_factor));
    if (!(o->weight_decay < 0)) OCLIN_TRY(check_not_negative(ctx, "weight_decay", o->weight_decay));
    if ((int)o->freeze < OCLIN_FREEZE_NONE || (int)o->freeze > OCLIN_FREEZE_LAYER)
        return oclin_fail(ctx, OCLIN_E_ARG, "freeze %d is not known", (int)o->freeze);
    if (o->reserved) return oclin_fail(ctx, OCLIN_E_ARG, "reserved is %d, 0 is needed", o->reserved);
    return OCLIN_OK;
}

/* Checks that a new parameter, or its state, keeps apart from one that was added before. */
static oclin_status check_beside(const struct oclin_parameter *p, const oclin_tensor *t, const char *name)
{
    oclin_context *ctx = oclin_tensor_context(p->w);
    if (oclin_tensor_overlap(p->w, t))
        return oclin_fail(ctx, OCLIN_E_ARG, "%s shares elements with a parameter that was added before",
                          name);
    if (p->state && oclin_tensor_overlap(p->state, t))
        return oclin_fail(ctx, OCLIN_E_ARG,
                          "%s shares elements with the state of a parameter that was added before", name);
    return OCLIN_OK;
}

/* Checks a parameter that is to be added beside those that the optimizer has, with the state that the caller
 * gives, if any. */
static oclin_status check_parameter(const oclin_optimizer *optimizer, oclin_tensor *w, const char *name,
                                    oclin_tensor *state, const char *state_name)
{
    oclin_context *ctx = optimizer->ctx;
    const int states = oclin_rule_states(&optimizer->options);
    for (const struct oclin_parameter *p = optimizer->parameters; p; p = p->next) {
        OCLIN_TRY(check_beside(p, w, name));
        if (state) OCLIN_TRY(check_beside(p, state, state_name));
    }
    if (state && states == 0)
        return oclin_fail(ctx, OCLIN_E_ARG, "%s is given, but the rule has no state", state_name);
    const struct oclin_use uses[] = {{w, name, OCLIN_F32, w->rows, w->cols, OCLIN_APART},
                                     {state, state_name, OCLIN_F32, states * w->rows, w->cols, OCLIN_WRITES}};
    OCLIN_TRY(oclin_uses_check(ctx, uses, 2));
    if (state && !state->readable)
        return oclin_fail(ctx, OCLIN_E_ARG, "%s lies in a CL_MEM_WRITE_ONLY buffer", state_name);
    return OCLIN_OK;
}

/* Makes the state, or takes the caller's, and a view of each part of it. */
static oclin_status take_state(const oclin_optimizer *optimizer, struct oclin_parameter *p,
                               oclin_tensor *given)
{
    const int states = oclin_rule_states(&optimizer->options);
    if (states == 0) return OCLIN_OK;
    if (given)
        p->state = oclin_tensor_retain(given);
    else
        OCLIN_TRY(oclin_tensor_make(&p->state, optimizer->ctx, OCLIN_F32, states * p->w->rows, p->w->cols));
    if (!oclin_tensor_ever_written(p->state)) OCLIN_TRY(oclin_tensor_clear(p->state));
    for (int i = 0; i < states; i++)
        OCLIN_TRY(oclin_tensor_view_rows(&p->states[i], p->state, i * p->w->rows, p->w->rows));
    return OCLIN_OK;
}

static oclin_status make_parameter(struct oclin_parameter **parameter, const oclin_optimizer *optimizer,
                                   oclin_tensor *w, oclin_tensor *gradient, oclin_tensor *state,
                                   const struct oclin_parameter_options *o, int decays)
{
    struct oclin_parameter *p = *parameter = calloc(1, sizeof *p);
    if (!p) return oclin_fail(optimizer->ctx, OCLIN_E_MEMORY, "no host memory for a parameter");
    p->w = oclin_tensor_retain(w);
    p->gradient = oclin_tensor_retain(gradient);
    p->lr_factor = o->lr_factor;
    p->weight_decay = !decays ? 0 : o->weight_decay < 0 ? optimizer->options.weight_decay : o->weight_decay;
    p->steps = (struct oclin_steps)OCLIN_STEPS_INIT;
    return take_state(optimizer, p, state);
}

static void link_parameter(oclin_optimizer *optimizer, struct oclin_parameter *p)
{
    if (!p) return;
    p->next = optimizer->parameters;
    optimizer->parameters = p;
}

/* Returns the parameter that the layer's w is tied to: that of a layer that was added before. */
static struct oclin_parameter *tie_of(const oclin_optimizer *optimizer, const struct oclin_trainable *l)
{
    return oclin_optimizer_parameter(optimizer, l->w);
}

static oclin_status check_tie(const struct oclin_parameter *tie, const struct oclin_trainable *l,
                              const struct oclin_parameter_options *o)
{
    oclin_context *ctx = l->ctx;
    if (o->w_state || o->lr_factor != 1 || o->weight_decay >= 0)
        return oclin_fail(ctx, OCLIN_E_ARG,
                          "w is tied to that of a layer that was added before: its "
                          "w_state, lr_factor and weight_decay are that layer's");
    if (tie->is_tensor) return oclin_fail(ctx, OCLIN_E_ARG, "w was added before, as a tensor");
    if (!tie->gradient || !l->dw || !oclin_tensor_same(tie->gradient, l->dw))
        return oclin_fail(ctx, OCLIN_E_ARG,
                          "w is tied to that of a layer that was added before, but the two "
                          "do not share dw: create both with the same options.dw");
    return OCLIN_OK;
}

static oclin_status check_layer(const oclin_optimizer *optimizer, const struct oclin_trainable *l,
                                const struct oclin_parameter_options *o)
{
    oclin_context *ctx = optimizer->ctx;
    const struct oclin_parameter *tie = o->freeze == OCLIN_FREEZE_LAYER ? NULL : tie_of(optimizer, l);
    const int learns_b = l->b && o->freeze == OCLIN_FREEZE_NONE;
    if (l->ctx != ctx) return oclin_fail(ctx, OCLIN_E_ARG, "the layer belongs to another context");
    if (oclin_optimizer_member(optimizer, l->id))
        return oclin_fail(ctx, OCLIN_E_ARG, "the layer was added before");
    if ((o->freeze == OCLIN_FREEZE_LAYER && o->w_state) || (!learns_b && o->b_state))
        return oclin_fail(ctx, OCLIN_E_ARG, "a state is given for a parameter that does not learn");
    if (o->freeze == OCLIN_FREEZE_LAYER) return OCLIN_OK;
    OCLIN_TRY(tie ? check_tie(tie, l, o) : check_parameter(optimizer, l->w, "w", o->w_state, "w_state"));
    if (learns_b) OCLIN_TRY(check_parameter(optimizer, l->b, "b", o->b_state, "b_state"));
    const struct oclin_use uses[] = {oclin_use_as_it_is(o->w_state, "w_state", OCLIN_WRITES),
                                     oclin_use_as_it_is(o->b_state, "b_state", OCLIN_WRITES),
                                     oclin_use_as_it_is(l->w, "w", 0),
                                     oclin_use_as_it_is(l->b, "b", 0),
                                     oclin_use_as_it_is(l->dw, "dw", 0),
                                     oclin_use_as_it_is(l->db, "db", 0)};
    return oclin_uses_check(ctx, uses, 6);
}

/* Makes the parameters of a layer that learns. */
static oclin_status make_parameters(const oclin_optimizer *optimizer, const struct oclin_trainable *l,
                                    const struct oclin_parameter_options *o, struct oclin_parameter **w,
                                    struct oclin_parameter **b)
{
    if (o->freeze == OCLIN_FREEZE_LAYER) return OCLIN_OK;
    if (!tie_of(optimizer, l)) OCLIN_TRY(make_parameter(w, optimizer, l->w, l->dw, o->w_state, o, 1));
    if (!l->b || o->freeze == OCLIN_FREEZE_BIAS) return OCLIN_OK;
    return make_parameter(b, optimizer, l->b, NULL, o->b_state, o, optimizer->options.decay_bias);
}

oclin_status oclin_optimizer_add_layer(oclin_optimizer *optimizer, const struct oclin_trainable *l,
                                       const struct oclin_parameter_options *options)
{
    oclin_context *ctx = optimizer->ctx;
    struct oclin_parameter_options o = OCLIN_PARAMETER_OPTIONS_INIT;
    OCLIN_TRY(read_parameter_options(optimizer, &o, options));
    OCLIN_TRY(check_layer(optimizer, l, &o));
    struct oclin_parameter *tie = o.freeze == OCLIN_FREEZE_LAYER ? NULL : tie_of(optimizer, l), *w = NULL,
                           *b = NULL;
    struct oclin_member *m = calloc(1, sizeof *m);
    if (!m) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a layer of an optimizer");
    const oclin_status status = make_parameters(optimizer, l, &o, &w, &b);
    if (status != OCLIN_OK) {
        free_parameter(w);
        free_parameter(b);
        free(m);
        return status;
    }
    if (tie) tie->tied = 1;
    *m = (struct oclin_member){.next = optimizer->members,
                               .layer = l->id,
                               .w = tie ? tie : w,
                               .b = b,
                               .leads = !tie,
                               .freeze = o.freeze};
    optimizer->members = m;
    link_parameter(optimizer, w);
    link_parameter(optimizer, b);
    return OCLIN_OK;
}

void oclin_optimizer_take_out(oclin_optimizer *optimizer, const struct oclin_member *members,
                              const struct oclin_parameter *parameters)
{
    while (optimizer->members != members) {
        struct oclin_member *m = optimizer->members;
        optimizer->members = m->next;
        free(m);
    }
    while (optimizer->parameters != parameters) {
        struct oclin_parameter *p = optimizer->parameters;
        optimizer->parameters = p->next;
        free_parameter(p);
    }
    for (struct oclin_parameter *p = optimizer->parameters; p; p = p->next) p->tied = 0;
    for (const struct oclin_member *m = optimizer->members; m; m = m->next)
        if (m->w && !m->leads) m->w->tied = 1;
}

oclin_status oclin_optimizer_add_tensor(oclin_optimizer *optimizer, oclin_tensor *w, oclin_tensor *gradient,
                                        const struct oclin_parameter_options *options)
{
    if (!optimizer) return OCLIN_E_ARG;
    oclin_context *ctx = optimizer->ctx;
    OCLIN_TRY(oclin_enter(ctx));
    if (!w || !gradient) return oclin_fail(ctx, OCLIN_E_ARG, "%s is NULL", w ? "gradient" : "w");
    struct oclin_parameter_options o = OCLIN_PARAMETER_OPTIONS_INIT;
    OCLIN_TRY(read_parameter_options(optimizer, &o, options));
    if (o.freeze != OCLIN_FREEZE_NONE || o.b_state)
        return oclin_fail(ctx, OCLIN_E_ARG, "a tensor has no bias and is not frozen: do not update it");
    const struct oclin_use uses[] = {{w, "w", OCLIN_F32, w->rows, w->cols, OCLIN_WRITES},
                                     {gradient, "gradient", OCLIN_F32, w->rows, w->cols, 0},
                                     oclin_use_as_it_is(o.w_state, "w_state", OCLIN_WRITES)};
    OCLIN_TRY(oclin_uses_check(ctx, uses, 3));
    OCLIN_TRY(check_parameter(optimizer, w, "w", o.w_state, "w_state"));
    struct oclin_parameter *p = NULL;
    const oclin_status status = make_parameter(&p, optimizer, w, gradient, o.w_state, &o, 1);
    if (status != OCLIN_OK) {
        free_parameter(p);
        return status;
    }
    p->is_tensor = 1;
    link_parameter(optimizer, p);
    return OCLIN_OK;
}

/* ---------------------------------------------------------------------------------------- state, counts */

oclin_tensor *oclin_optimizer_state(oclin_optimizer *optimizer, const oclin_tensor *parameter,
                                    const char *name)
{
    if (!optimizer || !parameter || !name) return NULL;
    const struct oclin_parameter *p = oclin_optimizer_parameter(optimizer, parameter);
    for (int i = 0; p && i < OCLIN_MOST_STATES; i++) {
        const char *of = oclin_rule_state(&optimizer->options, i);
        if (of && strcmp(of, name) == 0) return p->states[i];
    }
    return NULL;
}

/* Read the counts: those on the device; those that are true, wherever they are; and so that the host knows
 * them again. */
static oclin_status read_control(const struct oclin_parameter *p, struct oclin_steps *to)
{
    float control[OCLIN_CONTROL_FLOATS];
    int32_t steps;
    OCLIN_TRY(oclin_tensor_read_inside(p->control, control));
    memcpy(&steps, control + OCLIN_CONTROL_STEPS, sizeof steps);
    to->steps = steps;
    to->largest_lr = (double)control[OCLIN_CONTROL_LARGEST];
    to->weight_sum = (double)control[OCLIN_CONTROL_SUM] + (double)control[OCLIN_CONTROL_SUM + 1];
    return OCLIN_OK;
}

static oclin_status read_counts(const struct oclin_parameter *p, struct oclin_steps *to)
{
    *to = p->steps;
    if (!p->on_device) return OCLIN_OK;
    if (p->control->unspecified)
        return oclin_fail(
            oclin_tensor_context(p->w), OCLIN_E_STATE,
            "the count is unspecified after a call that failed; call oclin_optimizer_set_steps");
    return read_control(p, to);
}

static oclin_status fetch_counts(struct oclin_parameter *p)
{
    OCLIN_TRY(read_counts(p, &p->steps));
    p->on_device = 0;
    return OCLIN_OK;
}

/* Begins a call about the counts of a parameter. */
static oclin_status enter_counts(oclin_optimizer *optimizer, const oclin_tensor *parameter, const void *steps,
                                 struct oclin_parameter **found)
{
    if (!optimizer) return OCLIN_E_ARG;
    oclin_context *ctx = optimizer->ctx;
    OCLIN_TRY(oclin_enter(ctx));
    if (!parameter || !steps)
        return oclin_fail(ctx, OCLIN_E_ARG, "%s is NULL", parameter ? "steps" : "parameter");
    *found = oclin_optimizer_parameter(optimizer, parameter);
    return *found ? OCLIN_OK : oclin_fail(ctx, OCLIN_E_ARG, "the parameter was not added");
}

oclin_status oclin_optimizer_steps(oclin_optimizer *optimizer, const oclin_tensor *parameter,
                                   struct oclin_steps *steps)
{
    struct oclin_parameter *p;
    struct oclin_steps known = OCLIN_STEPS_INIT;
    OCLIN_TRY(enter_counts(optimizer, parameter, steps, &p));
    OCLIN_TRY(oclin_options_read(optimizer->ctx, &known, sizeof known, steps)); /* for its size */
    OCLIN_TRY(fetch_counts(p));
    const size_t size = steps->size < sizeof known ? steps->size : sizeof known;
    known = p->steps;
    known.size = steps->size;
    memcpy(steps, &known, size);
    return OCLIN_OK;
}

oclin_status oclin_optimizer_set_steps(oclin_optimizer *optimizer, const oclin_tensor *parameter,
                                       const struct oclin_steps *steps)
{
    struct oclin_parameter *p;
    struct oclin_steps s = OCLIN_STEPS_INIT;
    OCLIN_TRY(enter_counts(optimizer, parameter, steps, &p));
    oclin_context *ctx = optimizer->ctx;
    OCLIN_TRY(oclin_options_read(ctx, &s, sizeof s, steps));
    if (s.steps < 0)
        return oclin_fail(ctx, OCLIN_E_ARG, "steps is %lld, a number >= 0 is needed", (long long)s.steps);
    OCLIN_TRY(check_not_negative(ctx, "largest_lr", s.largest_lr));
    OCLIN_TRY(check_not_negative(ctx, "weight_sum", s.weight_sum));
    p->steps = s;
    p->on_device = 0;
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------- eval and train */

/* A parameter that was never updated has no z yet, and one without elements nothing to move. */
static int moves(const struct oclin_parameter *p)
{
    return p->steps.steps > 0 && p->w->rows > 0;
}

/* Prepares the move of a parameter's w toward z, if it moves. */
static oclin_status prepare_move(const oclin_optimizer *optimizer, struct oclin_parameter *p, double toward,
                                 struct oclin_step *move)
{
    OCLIN_TRY(fetch_counts(p));
    *move = (struct oclin_step){.w = p->w, .dw = p->states[0], .fragment = oclin_toward};
    move->update.numbers = oclin_plain_numbers(0);
    move->update.numbers.toward.value = toward;
    if (!moves(p)) return OCLIN_OK;
    const struct oclin_use uses[] = {oclin_use_as_it_is(p->w, "w", OCLIN_ADDS),
                                     oclin_use_as_it_is(p->states[0], "z", OCLIN_READS)};
    OCLIN_TRY(oclin_uses_check(optimizer->ctx, uses, 2));
    OCLIN_TRY(oclin_step_prepare(optimizer->ctx, move));
    return oclin_uses_settle(uses, 2);
}

static oclin_status first_of(oclin_status a, oclin_status b)
{
    return a != OCLIN_OK ? a : b;
}

static oclin_status verify_move(struct oclin_parameter *p, const struct oclin_toward_check *check)
{
    oclin_tensor_written(p->w, OCLIN_OK);
    return oclin_verify_toward(check);
}

/* Moves every parameter; all are checked before one is moved. If one cannot be, all are lost: a caller who
 * tries again would move those before it once more. */
static oclin_status move_all(oclin_optimizer *optimizer, double toward)
{
    struct oclin_step move;
    const int verify = optimizer->ctx->verify;
    oclin_status status = OCLIN_OK, wrong = OCLIN_OK;
    struct oclin_parameter *p;
    for (p = optimizer->parameters; p; p = p->next) OCLIN_TRY(prepare_move(optimizer, p, toward, &move));
    for (p = optimizer->parameters; p && status == OCLIN_OK; p = p->next) {
        if (!moves(p)) continue;
        struct oclin_toward_check check = {
            .operation = toward < 0 ? "eval" : "train", .w = p->w, .g = p->states[0], .toward = toward};
        status = prepare_move(optimizer, p, toward, &move);
        if (status == OCLIN_OK && verify) status = oclin_verify_toward_before(&check);
        if (status == OCLIN_OK) status = oclin_step_enqueue(optimizer->ctx, &move);
        if (status == OCLIN_OK && verify) wrong = first_of(wrong, verify_move(p, &check));
    }
    for (p = optimizer->parameters; p; p = p->next)
        if (moves(p)) oclin_tensor_written(p->w, status);
    return first_of(status, wrong);
}

static oclin_status switch_to(oclin_optimizer *optimizer, int evaluates)
{
    if (!optimizer) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(optimizer->ctx));
    const struct oclin_optimizer_options *o = &optimizer->options;
    if (o->rule != OCLIN_SCHEDULE_FREE || optimizer->evaluates == evaluates) return OCLIN_OK;
    const oclin_status status = move_all(optimizer, evaluates ? 1 - 1 / o->beta1 : 1 - o->beta1);
    if (status == OCLIN_OK || status == OCLIN_E_VERIFY) optimizer->evaluates = evaluates;
    return status;
}

oclin_status oclin_optimizer_eval(oclin_optimizer *optimizer)
{
    return switch_to(optimizer, 1);
}

oclin_status oclin_optimizer_train(oclin_optimizer *optimizer)
{
    return switch_to(optimizer, 0);
}

/* --------------------------------------------------------------------------------------------- updates */

oclin_status oclin_update_read(struct oclin_update_call *call, oclin_optimizer *optimizer,
                               const struct oclin_update *update)
{
    oclin_context *ctx = optimizer->ctx;
    struct oclin_update *u = &call->update;
    memset(call, 0, sizeof *call);
    call->optimizer = optimizer;
    if (!update) return oclin_fail(ctx, OCLIN_E_ARG, "update is NULL");
    *u = (struct oclin_update)OCLIN_UPDATE_INIT(0);
    OCLIN_TRY(oclin_options_read(ctx, u, sizeof *u, update));
    OCLIN_TRY(check_not_negative(ctx, "lr", u->lr));
    if (u->grad_scale == 0 || !isfinite(u->grad_scale))
        return oclin_fail(ctx, OCLIN_E_ARG, "grad_scale is %g, a finite number that is not 0 is needed",
                          u->grad_scale);
    OCLIN_TRY(check_not_negative(ctx, "clip_value", u->clip_value));
    const struct oclin_use scalars[] = {{u->factor, "factor", OCLIN_F32, 1, 1, OCLIN_READS},
                                        {u->skip, "skip", OCLIN_I32, 1, 1, OCLIN_READS}};
    OCLIN_TRY(oclin_uses_check(ctx, scalars, 2));
    if (optimizer->evaluates)
        return oclin_fail(ctx, OCLIN_E_STATE,
                          "the optimizer is switched to eval; call oclin_optimizer_train first");
    return OCLIN_OK;
}

/* Returns the states in one. After a failure a caller writes them one by one, by their names: when each was
 * written, so was the whole. */
static oclin_tensor *whole_state(const struct oclin_parameter *p)
{
    int lost = 0;
    if (!p || !p->state) return NULL;
    for (int i = 0; i < OCLIN_MOST_STATES; i++) lost |= p->states[i] && p->states[i]->unspecified;
    if (!lost) p->state->unspecified = 0;
    return p->state;
}

/* A count that the host knows is only written. */
static struct oclin_use use_of_count(const struct oclin_update_call *call, const struct oclin_parameter *p,
                                     const char *name)
{
    oclin_tensor *control = p && (call->numbers || p->on_device) ? p->control : NULL;
    return oclin_use_as_it_is(control, name, p && p->on_device ? OCLIN_ADDS : OCLIN_WRITES);
}

void oclin_update_uses(const struct oclin_update_call *call, struct oclin_use uses[OCLIN_UPDATE_USES])
{
    const struct oclin_parameter *w = call->parameters[0], *b = call->parameters[1];
    uses[0] = oclin_use_as_it_is(whole_state(w), "the state of w", OCLIN_ADDS);
    uses[1] = oclin_use_as_it_is(whole_state(b), "the state of b", OCLIN_ADDS);
    uses[2] = (struct oclin_use){call->update.factor, "factor", OCLIN_F32, 1, 1, OCLIN_READS};
    uses[3] = (struct oclin_use){call->update.skip, "skip", OCLIN_I32, 1, 1, OCLIN_READS};
    uses[4] = use_of_count(call, w, "the count of w (oclin_optimizer_set_steps)");
    uses[5] = use_of_count(call, b, "the count of b (oclin_optimizer_set_steps)");
}

/* Returns 1 if the numbers must be worked out on the device. */
static int needs_device(const struct oclin_update_call *call)
{
    const struct oclin_parameter *const *p = (const struct oclin_parameter *const *)call->parameters;
    return call->update.factor || call->update.skip || (p[0] && p[0]->on_device) || (p[1] && p[1]->on_device);
}

static oclin_status prepare_numbers_kernel(struct oclin_update_call *call, oclin_context *ctx)
{
    struct oclin_kernel_request request = {.id = OCLIN_KERNEL_NUMBERS,
                                           .tile = oclin_plain_tile(&ctx->device, 1),
                                           .rule = call->updates.fragment};
    for (int i = 0; i < 2; i++) {
        struct oclin_parameter *p = call->parameters[i];
        if (p && !p->control)
            OCLIN_TRY(oclin_tensor_make(&p->control, ctx, OCLIN_F32, 1, OCLIN_CONTROL_FLOATS));
    }
    OCLIN_TRY(oclin_program_kernel(ctx, &request, &call->numbers));
    return call->numbers ? OCLIN_OK
                         : oclin_fail(ctx, OCLIN_E_DEVICE, "the kernel of an update's numbers does not fit");
}

/* The scalars on the device are looked at only to verify. */
static oclin_status look_at_scalars(struct oclin_update_call *call)
{
    call->factor = 1;
    call->skipped = 0;
    if (!call->optimizer->ctx->verify) return OCLIN_OK;
    if (call->update.factor) OCLIN_TRY(oclin_verify_look(call->update.factor, &call->factor));
    return call->update.skip ? oclin_verify_look(call->update.skip, &call->skipped) : OCLIN_OK;
}

/* Says what the update of a parameter should do. */
static oclin_status describe(const struct oclin_update_call *call, struct oclin_parameter *p,
                             struct oclin_ref_update *reference)
{
    const struct oclin_update *u = &call->update;
    struct oclin_steps steps = p->steps;
    if (call->optimizer->ctx->verify) OCLIN_TRY(read_counts(p, &steps));
    *reference = (struct oclin_ref_update){.size = sizeof *reference,
                                           .rule = call->optimizer->options,
                                           .steps = steps,
                                           .lr = u->lr * p->lr_factor,
                                           .weight_decay = p->weight_decay,
                                           .factor = u->grad_scale * (double)call->factor,
                                           .clip_value = u->clip_value,
                                           .on_device = call->numbers != NULL};
    return OCLIN_OK;
}

static void set_update(const struct oclin_update_call *call, const struct oclin_parameter *p,
                       const struct oclin_ref_update *reference, struct oclin_update_of *of)
{
    if (p->state) {
        of->state = oclin_operand_of(p->state);
        of->plane = p->w->rows * p->state->stride;
    }
    if (call->numbers) {
        struct oclin_ref_update start = *reference;
        start.factor = call->update.grad_scale; /* the kernel multiplies it by the device's */
        of->control = p->control->mem;
        of->numbers = oclin_rule_start(&start);
    } else
        of->numbers = oclin_rule_numbers(reference, 0);
}

oclin_status oclin_update_prepare(struct oclin_update_call *call)
{
    oclin_context *ctx = call->optimizer->ctx;
    struct oclin_update_of *of[] = {&call->updates.w, &call->updates.b};
    const struct oclin_update *u = &call->update;
    int lr_alone = u->grad_scale == 1 && u->clip_value == 0 && !needs_device(call);
    for (int i = 0; i < 2; i++) lr_alone &= !call->parameters[i] || call->parameters[i]->weight_decay == 0;
    call->updates.fragment = oclin_rule_fragment(&call->optimizer->options, lr_alone);
    if (needs_device(call)) OCLIN_TRY(prepare_numbers_kernel(call, ctx));
    OCLIN_TRY(look_at_scalars(call));
    for (int i = 0; i < 2; i++) {
        if (!call->parameters[i]) continue;
        OCLIN_TRY(describe(call, call->parameters[i], &call->reference[i]));
        set_update(call, call->parameters[i], &call->reference[i], of[i]);
    }
    /* kernels read b's numbers even if they do not update b */
    if (!call->parameters[1]) call->updates.b.control = call->updates.w.control;
    return OCLIN_OK;
}

/* log beta as the sum of two floats. */
static void split_log(double beta, float to[2])
{
    const double value = log(beta);
    to[0] = (float)value;
    to[1] = isfinite(value) ? (float)(value - (double)to[0]) : 0;
}

static void argument_float(struct oclin_arguments *arguments, double value)
{
    const float number = (float)value;
    oclin_argument(arguments, sizeof number, &number);
}

static oclin_status enqueue_numbers(const struct oclin_update_call *call, struct oclin_parameter *p,
                                    const struct oclin_update_of *of)
{
    const struct oclin_optimizer_options *o = &call->optimizer->options;
    const struct oclin_operand control = oclin_operand_of(p->control),
                               factor = oclin_operand_of(call->update.factor),
                               skip = oclin_operand_of(call->update.skip);
    struct oclin_arguments arguments = {call->numbers, 0, CL_SUCCESS};
    float numbers[16], logs[4];
    oclin_numbers_as_floats(&of->numbers, numbers);
    split_log(o->beta1, logs);
    split_log(o->beta2, logs + 2);
    oclin_argument(&arguments, sizeof control.mem, &control.mem);
    oclin_argument(&arguments, sizeof numbers, numbers);
    oclin_argument_operand(&arguments, factor.mem ? &factor : &control, 0);
    oclin_argument_operand(&arguments, skip.mem ? &skip : &control, 0);
    oclin_argument(&arguments, sizeof logs, logs);
    oclin_argument_int(&arguments, p->on_device ? -1 : (int)oclin_least(p->steps.steps, INT_MAX));
    const float sum = (float)p->steps.weight_sum;
    argument_float(&arguments, p->steps.largest_lr);
    argument_float(&arguments, p->steps.weight_sum);
    argument_float(&arguments, p->steps.weight_sum - (double)sum);
    oclin_argument_int(&arguments, (factor.mem ? OCLIN_FLAG_FACTOR : 0) | (skip.mem ? OCLIN_FLAG_SKIP : 0));
    return oclin_enqueue(call->optimizer->ctx, &arguments, 1, 1,
                         "clEnqueueNDRangeKernel for the numbers of an update");
}

oclin_status oclin_update_enqueue(const struct oclin_update_call *call)
{
    const struct oclin_update_of *of[] = {&call->updates.w, &call->updates.b};
    for (int i = 0; call->numbers && i < 2; i++)
        if (call->parameters[i]) OCLIN_TRY(enqueue_numbers(call, call->parameters[i], of[i]));
    return OCLIN_OK;
}

/* Tells whether a sum of floats may be this one of doubles. */
static int is_near(double got, double want)
{
    return fabs(got - want) <= 0x1p-20 * want + 0x1p-126;
}

/* Compares the counts that the device has made with the host's, which are floats there. */
static oclin_status check_counts(const struct oclin_update_call *call, const struct oclin_parameter *p,
                                 const struct oclin_ref_update *reference)
{
    struct oclin_steps want = reference->steps, got;
    OCLIN_TRY(read_control(p, &got));
    if (!call->skipped) oclin_rule_count(&want, reference->lr);
    if (got.steps == want.steps && is_near(got.largest_lr, want.largest_lr) &&
        is_near(got.weight_sum, want.weight_sum))
        return OCLIN_OK;
    return oclin_fail(
        call->optimizer->ctx, OCLIN_E_VERIFY,
        "update: the device has counted %lld steps, the largest rate %g and the sum of weights %g, "
        "the reference says %lld, %g and %g",
        (long long)got.steps, got.largest_lr, got.weight_sum, (long long)want.steps, want.largest_lr,
        want.weight_sum);
}

oclin_status oclin_update_verify(const struct oclin_update_call *call)
{
    for (int i = 0; call->numbers && i < 2; i++)
        if (call->parameters[i]) OCLIN_TRY(check_counts(call, call->parameters[i], &call->reference[i]));
    return OCLIN_OK;
}

void oclin_update_count(const struct oclin_update_call *call)
{
    for (int i = 0; i < 2; i++) {
        struct oclin_parameter *p = call->parameters[i];
        if (!p) continue;
        if (call->numbers)
            p->on_device = 1;
        else
            oclin_rule_count(&p->steps, call->reference[i].lr);
    }
}
