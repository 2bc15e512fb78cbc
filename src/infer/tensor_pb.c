/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tensorflow.TensorProto (core/framework/tensor.proto), with the meaning that Tensor::FromProto()
 * gives it: tensor_content wins over the typed fields; of those the last value stands for all that
 * follow, and no value at all for zeros.
 */
#include "infer/infer_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum { /* fields of TensorProto */
       TP_DTYPE = 1,
       TP_SHAPE = 2,
       TP_CONTENT = 4,
};

/* Where the values of a type are when they are not in tensor_content. */
struct values {
    enum ccz_dtype dtype;
    uint32_t field;
    enum ccz_pb_wire wire;
};
static const struct values table[] = {
    {CCZ_DT_FLOAT, 5, CCZ_PB_I32},      {CCZ_DT_DOUBLE, 6, CCZ_PB_I64},
    {CCZ_DT_INT32, 7, CCZ_PB_VARINT},   {CCZ_DT_UINT8, 7, CCZ_PB_VARINT},
    {CCZ_DT_INT16, 7, CCZ_PB_VARINT},   {CCZ_DT_INT8, 7, CCZ_PB_VARINT},
    {CCZ_DT_UINT16, 7, CCZ_PB_VARINT},  {CCZ_DT_STRING, 8, CCZ_PB_LEN},
    {CCZ_DT_INT64, 10, CCZ_PB_VARINT},  {CCZ_DT_BOOL, 11, CCZ_PB_VARINT},
    {CCZ_DT_HALF, 13, CCZ_PB_VARINT},   {CCZ_DT_BFLOAT16, 13, CCZ_PB_VARINT},
    {CCZ_DT_UINT32, 16, CCZ_PB_VARINT}, {CCZ_DT_UINT64, 17, CCZ_PB_VARINT},
};

static const struct values *values_of(uint64_t dtype)
{
    for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
        if ((uint64_t)table[i].dtype == dtype)
            return &table[i];
    return NULL;
}

bool cczi_map_entry(struct ccz_span *key, struct ccz_span *value, struct ccz_span entry)
{
    *key = *value = (struct ccz_span){0};
    struct ccz_rd r = ccz_rd_from(entry);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 1 && f.wire == CCZ_PB_LEN)
            *key = f.bytes;
        else if (f.number == 2 && f.wire == CCZ_PB_LEN)
            *value = f.bytes;
    }
    return !r.bad;
}

/* ------------------------------------------------------------------------ decoding */

/* TensorShapeProto {2 rep dim {1 size}, 3 unknown_rank} */
static enum cczi_tensor_result decode_shape(struct ccz_tensor *t, struct ccz_span msg)
{
    struct ccz_rd r = ccz_rd_from(msg);
    struct ccz_pb_field f, g;
    bool fits = true;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == 3 && f.wire == CCZ_PB_VARINT)
            fits = fits && f.num == 0;
        if (f.number != 2 || f.wire != CCZ_PB_LEN)
            continue;
        int64_t size = 0;
        struct ccz_rd d = ccz_rd_from(f.bytes);
        while (ccz_pb_next(&g, &d))
            if (g.number == 1 && g.wire == CCZ_PB_VARINT)
                size = (int64_t)g.num;
        if (d.bad)
            return CCZI_TENSOR_MALFORMED;
        fits = fits && t->rank < CCZ_TENSOR_RANK_MAX;
        if (fits)
            t->dims[t->rank++] = size;
    }
    if (r.bad)
        return CCZI_TENSOR_MALFORMED;
    return fits ? CCZI_TENSOR_OK : CCZI_TENSOR_INVALID;
}

/* Little-endian low bytes of a value: what a cast to the smaller type keeps. */
static void store(uint8_t *to, uint64_t v, size_t size)
{
    for (size_t i = 0; i < size; i++)
        to[i] = (uint8_t)(v >> (8 * i));
}

/* The numbers of one type, in the order of the message. */
struct sink {
    const struct values *v;
    size_t size; /* of one element */
    uint8_t *to; /* NULL while they are counted */
    size_t len;  /* elements that fit */
    size_t seen;
};

static void put(struct sink *s, uint64_t value)
{
    if (s->to && s->seen < s->len)
        store(s->to + s->seen * s->size, s->v->dtype == CCZ_DT_BOOL ? value != 0 : value, s->size);
    s->seen++;
}

/* A packed run: all values of the field in one length-delimited piece. */
static bool put_packed(struct sink *s, struct ccz_span run)
{
    struct ccz_rd r = ccz_rd_from(run);
    while (r.left && !r.bad) {
        if (s->v->wire == CCZ_PB_VARINT)
            put(s, ccz_pb_varint(&r));
        else
            put(s, s->v->wire == CCZ_PB_I32 ? ccz_rd_le32(&r) : ccz_rd_le64(&r));
    }
    return !r.bad;
}

static bool put_all(struct sink *s, struct ccz_span proto)
{
    struct ccz_rd r = ccz_rd_from(proto);
    struct ccz_pb_field f;
    bool ok = true;
    while (ok && ccz_pb_next(&f, &r)) {
        if (f.number != s->v->field)
            continue;
        if (f.wire == s->v->wire)
            put(s, f.num);
        else if (f.wire == CCZ_PB_LEN)
            ok = put_packed(s, f.bytes);
    }
    return ok;
}

static enum cczi_tensor_result decode_numbers(struct ccz_tensor *t, struct ccz_span proto,
                                              const struct values *v, struct cczi_scratch *scratch)
{
    struct sink s = {.v = v, .size = ccz_dtype_size(t->dtype), .len = t->len};
    if (!put_all(&s, proto))
        return CCZI_TENSOR_MALFORMED;
    s.to = cczi_scratch_take(scratch, t->len, s.size);
    if (!s.to)
        return CCZI_TENSOR_LIMIT;
    s.seen = 0;
    if (!put_all(&s, proto))
        return CCZI_TENSOR_MALFORMED;
    for (size_t i = s.seen; s.seen && i < t->len; i++)
        memcpy(s.to + i * s.size, s.to + (s.seen - 1) * s.size, s.size);
    t->data = CCZ_SPAN(s.to, t->len * s.size);
    return CCZI_TENSOR_OK;
}

/* Fixed-size values in one packed run that fits exactly are what the tensor looks like: no copy. */
static bool in_place(struct ccz_tensor *t, struct ccz_span run, size_t runs, const struct values *v)
{
    if (runs != 1 || (v->wire != CCZ_PB_I32 && v->wire != CCZ_PB_I64) ||
        run.size != t->len * ccz_dtype_size(t->dtype))
        return false;
    t->data = run;
    return true;
}

static enum cczi_tensor_result decode_strings(struct ccz_tensor *t, struct ccz_span proto,
                                              const struct values *v, struct cczi_scratch *scratch)
{
    struct ccz_span *s = cczi_scratch_take(scratch, t->len, sizeof(*s));
    if (!s)
        return CCZI_TENSOR_LIMIT;
    struct ccz_rd r = ccz_rd_from(proto);
    struct ccz_pb_field f;
    size_t seen = 0;
    while (ccz_pb_next(&f, &r))
        if (f.number == v->field && f.wire == CCZ_PB_LEN && seen < t->len)
            s[seen++] = f.bytes;
    for (size_t i = seen; seen && i < t->len; i++)
        s[i] = s[seen - 1];
    t->strings = s;
    return CCZI_TENSOR_OK;
}

/* Strings in tensor_content: all sizes as varints, then all bytes (core/platform/coding.h). */
static enum cczi_tensor_result decode_string_list(struct ccz_tensor *t, struct ccz_span content,
                                                  struct cczi_scratch *scratch)
{
    struct ccz_span *s = cczi_scratch_take(scratch, t->len, sizeof(*s));
    if (!s)
        return CCZI_TENSOR_LIMIT;
    struct ccz_rd sizes = ccz_rd_from(content);
    for (size_t i = 0; i < t->len && !sizes.bad; i++)
        s[i].size = (size_t)ccz_pb_varint(&sizes);
    struct ccz_rd bytes = sizes;
    for (size_t i = 0; i < t->len && !bytes.bad; i++)
        s[i] = ccz_rd_take(&bytes, s[i].size);
    if (!ccz_rd_done(&bytes))
        return CCZI_TENSOR_INVALID;
    t->strings = s;
    return CCZI_TENSOR_OK;
}

enum cczi_tensor_result cczi_tensor_decode(struct ccz_tensor *out, struct ccz_span proto,
                                           struct cczi_scratch *scratch)
{
    *out = (struct ccz_tensor){0};
    struct ccz_span shape = {0}, content = {0}, run = {0};
    uint64_t dtype = 0;
    struct ccz_rd r = ccz_rd_from(proto);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == TP_DTYPE && f.wire == CCZ_PB_VARINT)
            dtype = f.num;
        else if (f.number == TP_SHAPE && f.wire == CCZ_PB_LEN)
            shape = f.bytes;
        else if (f.number == TP_CONTENT && f.wire == CCZ_PB_LEN)
            content = f.bytes;
    }
    if (r.bad)
        return CCZI_TENSOR_MALFORMED;
    struct ccz_tensor t = {0};
    enum cczi_tensor_result rc = decode_shape(&t, shape);
    if (rc != CCZI_TENSOR_OK)
        return rc;
    const struct values *v = values_of(dtype);
    if (!v || !ccz_tensor_len(&t.len, t.rank, t.dims))
        return CCZI_TENSOR_INVALID;
    t.dtype = v->dtype;
    size_t runs = 0;
    r = ccz_rd_from(proto);
    while (ccz_pb_next(&f, &r))
        if (f.number == v->field) {
            run = f.bytes;
            runs += f.wire == CCZ_PB_LEN ? 1 : 2; /* a single value is no run */
        }
    if (t.len == 0) {
        rc = CCZI_TENSOR_OK;
    } else if (t.dtype == CCZ_DT_STRING) {
        rc = content.size ? decode_string_list(&t, content, scratch)
                          : decode_strings(&t, proto, v, scratch);
    } else if (content.size) {
        rc = content.size == t.len * ccz_dtype_size(t.dtype) ? CCZI_TENSOR_OK : CCZI_TENSOR_INVALID;
        t.data = content;
    } else if (!in_place(&t, run, runs, v)) {
        rc = decode_numbers(&t, proto, v, scratch);
    }
    if (rc == CCZI_TENSOR_OK)
        *out = t;
    return rc;
}

/* ------------------------------------------------------------------------ encoding */

static uint64_t load(const uint8_t *from, size_t size)
{
    uint64_t v = 0;
    for (size_t i = 0; i < size; i++)
        v |= (uint64_t)from[i] << (8 * i);
    return v;
}

/* int_val and int64_val are signed: a negative number goes out in ten bytes. */
static uint64_t wire_value(enum ccz_dtype t, uint64_t raw)
{
    switch (t) {
    case CCZ_DT_INT8:
        return (uint64_t)(int64_t)(int8_t)raw;
    case CCZ_DT_INT16:
        return (uint64_t)(int64_t)(int16_t)raw;
    case CCZ_DT_INT32:
        return (uint64_t)(int64_t)(int32_t)raw;
    default:
        return raw;
    }
}

static void encode_values(struct ccz_buf *out, const struct ccz_tensor *t, const struct values *v)
{
    if (v->wire != CCZ_PB_VARINT) { /* little-endian on the wire as in memory */
        ccz_pb_put_bytes(out, v->field, t->data);
        return;
    }
    size_t size = ccz_dtype_size(t->dtype), mark = ccz_pb_open(out, v->field);
    for (size_t i = 0; i < t->len; i++)
        ccz_pb_put_varint(out, wire_value(t->dtype, load(t->data.ptr + i * size, size)));
    ccz_pb_close(out, mark);
}

void cczi_tensor_encode(struct ccz_buf *out, const struct ccz_tensor *t, bool content)
{
    ccz_pb_put_uint(out, TP_DTYPE, (uint64_t)t->dtype);
    size_t shape = ccz_pb_open(out, TP_SHAPE);
    for (int i = 0; i < t->rank; i++) {
        size_t dim = ccz_pb_open(out, 2);
        ccz_pb_put_uint(out, 1, (uint64_t)t->dims[i]);
        ccz_pb_close(out, dim);
    }
    ccz_pb_close(out, shape);
    const struct values *v = values_of((uint64_t)t->dtype);
    if (t->len == 0 || !v)
        return;
    if (t->dtype == CCZ_DT_STRING)
        for (size_t i = 0; i < t->len; i++)
            ccz_pb_put_bytes(out, v->field, t->strings[i]);
    else if (content)
        ccz_pb_put_bytes(out, TP_CONTENT, t->data);
    else
        encode_values(out, t, v);
}
