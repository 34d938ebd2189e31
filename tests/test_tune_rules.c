/*
 * How oclin_tune() decides: a scripted clock says how long each launch takes in each round, so that it is
 * known before what must be chosen.
 */
#define _XOPEN_SOURCE 700 /* setenv */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "faults.h"
#include "tuning.h"

/* A launch of forward by its default, and by the plan "plain", takes so long in each round; of any other
 * kernel a hundred times as long. Nothing else takes time, so that it is known before what must be chosen. */
enum { ROUNDS = 21 };
/* Longer than the shortest timing, so that there is one launch a timing; sums of it are exact. */
static const double usual = 0.03125;

static struct script {
    double of_default[ROUNDS], of_plain[ROUNDS];
    int rounds_left;    /* the time is over when so many rounds are; 0: never */
    int checks_in_half; /* half of it is when so many plans are checked; 0: not by this */
    int checked;        /* plans of all products */
    double now;         /* what the clock says */
    int round;          /* of forward, that is over */
    int of_plain_timed; /* rounds in which "plain" took part */
    char chosen[32];    /* for forward */
} script;

static double script_now(void)
{
    return script.now;
}

cl_int clEnqueueNDRangeKernel(cl_command_queue queue, cl_kernel kernel, cl_uint dimensions,
                              const size_t *offset, const size_t *global, const size_t *local, cl_uint waits,
                              const cl_event *wait, cl_event *event)
{
    cl_int (*real)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                   cl_uint, const cl_event *, cl_event *);
    char name[128] = "";
    find_real("clEnqueueNDRangeKernel", &real);
    clGetKernelInfo(kernel, CL_KERNEL_FUNCTION_NAME, sizeof name, name, NULL);
    const int round = script.round < ROUNDS ? script.round : ROUNDS - 1;
    script.now += strcmp(name, "forward_skinny") == 0  ? script.of_default[round]
                  : strcmp(name, "forward_plain") == 0 ? script.of_plain[round]
                                                       : 100.0 * usual;
    return real(queue, kernel, dimensions, offset, global, local, waits, wait, event);
}

/* Counts rounds; ends the tuning when forward is decided. */
static int follow(void *user, const struct oclin_tune_progress *p)
{
    (void)user;
    script.checked += p->event == OCLIN_TUNE_CHECKED;
    if (script.checks_in_half && script.checked == script.checks_in_half && script.round == 0)
        script.now = 0.6 * enough;
    if (strcmp(p->product, "forward") != 0) return 0;
    const int is_plain = strcmp(p->plan, "plain") == 0;
    script.of_plain_timed += is_plain && p->event == OCLIN_TUNE_TIMED;
    if (p->event == OCLIN_TUNE_TIMED && strcmp(p->plan, "default") == 0) script.round++;
    if (script.rounds_left && script.round == script.rounds_left) script.now = 2 * enough;
    if (p->event == OCLIN_TUNE_CHOSEN) snprintf(script.chosen, sizeof script.chosen, "%s", p->plan);
    return p->event == OCLIN_TUNE_CHOSEN;
}

/* Both take as long as usual in every round. */
static void begin_script(void)
{
    memset(&script, 0, sizeof script);
    for (int i = 0; i < ROUNDS; i++) script.of_default[i] = script.of_plain[i] = usual;
}

/* Tunes forward by the script, always in the same context, whose kernels are built once. 0: the device has
 * another default than the script. */
static oclin_context *scripted;

static int run_script(void)
{
    if (!scripted) scripted = make_context(NULL);
    oclin_context *ctx = scripted;
    oclin_tuning_free(ctx->tuning); /* of the run before */
    const int fits = family_of(ctx, OCLIN_KERNEL_FORWARD, small) == OCLIN_SKINNY;
    clear_context_log();
    if (fits) {
        faults_keep_builds(1);
        faults_clock_of(script_now);
        const oclin_status status = oclin_tune(ctx, small.in, small.out, small.batch, enough, follow, NULL);
        faults_clock_of(NULL);
        assert_status(ctx, script.chosen[0] ? OCLIN_E_STATE : OCLIN_OK, status);
        const struct oclin_tuned *t = oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_FORWARD, small);
        assert_int_equal(t != NULL, script.chosen[0] != 0);
        if (t) assert_string_equal(t->plan[0] ? t->plan : "default", script.chosen);
    }
    return fits;
}

/* A plan that is faster by no more than 3 % in the middle does not win. */
static void test_least_gain(void **state)
{
    static const struct {
        double gain;
        const char *chosen;
    } rows[] = {
        {.gain = 0.5, .chosen = "default"},   {.gain = 0.97, .chosen = "default"},
        {.gain = 1.0, .chosen = "default"},   {.gain = 1.01, .chosen = "default"},
        {.gain = 1.029, .chosen = "default"}, {.gain = 1.031, .chosen = "plain"},
        {.gain = 1.1, .chosen = "plain"},     {.gain = 3.0, .chosen = "plain"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin_script();
        for (int round = 0; round < ROUNDS; round++) script.of_plain[round] = usual / rows[i].gain;
        if (!run_script()) skip();
        if (strcmp(script.chosen, rows[i].chosen) != 0) fail_msg("gain %g: %s", rows[i].gain, script.chosen);
    }
}

/* Nor one that is much faster in the middle, but not in three of four rounds. To be as fast is not to be
 * faster. */
static void test_most_rounds(void **state)
{
    static const struct {
        int faster;
        double otherwise; /* times the usual one */
        const char *chosen;
    } rows[] = {
        {.faster = 21, .otherwise = 1.0, .chosen = "plain"},
        {.faster = 16, .otherwise = 1.125, .chosen = "plain"},
        {.faster = 15, .otherwise = 1.125, .chosen = "default"},
        {.faster = 11, .otherwise = 1.125, .chosen = "default"},
        {.faster = 16, .otherwise = 1.0, .chosen = "plain"},
        {.faster = 15, .otherwise = 1.0, .chosen = "default"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        begin_script();
        for (int round = 0; round < ROUNDS; round++)
            script.of_plain[round] = usual * (round < rows[i].faster ? 0.75 : rows[i].otherwise);
        if (!run_script()) skip();
        if (strcmp(script.chosen, rows[i].chosen) != 0)
            fail_msg("faster in %d rounds: %s", rows[i].faster, script.chosen);
    }
}

/* It is the middle that counts: not the mean, which one slow round moves, nor the best, which one fast round
 * makes. */
static void test_median(void **state)
{
    (void)state;
    begin_script(); /* three slow rounds */
    for (int round = 0; round < ROUNDS; round++) script.of_plain[round] = usual * (round < 18 ? 0.9 : 50.0);
    if (!run_script()) skip();
    assert_string_equal(script.chosen, "plain");
    begin_script(); /* three fast ones */
    for (int round = 0; round < ROUNDS; round++) script.of_plain[round] = usual * (round < 18 ? 0.99 : 0.1);
    assert_true(run_script());
    assert_string_equal(script.chosen, "default");
}

/* Two rounds are too few, three are enough. */
static void test_fewest_rounds(void **state)
{
    (void)state;
    for (int rounds = 1; rounds <= 4; rounds++) {
        begin_script();
        script.rounds_left = rounds;
        for (int round = 0; round < ROUNDS; round++) script.of_plain[round] = usual / 2;
        if (!run_script()) skip();
        assert_string_equal(script.chosen, rounds < 3 ? "" : "plain");
        assert_int_equal(script.of_plain_timed, rounds);
    }
}

/* What is slower by more than a quarter after three rounds is not timed further. */
static void test_hopeless(void **state)
{
    (void)state;
    for (int hopeless = 0; hopeless < 2; hopeless++) {
        begin_script();
        for (int round = 0; round < ROUNDS; round++)
            script.of_plain[round] = usual * (hopeless ? 1.26 : 1.24);
        if (!run_script()) skip();
        assert_string_equal(script.chosen, "default");
        assert_int_equal(script.of_plain_timed, hopeless ? 3 : ROUNDS);
    }
}

/* Building and checking may take half of the time, but the defaults of all products are checked in any
 * case. */
static void test_half_for_checks(void **state)
{
    static const int in_half[] = {1, 3, 4, 5, 7};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(in_half); i++) {
        begin_script();
        script.checks_in_half = in_half[i];
        if (!run_script()) skip();
        assert_int_equal(script.checked, in_half[i] < 4 ? 4 : in_half[i]);
        assert_string_equal(script.chosen, "default");
    }
}

int main(int argc, char **argv)
{
    unsetenv("OCLIN_PLAN"); /* with it there is nothing to tune */
    struct test_list list = {0};
    add_test(&list, test_least_gain, NULL, "rules/more than 3 percent win");
    add_test(&list, test_most_rounds, NULL, "rules/faster in three of four rounds wins");
    add_test(&list, test_median, NULL, "rules/the median counts");
    add_test(&list, test_fewest_rounds, NULL, "rules/three rounds are enough");
    add_test(&list, test_hopeless, NULL, "rules/what is hopeless is dropped");
    add_test(&list, test_half_for_checks, NULL, "rules/half of the time for checks");
    const int code = run_list("tune_rules", &list, argc, argv);
    faults_keep_builds(0);
    oclin_context_destroy(scripted);
    return code;
}
