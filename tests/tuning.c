#define _XOPEN_SOURCE 700 /* setenv */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tuning.h"

const struct oclin_shape small = {8, 40, 24};

int family_of(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape)
{
    struct oclin_plan plan;
    const struct oclin_product p = oclin_plan_shaped(id, shape);
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    return (int)plan.tile.family;
}

int is_one_pass(const oclin_context *ctx, struct oclin_shape shape)
{
    const struct oclin_product p = oclin_plan_shaped(OCLIN_KERNEL_ONE_PASS, shape);
    return oclin_plan_one_pass(ctx, &p);
}

int is_cpu(const oclin_context *ctx)
{
    return ctx->device.info.type == OCLIN_DEVICE_CPU;
}

void check_layer(oclin_context *ctx, struct oclin_shape s)
{
    struct rng rng = {42};
    const int64_t xs = s.batch * s.in, ys = s.batch * s.out, ws = s.in * s.out;
    float *x = new_array(float, xs), *dy = new_array(float, ys), *w = new_array(float, ws);
    float *got = new_array(float, xs + ys + ws), *b = new_array(float, s.out);
    double *want = new_array(double, xs + ys + ws), *bound = new_array(double, xs + ys + ws);
    double *new_w = new_array(double, ws), *new_bound = new_array(double, ws);
    fill_zero_mean(&rng, x, xs);
    fill_zero_mean(&rng, dy, ys);
    fill_zero_mean(&rng, w, ws);
    const struct oclin_ref_case c = RANDOM_CASE(s.batch, s.in, s.out);
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, s.in, s.out, &o));
    oclin_tensor *tx = make_tensor(ctx, OCLIN_F32, s.batch, s.in, x);
    oclin_tensor *tdx = make_tensor(ctx, OCLIN_F32, s.batch, s.in, NULL);
    oclin_tensor *ty = make_tensor(ctx, OCLIN_F32, s.batch, s.out, NULL);
    oclin_tensor *tdy = make_tensor(ctx, OCLIN_F32, s.batch, s.out, dy);
    assert_ok(ctx, oclin_tensor_write(oclin_layer_w(l), w));
    assert_ok(ctx, oclin_tensor_write(oclin_layer_b(l), b));

    assert_ok(ctx, oclin_layer_forward(l, tx, ty));
    assert_ok(ctx, oclin_tensor_read(ty, got));
    oclin_ref_forward(&c, x, w, b, NULL, NULL, want, bound);
    check_bound("y", s.batch, s.out, s.out, got, want, bound);

    assert_ok(ctx, oclin_layer_backward(l, tdy, tdx));
    assert_ok(ctx, oclin_tensor_read(tdx, got));
    oclin_ref_grad_x(&c, w, dy, NULL, want, bound);
    check_bound("dx", s.batch, s.in, s.in, got, want, bound);
    assert_ok(ctx, oclin_tensor_read(oclin_layer_dw(l), got));
    oclin_ref_grad_w(&c, x, dy, NULL, want, bound);
    check_bound("dw", s.out, s.in, s.in, got, want, bound);

    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_layer_backward_step(l, tdy, tdx, 0.5f));
    assert_ok(ctx, oclin_tensor_read(oclin_layer_w(l), got));
    oclin_ref_step(NULL, ws, w, want, bound, 0.5f, new_w, new_bound);
    check_bound("w", s.out, s.in, s.in, got, new_w, new_bound);

    oclin_tensor *const tensors[] = {tx, tdx, ty, tdy};
    for (int i = 0; i < 4; i++) oclin_tensor_destroy(tensors[i]);
    oclin_layer_destroy(l);
    void *const all[] = {x, dy, w, got, b, want, bound, new_w, new_bound};
    for (size_t i = 0; i < COUNT_OF(all); i++) free(all[i]);
}

struct oclin_tuned entry_of(enum oclin_kernel_id id, struct oclin_shape shape, const char *plan)
{
    struct oclin_tuned t = {.id = id, .shape = shape, .ns = 20, .plan_ns = 10};
    snprintf(t.plan, sizeof t.plan, "%s", plan);
    return t;
}

void store_entries(const struct oclin_tuned *entries, int count)
{
    oclin_context *ctx = make_context(NULL);
    struct oclin_tuning fresh = {NULL, 0};
    for (int i = 0; i < count; i++) assert_true(oclin_tuning_put(&fresh, &entries[i]));
    oclin_tuning_store(ctx, &fresh);
    oclin_tuning_free(&fresh);
    oclin_context_destroy(ctx);
}

void store_one(void)
{
    const struct oclin_tuned t = entry_of(OCLIN_KERNEL_FORWARD, small, "plain");
    store_entries(&t, 1);
}

void check_accepted(int count)
{
    oclin_context *ctx = make_context(NULL);
    assert_int_equal(ctx->tuning->count, count);
    oclin_context_destroy(ctx);
}

static int listen(void *user, const struct oclin_tune_progress *p)
{
    struct listener *h = user;
    const size_t length = strlen(h->chosen);
    h->bad |= p->size != sizeof *p || p->event > OCLIN_TUNE_CHOSEN || !p->product[0] || !p->plan[0];
    h->bad |= !isfinite(p->seconds) || !isfinite(p->gain) || p->gain <= 0.0;
    h->bad |= p->event == OCLIN_TUNE_CHOSEN && p->seconds <= 0.0;
    h->bad |= (p->event == OCLIN_TUNE_SKIPPED) != (p->why[0] != 0);
    h->events[p->event]++;
    if (p->event == OCLIN_TUNE_SKIPPED)
        snprintf(h->skipped, sizeof h->skipped, "%s %s: %.400s", p->product, p->plan, p->why);
    if (p->event == OCLIN_TUNE_CHOSEN)
        snprintf(h->chosen + length, sizeof h->chosen - length, "%s %s;", p->product, p->plan);
    if (h->stop_after == AT_CHOICE) return p->event == OCLIN_TUNE_CHOSEN;
    return h->stop_after > 0 && --h->stop_after == 0;
}

oclin_status tune(oclin_context *ctx, struct oclin_shape s, double budget, struct listener *h)
{
    return oclin_tune(ctx, s.in, s.out, s.batch, budget, h ? listen : NULL, h);
}

void write_mistake(const struct folder *f, const char *file, const char *from, const char *to)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s/%s", f->path, file);
    const char *text = built_in(file), *at = strstr(text, from);
    if (!at) fail_msg("%s has no '%s'", file, from);
    FILE *out = fopen(path, "wb");
    assert_non_null(out);
    for (; (at = strstr(text, from)) != NULL; text = at + strlen(from))
        fprintf(out, "%.*s%s", (int)(at - text), text, to);
    fprintf(out, "%s", text);
    assert_int_equal(fclose(out), 0);
}

oclin_context *context_with_kernels(const struct folder *f)
{
    setenv("OCLIN_CACHE_DIR", "", 1);
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.cl_dir = f->path;
    oclin_context *ctx = make_context_with(o);
    clear_context_log();
    return ctx;
}
