/*
 * Finding, ranking and picking devices. The list is tested against devices that do not exist: this program
 * defines the four queries itself, which come before those of the OpenCL loader, and passes them on unless a
 * test has put up its own platforms.
 */
#define _POSIX_C_SOURCE 200809L /* setenv */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

/* ----------------------------------------------------------------------------------- made-up platforms */

struct made_up_device {
    const char *name;
    cl_device_type type;
    cl_uint units;
    const char *version;
    cl_bool available, compiler, little;
    int platform; /* index into platform_names */
};

static const char *const platform_names[] = {"Empty", "Alpha platform", "Beta platform"};
enum { PLATFORMS = COUNT_OF(platform_names) };
#define VENDOR "Vendor & Sons"
#define ALL_TYPES (CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_ACCELERATOR)
#define LONG_NAME                                                                                          \
    "A name of far more than 127 letters, as some drivers have that put the whole history of the product " \
    "into it, with its price, the weather on the day of its birth, and the name of the engineer's dog."

/* In the order in which the runtime gives them, which is not the order wanted. */
static const struct made_up_device made_up[] = {
    {"Alpha CPU", CL_DEVICE_TYPE_CPU, 128, "OpenCL 3.0 x", 1, 1, 1, 1},
    {"Alpha GPU small", CL_DEVICE_TYPE_GPU, 4, "OpenCL 1.2 x", 1, 1, 1, 1},
    {"Alpha too old", CL_DEVICE_TYPE_GPU, 99, "OpenCL 1.1 x", 1, 1, 1, 1},
    {"Alpha not there", CL_DEVICE_TYPE_GPU, 99, "OpenCL 2.0 x", 0, 1, 1, 1},
    {"Beta DSP", CL_DEVICE_TYPE_ACCELERATOR, 64, "OpenCL 2.0 x", 1, 1, 1, 2},
    {"Beta GPU twin", CL_DEVICE_TYPE_GPU, 4, "OpenCL 1.2 x", 1, 1, 1, 2},
    {"  Beta GPU big", CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_DEFAULT, 32, "OpenCL 3.0 x", 1, 1, 1, 2},
    {"Beta without compiler", CL_DEVICE_TYPE_GPU, 99, "OpenCL 3.0 x", 1, 0, 1, 2},
    {"Beta from the other end", CL_DEVICE_TYPE_GPU, 99, "OpenCL 3.0 x", 1, 1, 0, 2},
    {"Beta nonsense", CL_DEVICE_TYPE_GPU, 99, "3.0", 1, 1, 1, 2},
    {"Beta of all types", ALL_TYPES, 10, "OpenCL 1.2 x", 1, 1, 1, 2},
    {LONG_NAME, CL_DEVICE_TYPE_CPU, 1, "OpenCL 10.0 x", 1, 1, 1, 2},
};
enum { MADE_UP = COUNT_OF(made_up) };

static const char *const in_order[] = {"Beta GPU big",  "Beta of all types", "Alpha GPU small",
                                       "Beta GPU twin", "Beta DSP",          "Alpha CPU",
                                       LONG_NAME};
enum { USABLE = COUNT_OF(in_order) };

static enum { REAL, MADE_UP_DEVICES, NO_DEVICE, NO_DRIVER } answers = REAL;
static size_t largest_group; /* what a real device says, unless 0 */

static cl_platform_id platform_id(int index)
{
    return (cl_platform_id)(uintptr_t)&platform_names[index];
}

static cl_device_id device_id(int index)
{
    return (cl_device_id)(uintptr_t)&made_up[index];
}

static cl_int answer(const void *value, size_t value_size, size_t size, void *to, size_t *size_ret)
{
    if (size_ret) *size_ret = value_size;
    if (to && size < value_size) return CL_INVALID_VALUE;
    if (to) memcpy(to, value, value_size);
    return CL_SUCCESS;
}

static cl_int answer_text(const char *text, size_t size, void *to, size_t *size_ret)
{
    return answer(text, strlen(text) + 1, size, to, size_ret);
}

cl_int clGetPlatformIDs(cl_uint capacity, cl_platform_id *list, cl_uint *count)
{
    if (answers == NO_DRIVER) return -1001; /* CL_PLATFORM_NOT_FOUND_KHR */
    if (answers == REAL) {
        cl_int (*real)(cl_uint, cl_platform_id *, cl_uint *);
        find_real("clGetPlatformIDs", &real);
        return real(capacity, list, count);
    }
    if (count) *count = PLATFORMS;
    for (cl_uint i = 0; list && i < capacity && i < PLATFORMS; i++) list[i] = platform_id((int)i);
    return CL_SUCCESS;
}

static const char *other_name, *other_version; /* of a platform that is looked at next; NULL: its own */

cl_int clGetPlatformInfo(cl_platform_id platform, cl_platform_info what, size_t size, void *to,
                         size_t *size_ret)
{
    if (other_name && what == CL_PLATFORM_NAME) return answer_text(other_name, size, to, size_ret);
    if (other_version && what == CL_PLATFORM_VERSION) return answer_text(other_version, size, to, size_ret);
    for (int i = 0; i < PLATFORMS; i++)
        if (platform == platform_id(i)) return answer_text(platform_names[i], size, to, size_ret);
    cl_int (*real)(cl_platform_id, cl_platform_info, size_t, void *, size_t *);
    find_real("clGetPlatformInfo", &real);
    return real(platform, what, size, to, size_ret);
}

cl_int clGetDeviceIDs(cl_platform_id platform, cl_device_type type, cl_uint capacity, cl_device_id *list,
                      cl_uint *count)
{
    if (answers == REAL) {
        cl_int (*real)(cl_platform_id, cl_device_type, cl_uint, cl_device_id *, cl_uint *);
        find_real("clGetDeviceIDs", &real);
        return real(platform, type, capacity, list, count);
    }
    cl_uint found = 0;
    for (int i = 0; i < MADE_UP && answers != NO_DEVICE; i++) {
        if (platform != platform_id(made_up[i].platform)) continue;
        if (list && found < capacity) list[found] = device_id(i);
        found++;
    }
    if (count) *count = found;
    return found ? CL_SUCCESS : CL_DEVICE_NOT_FOUND;
}

static cl_int made_up_info(const struct made_up_device *d, cl_device_info what, size_t size, void *to,
                           size_t *size_ret)
{
    const cl_platform_id platform = platform_id(d->platform);
    const cl_ulong bytes = UINT64_MAX; /* more than int64_t holds */
    switch (what) {
    case CL_DEVICE_PLATFORM:
        return answer(&platform, sizeof platform, size, to, size_ret);
    case CL_DEVICE_TYPE:
        return answer(&d->type, sizeof d->type, size, to, size_ret);
    case CL_DEVICE_NAME:
        return answer_text(d->name, size, to, size_ret);
    case CL_DEVICE_VENDOR:
        return answer_text(VENDOR, size, to, size_ret);
    case CL_DEVICE_VERSION:
        return answer_text(d->version, size, to, size_ret);
    case CL_DEVICE_AVAILABLE:
        return answer(&d->available, sizeof(cl_bool), size, to, size_ret);
    case CL_DEVICE_COMPILER_AVAILABLE:
        return answer(&d->compiler, sizeof(cl_bool), size, to, size_ret);
    case CL_DEVICE_ENDIAN_LITTLE:
        return answer(&d->little, sizeof(cl_bool), size, to, size_ret);
    case CL_DEVICE_MAX_COMPUTE_UNITS:
        return answer(&d->units, sizeof d->units, size, to, size_ret);
    case CL_DEVICE_GLOBAL_MEM_SIZE:
        return answer(&bytes, sizeof bytes, size, to, size_ret);
    default:
        return CL_INVALID_VALUE; /* an old driver that does not know it */
    }
}

/* A device of its own, in no list: what it answers, each NULL or 0 for "does not know". */
static struct special {
    const char *profile, *extensions;
    size_t group, items[3];
    size_t sub_groups[4]; /* widths that can be required, 0 behind the last */
    cl_uint warp, wavefront;
    cl_device_fp_config floats;
    cl_device_type type;
} special;

static cl_device_id special_device(void)
{
    return (cl_device_id)(uintptr_t)&special;
}

static cl_int special_info(cl_device_info what, size_t size, void *to, size_t *size_ret)
{
    static const cl_bool yes = CL_TRUE;
    switch (what) {
    case CL_DEVICE_AVAILABLE:
    case CL_DEVICE_COMPILER_AVAILABLE:
    case CL_DEVICE_ENDIAN_LITTLE:
        return answer(&yes, sizeof yes, size, to, size_ret);
    case CL_DEVICE_VERSION:
        return answer_text("OpenCL 1.2 x", size, to, size_ret);
    case CL_DEVICE_PROFILE:
        return special.profile ? answer_text(special.profile, size, to, size_ret) : CL_INVALID_VALUE;
    case CL_DEVICE_EXTENSIONS:
        return special.extensions ? answer_text(special.extensions, size, to, size_ret) : CL_INVALID_VALUE;
    case CL_DEVICE_MAX_WORK_GROUP_SIZE:
        return answer(&special.group, sizeof special.group, size, to, size_ret);
    case CL_DEVICE_MAX_WORK_ITEM_SIZES:
        return special.items[1] ? answer(special.items, sizeof special.items, size, to, size_ret)
                                : CL_INVALID_VALUE;
    case CL_DEVICE_TYPE:
        return answer(&special.type, sizeof special.type, size, to, size_ret);
    case CL_DEVICE_SINGLE_FP_CONFIG:
        return answer(&special.floats, sizeof special.floats, size, to, size_ret);
    case 0x4003: /* CL_DEVICE_WARP_SIZE_NV */
        return special.warp ? answer(&special.warp, sizeof special.warp, size, to, size_ret)
                            : CL_INVALID_VALUE;
    case 0x4043: /* CL_DEVICE_WAVEFRONT_WIDTH_AMD */
        return answer(&special.wavefront, sizeof special.wavefront, size, to, size_ret);
    case 0x4108: /* CL_DEVICE_SUB_GROUP_SIZES_INTEL */
        return answer(special.sub_groups, sizeof special.sub_groups, size, to, size_ret);
    default:
        return CL_INVALID_VALUE;
    }
}

cl_int clGetDeviceInfo(cl_device_id device, cl_device_info what, size_t size, void *to, size_t *size_ret)
{
    for (int i = 0; i < MADE_UP; i++)
        if (device == device_id(i)) return made_up_info(&made_up[i], what, size, to, size_ret);
    cl_int (*real)(cl_device_id, cl_device_info, size_t, void *, size_t *);
    find_real("clGetDeviceInfo", &real);
    if (device == special_device()) return special_info(what, size, to, size_ret);
    if (largest_group && what == CL_DEVICE_MAX_WORK_GROUP_SIZE)
        return answer(&largest_group, sizeof largest_group, size, to, size_ret);
    if (largest_group && what == CL_DEVICE_MAX_WORK_ITEM_SIZES) {
        const size_t items[3] = {largest_group, largest_group, largest_group};
        return answer(items, sizeof items, size, to, size_ret);
    }
    return real(device, what, size, to, size_ret);
}

/* Every test begins and ends with what is really there. */
static void restore(const char *wish)
{
    answers = REAL;
    largest_group = 0;
    if (wish)
        setenv("OCLIN_DEVICE", wish, 1);
    else
        unsetenv("OCLIN_DEVICE");
}

static char *first_wish; /* OCLIN_DEVICE at the start of the program */

static int reset(void **state)
{
    (void)state;
    restore(first_wish);
    return 0;
}

/* --------------------------------------------------------------------------------------------- the list */

static void test_list_arguments(void **state)
{
    (void)state;
    struct oclin_device_info info;
    size_t count = 77;
    answers = MADE_UP_DEVICES;
    assert_int_equal(oclin_device_list(&info, 1, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_device_list(NULL, 1, &count), OCLIN_E_ARG);
    assert_int_equal(oclin_device_list(NULL, 0, NULL), OCLIN_E_ARG);
    assert_int_equal(oclin_device_list(NULL, 0, &count), OCLIN_OK);
    assert_int_equal(count, USABLE);
}

static void test_list_too_small(void **state)
{
    (void)state;
    struct oclin_device_info list[USABLE], canary;
    size_t count = 0;
    answers = MADE_UP_DEVICES;
    memset(list, 0x5a, sizeof list);
    memset(&canary, 0x5a, sizeof canary);
    assert_int_equal(oclin_device_list(list, 2, &count), OCLIN_OK);
    assert_int_equal(count, USABLE);
    assert_string_equal(list[0].name, in_order[0]);
    assert_string_equal(list[1].name, in_order[1]);
    for (int i = 2; i < USABLE; i++) assert_memory_equal(&list[i], &canary, sizeof canary);
}

static void test_list_without_driver(void **state)
{
    (void)state;
    size_t count = 77;
    answers = NO_DRIVER;
    assert_int_equal(oclin_device_list(NULL, 0, &count), OCLIN_OK);
    assert_int_equal(count, 0);

    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    oclin_context *ctx = (oclin_context *)&options;
    assert_int_equal(oclin_context_create(&ctx, &options), OCLIN_E_DEVICE);
    assert_null(ctx);
}

/* GPU, accelerator, CPU; then compute units; equals as the runtime gives them. What cannot be used is gone.
 */
static void test_list_order(void **state)
{
    (void)state;
    struct oclin_device_info list[USABLE + 1];
    size_t count = 0;
    answers = MADE_UP_DEVICES;
    assert_int_equal(oclin_device_list(list, COUNT_OF(list), &count), OCLIN_OK);
    assert_int_equal(count, USABLE);
    for (int i = 0; i < USABLE; i++) {
        char cut[sizeof list[i].name];
        snprintf(cut, sizeof cut, "%s", in_order[i]);
        assert_string_equal(list[i].name, cut);
    }
}

static void test_list_made_up_fields(void **state)
{
    (void)state;
    struct oclin_device_info list[USABLE];
    size_t count = 0;
    answers = MADE_UP_DEVICES;
    assert_int_equal(oclin_device_list(list, USABLE, &count), OCLIN_OK);
    const struct oclin_device_info *big = &list[0], *all = &list[1];
    assert_int_equal(big->type, OCLIN_DEVICE_GPU);
    assert_int_equal(all->type, OCLIN_DEVICE_GPU);
    assert_int_equal(list[4].type, OCLIN_DEVICE_ACCELERATOR);
    assert_int_equal(list[5].type, OCLIN_DEVICE_CPU);
    assert_string_equal(big->vendor, VENDOR);
    assert_string_equal(big->platform_name, platform_names[2]);
    assert_string_equal(big->version, "OpenCL 3.0 x");
    assert_string_equal(big->driver, ""); /* not answered */
    assert_int_equal(big->compute_units, 32);
    assert_true(big->global_bytes == INT64_MAX);
    assert_true(big->vector_width >= 1 && big->max_work_group >= 1);
}

static void test_list_real_fields(void **state)
{
    (void)state;
    size_t count = 0;
    assert_int_equal(oclin_device_list(NULL, 0, &count), OCLIN_OK);
    assert_true(count > 0); /* no device to test on is a failure */
    struct oclin_device_info *list = new_array(struct oclin_device_info, count);
    assert_int_equal(oclin_device_list(list, count, &count), OCLIN_OK);
    for (size_t i = 0; i < count; i++) {
        const struct oclin_device_info *d = &list[i];
        char name[1024];
        assert_int_equal(clGetDeviceInfo(d->device, CL_DEVICE_NAME, sizeof name, name, NULL), CL_SUCCESS);
        assert_true(strncmp(d->name, name + strspn(name, " "), sizeof d->name - 1) == 0);
        assert_true(d->platform && d->device && d->name[0] && d->platform_name[0]);
        assert_true(d->type >= OCLIN_DEVICE_GPU && d->type <= OCLIN_DEVICE_ACCELERATOR);
        assert_true(strncmp(d->version, "OpenCL ", 7) == 0);
        assert_true(d->compute_units >= 1 && d->vector_width >= 1 && d->max_work_group >= 1);
        assert_true(d->local_bytes > 0 && d->max_allocation > 0 && d->global_bytes >= d->max_allocation);
        for (size_t j = 0; j < COUNT_OF(d->reserved); j++) assert_true(d->reserved[j] == 0);
    }
    free(list);
}

/* -------------------------------------------------------------------------------------------- picking */

/* What is asked for, and the place in in_order of the device that must come; -1: none. */
struct pick {
    const char *what, *wish; /* wish: OCLIN_DEVICE, NULL unset */
    oclin_device_type type;
    int64_t index;
    const char *name;
    int ignore_environment, expected;
};

static struct pick picks[] = {
    {"nothing", NULL, OCLIN_DEVICE_ANY, 0, NULL, 0, 0},
    {"index", NULL, OCLIN_DEVICE_ANY, 3, NULL, 0, 3},
    {"index too large", NULL, OCLIN_DEVICE_ANY, USABLE, NULL, 0, -1},
    {"type gpu", NULL, OCLIN_DEVICE_GPU, 1, NULL, 0, 1},
    {"type cpu", NULL, OCLIN_DEVICE_CPU, 0, NULL, 0, 5},
    {"type cpu, index too large", NULL, OCLIN_DEVICE_CPU, 2, NULL, 0, -1},
    {"type accelerator", NULL, OCLIN_DEVICE_ACCELERATOR, 0, NULL, 0, 4},
    {"name", NULL, OCLIN_DEVICE_ANY, 0, "twin", 0, 3},
    {"name in other letters", NULL, OCLIN_DEVICE_ANY, 0, "gpu TWIN", 0, 3},
    {"name of the platform", NULL, OCLIN_DEVICE_ANY, 1, "alpha plat", 0, 5},
    {"name of the vendor", NULL, OCLIN_DEVICE_ANY, 2, "& sons", 0, 2},
    {"name and type", NULL, OCLIN_DEVICE_CPU, 0, "beta", 0, 6},
    {"name empty", NULL, OCLIN_DEVICE_ANY, 0, "", 0, 0},
    {"name unknown", NULL, OCLIN_DEVICE_ANY, 0, "gamma", 0, -1},
    {"OCLIN_DEVICE index", "2", OCLIN_DEVICE_CPU, 0, "beta", 0, 2},
    {"OCLIN_DEVICE index too large", "7", OCLIN_DEVICE_ANY, 0, NULL, 0, -1},
    {"OCLIN_DEVICE index of 20 digits", "99999999999999999999", OCLIN_DEVICE_ANY, 0, NULL, 0, -1},
    {"OCLIN_DEVICE negative index", "-1", OCLIN_DEVICE_ANY, 0, NULL, 0, -1},
    {"OCLIN_DEVICE gpu", "gpu", OCLIN_DEVICE_CPU, 1, NULL, 0, 0},
    {"OCLIN_DEVICE cpu", "cpu", OCLIN_DEVICE_GPU, 1, NULL, 0, 5},
    {"OCLIN_DEVICE accelerator", "accelerator", OCLIN_DEVICE_ANY, 1, NULL, 0, 4},
    {"OCLIN_DEVICE name", "twin", OCLIN_DEVICE_CPU, 5, "alpha", 0, 3},
    {"OCLIN_DEVICE platform", "ALPHA", OCLIN_DEVICE_ANY, 0, NULL, 0, 2},
    {"OCLIN_DEVICE unknown", "gamma", OCLIN_DEVICE_ANY, 0, NULL, 0, -1},
    {"OCLIN_DEVICE empty", "", OCLIN_DEVICE_CPU, 0, NULL, 0, 5},
    {"OCLIN_DEVICE ignored", "gamma", OCLIN_DEVICE_CPU, 0, NULL, 1, 5},
};

static void test_pick(void **state)
{
    const struct pick *p = *state;
    restore(p->wish);
    answers = MADE_UP_DEVICES;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.device_type = p->type;
    options.device_index = p->index;
    options.device_name = p->name;
    options.ignore_environment = p->ignore_environment;
    cl_device_id device = NULL;
    char why[256] = "";
    const oclin_status status = oclin_device_pick(&options, &device, why, sizeof why);
    if (p->expected < 0) {
        assert_int_equal(status, OCLIN_E_DEVICE);
        assert_null(device);
        assert_true(why[0]);
        return;
    }
    assert_int_equal(status, OCLIN_OK);
    struct oclin_device_info list[USABLE];
    size_t count;
    assert_int_equal(oclin_device_list(list, USABLE, &count), OCLIN_OK);
    assert_ptr_equal(device, list[p->expected].device);
}

/* What the sentence has to name when no device fits: the likely causes, or the devices that there are. */
static struct refusal {
    const char *what;
    int answers;
    const char *wish, *says[3];
} refusals[] = {
    {"no driver", NO_DRIVER, NULL, {"no OpenCL platform", "/etc/OpenCL/vendors", "OCL_ICD_VENDORS"}},
    {"no driver, a wish", NO_DRIVER, "gpu", {"no OpenCL platform", "no driver", "PoCL"}},
    {"no device", NO_DEVICE, NULL, {"Empty, Alpha platform, Beta platform", "POCL_CACHE_DIR", "render"}},
    {"another name",
     MADE_UP_DEVICES,
     "gamma",
     {"'gamma' (OCLIN_DEVICE)", " [0] Beta GPU big (Beta platform)", " [5] Alpha CPU (Alpha platform)"}},
    {"a number too large",
     MADE_UP_DEVICES,
     "7",
     {"of 7 usable devices 7 match, number 7", " [0] Beta GPU big", " [4] Beta DSP"}},
};

static void test_refusal(void **state)
{
    const struct refusal *r = *state;
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    cl_device_id device = NULL;
    char why[512] = "", little[16];
    restore(r->wish);
    answers = r->answers;
    assert_int_equal(oclin_device_pick(&options, &device, why, sizeof why), OCLIN_E_DEVICE);
    for (size_t i = 0; i < COUNT_OF(r->says); i++)
        if (!strstr(why, r->says[i])) fail_msg("'%s' does not name %s", why, r->says[i]);
    assert_int_equal(oclin_device_pick(&options, &device, little, sizeof little), OCLIN_E_DEVICE);
    assert_int_equal(strlen(little), sizeof little - 1); /* cut, no more */
}

/* ------------------------------------------------------------------------------- on the device that is */

/* The first real device, by whatever way OCLIN_DEVICE has of naming it. */
static void test_real_wish(void **state)
{
    const char *form = *state;
    struct oclin_device_info list[64], info;
    size_t count = 0;
    assert_int_equal(oclin_device_list(list, COUNT_OF(list), &count), OCLIN_OK);
    assert_in_range(count, 1, COUNT_OF(list));
    static const char *const types[] = {"", "gpu", "cpu", "accelerator"};
    const char *wish = strcmp(form, "index") == 0  ? "0"
                       : strcmp(form, "type") == 0 ? types[list[0].type]
                                                   : list[0].name + strlen(list[0].name) / 2;
    restore(wish);
    oclin_context *ctx = make_context("plain");
    assert_ok(ctx, oclin_context_device(ctx, &info));
    assert_string_equal(info.name, list[0].name);
    oclin_context_destroy(ctx);
}

static void test_sentence_through_log(void **state)
{
    (void)state;
    restore("no such device 4711");
    struct heard heard = {0};
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.log = hear;
    options.log_user = &heard;
    oclin_context *ctx = NULL;
    assert_status(NULL, OCLIN_E_DEVICE, oclin_context_create(&ctx, &options));
    assert_null(ctx);
    assert_non_null(strstr(heard.last, "no such device 4711"));
    assert_non_null(strstr(heard.last, "OCLIN_DEVICE"));

    options.ignore_environment = 1;
    assert_status(NULL, OCLIN_OK, oclin_context_create(&ctx, &options));
    oclin_context_destroy(ctx);
}

/* A device whose work-groups are small runs the plans that fit it, and says so of the others. */
static void test_plan_does_not_fit(void **state)
{
    (void)state;
    largest_group = 16;
    struct heard heard = {0};
    struct oclin_context_options options = OCLIN_CONTEXT_OPTIONS_INIT;
    options.log = hear;
    options.log_user = &heard;
    static const struct {
        const char *plan;
        oclin_status status;
    } rows[] = {{"simt-128", OCLIN_E_DEVICE}, {"simt-64", OCLIN_E_DEVICE}, {"simt-32", OCLIN_E_DEVICE},
                {"simt-16", OCLIN_OK},        {"simt", OCLIN_OK},          {"plain", OCLIN_OK},
                {"simd", OCLIN_OK},           {"simt-17", OCLIN_E_ARG},    {"simd-5", OCLIN_E_ARG},
                {"simt-", OCLIN_E_ARG},       {"plainer", OCLIN_E_ARG},    {"Plain", OCLIN_E_ARG}};
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        oclin_context *ctx = NULL;
        options.plan = rows[i].plan;
        assert_status(NULL, rows[i].status, oclin_context_create(&ctx, &options));
        if (rows[i].status != OCLIN_OK) assert_non_null(strstr(heard.last, rows[i].plan));
        assert_int_equal(ctx != NULL, rows[i].status == OCLIN_OK);
        oclin_context_destroy(ctx);
    }
}

/* Where kernels of contexts must have texts of their own: PoCL before 6.0, and a PoCL that does not say
 * which it is. */
static void test_mixes_contexts(void **state)
{
    (void)state;
    static const struct {
        const char *name, *version;
        int mixes;
    } rows[] = {{"Portable Computing Language", "OpenCL 3.0 PoCL 3.1+debian  Linux, RelWithDebInfo", 1},
                {"Portable Computing Language", "OpenCL 1.2 pocl 1.1 None+Asserts, LLVM 6.0.0", 1},
                {"Portable Computing Language", "OpenCL 3.0 PoCL 5.0+debian  Linux", 1},
                {"Portable Computing Language", "OpenCL 3.0 PoCL 6.0+debian  Linux", 0},
                {"Portable Computing Language", "OpenCL 3.0 PoCL 7.1  Linux", 0},
                {"Portable Computing Language", "OpenCL 3.0 PoCL 10.0", 0},
                {"Portable Computing Language", "OpenCL 3.0", 1},
                {"Portable Computing Language", "", 1},
                {"rusticl", "OpenCL 3.0 PoCL 3.1", 0}};
    oclin_context *ctx = make_context("plain");
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_device_facts facts;
        other_name = rows[i].name;
        other_version = rows[i].version;
        oclin_device_facts_read(ctx->device.info.device, &facts);
        other_name = other_version = NULL;
        if (facts.mixes_contexts != rows[i].mixes) fail_msg("'%s' of %s", rows[i].version, rows[i].name);
    }
    oclin_context_destroy(ctx);
}

/* ------------------------------------------------------------------------------------ facts of a device */

/* Of the embedded profile only those that say so have 64-bit integers; of the full one all. */
static void test_int64(void **state)
{
    static const struct {
        const char *profile, *extensions;
        int usable;
    } rows[] = {{"FULL_PROFILE", "", 1},
                {"FULL_PROFILE", "cl_khr_fp16", 1},
                {NULL, NULL, 1},
                {"EMBEDDED_PROFILE", "", 0},
                {"EMBEDDED_PROFILE", NULL, 0},
                {"EMBEDDED_PROFILE", "cl_khr_fp16 cl_khr_byte_addressable_store", 0},
                {"EMBEDDED_PROFILE", "cles_khr_int64", 1},
                {"EMBEDDED_PROFILE", "cl_khr_fp16 cles_khr_int64 cl_khr_icd", 1}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *why = "";
        special = (struct special){.profile = rows[i].profile, .extensions = rows[i].extensions, .group = 64};
        if (oclin_device_usable(special_device(), &why) != rows[i].usable)
            fail_msg("row %d: %s", (int)i, why ? why : "usable");
        if (rows[i].usable)
            assert_null(why);
        else
            assert_non_null(strstr(why, "64-bit integers"));
    }
}

/* The first dimension of a group may be more limited than the group, and the other way round. */
static void test_max_items(void **state)
{
    static const struct {
        size_t group, items[3];
        int64_t want;
    } rows[] = {{256, {256, 256, 256}, 256},  {1024, {64, 1024, 1024}, 64},
                {1024, {1024, 1, 1}, 1024},   {4096, {1, 4096, 4096}, 1},
                {64, {1024, 1024, 1024}, 64}, {128, {0, 128, 128}, 128},
                {128, {0, 0, 0}, 128},        {0, {7, 7, 7}, 1}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_device_facts facts;
        special = (struct special){.group = rows[i].group};
        memcpy(special.items, rows[i].items, sizeof special.items);
        oclin_device_facts_read(special_device(), &facts);
        if (facts.max_items != rows[i].want)
            fail_msg("row %d: %lld work-items", (int)i, (long long)facts.max_items);
        /* what it does not answer: the least that there can be */
        assert_true(facts.info.compute_units == 1 && facts.info.vector_width == 1);
        assert_true(facts.info.local_bytes == 0 && facts.info.max_allocation == 0 && facts.cache == 0);
    }
}

/* Widths of sub-groups and waves, each told by an extension alone. */
static void test_waves(void **state)
{
    static const struct {
        const char *extensions;
        size_t sub_groups[4];
        int64_t sub_group, wave;
    } rows[] = {{"", {8, 16, 32}, 0, 0},
                {NULL, {8, 16, 32}, 0, 0},
                {"cl_intel_required_subgroup_size", {8, 16, 32}, 8, 0},
                {"cl_intel_required_subgroup_size", {32, 16, 8}, 8, 0},
                {"cl_khr_icd cl_intel_required_subgroup_size", {32, 16}, 16, 0},
                {"cl_intel_required_subgroup_size", {16, 8, 32}, 8, 0},
                {"cl_intel_required_subgroup_size", {32}, 32, 0},
                {"cl_intel_required_subgroup_size", {0}, 0, 0},
                {"cl_nv_device_attribute_query", {8}, 0, 32},
                {"cl_amd_device_attribute_query", {8}, 0, 64}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_device_facts facts;
        special =
            (struct special){.extensions = rows[i].extensions, .group = 64, .warp = 32, .wavefront = 64};
        memcpy(special.sub_groups, rows[i].sub_groups, sizeof special.sub_groups);
        oclin_device_facts_read(special_device(), &facts);
        if (facts.sub_group != rows[i].sub_group || facts.wave != rows[i].wave)
            fail_msg("row %d: sub-groups of %lld, waves of %lld", (int)i, (long long)facts.sub_group,
                     (long long)facts.wave);
        special.warp = 0; /* an extension, and no answer */
        oclin_device_facts_read(special_device(), &facts);
        assert_int_equal(facts.wave, rows[i].wave == 32 ? 0 : rows[i].wave);
    }
}

/* A device may have several types, and one that oclin does not know. */
static void test_types(void **state)
{
    static const struct {
        cl_device_type bits;
        oclin_device_type want;
    } rows[] = {{CL_DEVICE_TYPE_CPU, OCLIN_DEVICE_CPU},
                {CL_DEVICE_TYPE_GPU | CL_DEVICE_TYPE_DEFAULT, OCLIN_DEVICE_GPU},
                {CL_DEVICE_TYPE_ACCELERATOR, OCLIN_DEVICE_ACCELERATOR},
                {CL_DEVICE_TYPE_CPU | CL_DEVICE_TYPE_ACCELERATOR, OCLIN_DEVICE_CPU},
                {CL_DEVICE_TYPE_CUSTOM, OCLIN_DEVICE_ANY},
                {CL_DEVICE_TYPE_DEFAULT, OCLIN_DEVICE_ANY}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_device_facts facts;
        special = (struct special){.group = 64, .type = rows[i].bits};
        oclin_device_facts_read(special_device(), &facts);
        assert_int_equal(facts.info.type, rows[i].want);
    }
}

/* Whether denormals are kept is one bit among others. */
static void test_denormals(void **state)
{
    static const struct {
        cl_device_fp_config floats;
        int want;
    } rows[] = {{0, 0},
                {CL_FP_DENORM, 1},
                {CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN, 0},
                {CL_FP_DENORM | CL_FP_ROUND_TO_NEAREST | CL_FP_INF_NAN | CL_FP_FMA, 1}};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct oclin_device_facts facts;
        special = (struct special){.group = 64, .floats = rows[i].floats};
        oclin_device_facts_read(special_device(), &facts);
        assert_int_equal(facts.denormals, rows[i].want);
    }
}

static void add_facts(struct test_list *list)
{
    add_test(list, test_int64, NULL, "facts/64-bit integers of the embedded profile");
    add_test(list, test_max_items, NULL, "facts/work-items");
    add_test(list, test_waves, NULL, "facts/sub-groups and waves");
    add_test(list, test_denormals, NULL, "facts/denormals");
    add_test(list, test_types, NULL, "facts/types");
}

int main(int argc, char **argv)
{
    const char *wish = getenv("OCLIN_DEVICE");
    first_wish = wish ? strdup(wish) : NULL;
    unsetenv("OCLIN_PLAN");
    struct test_list list = {0};
    add_test(&list, test_mixes_contexts, NULL, "facts/contexts that are mixed up");
    add_test(&list, test_list_arguments, NULL, "list/arguments");
    add_test(&list, test_list_too_small, NULL, "list/too small");
    add_test(&list, test_list_without_driver, NULL, "list/without driver");
    add_test(&list, test_list_order, NULL, "list/order");
    add_test(&list, test_list_made_up_fields, NULL, "list/fields of made-up devices");
    add_test(&list, test_list_real_fields, NULL, "list/fields of real devices");
    for (size_t i = 0; i < COUNT_OF(picks); i++)
        add_test(&list, test_pick, &picks[i], "pick/%s", picks[i].what);
    for (size_t i = 0; i < COUNT_OF(refusals); i++)
        add_test(&list, test_refusal, &refusals[i], "refused/%s", refusals[i].what);
    add_test(&list, test_real_wish, "index", "context/OCLIN_DEVICE is an index");
    add_test(&list, test_real_wish, "type", "context/OCLIN_DEVICE is a type");
    add_test(&list, test_real_wish, "name", "context/OCLIN_DEVICE is part of a name");
    add_test(&list, test_sentence_through_log, NULL, "context/OCLIN_DEVICE is unknown");
    add_test(&list, test_plan_does_not_fit, NULL, "context/plans that do not fit");
    add_facts(&list);
    for (size_t i = 0; i < list.count; i++) {
        list.tests[i].setup_func = reset;
        list.tests[i].teardown_func = reset;
    }
    const int code = run_list("device", &list, argc, argv);
    free(first_wish);
    return code;
}
