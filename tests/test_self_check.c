/*
 * oclin_self_check and verification as the program runs: silent on a device that is right, and naming the
 * operation, the element and both values when a kernel is wrong. Wrong kernels come through OCLIN_CL_DIR's
 * option, cl_dir.
 */
#define _XOPEN_SOURCE 700 /* mkdtemp */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "oclin_internal.h"

/* A mistake in one kernel file: `from` becomes `to`. */
struct mistake {
    const char *name, *file, *from, *to;
    const char *says; /* what the sentence must name */
};

static const struct mistake mistakes[] = {
    {"forward without bias", "forward.cl", "sum += load_lanes(v, lanes)", "sum += 0.0f", "forward: y["},
    {"relu as abs", "common.cl", "select(z, (real)(0.0f), isless", "select(z, -z, isless", "forward: y["},
    {"dx from a wrong sign", "grad_x.cl", "store_lanes(c, sum, lanes)", "store_lanes(c, -sum, lanes)",
     "backward: dx["},
    {"dw added to when it should be overwritten", "common.cl", "else if (flags & OCLIN_FLAG_ACCUMULATE)",
     "else", "backward: dw["},
    {"step in the wrong direction", "update.cl", "(real)(-lr)", "(real)(lr)", "step: w["},
    {"db not divided", "grad_w.cl", "sum_a * scale", "sum_a", "backward: db["},
    {"a loss without its gradient", "loss.cl", "p - 1.0f : p", "p : p", "cross_entropy: dy["},
};

static char *built_in(const char *name)
{
    for (size_t i = 0; i < oclin_cl_file_count; i++)
        if (strcmp(oclin_cl_files[i].name, name) == 0) {
            char *copy = new_array(char, strlen(oclin_cl_files[i].text) + 1);
            return strcpy(copy, oclin_cl_files[i].text);
        }
    fail_msg("%s is not built in", name);
    return NULL;
}

static void write_mistake(const char *folder, const struct mistake *m)
{
    char path[512];
    char *text = built_in(m->file), *at = strstr(text, m->from);
    if (!at) fail_msg("%s has no '%s'", m->file, m->from);
    snprintf(path, sizeof path, "%s/%s", folder, m->file);
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fprintf(f, "%.*s%s%s", (int)(at - text), text, m->to, at + strlen(m->from));
    assert_int_equal(fclose(f), 0);
    free(text);
}

static void test_mistake(void **state)
{
    const struct mistake *m = *state;
    char folder[] = "/tmp/oclin_test_XXXXXX", path[512];
    assert_non_null(mkdtemp(folder));
    write_mistake(folder, m);
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = "plain";
    o.cl_dir = folder;
    oclin_context *ctx = make_context_with(o);
    double worst = 0.0;
    assert_status(ctx, OCLIN_E_VERIFY, oclin_self_check(ctx, &worst));
    if (!strstr(oclin_context_error(ctx), m->says))
        fail_msg("'%s' does not name %s", oclin_context_error(ctx), m->says);
    assert_non_null(strstr(oclin_context_error(ctx), "the reference says"));
    assert_true(worst > 1.0);
    oclin_context_destroy(ctx);
    snprintf(path, sizeof path, "%s/%s", folder, m->file);
    remove(path);
    rmdir(folder);
}

static void test_right_device(void **state)
{
    const char *const *plan = *state;
    oclin_context *ctx = make_context(*plan);
    double worst = -1.0;
    assert_ok(ctx, oclin_self_check(ctx, &worst));
    assert_true(worst > 0.0 && worst <= 1.0);
    assert_int_equal(ctx->verify, 0); /* it leaves the context as it was */
    oclin_context_destroy(ctx);
}

static void test_arguments(void **state)
{
    (void)state;
    assert_int_equal(oclin_self_check(NULL, NULL), OCLIN_E_ARG);
    oclin_context *ctx = make_context("plain");
    assert_ok(ctx, oclin_self_check(ctx, NULL));
    oclin_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    static const char *const plans[] = {"plain", "simd", "simt-16", NULL};
    struct test_list list = {NULL, 0, 0};
    for (size_t i = 0; i < COUNT_OF(plans); i++)
        add_test(&list, test_right_device, (void *)(uintptr_t)&plans[i], "right_device/%s",
                 plans[i] ? plans[i] : "default");
    for (size_t i = 0; i < COUNT_OF(mistakes); i++)
        add_test(&list, test_mistake, (void *)(uintptr_t)&mistakes[i], "mistake/%s", mistakes[i].name);
    add_test(&list, test_arguments, NULL, "arguments");
    return run_list("self_check", &list, argc, argv);
}
