/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/textpb.h>

#include "codec_test.h"
#include "refused.h"

/* Every kind of field; test.proto would be: message All { .. } with these names and numbers. */
static const struct ccz_textpb_value colours[] = {{"RED", 0}, {"BLUE", -2}, {NULL, 0}};
static const struct ccz_textpb_message all;
static const struct ccz_textpb_field wrapper_fields[] = {
    {.name = "value", .number = 1, .kind = CCZ_TEXTPB_INT64}};
static const struct ccz_textpb_message wrapper = {"Int64Value", wrapper_fields, 1};
static const struct ccz_textpb_field fields[] = {
    {.name = "b", .number = 1, .kind = CCZ_TEXTPB_BOOL},
    {.name = "i", .number = 2, .kind = CCZ_TEXTPB_INT32},
    {.name = "l", .number = 3, .kind = CCZ_TEXTPB_INT64},
    {.name = "u", .number = 4, .kind = CCZ_TEXTPB_UINT32},
    {.name = "d", .number = 5, .kind = CCZ_TEXTPB_DOUBLE},
    {.name = "s", .number = 6, .kind = CCZ_TEXTPB_STRING},
    {.name = "e", .number = 7, .kind = CCZ_TEXTPB_ENUM, .values = colours},
    {.name = "m", .number = 8, .kind = CCZ_TEXTPB_MESSAGE, .message = &all},
    {.name = "x", .number = 9, .kind = CCZ_TEXTPB_IGNORED},
    {.name = "many", .number = 10, .kind = CCZ_TEXTPB_INT64, .repeated = true},
    {.name = "sub", .number = 11, .kind = CCZ_TEXTPB_MESSAGE, .repeated = true, .message = &all},
    {.name = "one", .number = 12, .kind = CCZ_TEXTPB_INT32, .oneof = 3},
    {.name = "two", .number = 100, .kind = CCZ_TEXTPB_STRING, .oneof = 3},
    {.name = "w", .number = 13, .kind = CCZ_TEXTPB_MESSAGE, .message = &wrapper},
};
static const struct ccz_textpb_message all = {"All", fields, sizeof(fields) / sizeof(fields[0])};

static struct ccz_err err;

/* Shortest form of the message, as hex: lengths as protobuf writes them. Depth is that of the test's texts. */
static void put_short(struct ccz_buf *out, struct ccz_span wire, const struct ccz_textpb_message *m,
                      int depth)
{
    struct ccz_rd r = ccz_rd_from(wire);
    struct ccz_pb_field f;
    CHECK(depth < 5);
    while (ccz_pb_next(&f, &r)) {
        const struct ccz_textpb_message *sub = NULL;
        for (size_t i = 0; i < m->len; i++)
            if (m->fields[i].number == f.number)
                sub = m->fields[i].message;
        if (f.wire == CCZ_PB_VARINT) {
            ccz_pb_put_uint(out, f.number, f.num);
        } else if (f.wire == CCZ_PB_I64) {
            ccz_pb_put_tag(out, f.number, CCZ_PB_I64);
            ccz_buf_le64(out, f.num);
        } else if (sub) {
            CCZ_AUTO_BUF inner;
            ccz_buf_init(&inner, 4096);
            put_short(&inner, f.bytes, sub, depth + 1);
            ccz_pb_put_bytes(out, f.number, ccz_buf_span(&inner));
        } else {
            ccz_pb_put_bytes(out, f.number, f.bytes);
        }
    }
    CHECK(ccz_rd_done(&r));
}

static ccz_rc parse(struct ccz_buf *out, const char *text)
{
    err = (struct ccz_err){0};
    return ccz_textpb_parse(out, ccz_span_str(text), &all, &err);
}

/* @p hex: bytes that protobuf's own encoder gives for the message (spaces are for the reader). */
static void gives(const char *text, const char *hex)
{
    uint8_t room[128];
    CCZ_AUTO_BUF wire, norm;
    ccz_buf_init(&wire, 4096);
    ccz_buf_init(&norm, 4096);
    if (parse(&wire, text) != CCZ_OK) {
        fprintf(stderr, "%s: %s\n", text, err.msg);
        _Exit(1);
    }
    CHECK(ccz_textpb_check(ccz_buf_span(&wire), &all, &err) == CCZ_OK);
    put_short(&norm, ccz_buf_span(&wire), &all, 0);
    CHECK(ccz_span_eq(ccz_buf_span(&norm), unhex(room, hex)));
}

static void refuses(const char *text, ccz_rc rc, const char *where, const char *message)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 4096);
    if (!is_refused(parse(&wire, text), rc, &err, where) || !strstr(err.msg, message)) {
        fprintf(stderr, "%s: %s, expected %s\n", text, err.msg, message);
        _Exit(1);
    }
    CHECK(wire.size == 0);
}

static void test_values(void)
{
    gives("", "");
    gives("b: true", "0801");
    gives("b: t", "0801");
    gives("b: True", "0801");
    gives("b: 1", "0801");
    gives("b: 0x1", "0801");
    gives("b: false", "0800");
    gives("b: False", "0800");
    gives("b: f", "0800");
    gives("b: 0", "0800");
    gives("i: -1", "10ffffffffffffffffff01");
    gives("i: 2147483647", "10ffffffff07");
    gives("i: -2147483648", "1080808080f8ffffffff01");
    gives("l: -9223372036854775808", "1880808080808080808001");
    gives("l: 0x10", "1810");
    gives("l: 017", "180f");
    gives("l: - 8", "18f8ffffffffffffffff01");
    gives("u: 4294967295", "20ffffffff0f");
    gives("d: 1.5", "29 000000000000f83f");
    gives("d: -1.5f", "29 000000000000f8bf");
    gives("d: .25e1", "29 0000000000000440");
    gives("d: 7", "29 0000000000001c40");
    gives("s: 'a'", "320161");
    gives("s: \"\"", "3200");
    gives("e: RED", "3800");
    gives("e: BLUE", "38feffffffffffffffff01");
    gives("e: -2", "38feffffffffffffffff01");
    gives("many: 1 many: 2", "5001 5002");
    gives("two: 'x'", "a2060178");
}

static void test_forms(void)
{
    gives("b: 1, i: 2; l: 3\n", "0801 1002 1803");
    gives("m { b: 1 } b:1", "4202 0801 0801");
    gives("m: { b: 1 }, b:1", "4202 0801 0801");
    gives("m < b: 1 > b:1", "4202 0801 0801");
    gives("m{b:1};b:1", "4202 0801 0801");
    gives("m {}", "4200");
    gives("m { m { m { b: 1 } } }", "4206 4204 4202 0801");
    gives("many: [1, 2,3]", "5001 5002 5003");
    gives("many: []", "");
    gives("many: [1] many: 2", "5001 5002");
    gives("sub: [{b: 1}, <i: 2>]", "5a020801 5a021002");
    gives("sub [{b: 1}] b: 1", "5a020801 0801");
    gives("sub { many: [1, 2], b: 1 }, sub {}", "5a06 5001 5002 0801 5a00");
    gives("w { value: 128 }", "6a03 088001");
    gives("# all\nb: 1 # more { \" \n# end", "0801");
    gives("\xef\xbb\xbf"
          "b: 1",
          "0801");
    gives("b: 1\r\ni: 2\r\n", "0801 1002");
    /* what has no effect may hold anything that is well formed */
    gives("x: 1", "4a00");
    gives("x { a: 1 b { c: 'q' } d: [1, {}, <e: -inf>] 7: x }", "4a00");
    gives("x { [type.googleapis.com/tensorflow.serving.X] { a: 1 } } b: 1", "4a00 0801");
    gives("x: [1, 'a' 'b', {}] b: 1", "4a00 0801");
}

static void test_strings(void)
{
    gives("s: 'a' \"b\"  'c'", "3203616263");
    gives("s: 'a'#x\n'b'", "32026162");
    gives("s: '\\a\\b\\f\\n\\r\\t\\v\\\\\\'\\\"\\?'", "320b07080c0a0d090b5c27223f");
    gives("s: '\\x41\\102\\0'", "3203414200");
    gives("s: '\\u00e9\\U0001F600'", "3206c3a9f09f9880");
    gives("s: \"it's\"", "320469742773");
    gives("s: 'one\ntwo'", "32076f6e650a74776f"); /* PEM files */
    gives("s: '{ # }'", "32057b2023207d");
    refuses("s: 'a", CCZ_E_FORMAT, "textpb:string",
            "line 1, column 4: got a string without an end");
    refuses("s: 'a\\'", CCZ_E_FORMAT, "textpb:string", "line 1, column 4");
    refuses("s: '\\q'", CCZ_E_FORMAT, "textpb:string", "escapes as in C");
    refuses("s: '\\x'", CCZ_E_FORMAT, "textpb:string", "escapes as in C");
    refuses("s: '\\u12'", CCZ_E_FORMAT, "textpb:string", "escapes as in C");
    refuses("s: '\\ud800'", CCZ_E_FORMAT, "textpb:string", "escapes as in C");
    refuses("s: '\\U00110000'", CCZ_E_FORMAT, "textpb:string", "escapes as in C");
    refuses("s: '\\777'", CCZ_E_FORMAT, "textpb:string", "escapes as in C");
    refuses("s: '\\xff'", CCZ_E_FORMAT, "textpb:string", "expected UTF-8");
}

static void test_refused(void)
{
    refuses("\n  what: 1", CCZ_E_FORMAT, "textpb:field",
            "line 2, column 3: got 'what', expected a field of All");
    refuses("b: 1 b: 1", CCZ_E_FORMAT, "textpb:repeated", "line 1, column 6: got 'b'");
    refuses("m {} m {}", CCZ_E_FORMAT, "textpb:repeated", "line 1, column 6");
    refuses("one: 1 two: 'x'", CCZ_E_FORMAT, "textpb:oneof", "line 1, column 8: got 'two'");
    refuses("b: [1]", CCZ_E_FORMAT, "textpb:value", "not repeated");
    refuses("b: maybe", CCZ_E_FORMAT, "textpb:value", "got 'maybe', expected true or false");
    refuses("b: 2", CCZ_E_LIMIT, "textpb:range", "got '2', expected 0 to 1");
    refuses("b: -1", CCZ_E_FORMAT, "textpb:value", "got '-', expected true or false");
    refuses("i: 1.5", CCZ_E_FORMAT, "textpb:value", "got '1.5', expected an integer");
    refuses("i: 08", CCZ_E_FORMAT, "textpb:value", "an integer");
    refuses("i: 0x", CCZ_E_FORMAT, "textpb:value", "an integer");
    refuses("i: 1a", CCZ_E_FORMAT, "textpb:value", "an integer");
    refuses("i: 2147483648", CCZ_E_LIMIT, "textpb:range", "expected -2147483648 to 2147483647");
    refuses("i: -2147483649", CCZ_E_LIMIT, "textpb:range", "-2147483648");
    refuses("l: 9223372036854775808", CCZ_E_LIMIT, "textpb:range", "9223372036854775807");
    refuses("l: 99999999999999999999999", CCZ_E_LIMIT, "textpb:range", "9223372036854775807");
    refuses("u: -1", CCZ_E_LIMIT, "textpb:range", "4294967295");
    refuses("d: inf", CCZ_E_FORMAT, "textpb:value", "finite");
    refuses("d: 0x1p3", CCZ_E_FORMAT, "textpb:value", "finite");
    refuses("e: GREEN", CCZ_E_FORMAT, "textpb:value", "got 'GREEN', expected one of RED BLUE");
    refuses("e: 5", CCZ_E_FORMAT, "textpb:value", "got '5', expected one of RED BLUE");
    refuses("s: abc", CCZ_E_FORMAT, "textpb:value", "a string in quotes");
    refuses("m: 3", CCZ_E_FORMAT, "textpb:value", "a message in { }");
    refuses("m {", CCZ_E_FORMAT, "textpb:syntax", "got the end of the text");
    refuses("m { b: 1 >", CCZ_E_FORMAT, "textpb:syntax", "got '>'");
    refuses("m < b: 1 }", CCZ_E_FORMAT, "textpb:syntax", "got '}'");
    refuses("}", CCZ_E_FORMAT, "textpb:syntax", "got '}', expected a field name");
    refuses("b 1", CCZ_E_FORMAT, "textpb:syntax", "':' and a value");
    refuses("b: 1,, i: 2", CCZ_E_FORMAT, "textpb:syntax", "got ','");
    refuses("many: [1 2]", CCZ_E_FORMAT, "textpb:syntax", "',' or ']'");
    refuses("many: [1,]", CCZ_E_FORMAT, "textpb:value", "got ']'");
    refuses("many: [1", CCZ_E_FORMAT, "textpb:syntax", "',' or ']'");
    refuses("x: {a: }", CCZ_E_FORMAT, "textpb:syntax", "a value");
    refuses("x { [a b", CCZ_E_FORMAT, "textpb:syntax", "the name of a type");
    refuses("[a.b] { }", CCZ_E_FORMAT, "textpb:syntax", "a field name");
    refuses("b: 1 \x01", CCZ_E_FORMAT, "textpb:syntax", "column 6");
    refuses("improperly formatted file", CCZ_E_FORMAT, "textpb:field",
            "'improperly'"); /* TFS's bad_model_config.txt */
}

static void hints(const char *text, const char *want)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 4096);
    CHECK(parse(&wire, text) != CCZ_OK);
    if (!strstr(err.hint, want)) {
        fprintf(stderr, "%s: hint \"%s\", expected \"%s\"\n", text, err.hint, want);
        _Exit(1);
    }
}

/* What people write instead. */
static void test_hints(void)
{
    hints("w: 128", "write w { value: .. }");
    hints("m: 1", "it is a message: write m { .. }");
    hints("b = 1", "a value follows ':'");
    hints("// note\nb: 1", "comments begin with #");
    hints("s: \xe2\x80\x9cx\xe2\x80\x9d", "typographic quotes");
    hints("s: $HOME", "variables are not replaced");
    hints("{ \"b\": 1 }", "");
    hints("\"b\": 1", "not JSON");
    hints("i: \"1\"", "without quotes");
    hints("s: model", "strings stand in");
    hints("b true", "write b: value");
    hints("bb: 1", "it has: b, i, l, u");
    hints("s: 'a\ns: 'b'\n", "an earlier one");
}

static void test_limits(void)
{
    char text[4 * CCZ_TEXTPB_DEPTH_MAX + 8] = "";
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 100000);
    for (int i = 0; i < CCZ_TEXTPB_DEPTH_MAX - 1; i++)
        strcat(text, "m{");
    CHECK(is_refused(parse(&wire, text), CCZ_E_FORMAT, &err, "textpb:syntax"));
    strcat(text, "m{");
    CHECK(is_refused(parse(&wire, text), CCZ_E_LIMIT, &err, "textpb:depth"));
    for (char *c = text; *c; c++)
        *c = "x{"[(c - text) % 2];
    CHECK(is_refused(parse(&wire, text), CCZ_E_LIMIT, &err, "textpb:depth"));
    ccz_buf_free(&wire);
    ccz_buf_init(&wire, 10);
    ccz_buf_put_str(&wire, "abc");
    CHECK(is_refused(parse(&wire, "\n s: 'long'"), CCZ_E_LIMIT, &err, "textpb:size"));
    CHECK(wire.size == 3 && err.aux == 2);
}

/* Words of a text that may be a key are not in the message. */
static void test_secret(void)
{
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 4096);
    wire.wipe = true;
    CHECK(is_refused(parse(&wire, "s: MIIEvQ"), CCZ_E_FORMAT, &err, "textpb:value"));
    CHECK(!strstr(err.msg, "MIIE") && !strstr(err.got, "MIIE") && strstr(err.msg, "got a word"));
    CHECK(is_refused(parse(&wire, "MIIEvQ"), CCZ_E_FORMAT, &err, "textpb:field"));
    CHECK(!strstr(err.msg, "MIIE") && !strstr(err.got, "MIIE"));
    CHECK(is_refused(parse(&wire, "s: 'MIIE\\q'"), CCZ_E_FORMAT, &err, "textpb:string"));
    CHECK(!strstr(err.msg, "MIIE") && strstr(err.msg, "a string"));
}

/* A text that is cut anywhere is refused or is a shorter message, never anything else. */
static void test_cuts(void)
{
    static const char text[] =
        "m { s: 'a\\x41' 'b' many: [1, 2] x { [a/b] <> } } sub: [{d: 1e3}]; e: RED";
    CCZ_AUTO_BUF wire;
    ccz_buf_init(&wire, 4096);
    size_t good = 0;
    for (size_t n = 0; n < sizeof(text); n++) {
        CCZ_AUTO(ccz_secret) copy = NULL; /* its end is the end of the memory, for sanitizers */
        CHECK(n == 0 || ccz_secret_from(&copy, text, n) == CCZ_OK);
        ccz_buf_clear(&wire);
        const struct ccz_span cut = n ? CCZ_SPAN(ccz_secret_view(copy), n) : CCZ_SPAN(text, 0);
        err = (struct ccz_err){0};
        ccz_rc rc = ccz_textpb_parse(&wire, cut, &all, &err);
        CHECK(rc == CCZ_OK || (rc == CCZ_E_FORMAT && err.aux == 1 && wire.size == 0));
        CHECK(rc != CCZ_OK || ccz_textpb_check(ccz_buf_span(&wire), &all, &err) == CCZ_OK);
        good += rc == CCZ_OK;
    }
    CHECK(good == 7); /* nothing, "m {..}", the space; "sub: [..]", ";", the space; and all */
}

static ccz_rc check_hex(const char *hex)
{
    uint8_t room[128];
    err = (struct ccz_err){0};
    return ccz_textpb_check(unhex(room, hex), &all, &err);
}

static void test_wire(void)
{
    CHECK(check_hex("") == CCZ_OK);
    CHECK(check_hex("0801 10ffffffffffffffffff01 29000000000000f83f 320161") == CCZ_OK);
    CHECK(check_hex("5003 010203") == CCZ_E_FORMAT); /* field 10 once, then rubbish */
    CHECK(check_hex("5203 010203") == CCZ_OK);       /* packed */
    CHECK(check_hex("5200 5005 5202 0506") == CCZ_OK);
    CHECK(check_hex("4a02ffff") == CCZ_OK && check_hex("4805") == CCZ_OK); /* ignored: any */
    CHECK(check_hex("4204 42020801 5a00 5a00") == CCZ_OK);
}

static void refuses_wire(const char *hex, ccz_rc rc, const char *where, const char *message)
{
    if (!is_refused(check_hex(hex), rc, &err, where) || strcmp(err.msg, message) != 0) {
        fprintf(stderr, "%s: %s, expected %s\n", hex, err.msg, message);
        _Exit(1);
    }
}

static void test_wire_refused(void)
{
    refuses_wire("7801", CCZ_E_FORMAT, "textpb:field",
                 "All.15: got an unknown field, expected one of All");
    refuses_wire("4204 6a027801", CCZ_E_FORMAT, "textpb:field",
                 "All.m.w.15: got an unknown field, expected one of Int64Value");
    refuses_wire("08010801", CCZ_E_FORMAT, "textpb:repeated",
                 "All.b: got it again, expected it once");
    refuses_wire("6001 a2060178", CCZ_E_FORMAT, "textpb:oneof",
                 "All.two: got a second field of its group, expected one");
    refuses_wire("0a0101", CCZ_E_FORMAT, "textpb:value",
                 "All.b: got another wire type than that of its type");
    refuses_wire("0802", CCZ_E_LIMIT, "textpb:range", "All.b: got 2, which its type has not");
    refuses_wire("10ffffffff0f", CCZ_E_LIMIT, "textpb:range",
                 "All.i: got 4294967295, which its type has not");
    refuses_wire("2080808080 10", CCZ_E_LIMIT, "textpb:range",
                 "All.u: got 4294967296, which its type has not");
    refuses_wire("3809", CCZ_E_LIMIT, "textpb:range", "All.e: got 9, which its type has not");
    refuses_wire("3201ff", CCZ_E_FORMAT, "textpb:string", "All.s: got other bytes, expected UTF-8");
    refuses_wire("5201ff", CCZ_E_FORMAT, "textpb:wire", "All.many: malformed numbers");
    refuses_wire("32", CCZ_E_FORMAT, "textpb:wire", "All.: malformed field");
    CCZ_AUTO_BUF deep, outer;
    ccz_buf_init(&deep, 4096);
    ccz_buf_init(&outer, 4096);
    for (int i = 0; i < CCZ_TEXTPB_DEPTH_MAX - 1; i++) {
        ccz_buf_clear(&outer);
        ccz_pb_put_bytes(&outer, 8, ccz_buf_span(&deep));
        ccz_buf_clear(&deep);
        ccz_buf_put_span(&deep, ccz_buf_span(&outer));
    }
    CHECK(ccz_textpb_check(ccz_buf_span(&deep), &all, &err) == CCZ_OK);
    ccz_buf_clear(&outer);
    ccz_pb_put_bytes(&outer, 8, ccz_buf_span(&deep));
    CHECK(is_refused(ccz_textpb_check(ccz_buf_span(&outer), &all, &err), CCZ_E_LIMIT, &err,
                     "textpb:depth"));
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"textpb.values", test_values},   {"textpb.forms", test_forms},
        {"textpb.strings", test_strings}, {"textpb.refused", test_refused},
        {"textpb.hints", test_hints},     {"textpb.limits", test_limits},
        {"textpb.secret", test_secret},   {"textpb.cuts", test_cuts},
        {"textpb.wire", test_wire},       {"textpb.wire_refused", test_wire_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
