/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"
#include "plot/plot.h"

#include <cczoo/codec.h>

#include <math.h>
#include <stdio.h>

static const struct {
    const char *name;
    double q;
} quantiles[] = {{"p50", 0.5},  {"p90", 0.9},    {"p95", 0.95},
                 {"p99", 0.99}, {"p999", 0.999}, {"p9999", 0.9999}};
enum { QUANTILES_LEN = sizeof(quantiles) / sizeof(quantiles[0]) };

static double ms(uint64_t ns)
{
    return (double)ns / 1e6;
}

static double per_second(uint64_t calls, double seconds)
{
    return seconds > 0 ? (double)calls / seconds : 0;
}

/* ------------------------------------------------------------------------------ JSON */

static void put_real(struct ccz_buf *out, const char *key, double v)
{
    ccz_buf_printf(out, ",\"%s\":", key);
    ccz_json_put_double(out, v);
}

static void put_latency(struct ccz_buf *out, const char *key, const struct cczi_hist *h)
{
    ccz_buf_printf(out, ",\"%s\":{\"calls\":%llu", key, (unsigned long long)h->len);
    put_real(out, "min", ms(h->min_ns));
    put_real(out, "mean", cczi_hist_mean(h) / 1e6);
    for (size_t i = 0; i < QUANTILES_LEN; i++)
        put_real(out, quantiles[i].name, ms(cczi_hist_at(h, quantiles[i].q)));
    put_real(out, "max", ms(h->max_ns));
    ccz_buf_put_str(out, "}");
}

void cczi_load_json(struct ccz_buf *out, const struct cczi_load_result *r,
                    const struct cczi_load_about *about)
{
    ccz_buf_put_str(out, "{\"target\":");
    ccz_json_put_str(out, ccz_span_str(about->title));
    ccz_buf_put_str(out, ",\"api\":");
    ccz_json_put_str(out, ccz_span_str(about->api));
    ccz_buf_put_str(out, ",\"machine\":");
    ccz_json_put_str(out, ccz_span_str(about->machine));
    ccz_buf_printf(out, ",\"simulated\":%s,\"in_flight\":%u,\"request_bytes\":%zu,\"late\":%llu",
                   about->simulated ? "true" : "false", about->in_flight, about->request_size,
                   (unsigned long long)r->late);
    put_real(out, "rate", about->rate);
    put_real(out, "seconds", r->seconds);
    put_real(out, "calls_per_s", per_second(r->ok.len, r->seconds));
    put_latency(out, "latency_ms", &r->ok);
    put_latency(out, "failed_ms", &r->failed);
    ccz_buf_put_str(out, ",\"codes\":{");
    const char *comma = "";
    for (unsigned i = 0; i < 32; i++) {
        if (!r->code[i])
            continue;
        ccz_buf_put_str(out, comma);
        ccz_json_put_str(out, ccz_span_str(about->code_name(i)));
        ccz_buf_printf(out, ":%llu", (unsigned long long)r->code[i]);
        comma = ",";
    }
    ccz_buf_put_str(out, "},\"answers\":[");
    for (size_t i = 0; i < r->answers; i++)
        ccz_buf_printf(out, "%s{\"digest\":\"%016llx\",\"calls\":%llu}", i ? "," : "",
                       (unsigned long long)r->answer[i].digest,
                       (unsigned long long)r->answer[i].calls);
    ccz_buf_printf(out, "],\"answers_more\":%llu,\"by_second\":[",
                   (unsigned long long)r->answers_more);
    for (size_t i = 0; i < r->seconds_len; i++) {
        const struct cczi_load_second *s = &r->second[i];
        ccz_buf_printf(out, "%s{\"calls\":%u,\"failed\":%u", i ? "," : "", s->calls, s->failed);
        put_real(out, "p50", (double)s->p50_ms);
        put_real(out, "p99", (double)s->p99_ms);
        put_real(out, "max", (double)s->max_ms);
        ccz_buf_put_str(out, "}");
    }
    ccz_buf_put_str(out, "]}\n");
}

/* ------------------------------------------------------------------------------ text */

void cczi_load_text(struct ccz_buf *out, const struct cczi_load_result *r,
                    const struct cczi_load_about *about)
{
    ccz_buf_printf(out, "%s%s over %s\n", about->simulated ? "SIMULATED evidence: " : "",
                   about->title, about->api);
    ccz_buf_printf(out, "answered    %llu calls in %.1f s: %.1f calls/s\n",
                   (unsigned long long)r->ok.len, r->seconds, per_second(r->ok.len, r->seconds));
    ccz_buf_put_str(out, "latency     ");
    for (size_t i = 0; i < QUANTILES_LEN; i++)
        ccz_buf_printf(out, "%s %.3f, ", quantiles[i].name,
                       ms(cczi_hist_at(&r->ok, quantiles[i].q)));
    ccz_buf_printf(out, "max %.3f ms\n", ms(r->ok.max_ns));
    if (about->rate > 0)
        ccz_buf_printf(out, "late        %llu calls were sent more than 1 ms after they were due\n",
                       (unsigned long long)r->late);
    for (unsigned i = 1; i < 32; i++)
        if (r->code[i])
            ccz_buf_printf(out, "failed      %llu calls: %s\n", (unsigned long long)r->code[i],
                           about->code_name(i));
    if (r->answers + r->answers_more > 1)
        ccz_buf_printf(out, "answers     %s%zu different ones\n",
                       r->answers_more ? "more than " : "", r->answers);
}

/* ------------------------------------------------------------------------------ HTML */

enum { CURVE_LEN = 61 }; /* points of the curve by percentile: up to six nines */

static double second_ms(double *x, const void *arg, size_t series, size_t k)
{
    const struct cczi_load_result *r = arg;
    const struct cczi_load_second *s = &r->second[k];
    *x = (double)k + 1;
    if (!s->calls)
        return NAN;
    return (double)(series == 0 ? s->p50_ms : series == 1 ? s->p99_ms : s->max_ms);
}

static double second_calls(double *x, const void *arg, size_t series, size_t k)
{
    const struct cczi_load_result *r = arg;
    *x = (double)k + 1;
    return series == 0 ? r->second[k].calls : r->second[k].failed;
}

/* x: nines, -log10(1 - q): 1 is 90 %, 2 is 99 %. Beyond what one call in all stands for there is nothing to say. */
static double by_nines(double *x, const void *arg, size_t series, size_t k)
{
    const struct cczi_load_result *r = arg;
    (void)series;
    *x = (double)k / 10;
    const double left = pow(10, -*x);
    return left * (double)r->ok.len < 1 ? (double)NAN : ms(cczi_hist_at(&r->ok, 1 - left));
}

static void put_facts(struct ccz_buf *out, const struct cczi_load_result *r,
                      const struct cczi_load_about *about)
{
    char text[128];
    ccz_buf_put_str(out, "<table class=\"facts\">\n");
    cczi_page_fact(out, "interface", about->api);
    cczi_page_fact(out, "machine", about->machine);
    if (about->rate > 0)
        (void)snprintf(text, sizeof(text), "open loop, %.1f calls/s, at most %u under way",
                       about->rate, about->in_flight);
    else
        (void)snprintf(text, sizeof(text), "closed loop, %u calls under way", about->in_flight);
    cczi_page_fact(out, "load", text);
    (void)snprintf(text, sizeof(text), "%llu in %.1f s, %.1f calls/s",
                   (unsigned long long)r->ok.len, r->seconds, per_second(r->ok.len, r->seconds));
    cczi_page_fact(out, "answered", text);
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)r->failed.len);
    cczi_page_fact(out, "failed", text);
    if (about->simulated)
        cczi_page_fact(out, "evidence", "SIMULATED: a software TEE, which protects nothing");
    ccz_buf_put_str(out, "</table>\n<table><tr><th>latency</th>");
    for (size_t i = 0; i < QUANTILES_LEN; i++)
        ccz_buf_printf(out, "<th>%s</th>", quantiles[i].name);
    ccz_buf_put_str(out, "<th>max</th></tr>\n<tr><td>ms</td>");
    for (size_t i = 0; i < QUANTILES_LEN; i++)
        cczi_page_cell(out, ms(cczi_hist_at(&r->ok, quantiles[i].q)), 3);
    cczi_page_cell(out, ms(r->ok.max_ns), 3);
    ccz_buf_put_str(out, "</tr></table>\n");
}

void cczi_load_html(struct ccz_buf *out, const struct cczi_load_result *r,
                    const struct cczi_load_about *about)
{
    const struct cczi_plot_series time[] = {
        {"p50", r->seconds_len}, {"p99", r->seconds_len}, {"max", r->seconds_len}};
    const struct cczi_plot_series calls[] = {{"answered", r->seconds_len},
                                             {"failed", r->seconds_len}};
    const struct cczi_plot_series curve[] = {{"latency", CURVE_LEN}};
    const struct cczi_plot plots[] = {
        {.title = "Latency by percentile",
         .unit = "ms",
         .x_name = "nines: 1 = 90 %, 2 = 99 %, 3 = 99.9 %",
         .y = by_nines,
         .arg = r,
         .series = curve,
         .series_len = 1,
         .digits = 3,
         .from_zero = true},
        {.title = "Latency over time",
         .unit = "ms",
         .x_name = "second",
         .y = second_ms,
         .arg = r,
         .series = time,
         .series_len = 3,
         .digits = 3,
         .from_zero = true},
        {.title = "Calls per second",
         .unit = "",
         .x_name = "second",
         .y = second_calls,
         .arg = r,
         .series = calls,
         .series_len = 2,
         .from_zero = true},
    };
    cczi_page_begin(out, about->title);
    put_facts(out, r, about);
    ccz_buf_put_str(out, "<div class=\"charts\">\n");
    for (size_t i = 0; i < sizeof(plots) / sizeof(plots[0]); i++)
        cczi_plot_put(out, &plots[i]);
    ccz_buf_put_str(out, "</div>\n");
    cczi_page_end(out);
}
