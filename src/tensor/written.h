/* A record of the bytes of a piece of memory that were ever written. */
#ifndef OCLIN_TENSOR_WRITTEN_H
#define OCLIN_TENSOR_WRITTEN_H

#include "tensor/rectangle.h"

/* The bytes [from, to). */
struct oclin_piece {
    int64_t from, to;
};

/* A record of the bytes of a piece of memory that were ever written. It begins as all zeros and must not
 * be moved. */
enum { OCLIN_FEW_PIECES = 4 };
struct oclin_written {
    int all; /* everything counts as written */
    struct oclin_piece *pieces, few[OCLIN_FEW_PIECES];
    int64_t count, capacity;
};

void oclin_written_add(struct oclin_written *w, struct oclin_rectangle t);
/* Returns the number of the first byte, counted densely, that was never written; -1 if all were. */
int64_t oclin_written_missing(const struct oclin_written *w, struct oclin_rectangle t);
/* Tells whether any byte was ever written. */
int oclin_written_any(const struct oclin_written *w, struct oclin_rectangle t);
void oclin_written_free(struct oclin_written *w);

#endif
