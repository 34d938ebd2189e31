/*
 * Intervals in a tree, so that those which meet a given one are found without looking at all the others. The
 * tree is ordered by their starts (then by address), and each node knows how far its subtree reaches. A
 * treap's rank keeps the tree flat. The rank is a hash of the order in which the nodes were added, and the
 * rank of a node is at least that of the nodes below it. So the depth is logarithmic whatever the intervals
 * are.
 */
#include "core/intervals.h"

static int before(const struct oclin_interval *a, const struct oclin_interval *b)
{
    return a->from < b->from || (a->from == b->from && (uintptr_t)a < (uintptr_t)b);
}

/* The finalizer of splitmix64 (Steele, Lea, Flood, "Fast splittable pseudorandom number generators", OOPSLA
 * 2014). */
static uint64_t hash_of(uint64_t number)
{
    number *= 0x9e3779b97f4a7c15u;
    number = (number ^ number >> 30) * 0xbf58476d1ce4e5b9u;
    number = (number ^ number >> 27) * 0x94d049bb133111ebu;
    return number ^ number >> 31;
}

static void update(struct oclin_interval *node)
{
    node->reach = node->to;
    if (node->left && node->left->reach > node->reach) node->reach = node->left->reach;
    if (node->right && node->right->reach > node->reach) node->reach = node->right->reach;
}

/* Splits `node` into all that lie before `at`, and all others. */
static void split(struct oclin_interval *node, const struct oclin_interval *at, struct oclin_interval **low,
                  struct oclin_interval **high)
{
    if (!node)
        *low = *high = NULL;
    else if (before(node, at)) {
        split(node->right, at, &node->right, high);
        update(*low = node);
    } else {
        split(node->left, at, low, &node->left);
        update(*high = node);
    }
}

/* Makes one tree of two; all of `low` lies before all of `high`. */
static struct oclin_interval *join(struct oclin_interval *low, struct oclin_interval *high)
{
    if (!low || !high) return low ? low : high;
    struct oclin_interval *top = low->rank >= high->rank ? low : high;
    if (top == low)
        low->right = join(low->right, high);
    else
        high->left = join(low, high->left);
    update(top);
    return top;
}

static void insert(struct oclin_interval **at, struct oclin_interval *node)
{
    if (!*at || (*at)->rank < node->rank) {
        split(*at, node, &node->left, &node->right);
        *at = node;
    } else
        insert(before(node, *at) ? &(*at)->left : &(*at)->right, node);
    update(*at);
}

void oclin_intervals_add(struct oclin_intervals *all, struct oclin_interval *node)
{
    node->rank = hash_of(++all->added);
    insert(&all->root, node);
}

static void take_out(struct oclin_interval **at, const struct oclin_interval *node)
{
    if (*at == node) {
        *at = join(node->left, node->right);
        return;
    }
    take_out(before(node, *at) ? &(*at)->left : &(*at)->right, node);
    update(*at);
}

void oclin_intervals_remove(struct oclin_intervals *all, struct oclin_interval *node)
{
    take_out(&all->root, node);
}

/* Passes over subtrees that end too early and over what lies behind `to`. It visits each level only on the
 * way to `after` and on the way to the answer. */
static struct oclin_interval *find(struct oclin_interval *node, int64_t from, int64_t to,
                                   const struct oclin_interval *after)
{
    if (!node || node->reach <= from) return NULL;
    if (after && !before(after, node)) return find(node->right, from, to, after);
    struct oclin_interval *found = find(node->left, from, to, after);
    if (found || node->from >= to) return found;
    return node->to > from ? node : find(node->right, from, to, NULL);
}

struct oclin_interval *oclin_intervals_next(const struct oclin_intervals *all, int64_t from, int64_t to,
                                            const struct oclin_interval *after)
{
    return find(all->root, from, to, after);
}
