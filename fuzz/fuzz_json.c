/* SPDX-License-Identifier: Apache-2.0 */
/* An accepted document, written by our functions, is accepted again and equal; each member found by
 * name has the raw bytes that parse to it. */
#include <cczoo/codec.h>

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 64 };

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void put(struct ccz_buf *b, const struct ccz_json *j, unsigned depth);

static void put_children(struct ccz_buf *b, const struct ccz_json *j, unsigned depth)
{
    bool object = ccz_json_type(j) == CCZ_JSON_OBJECT;
    const char *key = NULL;
    size_t n = 0;
    ccz_buf_u8(b, object ? '{' : '[');
    for (; n < ccz_json_len(j); n++) {
        const struct ccz_json *v = object ? ccz_json_next(&key, j) : ccz_json_at(j, n);
        expect(v != NULL);
        if (n > 0)
            ccz_buf_u8(b, ',');
        if (object) {
            expect(ccz_json_get(j, key) == v);
            ccz_json_put_str(b, ccz_span_str(key));
            ccz_buf_u8(b, ':');
        }
        put(b, v, depth + 1);
    }
    expect(object ? ccz_json_next(&key, j) == NULL : ccz_json_at(j, n) == NULL);
    ccz_buf_u8(b, object ? '}' : ']');
}

static void put(struct ccz_buf *b, const struct ccz_json *j, unsigned depth)
{
    int64_t i;
    double d;
    bool t;
    expect(depth <= DEPTH_MAX);
    switch (ccz_json_type(j)) {
    case CCZ_JSON_NULL:
        ccz_buf_put_str(b, "null");
        break;
    case CCZ_JSON_BOOL:
        expect(ccz_json_bool(&t, j));
        ccz_buf_put_str(b, t ? "true" : "false");
        break;
    case CCZ_JSON_INT:
        expect(ccz_json_int(&i, j));
        ccz_buf_printf(b, "%" PRId64, i);
        break;
    case CCZ_JSON_REAL:
        expect(ccz_json_real(&d, j));
        ccz_json_put_double(b, d);
        break;
    case CCZ_JSON_STRING:
        ccz_json_put_str(b, ccz_json_bytes(j));
        break;
    case CCZ_JSON_ARRAY:
    case CCZ_JSON_OBJECT:
        put_children(b, j, depth);
        break;
    }
}

static void check_raw_members(struct ccz_span text, const struct ccz_json *root)
{
    const char *key = NULL;
    const struct ccz_json *v;
    for (unsigned n = 0; n < 8 && (v = ccz_json_next(&key, root)) != NULL; n++) {
        struct ccz_span raw = ccz_json_raw_member(text, key);
        if (raw.size == 0) { /* only if written with escapes, or not a plain object member */
            expect(memchr(text.ptr, '\\', text.size) != NULL);
            continue;
        }
        CCZ_AUTO(ccz_json) part = NULL;
        expect(ccz_json_parse(&part, raw, NULL) == CCZ_OK);
        CCZ_AUTO_BUF a, b;
        ccz_buf_init(&a, 32 * text.size + 1000);
        ccz_buf_init(&b, 32 * text.size + 1000);
        put(&a, part, 1);
        put(&b, v, 1);
        expect(!a.bad && ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_span text = CCZ_SPAN(data, size);
    CCZ_AUTO(ccz_json) j = NULL;
    CCZ_AUTO(ccz_json) k = NULL;
    struct ccz_err err;
    (void)ccz_json_raw_member(text, "a"); /* stays inside even of what is no document */
    if (ccz_json_parse(&j, text, &err) != CCZ_OK) {
        expect(j == NULL && err.aux >= 0);
        return 0;
    }
    CCZ_AUTO_BUF a, b;
    ccz_buf_init(&a, 32 * size + 1000);
    ccz_buf_init(&b, 32 * size + 1000);
    put(&a, j, 0);
    expect(!a.bad && ccz_json_parse(&k, ccz_buf_span(&a), &err) == CCZ_OK);
    put(&b, k, 0);
    expect(ccz_span_eq(ccz_buf_span(&a), ccz_buf_span(&b)));
    check_raw_members(text, j);
    return 0;
}
