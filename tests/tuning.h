/*
 * What tests of oclin_tune() share: a small layer that must compute right whatever was chosen, entries of the
 * table, a listener, and kernels with mistakes.
 */
#ifndef OCLIN_TESTS_TUNING_H
#define OCLIN_TESTS_TUNING_H

#include "support.h"

#include "cache_folder.h"
#include "oclin_internal.h"

/* Small enough for every plan, and one pass on CPUs. */
extern const struct oclin_shape small;

/* Seconds that no machine uses up, however busy it is: what a test expects must not depend on the clock. */
static const double enough = 1e9;

int is_cpu(const oclin_context *ctx);

/* What the context takes for a product of this shape: a family of kernels; and whether backward is one
 * pass. */
int family_of(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape);
int is_one_pass(const oclin_context *ctx, struct oclin_shape shape);

/* forward, backward and the fused step of a layer of this shape are within their bounds. */
void check_layer(oclin_context *ctx, struct oclin_shape shape);

/* An entry: this plan is the best, twice as fast as the default. */
struct oclin_tuned entry_of(enum oclin_kernel_id id, struct oclin_shape shape, const char *plan);
/* Puts entries into the cache folder's file, as oclin_tune() would; the second: forward, small, "plain". */
void store_entries(const struct oclin_tuned *entries, int count);
void store_one(void);
/* A new context has so many. */
void check_accepted(int count);

/* What was heard, and when to stop. */
enum { AT_CHOICE = -1 };
struct listener {
    int stop_after; /* events; 0: never; AT_CHOICE: at the first choice */
    int events[OCLIN_TUNE_CHOSEN + 1];
    int bad;           /* an event does not say what it must */
    char skipped[600]; /* the last one: "product plan: why" */
    char chosen[400];  /* "product plan;" of each */
};
/* oclin_tune() with these ears; NULL: none. */
oclin_status tune(oclin_context *ctx, struct oclin_shape s, double budget, struct listener *h);

/* `from` becomes `to`, everywhere, in a copy of the kernel text in the folder; and a context with the
 * kernels there, and no cache. Its log begins with it. */
void write_mistake(const struct folder *f, const char *file, const char *from, const char *to);
oclin_context *context_with_kernels(const struct folder *f);

#endif
