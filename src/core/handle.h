/* The inside of a context: what all calls on it share. */
#ifndef OCLIN_CORE_HANDLE_H
#define OCLIN_CORE_HANDLE_H

#include "core/base.h"
#include "core/device.h"
#include "core/intervals.h"
#include "core/kernel.h"

struct oclin_program;
struct oclin_shape;
struct oclin_tuning;
struct oclin_way;

/* What a floor above keeps in the context, and what frees it: the context knows neither. */
struct oclin_slot {
    void *data;
    void (*free)(void *data);
};

/* The plan that options or OCLIN_PLAN ask for, by oclin_plan_choose(). */
struct oclin_plan_choice {
    char name[32];               /* empty: oclin chooses */
    const struct oclin_way *way; /* of this name; NULL: oclin chooses */
    enum oclin_family family;    /* of kernels that go over elements one by one, and their lanes */
    int lanes;
};

struct oclin_context {
    int64_t references; /* the caller's, and one for every tensor storage, layer and saved state */
    long process;       /* that made it: a forked child must not use it */
    int lost;           /* the device is gone: terminal */
    int number;         /* no other living context has it; -1: none, where contexts are not mixed up */
    int in_flight;      /* a kernel was launched, and not waited for */
    cl_context cl;
    cl_command_queue queue;
    cl_device_id retained; /* the caller's device */
    struct oclin_device_facts device;
    struct oclin_plan_choice plan;
    /* of the floor of plans, where nothing is forced: what oclin_tune() has found, and what it may find */
    struct oclin_tuning *tuning;
    void (*free_tuning)(struct oclin_tuning *);
    int (*may_be_tuned)(const oclin_context *, enum oclin_kernel_id, struct oclin_shape, const char *plan);
    char *cl_dir;
    char *cache_dir;     /* NULL: nothing is cached */
    int cache_refused;   /* others may write to it: it is neither read nor written to */
    int cache_read_only; /* it could not be written to: not tried again */
    int cache_tidied;    /* old temporary files were removed */
    oclin_log_fn log;
    void *log_user;
    char error[512];
    cl_int cl_error;
    char *build_log;
    struct oclin_program *programs;
    int unstored;   /* programs that were built, and are not on the disk yet */
    cl_mem tickets; /* counters, all 0 between launches; NULL where groups of the device draw none */
    cl_mem scratch;
    size_t scratch_bytes;
    struct oclin_intervals storages; /* by the address of the root buffer */
    /* of the floor of tensors, set with the first storage: everything written since the last good finish
     * becomes unspecified */
    void (*lose_epoch)(oclin_context *);
    uint64_t epoch; /* grows with every finish; tells which tensors were written since */
    uint64_t layers_made;
    int strict; /* reads of what was never written, and a W that changed before backward, are refused */
    int verify;
    oclin_ref_rule verify_rule;    /* proven; of the self-check, whose data are random: random */
    double verify_worst;           /* largest error so far in units of its bound */
    struct oclin_slot verify_room; /* of the floor of checks: host memory of the check that goes on */
};

#endif
