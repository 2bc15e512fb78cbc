/* SPDX-License-Identifier: Apache-2.0 */
/* Text format of protobuf: from bytes to words, and what strings stand for. */
#include "codec/codec_priv.h"
#include "codec/textpb_priv.h"

#include <stdio.h>
#include <string.h>

enum { SHOWN_MAX = 40 };

static bool is_letter(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* The byte at @p at, 0 behind the end: no word holds a NUL. */
static uint8_t peek(const struct cczi_lex *l, size_t at)
{
    return at < l->text.size ? l->text.ptr[at] : 0;
}

/* What an error says about the token. */
static void show(char *out, size_t size, const struct cczi_lex *l)
{
    static const char *const kinds[] = {[CCZI_TOK_END] = "the end of the text",
                                        [CCZI_TOK_NAME] = "a word",
                                        [CCZI_TOK_NUMBER] = "a number",
                                        [CCZI_TOK_STRING] = "a string",
                                        [CCZI_TOK_MARK] = "a mark"};
    char word[SHOWN_MAX];
    if (l->secret || l->tok == CCZI_TOK_END || l->tok == CCZI_TOK_STRING) {
        (void)snprintf(out, size, "%s", kinds[l->tok]);
        return;
    }
    ccz_escape(word, sizeof(word), l->word);
    (void)snprintf(out, size, "'%s'", word);
}

ccz_rc cczi_lex_refuse(const struct cczi_lex *l, ccz_rc rc, const char *where, const char *expected,
                       struct ccz_err *err)
{
    char got[SHOWN_MAX + 8];
    show(got, sizeof(got), l);
    (void)ccz_fail(err, rc, where, (int64_t)l->tok_line,
                   "line %zu, column %zu: got %s, expected %s", l->tok_line, l->tok_column, got,
                   expected);
    if (err) {
        (void)snprintf(err->got, sizeof(err->got), "%s", got);
        (void)snprintf(err->expected, sizeof(err->expected), "%s", expected);
    }
    return rc;
}

bool cczi_lex_is(const struct cczi_lex *l, char mark)
{
    return l->tok == CCZI_TOK_MARK && l->word.ptr[0] == (uint8_t)mark;
}

bool cczi_lex_word(const struct cczi_lex *l, const char *word)
{
    return l->tok == CCZI_TOK_NAME && ccz_span_eq(l->word, ccz_span_str(word));
}

/* White space and comments. */
static void skip(struct cczi_lex *l)
{
    for (bool comment = false; l->at < l->text.size; l->at++) {
        const uint8_t c = l->text.ptr[l->at];
        if (c == '\n') {
            comment = false;
            l->line++;
            l->line_start = l->at + 1;
        } else if (!comment && c == '#') {
            comment = true;
        } else if (!comment && c != ' ' && c != '\t' && c != '\r' && c != '\v' && c != '\f') {
            return;
        }
    }
}

static size_t number_size(const struct cczi_lex *l)
{
    const bool hex = peek(l, l->at) == '0' && (peek(l, l->at + 1) | 0x20) == 'x';
    size_t n = 0;
    for (;; n++) {
        const uint8_t c = peek(l, l->at + n);
        const uint8_t before = n > 0 ? (uint8_t)(peek(l, l->at + n - 1) | 0x20) : 0;
        const bool sign = (c == '-' || c == '+') && before == 'e' && !hex;
        if (!is_letter(c) && !is_digit(c) && c != '.' && !sign)
            return n;
    }
}

/* @return bytes of the string with its quotes; 0 if it has no end. Lines in it are counted by the caller. */
static size_t string_size(const struct cczi_lex *l)
{
    const uint8_t quote = l->text.ptr[l->at];
    for (size_t i = l->at + 1; i < l->text.size; i++) {
        if (l->text.ptr[i] == quote)
            return i + 1 - l->at;
        i += l->text.ptr[i] == '\\';
    }
    return 0;
}

static ccz_rc no_word(struct cczi_lex *l, struct ccz_err *err)
{
    static const uint8_t typographic[] = {0xe2, 0x80};
    const struct ccz_span rest = ccz_span_sub(l->text, l->at, sizeof(typographic));
    l->tok = CCZI_TOK_MARK;
    l->word = ccz_span_sub(l->text, l->at, 1);
    (void)cczi_lex_refuse(l, CCZ_E_FORMAT, "textpb:syntax", "a field name, a value or a bracket",
                          err);
    if (l->word.ptr[0] == '/' || l->word.ptr[0] == '*')
        return ccz_hint(err, CCZ_E_FORMAT, "comments begin with # in this format");
    if (rest.size == sizeof(typographic) && memcmp(rest.ptr, typographic, sizeof(typographic)) == 0)
        return ccz_hint(err, CCZ_E_FORMAT, "typographic quotes? strings stand in ' or \"");
    if (l->word.ptr[0] == '=')
        return ccz_hint(err, CCZ_E_FORMAT, "a value follows ':', not '='");
    if (l->word.ptr[0] == '$' || l->word.ptr[0] == '%')
        return ccz_hint(err, CCZ_E_FORMAT, "variables are not replaced in this file");
    return CCZ_E_FORMAT;
}

static ccz_rc take_string(struct cczi_lex *l, size_t *size, struct ccz_err *err)
{
    *size = string_size(l);
    l->tok = CCZI_TOK_STRING;
    if (*size > 0)
        return CCZ_OK;
    (void)ccz_fail(err, CCZ_E_FORMAT, "textpb:string", (int64_t)l->tok_line,
                   "line %zu, column %zu: got a string without an end, expected its closing quote",
                   l->tok_line, l->tok_column);
    return ccz_hint(
        err, CCZ_E_FORMAT,
        "strings may span lines, so that the quote that is missing may be an earlier one");
}

ccz_rc cczi_lex_next(struct cczi_lex *l, struct ccz_err *err)
{
    size_t n = 1;
    ccz_rc rc = CCZ_OK;
    skip(l);
    l->tok_line = l->line;
    l->tok_column = l->at - l->line_start + 1;
    const uint8_t c = peek(l, l->at);
    if (l->at == l->text.size) {
        l->tok = CCZI_TOK_END;
        n = 0;
    } else if (is_letter(c)) {
        l->tok = CCZI_TOK_NAME;
        while (is_letter(peek(l, l->at + n)) || is_digit(peek(l, l->at + n)))
            n++;
    } else if (is_digit(c) || (c == '.' && is_digit(peek(l, l->at + 1)))) {
        l->tok = CCZI_TOK_NUMBER;
        n = number_size(l);
    } else if (c == '"' || c == '\'') {
        rc = take_string(l, &n, err);
    } else if (c != 0 && c != '/' && strchr("{}<>[]:,;-.", c)) {
        l->tok = CCZI_TOK_MARK;
    } else {
        return no_word(l, err);
    }
    l->word = ccz_span_sub(l->text, l->at, n);
    for (size_t i = 0; l->tok == CCZI_TOK_STRING && i < n; i++) {
        if (l->word.ptr[i] == '\n') {
            l->line++;
            l->line_start = l->at + i + 1;
        }
    }
    l->at += n;
    return rc;
}

ccz_rc cczi_lex_begin(struct cczi_lex *l, struct ccz_span text, bool secret, struct ccz_err *err)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    *l = (struct cczi_lex){.text = text, .line = 1, .secret = secret};
    if (text.size >= sizeof(mark) && memcmp(text.ptr, mark, sizeof(mark)) == 0)
        l->at = l->line_start = sizeof(mark);
    return cczi_lex_next(l, err);
}

/* --------------------------------------------------------------------------- escapes in strings */

unsigned cczi_hex_digit(uint8_t c)
{
    if (is_digit(c))
        return c - (unsigned)'0';
    const uint8_t lower = c | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10u : 16u;
}

/* Up to @p max digits of @p base at the start of @p s. @return how many */
static size_t digits(uint32_t *value, struct ccz_span s, unsigned base, size_t max)
{
    size_t n = 0;
    *value = 0;
    while (n < s.size && n < max && cczi_hex_digit(s.ptr[n]) < base)
        *value = *value * base + cczi_hex_digit(s.ptr[n++]);
    return n;
}

/* @return bytes of UTF-8; 0 if there is no such character */
static size_t utf8_of(uint8_t out[4], uint32_t c)
{
    if (c < 0x80) {
        out[0] = (uint8_t)c;
        return 1;
    }
    const size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const uint8_t lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    if (c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return 0;
    for (size_t i = n - 1; i > 0; i--, c >>= 6)
        out[i] = (uint8_t)(0x80 | (c & 0x3f));
    out[0] = (uint8_t)(lead[n] | c);
    return n;
}

/* The escape at the start of @p s, which follows the backslash. @param[out] bytes, len  what it stands for
 * @return bytes of it; 0 if it is none */
static size_t escape(uint8_t bytes[4], size_t *len, struct ccz_span s)
{
    static const char names[] = "abfnrtv\\'\"?", values[] = "\a\b\f\n\r\t\v\\'\"?";
    uint32_t v;
    *len = 1;
    if (s.size == 0 || s.ptr[0] == 0)
        return 0;
    const char *named = strchr(names, s.ptr[0]);
    if (named) {
        bytes[0] = (uint8_t)values[named - names];
        return 1;
    }
    const struct ccz_span rest = ccz_span_sub(s, 1, s.size - 1);
    size_t n = digits(&v, s, 8, 3);
    if (n == 0 && (s.ptr[0] == 'x' || s.ptr[0] == 'X')) {
        n = digits(&v, rest, 16, 2);
        n += n > 0;
    } else if (n == 0 && (s.ptr[0] == 'u' || s.ptr[0] == 'U')) {
        const size_t want = s.ptr[0] == 'u' ? 4 : 8;
        *len = digits(&v, rest, 16, want) == want ? utf8_of(bytes, v) : 0;
        return *len > 0 ? want + 1 : 0;
    }
    bytes[0] = (uint8_t)v;
    return v > 0xff ? 0 : n;
}

ccz_rc cczi_lex_unescape(struct ccz_buf *out, const struct cczi_lex *l, struct ccz_err *err)
{
    const struct ccz_span s = ccz_span_sub(l->word, 1, l->word.size - 2);
    uint8_t bytes[4];
    for (size_t i = 0; i < s.size;) {
        size_t len = 1, n = 1;
        if (s.ptr[i] == '\\') {
            n = escape(bytes, &len, ccz_span_sub(s, i + 1, s.size - i - 1));
            if (n == 0)
                return cczi_lex_refuse(l, CCZ_E_FORMAT, "textpb:string",
                                       "escapes as in C (\\n, \\\\, \\x41, \\101, \\u00e9)", err);
            n++;
        } else {
            while (i + n < s.size && s.ptr[i + n] != '\\')
                n++;
        }
        if (out)
            ccz_buf_put(out, s.ptr[i] == '\\' ? bytes : s.ptr + i, s.ptr[i] == '\\' ? len : n);
        i += n;
    }
    return CCZ_OK;
}
