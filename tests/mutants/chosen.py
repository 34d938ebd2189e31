"""Single mistakes that a person might make, chosen one by one. Every one must be killed.

m(name, what it is, edits, tests): an edit is (file, old text, new text) and must fit in one place, or (..., which of several,
from 0). tests are commands as in killers.py; one of them must fail. ci=True: also in the subset that CI runs.
"""
MUTANTS = []


def m(name, what, edits, *tests, ci=False):
    MUTANTS.append({"name": name, "what": what, "edits": edits, "tests": list(tests), "ci": ci})


COMMON, FORWARD, GRAD_X, GRAD_W = "cl/common.cl", "cl/forward.cl", "cl/grad_x.cl", "cl/grad_w.cl"
PLAIN, SIMT, SIMD = "cl/product_plain.cl", "cl/product_simt.cl", "cl/product_simd.cl"
SKINNY, GRADS, LOSS_CL, UPDATE, FILL = ("cl/forward_skinny.cl", "cl/one_pass_skinny.cl", "cl/loss_cross_entropy.cl", "cl/update.cl",
                                        "cl/fill.cl")
ELEMENT, EPILOGUE, GRADIENT, RULE = "cl/element_f32.cl", "cl/epilogue.cl", "cl/gradient.cl", "cl/rule_sgd.cl"
SIMD_PACK, NARROW, ROWS_CL = "cl/simd_pack.cl", "cl/forward_narrow.cl", "cl/rows.cl"
RELU, SIGMOID, TANH, GELU, SILU, GELU_TANH, LEAKY_RELU, SOFTPLUS, ELU = (
    "cl/activation_%s.cl" % name
    for name in ("relu", "sigmoid", "tanh", "gelu", "silu", "gelu_tanh", "leaky_relu", "softplus", "elu"))
WAY, PLAN_PLAIN, PLAN_SIMT, PLAN_SIMD, PLAN_NARROW, PLAN_SKINNY = (
    "src/plan/%s.c" % name for name in ("way", "plain", "simt", "simd", "narrow", "skinny"))
ACTIVATION = "src/ops/activation.c"
LAYER, PLAN, PRODUCT, LOSS, PROGRAM = "src/layer.c", "src/plan/plan.c", "src/ops/product.c", "src/loss.c", "src/core/program.c"
LOSS_MSE, LOSS_SUM, LOSS_COMMON, LOSS_KIND, BOUNDS = ("cl/loss_mse.cl", "cl/loss_sum.cl", "cl/loss_common.cl", "src/ops/loss_kind.c",
    "src/ops/bounds.h")
USES, RECTANGLE, BASE, ERROR, MEMORY, LAUNCH, OPEN = ("src/tensor/uses.c", "src/tensor/rectangle.c", "src/core/base.h", "src/core/error.c",
    "src/core/memory.c", "src/core/launch.c", "src/open.c")
TENSOR, CACHE, CONTEXT, TABLE, RANDOM = ("src/tensor/tensor.c", "src/core/cache.c", "src/core/context.c", "src/plan/tune_table.c",
                                         "src/check/random.c")

# A few rows of test_products on one activation: few kernels to compile.
ON_PLAIN, ON_SIMT, ON_SIMD, ON_SKINNY = ("products %s %s/small/*/none/*" % (p, p)
                                         for p in ("plain", "simt-16", "simd-8", "simd-skinny"))
EDGE_PLAIN, EDGE_SIMT, EDGE_SIMD = ("products %s %s/edge/*" % (p, p) for p in ("plain", "simt-16", "simd-8"))
SPLIT_SUMS, OCCUPANCY = "cl/split_sums.cl", "src/plan/occupancy.c"
ON_SPLIT, PAIR_SPLIT = ("products simt-16-split simt-16-split/%s" % rows for rows in ("small/*/none/*", "pair/*/none/*"))
BLOCK_SIMD, BLOCK_SKINNY = "products simd-8 simd-8/block/*", "products simd-skinny simd-skinny/block/*"


def on(plan, activation):
    return "products %s %s/small/*/%s/*" % (plan, plan, activation)


# ---------------------------------------------------------------------------------------------- k dropped or doubled

m("plain: drops the last k", "the sum ends one product early",
  [(PLAIN, "i < min(k0 + block_k, k); i++)\n            part =", "i < min(k0 + block_k, k - 1); i++)\n            part =")],
  ON_PLAIN, ci=True)
m("plain: doubles the last k", "the last product is added twice",
  [(PLAIN, "        sum += part;\n", "        if (k0 + block_k >= k) part = MULTIPLY_ADD(load_a(a, a_stride, s, s_stride, row, k - 1), load_b(b, "
    "b_stride, k - 1, column), part);\n        sum += part;\n")], ON_PLAIN)
m("plain: db drops the last sample", "the sum over the batch ends one early",
  [(PLAIN, "i < min(k0 + block_k, k); i++) part += load_a", "i < min(k0 + block_k, k - 1); i++) part += load_a")], ON_PLAIN)
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
  [(SIMD, "for (; k < end; k++) s0", "for (; k < end; k++) if (k < depth - 1) s0")], ON_SIMD)
m("simd: only the last block of k counts", "earlier sums are overwritten",
  [(SIMD, "if (!first) {", "if (0) {")], ON_SIMD, BLOCK_SIMD)
m("simd: sums are never reset", "what the tile held before is added",
  [(SIMD, "if (!first) {", "if (1) {")], ON_SIMD, EDGE_SIMD, BLOCK_SIMD)
m("simd: db only of the last block of k", "earlier sums of A's rows are overwritten",
  [(SIMD, "begins ? part[j] : *now + part[j]", "part[j]")], ON_SIMD, BLOCK_SIMD)
m("forward_skinny: drops the rest of k", "elements that do not fill a vector are left out",
  [(SKINNY, "if (k < depth) multiply(all, a_rows, b_rows, k, depth - k);", "")], ON_SKINNY)
m("forward_skinny: only the last block of k", "earlier sums are overwritten",
  [(SKINNY, "first ? s : *to + s", "s")], ON_SKINNY, BLOCK_SKINNY)
m("one_pass_skinny: dX of the last block of W alone", "dX is reset for each TILE_K rows",
  [(GRADS, "dx[0] = MULTIPLY_ADD(z03, wr, sum0);", "dx[0] = z03 * wr;")], ON_SKINNY)
m("one_pass_skinny: dW drops the last sample", "the sum over samples ends one early",
  [(GRADS, "for (int i = 0; i < samples; i++, x += TILE_VECTORS", "for (int i = 0; i < samples - 1; i++, x += TILE_VECTORS")], ON_SKINNY, BLOCK_SKINNY)

# --------------------------------------------------------------------------------------------------- indexes, bounds

m("plain: B transposed", "B is read along the wrong index", [(PLAIN, "B_ALONG_K ? column", "!B_ALONG_K ? column")], ON_PLAIN)
m("plain: one result too many", "the last work-item has no result", [(PLAIN, "item >= m * n", "item > m * n")],
  ON_PLAIN, EDGE_PLAIN, "oclgrind products plain plain/small/*/none/*")
m("plain: stride of s taken for that of dy", "the derivative's operand is read with dY's stride",
  [(PLAIN, ": k * s_stride + row", ": k * a_stride + row")], on("plain", "tanh"), "products plain plain/pair/*/tanh/*")
m("plain: c has no stride", "rows of C lie close", 
  [(PLAIN, "at(e, row, column)", "MOVED(e, row * n + column, 0, row * e.z_stride + column, column)")], ON_PLAIN, ci=True)
m("simt: two rows of a quad swapped", "a transposed store goes to the wrong k",
  [(SIMT, "to[1 * STRIDE(rows)] = quad[q].y", "to[1 * STRIDE(rows)] = quad[q].z"),
   (SIMT, "to[2 * STRIDE(rows)] = quad[q].z", "to[2 * STRIDE(rows)] = quad[q].y")], ON_SIMT)
m("simt: stores a row too many", "the row behind the matrix is written", [(SIMT, "r < rows && from", "r <= rows && from")], ON_SIMT, EDGE_SIMT)
m("simt: db in every column of tiles", "the fused step of b happens more than once",
  [(SIMT, "if (column == 0 &&", "if (")], ON_SIMT, EDGE_SIMT)
m("simt: reads rows outside the matrix", "no row inside stands in for those outside",
  [(SIMT, "return row < rows_inside ? row : 0;", "return row;")], ON_SIMT, EDGE_SIMT, "oclgrind-data edges tight_end/simt-16")
m("simd: stores a row too many", "the row behind the block is written",
  [(SIMD, "row < min(rows, OCLIN_ITEM_M); row++", "row < min(rows + 1, OCLIN_ITEM_M); row++")], ON_SIMD)
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
  [(SIMD, "e = at(all, row0, column0)", "e = at(all, 0, column0)")], ON_SIMD, BLOCK_SIMD)
m("simd: db of a later block of rows goes to the first", "where the block's rows begin is left out",
  [(SIMD, "at_sum(all, row0 + row, n)", "at_sum(all, row, n)")], ON_SIMD, BLOCK_SIMD)
ON_NARROW, BLOCK_NARROW = ("products simd-narrow simd-narrow/%s" % rows for rows in ("small/*/none/*", "block/*"))
m("narrow: drops the last k of a block", "the multiplication ends one early",
  [(NARROW, "k < depth; k++, x += OCLIN_ITEM_N", "k < depth - 1; k++, x += OCLIN_ITEM_N")], ON_NARROW)
m("narrow: only the last block of k counts", "earlier sums are overwritten",
  [(NARROW, "*to = first ? sum[i] : *to + sum[i];", "*to = sum[i];")], ON_NARROW, BLOCK_NARROW)
m("narrow: the first row of W for all", "the rows of a strip are not told apart",
  [(NARROW, "w_row[i] = w + min(i, rows - 1) * w_stride", "w_row[i] = w")], ON_NARROW)
m("narrow: reads behind the last row of W", "no row inside stands in for those outside",
  [(NARROW, "w_row[i] = w + min(i, rows - 1) * w_stride", "w_row[i] = w + i * w_stride")],
  "oclgrind-data edges tight_end/simd-narrow")
m("narrow: later panels multiply the first one's samples", "the panel is left out",
  [(NARROW, "x + panel * panel_floats", "x")], ON_NARROW, BLOCK_NARROW)
m("narrow: later groups read the first one's rows of W", "where a group's columns begin is left out",
  [(NARROW, "b += b_offset + column0 * b_stride;\n\n", "b += b_offset;\n\n")], ON_NARROW, BLOCK_NARROW)
m("narrow: a sample's neighbour is stored", "sums of the sample beside it", [(NARROW, "* width + sample]", "* width + (sample + 1) % samples]")],
  ON_NARROW)
m("narrow: the last columns of a group are the first again", "what stands in for columns outside the group",
  [(NARROW, "sums[min(column + j, columns - 1) * width", "sums[min(j, columns - 1) * width")], BLOCK_NARROW, ON_NARROW)
m("plan: narrow for half a panel", "most of what it computes is not wanted", [(PLAN_NARROW, "10 * p->m >= 9 * oclin_round_up", "10 * p->m >= 5 * oclin_round_up")], "plan")
m("plan: narrow blocks of more columns than there is room for", "the sums overwrite what lies behind",
  [(PLAN_NARROW, "if (parts < oclin_ceil_divide(p->n, most)) parts", "if (0) parts")], "plan")
m("plan: packs what no cache holds as if one did", "large packed operands go through memory",
  [(PLAN_SIMD, "exceeds_caches(d, 2 * packed) ? COST_SPILLED : 0.0", "exceeds_caches(d, 2 * packed) ? 0.0 : 0.0")], "plan")
m("plan: asks ahead where the compiler cannot", "__builtin_prefetch() ends the build on other compilers",
  [(PLAN_SIMD, "tile.prefetch = d->prefetches &&", "tile.prefetch =")], "plan")
m("simd: shuffle takes the wrong half", "two rows of a transposed 4 x 4 are swapped",
  [(SIMD_PACK, "t[1][j] = EVEN_OF_4(o0, o1);\n            t[2][j] = ODD_OF_4(e0, e1);",
    "t[1][j] = ODD_OF_4(e0, e1);\n            t[2][j] = EVEN_OF_4(o0, o1);")], ON_SIMD)
m("simd: packs of B's neighbour", "a panel in scratch memory is one too far",
  [(SIMD, "panels_from + k0 / block_k * all_panels * PANEL_FLOATS", "panels_from + (k0 / block_k * all_panels + 1) * PANEL_FLOATS")],
  "products simd-packed simd-packed/small/*/none/*", "products simd-packed simd-packed/edge/*")
m("simd: pack ends one block of A early", "the last strips stay as they were in scratch memory",
  [(SIMD, "if (part < of_a) {", "if (part < of_a - 1) {")], "products simd-packed simd-packed/small/*/none/*",
  "products simd-packed simd-packed/edge/*")
m("load: one lane too many", "the element behind the row is read",
  [(ELEMENT, "part[i] = i < lanes ? p[i]", "part[i] = i <= lanes ? p[i]")], ON_SIMT, EDGE_SIMT,
  "oclgrind products simt-16 simt-16/edge/?x1*x9*", "oclgrind products simd-8 simd-8/edge/7x1*")
m("store: one lane too many", "the element behind the row is written", [(ELEMENT, "if (i < lanes) p[i]", "if (i <= lanes) p[i]")],
  ON_SIMT, ON_SIMD, ci=True)
m("forward_skinny: last row twice", "a row past the edge is not another row's but the next",
  [(SKINNY, "min(i, rows - 1)", "i")], "oclgrind-data edges tight_end/simd")
m("forward_skinny: rows and columns of blocks exchanged", "the group's row is its column",
  [(SKINNY, "block / blocks_n * block_m, column0 = block % blocks_n * block_n", "block % blocks_n * block_m, column0 = block / blocks_n * block_n")],
  ON_SKINNY, BLOCK_SKINNY)
m("one_pass_skinny: a sum of dX goes on where one ended", "the rows that come next begin with the last ones' sum",
  [(GRADS, "k0 % block_m == 0 && r == 0, ahead", "k0 == 0 && r == 0, ahead")], "products simd-skinny simd-skinny/*", "sums like/simd-skinny/dx*")
m("step: one element too many", "update.cl writes behind the row",
  [(UPDATE, "UPDATE_MOVED(u, i), flags, lanes);", "UPDATE_MOVED(u, i), flags, lanes + 1);")],
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
ODD_RACES = "oclgrind products simt-16 simt-16/edge/?x1*x9*"  # an odd number of tiles: the last one lies where the sums of A go
for i, where in enumerate(("among the sums of A", "before the loop", "in the loop", "behind the loop")):
    m("simt: no barrier %s" % where, "removed", [(SIMT, "barrier(CLK_LOCAL_MEM_FENCE);", ";", i)], ODD_RACES if i == 3 else RACES,
      ci=i == 1)
for i, where in enumerate(("entry of group_sum", "tree of group_sum", "exit of group_sum", "entry of group_max", "tree of group_max",
                           "exit of group_max")):
    m("loss: no barrier, %s" % where, "removed", [(ROWS_CL, "barrier(CLK_LOCAL_MEM_FENCE);", ";", i)], "oclgrind loss cross_entropy/*")
m("simt: zeros behind k are missing (along k)", "quads behind the end of k read on",
  [(SIMT, "quad[q] = load_lanes(from[q], left)", "quad[q] = load_quad(from[q], 3)")], ON_SIMT, EDGE_SIMT)
m("simt: zeros behind k are missing (across k)", "rows behind the end of k read on",
  [(SIMT, "left > 0 ? load_quad(from[q], last) : (float4)(0.0f)", "load_quad(from[q], last)")], ON_SIMT, EDGE_SIMT)
m("simt: tail of a tile uninitialised", "rows behind the end of k are not set",
  [(SIMT, "            quad[q] = left > 0 ? load_quad(from[q], last) : (float4)(0.0f);",
    "        {\n            if (left > 0) quad[q] = load_quad(from[q], last);\n        }")], ON_SIMT, RACES)
m("simt: stale tile", "the same buffer is read again instead of the other", [(SIMT, "front ^= 1;", "front ^= 0;")], ON_SIMT, EDGE_SIMT, RACES)
m("one_pass_skinny: chunks of 16 samples always", "those that are not there are what local memory held before",
  [(GRADS, "x + i * TILE_VECTORS, min(samples - i, CHUNK));", "x + i * TILE_VECTORS, CHUNK);")], "layer_data simd/nothing*")
m("load: tail uninitialised", "lanes that do not exist are not set to 0",
  [(ELEMENT, "part[i] = i < lanes ? p[i] : 0.0f", "if (i < lanes) part[i] = p[i]")], "oclgrind products simt-16 simt-16/edge/?x1*x9*")
m("simd: sums start with what was there", "the sums of a register tile are not set to 0",
  [(SIMD, "for (int i = 0; i < SUMS; i++) sum[i] = (real)(0.0f);", "for (int i = 0; i < SUMS; i++) sum[i] = c[i];", 0)], ON_SIMD, EDGE_SIMD)
m("one_pass_skinny: dX starts with what was there", "no row of W begins a sum",
  [(GRADS, "k0 % block_m == 0 && r == 0, ahead", "0, ahead")], ON_SKINNY, BLOCK_SKINNY,
  "oclgrind products simd-skinny simd-skinny/small/*/none/*")

# -------------------------------------------------------------------------- tiles larger and smaller than the NDRange

SIMT_GROUPS = "oclin_ceil_divide(p->m, t->tile_m) * oclin_ceil_divide(p->n, t->tile_n);"
m("simt: groups for a tile twice as wide", "half of the columns are not computed",
  [(PLAN_SIMT, SIMT_GROUPS, SIMT_GROUPS.replace("t->tile_n", "(2 * t->tile_n)"))], EDGE_SIMT)
m("simt: groups for a tile half as wide", "groups beyond the matrix read there",
  [(PLAN_SIMT, SIMT_GROUPS, SIMT_GROUPS.replace("t->tile_n", "t->tile_n / 2"))],
  EDGE_SIMT, "plan", "oclgrind-data edges tight_end/simt-16")
SIMD_BLOCKS = "return oclin_ceil_divide(p->m, plan->block_m) * oclin_ceil_divide(p->n, plan->block_n);"
m("simd: groups for the largest block", "blocks are smaller: some are not computed",
  [(WAY, SIMD_BLOCKS, SIMD_BLOCKS.replace("plan->block_n", "plan->tile.tile_n"))], "plan", "products simd-staged simd-staged/edge/*")
QUEUED = "blocks = (m + block_m - 1) / block_m * ((n + block_n - 1) / block_n)"
m("simd: a queue of blocks of the largest size", "blocks are smaller: some are not computed",
  [(SIMD, QUEUED, QUEUED.replace("block_n", "OCLIN_TILE_N"))], EDGE_SIMD, BLOCK_SIMD)
m("forward_skinny: a queue of blocks of the largest size", "blocks are smaller: some are not computed",
  [(SKINNY, QUEUED, QUEUED.replace("block_n", "OCLIN_TILE_N"))], BLOCK_SKINNY)
m("queue: nobody clears the counters", "the next launch finds no work left",
  [(EPILOGUE, "if (ticket == tickets + (long)get_num_groups(0) - 1) counters", "if (0) counters")], "queue", ON_SIMD)
m("queue: the first who finds no work clears the counters", "others may still take tickets",
  [(EPILOGUE, "if (ticket == tickets + (long)get_num_groups(0) - 1) counters", "if (ticket == tickets) counters")], ON_SIMD, BLOCK_SIMD)
m("queue: what was packed stays counted", "the next launch waits for nothing",
  [(EPILOGUE, "counters[0] = counters[OCLIN_TICKETS_PACKED] = 0", "counters[0] = 0")], "queue", ci=True)
m("queue: nobody waits for what is packed", "blocks are computed from what an earlier launch has packed",
  [(SIMD, "        await_packed(counters, parts);\n", "")], "queue")
m("queue: waits for all parts but one", "the slowest is not waited for", [(EPILOGUE, "< parts) {", "< parts - 1) {")], "queue")
m("queue: parts that groups share out unevenly", "some parts are done twice and others never",
  [(EPILOGUE, "min(group, count % groups)", "0 * min(group, count % groups)")], EDGE_SIMD, BLOCK_SIMD,
  "products simd-packed simd-packed/edge/*")
m("mixed: one place for the panels of all groups", "two threads pack over each other",
  [(SIMD, "get_group_id(0) * PANELS * PANEL_FLOATS", "0 * PANELS * PANEL_FLOATS")], "products simd-mixed simd-mixed/block/*")
m("plan: mixed without room for all panels", "a group's panels lie behind the memory",
  [(PLAN_SIMD, "d->info.compute_units * OCLIN_SIMD_PANELS *", "OCLIN_SIMD_PANELS *")], "plan")
m("plan: reserves for packing alone", "a mixed product of the same layer may need more",
  [(PLAN_SIMD, "packed > bytes ? packed : bytes", "packed")], "plan")
m("plan: a queue of more parts than it can count", "", [(WAY, "plan->tile.tickets && parts <= most", "plan->tile.tickets")], "plan")
m("plan: a queue where the compiler has no fence", "__sync_synchronize() ends the build on other compilers",
  [(PLAN_SIMD, "t->tickets = d->tickets;", "t->tickets = 1;")], "plan")
m("plan: a block as wide as the tile whatever its height", "the sums overwrite what lies behind",
  [(PLAN_SIMD, "t->tile_m * t->tile_n / m, step", "t->tile_m * t->tile_n / t->item_m, step")], "plan", BLOCK_SIMD)
m("simt: kernel built for a smaller tile than planned", "the NDRange is that of the larger",
  [(PROGRAM, "    const struct oclin_tile *t = &r->tile;\n", "    struct oclin_tile half = r->tile, *t = &half;\n    if (half.family == OCLIN_SIMT) half.tile_n /= 2;\n")],
  EDGE_SIMT)
m("plain: one group too few", "the remainder is not computed", [
    (PLAN_PLAIN, "oclin_ceil_divide(p->m * p->n, plan->tile.group)", "p->m * p->n / plan->tile.group + (p->m * p->n < plan->tile.group)")],
  ON_PLAIN, EDGE_PLAIN)
m("elements: one group too few", "a step or fill ends early",
  [(LAUNCH, "oclin_ceil_divide(rows * oclin_ceil_divide(cols, t->item_n), t->group)", "rows * oclin_ceil_divide(cols, t->item_n) / t->group + (rows * oclin_ceil_divide(cols, t->item_n) < t->group)")],
  "layer_gradients", "tensor", EDGE_SIMT, "products plain plain/extreme/*")

# ------------------------------------------------------------------------------------------------------- bias, scale

m("forward: no bias", "b is not added", [(FORWARD, "if (e.flags & OCLIN_FLAG_BIAS) sum += load_lanes(e.bias, lanes);", "")], ON_PLAIN, ci=True)
m("forward: always a bias", "b is added to layers that have none", [(FORWARD, "if (e.flags & OCLIN_FLAG_BIAS) sum", "sum")],
  "products plain plain/pair/*/none/no_bias/*", "products simt-16 simt-16/pair/*/none/no_bias/*")
m("grad_w: db never summed", "(plain)", [(PLAIN, "(flags & OCLIN_FLAG_BIAS)", "0")], ON_PLAIN)
m("one_pass_skinny: db by every group", "the fused step of b happens more than once", [(GRADS, "if (column0 == 0 && flags", "if (flags")],
  ON_SKINNY, BLOCK_SKINNY)
m("grad_w: db not divided by the batch", "scale is left out", [(GRAD_W, "store_gradient(sum * e.scale, e.db", "store_gradient(sum, e.db")], ON_PLAIN)
m("grad_w: dW not divided by the batch", "scale is left out", [(GRAD_W, "store_gradient(sum * e.scale, e.c", "store_gradient(sum, e.c")], ON_PLAIN)
m("one_pass_skinny: dX divided by the batch", "the mean is of parameters' gradients alone",
  [(GRADS, "const real sum = dx[j / OCLIN_VL];", "const real sum = dx[j / OCLIN_VL] / samples;")], ON_SKINNY)
m("loss: gradient of mse without its 2", "", [(LOSS_KIND, ".slope = 2,", ".slope = 1,")], "loss plain/*", "golden plain")
m("loss: mean of mse over rows alone", "", [(LOSS_KIND, ".by_elements = 1", ".by_elements = 0", 0)], "loss plain/*", "golden plain")

# ------------------------------------------------------------------------------------------------ activations

m("relu: derivative 1 at 0", "", [(RELU, "islessequal(s", "isless(s")], on("plain", "relu"), "products plain plain/pair/*/relu/*",
  "layer_data", "golden plain")
m("relu: NaN becomes 0", "fmax loses it", [(RELU, "select(z, (real)(0.0f), isless(z, (real)(0.0f)))", "fmax(z, (real)(0.0f))")], "layer_data",
  "math plain")
m("relu: derivative by multiplication", "Inf * 0 appears",
  [(RELU, "select(dy, (real)(0.0f), islessequal(s, (real)(0.0f)))", "dy * select((real)(1.0f), (real)(0.0f), islessequal(s, (real)(0.0f)))")],
  "layer_data", "math plain")
m("sigmoid: derivative from z", "s is y, not z", [(SIGMOID, "dy * (s * (1.0f - s))", "dy * (1.0f / (2.0f + exp(-s) + exp(s)))")], on("plain", "sigmoid"))
m("tanh: derivative without the square", "", [(TANH, "dy * (1.0f - s * s)", "dy * (1.0f - s)")], on("plain", "tanh"))
m("gelu: the tanh approximation", "its value is not the erf form's",
  [(GELU, "0.5f * z * erfc(z * -0.70710678118654752f)", "0.5f * z * (1.0f + tanh(0.79788456080286536f * (z + 0.044715f * z * z * z)))")],
  "products plain plain/small_gelu/*")
m("gelu: derivative without z pdf(z)", "", [(GELU, "dy * (cdf + s * pdf)", "dy * cdf")], "products plain plain/small_gelu/*")
m("gelu: derivative from y", "the layer hands out y instead of z", 
  [(ACTIVATION, 'ROW("gelu", gelu, OCLIN_KEEPS_Z, 0)', 'ROW("gelu", gelu, OCLIN_KEEPS_Y, 0)')],
  "math plain plain/edges/gelu/*")
m("activation: value in the wrong place", "z is stored after the activation",
  [(FORWARD, "store_lanes(e.z, sum, lanes);", "store_lanes(e.z, activate(sum), lanes);")],
  "products plain plain/small_gelu/*")

# Those with a number, and those whose derivative takes two branches. z_rows: the products of those that keep z.
def edges(activation):
    return "math plain plain/edges/%s/*" % activation


def z_rows(activation):
    return "products plain plain/small_gelu/*/%s/*" % activation


m("silu: derivative without z (1 - p)", "", [(SILU, "dy * (below * (1.0f + s * above))", "dy * below")], z_rows("silu"))
m("silu: derivative from y", "the layer hands out y instead of z",
  [(ACTIVATION, 'ROW("silu", silu, OCLIN_KEEPS_Z, 0)', 'ROW("silu", silu, OCLIN_KEEPS_Y, 0)')], edges("silu"))
m("silu: p and 1 - p change places below 0", "a wrong branch",
  [(SILU, "below = select(near_1, near_0,", "below = select(near_0, near_1,")], z_rows("silu"))
m("silu: the other branch of the value", "", [(SILU, "e, isless(z, (real)(0.0f))) / (1.0f + e)", "e, isgreater(z, (real)(0.0f))) / (1.0f + e)")],
  z_rows("silu"))
m("silu: NaN at -Inf", "the value is not bounded on the left", [(SILU, "z = select(z, (real)(-200.0f), isless(z, (real)(-200.0f)));", "")], edges("silu"))
m("silu: bounded where there still are digits", "left of -20 it is not 0 yet",
  [(SILU, "z = select(z, (real)(-200.0f), isless(z, (real)(-200.0f)));", "z = select(z, (real)(-20.0f), isless(z, (real)(-20.0f)));")], edges("silu"))
m("silu: derivative NaN at Inf", "the value is not bounded on both sides",
  [(SILU, "s = select(s, copysign((real)(200.0f), s), isgreater(fabs(s), (real)(200.0f)));", "")], edges("silu"))
m("silu: NaN becomes a number", "fmax loses it", [(SILU, "select(z, (real)(-200.0f), isless(z, (real)(-200.0f)))", "fmax(z, (real)(-200.0f))")],
  edges("silu"))
m("silu: derivative 1 far on the left", "the sign is left out", [(SILU, "copysign((real)(200.0f), s)", "(real)(200.0f)")], edges("silu"))
m("gelu_tanh: a digit of 0.044715 is lost", "a wrong constant", [(GELU_TANH, "(real)(0.044715f)", "(real)(0.04715f)")], z_rows("gelu_tanh"))
m("gelu_tanh: sqrt(2 / pi) twice rounded", "a wrong constant",
  [(GELU_TANH, "1.5957691216057308f * z", "1.5957f * z")], z_rows("gelu_tanh"), edges("gelu_tanh"))
m("gelu_tanh: the slope without its 3", "a wrong constant", [(GELU_TANH, "(real)(0.134145f)", "(real)(0.044715f)")], z_rows("gelu_tanh"))
m("gelu_tanh: the other branch of the value", "", [(GELU_TANH, "e, isless(v, (real)(0.0f))) / (1.0f + e)", "e, isgreater(v, (real)(0.0f))) / (1.0f + e)")],
  z_rows("gelu_tanh"))
m("gelu_tanh: p and 1 - p change places below 0", "a wrong branch",
  [(GELU_TANH, "above = select(near_0, near_1,", "above = select(near_1, near_0,")], z_rows("gelu_tanh"))
m("gelu_tanh: 1 + tanh", "digits on the left cancel",
  [(GELU_TANH, "return z * select((real)(1.0f), e, isless(v, (real)(0.0f))) / (1.0f + e);", "return 0.5f * z * (1.0f + tanh(0.5f * v));")],
  z_rows("gelu_tanh"), edges("gelu_tanh"))
m("gelu_tanh: NaN becomes a number", "fmax loses it", [(GELU_TANH, "select(z, (real)(-30.0f), isless(z, (real)(-30.0f)))", "fmax(z, (real)(-30.0f))")],
  edges("gelu_tanh"))
m("gelu_tanh: NaN at -Inf", "the value is not bounded on the left", [(GELU_TANH, "z = select(z, (real)(-30.0f), isless(z, (real)(-30.0f)));", "")],
  edges("gelu_tanh"))
m("gelu_tanh: derivative NaN at Inf", "the value is not bounded on both sides",
  [(GELU_TANH, "s = select(s, copysign((real)(30.0f), s), isgreater(fabs(s), (real)(30.0f)));", "")], edges("gelu_tanh"))
m("leaky_relu: the alpha of PyTorch whatever is asked for", "a wrong constant", [(LEAKY_RELU, "OCLIN_ALPHA * z", "0.01f * z")], "layer_data plain/alpha")
m("leaky_relu: derivative with the alpha of PyTorch", "a wrong constant", [(LEAKY_RELU, "OCLIN_ALPHA * dy", "0.01f * dy")], "layer_data plain/alpha")
m("leaky_relu: derivative 1 at 0", "", [(LEAKY_RELU, "isgreater(s", "isgreaterequal(s")], edges("leaky_relu"), on("plain", "leaky_relu"))
m("leaky_relu: NaN becomes 0", "fmax and fmin lose it",
  [(LEAKY_RELU, "select(z, OCLIN_ALPHA * z, isless(z, (real)(0.0f)))", "fmax(z, (real)(0.0f)) + OCLIN_ALPHA * fmin(z, (real)(0.0f))")],
  edges("leaky_relu"))
m("softplus: log(1 + exp(z)) as it is written", "exp overflows", [(SOFTPLUS, "+ log1p(exp(-fabs(z)));", "* 0.0f + log1p(exp(z));")], edges("softplus"))
m("softplus: log of a sum with 1", "digits on the left are lost", [(SOFTPLUS, "log1p(exp(-fabs(z)))", "log(1.0f + exp(-fabs(z)))")],
  edges("softplus"), on("plain", "softplus"))
m("softplus: the other branch", "min(z, 0)", [(SOFTPLUS, "isless(z, (real)(0.0f))", "isgreater(z, (real)(0.0f))")], on("plain", "softplus"))
m("softplus: derivative by a difference from 1", "digits on the left are lost", [(SOFTPLUS, "-expm1(-s)", "(1.0f - exp(-s))")],
  edges("softplus"), on("plain", "softplus"))
m("softplus: derivative from z", "the layer hands out z instead of y",
  [(ACTIVATION, 'ROW("softplus", softplus, OCLIN_KEEPS_Y, 0)', 'ROW("softplus", softplus, OCLIN_KEEPS_Z, 0)')], edges("softplus"))
m("elu: the alpha of PyTorch whatever is asked for", "a wrong constant", [(ELU, "OCLIN_ALPHA * expm1(z)", "expm1(z)")], "layer_data plain/alpha")
m("elu: derivative with the alpha of PyTorch", "a wrong constant", [(ELU, "OCLIN_ALPHA * exp(s)", "exp(s)")], "layer_data plain/alpha")
m("elu: derivative 1 at 0", "which only another alpha than 1 shows", [(ELU, "islessequal(s", "isless(s")], "layer_data plain/alpha")
m("elu: exp - 1", "digits near 0 are lost", [(ELU, "expm1(z)", "(exp(z) - 1.0f)")], edges("elu"), z_rows("elu"))
m("elu: NaN becomes 0", "fmax and fmin lose it",
  [(ELU, "select(z, OCLIN_ALPHA * expm1(z), islessequal(z, (real)(0.0f)))", "fmax(z, (real)(0.0f)) + OCLIN_ALPHA * expm1(fmin(z, (real)(0.0f)))")],
  edges("elu"))
m("elu: derivative from y", "the layer hands out y instead of z",
  [(ACTIVATION, 'ROW("elu", elu, OCLIN_KEEPS_Z, 1)', 'ROW("elu", elu, OCLIN_KEEPS_Y, 1)')], edges("elu"))
m("layer: forward forgets alpha", "", [(LAYER, ".activation = l->activation, .alpha = l->alpha, .scale", ".activation = l->activation, .scale")],
  "layer_data plain/alpha")
m("layer: backward forgets alpha", "", [(LAYER, "p->alpha = call->layer->alpha;", "")], "layer_data plain/alpha")
ALPHA = "if (o->alpha == 0 || !isfinite(o->alpha))"
m("layer: alpha 0 accepted", "", [(LAYER, ALPHA, "if (!isfinite(o->alpha))")], "layer alpha/refused")
m("layer: alpha NaN accepted", "", [(LAYER, ALPHA, "if (o->alpha == 0 || isinf(o->alpha))")], "layer alpha/refused", ci=True)
m("layer: alpha Inf accepted", "", [(LAYER, ALPHA, "if (o->alpha == 0 || isnan(o->alpha))")], "layer alpha/refused")
m("activation: a number below 0 is taken as it is", "", [(ACTIVATION, "return alpha < 0 ? rows[activation].alpha : alpha;", "(void)activation;\n    return alpha;")],
  on("plain", "leaky_relu"))
m("program: a kernel of another alpha", "the list of built kernels forgets it", [(PROGRAM, "a->alpha == b->alpha &&", "a->rule == b->rule &&")],
  "layer_data plain/alpha")

# At the ends of the range, where an Inf meets a 0 and a factor leaves the floats.
m("gelu: NaN at -Inf", "the value is not bounded on the left", [(GELU, "z = select(z, (real)(-30.0f), isless(z, (real)(-30.0f)));", "")],
  "math plain plain/edges/gelu/*")
m("gelu: derivative NaN at Inf", "the value is not bounded on both sides",
  [(GELU, "s = select(s, copysign((real)(30.0f), s), isgreater(fabs(s), (real)(30.0f)));", "")], "math plain plain/edges/gelu/*")
m("gelu: NaN becomes a number", "fmax loses it", [(GELU, "select(z, (real)(-30.0f), isless(z, (real)(-30.0f)))", "fmax(z, (real)(-30.0f))")],
  "math plain plain/edges/gelu/*")
m("gelu: derivative 1 far on the left", "the sign is left out", [(GELU, "copysign((real)(30.0f), s)", "(real)(30.0f)")],
  "math plain plain/edges/gelu/*")
m("sigmoid: exp(z) / (1 + exp(z))", "Inf / Inf for large z", [(SIGMOID, "1.0f / (1.0f + exp(-z))", "exp(z) / (1.0f + exp(z))")],
  "math plain plain/edges/sigmoid/*")
m("loss: scale in one float", "2 scale overflows, scale / D underflows",
  [(LOSS, "const double digits = frexp(scale, &exponent);", "const double digits = (exponent = 0, scale);")], "loss plain/edges/*")
m("loss: the pair of the scale multiplied first", "it is one float again",
  [(LOSS_COMMON, "(value) * (scale).x * (scale).y", "(value) * ((scale).x * (scale).y)")], "loss plain/edges/*")
m("cross_entropy: the largest score begins at -1e30", "scores below it vanish", [(ROWS_CL, "none = (real)(-INFINITY)", "none = (real)(-1e30f)")],
  "loss plain/edges/*")
m("cross_entropy: the score is subtracted before the largest", "digits of close large scores are lost",
  [(LOSS_CL, "log(all_exp) - v)", "log(all_exp) - score + largest)")], "loss plain/edges/*")
m("cross_entropy: a class of weight 0 counts its -Inf", "0 times Inf is NaN",
  [(LOSS_CL, "select(part_wv, fma(w_i, v, part_wv), w_i != 0.0f)", "fma(w_i, v, part_wv)")], "loss plain/weights*")
m("cross_entropy: the label's -Inf counts at smoothing 1", "0 times Inf is NaN",
  [(LOSS_CL, "hard != 0.0f || !known ? score - largest : 0.0f", "score - largest")], "loss plain/weights*")
m("reference: gelu's derivative NaN at Inf", "", [(ACTIVATION, "isinf(z) ? 0 : z * normal_pdf(z)", "z * normal_pdf(z)")], "reference_edges")
m("reference: gelu NaN at -Inf", "", [(ACTIVATION, "z == -INFINITY ? 0 : z * normal_cdf(z)", "z * normal_cdf(z)")], "reference_edges")
m("reference: a step of 0 does nothing", "beside an infinite gradient, too",
  [("src/check/reference.c", "w_new[i] = w[i] - (double)lr * dw[i]", "w_new[i] = lr == 0 ? w[i] : w[i] - (double)lr * dw[i]")], "reference_edges")
m("self-check: leaves its bounds behind", "like numbers are beyond those of random ones",
  [("src/top/self_check.c", "    ctx->verify_rule = OCLIN_PROVEN;\n", "")], "self_check right_device/simt-16")
m("verify: what it looks through is not given back", "device memory, and a hold on the context",
  [("src/check/verify.c", "    oclin_tensor_destroy(open);\n    return status;", "    return status;")], "context verify/*")
m("reference: claims what rounding decides", "a result that may overflow has a bound",
  [("src/ops/bounds.h", "isfinite(value) && fabs(fabs(value) - OVERFLOWS) <= e ? INFINITY : e", "e")], "reference_edges")

# ------------------------------------------------------------------------------------------------ 32 bits too few

# Offsets, strides and indexes that are an int: test_large.c, and scripts/large.sh for what is huge at once (huge/...).
def int_of(name, file, old, narrow, *tests):
    """`narrow`, a part of `old` that stands there once, becomes an int."""
    m(("huge: " if "huge/" in tests[0] else "int: ") + name, "beyond 2^31 it goes elsewhere",
      [(file, old, old.replace(narrow, "(int)(%s)" % narrow))], *tests)


int_of("plain, offset of A", PLAIN, "a += a_offset;", "a_offset", "large plain/layer/*")
int_of("plain, row of B", PLAIN, "? column * b_stride + k :", "column * b_stride", "large plain/layer/*")
# One line for all families: each one's rows must show it.
for family in ("plain", "simt-16", "simd-8"):
    int_of("%s, row of C" % family, EPILOGUE, ": (row) * (stride) + (column))", "(row) * (stride)", "large %s/layer/*" % family)
for family in ("plain", "simt-16"):
    int_of("%s, row of Z" % family, EPILOGUE, "ELEMENT(row, column, (e).z_stride), column,",
           "ELEMENT(row, column, (e).z_stride)", "large %s/z/*" % family)
int_of("plain, the result's number", PLAIN, "const long item = get_global_id(0);", "get_global_id(0)", "large huge/31/outputs/plain")
int_of("simt, offset of B", SIMT, "aim(b_from, b + b_offset,", "b_offset", "large simt-16/layer/*")
int_of("simt, row of an operand", SIMT, "along_k ? row * stride + k", "row * stride", "large simt-16/layer/*")
int_of("simt, k of a transposed operand", SIMT, ": k * stride + row", "k * stride", "large simt-16/layer/*")
int_of("simt, the next tile", SIMT, "along_k ? depth : depth * stride", "depth * stride", "large simt-16/layer/*")
int_of("simd, row of B", SIMD, "b += b_offset + column0 * (B_ALONG_K ? b_stride : 1);", "column0 * (B_ALONG_K ? b_stride : 1)",
       "large simd-8/layer/*")
int_of("simd, block of k of A", SIMD, "pack_a(a_strips, a + k0 * (A_ALONG_K ? 1 : a_stride),", "k0 * (A_ALONG_K ? 1 : a_stride)",
       "large simd-8/layer/*", "large simd-whole/layer/*")
int_of("narrow, row of W", NARROW, "w + min(i, rows - 1) * w_stride", "min(i, rows - 1) * w_stride", "large simd-narrow/layer/*")
int_of("forward_skinny, row of W", SKINNY, "b + min(j, columns - 1) * b_stride", "min(j, columns - 1) * b_stride", "large simd-skinny/layer/*")
int_of("forward_skinny, offset of W", SKINNY, "b += b_offset + column0 * b_stride;", "b_offset", "large simd-skinny/layer/*")
int_of("one_pass_skinny, row of W", GRADS, "w_rows = w + k0 * w_stride;", "k0 * w_stride", "large simd-skinny/layer/*")
int_of("one_pass_skinny, row of dW", GRADS, "dw + (k0 + r) * dw_stride + j", "(k0 + r) * dw_stride", "large simd-skinny/layer/*")
int_of("step, row of dW", UPDATE, "dw += dw_offset + row * dw_stride;", "row * dw_stride", "large plain/layer/*")
int_of("step, the chunk's number", UPDATE, "const long item = get_global_id(0);", "get_global_id(0)", "large huge/31/step/simd")
int_of("fill, row", FILL, "t += t_offset + row * t_stride;", "row * t_stride", "large plain/tensors/*")
int_of("fill, the chunk's number", FILL, "const long item = get_global_id(0);", "get_global_id(0)", "large huge/31/fill/simd")
int_of("loss, place of a label", LOSS_CL, "t[t_offset + row * t_stride]", "t_offset + row * t_stride",
       "large plain/losses/*")
int_of("loss, place of the loss", LOSS_SUM, "loss[loss_offset] = sum;", "loss_offset", "large plain/losses/*")
int_of("loss, place of the count", LOSS_SUM, "count += correct[correct_offset];", "correct_offset", "large plain/losses/*")
int_of("offset of an operand", LAUNCH, "const cl_long offset = o->offset, stride", "o->offset", "large plain/layer/*")
int_of("stride of an operand", LAUNCH, "stride = o->stride;", "o->stride", "large plain/layer/*")
int_of("offset of a view", TENSOR, "base->origin, base->offset + offset, rows", "base->offset + offset", "large plain/tensors/*")
int_of("first row of a view", TENSOR, "count ? first * base->stride : 0", "first * base->stride", "large plain/tensors/*")
int_of("where a strided copy begins", TENSOR, "c = {{(size_t)(t->offset * bytes)", "t->offset * bytes", "large plain/layer/*")
int_of("elements that a tensor spans", TENSOR, "oclin_multiply(rows - 1, stride)", "stride", "large plain/tensors/*")
int_of("pitch of a strided copy", TENSOR, ": (size_t)(t->stride * bytes)", "t->stride * bytes", "large plain/tensors/*")
int_of("where a copy to verify begins", "src/check/verify.c", "from[3] = {(size_t)t->offset *", "t->offset", "large plain/verified/*")
m("int: pitch of a copy to verify", "beyond 2^31 it goes elsewhere",
  [("src/check/verify.c", "? (size_t)t->stride * bytes", "? (size_t)(int)t->stride * bytes")], "large plain/verified/*")
int_of("groups of a step or fill", LAUNCH, "oclin_ceil_divide(rows * oclin_ceil_divide(cols, t->item_n), t->group)",
       "rows * oclin_ceil_divide(cols, t->item_n)", "large */plans")
int_of("groups of a plain product", PLAN_PLAIN, "oclin_ceil_divide(p->m * p->n, plan->tile.group)", "p->m * p->n", "large */plans")
int_of("groups of a loss", PLAN, "plan->groups = rows;", "rows", "large */plans")

# ------------------------------------------------------------------------------- accumulate, overwrite, order, step

m("gradient: overwritten instead of added to", "in the kernel", [(GRADIENT, "else if (flags & OCLIN_FLAG_ACCUMULATE)", "else if (0)")], ON_PLAIN)
m("gradient: added to instead of overwritten", "in the kernel", [(GRADIENT, "else if (flags & OCLIN_FLAG_ACCUMULATE)", "else")], ON_PLAIN)
m("layer: never accumulates", "", [(LAYER, "p.flags |= OCLIN_FLAG_ACCUMULATE;", ";")], "layer_gradients", ci=True)
m("layer: accumulates only if both hold something", "",
  [(LAYER, "!is_cleared(l->dw) || (l->bias && !is_cleared(l->db))", "!is_cleared(l->dw) && (l->bias && !is_cleared(l->db))")], "layer_state", "layer")
m("layer: marked zeros are not written before they are added to", "",
  [(USES, "if (u->flags & OCLIN_READS)\n            OCLIN_TRY(oclin_tensor_settle(u->tensor));", "if ((u->flags & OCLIN_ADDS) == OCLIN_READS)\n            OCLIN_TRY(oclin_tensor_settle(u->tensor));")], "layer_gradients", "layer", "layer_data")
m("forward: adds to y", "", [(FORWARD, "if (e.flags & OCLIN_FLAG_ACCUMULATE) y +=", "y +=")],
  ON_PLAIN)
m("dX: adds to what was there", "", [(GRAD_X, "if (e.flags & OCLIN_FLAG_ACCUMULATE) sum +=", "sum +=")], ON_PLAIN)
ACCUMULATE = "accumulate residual/plain/*"
m("forward: never adds to y", "", [(FORWARD, "if (e.flags & OCLIN_FLAG_ACCUMULATE) y += load_lanes(e.c, lanes);", "")], ACCUMULATE, ci=True)
m("dX: never adds to what was there", "", [(GRAD_X, "if (e.flags & OCLIN_FLAG_ACCUMULATE) sum += load_lanes(e.c, lanes);", "")], ACCUMULATE)
m("forward: act of the sum with y", "y is added before the activation",
  [(FORWARD, "    real y = activate(sum);", "    if (e.flags & OCLIN_FLAG_ACCUMULATE) sum += load_lanes(e.c, lanes);\n    real y = activate(sum);"),
   (FORWARD, "    if (e.flags & OCLIN_FLAG_ACCUMULATE) y += load_lanes(e.c, lanes);\n", "")], ACCUMULATE, "accumulate")
KEPT, ADDED = ("    if (e.flags & OCLIN_FLAG_KEEP_ACT) store_lanes(e.z, y, lanes);\n",
               "    if (e.flags & OCLIN_FLAG_ACCUMULATE) y += load_lanes(e.c, lanes);\n")
m("forward: keeps the sum with y for backward", "act(z) is stored too late", [(FORWARD, KEPT + ADDED, ADDED + KEPT)], ACCUMULATE, "accumulate")
m("forward: keeps act(z) nowhere", "", [(FORWARD, KEPT, "")], ACCUMULATE, "accumulate")
m("layer: forward does not ask for the sum with y", "", [(LAYER, "(call->adds ? OCLIN_FLAG_ACCUMULATE : 0)", "0")], ACCUMULATE)
m("layer: dX does not ask for the sum with dx", "", [(LAYER, "p.flags = call->adds ? OCLIN_FLAG_ACCUMULATE : 0;", "p.flags = 0;")], ACCUMULATE)
m("layer: keeps the sum with y for the derivative", "y is remembered although it is a sum",
  [(LAYER, "needs_y(l) && !adds ? oclin_tensor_retain(y)", "needs_y(l) ? oclin_tensor_retain(y)")], "accumulate")
m("layer: derivative from no y", "act(z) is kept, and not handed out",
  [(LAYER, "keeps_apart(l, s->apart) ? s->z : s->y", "keeps_z(l) ? s->z : s->y")], ACCUMULATE, "accumulate")
m("layer: forgets that the forward added", "the next backward takes y for what is not there", [(LAYER, "s->apart = adds;", "s->apart = 0;")],
  ACCUMULATE, "accumulate")
m("layer: adds to an unspecified y", "", [(LAYER, "call->adds ? OCLIN_ADDS : OCLIN_WRITES},\n        {l->w", "OCLIN_WRITES},\n        {l->w")], "accumulate")
m("layer: adds to an unspecified dx", "", [(LAYER, 's->batch, l->in, call->adds ? OCLIN_ADDS : OCLIN_WRITES', "s->batch, l->in, OCLIN_WRITES")], "accumulate")
m("layer: one pass although dx is added to", "what dx held is rounded with each sum, or lost",
  [(LAYER, "(!call->dx->readable || call->adds)", "!call->dx->readable")], "accumulate")
m("layer: infer_with overwrites y", "", [(LAYER, "return infer(l, x, y, o.accumulate);", "return infer(l, x, y, 0);")], "accumulate")
m("layer: accumulate 2 accepted", "", [(LAYER, "if (o->accumulate != 0 && o->accumulate != 1)", "if (o->accumulate < 0)")], "accumulate refused")
m("layer: reserved of a call is ignored", "", [(LAYER, 'if (o->reserved != 0) return oclin_fail(l->ctx', 'if (0) return oclin_fail(l->ctx')], "accumulate refused")
m("layer: no state of its own for a call with options", "the one that is given is not used",
  [(LAYER, "if (!o->saved) o->saved = l->saved;", "o->saved = l->saved;")], "accumulate")
m("verify: what y held is left out", "VERIFY calls a right sum wrong", [(LAYER, "call->adds ? call->y : NULL, &before)", "NULL, &before)")], "accumulate")
m("verify: what dx held is left out", "VERIFY calls a right sum wrong", [(LAYER, "call->adds ? call->dx : NULL, &before)", "NULL, &before)")], "accumulate")
m("slices: those of a product that adds meet in C", "what C held is lost",
  [("src/plan/additions.c", "return (p->flags & OCLIN_FLAG_ACCUMULATE) || (p->c.mem && !p->c.readable);", "return p->c.mem && !p->c.readable;")],
  "accumulate residual/simt-16/*", "plan slices/*")
m("slices: act(z) is no place for them", "", [("src/plan/additions.c", "if (p->flags & (OCLIN_FLAG_KEEP_Z | OCLIN_FLAG_KEEP_ACT)) return 0;", "if (p->flags & OCLIN_FLAG_KEEP_Z) return 0;")],
  "plan slices/*", "accumulate residual/simt-16/*")
m("loss: overwritten although it accumulates", "", [(LOSS_SUM, "if (flags & OCLIN_FLAG_ACCUMULATE) sum += loss[loss_offset];", "")], "loss options/*",
  "loss")
m("loss: count overwritten although it accumulates", "",
  [(LOSS_SUM, "if (flags & OCLIN_FLAG_ACCUMULATE) count += correct[correct_offset];", "")], "loss options/*", "loss")
# One text for both: each must show it.
m("step: wrong sign", "", [(RULE, "(real)(-u.n.lr)", "(real)(u.n.lr)")], "layer_gradients")
m("fused step: wrong sign", "", [(RULE, "(real)(-u.n.lr)", "(real)(u.n.lr)")], ON_PLAIN)
DX_FIRST = """    oclin_status status = call->dx ? oclin_product_enqueue(ctx, &dx) : OCLIN_OK;
    dx_written(call, status);
    if (status != OCLIN_OK || call->x_alone) return status;
    status = enqueue_change(call->change);
    if (status == OCLIN_OK) status = oclin_product_enqueue(ctx, dw);
    dw_written(call, status);
    /* a caller who tries again would add to dx once more */
    if (status != OCLIN_OK && call->adds) dx_written(call, status);
    return status;"""
DW_FIRST = """    oclin_status status = call->x_alone ? OCLIN_OK : enqueue_change(call->change);
    if (status == OCLIN_OK && !call->x_alone) status = oclin_product_enqueue(ctx, dw);
    dw_written(call, status);
    if (status != OCLIN_OK || !call->dx) return status;
    status = oclin_product_enqueue(ctx, &dx);
    dx_written(call, status);
    return status;"""
m("backward_x: the gradients come along", "in one pass", [(LAYER, "if (!call->x_alone) p.flags |=", "p.flags |=")], "layer_state backward_x*",
  "faults one*backward_x:*", "layer_state")
m("backward_x: x must be as it was", "", [(LAYER, "if (needs_x && s->x->version", "if (s->x->version")], "layer_state backward_x*")
m("backward_x: b must be readable", "", [(LAYER, "? 0 : call->change && call->change->check.learns_b", "? OCLIN_READS : call->change && call->change->check.learns_b")], "layer_state backward_x*")
m("backward_x: the gradients come along in two products", "", [(LAYER, "if (status != OCLIN_OK || call->x_alone) return status;", "if (status != OCLIN_OK) return status;")],
  "layer_state backward_x*")
m("backward_x: dx may be NULL", "", [(LAYER, 'if (!dx) return oclin_fail(l->ctx, OCLIN_E_ARG, "dx is NULL");', "")], "layer_args", "layer_state backward_x*")
X_ALONE = ".x_alone = 1, .adds = adds};\n    OCLIN_TRY(check_backward(&call));\n"
m("backward_x: dw comes into being", "memory that nobody asked for", [(LAYER, X_ALONE, X_ALONE + "    OCLIN_TRY(need_dw(l));\n")],
  "layer_state backward_x*", "layer_state")
m("backward_x: counts as gradients", "a step without any is not refused", [(LAYER, X_ALONE, X_ALONE + "    l->computed = 1;\n")],
  "layer_state backward_x*", "layer_state")
m("fused step: dX from the new W", "the step is enqueued first", [(LAYER, DX_FIRST, DW_FIRST)], ON_PLAIN, ci=True)
OLD_W = "    for (int i = 0; flags & OCLIN_FLAG_DX && i < samples; i += 2) {\n        local real *dx_i"
m("one_pass_skinny: dX from the new W", "the rows are updated first", [
    (GRADS, """    if (!(flags & OCLIN_FLAG_DW)) return;
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
""", ""),
    (GRADS, OLD_W, """    if (flags & OCLIN_FLAG_DW)
        for (int j = 0; j < columns; j += OCLIN_VL)
            for (int r = 0; r < rows; r++)
                dw_of_row(dz + r, x + j / OCLIN_VL, dw + r * dw_stride + j, samples, scale,
                          UPDATE_MOVED(u, r * u.stride + j), flags, columns - j);
""" + OLD_W)], ON_SKINNY)
m("layer: b takes two steps", "b's step is enqueued twice", [(LAYER, "    step_written(uses, tried",
                                                             "    if (steps[1].w) oclin_step_enqueue(ctx, &steps[1]);\n    step_written(uses, tried")], ON_PLAIN)
m("layer: backward_step on gradients that hold something", "not refused",
  [(LAYER, "if (!is_cleared(l->dw) || !is_cleared(l->db))\n", "if (0)\n")], "layer_state order/*")
m("layer: zero_grad forgets db", "", [(LAYER, "return l->db ? clear_gradient(l->db, &l->db_version) : OCLIN_OK;", "return OCLIN_OK;")],
  "layer_gradients", "layer")

# ------------------------------------------------------------------------------------------- saved states, versions

m("layer: saved x of the wrong forward", "remember() keeps the first x",
  [(LAYER, "s->x = oclin_tensor_retain(x);", "s->x = old_x ? oclin_tensor_retain(old_x) : oclin_tensor_retain(x);")], "layer_state saved/*",
  "layer_state")
m("layer: infer counts as forward", "the saved state follows infer",
  [(LAYER, "    return verified_forward(&call);\n", "    const oclin_status status = verified_forward(&call);\n    remember(l, l->saved, x, y, adds);\n    return status;\n")], "layer_state", "layer")
m("layer: version of x not checked", "", [(LAYER, "if (needs_x && s->x->version != s->x_version)", "if (0)")], "layer_state meanwhile/*", ci=True)
m("layer: version of y not checked", "", [(LAYER, "if (s->y && s->y->version != s->y_version)", "if (0)")], "layer_state meanwhile/*")
m("layer: saved of another layer accepted", "", [(LAYER, "if (s->layer != l->id) return", "if (0) return")], "layer_state saved/*", "layer_state")
m("layer: backward before forward accepted", "", [(LAYER, "if (s->layer == 0)\n        return", "if (0)\n        return")], "layer_state order/*", "layer_state")
m("layer: reserve replaces z", "a larger z takes the place of the one that backward needs",
  [(LAYER, "    oclin_tensor_destroy(s->larger_z);\n    s->larger_z = z;", "    oclin_tensor_destroy(s->z);\n    s->z = z;")], "layer_state saved/*",
  "layer_state")
m("tensor: views do not share versions", "a write through a view is not seen",
  [(TENSOR, "        note_write(u, outcome, covers(t, u));", "        if (u == t) note_write(u, outcome, covers(t, u));")],
  "sharing versions/*", "layer_gradients")
m("tensor: a clear is a write of zeros that nobody does", "the mark is forgotten", [(TENSOR, "t->cleared = t->zero_pending = 1;", "t->cleared = 1;")],
  "layer_gradients zero_grad/*", "layer_gradients")

# ------------------------------------------------------------------------------------------------ refused arguments

m("layer: lr NaN accepted", "", [(LAYER, "if (!(lr >= 0.0f) || isinf(lr))", "if (lr < 0.0f || isinf(lr))")], "layer_gradients gradients/*")
m("layer: lr negative accepted", "", [(LAYER, "if (!(lr >= 0.0f) || isinf(lr))", "if (lr != lr || isinf(lr))")], "layer_gradients gradients/*")
m("layer: y may be x", "alias check dropped", [(LAYER, '{x, "x", OCLIN_F32, x->rows, l->in, OCLIN_READS}', '{NULL, "x", OCLIN_F32, x->rows, l->in, OCLIN_READS}')], "layer_args sharing/*")
m("layer: dx may be w", "alias check dropped", [(USES, "((a->flags | b->flags) & OCLIN_WRITES)", "((a->flags ^ b->flags) & OCLIN_WRITES && b->flags & OCLIN_WRITES)")],
  "layer_args sharing/*")
m("loss: dy may be y", "alias check dropped", [(USES, "if (!kept_apart(a, b))", "if (1)")], "loss operand/*")
m("tensor: of another context accepted", "", [(TENSOR, "if (oclin_tensor_context(t) != ctx)", "if (0)")], "layer_args operand/*", "loss operand/*", ci=True)
m("layer: saved of another context accepted", "", [(LAYER, "if (s->ctx != l->ctx) return", "if (0) return")], "layer_args operand/saved", "layer_state")
m("tensor: wrong shape accepted", "", [(TENSOR, "if (t->rows != rows || t->cols != cols)", "if (t->rows != rows)")], "layer_args operand/*")
m("tensor: sizes that overflow accepted", "", [(BASE, "if (a < 0 || b < 0 || (b > 0 && a > INT64_MAX / b)) return -1;",
                                                "if (a < 0 || b < 0) return -1;")], "tensor create/*", "tensor", "layer")
m("tensor: window beyond the buffer accepted", "", [(TENSOR, "offset > holds || wanted > holds - offset", "offset > holds")], "tensor wrap/*")
m("tensor: view beyond its base accepted", "", [(TENSOR, "offset > within || wanted > within - offset", "offset > within")], "tensor view/*")
m("tensor: cl_mem of another cl_context accepted", "", [(TENSOR, "if (of != ctx->cl) return", "if (0) return")], "tensor wrap/*")
m("context: out-of-order queue accepted", "", [(OPEN, "if (properties & CL_QUEUE_OUT_OF_ORDER_EXEC_MODE_ENABLE)", "if (0)")],
  "context handles/*")
m("context: forked child accepted", "", [(ERROR, "if (ctx->process != oclin_os_process_id())\n        return oclin_fail", "if (0)\n        return oclin_fail")],
  "lifetime fork")
m("context: larger options of a newer caller accepted", "unknown options are dropped in silence",
  [(ERROR, "for (size_t i = known_size; i < size; i++)", "for (size_t i = size; i < size; i++)")], "context create/*")
m("layer: workspace that overflows accepted", "",
  [(LAYER, "oclin_multiply(oclin_multiply(batch + 256, widest + 256), 4 * (int64_t)sizeof(float)) < 0", "0")], "layer", "layer_args", "edges", "failure")

# --------------------------------------------------------------------------------------------------- cache and tuning

KEY = 'd->info.platform_name, d->platform_version, d->info.name,\n                    d->info.vendor, d->info.version, d->info.driver, name, options, text);'
for field, old, new in (
        ("driver", "d->info.driver, name", '"", name'), ("device", "d->info.name,", '"",'),
        ("options", "name, options, text", 'name, "", text'), ("text", "options, text)", 'options, "")'),
        ("platform's version", "d->platform_version,", '"",')):
    m("cache: key without the %s" % field, "", [(PROGRAM, KEY, KEY.replace(old, new))], "cache key/*", "cache second*", "cache")
m("cache: checksum not compared", "", [(CACHE, "if (get_number(file + CHECKSUM_AT) != checksum(file, size))", "if (0)")], "cache_files file/*", ci=True)
m("cache: checksum without the header", "", [(CACHE, "hash_more(hash_more(hash_start, record, CHECKSUM_AT), record", "hash_more(hash_start, record")],
  "cache_files file/*", "cache_files files/*", "cache_files")
m("cache: key not compared", "the name's hash is believed", [
    (CACHE, "if (of_key != key_size || memcmp(file + HEADER_BYTES, key, key_size) != 0)", "if (0)")], "cache_files file/*", "cache_files files/*")
m("cache: sizes not compared", "", [(CACHE, "if (of_key > all || of_data != all - of_key)", "if (0)")], "cache_files file/*")
m("cache: what could not be written whole is put in place", "",
  [(CACHE, "if (written && closed && oclin_os_replace(temporary, path)) return 1;", "if (closed && oclin_os_replace(temporary, path)) return 1;")],
  "cache_files files/*")
m("tuning: checksum not compared", "", [(TABLE, 'if (strncmp(checksum + strlen("checksum "), expected, 16) != 0)', "if (0)")], "tune_file file/*")
m("tuning: key without the driver", "", [(TABLE, '{"driver", d->info.driver},', '{"driver", ""},')], "tune_file file/*key")
m("tuning: a plan of any name is believed", "", [(TABLE, "if (!ctx->may_be_tuned(ctx, t->id, t->shape, t->plan))", "if (0)")], "tune_file file/*")
m("program: a kernel of another activation", "the list of built kernels forgets it",
  [(PROGRAM, "a->activation == b->activation && ", "")], "products plain plain/small/*")
m("program: a kernel of another tile", "the list of built kernels forgets it",
  [(PROGRAM, "a->alpha == b->alpha && oclin_same_tile(&a->tile, &b->tile);", "a->alpha == b->alpha;")], "products simd-staged simd-staged/small/*/none/*")

# ---------------------------------------------------------------------------------------------------------- the rest

m("loss: label off by one in the gradient", "", [(LOSS_CL, "LANES == lane_of(label - i)", "LANES == lane_of(label + 1 - i)")], "loss plain/*")
m("loss: softmax without the maximum", "exp overflows", [(LOSS_CL, "largest = row_max(part, y_row, cols);", "largest = 0.0f;")], "loss plain/*")
m("loss: of equal scores the last is right", "", [(LOSS_CL, "LANES >= lane_of(label)", "LANES <= lane_of(label)")], "loss plain/*")
m("loss: no compensation over rows", "", [(LOSS_COMMON, "isfinite(next) ? next - *sum - add : 0.0f", "0.0f")], "edges compensated_sum/*")
m("loss: scratch memory a row short", "", [(LOSS, "OCLIN_TRY(oclin_scratch(ctx, scratch_bytes(rows), \"a loss\"));",
                                           "OCLIN_TRY(oclin_scratch(ctx, scratch_bytes(rows) - 8, \"a loss\"));")],
  "loss plain/*", "oclgrind loss mse/*")
m("product: sum in 12 bits", "a half-precision accumulator", [
    (PLAIN, "    store_product(sum,", "    sum = as_float(as_uint(sum) & 0xFFFFF000u);\n    store_product(sum,")], ON_PLAIN)
m("product: operands in 11 bits", "TF32", [(PLAIN, "load_b(b, b_stride, i, column), part)",
                                           "as_float(as_uint(load_b(b, b_stride, i, column)) & 0xFFFFE000u), part)")], ON_PLAIN, "products plain plain/pair/*")
m("product: a launch is left out", "dX is not enqueued", [
    (PRODUCT, "        if (slice.packing_kernel) OCLIN_TRY", "        if (p->id == OCLIN_KERNEL_GRAD_X) return OCLIN_OK;\n        if (slice.packing_kernel) OCLIN_TRY")], ON_PLAIN)
m("product: unaligned rows taken for aligned", "", [(PLAN_SIMT, "return a_row % 4 == 0 && p->n % 4 == 0;", "return 1;")], "oclgrind-data edges tight_end/simt-16")
m("tensor: unaligned start taken for aligned", "", [(TENSOR, "base_aligned && start && rows", "base_aligned && rows")], "sharing *align*", "sharing",
  "tensor")
m("random: nine rounds of Philox", "", [(RANDOM, "ROUNDS = 10", "ROUNDS = 9")], "random")
m("random: the logarithm of 0", "once in 16 million normal numbers", [(RANDOM, "log(1.0 - unit(words[0]))", "log(unit(words[0]))")],
  "random fill/normal*")
m("random: W and b from one stream", "", [(LAYER, "make_parameter(l, queue, &l->b, 1, l->out, 1, o)", "make_parameter(l, queue, &l->b, 1, l->out, 0, o)")],
  "random", "layer")
m("random: each piece begins with number 0", "", [(LAYER, "limit, (uint64_t)first, count, piece)", "limit, 0, count, piece)")], "random", "layer")
m("context: state after a failed finish", "what was written is not called unspecified", [(CONTEXT, "if (error && ctx->lose_epoch) ctx->lose_epoch(ctx);", "")],
  "failure")
m("layer: an object leaks when creation fails", "", [(LAYER, "    if (status != OCLIN_OK) {\n        oclin_layer_destroy(l);\n        return status;",
                                                      "    if (status != OCLIN_OK) {\n        return status;")], "failure", "asan failure", "asan layer_args")
m("context: a buffer leaks when its migration fails", "", [(MEMORY, "        clReleaseMemObject(made);\n        return oclin_fail_cl", "        return oclin_fail_cl")],
  "faults create:*")
m("program: a binary's memory leaks", "", [(PROGRAM, "    const cl_int error = take_binary(ctx, p, options, binary, size);\n    free(binary);",
                                            "    const cl_int error = take_binary(ctx, p, options, binary, size);")], "asan cache second*")

# ------------------------------------------------------------------------------------- what a failed call has left behind

m("layer: b and db readable after a failed backward", "the launch writes both",
  [(LAYER, "oclin_uses_written(&call->uses[USE_W], BACKWARD_USES - USE_W, status);",
    "oclin_uses_written(&call->uses[USE_W], USE_B - USE_W, status);")], "layer_failure failure/*")
m("layer: w readable after b's part of a step failed", "nobody knows whether it has moved",
  [(LAYER, "oclin_uses_written(uses, reached_b ? STEP_USES : STEP_B, status);",
    "oclin_uses_written(uses + STEP_B, reached_b ? STEP_USES - STEP_B : 0, status);")], "layer_failure failure/*")
m("layer: backward takes an unspecified y", "", [(LAYER, 'oclin_use_as_it_is(s->y, "y", OCLIN_READS)', 'oclin_use_as_it_is(s->y, "y", 0)')],
  "layer_failure unspecified/*")
m("layer: backward takes an unspecified x", "", [(LAYER, 'oclin_use_as_it_is(s->x, "x", x_alone ? 0 : OCLIN_READS)', 'oclin_use_as_it_is(s->x, "x", 0)')],
  "layer_failure unspecified/*")
m("layer: backward adds to an unspecified dw", "", [(LAYER, "x_alone ? 0 : adds ? OCLIN_ADDS : OCLIN_WRITES", "x_alone ? 0 : OCLIN_WRITES")], "layer_failure unspecified/*")
m("layer: a step with an unspecified db", "", [(LAYER, '{steps_b ? l->db : NULL, "db", OCLIN_F32, 1, l->out, OCLIN_READS}', '{steps_b ? l->db : NULL, "db", OCLIN_F32, 1, l->out, 0}')],
  "layer_failure unspecified/*")
m("loss: reads an unspecified y", "",
  [(USES, "if (u->tensor && u->flags & OCLIN_READS)", "if (u->tensor && (u->flags & OCLIN_ADDS) == OCLIN_ADDS)")], "loss state/*")
m("loss: adds onto what is unspecified", "",
  [(USES, "if (u->tensor && u->flags & OCLIN_READS)", "if (u->tensor && (u->flags & OCLIN_ADDS) == OCLIN_READS)")], "loss state/*")
m("tensor: a write of some elements heals all", "", [(TENSOR, "else if (covered)", "else")], "sharing unspecified/*")
m("tensor: a write of the first and the last row heals all", "rows between are not covered",
  [(RECTANGLE, "if (u->rows > 1 && u->stride != t->stride) return 0;\n", "")], "sharing unspecified/*")
m("tensor: a write of some columns heals all", "",
  [(RECTANGLE, "return (u->first - t->first) % t->stride + u->cols <= t->cols;", "return 1;")], "sharing unspecified/*")
m("tensor: nothing heals", "", [(TENSOR, "        u->unspecified = 0;", "        ;")], "sharing unspecified/*")
m("tensor: a view of what is unspecified can be read", "", [(TENSOR, "t->unspecified |= u->unspecified;", "")], "sharing unspecified/*")
for field in ("readable", "writable", "host_readable", "host_writable"):
    m("tensor: a view forgets %s" % field, "what the buffer's flags allow",
      [(TENSOR, "    t->%s = base->%s;\n" % (field, field), "")], "sharing flags/*")

# ------------------------------------------------------------------------------------------------ zeros that are marked

m("layer: forward before marked zeros of its operands are written", "", [(LAYER, "OCLIN_TRY(oclin_uses_settle(call->uses, FORWARD_Z + 1));", "")],
  "layer_gradients zero_grad/*")
m("layer: forward before b's marked zeros are written", "", [(LAYER, "OCLIN_TRY(oclin_uses_settle(call->uses, FORWARD_Z + 1));", "OCLIN_TRY(oclin_uses_settle(call->uses, FORWARD_Z - 1));")],
  "layer_gradients zero_grad/*")
m("layer: dX before w's marked zeros are written", "", [(LAYER, "oclin_uses_settle(call->uses, BACKWARD_USES)", "oclin_uses_settle(call->uses, USE_W)", 0)],
  "layer_gradients zero_grad/*")
m("layer: a step before marked zeros of parameters are written", "", [(LAYER, "OCLIN_TRY(oclin_uses_settle(uses, STEP_USES));", "")], "layer_gradients zero_grad/*")
m("loss: added to before its marked zeros are written", "", [(LOSS, "oclin_uses_settle(uses, LOSS_USES)", "oclin_uses_settle(uses, USE_LOSS)")], "loss state/*")
m("layer: the workspace leaves out dW", "", [(LAYER, "products_scratch(l, batch, 3);\n    return OCLIN_OK;", "products_scratch(l, batch, 2);\n    return OCLIN_OK;")], "layer_state workspace/*")
m("loss: reserved is ignored", "", [(LOSS, "if (o->reserved != 0)", "if (0)")], "loss options/*")
for name, file, old, new in (("bce: p at negative targets", "bce", "-positive * z", "positive * z"),
                             ("bce: sigmoid of the other sign", "bce", "negative * larger - positive * smaller", "negative * larger - positive * larger"),
                             ("l1: slope 1 on both sides", "l1", "(real)(-1.0f)", "(real)(1.0f)"),
                             ("huber: branches do not meet", "huber", "0.5f * delta", "0.5001f * delta"),
                             ("huber: slope without sign", "huber", "copysign(most, d)", "most"),
                             ("losses: dY without the row's weight", "elements", "number) * w", "number)"),
                             ("losses: loss without the row's weight", "elements", "(sum)) * w", "(sum))"),
                             ("losses: weights of columns ignored", "elements", "load_lanes(classes + i, lanes) : (real)(1.0f)", "(real)(1.0f) : (real)(1.0f)"),
                             ("losses: row losses have the gradient's scale", "elements", "losses_stride, row_scale", "losses_stride, gradient_scale")):
    m(name, "", [("cl/loss_%s.cl" % file, old, new)], "loss plain/*", "loss *weights")
for name, file, old, new in (("an ignored row has a gradient", "cross_entropy", "!counts ? (real)(0.0f) : ", ""),
                             ("an ignored row has a loss", "cross_entropy", "counts ? loss * w : 0.0f", "loss * w"),
                             ("an ignored row is right", "cross_entropy", "counts && known", "known"),
                             ("smoothing is not shared", "cross_entropy", "soft = number / cols", "soft = number"),
                             ("softmax without the sum of weights", "cross_entropy", "p * all - q", "p - q"),
                             ("dY not divided by the weights", "cross_entropy", "slope /= divisor;", ";"),
                             ("loss not divided by the weights", "sum", "if (flags & OCLIN_FLAG_TOTAL) sum /= TOTAL(scratch, rows);", ""),
                             ("the total has ignored rows", "total", "label == ignored) continue", "label == ignored) {}"),
                             ("the total has no weights", "total", "classes[classes_offset + label]", "1.0f"),
                             ("0 times an infinite score", "soft_cross_entropy", "select(part_qv, fma(q, v, part_qv), q != 0.0f)", "fma(q, v, part_qv)"),
                             ("soft: softmax without the sum of weights", "soft_cross_entropy", "p * all_q", "p")):
    m("cross_entropy: " + name, "", [("cl/loss_%s.cl" % file, old, new)], "loss plain/o*")
for name, old, new in (("of equals the last", "a == b && i < j", "a == b && i > j"), ("NaN is passed over", "return isnan(a) &&", "return !isnan(a) &&"),
                       ("the first of NaN is not looked for", "!isnan(b) || i < j", "!isnan(b)")):
    m("argmax: " + name, "", [("cl/argmax.cl", old, new)], "loss plain/*argmax")
m("softmax: not divided", "", [("cl/softmax.cl", "- largest) / all_exp", "- largest)")], "loss plain/*argmax")
m("loss: every second gradient differs in its last bit", "",
  [(LOSS, "in_two(scale * c->kind->slope)", "in_two(scale * c->kind->slope * (ctx->epoch % 2 ? 1.0 : 0x1.000002p0))")],
  "loss *twice")
m("loss: every second sum differs in its last bit", "",
  [(LOSS, "enqueue_sum(ctx, &sum, c, flags, in_two(scale))", "enqueue_sum(ctx, &sum, c, flags, in_two(scale * (ctx->epoch % 2 ? 1.0 : 0x1.000002p0)))")],
  "loss *twice")

# ------------------------------------------------------------------------------------------ which way a product is made

m("plan: ways that do not suit are choices", "", [(PLAN, "return way == named || (way->suits && way->suits(q->d, q->p, &plan->tile));", "return way == named || way->suits;")], "plan")
m("plan: ways for those who name them are choices", "",
  [(PLAN, "(way->suits && way->suits(q->d, q->p, &plan->tile))", "(!way->suits || way->suits(q->d, q->p, &plan->tile))")], "plan")
m("plan: ways that do not make the product are choices", "", [(PLAN, "if (!is_for(way, q->p)) return 0;", "if (!way->can) return 0;")], "plan", ON_SIMD)
m("plan: ways that cannot are choices", "", [(PLAN, "if (!way->can(q->d, way, q->p, &plan->tile)) return 0;", "way->can(q->d, way, q->p, &plan->tile);")], "plan")
m("plan: the way that is named must suit, too", "", [(PLAN, "return way == named || (way->suits", "return (way->suits")], "plan names/*", "plan")
m("plan: those that lead do so for every name", "", [(PLAN, "if (way->leads && !may_lead(q, room, way)) return 0;", "")], "plan names/*")
m("plan: none leads unless its room is named", "", [(PLAN, "if (!named || way == named || (!named->makes && !named->lanes)) return 1;", "if (!named || way == named) return 1;")],
  "plan names/*")
m("plan: a name with lanes is the whole family", "", [(PLAN, "(!named->makes && !named->lanes)) return 1;", "!named->makes) return 1;")], "plan names/*")
m("plan: the one that is named does not lead", "", [(PLAN, "if (!named || way == named || (", "if (!named || (")], "plan names/*")
m("plan: no one pass beside the way that is named", "",
  [(PLAN, "named < room->ways + room->count && !is_for(named, q->p)", "named < room->ways + room->count && is_for(named, q->p)")], "plan pass/*")
m("plan: one pass in every room", "", [(PLAN, "return named >= room->ways && named < room->ways + room->count && !is_for", "return !is_for")], "plan pass/*")
m("plan: the dearest way first", "", [(PLAN, "costs[at - 1] > cost", "costs[at - 1] < cost")], "plan choice/*")
m("plan: those that lead are compared with the others", "", [(PLAN, "for (int leads = 1; leads >= 0 && count < wanted; leads--)", "for (int leads = 0; leads <= 1 && count < wanted; leads++)")],
  "plan choice/*")
m("plan: scratch memory that the device does not allow", "", [(PLAN, "if (way != q->named && oclin_plan_scratch_bytes(q->p, &plan) > q->d->info.max_allocation)\n                continue;\n", "")],
  "plan")
m("plan: the one that is named is compared with the others", "", [(PLAN, "if (way == q->named) return plans[0] = plan, 1;", "")], "plan names/*")
m("plan: plain stands behind every plan", "also behind one that is named",
  [(PLAN, "if ((!named || own == 0) && family != OCLIN_PLAIN)", "if (family != OCLIN_PLAIN)")], "plan", "program", "fit")
m("plan: plain stands behind no plan", "", [(PLAN, "if ((!named || own == 0) && family != OCLIN_PLAIN)", "if (0)")], "plan", "program", "fit")
m("plan: tuned for one pass is tuned for two products", "", [(PLAN, "return strcmp(t->plan, one_pass) == 0;", "return strcmp(t->plan, two_products) == 0;")],
  "plan tuned/*")
m("plan: one pass is no plan of its own", "a tuned one that would not be chosen is not made",
  [(PLAN, "return way && choose(&ctx->device, way, p, attempt, plan, &count);", "return way && choose(&ctx->device, ctx->plan.way, p, attempt, plan, &count);")],
  "plan tuned/*")
m("plan: what was tuned is not asked", "", [(PLAN, "if (!t || !t->plan[0]) return choose(", "if (1) return choose(")], "plan tuned/*")
m("plan: behind what was tuned stands nothing", "", [(PLAN, " ||\n           choose(&ctx->device, NULL, p, attempt - count, plan, &count);", ";")], "plan tuned/*")
m("tickets: packed in one launch, without a derivative", "dY stands for dZ",
  [(PRODUCT, "if (t->tickets || (!first", "if ((!first")], "products simd-packed simd-packed/small/*/relu/*")
m("tickets: forward_skinny draws them where the compiler has no fence", "", [(PLAN_SKINNY, ".tickets = d->tickets};", ".tickets = 1};")], "plan")
m("tickets: simd-static draws them", "where the compiler refuses them there is no last resort", [(PLAN_SIMD, "t->tickets = 0;", "t->tickets = d->tickets;", 0)], "plan invariants/*")
m("tickets: simd-staged draws them", "", [(PLAN_SIMD, "t->tickets = 0;", "t->tickets = d->tickets;", 1)], "plan invariants/*")
m("tickets: a group for each part", "where one a core draws them", [(WAY, "plan->tile.tickets ? oclin_least(parts, d->info.compute_units) : parts", "parts")], "plan")
m("tickets: a group for each core where none are drawn", "parts are not computed", [(WAY, "plan->tile.tickets ? oclin_least(parts, d->info.compute_units) : parts", "oclin_least(parts, d->info.compute_units)")],
  "plan", "products simd-staged simd-staged/edge/*")
m("tickets: counted wrong by one", "the last part is not computed", [(SIMD, "next_ticket(counters, parts + blocks)) < parts + blocks;", "next_ticket(counters, parts + blocks)) < parts + blocks - 1;")],
  ON_SIMD)
m("tickets: a part of the packing is a block", "", [(SIMD, "spread(ticket - parts, blocks)", "spread(ticket, blocks)")], "products simd-packed simd-packed/small/*/none/*", "products simd-packed simd-packed/edge/*")

# -------------------------------------------------------------------------------------- alignment of one operand alone

OPERANDS = ("a", "s", "b", "c", "bias", "db", "z")


def operands(*names):
    return "{%s}" % ", ".join("&p->" + name for name in names)


def without(operand):
    """Another one takes its place."""
    return operands(*(("b" if operand == "a" else "a") if name == operand else name for name in OPERANDS))


for operand in OPERANDS:
    m("plan: operand %s is not asked whether it is aligned" % operand, "",
      [(PLAN_SIMT, operands(*OPERANDS), without(operand))], "plan align*", *(["edges alone/*"] if operand not in "sz" else []))
m("plan: the bias is not asked whether it is aligned (Oclgrind)", "what the hardware may forgive",
  [(PLAN_SIMT, operands(*OPERANDS), without("bias"))], "oclgrind-data edges alone/b*")
STEP_ALIGNED = "s->w->aligned && s->dw->aligned"
m("step: an unaligned dw taken for aligned", "", [(PRODUCT, STEP_ALIGNED, "s->w->aligned")], "edges alone/*")
m("step: an unaligned dw taken for aligned (Oclgrind)", "what the hardware may forgive", [(PRODUCT, STEP_ALIGNED, "s->w->aligned")],
  "oclgrind-data edges alone/dw*")
m("step: an unaligned w taken for aligned", "", [(PRODUCT, STEP_ALIGNED, "s->dw->aligned")], "edges alone/*")

# ------------------------------------------------------------------------------------------- drivers, and facts of devices

m("program: denormals are flushed", "by an option of the compiler", [(PROGRAM, '"-cl-std=CL1.2"', '"-cl-std=CL1.2 -cl-denorms-are-zero"')],
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
  [("src/core/os.c", "if (errno != ENOENT) *why = \"cannot be opened\";", "if (errno != ENOENT && errno != ENOTDIR) *why = \"cannot be opened\";")],
  "program replace/*")
m("program: the first device's binary is stored", "", [(PROGRAM, "while (i < count && devices[i] != ctx->device.info.device) i++;", "")],
  "program driver/*")
DEVICE = "src/core/device.c"
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

TUNE, RULES, WRONG = "src/top/tune.c", "tune_rules", "tune_wrong wrong/*"
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
m("tune: NaN beside the samples is not seen", "", [(TUNE, "if (!isfinite(t->got[i]))", "if (0)")], WRONG)
m("tune: results are not poisoned", "what the plan before has left is right",
  [(TUNE, "for (int i = first; i <= last; i++) OCLIN_TRY(oclin_tensor_fill(t->samples[i].result, NAN));", "")], WRONG)
m("tune: its own context heeds the environment", "", [(TUNE, "o.ignore_environment = 1;", "o.ignore_environment = 0;")], "tune call/*")
m("tune: other kernels than the caller's", "the folder is forgotten", [(TUNE, "o.cl_dir = ctx->cl_dir;", "")], "tune call/*")
m("tune: what was chosen before the end is not stored", "later contexts do not find it",
  [(TUNE, "if (t->winners.count > 0) oclin_tuning_store", "if (status == OCLIN_OK && t->winners.count > 0) oclin_tuning_store")],
  "tune call/ended*")
m("tuning: what was found of a folder's kernels is for all", "", [(TABLE, "return ctx->cache_dir && !ctx->cl_dir;", "return ctx->cache_dir != NULL;")], "tune call/*")

# ------------------------------------------------------------------------------------------------- equal bits, every time

TURNS = "((l->ctx->layers_made - 1) / 2 % 2 ? 1.0f : 0x1.000002p0f)"
m("layer: the learning rate depends on the process", "equal bits in one, not in two",
  [(LAYER, "oclin_plain_numbers((double)lr)", "oclin_plain_numbers((double)(lr * (1.0f + 0x1p-22f * (float)(oclin_os_process_id() % 1000))))")],
  "products simd-8 simd-8/processes")
m("layer: y depends on the process", "equal bits in one, not in two",
  [(LAYER, ".activation = l->activation, .alpha = l->alpha, .scale = 1.0f}", ".activation = l->activation, .alpha = l->alpha, .scale = 1.0f + 0x1p-22f * (float)(oclin_os_process_id() % 1000)}"),
   (FORWARD, "real y = activate(sum);", "real y = activate(sum * e.scale);")], "products simd-8 simd-8/processes")
m("layer: z differs in its last bit from time to time", "",
  [(LAYER, ".activation = l->activation, .alpha = l->alpha, .scale = 1.0f}", ".activation = l->activation, .alpha = l->alpha, .scale = %s}" % TURNS),
   (FORWARD, "store_lanes(e.z, sum, lanes)", "store_lanes(e.z, sum * e.scale, lanes)")], "products plain plain/small_gelu/*")
m("layer: a step differs in its last bit from time to time", "",
  [(LAYER, "oclin_plain_numbers((double)lr)", "oclin_plain_numbers((double)(lr * %s))" % TURNS)], "products plain plain/pair/*")
m("tensor: zeros behind what was touched go elsewhere", "", [(TENSOR, "(size_t)(row + from)", "(size_t)(row - from)")],
  "layer_gradients zero_grad/*")
m("tensor: a view of what was just written counts as never written", "a finish that fails leaves it readable",
  [(TENSOR, "if (u->version > t->version) t->version = u->version;", "")], "sharing unspecified/*")
m("tensor: a view of what was just written counts as finished", "a finish that fails leaves it readable",
  [(TENSOR, "if (u->epoch > t->epoch) t->epoch = u->epoch;", "")], "sharing unspecified/*")

# -------------------------------------------------------------------------------- long sums: slices, chunks, roundings

SUMS, ADDITIONS = "sums", "src/plan/additions.c"
m("slices: the last one forgets those before", "only the last part of a long k counts",
  [(PRODUCT, "if (k0 > 0) slice.flags |= OCLIN_FLAG_ONTO;", "")], "sums slices/simt-16/*")
m("slices: each runs the epilogue", "a bias, activation or step once a slice",
  [(PRODUCT, "slice.flags |= OCLIN_FLAG_PARTIAL;", "")], "sums slices/simt-16/*")
m("slices: s stays where it is", "later slices take the derivative of the first",
  [(PRODUCT, "slice.s.offset += k0 * (a_along_k ? 1 : p->s.stride);", "")], "sums slices/simt-16/*")
m("slices: db's sums have no column of their own", "db of slices lies in dW's place",
  [(ADDITIONS, "return oclin_round_up(n + 1, 4);", "return oclin_round_up(n, 4);")], "sums slices/*")
m("additions: a GPU's sums are as short as its slices", "launches are not counted", [(ADDITIONS, "of_products(plan, slice) + behind;", "of_products(plan, slice);"),
   (ADDITIONS, "p->m : slice) + behind;", "p->m : slice);")],
  "sums one?side/simt-16/*")
m("additions: a chain has half of its roundings", "VERIFY calls a right device wrong",
  [(ADDITIONS, "return oclin_least(terms, chunk) +", "return oclin_least(terms, chunk) / 2 +")], "sums one?side/default/*")
m("split: the last part is left out", "the sum of the parts ends one early",
  [(SPLIT_SUMS, "part < parts; part++) sum += LOAD_", "part < parts - 1; part++) sum += LOAD_")], ON_SPLIT)
m("split: the first part is added twice", "where fewer than four columns are left",
  [(SPLIT_SUMS, "for (long part = 1; part < parts; part++) sum += load_", "for (long part = 0; part < parts; part++) sum += load_")],
  ON_SPLIT, PAIR_SPLIT)
m("split: parts one over the other", "each part's sums go to the first one's place",
  [(SIMT, "        z_offset += part * m * z_stride;\n", "")], ON_SPLIT)
m("split: each part runs the epilogue", "a bias, activation or step once a part",
  [(PRODUCT, "if (split || k0 + slice.k < p->k)", "if (k0 + slice.k < p->k)")], ON_SPLIT)
m("split: db of the first part alone", "", [(SPLIT_SUMS, "m * a_stride, k, 1).x", "m * a_stride, 1, 1).x")], ON_SPLIT)
m("split: db of a row too many", "", [(SPLIT_SUMS, "row >= 0 && row < m &&", "row >= 0 && row <= m &&")], ON_SPLIT)
m("split: no work-items for db", "", [(PLAN_SIMT, "+ (sums_a ? p->m : 0);", "+ (sums_a ? 0 : 0);")], ON_SPLIT, PAIR_SPLIT)
m("split: each part goes on to the end of k", "", [(SIMT, "k = min(k - k0, (long)block_k);", "k = k - k0;")], ON_SPLIT)
m("split: the last part is as long as the others", "it reads behind the end of k",
  [(SIMT, "k = min(k - k0, (long)block_k);", "k = block_k;")], ON_SPLIT, PAIR_SPLIT)
m("split: s stays where it is", "later parts take the derivative of the first",
  [(SIMT, "        s_offset += k0 * (A_ALONG_K ? 1 : s_stride);\n", "")], on("simt-16-split", "relu"))
m("split: scratch memory for one part", "the others lie behind it",
  [(ADDITIONS, ": parts * p->m * oclin_slices_stride(p->n);", ": p->m * oclin_slices_stride(p->n);")], "plan invariants/*")
m("split: reserve takes no memory for parts", "",
  [(PLAN_SIMT, "        if (bytes > most) most = bytes;\n", "")], "split reserve/*", "plan invariants/*")
m("split: no memory for parts is the end", "", [(PRODUCT, "    *next = 1; /* whatever the reason that there is no memory, another way may need none */\n", "    *next = !oclin_is_split(&p->plan);\n")],
  "split no?memory*")
m("split: more parts than there is memory for", "",
  [(PLAN_SIMT, "return oclin_least(oclin_most_parts(p->k), room / floats_of_part(p));", "return oclin_most_parts(p->k);")], "plan")
m("split: each slice has as many parts as the longest", "groups begin behind the end of k",
  [(PRODUCT, "/ oclin_parts(&p->plan, p->k) * oclin_parts(&p->plan, slice.k)", "")], "split slices/*")
m("split: parts longer than slices may be", "a chain of more additions than is promised",
  [(ADDITIONS, "slices = oclin_ceil_divide(k, parts * SIMT_SLICE)", "slices = 1")], "plan additions/*")
m("split: so many parts that their sums are a long chain", "",
  [(ADDITIONS, "int64_t oclin_most_parts(int64_t k)\n{\n    return root(k);", "int64_t oclin_most_parts(int64_t k)\n{\n    return k / 8 + 1;")],
  "plan additions/*")
m("split: the additions of db's parts are not counted", "",
  [(ADDITIONS, "oclin_least(k, plan->block_k)) +\n           oclin_ceil_divide(k, plan->block_k) - 1;", "oclin_least(k, plan->block_k));")],
  "sums one?side/simt-16-split/db*")
m("split: the self-check goes without", "", [("src/plan/plan.h", "OCLIN_CHECK_ROUNDS = 4", "OCLIN_CHECK_ROUNDS = 2")],
  "self_check mistake/simt/a?split*")
m("split: never chosen", "", [(PLAN_SIMT, "return suits(d, p, t) && 2 * tiles_of(p, t)", "return 0 && 2 * tiles_of(p, t)")], "plan")
m("occupancy: execution units are taken for sub-slices", "", [(OCCUPANCY, "return oclin_is_intel(d) ?", "return 0 ?")], "plan held/*")
m("occupancy: registers do not matter", "", [(OCCUPANCY, "if (amd || nvidia)", "if (0)")], "plan held/*")
m("occupancy: cores of a CPU hold many groups", "", [(OCCUPANCY, "if (d->info.type == OCLIN_DEVICE_CPU) return o;", "")], "plan held/*")
m("plain: one chain again", "no chunks", [(ADDITIONS, "plan->block_k = (int)oclin_least(root(k), INT32_MAX);",
                                           "plan->block_k = (int)oclin_least(k, INT32_MAX);")], "plan additions/*")
m("loss: one chain again", "no chunks", [(ADDITIONS, "plan->chunk = root(oclin_ceil_divide(cols, lanes)) * lanes;",
                                          "plan->chunk = oclin_ceil_divide(cols, lanes) * lanes;")], "plan additions/*")
m("loss.cl: one chain while the host counts chunks", "the sum of a row is not cut",
  [("cl/loss_elements.cl", "part_sum = in_lanes(lanes, add_loss(part_sum, y_i, t_i, of_class, number), part_sum);", "sum = in_lanes(lanes, add_loss(sum, y_i, t_i, of_class, number), sum);")],
  "sums losses*")
m("one_pass_skinny: dX is stored, not added, after the first rows", "only the last rows of W count",
  [(GRADS, "first ? sum : sum + load_lanes(c + j, lanes)", "sum")], "products simd-skinny simd-skinny/*")
m("simt: db's sums of earlier steps are lost", "only the last steps of each share of k count",
  [(SIMT, "        sum += part;\n    }\n    *(local", "        sum = part;\n    }\n    *(local")], "sums like/simt-16/db*")
m("simt: db of one share of k too few", "", [(SIMT, "i < SHARES_OF_K; i++) all", "i < SHARES_OF_K - 1; i++) all")], ON_SIMT)
m("simt: db without the derivative", "", [(SIMT, "if (A_NEEDS_S) value = grad_z(", "if (0) value = grad_z(")],
  "products simt-16 simt-16/small/*/tanh/*")
m("simd: db's older blocks are lost", "only the last 32 blocks count",
  [(SIMD, "*all = block == 0 ? 0.0f : *all + *now;", "*all = 0.0f;")], "sums like/simd-4/db*")
m("simd: db's slices of all blocks of rows in one place", "where the block's rows begin is left out",
  [(SIMD, "store_sum_a(a_sums[OCLIN_TILE_M + row] + a_sums[row], at_sum(all, row0 + row, n));",
    "{\n            struct epilogue e = at_sum(all, row0 + row, n);\n            e.z -= row0 * e.z_stride;\n"
    "            store_sum_a(a_sums[OCLIN_TILE_M + row] + a_sums[row], e);\n        }")], "sums slices/default/dw")
m("reference: proven, without the operands' errors", "E is left out",
  [(BOUNDS, "* (sum->S + sum->carried) + sum->carried + (1 + gamma)", "* (sum->S + sum->carried) + (1 + gamma)")],
  "bounds", "sums losses*")

LEFT = "if (u == t) continue;\n        u->epoch = ctx->epoch;\n        if (!left) u->unspecified = 1;"
m("tensor: zeros of a dropped gradient that could not be written", "who looks there is not told",
  [(TENSOR, LEFT, LEFT.replace("if (!left) u->unspecified = 1;", ""))], "layer_failure zero_grad/*")
m("tensor: zeros of a dropped gradient count as finished", "a finish that fails leaves them readable",
  [(TENSOR, LEFT, LEFT.replace("u->epoch = ctx->epoch;", ""))], "layer_failure zero_grad/*")
m("tensor: the sentence names one element too many", "", [(TENSOR, "(long long)(first + span(out->rows, out->cols, out->stride) - 1)", "(long long)(first + span(out->rows, out->cols, out->stride))")], "sharing overlap/*")
m("device: a custom device taken for an accelerator", "", [(DEVICE, "bits & CL_DEVICE_TYPE_ACCELERATOR", "bits | CL_DEVICE_TYPE_ACCELERATOR")], "device facts/*")
m("device: a wave that the driver does not tell", "",
  [(DEVICE, "&narrow, NULL) == CL_SUCCESS ? (int64_t)narrow : 0", "&narrow, NULL) == CL_SUCCESS ? (int64_t)narrow : 1")], "device facts/*")
HALF = "(rank == 0 ? t->end : half)"
m("tune: checks take all of the time", "", [(TUNE, HALF, "t->end")], "tune_rules rules/ha*")
m("tune: defaults are not checked behind half of the time", "", [(TUNE, HALF, "half")], "tune_rules rules/ha*")
m("program: the group that a kernel was compiled for does not count", "some drivers give a smaller limit",
  [(PROGRAM, " || (int64_t)required[0] == p->request.tile.group", "")], "program driver/*")
m("device: two compute units where the driver does not tell", "",
  [(DEVICE, "if (info->compute_units < 1) info->compute_units = 1;", "if (info->compute_units < 1) info->compute_units = 2;")], "device facts/*")
m("layer: db's version is taken for dw's", "a step without a gradient is done",
  [(LAYER, "clear_gradient(l->db, &l->db_version) : OCLIN_OK", "clear_gradient(l->db, &l->dw_version) : OCLIN_OK")], "layer_gradients zero_grad/asked*")
m("layer: a z that is large enough is taken for one of the right width", "rows of z overlap",
  [(LAYER, "return z && z->rows >= batch && z->cols == l->out;", "return z && z->rows * z->cols >= batch * l->out;")], "layer_state saved/z*")

# ------------------------------------------------------------------------------------------ W as (in, out)

m("transposed: a row of dW twice", "a quad of a column has the first row's result for its second",
  [(SIMT, "sum[i + 1][j].c", "sum[i][j].c")], "products simt-16 simt-16/transposed/*")
m("transposed: one column of dW for all", "simd stores the first column of a register tile in each",
  [(SIMD, "of_row[(i + j) * OCLIN_ITEM_N + column]", "of_row[(i + j) * OCLIN_ITEM_N]")], "products simd-whole simd-whole/transposed/*")
m("transposed: a register tile's surplus rows", "simd stores what stands behind the last row",
  [(SIMD, "const int lanes = min(min(rows, OCLIN_ITEM_M) - i, OCLIN_VL);",
    "const int lanes = min(OCLIN_ITEM_M - i, OCLIN_VL);")], "products simd-whole simd-whole/transposed/*")
m("transposed: db's sum of slices", "it lies in the first row of dW's sums",
  [(EPILOGUE, "ELEMENT(row, n, (e).z_stride)", "ELEMENT(row, C_TRANSPOSED ? 0 : n, (e).z_stride)")],
  "products simt-16 simt-16/transposed/*")
m("transposed: slices of forward", "a slice begins in the column k0 of W",
  [(PRODUCT, "b_along_k = oclin_way_b_along_k(p);", "b_along_k = p->id == OCLIN_KERNEL_FORWARD;")],
  "products simt-16 simt-16/transposed/*")
m("transposed: scratch memory of slices", "the stride of (out, in)",
  [(PRODUCT, "oclin_slices_stride(oclin_way_swaps_c(p) ? p->m : p->n)", "oclin_slices_stride(p->n)")], "products simt-16 simt-16/transposed/*")
m("transposed: narrow", "the kernel that reads rows of W in place", [("src/plan/narrow.c", "return !p->transposed && p->m > 0", "return p->m > 0")],
  "products simd-narrow simd-narrow/transposed/*")
m("transposed: skinny", "the kernel that reads rows of W in place",
  [("src/plan/skinny.c", "return !p->transposed && (p->m <= SKINNY_NAMED", "return (p->m <= SKINNY_NAMED")],
  "products simd-skinny simd-skinny/transposed/*")
m("transposed: one pass", "the kernel that reads rows of W in place",
  [("src/plan/skinny.c", "return !p->transposed && p->m <= OCLIN_TINY", "return p->m <= OCLIN_TINY")],
  "products simd-skinny simd-skinny/transposed/*")
m("transposed: verify takes W as it is stored", "right results are called wrong",
  [("src/check/verify.c", "(*copy)[i] = stored[place_of(i, l->in, t->cols)];", "(*copy)[i] = stored[i];")],
  "layer tying/an*")
m("transposed: verify takes dW as it is stored", "right results are called wrong",
  [("src/check/verify.c", "return l->transposed ? l->in : 0;", "return 0;")], "layer tying/an*")
m("transposed: a W of (out, in) is taken", "its elements are read in the wrong order",
  [(LAYER, "const int64_t rows = o->transposed ? n_in : n_out, cols = o->transposed ? n_out : n_in;",
    "const int64_t rows = n_out, cols = n_in;")], "layer transposed/*")
m("transposed: tuned like (out, in)", "a tuned plan, found for other kernels, is used",
  [(PLAN, "if (!ctx->plan.way && !p->transposed && oclin", "if (!ctx->plan.way && oclin")], "tune used/*")

# ------------------------------------------------------------------------------------------ rows in lanes

m("rows: lanes behind the end count", "a row's last vector", [(ROWS_CL, "select(other, value, LANES < lanes)", "value")], "loss simd/*")
m("rows: the last lane is lost", "a row's last vector", [(ROWS_CL, "LANES < lanes", "LANES < lanes - 1")], "loss simd/*")
m("rows: a group leaves out its last row", "", [(ROWS_CL, "row < end_", "row < end_ - (rows > 16)")],
  "loss simd/*")
m("rows: the largest of the first lane alone", "exp overflows", [(ROWS_CL, "i < OCLIN_VL; i++) lane[0] = fmax", "i < 1; i++) lane[0] = fmax")],
  "loss simd/*")
m("rows: one wrong lane does not count", "", [(LOSS_CL, "LANES >= lane_of(label)", "LANES >= 0")], "loss simd/*")
m("rows: the host counts one lane", "the roundings of a long row", [(ADDITIONS, """    const int64_t lanes = (int64_t)plan->tile.group * plan->tile.vl;
    plan->chunk""", """    const int64_t lanes = plan->tile.group;
    plan->chunk""")], "sums losses*", "loss simd/*")
m("additions: ragged rows are not asked about", "another split of theirs has more roundings",
  [(LAYER, "for (int aligned = 0; aligned < 2", "for (int aligned = 1; aligned < 2")], "plan additions/of*")

# ------------------------------------------------------------------------------------------ optimizers

OPTIMIZER, RULE_C, UPDATES, NUMBERS = "src/optimizer.c", "src/ops/rule.c", "cl/updates.cl", "cl/numbers.cl"
ADAM, LION, MOMENTUM, SCHEDULE_FREE = ("cl/rule_%s.cl" % name for name in ("adam", "lion", "momentum", "schedule_free"))
m("rules: Adam's m at the rate of v", "beta2 for beta1", [(ADAM, "MULTIPLY_ADD((real)(u.n.rate1), d, m)", "MULTIPLY_ADD((real)(u.n.rate2), d, m)")],
  "rules update/plain/adam*", "optimizer textbook/*", ci=True)
m("rules: Adam's second way to m", "where beta1 is small", [(ADAM, "MULTIPLY_ADD((real)(-u.n.beta1), d, g)", "MULTIPLY_ADD((real)(u.n.beta1), d, g)")],
  "rules update/plain/adam*", "optimizer textbook/*")
m("rules: AdamW decays after the step", "", [(ADAM, "    w *= u.n.keep;\n", ""), (ADAM, "return MULTIPLY_ADD((real)(-u.n.lr)", "return u.n.keep * MULTIPLY_ADD((real)(-u.n.lr)")],
  "rules update/plain/adamw*", "optimizer textbook/*")
m("rules: eps inside of the root", "", [(ADAM, "m / MULTIPLY_ADD((real)(u.n.unbias), sqrt(v), (real)(u.n.eps))", "m / (u.n.unbias * sqrt(v + u.n.eps))")], "rules update/plain/adam*", "optimizer textbook/*")
m("rules: amsgrad divides by v", "the largest is stored, and not used",
  [(ADAM, "        v = select(v, largest, islessequal(v, largest) || isnan(largest));\n        store_lanes(at_v + u.plane, v, lanes);",
    "        store_lanes(at_v + u.plane, select(v, largest, islessequal(v, largest) || isnan(largest)), lanes);")],
  "rules update/plain/adamw,?amsgrad", "optimizer textbook/*")
m("rules: amsgrad's largest is not kept", "", [(ADAM, "        store_lanes(at_v + u.plane, v, lanes);\n", "")], "rules update/plain/adamw,?amsgrad")
m("rules: Adam's numbers on the device forget the root", "", [(ADAM, "n->unbias = 1.0f / sqrt(s.bias2)", "n->unbias = 1.0f / s.bias2")], "rules on?device/plain/adam*")
m("rules: Nesterov looks back", "", [(MOMENTUM, "MULTIPLY_ADD((real)(u.n.beta1), v, g)", "MULTIPLY_ADD((real)(u.n.beta1), g, v)")],
  "rules update/plain/nesterov", "optimizer textbook/*")
m("rules: the first momentum is damped", "", [(MOMENTUM, "if (u.n.first == 0.0f)", "")], "rules update/plain/momentum", "optimizer textbook/*")
m("rules: Lion's betas swapped", "", [(LION, "MULTIPLY_ADD((real)(u.n.rate1), g, u.n.beta1 * m)", "MULTIPLY_ADD((real)(u.n.rate2), g, u.n.beta2 * m)")],
  "rules update/plain/lion*", "optimizer textbook/*")
m("rules: Lion's sign of NaN is NaN", "", [(LION, "sign(c)", "select(sign(c), c, isnan(c))")], "rules golden/lion*")
m("rules: schedule-free's z does not begin as w", "", [(SCHEDULE_FREE, "u.n.first != 0.0f ? w : load_lanes(u.state, lanes)", "load_lanes(u.state, lanes)")],
  "rules update/plain/schedule*", "optimizer textbook/*")
m("rules: schedule-free moves z from the new w", "", [(SCHEDULE_FREE, "(real)(-u.n.lr), d, z), lanes", "(real)(-u.n.lr), d, w), lanes")],
  "rules update/plain/schedule*", "optimizer textbook/*")
m("updates: b uses w's numbers", "", [(UPDATES, "{OCLIN_NUMBERS(B_NUMBER)}", "{OCLIN_NUMBERS(W_NUMBER)}")],
  "rules fused/plain/*7x5/adamw*", "optimizer device/fused*")
m("updates: b uses w's numbers on the device", "", [(UPDATES, "b_control[0x##digit],", "w_control[0x##digit],")], "optimizer device/fused*")
m("updates: what is clipped is not NaN", "", [(UPDATES, "isgreater(g, (real)(n.clip))", "!islessequal(g, (real)(n.clip))")], "optimizer device/clip")
m("updates: only large gradients are clipped", "not those below 0", [(UPDATES, "        g = select(g, (real)(-n.clip), isless(g, (real)(-n.clip)));\n", "")],
  "optimizer device/clip", "optimizer textbook/*")
m("updates: the state of b stays at the first", "", [(UPDATES, "UPDATE_MOVED((e).b_update, b_by)", "(e).b_update")], "rules fused/plain/*7x5/adam")
m("updates: skip is not looked at", "", [(GRADIENT, "if (u.n.skip != 0.0f) return;", "")], "optimizer device/skip/adam", "rules on?device/plain/adam")
m("numbers: skipped steps count", "", [(NUMBERS, "    if (!skipped) {", "    {")], "optimizer device/skip/adam", ci=True)
m("numbers: factor instead of grad_scale", "", [(NUMBERS, "n.factor *= factor", "n.factor = factor")], "rules on?device/plain/sgd", "optimizer device/factor/sgd")
m("numbers: the last rate is the largest", "", [(NUMBERS, "largest = fmax(largest, n.lr);", "largest = n.lr;")], "rules on?device/plain/schedule*")
m("numbers: this step's weight twice", "", [(NUMBERS, "weight / sum : 0.0f", "weight / (sum + weight) : 0.0f")], "rules on?device/plain/schedule*")
m("numbers: the correction of the step before", "", [(NUMBERS, "t = (float)steps;", "t = (float)(steps - 1);")], "rules on?device/plain/adam*")
m("numbers: the first step is never over", "", [(NUMBERS, "{steps == 1,", "{1,")], "rules on?device/plain/momentum")
m("rule: the correction of the step before", "", [(RULE_C, ".bias1 = -expm1(t * log(o->beta1))", ".bias1 = -expm1((t > 1 ? t - 1 : t) * log(o->beta1))")],
  "optimizer textbook/*", "rules on?device/plain/adam*")
m("rule: the gradient's sign with maximize", "", [(RULE_C, "exact(o->maximize ? -update->factor : update->factor)", "exact(update->factor)")], "optimizer textbook/*")
m("rule: decay does not depend on the rate", "", [(RULE_C, "1 - update->lr * decay", "1 - decay")], "optimizer textbook/*")
m("rule: no dampening", "", [(RULE_C, "1 - o->dampening", "1")], "optimizer textbook/*")
m("rule: the count may overflow", "", [(RULE_C, "if (steps->steps < INT64_MAX) steps->steps++;", "steps->steps++;")], "optimizer state/steps")
m("rule: weights are not squares", "", [(RULE_C, "steps->weight_sum += steps->largest_lr * steps->largest_lr;", "steps->weight_sum += steps->largest_lr;")],
  "optimizer textbook/*", "rules on?device/plain/schedule*")
m("optimizer: planes of w's width", "states with padding run into each other", [(OPTIMIZER, "of->plane = p->w->rows * p->state->stride;", "of->plane = p->w->rows * p->w->cols;")],
  "rules update/plain/adam", "optimizer state/in*")
m("optimizer: the count on the device is not kept", "", [(OPTIMIZER, "            p->on_device = 1;", "            ;")], "optimizer device/counts/adam")
m("optimizer: counts on the device from the host", "", [(OPTIMIZER, "p->on_device ? -1 : (int)", "(int)")], "optimizer device/counts/adam")
m("optimizer: lr_factor ignored", "", [(OPTIMIZER, ".lr = u->lr * p->lr_factor,", ".lr = u->lr,")], "optimizer rate/*")
m("optimizer: a layer's own decay ignored", "", [(OPTIMIZER, ": o->weight_decay < 0 ? optimizer", ": 1 ? optimizer")], "optimizer decay/adam")
m("optimizer: biases decay", "", [(OPTIMIZER, "o->b_state, o, optimizer->options.decay_bias)", "o->b_state, o, 1)")], "optimizer decay/adam")
m("optimizer: a state that nobody wrote is taken as it is", "", [(OPTIMIZER, "    if (!oclin_tensor_ever_written(p->state)) OCLIN_TRY(oclin_tensor_clear(p->state));\n", "")], "optimizer state/*")
m("optimizer: a state that was written is cleared", "", [(OPTIMIZER, "if (!oclin_tensor_ever_written(p->state)) OCLIN_TRY(", "OCLIN_TRY(")], "optimizer state/written")
m("optimizer: eval goes the way of train", "", [(OPTIMIZER, "evaluates ? 1 - 1 / o->beta1 : 1 - o->beta1", "1 - o->beta1")], "optimizer eval/*")
m("optimizer: eval twice moves twice", "", [(OPTIMIZER, " || optimizer->evaluates == evaluates", "")], "optimizer eval/*")
m("optimizer: eval of what was never updated", "there is no z", [(OPTIMIZER, "return p->steps.steps > 0 && p->w->rows > 0;", "return p->w->rows > 0;")], "optimizer eval/*")
m("optimizer: averages are updated", "", [(OPTIMIZER, "    if (optimizer->evaluates)\n", "    if (0)\n")], "optimizer eval/*")
m("optimizer: half of a failed eval is left", "", [(OPTIMIZER, "        if (moves(p)) oclin_tensor_written(p->w, status);", "        if (moves(p)) oclin_tensor_written(p->w, OCLIN_OK);")], "optimizer eval/failure")
m("optimizer: a lost count is used", "", [(OPTIMIZER, "p && p->on_device ? OCLIN_ADDS : OCLIN_WRITES", "OCLIN_WRITES")], "optimizer failure/lost*")
m("optimizer: a state heals although a part is lost", "", [(OPTIMIZER, "lost |= p->states[i] && p->states[i]->unspecified;", ";")], "optimizer failure/*")
m("optimizer: one state for two parameters", "", [(OPTIMIZER, "if (p->state && oclin_tensor_overlap(p->state, t))", "if (0)")], "optimizer refused/overlaps")
m("optimizer: tied layers need not share dW", "", [(OPTIMIZER, "!tie->gradient || !l->dw || !oclin_tensor_same(tie->gradient, l->dw)", "0")], "optimizer tied")
m("layer: cleared gradients count as steps", "", [(LAYER, "if (!uses[2 * i].tensor) call->parameters[i] = NULL;", ";")], "optimizer gradients/cleared")
m("layer: micro-batches stay after the update", "", [(LAYER, "    if (status == OCLIN_OK) status = zero_grad(l);\n", "")], "optimizer gradients/micro*")
m("layer: micro-batches look sound after a failure", "", [(LAYER, "    oclin_tensor_written(l->dw, status);\n", "")], "optimizer failure/micro*")
m("layer: a tied w is updated in backward", "", [(LAYER, "if (m->w->tied)", "if (0)", 0)], "optimizer tied")
m("layer: each tied layer updates w", "", [(LAYER, "set_step_uses(l, m->w && m->leads,", "set_step_uses(l, 1,"), (LAYER, "m->leads ? m->w : NULL", "m->w")], "optimizer tied")
m("layer: a frozen bias learns in backward", "", [(LAYER, ".learns_b = call->parameters[1] != NULL", ".learns_b = 1")], "optimizer frozen/*")
m("layer: refused when the gradients have changed", "", [(LAYER, "    OCLIN_TRY(check_backward(&checked));\n", "")], "optimizer refused/*")

# ---------------------------------------------------------------------------------------------- networks

NETWORK = "src/network.c"
m("network: a window of any size is used", "", [(NETWORK, "if (w[i].used && w[i].rows == rows) {", "if (w[i].used) {")], "network forward*plain")
m("network: views of old memory stay", "", [(NETWORK, "for (int64_t i = first; i < end; i += step) drop(&net->windows[w].views[i]);", ";")],
  "network memory*")
m("network: gradients take no turns", "dX is written over dY", [(NETWORK, "net->turns[i % 2], rows, out_of(net, i)));", "net->turns[0], rows, out_of(net, i)));")],
  "network backward*plain")
m("network: a residual branch overwrites", "", [(NETWORK, "    o.accumulate = p->residual;\n", "")], "network residual*")
m("network: dY of a residual branch is lost", "", [(NETWORK, "if (p->residual && dx) OCLIN_TRY(oclin_tensor_copy(dx, dy));", ";")], "network residual*")
m("network: a failed forward counts", "", [(NETWORK, "    net->batch = -1;\n    drop(&net->output);\n    const", "    drop(&net->output);\n    const")], "network a?failure*")
m("network: the layers' own saved states", "", [(NETWORK, "    o.saved = p->saved;\n", "")], "network a?layer?in*")
m("network: parameters are not looked at first", "", [(NETWORK, "    return of_layer(net, i, oclin_uses_check(net->ctx, uses, 4));", "    return OCLIN_OK;")], "network calls*")
m("network: a step is not checked as a whole", "", [(NETWORK, "    OCLIN_TRY(check_pass(net, &pass, x->rows));\n", "")], "network steps*")
m("network: the loss is not checked first", "", [(NETWORK, "    OCLIN_TRY(oclin_loss_check(net->ctx, &ahead));\n", "")], "network steps*")
m("network: first forgets nothing", "", [(NETWORK, "    if (o.first) OCLIN_TRY(clear_gradients(net));\n", "")], "network micro-batches*plain")
m("network: half of a failed add is left", "", [(NETWORK, "        oclin_optimizer_take_out(optimizer, members, parameters);\n", "")], "network added*")
m("network: what was tied to a layer taken out stays tied", "", [(OPTIMIZER, "p = p->next) p->tied = 0;", "p = p->next) ;")], "network added*")
m("network: frozen layers in front get a gradient", "", [(NETWORK, "is_frozen(pass->optimizer, &net->parts[pass->stop]))", "0 && is_frozen(pass->optimizer, &net->parts[pass->stop]))")],
  "network frozen*")
m("network: reserve leaves out what layers keep apart", "", [(NETWORK, "p->saved, rows, p->residual));", "p->saved, rows, 0));")], "network after?reserve*plain")
# ------------------------------------------------------------------------------------------- norms, finite numbers

NORM, NORM_PARTS, NORM_SUM, CHECK_FINITE = "src/norm.c", "cl/norm_parts.cl", "cl/norm_sum.cl", "cl/check_finite.cl"

m("norm: spans of a row overlap", "elements where spans meet count twice",
  [(NORM_PARTS, "row % spans * span,", "row % spans * (span - 1),")], "norm plain/tensor*", ci=True)
m("norm: rows taken as dense", "the gaps between rows count",
  [(NORM_PARTS, "row / spans * a_stride", "row / spans * cols")], "norm plain/tensor*")
m("norm: 1 is not added to X X^T", "db does not count", [(NORM_PARTS, "by += 1.0f", "by += 0.0f")], "norm plain/layer*")
m("norm: clamped by fmax", "NaN becomes 0",
  [(NORM_SUM, "if (sum < 0.0f) sum = fabs(sum * 0.0f)", "sum = fmax(sum, 0.0f)")], "norm plain/tensor*")
m("norm: not clamped", "gradients that cancel have a norm below 0",
  [(NORM_SUM, "if (sum < 0.0f) sum = fabs(sum * 0.0f);", "")], "norm plain/cancels")
m("norm: dY for dZ", "the activation's derivative is left out",
  [("cl/grad_z.cl", "grad_z(load_lanes(dy_row + i, lanes), load_lanes(s_row + i, lanes))", "load_lanes(dy_row + i, lanes)")],
  "norm plain/layer*")
m("norm: a mean of products not divided", "the sums' gradient counts",
  [(NORM, "    n->scale = g->dw.scale;\n", "")], "norm plain/layer*")
m("norm: products pack over dZ", "scratch memory of products overlaps the norm's",
  [(NORM, "if (bytes > most) most = bytes;\n    }\n    n->floats", "if (bytes < most) most = bytes;\n    }\n    n->floats")],
  "norm simd-packed/*")
m("norm: every tensor is dense", "the gaps between rows count", [(NORM, "return t->stride == t->cols;", "return 1;")],
  "norm plain/tensor*")
m("norm: only dW is looked for", "a db that is stored does not count",
  [(NORM, "(l->dw && !l->dw->cleared) || (l->db && !l->db->cleared)", "l->dw && !l->dw->cleared")], "norm plain/finite*")
m("norm: always by two products", "also where dW is cheaper",
  [(PLAN, "return s.batch * ((with_w ? s.in : 0) + s.out) < s.in * s.out;", "return s.batch > 0 || with_w;")], "norm plain/layer*")
m("clip_factor: fmin", "NaN becomes 1",
  [("cl/clip_factor.cl", "share > 1.0f ? 1.0f : share", "fmin(share, 1.0f)")], "norm plain/factor")
m("check_finite: without the last column", "a NaN there is not seen",
  [(CHECK_FINITE, "min(begin + span, cols)", "min(begin + span, cols - 1)")], "norm plain/finite", ci=True)
m("check_finite: the flag is overwritten", "what another call has found is lost",
  [(CHECK_FINITE, "if (get_local_id(0) == 0 && isnan(all))\n            atomic_xchg(flag + flag_offset, 1);",
    "if (get_local_id(0) == 0) atomic_xchg(flag + flag_offset, isnan(all));")], "norm plain/finite")
