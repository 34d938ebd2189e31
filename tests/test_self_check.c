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
    const char *name, *plan, *file, *from, *to;
    const char *says; /* what the sentence must name: the operation, and the element's beginning */
};

static const struct mistake mistakes[] = {
    {"forward without bias", "plain", "forward.cl", "sum += load_lanes(v, lanes)", "sum += 0.0f",
     "forward: y["},
    {"relu as abs", "plain", "common.cl", "select(z, (real)(0.0f), isless", "select(z, -z, isless",
     "forward: y["},
    {"gelu by tanh", "plain", "common.cl", "0.5f * z * erfc(z * -0.70710678118654752f)",
     "0.5f * z * (1.0f + tanh(0.79788456f * (z + 0.044715f * z * z * z)))", "forward: y["},
    {"gelu's derivative without its density", "plain", "common.cl", "dy * (cdf + s * pdf)", "dy * cdf",
     "backward: dx["},
    {"z not as it was", "plain", "forward.cl", "store_lanes(z, sum, lanes)",
     "store_lanes(z, sum + 0.001f, lanes)", "forward: z["},
    {"forward gives NaN", "plain", "forward.cl", "activate(sum)", "activate(sum) + NAN",
     "forward: y[0, 0] is NaN, the reference says "},
    {"dx from a wrong sign", "plain", "grad_x.cl", "store_lanes(c, sum, lanes)",
     "store_lanes(c, -sum, lanes)", "backward: dx["},
    {"dw added to when it should be overwritten", "plain", "common.cl",
     "else if (flags & OCLIN_FLAG_ACCUMULATE)", "else", "backward: dw[0, 0] is NaN"},
    {"dw overwritten when it should be added to", "plain", "common.cl",
     "else if (flags & OCLIN_FLAG_ACCUMULATE)", "else if (0)", "backward: dw["},
    {"fused step in the wrong direction", "plain", "common.cl", "MULTIPLY_ADD((real)(-lr), g",
     "MULTIPLY_ADD((real)(lr), g", "backward_step: w["},
    {"step in the wrong direction", "plain", "update.cl", "(real)(-lr)", "(real)(lr)", "step: w["},
    {"step of four elements", "simd", "update.cl", "i += OCLIN_VL", "i += 2 * OCLIN_VL", "step: w["},
    {"db not divided", "plain", "grad_w.cl", "sum_a * scale", "sum_a", "backward: db["},
    {"a loss without its gradient", "plain", "loss.cl", "p - 1.0f : p", "p : p", "cross_entropy: dy["},
    {"a wrong count", "plain", "loss.cl", "y[i] == score && i >= label", "0", "cross_entropy: correct[0, 0]"},
    {"the differences of another loss", "plain", "loss.cl", "y[i] - t[i]", "y[i] + t[i]", "mse: loss[0, 0]"},
    {"a loss that is not added", "plain", "loss.cl", "sum += loss[loss_offset]", "sum = loss[loss_offset]",
     "mse: loss[0, 0]"},
    {"one block of k alone", "simd-whole", "product_simd.cl", "if (!first) {", "if (0) {", "forward: y["},
    {"strips of A that are read from the first", "simd", "product_simd.cl",
     "multiply(a_strips + strip * STRIP_FLOATS", "multiply(a_strips + 0 * STRIP_FLOATS", "forward: y["},
    {"sums of dZ without every fourth", "simd", "product_simd.cl", "(s0 + s1) + (s2 + s3)", "(s0 + s1) + s2",
     "backward: db["},
    {"packing into the first strips", "simd-packed", "product_simd.cl",
     "(k0 * strips + row0 / OCLIN_ITEM_M) * STRIP_FLOATS", "(k0 * strips) * STRIP_FLOATS", "forward: y["},
    {"packed panels of another block of k", "simd-packed", "product_simd.cl", "(k0 / block_k * all_panels",
     "(0 * all_panels", "forward: y["},
    {"a skinny forward of its last block of k", "simd", "forward_skinny.cl", "first ? s : *to + s", "s",
     "forward: y["},
    {"lanes that are not added up", "simd", "forward_skinny.cl", "v2.x + v2.y", "v2.x", "forward: y["},
    {"dx in one pass without its last row", "simd", "grads_skinny.cl", "dx[0] = MULTIPLY_ADD(z03, wr, sum0)",
     "dx[0] = sum0", "backward: dx["},
    {"dw in one pass of the first sample", "simd", "grads_skinny.cl", "const real x0 = x[0], x1 = x[1];",
     "const real x0 = x[0], x1 = x[0];", "backward: dw["},
    {"db in one pass without a sample", "simd", "grads_skinny.cl",
     "for (int i = 0; i < samples; i++) sum += dz", "for (int i = 1; i < samples; i++) sum += dz",
     "backward: db["},
    {"a tile in local memory that is not the next", "simt", "product_simt.cl", "front ^= 1;", "front ^= 0;",
     "forward: y["},
    {"A not summed over k", "simt", "product_simt.cl", "sum_a[q] += a[q]", "sum_a[q] = a[q]",
     "backward: db["},
    {"a register block that loses a row", "simt", "product_simt.cl",
     "sum[i + 3][j] = MULTIPLY_ADD((float4)(ak.w), bk[j], sum[i + 3][j])",
     "sum[i + 3][j] = MULTIPLY_ADD((float4)(ak.z), bk[j], sum[i + 3][j])", "forward: y["},
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
    o.plan = m->plan;
    o.cl_dir = folder;
    oclin_context *ctx = make_context_with(o);
    double worst = 0.0;
    assert_status(ctx, OCLIN_E_VERIFY, oclin_self_check(ctx, &worst));
    if (!strstr(oclin_context_error(ctx), m->says))
        fail_msg("'%s' does not name %s", oclin_context_error(ctx), m->says);
    assert_non_null(strstr(oclin_context_error(ctx), ", the reference says "));
    assert_non_null(strstr(oclin_context_error(ctx), ", plan ")); /* and where it was */
    if (!strstr(m->says, "correct")) assert_true(worst > 1.0);
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
        add_test(&list, test_mistake, (void *)(uintptr_t)&mistakes[i], "mistake/%s/%s", mistakes[i].plan,
                 mistakes[i].name);
    add_test(&list, test_arguments, NULL, "arguments");
    return run_list("self_check", &list, argc, argv);
}
