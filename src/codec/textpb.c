/* SPDX-License-Identifier: Apache-2.0 */
/* Text format of protobuf to wire format. No recursion: messages that are open are a stack. */
#include "codec/codec_priv.h"
#include "codec/textpb_priv.h"

#include <stdio.h>
#include <string.h>

/* A message that is open. */
struct frame {
    const struct ccz_textpb_message *m;  /* NULL: of no effect, its content is only looked at */
    char close;                          /* 0: the whole text */
    size_t mark;                         /* of ccz_pb_open() */
    uint64_t seen, oneofs;               /* fields by index; oneofs by number */
    const struct ccz_textpb_field *list; /* a list [..] of this field is open */
    size_t list_len;
};
struct parser {
    struct cczi_lex l;
    struct ccz_buf *out;
    struct frame stack[CCZ_TEXTPB_DEPTH_MAX];
    size_t depth;
    struct ccz_err *err;
};
/* Stands for the fields of a message of no effect. */
static const struct ccz_textpb_field anything = {
    .name = "", .kind = CCZ_TEXTPB_IGNORED, .repeated = true};

static ccz_rc next(struct parser *p)
{
    return cczi_lex_next(&p->l, p->err);
}

static ccz_rc refuse(struct parser *p, const char *where, const char *expected)
{
    return cczi_lex_refuse(&p->l, CCZ_E_FORMAT, where, expected, p->err);
}

static ccz_rc hint(struct parser *p, ccz_rc rc, const char *before, const char *name,
                   const char *after)
{
    char text[CCZ_ERR_HINT_SIZE];
    (void)snprintf(text, sizeof(text), "%s%s%s", before, name, after);
    return ccz_hint(p->err, rc, text);
}

/* ------------------------------------------------------------------------------------ scalars */

/* A number as a whole token: decimal, 0x.., 0... @return false: no integer; *fits: it is below 2^64 */
static bool integer(uint64_t *out, bool *fits, struct ccz_span word)
{
    unsigned base = 10;
    size_t i = 0;
    *out = 0;
    *fits = true;
    if (word.size > 1 && word.ptr[0] == '0') {
        base = (word.ptr[1] | 0x20) == 'x' ? 16 : 8;
        i = base == 16 ? 2 : 1;
    }
    if (i == word.size)
        return false;
    for (; i < word.size; i++) {
        const unsigned d = cczi_hex_digit(word.ptr[i]);
        if (d >= base)
            return false;
        *fits = *fits && !__builtin_mul_overflow(*out, base, out) &&
                !__builtin_add_overflow(*out, d, out);
    }
    return true;
}

/* A sign, if there is one, and a number that is an integer between @p min and @p max. */
static ccz_rc take_integer(struct parser *p, uint64_t *out, int64_t min, uint64_t max)
{
    uint64_t v = 0;
    bool fits = true;
    const bool minus = cczi_lex_is(&p->l, '-');
    ccz_rc rc = minus ? next(p) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    if (p->l.tok != CCZI_TOK_NUMBER || !integer(&v, &fits, p->l.word)) {
        (void)refuse(p, "textpb:value", "an integer");
        return p->l.tok == CCZI_TOK_STRING
                   ? ccz_hint(p->err, CCZ_E_FORMAT, "numbers are written without quotes")
                   : CCZ_E_FORMAT;
    }
    if (minus)
        fits = fits && v <= (uint64_t)0 - (uint64_t)min;
    if (!fits || (!minus && v > max)) {
        char expected[64];
        (void)snprintf(expected, sizeof(expected), "%lld to %llu", (long long)min,
                       (unsigned long long)max);
        return cczi_lex_refuse(&p->l, CCZ_E_LIMIT, "textpb:range", expected, p->err);
    }
    *out = minus ? (uint64_t)0 - v : v;
    return next(p);
}

static ccz_rc put_integer(struct parser *p, uint32_t number, int64_t min, uint64_t max)
{
    uint64_t v;
    ccz_rc rc = take_integer(p, &v, min, max);
    if (rc == CCZ_OK)
        ccz_pb_put_uint(p->out, number, v);
    return rc;
}

static ccz_rc put_bool(struct parser *p, uint32_t number)
{
    static const char *const yes[] = {"true", "True", "t"}, *const no[] = {"false", "False", "f"};
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++) {
        const bool is_yes = cczi_lex_word(&p->l, yes[i]);
        if (is_yes || cczi_lex_word(&p->l, no[i])) {
            ccz_pb_put_uint(p->out, number, is_yes);
            return next(p);
        }
    }
    if (p->l.tok == CCZI_TOK_NUMBER)
        return put_integer(p, number, 0, 1);
    return refuse(p, "textpb:value", "true or false");
}

static ccz_rc put_enum(struct parser *p, const struct ccz_textpb_field *f)
{
    const bool name = p->l.tok == CCZI_TOK_NAME;
    const struct cczi_lex at = p->l; /* the number may turn out to be none of them */
    uint64_t v = 0;
    char known[120] = "one of";
    ccz_rc rc = name ? CCZ_OK : take_integer(p, &v, INT32_MIN, INT32_MAX);
    for (const struct ccz_textpb_value *e = f->values; rc == CCZ_OK && e->name; e++) {
        if (name ? cczi_lex_word(&p->l, e->name) : (int64_t)v == e->number) {
            ccz_pb_put_uint(p->out, f->number, (uint64_t)(int64_t)e->number);
            return name ? next(p) : CCZ_OK;
        }
        const size_t n = strlen(known);
        (void)snprintf(known + n, sizeof(known) - n, " %s", e->name);
    }
    return rc == CCZ_OK ? cczi_lex_refuse(&at, CCZ_E_FORMAT, "textpb:value", known, p->err) : rc;
}

static ccz_rc put_double(struct parser *p, uint32_t number)
{
    const bool minus = cczi_lex_is(&p->l, '-');
    double v = 0;
    ccz_rc rc = minus ? next(p) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span word = p->l.word;
    if (word.size > 1 && (word.ptr[word.size - 1] | 0x20) == 'f') /* "1.5f" of C */
        word.size--;
    if (p->l.tok != CCZI_TOK_NUMBER || !ccz_decimal(&v, word))
        return refuse(p, "textpb:value", "a finite decimal number");
    ccz_pb_put_double(p->out, number, minus ? -v : v);
    return next(p);
}

/* Adjacent strings are one. @param out  NULL: only looks */
static ccz_rc take_strings(struct parser *p, struct ccz_buf *out)
{
    ccz_rc rc = CCZ_OK;
    if (p->l.tok != CCZI_TOK_STRING) {
        (void)refuse(p, "textpb:value", "a string in quotes");
        return ccz_hint(p->err, CCZ_E_FORMAT, "strings stand in ' or \"");
    }
    while (rc == CCZ_OK && p->l.tok == CCZI_TOK_STRING) {
        rc = cczi_lex_unescape(out, &p->l, p->err);
        if (rc == CCZ_OK)
            rc = next(p);
    }
    return rc;
}

static ccz_rc put_string(struct parser *p, uint32_t number)
{
    const struct cczi_lex at = p->l;
    const size_t mark = ccz_pb_open(p->out, number);
    ccz_rc rc = take_strings(p, p->out);
    if (rc != CCZ_OK || p->out->bad)
        return rc;
    if (!ccz_utf8_ok(CCZ_SPAN(p->out->ptr + mark, p->out->size - mark)))
        return cczi_lex_refuse(&at, CCZ_E_FORMAT, "textpb:string", "UTF-8", p->err);
    ccz_pb_close(p->out, mark);
    return CCZ_OK;
}

/* Any scalar, of whatever type. */
static ccz_rc skip_scalar(struct parser *p)
{
    ccz_rc rc = cczi_lex_is(&p->l, '-') ? next(p) : CCZ_OK;
    if (rc == CCZ_OK && p->l.tok == CCZI_TOK_STRING)
        return take_strings(p, NULL);
    if (rc == CCZ_OK && p->l.tok != CCZI_TOK_NAME && p->l.tok != CCZI_TOK_NUMBER)
        return refuse(p, "textpb:syntax", "a value");
    return rc == CCZ_OK ? next(p) : rc;
}

/* ----------------------------------------------------------------------------------- messages */

static ccz_rc open_message(struct parser *p, const struct ccz_textpb_field *f)
{
    if (p->depth == CCZ_TEXTPB_DEPTH_MAX)
        return cczi_lex_refuse(&p->l, CCZ_E_LIMIT, "textpb:depth",
                               "at most 32 messages inside each other", p->err);
    const bool ignored = f->kind == CCZ_TEXTPB_IGNORED;
    p->stack[p->depth++] = (struct frame){.m = ignored ? NULL : f->message,
                                          .close = cczi_lex_is(&p->l, '<') ? '>' : '}',
                                          .mark = ignored ? 0 : ccz_pb_open(p->out, f->number)};
    return next(p);
}

/* One value of @p f: written, or the message that it is opened. */
static ccz_rc value(struct parser *p, const struct ccz_textpb_field *f)
{
    const bool brace = cczi_lex_is(&p->l, '{') || cczi_lex_is(&p->l, '<');
    switch (f->kind) {
    case CCZ_TEXTPB_BOOL:
        return put_bool(p, f->number);
    case CCZ_TEXTPB_INT32:
        return put_integer(p, f->number, INT32_MIN, INT32_MAX);
    case CCZ_TEXTPB_INT64:
        return put_integer(p, f->number, INT64_MIN, INT64_MAX);
    case CCZ_TEXTPB_UINT32:
        return put_integer(p, f->number, 0, UINT32_MAX);
    case CCZ_TEXTPB_DOUBLE:
        return put_double(p, f->number);
    case CCZ_TEXTPB_STRING:
        return put_string(p, f->number);
    case CCZ_TEXTPB_ENUM:
        return put_enum(p, f);
    case CCZ_TEXTPB_IGNORED:
        return brace ? open_message(p, f) : skip_scalar(p);
    case CCZ_TEXTPB_MESSAGE:
        break;
    }
    if (brace)
        return open_message(p, f);
    (void)refuse(p, "textpb:value", "a message in { }");
    if (f->message->len == 1 && strcmp(f->message->fields[0].name, "value") == 0)
        return hint(p, CCZ_E_FORMAT, "write ", f->name, " { value: .. }");
    return hint(p, CCZ_E_FORMAT, "it is a message: write ", f->name, " { .. }");
}

static ccz_rc unknown(struct parser *p, const struct ccz_textpb_message *m)
{
    char known[CCZ_ERR_HINT_SIZE] = "";
    for (size_t i = 0, n = 0; i < m->len && n < sizeof(known); i++, n = strlen(known))
        (void)snprintf(known + n, sizeof(known) - n, "%s%s",
                       i ? ", " : "it has: ", m->fields[i].name);
    char expected[80];
    (void)snprintf(expected, sizeof(expected), "a field of %s", m->name);
    (void)refuse(p, "textpb:field", expected);
    return ccz_hint(p->err, CCZ_E_FORMAT, known);
}

/* "[type.googleapis.com/x.Y]", the name of an Any or an extension. */
static ccz_rc skip_extension(struct parser *p)
{
    ccz_rc rc = next(p);
    while (rc == CCZ_OK && !cczi_lex_is(&p->l, ']')) {
        const bool mark = cczi_lex_is(&p->l, '.') || cczi_lex_is(&p->l, '-');
        if (!mark && p->l.tok != CCZI_TOK_NAME && p->l.tok != CCZI_TOK_NUMBER)
            return refuse(p, "textpb:syntax", "the name of a type and ]");
        while (p->l.at < p->l.text.size && p->l.text.ptr[p->l.at] == '/')
            p->l.at++; /* a mark only here */
        rc = next(p);
    }
    return rc == CCZ_OK ? next(p) : rc;
}

/* The name of a field, and whether it may be given here. */
static ccz_rc name(struct parser *p, const struct ccz_textpb_field **out, struct frame *f)
{
    *out = &anything;
    if (!f->m && cczi_lex_is(&p->l, '['))
        return skip_extension(p);
    if (p->l.tok != CCZI_TOK_NAME && (f->m || p->l.tok != CCZI_TOK_NUMBER)) {
        (void)refuse(p, "textpb:syntax",
                     f->close ? "a field name, or the end of the message" : "a field name");
        return p->l.tok == CCZI_TOK_STRING
                   ? ccz_hint(
                         p->err, CCZ_E_FORMAT,
                         "field names have no quotes: this is protobuf's text format, not JSON")
                   : CCZ_E_FORMAT;
    }
    if (!f->m)
        return next(p);
    size_t i = 0;
    while (i < f->m->len && !cczi_lex_word(&p->l, f->m->fields[i].name))
        i++;
    if (i == f->m->len)
        return unknown(p, f->m);
    const struct ccz_textpb_field *d = &f->m->fields[i];
    const uint64_t oneof = d->oneof ? (uint64_t)1 << d->oneof : 0;
    if (!d->repeated && (f->seen >> i & 1))
        return refuse(p, "textpb:repeated", "this field once");
    if (f->oneofs & oneof)
        return refuse(p, "textpb:oneof", "one field of its group, another was given");
    f->seen |= (uint64_t)1 << i;
    f->oneofs |= oneof;
    *out = d;
    return next(p);
}

static ccz_rc separator(struct parser *p)
{
    return cczi_lex_is(&p->l, ',') || cczi_lex_is(&p->l, ';') ? next(p) : CCZ_OK;
}

static ccz_rc field(struct parser *p, struct frame *f)
{
    const struct ccz_textpb_field *d;
    ccz_rc rc = name(p, &d, f);
    if (rc != CCZ_OK)
        return rc;
    if (f->m && d->kind == CCZ_TEXTPB_IGNORED)
        ccz_pb_put_bytes(p->out, d->number, (struct ccz_span){0});
    const bool colon = cczi_lex_is(&p->l, ':');
    if (colon && (rc = next(p)) != CCZ_OK)
        return rc;
    const bool brace = cczi_lex_is(&p->l, '{') || cczi_lex_is(&p->l, '<');
    const bool list = cczi_lex_is(&p->l, '[');
    if (list && !d->repeated && d->kind != CCZ_TEXTPB_IGNORED)
        return refuse(p, "textpb:value", "one value: this field is not repeated");
    if (list) {
        f->list = d;
        f->list_len = 0;
        return next(p);
    }
    if (!colon && !brace && d->kind != CCZ_TEXTPB_MESSAGE) {
        (void)refuse(p, "textpb:syntax", "':' and a value");
        return hint(p, CCZ_E_FORMAT, "write ", d->name, ": value");
    }
    const size_t depth = p->depth;
    rc = value(p, d);
    return rc == CCZ_OK && p->depth == depth ? separator(p) : rc;
}

/* The next value of a list, or its end. */
static ccz_rc list_step(struct parser *p, struct frame *f)
{
    ccz_rc rc = CCZ_OK;
    if (cczi_lex_is(&p->l, ']')) {
        f->list = NULL;
        rc = next(p);
        return rc == CCZ_OK ? separator(p) : rc;
    }
    if (f->list_len++ > 0) {
        if (!cczi_lex_is(&p->l, ','))
            return refuse(p, "textpb:syntax", "',' or ']'");
        rc = next(p);
    }
    return rc == CCZ_OK ? value(p, f->list) : rc;
}

static ccz_rc step(struct parser *p)
{
    struct frame *f = &p->stack[p->depth - 1];
    if (f->list)
        return list_step(p, f);
    if (f->close ? !cczi_lex_is(&p->l, f->close) : p->l.tok != CCZI_TOK_END)
        return field(p, f);
    p->depth--;
    if (f->close == 0)
        return CCZ_OK;
    if (f->m)
        ccz_pb_close(p->out, f->mark);
    ccz_rc rc = next(p);
    return rc == CCZ_OK && !p->stack[p->depth - 1].list ? separator(p) : rc;
}

ccz_rc ccz_textpb_parse(struct ccz_buf *out, struct ccz_span text,
                        const struct ccz_textpb_message *schema, struct ccz_err *err)
{
    struct parser p = {.out = out, .err = err, .stack = {{.m = schema}}, .depth = 1};
    const size_t size = out->size;
    ccz_rc rc = cczi_lex_begin(&p.l, text, out->wipe, err);
    while (rc == CCZ_OK && p.depth > 0 && !out->bad)
        rc = step(&p);
    if (rc == CCZ_OK && out->bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "textpb:size", (int64_t)p.l.tok_line,
                      "line %zu: more than %zu bytes, or no memory", p.l.tok_line, out->max_size);
    if (rc != CCZ_OK && out->size > size) {
        if (out->wipe)
            ccz_wipe(out->ptr + size, out->size - size);
        out->size = size;
    }
    return rc;
}
