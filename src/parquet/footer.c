/* SPDX-License-Identifier: Apache-2.0 */
/* FileMetaData and what is in it. At opening every chunk is parsed once, to be sure of it, and then again when it is needed: what is kept
 * of a chunk is where its bytes are, so that a footer takes little more memory than its size. */
#include "parquet/format_priv.h"

#include <stdlib.h>

void cczi_pq_stats_thrift(struct cczi_pq_stats *out, struct ccz_rd *r)
{
    *out = (struct cczi_pq_stats){0};
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        switch (s.id) {
        case 3:
            out->nulls = cczi_th_i64(r, &s);
            break;
        case 5:
            out->max = cczi_th_binary(r, &s);
            break;
        case 6:
            out->min = cczi_th_binary(r, &s);
            break;
        default: /* 1 and 2, older min and max, were written in more than one order */
            cczi_th_skip(r, &s);
        }
    }
    out->has_nulls = cczi_th_has(&s, 3);
    out->has_max = cczi_th_has(&s, 5);
    out->has_min = cczi_th_has(&s, 6);
}

/* ------------------------------------------------------------------------------------ encryption */

/* AesGcmV1, AesGcmCtrV1 */
static void read_aes(struct cczi_pq_file_crypt *out, struct ccz_rd *r)
{
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        if (s.id == 1)
            out->aad_prefix = cczi_th_binary(r, &s);
        else if (s.id == 2)
            out->aad_file_unique = cczi_th_binary(r, &s);
        else if (s.id == 3)
            out->supply_aad_prefix = cczi_th_bool(r, &s);
        else
            cczi_th_skip(r, &s);
    }
    out->has_aad_prefix = cczi_th_has(&s, 1);
}

/* EncryptionAlgorithm: a union of which one field must be there */
static bool read_algorithm(struct cczi_pq_file_crypt *out, struct ccz_rd *r)
{
    struct cczi_th s = {0};
    bool known = false;
    while (cczi_th_next(r, &s)) {
        if (known || (s.id != CCZI_PQ_GCM_V1 && s.id != CCZI_PQ_GCM_CTR_V1)) {
            known = false;
            break;
        }
        known = cczi_th_is_struct(r, &s);
        out->algorithm = (enum cczi_pq_algorithm)s.id;
        read_aes(out, r);
    }
    return known && !r->bad;
}

static ccz_rc bad_algorithm(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_UNSUPPORTED, "parquet:algorithm", 0,
                    "encrypted by neither AES_GCM_V1 nor AES_GCM_CTR_V1");
}

ccz_rc cczi_pq_file_crypt_read(struct cczi_pq_file_crypt *out, size_t *size, struct ccz_span in,
                               struct ccz_err *err)
{
    *out = (struct cczi_pq_file_crypt){.kind = CCZI_PQ_FILE_ENCRYPTED};
    struct ccz_rd r = ccz_rd_from(in);
    struct cczi_th s = {0};
    bool known = false;
    while (cczi_th_next(&r, &s)) {
        if (s.id == 1) {
            cczi_th_is_struct(&r, &s);
            known = !r.bad && read_algorithm(out, &r);
            if (!known)
                break;
        } else if (s.id == 2) {
            out->key_metadata = cczi_th_binary(&r, &s);
        } else {
            cczi_th_skip(&r, &s);
        }
    }
    if (!r.bad && cczi_th_has(&s, 1) && !known)
        return bad_algorithm(err);
    if (r.bad || !known)
        return ccz_fail(err, CCZ_E_FORMAT, "parquet:footer", 0, "malformed FileCryptoMetaData");
    *size = in.size - r.left;
    return CCZ_OK;
}

/* ColumnCryptoMetaData: a union */
static void read_column_crypto(struct cczi_pq_key *key, struct ccz_rd *r,
                               const struct cczi_pq_leaf *leaf)
{
    struct cczi_th s = {0}, in = {0};
    while (cczi_th_next(r, &s)) {
        if (!cczi_th_is_struct(r, &s) || key->kind != CCZ_PQ_KEY_NONE || s.id < 1 || s.id > 2) {
            r->bad = true;
            return;
        }
        key->kind = s.id == 1 ? CCZ_PQ_KEY_FOOTER : CCZ_PQ_KEY_COLUMN;
        in = (struct cczi_th){0};
        while (cczi_th_next(r, &in)) {
            if (s.id == 2 && in.id == 2)
                key->metadata = cczi_th_binary(r, &in);
            else /* path_in_schema is the column's own: the place in the row group says which it is */
                cczi_th_skip(r, &in);
        }
    }
    r->bad |= key->kind == CCZ_PQ_KEY_NONE;
    key->path = leaf->c.path;
}

/* --------------------------------------------------------------------------------- column chunks */

static bool path_is(struct ccz_rd *r, size_t len, const char *path)
{
    bool same = true;
    for (size_t i = 0; i < len; i++) {
        struct ccz_span part = cczi_th_elem_binary(r);
        if (i > 0)
            same = same && *path++ == '.';
        same = same && strlen(path) >= part.size && memcmp(path, part.ptr, part.size) == 0;
        if (!same || r->bad)
            return false;
        path += part.size;
    }
    return *path == 0;
}

/* ColumnMetaData */
static const char *read_meta(struct cczi_pq_chunk *c, struct ccz_rd *r,
                             const struct cczi_pq_leaf *leaf)
{
    bool is_column = true;
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        switch (s.id) {
        case 1:
            is_column = is_column && cczi_th_i32(r, &s) == (int32_t)leaf->c.type;
            break;
        case 2:
            for (size_t n = cczi_th_list(r, &s, CCZI_TH_I32); n > 0 && !r->bad; n--) {
                int32_t e = cczi_th_elem_i32(r);
                c->encodings |= e >= 0 && e < 32 ? UINT32_C(1) << e : 0;
            }
            break;
        case 3: {
            size_t parts = cczi_th_list(r, &s, CCZI_TH_BINARY);
            if (r->bad || !path_is(r, parts, leaf->c.path))
                return "of another column than the schema's";
            break;
        }
        case 4:
            c->codec = cczi_th_i32(r, &s);
            break;
        case 5:
            c->values = cczi_th_i64(r, &s);
            break;
        case 6:
            c->plain_size = cczi_th_i64(r, &s);
            break;
        case 7:
            c->size = cczi_th_i64(r, &s);
            break;
        case 9:
            c->data_page = cczi_th_i64(r, &s);
            break;
        case 11:
            c->dict_page = cczi_th_i64(r, &s);
            break;
        case 12:
            cczi_th_is_struct(r, &s);
            cczi_pq_stats_thrift(&c->stats, r);
            break;
        case 14:
            c->bloom = cczi_th_i64(r, &s);
            break;
        case 15:
            c->bloom_size = cczi_th_i32(r, &s);
            break;
        default:
            cczi_th_skip(r, &s);
        }
    }
    const uint64_t needed = 0xfe & ~(UINT64_C(1) << 8); /* 1 .. 7 */
    if (r->bad || (s.seen & needed) != needed || !cczi_th_has(&s, 9))
        return "malformed ColumnMetaData";
    return is_column ? NULL : "of another type than the schema's";
}

/* Where the chunk is and how many values it has, against what holds it. */
static const char *check_meta(struct cczi_pq_chunk *c, const struct ccz_pq_reader *r, size_t group,
                              const struct cczi_pq_leaf *leaf)
{
    uint64_t rows = r->groups[group].rows;
    if (c->values < 0 || (leaf->max_rep == 0 && (uint64_t)c->values != rows) ||
        (uint64_t)c->values < rows)
        return "a number of values that does not fit the rows";
    if (c->plain_size < 0 || c->size < 0)
        return "a negative size";
    if (c->dict_page < 0 || c->data_page < 0)
        return "a negative offset";
    bool no_pages =
        c->values == 0 && c->data_page == 0; /* of a row group without rows, as arrow writes it */
    if (no_pages && c->dict_page == 0 && c->size == 0)
        c->data_page = CCZI_PQ_MAGIC_SIZE;
    if (!no_pages && c->dict_page >= c->data_page) /* 0, or the first page, where there is none */
        c->dict_page = 0;
    uint64_t start = (uint64_t)(c->dict_page > 0 ? c->dict_page : c->data_page);
    if (start < CCZI_PQ_MAGIC_SIZE || start > r->data_end ||
        (uint64_t)c->size > r->data_end - start)
        return "it lies outside the file";
    if (c->bloom < 0 || (uint64_t)c->bloom > r->data_end || c->bloom_size < 0)
        return "its Bloom filter lies outside the file";
    return NULL;
}

static bool index_ok(const struct ccz_pq_reader *r, int64_t at, int32_t size)
{
    return size == 0 || (size > 0 && at >= CCZI_PQ_MAGIC_SIZE && (uint64_t)at <= r->data_end &&
                         (uint64_t)size <= r->data_end - (uint64_t)at);
}

/* ColumnChunk, as it stands in the footer. @return what is wrong with it, or NULL */
static const char *read_chunk(struct cczi_pq_chunk *c, struct ccz_span *file_path,
                              const struct cczi_pq_leaf *leaf, struct ccz_span bytes)
{
    struct ccz_rd rd = ccz_rd_from(bytes);
    const char *what = NULL;
    struct cczi_th s = {0};
    while (!what && cczi_th_next(&rd, &s)) {
        switch (s.id) {
        case 1:
            *file_path = cczi_th_binary(&rd, &s);
            break;
        case 3:
            cczi_th_is_struct(&rd, &s);
            what = read_meta(c, &rd, leaf);
            break;
        case 4:
            c->offset_index = cczi_th_i64(&rd, &s);
            break;
        case 5:
            c->offset_index_size = cczi_th_i32(&rd, &s);
            break;
        case 6:
            c->column_index = cczi_th_i64(&rd, &s);
            break;
        case 7:
            c->column_index_size = cczi_th_i32(&rd, &s);
            break;
        case 8:
            cczi_th_is_struct(&rd, &s);
            read_column_crypto(&c->key, &rd, leaf);
            break;
        case 9:
            c->sealed_meta = cczi_th_binary(&rd, &s);
            break;
        default:
            cczi_th_skip(&rd, &s);
        }
    }
    c->has_meta = cczi_th_has(&s, 3);
    return what || ccz_rd_done(&rd) ? what : "malformed ColumnChunk";
}

/* Reads it; ColumnMetaData that is not encrypted is checked, too. */
static ccz_rc parse_chunk(struct cczi_pq_chunk *c, struct cczi_pq_at *at,
                          const struct ccz_pq_reader *r, struct ccz_span bytes, struct ccz_err *err)
{
    const struct cczi_pq_leaf *leaf = &r->schema.leaves[at->column];
    struct ccz_span file_path = {0};
    const char *what = read_chunk(c, &file_path, leaf, bytes);
    at->key = c->key;
    if (!what && c->has_meta)
        what = check_meta(c, r, (size_t)at->row_group, leaf);
    if (!what && !(index_ok(r, c->offset_index, c->offset_index_size) &&
                   index_ok(r, c->column_index, c->column_index_size)))
        what = "its page index lies outside the file";
    if (!what && !c->has_meta && c->sealed_meta.size == 0)
        what = "without ColumnMetaData";
    if (!what && c->sealed_meta.size > 0 && c->key.kind == CCZ_PQ_KEY_NONE)
        what = "encrypted under no key";
    if (!what && c->sealed_meta.size == 0 && c->key.kind == CCZ_PQ_KEY_COLUMN)
        what = "not encrypted under its column's key"; /* the footer's vouches for nothing in it */
    if (what)
        return cczi_pq_fail(err, CCZ_E_FORMAT, at, what);
    if (file_path.size > 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "parquet:chunk-file", at->row_group,
                        "row group %d, column %s: it is in another file", (int)at->row_group,
                        leaf->c.path);
    return CCZ_OK;
}

static void chunk_at(struct cczi_pq_chunk *c, struct cczi_pq_at *at, const struct ccz_pq_reader *r,
                     size_t group, size_t column)
{
    *c = (struct cczi_pq_chunk){.key.path = r->schema.leaves[column].c.path};
    *at = (struct cczi_pq_at){.module = CCZI_PQ_COLUMN_META,
                              .row_group = (int32_t)group,
                              .column = (int32_t)column,
                              .page = -1,
                              .key = c->key};
}

ccz_rc cczi_pq_chunk_read(struct cczi_pq_chunk *out, struct cczi_pq_at *at, struct ccz_buf *hold,
                          const struct ccz_pq_reader *r, size_t group, size_t column,
                          struct ccz_err *err)
{
    chunk_at(out, at, r, group, column);
    struct ccz_span bytes = r->chunks[r->groups[group].chunks_at + column];
    ccz_rc rc = parse_chunk(out, at, r, bytes, err);
    if (rc != CCZ_OK || out->sealed_meta.size == 0)
        return rc;
    /* What is in clear beside it is for readers without the key. */
    ccz_buf_clear(hold);
    if (out->sealed_meta.size < 4)
        return cczi_pq_fail(err, CCZ_E_FORMAT, at, "it is cut off");
    rc = r->cfg.crypt->open(hold, r->file, at, out->sealed_meta, err);
    if (rc != CCZ_OK)
        return rc;
    if (hold->bad)
        return cczi_pq_fail(err, CCZ_E_NOMEM, at, "out of memory");
    struct ccz_rd rd = ccz_rd_from(ccz_buf_span(hold));
    *out = (struct cczi_pq_chunk){.key = out->key, /* nothing of what is in clear */
                                  .sealed_meta = out->sealed_meta,
                                  .offset_index = out->offset_index,
                                  .offset_index_size = out->offset_index_size,
                                  .column_index = out->column_index,
                                  .column_index_size = out->column_index_size};
    const char *what = read_meta(out, &rd, &r->schema.leaves[column]);
    if (!what && !cczi_th_ends(&rd, true))
        what = "trailing bytes";
    if (!what)
        what = check_meta(out, r, group, &r->schema.leaves[column]);
    out->has_meta = true;
    return what ? cczi_pq_fail(err, CCZ_E_FORMAT, at, what) : CCZ_OK;
}

ccz_rc cczi_pq_chunk_key(struct cczi_pq_key *out, const struct ccz_pq_reader *r, size_t group,
                         size_t column, struct ccz_err *err)
{
    struct cczi_pq_chunk c;
    struct cczi_pq_at at;
    chunk_at(&c, &at, r, group, column);
    ccz_rc rc = parse_chunk(&c, &at, r, r->chunks[r->groups[group].chunks_at + column], err);
    *out = c.key;
    return rc;
}

/* ------------------------------------------------------------------------------------ row groups */

static ccz_rc bad_group(struct ccz_err *err, size_t group, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "parquet:row-group", (int64_t)group, "row group %zu: %s",
                    group, what);
}

static ccz_rc read_group(struct ccz_pq_reader *r, struct ccz_rd *rd, size_t group,
                         struct ccz_err *err)
{
    struct cczi_pq_group *g = &r->groups[group];
    struct cczi_th s = {0};
    size_t len = 0;
    int64_t rows = -1;
    g->chunks_at = (uint64_t)group * r->schema.len;
    while (cczi_th_next(rd, &s)) {
        if (s.id == 1) {
            len = cczi_th_list(rd, &s, CCZI_TH_STRUCT);
            if (len != r->schema.len)
                return bad_group(err, group, "another number of columns than the schema's");
            for (size_t i = 0; i < len; i++)
                r->chunks[g->chunks_at + i] = cczi_th_struct_bytes(rd);
        } else if (s.id == 3) {
            rows = cczi_th_i64(rd, &s);
        } else {
            cczi_th_skip(rd, &s);
        }
    }
    if (rd->bad || !cczi_th_has(&s, 1) || rows < 0)
        return bad_group(err, group, "malformed");
    g->rows = (uint64_t)rows;
    if (g->rows > r->cfg.rows_max - r->rows)
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:rows", (int64_t)group, "more than %llu rows",
                        (unsigned long long)r->cfg.rows_max);
    r->rows += g->rows;
    for (size_t i = 0; i < len; i++) {
        struct cczi_pq_chunk c;
        struct cczi_pq_at at;
        chunk_at(&c, &at, r, group, i);
        ccz_rc rc = parse_chunk(&c, &at, r, r->chunks[g->chunks_at + i], err);
        if (rc != CCZ_OK)
            return rc;
        r->any_key |= c.key.kind != CCZ_PQ_KEY_NONE;
    }
    return CCZ_OK;
}

static ccz_rc read_groups(struct ccz_pq_reader *r, struct ccz_rd *rd, size_t len,
                          struct ccz_err *err)
{
    if (len > CCZ_PQ_ROW_GROUPS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:row-groups", (int64_t)len,
                        "more than %d row groups", CCZ_PQ_ROW_GROUPS_MAX);
    if (r->schema.len > 0 && len > rd->left / r->schema.len) /* no chunk takes less than a byte */
        return bad_group(err, 0, "more than the footer has room for");
    r->groups = calloc(len + 1, sizeof(*r->groups));
    r->chunks = calloc(len * r->schema.len + 1, sizeof(*r->chunks));
    if (!r->groups || !r->chunks)
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
    for (; r->groups_len < len; r->groups_len++) {
        ccz_rc rc = read_group(r, rd, r->groups_len, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------- pairs, texts */

/* Up to a NUL, behind which nobody would see anything. */
static char *text(struct ccz_span s)
{
    const uint8_t *nul = s.size > 0 ? memchr(s.ptr, 0, s.size) : NULL;
    s.size = nul ? (size_t)(nul - s.ptr) : s.size;
    char *t = malloc(s.size + 1);
    if (t) {
        if (s.size > 0)
            memcpy(t, s.ptr, s.size);
        t[s.size] = 0;
    }
    return t;
}

static ccz_rc read_pairs(struct ccz_pq_reader *r, struct ccz_rd *rd, size_t len,
                         struct ccz_err *err)
{
    if (len > CCZ_PQ_META_LEN_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:meta", (int64_t)len, "more than %d pairs",
                        CCZ_PQ_META_LEN_MAX);
    r->meta = calloc(len + 1, sizeof(*r->meta));
    if (!r->meta)
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
    for (size_t i = 0; i < len; i++) {
        struct ccz_span key = {0}, value = {0};
        struct cczi_th s = {0};
        while (cczi_th_next(rd, &s)) {
            if (s.id == 1)
                key = cczi_th_binary(rd, &s);
            else if (s.id == 2)
                value = cczi_th_binary(rd, &s);
            else
                cczi_th_skip(rd, &s);
        }
        if (rd->bad)
            return CCZ_OK; /* refused by the caller */
        char *k = text(key), *v = text(value);
        if (k && v) {
            r->meta[r->meta_len++] = (struct ccz_pq_meta){k, v};
            continue;
        }
        cczi_pq_free(k, k ? strlen(k) : 0, r->cfg.crypt);
        cczi_pq_free(v, v ? strlen(v) : 0, r->cfg.crypt);
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
    }
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------------- FileMetaData */

static ccz_rc bad_footer(struct ccz_err *err, const char *what)
{
    return ccz_fail(err, CCZ_E_FORMAT, "parquet:footer", 0, "%s", what);
}

static ccz_rc read_field(struct ccz_pq_reader *r, struct ccz_rd *rd, const struct cczi_th *s,
                         int64_t *rows, struct cczi_pq_file_crypt *crypt, struct ccz_err *err)
{
    switch (s->id) {
    case 2: {
        size_t len = cczi_th_list(rd, s, CCZI_TH_STRUCT);
        return rd->bad ? CCZ_OK : cczi_pq_schema_read(&r->schema, rd, len, err);
    }
    case 3:
        *rows = cczi_th_i64(rd, s);
        return CCZ_OK;
    case 4: {
        if (!cczi_th_has(s, 2))
            return bad_footer(err, "row groups without a schema before them");
        size_t len = cczi_th_list(rd, s, CCZI_TH_STRUCT);
        return rd->bad ? CCZ_OK : read_groups(r, rd, len, err);
    }
    case 5: {
        size_t len = cczi_th_list(rd, s, CCZI_TH_STRUCT);
        return rd->bad ? CCZ_OK : read_pairs(r, rd, len, err);
    }
    case 6: {
        struct ccz_span by = cczi_th_binary(rd, s);
        r->created_by = text(by);
        return r->created_by ? CCZ_OK
                             : ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
    }
    case 8:
        cczi_th_is_struct(rd, s);
        return read_algorithm(crypt, rd) || rd->bad ? CCZ_OK : bad_algorithm(err);
    case 9:
        crypt->key_metadata = cczi_th_binary(rd, s);
        return CCZ_OK;
    default:
        cczi_th_skip(rd, s);
        return CCZ_OK;
    }
}

ccz_rc cczi_pq_footer_read(struct ccz_pq_reader *r, struct cczi_pq_file_crypt *crypt, bool *signed_,
                           bool sealed, struct ccz_err *err)
{
    struct ccz_rd rd = ccz_rd_from(ccz_buf_span(&r->footer));
    struct cczi_th s = {0};
    int64_t rows = -1;
    while (cczi_th_next(&rd, &s)) {
        ccz_rc rc = read_field(r, &rd, &s, &rows, crypt, err);
        if (rc != CCZ_OK)
            return rc;
    }
    *signed_ = cczi_th_has(&s, 8);
    if (rd.bad || !cczi_th_has(&s, 2) || !cczi_th_has(&s, 3) || !cczi_th_has(&s, 4))
        return bad_footer(err, "malformed FileMetaData");
    if (*signed_ ? rd.left != CCZI_PQ_SIGNATURE_SIZE : !cczi_th_ends(&rd, sealed))
        return bad_footer(err, "trailing bytes, or no signature");
    if (rows < 0 || (uint64_t)rows != r->rows)
        return bad_footer(err, "another number of rows than its row groups have");
    return CCZ_OK;
}
