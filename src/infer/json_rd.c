/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259) as TensorFlow Serving reads it: RapidJSON's iterative parser with NaN and
 * Infinity, which stops behind the first value. Its error texts and offsets are kept. The text is
 * checked once by cczi_json_skip(); after that the values are taken from it in place, so that a
 * request with a million numbers needs no tree.
 */
#include "infer/json_cursor.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool fail(struct cczi_json *j, const uint8_t *at, const char *text)
{
    j->error = text;
    j->error_at = (size_t)(at - j->begin);
    return false;
}

/* ------------------------------------------------------------------------ checking */

static bool word(struct cczi_json *j, const char *text)
{
    for (; *text; text++, j->p++)
        if (peek(j) != *text)
            return fail(j, j->p, "Invalid value.");
    return true;
}

static bool skip_number(struct cczi_json *j)
{
    const uint8_t *from = j->p;
    size_t digits = 0;
    if (peek(j) == '-')
        j->p++;
    if (peek(j) == 'N')
        return word(j, "NaN");
    if (peek(j) == 'I') {
        bool ok = word(j, "Inf");
        return ok && peek(j) == 'i' ? word(j, "inity") : ok;
    }
    if (!digit(peek(j)))
        return fail(j, j->p, "Invalid value.");
    if (peek(j) == '0') {
        j->p++;
    } else {
        digits = cczi_digits(j->p, j->end);
        j->p += digits;
    }
    if (peek(j) == '.') {
        const size_t n = cczi_digits(++j->p, j->end);
        if (n == 0)
            return fail(j, j->p, "Miss fraction part in number.");
        j->p += n;
    }
    bool exponent = peek(j) == 'e' || peek(j) == 'E';
    if (exponent) {
        j->p++;
        if (peek(j) == '+' || peek(j) == '-')
            j->p++;
        const size_t n = cczi_digits(j->p, j->end);
        if (n == 0)
            return fail(j, j->p, "Miss exponent in number.");
        j->p += n;
    }
    /* At the end of the text the value around it is incomplete: another error follows. */
    if ((exponent || digits > 300) && j->p < j->end && isinf(cczi_json_strtod(j, from)))
        return fail(j, from, "Number too big to be stored in double.");
    return true;
}

static int hex4(const uint8_t *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i] | 0x20,
            d = digit(p[i]) ? p[i] - '0' : (c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1);
        if (d < 0)
            return -1;
        v = v * 16 + d;
    }
    return v;
}

/* Cursor behind the 'u'; a high surrogate takes the low one that must follow. -1 = bad digit, -2 =
 * bad pair. */
static int32_t unicode(struct cczi_json *j)
{
    int32_t hi = j->end - j->p >= 4 ? hex4(j->p) : -1;
    if (hi < 0)
        return -1;
    j->p += 4;
    if (hi < 0xd800 || hi > 0xdfff)
        return hi;
    if (hi > 0xdbff || j->end - j->p < 6 || j->p[0] != '\\' || j->p[1] != 'u')
        return -2;
    int32_t lo = hex4(j->p + 2);
    if (lo < 0)
        return -1;
    if (lo < 0xdc00 || lo > 0xdfff)
        return -2;
    j->p += 6;
    return 0x10000 + ((hi - 0xd800) << 10) + (lo - 0xdc00);
}

static bool skip_escape(struct cczi_json *j, const uint8_t *backslash)
{
    int c = peek(j);
    if (c == 'u') {
        j->p++;
        int32_t v = unicode(j);
        if (v == -1)
            return fail(j, backslash, "Incorrect hex digit after \\u escape in string.");
        return v >= 0 || fail(j, backslash, "The surrogate pair in string is invalid.");
    }
    if (c == 0 || !strchr("\"\\/bfnrt", c))
        return fail(j, backslash, "Invalid escape character in string.");
    j->p++;
    return true;
}

static bool skip_string(struct cczi_json *j)
{
    j->p++; /* the opening quote */
    for (;;) {
        const uint8_t *at = j->p;
        int c = peek(j);
        if (c == 0)
            return fail(j, at, "Missing a closing quotation mark in string.");
        if (c < 0x20)
            return fail(j, at,
                        "Invalid escape character in string."); /* a bare control character */
        j->p++;
        if (c == '"')
            return true;
        if (c == '\\' && !skip_escape(j, at))
            return false;
    }
}

static bool skip_scalar(struct cczi_json *j)
{
    switch (peek(j)) {
    case '"':
        return skip_string(j);
    case 'n':
        return word(j, "null");
    case 't':
        return word(j, "true");
    case 'f':
        return word(j, "false");
    default:
        return skip_number(j);
    }
}

/* Member name and colon, at the name. */
static bool skip_name(struct cczi_json *j)
{
    space(j);
    if (peek(j) != '"')
        return fail(j, j->p, "Missing a name for object member.");
    if (!skip_string(j))
        return false;
    space(j);
    if (peek(j) != ':')
        return fail(j, j->p, "Missing a colon after a name of object member.");
    j->p++;
    return true;
}

/* A list or object that is open. */
struct open {
    bool object;
    const uint8_t *from;
    int64_t len; /* values before the one at the cursor */
};

static void note(struct cczi_json_seen *seen, const struct open *o, const uint8_t *behind)
{
    if (!o->object && behind - o->from >= CCZI_SEEN_SIZE_MIN && seen->len < CCZI_SEEN_MAX)
        seen->list[seen->len++] =
            (struct cczi_json_list){.from = o->from, .behind = behind, .len = o->len};
}

/* After a value: closes what ends here. False = error, or (no error) the outermost value is
 * complete. */
static bool close_values(struct cczi_json *j, struct open *open, int *depth,
                         struct cczi_json_seen *seen)
{
    while (*depth > 0) {
        struct open *o = &open[*depth - 1];
        o->len++;
        space(j);
        if (peek(j) == ',') {
            j->p++;
            return !o->object || skip_name(j);
        }
        if (peek(j) != (o->object ? '}' : ']'))
            return fail(j, j->p,
                        o->object ? "Missing a comma or '}' after an object member."
                                  : "Missing a comma or ']' after an array element.");
        j->p++;
        if (seen)
            note(seen, o, j->p);
        (*depth)--;
    }
    return false;
}

static const struct cczi_json_list *seen_list(struct cczi_json *j)
{
    space(j);
    for (size_t i = j->seen && peek(j) == '[' ? j->seen->len : 0; i > 0; i--)
        if (j->seen->list[i - 1].from == j->p) /* the outer ones are last */
            return &j->seen->list[i - 1];
    return NULL;
}

static bool pass(struct cczi_json *j, struct cczi_json_seen *seen)
{
    struct open open[CCZ_INFER_JSON_DEPTH_MAX];
    int depth = 0;
    space(j);
    if (j->p == j->end || (*j->p && strchr(",:]}", *j->p))) /* no value begins here */
        return fail(j, j->p, "The document is empty.");
    for (;;) {
        space(j);
        int c = peek(j);
        if (c == '{' || c == '[') {
            if (depth == CCZ_INFER_JSON_DEPTH_MAX)
                return fail(j, j->p, "Nested too deeply.");
            const uint8_t *from = j->p++;
            space(j);
            if (peek(j) != (c == '{' ? '}' : ']')) { /* its first value */
                open[depth++] = (struct open){.object = c == '{', .from = from};
                if (c == '{' && !skip_name(j))
                    return false;
                continue;
            }
            j->p++;
        } else if (!skip_scalar(j)) {
            return false;
        }
        if (!close_values(j, open, &depth, seen))
            return !j->error;
    }
}

bool cczi_json_check(struct cczi_json *j, struct cczi_json_seen *seen)
{
    struct cczi_json at = *j;
    seen->len = 0;
    bool good = pass(&at, seen);
    j->error = at.error;
    j->error_at = at.error_at;
    j->seen = seen;
    return good;
}

bool cczi_json_skip(struct cczi_json *j)
{
    const struct cczi_json_list *l = seen_list(j);
    if (!l)
        return pass(j, NULL);
    j->p = l->behind;
    return true;
}

int64_t cczi_json_elements(struct cczi_json array)
{
    const struct cczi_json_list *l = seen_list(&array);
    int64_t n = 0;
    if (l)
        return l->len;
    cczi_json_enter(&array);
    for (; cczi_json_more(&array, n == 0); n++)
        (void)cczi_json_skip(&array);
    return n;
}

/* ------------------------------------------------------------------------ taking */

enum cczi_json_kind cczi_json_kind(struct cczi_json *j)
{
    space(j);
    switch (peek(j)) {
    case 'n':
        return CCZI_NULL;
    case 't':
        return CCZI_TRUE;
    case 'f':
        return CCZI_FALSE;
    case '{':
        return CCZI_OBJECT;
    case '[':
        return CCZI_ARRAY;
    case '"':
        return CCZI_STRING;
    default:
        return CCZI_NUMBER;
    }
}

const char *cczi_json_kind_name(enum cczi_json_kind k)
{
    static const char *const names[] = {"Null",  "False",  "True",  "Object",
                                        "Array", "String", "Number"};
    return names[k];
}

void cczi_json_enter(struct cczi_json *j)
{
    space(j);
    j->p++;
}

bool cczi_json_more(struct cczi_json *j, bool first)
{
    space(j);
    if (peek(j) == ']' || peek(j) == '}') {
        j->p++;
        return false;
    }
    if (!first)
        j->p++; /* the comma */
    return true;
}

static size_t put_utf8(uint8_t *to, uint32_t c)
{
    if (c < 0x80) {
        to[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        to[0] = (uint8_t)(0xc0 | c >> 6);
        to[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c < 0x10000) {
        to[0] = (uint8_t)(0xe0 | c >> 12);
        to[1] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | c >> 18);
    to[1] = (uint8_t)(0x80 | (c >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (c >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

static uint8_t plain_escape(uint8_t c)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *at = strchr(from, c);
    return at ? (uint8_t)to[at - from] : c;
}

struct ccz_span cczi_json_string(struct cczi_json *j, struct cczi_scratch *scratch)
{
    space(j);
    const uint8_t *from = j->p + 1;
    (void)skip_string(j);
    const uint8_t *end = j->p - 1;
    size_t size = (size_t)(end - from), n = 0;
    if (size == 0 || !memchr(from, '\\', size))
        return CCZ_SPAN(from, size);
    uint8_t *to = cczi_scratch_take(scratch, size,
                                    1); /* an escape is never shorter than what it stands for */
    if (!to)
        return (struct ccz_span){0};
    struct cczi_json s = *j;
    for (s.p = from; s.p < end;) {
        uint8_t c = *s.p++;
        if (c != '\\') {
            to[n++] = c;
            continue;
        }
        c = *s.p++;
        if (c == 'u')
            n += put_utf8(to + n, (uint32_t)unicode(&s));
        else
            to[n++] = plain_escape(c);
    }
    return CCZ_SPAN(to, n);
}

struct ccz_span cczi_json_key(struct cczi_json *j, struct cczi_scratch *scratch)
{
    struct ccz_span key = cczi_json_string(j, scratch);
    space(j);
    j->p++; /* the colon */
    return key;
}
