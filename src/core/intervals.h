/* A set of intervals, searched by what they meet. */
#ifndef OCLIN_CORE_INTERVALS_H
#define OCLIN_CORE_INTERVALS_H

#include "core/base.h"

/* The numbers from `from` up to `to`, which is not one of them; a member of what it stands for. */
struct oclin_interval {
    int64_t from, to;
    /* the tree's own */
    int64_t reach;
    uint64_t rank;
    struct oclin_interval *left, *right;
};

/* {0} is empty. Adding, removing and each step of a search take logarithmic time. */
struct oclin_intervals {
    struct oclin_interval *root;
    uint64_t added;
};

void oclin_intervals_add(struct oclin_intervals *all, struct oclin_interval *node);
void oclin_intervals_remove(struct oclin_intervals *all, struct oclin_interval *node);
/* The first one behind `after` (NULL: of all) in the order of their starts that ends behind `from` and
 * begins before `to`; NULL: there is none. */
struct oclin_interval *oclin_intervals_next(const struct oclin_intervals *all, int64_t from, int64_t to,
                                            const struct oclin_interval *after);

#endif
