/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FL_REPORT_PRIV_H
#define CCZ_FL_REPORT_PRIV_H
#include <cczoo/fl_report.h>

/* A value of a record and the round that it belongs to; NaN: it has none. */
typedef double hfl_value(double *round, const struct ccz_fl_record *r);

struct hfl_chart {
    const char *title, *unit;
    hfl_value *value;
    double (*line)(const struct ccz_fl_report_line *l); /* NULL: no lines of comparison */
    unsigned digits;                                    /* behind the point, in texts */
    bool from_zero;                                     /* the axis starts at 0 */
    bool only_if_it_varies;
};
/* Appends one chart; nothing if no record has a value. */
void cczi_hfl_chart_put(struct ccz_buf *out, const struct hfl_chart *c,
                        const struct ccz_fl_report *r);

/* A number with that many digits, whatever the locale; "–" if it is not finite. */
void cczi_hfl_put_number(struct ccz_buf *out, double v, unsigned digits);
/* Text with the characters of HTML escaped. */
void cczi_hfl_put_text(struct ccz_buf *out, const char *text);

#endif
