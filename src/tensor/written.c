/*
 * A record of the bytes of a piece of memory that were ever written: a sorted list of intervals that do not
 * touch. Memory is nearly always written in order or as a whole, and then the list is one interval.
 */
#include "tensor/written.h"

#include <stdlib.h>
#include <string.h>

/* The record is given up beyond this number, because matrices with millions of separate rows would cost
 * more than the record is worth. */
enum { MOST_PIECES = 10000 };

/* Returns the index of the first interval that ends at `at` or behind it. */
static int64_t first_behind(const struct oclin_written *w, int64_t at)
{
    int64_t low = 0, high = w->count;
    while (low < high) {
        const int64_t middle = low + (high - low) / 2;
        if (w->pieces[middle].to < at)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static void give_up(struct oclin_written *w)
{
    oclin_written_free(w);
    w->all = 1;
}

/* Makes room for one more interval at `where`; returns 0 if there is none. */
static int insert(struct oclin_written *w, int64_t where)
{
    if (w->count == MOST_PIECES) return 0;
    if (w->count == w->capacity) {
        const int64_t capacity = w->capacity ? 4 * w->capacity : OCLIN_FEW_PIECES;
        struct oclin_piece *grown = w->capacity ? malloc((size_t)capacity * sizeof *grown) : w->few;
        if (!grown) return 0;
        if (w->count > 0) memcpy(grown, w->pieces, (size_t)w->count * sizeof *grown);
        if (w->pieces != w->few) free(w->pieces);
        w->pieces = grown;
        w->capacity = capacity;
    }
    memmove(&w->pieces[where + 1], &w->pieces[where], (size_t)(w->count - where) * sizeof *w->pieces);
    w->count++;
    return 1;
}

static void add_interval(struct oclin_written *w, int64_t from, int64_t to)
{
    const int64_t first = first_behind(w, from);
    int64_t end = first; /* the index behind the intervals that it meets or touches */
    while (end < w->count && w->pieces[end].from <= to) end++;
    if (end == first) {
        if (!insert(w, first)) {
            give_up(w);
            return;
        }
        w->pieces[first] = (struct oclin_piece){from, to};
        return;
    }
    if (w->pieces[first].from < from) from = w->pieces[first].from;
    if (w->pieces[end - 1].to > to) to = w->pieces[end - 1].to;
    w->pieces[first] = (struct oclin_piece){from, to};
    memmove(&w->pieces[first + 1], &w->pieces[end], (size_t)(w->count - end) * sizeof *w->pieces);
    w->count -= end - first - 1;
}

/* Returns the first row of t, behind one that the interval p holds, that p does not hold as a whole. */
static int64_t rows_within(const struct oclin_piece *p, const struct oclin_rectangle *t)
{
    const int64_t next = (p->to - t->cols - t->first) / t->stride + 1;
    return next < t->rows ? next : t->rows;
}

/* Returns the interval that holds the byte `at`, or NULL if that byte was never written. */
static const struct oclin_piece *piece_at(const struct oclin_written *w, int64_t at)
{
    const int64_t i = first_behind(w, at + 1);
    return i < w->count && w->pieces[i].from <= at ? &w->pieces[i] : NULL;
}

void oclin_written_add(struct oclin_written *w, struct oclin_rectangle t)
{
    for (int64_t r = 0; r < t.rows && !w->all;) {
        const int64_t from = t.first + r * t.stride;
        const struct oclin_piece *p = piece_at(w, from);
        if (!p || p->to < from + t.cols) add_interval(w, from, from + t.cols);
        p = w->all ? NULL : piece_at(w, from);
        if (p) r = rows_within(p, &t);
    }
}

int64_t oclin_written_missing(const struct oclin_written *w, struct oclin_rectangle t)
{
    for (int64_t r = 0; r < t.rows && !w->all;) {
        const int64_t from = t.first + r * t.stride;
        const struct oclin_piece *p = piece_at(w, from);
        if (!p) return r * t.cols;
        if (p->to < from + t.cols) return r * t.cols + p->to - from;
        r = rows_within(p, &t);
    }
    return -1;
}

int oclin_written_any(const struct oclin_written *w, struct oclin_rectangle t)
{
    if (w->all) return t.rows > 0;
    for (int64_t r = 0; r < t.rows;) {
        const int64_t from = t.first + r * t.stride, i = first_behind(w, from + 1);
        if (i == w->count) return 0;
        if (w->pieces[i].from < from + t.cols) return 1;
        const int64_t next =
            (w->pieces[i].from - t.first) / t.stride; /* the row that the interval begins in, or behind */
        r = next > r ? next : r + 1;
    }
    return 0;
}

void oclin_written_free(struct oclin_written *w)
{
    if (w->pieces != w->few) free(w->pieces);
    w->pieces = NULL;
    w->count = w->capacity = 0;
}
