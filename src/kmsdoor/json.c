/* SPDX-License-Identifier: Apache-2.0 */
/* One transcoder for every message. */
#include "json.h"

#include <cczoo/codec.h>

#include <string.h>

static const char *const kind_names[] = {
    [CCZI_SHAPE_STRING] = "a string",
    [CCZI_SHAPE_BYTES] = "a string of base64",
    [CCZI_SHAPE_BOOL] = "true or false",
    [CCZI_SHAPE_UINT32] = "a number from 0 to 4294967295",
    [CCZI_SHAPE_UINT64] = "digits, from 0 to 18446744073709551615",
    [CCZI_SHAPE_INT64] = "digits, within 64 bits",
    [CCZI_SHAPE_MESSAGE] = "an object",
};

/* A field on its way: what it is, and who to blame. */
struct place {
    const struct cczi_shape_field *field;
    const struct ccz_jnode *value;
    unsigned depth;
};

static ccz_rc refuse(struct ccz_err *err, const char *where, const struct place *at)
{
    return ccz_refuse(err, CCZ_E_FORMAT, where, at->field->json, kind_names[at->field->kind]);
}

/* --------------------------------------------------------------------------------- strings */

static uint32_t hex4(const uint8_t *p)
{
    uint32_t v = 0;
    for (size_t i = 0; i < 4; i++) {
        uint8_t c = p[i];
        v = v << 4 | (uint32_t)(c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10);
    }
    return v;
}

static void put_utf8(struct ccz_buf *out, uint32_t c)
{
    if (c < 0x80) {
        ccz_buf_u8(out, (uint8_t)c);
    } else if (c < 0x800) {
        ccz_buf_u8(out, (uint8_t)(0xc0 | c >> 6));
        ccz_buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else if (c < 0x10000) {
        ccz_buf_u8(out, (uint8_t)(0xe0 | c >> 12));
        ccz_buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        ccz_buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    } else {
        ccz_buf_u8(out, (uint8_t)(0xf0 | c >> 18));
        ccz_buf_u8(out, (uint8_t)(0x80 | (c >> 12 & 0x3f)));
        ccz_buf_u8(out, (uint8_t)(0x80 | (c >> 6 & 0x3f)));
        ccz_buf_u8(out, (uint8_t)(0x80 | (c & 0x3f)));
    }
}

/* At a backslash; the parser has checked escapes and pairs of surrogates. @return where it goes on */
static const uint8_t *take_escape(struct ccz_buf *out, const uint8_t *p)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    if (p[1] != 'u') {
        const char *at = strchr(from, p[1]);
        ccz_buf_u8(out, at ? (uint8_t)to[at - from] : p[1]);
        return p + 2;
    }
    uint32_t c = hex4(p + 2);
    p += 6;
    if (c >= 0xd800 && c < 0xdc00) {
        c = 0x10000 + ((c - 0xd800) << 10) + (hex4(p + 2) - 0xdc00);
        p += 6;
    }
    put_utf8(out, c);
    return p;
}

ccz_rc cczi_json_str(struct ccz_span *out, struct ccz_buf *room, const struct ccz_jnode *v)
{
    struct ccz_span raw = ccz_jnode_raw(v); /* with its quotes */
    *out = ccz_jnode_str(v);
    ccz_buf_init(room, raw.size);
    room->wipe = true;
    if (ccz_jnode_type(v) != CCZ_JSON_STRING)
        return CCZ_E_FORMAT;
    if (out->ptr)
        return CCZ_OK;
    const uint8_t *p = raw.ptr + 1, *end = raw.ptr + raw.size - 1;
    while (p < end) {
        if (*p == '\\')
            p = take_escape(room, p);
        else
            ccz_buf_u8(room, *p++);
    }
    *out = ccz_buf_span(room);
    return room->bad ? CCZ_E_NOMEM : CCZ_OK;
}

static ccz_rc take_string(struct ccz_span *out, struct ccz_buf *room, const struct place *at,
                          struct ccz_err *err)
{
    ccz_rc rc = cczi_json_str(out, room, at->value);
    if (rc == CCZ_E_NOMEM)
        return ccz_fail(err, rc, "door:json-size", 0, "out of memory");
    return rc == CCZ_OK ? rc : refuse(err, "door:json-type", at);
}

static ccz_rc put_string(struct ccz_buf *out, const struct place *at, struct ccz_err *err)
{
    CCZ_AUTO_BUF room;
    ccz_buf_init(&room, 0);
    struct ccz_span s;
    ccz_rc rc = take_string(&s, &room, at, err);
    if (rc == CCZ_OK && (s.size || at->field->repeated))
        ccz_pb_put_bytes(out, at->field->number, s);
    return rc;
}

/* Each byte string has one text in either alphabet; which one it is shows, or does not matter. */
static enum ccz_base64 alphabet(struct ccz_span s)
{
    bool url = s.size && (memchr(s.ptr, '-', s.size) || memchr(s.ptr, '_', s.size));
    return url || s.size % 4 != 0 ? CCZ_BASE64_URL : CCZ_BASE64_STD;
}

static ccz_rc put_bytes(struct ccz_buf *out, const struct place *at, struct ccz_err *err)
{
    CCZ_AUTO_BUF room, bytes;
    ccz_buf_init(&room, 0);
    struct ccz_span s;
    ccz_rc rc = take_string(&s, &room, at, err);
    ccz_buf_init(&bytes, rc == CCZ_OK ? s.size + 1 : 0);
    bytes.wipe = true;
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_base64_get(&bytes, s, alphabet(s), NULL);
    if (rc != CCZ_OK)
        return refuse(err, "door:json-base64", at);
    if (bytes.size || at->field->repeated)
        ccz_pb_put_bytes(out, at->field->number, ccz_buf_span(&bytes));
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------- numbers */

/* "0", "-12": no sign but that, no leading zero, nothing else. */
static bool parse_digits(uint64_t *magnitude, bool *negative, struct ccz_span s)
{
    *negative = s.size && s.ptr[0] == '-';
    s = ccz_span_sub(s, *negative, s.size - *negative);
    if (s.size == 0 || s.size > 20 || (s.size > 1 && s.ptr[0] == '0'))
        return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.size; i++) {
        uint8_t digit = (uint8_t)(s.ptr[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10)
            return false;
        v = v * 10 + digit;
    }
    *magnitude = v;
    return true;
}

static bool in_range(uint64_t *out, enum cczi_shape_kind kind, uint64_t magnitude, bool negative)
{
    *out = negative ? 0 - magnitude : magnitude; /* two's complement, as varints have it */
    if (kind == CCZI_SHAPE_INT64)
        return magnitude <= (uint64_t)INT64_MAX + negative;
    return (!negative || magnitude == 0) &&
           magnitude <= (kind == CCZI_SHAPE_UINT32 ? UINT32_MAX : UINT64_MAX);
}

static ccz_rc put_number(struct ccz_buf *out, const struct place *at, struct ccz_err *err)
{
    enum ccz_json_type type = ccz_jnode_type(at->value);
    uint64_t magnitude, v;
    bool negative;
    if (type != CCZ_JSON_INT && type != CCZ_JSON_STRING)
        return refuse(err, type == CCZ_JSON_REAL ? "door:json-number" : "door:json-type", at);
    struct ccz_span s =
        type == CCZ_JSON_STRING ? ccz_jnode_str(at->value) : ccz_jnode_raw(at->value);
    if (!parse_digits(&magnitude, &negative, s) ||
        !in_range(&v, at->field->kind, magnitude, negative))
        return refuse(err, "door:json-number", at);
    if (v || at->field->repeated)
        ccz_pb_put_uint(out, at->field->number, v);
    return CCZ_OK;
}

static ccz_rc put_bool(struct ccz_buf *out, const struct place *at, struct ccz_err *err)
{
    struct ccz_span raw = ccz_jnode_raw(at->value);
    if (ccz_jnode_type(at->value) != CCZ_JSON_BOOL)
        return refuse(err, "door:json-type", at);
    bool v = raw.size == 4; /* "true" */
    if (v || at->field->repeated)
        ccz_pb_put_uint(out, at->field->number, v);
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------- messages */

static ccz_rc put_members(struct ccz_buf *out, const struct cczi_shape *shape,
                          const struct ccz_jnode *object, unsigned depth, struct ccz_err *err);

static ccz_rc put_message(struct ccz_buf *out, const struct place *at, struct ccz_err *err)
{
    if (ccz_jnode_type(at->value) != CCZ_JSON_OBJECT || at->depth == CCZI_JSON_NESTED_MAX)
        return refuse(err, "door:json-type", at);
    size_t mark = ccz_pb_open(out, at->field->number);
    ccz_rc rc = put_members(out, at->field->of, at->value, at->depth + 1, err);
    if (rc == CCZ_OK)
        ccz_pb_close(out, mark);
    return rc;
}

static ccz_rc put_value(struct ccz_buf *out, const struct place *at, struct ccz_err *err)
{
    switch (at->field->kind) {
    case CCZI_SHAPE_STRING:
        return put_string(out, at, err);
    case CCZI_SHAPE_BYTES:
        return put_bytes(out, at, err);
    case CCZI_SHAPE_BOOL:
        return put_bool(out, at, err);
    case CCZI_SHAPE_MESSAGE:
        return put_message(out, at, err);
    case CCZI_SHAPE_UINT32:
    case CCZI_SHAPE_UINT64:
    case CCZI_SHAPE_INT64:
        break;
    }
    return put_number(out, at, err);
}

static ccz_rc put_field(struct ccz_buf *out, const struct place *at, struct ccz_err *err)
{
    if (!at->value || ccz_jnode_type(at->value) == CCZ_JSON_NULL)
        return CCZ_OK;
    if (!at->field->repeated)
        return put_value(out, at, err);
    if (ccz_jnode_type(at->value) != CCZ_JSON_ARRAY)
        return ccz_refuse(err, CCZ_E_FORMAT, "door:json-type", at->field->json, "an array");
    ccz_rc rc = CCZ_OK;
    for (const struct ccz_jnode *v = ccz_jnode_first(at->value); v && rc == CCZ_OK;
         v = ccz_jnode_next(v)) {
        const struct place element = {at->field, v, at->depth};
        if (ccz_jnode_type(v) == CCZ_JSON_NULL)
            return refuse(err, "door:json-type", &element);
        rc = put_value(out, &element, err);
    }
    return rc;
}

static ccz_rc refuse_member(struct ccz_err *err, const char *where, struct ccz_span key,
                            const char *expected)
{
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), key);
    return ccz_refuse(err, CCZ_E_FORMAT, where, got, expected);
}

/* @p depth is bounded: this calls itself for messages in messages alone. */
static ccz_rc put_members(struct ccz_buf *out, const struct cczi_shape *shape,
                          const struct ccz_jnode *object, unsigned depth, struct ccz_err *err)
{
    uint64_t seen = 0; /* by number, which is below 64 */
    ccz_rc rc = CCZ_OK;
    for (const struct ccz_jnode *v = ccz_jnode_first(object); v && rc == CCZ_OK;
         v = ccz_jnode_next(v)) {
        struct ccz_span key = ccz_jnode_key(v);
        const struct cczi_shape_field *field = cczi_shape_named(shape, key);
        if (!field)
            return refuse_member(err, "door:json-member", key, shape->name);
        if (seen & (UINT64_C(1) << field->number)) /* in its two spellings */
            return refuse_member(err, "door:json-twice", key, "one value");
        seen |= UINT64_C(1) << field->number;
        rc = put_field(out, &(struct place){field, v, depth}, err);
    }
    return rc;
}

ccz_rc cczi_json_get(struct ccz_buf *out, const struct cczi_shape *shape, struct ccz_span text,
                     struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) doc = NULL;
    struct ccz_err why = {0};
    size_t before = out->size;
    ccz_rc rc = ccz_jdoc_parse(&doc, text, &why);
    if (rc != CCZ_OK) {
        ccz_fail(err, rc, "door:json", why.aux, "%s", why.msg);
        return rc;
    }
    if (ccz_jnode_type(ccz_jdoc_root(doc)) != CCZ_JSON_OBJECT)
        return ccz_fail(err, CCZ_E_FORMAT, "door:json-object", 0, "a message is an object");
    rc = put_members(out, shape, ccz_jdoc_root(doc), 0, err);
    if (rc == CCZ_OK && out->bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "door:json-size", (int64_t)out->max_size,
                      "the message does not fit in %zu bytes", out->max_size);
    if (rc != CCZ_OK) {
        if (out->ptr && out->size > before) /* it may hold a secret */
            ccz_wipe(out->ptr + before, out->size - before);
        out->size = before;
        out->bad = false;
    }
    return rc;
}

/* ------------------------------------------------------------------------------ to JSON */

static bool wire_fits(const struct cczi_shape_field *t, const struct ccz_pb_field *f)
{
    bool len = t->kind == CCZI_SHAPE_STRING || t->kind == CCZI_SHAPE_BYTES ||
               t->kind == CCZI_SHAPE_MESSAGE;
    return f->wire == (len ? CCZ_PB_LEN : CCZ_PB_VARINT);
}

static bool print_members(struct ccz_buf *out, const struct cczi_shape *shape,
                          struct ccz_span message, unsigned depth);

static bool print_value(struct ccz_buf *out, const struct cczi_shape_field *t,
                        const struct ccz_pb_field *f, unsigned depth)
{
    switch (t->kind) {
    case CCZI_SHAPE_STRING:
        ccz_json_put_str(out, f->bytes);
        return true;
    case CCZI_SHAPE_BYTES:
        ccz_buf_put_str(out, "\"");
        ccz_base64_put(out, f->bytes, CCZ_BASE64_STD);
        ccz_buf_put_str(out, "\"");
        return true;
    case CCZI_SHAPE_BOOL:
        ccz_buf_put_str(out, f->num ? "true" : "false");
        return true;
    case CCZI_SHAPE_UINT32:
        ccz_buf_printf(out, "%llu", (unsigned long long)f->num);
        return true;
    case CCZI_SHAPE_UINT64: /* in quotes: beyond 2^53 many readers lose digits */
        ccz_buf_printf(out, "\"%llu\"", (unsigned long long)f->num);
        return true;
    case CCZI_SHAPE_INT64:
        ccz_buf_printf(out, "\"%lld\"", (long long)f->num);
        return true;
    case CCZI_SHAPE_MESSAGE:
        break;
    }
    return depth < CCZI_JSON_NESTED_MAX && print_members(out, t->of, f->bytes, depth + 1);
}

/* All values of one field: elements of a repeated one, else the last. */
static bool print_field(struct ccz_buf *out, bool *any, const struct cczi_shape_field *t,
                        struct ccz_span message, unsigned depth)
{
    struct ccz_rd r = ccz_rd_from(message);
    struct ccz_pb_field f, last = {0};
    size_t n = 0;
    while (ccz_pb_next(&f, &r)) {
        if (f.number != t->number)
            continue;
        if (!wire_fits(t, &f))
            return false;
        if (n == 0)
            ccz_buf_printf(out, "%s\"%s\":%s", *any ? "," : "", t->json, t->repeated ? "[" : "");
        else if (t->repeated)
            ccz_buf_put_str(out, ",");
        if (t->repeated && !print_value(out, t, &f, depth))
            return false;
        last = f;
        n++;
    }
    if (n == 0)
        return true;
    *any = true;
    if (!t->repeated)
        return print_value(out, t, &last, depth);
    ccz_buf_put_str(out, "]");
    return true;
}

/* @p depth is bounded, as above. */
static bool print_members(struct ccz_buf *out, const struct cczi_shape *shape,
                          struct ccz_span message, unsigned depth)
{
    struct ccz_rd r = ccz_rd_from(message);
    struct ccz_pb_field f;
    uint64_t there = 0;
    while (ccz_pb_next(&f, &r))
        there |= f.number < 64 ? UINT64_C(1) << f.number : 0;
    if (r.bad)
        return false;
    bool any = false;
    ccz_buf_put_str(out, "{");
    for (size_t i = 0; i < shape->len; i++)
        if ((there & (UINT64_C(1) << shape->fields[i].number)) &&
            !print_field(out, &any, &shape->fields[i], message, depth))
            return false;
    ccz_buf_put_str(out, "}");
    return true;
}

ccz_rc cczi_json_put(struct ccz_buf *out, const struct cczi_shape *shape, struct ccz_span message,
                     struct ccz_err *err)
{
    size_t before = out->size;
    ccz_rc rc = CCZ_OK;
    if (!print_members(out, shape, message, 0))
        rc = ccz_fail(err, CCZ_E_FORMAT, "door:message", (int64_t)message.size,
                      "a malformed message of the service");
    else if (out->bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "door:json-size", (int64_t)out->max_size,
                      "the answer does not fit in %zu bytes", out->max_size);
    if (rc != CCZ_OK) {
        if (out->ptr && out->size > before)
            ccz_wipe(out->ptr + before, out->size - before);
        out->size = before;
        out->bad = false;
    }
    return rc;
}
