#define _GNU_SOURCE /* RTLD_NEXT, setenv */
#include <dlfcn.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support.h"

#include "oclin_internal.h"

/* Before main(), where some programs make contexts. */
__attribute__((constructor)) static void without_cache_folder(void)
{
    setenv("OCLIN_CACHE_DIR", "", 1);
}

void *allocate(size_t count, size_t size)
{
    void *memory = calloc(count ? count : 1, size);
    if (!memory) fail_msg("no memory for %zu elements of %zu bytes", count, size);
    return memory;
}

/* ------------------------------------------------------------------------------------------------ data */

uint64_t rng_next(struct rng *rng)
{
    uint64_t z = rng->state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

int64_t rng_below(struct rng *rng, int64_t n)
{
    return (int64_t)(rng_next(rng) % (uint64_t)n);
}

float rng_unit(struct rng *rng)
{
    return (float)(rng_next(rng) >> 40) * 0x1p-24f;
}

int exact_limit(int64_t terms)
{
    for (int64_t m = 64; m > 0; m--)
        if (terms <= ((1 << 24) - 1 - m) / (m * m)) return (int)m;
    fail_msg("no integers are small enough for exact sums of %lld products", (long long)terms);
    return 0;
}

void fill_integers(struct rng *rng, float *p, int64_t n, int limit)
{
    for (int64_t i = 0; i < n; i++) p[i] = (float)(rng_below(rng, 2 * limit + 1) - limit);
}

void fill_zero_mean(struct rng *rng, float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = rng_next(rng) & 1 ? rng_unit(rng) : rng_unit(rng) - 1.0f;
}

void fill_positive(struct rng *rng, float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) p[i] = 1.0f - rng_unit(rng);
}

void fill_special(struct rng *rng, float *p, int64_t n)
{
    static const float special[] = {0.0f,    -0.0f,    0x1p-149f, -0x1p-149f, 0x1.8p-127f, FLT_MIN,
                                    FLT_MAX, -FLT_MAX, INFINITY,  -INFINITY,  NAN};
    for (int64_t i = 0; i < n; i++) {
        p[i] = rng_unit(rng) * 2.0f - 1.0f;
        if (rng_below(rng, 4) == 0) p[i] = special[rng_below(rng, COUNT_OF(special))];
    }
}

void fill_labels(struct rng *rng, int32_t *labels, int64_t n, int32_t classes)
{
    for (int64_t i = 0; i < n; i++) labels[i] = (int32_t)rng_below(rng, classes);
}

/* Signalling: whatever is computed from it becomes quiet. Of a quiet NaN, sums keep the bits: what read
 * poison and wrote it outside was not found. */
static const uint32_t poison_bits = 0x7f8a9a57u;

int count_activations(void)
{
    int n = 0;
    while (oclin_activation_row((oclin_activation)n)) n++;
    assert_true(n <= MOST_ACTIVATIONS);
    return n;
}

const char *activation_name(oclin_activation activation)
{
    return oclin_activation_row(activation)->name;
}

int keeps_z(oclin_activation activation)
{
    return oclin_activation_row(activation)->keeps == OCLIN_KEEPS_Z;
}

void fill_poison(float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++) memcpy(&p[i], &poison_bits, sizeof p[i]);
}

int64_t first_not_poison(const float *p, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&p[i], &poison_bits, sizeof p[i])) return i;
    return -1;
}

/* --------------------------------------------------------------------------------------- comparisons */

/* Equal, or both NaN. */
static int same_number(float a, float b)
{
    return a == b || (isnan(a) && isnan(b));
}

int64_t first_inexact(int64_t rows, int64_t cols, int64_t stride, const float *got, const double *want)
{
    for (int64_t r = 0; r < rows; r++)
        for (int64_t j = 0; j < cols; j++)
            if (!same_number(got[r * stride + j], (float)want[r * cols + j])) return r * cols + j;
    return -1;
}

/* |got - want| in bounds; negative: no claim. */
static double error_in_bounds(float got, double want, double bound)
{
    if (!isfinite((float)want) && same_number(got, (float)want)) return 0;
    if (isnan(bound)) return -1;
    if (!isfinite(want)) return INFINITY;
    if (!isfinite(bound)) return -1;
    if (isnan(got)) return INFINITY;
    const double value = isinf(got) ? copysign(0x1p128, got) : got;
    const double error = fabs(value - want);
    if (error == 0) return 0;
    return bound > 0 ? error / bound : INFINITY;
}

struct comparison compare_bound(int64_t rows, int64_t cols, int64_t stride, const float *got,
                                const double *want, const double *bound)
{
    struct comparison result = {0, -1, 0};
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t j = 0; j < cols; j++) {
            const int64_t at = r * cols + j;
            const double error = error_in_bounds(got[r * stride + j], want[at], bound[at]);
            if (error < 0) continue;
            result.compared++;
            if (error > result.worst) result.worst = error;
            if (error > 1 && result.first < 0) result.first = at;
        }
    }
    return result;
}

void check_exact(const char *name, int64_t rows, int64_t cols, int64_t stride, const float *got,
                 const double *want)
{
    const int64_t at = first_inexact(rows, cols, stride, got, want);
    if (at < 0) return;
    const int64_t r = at / cols, j = at % cols;
    fail_msg("%s[%lld][%lld] is %.9g, must be %.9g exactly (%lld x %lld)", name, (long long)r, (long long)j,
             got[r * stride + j], (float)want[at], (long long)rows, (long long)cols);
}

/* The largest errors so far, and what is being measured (NULL: nothing). */
enum { MOST_MEASURED = 64 };
static struct measured {
    char family[16], operation[32], where[96];
    double worst;
    int64_t compared;
} measured[MOST_MEASURED], *measuring;
static int measured_count;
static char case_now[96], runtime[264]; /* of the first context */

static void write_measured(void)
{
    static char buffer[1 << 16]; /* one write: programs run side by side */
    const char *path = getenv("OCLIN_WORST_FILE");
    FILE *file = path && *path ? fopen(path, "a") : NULL;
    if (!file) return;
    setvbuf(file, buffer, _IOFBF, sizeof buffer);
    for (int i = 0; i < measured_count; i++)
        if (measured[i].compared)
            fprintf(file, "%s\t%s\t%s\t%.4g\t%lld\t%s\n", runtime, measured[i].family, measured[i].operation,
                    measured[i].worst, (long long)measured[i].compared, measured[i].where);
    fclose(file);
}

void measure(const char *family, const char *operation, const char *format, ...)
{
    measuring = NULL;
    if (!operation) return;
    int i = 0;
    while (i < measured_count &&
           (strcmp(measured[i].family, family) != 0 || strcmp(measured[i].operation, operation) != 0))
        i++;
    if (i == MOST_MEASURED) fail_msg("more than %d operations are measured", MOST_MEASURED);
    measuring = &measured[i];
    if (i == measured_count) {
        if (measured_count++ == 0) atexit(write_measured);
        snprintf(measuring->family, sizeof measuring->family, "%s", family);
        snprintf(measuring->operation, sizeof measuring->operation, "%s", operation);
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(case_now, sizeof case_now, format, arguments);
    va_end(arguments);
}

static void keep_worst(const struct comparison *c)
{
    if (!measuring) return;
    if (c->compared && (c->worst > measuring->worst || measuring->compared == 0)) {
        measuring->worst = c->worst;
        memcpy(measuring->where, case_now, sizeof case_now);
    }
    measuring->compared += c->compared;
}

double check_bound(const char *name, int64_t rows, int64_t cols, int64_t stride, const float *got,
                   const double *want, const double *bound)
{
    const struct comparison c = compare_bound(rows, cols, stride, got, want, bound);
    keep_worst(&c);
    if (c.first >= 0) {
        const int64_t r = c.first / cols, j = c.first % cols;
        fail_msg("%s[%lld][%lld] is %.9g, must be %.9g within %.3g (%lld x %lld; worst error %.3g bounds)",
                 name, (long long)r, (long long)j, got[r * stride + j], want[c.first], bound[c.first],
                 (long long)rows, (long long)cols, c.worst);
    }
    if (rows * cols > 0 && c.compared == 0) fail_msg("%s: the bounds claim nothing", name);
    return c.worst;
}

void check_close(const char *name, const double *got, const double *want, int64_t n, double tolerance)
{
    for (int64_t i = 0; i < n; i++)
        if (!(fabs(got[i] - want[i]) <= tolerance * (1 + fabs(want[i]))))
            fail_msg("%s[%lld] is %.17g, must be %.17g", name, (long long)i, got[i], want[i]);
}

void check_same_bits(const char *name, const float *got, const float *want, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (memcmp(&got[i], &want[i], sizeof got[i]))
            fail_msg("%s[%lld] is %.9g (%a), was %.9g (%a)", name, (long long)i, got[i], got[i], want[i],
                     want[i]);
}

/* ------------------------------------------------------------------------------------------- contexts */

void assert_status_at(const oclin_context *ctx, oclin_status expected, oclin_status status, const char *expr,
                      const char *file, int line)
{
    if (status == expected) return;
    print_error("%s\n    gives %s, not %s: %s\n", expr, oclin_status_name(status),
                oclin_status_name(expected), ctx ? oclin_context_error(ctx) : "");
    if (ctx && status == OCLIN_E_BUILD) print_error("%s\n", oclin_context_build_log(ctx));
    _fail(file, line);
}

void assert_refused_at(const oclin_context *ctx, oclin_status expected, const char *part, oclin_status status,
                       const char *expr, const char *file, int line)
{
    assert_status_at(ctx, expected, status, expr, file, line);
    const char *sentence = oclin_context_error(ctx);
    if (*sentence && strstr(sentence, part)) return;
    print_error("%s\n    says \"%s\", which has no \"%s\"\n", expr, sentence, part);
    _fail(file, line);
}

static char log_text[16384];

static void log_line(void *user, const char *line)
{
    (void)user;
    const size_t used = strlen(log_text);
    snprintf(log_text + used, sizeof log_text - used, "%s\n", line);
}

const char *context_log(void)
{
    return log_text;
}

void clear_context_log(void)
{
    log_text[0] = '\0';
}

int times_logged(const char *part)
{
    int count = 0;
    for (const char *at = log_text; (at = strstr(at, part)) != NULL; at++) count++;
    return count;
}

void check_logged(const char *part)
{
    if (!times_logged(part)) fail_msg("\"%s\" does not stand in\n%s", part, log_text);
}

void check_times_logged(const char *part, int times)
{
    if (times_logged(part) != times)
        fail_msg("\"%s\" stands %d times, not %d, in\n%s", part, times_logged(part), times, log_text);
}

/* Work-items in a group of each plan that needs more than one; a split has the same groups. */
static const struct {
    const char *plan;
    size_t group;
} plan_groups[] = {{"simt", 16},       {"simt-16", 16},  {"simt-32", 64},
                   {"simt-64x32", 64}, {"simt-64", 128}, {"simt-128", 256}};

/* A plan that a test asks for ("": oclin's choice) stands above OCLIN_PLAN, with which the whole suite may
 * be run. */
static oclin_status create(oclin_context **ctx, const struct oclin_context_options *options)
{
    const char *outside = getenv("OCLIN_PLAN");
    char *kept = outside ? strcpy(new_array(char, strlen(outside) + 1), outside) : NULL;
    if (options->plan && kept) setenv("OCLIN_PLAN", options->plan, 1);
    const oclin_status status = oclin_context_create(ctx, options);
    if (kept) setenv("OCLIN_PLAN", kept, 1);
    free(kept);
    return status;
}

const char *every_plan(int at)
{
    return at == 0 ? "" : oclin_plan_name(at - 1);
}

static int is_tile(const char *plan, const char *tile)
{
    const size_t length = strlen(tile);
    return strncmp(plan, tile, length) == 0 && (!plan[length] || strcmp(plan + length, "-split") == 0);
}

int plan_too_large(const char *plan)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx = NULL;
    cl_device_id device;
    size_t largest = 0, need = 1;
    for (size_t i = 0; plan && i < COUNT_OF(plan_groups); i++)
        if (is_tile(plan, plan_groups[i].plan)) need = plan_groups[i].group;
    options.plan = "plain";
    if (need == 1 || create(&ctx, &options) != OCLIN_OK) return 0;
    if (oclin_context_cl(ctx, NULL, &device, NULL) == OCLIN_OK)
        clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof largest, &largest, NULL);
    oclin_context_destroy(ctx);
    return largest < need;
}

static void check_refused(const char *plan)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    struct heard heard = {0};
    oclin_context *ctx = NULL;
    options.plan = plan;
    options.log = hear;
    options.log_user = &heard;
    assert_status(NULL, OCLIN_E_DEVICE, create(&ctx, &options));
    if (!strstr(heard.last, "needs work-groups of")) fail_msg("'%s' does not say why", heard.last);
}

void needs_plan(const char *plan)
{
    if (!plan_too_large(plan)) return;
    check_refused(plan);
    skip_case();
}

static int cases_skipped;

void skip_case(void)
{
    cases_skipped++;
    skip();
}

/* Cases that run, and the line that says how they went. Gives the number that failed. */
static int run_group(const char *group, const struct CMUnitTest *tests, size_t count)
{
    cases_skipped = 0;
    const int failed = _cmocka_run_group_tests(group, tests, count, NULL, NULL);
    printf("tally %s: %zu run, %d failed, %d skipped\n", group, count, failed, cases_skipped);
    fflush(stdout);
    return failed;
}

static void test_refused(void **state)
{
    check_refused(*state);
}

int run_refused(const char *plan)
{
    const struct CMUnitTest test = {"refused: the device's work-groups are too small", test_refused, NULL,
                                    NULL, (void *)(uintptr_t)plan};
    return run_group(plan, &test, 1) ? 1 : 0;
}

enum { MANY_UNITS = 64 };

oclin_context *make_context_with(struct oclin_context_options options)
{
    oclin_context *ctx = NULL;
    needs_plan(options.plan);
    options.log = log_line;
    const oclin_status status = create(&ctx, &options);
    if (status != OCLIN_OK || !ctx)
        fail_msg("no context, plan %s: %s\n%s", options.plan ? options.plan : "of oclin's choice",
                 oclin_status_name(status), log_text);
    struct oclin_device_info info;
    if (!runtime[0] && oclin_context_device(ctx, &info) == OCLIN_OK)
        snprintf(runtime, sizeof runtime, "%s %s", info.platform_name, info.driver);
    if (strstr(ctx->plan.name, "-split")) ctx->device.info.compute_units = MANY_UNITS;
    return ctx;
}

oclin_context *make_context(const char *plan)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = plan;
    return make_context_with(options);
}

void hear(void *heard, const char *line)
{
    struct heard *h = heard;
    h->lines++;
    h->newlines += strchr(line, '\n') != NULL;
    snprintf(h->last, sizeof h->last, "%s", line);
}

const char *built_in(const char *name)
{
    for (size_t i = 0; i < oclin_cl_file_count; i++)
        if (strcmp(oclin_cl_files[i].name, name) == 0) return oclin_cl_files[i].text;
    fail_msg("%s is not built in", name);
    return NULL;
}

void write_changed(const char *folder, const char *name, const char *text, const char *from, const char *to)
{
    char path[512];
    const char *at = strstr(text, from);
    if (!at) fail_msg("%s has no '%s'", name, from);
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    fprintf(f, "%.*s%s%s", (int)(at - text), text, to, at + strlen(from));
    assert_int_equal(fclose(f), 0);
}

int run_again(const char *self, const char *argument, const char *more, int seconds, char *wrote, size_t size)
{
    int ends[2] = {-1, -1}, ended = 0;
    size_t length = 0;
    char rest[256];
    if (wrote) assert_int_equal(pipe(ends), 0);
    fflush(NULL);
    const pid_t child = fork();
    if (child == 0) {
        if (wrote) {
            dup2(ends[1], 1);
            dup2(ends[1], 2);
            close(ends[0]);
            close(ends[1]);
        }
        alarm((unsigned)seconds);
        execl(self, self, argument, more, (char *)NULL);
        _exit(127);
    }
    if (wrote) {
        close(ends[1]);
        for (ssize_t got = 1; got > 0; length += (size_t)got)
            if ((got = read(ends[0], wrote + length, size - 1 - length)) <= 0) break;
        while (read(ends[0], rest, sizeof rest) > 0) continue;
        wrote[length] = 0;
        close(ends[0]);
    }
    assert_int_equal(waitpid(child, &ended, 0), child);
    return ended;
}

void find_real(const char *name, void *function)
{
    void *symbol = dlsym(RTLD_NEXT, name);
    if (!symbol) abort();
    memcpy(function, &symbol,
           sizeof symbol); /* a pointer to an object does not convert to one to a function in C */
}

/* -------------------------------------------------------------------------------------------- tensors */

oclin_tensor *make_tensor(oclin_context *ctx, oclin_dtype dtype, int64_t rows, int64_t cols, const void *host)
{
    oclin_tensor *t = NULL;
    assert_ok(ctx, oclin_tensor_create(&t, ctx, dtype, rows, cols));
    if (host) assert_ok(ctx, oclin_tensor_write(t, host));
    return t;
}

/* Behind the last row: more than the widest vector or register tile that could run over. */
#define MARGIN 64

struct placed tensor_from(oclin_context *ctx, int64_t rows, int64_t cols, int64_t stride, int64_t offset,
                          const float *host)
{
    struct placed p = {NULL, NULL, rows, cols, stride, offset, offset + rows * stride + MARGIN};
    float *image = new_array(float, p.length);
    fill_poison(image, p.length);
    for (int64_t r = 0; host && r < rows; r++)
        memcpy(image + offset + r * stride, host + r * cols, (size_t)cols * sizeof *host);
    assert_ok(ctx, oclin_tensor_create(&p.arena, ctx, OCLIN_F32, 1, p.length));
    assert_ok(ctx, oclin_tensor_write(p.arena, image));
    assert_ok(ctx, oclin_tensor_view(&p.t, p.arena, offset, rows, cols, stride));
    free(image);
    return p;
}

void tensor_release(struct placed *p)
{
    oclin_tensor_destroy(p->t);
    oclin_tensor_destroy(p->arena);
    *p = (struct placed){0};
}

static float *read_arena(const struct placed *p)
{
    float *image = new_array(float, p->length);
    assert_ok(NULL, oclin_tensor_read(p->arena, image));
    return image;
}

/* The first place of the arena that is outside the matrix and no poison, or -1. */
static int64_t first_damage(const struct placed *p, const float *image)
{
    for (int64_t i = 0; i < p->length; i++) {
        const int64_t at = i - p->offset;
        const int inside = at >= 0 && at < p->rows * p->stride && at % p->stride < p->cols;
        if (!inside && first_not_poison(image + i, 1) >= 0) return i;
    }
    return -1;
}

int canaries_intact(const struct placed *p, int64_t *where)
{
    float *image = read_arena(p);
    const int64_t damage = first_damage(p, image);
    free(image);
    if (where) *where = damage;
    return damage < 0;
}

void check_canaries(const char *name, const struct placed *p)
{
    int64_t where;
    if (!canaries_intact(p, &where))
        fail_msg("%s: written outside the matrix, at %lld (%lld x %lld, stride %lld, offset %lld)", name,
                 (long long)where, (long long)p->rows, (long long)p->cols, (long long)p->stride,
                 (long long)p->offset);
}

void check_tensor_exact(const char *name, const struct placed *p, const double *want)
{
    float *image = read_arena(p);
    check_exact(name, p->rows, p->cols, p->stride, image + p->offset, want);
    free(image);
    check_canaries(name, p);
}

double check_tensor_bound(const char *name, const struct placed *p, const double *want, const double *bound)
{
    float *image = read_arena(p);
    const double worst = check_bound(name, p->rows, p->cols, p->stride, image + p->offset, want, bound);
    free(image);
    check_canaries(name, p);
    return worst;
}

/* ---------------------------------------------------------------------------------------- test lists */

void add_test(struct test_list *list, CMUnitTestFunction test, void *state, const char *format, ...)
{
    char name[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(name, sizeof name, format, arguments);
    va_end(arguments);

    if (list->count == list->capacity) {
        list->capacity = list->capacity ? 2 * list->capacity : 64;
        list->tests = realloc(list->tests, list->capacity * sizeof *list->tests);
    }
    char *copy = malloc(strlen(name) + 1);
    if (!list->tests || !copy) abort(); /* no test is running yet that could fail */
    strcpy(copy, name);
    list->tests[list->count++] = (struct CMUnitTest){copy, test, NULL, NULL, state};
}

static int matches(const char *pattern, const char *name)
{
    if (*pattern == '*') return matches(pattern + 1, name) || (*name && matches(pattern, name + 1));
    if (!*pattern || !*name) return *pattern == *name;
    return (*pattern == '?' || *pattern == *name) && matches(pattern + 1, name + 1);
}

/* Whether one of the patterns (with ';' between them) matches. */
static int matches_one(const char *patterns, const char *name)
{
    char pattern[160];
    while (patterns && *patterns) {
        const size_t length = strcspn(patterns, ";");
        snprintf(pattern, sizeof pattern, "%.*s", (int)length, patterns);
        if (matches(pattern, name)) return 1;
        patterns += length + (patterns[length] == ';');
    }
    return 0;
}

/* For those who have patterns: they ask whether there still is what they match. */
static void print_names(const struct test_list *list)
{
    for (size_t i = 0; i < list->count; i++) puts(list->tests[i].name);
}

/* Chosen here and not by cmocka's own filter: cmocka reports success when nothing is left. */
int run_list(const char *group, struct test_list *list, int argc, char **argv)
{
    const char *pattern = argc > 1 ? argv[1] : getenv("OCLIN_TEST");
    struct CMUnitTest *chosen = calloc(list->count + 1, sizeof *chosen);
    size_t count = 0;
    for (size_t i = 0; chosen && i < list->count; i++) {
        const char *name = list->tests[i].name;
        if (matches_one(getenv("OCLIN_TEST_WITHOUT"), name))
            printf("%s: without %s\n", group, name);
        else if (!pattern || matches(pattern, name))
            chosen[count++] = list->tests[i];
    }

    int failed = 1;
    if (pattern && strcmp(pattern, "--list") == 0)
        print_names(list), failed = 0;
    else if (count > 0)
        failed = run_group(group, chosen, count);
    else
        fprintf(stderr, "%s: no test matches %s\n", group, pattern ? pattern : "");

    for (size_t i = 0; i < list->count; i++) free((char *)list->tests[i].name);
    free(list->tests);
    free(chosen);
    *list = (struct test_list){0};
    return failed == 0 ? 0 : 1;
}

/* ---------------------------------------------------------------------------------------- all pairs */

/* Do level i of factor f and level j of factor g meet in some row? */
static int pair_occurs(int factors, const int *rows, int64_t count, int f, int i, int g, int j)
{
    for (int64_t r = 0; r < count; r++)
        if (rows[r * factors + f] == i && rows[r * factors + g] == j) return 1;
    return 0;
}

/* How many pairs occur in no row; the first one found becomes part of `row`, unless that is NULL. */
static int64_t missing(int factors, const int *levels, const int *rows, int64_t count, int *row)
{
    int64_t n = 0;
    for (int f = 0; f < factors; f++)
        for (int g = f + 1; g < factors; g++)
            for (int i = 0; i < levels[f]; i++)
                for (int j = 0; j < levels[g]; j++) {
                    if (pair_occurs(factors, rows, count, f, i, g, j)) continue;
                    if (row && n == 0) row[f] = i, row[g] = j;
                    n++;
                }
    return n;
}

int64_t pairs_missing(int factors, const int *levels, const int *rows, int64_t count)
{
    return missing(factors, levels, rows, count, NULL);
}

/* The level of factor f that makes the most new pairs with what `row` has already (-1: not set yet); of equal
 * ones one that differs from row to row. */
static int best_level(int factors, const int *levels, const int *rows, int64_t count, const int *row, int f)
{
    int best = 0, best_gain = -1;
    for (int k = 0; k < levels[f]; k++) {
        const int i = (int)((count + k) % levels[f]);
        int gain = 0;
        for (int g = 0; g < factors; g++)
            if (row[g] >= 0) gain += !pair_occurs(factors, rows, count, f, i, g, row[g]);
        if (gain > best_gain) best = i, best_gain = gain;
    }
    return best;
}

/* Greedy: each row starts from a pair that is missing, so it ends. */
int64_t all_pairs(int factors, const int *levels, int *rows, int64_t capacity)
{
    for (int64_t count = 0;; count++) {
        int *row = rows + count * factors;
        int first[32];
        if (factors > (int)COUNT_OF(first)) fail_msg("%d factors are too many", factors);
        for (int f = 0; f < factors; f++) first[f] = -1;
        if (missing(factors, levels, rows, count, first) == 0) return count;
        if (count == capacity) fail_msg("all pairs need more than %lld rows", (long long)capacity);
        memcpy(row, first, (size_t)factors * sizeof *row);
        for (int f = 0; f < factors; f++)
            if (row[f] < 0) row[f] = best_level(factors, levels, rows, count, row, f);
    }
}
