/* SPDX-License-Identifier: Apache-2.0 */
/* Values and levels of a page that is written. */
#include "parquet/write_priv.h"

#include "base/siphash.h"

#include <stdlib.h>

enum { DICT_SIZE_MAX = 1048576, DICT_LEN_MAX = 131072 };

/* ---------------------------------------------------------------------------------- dictionary */

static struct ccz_span entry(const struct cczi_pq_writer_dict *d, uint32_t i)
{
    size_t end = i + 1 < d->len ? d->at[i + 1] : d->bytes.size;
    return CCZ_SPAN(d->bytes.ptr + d->at[i], end - d->at[i]);
}

static bool grow(struct cczi_pq_writer_dict *d)
{
    size_t cap = d->cap > 0 ? 2 * d->cap : 1024;
    uint32_t *table = calloc(cap, sizeof(*table));
    uint32_t *at =
        cczi_pq_resize(d->at, d->at_cap * sizeof(*at), cap / 2 * sizeof(*at), d->bytes.wipe);
    if (at) {
        d->at = at;
        d->at_cap = cap / 2;
    }
    if (!table || !at) {
        free(table);
        return false;
    }
    for (uint32_t i = 0; i < d->len; i++) {
        struct ccz_span e = entry(d, i);
        size_t k = cczi_siphash(d->key, e.ptr, e.size) & (cap - 1);
        while (table[k] != 0)
            k = (k + 1) & (cap - 1);
        table[k] = i + 1;
    }
    cczi_pq_free(d->table, d->cap * sizeof(*table), d->bytes.wipe);
    d->table = table;
    d->cap = cap;
    return true;
}

uint32_t cczi_pq_dict_put(struct cczi_pq_writer_dict *d, const uint8_t *value, size_t size)
{
    if (d->len >= d->cap / 2 && !grow(d))
        return UINT32_MAX;
    size_t k = cczi_siphash(d->key, value, size) & (d->cap - 1);
    for (; d->table[k] != 0; k = (k + 1) & (d->cap - 1)) {
        if (ccz_span_eq(entry(d, d->table[k] - 1), CCZ_SPAN(value, size)))
            return d->table[k] - 1;
    }
    if (d->len == DICT_LEN_MAX || size > DICT_SIZE_MAX - d->bytes.size)
        return UINT32_MAX;
    d->bytes.max_size = DICT_SIZE_MAX;
    size_t at = d->bytes.size;
    ccz_buf_put(&d->bytes, value, size);
    if (d->bytes.bad)
        return UINT32_MAX;
    d->at[d->len] = (uint32_t)at;
    d->table[k] = (uint32_t)++d->len;
    return (uint32_t)d->len - 1;
}

void cczi_pq_dict_drop(struct cczi_pq_writer_dict *d)
{
    cczi_pq_free(d->table, d->cap * sizeof(*d->table), d->bytes.wipe);
    cczi_pq_free(d->at, d->at_cap * sizeof(*d->at), d->bytes.wipe);
    ccz_buf_free(&d->bytes);
    *d = (struct cczi_pq_writer_dict){.key = {d->key[0], d->key[1]}, .bytes = d->bytes};
}

/* --------------------------------------------------------------------------------------- values */

/* The next value of raw bytes, as it stands in PLAIN. */
static struct ccz_span next(struct ccz_rd *r, const struct cczi_pq_leaf *l)
{
    const uint8_t *from = r->ptr;
    size_t head = l->c.type == CCZ_PQ_BYTES ? 4 : 0;
    size_t size = head > 0 ? ccz_rd_le32(r) : l->value_size;
    ccz_rd_take(r, size);
    return CCZ_SPAN(from, head + size);
}

/* Indexes of all values of the page; false: the dictionary does not take them, or does not pay. */
static bool look_up(uint32_t *index, struct cczi_pq_out *c)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&c->raw));
    for (size_t i = 0; i < c->raw_len; i++) {
        struct ccz_span v = next(&r, &c->leaf);
        index[i] = cczi_pq_dict_put(&c->dict, v.ptr, v.size);
        if (index[i] == UINT32_MAX)
            return false;
    }
    return c->dict_used || c->dict.len * 2 <= c->raw_len || c->raw_len < 16;
}

static ccz_rc encode_dict(struct ccz_buf *out, bool *done, struct cczi_pq_out *c)
{
    *done = false;
    if (c->raw_len == 0) /* nulls alone need no dictionary, and say nothing about the next page */
        return CCZ_OK;
    uint32_t *index = malloc(c->raw_len * sizeof(*index));
    size_t before = c->dict.len;
    if (!index)
        return CCZ_E_NOMEM;
    if (look_up(index, c)) {
        unsigned width = c->dict.len > 1 ? cczi_width(c->dict.len - 1) : 1;
        ccz_buf_u8(out, (uint8_t)width);
        cczi_hybrid_put(out, index, c->raw_len, width);
        *done = c->dict_used = true;
    } else {
        c->dict_on = false; /* pages that are written keep their entries */
        if (c->dict.len > before) {
            c->dict.bytes.size = c->dict.at[before];
            c->dict.len = before;
        }
    }
    cczi_pq_free(index, c->raw_len * sizeof(*index), c->raw.wipe);
    return CCZ_OK;
}

static void encode_plain(struct ccz_buf *out, const struct cczi_pq_out *c)
{
    if (c->leaf.c.type != CCZ_PQ_BOOLEAN) {
        ccz_buf_put_span(out, ccz_buf_span(&c->raw));
        return;
    }
    uint8_t *bits = ccz_buf_extend(out, (c->raw_len + 7) / 8);
    if (bits)
        memset(bits, 0, (c->raw_len + 7) / 8);
    for (size_t i = 0; i < c->raw_len && bits; i++)
        bits[i / 8] |= (uint8_t)(c->raw.ptr[i] << (i % 8));
}

static ccz_rc encode_rle(struct ccz_buf *out, const struct cczi_pq_out *c)
{
    size_t at = out->size;
    ccz_buf_le32(out, 0);
    ccz_rc rc = cczi_pq_encode_levels(out, &c->raw, 1);
    if (rc == CCZ_OK && !out->bad) {
        uint32_t size = (uint32_t)(out->size - at - 4);
        for (unsigned i = 0; i < 4; i++)
            out->ptr[at + i] = (uint8_t)(size >> (8 * i));
    }
    return rc;
}

static void encode_split(struct ccz_buf *out, const struct cczi_pq_out *c)
{
    size_t size = c->leaf.value_size;
    uint8_t *to = ccz_buf_extend(out, c->raw.size);
    for (size_t k = 0; k < size && to; k++) {
        for (size_t i = 0; i < c->raw_len; i++)
            *to++ = c->raw.ptr[i * size + k];
    }
}

/* Numbers of an INT column, or lengths of a BYTES column. */
static ccz_rc encode_delta(struct ccz_buf *out, const struct cczi_pq_out *c)
{
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&c->raw));
    bool is_bytes = c->leaf.c.type == CCZ_PQ_BYTES;
    int64_t *v = malloc((c->raw_len + 1) * sizeof(*v));
    if (!v)
        return CCZ_E_NOMEM;
    for (size_t i = 0; i < c->raw_len; i++) {
        if (is_bytes) {
            v[i] = ccz_rd_le32(&r);
            ccz_rd_take(&r, (size_t)v[i]);
        } else {
            v[i] = c->leaf.c.type == CCZ_PQ_INT64 ? (int64_t)ccz_rd_le64(&r)
                                                  : (int32_t)ccz_rd_le32(&r);
        }
    }
    cczi_delta_put(out, v, c->raw_len, c->leaf.c.type != CCZ_PQ_INT64);
    r = ccz_rd_from(ccz_buf_span(&c->raw));
    for (size_t i = 0; i < c->raw_len && is_bytes; i++) {
        ccz_rd_le32(&r);
        ccz_buf_put_span(out, ccz_rd_take(&r, (size_t)v[i]));
    }
    cczi_pq_free(v, (c->raw_len + 1) * sizeof(*v), c->raw.wipe);
    return CCZ_OK;
}

ccz_rc cczi_pq_encode(struct ccz_buf *out, int32_t *encoding, struct cczi_pq_out *c)
{
    ccz_rc rc = CCZ_OK;
    bool done = false;
    if (c->dict_on) {
        rc = encode_dict(out, &done, c);
        if (rc != CCZ_OK || done) {
            *encoding = CCZI_PQ_RLE_DICTIONARY;
            return rc;
        }
    }
    switch (c->leaf.c.encode) {
    case CCZ_PQ_ENCODE_DELTA:
        *encoding =
            c->leaf.c.type == CCZ_PQ_BYTES ? CCZI_PQ_DELTA_LENGTH : CCZI_PQ_DELTA_BINARY_PACKED;
        return encode_delta(out, c);
    case CCZ_PQ_ENCODE_SPLIT:
        *encoding = CCZI_PQ_STREAM_SPLIT;
        encode_split(out, c);
        return CCZ_OK;
    case CCZ_PQ_ENCODE_RLE:
        *encoding = CCZI_PQ_RLE;
        return encode_rle(out, c);
    default:
        *encoding = CCZI_PQ_PLAIN;
        encode_plain(out, c);
        return CCZ_OK;
    }
}

ccz_rc cczi_pq_encode_levels(struct ccz_buf *out, const struct ccz_buf *levels, unsigned max)
{
    uint32_t *v = malloc((levels->size + 1) * sizeof(*v));
    if (!v)
        return CCZ_E_NOMEM;
    for (size_t i = 0; i < levels->size; i++)
        v[i] = levels->ptr[i];
    cczi_hybrid_put(out, v, levels->size, cczi_width(max));
    cczi_pq_free(v, (levels->size + 1) * sizeof(*v), levels->wipe);
    return CCZ_OK;
}
