/* Which kernels there are, and the numbers that they are built for. */
#ifndef OCLIN_CORE_KERNEL_H
#define OCLIN_CORE_KERNEL_H

#include "core/base.h"
#include "oclin_tile.h"

enum oclin_family { OCLIN_PLAIN, OCLIN_SIMT, OCLIN_SIMD, OCLIN_SKINNY, OCLIN_FAMILY_COUNT };

/* The one set of numbers that becomes the build options of a kernel and the NDRange of its launches; see
 * oclin_tile.h. */
struct oclin_tile {
    int family;
    int vl;                     /* lanes of `real` */
    int group;                  /* work-items in a work-group */
    int tile_m, tile_n, tile_k; /* results of a group, depth of its panels; the largest ones for simd */
    int item_m,
        item_n;    /* results of a work-item (simt), register tile (simd), elements an item (row kernels) */
    int aligned;   /* rows of all operands start at multiples of 16 bytes */
    int unroll_k;  /* simt: steps of a panel's depth that the compiler unrolls */
    int peel;      /* simt: the last tile is multiplied behind the loop over tiles */
    int sub_group; /* simt: the width of sub-groups that Intel's compiler is told to use; 0: its own choice */
    int stage;     /* simd: OCLIN_STAGE_... */
    int prefetch;  /* simd, skinny: memory is asked for what comes next */
    int queue;     /* simd, skinny: groups, one a core, take the parts of the work from a queue */
};

enum oclin_kernel_id {
    OCLIN_KERNEL_FORWARD,
    OCLIN_KERNEL_GRAD_X,
    OCLIN_KERNEL_GRAD_W,
    OCLIN_KERNEL_GRADS, /* (1), (2) and (3) in one pass over W */
    OCLIN_KERNEL_STEP,
    OCLIN_KERNEL_FILL,
    OCLIN_KERNEL_MSE,
    OCLIN_KERNEL_CROSS_ENTROPY,
    OCLIN_KERNEL_SUM_ROWS
};

#endif
