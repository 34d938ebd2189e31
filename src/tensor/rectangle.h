/* Rectangles of bytes in one piece of memory: who meets whom. */
#ifndef OCLIN_TENSOR_RECTANGLE_H
#define OCLIN_TENSOR_RECTANGLE_H

#include "core/base.h"

/* Rows of `cols` bytes. A tensor without gaps between its rows is one row, whose stride does not matter. */
struct oclin_rectangle {
    int64_t first, rows, cols, stride;
};

/* Behind its last byte. */
int64_t oclin_rectangle_end(const struct oclin_rectangle *r);
/* Whether two have a byte in common, exactly. */
int oclin_rectangle_meets(const struct oclin_rectangle *t, const struct oclin_rectangle *u);
/* Whether every byte of u is one of t. */
int oclin_rectangle_covers(const struct oclin_rectangle *t, const struct oclin_rectangle *u);
/* Whether this byte is one of t. */
int oclin_rectangle_holds(const struct oclin_rectangle *t, int64_t byte);

#endif
