/* SPDX-License-Identifier: Apache-2.0 */
/* What is written about chunks, row groups and the file. */
#include "parquet/write_priv.h"

static const char CREATED_BY[] = "cczoo version 0.1.0 (build release)";

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
}

/* ------------------------------------------------------------------------------------ statistics */

/* Bounds as PLAIN bytes. A zero is written as the one that is safe whatever the sign of the others. */
static struct ccz_span plain(uint8_t out[8], const struct cczi_pq_leaf *l,
                             const union ccz_pq_bound *v, bool is_min)
{
    union ccz_pq_bound b = *v;
    if (l->c.type == CCZ_PQ_FLOAT && b.f32 == 0)
        b.f32 = is_min ? -0.0F : 0.0F;
    if (l->c.type == CCZ_PQ_DOUBLE && b.f64 == 0)
        b.f64 = is_min ? -0.0 : 0.0;
    if (l->slot_size == sizeof(struct ccz_span))
        return b.bytes;
    memcpy(out, &b, l->slot_size); /* little-endian, see values.c */
    return CCZ_SPAN(out, l->slot_size);
}

static void put_stats(struct cczi_tw *t, const struct cczi_pq_out *c)
{
    uint8_t max[8], min[8];
    cczi_tw_struct(t, 12);
    cczi_tw_i64(t, 3, (int64_t)c->nulls);
    if (c->has_bounds && !c->no_bounds) {
        cczi_tw_binary(t, 5, plain(max, &c->leaf, &c->max, false));
        cczi_tw_binary(t, 6, plain(min, &c->leaf, &c->min, true));
    }
    cczi_tw_close(t);
}

/* ---------------------------------------------------------------------------------------- chunks */

struct place {
    uint64_t dict_page, data_page, size;
};

static void put_path(struct cczi_tw *t, int16_t id, const struct cczi_pq_leaf *l)
{
    bool list = l->c.shape == CCZ_PQ_LIST;
    cczi_tw_list(t, id, CCZI_TH_BINARY, list ? 3 : 1);
    cczi_tw_elem_binary(t, ccz_span_str(l->c.name));
    if (list) {
        cczi_tw_elem_binary(t, ccz_span_str("list"));
        cczi_tw_elem_binary(t, ccz_span_str("element"));
    }
}

/* The fields of ColumnMetaData, in a struct that is open, and its end. */
static void put_meta(struct cczi_tw *t, const struct ccz_pq_writer *w, const struct cczi_pq_out *c,
                     const struct place *at, bool stats)
{
    size_t encodings = 0;
    for (unsigned e = 0; e < 32; e++)
        encodings += (c->encodings >> e) & 1;
    cczi_tw_i32(t, 1, (int32_t)c->leaf.c.type);
    cczi_tw_list(t, 2, CCZI_TH_I32, encodings);
    for (unsigned e = 0; e < 32; e++) {
        if ((c->encodings >> e) & 1)
            cczi_tw_elem_i32(t, (int32_t)e);
    }
    put_path(t, 3, &c->leaf);
    cczi_tw_i32(t, 4, (int32_t)w->codec);
    cczi_tw_i64(t, 5, (int64_t)c->values);
    cczi_tw_i64(t, 6, (int64_t)c->plain_size);
    cczi_tw_i64(t, 7, (int64_t)at->size);
    cczi_tw_i64(t, 9, (int64_t)at->data_page);
    if (at->dict_page > 0)
        cczi_tw_i64(t, 11, (int64_t)at->dict_page);
    if (stats && !w->no_statistics)
        put_stats(t, c);
    cczi_tw_close(t);
}

static void put_crypto(struct cczi_tw *t, const struct cczi_pq_out *c)
{
    cczi_tw_struct(t, 8);
    cczi_tw_struct(t, c->key.kind == CCZ_PQ_KEY_FOOTER ? 1 : 2);
    if (c->key.kind == CCZ_PQ_KEY_COLUMN) {
        put_path(t, 1, &c->leaf);
        if (c->key.metadata.size > 0)
            cczi_tw_binary(t, 2, c->key.metadata);
    }
    cczi_tw_close(t);
    cczi_tw_close(t);
}

ccz_rc cczi_pq_put_chunk(struct ccz_pq_writer *w, struct cczi_pq_out *c, uint64_t dict_page,
                         uint64_t data_page, uint64_t size, struct ccz_err *err)
{
    const struct place place = {dict_page, data_page, size};
    bool encrypted = c->key.kind != CCZ_PQ_KEY_NONE;
    bool in_clear = w->file_crypt.kind != CCZI_PQ_FILE_ENCRYPTED; /* the footer */
    bool seal = encrypted && (in_clear || c->key.kind == CCZ_PQ_KEY_COLUMN);
    struct cczi_tw t = {.out = &w->columns};
    cczi_tw_open(&t);
    cczi_tw_i64(&t, 2, (int64_t)(dict_page > 0 ? dict_page : data_page));
    if (!seal ||
        in_clear) { /* beside a sealed one: for readers without the key, and without statistics */
        cczi_tw_struct(&t, 3);
        put_meta(&t, w, c, &place, !seal);
    }
    if (encrypted)
        put_crypto(&t, c);
    if (seal) {
        struct cczi_pq_at at = {.module = CCZI_PQ_COLUMN_META,
                                .row_group = (int32_t)w->groups_len,
                                .column = c->number,
                                .page = -1,
                                .key = c->key};
        ccz_buf_clear(&w->temp);
        ccz_buf_clear(&w->sealed);
        struct cczi_tw m = {.out = &w->temp};
        cczi_tw_open(&m);
        put_meta(&m, w, c, &place, true);
        if (w->temp.bad)
            return no_memory(err);
        ccz_rc rc = w->crypt->seal(&w->sealed, w->file, &at, ccz_buf_span(&w->temp), err);
        if (rc != CCZ_OK)
            return rc;
        if (w->sealed.bad)
            return no_memory(err);
        cczi_tw_binary(&t, 9, ccz_buf_span(&w->sealed));
    }
    cczi_tw_close(&t);
    return w->columns.bad ? no_memory(err) : CCZ_OK;
}

void cczi_pq_put_group(struct ccz_pq_writer *w, uint64_t start, uint64_t plain_size)
{
    struct cczi_tw t = {.out = &w->groups};
    cczi_tw_open(&t);
    cczi_tw_list(&t, 1, CCZI_TH_STRUCT, w->cols_len);
    ccz_buf_put_span(&w->groups, ccz_buf_span(&w->columns));
    cczi_tw_i64(&t, 2, (int64_t)plain_size);
    cczi_tw_i64(&t, 3, (int64_t)w->rows_in_group);
    cczi_tw_i64(&t, 5, (int64_t)start);
    cczi_tw_i64(&t, 6, (int64_t)(w->offset - start));
    if (w->groups_len <= INT16_MAX)
        cczi_tw_i16(&t, 7, (int16_t)w->groups_len);
    cczi_tw_close(&t);
}

/* ---------------------------------------------------------------------------------------- schema */

/* LogicalType and ConvertedType */
static void put_meaning(struct cczi_tw *t, const struct ccz_pq_column *c)
{
    enum { LOGICAL = 10, CONVERTED = 6 };
    bool wide = c->type == CCZ_PQ_INT64;
    static const struct {
        int8_t converted, logical, unit;
    } of[] = {
        [CCZ_PQ_STRING] = {0, 1, 0},     [CCZ_PQ_JSON] = {19, 12, 0},
        [CCZ_PQ_UNSIGNED] = {13, 10, 0}, [CCZ_PQ_SIGNED] = {17, 10, 0},
        [CCZ_PQ_DATE] = {6, 6, 0},       [CCZ_PQ_TIME_MS] = {9, 8, 1},
        [CCZ_PQ_TIME_US] = {10, 8, 2},   [CCZ_PQ_TIME_NS] = {-1, 8, 3},
    };
    if (c->meaning == CCZ_PQ_PLAIN)
        return;
    bool is_int = of[c->meaning].logical == 10;
    if (of[c->meaning].converted >= 0)
        cczi_tw_i32(t, CONVERTED, of[c->meaning].converted + (is_int && wide));
    cczi_tw_struct(t, LOGICAL);
    cczi_tw_struct(t, of[c->meaning].logical);
    if (is_int) {
        cczi_tw_i8(t, 1, wide ? 64 : 32);
        cczi_tw_bool(t, 2, c->meaning == CCZ_PQ_SIGNED);
    } else if (of[c->meaning].unit > 0) {
        cczi_tw_bool(t, 1, true); /* adjusted to UTC */
        cczi_tw_struct(t, 2);
        cczi_tw_struct(t, of[c->meaning].unit);
        cczi_tw_close(t);
        cczi_tw_close(t);
    }
    cczi_tw_close(t);
    cczi_tw_close(t);
}

static void put_group_element(struct cczi_tw *t, int32_t repetition, const char *name,
                              size_t children, bool is_list)
{
    cczi_tw_open(t);
    if (repetition >= 0)
        cczi_tw_i32(t, 3, repetition);
    cczi_tw_binary(t, 4, ccz_span_str(name));
    cczi_tw_i32(t, 5, (int32_t)children);
    if (is_list) {
        cczi_tw_i32(t, 6, 3);
        cczi_tw_struct(t, 10);
        cczi_tw_struct(t, 3);
        cczi_tw_close(t);
        cczi_tw_close(t);
    }
    cczi_tw_close(t);
}

static void put_schema(struct cczi_tw *t, const struct ccz_pq_writer *w)
{
    enum { REQUIRED, OPTIONAL, REPEATED };
    size_t len = 1;
    for (size_t i = 0; i < w->cols_len; i++)
        len += w->cols[i].leaf.c.shape == CCZ_PQ_LIST ? 3 : 1;
    cczi_tw_list(t, 2, CCZI_TH_STRUCT, len);
    put_group_element(t, -1, "schema", w->cols_len, false);
    for (size_t i = 0; i < w->cols_len; i++) {
        const struct ccz_pq_column *c = &w->cols[i].leaf.c;
        bool list = c->shape == CCZ_PQ_LIST;
        if (list) {
            put_group_element(t, c->optional ? OPTIONAL : REQUIRED, c->name, 1, true);
            put_group_element(t, REPEATED, "list", 1, false);
        }
        bool optional = list ? c->element_optional : c->optional;
        cczi_tw_open(t);
        cczi_tw_i32(t, 1, (int32_t)c->type);
        if (c->type == CCZ_PQ_FIXED)
            cczi_tw_i32(t, 2, (int32_t)c->type_size);
        cczi_tw_i32(t, 3, optional ? OPTIONAL : REQUIRED);
        cczi_tw_binary(t, 4, ccz_span_str(list ? "element" : c->name));
        put_meaning(t, c);
        cczi_tw_close(t);
    }
}

/* ---------------------------------------------------------------------------------------- footer */

static void put_algorithm(struct cczi_tw *t, int16_t id, const struct cczi_pq_file_crypt *f)
{
    cczi_tw_struct(t, id);
    cczi_tw_struct(t, (int16_t)f->algorithm);
    if (f->has_aad_prefix)
        cczi_tw_binary(t, 1, f->aad_prefix);
    cczi_tw_binary(t, 2, f->aad_file_unique);
    cczi_tw_bool(t, 3, f->supply_aad_prefix);
    cczi_tw_close(t);
    cczi_tw_close(t);
}

/* FileMetaData */
static void put_file(struct ccz_buf *out, const struct ccz_pq_writer *w)
{
    struct cczi_tw t = {.out = out};
    cczi_tw_open(&t);
    cczi_tw_i32(&t, 1, 2);
    put_schema(&t, w);
    cczi_tw_i64(&t, 3, (int64_t)w->rows);
    cczi_tw_list(&t, 4, CCZI_TH_STRUCT, w->groups_len);
    ccz_buf_put_span(out, ccz_buf_span(&w->groups));
    if (w->meta_len > 0)
        cczi_tw_list(&t, 5, CCZI_TH_STRUCT, w->meta_len);
    for (size_t i = 0; i < w->meta_len; i++) {
        cczi_tw_open(&t);
        cczi_tw_binary(&t, 1, ccz_span_str(w->meta[2 * i]));
        cczi_tw_binary(&t, 2, ccz_span_str(w->meta[2 * i + 1]));
        cczi_tw_close(&t);
    }
    cczi_tw_binary(&t, 6, ccz_span_str(CREATED_BY));
    cczi_tw_list(&t, 7, CCZI_TH_STRUCT, w->cols_len); /* min and max are in the order of the type */
    for (size_t i = 0; i < w->cols_len; i++) {
        cczi_tw_open(&t);
        cczi_tw_struct(&t, 1);
        cczi_tw_close(&t);
        cczi_tw_close(&t);
    }
    if (w->file_crypt.kind == CCZI_PQ_FILE_SIGNED) {
        put_algorithm(&t, 8, &w->file_crypt);
        if (w->file_crypt.key_metadata.size > 0)
            cczi_tw_binary(&t, 9, w->file_crypt.key_metadata);
    }
    cczi_tw_close(&t);
}

ccz_rc cczi_pq_put_footer(struct ccz_pq_writer *w, struct ccz_err *err)
{
    const struct cczi_pq_at at = cczi_pq_at_footer();
    struct ccz_buf *out = &w->body;
    ccz_rc rc = CCZ_OK;
    ccz_buf_clear(out);
    ccz_buf_clear(&w->temp);
    put_file(&w->temp, w);
    if (w->temp.bad || w->groups.bad)
        return no_memory(err);
    struct ccz_span footer = ccz_buf_span(&w->temp);
    if (w->file_crypt.kind == CCZI_PQ_FILE_ENCRYPTED) {
        struct cczi_tw t = {.out = out};
        cczi_tw_open(&t);
        put_algorithm(&t, 1, &w->file_crypt);
        if (w->file_crypt.key_metadata.size > 0)
            cczi_tw_binary(&t, 2, w->file_crypt.key_metadata);
        cczi_tw_close(&t);
        rc = w->crypt->seal(out, w->file, &at, footer, err);
    } else {
        ccz_buf_put_span(out, footer);
        if (w->file_crypt.kind == CCZI_PQ_FILE_SIGNED)
            rc = w->crypt->sign(out, w->file, footer, err);
    }
    if (rc != CCZ_OK)
        return rc;
    if (out->size > INT32_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:footer-size", (int64_t)out->size,
                        "a footer of more than 2 GiB: take larger row groups");
    ccz_buf_le32(out, (uint32_t)out->size);
    ccz_buf_put_str(out, w->file_crypt.kind == CCZI_PQ_FILE_ENCRYPTED ? "PARE" : "PAR1");
    return out->bad ? no_memory(err) : CCZ_OK;
}
