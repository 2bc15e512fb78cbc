/* SPDX-License-Identifier: Apache-2.0 */
/* Factors in Parquet files: what leaves for Spark's jobs and comes back from them. */
#include "ingest.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ID, FEATURES, BIAS, FACTOR_COLUMNS, BATCH = 1024 };

static const char *or_name(const char *name, const char *otherwise)
{
    return name ? name : otherwise;
}

/* --------------------------------------------------------------------------------------- reading */

static ccz_rc bad_row(struct ccz_err *err, const struct cczi_recsys_scan *s, size_t i,
                      const char *what)
{
    const uint64_t row = s->row + i;
    return ccz_fail(err, CCZ_E_FORMAT, "recsys:factors", (int64_t)row, "row %llu: %s",
                    (unsigned long long)row, what);
}

static bool is_real(const struct ccz_pq_column *c, enum ccz_pq_shape shape)
{
    return c->shape == shape && (c->type == CCZ_PQ_FLOAT || c->type == CCZ_PQ_DOUBLE);
}

static ccz_rc find_number(uint32_t *out, const struct cczi_recsys_scan *s, size_t i,
                          const struct ccz_recsys_factor_table *t, struct ccz_err *err)
{
    struct ccz_recsys_id id;
    *out = CCZ_RECSYS_NONE;
    if (!cczi_recsys_cell_id(&id, s->column[ID], cczi_recsys_scan_data(s, ID), i))
        return bad_row(err, s, i, "no id");
    if (t->ids)
        *out = ccz_recsys_ids_find(t->ids, id);
    else if (id.kind == CCZ_RECSYS_ID_INT && id.num >= 0 && id.num < t->len)
        *out = (uint32_t)id.num;
    if (*out != CCZ_RECSYS_NONE)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_NOT_FOUND, "recsys:id", (int64_t)(s->row + i),
                    "row %llu: an id that is not known", (unsigned long long)(s->row + i));
}

/* The first list says how many factors there are. */
static ccz_rc make_room(struct ccz_recsys_factors *f, uint32_t len, size_t factors, bool bias,
                        struct ccz_err *err)
{
    if (f->v)
        return CCZ_OK;
    return ccz_recsys_factors_init(
        f, len, factors <= CCZ_RECSYS_FACTORS_MAX ? (uint32_t)factors : CCZ_RECSYS_FACTORS_MAX + 1,
        bias, err);
}

static ccz_rc take_row(struct ccz_recsys_factors *f, uint8_t *seen,
                       const struct cczi_recsys_scan *s, size_t i,
                       const struct ccz_recsys_factor_table *t, struct ccz_err *err)
{
    const struct ccz_pq_data *d = cczi_recsys_scan_data(s, FEATURES);
    const struct ccz_pq_column *c = s->column[FEATURES], *bias = s->column[BIAS];
    const size_t from = d->offset[i], factors = d->offset[i + 1] - from;
    uint32_t n;
    ccz_rc rc = find_number(&n, s, i, t, err);
    if (rc == CCZ_OK)
        rc = make_room(f, t->ids ? ccz_recsys_ids_len(t->ids) : t->len, factors, bias != NULL, err);
    if (rc != CCZ_OK)
        return rc;
    if (seen[n])
        return bad_row(err, s, i, "an id that was there before");
    if (factors != f->factors)
        return bad_row(err, s, i, "a list of another length than the first");
    double v;
    for (size_t k = 0; k < factors; k++) {
        if (!cczi_recsys_cell_number(&v, c, d, from + k) || !isfinite((float)v))
            return bad_row(err, s, i, "a factor that is not finite");
        ccz_recsys_row(f, n)[k] = (float)v;
    }
    if (bias && (!cczi_recsys_cell_number(&v, bias, cczi_recsys_scan_data(s, BIAS), i) ||
                 !isfinite((float)v)))
        return bad_row(err, s, i, "a bias that is not finite");
    if (bias)
        f->bias[n] = (float)v;
    seen[n] = 1;
    return CCZ_OK;
}

static ccz_rc check_types(const struct cczi_recsys_scan *s, const struct ccz_recsys_factors *f,
                          struct ccz_err *err)
{
    const struct ccz_pq_column *bias = s->column[BIAS];
    if (!cczi_recsys_is_id(s->column[ID]) || !is_real(s->column[FEATURES], CCZ_PQ_LIST) ||
        (bias && !is_real(bias, CCZ_PQ_FLAT)))
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "recsys:column-type", 0,
                        "expected an id, a list of floats and, if at all, a float as bias");
    if (f->v && (bias != NULL) != (f->bias != NULL))
        return ccz_fail(err, CCZ_E_FORMAT, "recsys:factors", 0,
                        "one file has biases and another has none");
    return CCZ_OK;
}

ccz_rc ccz_recsys_factors_read_parquet(struct ccz_recsys_factors *f, uint8_t *seen,
                                       const struct ccz_pq_source *io,
                                       const struct ccz_recsys_factor_table *table,
                                       struct ccz_err *err)
{
    const char *names[FACTOR_COLUMNS] = {or_name(table->id, "id"),
                                         or_name(table->features, "features"), "bias"};
    struct cczi_recsys_scan s;
    ccz_rc rc = cczi_recsys_scan_open(&s, io, table->crypt, names, FACTOR_COLUMNS, 1 << BIAS, err);
    if (rc == CCZ_OK)
        rc = check_types(&s, f, err);
    while (rc == CCZ_OK && (rc = cczi_recsys_scan_next(&s, err)) == CCZ_OK && s.rows > 0)
        for (size_t i = 0; rc == CCZ_OK && i < s.rows; i++)
            rc = take_row(f, seen, &s, i, table, err);
    cczi_recsys_scan_close(&s);
    return rc;
}

/* --------------------------------------------------------------------------------------- writing */

struct batch {
    int32_t i32[BATCH];
    int64_t i64[BATCH];
    struct ccz_span bytes[BATCH];
    uint32_t offset[BATCH + 1];
    float v[]; /* [BATCH * factors] */
};

static ccz_rc put_rows(struct ccz_pq_writer *w, struct batch *b, const struct ccz_recsys_factors *f,
                       const struct ccz_recsys_ids *ids, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (uint32_t at = 0, len; rc == CCZ_OK && at < f->len; at += len) {
        len = f->len - at < BATCH ? f->len - at : BATCH;
        struct ccz_pq_data d[FACTOR_COLUMNS] = {
            [ID] = {.rows = len, .len = len},
            [FEATURES] = {
                .rows = len, .len = (size_t)len * f->factors, .v.f32 = b->v, .offset = b->offset}};
        for (uint32_t i = 0; i < len; i++) {
            const struct ccz_recsys_id id =
                ids ? ccz_recsys_ids_get(ids, at + i) : ccz_recsys_id_int(at + i);
            b->i32[i] = (int32_t)(at + i);
            b->i64[i] = id.num;
            b->bytes[i] = id.text;
            b->offset[i + 1] = (i + 1) * f->factors;
            memcpy(b->v + (size_t)i * f->factors, ccz_recsys_row(f, at + i),
                   f->factors * sizeof(*b->v));
        }
        if (!ids)
            d[ID].v.i32 = b->i32;
        else if (ccz_recsys_ids_kind(ids) == CCZ_RECSYS_ID_INT)
            d[ID].v.i64 = b->i64;
        else
            d[ID].v.bytes = b->bytes;
        if (f->bias)
            d[BIAS] = (struct ccz_pq_data){.rows = len, .len = len, .v.f32 = f->bias + at};
        rc = ccz_pq_writer_put(w, d, err);
    }
    return rc == CCZ_OK ? ccz_pq_writer_finish(w, err) : rc;
}

ccz_rc ccz_recsys_factors_write_parquet(const struct ccz_pq_sink *io,
                                        const struct ccz_recsys_factors *f,
                                        const struct ccz_recsys_factor_table *table,
                                        struct ccz_err *err)
{
    const struct ccz_recsys_ids *ids = table->ids;
    if (f->len > (ids ? ccz_recsys_ids_len(ids) : (uint32_t)INT32_MAX))
        return ccz_fail(err, CCZ_E_ARG, "recsys:ids", f->len, "no ids for all of %u rows", f->len);
    const bool text = ids && ccz_recsys_ids_kind(ids) == CCZ_RECSYS_ID_TEXT;
    const struct ccz_pq_column columns[FACTOR_COLUMNS] = {
        {.name = or_name(table->id, "id"),
         .type = text  ? CCZ_PQ_BYTES
                 : ids ? CCZ_PQ_INT64
                       : CCZ_PQ_INT32,
         .meaning = text ? CCZ_PQ_STRING : CCZ_PQ_PLAIN},
        {.name = or_name(table->features, "features"),
         .type = CCZ_PQ_FLOAT,
         .shape = CCZ_PQ_LIST,
         .encode = CCZ_PQ_ENCODE_PLAIN},
        {.name = "bias", .type = CCZ_PQ_FLOAT, .encode = CCZ_PQ_ENCODE_PLAIN}};
    const struct ccz_pq_write_cfg cfg = {.columns = columns,
                                         .columns_len = f->bias ? FACTOR_COLUMNS : BIAS,
                                         .codec = CCZ_PQ_ZSTD,
                                         .no_statistics = true,
                                         .crypt = table->crypt};
    const size_t size = sizeof(struct batch) + BATCH * (size_t)f->factors * sizeof(float);
    CCZ_AUTO(ccz_pq_writer) w = NULL;
    struct batch *b = calloc(1, size);
    if (!b)
        return cczi_recsys_no_memory(err);
    ccz_rc rc = ccz_pq_writer_new(&w, io, &cfg, err);
    if (rc == CCZ_OK)
        rc = put_rows(w, b, f, ids, err);
    cczi_recsys_wipe_free(b, size);
    return rc;
}
