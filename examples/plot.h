/* The pictures that fashion_mnist leaves behind, drawn and written as PNG by cairo. */
#ifndef PLOT_H
#define PLOT_H

/* Both return NULL, or why the picture could not be written (a static text). */

struct plot_series {
    const char *name;
    const double *value; /* one for each epoch */
};

struct plot_panel {
    const char *title, *unit; /* the unit follows the numbers at the axis */
    struct plot_series series[2];
};

/* Two panels side by side over the epochs 1, 2, ..., with the caption below. A single epoch has no course:
 * its values are drawn as bars. */
const char *plot_curves(const char *path, const char *caption, int epochs, const struct plot_panel panel[2]);

/* `count` images of rows x cols weights, five in a row, with their names: blue is negative, red positive,
 * white zero, one scale for all, which is drawn below them. */
const char *plot_weights(const char *path, int count, int rows, int cols, const float *w,
                         const char *const *name);

#endif
