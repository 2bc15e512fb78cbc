/* SPDX-License-Identifier: Apache-2.0 */
/* Ratings in Parquet files. */
#include "ingest.h"

#include <cczoo/codec.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* What a scan may take for a column. Writers cut pages at about 1 MiB; a few bytes can unpack to as much as is allowed here. */
enum { PAGE_SIZE_MAX = 32 << 20, BATCH_SIZE_MAX = 64 << 20 };

/* --------------------------------------------------------------------------------------- columns */

ccz_rc cczi_recsys_scan_open(struct cczi_recsys_scan *s, const struct ccz_pq_source *io,
                             const struct ccz_pq_crypt *crypt, const char *const *names, size_t len,
                             unsigned optional, struct ccz_err *err)
{
    *s = (struct cczi_recsys_scan){0};
    size_t number[4], found = 0;
    const struct ccz_pq_read_cfg cfg = {
        .crypt = crypt, .page_size_max = PAGE_SIZE_MAX, .batch_size_max = BATCH_SIZE_MAX};
    ccz_rc rc = ccz_pq_reader_open(&s->reader, io, &cfg, err);
    for (size_t i = 0; rc == CCZ_OK && i < len; i++) {
        rc = ccz_pq_find(&number[found], s->reader, names[i], err);
        if (rc == CCZ_E_NOT_FOUND && optional >> i & 1) {
            rc = CCZ_OK;
            continue;
        }
        if (rc != CCZ_OK)
            return rc;
        s->column[i] = ccz_pq_column(s->reader, number[found]);
        s->at[i] = found++;
    }
    if (rc != CCZ_OK)
        return rc;
    return ccz_pq_scan_open(&s->scan, s->reader,
                            &(struct ccz_pq_scan_cfg){.columns = number, .columns_len = found},
                            err);
}

void cczi_recsys_scan_close(struct cczi_recsys_scan *s)
{
    ccz_pq_scan_free(s->scan);
    ccz_pq_reader_free(s->reader);
    *s = (struct cczi_recsys_scan){0};
}

ccz_rc cczi_recsys_scan_next(struct cczi_recsys_scan *s, struct ccz_err *err)
{
    s->row += s->rows;
    ccz_rc rc = ccz_pq_scan_next(s->data, s->scan, err);
    s->rows = rc == CCZ_OK ? s->data[0].rows : 0;
    return rc;
}

const struct ccz_pq_data *cczi_recsys_scan_data(const struct cczi_recsys_scan *s, size_t column)
{
    return &s->data[s->at[column]];
}

static bool is_int(const struct ccz_pq_column *c)
{
    return c->type == CCZ_PQ_INT32 || c->type == CCZ_PQ_INT64;
}

/* A number that counts: not days, not thousandths of something. */
static bool counts(const struct ccz_pq_column *c)
{
    return c->meaning == CCZ_PQ_PLAIN || c->meaning == CCZ_PQ_SIGNED ||
           c->meaning == CCZ_PQ_UNSIGNED;
}

bool cczi_recsys_is_id(const struct ccz_pq_column *c)
{
    return c->shape == CCZ_PQ_FLAT &&
           (c->type == CCZ_PQ_BYTES ? c->meaning == CCZ_PQ_PLAIN || c->meaning == CCZ_PQ_STRING
                                    : is_int(c) && counts(c));
}

enum ccz_recsys_id_kind cczi_recsys_id_kind(const struct ccz_pq_column *c)
{
    return c->type == CCZ_PQ_BYTES ? CCZ_RECSYS_ID_TEXT : CCZ_RECSYS_ID_INT;
}

static int64_t widen(const struct ccz_pq_column *c, int32_t v)
{
    return c->meaning == CCZ_PQ_UNSIGNED ? (int64_t)(uint32_t)v : v;
}

static bool is_null(const struct ccz_pq_data *d, size_t i)
{
    return d->present && !d->present[i];
}

bool cczi_recsys_cell_id(struct ccz_recsys_id *out, const struct ccz_pq_column *c,
                         const struct ccz_pq_data *d, size_t i)
{
    *out = c->type == CCZ_PQ_BYTES   ? ccz_recsys_id_text(d->v.bytes[i])
           : c->type == CCZ_PQ_INT32 ? ccz_recsys_id_int(widen(c, d->v.i32[i]))
                                     : ccz_recsys_id_int(d->v.i64[i]);
    const bool beyond = c->type == CCZ_PQ_INT64 && c->meaning == CCZ_PQ_UNSIGNED && d->v.i64[i] < 0;
    return !is_null(d, i) && !beyond;
}

bool cczi_recsys_is_number(const struct ccz_pq_column *c)
{
    return (is_int(c) && counts(c)) ||
           ((c->type == CCZ_PQ_FLOAT || c->type == CCZ_PQ_DOUBLE) && c->meaning == CCZ_PQ_PLAIN);
}

bool cczi_recsys_cell_number(double *out, const struct ccz_pq_column *c,
                             const struct ccz_pq_data *d, size_t i)
{
    if (c->type == CCZ_PQ_INT64)
        *out = c->meaning == CCZ_PQ_UNSIGNED ? (double)(uint64_t)d->v.i64[i] : (double)d->v.i64[i];
    else
        *out = c->type == CCZ_PQ_INT32   ? (double)widen(c, d->v.i32[i])
               : c->type == CCZ_PQ_FLOAT ? (double)d->v.f32[i]
                                         : d->v.f64[i];
    return !is_null(d, i);
}

/* --------------------------------------------------------------------------------------- reading */

enum { USER, ITEM, VALUE, TIME, TABLE_COLUMNS };

static ccz_rc bad_cell(struct ccz_err *err, ccz_rc rc, const char *where, uint64_t row,
                       const char *what)
{
    return ccz_fail(err, rc, where, (int64_t)row, "row %llu: %s", (unsigned long long)row, what);
}

/* Seconds, or a unit that is told. */
static bool is_time(const struct ccz_pq_column *c)
{
    return cczi_recsys_is_number(c) || (c->type == CCZ_PQ_INT32 && c->meaning == CCZ_PQ_DATE) ||
           (c->type == CCZ_PQ_INT64 &&
            (c->meaning == CCZ_PQ_TIME_MS || c->meaning == CCZ_PQ_TIME_US ||
             c->meaning == CCZ_PQ_TIME_NS));
}

/* A meaning that is not understood is refused: its numbers would be read as others than they are. */
static ccz_rc check_types(const struct cczi_recsys_scan *s, const char *const *names,
                          struct ccz_err *err)
{
    static const char *const cast[TABLE_COLUMNS] = {
        "cast the column to an integer or a string", "cast the column to an integer or a string",
        "cast the column to float or double",
        "cast the column to a timestamp, or to an integer of seconds since 1970"};
    for (int i = 0; i < TABLE_COLUMNS; i++) {
        const struct ccz_pq_column *c = s->column[i];
        if (c && (c->shape != CCZ_PQ_FLAT || !(i == TIME    ? is_time(c)
                                               : i == VALUE ? cczi_recsys_is_number(c)
                                                            : cczi_recsys_is_id(c))))
            return ccz_hint(err,
                            ccz_fail(err, CCZ_E_UNSUPPORTED, "recsys:column-type", (int64_t)c->type,
                                     "column \"%s\" is of a type that is not read here", names[i]),
                            cast[i]);
    }
    return CCZ_OK;
}

/* The footer is compared before the first page is read: a few bytes may stand for any number of rows. */
static ccz_rc check_rows(const struct cczi_recsys_scan *s, const struct ccz_pq_source *io,
                         const struct cczi_recsys_sink *k, struct ccz_err *err)
{
    const uint64_t rows = ccz_pq_rows(s->reader), read = k->counts->read;
    uint64_t size, most = k->filter->ratings_max;
    if (most > 0)
        return read <= most && rows <= most - read ? CCZ_OK
                                                   : cczi_recsys_too_many(err, read + rows, most);
    ccz_rc rc = io->size(&size, io->arg, err);
    if (rc != CCZ_OK)
        return rc;
    most = size < CCZ_RECSYS_RATINGS_MAX / CCZ_RECSYS_RATINGS_PER_BYTE
               ? size * CCZ_RECSYS_RATINGS_PER_BYTE
               : CCZ_RECSYS_RATINGS_MAX;
    most = most < CCZ_RECSYS_RATINGS_FREE ? CCZ_RECSYS_RATINGS_FREE : most;
    return rows <= most ? CCZ_OK : cczi_recsys_too_many(err, rows, most);
}

static ccz_rc read_time(int64_t *out, const struct cczi_recsys_scan *s, size_t i,
                        struct ccz_err *err)
{
    static const double max = 9007199254740992; /* 2^53 */
    const struct ccz_pq_column *c = s->column[TIME];
    double v = 0;
    *out = 0;
    if (!c)
        return CCZ_OK;
    const struct ccz_pq_data *d = cczi_recsys_scan_data(s, TIME);
    if (!cczi_recsys_cell_number(&v, c, d, i))
        return bad_cell(err, CCZ_E_FORMAT, "recsys:null", s->row + i, "no time");
    if (c->meaning == CCZ_PQ_DATE)
        v *= 86400;
    else if (c->meaning == CCZ_PQ_TIME_MS || c->meaning == CCZ_PQ_TIME_US ||
             c->meaning == CCZ_PQ_TIME_NS)
        v = (double)(d->v.i64[i] / (c->meaning == CCZ_PQ_TIME_MS   ? 1000
                                    : c->meaning == CCZ_PQ_TIME_US ? 1000000
                                                                   : 1000000000));
    if (!(fabs(v) <= max))
        return bad_cell(err, CCZ_E_FORMAT, "recsys:time", s->row + i,
                        "the time is no number of seconds");
    *out = (int64_t)v;
    return CCZ_OK;
}

static ccz_rc read_id(uint32_t *out, struct ccz_recsys_ids *ids, const struct cczi_recsys_scan *s,
                      int column, size_t i, struct ccz_err *err)
{
    const struct ccz_pq_column *c = s->column[column];
    const struct ccz_pq_data *d = cczi_recsys_scan_data(s, (size_t)column);
    struct ccz_recsys_id id;
    *out = 0;
    if (is_null(d, i))
        return bad_cell(err, CCZ_E_FORMAT, "recsys:null", s->row + i,
                        column == USER ? "no user" : "no item");
    if (!cczi_recsys_cell_id(&id, c, d, i))
        return bad_cell(err, CCZ_E_FORMAT, "recsys:id", s->row + i,
                        column == USER ? "the id of a user is beyond 2^63 - 1"
                                       : "the id of an item is beyond 2^63 - 1");
    if (id.kind == CCZ_RECSYS_ID_TEXT &&
        (id.text.size == 0 || id.text.size > CCZ_RECSYS_ID_SIZE_MAX ||
         (c->meaning != CCZ_PQ_STRING && !ccz_utf8_ok(id.text))))
        return bad_cell(err, CCZ_E_FORMAT, "recsys:id", s->row + i,
                        column == USER ? "no id of a user" : "no id of an item");
    return ccz_recsys_ids_add(out, ids, id, err);
}

static ccz_rc take_row(const struct cczi_recsys_sink *k, const struct cczi_recsys_scan *s, size_t i,
                       struct ccz_err *err)
{
    struct ccz_recsys_rating one = {.value = 1};
    double v = 1;
    if (s->column[VALUE] &&
        !cczi_recsys_cell_number(&v, s->column[VALUE], cczi_recsys_scan_data(s, VALUE), i))
        return bad_cell(err, CCZ_E_FORMAT, "recsys:null", s->row + i, "no value");
    one.value = (float)v;
    if (!isfinite(one.value))
        return bad_cell(err, CCZ_E_FORMAT, "recsys:value", s->row + i,
                        "the value is not finite, or too large");
    ccz_rc rc = read_time(&one.time, s, i, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_one_more(k->filter, k->counts, err);
    if (rc != CCZ_OK || !cczi_recsys_passes(&one.value, k->filter, k->counts))
        return rc;
    rc = read_id(&one.user, *k->user, s, USER, i, err);
    if (rc == CCZ_OK)
        rc = read_id(&one.item, *k->item, s, ITEM, i, err);
    return rc == CCZ_OK ? k->put(k->arg, &one, err) : rc;
}

static void table_names(const char *names[TABLE_COLUMNS], const struct ccz_recsys_table *t)
{
    names[USER] = t->user ? t->user : "user";
    names[ITEM] = t->item ? t->item : "item";
    names[VALUE] = t->value ? t->value : "rating";
    names[TIME] = t->time ? t->time : "timestamp";
}

ccz_rc cczi_recsys_ingest_parquet(const struct ccz_pq_source *io,
                                  const struct ccz_recsys_table *table,
                                  const struct cczi_recsys_sink *sink, struct ccz_err *err)
{
    const char *names[TABLE_COLUMNS];
    struct cczi_recsys_scan s;
    table_names(names, table);
    ccz_rc rc = cczi_recsys_scan_open(&s, io, table->crypt, names, TABLE_COLUMNS,
                                      1 << VALUE | 1 << TIME, err);
    if (rc == CCZ_OK)
        rc = check_types(&s, names, err);
    if (rc == CCZ_OK)
        rc = check_rows(&s, io, sink, err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_side(sink->user, cczi_recsys_id_kind(s.column[USER]), err);
    if (rc == CCZ_OK)
        rc = cczi_recsys_side(sink->item, cczi_recsys_id_kind(s.column[ITEM]), err);
    while (rc == CCZ_OK && (rc = cczi_recsys_scan_next(&s, err)) == CCZ_OK && s.rows > 0)
        for (size_t i = 0; rc == CCZ_OK && i < s.rows; i++)
            rc = take_row(sink, &s, i, err);
    cczi_recsys_scan_close(&s);
    return rc;
}

/* --------------------------------------------------------------------------------------- writing */

enum { BATCH = 16384 };

/* One batch of ids: numbers, or what the dictionary says. */
struct id_batch {
    int32_t i32[BATCH];
    int64_t i64[BATCH];
    struct ccz_span bytes[BATCH];
};
struct batch {
    struct id_batch id[2];
};

static struct ccz_pq_column id_column(const char *name, const struct ccz_recsys_ids *ids)
{
    struct ccz_pq_column c = {.name = name, .type = CCZ_PQ_INT32};
    if (ids && ccz_recsys_ids_kind(ids) == CCZ_RECSYS_ID_INT)
        c.type = CCZ_PQ_INT64;
    else if (ids)
        c = (struct ccz_pq_column){.name = name, .type = CCZ_PQ_BYTES, .meaning = CCZ_PQ_STRING};
    return c;
}

static ccz_rc fill_ids(struct ccz_pq_data *d, struct id_batch *b, const uint32_t *number,
                       size_t len, const struct ccz_recsys_ids *ids, struct ccz_err *err)
{
    *d = (struct ccz_pq_data){.rows = len, .len = len};
    const bool ints = ids && ccz_recsys_ids_kind(ids) == CCZ_RECSYS_ID_INT;
    for (size_t i = 0; i < len; i++) {
        if (number[i] >= (ids ? ccz_recsys_ids_len(ids) : (uint32_t)INT32_MAX))
            return ccz_fail(err, CCZ_E_ARG, "recsys:ids", number[i], "no id for number %u",
                            number[i]);
        if (!ids)
            b->i32[i] = (int32_t)number[i];
        else if (ints)
            b->i64[i] = ccz_recsys_ids_get(ids, number[i]).num;
        else
            b->bytes[i] = ccz_recsys_ids_get(ids, number[i]).text;
    }
    if (!ids)
        d->v.i32 = b->i32;
    else if (ints)
        d->v.i64 = b->i64;
    else
        d->v.bytes = b->bytes;
    return CCZ_OK;
}

static ccz_rc put_batches(struct ccz_pq_writer *w, struct batch *b,
                          const struct ccz_recsys_ratings *r, const struct ccz_recsys_ids *user,
                          const struct ccz_recsys_ids *item, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (uint64_t at = 0; rc == CCZ_OK && at < r->len; at += BATCH) {
        const size_t len = r->len - at < BATCH ? (size_t)(r->len - at) : BATCH;
        struct ccz_pq_data d[TABLE_COLUMNS];
        rc = fill_ids(&d[USER], &b->id[0], r->user + at, len, user, err);
        if (rc == CCZ_OK)
            rc = fill_ids(&d[ITEM], &b->id[1], r->item + at, len, item, err);
        d[VALUE] = (struct ccz_pq_data){.rows = len, .len = len, .v.f32 = r->value + at};
        if (r->time)
            d[TIME] = (struct ccz_pq_data){.rows = len, .len = len, .v.i64 = r->time + at};
        if (rc == CCZ_OK)
            rc = ccz_pq_writer_put(w, d, err);
    }
    return rc == CCZ_OK ? ccz_pq_writer_finish(w, err) : rc;
}

ccz_rc ccz_recsys_write_parquet(const struct ccz_pq_sink *io, const struct ccz_recsys_ratings *r,
                                const struct ccz_recsys_ids *user,
                                const struct ccz_recsys_ids *item,
                                const struct ccz_recsys_table *table, struct ccz_err *err)
{
    const char *names[TABLE_COLUMNS];
    table_names(names, table);
    if (table->numbers)
        user = item = NULL;
    const struct ccz_pq_column columns[TABLE_COLUMNS] = {
        id_column(names[USER], user),
        id_column(names[ITEM], item),
        {.name = names[VALUE], .type = CCZ_PQ_FLOAT},
        {.name = names[TIME], .type = CCZ_PQ_INT64, .encode = CCZ_PQ_ENCODE_DELTA}};
    const struct ccz_pq_write_cfg cfg = {.columns = columns,
                                         .columns_len = r->time ? TABLE_COLUMNS : TIME,
                                         .codec = CCZ_PQ_ZSTD,
                                         .no_statistics = true,
                                         .crypt = table->crypt};
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    struct batch *b = calloc(1, sizeof(*b));
    if (!b)
        return cczi_recsys_no_memory(err);
    ccz_rc rc = ccz_pq_writer_new(&w, io, &cfg, err);
    if (rc == CCZ_OK)
        rc = put_batches(w, b, r, user, item, err);
    cczi_recsys_wipe_free(b, sizeof(*b));
    return rc;
}
