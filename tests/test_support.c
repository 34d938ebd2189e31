/*
 * The helpers of support.c themselves, whose failure would make every other test pass: comparisons, data, all
 * pairs. Needs no device.
 */
#include <math.h>

#include "support.h"

static void test_compare_exact(void **state)
{
    (void)state;
    const float got[6] = {1, 2, 99, 3, NAN, 99}; /* 2 x 2, stride 3 */
    double want[4] = {1, 2, 3, NAN};
    assert_int_equal(first_inexact(2, 2, 3, got, want), -1);
    want[2] = 3 + 0x1p-30; /* rounds to 3 */
    assert_int_equal(first_inexact(2, 2, 3, got, want), -1);
    want[2] = 3 + 0x1p-22;
    assert_int_equal(first_inexact(2, 2, 3, got, want), 2);
    want[2] = NAN;
    assert_int_equal(first_inexact(2, 2, 3, got, want), 2);
    want[1] = -2;
    assert_int_equal(first_inexact(2, 2, 3, got, want), 1);
    const float zero = -0.0f;
    const double plus = 0;
    assert_int_equal(first_inexact(1, 1, 1, &zero, &plus), -1);
}

static void test_compare_bound(void **state)
{
    (void)state;
    const struct {
        float got;
        double want, bound;
        double error; /* in bounds; -1: no claim */
    } rows[] = {
        {.got = 1, .want = 1, .bound = 0, .error = 0},
        {.got = 1.5f, .want = 1, .bound = 0.5, .error = 1},
        {.got = 1.5f, .want = 1, .bound = 0.25, .error = 2},
        {.got = 1.5f, .want = 1, .bound = 0, .error = INFINITY},
        {.got = NAN, .want = 1, .bound = 9, .error = INFINITY},
        {.got = NAN, .want = NAN, .bound = 0, .error = 0},
        {.got = 1, .want = NAN, .bound = 9, .error = INFINITY},
        {.got = INFINITY, .want = INFINITY, .bound = NAN, .error = 0},
        {.got = -INFINITY, .want = INFINITY, .bound = 0, .error = INFINITY},
        {.got = -INFINITY, .want = INFINITY, .bound = INFINITY, .error = INFINITY},
        {.got = -INFINITY, .want = INFINITY, .bound = NAN, .error = -1}, /* it may be NaN as well */
        {.got = INFINITY, .want = 1e39, .bound = 1, .error = 0},
        {.got = INFINITY, .want = 0x1p128 - 0x1p104, .bound = 0x1p105, .error = 0.5},
        {.got = INFINITY, .want = 1, .bound = 1, .error = 0x1p128},
        {.got = 7, .want = 1, .bound = INFINITY, .error = -1},
        {.got = 7, .want = 1, .bound = NAN, .error = -1},
    };
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct comparison c = compare_bound(1, 1, 1, &rows[i].got, &rows[i].want, &rows[i].bound);
        if (c.worst != fmax(0, rows[i].error) || c.compared != (rows[i].error >= 0) ||
            c.first != (rows[i].error > 1 ? 0 : -1))
            fail_msg("row %zu: worst %g, first %lld, compared %lld", i, c.worst, (long long)c.first,
                     (long long)c.compared);
    }
    const float got[5] = {0, 0, 99, 3, 5}; /* stride 3 */
    const double want[4] = {0, 0, 0, 0}, bound[4] = {1, 1, 1, 1};
    const struct comparison c = compare_bound(2, 2, 3, got, want, bound);
    assert_true(c.worst == 5 && c.first == 2 && c.compared == 4);
}

static void test_poison(void **state)
{
    (void)state;
    float p[1000];
    fill_poison(p, 1000);
    assert_int_equal(first_not_poison(p, 1000), -1);
    p[500] = NAN;
    assert_int_equal(first_not_poison(p, 1000), 500);
}

/* As large as sums below 2^24 allow. */
static void test_exact_limit(void **state)
{
    (void)state;
    assert_int_equal(exact_limit(1), 64);
    assert_int_equal(exact_limit(16384), 31);
    for (int64_t terms = 1; terms < 100000; terms += 977) {
        const int64_t m = exact_limit(terms);
        assert_true(terms * m * m + m < 1 << 24 && (m == 64 || terms * (m + 1) * (m + 1) + m + 1 >= 1 << 24));
    }
}

/* Each kind of data is what its name says. */
static void test_data(void **state)
{
    (void)state;
    struct rng rng = {1};
    float p[1000];
    double mean = 0, smallest = 2, largest = -2;
    fill_zero_mean(&rng, p, 1000);
    for (int i = 0; i < 1000; i++) {
        mean += p[i] / 1000;
        smallest = fmin(smallest, p[i]);
        largest = fmax(largest, p[i]);
    }
    assert_true(fabs(mean) < 0.06 && smallest >= -1 && smallest < -0.9 && largest < 1 && largest > 0.9);
    fill_positive(&rng, p, 1000);
    for (int i = 0; i < 1000; i++) assert_true(p[i] > 0 && p[i] <= 1);
    fill_integers(&rng, p, 1000, 3);
    for (int i = 0; i < 1000; i++) assert_true(p[i] == rintf(p[i]) && fabsf(p[i]) <= 3);
    int nan = 0, inf = 0, denormal = 0;
    fill_special(&rng, p, 1000);
    for (int i = 0; i < 1000; i++) {
        nan += isnan(p[i]) != 0;
        inf += isinf(p[i]) != 0;
        denormal += fpclassify(p[i]) == FP_SUBNORMAL;
    }
    assert_true(nan > 5 && inf > 10 && denormal > 10);
}

static void test_all_pairs(void **state)
{
    (void)state;
    const int levels[6] = {5, 2, 3, 7, 2, 4};
    int rows[6 * 70];
    const int64_t count = all_pairs(6, levels, rows, 70);
    assert_in_range(count, 5 * 7, 49); /* no fewer than the two largest; of 1680 */
    assert_int_equal(pairs_missing(6, levels, rows, count), 0);
    assert_true(pairs_missing(6, levels, rows, count - 1) > 0);
    for (int64_t i = 0; i < count * 6; i++) assert_in_range(rows[i], 0, levels[i % 6] - 1);
    /* without any row: 5 (2 + 3 + 7 + 2 + 4) + 2 (3 + 7 + 2 + 4) + 3 (7 + 2 + 4) + 7 (2 + 4) + 2 * 4 */
    assert_int_equal(pairs_missing(6, levels, rows, 0), 90 + 32 + 39 + 42 + 8);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_test(&list, test_compare_exact, NULL, "an exact comparison sees one bit");
    add_test(&list, test_compare_bound, NULL, "a comparison sees what is beyond its bound, Inf and NaN");
    add_test(&list, test_poison, NULL, "poison is told from any other NaN");
    add_test(&list, test_exact_limit, NULL, "integers are as large as exact sums allow");
    add_test(&list, test_data, NULL, "data are what their names say");
    add_test(&list, test_all_pairs, NULL, "all pairs meet in few rows");
    return run_list("support", &list, argc, argv);
}
