/* Find, rank and describe OpenCL devices. */
#include "core/device.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/os.h"

/* ------------------------------------------------------------------------------------------ describing */

static void read_text(cl_device_id device, cl_device_info what, char *text, size_t size)
{
    char whole[1024] = "";
    size_t length = 0;
    /* the call needs room for the whole text, so a text longer than this comes out empty */
    if (clGetDeviceInfo(device, what, sizeof whole, whole, &length) != CL_SUCCESS) whole[0] = 0;
    whole[sizeof whole - 1] = 0;
    const char *first = whole;
    while (*first == ' ') first++;
    snprintf(text, size, "%s", first);
}

static void read_platform_text(cl_platform_id platform, cl_platform_info what, char *text, size_t size)
{
    char whole[1024] = "";
    if (clGetPlatformInfo(platform, what, sizeof whole, whole, NULL) != CL_SUCCESS) whole[0] = 0;
    snprintf(text, size, "%s", whole);
}

static int64_t read_number(cl_device_id device, cl_device_info what, size_t size)
{
    cl_ulong number = 0;
    cl_uint narrow = 0;
    if (size == sizeof narrow)
        return clGetDeviceInfo(device, what, size, &narrow, NULL) == CL_SUCCESS ? (int64_t)narrow : 0;
    if (clGetDeviceInfo(device, what, size, &number, NULL) != CL_SUCCESS) return 0;
    return number > (cl_ulong)INT64_MAX ? INT64_MAX : (int64_t)number;
}

static oclin_device_type type_of(cl_device_type bits)
{
    /* tests bits instead of equality, because a device may have several types (Oclgrind has all) */
    if (bits & CL_DEVICE_TYPE_GPU) return OCLIN_DEVICE_GPU;
    if (bits & CL_DEVICE_TYPE_CPU) return OCLIN_DEVICE_CPU;
    if (bits & CL_DEVICE_TYPE_ACCELERATOR) return OCLIN_DEVICE_ACCELERATOR;
    return OCLIN_DEVICE_ANY;
}

static void read_info(cl_device_id device, struct oclin_device_info *info)
{
    memset(info, 0, sizeof *info);
    info->device = device;
    clGetDeviceInfo(device, CL_DEVICE_PLATFORM, sizeof info->platform, &info->platform, NULL);
    cl_device_type bits = 0;
    clGetDeviceInfo(device, CL_DEVICE_TYPE, sizeof bits, &bits, NULL);
    info->type = type_of(bits);
    read_text(device, CL_DEVICE_NAME, info->name, sizeof info->name);
    read_text(device, CL_DEVICE_VENDOR, info->vendor, sizeof info->vendor);
    read_text(device, CL_DRIVER_VERSION, info->driver, sizeof info->driver);
    read_text(device, CL_DEVICE_VERSION, info->version, sizeof info->version);
    read_platform_text(info->platform, CL_PLATFORM_NAME, info->platform_name, sizeof info->platform_name);
    info->compute_units = read_number(device, CL_DEVICE_MAX_COMPUTE_UNITS, sizeof(cl_uint));
    info->vector_width = read_number(device, CL_DEVICE_NATIVE_VECTOR_WIDTH_FLOAT, sizeof(cl_uint));
    info->max_work_group = read_number(device, CL_DEVICE_MAX_WORK_GROUP_SIZE, sizeof(size_t));
    info->local_bytes = read_number(device, CL_DEVICE_LOCAL_MEM_SIZE, sizeof(cl_ulong));
    info->global_bytes = read_number(device, CL_DEVICE_GLOBAL_MEM_SIZE, sizeof(cl_ulong));
    info->max_allocation = read_number(device, CL_DEVICE_MAX_MEM_ALLOC_SIZE, sizeof(cl_ulong));
    if (info->compute_units < 1) info->compute_units = 1;
    if (info->vector_width < 1) info->vector_width = 1;
    if (info->max_work_group < 1) info->max_work_group = 1;
}

static int has_extension(cl_device_id device, const char *name)
{
    size_t size = 0;
    if (clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, 0, NULL, &size) != CL_SUCCESS) return 0;
    char *all = calloc(size + 1, 1);
    if (!all) return 0;
    const int found = clGetDeviceInfo(device, CL_DEVICE_EXTENSIONS, size, all, NULL) == CL_SUCCESS &&
                      strstr(all, name) != NULL;
    free(all);
    return found;
}

/* Some sets of OpenCL headers lack these constants. */
enum { WARP_SIZE_NV = 0x4003, WAVEFRONT_WIDTH_AMD = 0x4043, SUB_GROUP_SIZES_INTEL = 0x4108 };

static int64_t read_wave(cl_device_id device)
{
    if (has_extension(device, "cl_nv_device_attribute_query"))
        return read_number(device, WARP_SIZE_NV, sizeof(cl_uint));
    if (has_extension(device, "cl_amd_device_attribute_query"))
        return read_number(device, WAVEFRONT_WIDTH_AMD, sizeof(cl_uint));
    return 0;
}

static int64_t read_sub_group(cl_device_id device)
{
    size_t sizes[16] = {0}, narrowest = 0;
    if (!has_extension(device, "cl_intel_required_subgroup_size") ||
        clGetDeviceInfo(device, SUB_GROUP_SIZES_INTEL, sizeof sizes, sizes, NULL) != CL_SUCCESS)
        return 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
        if (sizes[i] && (!narrowest || sizes[i] < narrowest)) narrowest = sizes[i];
    return (int64_t)narrowest;
}

/* Selects CPUs that run each work-group on one thread to its end, and whose compilers are a clang with its
 * builtins. Compilers that hand kernels on as SPIR-V (Rusticl) or interpret them (Oclgrind) end the build
 * when they meet such a builtin. */
static int is_clang_on_threads(const struct oclin_device_info *info)
{
    return info->type == OCLIN_DEVICE_CPU &&
           (strcmp(info->platform_name, "Portable Computing Language") == 0 ||
            strcmp(info->platform_name, "Intel(R) OpenCL") == 0);
}

/* PoCL before 6.0 keeps the machine code of all contexts in one list and counts its uses. When a launch
 * ends, PoCL looks for its entry by text, options and local size, and takes the first one that matches.
 * But there is one entry for each width of a launch that was wider than those before, and one for a binary
 * that was asked for. So a count can fall below 0, and an assertion (pocl_release_dlhandle_cache) then
 * ends the process. This happens if a kernel runs in one context while another context of the process asks
 * for its binary or launches it with a new width. Commit 9184812d6 of PoCL fixed it. As a remedy program.c
 * gives each context build options of its own. A single in-order queue is not affected. */
static int mixes_contexts(const struct oclin_device_info *info, const char *platform_version)
{
    int major = 0;
    if (strcmp(info->platform_name, "Portable Computing Language") != 0) return 0;
    const char *at = strstr(platform_version, "PoCL ");
    if (!at) at = strstr(platform_version, "pocl ");
    return !at || sscanf(at + 5, "%d", &major) != 1 || major < 6;
}

void oclin_device_facts_read(cl_device_id device, struct oclin_device_facts *facts)
{
    memset(facts, 0, sizeof *facts);
    read_info(device, &facts->info);
    cl_device_fp_config config = 0;
    clGetDeviceInfo(device, CL_DEVICE_SINGLE_FP_CONFIG, sizeof config, &config, NULL);
    facts->denormals = (config & CL_FP_DENORM) != 0;
    facts->truncates = (config & CL_FP_ROUND_TO_NEAREST) == 0;
    facts->wave = read_wave(device);
    facts->sub_group = read_sub_group(device);
    facts->cache = read_number(device, CL_DEVICE_GLOBAL_MEM_CACHE_SIZE, sizeof(cl_ulong));
    facts->prefetches = facts->tickets = is_clang_on_threads(&facts->info);
    read_platform_text(facts->info.platform, CL_PLATFORM_VERSION, facts->platform_version,
                       sizeof facts->platform_version);
    facts->mixes_contexts = mixes_contexts(&facts->info, facts->platform_version);
    size_t items[16] = {0};
    /* The limit of the first dimension can be below the limit of the group (Apple's CPU device has 1024 x
     * 1 x 1). */
    facts->max_items = facts->info.max_work_group;
    if (clGetDeviceInfo(device, CL_DEVICE_MAX_WORK_ITEM_SIZES, sizeof items, items, NULL) == CL_SUCCESS &&
        items[0] > 0 && (int64_t)items[0] < facts->max_items)
        facts->max_items = (int64_t)items[0];
}

/* ------------------------------------------------------------------------------------ finding, ranking */

/* Devices of the embedded profile may lack 64-bit integers, which every kernel needs. */
static int has_int64(cl_device_id device)
{
    char profile[64];
    read_text(device, CL_DEVICE_PROFILE, profile, sizeof profile);
    return strcmp(profile, "EMBEDDED_PROFILE") != 0 || has_extension(device, "cles_khr_int64");
}

int oclin_device_usable(cl_device_id device, const char **why)
{
    cl_bool available = CL_FALSE, compiler = CL_FALSE, little = CL_FALSE;
    clGetDeviceInfo(device, CL_DEVICE_AVAILABLE, sizeof available, &available, NULL);
    clGetDeviceInfo(device, CL_DEVICE_COMPILER_AVAILABLE, sizeof compiler, &compiler, NULL);
    clGetDeviceInfo(device, CL_DEVICE_ENDIAN_LITTLE, sizeof little, &little, NULL);
    const uint16_t one = 1;
    const cl_bool host_little = *(const uint8_t *)&one == 1;
    char version[128];
    int major = 0, minor = 0;
    read_text(device, CL_DEVICE_VERSION, version, sizeof version);
    const int known = sscanf(version, "OpenCL %d.%d", &major, &minor) == 2;
    *why = NULL;
    if (!known || (major == 1 && minor < 2)) *why = "is below OpenCL 1.2";
    if (!available) *why = "is not available";
    if (!compiler) *why = "has no compiler";
    if (!little != !host_little) *why = "has another byte order than the host";
    if (!has_int64(device)) *why = "has no 64-bit integers";
    return *why == NULL;
}

static int rank(const struct oclin_device_info *info)
{
    switch (info->type) {
    case OCLIN_DEVICE_GPU:
        return 3;
    case OCLIN_DEVICE_ACCELERATOR:
        return 2;
    case OCLIN_DEVICE_CPU:
        return 1;
    default:
        return 0;
    }
}

static int better(const struct oclin_device_info *a, const struct oclin_device_info *b)
{
    if (rank(a) != rank(b)) return rank(a) > rank(b);
    return a->compute_units > b->compute_units;
}

/* Inserts one more device into a sorted, growing list. Insertion keeps the runtime's order among equals. */
static oclin_status insert(struct oclin_device_info **list, size_t *count, cl_device_id device)
{
    struct oclin_device_info *grown = realloc(*list, (*count + 1) * sizeof **list);
    if (!grown) return OCLIN_E_MEMORY;
    *list = grown;
    struct oclin_device_info info;
    read_info(device, &info);
    size_t at = *count;
    while (at > 0 && better(&info, &grown[at - 1])) {
        grown[at] = grown[at - 1];
        at--;
    }
    grown[at] = info;
    ++*count;
    return OCLIN_OK;
}

static oclin_status insert_platform(struct oclin_device_info **list, size_t *count, cl_platform_id platform)
{
    cl_uint found = 0;
    /* An empty platform answers CL_DEVICE_NOT_FOUND, and any other failure concerns this platform alone. */
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, 0, NULL, &found) != CL_SUCCESS || found == 0)
        return OCLIN_OK;
    cl_device_id *devices = calloc(found, sizeof *devices);
    if (!devices) return OCLIN_E_MEMORY;
    oclin_status status = OCLIN_OK;
    if (clGetDeviceIDs(platform, CL_DEVICE_TYPE_ALL, found, devices, NULL) == CL_SUCCESS)
        for (cl_uint i = 0; i < found && status == OCLIN_OK; i++) {
            const char *why;
            if (oclin_device_usable(devices[i], &why)) status = insert(list, count, devices[i]);
        }
    free(devices);
    return status;
}

static oclin_status scan(struct oclin_device_info **list, size_t *count)
{
    cl_uint found = 0;
    if (clGetPlatformIDs(0, NULL, &found) != CL_SUCCESS || found == 0) return OCLIN_OK; /* no driver at all */
    cl_platform_id *platforms = calloc(found, sizeof *platforms);
    if (!platforms) return OCLIN_E_MEMORY;
    oclin_status status = OCLIN_OK;
    if (clGetPlatformIDs(found, platforms, NULL) == CL_SUCCESS)
        for (cl_uint i = 0; i < found && status == OCLIN_OK; i++)
            status = insert_platform(list, count, platforms[i]);
    free(platforms);
    return status;
}

/* While one thread is in the very first call, PoCL (3.1) tells other threads that it has no device
 * (github.com/cogciprocate/ocl/issues/189). Without this lock, contexts made by several threads at once
 * would fail now and then. */
static oclin_status find_all(struct oclin_device_info **list, size_t *count)
{
    *list = NULL;
    *count = 0;
    oclin_os_lock_scan();
    const oclin_status status = scan(list, count);
    oclin_os_unlock_scan();
    if (status != OCLIN_OK) {
        free(*list);
        *list = NULL;
        *count = 0;
    }
    return status;
}

oclin_status oclin_device_list(struct oclin_device_info *list, size_t capacity, size_t *count)
{
    if (!count || (!list && capacity > 0)) return OCLIN_E_ARG;
    struct oclin_device_info *all;
    OCLIN_TRY(find_all(&all, count));
    const size_t given = *count < capacity ? *count : capacity;
    if (given) memcpy(list, all, given * sizeof *list);
    free(all);
    return OCLIN_OK;
}

/* --------------------------------------------------------------------------------------------- picking */

static int contains(const char *text, const char *part)
{
    for (; *text; text++) {
        size_t i = 0;
        while (part[i] && tolower((unsigned char)text[i]) == tolower((unsigned char)part[i])) i++;
        if (!part[i]) return 1;
    }
    return !*part;
}

static int matches(const struct oclin_device_info *info, oclin_device_type type, const char *name)
{
    if (type != OCLIN_DEVICE_ANY && info->type != type) return 0;
    return !name || contains(info->name, name) || contains(info->vendor, name) ||
           contains(info->platform_name, name);
}

/* Reads OCLIN_DEVICE, which is an index, a type, or part of a name. */
static void read_wish(const char *wish, oclin_device_type *type, int64_t *index, const char **name)
{
    static const char *const types[] = {"any", "gpu", "cpu", "accelerator"};
    *type = OCLIN_DEVICE_ANY;
    *index = 0;
    *name = NULL;
    char *end;
    const long long number = strtoll(wish, &end, 10);
    if (!*end && number >= 0) {
        *index = number;
        return;
    }
    for (int i = 0; i < 4; i++)
        if (strlen(wish) == strlen(types[i]) && contains(types[i], wish)) {
            *type = (oclin_device_type)i;
            return;
        }
    *name = wish;
}

OCLIN_PRINTF(3, 4) static void append(char *text, size_t size, const char *format, ...)
{
    const size_t used = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text + used, size - used, format, arguments);
    va_end(arguments);
}

/* Explains that there is no usable device at all; the likely causes depend on how far the search came. */
static void say_nothing_there(char *why, size_t size)
{
    cl_platform_id platforms[4];
    cl_uint count = 0;
    if (clGetPlatformIDs(4, platforms, &count) != CL_SUCCESS || count == 0) {
        append(why, size,
               "no OpenCL platform: either no driver is installed (for CPUs: PoCL), or the loader does not "
               "find it, "
               "which reads the .icd files of /etc/OpenCL/vendors or of the folder in OCL_ICD_VENDORS");
        return;
    }
    append(why, size, "no usable OpenCL device on");
    for (cl_uint i = 0; i < count && i < 4; i++) {
        char name[64];
        read_platform_text(platforms[i], CL_PLATFORM_NAME, name, sizeof name);
        append(why, size, "%s %s", i ? "," : "", name);
    }
    append(why, size,
           ": PoCL has none where it cannot write its cache (set POCL_CACHE_DIR to a folder that can be "
           "written), a driver for GPUs none that this user may not open (groups render, video)");
}

/* Lists the devices that could have been asked for, with their numbers in oclin_device_list(). */
static void say_devices(const struct oclin_device_info *all, size_t count, char *why, size_t size)
{
    for (size_t i = 0; i < count; i++)
        append(why, size, "%s [%zu] %.50s (%.40s)", i ? "," : "; usable:", i, all[i].name,
               all[i].platform_name);
}

oclin_status oclin_device_pick(const struct oclin_context_options *options, cl_device_id *device, char *why,
                               size_t why_size)
{
    oclin_device_type type = options->device_type;
    int64_t index = options->device_index;
    const char *name = options->device_name;
    const char *wish = options->ignore_environment ? NULL : getenv("OCLIN_DEVICE");
    if (wish && *wish) read_wish(wish, &type, &index, &name);

    struct oclin_device_info *all;
    size_t count;
    if (find_all(&all, &count) != OCLIN_OK) {
        snprintf(why, why_size, "no host memory for the device list");
        return OCLIN_E_MEMORY;
    }
    int64_t seen = 0;
    *device = NULL;
    for (size_t i = 0; i < count && !*device; i++)
        if (matches(&all[i], type, name) && seen++ == index) *device = all[i].device;
    static const char *const kinds[] = {"device", "GPU", "CPU", "accelerator"};
    *why = 0;
    if (count == 0) say_nothing_there(why, why_size);
    if (count > 0 && !*device) {
        append(why, why_size, "no %s%s%.60s%s%s: of %zu usable devices %lld match, number %lld was asked for",
               kinds[type], name ? " named '" : "", name ? name : "", name ? "'" : "",
               wish && *wish ? " (OCLIN_DEVICE)" : "", count, (long long)seen, (long long)index);
        say_devices(all, count, why, why_size);
    }
    free(all);
    return *device ? OCLIN_OK : OCLIN_E_DEVICE;
}
