/* The layer: argument checks, its state, and the order of products in forward, backward and step. */
#include "layer.h"

#include <math.h>
#include <stdlib.h>

#include "check/random.h"
#include "check/verify.h"
#include "core/error.h"
#include "core/memory.h"
#include "ops/activation.h"
#include "ops/product.h"
#include "plan/additions.h"
#include "plan/plan.h"

/* A backward, or a backward_step. */
struct backward_call {
    oclin_layer *layer;
    oclin_saved *saved;
    oclin_tensor *dy, *dx;
    int step;
    float lr;
};

/* What a check needs to know of it. */
static struct oclin_linear linear_of(const oclin_layer *l)
{
    return (struct oclin_linear){l->ctx,  l->in, l->out, l->activation, l->gradient,
                                 l->bias, l->w,  l->b,   l->dw,         l->db};
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
    if (!o->bias && (o->b || o->db))
        return oclin_fail(ctx, OCLIN_E_ARG, "b or db is given to a layer without bias");
    return OCLIN_OK;
}

static oclin_status check_given(oclin_context *ctx, int64_t n_in, int64_t n_out,
                                const struct oclin_layer_options *o)
{
    const struct {
        oclin_tensor *t;
        const char *name;
        int64_t rows, cols;
    } given[] = {
        {o->w, "w", n_out, n_in}, {o->b, "b", 1, n_out}, {o->dw, "dw", n_out, n_in}, {o->db, "db", 1, n_out}};
    for (int i = 0; i < 4; i++) {
        if (!given[i].t) continue;
        OCLIN_TRY(
            oclin_tensor_check(ctx, given[i].t, given[i].name, OCLIN_F32, given[i].rows, given[i].cols));
        if (!given[i].t->readable)
            return oclin_fail(ctx, OCLIN_E_ARG, "%s lies in a CL_MEM_WRITE_ONLY buffer", given[i].name);
        const int is_parameter = i < 2; /* those may serve for inference: who writes them asks */
        if (!is_parameter) OCLIN_TRY(oclin_tensor_check_writable(ctx, given[i].t, given[i].name));
        for (int j = 0; j < i; j++)
            OCLIN_TRY(oclin_tensor_check_apart(ctx, given[i].t, given[i].name, given[j].t, given[j].name));
    }
    return OCLIN_OK;
}

/* Uploads random parameters in pieces, so that the host needs little memory for a large W. */
static oclin_status initialise(oclin_layer *l, cl_command_queue queue, oclin_tensor *t, uint32_t stream,
                               const struct oclin_layer_options *o)
{
    enum { PIECE = 1 << 16 };
    const double limit = 1.0 / sqrt((double)l->in);
    const int64_t n = t->rows * t->cols;
    float *piece = malloc(PIECE * sizeof *piece);
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

/* w or b, new and initialised. */
static oclin_status make_parameter(oclin_layer *l, cl_command_queue queue, oclin_tensor **slot, int64_t rows,
                                   int64_t cols, uint32_t stream, const struct oclin_layer_options *o)
{
    OCLIN_TRY(oclin_tensor_make_by(queue, slot, l->ctx, OCLIN_F32, rows, cols));
    return initialise(l, queue, *slot, stream, o);
}

static oclin_status make_missing(oclin_layer *l, cl_command_queue queue, const struct oclin_layer_options *o)
{
    if (!l->w) OCLIN_TRY(make_parameter(l, queue, &l->w, l->out, l->in, 0, o));
    if (l->bias && !l->b) OCLIN_TRY(make_parameter(l, queue, &l->b, 1, l->out, 1, o));
    return OCLIN_OK;
}

/* The caller's, or new ones. These are written through a queue of their own: the context's may stand behind
 * an event that this very thread will set, and whoever waited for a write there would wait for ever. */
static oclin_status take_parameters(oclin_layer *l, const struct oclin_layer_options *o)
{
    l->w = oclin_tensor_retain(o->w);
    l->b = oclin_tensor_retain(o->b);
    if (l->w && (l->b || !l->bias)) return OCLIN_OK;
    cl_int error;
    cl_command_queue queue = clCreateCommandQueue(l->ctx->cl, l->ctx->device.info.device, 0, &error);
    if (error) return oclin_fail_cl(l->ctx, error, "clCreateCommandQueue for initial parameters");
    const oclin_status status = make_missing(l, queue, o);
    clReleaseCommandQueue(queue);
    return status;
}

/* Clears a gradient. `version` is what it counted when it came into being: unless somebody has written it
 * since, it stays unwritten. */
static oclin_status clear_gradient(oclin_tensor *gradient, uint64_t *version)
{
    const int unwritten = gradient->version == *version;
    OCLIN_TRY(oclin_tensor_clear(gradient));
    if (unwritten) *version = gradient->version;
    return OCLIN_OK;
}

/* Memory that holds nothing yet becomes a cleared gradient, and nobody's result. */
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

/* All that can fail when both gradients are cleared: it is both or none. */
static oclin_status before_clearing(oclin_layer *l)
{
    if (l->dw) OCLIN_TRY(oclin_tensor_settle_others(l->dw));
    return l->db ? oclin_tensor_settle_others(l->db) : OCLIN_OK;
}

/* dw and db come into being, cleared, when they are first needed. */
static oclin_status need_dw(oclin_layer *l)
{
    if (l->dw) return OCLIN_OK;
    OCLIN_TRY(oclin_tensor_make(&l->dw, l->ctx, OCLIN_F32, l->out, l->in));
    oclin_log(l->ctx, "dw of %lld x %lld comes into being", (long long)l->out, (long long)l->in);
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
    l->gradient = o.gradient;
    l->bias = o.bias;
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

/* Where the derivative is taken from z. */
static int keeps_z(const oclin_layer *l)
{
    return oclin_activation_row(l->activation)->keeps == OCLIN_KEEPS_Z;
}

static int holds(const oclin_tensor *z, const oclin_layer *l, int64_t batch)
{
    return z && z->rows >= batch && z->cols == l->out;
}

/* Room for z of a batch, where the activation keeps it. What a saved state has in its z stays until a forward
 * replaces it: a larger one waits beside it. */
static oclin_status need_z(const oclin_layer *l, oclin_saved *s, int64_t batch)
{
    if (!keeps_z(l) || batch == 0) return OCLIN_OK;
    if (holds(s->z, l, batch) || holds(s->larger_z, l, batch)) return OCLIN_OK;
    oclin_tensor *z;
    OCLIN_TRY(oclin_tensor_make(&z, l->ctx, OCLIN_F32, batch, l->out));
    oclin_log(l->ctx, "z of a layer grows to %lld x %lld", (long long)batch, (long long)l->out);
    oclin_tensor_destroy(s->larger_z);
    s->larger_z = z;
    return OCLIN_OK;
}

/* The z that a forward with this batch writes; NULL if it keeps none. */
static oclin_tensor *z_for(const oclin_layer *l, const oclin_saved *s, int64_t batch)
{
    if (!keeps_z(l) || batch == 0) return NULL;
    return holds(s->z, l, batch) ? s->z : s->larger_z;
}

/* After the forward that wrote it. */
static void adopt_z(oclin_saved *s, const oclin_tensor *z)
{
    if (!z || z != s->larger_z) return;
    oclin_tensor_destroy(s->z);
    s->z = s->larger_z;
    s->larger_z = NULL;
}

/* The pre-activation is not needed where the derivative can be had from y. */
static int needs_y(const oclin_layer *l)
{
    return oclin_activation_row(l->activation)->keeps == OCLIN_KEEPS_Y;
}

static void remember(const oclin_layer *l, oclin_saved *s, oclin_tensor *x, oclin_tensor *y)
{
    oclin_tensor *old_x = s->x, *old_y = s->y;
    s->x = oclin_tensor_retain(x);
    s->y = needs_y(l) ? oclin_tensor_retain(y) : NULL;
    s->x_version = x->version;
    s->y_version = y->version;
    s->w_version = l->w->version;
    s->batch = x->rows;
    s->layer = l->id;
    oclin_tensor_destroy(old_x);
    oclin_tensor_destroy(old_y);
}

static oclin_status check_saved(const oclin_layer *l, const oclin_saved *s)
{
    oclin_context *ctx = l->ctx;
    if (s->ctx != ctx) return oclin_fail(ctx, OCLIN_E_ARG, "saved belongs to another context");
    if (s->layer == 0) return oclin_fail(ctx, OCLIN_E_STATE, "backward before forward: nothing is saved yet");
    if (s->layer != l->id) return oclin_fail(ctx, OCLIN_E_STATE, "saved was filled by another layer");
    if (s->x->version != s->x_version)
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

static oclin_status check_parameters(const oclin_layer *l)
{
    OCLIN_TRY(oclin_tensor_check_readable(l->ctx, l->w, "w"));
    return l->b ? oclin_tensor_check_readable(l->ctx, l->b, "b") : OCLIN_OK;
}

/* Before w and b are updated. */
static oclin_status check_updatable(const oclin_layer *l)
{
    OCLIN_TRY(oclin_tensor_check_writable(l->ctx, l->w, "w"));
    return l->b ? oclin_tensor_check_writable(l->ctx, l->b, "b") : OCLIN_OK;
}

static oclin_status check_forward(const oclin_layer *l, const oclin_tensor *x, const oclin_tensor *y)
{
    oclin_context *ctx = l->ctx;
    if (!x || !y) return oclin_fail(ctx, OCLIN_E_ARG, "%s is NULL", x ? "y" : "x");
    OCLIN_TRY(oclin_tensor_check(ctx, x, "x", OCLIN_F32, x->rows, l->in));
    OCLIN_TRY(oclin_tensor_check(ctx, y, "y", OCLIN_F32, x->rows, l->out));
    OCLIN_TRY(oclin_tensor_check_writable(ctx, y, "y"));
    OCLIN_TRY(oclin_tensor_check_apart(ctx, y, "y", x, "x"));
    OCLIN_TRY(oclin_tensor_check_apart(ctx, y, "y", l->w, "w"));
    OCLIN_TRY(oclin_tensor_check_apart(ctx, y, "y", l->b, "b"));
    OCLIN_TRY(oclin_tensor_check_readable(ctx, x, "x"));
    return check_parameters(l);
}

/* Zeros that are only marked reach memory before any of these is read. */
static oclin_status settle_all(oclin_tensor *const *tensors, int n)
{
    for (int i = 0; i < n; i++)
        if (tensors[i]) OCLIN_TRY(oclin_tensor_settle(tensors[i]));
    return OCLIN_OK;
}

/* Z = X W^T + 1 b^T, Y = act(Z); z may be NULL. */
static oclin_status run_forward(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, oclin_tensor *z,
                                struct oclin_roundings *roundings)
{
    oclin_context *ctx = l->ctx;
    struct oclin_product p = {.id = OCLIN_KERNEL_FORWARD, .activation = l->activation, .scale = 1.0f};
    p.a = oclin_operand_of(x);
    p.b = oclin_operand_of(l->w);
    p.c = oclin_operand_of(y);
    p.bias = oclin_operand_of(l->b);
    p.z = oclin_operand_of(z);
    p.m = x->rows;
    p.n = l->out;
    p.k = l->in;
    p.flags = (l->bias ? OCLIN_FLAG_BIAS : 0) | (z ? OCLIN_FLAG_KEEP_Z : 0);
    OCLIN_TRY(oclin_product_prepare(ctx, &p));
    roundings->y = oclin_additions(&p, &p.plan, OCLIN_SUM_OF_PRODUCTS);
    OCLIN_TRY(settle_all((oclin_tensor *[]){x, l->w, l->b}, 3));
    OCLIN_TRY(oclin_tensor_settle_others(y));
    const oclin_status status = oclin_product_enqueue(ctx, &p);
    oclin_tensor_written(y, status);
    if (z) oclin_tensor_written(z, status);
    return status;
}

/* The check after the operation. Where it cannot read back, the call has failed while it ran. */
static oclin_status verified_forward(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, oclin_tensor *z,
                                     const struct oclin_roundings *roundings)
{
    if (!l->ctx->verify || x->rows == 0) return OCLIN_OK;
    const struct oclin_linear linear = linear_of(l);
    const oclin_status status = oclin_verify_forward(&linear, x, y, z, roundings);
    if (status == OCLIN_E_CL) oclin_tensor_written(y, status);
    if (status == OCLIN_E_CL && z) oclin_tensor_written(z, status);
    return status;
}

oclin_status oclin_layer_infer(oclin_layer *l, oclin_tensor *x, oclin_tensor *y)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    OCLIN_TRY(check_forward(l, x, y));
    if (x->rows == 0) return OCLIN_OK;
    const struct oclin_linear linear = linear_of(l);
    if (l->ctx->verify) OCLIN_TRY(oclin_verify_room(&linear, x->rows));
    struct oclin_roundings roundings;
    OCLIN_TRY(run_forward(l, x, y, NULL, &roundings));
    return verified_forward(l, x, y, NULL, &roundings);
}

static oclin_status forward(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, oclin_saved *s)
{
    OCLIN_TRY(check_forward(l, x, y));
    if (s->ctx != l->ctx) return oclin_fail(l->ctx, OCLIN_E_ARG, "saved belongs to another context");
    OCLIN_TRY(need_z(l, s, x->rows));
    oclin_tensor *z = z_for(l, s, x->rows);
    struct oclin_roundings roundings;
    const struct oclin_linear linear = linear_of(l);
    if (l->ctx->verify) OCLIN_TRY(oclin_verify_room(&linear, z ? z->rows : x->rows));
    if (x->rows > 0) {
        const oclin_status status = run_forward(l, x, y, z, &roundings);
        if (status != OCLIN_OK) {
            if (z && z == s->z && z->unspecified) s->layer = 0; /* what it held is lost */
            return status;
        }
    }
    adopt_z(s, z);
    remember(l, s, x, y);
    return verified_forward(l, x, y, z, &roundings);
}

oclin_status oclin_layer_forward(oclin_layer *l, oclin_tensor *x, oclin_tensor *y)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    return forward(l, x, y, l->saved);
}

oclin_status oclin_layer_forward_saved(oclin_layer *l, oclin_tensor *x, oclin_tensor *y, oclin_saved *saved)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    if (!saved) return oclin_fail(l->ctx, OCLIN_E_ARG, "saved is NULL");
    return forward(l, x, y, saved);
}

/* -------------------------------------------------------------------------------------- backward, and step
 */

static int is_cleared(const oclin_tensor *gradient)
{
    return !gradient || gradient->cleared;
}

static oclin_status check_apart_from_all(const oclin_layer *l, const oclin_saved *s, const oclin_tensor *dy,
                                         const oclin_tensor *out, const char *name)
{
    const struct {
        const oclin_tensor *t;
        const char *name;
    } inputs[] = {{dy, "dy"}, {s->x, "x"}, {s->y, "y"}, {s->z, "z"}};
    for (int i = 0; i < 4; i++)
        OCLIN_TRY(oclin_tensor_check_apart(l->ctx, out, name, inputs[i].t, inputs[i].name));
    return OCLIN_OK;
}

static oclin_status check_dx(const oclin_layer *l, const oclin_saved *s, const oclin_tensor *dy,
                             const oclin_tensor *dx)
{
    oclin_context *ctx = l->ctx;
    OCLIN_TRY(oclin_tensor_check(ctx, dx, "dx", OCLIN_F32, s->batch, l->in));
    OCLIN_TRY(oclin_tensor_check_writable(ctx, dx, "dx"));
    OCLIN_TRY(check_apart_from_all(l, s, dy, dx, "dx"));
    OCLIN_TRY(oclin_tensor_check_apart(ctx, dx, "dx", l->w, "w"));
    OCLIN_TRY(oclin_tensor_check_apart(ctx, dx, "dx", l->b, "b"));
    OCLIN_TRY(oclin_tensor_check_apart(ctx, dx, "dx", l->dw, "dw"));
    return oclin_tensor_check_apart(ctx, dx, "dx", l->db, "db");
}

static oclin_status check_backward(const struct backward_call *call)
{
    const oclin_layer *l = call->layer;
    const oclin_saved *s = call->saved;
    oclin_context *ctx = l->ctx;
    if (!call->dy) return oclin_fail(ctx, OCLIN_E_ARG, "dy is NULL");
    OCLIN_TRY(check_saved(l, s));
    OCLIN_TRY(oclin_tensor_check(ctx, call->dy, "dy", OCLIN_F32, s->batch, l->out));
    OCLIN_TRY(oclin_tensor_check_readable(ctx, call->dy, "dy"));
    OCLIN_TRY(oclin_tensor_check_readable(ctx, s->x, "x"));
    if (s->y) OCLIN_TRY(oclin_tensor_check_readable(ctx, s->y, "y"));
    if (keeps_z(l) && s->batch > 0) OCLIN_TRY(oclin_tensor_check_readable(ctx, s->z, "z"));
    if (call->dx) OCLIN_TRY(check_dx(l, s, call->dy, call->dx));
    /* what (1) and (2) write: the gradients, or the parameters themselves */
    OCLIN_TRY(check_apart_from_all(l, s, call->dy, call->step ? l->w : l->dw, call->step ? "w" : "dw"));
    OCLIN_TRY(check_apart_from_all(l, s, call->dy, call->step ? l->b : l->db, call->step ? "b" : "db"));
    return check_parameters(l);
}

/* The operand of both products that carries dZ: dY with what its derivative is taken from. */
static void set_grad_z(struct oclin_product *p, const struct backward_call *call)
{
    const oclin_saved *s = call->saved;
    p->activation = call->layer->activation;
    p->a = oclin_operand_of(call->dy);
    p->s = oclin_operand_of(keeps_z(call->layer) ? s->z : s->y);
}

/* (3) dX = dZ W */
static struct oclin_product product_dx(const struct backward_call *call)
{
    const oclin_layer *l = call->layer;
    struct oclin_product p = {
        .id = OCLIN_KERNEL_GRAD_X, .m = call->saved->batch, .n = l->in, .k = l->out, .scale = 1.0f};
    set_grad_z(&p, call);
    p.b = oclin_operand_of(l->w);
    p.c = oclin_operand_of(call->dx); /* NULL for grads that want none */
    return p;
}

/* (1) dW += dZ^T X and (2) db += column sums of dZ, or the step with them */
static struct oclin_product product_dw(const struct backward_call *call)
{
    const oclin_layer *l = call->layer;
    const int64_t batch = call->saved->batch;
    struct oclin_product p = {.id = OCLIN_KERNEL_GRAD_W, .m = l->out, .n = l->in, .k = batch, .lr = call->lr};
    set_grad_z(&p, call);
    p.b = oclin_operand_of(call->saved->x);
    p.c = oclin_operand_of(call->step ? l->w : l->dw);
    p.db = oclin_operand_of(call->step ? l->b : l->db);
    p.scale = l->gradient == OCLIN_GRAD_MEAN ? (float)(1.0 / (double)batch) : 1.0f;
    p.flags = l->bias ? OCLIN_FLAG_BIAS : 0;
    if (call->step)
        p.flags |= OCLIN_FLAG_UPDATE;
    else if (!is_cleared(l->dw) || (l->bias && !is_cleared(l->db)))
        p.flags |= OCLIN_FLAG_ACCUMULATE;
    return p;
}

/* Whether (1), (2) or the step with them are wanted: a step of 0 changes nothing. */
static int wants_dw(const struct backward_call *call)
{
    return !call->step || call->lr != 0.0f;
}

/* All three in one pass over W. */
static struct oclin_product product_grads(const struct backward_call *call, const struct oclin_product *dw)
{
    struct oclin_product p = product_dx(call);
    p.id = OCLIN_KERNEL_GRADS;
    p.flags = call->dx ? OCLIN_FLAG_DX : 0;
    if (!call->dx) p.c = dw->c; /* some valid buffer */
    p.x = dw->b;
    p.dw = dw->c;
    p.db = dw->db;
    p.scale = dw->scale;
    p.lr = dw->lr;
    if (wants_dw(call)) p.flags |= OCLIN_FLAG_DW | dw->flags;
    return p;
}

/* The gradients that are overwritten need no zeros; those that are added to, and everything that is read, do.
 */
static oclin_status settle_backward(const struct backward_call *call, const struct oclin_product *dw)
{
    oclin_layer *l = call->layer;
    oclin_saved *s = call->saved;
    OCLIN_TRY(settle_all((oclin_tensor *[]){call->dy, s->x, s->y, l->w, l->b}, 5));
    if (call->dx) OCLIN_TRY(oclin_tensor_settle_others(call->dx));
    if (call->step) return OCLIN_OK;
    if (dw->flags & OCLIN_FLAG_ACCUMULATE) return settle_all((oclin_tensor *[]){l->dw, l->db}, 2);
    OCLIN_TRY(oclin_tensor_settle_others(l->dw));
    return l->db ? oclin_tensor_settle_others(l->db) : OCLIN_OK;
}

static void dx_written(const struct backward_call *call, oclin_status status)
{
    if (call->dx) oclin_tensor_written(call->dx, status);
}

static void dw_written(const struct backward_call *call, oclin_status status)
{
    oclin_layer *l = call->layer;
    if (!wants_dw(call)) return;
    oclin_tensor_written(call->step ? l->w : l->dw, status);
    if (l->bias) oclin_tensor_written(call->step ? l->b : l->db, status);
}

/* What a prepared dW, or one pass, does to the sums of dW and db. */
static void note_dw(struct oclin_roundings *roundings, const struct oclin_product *p)
{
    roundings->db = oclin_additions(p, &p->plan, OCLIN_SUM_OF_A);
    roundings->dw =
        p->id == OCLIN_KERNEL_GRADS ? roundings->db : oclin_additions(p, &p->plan, OCLIN_SUM_OF_PRODUCTS);
}

/* dX first: it needs the old W. */
static oclin_status run_two_products(const struct backward_call *call, struct oclin_product *dw,
                                     struct oclin_roundings *roundings)
{
    oclin_context *ctx = call->layer->ctx;
    struct oclin_product dx;
    OCLIN_TRY(oclin_product_prepare(ctx, dw));
    note_dw(roundings, dw);
    if (call->dx) {
        dx = product_dx(call);
        OCLIN_TRY(oclin_product_prepare(ctx, &dx));
        roundings->dx = oclin_additions(&dx, &dx.plan, OCLIN_SUM_OF_PRODUCTS);
    }
    OCLIN_TRY(settle_backward(call, dw));
    oclin_status status = call->dx ? oclin_product_enqueue(ctx, &dx) : OCLIN_OK;
    dx_written(call, status);
    if (status != OCLIN_OK || !wants_dw(call)) return status;
    status = oclin_product_enqueue(ctx, dw);
    dw_written(call, status);
    return status;
}

static oclin_status run_backward(const struct backward_call *call, struct oclin_roundings *roundings)
{
    oclin_context *ctx = call->layer->ctx;
    struct oclin_product dw = product_dw(call), grads = product_grads(call, &dw);
    /* in one pass dX is read between its sums, which not every buffer allows */
    if (!oclin_plan_one_pass(ctx, &grads) || (call->dx && !call->dx->readable))
        return run_two_products(call, &dw, roundings);
    const oclin_status prepared = oclin_product_prepare(ctx, &grads);
    /* what cannot be had in one pass is done in two; but not behind the back of who works on the kernel or
     * asks for it */
    if (prepared == OCLIN_E_DEVICE ||
        ((prepared == OCLIN_E_BUILD || prepared == OCLIN_E_MEMORY) && !ctx->plan.name[0] && !ctx->cl_dir)) {
        oclin_forget_error(ctx); /* the log has it */
        return run_two_products(call, &dw, roundings);
    }
    OCLIN_TRY(prepared);
    note_dw(roundings, &grads);
    roundings->dx = oclin_additions(&grads, &grads.plan, OCLIN_SUM_OF_PRODUCTS);
    OCLIN_TRY(settle_backward(call, &dw));
    const oclin_status status = oclin_product_enqueue(ctx, &grads);
    dx_written(call, status);
    dw_written(call, status);
    return status;
}

static oclin_status verified_backward(const struct backward_call *call)
{
    const int verify = call->layer->ctx->verify;
    const oclin_saved *s = call->saved;
    const struct oclin_backward_check check = {.layer = linear_of(call->layer),
                                               .batch = s->batch,
                                               .x = s->x,
                                               .s = keeps_z(call->layer) ? s->z : s->y,
                                               .dy = call->dy,
                                               .dx = call->dx,
                                               .step = call->step,
                                               .lr = call->lr};
    struct oclin_before before;
    struct oclin_roundings roundings;
    /* z may have room for a larger batch; one that another layer has left in the state is not read */
    const int64_t z_rows = keeps_z(call->layer) && s->z ? s->z->rows : 0;
    if (verify) OCLIN_TRY(oclin_verify_before(&check.layer, z_rows > s->batch ? z_rows : s->batch, &before));
    OCLIN_TRY(run_backward(call, &roundings));
    const oclin_status status = verify ? oclin_verify_backward(&check, &before, &roundings) : OCLIN_OK;
    if (status == OCLIN_E_CL) {
        dx_written(call, status);
        dw_written(call, status);
    }
    return status;
}

static oclin_status backward(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, oclin_saved *s)
{
    const struct backward_call call = {l, s, dy, dx, 0, 0.0f};
    OCLIN_TRY(check_backward(&call));
    OCLIN_TRY(need_dw(l));
    OCLIN_TRY(need_db(l));
    if (!l->dw->cleared) OCLIN_TRY(oclin_tensor_check_readable(l->ctx, l->dw, "dw"));
    if (l->db && !l->db->cleared) OCLIN_TRY(oclin_tensor_check_readable(l->ctx, l->db, "db"));
    if (s->batch > 0) OCLIN_TRY(verified_backward(&call));
    l->computed = 1;
    return OCLIN_OK;
}

oclin_status oclin_layer_backward(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    return backward(l, dy, dx, l->saved);
}

oclin_status oclin_layer_backward_saved(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx,
                                        oclin_saved *saved)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    if (!saved) return oclin_fail(l->ctx, OCLIN_E_ARG, "saved is NULL");
    return backward(l, dy, dx, saved);
}

static oclin_status check_lr(oclin_context *ctx, float lr)
{
    if (!(lr >= 0.0f) || isinf(lr))
        return oclin_fail(ctx, OCLIN_E_ARG, "lr is %g, a finite number >= 0 is needed", (double)lr);
    return OCLIN_OK;
}

static oclin_status backward_step(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, float lr,
                                  oclin_saved *s)
{
    OCLIN_TRY(check_lr(l->ctx, lr));
    OCLIN_TRY(check_updatable(l));
    if (!is_cleared(l->dw) || !is_cleared(l->db))
        return oclin_fail(l->ctx, OCLIN_E_STATE,
                          "backward_step needs cleared gradients; call oclin_layer_zero_grad first");
    const struct backward_call call = {l, s, dy, dx, 1, lr};
    OCLIN_TRY(check_backward(&call));
    return s->batch == 0 ? OCLIN_OK : verified_backward(&call);
}

oclin_status oclin_layer_backward_step(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, float lr)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    return backward_step(l, dy, dx, lr, l->saved);
}

oclin_status oclin_layer_backward_step_saved(oclin_layer *l, oclin_tensor *dy, oclin_tensor *dx, float lr,
                                             oclin_saved *saved)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    if (!saved) return oclin_fail(l->ctx, OCLIN_E_ARG, "saved is NULL");
    return backward_step(l, dy, dx, lr, saved);
}

oclin_status oclin_layer_zero_grad(oclin_layer *l)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    OCLIN_TRY(before_clearing(l));
    if (l->dw) OCLIN_TRY(clear_gradient(l->dw, &l->dw_version));
    return l->db ? clear_gradient(l->db, &l->db_version) : OCLIN_OK;
}

static int has_gradient(const oclin_layer *l)
{
    return l->computed || (l->dw && l->dw->version != l->dw_version) ||
           (l->db && l->db->version != l->db_version);
}

/* The steps of w and b; a gradient that is cleared changes nothing. Both are prepared before either is
 * enqueued. */
static oclin_status run_step(oclin_layer *l, float lr)
{
    struct oclin_step all[] = {{.w = l->w, .dw = l->dw, .lr = lr}, {.w = l->b, .dw = l->db, .lr = lr}};
    for (int i = 0; i < 2; i++) {
        if (!all[i].dw || all[i].dw->cleared || lr == 0.0f) all[i].w = NULL;
        if (all[i].w) OCLIN_TRY(oclin_step_prepare(l->ctx, &all[i]));
    }
    for (int i = 0; i < 2; i++)
        if (all[i].w) OCLIN_TRY(settle_all((oclin_tensor *[]){all[i].dw, all[i].w}, 2));
    for (int i = 0; i < 2; i++) {
        if (!all[i].w) continue;
        const oclin_status status = oclin_step_enqueue(l->ctx, &all[i]);
        /* nobody knows whether a step that failed has moved w already */
        for (int j = status == OCLIN_OK ? i : 0; j <= i; j++)
            if (all[j].w) oclin_tensor_written(all[j].w, status);
        OCLIN_TRY(status);
    }
    return OCLIN_OK;
}

oclin_status oclin_layer_step(oclin_layer *l, float lr)
{
    if (!l) return OCLIN_E_ARG;
    oclin_context *ctx = l->ctx;
    OCLIN_TRY(oclin_enter(ctx));
    OCLIN_TRY(check_lr(ctx, lr));
    OCLIN_TRY(check_updatable(l));
    if (!has_gradient(l))
        return oclin_fail(ctx, OCLIN_E_STATE, "step before any gradient was computed or written");
    OCLIN_TRY(check_parameters(l));
    if (l->dw) OCLIN_TRY(oclin_tensor_check_readable(ctx, l->dw, "dw"));
    if (l->db) OCLIN_TRY(oclin_tensor_check_readable(ctx, l->db, "db"));
    struct oclin_before before;
    const struct oclin_linear linear = linear_of(l);
    if (ctx->verify) OCLIN_TRY(oclin_verify_before(&linear, 0, &before));
    OCLIN_TRY(run_step(l, lr));
    const oclin_status status = ctx->verify ? oclin_verify_step(&linear, lr, &before) : OCLIN_OK;
    if (status == OCLIN_E_CL) oclin_tensor_written(l->w, status);
    if (status == OCLIN_E_CL && l->b) oclin_tensor_written(l->b, status);
    return status;
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

/* Scratch memory of the context that the first `products` (1: forward; 3: all) of a batch may ask for. */
static int64_t products_scratch(const oclin_layer *l, int64_t batch, int products)
{
    static const enum oclin_kernel_id ids[] = {OCLIN_KERNEL_FORWARD, OCLIN_KERNEL_GRAD_X,
                                               OCLIN_KERNEL_GRAD_W};
    const struct oclin_shape shape = {batch, l->in, l->out};
    int64_t most = 0;
    for (int i = 0; i < products && batch > 0; i++) {
        const struct oclin_product p = oclin_plan_shaped(ids[i], shape);
        const int64_t bytes = oclin_plan_scratch(l->ctx, &p);
        if (bytes > most) most = bytes;
    }
    return most;
}

static int64_t z_bytes(const oclin_layer *l, int64_t batch)
{
    return keeps_z(l) ? batch * l->out * (int64_t)sizeof(float) : 0;
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
    OCLIN_TRY(oclin_enter(l->ctx));
    if (!bytes) return oclin_fail(l->ctx, OCLIN_E_ARG, "the address for the bytes is NULL");
    return check_batch(l, batch);
}

oclin_status oclin_layer_workspace(const oclin_layer *l, int64_t batch, int64_t *bytes)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(check_workspace(l, batch, bytes));
    *bytes = z_bytes(l, batch) + products_scratch(l, batch, 3);
    return OCLIN_OK;
}

/* Counts them for the kernel that is tried first. */
static int64_t additions_of(const oclin_layer *l, enum oclin_kernel_id id, struct oclin_shape shape,
                            enum oclin_sum sum)
{
    struct oclin_plan plan;
    struct oclin_product p = oclin_plan_shaped(id, shape);
    p.activation = l->activation;
    return oclin_plan_product(l->ctx, &p, 0, &plan) ? oclin_additions(&p, &plan, sum) : p.k;
}

oclin_status oclin_layer_additions(const oclin_layer *l, oclin_result result, int64_t batch,
                                   int64_t *additions)
{
    if (!l) return OCLIN_E_ARG;
    oclin_context *ctx = l->ctx;
    OCLIN_TRY(oclin_enter(ctx));
    if (!additions) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the additions is NULL");
    if ((int)result < OCLIN_RESULT_Y || (int)result > OCLIN_RESULT_DB)
        return oclin_fail(ctx, OCLIN_E_ARG, "result %d is not known", (int)result);
    OCLIN_TRY(check_batch(l, batch));
    if (batch == 0) return oclin_fail(ctx, OCLIN_E_SHAPE, "a batch of 0 has no sums");
    const struct oclin_shape shape = {batch, l->in, l->out};
    const struct oclin_product grads = oclin_plan_shaped(OCLIN_KERNEL_GRADS, shape);
    const int one_pass = oclin_plan_one_pass(ctx, &grads);
    const enum oclin_sum sum = result == OCLIN_RESULT_DB || (one_pass && result == OCLIN_RESULT_DW)
                                   ? OCLIN_SUM_OF_A
                                   : OCLIN_SUM_OF_PRODUCTS;
    const enum oclin_kernel_id id = result == OCLIN_RESULT_Y    ? OCLIN_KERNEL_FORWARD
                                    : one_pass                  ? OCLIN_KERNEL_GRADS
                                    : result == OCLIN_RESULT_DX ? OCLIN_KERNEL_GRAD_X
                                                                : OCLIN_KERNEL_GRAD_W;
    *additions = additions_of(l, id, shape, sum);
    return OCLIN_OK;
}

oclin_status oclin_layer_workspace_infer(const oclin_layer *l, int64_t batch, int64_t *bytes)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(check_workspace(l, batch, bytes));
    *bytes = products_scratch(l, batch, 1);
    return OCLIN_OK;
}

oclin_status oclin_layer_reserve_infer(oclin_layer *l, int64_t batch)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    OCLIN_TRY(check_batch(l, batch));
    return oclin_scratch(l->ctx, products_scratch(l, batch, 1), "a layer");
}

oclin_status oclin_layer_reserve_step(oclin_layer *l, int64_t batch)
{
    if (!l) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(l->ctx));
    OCLIN_TRY(check_batch(l, batch));
    OCLIN_TRY(need_z(l, l->saved, batch));
    return oclin_scratch(l->ctx, products_scratch(l, batch, 3), "a layer");
}

oclin_status oclin_layer_reserve(oclin_layer *l, int64_t batch)
{
    OCLIN_TRY(oclin_layer_reserve_step(l, batch));
    OCLIN_TRY(need_dw(l));
    return need_db(l);
}
