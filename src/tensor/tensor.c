/* Device arrays: reference-counted memory, windows into it, and which of them share elements. */
#include "tensor/tensor.h"

#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/error.h"
#include "core/memory.h"
#include "core/os.h"
#include "core/program.h"
#include "tensor/element.h"
#include "tensor/rectangle.h"
#include "tensor/written.h"

enum { ALIGNED_BYTES = 16 };

/* One piece of device memory (never a sub-buffer), and every tensor that lives in it. */
struct oclin_storage {
    struct oclin_interval place; /* must come first: the context's tree points to it */
    int64_t references;
    oclin_context *ctx;
    cl_mem root; /* NULL for tensors of 0 rows */
    int wrapped; /* the buffer is the caller's, so it may be wrapped again */
    struct oclin_written written;
    struct oclin_intervals tensors;
};

oclin_context *oclin_tensor_context(const oclin_tensor *t)
{
    return t->storage->ctx;
}

struct oclin_operand oclin_operand_of(const oclin_tensor *t)
{
    struct oclin_operand o = {NULL, 0, 0, 0, 0};
    if (t) {
        o.mem = t->mem;
        o.offset = t->offset;
        o.stride = t->stride;
        o.aligned = t->aligned;
        o.readable = t->readable;
    }
    return o;
}

static oclin_status fill(const oclin_tensor *t, uint32_t bits)
{
    const struct oclin_operand operand = oclin_operand_of(t);
    return oclin_fill_enqueue(oclin_tensor_context(t), &operand, t->rows, t->cols, bits);
}

/* ------------------------------------------------------------------------------------------- neighbours */

static int64_t bytes_of(const oclin_tensor *t)
{
    return oclin_element_bytes(t->dtype);
}

static int contiguous(const oclin_tensor *t)
{
    return t->rows <= 1 || t->stride == t->cols;
}

/* Returns the tensor's place in the root buffer, in bytes, so that tensors of different dtypes can be
 * compared. */
static struct oclin_rectangle place_of(const oclin_tensor *t)
{
    const int64_t bytes = bytes_of(t), first = (t->origin + t->offset) * bytes;
    /* without elements the other side may be as long as an int64_t */
    if (t->rows == 0 || t->cols == 0) return (struct oclin_rectangle){first, 0, 0, 0};
    const int64_t cols = t->cols * bytes;
    if (contiguous(t)) return (struct oclin_rectangle){first, 1, t->rows * cols, cols};
    return (struct oclin_rectangle){first, t->rows, cols, t->stride * bytes};
}

/* Returns the next tensor behind `after` (NULL: of all) that shares elements with t or is t; NULL if there
 * is none. The search goes by the order of the first elements alone, so for a column of a matrix it has to
 * pass all the other columns. */
static oclin_tensor *next_sharing(const oclin_tensor *t, const oclin_tensor *after)
{
    const struct oclin_interval *at = after ? &after->place : NULL;
    const struct oclin_rectangle place = place_of(t);
    const int64_t end = oclin_rectangle_end(&place);
    oclin_tensor *u;
    do {
        u = (oclin_tensor *)oclin_intervals_next(&t->storage->tensors, place.first, end, at);
        at = u ? &u->place : NULL;
    } while (u && u != t && !oclin_tensor_overlap(t, u));
    return u;
}

/* These two go over all storages of a context, and over all tensors of a storage. */
static struct oclin_storage *next_storage(const oclin_context *ctx, const struct oclin_storage *after)
{
    const struct oclin_interval *at = after ? &after->place : NULL;
    return (struct oclin_storage *)oclin_intervals_next(&ctx->storages, INT64_MIN, INT64_MAX, at);
}

static oclin_tensor *next_tensor(const struct oclin_storage *s, const oclin_tensor *after)
{
    const struct oclin_interval *at = after ? &after->place : NULL;
    return (oclin_tensor *)oclin_intervals_next(&s->tensors, INT64_MIN, INT64_MAX, at);
}

/* -------------------------------------------------------------------------------------------- storage */

static int64_t address_of(cl_mem root)
{
    return (int64_t)(uintptr_t)root;
}

/* Takes over one reference to root, even if it fails. */
static oclin_status storage_create(struct oclin_storage **storage, oclin_context *ctx, cl_mem root)
{
    struct oclin_storage *s = calloc(1, sizeof *s);
    if (!s) {
        if (root) clReleaseMemObject(root);
        return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a tensor");
    }
    s->ctx = ctx;
    s->root = root;
    s->place.from = address_of(root);
    s->place.to = s->place.from + 1;
    oclin_intervals_add(&ctx->storages, &s->place);
    ctx->lose_epoch = oclin_tensors_lose_epoch;
    oclin_context_retain(ctx);
    *storage = s;
    return OCLIN_OK;
}

static void storage_release(struct oclin_storage *s)
{
    if (--s->references > 0) return;
    oclin_context *ctx = s->ctx;
    oclin_intervals_remove(&ctx->storages, &s->place);
    if (s->root && ctx->process == oclin_os_process_id()) clReleaseMemObject(s->root);
    oclin_written_free(&s->written);
    free(s);
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------------------------- making, dropping */

static void work_out_alignment(oclin_tensor *t, int base_aligned)
{
    const int64_t aligned = ALIGNED_BYTES / bytes_of(t); /* in elements */
    const int start = (t->origin + t->offset) % aligned == 0;
    const int rows = t->rows <= 1 || t->stride % aligned == 0;
    t->base_aligned = base_aligned;
    t->aligned = base_aligned && start && rows;
}

/* Makes a tensor inside `storage` and adds a reference to it. origin belongs to the buffer that offset
 * counts from. */
static oclin_tensor *tensor_new(struct oclin_storage *storage, oclin_dtype dtype, int64_t origin,
                                int64_t offset, int64_t rows, int64_t cols, int64_t stride)
{
    oclin_tensor *t = calloc(1, sizeof *t);
    if (!t) return NULL;
    t->references = 1;
    t->storage = storage;
    t->mem = storage->root;
    t->dtype = dtype;
    t->origin = origin;
    t->offset = offset;
    t->rows = rows;
    t->cols = cols;
    t->stride = stride;
    t->readable = t->writable = t->host_readable = t->host_writable = 1;
    storage->references++;
    const struct oclin_rectangle place = place_of(t);
    t->place.from = place.first;
    t->place.to = oclin_rectangle_end(&place);
    oclin_intervals_add(&storage->tensors, &t->place);
    return t;
}

oclin_tensor *oclin_tensor_retain(oclin_tensor *t)
{
    if (t) t->references++;
    return t;
}

/* Before the last handle of t goes, writes pending zeros that others can see (other tensors, or the owner
 * of a wrapped buffer), because the mark would be lost with t. If that fails, the other tensors become
 * unspecified. */
static void leave_zeros(oclin_tensor *t)
{
    oclin_context *ctx = oclin_tensor_context(t);
    int seen = t->storage->wrapped;
    if (!t->zero_pending) return;
    for (const oclin_tensor *u = next_sharing(t, NULL); u && !seen; u = next_sharing(t, u)) seen = u != t;
    if (!seen) return;
    const int usable = !ctx->lost && ctx->process == oclin_os_process_id();
    const int left = usable && fill(t, 0) == OCLIN_OK;
    for (oclin_tensor *u = next_sharing(t, NULL); u; u = next_sharing(t, u)) {
        if (u == t) continue;
        u->epoch = ctx->epoch;
        if (!left) u->unspecified = 1;
    }
}

void oclin_tensor_destroy(oclin_tensor *t)
{
    if (!t || --t->references > 0) return;
    struct oclin_storage *storage = t->storage;
    leave_zeros(t);
    oclin_intervals_remove(&storage->tensors, &t->place);
    if (t->mem && t->mem != storage->root && storage->ctx->process == oclin_os_process_id())
        clReleaseMemObject(t->mem);
    free(t);
    storage_release(storage);
}

/* Returns the number of elements from the first to the end of the last row, or -1 if it overflows. */
static int64_t span(int64_t rows, int64_t cols, int64_t stride)
{
    if (rows <= 0) return 0;
    const int64_t before_last = oclin_multiply(rows - 1, stride);
    return before_last < 0 || before_last > INT64_MAX - cols ? -1 : before_last + cols;
}

static oclin_status check_dims(oclin_context *ctx, oclin_dtype dtype, int64_t rows, int64_t cols,
                               int64_t stride)
{
    if (!oclin_element_of(dtype)) return oclin_fail(ctx, OCLIN_E_ARG, "dtype %d is not known", (int)dtype);
    if (rows < 0 || cols < 1)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "a tensor of %lld x %lld: rows >= 0 and cols >= 1 are needed",
                          (long long)rows, (long long)cols);
    if (stride < cols)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "row_stride %lld is less than the %lld columns",
                          (long long)stride, (long long)cols);
    const int64_t bytes = oclin_multiply(span(rows, cols, stride), oclin_element_bytes(dtype));
    if (bytes < 0 || (uint64_t)bytes > SIZE_MAX)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "%lld rows of stride %lld overflow", (long long)rows,
                          (long long)stride);
    return OCLIN_OK;
}

oclin_status oclin_tensor_make(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype, int64_t rows,
                               int64_t cols)
{
    return oclin_tensor_make_by(ctx->queue, tensor, ctx, dtype, rows, cols);
}

oclin_status oclin_tensor_make_by(cl_command_queue queue, oclin_tensor **tensor, oclin_context *ctx,
                                  oclin_dtype dtype, int64_t rows, int64_t cols)
{
    *tensor = NULL;
    OCLIN_TRY(check_dims(ctx, dtype, rows, cols, cols));
    const int64_t bytes = span(rows, cols, cols) * oclin_element_bytes(dtype);
    cl_mem root = NULL;
    if (bytes > 0) {
        char what[80];
        snprintf(what, sizeof what, "a tensor of %lld x %lld", (long long)rows, (long long)cols);
        OCLIN_TRY(oclin_device_memory(ctx, queue, bytes, what, &root));
    }
    struct oclin_storage *storage = NULL;
    OCLIN_TRY(storage_create(&storage, ctx, root));
    oclin_tensor *t = tensor_new(storage, dtype, 0, 0, rows, cols, cols);
    if (!t) {
        storage_release(storage);
        return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a tensor");
    }
    work_out_alignment(t, 1); /* OpenCL aligns a buffer for its largest type, 128 bytes */
    *tensor = t;
    return OCLIN_OK;
}

oclin_status oclin_tensor_create(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype, int64_t rows,
                                 int64_t cols)
{
    if (tensor) *tensor = NULL;
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!tensor) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the tensor is NULL");
    return oclin_tensor_make(tensor, ctx, dtype, rows, cols);
}

/* The elements of a new tensor may have been written, or lost, through other tensors, so it takes over
 * their state. */
static void inherit_state(oclin_tensor *t)
{
    for (const oclin_tensor *u = next_sharing(t, NULL); u; u = next_sharing(t, u)) {
        if (u == t) continue;
        t->unspecified |= u->unspecified;
        if (u->version > t->version) t->version = u->version;
        if (u->epoch > t->epoch) t->epoch = u->epoch;
    }
}

static oclin_status check_window(oclin_context *ctx, const oclin_tensor *base, int64_t offset, int64_t rows,
                                 int64_t cols, int64_t stride)
{
    const int64_t within = span(base->rows, base->cols, base->stride), wanted = span(rows, cols, stride);
    if (offset < 0 || offset > within || wanted > within - offset)
        return oclin_fail(ctx, OCLIN_E_SHAPE,
                          "a view of %lld x %lld, stride %lld, at %lld leaves the %lld elements of its base",
                          (long long)rows, (long long)cols, (long long)stride, (long long)offset,
                          (long long)within);
    if (rows == 0 || base->rows <= 1 || base->stride == base->cols) return OCLIN_OK;
    /* the base has gaps, which belong to other tensors */
    if ((rows > 1 && stride != base->stride) || offset % base->stride + cols > base->cols)
        return oclin_fail(
            ctx, OCLIN_E_SHAPE,
            "a view of %lld x %lld, stride %lld, at %lld is no block of rows and columns of its base, "
            "%lld x %lld, stride %lld",
            (long long)rows, (long long)cols, (long long)stride, (long long)offset, (long long)base->rows,
            (long long)base->cols, (long long)base->stride);
    return OCLIN_OK;
}

oclin_status oclin_tensor_view(oclin_tensor **view, oclin_tensor *base, int64_t offset, int64_t rows,
                               int64_t cols, int64_t row_stride)
{
    if (view) *view = NULL;
    if (!base) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(base);
    OCLIN_TRY(oclin_enter(ctx));
    if (!view) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the view is NULL");
    OCLIN_TRY(check_dims(ctx, base->dtype, rows, cols, row_stride));
    OCLIN_TRY(check_window(ctx, base, offset, rows, cols, row_stride));
    oclin_tensor *t =
        tensor_new(base->storage, base->dtype, base->origin, base->offset + offset, rows, cols, row_stride);
    if (!t) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a view");
    if (base->mem != base->storage->root) {
        const cl_int error = clRetainMemObject(base->mem);
        if (error) {
            oclin_tensor_destroy(t);
            return oclin_fail_cl(ctx, error, "clRetainMemObject");
        }
    }
    t->mem = base->mem;
    t->readable = base->readable;
    t->writable = base->writable;
    t->host_readable = base->host_readable;
    t->host_writable = base->host_writable;
    t->all_written = base->all_written;
    work_out_alignment(t, base->base_aligned);
    inherit_state(t);
    *view = t;
    return OCLIN_OK;
}

oclin_status oclin_tensor_view_rows(oclin_tensor **view, oclin_tensor *base, int64_t first, int64_t count)
{
    if (view) *view = NULL;
    if (!base) return OCLIN_E_ARG;
    if (first < 0 || first > base->rows || count < 0 || count > base->rows - first) {
        oclin_context *ctx = oclin_tensor_context(base);
        OCLIN_TRY(oclin_enter(ctx));
        return oclin_fail(ctx, OCLIN_E_SHAPE, "a view from row %lld of %lld rows, the tensor has %lld",
                          (long long)first, (long long)count, (long long)base->rows);
    }
    /* an empty view may begin behind the last row */
    return oclin_tensor_view(view, base, count ? first * base->stride : 0, count, base->cols, base->stride);
}

/* --------------------------------------------------------------------------------------------- wrapping */

/* Facts that the runtime knows about a caller's buffer. */
struct buffer_facts {
    cl_mem root;
    size_t size, origin; /* in bytes */
    cl_mem_flags flags;
    uintptr_t host; /* where it starts in the host's memory; 0 if it is not there */
};

static cl_int read_buffer_facts(cl_mem buffer, struct buffer_facts *f)
{
    memset(f, 0, sizeof *f);
    cl_mem parent = NULL;
    cl_int error = clGetMemObjectInfo(buffer, CL_MEM_SIZE, sizeof f->size, &f->size, NULL);
    if (!error) error = clGetMemObjectInfo(buffer, CL_MEM_FLAGS, sizeof f->flags, &f->flags, NULL);
    if (!error) error = clGetMemObjectInfo(buffer, CL_MEM_ASSOCIATED_MEMOBJECT, sizeof parent, &parent, NULL);
    if (!error && parent)
        error = clGetMemObjectInfo(buffer, CL_MEM_OFFSET, sizeof f->origin, &f->origin, NULL);
    f->root = parent ? parent : buffer;
    cl_mem_flags root_flags = f->flags;
    if (!error) error = clGetMemObjectInfo(f->root, CL_MEM_FLAGS, sizeof root_flags, &root_flags, NULL);
    if (!error && (root_flags & CL_MEM_USE_HOST_PTR))
        error = clGetMemObjectInfo(f->root, CL_MEM_HOST_PTR, sizeof f->host, &f->host, NULL);
    return error;
}

static oclin_status check_buffer(oclin_context *ctx, cl_mem buffer)
{
    cl_mem_object_type type = 0;
    cl_context of = NULL;
    cl_int error = clGetMemObjectInfo(buffer, CL_MEM_TYPE, sizeof type, &type, NULL);
    if (!error) error = clGetMemObjectInfo(buffer, CL_MEM_CONTEXT, sizeof of, &of, NULL);
    if (error == CL_INVALID_MEM_OBJECT) {
        ctx->cl_error = error;
        return oclin_fail(ctx, OCLIN_E_ARG, "the cl_mem is no memory object (OpenCL error %d)", (int)error);
    }
    if (error) return oclin_fail_cl(ctx, error, "clGetMemObjectInfo");
    if (type != CL_MEM_OBJECT_BUFFER)
        return oclin_fail(ctx, OCLIN_E_ARG, "the cl_mem is no buffer (type 0x%x)", (unsigned)type);
    if (of != ctx->cl) return oclin_fail(ctx, OCLIN_E_ARG, "the cl_mem belongs to another cl_context");
    return OCLIN_OK;
}

/* Finds or makes the storage of this root buffer. Buffers that are wrapped twice, and sub-buffers of one
 * parent, share one storage, so that oclin sees their overlaps and writes. */
static oclin_status storage_of(oclin_context *ctx, cl_mem root, struct oclin_storage **storage)
{
    const int64_t address = address_of(root);
    *storage = (struct oclin_storage *)oclin_intervals_next(&ctx->storages, address, address + 1, NULL);
    if (*storage) return OCLIN_OK;
    const cl_int error = clRetainMemObject(root);
    if (error) return oclin_fail_cl(ctx, error, "clRetainMemObject");
    OCLIN_TRY(storage_create(storage, ctx, root));
    (*storage)->wrapped = 1;
    (*storage)->written.all = 1; /* as far as oclin knows, its owner has written it */
    return OCLIN_OK;
}

oclin_status oclin_tensor_wrap(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype, cl_mem buffer,
                               int64_t offset, int64_t rows, int64_t cols, int64_t row_stride)
{
    if (tensor) *tensor = NULL;
    if (!ctx) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(ctx));
    if (!tensor) return oclin_fail(ctx, OCLIN_E_ARG, "the address for the tensor is NULL");
    if (!buffer) return oclin_fail(ctx, OCLIN_E_ARG, "the cl_mem is NULL");
    OCLIN_TRY(check_dims(ctx, dtype, rows, cols, row_stride));
    OCLIN_TRY(check_buffer(ctx, buffer));
    struct buffer_facts f;
    cl_int error = read_buffer_facts(buffer, &f);
    if (error) return oclin_fail_cl(ctx, error, "clGetMemObjectInfo");
    const size_t bytes = (size_t)oclin_element_bytes(dtype);
    if (f.origin % bytes)
        return oclin_fail(ctx, OCLIN_E_ARG,
                          "the sub-buffer starts at byte %zu, which is not a multiple of %zu", f.origin,
                          bytes);
    if (f.host % bytes)
        return oclin_fail(ctx, OCLIN_E_ARG, "the buffer's host memory is not aligned to %zu bytes", bytes);
    const int64_t holds = (int64_t)(f.size / bytes), wanted = span(rows, cols, row_stride);
    if (offset < 0 || offset > holds || wanted > holds - offset)
        return oclin_fail(
            ctx, OCLIN_E_SHAPE,
            "%lld x %lld, stride %lld, at offset %lld needs %lld elements, the buffer holds %lld",
            (long long)rows, (long long)cols, (long long)row_stride, (long long)offset, (long long)wanted,
            (long long)holds);
    struct oclin_storage *storage = NULL;
    OCLIN_TRY(storage_of(ctx, f.root, &storage));
    storage->references++; /* held until the tensor holds its own reference */
    oclin_tensor *t = tensor_new(storage, dtype, (int64_t)(f.origin / bytes), offset, rows, cols, row_stride);
    if (t && buffer != f.root) {
        error = clRetainMemObject(buffer);
        if (!error) t->mem = buffer;
    }
    storage_release(storage);
    if (!t) return oclin_fail(ctx, OCLIN_E_MEMORY, "no host memory for a tensor");
    if (error) {
        oclin_tensor_destroy(t);
        return oclin_fail_cl(ctx, error, "clRetainMemObject");
    }
    t->readable = !(f.flags & CL_MEM_WRITE_ONLY);
    t->writable = !(f.flags & CL_MEM_READ_ONLY);
    t->host_readable = !(f.flags & (CL_MEM_HOST_WRITE_ONLY | CL_MEM_HOST_NO_ACCESS));
    t->host_writable = !(f.flags & (CL_MEM_HOST_READ_ONLY | CL_MEM_HOST_NO_ACCESS));
    work_out_alignment(t, f.host % ALIGNED_BYTES == 0);
    inherit_state(t);
    *tensor = t;
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------------- overlap */

int oclin_tensor_overlap(const oclin_tensor *t, const oclin_tensor *u)
{
    if (t->storage != u->storage) return 0;
    const struct oclin_rectangle a = place_of(t), b = place_of(u);
    return oclin_rectangle_meets(&a, &b);
}

int oclin_tensor_same(const oclin_tensor *t, const oclin_tensor *u)
{
    return t->storage == u->storage && t->origin + t->offset == u->origin + u->offset &&
           t->dtype == u->dtype && t->rows == u->rows && t->cols == u->cols &&
           (t->rows <= 1 || t->stride == u->stride);
}

/* Tells whether every element of u is one of t. */
static int covers(const oclin_tensor *t, const oclin_tensor *u)
{
    if (t == u || t->storage != u->storage) return t == u;
    const struct oclin_rectangle a = place_of(t), b = place_of(u);
    return oclin_rectangle_covers(&a, &b);
}

/* ------------------------------------------------------------------------------------- state of contents */

static oclin_status write_zeros(oclin_tensor *t)
{
    OCLIN_TRY(fill(t, 0));
    t->zero_pending = 0;
    t->epoch = oclin_tensor_context(t)->epoch;
    return OCLIN_OK;
}

oclin_status oclin_tensor_settle(oclin_tensor *t)
{
    for (oclin_tensor *u = next_sharing(t, NULL); u; u = next_sharing(t, u))
        if (u->zero_pending) OCLIN_TRY(write_zeros(u));
    return OCLIN_OK;
}

oclin_status oclin_tensor_settle_others(oclin_tensor *t)
{
    for (oclin_tensor *u = next_sharing(t, NULL); u; u = next_sharing(t, u))
        if (u->zero_pending && !covers(t, u)) OCLIN_TRY(write_zeros(u));
    return OCLIN_OK;
}

int oclin_tensor_ever_written(const oclin_tensor *t)
{
    return oclin_written_any(&t->storage->written, place_of(t));
}

static void record_write(oclin_tensor *t)
{
    if (!t->all_written) oclin_written_add(&t->storage->written, place_of(t));
    t->all_written = 1;
}

static void note_write(oclin_tensor *u, oclin_status outcome, int covered)
{
    u->version++;
    u->epoch = oclin_tensor_context(u)->epoch;
    u->cleared = u->zero_pending = 0;
    if (outcome != OCLIN_OK)
        u->unspecified = 1;
    else if (covered)
        u->unspecified = 0;
}

void oclin_tensor_written(oclin_tensor *t, oclin_status outcome)
{
    record_write(t);
    if (t->rows == 0) note_write(t, outcome, 1); /* it shares elements with nothing, not even itself */
    for (oclin_tensor *u = next_sharing(t, NULL); t->rows > 0 && u; u = next_sharing(t, u))
        note_write(u, outcome, covers(t, u));
}

oclin_status oclin_tensor_clear(oclin_tensor *t)
{
    OCLIN_TRY(oclin_tensor_settle_others(t));
    oclin_tensor_written(t, OCLIN_OK); /* informs all tensors that share elements with it */
    t->cleared = t->zero_pending = 1;
    return OCLIN_OK;
}

void oclin_tensors_lose_epoch(oclin_context *ctx)
{
    for (struct oclin_storage *s = next_storage(ctx, NULL); s; s = next_storage(ctx, s))
        for (oclin_tensor *t = next_tensor(s, NULL); t; t = next_tensor(s, t)) {
            if (t->epoch != ctx->epoch || t->version == 0) continue;
            if (t->cleared)
                t->zero_pending = 1; /* its zeros may be lost, but the mark is not */
            else
                t->unspecified = 1;
        }
}

/* ----------------------------------------------------------------------------------------------- checks */

oclin_status oclin_tensor_check(oclin_context *ctx, const oclin_tensor *t, const char *name,
                                oclin_dtype dtype, int64_t rows, int64_t cols)
{
    if (!t) return oclin_fail(ctx, OCLIN_E_ARG, "%s is NULL", name);
    if (oclin_tensor_context(t) != ctx)
        return oclin_fail(ctx, OCLIN_E_ARG, "%s belongs to another context", name);
    if (t->dtype != dtype)
        return oclin_fail(ctx, OCLIN_E_ARG, "%s is %s, %s is needed", name, oclin_element_of(t->dtype)->name,
                          oclin_element_of(dtype)->name);
    if (t->rows != rows || t->cols != cols)
        return oclin_fail(ctx, OCLIN_E_SHAPE, "%s is %lld x %lld, %lld x %lld is needed", name,
                          (long long)t->rows, (long long)t->cols, (long long)rows, (long long)cols);
    return OCLIN_OK;
}

static oclin_status check_written(oclin_context *ctx, const oclin_tensor *t, const char *name)
{
    if (t->all_written) return OCLIN_OK;
    const int64_t i = oclin_written_missing(&t->storage->written, place_of(t));
    if (i < 0) return OCLIN_OK;
    const int64_t element = i / bytes_of(t);
    return oclin_fail(ctx, OCLIN_E_STATE, "%s is read, but its element [%lld, %lld] was never written", name,
                      (long long)(element / t->cols), (long long)(element % t->cols));
}

oclin_status oclin_tensor_check_readable(oclin_context *ctx, const oclin_tensor *t, const char *name)
{
    if (!t->readable)
        return oclin_fail(ctx, OCLIN_E_ARG, "%s is read, but lies in a CL_MEM_WRITE_ONLY buffer", name);
    if (t->unspecified)
        return oclin_fail(ctx, OCLIN_E_STATE, "%s is unspecified after a call that failed; write it first",
                          name);
    return ctx->strict ? check_written(ctx, t, name) : OCLIN_OK;
}

oclin_status oclin_tensor_check_writable(oclin_context *ctx, const oclin_tensor *t, const char *name)
{
    if (!t->writable)
        return oclin_fail(ctx, OCLIN_E_ARG, "%s is written, but lies in a CL_MEM_READ_ONLY buffer", name);
    return OCLIN_OK;
}

oclin_status oclin_tensor_check_apart(oclin_context *ctx, const oclin_tensor *out, const char *out_name,
                                      const oclin_tensor *other, const char *other_name)
{
    if (!out || !other || !oclin_tensor_overlap(out, other)) return OCLIN_OK;
    const int64_t first = out->origin + out->offset, first_other = other->origin + other->offset;
    return oclin_fail(
        ctx, OCLIN_E_ARG,
        "%s (elements %lld to %lld) and %s (%lld to %lld) share elements of one buffer; %s is written",
        out_name, (long long)first, (long long)(first + span(out->rows, out->cols, out->stride) - 1),
        other_name, (long long)first_other,
        (long long)(first_other + span(other->rows, other->cols, other->stride) - 1), out_name);
}

/* -------------------------------------------------------------------------------------- copying, filling */

size_t oclin_tensor_host_bytes(const oclin_tensor *t)
{
    return (size_t)(t->rows * t->cols * bytes_of(t));
}

/* Describes a strided tensor, in bytes, as the rectangle that OpenCL copies; the host side is dense. */
struct copied {
    size_t buffer_origin[3], host_origin[3], region[3], stride;
};

static struct copied copied_of(const oclin_tensor *t)
{
    const int64_t bytes = bytes_of(t);
    const struct copied c = {{(size_t)(t->offset * bytes), 0, 0},
                             {0, 0, 0},
                             {(size_t)(t->cols * bytes), (size_t)t->rows, 1},
                             contiguous(t) ? (size_t)(t->cols * bytes) : (size_t)(t->stride * bytes)};
    return c;
}

static cl_int copy_in(oclin_tensor *t, const void *host, cl_bool blocking, cl_event *event)
{
    cl_command_queue queue = oclin_tensor_context(t)->queue;
    const struct copied c = copied_of(t);
    if (contiguous(t))
        return clEnqueueWriteBuffer(queue, t->mem, blocking, c.buffer_origin[0], oclin_tensor_host_bytes(t),
                                    host, 0, NULL, event);
    return clEnqueueWriteBufferRect(queue, t->mem, blocking, c.buffer_origin, c.host_origin, c.region,
                                    c.stride, 0, c.region[0], 0, host, 0, NULL, event);
}

static cl_int copy_out(oclin_tensor *t, void *host, cl_bool blocking, cl_event *event)
{
    cl_command_queue queue = oclin_tensor_context(t)->queue;
    const struct copied c = copied_of(t);
    if (contiguous(t))
        return clEnqueueReadBuffer(queue, t->mem, blocking, c.buffer_origin[0], oclin_tensor_host_bytes(t),
                                   host, 0, NULL, event);
    return clEnqueueReadBufferRect(queue, t->mem, blocking, c.buffer_origin, c.host_origin, c.region,
                                   c.stride, 0, c.region[0], 0, host, 0, NULL, event);
}

static oclin_status write_tensor(oclin_tensor *t, const void *host, cl_bool blocking, cl_event *event)
{
    oclin_context *ctx = oclin_tensor_context(t);
    OCLIN_TRY(oclin_tensor_check_writable(ctx, t, "the tensor"));
    if (!t->host_writable)
        return oclin_fail(ctx, OCLIN_E_ARG, "the tensor's buffer was made without host writes");
    if (!host) return oclin_fail(ctx, OCLIN_E_ARG, "the host array is NULL");
    if (t->rows == 0) return event ? oclin_mark(ctx, event) : OCLIN_OK; /* it marks all that came before */
    OCLIN_TRY(oclin_tensor_settle_others(t));
    const cl_int error = copy_in(t, host, blocking, event);
    const oclin_status status = error ? oclin_fail_run(ctx, error, "clEnqueueWriteBuffer") : OCLIN_OK;
    oclin_tensor_written(t, status);
    return status;
}

static oclin_status read_tensor(oclin_tensor *t, void *host, cl_bool blocking, cl_event *event)
{
    oclin_context *ctx = oclin_tensor_context(t);
    OCLIN_TRY(oclin_tensor_check_readable(ctx, t, "the tensor"));
    if (!t->host_readable)
        return oclin_fail(ctx, OCLIN_E_ARG, "the tensor's buffer was made without host reads");
    if (!host) return oclin_fail(ctx, OCLIN_E_ARG, "the host array is NULL");
    if (t->rows == 0) return event ? oclin_mark(ctx, event) : OCLIN_OK; /* it marks all that came before */
    OCLIN_TRY(oclin_tensor_settle(t));
    const cl_int error = copy_out(t, host, blocking, event);
    if (error) oclin_tensors_lose_epoch(ctx); /* this may be how the failure of an earlier kernel shows */
    if (error || blocking) ctx->epoch++;      /* a blocking read on an in-order queue is a finish */
    if (!error && blocking) ctx->in_flight = 0;
    if (!error && blocking) oclin_program_store_all(ctx);
    return error ? oclin_fail_run(ctx, error, "clEnqueueReadBuffer") : OCLIN_OK;
}

oclin_status oclin_tensor_write_inside(oclin_tensor *t, const void *host)
{
    return write_tensor(t, host, CL_TRUE, NULL);
}

oclin_status oclin_tensor_read_inside(oclin_tensor *t, void *host)
{
    return read_tensor(t, host, CL_TRUE, NULL);
}

oclin_status oclin_tensor_write(oclin_tensor *t, const void *host)
{
    if (!t) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(oclin_tensor_context(t)));
    return oclin_tensor_write_inside(t, host);
}

oclin_status oclin_tensor_read(oclin_tensor *t, void *host)
{
    if (!t) return OCLIN_E_ARG;
    OCLIN_TRY(oclin_enter(oclin_tensor_context(t)));
    return oclin_tensor_read_inside(t, host);
}

oclin_status oclin_tensor_write_async(oclin_tensor *t, const void *host, cl_event *event)
{
    if (event) *event = NULL;
    if (!t) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(t);
    OCLIN_TRY(oclin_enter(ctx));
    OCLIN_TRY(write_tensor(t, host, CL_FALSE, event));
    const oclin_status status = oclin_flush(ctx, event);
    if (status != OCLIN_OK && t->rows > 0) oclin_tensor_written(t, status);
    return status;
}

oclin_status oclin_tensor_read_async(oclin_tensor *t, void *host, cl_event *event)
{
    if (event) *event = NULL;
    if (!t) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(t);
    OCLIN_TRY(oclin_enter(ctx));
    OCLIN_TRY(read_tensor(t, host, CL_FALSE, event));
    return oclin_flush(ctx, event);
}

oclin_status oclin_tensor_fill_inside(oclin_tensor *t, uint32_t bits)
{
    OCLIN_TRY(oclin_tensor_settle_others(t));
    const oclin_status status = fill(t, bits);
    if (status == OCLIN_OK || status == OCLIN_E_CL)
        oclin_tensor_written(t, status); /* otherwise it was never enqueued */
    return status;
}

oclin_status oclin_tensor_fill(oclin_tensor *t, double value)
{
    if (!t) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(t);
    OCLIN_TRY(oclin_enter(ctx));
    OCLIN_TRY(oclin_tensor_check_writable(ctx, t, "the tensor"));
    const struct oclin_element *element = oclin_element_of(t->dtype);
    uint32_t bits;
    if (!element->bits(value, &bits))
        return oclin_fail(ctx, OCLIN_E_ARG, "%.17g is no %s", value, element->kind);
    return t->rows == 0 ? OCLIN_OK : oclin_tensor_fill_inside(t, bits);
}

/* Writes the zeros that u has only marked, except where u and t share bytes. The steps are elements of the
 * smaller of the two types, so that no step covers half of an element. */
static cl_int zero_around(const oclin_tensor *u, const oclin_tensor *t)
{
    const cl_ulong zero = 0;
    const struct oclin_rectangle touched = place_of(t);
    const int64_t bytes = bytes_of(u), unit = oclin_least(bytes, bytes_of(t)), cols = u->cols * bytes;
    cl_int error = CL_SUCCESS;
    for (int64_t r = 0; r < u->rows && !error; r++) {
        const int64_t row = (u->offset + r * u->stride) * bytes;
        for (int64_t from = 0, to; from < cols && !error; from = to + unit) {
            for (to = from; to < cols; to += unit) /* up to the next byte of t */
                if (oclin_rectangle_holds(&touched, u->origin * bytes + row + to)) break;
            if (to > from)
                error = clEnqueueFillBuffer(oclin_tensor_context(u)->queue, u->mem, &zero, (size_t)unit,
                                            (size_t)(row + from), (size_t)(to - from), 0, NULL, NULL);
        }
    }
    return error;
}

oclin_status oclin_tensor_touch(oclin_tensor *t)
{
    if (!t) return OCLIN_E_ARG;
    oclin_context *ctx = oclin_tensor_context(t);
    OCLIN_TRY(oclin_enter(ctx));
    oclin_status status = OCLIN_OK;
    for (oclin_tensor *u = next_sharing(t, NULL); u && status == OCLIN_OK; u = next_sharing(t, u)) {
        if (!u->zero_pending || covers(t, u)) continue;
        const cl_int error = zero_around(u, t); /* keeps what was written to t without oclin */
        if (error) status = oclin_fail_run(ctx, error, "clEnqueueFillBuffer");
    }
    oclin_tensor_written(t, status);
    return status;
}

/* ----------------------------------------------------------------------------------------------- getters */

oclin_dtype oclin_tensor_dtype(const oclin_tensor *t)
{
    return t ? t->dtype : OCLIN_F32;
}

int64_t oclin_tensor_rows(const oclin_tensor *t)
{
    return t ? t->rows : 0;
}

int64_t oclin_tensor_cols(const oclin_tensor *t)
{
    return t ? t->cols : 0;
}

int64_t oclin_tensor_row_stride(const oclin_tensor *t)
{
    return t ? t->stride : 0;
}

int64_t oclin_tensor_offset(const oclin_tensor *t)
{
    return t ? t->offset : 0;
}

cl_mem oclin_tensor_cl_mem(oclin_tensor *t)
{
    if (!t || oclin_enter(oclin_tensor_context(t)) != OCLIN_OK || oclin_tensor_settle(t) != OCLIN_OK)
        return NULL;
    return t->mem;
}
