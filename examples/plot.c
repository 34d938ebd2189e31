#include "plot.h"

#include <cairo.h>

#include <math.h>
#include <stdint.h>
#include <stdio.h>

struct color {
    double r, g, b;
};

/* Told apart by colour-blind readers and in grey. */
static const struct color series_color[2] = {{0.00, 0.35, 0.65}, {0.85, 0.40, 0.00}};
static const struct color ink = {0.15, 0.15, 0.15}, grid = {0.87, 0.87, 0.87};

enum align { LEFT, CENTER, RIGHT };

static void set_color(cairo_t *cr, struct color c)
{
    cairo_set_source_rgb(cr, c.r, c.g, c.b);
}

/* y is the line that the letters stand on. */
static void text(cairo_t *cr, double x, double y, enum align align, const char *string)
{
    cairo_text_extents_t size;
    cairo_text_extents(cr, string, &size);
    cairo_move_to(cr, x - size.x_advance * align / 2, y);
    cairo_show_text(cr, string);
}

/* In the middle of x, in letters that are small enough for the width. */
static void fitting_text(cairo_t *cr, double x, double y, double width, const char *string)
{
    cairo_text_extents_t size;
    cairo_text_extents(cr, string, &size);
    const double scale = fmin(1, width / fmax(size.x_advance, 1));
    cairo_set_font_size(cr, 14 * scale);
    text(cr, x, y, CENTER, string);
    cairo_set_font_size(cr, 14);
}

static void line(cairo_t *cr, double x0, double y0, double x1, double y1)
{
    cairo_move_to(cr, x0, y0);
    cairo_line_to(cr, x1, y1);
    cairo_stroke(cr);
}

static cairo_t *begin(int width, int height)
{
    cairo_surface_t *surface = cairo_image_surface_create(CAIRO_FORMAT_RGB24, width, height);
    cairo_t *cr = cairo_create(surface);
    cairo_surface_destroy(surface); /* cr holds it */
    cairo_set_source_rgb(cr, 1, 1, 1);
    cairo_paint(cr);
    /* The letters that cairo brings along: the same picture everywhere, without any font installed. */
    cairo_select_font_face(cr, "@cairo:", CAIRO_FONT_SLANT_NORMAL, CAIRO_FONT_WEIGHT_NORMAL);
    cairo_set_font_size(cr, 14);
    cairo_set_line_width(cr, 1);
    return cr;
}

static const char *end(cairo_t *cr, const char *path)
{
    cairo_status_t status = cairo_status(cr);
    if (status == CAIRO_STATUS_SUCCESS) status = cairo_surface_write_to_png(cairo_get_target(cr), path);
    cairo_destroy(cr);
    return status == CAIRO_STATUS_SUCCESS ? NULL : cairo_status_to_string(status);
}

/* ---------------------------------------------------------------------------------------------- curves */

enum { PANEL_W = 480, PANEL_H = 360, FOOTER = 30 };

/* Where a panel's axes lie in the picture, and what they span. */
struct frame {
    double left, right, top, bottom;
    double x0, x1, y0, y1;
};

static double place_x(const struct frame *f, double x)
{
    return f->left + (x - f->x0) / (f->x1 - f->x0) * (f->right - f->left);
}

static double place_y(const struct frame *f, double y)
{
    return f->bottom - (y - f->y0) / (f->y1 - f->y0) * (f->bottom - f->top);
}

/* 1, 2 or 5 times a power of ten, so that `span` has about `ticks` of it. */
static double nice_step(double span, int ticks)
{
    double power = pow(10, floor(log10(span / ticks))), rest = span / ticks / power;
    return power * (rest < 1.5 ? 1 : rest < 3.5 ? 2 : rest < 7.5 ? 5 : 10);
}

/* A run that diverged has no number to draw at that epoch. */
static void find_range(const struct plot_panel *p, int epochs, double *low, double *high)
{
    *low = INFINITY, *high = -INFINITY;
    for (int s = 0; s < 2; s++)
        for (int e = 0; e < epochs; e++) {
            double y = p->series[s].value[e];
            if (isfinite(y)) *low = fmin(*low, y), *high = fmax(*high, y);
        }
    if (*low > *high) *low = 0, *high = 1;
    double room = fmax((*high - *low) * 0.05, 1e-6 + fabs(*high) * 1e-3);
    *low -= room, *high += room;
}

static void draw_epochs(cairo_t *cr, const struct frame *f)
{
    char number[64];
    const double step = fmax(1, nice_step(f->x1 - f->x0, 8));
    for (double k = ceil(f->x0 / step); k * step <= f->x1; k++) {
        double x = place_x(f, k * step);
        line(cr, x, f->bottom, x, f->bottom + 5);
        snprintf(number, sizeof number, "%.0f", k * step);
        text(cr, x, f->bottom + 20, CENTER, number);
    }
}

static void draw_axes(cairo_t *cr, const struct frame *f, const struct plot_panel *p, int epochs)
{
    char number[64];
    double step = nice_step(f->y1 - f->y0, 6);
    int decimals = step < 1 ? (int)ceil(-log10(step) - 1e-9) : 0;
    for (double k = ceil(f->y0 / step); k * step <= f->y1; k++) {
        double y = place_y(f, k * step);
        set_color(cr, grid);
        line(cr, f->left, y, f->right, y);
        set_color(cr, ink);
        snprintf(number, sizeof number, "%.*f%s", decimals, k * step, p->unit);
        text(cr, f->left - 8, y + 4.5, RIGHT, number);
    }
    if (epochs > 1) draw_epochs(cr, f);
    line(cr, f->left, f->top, f->left, f->bottom);
    line(cr, f->left, f->bottom, f->right, f->bottom);
    text(cr, (f->left + f->right) / 2, f->bottom + 40, CENTER, epochs > 1 ? "epoch" : "after the only epoch");
    cairo_set_font_size(cr, 17);
    text(cr, f->left, f->top - 16, LEFT, p->title);
    cairo_set_font_size(cr, 14);
}

static void draw_series(cairo_t *cr, const struct frame *f, int epochs, const double *value)
{
    cairo_set_line_width(cr, 2);
    cairo_new_path(cr);
    for (int e = 0; e < epochs; e++) {
        if (isfinite(value[e]))
            cairo_line_to(cr, place_x(f, e + 1), place_y(f, value[e]));
        else
            cairo_new_sub_path(cr);
    }
    cairo_stroke(cr);
    for (int e = 0; e < epochs && epochs <= 40; e++) {
        if (!isfinite(value[e])) continue;
        cairo_arc(cr, place_x(f, e + 1), place_y(f, value[e]), 3, 0, 2 * acos(-1));
        cairo_fill(cr);
    }
    cairo_set_line_width(cr, 1);
}

/* One epoch: a bar from zero for each series, its value on top. */
static void draw_bars(cairo_t *cr, const struct frame *f, const struct plot_panel *p)
{
    for (int s = 0; s < 2; s++) {
        const double value = p->series[s].value[0], middle = f->left + (f->right - f->left) * (s + 1) / 3;
        char number[64];
        snprintf(number, sizeof number, "%.4g%s", value, p->unit);
        const double top = isfinite(value) ? place_y(f, value) : f->bottom;
        set_color(cr, series_color[s]);
        cairo_rectangle(cr, middle - 36, top, 72, f->bottom - top);
        cairo_fill(cr);
        set_color(cr, ink);
        text(cr, middle, top - 8, CENTER, number);
        text(cr, middle, f->bottom + 20, CENTER, p->series[s].name);
    }
}

static void draw_legend(cairo_t *cr, const struct frame *f, const struct plot_panel *p)
{
    for (int s = 0; s < 2; s++) {
        double x = f->right - 140 + 80 * s, y = f->top - 20;
        set_color(cr, series_color[s]);
        cairo_rectangle(cr, x, y - 1, 18, 3);
        cairo_fill(cr);
        set_color(cr, ink);
        text(cr, x + 24, y + 4.5, LEFT, p->series[s].name);
    }
}

static void draw_panel(cairo_t *cr, double left, int epochs, const struct plot_panel *p)
{
    struct frame f = {.left = left + 64, .right = left + PANEL_W - 16, .top = 48, .bottom = PANEL_H - 56};
    f.x0 = 1, f.x1 = epochs;
    find_range(p, epochs, &f.y0, &f.y1);
    if (epochs == 1) f.y0 = fmin(f.y0, 0), f.y1 = f.y1 + (f.y1 - f.y0) * 0.1; /* bars begin at zero */
    draw_axes(cr, &f, p, epochs);
    if (epochs == 1) {
        draw_bars(cr, &f, p);
        return;
    }
    draw_legend(cr, &f, p);
    for (int s = 0; s < 2; s++) {
        set_color(cr, series_color[s]);
        draw_series(cr, &f, epochs, p->series[s].value);
    }
}

const char *plot_curves(const char *path, const char *caption, int epochs, const struct plot_panel panel[2])
{
    cairo_t *cr = begin(2 * PANEL_W, PANEL_H + FOOTER);
    for (int i = 0; i < 2; i++) draw_panel(cr, i * PANEL_W, epochs, &panel[i]);
    set_color(cr, ink);
    fitting_text(cr, PANEL_W, PANEL_H + FOOTER / 2.0, 2 * PANEL_W - 32, caption);
    return end(cr, path);
}

/* --------------------------------------------------------------------------------------------- weights */

enum { ACROSS = 5, ZOOM = 6, GAP = 16, CAPTION = 26, SCALE = 48 };

/* -1 blue, 0 white, 1 red. */
static struct color color_of(double v)
{
    double a = isfinite(v) ? fmin(fabs(v), 1) : 0;
    struct color blue = {0.10, 0.25, 0.65}, red = {0.75, 0.10, 0.10}, full = v < 0 ? blue : red;
    return (struct color){1 + a * (full.r - 1), 1 + a * (full.g - 1), 1 + a * (full.b - 1)};
}

/* Three times the root mean square: a few weights are far larger, and would leave the others white. */
static double full_color(const float *w, int64_t n)
{
    double squares = 1e-30;
    for (int64_t i = 0; i < n; i++)
        if (isfinite(w[i])) squares += (double)w[i] * w[i];
    return 3 * sqrt(squares / (double)n);
}

static void draw_image(cairo_t *cr, int left, int top, int rows, int cols, const float *w, double full)
{
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < cols; c++) {
            set_color(cr, color_of(w[r * cols + c] / full));
            cairo_rectangle(cr, left + c * ZOOM, top + r * ZOOM, ZOOM, ZOOM);
            cairo_fill(cr);
        }
    set_color(cr, grid);
    cairo_rectangle(cr, left - 0.5, top - 0.5, cols * ZOOM + 1, rows * ZOOM + 1);
    cairo_stroke(cr);
}

/* From -full over 0 to full, with what the colours say. */
static void draw_scale(cairo_t *cr, double middle, double top, double full)
{
    enum { STEPS = 120, STEP_W = 2, HEIGHT = 14 };
    const double left = middle - STEPS * STEP_W / 2.0;
    char number[2][64];
    for (int i = 0; i < STEPS; i++) {
        set_color(cr, color_of((2.0 * i + 1) / STEPS - 1));
        cairo_rectangle(cr, left + i * STEP_W, top, STEP_W, HEIGHT);
        cairo_fill(cr);
    }
    snprintf(number[0], sizeof number[0], "against the class  %.2g", -full);
    snprintf(number[1], sizeof number[1], "%.2g  for the class", full);
    set_color(cr, ink);
    cairo_rectangle(cr, left - 0.5, top - 0.5, STEPS * STEP_W + 1, HEIGHT + 1);
    cairo_stroke(cr);
    text(cr, left - 10, top + HEIGHT - 2, RIGHT, number[0]);
    text(cr, left + STEPS * STEP_W + 10, top + HEIGHT - 2, LEFT, number[1]);
    line(cr, middle, top + HEIGHT, middle, top + HEIGHT + 4);
    text(cr, middle, top + HEIGHT + 18, CENTER, "weight 0");
}

const char *plot_weights(const char *path, int count, int rows, int cols, const float *w,
                         const char *const *name)
{
    int width = cols * ZOOM + GAP, height = rows * ZOOM + GAP + CAPTION,
        lines = (count + ACROSS - 1) / ACROSS;
    cairo_t *cr = begin(ACROSS * width + GAP, lines * height + GAP + SCALE);
    double full = full_color(w, (int64_t)count * rows * cols);
    for (int i = 0; i < count; i++) {
        int left = GAP + i % ACROSS * width, top = GAP + i / ACROSS * height + CAPTION;
        draw_image(cr, left, top, rows, cols, w + (int64_t)i * rows * cols, full);
        set_color(cr, ink);
        text(cr, left + cols * ZOOM / 2.0, top - 9, CENTER, name[i]);
    }
    draw_scale(cr, (ACROSS * width + GAP) / 2.0, lines * height + GAP, full);
    return end(cr, path);
}
