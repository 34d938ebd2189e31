/*
 * (1) (2) (3) in one pass over W, for small batches on CPUs: each row of W is read once, used for dX while it
 * is the old one, and then updated:
 *
 *   (3)  dX = dZ W                                         dZ = act'(Z) * dY
 *   (1)  dW = scale * dZ^T X,              or the update of W by it (rule_*.cl)
 *   (2)  db = scale * column sums of dZ,   or the update of b
 *
 * The roles are those of grad_x.cl (m = batch, n = in, k = out): A = dZ from dY and S, B = W, C = dX;
 * besides, dw = dW or W, and db = db or b. OCLIN_FLAG_DX and OCLIN_FLAG_DW say which of (3) and (1), (2) are
 * wanted.
 *
 * The range is 1-D with local size 1: group g computes block_n columns, for all rows of W, so that no sum is
 * shared between groups. The first group also computes (2).
 *
 *      x_tile, dx_tile: the group's columns of X and dX, in L2
 *      for each TILE_K rows of W
 *        dz: TILE_K columns of dZ
 *        for each block_k columns                           of X and dX: they stay in L1
 *          for each ROWS rows
 *            for each two samples: dX's rows += dz W        8 products for two loads and stores of dX
 *            dW = dz^T X, two vectors of columns at a time  8 sums in registers
 *        after block_m rows of W: dX += dx_tile, which begins anew
 *
 * block_m is about sqrt k, so that a product of (3) passes about 2 sqrt k roundings on its way to dX and not
 * k. Sums of (1) and (2) over more than 16 samples are made of chunks of 16 for the same reason (CHUNK).
 *
 * While dW is computed, memory is asked for the rows of W, and of its state, that come next (OCLIN_PREFETCH:
 * steps on a W larger than the cache are 1.1 to 1.2 times as fast).
 *
 * Where rows are multiples of 4 KB apart, as they often are, lines below each other share the few places of
 * an L1 set. This is why the kernel takes 4 rows at a time and not 8 (half as fast), copies X, and keeps the
 * rows of the copies PAD apart.
 *
 * OCLIN_TILE_M  largest batch, even
 * OCLIN_TILE_N  most columns of a group
 * OCLIN_TILE_K  rows of W for one block of dz: 8, a multiple of OCLIN_VL and of 4
 * block_k       columns at a time, a multiple of OCLIN_VL
 * block_m       rows of W whose sums join dX together, a multiple of OCLIN_TILE_K
 */
#define ROWS 4
#define CHUNK OCLIN_SKINNY_CHUNK
#define TILE_VECTORS ((OCLIN_TILE_N + OCLIN_SKINNY_PAD) / OCLIN_VL)

/* Loads TILE_K (or fewer) columns of dZ, for all samples; those that do not exist come as 0. */
OCLIN_INLINE void load_dz(local real *dz, global const element *dy, long dy_stride, global const element *s,
                          long s_stride, int samples, int rows)
{
    for (int i = 0; i < samples; i++)
        for (int r = 0; r < OCLIN_TILE_K; r += OCLIN_VL) {
            const int lanes = clamp(rows - r, 0, OCLIN_VL);
            real value = load_part(dy + i * dy_stride + r, lanes);
            if (GRAD_Z_NEEDS_S) value = grad_z(value, load_part(s + i * s_stride + r, lanes));
            dz[(i * OCLIN_TILE_K + r) / OCLIN_VL] = value;
        }
}

/* Computes (3) for two samples, four rows of W and whole vectors. It is written out, since LLVM 14 leaves
 * nested loops rolled and their sums in memory (ten times slower). Returns the columns done. */
OCLIN_INLINE int dx_of_4_rows(local real *dx, local const float *dz, global const element *w, long w_stride,
                              int columns, int first)
{
    local const float *dz1 = dz + OCLIN_TILE_K;
    const real z00 = (real)(dz[0]), z01 = (real)(dz[1]), z02 = (real)(dz[2]), z03 = (real)(dz[3]);
    const real z10 = (real)(dz1[0]), z11 = (real)(dz1[1]), z12 = (real)(dz1[2]), z13 = (real)(dz1[3]);
    global const element *w1 = w + w_stride, *w2 = w1 + w_stride, *w3 = w2 + w_stride;
    int j = 0;
#pragma unroll 2
    for (; j + OCLIN_VL <= columns; j += OCLIN_VL, dx++) {
        real sum0 = first ? (real)(0.0f) : dx[0], sum1 = first ? (real)(0.0f) : dx[TILE_VECTORS],
             wr = LOAD_ANY(w + j);
        sum0 = MULTIPLY_ADD(z00, wr, sum0);
        sum1 = MULTIPLY_ADD(z10, wr, sum1);
        wr = LOAD_ANY(w1 + j);
        sum0 = MULTIPLY_ADD(z01, wr, sum0);
        sum1 = MULTIPLY_ADD(z11, wr, sum1);
        wr = LOAD_ANY(w2 + j);
        sum0 = MULTIPLY_ADD(z02, wr, sum0);
        sum1 = MULTIPLY_ADD(z12, wr, sum1);
        wr = LOAD_ANY(w3 + j);
        dx[0] = MULTIPLY_ADD(z03, wr, sum0);
        dx[TILE_VECTORS] = MULTIPLY_ADD(z13, wr, sum1);
    }
    return j;
}

/* Does the same for one row, and for the last columns. */
OCLIN_INLINE void dx_of_row(local real *dx, local const float *dz, global const element *w, int columns,
                            int first)
{
    const real z0 = (real)(dz[0]), z1 = (real)(dz[OCLIN_TILE_K]);
    for (int j = 0; j < columns; j += OCLIN_VL, dx++) {
        const real wr = load_part(w + j, columns - j);
        dx[0] = MULTIPLY_ADD(z0, wr, first ? (real)(0.0f) : dx[0]);
        dx[TILE_VECTORS] = MULTIPLY_ADD(z1, wr, first ? (real)(0.0f) : dx[TILE_VECTORS]);
    }
}

/* Sums over samples of four rows and two vectors. They have names, because an array of them would lie in
 * memory. sum_samples() stores and does not return them, because a struct as the result would become an
 * instruction that Oclgrind 21.10 rejects (OCLIN_NO_PROMISE in epilogue.cl). */
struct tile_sums {
    real s00, s01, s10, s11, s20, s21, s30, s31;
};

OCLIN_INLINE void sum_samples(struct tile_sums *t, local const float *dz, local const real *x, int samples)
{
    real s00 = (real)(0.0f), s01 = s00, s10 = s00, s11 = s00, s20 = s00, s21 = s00, s30 = s00, s31 = s00;
    for (int i = 0; i < samples; i++, x += TILE_VECTORS, dz += OCLIN_TILE_K) {
        const real x0 = x[0], x1 = x[1];
        real z = (real)(dz[0]);
        s00 = MULTIPLY_ADD(z, x0, s00);
        s01 = MULTIPLY_ADD(z, x1, s01);
        z = (real)(dz[1]);
        s10 = MULTIPLY_ADD(z, x0, s10);
        s11 = MULTIPLY_ADD(z, x1, s11);
        z = (real)(dz[2]);
        s20 = MULTIPLY_ADD(z, x0, s20);
        s21 = MULTIPLY_ADD(z, x1, s21);
        z = (real)(dz[3]);
        s30 = MULTIPLY_ADD(z, x0, s30);
        s31 = MULTIPLY_ADD(z, x1, s31);
    }
    t->s00 = s00, t->s01 = s01, t->s10 = s10, t->s11 = s11;
    t->s20 = s20, t->s21 = s21, t->s30 = s30, t->s31 = s31;
}

/* Stores two neighbouring vectors of dW. */
OCLIN_INLINE void store_two(real g0, real g1, global element *dw, struct update u, int flags)
{
    store_gradient(g0, dw, u, flags, OCLIN_VL);
    store_gradient(g1, dw + OCLIN_VL, UPDATE_MOVED(u, OCLIN_VL), flags, OCLIN_VL);
}

/* Computes (1) for four rows and two vectors. */
OCLIN_INLINE void dw_of_4_rows(local const float *dz, local const real *x, global element *dw, long dw_stride,
                               int samples, float scale, struct update u, int flags)
{
    struct tile_sums t, more;
    sum_samples(&t, dz, x, min(samples, CHUNK));
    for (int i = CHUNK; OCLIN_TILE_M > CHUNK && i < samples; i += CHUNK) {
        sum_samples(&more, dz + i * OCLIN_TILE_K, x + i * TILE_VECTORS, min(samples - i, CHUNK));
        t.s00 += more.s00, t.s01 += more.s01, t.s10 += more.s10, t.s11 += more.s11;
        t.s20 += more.s20, t.s21 += more.s21, t.s30 += more.s30, t.s31 += more.s31;
    }
    store_two(t.s00 * scale, t.s01 * scale, dw, u, flags);
    store_two(t.s10 * scale, t.s11 * scale, dw + dw_stride, UPDATE_MOVED(u, u.stride), flags);
    store_two(t.s20 * scale, t.s21 * scale, dw + 2 * dw_stride, UPDATE_MOVED(u, 2 * u.stride), flags);
    store_two(t.s30 * scale, t.s31 * scale, dw + 3 * dw_stride, UPDATE_MOVED(u, 3 * u.stride), flags);
}

/* Computes (1) for one row and one vector, of which `lanes` exist. */
OCLIN_INLINE void dw_of_row(local const float *dz, local const real *x, global element *dw, int samples,
                            float scale, struct update u, int flags, int lanes)
{
    real sum = (real)(0.0f);
    for (int first = 0; first < samples; first += CHUNK) {
        real part = (real)(0.0f);
        for (int i = first; i < min(first + CHUNK, samples); i++)
            part = MULTIPLY_ADD((real)(dz[i * OCLIN_TILE_K]), x[i * TILE_VECTORS], part);
        sum += part;
    }
    store_gradient(sum * scale, dw, u, flags, lanes);
}

/* Asks for four rows of W, and of its state, at this place. */
OCLIN_INLINE void ask_for_rows(global const element *w, long w_stride, struct update u, int flags)
{
    for (int r = 0; r < ROWS; r++) {
        if (flags & OCLIN_FLAG_DX) PREFETCH(w + r * w_stride);
        for (int i = 0; flags & OCLIN_FLAG_UPDATE && i < STATES; i++)
            PREFETCH(u.state + r * u.stride + i * u.plane);
    }
}

/* Computes one chunk of columns of up to four rows of W: dX first, because it needs the old W. ahead is the
 * chunk that comes next; its state stands state_ahead elements behind this one's. */
OCLIN_INLINE void do_rows(local real *dx, local const real *x, local const float *dz, global const element *w,
                          long w_stride, global element *dw, long dw_stride, int samples, int columns,
                          int rows, float scale, struct update u, int flags, int first,
                          global const element *ahead, long state_ahead)
{
    for (int i = 0; flags & OCLIN_FLAG_DX && i < samples; i += 2) {
        local real *dx_i = dx + i * TILE_VECTORS;
        local const float *dz_i = dz + i * OCLIN_TILE_K;
        const int done = rows == ROWS ? dx_of_4_rows(dx_i, dz_i, w, w_stride, columns, first) : 0;
        for (int r = 0; done < columns && r < rows; r++)
            dx_of_row(dx_i + done / OCLIN_VL, dz_i + r, w + r * w_stride + done, columns - done,
                      first && r == 0);
    }
    if (!(flags & OCLIN_FLAG_DW)) return;
    int done = 0;
    for (; rows == ROWS && done + 2 * OCLIN_VL <= columns; done += 2 * OCLIN_VL) {
        ask_for_rows(ahead + done, w_stride, UPDATE_MOVED(u, state_ahead + done), flags);
        dw_of_4_rows(dz, x + done / OCLIN_VL, dw + done, dw_stride, samples, scale, UPDATE_MOVED(u, done),
                     flags);
    }
    for (; done < columns; done += OCLIN_VL)
        for (int r = 0; r < rows; r++)
            dw_of_row(dz + r, x + done / OCLIN_VL, dw + r * dw_stride + done, samples, scale,
                      UPDATE_MOVED(u, r * u.stride + done), flags, columns - done);
}

/* Computes (2) for `rows` elements. */
OCLIN_INLINE void store_db(local const float *dz, global element *db, int samples, int rows, float scale,
                           struct update u, int flags)
{
    for (int r = 0; r < rows; r++) {
        float sum = 0.0f;
        for (int first = 0; first < samples; first += CHUNK) {
            float part = 0.0f;
            for (int i = first; i < min(first + CHUNK, samples); i++) part += dz[i * OCLIN_TILE_K + r];
            sum += part;
        }
        store_gradient((real)(sum * scale), db + r, UPDATE_MOVED(u, r), flags, 1);
    }
}

/* Adds to dX what some rows of W give; the first ones overwrite it, so that it is never read before. */
OCLIN_INLINE void store_dx(local const real *dx, global element *c, long c_stride, int samples, int columns,
                           int first)
{
    for (int i = 0; i < samples; i++, c += c_stride, dx += TILE_VECTORS)
        for (int j = 0; j < columns; j += OCLIN_VL) {
            const int lanes = min(columns - j, OCLIN_VL);
            const real sum = dx[j / OCLIN_VL];
            store_lanes(c + j, first ? sum : sum + load_lanes(c + j, lanes), lanes);
        }
}

kernel __attribute__((reqd_work_group_size(1, 1, 1))) void
one_pass_skinny(PRODUCT_ARGUMENTS, global const element *restrict x, long x_offset, long x_stride,
                global element *dw, long dw_offset, long dw_stride)
{
    local real dx_tile[OCLIN_TILE_M * TILE_VECTORS], x_tile[OCLIN_TILE_M * TILE_VECTORS];
    local real dz_tile[OCLIN_TILE_M * OCLIN_TILE_K / OCLIN_VL];
    local float *dz = (local float *)dz_tile;
    const long column0 = get_group_id(0) * block_n;
    if (column0 >= n) return;
    const int samples = (int)m, columns = (int)min(n - column0, (long)block_n);
    a += a_offset;
    s += s_offset;
    x += x_offset + column0;
    c += c_offset + column0;
    dw += dw_offset + column0;
    const struct update u0 = UPDATE_OF_W, u = UPDATE_MOVED(u0, column0), b_update = UPDATE_OF_B;
    /* a step reads and writes W through one pointer, since b promises by `restrict` that nobody else writes
     * there */
    global const element *w = flags & OCLIN_FLAG_UPDATE ? dw : b + b_offset + column0;
    const long w_stride = flags & OCLIN_FLAG_UPDATE ? dw_stride : b_stride;

    for (int i = 0; flags & OCLIN_FLAG_DW && i < samples; i++)
        for (int j = 0; j < columns; j += OCLIN_VL)
            x_tile[i * TILE_VECTORS + j / OCLIN_VL] = load_part(x + i * x_stride + j, columns - j);
    /* samples go in pairs: the last of an odd number has a companion of zeros, which is not stored */
    for (int r = 0; r < OCLIN_TILE_K && samples % 2; r++) dz[samples * OCLIN_TILE_K + r] = 0.0f;

    for (long k0 = 0; k0 < k; k0 += OCLIN_TILE_K) {
        const int rows = (int)min(k - k0, (long)OCLIN_TILE_K);
        load_dz(dz_tile, a + k0, a_stride, s + k0, s_stride, samples, rows);
        if (column0 == 0 && flags & OCLIN_FLAG_DW && flags & OCLIN_FLAG_BIAS)
            store_db(dz, db + db_offset + k0, samples, rows, scale, UPDATE_MOVED(b_update, k0), flags);
        global const element *w_rows = w + k0 * w_stride;
        for (int j = 0; j < columns; j += block_k)
            for (int r = 0; r < rows; r += ROWS) {
                global const element *ahead = r + ROWS < rows         ? w_rows + (r + ROWS) * w_stride + j
                                              : j + block_k < columns ? w_rows + j + block_k
                                                                      : w_rows + OCLIN_TILE_K * w_stride;
                const long state_ahead = r + ROWS < rows         ? ROWS * u.stride
                                         : j + block_k < columns ? block_k - r * u.stride
                                                                 : (OCLIN_TILE_K - r) * u.stride - j;
                do_rows(dx_tile + j / OCLIN_VL, x_tile + j / OCLIN_VL, dz + r, w_rows + r * w_stride + j,
                        w_stride, dw + (k0 + r) * dw_stride + j, dw_stride, samples,
                        min(columns - j, block_k), min(rows - r, ROWS), scale,
                        UPDATE_MOVED(u, (k0 + r) * u.stride + j), flags, k0 % block_m == 0 && r == 0, ahead,
                        state_ahead);
            }
        const long done = k0 + OCLIN_TILE_K;
        if (flags & OCLIN_FLAG_DX && (done % block_m == 0 || done >= k))
            store_dx(dx_tile, c, c_stride, samples, columns, done <= block_m);
    }
}
