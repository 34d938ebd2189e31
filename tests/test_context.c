/* Contexts: options, environment, the caller's own handles, the error record. */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <math.h>

#include "support.h"

#include "files.h"
#include "oclin_internal.h"

/* Creation must fail with this status, leave NULL, and say a sentence with `part`. */
static void check_creation_fails(struct oclin_context_options *options, oclin_status expected,
                                 const char *part)
{
    struct heard heard = {0};
    options->log = hear;
    options->log_user = &heard;
    oclin_context *ctx = (oclin_context *)&heard;
    assert_status(NULL, expected, oclin_context_create(&ctx, options));
    assert_null(ctx);
    assert_int_equal(heard.newlines, 0);
    if (!strstr(heard.last, part)) fail_msg("\"%s\" has no \"%s\"", heard.last, part);
    if (!strstr(heard.last, oclin_status_name(expected)))
        fail_msg("\"%s\" does not name the status", heard.last);
}

/* ------------------------------------------------------------------------------------- statuses, version */

static void test_statuses(void **state)
{
    (void)state;
    assert_int_equal(OCLIN_OK, 0);
    assert_string_equal(oclin_status_name(OCLIN_OK), "OCLIN_OK");
    assert_string_equal(oclin_status_name(OCLIN_E_SHAPE), "OCLIN_E_SHAPE");
    assert_string_equal(oclin_status_text(OCLIN_E_BUILD), "a kernel did not compile");
    for (int i = 0; i < OCLIN_STATUS_COUNT; i++) {
        assert_true(strncmp(oclin_status_name((oclin_status)i), "OCLIN_", 6) == 0);
        assert_string_not_equal(oclin_status_text((oclin_status)i), "unknown status");
        for (int j = 0; j < i; j++)
            assert_string_not_equal(oclin_status_name((oclin_status)i), oclin_status_name((oclin_status)j));
    }
    static const int unknown[] = {OCLIN_STATUS_COUNT, 1000, -1};
    for (size_t i = 0; i < COUNT_OF(unknown); i++) {
        assert_string_equal(oclin_status_name((oclin_status)unknown[i]), "?");
        assert_string_equal(oclin_status_text((oclin_status)unknown[i]), "unknown status");
    }
}

static void test_version(void **state)
{
    (void)state;
    assert_int_equal(oclin_version(), OCLIN_VERSION);
    assert_int_equal(OCLIN_VERSION,
                     OCLIN_VERSION_MAJOR * 1000000 + OCLIN_VERSION_MINOR * 1000 + OCLIN_VERSION_PATCH);
}

/* -------------------------------------------------------------------------------------------- creation */

static void test_defaults(void **state)
{
    (void)state;
    oclin_context *ctx = NULL;
    struct oclin_device_info info;
    cl_context context = NULL;
    cl_device_id device = NULL;
    cl_command_queue queue = NULL;
    cl_command_queue_properties properties = 1;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx, NULL));
    assert_string_equal(oclin_context_error(ctx), "");
    assert_string_equal(oclin_context_build_log(ctx), "");
    assert_int_equal(oclin_context_cl_error(ctx), CL_SUCCESS);
    assert_ok(ctx, oclin_context_device(ctx, &info));
    assert_ok(ctx, oclin_context_cl(ctx, &context, &device, &queue));
    assert_ok(ctx, oclin_context_cl(ctx, NULL, NULL, NULL));
    assert_ptr_equal(info.device, device);
    assert_non_null(context);
    assert_int_equal(clGetCommandQueueInfo(queue, CL_QUEUE_PROPERTIES, sizeof properties, &properties, NULL),
                     CL_SUCCESS);
    assert_false(properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    assert_ok(ctx, oclin_context_finish(ctx));
    oclin_context_destroy(ctx);
    oclin_context_destroy(NULL);
}

static void test_null(void **state)
{
    (void)state;
    struct oclin_device_info info;
    cl_event event;
    oclin_context *ctx = make_context("plain");
    assert_int_equal(oclin_context_create(NULL, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_context_finish(NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_context_wait_for(NULL, 0, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_context_mark(NULL, &event), OCLIN_E_ARG);
    assert_int_equal(oclin_context_device(NULL, &info), OCLIN_E_ARG);
    assert_int_equal(oclin_context_cl(NULL, NULL, NULL, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_context_device(ctx, NULL), OCLIN_E_ARG);
    assert_string_equal(oclin_context_error(NULL), "");
    assert_string_equal(oclin_context_build_log(NULL), "");
    assert_int_equal(oclin_context_cl_error(NULL), CL_SUCCESS);
    oclin_context_destroy(ctx);
}

/* One option that is wrong. */
struct wrong {
    const char *what;
    oclin_device_type type;
    int64_t index;
    const char *plan, *part;
};

static struct wrong wrongs[] = {
    {"device type too large", (oclin_device_type)4, 0, NULL, "device_type is 4"},
    {"device type negative", (oclin_device_type)-1, 0, NULL, "device_type is -1"},
    {"device index negative", OCLIN_DEVICE_ANY, -1, NULL, "device_index is -1"},
    {"plan unknown", OCLIN_DEVICE_ANY, 0, "fast", "'fast'"},
    {"plan too long", OCLIN_DEVICE_ANY, 0, "plain and then a good deal more than any name may have",
     "'plain"},
    {"plan with a tile that does not exist", OCLIN_DEVICE_ANY, 0, "simt-48", "'simt-48'"},
};

static void test_wrong_option(void **state)
{
    const struct wrong *w = *state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.device_type = w->type;
    options.device_index = w->index;
    options.plan = w->plan;
    check_creation_fails(&options, OCLIN_E_ARG, w->part);
}

/* A size that no program has filled in: nothing in the struct can be trusted, also not the log. */
static void test_garbage_size(void **state)
{
    (void)state;
    static const size_t sizes[] = {0,
                                   1,
                                   sizeof(size_t) - 1,
                                   1u << 20,
                                   SIZE_MAX,
                                   offsetof(struct oclin_context_options, plan) + sizeof(void *) / 2,
                                   sizeof(struct oclin_context_options) - 1};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
        options.size = sizes[i];
        oclin_context *ctx = (oclin_context *)&options;
        assert_status(NULL, OCLIN_E_ARG, oclin_context_create(&ctx, &options));
        assert_null(ctx);
    }
}

/* The struct of a newer caller: zeros behind what is known are fine, anything else is an unknown option. */
static void test_newer_caller(void **state)
{
    (void)state;
    struct {
        struct oclin_context_options options;
        unsigned char tail[24];
    } newer = {OCLIN_CONTEXT_OPTIONS_INIT, {0}};
    newer.options.size = sizeof newer;
    oclin_context *ctx = NULL;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx, &newer.options));
    oclin_context_destroy(ctx);
    for (size_t i = 0; i < sizeof newer.tail; i++) {
        newer.tail[i] = 1;
        assert_status(NULL, OCLIN_E_ARG, oclin_context_create(&ctx, &newer.options));
        assert_null(ctx);
        newer.tail[i] = 0;
    }
}

/* The log option is one that is known: it gets the sentence. */
static void test_newer_caller_is_told(void **state)
{
    (void)state;
    struct {
        struct oclin_context_options options;
        unsigned char tail[24];
    } newer = {OCLIN_CONTEXT_OPTIONS_INIT, {1}};
    newer.options.size = sizeof newer;
    check_creation_fails(&newer.options, OCLIN_E_ARG, "does not know");
}

/* The struct of an older caller: what lies behind its end is not looked at. */
static void test_older_caller(void **state)
{
    (void)state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    struct heard heard = {0};
    options.size = offsetof(struct oclin_context_options, plan);
    options.plan = "no plan at all";
    options.verify = 1;
    options.log = hear;
    options.log_user = &heard;
    oclin_context *ctx = NULL;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx, &options));
    assert_int_equal(heard.lines, 0);
    assert_int_equal(ctx->verify, 0);
    oclin_context_destroy(ctx);
    options.size = sizeof(size_t);
    assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx, &options));
    oclin_context_destroy(ctx);
}

static void test_reserved(void **state)
{
    (void)state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.reserved = 3;
    check_creation_fails(&options, OCLIN_E_ARG, "reserved is 3");
}

/* -------------------------------------------------------------------------------- the reason, as a text */

/* Creation fails for its device_index; the text is `size` bytes of a buffer that must stay as it is behind
 * them. */
static void check_text(size_t size)
{
    char text[64];
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx = NULL;
    memset(text, 'x', sizeof text);
    options.device_index = -7;
    options.error_text = text;
    options.error_text_size = size;
    assert_status(NULL, OCLIN_E_ARG, oclin_context_create(&ctx, &options));
    static const char sentence[] = "device_index is -7, it counts from 0";
    const size_t length = size == 0 ? 0 : strlen(sentence) < size ? strlen(sentence) : size - 1;
    assert_memory_equal(text, sentence, length);
    if (size > 0) assert_int_equal(text[length], 0);
    for (size_t i = size; i < sizeof text; i++) assert_int_equal(text[i], 'x');
}

static void test_error_text(void **state)
{
    (void)state;
    check_text(64);
    for (size_t size = 0; size < 40; size++) check_text(size); /* cut, to the last byte */
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx = NULL;
    options.device_index = -7;
    options.error_text_size = 64; /* and no text */
    assert_status(NULL, OCLIN_E_ARG, oclin_context_create(&ctx, &options));
}

/* Every way to fail says why: before there is a context, in the options, and when one is being made. */
static void test_error_text_says_why(void **state)
{
    (void)state;
    char text[512];
    struct {
        struct oclin_context_options options;
        unsigned char tail[24];
    } newer = {OCLIN_CONTEXT_OPTIONS_INIT, {1}};
    struct oclin_context_options *o = &newer.options;
    oclin_context *ctx = NULL;
    o->error_text = text;
    o->error_text_size = sizeof text;
    assert_status(NULL, OCLIN_E_ARG, oclin_context_create(NULL, o));
    assert_non_null(strstr(text, "address"));
    o->plan = "no such plan";
    assert_status(NULL, OCLIN_E_ARG, oclin_context_create(&ctx, o));
    assert_non_null(strstr(text, "'no such plan'"));
    o->plan = "plain";
    o->size = sizeof newer;
    assert_status(NULL, OCLIN_E_ARG, oclin_context_create(&ctx, o));
    assert_non_null(strstr(text, "does not know"));
    o->size = sizeof *o;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx, o));
    assert_string_equal(text, "");
    strcpy(text, "mine"); /* whatever the context does later is none of the text's business */
    assert_int_equal(oclin_context_wait_for(ctx, -1, NULL), OCLIN_E_ARG);
    oclin_context_destroy(ctx);
    assert_string_equal(text, "mine");
}

/* An older caller has no such option; what lies where it would be is not looked at. Nor is it with a
 * garbage size. */
static void test_error_text_of_older_caller(void **state)
{
    (void)state;
    static const size_t sizes[] = {offsetof(struct oclin_context_options, error_text), 3};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char text[16] = "mine";
        struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
        oclin_context *ctx = NULL;
        options.size = sizes[i];
        options.device_index = -1;
        options.error_text = text;
        options.error_text_size = sizeof text;
        assert_status(NULL, OCLIN_E_ARG, oclin_context_create(&ctx, &options));
        assert_string_equal(text, "mine");
    }
}

/* ----------------------------------------------------------------------------------- the caller's handles */

/* Handles of a caller on the device under test. */
struct own {
    cl_context context;
    cl_device_id device;
    cl_command_queue queue;
};

static struct own make_own(cl_command_queue_properties properties)
{
    struct own own = {NULL, NULL, NULL};
    oclin_context *ctx = make_context("plain");
    assert_ok(ctx, oclin_context_cl(ctx, NULL, &own.device, NULL));
    oclin_context_destroy(ctx);
    cl_int error;
    own.context = clCreateContext(NULL, 1, &own.device, NULL, NULL, &error);
    assert_int_equal(error, CL_SUCCESS);
    own.queue = clCreateCommandQueue(own.context, own.device, properties, &error);
    assert_int_equal(error, CL_SUCCESS);
    return own;
}

static void release_own(const struct own *own)
{
    clReleaseCommandQueue(own->queue);
    clReleaseContext(own->context);
}

static struct oclin_context_options options_of(const struct own *own)
{
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = "plain";
    options.cl_context_handle = own->context;
    options.cl_device = own->device;
    options.cl_queue = own->queue;
    return options;
}

static cl_uint references(const struct own *own, int of_queue)
{
    cl_uint count = 0;
    const cl_int error =
        of_queue ? clGetCommandQueueInfo(own->queue, CL_QUEUE_REFERENCE_COUNT, sizeof count, &count, NULL)
                 : clGetContextInfo(own->context, CL_CONTEXT_REFERENCE_COUNT, sizeof count, &count, NULL);
    assert_int_equal(error, CL_SUCCESS);
    return count;
}

/* Bits of which of the three handles are given: 1 to 6 are errors. */
static void test_some_handles(void **state)
{
    (void)state;
    const struct own own = make_own(0);
    for (int given = 1; given < 7; given++) {
        struct oclin_context_options options = options_of(&own);
        if (!(given & 1)) options.cl_context_handle = NULL;
        if (!(given & 2)) options.cl_device = NULL;
        if (!(given & 4)) options.cl_queue = NULL;
        check_creation_fails(&options, OCLIN_E_ARG, "together");
    }
    release_own(&own);
}

static void test_out_of_order_queue(void **state)
{
    (void)state;
    struct own own = make_own(0);
    cl_command_queue_properties can = 0;
    clGetDeviceInfo(own.device, CL_DEVICE_QUEUE_PROPERTIES, sizeof can, &can, NULL);
    release_own(&own);
    if (!(can & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)) {
        print_message("this device has no such queues\n");
        return;
    }
    own = make_own(CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE);
    struct oclin_context_options options = options_of(&own);
    check_creation_fails(&options, OCLIN_E_ARG, "out of order");
    assert_int_equal(references(&own, 1), 1);
    release_own(&own);
}

static void test_queue_of_another_context(void **state)
{
    (void)state;
    const struct own own = make_own(0), other = make_own(0);
    struct oclin_context_options options = options_of(&own);
    options.cl_queue = other.queue;
    check_creation_fails(&options, OCLIN_E_ARG, "another cl_context");
    release_own(&own);
    release_own(&other);
}

/* A part of the device is another device, where the device can be parted. */
static void test_queue_of_another_device(void **state)
{
    (void)state;
    struct own own = make_own(0);
    const cl_device_partition_property one_unit[] = {CL_DEVICE_PARTITION_BY_COUNTS, 1,
                                                     CL_DEVICE_PARTITION_BY_COUNTS_LIST_END, 0};
    cl_device_id part = NULL;
    cl_uint parts = 0;
    /* asked first: Rusticl (Mesa 22.3) has no clCreateSubDevices() to be called */
    clGetDeviceInfo(own.device, CL_DEVICE_PARTITION_MAX_SUB_DEVICES, sizeof parts, &parts, NULL);
    if (parts > 0 && clCreateSubDevices(own.device, one_unit, 1, &part, NULL) == CL_SUCCESS) {
        cl_int error;
        const cl_device_id devices[] = {own.device, part};
        struct own both = {clCreateContext(NULL, 2, devices, NULL, NULL, &error), own.device, NULL};
        assert_int_equal(error, CL_SUCCESS);
        both.queue = clCreateCommandQueue(both.context, part, 0, &error);
        assert_int_equal(error, CL_SUCCESS);
        struct oclin_context_options options = options_of(&both);
        check_creation_fails(&options, OCLIN_E_ARG, "another device");
        release_own(&both);
        clReleaseDevice(part);
    } else {
        print_message("this device cannot be parted: there is no second one to mistake it for\n");
    }
    release_own(&own);
}

/* Retained while in use, given back after; the caller's commands and oclin's are in order. */
static void test_handles_are_used(void **state)
{
    (void)state;
    const struct own own = make_own(0);
    cl_context context;
    cl_device_id device;
    cl_command_queue queue;
    oclin_context *ctx = make_context_with(options_of(&own));
    assert_ok(ctx, oclin_context_cl(ctx, &context, &device, &queue));
    assert_ptr_equal(context, own.context);
    assert_ptr_equal(device, own.device);
    assert_ptr_equal(queue, own.queue);
    assert_true(references(&own, 0) > 1);
    assert_int_equal(references(&own, 1), 2);

    float got[4] = {0}, two = 2.0f;
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 4, NULL);
    assert_ok(ctx, oclin_tensor_fill(t, 1.0));
    assert_int_equal(clEnqueueFillBuffer(queue, oclin_tensor_cl_mem(t), &two, sizeof two, sizeof two,
                                         sizeof two, 0, NULL, NULL),
                     CL_SUCCESS);
    assert_ok(ctx, oclin_tensor_touch(t));
    assert_ok(ctx, oclin_tensor_read(t, got));
    assert_true(got[0] == 1.0f && got[1] == 2.0f && got[2] == 1.0f && got[3] == 1.0f);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
    /* the runtime's own commands hold the queue for a moment after they are done */
    assert_int_equal(clFinish(own.queue), CL_SUCCESS);
    for (int i = 0; i < 1000000 && references(&own, 1) > 1; i++) sched_yield();
    assert_int_equal(references(&own, 1), 1);
    release_own(&own);
}

/* ---------------------------------------------------------------------------------------- error record */

static void test_error_record(void **state)
{
    (void)state;
    oclin_context *ctx = make_context("plain");
    oclin_tensor *t = NULL;
    assert_refused(ctx, OCLIN_E_SHAPE, "-3 x 5", oclin_tensor_create(&t, ctx, OCLIN_F32, -3, 5));
    assert_null(t);
    assert_int_equal(oclin_context_cl_error(ctx), CL_SUCCESS);
    assert_ok(ctx, oclin_context_finish(ctx));
    assert_string_equal(oclin_context_error(ctx), "");
    oclin_context_destroy(ctx);
}

/* Every call that knows its context and fails leaves a sentence there, also for a NULL result pointer. */
static void test_every_failure_has_a_sentence(void **state)
{
    const int which = *(int *)*state;
    oclin_context *ctx = make_context("plain");
    oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 2, 3, NULL);
    oclin_layer *l = NULL;
    int64_t bytes;
    assert_ok(ctx, oclin_layer_create(&l, ctx, 2, 3, NULL));
    assert_ok(ctx, oclin_context_finish(ctx));
    oclin_status status = OCLIN_OK;
    switch (which) {
    case 0:
        status = oclin_tensor_create(NULL, ctx, OCLIN_F32, 1, 1);
        break;
    case 1:
        status = oclin_tensor_view(NULL, t, 0, 1, 1, 1);
        break;
    case 2:
        status = oclin_tensor_wrap(NULL, ctx, OCLIN_F32, oclin_tensor_cl_mem(t), 0, 1, 1, 1);
        break;
    case 3:
        status = oclin_layer_create(NULL, ctx, 1, 1, NULL);
        break;
    case 4:
        status = oclin_saved_create(NULL, ctx);
        break;
    case 5:
        status = oclin_layer_workspace(l, 1, NULL);
        break;
    case 6:
        status = oclin_loss_workspace(ctx, 1, NULL);
        break;
    case 7:
        status = oclin_loss_workspace(ctx, -1, &bytes);
        break;
    case 8:
        status = oclin_context_device(ctx, NULL);
        break;
    case 9:
        status = oclin_layer_workspace_infer(l, 1, NULL);
        break;
    }
    assert_int_not_equal(status, OCLIN_OK);
    assert_string_not_equal(oclin_context_error(ctx), "");
    oclin_layer_destroy(l);
    oclin_tensor_destroy(t);
    oclin_context_destroy(ctx);
}

static int sentence_cases[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
static const char *const sentence_names[] = {
    "tensor_create(NULL)",  "tensor_view(NULL)",          "tensor_wrap(NULL)",    "layer_create(NULL)",
    "saved_create(NULL)",   "layer_workspace(NULL)",      "loss_workspace(NULL)", "loss_workspace(-1)",
    "context_device(NULL)", "layer_workspace_infer(NULL)"};

static void test_log(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.log = hear;
    options.log_user = &heard;
    oclin_context *ctx = NULL;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx, &options));
    assert_true(heard.lines > 0); /* which device was chosen */
    assert_non_null(strstr(heard.last, "device"));
    const int before = heard.lines;
    assert_int_equal(oclin_context_wait_for(ctx, -1, NULL), OCLIN_E_ARG);
    assert_int_equal(heard.lines, before + 1);
    assert_non_null(strstr(heard.last, oclin_context_error(ctx)));
    assert_int_equal(heard.newlines, 0);
    oclin_context_destroy(ctx);
}

/* -------------------------------------------------------------------------------------------- at once */

/* All that the manual does not say to wait returns while the queue stands behind an event that this thread
 * sets later: what waits hangs here. */
static void test_at_once(void **state)
{
    (void)state;
    cl_context handle;
    cl_int error;
    oclin_context *ctx = make_context("plain");
    struct oclin_layer_options options = OCLIN_LAYER_OPTIONS_INIT;
    const float x_in[2 * 3] = {1, 2, 3, 4, 5, 6};
    float loss_out = -1.0f, w_out[4 * 3];
    int32_t classes[2] = {0};
    int64_t bytes;
    struct oclin_device_info info;
    cl_event event, copied[3];
    options.activation = OCLIN_GELU;
    options.seed = 5;
    oclin_layer *first = NULL, *l = NULL; /* the first one knows the numbers */
    assert_ok(ctx, oclin_layer_create(&first, ctx, 3, 4, &options));
    assert_ok(ctx, oclin_tensor_read(oclin_layer_w(first), w_out));
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    cl_event gate = clCreateUserEvent(handle, &error);
    assert_int_equal(error, CL_SUCCESS);
    assert_ok(ctx, oclin_context_wait_for(ctx, 1, &gate));

    assert_ok(ctx, oclin_layer_create(&l, ctx, 3, 4, &options));
    oclin_tensor *x, *y, *t, *labels, *loss, *dx, *dy, *view, *rows, *wrapped;
    oclin_saved *saved;
    assert_ok(ctx, oclin_tensor_create(&x, ctx, OCLIN_F32, 2, 3));
    assert_ok(ctx, oclin_tensor_create(&dx, ctx, OCLIN_F32, 2, 3));
    assert_ok(ctx, oclin_tensor_create(&y, ctx, OCLIN_F32, 2, 4));
    assert_ok(ctx, oclin_tensor_create(&t, ctx, OCLIN_F32, 2, 4));
    assert_ok(ctx, oclin_tensor_create(&dy, ctx, OCLIN_F32, 2, 4));
    assert_ok(ctx, oclin_tensor_create(&labels, ctx, OCLIN_I32, 2, 1));
    assert_ok(ctx, oclin_tensor_create(&loss, ctx, OCLIN_F32, 1, 1));
    assert_ok(ctx, oclin_tensor_view(&view, t, 0, 2, 2, 4));
    assert_ok(ctx, oclin_tensor_view_rows(&rows, t, 1, 1));
    assert_ok(ctx, oclin_tensor_wrap(&wrapped, ctx, OCLIN_F32, oclin_tensor_cl_mem(t), 0, 2, 4, 4));
    assert_ok(ctx, oclin_tensor_write_async(x, x_in, &copied[0]));
    assert_ok(ctx, oclin_tensor_fill(t, 0.5));
    assert_ok(ctx, oclin_tensor_fill(labels, 3));
    assert_ok(ctx, oclin_tensor_touch(view));
    assert_ok(ctx, oclin_saved_create(&saved, ctx));
    assert_ok(ctx, oclin_layer_workspace(l, 2, &bytes));
    assert_ok(ctx, oclin_loss_workspace(ctx, 2, &bytes));
    assert_ok(ctx, oclin_layer_reserve(l, 2));
    assert_ok(ctx, oclin_layer_reserve_step(l, 4));
    assert_ok(ctx, oclin_layer_infer(l, x, y));
    assert_ok(ctx, oclin_layer_forward(l, x, y));
    assert_ok(ctx, oclin_layer_forward_saved(l, x, y, saved));
    assert_ok(ctx, oclin_loss_cross_entropy(y, labels, loss, dy, NULL, NULL));
    assert_ok(ctx, oclin_loss_mse(y, t, loss, dy, NULL));
    assert_ok(ctx, oclin_layer_backward(l, dy, dx));
    assert_ok(ctx, oclin_layer_backward_saved(l, dy, dx, saved));
    assert_ok(ctx, oclin_layer_step(l, 0.0f));
    assert_ok(ctx, oclin_layer_step(l, 0.5f));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_non_null(oclin_tensor_cl_mem(oclin_layer_dw(l)));
    assert_ok(ctx, oclin_layer_zero_grad(l));
    assert_ok(ctx, oclin_layer_backward_step(l, dy, dx, 0.5f));
    assert_ok(ctx, oclin_layer_backward_step_saved(l, dy, NULL, 0.5f, saved));
    assert_ok(ctx, oclin_context_device(ctx, &info));
    assert_ok(ctx, oclin_tensor_read_async(loss, &loss_out, &copied[1]));
    assert_ok(ctx, oclin_tensor_read_async(labels, classes, NULL));
    assert_ok(ctx, oclin_context_mark(ctx, &event));
    copied[2] = event;
    oclin_layer *second = NULL; /* with the same seed, while the queue is full */
    assert_ok(ctx, oclin_layer_create(&second, ctx, 3, 4, &options));
    oclin_tensor *all[] = {x, y, t, labels, loss, dx, dy, view, rows, wrapped};
    for (size_t i = 0; i < COUNT_OF(all); i++) oclin_tensor_destroy(all[i]);
    oclin_saved_destroy(saved);
    oclin_layer_destroy(l);
    oclin_layer_destroy(first);
    assert_true(loss_out == -1.0f); /* nothing has run yet */
    assert_int_equal(clSetUserEventStatus(gate, CL_COMPLETE), CL_SUCCESS);
    float again[4 * 3];
    assert_ok(ctx, oclin_tensor_read(oclin_layer_w(second), again));
    check_same_bits("w", again, w_out, 4 * 3);
    assert_true(loss_out >= 0.0f);
    for (int i = 0; i < 3; i++) clReleaseEvent(copied[i]);
    clReleaseEvent(gate);
    oclin_layer_destroy(second);
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------------------------------ environment */

/* A variable, what the options say, and what must come of it. */
struct variable {
    const char *name, *value;
    int ignore;
    const char *plan, *cl_dir; /* options */
    const char *want_plan, *want_cl_dir;
    int want_verify;
};

static struct variable variables[] = {
    {"OCLIN_PLAN", "simd-8", 0, "plain", NULL, "simd-8", NULL, 0},
    {"OCLIN_PLAN", "simd-8", 1, "plain", NULL, "plain", NULL, 0},
    {"OCLIN_PLAN", "", 0, "plain", NULL, "plain", NULL, 0},
    {"OCLIN_PLAN", "simt", 0, NULL, NULL, "simt", NULL, 0},
    {"OCLIN_CL_DIR", "/usr", 0, "", "/etc", "", "/usr", 0},
    {"OCLIN_CL_DIR", "/usr", 1, "", "/etc", "", "/etc", 0},
    {"OCLIN_CL_DIR", "", 0, "", "/etc", "", "/etc", 0},
    {"OCLIN_CL_DIR", "/usr", 1, "", NULL, "", NULL, 0},
    {"OCLIN_VERIFY", "1", 0, NULL, NULL, "", NULL, 1},
    {"OCLIN_VERIFY", "0", 0, NULL, NULL, "", NULL, 0},
    {"OCLIN_VERIFY", "", 0, NULL, NULL, "", NULL, 0},
    {"OCLIN_VERIFY", "1", 1, NULL, NULL, "", NULL, 0},
    {"OCLIN_STRICT", "1", 0, NULL, NULL, "", NULL, 0},
    {"OCLIN_STRICT", "0", 0, NULL, NULL, "", NULL, 0},
    {"OCLIN_STRICT", "", 0, NULL, NULL, "", NULL, 0},
    {"OCLIN_STRICT", "1", 1, NULL, NULL, "", NULL, 0},
    {"OCLIN_STRICT", "maybe", 1, NULL, NULL, "", NULL, 0},
    {"OCLIN_VERIFY", "maybe", 1, NULL, NULL, "", NULL, 0},
    {"OCLIN_VERIFY", "true", 0, NULL, NULL, "", NULL, 1},
    {"OCLIN_VERIFY", "Yes", 0, NULL, NULL, "", NULL, 1},
    {"OCLIN_VERIFY", "ON", 0, NULL, NULL, "", NULL, 1},
    {"OCLIN_VERIFY", "false", 0, NULL, NULL, "", NULL, 0},
    {"OCLIN_VERIFY", "FALSE", 0, NULL, NULL, "", NULL, 0},
    {"OCLIN_VERIFY", "No", 0, NULL, NULL, "", NULL, 0},
    {"OCLIN_VERIFY", "off", 0, NULL, NULL, "", NULL, 0},
};

static void test_variable(void **state)
{
    const struct variable *v = *state;
    needs_plan(v->want_plan);
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = v->plan;
    options.cl_dir = v->cl_dir;
    options.ignore_environment = v->ignore;
    setenv(v->name, v->value, 1);
    oclin_context *ctx = NULL;
    const oclin_status status = oclin_context_create(&ctx, &options);
    unsetenv(v->name);
    assert_status(NULL, OCLIN_OK, status);
    assert_string_equal(ctx->plan.name, v->want_plan);
    assert_string_equal(ctx->cl_dir ? ctx->cl_dir : "(none)", v->want_cl_dir ? v->want_cl_dir : "(none)");
    assert_int_equal(!!ctx->verify, v->want_verify);
    const int strict = strcmp(v->name, "OCLIN_STRICT") == 0 && strcmp(v->value, "1") == 0 && !v->ignore;
    assert_int_equal(!!ctx->strict, strict);
    oclin_context_destroy(ctx);
}

static void test_unknown_plan_in_environment(void **state)
{
    (void)state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = "plain";
    setenv("OCLIN_PLAN", "fastest", 1);
    oclin_context *ctx = NULL;
    const oclin_status status = oclin_context_create(&ctx, &options);
    unsetenv("OCLIN_PLAN");
    assert_status(NULL, OCLIN_E_ARG, status);
}

/* What says neither yes nor no is not guessed at. */
static const char *const unclear[] = {"2", "00", "tru", "trueish", "n", " 1", "-"};
static void test_unclear_verify(void **state)
{
    (void)state;
    struct heard heard = {0};
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.log = hear;
    options.log_user = &heard;
    for (size_t i = 0; i < COUNT_OF(unclear); i++) {
        oclin_context *ctx = NULL;
        char quoted[64];
        snprintf(quoted, sizeof quoted, "OCLIN_VERIFY is '%s'", unclear[i]);
        setenv("OCLIN_VERIFY", unclear[i], 1);
        const oclin_status status = oclin_context_create(&ctx, &options);
        unsetenv("OCLIN_VERIFY");
        assert_status(NULL, OCLIN_E_ARG, status);
        assert_non_null(strstr(heard.last, quoted));
    }
}

/* The variable switches it on, never off. */
static void test_verify_option(void **state)
{
    (void)state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.verify = 1;
    for (int variable = 0; variable < 2; variable++) {
        if (variable) setenv("OCLIN_VERIFY", "0", 1);
        oclin_context *ctx = make_context_with(options);
        unsetenv("OCLIN_VERIFY");
        assert_int_equal(!!ctx->verify, 1);
        oclin_context_destroy(ctx);
    }
}

/* Each variable, and options and handles that hold texts, with every control character in it: a line of the
 * log and a sentence have none. */
static void check_printable(void *user, const char *line)
{
    struct heard *h = user;
    hear(h, line);
    for (; *line; line++) h->newlines += (unsigned char)*line < ' ' || *line == 0x7f;
}

static void test_control_characters(void **state)
{
    (void)state;
    static const char *const variables_[] = {"OCLIN_DEVICE", "OCLIN_PLAN", "OCLIN_VERIFY", "OCLIN_CL_DIR",
                                             "OCLIN_CACHE_DIR"};
    char text[64] = "/", folder[128];
    for (int c = 1; c < ' '; c++) text[c] = (char)c;
    text[' '] = 0x7f;
    snprintf(folder, sizeof folder, "/tmp/oclin\n\x1b-XXXXXX");
    assert_non_null(mkdtemp(folder));
    for (size_t i = 0; i < COUNT_OF(variables_); i++)
        for (int there = 0; there < 2; there++) { /* a folder that is there, and all of them */
            struct heard heard = {0};
            struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
            const char *before = getenv(variables_[i]);
            char *was = before ? strdup(before) : NULL;
            oclin_context *ctx = NULL;
            options.log = check_printable;
            options.log_user = &heard;
            options.plan = "plain";
            setenv(variables_[i], there ? folder : text, 1);
            const oclin_status status = oclin_context_create(&ctx, &options);
            if (was)
                setenv(variables_[i], was, 1);
            else
                unsetenv(variables_[i]);
            free(was);
            if (ctx) {
                oclin_tensor *t = make_tensor(ctx, OCLIN_F32, 1, 1, NULL);
                assert_ok(ctx, oclin_tensor_fill(t, 1.0)); /* a text from that folder, or a file there */
                assert_ok(ctx, oclin_context_finish(ctx));
                oclin_tensor_destroy(t);
                oclin_context_destroy(ctx);
            } else
                assert_int_not_equal(status, OCLIN_OK);
            assert_true(heard.lines > 0);
            if (heard.newlines)
                fail_msg("%s: %d control characters, the last line %s", variables_[i], heard.newlines,
                         heard.last);
        }
    remove_all(folder);
}

/* Verifying looks into buffers that the host may not read, and into those that kernels may only write. */
static void test_verify_hidden(void **state)
{
    (void)state;
    static const cl_mem_flags flags[] = {CL_MEM_HOST_NO_ACCESS, CL_MEM_HOST_WRITE_ONLY, CL_MEM_WRITE_ONLY};
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    struct oclin_loss_options accumulate = OCLIN_LOSS_OPTIONS_INIT;
    const float numbers[4] = {1, 2, 3, 4};
    const int32_t labels[2] = {0, 1};
    options.plan = "plain";
    options.verify = accumulate.accumulate = 1;
    oclin_context *ctx = make_context_with(options);
    oclin_layer *layer = NULL;
    assert_ok(ctx, oclin_layer_create(&layer, ctx, 2, 2, NULL));
    oclin_tensor *x = make_tensor(ctx, OCLIN_F32, 2, 2, numbers),
                 *t = make_tensor(ctx, OCLIN_I32, 2, 1, labels);
    cl_context handle;
    assert_ok(ctx, oclin_context_cl(ctx, &handle, NULL, NULL));
    const int64_t held = ctx->references;
    for (size_t i = 0; i < COUNT_OF(flags); i++) {
        cl_mem m = clCreateBuffer(handle, flags[i], 64, NULL, NULL);
        oclin_tensor *y = NULL, *loss = NULL, *correct = NULL;
        assert_ok(ctx, oclin_tensor_wrap(&y, ctx, OCLIN_F32, m, 0, 2, 2, 3));
        assert_ok(ctx, oclin_tensor_wrap(&loss, ctx, OCLIN_F32, m, 7, 1, 1, 1));
        assert_ok(ctx, oclin_tensor_wrap(&correct, ctx, OCLIN_I32, m, 8, 1, 1, 1));
        assert_ok(ctx, oclin_layer_forward(layer, x, y));
        assert_ok(ctx, oclin_loss_cross_entropy(x, t, loss, NULL, correct, NULL));
        if (flags[i] != CL_MEM_WRITE_ONLY)
            assert_ok(ctx, oclin_loss_cross_entropy(x, t, loss, NULL, correct, &accumulate));
        oclin_tensor_destroy(y);
        oclin_tensor_destroy(loss);
        oclin_tensor_destroy(correct);
        assert_int_equal(ctx->references, held); /* what verifying took is given back */
        clReleaseMemObject(m);
    }
    oclin_tensor_destroy(x);
    oclin_tensor_destroy(t);
    oclin_layer_destroy(layer);
    oclin_context_destroy(ctx);
}

/* A step of 0 with a gradient that is not finite gives NaN, and that is right. */
static void test_verify_step_of_0(void **state)
{
    (void)state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.plan = "plain";
    options.verify = 1;
    oclin_context *ctx = make_context_with(options);
    oclin_layer *layer = NULL;
    assert_ok(ctx, oclin_layer_create(&layer, ctx, 2, 2, NULL));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_dw(layer), NAN));
    assert_ok(ctx, oclin_tensor_fill(oclin_layer_db(layer), INFINITY));
    assert_ok(ctx, oclin_layer_step(layer, 0.0f));
    float w[4];
    assert_ok(ctx, oclin_tensor_read(oclin_layer_w(layer), w));
    for (int i = 0; i < 4; i++) assert_true(isnan(w[i]));
    oclin_layer_destroy(layer);
    oclin_context_destroy(ctx);
}

int main(int argc, char **argv)
{
    static const char *const ours[] = {"OCLIN_PLAN", "OCLIN_VERIFY", "OCLIN_STRICT", "OCLIN_CL_DIR"};
    for (size_t i = 0; i < COUNT_OF(ours); i++) unsetenv(ours[i]);
    struct test_list list = {0};
    add_test(&list, test_statuses, NULL, "statuses");
    add_test(&list, test_version, NULL, "version");
    add_test(&list, test_defaults, NULL, "create/defaults");
    add_test(&list, test_null, NULL, "create/NULL");
    for (size_t i = 0; i < COUNT_OF(wrongs); i++)
        add_test(&list, test_wrong_option, &wrongs[i], "create/%s", wrongs[i].what);
    add_test(&list, test_garbage_size, NULL, "create/garbage size");
    add_test(&list, test_newer_caller, NULL, "create/newer caller");
    add_test(&list, test_newer_caller_is_told, NULL, "create/newer caller is told");
    add_test(&list, test_older_caller, NULL, "create/older caller");
    add_test(&list, test_reserved, NULL, "create/reserved");
    add_test(&list, test_error_text, NULL, "create/error text, cut");
    add_test(&list, test_error_text_says_why, NULL, "create/error text of every failure");
    add_test(&list, test_error_text_of_older_caller, NULL, "create/error text of an older caller");
    add_test(&list, test_verify_option, NULL, "create/verify");
    add_test(&list, test_verify_hidden, NULL, "verify/buffers that the host may not read");
    add_test(&list, test_verify_step_of_0, NULL, "verify/a step of 0");
    add_test(&list, test_some_handles, NULL, "handles/one or two of three");
    add_test(&list, test_out_of_order_queue, NULL, "handles/out-of-order queue");
    add_test(&list, test_queue_of_another_context, NULL, "handles/queue of another context");
    add_test(&list, test_queue_of_another_device, NULL, "handles/queue of another device");
    add_test(&list, test_handles_are_used, NULL, "handles/retained, and in order");
    add_test(&list, test_error_record, NULL, "errors/sentence comes and goes");
    for (size_t i = 0; i < COUNT_OF(sentence_cases); i++)
        add_test(&list, test_every_failure_has_a_sentence, &sentence_cases[i], "errors/sentence of %s",
                 sentence_names[i]);
    add_test(&list, test_log, NULL, "errors/log");
    add_test(&list, test_at_once, NULL, "at once, behind an event");
    for (size_t i = 0; i < COUNT_OF(variables); i++)
        add_test(&list, test_variable, &variables[i], "environment/%s=%s%s, options %s %s", variables[i].name,
                 variables[i].value, variables[i].ignore ? " ignored" : "",
                 variables[i].plan ? variables[i].plan : "-",
                 variables[i].cl_dir ? variables[i].cl_dir : "-");
    add_test(&list, test_unclear_verify, NULL, "environment/OCLIN_VERIFY unclear");
    add_test(&list, test_control_characters, NULL, "environment/control characters");
    add_test(&list, test_unknown_plan_in_environment, NULL, "environment/OCLIN_PLAN unknown");
    return run_list("context", &list, argc, argv);
}
