/* See cached_kernel.h. */
#include <stdlib.h>

#include "cached_kernel.h"
#include "faults.h"

void fill(oclin_context *ctx)
{
    int32_t got[6];
    oclin_tensor *t = make_tensor(ctx, OCLIN_I32, 2, 3, NULL);
    assert_ok(ctx, oclin_tensor_fill(t, 41));
    assert_ok(ctx, oclin_tensor_read(t, got));
    for (int i = 0; i < 6; i++) assert_int_equal(got[i], 41);
    assert_string_equal(oclin_context_error(ctx), "");
    assert_int_equal(oclin_context_cl_error(ctx), CL_SUCCESS);
    oclin_tensor_destroy(t);
}

void forward(oclin_context *ctx, float *y_out)
{
    struct rng rng = {42};
    float x_in[3 * 5];
    fill_zero_mean(&rng, x_in, 3 * 5);
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 5, 7, NULL));
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 3, 5, x_in), *y = make_tensor(ctx, OCLIN_F32, 3, 7, NULL);
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_context_finish(ctx)); /* and not a read: the other way to have waited */
    faults_end();
    assert_ok(ctx, oclin_tensor_read(y, y_out));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
}

void fill_anew(int from)
{
    clear_context_log();
    oclin_context *ctx = make_context("plain");
    fill(ctx);
    oclin_context_destroy(ctx);
    assert_int_equal(faults_alive(ALIVE_PROGRAM), 0);
    check_times_logged("built fill:", from == FROM_TEXT);
    check_times_logged("loaded fill from ", from == FROM_DISK);
}

struct bytes stored_kernel(const struct folder *f, char path[PATH_BYTES])
{
    fill_anew(FROM_TEXT);
    find_file(f, "fill-", path);
    return read_file(path);
}

void check_replaced(const char *why)
{
    fill_anew(FROM_TEXT);
    check_times_logged("cache: ", 2); /* why not, and stored */
    check_times_logged(why, 1);
    fill_anew(FROM_DISK);
    check_times_logged("cache: ", 0);
}

size_t number_at(const char *at)
{
    size_t number = 0;
    for (int i = 7; i >= 0; i--) number = number << 8 | (unsigned char)at[i];
    return number;
}
