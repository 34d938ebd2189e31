/* The inside of a context, which all calls on it share. */
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

/* Data that a higher floor keeps in the context, with the function that frees it: the context knows
 * neither. */
struct oclin_slot {
    void *data;
    void (*free)(void *data);
};

/* The plan that the options or OCLIN_PLAN ask for, as oclin_plan_choose() found it. */
struct oclin_plan_choice {
    char name[32];               /* empty if oclin chooses */
    const struct oclin_way *way; /* the way of this name; NULL if oclin chooses */
    enum oclin_family family;    /* family and lanes of kernels that go over elements one by one */
    int lanes;
};

struct oclin_context {
    int64_t references; /* one of the caller, and one for every tensor storage, layer and saved state */
    long process;       /* the process that made it; a forked child must not use it */
    int lost;           /* the device is gone, for good */
    /* no other living context has this number; -1 if the driver does not mix up contexts */
    int number;
    int in_flight; /* a kernel was launched and not waited for */
    cl_context cl;
    cl_command_queue queue;
    cl_device_id retained; /* the caller's device */
    struct oclin_device_facts device;
    struct oclin_plan_choice plan;
    /* Owned by the floor of plans and used where no plan is forced: what oclin_tune() found, and what it
     * may find. */
    struct oclin_tuning *tuning;
    void (*free_tuning)(struct oclin_tuning *);
    int (*may_be_tuned)(const oclin_context *, enum oclin_kernel_id, struct oclin_shape, const char *plan);
    char *cl_dir;
    char *cache_dir; /* NULL if nothing is cached */
    /* other users may write to the folder, so it is neither read nor written to */
    int cache_refused;
    int cache_read_only; /* the folder could not be written to, and no further try is made */
    int cache_tidied;    /* old temporary files were removed */
    oclin_log_fn log;
    void *log_user;
    char error[512];
    cl_int cl_error;
    char *build_log;
    struct oclin_program *programs;
    int unstored; /* number of programs that were built and are not on the disk yet */
    /* counters, all 0 between launches; NULL if work-groups of the device draw no tickets */
    cl_mem tickets;
    cl_mem scratch;
    size_t scratch_bytes;
    struct oclin_intervals storages; /* ordered by the address of the root buffer */
    /* Owned by the floor of tensors and set with the first storage: declares unspecified
     * everything that was written since the last finish that succeeded. */
    void (*lose_epoch)(oclin_context *);
    uint64_t epoch; /* grows with every finish, so that it tells which tensors were written since */
    uint64_t layers_made;
    /* a call is refused if it reads what was never written, or if W changed before backward */
    int strict;
    int verify;
    /* proven; random during the self-check, whose data are random */
    oclin_ref_rule verify_rule;
    double verify_worst; /* largest error so far in units of its bound */
    /* owned by the floor of checks: host memory of the check that is under way */
    struct oclin_slot verify_room;
};

#endif
