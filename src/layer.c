/* The layer: argument checks, its state, and the order of products in forward, backward and step. */
#include "layer.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "check/random.h"
#include "check/verify.h"
#include "core/context.h"
#include "optimizer.h"
#include "core/error.h"
#include "core/memory.h"
#include "ops/activation.h"
#include "ops/product.h"
#include "plan/additions.h"
#include "plan/plan.h"
#include "tensor/element.h"
#include "tensor/uses.h"

/* A forward, or an infer, for which z is NULL. */
struct forward_call {
    oclin_layer *layer;
    oclin_tensor *x, *y, *z;
    int adds;                         /* the result is added to what y holds */
    struct oclin_roundings roundings; /* as it ran */
    struct oclin_use uses[5];
};
enum { FORWARD_Z = 4 };

/* A backward, a backward_x, or a backward that updates the parameters. */
enum { USE_DY, USE_X, USE_Y, USE_Z, USE_DX, USE_W, USE_B, USE_DW, USE_DB, USE_UPDATE };
enum { BACKWARD_USES = USE_UPDATE + OCLIN_UPDATE_USES };
struct backward_call {
    oclin_layer *layer;
    oclin_saved *saved;
    oclin_tensor *dy, *dx;
    const struct change *change; /* (1) and (2) become the update of w and b; NULL: they are stored */
    int x_alone;                 /* (3) is all that is wanted */
    int adds;                    /* (3) to what dx holds */
    struct oclin_use uses[BACKWARD_USES];
};

/* An update of the layer's parameters: plain SGD, or what an optimizer says. */
struct change {
    struct oclin_updates updates;
    struct oclin_update_call *call; /* NULL: plain SGD */
    struct oclin_update_check check;
};

/* Returns what a check needs to know of the layer. */
static struct oclin_linear linear_of(const oclin_layer *l)
{
    return (struct oclin_linear){.ctx = l->ctx,
                                 .in = l->in,
                                 .out = l->out,
                                 .activation = l->activation,
                                 .alpha = l->alpha,
                                 .gradient = l->gradient,
                                 .transposed = l->transposed,
                                 .bias = l->bias,
                                 .w = l->w,
                                 .b = l->b,
                                 .dw = l->dw,
                                 .db = l->db};
}

/* Return the rows and columns of w and dw. */
static int64_t w_rows(const oclin_layer *l)
{
    return l->transposed ? l->in : l->out;
}

static int64_t w_cols(const oclin_layer *l)
{
    return l->transposed ? l->out : l->in;
}

/* ---------------------------------------------------------------------------------- making and dropping */

static oclin_status check_options(oclin_context *ctx, int64_t n_in, int64_t n_out,
                                  const struct oclin_layer_options *o)
{
    if (n_in < 1 || n_out < 1)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "a layer from %lld to %lld features: both must be at least 1",
                          (long long)n_in, (long long)n_out);
    if (!oclin_activation_row(o->activation))
        return oclin_fail(ctx, OCLIN_E_ARG, "activation %d is not known", (int)o->activation);
    if ((int)o->init < OCLIN_INIT_UNIFORM || (int)o->init > OCLIN_INIT_ZERO)
        return oclin_fail(ctx, OCLIN_E_ARG, "init %d is not known", (int)o->init);
    if (o->gradient != OCLIN_GRAD_SUM && o->gradient != OCLIN_GRAD_MEAN)
        return oclin_fail(ctx, OCLIN_E_ARG, "gradient %d is not known", (int)o->gradient);
    if (o->bias != 0 && o->bias != 1)
        return oclin_fail(ctx, OCLIN_E_ARG, "bias is %d, 0 or 1 is needed", o->bias);
    if (o->alpha == 0 || !isfinite(o->alpha))
        return oclin_fail(ctx, OCLIN_E_ARG, "alpha is %g, a finite number that is not 0 is needed",
                          (double)o->alpha);
    if (o->transposed != 0 && o->transposed != 1)
        return oclin_fail(ctx, OCLIN_E_ARG, "transposed is %d, 0 or 1 is needed", o->transposed);
    if (!o->bias && (o->b || o->db))
        return oclin_fail(ctx, OCLIN_E_ARG, "b or db is given to a layer without bias");
    return OCLIN_OK;
}

static oclin_status check_given(oclin_context *ctx, int64_t n_in, int64_t n_out,
                                const struct oclin_layer_options *o)
{
    const int64_t rows = o->transposed ? n_in : n_out, cols = o->transposed ? n_out : n_in;
    const struct oclin_use given[] = {
        {o->w, "w", OCLIN_F32, rows, cols, OCLIN_APART}, /* w and b may serve for inference: who writes */
        {o->b, "b", OCLIN_F32, 1, n_out, OCLIN_APART},   /* them asks */
        {o->dw, "dw", OCLIN_F32, rows, cols, OCLIN_WRITES},
        {o->db, "db", OCLIN_F32, 1, n_out, OCLIN_WRITES}};
    OCLIN_TRY(oclin_uses_check(ctx, given, 4));
    for (int i = 0; i < 4; i++)
        if (given[i].tensor && !given[i].tensor->readable)
            return oclin_fail(ctx, OCLIN_E_ARG, "%s lies in a CL_MEM_WRITE_ONLY buffer", given[i].name);
    return OCLIN_OK;
}

/* Uploads random parameters in pieces, so that the host needs little memory for a large W. */
static oclin_status initialise(oclin_layer *l, cl_command_queue queue, oclin_tensor *t, uint32_t stream,
                               const struct oclin_layer_options *o)
{
    enum { PIECE = 1 << 16 };
    const double limit = 1.0 / sqrt((double)l->in);
    const int64_t n = t->rows * t->cols;
    float *piece = malloc(PIECE * sizeof *piece); /* parameters are f32 */
    if (!piece) return oclin_fail(l->ctx, OCLIN_E_MEMORY, "no host memory for initial parameters");
    cl_int error = CL_SUCCESS;
    for (int64_t first = 0; first < n && !error; first += PIECE) {
        const int64_t count = n - first < PIECE ? n - first : PIECE;
        oclin_random_fill(o->seed, stream, o->init, limit, (uint64_t)first, count, piece);
        error = clEnqueueWriteBuffer(queue, t->mem, CL_TRUE, (size_t)first * sizeof *piece,
                                     (size_t)count * sizeof *piece, piece, 0, NULL, NULL);
    }
    free(piece);
    if (error) return oclin_fail_run(l->ctx, error, "clEnqueueWriteBuffer of initial parameters");
    oclin_tensor_written(t, OCLIN_OK);
    return OCLIN_OK;
}

/* Makes a new w or b, and initialises it. */
static oclin_status make_parameter(oclin_layer *l, cl_command_queue queue, oclin_tensor **slot, int64_t rows,
                                   int64_t cols, uint32_t stream, const struct oclin_layer_options *o)
{
    OCLIN_TRY(oclin_tensor_make_by(queue, slot, l->ctx, OCLIN_F32, rows, cols));
    return initialise(l, queue, *slot, stream, o);
}

static oclin_status make_missing(oclin_layer *l, cl_command_queue queue, const struct oclin_layer_options *o)
{
    if (!l->w) OCLIN_TRY(make_parameter(l, queue, &l->w, w_rows(l), w_cols(l), 0, o));
    if (l->bias && !l->b) OCLIN_TRY(make_parameter(l, queue, &l->b, 1, l->out, 1, o));
    return OCLIN_OK;
}

/* Takes the caller's parameters, or makes new ones. New ones are written through a queue of their own: the
 * context's queue may wait for an event that this very thread will set, and a blocking write there would
 * then wait for ever. All that a blocking write promises is that the host's numbers are copied (Intel's
 * runtime for CPUs writes them later now and then), so the queue is finished before another one uses them. */
static oclin_status take_parameters(oclin_layer *l, const struct oclin_layer_options *o)
{
    l->w = oclin_tensor_retain(o->w);
    l->b = oclin_tensor_retain(o->b);
    if (l->w && (l->b || !l->bias)) return OCLIN_OK;
    cl_int error;
    cl_command_queue queue = clCreateCommandQueue(l->ctx->cl, l->ctx->device.info.device, 0, &error);
    if (error) return oclin_fail_cl(l->ctx, error, "clCreateCommandQueue for initial parameters");
    const oclin_status status = make_missing(l, queue, o);
    error = oclin_finish_queue(queue);
    clReleaseCommandQueue(queue);
    if (status == OCLIN_OK && error) return oclin_fail_run(l->ctx, error, "clFinish of initial parameters");
    return status;
}

/* Clears a gradient. *version is its version when it was made: unless somebody has written it since, it still
 * counts as unwritten. */
static oclin_status clear_gradient(oclin_tensor *gradient, uint64_t *version)
{
    const int unwritten = gradient->version == *version;
    OCLIN_TRY(oclin_tensor_clear(gradient));
    if (unwritten) *version = gradient->version;
    return OCLIN_OK;
}

/* Makes memory that holds nothing yet a cleared gradient, which is nobody's result. */
static oclin_status start_cleared(oclin_tensor *gradient, uint64_t *version)
{
    *version = gradient->version;
    return clear_gradient(gradient, version);
}

/* A gradient that is handed in stays what it is: cleared, or a gradient that somebody has computed or
 * written. */
static oclin_status take_gradient(oclin_layer *l, oclin_tensor **slot, oclin_tensor *given, uint64_t *version)
{
    if (!given) return OCLIN_OK;
    *slot = oclin_tensor_retain(given);
    if (!oclin_tensor_ever_written(given)) return start_cleared(given, version);
    *version = given->version;
    l->computed |= !given->cleared;
    return OCLIN_OK;
}

/* Does all that can fail before the gradients are cleared, so that either both are cleared or none. */
static oclin_status before_clearing(oclin_layer *l)
{
    if (l->dw) OCLIN_TRY(oclin_tensor_settle_others(l->dw));
    return l->db ? oclin_tensor_settle_others(l->db) : OCLIN_OK;
}

/* dw and db are made, cleared, when they are first needed. */
static oclin_status need_dw(oclin_layer *l)
{
    if (l->dw) return OCLIN_OK;
    OCLIN_TRY(oclin_tensor_make(&l->dw, l->ctx, OCLIN_F32, w_rows(l), w_cols(l)));
    oclin_log(l->ctx, "allocating dw of %lld x %lld", (long long)w_rows(l), (long long)w_cols(l));
    return start_cleared(l->dw, &l->dw_version);
}

static oclin_status need_db(oclin_layer *l)
{
    if (l->db || !l->bias) return OCLIN_OK;
    OCLIN_TRY(oclin_tensor_make(&l->db, l->ctx, OCLIN_F32, 1, l->out));
    return start_cleared(l->db, &l->db_version);
}

static oclin_status saved_new(oclin_saved **saved, oclin_context *ctx)
{
    oclin_saved *s = calloc(1, sizeof *s);
    if (!s) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a saved state");
    s->ctx = ctx;
    oclin_context_retain(ctx);
    *saved = s;
    return OCLIN_OK;
}

static oclin_status set_up(oclin_layer *l, const struct oclin_layer_options *o)
{
    OCLIN_TRY(saved_new(&l->saved, l->ctx));
    OCLIN_TRY(take_parameters(l, o));
    OCLIN_TRY(take_gradient(l, &l->dw, o->dw, &l->dw_version));
    return take_gradient(l, &l->db, o->db, &l->db_version);
}

oclin_status oclin_layer_create(oclin_layer **layer, oclin_context *ctx, int64_t n_in, int64_t n_out,
                                const struct oclin_layer_options *options)
{
    if (layer) *layer = NULL;
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!layer) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the layer is NULL");
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    OCLIN_TRY(oclin_options_read(ctx, &o, sizeof o, options));
    OCLIN_TRY(check_options(ctx, n_in, n_out, &o));
    OCLIN_TRY(check_given(ctx, n_in, n_out, &o));
    oclin_layer *l = calloc(1, sizeof *l);
    if (!l) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a layer");
    oclin_context_retain(ctx);
    l->ctx = ctx;
    l->id = ++ctx->layers_made;
    l->in = n_in;
    l->out = n_out;
    l->activation = o.activation;
    l->alpha = oclin_activation_alpha(o.activation, o.alpha);
    l->gradient = o.gradient;
    l->bias = o.bias;
    l->transposed = o.transposed;
    const oclin_status status = set_up(l, &o);
    if (status != OCLIN_OK) {
        oclin_layer_destroy(l);
        return status;
    }
    *layer = l;
    return OCLIN_OK;
}

void oclin_layer_destroy(oclin_layer *l)
{
    if (!l) return;
    oclin_tensor_destroy(l->w);
    oclin_tensor_destroy(l->b);
    oclin_tensor_destroy(l->dw);
    oclin_tensor_destroy(l->db);
    oclin_saved_destroy(l->saved);
    oclin_context_destroy(l->ctx);
    free(l);
}

/* ---------------------------------------------------------------------------------------- saved states */

oclin_status oclin_saved_create(oclin_saved **saved, oclin_context *ctx)
{
    if (saved) *saved = NULL;
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!saved) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the saved state is NULL");
    return saved_new(saved, ctx);
}

void oclin_saved_destroy(oclin_saved *s)
{
    if (!s) return;
    oclin_tensor_destroy(s->x);
    oclin_tensor_destroy(s->y);
    oclin_tensor_destroy(s->z);
    oclin_tensor_destroy(s->larger_z);
    oclin_context_destroy(s->ctx);
    free(s);
}

/* Returns 1 if the derivative is computed from z. */
static int keeps_z(const oclin_layer *l)
{
    return oclin_activation_row(l->activation)->keeps == OCLIN_KEEPS_Z;
}

/* Returns 1 if the derivative is computed from y; the pre-activation is then not needed. */
static int needs_y(const oclin_layer *l)
{
    return oclin_activation_row(l->activation)->keeps == OCLIN_KEEPS_Y;
}

static int holds(const oclin_tensor *z, const oclin_layer *l, int64_t batch)
{
    return z && z->rows >= batch && z->cols == l->out;
}

/* Returns 1 if a forward keeps memory of its own for the derivative: z, or, where y becomes a sum with
 * something else, act(z). */
static int keeps_apart(const oclin_layer *l, int adds)
{
    return keeps_z(l) || (adds && needs_y(l));
}

/* Returns the tensor that the derivative is computed from; NULL if it needs none. */
static oclin_tensor *stored(const oclin_layer *l, const oclin_saved *s)
{
    return keeps_apart(l, s->apart) ? s->z : s->y;
}

/* Makes room for z of a batch, or for act(z). What a saved state holds stays until a forward replaces it: a
 * larger tensor waits beside it. */
static oclin_status need_z(const oclin_layer *l, oclin_saved *s, int64_t batch, int adds)
{
    if (!keeps_apart(l, adds) || batch == 0) return OCLIN_OK;
    if (holds(s->z, l, batch) || holds(s->larger_z, l, batch)) return OCLIN_OK;
    oclin_tensor *z;
    OCLIN_TRY(oclin_tensor_make(&z, l->ctx, OCLIN_F32, batch, l->out));
    oclin_log(l->ctx, "z of a layer grows to %lld x %lld", (long long)batch, (long long)l->out);
    oclin_tensor_destroy(s->larger_z);
    s->larger_z = z;
    return OCLIN_OK;
}

/* Returns the z that a forward with this batch writes; NULL if it keeps none. */
static oclin_tensor *z_for(const oclin_layer *l, const oclin_saved *s, int64_t batch, int adds)
{
    if (!keeps_apart(l, adds) || batch == 0) return NULL;
    return holds(s->z, l, batch) ? s->z : s->larger_z;
}

/* Puts the larger z in the place of the old one, after the forward that wrote it. */
static void adopt_z(oclin_saved *s, const oclin_tensor *z)
{
    if (!z || z != s->larger_z) return;
    oclin_tensor_destroy(s->z);
    s->z = s->larger_z;
    s->larger_z = NULL;
}

static void remember(const oclin_layer *l, oclin_saved *s, oclin_tensor *x, oclin_tensor *y, int adds)
{
    oclin_tensor *old_x = s->x, *old_y = s->y;
    s->x = oclin_tensor_retain(x);
    s->y = needs_y(l) && !adds ? oclin_tensor_retain(y) : NULL;
    s->apart = adds;
    s->x_version = x->version;
    s->y_version = y->version;
    s->w_version = l->w->version;
    s->batch = x->rows;
    s->layer = l->id;
    oclin_tensor_destroy(old_x);
    oclin_tensor_destroy(old_y);
}

/* needs_x is 0 for dX alone, which does not read x. */
static oclin_status check_saved(const oclin_layer *l, const oclin_saved *s, int needs_x)
{
    oclin_context *ctx = l->ctx;
    if (s->ctx != ctx) return oclin_fail(ctx, OCLIN_E_ARG, "saved belongs to another context");
    if (s->layer == 0)
        return oclin_fail(ctx, OCLIN_E_STATE, "backward before forward: nothing is saved, or it was lost");
    if (s->layer != l->id) return oclin_fail(ctx, OCLIN_E_STATE, "saved was filled by another layer");
    if (needs_x && s->x->version != s->x_version)
        return oclin_fail(ctx, OCLIN_E_STATE,
                          "x was written %llu times since the forward that backward belongs to",
                          (unsigned long long)(s->x->version - s->x_version));
    if (s->y && s->y->version != s->y_version)
        return oclin_fail(ctx, OCLIN_E_STATE,
                          "y was written %llu times since the forward that backward belongs to",
                          (unsigned long long)(s->y->version - s->y_version));
    if (ctx->strict && l->w->version != s->w_version)
        return oclin_fail(ctx, OCLIN_E_STATE,
                          "w was written %llu times since the forward that backward belongs to",
                          (unsigned long long)(l->w->version - s->w_version));
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------- forward, infer */

/* Begins a public call on a layer. */
static oclin_status enter(const oclin_layer *l)
{
    return l ? oclin_enter(l->ctx) : OCLIN_E_ARG;
}

static oclin_status enter_saved(const oclin_layer *l, const oclin_saved *saved)
{
    OCLIN_TRY(enter(l));
    return saved ? OCLIN_OK : oclin_fail(l->ctx, OCLIN_E_ARG, "saved is NULL");
}

static oclin_status check_forward(struct forward_call *call)
{
    const oclin_layer *l = call->layer;
    oclin_tensor *x = call->x, *y = call->y;
    if (!x || !y) return oclin_fail(l->ctx, OCLIN_E_ARG, "%s is NULL", x ? "y" : "x");
    const struct oclin_use uses[] = {
        {x, "x", OCLIN_F32, x->rows, l->in, OCLIN_READS},
        {y, "y", OCLIN_F32, x->rows, l->out, call->adds ? OCLIN_ADDS : OCLIN_WRITES},
        {l->w, "w", OCLIN_F32, w_rows(l), w_cols(l), OCLIN_READS},
        {l->b, "b", OCLIN_F32, 1, l->out, OCLIN_READS}};
    memcpy(call->uses, uses, sizeof uses);
    return oclin_uses_check(l->ctx, uses, FORWARD_Z);
}

/* Z = X W^T + 1 b^T, Y = act(Z); z may be NULL. */
static oclin_status run_forward(struct forward_call *call)
{
    oclin_layer *l = call->layer;
    oclin_context *ctx = l->ctx;
    struct oclin_product p = {
        .id = OCLIN_KERNEL_FORWARD, .activation = l->activation, .alpha = l->alpha, .scale = 1.0f};
    p.a = oclin_operand_of(call->x);
    p.b = oclin_operand_of(l->w);
    p.c = oclin_operand_of(call->y);
    p.bias = oclin_operand_of(l->b);
    p.z = oclin_operand_of(call->z);
    p.m = call->x->rows;
    p.n = l->out;
    p.k = l->in;
    p.transposed = l->transposed;
    p.flags = (l->bias ? OCLIN_FLAG_BIAS : 0) | (call->adds ? OCLIN_FLAG_ACCUMULATE : 0);
    if (call->z) p.flags |= keeps_z(l) ? OCLIN_FLAG_KEEP_Z : OCLIN_FLAG_KEEP_ACT;
    OCLIN_TRY(oclin_product_prepare(ctx, &p));
    call->roundings.y = oclin_additions(&p, &p.plan, OCLIN_SUM_OF_PRODUCTS);
    OCLIN_TRY(oclin_uses_settle(call->uses, FORWARD_Z + 1));
    const oclin_status status = oclin_product_enqueue(ctx, &p);
    oclin_uses_written(call->uses, FORWARD_Z + 1, status);
    return status;
}

/* Runs a forward whose operands have been checked, and verifies its results if the context asks for it. */
static oclin_status verified_forward(struct forward_call *call)
{
    const struct oclin_linear linear = linear_of(call->layer);
    const oclin_tensor *z = call->z;
    const int verify = call->layer->ctx->verify;
    struct oclin_before before;
    if (call->x->rows == 0) return OCLIN_OK;
    if (verify)
        OCLIN_TRY(oclin_verify_before_forward(&linear, z ? z->rows : call->x->rows,
                                              call->adds ? call->y : NULL, &before));
    OCLIN_TRY(run_forward(call));
    if (!verify) return OCLIN_OK;
    const oclin_status status = oclin_verify_forward(&linear, call->x, call->y, call->z, keeps_z(call->layer),
                                                     &before, &call->roundings);
    return oclin_uses_verified(call->uses, FORWARD_Z + 1, status);
}

static oclin_status infer(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, int adds)
{
    struct forward_call call = {.layer = l, .x = x, .y = y, .adds = adds};
    OCLIN_TRY(check_forward(&call));
    return verified_forward(&call);
}

oclin_status oclin_layer_infer(oclin_layer *l, oclin_tensor *x, oclin_tensor *y)
{
    OCLIN_TRY(enter(l));
    return infer(l, x, y, 0);
}

static oclin_status forward(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, oclin_saved *s, int adds)
{
    struct forward_call call = {.layer = l, .x = x, .y = y, .adds = adds};
    OCLIN_TRY(check_forward(&call));
    if (s->ctx != l->ctx) return oclin_fail(l->ctx, OCLIN_E_ARG, "saved belongs to another context");
    OCLIN_TRY(need_z(l, s, x->rows, adds));
    oclin_tensor *z = call.z = z_for(l, s, x->rows, adds);
    call.uses[FORWARD_Z] = oclin_use_as_it_is(z, "z", OCLIN_WRITES);
    const oclin_status status = verified_forward(&call);
    if (status != OCLIN_OK && status != OCLIN_E_VERIFY) {
        if (z && z == s->z && z->unspecified) s->layer = 0; /* what it held is lost */
        return status;
    }
    adopt_z(s, z);
    remember(l, s, x, y, adds);
    return status;
}

oclin_status oclin_layer_forward(oclin_layer *l, oclin_tensor *x, oclin_tensor *y)
{
    OCLIN_TRY(enter(l));
    return forward(l, x, y, l->saved, 0);
}

oclin_status oclin_layer_forward_saved(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, oclin_saved *saved)
{
    OCLIN_TRY(enter_saved(l, saved));
    return forward(l, x, y, saved, 0);
}

/* Begins a call with options, and fills in the layer's own saved state. */
static oclin_status enter_with(const oclin_layer *l, const struct oclin_call_options *from,
                               struct oclin_call_options *o)
{
    OCLIN_TRY(enter(l));
    OCLIN_TRY(oclin_options_read(l->ctx, o, sizeof *o, from));
    if (o->accumulate != 0 && o->accumulate != 1)
        return oclin_fail(l->ctx, OCLIN_E_ARG, "accumulate is %d, 0 or 1 is needed", o->accumulate);
    if (o->reserved != 0) return oclin_fail(l->ctx, OCLIN_E_ARG, "reserved is %d, 0 is needed", o->reserved);
    if (!o->saved) o->saved = l->saved;
    return OCLIN_OK;
}

oclin_status oclin_layer_forward_with(oclin_layer *l, oclin_tensor *x, oclin_tensor *y,
                                      const struct oclin_call_options *options)
{
    struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
    OCLIN_TRY(enter_with(l, options, &o));
    return forward(l, x, y, o.saved, o.accumulate);
}

oclin_status oclin_layer_infer_with(oclin_layer *l, oclin_tensor *x, oclin_tensor *y,
                                    const struct oclin_call_options *options)
{
    struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
    OCLIN_TRY(enter_with(l, options, &o));
    return infer(l, x, y, o.accumulate);
}

/* -------------------------------------------------------------------------------------------- backward */

static int is_cleared(const oclin_tensor *gradient)
{
    return !gradient || gradient->cleared;
}

/* A backward writes dw and db: it adds to both where one of them is not cleared. A step writes w and b. */
static void set_uses(struct backward_call *call)
{
    const oclin_layer *l = call->layer;
    const oclin_saved *s = call->saved;
    const int adds = !is_cleared(l->dw) || !is_cleared(l->db), x_alone = call->x_alone;
    const int gradients = call->change || x_alone ? 0 : adds ? OCLIN_ADDS : OCLIN_WRITES;
    const int w = call->change ? OCLIN_ADDS : OCLIN_READS;
    const int b = x_alone ? 0 : call->change && call->change->check.learns_b ? OCLIN_ADDS : OCLIN_READS;
    oclin_tensor *z = keeps_apart(l, s->apart) && s->batch > 0 ? s->z : NULL;
    const struct oclin_use uses[] = {
        [USE_DY] = {call->dy, "dy", OCLIN_F32, s->batch, l->out, OCLIN_READS},
        [USE_X] = oclin_use_as_it_is(s->x, "x", x_alone ? 0 : OCLIN_READS),
        [USE_Y] = oclin_use_as_it_is(s->y, "y", OCLIN_READS),
        [USE_Z] = oclin_use_as_it_is(z, "z", OCLIN_READS),
        [USE_DX] = {call->dx, "dx", OCLIN_F32, s->batch, l->in, call->adds ? OCLIN_ADDS : OCLIN_WRITES},
        [USE_W] = {l->w, "w", OCLIN_F32, w_rows(l), w_cols(l), w},
        [USE_B] = {l->b, "b", OCLIN_F32, 1, l->out, b},
        [USE_DW] = {l->dw, "dw", OCLIN_F32, w_rows(l), w_cols(l), gradients},
        [USE_DB] = {l->db, "db", OCLIN_F32, 1, l->out, gradients}};
    memset(call->uses, 0, sizeof call->uses);
    memcpy(call->uses, uses, sizeof uses);
    if (call->change && call->change->call) oclin_update_uses(call->change->call, call->uses + USE_UPDATE);
}

static oclin_status check_backward(struct backward_call *call)
{
    oclin_context *ctx = call->layer->ctx;
    if (!call->dy) return oclin_fail(ctx, OCLIN_E_ARG, "dy is NULL");
    OCLIN_TRY(check_saved(call->layer, call->saved, !call->x_alone));
    set_uses(call);
    return oclin_uses_check(ctx, call->uses, BACKWARD_USES);
}

/* Sets what both products have in common: the operand that carries dZ, which is dY with the tensor that its
 * derivative is computed from. */
static void set_grad_z(struct oclin_product *p, const struct backward_call *call)
{
    const oclin_saved *s = call->saved;
    p->activation = call->layer->activation;
    p->alpha = call->layer->alpha;
    p->transposed = call->layer->transposed;
    p->a = oclin_operand_of(call->dy);
    p->s = oclin_operand_of(stored(call->layer, s));
}

/* (3) dX = dZ W */
static struct oclin_product product_dx(const struct backward_call *call)
{
    const oclin_layer *l = call->layer;
    struct oclin_product p = {
        .id = OCLIN_KERNEL_GRAD_X, .m = call->saved->batch, .n = l->in, .k = l->out, .scale = 1.0f};
    set_grad_z(&p, call);
    p.b = oclin_operand_of(l->w);
    p.c = oclin_operand_of(call->dx); /* NULL for one pass without dX */
    p.flags = call->adds ? OCLIN_FLAG_ACCUMULATE : 0;
    return p;
}

/* Makes the product update. Its state is read and written as W is: in quads where rows allow it. */
static void set_change(struct oclin_product *p, const struct change *change)
{
    const struct oclin_operand *state = &change->updates.w.state;
    p->updates = &change->updates;
    p->flags |= OCLIN_FLAG_UPDATE;
    if (state->mem) p->c.aligned = p->c.aligned && state->aligned;
}

/* (1) dW += dZ^T X and (2) db += column sums of dZ, or the update by them */
static struct oclin_product product_dw(const struct backward_call *call)
{
    const oclin_layer *l = call->layer;
    const int64_t batch = call->saved->batch;
    const struct change *change = call->change;
    struct oclin_product p = {.id = OCLIN_KERNEL_GRAD_W, .m = l->out, .n = l->in, .k = batch};
    set_grad_z(&p, call);
    p.b = oclin_operand_of(call->saved->x);
    p.c = oclin_operand_of(change ? l->w : l->dw);
    p.db = oclin_operand_of(change ? l->b : l->db);
    p.scale = l->gradient == OCLIN_GRAD_MEAN ? (float)(1.0 / (double)batch) : 1.0f;
    p.flags = l->bias && (!change || change->check.learns_b) ? OCLIN_FLAG_BIAS : 0;
    if (change)
        set_change(&p, change);
    else if (!is_cleared(l->dw) || (l->bias && !is_cleared(l->db)))
        p.flags |= OCLIN_FLAG_ACCUMULATE;
    return p;
}

/* Returns the product that makes all three in one pass over W. */
static struct oclin_product product_one_pass(const struct backward_call *call, const struct oclin_product *dw)
{
    struct oclin_product p = product_dx(call);
    p.id = OCLIN_KERNEL_ONE_PASS;
    p.flags = call->dx ? OCLIN_FLAG_DX : 0;
    if (!call->dx) p.c = dw->c; /* some valid buffer */
    p.x = dw->b;
    p.dw = dw->c;
    p.db = dw->db;
    p.scale = dw->scale;
    p.updates = dw->updates;
    if (!call->x_alone) p.flags |= OCLIN_FLAG_DW | dw->flags;
    return p;
}

static void dx_written(const struct backward_call *call, oclin_status status)
{
    oclin_uses_written(&call->uses[USE_DX], 1, status);
}

/* Marks the gradients, or the parameters, as written. */
static void dw_written(const struct backward_call *call, oclin_status status)
{
    oclin_uses_written(&call->uses[USE_W], BACKWARD_USES - USE_W, status);
}

/* Notes the roundings that a prepared dW, or one pass, has in the sums of dW and db. */
static void note_dw(struct oclin_roundings *roundings, const struct oclin_product *p)
{
    roundings->db = oclin_additions(p, &p->plan, OCLIN_SUM_OF_A);
    roundings->dw =
        p->id == OCLIN_KERNEL_ONE_PASS ? roundings->db : oclin_additions(p, &p->plan, OCLIN_SUM_OF_PRODUCTS);
}

/* Enqueues what comes before the kernels of an update, if anything does. */
static oclin_status enqueue_change(const struct change *change)
{
    return change && change->call ? oclin_update_enqueue(change->call) : OCLIN_OK;
}

static oclin_status verify_counts(const struct change *change)
{
    return change && change->call ? oclin_update_verify(change->call) : OCLIN_OK;
}

/* dX comes first, because it needs the old W. */
static oclin_status run_two_products(const struct backward_call *call, struct oclin_product *dw,
                                     struct oclin_roundings *roundings)
{
    oclin_context *ctx = call->layer->ctx;
    struct oclin_product dx;
    if (!call->x_alone) {
        OCLIN_TRY(oclin_product_prepare(ctx, dw));
        note_dw(roundings, dw);
    }
    if (call->dx) {
        dx = product_dx(call);
        OCLIN_TRY(oclin_product_prepare(ctx, &dx));
        roundings->dx = oclin_additions(&dx, &dx.plan, OCLIN_SUM_OF_PRODUCTS);
    }
    OCLIN_TRY(oclin_uses_settle(call->uses, BACKWARD_USES));
    oclin_status status = call->dx ? oclin_product_enqueue(ctx, &dx) : OCLIN_OK;
    dx_written(call, status);
    if (status != OCLIN_OK || call->x_alone) return status;
    status = enqueue_change(call->change);
    if (status == OCLIN_OK) status = oclin_product_enqueue(ctx, dw);
    dw_written(call, status);
    /* a caller who tries again would add to dx once more */
    if (status != OCLIN_OK && call->adds) dx_written(call, status);
    return status;
}

static oclin_status run_backward(const struct backward_call *call, struct oclin_roundings *roundings)
{
    oclin_context *ctx = call->layer->ctx;
    struct oclin_product dw = product_dw(call), grads = product_one_pass(call, &dw);
    /* in one pass dX is read between its sums, which not every buffer allows, and what it held would be
     * rounded with each of them */
    if (!oclin_plan_one_pass(ctx, &grads) || (call->dx && (!call->dx->readable || call->adds)))
        return run_two_products(call, &dw, roundings);
    const oclin_status prepared = oclin_product_prepare(ctx, &grads);
    /* where one pass cannot be had, two products are run; but a caller who names the plan, or a folder of
     * kernels, gets the failure to build it, or to get its memory */
    if (prepared == OCLIN_E_DEVICE ||
        ((prepared == OCLIN_E_BUILD || prepared == OCLIN_E_MEMORY) && !ctx->plan.name[0] && !ctx->cl_dir)) {
        oclin_forget_error(ctx); /* the log has it */
        return run_two_products(call, &dw, roundings);
    }
    OCLIN_TRY(prepared);
    note_dw(roundings, &grads);
    roundings->dx = oclin_additions(&grads, &grads.plan, OCLIN_SUM_OF_PRODUCTS);
    OCLIN_TRY(oclin_uses_settle(call->uses, BACKWARD_USES));
    oclin_status status = enqueue_change(call->change);
    if (status == OCLIN_OK) status = oclin_product_enqueue(ctx, &grads);
    dx_written(call, status);
    dw_written(call, status);
    return status;
}

/* Names the states that an update changes, for the check. */
static void set_states(struct oclin_linear *linear, const struct oclin_update_call *call)
{
    const struct oclin_parameter *w = call->parameters[0], *b = call->parameters[1];
    if (w) memcpy(linear->w_states, w->states, sizeof w->states);
    if (b) memcpy(linear->b_states, b->states, sizeof b->states);
}

static oclin_status verified_backward(const struct backward_call *call)
{
    const int verify = call->layer->ctx->verify;
    const oclin_saved *s = call->saved;
    struct oclin_backward_check check = {.layer = linear_of(call->layer),
                                         .batch = s->batch,
                                         .x = s->x,
                                         .s = stored(call->layer, s),
                                         .dy = call->dy,
                                         .dx = call->dx,
                                         .update = call->change ? &call->change->check : NULL};
    if (call->change && call->change->call) set_states(&check.layer, call->change->call);
    if (call->x_alone) check.x = check.layer.b = check.layer.dw = check.layer.db = NULL; /* not to be read */
    struct oclin_before before;
    struct oclin_roundings roundings;
    /* z may have room for a larger batch; one that another layer has left in the state is not read */
    const int64_t z_rows = check.s == s->z && s->z ? s->z->rows : 0,
                  rows = z_rows > s->batch ? z_rows : s->batch;
    if (verify) OCLIN_TRY(oclin_verify_before(&check.layer, rows, call->adds ? call->dx : NULL, &before));
    OCLIN_TRY(run_backward(call, &roundings));
    if (!verify) return OCLIN_OK;
    oclin_status status = oclin_verify_backward(&check, &before, &roundings);
    if (status == OCLIN_OK) status = verify_counts(call->change);
    return oclin_uses_verified(call->uses, BACKWARD_USES, status);
}

static oclin_status backward(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, oclin_saved *s, int adds)
{
    struct backward_call call = {.layer = l, .saved = s, .dy = dy, .dx = dx, .adds = adds};
    OCLIN_TRY(check_backward(&call));
    OCLIN_TRY(need_dw(l));
    OCLIN_TRY(need_db(l));
    call.uses[USE_DW].tensor = l->dw; /* a new one is cleared, which NULL counted as */
    call.uses[USE_DB].tensor = l->db;
    if (s->batch > 0) OCLIN_TRY(verified_backward(&call));
    l->computed = 1;
    return OCLIN_OK;
}

oclin_status oclin_layer_backward(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx)
{
    OCLIN_TRY(enter(l));
    return backward(l, dy, dx, l->saved, 0);
}

oclin_status oclin_layer_backward_saved(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                        oclin_saved *saved)
{
    OCLIN_TRY(enter_saved(l, saved));
    return backward(l, dy, dx, saved, 0);
}

static oclin_status backward_x(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, oclin_saved *s, int adds)
{
    if (!dx) return oclin_fail(l->ctx, OCLIN_E_ARG, "dx is NULL");
    struct backward_call call = {.layer = l, .saved = s, .dy = dy, .dx = dx, .x_alone = 1, .adds = adds};
    OCLIN_TRY(check_backward(&call));
    return s->batch == 0 ? OCLIN_OK : verified_backward(&call);
}

oclin_status oclin_layer_backward_x(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx)
{
    OCLIN_TRY(enter(l));
    return backward_x(l, dy, dx, l->saved, 0);
}

oclin_status oclin_layer_backward_x_saved(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                          oclin_saved *saved)
{
    OCLIN_TRY(enter_saved(l, saved));
    return backward_x(l, dy, dx, saved, 0);
}

static oclin_status check_lr(oclin_context *ctx, float lr)
{
    if (!(lr >= 0.0f) || isinf(lr))
        return oclin_fail(ctx, OCLIN_E_ARG, "lr is %g, a finite number >= 0 is needed", (double)lr);
    return OCLIN_OK;
}

/* Makes plain SGD a change, with the name of the operation. */
static struct change plain_sgd(const oclin_layer *l, float lr, const char *operation)
{
    struct change change = {.updates = {.fragment = oclin_plain_sgd}};
    const struct oclin_ref_update reference = {
        .size = sizeof reference, .rule = OCLIN_SGD_OPTIONS_INIT, .lr = (double)lr, .factor = 1};
    change.updates.w.numbers = change.updates.b.numbers = oclin_plain_numbers((double)lr);
    change.check = (struct oclin_update_check){
        .w = reference, .b = reference, .operation = operation, .learns_b = l->bias};
    return change;
}

/* Backward with a change of the parameters, whose gradients are cleared. */
static oclin_status backward_change(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                    const struct change *change, oclin_saved *s, int adds)
{
    struct backward_call call = {.layer = l, .saved = s, .dy = dy, .dx = dx, .change = change, .adds = adds};
    OCLIN_TRY(check_backward(&call));
    return s->batch == 0 ? OCLIN_OK : verified_backward(&call);
}

static oclin_status backward_step(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, float lr,
                                  oclin_saved *s, int adds)
{
    OCLIN_TRY(check_lr(l->ctx, lr));
    if (!is_cleared(l->dw) || !is_cleared(l->db))
        return oclin_fail(l->ctx, OCLIN_E_STATE,
                          "backward_step needs cleared gradients; call oclin_layer_zero_grad first");
    const struct change change = plain_sgd(l, lr, "backward_step");
    return backward_change(l, dy, dx, &change, s, adds);
}

oclin_status oclin_layer_backward_step(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, float lr)
{
    OCLIN_TRY(enter(l));
    return backward_step(l, dy, dx, lr, l->saved, 0);
}

oclin_status oclin_layer_backward_step_saved(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, float lr,
                                             oclin_saved *saved)
{
    OCLIN_TRY(enter_saved(l, saved));
    return backward_step(l, dy, dx, lr, saved, 0);
}

oclin_status oclin_layer_backward_with(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                       const struct oclin_call_options *options)
{
    struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
    OCLIN_TRY(enter_with(l, options, &o));
    return backward(l, dy, dx, o.saved, o.accumulate);
}

oclin_status oclin_layer_backward_x_with(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                         const struct oclin_call_options *options)
{
    struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
    OCLIN_TRY(enter_with(l, options, &o));
    return backward_x(l, dy, dx, o.saved, o.accumulate);
}

oclin_status oclin_layer_backward_step_with(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, float lr,
                                            const struct oclin_call_options *options)
{
    struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
    OCLIN_TRY(enter_with(l, options, &o));
    return backward_step(l, dy, dx, lr, o.saved, o.accumulate);
}

static oclin_status zero_grad(oclin_layer *l)
{
    OCLIN_TRY(before_clearing(l));
    if (l->dw) OCLIN_TRY(clear_gradient(l->dw, &l->dw_version));
    return l->db ? clear_gradient(l->db, &l->db_version) : OCLIN_OK;
}

oclin_status oclin_layer_zero_grad(oclin_layer *l)
{
    OCLIN_TRY(enter(l));
    return zero_grad(l);
}

static int has_gradient(const oclin_layer *l)
{
    return l->computed || (l->dw && l->dw->version != l->dw_version) ||
           (l->db && l->db->version != l->db_version);
}

int oclin_layer_has_gradient(const oclin_layer *l)
{
    return has_gradient(l);
}

oclin_status oclin_layer_gradient_call(oclin_layer *l, oclin_tensor *dy, oclin_saved *saved,
                                       struct oclin_gradient_call *g)
{
    oclin_saved *s = saved ? saved : l->saved;
    struct backward_call call = {.layer = l, .saved = s, .dy = dy};
    OCLIN_TRY(check_saved(l, s, 1));
    set_uses(&call);
    *g = (struct oclin_gradient_call){
        .layer = linear_of(l), .batch = s->batch, .dy = dy, .x = s->x, .s = stored(l, s)};
    memcpy(g->uses, call.uses + USE_DY, sizeof g->uses);
    g->dw = product_dw(&call);
    return OCLIN_OK;
}

/* The uses of a step: pairs of a parameter and its gradient, and then what an update has besides. */
enum { STEP_W, STEP_DW, STEP_B, STEP_DB, STEP_UPDATE };
enum { STEP_USES = STEP_UPDATE + OCLIN_UPDATE_USES };

/* Prepares the updates of w and b by their gradients; a pair without tensors is left out. */
static oclin_status prepare_steps(oclin_context *ctx, const struct oclin_use *uses,
                                  const struct change *change, struct oclin_step steps[2])
{
    const struct oclin_update_of *of[] = {&change->updates.w, &change->updates.b};
    for (int i = 0; i < 2; i++) {
        steps[i] = (struct oclin_step){.w = uses[2 * i].tensor,
                                       .dw = uses[2 * i + 1].tensor,
                                       .fragment = change->updates.fragment,
                                       .update = *of[i]};
        if (steps[i].w) OCLIN_TRY(oclin_step_prepare(ctx, &steps[i]));
    }
    return OCLIN_OK;
}

/* Marks what the updates have written, or may have: if the second one failed, it is not known whether the
 * first has changed its parameter already. */
static void step_written(const struct oclin_use *uses, int reached_b, oclin_status status)
{
    enum { STATE_OF_W = STEP_UPDATE };
    oclin_uses_written(uses, reached_b ? STEP_USES : STEP_B, status);
    if (!reached_b) oclin_uses_written(&uses[STATE_OF_W], 1, status);
}

/* Runs these updates. All are prepared before one is enqueued. */
static oclin_status run_step(oclin_context *ctx, const struct oclin_use *uses, const struct change *change)
{
    struct oclin_step steps[2];
    OCLIN_TRY(prepare_steps(ctx, uses, change, steps));
    OCLIN_TRY(oclin_uses_settle(uses, STEP_USES));
    oclin_status status = enqueue_change(change);
    int tried = 0;
    for (; tried < 2 && status == OCLIN_OK; tried++)
        if (steps[tried].w) status = oclin_step_enqueue(ctx, &steps[tried]);
    step_written(uses, tried == 2 || (change->call && change->call->numbers), status);
    return status;
}

/* Sets the operands of a step. A gradient that is cleared, or missing, changes nothing. */
static void set_step_uses(const oclin_layer *l, int steps_w, int steps_b, struct oclin_use uses[STEP_USES])
{
    const struct oclin_use all[] = {
        [STEP_W] = {steps_w ? l->w : NULL, "w", OCLIN_F32, w_rows(l), w_cols(l), OCLIN_ADDS},
        [STEP_DW] = {steps_w ? l->dw : NULL, "dw", OCLIN_F32, w_rows(l), w_cols(l), OCLIN_READS},
        [STEP_B] = {steps_b ? l->b : NULL, "b", OCLIN_F32, 1, l->out, OCLIN_ADDS},
        [STEP_DB] = {steps_b ? l->db : NULL, "db", OCLIN_F32, 1, l->out, OCLIN_READS}};
    memset(uses, 0, STEP_USES * sizeof *uses);
    memcpy(uses, all, sizeof all);
}

/* Drops the pairs whose gradient is cleared. */
static void drop_cleared(struct oclin_use *uses)
{
    for (int i = STEP_W; i < STEP_UPDATE; i += 2)
        if (is_cleared(uses[i + 1].tensor)) uses[i].tensor = uses[i + 1].tensor = NULL;
}

/* Checks everything that a step of these operands needs. */
static oclin_status check_step(const oclin_layer *l, const struct oclin_use *uses)
{
    OCLIN_TRY(oclin_uses_check(l->ctx, uses, STEP_USES));
    if (has_gradient(l)) return OCLIN_OK;
    return oclin_fail(l->ctx, OCLIN_E_STATE, "step before any gradient was computed or written");
}

/* Runs a step that was checked, and verifies it if the context asks for it. */
static oclin_status verified_step(struct oclin_linear linear, const struct oclin_use *uses,
                                  const struct change *change)
{
    oclin_context *ctx = linear.ctx;
    struct oclin_before before;
    linear.dw = uses[STEP_DW].tensor; /* what does not change is not looked at */
    linear.db = uses[STEP_DB].tensor;
    if (change->call) set_states(&linear, change->call);
    if (ctx->verify) OCLIN_TRY(oclin_verify_before(&linear, 0, NULL, &before));
    OCLIN_TRY(run_step(ctx, uses, change));
    if (!ctx->verify) return OCLIN_OK;
    oclin_status status = oclin_verify_update(&linear, &change->check, &before);
    if (status == OCLIN_OK) status = verify_counts(change);
    return oclin_uses_verified(uses, STEP_USES, status);
}

oclin_status oclin_layer_step(oclin_layer *l, float lr)
{
    OCLIN_TRY(enter(l));
    OCLIN_TRY(check_lr(l->ctx, lr));
    struct oclin_use uses[STEP_USES];
    set_step_uses(l, 1, l->bias, uses);
    OCLIN_TRY(check_step(l, uses));
    drop_cleared(uses);
    const struct change change = plain_sgd(l, lr, "step");
    return verified_step(linear_of(l), uses, &change);
}

/* ---------------------------------------------------------------------------------------------- updates */

oclin_status oclin_optimizer_add(oclin_optimizer *optimizer, oclin_layer *l,
                                 const struct oclin_parameter_options *options)
{
    if (!optimizer) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(optimizer->ctx));
    if (!l) return oclin_fail(optimizer->ctx, OCLIN_E_ARG, "layer is NULL");
    const struct oclin_trainable layer = {l->ctx, l->id, l->w, l->b, l->dw, l->db};
    return oclin_optimizer_add_layer(optimizer, &layer, options);
}

/* Begins an update of the layer's parameters. */
static oclin_status enter_update(const oclin_layer *l, oclin_optimizer *optimizer,
                                 const struct oclin_update *update, struct oclin_update_call *call,
                                 struct oclin_member **member)
{
    OCLIN_TRY(enter(l));
    if (!optimizer) return oclin_fail(l->ctx, OCLIN_E_ARG, "optimizer is NULL");
    if (optimizer->ctx != l->ctx)
        return oclin_fail(l->ctx, OCLIN_E_ARG, "the optimizer belongs to another context");
    OCLIN_TRY(oclin_update_read(call, optimizer, update));
    *member = oclin_optimizer_member(optimizer, l->id);
    if (!*member)
        return oclin_fail(l->ctx, OCLIN_E_ARG, "the layer was not added: call oclin_optimizer_add first");
    return OCLIN_OK;
}

/* Makes a prepared update a change. */
static struct change change_of(struct oclin_update_call *call, const char *operation)
{
    struct change change = {.updates = call->updates, .call = call};
    change.check = (struct oclin_update_check){.w = call->reference[0],
                                               .b = call->reference[1],
                                               .operation = operation,
                                               .learns_b = call->parameters[1] != NULL,
                                               .skipped = call->skipped};
    return change;
}

/* Counts the step of an update that ran, even if it was found to be wrong. */
static oclin_status counted(struct oclin_update_call *call, oclin_status status)
{
    if (status == OCLIN_OK || status == OCLIN_E_VERIFY) oclin_update_count(call);
    return status;
}

/* Sets the parameters of an update by stored gradients, and its operands. */
static void set_update_uses(const oclin_layer *l, const struct oclin_member *m,
                            struct oclin_update_call *call, struct oclin_use uses[STEP_USES])
{
    set_step_uses(l, m->w && m->leads, m->b != NULL, uses);
    call->parameters[0] = m->leads ? m->w : NULL;
    call->parameters[1] = m->b;
    oclin_update_uses(call, uses + STEP_UPDATE);
}

/* The update by the gradients that are stored. */
static oclin_status update_by_gradients(oclin_layer *l, const struct oclin_member *m,
                                        struct oclin_update_call *call, const char *operation)
{
    struct oclin_use uses[STEP_USES];
    set_update_uses(l, m, call, uses);
    OCLIN_TRY(check_step(l, uses));
    drop_cleared(uses);
    for (int i = 0; i < 2; i++)
        if (!uses[2 * i].tensor) call->parameters[i] = NULL;
    OCLIN_TRY(oclin_update_prepare(call));
    oclin_update_uses(call, uses + STEP_UPDATE);
    OCLIN_TRY(oclin_uses_check(l->ctx, uses, STEP_USES)); /* the counts, too */
    const struct change change = change_of(call, operation);
    return counted(call, verified_step(linear_of(l), uses, &change));
}

oclin_status oclin_layer_update(oclin_layer *l, oclin_optimizer *optimizer, const struct oclin_update *update)
{
    struct oclin_update_call call;
    struct oclin_member *m;
    OCLIN_TRY(enter_update(l, optimizer, update, &call, &m));
    return m->freeze == OCLIN_FREEZE_LAYER ? OCLIN_OK : update_by_gradients(l, m, &call, "update");
}

oclin_status oclin_tensor_update(oclin_tensor *w, oclin_optimizer *optimizer,
                                 const struct oclin_update *update)
{
    struct oclin_update_call call;
    struct oclin_use uses[STEP_USES];
    if (!w) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(w);
    OCLIN_TRY(oclin_enter(ctx));
    if (!optimizer) return oclin_fail(ctx, OCLIN_E_ARG, "optimizer is NULL");
    if (optimizer->ctx != ctx)
        return oclin_fail(ctx, OCLIN_E_ARG, "the optimizer belongs to another context");
    OCLIN_TRY(oclin_update_read(&call, optimizer, update));
    struct oclin_parameter *p = call.parameters[0] = oclin_optimizer_parameter(optimizer, w);
    if (!p || !p->is_tensor)
        return oclin_fail(ctx, OCLIN_E_ARG,
                          "the tensor was not added: call oclin_optimizer_add_tensor first");
    memset(uses, 0, sizeof uses);
    uses[STEP_W] = oclin_use_as_it_is(p->w, "w", OCLIN_ADDS);
    uses[STEP_DW] = oclin_use_as_it_is(p->gradient, "the gradient", OCLIN_READS);
    oclin_update_uses(&call, uses + STEP_UPDATE);
    OCLIN_TRY(oclin_uses_check(ctx, uses, STEP_USES));
    if (is_cleared(p->gradient) || w->rows == 0) return OCLIN_OK;
    if (!oclin_tensor_ever_written(p->gradient))
        return oclin_fail(ctx, OCLIN_E_STATE, "update before the gradient was computed or written");
    OCLIN_TRY(oclin_update_prepare(&call));
    oclin_update_uses(&call, uses + STEP_UPDATE);
    OCLIN_TRY(oclin_uses_check(ctx, uses, STEP_USES)); /* the counts, too */
    const struct change change = change_of(&call, "update");
    const struct oclin_linear linear = {
        .ctx = ctx, .in = p->w->cols, .out = p->w->rows, .w = p->w, .dw = p->gradient};
    return counted(&call, verified_step(linear, uses, &change));
}

/* Checks and prepares all that the update behind a backward needs: once the gradients have changed, only the
 * device may fail. */
static oclin_status prepare_update_behind(const struct backward_call *fused, const struct oclin_member *m,
                                          struct oclin_update_call *call)
{
    oclin_layer *l = fused->layer;
    struct oclin_use uses[STEP_USES];
    struct oclin_step steps[2];
    struct oclin_linear linear = linear_of(l);
    struct backward_call checked = *fused;
    OCLIN_TRY(check_backward(&checked));
    OCLIN_TRY(need_dw(l));
    OCLIN_TRY(need_db(l));
    set_step_uses(l, 1, m->b != NULL, uses);
    OCLIN_TRY(prepare_steps(l->ctx, uses, fused->change, steps));
    set_states(&linear, call);
    return l->ctx->verify ? oclin_verify_room(&linear, 0) : OCLIN_OK;
}

/* What micro-batches have stored is completed by this batch, and used up. */
static oclin_status backward_then_update(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                         const struct oclin_member *m, struct oclin_update_call *call,
                                         oclin_saved *s, int adds)
{
    const struct change change = change_of(call, "backward_update");
    const struct backward_call fused = {
        .layer = l, .saved = s, .dy = dy, .dx = dx, .change = &change, .adds = adds};
    OCLIN_TRY(prepare_update_behind(&fused, m, call));
    OCLIN_TRY(backward(l, dy, dx, s, adds));
    oclin_status status = update_by_gradients(l, m, call, "backward_update");
    if (status == OCLIN_E_VERIFY) return zero_grad(l) == OCLIN_OK ? status : OCLIN_E_CL;
    if (status == OCLIN_OK) status = zero_grad(l);
    if (status == OCLIN_OK) return status;
    /* a caller who tries again would add this batch once more */
    oclin_tensor_written(l->dw, status);
    if (l->db) oclin_tensor_written(l->db, status);
    if (dx && adds) oclin_tensor_written(dx, status);
    return status;
}

/* dX is all that there is to make; without it, its arguments are checked all the same. */
static oclin_status backward_frozen(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, oclin_saved *s,
                                    int adds)
{
    struct backward_call call = {.layer = l, .saved = s, .dy = dy, .x_alone = 1};
    return dx ? backward_x(l, dy, dx, s, adds) : check_backward(&call);
}

static oclin_status fail_tied(const oclin_layer *l)
{
    return oclin_fail(l->ctx, OCLIN_E_ARG,
                      "w is tied to another layer's: its update cannot be fused with backward; call "
                      "oclin_layer_backward and oclin_layer_update");
}

static oclin_status backward_update(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                    const struct oclin_member *m, struct oclin_update_call *call,
                                    oclin_saved *s, int adds)
{
    if (m->freeze == OCLIN_FREEZE_LAYER) return backward_frozen(l, dy, dx, s, adds);
    if (m->w->tied) return fail_tied(l);
    call->parameters[0] = m->w;
    call->parameters[1] = m->b;
    OCLIN_TRY(oclin_update_prepare(call));
    if (!is_cleared(l->dw) || !is_cleared(l->db)) return backward_then_update(l, dy, dx, m, call, s, adds);
    const struct change change = change_of(call, "backward_update");
    const oclin_status status = backward_change(l, dy, dx, &change, s, adds);
    return s->batch > 0 ? counted(call, status) : status;
}

oclin_status oclin_layer_backward_update_with(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                              oclin_optimizer *optimizer, const struct oclin_update *update,
                                              const struct oclin_call_options *options)
{
    struct oclin_update_call call;
    struct oclin_member *m;
    struct oclin_call_options o = OCLIN_CALL_OPTIONS_INIT;
    OCLIN_TRY(enter_with(l, options, &o));
    OCLIN_TRY(enter_update(l, optimizer, update, &call, &m));
    return backward_update(l, dy, dx, m, &call, o.saved, o.accumulate);
}

oclin_status oclin_layer_backward_update(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                         oclin_optimizer *optimizer, const struct oclin_update *update)
{
    return oclin_layer_backward_update_with(l, dy, dx, optimizer, update, NULL);
}

/* -------------------------------------------------------------------------------------- access, workspace */

oclin_tensor *oclin_layer_w(oclin_layer *l)
{
    return l ? l->w : NULL;
}

oclin_tensor *oclin_layer_b(oclin_layer *l)
{
    return l ? l->b : NULL;
}

oclin_tensor *oclin_layer_dw(oclin_layer *l)
{
    return l && oclin_enter(l->ctx) == OCLIN_OK && need_dw(l) == OCLIN_OK ? l->dw : NULL;
}

oclin_tensor *oclin_layer_db(oclin_layer *l)
{
    return l && oclin_enter(l->ctx) == OCLIN_OK && need_db(l) == OCLIN_OK ? l->db : NULL;
}

int64_t oclin_layer_in(const oclin_layer *l)
{
    return l ? l->in : 0;
}

int64_t oclin_layer_out(const oclin_layer *l)
{
    return l ? l->out : 0;
}

/* Returns the scratch memory of the context that the first `products` (1: forward; 3: all) of a batch may ask
 * for. */
static int64_t products_scratch(const oclin_layer *l, int64_t batch, int products)
{
    static const enum oclin_kernel_id ids[] = {OCLIN_KERNEL_FORWARD, OCLIN_KERNEL_GRAD_X,
                                               OCLIN_KERNEL_GRAD_W};
    const struct oclin_shape shape = {batch, l->in, l->out};
    int64_t most = 0;
    for (int i = 0; i < products && batch > 0; i++) {
        struct oclin_product p = oclin_plan_shaped(ids[i], shape);
        p.transposed = l->transposed;
        const int64_t bytes = oclin_plan_scratch(l->ctx, &p);
        if (bytes > most) most = bytes;
    }
    return most;
}

static int64_t z_bytes(const oclin_layer *l, int64_t batch)
{
    return keeps_z(l) ? batch * l->out * oclin_element_bytes(OCLIN_F32) : 0;
}

static oclin_status check_batch(const oclin_layer *l, int64_t batch)
{
    const int64_t widest = l->in > l->out ? l->in : l->out;
    /* room for the rounding of packed operands */
    if (batch < 0 || batch > INT64_MAX - 256 ||
        oclin_multiply(oclin_multiply(batch + 256, widest + 256), 4 * (int64_t)sizeof(float)) < 0)
        return oclin_fail(l->ctx, OCLIN_E_SHAPE,
                          "a batch of %lld with %lld features is negative or overflows", (long long)batch,
                          (long long)widest);
    return OCLIN_OK;
}

static oclin_status check_workspace(const oclin_layer *l, int64_t batch, const int64_t *bytes)
{
    OCLIN_TRY(enter(l));
    if (!bytes) return oclin_fail(l->ctx, OCLIN_E_ARG, "the address for the bytes is NULL");
    return check_batch(l, batch);
}

oclin_status oclin_layer_workspace(const oclin_layer *l, int64_t batch, int64_t *bytes)
{
    OCLIN_TRY(check_workspace(l, batch, bytes));
    *bytes = z_bytes(l, batch) + products_scratch(l, batch, 3);
    return OCLIN_OK;
}

/* Counts the additions of the kernel that is tried first; where that depends on how operands lie, the larger
 * number. */
static int64_t additions_of(const oclin_layer *l, enum oclin_kernel_id id, struct oclin_shape shape,
                            enum oclin_sum sum)
{
    struct oclin_plan plan;
    struct oclin_product p = oclin_plan_shaped(id, shape);
    int64_t most = 0;
    p.activation = l->activation;
    p.transposed = l->transposed;
    for (int aligned = 0; aligned < 2; aligned++) {
        p.a =
            (struct oclin_operand){.mem = l->w->mem, .aligned = aligned}; /* any memory: it is not touched */
        const int64_t n = oclin_plan_product(l->ctx, &p, 0, &plan) ? oclin_additions(&p, &plan, sum) : p.k;
        if (n > most) most = n;
    }
    return most;
}

oclin_status oclin_layer_additions(const oclin_layer *l, oclin_result result, int64_t batch,
                                   int64_t *additions)
{
    OCLIN_TRY(enter(l));
    oclin_context *ctx = l->ctx;
    if (!additions) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the additions is NULL");
    if ((int)result < OCLIN_RESULT_Y || (int)result > OCLIN_RESULT_DB)
        return oclin_fail(ctx, OCLIN_E_ARG, "result %d is not known", (int)result);
    OCLIN_TRY(check_batch(l, batch));
    if (batch == 0) return oclin_fail(ctx, OCLIN_E_SHAPE, "a batch of 0 has no sums");
    const struct oclin_shape shape = {batch, l->in, l->out};
    struct oclin_product grads = oclin_plan_shaped(OCLIN_KERNEL_ONE_PASS, shape);
    grads.transposed = l->transposed;
    const int one_pass = oclin_plan_one_pass(ctx, &grads);
    const enum oclin_sum sum = result == OCLIN_RESULT_DB || (one_pass && result == OCLIN_RESULT_DW)
                                   ? OCLIN_SUM_OF_A
                                   : OCLIN_SUM_OF_PRODUCTS;
    const enum oclin_kernel_id id = result == OCLIN_RESULT_Y    ? OCLIN_KERNEL_FORWARD
                                    : one_pass                  ? OCLIN_KERNEL_ONE_PASS
                                    : result == OCLIN_RESULT_DX ? OCLIN_KERNEL_GRAD_X
                                                                : OCLIN_KERNEL_GRAD_W;
    *additions = additions_of(l, id, shape, sum);
    return OCLIN_OK;
}

oclin_status oclin_layer_workspace_infer(const oclin_layer *l, int64_t batch, int64_t *bytes)
{
    OCLIN_TRY(check_workspace(l, batch, bytes));
    *bytes = products_scratch(l, batch, 1);
    return OCLIN_OK;
}

oclin_status oclin_layer_reserve_infer(oclin_layer *l, int64_t batch)
{
    OCLIN_TRY(enter(l));
    OCLIN_TRY(check_batch(l, batch));
    return oclin_scratch(l->ctx, products_scratch(l, batch, 1), "a layer");
}

oclin_status oclin_layer_reserve_step(oclin_layer *l, int64_t batch)
{
    OCLIN_TRY(enter(l));
    OCLIN_TRY(check_batch(l, batch));
    OCLIN_TRY(need_z(l, l->saved, batch, 0));
    return oclin_scratch(l->ctx, products_scratch(l, batch, 3), "a layer");
}

oclin_status oclin_layer_reserve(oclin_layer *l, int64_t batch)
{
    OCLIN_TRY(oclin_layer_reserve_step(l, batch));
    OCLIN_TRY(need_dw(l));
    return need_db(l);
}

/* -------------------------------------------------------------------------------- ahead, for networks */

oclin_status oclin_layer_reserve_saved(oclin_layer *l, oclin_saved *saved, int64_t batch, int adds)
{
    OCLIN_TRY(enter(l));
    OCLIN_TRY(check_batch(l, batch));
    OCLIN_TRY(need_z(l, saved, batch, adds));
    return oclin_scratch(l->ctx, products_scratch(l, batch, 3), "a layer");
}

/* Checks what a backward needs that stores its gradients, and makes them. */
static oclin_status check_stored(oclin_layer *l, struct backward_call *call, int clears)
{
    call->change = NULL;
    set_uses(call);
    if (clears) call->uses[USE_DW].flags = call->uses[USE_DB].flags = OCLIN_WRITES;
    OCLIN_TRY(oclin_uses_check(l->ctx, call->uses, BACKWARD_USES));
    OCLIN_TRY(need_dw(l));
    return need_db(l);
}

/* Checks what the update of a layer needs that learns. */
static oclin_status check_fused(const oclin_layer *l, const struct oclin_member *m,
                                struct oclin_update_call *update, struct backward_call *call)
{
    if (m->w->tied) return fail_tied(l);
    update->parameters[0] = m->w;
    update->parameters[1] = m->b;
    struct change change = {.call = update, .check = {.learns_b = m->b != NULL}};
    call->change = &change;
    set_uses(call);
    call->change = NULL;
    return oclin_uses_check(l->ctx, call->uses, BACKWARD_USES);
}

oclin_status oclin_layer_check_backward(oclin_layer *l, const struct oclin_backward_ahead *ahead)
{
    oclin_saved stand_in = {.x = ahead->x, .batch = ahead->batch}; /* of a forward that is to come */
    if (ahead->saved) stand_in = *ahead->saved;
    struct backward_call call = {.layer = l, .saved = &stand_in, .dy = ahead->dy, .dx = ahead->dx};
    struct oclin_update_call update;
    struct oclin_member *m = NULL;
    OCLIN_TRY(enter(l));
    if (ahead->update)
        OCLIN_TRY(enter_update(l, ahead->optimizer, ahead->update, &update, &m));
    else if (ahead->optimizer)
        m = oclin_optimizer_member(ahead->optimizer, l->id);
    call.x_alone = m && m->freeze == OCLIN_FREEZE_LAYER;
    if (ahead->saved) OCLIN_TRY(check_saved(l, &stand_in, !call.x_alone));
    if (call.x_alone) {
        set_uses(&call);
        return oclin_uses_check(l->ctx, call.uses, BACKWARD_USES);
    }
    if (ahead->update) OCLIN_TRY(check_fused(l, m, &update, &call));
    const int adds = !ahead->clears && (!is_cleared(l->dw) || !is_cleared(l->db));
    return adds || !ahead->update ? check_stored(l, &call, ahead->clears) : OCLIN_OK;
}

oclin_status oclin_layer_check_update(oclin_layer *l, oclin_optimizer *optimizer,
                                      const struct oclin_update *update)
{
    struct oclin_update_call call;
    struct oclin_member *m;
    struct oclin_use uses[STEP_USES];
    OCLIN_TRY(enter_update(l, optimizer, update, &call, &m));
    if (m->freeze == OCLIN_FREEZE_LAYER) return OCLIN_OK;
    set_update_uses(l, m, &call, uses);
    return check_step(l, uses);
}
