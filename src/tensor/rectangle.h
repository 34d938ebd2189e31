/* Rectangles of bytes in one piece of memory, and which of them share bytes. */
#ifndef OCLIN_TENSOR_RECTANGLE_H
#define OCLIN_TENSOR_RECTANGLE_H

#include "core/base.h"

/* A rectangle has rows of `cols` bytes. A tensor without gaps between its rows is one row, whose stride
 * does not matter. */
struct oclin_rectangle {
    int64_t first, rows, cols, stride;
};

/* Returns the place behind its last byte. */
int64_t oclin_rectangle_end(const struct oclin_rectangle *r);
/* Tells whether two rectangles have a byte in common; the answer is exact. */
int oclin_rectangle_meets(const struct oclin_rectangle *t, const struct oclin_rectangle *u);
/* Tells whether every byte of u is one of t. */
int oclin_rectangle_covers(const struct oclin_rectangle *t, const struct oclin_rectangle *u);
/* Tells whether this byte is one of t. */
int oclin_rectangle_holds(const struct oclin_rectangle *t, int64_t byte);

#endif
