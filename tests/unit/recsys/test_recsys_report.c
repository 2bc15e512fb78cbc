/* SPDX-License-Identifier: Apache-2.0 */
/* The page says what it was given, escaped, and is well formed as far as one can see without a browser. */
#include "eval_kit.h"
#include "refused.h"

enum { PAGE_MAX = 1 << 20 };

static struct ccz_recsys_metrics metrics(double ndcg)
{
    struct ccz_recsys_metrics m = {.users = 671, .relevant = 671, .at_len = 2};
    for (size_t c = 0; c < 2; c++) {
        m.at[c].k = c ? 100 : 10;
        for (int i = 0; i < CCZ_RECSYS_METRICS; i++) {
            m.at[c].mean[i] = ndcg + 0.1 * (double)c;
            m.at[c].low[i] = m.at[c].high[i] = NAN;
        }
    }
    m.at[0].low[CCZ_RECSYS_NDCG] = ndcg - 0.01;
    m.at[0].high[CCZ_RECSYS_NDCG] = ndcg + 0.01;
    return m;
}

static size_t count(const char *page, const char *what)
{
    size_t n = 0;
    for (const char *at = page; (at = strstr(at, what)); at += strlen(what))
        n++;
    return n;
}

static const double values[] = {16, 32}, steps[] = {1, 2, 3}, gaps[] = {0.25, NAN, 0.75};
static const struct ccz_recsys_dim dims[] = {
    {.name = "<factors>", .value = values, .value_len = 2}};

static void page(void)
{
    const struct ccz_recsys_metrics a = metrics(0.125), b = metrics(0.0625);
    const struct ccz_recsys_report_row rows[] = {{"factors & more", &a}, {"popularity", &b}};
    const struct ccz_recsys_report_curve curves[] = {
        {.name = "one", .x = steps, .y = gaps, .len = 3},
        {.name = "two", .x = steps, .y = steps, .len = 3}};
    const struct ccz_recsys_report_chart charts[] = {
        {"Training", "iteration", "NDCG@10", curves, 2}, {"Nothing", NULL, NULL, curves, 0}};
    const struct ccz_recsys_report_fact facts[] = {{"data", "<b>all</b>"}};
    double curve[] = {0.5, 0.7};
    struct ccz_recsys_trial trials[] = {
        {.value = {16}, .best = 0.4321, .best_step = 1, .steps = 2, .curve = curve, .curve_len = 2},
        {.value = {32},
         .best = 0.7654,
         .best_step = 2,
         .steps = 2,
         .ended = CCZ_RECSYS_ENDED_PATIENCE,
         .curve = curve,
         .curve_len = 2}};
    const struct ccz_recsys_search found = {.len = 2, .best = 1, .trial = trials};
    const struct ccz_recsys_search_cfg cfg = {.dim = dims, .dims_len = 1};
    struct ccz_recsys_report r = {.title = "A \"test\"",
                                  .facts = facts,
                                  .facts_len = 1,
                                  .rows = rows,
                                  .rows_len = 2,
                                  .charts = charts,
                                  .charts_len = 2,
                                  .search = &found,
                                  .search_cfg = &cfg};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, PAGE_MAX);
    CHECK(ccz_recsys_report_html(&out, &r, NULL) == CCZ_OK);
    const char *s = ccz_buf_str(&out);
    CHECK(strncmp(s, "<!DOCTYPE html>", 15) == 0 && strstr(s, "</body></html>"));
    CHECK(strstr(s, "<title>A &quot;test&quot;</title>") && strstr(s, "&lt;b&gt;all&lt;/b&gt;") &&
          strstr(s, "factors &amp; more") && strstr(s, "<th>&lt;factors&gt;</th>"));
    CHECK(!strstr(s, "<script") && !strstr(s, "http"));
    CHECK(strstr(s, "<td>0.1250 <small>(0.1150 to 0.1350)</small></td>"));
    CHECK(count(s, "<svg") == 3 &&
          count(s, "</svg>") == 3); /* NDCG, coverage, training; none of nothing */
    CHECK(count(s, "<tr>") == count(s, "</tr>"));
    CHECK(strstr(s, ">Training (NDCG@10)<") && strstr(s, "one, iteration 3: 0.7500"));
    const char *better = strstr(s, "0.7654"), *less = strstr(s, "0.4321");
    CHECK(better && less && better < less && strstr(s, "no gain"));

    struct ccz_recsys_report few = {.title = "t"};
    ccz_buf_clear(&out);
    CHECK(ccz_recsys_report_html(&out, &few, NULL) == CCZ_OK);
}

static void refuse(void)
{
    const struct ccz_recsys_report_chart chart = {.title = "t",
                                                  .curves_len = CCZ_RECSYS_REPORT_SERIES_MAX + 1};
    struct ccz_recsys_report r = {.title = "t", .charts = &chart, .charts_len = 1};
    struct ccz_err err = {0};
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, PAGE_MAX);
    CHECK(is_refused(ccz_recsys_report_html(&out, &r, &err), CCZ_E_ARG, &err, "recsys:report"));
    const struct ccz_recsys_search none = {0};
    r = (struct ccz_recsys_report){.title = "t", .search = &none};
    CHECK(is_refused(ccz_recsys_report_html(&out, &r, &err), CCZ_E_ARG, &err, "recsys:report"));
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 100);
    r.search = NULL;
    CHECK(is_refused(ccz_recsys_report_html(&small, &r, &err), CCZ_E_LIMIT, &err,
                     "recsys:report-size"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"recsys.report", page},
                                            {"recsys.report_refuse", refuse}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
