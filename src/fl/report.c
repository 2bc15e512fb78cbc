/* SPDX-License-Identifier: Apache-2.0 */
/* The page: style, facts, curves, summary, rounds. And the way back from lines of JSON to records. */
#include <cczoo/fl_report.h>

#include <cczoo/codec.h>
#include <plot/plot.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS_MAX = 60, LINES_MAX = 1 << 20 };

/* -------------------------------------------------------------------------------------- values */

/* A value of a record and the round that it belongs to; NaN: it has none. */
typedef double hfl_value(double *round, const struct ccz_fl_record *r);

static double of_eval(double *round, const struct ccz_fl_record *r, bool accuracy)
{
    const bool own = r->eval.samples > 0;
    const struct ccz_fl_metrics *m = own ? &r->eval : &r->base_eval;
    *round =
        (double)r->round - (own ? 0 : 1); /* members judge the model that a round begins with */
    return m->samples == 0 ? (double)NAN : accuracy ? 100 * m->accuracy : m->loss;
}

static double accuracy_value(double *round, const struct ccz_fl_record *r)
{
    return of_eval(round, r, true);
}

static double loss_value(double *round, const struct ccz_fl_record *r)
{
    return of_eval(round, r, false);
}

static double train_loss_value(double *round, const struct ccz_fl_record *r)
{
    *round = (double)r->round;
    return r->train.samples ? r->train.loss : (double)NAN;
}

static double norm_value(double *round, const struct ccz_fl_record *r)
{
    *round = (double)r->round;
    return r->norm_mean;
}

static double bytes_value(double *round, const struct ccz_fl_record *r)
{
    *round = (double)r->round;
    return ((double)r->sent_size + (double)r->received_size) / 1e6;
}

static double time_value(double *round, const struct ccz_fl_record *r)
{
    *round = (double)r->round;
    return (double)r->duration_ms / 1e3;
}

static double delivered_value(double *round, const struct ccz_fl_record *r)
{
    *round = (double)r->round;
    return r->delivered;
}

static double staleness_value(double *round, const struct ccz_fl_record *r)
{
    *round = (double)r->round;
    return r->staleness_mean;
}

static double epsilon_value(double *round, const struct ccz_fl_record *r)
{
    *round = (double)r->round;
    return r->epsilon >= 0 ? r->epsilon : (double)NAN;
}

static double accuracy_line(const struct ccz_fl_report_line *l)
{
    return 100 * l->accuracy;
}

static double loss_line(const struct ccz_fl_report_line *l)
{
    return l->loss;
}

struct hfl_chart {
    const char *title, *unit;
    hfl_value *value;
    double (*line)(const struct ccz_fl_report_line *l); /* NULL: no lines of comparison */
    unsigned digits;                                    /* behind the point, in texts */
    bool from_zero;                                     /* the axis starts at 0 */
    bool only_if_it_varies;
};
static const struct hfl_chart charts[] = {
    {"Accuracy", "%", accuracy_value, accuracy_line, 2, false, false},
    {"Loss", "", loss_value, loss_line, 4, false, false},
    {"Loss of local training", "", train_loss_value, NULL, 4, false, false},
    {"Norm of the members' updates", "mean, L2", norm_value, NULL, 3, true, false},
    {"Bytes of a round", "MB, both directions", bytes_value, NULL, 2, true, false},
    {"Time of a round", "s", time_value, NULL, 2, true, false},
    {"Updates delivered", "", delivered_value, NULL, 0, true, true},
    {"Staleness of updates", "rounds, mean", staleness_value, NULL, 2, true, true},
    {"Privacy spent", "epsilon", epsilon_value, NULL, 2, true, false},
};

struct hfl_shown {
    const struct hfl_chart *chart;
    const struct ccz_fl_report *report;
};

static double value_at(double *x, const void *arg, size_t series, size_t k)
{
    const struct hfl_shown *s = arg;
    return s->chart->value(x, &s->report->series[series].records[k]);
}

static void put_chart(struct ccz_buf *out, const struct hfl_chart *c, const struct ccz_fl_report *r)
{
    const struct hfl_shown shown = {.chart = c, .report = r};
    struct cczi_plot_series series[CCZ_FL_REPORT_SERIES_MAX];
    struct cczi_plot_line lines[CCZ_FL_REPORT_LINES_MAX];
    for (size_t i = 0; i < r->series_len; i++)
        series[i] = (struct cczi_plot_series){r->series[i].name, r->series[i].len};
    for (size_t i = 0; c->line && i < r->lines_len; i++)
        lines[i] = (struct cczi_plot_line){r->lines[i].name, c->line(&r->lines[i])};
    cczi_plot_put(out, &(struct cczi_plot){.title = c->title,
                                           .unit = c->unit,
                                           .x_name = "round",
                                           .y = value_at,
                                           .arg = &shown,
                                           .series = series,
                                           .series_len = r->series_len,
                                           .lines = lines,
                                           .lines_len = c->line ? r->lines_len : 0,
                                           .digits = c->digits,
                                           .from_zero = c->from_zero,
                                           .only_if_it_varies = c->only_if_it_varies});
}

/* -------------------------------------------------------------------------------------- tables */

static void put_facts(struct ccz_buf *out, const struct ccz_fl_report *r)
{
    if (r->facts_len == 0)
        return;
    ccz_buf_put_str(out, "<table class=\"facts\">\n");
    for (size_t i = 0; i < r->facts_len; i++)
        cczi_page_fact(out, r->facts[i].name, r->facts[i].value);
    ccz_buf_put_str(out, "</table>\n");
}

/* The last and the best value that there is. */
static void put_summary_row(struct ccz_buf *out, size_t i, const struct ccz_fl_report_series *s)
{
    double last = NAN, best = NAN, loss = NAN, best_round = NAN, bytes = 0, seconds = 0, round;
    for (size_t k = 0; k < s->len; k++) {
        const double a = accuracy_value(&round, &s->records[k]),
                     l = loss_value(&round, &s->records[k]);
        if (isfinite(a)) {
            last = a;
            if (!(a <= best)) {
                best = a;
                best_round = round;
            }
        }
        loss = isfinite(l) ? l : loss;
        bytes += bytes_value(&round, &s->records[k]);
        seconds += time_value(&round, &s->records[k]);
    }
    ccz_buf_put_str(out, "<tr><td>");
    cczi_page_key(out, i, s->name);
    ccz_buf_put_str(out, "</td>");
    cczi_page_cell(out, (double)s->records[s->len - 1].round, 0);
    cczi_page_cell(out, last, 2);
    cczi_page_cell(out, best, 2);
    cczi_page_cell(out, best_round, 0);
    cczi_page_cell(out, loss, 4);
    cczi_page_cell(out, bytes, 1);
    cczi_page_cell(out, seconds, 1);
    ccz_buf_put_str(out, "</tr>\n");
}

static void put_summary(struct ccz_buf *out, const struct ccz_fl_report *r)
{
    ccz_buf_put_str(out,
                    "<h2>Summary</h2>\n<table>\n<tr><th></th><th>rounds</th><th>accuracy, %</th>"
                    "<th>best, %</th><th>in round</th><th>loss</th><th>MB</th><th>s</th></tr>\n");
    for (size_t i = 0; i < r->series_len; i++)
        put_summary_row(out, i, &r->series[i]);
    for (size_t i = 0; i < r->lines_len; i++) {
        ccz_buf_put_str(out, "<tr><td>");
        cczi_page_text(out, r->lines[i].name);
        ccz_buf_put_str(out, "</td><td></td>");
        cczi_page_cell(out, 100 * r->lines[i].accuracy, 2);
        ccz_buf_put_str(out, "<td></td><td></td>");
        cczi_page_cell(out, r->lines[i].loss, 4);
        ccz_buf_put_str(out, "<td></td><td></td></tr>\n");
    }
    ccz_buf_put_str(out, "</table>\n");
}

static void put_rounds(struct ccz_buf *out, const struct ccz_fl_report_series *s, size_t i)
{
    const size_t every = (s->len + ROWS_MAX - 1) / ROWS_MAX;
    ccz_buf_put_str(out, "<h2>");
    cczi_page_key(out, i, s->name);
    ccz_buf_put_str(out, "</h2>\n<table>\n<tr><th>round</th><th>accuracy, %</th><th>loss</th>"
                         "<th>training loss</th><th>delivered</th><th>dropped</th><th>refused</th>"
                         "<th>samples</th><th>MB</th><th>s</th></tr>\n");
    for (size_t k = 0; k < s->len; k++) {
        const struct ccz_fl_record *r = &s->records[k];
        double round;
        if (k % every != 0 && k + 1 != s->len)
            continue;
        ccz_buf_printf(out, "<tr><td>%llu</td>", (unsigned long long)r->round);
        cczi_page_cell(out, accuracy_value(&round, r), 2);
        cczi_page_cell(out, loss_value(&round, r), 4);
        cczi_page_cell(out, train_loss_value(&round, r), 4);
        ccz_buf_printf(out, "<td>%u of %u</td><td>%u</td><td>%u</td><td>%llu</td>", r->delivered,
                       r->selected, r->dropped, r->refused, (unsigned long long)r->samples);
        cczi_page_cell(out, bytes_value(&round, r), 2);
        cczi_page_cell(out, time_value(&round, r), 2);
        ccz_buf_put_str(out, "</tr>\n");
    }
    ccz_buf_put_str(out, "</table>\n");
}

ccz_rc ccz_fl_report_html(struct ccz_buf *out, const struct ccz_fl_report *r, struct ccz_err *err)
{
    bool fits = r->series_len > 0 && r->series_len <= CCZ_FL_REPORT_SERIES_MAX &&
                r->lines_len <= CCZ_FL_REPORT_LINES_MAX;
    for (size_t i = 0; fits && i < r->series_len; i++)
        fits = r->series[i].len > 0;
    if (!fits)
        return ccz_fail(err, CCZ_E_ARG, "fl:report", (int64_t)r->series_len,
                        "1 to %d series with records, and up to %d lines, are what a report shows",
                        CCZ_FL_REPORT_SERIES_MAX, CCZ_FL_REPORT_LINES_MAX);
    cczi_page_begin(out, r->title);
    put_facts(out, r);
    put_summary(out, r);
    ccz_buf_put_str(out, "<h2>Rounds</h2>\n<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof(charts) / sizeof(charts[0]); i++)
        put_chart(out, &charts[i], r);
    ccz_buf_put_str(out, "</div>\n");
    for (size_t i = 0; i < r->series_len; i++)
        put_rounds(out, &r->series[i], i);
    cczi_page_end(out);
    return out->bad ? ccz_fail(err, CCZ_E_LIMIT, "fl:report-size", (int64_t)out->max_size,
                               "the report is larger than its buffer, or there is no memory")
                    : CCZ_OK;
}

/* --------------------------------------------------------------------------- records from JSON */

/* Fields of one object: the first that is wrong is remembered. */
struct fields {
    const struct ccz_json *object;
    const char *bad;
};

static uint64_t get_count(struct fields *f, const char *name)
{
    int64_t v = 0;
    if (!ccz_json_int(&v, ccz_json_get(f->object, name)) || v < 0)
        f->bad = f->bad ? f->bad : name;
    return v < 0 ? 0 : (uint64_t)v;
}

static uint32_t get_small(struct fields *f, const char *name)
{
    const uint64_t v = get_count(f, name);
    if (v > UINT32_MAX)
        f->bad = f->bad ? f->bad : name;
    return (uint32_t)v;
}

/* null: not known */
static double get_real(struct fields *f, const char *name)
{
    double v = NAN;
    const struct ccz_json *j = ccz_json_get(f->object, name);
    if (!j || (ccz_json_type(j) != CCZ_JSON_NULL && !ccz_json_real(&v, j)))
        f->bad = f->bad ? f->bad : name;
    return v;
}

static struct ccz_fl_metrics get_metrics(struct fields *f, const char *name)
{
    struct fields in = {.object = ccz_json_get(f->object, name)};
    if (!in.object)
        return (struct ccz_fl_metrics){.loss = NAN, .accuracy = NAN};
    const struct ccz_fl_metrics m = {.samples = get_count(&in, "samples"),
                                     .loss = get_real(&in, "loss"),
                                     .accuracy = get_real(&in, "accuracy")};
    if (in.bad)
        f->bad = f->bad ? f->bad : name;
    return m;
}

static ccz_rc record_from(struct ccz_fl_record *r, const struct ccz_json *object,
                          struct ccz_err *err)
{
    struct fields f = {.object = object};
    const char *digest = ccz_json_str(ccz_json_get(object, "digest"));
    *r = (struct ccz_fl_record){.round = get_count(&f, "round"),
                                .attempt = get_small(&f, "attempt"),
                                .selected = get_small(&f, "selected"),
                                .delivered = get_small(&f, "delivered"),
                                .dropped = get_small(&f, "dropped"),
                                .refused = get_small(&f, "refused"),
                                .samples = get_count(&f, "samples"),
                                .train = get_metrics(&f, "train"),
                                .base_eval = get_metrics(&f, "base_eval"),
                                .eval = get_metrics(&f, "eval"),
                                .update_norm = get_real(&f, "update_norm"),
                                .norm_mean = get_real(&f, "norm_mean"),
                                .norm_max = get_real(&f, "norm_max"),
                                .staleness_mean = get_real(&f, "staleness"),
                                .sent_size = get_count(&f, "sent_bytes"),
                                .received_size = get_count(&f, "received_bytes"),
                                .wait_ms = (int64_t)get_count(&f, "wait_ms"),
                                .apply_ms = (int64_t)get_count(&f, "apply_ms"),
                                .duration_ms = (int64_t)get_count(&f, "duration_ms"),
                                .epsilon = -1};
    if (ccz_json_get(object, "epsilon")) {
        r->epsilon = get_real(&f, "epsilon");
        r->delta = get_real(&f, "delta");
    }
    if (!f.bad &&
        (!digest || ccz_unhex(r->digest, sizeof(r->digest), digest, strlen(digest)) != CCZ_OK))
        f.bad = "digest";
    return f.bad ? ccz_fail(err, CCZ_E_FORMAT, "fl:record", (int64_t)r->round,
                            "the record of a round has no good \"%s\"", f.bad)
                 : CCZ_OK;
}

/* Into its place: rounds come in order but for runs that went on behind a checkpoint. */
static void put_record(struct ccz_fl_record *records, size_t *len, const struct ccz_fl_record *r)
{
    while (*len > 0 && records[*len - 1].round >= r->round)
        (*len)--; /* what came after the checkpoint was lost, and is done again */
    records[(*len)++] = *r;
}

static ccz_rc parse_lines(struct ccz_fl_record *out, size_t *len, struct ccz_span text,
                          struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    const char *at = (const char *)text.ptr, *end = at + text.size;
    while (rc == CCZ_OK && at < end) {
        const char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        if (stop > at) {
            CCZ_AUTO(ccz_json) j = NULL;
            struct ccz_fl_record r;
            rc = ccz_json_parse(&j, CCZ_SPAN(at, (size_t)(stop - at)), err);
            if (rc == CCZ_OK && ccz_json_get(j, "round")) {
                rc = record_from(&r, j, err);
                if (rc == CCZ_OK)
                    put_record(out, len, &r);
            }
        }
        at = stop + 1;
    }
    return rc;
}

ccz_rc ccz_fl_records_parse(struct ccz_fl_record **out, size_t *len, struct ccz_span text,
                            struct ccz_err *err)
{
    size_t lines = 1;
    *out = NULL;
    *len = 0;
    for (size_t i = 0; i < text.size; i++)
        lines += text.ptr[i] == '\n';
    if (lines > LINES_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "fl:records", (int64_t)lines, LINES_MAX);
    struct ccz_fl_record *records = calloc(lines, sizeof(*records));
    if (!records)
        return ccz_fail(err, CCZ_E_NOMEM, "fl:records", (int64_t)lines, "out of memory");
    ccz_rc rc = parse_lines(records, len, text, err);
    if (rc != CCZ_OK) {
        free(records);
        *len = 0;
        return rc;
    }
    *out = records;
    return CCZ_OK;
}
