/* SPDX-License-Identifier: Apache-2.0 */
/* Logs of federated training, and pages made of them. */
#include "fl.h"

#include <cczoo/codec.h>

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_SIZE_MAX = 256 << 20, PAGE_SIZE_MAX = 16 << 20, NAME_SIZE = 64 };

void fl_fact(struct fl_facts *f, const char *name, const char *fmt, ...)
{
    if (f->len == FL_FACTS_MAX)
        return;
    va_list ap;
    va_start(ap, fmt);
    (void)snprintf(f->fact[f->len].name, sizeof(f->fact[0].name), "%s", name);
    (void)vsnprintf(f->fact[f->len].value, sizeof(f->fact[0].value), fmt, ap);
    va_end(ap);
    f->len++;
}

void fl_put_run(struct ccz_buf *out, const struct fl_facts *f)
{
    ccz_buf_put_str(out, "{\"run\":{");
    for (size_t i = 0; i < f->len; i++) {
        ccz_buf_put_str(out, i ? "," : "");
        ccz_json_put_str(out, ccz_span_str(f->fact[i].name));
        ccz_buf_put_str(out, ":");
        ccz_json_put_str(out, ccz_span_str(f->fact[i].value));
    }
    ccz_buf_put_str(out, "}}");
}

static void put_real(struct ccz_buf *out, double v)
{
    if (isfinite(v))
        ccz_json_put_double(out, v);
    else
        ccz_buf_put_str(out, "null");
}

void fl_put_line(struct ccz_buf *out, const char *name, double accuracy, double loss)
{
    ccz_buf_put_str(out, "{\"baseline\":");
    ccz_json_put_str(out, ccz_span_str(name));
    ccz_buf_put_str(out, ",\"accuracy\":");
    put_real(out, accuracy);
    ccz_buf_put_str(out, ",\"loss\":");
    put_real(out, loss);
    ccz_buf_put_str(out, "}");
}

ccz_rc fl_log_line(FILE *log, struct ccz_buf *line, struct ccz_err *err)
{
    ccz_buf_put_str(line, "\n");
    if (line->bad || fwrite(line->ptr, 1, line->size, log) != line->size || fflush(log) != 0)
        return ccz_fail(err, CCZ_E_IO, "fl:log", errno, "cannot write the log: %s",
                        strerror(errno));
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- pages */

struct log {
    struct ccz_buf text;
    char name[NAME_SIZE];
    struct ccz_fl_record *records;
    size_t len;
};

struct page {
    struct log logs[CCZ_FL_REPORT_SERIES_MAX];
    struct ccz_json *kept[CCZ_FL_REPORT_LINES_MAX + 1]; /* what names below point into */
    size_t kept_len;
    struct ccz_fl_report_line lines[CCZ_FL_REPORT_LINES_MAX];
    size_t lines_len;
    struct ccz_fl_report_fact facts[FL_FACTS_MAX];
    size_t facts_len;
};

static void page_free(struct page *p)
{
    for (size_t i = 0; i < CCZ_FL_REPORT_SERIES_MAX; i++) {
        ccz_buf_free(&p->logs[i].text);
        free(p->logs[i].records);
    }
    for (size_t i = 0; i < p->kept_len; i++)
        ccz_json_free(p->kept[i]);
}

static void take_facts(struct page *p, const struct ccz_json *run)
{
    const char *key = NULL;
    const struct ccz_json *v;
    p->facts_len = 0; /* of a run that went on: what it said last */
    while ((v = ccz_json_next(&key, run)) && p->facts_len < FL_FACTS_MAX)
        if (ccz_json_str(v))
            p->facts[p->facts_len++] = (struct ccz_fl_report_fact){key, ccz_json_str(v)};
}

/* The same name again: the later one counts. */
static void take_line(struct page *p, const struct ccz_json *j)
{
    struct ccz_fl_report_line l = {ccz_json_str(ccz_json_get(j, "baseline")), NAN, NAN};
    size_t i = 0;
    if (!l.name || !ccz_json_real(&l.accuracy, ccz_json_get(j, "accuracy")))
        return;
    (void)!ccz_json_real(&l.loss, ccz_json_get(j, "loss"));
    while (i < p->lines_len && strcmp(p->lines[i].name, l.name) != 0)
        i++;
    if (i == CCZ_FL_REPORT_LINES_MAX)
        return;
    p->lines[i] = l;
    p->lines_len += i == p->lines_len;
}

/* Lines of the log that are no records of rounds. */
static ccz_rc take_others(struct page *p, struct ccz_span text, bool facts, struct ccz_err *err)
{
    const char *at = (const char *)text.ptr, *end = at + text.size;
    while (at < end && p->kept_len < CCZ_FL_REPORT_LINES_MAX + 1) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        CCZ_AUTO(ccz_json) j = NULL;
        if (stop > at) {
            ccz_rc rc = ccz_json_parse(&j, CCZ_SPAN(at, (size_t)(stop - at)), err);
            if (rc != CCZ_OK)
                return rc;
        }
        const struct ccz_json *run = ccz_json_get(j, "run");
        if ((run && facts) || ccz_json_get(j, "baseline")) {
            if (run)
                take_facts(p, run);
            else
                take_line(p, j);
            p->kept[p->kept_len++] = ccz_json_take(&j);
        }
        at = stop + 1;
    }
    return CCZ_OK;
}

static ccz_rc load(struct page *p, size_t i, const char *arg, struct ccz_err *err)
{
    struct log *l = &p->logs[i];
    const char *equals = strchr(arg, '='), *path = equals ? equals + 1 : arg;
    (void)snprintf(l->name, sizeof(l->name), "%.*s", equals ? (int)(equals - arg) : NAME_SIZE, arg);
    ccz_rc rc = ccz_file_read(&l->text, path, err);
    if (rc == CCZ_OK)
        rc = ccz_fl_records_parse(&l->records, &l->len, ccz_buf_span(&l->text), err);
    if (rc == CCZ_OK && l->len == 0)
        rc = ccz_fail(err, CCZ_E_FORMAT, "fl:log", 0, "no rounds in %s", path);
    return rc == CCZ_OK ? take_others(p, ccz_buf_span(&l->text), i == 0, err) : rc;
}

ccz_rc fl_report(const char *html, const char *title, char **logs, size_t logs_len,
                 struct ccz_err *err)
{
    struct page p = {0};
    struct ccz_fl_report_series series[CCZ_FL_REPORT_SERIES_MAX];
    CCZ_AUTO_BUF page;
    ccz_buf_init(&page, PAGE_SIZE_MAX);
    for (size_t i = 0; i < CCZ_FL_REPORT_SERIES_MAX; i++)
        ccz_buf_init(&p.logs[i].text, LOG_SIZE_MAX);
    if (logs_len > CCZ_FL_REPORT_SERIES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "fl:logs", (int64_t)logs_len,
                              CCZ_FL_REPORT_SERIES_MAX);
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < logs_len; i++) {
        rc = load(&p, i, logs[i], err);
        series[i] = (struct ccz_fl_report_series){p.logs[i].name, p.logs[i].records, p.logs[i].len};
    }
    const struct ccz_fl_report r = {.title = title,
                                    .series = series,
                                    .series_len = logs_len,
                                    .lines = p.lines,
                                    .lines_len = p.lines_len,
                                    .facts = p.facts,
                                    .facts_len = p.facts_len};
    if (rc == CCZ_OK)
        rc = ccz_fl_report_html(&page, &r, err);
    if (rc == CCZ_OK)
        rc = ccz_file_write(html, ccz_buf_span(&page), 0644, CCZ_FILE_REPLACE, err);
    page_free(&p);
    return rc;
}
