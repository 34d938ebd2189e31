/* The types of elements, one row each. */
#ifndef OCLIN_TENSOR_ELEMENT_H
#define OCLIN_TENSOR_ELEMENT_H

#include "core/base.h"

struct oclin_element {
    const char *name; /* used in sentences */
    const char *kind; /* used in "is no ...", said of a value that the type cannot hold */
    int64_t bytes;    /* a power of two */
    uint32_t missing; /* the bits that mean that there is no value: NaN, or the lowest integer */
    /* Sets *bits to those that hold the value, which is rounded where that is usual. Returns 0 if the type
     * cannot hold it. */
    int (*bits)(double value, uint32_t *bits);
};

/* Returns the row of a dtype, or NULL if there is no such dtype. */
const struct oclin_element *oclin_element_of(oclin_dtype dtype);
/* Returns the size of an element; the dtype must be one that exists. */
int64_t oclin_element_bytes(oclin_dtype dtype);

#endif
