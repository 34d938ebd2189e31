/* A program outside the tree: one layer, one forward, exact numbers. */
#include <oclin.h>

#include <stdio.h>

int main(void)
{
    const float host_x[2] = {3, 4}, host_w[2] = {10, 1}, host_b[1] = {0.5f};
    float host_y[1] = {0};
    oclin_context *ctx = NULL;
    oclin_layer *layer = NULL;
    oclin_tensor *x = NULL, *y = NULL;
    const int ok = oclin_version() == OCLIN_VERSION && oclin_context_create(&ctx, NULL) == OCLIN_OK &&
                   oclin_layer_create(&layer, ctx, 2, 1, NULL) == OCLIN_OK &&
                   oclin_tensor_create(&x, ctx, OCLIN_F32, 1, 2) == OCLIN_OK &&
                   oclin_tensor_create(&y, ctx, OCLIN_F32, 1, 1) == OCLIN_OK &&
                   oclin_tensor_write(oclin_layer_w(layer), host_w) == OCLIN_OK &&
                   oclin_tensor_write(oclin_layer_b(layer), host_b) == OCLIN_OK &&
                   oclin_tensor_write(x, host_x) == OCLIN_OK &&
                   oclin_layer_forward(layer, x, y) == OCLIN_OK && oclin_tensor_read(y, host_y) == OCLIN_OK &&
                   host_y[0] == 34.5f;
    printf("%s %g\n", ok ? "ok" : oclin_context_error(ctx), (double)host_y[0]);
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(layer);
    oclin_context_destroy(ctx);
    return !ok;
}
