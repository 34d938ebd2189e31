/*
 * A bench for one fault at a time: a layer, its tensors and a saved state; a scenario is one call of the
 * library with what comes before it. try_fault() lets the nth call of OpenCL, for memory or for a file inside
 * it fail, and then looks whether what oclin promises holds:
 *
 *   said        a status of the header's, a sentence, the same in the log, and OpenCL's code; or the failure
 *               may be ignored, for a reason that stands in a list, and all results are right
 *   nothing     no handle is there after a failed creation, no object and no memory is kept
 *   unchanged   every tensor holds what it did before; only what the call writes may be new or unspecified
 *   refused     what is unspecified cannot be read, and no operation goes on with it
 *   heals       after what the header asks for (write, zero_grad) the same call works, with the same bits
 *
 * Numbers are small integers, so that another plan, taken because the first one failed, gives the same bits.
 */
#ifndef OCLIN_TESTS_FAULT_BENCH_H
#define OCLIN_TESTS_FAULT_BENCH_H

#include "support.h"

#include "faults.h"

/* The bench's tensors; from W on they are the layer's. */
/* STATE_W and STATE_B are the optimizer's state, where a scenario has one. */
enum { X, Y, DY, DX, T, LABELS, LOSS, CORRECT, STATE_W, STATE_B, W, B, DW, DB, TENSORS };
#define BIT(tensor) (1u << (tensor))

/* How a scenario's context and call are special. */
enum {
    VERIFY = 1,       /* the context checks each operation */
    CACHE = 2,        /* it has a cache folder */
    OTHER_TEXT = 4,   /* and one with kernel texts */
    NO_CONTEXT = 8,   /* the call needs none */
    ANY_PLAN = 16,    /* what fails may be replaced by another plan */
    COLD_ONLY = 32,   /* it is another call the second time */
    LOSES_ALL = 64,   /* a failure of the call concerns all that was written since the last finish */
    LARGE = 128,      /* large enough for packing */
    REPEATS = 256,    /* its first thousand calls have all that the others have */
    HAS_REASON = 512, /* the call creates a context, and has its sentence written to `reason` */
    MAKES_LAYER = 1024,
    LONG_SUMS = 2048, /* longer than a tile of simt, so that they can be split */
    MAKES_OPTIMIZER = 4096,
    MAKES_NETWORK = 16384,
    OPTIMIZES = 8192 /* an optimizer with momentum has the layer, and has made two steps */
};

enum { STEPS_BEFORE = 2 };

struct bench;
struct scenario {
    const char *name;
    const char *promise; /* in words: what holds after a fault in the call, as the checks above see it */
    const char *covers;  /* public functions that may fail in it, one blank after each; NULL: none new */
    oclin_status (*call)(struct bench *b);
    void (*prepare)(struct bench *b); /* calls that come before; NULL: none */
    unsigned overwrites, updates;     /* tensors that the call writes; that it changes */
    unsigned how;
    oclin_activation activation;
    const char *plan; /* NULL: "plain" */
};

struct bench {
    const struct scenario *s;
    oclin_context *ctx;
    oclin_layer *layer;
    oclin_saved *saved;
    oclin_optimizer *optimizer;
    oclin_tensor *own[W]; /* those that are no parameters */
    oclin_tensor *view;   /* columns of x */
    int64_t batch, in, out;
    cl_mem buffer, part;  /* the caller's */
    int fresh;            /* or anything may have happened to all tensors */
    int64_t steps_before; /* of the optimizer, when the call comes */
    cl_event event;
    /* what calls make */
    oclin_context *made_ctx;
    oclin_tensor *made;
    oclin_layer *made_layer, *made_other;
    oclin_tensor *made_parts[3];
    oclin_saved *made_saved;
    oclin_network *made_network;
    oclin_optimizer *made_optimizer;
    cl_event made_event;
};

/* A bench with a context of its own, on which nothing has run: kernels are not built, memory is not taken. */
struct bench *make_bench(const struct scenario *s);
void free_bench(struct bench *b);
/* Tensors get the numbers that a scenario begins with, and what comes before the call is done. */
void set_up(struct bench *b);
/* What the call has made goes. */
void undo(struct bench *b);

/* Options of the contexts of a scenario. */
struct oclin_context_options options_of(const struct scenario *s);
/* What tensor `which` holds at the beginning (TENSORS: something else), as n elements. */
void data_of(int which, int64_t n, void *to);
/* Reads go to here, writes come from here. */
extern float fault_host[];

/* What contexts say. */
extern struct fault_talk {
    char last_line[700];
    char reason[512];   /* of a failed creation of a context */
    int failures_heard; /* lines that tell of one */
    int only_failures;  /* are kept as the last line */
} talk;
void fault_log(void *user, const char *line);

/* All tensors of the bench, read. remember_before() and _after() are what results are compared with:
 * before the call, and after one without a fault. */
void remember_before(struct bench *b);
void remember_after(struct bench *b);
void look_now(struct bench *b);
/* This tensor gets again what it held before. */
void write_before(struct bench *b, int which);

/* What look_now() saw is as it was before, or as a failed call with this status may leave it; `text` says
 * where we are. */
void check_kept(struct bench *b, oclin_status status, const char *text);
/* No tensor has changed, whatever the call failed with. */
void check_all_unchanged(struct bench *b, const char *text);
/* All results are those of a call without a fault. */
void check_results(struct bench *b, const char *text);
/* The status, the sentence, the log and OpenCL's code are those for this failure. */
void check_said(const struct bench *b, oclin_status status, const char *call, cl_int code, const char *text);

/* Whether a failure of this call may pass without a status here. Noted: at the end each reason must have
 * been needed. */
int may_be_ignored(const struct bench *b, const char *call);
/* How many of the reasons were not; each is printed. */
int count_unneeded_reasons(void);

/* The device is gone with this code. */
int is_loss(cl_int code);
/* A command, or what belongs to one: there is no way back. */
int is_command(const char *call);
int begins(const char *text, const char *with);

/* "write: clEnqueueWriteBuffer, call 3, error -5", for messages, and what is promised. */
void name_point(const struct bench *b, char *text, size_t size, const char *call, int64_t n, cl_int code,
                enum fault_how how);
enum { POINT_BYTES = 500 };

/* Fails the nth call inside the scenario's call, with all the checks. */
enum tried { NO_SUCH_CALL, SURVIVED, CONTEXT_LOST };
enum tried try_fault(struct bench *b, int64_t n, cl_int code, enum fault_how how);

/* Counted; end_benches() tells them. */
extern struct fault_points {
    int64_t tried, survived;
} points;

/* Objects alive. */
struct count {
    int64_t alive[ALIVE_KINDS];
};
struct count count_alive(void);
/* As many as there were; while a context lives it may have built more kernels than without faults, and
 * keeps them. */
void check_alive(const struct scenario *s, const char *when, const struct count *was, int at_end);

/* Codes of failures: the first PASSING pass, after the others the device is lost. */
enum { PASSING = 3, CODES = 5 };
extern const cl_int fault_codes[CODES];

/* OCLIN_FAULTS=all: every point with every code. */
int all_codes(void);

/* Around all tests of a program: a context whose OpenCL handles all others are made around (kernels built
 * once are kept for it), and a folder with a kernel text. Runs the list, and says how many points were
 * tried. */
void begin_benches(void);
int run_benches(const char *group, struct test_list *list, int argc, char **argv);

#endif
