/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PLOT_PLOT_H
#define CCZ_PLOT_PLOT_H
/* Pages with curves for those who report: HTML and inline SVG, no scripts, no fonts, nothing from elsewhere. Internal. */
#include <cczoo/base.h>

enum { CCZI_PLOT_SERIES_MAX = 8, CCZI_PLOT_LINES_MAX = 8 };

/* What a page begins with, up to and with its heading; and how it ends. */
void cczi_page_begin(struct ccz_buf *out, const char *title);
void cczi_page_end(struct ccz_buf *out);
/* A number with that many digits, whatever the locale; "–" if it is not finite. */
void cczi_page_number(struct ccz_buf *out, double v, unsigned digits);
/* The same as a cell of a table. */
void cczi_page_cell(struct ccz_buf *out, double v, unsigned digits);
/* Text with the characters of HTML escaped. */
void cczi_page_text(struct ccz_buf *out, const char *text);
/* A series' name behind a mark of its colour. */
void cczi_page_key(struct ccz_buf *out, size_t series, const char *name);
/* One row of a table of class "facts". */
void cczi_page_fact(struct ccz_buf *out, const char *name, const char *value);

struct cczi_plot_series {
    const char *name;
    size_t len;
};
/* A horizontal line to compare with; NaN: none. */
struct cczi_plot_line {
    const char *name;
    double value;
};
struct cczi_plot {
    const char *title, *unit; /* unit: "" for none */
    const char *x_name;       /* what x is */
    /* Point k of a series; y is NaN: there is none, and the curve has a gap. */
    double (*y)(double *x, const void *arg, size_t series, size_t k);
    const void *arg;
    const struct cczi_plot_series *series; /* up to CCZI_PLOT_SERIES_MAX */
    size_t series_len;
    const struct cczi_plot_line *lines; /* up to CCZI_PLOT_LINES_MAX */
    size_t lines_len;
    unsigned digits; /* behind the point, in texts */
    bool from_zero;  /* the axis starts at 0 */
    bool only_if_it_varies;
};
/* Appends one chart; nothing if no series has a value. */
void cczi_plot_put(struct ccz_buf *out, const struct cczi_plot *p);
#endif
