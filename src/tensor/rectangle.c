/* Rectangles of bytes in one piece of memory, and which of them share bytes. */
#include "tensor/rectangle.h"

int64_t oclin_rectangle_end(const struct oclin_rectangle *r)
{
    if (r->rows == 0) return r->first;
    return r->first + (r->rows > 1 ? (r->rows - 1) * r->stride : 0) + r->cols;
}

int oclin_rectangle_holds(const struct oclin_rectangle *t, int64_t byte)
{
    if (byte < t->first || byte >= oclin_rectangle_end(t)) return 0;
    return (byte - t->first) % t->stride < t->cols;
}

/* Returns the smallest k >= 0 with least <= k a mod m <= most, for 0 < least <= most < m and 0 <= a < m.
 * Returns -1 if there is none, or if it is so large that k a overflows. If no multiple of a lies between
 * the two, k a goes y times around m, and y answers the same question with m mod a. This is Euclid's
 * algorithm, so the depth is logarithmic. */
static int64_t first_multiple(int64_t a, int64_t m, int64_t least, int64_t most)
{
    if (a == 0) return -1;
    const int64_t first = (least - 1) / a + 1;
    if (first <= most / a) return first;
    const int64_t y = first_multiple(m % a, a, a - most % a, a - least % a);
    const int64_t around = y < 0 ? -1 : oclin_multiply(y, m);
    return around < 0 || around > INT64_MAX - least ? -1 : (around + least - 1) / a + 1;
}

/* Returns 1 if a row i of t and a row j of u share bytes. These rows begin at i s and far + j r, so the
 * condition is
 *
 *     far - t->cols < i s - j r < far + u->cols
 *
 * Rows of t outside [lowest, highest] lie before the first or behind the last row of u. For the rows inside,
 * any whole number j is a row of u. So it remains to find out if k s + (lowest s - least) mod r <= width for
 * one of them. */
static int rows_meet(const struct oclin_rectangle *t, const struct oclin_rectangle *u)
{
    const int64_t s = t->stride, r = u->stride, far = u->first - t->first;
    const int64_t least = far - t->cols + 1, most = far + u->cols - 1, width = most - least;
    const int64_t reaches = u->rows > 1 ? (u->rows - 1) * r + most : most;
    const int64_t lowest = least > 0 ? (least - 1) / s + 1 : 0;
    const int64_t highest = reaches < 0 ? -1 : reaches / s < t->rows ? reaches / s : t->rows - 1;
    if (lowest > highest) return 0;
    const int64_t begin = (lowest > 0 ? lowest * s - least : -least) % r;
    if (begin <= width) return 1;
    const int64_t k = first_multiple(s % r, r, r - begin, r - begin + width);
    return k >= 0 && k <= highest - lowest;
}

int oclin_rectangle_meets(const struct oclin_rectangle *t, const struct oclin_rectangle *u)
{
    if (t->rows == 0 || u->rows == 0) return 0;
    if (t->first >= oclin_rectangle_end(u) || u->first >= oclin_rectangle_end(t)) return 0;
    return rows_meet(t, u);
}

int oclin_rectangle_covers(const struct oclin_rectangle *t, const struct oclin_rectangle *u)
{
    if (u->first < t->first || oclin_rectangle_end(u) > oclin_rectangle_end(t)) return 0;
    if (t->rows <= 1) return 1;
    if (u->rows > 1 && u->stride != t->stride) return 0;
    return (u->first - t->first) % t->stride + u->cols <= t->cols;
}
