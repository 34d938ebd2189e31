/* A set of intervals that can be searched for those which meet a given one. */
#ifndef OCLIN_CORE_INTERVALS_H
#define OCLIN_CORE_INTERVALS_H

#include "core/base.h"

/* The numbers from `from` up to `to`, without `to` itself. It is a member of the struct that it stands
 * for. */
struct oclin_interval {
    int64_t from, to;
    /* the fields from here on belong to the tree */
    int64_t reach;
    uint64_t rank;
    struct oclin_interval *left, *right;
};

/* {0} is an empty set. Adding, removing and each step of a search take logarithmic time. */
struct oclin_intervals {
    struct oclin_interval *root;
    uint64_t added;
};

void oclin_intervals_add(struct oclin_intervals *all, struct oclin_interval *node);
void oclin_intervals_remove(struct oclin_intervals *all, struct oclin_interval *node);
/* Returns the first interval behind `after` (NULL: of all), in the order of their starts, that ends behind
 * `from` and begins before `to`; NULL if there is none. */
struct oclin_interval *oclin_intervals_next(const struct oclin_intervals *all, int64_t from, int64_t to,
                                            const struct oclin_interval *after);

#endif
