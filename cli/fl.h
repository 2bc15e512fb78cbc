/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_CLI_FL_H
#define CCZ_CLI_FL_H
/* What the verbs of `cczoo fl` share: logs of runs (JSON lines) and pages made of them. */
#include <cczoo/fl_report.h>

#include <stdio.h>

enum { FL_FACTS_MAX = 16, FL_FACT_SIZE = 96 };

/* The settings of a run as people read them. */
struct fl_facts {
    struct {
        char name[32], value[FL_FACT_SIZE];
    } fact[FL_FACTS_MAX];
    size_t len;
};
CCZ_FMT(3, 4) void fl_fact(struct fl_facts *f, const char *name, const char *fmt, ...);

/* Lines of a log besides records: {"run":{"name":"value", ..}} and {"baseline":"central","accuracy":..,"loss":..}. */
void fl_put_run(struct ccz_buf *out, const struct fl_facts *f);
void fl_put_line(struct ccz_buf *out, const char *name, double accuracy, double loss);
/* Writes the whole line at once, with its end. */
ccz_rc fl_log_line(FILE *log, struct ccz_buf *line, struct ccz_err *err);

/* A page of several logs: a series each, called as the log or NAME of NAME=FILE. Facts are those of the first. */
ccz_rc fl_report(const char *html, const char *title, char **logs, size_t logs_len,
                 struct ccz_err *err);

#endif
