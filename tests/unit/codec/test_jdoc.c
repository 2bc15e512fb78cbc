/* SPDX-License-Identifier: Apache-2.0 */
/* JSON read in place, judged by the tree reader where both have to agree. */
#include "codec_test.h"

static struct ccz_jdoc *parse(const char *text)
{
    struct ccz_jdoc *d;
    struct ccz_err err;
    CHECK(ccz_jdoc_parse(&d, ccz_span_str(text), &err) == CCZ_OK && d != NULL);
    return d;
}

static void test_read(void)
{
    static const char text[] =
        " {\"i\":-42,\"r\":2.5e0,\"s\":\"a\xc3\xa4/\",\"e\":\"a\\n\",\"n\":null,"
        "\"t\":true,\"f\":false,\"a\":[1,[],{}, \"x\"],\"o\": {\"z\":[{\"y\":7}]} ,"
        "\"empty\":\"\"}\n";
    CCZ_AUTO(ccz_jdoc) d = parse(text);
    const struct ccz_jnode *j = ccz_jdoc_root(d);
    int64_t i;
    CHECK(ccz_jnode_type(j) == CCZ_JSON_OBJECT && ccz_jnode_len(j) == 10);
    CHECK(ccz_jnode_int(&i, ccz_jnode_get(j, "i")) && i == -42);
    CHECK(ccz_jnode_type(ccz_jnode_get(j, "r")) == CCZ_JSON_REAL);
    CHECK(!ccz_jnode_int(&i, ccz_jnode_get(j, "r")) && i == 0);
    CHECK(span_is(ccz_jnode_str(ccz_jnode_get(j, "s")), "a\xc3\xa4/"));
    CHECK(ccz_jnode_type(ccz_jnode_get(j, "e")) == CCZ_JSON_STRING);
    CHECK(ccz_jnode_str(ccz_jnode_get(j, "e")).ptr == NULL); /* escapes: checked, not decoded */
    CHECK(ccz_jnode_str(ccz_jnode_get(j, "i")).ptr == NULL);
    CHECK(ccz_jnode_str(ccz_jnode_get(j, "empty")).ptr != NULL);
    CHECK(ccz_jnode_type(ccz_jnode_get(j, "n")) == CCZ_JSON_NULL);
    CHECK(ccz_jnode_type(ccz_jnode_get(j, "t")) == CCZ_JSON_BOOL);
    CHECK(ccz_jnode_get(j, "") == NULL && ccz_jnode_get(j, "em") == NULL);
    const struct ccz_jnode *y =
        ccz_jnode_get(ccz_jnode_first(ccz_jnode_get(ccz_jnode_get(j, "o"), "z")), "y");
    CHECK(ccz_jnode_int(&i, y) && i == 7 && ccz_jnode_next(y) == NULL);

    /* the bytes as delivered */
    CHECK(span_is(ccz_jnode_raw(ccz_jnode_get(j, "o")), "{\"z\":[{\"y\":7}]}"));
    CHECK(span_is(ccz_jnode_raw(ccz_jnode_get(j, "a")), "[1,[],{}, \"x\"]"));
    CHECK(span_is(ccz_jnode_raw(ccz_jnode_get(j, "e")), "\"a\\n\""));
    CHECK(span_is(ccz_jnode_raw(ccz_jnode_get(j, "r")), "2.5e0"));
    CHECK(ccz_jnode_raw(j).size == sizeof(text) - 3); /* without the spaces around */

    static const enum ccz_json_type types[] = {CCZ_JSON_INT, CCZ_JSON_ARRAY, CCZ_JSON_OBJECT,
                                               CCZ_JSON_STRING};
    size_t n = 0;
    for (const struct ccz_jnode *v = ccz_jnode_first(ccz_jnode_get(j, "a")); v;
         v = ccz_jnode_next(v), n++)
        CHECK(n < 4 && ccz_jnode_type(v) == types[n] && ccz_jnode_key(v).size == 0);
    CHECK(n == 4 && span_is(ccz_jnode_key(ccz_jnode_first(j)), "i"));

    /* look-ups on nothing */
    CHECK(ccz_jnode_get(ccz_jnode_get(NULL, "a"), "b") == NULL && ccz_jnode_len(NULL) == 0);
    CHECK(ccz_jnode_first(NULL) == NULL && ccz_jnode_next(NULL) == NULL);
    CHECK(ccz_jnode_raw(NULL).ptr == NULL && ccz_jnode_str(NULL).ptr == NULL);
    CHECK(ccz_jnode_key(NULL).ptr == NULL && ccz_jdoc_root(NULL) == NULL);
    CHECK(ccz_jnode_get(ccz_jnode_get(j, "a"), "x") == NULL);
    ccz_jdoc_free(NULL);
    for (size_t cut = 0; cut + 2 < sizeof(text); cut++) { /* all but the final line end */
        struct ccz_jdoc *part;
        struct ccz_err err;
        char *copy = malloc(cut + 1); /* of exactly that size: reads behind it show */
        CHECK(copy != NULL);
        memcpy(copy, text, cut);
        CHECK(ccz_jdoc_parse(&part, CCZ_SPAN(copy, cut), &err) == CCZ_E_FORMAT && !part);
        CHECK(strcmp(err.where, "json:parse") == 0 && err.aux <= (int64_t)cut);
        free(copy);
    }
}

static void test_strict(void)
{
    static const char *const bad[] = {
        "",
        " ",
        "{\"a\":1,\"a\":2}",
        "{\"a\":1,\"b\":{\"a\":1},\"c\":[],\"a\":2}",
        "{\"a\":1,\"\\u0062\":2}", /* the tree reader takes it */
        "[1]x",
        "[1] [2]",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{\"a\":1]",
        "{\"a\":1,}",
        "{,}",
        "{\"a\" 1}",
        "{\"a\":}",
        "{1:1}",
        "[NaN]",
        "[Infinity]",
        "[nul]",
        "[truefalse]",
        "[01]",
        "[-]",
        "[-01]",
        "[+1]",
        "[.5]",
        "[1.]",
        "[1.e5]",
        "[1e]",
        "[1e+]",
        "[0x1]",
        "['a']",
        "[\"\xff\"]",
        "[\"\xc0\x80\"]",
        "[\"\xed\xa0\x80\"]",
        "[\"\xe2\x82\"]",
        "[\"\\ud800\"]",
        "[\"\\ud800\\u0041\"]",
        "[\"\\udc00\"]",
        "[\"\\u00g0\"]",
        "[\"\\x\"]",
        "[\"a\nb\"]",
        "[18446744073709551616]",
        "[18446744073709551620]",
        "[-9223372036854775809]",
        "[-18446744073709551615]",
        "[99999999999999999999]",
        "// c\n1",
        "\xef\xbb\xbf[1]",
        "[true false]",
        "[\"",
        "{\"a\"}",
        "tru",
        "]",
        "}",
        "\v1",
    };
    struct ccz_err err;
    struct ccz_jdoc *d;
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK(ccz_jdoc_parse(&d, ccz_span_str(bad[i]), &err) == CCZ_E_FORMAT && !d);
        CHECK(strcmp(err.where, "json:parse") == 0);
    }
    CHECK(ccz_jdoc_parse(&d, CCZ_SPAN("[\"a\0b\"]", 7), &err) == CCZ_E_FORMAT);
    CHECK(ccz_jdoc_parse(&d, CCZ_SPAN("1\0", 2), &err) == CCZ_E_FORMAT);
    static const char *const good[] = {
        "1",
        "\"x\"",
        "null",
        " [ ] ",
        "{ }",
        "[9223372036854775807,-9223372036854775808,-0]",
        "[9223372036854775808,18446744073709551615]",
        "[-0.0,1e2,1E-2,0.5e+3]",
        "[\"\\ud83d\\ude00\\/\\\"\\u0000\"]",
        "{\"\":0,\"a\":{\"a\":[{\"a\":1},{\"a\":1}]}}",
        "[1e999]", /* only its form counts */
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
        CHECK(ccz_jdoc_parse(&d, ccz_span_str(good[i]), &err) == CCZ_OK);
        ccz_jdoc_free(d);
    }
    /* the message tells where, never what */
    CHECK(ccz_jdoc_parse(&d, ccz_span_str("{\n \"k\": hunter2}"), &err) == CCZ_E_FORMAT);
    CHECK(strstr(err.msg, "byte 8") && !strstr(err.msg, "hunter2") && err.aux == 8);
}

/* To the last bit, on both sides of 2^53 and 2^63. */
static void test_uint(void)
{
    static const struct {
        const char *text;
        uint64_t value;
        bool is_uint, is_int;
    } t[] = {
        {"0", 0, true, true},
        {"-0", 0, true, true},
        {"-1", 0, false, true},
        {"9007199254740993", 9007199254740993, true, true},
        {"9223372036854775807", INT64_MAX, true, true},
        {"9223372036854775808", (uint64_t)INT64_MAX + 1, true, false},
        {"18446744073709551614", UINT64_MAX - 1, true, false},
        {"18446744073709551615", UINT64_MAX, true, false},
        {"1.0", 0, false, false},
        {"\"1\"", 0, false, false},
    };
    for (size_t i = 0; i < sizeof(t) / sizeof(*t); i++) {
        CCZ_AUTO(ccz_jdoc) d = NULL;
        uint64_t u = 1;
        int64_t n = 1;
        CHECK(ccz_jdoc_parse(&d, ccz_span_str(t[i].text), NULL) == CCZ_OK);
        CHECK(ccz_jnode_uint(&u, ccz_jdoc_root(d)) == t[i].is_uint && u == t[i].value);
        CHECK(ccz_jnode_int(&n, ccz_jdoc_root(d)) == t[i].is_int && (t[i].is_int || n == 0));
    }
}

/* Damaged documents: both readers take the same ones. */
static void test_same(void)
{
    static const char text[] =
        "{\"a\":[1,-2,{\"c\":\"x\xc3\xa4\",\"d\":null}],\"bb\":1.5e3,\"b\":\"\"}";
    static const char put[] = "\"\\{}[]:,019-+.eEtfnu \x01\x80\xc3/";
    size_t both = 0;
    for (size_t at = 0; at + 1 < sizeof(text); at++) {
        for (size_t p = 0; p + 1 < sizeof(put); p++) {
            char copy[sizeof(text)];
            memcpy(copy, text, sizeof(text));
            copy[at] = put[p];
            struct ccz_span s = CCZ_SPAN(copy, sizeof(text) - 1);
            CCZ_AUTO(ccz_jdoc) d = NULL;
            CCZ_AUTO(ccz_json) j = NULL;
            struct ccz_err err = {0};
            bool in_place = ccz_jdoc_parse(&d, s, &err) == CCZ_OK;
            bool tree = ccz_json_parse(&j, s, NULL) == CCZ_OK;
            CHECK(in_place == tree || (tree && strstr(err.msg, "object key with an escape")));
            both += in_place;
        }
    }
    CHECK(both > 100);
}

static void test_limits(void)
{
    struct ccz_jdoc *d;
    struct ccz_err err;
    char deep[200];
    for (size_t n = 63; n <= 66; n++) { /* brackets in strings do not count */
        size_t at = 0;
        for (size_t i = 0; i < n; i++)
            deep[at++] = '[';
        memcpy(deep + at, "\"\\\"[[[\"", 7);
        at += 7;
        for (size_t i = 0; i < n; i++)
            deep[at++] = ']';
        ccz_rc rc = ccz_jdoc_parse(&d, CCZ_SPAN(deep, at), &err);
        CHECK(rc == (n <= 64 ? CCZ_OK : CCZ_E_LIMIT));
        if (rc != CCZ_OK)
            CHECK(strcmp(err.where, "json:depth") == 0 && err.aux == 64);
        ccz_jdoc_free(d);
    }
    for (int members = 127; members <= 130; members++) {
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 65536);
        for (int i = 0; i < members; i++)
            ccz_buf_printf(&b, "%c\"%d\":[%d]", i ? ',' : '{', i, i);
        ccz_buf_u8(&b, '}');
        ccz_rc rc = ccz_jdoc_parse(&d, ccz_buf_span(&b), &err);
        CHECK(rc == (members <= 128 ? CCZ_OK : CCZ_E_LIMIT));
        if (rc != CCZ_OK)
            CHECK(strcmp(err.where, "json:members") == 0);
        int64_t i;
        CHECK(rc != CCZ_OK ||
              (ccz_jnode_int(&i, ccz_jnode_first(ccz_jnode_get(ccz_jdoc_root(d), "126"))) &&
               i == 126));
        ccz_jdoc_free(d);
    }
    char *big = malloc(CCZ_JDOC_SIZE_MAX + 1);
    CHECK(big != NULL);
    memset(big, ' ', CCZ_JDOC_SIZE_MAX + 1);
    big[0] = '1';
    CHECK(ccz_jdoc_parse(&d, CCZ_SPAN(big, CCZ_JDOC_SIZE_MAX + 1), &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "json:size") == 0);
    CHECK(ccz_jdoc_parse(&d, CCZ_SPAN(big, CCZ_JDOC_SIZE_MAX), &err) == CCZ_OK);
    ccz_jdoc_free(d);
    free(big);
}

static const struct ccz_test tests[] = {
    {"jdoc.read", test_read},     {"jdoc.strict", test_strict}, {"jdoc.same", test_same},
    {"jdoc.limits", test_limits}, {"jdoc.uint", test_uint},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
