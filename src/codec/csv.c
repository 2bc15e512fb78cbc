/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 4180, one record at a time. Two passes over a record: where it ends (in_quotes carries over
 * refills), then its fields, unquoted in place in our buffer. */
#include "codec/codec_priv.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    RECORD_SIZE_MAX = 1048576,
    FIELDS_MAX = 65536,
    READ_SIZE = 65536,
    FIELDS_FIRST = 64,
    NUMBER_SIZE_MAX = 400, /* a double in plain digits has at most 309 + 17 and a sign */
};

struct ccz_csv {
    ccz_csv_source source;
    void *arg;
    struct ccz_span text; /* of ccz_csv_new_mem(): what is left of it */
    struct ccz_csv_cfg cfg;
    uint8_t *bytes; /* [at, end) is not yet given out */
    size_t cap, at, end;
    size_t scanned; /* of [at, end): without the end of a record */
    bool in_quotes; /* at at + scanned */
    bool eof, begun;
    struct ccz_span *fields;
    size_t len, fields_cap;
    size_t width;             /* fields of the first record; 0 before it */
    uint64_t line, next_line; /* where this and the next record start */
    struct ccz_err last;      /* the answer that is repeated; rc CCZ_OK before it */
};

static ptrdiff_t read_mem(void *arg, void *to, size_t size)
{
    struct ccz_span *text = arg;
    size_t n = text->size < size ? text->size : size;
    if (n > 0)
        memcpy(to, text->ptr, n);
    *text = ccz_span_sub(*text, n, text->size - n);
    return (ptrdiff_t)n;
}

ccz_rc ccz_csv_new(struct ccz_csv **out, ccz_csv_source source, void *arg,
                   const struct ccz_csv_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_csv) c = calloc(1, sizeof(*c));
    if (!c)
        return ccz_fail(err, CCZ_E_NOMEM, "csv:memory", 0, "out of memory");
    if (cfg)
        c->cfg = *cfg;
    if (c->cfg.delimiter == 0)
        c->cfg.delimiter = ',';
    if (c->cfg.record_size_max == 0)
        c->cfg.record_size_max = RECORD_SIZE_MAX;
    if (c->cfg.fields_max == 0)
        c->cfg.fields_max = FIELDS_MAX;
    c->source = source;
    c->arg = arg;
    c->next_line = 1;
    c->cap = c->cfg.record_size_max + READ_SIZE; /* touched only as far as records need it */
    c->fields_cap = FIELDS_FIRST;
    c->bytes = malloc(c->cap);
    c->fields = malloc(c->fields_cap * sizeof(*c->fields));
    if (!c->bytes || !c->fields)
        return ccz_fail(err, CCZ_E_NOMEM, "csv:memory", 0, "out of memory");
    *out = ccz_csv_take(&c);
    return CCZ_OK;
}

ccz_rc ccz_csv_new_mem(struct ccz_csv **out, struct ccz_span text, const struct ccz_csv_cfg *cfg,
                       struct ccz_err *err)
{
    ccz_rc rc = ccz_csv_new(out, read_mem, NULL, cfg, err);
    if (rc == CCZ_OK) {
        (*out)->text = text;
        (*out)->arg = &(*out)->text;
    }
    return rc;
}

ptrdiff_t ccz_csv_from_file(void *file, void *to, size_t size)
{
    size_t n = fread(to, 1, size, file);
    return n == 0 && ferror((FILE *)file) ? -1 : (ptrdiff_t)n;
}

void ccz_csv_free(struct ccz_csv *c)
{
    if (!c)
        return;
    if (c->bytes)
        ccz_wipe(c->bytes, c->end);
    free(c->bytes);
    free(c->fields);
    free(c);
}

/* ------------------------------------------------------------------------------------ records */

static ccz_rc refill(struct ccz_csv *c, struct ccz_err *err)
{
    memmove(c->bytes, c->bytes + c->at, c->end - c->at);
    c->end -= c->at;
    c->at = 0;
    ptrdiff_t n = c->source(c->arg, c->bytes + c->end, c->cap - c->end);
    if (n < 0 || (size_t)n > c->cap - c->end)
        return ccz_fail(err, CCZ_E_IO, "csv:read", (int64_t)c->next_line,
                        "line %llu: reading failed", (unsigned long long)c->next_line);
    c->end += (size_t)n;
    c->eof = n == 0;
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    if (!c->begun && (c->end >= sizeof(mark) || c->eof)) {
        c->begun = true;
        if (c->end >= sizeof(mark) && memcmp(c->bytes, mark, sizeof(mark)) == 0)
            c->at = sizeof(mark);
    }
    return CCZ_OK;
}

/* Advances the scan to the line feed that ends the record; false if it is not in the buffer yet. */
static bool scan(struct ccz_csv *c)
{
    const uint8_t *p = c->bytes + c->at;
    size_t size = c->end - c->at, i = c->scanned;
    bool in_quotes = c->in_quotes;
    for (; i < size && (in_quotes || p[i] != '\n'); i++)
        in_quotes ^= p[i] == '"';
    c->scanned = i;
    c->in_quotes = in_quotes;
    return i < size;
}

/* Finds the next record, without its line end, in the buffer. */
static ccz_rc find_record(uint8_t **record, size_t *size, struct ccz_csv *c, struct ccz_err *err)
{
    bool found = c->begun && scan(c);
    while (!found && !c->eof && c->end - c->at <= c->cfg.record_size_max) {
        ccz_rc rc = refill(c, err);
        if (rc != CCZ_OK)
            return rc;
        found = c->begun && scan(c);
    }
    if (c->at == c->end)
        return ccz_fail(err, CCZ_E_NOT_FOUND, "csv:end", 0, "no further record");
    if (c->scanned > c->cfg.record_size_max)
        return ccz_hint(
            err,
            ccz_fail(err, CCZ_E_LIMIT, "csv:record-size", (int64_t)c->line,
                     "line %llu: a record of more than %zu bytes", (unsigned long long)c->line,
                     c->cfg.record_size_max),
            "an opening quote without a closing one makes the rest of a file one record");
    *record = c->bytes + c->at;
    *size = c->scanned;
    c->at += c->scanned + found;
    c->scanned = 0;
    if (found && *size > 0 && (*record)[*size - 1] == '\r')
        (*size)--;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------- fields */

static ccz_rc fail_at(struct ccz_err *err, const struct ccz_csv *c, const char *where,
                      const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, where, (int64_t)c->line, "line %llu, column %zu: %s",
                    (unsigned long long)c->line, c->len + 1, what);
}

static ccz_rc add_field(struct ccz_csv *c, struct ccz_span field, struct ccz_err *err)
{
    if (c->len == c->cfg.fields_max)
        return ccz_fail(err, CCZ_E_LIMIT, "csv:fields-max", (int64_t)c->line,
                        "line %llu: more than %zu fields", (unsigned long long)c->line,
                        c->cfg.fields_max);
    if (c->len == c->fields_cap) {
        struct ccz_span *more = realloc(c->fields, 2 * c->fields_cap * sizeof(*more));
        if (!more)
            return ccz_fail(err, CCZ_E_NOMEM, "csv:memory", (int64_t)c->line, "out of memory");
        c->fields = more;
        c->fields_cap *= 2;
    }
    c->fields[c->len++] = field;
    return CCZ_OK;
}

/* A field that starts with a quote at *p; its content moves to the front, over what was escaped. */
static bool take_quoted(struct ccz_span *field, uint8_t **p, const uint8_t *end, char delimiter)
{
    uint8_t *from = *p + 1, *to = *p;
    *field = (struct ccz_span){to, 0};
    for (; from < end; from++) {
        if (*from == '"' && (from + 1 == end || from[1] != '"')) {
            *p = from + 1;
            field->size = (size_t)(to - field->ptr);
            return *p == end || **p == (uint8_t)delimiter;
        }
        from += *from == '"';
        *to++ = *from;
    }
    return false;
}

static ccz_rc check_plain(const struct ccz_csv *c, struct ccz_span field, struct ccz_err *err)
{
    if (field.size > 0 && memchr(field.ptr, '"', field.size))
        return fail_at(err, c, "csv:quote", "a quote inside a field that is not quoted");
    if (field.size > 0 && memchr(field.ptr, '\r', field.size))
        return fail_at(err, c, "csv:line-end", "a carriage return without a line feed");
    return CCZ_OK;
}

static ccz_rc split(struct ccz_csv *c, uint8_t *record, size_t size, struct ccz_err *err)
{
    uint8_t *p = record;
    const uint8_t *end = record + size;
    for (;;) {
        struct ccz_span field = {p, 0};
        if (p < end && *p == '"') {
            if (!take_quoted(&field, &p, end, c->cfg.delimiter))
                return fail_at(err, c, "csv:quote",
                               "a quoted field has no end, or goes on behind it");
        } else {
            while (p < end && *p != (uint8_t)c->cfg.delimiter)
                p++;
            field.size = (size_t)(p - field.ptr);
            ccz_rc rc = check_plain(c, field, err);
            if (rc != CCZ_OK)
                return rc;
        }
        ccz_rc rc = add_field(c, field, err);
        if (rc != CCZ_OK || p == end)
            return rc;
        p++; /* the delimiter */
    }
}

static ccz_rc read_record(struct ccz_csv *c, struct ccz_err *err)
{
    uint8_t *record = NULL;
    size_t size = 0;
    c->len = 0;
    c->line = c->next_line;
    ccz_rc rc = find_record(&record, &size, c, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span all = {record, size};
    if (size == 0)
        return fail_at(err, c, "csv:empty-line", "an empty line");
    if (memchr(record, 0, size) || !ccz_utf8_ok(all))
        return ccz_fail(err, CCZ_E_FORMAT, "csv:text", (int64_t)c->line,
                        "line %llu: not UTF-8 text", (unsigned long long)c->line);
    c->next_line++;
    for (size_t i = 0; i < size; i++) /* before split() moves anything */
        c->next_line += record[i] == '\n';
    if ((rc = split(c, record, size, err)) != CCZ_OK)
        return rc;
    if (c->width == 0)
        c->width = c->len;
    if (c->len == c->width)
        return CCZ_OK;
    rc = ccz_refuse_num(err, CCZ_E_FORMAT, "csv:fields", (int64_t)c->len, (int64_t)c->width);
    if (err) {
        err->aux = (int64_t)c->line;
        ccz_hint(err, rc, "every line needs as many fields as the first");
    }
    return rc;
}

ccz_rc ccz_csv_next(struct ccz_csv *c, struct ccz_err *err)
{
    if (c->last.rc == CCZ_OK && read_record(c, &c->last) == CCZ_OK)
        return CCZ_OK;
    c->len = 0;
    if (err)
        *err = c->last;
    return c->last.rc;
}

size_t ccz_csv_len(const struct ccz_csv *c)
{
    return c->len;
}

struct ccz_span ccz_csv_field(const struct ccz_csv *c, size_t i)
{
    return i < c->len ? c->fields[i] : (struct ccz_span){0};
}

uint64_t ccz_csv_line(const struct ccz_csv *c)
{
    return c->line;
}

/* ------------------------------------------------------------------------------------ numbers */

struct decimal {
    bool negative, exact; /* exact: mantissa holds all digits */
    uint64_t mantissa;
    int exponent; /* value = digits * 10^exponent */
    char digits[NUMBER_SIZE_MAX + 1];
    size_t len;
};

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

static void take_digits(struct decimal *d, struct ccz_rd *r, bool fraction)
{
    for (; r->left > 0 && is_digit(*r->ptr); r->ptr++, r->left--) {
        unsigned v = *r->ptr - (unsigned)'0';
        if (d->len > 0 || v > 0) /* no leading zeros */
            d->digits[d->len++] = (char)*r->ptr;
        if (d->mantissa <= (UINT64_MAX - 9) / 10)
            d->mantissa = 10 * d->mantissa + v;
        else
            d->exact = false;
        d->exponent -= fraction;
    }
}

/* The exponent behind 'e'; what leaves the range of a double by far is cut to 99999. */
static bool take_exponent(struct decimal *d, struct ccz_rd *r)
{
    bool negative = false;
    int e = 0;
    if (r->left > 0 && (*r->ptr == '-' || *r->ptr == '+'))
        negative = ccz_rd_u8(r) == '-';
    if (r->left == 0)
        return false;
    for (; r->left > 0 && is_digit(*r->ptr); r->ptr++, r->left--)
        e = e < 9999 ? 10 * e + (*r->ptr - '0') : 99999;
    d->exponent += negative ? -e : e;
    return true;
}

static bool read_decimal(struct decimal *d, struct ccz_span text)
{
    struct ccz_rd r = ccz_rd_from(text);
    d->negative = false;
    d->exact = true;
    d->mantissa = 0;
    d->exponent = 0;
    d->len = 0;
    if (text.size > NUMBER_SIZE_MAX)
        return false;
    if (r.left > 0 && (*r.ptr == '-' || *r.ptr == '+'))
        d->negative = ccz_rd_u8(&r) == '-';
    size_t before = r.left;
    take_digits(d, &r, false);
    size_t digits = before - r.left;
    if (r.left > 0 && *r.ptr == '.') {
        (void)ccz_rd_u8(&r);
        before = r.left;
        take_digits(d, &r, true);
        digits += before - r.left;
    }
    if (digits == 0)
        return false;
    if (r.left > 0 && (*r.ptr == 'e' || *r.ptr == 'E')) {
        (void)ccz_rd_u8(&r);
        if (!take_exponent(d, &r))
            return false;
    }
    return ccz_rd_done(&r);
}

/* For decimals that data files hold: a tenth of the time of strtod(). With 64 bits of precision the
 * mantissa and 10^27 are exact, so the quotient is rounded once; rounding it again to 53 bits is only
 * wrong if it lies on the middle between two doubles. False: strtod() must tell. */
static bool fast_value(double *out, const struct decimal *d)
{
    static const long double power[] = {1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,
                                        1e7L,  1e8L,  1e9L,  1e10L, 1e11L, 1e12L, 1e13L,
                                        1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L, 1e20L,
                                        1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L};
    enum { POWER_MAX = sizeof(power) / sizeof(*power) - 1 };
    if (LDBL_MANT_DIG != 64 || !d->exact || d->exponent < -POWER_MAX || d->exponent > POWER_MAX)
        return false;
    long double v = (long double)d->mantissa;
    v = d->exponent < 0 ? v / power[-d->exponent] : v * power[d->exponent];
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits)); /* x87: the mantissa with its leading bit */
    *out = (double)v;
    return (bits & 0x7ff) != 0x400;
}

/* The digits are given as an integer with an exponent: no locale's decimal point is involved. */
static double slow_value(const struct decimal *d)
{
    char text[NUMBER_SIZE_MAX + 20];
    (void)snprintf(text, sizeof(text), "%s%.*se%d", d->len == 0 ? "0" : "", (int)d->len, d->digits,
                   d->exponent);
    return strtod(text, NULL);
}

bool ccz_decimal(double *out, struct ccz_span text)
{
    struct decimal d;
    double v = HUGE_VAL;
    if (read_decimal(&d, text) && !fast_value(&v, &d))
        v = slow_value(&d);
    const bool ok = isfinite(v);
    *out = !ok ? 0 : d.negative ? -v : v;
    return ok;
}

ccz_rc ccz_csv_num(double *out, const struct ccz_csv *c, size_t i, struct ccz_err *err)
{
    if (!ccz_decimal(out, ccz_csv_field(c, i)))
        return ccz_fail(err, CCZ_E_FORMAT, "csv:number", (int64_t)c->line,
                        "line %llu, column %zu: not a decimal number in the range of a double",
                        (unsigned long long)c->line, i + 1);
    return CCZ_OK;
}
