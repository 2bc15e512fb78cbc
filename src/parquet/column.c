/* SPDX-License-Identifier: Apache-2.0 */
/* A column that is written: slots are checked, counted in the statistics and collected; a full page is encoded, packed, sealed and kept
 * until its row group is written. */
#include "parquet/write_priv.h"

#include <cczoo/codec.h>
#include <math.h>

enum {
    PAGE_SLOTS_MAX =
        1048576,  /* nulls take no bytes, so that size alone would not end a page of them */
    BLOCK = 1024, /* rows between two looks at the page's size */
    RAW_SIZE_MAX = 1 << 30, /* sizes of pages are int32, with headers and tags */
    BOUND_SIZE_MAX = 256,   /* longer values are no bounds */
};

static ccz_rc no_memory(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
}

static ccz_rc fail_slot(struct ccz_err *err, ccz_rc rc, const char *where,
                        const struct cczi_pq_out *c, size_t slot, const char *what)
{
    char name[96];
    ccz_escape(name, sizeof(name), ccz_span_str(c->leaf.c.name));
    return ccz_fail(err, rc, where, (int64_t)slot, "column %s, slot %zu: %s", name, slot, what);
}

/* ------------------------------------------------------------------------------------ statistics */

static void keep_bound(union ccz_pq_bound *to, struct ccz_buf *bytes, const struct cczi_pq_leaf *l,
                       const union ccz_pq_bound *v)
{
    *to = *v;
    if (l->slot_size != sizeof(struct ccz_span))
        return;
    ccz_buf_clear(bytes);
    ccz_buf_put_span(bytes, v->bytes);
    to->bytes =
        ccz_buf_span(bytes); /* without memory: shorter, and so no bound; the page fails, too */
}

static void count_bounds(struct cczi_pq_out *c, const struct ccz_pq_data *in, size_t slot)
{
    const struct ccz_pq_column *col = &c->leaf.c;
    union ccz_pq_bound v;
    cczi_pq_slot(&v, col, in, slot);
    if (cczi_pq_is_nan(col, &v))
        return;
    if (c->leaf.slot_size == sizeof(struct ccz_span) && v.bytes.size > BOUND_SIZE_MAX)
        c->no_bounds = true;
    if (c->no_bounds)
        return;
    if (!c->has_bounds || cczi_pq_compare(col, &v, &c->min) < 0)
        keep_bound(&c->min, &c->min_bytes, &c->leaf, &v);
    if (!c->has_bounds || cczi_pq_compare(col, &v, &c->max) > 0)
        keep_bound(&c->max, &c->max_bytes, &c->leaf, &v);
    c->has_bounds = true;
    c->no_bounds = c->min_bytes.bad || c->max_bytes.bad;
}

/* ----------------------------------------------------------------------------------------- slots */

static ccz_rc put_bytes(struct cczi_pq_out *c, const struct ccz_span *v, size_t slot,
                        struct ccz_err *err)
{
    const struct ccz_pq_column *col = &c->leaf.c;
    if (v->size > CCZ_PQ_VALUE_SIZE_MAX)
        return fail_slot(err, CCZ_E_LIMIT, "parquet:value-size", c, slot, "more than 16 MiB");
    if (col->type == CCZ_PQ_FIXED && v->size != col->type_size)
        return fail_slot(err, CCZ_E_ARG, "parquet:value-size", c, slot,
                         "another size than type_size");
    if ((col->meaning == CCZ_PQ_STRING || col->meaning == CCZ_PQ_JSON) && !ccz_utf8_ok(*v))
        return fail_slot(err, CCZ_E_ARG, "parquet:text", c, slot, "not UTF-8");
    if (c->raw.size > RAW_SIZE_MAX - v->size - 4)
        return fail_slot(err, CCZ_E_LIMIT, "parquet:list-size", c, slot,
                         "the list is too large for a page");
    if (col->type == CCZ_PQ_BYTES)
        ccz_buf_le32(&c->raw, (uint32_t)v->size);
    ccz_buf_put_span(&c->raw, *v);
    return CCZ_OK;
}

static bool is_present(const struct ccz_pq_data *in, size_t slot)
{
    return !in->present || in->present[slot] != 0;
}

/* Whether as many slots of numbers still go into the page; of bytes that is seen as they come. */
static ccz_rc check_room(const struct cczi_pq_out *c, size_t from, size_t len, struct ccz_err *err)
{
    size_t size = c->leaf.slot_size;
    return size == sizeof(struct ccz_span) || len <= (RAW_SIZE_MAX - c->raw.size) / size
               ? CCZ_OK
               : fail_slot(err, CCZ_E_LIMIT, "parquet:list-size", c, from,
                           "the list is too large for a page");
}

/* Values of slots from .. from + len - 1 that are present. */
static ccz_rc put_values(struct ccz_pq_writer *w, struct cczi_pq_out *c,
                         const struct ccz_pq_data *in, size_t from, size_t len, struct ccz_err *err)
{
    const struct cczi_pq_leaf *l = &c->leaf;
    size_t size = l->slot_size;
    bool bytes = size == sizeof(struct ccz_span),
         bounds = !w->no_statistics && cczi_pq_ordered(&l->c);
    if (!bytes && !in->present)
        ccz_buf_put(&c->raw, in->v.b + from * size, len * size);
    for (size_t i = from; i < from + len; i++) {
        if (!is_present(in, i))
            continue;
        ccz_rc rc = bytes ? put_bytes(c, &in->v.bytes[i], i, err) : CCZ_OK;
        if (rc != CCZ_OK)
            return rc;
        if (!bytes && in->present)
            ccz_buf_put(&c->raw, in->v.b + i * size, size);
        if (l->c.type == CCZ_PQ_BOOLEAN && in->v.b[i] > 1)
            return fail_slot(err, CCZ_E_ARG, "parquet:boolean", c, i, "neither 0 nor 1");
        if (bounds)
            count_bounds(c, in, i);
        c->raw_len++;
    }
    return c->raw.bad ? no_memory(err) : CCZ_OK;
}

static ccz_rc put_flat(struct ccz_pq_writer *w, struct cczi_pq_out *c, const struct ccz_pq_data *in,
                       size_t from, size_t rows, struct ccz_err *err)
{
    size_t before = c->raw_len;
    ccz_rc rc = check_room(c, from, rows, err);
    for (size_t i = from; i < from + rows && rc == CCZ_OK; i++) {
        if (c->leaf.max_def > 0)
            ccz_buf_u8(&c->def, is_present(in, i));
        else if (!is_present(in, i))
            return fail_slot(err, CCZ_E_ARG, "parquet:null", c, i, "null, and not optional");
    }
    if (rc == CCZ_OK)
        rc = put_values(w, c, in, from, rows, err);
    c->slots += rows;
    c->nulls += rows - (c->raw_len - before);
    return rc == CCZ_OK && c->def.bad ? no_memory(err) : rc;
}

static ccz_rc put_list(struct ccz_pq_writer *w, struct cczi_pq_out *c, const struct ccz_pq_data *in,
                       size_t row, struct ccz_err *err)
{
    const struct cczi_pq_leaf *l = &c->leaf;
    size_t from = in->offset[row], len = in->offset[row + 1] - from;
    bool there = !in->has_list || in->has_list[row] != 0;
    if (!there && (!l->c.optional || len > 0))
        return fail_slot(err, CCZ_E_ARG, "parquet:null", c, from,
                         len > 0 ? "a null list with elements" : "a null list, and not optional");
    if (len == 0) {
        ccz_buf_u8(&c->rep, 0);
        ccz_buf_u8(&c->def, there ? l->def_list : 0);
        c->slots++;
        c->nulls++;
        return c->rep.bad || c->def.bad ? no_memory(err) : CCZ_OK;
    }
    ccz_rc rc = check_room(c, from, len, err);
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        bool present = is_present(in, from + i);
        if (!present && !l->c.element_optional)
            return fail_slot(err, CCZ_E_ARG, "parquet:null", c, from + i, "null, and not optional");
        c->nulls += !present;
        ccz_buf_u8(&c->rep, i > 0);
        ccz_buf_u8(&c->def, present ? l->max_def : l->def_elem);
    }
    c->slots += len;
    if (rc == CCZ_OK)
        rc = put_values(w, c, in, from, len, err);
    return rc == CCZ_OK && (c->rep.bad || c->def.bad) ? no_memory(err) : rc;
}

ccz_rc cczi_pq_column_put(struct ccz_pq_writer *w, struct cczi_pq_out *c,
                          const struct ccz_pq_data *in, size_t from, size_t rows,
                          struct ccz_err *err)
{
    bool list = c->leaf.c.shape == CCZ_PQ_LIST;
    for (size_t i = 0; i < rows;) {
        size_t n = list ? 1 : rows - i < BLOCK ? rows - i : BLOCK;
        ccz_rc rc = list ? put_list(w, c, in, from + i, err) : put_flat(w, c, in, from + i, n, err);
        if (rc != CCZ_OK)
            return rc;
        c->rows += n;
        i += n;
        if (c->raw.size >= w->page_size || c->slots >= PAGE_SLOTS_MAX)
            rc = cczi_pq_page_end(w, c, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* ----------------------------------------------------------------------------------------- pages */

static struct cczi_pq_at place(const struct ccz_pq_writer *w, const struct cczi_pq_out *c,
                               enum cczi_pq_module module, int32_t page)
{
    return (struct cczi_pq_at){.module = module,
                               .row_group = (int32_t)w->groups_len,
                               .column = c->number,
                               .page = page,
                               .key = c->key};
}

/* The body in w->packed and its header go to @p out, both sealed if the column is. The header's sizes and checksum are filled here. */
static ccz_rc put_page(struct ccz_buf *out, struct ccz_pq_writer *w, struct cczi_pq_out *c,
                       struct cczi_pq_page_header *h, struct ccz_err *err)
{
    bool dict = h->type == CCZI_PQ_DICT, seal = c->key.kind != CCZ_PQ_KEY_NONE;
    int32_t page = dict ? -1 : (int32_t)c->pages_len;
    struct cczi_pq_at at = place(w, c, dict ? CCZI_PQ_DICT_PAGE : CCZI_PQ_DATA_PAGE, page);
    struct ccz_span body = ccz_buf_span(&w->packed);
    ccz_buf_clear(&w->sealed);
    ccz_rc rc = CCZ_OK;
    if (seal)
        rc = w->crypt->seal(&w->sealed, w->file, &at, body, err);
    if (rc != CCZ_OK)
        return rc;
    if (seal)
        body = ccz_buf_span(&w->sealed);
    h->size = (int32_t)body.size;
    h->has_crc = true;
    h->crc = cczi_pq_crc(0, body);
    ccz_buf_clear(&w->header);
    cczi_pq_page_header_put(&w->header, h);
    c->plain_size += w->header.size + (uint64_t)h->plain_size;
    if (w->packed.bad || w->sealed.bad || w->header.bad)
        return no_memory(err);
    at.module = dict ? CCZI_PQ_DICT_PAGE_HEADER : CCZI_PQ_DATA_PAGE_HEADER;
    if (seal)
        rc = w->crypt->seal(out, w->file, &at, ccz_buf_span(&w->header), err);
    else
        ccz_buf_put_span(out, ccz_buf_span(&w->header));
    ccz_buf_put_span(out, body);
    return rc == CCZ_OK && out->bad ? no_memory(err) : rc;
}

/* Levels with 4 bytes of size in front, as version 1 has them. */
static ccz_rc put_levels_v1(struct ccz_buf *out, struct ccz_pq_writer *w,
                            const struct ccz_buf *levels, unsigned max)
{
    if (max == 0)
        return CCZ_OK;
    ccz_buf_clear(&w->temp);
    ccz_rc rc = cczi_pq_encode_levels(&w->temp, levels, max);
    ccz_buf_le32(out, (uint32_t)w->temp.size);
    ccz_buf_put_span(out, ccz_buf_span(&w->temp));
    return rc == CCZ_OK && w->temp.bad ? CCZ_E_NOMEM : rc;
}

static ccz_rc page_v1(struct ccz_pq_writer *w, struct cczi_pq_out *c, struct cczi_pq_page_header *h)
{
    const struct cczi_pq_leaf *l = &c->leaf;
    h->type = CCZI_PQ_DATA_V1;
    ccz_rc rc = put_levels_v1(&w->body, w, &c->rep, l->max_rep);
    if (rc == CCZ_OK)
        rc = put_levels_v1(&w->body, w, &c->def, l->max_def);
    if (rc == CCZ_OK)
        rc = cczi_pq_encode(&w->body, &h->encoding, c);
    if (rc == CCZ_OK && w->body.bad)
        rc = CCZ_E_NOMEM;
    h->plain_size = (int32_t)w->body.size;
    return rc == CCZ_OK ? cczi_pq_pack(&w->packed, w->codec, w->level, ccz_buf_span(&w->body)) : rc;
}

static ccz_rc page_v2(struct ccz_pq_writer *w, struct cczi_pq_out *c, struct cczi_pq_page_header *h)
{
    const struct cczi_pq_leaf *l = &c->leaf;
    h->type = CCZI_PQ_DATA_V2;
    h->rows = (int32_t)c->rows;
    h->nulls = (int32_t)(c->slots - c->raw_len);
    h->packed = w->codec != CCZ_PQ_NONE;
    ccz_rc rc = l->max_rep > 0 ? cczi_pq_encode_levels(&w->packed, &c->rep, l->max_rep) : CCZ_OK;
    h->rep_size = (int32_t)w->packed.size;
    if (rc == CCZ_OK && l->max_def > 0)
        rc = cczi_pq_encode_levels(&w->packed, &c->def, l->max_def);
    h->def_size = (int32_t)w->packed.size - h->rep_size;
    if (rc == CCZ_OK)
        rc = cczi_pq_encode(&w->body, &h->encoding, c);
    if (rc == CCZ_OK && (w->body.bad || w->packed.bad))
        rc = CCZ_E_NOMEM;
    h->plain_size = h->rep_size + h->def_size + (int32_t)w->body.size;
    return rc == CCZ_OK ? cczi_pq_pack(&w->packed, w->codec, w->level, ccz_buf_span(&w->body)) : rc;
}

ccz_rc cczi_pq_page_end(struct ccz_pq_writer *w, struct cczi_pq_out *c, struct ccz_err *err)
{
    struct cczi_pq_page_header h = {.values = (int32_t)c->slots};
    if (c->key.kind != CCZ_PQ_KEY_NONE && c->pages_len > CCZ_PQ_CRYPT_ORDINAL_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "parquet:ordinal", (int64_t)c->pages_len,
                        "more than %d pages in a chunk", CCZ_PQ_CRYPT_ORDINAL_MAX + 1);
    ccz_buf_clear(&w->body);
    ccz_buf_clear(&w->packed);
    ccz_rc rc = w->pages_v2 ? page_v2(w, c, &h) : page_v1(w, c, &h);
    if (rc != CCZ_OK)
        return no_memory(err);
    rc = put_page(&c->pages, w, c, &h, err);
    c->encodings |= UINT32_C(1) << h.encoding | UINT32_C(1) << CCZI_PQ_RLE;
    c->pages_len++;
    c->values += c->slots;
    c->slots = c->rows = c->raw_len = 0;
    ccz_buf_clear(&c->raw);
    ccz_buf_clear(&c->rep);
    ccz_buf_clear(&c->def);
    return rc;
}

ccz_rc cczi_pq_dict_page(struct ccz_pq_writer *w, struct cczi_pq_out *c, struct ccz_err *err)
{
    struct cczi_pq_page_header h = {
        .type = CCZI_PQ_DICT, .values = (int32_t)c->dict.len, .encoding = CCZI_PQ_PLAIN};
    ccz_buf_clear(&w->body);
    ccz_buf_clear(&w->packed);
    if (c->dict.len == 0)
        return CCZ_OK;
    h.plain_size = (int32_t)c->dict.bytes.size;
    if (cczi_pq_pack(&w->packed, w->codec, w->level, ccz_buf_span(&c->dict.bytes)) != CCZ_OK)
        return no_memory(err);
    c->encodings |= UINT32_C(1) << CCZI_PQ_PLAIN;
    return put_page(&w->body, w, c, &h, err);
}

void cczi_pq_chunk_clear(struct cczi_pq_out *c, bool dict_on)
{
    cczi_pq_dict_drop(&c->dict);
    ccz_buf_clear(&c->pages);
    c->dict_on = dict_on;
    c->dict_used = false;
    c->pages_len = 0;
    c->encodings = 0;
    c->values = c->plain_size = c->nulls = 0;
    c->has_bounds = c->no_bounds = false;
}
