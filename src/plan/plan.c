/*
 * Chooses from device facts, product and shape the way in which the product is made, with its tile and
 * groups. The rooms of way.h say what each way can do and what it costs; this file finds ways by name, ranks
 * them, and falls back to others.
 */
#include "plan/plan.h"

#include <stdio.h>
#include <string.h>

#include "core/error.h"
#include "plan/additions.h"
#include "plan/skinny.h"
#include "plan/tune_table.h"

/* Ways are listed, tuned and, where costs are equal, tried in this order. */
static const struct oclin_room *const rooms[] = {&oclin_simt_room, &oclin_simd_room, &oclin_skinny_room,
                                                 &oclin_narrow_room, &oclin_plain_room};
enum { ROOMS = sizeof rooms / sizeof *rooms, MOST_CHOICES = 16 };

/* ------------------------------------------------------------------------------------------------ names */

/* Returns number `at` of all ways; NULL behind the last. */
static const struct oclin_way *way_at(int at, const struct oclin_room **room)
{
    for (int i = 0; i < ROOMS; at -= rooms[i++]->count)
        if (at < rooms[i]->count) {
            if (room) *room = rooms[i];
            return &rooms[i]->ways[at];
        }
    return NULL;
}

/* One pass over W is not a plan that can be named, because it cannot make a forward. */
static int is_a_plan(const struct oclin_way *way)
{
    return way->makes != OCLIN_MAKES_ONE_PASS;
}

const char *oclin_plan_name(int at)
{
    const struct oclin_way *way;
    for (int i = 0; (way = way_at(i, NULL)); i++)
        if (is_a_plan(way) && at-- == 0) return way->name;
    return NULL;
}

static const struct oclin_way *way_named(const char *name)
{
    const struct oclin_way *way;
    for (int i = 0; (way = way_at(i, NULL)); i++)
        if (is_a_plan(way) && strcmp(way->name, name) == 0) return way;
    return NULL;
}

/* Returns the family of the named way; for NULL, the one that oclin chooses for the device. */
static enum oclin_family family_of(const struct oclin_device_facts *d, const struct oclin_way *named)
{
    if (named) return named->family;
    return d->info.type == OCLIN_DEVICE_CPU ? OCLIN_SIMD : OCLIN_SIMT;
}

/* Returns the room that speaks for a family. */
static const struct oclin_room *room_of(enum oclin_family family)
{
    int i = 0;
    while (rooms[i]->family != family || !rooms[i]->tile) i++;
    return rooms[i];
}

static int runs(const struct oclin_device_facts *d, const struct oclin_way *named, struct oclin_tile *tile)
{
    const struct oclin_room *room = room_of(named->family);
    *tile = room->tile(d, named);
    return oclin_way_fits(d, tile, room->local_floats(tile));
}

void oclin_plan_select(oclin_context *ctx, const char *name)
{
    const struct oclin_way *named = way_named(name);
    struct oclin_plan_choice *c = &ctx->plan;
    if (name != c->name) snprintf(c->name, sizeof c->name, "%s", name);
    c->way = named;
    /* kernels that work element by element use the family of the products, and as many lanes as the plan
     * names */
    c->family = family_of(&ctx->device, named);
    c->lanes = c->family == OCLIN_SIMD ? room_of(c->family)->tile(&ctx->device, named).vl : 1;
}

static oclin_status unknown(oclin_context *ctx, const char *name)
{
    char known[400] = "";
    for (int i = 0; oclin_plan_name(i); i++)
        snprintf(known + strlen(known), sizeof known - strlen(known), "%s%s", i ? ", " : "",
                 oclin_plan_name(i));
    return oclin_fail(ctx, OCLIN_E_ARG, "plan '%.40s' is not known: %s", name, known);
}

oclin_status oclin_plan_choose(oclin_context *ctx, const char *name)
{
    struct oclin_tile tile;
    oclin_plan_select(ctx, "");
    if (!name || !*name) return OCLIN_OK;
    const struct oclin_way *named = way_named(name);
    if (!named) return unknown(ctx, name);
    if (!runs(&ctx->device, named, &tile))
        return oclin_fail(ctx, OCLIN_E_DEVICE,
                          "plan %s needs work-groups of %d and a %d x %d x %d tile; the device allows %lld "
                          "work-items and %lld bytes of local memory",
                          name, tile.group, tile.tile_m, tile.tile_n, tile.tile_k,
                          (long long)ctx->device.max_items, (long long)ctx->device.info.local_bytes);
    oclin_plan_select(ctx, name);
    return OCLIN_OK;
}

/* ----------------------------------------------------------------------------------------------- ranking */

/* Turns a shape into a product without operands; shape_of() turns it back. */
struct oclin_product oclin_plan_shaped(enum oclin_kernel_id id, struct oclin_shape s)
{
    struct oclin_product p = {.id = id, .m = s.batch, .n = s.in, .k = s.out}; /* grad_x and one pass */
    if (id == OCLIN_KERNEL_FORWARD) p.n = s.out, p.k = s.in;
    if (id == OCLIN_KERNEL_GRAD_W) p.m = s.out, p.k = s.batch;
    return p;
}

static struct oclin_shape shape_of(const struct oclin_product *p)
{
    struct oclin_shape s = {p->m, p->n, p->k};
    if (p->id == OCLIN_KERNEL_FORWARD) s.in = p->k, s.out = p->n;
    if (p->id == OCLIN_KERNEL_GRAD_W) s.batch = p->k, s.out = p->m;
    return s;
}

static int is_split(const struct oclin_way *way)
{
    return way->tile.stage == OCLIN_STAGE_PARTS;
}

/* A question to the ranking. */
struct question {
    const struct oclin_device_facts *d;
    const struct oclin_way *named; /* NULL: oclin chooses */
    const struct oclin_product *p;
    struct oclin_tile tile; /* the family's ways start from it */
};

static int is_for(const struct oclin_way *way, const struct oclin_product *p)
{
    return (way->makes >> p->id & 1) && way->can;
}

/* A way may lead if the whole family is asked for, or the way itself, or a way beside it in its room that
 * cannot make this product. */
static int may_lead(const struct question *q, const struct oclin_room *room, const struct oclin_way *way)
{
    const struct oclin_way *named = q->named;
    if (!named || way == named || (!named->makes && !named->lanes)) return 1;
    return named >= room->ways && named < room->ways + room->count && !is_for(named, q->p);
}

/* Returns 1 if the way is a choice at all; *plan then has its tile. Where a single way is named and can make
 * the product, it is the only choice; what it cannot make is made in the family's usual ways. */
static int is_choice(const struct question *q, const struct oclin_room *room, const struct oclin_way *way,
                     struct oclin_plan *plan)
{
    const struct oclin_way *named = q->named;
    if (!is_for(way, q->p)) return 0;
    if (way->leads && !may_lead(q, room, way)) return 0;
    memset(plan, 0, sizeof *plan);
    plan->way = way;
    plan->tile = q->tile;
    if (!way->can(q->d, way, q->p, &plan->tile)) return 0;
    plan->tile.transposed = q->p->transposed;
    return way == named || (way->suits && way->suits(q->d, q->p, &plan->tile));
}

/* Ranks the choices of a family, the best one first, at most MOST_CHOICES, and returns their number. Where
 * one leads, the others are not compared before they are wanted: `wanted` is the number of choices that the
 * caller looks at. */
static int rank(const struct question *q, enum oclin_family family, int wanted,
                struct oclin_plan plans[MOST_CHOICES])
{
    const struct oclin_room *room;
    const struct oclin_way *way;
    double costs[MOST_CHOICES];
    int count = 0;
    for (int leads = 1; leads >= 0 && count < wanted; leads--)
        for (int i = 0; (way = way_at(i, &room)) && count < MOST_CHOICES; i++) {
            struct oclin_plan plan;
            if (way->family != family || !way->leads != !leads) continue;
            if (!is_choice(q, room, way, &plan)) continue;
            const double cost = way->place(q->d, q->p, &plan);
            if (way != q->named && oclin_plan_scratch_bytes(q->p, &plan) > q->d->info.max_allocation)
                continue;
            int at = count++;
            for (; at > 0 && costs[at - 1] > cost; at--) costs[at] = costs[at - 1], plans[at] = plans[at - 1];
            costs[at] = cost;
            plans[at] = plan;
            if (way == q->named) return plans[0] = plan, 1;
        }
    return count;
}

/* Finds the attempt-th choice where `named` is asked for (NULL: nothing is); returns 0 if there are no more.
 * *count is how many there are. The plain ways follow behind oclin's own choices, and where a device can do
 * nothing else. */
static int choose(const struct oclin_device_facts *d, const struct oclin_way *named,
                  const struct oclin_product *p, int attempt, struct oclin_plan *plan, int *count)
{
    const enum oclin_family family = family_of(d, named);
    const struct question q = {d, named, p, room_of(family)->tile(d, named)};
    struct oclin_plan plans[MOST_CHOICES];
    *count = rank(&q, family, attempt + 1, plans);
    const int own = *count;
    if (attempt < own) return *plan = plans[attempt], 1;
    if ((!named || own == 0) && family != OCLIN_PLAIN) *count += rank(&q, OCLIN_PLAIN, MOST_CHOICES, plans);
    if (attempt >= *count) return 0;
    *plan = plans[attempt - own];
    return 1;
}

/* A tuned backward is one of these. */
static const char one_pass[] = "one-pass", two_products[] = "two-products";

/* Returns the way of one pass for p, with its tile; NULL if there is none here. */
static const struct oclin_way *way_of_one_pass(const oclin_context *ctx, const struct oclin_product *p,
                                               struct oclin_tile *tile)
{
    const struct oclin_way *named = ctx->plan.way, *way;
    const struct oclin_room *room;
    const struct question q = {&ctx->device, named, p,
                               room_of(family_of(&ctx->device, named))->tile(&ctx->device, named)};
    for (int i = 0; (way = way_at(i, &room)); i++) {
        if (!(way->makes & OCLIN_MAKES_ONE_PASS) || way->family != family_of(&ctx->device, named)) continue;
        *tile = q.tile;
        if (may_lead(&q, room, way) && way->can(&ctx->device, way, p, tile)) return way;
    }
    return NULL;
}

int oclin_plan_one_pass(const oclin_context *ctx, const struct oclin_product *p)
{
    const struct oclin_tuned *t = NULL;
    struct oclin_tile tile;
    struct oclin_product grads = *p;
    grads.id = OCLIN_KERNEL_ONE_PASS;
    const struct oclin_way *way = way_of_one_pass(ctx, &grads, &tile);
    if (!way) return 0;
    if (!ctx->plan.way) t = oclin_tuning_find(ctx->tuning, OCLIN_KERNEL_ONE_PASS, shape_of(&grads));
    if (t && t->plan[0]) return strcmp(t->plan, one_pass) == 0;
    return way->suits(&ctx->device, &grads, &tile);
}

/* A forced plan is the only one; oclin's own choices follow behind a tuned one, in case it does not build
 * here. A W that is stored as (in, out) has other kernels, which are not tuned. */
int oclin_plan_product(const oclin_context *ctx, const struct oclin_product *p, int attempt,
                       struct oclin_plan *plan)
{
    int count = 0;
    const struct oclin_tuned *t = NULL;
    if (p->id == OCLIN_KERNEL_ONE_PASS) { /* oclin_plan_one_pass() has decided that it suits */
        struct oclin_tile tile;
        const struct oclin_way *way = way_of_one_pass(ctx, p, &tile);
        return way && choose(&ctx->device, way, p, attempt, plan, &count);
    }
    if (!ctx->plan.way && !p->transposed && oclin_tuning_count(ctx->tuning) > 0)
        t = oclin_tuning_find(ctx->tuning, p->id, shape_of(p));
    if (!t || !t->plan[0]) return choose(&ctx->device, ctx->plan.way, p, attempt, plan, &count);
    return choose(&ctx->device, way_named(t->plan), p, attempt, plan, &count) ||
           choose(&ctx->device, NULL, p, attempt - count, plan, &count);
}

/* batch^2 (in + out) against batch in out; the products that make them are the same kernels. */
int oclin_plan_grams(struct oclin_shape s, int with_w)
{
    return s.batch * ((with_w ? s.in : 0) + s.out) < s.in * s.out;
}

void oclin_plan_rows(const oclin_context *ctx, int64_t rows, int64_t cols, int max_group,
                     struct oclin_plan *plan)
{
    memset(plan, 0, sizeof *plan);
    plan->tile = oclin_plain_tile(&ctx->device, max_group);
    plan->tile.family = ctx->plan.family;
    if (plan->tile.family == OCLIN_SIMD) {
        plan->tile.group = 1;
        plan->tile.vl = ctx->plan.lanes; /* as many as a row fills: a partial vector costs as much as four */
        while (plan->tile.vl > cols) plan->tile.vl = plan->tile.vl > 4 ? plan->tile.vl / 2 : 1;
    }
    while (plan->tile.group & (plan->tile.group - 1))
        plan->tile.group--; /* the largest power of two, which the tree of sums needs */
    plan->groups = rows;
    if (plan->tile.family == OCLIN_SIMD) plan->groups = oclin_least(rows, 8 * ctx->device.info.compute_units);
    oclin_cut_row(plan, cols);
}

/* ---------------------------------------------------------------------------------------------- scratch */

static int64_t scratch_of(const struct oclin_device_facts *d, const struct oclin_way *named,
                          const struct oclin_product *p)
{
    return room_of(family_of(d, named))->scratch(d, named, p);
}

/* The smaller products are those of the same layer with smaller batches, each of which may be tuned. */
int64_t oclin_plan_scratch(const oclin_context *ctx, const struct oclin_product *p)
{
    int64_t most = scratch_of(&ctx->device, ctx->plan.way, p);
    const struct oclin_shape shape = shape_of(p);
    for (int i = 0; i < oclin_tuning_count(ctx->tuning) && !ctx->plan.way && !p->transposed; i++) {
        const struct oclin_tuned *t = &ctx->tuning->entries[i];
        if (t->id != p->id || t->shape.in != shape.in || t->shape.out != shape.out ||
            t->shape.batch > shape.batch)
            continue;
        const struct oclin_product tuned = oclin_plan_shaped(t->id, t->shape);
        const int64_t bytes = scratch_of(&ctx->device, way_named(t->plan), &tuned);
        if (bytes > most) most = bytes;
    }
    return most;
}

/* ------------------------------------------------------------------------- the plans that may be tuned */

int oclin_plan_tunable(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape,
                       const char *name)
{
    struct oclin_tile tile;
    if (!name[0]) return 1;
    if (id == OCLIN_KERNEL_ONE_PASS)
        return shape.batch <= OCLIN_TINY_ONE_PASS &&
               (strcmp(name, one_pass) == 0 || strcmp(name, two_products) == 0);
    const struct oclin_way *named = way_named(name);
    return named && runs(&ctx->device, named, &tile);
}

/* Skips candidates that cannot win: vectors that no register holds, the plain ways where the product would
 * keep them busy for long, and a split where the device is full without. */
static int is_worth_trying(const struct oclin_device_facts *d, const struct oclin_product *p,
                           const struct oclin_way *way)
{
    if (!way->tuned) return 0;
    if (is_split(way) && !way->suits(d, p, &way->tile)) return 0;
    if (way->family == OCLIN_PLAIN) return (double)p->m * (double)p->n * (double)p->k <= 4e6;
    return way->family == family_of(d, NULL) && (way->lanes <= 4 || way->lanes <= d->info.vector_width);
}

static int same_plan(const struct oclin_plan *a, const struct oclin_plan *b)
{
    return oclin_same_tile(&a->tile, &b->tile) && a->block_m == b->block_m && a->block_n == b->block_n &&
           a->block_k == b->block_k && a->groups == b->groups;
}

/* Returns 1 if the first choice of this name is the same as that of a name before it, or if it has none. */
static int is_double(const oclin_context *ctx, const struct oclin_product *p, const char *name,
                     const char *const *names, int count)
{
    struct oclin_plan plan, other;
    int choices;
    if (!choose(&ctx->device, way_named(name), p, 0, &plan, &choices)) return 1;
    for (int i = 0; i < count; i++)
        if (choose(&ctx->device, way_named(names[i]), p, 0, &other, &choices) && same_plan(&plan, &other))
            return 1;
    return 0;
}

int oclin_plan_candidates(const oclin_context *ctx, enum oclin_kernel_id id, struct oclin_shape shape,
                          const char *names[OCLIN_MOST_CANDIDATES])
{
    const struct oclin_product p = oclin_plan_shaped(id, shape);
    const struct oclin_way *way;
    struct oclin_tile tile;
    int count = 0;
    names[count++] = "";
    if (id == OCLIN_KERNEL_ONE_PASS) {
        names[count++] = oclin_plan_one_pass(ctx, &p) ? two_products : one_pass;
        return way_of_one_pass(ctx, &p, &tile) ? count : 0;
    }
    for (int i = 0; (way = way_at(i, NULL)) && count < OCLIN_MOST_CANDIDATES; i++)
        if (is_worth_trying(&ctx->device, &p, way) && runs(&ctx->device, way, &tile) &&
            !is_double(ctx, &p, way->name, names, count))
            names[count++] = way->name;
    return count;
}

/* -------------------------------------------------------------------------- the plans that are checked */

/* Lists the ways of a family that the self-check runs: those that lead, those that split sums, or the
 * others. A way of GPUs that suits not even the smallest product is not for this device. */
static int ways_to_check(const struct oclin_device_facts *d, enum oclin_family family, int leads, int split,
                         const char *names[MOST_CHOICES])
{
    const struct oclin_shape small = {64, 64, 64}, smallest = {1, 64, 4};
    const struct oclin_product p = oclin_plan_shaped(OCLIN_KERNEL_FORWARD, small),
                               least = oclin_plan_shaped(OCLIN_KERNEL_FORWARD, smallest);
    const struct oclin_way *way;
    int count = 0;
    for (int i = 0; (way = way_at(i, NULL)) && count < MOST_CHOICES; i++) {
        struct oclin_tile tile = room_of(family)->tile(d, NULL);
        if (way->family != family || !way->checked || way->leads != leads || is_split(way) != split) continue;
        if (!way->can(d, way, &p, &tile)) continue;
        if (family == OCLIN_SIMT && !way->suits(d, &least, &tile)) continue;
        names[count++] = way->name;
    }
    return count;
}

const char *oclin_plan_to_check(const oclin_context *ctx, int round, int run)
{
    const struct oclin_way *named = ctx->plan.way;
    const enum oclin_family family = family_of(&ctx->device, named);
    const int split = round >= OCLIN_CHECK_SPLIT;
    const char *names[MOST_CHOICES];
    if (named && (named->makes || named->lanes)) return split ? NULL : ctx->plan.name;
    int count = ways_to_check(&ctx->device, family, round == 1, split, names);
    if (count == 0) count = ways_to_check(&ctx->device, family, 0, split, names);
    if (count == 0) return split ? NULL : ctx->plan.name;
    /* 2: in the second round, and in the one like it, a plan meets another activation */
    return names[(run + round % OCLIN_CHECK_SPLIT * 2) % count];
}

struct oclin_part oclin_plan_part(const oclin_context *ctx, const char *name)
{
    const struct oclin_way *named = way_named(name);
    return room_of(family_of(&ctx->device, named))->part(&ctx->device, named);
}

oclin_status oclin_plan_load_tuning(oclin_context *ctx)
{
    OCLIN_TRY(oclin_tuning_start(ctx, oclin_plan_tunable));
    if (!ctx->plan.way) oclin_tuning_load(ctx);
    return OCLIN_OK;
}
