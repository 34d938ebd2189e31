/*
 * Kernels that do not fit: a compiler may need so many registers that a built kernel runs in smaller work-
 * groups than the device has, or in none. oclin then takes the next tile or a smaller group; where there
 * is none left it says so.
 *
 * The program answers for the driver.
 */
#include "support.h"

#include <stdio.h>
#include <string.h>

#include "oclin_internal.h"

/* What a built kernel can run with; the driver does not tell what it was compiled for. */
static size_t most_items;

cl_int clGetKernelWorkGroupInfo(cl_kernel kernel, cl_device_id device, cl_kernel_work_group_info what,
                                size_t size, void *to, size_t *needed)
{
    cl_int (*real)(cl_kernel, cl_device_id, cl_kernel_work_group_info, size_t, void *, size_t *);
    find_real("clGetKernelWorkGroupInfo", &real);
    const cl_int error = real(kernel, device, what, size, to, needed);
    if (!error && to && what == CL_KERNEL_WORK_GROUP_SIZE) *(size_t *)to = most_items;
    if (!error && to && what == CL_KERNEL_COMPILE_WORK_GROUP_SIZE) memset(to, 0, size);
    return error;
}

enum { BATCH = 5, IN = 7, OUT = 3 };

struct bench {
    oclin_context *ctx;
    oclin_layer *layer;
    oclin_tensor *x, *y, *dy, *dx, *labels, *loss, *correct;
};

/* Every operation compares itself with the reference. */
static struct bench make_bench(const char *plan)
{
    struct bench b = {0};
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    float x[BATCH * IN];
    int32_t labels[BATCH];
    struct rng rng = {42};
    options.plan = plan;
    options.verify = 1;
    b.ctx = make_context_with(options);
    fill_zero_mean(&rng, x, COUNT_OF(x));
    fill_labels(&rng, labels, BATCH, OUT);
    assert_ok(b.ctx, oclin_layer_create(&b.layer, b.ctx, IN, OUT, NULL));
    b.x = make_tensor(b.ctx, OCLIN_F32, BATCH, IN, x);
    b.labels = make_tensor(b.ctx, OCLIN_I32, BATCH, 1, labels);
    b.y = make_tensor(b.ctx, OCLIN_F32, BATCH, OUT, NULL);
    b.dy = make_tensor(b.ctx, OCLIN_F32, BATCH, OUT, NULL);
    b.dx = make_tensor(b.ctx, OCLIN_F32, BATCH, IN, NULL);
    b.loss = make_tensor(b.ctx, OCLIN_F32, 1, 1, NULL);
    b.correct = make_tensor(b.ctx, OCLIN_I32, 1, 1, NULL);
    return b;
}

static void free_bench(struct bench *b)
{
    oclin_tensor *const all[] = {b->x, b->y, b->dy, b->dx, b->labels, b->loss, b->correct};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_layer_destroy(b->layer);
    oclin_context_destroy(b->ctx);
}

static void check_filled(oclin_context *ctx, oclin_tensor *t, float value)
{
    float host[BATCH * IN];
    assert_ok(ctx, oclin_tensor_fill(t, value));
    assert_ok(ctx, oclin_tensor_read(t, host));
    for (int i = 0; i < BATCH * IN; i++) assert_true(host[i] == value);
}

static void train(struct bench *b)
{
    check_filled(b->ctx, b->dx, 1.5f);
    assert_ok(b->ctx, oclin_layer_forward(b->layer, b->x, b->y));
    assert_ok(b->ctx, oclin_loss_mse(b->y, b->y, b->loss, b->dy, NULL));
    assert_ok(b->ctx, oclin_loss_cross_entropy(b->y, b->labels, b->loss, b->dy, b->correct, NULL));
    assert_ok(b->ctx, oclin_layer_backward(b->layer, b->dy, b->dx));
    assert_ok(b->ctx, oclin_layer_step(b->layer, 0.5f));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    assert_ok(b->ctx, oclin_layer_backward_step(b->layer, b->dy, b->dx, 0.5f));
}

/* That the kernel was built for this group, and fits. */
static void check_group(const char *kernel, int group)
{
    char line[120];
    snprintf(line, sizeof line, "built %s: group %d, vector 1, tile 1 x 1 x 1, item 1 x 1\n", kernel, group);
    if (!strstr(context_log(), line)) fail_msg("\"%s\" does not stand in\n%s", line, context_log());
}

/* The largest power of two that the kernels can run with; products have groups of 64 and, where those are
 * too many, of 1. */
static void test_smaller_groups(void **state)
{
    static const struct {
        size_t most;
        int elements, products;
    } rows[] = {{64, 64, 64}, {5, 4, 1}};
    (void)state;
    needs_plan("simt-32"); /* groups of 64, as the first row */
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        most_items = rows[i].most;
        clear_context_log();
        struct bench b = make_bench("plain");
        train(&b);
        check_group("forward_plain", rows[i].products);
        check_group("grad_w_plain", rows[i].products);
        check_group("fill", rows[i].elements);
        check_group("update", rows[i].elements);
        check_group("loss_mse", rows[i].elements);
        check_group("loss_sum", rows[i].elements);
        free_bench(&b);
    }
}

/* None at all. */
static void test_no_group(void **state)
{
    (void)state;
    most_items = 0;
    static const char *const plans[] = {"plain", "simt-16", NULL};
    for (size_t i = 0; i < COUNT_OF(plans); i++) {
        struct bench b = make_bench(plans[i]);
        assert_refused(b.ctx, OCLIN_E_DEVICE, "5 x 3 x 7", oclin_layer_forward(b.layer, b.x, b.y));
        assert_refused(b.ctx, OCLIN_E_DEVICE, "does not fit", oclin_tensor_fill(b.x, 1.0));
        assert_refused(b.ctx, OCLIN_E_DEVICE, "does not fit", oclin_loss_mse(b.y, b.y, b.loss, b.dy, NULL));
        free_bench(&b);
    }
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_test(&list, test_smaller_groups, NULL, "smaller groups");
    add_test(&list, test_no_group, NULL, "no group");
    return run_list("fit", &list, argc, argv);
}
