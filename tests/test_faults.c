/*
 * Every OpenCL call, every allocation and every call for a file that the library makes fails once, in turn,
 * in every public function: a clear status and sentence, no object kept, the state that the header promises,
 * and the same handles work when the fault is gone, with the numbers of a run without one, bit for bit.
 *
 * Each scenario (fault_scenarios.c) is tried on a context that has not run it before ("cold": kernels are
 * built, memory is taken), and on one that has ("warm"). A test's name is the scenario's, and what must hold
 * after the fault.
 *
 * Each point is tried with one error code, and one in a loss of the device; OCLIN_FAULTS=all tries all codes
 * at all points.
 */
#include <stdlib.h>
#include <string.h>

#include "fault_scenarios.h"

/* Every point of these kinds with each code of one of the three sets, on one bench for as long as it
 * lives. */
enum { WITH_PASSING, WITH_LOSS, WITH_AFTER };

/* What the calls of a scenario are. */
enum { MOST_CALLS = 4096 };
struct calls {
    const char *names[MOST_CALLS];
};
static struct calls cold_calls, warm_calls;

static void note_calls(struct calls *calls)
{
    for (int64_t n = 0; n < MOST_CALLS; n++) calls->names[n] = faults_called(n);
}

/* Dozens of arguments make a launch: where they have been tried one by one some of them stand for all. */
static int is_argument(const struct calls *calls, int64_t n)
{
    const char *name = n < MOST_CALLS ? calls->names[n] : NULL;
    return !all_codes() && n % 8 && name && strcmp(name, "clSetKernelArg") == 0;
}

static int worth_trying(int64_t n, int set_of_codes)
{
    const char *name = n < MOST_CALLS ? warm_calls.names[n] : NULL;
    if (set_of_codes == WITH_PASSING || !name) return 1;
    if (!begins(name, "cl") || (set_of_codes == WITH_AFTER && !is_command(name))) return 0;
    return !is_argument(&warm_calls, n);
}

static struct bench *make_warm(const struct scenario *s)
{
    struct bench *b = make_bench(s);
    set_up(b);
    assert_status(b->ctx, OCLIN_OK, s->call(b));
    undo(b);
    return b;
}

static void try_warm(const struct scenario *s, int set_of_codes, const struct count *healthy)
{
    const int first = set_of_codes == WITH_LOSS ? PASSING : 0;
    const int last = set_of_codes == WITH_LOSS ? CODES : PASSING;
    const enum fault_how how = set_of_codes == WITH_AFTER ? FAULT_AFTER : FAULT_BEFORE;
    struct bench *b = NULL;
    enum tried result = SURVIVED;
    for (int64_t n = 0; result != NO_SUCH_CALL; n++)
        for (int c = first; c < last && result != NO_SUCH_CALL && worth_trying(n, set_of_codes); c++) {
            if (!all_codes() && n % (last - first) != c - first) continue;
            if (!b) b = make_warm(s);
            result = try_fault(b, n, fault_codes[c], how);
            if (result == SURVIVED && !(s->how & ANY_PLAN)) check_alive(s, "on a warm context", healthy, 0);
            if (result == SURVIVED) continue;
            free_bench(b);
            b = NULL;
        }
}

/* Whatever a failure has left in the folder, the next context has its kernel and the right numbers. */
static void check_cache(const struct scenario *s)
{
    const struct oclin_context_options o = options_of(s);
    oclin_context *ctx = NULL;
    oclin_tensor *t = NULL;
    float got[2] = {0, 0};
    assert_int_equal(oclin_context_create(&ctx, &o), OCLIN_OK);
    assert_ok(ctx, oclin_tensor_create(&t, ctx, OCLIN_F32, 1, 2));
    assert_ok(ctx, oclin_tensor_fill(t, 9.0));
    assert_ok(ctx, oclin_tensor_read(t, got));
    assert_true(got[0] == 9.0f && got[1] == 9.0f);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

static enum tried try_cold_point(const struct scenario *s, int64_t n, cl_int code, enum fault_how how,
                                 const struct count *healthy)
{
    struct bench *b = make_bench(s);
    const enum tried result = try_fault(b, n, code, how);
    if (s->how & CACHE) check_cache(s);
    if (result == SURVIVED && !(s->how & ANY_PLAN)) check_alive(s, "on a cold context", healthy, 0);
    free_bench(b);
    return result;
}

/* Each on a bench of its own; where there is no other, each with a failure that passes as well. */
static void try_cold(const struct scenario *s, enum fault_how how, const struct count *healthy)
{
    enum tried result = SURVIVED;
    for (int64_t n = 0; result != NO_SUCH_CALL; n++) {
        if (is_argument(&cold_calls, n)) continue;
        result = try_cold_point(s, n, fault_codes[n % CODES], how, healthy);
        if (result != NO_SUCH_CALL && (s->how & COLD_ONLY))
            try_cold_point(s, n, fault_codes[n % PASSING], how, healthy);
    }
}

static void test_scenario(void **state)
{
    const struct scenario *s = *state;
    const struct count start = count_alive();
    struct bench *b = make_bench(s);
    set_up(b);
    remember_before(b);
    set_up(b);
    faults_count(FAULT_ANY);
    assert_status(b->ctx, OCLIN_OK, s->call(b));
    const int64_t cold = faults_end();
    note_calls(&cold_calls);
    remember_after(b);
    undo(b);
    const struct count healthy_cold = count_alive();
    set_up(b);
    faults_count(FAULT_ANY);
    assert_status(b->ctx, OCLIN_OK, s->call(b));
    const int64_t warm = faults_end();
    note_calls(&warm_calls);
    undo(b);
    const struct count healthy_warm = count_alive();
    free_bench(b);
    check_alive(s, "without a fault", &start, 1);

    assert_true(cold > 0);
    if (cold != warm || (s->how & (COLD_ONLY | CACHE))) try_cold(s, FAULT_BEFORE, &healthy_cold);
    if (s->how & CACHE) try_cold(s, FAULT_AFTER, &healthy_cold);
    if (!(s->how & COLD_ONLY)) {
        try_warm(s, WITH_PASSING, &healthy_warm);
        try_warm(s, WITH_LOSS, &healthy_warm);
        try_warm(s, WITH_AFTER, &healthy_warm);
    }
    check_alive(s, "after all faults", &start, 1);
}

/* ------------------------------------------------------------------------ sampled scenarios */

/* The call with its nth call inside failing. 0: there is none. */
static int try_sample(struct bench *b, int64_t n, cl_int code)
{
    char text[POINT_BYTES];
    talk.failures_heard = 0;
    faults_fail(FAULT_ANY, n, code, FAULT_BEFORE);
    const oclin_status status = b->s->call(b);
    faults_end();
    const char *call = faults_failed();
    if (!call) {
        assert_status(b->ctx, OCLIN_OK, status);
        return 0;
    }
    if ((b->s->how & REPEATS) && n > 1000 && !all_codes()) return 0;
    points.tried++;
    name_point(b, text, sizeof text, call, n, code, FAULT_BEFORE);
    if (status == OCLIN_OK && !may_be_ignored(b, call)) fail_msg("%s: is not noticed", text);
    if (status != OCLIN_OK) check_said(b, status, call, code, text);
    if (status == OCLIN_E_CL && is_loss(code)) {
        assert_int_equal(oclin_context_finish(b->ctx), OCLIN_E_STATE);
    } else {
        look_now(b);
        check_all_unchanged(b, text);
        assert_ok(b->ctx, oclin_layer_infer(b->layer, b->own[X], b->own[Y]));
        write_before(b, Y);
        assert_ok(b->ctx, oclin_context_finish(b->ctx)); /* the next one may fail: it loses nothing then */
    }
    points.survived++;
    return 1;
}

/* Thousands of calls, on memory of the library's own: early points one by one, later ones ever farther
 * apart. Nothing of the caller's changes, and the context works afterwards. */
static void test_sampled(void **state)
{
    const struct scenario *s = *state;
    const struct count start = count_alive();
    struct bench *b = NULL;
    int64_t tried = 0;
    int goes_on = 1;
    talk.only_failures = 1; /* the tuner still writes its file */
    for (int64_t n = 0; goes_on; n += 1 + n / (all_codes() ? 32 : 4), tried++) {
        if (!b) {
            b = make_bench(s);
            set_up(b);
            remember_before(b);
        }
        goes_on = try_sample(b, n, fault_codes[tried % CODES]);
        if (oclin_context_finish(b->ctx) == OCLIN_OK) continue;
        free_bench(b); /* the device is lost */
        b = NULL;
    }
    talk.only_failures = 0;
    free_bench(b);
    check_alive(s, "after all faults", &start, 1);
}

/* ------------------------------------------------------------------------ all of them */

/* What may be ignored is, somewhere: an entry that nothing needs hides something else one day. */
static void test_every_reason_is_needed(void **state)
{
    (void)state;
    assert_int_equal(count_unneeded_reasons(), 0);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    begin_benches();
    for (size_t i = 0; i < scenario_count; i++)
        add_test(&list, test_scenario, (void *)(uintptr_t)&scenarios[i], "%s: %s", scenarios[i].name,
                 scenarios[i].promise);
    for (size_t i = 0; i < sampled_scenario_count; i++)
        add_test(&list, test_sampled, (void *)(uintptr_t)&sampled_scenarios[i], "%s: %s",
                 sampled_scenarios[i].name, sampled_scenarios[i].promise);
    /* only after all others, each of which may ignore something */
    if (argc < 2 && !getenv("OCLIN_TEST"))
        add_test(&list, test_every_reason_is_needed, NULL, "every reason to ignore a failure is needed");
    return run_benches("faults", &list, argc, argv);
}
