/* SPDX-License-Identifier: Apache-2.0 */
/* Values of a page, whatever their encoding, a part at a time: only as many are decoded as a batch has room for, so that a page of few bytes
 * that claims many values costs nothing. @source Encodings.md */
#include "parquet/format_priv.h"

#include <cczoo/codec.h>
#include <stdlib.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "PLAIN values are copied as they are");

enum { PART = 512 };

static bool is_bytes(const struct cczi_pq_leaf *l)
{
    return l->slot_size == sizeof(struct ccz_span);
}

static bool is_text(const struct cczi_pq_leaf *l)
{
    return l->c.meaning == CCZ_PQ_STRING || l->c.meaning == CCZ_PQ_JSON;
}

static ccz_rc fail(struct cczi_pq_values *v, ccz_rc rc, const char *where, const char *what)
{
    v->where = where;
    v->what = what;
    return rc;
}

static ccz_rc cut(struct cczi_pq_values *v)
{
    return fail(v, CCZ_E_FORMAT, "parquet:values",
                "values end before they should, or are malformed");
}

/* --------------------------------------------------------------------------------------- init */

static ccz_rc init_dict(struct cczi_pq_values *v)
{
    if (!v->dict->there)
        return fail(v, CCZ_E_FORMAT, "parquet:values",
                    "indexes into a dictionary that is not there");
    unsigned width = v->in.size > 0 ? v->in.ptr[0] : 0;
    if (width > 32)
        return fail(v, CCZ_E_FORMAT, "parquet:values", "indexes of more than 32 bits");
    cczi_hybrid_init(&v->hybrid, ccz_span_sub(v->in, 1, v->in.size > 0 ? v->in.size - 1 : 0),
                     width);
    return CCZ_OK;
}

static ccz_rc init_rle(struct cczi_pq_values *v)
{
    struct ccz_rd r = ccz_rd_from(v->in);
    struct ccz_span runs = {0};
    if (v->in.size > 0)
        runs = ccz_rd_take(&r, ccz_rd_le32(&r));
    v->in = CCZ_SPAN(r.ptr, r.left);
    cczi_hybrid_init(&v->hybrid, runs, 1);
    return r.bad ? cut(v) : CCZ_OK;
}

/* Lengths first, of all values, then the bytes of all values. */
static ccz_rc init_lengths(struct cczi_pq_values *v, struct cczi_delta *d, struct ccz_span *bytes,
                           struct ccz_span in, size_t slots)
{
    uint64_t sum;
    if (in.size == 0 && slots == 0)
        return CCZ_OK;
    cczi_delta_init(d, in);
    return cczi_delta_lengths(&sum, bytes, in, slots) ? CCZ_OK : cut(v);
}

static ccz_rc init_delta(struct cczi_pq_values *v, size_t slots)
{
    struct ccz_span in = v->in;
    if (in.size == 0) /* a page of nulls */
        return CCZ_OK;
    if (v->encoding == CCZI_PQ_DELTA_BINARY_PACKED) {
        cczi_delta_init(&v->delta, in);
        return v->delta.bad || v->delta.len > slots ? cut(v) : CCZ_OK;
    }
    if (v->encoding == CCZI_PQ_DELTA_LENGTH)
        return init_lengths(v, &v->delta, &v->in, in, slots);
    ccz_rc rc = init_lengths(v, &v->delta, &v->in, in, slots); /* of prefixes */
    if (rc == CCZ_OK)
        rc = init_lengths(v, &v->suffix, &v->in, v->in, slots);
    return rc;
}

static bool encoding_fits(const struct cczi_pq_leaf *l, int32_t encoding)
{
    enum ccz_pq_type t = l->c.type;
    bool is_int = t == CCZ_PQ_INT32 || t == CCZ_PQ_INT64;
    switch (encoding) {
    case CCZI_PQ_PLAIN:
        return true;
    case CCZI_PQ_PLAIN_DICTIONARY:
    case CCZI_PQ_RLE_DICTIONARY:
        return t != CCZ_PQ_BOOLEAN;
    case CCZI_PQ_RLE:
        return t == CCZ_PQ_BOOLEAN;
    case CCZI_PQ_DELTA_BINARY_PACKED:
        return is_int;
    case CCZI_PQ_DELTA_LENGTH:
        return t == CCZ_PQ_BYTES;
    case CCZI_PQ_DELTA_BYTES:
        return t == CCZ_PQ_BYTES || t == CCZ_PQ_FIXED;
    case CCZI_PQ_STREAM_SPLIT:
        return is_int || t == CCZ_PQ_FLOAT || t == CCZ_PQ_DOUBLE || t == CCZ_PQ_FIXED;
    default:
        return false;
    }
}

ccz_rc cczi_pq_values_init(struct cczi_pq_values *v, const struct cczi_pq_leaf *leaf,
                           const struct cczi_pq_dict *dict, int32_t encoding, struct ccz_span in,
                           size_t slots)
{
    struct ccz_buf last = v->last; /* its memory is kept */
    *v = (struct cczi_pq_values){
        .leaf = leaf, .dict = dict, .encoding = encoding, .in = in, .last = last};
    v->last.size = 0;
    if (!encoding_fits(leaf, encoding))
        return fail(v, CCZ_E_UNSUPPORTED, "parquet:encoding", "not supported for this type");
    switch (encoding) {
    case CCZI_PQ_PLAIN:
        return CCZ_OK;
    case CCZI_PQ_PLAIN_DICTIONARY:
    case CCZI_PQ_RLE_DICTIONARY:
        return init_dict(v);
    case CCZI_PQ_RLE:
        return init_rle(v);
    case CCZI_PQ_STREAM_SPLIT:
        v->len = in.size / leaf->value_size;
        return v->len * leaf->value_size == in.size ? CCZ_OK : cut(v);
    default:
        return init_delta(v, slots);
    }
}

void cczi_pq_values_free(struct cczi_pq_values *v)
{
    ccz_buf_free(&v->last);
}

bool cczi_pq_values_done(const struct cczi_pq_values *v)
{
    switch (v->encoding) {
    case CCZI_PQ_PLAIN:
        return v->leaf->c.type == CCZ_PQ_BOOLEAN ? (v->bit + 7) / 8 == v->in.size : v->in.size == 0;
    case CCZI_PQ_STREAM_SPLIT:
        return v->done == v->len;
    case CCZI_PQ_DELTA_BINARY_PACKED:
        return v->delta.done == v->delta.len && v->delta.r.left <= CCZI_PQ_PADDING_MAX;
    case CCZI_PQ_DELTA_LENGTH:
    case CCZI_PQ_DELTA_BYTES:
        return v->delta.done == v->delta.len && v->suffix.done == v->suffix.len && v->in.size == 0;
    case CCZI_PQ_RLE: /* runs and indexes may be padded */
        return cczi_hybrid_rest(&v->hybrid) + v->in.size <= CCZI_PQ_PADDING_MAX;
    default:
        return cczi_hybrid_rest(&v->hybrid) <= CCZI_PQ_PADDING_MAX;
    }
}

/* ----------------------------------------------------------------------------------- one value */

/* Bytes of a value; its slot has the size alone, its place follows from the order. */
static ccz_rc put_bytes(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v,
                        struct ccz_span value)
{
    if (value.size > b->arena.max_size - b->arena.size)
        return fail(v, CCZ_E_LIMIT, "parquet:batch-size", "more bytes than batch_size_max");
    uint8_t *to = ccz_buf_extend(&b->arena, value.size);
    if (value.size > 0) {
        if (!to)
            return fail(v, CCZ_E_NOMEM, "parquet:memory", "out of memory");
        memcpy(to, value.ptr, value.size);
    }
    ((struct ccz_span *)b->slots)[at] = CCZ_SPAN(NULL, value.size);
    return CCZ_OK;
}

static ccz_rc check_bytes(struct cczi_pq_values *v, struct ccz_span value)
{
    if (value.size > CCZ_PQ_VALUE_SIZE_MAX)
        return fail(v, CCZ_E_LIMIT, "parquet:value-size", "a value of more than 16 MiB");
    if (is_text(v->leaf) && !ccz_utf8_ok(value))
        return fail(v, CCZ_E_FORMAT, "parquet:text", "a text that is not UTF-8");
    return CCZ_OK;
}

static ccz_rc put_checked(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v,
                          struct ccz_span value)
{
    ccz_rc rc = check_bytes(v, value);
    return rc == CCZ_OK ? put_bytes(b, at, v, value) : rc;
}

/* PLAIN of BYTES: 4 bytes of length each; of FIXED: none. */
static ccz_rc next_plain(struct ccz_span *value, struct cczi_pq_values *v)
{
    struct ccz_rd r = ccz_rd_from(v->in);
    size_t size = v->leaf->c.type == CCZ_PQ_BYTES ? ccz_rd_le32(&r) : v->leaf->value_size;
    *value = ccz_rd_take(&r, size);
    v->in = CCZ_SPAN(r.ptr, r.left);
    return r.bad ? cut(v) : CCZ_OK;
}

/* ------------------------------------------------------------------------------- by encoding */

static ccz_rc get_plain(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v, size_t len)
{
    size_t size = v->leaf->slot_size;
    if (is_bytes(v->leaf)) {
        for (size_t i = 0; i < len; i++) {
            struct ccz_span value;
            ccz_rc rc = next_plain(&value, v);
            if (rc == CCZ_OK)
                rc = put_checked(b, at + i, v, value);
            if (rc != CCZ_OK)
                return rc;
        }
        return CCZ_OK;
    }
    if (v->leaf->c.type == CCZ_PQ_BOOLEAN) {
        if (len > v->in.size * 8 - v->bit)
            return cut(v);
        for (size_t i = 0; i < len; i++, v->bit++)
            b->slots[at + i] = (v->in.ptr[v->bit / 8] >> (v->bit % 8)) & 1;
        return CCZ_OK;
    }
    if (len > v->in.size / size)
        return cut(v);
    if (len > 0)
        memcpy(b->slots + at * size, v->in.ptr, len * size);
    v->in = ccz_span_sub(v->in, len * size, v->in.size - len * size);
    return CCZ_OK;
}

static ccz_rc get_indexes(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v,
                          const uint32_t *index, size_t len)
{
    const struct cczi_pq_dict *d = v->dict;
    size_t size = v->leaf->slot_size;
    for (size_t i = 0; i < len; i++) {
        if (index[i] >= d->len)
            return fail(v, CCZ_E_FORMAT, "parquet:values", "an index behind the dictionary");
    }
    if (is_bytes(v->leaf)) {
        ccz_rc rc = CCZ_OK;
        for (size_t i = 0; i < len && rc == CCZ_OK; i++)
            rc = put_bytes(b, at + i, v, d->spans[index[i]]);
        return rc;
    }
    uint8_t *to = b->slots + at * size;
    const uint8_t *from = d->bytes.ptr;
    if (size == 4) {
        for (size_t i = 0; i < len; i++)
            memcpy(to + 4 * i, from + 4 * (size_t)index[i], 4);
    } else {
        for (size_t i = 0; i < len; i++)
            memcpy(to + 8 * i, from + 8 * (size_t)index[i], 8);
    }
    return CCZ_OK;
}

static ccz_rc get_dict(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v, size_t len)
{
    uint32_t index[PART];
    ccz_rc rc = CCZ_OK;
    for (size_t done = 0; done < len && rc == CCZ_OK;) {
        size_t n = len - done < PART ? len - done : PART;
        rc =
            cczi_hybrid_get(index, &v->hybrid, n) ? get_indexes(b, at + done, v, index, n) : cut(v);
        done += n;
    }
    return rc;
}

static ccz_rc get_delta(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v, size_t len)
{
    if (v->leaf->c.type == CCZ_PQ_INT64)
        return cczi_delta_get((int64_t *)b->slots + at, &v->delta, len) ? CCZ_OK : cut(v);
    int64_t part[PART];
    for (size_t done = 0; done < len;) {
        size_t n = len - done < PART ? len - done : PART;
        if (!cczi_delta_get(part, &v->delta, n))
            return cut(v);
        for (size_t i = 0; i < n; i++)
            ((int32_t *)b->slots)[at + done + i] = (int32_t)(uint32_t)(uint64_t)part[i];
        done += n;
    }
    return CCZ_OK;
}

static ccz_rc take_bytes(struct ccz_span *value, struct cczi_pq_values *v, size_t size)
{
    if (size > v->in.size)
        return cut(v);
    *value = ccz_span_sub(v->in, 0, size);
    v->in = ccz_span_sub(v->in, size, v->in.size - size);
    return CCZ_OK;
}

/* A value is the begin of the one before, and a suffix. */
static ccz_rc get_prefixed(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v,
                           size_t prefix, size_t suffix)
{
    struct ccz_span tail;
    ccz_rc rc = take_bytes(&tail, v, suffix);
    if (rc != CCZ_OK)
        return rc;
    if (prefix > v->last.size)
        return cut(v);
    if (prefix > CCZ_PQ_VALUE_SIZE_MAX - suffix)
        return fail(v, CCZ_E_LIMIT, "parquet:value-size", "a value of more than 16 MiB");
    v->last.max_size = CCZ_PQ_VALUE_SIZE_MAX;
    v->last.size = prefix;
    ccz_buf_put_span(&v->last, tail);
    if (v->last.bad)
        return fail(v, CCZ_E_NOMEM, "parquet:memory", "out of memory");
    if (v->leaf->c.type == CCZ_PQ_FIXED && v->last.size != v->leaf->value_size)
        return cut(v);
    return put_checked(b, at, v, ccz_buf_span(&v->last));
}

static ccz_rc get_lengths(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v, size_t len)
{
    int64_t size[PART], suffix[PART];
    bool prefixed = v->encoding == CCZI_PQ_DELTA_BYTES;
    for (size_t done = 0; done < len;) {
        size_t n = len - done < PART ? len - done : PART;
        if (!cczi_delta_get(size, &v->delta, n) ||
            (prefixed && !cczi_delta_get(suffix, &v->suffix, n)))
            return cut(v);
        for (size_t i = 0; i < n; i++, done++) {
            struct ccz_span value;
            ccz_rc rc;
            if (prefixed) {
                rc = get_prefixed(b, at + done, v, (size_t)size[i], (size_t)suffix[i]);
            } else {
                rc = take_bytes(&value, v, (size_t)size[i]);
                if (rc == CCZ_OK)
                    rc = put_checked(b, at + done, v, value);
            }
            if (rc != CCZ_OK)
                return rc;
        }
    }
    return CCZ_OK;
}

/* Byte k of value i stands at k * len + i. */
static ccz_rc get_split(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v, size_t len)
{
    size_t size = v->leaf->value_size;
    if (len > v->len - v->done)
        return cut(v);
    const uint8_t *from = v->in.ptr + v->done;
    uint8_t *to = b->slots + at * size;
    if (is_bytes(v->leaf)) {
        if (len > 0 && size > (b->arena.max_size - b->arena.size) / len)
            return fail(v, CCZ_E_LIMIT, "parquet:batch-size", "more bytes than batch_size_max");
        to = ccz_buf_extend(&b->arena, len * size);
        if (!to && len > 0)
            return fail(v, CCZ_E_NOMEM, "parquet:memory", "out of memory");
        for (size_t i = 0; i < len; i++)
            ((struct ccz_span *)b->slots)[at + i] = CCZ_SPAN(NULL, size);
    }
    for (size_t k = 0; k < size; k++) {
        for (size_t i = 0; i < len; i++)
            to[i * size + k] = from[k * v->len + i];
    }
    v->done += len;
    return CCZ_OK;
}

static ccz_rc get_rle(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v, size_t len)
{
    return cczi_hybrid_get8(b->slots + at, &v->hybrid, len) ? CCZ_OK : cut(v);
}

ccz_rc cczi_pq_values_get(struct cczi_pq_batch *b, size_t at, struct cczi_pq_values *v, size_t len)
{
    switch (v->encoding) {
    case CCZI_PQ_PLAIN:
        return get_plain(b, at, v, len);
    case CCZI_PQ_PLAIN_DICTIONARY:
    case CCZI_PQ_RLE_DICTIONARY:
        return get_dict(b, at, v, len);
    case CCZI_PQ_RLE:
        return get_rle(b, at, v, len);
    case CCZI_PQ_STREAM_SPLIT:
        return get_split(b, at, v, len);
    case CCZI_PQ_DELTA_BINARY_PACKED:
        return get_delta(b, at, v, len);
    default:
        return get_lengths(b, at, v, len);
    }
}

/* ----------------------------------------------------------------------------------- dictionary */

static ccz_rc dict_spans(struct cczi_pq_dict *d, struct cczi_pq_pages *p, struct ccz_err *err)
{
    struct cczi_pq_values v = {.leaf = p->leaf, .in = ccz_buf_span(&d->bytes)};
    d->spans = calloc(d->len + 1, sizeof(*d->spans));
    if (!d->spans)
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
    for (size_t i = 0; i < d->len; i++) {
        ccz_rc rc = next_plain(&d->spans[i], &v);
        if (rc == CCZ_OK)
            rc = check_bytes(&v, d->spans[i]);
        char place[CCZI_PQ_AT_SIZE];
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, v.where, (int64_t)i, "%s: dictionary, entry %zu: %s",
                            cczi_pq_at_text(place, &p->at), i, v.what);
    }
    return v.in.size == 0 ? CCZ_OK
                          : cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "bytes behind the last entry");
}

ccz_rc cczi_pq_dict_read(struct cczi_pq_dict *d, struct cczi_pq_pages *p, struct ccz_err *err)
{
    if (p->h.encoding != CCZI_PQ_PLAIN && p->h.encoding != CCZI_PQ_PLAIN_DICTIONARY)
        return cczi_pq_fail(err, CCZ_E_UNSUPPORTED, &p->at, "it is not PLAIN");
    if (p->leaf->c.type == CCZ_PQ_BOOLEAN)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "a dictionary of booleans");
    d->len = (size_t)p->h.values;
    size_t least = p->leaf->c.type == CCZ_PQ_BYTES ? 4 : p->leaf->value_size;
    if (d->len > p->values.size / least)
        return cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "more entries than it has bytes for");
    cczi_pq_buf_init(&d->bytes, p->values.size, p->plain.wipe);
    ccz_buf_put_span(&d->bytes, p->values);
    if (d->bytes.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "parquet:memory", 0, "out of memory");
    d->there = true;
    if (is_bytes(p->leaf))
        return dict_spans(d, p, err);
    return d->len * least == p->values.size
               ? CCZ_OK
               : cczi_pq_fail(err, CCZ_E_FORMAT, &p->at, "bytes behind the last entry");
}

void cczi_pq_dict_free(struct cczi_pq_dict *d)
{
    if (d->spans)
        cczi_pq_free(d->spans, (d->len + 1) * sizeof(*d->spans), d->bytes.wipe);
    ccz_buf_free(&d->bytes);
    *d = (struct cczi_pq_dict){0};
}
