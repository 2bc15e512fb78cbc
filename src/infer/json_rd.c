/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JSON (RFC 8259) as TensorFlow Serving reads it: RapidJSON's iterative parser with NaN and
 * Infinity, which stops behind the first value. Its error texts and offsets are kept. The text is
 * checked once by cczi_json_skip(); after that the values are taken from it in place, so that a
 * request with a million numbers needs no tree.
 */
#include "infer/infer_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool fail(struct cczi_json *j, const uint8_t *at, const char *text)
{
    j->error = text;
    j->error_at = (size_t)(at - j->begin);
    return false;
}

static int peek(const struct cczi_json *j)
{
    return j->p < j->end ? *j->p : 0; /* 0 is no JSON text: it fails every test below */
}

static void space(struct cczi_json *j)
{
    while (j->p < j->end && (*j->p == ' ' || *j->p == '\n' || *j->p == '\r' || *j->p == '\t'))
        j->p++;
}

static bool digit(int c)
{
    return c >= '0' && c <= '9';
}

/* ------------------------------------------------------------------------ checking */

static bool word(struct cczi_json *j, const char *text)
{
    for (; *text; text++, j->p++)
        if (peek(j) != *text)
            return fail(j, j->p, "Invalid value.");
    return true;
}

/*
 * A double from text that is a JSON number. It needs no terminator of its own: behind a number that
 * is not the last byte of the text stands one that cannot belong to it.
 */
static double to_double(const struct cczi_json *j, const uint8_t *from)
{
    return strtod_l((const char *)from, NULL, j->c_locale);
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
    if (peek(j) == '0')
        j->p++;
    else
        for (; digit(peek(j)); j->p++)
            digits++;
    if (peek(j) == '.') {
        j->p++;
        if (!digit(peek(j)))
            return fail(j, j->p, "Miss fraction part in number.");
        while (digit(peek(j)))
            j->p++;
    }
    bool exponent = peek(j) == 'e' || peek(j) == 'E';
    if (exponent) {
        j->p++;
        if (peek(j) == '+' || peek(j) == '-')
            j->p++;
        if (!digit(peek(j)))
            return fail(j, j->p, "Miss exponent in number.");
        while (digit(peek(j)))
            j->p++;
    }
    /* At the end of the text the value around it is incomplete: another error follows. */
    if ((exponent || digits > 300) && j->p < j->end && isinf(to_double(j, from)))
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

/* After a value: closes what ends here. False = error, or (no error) the outermost value is
 * complete. */
static bool close_values(struct cczi_json *j, const bool *object, int *depth)
{
    while (*depth > 0) {
        bool in_object = object[*depth - 1];
        space(j);
        if (peek(j) == ',') {
            j->p++;
            return !in_object || skip_name(j);
        }
        if (peek(j) != (in_object ? '}' : ']'))
            return fail(j, j->p,
                        in_object ? "Missing a comma or '}' after an object member."
                                  : "Missing a comma or ']' after an array element.");
        j->p++;
        (*depth)--;
    }
    return false;
}

bool cczi_json_skip(struct cczi_json *j)
{
    bool object[CCZ_INFER_JSON_DEPTH_MAX];
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
            j->p++;
            space(j);
            if (peek(j) != (c == '{' ? '}' : ']')) { /* its first value */
                object[depth++] = c == '{';
                if (c == '{' && !skip_name(j))
                    return false;
                continue;
            }
            j->p++;
        } else if (!skip_scalar(j)) {
            return false;
        }
        if (!close_values(j, object, &depth))
            return !j->error;
    }
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

/* Digits up to 2^53 and a power of ten up to 10^22 are both exact in a double, so one
 * multiplication or division rounds correctly (Clinger, "How to read floating point numbers
 * accurately"). */
static bool exact(double *out, uint64_t digits, int exponent)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    if (digits > (uint64_t)1 << 53 || exponent < -22 || exponent > 22)
        return false;
    *out = exponent < 0 ? (double)digits / power[-exponent] : (double)digits * power[exponent];
    return true;
}

/* A number with point or exponent, or one that is too long for an integer. */
static double real_number(struct cczi_json *j, const uint8_t *from)
{
    uint64_t digits = 0;
    int exponent = 0, many = 0;
    bool point = false;
    j->p = from;
    for (; digit(peek(j)) || (peek(j) == '.' && !point); j->p++) {
        if (*j->p == '.') {
            point = true;
            continue;
        }
        digits = many < 18 ? digits * 10 + (uint64_t)(*j->p - '0') : digits;
        many += digits > 0;
        exponent -= point;
    }
    bool plain = many <= 18;
    if (peek(j) == 'e' || peek(j) == 'E') {
        j->p++;
        bool minus = peek(j) == '-';
        int e = 0;
        if (minus || peek(j) == '+')
            j->p++;
        for (; digit(peek(j)); j->p++)
            e = e < 10000 ? e * 10 + (*j->p - '0') : e;
        exponent += minus ? -e : e;
    }
    double v;
    if (plain && exact(&v, digits, exponent))
        return v;
    return to_double(j, from);
}

struct cczi_num cczi_json_num(struct cczi_json *j)
{
    struct cczi_num n = {0};
    space(j);
    if (peek(j) == '-') {
        n.negative = true;
        j->p++;
    }
    const uint8_t *from = j->p;
    if (peek(j) == 'N' || peek(j) == 'I') {
        n.real = *from == 'N' ? (double)NAN : (double)INFINITY;
        (void)skip_number(j);
    } else {
        bool fits = true;
        for (; digit(peek(j)); j->p++) {
            unsigned d = (unsigned)(*j->p - '0');
            fits = fits && n.magnitude <= (UINT64_MAX - d) / 10;
            n.magnitude = fits ? n.magnitude * 10 + d : 0;
        }
        int c = peek(j);
        fits = fits && (!n.negative || n.magnitude <= (uint64_t)1 << 63);
        n.integer = fits && c != '.' && c != 'e' && c != 'E';
        n.real = n.integer ? (double)n.magnitude : real_number(j, from);
    }
    n.real = n.negative && !(n.integer && n.magnitude == 0) ? -n.real : n.real;
    return n;
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
