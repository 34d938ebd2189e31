/* The counter-based generator. */
#ifndef OCLIN_CHECK_RANDOM_H
#define OCLIN_CHECK_RANDOM_H

#include "core/base.h"

/* Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC11): makes four words
 * from a counter and a key. */
void oclin_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t result[4]);
/* Makes n numbers of stream `stream` (0 for W, 1 for b), starting at number `first`, which is a multiple
 * of 4. */
void oclin_random_fill(uint64_t seed, uint32_t stream, oclin_init init, double limit, uint64_t first,
                       int64_t n, float *out);

#endif
