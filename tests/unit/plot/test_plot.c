/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of reports: what stands in them, and that nothing of a name becomes markup. */
#include "plot/plot.h"

#include "ccz_test.h"

#include <math.h>

static double curve(double *x, const void *arg, size_t series, size_t k)
{
    const double(*y)[4] = (const double(*)[4])arg;
    *x = (double)k;
    return y[series][k];
}

static size_t times(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *p = text; (p = strstr(p, what)); p += strlen(what))
        n++;
    return n;
}

static void pages(void)
{
    CCZ_AUTO_BUF b = {0};
    ccz_buf_init(&b, 1 << 16);
    cczi_page_begin(&b, "a <b> & \"c\"");
    cczi_page_text(&b, "<script>");
    cczi_page_key(&b, 1, "x<y");
    cczi_page_fact(&b, "k&k", "v>v");
    cczi_page_cell(&b, 1.005, 2);
    cczi_page_number(&b, NAN, 2);
    cczi_page_number(&b, INFINITY, 2);
    cczi_page_end(&b);
    const char *t = ccz_buf_str(&b);
    CHECK(strncmp(t, "<!doctype html>", 15) == 0 || strncmp(t, "<!DOCTYPE html>", 15) == 0);
    CHECK(strstr(t, "a &lt;b&gt; &amp; ") && strstr(t, "&lt;script&gt;") && strstr(t, "x&lt;y") &&
          strstr(t, "k&amp;k") && strstr(t, "v&gt;v"));
    CHECK(!strstr(t, "<script") && !strstr(t, "<b>") && !strstr(t, "x<y"));
    CHECK(strstr(t, "1.00") || strstr(t, "1.01"));
    CHECK(times(t, "–") >= 2 && !strstr(t, "nan") && !strstr(t, "inf"));
    CHECK(!strstr(t, "http://") && !strstr(t, "https://")); /* nothing from elsewhere */
}

static void charts(void)
{
    static const double y[2][4] = {{1, 2, NAN, 4}, {0.5, 0.25, 0.125, 0.0625}};
    static const double none[2][4] = {{NAN, NAN, NAN, NAN}, {NAN, NAN, NAN, NAN}};
    static const struct cczi_plot_series series[] = {{"one<", 4}, {"two", 4}};
    static const struct cczi_plot_line line = {"bar", 3};
    struct cczi_plot p = {.title = "t&t",
                          .unit = "",
                          .x_name = "x",
                          .y = curve,
                          .arg = y,
                          .series = series,
                          .series_len = 2,
                          .lines = &line,
                          .lines_len = 1,
                          .digits = 2};
    CCZ_AUTO_BUF b = {0}, empty = {0};
    ccz_buf_init(&b, 1 << 16);
    ccz_buf_init(&empty, 1 << 16);
    cczi_plot_put(&b, &p);
    p.arg = none;
    cczi_plot_put(&empty, &p);
    CHECK(!empty.bad && empty.size == 0); /* no value, no chart */
    const char *t = ccz_buf_str(&b);
    CHECK(times(t, "<svg") == 1 && times(t, "</svg>") == 1);
    CHECK(strstr(t, "t&amp;t") && !strstr(t, "one<") && !strstr(t, "nan"));
}

/* A curve that does not vary is left out where that was asked for, and drawn where not. */
static void constant(void)
{
    static const double y[1][4] = {{3, 3, 3, 3}};
    static const struct cczi_plot_series series[] = {{"one", 4}};
    struct cczi_plot p = {.title = "t",
                          .unit = "s",
                          .x_name = "x",
                          .y = curve,
                          .arg = y,
                          .series = series,
                          .series_len = 1,
                          .digits = 1};
    CCZ_AUTO_BUF drawn = {0}, left_out = {0};
    ccz_buf_init(&drawn, 1 << 16);
    ccz_buf_init(&left_out, 1 << 16);
    cczi_plot_put(&drawn, &p);
    p.only_if_it_varies = true;
    cczi_plot_put(&left_out, &p);
    CHECK(drawn.size > 0 && !drawn.bad && left_out.size == 0);
    CHECK(!strstr(ccz_buf_str(&drawn), "nan"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"plot.pages", pages}, {"plot.charts", charts}, {"plot.constant", constant}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
