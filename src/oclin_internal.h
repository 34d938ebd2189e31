/*
 * What the source files of oclin share: the handles, the error record, and the few functions that cross
 * files.
 *
 *     layer.c, loss.c -> product.c -> plan.c, program.c -> cache.c, device.c
 *     tensor.c and context.c serve all of them; verify.c checks results when asked to; tune.c measures plans for
 *     plan.c, which finds them in the table of tune_table.c
 */
#ifndef OCLIN_INTERNAL_H
#define OCLIN_INTERNAL_H

#include "oclin.h"
#include "oclin_opencl.h"
#include "oclin_tile.h"

#include <stdio.h>

/* Returns a failure up unchanged: the sentence is already in the context. */
#define OCLIN_TRY(expression)                      \
    do {                                           \
        const oclin_status status_ = (expression); \
        if (status_ != OCLIN_OK) return status_;   \
    } while (0)

/* The compiler compares the arguments with the format. On MinGW it does so in the GNU way: plain "printf"
 * there means Microsoft's, which knows no %zu, but a program in C11 gets MinGW's own, which does. */
#if defined(__MINGW32__) && !defined(__clang__)
#define OCLIN_PRINTF(format_at, first_at) __attribute__((format(gnu_printf, format_at, first_at)))
#elif defined(__GNUC__)
#define OCLIN_PRINTF(format_at, first_at) __attribute__((format(printf, format_at, first_at)))
#else
#define OCLIN_PRINTF(format_at, first_at)
#endif

static inline int64_t oclin_ceil_divide(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static inline int64_t oclin_round_up(int64_t a, int64_t to)
{
    return oclin_ceil_divide(a, to) * to;
}

static inline int64_t oclin_least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* ------------------------------------------------------------------------------------------- device.c */

/* What plans are made from. */
struct oclin_device_facts {
    struct oclin_device_info info;
    int64_t max_items; /* work-items along the first dimension of a group */
    int denormals;     /* float32 keeps them */
    int truncates;     /* it does not round to nearest */
    int64_t wave;      /* work-items that run in step, where the driver tells (NVIDIA, AMD); 0 elsewhere */
    int64_t sub_group; /* the narrowest sub-group that a kernel can require; 0: it cannot */
    int64_t cache;  /* bytes of its largest cache, as far as the driver tells: some name the second largest */
    int prefetches; /* its compiler is known to make __builtin_prefetch() an instruction */
    int queues; /* its groups are known to run on threads, and its compiler to have __sync_synchronize() */
    int mixes_contexts; /* it mistakes kernels of one context for those of another with the same text */
    char platform_version[128];
};

/* Whether oclin can use it at all; if not, *why is set to the reason. */
int oclin_device_usable(cl_device_id device, const char **why);
void oclin_device_facts_read(cl_device_id device, struct oclin_device_facts *facts);
/* Picks the device that options and environment name, or sets *why to one sentence. */
oclin_status oclin_device_pick(const struct oclin_context_options *options, cl_device_id *device, char *why,
                               size_t why_size);

/* --------------------------------------------------------------------------------------------- plan.c */

enum oclin_family { OCLIN_PLAIN, OCLIN_SIMT, OCLIN_SIMD, OCLIN_SKINNY, OCLIN_FAMILY_COUNT };

/* The one set of numbers that becomes the build options of a kernel and the NDRange of its launches; see
 * oclin_tile.h. */
struct oclin_tile {
    int family;
    int vl;                     /* lanes of `real` */
    int group;                  /* work-items in a work-group */
    int tile_m, tile_n, tile_k; /* results of a group, depth of its panels; the largest ones for simd */
    int item_m,
        item_n;    /* results of a work-item (simt), register tile (simd), elements an item (row kernels) */
    int aligned;   /* rows of all operands start at multiples of 16 bytes */
    int unroll_k;  /* simt: steps of a panel's depth that the compiler unrolls */
    int peel;      /* simt: the last tile is multiplied behind the loop over tiles */
    int sub_group; /* simt: the width of sub-groups that Intel's compiler is told to use; 0: its own choice */
    int stage;     /* simd: OCLIN_STAGE_... */
    int prefetch;  /* simd, skinny: memory is asked for what comes next */
    int queue;     /* simd, skinny: groups, one a core, take the parts of the work from a queue */
};

struct oclin_plan {
    struct oclin_tile tile;
    int block_m, block_n, block_k; /* simd: the part of the tile in use */
    int64_t groups;
    int64_t packed_a,
        packed_b;    /* simd: floats of scratch memory that A and B are packed into, where groups share it */
    int64_t slice_k; /* of k: what one launch adds up */
    int64_t chunk;   /* forward_skinny, losses: elements whose sum joins the others */
};

/* The plan that options or OCLIN_PLAN ask for; empty: oclin chooses. */
struct oclin_plan_choice {
    char name[32];
};

/* Of a layer and its batch. */
struct oclin_shape {
    int64_t batch, in, out;
};

struct oclin_product;

/* Whether `name` is a plan, and whether the device can run it. */
oclin_status oclin_plan_choose(oclin_context *ctx, const char *name);
/* The attempt-th choice for a product, best first; 0 when there is none left. */
int oclin_plan_product(const oclin_context *ctx, const struct oclin_product *p, int attempt,
                       struct oclin_plan *plan);
/* Whether grad_x and grad_w run as one kernel; p has the sizes of grad_x. */
int oclin_plan_one_pass(const oclin_context *ctx, const struct oclin_product *p);
/* The launch that packs A and B into scratch memory for the product planned in `product`. */
void oclin_plan_packing(const struct oclin_product *p, const struct oclin_plan *product,
                        struct oclin_plan *plan);
/* Bytes of scratch memory that this plan takes, and the float in it where the sums of slices begin. */
int64_t oclin_plan_scratch_bytes(const struct oclin_product *p, const struct oclin_plan *plan);
int64_t oclin_plan_slices_at(const struct oclin_plan *plan);
/* Bytes of scratch memory that the product, or one of smaller m, n and k, may ask for. */
int64_t oclin_plan_scratch(const oclin_context *ctx, const struct oclin_product *p);
/* For kernels that go over rows x cols elements one by one (step, fill). max_group: work-items, halved by the
 * caller until the built kernel fits. */
enum { OCLIN_LARGEST_GROUP = 64 };
void oclin_plan_elements(const oclin_context *ctx, int64_t rows, int64_t cols, int aligned, int max_group,
                         struct oclin_plan *plan);
/* For kernels with one work-group a row (losses). */
void oclin_plan_rows(const oclin_context *ctx, int64_t rows, int64_t cols, int max_group,
                     struct oclin_plan *plan);

enum oclin_kernel_id {
    OCLIN_KERNEL_FORWARD,
    OCLIN_KERNEL_GRAD_X,
    OCLIN_KERNEL_GRAD_W,
    OCLIN_KERNEL_GRADS, /* (1), (2) and (3) in one pass over W */
    OCLIN_KERNEL_STEP,
    OCLIN_KERNEL_FILL,
    OCLIN_KERNEL_MSE,
    OCLIN_KERNEL_CROSS_ENTROPY,
    OCLIN_KERNEL_SUM_ROWS
};

/* A product of this shape, without operands. */
struct oclin_product oclin_plan_shaped(enum oclin_kernel_id id, struct oclin_shape shape);
/* The plans that oclin_tune() compares, the default "" first; their number, 0: there is no choice.
 * OCLIN_KERNEL_GRADS stands for backward as a whole: one pass or two products. */
enum { OCLIN_MOST_CANDIDATES = 16 };
int oclin_plan_candidates(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape,
                          const char *names[OCLIN_MOST_CANDIDATES]);
/* The plan for each run of oclin_self_check(): OCLIN_CHECK_RUNS in each of two rounds. Those of a round use
 * every tile that oclin, or the plan that is asked for, may choose for it, but for one that differs only in
 * asking memory ahead (a dW whose X no cache holds). Borrowed. */
enum { OCLIN_CHECK_ROUNDS = 2, OCLIN_CHECK_RUNS = 5 };
const char *oclin_plan_to_check(const oclin_context *ctx, int round, int run);
/* The largest part of a product that the plan of this name handles at once: rows of A, columns of B, and
 * depth. A product with more of each goes through every place where parts meet. */
struct oclin_part {
    int64_t m, n, k;
};
struct oclin_part oclin_plan_part(const oclin_context *ctx, const char *name);
/* Whether a tuning file may name this plan: it is known, and the device can run it. */
int oclin_plan_tunable(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape,
                       const char *name);

/* --------------------------------------------------------------------------------------- additions.c */

/* Set block_k, slice_k, chunk or block_m of a plan whose tile is chosen, so that no term of a sum of k (of a
 * row of cols) is rounded more often than said at oclin_layer_additions(). depth: the largest block that
 * caches hold. */
void oclin_cut_plain(struct oclin_plan *plan, int64_t k);
void oclin_cut_simd(struct oclin_plan *plan, int64_t k, int64_t depth);
void oclin_cut_simt(struct oclin_plan *plan, int64_t k);
void oclin_cut_skinny(struct oclin_plan *plan, int64_t k, int64_t depth);
void oclin_cut_grads(struct oclin_plan *plan, int64_t k);
void oclin_cut_row(struct oclin_plan *plan, int64_t cols);
/* No smaller k is cut into longer slices. */
int64_t oclin_longest_slice(const struct oclin_plan *plan, int64_t k);
/* Launches of a product. Where there is more than one, the sums of those so far stand in what forward keeps
 * as Z, or in what is to become C; in scratch memory, m rows of this stride, for dW, which may be added to or
 * updated once its sum is whole, and for a C that kernels may not read. */
int64_t oclin_slices(const struct oclin_plan *plan, int64_t k);
int oclin_slices_need_scratch(const struct oclin_product *p);
int64_t oclin_slices_stride(int64_t n);
/* The most roundings that a term passes from its product to the finished sum, without what the epilogue does:
 * in C, or in the sums of A (db; of OCLIN_KERNEL_GRADS dW as well, whose sum is as long); in the loss of one
 * row. */
enum oclin_sum { OCLIN_SUM_OF_PRODUCTS, OCLIN_SUM_OF_A };
int64_t oclin_additions(const struct oclin_product *p, const struct oclin_plan *plan, enum oclin_sum sum);
int64_t oclin_additions_of_row(const struct oclin_plan *plan, int64_t cols);

/* -------------------------------------------------------------------------------------- tune_table.c */

/* What oclin_tune() found for one product of one shape. */
struct oclin_tuned {
    enum oclin_kernel_id id; /* one of the first four */
    struct oclin_shape shape;
    char plan[32];       /* empty: the default */
    int64_t ns, plan_ns; /* of the default (0: it did not work) and of the plan, for readers of the file */
};

struct oclin_tuning {
    struct oclin_tuned *entries;
    int count;
};

/* "forward", "grad_x", "grad_w"; "backward" for OCLIN_KERNEL_GRADS. */
const char *oclin_tuned_name(enum oclin_kernel_id id);
const struct oclin_tuned *oclin_tuning_find(const struct oclin_tuning *tuning, enum oclin_kernel_id id,
                                            struct oclin_shape shape);
/* Adds an entry, or replaces the one for its product and shape. 0: no memory. */
int oclin_tuning_put(struct oclin_tuning *tuning, const struct oclin_tuned *tuned);
void oclin_tuning_free(struct oclin_tuning *tuning);
/* The context's table from the file of its device, where there is one; and the file with these entries added.
 * Failures are lines of the log. */
void oclin_tuning_load(oclin_context *ctx);
void oclin_tuning_store(oclin_context *ctx, const struct oclin_tuning *fresh);

/* ------------------------------------------------------------------------------------------ program.c */

struct oclin_program; /* one built kernel of the context's list */

/* The kernel for these numbers, built when it is first needed. Borrowed; NULL (with OCLIN_OK) when the device
 * cannot run it with this work-group: the caller then tries a smaller one. */
oclin_status oclin_program_kernel(oclin_context *ctx, enum oclin_kernel_id id, const struct oclin_tile *tile,
                                  oclin_activation activation, cl_kernel *kernel);
int oclin_same_tile(const struct oclin_tile *a, const struct oclin_tile *b);
/* The kernel was enqueued; and: all that was enqueued so far has run, which is when binaries are written to
 * the disk. */
void oclin_program_ran(oclin_context *ctx, cl_kernel kernel);
void oclin_program_store_all(oclin_context *ctx);
void oclin_program_free_all(oclin_context *ctx);
/* What such a kernel is built from: its name, its text (to be freed) and the options. No device is needed. */
enum { OCLIN_KERNEL_NAME_SIZE = 64, OCLIN_OPTIONS_SIZE = 512 };
oclin_status oclin_program_source(oclin_context *ctx, enum oclin_kernel_id id, const struct oclin_tile *tile,
                                  oclin_activation activation, char name[OCLIN_KERNEL_NAME_SIZE], char **text,
                                  char options[OCLIN_OPTIONS_SIZE]);

/* Embedded kernel text, written by cmake/embed.cmake. */
struct oclin_cl_file {
    const char *name, *text;
};
extern const struct oclin_cl_file oclin_cl_files[];
extern const size_t oclin_cl_file_count;

/* -------------------------------------------------------------------------------------------- cache.c */

/* Files in ctx->cache_dir. No failure is an error for the caller: the log says why, and the call gives NULL
 * or 0. */

/* A whole file of at most `most` bytes, with a 0 behind; allocated. Not one that somebody else may have
 * written. */
unsigned char *oclin_cache_read(oclin_context *ctx, const char *name, size_t most, size_t *size);
/* Takes the place of a file of that name at once: readers see the old one or the new one. */
int oclin_cache_write(oclin_context *ctx, const char *name, const void *bytes, size_t count);
/* Whether something can be stored now; makes the folder. To be asked before work that is for storing alone.
 */
int oclin_cache_ready(oclin_context *ctx);
/* FNV-1a, 64 bits. */
uint64_t oclin_cache_hash(const void *bytes, size_t count);
/* Records: data under a key, which is compared whole. `what` becomes part of the file's name. */
unsigned char *oclin_cache_load(oclin_context *ctx, const char *what, const void *key, size_t key_size,
                                size_t *size);
int oclin_cache_store(oclin_context *ctx, const char *what, const void *key, size_t key_size,
                      const void *data, size_t size);

/* ---------------------------------------------------------------------------------------- intervals.c */

/* The numbers from `from` up to `to`, which is not one of them; a member of what it stands for. */
struct oclin_interval {
    int64_t from, to;
    /* the tree's own */
    int64_t reach;
    uint64_t rank;
    struct oclin_interval *left, *right;
};

/* {0} is empty. Adding, removing and each step of a search take logarithmic time. */
struct oclin_intervals {
    struct oclin_interval *root;
    uint64_t added;
};

void oclin_intervals_add(struct oclin_intervals *all, struct oclin_interval *node);
void oclin_intervals_remove(struct oclin_intervals *all, struct oclin_interval *node);
/* The first one behind `after` (NULL: of all) in the order of their starts that ends behind `from` and
 * begins before `to`; NULL: there is none. */
struct oclin_interval *oclin_intervals_next(const struct oclin_intervals *all, int64_t from, int64_t to,
                                            const struct oclin_interval *after);

/* ------------------------------------------------------------------------------------------ context.c */

struct oclin_storage;

struct oclin_context {
    int64_t references; /* the caller's, and one for every tensor storage, layer and saved state */
    long process;       /* that made it: a forked child must not use it */
    int lost;           /* the device is gone: terminal */
    int number;         /* no other living context has it; -1: none, where contexts are not mixed up */
    int in_flight;      /* a kernel was launched, and not waited for */
    cl_context cl;
    cl_command_queue queue;
    cl_device_id retained; /* the caller's device */
    struct oclin_device_facts device;
    struct oclin_plan_choice plan;
    struct oclin_tuning tuning; /* asked where no plan is forced */
    char *cl_dir;
    char *cache_dir;     /* NULL: nothing is cached */
    int cache_refused;   /* others may write to it: it is neither read nor written to */
    int cache_read_only; /* it could not be written to: not tried again */
    int cache_tidied;    /* old temporary files were removed */
    oclin_log_fn log;
    void *log_user;
    char error[512];
    cl_int cl_error;
    char *build_log;
    struct oclin_program *programs;
    int unstored;   /* programs that were built, and are not on the disk yet */
    cl_mem tickets; /* the counters of queues, all 0 between launches; NULL where the device does not queue */
    cl_mem scratch;
    size_t scratch_bytes;
    struct oclin_intervals storages; /* by the address of the root buffer */
    uint64_t epoch;                  /* grows with every finish; tells which tensors were written since */
    uint64_t layers_made;
    int strict; /* reads of what was never written, and a W that changed before backward, are refused */
    int verify;
    oclin_ref_rule verify_rule; /* proven; of the self-check, whose data are random: random */
    double verify_worst;        /* largest error so far in units of its bound */
    unsigned char *verify_room; /* host memory of the check that goes on */
    size_t verify_room_bytes, verify_room_used;
};

/* oclin_context_create() for a call on the context `caller`, whose failure it then is, with its sentence;
 * NULL: nobody's. */
oclin_status oclin_context_make(oclin_context **ctx, const struct oclin_context_options *options,
                                oclin_context *caller);
/* Begins a public call: clears the error record, refuses after fork and device loss. */
oclin_status oclin_enter(oclin_context *ctx);
/* Clears the error record: a call begins, or has found another way. */
void oclin_forget_error(oclin_context *ctx);
/* Records the sentence and hands the status through. */
OCLIN_PRINTF(3, 4)
oclin_status oclin_fail(oclin_context *ctx, oclin_status status, const char *format, ...);
/* The status and sentence for an OpenCL failure in `call`; allocation failures become OCLIN_E_MEMORY; notices
 * a lost device. */
oclin_status oclin_fail_cl(oclin_context *ctx, cl_int error, const char *call);
/* Whether the code alone says what is wrong, whatever the call was: no memory, or no device any more. */
int oclin_error_says_all(cl_int error);
OCLIN_PRINTF(2, 3)
void oclin_log(const oclin_context *ctx, const char *format, ...);
/* The same for a command that was (or may have been) enqueued: always OCLIN_E_CL; notices a lost device. */
oclin_status oclin_fail_run(oclin_context *ctx, cl_int error, const char *call);
/* A new buffer of a size that the device allows; `what` is for the sentence. It really is there when what
 * `queue` holds now has run. */
oclin_status oclin_device_memory(oclin_context *ctx, cl_command_queue queue, int64_t bytes, const char *what,
                                 cl_mem *mem);
void oclin_context_retain(oclin_context *ctx);
/* Scratch memory of at least so many bytes, valid for the launches up to the next call. */
oclin_status oclin_scratch(oclin_context *ctx, int64_t bytes, const char *user);
/* An event for all that was enqueued so far; and a flush, which takes *event back when it fails (event may be
 * NULL). */
oclin_status oclin_mark(oclin_context *ctx, cl_event *event);
oclin_status oclin_flush(oclin_context *ctx, cl_event *event);

/* Fills `to` (known_size bytes of defaults) from a caller's option struct of any age; see oclin.h on `size`.
 */
oclin_status oclin_options_read(oclin_context *ctx, void *to, size_t known_size, const void *from);

/* ------------------------------------------------------------------------------------------ written.c */

/* rows x cols elements of a piece of memory. */
struct oclin_rectangle {
    int64_t first, rows, cols, stride;
};

/* The elements [from, to). */
struct oclin_piece {
    int64_t from, to;
};

/* Which elements of a piece of memory were ever written. Starts as zeros, and is not moved. */
enum { OCLIN_FEW_PIECES = 4 };
struct oclin_written {
    int all; /* everything counts as written */
    struct oclin_piece *pieces, few[OCLIN_FEW_PIECES];
    int64_t count, capacity;
};

void oclin_written_add(struct oclin_written *w, struct oclin_rectangle t);
/* The first element, counted densely, that was never written; -1: all were. */
int64_t oclin_written_missing(const struct oclin_written *w, struct oclin_rectangle t);
/* Whether any was. */
int oclin_written_any(const struct oclin_written *w, struct oclin_rectangle t);
void oclin_written_free(struct oclin_written *w);

/* ------------------------------------------------------------------------------------------- tensor.c */

struct oclin_tensor {
    struct oclin_interval place; /* first: in storage's tree, elements of the root buffer */
    int64_t references;
    struct oclin_storage *storage;
    cl_mem mem;     /* what kernels are given; NULL without memory (0 rows) */
    int64_t origin; /* of mem within the root buffer, elements */
    int64_t offset, rows, cols, stride;
    oclin_dtype dtype;
    int host_readable, host_writable; /* by copies to and from the host */
    int readable, writable;           /* by kernels, from the flags of a wrapped buffer */
    int base_aligned;                 /* the root buffer starts at a multiple of 16 bytes */
    int aligned;                      /* so does every row of the tensor */
    int cleared;                      /* a gradient that counts as zeros: it is overwritten, not added to */
    int zero_pending;                 /* its zeros are not in memory yet */
    int unspecified;                  /* a call that failed may have left anything in it */
    int all_written;                  /* known: each of its elements was written once */
    uint64_t version;                 /* number of writes to any of its elements */
    uint64_t epoch;                   /* the context's, at the last write */
};

oclin_context *oclin_tensor_context(const oclin_tensor *t);
oclin_tensor *oclin_tensor_retain(oclin_tensor *t);
/* As the public ones without beginning a new call. */
oclin_status oclin_tensor_make(oclin_tensor **tensor, oclin_context *ctx, oclin_dtype dtype, int64_t rows,
                               int64_t cols);
/* The same, with memory that another queue of the cl_context asks for, and may write to before it is empty
 * again. */
oclin_status oclin_tensor_make_by(cl_command_queue queue, oclin_tensor **tensor, oclin_context *ctx,
                                  oclin_dtype dtype, int64_t rows, int64_t cols);
oclin_status oclin_tensor_read_inside(oclin_tensor *t, void *host);
oclin_status oclin_tensor_write_inside(oclin_tensor *t, const void *host);
/* Whether two tensors share elements, exactly. */
int oclin_tensor_overlap(const oclin_tensor *t, const oclin_tensor *u);
/* An operand's part of the argument checks; `name` is its letter in the sentences. */
oclin_status oclin_tensor_check(oclin_context *ctx, const oclin_tensor *t, const char *name,
                                oclin_dtype dtype, int64_t rows, int64_t cols);
oclin_status oclin_tensor_check_readable(oclin_context *ctx, const oclin_tensor *t, const char *name);
oclin_status oclin_tensor_check_writable(oclin_context *ctx, const oclin_tensor *t, const char *name);
oclin_status oclin_tensor_check_apart(oclin_context *ctx, const oclin_tensor *out, const char *out_name,
                                      const oclin_tensor *other, const char *other_name);
/* Before a kernel reads t, or writes all or part of it: zeros that are only marked, here or in tensors that
 * share elements, reach memory. */
oclin_status oclin_tensor_settle(oclin_tensor *t);
oclin_status oclin_tensor_settle_others(oclin_tensor *t);
/* Whether any of its elements was ever written. */
int oclin_tensor_ever_written(const oclin_tensor *t);
/* After the write of t was enqueued: it and all that share elements with it count as written (or
 * unspecified). */
void oclin_tensor_written(oclin_tensor *t, oclin_status outcome);
/* After a finish that failed: everything written since the last good one is unspecified. */
void oclin_tensors_lose_epoch(oclin_context *ctx);
/* A gradient becomes zeros, by mark alone. */
oclin_status oclin_tensor_clear(oclin_tensor *t);

/* ------------------------------------------------------------------------------------------ product.c */

/* An operand of a product in device memory. mem NULL: not used. */
struct oclin_operand {
    cl_mem mem;
    int64_t offset, stride;
    int aligned, readable;
};

/* C = A B with its epilogue; the roles are listed in cl/common.cl. */
struct oclin_product {
    enum oclin_kernel_id id;
    oclin_activation activation;
    struct oclin_operand a, s, b, c, v, z, x; /* x: grads alone */
    int64_t m, n, k;
    float scale, lr;
    int flags;
    /* filled by oclin_product_prepare */
    struct oclin_plan plan, packing;
    cl_kernel kernel, packing_kernel; /* packing_kernel NULL: one launch */
};

struct oclin_operand oclin_operand_of(const oclin_tensor *t);
/* Decides and builds, so that what can fail before the first launch fails there; then launches. */
oclin_status oclin_product_prepare(oclin_context *ctx, struct oclin_product *p);
oclin_status oclin_product_enqueue(oclin_context *ctx, const struct oclin_product *p);

/* w -= lr dw, element by element; prepared and enqueued apart, as products are. */
struct oclin_step {
    oclin_tensor *w, *dw;
    float lr;
    struct oclin_plan plan;
    cl_kernel kernel;
};
oclin_status oclin_step_prepare(oclin_context *ctx, struct oclin_step *s);
oclin_status oclin_step_enqueue(oclin_context *ctx, const struct oclin_step *s);
oclin_status oclin_fill_enqueue(oclin_context *ctx, const oclin_tensor *t, uint32_t bits);

/* One kernel argument after the other; the first failure is kept. */
struct oclin_arguments {
    cl_kernel kernel;
    cl_uint next;
    cl_int error;
};
void oclin_argument(struct oclin_arguments *arguments, size_t size, const void *value);
void oclin_argument_operand(struct oclin_arguments *arguments, const struct oclin_operand *o,
                            int with_stride);
oclin_status oclin_enqueue(oclin_context *ctx, const struct oclin_arguments *arguments,
                           const struct oclin_plan *plan, const char *what);

/* -------------------------------------------------------------------------------------------- layer.c */

struct oclin_saved {
    oclin_context *ctx;
    uint64_t layer; /* id of the layer that filled it, 0: nobody */
    int64_t batch;
    oclin_tensor *x, *y,
        *z; /* y NULL unless the derivative needs it; z is its own memory, of batch rows or more */
    oclin_tensor
        *larger_z; /* reserved for a batch that z is too small for; takes its place with that forward */
    uint64_t x_version, y_version, w_version;
};

struct oclin_layer {
    oclin_context *ctx;
    uint64_t id;
    int64_t in, out;
    oclin_activation activation;
    oclin_gradient gradient;
    int bias;
    int computed; /* a backward has computed gradients, or one was handed in that is not cleared */
    oclin_tensor *w, *b, *dw, *db; /* dw, db NULL until needed */
    uint64_t dw_version,
        db_version; /* when they came into being: a difference tells that they were written */
    oclin_saved *saved;
};

/* ------------------------------------------------------------------------------------------- random.c */

/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11): four words for a
 * counter and a key. */
void oclin_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t result[4]);
/* n numbers of stream `stream` (0 for W, 1 for b), starting at number `first`, a multiple of 4. */
void oclin_random_fill(uint64_t seed, uint32_t stream, oclin_init init, double limit, uint64_t first,
                       int64_t n, float *out);

/* --------------------------------------------------------------------------------------- self_check.c */

/* The shape of that run of oclin_self_check(), which has the plan oclin_plan_to_check(ctx, round, run). */
struct oclin_shape oclin_self_check_shape(const oclin_context *ctx, int round, int run);

/* ------------------------------------------------------------------------------------------- verify.c */

/* How far got is from want, in units of the bound; above 1 is wrong. NaN and Inf must be met by the same;
 * elsewhere a bound that is not finite makes no claim; NaN makes none about an Inf either. */
double oclin_error_in_bounds(float got, double want, double bound);

/* Takes all the host memory that checking an operation of the layer with so many rows needs, before the
 * operation: its lack must not be found when something has changed. rows: of x, y, and of z, which may have
 * room for more. */
oclin_status oclin_verify_room(oclin_layer *layer, int64_t rows);

/* Copies of what an operation is about to change, in that memory. Each may be NULL. */
struct oclin_before {
    float *w, *b, *dw, *db;
};

struct oclin_backward_call {
    oclin_layer *layer;
    oclin_saved *saved;
    oclin_tensor *dy, *dx;
    int step;
    float lr;
};

/* How many roundings a term of each sum passed, in the kernels that ran. */
struct oclin_roundings {
    int64_t y, dx, dw, db;
};

oclin_status oclin_verify_forward(oclin_layer *layer, oclin_tensor *x, oclin_tensor *y, oclin_tensor *z,
                                  const struct oclin_roundings *roundings);
oclin_status oclin_verify_before(oclin_layer *layer, int64_t rows, struct oclin_before *before);
oclin_status oclin_verify_backward(const struct oclin_backward_call *call, const struct oclin_before *before,
                                   const struct oclin_roundings *roundings);
oclin_status oclin_verify_step(oclin_layer *layer, float lr, const struct oclin_before *before);

struct oclin_loss_call {
    oclin_tensor *y, *target, *loss, *dy, *correct;
    struct oclin_loss_options options;
    float loss_before; /* for accumulate */
    int32_t correct_before;
    int64_t additions; /* in the sum of a row, as it ran */
};
oclin_status oclin_verify_loss_before(struct oclin_loss_call *call);
oclin_status oclin_verify_loss(const struct oclin_loss_call *call);

/* ----------------------------------------------------------------------------------------------- os.c */

long oclin_os_process_id(void);
/* Of a clock that only goes forward. */
double oclin_os_seconds(void);
/* One thread at a time asks the drivers for their devices (device.c says why). This lock, and the one of
 * the numbers, are all that contexts share. */
void oclin_os_lock_scan(void);
void oclin_os_unlock_scan(void);
/* The smallest number that nobody has, until it is given back; OCLIN_NUMBERS, for everybody, where all are
 * taken. Giving back a number that is none does nothing. */
enum { OCLIN_NUMBERS = 64 };
int oclin_os_take_number(void);
void oclin_os_give_number(int number);
/* The user's folder for what can be made again, and /oclin; allocated. NULL: nobody knows. */
char *oclin_os_cache_folder(void);
/* With all above it; whether it is there then and can be written to. */
int oclin_os_make_folder(const char *path);
/* Whether it is a folder. */
int oclin_os_is_folder(const char *path);
/* Why somebody else may have put something into the folder; NULL: nobody did, or it is not there. Static. */
const char *oclin_os_distrust(const char *folder);
/* A regular file, for reading; never waits. NULL: *why says why not (static; errno has the system's
 * number), and is NULL where there is none. only_own: one that somebody else may have written is refused.
 * */
FILE *oclin_os_open(const char *path, int only_own, const char **why);
/* A new file for writing, which only the user can read and write; NULL: errno is EEXIST, or says why not. */
FILE *oclin_os_create(const char *path);
/* Removes the regular files of a folder whose name is meant and which nobody has written to for `age`
 * seconds. */
void oclin_os_remove_old(const char *folder, int (*is_meant)(const char *name), double age);
/* Renames, also over a file that is there, in one step. */
int oclin_os_replace(const char *from, const char *to);

/* a * b, or -1 when it overflows or a factor is negative. */
int64_t oclin_multiply(int64_t a, int64_t b);

#endif
