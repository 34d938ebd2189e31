/*
 * one_product PRODUCT M N K: one product (forward, grad_x, grad_w) of these sizes through the library, for
 * memory_counts.cpp to look at. The plan comes from OCLIN_PLAN. Backward runs both of its products; the other
 * one is no concern of this program.
 */
#include "oclin.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static oclin_context *ctx;

static void check(oclin_status status)
{
    if (status == OCLIN_OK) return;
    fprintf(stderr, "one_product: %s\n", ctx ? oclin_context_error(ctx) : oclin_status_text(status));
    exit(1);
}

static oclin_tensor *tensor(int64_t rows, int64_t cols)
{
    oclin_tensor *t;
    check(oclin_tensor_create(&t, ctx, OCLIN_F32, rows, cols));
    check(oclin_tensor_fill(t, 1.0));
    return t;
}

int main(int count, char **arguments)
{
    const char *product = count == 5 ? arguments[1] : "";
    const int64_t m = count == 5 ? atoll(arguments[2]) : 0, n = count == 5 ? atoll(arguments[3]) : 0,
                  k = count == 5 ? atoll(arguments[4]) : 0;
    int64_t batch, in, out;
    if (strcmp(product, "forward") == 0) {
        batch = m, out = n, in = k;
    } else if (strcmp(product, "grad_x") == 0) {
        batch = m, in = n, out = k;
    } else if (strcmp(product, "grad_w") == 0) {
        out = m, in = n, batch = k;
    } else {
        fprintf(stderr, "one_product forward|grad_x|grad_w M N K\n");
        return 2;
    }
    check(oclin_context_create(&ctx, NULL));
    oclin_layer *layer;
    check(oclin_layer_create(&layer, ctx, in, out, NULL));
    oclin_tensor *x = tensor(batch, in), *y = tensor(batch, out), *dy = tensor(batch, out),
                 *dx = tensor(batch, in);
    check(oclin_layer_forward(layer, x, y));
    if (strcmp(product, "forward") != 0) check(oclin_layer_backward(layer, dy, dx));
    check(oclin_context_finish(ctx));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_tensor_destroy(dy);
    oclin_tensor_destroy(dx);
    oclin_layer_destroy(layer);
    oclin_context_destroy(ctx);
    return 0;
}
