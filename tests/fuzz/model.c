/* See model.h. Nothing here looks into the library, but for z, which no public call shows, and for
 * gradients that come into being. */
#include "model.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct world world;

void wrong(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fprintf(stderr, "WRONG (plan '%s'): ", world.plan ? world.plan : "");
    vfprintf(stderr, format, arguments);
    fprintf(stderr, "\n");
    va_end(arguments);
    abort();
}

/* -------------------------------------------------------------------------------------------- memory */

/* Freed all together. */
struct kept {
    struct kept *next;
    max_align_t bytes[];
};
static struct kept *all_kept;

void *keep(size_t count, size_t size)
{
    struct kept *k = calloc(1, sizeof *k + count * size + 1);
    if (!k) wrong("no host memory for the model");
    k->next = all_kept;
    all_kept = k;
    return k->bytes;
}
#define keep_array(type, count) ((type *)keep((size_t)(count), sizeof(type)))

static const uint32_t *raw_of(struct memory *m)
{
    if (m->fresh) return m->raw;
    const size_t bytes = (size_t)m->count * sizeof *m->raw;
    cl_int error = clEnqueueReadBuffer(world.queue, m->mem, CL_TRUE, 0, bytes, m->raw, 0, NULL, NULL);
    if (error == CL_INVALID_OPERATION) { /* a buffer that the host may not read: by a copy */
        cl_mem copy = clCreateBuffer(world.ctx->cl, CL_MEM_READ_WRITE, bytes, NULL, &error);
        if (!error) error = clEnqueueCopyBuffer(world.queue, m->mem, copy, 0, 0, bytes, 0, NULL, NULL);
        if (!error) error = clEnqueueReadBuffer(world.queue, copy, CL_TRUE, 0, bytes, m->raw, 0, NULL, NULL);
        clReleaseMemObject(copy);
    }
    if (error) wrong("a buffer cannot be read (OpenCL error %d)", (int)error);
    m->fresh = 1;
    return m->raw;
}

struct memory *memory_of(cl_mem root, int64_t count, int of_caller)
{
    for (struct memory *m = world.memories; m; m = m->next)
        if (m->mem == root) return m;
    if (!root) return NULL;
    struct memory *m = keep_array(struct memory, 1);
    m->mem = root;
    m->count = count;
    m->bits = keep_array(uint32_t, count);
    m->raw = keep_array(uint32_t, count);
    m->pending = keep_array(unsigned char, count);
    m->known = keep_array(unsigned char, count);
    if (of_caller) memset(m->known, 1, (size_t)count);
    m->next = world.memories;
    world.memories = m;
    clRetainMemObject(root);
    memcpy(m->bits, raw_of(m), (size_t)count * sizeof *m->bits);
    return m;
}

void check_memories(int all)
{
    for (struct memory *m = world.memories; m; m = m->next) {
        if (!all && !m->fresh) continue;
        const uint32_t *raw = raw_of(m);
        for (int64_t i = 0; i < m->count; i++)
            if (!m->pending[i] && raw[i] != m->bits[i])
                wrong("element %lld of a buffer of %lld is 0x%08x, and should still be 0x%08x", (long long)i,
                      (long long)m->count, (unsigned)raw[i], (unsigned)m->bits[i]);
    }
}

void world_begin(oclin_context *ctx, cl_command_queue queue, const char *plan)
{
    memset(&world, 0, sizeof world);
    world.ctx = ctx;
    world.queue = queue;
    world.plan = plan;
    world.largest = ctx->device.info.max_allocation;
}

void world_end(void)
{
    check_memories(1);
    for (struct memory *m = world.memories; m; m = m->next) clReleaseMemObject(m->mem);
    while (all_kept) {
        struct kept *k = all_kept;
        all_kept = k->next;
        free(k);
    }
}

int judge(const char *what, oclin_context *of, unsigned refusals, oclin_status status)
{
    static int trace = -1;
    if (trace < 0) trace = getenv("FUZZ_TRACE") != NULL;
    const char *sentence = of ? oclin_context_error(of) : NULL;
    for (struct memory *m = world.memories; m; m = m->next) m->fresh = 0;
    if (trace) fprintf(stderr, "%s: %s %s\n", what, oclin_status_name(status), sentence ? sentence : "");
    if (status == OCLIN_OK ? refusals != 0 : !(refusals & 1u << status))
        wrong("%s answers %s (%s), expected one of the set 0x%x", what, oclin_status_name(status),
              sentence ? sentence : "", refusals);
    if (sentence && (status == OCLIN_OK) != !sentence[0])
        wrong("%s answers %s and says '%s'", what, oclin_status_name(status), sentence);
    return status == OCLIN_OK;
}

/* ------------------------------------------------------------------------------------------- tensors */

static int64_t cell(const struct tensor *t, int64_t i)
{
    return t->first + i / t->cols * t->stride + i % t->cols;
}

static int64_t size_of(const struct tensor *t)
{
    return t->rows * t->cols;
}

static int has_cell(const struct tensor *t, int64_t at)
{
    const int64_t d = at - t->first;
    if (d < 0 || t->rows == 0) return 0;
    return t->rows == 1 ? d < t->cols : d / t->stride < t->rows && d % t->stride < t->cols;
}

int shares(const struct tensor *t, const struct tensor *u)
{
    if (!t || !u || !t->memory || t->memory != u->memory || t->rows == 0 || u->rows == 0) return 0;
    for (int64_t i = 0; i < size_of(t); i++)
        if (has_cell(u, cell(t, i))) return 1;
    return 0;
}

struct tensor *model_tensor(oclin_tensor *handle, struct memory *memory, oclin_dtype dtype, int64_t first,
                            int64_t rows, int64_t cols, int64_t stride)
{
    struct tensor *t = keep_array(struct tensor, 1);
    *t = (struct tensor){handle, world.ctx, memory, dtype, first, rows, cols, stride,
                         1,      1,         1,      1,     0,     0,    0,    world.tensors};
    world.tensors = t;
    return t;
}

static int known_cells(const struct tensor *t)
{
    int count = 0;
    for (int64_t i = 0; t->memory && i < size_of(t); i++) count += t->memory->known[cell(t, i)];
    return count;
}

unsigned unknown(const struct tensor *t)
{
    return world.ctx->strict && t && t->memory && known_cells(t) < size_of(t) ? STATE : 0;
}

static void written(struct tensor *t)
{
    world.clock++;
    for (int64_t i = 0; i < size_of(t); i++) t->memory->known[cell(t, i)] = 1;
    for (struct tensor *u = world.tensors; u; u = u->next)
        if (u == t || shares(t, u)) {
            u->written = world.clock;
            u->cleared = 0;
        }
}

static void put(const struct tensor *t, int64_t i, uint32_t bits)
{
    t->memory->bits[cell(t, i)] = bits;
    t->memory->pending[cell(t, i)] = 0;
}

void adopt(const struct tensor *t)
{
    for (int64_t i = 0; i < size_of(t); i++) put(t, i, raw_of(t->memory)[cell(t, i)]);
}

void model_write(struct tensor *t, const uint32_t *bits)
{
    for (int64_t i = 0; i < size_of(t); i++) put(t, i, bits[i]);
    if (t->rows > 0) written(t);
}

void model_fill(struct tensor *t, uint32_t bits)
{
    for (int64_t i = 0; i < size_of(t); i++) put(t, i, bits);
    if (t->rows > 0) written(t);
}

void model_touch(struct tensor *t)
{
    adopt(t);
    written(t);
}

void model_read(struct tensor *t, const uint32_t *got)
{
    for (int64_t i = 0; i < size_of(t); i++) {
        const uint32_t want = t->memory->bits[cell(t, i)];
        if (got[i] != want)
            wrong("element %lld of %lld x %lld is read as 0x%08x, 0x%08x is there", (long long)i,
                  (long long)t->rows, (long long)t->cols, (unsigned)got[i], (unsigned)want);
        t->memory->pending[cell(t, i)] = 0;
    }
}

static void clear(struct tensor *t)
{
    written(t);
    for (int64_t i = 0; i < size_of(t); i++) {
        put(t, i, 0);
        t->memory->pending[cell(t, i)] = 1;
    }
    t->cleared = 1;
}

/* From the first to behind the last; -1: its bytes overflow. */
static int64_t elements(int64_t rows, int64_t cols, int64_t stride)
{
    const int64_t most = INT64_MAX / 4;
    if (rows == 0) return 0;
    return cols > most || rows - 1 > (most - cols) / stride ? -1 : (rows - 1) * stride + cols;
}

unsigned refusals_create(oclin_dtype dtype, int64_t rows, int64_t cols)
{
    const unsigned no = dtype == OCLIN_F32 || dtype == OCLIN_I32 ? 0 : ARG;
    if (rows < 0 || cols < 1) return no | SHAPE;
    const int64_t n = elements(rows, cols, cols);
    return n < 0 || n > world.largest / 4 ? no | SHAPE : no;
}

unsigned refusals_view(const struct tensor *base, int64_t offset, int64_t rows, int64_t cols, int64_t stride)
{
    if (!base) return ARG;
    if (rows < 0 || cols < 1 || stride < cols || offset < 0) return SHAPE;
    const int64_t n = elements(rows, cols, stride), within = elements(base->rows, base->cols, base->stride);
    if (n < 0 || offset > within || n > within - offset) return SHAPE;
    if (base->rows <= 1 || base->stride == base->cols || rows == 0) return 0;
    if (rows > 1 && stride != base->stride) return SHAPE;
    const struct tensor view = {.first = base->first + offset, .rows = rows, .cols = cols, .stride = stride};
    for (int64_t i = 0; i < rows * cols; i++)
        if (!has_cell(base, cell(&view, i))) return SHAPE;
    return 0;
}

unsigned refusals_wrap(oclin_dtype dtype, int64_t holds, int64_t offset, int64_t rows, int64_t cols,
                       int64_t stride)
{
    const unsigned no = dtype == OCLIN_F32 || dtype == OCLIN_I32 ? 0 : ARG;
    if (rows < 0 || cols < 1 || stride < cols || offset < 0) return no | SHAPE;
    const int64_t n = elements(rows, cols, stride);
    return n < 0 || offset > holds || n > holds - offset ? no | SHAPE : no;
}

/* ----------------------------------------------------------------------------------- results and data */

static float *dense(const struct tensor *t)
{
    if (!t) return NULL;
    float *copy = keep_array(float, size_of(t));
    for (int64_t i = 0; i < size_of(t); i++) memcpy(copy + i, &t->memory->bits[cell(t, i)], sizeof *copy);
    return copy;
}

/* Integers so small that no sum here is rounded. NULL: nothing. */
static int whole(const float *p, int64_t n)
{
    for (int64_t i = 0; p && i < n; i++)
        if (!(fabsf(p[i]) <= 256) || p[i] != floorf(p[i])) return 0;
    return 1;
}

struct result {
    double *want, *bound;
};

static struct result result(int64_t n)
{
    const struct result r = {keep_array(double, n), keep_array(double, n)};
    return r;
}

/* Exact: want rounded to float. A bound that is not finite makes no claim; NaN, not even that an Inf is
 * one. */
static int right(float got, double want, double bound, int exact)
{
    const float rounded = (float)want;
    if (isnan(rounded)) return isnan(got);
    if (got == rounded) return 1;
    if (isnan(bound) || (isfinite(want) && !isfinite(bound))) return 1;
    return !exact && isfinite(got) && !isinf(rounded) && fabs(got - want) <= bound;
}

static void compare(const char *name, int64_t i, float got, const struct result *r, int exact)
{
    if (!right(got, r->want[i], r->bound[i], exact))
        wrong("%s[%lld] is %.9g, the reference says %.9g within %.3g%s", name, (long long)i, (double)got,
              r->want[i], r->bound[i], exact ? ", exactly" : "");
}

/* A call has written t: compared with what it must be, and taken over. */
static void accept(const char *name, struct tensor *t, const struct result *r, int exact)
{
    for (int64_t i = 0; i < size_of(t); i++) {
        float got;
        memcpy(&got, &raw_of(t->memory)[cell(t, i)], sizeof got);
        compare(name, i, got, r, exact);
    }
    adopt(t);
    written(t);
}

/* -------------------------------------------------------------------------------------------- checks */

static unsigned operand(const struct tensor *t, oclin_dtype dtype, int64_t rows, int64_t cols)
{
    if (!t) return ARG;
    return (t->ctx != world.ctx || t->dtype != dtype ? ARG : 0) |
           ((rows != ANY && t->rows != rows) || t->cols != cols ? SHAPE : 0);
}

static unsigned input(const struct tensor *t, oclin_dtype dtype, int64_t rows, int64_t cols)
{
    return operand(t, dtype, rows, cols) | (t && !t->readable ? ARG : 0) | unknown(t);
}

static unsigned output(const struct tensor *t, oclin_dtype dtype, int64_t rows, int64_t cols)
{
    return operand(t, dtype, rows, cols) | (t && !t->writable ? ARG : 0);
}

static unsigned apart(const struct tensor *out, const struct tensor *other)
{
    return shares(out, other) ? ARG : 0;
}

unsigned refusals_options(const void *options, size_t known)
{
    size_t size;
    if (!options) return 0;
    memcpy(&size, options, sizeof size);
    if (size < sizeof size || size > 4096 || size % sizeof size) return ARG;
    for (size_t i = known; i < size; i++)
        if (((const unsigned char *)options)[i]) return ARG;
    return 0;
}

/* -------------------------------------------------------------------------------------------- layers */

unsigned refusals_layer(int64_t in, int64_t out, const struct oclin_layer_options *o,
                        struct tensor *const given[4])
{
    const int64_t rows[4] = {out, 1, out, 1}, cols[4] = {in, out, in, out};
    unsigned no = in < 1 || out < 1 ? SHAPE : 0;
    if ((int)o->activation < 0 || (int)o->activation > 4 || (int)o->init < 0 || (int)o->init > 2 ||
        (int)o->gradient < 0 || (int)o->gradient > 1 || (o->bias != 0 && o->bias != 1))
        no |= ARG;
    if (!o->bias && (given[1] || given[3])) no |= ARG;
    for (int i = 0; i < 4; i++) {
        const int may_be_read_only = i < 2;
        if (given[i])
            no |= operand(given[i], OCLIN_F32, rows[i], cols[i]) |
                  (given[i]->readable && (given[i]->writable || may_be_read_only) ? 0 : ARG);
        for (int j = 0; j < i; j++) no |= apart(given[i], given[j]);
    }
    if (!given[0]) no |= refusals_create(OCLIN_F32, out, in);
    if (!given[1] && o->bias) no |= refusals_create(OCLIN_F32, 1, out);
    return no;
}

static struct tensor *own(oclin_tensor *handle)
{
    const int64_t n = handle->rows * handle->cols;
    struct tensor *t = model_tensor(handle, memory_of(handle->mem, n, 0), OCLIN_F32, 0, handle->rows,
                                    handle->cols, handle->cols);
    t->borrowed = 1;
    return t;
}

/* The numbers themselves are test_random's business. */
static void check_init(const struct layer *l, const struct tensor *t)
{
    const float *p = dense(t), limit = (float)(1 / sqrt((double)l->in));
    for (int64_t i = 0; i < size_of(t); i++)
        if (!isfinite(p[i]) || (l->options.init == OCLIN_INIT_ZERO && p[i] != 0) ||
            (l->options.init == OCLIN_INIT_UNIFORM && fabsf(p[i]) > limit))
            wrong("a new layer has the parameter %g", (double)p[i]);
}

void model_gradients(struct layer *l)
{
    if (!l->dw && l->handle->dw) {
        l->dw = own(l->handle->dw);
        clear(l->dw);
        l->dw_written = l->dw->written;
    }
    if (!l->db && l->handle->db) {
        l->db = own(l->handle->db);
        clear(l->db);
        l->db_written = l->db->written;
    }
}

struct saved *model_saved(oclin_saved *handle)
{
    struct saved *s = keep_array(struct saved, 1);
    s->handle = s->inside = handle;
    s->ctx = world.ctx;
    s->next = world.saved;
    world.saved = s;
    return s;
}

/* Handed in: it stays what it is, but memory that was never written is cleared. */
static void take_gradient(struct layer *l, struct tensor *t, uint64_t *by_layer)
{
    if (!t) return;
    if (!known_cells(t)) clear(t);
    *by_layer = t->written;
    l->computed |= !t->cleared;
}

struct layer *model_layer(oclin_layer *handle, int64_t in, int64_t out, const struct oclin_layer_options *o,
                          struct tensor *const given[4])
{
    struct layer *l = keep_array(struct layer, 1);
    *l = (struct layer){.handle = handle, .in = in, .out = out, .options = *o};
    l->w = given[0] ? given[0] : own(handle->w);
    if (o->bias) l->b = given[1] ? given[1] : own(handle->b);
    if (!given[0]) written(l->w);
    if (o->bias && !given[1]) written(l->b);
    if (!given[0]) check_init(l, l->w);
    if (o->bias && !given[1]) check_init(l, l->b);
    l->dw = given[2];
    l->db = given[3];
    take_gradient(l, l->dw, &l->dw_written);
    take_gradient(l, l->db, &l->db_written);
    l->saved = keep_array(struct saved, 1);
    l->saved->inside = handle->saved;
    l->saved->ctx = world.ctx;
    l->next = world.layers;
    world.layers = l;
    return l;
}

void model_drop_layer(struct layer *l)
{
    struct tensor *const all[] = {l->w, l->b, l->dw, l->db};
    l->handle = NULL;
    l->saved->inside = NULL;
    for (int i = 0; i < 4; i++)
        if (all[i] && all[i]->borrowed) all[i]->handle = NULL;
}

static struct oclin_ref_case case_of(const struct layer *l, int64_t batch)
{
    struct oclin_ref_case c = OCLIN_REF_CASE_INIT(batch, l->in, l->out);
    c.rule = OCLIN_RANDOM;
    c.activation = l->options.activation;
    c.gradient = l->options.gradient;
    c.no_denormals = !world.ctx->device.denormals;
    return c;
}

static int needs_y(const struct layer *l)
{
    return l->options.activation != OCLIN_NONE && l->options.activation != OCLIN_GELU;
}

unsigned refusals_forward(const struct layer *l, const struct tensor *x, const struct tensor *y)
{
    if (!l) return ARG;
    return input(x, OCLIN_F32, ANY, l->in) | output(y, OCLIN_F32, x ? x->rows : ANY, l->out) | apart(y, x) |
           apart(y, l->w) | apart(y, l->b) | unknown(l->w) | unknown(l->b);
}

/* The z that only backward sees. */
static float *accept_z(const struct saved *s, int64_t n, const struct result *z, int exact)
{
    float *got = keep_array(float, n);
    clEnqueueReadBuffer(world.queue, s->inside->z->mem, CL_TRUE, 0, (size_t)n * sizeof *got, got, 0, NULL,
                        NULL);
    for (int64_t i = 0; i < n; i++) compare("z", i, got[i], z, exact);
    return got;
}

void model_forward(struct layer *l, struct tensor *x, struct tensor *y, struct saved *s)
{
    const struct oclin_ref_case c = case_of(l, x->rows);
    const float *X = dense(x), *W = dense(l->w), *b = dense(l->b);
    const int64_t n = x->rows * l->out;
    const int exact = whole(X, size_of(x)) && whole(W, size_of(l->w)) && whole(b, l->out);
    const struct result z = result(n), Y = result(n);
    if (x->rows > 0) {
        oclin_ref_forward(&c, X, W, b, z.want, z.bound, Y.want, Y.bound);
        accept("y", y, &Y, exact && l->options.activation <= OCLIN_RELU);
    }
    if (!s) return;
    s->z = l->options.activation == OCLIN_GELU && n > 0 ? accept_z(s, n, &z, exact) : NULL;
    s->layer = l;
    s->batch = x->rows;
    s->x = x;
    s->y = needs_y(l) ? y : NULL;
    s->x_written = x->written;
    s->y_written = y->written;
    s->w_written = l->w->written;
}

static int bad_lr(float lr)
{
    return !isfinite(lr) || lr < 0;
}

/* A step writes them. */
static unsigned updatable(const struct layer *l)
{
    return l->w->writable && (!l->b || l->b->writable) ? 0 : ARG;
}

/* An output of backward: apart from all that is read. */
static unsigned apart_from_inputs(const struct tensor *out, const struct tensor *dy, const struct saved *s)
{
    return apart(out, dy) | apart(out, s->x) | apart(out, s->y);
}

unsigned refusals_backward(const struct layer *l, const struct tensor *dy, const struct tensor *dx,
                           const struct saved *s, enum backward_kind kind, float lr)
{
    if (!l) return ARG;
    const int step = kind == STEP, x_alone = kind == X_ALONE;
    unsigned no = (step && bad_lr(lr)) || (x_alone && !dx) || !s || s->ctx != world.ctx ? ARG : 0;
    no |= unknown(l->w);
    if (!x_alone) no |= unknown(l->b) | (step ? updatable(l) : unknown(l->dw) | unknown(l->db));
    if (step && ((l->dw && !l->dw->cleared) || (l->db && !l->db->cleared))) no |= STATE;
    const int known = s && s->layer == l;
    if (!known || (!x_alone && s->x->written != s->x_written) || (s->y && s->y->written != s->y_written))
        no |= STATE;
    if (known && world.ctx->strict && l->w->written != s->w_written) no |= STATE;
    no |= input(dy, OCLIN_F32, known ? s->batch : ANY, l->out);
    if (dx)
        no |= output(dx, OCLIN_F32, known ? s->batch : ANY, l->in) | apart(dx, l->w) | apart(dx, l->b) |
              apart(dx, l->dw) | apart(dx, l->db);
    if (known && s->y && !s->y->readable) no |= ARG; /* its derivative is taken from y */
    if (known && dx) no |= apart_from_inputs(dx, dy, s);
    if (known && !x_alone)
        no |= apart_from_inputs(step ? l->w : l->dw, dy, s) | apart_from_inputs(step ? l->b : l->db, dy, s);
    return no;
}

/* A gradient, or the parameter that it is subtracted from: what there must be after backward. */
static struct result updated(const struct tensor *t, const struct result *g, int step, int accumulate,
                             float lr)
{
    const int64_t n = size_of(t);
    const struct result r = result(n);
    if (step)
        oclin_ref_step(NULL, n, dense(t), g->want, g->bound, lr, r.want, r.bound);
    else if (accumulate)
        oclin_ref_accumulate(NULL, n, dense(t), g->want, g->bound, r.want, r.bound);
    return step || accumulate ? r : *g;
}

void model_backward(struct layer *l, struct tensor *dy, struct tensor *dx, struct saved *s,
                    enum backward_kind kind, float lr)
{
    const int step = kind == STEP, gradients = kind == GRADIENTS;
    if (gradients) model_gradients(l);
    if (gradients && (!l->dw || (l->options.bias && !l->db))) wrong("no gradients after a backward");
    l->computed |= gradients;
    if (s->batch == 0) return;
    const struct oclin_ref_case c = case_of(l, s->batch);
    const float *X = dense(s->x), *DY = dense(dy), *W = dense(l->w), *S = s->z ? s->z : dense(s->y);
    struct result dX = result(s->batch * l->in), dW = result(l->out * l->in), db = result(l->out);
    oclin_ref_grad_x(&c, W, DY, S, dX.want, dX.bound);
    const int exact = l->options.activation <= OCLIN_RELU && whole(DY, size_of(dy));
    if (kind == X_ALONE) {
        accept("dx", dx, &dX, exact && whole(W, size_of(l->w)));
        return;
    }
    oclin_ref_grad_w(&c, X, DY, S, dW.want, dW.bound);
    oclin_ref_grad_b(&c, DY, S, db.want, db.bound);
    struct tensor *w = step ? l->w : l->dw, *b = step ? l->b : l->db;
    const int accumulate = !w->cleared || (b && !b->cleared);
    const int exact_dw =
        exact && !step && l->options.gradient == OCLIN_GRAD_SUM && whole(X, size_of(s->x)) &&
        (!accumulate || (whole(dense(w), size_of(w)) && (!b || whole(dense(b), size_of(b)))));
    dW = updated(w, &dW, step, accumulate, lr);
    if (b) db = updated(b, &db, step, accumulate, lr);
    if (dx) accept("dx", dx, &dX, exact && whole(W, size_of(l->w)));
    accept(step ? "w" : "dw", w, &dW, exact_dw);
    if (b) accept(step ? "b" : "db", b, &db, exact_dw);
}

static void clear_gradient(struct tensor *t, uint64_t *by_layer)
{
    if (!t) return;
    const int untouched = t->written == *by_layer;
    clear(t);
    if (untouched) *by_layer = t->written;
}

void model_zero_grad(struct layer *l)
{
    clear_gradient(l->dw, &l->dw_written);
    clear_gradient(l->db, &l->db_written);
}

unsigned refusals_step(const struct layer *l, float lr)
{
    if (!l) return ARG;
    const int has_gradient = l->computed || (l->dw && l->dw->written != l->dw_written) ||
                             (l->db && l->db->written != l->db_written);
    return (bad_lr(lr) ? ARG : 0) | (has_gradient ? 0 : STATE) | updatable(l) | unknown(l->w) |
           unknown(l->b) | unknown(l->dw) | unknown(l->db);
}

static void step_one(const char *name, struct tensor *w, struct tensor *dw, float lr)
{
    if (!w || !dw || dw->cleared) return;
    const int64_t n = size_of(w);
    const struct result r = result(n);
    const float *g = dense(dw);
    double *gradient = keep_array(double, n);
    for (int64_t i = 0; i < n; i++) gradient[i] = g[i];
    oclin_ref_step(NULL, n, dense(w), gradient, NULL, lr, r.want, r.bound);
    accept(name, w, &r, 0);
}

void model_step(struct layer *l, float lr)
{
    step_one("w", l->w, l->dw, lr);
    step_one("b", l->b, l->db, lr);
}

/* -------------------------------------------------------------------------------------------- losses */

unsigned refusals_loss(const struct loss_call *c)
{
    const struct oclin_loss_options *o = &c->options;
    unsigned no =
        !isfinite(o->scale) || o->reserved || (int)o->reduction < 0 || (int)o->reduction > 1 ? ARG : 0;
    if (!c->y || !c->target) return no | ARG;
    const struct tensor *all[] = {c->y, c->target, c->dy, c->loss, c->correct};
    const int64_t rows[] = {c->y->rows, c->y->rows, c->y->rows, 1, 1}, cols = c->y->cols,
                  widths[] = {cols, c->classes ? 1 : cols, cols, 1, 1};
    const oclin_dtype dtypes[] = {OCLIN_F32, c->classes ? OCLIN_I32 : OCLIN_F32, OCLIN_F32, OCLIN_F32,
                                  OCLIN_I32};
    for (int i = 0; i < 5; i++) {
        if (!all[i]) continue;
        const int is_read = i < 2 || (i > 2 && o->accumulate);
        if (is_read) no |= input(all[i], dtypes[i], rows[i], widths[i]);
        if (i >= 2) no |= output(all[i], dtypes[i], rows[i], widths[i]);
        for (int j = 0; j < 5; j++)
            if (i >= 2 && j != i) no |= apart(all[i], all[j]);
    }
    /* all belong to one context, whichever that is: they are compared with y's */
    for (int i = 1; i < 5; i++)
        if (all[i] && all[i]->ctx != c->y->ctx) no |= ARG;
    return no;
}

static void accept_count(struct tensor *t, int64_t count, int accumulate)
{
    const uint32_t before = accumulate ? t->memory->bits[t->first] : 0, got = raw_of(t->memory)[t->first];
    if (got != before + (uint32_t)count)
        wrong("correct is %d, %d + %lld is right", (int)got, (int)before, (long long)count);
    adopt(t);
    written(t);
}

void model_loss(const struct loss_call *c)
{
    const struct oclin_loss_options *o = &c->options;
    const int64_t rows = c->y->rows, cols = c->y->cols;
    const float *y = dense(c->y), *t = dense(c->target);
    struct result loss = result(1), dy = result(rows * cols);
    struct oclin_ref_case ref = OCLIN_REF_CASE_INIT(rows, 0, cols);
    int64_t count = 0;
    ref.rule = OCLIN_RANDOM;
    if (rows == 0 && o->accumulate) return;
    if (rows > 0 && c->classes) {
        int32_t *labels = keep_array(int32_t, rows);
        memcpy(labels, t, (size_t)rows * sizeof *labels);
        oclin_ref_cross_entropy(&ref, y, labels, o->reduction, o->scale, loss.want, loss.bound, dy.want,
                                dy.bound, &count);
    } else if (rows > 0) {
        oclin_ref_mse(&ref, y, t, o->reduction, o->scale, loss.want, loss.bound, dy.want, dy.bound);
    }
    if (c->loss && o->accumulate) loss = updated(c->loss, &loss, 0, 1, 0);
    if (c->dy && rows > 0) accept("dy", c->dy, &dy, 0);
    if (c->loss) accept("loss", c->loss, &loss, 0);
    if (c->correct) accept_count(c->correct, count, o->accumulate);
}
