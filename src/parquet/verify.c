/* SPDX-License-Identifier: Apache-2.0 */
/* Every module of a file, read once; what is said twice must be the same. */
#include "parquet/format_priv.h"

#include <stdlib.h>

enum { BLOOM_HEADER_SIZE_MAX = 256, BLOOM_BLOCK_SIZE = 32, ROWS = 65536 };

/* Where data pages are, as PageLocation has it. */
struct location {
    uint64_t at, size, first_row;
};
struct check {
    const struct ccz_pq_reader *r;
    size_t group, column;
    struct ccz_buf pages; /* of struct location */
    struct ccz_pq_chunk_info info;
    struct cczi_pq_chunk chunk;
    struct cczi_pq_at at;
    struct ccz_buf hold, module;
};

static ccz_rc fail(const struct check *k, const char *where, const char *what, struct ccz_err *err)
{
    char place[CCZI_PQ_AT_SIZE];
    return ccz_fail(err, CCZ_E_FORMAT, where, k->at.row_group, "%s: %s",
                    cczi_pq_at_text(place, &k->at), what);
}

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
}

static void add_page(struct check *k, const struct cczi_pq_pages *p, uint64_t first_row)
{
    struct location l = {.at = p->header_at, .size = p->pos - p->header_at, .first_row = first_row};
    ccz_buf_put(&k->pages, &l, sizeof(l));
}

static void on_page(void *arg, const struct cczi_pq_cursor *c)
{
    struct check *k = arg;
    add_page(k, &c->pages, c->rows_begun);
}

/* --------------------------------------------------------------------------------------- values */

static ccz_rc check_bounds(const struct check *k, const struct ccz_pq_data *d, struct ccz_err *err)
{
    const struct ccz_pq_column *c = &k->r->schema.leaves[k->column].c;
    const struct ccz_pq_chunk_info *info = &k->info;
    for (size_t i = 0; i < d->len && (info->has_min || info->has_max); i++) {
        union ccz_pq_bound v;
        if (d->present && !d->present[i])
            continue;
        cczi_pq_slot(&v, c, d, i);
        if (cczi_pq_is_nan(c, &v))
            continue;
        if ((info->has_min && cczi_pq_compare(c, &v, &info->min) < 0) ||
            (info->has_max && cczi_pq_compare(c, &v, &info->max) > 0))
            return fail(k, "parquet:statistics", "a value is less than min or greater than max",
                        err);
    }
    return CCZ_OK;
}

static ccz_rc check_values(struct check *k, struct cczi_pq_cursor *c, struct ccz_err *err)
{
    ccz_rc rc = cczi_pq_cursor_open(c, k->r, k->group, k->column, err);
    c->on_page = on_page;
    c->arg = k;
    while (rc == CCZ_OK && c->rows_left > 0) {
        struct ccz_pq_data d;
        rc = cczi_pq_cursor_next(&d, c, c->rows_left < ROWS ? (size_t)c->rows_left : ROWS, err);
        if (rc == CCZ_OK)
            rc = check_bounds(k, &d, err);
    }
    if (rc == CCZ_OK)
        rc = cczi_pq_cursor_end(c, err);
    /* In a list writers do not agree on whether an empty list is a null. */
    bool flat = k->r->schema.leaves[k->column].c.shape == CCZ_PQ_FLAT;
    if (rc == CCZ_OK && flat && k->info.has_nulls && k->info.nulls != c->nulls)
        rc = fail(k, "parquet:statistics", "another number of nulls than the chunk has", err);
    return rc;
}

/* Of a column that cannot be read: pages are opened, checked and unpacked. */
static ccz_rc check_pages(struct check *k, struct ccz_err *err)
{
    struct cczi_pq_pages p;
    ccz_rc rc = cczi_pq_pages_open(&p, k->r, k->group, k->column, err);
    while (rc == CCZ_OK) {
        rc = cczi_pq_pages_next(&p, err);
        if (rc == CCZ_OK && p.h.type != CCZI_PQ_DICT)
            add_page(k, &p, UINT64_MAX);
    }
    cczi_pq_pages_close(&p);
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

/* -------------------------------------------------------------------------------------- indexes */

static bool is_sealed(const struct check *k)
{
    return k->at.key.kind != CCZ_PQ_KEY_NONE;
}

static bool offset_index_ok(const struct check *k)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&k->module));
    size_t len = k->pages.size / sizeof(struct location);
    bool same = true;
    struct cczi_th s = {0};
    while (cczi_th_next(&r, &s)) {
        if (s.id != 1) {
            cczi_th_skip(&r, &s);
            continue;
        }
        same = cczi_th_list(&r, &s, CCZI_TH_STRUCT) == len;
        for (size_t i = 0; i < len && same && !r.bad; i++) {
            struct location want, got = {0};
            memcpy(&want, k->pages.ptr + i * sizeof(want), sizeof(want));
            struct cczi_th p = {0};
            while (cczi_th_next(&r, &p)) {
                if (p.id == 1)
                    got.at = (uint64_t)cczi_th_i64(&r, &p);
                else if (p.id == 2)
                    got.size = (uint64_t)cczi_th_i32(&r, &p);
                else if (p.id == 3)
                    got.first_row = (uint64_t)cczi_th_i64(&r, &p);
                else
                    cczi_th_skip(&r, &p);
            }
            same = got.at == want.at && got.size == want.size &&
                   (want.first_row == UINT64_MAX || got.first_row == want.first_row);
        }
        if (!same)
            return false;
    }
    return cczi_th_ends(&r, is_sealed(k)) && cczi_th_has(&s, 1);
}

/* One of min_values and max_values; @p nulls  null_pages, a byte each */
static bool bounds_ok(const struct check *k, struct ccz_rd *r, size_t len, const uint8_t *nulls)
{
    const struct ccz_pq_column *c = &k->r->schema.leaves[k->column].c;
    for (size_t i = 0; i < len; i++) {
        union ccz_pq_bound b;
        struct ccz_span v = cczi_th_elem_binary(r);
        if (r->bad || (nulls[i] != 1 && cczi_pq_ordered(c) && !cczi_pq_bound(&b, c, v)))
            return false;
    }
    return true;
}

static bool column_index_ok(const struct check *k)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&k->module));
    size_t len = k->pages.size / sizeof(struct location);
    const uint8_t *nulls = NULL;
    struct cczi_th s = {0};
    while (cczi_th_next(&r, &s)) {
        if (s.id == 1) {
            if (cczi_th_list(&r, &s, CCZI_TH_TRUE) != len)
                return false;
            nulls = ccz_rd_take(&r, len).ptr;
        } else if (s.id == 2 || s.id == 3) {
            if (cczi_th_list(&r, &s, CCZI_TH_BINARY) != len || !nulls ||
                !bounds_ok(k, &r, len, nulls))
                return false;
        } else if (s.id == 4) {
            int32_t order = cczi_th_i32(&r, &s); /* unordered, ascending, descending */
            r.bad |= order < 0 || order > 2;
        } else {
            cczi_th_skip(&r, &s);
        }
    }
    return cczi_th_ends(&r, is_sealed(k)) && (s.seen & 0x1e) == 0x1e;
}

static ccz_rc check_index(struct check *k, enum cczi_pq_module module, struct ccz_err *err)
{
    bool is_offset = module == CCZI_PQ_OFFSET_INDEX;
    int64_t at = is_offset ? k->chunk.offset_index : k->chunk.column_index;
    int32_t size = is_offset ? k->chunk.offset_index_size : k->chunk.column_index_size;
    if (size == 0)
        return CCZ_OK;
    k->at.module = module;
    ccz_rc rc = cczi_pq_module(&k->module, k->r, &k->at, (uint64_t)at, (uint64_t)size, err);
    if (rc != CCZ_OK)
        return rc;
    bool ok = is_offset ? offset_index_ok(k) : column_index_ok(k);
    return ok ? CCZ_OK
              : cczi_pq_fail(err, CCZ_E_FORMAT, &k->at,
                             "malformed, or it does not fit the chunk's pages");
}

/* --------------------------------------------------------------------------------- Bloom filters */

/* BloomFilterHeader. @return bytes of the filter; 0: malformed */
static uint32_t bloom_header(struct ccz_rd *r)
{
    int32_t size = 0;
    struct cczi_th s = {0};
    while (cczi_th_next(r, &s)) {
        if (s.id == 1)
            size = cczi_th_i32(r, &s);
        else
            cczi_th_skip(r, &s);
    }
    bool ok = !r->bad && (s.seen & 0x1e) == 0x1e && size > 0 && size % BLOOM_BLOCK_SIZE == 0;
    return ok ? (uint32_t)size : 0;
}

static ccz_rc check_bloom(struct check *k, struct ccz_err *err)
{
    uint64_t at = (uint64_t)k->chunk.bloom, left = k->r->data_end - at;
    bool sealed = is_sealed(k);
    if (at == 0)
        return CCZ_OK;
    k->at.module = CCZI_PQ_BLOOM_HEADER;
    uint64_t some = left < BLOOM_HEADER_SIZE_MAX ? left : BLOOM_HEADER_SIZE_MAX;
    ccz_rc rc = cczi_pq_module(&k->module, k->r, &k->at, at, sealed ? 0 : some, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&k->module));
    uint32_t size = bloom_header(&r);
    if (size == 0 || (sealed && !cczi_th_ends(&r, true)))
        return cczi_pq_fail(err, CCZ_E_FORMAT, &k->at, "malformed header");
    if (sealed) { /* the length of the module is its first 4 bytes */
        uint8_t head[4];
        rc = k->r->io.read_at(head, k->r->io.arg, at, sizeof(head), err);
        struct ccz_rd h = ccz_rd_from(CCZ_SPAN(head, sizeof(head)));
        at += sizeof(head) + (rc == CCZ_OK ? ccz_rd_le32(&h) : 0);
    } else {
        at += k->module.size - r.left;
    }
    k->at.module = CCZI_PQ_BLOOM_BITSET;
    if (rc == CCZ_OK)
        rc = cczi_pq_module(&k->module, k->r, &k->at, at, sealed ? 0 : size, err);
    if (rc == CCZ_OK && k->module.size != size)
        rc = cczi_pq_fail(err, CCZ_E_FORMAT, &k->at, "another size than its header says");
    return rc;
}

/* -------------------------------------------------------------------------------------- the file */

static ccz_rc check_chunk(struct check *k, struct cczi_pq_cursor *c, struct ccz_err *err)
{
    ccz_buf_clear(&k->pages);
    ccz_buf_free(&k->info.bytes);
    ccz_rc rc = ccz_pq_chunk_info(&k->info, k->r, k->group, k->column, err);
    if (rc == CCZ_OK)
        rc = cczi_pq_chunk_read(&k->chunk, &k->at, &k->hold, k->r, k->group, k->column, err);
    if (rc == CCZ_OK)
        rc = k->r->schema.leaves[k->column].c.shape == CCZ_PQ_NESTED ? check_pages(k, err)
                                                                     : check_values(k, c, err);
    if (rc == CCZ_OK && k->pages.bad)
        rc = no_memory(err);
    if (rc == CCZ_OK)
        rc = check_index(k, CCZI_PQ_COLUMN_INDEX, err);
    if (rc == CCZ_OK)
        rc = check_index(k, CCZI_PQ_OFFSET_INDEX, err);
    return rc == CCZ_OK ? check_bloom(k, err) : rc;
}

ccz_rc ccz_pq_verify(const struct ccz_pq_reader *r, struct ccz_err *err)
{
    struct check k = {.r = r};
    struct cczi_pq_cursor *c = calloc(1, sizeof(*c));
    if (!c)
        return no_memory(err);
    ccz_buf_init(&k.pages, SIZE_MAX / 2);
    cczi_pq_buf_init(&k.hold, r->cfg.footer_size_max, r->cfg.crypt);
    cczi_pq_buf_init(&k.module, r->cfg.page_size_max, r->cfg.crypt);
    ccz_rc rc = CCZ_OK;
    for (k.group = 0; k.group < r->groups_len && rc == CCZ_OK; k.group++) {
        for (k.column = 0; k.column < r->schema.len && rc == CCZ_OK; k.column++)
            rc = check_chunk(&k, c, err);
    }
    cczi_pq_cursor_close(c);
    free(c);
    ccz_buf_free(&k.info.bytes);
    ccz_buf_free(&k.pages);
    ccz_buf_free(&k.hold);
    ccz_buf_free(&k.module);
    return rc;
}
