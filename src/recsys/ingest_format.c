/* SPDX-License-Identifier: Apache-2.0 */
/* Known formats, and records of any of them with their columns found. */
#include "ingest.h"

#include <cczoo/codec.h>

#include <string.h>

/* ----------------------------------------------------------------------------------------- names */

#define INT2                                                                                       \
    .user_kind = CCZ_RECSYS_ID_INT, .item_kind = CCZ_RECSYS_ID_INT /* as all MovieLens have them */

static const struct known {
    const char *name;
    struct ccz_recsys_format format;
} known[] = {
    {"movielens-csv",
     {.header = true,
      .user = {.name = "userId"},
      .item = {.name = "movieId"},
      .value = {.name = "rating"},
      .time = {.name = "timestamp"},
      INT2}},
    {"movielens-dat",
     {.delimiter = "::",
      .plain = true,
      .user = {.at = 1},
      .item = {.at = 2},
      .value = {.at = 3},
      .time = {.at = 4},
      INT2}},
    {"movielens-100k",
     {.delimiter = "\t",
      .plain = true,
      .user = {.at = 1},
      .item = {.at = 2},
      .value = {.at = 3},
      .time = {.at = 4},
      INT2}},
    {"recbole",
     {.delimiter = "\t",
      .plain = true,
      .header = true,
      .typed = true,
      .user = {.name = "user_id"},
      .item = {.name = "item_id"},
      .value = {.name = "rating", .optional = true},
      .time = {.name = "timestamp", .optional = true}}},
    {"csv",
     {.header = true,
      .user = {.name = "user"},
      .item = {.name = "item"},
      .value = {.name = "rating", .optional = true},
      .time = {.name = "timestamp", .optional = true}}},
    {"tsv",
     {.delimiter = "\t",
      .plain = true,
      .header = true,
      .user = {.name = "user"},
      .item = {.name = "item"},
      .value = {.name = "rating", .optional = true},
      .time = {.name = "timestamp", .optional = true}}},
    {"movielens-csv-titles",
     {.header = true, .item = {.name = "movieId"}, .title = {.name = "title"}, INT2}},
    {"movielens-dat-titles",
     {.delimiter = "::",
      .plain = true,
      .latin1 = true,
      .item = {.at = 1},
      .title = {.at = 2},
      INT2}},
    {"movielens-100k-titles",
     {.delimiter = "|",
      .plain = true,
      .latin1 = true,
      .item = {.at = 1},
      .title = {.at = 2},
      INT2}},
    {"recbole-titles",
     {.delimiter = "\t",
      .plain = true,
      .header = true,
      .typed = true,
      .item = {.name = "item_id"},
      .title = {.name = "movie_title"}}},
};

const char *ccz_recsys_format_name(size_t i)
{
    return i < sizeof(known) / sizeof(*known) ? known[i].name : NULL;
}

bool ccz_recsys_format_from(struct ccz_recsys_format *out, const char *name)
{
    *out = (struct ccz_recsys_format){0};
    for (size_t i = 0; i < sizeof(known) / sizeof(*known); i++)
        if (strcmp(known[i].name, name) == 0) {
            *out = known[i].format;
            return true;
        }
    return false;
}

/* --------------------------------------------------------------------------------------- records */

static ccz_rc next(struct cczi_recsys_records *r, struct ccz_err *err)
{
    if (r->lines)
        return cczi_recsys_lines_next(r->lines, err);
    ccz_rc rc = ccz_csv_next(r->csv, err);
    return rc == CCZ_E_IO ? cczi_recsys_source_why(r->source, rc, err) : rc;
}

static size_t width(const struct cczi_recsys_records *r)
{
    return r->lines ? cczi_recsys_lines_len(r->lines) : ccz_csv_len(r->csv);
}

static struct ccz_span field(const struct cczi_recsys_records *r, size_t i)
{
    return r->lines ? cczi_recsys_lines_field(r->lines, i) : ccz_csv_field(r->csv, i);
}

static ccz_rc check_format(const struct ccz_recsys_format *f, unsigned needed, struct ccz_err *err)
{
    const struct ccz_recsys_column *column[COLUMNS] = {&f->user, &f->item, &f->value, &f->time,
                                                       &f->title};
    static const char *const names[COLUMNS] = {"user", "item", "value", "time", "title"};
    for (int c = 0; c < COLUMNS; c++) {
        if (needed >> c & 1 && !column[c]->name && column[c]->at == 0)
            return ccz_fail(err, CCZ_E_ARG, "recsys:format", c, "which column is the %s", names[c]);
        if (column[c]->name && !f->header)
            return ccz_fail(err, CCZ_E_ARG, "recsys:format", c,
                            "the %s has a name, and there is no header", names[c]);
    }
    const char *d = f->delimiter;
    const char *nul = memchr(d, 0, sizeof(f->delimiter));
    const size_t size = nul ? (size_t)(nul - d) : sizeof(f->delimiter);
    if (!nul || (size > 1 && !f->plain) || (f->latin1 && !f->plain) || strpbrk(d, "\r\n\""))
        return ccz_fail(err, CCZ_E_ARG, "recsys:format", (int64_t)size,
                        "an impossible delimiter or encoding");
    return CCZ_OK;
}

/* Fields of the header that have this name: none (CCZI_RECSYS_NO_COLUMN), one, or an error. */
static ccz_rc find_name(size_t *out, const struct cczi_recsys_records *r, const char *name,
                        bool typed, struct ccz_err *err)
{
    *out = CCZI_RECSYS_NO_COLUMN;
    for (size_t i = 0; i < width(r); i++) {
        struct ccz_span f = field(r, i);
        const uint8_t *colon = typed && f.size > 0 ? memchr(f.ptr, ':', f.size) : NULL;
        if (colon)
            f.size = (size_t)(colon - f.ptr);
        if (!ccz_span_eq(f, ccz_span_str(name)))
            continue;
        if (*out != CCZI_RECSYS_NO_COLUMN)
            return ccz_fail(err, CCZ_E_FORMAT, "recsys:column", 1, "two columns are called \"%s\"",
                            name);
        *out = i;
    }
    return CCZ_OK;
}

static ccz_rc find_columns(struct cczi_recsys_records *r, const struct ccz_recsys_format *f,
                           struct ccz_err *err)
{
    const struct ccz_recsys_column *column[COLUMNS] = {&f->user, &f->item, &f->value, &f->time,
                                                       &f->title};
    ccz_rc rc = next(r, err);
    if (rc == CCZ_E_NOT_FOUND)
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:empty", 0, "nothing is in the file");
    for (int c = 0; rc == CCZ_OK && c < COLUMNS; c++) {
        const struct ccz_recsys_column *k = column[c];
        r->at[c] = CCZI_RECSYS_NO_COLUMN;
        if (k->name)
            rc = find_name(&r->at[c], r, k->name, f->typed, err);
        else if (k->at > 0 && k->at <= width(r))
            r->at[c] = k->at - 1;
        if (rc == CCZ_OK && (k->name || k->at > 0) && r->at[c] == CCZI_RECSYS_NO_COLUMN &&
            !k->optional)
            return ccz_fail(err, CCZ_E_NOT_FOUND, "recsys:column", k->at,
                            "no column \"%s\" (%u) among %zu", k->name ? k->name : "", k->at,
                            width(r));
    }
    r->ready = !f->header;
    return rc;
}

ccz_rc cczi_recsys_records_open(struct cczi_recsys_records *r, struct ccz_recsys_source *source,
                                const struct ccz_recsys_format *format, unsigned needed,
                                struct ccz_err *err)
{
    *r = (struct cczi_recsys_records){.source = source};
    ccz_rc rc = check_format(format, needed, err);
    if (rc != CCZ_OK)
        return rc;
    const char *d = format->delimiter[0] ? format->delimiter : ",";
    if (format->plain)
        rc = cczi_recsys_lines_new(&r->lines, source, d, format->latin1, err);
    else
        rc = ccz_csv_new(&r->csv, cczi_recsys_source_read, source,
                         &(struct ccz_csv_cfg){.delimiter = d[0]}, err);
    return rc == CCZ_OK ? find_columns(r, format, err) : rc;
}

void cczi_recsys_records_close(struct cczi_recsys_records *r)
{
    ccz_csv_free(r->csv);
    cczi_recsys_lines_free(r->lines);
    *r = (struct cczi_recsys_records){0};
}

ccz_rc cczi_recsys_records_next(bool *end, struct cczi_recsys_records *r, struct ccz_err *err)
{
    *end = false;
    if (r->ready) {
        r->ready = false;
        return CCZ_OK;
    }
    ccz_rc rc = next(r, err);
    *end = rc == CCZ_E_NOT_FOUND;
    return *end ? CCZ_OK : rc;
}

struct ccz_span cczi_recsys_records_field(const struct cczi_recsys_records *r, int column)
{
    return field(r, r->at[column]);
}

uint64_t cczi_recsys_records_line(const struct cczi_recsys_records *r)
{
    return r->lines ? cczi_recsys_lines_line(r->lines) : ccz_csv_line(r->csv);
}
