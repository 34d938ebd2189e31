/*
 * Each way to make a product is one row, in the room of its family (plain.c, simt.c, simd.c, narrow.c,
 * skinny.c). Everything that goes over all ways goes over these rows: what a name means, what oclin chooses,
 * what it tunes, checks and tests, and which kernel text is built.
 */
#ifndef OCLIN_PLAN_WAY_H
#define OCLIN_PLAN_WAY_H

#include "core/launch.h"

struct oclin_way;
struct oclin_updates;

/* How a product is launched. */
struct oclin_plan {
    const struct oclin_way *way;
    struct oclin_tile tile;
    int block_m, block_n, block_k; /* simd, skinny: the part of the tile in use; split: a part's length */
    int64_t groups;
    int64_t packed_a,
        packed_b;    /* simd: floats of scratch memory for A and B, where groups share them packed */
    int64_t slice_k; /* the part of k that one launch adds up */
    int64_t chunk;   /* forward_skinny, losses: elements that are summed apart, before they join the others */
};

/* The sizes of a layer and its batch. */
struct oclin_shape {
    int64_t batch, in, out;
};

/* C = A B with its epilogue; cl/epilogue.cl lists the roles of the operands. */
struct oclin_product {
    enum oclin_kernel_id id;
    oclin_activation activation;
    float alpha; /* the activation's number */
    struct oclin_operand a, s, b, c, bias, db, z;
    struct oclin_operand x, dw; /* of one pass, beside dX and db */
    int64_t m, n, k;
    int transposed; /* W and dW are stored as (in, out) */
    float scale;
    int flags;
    const struct oclin_updates *updates; /* of W and b, in the epilogue of dW; NULL: there is none */
    /* filled by oclin_product_prepare */
    struct oclin_plan plan, packing, adding;
    cl_kernel kernel, packing_kernel, adding_kernel; /* NULL: there is no such launch before or behind */
};

/* The products that a way makes, one bit each. */
enum {
    OCLIN_MAKES_FORWARD = 1 << OCLIN_KERNEL_FORWARD,
    OCLIN_MAKES_GRAD_X = 1 << OCLIN_KERNEL_GRAD_X,
    OCLIN_MAKES_GRAD_W = 1 << OCLIN_KERNEL_GRAD_W,
    OCLIN_MAKES_ONE_PASS = 1 << OCLIN_KERNEL_ONE_PASS,
    OCLIN_MAKES_PRODUCTS = OCLIN_MAKES_FORWARD | OCLIN_MAKES_GRAD_X | OCLIN_MAKES_GRAD_W
};

/* The arguments that a kernel takes behind those that all have. */
enum { OCLIN_TAKES_X = 1, OCLIN_TAKES_TICKETS = 2, OCLIN_TAKES_SCRATCH = 4, OCLIN_TAKES_CHUNK = 8 };

struct oclin_way {
    const char *name; /* the name of its plan */
    enum oclin_family family;
    int lanes;      /* those that the name asks for; 0: the device's own choice */
    unsigned makes; /* 0: the name stands for all ways of the family */
    int leads;      /* where it suits, no other is compared with it, because it was measured to be the best */
    int tuned;      /* oclin_tune() may try it */
    int checked;    /* oclin_self_check() runs it */
    const char *kernel, *files[2]; /* the end of the kernel's name, and the files behind the product's own */
    unsigned takes;
    struct oclin_tile tile; /* its numbers, where they do not come from the device */

    /* Returns 1 if it can make p here; *tile, at first the family's own, becomes the way's. */
    int (*can)(const struct oclin_device_facts *d, const struct oclin_way *way, const struct oclin_product *p,
               struct oclin_tile *tile);
    /* Returns 1 if oclin would make p in this way unasked. NULL: the way is only for those who name it. */
    int (*suits)(const struct oclin_device_facts *d, const struct oclin_product *p,
                 const struct oclin_tile *tile);
    /* Fills in the plan, whose tile is set, and returns what it costs; among the ways of a family that do not
     * lead, the cheapest is the first choice. */
    double (*place)(const struct oclin_device_facts *d, const struct oclin_product *p,
                    struct oclin_plan *plan);
    /* Return the most roundings that a term of C, and of the sums of A, passes in a slice of k
     * (additions.c). */
    int64_t (*of_products)(const struct oclin_plan *plan, int64_t k);
    int64_t (*of_sum_of_a)(const struct oclin_plan *plan, int64_t k);
};

/* The largest part of a product that a plan handles at once: rows of A, columns of B, and depth. A product
 * with more of each goes through every place where parts meet. */
struct oclin_part {
    int64_t m, n, k;
};

/* The ways of one file. Among the rooms of a family, the one that has the functions speaks for it. */
struct oclin_room {
    enum oclin_family family;
    const struct oclin_way *ways;
    int count;
    /* Returns the tile that all its ways start from; a way can only be named if that tile fits. */
    struct oclin_tile (*tile)(const struct oclin_device_facts *d, const struct oclin_way *named);
    int64_t (*local_floats)(const struct oclin_tile *tile);
    /* Returns the bytes of scratch memory that p, or one of smaller m, n and k, may ask for. If named is
     * NULL, oclin chooses. */
    int64_t (*scratch)(const struct oclin_device_facts *d, const struct oclin_way *named,
                       const struct oclin_product *p);
    struct oclin_part (*part)(const struct oclin_device_facts *d, const struct oclin_way *named);
};
extern const struct oclin_room oclin_plain_room, oclin_simt_room, oclin_narrow_room, oclin_skinny_room,
    oclin_simd_room;

/* Returns 1 if B lies along k in memory; otherwise it lies along n. */
static inline int oclin_way_b_along_k(const struct oclin_product *p)
{
    return p->transposed ? p->id == OCLIN_KERNEL_GRAD_X : p->id == OCLIN_KERNEL_FORWARD;
}
/* Returns 1 if C, and with it the sums of slices, is stored the other way round: as n x m. */
static inline int oclin_way_swaps_c(const struct oclin_product *p)
{
    return p->transposed && p->id == OCLIN_KERNEL_GRAD_W;
}
/* Returns 1 if the device has room for a group of this tile, with so much local memory. */
int oclin_way_fits(const struct oclin_device_facts *d, const struct oclin_tile *tile, int64_t local_floats);
/* Returns the size of `parts` blocks of x, as even as multiples of an item allow. */
static inline int64_t oclin_way_part(int64_t x, int64_t parts, int64_t item)
{
    return oclin_round_up(oclin_ceil_divide(x, parts), item);
}
/* Returns the number of blocks of a plan. */
int64_t oclin_way_blocks(const struct oclin_product *p, const struct oclin_plan *plan);
/* Sets the groups of a launch of so many parts: each part is a group, or as many groups as there are cores
 * draw the parts by tickets. */
void oclin_way_set_groups(const struct oclin_device_facts *d, struct oclin_plan *plan, int64_t parts);

#endif
