/* SPDX-License-Identifier: Apache-2.0 */
/* Pages of rounds, and records from lines of JSON. */
#define _DEFAULT_SOURCE
#include "ccz_test.h"

#include <cczoo/fl_report.h>

#include <math.h>

enum { ROUNDS = 5, PAGE_MAX = 1 << 20 };

static struct ccz_fl_record record(uint64_t round)
{
    struct ccz_fl_record r = {
        .round = round,
        .attempt = 1,
        .selected = 10,
        .delivered = 9,
        .dropped = 1,
        .samples = 6000 * round,
        .train = {.samples = 100, .loss = 1.0 / (double)round, .accuracy = 0.5},
        .base_eval = {.loss = NAN, .accuracy = NAN},
        .eval = {.samples = 10000,
                 .loss = 2.0 / (double)round,
                 .accuracy = 0.8 + 0.01 * (double)round},
        .update_norm = 0.25,
        .norm_mean = 0.5,
        .norm_max = 0.75,
        .sent_size = UINT64_C(5000000000) + round,
        .received_size = 7,
        .wait_ms = 1,
        .apply_ms = 2,
        .duration_ms = 1500,
        .epsilon = -1};
    memset(r.digest, (int)round, sizeof(r.digest));
    return r;
}

static void put(struct ccz_buf *out, const struct ccz_fl_record *r)
{
    ccz_fl_record_json(out, r);
    ccz_buf_put_str(out, "\n");
}

static bool same_real(double a, double b)
{
    return a == b || (isnan(a) && isnan(b));
}

static bool same_metrics(const struct ccz_fl_metrics *a, const struct ccz_fl_metrics *b)
{
    return a->samples == b->samples && (a->samples == 0 || (same_real(a->loss, b->loss) &&
                                                            same_real(a->accuracy, b->accuracy)));
}

static void test_records(void)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, PAGE_MAX);
    struct ccz_fl_record in[ROUNDS], *out;
    size_t len;
    ccz_buf_put_str(&text, "{\"run\":{\"model\":\"lenet\"}}\n\n");
    for (size_t i = 0; i < ROUNDS; i++) {
        in[i] = record(i + 1);
        if (i == 2) { /* what is not known */
            in[i].train.loss = NAN;
            in[i].eval.samples = 0;
            in[i].norm_mean = INFINITY;
            in[i].epsilon = 1.5;
            in[i].delta = 1e-5;
        }
        put(&text, &in[i]);
    }
    in[2].norm_mean = NAN;
    text.size--; /* the end of the last line is no matter */
    CHECK(ccz_fl_records_parse(&out, &len, ccz_buf_span(&text), NULL) == CCZ_OK && len == ROUNDS);
    for (size_t i = 0; i < ROUNDS; i++) {
        CHECK(out[i].round == i + 1 && out[i].selected == 10 && out[i].delivered == 9 &&
              out[i].dropped == 1 && out[i].refused == 0 && out[i].attempt == 1);
        CHECK(out[i].samples == in[i].samples && out[i].sent_size == in[i].sent_size &&
              out[i].received_size == 7 && out[i].duration_ms == 1500 && out[i].wait_ms == 1 &&
              out[i].apply_ms == 2);
        CHECK(same_metrics(&out[i].train, &in[i].train) &&
              same_metrics(&out[i].eval, &in[i].eval) &&
              same_metrics(&out[i].base_eval, &in[i].base_eval));
        CHECK(same_real(out[i].norm_mean, in[i].norm_mean) && out[i].norm_max == 0.75 &&
              out[i].update_norm == 0.25 && out[i].epsilon == in[i].epsilon);
        CHECK(memcmp(out[i].digest, in[i].digest, sizeof(in[i].digest)) == 0);
    }
    free(out);
}

/* A run that was killed and went on behind a checkpoint logs some rounds twice. */
static void test_resumed(void)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, PAGE_MAX);
    const uint64_t rounds[] = {1, 2, 3, 4, 3, 4, 5};
    struct ccz_fl_record *out;
    size_t len;
    for (size_t i = 0; i < 7; i++) {
        struct ccz_fl_record r = record(rounds[i]);
        r.samples = i;
        put(&text, &r);
    }
    CHECK(ccz_fl_records_parse(&out, &len, ccz_buf_span(&text), NULL) == CCZ_OK && len == 5);
    for (size_t i = 0; i < 5; i++)
        CHECK(out[i].round == i + 1 && out[i].samples == (i < 2 ? i : i + 2));
    free(out);
}

static void refuses(const char *text, const char *where)
{
    struct ccz_fl_record *out;
    size_t len = 1;
    struct ccz_err err = {0};
    CHECK(ccz_fl_records_parse(&out, &len, ccz_span_str(text), &err) == CCZ_E_FORMAT);
    CHECK(!out && len == 0 && strncmp(err.where, where, strlen(where)) == 0);
}

static void test_refuse(void)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, PAGE_MAX);
    const struct ccz_fl_record r = record(1);
    ccz_fl_record_json(&text, &r);
    for (size_t size = 1; size < text.size; size++) { /* cut anywhere */
        struct ccz_fl_record *out;
        size_t len;
        CHECK(ccz_fl_records_parse(&out, &len, CCZ_SPAN(text.ptr, size), NULL) == CCZ_E_FORMAT);
    }
    static const char *const fields[] = {"attempt",  "selected",  "delivered",   "dropped",
                                         "refused",  "samples",   "update_norm", "norm_mean",
                                         "norm_max", "staleness", "sent_bytes",  "received_bytes",
                                         "wait_ms",  "apply_ms",  "duration_ms", "digest"};
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) { /* a field of another name */
        char *copy = strdup(ccz_buf_str(&text)), *at = strstr(copy, fields[i]);
        CHECK(copy && at);
        at[0] = 'X';
        refuses(copy, "fl:record");
        free(copy);
    }
    for (int i = 0; i < 2; i++) { /* a digest that is none: another character, or too short */
        char *copy = strdup(ccz_buf_str(&text)), *at = strstr(copy, "digest\":\"");
        CHECK(copy && at);
        at += strlen("digest\":\"");
        if (i == 0)
            at[5] = 'g';
        else
            memmove(at, at + 1, strlen(at));
        refuses(copy, "fl:record");
        free(copy);
    }
    refuses("{\"round\":-1}", "fl:record");
    refuses("{\"round\":\"1\"}", "fl:record");
    refuses("round 1", "json:");
    struct ccz_fl_record *out;
    size_t len;
    CHECK(ccz_fl_records_parse(&out, &len, ccz_span_str(""), NULL) == CCZ_OK && len == 0);
    free(out);
}

/* ---------------------------------------------------------------------------------------- page */

/* Every element that is opened is closed, in order. */
static void check_nesting(const char *page)
{
    char stack[64][16];
    size_t depth = 0;
    CHECK(strncmp(page, "<!DOCTYPE html>", 15) == 0);
    for (const char *at = strchr(page + 1, '<'); at; at = strchr(at + 1, '<')) {
        const char *end = strchr(at, '>');
        CHECK(end);
        const bool closing = at[1] == '/';
        char name[16] = {0};
        for (size_t i = 0; i < sizeof(name) - 1 && at[1 + closing + i] >= '0'; i++) {
            if (at[1 + closing + i] == '>' || at[1 + closing + i] == '/')
                break;
            name[i] = at[1 + closing + i];
        }
        if (closing) {
            CHECK(depth > 0 && strcmp(stack[depth - 1], name) == 0);
            depth--;
        } else if (end[-1] != '/' && strcmp(name, "meta") != 0) {
            CHECK(depth < 64);
            memcpy(stack[depth++], name, sizeof(name));
        }
    }
    CHECK(depth == 0);
}

static size_t count(const char *text, const char *what)
{
    size_t n = 0;
    for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
        n++;
    return n;
}

static void test_page(void)
{
    CCZ_AUTO_BUF page;
    ccz_buf_init(&page, PAGE_MAX);
    struct ccz_fl_record a[ROUNDS], b[200];
    for (size_t i = 0; i < ROUNDS; i++)
        a[i] = record(i + 1);
    for (size_t i = 0; i < 200; i++)
        b[i] = record(i + 1);
    a[2].eval.samples = 0; /* a gap */
    const struct ccz_fl_report_series series[] = {{"FedAvg & <b>", a, ROUNDS}, {"long", b, 200}};
    const struct ccz_fl_report_line lines[] = {{"central \"all\"", 0.9, NAN}};
    const struct ccz_fl_report_fact facts[] = {{"model", "<lenet>"}};
    const struct ccz_fl_report r = {.title = "<script>alert('x')</script>",
                                    .series = series,
                                    .series_len = 2,
                                    .lines = lines,
                                    .lines_len = 1,
                                    .facts = facts,
                                    .facts_len = 1};
    CHECK(ccz_fl_report_html(&page, &r, NULL) == CCZ_OK);
    const char *text = ccz_buf_str(&page);
    check_nesting(text);
    CHECK(!strstr(text, "<script") && strstr(text, "&lt;script&gt;alert(&#39;x&#39;)"));
    CHECK(strstr(text, "FedAvg &amp; &lt;b&gt;") && strstr(text, "&lt;lenet&gt;"));
    CHECK(!strstr(text, "http") && !strstr(text, "src=") && !strstr(text, "url("));
    CHECK(!strstr(text, "nan") && !strstr(text, "inf") && !strstr(text, "NaN"));
    /* accuracy, loss, training loss, norms, bytes, time; the gap cuts two curves of the first series */
    CHECK(count(text, "<svg") == 6 && count(text, "<polyline") == 6 * 2 + 2);
    CHECK(count(text, "class=\"ref\"") == 1 && strstr(text, "central &quot;all&quot;: 90.00"));
    CHECK(strstr(text, "<td>85.00</td>") && strstr(text, "<td>280.00</td>")); /* last, of each */
    CHECK(count(text, "</tr>") < 100); /* 200 rounds are not 200 rows */
}

static void test_page_more(void)
{
    CCZ_AUTO_BUF page;
    ccz_buf_init(&page, PAGE_MAX);
    struct ccz_fl_record a[ROUNDS];
    for (size_t i = 0; i < ROUNDS; i++) {
        a[i] = record(i + 1);
        a[i].delivered = (uint32_t)i;
        a[i].staleness_mean = 0.5 * (double)i;
        a[i].epsilon = (double)i;
    }
    const struct ccz_fl_report_series s = {"one", a, ROUNDS};
    const struct ccz_fl_report r = {.title = "t", .series = &s, .series_len = 1};
    CHECK(ccz_fl_report_html(&page, &r, NULL) == CCZ_OK);
    CHECK(count(ccz_buf_str(&page), "<svg") == 9);
    check_nesting(ccz_buf_str(&page));
    ccz_buf_clear(&page);
    const struct ccz_fl_report_series single = {"one", a, 1};
    const struct ccz_fl_report of_single = {.title = "t", .series = &single, .series_len = 1};
    CHECK(ccz_fl_report_html(&page, &of_single, NULL) == CCZ_OK); /* one point: axes of no length */
    check_nesting(ccz_buf_str(&page));
    CHECK(!strstr(ccz_buf_str(&page), "nan"));
}

static void test_page_refuse(void)
{
    CCZ_AUTO_BUF page;
    ccz_buf_init(&page, PAGE_MAX);
    struct ccz_err err = {0};
    const struct ccz_fl_record a = record(1);
    struct ccz_fl_report_series s[CCZ_FL_REPORT_SERIES_MAX + 1];
    for (size_t i = 0; i < CCZ_FL_REPORT_SERIES_MAX + 1; i++)
        s[i] = (struct ccz_fl_report_series){"s", &a, 1};
    struct ccz_fl_report r = {.title = "t", .series = s, .series_len = 0};
    CHECK(ccz_fl_report_html(&page, &r, &err) == CCZ_E_ARG && strcmp(err.where, "fl:report") == 0);
    r.series_len = CCZ_FL_REPORT_SERIES_MAX + 1;
    CHECK(ccz_fl_report_html(&page, &r, NULL) == CCZ_E_ARG);
    r.series_len = CCZ_FL_REPORT_SERIES_MAX;
    CHECK(ccz_fl_report_html(&page, &r, NULL) == CCZ_OK);
    r.lines_len = CCZ_FL_REPORT_LINES_MAX + 1;
    CHECK(ccz_fl_report_html(&page, &r, NULL) == CCZ_E_ARG);
    r.lines_len = 0;
    s[3].len = 0;
    CHECK(ccz_fl_report_html(&page, &r, NULL) == CCZ_E_ARG);
    r.series_len = 1;
    CCZ_AUTO_BUF small;
    ccz_buf_init(&small, 1000);
    CHECK(ccz_fl_report_html(&small, &r, &err) == CCZ_E_LIMIT &&
          strcmp(err.where, "fl:report-size") == 0);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"fl_report.records", test_records},     {"fl_report.resumed", test_resumed},
        {"fl_report.refuse", test_refuse},       {"fl_report.page", test_page},
        {"fl_report.page_more", test_page_more}, {"fl_report.page_refuse", test_page_refuse},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
