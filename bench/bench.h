/*
 * oclin_bench: how long oclin's operations take beside those of other libraries, in one process and in turn.
 * What is measured, and the rules, stand in README.md. Letters as in oclin.h: X (batch, in), W (out, in), ...
 */
#ifndef BENCH_H
#define BENCH_H

#include <oclin.h>

#define CL_TARGET_OPENCL_VERSION 120
#ifdef __APPLE__
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif

#include <stdint.h>
#include <stdio.h>

enum { MAX_SETS = 8, MAX_PEERS = 5, MAX_RUNS = 101, SENTENCE = 512 };

/* What a library is asked for. READ and UPDATE are the bench's own: plain passes over as many bytes as W has. */
enum op { FORWARD, INFER, DW, DX, STEP, FUSED_STEP, OP_COUNT, READ = OP_COUNT, UPDATE };

enum regime { TINY, SKINNY, SQUARE, DEEP, RAGGED, REGIME_COUNT };

struct shape {
    enum regime regime;
    int64_t batch, in, out;
};

/* ----------------------------------------------------------------------------------------------- options.c */

struct options {
    const char *shapes; /* a file, or */
    struct shape shape; /* one shape; batch 0: not given */
    int op[OP_COUNT];   /* which are wanted */
    int peers;
    const char *peer[MAX_PEERS]; /* names, in the order of the columns */
    int runs;
    const char *csv, *plan;
    int64_t rotate_bytes;
    int cold; /* W rotates, too */
};

extern const char *const op_name[OP_COUNT];

/* Returns -1 to go on, or the status to exit with: 0 after --help, 2 after a complaint. */
int options_parse(struct options *o, int argc, char **argv);

/* ------------------------------------------------------------------------------------------------ shapes.c */

extern const char *const regime_name[REGIME_COUNT];

/* Reads lines `batch,in,out` or `regime,batch,in,out`; # begins a comment. The caller frees *list. Returns the number of
 * shapes; -1 after a complaint. */
int shapes_read(const char *path, struct shape **list);
/* "B,I,O"; 0 when it is none. */
int shape_parse(const char *text, struct shape *s);

/* ----------------------------------------------------------------------------------------------- problem.c */

/* The numbers of one shape, the same for all libraries. */
struct problem {
    struct shape shape;
    int sets;   /* of activations: call i uses set i % sets */
    int w_sets; /* 1, or as many as sets */
    float *x[MAX_SETS], *dy[MAX_SETS], *w, *b;
};

int64_t x_count(const struct shape *s); /* elements of X and dX, of Y and dY, of W and dW */
int64_t y_count(const struct shape *s);
int64_t w_count(const struct shape *s);

/* 0 when memory runs out. */
int problem_make(struct problem *p, const struct shape *s, int64_t rotate_bytes, int cold);
void problem_free(struct problem *p);

/* Memory as BLAS libraries like it; NULL when there is none. free() gives it back. */
float *floats(int64_t n);

/* ----------------------------------------------------------------------------------------------- libraries */

enum result { RESULT_Y, RESULT_DX, RESULT_DW, RESULT_W };

/* One library, oclin among them. Every function that can fail returns NULL, or a sentence. */
struct library {
    const char *name;
    int adds_bias;
    int runs;        /* no more than these many timings; 0: as many as are asked for */
    double rounding; /* of the operands of a product, relative; 0: none */
    /* Why it cannot be used here, or NULL. Only of libraries that are opened at run time. */
    const char *(*missing)(void);
    /* Name and version, for the head of the table. */
    void (*version)(char *text, size_t size);
    /* Own copies of the problem's numbers. ctx: on whose device OpenCL libraries run. *state also after a failure. */
    const char *(*open)(void **state, const struct problem *p, oclin_context *ctx);
    void (*close)(void *state);
    /* W and b as in the problem again, gradients cleared. */
    const char *(*reset)(void *state);
    const char *(*enqueue)(void *state, enum op op, int set, float lr);
    const char *(*finish)(void *state);
    /* A result of set `set`, dense. */
    const char *(*fetch)(void *state, enum result what, int set, float *host);
};

extern const struct library library_oclin, library_ceiling, library_openblas, library_clblast, library_onednn,
    library_cublas, library_cublas_tf32;

/* A peer by its name. NULL when it is missing, and *why says so. */
const struct library *peer_find(const char *name, const char **why);
/* Every name that --peers knows, ended by NULL. */
extern const char *const peer_names[];

/* Keeps a sentence with a status in it; for the functions above. */
#if defined(__GNUC__)
__attribute__((format(printf, 1, 2)))
#endif
const char *
sentence(const char *format, ...);

/* ----------------------------------------------------------------------------------------------- ceiling.c */

/* The rate of a kernel that does nothing but fused multiply-adds in registers, GFLOP/s. */
const char *fma_peak(oclin_context *ctx, double *gflops);

/* ------------------------------------------------------------------------------------------------- check.c */

/* Runs the operation once and compares what it wrote with sums in double: all of it for small shapes, a sample
 * for large ones. NULL, or a sentence on the first element that is off by more than its bound. */
const char *check(const struct library *library, void *state, const struct problem *p, enum op op);

/* ------------------------------------------------------------------------------------------------ timing.c */

/* One library's operation while it is being timed. */
struct timing {
    const struct library *library;
    void *state;
    enum op op;
    int sets;
    int64_t calls; /* in one timing */
    int done;
    double ms[MAX_RUNS];
};

/* Times all in turn, `runs` times. NULL, or a sentence. */
const char *time_in_turn(struct timing *all, int count, int runs);
double now_ms(void);
double median(const double *values, int n);
double smallest(const double *values, int n);
double largest(const double *values, int n);

/* -------------------------------------------------------------------------------------------------- busy.c */

/* What ran on the machine's cores up to a moment, seconds. */
struct busy {
    double at, all, own;
};
struct busy busy_now(void);
/* Cores that other programs (or other machines on the same host) took since then: 0.5 is half a core. -1 where the system
 * does not say. */
double busy_others(const struct busy *since);

/* ------------------------------------------------------------------------------------------------- table.c */

/* One line of the table. Times in ms; 0: not measured. */
struct row {
    enum op op;
    struct shape shape;
    double oclin, oclin_min, oclin_max, peer[MAX_PEERS], read, update;
    double others;    /* cores that other programs used meanwhile; -1: not known */
    char checked[64]; /* "yes", or who was wrong */
};

/* The largest rates that anything reached in this run. */
struct peaks {
    double gflops;
    const char *by;
};

double row_gflop(const struct row *r);
/* What the operation has to move at least, bytes. */
double row_bytes(const struct row *r);
/* Takes the row's rates into account. */
void peaks_see(struct peaks *peaks, const struct row *r, const struct options *o);

void table_head(const struct options *o);
void table_row(const struct row *r, const struct options *o);
void table_summary(const struct row *rows, int count, const struct peaks *peaks, const struct options *o);
/* 0 after a complaint. */
int csv_write(const char *path, const struct row *rows, int count, const struct peaks *peaks,
              const struct options *o);

#endif
