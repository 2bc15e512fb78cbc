/* SPDX-License-Identifier: Apache-2.0 */
/* Rows come in, row groups go out: the chunks of one are kept, encoded, until it is full. */
#include "parquet/write_priv.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>
#include <stdlib.h>

enum { MIB = 1048576, PART_ROWS = 8192 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
}

/* --------------------------------------------------------------------------------- configuration */

static const char *check_encode(const struct ccz_pq_column *c)
{
    enum ccz_pq_type t = c->type;
    bool is_int = t == CCZ_PQ_INT32 || t == CCZ_PQ_INT64, ok = true;
    if (c->encode == CCZ_PQ_ENCODE_DELTA)
        ok = is_int || t == CCZ_PQ_BYTES;
    else if (c->encode == CCZ_PQ_ENCODE_SPLIT)
        ok = is_int || t == CCZ_PQ_FLOAT || t == CCZ_PQ_DOUBLE || t == CCZ_PQ_FIXED;
    else if (c->encode == CCZ_PQ_ENCODE_RLE)
        ok = t == CCZ_PQ_BOOLEAN;
    return ok ? NULL : "its encoding is not one of its type";
}

static const char *check_column(const struct ccz_pq_column *c)
{
    enum ccz_pq_type t = c->type;
    bool is_int = t == CCZ_PQ_INT32 || t == CCZ_PQ_INT64, ok = true;
    size_t size = c->name ? strlen(c->name) : 0;
    if (size == 0 || size > CCZ_PQ_NAME_SIZE_MAX - 16 || strchr(c->name, '.') ||
        !ccz_utf8_ok(ccz_span_str(c->name)))
        return "its name is empty, too long, not UTF-8 or has a dot";
    if (t < CCZ_PQ_BOOLEAN || t > CCZ_PQ_FIXED || t == CCZ_PQ_INT96)
        return "its type is not written";
    if ((t == CCZ_PQ_FIXED) != (c->type_size > 0) || c->type_size > CCZ_PQ_VALUE_SIZE_MAX)
        return "its type_size does not fit its type";
    if (c->shape != CCZ_PQ_FLAT && c->shape != CCZ_PQ_LIST)
        return "its shape is not written";
    switch (c->meaning) {
    case CCZ_PQ_PLAIN:
        break;
    case CCZ_PQ_STRING:
    case CCZ_PQ_JSON:
        ok = t == CCZ_PQ_BYTES;
        break;
    case CCZ_PQ_UNSIGNED:
    case CCZ_PQ_SIGNED:
        ok = is_int;
        break;
    case CCZ_PQ_DATE:
        ok = t == CCZ_PQ_INT32;
        break;
    case CCZ_PQ_TIME_MS:
    case CCZ_PQ_TIME_US:
    case CCZ_PQ_TIME_NS:
        ok = t == CCZ_PQ_INT64;
        break;
    default:
        ok = false;
    }
    return ok ? check_encode(c) : "its meaning is not one of its type";
}

static char *copy(const char *s, const char *tail)
{
    char *t = malloc(strlen(s) + strlen(tail) + 1);
    if (t) {
        strcpy(t, s);
        strcat(t, tail);
    }
    return t;
}

/* CCZ_PQ_ENCODE_AUTO begins with a dictionary. */
static bool dict_on(const struct cczi_pq_out *c)
{
    return c->leaf.c.encode == CCZ_PQ_ENCODE_AUTO && c->leaf.c.type != CCZ_PQ_BOOLEAN;
}

static ccz_rc add_column(struct ccz_pq_writer *w, const struct ccz_pq_column *from,
                         struct ccz_err *err)
{
    struct cczi_pq_out *c = &w->cols[w->cols_len];
    const char *what = check_column(from);
    for (size_t i = 0; i < w->cols_len && !what; i++)
        what = strcmp(w->cols[i].leaf.c.name, from->name) == 0 ? "its name is taken" : NULL;
    if (what)
        return ccz_fail(err, CCZ_E_ARG, "parquet:column", (int64_t)w->cols_len, "column %zu: %s",
                        w->cols_len, what);
    bool list = from->shape == CCZ_PQ_LIST;
    struct cczi_pq_leaf *l = &c->leaf;
    l->c = *from;
    l->c.name = copy(from->name, "");
    l->c.path = copy(from->name, list ? ".list.element" : "");
    c->number = (int32_t)w->cols_len++;
    if (!l->c.name || !l->c.path)
        return no_memory(err);
    cczi_pq_leaf_sizes(l);
    l->max_rep = list;
    l->def_list = list && from->optional;
    l->def_elem = (uint8_t)(l->def_list + 1);
    l->max_def = list ? (uint8_t)(l->def_elem + from->element_optional) : from->optional;
    c->key.path = l->c.path;
    struct ccz_buf *bufs[] = {&c->raw, &c->rep, &c->def, &c->pages, &c->min_bytes, &c->max_bytes};
    for (size_t i = 0; i < sizeof(bufs) / sizeof(*bufs); i++)
        cczi_pq_buf_init(bufs[i], SIZE_MAX / 2, w->crypt);
    c->dict.bytes.wipe = w->crypt;
    if (ccz_random(c->dict.key, sizeof(c->dict.key)) != CCZ_OK)
        return ccz_fail(err, CCZ_E_INTERNAL, "parquet:writer", 0, "no random numbers");
    cczi_pq_chunk_clear(c, dict_on(c));
    return CCZ_OK;
}

static ccz_rc add_meta(struct ccz_pq_writer *w, const struct ccz_pq_write_cfg *cfg,
                       struct ccz_err *err)
{
    if (cfg->meta_len > CCZ_PQ_META_LEN_MAX)
        return ccz_fail(err, CCZ_E_ARG, "parquet:meta", (int64_t)cfg->meta_len,
                        "more than %d pairs", CCZ_PQ_META_LEN_MAX);
    w->meta = calloc(2 * cfg->meta_len + 1, sizeof(*w->meta));
    if (!w->meta)
        return no_memory(err);
    for (; w->meta_len < cfg->meta_len; w->meta_len++) {
        const struct ccz_pq_meta *m = &cfg->meta[w->meta_len];
        if (!m->key || !m->value || !ccz_utf8_ok(ccz_span_str(m->key)) ||
            !ccz_utf8_ok(ccz_span_str(m->value)))
            return ccz_fail(err, CCZ_E_ARG, "parquet:meta", (int64_t)w->meta_len,
                            "pair %zu is not UTF-8", w->meta_len);
        w->meta[2 * w->meta_len] = copy(m->key, "");
        w->meta[2 * w->meta_len + 1] = copy(m->value, "");
        if (!w->meta[2 * w->meta_len] || !w->meta[2 * w->meta_len + 1]) {
            w->meta_len++; /* so that what is there is freed */
            return no_memory(err);
        }
    }
    return CCZ_OK;
}

static ccz_rc begin_crypt(struct ccz_pq_writer *w, struct ccz_err *err)
{
    if (!w->crypt)
        return CCZ_OK;
    ccz_rc rc = w->crypt->begin_write(&w->file, &w->file_crypt, w->crypt->arg, err);
    w->begun = rc == CCZ_OK;
    for (size_t i = 0; i < w->cols_len && rc == CCZ_OK; i++) {
        struct cczi_pq_out *c = &w->cols[i];
        rc = w->crypt->column_key(&c->key.kind, &c->key.metadata, w->file, c->leaf.c.path,
                                  c->leaf.c.name, err);
    }
    return rc;
}

static ccz_rc put(struct ccz_pq_writer *w, struct ccz_span bytes, struct ccz_err *err)
{
    ccz_rc rc = bytes.size > 0 ? w->io.write(w->io.arg, bytes, err) : CCZ_OK;
    w->offset += rc == CCZ_OK ? bytes.size : 0;
    return rc;
}

ccz_rc ccz_pq_writer_new(struct ccz_pq_writer **out, const struct ccz_pq_sink *io,
                         const struct ccz_pq_write_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    bool gzip = cfg->codec == CCZ_PQ_GZIP, zstd = cfg->codec == CCZ_PQ_ZSTD;
    if (!cczi_pq_codec_known((int32_t)cfg->codec) || cfg->level < 0 ||
        cfg->level > (gzip   ? 9
                      : zstd ? 19
                             : 0))
        return ccz_fail(err, CCZ_E_ARG, "parquet:level", cfg->level,
                        "level %d is not one of codec %d", cfg->level, (int)cfg->codec);
    if (cfg->columns_len == 0 || cfg->columns_len > CCZ_PQ_COLUMNS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "parquet:columns", (int64_t)cfg->columns_len,
                        "%zu columns, not 1 to %d", cfg->columns_len, CCZ_PQ_COLUMNS_MAX);
    CCZ_AUTO(ccz_pq_writer) w = calloc(1, sizeof(*w));
    if (!w)
        return no_memory(err);
    w->io = *io;
    w->codec = cfg->codec;
    w->level = cfg->level;
    w->pages_v2 = cfg->pages_v2;
    w->no_statistics = cfg->no_statistics;
    w->group_rows = cfg->row_group_rows > 0 ? cfg->row_group_rows : MIB;
    w->group_size = cfg->row_group_size > 0 ? cfg->row_group_size : (size_t)128 * MIB;
    w->page_size = cfg->page_size > 0 ? cfg->page_size : MIB;
    w->crypt = cfg->crypt;
    struct ccz_buf *bufs[] = {&w->groups, &w->columns, &w->body, &w->packed,
                              &w->sealed, &w->header,  &w->temp};
    for (size_t i = 0; i < sizeof(bufs) / sizeof(*bufs); i++)
        cczi_pq_buf_init(bufs[i], SIZE_MAX / 2, w->crypt);
    w->cols = calloc(cfg->columns_len, sizeof(*w->cols));
    ccz_rc rc = w->cols ? add_meta(w, cfg, err) : no_memory(err);
    for (size_t i = 0; i < cfg->columns_len && rc == CCZ_OK; i++)
        rc = add_column(w, &cfg->columns[i], err);
    if (rc == CCZ_OK)
        rc = begin_crypt(w, err);
    if (rc == CCZ_OK) {
        bool pare = w->file_crypt.kind == CCZI_PQ_FILE_ENCRYPTED;
        rc = put(w, ccz_span_str(pare ? "PARE" : "PAR1"), err);
    }
    if (rc == CCZ_OK)
        *out = ccz_pq_writer_take(&w);
    return rc;
}

void ccz_pq_writer_free(struct ccz_pq_writer *w)
{
    if (!w)
        return;
    if (w->begun && w->crypt->end)
        w->crypt->end(w->file);
    for (size_t i = 0; i < w->cols_len; i++) {
        struct cczi_pq_out *c = &w->cols[i];
        struct ccz_buf *bufs[] = {&c->raw,   &c->rep,       &c->def,
                                  &c->pages, &c->min_bytes, &c->max_bytes};
        for (size_t k = 0; k < sizeof(bufs) / sizeof(*bufs); k++)
            ccz_buf_free(bufs[k]);
        cczi_pq_dict_drop(&c->dict);
        free((char *)c->leaf.c.name);
        free((char *)c->leaf.c.path);
    }
    for (size_t i = 0; i < 2 * w->meta_len; i++)
        cczi_pq_free(w->meta[i], w->meta[i] ? strlen(w->meta[i]) : 0, w->crypt);
    free(w->meta);
    cczi_pq_free(w->cols, w->cols_len * sizeof(*w->cols), w->crypt); /* bounds are in them */
    struct ccz_buf *bufs[] = {&w->groups, &w->columns, &w->body, &w->packed,
                              &w->sealed, &w->header,  &w->temp};
    for (size_t i = 0; i < sizeof(bufs) / sizeof(*bufs); i++)
        ccz_buf_free(bufs[i]);
    free(w);
}

/* ------------------------------------------------------------------------------------ row groups */

static ccz_rc put_chunk(struct ccz_pq_writer *w, struct cczi_pq_out *c, struct ccz_err *err)
{
    ccz_rc rc = c->slots > 0 || c->pages_len == 0 ? cczi_pq_page_end(w, c, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = cczi_pq_dict_page(w, c, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t start = w->offset;
    bool has_dict = w->body.size > 0;
    rc = put(w, ccz_buf_span(&w->body), err);
    uint64_t data = w->offset;
    if (rc == CCZ_OK)
        rc = put(w, ccz_buf_span(&c->pages), err);
    if (rc == CCZ_OK)
        rc = cczi_pq_put_chunk(w, c, has_dict ? start : 0, data, w->offset - start, err);
    return rc;
}

static ccz_rc end_group(struct ccz_pq_writer *w, struct ccz_err *err)
{
    uint64_t start = w->offset, plain_size = 0;
    if (w->rows_in_group == 0)
        return CCZ_OK;
    bool encrypted = w->file_crypt.kind != CCZI_PQ_FILE_PLAIN;
    if (encrypted &&
        (w->groups_len > CCZ_PQ_CRYPT_ORDINAL_MAX || w->cols_len > CCZ_PQ_CRYPT_ORDINAL_MAX))
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:ordinal", (int64_t)w->groups_len,
                        "more than %d row groups or columns", CCZ_PQ_CRYPT_ORDINAL_MAX + 1);
    ccz_buf_clear(&w->columns);
    for (size_t i = 0; i < w->cols_len; i++) {
        struct cczi_pq_out *c = &w->cols[i];
        ccz_rc rc = put_chunk(w, c, err);
        if (rc != CCZ_OK)
            return rc;
        plain_size += c->plain_size;
        cczi_pq_chunk_clear(c, dict_on(c));
    }
    cczi_pq_put_group(w, start, plain_size);
    w->rows += w->rows_in_group;
    w->rows_in_group = 0;
    w->groups_len++;
    return w->groups.bad ? no_memory(err) : CCZ_OK;
}

static size_t group_size(const struct ccz_pq_writer *w)
{
    size_t size = 0;
    for (size_t i = 0; i < w->cols_len; i++)
        size += w->cols[i].pages.size + w->cols[i].raw.size;
    return size;
}

/* ------------------------------------------------------------------------------------------- rows */

static ccz_rc check_shape(const struct ccz_pq_writer *w, const struct ccz_pq_data *in,
                          struct ccz_err *err)
{
    for (size_t i = 0; i < w->cols_len; i++) {
        const struct ccz_pq_data *d = &in[i];
        if (d->rows != in[0].rows)
            return ccz_fail(err, CCZ_E_ARG, "parquet:rows", (int64_t)i,
                            "column %zu has %zu rows, the first has %zu", i, d->rows, in[0].rows);
        bool list = w->cols[i].leaf.c.shape == CCZ_PQ_LIST, ok = !list && d->len == d->rows;
        if (list && d->offset) {
            ok = d->offset[0] == 0 && d->offset[d->rows] == d->len;
            for (size_t k = 0; k < d->rows; k++)
                ok = ok && d->offset[k] <= d->offset[k + 1];
        }
        if (!ok && !(list && d->rows == 0))
            return ccz_fail(err, CCZ_E_ARG, "parquet:offset", (int64_t)i,
                            "column %zu: its slots do not fit its rows", i);
    }
    return CCZ_OK;
}

static ccz_rc put_rows(struct ccz_pq_writer *w, const struct ccz_pq_data *in, struct ccz_err *err)
{
    ccz_rc rc = check_shape(w, in, err);
    size_t rows = in[0].rows;
    for (size_t at = 0; at < rows && rc == CCZ_OK;) {
        size_t room = w->group_rows - (size_t)w->rows_in_group;
        size_t n = rows - at < room ? rows - at : room;
        n = n < PART_ROWS ? n : PART_ROWS;
        for (size_t i = 0; i < w->cols_len && rc == CCZ_OK; i++)
            rc = cczi_pq_column_put(w, &w->cols[i], &in[i], at, n, err);
        w->rows_in_group += n;
        at += n;
        if (rc == CCZ_OK && (w->rows_in_group == w->group_rows || group_size(w) >= w->group_size))
            rc = end_group(w, err);
    }
    return rc;
}

static ccz_rc is_over(const struct ccz_pq_writer *w, struct ccz_err *err)
{
    return w->over ? ccz_fail(err, CCZ_E_ARG, "parquet:writer", 0,
                              "the writer has failed, or is finished")
                   : CCZ_OK;
}

ccz_rc ccz_pq_writer_put(struct ccz_pq_writer *w, const struct ccz_pq_data *in, struct ccz_err *err)
{
    ccz_rc rc = is_over(w, err);
    if (rc == CCZ_OK)
        rc = put_rows(w, in, err);
    w->over |= rc != CCZ_OK;
    return rc;
}

ccz_rc ccz_pq_writer_finish(struct ccz_pq_writer *w, struct ccz_err *err)
{
    ccz_rc rc = is_over(w, err);
    if (rc == CCZ_OK)
        rc = end_group(w, err);
    if (rc == CCZ_OK)
        rc = cczi_pq_put_footer(w, err);
    if (rc == CCZ_OK)
        rc = put(w, ccz_buf_span(&w->body), err);
    w->over = true;
    return rc;
}
