/*
 * A model of the library for the fuzzer: what each call must answer and what it must do, after the words
 * of oclin.h.
 *
 * Memory is modelled element by element, and so is who shares elements with whom. A call is judged in two
 * steps: refusals_...() gives the set of statuses with which it may be refused, after all rules that its
 * arguments break (the header does not say which one of several is reported; none: it must succeed);
 * model_...() follows a call that succeeded: the reference computes what must be in memory, what is there
 * is compared with it and becomes the model's. Whatever is wrong ends the program with a sentence.
 */
#ifndef OCLIN_FUZZ_MODEL_H
#define OCLIN_FUZZ_MODEL_H

#include "oclin_internal.h"

enum {
    ARG = 1 << OCLIN_E_ARG,
    SHAPE = 1 << OCLIN_E_SHAPE,
    STATE = 1 << OCLIN_E_STATE,
    DEVICE = 1 << OCLIN_E_DEVICE
};
enum { ANY = -1 };

/* A buffer that is no sub-buffer. bits: what oclin promises to be there; pending: zeros that are only
 * marked; known: elements that were ever written. */
struct memory {
    cl_mem mem;
    int64_t count;
    uint32_t *bits, *raw;
    unsigned char *pending, *known;
    int fresh; /* raw is what is in the buffer now */
    struct memory *next;
};

struct tensor {
    oclin_tensor *handle; /* NULL: dropped, though a layer or a saved state may hold it */
    oclin_context *ctx;
    struct memory *memory; /* NULL: 0 rows */
    oclin_dtype dtype;
    int64_t first, rows, cols, stride; /* first: within the memory */
    int readable, writable, host_readable, host_writable;
    int borrowed;     /* from a layer */
    int cleared;      /* a gradient that counts as zeros */
    uint64_t written; /* when it was last written */
    struct tensor *next;
};

struct saved {
    oclin_saved *handle; /* NULL: dropped */
    oclin_saved *inside; /* also of a layer's own */
    oclin_context *ctx;
    const struct layer *layer; /* that filled it */
    int64_t batch;
    struct tensor *x, *y;
    uint64_t x_written, y_written, w_written;
    float *z;
    struct saved *next;
};

struct layer {
    oclin_layer *handle; /* NULL: dropped */
    int64_t in, out;
    struct oclin_layer_options options;
    struct tensor *w, *b, *dw, *db;
    uint64_t dw_written,
        db_written; /* when they were cleared by the layer itself, and by nobody else since */
    int computed;
    struct saved *saved;
    struct layer *next;
};

/* What exists in this run, all on one context. */
struct world {
    oclin_context *ctx;
    cl_command_queue queue;
    const char *plan;
    int64_t largest; /* bytes in a buffer */
    uint64_t clock;
    struct memory *memories;
    struct tensor *tensors;
    struct layer *layers;
    struct saved *saved;
};
extern struct world world;

#if defined(__GNUC__)
__attribute__((format(printf, 1, 2), noreturn))
#endif
void wrong(const char *format, ...);
void world_begin(oclin_context *ctx, cl_command_queue queue, const char *plan);
/* Compares all memory a last time, and drops the model; handles are the caller's to drop before. */
void world_end(void);
/* Memory that lives until world_end(), zeroed. */
void *keep(size_t count, size_t size);

/* The call `what` answered; refusals: the statuses that are right, none: OCLIN_OK. of: the context that
 * must have a sentence, NULL if none can be known. Whether it succeeded. */
int judge(const char *what, oclin_context *of, unsigned refusals, oclin_status status);
/* Everything else must be as it was: in the buffers that the last call has written to, or in all. */
void check_memories(int all);

struct memory *memory_of(cl_mem root, int64_t count, int of_caller);
/* Some elements of t were never written, and the context minds. */
unsigned unknown(const struct tensor *t);
struct tensor *model_tensor(oclin_tensor *handle, struct memory *memory, oclin_dtype dtype, int64_t first,
                            int64_t rows, int64_t cols, int64_t stride);
int shares(const struct tensor *t, const struct tensor *u);
/* What is in memory becomes the model's: new memory, or a write past the library. */
void adopt(const struct tensor *t);
void model_write(struct tensor *t, const uint32_t *bits); /* dense */
void model_fill(struct tensor *t, uint32_t bits);
void model_touch(struct tensor *t);
void model_read(struct tensor *t, const uint32_t *got);

unsigned refusals_create(oclin_dtype dtype, int64_t rows, int64_t cols);
unsigned refusals_view(const struct tensor *base, int64_t offset, int64_t rows, int64_t cols, int64_t stride);
unsigned refusals_wrap(oclin_dtype dtype, int64_t holds, int64_t offset, int64_t rows, int64_t cols,
                       int64_t stride);

unsigned refusals_options(const void *options, size_t known);
unsigned refusals_layer(int64_t in, int64_t out, const struct oclin_layer_options *o,
                        struct tensor *const given[4]);
struct layer *model_layer(oclin_layer *handle, int64_t in, int64_t out, const struct oclin_layer_options *o,
                          struct tensor *const given[4]);
struct saved *model_saved(oclin_saved *handle);
/* The gradients that a layer has by now. */
void model_gradients(struct layer *l);
void model_drop_layer(struct layer *l);

unsigned refusals_forward(const struct layer *l, const struct tensor *x, const struct tensor *y);
void model_forward(struct layer *l, struct tensor *x, struct tensor *y, struct saved *s); /* s NULL: infer */
enum backward_kind { GRADIENTS, STEP, X_ALONE };
unsigned refusals_backward(const struct layer *l, const struct tensor *dy, const struct tensor *dx,
                           const struct saved *s, enum backward_kind kind, float lr);
void model_backward(struct layer *l, struct tensor *dy, struct tensor *dx, struct saved *s,
                    enum backward_kind kind, float lr);
void model_zero_grad(struct layer *l);
unsigned refusals_step(const struct layer *l, float lr);
void model_step(struct layer *l, float lr);

struct loss_call {
    struct tensor *y, *target, *loss, *dy, *correct;
    struct oclin_loss_options options;
    int classes;
};
unsigned refusals_loss(const struct loss_call *c);
void model_loss(const struct loss_call *c);

#endif
