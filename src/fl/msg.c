/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of proto/fl.proto: one table of fields for reading and writing. Unknown fields are skipped. */
#include "fl/fl_priv.h"

#include <cczoo/codec.h>
#include <stdio.h>
#include <string.h>

enum type { T_END, T_BOOL, T_U32, T_U64, T_FLOAT, T_DOUBLE, T_FIXED, T_BYTES, T_METRICS };
struct field {
    enum type type;
    uint8_t number;
    uint16_t at;   /* in the structure */
    uint16_t size; /* T_FIXED */
};
#define F(type, number, s, member)                                                                 \
    {                                                                                              \
        type, number, offsetof(struct s, member), 0                                                \
    }
#define FIXED(number, s, member)                                                                   \
    {                                                                                              \
        T_FIXED, number, offsetof(struct s, member), sizeof(((struct s *)0)->member)               \
    }
#define END                                                                                        \
    {                                                                                              \
        T_END, 0, 0, 0                                                                             \
    }

static const struct field METRICS[] = {
    F(T_U64, 1, ccz_fl_metrics, samples), F(T_DOUBLE, 2, ccz_fl_metrics, loss),
    F(T_DOUBLE, 3, ccz_fl_metrics, accuracy), F(T_U64, 4, ccz_fl_metrics, steps), END};
static const struct field HELLO[] = {F(T_U32, 1, cczi_hfl_hello, version),
                                     FIXED(2, cczi_hfl_hello, layout), END};
static const struct field WELCOME[] = {F(T_BYTES, 1, cczi_hfl_welcome, layout),
                                       FIXED(2, cczi_hfl_welcome, run),
                                       F(T_U64, 3, cczi_hfl_welcome, round),
                                       F(T_U64, 4, cczi_hfl_welcome, rounds),
                                       F(T_U64, 5, cczi_hfl_welcome, accepted),
                                       FIXED(6, cczi_hfl_welcome, key),
                                       END};
static const struct field TASK[] = {F(T_U64, 1, cczi_hfl_task, round),
                                    F(T_U32, 2, cczi_hfl_task, work),
                                    F(T_U32, 3, cczi_hfl_task, epochs),
                                    F(T_U32, 4, cczi_hfl_task, batch),
                                    F(T_FLOAT, 5, cczi_hfl_task, lr),
                                    F(T_FLOAT, 6, cczi_hfl_task, momentum),
                                    F(T_FLOAT, 7, cczi_hfl_task, prox_mu),
                                    F(T_U64, 8, cczi_hfl_task, seed),
                                    FIXED(9, cczi_hfl_task, digest),
                                    FIXED(10, cczi_hfl_task, sig),
                                    F(T_U32, 11, cczi_hfl_task, codec),
                                    F(T_U32, 12, cczi_hfl_task, block),
                                    F(T_U64, 13, cczi_hfl_task, topk),
                                    F(T_BOOL, 14, cczi_hfl_task, scaffold),
                                    END};
static const struct field CHUNK[] = {F(T_U32, 1, cczi_hfl_chunk, vector),
                                     F(T_U64, 2, cczi_hfl_chunk, offset),
                                     F(T_BYTES, 3, cczi_hfl_chunk, data), END};
static const struct field OFFER[] = {
    F(T_U64, 1, cczi_hfl_offer, round),     FIXED(2, cczi_hfl_offer, base),
    F(T_METRICS, 3, cczi_hfl_offer, train), F(T_METRICS, 4, cczi_hfl_offer, eval),
    F(T_U64, 5, cczi_hfl_offer, size),      END};
static const struct field GRANT[] = {{T_U64, 1, 0, 0}, END};
static const struct field VERDICT[] = {
    F(T_U64, 1, cczi_hfl_verdict, round),  F(T_BOOL, 2, cczi_hfl_verdict, accepted),
    F(T_U32, 3, cczi_hfl_verdict, rc),     F(T_BYTES, 4, cczi_hfl_verdict, where),
    F(T_BYTES, 5, cczi_hfl_verdict, got),  F(T_BYTES, 6, cczi_hfl_verdict, expected),
    F(T_BYTES, 7, cczi_hfl_verdict, text), END};
static const struct field REPORT[] = {F(T_U64, 1, cczi_hfl_report, round),
                                      F(T_METRICS, 2, cczi_hfl_report, eval), END};
static const struct field PRIVATE[] = {F(T_U64, 1, cczi_hfl_private, round),
                                       F(T_U32, 2, cczi_hfl_private, phase),
                                       F(T_BYTES, 3, cczi_hfl_private, body), END};
static const struct field OVER[] = {F(T_U64, 1, cczi_hfl_over, round),
                                    F(T_U32, 2, cczi_hfl_over, rc),
                                    F(T_BYTES, 3, cczi_hfl_over, reason), END};

static const struct {
    const char *name;
    const struct field *fields;
} KINDS[CCZI_HFL_KINDS] = {
    [CCZI_HFL_HELLO] = {"hello", HELLO},       [CCZI_HFL_WELCOME] = {"welcome", WELCOME},
    [CCZI_HFL_TASK] = {"task", TASK},          [CCZI_HFL_CHUNK] = {"chunk", CHUNK},
    [CCZI_HFL_OFFER] = {"offer", OFFER},       [CCZI_HFL_GRANT] = {"grant", GRANT},
    [CCZI_HFL_VERDICT] = {"verdict", VERDICT}, [CCZI_HFL_REPORT] = {"report", REPORT},
    [CCZI_HFL_PRIVATE] = {"private", PRIVATE}, [CCZI_HFL_OVER] = {"over", OVER}};

const char *cczi_hfl_kind_name(enum cczi_hfl_kind kind)
{
    return kind < CCZI_HFL_KINDS && KINDS[kind].name ? KINDS[kind].name : "?";
}

ccz_rc cczi_hfl_disorder(enum cczi_hfl_kind got, const char *expected, struct ccz_err *err)
{
    return ccz_refuse(err, CCZ_E_PEER, "fl:order", cczi_hfl_kind_name(got), expected);
}

/* ---------------------------------------------------------------------------------- reading */

static bool take_fields(void *out, const struct field *fields, struct ccz_span in);

static bool take_metrics(struct ccz_fl_metrics *m, struct ccz_span in)
{
    *m = (struct ccz_fl_metrics){0};
    return take_fields(m, METRICS, in);
}

static bool take_field(uint8_t *to, const struct field *d, const struct ccz_pb_field *f)
{
    static const enum ccz_pb_wire wires[] = {
        [T_BOOL] = CCZ_PB_VARINT, [T_U32] = CCZ_PB_VARINT, [T_U64] = CCZ_PB_VARINT,
        [T_FLOAT] = CCZ_PB_I32,   [T_DOUBLE] = CCZ_PB_I64, [T_FIXED] = CCZ_PB_LEN,
        [T_BYTES] = CCZ_PB_LEN,   [T_METRICS] = CCZ_PB_LEN};
    if (f->wire != wires[d->type])
        return false;
    switch (d->type) {
    case T_BOOL:
        *(bool *)to = f->num != 0;
        return f->num <= 1;
    case T_U32:
        *(uint32_t *)(void *)to = (uint32_t)f->num;
        return f->num <= UINT32_MAX;
    case T_U64:
        *(uint64_t *)(void *)to = f->num;
        return true;
    case T_FLOAT:
        *(float *)(void *)to = ccz_pb_as_float(f->num);
        return true;
    case T_DOUBLE:
        *(double *)(void *)to = ccz_pb_as_double(f->num);
        return true;
    case T_FIXED:
        if (f->bytes.size == d->size)
            memcpy(to, f->bytes.ptr, d->size);
        return f->bytes.size == d->size;
    case T_BYTES:
        *(struct ccz_span *)(void *)to = f->bytes;
        return true;
    case T_METRICS:
        return take_metrics((void *)to, f->bytes);
    case T_END:
        break;
    }
    return false;
}

static bool take_fields(void *out, const struct field *fields, struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        for (const struct field *d = fields; d->type != T_END; d++)
            if (d->number == f.number && !take_field((uint8_t *)out + d->at, d, &f))
                return false;
    return !r.bad;
}

ccz_rc cczi_hfl_msg_parse(struct cczi_hfl_msg *out, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    memset(out, 0, sizeof(*out));
    bool good = ccz_pb_next(&f, &r) && ccz_rd_done(&r) && f.wire == CCZ_PB_LEN &&
                f.number < CCZI_HFL_KINDS && KINDS[f.number].fields;
    if (good) {
        out->kind = (enum cczi_hfl_kind)f.number;
        good = take_fields(&out->hello, KINDS[f.number].fields, f.bytes);
    }
    if (good)
        return CCZ_OK;
    memset(out, 0, sizeof(*out));
    return ccz_fail(err, CCZ_E_PEER, "fl:message", (int64_t)in.size,
                    "malformed message of %zu bytes", in.size);
}

/* ---------------------------------------------------------------------------------- writing */

static void put_fields(struct ccz_buf *out, const void *from, const struct field *fields);

static bool is_zero(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (p[i] != 0)
            return false;
    return true;
}

static void put_field(struct ccz_buf *out, const uint8_t *from, const struct field *d)
{
    uint64_t v = 0;
    switch (d->type) {
    case T_BOOL:
        v = *(const bool *)from;
        break;
    case T_U32:
        v = *(const uint32_t *)(const void *)from;
        break;
    case T_U64:
        v = *(const uint64_t *)(const void *)from;
        break;
    case T_FLOAT:
        if (!is_zero(from, sizeof(float)))
            ccz_pb_put_float(out, d->number, *(const float *)(const void *)from);
        return;
    case T_DOUBLE:
        if (!is_zero(from, sizeof(double)))
            ccz_pb_put_double(out, d->number, *(const double *)(const void *)from);
        return;
    case T_FIXED:
        if (!is_zero(from, d->size))
            ccz_pb_put_bytes(out, d->number, CCZ_SPAN(from, d->size));
        return;
    case T_BYTES:
        if (((const struct ccz_span *)(const void *)from)->size > 0)
            ccz_pb_put_bytes(out, d->number, *(const struct ccz_span *)(const void *)from);
        return;
    case T_METRICS: {
        size_t m = ccz_pb_open(out, d->number);
        put_fields(out, from, METRICS);
        ccz_pb_close(out, m);
        return;
    }
    case T_END:
        return;
    }
    if (v != 0)
        ccz_pb_put_uint(out, d->number, v);
}

static void put_fields(struct ccz_buf *out, const void *from, const struct field *fields)
{
    for (const struct field *d = fields; d->type != T_END; d++)
        put_field(out, (const uint8_t *)from + d->at, d);
}

void cczi_hfl_msg_put(struct ccz_buf *out, const struct cczi_hfl_msg *m)
{
    size_t mark = ccz_pb_open(out, m->kind);
    put_fields(out, &m->hello, KINDS[m->kind].fields);
    ccz_pb_close(out, mark);
}

void cczi_hfl_chunk_head(struct ccz_buf *out, uint32_t vector, uint64_t offset, size_t size)
{
    size_t inner = 1 + ccz_pb_varint_size(size) + size;
    if (vector)
        inner += 1 + ccz_pb_varint_size(vector);
    if (offset)
        inner += 1 + ccz_pb_varint_size(offset);
    ccz_pb_put_tag(out, CCZI_HFL_CHUNK, CCZ_PB_LEN);
    ccz_pb_put_varint(out, inner);
    if (vector)
        ccz_pb_put_uint(out, 1, vector);
    if (offset)
        ccz_pb_put_uint(out, 2, offset);
    ccz_pb_put_tag(out, 3, CCZ_PB_LEN);
    ccz_pb_put_varint(out, size);
}
