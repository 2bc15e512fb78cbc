/* SPDX-License-Identifier: Apache-2.0 */
/* From the last 8 bytes of a file to its footer; scans of columns side by side. */
#include "parquet/format_priv.h"

#include <stdlib.h>

enum { MIB = 1048576, BATCH_ROWS = 65536 };

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
}

/* --------------------------------------------------------------------------------------- opening */

static ccz_rc begin(struct ccz_pq_reader *r, const struct cczi_pq_file_crypt *crypt,
                    struct ccz_err *err)
{
    if (!r->cfg.crypt) {
        if (crypt->kind == CCZI_PQ_FILE_PLAIN)
            return CCZ_OK;
        return ccz_hint(err,
                        ccz_fail(err, CCZ_E_UNSUPPORTED, "parquet:encrypted", 0,
                                 "the file is encrypted, or signed"),
                        "give the reader keys");
    }
    ccz_rc rc = r->cfg.crypt->begin(&r->file, r->cfg.crypt->arg, crypt, err);
    r->begun = rc == CCZ_OK;
    return rc;
}

static ccz_rc fail_footer(struct ccz_err *err, const char *what)
{
    struct cczi_pq_at at = cczi_pq_at_footer();
    return cczi_pq_fail(err, CCZ_E_FORMAT, &at, what);
}

/* FileCryptoMetaData and, encrypted, FileMetaData */
static ccz_rc open_encrypted(struct ccz_pq_reader *r, struct ccz_err *err)
{
    struct cczi_pq_file_crypt crypt;
    size_t size = 0;
    CCZ_AUTO_BUF stored = r->footer;
    cczi_pq_buf_init(&r->footer, r->cfg.footer_size_max, r->cfg.crypt);
    struct ccz_span all = ccz_buf_span(&stored);
    ccz_rc rc = cczi_pq_file_crypt_read(&crypt, &size, all, err);
    if (rc == CCZ_OK)
        rc = begin(r, &crypt, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span sealed = ccz_span_sub(all, size, all.size - size);
    if (sealed.size < 4)
        return fail_footer(err, "it is cut off");
    struct cczi_pq_at at = cczi_pq_at_footer();
    rc = r->cfg.crypt->open(&r->footer, r->file, &at, sealed, err);
    if (rc == CCZ_OK && r->footer.bad)
        return no_memory(err);
    bool is_signed = false;
    struct cczi_pq_file_crypt inner = {0};
    if (rc == CCZ_OK)
        rc = cczi_pq_footer_read(r, &inner, &is_signed, true, err);
    if (rc == CCZ_OK && is_signed)
        return fail_footer(err, "a signed footer inside an encrypted one");
    return rc;
}

static ccz_rc open_clear(struct ccz_pq_reader *r, struct ccz_err *err)
{
    bool is_signed = false;
    struct cczi_pq_file_crypt crypt = {0};
    ccz_rc rc = cczi_pq_footer_read(r, &crypt, &is_signed, false, err);
    if (rc != CCZ_OK)
        return rc;
    if (is_signed)
        crypt.kind = CCZI_PQ_FILE_SIGNED;
    else if (r->any_key)
        return fail_footer(err, "a chunk is encrypted, and the footer does not say how");
    rc = begin(r, &crypt, err);
    if (rc != CCZ_OK || !is_signed)
        return rc;
    struct ccz_span all = ccz_buf_span(&r->footer);
    size_t size = all.size - CCZI_PQ_SIGNATURE_SIZE;
    return r->cfg.crypt->verify(r->file, ccz_span_sub(all, 0, size),
                                ccz_span_sub(all, size, CCZI_PQ_SIGNATURE_SIZE), err);
}

/* Magic at both ends; the footer's bytes go to r->footer. */
static ccz_rc read_ends(struct ccz_pq_reader *r, bool *encrypted, struct ccz_err *err)
{
    uint64_t size = 0;
    uint8_t head[CCZI_PQ_MAGIC_SIZE], tail[CCZI_PQ_TAIL_SIZE];
    ccz_rc rc = r->io.size(&size, r->io.arg, err);
    if (rc != CCZ_OK)
        return rc;
    if (size < CCZI_PQ_MAGIC_SIZE + CCZI_PQ_TAIL_SIZE || size > INT64_MAX)
        return ccz_fail(err, CCZ_E_FORMAT, "parquet:size", (int64_t)size,
                        "not a Parquet file: %llu bytes", (unsigned long long)size);
    rc = r->io.read_at(head, r->io.arg, 0, sizeof(head), err);
    if (rc == CCZ_OK)
        rc = r->io.read_at(tail, r->io.arg, size - sizeof(tail), sizeof(tail), err);
    if (rc != CCZ_OK)
        return rc;
    *encrypted = memcmp(tail + 4, "PARE", 4) == 0;
    if ((!*encrypted && memcmp(tail + 4, "PAR1", 4) != 0) || memcmp(head, tail + 4, 4) != 0)
        return ccz_fail(err, CCZ_E_FORMAT, "parquet:magic", 0,
                        "not a Parquet file: it does not begin and end with PAR1 or PARE");
    struct ccz_rd rd = ccz_rd_from(CCZ_SPAN(tail, 4));
    uint64_t footer = ccz_rd_le32(&rd);
    if (footer > size - CCZI_PQ_MAGIC_SIZE - CCZI_PQ_TAIL_SIZE)
        return ccz_fail(err, CCZ_E_FORMAT, "parquet:footer", (int64_t)footer,
                        "the footer is larger than the file");
    if (footer > r->cfg.footer_size_max)
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:footer-size", (int64_t)footer,
                        "a footer of %llu bytes, more than %zu", (unsigned long long)footer,
                        r->cfg.footer_size_max);
    r->data_end = size - CCZI_PQ_TAIL_SIZE - footer;
    cczi_pq_buf_init(&r->footer, r->cfg.footer_size_max, r->cfg.crypt);
    uint8_t *to = ccz_buf_extend(&r->footer, (size_t)footer);
    if (!to && footer > 0)
        return no_memory(err);
    return footer > 0 ? r->io.read_at(to, r->io.arg, r->data_end, (size_t)footer, err) : CCZ_OK;
}

ccz_rc ccz_pq_reader_open(struct ccz_pq_reader **out, const struct ccz_pq_source *io,
                          const struct ccz_pq_read_cfg *cfg, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_pq_reader) r = calloc(1, sizeof(*r));
    if (!r)
        return no_memory(err);
    r->io = *io;
    if (cfg)
        r->cfg = *cfg;
    if (r->cfg.footer_size_max == 0)
        r->cfg.footer_size_max = (size_t)64 * MIB;
    if (r->cfg.page_size_max == 0)
        r->cfg.page_size_max = (size_t)128 * MIB;
    if (r->cfg.batch_size_max == 0)
        r->cfg.batch_size_max = (size_t)256 * MIB;
    if (r->cfg.rows_max == 0)
        r->cfg.rows_max = UINT64_C(1) << 36;
    bool encrypted = false;
    ccz_rc rc = read_ends(r, &encrypted, err);
    if (rc == CCZ_OK)
        rc = encrypted ? open_encrypted(r, err) : open_clear(r, err);
    if (rc == CCZ_OK && r->begun && r->cfg.crypt->ready)
        rc = r->cfg.crypt->ready(r->file, r, err);
    if (rc == CCZ_OK)
        *out = ccz_pq_reader_take(&r);
    return rc;
}

void ccz_pq_reader_free(struct ccz_pq_reader *r)
{
    if (!r)
        return;
    if (r->begun && r->cfg.crypt->end)
        r->cfg.crypt->end(r->file);
    for (size_t i = 0; i < r->meta_len; i++) {
        cczi_pq_free((char *)r->meta[i].key, strlen(r->meta[i].key), r->cfg.crypt);
        cczi_pq_free((char *)r->meta[i].value, strlen(r->meta[i].value), r->cfg.crypt);
    }
    free(r->meta);
    free(r->created_by);
    free(r->groups);
    free(r->chunks);
    cczi_pq_schema_free(&r->schema);
    ccz_buf_free(&r->footer);
    free(r);
}

/* ---------------------------------------------------------------------------------- what is there */

uint64_t ccz_pq_rows(const struct ccz_pq_reader *r)
{
    return r->rows;
}

size_t ccz_pq_row_groups(const struct ccz_pq_reader *r)
{
    return r->groups_len;
}

uint64_t ccz_pq_row_group_rows(const struct ccz_pq_reader *r, size_t row_group)
{
    return row_group < r->groups_len ? r->groups[row_group].rows : 0;
}

size_t ccz_pq_columns(const struct ccz_pq_reader *r)
{
    return r->schema.len;
}

const struct ccz_pq_column *ccz_pq_column(const struct ccz_pq_reader *r, size_t column)
{
    return column < r->schema.len ? &r->schema.leaves[column].c : NULL;
}

ccz_rc ccz_pq_find(size_t *column, const struct ccz_pq_reader *r, const char *name,
                   struct ccz_err *err)
{
    size_t found = 0;
    *column = 0;
    for (size_t i = 0; i < r->schema.len; i++) {
        const struct ccz_pq_column *c = &r->schema.leaves[i].c;
        bool by_name = c->shape != CCZ_PQ_NESTED && strcmp(c->name, name) == 0;
        if (by_name || strcmp(c->path, name) == 0) {
            *column = found++ == 0 ? i : *column;
        }
    }
    if (found == 1)
        return CCZ_OK;
    char shown[CCZ_ERR_VALUE_SIZE];
    ccz_escape(shown, sizeof(shown), ccz_span_str(name));
    *column = 0;
    return ccz_fail(err, found ? CCZ_E_FORMAT : CCZ_E_NOT_FOUND, "parquet:column", (int64_t)found,
                    found ? "more than one column is called %s" : "no column is called %s", shown);
}

const char *ccz_pq_meta(const struct ccz_pq_reader *r, const char *key)
{
    for (size_t i = 0; i < r->meta_len; i++) {
        if (strcmp(r->meta[i].key, key) == 0)
            return r->meta[i].value;
    }
    return NULL;
}

const char *ccz_pq_created_by(const struct ccz_pq_reader *r)
{
    return r->created_by ? r->created_by : "";
}

/* ------------------------------------------------------------------------------------ statistics */

static ccz_rc bad_stats(struct ccz_err *err, const struct cczi_pq_at *at, const char *what)
{
    char place[CCZI_PQ_AT_SIZE];
    return ccz_fail(err, CCZ_E_FORMAT, "parquet:statistics", at->row_group, "%s: %s",
                    cczi_pq_at_text(place, at), what);
}

ccz_rc ccz_pq_chunk_info(struct ccz_pq_chunk_info *out, const struct ccz_pq_reader *r,
                         size_t row_group, size_t column, struct ccz_err *err)
{
    *out = (struct ccz_pq_chunk_info){0};
    ccz_buf_init(&out->bytes, r->cfg.footer_size_max);
    if (row_group >= r->groups_len || column >= r->schema.len)
        return ccz_fail(err, CCZ_E_ARG, "parquet:column", 0, "no such row group or column");
    struct cczi_pq_chunk c;
    struct cczi_pq_at at;
    struct ccz_pq_chunk_info info = {0};
    CCZ_AUTO_BUF hold;
    cczi_pq_buf_init(&hold, r->cfg.footer_size_max, r->cfg.crypt);
    ccz_rc rc = cczi_pq_chunk_read(&c, &at, &hold, r, row_group, column, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_pq_column *col = &r->schema.leaves[column].c;
    info = (struct ccz_pq_chunk_info){.key = c.key.kind,
                                      .codec = c.codec,
                                      .encodings = c.encodings,
                                      .values = (uint64_t)c.values,
                                      .size = (uint64_t)c.size,
                                      .plain_size = (uint64_t)c.plain_size};
    if (c.stats.has_nulls && (c.stats.nulls < 0 || c.stats.nulls > c.values))
        return bad_stats(err, &at, "more nulls than values");
    info.has_nulls = c.stats.has_nulls;
    info.nulls = (uint64_t)c.stats.nulls;
    bool ordered = cczi_pq_ordered(col);
    if (ordered && ((c.stats.has_min && !cczi_pq_bound(&info.min, col, c.stats.min)) ||
                    (c.stats.has_max && !cczi_pq_bound(&info.max, col, c.stats.max))))
        return bad_stats(err, &at, "min or max of a wrong size");
    info.has_min = ordered && c.stats.has_min && !cczi_pq_is_nan(col, &info.min);
    info.has_max = ordered && c.stats.has_max && !cczi_pq_is_nan(col, &info.max);
    if (info.has_min && info.has_max && cczi_pq_compare(col, &info.min, &info.max) > 0)
        return bad_stats(err, &at, "min is greater than max");
    bool is_bytes = r->schema.leaves[column].slot_size == sizeof(struct ccz_span);
    if (is_bytes && (info.has_min || info.has_max)) {
        cczi_pq_buf_init(&info.bytes, r->cfg.footer_size_max, r->cfg.crypt);
        ccz_buf_put_span(&info.bytes, c.stats.min);
        ccz_buf_put_span(&info.bytes, c.stats.max);
        if (info.bytes.bad) {
            ccz_buf_free(&info.bytes);
            return no_memory(err);
        }
        if (info.has_min)
            info.min.bytes = CCZ_SPAN(info.bytes.ptr, c.stats.min.size);
        if (info.has_max)
            info.max.bytes =
                ccz_span_sub(ccz_buf_span(&info.bytes), c.stats.min.size, c.stats.max.size);
    }
    *out = info;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------------------ scans */

struct ccz_pq_scan {
    const struct ccz_pq_reader *r;
    size_t *columns;
    size_t len, batch_rows;
    size_t group, groups_end;
    uint64_t left; /* rows of the row group */
    bool open;     /* its cursors are */
    struct ccz_err last;
    struct cczi_pq_cursor *cursors;
};

ccz_rc ccz_pq_scan_open(struct ccz_pq_scan **out, const struct ccz_pq_reader *r,
                        const struct ccz_pq_scan_cfg *cfg, struct ccz_err *err)
{
    static const struct ccz_pq_scan_cfg all;
    cfg = cfg ? cfg : &all;
    *out = NULL;
    if (cfg->row_group > r->groups_len || cfg->row_groups_len > r->groups_len - cfg->row_group)
        return ccz_fail(err, CCZ_E_ARG, "parquet:row-group", (int64_t)cfg->row_group,
                        "the file has %zu row groups", r->groups_len);
    if (cfg->batch_rows > CCZ_PQ_BATCH_ROWS_MAX)
        return ccz_fail(err, CCZ_E_ARG, "parquet:batch-rows", (int64_t)cfg->batch_rows,
                        "batches of more than %d rows", CCZ_PQ_BATCH_ROWS_MAX);
    CCZ_AUTO(ccz_pq_scan) s = calloc(1, sizeof(*s));
    if (!s)
        return no_memory(err);
    s->r = r;
    s->len = cfg->columns ? cfg->columns_len : r->schema.len;
    s->batch_rows = cfg->batch_rows > 0 ? cfg->batch_rows : BATCH_ROWS;
    s->group = cfg->row_group;
    s->groups_end = cfg->row_groups_len > 0 ? s->group + cfg->row_groups_len : r->groups_len;
    s->columns = calloc(s->len + 1, sizeof(*s->columns));
    s->cursors = calloc(s->len + 1, sizeof(*s->cursors));
    if (!s->columns || !s->cursors)
        return no_memory(err);
    for (size_t i = 0; i < s->len; i++) {
        s->columns[i] = cfg->columns ? cfg->columns[i] : i;
        if (s->columns[i] >= r->schema.len)
            return ccz_fail(err, CCZ_E_ARG, "parquet:column", (int64_t)s->columns[i],
                            "the file has %zu columns", r->schema.len);
        const struct ccz_pq_column *c = &r->schema.leaves[s->columns[i]].c;
        char path[CCZ_ERR_VALUE_SIZE];
        ccz_escape(path, sizeof(path), ccz_span_str(c->path));
        if (c->shape == CCZ_PQ_NESTED)
            return ccz_fail(err, CCZ_E_UNSUPPORTED, "parquet:nested", (int64_t)s->columns[i],
                            "column %s is neither flat nor a list of one level", path);
    }
    *out = ccz_pq_scan_take(&s);
    return CCZ_OK;
}

static ccz_rc close_group(struct ccz_pq_scan *s, struct ccz_err *err)
{
    for (size_t i = 0; i < s->len; i++) {
        ccz_rc rc = cczi_pq_cursor_end(&s->cursors[i], err);
        if (rc != CCZ_OK)
            return rc;
    }
    s->open = false;
    s->group++;
    return CCZ_OK;
}

/* The next row group that has rows; behind the last s->left is 0. */
static ccz_rc open_group(struct ccz_pq_scan *s, struct ccz_err *err)
{
    while (s->left == 0) {
        ccz_rc rc = s->open ? close_group(s, err) : CCZ_OK;
        if (rc != CCZ_OK || s->group == s->groups_end)
            return rc;
        for (size_t i = 0; i < s->len; i++) {
            rc = cczi_pq_cursor_open(&s->cursors[i], s->r, s->group, s->columns[i], err);
            if (rc != CCZ_OK)
                return rc;
        }
        s->open = true;
        s->left = s->r->groups[s->group].rows;
    }
    return CCZ_OK;
}

ccz_rc ccz_pq_scan_next(struct ccz_pq_data *out, struct ccz_pq_scan *s, struct ccz_err *err)
{
    struct ccz_err e = s->last;
    for (size_t i = 0; i < s->len; i++)
        out[i] = (struct ccz_pq_data){0};
    ccz_rc rc = e.rc != CCZ_OK ? e.rc : open_group(s, &e);
    size_t rows = s->left < s->batch_rows ? (size_t)s->left : s->batch_rows;
    for (size_t i = 0; i < s->len && rc == CCZ_OK && rows > 0; i++)
        rc = cczi_pq_cursor_next(&out[i], &s->cursors[i], rows, &e);
    if (rc == CCZ_OK) {
        s->left -= rows;
        return CCZ_OK;
    }
    for (size_t i = 0; i < s->len; i++)
        out[i] = (struct ccz_pq_data){0};
    s->last = e;
    if (err)
        *err = e;
    return rc;
}

void ccz_pq_scan_free(struct ccz_pq_scan *s)
{
    if (!s)
        return;
    for (size_t i = 0; i < s->len && s->cursors; i++)
        cczi_pq_cursor_close(&s->cursors[i]);
    free(s->cursors);
    free(s->columns);
    free(s);
}
