/*
 * oclin: a linear (dense, fully connected) layer on any OpenCL device, and its training.
 *
 * This header is the whole API and its manual. Nothing else is promised.
 *
 * The mathematics, in batch form (one sample a row, row-major), after the page of mnn.layer.LinearLayer,
 * whose equation numbers (1), (2) and (3) are kept:
 *
 *     forward   Z = X W^T + 1 b^T,  Y = act(Z)        X (batch, in)  W (out, in)  b (1, out)  Y (batch, out)
 *               dZ = act'(Z) * dY, element by element; with no activation dZ = dY
 *     (1)       dW += dZ^T X                           dW (out, in)
 *     (2)       db += column sums of dZ                db (1, out)
 *     (3)       dX  = dZ W                             dX (batch, in)
 *     step      W -= lr dW,  b -= lr db
 *
 * Rules that hold everywhere, and are not repeated below:
 *
 * - Every function that can fail returns an oclin_status. OCLIN_OK is 0. The sentence that goes with a
 * failure, with the numbers in it, is oclin_context_error(); it is cleared when the next call on that context
 * begins.
 * - Argument, shape, state and allocation errors are found before anything is enqueued and change nothing at
 *   all. After OCLIN_E_CL the inputs are intact; what the call writes or updates is unspecified, and is
 *   answered with OCLIN_E_STATE until it is written (or, for gradients, cleared). In a strict context
 *   (an option) so is reading what was never written.
 * - A call that needs a kernel may also return OCLIN_E_BUILD (it did not compile) or OCLIN_E_DEVICE (the device cannot run
 *   it), having changed nothing; so may one that only has to write zeros that oclin_layer_zero_grad() marked.
 * - Functions that compute return when the work is enqueued, not when it is done. The queue of a context is
 *   in order. oclin_context_finish(), oclin_context_mark() and the blocking reads wait or give an event.
 * - One context, with all that was made on it, is used by one thread at a time. Different contexts are
 *   independent. A context does not survive fork(): in the child every call answers OCLIN_E_STATE. PoCL
 *   before 6.0 ends the process where two contexts run kernels of one text; there each context that lives
 *   beside others builds kernels of its own, at the cost of their compile time (once: then the disk has them).
 *   (One that is destroyed before oclin_context_finish() or a blocking read has seen its last kernel end keeps
 *   its place; from the 65th on they share one.)
 * - What is known of memory (who shares elements, what was written, zeros that are only marked, what a
 *   failure left) is known to one context. Where two contexts on one cl_context see the same memory the
 *   program tells them, as oclin_tensor_wrap() says.
 * - Handles are opaque. create() takes the address of the handle first and sets it to NULL when it fails;
 *   destroy(NULL) does nothing; a handle that was destroyed must not be used again (nothing detects it).
 *   Tensors, layers and saved states keep their context alive, so the order of destruction is free.
 * - Pointers that a function returns are borrowed: they live as long as the handle they came from and are
 *   not destroyed by the caller.
 * - Sizes, strides and offsets are int64_t and count elements, never bytes.
 * - Option structs are filled with their ..._OPTIONS_INIT; a NULL pointer means the same. `size` lets a
 *   program that was compiled against an older header run with a newer library and the other way round.
 * - The library never prints, exits or aborts, installs no exit handler and has no global state but two
 *   locks: one thread at a time asks the drivers for their devices, and takes or gives back the number that
 *   sets the kernels of a context apart on PoCL before 6.0. Neither is held longer than that takes.
 *
 * Not promised: equal bits on different devices, drivers, versions of oclin or plans. Promised: equal bits on
 * every run where all four are the same. OCLIN_PLAN, or the absence of a tuning file (see oclin_tune()), pins
 * the plan.
 *
 * MIT licence, the oclin authors.
 */
#ifndef OCLIN_H
#define OCLIN_H

#include <stddef.h>
#include <stdint.h>

/* OpenCL's handles, by the structs that are behind them in all its headers: a cl_mem is a struct _cl_mem *,
 * and so on. None of those headers is included here, because the first one decides for which version of
 * OpenCL all of them are. So a program includes the one it wants, if it wants one, before or behind this
 * header. */
struct _cl_platform_id;
struct _cl_device_id;
struct _cl_context;
struct _cl_command_queue;
struct _cl_mem;
struct _cl_event;

#define OCLIN_VERSION_MAJOR 0
#define OCLIN_VERSION_MINOR 1
#define OCLIN_VERSION_PATCH 0
/* One number that grows with the version: 1002003 is 1.2.3. */
#define OCLIN_VERSION (OCLIN_VERSION_MAJOR * 1000000 + OCLIN_VERSION_MINOR * 1000 + OCLIN_VERSION_PATCH)

/* OCLIN_SHARED is defined by the build that uses or makes the shared library on Windows. */
#if defined(_WIN32) && defined(OCLIN_SHARED)
#ifdef OCLIN_BUILD
#define OCLIN_API __declspec(dllexport)
#else
#define OCLIN_API __declspec(dllimport)
#endif
#elif defined(__GNUC__)
#define OCLIN_API __attribute__((visibility("default")))
#else
#define OCLIN_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------------------------- status */

/* Every status, and what it means in general; X(name, text). */
#define OCLIN_STATUS_LIST(X)                                         \
    X(OCLIN_OK, "ok")                                                \
    X(OCLIN_E_ARG, "an argument is not valid")                       \
    X(OCLIN_E_SHAPE, "sizes, strides or offsets do not fit")         \
    X(OCLIN_E_STATE, "not possible in this state")                   \
    X(OCLIN_E_MEMORY, "out of memory, on the host or on the device") \
    X(OCLIN_E_DEVICE, "no device fits")                              \
    X(OCLIN_E_BUILD, "a kernel did not compile")                     \
    X(OCLIN_E_CL, "an OpenCL call failed")                           \
    X(OCLIN_E_VERIFY, "a result differs from the reference by more than its bound")

#define OCLIN_STATUS_NAME_(name, text) name,
typedef enum oclin_status { OCLIN_STATUS_LIST(OCLIN_STATUS_NAME_) OCLIN_STATUS_COUNT } oclin_status;
#undef OCLIN_STATUS_NAME_

/* "OCLIN_E_SHAPE" and the general text; for a value that is no status "?" and "unknown status". Static. */
OCLIN_API const char *oclin_status_name(oclin_status status);
OCLIN_API const char *oclin_status_text(oclin_status status);

/* OCLIN_VERSION of the library that runs, which may be newer than the header that a program saw. */
OCLIN_API int oclin_version(void);

/* --------------------------------------------------------------------------------------------- devices */

typedef enum oclin_device_type {
    OCLIN_DEVICE_ANY = 0,
    OCLIN_DEVICE_GPU = 1,
    OCLIN_DEVICE_CPU = 2,
    OCLIN_DEVICE_ACCELERATOR = 3
} oclin_device_type;

/* One OpenCL device. The strings are cut to fit, and always end. */
struct oclin_device_info {
    struct _cl_platform_id *platform;
    struct _cl_device_id *device;
    oclin_device_type type; /* a device of several types counts as the first of GPU, CPU, accelerator */
    char name[128];
    char vendor[128];
    char platform_name[128];
    char driver[128];       /* version of the driver */
    char version[128];      /* "OpenCL 3.0 ..." */
    int64_t compute_units;  /* cores of a CPU; SMs, CUs or the like of a GPU */
    int64_t vector_width;   /* native width in float32; 1 on most GPUs */
    int64_t max_work_group; /* work-items in a work-group */
    int64_t local_bytes;    /* local memory of a work-group */
    int64_t global_bytes;   /* device memory */
    int64_t max_allocation; /* largest single buffer, bytes */
    int64_t reserved[8];    /* zero */
};

/**
 * Every usable device of every platform, best first: GPU before accelerator before CPU, then by
 * compute units; of equals the order of the runtime. Platforms without devices are passed over, and devices
 * that oclin can't use: below OpenCL 1.2, without a compiler, not available, or of other endianness than the
 * host.
 *
 * list      room for `capacity` entries; may be NULL when capacity is 0
 * count     set to the number of devices found, which may exceed capacity
 *
 * OCLIN_OK, also when there is none (count 0: no driver installed is not an error here);
 * OCLIN_E_ARG: count is NULL, or list is NULL with capacity > 0;  OCLIN_E_MEMORY.
 */
OCLIN_API oclin_status oclin_device_list(struct oclin_device_info *list, size_t capacity, size_t *count);

/* --------------------------------------------------------------------------------------------- context */

/* A device, its in-order queue, the kernels built for it, scratch memory, and the record of the last error.
 */
typedef struct oclin_context oclin_context;

/* Receives one line without newline or other control characters ('?' stands for them): what was chosen,
 * what grew, why a call failed. Called by the thread that called the library, while it is inside; it must
 * not call oclin on the same context. */
typedef void (*oclin_log_fn)(void *user, const char *line);

struct oclin_context_options {
    size_t size;
    /* Which device, when oclin makes the context: among oclin_device_list() those of this type whose name,
     * vendor or platform contains device_name (letter case ignored; NULL: all), and of these number
     * device_index. The environment variable OCLIN_DEVICE overrides the three: a number (an index into
     * oclin_device_list()), "gpu", "cpu" or "accelerator", or part of a name. */
    oclin_device_type device_type;
    int64_t device_index;
    const char *device_name;
    /* Or work inside the caller's own. All three, or none. Each is retained. The queue must be in order and
     * belong to both; commands that the caller puts on it run in order with oclin's. */
    struct _cl_context *cl_context_handle;
    struct _cl_device_id *cl_device;
    struct _cl_command_queue *cl_queue;
    /* Kernel family, or one tile or way of it: "plain"; "simt", "simt-128", "simt-64", "simt-64x32",
     * "simt-32", "simt-16"; "simd", "simd-4", "simd-8", "simd-16" (lanes), "simd-whole", "simd-packed",
     * "simd-mixed", "simd-staged", "simd-skinny", "simd-narrow". NULL or "": oclin chooses. The environment
     * variable OCLIN_PLAN overrides it. A plan that is named holds for all products, tuned or not. */
    const char *plan;
    /* A folder whose .cl files replace the built-in ones of the same name. NULL or "": none. OCLIN_CL_DIR
     * overrides it. A folder that is named must be there; a file in it that is no regular file, or cannot
     * be read, is OCLIN_E_BUILD for the calls that need it. */
    const char *cl_dir;
    /* Not 0: every operation reads its operands back and checks itself against the reference, with the bounds
     * that are proven for any data (struct oclin_ref_case); one that is wrong returns OCLIN_E_VERIFY. Slow:
     * plain loops on one core; 90 to 210 times the CPU time of a training step. OCLIN_VERIFY=1 (or true, yes,
     * on, in any letter case) switches it on; 0, false, no, off and "" leave it to this option; anything else
     * is an error. */
    int verify;
    /* Not 0: the OCLIN_* environment variables are not looked at. */
    int ignore_environment;
    /* NULL: nobody listens. When creation fails its last line is the reason. The context calls it, with
     * log_user, until its last reference is gone: after oclin_context_destroy() as well, as long as a
     * tensor, a layer or a saved state of it lives. What log_user points to must live as long. */
    oclin_log_fn log;
    void *log_user;
    /* The folder where built kernels are kept for the next process, and made if it is missing. NULL: the
     * user's own, $XDG_CACHE_HOME/oclin or ~/.cache/oclin, on macOS ~/Library/Caches/oclin, on Windows
     * %LOCALAPPDATA%\oclin. "": none is used. OCLIN_CACHE_DIR overrides it, also when it is set and empty. A
     * kernel is written when the context has waited for its first run (oclin_context_finish() or a blocking
     * read). One of another platform, device, driver, version or text is not taken; whatever is wrong with
     * the folder or a file, the kernel is built from its text and the log says so. It may be deleted at any
     * time. What oclin_tune() found is there, too. Kernels from there are run, so on POSIX systems it must be
     * the user's alone. oclin makes it with mode 0700 and its files with 0600. A folder that belongs to
     * neither the user nor root, or that its group or others may write to, is neither loaded from nor stored
     * in; such a file is not loaded, but replaced. Links are followed: what counts is the folder that they
     * lead to. Only regular files are read. Files that a killed process left half written are removed when
     * they are a day old. A HOME or XDG_CACHE_HOME that is no absolute path is passed over. */
    const char *cache_dir;
    /* Not 0: two mistakes that otherwise give numbers without meaning are answered with OCLIN_E_STATE:
     * - backward or backward_step after W was written since the forward that it belongs to: by a step
     *   (also of another layer that shares W), by oclin_tensor_write() or the like. So a second
     *   backward_step after one forward is refused.
     * - reading an element that was never written: of an operand, of a gradient that is added to, by
     *   oclin_tensor_read(). Written are the elements that oclin_tensor_write(), a fill, the output of a
     *   kernel or zero_grad has reached, those that oclin_tensor_touch() has announced, and all memory of
     *   the caller's own that is wrapped. A tensor may be written in parts, also through views: the elements
     *   count. (The record of memory that was written in more than 10,000 separate pieces is given up:
     *   all of it then counts as written.)
     * 0: W is used as it is, memory as it is found. OCLIN_STRICT switches it on as OCLIN_VERIFY does verify.
     */
    int strict;
    int reserved; /* 0 */
    /* Receives the reason when creation fails: the sentence that oclin_context_error() would give if
     * there were a context; "" after success. At most error_text_size bytes with the terminating 0, which
     * is always there: a longer sentence is cut (512 bytes hold any). Not looked at after creation. NULL,
     * or size 0: not wanted. Untouched when `size` of the options makes no sense. */
    char *error_text;
    size_t error_text_size;
};
#define OCLIN_CONTEXT_OPTIONS_INIT                                                                           \
    {                                                                                                        \
        sizeof(struct oclin_context_options), OCLIN_DEVICE_ANY, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, \
            NULL, NULL, NULL, 0, 0, NULL, 0                                                                  \
    }

/**
 * Makes a context on the device that the options and OCLIN_DEVICE pick, or around the caller's handles.
 *
 * Why it failed is told to `log` and written to `error_text`, where the options have them.
 *
 * Several contexts may be made around the same caller's handles. They know nothing of each other, and of
 * memory that they both see each knows its own part alone: oclin_tensor_wrap() says what the program then
 * does.
 *
 * OCLIN_OK;  OCLIN_E_ARG: ctx NULL, an unknown option, plan, device type, OCLIN_VERIFY or OCLIN_STRICT, a
 * negative index, a cl_dir that is no folder, one or two of the three caller's handles, a queue that is out
 * of order or of another context or device;  OCLIN_E_DEVICE: no device matches, or the device cannot run the
 * plan that was asked for;  OCLIN_E_MEMORY;  OCLIN_E_CL.
 */
OCLIN_API oclin_status oclin_context_create(oclin_context **ctx, const struct oclin_context_options *options);

/* Gives back the caller's hold on it. Work already enqueued completes, and is not waited for; but on Mesa's
 * Rusticl, which does not survive the end of a process that has work left, whoever gives back the last hold
 * (a tensor's or layer's is one, too) waits for a queue that oclin made. NULL is fine. */
OCLIN_API void oclin_context_destroy(oclin_context *ctx);

/**
 * Waits until everything enqueued so far is done.
 * OCLIN_OK;  OCLIN_E_ARG: ctx NULL;  OCLIN_E_STATE: after fork or device loss;  OCLIN_E_CL: the runtime
 * reports a failure; everything written since the last finish that succeeded is then unspecified.
 */
OCLIN_API oclin_status oclin_context_finish(oclin_context *ctx);

/**
 * Work enqueued after this call starts only when the n events (of any queue of the same cl_context) are
 * complete. Does not block. n = 0 does nothing. Of an event that ends with an error its owner hears, not
 * oclin: what waits for it may have run or not. OCLIN_OK;  OCLIN_E_ARG: NULL, n < 0, or an event that is NULL
 * or of another cl_context; OCLIN_E_STATE;  OCLIN_E_CL.
 */
OCLIN_API oclin_status oclin_context_wait_for(oclin_context *ctx, int n, struct _cl_event *const *events);

/**
 * Sets *event to one that completes when everything enqueued so far is done, and flushes the queue, so that
 * another queue may wait for it. The caller releases it with clReleaseEvent.
 * OCLIN_OK;  OCLIN_E_ARG;  OCLIN_E_STATE;  OCLIN_E_CL (*event is then NULL).
 */
OCLIN_API oclin_status oclin_context_mark(oclin_context *ctx, struct _cl_event **event);

/* What went wrong in the last call on this context: one sentence with the numbers, "" after success, never
 * NULL. Borrowed; changes with the next call. */
OCLIN_API const char *oclin_context_error(const oclin_context *ctx);

/* The raw OpenCL code behind the last failure, CL_SUCCESS if it came from elsewhere or there was none. */
OCLIN_API int32_t oclin_context_cl_error(const oclin_context *ctx);

/* What the OpenCL compiler said about the last program it built, "" if nothing. Names the file and the line.
 * Borrowed. */
OCLIN_API const char *oclin_context_build_log(const oclin_context *ctx);

/* The device it runs on. OCLIN_OK;  OCLIN_E_ARG: NULL. */
OCLIN_API oclin_status oclin_context_device(oclin_context *ctx, struct oclin_device_info *info);

/* The OpenCL objects it runs on, borrowed: retain what you keep. Any of the three pointers may be NULL.
 * OCLIN_OK;  OCLIN_E_ARG: ctx NULL. */
OCLIN_API oclin_status oclin_context_cl(oclin_context *ctx, struct _cl_context **context,
                                        struct _cl_device_id **device, struct _cl_command_queue **queue);

/* --------------------------------------------------------------------------------------------- tensors */

/* Element types. Others are reserved. */
typedef enum oclin_dtype {
    OCLIN_F32 = 0, /* float */
    OCLIN_I32 = 1  /* int32_t; for labels and counts */
} oclin_dtype;

/*
 * rows x cols elements in device memory: element (r, c) lies at offset + r * row_stride + c. The memory is
 * shared and counted: a view keeps what it looks into alive. Each tensor knows how often it was written, also
 * through other tensors that share elements with it, so that backward can tell that its inputs are still
 * those of the forward.
 */
typedef struct oclin_tensor oclin_tensor;

/**
 * New device memory for rows x cols elements, row_stride = cols. Contents are unspecified until written.
 * rows may be 0 (an empty batch), cols may not.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL, unknown dtype;  OCLIN_E_SHAPE: rows < 0, cols < 1, the size overflows, or
 * exceeds the device's largest allocation;  OCLIN_E_MEMORY;  OCLIN_E_STATE;  OCLIN_E_CL.
 */
OCLIN_API oclin_status oclin_tensor_create(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype,
                                           int64_t rows, int64_t cols);

/**
 * A window into `base`: element (r, c) of the view is the element offset + r * row_stride + c that counts
 * from base's first. Rows r0.. of a matrix: offset r0 * stride; columns c0..: offset c0; both with base's
 * row_stride. Any rectangle may be cut out of a contiguous base (one flat arena for all parameters); out of a
 * strided base only rows and columns of it. Views may be many, 100,000 rows of a data set for example: a
 * call on one costs time for those between whose first and last element one of its own lies (all columns of
 * a matrix stand in each other's way like this), and logarithmic time for all others.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL;  OCLIN_E_SHAPE: rows < 0, cols < 1, row_stride < cols, or elements outside
 * base; OCLIN_E_MEMORY;  OCLIN_E_STATE.
 */
OCLIN_API oclin_status oclin_tensor_view(oclin_tensor **view, oclin_tensor *base, int64_t offset,
                                         int64_t rows, int64_t cols, int64_t row_stride);

/* The view of `count` rows from row `first` on: a batch of a data set, the smaller last batch of an epoch.
 * Errors as oclin_tensor_view(). */
OCLIN_API oclin_status oclin_tensor_view_rows(oclin_tensor **view, oclin_tensor *base, int64_t first,
                                              int64_t count);

/**
 * Around the caller's buffer (or sub-buffer), which is retained. `offset` counts elements from its start.
 * Alignment is worked out now: do not change what lies behind the buffer's host pointer. A write that goes
 * past oclin must be announced with oclin_tensor_touch() and ordered with oclin_context_wait_for(), unless it
 * is on the same queue. A buffer made with CL_MEM_READ_ONLY serves as an input only, one with
 * CL_MEM_WRITE_ONLY as an output only.
 *
 * Another oclin context on the same cl_context writes past this one, too. Memory that tensors `a` of context
 * A and `b` of B both see (the same buffer is wrapped twice, or one wraps the oclin_tensor_cl_mem() of the
 * other) changes hands from A to B like this, and back in the same way:
 * 1. oclin_tensor_cl_mem(a): zeros that zero_grad has only marked in A reach memory. (`a` is not to be
 * destroyed before.)
 * 2. Where their queues differ: oclin_context_mark(A, &event), oclin_context_wait_for(B, 1, &event).
 * 3. If A has written: oclin_tensor_touch(b). B then refuses, for example, a backward whose x that was.
 * Without it B may compute from zeros that are not there, or a gradient from an x that is not the forward's,
 * and answer OCLIN_OK.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL, no buffer (an image), of another cl_context, or a start that is not aligned
 * to 4 bytes;  OCLIN_E_SHAPE: rows < 0, cols < 1, row_stride < cols, offset < 0, or the buffer is too small;
 * OCLIN_E_MEMORY;  OCLIN_E_STATE;  OCLIN_E_CL.
 */
OCLIN_API oclin_status oclin_tensor_wrap(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype,
                                         struct _cl_mem *buffer, int64_t offset, int64_t rows, int64_t cols,
                                         int64_t row_stride);

/* Gives back the caller's hold. Layers and saved states that use the tensor keep it. NULL is fine. */
OCLIN_API void oclin_tensor_destroy(oclin_tensor *tensor);

/**
 * Copies rows * cols dense elements (float or int32_t) from the host into the tensor, or out of it. Returns
 * when the copy is done. The tensor may be strided; the host array is dense. With 0 rows nothing happens.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL, or (write) memory that was wrapped from a CL_MEM_READ_ONLY buffer, (read)
 * CL_MEM_WRITE_ONLY;  OCLIN_E_STATE: (read) its contents are unspecified after a failure, or, in a strict
 * context, were never written;  OCLIN_E_CL: a read that fails may be how the failure of an earlier command
 * shows: as oclin_context_finish().
 */
OCLIN_API oclin_status oclin_tensor_write(oclin_tensor *tensor, const void *host);
OCLIN_API oclin_status oclin_tensor_read(oclin_tensor *tensor, void *host);

/**
 * The same, returning at once: the host array must stay (and, for a write, not change) until *event, which
 * may be NULL if not wanted, or oclin_context_finish(), also after OCLIN_E_CL (*event is then NULL): the copy
 * may have been enqueued all the same. The queue is flushed. The caller releases *event.
 */
OCLIN_API oclin_status oclin_tensor_write_async(oclin_tensor *tensor, const void *host,
                                                struct _cl_event **event);
OCLIN_API oclin_status oclin_tensor_read_async(oclin_tensor *tensor, void *host, struct _cl_event **event);

/**
 * Sets every element to `value` (rounded to float32; for OCLIN_I32 it must be an integer that fits).
 * OCLIN_OK;  OCLIN_E_ARG;  OCLIN_E_BUILD;  OCLIN_E_STATE;  OCLIN_E_CL.
 */
OCLIN_API oclin_status oclin_tensor_fill(oclin_tensor *tensor, double value);

/* Says that the memory was written past oclin (the caller's own kernel, a map): it now counts as written,
 * also with 0 rows. OCLIN_OK;  OCLIN_E_ARG;  OCLIN_E_STATE. */
OCLIN_API oclin_status oclin_tensor_touch(oclin_tensor *tensor);

/* What it is; 0 or NULL for a NULL tensor. The cl_mem is borrowed; zeros that a zero_grad has only marked are
 * written to it before it is handed out, and marks after that are announced in zero_grad's manual. */
OCLIN_API oclin_dtype oclin_tensor_dtype(const oclin_tensor *tensor);
OCLIN_API int64_t oclin_tensor_rows(const oclin_tensor *tensor);
OCLIN_API int64_t oclin_tensor_cols(const oclin_tensor *tensor);
OCLIN_API int64_t oclin_tensor_row_stride(const oclin_tensor *tensor);
OCLIN_API int64_t oclin_tensor_offset(const oclin_tensor *tensor); /* elements from the start of the cl_mem */
OCLIN_API struct _cl_mem *oclin_tensor_cl_mem(oclin_tensor *tensor); /* NULL for 0 rows of memory */

/* ----------------------------------------------------------------------------------------------- layer */

/* At -Inf and Inf each has its limit, and so has its derivative: GELU(-Inf) = 0, GELU'(-Inf) = 0, GELU'(Inf)
 * = 1. NaN stays NaN. dZ is dY times the derivative as IEEE has it, so that an infinite dY where the
 * derivative is 0 gives NaN; ReLU selects, and gives 0. */
typedef enum oclin_activation {
    OCLIN_NONE = 0,    /* Y = Z */
    OCLIN_RELU = 1,    /* z < 0 ? 0 : z; derivative 0 at 0, as PyTorch (mnn's own ReLU layer has 1 there) */
    OCLIN_SIGMOID = 2, /* 1 / (1 + exp(-z)) */
    OCLIN_TANH = 3,    /* tanh z */
    OCLIN_GELU = 4     /* 0.5 z erfc(-z / sqrt 2), the erf form; keeps z for the derivative */
} oclin_activation;

typedef enum oclin_init {
    OCLIN_INIT_UNIFORM = 0, /* U(-1/sqrt(in), 1/sqrt(in)) for W and b, as PyTorch's nn.Linear */
    OCLIN_INIT_NORMAL = 1,  /* N(0, 1) for W and b, as mnn's randn */
    OCLIN_INIT_ZERO = 2
} oclin_init;

typedef enum oclin_gradient {
    OCLIN_GRAD_SUM = 0, /* dW, db are sums over the batch: the chain rule; pairs with mean-reduced losses */
    OCLIN_GRAD_MEAN =
        1 /* dW, db (never dX) divided by the batch size, as mnn does; pairs with OCLIN_SUM losses */
} oclin_gradient;

struct oclin_layer_options {
    size_t size;
    int bias; /* 0: no b; 1 */
    oclin_activation activation;
    oclin_init init; /* for the parameters that the layer makes itself; numbers come from Philox4x32-10 */
    uint64_t seed;   /* same seed, same parameters, on every device */
    oclin_gradient gradient;
    /* Parameters and gradients to use instead of own ones (weight tying, inference copies, one flat
     * arena); NULL: the layer makes them. f32; w, dw (out, in), b, db (1, out); the layer keeps them
     * alive, and may write them. Its creation changes nothing in them.
     * w and b keep their values. They may lie in CL_MEM_READ_ONLY memory: a step, which would write them,
     * is then refused, and all the rest is done.
     * dw and db must be writable. They stay what they are: a gradient that was cleared is cleared; so is
     * one of which no element was ever written (as oclin_context_options records it for `strict`). Any
     * other (computed by another layer, written, or in memory of the caller) is a gradient, which
     * backward adds to and step applies. To begin without, call oclin_layer_zero_grad() first. */
    oclin_tensor *w, *b, *dw, *db;
};
#define OCLIN_LAYER_OPTIONS_INIT                                                                        \
    {                                                                                                   \
        sizeof(struct oclin_layer_options), 1, OCLIN_NONE, OCLIN_INIT_UNIFORM, 0, OCLIN_GRAD_SUM, NULL, \
            NULL, NULL, NULL                                                                            \
    }

/* mnn's step(lr=0.01). */
#define OCLIN_DEFAULT_LR 0.01f

typedef struct oclin_layer oclin_layer;

/* What backward needs from one forward: x, and y or z where the activation wants it. x and y are referred to,
 * not copied; z (GELU) is memory of its own. */
typedef struct oclin_saved oclin_saved;

/**
 * A layer y = act(W x + b) from n_in to n_out features. Does not wait for the context's queue: parameters
 * that it makes are written through another queue of its own, in pieces of 256 KiB.
 *
 * Layers may share W (weight tying): its gradient is the sum of the dW of all of them. First all forwards,
 * then all backwards, then the steps, in one of two ways:
 * - They share w alone (and b, if that is tied, too); each has its own dW and db. Each layer is stepped
 *   once.
 * - They share w and dw. backward adds to the one dW; one layer is stepped, once: a step of a second one
 *   would apply the same dW again. A second layer that has a bias of its own is stepped after
 *   oclin_layer_zero_grad() of the first: its dW is cleared then, and b alone moves. Where b is shared so is
 *   db.
 * Not with oclin_layer_backward_step(): it moves W before the other layers have taken their dX from it.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL, an unknown option or enum value, a handed-in tensor of another context or
 * dtype, b or db with bias = 0, handed-in tensors that share elements, a read-only dw or db, any of the four
 * write-only;  OCLIN_E_SHAPE: n_in or n_out < 1, sizes that overflow, a handed-in tensor of another shape;
 * OCLIN_E_MEMORY;  OCLIN_E_STATE;  OCLIN_E_CL.
 */
OCLIN_API oclin_status oclin_layer_create(oclin_layer **layer, oclin_context *ctx, int64_t n_in,
                                          int64_t n_out, const struct oclin_layer_options *options);
OCLIN_API void oclin_layer_destroy(oclin_layer *layer);

/* Borrowed access; b and db are NULL without bias. dw and db come into being when first asked for or needed
 * (NULL if memory runs out, see oclin_context_error). Writing through them is allowed: w, b are then the new
 * parameters; a written dw or db counts as a computed gradient. */
OCLIN_API oclin_tensor *oclin_layer_w(oclin_layer *layer);
OCLIN_API oclin_tensor *oclin_layer_b(oclin_layer *layer);
OCLIN_API oclin_tensor *oclin_layer_dw(oclin_layer *layer);
OCLIN_API oclin_tensor *oclin_layer_db(oclin_layer *layer);
OCLIN_API int64_t oclin_layer_in(const oclin_layer *layer);
OCLIN_API int64_t oclin_layer_out(const oclin_layer *layer);

/* States for the ..._saved variants (recurrent use, checkpointing). A saved state belongs to the layer that
 * filled it last and can be filled again. OCLIN_OK;  OCLIN_E_ARG;  OCLIN_E_MEMORY;  OCLIN_E_STATE. */
OCLIN_API oclin_status oclin_saved_create(oclin_saved **saved, oclin_context *ctx);
OCLIN_API void oclin_saved_destroy(oclin_saved *saved);

/**
 * Y = act(X W^T + 1 b^T).                                                              [mnn LinearLayer.forward]
 *
 * x  (batch, in)   f32; read only
 * y  (batch, out)  f32; overwritten: what it held is never read; must not share elements with x, w or b
 * batch may be 0: nothing is launched.
 *
 * Keeps what backward needs in the layer (replacing what the last forward kept), or in `saved`. Backward
 * fails if x (or y, where the activation needs it) is written meanwhile.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL, other context or dtype, y read-only, shared elements;  OCLIN_E_SHAPE: x is
 * not (batch, in) or y not (batch, out);  OCLIN_E_STATE: w, b or x unspecified after a failure;
 * OCLIN_E_MEMORY: room for z (GELU);  OCLIN_E_CL;  OCLIN_E_VERIFY (only when verifying).
 */
OCLIN_API oclin_status oclin_layer_forward(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y);
OCLIN_API oclin_status oclin_layer_forward_saved(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y,
                                                 oclin_saved *saved);

/* The same product, keeping nothing: for inference. What an earlier forward kept stays as it is (unless y
 * overwrites it). */
OCLIN_API oclin_status oclin_layer_infer(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y);

/**
 * dZ = act'(Z) * dY;  (1) dW += dZ^T X;  (2) db += column sums of dZ;  (3) dX = dZ W.
 *                                                                          [mnn LinearLayer.backward]
 * On cleared gradients (1) and (2) overwrite, and never read, dW and db. With OCLIN_GRAD_MEAN what is added is
 * divided by the batch.
 *
 * dy  (batch, out)  f32; read only
 * dx  (batch, in)   f32; overwritten: what it held is never read; NULL: not wanted (a first layer)
 * dx must not share elements with dy, x, w, b, dw or db, nor with y where the activation needs it (ReLU, sigmoid, tanh).
 *
 * Belongs to the last forward of the layer, or to the one that filled `saved`; does not consume it: it may be
 * repeated, and then accumulates. W is used as it is now; in a strict context it must be as it was. batch =
 * 0: gradients that were cleared are zero.
 *
 * OCLIN_OK;  OCLIN_E_ARG: as forward, and y in a CL_MEM_WRITE_ONLY buffer where the activation needs it;
 * OCLIN_E_SHAPE: dy is not (batch, out) or dx not (batch, in) of that forward;  OCLIN_E_STATE: no forward yet,
 * `saved` is of another layer, x or y (strict: or w) was written since, operands unspecified after a
 * failure;  OCLIN_E_MEMORY: room for dW, db;  OCLIN_E_CL;  OCLIN_E_VERIFY.
 */
OCLIN_API oclin_status oclin_layer_backward(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx);
OCLIN_API oclin_status oclin_layer_backward_saved(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                  oclin_saved *saved);

/**
 * (3) dX = dZ W alone, with dZ = act'(Z) * dY: for an input that has a gradient where the layer's parameters have
 * none to learn from (a frozen layer, the input of a discriminator). What PyTorch's
 * torch.autograd.grad(y, x, dy) gives.
 *
 * dy  (batch, out)  f32; read only
 * dx  (batch, in)   f32; overwritten: what it held is never read; must not share elements with the operands
 *                   that oclin_layer_backward() keeps it apart from
 *
 * Belongs to a forward as oclin_layer_backward(), and does not consume it. Parameters and gradients stay as they are, in
 * whatever state: dW and db may hold something or be unspecified, and are not allocated; w and b may be
 * read-only. x and b are not read: x may have been written since. batch = 0: nothing is launched.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL (dx, too), other context or dtype, dx read-only, shared elements, y in a
 * CL_MEM_WRITE_ONLY buffer where the activation needs it;  OCLIN_E_SHAPE: as backward;  OCLIN_E_STATE: no
 * forward yet, `saved` is of another layer, y where the activation needs it (strict: or w) was written since,
 * dy, y or w unspecified after a failure;  OCLIN_E_MEMORY: scratch;  OCLIN_E_CL;  OCLIN_E_VERIFY.
 */
OCLIN_API oclin_status oclin_layer_backward_x(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx);
OCLIN_API oclin_status oclin_layer_backward_x_saved(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                    oclin_saved *saved);

/**
 * Clears dW and db. Only a mark: the next backward overwrites, reads through oclin see zeros. A cl_mem taken
 * from dW or db earlier does not: it may hold the old values until the next read or backward, or until
 * oclin_tensor_cl_mem() is called again.
 * OCLIN_OK;  OCLIN_E_ARG;  OCLIN_E_STATE.
 */
OCLIN_API oclin_status oclin_layer_zero_grad(oclin_layer *layer);

/**
 * Plain SGD: W -= lr dW, b -= lr db.                                 [mnn LinearLayer.step]
 * Does not clear the gradients and may be repeated. lr is finite and >= 0. 0 is a
 * number like any other: w - 0 dW is NaN where dW is NaN or infinite, as with PyTorch's SGD.
 * A gradient that is cleared changes nothing.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL, lr negative, NaN or infinite, w or b read-only;  OCLIN_E_STATE: no gradient
 * was ever computed, written or handed in, or it is unspecified after a failure;  OCLIN_E_BUILD;
 * OCLIN_E_CL;  OCLIN_E_VERIFY.
 */
OCLIN_API oclin_status oclin_layer_step(oclin_layer *layer, float lr);

/**
 * backward and step in one, for plain SGD: dX = dZ W with the old W, then W -= lr dZ^T X and b -= lr (column
 * sums of dZ), each applied once, in the epilogue of its sum. No dW is written, or allocated. The same result
 * as zero_grad, backward, step, up to rounding; dW and db stay cleared.
 *
 * Arguments and errors as oclin_layer_backward() and oclin_layer_step(); also OCLIN_E_STATE: the gradients
 * are not cleared (call oclin_layer_zero_grad first);  OCLIN_E_ARG: dy or x shares elements with w or b.
 */
OCLIN_API oclin_status oclin_layer_backward_step(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                 float lr);
OCLIN_API oclin_status oclin_layer_backward_step_saved(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                       float lr, oclin_saved *saved);

/**
 * Device memory, in bytes, that forward and backward with `batch` samples use beside the tensors that the
 * caller sees: scratch of the context (shared by all its layers and losses) and, for GELU, z. reserve takes
 * it now, and dW, db as well unless they exist, so that no later call with up to that batch allocates.
 * Without it the first call with a larger batch grows it, with a log line. (A layer that only uses
 * backward_step needs no dW: it does not call reserve, or calls oclin_layer_reserve_step.)
 * Sums of very many samples are made in slices, which meet in scratch memory as large as dW, or a little
 * larger: from 4097 samples on a GPU, from 66,305 on a CPU. So do those of a y or dx in a CL_MEM_WRITE_ONLY
 * buffer, with that many features; reserve cannot know of these.
 *
 * The two for infer are about oclin_layer_infer() alone: scratch of its one product, no z, no dW, no db.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL;  OCLIN_E_SHAPE: batch < 0 or sizes overflow;  OCLIN_E_MEMORY;  OCLIN_E_STATE;
 * OCLIN_E_CL.
 */
OCLIN_API oclin_status oclin_layer_workspace(const oclin_layer *layer, int64_t batch, int64_t *bytes);
OCLIN_API oclin_status oclin_layer_reserve(oclin_layer *layer, int64_t batch);
OCLIN_API oclin_status oclin_layer_reserve_step(oclin_layer *layer, int64_t batch);
OCLIN_API oclin_status oclin_layer_workspace_infer(const oclin_layer *layer, int64_t batch, int64_t *bytes);
OCLIN_API oclin_status oclin_layer_reserve_infer(oclin_layer *layer, int64_t batch);

/* What of a layer's results is asked about. */
typedef enum oclin_result {
    OCLIN_RESULT_Y = 0,  /* sums over `in` */
    OCLIN_RESULT_DX = 1, /* over `out` */
    OCLIN_RESULT_DW = 2, /* over the batch; so are W after backward_step() */
    OCLIN_RESULT_DB = 3  /* and db, and b */
} oclin_result;

/**
 * *additions: the most roundings that a product passes in the sum that makes this result with `batch`
 * samples: `additions` of struct oclin_ref_case. What follows the sum (a bias, the division by the batch, a
 * step) is not counted. It belongs to the plan that is tried first; should a driver refuse that one (a log
 * line says so) it may be another.
 *
 * With K terms: on a CPU at most 264 + K / 256, and 520 from 65,536 terms on (to some millions; more where
 * local memory is small); with small batches there, with plan "plain" and for db everywhere at most 9 + 2
 * sqrt K (db on a GPU: to some ten millions); on a GPU the smaller of K and 4096, and K / 4096 more.
 *
 * OCLIN_OK;  OCLIN_E_ARG: NULL, an unknown result;  OCLIN_E_SHAPE: batch < 1 or sizes overflow;
 * OCLIN_E_STATE.
 */
OCLIN_API oclin_status oclin_layer_additions(const oclin_layer *layer, oclin_result result, int64_t batch,
                                             int64_t *additions);

/* ---------------------------------------------------------------------------------------------- losses */

/* An epoch's mean over batches of uneven size: OCLIN_SUM, accumulate, and OCLIN_GRAD_MEAN layers; divide at
 * the end. */
typedef enum oclin_reduction {
    OCLIN_MEAN = 0, /* mean squared error over batch * out, cross-entropy over batch; as PyTorch */
    OCLIN_SUM = 1
} oclin_reduction;

struct oclin_loss_options {
    size_t size;
    oclin_reduction reduction;
    float scale; /* multiplies loss and gradient; 1 */
    /* Not 0: loss and correct are added to what the tensors hold; 0: overwritten, never read. Each call
     * rounds the sum once, and equal losses are rounded to the same side: after N calls the sum may be off by
     * N * 2^-24 of itself. Read and clear it every few hundred calls. */
    int accumulate;
    int reserved; /* 0 */
};
#define OCLIN_LOSS_OPTIONS_INIT                                   \
    {                                                             \
        sizeof(struct oclin_loss_options), OCLIN_MEAN, 1.0f, 0, 0 \
    }

/**
 * Mean squared error and its gradient:
 *     loss = scale / D * sum (y - t)^2,   dY = scale / D * 2 (y - t),   D = batch * out (OCLIN_MEAN) or 1 (OCLIN_SUM)
 *
 * y     (batch, out)  f32; read only
 * t     (batch, out)  f32, the targets; read only
 * loss  (1, 1)        f32; NULL: not wanted
 * dy    (batch, out)  f32; overwritten; NULL: not wanted
 * With batch 0 the loss is 0 (or stays, when accumulated).
 *
 * scale and scale / D are exact to float32's precision whatever their size: nothing overflows or vanishes on
 * the way to a result that does not. But y - t is a float32, and so is the sum of the squares before it is
 * scaled: where one of them reaches 2^127 it may be Inf.
 *
 * OCLIN_OK;  OCLIN_E_ARG: y or t NULL, other context or dtype, a read-only output, an output that shares
 * elements with another operand, an unknown option, a scale that is not finite;  OCLIN_E_SHAPE;
 * OCLIN_E_STATE;  OCLIN_E_MEMORY: scratch;  OCLIN_E_CL;  OCLIN_E_VERIFY.
 */
OCLIN_API oclin_status oclin_loss_mse(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                                      const struct oclin_loss_options *options);

/**
 * Softmax cross-entropy with class labels, its gradient, and how many rows have their largest score at the
 * label:
 *     p = softmax(row of y),  row loss = -log p[label],  dY = scale / D * (p - onehot(label)),
 *     loss = scale / D * sum of row losses,  D = batch (OCLIN_MEAN) or 1 (OCLIN_SUM)
 * Stable: the row's largest score is subtracted first. Of equal scores the lowest index counts. A score of
 * -Inf has p = 0, and at the label an infinite loss; in a row with a score of Inf, or with -Inf alone, loss
 * and dY are NaN. A row's loss is a float32 before it is scaled.
 *
 * y        (batch, out)  f32, the scores; read only
 * labels   (batch, 1)    i32; read only. A label outside [0, out) is never used as an index: its row loss and its row
 *                        of dY are NaN, and it is not correct. A row with a NaN score is not correct either.
 * loss     (1, 1)        f32; NULL: not wanted
 * dy       (batch, out)  f32; overwritten; NULL: not wanted
 * correct  (1, 1)        i32; NULL: not wanted. The count, with what it is added to, must stay below 2^31
 *
 * Errors as oclin_loss_mse().
 */
OCLIN_API oclin_status oclin_loss_cross_entropy(oclin_tensor *y, oclin_tensor *labels, oclin_tensor *loss,
                                                oclin_tensor *dy, oclin_tensor *correct,
                                                const struct oclin_loss_options *options);

/**
 * *additions: the most roundings that a term of one row's sum, of `cols` squares or exponentials, passes
 * before the rows are added: `additions` of struct oclin_ref_case for a loss. At most 8 + 2 sqrt(cols). It
 * belongs to the work-group that is tried first.
 * OCLIN_OK;  OCLIN_E_ARG: NULL;  OCLIN_E_SHAPE: cols < 1, or a row larger than any memory;  OCLIN_E_STATE.
 */
OCLIN_API oclin_status oclin_loss_additions(oclin_context *ctx, int64_t cols, int64_t *additions);

/* Scratch that the losses need for `batch` rows, as oclin_layer_workspace() and oclin_layer_reserve(). */
OCLIN_API oclin_status oclin_loss_workspace(oclin_context *ctx, int64_t batch, int64_t *bytes);
OCLIN_API oclin_status oclin_loss_reserve(oclin_context *ctx, int64_t batch);

/* ------------------------------------------------------------------------------------------- reference */

/*
 * The readable specification of every operation: plain loops over dense host arrays, sums in double. Results
 * are double; rounded to float they are what exact (integer) data must give on every device, bit for bit.
 * `bound`, where it is not NULL, receives for each result how far a device may be from it. Errors of
 * activations (OpenCL's limits) and of inputs are carried through. Inf: the result may overflow, and NaN:
 * where it is Inf it may as well be NaN; then nothing is promised.
 *
 * Sums have two kinds of bounds. What is proven holds for any data: a sum c of K products a b, computed as
 * c^, has
 *     |c^ - c| <= gamma(n) S + E + eta,    gamma(n) = n u / (1 - n u),    u = 2^-24
 * n is the most roundings that any term passes from its product to the stored value (`additions`, and one for
 * a bias), S the sum of |a b| and |bias|, E the errors of a and b carried through, eta what may underflow; no
 * claim where n u >= 1/2 or S >= 2^127. (Higham, Accuracy and Stability of Numerical Algorithms, chapter 3.)
 * OCLIN_VERIFY compares with it. What is statistical is tighter for long sums: right sums of random numbers
 * were seen to stay below (8 + 2 sqrt K) u S, and below 16 u S where the products have mean zero. Sums of
 * like numbers may exceed it, and gamma(n) does not see a term that is left out of a long sum: so
 * oclin_self_check(), oclin_tune() and the tests, whose data are random, use this one.
 */
typedef enum oclin_ref_rule {
    OCLIN_PROVEN = 0,
    OCLIN_RANDOM = 1,   /* the smaller of gamma and (8 + 2 sqrt K) u, times S */
    OCLIN_ZERO_MEAN = 2 /* the smaller of gamma and 16 u, times S */
} oclin_ref_rule;

struct oclin_ref_case {
    size_t size;
    int64_t batch, in, out; /* losses: rows are batch, columns are out */
    oclin_activation activation;
    oclin_gradient gradient;
    oclin_ref_rule rule;
    /* n without what follows the sum: oclin_layer_additions(), oclin_loss_additions(). 0: K, for a sum in any
     * order. */
    int64_t additions;
    int no_denormals; /* not 0: the device flushes denormal numbers (no CL_FP_DENORM) */
    int truncates;    /* not 0: it does not round to nearest (no CL_FP_ROUND_TO_NEAREST), and u is 2^-23 */
};
#define OCLIN_REF_CASE_INIT(batch, in, out)                                                              \
    {                                                                                                    \
        sizeof(struct oclin_ref_case), batch, in, out, OCLIN_NONE, OCLIN_GRAD_SUM, OCLIN_PROVEN, 0, 0, 0 \
    }

/* Z = X W^T + 1 b^T, Y = act(Z). x (batch, in), w (out, in), b (out) or NULL; z, y (batch, out), each or
 * NULL; bound (batch, out) is y's, or NULL; z_bound is z's, or NULL. */
OCLIN_API void oclin_ref_forward(const struct oclin_ref_case *c, const float *x, const float *w,
                                 const float *b, double *z, double *z_bound, double *y, double *bound);

/* dZ = act'(Z) * dY. s: y for ReLU, sigmoid and tanh, z for GELU, unused (may be NULL) for none. All (batch,
 * out). */
OCLIN_API void oclin_ref_grad_z(const struct oclin_ref_case *c, const float *dy, const float *s, double *dz,
                                double *bound);

/* (1) dW = dZ^T X, divided by the batch for OCLIN_GRAD_MEAN. dw, bound (out, in). */
OCLIN_API void oclin_ref_grad_w(const struct oclin_ref_case *c, const float *x, const float *dy,
                                const float *s, double *dw, double *bound);

/* (2) db = column sums of dZ, divided by the batch for OCLIN_GRAD_MEAN. db, bound (out). */
OCLIN_API void oclin_ref_grad_b(const struct oclin_ref_case *c, const float *dy, const float *s, double *db,
                                double *bound);

/* (3) dX = dZ W. dx, bound (batch, in). */
OCLIN_API void oclin_ref_grad_x(const struct oclin_ref_case *c, const float *w, const float *dy,
                                const float *s, double *dx, double *bound);

/* What is added to a gradient that was not cleared: sum[i] = old[i] + dw[i]. dw_bound, bound may be NULL. Of
 * the case only `truncates` matters; NULL: 0. */
OCLIN_API void oclin_ref_accumulate(const struct oclin_ref_case *c, int64_t n, const float *old,
                                    const double *dw, const double *dw_bound, double *sum, double *bound);

/* step: w_new[i] = w[i] - lr dw[i]. dw_bound (how far dw itself may be off; NULL: it is exact) and bound may
 * be NULL. The case as above. */
OCLIN_API void oclin_ref_step(const struct oclin_ref_case *c, int64_t n, const float *w, const double *dw,
                              const double *dw_bound, float lr, double *w_new, double *bound);

/* The losses, as documented at oclin_loss_mse() and oclin_loss_cross_entropy(), for y of c->batch rows and
 * c->out columns. loss_bound (1), dy (rows, cols), bound (rows, cols, of dy) and correct (1) may each be
 * NULL. */
OCLIN_API void oclin_ref_mse(const struct oclin_ref_case *c, const float *y, const float *t,
                             oclin_reduction reduction, float scale, double *loss, double *loss_bound,
                             double *dy, double *bound);
OCLIN_API void oclin_ref_cross_entropy(const struct oclin_ref_case *c, const float *y, const int32_t *labels,
                                       oclin_reduction reduction, float scale, double *loss,
                                       double *loss_bound, double *dy, double *bound, int64_t *correct);

/* ---------------------------------------------------------------------------------------------- tuning */

typedef enum oclin_tune_event {
    OCLIN_TUNE_CHECKED = 0,  /* the plan was built, and its result is right; it will be timed */
    OCLIN_TUNE_SKIPPED = 1,  /* it was not built, does not run, or its result is wrong: `why` says */
    OCLIN_TUNE_TIMED = 2,    /* timed once more: seconds and gain are those so far */
    OCLIN_TUNE_MEASURED = 3, /* all its timings are done */
    OCLIN_TUNE_CHOSEN = 4    /* of all plans of the product this one is used from now on */
} oclin_tune_event;

/* What oclin_tune() does at the moment. Borrowed, with its strings, for the time of the call. A newer library
 * may have more behind `reserved`; `size` tells. */
struct oclin_tune_progress {
    size_t size;
    oclin_tune_event event;
    /* "forward", "grad_x" (3), "grad_w" (1) (2), or "backward": all of it, where one pass over W may be
     * faster */
    const char *product;
    /* As OCLIN_PLAN names it; "default": oclin's own choice; of backward "one-pass" or "two-products". */
    const char *plan;
    const char *why; /* OCLIN_TUNE_SKIPPED: one sentence; else "" */
    int64_t in, out, batch;
    double seconds;         /* a run of the product with this plan, the median; 0: not timed */
    double default_seconds; /* the same with the default plan */
    double gain;            /* default_seconds / seconds; 1 where one of them is 0 */
    double seconds_left;    /* of the budget; below 0: exceeded */
    int64_t reserved[4];    /* zero */
};

/* Anything but 0 ends the tuning. Called by the thread that called oclin_tune(); must not call oclin on that
 * context. */
typedef int (*oclin_tune_progress_fn)(void *user, const struct oclin_tune_progress *progress);

/**
 * Measures which plan is best on the context's device for each product of a layer from `in` to `out` features
 * with a batch of exactly `batch` samples, and uses those from now on in this context, for all its layers of
 * that shape whatever their activation. (Measured without one.) A plan is measured only after its result, for
 * random numbers in [-0.5, 0.5), was compared with the reference: samples of rows and columns within their
 * bounds, and no element NaN or Inf. It takes the place of the default when its median is more than 3 %
 * faster and it was the faster one in most of the rounds; a default whose result is wrong gives way to the
 * fastest plan that is right.
 *
 * budget_seconds  when they are used up no other plan is begun; what was measured so far counts, and a product
 *                 without enough timings stays as it was: a line of the log then begins with "tuning: too
 *                 little time for", names the products and says how much would do. Compiling counts. Finite and
 *                 above 0; up to a plan's compilation and two of its runs more may be used.
 * progress, user  hears about each plan; NULL: nobody does
 *
 * The winners go to a file in the cache folder (cache_dir, OCLIN_CACHE_DIR) as well, one for each platform,
 * device, driver and version of oclin, beside what other shapes have there; contexts that are made later
 * without a named plan begin with it. A line of the log says if it cannot be written. With replaced kernels
 * (cl_dir) it is neither read nor written. To delete the file is to forget.
 *
 * Waits for the device, before and afterwards. Works on tensors, kernels and scratch memory of its own, twice
 * the size of W and of x, y, dx, dy, that are gone when it returns; results of earlier calls are not touched.
 * A winner may need more scratch memory than oclin_layer_reserve() took before: reserve afterwards.
 *
 * OCLIN_OK;  OCLIN_E_ARG: ctx NULL, a budget that is not finite or not above 0;  OCLIN_E_SHAPE: in, out or
 * batch below 1, or sizes that overflow or exceed the device's largest allocation;  OCLIN_E_STATE: a plan is
 * named, so that there is nothing to choose, or progress ended it (products that were chosen before that stay
 * chosen);  OCLIN_E_VERIFY, OCLIN_E_BUILD, OCLIN_E_DEVICE: no plan of some product is right, or runs;
 * OCLIN_E_MEMORY;  OCLIN_E_CL.
 */
OCLIN_API oclin_status oclin_tune(oclin_context *ctx, int64_t in, int64_t out, int64_t batch,
                                  double budget_seconds, oclin_tune_progress_fn progress, void *user);

/* ------------------------------------------------------------------------------------------ self-check */

/**
 * Runs every operation on small shapes on the context's device and compares with the reference: the answer to
 * "is my driver right?". Every tile is run that oclin (or the plan that is named) may choose on this device,
 * and every activation in every product; not every activation with every tile, which would be many more
 * kernels to compile. (OCLIN_VERIFY=1 checks just those that your program uses.) Waits for the device. Uses
 * tensors of its own, and scratch memory of the context.
 *
 * Nearly all of its time is compiling: some 30 kernels. The rest is the reference, on sizes that come from
 * the plans' tiles, so that each is checked where its parts meet: on a CPU some 25 million multiplications of
 * each product with vectors of 16 floats, half of that with 4 or 8. With PoCL 3.1 it takes about 0.7 s of CPU
 * time (16 floats: 1.5 s) where oclin's cache has the kernels from an earlier run, and 17 to 36 s the first
 * time.
 *
 * worst  receives the largest error seen, in units of its bound (at most 1 when all is well); may be NULL
 *
 * OCLIN_OK;  OCLIN_E_VERIFY: some result is wrong; oclin_context_error() says which operation, which element
 * and both values, then shape, activation and plan; OCLIN_E_ARG: ctx NULL;  any error of the operations
 * themselves: OCLIN_E_CL when the device is lost. A tile that the driver cannot build is passed over, as it
 * is when oclin chooses.
 */
OCLIN_API oclin_status oclin_self_check(oclin_context *ctx, double *worst);

#ifdef __cplusplus
}
#endif
#endif /* OCLIN_H */
