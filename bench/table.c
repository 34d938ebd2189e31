/* Rows as text and CSV, and what they come to. */
#include "bench.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#define DISTURBED 0.05 /* cores; a row with more of others says little */

double row_gflop(const struct row *r)
{
    const double product = 2e-9 * (double)r->shape.batch * (double)r->shape.in * (double)r->shape.out;
    return r->op == STEP || r->op == FUSED_STEP ? 3.0 * product : product;
}

double row_bytes(const struct row *r)
{
    const double x = (double)x_count(&r->shape), y = (double)y_count(&r->shape),
                 w = (double)w_count(&r->shape);
    const int step = r->op == STEP || r->op == FUSED_STEP;
    return (double)sizeof(float) * (step ? 3.0 * w + 2.0 * (x + y) : w + x + y);
}

static double rate(double amount, double ms)
{
    return ms > 0.0 ? amount / ms * 1e3 : 0.0;
}

void peaks_see(struct peaks *peaks, const struct row *r, const struct options *o)
{
    for (int i = -1; i < o->peers; i++) {
        const double gflops = rate(row_gflop(r), i < 0 ? r->oclin_min : r->peer[i]);
        if (gflops <= peaks->gflops) continue;
        peaks->gflops = gflops;
        peaks->by = i < 0 ? "oclin" : o->peer[i];
    }
}

/* Bytes of W a second, in a plain read of them. */
static double read_rate(const struct row *r)
{
    return rate((double)sizeof(float) * (double)w_count(&r->shape), r->read);
}

/* ---------------------------------------------------------------------------------------------- on stdout */

void table_head(const struct options *o)
{
    printf("\n%-10s %-6s %22s %10s %8s %7s", "op", "regime", "batch x in x out", "oclin ms", "GFLOP/s",
           "GB/s");
    for (int i = 0; i < o->peers; i++) printf(" %11s", o->peer[i]);
    printf(" %9s %9s %7s\n", "read", "update", "others");
}

void table_row(const struct row *r, const struct options *o)
{
    char shape[64];
    snprintf(shape, sizeof shape, "%lld x %lld x %lld", (long long)r->shape.batch, (long long)r->shape.in,
             (long long)r->shape.out);
    printf("%-10s %-6s %22s %10.4f %8.1f %7.1f", op_name[r->op], regime_name[r->shape.regime], shape,
           r->oclin, rate(row_gflop(r), r->oclin), rate(row_bytes(r), r->oclin) * 1e-9);
    for (int i = 0; i < o->peers; i++) {
        if (r->peer[i] > 0.0 && r->oclin > 0.0)
            printf(" %9.2f x", r->peer[i] / r->oclin);
        else
            printf(" %11s", "-");
    }
    for (int i = 0; i < 2; i++) {
        const double ms = i == 0 ? r->read : r->update;
        if (ms > 0.0)
            printf(" %9.4f", ms);
        else
            printf(" %9s", "-");
    }
    if (r->others >= 0.0)
        printf(" %7.2f", r->others);
    else
        printf(" %7s", "-");
    printf(strcmp(r->checked, "yes") == 0 ? "\n" : "  WRONG: %s\n", r->checked);
    fflush(stdout);
}

struct mean {
    double logs, least;
    const struct row *worst;
    int n;
};

static struct mean ratios(const struct row *rows, int count, enum op op, int regime, int peer)
{
    struct mean m = {0.0, INFINITY, NULL, 0};
    for (int i = 0; i < count; i++) {
        const struct row *r = &rows[i];
        if (r->op != op || (regime >= 0 && (int)r->shape.regime != regime)) continue;
        if (!(r->peer[peer] > 0.0) || !(r->oclin > 0.0)) continue;
        const double ratio = r->peer[peer] / r->oclin;
        m.logs += log(ratio);
        m.n++;
        if (ratio < m.least) {
            m.least = ratio;
            m.worst = r;
        }
    }
    return m;
}

static void summary_of(const struct row *rows, int count, enum op op, const struct options *o)
{
    for (int k = 0; k <= REGIME_COUNT; k++)
        for (int i = 0; i < o->peers; i++) {
            const int regime = k < REGIME_COUNT ? k : -1; /* all of them at the end */
            const struct mean m = ratios(rows, count, op, regime, i);
            if (m.n == 0) continue;
            printf("%-10s %-6s %-9s %3d shapes %8.2f   smallest %.2f at %lld x %lld x %lld\n", op_name[op],
                   regime < 0 ? "all" : regime_name[regime], o->peer[i], m.n, exp(m.logs / m.n), m.least,
                   (long long)m.worst->shape.batch, (long long)m.worst->shape.in,
                   (long long)m.worst->shape.out);
        }
}

void table_summary(const struct row *rows, int count, const struct peaks *peaks, const struct options *o)
{
    printf("\nTime of the peer / time of oclin: geometric mean, and the smallest\n");
    for (int op = 0; op < OP_COUNT; op++) summary_of(rows, count, (enum op)op, o);
    printf("\nLargest rate of this run: %.1f GFLOP/s, reached by %s\n", peaks->gflops, peaks->by);
    double most = 0.0;
    int disturbed = 0;
    for (int i = 0; i < count; i++) {
        if (rows[i].others > most) most = rows[i].others;
        disturbed += rows[i].others > DISTURBED;
    }
    if (disturbed)
        printf("NOT QUIET: other programs took more than %.2f cores during %d of %d rows, up to %.2f\n",
               DISTURBED, disturbed, count, most);
}

/* ---------------------------------------------------------------------------------------------------- CSV */

static void number(FILE *file, double value)
{
    if (value > 0.0)
        fprintf(file, ",%.6g", value);
    else
        fputc(',', file);
}

static void csv_row(FILE *file, const struct row *r, const struct peaks *peaks, const struct options *o)
{
    fprintf(file, "%s,%s,%lld,%lld,%lld", op_name[r->op], regime_name[r->shape.regime],
            (long long)r->shape.batch, (long long)r->shape.in, (long long)r->shape.out);
    number(file, r->oclin);
    for (int i = 0; i < o->peers; i++) number(file, r->peer[i]);
    fprintf(file, ",%s", r->checked);
    const double gflops = rate(row_gflop(r), r->oclin), bytes = rate(row_bytes(r), r->oclin);
    number(file, gflops);
    number(file, bytes * 1e-9);
    number(file, gflops / peaks->gflops);
    number(file, r->read > 0.0 ? bytes / read_rate(r) : 0.0);
    for (int i = 0; i < o->peers; i++) number(file, r->oclin > 0.0 ? r->peer[i] / r->oclin : 0.0);
    number(file, r->oclin_min);
    number(file, r->oclin_max);
    number(file, r->read);
    number(file, r->update);
    number(file, r->update > 0.0 ? r->oclin / (r->read + r->update) : 0.0);
    if (r->others >= 0.0)
        fprintf(file, ",%.2f", r->others);
    else
        fputc(',', file);
    fputc('\n', file);
}

int csv_write(const char *path, const struct row *rows, int count, const struct peaks *peaks,
              const struct options *o)
{
    FILE *file = fopen(path, "w");
    if (file) {
        fprintf(file, "op,regime,batch,in,out,oclin_ms");
        for (int i = 0; i < o->peers; i++) fprintf(file, ",%s_ms", o->peer[i]);
        fprintf(file, ",checked,gflops,gbs,share_of_fma_peak,share_of_read_bandwidth");
        for (int i = 0; i < o->peers; i++) fprintf(file, ",ratio_%s", o->peer[i]);
        fprintf(file, ",oclin_min_ms,oclin_max_ms,read_ms,update_ms,over_read_update,other_cores\n");
        for (int i = 0; i < count; i++) csv_row(file, &rows[i], peaks, o);
        const int bad = ferror(file);
        if (fclose(file) == 0 && !bad) return 1;
    }
    fprintf(stderr, "oclin_bench: %s: %s\n", path, strerror(errno));
    return 0;
}
