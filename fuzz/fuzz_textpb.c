/* SPDX-License-Identifier: Apache-2.0 */
/* What the text reader makes passes the check of the wire format; errors lie in the text; words stay out of the messages
 * of secret texts; any bytes as wire format are checked without harm. */
#include <cczoo/textpb.h>

#include <stdlib.h>
#include <string.h>

static const struct ccz_textpb_value values[] = {{"A", 0}, {"B", -2}, {NULL, 0}};
static const struct ccz_textpb_message all;
static const struct ccz_textpb_field fields[] = {
    {.name = "b", .number = 1, .kind = CCZ_TEXTPB_BOOL},
    {.name = "i", .number = 2, .kind = CCZ_TEXTPB_INT32},
    {.name = "l", .number = 3, .kind = CCZ_TEXTPB_INT64, .repeated = true},
    {.name = "u", .number = 4, .kind = CCZ_TEXTPB_UINT32, .oneof = 1},
    {.name = "d", .number = 5, .kind = CCZ_TEXTPB_DOUBLE, .oneof = 1},
    {.name = "s", .number = 6, .kind = CCZ_TEXTPB_STRING, .repeated = true},
    {.name = "e", .number = 7, .kind = CCZ_TEXTPB_ENUM, .values = values, .repeated = true},
    {.name = "m", .number = 8, .kind = CCZ_TEXTPB_MESSAGE, .message = &all, .repeated = true},
    {.name = "x", .number = 9, .kind = CCZ_TEXTPB_IGNORED, .repeated = true},
};
static const struct ccz_textpb_message all = {"All", fields, sizeof(fields) / sizeof(fields[0])};

static void expect(bool ok)
{
    if (!ok)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_err err = {0}, again = {0};
    size_t lines = 1;
    CCZ_AUTO_BUF out, secret;
    ccz_buf_init(&out, 8 * size + 64); /* "m{}" becomes 6 bytes, "s:''" 6 */
    ccz_buf_init(&secret, 8 * size + 64);
    secret.wipe = true;
    for (size_t i = 0; i < size; i++)
        lines += data[i] == '\n';
    ccz_rc rc = ccz_textpb_parse(&out, CCZ_SPAN(data, size), &all, &err);
    expect(ccz_textpb_parse(&secret, CCZ_SPAN(data, size), &all, &again) == rc);
    if (rc == CCZ_OK) {
        expect(ccz_textpb_check(ccz_buf_span(&out), &all, &err) == CCZ_OK);
        expect(ccz_span_eq(ccz_buf_span(&out), ccz_buf_span(&secret)));
    } else {
        expect(out.size == 0 && !out.bad && err.aux >= 1 && (size_t)err.aux <= lines);
        expect(strcmp(err.where, again.where) == 0 && err.aux == again.aux);
        expect(!strchr(again.got, '\''));
    }
    rc = ccz_textpb_check(CCZ_SPAN(data, size), &all, &err);
    expect(rc == CCZ_OK || rc == CCZ_E_FORMAT || rc == CCZ_E_LIMIT);
    return 0;
}
