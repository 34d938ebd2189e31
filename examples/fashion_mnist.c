/*
 * Trains a classifier on Fashion-MNIST: 60,000 images of clothes for training, 10,000 for the test, 28 x 28
 * grey pixels each, ten classes. Fully connected layers with ReLU between, softmax cross-entropy, and one of
 * four optimizers.
 *
 * The host shuffles and converts batches and sends them ahead; the device computes; nobody waits for the
 * other until an epoch is over. See usage with --help.
 */
#define _XOPEN_SOURCE 700

#include "idx.h"
#include "command_line.h"
#include "options.h"
#include "plot.h"

#include <oclin.h>

#define CL_TARGET_OPENCL_VERSION 120
#ifdef __APPLE__
#include <OpenCL/opencl.h>
#else
#include <CL/cl.h>
#endif

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const class_name[CLASSES] = {
    "T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
};

enum {
    STAGES = 3,  /* batches that may be on their way: one is filled, one copied, one waits */
    WINDOWS = 4, /* row counts in use: a batch, the last of training and of the test, the sample */
    SAMPLE = 64  /* test images that are compared with the reference at the end */
};

/* The first `rows` rows of the batch tensors: a smaller last batch uses the memory of a whole one. */
struct window {
    int64_t rows;
    oclin_tensor *x, *labels, *y;
};

/* A batch on the host, to be left alone until `written` (NULL: free). */
struct stage {
    float *x;
    int32_t *labels;
    cl_event written;
};

/* Loss and correct answers so far, on their way back to a live line. */
struct progress {
    int live;
    double shown; /* when */
    cl_event arrived;
    float loss;
    int32_t correct;
    int64_t rows;
};

struct net {
    oclin_context *ctx;
    oclin_network *network;
    oclin_optimizer *optimizer;
    struct window all, window[WINDOWS];
    oclin_tensor *loss, *correct; /* sums over the samples of an epoch, kept on the device */
    struct stage stage[STAGES];
    int next_stage;
    struct progress progress;
    char log[512]; /* the last line that oclin had to say */
};

/* ------------------------------------------------------------------------------------------- small help */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

/* splitmix64: good enough to shuffle with, and the same everywhere. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void shuffle(int32_t *order, int64_t n, uint64_t *state)
{
    for (int64_t i = n - 1; i > 0; i--) {
        int64_t j = (int64_t)(next_random(state) % (uint64_t)(i + 1));
        int32_t swap = order[i];
        order[i] = order[j];
        order[j] = swap;
    }
}

/* A line on the terminal that will be overwritten: whatever else is printed clears it first. */
static int live_line;

static void clear_live_line(void)
{
    if (live_line) printf("\r\033[K");
    live_line = 0;
    fflush(stdout);
}

static int complain(const char *what, const char *why)
{
    clear_live_line();
    fprintf(stderr, "fashion_mnist: %s: %s\n", what, why);
    return 0;
}

static int succeeded(const oclin_context *ctx, oclin_status status)
{
    return status == OCLIN_OK || complain(oclin_status_name(status), oclin_context_error(ctx));
}

/* Every call of oclin: on failure says why and returns 0 from the function that it stands in. */
#define TRY(net, call)                                \
    do {                                              \
        if (!succeeded((net)->ctx, (call))) return 0; \
    } while (0)

/* ---------------------------------------------------------------------------------------------- the net */

static void keep_line(void *user, const char *line)
{
    struct net *net = user;
    snprintf(net->log, sizeof net->log, "%s", line);
}

static int make_context(struct net *net, const struct options *o)
{
    struct oclin_context_options c = OCLIN_CONTEXT_OPTIONS_INIT;
    if (o->device) unsetenv("OCLIN_DEVICE"); /* which would win, and the flag is what this user said last */
    choose_device(&c, o->device);
    c.verify = o->verify;
    c.log = keep_line;
    c.log_user = net;
    oclin_status status = oclin_context_create(&net->ctx, &c);
    /* There is no context to ask for the sentence: the log got it. */
    return status == OCLIN_OK ||
           complain("OpenCL does not start", net->log[0] ? net->log : oclin_status_text(status));
}

static int make_network(struct net *net, const struct options *o)
{
    uint64_t seeds = o->seed;
    struct oclin_network_options n = OCLIN_NETWORK_OPTIONS_INIT;
    struct oclin_layer_options l[MAX_LAYERS];
    const struct oclin_layer_options *each[MAX_LAYERS];
    for (int i = 0; i < o->layers; i++) {
        l[i] = (struct oclin_layer_options)OCLIN_LAYER_OPTIONS_INIT;
        l[i].seed = next_random(&seeds);
        /* The loss below is a sum over the samples; the step is its mean. */
        l[i].gradient = OCLIN_GRAD_MEAN;
        each[i] = &l[i];
    }
    n.layers = each;
    TRY(net, oclin_network_create(&net->network, net->ctx, o->layers, o->size, NULL, &n));
    return 1;
}

/* A new one, without any step made. */
static int make_optimizer(struct net *net, const struct options *o)
{
    oclin_optimizer_destroy(net->optimizer);
    TRY(net, oclin_optimizer_create(&net->optimizer, net->ctx, &o->optimizer->options));
    TRY(net, oclin_network_add(net->optimizer, net->network));
    return 1;
}

static int make_tensors(struct net *net, const struct options *o)
{
    struct window *w = &net->all;
    w->rows = o->batch > SAMPLE ? o->batch : SAMPLE;
    TRY(net, oclin_tensor_create(&w->x, net->ctx, OCLIN_F32, w->rows, PIXELS));
    TRY(net, oclin_tensor_create(&w->labels, net->ctx, OCLIN_I32, w->rows, 1));
    TRY(net, oclin_tensor_create(&w->y, net->ctx, OCLIN_F32, w->rows, CLASSES));
    TRY(net, oclin_tensor_create(&net->loss, net->ctx, OCLIN_F32, 1, 1));
    TRY(net, oclin_tensor_create(&net->correct, net->ctx, OCLIN_I32, 1, 1));
    return 1;
}

static int make_stages(struct net *net)
{
    for (int i = 0; i < STAGES; i++) {
        struct stage *s = &net->stage[i];
        s->x = malloc((size_t)net->all.rows * PIXELS * sizeof *s->x);
        s->labels = malloc((size_t)net->all.rows * sizeof *s->labels);
        if (!s->x || !s->labels) return complain("no memory", "for the batches");
    }
    return 1;
}

/* The window of that many rows, made when it is first asked for. NULL: it could not be made. */
static struct window *window_of(struct net *net, int64_t rows)
{
    struct window *w = net->window;
    while (w->rows && w->rows != rows) w++;
    if (w->rows) return w;
    w->rows = rows;
    const int ok = succeeded(net->ctx, oclin_tensor_view_rows(&w->x, net->all.x, 0, rows)) &&
                   succeeded(net->ctx, oclin_tensor_view_rows(&w->labels, net->all.labels, 0, rows)) &&
                   succeeded(net->ctx, oclin_tensor_view_rows(&w->y, net->all.y, 0, rows));
    return ok ? w : NULL;
}

static void free_window(struct window *w)
{
    oclin_tensor_destroy(w->x);
    oclin_tensor_destroy(w->labels);
    oclin_tensor_destroy(w->y);
}

static void free_net(struct net *net)
{
    /* After a failure copies from and to the host may still be under way. */
    if (net->ctx) (void)oclin_context_finish(net->ctx);
    if (net->progress.arrived) clReleaseEvent(net->progress.arrived);
    for (int i = 0; i < STAGES; i++) {
        if (net->stage[i].written) clReleaseEvent(net->stage[i].written);
        free(net->stage[i].x);
        free(net->stage[i].labels);
    }
    for (int i = 0; i < WINDOWS; i++) free_window(&net->window[i]);
    free_window(&net->all);
    oclin_tensor_destroy(net->loss);
    oclin_tensor_destroy(net->correct);
    oclin_optimizer_destroy(net->optimizer);
    oclin_network_destroy(net->network);
    oclin_context_destroy(net->ctx);
}

/* ----------------------------------------------------------------------------------------------- a step */

/* Pixels become numbers around zero: mean and standard deviation over the 60,000 training images. */
static float normal[256];

static void make_normal(void)
{
    const double mean = 0.2860, deviation = 0.3530;
    for (int v = 0; v < 256; v++) normal[v] = (float)((v / 255.0 - mean) / deviation);
}

/* A stage that the device is done with: the one used longest ago. Waits only if the host is that far ahead.
 */
static struct stage *free_stage(struct net *net)
{
    struct stage *s = &net->stage[net->next_stage++ % STAGES];
    if (!s->written) return s;
    cl_int status = clWaitForEvents(1, &s->written);
    clReleaseEvent(s->written);
    s->written = NULL;
    if (status == CL_SUCCESS) return s;
    complain("OpenCL", "a batch did not reach the device");
    return NULL;
}

/* Sends the images order[0], order[1], ... to the device. */
static int feed(struct net *net, struct window *w, const struct idx_set *set, const int32_t *order)
{
    struct stage *s = free_stage(net);
    if (!s) return 0;
    for (int64_t r = 0; r < w->rows; r++) {
        const uint8_t *image = set->pixels + (int64_t)order[r] * PIXELS;
        for (int i = 0; i < PIXELS; i++) s->x[r * PIXELS + i] = normal[image[i]];
        s->labels[r] = set->labels[order[r]];
    }
    TRY(net, oclin_tensor_write_async(w->x, s->x, NULL));
    /* The queue is in order: when the labels are there, so are the pixels. */
    TRY(net, oclin_tensor_write_async(w->labels, s->labels, &s->written));
    return 1;
}

/* The loss and the correct answers are added to the sums on the device. */
static struct oclin_loss_options adding(void)
{
    struct oclin_loss_options l = OCLIN_LOSS_OPTIONS_INIT;
    l.reduction = OCLIN_SUM;
    l.accumulate = 1;
    return l;
}

static int test_batch(struct net *net, struct window *w)
{
    const struct oclin_loss_options l = adding();
    TRY(net, oclin_network_infer(net->network, w->x, w->y));
    TRY(net, oclin_loss_cross_entropy(w->y, w->labels, net->loss, NULL, net->correct, &l));
    return 1;
}

/* Batch number `at` of the `count` whose mean gradient makes one step. */
static int train_batch(struct net *net, struct window *w, int64_t at, int64_t count, double lr)
{
    const struct oclin_loss_options l = adding();
    struct oclin_update u = OCLIN_UPDATE_INIT(lr);
    struct oclin_train_step_options o = OCLIN_TRAIN_STEP_OPTIONS_INIT(&u);
    u.grad_scale = 1.0 / (double)count;
    o.first = at == 0;
    o.last = at == count - 1;
    TRY(net, oclin_network_train_step(net->network, w->x, w->labels, OCLIN_LOSS_CROSS_ENTROPY, &l, net->loss,
                                      net->correct, net->optimizer, &o));
    return 1;
}

/* -------------------------------------------------------------------------------------------- an epoch */

/* The images set[order[0]], set[order[1]], ... batch by batch: to train on, or only to test. */
struct pass {
    const struct idx_set *set;
    const int32_t *order;
    int64_t count, batch;
    const struct options *train; /* NULL: only to test */
    int64_t steps;               /* that were made before */
    char title[32];              /* of the live line */
};

struct result {
    double loss, accuracy, seconds; /* accuracy in percent */
    double lr;                      /* of the last step */
    int64_t correct;
};

static void show_progress(struct progress *p, const struct pass *pass, double started)
{
    char bar[] = "                    ";
    double seconds = now() - started;
    memset(bar, '#', (size_t)(p->rows * 20 / pass->count));
    printf("\r\033[K%s [%s] loss %.4f  %5.2f %%  %.0f images/s", pass->title, bar, p->loss / (double)p->rows,
           100.0 * p->correct / (double)p->rows, (double)p->rows / seconds);
    fflush(stdout);
    live_line = 1;
    p->shown = now();
}

/* Asks for the sums without waiting, and shows them when they have arrived, some ten times a second. */
static int follow(struct net *net, const struct pass *pass, int64_t rows, double started)
{
    struct progress *p = &net->progress;
    if (!p->live) return 1;
    if (p->arrived) {
        cl_int status = CL_QUEUED;
        clGetEventInfo(p->arrived, CL_EVENT_COMMAND_EXECUTION_STATUS, sizeof status, &status, NULL);
        if (status > CL_COMPLETE) return 1;
        clReleaseEvent(p->arrived);
        p->arrived = NULL;
        if (status == CL_COMPLETE) show_progress(p, pass, started);
    } else if (now() - p->shown > 0.1) {
        p->rows = rows;
        TRY(net, oclin_tensor_read_async(net->loss, &p->loss, NULL));
        TRY(net, oclin_tensor_read_async(net->correct, &p->correct, &p->arrived));
    }
    return 1;
}

/* The one place in an epoch where the host waits for the device. */
static int read_result(struct net *net, const struct pass *pass, double started, struct result *result)
{
    float loss;
    int32_t correct;
    TRY(net, oclin_tensor_read(net->loss, &loss));
    TRY(net, oclin_tensor_read(net->correct, &correct));
    result->seconds = now() - started;
    result->loss = loss / (double)pass->count;
    result->correct = correct;
    result->accuracy = 100.0 * correct / (double)pass->count;

    struct progress *p = &net->progress;
    if (p->arrived) clReleaseEvent(p->arrived); /* complete: the reads above came after it */
    p->arrived = NULL;
    clear_live_line();
    return 1;
}

/* Trains on batch number `index` of an epoch that has `batches` of them. */
static int train_on(struct net *net, struct window *w, const struct pass *pass, int64_t index,
                    struct result *result)
{
    const struct options *o = pass->train;
    const int64_t batches = (pass->count + pass->batch - 1) / pass->batch;
    const int64_t step = index / o->accumulate, first = step * o->accumulate, left = batches - first;
    const int64_t steps = (batches + o->accumulate - 1) / o->accumulate;
    result->lr = options_rate(o, pass->steps + step, steps);
    return train_batch(net, w, index - first, left < o->accumulate ? left : o->accumulate, result->lr);
}

static int run_pass(struct net *net, const struct pass *pass, struct result *result)
{
    double started = now();
    TRY(net, oclin_tensor_fill(net->loss, 0));
    TRY(net, oclin_tensor_fill(net->correct, 0));
    for (int64_t done = 0; done < pass->count;) {
        int64_t left = pass->count - done;
        struct window *w = window_of(net, left < pass->batch ? left : pass->batch);
        if (!w || !feed(net, w, pass->set, pass->order + done)) return 0;
        if (!(pass->train ? train_on(net, w, pass, done / pass->batch, result) : test_batch(net, w)))
            return 0;
        done += w->rows;
        if (!follow(net, pass, done, started)) return 0;
    }
    return read_result(net, pass, started, result);
}

/* ---------------------------------------------------------------------------------------------- kernels */

/* All layers' W and b, one behind the other, to `host` or back from there. */
static int copy_parameters(struct net *net, float *host, int back)
{
    for (int i = 0; i < oclin_network_layers(net->network); i++) {
        oclin_layer *layer = oclin_network_layer(net->network, i);
        oclin_tensor *const both[] = {oclin_layer_w(layer), oclin_layer_b(layer)};
        for (int j = 0; j < 2; j++) {
            TRY(net, back ? oclin_tensor_write(both[j], host) : oclin_tensor_read(both[j], host));
            host += oclin_tensor_rows(both[j]) * oclin_tensor_cols(both[j]);
        }
    }
    return 1;
}

static int64_t parameters_of(const struct options *o)
{
    int64_t count = 0;
    for (int i = 0; i < o->layers; i++) count += (o->size[i] + 1) * o->size[i + 1];
    return count;
}

/* The first images of a pass, in batches and steps of every size that it has. */
static struct pass beginning(struct pass pass)
{
    const int64_t a_step = pass.batch * (pass.train ? pass.train->accumulate : 1);
    if (pass.count > a_step) pass.count = a_step + pass.count % a_step;
    return pass;
}

/* --------------------------------------------------------------------------------------------- training */

/* Everything that one run of the program holds. */
struct run {
    struct options options;
    struct idx_set train, test;
    int64_t count; /* of training images in use */
    int32_t *order, *test_order;
    struct net net;
    struct result *train_result, *test_result; /* one of each an epoch */
};

/* That of an epoch, counted from 0. */
static struct pass train_pass(const struct run *r, int64_t epoch)
{
    const int64_t a_step = r->options.batch * r->options.accumulate;
    const int64_t steps = (r->count + a_step - 1) / a_step;
    return (struct pass){&r->train, r->order, r->count, r->options.batch, &r->options, epoch * steps, ""};
}

static struct pass test_pass(const struct run *r)
{
    return (struct pass){&r->test, r->test_order, r->test.count, r->net.all.rows, NULL, 0, " test"};
}

/* oclin compiles a kernel, or loads it from its cache, when it is first used: that is not the time of an
 * epoch. So the first steps are made here, W and b put back, and the optimizer begins anew. */
static int warm_up(struct run *r)
{
    struct net *net = &r->net;
    struct pass train = beginning(train_pass(r, 0)), test = beginning(test_pass(r));
    struct result ignored;
    double started = now();
    printf("kernels   compiled, or loaded from the cache of an earlier run: ");
    fflush(stdout);
    float *kept = malloc((size_t)parameters_of(&r->options) * sizeof *kept);
    if (!kept) return complain("no memory", "for the parameters");
    const int live = net->progress.live;
    net->progress.live = 0;
    int ok = copy_parameters(net, kept, 0) && run_pass(net, &train, &ignored) &&
             run_pass(net, &test, &ignored) && copy_parameters(net, kept, 1) &&
             make_optimizer(net, &r->options);
    net->progress.live = live;
    free(kept);
    if (ok) printf("%.1f s\n", now() - started);
    return ok;
}

static int train_epoch(struct run *r, int64_t epoch, uint64_t *random)
{
    struct pass train = train_pass(r, epoch), test = test_pass(r);
    struct result *a = &r->train_result[epoch], *b = &r->test_result[epoch];
    snprintf(train.title, sizeof train.title, "%5lld", (long long)epoch + 1);
    shuffle(r->order, r->count, random);
    if (!run_pass(&r->net, &train, a) || !run_pass(&r->net, &test, b)) return 0;
    printf("%5lld  %8.4f  %7.2f %%  %9.4f  %7.2f %%  %7.2f  %8.0f  %8.5f\n", (long long)epoch + 1, a->loss,
           a->accuracy, b->loss, b->accuracy, a->seconds, (double)r->count / a->seconds, a->lr);
    fflush(stdout);
    return 1;
}

static int train(struct run *r)
{
    const struct options *o = &r->options;
    uint64_t random = ~o->seed; /* not the one that the layers' seeds come from */
    double started = now(), seconds = 0;
    printf("\nepoch      loss   accuracy  test loss   accuracy  seconds  images/s        lr\n");
    for (int64_t e = 0; e < o->epochs; e++) {
        if (!train_epoch(r, e, &random)) return 0;
        seconds += r->train_result[e].seconds;
    }
    const struct result *last = &r->test_result[o->epochs - 1];
    printf("\nresult    %.2f %% of the test images are right, %lld of %lld\n", last->accuracy,
           (long long)last->correct, (long long)r->test.count);
    printf("time      %.1f s with the tests; %.2f s an epoch of training, %.0f images/s\n", now() - started,
           seconds / (double)o->epochs, (double)(r->count * o->epochs) / seconds);
    return 1;
}

/* ---------------------------------------------------------------------------- comparison with reference */

/* One layer on the host. */
struct copy {
    float *x, *y, *w, *b;
    double *y_ref, *bound;
};

static int make_copy(struct copy *c, int64_t rows, int64_t in, int64_t out)
{
    c->x = malloc((size_t)(rows * in) * sizeof *c->x);
    c->y = malloc((size_t)(rows * out) * sizeof *c->y);
    c->w = malloc((size_t)(out * in) * sizeof *c->w);
    c->b = malloc((size_t)out * sizeof *c->b);
    c->y_ref = malloc((size_t)(rows * out) * sizeof *c->y_ref);
    c->bound = malloc((size_t)(rows * out) * sizeof *c->bound);
    return (c->x && c->y && c->w && c->b && c->y_ref && c->bound) || complain("no memory", "for the check");
}

static void free_copy(struct copy *c)
{
    free(c->x);
    free(c->y);
    free(c->w);
    free(c->b);
    free(c->y_ref);
    free(c->bound);
}

static int flushes_denormals(const struct net *net)
{
    cl_device_id device = NULL;
    cl_device_fp_config config = 0;
    (void)oclin_context_cl(net->ctx, NULL, &device, NULL);
    clGetDeviceInfo(device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL);
    return !(config & CL_FP_DENORM);
}

struct difference {
    double largest, bound; /* in absolute terms, and what is allowed there */
    double fraction;       /* largest in units of what is allowed at its place: at most 1 */
};

/* A NaN or an infinity that the reference does not have is infinitely far away. */
static struct difference compare(const struct copy *c, int64_t n)
{
    struct difference d = {0, 0, 0};
    for (int64_t i = 0; i < n; i++) {
        if ((double)c->y[i] == c->y_ref[i] || (isnan(c->y[i]) && isnan(c->y_ref[i]))) continue;
        double difference = fabs(c->y[i] - c->y_ref[i]);
        if (!isfinite(difference)) difference = INFINITY;
        if (difference > d.largest) d.largest = difference, d.bound = c->bound[i];
        d.fraction = fmax(d.fraction, isfinite(difference) ? difference / c->bound[i] : INFINITY);
    }
    return d;
}

/* Layer i alone: from the x that the device has and the w and b that it has. */
static int check_layer(struct net *net, int i, oclin_tensor *x, oclin_tensor *y, struct copy *c)
{
    oclin_layer *layer = oclin_network_layer(net->network, i);
    const int64_t rows = oclin_tensor_rows(x), out = oclin_layer_out(layer);
    TRY(net, oclin_layer_infer(layer, x, y));
    TRY(net, oclin_tensor_read(x, c->x));
    TRY(net, oclin_tensor_read(y, c->y));
    TRY(net, oclin_tensor_read(oclin_layer_w(layer), c->w));
    TRY(net, oclin_tensor_read(oclin_layer_b(layer), c->b));

    struct oclin_ref_case ref = OCLIN_REF_CASE_INIT(rows, oclin_layer_in(layer), out);
    ref.activation = i < oclin_network_layers(net->network) - 1 ? OCLIN_RELU : OCLIN_NONE;
    ref.no_denormals = flushes_denormals(net);
    TRY(net, oclin_layer_additions(layer, OCLIN_RESULT_Y, rows, &ref.additions));
    oclin_ref_forward(&ref, c->x, c->w, c->b, NULL, NULL, c->y_ref, c->bound);

    struct difference d = compare(c, rows * out);
    printf("layer %-2d  largest difference %.2g where %.2g is allowed, at worst %.3f of the bound\n", i + 1,
           d.largest, d.bound, d.fraction);
    return d.fraction <= 1 || complain("the device", "a result is further from the reference than its bound");
}

/* The first test images, layer by layer. */
static int check(struct run *r)
{
    struct net *net = &r->net;
    const int64_t *size = r->options.size, rows = r->test.count < SAMPLE ? r->test.count : SAMPLE;
    struct window *w = window_of(net, rows);
    oclin_tensor *y[MAX_LAYERS] = {NULL};
    printf("check     %lld test images against the reference\n", (long long)rows);
    int ok = w && feed(net, w, &r->test, r->test_order);
    for (int i = 0; ok && i < r->options.layers; i++) {
        struct copy c = {0};
        ok = make_copy(&c, rows, size[i], size[i + 1]) &&
             succeeded(net->ctx, oclin_tensor_create(&y[i], net->ctx, OCLIN_F32, rows, size[i + 1])) &&
             check_layer(net, i, i ? y[i - 1] : w->x, y[i], &c);
        free_copy(&c);
    }
    for (int i = 0; i < MAX_LAYERS; i++) oclin_tensor_destroy(y[i]);
    return ok;
}

/* --------------------------------------------------------------------------------------------- pictures */

static int report_picture(const char *path, const char *error)
{
    if (error) return complain(path, error);
    printf("picture   %s\n", path);
    return 1;
}

/* "784-256-10": the network. */
static void name_layers(const struct options *o, char *name, size_t size)
{
    size_t used = (size_t)snprintf(name, size, "%lld", (long long)o->size[0]);
    for (int i = 0; i < o->layers && used < size; i++)
        used += (size_t)snprintf(name + used, size - used, "-%lld", (long long)o->size[i + 1]);
}

static int draw_curves(const struct run *r)
{
    int64_t n = r->options.epochs;
    char path[4096], layers[160], caption[600];
    struct oclin_device_info d;
    TRY(&r->net, oclin_context_device(r->net.ctx, &d));
    name_layers(&r->options, layers, sizeof layers);
    snprintf(caption, sizeof caption, "%s, batch %lld, %s with %g on %s, %s", layers,
             (long long)r->options.batch, r->options.optimizer->title, r->options.lr, d.name,
             d.platform_name);
    double *value = malloc(4 * (size_t)n * sizeof *value);
    if (!value) return complain("no memory", "for the training curve");
    for (int64_t e = 0; e < n; e++) {
        value[e] = r->train_result[e].loss;
        value[n + e] = r->test_result[e].loss;
        value[2 * n + e] = r->train_result[e].accuracy;
        value[3 * n + e] = r->test_result[e].accuracy;
    }
    const struct plot_panel panel[2] = {
        {"loss", "", {{"training", value}, {"test", value + n}}},
        {"accuracy", " %", {{"training", value + 2 * n}, {"test", value + 3 * n}}},
    };
    snprintf(path, sizeof path, "%s/fashion_mnist_curve.png", r->options.out);
    const char *error = plot_curves(path, caption, (int)n, panel);
    free(value);
    return report_picture(path, error);
}

/* With a single layer a row of W is an image: what speaks for that class, and what against it. */
static int draw_weights(struct run *r)
{
    static float w[CLASSES * PIXELS];
    char path[4096];
    if (r->options.layers != 1) return 1;
    TRY(&r->net, oclin_tensor_read(oclin_layer_w(oclin_network_layer(r->net.network, 0)), w));
    snprintf(path, sizeof path, "%s/fashion_mnist_weights.png", r->options.out);
    return report_picture(path, plot_weights(path, CLASSES, 28, 28, w, class_name));
}

/* ------------------------------------------------------------------------------------------------- main */

static int read_set(struct idx_set *set, const char *folder, const char *part)
{
    char images[4096], labels[4096];
    snprintf(images, sizeof images, "%s/%s-images-idx3-ubyte.gz", folder, part);
    snprintf(labels, sizeof labels, "%s/%s-labels-idx1-ubyte.gz", folder, part);
    const char *hint = "the files are Debian's package dataset-fashion-mnist, --data names another folder";
    if (!idx_read(set, images, labels, CLASSES)) {
        fprintf(stderr, "fashion_mnist: %s (%s)\n", set->error, hint);
        return 0;
    }
    if (set->rows == 28 && set->cols == 28) return 1;
    fprintf(stderr, "fashion_mnist: %s holds images of %lld x %lld pixels, not 28 x 28 (%s)\n", images,
            (long long)set->rows, (long long)set->cols, hint);
    return 0;
}

static int make_arrays(struct run *r)
{
    size_t epochs = (size_t)r->options.epochs;
    r->count = r->train.count;
    if (r->options.samples && r->options.samples < r->count) r->count = r->options.samples;
    r->order = malloc((size_t)r->count * sizeof *r->order);
    r->test_order = malloc((size_t)r->test.count * sizeof *r->test_order);
    r->train_result = calloc(epochs, sizeof *r->train_result);
    r->test_result = calloc(epochs, sizeof *r->test_result);
    if (!r->order || !r->test_order || !r->train_result || !r->test_result)
        return complain("no memory", "for the order of the images");
    for (int64_t i = 0; i < r->count; i++) r->order[i] = (int32_t)i;
    for (int64_t i = 0; i < r->test.count; i++) r->test_order[i] = (int32_t)i;
    return 1;
}

static int print_head(struct run *r)
{
    const struct options *o = &r->options;
    struct oclin_device_info d;
    char layers[160];
    TRY(&r->net, oclin_context_device(r->net.ctx, &d));
    name_layers(o, layers, sizeof layers);
    printf("device    %s, %s\n", d.name, d.platform_name);
    printf("driver    %s, %s\n", d.driver, d.version);
    printf("layers    %s, %lld parameters\n", layers, (long long)parameters_of(o));
    printf("images    %lld to train on, %lld to test\n", (long long)r->count, (long long)r->test.count);
    printf("%-9s batch %lld, ", o->optimizer->title, (long long)o->batch);
    if (o->accumulate > 1) printf("%lld of them a step, ", (long long)o->accumulate);
    printf("learning rate %g, ", o->lr);
    if (o->warmup) printf("warm-up of %lld steps, ", (long long)o->warmup);
    if (o->cosine)
        printf("then down to 0 along a cosine, ");
    else
        printf("times %g after each epoch, ", o->decay);
    printf("seed %llu%s\n", (unsigned long long)o->seed, o->verify ? ", verifying" : "");
    return 1;
}

static int make_net(struct run *r)
{
    struct net *net = &r->net;
    net->progress.live = isatty(STDOUT_FILENO);
    make_normal();
    return make_context(net, &r->options) && make_network(net, &r->options) &&
           make_optimizer(net, &r->options) && make_tensors(net, &r->options) && make_stages(net);
}

int main(int argc, char **argv)
{
    static struct run r;
    int status = options_parse(&r.options, argc, argv);
    if (status >= 0) return status;
    int ok = read_set(&r.train, r.options.data, "train") && read_set(&r.test, r.options.data, "t10k") &&
             make_arrays(&r) && make_net(&r) && print_head(&r) && warm_up(&r) && train(&r) && check(&r) &&
             draw_curves(&r) && draw_weights(&r);
    free_net(&r.net);
    idx_free(&r.train);
    idx_free(&r.test);
    free(r.order);
    free(r.test_order);
    free(r.train_result);
    free(r.test_result);
    return ok ? 0 : 1;
}
