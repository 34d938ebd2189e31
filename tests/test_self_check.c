/*
 * oclin_self_check and verification as the program runs: silent on a device that is right, and naming the
 * operation, the element and both values when a kernel is wrong. Wrong kernels come through OCLIN_CL_DIR's
 * option, cl_dir.
 */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files.h"
#include "oclin_internal.h"

/* ----------------------------------------------------------------------------------------------- faults */

static int launches_left = -1;       /* until the device is lost; -1: it stays */
static const char *unbuildable = ""; /* what options have that do not build; empty: all do */

static void plan_loss(int after)
{
    launches_left = after;
}

static void plan_build_failure(const char *options)
{
    unbuildable = options ? options : "";
}

cl_int clEnqueueNDRangeKernel(cl_command_queue q, cl_kernel k, cl_uint d, const size_t *o, const size_t *g,
                              const size_t *l, cl_uint n, const cl_event *w, cl_event *e)
{
    cl_int (*real)(cl_command_queue, cl_kernel, cl_uint, const size_t *, const size_t *, const size_t *,
                   cl_uint, const cl_event *, cl_event *);
    find_real("clEnqueueNDRangeKernel", &real);
    if (launches_left >= 0 && launches_left-- == 0) return CL_DEVICE_NOT_AVAILABLE;
    return real(q, k, d, o, g, l, n, w, e);
}

cl_int clBuildProgram(cl_program p, cl_uint n, const cl_device_id *d, const char *o,
                      void(CL_CALLBACK *f)(cl_program, void *), void *u)
{
    cl_int (*real)(cl_program, cl_uint, const cl_device_id *, const char *,
                   void(CL_CALLBACK *)(cl_program, void *), void *);
    find_real("clBuildProgram", &real);
    return *unbuildable && strstr(o, unbuildable) ? CL_BUILD_PROGRAM_FAILURE : real(p, n, d, o, f, u);
}

/* --------------------------------------------------------------------------------------------- mistakes */

/* A mistake in one kernel file: `from` becomes `to`. */
struct mistake {
    const char *name, *plan, *file, *from, *to;
    const char *says; /* what the sentence must name: the operation, and the element's beginning */
};

static const struct mistake mistakes[] = {
    {"forward without bias", "plain", "forward.cl", "sum += load_lanes(e.bias, lanes)", "sum += 0.0f",
     "forward: y["},
    {"relu as abs", "plain", "activation_relu.cl", "select(z, (real)(0.0f), isless", "select(z, -z, isless",
     "forward: y["},
    {"gelu by tanh", "plain", "activation_gelu.cl", "0.5f * z * erfc(z * -0.70710678118654752f)",
     "0.5f * z * (1.0f + tanh(0.79788456f * (z + 0.044715f * z * z * z)))", "forward: y["},
    {"z not as it was", "plain", "forward.cl", "store_lanes(e.z, sum, lanes)",
     "store_lanes(e.z, sum + 0.001f, lanes)", "forward: z["},
    {"forward gives NaN", "plain", "forward.cl", "activate(sum)", "activate(sum) + NAN",
     "forward: y[0, 0] is NaN, the reference says "},
    {"dx from a wrong sign", "plain", "grad_x.cl", "store_lanes(e.c, sum, lanes)",
     "store_lanes(e.c, -sum, lanes)", "backward: dx["},
    {"dw added to when it should be overwritten", "plain", "gradient.cl",
     "else if (flags & OCLIN_FLAG_ACCUMULATE)", "else", "backward: dw[0, 0] is NaN"},
    {"dw overwritten when it should be added to", "plain", "gradient.cl",
     "else if (flags & OCLIN_FLAG_ACCUMULATE)", "else if (0)", "backward: dw["},
    {"slices of a long sum", "simt-16", "epilogue.cl",
     "if (e.flags & OCLIN_FLAG_ONTO) *sum += load_lanes(e.z, lanes);", ";", "backward: dw["},
    {"slices of a long sum", "simd-whole", "epilogue.cl",
     "if (e.flags & OCLIN_FLAG_ONTO) *sum += load_lanes(e.z, lanes);", ";", "backward: dw["},
    {"a row of a transposed dW twice", "simt-16", "product_simt.cl", "sum[i + 1][j].c", "sum[i][j].c",
     "backward: dw["},
    {"a rule in the wrong direction", "plain", "rule_sgd.cl", "(real)(-u.n.lr)", "(real)(u.n.lr)",
     "step: w["},
    {"fused step of half the rate", "plain", "grad_w.cl", "store_gradient(sum * e.scale, e.c",
     "store_gradient(e.flags & OCLIN_FLAG_UPDATE ? sum * e.scale / 2 : sum * e.scale, e.c",
     "backward_step: w["},
    {"step of four elements", "simd", "update.cl", "i += OCLIN_VL", "i += 2 * OCLIN_VL", "step: w["},
    {"db not divided", "plain", "grad_w.cl", "store_gradient(sum * e.scale, e.db", "store_gradient(sum, e.db",
     "backward: db["},
    {"a loss without its gradient", "plain", "loss_cross_entropy.cl", "p * all - q", "p * all",
     "cross_entropy: dy["},
    {"a wrong count", "plain", "loss_cross_entropy.cl", "LANES >= lane_of(label)", "0",
     "cross_entropy: correct[0, 0]"},
    {"the differences of another loss", "plain", "loss_mse.cl", "difference = y - t", "difference = y + t",
     "mse: loss[0, 0]"},
    {"a loss that is not added", "plain", "loss_sum.cl", "sum += loss[loss_offset]",
     "sum = loss[loss_offset]", "mse: loss[0, 0]"},
    {"a split sum without its last part", "simt-16-split", "split_sums.cl",
     "part < parts; part++) sum += LOAD_", "part < parts - 1; part++) sum += LOAD_", "forward: y["},
    {"a part of the next part's k", "simt-16-split", "product_simt.cl", "k0 = part * block_k",
     "k0 = part * block_k / 2", "forward: y["},
    {"parts one over the other", "simt-16-split", "product_simt.cl", "z_offset += part * m * z_stride;", "",
     "forward: y["},
    {"sums of dZ of the first part", "simt-16-split", "split_sums.cl", "m * a_stride, k, 1).x",
     "m * a_stride, 1, 1).x", "backward: db["},
    {"a split where the device chooses", "simt", "split_sums.cl", "part < parts; part++) sum += LOAD_",
     "part < parts - 1; part++) sum += LOAD_", "forward: y["},
    {"strips of A that are read from the first", "simd", "product_simd.cl",
     "multiply(a_strips + strip * STRIP_FLOATS", "multiply(a_strips + 0 * STRIP_FLOATS", "forward: y["},
    {"sums of dZ without every fourth", "simd", "product_simd.cl", "(s0 + s1) + (s2 + s3)", "(s0 + s1) + s2",
     "backward: db["},
    {"packing into the first strips", "simd-packed", "product_simd.cl",
     "(block * strips + row0 / OCLIN_ITEM_M) * STRIP_FLOATS", "(block * strips) * STRIP_FLOATS",
     "forward: y["},
    {"packed panels of another block of k", "simd-packed", "product_simd.cl",
     "panels_from + k0 / block_k * all_panels", "panels_from + 0 * all_panels", NULL},
    {"panels of B over the strips of A", "simd-mixed", "product_simd.cl",
     "packed + packed_b(m, k, block_k) + get_group_id(0)", "packed + get_group_id(0)", NULL},
    {"packing for a launch of its own into the first strips", "simd-staged", "product_simd.cl",
     "(block * strips + row0 / OCLIN_ITEM_M) * STRIP_FLOATS", "(block * strips) * STRIP_FLOATS",
     "forward: y["},
    {"a narrow forward of its last block of k", "simd", "forward_narrow.cl",
     "*to = first ? sum[i] : *to + sum[i];", "*to = sum[i];", "forward: y["},
    {"a narrow forward of the first rows of W", "simd", "forward_narrow.cl",
     "b += b_offset + column0 * b_stride;\n\n", "b += b_offset;\n\n", "forward: y["},
    {"a skinny forward of its last block of k", "simd", "forward_skinny.cl", "first ? s : *to + s", "s",
     "forward: y["},
    {"dx in one pass without its last row", "simd", "one_pass_skinny.cl",
     "dx[0] = MULTIPLY_ADD(z03, wr, sum0)", "dx[0] = sum0", "backward: dx["},
    {"dw in one pass of the first sample", "simd", "one_pass_skinny.cl", "const real x0 = x[0], x1 = x[1];",
     "const real x0 = x[0], x1 = x[0];", "backward: dw["},
    {"db in one pass without a sample", "simd", "one_pass_skinny.cl",
     "for (int i = first; i < min(first + CHUNK, samples); i++) part += dz",
     "for (int i = first + 1; i < min(first + CHUNK, samples); i++) part += dz", "backward: db["},
    {"a tile in local memory that is not the next", "simt", "product_simt.cl", "front ^= 1;", "front ^= 0;",
     "forward: y["},
    {"a register block that loses a row", "simt", "product_simt.cl",
     "sum[i + 3][j] = MULTIPLY_ADD((float4)(ak.w), bk[j], sum[i + 3][j])",
     "sum[i + 3][j] = MULTIPLY_ADD((float4)(ak.z), bk[j], sum[i + 3][j])", "forward: y["},
    {"a sum with another sign", "plain", "arrays.cl", "(real)(alpha)", "(real)(-alpha)", "add: dst["},
    {"a copy of the first row", "simt", "arrays.cl", "src + src_offset + c.row * src_stride, c)",
     "src + src_offset, c)", "copy: dst["},
    {"the first row for every index", "plain", "arrays.cl", "index * src_stride", "0 * src_stride",
     "gather_rows: dst["},
    {"an index that is not looked at", "plain", "arrays.cl", "index <= last", "true", "gather_rows: dst["},
};

/* Device facts under which a test runs, whatever the machine says; 0: the machine's own. */
struct facts {
    int lanes, cores;
};

static void fake(oclin_context *ctx, struct facts f)
{
    if (f.lanes) ctx->device.info.vector_width = f.lanes;
    if (f.cores) ctx->device.info.compute_units = f.cores;
}

/* A mistake in the second block of k is seen in the first product that has one. */
static const char *first_of_two_blocks(const oclin_context *ctx)
{
    const struct oclin_shape s = oclin_self_check_shape(ctx, 0, 0);
    const int64_t depth = oclin_plan_part(ctx, ctx->plan.name).k;
    return s.in <= depth && s.out > depth ? "backward: dx[" : "forward: y[";
}

/* A mistake and the facts under which it must be noticed. */
struct noticed {
    const struct mistake *m;
    struct facts facts;
};

static void test_mistake(void **state)
{
    const struct noticed *n = *state;
    const struct mistake *m = n->m;
    char folder[PATH_BYTES / 2];
    make_temporary_folder(folder);
    write_changed(folder, m->file, built_in(m->file), m->from, m->to);
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = m->plan;
    o.cl_dir = folder;
    oclin_context *ctx = make_context_with(o);
    fake(ctx, n->facts);
    double worst = 0.0;
    assert_status(ctx, OCLIN_E_VERIFY, oclin_self_check(ctx, &worst));
    const char *says = m->says ? m->says : first_of_two_blocks(ctx);
    if (!strstr(oclin_context_error(ctx), says))
        fail_msg("'%s' does not name %s", oclin_context_error(ctx), says);
    assert_non_null(strstr(oclin_context_error(ctx), ", the reference says "));
    assert_non_null(strstr(oclin_context_error(ctx), ", plan ")); /* and where it was */
    if (!strstr(says, "correct")) assert_true(worst > 1.0);
    oclin_context_destroy(ctx);
    remove_all(folder);
}

/* A context that verifies goes on with the proven bounds: like numbers drift further than random ones may
 * (simt: four times as far). */
static void check_like_numbers(oclin_context *ctx)
{
    enum { LIKE = 4096 };
    oclin_layer *l;
    assert_ok(ctx, oclin_layer_create(&l, ctx, LIKE, 1, NULL));
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 1, LIKE, NULL);
    oclin_tensor *y = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    assert_ok(ctx, oclin_tensor_fill(x, 1.0));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_w(l), 0.889113903));
    ctx->verify = 1;
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(y);
    oclin_layer_destroy(l);
}

static void test_right_device(void **state)
{
    const char *const *plan = *state;
    oclin_context *ctx = make_context(*plan);
    double worst = -1.0;
    assert_ok(ctx, oclin_self_check(ctx, &worst));
    assert_true(worst > 0.0 && worst <= 1.0);
    assert_int_equal(ctx->verify, 0); /* it leaves the context as it was */
    check_like_numbers(ctx);
    oclin_context_destroy(ctx);
}

/* Whether the device is too small for this tile of simt ("tile 16 x 16 x 8, item 4 x 4"), or for this one
 * of the kernels for small batches ("tile 16 x 2048"). Items of more than 32 results are for devices of
 * more than 32 KB of local memory. */
static int is_too_large(const oclin_context *ctx, const char *tile)
{
    const struct oclin_device_facts *d = &ctx->device;
    int m, n, item_m, item_n;
    const int numbers = sscanf(tile, "tile %d x %d x 8, item %d x %d", &m, &n, &item_m, &item_n);
    if (numbers == 4)
        return m * n / (item_m * item_n) > d->max_items ||
               (item_m * item_n > 32 && d->info.local_bytes <= 32 * 1024);
    return numbers == 2 && OCLIN_SKINNY_LOCAL_FLOATS(m, n, 8) * (int64_t)sizeof(float) > d->info.local_bytes;
}

/* Every tile that oclin may choose runs, and every activation in every product: what the log says was
 * built. */
static void test_all_tiles(void **state)
{
    static const struct {
        const char *plan, *built[20];
    } families[] = {
        {"simd",
         {"built forward_simd:", "built forward_simd (packing):", "built forward_simd (packed):",
          "built forward_simd (mixed):", "built grad_x_simd:", "built grad_x_simd (packing):",
          "built grad_x_simd (packed):", "built grad_x_simd (mixed):", "built grad_w_simd:",
          "built grad_w_simd (packing):", "built grad_w_simd (packed):", "built grad_w_simd (mixed):",
          "item 4 x 3", "item 2 x 6", "tile 16 x 2048", "tile 64 x 256"}},
        {"simt",
         {"tile 128 x 128 x 8, item 8 x 8, aligned", "tile 128 x 128 x 8, item 8 x 8\n",
          "tile 64 x 64 x 8, item 8 x 4, aligned", "tile 64 x 64 x 8, item 8 x 4\n",
          "tile 64 x 32 x 8, item 8 x 4, aligned", "tile 64 x 32 x 8, item 8 x 4\n",
          "tile 32 x 32 x 8, item 4 x 4, aligned", "tile 32 x 32 x 8, item 4 x 4\n",
          "tile 16 x 16 x 8, item 4 x 4, aligned", "tile 16 x 16 x 8, item 4 x 4\n",
          "built forward_simt (parts):", "built forward_sums (sums):", "built grad_x_simt (parts):",
          "built grad_x_sums (sums):", "built grad_w_simt (parts):", "built grad_w_sums (sums):"}}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(families); i++) {
        clear_context_log();
        if (plan_too_large(families[i].plan)) continue;
        oclin_context *ctx = make_context(families[i].plan);
        if (i == 1) fake(ctx, (struct facts){0, 64}); /* units for parts of sums */
        assert_ok(ctx, oclin_self_check(ctx, NULL));
        assert_string_equal(ctx->plan.name, families[i].plan); /* it leaves the context as it was */
        for (size_t j = 0; j < COUNT_OF(families[i].built) && families[i].built[j]; j++)
            if (!strstr(context_log(), families[i].built[j]) && !is_too_large(ctx, families[i].built[j]) &&
                !strstr(families[i].built[j], ctx->device.tickets ? "(packing)" : "(mixed)"))
                fail_msg("%s: '%s' is not in\n%s", families[i].plan, families[i].built[j], context_log());
        oclin_context_destroy(ctx);
    }
}

/* ------------------------------------------------------------------------------- parts, blocks and tiles */

/* A device that is not there; only plans are asked for. */
static const struct made_up {
    const char *name;
    oclin_device_type type;
    int lanes, cores, local_kb, group;
    const char *vendor;
} made_up[] = {
    {"4 lanes, 1 core", OCLIN_DEVICE_CPU, 4, 1, 256, 4096, "some"},
    {"4 lanes, 32 KB", OCLIN_DEVICE_CPU, 4, 4, 32, 4096, "some"},
    {"8 lanes, 2 cores", OCLIN_DEVICE_CPU, 8, 2, 512, 4096, "some"},
    {"8 lanes, 64 cores", OCLIN_DEVICE_CPU, 8, 64, 1024, 4096, "some"},
    {"16 lanes, 1 core", OCLIN_DEVICE_CPU, 16, 1, 2048, 4096, "some"},
    {"16 lanes, 32 KB", OCLIN_DEVICE_CPU, 16, 2, 32, 4096, "some"},
    {"16 lanes, 128 cores", OCLIN_DEVICE_CPU, 16, 128, 1024, 4096, "some"},
    {"GPU", OCLIN_DEVICE_GPU, 1, 32, 64, 1024, "some"},
    {"GPU of groups of 128", OCLIN_DEVICE_GPU, 1, 8, 64, 128, "some"},
    {"Intel's GPU, without sub-groups", OCLIN_DEVICE_GPU, 1, 32, 64, 512, "Intel"},
    {"GPU of 32 KB", OCLIN_DEVICE_GPU, 1, 4, 32, 256, "some"},
    {"GPU of groups of 16", OCLIN_DEVICE_GPU, 1, 1, 16, 16, "some"},
};

/* Of one plan and one product: what one run or another of the self-check has. */
struct seen {
    const char *plan;
    int rows, columns, both, ragged, blocks, depth, groups, parts;
};

static void see(const oclin_context *ctx, struct oclin_shape shape, enum oclin_kernel_id id,
                struct seen *seen)
{
    const struct oclin_part part = oclin_plan_part(ctx, seen->plan);
    const struct oclin_product p = oclin_plan_shaped(id, shape);
    struct oclin_plan plan;
    assert_true(oclin_plan_product(ctx, &p, 0, &plan));
    const int rows = p.m > part.m, columns = p.n > part.n;
    seen->rows |= rows;
    seen->columns |= columns;
    seen->both |= rows && columns;
    seen->ragged |= rows && columns && p.m % part.m && p.n % part.n;
    seen->groups |= plan.groups > 1;
    seen->parts |= oclin_parts(&plan, p.k) > 1;
    if (plan.block_k) seen->depth |= p.k > plan.block_k;
    if (plan.block_m)
        seen->blocks |= oclin_ceil_divide(p.m, plan.block_m) * oclin_ceil_divide(p.n, plan.block_n) > 1;
}

/* For every way of packing on CPUs, and every tile on GPUs: all that the runs with it have. */
static struct seen look(oclin_context *ctx, const char *plan, enum oclin_kernel_id id)
{
    const struct oclin_plan_choice asked = ctx->plan;
    struct seen seen = {.plan = plan};
    for (int round = 0; round < OCLIN_CHECK_ROUNDS; round++)
        for (int run = 0; run < OCLIN_CHECK_RUNS; run++) {
            const char *checked = oclin_plan_to_check(ctx, round, run);
            if (!checked || strcmp(checked, plan) != 0) continue;
            const struct oclin_shape shape = oclin_self_check_shape(ctx, round, run);
            oclin_plan_select(ctx, plan);
            see(ctx, shape, id, &seen);
            ctx->plan = asked;
        }
    return seen;
}

static oclin_context *made_up_context(const struct made_up *d)
{
    oclin_context *ctx = make_context("");
    ctx->device.info.type = d->type;
    ctx->device.info.vector_width = d->lanes;
    ctx->device.info.compute_units = d->cores;
    ctx->device.info.local_bytes = d->local_kb * 1024;
    ctx->device.max_items = d->group;
    ctx->device.tickets = d->type == OCLIN_DEVICE_CPU;
    ctx->device.wave = 0;
    snprintf(ctx->device.info.vendor, sizeof ctx->device.info.vendor, "%s", d->vendor);
    return ctx;
}

/* Every plan that splits sums makes several tiles and several parts of each product. */
static void check_split_parts(oclin_context *ctx, enum oclin_kernel_id id)
{
    for (int run = 0; run < OCLIN_CHECK_RUNS; run++) {
        const char *plan = oclin_plan_to_check(ctx, OCLIN_CHECK_SPLIT, run);
        if (ctx->device.info.type == OCLIN_DEVICE_CPU) assert_null(plan);
        if (!plan) continue;
        const struct seen s = look(ctx, plan, id);
        if (!s.rows || !s.columns || !s.parts) fail_msg("%s, product %d: one part only", plan, (int)id);
    }
}

/* A part of packing that is the first of one only, a tile that is the only one, is not checked where parts
 * meet. */
static void test_parts(void **state)
{
    static const enum oclin_kernel_id products[] = {OCLIN_KERNEL_FORWARD, OCLIN_KERNEL_GRAD_X,
                                                    OCLIN_KERNEL_GRAD_W};
    static const char *const ways[] = {"simd-whole", "simd-packed", "simd-mixed"};
    static const char *const small_ways[] = {"simd-skinny", "simd-narrow"};
    const struct made_up *d = *state;
    oclin_context *ctx = made_up_context(d);
    for (size_t i = 0; i < COUNT_OF(products); i++) {
        int depth = 0;
        for (int run = 0; run < OCLIN_CHECK_RUNS; run++) {
            const char *plan = d->type == OCLIN_DEVICE_CPU ? ways[run % 3] : oclin_plan_to_check(ctx, 0, run);
            const struct seen s = look(ctx, plan, products[i]);
            depth |= s.depth;
            if (!s.rows || !s.columns) fail_msg("%s, product %zu: one part only", plan, i);
            if (d->type != OCLIN_DEVICE_CPU) continue;
            if (!s.blocks) fail_msg("%s, product %zu: one block only", plan, i);
            if (strcmp(plan, "simd-whole") != 0 && (!s.both || !s.ragged))
                fail_msg("%s, product %zu: no run has parts of A and B, the last ones ragged", plan, i);
        }
        if (d->type == OCLIN_DEVICE_CPU && !depth) fail_msg("product %zu: one block of k only", i);
        check_split_parts(ctx, products[i]);
    }
    for (size_t i = 0; d->type == OCLIN_DEVICE_CPU && i < COUNT_OF(small_ways); i++) {
        const struct seen s = look(ctx, small_ways[i], OCLIN_KERNEL_FORWARD);
        if (!s.groups && !s.blocks)
            fail_msg("%s: one block only", small_ways[i]); /* a queue: groups are cores */
    }
    oclin_context_destroy(ctx);
}

/* A tile that this driver cannot build is passed over, as oclin does when it chooses; another way is
 * checked in its place. If none builds that is the answer. */
static void test_no_build(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("");
    plan_build_failure(ctx->device.tickets ? "-DOCLIN_TICKETS=1" : "-DOCLIN_STAGE=1");
    assert_ok(ctx, oclin_self_check(ctx, NULL));
    assert_string_equal(oclin_context_error(ctx), "");
    oclin_context_destroy(ctx);
    ctx = make_context("");
    plan_build_failure("-DOCLIN_");
    assert_refused(ctx, OCLIN_E_BUILD, "kernel ", oclin_self_check(ctx, NULL));
    assert_string_equal(ctx->plan.name, "");
    plan_build_failure(NULL);
    oclin_context_destroy(ctx);
}

/* The device goes while it is being checked, at a launch early and late. */
static void test_lost_device(void **state)
{
    static const int launches[] = {0, 1, 25, 150};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(launches); i++) {
        oclin_context *ctx = make_context("plain");
        plan_loss(launches[i]);
        assert_refused(ctx, OCLIN_E_CL, "the device is lost", oclin_self_check(ctx, NULL));
        assert_int_equal(oclin_context_cl_error(ctx), CL_DEVICE_NOT_AVAILABLE);
        assert_int_equal(ctx->verify, 0);
        assert_refused(ctx, OCLIN_E_STATE, "the device was lost", oclin_self_check(ctx, NULL));
        oclin_context_destroy(ctx);
    }
}

/* ---------------------------------------------------------------------------- what a program may do
 * besides */

/* A layer whose tensors are all views, with room between their rows. */
enum { BATCH = 6, IN = 5, OUT = 7, PAD = 3 };

struct program {
    oclin_context *ctx;
    oclin_layer *layer;
    oclin_saved *saved;
    struct placed x, y, dy, dx, t, w, b, dw, db;
};

static struct placed padded(oclin_context *ctx, int64_t rows, int64_t cols, uint64_t seed)
{
    struct rng rng = {seed};
    float *host = new_array(float, rows *cols);
    fill_zero_mean(&rng, host, rows * cols);
    const struct placed p = tensor_from(ctx, rows, cols, cols + PAD, 3, seed ? host : NULL);
    free(host);
    return p;
}

static struct program program_make(oclin_context *ctx, oclin_activation activation, oclin_gradient gradient)
{
    struct program p = {.ctx = ctx};
    struct oclin_layer_options o = OCLIN_LAYER_OPTIONS_INIT;
    p.x = padded(ctx, BATCH, IN, 1);
    p.y = padded(ctx, BATCH, OUT, 0);
    p.dy = padded(ctx, BATCH, OUT, 0);
    p.dx = padded(ctx, BATCH, IN, 0);
    p.t = padded(ctx, BATCH, OUT, 2);
    p.w = padded(ctx, OUT, IN, 3);
    p.b = padded(ctx, 1, OUT, 4);
    p.dw = padded(ctx, OUT, IN, 0);
    p.db = padded(ctx, 1, OUT, 0);
    o.activation = activation;
    o.gradient = gradient;
    o.w = p.w.t;
    o.b = p.b.t;
    o.dw = p.dw.t;
    o.db = p.db.t;
    assert_ok(ctx, oclin_layer_create(&p.layer, ctx, IN, OUT, &o));
    assert_ok(ctx, oclin_layer_zero_grad(p.layer));
    assert_ok(ctx, oclin_layer_reserve(p.layer, 2 * BATCH)); /* z has room for more than the batch */
    assert_ok(ctx, oclin_saved_create(&p.saved, ctx));
    return p;
}

static void program_free(struct program *p)
{
    struct placed *const all[] = {&p->x, &p->y, &p->dy, &p->dx, &p->t, &p->w, &p->b, &p->dw, &p->db};
    oclin_saved_destroy(p->saved);
    oclin_layer_destroy(p->layer);
    for (size_t i = 0; i < COUNT_OF(all); i++) tensor_release(all[i]);
}

/* Gradients added up, of the layer's own forward and of a saved one; each kind of step; a loss that is
 * added to. */
static oclin_status program_run(const struct program *p, oclin_tensor *loss)
{
    struct oclin_loss_options add = OCLIN_LOSS_OPTIONS_INIT;
    add.accumulate = 1;
    add.reduction = OCLIN_SUM;
    add.scale = 0.25f;
    OCLIN_TRY(oclin_layer_forward(p->layer, p->x.t, p->y.t));
    OCLIN_TRY(oclin_layer_forward_saved(p->layer, p->x.t, p->y.t, p->saved));
    OCLIN_TRY(oclin_loss_mse(p->y.t, p->t.t, loss, p->dy.t, NULL));
    OCLIN_TRY(oclin_loss_mse(p->y.t, p->t.t, loss, p->dy.t, &add));
    OCLIN_TRY(oclin_layer_backward_saved(p->layer, p->dy.t, p->dx.t, p->saved));
    OCLIN_TRY(oclin_layer_backward_saved(p->layer, p->dy.t, NULL, p->saved));
    OCLIN_TRY(oclin_layer_step(p->layer, 0.5f));
    OCLIN_TRY(oclin_layer_zero_grad(p->layer));
    OCLIN_TRY(oclin_layer_forward(p->layer, p->x.t, p->y.t));
    OCLIN_TRY(oclin_layer_backward(p->layer, p->dy.t, p->dx.t));
    OCLIN_TRY(oclin_layer_zero_grad(p->layer));
    return oclin_layer_backward_step(p->layer, p->dy.t, p->dx.t, 0.5f);
}

static oclin_status program_do(oclin_context *ctx, oclin_activation activation, oclin_gradient gradient)
{
    oclin_tensor *loss = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
    struct program p = program_make(ctx, activation, gradient);
    const oclin_status status = program_run(&p, loss);
    program_free(&p);
    oclin_tensor_destroy(loss);
    return status;
}

static void test_right_program(void **state)
{
    const char *const *plan = *state;
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = *plan;
    o.verify = 1;
    oclin_context *ctx = make_context_with(o);
    for (int activation = OCLIN_NONE; activation <= OCLIN_GELU; activation++) {
        assert_ok(ctx, program_do(ctx, (oclin_activation)activation, OCLIN_GRAD_SUM));
        assert_ok(ctx, program_do(ctx, (oclin_activation)activation, OCLIN_GRAD_MEAN));
    }
    assert_true(ctx->verify_worst > 0.0 && ctx->verify_worst <= 1.0);
    oclin_context_destroy(ctx);
}

/* Mistakes that only such a program meets. */
static const struct program_mistake {
    struct mistake m;
    oclin_activation activation;
    oclin_gradient gradient;
} program_mistakes[] = {
    {{"rows taken as dense", "plain", "epilogue.cl", ": (row) * (stride) + (column))", ": (column))",
      "forward: y["},
     OCLIN_NONE,
     OCLIN_GRAD_SUM},
    {{"z not as it was", "plain", "forward.cl", "store_lanes(e.z, sum, lanes)",
      "store_lanes(e.z, sum + 0.001f, lanes)", "forward: z[0, 0]"},
     OCLIN_GELU,
     OCLIN_GRAD_SUM},
    {{"gradients taken off", "plain", "gradient.cl", "g += load_lanes", "g -= load_lanes",
      "backward: dw[0, 0]"},
     OCLIN_NONE,
     OCLIN_GRAD_SUM},
    {{"dw not divided", "plain", "grad_w.cl", "sum * e.scale, e.c", "sum, e.c", "backward: dw[0, 0]"},
     OCLIN_NONE,
     OCLIN_GRAD_MEAN},
};

static void test_program_mistake(void **state)
{
    const struct program_mistake *p = *state;
    char folder[PATH_BYTES / 2];
    make_temporary_folder(folder);
    write_changed(folder, p->m.file, built_in(p->m.file), p->m.from, p->m.to);
    struct oclin_context_options o = OCLIN_CONTEXT_OPTIONS_INIT;
    o.plan = p->m.plan;
    o.cl_dir = folder;
    o.verify = 1;
    oclin_context *ctx = make_context_with(o);
    assert_refused(ctx, OCLIN_E_VERIFY, p->m.says, program_do(ctx, p->activation, p->gradient));
    oclin_context_destroy(ctx);
    remove_all(folder);
}

static void test_arguments(void **state)
{
    (void)state;
    assert_int_equal(oclin_self_check(NULL, NULL), OCLIN_E_ARG);
    oclin_context *ctx = make_context("plain");
    assert_ok(ctx, oclin_self_check(ctx, NULL));
    oclin_context_destroy(ctx);
}

/* How parts of packing meet depends on lanes and cores: those mistakes are made at all widths. Sums are split
 * where there are more units than tiles. */
static void add_mistake(struct test_list *list, const struct mistake *m)
{
    static const struct facts everywhere[] = {{4, 1}, {8, 2}, {16, 64}}, here[] = {{0, 0}},
                              on_gpu[] = {{0, 64}};
    static struct noticed all[3 * COUNT_OF(mistakes)];
    static size_t count;
    const int packs = strncmp(m->plan, "simd-", 5) == 0;
    for (size_t i = 0; i < (packs ? COUNT_OF(everywhere) : 1); i++) {
        const struct facts f = packs ? everywhere[i] : strcmp(m->plan, "simt") == 0 ? on_gpu[i] : here[i];
        char where[40] = "";
        if (packs) snprintf(where, sizeof where, "%d lanes, %d cores/", f.lanes, f.cores);
        all[count] = (struct noticed){m, f};
        add_test(list, test_mistake, &all[count++], "mistake/%s/%s%s", m->plan, where, m->name);
    }
}

int main(int argc, char **argv)
{
    static const char *const plans[] = {"plain", "simt-16", NULL}; /* simd and simt: all tiles */
    struct test_list list = {NULL, 0, 0};
    for (size_t i = 0; i < COUNT_OF(plans); i++)
        add_test(&list, test_right_device, (void *)(uintptr_t)&plans[i], "right_device/%s",
                 plans[i] ? plans[i] : "default");
    for (size_t i = 0; i < COUNT_OF(mistakes); i++) add_mistake(&list, &mistakes[i]);
    for (size_t i = 0; i < COUNT_OF(plans); i++)
        add_test(&list, test_right_program, (void *)(uintptr_t)&plans[i], "right_program/%s",
                 plans[i] ? plans[i] : "default");
    for (size_t i = 0; i < COUNT_OF(program_mistakes); i++)
        add_test(&list, test_program_mistake, (void *)(uintptr_t)&program_mistakes[i], "program_mistake/%s",
                 program_mistakes[i].m.name);
    for (size_t i = 0; i < COUNT_OF(made_up); i++)
        add_test(&list, test_parts, (void *)(uintptr_t)&made_up[i], "parts/%s", made_up[i].name);
    add_test(&list, test_all_tiles, NULL, "all tiles");
    add_test(&list, test_no_build, NULL, "no build");
    add_test(&list, test_lost_device, NULL, "lost device");
    add_test(&list, test_arguments, NULL, "arguments");
    return run_list("self_check", &list, argc, argv);
}
