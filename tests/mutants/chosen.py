"""Single mistakes that a person might make, chosen one by one. Every one must be killed.

m(name, what it is, edits, tests): an edit is (file, old text, new text) and must fit in one place, or (..., which of several,
from 0). tests are commands as in killers.py; one of them must fail. ci=True: also in the subset that CI runs.
"""
MUTANTS = []


def m(name, what, edits, *tests, ci=False):
    MUTANTS.append({"name": name, "what": what, "edits": edits, "tests": list(tests), "ci": ci})


COMMON, FORWARD, GRAD_X, GRAD_W = "cl/common.cl", "cl/forward.cl", "cl/grad_x.cl", "cl/grad_w.cl"
PLAIN, SIMT, SIMD = "cl/product_plain.cl", "cl/product_simt.cl", "cl/product_simd.cl"
SKINNY, GRADS, LOSS_CL, UPDATE, FILL = ("cl/forward_skinny.cl", "cl/grads_skinny.cl", "cl/loss.cl", "cl/update.cl",
                                        "cl/fill.cl")
LAYER, PLAN, PRODUCT, LOSS, PROGRAM = "src/layer.c", "src/plan.c", "src/product.c", "src/loss.c", "src/program.c"
TENSOR, CACHE, CONTEXT, TABLE, RANDOM = ("src/tensor.c", "src/cache.c", "src/context.c", "src/tune_table.c",
                                         "src/random.c")

# A few rows of test_products on one activation: few kernels to compile.
ON_PLAIN, ON_SIMT, ON_SIMD, ON_SKINNY = ("products %s %s/small/*/none/*" % (p, p)
                                         for p in ("plain", "simt-16", "simd-8", "simd-skinny"))
EDGE_PLAIN, EDGE_SIMT, EDGE_SIMD = ("products %s %s/edge/*" % (p, p) for p in ("plain", "simt-16", "simd-8"))
BLOCK_SIMD, BLOCK_SKINNY = "products simd-8 simd-8/block/*", "products simd-skinny simd-skinny/block/*"


def on(plan, activation):
    return "products %s %s/small/*/%s/*" % (plan, plan, activation)


# ---------------------------------------------------------------------------------------------- k dropped or doubled

m("plain: drops the last k", "the sum ends one product early",
  [(PLAIN, "for (long i = 0; i < k; i++)\n        sum", "for (long i = 0; i < k - 1; i++)\n        sum")], ON_PLAIN, ci=True)
m("plain: doubles the last k", "the last product is added twice",
  [(PLAIN, "for (long i = 0; i < k; i++)\n        sum = MULTIPLY_ADD(load_a(a, a_stride, s, s_stride, row, i), load_b(b, "
    "b_stride, i, column), sum);", "for (long j = 0; j <= k; j++) {\n        const long i = min(j, k - 1);\n        sum = "
    "MULTIPLY_ADD(load_a(a, a_stride, s, s_stride, row, i), load_b(b, b_stride, i, column), sum);\n    }")], ON_PLAIN)
m("plain: db drops the last sample", "the sum over the batch ends one early",
  [(PLAIN, "for (long i = 0; i < k; i++) sum_a", "for (long i = 0; i < k - 1; i++) sum_a")], ON_PLAIN)
m("simt: drops the last k of each tile", "the loop over a tile's depth ends one early",
  [(SIMT, "for (int k = 0; k < OCLIN_TILE_K; k++) {\n        float4 bk", "for (int k = 0; k < OCLIN_TILE_K - 1; k++) {\n        float4 bk")],
  ON_SIMT)
m("simt: drops the last tile", "the loop over tiles ends one early",
  [(SIMT, "for (uint tile = 1; tile < tiles + !OCLIN_PEEL;", "for (uint tile = 1; tile + 1 < tiles + !OCLIN_PEEL;")], ON_SIMT, EDGE_SIMT)
m("simt: tiles overlap by one k", "the pointers advance one too few after the first tile",
  [(SIMT, "advance(a_from, a_stride, depth, OF_A)", "advance(a_from, a_stride, depth - 1, OF_A)"),
   (SIMT, "advance(b_from, b_stride, depth, OF_B)", "advance(b_from, b_stride, depth - 1, OF_B)")], ON_SIMT, EDGE_SIMT)
m("simd: drops the last k of a block", "the multiplication ends one early",
  [(SIMD, "for (int k = 0; k < depth; k++, a += OCLIN_ITEM_M", "for (int k = 0; k < depth - 1; k++, a += OCLIN_ITEM_M")], ON_SIMD)
m("simd: packs one k too few of A", "what is not packed is another block's",
  [(SIMD, "s_stride, strips, m - row0, depth);", "s_stride, strips, m - row0, depth - 1);")], ON_SIMD, EDGE_SIMD)
m("simd: db drops what four do not divide", "the rest of a strip's sum is left out",
  [(SIMD, "for (; k < depth; k++) s0", "for (; k < depth - 1; k++) s0")], ON_SIMD)
m("simd: only the last block of k counts", "earlier sums are overwritten",
  [(SIMD, "if (!first) {", "if (0) {")], ON_SIMD, BLOCK_SIMD)
m("simd: sums are never reset", "what the tile held before is added",
  [(SIMD, "if (!first) {", "if (1) {")], ON_SIMD, EDGE_SIMD, BLOCK_SIMD)
m("simd: db only of the last block of k", "earlier sums of A's rows are overwritten",
  [(SIMD, "first ? part[j] : sums[i + j] + part[j]", "part[j]")], ON_SIMD, BLOCK_SIMD)
m("forward_skinny: drops the rest of k", "elements that do not fill a vector are left out",
  [(SKINNY, "if (k < depth) multiply(sum, a_rows, b_rows, k, depth - k);", "")], ON_SKINNY)
m("forward_skinny: only the last block of k", "earlier sums are overwritten",
  [(SKINNY, "first ? s : *to + s", "s")], ON_SKINNY, BLOCK_SKINNY)
m("grads_skinny: dX of the last block of W alone", "dX is reset for each TILE_K rows",
  [(GRADS, "dx[0] = MULTIPLY_ADD(z03, wr, sum0);", "dx[0] = z03 * wr;")], ON_SKINNY)
m("grads_skinny: dW drops the last sample", "the sum over samples ends one early",
  [(GRADS, "for (int i = 0; i < samples; i++, x += TILE_VECTORS", "for (int i = 0; i < samples - 1; i++, x += TILE_VECTORS")], ON_SKINNY)

# --------------------------------------------------------------------------------------------------- indexes, bounds

m("plain: B transposed", "B is read along the wrong index", [(PLAIN, "#if B_ALONG_K", "#if !B_ALONG_K")], ON_PLAIN)
m("plain: one result too many", "the last work-item has no result", [(PLAIN, "item >= m * n", "item > m * n")],
  ON_PLAIN, EDGE_PLAIN, "oclgrind products plain plain/small/*/none/*")
m("plain: stride of s taken for that of dy", "the derivative's operand is read with dY's stride",
  [(PLAIN, "s[k * s_stride + row]", "s[k * a_stride + row]")], on("plain", "tanh"), "products plain plain/pair/*/tanh/*")
m("plain: c has no stride", "rows of C lie close", [(PLAIN, "c + c_offset + row * c_stride", "c + c_offset + row * n")], ON_PLAIN, ci=True)
m("simt: two rows of a quad swapped", "a transposed store goes to the wrong k",
  [(SIMT, "to[1 * STRIDE(rows)] = quad[q].y", "to[1 * STRIDE(rows)] = quad[q].z"),
   (SIMT, "to[2 * STRIDE(rows)] = quad[q].z", "to[2 * STRIDE(rows)] = quad[q].y")], ON_SIMT)
m("simt: stores a row too many", "the row behind the matrix is written", [(SIMT, "r < rows && at", "r <= rows && at")], ON_SIMT, EDGE_SIMT)
m("simt: db in every column of tiles", "the fused step of b happens more than once",
  [(SIMT, "if (column == 0 &&", "if (")], ON_SIMT, EDGE_SIMT)
m("simt: reads rows outside the matrix", "no row inside stands in for those outside",
  [(SIMT, "return row < rows_inside ? row : 0;", "return row;")], ON_SIMT, EDGE_SIMT, "oclgrind-data edges tight_end/simt-16")
m("simd: stores a row too many", "the row behind the block is written",
  [(SIMD, "row < min(rows, OCLIN_ITEM_M); row++, c", "row < min(rows + 1, OCLIN_ITEM_M); row++, c")], ON_SIMD)
m("simd: multiplies with the neighbour's panel", "of the panels that are packed together the next one",
  [(SIMD, "b_packed + j * panel_floats, sums", "b_packed + (j + 1) % count * panel_floats, sums")],
  ON_SIMD, BLOCK_SIMD, "products simd-packed simd-packed/block/*")
m("simd: stores whole tiles only", "columns behind the matrix are written",
  [(SIMD, "if (columns >= OCLIN_ITEM_N)\n", "if (1)\n")], ON_SIMD)
m("simd: a tile's sums in the first one's place", "blocks of k are added to those of another tile",
  [(SIMD, "k <= block_k ? c_tile :", "1 ? c_tile :")], BLOCK_SIMD, ON_SIMD)
m("simd: stores before the last block of k", "what is not yet the sum is stored, and in the fused step applied",
  [(SIMD, "if (k0 + block_k >= k)", "if (1)")], BLOCK_SIMD, ON_SIMD)
m("simd: strips and panels change places where sums are short", "some tiles are computed twice and others never",
  [(SIMD, "by_rows ? i / count : i % strips", "by_rows ? i / strips : i % strips")], ON_SIMD, EDGE_SIMD)
m("simd: more panels together than there is room for", "they overwrite what lies behind",
  [(SIMD, "together = OCLIN_TILE_K / depth * PANELS,", "together = OCLIN_TILE_K / depth * PANELS * 8,")],
  BLOCK_SIMD, ON_SIMD, EDGE_SIMD)
m("simd: the second panels that are packed together are the first", "a step of the loop over them is lost",
  [(SIMD, "const int column = (panel0 + j) * OCLIN_ITEM_N;\n                pack_b(", "const int column = panel0 * OCLIN_ITEM_N;\n                pack_b(")],
  ON_SIMD, EDGE_SIMD, BLOCK_SIMD)
m("simd: dX's first rows again for all", "where a block's rows begin is left out",
  [(SIMD, "c += c_offset + row0 * c_stride + column0;\n    v", "c += c_offset + column0;\n    v")], ON_SIMD, BLOCK_SIMD)
m("simd: db of a later block of rows goes to the first", "where the block's rows begin is left out",
  [(SIMD, "sums_to = v + v_offset + row0;", "sums_to = v + v_offset;")], ON_SIMD, BLOCK_SIMD)
ON_NARROW, BLOCK_NARROW = ("products simd-narrow simd-narrow/%s" % rows for rows in ("small/*/none/*", "block/*"))
m("narrow: drops the last k of a block", "the multiplication ends one early",
  [(SIMD, "k < depth; k++, x += OCLIN_ITEM_N", "k < depth - 1; k++, x += OCLIN_ITEM_N")], ON_NARROW)
m("narrow: only the last block of k counts", "earlier sums are overwritten",
  [(SIMD, "*to = first ? sum[i] : *to + sum[i];", "*to = sum[i];")], ON_NARROW, BLOCK_NARROW)
m("narrow: the first row of W for all", "the rows of a strip are not told apart",
  [(SIMD, "w_row[i] = w + min(i, rows - 1) * w_stride", "w_row[i] = w")], ON_NARROW)
m("narrow: reads behind the last row of W", "no row inside stands in for those outside",
  [(SIMD, "w_row[i] = w + min(i, rows - 1) * w_stride", "w_row[i] = w + i * w_stride")],
  "oclgrind-data edges tight_end/simd-narrow")
m("narrow: later panels multiply the first one's samples", "the panel is left out",
  [(SIMD, "x + panel * panel_floats", "x")], ON_NARROW, BLOCK_NARROW)
m("narrow: later groups read the first one's rows of W", "where a group's columns begin is left out",
  [(SIMD, "b += b_offset + column0 * b_stride;\n\n", "b += b_offset;\n\n")], ON_NARROW, BLOCK_NARROW)
m("narrow: a sample's neighbour is stored", "sums of the sample beside it", [(SIMD, "* width + sample]", "* width + (sample + 1) % samples]")],
  ON_NARROW)
m("narrow: the last columns of a group are the first again", "what stands in for columns outside the group",
  [(SIMD, "sums[min(column + j, columns - 1) * width", "sums[min(j, columns - 1) * width")], BLOCK_NARROW, ON_NARROW)
m("plan: narrow for half a panel", "most of what it computes is not wanted", [(PLAN, "10 * p->m >= 9 * round_up", "10 * p->m >= 5 * round_up")], "plan")
m("plan: narrow blocks of more columns than there is room for", "the sums overwrite what lies behind",
  [(PLAN, "(int)least(part(p->n, parts, t->item_m), most)", "(int)part(p->n, parts, t->item_m)")], "plan")
m("plan: packs what no cache holds as if one did", "large packed operands go through memory",
  [(PLAN, "exceeds_caches(d, 2 * packed) ? COST_SPILLED : 0.0", "exceeds_caches(d, 2 * packed) ? 0.0 : 0.0")], "plan")
m("plan: asks ahead where the compiler cannot", "__builtin_prefetch() ends the build on other compilers",
  [(PLAN, "tile.prefetch = d->prefetches &&", "tile.prefetch =")], "plan")
m("simd: shuffle takes the wrong half", "two rows of a transposed 4 x 4 are swapped",
  [(SIMD, "t[1][j] = EVEN_OF_4(o0, o1);\n            t[2][j] = ODD_OF_4(e0, e1);",
    "t[1][j] = ODD_OF_4(e0, e1);\n            t[2][j] = EVEN_OF_4(o0, o1);")], ON_SIMD)
m("simd: packs of B's neighbour", "a panel in scratch memory is one too far",
  [(SIMD, "panels_from + k0 / block_k * all_panels * PANEL_FLOATS", "panels_from + (k0 / block_k * all_panels + 1) * PANEL_FLOATS")],
  "products simd-packed simd-packed/small/*/none/*", "products simd-packed simd-packed/edge/*")
m("simd: pack ends one block of A early", "the last strips stay as they were in scratch memory",
  [(SIMD, "if (part < of_a) {", "if (part < of_a - 1) {")], "products simd-packed simd-packed/small/*/none/*",
  "products simd-packed simd-packed/edge/*")
m("load: one lane too many", "the element behind the row is read",
  [(COMMON, "part[i] = i < lanes ? p[i]", "part[i] = i <= lanes ? p[i]")], ON_SIMT, EDGE_SIMT,
  "oclgrind products simt-16 simt-16/edge/?x1*x9*", "oclgrind products simd-8 simd-8/edge/7x1*")
m("store: one lane too many", "the element behind the row is written", [(COMMON, "if (i < lanes) p[i]", "if (i <= lanes) p[i]")],
  ON_SIMT, ON_SIMD, ci=True)
m("forward_skinny: last row twice", "a row past the edge is not another row's but the next",
  [(SKINNY, "min(i, rows - 1)", "i")], "oclgrind-data edges tight_end/simd")
m("forward_skinny: rows and columns of blocks exchanged", "the group's row is its column",
  [(SKINNY, "block / blocks_n * block_m, column0 = block % blocks_n * block_n", "block % blocks_n * block_m, column0 = block / blocks_n * block_n")],
  ON_SKINNY, BLOCK_SKINNY)
m("grads_skinny: odd sample's companion is not zero", "it is what was there before", [
    (GRADS, "for (int i = 0; i < samples + samples % 2; i++)", "for (int i = 0; i < samples; i++)")],
  ON_SKINNY, "oclgrind products simd-skinny simd-skinny/small/*/none/*")
m("step: one element too many", "update.cl writes behind the row",
  [(UPDATE, "load_lanes(w + i, lanes)),\n                    lanes);", "load_lanes(w + i, lanes)),\n                    lanes + 1);")],
  ON_PLAIN, ON_SIMT, ON_SIMD)
m("fill: one element too many", "fill.cl writes behind the row",
  [(FILL, "min(first + OCLIN_ITEM_N, cols)", "min(first + OCLIN_ITEM_N, cols + 1)")], "edges fill/*")
m("fill: offset ignored", "the beginning of the buffer is filled", [(FILL, "t += t_offset + row", "t += row")], "tensor fill/*", "tensor")
m("cross_entropy: label = classes accepted", "the element behind the row is the score", [(LOSS_CL, "label < cols", "label <= cols")],
  "loss plain/*")
m("cross_entropy: negative label accepted", "an element before the row is the score",
  [(LOSS_CL, "label >= 0 && label < cols", "label < cols")], "loss plain/*")

# ----------------------------------------------------------------------------- barriers, stale and uninitialised tiles

RACES = "oclgrind products simt-16 simt-16/small/*/none/*"
for i, where in enumerate(("before the loop", "in the loop", "before a_tile is used once more", "before the sums of A")):
    m("simt: no barrier %s" % where, "removed", [(SIMT, "barrier(CLK_LOCAL_MEM_FENCE);", ";", i)], RACES, ci=i == 1)
for i, where in enumerate(("entry of group_sum", "tree of group_sum", "exit of group_sum", "entry of group_max", "tree of group_max",
                           "exit of group_max")):
    m("loss: no barrier, %s" % where, "removed", [(LOSS_CL, "barrier(CLK_LOCAL_MEM_FENCE);", ";", i)], "oclgrind loss cross_entropy/*")
m("simt: zeros behind k are missing (along k)", "quads behind the end of k read on",
  [(SIMT, "quad[q] = load_lanes(from[q], left)", "quad[q] = load_quad(from[q], 3)")], ON_SIMT, EDGE_SIMT)
m("simt: zeros behind k are missing (across k)", "rows behind the end of k read on",
  [(SIMT, "left > 0 ? load_quad(from[q], last) : (float4)(0.0f)", "load_quad(from[q], last)")], ON_SIMT, EDGE_SIMT)
m("simt: tail of a tile uninitialised", "rows behind the end of k are not set",
  [(SIMT, "            quad[q] = left > 0 ? load_quad(from[q], last) : (float4)(0.0f);",
    "        {\n            if (left > 0) quad[q] = load_quad(from[q], last);\n        }")], ON_SIMT, RACES)
m("simt: stale tile", "the same buffer is read again instead of the other", [(SIMT, "front ^= 1;", "front ^= 0;")], ON_SIMT, EDGE_SIMT, RACES)
m("load: tail uninitialised", "lanes that do not exist are not set to 0",
  [(COMMON, "part[i] = i < lanes ? p[i] : 0.0f", "if (i < lanes) part[i] = p[i]")], "oclgrind products simt-16 simt-16/edge/?x1*x9*")
m("simd: sums start with what was there", "the sums of a register tile are not set to 0",
  [(SIMD, "for (int i = 0; i < SUMS; i++) sum[i] = (real)(0.0f);", "for (int i = 0; i < SUMS; i++) sum[i] = c[i];", 0)], ON_SIMD, EDGE_SIMD)
m("grads_skinny: dX starts with what was there", "the tile of dX is not set to 0",
  [(GRADS, "dx_tile[i * TILE_VECTORS + j / OCLIN_VL] = (real)(0.0f);", ";")], ON_SKINNY, BLOCK_SKINNY,
  "oclgrind products simd-skinny simd-skinny/small/*/none/*")

# -------------------------------------------------------------------------- tiles larger and smaller than the NDRange

SIMT_GROUPS = "plan->groups = ceil_divide(p->m, plan->tile.tile_m) * ceil_divide(p->n, plan->tile.tile_n);"
m("simt: groups for a tile twice as wide", "half of the columns are not computed",
  [(PLAN, SIMT_GROUPS, SIMT_GROUPS.replace("plan->tile.tile_n", "(2 * plan->tile.tile_n)"))], EDGE_SIMT)
m("simt: groups for a tile half as wide", "groups beyond the matrix read there",
  [(PLAN, SIMT_GROUPS, SIMT_GROUPS.replace("plan->tile.tile_n", "plan->tile.tile_n / 2"))],
  EDGE_SIMT, "plan", "oclgrind-data edges tight_end/simt-16")
SIMD_BLOCKS = "return ceil_divide(p->m, plan->block_m) * ceil_divide(p->n, plan->block_n);"
m("simd: groups for the largest block", "blocks are smaller: some are not computed",
  [(PLAN, SIMD_BLOCKS, SIMD_BLOCKS.replace("plan->block_n", "plan->tile.tile_n"))], "plan", "products simd-staged simd-staged/edge/*")
QUEUED = "blocks = (m + block_m - 1) / block_m * ((n + block_n - 1) / block_n)"
m("simd: a queue of blocks of the largest size", "blocks are smaller: some are not computed",
  [(SIMD, QUEUED, QUEUED.replace("block_n", "OCLIN_TILE_N"))], EDGE_SIMD, BLOCK_SIMD)
m("forward_skinny: a queue of blocks of the largest size", "blocks are smaller: some are not computed",
  [(SKINNY, QUEUED, QUEUED.replace("block_n", "OCLIN_TILE_N"))], BLOCK_SKINNY)
m("queue: nobody clears the counters", "the next launch finds no work left",
  [(COMMON, "if (ticket == tickets + (long)get_num_groups(0) - 1) queue", "if (0) queue")], "queue", ON_SIMD)
m("queue: the first who finds no work clears the counters", "others may still take tickets",
  [(COMMON, "if (ticket == tickets + (long)get_num_groups(0) - 1) queue", "if (ticket == tickets) queue")], ON_SIMD, BLOCK_SIMD)
m("queue: what was packed stays counted", "the next launch waits for nothing",
  [(COMMON, "queue[0] = queue[OCLIN_QUEUE_PACKED] = 0", "queue[0] = 0")], "queue", ci=True)
m("queue: nobody waits for what is packed", "blocks are computed from what an earlier launch has packed",
  [(SIMD, "        await_packed(queue, parts);\n", "")], "queue")
m("queue: waits for all parts but one", "the slowest is not waited for", [(COMMON, "< parts) {", "< parts - 1) {")], "queue")
m("queue: parts that groups share out unevenly", "some parts are done twice and others never",
  [(COMMON, "min(group, count % groups)", "0 * min(group, count % groups)")], EDGE_SIMD, BLOCK_SIMD,
  "products simd-packed simd-packed/edge/*")
m("mixed: one place for the panels of all groups", "two threads pack over each other",
  [(SIMD, "get_group_id(0) * PANELS * PANEL_FLOATS", "0 * PANELS * PANEL_FLOATS")], "products simd-mixed simd-mixed/block/*")
m("plan: mixed without room for all panels", "a group's panels lie behind the memory",
  [(PLAN, "d->info.compute_units * OCLIN_SIMD_PANELS *", "OCLIN_SIMD_PANELS *")], "plan")
m("plan: reserves for packing alone", "a mixed product of the same layer may need more",
  [(PLAN, "packed > bytes ? packed : bytes", "packed")], "plan")
m("plan: a queue of more parts than it can count", "", [(PLAN, "plan->tile.queue && parts <= most", "plan->tile.queue")], "plan")
m("plan: a queue where the compiler has no fence", "__sync_synchronize() ends the build on other compilers",
  [(PLAN, "return ctx->device.queues &&", "return")], "plan")
m("plan: a block as wide as the tile whatever its height", "the sums overwrite what lies behind",
  [(PLAN, "t->tile_m * t->tile_n / m, step", "t->tile_m * t->tile_n / t->item_m, step")], "plan", BLOCK_SIMD)
m("simt: kernel built for a smaller tile than planned", "the NDRange is that of the larger",
  [(PROGRAM, "t->group, t->vl, t->tile_m, t->tile_n,", "t->group, t->vl, t->tile_m, t->family == OCLIN_SIMT ? t->tile_n / 2 : t->tile_n,")],
  EDGE_SIMT)
m("plain: one group too few", "the remainder is not computed", [
    (PLAN, "ceil_divide(p->m * p->n, plan->tile.group)", "p->m * p->n / plan->tile.group + (p->m * p->n < plan->tile.group)")],
  ON_PLAIN, EDGE_PLAIN)
m("elements: one group too few", "a step or fill ends early",
  [(PLAN, "ceil_divide(rows * ceil_divide(cols, t->item_n), t->group)", "rows * ceil_divide(cols, t->item_n) / t->group + (rows * ceil_divide(cols, t->item_n) < t->group)")],
  "layer_state", "tensor", EDGE_SIMT, "products plain plain/extreme/*")

# ------------------------------------------------------------------------------------------------------- bias, scale

m("forward: no bias", "b is not added", [(FORWARD, "if (flags & OCLIN_FLAG_BIAS) sum += load_lanes(v, lanes);", "")], ON_PLAIN, ci=True)
m("forward: always a bias", "b is added to layers that have none", [(FORWARD, "if (flags & OCLIN_FLAG_BIAS) sum", "sum")],
  "products plain plain/pair/*/none/no_bias/*", "products simt-16 simt-16/pair/*/none/no_bias/*")
m("grad_w: db never summed", "(plain)", [(PLAIN, "(flags & OCLIN_FLAG_BIAS)", "0")], ON_PLAIN)
m("grads_skinny: db by every group", "the fused step of b happens more than once", [(GRADS, "if (column0 == 0 && flags", "if (flags")],
  ON_SKINNY, BLOCK_SKINNY)
m("grad_w: db not divided by the batch", "scale is left out", [(GRAD_W, "sum_a * scale", "sum_a")], ON_PLAIN)
m("grad_w: dW not divided by the batch", "scale is left out", [(GRAD_W, "sum * scale", "sum")], ON_PLAIN)
m("grads_skinny: dX divided by the batch", "the mean is of parameters' gradients alone",
  [(GRADS, "dx_tile[i * TILE_VECTORS + j / OCLIN_VL],\n", "dx_tile[i * TILE_VECTORS + j / OCLIN_VL] * scale,\n")], ON_SKINNY)
m("loss: gradient of mse without its 2", "", [(LOSS, "2.0 * scale", "scale")], "loss plain/*")
m("loss: mean of mse over rows alone", "", [(LOSS, "classes ? (double)rows : (double)rows * (double)c->y->cols", "(double)rows")], "loss plain/*")

# ------------------------------------------------------------------------------------------------ activations

m("relu: derivative 1 at 0", "", [(COMMON, "islessequal(s", "isless(s")], on("plain", "relu"), "products plain plain/pair/*/relu/*",
  "layer_data", "golden plain")
m("relu: NaN becomes 0", "fmax loses it", [(COMMON, "select(z, (real)(0.0f), isless(z, (real)(0.0f)))", "fmax(z, (real)(0.0f))")], "layer_data",
  "math plain")
m("relu: derivative by multiplication", "Inf * 0 appears",
  [(COMMON, "select(dy, (real)(0.0f), islessequal(s, (real)(0.0f)))", "dy * select((real)(1.0f), (real)(0.0f), islessequal(s, (real)(0.0f)))")],
  "layer_data", "math plain")
m("sigmoid: derivative from z", "s is y, not z", [(COMMON, "dy * (s * (1.0f - s))", "dy * (1.0f / (2.0f + exp(-s) + exp(s)))")], on("plain", "sigmoid"))
m("tanh: derivative without the square", "", [(COMMON, "dy * (1.0f - s * s)", "dy * (1.0f - s)")], on("plain", "tanh"))
m("gelu: the tanh approximation", "its value is not the erf form's",
  [(COMMON, "0.5f * z * erfc(z * -0.70710678118654752f)", "0.5f * z * (1.0f + tanh(0.79788456080286536f * (z + 0.044715f * z * z * z)))")],
  "products plain plain/small_gelu/*")
m("gelu: derivative without z pdf(z)", "", [(COMMON, "dy * (cdf + s * pdf)", "dy * cdf")], "products plain plain/small_gelu/*")
m("gelu: derivative from y", "the layer hands out y instead of z", [(LAYER, "p->activation == OCLIN_GELU ? s->z : s->y", "s->y")],
  "products plain plain/small_gelu/*")
m("activation: value in the wrong place", "z is stored after the activation",
  [(FORWARD, "if (flags & OCLIN_FLAG_KEEP_Z) store_lanes(z, sum, lanes);\n    store_lanes(c, activate(sum), lanes);",
    "store_lanes(c, activate(sum), lanes);\n    if (flags & OCLIN_FLAG_KEEP_Z) store_lanes(z, activate(sum), lanes);")],
  "products plain plain/small_gelu/*")

# ------------------------------------------------------------------------------- accumulate, overwrite, order, step

m("gradient: overwritten instead of added to", "in the kernel", [(COMMON, "else if (flags & OCLIN_FLAG_ACCUMULATE)", "else if (0)")], ON_PLAIN)
m("gradient: added to instead of overwritten", "in the kernel", [(COMMON, "else if (flags & OCLIN_FLAG_ACCUMULATE)", "else")], ON_PLAIN)
m("layer: never accumulates", "", [(LAYER, "p.flags |= OCLIN_FLAG_ACCUMULATE;", ";")], "layer_state", ci=True)
m("layer: accumulates only if both hold something", "",
  [(LAYER, "!is_cleared(l->dw) || (l->bias && !is_cleared(l->db))", "!is_cleared(l->dw) && (l->bias && !is_cleared(l->db))")], "layer_state", "layer")
m("layer: marked zeros are not written before they are added to", "",
  [(LAYER, "if (dw->flags & OCLIN_FLAG_ACCUMULATE) return settle_all((oclin_tensor *[]){l->dw, l->db}, 2);", "")], "layer_state", "layer", "layer_data")
m("forward: adds to y", "", [(FORWARD, "store_lanes(c, activate(sum), lanes)", "store_lanes(c, load_lanes(c, lanes) + activate(sum), lanes)")],
  ON_PLAIN)
m("dX: adds to what was there", "", [(GRAD_X, "store_lanes(c, sum, lanes)", "store_lanes(c, load_lanes(c, lanes) + sum, lanes)")], ON_PLAIN)
m("loss: overwritten although it accumulates", "", [(LOSS_CL, "if (flags & OCLIN_FLAG_ACCUMULATE) sum += loss[loss_offset];", "")], "loss options/*",
  "loss")
m("loss: count overwritten although it accumulates", "",
  [(LOSS_CL, "if (flags & OCLIN_FLAG_ACCUMULATE) count += correct[correct_offset];", "")], "loss options/*", "loss")
m("step: wrong sign", "", [(UPDATE, "(real)(-lr)", "(real)(lr)")], "layer_state")
m("fused step: wrong sign", "", [(COMMON, "MULTIPLY_ADD((real)(-lr), g", "MULTIPLY_ADD((real)(lr), g")], ON_PLAIN)
DX_FIRST = """    oclin_status status = call->dx ? oclin_product_enqueue(ctx, &dx) : OCLIN_OK;
    dx_written(call, status);
    if (status != OCLIN_OK || !wants_dw(call)) return status;
    status = oclin_product_enqueue(ctx, dw);
    dw_written(call, status);
    return status;"""
DW_FIRST = """    oclin_status status = wants_dw(call) ? oclin_product_enqueue(ctx, dw) : OCLIN_OK;
    dw_written(call, status);
    if (status != OCLIN_OK || !call->dx) return status;
    status = oclin_product_enqueue(ctx, &dx);
    dx_written(call, status);
    return status;"""
m("fused step: dX from the new W", "the step is enqueued first", [(LAYER, DX_FIRST, DW_FIRST)], ON_PLAIN, ci=True)
OLD_W = "    for (int i = 0; flags & OCLIN_FLAG_DX && i < samples; i += 2) {\n        local real *dx_i"
m("grads_skinny: dX from the new W", "the rows are updated first", [
    (GRADS, """    if (!(flags & OCLIN_FLAG_DW)) return;
    int done = 0;
    for (; rows == ROWS && done + 2 * OCLIN_VL <= columns; done += 2 * OCLIN_VL) {
        for (int r = 0; flags & OCLIN_FLAG_DX && r < ROWS; r++) PREFETCH(ahead + r * w_stride + done);
        dw_of_4_rows(dz, x + done / OCLIN_VL, dw + done, dw_stride, samples, scale, lr, flags);
    }
    for (; done < columns; done += OCLIN_VL)
        for (int r = 0; r < rows; r++)
            dw_of_row(dz + r, x + done / OCLIN_VL, dw + r * dw_stride + done, samples, scale, lr, flags,
                      columns - done);
""", ""),
    (GRADS, OLD_W, """    if (flags & OCLIN_FLAG_DW)
        for (int j = 0; j < columns; j += OCLIN_VL)
            for (int r = 0; r < rows; r++)
                dw_of_row(dz + r, x + j / OCLIN_VL, dw + r * dw_stride + j, samples, scale, lr, flags, columns - j);
""" + OLD_W)], ON_SKINNY)
m("layer: b takes two steps", "b's step is enqueued twice", [(LAYER, "OCLIN_TRY(status);\n    }\n    return OCLIN_OK;",
                                                             "OCLIN_TRY(status);\n    }\n    return all[1].w ? oclin_step_enqueue(l->ctx, &all[1]) : OCLIN_OK;")], ON_PLAIN)
m("layer: backward_step on gradients that hold something", "not refused",
  [(LAYER, "if (!is_cleared(l->dw) || !is_cleared(l->db))", "if (0)")], "layer_state order/*")
m("layer: zero_grad forgets db", "", [(LAYER, "return l->db ? clear_gradient(l->db, &l->db_version) : OCLIN_OK;", "return OCLIN_OK;")],
  "layer_state", "layer")

# ------------------------------------------------------------------------------------------- saved states, versions

m("layer: saved x of the wrong forward", "remember() keeps the first x",
  [(LAYER, "s->x = oclin_tensor_retain(x);", "s->x = old_x ? oclin_tensor_retain(old_x) : oclin_tensor_retain(x);")], "layer_state saved/*",
  "layer_state")
m("layer: infer counts as forward", "the saved state follows infer",
  [(LAYER, "OCLIN_TRY(run_forward(l, x, y, NULL));\n", "OCLIN_TRY(run_forward(l, x, y, NULL));\n    remember(l, l->saved, x, y);\n")], "layer_state", "layer")
m("layer: version of x not checked", "", [(LAYER, "if (s->x->version != s->x_version)", "if (0)")], "layer_state meanwhile/*", ci=True)
m("layer: version of y not checked", "", [(LAYER, "if (s->y && s->y->version != s->y_version)", "if (0)")], "layer_state meanwhile/*")
m("layer: saved of another layer accepted", "", [(LAYER, "if (s->layer != l->id) return", "if (0) return")], "layer_state saved/*", "layer_state")
m("layer: backward before forward accepted", "", [(LAYER, "if (s->layer == 0) return", "if (0) return")], "layer_state order/*", "layer_state")
m("layer: reserve replaces z", "a larger z takes the place of the one that backward needs",
  [(LAYER, "    oclin_tensor_destroy(s->larger_z);\n    s->larger_z = z;", "    oclin_tensor_destroy(s->z);\n    s->z = z;")], "layer_state saved/*",
  "layer_state")
m("tensor: views do not share versions", "a write through a view is not seen",
  [(TENSOR, "if (u != t && !oclin_tensor_overlap(t, u)) continue;\n        u->version++;", "if (u != t) continue;\n        u->version++;")],
  "sharing versions/*", "layer_state")
m("tensor: a clear is a write of zeros that nobody does", "the mark is forgotten", [(TENSOR, "t->cleared = t->zero_pending = 1;", "t->cleared = 1;")],
  "layer_state zero_grad/*", "layer_state")

# ------------------------------------------------------------------------------------------------ refused arguments

m("layer: lr NaN accepted", "", [(LAYER, "if (!(lr >= 0.0f) || isinf(lr))", "if (lr < 0.0f || isinf(lr))")], "layer_state gradients/*")
m("layer: lr negative accepted", "", [(LAYER, "if (!(lr >= 0.0f) || isinf(lr))", "if (lr != lr || isinf(lr))")], "layer_state gradients/*")
m("layer: y may be x", "alias check dropped", [(LAYER, 'OCLIN_TRY(oclin_tensor_check_apart(ctx, y, "y", x, "x"));', "")], "layer_args sharing/*")
m("layer: dx may be w", "alias check dropped", [(LAYER, 'OCLIN_TRY(oclin_tensor_check_apart(ctx, dx, "dx", l->w, "w"));', "")],
  "layer_args sharing/*")
m("loss: dy may be y", "alias check dropped", [(LOSS, "if (a->output && j != i)", "if (0)")], "loss operand/*")
m("tensor: of another context accepted", "", [(TENSOR, "if (oclin_tensor_context(t) != ctx)", "if (0)")], "layer_args operand/*", "loss operand/*", ci=True)
m("layer: saved of another context accepted", "", [(LAYER, "if (s->ctx != l->ctx) return", "if (0) return")], "layer_args operand/saved", "layer_state")
m("tensor: wrong shape accepted", "", [(TENSOR, "if (t->rows != rows || t->cols != cols)", "if (t->rows != rows)")], "layer_args operand/*")
m("tensor: sizes that overflow accepted", "", [(CONTEXT, "if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / b)) return -1;",
                                                "if (a < 0 || b < 0) return -1;")], "tensor create/*", "tensor", "layer")
m("tensor: window beyond the buffer accepted", "", [(TENSOR, "offset > holds || wanted > holds - offset", "offset > holds")], "tensor wrap/*")
m("tensor: view beyond its base accepted", "", [(TENSOR, "offset > within || wanted > within - offset", "offset > within")], "tensor view/*")
m("tensor: cl_mem of another cl_context accepted", "", [(TENSOR, "if (of != ctx->cl) return", "if (0) return")], "tensor wrap/*")
m("context: out-of-order queue accepted", "", [(CONTEXT, "if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)", "if (0)")],
  "context handles/*")
m("context: forked child accepted", "", [(CONTEXT, "if (ctx->process != oclin_os_process_id())\n        return oclin_fail", "if (0)\n        return oclin_fail")],
  "lifetime fork")
m("context: larger options of a newer caller accepted", "unknown options are dropped in silence",
  [(CONTEXT, "for (size_t i = known_size; i < size; i++)", "for (size_t i = size; i < size; i++)")], "context create/*")
m("layer: workspace that overflows accepted", "",
  [(LAYER, "oclin_multiply(oclin_multiply(batch + 256, widest + 256), 4 * (int64_t)sizeof(float)) < 0", "0")], "layer", "layer_args", "edges", "failure")

# --------------------------------------------------------------------------------------------------- cache and tuning

KEY = 'd->info.platform_name, d->platform_version, d->info.name,\n                    d->info.vendor, d->info.version, d->info.driver, name, options, text);'
for field, old, new in (
        ("driver", "d->info.driver, name", '"", name'), ("device", "d->info.name,", '"",'),
        ("options", "name, options, text", 'name, "", text'), ("text", "options, text)", 'options, "")'),
        ("platform's version", "d->platform_version,", '"",')):
    m("cache: key without the %s" % field, "", [(PROGRAM, KEY, KEY.replace(old, new))], "cache key/*", "cache second*", "cache")
m("cache: checksum not compared", "", [(CACHE, "if (get_number(file + CHECKSUM_AT) != checksum(file, size))", "if (0)")], "cache file/*", ci=True)
m("cache: checksum without the header", "", [(CACHE, "hash_more(hash_more(hash_start, record, CHECKSUM_AT), record", "hash_more(hash_start, record")],
  "cache file/*", "cache files/*", "cache")
m("cache: key not compared", "the name's hash is believed", [
    (CACHE, "if (of_key != key_size || memcmp(file + HEADER_BYTES, key, key_size) != 0)", "if (0)")], "cache file/*", "cache files/*")
m("cache: sizes not compared", "", [(CACHE, "if (of_key > all || of_data != all - of_key)", "if (0)")], "cache file/*")
m("cache: what could not be written whole is put in place", "",
  [(CACHE, "if (written && closed && oclin_os_replace(temporary, path)) return 1;", "if (closed && oclin_os_replace(temporary, path)) return 1;")],
  "cache files/*")
m("tuning: checksum not compared", "", [(TABLE, 'if (strncmp(checksum + strlen("checksum "), expected, 16) != 0)', "if (0)")], "tune *file*", "tune")
m("tuning: key without the driver", "", [(TABLE, '{"driver", d->info.driver},', '{"driver", ""},')], "tune file/facts*")
m("tuning: a plan of any name is believed", "", [(TABLE, "if (!oclin_plan_tunable(ctx, t->id, t->shape, t->plan))", "if (0)")], "tune *file*", "tune")
m("program: a kernel of another activation", "the list of built kernels forgets it",
  [(PROGRAM, "p->id != id || p->activation != activation ||", "p->id != id ||")], "products plain plain/small/*")
m("program: a kernel of another tile", "the list of built kernels forgets it",
  [(PROGRAM, "a->stage == b->stage", "1")], "products simd-packed simd-packed/small/*/none/*")

# ---------------------------------------------------------------------------------------------------------- the rest

m("loss: label off by one in the gradient", "", [(LOSS_CL, "i == label ? p", "i == label + 1 ? p")], "loss plain/*")
m("loss: softmax without the maximum", "exp overflows", [(LOSS_CL, "largest = group_max(part, largest);", "largest = 0.0f;")], "loss plain/*")
m("loss: of equal scores the last is right", "", [(LOSS_CL, "i >= label", "i <= label")], "loss plain/*")
m("loss: no compensation over rows", "", [(LOSS_CL, "isfinite(next) ? next - sum - add : 0.0f", "0.0f")], "edges compensated_sum/*")
m("loss: scratch memory a row short", "", [(LOSS, "OCLIN_TRY(oclin_scratch(ctx, scratch_bytes(rows), \"a loss\"));",
                                           "OCLIN_TRY(oclin_scratch(ctx, scratch_bytes(rows) - 8, \"a loss\"));")],
  "loss plain/*", "oclgrind loss mse/*")
m("product: sum in 12 bits", "a half-precision accumulator", [
    (PLAIN, "    store_product(sum,", "    sum = as_float(as_uint(sum) & 0xFFFFF000u);\n    store_product(sum,")], ON_PLAIN)
m("product: operands in 11 bits", "TF32", [(PLAIN, "load_b(b, b_stride, i, column), sum)",
                                           "as_float(as_uint(load_b(b, b_stride, i, column)) & 0xFFFFE000u), sum)")], ON_PLAIN, "products plain plain/pair/*")
m("product: a launch is left out", "dX is not enqueued", [
    (PRODUCT, "    if (p->packing_kernel) OCLIN_TRY", "    if (p->id == OCLIN_KERNEL_GRAD_X) return OCLIN_OK;\n    if (p->packing_kernel) OCLIN_TRY")], ON_PLAIN)
m("product: unaligned rows taken for aligned", "", [(PLAN, "return a_row % 4 == 0 && p->n % 4 == 0;", "return 1;")], "oclgrind-data edges tight_end/simt-16")
m("tensor: unaligned start taken for aligned", "", [(TENSOR, "base_aligned && start && rows", "base_aligned && rows")], "sharing *align*", "sharing",
  "tensor")
m("random: nine rounds of Philox", "", [(RANDOM, "ROUNDS = 10", "ROUNDS = 9")], "random")
m("random: W and b from one stream", "", [(LAYER, "take_parameter(l, &l->b, o->b, 1, l->out, 1, o)", "take_parameter(l, &l->b, o->b, 1, l->out, 0, o)")],
  "random", "layer")
m("random: each piece begins with number 0", "", [(LAYER, "limit, (uint64_t)first, count, piece)", "limit, 0, count, piece)")], "random", "layer")
m("context: state after a failed finish", "what was written is not called unspecified", [(CONTEXT, "if (error) oclin_tensors_lose_epoch(ctx);", "")],
  "failure")
m("layer: an object leaks when creation fails", "", [(LAYER, "    if (status != OCLIN_OK) {\n        oclin_layer_destroy(l);\n        return status;",
                                                      "    if (status != OCLIN_OK) {\n        return status;")], "failure", "asan failure", "asan layer_args")
m("context: a buffer leaks when its migration fails", "", [(CONTEXT, "        clReleaseMemObject(made);\n        return oclin_fail_cl", "        return oclin_fail_cl")],
  "faults create")
m("program: a binary's memory leaks", "", [(PROGRAM, "    const cl_int error = take_binary(ctx, p, options, binary, size);\n    free(binary);",
                                            "    const cl_int error = take_binary(ctx, p, options, binary, size);")], "asan cache second*")

# ------------------------------------------------------------------------------------- what a failed call has left behind

WRITTEN = "if (l->bias) oclin_tensor_written(call->step ? l->b : l->db, status);"
m("layer: b and db readable after a failed backward", "the launch writes both",
  [(LAYER, WRITTEN, WRITTEN.replace("l->bias", "l->bias && status == OCLIN_OK"))], "layer_state failure/*")
m("layer: w readable after b's part of a step failed", "nobody knows whether it has moved",
  [(LAYER, "for (int j = status == OCLIN_OK ? i : 0; j <= i; j++)", "for (int j = i; j <= i; j++)")], "layer_state failure/*")
m("layer: backward takes an unspecified y", "", [(LAYER, 'if (s->y) OCLIN_TRY(oclin_tensor_check_readable(ctx, s->y, "y"));', "")],
  "layer_state unspecified/*")
m("layer: backward takes an unspecified x", "", [(LAYER, 'OCLIN_TRY(oclin_tensor_check_readable(ctx, s->x, "x"));', "")],
  "layer_state unspecified/*")
m("layer: backward adds to an unspecified dw", "",
  [(LAYER, 'if (!l->dw->cleared) OCLIN_TRY(oclin_tensor_check_readable(l->ctx, l->dw, "dw"));', "")], "layer_state unspecified/*")
m("layer: a step with an unspecified db", "", [(LAYER, 'if (l->db) OCLIN_TRY(oclin_tensor_check_readable(ctx, l->db, "db"));', "")],
  "layer_state unspecified/*")
m("loss: reads an unspecified y", "",
  [(LOSS, "if (!a->output || a->accumulated) OCLIN_TRY(oclin_tensor_check_readable", "if (a->accumulated) OCLIN_TRY(oclin_tensor_check_readable")],
  "loss state/*")
m("loss: adds onto what is unspecified", "",
  [(LOSS, "if (!a->output || a->accumulated) OCLIN_TRY(oclin_tensor_check_readable", "if (!a->output) OCLIN_TRY(oclin_tensor_check_readable")],
  "loss state/*")
m("tensor: a write of some elements heals all", "", [(TENSOR, "else if (covers(t, u))", "else")], "sharing unspecified/*")
m("tensor: a write of the first and the last row heals all", "rows between are not covered",
  [(TENSOR, "if (u->rows > 1 && u->stride != t->stride) return 0;\n", "")], "sharing unspecified/*")
m("tensor: a write of some columns heals all", "",
  [(TENSOR, "return (first_of(u) - first_of(t)) % t->stride + u->cols <= t->cols;", "return 1;")], "sharing unspecified/*")
m("tensor: nothing heals", "", [(TENSOR, "            u->unspecified = 0;", "            ;")], "sharing unspecified/*")
m("tensor: a view of what is unspecified can be read", "", [(TENSOR, "t->unspecified |= u->unspecified;", "")], "sharing unspecified/*")
for field in ("readable", "writable", "host_readable", "host_writable"):
    m("tensor: a view forgets %s" % field, "what the buffer's flags allow",
      [(TENSOR, "    t->%s = base->%s;\n" % (field, field), "")], "sharing flags/*")

# ------------------------------------------------------------------------------------------------ zeros that are marked

SETTLED = "settle_all((oclin_tensor *[]){call->dy, s->x, s->y, l->w, l->b}, 5)"
m("layer: forward before b's marked zeros are written", "", [(LAYER, "{x, l->w, l->b}, 3)", "{x, l->w, l->b}, 2)")], "layer_state zero_grad/*")
m("layer: forward before w's marked zeros are written", "", [(LAYER, "{x, l->w, l->b}, 3)", "{x, l->b}, 2)")], "layer_state zero_grad/*")
m("layer: backward_step before b's marked zeros are written", "", [(LAYER, SETTLED, SETTLED.replace("5", "4"))], "layer_state zero_grad/*")
m("layer: dX before w's marked zeros are written", "", [(LAYER, SETTLED, SETTLED.replace("l->w, ", "").replace("5", "4"))],
  "layer_state zero_grad/*")
m("layer: a step before marked zeros of parameters are written", "", [(LAYER, "{all[i].dw, all[i].w}, 2)", "{all[i].dw, all[i].w}, 1)")],
  "layer_state zero_grad/*")
m("loss: added to before its marked zeros are written", "",
  [(LOSS, "c->options.accumulate ? oclin_tensor_settle(outputs[i])", "0 ? oclin_tensor_settle(outputs[i])")], "loss state/*")
m("layer: the workspace leaves out dW", "", [(LAYER, "i < 3 && batch > 0", "i < 2 && batch > 0")], "layer_state workspace/*")
m("loss: reserved is ignored", "", [(LOSS, "if (o->reserved != 0)", "if (0)")], "loss options/*")
TURN = "enqueue_rows(ctx, &by_row, c, classes, (float)(classes ? scale : 2.0 * scale));"
m("loss: every second gradient differs in its last bit", "",
  [(LOSS, TURN, "enqueue_rows(ctx, &by_row, c, classes, (float)(classes ? scale : 2.0 * scale) * (ctx->epoch % 2 ? 1.0f : 0x1.000002p0f));")],
  "loss *twice")
m("loss: every second sum differs in its last bit", "",
  [(LOSS, "enqueue_sum(ctx, &sum, c, (float)scale)", "enqueue_sum(ctx, &sum, c, (float)scale * (ctx->epoch % 2 ? 1.0f : 0x1.000002p0f))")],
  "loss *twice")

# -------------------------------------------------------------------------------------- alignment of one operand alone

OPERANDS = "{&p->a, &p->s, &p->b, &p->c, &p->v, &p->z}"
for operand in "asbcvz":
    m("plan: operand %s is not asked whether it is aligned" % operand, "",
      [(PLAN, OPERANDS, OPERANDS.replace("&p->%s" % operand, "&p->%s" % ("b" if operand == "a" else "a")))],
      "plan align*", *(["edges alone/*"] if operand not in "sz" else []))
m("plan: the bias is not asked whether it is aligned (Oclgrind)", "what the hardware may forgive",
  [(PLAN, OPERANDS, OPERANDS.replace("&p->v", "&p->a"))], "oclgrind-data edges alone/b*")
STEP_ALIGNED = "s->w->aligned && s->dw->aligned"
m("step: an unaligned dw taken for aligned", "", [(PRODUCT, STEP_ALIGNED, "s->w->aligned")], "edges alone/*")
m("step: an unaligned dw taken for aligned (Oclgrind)", "what the hardware may forgive", [(PRODUCT, STEP_ALIGNED, "s->w->aligned")],
  "oclgrind-data edges alone/dw*")
m("step: an unaligned w taken for aligned", "", [(PRODUCT, STEP_ALIGNED, "s->dw->aligned")], "edges alone/*")

# ------------------------------------------------------------------------------------------- drivers, and facts of devices

m("program: denormals are flushed", "by an option of the compiler", [(PROGRAM, '"-cl-std=CL1.2 -DOCLIN_GROUP', '"-cl-std=CL1.2 -cl-denorms-are-zero -DOCLIN_GROUP')],
  "edges denormals/*")
m("program: the third build is not tried", "", [(PROGRAM, "MOST_FAILURES = 3", "MOST_FAILURES = 2")], "program driver/*")
m("program: a fourth build is tried", "", [(PROGRAM, "MOST_FAILURES = 3", "MOST_FAILURES = 4")], "program driver/*")
m("program: builds of a folder's kernels end", "", [(PROGRAM, "p->failures += status == OCLIN_E_BUILD && !ctx->cl_dir;", "p->failures += status == OCLIN_E_BUILD;")],
  "program driver/*")
m("program: local memory of the built kernel is not looked at", "",
  [(PROGRAM, "p->fits = group_fits && local <= (cl_ulong)ctx->device.info.local_bytes;", "p->fits = group_fits;")], "program driver/*")
m("program: all of the local memory is too much", "",
  [(PROGRAM, "local <= (cl_ulong)ctx->device.info.local_bytes;", "local < (cl_ulong)ctx->device.info.local_bytes;")], "program driver/*")
m("program: a file for the folder of kernels is a folder without files", "",
  [(PROGRAM, "if (!file && errno != ENOENT)", "if (!file && errno != ENOENT && errno != ENOTDIR)")], "program replace/*")
m("program: the first device's binary is stored", "", [(PROGRAM, "while (i < count && devices[i] != ctx->device.info.device) i++;", "")],
  "program driver/*")
DEVICE = "src/device.c"
m("device: embedded devices without 64-bit integers accepted", "",
  [(DEVICE, 'return strcmp(profile, "EMBEDDED_PROFILE") != 0 || has_extension(device, "cles_khr_int64");', "return profile[0] != 1;")], "device facts/*")
m("device: embedded devices with 64-bit integers refused", "",
  [(DEVICE, ' || has_extension(device, "cles_khr_int64")', "")], "device facts/*")
m("device: the widest sub-group", "", [(DEVICE, "sizes[i] < narrowest", "sizes[i] > narrowest")], "device facts/*")
m("device: the first sub-group", "", [(DEVICE, "(!narrowest || sizes[i] < narrowest)", "!narrowest")], "device facts/*")
m("device: sub-groups without the extension", "",
  [(DEVICE, '!has_extension(device, "cl_intel_required_subgroup_size") ||\n        ', "")], "device facts/*")
m("device: the limit of the first dimension is not looked at", "", [(DEVICE, "facts->max_items = (int64_t)items[0];", ";")], "device facts/*")
m("device: the limit of the first dimension alone", "", [(DEVICE, "items[0] > 0 && (int64_t)items[0] < facts->max_items", "items[0] > 0")], "device facts/*")
m("device: a limit of 0 work-items is believed", "", [(DEVICE, "items[0] > 0 && (int64_t)items[0] < facts->max_items", "(int64_t)items[0] < facts->max_items")],
  "device facts/*")

# ------------------------------------------------------------------------------------------------------- the tuner's rules

TUNE, RULES = "src/tune.c", "tune rules/*"
m("tune: any gain wins", "", [(TUNE, "least_gain = 1.03", "least_gain = 1.0")], RULES)
m("tune: a gain of 3 % is not enough", "", [(TUNE, "least_gain = 1.03", "least_gain = 1.05")], RULES)
ROUNDS = "4 * faster >= 3 * arm->rounds"
m("tune: faster in few rounds wins", "", [(TUNE, ROUNDS, "1")], RULES)
m("tune: faster in half of the rounds wins", "", [(TUNE, ROUNDS, "2 * faster >= arm->rounds")], RULES)
m("tune: as fast is faster", "", [(TUNE, "arm->seconds[i] < of_default->seconds[i]", "arm->seconds[i] <= of_default->seconds[i]")], RULES)
m("tune: two rounds are enough", "", [(TUNE, "FEWEST_ROUNDS = 3", "FEWEST_ROUNDS = 2")], RULES)
m("tune: four rounds are needed", "", [(TUNE, "FEWEST_ROUNDS = 3", "FEWEST_ROUNDS = 4")], RULES)
m("tune: hopeless plans are timed on", "", [(TUNE, "hopeless = 1.25", "hopeless = 1.3")], RULES)
m("tune: plans that may win are dropped", "", [(TUNE, "hopeless = 1.25", "hopeless = 1.2")], RULES)
MEDIAN = "return 0.5 * (sorted[(n - 1) / 2] + sorted[n / 2]);"
m("tune: the best round counts", "", [(TUNE, MEDIAN, "return sorted[0];")], RULES)
m("tune: the mean counts", "", [(TUNE, MEDIAN, "double all = 0.0;\n    for (int i = 0; i < n; i++) all += sorted[i];\n    return all / n;")], RULES)
m("tune: NaN beside the samples is not seen", "", [(TUNE, "if (!isfinite(t->got[i]))", "if (0)")], RULES)
m("tune: results are not poisoned", "what the plan before has left is right",
  [(TUNE, "for (int i = first; i <= last; i++) OCLIN_TRY(oclin_tensor_fill(t->samples[i].result, NAN));", "")], RULES)
m("tune: its own context heeds the environment", "", [(TUNE, "o.ignore_environment = 1;", "o.ignore_environment = 0;")], RULES)
m("tune: other kernels than the caller's", "the folder is forgotten", [(TUNE, "o.cl_dir = ctx->cl_dir;", "")], RULES)
m("tuning: what was found of a folder's kernels is for all", "", [(TABLE, "return ctx->cache_dir && !ctx->cl_dir;", "return ctx->cache_dir != NULL;")], RULES)

# ------------------------------------------------------------------------------------------------- equal bits, every time

TURNS = "((l->ctx->layers_made - 1) / 2 % 2 ? 1.0f : 0x1.000002p0f)"
m("layer: the learning rate depends on the process", "equal bits in one, not in two",
  [(LAYER, ".k = batch, .lr = call->lr}", ".k = batch, .lr = call->lr * (1.0f + 0x1p-22f * (float)(oclin_os_process_id() % 1000))}")],
  "products simd-8 simd-8/processes")
m("layer: y depends on the process", "equal bits in one, not in two",
  [(LAYER, ".activation = l->activation, .scale = 1.0f}", ".activation = l->activation, .scale = 1.0f + 0x1p-22f * (float)(oclin_os_process_id() % 1000)}"),
   (FORWARD, "store_lanes(c, activate(sum), lanes)", "store_lanes(c, activate(sum * scale), lanes)")], "products simd-8 simd-8/processes")
m("layer: z differs in its last bit from time to time", "",
  [(LAYER, ".activation = l->activation, .scale = 1.0f}", ".activation = l->activation, .scale = %s}" % TURNS),
   (FORWARD, "store_lanes(z, sum, lanes)", "store_lanes(z, sum * scale, lanes)")], "products plain plain/small_gelu/*")
m("layer: a step differs in its last bit from time to time", "",
  [(LAYER, "{.w = l->b, .dw = l->db, .lr = lr}}", "{.w = l->b, .dw = l->db, .lr = lr * %s}}" % TURNS)], "products plain plain/pair/*")
m("tensor: zeros behind what was touched go elsewhere", "", [(TENSOR, "(size_t)(row + from) * sizeof zero", "(size_t)(row - from) * sizeof zero")],
  "layer_state zero_grad/*")
m("tensor: a view of what was just written counts as never written", "a finish that fails leaves it readable",
  [(TENSOR, "if (u->version > t->version) t->version = u->version;", "")], "sharing unspecified/*")
m("tensor: a view of what was just written counts as finished", "a finish that fails leaves it readable",
  [(TENSOR, "if (u->epoch > t->epoch) t->epoch = u->epoch;", "")], "sharing unspecified/*")
LEFT = "if (u == t || !oclin_tensor_overlap(t, u)) continue;\n        u->epoch = ctx->epoch;\n        if (!left) u->unspecified = 1;"
m("tensor: zeros of a dropped gradient that could not be written", "who looks there is not told",
  [(TENSOR, LEFT, LEFT.replace("if (!left) u->unspecified = 1;", ""))], "layer_state zero_grad/*")
m("tensor: zeros of a dropped gradient count as finished", "a finish that fails leaves them readable",
  [(TENSOR, LEFT, LEFT.replace("u->epoch = ctx->epoch;", ""))], "layer_state zero_grad/*")
m("tensor: who lies beside a dropped gradient is told that it is lost", "",
  [(TENSOR, LEFT, LEFT.replace("u == t || !oclin_tensor_overlap(t, u)", "u == t"))], "layer_state zero_grad/*")
m("tensor: the sentence names one element too many", "", [(TENSOR, "(long long)end_of(out) - 1", "(long long)end_of(out)")], "sharing overlap/*")
m("device: a custom device taken for an accelerator", "", [(DEVICE, "bits & CL_DEVICE_TYPE_ACCELERATOR", "bits | CL_DEVICE_TYPE_ACCELERATOR")], "device facts/*")
m("device: a wave that the driver does not tell", "",
  [(DEVICE, "&narrow, NULL) == CL_SUCCESS ? (int64_t)narrow : 0", "&narrow, NULL) == CL_SUCCESS ? (int64_t)narrow : 1")], "device facts/*")
HALF = "(rank == 0 ? t->end : half)"
m("tune: checks take all of the time", "", [(TUNE, HALF, "t->end")], "tune rules/ha*")
m("tune: defaults are not checked behind half of the time", "", [(TUNE, HALF, "half")], "tune rules/ha*")
m("program: the group that a kernel was compiled for does not count", "some drivers give a smaller limit",
  [(PROGRAM, " || (int64_t)required[0] == p->tile.group", "")], "program driver/*")
m("device: two compute units where the driver does not tell", "",
  [(DEVICE, "if (info->compute_units < 1) info->compute_units = 1;", "if (info->compute_units < 1) info->compute_units = 2;")], "device facts/*")
