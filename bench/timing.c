/*
 * Times. One timing is many calls and one wait at the end, 20 ms at least. Before each comes a pause, in which the
 * threads of the library before it go to sleep, and a warm-up.
 */
#define _XOPEN_SOURCE 700

#include "bench.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

enum { PATIENCE = 3 };

static const double shortest_ms = 20.0, wanted_ms = 25.0, warm_up_ms = 10.0;
static const double longest_ms = 500.0; /* after which no timing is taken again */
static const float tiny_lr = 1e-7f;     /* W changes, and stays what it was to the eye */

double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec * 1e-6;
}

static void pause_100_ms(void)
{
    nanosleep(&(struct timespec){0, 100000000}, NULL);
}

static const char *run(const struct timing *t, int64_t calls, double *ms)
{
    const char *error = NULL;
    const double start = now_ms();
    for (int64_t i = 0; i < calls && !error; i++)
        error = t->library->enqueue(t->state, t->op, (int)(i % t->sets), tiny_lr);
    if (!error) error = t->library->finish(t->state);
    *ms = now_ms() - start;
    return error;
}

/* Calls for about so many ms, by a run that took `ms` for `calls`. */
static int64_t calls_for(double wanted, int64_t calls, double ms)
{
    const double n = ms > 0.0 ? wanted / ms * (double)calls : 1e9;
    const double most = 16.0 * (double)calls; /* a run of a few microseconds tells little */
    return (int64_t)(n < most ? n : most) + 1;
}

/* How often the system has taken a core away from this program's threads. */
static long interruptions(void)
{
    struct rusage own;
    getrusage(RUSAGE_SELF, &own);
    return own.ru_nivcsw;
}

/* One timing, long enough. If the program was interrupted more than once in 10 ms it is taken again, a few times, and the
 * least interrupted one counts: somebody else's program is not what is measured. */
static const char *time_undisturbed(struct timing *t)
{
    double least = 0.0;
    const double start = now_ms();
    for (int attempt = 0; attempt <= PATIENCE && (attempt == 0 || now_ms() - start < longest_ms);) {
        double ms;
        const long before = interruptions();
        const char *error = run(t, t->calls, &ms);
        const double rate = (double)(interruptions() - before) / ms;
        if (error) return error;
        if (ms < shortest_ms) {
            t->calls = calls_for(wanted_ms, t->calls, ms);
            continue;
        }
        if (attempt++ == 0 || rate < least) {
            least = rate;
            t->ms[t->done] = ms / (double)t->calls;
        }
        if (least <= 0.1) break;
    }
    t->done++;
    return NULL;
}

static const char *time_once(struct timing *t)
{
    double ms;
    const char *error;
    pause_100_ms();
    int64_t warm_up = t->calls ? calls_for(warm_up_ms, t->calls, wanted_ms) : 1;
    if (warm_up > t->calls) warm_up = t->calls ? t->calls : 1;
    error = run(t, warm_up, &ms);
    if (!t->calls) { /* the first time: how many calls fill a timing, not counting what the first one alone costs */
        int64_t calls = 1;
        for (ms = 0.0; !error && ms < warm_up_ms;
             calls = ms < warm_up_ms ? calls_for(warm_up_ms, calls, ms) : calls)
            error = run(t, calls, &ms);
        t->calls = calls_for(wanted_ms, calls, ms);
    }
    return error ? error : time_undisturbed(t);
}

const char *time_in_turn(struct timing *all, int count, int runs)
{
    const char *error = NULL;
    for (int r = 0; r < runs; r++)
        for (int i = 0; i < count && !error; i++)
            if (!all[i].library->runs || r < all[i].library->runs) error = time_once(&all[i]);
    return error;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double median(const double *values, int n)
{
    double sorted[MAX_RUNS];
    if (n < 1) return 0.0;
    memcpy(sorted, values, (size_t)n * sizeof *values);
    qsort(sorted, (size_t)n, sizeof *sorted, ascending);
    return 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]);
}

double smallest(const double *values, int n)
{
    double least = n > 0 ? values[0] : 0.0;
    for (int i = 1; i < n; i++)
        if (values[i] < least) least = values[i];
    return least;
}

double largest(const double *values, int n)
{
    double most = 0.0;
    for (int i = 0; i < n; i++)
        if (values[i] > most) most = values[i];
    return most;
}
