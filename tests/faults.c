#define _POSIX_C_SOURCE 200809L /* clock_gettime, fdopen, lstat, opendir */
#include "faults.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* ---------------------------------------------------------------------------------------------- the plan */

static struct {
    unsigned kinds;   /* that are counted, and that may fail */
    const char *name; /* NULL: all of these kinds */
    int64_t nth, counted;
    cl_int code;
    enum fault_how how;
    const char *failed, *before;
} plan;
static const char *last_call = "";

enum { MOST_CALLS = 4096 };
static const char *called[MOST_CALLS];

static int64_t alive[ALIVE_KINDS];

/* Every wrapped function, in the order of their first call. */
enum { MOST_NAMES = 128 };
static struct {
    const char *name;
    int64_t calls;
} names[MOST_NAMES];

static void note(const char *name)
{
    int i = 0;
    while (i < MOST_NAMES - 1 && names[i].name && strcmp(names[i].name, name) != 0) i++;
    names[i].name = name;
    names[i].calls++;
}

static void begin(unsigned kinds, const char *name, int64_t nth, cl_int code, enum fault_how how)
{
    plan.kinds = kinds;
    plan.name = name;
    plan.nth = nth;
    plan.counted = 0;
    plan.code = code;
    plan.how = how;
    plan.failed = NULL;
}

void faults_fail(unsigned kinds, int64_t nth, cl_int code, enum fault_how how)
{
    begin(kinds, NULL, nth, code, how);
}

void faults_fail_call(const char *name, int64_t nth, cl_int code, enum fault_how how)
{
    begin(FAULT_ANY, name, nth, code, how);
}

void faults_count(unsigned kinds)
{
    begin(kinds, NULL, -1, 0, FAULT_BEFORE);
}

int64_t faults_end(void)
{
    plan.kinds = 0;
    return plan.counted;
}

const char *faults_called(int64_t n)
{
    return n < plan.counted && n < MOST_CALLS ? called[n] : NULL;
}

const char *faults_failed(void)
{
    return plan.failed;
}

const char *faults_before(void)
{
    return plan.before;
}

int64_t faults_calls(const char *name)
{
    for (int i = 0; i < MOST_NAMES && names[i].name; i++)
        if (strcmp(names[i].name, name) == 0) return names[i].calls;
    return 0;
}

/* A call begins: whether it fails. */
static int fails(unsigned kind, const char *name)
{
    const char *before = last_call;
    last_call = name;
    note(name);
    if (!(plan.kinds & kind) || (plan.name && strcmp(plan.name, name) != 0)) return 0;
    if (plan.counted < MOST_CALLS) called[plan.counted] = name;
    if (plan.counted++ != plan.nth) return 0;
    plan.failed = name;
    plan.before = before;
    return 1;
}

/* ----------------------------------------------------------------------------------------------- OpenCL */

int64_t faults_alive(enum alive kind)
{
    return alive[kind];
}

const char *faults_alive_name(enum alive kind)
{
    static const char *const all[] = {"contexts", "queues",  "programs", "kernels",         "buffers",
                                      "events",   "devices", "files",    "pieces of memory"};
    return all[kind];
}

int64_t faults_alive_cl(void)
{
    int64_t all = 0;
    for (int kind = 0; kind <= ALIVE_DEVICE; kind++) all += alive[kind];
    return all;
}

/* A call that answers a status. */
#define CALL(name, parameters, arguments)                            \
    cl_int __real_##name parameters;                                 \
    cl_int __wrap_##name parameters;                                 \
    cl_int __wrap_##name parameters                                  \
    {                                                                \
        if (!fails(FAULT_CL, #name)) return __real_##name arguments; \
        if (plan.how == FAULT_AFTER) (void)__real_##name arguments;  \
        return plan.code;                                            \
    }

/* One that puts an answer of `size` bytes at `value`. */
#define INFO(name, parameters, arguments)                                         \
    cl_int __real_##name parameters;                                              \
    cl_int __wrap_##name parameters;                                              \
    cl_int __wrap_##name parameters                                               \
    {                                                                             \
        if (!fails(FAULT_CL | FAULT_INFO, #name)) return __real_##name arguments; \
        if (plan.how != FAULT_LIE) return plan.code;                              \
        const cl_int status = __real_##name arguments;                            \
        if (value) memset(value, 0, size);                                        \
        return status;                                                            \
    }

/* A command with an event `e`, which nobody gets of one that failed. */
#define COMMAND(name, parameters, arguments)                      \
    cl_int __real_##name parameters;                              \
    cl_int __wrap_##name parameters;                              \
    cl_int __wrap_##name parameters                               \
    {                                                             \
        const int failing = fails(FAULT_CL, #name);               \
        if (failing && plan.how != FAULT_AFTER) return plan.code; \
        const cl_int status = __real_##name arguments;            \
        if (e && !status && failing) {                            \
            __real_clReleaseEvent(*e);                            \
            *e = NULL;                                            \
        } else if (e && !status)                                  \
            alive[ALIVE_EVENT]++;                                 \
        return failing ? plan.code : status;                      \
    }

/* One that makes an object, and says at `error` why not. */
#define MAKE(type, name, kind, parameters, arguments) \
    type __real_##name parameters;                    \
    type __wrap_##name parameters;                    \
    type __wrap_##name parameters                     \
    {                                                 \
        if (fails(FAULT_CL, #name)) {                 \
            if (error) *error = plan.code;            \
            return NULL;                              \
        }                                             \
        type made = __real_##name arguments;          \
        alive[kind] += made != NULL;                  \
        return made;                                  \
    }

/* Every program of this text and these options in this context is that one. */
enum { MOST_BUILDS = 256 };
static int keep_builds;
static struct build {
    cl_program program; /* as the library knows it; NULL: free */
    cl_program kept;    /* what stands for it, built */
    cl_context context;
    char *text, *options;
} builds[MOST_BUILDS];

void *__real_malloc(size_t size);
void __real_free(void *memory);
cl_int __real_clReleaseProgram(cl_program p);

static char *copy_of(const char *text)
{
    char *copy = __real_malloc(strlen(text) + 1);
    if (!copy) abort();
    return strcpy(copy, text);
}

static struct build *build_of(cl_program p)
{
    for (int i = 0; i < MOST_BUILDS; i++)
        if (p && builds[i].program == p) return &builds[i];
    return NULL;
}

/* What stands for the library's program. */
static cl_program built(cl_program p)
{
    const struct build *b = build_of(p);
    return b && b->kept ? b->kept : p;
}

static void forget(struct build *b)
{
    __real_free(b->text);
    __real_free(b->options);
    memset(b, 0, sizeof *b);
}

static void note_text(cl_program p, cl_context c, const char *text)
{
    int i = 0;
    while (i < MOST_BUILDS && builds[i].context) i++;
    if (!keep_builds || !p || i == MOST_BUILDS) return;
    builds[i].program = p;
    builds[i].context = c;
    builds[i].text = copy_of(text);
}

/* Whether it was built before. */
static int note_options(cl_program p, const char *options)
{
    struct build *b = build_of(p);
    if (!b) return 0;
    b->options = copy_of(options);
    for (int i = 0; i < MOST_BUILDS; i++)
        if (builds[i].kept && builds[i].context == b->context && strcmp(builds[i].text, b->text) == 0 &&
            strcmp(builds[i].options, options) == 0) {
            b->kept = builds[i].kept;
            clRetainProgram(b->kept);
            return 1;
        }
    return 0;
}

static void note_built(cl_program p)
{
    struct build *b = build_of(p);
    if (!b) return;
    b->kept = p;
    clRetainProgram(p);
}

/* One entry of each text stays. */
static void note_release(cl_program p)
{
    struct build *b = build_of(p);
    if (!b) return;
    if (b->kept == p)
        b->program = NULL;
    else {
        if (b->kept) __real_clReleaseProgram(b->kept);
        forget(b);
    }
}

void faults_keep_builds(int on)
{
    keep_builds = on;
    for (int i = 0; i < MOST_BUILDS && !on; i++) {
        if (builds[i].kept) __real_clReleaseProgram(builds[i].kept);
        forget(&builds[i]);
    }
}

#define RETAIN(name, type, kind)                      \
    cl_int __real_##name(type object);                \
    cl_int __wrap_##name(type object);                \
    cl_int __wrap_##name(type object)                 \
    {                                                 \
        if (fails(FAULT_CL, #name)) return plan.code; \
        alive[kind]++;                                \
        return __real_##name(object);                 \
    }

/* Nobody can do anything about a release that fails: it is done all the same, so that the count stays
 * right. */
#define RELEASE(name, type, kind)                    \
    cl_int __real_##name(type object);               \
    cl_int __wrap_##name(type object);               \
    cl_int __wrap_##name(type object)                \
    {                                                \
        const int failing = fails(FAULT_CL, #name);  \
        alive[kind]--;                               \
        const cl_int status = __real_##name(object); \
        return failing ? plan.code : status;         \
    }

RETAIN(clRetainContext, cl_context, ALIVE_CONTEXT)
RELEASE(clReleaseContext, cl_context, ALIVE_CONTEXT)
RETAIN(clRetainCommandQueue, cl_command_queue, ALIVE_QUEUE)
RELEASE(clReleaseCommandQueue, cl_command_queue, ALIVE_QUEUE)
RETAIN(clRetainMemObject, cl_mem, ALIVE_BUFFER)
RELEASE(clReleaseMemObject, cl_mem, ALIVE_BUFFER)
RETAIN(clRetainDevice, cl_device_id, ALIVE_DEVICE)
RELEASE(clReleaseDevice, cl_device_id, ALIVE_DEVICE)
cl_int __wrap_clReleaseProgram(cl_program p);
cl_int __wrap_clReleaseProgram(cl_program p)
{
    const int failing = fails(FAULT_CL, "clReleaseProgram");
    alive[ALIVE_PROGRAM]--;
    note_release(p);
    const cl_int status = __real_clReleaseProgram(p);
    return failing ? plan.code : status;
}

RELEASE(clReleaseKernel, cl_kernel, ALIVE_KERNEL)
RELEASE(clReleaseEvent, cl_event, ALIVE_EVENT)

MAKE(cl_context, clCreateContext, ALIVE_CONTEXT,
     (const cl_context_properties *p, cl_uint n, const cl_device_id *d,
      void(CL_CALLBACK *f)(const char *, const void *, size_t, void *), void *user, cl_int *error),
     (p, n, d, f, user, error))
MAKE(cl_command_queue, clCreateCommandQueue, ALIVE_QUEUE,
     (cl_context c, cl_device_id d, cl_command_queue_properties p, cl_int *error), (c, d, p, error))
MAKE(cl_mem, clCreateBuffer, ALIVE_BUFFER,
     (cl_context c, cl_mem_flags flags, size_t size, void *host, cl_int *error),
     (c, flags, size, host, error))
MAKE(cl_mem, clCreateSubBuffer, ALIVE_BUFFER,
     (cl_mem m, cl_mem_flags flags, cl_buffer_create_type type, const void *info, cl_int *error),
     (m, flags, type, info, error))
cl_program __real_clCreateProgramWithSource(cl_context c, cl_uint n, const char **text, const size_t *length,
                                            cl_int *error);
cl_program __wrap_clCreateProgramWithSource(cl_context c, cl_uint n, const char **text, const size_t *length,
                                            cl_int *error);
cl_program __wrap_clCreateProgramWithSource(cl_context c, cl_uint n, const char **text, const size_t *length,
                                            cl_int *error)
{
    if (fails(FAULT_CL, "clCreateProgramWithSource")) {
        *error = plan.code;
        return NULL;
    }
    cl_program made = __real_clCreateProgramWithSource(c, n, text, length, error);
    alive[ALIVE_PROGRAM] += made != NULL;
    note_text(made, c, *text);
    return made;
}

MAKE(cl_kernel, clCreateKernel, ALIVE_KERNEL, (cl_program p, const char *name, cl_int *error),
     (built(p), name, error))
MAKE(cl_event, clCreateUserEvent, ALIVE_EVENT, (cl_context c, cl_int *error), (c, error))

cl_program __real_clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *d,
                                            const size_t *sizes, const unsigned char **binaries,
                                            cl_int *status, cl_int *error);
cl_program __wrap_clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *d,
                                            const size_t *sizes, const unsigned char **binaries,
                                            cl_int *status, cl_int *error);
cl_program __wrap_clCreateProgramWithBinary(cl_context c, cl_uint n, const cl_device_id *d,
                                            const size_t *sizes, const unsigned char **binaries,
                                            cl_int *status, cl_int *error)
{
    const int failing = fails(FAULT_CL, "clCreateProgramWithBinary");
    if (failing && plan.how != FAULT_AFTER) {
        *error = plan.code;
        return NULL;
    }
    cl_program made = __real_clCreateProgramWithBinary(c, n, d, sizes, binaries, status, error);
    alive[ALIVE_PROGRAM] += made != NULL;
    if (failing) *status = plan.code;
    return made;
}

cl_int __real_clBuildProgram(cl_program p, cl_uint n, const cl_device_id *d, const char *options,
                             void(CL_CALLBACK *f)(cl_program, void *), void *user);
cl_int __wrap_clBuildProgram(cl_program p, cl_uint n, const cl_device_id *d, const char *options,
                             void(CL_CALLBACK *f)(cl_program, void *), void *user);
cl_int __wrap_clBuildProgram(cl_program p, cl_uint n, const cl_device_id *d, const char *options,
                             void(CL_CALLBACK *f)(cl_program, void *), void *user)
{
    if (fails(FAULT_CL, "clBuildProgram")) return plan.code;
    if (note_options(p, options)) return CL_SUCCESS;
    const cl_int status = __real_clBuildProgram(p, n, d, options, f, user);
    if (!status) note_built(p);
    return status;
}

CALL(clSetKernelArg, (cl_kernel k, cl_uint index, size_t size, const void *value), (k, index, size, value))
CALL(clFlush, (cl_command_queue q), (q))
CALL(clFinish, (cl_command_queue q), (q))
CALL(clGetPlatformIDs, (cl_uint n, cl_platform_id *list, cl_uint *count), (n, list, count))
CALL(clGetDeviceIDs, (cl_platform_id p, cl_device_type type, cl_uint n, cl_device_id *list, cl_uint *count),
     (p, type, n, list, count))

INFO(clGetPlatformInfo, (cl_platform_id p, cl_platform_info what, size_t size, void *value, size_t *needed),
     (p, what, size, value, needed))
INFO(clGetDeviceInfo, (cl_device_id d, cl_device_info what, size_t size, void *value, size_t *needed),
     (d, what, size, value, needed))
INFO(clGetCommandQueueInfo,
     (cl_command_queue q, cl_command_queue_info what, size_t size, void *value, size_t *needed),
     (q, what, size, value, needed))
INFO(clGetMemObjectInfo, (cl_mem m, cl_mem_info what, size_t size, void *value, size_t *needed),
     (m, what, size, value, needed))
INFO(clGetEventInfo, (cl_event event, cl_event_info what, size_t size, void *value, size_t *needed),
     (event, what, size, value, needed))
INFO(clGetProgramInfo, (cl_program p, cl_program_info what, size_t size, void *value, size_t *needed),
     (built(p), what, size, value, needed))
INFO(clGetProgramBuildInfo,
     (cl_program p, cl_device_id d, cl_program_build_info what, size_t size, void *value, size_t *needed),
     (built(p), d, what, size, value, needed))
INFO(clGetKernelWorkGroupInfo,
     (cl_kernel k, cl_device_id d, cl_kernel_work_group_info what, size_t size, void *value, size_t *needed),
     (k, d, what, size, value, needed))

COMMAND(clEnqueueNDRangeKernel,
        (cl_command_queue q, cl_kernel k, cl_uint dimensions, const size_t *o, const size_t *g,
         const size_t *l, cl_uint n, const cl_event *w, cl_event *e),
        (q, k, dimensions, o, g, l, n, w, e))
COMMAND(clEnqueueReadBuffer,
        (cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset, size_t size, void *to, cl_uint n,
         const cl_event *w, cl_event *e),
        (q, m, blocking, offset, size, to, n, w, e))
COMMAND(clEnqueueWriteBuffer,
        (cl_command_queue q, cl_mem m, cl_bool blocking, size_t offset, size_t size, const void *from,
         cl_uint n, const cl_event *w, cl_event *e),
        (q, m, blocking, offset, size, from, n, w, e))
COMMAND(clEnqueueReadBufferRect,
        (cl_command_queue q, cl_mem m, cl_bool blocking, const size_t *bo, const size_t *ho, const size_t *r,
         size_t bp, size_t bs, size_t hp, size_t hs, void *to, cl_uint n, const cl_event *w, cl_event *e),
        (q, m, blocking, bo, ho, r, bp, bs, hp, hs, to, n, w, e))
COMMAND(clEnqueueWriteBufferRect,
        (cl_command_queue q, cl_mem m, cl_bool blocking, const size_t *bo, const size_t *ho, const size_t *r,
         size_t bp, size_t bs, size_t hp, size_t hs, const void *from, cl_uint n, const cl_event *w,
         cl_event *e),
        (q, m, blocking, bo, ho, r, bp, bs, hp, hs, from, n, w, e))
COMMAND(clEnqueueMigrateMemObjects,
        (cl_command_queue q, cl_uint count, const cl_mem *m, cl_mem_migration_flags flags, cl_uint n,
         const cl_event *w, cl_event *e),
        (q, count, m, flags, n, w, e))
COMMAND(clEnqueueFillBuffer,
        (cl_command_queue q, cl_mem m, const void *pattern, size_t pattern_size, size_t offset, size_t size,
         cl_uint n, const cl_event *w, cl_event *e),
        (q, m, pattern, pattern_size, offset, size, n, w, e))
COMMAND(clEnqueueCopyBufferRect,
        (cl_command_queue q, cl_mem from, cl_mem to, const size_t *fo, const size_t *to_origin,
         const size_t *r, size_t fp, size_t fs, size_t tp, size_t ts, cl_uint n, const cl_event *w,
         cl_event *e),
        (q, from, to, fo, to_origin, r, fp, fs, tp, ts, n, w, e))
COMMAND(clEnqueueMarkerWithWaitList, (cl_command_queue q, cl_uint n, const cl_event *w, cl_event *e),
        (q, n, w, e))
COMMAND(clEnqueueBarrierWithWaitList, (cl_command_queue q, cl_uint n, const cl_event *w, cl_event *e),
        (q, n, w, e))

/* ------------------------------------------------------------------------------------------ host memory */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void __real_free(void *memory);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);
void __wrap_free(void *memory);

void *__wrap_malloc(size_t size)
{
    void *memory = fails(FAULT_MEMORY, "malloc") ? NULL : __real_malloc(size);
    alive[ALIVE_MEMORY] += memory != NULL;
    return memory;
}

void *__wrap_calloc(size_t count, size_t size)
{
    void *memory = fails(FAULT_MEMORY, "calloc") ? NULL : __real_calloc(count, size);
    alive[ALIVE_MEMORY] += memory != NULL;
    return memory;
}

void *__wrap_realloc(void *memory, size_t size)
{
    const int had = memory != NULL;
    void *grown = fails(FAULT_MEMORY, "realloc") ? NULL : __real_realloc(memory, size);
    if (grown && !had) alive[ALIVE_MEMORY]++;
    return grown;
}

void __wrap_free(void *memory)
{
    alive[ALIVE_MEMORY] -= memory != NULL;
    __real_free(memory);
}

/* ------------------------------------------------------------------------------------------------ files */

/* A call of a file that answers `bad` when it fails. */
#define FILE_CALL(type, name, bad, parameters, arguments)              \
    type __real_##name parameters;                                     \
    type __wrap_##name parameters;                                     \
    type __wrap_##name parameters                                      \
    {                                                                  \
        if (!fails(FAULT_FILE, #name)) return __real_##name arguments; \
        errno = EIO;                                                   \
        return bad;                                                    \
    }

static FILE *unreadable; /* whose last read failed */

FILE_CALL(int, fseek, -1, (FILE * f, long offset, int whence), (f, offset, whence))
FILE_CALL(long, ftell, -1, (FILE * f), (f))
FILE_CALL(int, rename, -1, (const char *from, const char *to), (from, to))
FILE_CALL(int, remove, -1, (const char *path), (path))
FILE_CALL(int, mkdir, -1, (const char *path, mode_t mode), (path, mode))
FILE_CALL(int, access, -1, (const char *path, int mode), (path, mode))

FILE_CALL(int, stat, -1, (const char *path, struct stat *facts), (path, facts))
FILE_CALL(int, lstat, -1, (const char *path, struct stat *facts), (path, facts))
FILE_CALL(int, fstat, -1, (int file, struct stat *facts), (file, facts))
FILE_CALL(struct dirent *, readdir, NULL, (DIR * dir), (dir))
FILE_CALL(FILE *, fdopen, NULL, (int file, const char *mode), (file, mode)) /* fclose() closes both */

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...)
{
    va_list arguments;
    va_start(arguments, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
    va_end(arguments);
    if (fails(FAULT_FILE, "open")) {
        errno = EACCES;
        return -1;
    }
    const int file = __real_open(path, flags, mode);
    alive[ALIVE_FILE] += file >= 0;
    return file;
}

DIR *__real_opendir(const char *path);
DIR *__wrap_opendir(const char *path);
DIR *__wrap_opendir(const char *path)
{
    DIR *dir = fails(FAULT_FILE, "opendir") ? NULL : __real_opendir(path);
    alive[ALIVE_FILE] += dir != NULL;
    return dir;
}

/* Closed whatever these say. */
int __real_close(int file);
int __wrap_close(int file);
int __wrap_close(int file)
{
    const int failing = fails(FAULT_FILE, "close");
    alive[ALIVE_FILE]--;
    const int status = __real_close(file);
    return failing ? -1 : status;
}

int __real_closedir(DIR *dir);
int __wrap_closedir(DIR *dir);
int __wrap_closedir(DIR *dir)
{
    const int failing = fails(FAULT_FILE, "closedir");
    alive[ALIVE_FILE]--;
    const int status = __real_closedir(dir);
    return failing ? -1 : status;
}

FILE *__real_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode);
FILE *__wrap_fopen(const char *path, const char *mode)
{
    if (fails(FAULT_FILE, "fopen")) {
        errno = EACCES;
        return NULL;
    }
    FILE *file = __real_fopen(path, mode);
    alive[ALIVE_FILE] += file != NULL;
    return file;
}

/* Half of it. */
size_t __real_fread(void *to, size_t size, size_t count, FILE *f);
size_t __wrap_fread(void *to, size_t size, size_t count, FILE *f);
size_t __wrap_fread(void *to, size_t size, size_t count, FILE *f)
{
    if (!fails(FAULT_FILE, "fread")) return __real_fread(to, size, count, f);
    unreadable = f;
    return __real_fread(to, size, count / 2, f) / 2;
}

int __real_ferror(FILE *f);
int __wrap_ferror(FILE *f);
int __wrap_ferror(FILE *f)
{
    return unreadable == f || __real_ferror(f);
}

size_t __real_fwrite(const void *from, size_t size, size_t count, FILE *f);
size_t __wrap_fwrite(const void *from, size_t size, size_t count, FILE *f);
size_t __wrap_fwrite(const void *from, size_t size, size_t count, FILE *f)
{
    return __real_fwrite(from, size, fails(FAULT_FILE, "fwrite") ? count / 2 : count, f);
}

/* A disk that is full may say so only now; the file is closed whatever it says. */
int __real_fclose(FILE *f);
int __wrap_fclose(FILE *f);
int __wrap_fclose(FILE *f)
{
    const int failing = fails(FAULT_FILE, "fclose");
    if (unreadable == f) unreadable = NULL;
    alive[ALIVE_FILE]--;
    const int status = __real_fclose(f);
    return failing ? EOF : status;
}

/* ------------------------------------------------------------------------------------------------- time */

static double clock_step, clock_now;
static double (*clock_of)(void);

void faults_clock(double step)
{
    clock_step = step;
    clock_now = 0.0;
}

void faults_clock_of(double (*now)(void))
{
    clock_of = now;
}

int __real_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now);
int __wrap_clock_gettime(clockid_t clock, struct timespec *now)
{
    if (clock_step == 0.0 && !clock_of) return __real_clock_gettime(clock, now);
    clock_now = clock_of ? clock_of() : clock_now + clock_step;
    now->tv_sec = (time_t)clock_now;
    now->tv_nsec = (long)(1e9 * (clock_now - (double)now->tv_sec));
    return 0;
}
