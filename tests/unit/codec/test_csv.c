/* SPDX-License-Identifier: Apache-2.0 */
#include "codec_test.h"

#include <float.h>
#include <locale.h>
#include <math.h>

static struct ccz_csv *open_text(const char *text, const struct ccz_csv_cfg *cfg)
{
    struct ccz_csv *c = NULL;
    CHECK(ccz_csv_new_mem(&c, ccz_span_str(text), cfg, NULL) == CCZ_OK);
    return c;
}

static void test_csv_read(void)
{
    CCZ_AUTO(ccz_csv)
    c = open_text("\xef\xbb\xbfname,\"value \"\"x\"\"\"\r\n\"two\nlines\",\n,\"a,b\"", NULL);
    static const char *const want[3][2] = {
        {"name", "value \"x\""}, {"two\nlines", ""}, {"", "a,b"}};
    static const uint64_t lines[] = {1, 2, 4};
    CHECK(ccz_csv_len(c) == 0 && ccz_csv_field(c, 0).size == 0);
    for (size_t i = 0; i < 3; i++) {
        CHECK(ccz_csv_next(c, NULL) == CCZ_OK && ccz_csv_len(c) == 2);
        CHECK(span_is(ccz_csv_field(c, 0), want[i][0]) && span_is(ccz_csv_field(c, 1), want[i][1]));
        CHECK(ccz_csv_field(c, 2).ptr == NULL && ccz_csv_line(c) == lines[i]);
    }
    struct ccz_err err;
    CHECK(ccz_csv_next(c, &err) == CCZ_E_NOT_FOUND && strcmp(err.where, "csv:end") == 0);
    CHECK(ccz_csv_next(c, &err) == CCZ_E_NOT_FOUND && ccz_csv_len(c) == 0);
    CCZ_AUTO(ccz_csv) semi = open_text("1;2,5;\"x;\"\n", &(struct ccz_csv_cfg){.delimiter = ';'});
    CHECK(ccz_csv_next(semi, NULL) == CCZ_OK && ccz_csv_len(semi) == 3);
    CHECK(span_is(ccz_csv_field(semi, 1), "2,5") && span_is(ccz_csv_field(semi, 2), "x;"));
    FILE *f = tmpfile();
    CHECK(f && fputs("x,y\n1,2\n", f) >= 0 && fseek(f, 0, SEEK_SET) == 0);
    CCZ_AUTO(ccz_csv) from_file = NULL;
    CHECK(ccz_csv_new(&from_file, ccz_csv_from_file, f, NULL, NULL) == CCZ_OK);
    CHECK(ccz_csv_next(from_file, NULL) == CCZ_OK && ccz_csv_next(from_file, NULL) == CCZ_OK);
    CHECK(span_is(ccz_csv_field(from_file, 1), "2"));
    CHECK(ccz_csv_next(from_file, NULL) == CCZ_E_NOT_FOUND && fclose(f) == 0);
    CCZ_AUTO(ccz_csv) none = open_text("", NULL);
    CHECK(ccz_csv_next(none, NULL) == CCZ_E_NOT_FOUND);
}

/* Each text has one good record in front of what is refused. */
static void test_csv_strict(void)
{
    static const struct {
        const char *text, *where;
        int64_t line;
    } cases[] = {
        {"a,b\n1\n", "csv:fields", 2},          {"a,b\n1,2,3\n", "csv:fields", 2},
        {"a,b\n\n1,2\n", "csv:empty-line", 2},  {"a\n\r\n", "csv:empty-line", 2},
        {"a\n\"\n\"\n\n", "csv:empty-line", 4}, {"a,b\n1,x\"y\n", "csv:quote", 2},
        {"a,b\n1,\"x\"y\n", "csv:quote", 2},    {"a,b\n1,\"x\" \n", "csv:quote", 2},
        {"a,b\n1,\"x\n2,3\n", "csv:quote", 2},  {"a,b\n1,2\r3,4\n", "csv:line-end", 2},
        {"a,b\n1,2\r", "csv:line-end", 2},      {"a\nb\xff\n", "csv:text", 2},
        {"a\n\xc0\xaf\n", "csv:text", 2},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CCZ_AUTO(ccz_csv) c = open_text(cases[i].text, NULL);
        struct ccz_err err = {0}, again = {0};
        ccz_rc rc;
        size_t good = 0;
        while ((rc = ccz_csv_next(c, &err)) == CCZ_OK)
            good++;
        CHECK(rc == CCZ_E_FORMAT && strcmp(err.where, cases[i].where) == 0);
        CHECK(err.aux == cases[i].line && good >= 1 && ccz_csv_len(c) == 0);
        CHECK(ccz_csv_next(c, &again) == rc && strcmp(again.where, err.where) == 0);
    }
    CCZ_AUTO(ccz_csv) nul = NULL;
    CHECK(ccz_csv_new_mem(&nul, CCZ_SPAN("a\0b\n", 4), NULL, NULL) == CCZ_OK);
    struct ccz_err err;
    CHECK(ccz_csv_next(nul, &err) == CCZ_E_FORMAT && strcmp(err.where, "csv:text") == 0);
}

struct drip {
    const char *text;
    size_t left, step, fail_after;
};

static ptrdiff_t drip(void *arg, void *to, size_t size)
{
    struct drip *d = arg;
    if (d->fail_after-- == 0)
        return -1;
    size_t n = d->step < d->left ? d->step : d->left;
    CHECK(n <= size);
    memcpy(to, d->text, n);
    d->text += n;
    d->left -= n;
    return (ptrdiff_t)n;
}

/* However the text arrives, and wherever it is cut: the same whole records, then the end or an error. */
static void test_csv_chunks(void)
{
    static const char text[] = "\xef\xbb\xbfx,yy\r\n\"a\r\nb\",2\n3,\"\"\"\"\n";
    static const size_t ends[] = {9, 18, sizeof(text) - 1};
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        for (size_t step = 1; step < 7; step++) {
            struct drip d = {text, cut, step, SIZE_MAX};
            CCZ_AUTO(ccz_csv) c = NULL;
            CHECK(ccz_csv_new(&c, drip, &d, NULL, NULL) == CCZ_OK);
            size_t good = 0;
            while (ccz_csv_next(c, NULL) == CCZ_OK && ccz_csv_len(c) == 2)
                good++;
            size_t whole = 0;
            while (whole < 3 && ends[whole] <= cut)
                whole++;
            CHECK(good >= whole &&
                  good <= whole + 1); /* what was cut may read as a shorter record */
        }
    }
    struct drip d = {text, sizeof(text) - 1, 4, 3};
    CCZ_AUTO(ccz_csv) c = NULL;
    struct ccz_err err;
    CHECK(ccz_csv_new(&c, drip, &d, NULL, NULL) == CCZ_OK && ccz_csv_next(c, NULL) == CCZ_OK);
    CHECK(ccz_csv_next(c, &err) == CCZ_E_IO && strcmp(err.where, "csv:read") == 0 && err.aux == 2);
}

static void test_csv_limits(void)
{
    struct ccz_csv_cfg cfg = {.record_size_max = 8, .fields_max = 3};
    struct ccz_err err;
    CCZ_AUTO(ccz_csv) exact = open_text("12345678\nab\n", &cfg);
    CHECK(ccz_csv_next(exact, NULL) == CCZ_OK && ccz_csv_next(exact, NULL) == CCZ_OK);
    CCZ_AUTO(ccz_csv) size = open_text("ab\n123456789\n", &cfg);
    CHECK(ccz_csv_next(size, NULL) == CCZ_OK && ccz_csv_next(size, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "csv:record-size") == 0 && err.aux == 2);
    CCZ_AUTO(ccz_csv) fields = open_text("1,2,3,4\n", &cfg);
    CHECK(ccz_csv_next(fields, &err) == CCZ_E_LIMIT && strcmp(err.where, "csv:fields-max") == 0);

    static char quotes[200000]; /* a record that does not end is cut off */
    memset(quotes, 'x', sizeof(quotes));
    quotes[0] = '"';
    struct drip endless = {quotes, sizeof(quotes), 1000, 150};
    CCZ_AUTO(ccz_csv) c = NULL;
    CHECK(ccz_csv_new(&c, drip, &endless, &(struct ccz_csv_cfg){.record_size_max = 100000}, NULL) ==
          CCZ_OK);
    CHECK(ccz_csv_next(c, &err) == CCZ_E_LIMIT && strcmp(err.where, "csv:record-size") == 0);
    CHECK(endless.left >= sizeof(quotes) - 101000);

    CCZ_AUTO_BUF many; /* more fields than fit at first */
    ccz_buf_init(&many, 10000);
    for (int i = 0; i < 1000; i++)
        ccz_buf_printf(&many, "%s%d", i ? "," : "", i);
    CCZ_AUTO(ccz_csv) wide = open_text(ccz_buf_str(&many), NULL);
    double v;
    CHECK(ccz_csv_next(wide, NULL) == CCZ_OK && ccz_csv_len(wide) == 1000);
    CHECK(ccz_csv_num(&v, wide, 999, NULL) == CCZ_OK && v == 999.0);
}

static ccz_rc number(double *v, const char *text, struct ccz_err *err)
{
    CCZ_AUTO(ccz_csv) c = open_text(text, NULL);
    CHECK(ccz_csv_next(c, NULL) == CCZ_OK);
    return ccz_csv_num(v, c, 0, err);
}

/* Middles between two doubles and their neighbours in the last digit: where rounding twice would show. */
static void check_middles(void)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, 1 << 23);
    for (int i = 0; i < 20000; i++) {
        double a = ldexp(1.0 + (double)((unsigned)i * 2654435761u) / 4294967296.0, i % 60 - 30);
        double ulp = ldexp(DBL_EPSILON, i % 60 - 30);
        for (int digits = 15; digits <= 19; digits++)
            ccz_buf_printf(&text, "%.*Le\n", digits - 1,
                           (long double)a + (long double)ulp / 2 * (i % 3));
    }
    CHECK(!text.bad);
    CCZ_AUTO(ccz_csv) c = NULL;
    CHECK(ccz_csv_new_mem(&c, ccz_buf_span(&text), NULL, NULL) == CCZ_OK);
    size_t lines = 0;
    for (; ccz_csv_next(c, NULL) == CCZ_OK; lines++) {
        double v;
        struct ccz_span f = ccz_csv_field(c, 0); /* ends at the line feed, where strtod() stops */
        CHECK(ccz_csv_num(&v, c, 0, NULL) == CCZ_OK && v == strtod((const char *)f.ptr, NULL));
    }
    CHECK(lines == 100000);
    static const char *const hard[] = {"9007199254740993", /* 2^53 + 1: the middle, to even */
                                       "9007199254740993.0000001",
                                       "9007199254740992.9999999",
                                       "0.1000000000000000055511151231257827",
                                       "1e23",
                                       "8.5e23",
                                       "2.2250738585072011e-308",
                                       "179769313486231570814527423731704356798070e267",
                                       "123456789012345678901234567890e-40"};
    for (size_t i = 0; i < sizeof(hard) / sizeof(*hard); i++) {
        double v;
        CHECK(number(&v, hard[i], NULL) == CCZ_OK && v == strtod(hard[i], NULL));
    }
}

static void test_csv_numbers(void)
{
    static const struct {
        const char *text;
        double want;
    } good[] = {
        {"0", 0.0},
        {"-0.0", -0.0},
        {"+1", 1.0},
        {"007.50", 7.5},
        {".5", 0.5},
        {"5.", 5.0},
        {"1e3", 1000.0},
        {"-1.25E-2", -0.0125},
        {"\"12\"", 12.0},
        {"1e-400", 0.0},
        {"5e-324", 5e-324},
        {"0e99999999999", 0.0},
        {"1.7976931348623157e308", DBL_MAX},
    };
    double v;
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        CHECK(number(&v, good[i].text, NULL) == CCZ_OK && v == good[i].want);
        CHECK(signbit(v) == signbit(good[i].want));
    }
    static const char *const bad[] = {"\"\"",  " 1",  "1 ",    "-",     ".",   "e5",
                                      "1e",    "1e+", "--1",   "0x1",   "inf", "nan",
                                      "1e309", "1_0", "1.2.3", "1e5.0", "1d5"};
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        v = 7;
        CHECK(number(&v, bad[i], &err) == CCZ_E_FORMAT && v == 0);
        CHECK(strcmp(err.where, "csv:number") == 0 && err.aux == 1);
    }
    CCZ_AUTO(ccz_csv) c = open_text("1,x", NULL);
    CHECK(ccz_csv_next(c, NULL) == CCZ_OK && ccz_csv_num(&v, c, 1, &err) == CCZ_E_FORMAT);
    CHECK(strstr(err.msg, "column 2") && !strstr(err.msg, "x "));
    CHECK(ccz_csv_num(&v, c, 2, NULL) == CCZ_E_FORMAT); /* no such field */
    CHECK(ccz_decimal(&v, ccz_span_str("-2.5e1")) && v == -25);
    CHECK(!ccz_decimal(&v, ccz_span_str("2.5 ")) && v == 0 && !ccz_decimal(&v, CCZ_SPAN(NULL, 0)));
    char big[402];
    memset(big, '1', sizeof(big) - 1);
    big[401] = 0;
    CHECK(number(&v, big, NULL) == CCZ_E_FORMAT);
    check_middles();
}

static void test_csv_locale(void)
{
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
        exit(77); /* no such locale on this machine */
    double v;
    CHECK(number(&v, "1.5", NULL) == CCZ_OK && v == 1.5);
    CHECK(number(&v, "0.1000000000000000055511151231257827", NULL) == CCZ_OK && v == 0.1);
    CHECK(setlocale(LC_NUMERIC, "C"));
}

static const struct ccz_test tests[] = {
    {"csv.read", test_csv_read},       {"csv.strict", test_csv_strict},
    {"csv.chunks", test_csv_chunks},   {"csv.limits", test_csv_limits},
    {"csv.numbers", test_csv_numbers}, {"csv.locale", test_csv_locale}, /* last: it may skip */
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
