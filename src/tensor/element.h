/* The types of elements, one row each. */
#ifndef OCLIN_TENSOR_ELEMENT_H
#define OCLIN_TENSOR_ELEMENT_H

#include "core/base.h"

struct oclin_element {
    const char *name; /* in sentences */
    const char *kind; /* "is no ...", of a value that it cannot hold */
    int64_t bytes;    /* a power of two */
    uint32_t missing; /* the bits that say that there is no value: NaN, or the lowest integer */
    /* The bits that hold value, which is rounded where that is usual; 0: it cannot be held. */
    int (*bits)(double value, uint32_t *bits);
};

/* The row of a dtype; NULL: there is no such dtype. */
const struct oclin_element *oclin_element_of(oclin_dtype dtype);
/* Of a dtype that there is. */
int64_t oclin_element_bytes(oclin_dtype dtype);

#endif
