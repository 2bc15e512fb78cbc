/* SPDX-License-Identifier: Apache-2.0 */
#include "codec_test.h"

/* --------------------------------------------------------------------------------------------- DER
 */

static void test_der_read(void)
{
    /* SEQUENCE { INTEGER 258, BOOLEAN TRUE, OCTET STRING "hi", [0] { ENUMERATED 5 } } */
    static const uint8_t good[] = {0x30, 0x10, 2,   2,   1,    2, 1,  1, 0xff,
                                   4,    2,    'h', 'i', 0xa0, 3, 10, 1, 5};
    for (size_t cut = 0; cut <= sizeof(good); cut++) {
        struct ccz_rd r = ccz_rd_from(CCZ_SPAN(good, cut));
        struct ccz_rd s = ccz_rd_from(ccz_der_take(&r, CCZ_DER_SEQUENCE));
        uint64_t n = ccz_der_uint(&s, CCZ_DER_INTEGER);
        bool b = ccz_der_bool(&s);
        struct ccz_span text = ccz_der_take(&s, CCZ_DER_OCTET_STRING);
        bool peeked = ccz_der_peek(&s, 0xa0) && !ccz_der_peek(&s, 0xa1);
        uint8_t tag;
        struct ccz_rd c = ccz_rd_from(ccz_der_any(&tag, &s));
        uint64_t e = ccz_der_uint(&c, CCZ_DER_ENUMERATED);
        bool ok = ccz_rd_done(&c) && ccz_rd_done(&s) && ccz_rd_done(&r);
        CHECK(ok == (cut == sizeof(good)));
        if (ok)
            CHECK(n == 258 && b && span_is(text, "hi") && peeked && tag == 0xa0 && e == 5);
        else
            CHECK(tag == 0 && !peeked);
    }
}

static void test_der_strict(void)
{
    static const struct {
        const char *hex;
        bool ok;
    } any[] = {
        {"0400", true},
        {"0401aa", true},
        {"0402aa", false},
        {"04810101", false},
        {"048000", false},
        {"30800000", false},
        {"04820001aa", false},
        {"1f0100", false},
        {"bf2a0100", false},
        {"0000", false},
        {"04", false},
        {"0481", false},
        {"048200", false},
        {"04ff", false},
        {"9e0100", true},
        {"04847fffffff", false},
        {"0488ffffffffffffffff", false},
        {"0489010000000000000000", false},
    };
    uint8_t room[300];
    for (size_t i = 0; i < sizeof(any) / sizeof(*any); i++) {
        struct ccz_rd r = ccz_rd_from(unhex(room, any[i].hex));
        uint8_t tag;
        (void)ccz_der_any(&tag, &r);
        CHECK(ccz_rd_done(&r) == any[i].ok);
        CHECK((tag != 0) == any[i].ok);
    }
    for (size_t size = 126; size < 258; size++) { /* around both edges of the long form */
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 1000);
        memset(room, 7, sizeof(room));
        ccz_der_put(&b, CCZ_DER_OCTET_STRING, CCZ_SPAN(room, size));
        CHECK(b.size == size + (size < 128 ? 2 : size < 256 ? 3 : 4));
        struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
        CHECK(ccz_der_take(&r, CCZ_DER_OCTET_STRING).size == size && ccz_rd_done(&r));
    }
    struct ccz_rd r = ccz_rd_from(unhex(room, "0401aa"));
    CHECK(ccz_der_take(&r, CCZ_DER_INTEGER).size == 0 && r.bad); /* another tag than wanted */
    CHECK(!ccz_der_peek(&r, 4));                                 /* sticky */
    CHECK(ccz_der_take(&r, 4).size == 0);
}

static void test_der_numbers(void)
{
    static const struct {
        const char *hex;
        bool ok;
        uint64_t v;
    } ints[] = {
        {"020100", true, 0},
        {"02017f", true, 127},
        {"02020080", true, 128},
        {"02087fffffffffffffff", true, INT64_MAX},
        {"0200", false, 0},
        {"020180", false, 0}, /* negative */
        {"0202007f", false, 0},
        {"02020000", false, 0}, /* not minimal */
        {"0209008000000000000000", false, 0},
        {"0202ffff", false, 0},
        {"0a0101", false, 0},
    };
    uint8_t room[64];
    for (size_t i = 0; i < sizeof(ints) / sizeof(*ints); i++) {
        struct ccz_rd r = ccz_rd_from(unhex(room, ints[i].hex));
        uint64_t v = ccz_der_uint(&r, CCZ_DER_INTEGER);
        CHECK(ccz_rd_done(&r) == ints[i].ok && v == ints[i].v);
    }
    static const char *const bools[] = {"0101ff", "010100", "010101", "0100", "010200ff"};
    for (size_t i = 0; i < 5; i++) {
        struct ccz_rd r = ccz_rd_from(unhex(room, bools[i]));
        bool v = ccz_der_bool(&r);
        CHECK(ccz_rd_done(&r) == (i < 2) && v == (i == 0));
    }
    for (unsigned shift = 0; shift < 64; shift++) {
        uint64_t v = (uint64_t)1 << shift;
        for (uint64_t d = 0; d < 3; d++) {
            CCZ_AUTO_BUF b;
            ccz_buf_init(&b, 20);
            ccz_der_put_uint(&b, CCZ_DER_INTEGER, v - d);
            struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
            uint64_t back = ccz_der_uint(&r, CCZ_DER_INTEGER);
            bool fits = v - d <= INT64_MAX;
            CHECK(ccz_rd_done(&r) == fits && back == (fits ? v - d : 0));
        }
    }
}

static void test_der_oid(void)
{
    static const struct {
        const char *dotted, *hex; /* hex NULL: refused */
    } oids[] = {
        {"1.2.840.113741.1.13.1", "2a864886f84d010d01"}, /* SGX extensions of a PCK certificate */
        {"2.23.133.5.4.9", "6781050504 09"},
        {"1.2.840.10045.3.1.7", "2a8648ce3d030107"},
        {"2.999", "8837"},
        {"0.39", "27"},
        {"1.0", "28"},
        {"2.0", "50"},
        {"2.5.4.0", "550400"},
        {"1.2.18446744073709551615", "2a81ffffffffffffffff7f"},
        {"2.18446744073709551535", "81ffffffffffffffff7f"},
        {"", NULL},
        {"1", NULL},
        {"1.", NULL},
        {"1.2.", NULL},
        {".1.2", NULL},
        {"1..2", NULL},
        {"3.1", NULL},
        {"1.40", NULL},
        {"0.40", NULL},
        {"1.2.03", NULL},
        {"1.2.-3", NULL},
        {"1.2.x", NULL},
        {"1.2 .3", NULL},
        {"1.2.18446744073709551616", NULL},
        {"2.18446744073709551536", NULL},
        {"1.2.99999999999999999999", NULL},
    };
    for (size_t i = 0; i < sizeof(oids) / sizeof(*oids); i++) {
        uint8_t got[CCZ_DER_OID_SIZE_MAX], want[CCZ_DER_OID_SIZE_MAX];
        struct ccz_span w = unhex(want, oids[i].hex ? oids[i].hex : "");
        size_t n = ccz_der_oid(got, sizeof(got), oids[i].dotted);
        CHECK(ccz_span_eq(CCZ_SPAN(got, n), w));
        for (size_t room = 0; room < n; room++)
            CHECK(ccz_der_oid(got, room, oids[i].dotted) == 0);
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 100);
        ccz_der_put_oid(&b, oids[i].dotted);
        CHECK(b.bad == (n == 0));
    }
}

static void test_der_write(void)
{
    CCZ_AUTO_BUF b;
    char hex[64];
    ccz_buf_init(&b, 1000);
    size_t outer = ccz_der_open(&b, CCZ_DER_SEQUENCE);
    size_t inner = ccz_der_open(&b, 0xa0);
    ccz_der_put_uint(&b, CCZ_DER_INTEGER, 128);
    ccz_der_close(&b, inner);
    ccz_der_put_oid(&b, "1.2.840.10045.3.1.7");
    ccz_der_close(&b, outer);
    ccz_hex(hex, b.ptr, b.size);
    CHECK(strcmp(hex, "3010a0040202008006082a8648ce3d030107") == 0);

    struct ccz_buf small; /* every size that is too small is noticed */
    for (size_t max = 0; max < b.size; max++) {
        ccz_buf_init(&small, max);
        outer = ccz_der_open(&small, CCZ_DER_SEQUENCE);
        ccz_der_put(&small, 0xa0, CCZ_SPAN("\x02\x02\x00\x80", 4));
        ccz_der_put_oid(&small, "1.2.840.10045.3.1.7");
        ccz_der_close(&small, outer);
        CHECK(small.bad);
        ccz_buf_free(&small);
    }
}

/* ---------------------------------------------------------------------------------- base64 and PEM
 */

static void test_base64(void)
{
    /* RFC 4648, section 10 */
    static const char *const rfc[][2] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
    };
    struct ccz_err err;
    for (size_t i = 0; i < 7; i++) {
        CCZ_AUTO_BUF t, b;
        ccz_buf_init(&t, 100);
        ccz_buf_init(&b, 100);
        ccz_base64_put(&t, ccz_span_str(rfc[i][0]), CCZ_BASE64_STD);
        CHECK(span_is(ccz_buf_span(&t), rfc[i][1]));
        CHECK(ccz_base64_get(&b, ccz_buf_span(&t), CCZ_BASE64_STD, &err) == CCZ_OK);
        CHECK(span_is(ccz_buf_span(&b), rfc[i][0]));
    }
    uint8_t all[256]; /* every byte, every length, both alphabets */
    for (unsigned i = 0; i < 256; i++)
        all[i] = (uint8_t)(i * 73 + 11);
    for (size_t size = 0; size <= 256; size++) {
        for (int url = 0; url < 2; url++) {
            enum ccz_base64 kind = url ? CCZ_BASE64_URL : CCZ_BASE64_STD;
            CCZ_AUTO_BUF t, b;
            ccz_buf_init(&t, 1000);
            ccz_buf_init(&b, 256);
            ccz_base64_put(&t, CCZ_SPAN(all, size), kind);
            CHECK(t.size == (url ? (size * 4 + 2) / 3 : (size + 2) / 3 * 4));
            CHECK(size == 0 || (memchr(t.ptr, url ? '+' : '-', t.size) == NULL &&
                                memchr(t.ptr, url ? '/' : '_', t.size) == NULL));
            CHECK(ccz_base64_get(&b, ccz_buf_span(&t), kind, &err) == CCZ_OK);
            CHECK(ccz_span_eq(ccz_buf_span(&b), CCZ_SPAN(all, size)));
        }
    }
    CCZ_AUTO_BUF u;
    ccz_buf_init(&u, 100);
    ccz_base64_put(&u, CCZ_SPAN("\xfb\xff\xfe", 3), CCZ_BASE64_URL);
    CHECK(span_is(ccz_buf_span(&u), "-__-"));
}

static void test_base64_strict(void)
{
    static const struct {
        const char *text;
        enum ccz_base64 kind;
        const char *where;
    } bad[] = {
        {"Zg=", CCZ_BASE64_STD, "base64:padding"},
        {"Zg", CCZ_BASE64_STD, "base64:padding"},
        {"Zh==", CCZ_BASE64_STD, "base64:spare-bits"},
        {"Zm9=", CCZ_BASE64_STD, "base64:spare-bits"},
        {"Zm9v\n", CCZ_BASE64_STD, "base64:padding"},
        {"Zm9vZm9\n", CCZ_BASE64_STD, "base64:alphabet"},
        {"Zm-v", CCZ_BASE64_STD, "base64:alphabet"},
        {"Zm9_", CCZ_BASE64_STD, "base64:alphabet"},
        {"====", CCZ_BASE64_STD, "base64:alphabet"},
        {"Z===", CCZ_BASE64_STD, "base64:alphabet"},
        {"Zg==Zg==", CCZ_BASE64_STD, "base64:alphabet"},
        {" Zg=", CCZ_BASE64_STD, "base64:alphabet"},
        {"Zm9vZ", CCZ_BASE64_URL, "base64:length"},
        {"Zg==", CCZ_BASE64_URL, "base64:alphabet"},
        {"Zm+v", CCZ_BASE64_URL, "base64:alphabet"},
        {"Zh", CCZ_BASE64_URL, "base64:spare-bits"},
        {"Zm9", CCZ_BASE64_URL, "base64:spare-bits"},
        {"Zm9v\xc3", CCZ_BASE64_URL, "base64:length"},
        {"Zm\xff", CCZ_BASE64_URL, "base64:alphabet"},
    };
    struct ccz_err err;
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 10);
    ccz_buf_put_str(&b, "kept");
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        CHECK(ccz_base64_get(&b, ccz_span_str(bad[i].text), bad[i].kind, &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, bad[i].where) == 0);
        CHECK(span_is(ccz_buf_span(&b), "kept"));
    }
    for (unsigned c = 0; c < 256; c++) { /* the alphabet is exactly the alphabet */
        char text[5] = {'A', 'A', 'A', (char)c, 0};
        bool alnum = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        CCZ_AUTO_BUF one;
        ccz_buf_init(&one, 3);
        bool std = ccz_base64_get(&one, CCZ_SPAN(text, 4), CCZ_BASE64_STD, NULL) == CCZ_OK;
        CHECK(std == (alnum || c == '+' || c == '/' || c == '='));
        ccz_buf_clear(&one);
        bool url = ccz_base64_get(&one, CCZ_SPAN(text, 4), CCZ_BASE64_URL, NULL) == CCZ_OK;
        CHECK(url == (alnum || c == '-' || c == '_'));
    }
    CHECK(ccz_base64_get(&b, ccz_span_str("Zm9vYmFyZm9v"), CCZ_BASE64_STD, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "base64:size") == 0);
}

static void test_pem(void)
{
    uint8_t der[200];
    struct ccz_err err;
    for (size_t i = 0; i < sizeof(der); i++)
        der[i] = (uint8_t)i;
    CCZ_AUTO_BUF t, b;
    ccz_buf_init(&t, 10000);
    ccz_buf_init(&b, 1000);
    ccz_buf_put_str(&t, "some text -----BEGIN X----- that is no block\n");
    ccz_pem_put(&t, "X", CCZ_SPAN(der, 200));
    ccz_pem_put(&t, "XY", CCZ_SPAN(der, 3));
    ccz_buf_put_str(&t, "subject=...\r\n-----BEGIN X-----\r\nAQID\r\n-----END X-----\r\n");
    ccz_pem_put(&t, "X", CCZ_SPAN(der, 48));
    static const size_t sizes[] = {200, 3, 48};
    struct ccz_span text = ccz_buf_span(&t);
    for (size_t i = 0; i < 3; i++) {
        ccz_buf_clear(&b);
        CHECK(ccz_pem_next(&b, &text, "X", &err) == CCZ_OK && b.size == sizes[i]);
        if (i != 1)
            CHECK(memcmp(b.ptr, der, b.size) == 0);
    }
    CHECK(ccz_pem_next(&b, &text, "X", &err) == CCZ_E_NOT_FOUND && text.size == 0);
    text = ccz_buf_span(&t);
    ccz_buf_clear(&b);
    CHECK(ccz_pem_next(&b, &text, "XY", &err) == CCZ_OK && b.size == 3);

    ccz_buf_clear(&t); /* 64 characters a line */
    ccz_pem_put(&t, "X", CCZ_SPAN(der, 49));
    CHECK(memcmp(t.ptr + 18 + 64, "\nMA==\n-----END X-----\n", 22) == 0);
    for (size_t cut = 0; cut + 1 < t.size; cut++) { /* the last line end is not needed */
        struct ccz_span part = {t.ptr, cut}, before = part;
        ccz_buf_clear(&b);
        ccz_rc rc = ccz_pem_next(&b, &part, "X", &err);
        CHECK(b.size == 0 && rc == (cut < 17 ? CCZ_E_NOT_FOUND : CCZ_E_FORMAT));
        CHECK(part.size == (cut < 17 ? 0 : before.size));
    }
    static const struct {
        const char *text, *where;
    } bad[] = {
        {"-----BEGIN X-----\n-----END X-----\n", "pem:empty"},
        {"-----BEGIN X-----\nAQID\n-----END Y-----\n", "pem:end"},
        {"-----BEGIN X-----\nProc-Type: 4,ENCRYPTED\n\nAQIDAA\n-----END X-----\n",
         "base64:alphabet"},
        {"-----BEGIN X-----\n-----BEGIN X-----\nAQI\n-----END X-----\n", "base64:alphabet"},
        {"-----BEGIN X-----\nAQI\n-----END X-----\n", "base64:padding"},
        /* one spelling only: no white space but line ends, and these are LF or CR LF */
        {"-----BEGIN X-----\nAQ  IDAA\n-----END X-----\n", "base64:alphabet"},
        {"-----BEGIN X-----\nAQID \n-----END X-----\n", "base64:padding"},
        {"-----BEGIN X-----\nAQID\rAQIDAQI\n-----END X-----\n", "base64:alphabet"},
        {"-----BEGIN X-----\nAQID\n-----END X----- \n", "pem:end"},
    };
    ccz_buf_clear(&b);
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct ccz_span part = ccz_span_str(bad[i].text);
        CHECK(ccz_pem_next(&b, &part, "X", &err) == CCZ_E_FORMAT);
        CHECK(strcmp(err.where, bad[i].where) == 0 && b.size == 0);
    }
}

static const struct ccz_test tests[] = {
    {"der.read", test_der_read},           {"der.strict", test_der_strict},
    {"der.numbers", test_der_numbers},     {"der.oid", test_der_oid},
    {"der.write", test_der_write},         {"base64.vectors", test_base64},
    {"base64.strict", test_base64_strict}, {"base64.pem", test_pem},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
