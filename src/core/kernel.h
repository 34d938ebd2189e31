/* Lists the kernels, and the numbers that they are built for. */
#ifndef OCLIN_CORE_KERNEL_H
#define OCLIN_CORE_KERNEL_H

#include "core/base.h"
#include "oclin_tile.h"

enum oclin_family { OCLIN_PLAIN, OCLIN_SIMT, OCLIN_SIMD, OCLIN_SKINNY, OCLIN_FAMILY_COUNT };

/* Kernel parameters: the one set of numbers that becomes the build options of a kernel and the NDRange of
 * its launches; see oclin_tile.h. X(field, NAME of the option OCLIN_NAME) makes the struct, the options
 * and the comparison. */
#define OCLIN_TILE_FIELDS(X)                                                                              \
    X(group, GROUP)   /* work-items in a work-group */                                                    \
    X(vl, VL)         /* lanes of `real` */                                                               \
    X(tile_m, TILE_M) /* rows and columns of a group's results (simd: the most), ... */                   \
    X(tile_n, TILE_N)                                                                                     \
    X(tile_k, TILE_K)         /* ... and depth of its panels */                                           \
    X(item_m, ITEM_M)         /* results of a work-item (simt), register tile (simd), ... */              \
    X(item_n, ITEM_N)         /* ... elements of an item (row kernels) */                                 \
    X(aligned, ALIGNED)       /* rows of all operands start at multiples of 16 bytes */                   \
    X(unroll_k, UNROLL_K)     /* simt: steps of a panel's depth that the compiler unrolls */              \
    X(peel, PEEL)             /* simt: the last tile is multiplied behind the loop over tiles */          \
    X(sub_group, SUB_GROUP)   /* simt: the width of sub-groups for Intel's compiler; 0: its own choice */ \
    X(transposed, TRANSPOSED) /* W and dW are stored as (in, out) */                                      \
    X(stage, STAGE)           /* simd, simt: OCLIN_STAGE_... */                                           \
    X(prefetch, PREFETCH)     /* simd, skinny: memory is asked for what comes next */                     \
    X(tickets, TICKETS)       /* simd, skinny: one group a core, and each draws the parts of its work */

#define OCLIN_TILE_FIELD_(field, name) int field;
struct oclin_tile {
    int family;
    OCLIN_TILE_FIELDS(OCLIN_TILE_FIELD_)
};
#undef OCLIN_TILE_FIELD_

enum oclin_kernel_id {
    OCLIN_KERNEL_FORWARD,
    OCLIN_KERNEL_GRAD_X,
    OCLIN_KERNEL_GRAD_W,
    OCLIN_KERNEL_ONE_PASS, /* (1), (2) and (3) in one pass over W */
    OCLIN_KERNEL_STEP,
    OCLIN_KERNEL_NUMBERS, /* of an update, where the device knows more than the host */
    OCLIN_KERNEL_FILL,
    OCLIN_KERNEL_ADD,
    OCLIN_KERNEL_COPY,
    OCLIN_KERNEL_GATHER_ROWS,
    OCLIN_KERNEL_LOSS, /* computes the loss of each row */
    OCLIN_KERNEL_LOSS_TOTAL,
    OCLIN_KERNEL_LOSS_SUM,
    OCLIN_KERNEL_SOFTMAX,
    OCLIN_KERNEL_ARGMAX,
    OCLIN_KERNEL_GRAD_Z,     /* dZ alone */
    OCLIN_KERNEL_NORM_PARTS, /* sums of squares of parts of a matrix */
    OCLIN_KERNEL_NORM_SUM,
    OCLIN_KERNEL_CLIP_FACTOR,
    OCLIN_KERNEL_CHECK_FINITE,
    OCLIN_KERNEL_COUNT
};

/* Everything that a kernel is built from. The texts are borrowed: they are constants of the rows that know
 * them. */
struct oclin_kernel_request {
    enum oclin_kernel_id id;
    struct oclin_tile tile;
    const char *way;        /* the end of the name of a kernel for a product or a loss; else NULL */
    const char *files[2];   /* texts that follow the kernel's own; or NULL */
    const char *activation; /* cl/activation_....cl if it is fused; else NULL */
    const char *rule;       /* cl/rule_....cl if the kernel updates; else NULL */
    int on_device;          /* the numbers of the update stand in device memory */
    float alpha;            /* the activation's number */
};

#endif
