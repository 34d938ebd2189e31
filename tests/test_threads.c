/*
 * Eight threads, a context each, all on one device: no thread sees another, and each gets the bits that it
 * gets alone. The kernel cache is one folder for all of them, empty at first, so that they also build,
 * write and read the same files at once.
 */
#define _DEFAULT_SOURCE /* setenv, usleep */
#define _XOPEN_SOURCE 700
#include "support.h"

#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "files.h"
#include "oclin_internal.h"
#include "training.h"

enum { THREADS = 8, STEPS = 60 };

/* All begin at once, and make their contexts in the order of their numbers: each job gets the same number
 * of a context on a PoCL before 6.0 then, and finds what an earlier run of the test has compiled. */
struct turns {
    pthread_barrier_t start;
    pthread_mutex_t lock;
    pthread_cond_t next;
    int now;
};

static void await_turn(struct turns *t, int thread)
{
    pthread_mutex_lock(&t->lock);
    while (t->now != thread) pthread_cond_wait(&t->next, &t->lock);
    pthread_mutex_unlock(&t->lock);
}

static void end_turn(struct turns *t)
{
    pthread_mutex_lock(&t->lock);
    t->now++;
    pthread_cond_broadcast(&t->next);
    pthread_mutex_unlock(&t->lock);
}

struct job {
    const char *plan, *cache_dir;
    oclin_activation activation;
    uint64_t seed;
    int thread;
    struct turns *turns; /* NULL: alone */
    oclin_status status;
    char sentence[256];
    struct trained result;
};

static oclin_status train(struct job *j, oclin_context *ctx)
{
    struct training t;
    oclin_status status = training_make(&t, ctx, j->activation, j->seed);
    for (int64_t step = 0; status == OCLIN_OK && step < STEPS; step++) status = training_step(&t, step);
    if (status == OCLIN_OK) status = training_read(&t, &j->result);
    training_free(&t);
    return status;
}

static void *run(void *job)
{
    struct job *j = job;
    oclin_context *ctx = NULL;
    size_t devices;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = j->plan;
    options.cache_dir = j->cache_dir;
    if (j->turns) pthread_barrier_wait(&j->turns->start);
    j->status = oclin_device_list(NULL, 0, &devices);
    if (j->turns) await_turn(j->turns, j->thread);
    if (j->status == OCLIN_OK) j->status = oclin_context_create(&ctx, &options);
    if (j->turns) end_turn(j->turns);
    if (j->status == OCLIN_OK) j->status = train(j, ctx);
    snprintf(j->sentence, sizeof j->sentence, "%s", oclin_context_error(ctx));
    oclin_context_destroy(ctx);
    return NULL;
}

static struct job job_of(int thread, const char *cache_dir)
{
    static const char *const plans[] = {"", "plain", "simd", "simt-16"};
    struct job j = {0};
    j.plan = plans[thread % COUNT_OF(plans)];
    if (plan_too_large(j.plan)) j.plan = "";
    j.cache_dir = cache_dir;
    j.thread = thread;
    j.activation = (oclin_activation)(thread % (OCLIN_GELU + 1));
    j.seed = (uint64_t)thread;
    return j;
}

static void test_eight(void **state)
{
    (void)state;
    char folder[PATH_BYTES / 2];
    pthread_t threads[THREADS];
    struct turns turns = {.lock = PTHREAD_MUTEX_INITIALIZER, .next = PTHREAD_COND_INITIALIZER, .now = 0};
    struct job together[THREADS], alone[THREADS];
    make_temporary_folder(folder);
    assert_int_equal(pthread_barrier_init(&turns.start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        together[i] = job_of(i, folder);
        together[i].turns = &turns;
        if (pthread_create(&threads[i], NULL, run, &together[i])) abort(); /* the others wait for it */
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&turns.start);
    remove_all(folder);
    /* alone last, so that each kernel is built for the first time by several threads at once */
    for (int i = 0; i < THREADS; i++) {
        alone[i] = job_of(i, "");
        run(&alone[i]);
        if (alone[i].status != OCLIN_OK)
            fail_msg("alone: %s: %s", oclin_status_name(alone[i].status), alone[i].sentence);
    }

    for (int i = 0; i < THREADS; i++) {
        if (together[i].status != OCLIN_OK)
            fail_msg("thread %d: %s: %s", i, oclin_status_name(together[i].status), together[i].sentence);
        /* plain data without gaps, and zeroed before */
        if (memcmp(&together[i].result, &alone[i].result, sizeof alone[i].result))
            fail_msg("thread %d with plan '%s' trained to a loss of %.9g, alone to %.9g", i, alone[i].plan,
                     together[i].result.loss, alone[i].result.loss);
        assert_true(alone[i].result.loss > 0.0f &&
                    alone[i].result.loss < 1.7f); /* it trained: ln 5 is 1.61 */
    }
}

/* ------------------------------------------------------------------------------- what PoCL before 6.0
 * mixes up */

/* y = x w^T with a batch that takes a while. */
struct product {
    oclin_tensor *x, *y;
    oclin_layer *layer;
};

static struct product make_product(oclin_context *ctx, int64_t batch, int64_t in, int64_t out)
{
    struct product p = {make_tensor(ctx, OCLIN_F32, batch, in, NULL),
                        make_tensor(ctx, OCLIN_F32, batch, out, NULL), NULL};
    assert_ok(ctx, oclin_layer_create(&p.layer, ctx, in, out, NULL));
    assert_ok(ctx, oclin_tensor_fill(p.x, 1.0));
    return p;
}

static void free_product(struct product *p)
{
    oclin_layer_destroy(p->layer);
    oclin_tensor_destroy(p->x);
    oclin_tensor_destroy(p->y);
}

/* Asks for the binary of a product's kernel, as storing does, but once. */
static void ask_for_binary(oclin_context *ctx, const struct product *p)
{
    struct oclin_product forward = oclin_plan_shaped(OCLIN_KERNEL_FORWARD, (struct oclin_shape){4, 400, 100});
    cl_program program;
    size_t size = 0;
    forward.a = oclin_operand_of(p->x);
    assert_ok(ctx, oclin_product_prepare(ctx, &forward));
    assert_int_equal(clGetKernelInfo(forward.kernel, CL_KERNEL_PROGRAM, sizeof program, &program, NULL),
                     CL_SUCCESS);
    assert_int_equal(clGetProgramInfo(program, CL_PROGRAM_BINARY_SIZES, sizeof size, &size, NULL),
                     CL_SUCCESS);
    assert_true(size > 0);
}

/*
 * While one context's kernel runs, and there is always one that runs, another context of the same thread
 * asks for its binary of the same text, stores it, and launches it with larger and larger widths. PoCL
 * before 6.0 ended the process here.
 */
static void test_two(void **state)
{
    (void)state;
    enum { LAUNCHES = 6 };
    char folder[PATH_BYTES / 2];
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    make_temporary_folder(folder);
    options.plan = "plain";
    options.cache_dir = ""; /* its kernels are built from their text, as those of the other one */
    oclin_context *busy = make_context_with(options);
    options.cache_dir = folder;
    oclin_context *other = make_context_with(options);
    struct product slow = make_product(busy, 4000, 400, 100), p = make_product(other, 4, 400, 100);
    assert_ok(busy, oclin_layer_infer(slow.layer, slow.x, slow.y));
    assert_ok(busy, oclin_context_finish(busy));
    for (int64_t batch = 4; batch <= 400; batch *= 10) {
        assert_ok(other, oclin_layer_infer(p.layer, p.x, p.y));
        cl_event first, last;
        for (int i = 0; i < LAUNCHES; i++) {
            assert_ok(busy, oclin_layer_infer(slow.layer, slow.x, slow.y));
            if (i == 0) assert_ok(busy, oclin_context_mark(busy, &first));
        }
        assert_ok(busy, oclin_context_mark(busy, &last));         /* flushes */
        assert_int_equal(clWaitForEvents(1, &first), CL_SUCCESS); /* now the second one runs */
        usleep(20000);                                            /* and is well on its way */
        clReleaseEvent(first);
        clReleaseEvent(last);
        ask_for_binary(other, &p);
        assert_ok(busy, oclin_context_finish(busy));
        assert_ok(other, oclin_context_finish(other)); /* stores */
        free_product(&p);
        p = make_product(other, 10 * batch, 400, 100);
    }
    free_product(&p);
    free_product(&slow);
    assert_ok(busy, oclin_context_finish(busy));
    oclin_context_destroy(busy);
    oclin_context_destroy(other);
    remove_all(folder);
}

static const char *self; /* argv[0] */

/* A driver that does not survive it takes a process of its own with it. */
static void test_apart(void **state)
{
    static char wrote[1 << 16];
    const int ended = run_again(self, *state, NULL, 0, wrote, sizeof wrote);
    if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return;
    print_error("%s", wrote);
    fail_msg("the process ended with code %d, signal %d", WIFEXITED(ended) ? WEXITSTATUS(ended) : 0,
             WIFSIGNALED(ended) ? WTERMSIG(ended) : 0);
}

/* Living contexts have different numbers where the driver needs it, and none elsewhere; the number of one
 * that is gone is used again, unless its work may still run. */
static void test_numbers(void **state)
{
    (void)state;
    enum { CONTEXTS = 4 };
    oclin_context *all[CONTEXTS];
    for (int i = 0; i < CONTEXTS; i++) all[i] = make_context("plain");
    const int mixed = all[0]->device.mixes_contexts, first = all[0]->number;
    for (int i = 0; i < CONTEXTS; i++) assert_int_equal(all[i]->number, mixed ? first + i : -1);
    oclin_context_destroy(all[1]);
    all[1] = make_context("plain");
    assert_int_equal(all[1]->number, mixed ? first + 1 : -1);
    for (int waited = 0; waited < 3; waited++) {
        oclin_tensor *t = make_tensor(all[1], OCLIN_F32, 1, 1, NULL);
        float got;
        assert_ok(all[1], oclin_tensor_fill(t, 1.0));
        if (waited == 0) assert_ok(all[1], oclin_context_finish(all[1]));
        if (waited == 1) assert_ok(all[1], oclin_tensor_read(t, &got));
        oclin_tensor_destroy(t);
        oclin_context_destroy(all[1]);
        all[1] = make_context("plain");
        assert_int_equal(all[1]->number, !mixed ? -1 : waited < 2 ? first + 1 : first + CONTEXTS);
    }
    for (int i = 0; i < CONTEXTS; i++) oclin_context_destroy(all[i]);
}

/* Beyond the last number all get the one behind it. */
static void test_all_numbers(void **state)
{
    (void)state;
    int taken[OCLIN_NUMBERS + 2];
    for (int i = 0; i < OCLIN_NUMBERS + 2; i++) taken[i] = oclin_os_take_number();
    for (int i = 0; i < OCLIN_NUMBERS + 2; i++) {
        assert_in_range(taken[i], 0, OCLIN_NUMBERS);
        for (int j = 0; j < i; j++)
            if (taken[i] != OCLIN_NUMBERS) assert_int_not_equal(taken[i], taken[j]);
    }
    assert_int_equal(taken[OCLIN_NUMBERS + 1], OCLIN_NUMBERS);
    for (int i = 0; i < OCLIN_NUMBERS + 2; i++) oclin_os_give_number(taken[i]);
    oclin_os_give_number(-1);
    assert_int_equal(oclin_os_take_number(), taken[0]);
    oclin_os_give_number(taken[0]);
}

/* One context goes from thread to thread: allowed as long as they take turns. */
static void *go_on(void *state)
{
    struct training *t = state;
    for (int64_t step = 0; step < 10; step++)
        if (training_step(t, step) != OCLIN_OK) return t;
    return NULL;
}

static void test_taking_turns(void **state)
{
    (void)state;
    struct training t;
    struct trained by_many, by_one;
    oclin_context *ctx = make_context("plain");
    assert_ok(ctx, training_make(&t, ctx, OCLIN_GELU, 3));
    for (int i = 0; i < 4; i++) {
        pthread_t thread;
        void *failed;
        assert_int_equal(pthread_create(&thread, NULL, go_on, &t), 0);
        pthread_join(thread, &failed);
        assert_null(failed);
    }
    assert_ok(ctx, training_read(&t, &by_many));
    training_free(&t);
    assert_ok(ctx, training_make(&t, ctx, OCLIN_GELU, 3));
    for (int i = 0; i < 4; i++) assert_null(go_on(&t));
    assert_ok(ctx, training_read(&t, &by_one));
    assert_memory_equal(&by_many, &by_one, sizeof by_one);
    training_free(&t);
    oclin_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    /* each thread's options decide; the environment does not change while they run */
    unsetenv("OCLIN_PLAN");
    unsetenv("OCLIN_CACHE_DIR");
    struct test_list list = {0};
    self = argv[0];
    static char eight[] = "--eight", two[] = "--two";
    if (argc == 2 && strcmp(argv[1], eight) == 0) {
        add_test(&list, test_eight, NULL, "eight contexts on one device, in a process of their own");
        return run_list("eight", &list, 1, argv);
    }
    if (argc == 2 && strcmp(argv[1], two) == 0) {
        add_test(&list, test_two, NULL, "two contexts in one thread, in a process of their own");
        return run_list("two", &list, 1, argv);
    }
    add_test(&list, test_apart, eight, "eight contexts on one device");
    add_test(&list, test_apart, two, "two contexts in one thread");
    add_test(&list, test_numbers, NULL, "numbers of contexts");
    add_test(&list, test_all_numbers, NULL, "all numbers");
    add_test(&list, test_taking_turns, NULL, "one context, threads in turn");
    return run_list("threads", &list, argc, argv);
}
