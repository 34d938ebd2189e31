/* The record of what was written: against a plain map of elements. */
#include <stdlib.h>
#include <string.h>

#include "support.h"

#include "oclin_internal.h"

enum { ELEMENTS = 200 };

struct map {
    char written[ELEMENTS];
};

static int64_t place_of(const struct oclin_rectangle *t, int64_t i)
{
    return t->first + i / t->cols * t->stride + i % t->cols;
}

static struct oclin_rectangle some_rectangle(struct rng *rng)
{
    struct oclin_rectangle t = {.rows = rng_below(rng, 7), .cols = 1 + rng_below(rng, 6)};
    t.stride = t.cols + rng_below(rng, 10);
    const int64_t span = t.rows == 0 ? 0 : (t.rows - 1) * t.stride + t.cols;
    t.first = rng_below(rng, ELEMENTS - span + 1);
    return t;
}

static void check(const struct oclin_written *w, const struct map *map, struct oclin_rectangle t)
{
    int64_t missing = -1;
    int any = 0;
    for (int64_t i = 0; i < t.rows * t.cols; i++) {
        const int written = map->written[place_of(&t, i)];
        any |= written;
        if (!written && missing < 0) missing = i;
    }
    assert_int_equal(oclin_written_missing(w, t), missing);
    assert_int_equal(oclin_written_any(w, t), any);
}

/* Sorted, apart from each other, and no more of them than the map has runs. */
static void check_pieces(const struct oclin_written *w, const struct map *map)
{
    int64_t runs = 0;
    for (int i = 0; i < ELEMENTS; i++) runs += map->written[i] && (i == 0 || !map->written[i - 1]);
    assert_int_equal(w->count, runs);
    for (int64_t i = 0; i < w->count; i++) {
        assert_true(w->pieces[i].from < w->pieces[i].to);
        if (i > 0) assert_true(w->pieces[i - 1].to < w->pieces[i].from);
    }
}

static void test_random(void **state)
{
    (void)state;
    struct rng rng = {42};
    for (int round = 0; round < 300; round++) {
        struct oclin_written w = {0};
        struct map map = {{0}};
        for (int n = 0; n < 40; n++) {
            const struct oclin_rectangle t = some_rectangle(&rng);
            oclin_written_add(&w, t);
            for (int64_t i = 0; i < t.rows * t.cols; i++) map.written[place_of(&t, i)] = 1;
            check_pieces(&w, &map);
            for (int k = 0; k < 10; k++) check(&w, &map, some_rectangle(&rng));
        }
        oclin_written_free(&w);
    }
}

/* Billions of rows cost nothing where they are one piece. */
static void test_many_rows(void **state)
{
    (void)state;
    const int64_t rows = INT64_C(3) << 40;
    struct oclin_written w = {0};
    const struct oclin_rectangle strided = {5, rows, 2, 1000}, behind = {5 + rows * 1000, 1, 1, 1};
    oclin_written_add(&w, (struct oclin_rectangle){0, 1, rows * 1000, rows * 1000});
    oclin_written_add(&w, strided);
    assert_int_equal(w.count, 1);
    assert_int_equal(oclin_written_missing(&w, strided), -1);
    assert_int_equal(oclin_written_any(&w, strided), 1);
    assert_int_equal(oclin_written_any(&w, behind), 0);
    assert_int_equal(oclin_written_missing(&w, behind), 0);
    oclin_written_free(&w);
    w = (struct oclin_written){0}; /* nor where one element far behind was written, in a gap and then not */
    oclin_written_add(&w, (struct oclin_rectangle){(rows - 1) * 1000, 1, 1, 1});
    assert_int_equal(oclin_written_any(&w, strided), 0);
    oclin_written_add(&w, (struct oclin_rectangle){(rows - 1) * 1000 + 6, 1, 1, 1});
    assert_int_equal(oclin_written_any(&w, strided), 1);
    oclin_written_free(&w);
}

/* With more than 10,000 pieces the record ends, and everything counts as written: no false alarm. */
static void test_most_pieces(void **state)
{
    (void)state;
    struct oclin_written w = {0};
    const struct oclin_rectangle gap = {1, 1, 1, 1};
    oclin_written_add(&w, (struct oclin_rectangle){0, 10000, 1, 2});
    assert_int_equal(w.count, 10000);
    assert_int_equal(oclin_written_missing(&w, gap), 0);
    oclin_written_add(&w, (struct oclin_rectangle){0, 10000, 1, 2}); /* nothing new */
    assert_int_equal(oclin_written_any(&w, gap), 0);
    oclin_written_add(&w, (struct oclin_rectangle){20000, INT64_MAX / 4, 1, 2});
    assert_int_equal(w.all, 1);
    assert_int_equal(oclin_written_missing(&w, gap), -1);
    assert_int_equal(oclin_written_any(&w, gap), 1);
    assert_int_equal(oclin_written_any(&w, (struct oclin_rectangle){1, 0, 1, 1}), 0);
    oclin_written_free(&w);
}

int main(int argc, char **argv)
{
    struct test_list list = {0};
    add_test(&list, test_random, NULL, "random rectangles");
    add_test(&list, test_many_rows, NULL, "many rows");
    add_test(&list, test_most_pieces, NULL, "too many pieces");
    return run_list("written", &list, argc, argv);
}
