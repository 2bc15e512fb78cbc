/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* strtod_l() */
#include <cczoo/fedlr.h>

#include <locale.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FIELD_SIZE_MAX = CCZ_FEDLR_NAME_SIZE - 1, NO_COLUMN = -1 };

struct csv {
    const char *at, *end;
    size_t line;   /* of the row being read, from 1 */
    size_t fields; /* per row, from the header */
    bool label_real;
    ptrdiff_t label; /* field numbers, or NO_COLUMN */
    ptrdiff_t id;
    locale_t c_locale;
    struct ccz_err *err;
};

/* Refuses a field by line and column; the text itself may be private and stays out. */
static ccz_rc refuse_field(const struct csv *c, const char *where, size_t field, const char *what)
{
    return ccz_fail(c->err, CCZ_E_FORMAT, where, (int64_t)c->line, "line %zu, column %zu: %s",
                    c->line, field + 1, what);
}

/* The next line without its end; false at the end of the text. */
static bool next_line(struct ccz_span *line, struct csv *c)
{
    if (c->at == c->end)
        return false;
    const char *nl = memchr(c->at, '\n', (size_t)(c->end - c->at));
    const char *stop = nl ? nl : c->end;
    *line = CCZ_SPAN(c->at, (size_t)(stop - c->at));
    if (line->size > 0 && line->ptr[line->size - 1] == '\r')
        line->size--;
    c->at = nl ? nl + 1 : c->end;
    c->line++;
    return true;
}

/* Cuts the first field off @p rest; false if there is none left. */
static bool next_field(struct ccz_span *field, struct ccz_span *rest)
{
    if (!rest->ptr)
        return false;
    const uint8_t *comma = rest->size ? memchr(rest->ptr, ',', rest->size) : NULL;
    size_t size = comma ? (size_t)(comma - rest->ptr) : rest->size;
    *field = CCZ_SPAN(rest->ptr, size);
    *rest = comma ? CCZ_SPAN(comma + 1, rest->size - size - 1) : CCZ_SPAN(NULL, 0);
    return true;
}

/* Digits, at least one; returns how many. */
static size_t digits(const char *s)
{
    size_t n = 0;
    while (s[n] >= '0' && s[n] <= '9')
        n++;
    return n;
}

/* [+-] digits [. digits] [e [+-] digits]: strtod() alone would take hexadecimal, infinities and NaN. */
static bool is_decimal(const char *s)
{
    s += *s == '-' || *s == '+';
    size_t whole = digits(s);
    s += whole;
    size_t part = 0;
    if (*s == '.') {
        part = digits(s + 1);
        s += 1 + part;
    }
    if (whole + part == 0)
        return false;
    if (*s == 'e' || *s == 'E') {
        s++;
        s += *s == '-' || *s == '+';
        size_t n = digits(s);
        if (n == 0)
            return false;
        s += n;
    }
    return *s == '\0';
}

static bool copy_field(char out[CCZ_FEDLR_NAME_SIZE], struct ccz_span field)
{
    if (field.size == 0 || field.size > FIELD_SIZE_MAX || memchr(field.ptr, 0, field.size))
        return false;
    memcpy(out, field.ptr, field.size);
    memset(out + field.size, 0, CCZ_FEDLR_NAME_SIZE - field.size);
    return true;
}

static ccz_rc read_number(double *out, const struct csv *c, struct ccz_span field, size_t i)
{
    char text[CCZ_FEDLR_NAME_SIZE];
    if (!copy_field(text, field) || !is_decimal(text))
        return refuse_field(c, "fedlr:csv-number", i, "not a decimal number");
    *out = strtod_l(text, NULL, c->c_locale);
    if (!isfinite(*out))
        return refuse_field(c, "fedlr:csv-number", i, "too large a number");
    return CCZ_OK;
}

static ccz_rc read_field(struct ccz_fedlr_table *t, size_t row, size_t *col, const struct csv *c,
                         struct ccz_span field, size_t i)
{
    if ((ptrdiff_t)i == c->id) {
        if (!copy_field(t->id[row], field))
            return refuse_field(c, "fedlr:csv-id", i, "an id has 1 to 63 bytes");
        return CCZ_OK;
    }
    if ((ptrdiff_t)i != c->label)
        return read_number(&t->x[row * t->cols + (*col)++], c, field, i);
    ccz_rc rc = read_number(&t->y[row], c, field, i);
    if (rc == CCZ_OK && !c->label_real && t->y[row] != 0 && t->y[row] != 1)
        return refuse_field(c, "fedlr:csv-label", i, "a label is 0 or 1");
    return rc;
}

static ccz_rc read_row(struct ccz_fedlr_table *t, size_t row, struct csv *c, struct ccz_span line)
{
    struct ccz_span field, rest = line;
    size_t got = 0, col = 0;
    ccz_rc rc = CCZ_OK;
    while (next_field(&field, &rest))
        got++;
    if (got != c->fields)
        return ccz_fail(c->err, CCZ_E_FORMAT, "fedlr:csv-fields", (int64_t)c->line,
                        "line %zu has %zu fields, the header %zu", c->line, got, c->fields);
    for (size_t i = 0; rc == CCZ_OK && next_field(&field, &line); i++)
        rc = read_field(t, row, &col, c, field, i);
    return rc;
}

/* Counts fields and finds the named ones. */
static ccz_rc read_header(struct csv *c, struct ccz_span *header,
                          const struct ccz_fedlr_csv_cfg *cfg)
{
    if (!next_line(header, c) || header->size == 0)
        return ccz_fail(c->err, CCZ_E_FORMAT, "fedlr:csv-empty", 1, "there is no header");
    struct ccz_span rest = *header, field;
    char name[CCZ_FEDLR_NAME_SIZE];
    for (; next_field(&field, &rest); c->fields++) {
        if (!copy_field(name, field))
            return refuse_field(c, "fedlr:csv-header", c->fields, "a name has 1 to 63 bytes");
        ptrdiff_t *found = cfg->label && strcmp(name, cfg->label) == 0 ? &c->label
                           : cfg->id && strcmp(name, cfg->id) == 0     ? &c->id
                                                                       : NULL;
        if (found && *found != NO_COLUMN)
            return refuse_field(c, "fedlr:csv-header", c->fields, "this name was there before");
        if (found)
            *found = (ptrdiff_t)c->fields;
    }
    if ((cfg->label && c->label == NO_COLUMN) || (cfg->id && c->id == NO_COLUMN))
        return ccz_fail(c->err, CCZ_E_NOT_FOUND, "fedlr:csv-column", 1, "no column is called %s",
                        c->label == NO_COLUMN && cfg->label ? cfg->label : cfg->id);
    return CCZ_OK;
}

/* Lines that follow: an upper bound of the rows. */
static ccz_rc count_rows(size_t *rows, const struct csv *c)
{
    struct csv ahead = *c;
    struct ccz_span line;
    *rows = 0;
    while (next_line(&line, &ahead)) {
        if (line.size > CCZ_FEDLR_LINE_SIZE_MAX)
            return ccz_fail(c->err, CCZ_E_LIMIT, "fedlr:csv-line", (int64_t)ahead.line,
                            "line %zu is longer than %d bytes", ahead.line,
                            CCZ_FEDLR_LINE_SIZE_MAX);
        ++*rows;
    }
    if (*rows == 0)
        return ccz_fail(c->err, CCZ_E_FORMAT, "fedlr:csv-empty", (int64_t)c->line,
                        "there is no row below the header");
    return CCZ_OK;
}

static void name_columns(struct ccz_fedlr_table *t, const struct csv *c, struct ccz_span header)
{
    struct ccz_span field;
    for (size_t i = 0, col = 0; next_field(&field, &header); i++)
        if ((ptrdiff_t)i != c->label && (ptrdiff_t)i != c->id)
            (void)copy_field(t->name[col++], field);
}

static ccz_rc parse(struct ccz_fedlr_table **out, struct csv *c,
                    const struct ccz_fedlr_csv_cfg *cfg)
{
    CCZ_AUTO(ccz_fedlr_table) t = NULL;
    struct ccz_span header, line;
    size_t rows;
    ccz_rc rc = read_header(c, &header, cfg);
    if (rc == CCZ_OK)
        rc = count_rows(&rows, c);
    if (rc != CCZ_OK)
        return rc;
    size_t named = (size_t)(c->label != NO_COLUMN) + (size_t)(c->id != NO_COLUMN);
    if (c->fields == named)
        return ccz_fail(c->err, CCZ_E_FORMAT, "fedlr:csv-header", 1,
                        "there is no column beside label and id");
    rc = ccz_fedlr_table_new(&t, rows, c->fields - named, cfg->label != NULL, cfg->id != NULL,
                             c->err);
    if (rc != CCZ_OK)
        return rc;
    name_columns(t, c, header);
    for (size_t row = 0; rc == CCZ_OK && next_line(&line, c); row++)
        rc = read_row(t, row, c, line);
    if (rc == CCZ_OK)
        *out = ccz_fedlr_table_take(&t);
    return rc;
}

ccz_rc ccz_fedlr_csv_parse(struct ccz_fedlr_table **out, struct ccz_span text,
                           const struct ccz_fedlr_csv_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    struct csv c = {.at = (const char *)text.ptr,
                    .end = (const char *)text.ptr + text.size,
                    .label_real = cfg->label_real,
                    .label = NO_COLUMN,
                    .id = NO_COLUMN,
                    .err = err};
    c.c_locale = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!c.c_locale)
        return ccz_fail(err, CCZ_E_NOMEM, "fedlr:memory", 0, "out of memory");
    ccz_rc rc = parse(out, &c, cfg);
    freelocale(c.c_locale);
    return rc;
}

ccz_rc ccz_fedlr_csv_read(struct ccz_fedlr_table **out, const char *path,
                          const struct ccz_fedlr_csv_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_FEDLR_CSV_SIZE_MAX);
    text.wipe = true;
    ccz_rc rc = ccz_file_read(&text, path, err);
    return rc == CCZ_OK ? ccz_fedlr_csv_parse(out, ccz_buf_span(&text), cfg, err) : rc;
}
