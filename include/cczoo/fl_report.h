/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_FL_REPORT_H
#define CCZ_FL_REPORT_H
/**
 * @file fl_report.h
 * Records of rounds as one HTML page with curves: no scripts, no fonts, nothing from elsewhere, so that it can be mailed and
 * opened in an enclave's logs as well. Source: src/fl/report.c; curves: src/plot/plot.c.
 *
 * Texts given here are escaped. Threads: functions of their arguments.
 */
#include <cczoo/fl.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_FL_REPORT_SERIES_MAX 8
#define CCZ_FL_REPORT_LINES_MAX  8

/** One training: a curve in each plot. */
struct ccz_fl_report_series {
    const char *name;
    const struct ccz_fl_record *records; /**< in order of rounds */
    size_t len;
};
/** Something to compare with: a horizontal line over accuracy, and over loss unless that is NaN. */
struct ccz_fl_report_line {
    const char *name;
    double accuracy, loss;
};
/** A row of the table of settings. */
struct ccz_fl_report_fact {
    const char *name, *value;
};
struct ccz_fl_report {
    const char *title;
    const struct ccz_fl_report_series *series;
    size_t series_len; /**< 1 .. CCZ_FL_REPORT_SERIES_MAX */
    const struct ccz_fl_report_line *lines;
    size_t lines_len; /**< up to CCZ_FL_REPORT_LINES_MAX */
    const struct ccz_fl_report_fact *facts;
    size_t facts_len;
};
/**
 * Appends the page. Curves: accuracy, loss, update norms, bytes and time of each round; staleness and epsilon if there are any. Then a
 * table of the rounds of each series (of long ones every n-th).
 * @retval CCZ_E_ARG    fl:report: no series, too many, or one without records
 * @retval CCZ_E_LIMIT  fl:report-size: @p out is too small or there is no memory
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_report_html(struct ccz_buf *out, const struct ccz_fl_report *r,
                                               struct ccz_err *err);

/**
 * Reads what ccz_fl_record_json() wrote: a file of lines. Lines that are objects without "round" (other records of a log) are passed
 * over; of a round that was logged twice (a run that resumed) the last counts.
 * @param[out] out  @p len records in order of rounds; free()
 * @retval CCZ_E_FORMAT  json:..., fl:record: a field is missing or of the wrong type
 * @retval CCZ_E_LIMIT   fl:records: more than 2^20
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_fl_records_parse(struct ccz_fl_record **out, size_t *len,
                                                 struct ccz_span text, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
