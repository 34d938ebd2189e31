/*
 * A long training: 100,000 steps take no more of anything than the first few. Counted are the library's
 * own allocations and OpenCL objects; beside them the whole process, the driver with it, is measured.
 * OCLIN_TEST_STEPS: another number of steps.
 */
#include "support.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "faults.h"
#include "training.h"

/* What is alive, kind by kind. */
struct living {
    int64_t of[ALIVE_KINDS];
};

static struct living count_living(void)
{
    struct living all;
    for (int kind = 0; kind < ALIVE_KINDS; kind++) all.of[kind] = faults_alive((enum alive)kind);
    return all;
}

static void check_living(const struct living *before, const char *when)
{
    for (int kind = 0; kind < ALIVE_KINDS; kind++) {
        const int64_t now = faults_alive((enum alive)kind);
        if (now != before->of[kind])
            fail_msg("%s: %" PRId64 " %s are alive, there were %" PRId64, when, now,
                     faults_alive_name((enum alive)kind), before->of[kind]);
    }
}

/* Pages of the process that are in memory; 0 where the system does not say (it is no Linux). */
static long resident_pages(void)
{
    long size, resident = 0;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f) return 0;
    if (fscanf(f, "%ld %ld", &size, &resident) != 2) resident = 0;
    fclose(f);
    return resident;
}

static int64_t step_count(void)
{
    const char *wish = getenv("OCLIN_TEST_STEPS");
    const int64_t steps = wish ? strtoll(wish, NULL, 10) : 100000;
    if (steps < 1000) fail_msg("OCLIN_TEST_STEPS is %s, at least 1000 are needed", wish);
    return steps;
}

static void test_training(void **state)
{
    enum {
        MORE_PAGES = 256, /* 1 MB: an allocator's slack; 12 bytes a step would show */
        ROUND =
            50 /* after so many steps training_step() begins again: what a layer has saved is then the same */
    };
    struct training t;
    struct trained result;
    const struct living outside = count_living();
    oclin_context *ctx = make_context("plain");
    const int64_t steps = step_count(), first = steps / 10 / ROUND * ROUND;
    (void)state;
    assert_ok(ctx, training_make(&t, ctx, OCLIN_RELU, 1));
    for (int64_t step = 0; step < first; step++) assert_ok(ctx, training_step(&t, step));
    assert_ok(ctx, oclin_context_finish(ctx));
    const struct living before = count_living();
    const long pages = resident_pages();
    for (int64_t step = first; step < steps; step++) {
        assert_ok(ctx, training_step(&t, step));
        if (step % ROUND == ROUND - 1) check_living(&before, "in the middle of training");
    }
    assert_ok(ctx, oclin_context_finish(ctx));
    const long more = resident_pages() - pages;
    if (more > MORE_PAGES)
        fail_msg("%ld pages more after %" PRId64 " steps than after the first tenth", more, steps);
    assert_ok(ctx, training_read(&t, &result));
    assert_true(result.loss >= 0.0f && result.loss < 0.01f); /* twelve samples, learnt by heart */
    assert_int_equal(result.correct, TRAINING_BATCH);
    training_free(&t);
    oclin_context_destroy(ctx);
    check_living(&outside, "after everything was destroyed");
}

/* Contexts come and go, with all that a short training makes. */
static void test_contexts(void **state)
{
    (void)state;
    struct living before = {{0}};
    for (int i = 0; i < 12; i++) {
        struct training t;
        oclin_context *ctx = make_context("plain");
        assert_ok(ctx, training_make(&t, ctx, (oclin_activation)(i % (OCLIN_GELU + 1)), 1));
        for (int64_t step = 0; step < 8; step++) assert_ok(ctx, training_step(&t, step));
        training_free(&t);
        oclin_context_destroy(ctx);
        if (i == 0) before = count_living();
        check_living(&before, "after a context was destroyed");
    }
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_test(&list, test_contexts, NULL, "contexts come and go");
    add_test(&list, test_training, NULL, "many steps");
    return run_list("endurance", &list, argc, argv);
}
