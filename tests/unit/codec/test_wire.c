/* SPDX-License-Identifier: Apache-2.0 */
#include "codec_test.h"

#include <math.h>

/* -------------------------------------------------------------------------------------------- CBOR
 */

/* RFC 8949, appendix A: those examples whose types are read here. */
static void test_cbor_numbers(void)
{
    static const struct {
        const char *hex;
        enum ccz_cbor_type type;
        uint64_t arg;
    } rfc[] = {
        {"00", CCZ_CBOR_UINT, 0},
        {"01", CCZ_CBOR_UINT, 1},
        {"0a", CCZ_CBOR_UINT, 10},
        {"17", CCZ_CBOR_UINT, 23},
        {"1818", CCZ_CBOR_UINT, 24},
        {"1819", CCZ_CBOR_UINT, 25},
        {"1864", CCZ_CBOR_UINT, 100},
        {"1903e8", CCZ_CBOR_UINT, 1000},
        {"1a000f4240", CCZ_CBOR_UINT, 1000000},
        {"1b000000e8d4a51000", CCZ_CBOR_UINT, 1000000000000},
        {"1bffffffffffffffff", CCZ_CBOR_UINT, UINT64_MAX},
        {"3bffffffffffffffff", CCZ_CBOR_NEGINT, UINT64_MAX},
        {"20", CCZ_CBOR_NEGINT, 0},
        {"29", CCZ_CBOR_NEGINT, 9},
        {"3863", CCZ_CBOR_NEGINT, 99},
        {"3903e7", CCZ_CBOR_NEGINT, 999},
        {"80", CCZ_CBOR_ARRAY, 0},
        {"a0", CCZ_CBOR_MAP, 0},
        {"d9ea60", CCZ_CBOR_TAG, 60000}, /* evidence in certificates */
    };
    uint8_t room[32];
    for (size_t i = 0; i < sizeof(rfc) / sizeof(*rfc); i++) {
        struct ccz_span s = unhex(room, rfc[i].hex);
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 32);
        ccz_cbor_put_head(&b, rfc[i].type, rfc[i].arg);
        CHECK(ccz_span_eq(ccz_buf_span(&b), s));
        for (size_t cut = 0; cut <= s.size; cut++) {
            struct ccz_rd r = ccz_rd_from(CCZ_SPAN(s.ptr, cut));
            uint64_t arg = ccz_cbor_head(&r, rfc[i].type);
            CHECK(r.bad == (cut < s.size) && arg == (cut < s.size ? 0 : rfc[i].arg));
        }
        struct ccz_rd r = ccz_rd_from(s); /* another type than wanted */
        CHECK(ccz_cbor_head(&r, CCZ_CBOR_BYTES) == 0 && r.bad);
    }
    static const char *const bad[] = {"1800",
                                      "1817",
                                      "190000",
                                      "1900ff",
                                      "1a00000000",
                                      "1a0000ffff",
                                      "1b0000000000000000",
                                      "1b00000000ffffffff",
                                      "1c",
                                      "1d",
                                      "1e",
                                      "1f"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct ccz_rd r = ccz_rd_from(unhex(room, bad[i]));
        CHECK(ccz_cbor_head(&r, CCZ_CBOR_UINT) == 0 && r.bad);
    }
}

static void test_cbor_strings(void)
{
    static const struct {
        const char *hex;
        enum ccz_cbor_type type;
        const char *text; /* NULL: refused */
    } cases[] = {
        {"40", CCZ_CBOR_BYTES, ""},
        {"4401020304", CCZ_CBOR_BYTES, "\1\2\3\4"},
        {"60", CCZ_CBOR_TEXT, ""},
        {"6161", CCZ_CBOR_TEXT, "a"},
        {"6449455446", CCZ_CBOR_TEXT, "IETF"},
        {"62225c", CCZ_CBOR_TEXT, "\"\\"},
        {"62c3bc", CCZ_CBOR_TEXT, "\xc3\xbc"},
        {"63e6b0b4", CCZ_CBOR_TEXT, "\xe6\xb0\xb4"},
        {"64f0908591", CCZ_CBOR_TEXT, "\xf0\x90\x85\x91"},
        {"41ff", CCZ_CBOR_BYTES, "\xff"},
        {"61ff", CCZ_CBOR_TEXT, NULL},  /* no UTF-8 */
        {"6161", CCZ_CBOR_BYTES, NULL}, /* another type */
        {"4161", CCZ_CBOR_TEXT, NULL},
        {"5f42010243030405ff", CCZ_CBOR_BYTES, NULL}, /* indefinite */
        {"7f657374726561646d696e67ff", CCZ_CBOR_TEXT, NULL},
        {"420a", CCZ_CBOR_BYTES, NULL}, /* beyond the input */
        {"5bffffffffffffffff", CCZ_CBOR_BYTES, NULL},
        {"580161", CCZ_CBOR_BYTES, NULL}, /* not minimal */
        {"01", CCZ_CBOR_UINT, NULL},      /* no string type */
    };
    uint8_t room[32];
    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct ccz_span s = unhex(room, cases[i].hex);
        struct ccz_rd r = ccz_rd_from(s);
        struct ccz_span got = ccz_cbor_string(&r, cases[i].type);
        CHECK(ccz_rd_done(&r) == (cases[i].text != NULL));
        CHECK(span_is(got, cases[i].text ? cases[i].text : ""));
        if (!cases[i].text)
            continue;
        CCZ_AUTO_BUF b;
        ccz_buf_init(&b, 32);
        ccz_cbor_put_string(&b, cases[i].type, got);
        CHECK(ccz_span_eq(ccz_buf_span(&b), s));
    }
}

static void test_cbor_skip(void)
{
    static const char *const good[] = {
        /* RFC 8949, appendix A */
        "f90000",
        "f93c00",
        "fb3ff199999999999a",
        "fa47c35000",
        "f97e00",
        "fa7f800000",
        "f4",
        "f5",
        "f6",
        "f7",
        "f0",
        "f8ff",
        "c074323031332d30332d32315432303a30343a30305a",
        "c11a514b67b0",
        "c1fb41d452d9e20000 00",
        "d74401020304",
        "d818456449455446",
        "d82076687474703a2f2f7777772e6578616d706c652e636f6d",
        "83010203",
        "8301820203820405",
        "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
        "a201020304",
        "a26161016162820203",
        "826161a161626163",
        "a56161614161626142616361436164614461656145",
        /* sixteen levels */
        "81818181818181818181818181818181 00",
        "c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1 00",
    };
    static const char *const bad[] = {
        "5f42010243030405ff",
        "9fff",
        "9f018202039f0405ffff",
        "bf61610161629f0203ffff",
        "ff",
        "fc",
        "fd",
        "fe",
        "f800",
        "f818",
        "f81f",
        "8301",
        "a1",
        "a101",
        "d9",
        "d818",
        "1800",
        "61ff",
        "fb00",
        "f9",
        "9bffffffffffffffff",
        "bb8000000000000000",
        "9a0000000100",
        "8181818181818181818181818181818181 00",
        "a1018101818181818181818181818181818101",
        "980100",
    };
    uint8_t room[64];
    for (size_t i = 0; i < sizeof(good) / sizeof(*good) + sizeof(bad) / sizeof(*bad); i++) {
        bool ok = i < sizeof(good) / sizeof(*good);
        struct ccz_span s = unhex(room, ok ? good[i] : bad[i - sizeof(good) / sizeof(*good)]);
        struct ccz_rd r = ccz_rd_from(s);
        ccz_cbor_skip(&r);
        CHECK(ccz_rd_done(&r) == ok);
        for (size_t cut = 0; ok && cut < s.size; cut++) {
            r = ccz_rd_from(CCZ_SPAN(s.ptr, cut));
            ccz_cbor_skip(&r);
            CHECK(r.bad);
        }
    }
    struct ccz_rd r = ccz_rd_from(unhex(room, "a201020304820506")); /* exactly one item */
    ccz_cbor_skip(&r);
    CHECK(!r.bad && r.left == 3);
}

/* ---------------------------------------------------------------------------------------- protobuf
 */

static void test_pb_read(void)
{
    /* the examples of the format's documentation: field 1 = 150, field 2 = "testing"; then I32, I64
     */
    uint8_t room[64];
    struct ccz_span s = unhex(room, "089601120774657374696e671d0000803f21000000000000f03f");
    for (size_t cut = 0; cut <= s.size; cut++) {
        struct ccz_rd r = ccz_rd_from(CCZ_SPAN(s.ptr, cut));
        struct ccz_pb_field f;
        unsigned fields = 0;
        while (ccz_pb_next(&f, &r)) {
            CHECK(f.number == ++fields);
            if (fields == 1)
                CHECK(f.wire == CCZ_PB_VARINT && f.num == 150);
            else if (fields == 2)
                CHECK(f.wire == CCZ_PB_LEN && span_is(f.bytes, "testing"));
            else if (fields == 3)
                CHECK(f.wire == CCZ_PB_I32 && fabsf(ccz_pb_as_float(f.num) - 1) < 1e-9f);
            else
                CHECK(f.wire == CCZ_PB_I64 && fabs(ccz_pb_as_double(f.num) - 1) < 1e-9);
        }
        CHECK(f.number == 0 && f.bytes.ptr == NULL);
        bool boundary = cut == 0 || cut == 3 || cut == 12 || cut == 17 || cut == 26;
        CHECK(r.bad == !boundary);
    }
}

static void test_pb_strict(void)
{
    static const char *const bad[] = {
        "00",
        "0001", /* field number 0 */
        "0b",
        "0c",
        "0e",
        "0f", /* groups, wire types 6 and 7 */
        "08",
        "0880",
        "0980",
        "0d00", /* truncated values */
        "0a",
        "0a01",
        "0a8001",
        "0affffffffffffffffff01", /* lengths beyond the input */
        "08ffffffffffffffffff02",
        "0880808080808080808080 01", /* 65 bits, 11 bytes */
        "8080808010 00",             /* field number 2^29 */
    };
    uint8_t room[32];
    for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
        struct ccz_rd r = ccz_rd_from(unhex(room, bad[i]));
        struct ccz_pb_field f;
        CHECK(!ccz_pb_next(&f, &r) && r.bad);
        CHECK(!ccz_pb_next(&f, &r)); /* sticky */
    }
    struct ccz_pb_field f;
    struct ccz_rd r = ccz_rd_from(unhex(room, "f8ffffff0f00")); /* field number 2^29 - 1 */
    CHECK(ccz_pb_next(&f, &r) && f.number == 0x1fffffff && ccz_rd_done(&r));
    r = ccz_rd_from(unhex(room, "08ffffffffffffffffff01"));
    CHECK(ccz_pb_next(&f, &r) && f.num == UINT64_MAX);
    r = ccz_rd_from(unhex(room, "088080808000")); /* padded varints are valid */
    CHECK(ccz_pb_next(&f, &r) && f.num == 0 && ccz_rd_done(&r));
    CHECK(ccz_pb_zigzag(0) == 0 && ccz_pb_zigzag(1) == -1 && ccz_pb_zigzag(2) == 1);
    CHECK(ccz_pb_zigzag(UINT64_MAX) == INT64_MIN && ccz_pb_zigzag(UINT64_MAX - 1) == INT64_MAX);
}

static void test_pb_write(void)
{
    CCZ_AUTO_BUF b;
    char hex[128];
    ccz_buf_init(&b, 1000);
    ccz_pb_put_uint(&b, 1, 150);
    ccz_pb_put_str(&b, 2, "testing");
    ccz_pb_put_float(&b, 3, 1.0f);
    ccz_pb_put_double(&b, 4, 1.0);
    ccz_hex(hex, b.ptr, b.size);
    CHECK(strcmp(hex, "089601120774657374696e671d0000803f21000000000000f03f") == 0);

    ccz_buf_clear(&b);
    size_t outer = ccz_pb_open(&b, 1), inner = ccz_pb_open(&b, 2);
    ccz_pb_put_uint(&b, 3, 7);
    ccz_pb_close(&b, inner);
    ccz_pb_close(&b, outer);
    ccz_hex(hex, b.ptr, b.size);
    CHECK(strcmp(hex, "0a8880808000"
                      "128280808000"
                      "1807") == 0);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&b));
    struct ccz_pb_field f;
    CHECK(ccz_pb_next(&f, &r) && f.number == 1 && ccz_rd_done(&r));
    r = ccz_rd_from(f.bytes);
    CHECK(ccz_pb_next(&f, &r) && f.number == 2 && ccz_rd_done(&r) && f.bytes.size == 2);

    for (unsigned bit = 0; bit < 64; bit++) {
        uint64_t v = (uint64_t)1 << bit;
        for (uint64_t d = 0; d < 2; d++) {
            ccz_buf_clear(&b);
            ccz_pb_put_varint(&b, v - d);
            CHECK(b.size == ccz_pb_varint_size(v - d));
            r = ccz_rd_from(ccz_buf_span(&b));
            CHECK(ccz_pb_varint(&r) == v - d && ccz_rd_done(&r));
        }
    }
    CHECK(ccz_pb_varint_size(UINT64_MAX) == 10 && ccz_pb_varint_size(0) == 1);
    struct ccz_buf small; /* no room for the length: noticed, nothing written */
    ccz_buf_init(&small, 3);
    outer = ccz_pb_open(&small, 1);
    ccz_pb_close(&small, outer);
    CHECK(small.bad);
    ccz_buf_free(&small);
}

static const struct ccz_test tests[] = {
    {"cbor.numbers", test_cbor_numbers}, {"cbor.strings", test_cbor_strings},
    {"cbor.skip", test_cbor_skip},       {"pb.read", test_pb_read},
    {"pb.strict", test_pb_strict},       {"pb.write", test_pb_write},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(*tests), argc, argv);
}
