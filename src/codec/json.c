/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 8259 through jansson; the only file that includes it. A struct ccz_json is a json_t. */
#include "codec/codec_priv.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { JSON_DEPTH_MAX = 64 };

static const json_t *node(const struct ccz_json *j)
{
    return (const json_t *)(const void *)j;
}

static const struct ccz_json *view(const json_t *j)
{
    return (const struct ccz_json *)(const void *)j;
}

/* ------------------------------------------------------------------------------------ parsing */

/* Behind the string that starts at text[i]; text.size if it does not end. */
static size_t string_end(struct ccz_span text, size_t i)
{
    for (i++; i < text.size; i++) {
        if (text.ptr[i] == '\\')
            i++; /* whatever is escaped, even a quote, does not end the string */
        else if (text.ptr[i] == '"')
            return i + 1;
    }
    return text.size;
}

/* Offset of the bracket that opens level JSON_DEPTH_MAX + 1, or text.size. jansson itself recurses,
 * up to 2048 levels; up to its first syntax error both see the same brackets and strings. */
static size_t find_too_deep(struct ccz_span text)
{
    size_t depth = 0;
    for (size_t i = 0; i < text.size;) {
        uint8_t c = text.ptr[i];
        if (c == '"') {
            i = string_end(text, i);
            continue;
        }
        if ((c == '{' || c == '[') && ++depth > JSON_DEPTH_MAX)
            return i;
        if ((c == '}' || c == ']') && depth > 0)
            depth--;
        i++;
    }
    return text.size;
}

/* Our own words: jansson's quote the input, which may be a secret. */
static const char *parse_error_text(enum json_error_code code)
{
    switch ((int)code) {
    case json_error_out_of_memory:
        return "out of memory";
    case json_error_invalid_utf8:
        return "invalid UTF-8";
    case json_error_premature_end_of_input:
        return "the text ends too early";
    case json_error_end_of_input_expected:
        return "text behind the end of the document";
    case json_error_null_byte_in_key:
        return "NUL in an object key";
    case json_error_duplicate_key:
        return "duplicate object key";
    case json_error_numeric_overflow:
        return "number out of range";
    default:
        return "syntax error";
    }
}

ccz_rc ccz_json_parse(struct ccz_json **out, struct ccz_span text, struct ccz_err *err)
{
    *out = NULL;
    size_t deep = find_too_deep(text);
    if (deep < text.size)
        return ccz_fail(err, CCZ_E_LIMIT, "json:depth", (int64_t)deep,
                        "byte %zu: nested deeper than %d levels", deep, JSON_DEPTH_MAX);
    const uint8_t *nul = text.size ? memchr(text.ptr, 0, text.size) : NULL;
    if (nul) /* nowhere allowed, but jansson skips one behind a number */
        return ccz_fail(err, CCZ_E_FORMAT, "json:parse", nul - text.ptr, "byte %zu: NUL",
                        (size_t)(nul - text.ptr));
    json_error_t e;
    json_t *root = json_loadb(text.size ? (const char *)text.ptr : "", text.size,
                              JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_ALLOW_NUL, &e);
    if (!root) {
        enum json_error_code code = json_error_code(&e);
        return ccz_fail(err, code == json_error_out_of_memory ? CCZ_E_NOMEM : CCZ_E_FORMAT,
                        "json:parse", e.position, "line %d, column %d: %s", e.line, e.column,
                        parse_error_text(code));
    }
    *out = (struct ccz_json *)(void *)root;
    return CCZ_OK;
}

void ccz_json_free(struct ccz_json *root)
{
    json_decref((json_t *)(void *)root);
}

/* ------------------------------------------------------------------------------------- access */

enum ccz_json_type ccz_json_type(const struct ccz_json *j)
{
    static const enum ccz_json_type types[] = {
        [JSON_OBJECT] = CCZ_JSON_OBJECT, [JSON_ARRAY] = CCZ_JSON_ARRAY,
        [JSON_STRING] = CCZ_JSON_STRING, [JSON_INTEGER] = CCZ_JSON_INT,
        [JSON_REAL] = CCZ_JSON_REAL,     [JSON_TRUE] = CCZ_JSON_BOOL,
        [JSON_FALSE] = CCZ_JSON_BOOL,    [JSON_NULL] = CCZ_JSON_NULL,
    };
    return j ? types[json_typeof(node(j))] : CCZ_JSON_NULL;
}

const struct ccz_json *ccz_json_get(const struct ccz_json *j, const char *key)
{
    return view(json_object_get(node(j), key));
}

size_t ccz_json_len(const struct ccz_json *j)
{
    return ccz_json_type(j) == CCZ_JSON_OBJECT ? json_object_size(node(j))
                                               : json_array_size(node(j));
}

const struct ccz_json *ccz_json_at(const struct ccz_json *array, size_t i)
{
    return view(json_array_get(node(array), i));
}

const struct ccz_json *ccz_json_next(const char **key, const struct ccz_json *object)
{
    /* jansson's iterators are not const, though reading through them changes nothing */
    json_t *o = (json_t *)(void *)object;
    void *it = *key ? json_object_iter_next(o, json_object_key_to_iter(*key)) : json_object_iter(o);
    *key = json_object_iter_key(it);
    return view(json_object_iter_value(it));
}

const struct ccz_json *ccz_json_member(const char **key, const struct ccz_json *object, size_t i)
{
    *key = NULL;
    const struct ccz_json *value = ccz_json_next(key, object);
    while (value && i-- > 0)
        value = ccz_json_next(key, object);
    return value;
}

struct ccz_span ccz_json_bytes(const struct ccz_json *j)
{
    const char *s = json_string_value(node(j));
    return s ? CCZ_SPAN(s, json_string_length(node(j))) : (struct ccz_span){0};
}

const char *ccz_json_str(const struct ccz_json *j)
{
    const char *s = json_string_value(node(j));
    return s && strlen(s) == json_string_length(node(j)) ? s : NULL;
}

bool ccz_json_int(int64_t *out, const struct ccz_json *j)
{
    *out = json_integer_value(node(j)); /* 0 unless an integer */
    return ccz_json_type(j) == CCZ_JSON_INT;
}

bool ccz_json_real(double *out, const struct ccz_json *j)
{
    *out = json_number_value(node(j)); /* 0 unless a number */
    return ccz_json_type(j) == CCZ_JSON_INT || ccz_json_type(j) == CCZ_JSON_REAL;
}

bool ccz_json_bool(bool *out, const struct ccz_json *j)
{
    *out = json_is_true(node(j));
    return ccz_json_type(j) == CCZ_JSON_BOOL;
}

/* --------------------------------------------------------------------- raw member of a document */

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t skip_space(struct ccz_span text, size_t i)
{
    while (i < text.size && is_space(text.ptr[i]))
        i++;
    return i;
}

static uint8_t byte_at(struct ccz_span text, size_t i)
{
    return i < text.size ? text.ptr[i] : 0;
}

/* Behind the value that starts at text[i], which is part of a valid document. */
static size_t value_end(struct ccz_span text, size_t i)
{
    size_t depth = 0;
    do {
        uint8_t c = byte_at(text, i);
        if (c == '"') {
            i = string_end(text, i);
        } else if (c == '{' || c == '[') {
            depth++;
            i++;
        } else if (c == '}' || c == ']') {
            depth--;
            i++;
        } else if (depth > 0) {
            i++; /* space, comma, colon and scalars inside */
        } else {
            while (i < text.size && c != ',' && c != '}' && !is_space(c))
                c = byte_at(text, ++i);
        }
    } while (depth > 0 && i < text.size);
    return i;
}

struct ccz_span ccz_json_raw_member(struct ccz_span text, const char *key)
{
    struct ccz_span want = ccz_span_str(key);
    size_t i = skip_space(text, 0);
    if (byte_at(text, i) != '{')
        return (struct ccz_span){0};
    i = skip_space(text, i + 1);
    while (byte_at(text, i) == '"') {
        size_t end = string_end(text, i);
        /* A key written with escapes never matches: its owner then finds no bytes to verify. */
        bool found = ccz_span_eq(ccz_span_sub(text, i + 1, end - i - 2), want);
        i = skip_space(text, end);
        if (byte_at(text, i) != ':')
            break;
        i = skip_space(text, i + 1);
        end = value_end(text, i);
        if (found)
            return ccz_span_sub(text, i, end - i);
        i = skip_space(text, end);
        if (byte_at(text, i) != ',')
            break;
        i = skip_space(text, i + 1);
    }
    return (struct ccz_span){0};
}

/* ------------------------------------------------------------------------------------- writing */

static void put_escaped(struct ccz_buf *out, uint8_t c)
{
    static const char shorts[] = "\"\"\\\\\bb\ff\nn\rr\tt"; /* pairs: byte, letter */
    for (size_t i = 0; i + 1 < sizeof(shorts); i += 2) {
        if (c == (uint8_t)shorts[i]) {
            ccz_buf_u8(out, '\\');
            ccz_buf_u8(out, (uint8_t)shorts[i + 1]);
            return;
        }
    }
    ccz_buf_printf(out, "\\u%04x", c);
}

void ccz_json_put_str(struct ccz_buf *out, struct ccz_span text)
{
    size_t plain = 0; /* start of the bytes that go out as they are */
    ccz_buf_u8(out, '"');
    for (size_t i = 0; i < text.size;) {
        uint8_t c = text.ptr[i];
        size_t n = cczi_utf8_size((struct ccz_span){text.ptr + i, text.size - i});
        if (n > 0 && c >= 0x20 && c != '"' && c != '\\' && c != 0x7f) {
            i += n;
            continue;
        }
        ccz_buf_put(out, text.ptr + plain, i - plain);
        if (n == 0)
            ccz_buf_put_str(out, "\xef\xbf\xbd"); /* U+FFFD for each byte that fits nowhere */
        else
            put_escaped(out, c);
        plain = ++i;
    }
    if (text.size > plain)
        ccz_buf_put(out, text.ptr + plain, text.size - plain);
    ccz_buf_u8(out, '"');
}

enum { FLOAT_TEXT_SIZE = 40 }; /* "-1.2345678901234567e-308" and a locale's decimal point */

static char *put_chars(char *to, const char *from, size_t size)
{
    memcpy(to, from, size);
    return to + size;
}

/* Lays out printf's "[-]d.ddde[+-]xx": plain digits for 1e-5 <= |v| < 1e16, else an exponent;
 * always with a point or an exponent, so that the text reads back as a real. The decimal point of
 * the process's locale is dropped on the way. */
static void put_decimal(struct ccz_buf *out, const char *e_form)
{
    char digits[FLOAT_TEXT_SIZE], text[2 * FLOAT_TEXT_SIZE], *to = text;
    size_t len = 0;
    const char *p = e_form;
    if (*p == '-')
        *to++ = '-';
    for (; *p && *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9')
            digits[len++] = *p;
    }
    while (len > 1 && digits[len - 1] == '0')
        len--;
    const int exponent = *p == 'e' ? (int)strtol(p + 1, NULL, 10) : 0;
    if (exponent < -5 || exponent >= 16) {
        to = put_chars(to, digits, 1);
        to = put_chars(to, ".", len > 1 ? 1 : 0);
        to = put_chars(to, digits + 1, len - 1);
        to += snprintf(to, sizeof("e-308"), "e%d", exponent);
    } else if (exponent < 0) {
        to = put_chars(to, "0.0000", (size_t)(1 - exponent));
        to = put_chars(to, digits, len);
    } else {
        const size_t before = (size_t)exponent + 1, whole = before < len ? before : len;
        to = put_chars(to, digits, whole);
        to = put_chars(to, "000000000000000", before - whole);
        to = put_chars(to, ".", 1);
        to = put_chars(to, len > whole ? digits + whole : "0", len > whole ? len - whole : 1);
    }
    ccz_buf_put(out, text, (size_t)(to - text));
}

static bool put_special(struct ccz_buf *out, double v)
{
    if (isfinite(v))
        return false;
    ccz_buf_put_str(out, isnan(v) ? "NaN" : (v < 0 ? "-Infinity" : "Infinity"));
    return true;
}

enum fit { FIT_NO, FIT_YES, FIT_UNSURE };

/* Does the decimal of @p digits digits nearest to @p a, *m * 10^(exponent - digits + 1), read back as
 * @p a? With m < 2^53 and powers of ten up to 10^22 every step is exact or rounded once. */
static enum fit nearest(uint64_t *m, double a, int digits, int exponent)
{
    static const double power[] = {1e0, 1e1, 1e2, 1e3,  1e4,  1e5, 1e6,
                                   1e7, 1e8, 1e9, 1e10, 1e11, 1e12};
    int k = digits - 1 - exponent;
    double scaled = k >= 0 ? a * power[k] : a / power[-k];
    *m = (uint64_t)scaled;
    double rest = scaled - (double)*m;
    *m += rest > 0.5 || (rest == 0.5 && *m % 2); /* ties to even, as printf */
    double back = k >= 0 ? (double)*m / power[k] : (double)*m * power[-k];
    uint64_t bits;
    memcpy(&bits, &back, sizeof(bits));
    /* A double halfway between two floats may be a decimal beside it, rounded: strtof() must tell. */
    if ((bits & 0x1fffffff) == 0x10000000)
        return FIT_UNSURE;
    bool in_range = *m < (uint64_t)power[digits] && *m >= (uint64_t)power[digits - 1];
    return in_range && (double)(float)back == a ? FIT_YES : FIT_NO;
}

/* put_float() without printf for the sizes that scores and weights have: a quarter of the time. */
static bool put_usual_float(struct ccz_buf *out, float v)
{
    double a = v < 0 ? -(double)v : (double)v;
    if (!(a >= 1e-3 && a < 1e9))
        return false;
    static const double from[] = {1e-3, 1e-2, 1e-1, 1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    int exponent = -3, digits = 6; /* FLT_DIG */
    while (exponent < 8 && a >= from[exponent + 4])
        exponent++;
    uint64_t m;
    enum fit fit;
    while ((fit = nearest(&m, a, digits, exponent)) == FIT_NO && digits < 9)
        digits++;
    if (fit != FIT_YES)
        return false;
    char text[FLOAT_TEXT_SIZE];
    size_t at = 0;
    if (v < 0)
        text[at++] = '-';
    for (int i = digits - 1; i >= 0; i--, m /= 10)
        text[at + (size_t)i] = (char)('0' + m % 10);
    at += (size_t)digits;
    text[at++] = 'e';
    if (exponent < 0)
        text[at++] = '-';
    text[at++] = (char)('0' + (exponent < 0 ? -exponent : exponent));
    text[at] = 0;
    put_decimal(out, text);
    return true;
}

/* A decimal of FLT_DIG digits survives the way through a normal float, so anything shorter shows up
 * as trailing zeros; subnormal numbers hold fewer digits and start at one. */
void ccz_json_put_float(struct ccz_buf *out, float v)
{
    char text[FLOAT_TEXT_SIZE];
    if (put_special(out, (double)v) || put_usual_float(out, v))
        return;
    int digits = fpclassify(v) == FP_SUBNORMAL ? 1 : 6; /* FLT_DIG; 9 always suffice */
    do {
        (void)snprintf(text, sizeof(text), "%.*e", digits - 1, (double)v);
    } while (digits++ < 9 && strtof(text, NULL) != v);
    put_decimal(out, text);
}

void ccz_json_put_double(struct ccz_buf *out, double v)
{
    char text[FLOAT_TEXT_SIZE];
    if (put_special(out, v))
        return;
    int digits = fpclassify(v) == FP_SUBNORMAL ? 1 : 15; /* DBL_DIG; 17 always suffice */
    do {
        (void)snprintf(text, sizeof(text), "%.*e", digits - 1, v);
    } while (digits++ < 17 && strtod(text, NULL) != v);
    put_decimal(out, text);
}
