/* Finds W and b of y = W x + b again, from 64 samples of x and y alone. */
#include <oclin.h>

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 64, IN = 3, OUT = 2 };

static const float known_w[OUT][IN] = {{1, -2, 3}, {0.5f, 0, -1}}, known_b[OUT] = {4, -5};
static float samples[BATCH][IN], targets[BATCH][OUT];

static void make_data(void)
{
    for (int r = 0; r < BATCH; r++) {
        for (int i = 0; i < IN; i++) samples[r][i] = (float)((r + 1) * (i + 3) * 37 % 101) / 50 - 1;
        for (int o = 0; o < OUT; o++) {
            targets[r][o] = known_b[o];
            for (int i = 0; i < IN; i++) targets[r][o] += known_w[o][i] * samples[r][i];
        }
    }
}

/* The last line of oclin's log: where no context is made, the reason. */
static char last_line[512];

static void keep_line(void *user, const char *line)
{
    (void)user;
    snprintf(last_line, sizeof last_line, "%s", line);
}

static void check(const oclin_context *ctx, oclin_status status)
{
    if (status == OCLIN_OK) return;
    fprintf(stderr, "%s\n",
            ctx            ? oclin_context_error(ctx)
            : last_line[0] ? last_line
                           : oclin_status_text(status));
    exit(1);
}

int main(void)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx;
    oclin_network *network;
    oclin_optimizer *optimizer;
    oclin_tensor *x, *t, *loss;
    const struct oclin_update update = OCLIN_UPDATE_INIT(0.5);
    const struct oclin_train_step_options step = OCLIN_TRAIN_STEP_OPTIONS_INIT(&update);
    float w[OUT][IN], b[OUT], last;

    make_data();
    options.log = keep_line;
    check(NULL, oclin_context_create(&ctx, &options));
    check(ctx, oclin_network_create(&network, ctx, 1, (const int64_t[]){IN, OUT}, NULL, NULL));
    check(ctx, oclin_optimizer_create(&optimizer, ctx, NULL)); /* plain SGD */
    check(ctx, oclin_network_add(optimizer, network));
    check(ctx, oclin_tensor_create(&x, ctx, OCLIN_F32, BATCH, IN));
    check(ctx, oclin_tensor_create(&t, ctx, OCLIN_F32, BATCH, OUT));
    check(ctx, oclin_tensor_create(&loss, ctx, OCLIN_F32, 1, 1));
    check(ctx, oclin_tensor_write(x, samples));
    check(ctx, oclin_tensor_write(t, targets));

    for (int i = 0; i < 300; i++)
        check(ctx,
              oclin_network_train_step(network, x, t, OCLIN_LOSS_MSE, NULL, loss, NULL, optimizer, &step));

    check(ctx, oclin_tensor_read(loss, &last));
    oclin_layer *layer = oclin_network_layer(network, 0);
    check(ctx, oclin_tensor_read(oclin_layer_w(layer), w));
    check(ctx, oclin_tensor_read(oclin_layer_b(layer), b));
    printf("loss %.2g\n", last);
    for (int o = 0; o < OUT; o++) {
        printf("found %7.4f %7.4f %7.4f | %7.4f", w[o][0], w[o][1], w[o][2], b[o]);
        printf("   known %4.1f %4.1f %4.1f | %4.1f\n", known_w[o][0], known_w[o][1], known_w[o][2],
               known_b[o]);
    }

    oclin_tensor *tensors[] = {x, t, loss};
    for (int i = 0; i < 3; i++) oclin_tensor_destroy(tensors[i]);
    oclin_optimizer_destroy(optimizer);
    oclin_network_destroy(network);
    oclin_context_destroy(ctx);
    return 0;
}
