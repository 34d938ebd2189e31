/* A product of the layer, and the plan of its launch. */
#ifndef OCLIN_PLAN_WAY_H
#define OCLIN_PLAN_WAY_H

#include "core/launch.h"

struct oclin_plan {
    struct oclin_tile tile;
    int block_m, block_n, block_k; /* simd: the part of the tile in use */
    int64_t groups;
    int64_t packed_a,
        packed_b;    /* simd: floats of scratch memory that A and B are packed into, where groups share it */
    int64_t slice_k; /* of k: what one launch adds up */
    int64_t chunk;   /* forward_skinny, losses: elements whose sum joins the others */
};

/* Of a layer and its batch. */
struct oclin_shape {
    int64_t batch, in, out;
};

/* C = A B with its epilogue; the roles are listed in cl/common.cl. */
struct oclin_product {
    enum oclin_kernel_id id;
    oclin_activation activation;
    struct oclin_operand a, s, b, c, v, z, x; /* x: grads alone */
    int64_t m, n, k;
    float scale, lr;
    int flags;
    /* filled by oclin_product_prepare */
    struct oclin_plan plan, packing;
    cl_kernel kernel, packing_kernel; /* packing_kernel NULL: one launch */
};

#endif
