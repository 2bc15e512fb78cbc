/* SPDX-License-Identifier: Apache-2.0 */
#include "codec_test.h"

#include <float.h>
#include <locale.h>
#include <math.h>

/* -------------------------------------------------------------------------------------------- JSON
 */

static void test_json_read(void)
{
    static const char text[] = "{\"i\":-42,\"r\":2.5,\"s\":\"a\\u00e4\\n\",\"n\":null,\"t\":true,"
                               "\"f\":false,\"a\":[1,[],{}],\"o\":{\"z\":1,\"y\":2,\"x\":3},"
                               "\"nul\":\"a\\u0000b\"}";
    struct ccz_err err;
    CCZ_AUTO(ccz_json) j = NULL;
    CHECK(ccz_json_parse(&j, ccz_span_str(text), &err) == CCZ_OK);
    int64_t i;
    double r;
    bool b;
    CHECK(ccz_json_type(j) == CCZ_JSON_OBJECT && ccz_json_len(j) == 9);
    CHECK(ccz_json_int(&i, ccz_json_get(j, "i")) && i == -42);
    CHECK(ccz_json_real(&r, ccz_json_get(j, "i")) && r > -42.1 && r < -41.9);
    CHECK(ccz_json_real(&r, ccz_json_get(j, "r")) && r > 2.4 && r < 2.6);
    CHECK(!ccz_json_int(&i, ccz_json_get(j, "r")) && i == 0);
    CHECK(strcmp(ccz_json_str(ccz_json_get(j, "s")), "a\xc3\xa4\n") == 0);
    CHECK(ccz_json_type(ccz_json_get(j, "n")) == CCZ_JSON_NULL);
    CHECK(ccz_json_bool(&b, ccz_json_get(j, "t")) && b);
    CHECK(ccz_json_bool(&b, ccz_json_get(j, "f")) && !b);
    CHECK(!ccz_json_bool(&b, ccz_json_get(j, "i")) && !b);
    CHECK(ccz_json_str(ccz_json_get(j, "nul")) == NULL);
    CHECK(ccz_span_eq(ccz_json_bytes(ccz_json_get(j, "nul")), CCZ_SPAN("a\0b", 3)));
    const struct ccz_json *a = ccz_json_get(j, "a"), *o = ccz_json_get(j, "o");
    CHECK(ccz_json_len(a) == 3 && ccz_json_type(ccz_json_at(a, 2)) == CCZ_JSON_OBJECT);
    CHECK(ccz_json_at(a, 3) == NULL && ccz_json_at(o, 0) == NULL && ccz_json_get(a, "x") == NULL);

    static const char *const keys[] = {"z", "y", "x"}; /* document order */
    const char *key = NULL, *again;
    for (size_t k = 0; k < 3; k++) {
        const struct ccz_json *v = ccz_json_next(&key, o);
        CHECK(strcmp(key, keys[k]) == 0 && ccz_json_int(&i, v) && i == (int64_t)k + 1);
        CHECK(ccz_json_member(&again, o, k) == v && strcmp(again, key) == 0);
    }
    CHECK(ccz_json_next(&key, o) == NULL && key == NULL);
    CHECK(ccz_json_member(&again, o, 3) == NULL && again == NULL);
    CHECK(ccz_json_next(&key, a) == NULL && ccz_json_next(&key, NULL) == NULL);
    /* look-ups on nothing */
    CHECK(ccz_json_get(ccz_json_get(NULL, "a"), "b") == NULL && ccz_json_at(NULL, 0) == NULL);
    CHECK(ccz_json_len(NULL) == 0 && ccz_json_str(NULL) == NULL && ccz_json_bytes(NULL).size == 0);
    CHECK(!ccz_json_int(&i, NULL) && !ccz_json_real(&r, NULL) && !ccz_json_bool(&b, NULL));
    CHECK(ccz_json_type(NULL) == CCZ_JSON_NULL);
    ccz_json_free(NULL);
    for (size_t cut = 0; cut + 1 < sizeof(text); cut++) {
        struct ccz_json *part;
        CHECK(ccz_json_parse(&part, CCZ_SPAN(text, cut), &err) == CCZ_E_FORMAT && !part);
        CHECK(strcmp(err.where, "json:parse") == 0);
    }
}

static void test_json_strict(void)
{
    static const char *const bad[] = {
        "",
        " ",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"\\u0061\":2}",
        "[1]x",
        "[1] [2]",
        "[1,]",
        "{\"a\":1,}",
        "[NaN]",
        "[Infinity]",
        "[-Infinity]",
        "[nan]",
        "[01]",
        "[+1]",
        "[.5]",
        "[1.]",
        "[0x1]",
        "['a']",
        "[\"\xff\"]",
        "[\"\xc0\x80\"]",
        "[\"\xed\xa0\x80\"]",
        "[\"\\ud800\"]",
        "[\"\\x\"]",
        "[\"a\nb\"]",
        "{\"a\\u0000\":1}",
        "{a:1}",
        "[9223372036854775808]",
        "[1e999]",
        "// c\n1",
        "\xef\xbb\xbf[1]",
        "[true false]",
        "[\"",
        "{\"a\"}",
        "tru",
    };
    static const char *const good[] = {
        "1",
        "\"x\"",
        "null",
        " [ ] ",
        "[9223372036854775807,-9223372036854775808]",
        "[-0.0,1e2,1E-2]",
        "[\"\\ud83d\\ude00\\/\"]",
        "{\"\":0}",
    };
    struct ccz_err err;
    struct ccz_json *j;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK(ccz_json_parse(&j, ccz_span_str(bad[i]), &err) == CCZ_E_FORMAT && !j);
        CHECK(strcmp(err.where, "json:parse") == 0);
    }
    CHECK(ccz_json_parse(&j, CCZ_SPAN("[1\0]", 4), &err) == CCZ_E_FORMAT && err.aux == 2);
    CHECK(ccz_json_parse(&j, CCZ_SPAN("1\0", 2), &err) == CCZ_E_FORMAT);
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        CHECK(ccz_json_parse(&j, ccz_span_str(good[i]), &err) == CCZ_OK);
        ccz_json_free(j);
    }
    /* the message tells where, never what: the text may hold a secret */
    CHECK(ccz_json_parse(&j, ccz_span_str("{\n \"k\": hunter2}"), &err) == CCZ_E_FORMAT);
    CHECK(strstr(err.msg, "line 2") && !strstr(err.msg, "hunter2") && err.aux >= 8);

    char deep[200];
    for (size_t n = 63; n <= 66; n++) { /* brackets in strings do not count */
        size_t at = 0;
        for (size_t i = 0; i < n; i++)
            deep[at++] = '[';
        memcpy(deep + at, "\"\\\"[[[\"", 7);
        at += 7;
        for (size_t i = 0; i < n; i++)
            deep[at++] = ']';
        ccz_rc rc = ccz_json_parse(&j, CCZ_SPAN(deep, at), &err);
        CHECK(rc == (n <= 64 ? CCZ_OK : CCZ_E_LIMIT));
        if (rc != CCZ_OK)
            CHECK(strcmp(err.where, "json:depth") == 0 && err.aux == 64);
        ccz_json_free(j);
    }
}

static void test_json_raw(void)
{
    static const char text[] = " { \"s\" : \"a\\\"}\" ,\"n\":-1.5e3 , "
                               "\"o\":{\"n\":[1,\"]\"],\"o\":{}}, \"a\": [ ] ,\"t\":true,"
                               "\"\\u0065\":1,\"last\":null} ";
    static const char *const want[][2] = {
        {"s", "\"a\\\"}\""},
        {"n", "-1.5e3"},
        {"o", "{\"n\":[1,\"]\"],\"o\":{}}"},
        {"a", "[ ]"},
        {"t", "true"},
        {"last", "null"},
        {"e", ""},
        {"\\u0065", "1"},
        {"x", ""},
        {"", ""},
    };
    for (size_t i = 0; i < sizeof(want) / sizeof(*want); i++)
        CHECK(span_is(ccz_json_raw_member(ccz_span_str(text), want[i][0]), want[i][1]));
    CHECK(ccz_json_raw_member(ccz_span_str("[1]"), "a").size == 0);
    CHECK(ccz_json_raw_member(ccz_span_str("{}"), "a").size == 0);
    CHECK(ccz_json_raw_member(ccz_span_str("1"), "a").size == 0);
    /* never beyond the text, whatever it is */
    for (size_t cut = 0; cut < sizeof(text); cut++) {
        char *copy = malloc(cut + 1);
        CHECK(copy != NULL);
        memcpy(copy, text, cut);
        struct ccz_span raw = ccz_json_raw_member(CCZ_SPAN(copy, cut), "last");
        CHECK(raw.size <= 4);
        free(copy);
    }
}

static void check_float(float v, const char *want)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100);
    ccz_json_put_float(&b, v);
    CHECK(span_is(ccz_buf_span(&b), want));
}

static void check_double(double v, const char *want)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100);
    ccz_json_put_double(&b, v);
    CHECK(span_is(ccz_buf_span(&b), want));
}

static void check_round_trip(double v)
{
    CCZ_AUTO_BUF b;
    CCZ_AUTO(ccz_json) j = NULL;
    double back;
    ccz_buf_init(&b, 100);
    ccz_json_put_double(&b, v);
    CHECK(ccz_json_parse(&j, ccz_buf_span(&b), NULL) == CCZ_OK &&
          ccz_json_type(j) == CCZ_JSON_REAL);
    CHECK(ccz_json_real(&back, j) && memcmp(&back, &v, sizeof(v)) == 0);
}

static void test_json_numbers(void)
{
    check_float(0.1f, "0.1");
    check_float(1.0f, "1.0");
    check_float(-0.0f, "-0.0");
    check_float(16777216.0f, "16777216.0");
    check_float(1.0f / 3, "0.33333334");
    check_float(FLT_MAX, "3.4028235e38");
    check_float(FLT_MIN, "1.1754944e-38");
    check_float(1e-45f, "1e-45"); /* the smallest, subnormal */
    check_float(NAN, "NaN");
    check_float(INFINITY, "Infinity");
    check_float(-INFINITY, "-Infinity");
    check_double(0, "0.0");
    check_double(0.1, "0.1");
    check_double(0.3 - 0.1, "0.19999999999999998");
    check_double(100, "100.0");
    check_double(123456.75, "123456.75");
    check_double(1e15, "1000000000000000.0");
    check_double(1e16, "1e16");
    check_double(-1.5e300, "-1.5e300");
    check_double(0.00001, "0.00001");
    check_double(0.000001, "1e-6");
    check_double(0.000012345, "0.000012345");
    check_double(DBL_MAX, "1.7976931348623157e308");
    check_double(5e-324, "5e-324");
    check_double((double)NAN, "NaN");
    uint64_t x = 88172645463325252u; /* xorshift: any bit pattern that is finite */
    for (int i = 0; i < 20000; i++) {
        double v;
        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        memcpy(&v, &x, sizeof(v));
        if (isfinite(v))
            check_round_trip(v);
        float f = (float)(x >> 40) / 4096;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 100);
        ccz_json_put_float(&b, f);
        float back = strtof(ccz_buf_str(&b), NULL);
        CHECK(memcmp(&back, &f, sizeof(f)) == 0);
    }
}

/* A comma as decimal point must not reach the text. */
static void test_json_locale(void)
{
    if (!setlocale(LC_NUMERIC, "de_DE.UTF-8") && !setlocale(LC_NUMERIC, "fr_FR.UTF-8"))
        exit(77); /* no such locale on this machine */
    check_double(1.5, "1.5");
    check_round_trip(0.3);
    CHECK(setlocale(LC_NUMERIC, "C"));
}

static void test_json_strings(void)
{
    static const char *const cases[][2] = {
        {"", "\"\""},
        {"plain \xc3\xa4 \xf0\x9f\x98\x80", "\"plain \xc3\xa4 \xf0\x9f\x98\x80\""},
        {"\"\\/\b\f\n\r\t\x01\x1f\x7f", "\"\\\"\\\\/\\b\\f\\n\\r\\t\\u0001\\u001f\\u007f\""},
        {"a\xff"
         "b",
         "\"a\xef\xbf\xbd"
         "b\""},
        {"\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""},                 /* overlong NUL */
        {"\xed\xa0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
        {"\xf4\x90\x80\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""},
        {"\xe2\x82", "\"\xef\xbf\xbd\xef\xbf\xbd\""}, /* cut off */
        {"\xf4\x8f\xbf\xbf", "\"\xf4\x8f\xbf\xbf\""}, /* the last one */
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        CCZ_AUTO_BUF b;
        CCZ_AUTO(ccz_json) j = NULL;
        ccz_buf_init(&b, 100);
        ccz_json_put_str(&b, ccz_span_str(cases[i][0]));
        CHECK(span_is(ccz_buf_span(&b), cases[i][1]));
        CHECK(ccz_json_parse(&j, ccz_buf_span(&b), NULL) == CCZ_OK);
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 100);
    ccz_json_put_str(&b, CCZ_SPAN("a\0b", 3));
    CHECK(span_is(ccz_buf_span(&b), "\"a\\u0000b\""));
}

static const struct ccz_test tests[] = {
    {"json.read", test_json_read},       {"json.strict", test_json_strict},
    {"json.raw", test_json_raw},         {"json.numbers", test_json_numbers},
    {"json.strings", test_json_strings}, {"json.locale", test_json_locale}, /* last: it may skip */
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
