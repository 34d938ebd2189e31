/* Which bytes of a piece of memory were ever written. */
#ifndef OCLIN_TENSOR_WRITTEN_H
#define OCLIN_TENSOR_WRITTEN_H

#include "tensor/rectangle.h"

/* The bytes [from, to). */
struct oclin_piece {
    int64_t from, to;
};

/* Which bytes of a piece of memory were ever written. Starts as zeros, and is not moved. */
enum { OCLIN_FEW_PIECES = 4 };
struct oclin_written {
    int all; /* everything counts as written */
    struct oclin_piece *pieces, few[OCLIN_FEW_PIECES];
    int64_t count, capacity;
};

void oclin_written_add(struct oclin_written *w, struct oclin_rectangle t);
/* The first byte, counted densely, that was never written; -1: all were. */
int64_t oclin_written_missing(const struct oclin_written *w, struct oclin_rectangle t);
/* Whether any was. */
int oclin_written_any(const struct oclin_written *w, struct oclin_rectangle t);
void oclin_written_free(struct oclin_written *w);

#endif
