/*
 * oclin_bench: for each shape and each operation every library's result is checked, then all are timed in turn.
 * See README.md.
 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TIMINGS = 2 + MAX_PEERS + 2 };

/* The rows that are measured in turn with each other: the peers know no fused step, and no difference between forward
 * and infer, so that one measurement of theirs serves both rows. */
static const struct group {
    enum op op[2]; /* the first is what the peers do */
} groups[] = {{{FORWARD, INFER}}, {{DW, DW}}, {{DX, DX}}, {{STEP, FUSED_STEP}}};

struct bench {
    struct options o;
    oclin_context *ctx;
    const struct library *peer[MAX_PEERS]; /* NULL: missing */
    struct row *rows;
    int count, wrong;
    struct peaks peaks;
};

/* The libraries while they hold one shape. [0] is oclin, then the peers, then the ceiling. */
struct opened {
    const struct library *library[2 + MAX_PEERS];
    void *state[2 + MAX_PEERS];
};

static int fail(const char *who, const char *why)
{
    fprintf(stderr, "oclin_bench: %s: %s\n", who, why);
    return 0;
}

static int is_wrong(struct bench *b, struct row *r, const struct library *library, const struct opened *all,
                    int i, const struct problem *p, enum op op)
{
    const char *why = check(library, all->state[i], p, op);
    if (!why) return 0;
    fprintf(stderr, "oclin_bench: %s, %s %lld x %lld x %lld: %s\n", library->name, op_name[op],
            (long long)p->shape.batch, (long long)p->shape.in, (long long)p->shape.out, why);
    const size_t length = strcmp(r->checked, "yes") == 0 ? 0 : strlen(r->checked);
    snprintf(r->checked + length, sizeof r->checked - length, "%s%s", length ? "+" : "no:", library->name);
    b->wrong = 1;
    return 1;
}

static void add_timing(struct timing *all, int *n, const struct opened *opened, int i, enum op op, int sets)
{
    all[(*n)++] =
        (struct timing){.library = opened->library[i], .state = opened->state[i], .op = op, .sets = sets};
}

static double median_of(const struct timing *all, int n, const struct library *library, enum op op)
{
    for (int i = 0; i < n; i++)
        if (all[i].library == library && all[i].op == op) return median(all[i].ms, all[i].done);
    return 0.0;
}

static void fill_row(struct bench *b, struct row *r, const struct timing *all, int n)
{
    const enum op peer_op = r->op == INFER ? FORWARD : r->op == FUSED_STEP ? STEP : r->op;
    for (int i = 0; i < n; i++) {
        if (all[i].library != &library_oclin || all[i].op != r->op) continue;
        r->oclin = median(all[i].ms, all[i].done);
        r->oclin_min = smallest(all[i].ms, all[i].done);
        r->oclin_max = largest(all[i].ms, all[i].done);
    }
    for (int i = 0; i < b->o.peers; i++)
        if (b->peer[i]) r->peer[i] = median_of(all, n, b->peer[i], peer_op);
    r->read = median_of(all, n, &library_ceiling, READ);
    r->update = median_of(all, n, &library_ceiling, UPDATE);
}

/* Checks, times and prints the one or two rows of a group. */
static int measure_group(struct bench *b, const struct opened *opened, const struct problem *p,
                         const struct group *g, double *last_read)
{
    static struct timing all[MOST_TIMINGS];
    struct row *rows[2];
    int n = 0, row_count = 0, ceiling = 1 + b->o.peers;
    for (int k = 0; k < 2; k++) {
        if (!b->o.op[g->op[k]] || (k == 1 && g->op[1] == g->op[0])) continue;
        struct row *r = rows[row_count++] = &b->rows[b->count++];
        *r = (struct row){.op = g->op[k], .shape = p->shape, .checked = "yes"};
        if (!is_wrong(b, r, &library_oclin, opened, 0, p, r->op))
            add_timing(all, &n, opened, 0, r->op, p->sets);
    }
    if (row_count == 0) return 1;
    for (int i = 1; i <= b->o.peers; i++)
        if (opened->library[i] && !is_wrong(b, rows[0], opened->library[i], opened, i, p, g->op[0]))
            add_timing(all, &n, opened, i, g->op[0], p->sets);
    const int with_update = g->op[0] == STEP && p->shape.batch <= 16;
    if (*last_read <= 0.0 || with_update) add_timing(all, &n, opened, ceiling, READ, p->sets);
    if (with_update) add_timing(all, &n, opened, ceiling, UPDATE, p->sets);
    const struct busy before = busy_now();
    const char *error = time_in_turn(all, n, b->o.runs);
    const double others = busy_others(&before);
    if (error) return fail("timing", error);
    for (int k = 0; k < row_count; k++) {
        fill_row(b, rows[k], all, n);
        if (k == 1 && strncmp(rows[0]->checked, "no:oclin", 8) != 0 && strcmp(rows[0]->checked, "yes") != 0)
            memcpy(rows[1]->checked, rows[0]->checked, sizeof rows[0]->checked); /* a peer is wrong in both */
        if (rows[k]->read > 0.0) *last_read = rows[k]->read;
        rows[k]->read = *last_read;
        rows[k]->others = others;
        peaks_see(&b->peaks, rows[k], &b->o);
        table_row(rows[k], &b->o);
    }
    return 1;
}

static void close_all(struct opened *opened)
{
    for (int i = 0; i < 2 + MAX_PEERS; i++)
        if (opened->library[i]) opened->library[i]->close(opened->state[i]);
}

static int measure_opened(struct bench *b, struct opened *opened, const struct problem *p)
{
    double read = 0.0;
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        if (!measure_group(b, opened, p, &groups[g], &read)) return 0;
    return 1;
}

static int measure_shape(struct bench *b, const struct shape *shape)
{
    struct problem p;
    struct opened opened = {.library = {&library_oclin}};
    int ok = 1;
    if (!problem_make(&p, shape, b->o.rotate_bytes, b->o.cold)) return fail("problem", "no memory");
    for (int i = 0; i < b->o.peers; i++) opened.library[1 + i] = b->peer[i];
    opened.library[1 + b->o.peers] = &library_ceiling;
    for (int i = 0; i < 2 + b->o.peers && ok; i++) {
        if (!opened.library[i]) continue;
        const char *error = opened.library[i]->open(&opened.state[i], &p, b->ctx);
        if (error) ok = fail(opened.library[i]->name, error);
    }
    ok = ok && measure_opened(b, &opened, &p);
    close_all(&opened);
    problem_free(&p);
    return ok;
}

static int measure_all(struct bench *b, const struct shape *shapes, int count)
{
    b->rows = calloc((size_t)count * OP_COUNT, sizeof *b->rows);
    if (!b->rows) return fail("rows", "no memory");
    const char *error = fma_peak(b->ctx, &b->peaks.gflops);
    if (error) return fail("peak kernel", error);
    b->peaks.by = "the peak kernel";
    printf("peak      %.1f GFLOP/s by the peak kernel\n", b->peaks.gflops);
    table_head(&b->o);
    for (int i = 0; i < count; i++) {
        if (!measure_shape(b, &shapes[i])) return 0;
        /* all rows again: whoever stops the bench keeps what is done, and shares are of the largest rate so far */
        if (b->o.csv && !csv_write(b->o.csv, b->rows, b->count, &b->peaks, &b->o)) return 0;
    }
    table_summary(b->rows, b->count, &b->peaks, &b->o);
    return 1;
}

static void describe(struct bench *b)
{
    struct oclin_device_info d;
    char text[256];
    library_oclin.version(text, sizeof text);
    const char *plan = getenv("OCLIN_PLAN");
    if (!plan) plan = b->o.plan;
    printf("library   %s%s%s\n", text, plan ? ", plan " : "", plan ? plan : "");
    if (oclin_context_device(b->ctx, &d) == OCLIN_OK)
        printf("device    %s, %lld compute units\ndriver    %s, %s, %s\n", d.name, (long long)d.compute_units,
               d.platform_name, d.driver, d.version);
    for (int i = 0; i < b->o.peers; i++) {
        const char *why;
        b->peer[i] = peer_find(b->o.peer[i], &why);
        if (b->peer[i]) b->peer[i]->version(text, sizeof text);
        printf("peer      %s: %s%s\n", b->o.peer[i], b->peer[i] ? "" : "MISSING, ", b->peer[i] ? text : why);
    }
}

static char last_line[SENTENCE]; /* why no context could be made */

static void keep_line(void *user, const char *line)
{
    (void)user;
    snprintf(last_line, sizeof last_line, "%s", line);
}

int main(int argc, char **argv)
{
    struct bench b = {.count = 0};
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    struct shape *shapes = NULL;
    const int stop = options_parse(&b.o, argc, argv);
    if (stop >= 0) return stop;
    const int count = b.o.shapes ? shapes_read(b.o.shapes, &shapes) : 1;
    if (count < 0) {
        free(shapes);
        return 2;
    }
    options.plan = b.o.plan;
    options.log = keep_line;
    int ok = oclin_context_create(&b.ctx, &options) == OCLIN_OK || fail("device", last_line);
    if (ok) {
        describe(&b);
        ok = measure_all(&b, shapes ? shapes : &b.o.shape, count);
    }
    free(b.rows);
    free(shapes);
    oclin_context_destroy(b.ctx);
    return ok && !b.wrong ? 0 : 1;
}
