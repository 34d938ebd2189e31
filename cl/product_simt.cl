/*
 * The product C = A B for devices that run many work-items side by side: GPUs. A work-group computes one tile
 * of C, and each of its work-items a block of results in registers; the panels of A and B that the tile needs
 * go through local memory, OCLIN_TILE_K deep at a time. The heads of forward.cl, grad_x.cl and grad_w.cl say
 * what A, B and C are, and give the equation.
 *
 *                          B (k x n)     TILE_N        a tile in local memory: [k][row or column], padded, so
 *                        +------------+--------+---    that a block's operands are 128-bit reads
 *                        |            |  b     | } TILE_K
 *                        +------------+--------+---    work-item (tx, ty) of the group has the results
 *                        :            :        :         rows     ty * 4 + 0..3, and again each ITEMS_M * 4
 *           TILE_K                    :        :         columns  tx * 4 + 0..3, and again each ITEMS_N * 4
 *          +------+ - - -+            +--------+       so that neighbours read neighbouring quads: without
 *   TILE_M |  a   |      :            | C tile |       bank conflicts, and C is written in whole sectors
 *          +------+ - - -+            +--------+
 *          A (m x k)
 *
 * Both operands are read from global memory in quads, four neighbours in memory, each by one 128-bit load
 * where OCLIN_ALIGNED. A quad that lies along k is transposed on its way into local memory.
 *
 * Edges: rows of A and columns of B outside the matrix are replaced by ones inside, and their results are not
 * stored. Outside along k both operands are 0, since otherwise an Inf in one would spoil the sum. It is the
 * *first* tile that is cut short, so that the loop over the others reads without a condition.
 *
 * The range is 1-D, with ITEMS work-items a group; group g has the tile in column g % groups_n, row g /
 * groups_n, where groups_n = ceil(n / OCLIN_TILE_N). It is built with OCLIN_VL 4. block_m and block_n are not
 * used.
 *
 * In OCLIN_STAGE_PARTS k is cut into parts of block_k, a multiple of OCLIN_TILE_K, and each tile has a group
 * for each part: all tiles of the first part, then all of the second. The sums of part i go to Z, i * m rows
 * further down, and split_sums.cl adds them.
 */
#if !OCLIN_SIMT_TILE_OK(OCLIN_TILE_M, OCLIN_TILE_N, OCLIN_TILE_K, OCLIN_ITEM_M, OCLIN_ITEM_N)
#error "not a legal tile: see OCLIN_SIMT_TILE_OK"
#endif

#define ITEMS_M (OCLIN_TILE_M / OCLIN_ITEM_M)
#define ITEMS_N (OCLIN_TILE_N / OCLIN_ITEM_N)
#define ITEMS OCLIN_SIMT_ITEMS(OCLIN_TILE_M, OCLIN_TILE_N, OCLIN_ITEM_M, OCLIN_ITEM_N)
#define QUADS(rows) ((rows)*OCLIN_TILE_K / 4 / ITEMS) /* of one work-item, in a tile of so many rows */
#define STRIDE(rows) ((rows) + OCLIN_SIMT_PAD)        /* of a tile in local memory */
#define BUFFER(rows) (OCLIN_TILE_K * STRIDE(rows))    /* one of its two buffers */
#define QUADS_A QUADS(OCLIN_TILE_M)
#define QUADS_B QUADS(OCLIN_TILE_N)
#define QUADS_C (OCLIN_ITEM_N / 4)
#define OF_A OCLIN_TILE_M, A_ALONG_K
#define OF_B OCLIN_TILE_N, B_ALONG_K

/* The number of quads of one row that neighbouring work-items read. Two fill a sector of 32 bytes; more would
 * bring their transposed stores, 4 * STRIDE(rows) apart, to the same banks. */
#define NEIGHBOURS_ALONG_K (OCLIN_TILE_K % 8 == 0 ? 2 : 1)

/* Return the row (of B: the column) and the k of the tile at which its quad e begins. */
OCLIN_INLINE int quad_row(uint e, int rows, int along_k)
{
    return along_k ? e / NEIGHBOURS_ALONG_K % rows : e % (rows / 4) * 4;
}

OCLIN_INLINE int quad_k(uint e, int rows, int along_k)
{
    if (!along_k) return e / (rows / 4);
    return (e % NEIGHBOURS_ALONG_K + e / (NEIGHBOURS_ALONG_K * rows) * NEIGHBOURS_ALONG_K) * 4;
}

/* Returns a row of the tile that is inside the matrix: this one if it is, else the first. */
OCLIN_INLINE int inside(int row, int rows_inside)
{
    return row < rows_inside ? row : 0;
}

/* Points from[] at the quads of this work-item in the first tile; p is the operand, `first` the tile's row in
 * it. */
OCLIN_INLINE void aim(global const element **from, global const element *p, long stride, long first,
                      int rows_inside, int rows, int along_k, uint item)
{
#pragma unroll
    for (int q = 0; q < QUADS(rows); q++) {
        const uint e = item + q * ITEMS;
        const long row = first + inside(quad_row(e, rows, along_k), rows_inside);
        const long k = quad_k(e, rows, along_k);
        from[q] = p + (along_k ? row * stride + k : k * stride + row);
    }
}

/* Loads four neighbours, of which those up to number `last` are inside; that one stands in for the others.
 * Unsigned offsets take NVIDIA's compiler fewer registers: it keeps them with 64 bits, and knows the upper
 * half. */
OCLIN_INLINE float4 load_quad(global const element *p, int last)
{
#if OCLIN_ALIGNED
    return LOAD_ALIGNED_QUAD(p);
#else
    return (float4)(LOAD_ONE(p), LOAD_ONE(p + (uint)min(1, last)), LOAD_ONE(p + (uint)min(2, last)),
                    LOAD_ONE(p + (uint)min(3, last)));
#endif
}

/* Loads the next tile's quads into registers; the tile ends at `depth` along k, with 0 behind that. In the
 * loop depth is OCLIN_TILE_K, a constant, and nothing is left of the conditions. */
OCLIN_INLINE void load_quads(float4 *quad, global const element **from, long stride, int depth,
                             int rows_inside, int rows, int along_k, uint item)
{
#pragma unroll
    for (int q = 0; q < QUADS(rows); q++) {
        const uint e = item + q * ITEMS;
        const int left = depth - quad_k(e, rows, along_k);
        const int last = along_k ? 3 : min(rows_inside - inside(quad_row(e, rows, 0), rows_inside), 4) - 1;
        if (depth == OCLIN_TILE_K)
            quad[q] = load_quad(from[q], last);
        else if (along_k)
            quad[q] = load_lanes(from[q], left);
        else
            quad[q] = left > 0 ? load_quad(from[q], last) : (float4)(0.0f);
    }
}

/* Moves the pointers on to the next tile. This is done apart from the loads, and whether or not there is a
 * next tile, because moves under the same condition as the loads crash Intel's compiler (IGC 1.0.12504,
 * grad_w). */
OCLIN_INLINE void advance(global const element **from, long stride, int depth, int rows, int along_k)
{
#pragma unroll
    for (int q = 0; q < QUADS(rows); q++) from[q] += along_k ? depth : depth * stride;
}

/* Stores the quads from registers in a tile in local memory. */
OCLIN_INLINE void store_quads(local float *tile, const float4 *quad, int rows, int along_k, uint item)
{
#pragma unroll
    for (int q = 0; q < QUADS(rows); q++) {
        const uint e = item + q * ITEMS;
        local float *to = tile + quad_k(e, rows, along_k) * STRIDE(rows) + quad_row(e, rows, along_k);
        if (along_k) {
            to[0 * STRIDE(rows)] = quad[q].x;
            to[1 * STRIDE(rows)] = quad[q].y;
            to[2 * STRIDE(rows)] = quad[q].z;
            to[3 * STRIDE(rows)] = quad[q].w;
        } else {
            *(local float4 *)to = quad[q];
        }
    }
}

/* Turns dY into dZ, after the arithmetic on the tile before and not when it is loaded, because that would
 * wait for the load. */
OCLIN_INLINE void finish_a(float4 *a, const float4 *s)
{
#pragma unroll
    for (int q = 0; q < QUADS_A; q++)
        if (A_NEEDS_S) a[q] = grad_z(a[q], s[q]);
}

/* sum += a b, for the block of one work-item; a and b point at its first row and column of the tiles.
 * Unrolled completely, the loop over k lets AMD's compiler read all of the tile into registers ahead: 214 of
 * them, 134 with OCLIN_UNROLL_K 4 (gfx1100, 8 x 8 results), so that fewer groups fit beside each other.
 * Intel's puts sum[] in memory unless the loop is unrolled completely (OCLIN_UNROLL_K = OCLIN_TILE_K). */
OCLIN_INLINE void multiply_tiles(float4 sum[OCLIN_ITEM_M][QUADS_C], local const float *a,
                                 local const float *b)
{
#pragma unroll OCLIN_UNROLL_K
    for (int k = 0; k < OCLIN_TILE_K; k++) {
        float4 bk[QUADS_C];
#pragma unroll
        for (int j = 0; j < QUADS_C; j++)
            bk[j] = *(local const float4 *)(b + k * STRIDE(OCLIN_TILE_N) + j * ITEMS_N * 4);
#pragma unroll
        for (int i = 0; i < OCLIN_ITEM_M; i += 4) {
            const float4 ak = *(local const float4 *)(a + k * STRIDE(OCLIN_TILE_M) + i * ITEMS_M);
#pragma unroll
            for (int j = 0; j < QUADS_C; j++) {
                sum[i + 0][j] = MULTIPLY_ADD((float4)(ak.x), bk[j], sum[i + 0][j]);
                sum[i + 1][j] = MULTIPLY_ADD((float4)(ak.y), bk[j], sum[i + 1][j]);
                sum[i + 2][j] = MULTIPLY_ADD((float4)(ak.z), bk[j], sum[i + 2][j]);
                sum[i + 3][j] = MULTIPLY_ADD((float4)(ak.w), bk[j], sum[i + 3][j]);
            }
        }
    }
}

#if C_TRANSPOSED
/* Stores the block of one work-item: quads of a column each, which lie side by side in memory. e stands at
 * the first result of the tile. */
OCLIN_INLINE void store_block(float4 sum[OCLIN_ITEM_M][QUADS_C], int rows, int columns, struct epilogue e,
                              uint tx, uint ty)
{
#pragma unroll
    for (int i = 0; i < OCLIN_ITEM_M; i += 4)
#pragma unroll
        for (int j = 0; j < QUADS_C; j++) {
            const int r = i * ITEMS_M + ty * 4, from = (j * ITEMS_N + tx) * 4, lanes = min(rows - r, 4);
            if (r >= rows) continue;
#define STORE_COLUMN(l, c)                                                                  \
    if (from + l < columns)                                                                 \
    store_product((float4)(sum[i][j].c, sum[i + 1][j].c, sum[i + 2][j].c, sum[i + 3][j].c), \
                  at(e, r, from + l), lanes)
            STORE_COLUMN(0, x);
            STORE_COLUMN(1, y);
            STORE_COLUMN(2, z);
            STORE_COLUMN(3, w);
        }
}
#else
/* Takes the first row of results off the block, and moves the others up. So a loop over rows that always
 * stores sum[0] can stay a loop, with one copy of the epilogue in it (16 of erfc() otherwise), while the
 * block lies in registers. Unrolled, it costs NVIDIA's compiler 10 registers more and half of the groups of a
 * processor. */
OCLIN_INLINE void drop_row(float4 sum[OCLIN_ITEM_M][QUADS_C])
{
#pragma unroll
    for (int i = 1; i < OCLIN_ITEM_M; i++)
#pragma unroll
        for (int j = 0; j < QUADS_C; j++) sum[i - 1][j] = sum[i][j];
}

/* Stores the block of one work-item, row by row. e stands at the first result of the tile. */
OCLIN_INLINE void store_block(float4 sum[OCLIN_ITEM_M][QUADS_C], int rows, int columns, struct epilogue e,
                              uint tx, uint ty)
{
#pragma unroll 1
    for (int i = 0; i < OCLIN_ITEM_M; i++) {
        const int r = i / 4 * ITEMS_M * 4 + ty * 4 + i % 4;
#pragma unroll
        for (int j = 0; j < QUADS_C; j++) {
            const int from = (j * ITEMS_N + tx) * 4;
            if (r < rows && from < columns) store_product(sum[0][j], at(e, r, from), min(columns - from, 4));
        }
        drop_row(sum);
    }
}
#endif

#if SUM_A_OVER_K
/* The number of work-items that read the same quad of A's rows, each for another part of k. */
#define SHARES_OF_K (ITEMS * 4 / OCLIN_TILE_M)

/*
 * Stores the sums of A's rows over k, in the groups of the first column of tiles. For them a strip of TILE_M
 * rows of A is read once more, after the loop over tiles. Summed in that loop they took registers and
 * additions of every group, and were one long chain; a branch in it, or a second loop around it, makes AMD's
 * and Intel's compilers spoil it. The sums of SUM_STEPS quads join the rest, so that few roundings follow
 * each other. e stands at the first row's sum.
 */
OCLIN_INLINE void store_sums_a(local float *tile, global const element *a, long a_stride,
                               global const element *s, long s_stride, int rows, long k, struct epilogue e,
                               uint item)
{
    const int quad = item % (OCLIN_TILE_M / 4) * 4, share = item / (OCLIN_TILE_M / 4);
    const int row = inside(quad, rows), last = min(rows - row, 4) - 1;
    float4 sum = (float4)(0.0f);
    for (uint k0 = share; k0 < k;) { /* k is a slice; a long, or unrolled, costs sm_90 half of its groups */
        const uint end = min((long)k0 + SHARES_OF_K * OCLIN_SIMT_SUM_STEPS, k);
        float4 part = (float4)(0.0f);
#pragma unroll 1
        for (; k0 < end; k0 += SHARES_OF_K) {
            float4 value = load_quad(a + k0 * a_stride + row, last);
            if (A_NEEDS_S) value = grad_z(value, load_quad(s + k0 * s_stride + row, last));
            part += value;
        }
        sum += part;
    }
    *(local float4 *)(tile + share * STRIDE(OCLIN_TILE_M) + quad) = sum;
    barrier(CLK_LOCAL_MEM_FENCE);
    for (int r = item; r < rows; r += ITEMS) {
        float all = 0.0f;
        for (int i = 0; i < SHARES_OF_K; i++) all += tile[i * STRIDE(OCLIN_TILE_M) + r];
        store_sum_a(all, at_sum(e, r, 0));
    }
}
#endif

/* NVIDIA's compiler is not told the size of a group. When told, it spends up to 145 registers on 8 x 8
 * results, untold at most 128, which is what two groups of 256 fit beside each other with. */
#ifdef __NV_CL_C_VERSION
#define GROUP_SIZE
#else
#define GROUP_SIZE __attribute__((reqd_work_group_size(ITEMS, 1, 1)))
#endif

#if OCLIN_SUB_GROUP
__attribute__((intel_reqd_sub_group_size(OCLIN_SUB_GROUP)))
#endif
kernel GROUP_SIZE void
PRODUCT(simt)(PRODUCT_ARGUMENTS)
{
    local float a_tile[2 * BUFFER(OCLIN_TILE_M)] __attribute__((aligned(16)));
    local float b_tile[2 * BUFFER(OCLIN_TILE_N)] __attribute__((aligned(16)));
    const uint item = get_local_id(0), tx = item % ITEMS_N, ty = item / ITEMS_N;
    /* 32 bits do: 2^32 groups would be 4 TiB of results, 2^32 tiles along k 64 GiB of each operand. */
    const uint groups_n = (n + OCLIN_TILE_N - 1) / OCLIN_TILE_N;
    uint group = get_group_id(0);
    if (OCLIN_STAGE == OCLIN_STAGE_PARTS) {
        const uint tiles_of_c = groups_n * (uint)((m + OCLIN_TILE_M - 1) / OCLIN_TILE_M);
        const long part = group / tiles_of_c, k0 = part * block_k;
        group %= tiles_of_c;
        a_offset += k0 * (A_ALONG_K ? 1 : a_stride);
        s_offset += k0 * (A_ALONG_K ? 1 : s_stride);
        b_offset += k0 * (B_ALONG_K ? 1 : b_stride);
        z_offset += part * m * z_stride;
        k = min(k - k0, (long)block_k);
    }
    const long row = (long)(group / groups_n) * OCLIN_TILE_M;
    const long column = (long)(group % groups_n) * OCLIN_TILE_N;
    const int rows = min(m - row, (long)OCLIN_TILE_M), columns = min(n - column, (long)OCLIN_TILE_N);

    global const element *a_from[QUADS_A], *s_from[QUADS_A], *b_from[QUADS_B];
    aim(a_from, a + a_offset, a_stride, row, rows, OF_A, item);
    if (A_NEEDS_S) aim(s_from, s + s_offset, s_stride, row, rows, OF_A, item);
    aim(b_from, b + b_offset, b_stride, column, columns, OF_B, item);

    float4 a_quad[QUADS_A], s_quad[QUADS_A], b_quad[QUADS_B], sum[OCLIN_ITEM_M][QUADS_C];
#pragma unroll
    for (int i = 0; i < OCLIN_ITEM_M; i++)
#pragma unroll
        for (int j = 0; j < QUADS_C; j++) sum[i][j] = (float4)(0.0f);

    const uint tiles = (k + OCLIN_TILE_K - 1) / OCLIN_TILE_K;
    const int depth = (k - 1) % OCLIN_TILE_K + 1;
    load_quads(a_quad, a_from, a_stride, depth, rows, OF_A, item);
    if (A_NEEDS_S) load_quads(s_quad, s_from, s_stride, depth, rows, OF_A, item);
    load_quads(b_quad, b_from, b_stride, depth, columns, OF_B, item);
    advance(a_from, a_stride, depth, OF_A);
    if (A_NEEDS_S) advance(s_from, s_stride, depth, OF_A);
    advance(b_from, b_stride, depth, OF_B);
    finish_a(a_quad, s_quad);
    store_quads(a_tile, a_quad, OF_A, item);
    store_quads(b_tile, b_quad, OF_B, item);
    barrier(CLK_LOCAL_MEM_FENCE);

    /* One buffer is read while the next tile is on its way to the other: one barrier a tile is enough. */
    int front = 0;
    for (uint tile = 1; tile < tiles + !OCLIN_PEEL; tile++) {
        const int more = OCLIN_PEEL || tile < tiles;
        if (more) {
            load_quads(a_quad, a_from, a_stride, OCLIN_TILE_K, rows, OF_A, item);
            if (A_NEEDS_S) load_quads(s_quad, s_from, s_stride, OCLIN_TILE_K, rows, OF_A, item);
            load_quads(b_quad, b_from, b_stride, OCLIN_TILE_K, columns, OF_B, item);
        }
        advance(a_from, a_stride, OCLIN_TILE_K, OF_A);
        if (A_NEEDS_S) advance(s_from, s_stride, OCLIN_TILE_K, OF_A);
        advance(b_from, b_stride, OCLIN_TILE_K, OF_B);
        multiply_tiles(sum, a_tile + front * BUFFER(OCLIN_TILE_M) + ty * 4,
                       b_tile + front * BUFFER(OCLIN_TILE_N) + tx * 4);
        front ^= 1;
        if (more) {
            finish_a(a_quad, s_quad);
            store_quads(a_tile + front * BUFFER(OCLIN_TILE_M), a_quad, OF_A, item);
            store_quads(b_tile + front * BUFFER(OCLIN_TILE_N), b_quad, OF_B, item);
        }
        barrier(CLK_LOCAL_MEM_FENCE);
    }
#if OCLIN_PEEL
    multiply_tiles(sum, a_tile + front * BUFFER(OCLIN_TILE_M) + ty * 4,
                   b_tile + front * BUFFER(OCLIN_TILE_N) + tx * 4);
    if (SUM_A_OVER_K) barrier(CLK_LOCAL_MEM_FENCE); /* a_tile is used once more */
#endif

    const struct epilogue e = EPILOGUE;
    store_block(sum, rows, columns, at(e, row, column), tx, ty);

#if SUM_A_OVER_K
    if (column == 0 && (flags & OCLIN_FLAG_BIAS))
        store_sums_a(a_tile, a + a_offset + row, a_stride, s + s_offset + row, s_stride, rows, k,
                     at_sum(e, row, n), item);
#endif
}
