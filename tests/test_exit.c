/*
 * Programs that end without destroying anything: by return from main, exit() from here and there, a
 * library that is closed while its objects live. None may crash or hang. Each runs as a process of its
 * own, this program with the case's name.
 */
#define _GNU_SOURCE /* dlopen's RTLD_NOW, setenv */
#include "support.h"

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "training.h"

/* What the process answers when all went as it should, so that an early success is not taken for it. */
enum { AS_IT_SHOULD = 42 };

/* Alive until the process ends. */
static oclin_context *ctx;
static struct training training;
static float host[1 << 16];

/* A training in the middle, commands on their way. */
static void begin(void)
{
    if (oclin_context_create(&ctx, NULL) != OCLIN_OK ||
        training_make(&training, ctx, OCLIN_RELU, 1) != OCLIN_OK)
        _exit(1);
    for (int64_t step = 0; step < 4; step++)
        if (training_step(&training, step) != OCLIN_OK) _exit(2);
}

static void *exit_here(void *unused)
{
    exit(unused ? 3 : AS_IT_SHOULD);
}

static void return_at_once(void)
{
}

static void read_in_flight(void)
{
    oclin_tensor *t;
    if (oclin_tensor_create(&t, ctx, OCLIN_F32, 1, COUNT_OF(host)) != OCLIN_OK ||
        oclin_tensor_fill(t, 1.0) != OCLIN_OK)
        _exit(4);
    for (int i = 0; i < 50; i++)
        if (oclin_tensor_read_async(t, host, NULL) != OCLIN_OK) _exit(5);
}

/* The gate never opens: what is behind it never runs. */
static void behind_a_gate(void)
{
    cl_context context;
    cl_int error;
    if (oclin_context_cl(ctx, &context, NULL, NULL) != OCLIN_OK) _exit(6);
    cl_event gate = clCreateUserEvent(context, &error);
    if (oclin_context_wait_for(ctx, 1, &gate) != OCLIN_OK || training_step(&training, 0) != OCLIN_OK)
        _exit(7);
}

static void from_another_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, exit_here, NULL)) _exit(8);
    pthread_join(thread, NULL);
}

static void *train_on(void *unused)
{
    (void)unused;
    for (int64_t step = 0;; step++)
        if (training_step(&training, step) != OCLIN_OK) return NULL;
}

static void while_another_trains(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, train_on, NULL)) _exit(9);
    usleep(20000);
    _exit(
        AS_IT_SHOULD); /* exit() would take the runtime away below the other thread: no library can allow that */
}

static void destroy_at_exit(void)
{
    training_free(&training);
    oclin_context_destroy(ctx);
}

/* Handlers run before or after the runtime's own, by when they were registered; this one before. */
static void in_a_handler(void)
{
    if (atexit(destroy_at_exit)) _exit(10);
}

#ifdef OCLIN_SHARED_LIBRARY
/* As find_real(), in one library. */
static void find_in(void *library, const char *name, void *function)
{
    void *symbol = dlsym(library, name);
    if (!symbol) _exit(14);
    memcpy(function, &symbol, sizeof symbol);
}

/* A plug-in: the library itself leaves the process while its context, with work on its way, stays. */
static void library_closed(void)
{
    void *library = dlopen(OCLIN_SHARED_LIBRARY, RTLD_NOW | RTLD_LOCAL);
    oclin_status (*create)(oclin_context **, const struct oclin_context_options *) = NULL;
    oclin_status (*tensor)(oclin_tensor **, oclin_context *, oclin_dtype, int64_t, int64_t) = NULL;
    oclin_status (*fill)(oclin_tensor *, double) = NULL;
    static oclin_context *its; /* alive until the process ends: nothing leaks */
    static oclin_tensor *t;
    if (!library) _exit(11);
    find_in(library, "oclin_context_create", &create);
    find_in(library, "oclin_tensor_create", &tensor);
    find_in(library, "oclin_tensor_fill", &fill);
    if (create(&its, NULL) != OCLIN_OK || tensor(&t, its, OCLIN_F32, 64, 64) != OCLIN_OK ||
        fill(t, 1.0) != OCLIN_OK)
        _exit(12);
    if (dlclose(library)) _exit(13);
}
#endif

static const struct ending {
    const char *name;
    void (*end)(void);
} endings[] = {
    {"return", return_at_once},
    {"with a read in flight", read_in_flight},
    {"behind a gate", behind_a_gate},
    {"from another thread", from_another_thread},
    {"while another trains", while_another_trains},
    {"destroyed in a handler", in_a_handler},
#ifdef OCLIN_SHARED_LIBRARY /* not in a build of the static library alone */
    {"library closed", library_closed},
#endif
};

static const char *self; /* argv[0] */

static void test_ending(void **state)
{
    const struct ending *e = *state;
    const int ended =
        run_again(self, "--end", e->name, 120, NULL, 0); /* a hang fails; an ending takes milliseconds */
    if (WIFSIGNALED(ended)) fail_msg("ended by signal %d (%d is the time limit)", WTERMSIG(ended), SIGALRM);
    assert_int_equal(WEXITSTATUS(ended), AS_IT_SHOULD);
}

static int end_as(const char *name)
{
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        if (strcmp(endings[i].name, name) == 0) {
            begin();
            endings[i].end();
            return AS_IT_SHOULD;
        }
    return 1;
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "--end") == 0) return end_as(argv[2]);
    self = argv[0];
    struct test_list list = {0};
    for (size_t i = 0; i < COUNT_OF(endings); i++)
        add_test(&list, test_ending, (void *)(uintptr_t)&endings[i], "%s", endings[i].name);
    return run_list("exit", &list, argc, argv);
}
