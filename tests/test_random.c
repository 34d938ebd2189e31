/* The random numbers: known answers, the same number whoever asks, ranges and moments. Needs no device. */
#include <math.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

/* ------------------------------------------------------------------------------------------- the cipher */

/* Philox4x32 with 10 rounds, from the file kat_vectors of Random123 (D. E. Shaw Research). */
struct known_answer {
    const char *what;
    uint32_t counter[4], key[2], result[4];
};

static struct known_answer known_answers[] = {
    {"zeros", {0}, {0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
    {"ones",
     {0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
     {0xffffffff, 0xffffffff},
     {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
    {"digits of pi",
     {0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
     {0xa4093822, 0x299f31d0},
     {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
};

static void test_known_answer(void **state)
{
    const struct known_answer *k = *state;
    uint32_t result[4];
    oclin_philox4x32_10(k->counter, k->key, result);
    for (int i = 0; i < 4; i++) assert_int_equal(result[i], k->result[i]);
}

/* --------------------------------------------------------------------------------------------- streams */

enum { MANY = 1 << 16 };
static float numbers[MANY], again[MANY];

static oclin_init inits[] = {OCLIN_INIT_UNIFORM, OCLIN_INIT_NORMAL, OCLIN_INIT_ZERO};
static const char *const init_names[] = {"uniform", "normal", "zero"};

/* Number i is the same, whatever was asked before and how much at a time; nothing behind it is written. */
static void test_any_order(void **state)
{
    const oclin_init init = *(oclin_init *)*state;
    enum { N = 1003 };
    oclin_random_fill(99, 1, init, 0.25, 0, N, numbers);
    struct rng rng = {42};
    for (int trial = 0; trial < 500; trial++) {
        const int64_t first = rng_below(&rng, N / 4) * 4, n = rng_below(&rng, N - first + 1);
        float piece[N + 8];
        fill_poison(piece, N + 8);
        oclin_random_fill(99, 1, init, 0.25, (uint64_t)first, n, piece);
        check_same_bits("piece", piece, numbers + first, n);
        assert_int_equal(first_not_poison(piece + n, N + 8 - n), -1);
    }
}

/* Block b of a stream is the cipher's answer to the counter (b, b >> 32, stream, 0). */
static void test_layout(void **state)
{
    (void)state;
    const uint64_t seed = 0x123456789abcdef0u, block = 0x700000003u;
    const uint32_t key[2] = {0x9abcdef0u, 0x12345678u}, counter[4] = {3, 7, 5, 0};
    uint32_t words[4];
    float got[4];
    oclin_philox4x32_10(counter, key, words);
    oclin_random_fill(seed, 5, OCLIN_INIT_UNIFORM, 1.0, block * 4, 4, got);
    for (int i = 0; i < 4; i++) {
        const double want = (double)(words[i] >> 8) / 8388608.0 - 1.0;
        assert_true(got[i] == (float)want);
    }
}

/* Normal numbers are Box and Muller's of the same words, with 1 - u in the logarithm: u is 0 in the last of
 * these blocks. */
static void test_normal_layout(void **state)
{
    static const uint32_t blocks[] = {0, 1, 25077234};
    static const uint32_t key[2] = {42, 0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(blocks); i++) {
        const uint32_t counter[4] = {blocks[i], 0, 0, 0};
        uint32_t words[4];
        float got[4];
        oclin_philox4x32_10(counter, key, words);
        oclin_random_fill(42, 0, OCLIN_INIT_NORMAL, 1.0, (uint64_t)blocks[i] * 4, 4, got);
        for (int j = 0; j < 4; j++) {
            const double u = (double)(words[j / 2 * 2] >> 8) / 16777216.0,
                         turn = (double)(words[j / 2 * 2 + 1] >> 8) / 16777216.0 * 6.283185307179586,
                         want = sqrt(-2.0 * log(1.0 - u)) * (j % 2 ? sin(turn) : cos(turn));
            assert_true(fabs(got[j] - want) <= 1e-6);
        }
        if (i == 2) assert_true(words[0] >> 8 == 0 && got[0] == 0.0f);
    }
}

static int64_t count_equal(const float *p, const float *q, int64_t n)
{
    int64_t equal = 0;
    for (int64_t i = 0; i < n; i++) equal += p[i] == q[i];
    return equal;
}

/* Another seed (in either half of it), another stream: other numbers; the same: the same bits. */
static void test_streams_differ(void **state)
{
    (void)state;
    enum { N = 4096 };
    static const struct {
        uint64_t seed;
        uint32_t stream;
    } others[] = {{8, 0}, {7 + (UINT64_C(1) << 32), 0}, {7, 1}, {0, 0}, {0, 7}};
    oclin_random_fill(7, 0, OCLIN_INIT_UNIFORM, 1.0, 0, N, numbers);
    oclin_random_fill(7, 0, OCLIN_INIT_UNIFORM, 1.0, 0, N, again);
    check_same_bits("the same stream", again, numbers, N);
    for (size_t i = 0; i < COUNT_OF(others); i++) {
        oclin_random_fill(others[i].seed, others[i].stream, OCLIN_INIT_UNIFORM, 1.0, 0, N, again);
        assert_true(count_equal(numbers, again, N) < 8);
    }
}

/* ------------------------------------------------------------------------------------------ distributions */

struct moments {
    double mean, variance, fourth; /* fourth: of the centred values, over variance^2 */
    float lowest, highest;
};

static struct moments moments_of(const float *p, int64_t n)
{
    struct moments m = {0, 0, 0, p[0], p[0]};
    for (int64_t i = 0; i < n; i++) {
        m.mean += p[i] / (double)n;
        if (p[i] < m.lowest) m.lowest = p[i];
        if (p[i] > m.highest) m.highest = p[i];
    }
    for (int64_t i = 0; i < n; i++) {
        const double d = p[i] - m.mean;
        m.variance += d * d / (double)n;
        m.fourth += d * d * d * d / (double)n;
    }
    m.fourth /= m.variance * m.variance;
    return m;
}

/* Within five standard deviations of a sample of this size: the seed is fixed, so it holds or it does not. */
static void test_uniform(void **state)
{
    (void)state;
    const double limit = 1.0 / sqrt(7.0), variance = limit * limit / 3.0;
    oclin_random_fill(42, 0, OCLIN_INIT_UNIFORM, limit, 0, MANY, numbers);
    const struct moments m = moments_of(numbers, MANY);
    assert_true(m.lowest >= (float)-limit && m.highest < (float)limit);
    assert_true(m.lowest < -0.999 * limit && m.highest > 0.999 * limit);
    assert_true(fabs(m.mean) < 5 * sqrt(variance / MANY));
    assert_true(fabs(m.variance / variance - 1) < 5 * sqrt(0.8 / MANY));
    assert_true(fabs(m.fourth - 1.8) < 0.05);
}

/* The limit plays no part in N(0, 1). Neighbours come from one radius, and must not show it. */
static void test_normal(void **state)
{
    (void)state;
    oclin_random_fill(42, 0, OCLIN_INIT_NORMAL, 0.001, 0, MANY, numbers);
    const struct moments m = moments_of(numbers, MANY);
    assert_true(fabs(m.mean) < 5 / sqrt(MANY));
    assert_true(fabs(m.variance - 1) < 5 * sqrt(2.0 / MANY));
    assert_true(fabs(m.fourth - 3) < 5 * sqrt(96.0 / MANY));
    assert_true(m.highest > 3.5f && m.highest < 6.0f && m.lowest < -3.5f && m.lowest > -6.0f);
    double products = 0;
    for (int64_t i = 0; i + 1 < MANY; i += 2) products += (double)numbers[i] * numbers[i + 1] / (MANY / 2);
    assert_true(fabs(products) < 5 / sqrt(MANY / 2));
}

static void test_zero(void **state)
{
    (void)state;
    const float zeros[64] = {0};
    fill_poison(numbers, 64);
    oclin_random_fill(42, 0, OCLIN_INIT_ZERO, 1.0, 0, 64, numbers);
    check_same_bits("zero", numbers, zeros, 64);
}

static void test_nothing(void **state)
{
    (void)state;
    float one;
    fill_poison(&one, 1);
    oclin_random_fill(42, 0, OCLIN_INIT_UNIFORM, 1.0, 0, 0, &one);
    assert_int_equal(first_not_poison(&one, 1), -1);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    for (size_t i = 0; i < COUNT_OF(known_answers); i++)
        add_test(&list, test_known_answer, &known_answers[i], "philox/%s", known_answers[i].what);
    for (size_t i = 0; i < COUNT_OF(inits); i++)
        add_test(&list, test_any_order, &inits[i], "fill/any order, %s", init_names[i]);
    add_test(&list, test_layout, NULL, "fill/counter and key");
    add_test(&list, test_normal_layout, NULL, "fill/normal, by the words");
    add_test(&list, test_streams_differ, NULL, "fill/streams differ");
    add_test(&list, test_uniform, NULL, "fill/uniform");
    add_test(&list, test_normal, NULL, "fill/normal");
    add_test(&list, test_zero, NULL, "fill/zero");
    add_test(&list, test_nothing, NULL, "fill/nothing");
    return run_list("random", &list, argc, argv);
}
