/* SPDX-License-Identifier: Apache-2.0 */
/* Status, timeout, percent-encoding, metadata and message framing: the pure part of rpc. */
#define _DEFAULT_SOURCE
#include "rpc/rpc_priv.h"

#include "ccz_test.h"

static void test_codes(void)
{
    CHECK(strcmp(ccz_rpc_code_name(CCZ_RPC_UNAUTHENTICATED), "UNAUTHENTICATED") == 0);
    CHECK(strcmp(ccz_rpc_code_name((enum ccz_rpc_code)99), "UNKNOWN") == 0);
    for (int c = 0; c <= CCZ_RPC_UNAUTHENTICATED; c++)
        CHECK((ccz_rpc_rc_of((enum ccz_rpc_code)c) == CCZ_OK) == (c == 0));
    CHECK(ccz_rpc_rc_of((enum ccz_rpc_code)99) == CCZ_E_PEER);
#define X(name, value, text) CHECK((ccz_rpc_code_of(CCZ_##name) == CCZ_RPC_OK) == ((value) == 0));
    CCZ_RC_MAP(X)
#undef X
    CHECK(ccz_rpc_code_of(CCZ_E_POLICY) == CCZ_RPC_PERMISSION_DENIED);
    CHECK(ccz_rpc_code_of(CCZ_E_DENIED) == CCZ_RPC_PERMISSION_DENIED);
    static const char *const texts[] = {"0", "7", "16", "17", "99", "", "-1", "1x", "007", "100"};
    static const int want[] = {0, 7, 16, 2, 2, 2, 2, 2, 2, 2};
    for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
        CHECK((int)cczi_code_parse(ccz_span_str(texts[i])) == want[i]);
    CHECK(cczi_code_of_http(503) == CCZ_RPC_UNAVAILABLE &&
          cczi_code_of_http(404) == CCZ_RPC_UNIMPLEMENTED);
    CHECK(cczi_code_of_http(401) == CCZ_RPC_UNAUTHENTICATED &&
          cczi_code_of_http(200) == CCZ_RPC_UNKNOWN);
}

static void test_timeout(void)
{
    static const struct {
        const char *text;
        int64_t ms;
    } good[] = {{"1H", 3600000},
                {"2M", 120000},
                {"3S", 3000},
                {"4m", 4},
                {"5u", 1},
                {"6000u", 6},
                {"1n", 1},
                {"99999999m", 99999999},
                {"0m", 0},
                {"1000001n", 2},
                {"99999999H", INT64_C(359999996400000)}};
    static const char *const bad[] = {"",    "m",   "5",   "5x",   "100000000m", "-5m",
                                      "5 m", "+5m", "5mm", "1e3m", "0x5m"};
    int64_t ms;
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(cczi_timeout_parse(&ms, ccz_span_str(good[i].text)) && ms == good[i].ms);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!cczi_timeout_parse(&ms, ccz_span_str(bad[i])) && ms == 0);
    static const int64_t values[] = {-5, 0, 1, 30000, 99999999, 100000000, 86400000000, INT64_MAX};
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        char text[CCZI_TIMEOUT_TEXT_SIZE];
        cczi_timeout_format(text, values[i]);
        CHECK(cczi_timeout_parse(&ms, ccz_span_str(text)) && ms > 0);
        CHECK(ms >= values[i] || values[i] == INT64_MAX); /* never shorter than asked */
    }
}

static void test_percent(void)
{
    char back[CCZI_MESSAGE_SIZE];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 4096);
    cczi_percent_put(&out, ccz_span_str(" a%b\n\xc3\xa9 c~ "));
    CHECK(strcmp(ccz_buf_str(&out), "%20a%25b%0A%C3%A9 c~%20") == 0);
    cczi_percent_get(back, sizeof(back), ccz_buf_span(&out));
    CHECK(strcmp(back, " a%b\\x0a\\xc3\\xa9 c~ ") == 0);
    cczi_percent_get(back, sizeof(back), ccz_span_str("50% %zz %4 %41%"));
    CHECK(strcmp(back, "50% %zz %4 A%") == 0); /* malformed escapes stay */
    char small[5];
    cczi_percent_get(small, sizeof(small), ccz_span_str("%41%42%43%44%45"));
    CHECK(strcmp(small, "ABCD") == 0);
    uint8_t all[256];
    for (size_t i = 0; i < 256; i++)
        all[i] = (uint8_t)i;
    ccz_buf_clear(&out);
    cczi_percent_put(&out, CCZ_SPAN(all, 256));
    for (size_t i = 0; i < out.size; i++)
        CHECK(out.ptr[i] >= 0x20 && out.ptr[i] <= 0x7e);
}

static void test_md(void)
{
    struct cczi_md md;
    struct cczi_md_field f;
    cczi_md_init(&md);
    CHECK(cczi_md_add_wire(&md, ccz_span_str("a"), ccz_span_str("1")) == CCZ_OK);
    CHECK(cczi_md_add_wire(&md, ccz_span_str("a"), ccz_span_str("2")) == CCZ_OK);
    CHECK(cczi_md_add_wire(&md, ccz_span_str("x-bin"), ccz_span_str("AAEC,/w,//8=")) == CCZ_OK);
    CHECK(md.len == 5 && ccz_span_eq(cczi_md_get(&md, "a"), ccz_span_str("1")));
    CHECK(ccz_span_eq(cczi_md_get(&md, "x-bin"), CCZ_SPAN("\0\1\2", 3)));
    CHECK(!cczi_md_get(&md, "b").ptr && !cczi_md_get(&md, "").ptr);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&md.raw));
    size_t n = 0;
    while (cczi_md_next(&f, &r)) {
        n++;
        CHECK(f.value.ptr[f.value.size] == 0 && strlen(f.key) == f.key_size);
        if (n == 4)
            CHECK(ccz_span_eq(f.value, CCZ_SPAN("\xff", 1)));
        if (n == 5)
            CHECK(ccz_span_eq(f.value, CCZ_SPAN("\xff\xff", 2)));
    }
    CHECK(n == 5 && ccz_rd_done(&r));
    CHECK(cczi_md_add_wire(&md, ccz_span_str("x-bin"), ccz_span_str("A")) == CCZ_E_FORMAT);
    CHECK(cczi_md_add_wire(&md, ccz_span_str("x-bin"), ccz_span_str("A!==")) == CCZ_E_FORMAT);
    while (md.len < CCZI_MD_LEN_MAX)
        CHECK(cczi_md_add(&md, ccz_span_str("k"), ccz_span_str("v")));
    CHECK(!cczi_md_add(&md, ccz_span_str("k"), ccz_span_str("v")));
    CHECK(cczi_md_add_wire(&md, ccz_span_str("k"), ccz_span_str("v")) == CCZ_E_LIMIT);
    cczi_md_free(&md);
    cczi_md_init(&md);
    static uint8_t big[CCZI_MD_SIZE_MAX];
    CHECK(!cczi_md_add(&md, ccz_span_str("k"), CCZ_SPAN(big, sizeof(big))) && md.raw.size == 0 &&
          md.len == 0);
    cczi_md_free(&md);
}

static void test_md_allowed(void)
{
    static const char *const good[] = {
        "a", "x-y_z.0", "ccz-where", "grpcx", "authorization", "a-bin", "grpc-status-details-bin"};
    static const char *const bad[] = {
        "",         "A",  "a b",          "a:",         ":path", "grpc-timeout",
        "grpc-",    "te", "content-type", "user-agent", "host",  "connection",
        "a\xc3\xa9"};
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        CHECK(cczi_md_allowed(ccz_span_str(good[i]), ccz_span_str("v")));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(!cczi_md_allowed(ccz_span_str(bad[i]), ccz_span_str("v")));
    CHECK(!cczi_md_allowed(ccz_span_str("a"), ccz_span_str("x\ny")) &&
          !cczi_md_allowed(ccz_span_str("a"), ccz_span_str(" x")));
    CHECK(!cczi_md_allowed(ccz_span_str("a"), ccz_span_str("x ")) &&
          cczi_md_allowed(ccz_span_str("a"), ccz_span_str("")));
    CHECK(cczi_md_allowed(ccz_span_str("a-bin"), CCZ_SPAN("\0\n", 2)));
}

/* Three messages in chunks of every size, with and without keeping. */
static void test_framer(void)
{
    static const char *const messages[] = {"", "hello", "a rather longer message than the others"};
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 4096);
    for (size_t i = 0; i < 3; i++) {
        struct cczi_out *o = cczi_out_new(ccz_span_str(messages[i]), NULL);
        CHECK(o && o->size == 5 + strlen(messages[i]));
        ccz_buf_put(&wire, o->bytes, o->size);
        cczi_out_free(o);
    }
    for (size_t step = 1; step <= wire.size; step++) {
        for (int keep = 0; keep < 2; keep++) {
            struct cczi_framer f;
            size_t got = 0;
            cczi_framer_init(&f, 40);
            f.keep = keep;
            for (size_t from = 0; from < wire.size; from += step) {
                struct ccz_span msg,
                    chunk = {wire.ptr + from, wire.size - from < step ? wire.size - from : step};
                /* exactly this much memory, so that a sanitizer sees reads behind it */
                uint8_t *copy = malloc(chunk.size);
                memcpy(copy, chunk.ptr, chunk.size);
                chunk.ptr = copy;
                while (cczi_framer_next(&msg, &f, &chunk) == CCZI_FRAME_MESSAGE) {
                    CHECK(ccz_span_eq(msg, ccz_span_str(messages[got])));
                    got++;
                }
                free(copy);
            }
            CHECK(got == 3 && cczi_framer_idle(&f));
            cczi_framer_free(&f);
        }
    }
}

static void test_framer_refused(void)
{
    static const struct {
        uint8_t prefix[5];
        enum cczi_frame want;
    } bad[] = {{{0, 0, 0, 0, 41}, CCZI_FRAME_TOO_LARGE},
               {{0, 0xff, 0xff, 0xff, 0xff}, CCZI_FRAME_TOO_LARGE},
               {{1, 0, 0, 0, 1}, CCZI_FRAME_COMPRESSED},
               {{2, 0, 0, 0, 1}, CCZI_FRAME_BAD_FLAG}};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct cczi_framer f;
        cczi_framer_init(&f, 40);
        struct ccz_span msg, chunk = CCZ_SPAN(bad[i].prefix, 5);
        CHECK(cczi_framer_next(&msg, &f, &chunk) == bad[i].want);
        CHECK(f.body.cap == 0); /* nothing was reserved for it */
        cczi_framer_free(&f);
    }
    struct cczi_framer f; /* inside a message: the stream may not end here */
    cczi_framer_init(&f, (size_t)1 << 30);
    struct ccz_span msg, chunk = CCZ_SPAN("\0\x20\0\0\0abc", 8);
    CHECK(cczi_framer_next(&msg, &f, &chunk) == CCZI_FRAME_MORE && !cczi_framer_idle(&f));
    CHECK(f.body.size == 3 &&
          f.body.cap < 4096); /* memory follows what came, not what was announced */
    cczi_framer_free(&f);
}

static const struct ccz_test tests[] = {
    {"rpc.codes", test_codes},
    {"rpc.timeout", test_timeout},
    {"rpc.percent", test_percent},
    {"rpc.md", test_md},
    {"rpc.md_allowed", test_md_allowed},
    {"rpc.framer", test_framer},
    {"rpc.framer_refused", test_framer_refused},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
