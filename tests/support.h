/*
 * What all test programs share: data, comparisons, contexts, tensors with canaries, and the list of tests.
 *
 * Kernels are built from their texts: before main() begins OCLIN_CACHE_DIR is set to nothing, so that the
 * user's folder is neither read nor written.
 */
#ifndef OCLIN_TESTS_SUPPORT_H
#define OCLIN_TESTS_SUPPORT_H

/* cmocka.h wants these before it, in this order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "oclin.h"
#include "core/opencl.h"

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* Zeroed memory, freed with free(); fails the test if there is none. `new_array(float, 0)` is not NULL. */
void *allocate(size_t count, size_t size);
#define new_array(type, count) ((type *)allocate((size_t)(count), sizeof(type)))

/* ------------------------------------------------------------------------------------------------ data */

/* splitmix64. The same seed gives the same data everywhere: {42}. */
struct rng {
    uint64_t state;
};
uint64_t rng_next(struct rng *rng);
int64_t rng_below(struct rng *rng, int64_t n); /* 0 .. n - 1 */
float rng_unit(struct rng *rng);               /* [0, 1) with all 24 bits in use */

/* The largest m <= 64 for which sums of `terms` products of integers up to m, and one more integer, stay
 * below 2^24: exact in float whatever the order. Fails the test when there is none. */
int exact_limit(int64_t terms);

/* Integers from -limit to limit. */
void fill_integers(struct rng *rng, float *p, int64_t n, int limit);
/* [-1, 1): products of mean zero. */
void fill_zero_mean(struct rng *rng, float *p, int64_t n);
/* (0, 1]. */
void fill_positive(struct rng *rng, float *p, int64_t n);
/* Ordinary numbers with zeros of both signs, denormals, the largest floats, Inf and NaN among them. */
void fill_special(struct rng *rng, float *p, int64_t n);
/* 0 .. classes - 1. */
void fill_labels(struct rng *rng, int32_t *labels, int64_t n, int32_t classes);

/* A NaN whose bits no computation makes: what outputs hold before, and canaries always. */
void fill_poison(float *p, int64_t n);
/* Index of the first element that is not (still) that poison, or -1. */
int64_t first_not_poison(const float *p, int64_t n);

/* The library's activations: how many, their names, and whether the derivative is taken from z. */
enum { MOST_ACTIVATIONS = 16 };
int count_activations(void);
const char *activation_name(oclin_activation activation);
int keeps_z(oclin_activation activation);

/* A reference's case for data that are random: with the bounds that see more than the proven ones do. */
#define RANDOM_CASE(batch, in, out)                                                                     \
    ((struct oclin_ref_case){sizeof(struct oclin_ref_case), batch, in, out, OCLIN_NONE, OCLIN_GRAD_SUM, \
                             OCLIN_RANDOM, 0, 0, 0, -1})

/* --------------------------------------------------------------------------------------- comparisons */

/*
 * `got` has rows of `stride` elements, of which cols are looked at; want and bound are dense.
 *
 * Exact: got is want rounded to float, and any NaN is equal to any other. So are the two zeros: an empty or
 * vanishing sum is +0 or -0 by whether a kernel starts with 0 or with the first product, and both are right.
 */
int64_t first_inexact(int64_t rows, int64_t cols, int64_t stride, const float *got, const double *want);

struct comparison {
    double
        worst; /* largest |got - want| / bound; INFINITY where the bound is 0, or NaN or Inf do not match */
    int64_t first;    /* dense index of the first element beyond its bound, or -1 */
    int64_t compared; /* elements for which a claim was made */
};

/* NaN and Inf in want (rounded to float) must be met by the same. Elsewhere a bound that is not finite makes
 * no claim (a sum that may overflow; NaN: nor about an Inf), and an Inf in got counts as 2^128. */
struct comparison compare_bound(int64_t rows, int64_t cols, int64_t stride, const float *got,
                                const double *want, const double *bound);

/* The same, failing the test with the name, the place and both values of the first mismatch. check_bound
 * also fails when there were elements and none was compared; it returns the worst error in bounds. */
void check_exact(const char *name, int64_t rows, int64_t cols, int64_t stride, const float *got,
                 const double *want);
double check_bound(const char *name, int64_t rows, int64_t cols, int64_t stride, const float *got,
                   const double *want, const double *bound);

/*
 * For the table of the largest errors (docs/numbers.md): what the next check_bound()s are of, until said
 * otherwise; operation NULL: nothing that belongs there. The format and what follows describe the case. Where
 * OCLIN_WORST_FILE names a file, the program adds to it, when it ends, a line of
 *     runtime, family, operation, largest error in bounds, elements compared, the case of that error
 * with tabs between, for each family and operation.
 */
void measure(const char *family, const char *operation, const char *format, ...);

/* |got - want| <= tolerance (1 + |want|) for all; NaN never is. */
void check_close(const char *name, const double *got, const double *want, int64_t n, double tolerance);

/* Bitwise: two runs, or something that must not have changed. */
void check_same_bits(const char *name, const float *got, const float *want, int64_t n);

/* ------------------------------------------------------------------------------------------- contexts */

/* Fails with the name of the status, the expression and the context's sentence. ctx may be NULL. */
#define assert_status(ctx, expected, expr) assert_status_at(ctx, expected, expr, #expr, __FILE__, __LINE__)
#define assert_ok(ctx, expr) assert_status(ctx, OCLIN_OK, expr)
void assert_status_at(const oclin_context *ctx, oclin_status expected, oclin_status status, const char *expr,
                      const char *file, int line);

/* The same, and the sentence must be there and contain `part`. */
#define assert_refused(ctx, expected, part, expr) \
    assert_refused_at(ctx, expected, part, expr, #expr, __FILE__, __LINE__)
void assert_refused_at(const oclin_context *ctx, oclin_status expected, const char *part, oclin_status status,
                       const char *expr, const char *file, int line);

/* Every plan: number 0 is oclin's choice, "", then all that have a name; NULL behind the last. */
const char *every_plan(int at);

/* A context with this plan (NULL: oclin's choice) on the device that OCLIN_DEVICE says. Never NULL: fails
 * the test. Its log lines go to context_log(). With a plan that splits sums the context takes its device for
 * one of many units, so that small products have many parts, and the same ones on every machine. */
oclin_context *make_context(const char *plan);
/* With any other options; their log is replaced by the same one. */
oclin_context *make_context_with(struct oclin_context_options options);

/*
 * Whether the device's work-groups are smaller than this plan's, by the numbers of the driver and of this
 * file. Then oclin must refuse the plan; needs_plan() checks that it does and skips the test that is running
 * (make_context() asks it for every plan), run_refused() makes that check the only test of a program that is
 * about one plan.
 */
int plan_too_large(const char *plan);
void needs_plan(const char *plan);
int run_refused(const char *plan);

/* Everything that contexts have said since clear_context_log(), one line each, cut when it is too long. */
const char *context_log(void);
void clear_context_log(void);

/* How often these words stand there; fails the test unless they stand there at all, or so many times. */
int times_logged(const char *part);
void check_logged(const char *part);
void check_times_logged(const char *part, int times);

/* The library's own kernel text of that name, borrowed; fails the test if there is none. */
const char *built_in(const char *name);
/* This text as a file of that name in the folder, with the first `from` (which must be there) replaced by
 * `to`. */
void write_changed(const char *folder, const char *name, const char *text, const char *from, const char *to);

/* Runs the program `self` again, with up to two arguments (NULL: no more), and returns how it ended, as
 * waitpid() tells. seconds: after them it is ended by SIGALRM; 0: never. wrote: what it printed, cut at
 * size; NULL: it prints where this one does. */
int run_again(const char *self, const char *argument, const char *more, int seconds, char *wrote,
              size_t size);

/* The OpenCL loader's own `name`, for a test that defines a function of that name in front of it.
 * function: the address of a pointer to such a function. */
void find_real(const char *name, void *function);

/* A log callback of a test's own, and what it has received: how many lines, how many with a newline in them
 * (wrong), and the last one. */
struct heard {
    int lines, newlines;
    char last[640];
};
void hear(void *heard, const char *line);

/* -------------------------------------------------------------------------------------------- tensors */

/* A dense tensor that holds these elements (float or int32_t); host NULL: nothing is written. Never NULL:
 * fails the test. */
oclin_tensor *make_tensor(oclin_context *ctx, oclin_dtype dtype, int64_t rows, int64_t cols,
                          const void *host);

/* rows x cols somewhere inside a larger arena that is poisoned everywhere else: in front, behind, and between
 * the rows. What reads there gets NaN, what writes there is found. */
struct placed {
    oclin_tensor *arena, *t;
    int64_t rows, cols, stride, offset, length;
};

/* host is dense; NULL: poison here too, for outputs. */
struct placed tensor_from(oclin_context *ctx, int64_t rows, int64_t cols, int64_t stride, int64_t offset,
                          const float *host);
void tensor_release(struct placed *p);

/* Reads all that is not the matrix; the first wrong place goes to *where unless NULL (an index into the
 * arena). */
int canaries_intact(const struct placed *p, int64_t *where);
void check_canaries(const char *name, const struct placed *p);

/* Reads the matrix, compares it, and looks at the canaries. */
void check_tensor_exact(const char *name, const struct placed *p, const double *want);
double check_tensor_bound(const char *name, const struct placed *p, const double *want, const double *bound);

/* ---------------------------------------------------------------------------------------- test lists */

/* Tests, with names made of a format; state is what the test finds in *state. Start with {0}. */
struct test_list {
    struct CMUnitTest *tests;
    size_t count, capacity;
};
void add_test(struct test_list *list, CMUnitTestFunction test, void *state, const char *format, ...);

/* Runs those whose name matches argv[1], else the environment variable OCLIN_TEST, else all: a pattern with *
 * and ?. Leaves out, and says so, those that match one of the patterns in OCLIN_TEST_WITHOUT, which have ';'
 * between them: for scripts/matrix.sh, where a case brings a whole runtime down. The last line is for scripts
 * that count, since versions of cmocka word theirs differently: "tally GROUP: 12 run, 0 failed, 3 skipped".
 * With --list in the pattern's place it prints the names of all and runs none.
 * Frees the list. Returns the exit code: 0 only if some ran and all passed. */
int run_list(const char *group, struct test_list *list, int argc, char **argv);

/* cmocka's skip(), counted. */
void skip_case(void);

/* ---------------------------------------------------------------------------------------- all pairs */

/*
 * A row is a level for each of `factors` (2 to 32) factors, factor f having levels[f] of them. all_pairs()
 * makes rows in which any two levels of any two factors meet, many fewer than the full product; it returns
 * how many (never more than capacity: then the test fails). pairs_missing() counts the pairs that meet in no
 * row: 0 is the proof.
 */
int64_t all_pairs(int factors, const int *levels, int *rows, int64_t capacity);
int64_t pairs_missing(int factors, const int *levels, const int *rows, int64_t count);

#endif
