/* SPDX-License-Identifier: Apache-2.0 */
/* The page: facts, metrics with intervals, curves, trials. */
#include "eval_priv.h"

#include <plot/plot.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TRIALS_MAX = 100 };

static const enum ccz_recsys_metric shown[] = {
    CCZ_RECSYS_NDCG, CCZ_RECSYS_HR,  CCZ_RECSYS_RECALL,   CCZ_RECSYS_PRECISION,
    CCZ_RECSYS_MAP,  CCZ_RECSYS_MRR, CCZ_RECSYS_COVERAGE, CCZ_RECSYS_NOVELTY};

static void put_metric(struct ccz_buf *out, const struct ccz_recsys_at *at,
                       enum ccz_recsys_metric m)
{
    const unsigned digits = m == CCZ_RECSYS_NOVELTY ? 2 : 4;
    ccz_buf_put_str(out, "<td>");
    cczi_page_number(out, at->mean[m], digits);
    if (isfinite(at->low[m]) && isfinite(at->high[m])) {
        ccz_buf_put_str(out, " <small>(");
        cczi_page_number(out, at->low[m], digits);
        ccz_buf_put_str(out, " to ");
        cczi_page_number(out, at->high[m], digits);
        ccz_buf_put_str(out, ")</small>");
    }
    ccz_buf_put_str(out, "</td>");
}

static void put_metrics(struct ccz_buf *out, const struct ccz_recsys_report *r)
{
    if (r->rows_len == 0)
        return;
    ccz_buf_put_str(
        out, "<h2>Metrics</h2>\n<table>\n<tr><th></th><th>length of list</th><th>users</th>");
    for (size_t m = 0; m < sizeof(shown) / sizeof(shown[0]); m++)
        ccz_buf_printf(out, "<th>%s</th>", ccz_recsys_metric_name(shown[m]));
    ccz_buf_put_str(out, "</tr>\n");
    for (size_t i = 0; i < r->rows_len; i++)
        for (size_t c = 0; c < r->rows[i].metrics->at_len; c++) {
            const struct ccz_recsys_at *at = &r->rows[i].metrics->at[c];
            ccz_buf_put_str(out, "<tr><td>");
            cczi_page_key(out, i % CCZI_PLOT_SERIES_MAX, r->rows[i].name);
            ccz_buf_printf(out, "</td><td>%u</td><td>%llu</td>", at->k,
                           (unsigned long long)r->rows[i].metrics->users);
            for (size_t m = 0; m < sizeof(shown) / sizeof(shown[0]); m++)
                put_metric(out, at, shown[m]);
            ccz_buf_put_str(out, "</tr>\n");
        }
    ccz_buf_put_str(out, "</table>\n");
}

/* ----------------------------------------------------------------------------------------- curves */

struct by_length {
    const struct ccz_recsys_report *r;
    enum ccz_recsys_metric metric;
};

static double at_length(double *x, const void *arg, size_t series, size_t k)
{
    const struct by_length *b = arg;
    const struct ccz_recsys_at *at = &b->r->rows[series].metrics->at[k];
    *x = at->k;
    return at->mean[b->metric];
}

/* Over lengths of lists: a curve of each recommender. */
static void put_by_length(struct ccz_buf *out, const struct ccz_recsys_report *r,
                          enum ccz_recsys_metric metric, const char *title)
{
    const struct by_length b = {.r = r, .metric = metric};
    struct cczi_plot_series series[CCZI_PLOT_SERIES_MAX];
    size_t len = 0, most = 0;
    for (; len < r->rows_len && len < CCZI_PLOT_SERIES_MAX; len++) {
        series[len] = (struct cczi_plot_series){r->rows[len].name, r->rows[len].metrics->at_len};
        most = series[len].len > most ? series[len].len : most;
    }
    if (most > 1)
        cczi_plot_put(out, &(struct cczi_plot){.title = title,
                                               .unit = "",
                                               .x_name = "length of list",
                                               .y = at_length,
                                               .arg = &b,
                                               .series = series,
                                               .series_len = len,
                                               .digits = 4,
                                               .from_zero = true});
}

static double on_curve(double *x, const void *arg, size_t series, size_t k)
{
    const struct ccz_recsys_report_chart *c = arg;
    *x = c->curve[series].x[k];
    return c->curve[series].y[k];
}

static void put_chart(struct ccz_buf *out, const struct ccz_recsys_report_chart *c)
{
    struct cczi_plot_series series[CCZI_PLOT_SERIES_MAX];
    for (size_t i = 0; i < c->curves_len; i++)
        series[i] = (struct cczi_plot_series){c->curve[i].name, c->curve[i].len};
    cczi_plot_put(out, &(struct cczi_plot){.title = c->title,
                                           .unit = c->y_label ? c->y_label : "",
                                           .x_name = c->x_label ? c->x_label : "",
                                           .y = on_curve,
                                           .arg = c,
                                           .series = series,
                                           .series_len = c->curves_len,
                                           .digits = 4});
}

/* Which colour is which curve: charts have no legends of their own. */
static void put_legend(struct ccz_buf *out, const struct ccz_recsys_report_chart *c)
{
    ccz_buf_put_str(out, "<p>");
    cczi_page_text(out, c->title);
    ccz_buf_put_str(out, ": ");
    for (size_t i = 0; i < c->curves_len; i++) {
        ccz_buf_put_str(out, i > 0 ? ", " : "");
        cczi_page_key(out, i, c->curve[i].name);
    }
    ccz_buf_put_str(out, "</p>\n");
}

static void put_charts(struct ccz_buf *out, const struct ccz_recsys_report *r)
{
    ccz_buf_put_str(out, "<h2>Charts</h2>\n<div class=\"charts\">\n");
    put_by_length(out, r, CCZ_RECSYS_NDCG, "NDCG by length of list");
    put_by_length(out, r, CCZ_RECSYS_COVERAGE, "Coverage by length of list");
    for (size_t i = 0; i < r->charts_len; i++)
        put_chart(out, &r->charts[i]);
    ccz_buf_put_str(out, "</div>\n");
    for (size_t i = 0; i < r->charts_len; i++)
        put_legend(out, &r->charts[i]);
}

/* ----------------------------------------------------------------------------------------- trials */

static int better(const void *a, const void *b)
{
    const struct ccz_recsys_trial *x = *(const struct ccz_recsys_trial *const *)a,
                                  *y = *(const struct ccz_recsys_trial *const *)b;
    if (x->best != y->best)
        return x->best > y->best ? -1 : 1;
    return (x > y) - (x < y);
}

static void put_parameter(struct ccz_buf *out, double v)
{
    const double size = fabs(v);
    cczi_page_cell(out, v, v == round(v) ? 0 : size >= 1 ? 2 : size >= 0.01 ? 4 : 6);
}

static ccz_rc put_trials(struct ccz_buf *out, const struct ccz_recsys_report *r,
                         struct ccz_err *err)
{
    static const char *const ended[] = {"all steps", "no gain", "behind the others"};
    const size_t len = r->search->len;
    if (len == 0)
        return CCZ_OK;
    const struct ccz_recsys_trial **order = calloc(len, sizeof(*order));
    if (!order)
        return cczi_recsys_no_memory(err);
    for (size_t i = 0; i < len; i++)
        order[i] = &r->search->trial[i];
    qsort(order, len, sizeof(*order), better);
    ccz_buf_printf(out, "<h2>Trials</h2>\n<p>%zu, best first%s</p>\n<table>\n<tr>", len,
                   len > TRIALS_MAX ? "; the first hundred" : "");
    for (size_t d = 0; d < r->search_cfg->dims_len; d++) {
        ccz_buf_put_str(out, "<th>");
        cczi_page_text(out, r->search_cfg->dim[d].name ? r->search_cfg->dim[d].name : "?");
        ccz_buf_put_str(out, "</th>");
    }
    ccz_buf_put_str(out, "<th>metric</th><th>at step</th><th>steps</th><th>ended by</th></tr>\n");
    for (size_t i = 0; i < len && i < TRIALS_MAX; i++) {
        ccz_buf_put_str(out, "<tr>");
        for (size_t d = 0; d < r->search_cfg->dims_len; d++)
            put_parameter(out, order[i]->value[d]);
        cczi_page_cell(out, order[i]->best, 4);
        ccz_buf_printf(out, "<td>%u</td><td>%u</td><td>%s</td></tr>\n", order[i]->best_step,
                       order[i]->steps, ended[order[i]->ended]);
    }
    ccz_buf_put_str(out, "</table>\n");
    free(order);
    return CCZ_OK;
}

ccz_rc ccz_recsys_report_html(struct ccz_buf *out, const struct ccz_recsys_report *r,
                              struct ccz_err *err)
{
    bool fits = !r->search || r->search_cfg;
    for (size_t i = 0; i < r->charts_len; i++)
        fits = fits && r->charts[i].curves_len <= CCZ_RECSYS_REPORT_SERIES_MAX;
    if (!fits)
        return ccz_fail(err, CCZ_E_ARG, "recsys:report", (int64_t)r->charts_len,
                        "a chart shows up to %d curves, and trials need what was searched",
                        CCZ_RECSYS_REPORT_SERIES_MAX);
    cczi_page_begin(out, r->title);
    if (r->facts_len > 0) {
        ccz_buf_put_str(out, "<table class=\"facts\">\n");
        for (size_t i = 0; i < r->facts_len; i++)
            cczi_page_fact(out, r->facts[i].name, r->facts[i].value);
        ccz_buf_put_str(out, "</table>\n");
    }
    put_metrics(out, r);
    put_charts(out, r);
    if (r->search) {
        ccz_rc rc = put_trials(out, r, err);
        if (rc != CCZ_OK)
            return rc;
    }
    cczi_page_end(out);
    return out->bad ? ccz_fail(err, CCZ_E_LIMIT, "recsys:report-size", (int64_t)out->max_size,
                               "the report is larger than its buffer, or there is no memory")
                    : CCZ_OK;
}
