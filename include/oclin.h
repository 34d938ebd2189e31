/*
 * oclin: a linear (dense, fully connected) layer on any OpenCL device, and its training.
 *
 * This header is the whole API and its manual. Nothing else is promised.
 *
 * The mathematics is in batch form: one sample a row, row-major. It follows the page of
 * mnn.layer.LinearLayer, whose equation numbers (1), (2) and (3) are kept:
 *
 *     forward   Z = X W^T + 1 b^T,  Y = act(Z)        X (batch, in)  W (out, in)  b (1, out)  Y (batch, out)
 *               dZ = act'(Z) * dY, element by element; with no activation dZ = dY
 *     (1)       dW += dZ^T X                           dW (out, in)
 *     (2)       db += column sums of dZ                db (1, out)
 *     (3)       dX  = dZ W                             dX (batch, in)
 *     step      W -= lr dW,  b -= lr db
 *
 * These rules hold everywhere and are not repeated below:
 *
 * - Every function that can fail returns an oclin_status; OCLIN_OK is 0. oclin_context_error() returns the
 *   sentence that goes with a failure, with the numbers in it. The next call on that context clears it.
 * - The manual of a function ends with the statuses that it may return besides OCLIN_OK, and their causes.
 * - Argument, shape, state and allocation errors are found before anything is enqueued, and they change
 *   nothing at all. After OCLIN_E_CL the inputs are intact, but what the call writes or updates is
 *   unspecified: reading it gives OCLIN_E_STATE until it is written again (gradients: or cleared). In a
 *   strict context (an option), reading what was never written gives OCLIN_E_STATE, too.
 * - A call that needs a kernel may also return OCLIN_E_BUILD (the kernel did not compile) or OCLIN_E_DEVICE
 *   (the device cannot run it). It has then changed nothing. The same holds for a call that only has to write
 *   the zeros that oclin_layer_zero_grad() marked.
 * - Functions that compute return when the work is enqueued, not when it is done. The queue of a context is
 *   in order. oclin_context_finish() and the blocking reads wait for it; oclin_context_mark() gives an event.
 * - One thread at a time uses a context and everything that was made on it. Different contexts are
 *   independent. A context does not survive fork(): in the child every call returns OCLIN_E_STATE.
 * - PoCL before 6.0 ends the process where two contexts run kernels of the same text. There, each context
 *   that lives beside others has a number, by which its kernels have texts of their own. That costs their
 *   compile time once; then the disk has them. There are 64 numbers, and from the 65th context on contexts
 *   share one. A context gives its number back when it is destroyed, unless neither oclin_context_finish()
 *   nor a blocking read has seen its last kernel end.
 * - Each context keeps its own record of memory: who shares elements, what was written, zeros that are only
 *   marked, and what a failure left. Where two contexts on one cl_context see the same memory, the program
 *   tells them, as oclin_tensor_wrap() explains.
 * - Handles are opaque. create() takes the address of the handle first, and sets it to NULL when it fails.
 *   destroy(NULL) does nothing. Do not use a handle after it was destroyed: nothing detects that. Tensors,
 *   layers and saved states keep their context alive, so handles may be destroyed in any order.
 * - A pointer that a function returns is borrowed: it lives as long as the handle it came from, and the
 *   caller does not destroy it.
 * - Sizes, strides and offsets are int64_t and count elements, never bytes.
 * - Fill option structs with their ..._OPTIONS_INIT; a NULL pointer means the same. `size` lets a program
 *   that was compiled against an older header run with a newer library, and the other way round.
 * - The library never prints, exits or aborts. It installs no exit handler, and it has no global state but
 *   two locks: one thread at a time asks the drivers for their devices, and one at a time takes or gives back
 *   the number that sets the kernels of a context apart on PoCL before 6.0. Neither lock is held longer than
 *   that.
 *
 * Equal bits are promised on every run with the same device, driver, version of oclin and plan. They are not
 * promised where one of the four differs. OCLIN_PLAN, or the absence of a tuning file (see oclin_tune()),
 * pins the plan.
 *
 * MIT licence, the oclin authors.
 */
#ifndef OCLIN_H
#define OCLIN_H

#include <stddef.h>
#include <stdint.h>

/* OpenCL's handles, declared by the structs that are behind them in all OpenCL headers: a cl_mem is a
 * struct _cl_mem *, and so on. No OpenCL header is included here, because the first one that is included
 * fixes the version of OpenCL for all of them. Include the one that you want before or after this header. */
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

/* The build defines OCLIN_SHARED where it uses or makes the shared library on Windows. */
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

/* Every status with its general meaning: X(name, text). */
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

/* The name, such as "OCLIN_E_SHAPE", and the general text. A value that is no status gives "?" and "unknown
 * status". The strings are static. */
OCLIN_API const char *oclin_status_name(oclin_status status);
OCLIN_API const char *oclin_status_text(oclin_status status);

/* OCLIN_VERSION of the library that runs. It may be newer than the header that the program was compiled
 * with. */
OCLIN_API int oclin_version(void);

/* --------------------------------------------------------------------------------------------- devices */

typedef enum oclin_device_type {
    OCLIN_DEVICE_ANY = 0,
    OCLIN_DEVICE_GPU = 1,
    OCLIN_DEVICE_CPU = 2,
    OCLIN_DEVICE_ACCELERATOR = 3
} oclin_device_type;

/* One OpenCL device. The strings are cut to fit, and always end with a 0. */
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
 * Lists every usable device of every platform, best first: a GPU before an accelerator before a CPU, then by
 * compute units; equal devices keep the order of the runtime. Platforms without devices are passed over. So
 * are devices that oclin cannot use: those below OpenCL 1.2, without a compiler, not available, or of another
 * endianness than the host.
 *
 * list      room for `capacity` entries; may be NULL when capacity is 0
 * count     set to the number of devices found, which may exceed capacity
 *
 * Where there is no device (no driver is installed), count is 0 and the status is OCLIN_OK.
 *
 * OCLIN_E_ARG     count is NULL, or list is NULL with capacity > 0
 * OCLIN_E_MEMORY
 */
OCLIN_API oclin_status oclin_device_list(struct oclin_device_info *list, size_t capacity, size_t *count);

/* --------------------------------------------------------------------------------------------- context */

/* A context has a device, its in-order queue, the kernels that were built for it, scratch memory, and the
 * record of the last error. */
typedef struct oclin_context oclin_context;

/* Receives one line without a newline or other control characters ('?' stands for them). The line says what
 * was chosen, what grew, or why a call failed. The thread that called the library calls this function while
 * it is inside the library, so the function must not call oclin on the same context. */
typedef void (*oclin_log_fn)(void *user, const char *line);

struct oclin_context_options {
    size_t size;
    /* These three choose the device when oclin makes the context. Of oclin_device_list(), those count that
     * have this type and whose name, vendor or platform contains device_name (letter case is ignored; NULL:
     * all); device_index is an index into what is left. The environment variable OCLIN_DEVICE overrides all
     * three: it is a number (an index into oclin_device_list()), "gpu", "cpu" or "accelerator", or part of a
     * name. */
    oclin_device_type device_type;
    int64_t device_index;
    const char *device_name;
    /* Or oclin works inside the caller's own OpenCL objects: give all three, or none. Each is retained. The
     * queue must be in order and belong to both others; commands that the caller puts on it run in order with
     * oclin's. */
    struct _cl_context *cl_context_handle;
    struct _cl_device_id *cl_device;
    struct _cl_command_queue *cl_queue;
    /* The plan: a family of kernels, or one of its tiles or methods. "plain", "plain-group", "plain-single";
     * "simt", "simt-128", "simt-64", "simt-64x32", "simt-32", "simt-16", and these five with "-split" behind
     * them (sums of more than 8 terms are split over work-groups, but not those of a transposed dW); "simd",
     * "simd-4", "simd-8", "simd-16" (lanes), "simd-whole", "simd-packed", "simd-mixed", "simd-staged",
     * "simd-static", "simd-skinny", "simd-narrow". NULL or "": oclin chooses.
     * The environment variable OCLIN_PLAN overrides this option. A named plan holds for all products, whether
     * they were tuned or not. */
    const char *plan;
    /* A folder whose .cl files replace the built-in ones of the same name. NULL or "": none. OCLIN_CL_DIR
     * overrides it. A named folder must exist. Where a file in it is not a regular file, or cannot be read,
     * the calls that need it return OCLIN_E_BUILD. */
    const char *cl_dir;
    /* Not 0: every operation reads its operands back and compares itself with the reference, within the
     * bounds that are proven for any data (struct oclin_ref_case). A wrong result returns OCLIN_E_VERIFY.
     * This is slow, since it is plain loops on one core: it takes 90 to 210 times the CPU time of a training
     * step. OCLIN_VERIFY=1 (or true, yes, on, in any letter case) switches it on; 0, false, no, off and ""
     * leave it to this option; any other value is an error. */
    int verify;
    /* Not 0: oclin ignores the OCLIN_* environment variables. */
    int ignore_environment;
    /* Receives log lines; NULL: nobody does. When creation fails, the last line is the reason. The context
     * calls it, with log_user, until its last reference is gone. That may be after oclin_context_destroy(),
     * because tensors, layers and saved states keep the context alive. What log_user points to must live as
     * long. */
    oclin_log_fn log;
    void *log_user;
    /* The folder that keeps built kernels for the next process, and what oclin_tune() found. oclin makes it
     * if it is missing. NULL: the user's own folder, $XDG_CACHE_HOME/oclin or ~/.cache/oclin; on macOS
     * ~/Library/Caches/oclin; on Windows %LOCALAPPDATA%\oclin. A HOME or XDG_CACHE_HOME that is no absolute
     * path is ignored. "": none is used. OCLIN_CACHE_DIR overrides this option, also when it is set and
     * empty.
     *
     * A kernel is written when the context has waited for its first run (oclin_context_finish() or a blocking
     * read). A kernel of another platform, device, driver, version or text is not loaded. Whatever is wrong
     * with the folder or a file, oclin builds the kernel from its text and the log says why. The folder may
     * be deleted at any time.
     *
     * Kernels from there are run, so on POSIX systems the folder must be the user's alone: oclin makes it
     * with mode 0700 and its files with 0600. It neither loads from nor stores in a folder that belongs to
     * neither the user nor root, or that its group or others may write to; it replaces such a file without
     * loading it. Links are followed, and the folder that they lead to is what counts. Only regular files are
     * read. Files that a killed process left half written are removed when they are a day old. */
    const char *cache_dir;
    /* Not 0: two mistakes that otherwise give numbers without meaning return OCLIN_E_STATE:
     * - backward or backward_step after W was written since its forward: by a step (also of another layer
     *   that shares W), by oclin_tensor_write() or the like. So a second backward_step after one forward is
     *   refused.
     * - reading an element that was never written: of an operand, of a gradient that is added to, or by
     *   oclin_tensor_read(). An element counts as written when oclin_tensor_write(), a fill, the output of a
     *   kernel or zero_grad has reached it, or oclin_tensor_touch() has announced it. All memory of the
     *   caller's own that is wrapped counts as written. A tensor may be written in parts, also through views,
     *   because each element is recorded. (Memory that was written in more than 10,000 separate pieces loses
     *   its record: all of it then counts as written.)
     * 0: W is used as it is, and memory as it is found. OCLIN_STRICT switches this on as OCLIN_VERIFY does
     * verify. */
    int strict;
    int reserved; /* 0 */
    /* Receives the reason when creation fails: the sentence that oclin_context_error() would return if there
     * were a context; "" after success. At most error_text_size bytes are written, with the terminating 0
     * always among them: a longer sentence is cut (512 bytes hold any). Nothing is written after creation.
     * NULL, or size 0: it is not wanted. It stays untouched when `size` of the options makes no sense. */
    char *error_text;
    size_t error_text_size;
};
#define OCLIN_CONTEXT_OPTIONS_INIT                                                                           \
    {                                                                                                        \
        sizeof(struct oclin_context_options), OCLIN_DEVICE_ANY, 0, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, \
            NULL, NULL, NULL, 0, 0, NULL, 0                                                                  \
    }

/**
 * Makes a context on the device that the options and OCLIN_DEVICE choose, or around the caller's handles.
 *
 * On failure `log` and `error_text`, where the options have them, receive the reason.
 *
 * Several contexts may be made around the same handles of the caller. They know nothing of each other, and
 * each knows only what it did itself to memory that both see: oclin_tensor_wrap() says what the program then
 * does.
 *
 * OCLIN_E_ARG     ctx is NULL; an unknown option, plan, device type, OCLIN_VERIFY or OCLIN_STRICT; a negative
 *                 index; a cl_dir that is no folder; one or two of the caller's three handles; a queue that
 *                 is out of order or of another context or device
 * OCLIN_E_DEVICE  no device matches, or the device cannot run the plan that was asked for
 * OCLIN_E_MEMORY
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_context_create(oclin_context **ctx, const struct oclin_context_options *options);

/* Gives back the caller's hold on the context. Work that was enqueued completes, and the call does not wait
 * for it, except on Mesa's Rusticl: there a process that ends with work left crashes, so whoever gives back
 * the last hold (a tensor or a layer holds the context, too) waits for a queue that oclin made. NULL does
 * nothing. */
OCLIN_API void oclin_context_destroy(oclin_context *ctx);

/**
 * Waits until everything enqueued so far is done.
 *
 * OCLIN_E_ARG     ctx is NULL
 * OCLIN_E_STATE   after fork or the loss of the device
 * OCLIN_E_CL      the runtime reports a failure; everything written since the last finish that succeeded is
 *                 then unspecified
 */
OCLIN_API oclin_status oclin_context_finish(oclin_context *ctx);

/**
 * Makes work that is enqueued after this call wait for the n events, which may be of any queue of the same
 * cl_context. The call itself does not block. n = 0 does nothing. oclin does not report an event that ends in
 * an error; commands that wait on it may or may not have run.
 *
 * OCLIN_E_ARG     ctx or events is NULL, n < 0, or an event is NULL or of another cl_context
 * OCLIN_E_STATE
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_context_wait_for(oclin_context *ctx, int n, struct _cl_event *const *events);

/**
 * Sets *event to an event that completes when everything enqueued so far is done, and flushes the queue, so
 * that another queue may wait for the event. The caller releases it with clReleaseEvent.
 *
 * OCLIN_E_ARG
 * OCLIN_E_STATE
 * OCLIN_E_CL      *event is then NULL
 */
OCLIN_API oclin_status oclin_context_mark(oclin_context *ctx, struct _cl_event **event);

/* Returns what went wrong in the last call on this context, as one sentence with the numbers; "" after
 * success, never NULL. The text is borrowed and changes with the next call. */
OCLIN_API const char *oclin_context_error(const oclin_context *ctx);

/* Returns the raw OpenCL code behind the last failure; CL_SUCCESS where it came from elsewhere, or nothing
 * failed. */
OCLIN_API int32_t oclin_context_cl_error(const oclin_context *ctx);

/* Returns what the OpenCL compiler said about the last program that it built, with the names of the files and
 * the lines; "" if it said nothing. The text is borrowed. */
OCLIN_API const char *oclin_context_build_log(const oclin_context *ctx);

/* Describes the device that the context runs on. OCLIN_E_ARG: a pointer is NULL. */
OCLIN_API oclin_status oclin_context_device(oclin_context *ctx, struct oclin_device_info *info);

/* Hands out the OpenCL objects that the context runs on. They are borrowed: retain what you keep. Any of the
 * three pointers may be NULL. OCLIN_E_ARG: ctx is NULL. */
OCLIN_API oclin_status oclin_context_cl(oclin_context *ctx, struct _cl_context **context,
                                        struct _cl_device_id **device, struct _cl_command_queue **queue);

/* --------------------------------------------------------------------------------------------- tensors */

/* Element types. Other values are reserved. */
typedef enum oclin_dtype {
    OCLIN_F32 = 0, /* float */
    OCLIN_I32 = 1  /* int32_t; for labels and counts */
} oclin_dtype;

/*
 * A tensor is rows x cols elements in device memory: element (r, c) lies at offset + r * row_stride + c. The
 * memory is shared and counted: a view keeps alive what it looks into. Each tensor knows how often it was
 * written, also through other tensors that share elements with it, so that backward can tell whether its
 * inputs are still those of the forward.
 */
typedef struct oclin_tensor oclin_tensor;

/**
 * Makes a tensor in new device memory, with row_stride = cols. Its contents are unspecified until they are
 * written. rows may be 0 (an empty batch), cols may not.
 *
 * OCLIN_E_ARG     a pointer is NULL, or the dtype is unknown
 * OCLIN_E_SHAPE   rows < 0, cols < 1, or the size overflows or exceeds the device's largest allocation
 * OCLIN_E_MEMORY
 * OCLIN_E_STATE
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_tensor_create(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype,
                                           int64_t rows, int64_t cols);

/**
 * Makes a window into `base`: element (r, c) of the view is element offset + r * row_stride + c, counted from
 * the first of base. For the rows from r0 on, offset is r0 * stride; for the columns from c0 on, offset is
 * c0; both keep base's row_stride. Any rectangle may be cut out of a contiguous base (one flat arena for all
 * parameters); of a strided base only rows and columns. There may be many views, for example 100,000 rows of
 * a data set. A call on one view takes time for each view between whose first and last element one of its own
 * elements lies (so all columns of a matrix stand in each other's way), and logarithmic time for all others.
 *
 * OCLIN_E_ARG     a pointer is NULL
 * OCLIN_E_SHAPE   rows < 0, cols < 1, row_stride < cols, or an element is outside base
 * OCLIN_E_MEMORY
 * OCLIN_E_STATE
 */
OCLIN_API oclin_status oclin_tensor_view(oclin_tensor **view, oclin_tensor *base, int64_t offset,
                                         int64_t rows, int64_t cols, int64_t row_stride);

/* Makes the view of `count` rows from row `first` on: a batch of a data set, or the smaller last batch of an
 * epoch. Errors are those of oclin_tensor_view(). */
OCLIN_API oclin_status oclin_tensor_view_rows(oclin_tensor **view, oclin_tensor *base, int64_t first,
                                              int64_t count);

/**
 * Makes a tensor around the caller's buffer (or sub-buffer), which is retained. `offset` counts elements from
 * its start. oclin works out the alignment in this call: do not change what lies behind the buffer's host
 * pointer. Where something other than oclin writes to the buffer, announce that with oclin_tensor_touch(),
 * and order it with oclin_context_wait_for() unless it is on the same queue. A buffer made with
 * CL_MEM_READ_ONLY serves as an input only, one made with CL_MEM_WRITE_ONLY as an output only.
 *
 * To this context, another oclin context on the same cl_context is such a writer, too. Where tensors `a` of
 * context A and `b` of context B see the same memory (the same buffer is wrapped twice, or one tensor wraps
 * the oclin_tensor_cl_mem() of the other), it changes hands from A to B in these steps, and back in the same
 * way:
 * 1. Call oclin_tensor_cl_mem(a). Zeros that zero_grad has only marked in A then reach memory. (Do not
 *    destroy `a` before.)
 * 2. Where the queues differ, call oclin_context_mark(A, &event) and oclin_context_wait_for(B, 1, &event).
 * 3. If A has written, call oclin_tensor_touch(b). B then refuses, for example, a backward whose x that was.
 * Without these steps B may compute from zeros that are not there, or a gradient from an x that is not the
 * forward's, and return OCLIN_OK.
 *
 * OCLIN_E_ARG     a pointer is NULL, the buffer is an image or of another cl_context, or the start is not
 *                 aligned to 4 bytes
 * OCLIN_E_SHAPE   rows < 0, cols < 1, row_stride < cols, offset < 0, or the buffer is too small
 * OCLIN_E_MEMORY
 * OCLIN_E_STATE
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_tensor_wrap(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype,
                                         struct _cl_mem *buffer, int64_t offset, int64_t rows, int64_t cols,
                                         int64_t row_stride);

/* Gives back the caller's hold. Layers and saved states that use the tensor keep it. NULL does nothing. */
OCLIN_API void oclin_tensor_destroy(oclin_tensor *tensor);

/**
 * Copy rows * cols elements (float or int32_t) from the host into the tensor, or out of it. The host array is
 * dense; the tensor may be strided. The call returns when the copy is done. With 0 rows nothing happens.
 *
 * OCLIN_E_ARG     a pointer is NULL; write: the memory was wrapped from a CL_MEM_READ_ONLY buffer; read: from
 *                 a CL_MEM_WRITE_ONLY buffer
 * OCLIN_E_STATE   read: the contents are unspecified after a failure or, in a strict context, were never
 *                 written
 * OCLIN_E_CL      a read that fails may be how the failure of an earlier command shows, as at
 *                 oclin_context_finish()
 */
OCLIN_API oclin_status oclin_tensor_write(oclin_tensor *tensor, const void *host);
OCLIN_API oclin_status oclin_tensor_read(oclin_tensor *tensor, void *host);

/**
 * The same, but they return at once and flush the queue. The host array must stay (and, for a write, not
 * change) until *event completes or oclin_context_finish() returns. That also holds after OCLIN_E_CL (*event
 * is then NULL), because the copy may have been enqueued all the same. event may be NULL where it is not
 * wanted. The caller releases *event.
 */
OCLIN_API oclin_status oclin_tensor_write_async(oclin_tensor *tensor, const void *host,
                                                struct _cl_event **event);
OCLIN_API oclin_status oclin_tensor_read_async(oclin_tensor *tensor, void *host, struct _cl_event **event);

/**
 * Sets every element to `value`, rounded to float32; for OCLIN_I32 it must be an integer that fits.
 *
 * OCLIN_E_ARG
 * OCLIN_E_BUILD
 * OCLIN_E_STATE
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_tensor_fill(oclin_tensor *tensor, double value);

/* Announces that something other than oclin (the caller's own kernel, a map) has written to the memory. It
 * now counts as written, also with 0 rows. OCLIN_E_ARG; OCLIN_E_STATE. */
OCLIN_API oclin_status oclin_tensor_touch(oclin_tensor *tensor);

/**
 * dst += alpha * src, element by element: a residual branch, the sum of two gradients, an average of weights.
 *
 * dst    (rows, cols)  f32; updated
 * src    (rows, cols)  f32; read only
 * alpha  finite. 0 is no exception: 0 times an Inf or NaN of src is NaN.
 * With 0 rows nothing happens.
 *
 * The product and the sum are rounded together where the device has a fast fma, and each alone where it does
 * not: oclin_ref_add() gives the bound. dst and src may be the same matrix (one tensor, or two with the same
 * elements at the same places), and dst *= 1 + alpha then. They must not share elements in any other way. A
 * gradient that is cleared counts as zeros here, and afterwards as computed. The call returns when the work
 * is enqueued.
 *
 * OCLIN_E_ARG     a pointer is NULL; another context or dtype; alpha is not finite; dst is read-only; dst or
 *                 src is write-only; they share elements and are not the same matrix
 * OCLIN_E_SHAPE   src is not (rows, cols)
 * OCLIN_E_STATE   dst or src is unspecified after a failure or, in a strict context, was never written
 * OCLIN_E_BUILD
 * OCLIN_E_MEMORY
 * OCLIN_E_CL
 * OCLIN_E_VERIFY  only when verifying
 */
OCLIN_API oclin_status oclin_tensor_add(oclin_tensor *dst, oclin_tensor *src, float alpha);

/**
 * dst = src, on the device. Every bit is kept, also those of a NaN.
 *
 * dst  (rows, cols)  f32 or i32; overwritten: what it held is never read
 * src  (rows, cols)  of dst's dtype; read only
 * Each may have strides and offsets of its own. With 0 rows nothing happens.
 *
 * Where dst and src are the same matrix, as at oclin_tensor_add(), nothing happens after the checks. They
 * must not share elements in any other way. The call returns when the work is enqueued.
 *
 * Errors are those of oclin_tensor_add(), but that dst may be write-only, unspecified, and never written.
 */
OCLIN_API oclin_status oclin_tensor_copy(oclin_tensor *dst, oclin_tensor *src);

/**
 * dst[i, :] = src[indices[i], :], on the device: a shuffled batch of a data set, or the rows of an embedding.
 * Every bit is kept. An index may occur many times.
 *
 * dst      (rows, cols)      f32 or i32; overwritten: what it held is never read
 * src      (any rows, cols)  of dst's dtype; read only; it may have 0 rows
 * indices  (rows, 1)         i32; read only. An index outside [0, rows of src) is never used to read: each
 *                            element of its row of dst becomes NaN (0x7fc00000), with i32 INT32_MIN. That is
 *                            no error of the call, which does not look at the indices.
 * With 0 rows of dst nothing happens. dst must not share elements with src or indices. The call returns when
 * the work is enqueued.
 *
 * OCLIN_E_ARG     a pointer is NULL; another context or dtype; dst is read-only; src or indices is
 *                 write-only; dst shares elements with one of them
 * OCLIN_E_SHAPE   src has other columns than dst, or indices is not (rows, 1)
 * OCLIN_E_STATE   src or indices is unspecified after a failure or, in a strict context, was not written as a
 *                 whole
 * OCLIN_E_BUILD
 * OCLIN_E_MEMORY
 * OCLIN_E_CL
 * OCLIN_E_VERIFY  only when verifying
 */
OCLIN_API oclin_status oclin_tensor_gather_rows(oclin_tensor *dst, oclin_tensor *src, oclin_tensor *indices);

/* These describe a tensor; for a NULL tensor they return 0 or NULL. The cl_mem is borrowed. Zeros that
 * zero_grad has only marked are written to it before it is handed out; for later calls see
 * oclin_layer_zero_grad(). */
OCLIN_API oclin_dtype oclin_tensor_dtype(const oclin_tensor *tensor);
OCLIN_API int64_t oclin_tensor_rows(const oclin_tensor *tensor);
OCLIN_API int64_t oclin_tensor_cols(const oclin_tensor *tensor);
OCLIN_API int64_t oclin_tensor_row_stride(const oclin_tensor *tensor);
OCLIN_API int64_t oclin_tensor_offset(const oclin_tensor *tensor); /* elements from the start of the cl_mem */
OCLIN_API struct _cl_mem *oclin_tensor_cl_mem(oclin_tensor *tensor); /* NULL for 0 rows of memory */

/* ----------------------------------------------------------------------------------------------- layer */

/* At -Inf and Inf each activation has its limit, and so has its derivative: GELU(-Inf) = 0, GELU'(-Inf) = 0,
 * GELU'(Inf) = 1. NaN stays NaN. dZ is dY times the derivative as IEEE has it, so an infinite dY gives NaN
 * where the derivative is 0; ReLU selects instead, and gives 0 there. */
typedef enum oclin_activation {
    OCLIN_NONE = 0,    /* Y = Z */
    OCLIN_RELU = 1,    /* z < 0 ? 0 : z; derivative 0 at 0, as PyTorch (mnn's own ReLU layer has 1 there) */
    OCLIN_SIGMOID = 2, /* 1 / (1 + exp(-z)) */
    OCLIN_TANH = 3,    /* tanh z */
    OCLIN_GELU = 4,    /* 0.5 z erfc(-z / sqrt 2), the erf form; keeps z for the derivative */
    OCLIN_SILU = 5,    /* z / (1 + exp(-z)), also called swish; keeps z for the derivative */
    OCLIN_GELU_TANH =
        6, /* 0.5 z (1 + tanh(sqrt(2 / pi) (z + 0.044715 z^3))), PyTorch's approximate="tanh"; keeps z */
    OCLIN_LEAKY_RELU = 7, /* z < 0 ? alpha z : z, alpha 0.01; derivative alpha at 0, as PyTorch */
    OCLIN_SOFTPLUS = 8,   /* log(1 + exp(z)) */
    OCLIN_ELU = 9         /* z > 0 ? z : alpha (exp(z) - 1), alpha 1; keeps z for the derivative */
} oclin_activation;

typedef enum oclin_init {
    OCLIN_INIT_UNIFORM = 0, /* U(-1/sqrt(in), 1/sqrt(in)) for W and b, as PyTorch's nn.Linear */
    OCLIN_INIT_NORMAL = 1,  /* N(0, 1) for W and b, as mnn's randn */
    OCLIN_INIT_ZERO = 2
} oclin_init;

typedef enum oclin_gradient {
    /* dW and db are sums over the batch, as the chain rule has them; this pairs with OCLIN_MEAN losses */
    OCLIN_GRAD_SUM = 0,
    /* dW and db (never dX) are divided by the batch size, as mnn does; this pairs with OCLIN_SUM losses */
    OCLIN_GRAD_MEAN = 1
} oclin_gradient;

struct oclin_layer_options {
    size_t size;
    int bias; /* 0: no b; 1 */
    oclin_activation activation;
    oclin_init init; /* for the parameters that the layer makes itself; numbers come from Philox4x32-10 */
    uint64_t seed;   /* same seed, same parameters, on every device */
    oclin_gradient gradient;
    /* Parameters and gradients for the layer to use in place of its own: for weight tying, copies for
     * inference, one flat arena. NULL: the layer makes them. They are f32; w and dw are (out, in), or
     * (in, out) with `transposed`; b and db are (1, out). The layer keeps them alive and may write them, but
     * its creation changes nothing in them.
     *
     * w and b keep their values. They may lie in CL_MEM_READ_ONLY memory: a step, which would write them, is
     * then refused, and everything else works.
     *
     * dw and db must be writable. They stay what they are: a cleared gradient stays cleared, and one of which
     * no element was ever written (as the option `strict` of a context records it) counts as cleared.
     * Anything else (what another layer computed, what was written, the caller's own memory) is a gradient,
     * which backward adds to and step applies. To start without it, call oclin_layer_zero_grad() first. */
    oclin_tensor *w, *b, *dw, *db;
    /* The alpha of OCLIN_LEAKY_RELU and OCLIN_ELU: finite and above 0; below 0: the usual one, 0.01 and 1.
     * Each other alpha is another kernel, to be built once. Other activations have none. */
    float alpha;
    /* 0: w and dw are stored as (out, in). 1: they are stored as (in, out), as Keras does, and as the decoder
     * of an autoencoder needs that shares its encoder's W. The layer is the same, Y = act(X W^T + 1 b^T), and
     * so is dW; only the place of an element differs: row i holds the weights of feature i. (Parameters that
     * the layer makes are drawn in the order of memory.) With (out, in) small batches are faster on CPUs, and
     * so is a dW of few elements on GPUs, whose sums are split; oclin_tune() tunes that form alone. */
    int transposed;
};
#define OCLIN_LAYER_OPTIONS_INIT                                                                        \
    {                                                                                                   \
        sizeof(struct oclin_layer_options), 1, OCLIN_NONE, OCLIN_INIT_UNIFORM, 0, OCLIN_GRAD_SUM, NULL, \
            NULL, NULL, NULL, -1, 0                                                                     \
    }

/* The learning rate of mnn's step(lr=0.01). */
#define OCLIN_DEFAULT_LR 0.01f

typedef struct oclin_layer oclin_layer;

/* A saved state is what backward needs from one forward: x, and y or z where the activation wants it. x and y
 * are referred to, not copied; z (GELU) is memory of its own. */
typedef struct oclin_saved oclin_saved;

/**
 * Makes a layer y = act(W x + b) from n_in to n_out features. The call does not wait for the context's queue:
 * it writes the parameters that it makes through a queue of its own, in pieces of 256 KiB.
 *
 * Layers may share W (weight tying). Its gradient is then the sum of the dW of all of them. Call first all
 * forwards, then all backwards, then the steps, in one of two ways:
 * - The layers share w alone (and b, if that is tied, too), and each has its own dW and db. Step each layer
 *   once.
 * - The layers share w and dw, so that backward adds to one dW. Step one layer, once: a step of a second one
 *   would apply the same dW again. Where a second layer has a bias of its own, step it after
 *   oclin_layer_zero_grad() of the first: dW is cleared then, and only b moves. Where b is shared, so is db.
 * Where the second layer uses W the other way round, as the decoder of an autoencoder does, it is
 * `transposed`.
 * Do not use oclin_layer_backward_step() here: it moves W before the other layers have taken their dX from
 * it.
 *
 * OCLIN_E_ARG     a pointer is NULL; an unknown option or enum value; a tensor in the options is of another
 *                 context or dtype; b or db with bias = 0; tensors in the options share elements; dw or db is
 *                 read-only; any of the four is write-only
 * OCLIN_E_SHAPE   n_in or n_out < 1, sizes that overflow, or a tensor in the options has another shape
 * OCLIN_E_MEMORY
 * OCLIN_E_STATE
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_layer_create(oclin_layer **layer, oclin_context *ctx, int64_t n_in,
                                          int64_t n_out, const struct oclin_layer_options *options);
OCLIN_API void oclin_layer_destroy(oclin_layer *layer);

/* These give borrowed access to the parameters and gradients. b and db are NULL without a bias. dw and db are
 * allocated when they are first asked for or needed; they are NULL if memory runs out (see
 * oclin_context_error). Writing through them is allowed: w and b are then the new parameters, and a written
 * dw or db counts as a computed gradient. */
OCLIN_API oclin_tensor *oclin_layer_w(oclin_layer *layer);
OCLIN_API oclin_tensor *oclin_layer_b(oclin_layer *layer);
OCLIN_API oclin_tensor *oclin_layer_dw(oclin_layer *layer);
OCLIN_API oclin_tensor *oclin_layer_db(oclin_layer *layer);
OCLIN_API int64_t oclin_layer_in(const oclin_layer *layer);
OCLIN_API int64_t oclin_layer_out(const oclin_layer *layer);

/* Make and destroy a state for the ..._saved variants, which are for recurrent use and checkpointing. A saved
 * state belongs to the layer that filled it last, and can be filled again. OCLIN_E_ARG; OCLIN_E_MEMORY;
 * OCLIN_E_STATE. */
OCLIN_API oclin_status oclin_saved_create(oclin_saved **saved, oclin_context *ctx);
OCLIN_API void oclin_saved_destroy(oclin_saved *saved);

/**
 * Y = act(X W^T + 1 b^T).                                                          [mnn LinearLayer.forward]
 *
 * x  (batch, in)   f32; read only
 * y  (batch, out)  f32; overwritten: what it held is never read; must not share elements with x, w or b
 * batch may be 0: nothing is launched then.
 *
 * The call keeps what backward needs, in the layer (where it replaces what the last forward kept) or in
 * `saved`. Backward fails if x (or y, where the activation needs it) is written in between.
 *
 * OCLIN_E_ARG     a pointer is NULL, another context or dtype, y is read-only, or operands share elements
 * OCLIN_E_SHAPE   x is not (batch, in), or y is not (batch, out)
 * OCLIN_E_STATE   w, b or x is unspecified after a failure
 * OCLIN_E_MEMORY  there is no room for z (GELU)
 * OCLIN_E_CL
 * OCLIN_E_VERIFY  only when verifying
 */
OCLIN_API oclin_status oclin_layer_forward(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y);
OCLIN_API oclin_status oclin_layer_forward_saved(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y,
                                                 oclin_saved *saved);

/* The same product for inference: it keeps nothing. What an earlier forward kept stays as it is, unless y
 * overwrites it. Errors are those of oclin_layer_forward(). */
OCLIN_API oclin_status oclin_layer_infer(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y);

/**
 * dZ = act'(Z) * dY;  (1) dW += dZ^T X;  (2) db += column sums of dZ;  (3) dX = dZ W.
 *                                                                                 [mnn LinearLayer.backward]
 * Where the gradients are cleared, (1) and (2) overwrite dW and db and never read them. With OCLIN_GRAD_MEAN
 * what is added is divided by the batch.
 *
 * dy  (batch, out)  f32; read only
 * dx  (batch, in)   f32; overwritten: what it held is never read; NULL: not wanted (a first layer)
 * dx must not share elements with dy, x, w, b, dw or db, nor with y where the activation needs it (ReLU,
 * sigmoid, tanh).
 *
 * The call belongs to the last forward of the layer, or to the one that filled `saved`. It does not consume
 * it: backward may be repeated, and then accumulates. W is used as it is now; in a strict context it must be
 * as it was. With batch = 0, gradients that were cleared are zero.
 *
 * OCLIN_E_ARG     as forward; also y in a CL_MEM_WRITE_ONLY buffer where the activation needs it
 * OCLIN_E_SHAPE   dy is not (batch, out), or dx not (batch, in), of that forward
 * OCLIN_E_STATE   there was no forward yet; `saved` is of another layer; x or y (strict: or w) was written
 *                 since; operands are unspecified after a failure
 * OCLIN_E_MEMORY  there is no room for dW or db
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_layer_backward(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx);
OCLIN_API oclin_status oclin_layer_backward_saved(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                  oclin_saved *saved);

/**
 * (3) dX = dZ W alone, with dZ = act'(Z) * dY, as PyTorch's torch.autograd.grad(y, x, dy): for a layer whose
 * parameters do not learn, such as a frozen one, or the discriminator while its generator learns.
 *
 * dy  (batch, out)  f32; read only
 * dx  (batch, in)   f32; overwritten: what it held is never read
 * dx must not share elements with the operands that oclin_layer_backward() keeps it apart from.
 *
 * The call belongs to a forward as oclin_layer_backward() does, and does not consume it. Parameters and
 * gradients stay as they are, in whatever state: w and b may be read-only, dW and db may hold something or
 * be unspecified, and they are not allocated. x and b are not read; x may have been written since. With
 * batch 0 nothing is launched.
 *
 * OCLIN_E_ARG     a pointer is NULL, dx too; another context or dtype; dx is read-only; operands share
 *                 elements;
 *                 y lies in a CL_MEM_WRITE_ONLY buffer where the activation needs it
 * OCLIN_E_SHAPE   dy is not (batch, out), or dx not (batch, in), of that forward
 * OCLIN_E_STATE   there was no forward yet; `saved` is of another layer; y, where the activation needs it
 *                 (strict: or w), was written since; dy, w or what the activation needs is unspecified
 * OCLIN_E_MEMORY  there is no scratch memory
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_layer_backward_x(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx);
OCLIN_API oclin_status oclin_layer_backward_x_saved(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                    oclin_saved *saved);

/* What a forward or a backward may be told. */
struct oclin_call_options {
    size_t size;
    /* The saved state that the call fills or belongs to; NULL: the layer's own. infer does not look at it. */
    oclin_saved *saved;
    /* 0: Y and dX are overwritten. 1: they are added to: Y += act(Z), dX += dZ W, one rounding more. So a
     * residual branch needs no memory and no pass of its own. What they hold must be readable and specified.
     * Y is then a sum with something else, so what backward reads (z or act(z)) is kept apart from it, in
     * memory of the saved state: Y may be written before backward. A backward that adds makes dX in a product
     * of its own, not in one pass with dW. dW and db have nothing to do with it: they are added to unless
     * they are cleared. oclin_layer_workspace() does not count what sums of more than one slice take
     * besides. */
    int accumulate;
    int reserved; /* 0 */
};
#define OCLIN_CALL_OPTIONS_INIT                       \
    {                                                 \
        sizeof(struct oclin_call_options), NULL, 0, 0 \
    }

/**
 * As the calls of these names, with options (NULL: none). Besides their errors:
 *
 * OCLIN_E_ARG    accumulate is neither 0 nor 1; reserved is not 0; y or dx is added to and lies in a
 *                CL_MEM_WRITE_ONLY buffer; options.size makes no sense
 * OCLIN_E_STATE  y or dx is added to and unspecified (strict: or was never written)
 */
OCLIN_API oclin_status oclin_layer_forward_with(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y,
                                                const struct oclin_call_options *options);
OCLIN_API oclin_status oclin_layer_infer_with(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y,
                                              const struct oclin_call_options *options);
OCLIN_API oclin_status oclin_layer_backward_with(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                 const struct oclin_call_options *options);
OCLIN_API oclin_status oclin_layer_backward_x_with(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                   const struct oclin_call_options *options);
OCLIN_API oclin_status oclin_layer_backward_step_with(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                      float lr, const struct oclin_call_options *options);

/**
 * Clears dW and db. This only marks them: the next backward overwrites, and reads through oclin see zeros. A
 * cl_mem that was taken from dW or db earlier does not see them: it may hold the old values until the next
 * read or backward, or until oclin_tensor_cl_mem() is called again.
 *
 * OCLIN_E_ARG
 * OCLIN_E_STATE
 */
OCLIN_API oclin_status oclin_layer_zero_grad(oclin_layer *layer);

/**
 * Plain SGD: W -= lr dW, b -= lr db.                                                  [mnn LinearLayer.step]
 * The call does not clear the gradients, and may be repeated. lr is finite and >= 0. 0 is a
 * number like any other: w - 0 dW is NaN where dW is NaN or infinite, as in PyTorch's SGD. A gradient that is
 * cleared changes nothing.
 *
 * OCLIN_E_ARG     layer is NULL; lr is negative, NaN or infinite; w or b is read-only
 * OCLIN_E_STATE   no gradient was ever computed, written or handed in, or it is unspecified after a failure
 * OCLIN_E_BUILD
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_layer_step(oclin_layer *layer, float lr);

/**
 * Backward and step in one, for plain SGD: dX = dZ W with the old W, then W -= lr dZ^T X and
 * b -= lr (column sums of dZ), each applied once, in the epilogue of its sum. No dW is written, or even
 * allocated. The result is that of zero_grad, backward and step, up to rounding; dW and db stay cleared.
 *
 * Arguments and errors are those of oclin_layer_backward() and oclin_layer_step(), and besides:
 *
 * OCLIN_E_STATE   the gradients are not cleared (call oclin_layer_zero_grad first)
 * OCLIN_E_ARG     dy or x shares elements with w or b
 */
OCLIN_API oclin_status oclin_layer_backward_step(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                 float lr);
OCLIN_API oclin_status oclin_layer_backward_step_saved(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                       float lr, oclin_saved *saved);

/**
 * oclin_layer_workspace() tells the bytes of device memory that forward and backward with `batch` samples use
 * beside the tensors that the caller sees: scratch memory of the context (shared by all its layers and
 * losses) and, for GELU, z. oclin_layer_reserve() takes that memory now, and dW and db as well unless they
 * exist, so that no later call with up to that batch allocates. Without it the first call with a larger batch
 * grows the memory, with a log line. A layer that only uses backward_step needs no dW: it does not call
 * oclin_layer_reserve(), or it calls oclin_layer_reserve_step().
 *
 * Sums of very many samples (on a GPU from 4097 on, on a CPU from 66,305 on) are made in slices, which meet
 * in scratch memory as large as dW or a little larger. So are those of a y or dx in a CL_MEM_WRITE_ONLY
 * buffer, with that many features; reserve cannot know of these. A GPU that a product cannot fill splits its
 * sums over work-groups; the parts' sums take as much scratch memory as the results of the groups that run at
 * once, some 40 MB on a large GPU at most. They are added in a fixed order.
 *
 * The two functions for infer are about oclin_layer_infer() alone: scratch memory of its one product, without
 * z, dW and db.
 *
 * OCLIN_E_ARG     a pointer is NULL
 * OCLIN_E_SHAPE   batch < 0, or sizes overflow
 * OCLIN_E_MEMORY
 * OCLIN_E_STATE
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_layer_workspace(const oclin_layer *layer, int64_t batch, int64_t *bytes);
OCLIN_API oclin_status oclin_layer_reserve(oclin_layer *layer, int64_t batch);
OCLIN_API oclin_status oclin_layer_reserve_step(oclin_layer *layer, int64_t batch);
OCLIN_API oclin_status oclin_layer_workspace_infer(const oclin_layer *layer, int64_t batch, int64_t *bytes);
OCLIN_API oclin_status oclin_layer_reserve_infer(oclin_layer *layer, int64_t batch);

/* The result of a layer that oclin_layer_additions() is asked about. */
typedef enum oclin_result {
    OCLIN_RESULT_Y = 0,  /* sums over `in` */
    OCLIN_RESULT_DX = 1, /* over `out` */
    OCLIN_RESULT_DW = 2, /* over the batch; also W after backward_step() */
    OCLIN_RESULT_DB = 3  /* over the batch; also b after backward_step() */
} oclin_result;

/**
 * Sets *additions to the most roundings that a product passes in the sum that makes this result with `batch`
 * samples: `additions` of struct oclin_ref_case. What follows the sum (a bias, the division by the batch, a
 * step) is not counted. The number belongs to the plan that is tried first; should a driver refuse that plan
 * (a log line says so), it may be another.
 *
 * With K terms it is at most
 * - on a CPU 264 + K / 256, and 520 from 65,536 terms on (up to some millions; more where local memory is
 *   small);
 * - on a CPU with small batches, with plan "plain", and for db everywhere 9 + 2 sqrt K (db on a GPU: up to
 *   some ten millions);
 * - on a GPU the smaller of K and 4096, and K / 4096 more; less where sums are split over work-groups.
 *
 * OCLIN_E_ARG     a pointer is NULL, or an unknown result
 * OCLIN_E_SHAPE   batch < 1, or sizes overflow
 * OCLIN_E_STATE
 */
OCLIN_API oclin_status oclin_layer_additions(const oclin_layer *layer, oclin_result result, int64_t batch,
                                             int64_t *additions);

/* ------------------------------------------------------------------------------------------- optimizers */

/* An optimizer has a rule, its numbers, and for each parameter that is added to it the state and the count of
 * steps. It allocates the state when a parameter is added, and nothing later (but 80 bytes a parameter with
 * the first update that has a `factor` or a `skip`). */
typedef struct oclin_optimizer oclin_optimizer;

/*
 * The rules, for each element: w of a parameter, g of its gradient, and the state, which begins as zeros. t
 * counts the steps of the parameter, from 1. lr is the call's rate times the layer's lr_factor; l is the
 * weight decay. The order of operations, the defaults and the corner cases are those of torch.optim (Lion,
 * schedule-free: of the packages lion-pytorch and schedulefree).
 *
 *   first     g = -g with `maximize`; then g *= grad_scale * factor; then g is limited to
 *             [-clip_value, clip_value]; NaN stays
 *   SGD       g += l w;  m = t == 1 ? g : momentum m + (1 - dampening) g;  w -= lr m
 *             Nesterov: w -= lr (g + momentum m).  Without momentum: w -= lr g, and there is no state.
 *   Adam      g += l w, then as AdamW without decay                      (Kingma, Ba 2015, arXiv:1412.6980)
 *   AdamW     w *= 1 - lr l;  m += (1 - beta1) (g - m);  v = beta2 v + (1 - beta2) g^2   (arXiv:1711.05101)
 *             w -= lr / (1 - beta1^t) m / (sqrt(v) / sqrt(1 - beta2^t) + eps)
 *             amsgrad: the largest v so far takes its place in the last line
 *   Lion      w *= 1 - lr l;  w -= lr sign(beta1 m + (1 - beta1) g);  m = beta2 m + (1 - beta2) g
 *                                                                                        (arXiv:2302.06675)
 *   schedule-free AdamW                                                                  (arXiv:2405.15682)
 *             w holds y while it trains; z begins as w. c is this step's share of the sum of the squares of
 *             the largest lr so far.
 *             v = beta2 v + (1 - beta2) g^2;  d = g / (sqrt(v / (1 - beta2^t)) + eps) + l y
 *             y += c (z - y) + lr (beta1 (1 - c) - 1) d;  z -= lr d
 *             oclin_optimizer_eval() makes w the average x = y + (1 - 1 / beta1) (z - y).
 */
typedef enum oclin_rule {
    OCLIN_SGD = 0,
    OCLIN_ADAM = 1,
    OCLIN_ADAMW = 2,
    OCLIN_LION = 3,
    OCLIN_SCHEDULE_FREE = 4
} oclin_rule;

struct oclin_optimizer_options {
    size_t size;
    oclin_rule rule;
    int nesterov;               /* SGD: needs momentum > 0 and dampening 0 */
    double momentum, dampening; /* SGD: momentum >= 0, dampening finite */
    double beta1, beta2;        /* the others: in [0, 1); schedule-free: beta1 > 0 */
    double eps;                 /* Adam, AdamW, schedule-free: >= 0 */
    double weight_decay;        /* >= 0 */
    int amsgrad;                /* Adam, AdamW */
    int maximize;               /* the objective is to grow */
    int decay_bias;             /* 0: biases do not decay */
    int reserved;               /* 0 */
};
/* Defaults of torch.optim.SGD, Adam and AdamW, of lion-pytorch's Lion and of schedulefree's
 * AdamWScheduleFree. */
#define OCLIN_SGD_OPTIONS_INIT                                                             \
    {                                                                                      \
        sizeof(struct oclin_optimizer_options), OCLIN_SGD, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0 \
    }
#define OCLIN_ADAM_OPTIONS_INIT                                                                      \
    {                                                                                                \
        sizeof(struct oclin_optimizer_options), OCLIN_ADAM, 0, 0, 0, 0.9, 0.999, 1e-8, 0, 0, 0, 1, 0 \
    }
#define OCLIN_ADAMW_OPTIONS_INIT                                                                         \
    {                                                                                                    \
        sizeof(struct oclin_optimizer_options), OCLIN_ADAMW, 0, 0, 0, 0.9, 0.999, 1e-8, 0.01, 0, 0, 1, 0 \
    }
#define OCLIN_LION_OPTIONS_INIT                                                                  \
    {                                                                                            \
        sizeof(struct oclin_optimizer_options), OCLIN_LION, 0, 0, 0, 0.9, 0.99, 0, 0, 0, 0, 1, 0 \
    }
#define OCLIN_SCHEDULE_FREE_OPTIONS_INIT                                                                    \
    {                                                                                                       \
        sizeof(struct oclin_optimizer_options), OCLIN_SCHEDULE_FREE, 0, 0, 0, 0.9, 0.999, 1e-8, 0, 0, 0, 1, \
            0                                                                                               \
    }

/**
 * Makes an optimizer; NULL options are those of plain SGD. oclin_optimizer_destroy() gives back its state; it
 * may be called before or after the layers are destroyed.
 *
 * OCLIN_E_ARG     a pointer is NULL; the rule is not known; a number is not one that the rule takes
 * OCLIN_E_MEMORY
 * OCLIN_E_STATE
 */
OCLIN_API oclin_status oclin_optimizer_create(oclin_optimizer **optimizer, oclin_context *ctx,
                                              const struct oclin_optimizer_options *options);
OCLIN_API void oclin_optimizer_destroy(oclin_optimizer *optimizer);

/* What of a layer does not learn. */
typedef enum oclin_freeze {
    OCLIN_FREEZE_NONE = 0,
    OCLIN_FREEZE_BIAS = 1,
    OCLIN_FREEZE_LAYER = 2 /* w may be read-only, and dW is not made */
} oclin_freeze;

/* Options of one layer, or of one tensor, which is its w. */
struct oclin_parameter_options {
    size_t size;
    double lr_factor;    /* the rate of every call is multiplied by it; >= 0 */
    double weight_decay; /* below 0: the optimizer's; else instead of it */
    oclin_freeze freeze;
    int reserved; /* 0 */
    /* The state, made by the caller: for n states of the rule w_state is (n rows of w, columns of w), one
     * below the other in the order of oclin_optimizer_state(), and b_state is (n, out). So it may lie in an
     * arena, or come from a checkpoint (with oclin_optimizer_set_steps()). Retained. What it holds is taken
     * as it is, unless none of it was ever written: then it begins as zeros. (SGD and schedule-free begin a
     * momentum_buffer and a z at the first step, whatever they hold.) NULL: the optimizer's own. */
    oclin_tensor *w_state, *b_state;
};
#define OCLIN_PARAMETER_OPTIONS_INIT                                                        \
    {                                                                                       \
        sizeof(struct oclin_parameter_options), 1.0, -1.0, OCLIN_FREEZE_NONE, 0, NULL, NULL \
    }

/**
 * Adds the parameters of a layer, or a parameter of the caller's own with its gradient (two tensors of one
 * shape, f32), which are retained.
 *
 * A w that is the same as that of a layer that was added before is tied: both layers share its state and its
 * count, and must share dW (options.dw of oclin_layer_create()). The layer that came first updates it; the
 * others only update their own b. The update of a tied w cannot be fused with backward.
 *
 * OCLIN_E_ARG     a pointer is NULL; another context; an option is not known, or not finite; a state is given
 *                 that the rule does not have; a state shares elements with another tensor of the layer, or
 *                 is read-only; w overlaps one that was added without being the same; w or a state overlaps
 *                 the state of one that was added; the layer, or the tensor, was added before; a tied layer
 *                 has options of its own, or another dW
 * OCLIN_E_SHAPE   a state, or the gradient, is of the wrong shape
 * OCLIN_E_MEMORY
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_optimizer_add(oclin_optimizer *optimizer, oclin_layer *layer,
                                           const struct oclin_parameter_options *options);
OCLIN_API oclin_status oclin_optimizer_add_tensor(oclin_optimizer *optimizer, oclin_tensor *w,
                                                  oclin_tensor *gradient,
                                                  const struct oclin_parameter_options *options);

/* Returns a state of a parameter (oclin_layer_w(), oclin_layer_b(), or a tensor that was added), borrowed, by
 * PyTorch's name: SGD "momentum_buffer"; Adam, AdamW "exp_avg", "exp_avg_sq" and with amsgrad
 * "max_exp_avg_sq"; Lion "exp_avg"; schedule-free "z", "exp_avg_sq". NULL if there is none of this name. It
 * may be read and written, and is shaped as the parameter. */
OCLIN_API oclin_tensor *oclin_optimizer_state(oclin_optimizer *optimizer, const oclin_tensor *parameter,
                                              const char *name);

/* How far a parameter is: what a checkpoint holds beside its state. */
struct oclin_steps {
    size_t size;
    int64_t steps;     /* that were made: t - 1 of the next one */
    double largest_lr; /* schedule-free: of all steps, ... */
    double weight_sum; /* ... and the sum of the squares of the largest so far */
};
#define OCLIN_STEPS_INIT                        \
    {                                           \
        sizeof(struct oclin_steps), 0, 0.0, 0.0 \
    }

/**
 * Get and set it. Where updates had a `factor` or a `skip`, the count lives on the device: then the first
 * waits for it.
 *
 * OCLIN_E_ARG     a pointer is NULL; the parameter was not added; a number is negative or not finite
 * OCLIN_E_STATE
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_optimizer_steps(oclin_optimizer *optimizer, const oclin_tensor *parameter,
                                             struct oclin_steps *steps);
OCLIN_API oclin_status oclin_optimizer_set_steps(oclin_optimizer *optimizer, const oclin_tensor *parameter,
                                                 const struct oclin_steps *steps);

/**
 * Switch what the parameters hold, for schedule-free: eval makes them the average that inference and
 * validation want, train makes them again what the next update needs, up to rounding. An optimizer begins in
 * training, and a call that changes nothing is no error. Other rules do nothing.
 *
 * OCLIN_E_ARG     optimizer is NULL; a parameter is read-only
 * OCLIN_E_STATE   a parameter, or its state, is unspecified after a failure
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_optimizer_eval(oclin_optimizer *optimizer);
OCLIN_API oclin_status oclin_optimizer_train(oclin_optimizer *optimizer);

/* The numbers of one update. */
struct oclin_update {
    size_t size;
    double lr;         /* finite, >= 0 */
    double grad_scale; /* the gradient is multiplied by it; finite, not 0 */
    double clip_value; /* > 0: each element of the gradient is limited to [-clip_value, clip_value]; 0: it
                          is not */
    /* Scalars on the device, which nothing waits for: factor (1, 1) f32 multiplies the gradient, as
     * oclin_clip_factor() makes it; where skip (1, 1) i32 is not 0, w, state and t stay as they are, as
     * PyTorch's GradScaler does it with what oclin_check_finite() finds. NULL: there is none. */
    oclin_tensor *factor, *skip;
};
#define OCLIN_UPDATE_INIT(lr)                                 \
    {                                                         \
        sizeof(struct oclin_update), lr, 1.0, 0.0, NULL, NULL \
    }

/**
 * The rule's update of w and b by dW and db, of a layer that was added; a parameter whose gradient is cleared
 * stays as it is, and so does its count. The gradients stay, too. oclin_tensor_update() does the same for a
 * tensor that was added with oclin_optimizer_add_tensor(). A frozen layer stays as it is.
 *
 * OCLIN_E_ARG     a pointer is NULL; another context; the layer was not added; a number is not legal; factor
 *                 or skip is not (1, 1), or of another dtype; w or b is read-only; operands share elements
 * OCLIN_E_STATE   no gradient was ever computed, written or handed in; an operand is unspecified after a
 *                 failure; the optimizer is switched to eval
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_layer_update(oclin_layer *layer, oclin_optimizer *optimizer,
                                          const struct oclin_update *update);
OCLIN_API oclin_status oclin_tensor_update(oclin_tensor *w, oclin_optimizer *optimizer,
                                           const struct oclin_update *update);

/**
 * Backward and update in one: dX = dZ W with the old W, then the rule's update of W by dZ^T X and of b by the
 * column sums of dZ, each once, in the epilogue of its sum. No dW is written, or even allocated. The bits are
 * those of oclin_layer_backward() and oclin_layer_update() with the same plan.
 *
 * Where the gradients are not cleared (micro-batches came before), what this batch gives is added to them
 * first, and they are cleared afterwards. Of a frozen layer only dX is made.
 *
 * Arguments and errors are those of oclin_layer_backward_with() and oclin_layer_update(), and besides:
 *
 * OCLIN_E_ARG     w is tied (oclin_optimizer_add()); dy or x shares elements with w, b or their state
 */
OCLIN_API oclin_status oclin_layer_backward_update(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *dx,
                                                   oclin_optimizer *optimizer,
                                                   const struct oclin_update *update);
OCLIN_API oclin_status oclin_layer_backward_update_with(oclin_layer *layer, oclin_tensor *dy,
                                                        oclin_tensor *dx, oclin_optimizer *optimizer,
                                                        const struct oclin_update *update,
                                                        const struct oclin_call_options *options);

/* --------------------------------------------------------------------------- clipping, finite numbers */

/*
 * Clipping by the global norm, as torch.nn.utils.clip_grad_norm_, and the skipping of steps whose gradients
 * are not finite, as torch.amp.GradScaler, without a dW in memory and without waiting for the host:
 *
 *     every layer, the last one first:  oclin_layer_backward_x()             dX; dY of each layer is kept
 *     every layer:                      oclin_layer_check_finite(.., flag)   where the loss is scaled
 *                                       oclin_layer_grad_norm2(.., norm2)    all add to one scalar
 *     once:                             oclin_clip_factor(norm2, .., factor)
 *     every layer:                      oclin_layer_backward_update()        with update.factor, update.skip
 */

/**
 * norm2 (+)= |t|_F^2, the sum of the squares of all elements.
 *
 * t           (rows, cols)  f32; read only
 * norm2       (1, 1)        f32; must not share elements with t
 * accumulate  0: norm2 is overwritten, and never read; 1: it is added to, so that parameters share one scalar
 * With 0 rows the norm is 0. A gradient that is cleared counts as zeros.
 *
 * Sums run in a fixed order. A NaN in t gives NaN, else an Inf gives Inf. The square is a float32: where it
 * reaches 2^128 (a norm of 1.8e19) it is Inf, and elements below 3e-23 may count as 0. oclin_ref_norm2() has
 * the bound. The call takes scratch memory, 4 bytes for each 8192 elements (or each row, where the rows of t
 * are not dense).
 *
 * OCLIN_E_ARG     a pointer is NULL; another context or dtype; norm2 is read-only; t is write-only; shared
 *                 elements; accumulate is neither 0 nor 1
 * OCLIN_E_SHAPE   norm2 is not (1, 1)
 * OCLIN_E_STATE   t, or a norm2 that is added to, is unspecified (strict: or was never written)
 * OCLIN_E_BUILD
 * OCLIN_E_MEMORY  there is no scratch memory
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_tensor_norm2(oclin_tensor *t, oclin_tensor *norm2, int accumulate);

struct oclin_grad_norm_options {
    size_t size;
    /* The saved state of the forward; NULL: the layer's own. */
    oclin_saved *saved;
    int accumulate; /* 0: norm2 is overwritten, and never read; 1: it is added to */
    /* Which gradients count: 1, or 0 for one that does not learn, and in all but one of the layers that share
     * a dW. A layer without bias has no db. */
    int w, b;
    int reserved; /* 0 */
};
#define OCLIN_GRAD_NORM_OPTIONS_INIT                             \
    {                                                            \
        sizeof(struct oclin_grad_norm_options), NULL, 0, 1, 1, 0 \
    }

/**
 * norm2 (+)= |dW|_F^2 + |db|^2, of the gradient that oclin_layer_backward() would give for this dY, with
 * OCLIN_GRAD_MEAN divided by the batch; but no dW is stored, and what the layer holds does not change:
 *
 *     |dW|_F^2 = <dZ dZ^T, X X^T>,   |db|^2 = <dZ dZ^T, 1 1^T>,   dZ = act'(Z) * dY
 *                       [I. Goodfellow, Efficient Per-Example Gradient Computations, arXiv:1510.01799]
 * These are two products of (batch, batch). Where batch (in + out) is not below in out they take more
 * multiplications than dW: then dW and db are computed in scratch memory (no larger than x and dy together)
 * and forgotten.
 *
 * dy     (batch, out)  f32; read only. NULL: the norm is that of dW and db as they are stored.
 * norm2  (1, 1)        f32; must not share elements with the operands that are read
 *
 * Where dW or db is not cleared, the norm is that of what they hold, and dy is not looked at: the sum over
 * micro-batches, or over ranks, has to be complete. With batch 0 the norm is 0.
 *
 * The call belongs to a forward as oclin_layer_backward() does, and does not consume it. A gradient with a
 * NaN or Inf gives NaN or Inf (by the identity not always the same of the two). The identity cancels where
 * the gradients of samples do: its error is relative to the sum of |dZ dZ^T| |X X^T|, oclin_ref_grad_norm2()
 * has the bound, and a result below 0 becomes 0. Ranges are those of oclin_tensor_norm2(), also for the
 * elements of the two products.
 *
 * Scratch memory is 8 batch^2 bytes, 4 batch out more with an activation, or 4 (in + 1) out, and that of the
 * products; oclin_layer_workspace() does not count it.
 *
 * OCLIN_E_ARG     layer or norm2 is NULL; another context or dtype; an option is not known; norm2 is
 *                 read-only; an operand is write-only; shared elements
 * OCLIN_E_SHAPE   norm2 is not (1, 1), or dy not (batch, out) of that forward
 * OCLIN_E_STATE   dy: as at oclin_layer_backward(); dy is NULL, and no gradient was ever computed, written or
 *                 handed in; an operand is unspecified after a failure
 * OCLIN_E_BUILD
 * OCLIN_E_MEMORY  there is no scratch memory
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_layer_grad_norm2(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *norm2,
                                              const struct oclin_grad_norm_options *options);

/**
 * factor = scale * min(1, max_norm / (scale * sqrt(norm2) + 1e-6)): update.factor for a global norm of at
 * most max_norm.                                                        [torch.nn.utils.clip_grad_norm_]
 *
 * norm2     (1, 1)  f32; read only; of gradients that still carry the loss's scale
 * max_norm  >= 0; Inf does not clip
 * scale     the inverse of the loss's scale, from FLT_MIN to FLT_MAX; 1 where there is none
 * factor    (1, 1)  f32; overwritten; must not share elements with norm2
 *
 * It is computed on the device. A NaN norm gives NaN and an infinite one 0, as in PyTorch, and so does a
 * scale * sqrt(norm2) beyond float32. A step with 0 times Inf is NaN, too: oclin_check_finite() is what skips
 * such a step.
 *
 * OCLIN_E_ARG     a pointer is NULL; another context or dtype; max_norm or scale is not such a number; factor
 *                 is read-only; norm2 is write-only; shared elements
 * OCLIN_E_SHAPE   norm2 or factor is not (1, 1)
 * OCLIN_E_STATE   norm2 is unspecified (strict: or was never written)
 * OCLIN_E_BUILD
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_clip_factor(oclin_tensor *norm2, double max_norm, double scale,
                                         oclin_tensor *factor);

/**
 * flag = 1 where an element is NaN or Inf; else the flag stays as it is, so several calls share one, which
 * oclin_tensor_fill() clears. It is what update.skip takes.
 *
 * oclin_check_finite() looks at the elements of a tensor. oclin_layer_check_finite() looks at x and at
 * dZ = act'(Z) * dY, from which dW, db and dX come: they can only have a NaN or Inf where dZ, x or W has one,
 * or where a sum of finite numbers overflows float32, which shows in the norm, or afterwards. Where dW or db
 * is not cleared, or dy is NULL, it looks at dW and db.
 *
 * t     (rows, cols)  f32; read only
 * dy    (batch, out)  f32; read only; or NULL
 * flag  (1, 1)        i32; must not share elements with what is looked at
 * saved               of the forward; NULL: the layer's own
 * With 0 rows, or batch 0, the flag stays.
 *
 * OCLIN_E_ARG     t, layer or flag is NULL; another context or dtype; flag is read-only; an operand is
 *                 write-only; shared elements
 * OCLIN_E_SHAPE   flag is not (1, 1), or dy not (batch, out)
 * OCLIN_E_STATE   the flag or an operand is unspecified (strict: or was never written); of a layer, as at
 *                 oclin_layer_grad_norm2()
 * OCLIN_E_BUILD
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_check_finite(oclin_tensor *t, oclin_tensor *flag);
OCLIN_API oclin_status oclin_layer_check_finite(oclin_layer *layer, oclin_tensor *dy, oclin_tensor *flag,
                                                oclin_saved *saved);

/* ---------------------------------------------------------------------------------------------- losses */

/* For an epoch's mean over batches of uneven size use OCLIN_SUM, accumulate, and OCLIN_GRAD_MEAN layers, and
 * divide at the end. */
typedef enum oclin_reduction {
    OCLIN_MEAN = 0, /* mean squared error over batch * out, cross-entropy over batch; as PyTorch */
    OCLIN_SUM = 1
} oclin_reduction;

struct oclin_loss_options {
    size_t size;
    oclin_reduction reduction;
    float scale; /* multiplies loss and gradient; 1 */
    /* Not 0: loss and correct are added to what the tensors hold. 0: they are overwritten, and never read.
     * Each call rounds the sum once, and equal losses are rounded to the same side, so after N calls the sum
     * may be off by N * 2^-24 of itself. Read and clear it every few hundred calls. */
    int accumulate;
    int reserved; /* 0 */
    float delta;  /* of oclin_loss_huber(): a finite number from FLT_MIN on; 1 */
    /* (1, out), f32; read only; NULL: 1 for each. For oclin_loss_bce() the weights of positive targets,
     * for the cross-entropies those of the classes; the other losses take none. */
    oclin_tensor *class_weights;
    /* (batch, 1), f32; read only; NULL: 1 for each. A row's loss and its row of dY are multiplied by its
     * weight; the divisor D of the mean stays as it is. */
    oclin_tensor *row_weights;
    /* (batch, 1), f32; overwritten; NULL: not wanted. Row r receives scale times the weight of the row
     * times its row loss, as PyTorch's reduction 'none' with a sum over the row: nothing is divided by D. */
    oclin_tensor *row_losses;
    float label_smoothing; /* of the cross-entropies: 0 to 1, the part that all classes share; 0 */
    /* Of oclin_loss_cross_entropy(): rows with this label have loss 0 and dY 0, and do not count in D nor in
     * correct; INT64_MIN: there is none. (PyTorch's default is -100.) */
    int64_t ignore_index;
};
#define OCLIN_LOSS_OPTIONS_INIT                                                                            \
    {                                                                                                      \
        sizeof(struct oclin_loss_options), OCLIN_MEAN, 1.0f, 0, 0, 1.0f, NULL, NULL, NULL, 0.0f, INT64_MIN \
    }

/**
 * Mean squared error and its gradient:
 *     loss = scale / D * sum (y - t)^2,   dY = scale / D * 2 (y - t),
 *     D = batch * out (OCLIN_MEAN) or 1 (OCLIN_SUM)
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
 * OCLIN_E_ARG     y or t is NULL; another context or dtype; a read-only output; an output that shares
 *                 elements with another operand; an unknown option; a scale that is not finite
 * OCLIN_E_SHAPE
 * OCLIN_E_STATE
 * OCLIN_E_MEMORY  there is no scratch memory
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_loss_mse(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                                      const struct oclin_loss_options *options);

/**
 * Absolute error and its gradient, as PyTorch's L1Loss:
 *     loss = scale / D * sum |y - t|,   dY = scale / D * sign(y - t),   0 where y = t,
 *     D = batch * out (OCLIN_MEAN) or 1 (OCLIN_SUM)
 * NaN in y or t gives NaN, in dY too. Operands and errors are those of oclin_loss_mse().
 */
OCLIN_API oclin_status oclin_loss_l1(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                                     const struct oclin_loss_options *options);

/**
 * Huber's loss and its gradient, as PyTorch's HuberLoss, with delta of the options and d = y - t:
 *     loss = scale / D * sum of (d^2 / 2 where |d| <= delta, else delta (|d| - delta / 2)),
 *     dY = scale / D * (d where |d| <= delta, else delta sign(d)),
 *     D = batch * out (OCLIN_MEAN) or 1 (OCLIN_SUM)
 * Operands and errors are those of oclin_loss_mse(); also
 *
 * OCLIN_E_ARG     delta is below FLT_MIN or not finite
 */
OCLIN_API oclin_status oclin_loss_huber(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss,
                                        oclin_tensor *dy, const struct oclin_loss_options *options);

/**
 * Binary cross-entropy with logits and its gradient, as PyTorch's BCEWithLogitsLoss. With s(y) =
 * 1 / (1 + exp(-y)), and p the class_weights of the options (PyTorch's pos_weight), or 1:
 *     loss = -scale / D * sum (p t log s(y) + (1 - t) log s(-y)),
 *     dY = scale / D * ((1 - t) s(y) - p t s(-y)),   D = batch * out (OCLIN_MEAN) or 1 (OCLIN_SUM)
 * t is a probability; other numbers are not refused. Large scores of either sign neither overflow nor lose
 * what is left of the loss. An infinite score gives NaN, or an infinite loss, by the formula.
 *
 * y     (batch, out)  f32, the logits; read only
 * Operands and errors are otherwise those of oclin_loss_mse().
 */
OCLIN_API oclin_status oclin_loss_bce(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss, oclin_tensor *dy,
                                      const struct oclin_loss_options *options);

/**
 * Softmax cross-entropy with class labels, its gradient, and how many rows have their largest score at the
 * label:
 *     p = softmax(row of y),  row loss = -log p[label],  dY = scale / D * (p - onehot(label)),
 *     loss = scale / D * sum of row losses,  D = batch (OCLIN_MEAN) or 1 (OCLIN_SUM)
 * It is stable, because the row's largest score is subtracted first. Of equal scores the lowest index counts.
 * A score of -Inf has p = 0, and at the label an infinite loss. In a row with a score of Inf, or with -Inf
 * alone, loss and dY are NaN. A row's loss is a float32 before it is scaled.
 *
 * With class_weights w, label_smoothing eps or ignore_index in the options, as PyTorch's CrossEntropyLoss:
 *     q_j = (1 - eps) w[label] onehot(label)_j + eps / out w_j,
 *     row loss = -sum of q_j log p_j,  dY = scale / D * (p * sum of q - q),
 *     D = sum of w[label] over the rows that count (OCLIN_MEAN), where a label that is no class counts 1
 * A class whose q is 0 adds nothing, also where its p is 0 (PyTorch's loss is NaN there).
 * Where no row counts, or their weights sum up to 0, the mean is NaN.
 *
 * y        (batch, out)  f32, the scores; read only
 * labels   (batch, 1)    i32; read only. A label outside [0, out) is never used as an index: its row loss and
 *                        its row of dY are NaN, and it is not correct. A row with a NaN score is not correct
 *                        either.
 * loss     (1, 1)        f32; NULL: not wanted
 * dy       (batch, out)  f32; overwritten; NULL: not wanted
 * correct  (1, 1)        i32; NULL: not wanted. The count, with what it is added to, must stay below 2^31.
 *
 * Errors are those of oclin_loss_mse().
 */
OCLIN_API oclin_status oclin_loss_cross_entropy(oclin_tensor *y, oclin_tensor *labels, oclin_tensor *loss,
                                                oclin_tensor *dy, oclin_tensor *correct,
                                                const struct oclin_loss_options *options);

/**
 * Softmax cross-entropy with a probability for each class, and its gradient, as PyTorch's
 * CrossEntropyLoss; w and eps are class_weights and label_smoothing of the options:
 *     p = softmax(row of y),  q_j = w_j ((1 - eps) t_j + eps / out),  row loss = -sum of q_j log p_j,
 *     dY = scale / D * (p * sum of q - q),  loss = scale / D * sum of row losses,
 *     D = batch (OCLIN_MEAN) or 1 (OCLIN_SUM)
 * A class whose q is 0 adds nothing, also where its p is 0. Rows of t need not sum up to 1. Scores are as in
 * oclin_loss_cross_entropy(), operands and errors otherwise those of oclin_loss_mse().
 */
OCLIN_API oclin_status oclin_loss_soft_cross_entropy(oclin_tensor *y, oclin_tensor *t, oclin_tensor *loss,
                                                     oclin_tensor *dy,
                                                     const struct oclin_loss_options *options);

/**
 * Sets *additions to the most roundings that a term of one row's sum, of `cols` squares or exponentials,
 * passes before the rows are added: `additions` of struct oclin_ref_case for a loss. It is at most
 * 8 + 2 sqrt(cols), and belongs to the work-group that is tried first.
 *
 * OCLIN_E_ARG     a pointer is NULL
 * OCLIN_E_SHAPE   cols < 1, or the row is larger than any memory
 * OCLIN_E_STATE
 */
OCLIN_API oclin_status oclin_loss_additions(oclin_context *ctx, int64_t cols, int64_t *additions);

/* Tell and take the scratch memory that the losses need for `batch` rows, as oclin_layer_workspace() and
 * oclin_layer_reserve() do for a layer. */
OCLIN_API oclin_status oclin_loss_workspace(oclin_context *ctx, int64_t batch, int64_t *bytes);
OCLIN_API oclin_status oclin_loss_reserve(oclin_context *ctx, int64_t batch);

/* ---------------------------------------------------------------------------------------------- rows */

/**
 * P = softmax of each row of Y: p_j = exp(y_j - max) / sum of exp(y - max). Probabilities from scores, for
 * inference; the cross-entropies take scores. A score of -Inf has p = 0. In a row with a score of Inf or
 * NaN, or with -Inf alone, p is NaN.
 *
 * y  (batch, out)  f32; read only
 * p  (batch, out)  f32; overwritten; must not share elements with y
 * With 0 rows nothing happens.
 *
 * OCLIN_E_ARG     a pointer is NULL; another context or dtype; p is read-only; shared elements
 * OCLIN_E_SHAPE
 * OCLIN_E_STATE
 * OCLIN_E_CL
 * OCLIN_E_VERIFY
 */
OCLIN_API oclin_status oclin_softmax(oclin_tensor *y, oclin_tensor *p);

/**
 * Writes the column of each row's largest element, as PyTorch's argmax: the first of equals, and NaN
 * counts as larger than any number, so that the first NaN is found.
 *
 * t        (rows, cols)  f32; read only
 * indices  (rows, 1)     i32; overwritten; must not share elements with t
 *
 * Errors are those of oclin_softmax(); also
 *
 * OCLIN_E_SHAPE   t has more than 2^31 - 1 columns
 */
OCLIN_API oclin_status oclin_tensor_argmax(oclin_tensor *t, oclin_tensor *indices);

/* --------------------------------------------------------------------------------------------- networks */

/* A network is a sequence of layers, each of which takes what the one before it gives, with the memory that
 * lies between them. There is no graph. All that a network does can be done with the calls of its layers, and
 * the bits are the same. Layers are counted from 0, and sentences begin with the number of theirs. */
typedef struct oclin_network oclin_network;

struct oclin_network_options {
    size_t size;
    /* For the layers that oclin_network_create() makes. layers[i] are the options of layer i, whose
     * activation is replaced; NULL, for one or for all: the usual ones, with `gradient`, and with seed + i as
     * seed. */
    const struct oclin_layer_options *const *layers;
    uint64_t seed;
    oclin_gradient gradient;
    int reserved; /* 0 */
    /* n flags; NULL: all are 0. 1: the layer is a residual branch, y = x + act(W x + b), and its `in` must be
     * its `out`. It takes a copy of y more than a plain layer, and one of dx in backward; what backward reads
     * is kept apart, as `accumulate` in struct oclin_call_options says. */
    const int *residual;
};
#define OCLIN_NETWORK_OPTIONS_INIT                                             \
    {                                                                          \
        sizeof(struct oclin_network_options), NULL, 0, OCLIN_GRAD_SUM, 0, NULL \
    }

/**
 * Make a network of n layers. The first makes its layers: layer i has widths[i] inputs, widths[i + 1] outputs
 * and activations[i] (NULL: ReLU, and none behind the last layer). The second takes layers that exist; they
 * are borrowed: the caller destroys them, not before the last call on the network but
 * oclin_network_destroy(). A layer may be in several networks, and be used alone in between, because each
 * network keeps what its forward saves to itself.
 *
 * OCLIN_E_ARG     a pointer is NULL; n < 1, or so large that memory sizes overflow; an unknown option or
 *                 activation; a layer is NULL, of another context, or twice in the list
 * OCLIN_E_SHAPE   a width is below 1; a layer's inputs are not as many as the outputs of the one before it; a
 *                 residual branch has other outputs than inputs
 * and the errors of oclin_layer_create(). No layer is then left.
 */
OCLIN_API oclin_status oclin_network_create(oclin_network **network, oclin_context *ctx, int64_t n,
                                            const int64_t *widths, const oclin_activation *activations,
                                            const struct oclin_network_options *options);
OCLIN_API oclin_status oclin_network_create_from(oclin_network **network, oclin_context *ctx, int64_t n,
                                                 oclin_layer *const *layers,
                                                 const struct oclin_network_options *options);
/* Destroys the network, and the layers that it made. */
OCLIN_API void oclin_network_destroy(oclin_network *network);

/* Return the number of layers (of a NULL network: 0) and a layer, borrowed (NULL if there is none with this
 * number). */
OCLIN_API int64_t oclin_network_layers(const oclin_network *network);
OCLIN_API oclin_layer *oclin_network_layer(oclin_network *network, int64_t i);

/**
 * Take the memory for batches of up to `batch` samples: the outputs of all layers in a buffer each (each is
 * the next layer's saved x), two buffers that all gradients take turns in, the scratch memory of layers and
 * losses, and what layers keep apart; oclin_network_reserve() also dW and db, which a training with fused
 * updates does not need and oclin_network_reserve_step() leaves out. oclin_network_reserve_infer() takes two
 * buffers alone, those of the gradients.
 *
 * Without a reserve the first call with a larger batch takes the memory. A smaller batch uses the first rows
 * of the same memory, through views (on the host). A network keeps those of the last four sizes of batches
 * that it saw, so a training whose last batch is smaller makes views in its first epoch and none later.
 * Reserving that size, too, makes them ahead: then no call allocates anything.
 *
 * OCLIN_E_ARG     network is NULL
 * OCLIN_E_SHAPE   batch < 0, or sizes overflow or exceed the device's largest allocation
 * OCLIN_E_MEMORY
 * OCLIN_E_STATE
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_network_reserve(oclin_network *network, int64_t batch);
OCLIN_API oclin_status oclin_network_reserve_step(oclin_network *network, int64_t batch);
OCLIN_API oclin_status oclin_network_reserve_infer(oclin_network *network, int64_t batch);

/**
 * Forward through all layers.
 *
 * x  (batch, in of the first layer)   f32; read only
 * y  set to the output, (batch, out of the last layer), which belongs to the network; NULL: not wanted.
 *    oclin_network_output() returns it, too. It is borrowed, and lives until the next forward or train_step.
 *
 * oclin_network_infer() writes to a y of the caller's own, keeps nothing, and leaves what a forward kept as
 * it is.
 *
 * Arguments and the state of all parameters are checked before anything is enqueued. A kernel that a layer
 * needs may be missing all the same (OCLIN_E_BUILD, OCLIN_E_DEVICE) when the layers before it have run. After
 * such a failure, and after OCLIN_E_CL, there is no forward that backward could belong to.
 *
 * Errors are those of oclin_layer_forward() and oclin_network_reserve_step(); also
 *
 * OCLIN_E_ARG     x shares elements with the outputs of the network's layers
 */
OCLIN_API oclin_status oclin_network_forward(oclin_network *network, oclin_tensor *x, oclin_tensor **y);
OCLIN_API oclin_status oclin_network_infer(oclin_network *network, oclin_tensor *x, oclin_tensor *y);

/* Returns the output of the last forward, borrowed; NULL if there was none, or it failed. */
OCLIN_API oclin_tensor *oclin_network_output(const oclin_network *network);

/**
 * Backward through all layers: dW and db of each are stored, or added to, as oclin_layer_backward() says.
 *
 * dy  (batch, out of the last layer)  f32; read only
 * dx  (batch, in of the first layer)  f32; overwritten; NULL: not wanted, and not computed
 *
 * All that can be known is checked before anything is enqueued. Where a layer fails after that, the gradients
 * of those behind it are complete, and each layer's own calls say what of it is unspecified.
 *
 * Errors are those of oclin_layer_backward(); also
 *
 * OCLIN_E_STATE   there was no forward, or it failed
 */
OCLIN_API oclin_status oclin_network_backward(oclin_network *network, oclin_tensor *dy, oclin_tensor *dx);

/* Clears dW and db of all layers, as oclin_layer_zero_grad(). OCLIN_E_ARG; OCLIN_E_STATE; OCLIN_E_CL. */
OCLIN_API oclin_status oclin_network_zero_grad(oclin_network *network);

/* Adds every layer to an optimizer, with the usual options. A layer that was added before keeps its own: add
 * those first that learn at another rate, or are frozen. Errors are those of oclin_optimizer_add(), and after
 * one of them no layer was added. */
OCLIN_API oclin_status oclin_network_add(oclin_optimizer *optimizer, oclin_network *network);

/**
 * The update of all layers by their gradients, as oclin_layer_update() says; and backward and update in one,
 * as oclin_layer_backward_update(): each layer is updated as soon as its dX is done, and no dW is stored.
 * Where dx is NULL, frozen layers before the first one that learns get no gradient at all.
 *
 * Errors are those of oclin_layer_update(), oclin_layer_backward_update() and oclin_network_backward(). All
 * that can be known is checked before anything is enqueued.
 */
OCLIN_API oclin_status oclin_network_update(oclin_network *network, oclin_optimizer *optimizer,
                                            const struct oclin_update *update);
OCLIN_API oclin_status oclin_network_backward_update(oclin_network *network, oclin_tensor *dy,
                                                     oclin_tensor *dx, oclin_optimizer *optimizer,
                                                     const struct oclin_update *update);

/* The losses, for a call that takes one of them. */
typedef enum oclin_loss {
    OCLIN_LOSS_MSE = 0,
    OCLIN_LOSS_L1 = 1,
    OCLIN_LOSS_HUBER = 2,
    OCLIN_LOSS_BCE = 3,
    OCLIN_LOSS_CROSS_ENTROPY = 4, /* the target is labels, i32 */
    OCLIN_LOSS_SOFT_CROSS_ENTROPY = 5
} oclin_loss;

struct oclin_train_step_options {
    size_t size;
    const struct oclin_update *update; /* the numbers of the update; NULL only where last is 0 */
    /* For a step over several micro-batches. first 1: gradients that are there are forgotten; 0: this batch
     * is added to them. last 1: the parameters are updated, and the gradients cleared; 0: the gradients are
     * stored. So k micro-batches are 1 0, 0 0, ..., 0 1. Scale the loss by 1 / k for their mean. */
    int first, last;
    /* With an update (last 1). max_norm > 0 limits the norm of all gradients together (oclin_clip_factor();
     * their scale is update->grad_scale). check_finite 1: the update is skipped where a gradient, or what it
     * comes from, has an Inf or NaN (oclin_check_finite()). Either makes the order: dX of all layers, each of
     * whose dY is kept in memory of its own; the scalars; all updates. The first such step with a batch takes
     * that memory. oclin_network_norm2() and oclin_network_skipped() tell what the scalars were. 0: no. */
    double max_norm;
    int check_finite;
    int reserved; /* 0 */
};
#define OCLIN_TRAIN_STEP_OPTIONS_INIT(update)                            \
    {                                                                    \
        sizeof(struct oclin_train_step_options), update, 1, 1, 0.0, 0, 0 \
    }

/**
 * A step of training in one call: forward, the loss with its gradient, backward and update.
 *
 * x             (batch, in of the first layer)  f32; read only
 * target        what the loss takes; read only
 * loss_options  of the loss; NULL: the usual ones
 * loss          (1, 1)  f32; NULL: not wanted
 * correct       (1, 1)  i32; NULL: not wanted. Only of OCLIN_LOSS_CROSS_ENTROPY
 * optimizer     has all layers (oclin_network_add()); NULL only where options->last is 0
 * options       not NULL
 *
 * The output stays, for oclin_network_output(). Errors are those of oclin_network_forward(), the loss, and
 * oclin_network_backward_update(); also
 *
 * OCLIN_E_ARG     kind is not known; correct is given to another loss; first or last is neither 0 nor 1;
 *                 max_norm is negative or NaN, check_finite is neither 0 nor 1, or one of them is not 0 where
 *                 last is 0; max_norm with a factor in the update, check_finite with a skip
 */
OCLIN_API oclin_status oclin_network_train_step(oclin_network *network, oclin_tensor *x, oclin_tensor *target,
                                                oclin_loss kind,
                                                const struct oclin_loss_options *loss_options,
                                                oclin_tensor *loss, oclin_tensor *correct,
                                                oclin_optimizer *optimizer,
                                                const struct oclin_train_step_options *options);

/* Return the scalars of the last step that had a max_norm, or a check_finite, borrowed: the square of the
 * norm that all gradients had, (1, 1) f32, still with the loss's scale; and, (1, 1) i32, whether the update
 * was skipped. NULL before the first such step. Nothing waits for them: a loop may look when it likes. */
OCLIN_API oclin_tensor *oclin_network_norm2(const oclin_network *network);
OCLIN_API oclin_tensor *oclin_network_skipped(const oclin_network *network);

/* ------------------------------------------------------------------------------------------- reference */

/*
 * The reference is the readable specification of every operation: plain loops over dense host arrays, with
 * sums in double. Its results are double; rounded to float they are what exact (integer) data must give on
 * every device, bit for bit. `bound`, where it is not NULL, receives for each result how far a device may be
 * from it. It carries through the errors of activations (OpenCL's limits) and of inputs. A bound of Inf says
 * that the result may overflow, a bound of NaN that where it is Inf it may as well be NaN; nothing is
 * promised in either case.
 *
 * Sums have two kinds of bounds. The proven one holds for any data: a sum c of K products a b, computed as
 * c^, has
 *     |c^ - c| <= gamma(n) S + E + eta,    gamma(n) = n u / (1 - n u),    u = 2^-24
 * Here n is the most roundings that any term passes from its product to the stored value (`additions`, and
 * one for a bias), S is the sum of |a b| and |bias|, E carries the errors of a and b through, and eta is what
 * may underflow. It makes no claim where n u >= 1/2 or S >= 2^127. (Higham, Accuracy and Stability of
 * Numerical Algorithms, chapter 3.) OCLIN_VERIFY compares with this bound.
 *
 * The statistical bound is tighter for long sums: right sums of random numbers were seen to stay below
 * (8 + 2 sqrt K) u S, and below 16 u S where the products have mean zero. Sums of like numbers may exceed it.
 * But gamma(n) does not see a term that is left out of a long sum, and this one does: so oclin_self_check(),
 * oclin_tune() and the tests, whose data are random, use it.
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
    /* n without what follows the sum: oclin_layer_additions(), oclin_loss_additions(). 0 stands for K, which
     * is right for a sum in any order. */
    int64_t additions;
    int no_denormals; /* not 0: the device flushes denormal numbers (no CL_FP_DENORM) */
    int truncates;    /* not 0: it does not round to nearest (no CL_FP_ROUND_TO_NEAREST), and u is 2^-23 */
    float alpha;      /* of the activation; below 0: the usual one, as in struct oclin_layer_options */
};
#define OCLIN_REF_CASE_INIT(batch, in, out)                                                                  \
    {                                                                                                        \
        sizeof(struct oclin_ref_case), batch, in, out, OCLIN_NONE, OCLIN_GRAD_SUM, OCLIN_PROVEN, 0, 0, 0, -1 \
    }

/* Z = X W^T + 1 b^T, Y = act(Z). x is (batch, in), w (out, in), b (out) or NULL. z and y are (batch, out),
 * and each may be NULL. bound is y's and z_bound is z's; both are (batch, out) or NULL. */
OCLIN_API void oclin_ref_forward(const struct oclin_ref_case *c, const float *x, const float *w,
                                 const float *b, double *z, double *z_bound, double *y, double *bound);

/* dZ = act'(Z) * dY. s is y for ReLU, sigmoid and tanh, z for GELU, and unused (it may be NULL) for none. All
 * are (batch, out). */
OCLIN_API void oclin_ref_grad_z(const struct oclin_ref_case *c, const float *dy, const float *s, double *dz,
                                double *bound);

/* (1) dW = dZ^T X, divided by the batch for OCLIN_GRAD_MEAN. dw and bound are (out, in). */
OCLIN_API void oclin_ref_grad_w(const struct oclin_ref_case *c, const float *x, const float *dy,
                                const float *s, double *dw, double *bound);

/* (2) db = column sums of dZ, divided by the batch for OCLIN_GRAD_MEAN. db and bound are (out). */
OCLIN_API void oclin_ref_grad_b(const struct oclin_ref_case *c, const float *dy, const float *s, double *db,
                                double *bound);

/* (3) dX = dZ W. dx and bound are (batch, in). */
OCLIN_API void oclin_ref_grad_x(const struct oclin_ref_case *c, const float *w, const float *dy,
                                const float *s, double *dx, double *bound);

/* Adds to a gradient that was not cleared: sum[i] = old[i] + dw[i]. dw_bound and bound may be NULL. Of the
 * case only `truncates` matters; NULL stands for 0. */
OCLIN_API void oclin_ref_accumulate(const struct oclin_ref_case *c, int64_t n, const float *old,
                                    const double *dw, const double *dw_bound, double *sum, double *bound);

/* The step: w_new[i] = w[i] - lr dw[i]. dw_bound says how far dw itself may be off (NULL: it is exact); bound
 * may be NULL. The case is as above. */
OCLIN_API void oclin_ref_step(const struct oclin_ref_case *c, int64_t n, const float *w, const double *dw,
                              const double *dw_bound, float lr, double *w_new, double *bound);

/* An update as oclin_layer_update() describes it: the rule, and all that it depends on beside w, its gradient
 * and its state. */
struct oclin_ref_update {
    size_t size;
    struct oclin_optimizer_options rule;
    struct oclin_steps steps; /* that were made before */
    double lr;                /* with lr_factor */
    double weight_decay;      /* of this parameter */
    double factor;            /* grad_scale times the device's factor */
    double clip_value;        /* 0: none */
    int on_device; /* not 0: the device worked out the numbers of the step (there was a factor or a skip) */
    int reserved;
};

/* The rule's update of n elements. dw_bound says how far dw may be off (NULL: it is exact). state and
 * state_new are the rule's states one behind the other, n each; NULL if it has none. The bounds carry all
 * errors through, and may be NULL. Where the rule divides by something that may be 0 within its bound, the
 * bound of w is Inf. Of the case only `truncates` matters. */
OCLIN_API void oclin_ref_rule_update(const struct oclin_ref_case *c, const struct oclin_ref_update *update,
                                     int64_t n, const float *w, const double *dw, const double *dw_bound,
                                     const float *state, double *w_new, double *bound, double *state_new,
                                     double *state_bound);

/* oclin_tensor_add(): sum[i] = dst[i] + alpha src[i], for n elements. bound may be NULL. Of the case only
 * `no_denormals` and `truncates` matter; NULL stands for 0. */
OCLIN_API void oclin_ref_add(const struct oclin_ref_case *c, int64_t n, const float *dst, const float *src,
                             float alpha, double *sum, double *bound);

/* oclin_tensor_gather_rows(), of elements with that dtype: dst is (rows, cols), src (src_rows, cols) and
 * indices (rows). There is no bound, because a device must give the same bits. So it must at
 * oclin_tensor_copy(), whose reference is memcpy(). */
OCLIN_API void oclin_ref_gather_rows(oclin_dtype dtype, int64_t rows, int64_t cols, int64_t src_rows,
                                     const void *src, const int32_t *indices, void *dst);

/* |t|^2 of n elements; `additions` counts the roundings of a term on its way into the sum of all. bound may
 * be NULL. */
OCLIN_API void oclin_ref_norm2(const struct oclin_ref_case *c, int64_t n, const float *t, double *norm2,
                               double *bound);

/* |dW|^2 (w: 1 if it counts) + |db|^2 (b), as oclin_layer_grad_norm2() takes them; x is (batch, in), dz and
 * dz_bound are what oclin_ref_grad_z() gives. `additions` is taken for all its sums. Where a dZ or x is not
 * finite, the result is Inf and the bound NaN: it may be NaN as well. dz_bound and bound may be NULL. */
OCLIN_API void oclin_ref_grad_norm2(const struct oclin_ref_case *c, int w, int b, const float *x,
                                    const double *dz, const double *dz_bound, double *norm2, double *bound);

/* oclin_clip_factor(), of a norm2 that may be off by norm2_bound. Of the case only `truncates` matters; NULL
 * stands for 0. bound may be NULL. */
OCLIN_API void oclin_ref_clip_factor(const struct oclin_ref_case *c, double norm2, double norm2_bound,
                                     double max_norm, double scale, double *factor, double *bound);

/* Returns 1 if all n elements are finite. */
OCLIN_API int oclin_ref_finite(int64_t n, const float *t);

/* The losses, as documented at oclin_loss_mse() and oclin_loss_cross_entropy(), for y of c->batch rows and
 * c->out columns. loss_bound (1), dy (rows, cols), bound (rows, cols, of dy) and correct (1) may each be
 * NULL. */
OCLIN_API void oclin_ref_mse(const struct oclin_ref_case *c, const float *y, const float *t,
                             oclin_reduction reduction, float scale, double *loss, double *loss_bound,
                             double *dy, double *bound);
/* softmax, p and bound (rows, cols), bound may be NULL; and argmax, of rows of c->out columns. */
OCLIN_API void oclin_ref_softmax(const struct oclin_ref_case *c, const float *y, double *p, double *bound);
OCLIN_API void oclin_ref_argmax(const struct oclin_ref_case *c, const float *t, int32_t *indices);
/* With the options of the cross-entropies; class_weights (cols), or NULL. */
OCLIN_API void oclin_ref_weighted_cross_entropy(const struct oclin_ref_case *c, const float *y,
                                                const int32_t *labels, const float *class_weights,
                                                float label_smoothing, int64_t ignore_index,
                                                oclin_reduction reduction, float scale, double *loss,
                                                double *loss_bound, double *dy, double *bound,
                                                int64_t *correct);
OCLIN_API void oclin_ref_soft_cross_entropy(const struct oclin_ref_case *c, const float *y, const float *t,
                                            const float *class_weights, float label_smoothing,
                                            oclin_reduction reduction, float scale, double *loss,
                                            double *loss_bound, double *dy, double *bound);
OCLIN_API void oclin_ref_l1(const struct oclin_ref_case *c, const float *y, const float *t,
                            oclin_reduction reduction, float scale, double *loss, double *loss_bound,
                            double *dy, double *bound);
OCLIN_API void oclin_ref_huber(const struct oclin_ref_case *c, const float *y, const float *t, float delta,
                               oclin_reduction reduction, float scale, double *loss, double *loss_bound,
                               double *dy, double *bound);
/* pos_weight (cols), or NULL. */
OCLIN_API void oclin_ref_bce(const struct oclin_ref_case *c, const float *y, const float *t,
                             const float *pos_weight, oclin_reduction reduction, float scale, double *loss,
                             double *loss_bound, double *dy, double *bound);
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

/* Tells what oclin_tune() does at the moment. It is borrowed, with its strings, for the time of the call. A
 * newer library may have more behind `reserved`; `size` tells. */
struct oclin_tune_progress {
    size_t size;
    oclin_tune_event event;
    /* "forward", "grad_x" (3), "grad_w" (1) (2), or "backward": all of it, where one pass over W may be
     * faster */
    const char *product;
    /* a plan as OCLIN_PLAN names it; "default": oclin's own choice; of backward "one-pass" or
     * "two-products" */
    const char *plan;
    const char *why; /* OCLIN_TUNE_SKIPPED: one sentence; else "" */
    int64_t in, out, batch;
    double seconds;         /* a run of the product with this plan, the median; 0: not timed */
    double default_seconds; /* the same with the default plan */
    double gain;            /* default_seconds / seconds; 1 where one of them is 0 */
    double seconds_left;    /* of the budget; below 0: exceeded */
    int64_t reserved[4];    /* zero */
};

/* Returns 0 to go on; anything else ends the tuning. The thread that called oclin_tune() calls it. It must
 * not call oclin on that context. */
typedef int (*oclin_tune_progress_fn)(void *user, const struct oclin_tune_progress *progress);

/**
 * Measures which plan is best on the context's device for each product of a layer from `in` to `out` features
 * with a batch of exactly `batch` samples. From then on this context uses those plans for all its layers of
 * that shape, whatever their activation (the measurements are made without one).
 *
 * A plan is measured only after its result, for random numbers in [-0.5, 0.5), was compared with the
 * reference: samples of rows and columns must be within their bounds, and no element may be NaN or Inf. It
 * takes the place of the default when its median is more than 3 % faster and it was the faster one in most of
 * the rounds. A default whose result is wrong gives way to the fastest plan that is right.
 *
 * budget_seconds  finite and above 0; compiling counts. When it is used up, no other plan is begun. What was
 *                 measured so far counts, and a product without enough timings stays as it was: a line of the
 *                 log then begins with "tuning: too little time for", names the products and says how much
 *                 would do. One plan's compilation and two of its runs may exceed it.
 * progress, user  hears about each plan; NULL: nobody does
 *
 * The winners also go to a file in the cache folder (cache_dir, OCLIN_CACHE_DIR), beside what other shapes
 * have there. There is one file for each platform, device, driver and version of oclin, and contexts that are
 * made later without a named plan begin with it. A line of the log says if it cannot be written. With
 * replaced kernels (cl_dir) it is neither read nor written. Delete the file to forget what was found.
 *
 * The call waits for the device, before and afterwards. It works on tensors, kernels and scratch memory of
 * its own, twice the size of W and of x, y, dx and dy, which are gone when it returns; results of earlier
 * calls are not touched. A winner may need more scratch memory than oclin_layer_reserve() took before:
 * reserve afterwards.
 *
 * OCLIN_E_ARG     ctx is NULL, or the budget is not finite or not above 0
 * OCLIN_E_SHAPE   in, out or batch is below 1, or sizes overflow or exceed the device's largest allocation
 * OCLIN_E_STATE   a plan is named, so that there is nothing to choose; or progress ended the tuning (products
 *                 that were chosen before that stay chosen)
 * OCLIN_E_VERIFY, OCLIN_E_BUILD, OCLIN_E_DEVICE
 *                 no plan of some product is right, or none runs
 * OCLIN_E_MEMORY
 * OCLIN_E_CL
 */
OCLIN_API oclin_status oclin_tune(oclin_context *ctx, int64_t in, int64_t out, int64_t batch,
                                  double budget_seconds, oclin_tune_progress_fn progress, void *user);

/* ------------------------------------------------------------------------------------------ self-check */

/**
 * Runs every operation on small shapes on the context's device and compares the results with the reference.
 * It answers the question "is my driver right?". It runs every tile that oclin (or the plan that is named)
 * may choose on this device, and every activation in every product. It does not run every activation with
 * every tile, because that would be many more kernels to compile. (OCLIN_VERIFY=1 checks exactly those that
 * your program uses.) The call waits for the device. It uses tensors of its own, and scratch memory of the
 * context.
 *
 * Nearly all of its time is compiling: some 95 kernels, those of the rules of optimizers among them. The rest
 * is the reference, on sizes that come from the plans' tiles, so that each plan is checked where its parts
 * meet: on a CPU with vectors of 16 floats some 25 million multiplications of each product, with 4 or 8 half
 * of that. With PoCL 3.1 and vectors of 16 floats it takes about 7 s of CPU time where oclin's cache has the
 * kernels from an earlier run, and three minutes the first time.
 *
 * worst  receives the largest error seen, in units of its bound (at most 1 when all is well); may be NULL
 *
 * A tile that the driver cannot build is passed over, as it is when oclin chooses.
 *
 * OCLIN_E_VERIFY  some result is wrong; oclin_context_error() says which operation, which element and both
 *                 values, then shape, activation and plan
 * OCLIN_E_ARG     ctx is NULL
 * and any error of the operations themselves: OCLIN_E_CL when the device is lost.
 */
OCLIN_API oclin_status oclin_self_check(oclin_context *ctx, double *worst);

#ifdef __cplusplus
}
#endif
#endif /* OCLIN_H */
