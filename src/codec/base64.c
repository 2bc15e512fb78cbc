/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4648 (base64, base64url) and RFC 7468 (PEM). Private keys pass through here, so characters
 * are mapped by arithmetic and no memory is indexed by the data; but for PEM that its reader knows
 * to be public, which is certificates in the path of every verification. */
#include <cczoo/codec.h>

#include <string.h>

enum { PEM_LINE = 64 }; /* RFC 7468, section 2: generators wrap at 64 characters */

/* All ones if lo <= x <= hi, else 0; for 0 <= x < 256. */
static unsigned in_range(unsigned x, unsigned lo, unsigned hi)
{
    return 0u - ((~(x - lo) & ~(hi - x)) >> 31); /* no difference went below zero */
}

static uint8_t to_char(unsigned v, enum ccz_base64 kind)
{
    unsigned c62 = kind == CCZ_BASE64_URL ? '-' : '+', c63 = kind == CCZ_BASE64_URL ? '_' : '/';
    return (uint8_t)((in_range(v, 0, 25) & (v + 'A')) | (in_range(v, 26, 51) & (v - 26 + 'a')) |
                     (in_range(v, 52, 61) & (v - 52 + '0')) | (in_range(v, 62, 62) & c62) |
                     (in_range(v, 63, 63) & c63));
}

/* 0..63, or 64 and more (bit 6 set) for a character outside the alphabet. */
static unsigned from_char(unsigned c, enum ccz_base64 kind)
{
    unsigned c62 = kind == CCZ_BASE64_URL ? '-' : '+', c63 = kind == CCZ_BASE64_URL ? '_' : '/';
    unsigned upper = in_range(c, 'A', 'Z'), lower = in_range(c, 'a', 'z');
    unsigned digit = in_range(c, '0', '9'), is62 = in_range(c, c62, c62),
             is63 = in_range(c, c63, c63);
    return (upper & (c - 'A')) | (lower & (c - 'a' + 26)) | (digit & (c - '0' + 52)) | (is62 & 62) |
           (is63 & 63) | (~(upper | lower | digit | is62 | is63) & 64);
}

void ccz_base64_put(struct ccz_buf *out, struct ccz_span in, enum ccz_base64 kind)
{
    size_t whole = in.size / 3, rest = in.size % 3;
    size_t tail = rest == 0 ? 0 : (kind == CCZ_BASE64_STD ? 4 : rest + 1);
    if (whole > (SIZE_MAX - 4) / 4) {
        out->bad = true;
        return;
    }
    uint8_t *to = ccz_buf_extend(out, 4 * whole + tail);
    if (!to)
        return;
    for (size_t i = 0; i < whole; i++, to += 4) {
        const uint8_t *p = in.ptr + 3 * i;
        to[0] = to_char(p[0] >> 2, kind);
        to[1] = to_char((p[0] & 3u) << 4 | p[1] >> 4, kind);
        to[2] = to_char((p[1] & 15u) << 2 | p[2] >> 6, kind);
        to[3] = to_char(p[2] & 63u, kind);
    }
    if (rest == 0)
        return;
    unsigned a = in.ptr[3 * whole], b = rest == 2 ? in.ptr[3 * whole + 1] : 0;
    uint8_t last[4] = {to_char(a >> 2, kind), to_char((a & 3) << 4 | b >> 4, kind),
                       rest == 2 ? to_char((b & 15) << 2, kind) : '=', '='};
    memcpy(to, last, tail);
}

/* Splits off the last group: *len characters (0, 2, 3) that stand for fewer than three bytes. */
static ccz_rc split_tail(size_t *len, struct ccz_span *text, enum ccz_base64 kind,
                         struct ccz_err *err)
{
    size_t pad = 0;
    if (kind == CCZ_BASE64_STD) {
        if (text->size % 4 != 0)
            return ccz_fail(err, CCZ_E_FORMAT, "base64:padding", (int64_t)text->size,
                            "%zu characters are not a multiple of 4", text->size);
        while (pad < 2 && pad < text->size && text->ptr[text->size - 1 - pad] == '=')
            pad++;
    }
    size_t chars = text->size - pad;
    *len = chars % 4;
    if (*len == 1)
        return ccz_fail(err, CCZ_E_FORMAT, "base64:length", (int64_t)text->size,
                        "%zu characters leave a single one over", text->size);
    text->size = chars - *len;
    return CCZ_OK;
}

/* Names the first character outside the alphabet; text that fails is not treated as a secret. */
static ccz_rc fail_char(struct ccz_span text, enum ccz_base64 kind, struct ccz_err *err)
{
    size_t i = 0;
    while (i < text.size && from_char(text.ptr[i], kind) < 64)
        i++;
    return ccz_fail(err, CCZ_E_FORMAT, "base64:alphabet", (int64_t)i,
                    "character %zu is not in the %s alphabet", i,
                    kind == CCZ_BASE64_URL ? "base64url" : "base64");
}

/* Whole groups to bytes. @return above 63 if a character is outside the alphabet: tested once at the
 * end, no early exit on the data */
static unsigned decode_secret(uint8_t *to, struct ccz_span whole, enum ccz_base64 kind)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < whole.size; i += 4, to += 3) {
        unsigned a = from_char(whole.ptr[i], kind), b = from_char(whole.ptr[i + 1], kind);
        unsigned c = from_char(whole.ptr[i + 2], kind), d = from_char(whole.ptr[i + 3], kind);
        wrong |= a | b | c | d;
        to[0] = (uint8_t)(a << 2 | b >> 4);
        to[1] = (uint8_t)(b << 4 | c >> 2);
        to[2] = (uint8_t)(c << 6 | d);
    }
    return wrong;
}

/* clang-format off */
#define NO 64
#define NO_16 NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO
static const uint8_t std_values[256] = {
    NO_16, NO_16,
    NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, NO, 62, NO, NO, NO, 63,
    52, 53, 54, 55, 56, 57, 58, 59, 60, 61, NO, NO, NO, NO, NO, NO,
    NO,  0,  1,  2,  3,  4,  5,  6,  7,  8,  9, 10, 11, 12, 13, 14,
    15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, NO, NO, NO, NO, NO,
    NO, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
    41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, NO, NO, NO, NO, NO,
    NO_16, NO_16, NO_16, NO_16, NO_16, NO_16, NO_16, NO_16};
/* clang-format on */

/* As decode_secret() for public text in the standard alphabet, by table: about ten times faster. */
static unsigned decode_public(uint8_t *to, struct ccz_span whole)
{
    unsigned wrong = 0;
    for (size_t i = 0; i < whole.size; i += 4, to += 3) {
        const uint8_t *p = whole.ptr + i;
        unsigned a = std_values[p[0]], b = std_values[p[1]];
        unsigned c = std_values[p[2]], d = std_values[p[3]];
        unsigned v = a << 18 | b << 12 | c << 6 | d;
        wrong |= a | b | c | d;
        to[0] = (uint8_t)(v >> 16);
        to[1] = (uint8_t)(v >> 8);
        to[2] = (uint8_t)v;
    }
    return wrong;
}

static ccz_rc decode(struct ccz_buf *out, struct ccz_span text, enum ccz_base64 kind,
                     bool is_public, struct ccz_err *err)
{
    struct ccz_span whole = text;
    size_t tail = 0, old = out->size;
    ccz_rc rc = split_tail(&tail, &whole, kind, err);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *to = ccz_buf_extend(out, whole.size / 4 * 3 + (tail ? tail - 1 : 0));
    if (!to)
        return ccz_fail(err, CCZ_E_LIMIT, "base64:size", (int64_t)text.size,
                        "the bytes of %zu characters do not fit in %zu", text.size, out->max_size);
    unsigned wrong = is_public ? decode_public(to, whole) : decode_secret(to, whole, kind);
    unsigned spare = 0;
    to += whole.size / 4 * 3;
    if (tail) {
        const uint8_t *p = whole.ptr + whole.size;
        unsigned a = from_char(p[0], kind), b = from_char(p[1], kind);
        unsigned c = tail == 3 ? from_char(p[2], kind) : 0;
        wrong |= a | b | c;
        spare = tail == 3 ? c & 3 : b & 15;
        to[0] = (uint8_t)(a << 2 | b >> 4);
        if (tail == 3)
            to[1] = (uint8_t)(b << 4 | c >> 2);
    }
    if ((wrong & 64) == 0 && spare == 0)
        return CCZ_OK;
    ccz_wipe(out->ptr + old, out->size - old);
    out->size = old;
    if (wrong & 64)
        return fail_char((struct ccz_span){text.ptr, whole.size + tail}, kind, err);
    /* RFC 4648, 3.5: otherwise several texts would stand for the same bytes */
    return ccz_fail(err, CCZ_E_FORMAT, "base64:spare-bits", (int64_t)text.size,
                    "the unused bits of the last character are not zero");
}

ccz_rc ccz_base64_get(struct ccz_buf *out, struct ccz_span text, enum ccz_base64 kind,
                      struct ccz_err *err)
{
    return decode(out, text, kind, false, err);
}

/* ------------------------------------------------------------------------------- RFC 7468 PEM */

/* Takes one line without its end, LF or CR LF; false at the end of the text. */
static bool take_line(struct ccz_span *line, struct ccz_span *text)
{
    if (text->size == 0)
        return false;
    const uint8_t *nl = memchr(text->ptr, '\n', text->size);
    size_t size = nl ? (size_t)(nl - text->ptr) : text->size;
    *line = (struct ccz_span){text->ptr, size};
    size_t taken = nl ? size + 1 : size;
    *text = (struct ccz_span){text->ptr + taken, text->size - taken};
    if (nl && line->size > 0 && line->ptr[line->size - 1] == '\r')
        line->size--;
    return true;
}

static bool take_prefix(struct ccz_span *s, const char *prefix)
{
    size_t n = strlen(prefix);
    if (s->size < n || memcmp(s->ptr, prefix, n) != 0)
        return false;
    *s = (struct ccz_span){s->ptr + n, s->size - n};
    return true;
}

/* True if @p line is "-----<what> <label>-----". */
static bool is_boundary(struct ccz_span line, const char *what, const char *label)
{
    return take_prefix(&line, "-----") && take_prefix(&line, what) && take_prefix(&line, " ") &&
           take_prefix(&line, label) && take_prefix(&line, "-----") && line.size == 0;
}

ccz_rc ccz_pem_next(struct ccz_buf *out, struct ccz_span *text, const char *label,
                    struct ccz_err *err)
{
    struct ccz_span rest = *text, line = {0};
    bool begun = false;
    while (!begun && take_line(&line, &rest))
        begun = is_boundary(line, "BEGIN", label);
    if (!begun) {
        *text = rest;
        return ccz_fail(err, CCZ_E_NOT_FOUND, "pem:begin", 0, "no (further) %s block", label);
    }
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, rest.size);
    body.wipe = out->wipe;
    if (ccz_buf_extend(&body, rest.size)) /* room for all of it at once */
        ccz_buf_clear(&body);
    bool ended = false;
    while (!ended && take_line(&line, &rest)) {
        ended = line.size > 0 && line.ptr[0] == '-' && is_boundary(line, "END", label);
        /* Section 3, "strict": no other white space than line ends, so that a block that nobody
         * signs as text (the chain in a quote) has one spelling only. */
        if (!ended)
            ccz_buf_put_span(&body, line);
    }
    if (!ended)
        return ccz_fail(err, CCZ_E_FORMAT, "pem:end", (int64_t)text->size,
                        "the %s block has no END line", label);
    if (body.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "pem:body", (int64_t)text->size, "out of memory");
    if (body.size == 0)
        return ccz_fail(err, CCZ_E_FORMAT, "pem:empty", 0, "the %s block is empty", label);
    ccz_rc rc = decode(out, ccz_buf_span(&body), CCZ_BASE64_STD, !out->wipe, err);
    if (rc == CCZ_OK)
        *text = rest;
    return rc;
}

void ccz_pem_put(struct ccz_buf *out, const char *label, struct ccz_span der)
{
    enum { LINE_BYTES = PEM_LINE / 4 * 3 };
    ccz_buf_printf(out, "-----BEGIN %s-----\n", label);
    for (size_t i = 0; i < der.size; i += LINE_BYTES) {
        size_t n = der.size - i < LINE_BYTES ? der.size - i : LINE_BYTES;
        ccz_base64_put(out, (struct ccz_span){der.ptr + i, n}, CCZ_BASE64_STD);
        ccz_buf_u8(out, '\n');
    }
    ccz_buf_printf(out, "-----END %s-----\n", label);
}
