/*
 * Host and kernels must agree on these: the flags of a product, the tile parameters, and when a tile is
 * legal. The C sources include this file and it is pasted in front of every kernel, so it has only
 * preprocessor lines that both understand.
 *
 * A product is C = A B with A (m x k) and B (k x n); forward, grad_x and grad_w are its three uses. The host
 * hands a struct oclin_tile to the compiler as these defines, and takes the NDRange from the same struct:
 *
 *   OCLIN_GROUP      work-items in a work-group: 64; simd: 1
 *   OCLIN_VL         lanes of `real`, the type that kernels compute with: 1, 4, 8, 16
 *   OCLIN_TILE_M/N   results of one work-group, rows and columns of C: 32 x 32, 128 x 128; simd: 192 x 256,
 *                    at most
 *   OCLIN_TILE_K     depth of the panels of A and B held in local memory: 8; simd: 256, at most
 *   OCLIN_ITEM_M/N   results of one work-item (simt): 4 x 4, 8 x 8; register tile (simd): 6 x 16, 12 x 32;
 *                    OCLIN_ITEM_N is the elements of a row that an item takes (update, fill)
 *   OCLIN_ALIGNED    1: every row of all operands starts at a multiple of 16 bytes and is a multiple of 4
 *                    elements long (simt)
 *   OCLIN_STAGE      which launch of a product this kernel is; see product_simd.cl and product_simt.cl
 *   OCLIN_ALPHA      the number of the activation
 *   OCLIN_TRANSPOSED 1: W and dW are stored as (in, out)
 *   OCLIN_ON_DEVICE  1: the numbers of an update stand in device memory (updates.cl)
 *
 * These change no result:
 *
 *   OCLIN_UNROLL_K   steps of the loop over a panel's depth that the compiler unrolls (simt)
 *   OCLIN_PEEL       1: the last tile is multiplied behind the loop over tiles, which then has no conditions
 *                    (simt)
 *   OCLIN_SUB_GROUP  width of a sub-group that Intel's compiler is told to use; 0: its own choice (simt)
 *   OCLIN_PREFETCH   1: memory is asked for what comes next, by __builtin_prefetch() (simd, skinny)
 *   OCLIN_TICKETS    1: one group for each core, and each draws the parts of its work (simd, skinny);
 *                    epilogue.cl
 */
#ifndef OCLIN_TILE_H
#define OCLIN_TILE_H

/* Flags, an argument of every kernel that has options. */
#define OCLIN_FLAG_BIAS 1   /* forward: add b; grad_w: also sum db */
#define OCLIN_FLAG_KEEP_Z 2 /* forward: store the pre-activation for backward */
#define OCLIN_FLAG_ACCUMULATE \
    4 /* add to what is there; without it outputs are overwritten, and what they held is never read */
#define OCLIN_FLAG_KEEP_ACT 2048 /* forward: store act(z), which backward needs and Y will not be */
#define OCLIN_FLAG_UPDATE 8 /* grad_w: C is W and db is b; the rule updates them, and no gradient is stored */
#define OCLIN_FLAG_DX 128   /* one pass: dX is wanted */
#define OCLIN_FLAG_DW 256   /* one pass: dW and db, or the step with them, are wanted */
#define OCLIN_FLAG_ONTO 512 /* a later slice of k: Z holds the sums of the slices before it */
#define OCLIN_FLAG_PARTIAL 1024  /* not the last launch: its sums go to Z, and no epilogue runs */
#define OCLIN_FLAG_GRADIENT 16   /* losses: dY is wanted */
#define OCLIN_FLAG_LOSS 32       /* losses: the loss is wanted */
#define OCLIN_FLAG_CORRECT 64    /* losses: the count of correct rows is wanted */
#define OCLIN_FLAG_CLASSES 4096  /* losses: each column has a weight */
#define OCLIN_FLAG_WEIGHTS 8192  /* losses: each row has a weight */
#define OCLIN_FLAG_ROWS 16384    /* losses: the row losses are wanted */
#define OCLIN_FLAG_IGNORE 32768  /* losses: rows with one label do not count */
#define OCLIN_FLAG_TOTAL 65536   /* losses: the mean divides by the weights of the rows that count */
#define OCLIN_FLAG_FACTOR 131072 /* numbers: there is a factor */
#define OCLIN_FLAG_SKIP 262144   /* numbers: there is a scalar that may skip the update */

/*
 * The numbers of an update: X(name, its hexadecimal digit in a float16). The host fills them in
 * (src/ops/rule.c), or a kernel does where some are known on the device alone (numbers.cl). Rules use those
 * that they need.
 *
 *   skip     not 0: w and its state stay as they are
 *   factor   g is multiplied by it first: the inverse of the loss's scale, clipping by the norm, the sign
 *   clip     g is then limited to [-clip, clip]; INFINITY: it is not
 *   lr       the learning rate, with all corrections that depend on the step alone
 *   decay    coupled weight decay: decay w is added to g; 0: nothing is
 *   keep     decoupled weight decay: w is multiplied by it
 *   beta1    the part of the first moment that stays; SGD: the momentum
 *   rate1    the part of g that joins it: 1 - beta1; SGD: 1 - dampening
 *   beta2, rate2   the same for the second moment
 *   unbias   what the second moment, or its root, is multiplied by: a division less for each element
 *   eps      keeps the divisor above 0
 *   variant  not 0: SGD: Nesterov; Adam: AMSGrad
 *   first    not 0: the state has no value yet that counts
 *   toward   schedule-free: how far w goes toward z
 *   w_rate   schedule-free: the rate of w itself
 */
#define OCLIN_NUMBERS(X)                                                                                    \
    X(skip, 0)                                                                                              \
    X(factor, 1)                                                                                            \
    X(clip, 2) X(lr, 3) X(decay, 4) X(keep, 5) X(beta1, 6) X(rate1, 7) X(beta2, 8) X(rate2, 9) X(unbias, a) \
        X(eps, b) X(variant, c) X(first, d) X(toward, e) X(w_rate, f)
/* What numbers.cl keeps in device memory behind the numbers: the count of steps as an int, and of
 * schedule-free the largest rate so far and the sum of weights as two floats. */
#define OCLIN_CONTROL_STEPS 16
#define OCLIN_CONTROL_LARGEST 17
#define OCLIN_CONTROL_SUM 18
#define OCLIN_CONTROL_FLOATS 20

/* Kernel helpers are inlined by force. PoCL 3.1 gives each thread its own copy of a local array only while no
 * other function names the array; a helper that is left standing, and gets the same array in every call, has
 * it named inside by constant propagation, and groups on two threads then share one array (72 wrong counts in
 * 20,000 were seen). */
#define OCLIN_INLINE __attribute__((always_inline)) static inline

/* simt: a group has (tile_m / item_m) * (tile_n / item_n) work-items, and each takes 4 lanes at a time. */
#define OCLIN_SIMT_ITEMS(tile_m, tile_n, item_m, item_n) (((tile_m) / (item_m)) * ((tile_n) / (item_n)))
#define OCLIN_SIMT_PAD \
    4 /* floats behind each row of a local tile: keeps banks apart and rows 16-byte aligned */
#define OCLIN_SIMT_LOCAL_FLOATS(tile_m, tile_n, tile_k) \
    (2 * (tile_k) * ((tile_m) + OCLIN_SIMT_PAD + (tile_n) + OCLIN_SIMT_PAD))
#define OCLIN_SIMT_TILE_OK(tile_m, tile_n, tile_k, item_m, item_n)                              \
    ((item_m) % 4 == 0 && (item_n) % 4 == 0 && (tile_k) % 4 == 0 && (tile_m) % (item_m) == 0 && \
     (tile_n) % (item_n) == 0 &&                                                                \
     ((tile_m) * (tile_k) / 4) % OCLIN_SIMT_ITEMS(tile_m, tile_n, item_m, item_n) == 0 &&       \
     ((tile_n) * (tile_k) / 4) % OCLIN_SIMT_ITEMS(tile_m, tile_n, item_m, item_n) == 0)

/* db is summed so that few roundings follow each other: simt adds the sums of so many quads to the rest; simd
 * adds the sums of so many elements of k to their block's, and of so many blocks to the rest. */
#define OCLIN_SIMT_SUM_STEPS 16
#define OCLIN_SIMD_SUM_DEPTH 64
#define OCLIN_SIMD_SUM_BLOCKS 32

/* There are two counters: of the tickets drawn and, a cache line behind it, of the parts that are packed. */
#define OCLIN_TICKETS_PACKED 16
#define OCLIN_TICKET_COUNTERS 32

#define OCLIN_STAGE_WHOLE 0
#define OCLIN_STAGE_PACK 1
#define OCLIN_STAGE_PACKED 2
#define OCLIN_STAGE_MIXED 3
#define OCLIN_STAGE_PARTS 4 /* simt: groups for parts of k side by side, whose sums go to scratch memory */
#define OCLIN_STAGE_SUMS 5  /* adds them, and runs the epilogue (split_sums.cl) */

/* simd: one work-item a group; a block of A, some panels of B and the sums of the tile (narrow: all of X and
 * Y^T) lie in local memory. The last 256 floats are slack: PoCL pads each array, and ends the process by an
 * assertion when they do not fit together. */
#define OCLIN_SIMD_PANELS 4 /* panels of B that are packed together, at most */
/* So many rows of A, or columns of B, are packed as one part of the work: about 100 KB with tile_k = 256. */
#define OCLIN_SIMD_PACK_M(item_m) (16 * (item_m))
#define OCLIN_SIMD_PACK_N(item_n) (OCLIN_SIMD_PANELS * (item_n))
#define OCLIN_SIMD_LOCAL_FLOATS(tile_m, tile_n, tile_k, item_m, item_n, vl)                       \
    ((tile_m) * (tile_k) + (tile_m) / (item_m) * (vl) + OCLIN_SIMD_PANELS * (item_n) * (tile_k) + \
     (tile_m) * (tile_n) + 2 * (tile_m) + 256)
/* skinny: one work-item a group, and the sums of a small batch in local memory. In one pass,
 * OCLIN_SKINNY_CHUNK samples of dW and db are summed in one go, before they join the rest. */
#define OCLIN_SKINNY_CHUNK 16
#define OCLIN_SKINNY_PAD 16
#define OCLIN_SKINNY_LOCAL_FLOATS(tile_m, tile_n, tile_k) \
    ((tile_m) * (2 * ((tile_n) + OCLIN_SKINNY_PAD) + (tile_k)) + 256)

/* Scratch memory of a packed product holds, for every block of k, strips of A and panels of B. */
#define OCLIN_SIMD_STRIP_FLOATS(tile_k, item_m, vl) ((item_m) * (tile_k) + (vl))
#define OCLIN_SIMD_PANEL_FLOATS(tile_k, item_n) ((item_n) * (tile_k))
#define OCLIN_SIMD_TILE_OK(tile_m, tile_n, tile_k, item_m, item_n, vl) \
    ((tile_m) % (item_m) == 0 && (tile_n) % (item_n) == 0 && (tile_k) % (vl) == 0 && (item_n) % (vl) == 0)

#endif
