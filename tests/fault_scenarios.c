/* See fault_scenarios.h. */
#include <stdio.h>
#include <string.h>

#include "fault_scenarios.h"
#include "oclin_internal.h"

/* ------------------------------------------------------------------------ the scenarios */

static void forward(struct bench *b)
{
    assert_ok(b->ctx, oclin_layer_forward(b->layer, b->own[X], b->own[Y]));
}

static void forward_saved(struct bench *b)
{
    assert_ok(b->ctx, oclin_layer_forward_saved(b->layer, b->own[X], b->own[Y], b->saved));
}

static void backward(struct bench *b)
{
    forward(b);
    assert_ok(b->ctx, oclin_layer_backward(b->layer, b->own[DY], NULL));
}

static void need_gradients(struct bench *b)
{
    assert_non_null(oclin_layer_dw(b->layer));
    assert_non_null(oclin_layer_db(b->layer));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
}

/* What a function says that has a pointer for an answer: the last line begins with it. */
static oclin_status said(const void *pointer)
{
    for (int status = 1; !pointer && status < OCLIN_STATUS_COUNT; status++) {
        const char *name = oclin_status_name((oclin_status)status);
        if (strncmp(talk.last_line, name, strlen(name)) == 0) return (oclin_status)status;
    }
    return pointer ? OCLIN_OK : OCLIN_STATUS_COUNT;
}

oclin_status do_forward(struct bench *b)
{
    return oclin_layer_forward(b->layer, b->own[X], b->own[Y]);
}

static oclin_status do_forward_saved(struct bench *b)
{
    return oclin_layer_forward_saved(b->layer, b->own[X], b->own[Y], b->saved);
}

static oclin_status do_infer(struct bench *b)
{
    return oclin_layer_infer(b->layer, b->own[X], b->own[Y]);
}

static oclin_status do_backward(struct bench *b)
{
    return oclin_layer_backward(b->layer, b->own[DY], b->own[DX]);
}

static oclin_status do_backward_saved(struct bench *b)
{
    return oclin_layer_backward_saved(b->layer, b->own[DY], b->own[DX], b->saved);
}

static oclin_status do_backward_step(struct bench *b)
{
    return oclin_layer_backward_step(b->layer, b->own[DY], b->own[DX], 0.5f);
}

static oclin_status do_backward_step_saved(struct bench *b)
{
    return oclin_layer_backward_step_saved(b->layer, b->own[DY], b->own[DX], 0.5f, b->saved);
}

static oclin_status do_backward_x(struct bench *b)
{
    return oclin_layer_backward_x(b->layer, b->own[DY], b->own[DX]);
}

static oclin_status do_backward_x_saved(struct bench *b)
{
    return oclin_layer_backward_x_saved(b->layer, b->own[DY], b->own[DX], b->saved);
}

static oclin_status do_step(struct bench *b)
{
    return oclin_layer_step(b->layer, 0.5f);
}

/* x as the home of gradients: dw, db, and behind them another layer's db, which is only marked as zeros
 * and shares an element with the first: it must be written before that one can be cleared. */
static void make_other(struct bench *b)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    oclin_tensor *const x = b->own[X];
    assert_ok(b->ctx, oclin_tensor_view(&b->made_parts[0], x, 0, 2, 3, 3));
    assert_ok(b->ctx, oclin_tensor_view(&b->made_parts[1], x, 6, 1, 2, 2));
    assert_ok(b->ctx, oclin_tensor_view(&b->made_parts[2], x, 7, 1, 2, 2));
    o.db = b->made_parts[2];
    assert_ok(b->ctx, oclin_layer_create(&b->made_other, b->ctx, 3, 2, &o));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->made_other));
}

static oclin_status do_layer_with_gradients(struct bench *b)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.dw = b->made_parts[0];
    o.db = b->made_parts[1];
    o.w = oclin_layer_w(b->layer);
    o.b = oclin_layer_b(b->layer);
    return oclin_layer_create(&b->made_layer, b->ctx, 3, 2, &o);
}

static void make_neighbours(struct bench *b)
{
    const float ones[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    make_other(b);
    assert_ok(b->ctx, do_layer_with_gradients(b));
    assert_ok(b->ctx, oclin_tensor_write(b->made_parts[0], ones));
    assert_ok(b->ctx, oclin_tensor_write(b->made_parts[1], ones));
    assert_ok(b->ctx, oclin_layer_zero_grad(b->made_other));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

static oclin_status do_zero_grad(struct bench *b)
{
    return oclin_layer_zero_grad(b->made_layer);
}

static oclin_status do_dw(struct bench *b)
{
    return said(oclin_layer_dw(b->layer));
}

static oclin_status do_db(struct bench *b)
{
    return said(oclin_layer_db(b->layer));
}

static oclin_status do_reserve(struct bench *b)
{
    return oclin_layer_reserve(b->layer, b->batch);
}

static oclin_status do_reserve_step(struct bench *b)
{
    return oclin_layer_reserve_step(b->layer, b->batch);
}

static oclin_status do_reserve_infer(struct bench *b)
{
    return oclin_layer_reserve_infer(b->layer, b->batch);
}

static oclin_status do_layer_create(struct bench *b)
{
    return oclin_layer_create(&b->made_layer, b->ctx, 5, 7, NULL);
}

static oclin_status do_saved_create(struct bench *b)
{
    return oclin_saved_create(&b->made_saved, b->ctx);
}

static oclin_status do_create(struct bench *b)
{
    return oclin_tensor_create(&b->made, b->ctx, OCLIN_F32, 2, 3);
}

static oclin_status do_view(struct bench *b)
{
    return oclin_tensor_view(&b->made, b->own[X], 1, 2, 2, b->in);
}

static oclin_status do_view_rows(struct bench *b)
{
    return oclin_tensor_view_rows(&b->made, b->own[X], 1, 2);
}

static oclin_status do_wrap(struct bench *b)
{
    return oclin_tensor_wrap(&b->made, b->ctx, OCLIN_F32, b->buffer, 1, 2, 3, 3);
}

oclin_status do_wrap_part(struct bench *b)
{
    return oclin_tensor_wrap(&b->made, b->ctx, OCLIN_F32, b->part, 0, 2, 3, 3);
}

static oclin_status do_view_of_part(struct bench *b)
{
    oclin_tensor *base = NULL;
    OCLIN_TRY(oclin_tensor_wrap(&base, b->ctx, OCLIN_F32, b->part, 0, 2, 3, 3));
    const oclin_status status = oclin_tensor_view_rows(&b->made, base, 1, 1);
    oclin_tensor_destroy(base);
    return status;
}

static oclin_status do_write(struct bench *b)
{
    data_of(TENSORS, b->batch * b->in, fault_host);
    return oclin_tensor_write(b->own[X], fault_host);
}

static oclin_status do_write_rect(struct bench *b)
{
    data_of(TENSORS, b->batch * b->in, fault_host);
    return oclin_tensor_write(b->view, fault_host);
}

static oclin_status do_read(struct bench *b)
{
    return oclin_tensor_read(b->own[X], fault_host);
}

static oclin_status do_read_rect(struct bench *b)
{
    return oclin_tensor_read(b->view, fault_host);
}

static oclin_status do_read_dw(struct bench *b)
{
    return oclin_tensor_read(b->layer->dw, fault_host);
}

static oclin_status do_write_async(struct bench *b)
{
    data_of(TENSORS, b->batch * b->in, fault_host);
    return oclin_tensor_write_async(b->own[X], fault_host, &b->made_event);
}

static oclin_status do_read_async(struct bench *b)
{
    return oclin_tensor_read_async(b->own[X], fault_host, &b->made_event);
}

oclin_status do_fill(struct bench *b)
{
    return oclin_tensor_fill(b->own[X], 3.0);
}

static oclin_status do_fill_rect(struct bench *b)
{
    return oclin_tensor_fill(b->view, 3.0);
}

static oclin_status do_add(struct bench *b)
{
    return oclin_tensor_add(b->own[DX], b->own[X], 2.0f);
}

static oclin_status do_copy(struct bench *b)
{
    return oclin_tensor_copy(b->own[DX], b->own[X]);
}

/* Labels are 0 and 1: the first two rows of x. */
static oclin_status do_gather_rows(struct bench *b)
{
    return oclin_tensor_gather_rows(b->own[DX], b->own[X], b->own[LABELS]);
}

static oclin_status do_cl_mem(struct bench *b)
{
    return said(oclin_tensor_cl_mem(b->layer->dw));
}

static oclin_status do_finish(struct bench *b)
{
    return oclin_context_finish(b->ctx);
}

oclin_status do_wait_for(struct bench *b)
{
    return oclin_context_wait_for(b->ctx, 1, &b->event);
}

static oclin_status do_mark(struct bench *b)
{
    return oclin_context_mark(b->ctx, &b->made_event);
}

static oclin_status do_l1(struct bench *b)
{
    return oclin_loss_l1(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_huber(struct bench *b)
{
    return oclin_loss_huber(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_bce(struct bench *b)
{
    return oclin_loss_bce(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_soft_cross_entropy(struct bench *b)
{
    return oclin_loss_soft_cross_entropy(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

static oclin_status do_ignoring_loss(struct bench *b)
{
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    o.ignore_index = 0;
    o.label_smoothing = 0.25f;
    return oclin_loss_cross_entropy(b->own[Y], b->own[LABELS], b->own[LOSS], b->own[DY], b->own[CORRECT], &o);
}

static oclin_status do_tensor_norm2(struct bench *b)
{
    return oclin_tensor_norm2(b->own[X], b->own[LOSS], 0);
}

/* Of one sample the norm comes from two products, of all of them from dW in scratch memory. */
static void forward_of_one(struct bench *b)
{
    assert_ok(b->ctx, oclin_tensor_view_rows(&b->made_parts[0], b->own[X], 0, 1));
    assert_ok(b->ctx, oclin_tensor_view_rows(&b->made_parts[1], b->own[Y], 0, 1));
    assert_ok(b->ctx, oclin_tensor_view_rows(&b->made_parts[2], b->own[DY], 0, 1));
    assert_ok(b->ctx, oclin_layer_forward(b->layer, b->made_parts[0], b->made_parts[1]));
}

static oclin_status do_grad_norm2_of_one(struct bench *b)
{
    return oclin_layer_grad_norm2(b->layer, b->made_parts[2], b->own[LOSS], NULL);
}

static oclin_status do_grad_norm2(struct bench *b)
{
    struct oclin_grad_norm_options o = OCLIN_GRAD_NORM_OPTIONS_INIT;
    o.accumulate = 1;
    return oclin_layer_grad_norm2(b->layer, b->own[DY], b->own[LOSS], &o);
}

static void scalar_norm(struct bench *b)
{
    assert_ok(b->ctx, oclin_tensor_view(&b->made_parts[0], b->own[X], 0, 1, 1, 1));
}

static oclin_status do_scaled_factor(struct bench *b)
{
    return oclin_clip_factor(b->made_parts[0], 1, 0.5, b->own[LOSS]);
}

static oclin_status do_check_finite(struct bench *b)
{
    return oclin_check_finite(b->own[X], b->own[CORRECT]);
}

static oclin_status do_layer_check_finite(struct bench *b)
{
    return oclin_layer_check_finite(b->layer, b->own[DY], b->own[CORRECT], NULL);
}

static oclin_status do_softmax(struct bench *b)
{
    return oclin_softmax(b->own[Y], b->own[DY]);
}

static oclin_status do_argmax(struct bench *b)
{
    return oclin_tensor_argmax(b->own[Y], b->own[LABELS]);
}

/* The options of a call in which y and dx are added to. */
static const struct oclin_call_options adds = {.size = sizeof adds, .accumulate = 1};

static oclin_status do_forward_with(struct bench *b)
{
    return oclin_layer_forward_with(b->layer, b->own[X], b->own[Y], &adds);
}

static oclin_status do_infer_with(struct bench *b)
{
    return oclin_layer_infer_with(b->layer, b->own[X], b->own[Y], &adds);
}

static oclin_status do_backward_with(struct bench *b)
{
    return oclin_layer_backward_with(b->layer, b->own[DY], b->own[DX], &adds);
}

static oclin_status do_backward_x_with(struct bench *b)
{
    return oclin_layer_backward_x_with(b->layer, b->own[DY], b->own[DX], &adds);
}

static oclin_status do_backward_step_with(struct bench *b)
{
    return oclin_layer_backward_step_with(b->layer, b->own[DY], b->own[DX], 0.5f, NULL);
}

static oclin_status do_mse(struct bench *b)
{
    return oclin_loss_mse(b->own[Y], b->own[T], b->own[LOSS], b->own[DY], NULL);
}

oclin_status do_cross_entropy(struct bench *b)
{
    return oclin_loss_cross_entropy(b->own[Y], b->own[LABELS], b->own[LOSS], b->own[DY], b->own[CORRECT],
                                    NULL);
}

static oclin_status do_accumulated_loss(struct bench *b)
{
    struct oclin_loss_options o = OCLIN_LOSS_OPTIONS_INIT;
    o.accumulate = 1;
    o.reduction = OCLIN_SUM;
    o.scale = 2.0f;
    return oclin_loss_cross_entropy(b->own[Y], b->own[LABELS], b->own[LOSS], b->own[DY], b->own[CORRECT], &o);
}

static oclin_status do_empty_loss(struct bench *b)
{
    oclin_tensor *y = NULL, *labels = NULL;
    oclin_status status = oclin_tensor_view_rows(&y, b->own[Y], 0, 0);
    if (status == OCLIN_OK) status = oclin_tensor_view_rows(&labels, b->own[LABELS], 0, 0);
    if (status == OCLIN_OK)
        status = oclin_loss_cross_entropy(y, labels, b->own[LOSS], NULL, b->own[CORRECT], NULL);
    oclin_tensor_destroy(labels);
    oclin_tensor_destroy(y);
    return status;
}

static oclin_status do_loss_reserve(struct bench *b)
{
    return oclin_loss_reserve(b->ctx, 1000);
}

static oclin_status do_device_list(struct bench *b)
{
    struct oclin_device_info list[4];
    size_t count;
    (void)b;
    const oclin_status status = oclin_device_list(list, 4, &count);
    if (status != OCLIN_OK)
        snprintf(talk.last_line, sizeof talk.last_line, "%s: no sentence here", oclin_status_name(status));
    return status;
}

static oclin_status do_context_create(struct bench *b)
{
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = "plain";
    o.log = fault_log;
    o.error_text = talk.reason;
    o.error_text_size = sizeof talk.reason;
    return oclin_context_create(&b->made_ctx, &o);
}

static oclin_status do_context_around(struct bench *b)
{
    const struct oclin_context_options o = options_of(b->s);
    return oclin_context_create(&b->made_ctx, &o);
}

static const struct oclin_optimizer_options momentum = {
    .size = sizeof momentum, .rule = OCLIN_SGD, .momentum = 0.5};
static const struct oclin_update half = {.size = sizeof half, .lr = 0.5, .grad_scale = 1};

/* Scalars on the device: labels begin with 0 or 1, correct is made 0. */
static struct oclin_update with_scalars(const struct bench *b)
{
    struct oclin_update u = half;
    u.factor = b->own[LOSS];
    u.skip = b->own[CORRECT];
    return u;
}

static void make_optimizer(struct bench *b)
{
    assert_ok(b->ctx, oclin_optimizer_create(&b->made_optimizer, b->ctx, &momentum));
}

static void make_optimizer_of_tensor(struct bench *b)
{
    make_optimizer(b);
    assert_ok(b->ctx, oclin_optimizer_add_tensor(b->made_optimizer, b->own[T], b->own[DY], NULL));
}

/* w and b have made a step, and z is 0. */
static void make_schedule_free(struct bench *b)
{
    const struct oclin_optimizer_options o = OCLIN_SCHEDULE_FREE_OPTIONS_INIT;
    const struct oclin_steps steps = {sizeof steps, 1, 0.5, 0.25};
    assert_ok(b->ctx, oclin_optimizer_create(&b->made_optimizer, b->ctx, &o));
    assert_ok(b->ctx, oclin_optimizer_add(b->made_optimizer, b->layer, NULL));
    assert_ok(b->ctx, oclin_optimizer_set_steps(b->made_optimizer, b->layer->w, &steps));
    assert_ok(b->ctx, oclin_optimizer_set_steps(b->made_optimizer, b->layer->b, &steps));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

static void make_evaluating(struct bench *b)
{
    make_schedule_free(b);
    assert_ok(b->ctx, oclin_optimizer_eval(b->made_optimizer));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

static void finish(struct bench *b)
{
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

/* One more step, so that the counts are on the device. */
static void update_on_device(struct bench *b)
{
    const struct oclin_update u = with_scalars(b);
    assert_ok(b->ctx, oclin_tensor_fill(b->own[CORRECT], 0.0));
    backward(b);
    assert_ok(b->ctx, oclin_layer_update(b->layer, b->optimizer, &u));
    b->steps_before++;
    finish(b);
}

static void forward_on_device(struct bench *b)
{
    update_on_device(b);
    assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    forward(b);
    finish(b);
}

/* The gradients of a micro-batch wait, and another one was computed forward. */
static void micro_batch(struct bench *b)
{
    backward(b);
    forward(b);
    finish(b);
}

static void micro_batch_on_device(struct bench *b)
{
    update_on_device(b);
    assert_ok(b->ctx, oclin_layer_zero_grad(b->layer));
    micro_batch(b);
}

static oclin_status do_optimizer_create(struct bench *b)
{
    return oclin_optimizer_create(&b->made_optimizer, b->ctx, &momentum);
}

static oclin_status do_optimizer_add(struct bench *b)
{
    return oclin_optimizer_add(b->made_optimizer, b->layer, NULL);
}

static oclin_status do_optimizer_add_tensor(struct bench *b)
{
    return oclin_optimizer_add_tensor(b->made_optimizer, b->own[T], b->own[DY], NULL);
}

static oclin_status do_optimizer_steps(struct bench *b)
{
    struct oclin_steps steps = OCLIN_STEPS_INIT;
    return oclin_optimizer_steps(b->optimizer, b->layer->w, &steps);
}

static oclin_status do_eval(struct bench *b)
{
    return oclin_optimizer_eval(b->made_optimizer);
}

static oclin_status do_train(struct bench *b)
{
    return oclin_optimizer_train(b->made_optimizer);
}

static oclin_status do_layer_update(struct bench *b)
{
    return oclin_layer_update(b->layer, b->optimizer, &half);
}

static oclin_status do_layer_update_on_device(struct bench *b)
{
    const struct oclin_update u = with_scalars(b);
    return oclin_layer_update(b->layer, b->optimizer, &u);
}

static oclin_status do_tensor_update(struct bench *b)
{
    return oclin_tensor_update(b->own[T], b->made_optimizer, &half);
}

static oclin_status do_tensor_update_on_device(struct bench *b)
{
    struct oclin_update u = half;
    u.factor = b->own[LOSS];
    return oclin_tensor_update(b->own[T], b->made_optimizer, &u);
}

static oclin_status do_backward_update(struct bench *b)
{
    return oclin_layer_backward_update(b->layer, b->own[DY], b->own[DX], b->optimizer, &half);
}

static oclin_status do_backward_update_on_device(struct bench *b)
{
    const struct oclin_update u = with_scalars(b);
    return oclin_layer_backward_update(b->layer, b->own[DY], b->own[DX], b->optimizer, &u);
}

static oclin_status do_backward_update_with(struct bench *b)
{
    return oclin_layer_backward_update_with(b->layer, b->own[DY], b->own[DX], b->optimizer, &half, &adds);
}

/* Everything that can be destroyed, with a view that outlives its base. */
static void make_all(struct bench *b)
{
    const struct oclin_context_options o = options_of(b->s);
    assert_int_equal(oclin_context_create(&b->made_ctx, &o), OCLIN_OK);
    assert_int_equal(oclin_layer_create(&b->made_layer, b->made_ctx, 3, 2, NULL), OCLIN_OK);
    assert_int_equal(oclin_saved_create(&b->made_saved, b->made_ctx), OCLIN_OK);
    assert_int_equal(oclin_optimizer_create(&b->made_optimizer, b->made_ctx, &momentum), OCLIN_OK);
    assert_int_equal(oclin_optimizer_add(b->made_optimizer, b->made_layer, NULL), OCLIN_OK);
    assert_int_equal(oclin_tensor_wrap(&b->made, b->made_ctx, OCLIN_F32, b->part, 0, 2, 3, 3), OCLIN_OK);
    assert_int_equal(oclin_tensor_fill(b->made, 1.0), OCLIN_OK);
}

static oclin_status do_destroy(struct bench *b)
{
    oclin_context_destroy(b->made_ctx);
    oclin_saved_destroy(b->made_saved);
    oclin_layer_destroy(b->made_layer);
    oclin_optimizer_destroy(b->made_optimizer);
    oclin_tensor_destroy(b->made);
    b->made_ctx = NULL;
    b->made_saved = NULL;
    b->made_layer = NULL;
    b->made_optimizer = NULL;
    b->made = NULL;
    return OCLIN_OK;
}

static oclin_status do_touch(struct bench *b)
{
    return oclin_tensor_touch(b->made_parts[1]);
}

static oclin_status do_fill_part(struct bench *b)
{
    return oclin_tensor_fill(b->made_parts[1], 5.0);
}

/* x is a gradient that is only marked as zeros. */
static void make_zeros(struct bench *b)
{
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    o.dw = b->own[X];
    assert_ok(b->ctx, oclin_layer_create(&b->made_other, b->ctx, b->in, b->batch, &o));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

static oclin_status do_fill_and_finish(struct bench *b)
{
    OCLIN_TRY(oclin_tensor_fill(b->own[X], 3.0));
    return oclin_context_finish(b->ctx);
}

/* The cache folder has the kernel that the call needs. */
static void store_kernel(struct bench *b)
{
    const struct oclin_context_options o = options_of(b->s);
    oclin_context *ctx = NULL;
    oclin_tensor *t = NULL;
    assert_int_equal(oclin_context_create(&ctx, &o), OCLIN_OK);
    assert_ok(ctx, oclin_tensor_create(&t, ctx, OCLIN_F32, 1, 1));
    assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    assert_ok(ctx, oclin_context_finish(ctx));
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}
static oclin_status do_self_check(struct bench *b)
{
    return oclin_self_check(b->ctx, NULL);
}

/* With a clock that goes by calls, so that the numbers of calls are the same each time. */
static oclin_status do_tune(struct bench *b)
{
    faults_clock(0.02);
    const oclin_status status = oclin_tune(b->ctx, 4, 3, 2, 4.0, NULL, NULL);
    faults_clock(0.0);
    return status;
}

/* ------------------------------------------------------------------------ networks */

/* A network of the bench's layer alone, so that the bench sees all that a call changes. */
static oclin_status do_network_from(struct bench *b)
{
    return oclin_network_create_from(&b->made_network, b->ctx, 1, &b->layer, NULL);
}

static oclin_status do_network_create(struct bench *b)
{
    static const int64_t widths[] = {3, 4, 2};
    return oclin_network_create(&b->made_network, b->ctx, 2, widths, NULL, NULL);
}

static void make_network(struct bench *b)
{
    assert_ok(b->ctx, do_network_from(b));
    assert_ok(b->ctx, oclin_optimizer_create(&b->made_optimizer, b->ctx, NULL));
}

static void network_forward(struct bench *b)
{
    make_network(b);
    assert_ok(b->ctx, oclin_network_add(b->made_optimizer, b->made_network));
    assert_ok(b->ctx, oclin_network_forward(b->made_network, b->own[X], NULL));
}

static void network_backward(struct bench *b)
{
    network_forward(b);
    assert_ok(b->ctx, oclin_network_backward(b->made_network, b->own[DY], NULL));
}

/* Two layers, the first of them a residual branch. */
static void make_two(struct bench *b)
{
    static const int residual[] = {1, 0};
    struct oclin_network_options o = OCLIN_NETWORK_OPTIONS_INIT;
    struct oclin_layer_options lo = OCLIN_LAYER_OPTIONS_INIT;
    o.residual = residual;
    lo.activation = OCLIN_GELU;
    lo.init = OCLIN_INIT_ZERO; /* numbers stay integers */
    assert_ok(b->ctx, oclin_layer_create(&b->made_other, b->ctx, 3, 3, &lo));
    oclin_layer *const layers[] = {b->made_other, b->layer};
    assert_ok(b->ctx, oclin_network_create_from(&b->made_network, b->ctx, 2, layers, &o));
}

/* A network whose gradients lie beside those of others. */
static void make_network_of_neighbour(struct bench *b)
{
    make_neighbours(b);
    assert_ok(b->ctx, oclin_network_create_from(&b->made_network, b->ctx, 1, &b->made_layer, NULL));
}

static oclin_status do_network_add(struct bench *b)
{
    return oclin_network_add(b->made_optimizer, b->made_network);
}

static oclin_status do_network_forward(struct bench *b)
{
    return oclin_network_forward(b->made_network, b->own[X], NULL);
}

static oclin_status do_network_infer(struct bench *b)
{
    return oclin_network_infer(b->made_network, b->own[X], b->own[Y]);
}

static oclin_status do_network_backward(struct bench *b)
{
    return oclin_network_backward(b->made_network, b->own[DY], b->own[DX]);
}

static oclin_status do_network_zero_grad(struct bench *b)
{
    return oclin_network_zero_grad(b->made_network);
}

static oclin_status do_network_update(struct bench *b)
{
    const struct oclin_update u = OCLIN_UPDATE_INIT(0.5);
    return oclin_network_update(b->made_network, b->made_optimizer, &u);
}

static oclin_status do_network_backward_update(struct bench *b)
{
    const struct oclin_update u = OCLIN_UPDATE_INIT(0.5);
    return oclin_network_backward_update(b->made_network, b->own[DY], b->own[DX], b->made_optimizer, &u);
}

static oclin_status network_train_step(struct bench *b, double lr, oclin_tensor *loss, oclin_tensor *correct)
{
    const struct oclin_update u = OCLIN_UPDATE_INIT(lr);
    const struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&u);
    return oclin_network_train_step(b->made_network, b->own[X], b->own[LABELS], OCLIN_LOSS_CROSS_ENTROPY,
                                    NULL, loss, correct, b->made_optimizer, &o);
}

/* The kernels of a step are built, because one that is missing is found when those before it have run. */
static void network_warm(struct bench *b)
{
    make_network(b);
    assert_ok(b->ctx, do_network_add(b));
    assert_ok(b->ctx, network_train_step(b, 0, NULL, NULL));
    assert_ok(b->ctx, oclin_context_finish(b->ctx));
}

static oclin_status do_network_train_step(struct bench *b)
{
    return network_train_step(b, 0.5, b->own[LOSS], b->own[CORRECT]);
}

static oclin_status do_network_reserve(struct bench *b)
{
    return oclin_network_reserve(b->made_network, b->batch);
}

static oclin_status do_network_reserve_step(struct bench *b)
{
    return oclin_network_reserve_step(b->made_network, b->batch);
}

static oclin_status do_network_reserve_infer(struct bench *b)
{
    return oclin_network_reserve_infer(b->made_network, b->batch);
}

#define GRADIENTS (BIT(DW) | BIT(DB))
#define PARAMETERS (BIT(W) | BIT(B))
#define LEARNT (PARAMETERS | BIT(STATE_W) | BIT(STATE_B))

/* In the promises "old" is what the tensor held before, "new" the whole result, and "refused" that it can
 * neither be read nor used until it is written. */
const struct scenario scenarios[] = {
    {"device list", "no list, or one without what cannot be asked", .covers = "oclin_device_list ",
     .call = do_device_list, .how = NO_CONTEXT},
    {"context", "no context, and the reason in words", .covers = "oclin_context_create ",
     .call = do_context_create, .how = NO_CONTEXT | HAS_REASON},
    {"context around a queue", "no context, and the handles of the caller stay",
     .covers = "oclin_context_create ", .call = do_context_around, .how = NO_CONTEXT},
    {"destroy", "all goes, whatever the driver says",
     .covers = "oclin_context_destroy oclin_tensor_destroy oclin_layer_destroy oclin_saved_destroy "
               "oclin_optimizer_destroy ",
     .call = do_destroy, .prepare = make_all, .how = NO_CONTEXT},
    {"finish", "what was computed since the last finish is right or refused",
     .covers = "oclin_context_finish ", .call = do_finish, .prepare = backward, .how = LOSES_ALL},
    {"wait_for", "no tensor changes", .covers = "oclin_context_wait_for ", .call = do_wait_for},
    {"mark", "no event, and no tensor changes", .covers = "oclin_context_mark ", .call = do_mark,
     .prepare = forward},

    {"create", "no tensor, and nothing is kept", .covers = "oclin_tensor_create ", .call = do_create},
    {"view", "no view, and the tensor keeps its numbers", .covers = "oclin_tensor_view ", .call = do_view},
    {"view of rows", "no view, and the tensor keeps its numbers", .covers = "oclin_tensor_view_rows ",
     .call = do_view_rows},
    {"wrap", "no tensor, and the buffer of the caller stays", .covers = "oclin_tensor_wrap ",
     .call = do_wrap},
    {"wrap a sub-buffer", "no tensor, and the buffer of the caller stays", .covers = "oclin_tensor_wrap ",
     .call = do_wrap_part},
    {"view of a sub-buffer", "no view, and the buffer of the caller stays", .covers = "oclin_tensor_view ",
     .call = do_view_of_part},
    {"write", "x is old, new or refused", .covers = "oclin_tensor_write ", .call = do_write,
     .overwrites = BIT(X)},
    {"write, strided", "x is old, new or refused, between the columns, too", .covers = "oclin_tensor_write ",
     .call = do_write_rect, .overwrites = BIT(X)},
    {"read", "what was computed since the last finish is right or refused", .covers = "oclin_tensor_read ",
     .call = do_read, .prepare = forward, .how = LOSES_ALL},
    {"read, strided", "what was computed since the last finish is right or refused",
     .covers = "oclin_tensor_read ", .call = do_read_rect, .prepare = forward, .how = LOSES_ALL},
    {"read zeros", "a cleared gradient is zero or refused", .covers = "oclin_tensor_read ",
     .call = do_read_dw, .prepare = need_gradients, .how = LOSES_ALL},
    {"write, no waiting", "no event, and x is old, new or refused", .covers = "oclin_tensor_write_async ",
     .call = do_write_async, .overwrites = BIT(X)},
    {"read, no waiting", "no event, and what was computed is right or refused",
     .covers = "oclin_tensor_read_async ", .call = do_read_async, .prepare = forward, .how = LOSES_ALL},
    {"fill", "x is old, new or refused", .covers = "oclin_tensor_fill ", .call = do_fill,
     .overwrites = BIT(X)},
    {"fill, strided", "x is old, new or refused, between the columns, too", .covers = "oclin_tensor_fill ",
     .call = do_fill_rect, .overwrites = BIT(X)},
    {"add", "dx is old, updated once or refused", .covers = "oclin_tensor_add ", .call = do_add,
     .updates = BIT(DX)},
    {"add, checked", "dx is old, updated once or refused", .covers = "oclin_tensor_add ", .call = do_add,
     .updates = BIT(DX), .how = VERIFY},
    {"copy", "dx is old, new or refused", .covers = "oclin_tensor_copy ", .call = do_copy,
     .overwrites = BIT(DX)},
    {"copy, checked", "dx is old, new or refused", .covers = "oclin_tensor_copy ", .call = do_copy,
     .overwrites = BIT(DX), .how = VERIFY},
    {"gather rows", "dx is old, new or refused", .covers = "oclin_tensor_gather_rows ",
     .call = do_gather_rows, .overwrites = BIT(DX)},
    {"gather rows, checked", "dx is old, new or refused", .covers = "oclin_tensor_gather_rows ",
     .call = do_gather_rows, .overwrites = BIT(DX), .how = VERIFY},
    {"cl_mem of zeros", "no buffer, and the gradient stays zero", .covers = "oclin_tensor_cl_mem ",
     .call = do_cl_mem, .prepare = need_gradients},

    {"layer", "no layer, and nothing is kept", .covers = "oclin_layer_create ", .call = do_layer_create,
     .how = MAKES_LAYER},
    {"saved", "no saved state, and nothing is kept", .covers = "oclin_saved_create ",
     .call = do_saved_create},
    {"dw", "no gradient, and later there is one", .covers = "oclin_layer_dw ", .call = do_dw,
     .how = COLD_ONLY},
    {"db", "no gradient, and later there is one", .covers = "oclin_layer_db ", .call = do_db,
     .how = COLD_ONLY},
    {"reserve", "no tensor changes, and later the memory is there", .covers = "oclin_layer_reserve ",
     .call = do_reserve, .how = COLD_ONLY, .activation = OCLIN_GELU},
    {"reserve, packed", "no tensor changes, and later the memory is there", .covers = "oclin_layer_reserve ",
     .call = do_reserve, .how = COLD_ONLY, .activation = OCLIN_GELU, .plan = "simd-packed"},
    {"reserve for steps", "no tensor changes, and later the memory is there",
     .covers = "oclin_layer_reserve_step ", .call = do_reserve_step, .how = COLD_ONLY,
     .activation = OCLIN_GELU, .plan = "simd-packed"},
    {"reserve for infer", "no tensor changes, and later the memory is there",
     .covers = "oclin_layer_reserve_infer ", .call = do_reserve_infer, .how = COLD_ONLY,
     .activation = OCLIN_GELU, .plan = "simd-packed"},
    {"forward", "y is old, new or refused, and nothing else changes", .covers = "oclin_layer_forward ",
     .call = do_forward, .overwrites = BIT(Y)},
    {"forward, GELU", "y is old, new or refused, and nothing else changes", .covers = "oclin_layer_forward ",
     .call = do_forward, .overwrites = BIT(Y), .activation = OCLIN_GELU},
    {"forward, checked", "y is old, new or refused, and nothing else changes",
     .covers = "oclin_layer_forward ", .call = do_forward, .overwrites = BIT(Y), .how = VERIFY,
     .activation = OCLIN_GELU},
    {"forward, saved", "y is old, new or refused, and nothing else changes",
     .covers = "oclin_layer_forward_saved ", .call = do_forward_saved, .overwrites = BIT(Y),
     .activation = OCLIN_GELU},
    {"forward, added to y", "y is old, the sum or refused", .covers = "oclin_layer_forward_with ",
     .call = do_forward_with, .updates = BIT(Y), .activation = OCLIN_TANH},
    {"forward, added to y, checked", "y is old, the sum or refused", .covers = "oclin_layer_forward_with ",
     .call = do_forward_with, .updates = BIT(Y), .how = VERIFY, .activation = OCLIN_GELU},
    {"infer, added to y", "y is old, the sum or refused", .covers = "oclin_layer_infer_with ",
     .call = do_infer_with, .updates = BIT(Y), .activation = OCLIN_GELU},
    {"infer", "y is old, new or refused, and nothing else changes", .covers = "oclin_layer_infer ",
     .call = do_infer, .overwrites = BIT(Y), .activation = OCLIN_TANH},
    {"infer, checked", "y is old, new or refused, and nothing else changes", .covers = "oclin_layer_infer ",
     .call = do_infer, .overwrites = BIT(Y), .how = VERIFY, .activation = OCLIN_RELU},
    {"backward", "dx and gradients are old, new or refused, and no step is taken with those refused",
     .covers = "oclin_layer_backward ", .call = do_backward, .prepare = forward,
     .overwrites = BIT(DX) | GRADIENTS, .activation = OCLIN_RELU},
    {"backward, accumulating", "nothing is added to gradients, or they are refused",
     .covers = "oclin_layer_backward ", .call = do_backward, .prepare = backward, .overwrites = BIT(DX),
     .updates = GRADIENTS, .activation = OCLIN_GELU},
    {"backward, checked", "nothing is added to gradients, or they are refused",
     .covers = "oclin_layer_backward ", .call = do_backward, .prepare = backward, .overwrites = BIT(DX),
     .updates = GRADIENTS, .how = VERIFY, .activation = OCLIN_TANH},
    {"backward, saved", "dx and gradients are old, new or refused, and no step is taken with those refused",
     .covers = "oclin_layer_backward_saved ", .call = do_backward_saved, .prepare = forward_saved,
     .overwrites = BIT(DX) | GRADIENTS, .activation = OCLIN_GELU},
    {"backward, added to dx", "dx is old, the sum or refused", .covers = "oclin_layer_backward_with ",
     .call = do_backward_with, .prepare = forward, .overwrites = GRADIENTS, .updates = BIT(DX)},
    {"dx alone, added to, checked", "dx is old, the sum or refused", .covers = "oclin_layer_backward_x_with ",
     .call = do_backward_x_with, .prepare = forward, .updates = BIT(DX), .how = VERIFY},
    {"backward_step, with options", "parameters are old or refused, and no layer goes on with those refused",
     .covers = "oclin_layer_backward_step_with ", .call = do_backward_step_with, .prepare = forward,
     .overwrites = BIT(DX), .updates = PARAMETERS},
    {"backward_step", "parameters are old or refused, and no layer goes on with those refused",
     .covers = "oclin_layer_backward_step ", .call = do_backward_step, .prepare = forward,
     .overwrites = BIT(DX), .updates = PARAMETERS, .activation = OCLIN_SIGMOID},
    {"backward_step, checked", "parameters are old or refused, and no layer goes on with those refused",
     .covers = "oclin_layer_backward_step ", .call = do_backward_step, .prepare = forward,
     .overwrites = BIT(DX), .updates = PARAMETERS, .how = VERIFY, .activation = OCLIN_RELU},
    {"backward_step, saved", "parameters are old or refused, and no layer goes on with those refused",
     .covers = "oclin_layer_backward_step_saved ", .call = do_backward_step_saved, .prepare = forward_saved,
     .overwrites = BIT(DX), .updates = PARAMETERS, .activation = OCLIN_GELU},
    {"backward_x", "dx is old, new or refused, and nothing else changes", .covers = "oclin_layer_backward_x ",
     .call = do_backward_x, .prepare = forward, .overwrites = BIT(DX), .activation = OCLIN_SIGMOID},
    {"backward_x, checked", "dx is old, new or refused, and nothing else changes",
     .covers = "oclin_layer_backward_x ", .call = do_backward_x, .prepare = backward, .overwrites = BIT(DX),
     .how = VERIFY, .activation = OCLIN_GELU},
    {"backward_x, saved", "dx is old, new or refused, and nothing else changes",
     .covers = "oclin_layer_backward_x_saved ", .call = do_backward_x_saved, .prepare = forward_saved,
     .overwrites = BIT(DX), .activation = OCLIN_RELU},
    {"step", "parameters are old or refused, and the gradients stay", .covers = "oclin_layer_step ",
     .call = do_step, .prepare = backward, .updates = PARAMETERS},
    {"step, checked", "parameters are old or refused, and the gradients stay", .covers = "oclin_layer_step ",
     .call = do_step, .prepare = backward, .updates = PARAMETERS, .how = VERIFY},

    {"optimizer", "no optimizer, and nothing is kept", .covers = "oclin_optimizer_create ",
     .call = do_optimizer_create, .how = MAKES_OPTIMIZER},
    {"optimizer add", "the layer was not added, and can be", .covers = "oclin_optimizer_add ",
     .call = do_optimizer_add, .prepare = make_optimizer},
    {"optimizer add tensor", "the tensor was not added, and can be", .covers = "oclin_optimizer_add_tensor ",
     .call = do_optimizer_add_tensor, .prepare = make_optimizer},
    {"optimizer steps", "no count, and what was computed since the last finish is right or refused",
     .covers = "oclin_optimizer_steps ", .call = do_optimizer_steps, .prepare = update_on_device,
     .updates = LEARNT | BIT(CORRECT), .how = OPTIMIZES | LOSES_ALL},
    {"eval", "parameters are old or refused", .covers = "oclin_optimizer_eval ", .call = do_eval,
     .prepare = make_schedule_free, .updates = PARAMETERS},
    {"train", "parameters are old or refused", .covers = "oclin_optimizer_train ", .call = do_train,
     .prepare = make_evaluating, .updates = PARAMETERS},
    {"update", "parameters and state are old or refused, and the gradients stay",
     .covers = "oclin_layer_update ", .call = do_layer_update, .prepare = backward, .updates = LEARNT,
     .how = OPTIMIZES},
    {"update, checked", "parameters and state are old or refused, and the gradients stay",
     .covers = "oclin_layer_update ", .call = do_layer_update, .prepare = backward, .updates = LEARNT,
     .how = OPTIMIZES | VERIFY},
    {"update, on the device", "parameters, state and count are old or refused",
     .covers = "oclin_layer_update ", .call = do_layer_update_on_device, .prepare = update_on_device,
     .updates = LEARNT, .how = OPTIMIZES},
    {"update, on the device and checked", "parameters, state and count are old or refused",
     .covers = "oclin_layer_update ", .call = do_layer_update_on_device, .prepare = update_on_device,
     .updates = LEARNT, .how = OPTIMIZES | VERIFY},
    {"tensor update", "the tensor is old or refused", .covers = "oclin_tensor_update ",
     .call = do_tensor_update, .prepare = make_optimizer_of_tensor, .updates = BIT(T)},
    {"tensor update, on the device", "the tensor is old or refused", .covers = "oclin_tensor_update ",
     .call = do_tensor_update_on_device, .prepare = make_optimizer_of_tensor, .updates = BIT(T)},
    {"backward_update", "parameters and state are old or refused", .covers = "oclin_layer_backward_update ",
     .call = do_backward_update, .prepare = forward, .overwrites = BIT(DX), .updates = LEARNT,
     .how = OPTIMIZES, .activation = OCLIN_RELU},
    {"backward_update, checked", "parameters and state are old or refused",
     .covers = "oclin_layer_backward_update ", .call = do_backward_update, .prepare = forward,
     .overwrites = BIT(DX), .updates = LEARNT, .how = OPTIMIZES | VERIFY, .activation = OCLIN_GELU},
    {"backward_update, on the device", "parameters, state and count are old or refused",
     .covers = "oclin_layer_backward_update ", .call = do_backward_update_on_device,
     .prepare = forward_on_device, .overwrites = BIT(DX), .updates = LEARNT, .how = OPTIMIZES},
    {"backward_update, added to dx", "dx is old, the sum or refused",
     .covers = "oclin_layer_backward_update_with ", .call = do_backward_update_with, .prepare = forward,
     .updates = LEARNT | BIT(DX), .how = OPTIMIZES},
    {"backward_update of micro-batches", "gradients, parameters and state are old or refused",
     .covers = "oclin_layer_backward_update_with ", .call = do_backward_update_with, .prepare = micro_batch,
     .updates = LEARNT | GRADIENTS | BIT(DX), .how = OPTIMIZES},
    {"backward_update of micro-batches, checked", "gradients, parameters and state are old or refused",
     .covers = "oclin_layer_backward_update_with ", .call = do_backward_update_with, .prepare = micro_batch,
     .updates = LEARNT | GRADIENTS | BIT(DX), .how = OPTIMIZES | VERIFY},
    {"backward_update of micro-batches, on the device", "gradients, parameters and state are old or refused",
     .covers = "oclin_layer_backward_update ", .call = do_backward_update_on_device,
     .prepare = micro_batch_on_device, .overwrites = BIT(DX), .updates = LEARNT | GRADIENTS,
     .how = OPTIMIZES},
    {"one pass backward_update", "parameters and state are old or refused", .call = do_backward_update,
     .prepare = forward, .overwrites = BIT(DX), .updates = LEARNT, .how = OPTIMIZES, .plan = "simd-skinny"},

    {"l1", "loss and dy are old, new or refused", .covers = "oclin_loss_l1 ", .call = do_l1,
     .overwrites = BIT(LOSS) | BIT(DY)},
    {"huber", "loss and dy are old, new or refused", .covers = "oclin_loss_huber ", .call = do_huber,
     .overwrites = BIT(LOSS) | BIT(DY)},
    {"bce, checked", "loss and dy are old, new or refused", .covers = "oclin_loss_bce ", .call = do_bce,
     .overwrites = BIT(LOSS) | BIT(DY), .how = VERIFY},
    {"soft cross-entropy, checked", "loss and dy are old, new or refused",
     .covers = "oclin_loss_soft_cross_entropy ", .call = do_soft_cross_entropy,
     .overwrites = BIT(LOSS) | BIT(DY), .how = VERIFY},
    {"cross-entropy, labels ignored", "loss, dy and count are old, new or refused",
     .covers = "oclin_loss_cross_entropy ", .call = do_ignoring_loss,
     .overwrites = BIT(LOSS) | BIT(DY) | BIT(CORRECT)},
    {"norm2, checked", "the norm is old, new or refused", .covers = "oclin_tensor_norm2 ",
     .call = do_tensor_norm2, .overwrites = BIT(LOSS), .how = VERIFY},
    {"norm of a gradient", "nothing is added to the norm, or it is refused",
     .covers = "oclin_layer_grad_norm2 ", .call = do_grad_norm2, .prepare = forward, .updates = BIT(LOSS),
     .activation = OCLIN_RELU},
    {"norm of a gradient, checked", "nothing is added to the norm, or it is refused",
     .covers = "oclin_layer_grad_norm2 ", .call = do_grad_norm2, .prepare = forward, .updates = BIT(LOSS),
     .how = VERIFY},
    {"norm of a gradient, by products", "the norm is old, new or refused",
     .covers = "oclin_layer_grad_norm2 ", .call = do_grad_norm2_of_one, .prepare = forward_of_one,
     .overwrites = BIT(LOSS), .activation = OCLIN_RELU},
    {"norm of a gradient, packed", "nothing is added to the norm, or it is refused",
     .covers = "oclin_layer_grad_norm2 ", .call = do_grad_norm2, .prepare = forward, .updates = BIT(LOSS),
     .plan = "simd-packed"},
    {"norm of a gradient, stored", "nothing is added to the norm, or it is refused",
     .covers = "oclin_layer_grad_norm2 ", .call = do_grad_norm2, .prepare = backward, .updates = BIT(LOSS)},
    {"check_finite", "the flag is old or refused", .covers = "oclin_check_finite ", .call = do_check_finite,
     .updates = BIT(CORRECT)},
    {"check_finite, checked", "the flag is old or refused", .covers = "oclin_check_finite ",
     .call = do_check_finite, .updates = BIT(CORRECT), .how = VERIFY},
    {"check_finite of a layer", "the flag is old or refused", .covers = "oclin_layer_check_finite ",
     .call = do_layer_check_finite, .prepare = forward, .updates = BIT(CORRECT), .activation = OCLIN_RELU},
    {"clip_factor", "the factor is old, new or refused", .covers = "oclin_clip_factor ",
     .call = do_scaled_factor, .prepare = scalar_norm, .overwrites = BIT(LOSS)},
    {"softmax, checked", "the result is old, new or refused", .covers = "oclin_softmax ", .call = do_softmax,
     .overwrites = BIT(DY), .how = VERIFY},
    {"argmax, checked", "the result is old, new or refused", .covers = "oclin_tensor_argmax ",
     .call = do_argmax, .overwrites = BIT(LABELS), .how = VERIFY},
    {"mse", "loss and dy are old, new or refused", .covers = "oclin_loss_mse ", .call = do_mse,
     .overwrites = BIT(LOSS) | BIT(DY)},
    {"mse, checked", "loss and dy are old, new or refused", .covers = "oclin_loss_mse ", .call = do_mse,
     .overwrites = BIT(LOSS) | BIT(DY), .how = VERIFY},
    {"cross-entropy", "loss, dy and count are old, new or refused", .covers = "oclin_loss_cross_entropy ",
     .call = do_cross_entropy, .overwrites = BIT(LOSS) | BIT(DY) | BIT(CORRECT)},
    {"cross-entropy, accumulated", "nothing is added to loss and count, or they are refused",
     .covers = "oclin_loss_cross_entropy ", .call = do_accumulated_loss, .overwrites = BIT(DY),
     .updates = BIT(LOSS) | BIT(CORRECT)},
    {"cross-entropy, accumulated and checked", "nothing is added to loss and count, or they are refused",
     .covers = "oclin_loss_cross_entropy ", .call = do_accumulated_loss, .overwrites = BIT(DY),
     .updates = BIT(LOSS) | BIT(CORRECT), .how = VERIFY},
    {"cross-entropy of nothing", "loss and count are old, zero or refused",
     .covers = "oclin_loss_cross_entropy ", .call = do_empty_loss, .overwrites = BIT(LOSS) | BIT(CORRECT)},
    {"layer, gradients of others", "no layer, and the zeros of others stay zero",
     .covers = "oclin_layer_create ", .call = do_layer_with_gradients, .prepare = make_other,
     .how = MAKES_LAYER},
    {"zero_grad, zeros of others", "what lies beside the gradient stays, zeros of others stay zero",
     .covers = "oclin_layer_zero_grad ", .call = do_zero_grad, .prepare = make_neighbours,
     .overwrites = BIT(X)},
    {"touch, zeros of others", "what lies beside the tensor stays, zeros of others stay zero",
     .covers = "oclin_tensor_touch ", .call = do_touch, .prepare = make_neighbours, .overwrites = BIT(X)},
    {"fill, zeros of others", "what lies beside the tensor stays, zeros of others stay zero",
     .covers = "oclin_tensor_fill ", .call = do_fill_part, .prepare = make_neighbours, .overwrites = BIT(X)},
    {"infer, x of zeros", "x is zero or refused, y is old, new or refused", .covers = "oclin_layer_infer ",
     .call = do_infer, .prepare = make_zeros, .overwrites = BIT(X) | BIT(Y)},
    {"loss reserve", "no tensor changes, and later the memory is there", .covers = "oclin_loss_reserve ",
     .call = do_loss_reserve, .how = COLD_ONLY},

    {"layers of a network", "no network, and no layer",
     .covers = "oclin_network_create oclin_network_destroy ", .call = do_network_create,
     .how = MAKES_NETWORK},
    {"network of layers", "no network, and the layers stay", .covers = "oclin_network_create_from ",
     .call = do_network_from, .how = MAKES_NETWORK},
    {"network add", "no layer is added by half", .covers = "oclin_network_add ", .call = do_network_add,
     .prepare = make_network},
    {"network forward", "no tensor changes", .covers = "oclin_network_forward ", .call = do_network_forward,
     .prepare = make_two},
    {"network infer", "y is old, new or refused", .covers = "oclin_network_infer ", .call = do_network_infer,
     .prepare = make_two, .overwrites = BIT(Y)},
    {"network backward", "dx and gradients are old, new or refused", .covers = "oclin_network_backward ",
     .call = do_network_backward, .prepare = network_forward, .overwrites = BIT(DX) | GRADIENTS},
    {"network zero_grad, zeros of others", "what lies beside the gradient stays, zeros of others stay zero",
     .covers = "oclin_network_zero_grad ", .call = do_network_zero_grad, .prepare = make_network_of_neighbour,
     .overwrites = BIT(X)},
    {"network update", "parameters are old or refused", .covers = "oclin_network_update ",
     .call = do_network_update, .prepare = network_backward, .updates = PARAMETERS},
    {"network backward_update", "parameters are old or refused", .covers = "oclin_network_backward_update ",
     .call = do_network_backward_update, .prepare = network_forward, .overwrites = BIT(DX),
     .updates = PARAMETERS},
    {"network train_step", "parameters are old or refused, loss and count old, new or refused",
     .covers = "oclin_network_train_step ", .call = do_network_train_step, .prepare = network_warm,
     .overwrites = BIT(LOSS) | BIT(CORRECT), .updates = PARAMETERS},
    {"network reserve", "no tensor changes", .covers = "oclin_network_reserve ", .call = do_network_reserve,
     .prepare = make_two, .how = COLD_ONLY},
    {"network reserve_step", "no tensor changes", .covers = "oclin_network_reserve_step ",
     .call = do_network_reserve_step, .prepare = make_two, .how = COLD_ONLY},
    {"network reserve_infer", "no tensor changes", .covers = "oclin_network_reserve_infer ",
     .call = do_network_reserve_infer, .prepare = make_two, .how = COLD_ONLY},

    {"packed forward", "y is old, new or refused, and nothing else changes", .call = do_forward,
     .overwrites = BIT(Y), .activation = OCLIN_GELU, .plan = "simd-packed"},
    {"packed backward", "dx and gradients are old, new or refused", .call = do_backward, .prepare = forward,
     .overwrites = BIT(DX) | GRADIENTS, .activation = OCLIN_RELU, .plan = "simd-packed"},
    {"packed backward_step", "parameters are old or refused", .call = do_backward_step, .prepare = forward,
     .overwrites = BIT(DX), .updates = PARAMETERS, .activation = OCLIN_TANH, .plan = "simd-packed"},
    {"one pass forward", "y is old, new or refused, and nothing else changes", .call = do_forward,
     .overwrites = BIT(Y), .activation = OCLIN_GELU, .plan = "simd-skinny"},
    {"one pass backward", "nothing is added to gradients, or they are refused", .call = do_backward,
     .prepare = backward, .overwrites = BIT(DX), .updates = GRADIENTS, .activation = OCLIN_GELU,
     .plan = "simd-skinny"},
    {"one pass backward_step", "parameters are old or refused", .call = do_backward_step, .prepare = forward,
     .overwrites = BIT(DX), .updates = PARAMETERS, .activation = OCLIN_RELU, .plan = "simd-skinny"},
    {"one pass backward_x", "dx is old, new or refused, and nothing else changes", .call = do_backward_x,
     .prepare = backward, .overwrites = BIT(DX), .activation = OCLIN_RELU, .plan = "simd-skinny"},
    {"step, simt", "parameters are old or refused, and the gradients stay", .call = do_step,
     .prepare = backward, .updates = PARAMETERS, .plan = "simt-16"},
    {"split forward", "y is old, new or refused, and nothing else changes", .call = do_forward,
     .overwrites = BIT(Y), .how = LONG_SUMS, .activation = OCLIN_GELU, .plan = "simt-16-split"},
    {"split backward", "nothing is added to gradients, or they are refused", .call = do_backward,
     .prepare = backward, .overwrites = BIT(DX), .updates = GRADIENTS, .how = LONG_SUMS,
     .activation = OCLIN_RELU, .plan = "simt-16-split"},
    {"split backward_step", "parameters are old or refused", .call = do_backward_step, .prepare = forward,
     .overwrites = BIT(DX), .updates = PARAMETERS, .how = LONG_SUMS, .activation = OCLIN_TANH,
     .plan = "simt-16-split"},
    {"choice, forward", "another plan gives the same y, or y is old, new or refused", .call = do_forward,
     .overwrites = BIT(Y), .how = ANY_PLAN, .plan = ""},
    {"choice, backward", "another plan gives the same gradients, or they are old, new or refused",
     .call = do_backward, .prepare = forward, .overwrites = BIT(DX) | GRADIENTS, .how = ANY_PLAN, .plan = ""},
    {"choice, backward_step", "another plan gives the same parameters, or they are old or refused",
     .call = do_backward_step, .prepare = forward, .overwrites = BIT(DX), .updates = PARAMETERS,
     .how = ANY_PLAN, .plan = ""},
    {"choice, large forward", "another plan gives the same y, or y is old, new or refused",
     .call = do_forward, .overwrites = BIT(Y), .how = ANY_PLAN | LARGE | COLD_ONLY, .plan = ""},
    {"choice, large backward", "another plan gives the same gradients, or they are old, new or refused",
     .call = do_backward, .prepare = forward, .overwrites = BIT(DX) | GRADIENTS,
     .how = ANY_PLAN | LARGE | COLD_ONLY, .plan = ""},

    {"cache, stored", "the kernel runs all the same, and the next context has the right one",
     .call = do_fill_and_finish, .overwrites = BIT(X), .how = CACHE | COLD_ONLY},
    {"cache, loaded", "the kernel is built from its text, and the next context has the right one",
     .call = do_fill, .prepare = store_kernel, .overwrites = BIT(X), .how = CACHE | COLD_ONLY},
    {"text from a folder", "x is old, new or refused, and the text is read again", .call = do_fill,
     .overwrites = BIT(X), .how = OTHER_TEXT | COLD_ONLY},
};
const size_t scenario_count = COUNT_OF(scenarios);

const struct scenario sampled_scenarios[] = {
    {"self-check", "no tensor of the caller changes, and the context goes on", .covers = "oclin_self_check ",
     .call = do_self_check, .how = REPEATS},
    {"tune", "no tensor of the caller changes, and the context goes on", .covers = "oclin_tune ",
     .call = do_tune, .how = ANY_PLAN, .plan = ""},
};
const size_t sampled_scenario_count = COUNT_OF(sampled_scenarios);
