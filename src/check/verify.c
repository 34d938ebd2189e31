/*
 * Serves OCLIN_VERIFY and oclin_self_check. After an operation the operands are read back, the reference
 * computes the operation again, and every element must be within its bound. The data of a program are
 * arbitrary, so its bounds are the proven ones, for as many roundings as the kernels that ran really do.
 */
#include "check/verify.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/context.h"
#include "core/error.h"
#include "ops/bounds.h"
#include "tensor/element.h"

/* ------------------------------------------------------------------------------------------ host memory */

static oclin_status no_memory(oclin_context *ctx)
{
    return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory to verify an operation");
}

/* One block serves a whole check and is kept for the next operation. The worst case per element, for a y
 * that is added to, is three copies as float and three expectations of two doubles each. */
enum { ROOM_OF_ELEMENT = 64, ROOM_BESIDES = 4096, ROOM_ALIGNMENT = 16 };

struct room {
    unsigned char *bytes;
    size_t size, used;
};

static void free_room(void *data)
{
    struct room *room = data;
    if (room) free(room->bytes);
    free(room);
}

static struct room *room_of(oclin_context *ctx)
{
    if (!ctx->verify_room.data)
        ctx->verify_room = (struct oclin_slot){calloc(1, sizeof(struct room)), free_room};
    return ctx->verify_room.data;
}

static oclin_status make_room(oclin_context *ctx, int64_t elements)
{
    const int64_t bytes = oclin_multiply(elements, ROOM_OF_ELEMENT);
    struct room *room = room_of(ctx);
    if (!room || bytes < 0 || (uint64_t)bytes > SIZE_MAX - ROOM_BESIDES) return no_memory(ctx);
    room->used = 0;
    if (room->size >= (size_t)bytes + ROOM_BESIDES) return OCLIN_OK;
    free(room->bytes);
    room->size = 0;
    room->bytes = malloc((size_t)bytes + ROOM_BESIDES);
    if (!room->bytes) return no_memory(ctx);
    room->size = (size_t)bytes + ROOM_BESIDES;
    return OCLIN_OK;
}

/* Takes a piece of the block; returns NULL if make_room() was asked for too little. */
static void *take(oclin_context *ctx, int64_t count, size_t size)
{
    struct room *room = ctx->verify_room.data;
    const size_t bytes = ((size_t)count * size / ROOM_ALIGNMENT + 1) * ROOM_ALIGNMENT;
    if (bytes > room->size - room->used) return NULL;
    void *piece = room->bytes + room->used;
    room->used += bytes;
    return piece;
}

static int64_t elements_of(const oclin_tensor *t)
{
    return t ? t->rows * t->cols : 0;
}

oclin_status oclin_verify_room(const struct oclin_linear *l, int64_t rows)
{
    int64_t states = 0;
    for (int i = 0; i < OCLIN_MOST_STATES; i++)
        states += elements_of(l->w_states[i]) + elements_of(l->b_states[i]);
    return make_room(l->ctx, rows * (l->in + l->out) + l->out * (l->in + 1) + states);
}

/* Reads a buffer that the host may not read, by copying it to one that the host may read. */
static oclin_status read_hidden(oclin_tensor *t, void *host)
{
    oclin_context *ctx = oclin_tensor_context(t);
    oclin_tensor *open;
    if (t->rows == 0) return OCLIN_OK;
    OCLIN_TRY(oclin_tensor_settle(t));
    const oclin_status made = oclin_tensor_make(&open, ctx, t->dtype, t->rows, t->cols);
    /* The operation may have run, so OCLIN_E_MEMORY is wrong: it promises that nothing has changed. */
    if (made == OCLIN_E_MEMORY)
        return oclin_fail_run(ctx, CL_MEM_OBJECT_ALLOCATION_FAILURE, "a buffer to verify through");
    OCLIN_TRY(made);
    const size_t bytes = (size_t)oclin_element_bytes(t->dtype);
    const size_t from[3] = {(size_t)t->offset * bytes, 0, 0}, to[3] = {0, 0, 0};
    const size_t row = (size_t)t->cols * bytes, region[3] = {row, (size_t)t->rows, 1};
    const size_t pitch = t->rows > 1 ? (size_t)t->stride * bytes : row;
    const cl_int error = clEnqueueCopyBufferRect(ctx->queue, t->mem, open->mem, from, to, region, pitch, 0,
                                                 row, 0, 0, NULL, NULL);
    if (!error) oclin_tensor_written(open, OCLIN_OK);
    const oclin_status status = error ? oclin_fail_run(ctx, error, "clEnqueueCopyBufferRect to verify")
                                      : oclin_tensor_read_inside(open, host);
    oclin_tensor_destroy(open);
    return status;
}

/* Lets the host look into buffers of every kind, even those that kernels may only write and those that the
 * host may not read. */
oclin_status oclin_verify_look(oclin_tensor *t, void *host)
{
    if (!t->host_readable) return read_hidden(t, host);
    const int readable = t->readable;
    t->readable = 1;
    const oclin_status status = oclin_tensor_read_inside(t, host);
    t->readable = readable;
    return status;
}

/* Makes a dense host copy, whatever the type of the elements; *copy is NULL for a NULL tensor. */
static oclin_status raw_copy_of(oclin_tensor *t, void **copy)
{
    *copy = NULL;
    if (!t) return OCLIN_OK;
    *copy = take(oclin_tensor_context(t), t->rows * t->cols, (size_t)oclin_element_bytes(t->dtype));
    if (!*copy) return no_memory(oclin_tensor_context(t));
    return oclin_verify_look(t, *copy);
}

static oclin_status copy_of(oclin_tensor *t, float **copy)
{
    void *raw;
    const oclin_status status = raw_copy_of(t, &raw);
    *copy = raw;
    return status;
}

/* Returns the place in memory of element i, row by row, of a matrix whose transpose is stored, with so many
 * columns; in_row 0: of one that is stored as it is. in_row is the length of the matrix's own rows. */
static int64_t place_of(int64_t i, int64_t in_row, int64_t stored_cols)
{
    return in_row ? i % in_row * stored_cols + i / in_row : i;
}

/* Returns the length of a row of W and dW where their transposes are stored; else 0. */
static int64_t transposed_row(const struct oclin_linear *l)
{
    return l->transposed ? l->in : 0;
}

/* Makes a host copy of w or dw as (out, in), as the reference has it, however it is stored. */
static oclin_status stored_weights(const struct oclin_linear *l, oclin_tensor *t, float **copy)
{
    float *stored;
    OCLIN_TRY(copy_of(t, copy));
    if (!l->transposed || !t) return OCLIN_OK;
    stored = *copy;
    *copy = take(l->ctx, t->rows * t->cols, sizeof **copy);
    if (!*copy) return no_memory(l->ctx);
    for (int64_t i = 0; i < t->rows * t->cols; i++) (*copy)[i] = stored[place_of(i, l->in, t->cols)];
    return OCLIN_OK;
}

/* Makes a host copy of the states of w, or of b, one behind the other. */
static oclin_status states_of(const struct oclin_linear *l, oclin_tensor *const *states, float **copy)
{
    const int64_t n = elements_of(states[0]);
    int count = 0;
    while (count < OCLIN_MOST_STATES && states[count]) count++;
    *copy = take(l->ctx, count * n, sizeof **copy);
    if (!*copy) return no_memory(l->ctx);
    for (int i = 0; i < count; i++) {
        float *state;
        OCLIN_TRY(states == l->w_states ? stored_weights(l, states[i], &state) : copy_of(states[i], &state));
        memcpy(*copy + i * n, state, (size_t)n * sizeof *state);
    }
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------------- comparing */

double oclin_error_in_bounds(float got, double want, double bound)
{
    const float rounded = (float)want;
    if (isnan(rounded)) return isnan(got) ? 0.0 : INFINITY;
    if (isnan(bound) || (isfinite(want) && !isfinite(bound))) return 0.0;
    if (isinf(rounded)) return got == rounded ? 0.0 : INFINITY;
    if (got == rounded) return 0.0;
    return isfinite(got) ? fabs((double)got - want) / bound : INFINITY;
}

struct expectation {
    const char *operation, *name;
    /* elements to compare, from the tensor's first on; the tensor may have room for more */
    int64_t n;
    int64_t transposed_row; /* 0, or the length of a row where the tensor is the transpose; see place_of() */
    double *want, *bound;
};

/* Writes a value for the sentence: NaN has one spelling and no sign, whatever the C library prints. */
static const char *text_of(double value, char text[32])
{
    snprintf(text, 32, "%.9g", value);
    return isnan(value) ? "NaN" : text;
}

static oclin_status wrong(oclin_context *ctx, const struct expectation *e, int64_t row, int64_t col,
                          double got, int64_t i)
{
    char got_text[32], want_text[32];
    return oclin_fail(ctx, OCLIN_E_VERIFY, "%s: %s[%lld, %lld] is %s, the reference says %s within %.3g",
                      e->operation, e->name, (long long)row, (long long)col, text_of(got, got_text),
                      text_of(e->want[i], want_text), e->bound[i]);
}

static oclin_status compare(oclin_tensor *t, const struct expectation *e)
{
    oclin_context *ctx = oclin_tensor_context(t);
    float *got;
    oclin_status status = copy_of(t, &got);
    for (int64_t i = 0; i < e->n && status == OCLIN_OK; i++) {
        const int64_t at = place_of(i, e->transposed_row, t->cols);
        const double error = oclin_error_in_bounds(got[at], e->want[i], e->bound[i]);
        if (error > ctx->verify_worst) ctx->verify_worst = error;
        if (error > 1.0) status = wrong(ctx, e, at / t->cols, at % t->cols, (double)got[at], i);
    }
    return status;
}

static oclin_status expect(oclin_context *ctx, struct expectation *e, const char *operation, const char *name,
                           int64_t n)
{
    e->operation = operation;
    e->name = name;
    e->n = n;
    e->transposed_row = 0;
    e->want = take(ctx, n, sizeof(double));
    e->bound = take(ctx, n, sizeof(double));
    return e->want && e->bound ? OCLIN_OK : no_memory(ctx);
}

static struct oclin_ref_case case_on(const oclin_context *ctx, int64_t batch, int64_t in, int64_t out)
{
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(batch, in, out);
    c.rule = ctx->verify_rule;
    c.no_denormals = !ctx->device.denormals;
    c.truncates = ctx->device.truncates;
    return c;
}

static struct oclin_ref_case case_of(const struct oclin_linear *l, int64_t batch, int64_t additions)
{
    struct oclin_ref_case c = case_on(l->ctx, batch, l->in, l->out);
    c.activation = l->activation;
    c.alpha = l->alpha;
    c.gradient = l->gradient;
    c.additions = additions;
    return c;
}

/* --------------------------------------------------------------------------------------------- forward */

oclin_status oclin_verify_before_forward(const struct oclin_linear *l, int64_t rows, oclin_tensor *y,
                                         struct oclin_before *before)
{
    memset(before, 0, sizeof *before);
    OCLIN_TRY(oclin_verify_room(l, rows));
    return copy_of(y, &before->sum);
}

/* Checks a result (e holds it) that was either stored or added to what was there. */
static oclin_status check_sum(const struct oclin_ref_case *c, oclin_tensor *t, struct expectation *e,
                              const float *before)
{
    struct expectation after;
    if (!before) return compare(t, e);
    OCLIN_TRY(expect(oclin_tensor_context(t), &after, e->operation, e->name, e->n));
    oclin_ref_accumulate(c, e->n, before, e->want, e->bound, after.want, after.bound);
    return compare(t, &after);
}

oclin_status oclin_verify_forward(const struct oclin_linear *l, oclin_tensor *x, oclin_tensor *y,
                                  oclin_tensor *kept, int kept_is_z, const struct oclin_before *before,
                                  const struct oclin_roundings *roundings)
{
    const struct oclin_ref_case c = case_of(l, x->rows, roundings->y);
    const int64_t n = x->rows * l->out;
    struct expectation want_y, want_z;
    float *host_x, *host_w, *host_b;
    OCLIN_TRY(expect(l->ctx, &want_y, "forward", "y", n));
    OCLIN_TRY(expect(l->ctx, &want_z, "forward", "z", n));
    OCLIN_TRY(copy_of(x, &host_x));
    OCLIN_TRY(stored_weights(l, l->w, &host_w));
    OCLIN_TRY(copy_of(l->b, &host_b));
    oclin_ref_forward(&c, host_x, host_w, host_b, want_z.want, want_z.bound, want_y.want, want_y.bound);
    OCLIN_TRY(check_sum(&c, y, &want_y, before->sum));
    return kept ? compare(kept, kept_is_z ? &want_z : &want_y) : OCLIN_OK;
}

/* ----------------------------------------------------------------------------------------- backward, step */

oclin_status oclin_verify_before(const struct oclin_linear *l, int64_t rows, oclin_tensor *dx,
                                 struct oclin_before *before)
{
    OCLIN_TRY(oclin_verify_before_forward(l, rows, dx, before));
    OCLIN_TRY(stored_weights(l, l->w, &before->w));
    OCLIN_TRY(copy_of(l->b, &before->b));
    OCLIN_TRY(states_of(l, l->w_states, &before->w_states));
    OCLIN_TRY(states_of(l, l->b_states, &before->b_states));
    if (l->dw && !l->dw->cleared) OCLIN_TRY(stored_weights(l, l->dw, &before->dw));
    if (l->db && !l->db->cleared) OCLIN_TRY(copy_of(l->db, &before->db));
    return OCLIN_OK;
}

/* The operands of one backward call on the host. */
struct backward_data {
    int64_t batch;
    const struct oclin_roundings *roundings;
    float *x, *dy, *s;
};

static oclin_status check_dx(const struct oclin_backward_check *call, const struct backward_data *d,
                             const struct oclin_before *before)
{
    const struct oclin_ref_case c = case_of(&call->layer, d->batch, d->roundings->dx);
    struct expectation e;
    OCLIN_TRY(expect(call->layer.ctx, &e, "backward", "dx", c.batch * c.in));
    oclin_ref_grad_x(&c, before->w, d->dy, d->s, e.want, e.bound);
    return check_sum(&c, call->dx, &e, before->sum);
}

/* Checks what an update made of a parameter and its states; gradient holds dw, n elements within bounds. */
static oclin_status check_update(const struct oclin_linear *l, const struct oclin_update_check *update,
                                 const struct expectation *gradient, const struct oclin_before *before,
                                 oclin_tensor *parameter)
{
    const int is_w = parameter == l->w;
    const struct oclin_ref_update *how =
        is_w ? &update->w : &update->b; /* the other one may not be updated */
    const int64_t n = gradient->n;
    const struct oclin_ref_case c = case_on(l->ctx, 0, 0, 0);
    const float *old = is_w ? before->w : before->b, *states = is_w ? before->w_states : before->b_states;
    oclin_tensor *const *tensors = is_w ? l->w_states : l->b_states;
    struct expectation e, s[OCLIN_MOST_STATES];
    const int64_t in_states = oclin_rule_states(&how->rule) * n;
    double *state = take(l->ctx, in_states, sizeof *state), *bound = take(l->ctx, in_states, sizeof *bound);
    if (!state || !bound) return no_memory(l->ctx);
    OCLIN_TRY(expect(l->ctx, &e, update->operation, is_w ? "w" : "b", n));
    e.transposed_row = gradient->transposed_row;
    oclin_ref_rule_update(&c, how, n, old, gradient->want, gradient->bound, states, e.want, e.bound, state,
                          bound);
    for (int64_t i = 0; update->skipped && i < n; i++) e.want[i] = (double)old[i], e.bound[i] = 0;
    OCLIN_TRY(compare(parameter, &e));
    for (int i = 0; i < OCLIN_MOST_STATES && tensors[i]; i++) {
        s[i] = (struct expectation){
            e.operation, oclin_rule_state(&how->rule, i), n, e.transposed_row, state + i * n, bound + i * n};
        for (int64_t j = 0; update->skipped && j < n; j++)
            s[i].want[j] = (double)states[i * n + j], s[i].bound[j] = 0;
        OCLIN_TRY(compare(tensors[i], &s[i]));
    }
    return OCLIN_OK;
}

/* Checks a gradient of n elements (e holds it) that was stored, added to what was there, or used for an
 * update. */
static oclin_status check_arrival(const struct oclin_backward_check *call, struct expectation *e,
                                  const float *gradient_before, const struct oclin_before *before,
                                  oclin_tensor *gradient, oclin_tensor *parameter)
{
    const struct oclin_ref_case c = case_of(&call->layer, call->batch, 0);
    struct expectation after;
    if (call->update) return check_update(&call->layer, call->update, e, before, parameter);
    if (!gradient_before) return compare(gradient, e);
    OCLIN_TRY(expect(call->layer.ctx, &after, e->operation, e->name, e->n));
    after.transposed_row = e->transposed_row;
    oclin_ref_accumulate(&c, e->n, gradient_before, e->want, e->bound, after.want, after.bound);
    return compare(gradient, &after);
}

static oclin_status check_dw(const struct oclin_backward_check *call, const struct backward_data *d,
                             const struct oclin_before *before)
{
    const struct oclin_linear *l = &call->layer;
    const struct oclin_ref_case c = case_of(l, d->batch, d->roundings->dw);
    struct expectation e;
    OCLIN_TRY(expect(l->ctx, &e, "backward", "dw", l->out * l->in));
    e.transposed_row = transposed_row(l);
    oclin_ref_grad_w(&c, d->x, d->dy, d->s, e.want, e.bound);
    return check_arrival(call, &e, before->dw, before, l->dw, l->w);
}

static oclin_status check_db(const struct oclin_backward_check *call, const struct backward_data *d,
                             const struct oclin_before *before)
{
    const struct oclin_linear *l = &call->layer;
    const struct oclin_ref_case c = case_of(l, d->batch, d->roundings->db);
    struct expectation e;
    OCLIN_TRY(expect(l->ctx, &e, "backward", "db", l->out));
    oclin_ref_grad_b(&c, d->dy, d->s, e.want, e.bound);
    return check_arrival(call, &e, before->db, before, l->db, l->b);
}

oclin_status oclin_verify_backward(const struct oclin_backward_check *call, const struct oclin_before *before,
                                   const struct oclin_roundings *roundings)
{
    const struct oclin_linear *l = &call->layer;
    struct backward_data d = {call->batch, roundings, NULL, NULL, NULL};
    OCLIN_TRY(copy_of(call->x, &d.x));
    OCLIN_TRY(copy_of(call->dy, &d.dy));
    OCLIN_TRY(copy_of(call->s, &d.s));
    if (call->dx) OCLIN_TRY(check_dx(call, &d, before));
    if (!call->x) return OCLIN_OK;
    OCLIN_TRY(check_dw(call, &d, before));
    return l->bias && (!call->update || call->update->learns_b) ? check_db(call, &d, before) : OCLIN_OK;
}

/* Checks the update by a gradient that stands in memory. */
static oclin_status check_stored(const struct oclin_linear *l, const struct oclin_update_check *update,
                                 const struct oclin_before *before, const float *gradient, int64_t row,
                                 oclin_tensor *parameter)
{
    struct expectation e;
    if (!parameter || !gradient) return OCLIN_OK;
    const int64_t n = parameter->rows * parameter->cols;
    OCLIN_TRY(expect(l->ctx, &e, update->operation, "dw", n));
    e.transposed_row = row;
    for (int64_t i = 0; i < n; i++) e.want[i] = (double)gradient[i], e.bound[i] = 0;
    return check_update(l, update, &e, before, parameter);
}

oclin_status oclin_verify_update(const struct oclin_linear *l, const struct oclin_update_check *update,
                                 const struct oclin_before *before)
{
    OCLIN_TRY(check_stored(l, update, before, before->dw, transposed_row(l), l->w));
    return check_stored(l, update, before, before->db, 0, l->b);
}

/* Three operations, each of which rounds; what cancels in g - w is in the bound. */
static double toward_bound(double u, double w, double g, double toward)
{
    return SECOND_ORDER * u * (3 * fabs(toward) * (fabs(w) + fabs(g)) + fabs(w + toward * (g - w))) +
           4 * FLUSH;
}

oclin_status oclin_verify_toward_before(struct oclin_toward_check *check)
{
    OCLIN_TRY(make_room(oclin_tensor_context(check->w), 2 * elements_of(check->w)));
    OCLIN_TRY(copy_of(check->w, &check->w_before));
    return copy_of(check->g, &check->g_before);
}

oclin_status oclin_verify_toward(const struct oclin_toward_check *check)
{
    oclin_context *ctx = oclin_tensor_context(check->w);
    struct expectation e;
    OCLIN_TRY(expect(ctx, &e, check->operation, "w", elements_of(check->w)));
    const double u = ctx->device.truncates ? 2 * U : U;
    for (int64_t i = 0; i < e.n; i++) {
        const double w = (double)check->w_before[i], g = (double)check->g_before[i];
        e.want[i] = w + check->toward * (g - w);
        e.bound[i] = toward_bound(u, w, g, check->toward);
    }
    return compare(check->w, &e);
}

/* --------------------------------------------------------------------------------------------- losses */

oclin_status oclin_verify_loss_before(struct oclin_loss_call *call)
{
    OCLIN_TRY(make_room(oclin_tensor_context(call->y), (call->y->rows + 1) * (call->y->cols + 1)));
    if (!call->options.accumulate) return OCLIN_OK;
    if (call->loss) OCLIN_TRY(oclin_verify_look(call->loss, &call->loss_before));
    return call->correct ? oclin_verify_look(call->correct, &call->correct_before) : OCLIN_OK;
}

static oclin_status check_count(const struct oclin_loss_call *call, int64_t correct)
{
    int32_t got;
    OCLIN_TRY(oclin_verify_look(call->correct, &got));
    const int64_t want = correct + (call->options.accumulate ? call->correct_before : 0);
    if (got == want) return OCLIN_OK;
    return oclin_fail(oclin_tensor_context(call->y), OCLIN_E_VERIFY,
                      "%s: correct[0, 0] is %d, the reference says %lld", call->kind->name, got,
                      (long long)want);
}

oclin_status oclin_verify_loss(const struct oclin_loss_call *call)
{
    oclin_context *ctx = oclin_tensor_context(call->y);
    const int64_t rows = call->y->rows, cols = call->y->cols;
    const char *operation = call->kind->name;
    struct expectation loss, dy, of_rows;
    float *y, *classes, *weights;
    void *target;
    int64_t correct = 0;
    struct oclin_ref_case c = case_on(ctx, rows, 0, cols);
    c.additions = call->additions;
    c.no_denormals = 1; /* losses allow every device to flush denormals */
    OCLIN_TRY(expect(ctx, &loss, operation, "loss", 1));
    OCLIN_TRY(expect(ctx, &dy, operation, "dy", rows * cols));
    OCLIN_TRY(expect(ctx, &of_rows, operation, "row_losses", rows));
    OCLIN_TRY(copy_of(call->y, &y));
    OCLIN_TRY(raw_copy_of(call->target, &target));
    OCLIN_TRY(copy_of(call->options.class_weights, &classes));
    OCLIN_TRY(copy_of(call->options.row_weights, &weights));
    const struct oclin_loss_data data = {.y = y,
                                         .target = target,
                                         .reduction = call->options.reduction,
                                         .scale = call->options.scale,
                                         .number = oclin_loss_number(call->kind, &call->options),
                                         .ignored = call->options.ignore_index,
                                         .classes = classes,
                                         .weights = weights};
    const struct oclin_loss_results results = {loss.want,    loss.bound,    dy.want, dy.bound,
                                               of_rows.want, of_rows.bound, &correct};
    oclin_loss_reference(call->kind, &c, &data, &results);
    if (call->options.accumulate)
        oclin_ref_accumulate(&c, 1, &call->loss_before, loss.want, loss.bound, loss.want, loss.bound);
    if (call->loss) OCLIN_TRY(compare(call->loss, &loss));
    if (call->dy && rows > 0) OCLIN_TRY(compare(call->dy, &dy));
    if (call->options.row_losses && rows > 0) OCLIN_TRY(compare(call->options.row_losses, &of_rows));
    return call->correct ? check_count(call, correct) : OCLIN_OK;
}

/* ------------------------------------------------------------------------------------------------ rows */

oclin_status oclin_verify_rows_room(oclin_context *ctx, int64_t elements)
{
    return make_room(ctx, elements);
}

oclin_status oclin_verify_softmax(oclin_tensor *y, oclin_tensor *p, int64_t additions)
{
    oclin_context *ctx = oclin_tensor_context(y);
    struct oclin_ref_case c = case_on(ctx, y->rows, 0, y->cols);
    struct expectation want;
    float *host_y;
    c.additions = additions;
    OCLIN_TRY(expect(ctx, &want, "softmax", "p", y->rows * y->cols));
    OCLIN_TRY(copy_of(y, &host_y));
    oclin_ref_softmax(&c, host_y, want.want, want.bound);
    return compare(p, &want);
}

oclin_status oclin_verify_argmax(oclin_tensor *t, oclin_tensor *indices)
{
    oclin_context *ctx = oclin_tensor_context(t);
    const struct oclin_ref_case c = case_on(ctx, t->rows, 0, t->cols);
    float *host_t;
    void *raw;
    int32_t *want = take(ctx, t->rows, sizeof *want);
    if (!want) return no_memory(ctx);
    OCLIN_TRY(copy_of(t, &host_t));
    OCLIN_TRY(raw_copy_of(indices, &raw));
    const int32_t *got = raw;
    oclin_ref_argmax(&c, host_t, want);
    for (int64_t r = 0; r < t->rows; r++)
        if (got[r] != want[r])
            return oclin_fail(ctx, OCLIN_E_VERIFY, "argmax: indices[%lld, 0] is %d, the reference says %d",
                              (long long)r, got[r], want[r]);
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------------- arrays */

oclin_status oclin_verify_add_before(struct oclin_add_check *check)
{
    OCLIN_TRY(make_room(oclin_tensor_context(check->dst), elements_of(check->dst)));
    OCLIN_TRY(copy_of(check->dst, &check->dst_before));
    return copy_of(check->src, &check->src_before);
}

oclin_status oclin_verify_add(const struct oclin_add_check *check)
{
    oclin_context *ctx = oclin_tensor_context(check->dst);
    const struct oclin_ref_case c = case_on(ctx, 0, 0, 0);
    struct expectation e;
    OCLIN_TRY(expect(ctx, &e, "add", "dst", elements_of(check->dst)));
    oclin_ref_add(&c, e.n, check->dst_before, check->src_before, check->alpha, e.want, e.bound);
    return compare(check->dst, &e);
}

/* src is copied only when the rows have moved, because moving does not change it. */
oclin_status oclin_verify_moved_room(const struct oclin_moved_check *check)
{
    return make_room(oclin_tensor_context(check->dst),
                     elements_of(check->dst) + elements_of(check->src) + elements_of(check->indices));
}

/* Bits are either equal or wrong, so there is no bound. */
static oclin_status compare_bits(const struct oclin_moved_check *check, const uint32_t *want)
{
    oclin_tensor *dst = check->dst;
    oclin_context *ctx = oclin_tensor_context(dst);
    void *copy;
    OCLIN_TRY(raw_copy_of(dst, &copy));
    const uint32_t *got = copy;
    for (int64_t i = 0; i < elements_of(dst); i++) {
        if (got[i] == want[i]) continue;
        ctx->verify_worst = INFINITY;
        return oclin_fail(ctx, OCLIN_E_VERIFY,
                          "%s: dst[%lld, %lld] has the bits 0x%08x, the reference says 0x%08x",
                          check->operation, (long long)(i / dst->cols), (long long)(i % dst->cols),
                          (unsigned)got[i], (unsigned)want[i]);
    }
    return OCLIN_OK;
}

oclin_status oclin_verify_moved(const struct oclin_moved_check *check)
{
    oclin_tensor *dst = check->dst, *src = check->src;
    void *rows, *indices, *want;
    OCLIN_TRY(raw_copy_of(src, &rows));
    if (!check->indices) return compare_bits(check, rows);
    OCLIN_TRY(raw_copy_of(check->indices, &indices));
    want = take(oclin_tensor_context(dst), elements_of(dst), (size_t)oclin_element_bytes(dst->dtype));
    if (!want) return no_memory(oclin_tensor_context(dst));
    oclin_ref_gather_rows(dst->dtype, dst->rows, dst->cols, src->rows, rows, indices, want);
    return compare_bits(check, want);
}

/* --------------------------------------------------------------------------------- norms, finite numbers */

/* Room for the operands of a gradient, and for dZ with its bounds. */
static oclin_status gradient_room(oclin_context *ctx, oclin_tensor *const *operands, int n, int64_t of_dz)
{
    int64_t elements = of_dz;
    for (int i = 0; i < n; i++) elements += elements_of(operands[i]);
    return make_room(ctx, elements);
}

/* Makes dZ of the dY and s that stand on the device. */
static oclin_status grad_z_of(const struct oclin_linear *l, int64_t batch, oclin_tensor *dy, oclin_tensor *s,
                              struct expectation *dz)
{
    const struct oclin_ref_case c = case_of(l, batch, 0);
    float *host_dy, *host_s;
    OCLIN_TRY(expect(l->ctx, dz, "backward", "dz", batch * l->out));
    OCLIN_TRY(copy_of(dy, &host_dy));
    OCLIN_TRY(copy_of(s, &host_s));
    oclin_ref_grad_z(&c, host_dy, host_s, dz->want, dz->bound);
    return OCLIN_OK;
}

oclin_status oclin_verify_norm_before(struct oclin_norm_check *check)
{
    oclin_context *ctx = oclin_tensor_context(check->norm2);
    oclin_tensor *const operands[] = {check->stored[0], check->stored[1], check->dy, check->x, check->s};
    OCLIN_TRY(gradient_room(ctx, operands, 5, check->batch * check->layer.out));
    return check->accumulate ? oclin_verify_look(check->norm2, &check->before) : OCLIN_OK;
}

/* Adds the squares of a tensor to what is known. */
static oclin_status add_stored(const struct oclin_norm_check *check, oclin_tensor *t,
                               struct oclin_norm_known *all)
{
    struct oclin_norm_known of_t;
    struct oclin_ref_case c = case_on(oclin_tensor_context(check->norm2), 0, 0, 0);
    float *host;
    c.additions = check->way.last;
    OCLIN_TRY(copy_of(t, &host));
    oclin_norm_of_stored(&c, elements_of(t), host, &of_t);
    all->value += of_t.value;
    all->bound += of_t.bound;
    return OCLIN_OK;
}

/* A finite number where there must be none. */
static oclin_status check_not_finite(const struct oclin_norm_check *check)
{
    float got;
    OCLIN_TRY(oclin_verify_look(check->norm2, &got));
    if (!isfinite(got)) return OCLIN_OK;
    oclin_context *ctx = oclin_tensor_context(check->norm2);
    ctx->verify_worst = INFINITY;
    return oclin_fail(ctx, OCLIN_E_VERIFY, "norm2: norm2[0, 0] is %.9g, but the gradient is not finite",
                      (double)got);
}

oclin_status oclin_verify_norm(const struct oclin_norm_check *check)
{
    oclin_context *ctx = oclin_tensor_context(check->norm2);
    const struct oclin_linear *l = &check->layer;
    struct oclin_ref_case c = case_on(ctx, 0, 0, 0);
    struct oclin_norm_known known = {0, 0, 0};
    struct expectation e, dz;
    OCLIN_TRY(expect(ctx, &e, "norm2", "norm2", 1));
    for (int i = 0; i < 2; i++)
        if (check->stored[i]) OCLIN_TRY(add_stored(check, check->stored[i], &known));
    if (check->dy) {
        float *x;
        c = case_of(l, check->batch, 0);
        OCLIN_TRY(grad_z_of(l, check->batch, check->dy, check->s, &dz));
        OCLIN_TRY(copy_of(check->x, &x));
        oclin_norm_of_gradient(&c, &check->way, x, dz.want, dz.bound, &known);
    }
    if (known.not_finite) return check_not_finite(check);
    e.want[0] = known.value;
    e.bound[0] = known.bound;
    if (check->accumulate) oclin_ref_accumulate(&c, 1, &check->before, e.want, e.bound, e.want, e.bound);
    return compare(check->norm2, &e);
}

oclin_status oclin_verify_factor_room(oclin_context *ctx)
{
    return make_room(ctx, 1);
}

oclin_status oclin_verify_factor(oclin_tensor *norm2, double max_norm, double scale, oclin_tensor *factor)
{
    oclin_context *ctx = oclin_tensor_context(norm2);
    const struct oclin_ref_case c = case_on(ctx, 0, 0, 0);
    struct expectation e;
    float host;
    OCLIN_TRY(expect(ctx, &e, "clip_factor", "factor", 1));
    OCLIN_TRY(oclin_verify_look(norm2, &host));
    oclin_ref_clip_factor(&c, (double)host, 0, max_norm, scale, e.want, e.bound);
    return compare(factor, &e);
}

oclin_status oclin_verify_finite_before(struct oclin_finite_check *check)
{
    oclin_tensor *const operands[] = {check->looked_at[0], check->looked_at[1], check->dy, check->s};
    OCLIN_TRY(gradient_room(oclin_tensor_context(check->flag), operands, 4, check->batch * check->layer.out));
    return oclin_verify_look(check->flag, &check->before);
}

/* Looks through dZ: *unknown becomes 1 if a device may differ about an element. */
static oclin_status look_at_grad_z(const struct oclin_finite_check *check, int *finite, int *unknown)
{
    struct expectation dz;
    OCLIN_TRY(grad_z_of(&check->layer, check->batch, check->dy, check->s, &dz));
    for (int64_t i = 0; i < dz.n; i++) {
        if (!isfinite(dz.bound[i]))
            *unknown = 1;
        else if (!isfinite((float)dz.want[i]))
            *finite = 0;
    }
    return OCLIN_OK;
}

oclin_status oclin_verify_finite(const struct oclin_finite_check *check)
{
    int finite = 1, unknown = 0;
    int32_t got;
    for (int i = 0; i < 2; i++) {
        float *host;
        if (!check->looked_at[i] || (check->dy && i == 0)) continue;
        OCLIN_TRY(copy_of(check->looked_at[i], &host));
        if (!oclin_ref_finite(elements_of(check->looked_at[i]), host)) finite = 0;
    }
    if (check->dy) OCLIN_TRY(look_at_grad_z(check, &finite, &unknown));
    OCLIN_TRY(oclin_verify_look(check->flag, &got));
    const int32_t want = finite ? check->before : 1;
    if (got == want || (unknown && finite && got == 1)) return OCLIN_OK;
    return oclin_fail(oclin_tensor_context(check->flag), OCLIN_E_VERIFY,
                      "check_finite: flag[0, 0] is %d, the reference says %d", got, want);
}
