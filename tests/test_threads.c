/*
 * Eight threads, a context each, all on one device: no thread sees another, and each gets the bits that it gets alone. The
 * kernel cache is one folder for all of them, empty at first, so that they also build, write and read the same files at once.
 */
#define _XOPEN_SOURCE 700 /* mkdtemp, setenv */
#include "support.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "training.h"

enum { THREADS = 8, STEPS = 60 };

struct job {
    const char *plan, *cache_dir;
    oclin_activation activation;
    uint64_t seed;
    pthread_barrier_t *start;
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
    if (j->start) pthread_barrier_wait(j->start);
    j->status = oclin_device_list(NULL, 0, &devices);
    if (j->status == OCLIN_OK) j->status = oclin_context_create(&ctx, &options);
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
    j.activation = (oclin_activation)(thread % (OCLIN_GELU + 1));
    j.seed = (uint64_t)thread;
    return j;
}

static void remove_folder(const char *path)
{
    char file[1024];
    DIR *folder = opendir(path);
    for (struct dirent *e; folder && (e = readdir(folder));) {
        snprintf(file, sizeof file, "%s/%s", path, e->d_name);
        remove(file);
    }
    if (folder) closedir(folder);
    rmdir(path);
}

static void test_eight(void **state)
{
    (void)state;
    char folder[] = "/tmp/oclin_test_XXXXXX";
    pthread_t threads[THREADS];
    pthread_barrier_t start;
    struct job together[THREADS], alone[THREADS];
    /* Alone first, since PoCL 3.1 aborts most where threads compile the same kernel at once for the first time. Together they
     * build and load it all the same, from what PoCL has on the disk. */
    for (int i = 0; i < THREADS; i++) {
        alone[i] = job_of(i, "");
        run(&alone[i]);
        if (alone[i].status != OCLIN_OK)
            fail_msg("alone: %s: %s", oclin_status_name(alone[i].status), alone[i].sentence);
    }
    assert_non_null(mkdtemp(folder));
    assert_int_equal(pthread_barrier_init(&start, NULL, THREADS), 0);
    for (int i = 0; i < THREADS; i++) {
        together[i] = job_of(i, folder);
        together[i].start = &start;
        if (pthread_create(&threads[i], NULL, run, &together[i])) abort(); /* the others wait for it */
    }
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    pthread_barrier_destroy(&start);
    remove_folder(folder);

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

static const char *self; /* argv[0] */

/*
 * The eight in a process of their own. PoCL 3.1 counts the uses of a kernel that several contexts have compiled wrongly, now
 * and then, where their threads run it at once, and ends the process by an assertion: no library can prevent that. It is
 * told by the function's name, and then, and only then, they are tried again.
 */
static void test_eight_apart(void **state)
{
    enum { TRIES = 8 };
    static char wrote[1 << 16];
    (void)state;
    for (int i = 0; i < TRIES; i++) {
        const int ended = run_again(self, "--eight", NULL, 0, wrote, sizeof wrote);
        if (WIFEXITED(ended) && WEXITSTATUS(ended) == 0) return;
        print_error("%s", wrote);
        if (!WIFSIGNALED(ended) || WTERMSIG(ended) != SIGABRT ||
            !strstr(wrote, "pocl_release_dlhandle_cache"))
            fail_msg("the process ended with code %d, signal %d", WIFEXITED(ended) ? WEXITSTATUS(ended) : 0,
                     WIFSIGNALED(ended) ? WTERMSIG(ended) : 0);
    }
    fail_msg("PoCL ended all of %d tries", TRIES);
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
    if (argc == 2 && strcmp(argv[1], "--eight") == 0) {
        add_test(&list, test_eight, NULL, "eight contexts on one device, in a process of their own");
        return run_list("eight", &list, 1, argv);
    }
    add_test(&list, test_eight_apart, NULL, "eight contexts on one device");
    add_test(&list, test_taking_turns, NULL, "one context, threads in turn");
    return run_list("threads", &list, argc, argv);
}
