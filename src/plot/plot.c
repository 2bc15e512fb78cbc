/* SPDX-License-Identifier: Apache-2.0 */
/* One chart as inline SVG. Colours are classes c0 .. c7 of the page's style sheet. */
#include "plot.h"

#include <math.h>

enum {
    WIDTH = 560,
    HEIGHT = 300,
    LEFT = 64,
    RIGHT = 14,
    TOP = 34,
    BOTTOM = 36,
    MARKS_MAX = 120,
    TICKS_MAX = 20
};
#define VALUE_MAX 1e12

struct scale {
    double x_low, x_high, y_low, y_high, x_step, y_step;
};

/* 1, 2 or 5 times a power of ten, so that there are about five steps. */
static double step_for(double span)
{
    const double rough = span / 5, power = pow(10, floor(log10(rough)));
    const double f = rough / power;
    return power * (f < 1.5 ? 1 : f < 3.5 ? 2 : f < 7.5 ? 5 : 10);
}

static unsigned digits_of(double step)
{
    unsigned d = 0;
    while (d < 9 && fabs(step - round(step)) > 1e-6 * step) {
        step *= 10;
        d++;
    }
    return d;
}

static void include(double *low, double *high, double v)
{
    if (isfinite(v)) {
        *low = fmin(*low, v);
        *high = fmax(*high, v);
    }
}

/* Data are not ours: what would leave no digits for an axis is no value. */
static double value_of(double *x, const struct cczi_plot *c, size_t series, size_t k)
{
    const double y = c->y(x, c->arg, series, k);
    return fabs(y) < VALUE_MAX && fabs(*x) < VALUE_MAX ? y : (double)NAN;
}

/* False: there is nothing to show. */
static bool scale_for(struct scale *s, const struct cczi_plot *c)
{
    *s = (struct scale){INFINITY, -INFINITY, INFINITY, -INFINITY, 0, 0};
    for (size_t i = 0; i < c->series_len; i++) {
        for (size_t k = 0; k < c->series[i].len; k++) {
            double x;
            const double y = value_of(&x, c, i, k);
            include(&s->y_low, &s->y_high, y);
            if (isfinite(y))
                include(&s->x_low, &s->x_high, x);
        }
    }
    if (!(s->y_low <= s->y_high) || (c->only_if_it_varies && !(s->y_low < s->y_high)))
        return false;
    for (size_t i = 0; i < c->lines_len; i++)
        if (fabs(c->lines[i].value) < VALUE_MAX)
            include(&s->y_low, &s->y_high, c->lines[i].value);
    if (c->from_zero)
        s->y_low = fmin(s->y_low, 0);
    if (!(s->y_high - s->y_low > 1e-9 * fmax(fabs(s->y_high), 1e-9))) { /* flat */
        const double half = fmax(fabs(s->y_high) * 0.05, 1e-6);
        s->y_low -= c->from_zero && s->y_low >= 0 ? s->y_low : half;
        s->y_high += half;
    }
    if (!(s->x_low < s->x_high))
        s->x_high = s->x_low + 1;
    s->y_step = step_for(s->y_high - s->y_low);
    s->y_low = floor(s->y_low / s->y_step + 1e-9) * s->y_step;
    s->y_high = ceil(s->y_high / s->y_step - 1e-9) * s->y_step;
    s->x_step = fmax(1, step_for(s->x_high - s->x_low));
    return true;
}

static double x_at(const struct scale *s, double x)
{
    return LEFT + (x - s->x_low) / (s->x_high - s->x_low) * (WIDTH - LEFT - RIGHT);
}

static double y_at(const struct scale *s, double y)
{
    return HEIGHT - BOTTOM - (y - s->y_low) / (s->y_high - s->y_low) * (HEIGHT - TOP - BOTTOM);
}

static void put_attribute(struct ccz_buf *out, const char *name, double v)
{
    ccz_buf_printf(out, " %s=\"", name);
    cczi_page_number(out, v, 1);
    ccz_buf_put_str(out, "\"");
}

static void put_axes(struct ccz_buf *out, const struct cczi_plot *c, const struct scale *s)
{
    const unsigned digits = digits_of(s->y_step);
    for (int i = 0; i < TICKS_MAX && s->y_low + i * s->y_step <= s->y_high + s->y_step / 2; i++) {
        const double v = s->y_low + i * s->y_step;
        ccz_buf_printf(out, "<line class=\"grid\" x1=\"%d\" x2=\"%d\"", LEFT, WIDTH - RIGHT);
        put_attribute(out, "y1", y_at(s, v));
        put_attribute(out, "y2", y_at(s, v));
        ccz_buf_printf(out, "/><text class=\"y\" x=\"%d\"", LEFT - 6);
        put_attribute(out, "y", y_at(s, v) + 4);
        ccz_buf_put_str(out, ">");
        cczi_page_number(out, v, digits);
        ccz_buf_put_str(out, "</text>");
    }
    const double x_first = ceil(s->x_low / s->x_step) * s->x_step;
    for (int i = 0; i < TICKS_MAX && x_first + i * s->x_step <= s->x_high; i++) {
        const double v = x_first + i * s->x_step;
        ccz_buf_printf(out, "<text class=\"x\" y=\"%d\"", HEIGHT - BOTTOM + 16);
        put_attribute(out, "x", x_at(s, v));
        ccz_buf_put_str(out, ">");
        cczi_page_number(out, v, 0);
        ccz_buf_put_str(out, "</text>");
    }
    ccz_buf_printf(out, "<text class=\"x\" x=\"%d\" y=\"%d\">", (LEFT + WIDTH - RIGHT) / 2,
                   HEIGHT - 4);
    cczi_page_text(out, c->x_name);
    ccz_buf_put_str(out, "</text>");
}

/* A curve, broken where there is no value. */
static void put_curve(struct ccz_buf *out, const struct cczi_plot *c, const struct scale *s,
                      size_t series)
{
    bool open = false;
    for (size_t k = 0; k < c->series[series].len; k++) {
        double x;
        const double y = value_of(&x, c, series, k);
        if (!isfinite(y)) {
            if (open)
                ccz_buf_put_str(out, "\"/>");
            open = false;
            continue;
        }
        if (!open)
            ccz_buf_printf(out, "<polyline class=\"curve c%zu\" points=\"", series);
        open = true;
        cczi_page_number(out, x_at(s, x), 1);
        ccz_buf_put_str(out, ",");
        cczi_page_number(out, y_at(s, y), 1);
        ccz_buf_put_str(out, " ");
    }
    if (open)
        ccz_buf_put_str(out, "\"/>");
}

/* Dots that say their values; of long curves a part. */
static void put_marks(struct ccz_buf *out, const struct cczi_plot *c, const struct scale *s,
                      size_t series)
{
    const size_t len = c->series[series].len, every = len / MARKS_MAX + 1;
    for (size_t k = 0; k < c->series[series].len; k++) {
        double x;
        const double y = value_of(&x, c, series, k);
        if (!isfinite(y) || (k % every != 0 && k + 1 != len))
            continue;
        ccz_buf_printf(out, "<circle class=\"dot c%zu\" r=\"2.5\"", series);
        put_attribute(out, "cx", x_at(s, x));
        put_attribute(out, "cy", y_at(s, y));
        ccz_buf_put_str(out, "><title>");
        cczi_page_text(out, c->series[series].name);
        ccz_buf_put_str(out, ", ");
        cczi_page_text(out, c->x_name);
        ccz_buf_put_str(out, " ");
        cczi_page_number(out, x, 0);
        ccz_buf_put_str(out, ": ");
        cczi_page_number(out, y, c->digits);
        ccz_buf_put_str(out, "</title></circle>");
    }
}

static void put_line(struct ccz_buf *out, const struct cczi_plot *c, const struct scale *s,
                     const struct cczi_plot_line *l)
{
    const double v = l->value;
    if (!(fabs(v) < VALUE_MAX))
        return;
    ccz_buf_printf(out, "<line class=\"ref\" x1=\"%d\" x2=\"%d\"", LEFT, WIDTH - RIGHT);
    put_attribute(out, "y1", y_at(s, v));
    put_attribute(out, "y2", y_at(s, v));
    ccz_buf_printf(out, "/><text class=\"reftext\" x=\"%d\"", WIDTH - RIGHT - 4);
    put_attribute(out, "y", y_at(s, v) - 4);
    ccz_buf_put_str(out, ">");
    cczi_page_text(out, l->name);
    ccz_buf_put_str(out, ": ");
    cczi_page_number(out, v, c->digits);
    ccz_buf_put_str(out, "</text>");
}

void cczi_plot_put(struct ccz_buf *out, const struct cczi_plot *c)
{
    struct scale s;
    if (!scale_for(&s, c))
        return;
    ccz_buf_printf(
        out, "<svg viewBox=\"0 0 %d %d\" role=\"img\"><text class=\"title\" x=\"%d\" y=\"18\">",
        WIDTH, HEIGHT, LEFT);
    cczi_page_text(out, c->title);
    if (c->unit[0]) {
        ccz_buf_put_str(out, " (");
        cczi_page_text(out, c->unit);
        ccz_buf_put_str(out, ")");
    }
    ccz_buf_put_str(out, "</text>");
    put_axes(out, c, &s);
    for (size_t i = 0; i < c->lines_len; i++)
        put_line(out, c, &s, &c->lines[i]);
    for (size_t i = 0; i < c->series_len; i++)
        put_curve(out, c, &s, i);
    for (size_t i = 0; i < c->series_len; i++)
        put_marks(out, c, &s, i);
    ccz_buf_put_str(out, "</svg>\n");
}
