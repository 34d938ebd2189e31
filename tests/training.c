#include "training.h"

#include <string.h>

#define TRY(call)                                \
    do {                                         \
        const oclin_status status_ = (call);     \
        if (status_ != OCLIN_OK) return status_; \
    } while (0)

static oclin_status make_data(struct training *t, uint64_t seed)
{
    float x[TRAINING_BATCH * TRAINING_IN];
    int32_t labels[TRAINING_BATCH];
    for (int i = 0; i < TRAINING_BATCH * TRAINING_IN; i++)
        x[i] = (float)((seed * 31 + (uint64_t)i * 37) % 101) / 50.0f - 1.0f;
    for (int i = 0; i < TRAINING_BATCH; i++) labels[i] = (int32_t)((seed + (uint64_t)i * 7) % TRAINING_OUT);
    TRY(oclin_tensor_write(t->x, x));
    return oclin_tensor_write(t->labels, labels);
}

oclin_status training_make(struct training *t, oclin_context *ctx, oclin_activation activation, uint64_t seed)
{
    memset(t, 0, sizeof *t);
    t->ctx = ctx;
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    options.seed = seed + 1;
    TRY(oclin_layer_create(&t->last, ctx, TRAINING_HIDDEN, TRAINING_OUT, &options));
    options.activation = activation;
    TRY(oclin_layer_create(&t->hidden, ctx, TRAINING_IN, TRAINING_HIDDEN, &options));
    TRY(oclin_saved_create(&t->saved, ctx));
    const struct {
        oclin_tensor **tensor;
        oclin_dtype dtype;
        int64_t rows, cols;
    } all[] = {
        {&t->x, OCLIN_F32, TRAINING_BATCH, TRAINING_IN},
        {&t->dx, OCLIN_F32, TRAINING_BATCH, TRAINING_IN},
        {&t->h, OCLIN_F32, TRAINING_BATCH, TRAINING_HIDDEN},
        {&t->dh, OCLIN_F32, TRAINING_BATCH, TRAINING_HIDDEN},
        {&t->y, OCLIN_F32, TRAINING_BATCH, TRAINING_OUT},
        {&t->dy, OCLIN_F32, TRAINING_BATCH, TRAINING_OUT},
        {&t->labels, OCLIN_I32, TRAINING_BATCH, 1},
        {&t->loss, OCLIN_F32, 1, 1},
        {&t->correct, OCLIN_I32, 1, 1},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        TRY(oclin_tensor_create(all[i].tensor, ctx, all[i].dtype, all[i].rows, all[i].cols));
    return make_data(t, seed);
}

void training_free(struct training *t)
{
    oclin_tensor *const all[] = {t->x, t->h, t->y, t->labels, t->dy, t->dh, t->dx, t->loss, t->correct};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) oclin_tensor_destroy(all[i]);
    oclin_saved_destroy(t->saved);
    oclin_layer_destroy(t->hidden);
    oclin_layer_destroy(t->last);
    memset(t, 0, sizeof *t);
}

/* The gradients of the hidden layer from the first rows and the others, one after the other, added. */
static oclin_status hidden_in_halves(struct training *t)
{
    enum { FIRST = TRAINING_BATCH / 3 };
    const int64_t from[] = {0, FIRST}, rows[] = {FIRST, TRAINING_BATCH - FIRST};
    oclin_status status = OCLIN_OK;
    for (int half = 0; half < 2; half++) {
        oclin_tensor *x = NULL, *h = NULL, *dh = NULL, *dx = NULL;
        status = oclin_tensor_view_rows(&x, t->x, from[half], rows[half]);
        if (status == OCLIN_OK) status = oclin_tensor_view_rows(&h, t->h, from[half], rows[half]);
        if (status == OCLIN_OK) status = oclin_tensor_view_rows(&dh, t->dh, from[half], rows[half]);
        if (status == OCLIN_OK) status = oclin_tensor_view_rows(&dx, t->dx, from[half], rows[half]);
        if (status == OCLIN_OK) status = oclin_layer_forward(t->hidden, x, h);
        if (status == OCLIN_OK) status = oclin_layer_backward(t->hidden, dh, dx);
        oclin_tensor *const views[] = {x, h, dh, dx};
        for (size_t i = 0; i < sizeof views / sizeof *views; i++) oclin_tensor_destroy(views[i]);
        if (status != OCLIN_OK) return status;
    }
    return status;
}

/* What a program does between steps. */
static oclin_status look(struct training *t)
{
    cl_event event = NULL, read = NULL;
    TRY(oclin_layer_infer(t->hidden, t->x, t->h));
    TRY(oclin_tensor_read_async(t->loss, t->losses, &read));
    clReleaseEvent(read);
    TRY(oclin_context_mark(t->ctx, &event));
    const oclin_status status = oclin_context_wait_for(t->ctx, 1, &event);
    clReleaseEvent(event);
    TRY(status);
    return oclin_context_finish(t->ctx);
}

oclin_status training_step(struct training *t, int64_t step)
{
    const float lr = 0.05f;
    TRY(oclin_layer_forward(t->hidden, t->x, t->h));
    TRY(oclin_layer_forward_saved(t->last, t->h, t->y, t->saved));
    TRY(oclin_loss_cross_entropy(t->y, t->labels, t->loss, t->dy, t->correct, NULL));
    TRY(oclin_layer_backward_step_saved(t->last, t->dy, t->dh, lr, t->saved));
    if (step % 5 == 3)
        TRY(hidden_in_halves(t));
    else
        TRY(oclin_layer_backward(t->hidden, t->dh, t->dx));
    TRY(oclin_layer_step(t->hidden, lr));
    TRY(oclin_layer_zero_grad(t->hidden));
    return step % 50 == 7 ? look(t) : OCLIN_OK;
}

oclin_status training_read(struct training *t, struct trained *result)
{
    memset(result, 0, sizeof *result);
    TRY(oclin_tensor_read(oclin_layer_w(t->last), result->w));
    TRY(oclin_tensor_read(oclin_layer_b(t->last), result->b));
    TRY(oclin_tensor_read(oclin_layer_w(t->hidden), result->hidden_w));
    TRY(oclin_tensor_read(oclin_layer_b(t->hidden), result->hidden_b));
    TRY(oclin_tensor_read(t->dx, result->dx));
    TRY(oclin_tensor_read(t->loss, &result->loss));
    return oclin_tensor_read(t->correct, &result->correct);
}
