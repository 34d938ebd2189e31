/* Counter-based random numbers by Philox4x32-10: number i of a seed is the same in whatever order the
 * numbers are asked for. */
#include "check/random.h"

#include <math.h>

/* The round constants of the paper (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy as 1, 2, 3;
 * SC11). */
enum { ROUNDS = 10 };
static const uint32_t multiplier[2] = {0xD2511F53u, 0xCD9E8D57u}, key_step[2] = {0x9E3779B9u, 0xBB67AE85u};

void oclin_philox4x32_10(const uint32_t counter[4], const uint32_t key[2], uint32_t result[4])
{
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3], k0 = key[0], k1 = key[1];
    for (int i = 0; i < ROUNDS; i++) {
        const uint64_t p0 = (uint64_t)multiplier[0] * c0, p1 = (uint64_t)multiplier[1] * c2;
        c0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0;
        c2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        k0 += key_step[0];
        k1 += key_step[1];
    }
    result[0] = c0;
    result[1] = c1;
    result[2] = c2;
    result[3] = c3;
}

/* Returns a number in [0, 1) that is a multiple of 2^-24, so that every value is a float. */
static double unit(uint32_t word)
{
    return (word >> 8) * (1.0 / 16777216.0);
}

/* Turns two words into two normal numbers (Box and Muller); 1 - u is never 0. */
static void normal_pair(const uint32_t words[2], float out[2])
{
    const double radius = sqrt(-2.0 * log(1.0 - unit(words[0]))), angle = 6.283185307179586 * unit(words[1]);
    out[0] = (float)(radius * cos(angle));
    out[1] = (float)(radius * sin(angle));
}

void oclin_random_fill(uint64_t seed, uint32_t stream, oclin_init init, double limit, uint64_t first,
                       int64_t n, float *out)
{
    const uint32_t key[2] = {(uint32_t)seed, (uint32_t)(seed >> 32)};
    for (int64_t i = 0; i < n; i += 4) {
        const uint64_t block = (first + (uint64_t)i) / 4;
        const uint32_t counter[4] = {(uint32_t)block, (uint32_t)(block >> 32), stream, 0};
        uint32_t words[4];
        float four[4] = {0.0f, 0.0f, 0.0f, 0.0f};
        oclin_philox4x32_10(counter, key, words);
        if (init == OCLIN_INIT_NORMAL) {
            normal_pair(words, four);
            normal_pair(words + 2, four + 2);
        } else if (init == OCLIN_INIT_UNIFORM) {
            for (int j = 0; j < 4; j++) four[j] = (float)((2.0 * unit(words[j]) - 1.0) * limit);
        }
        for (int64_t j = 0; j < 4 && i + j < n; j++) out[i + j] = four[j];
    }
}
