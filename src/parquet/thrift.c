/* SPDX-License-Identifier: Apache-2.0 */
/* Thrift's compact protocol: a cursor over bytes, nothing is allocated. Lists cannot be longer than the bytes that are left, and
 * depth is bounded. */
#include "parquet/format_priv.h"

#include <cczoo/codec.h>

/* ----------------------------------------------------------------------------------- reading */

int64_t cczi_zigzag(struct ccz_rd *r)
{
    return ccz_pb_zigzag(ccz_pb_varint(r)); /* integers are those of Protocol Buffers */
}

bool cczi_th_ends(const struct ccz_rd *r, bool sealed)
{
    uint8_t any = 0;
    for (size_t i = 0; sealed && i < r->left; i++)
        any |= r->ptr[i];
    return !r->bad && (sealed ? any == 0 : r->left == 0);
}

static int64_t zigzag_in(struct ccz_rd *r, int64_t min, int64_t max)
{
    int64_t v = cczi_zigzag(r);
    if (v >= min && v <= max)
        return v;
    r->bad = true;
    return 0;
}

bool cczi_th_next(struct ccz_rd *r, struct cczi_th *s)
{
    uint8_t b = ccz_rd_u8(r);
    s->type = b & 0x0f;
    if (r->bad || b == CCZI_TH_STOP) /* a delta with type 0 is no stop */
        return false;
    int64_t id = b >> 4 ? s->id + (b >> 4) : zigzag_in(r, INT16_MIN, INT16_MAX);
    if (s->type == CCZI_TH_STOP || s->type > CCZI_TH_UUID || id > INT16_MAX)
        r->bad = true;
    s->id = (int16_t)id;
    if (id > 0 && id < 64) {
        if (cczi_th_has(s, (unsigned)id))
            r->bad = true;
        s->seen |= UINT64_C(1) << id;
    }
    return !r->bad;
}

int32_t cczi_th_i32(struct ccz_rd *r, const struct cczi_th *s)
{
    r->bad |= s->type != CCZI_TH_I32;
    return (int32_t)zigzag_in(r, INT32_MIN, INT32_MAX);
}

int64_t cczi_th_i64(struct ccz_rd *r, const struct cczi_th *s)
{
    r->bad |= s->type != CCZI_TH_I64;
    return cczi_zigzag(r);
}

bool cczi_th_bool(struct ccz_rd *r, const struct cczi_th *s)
{
    r->bad |= s->type != CCZI_TH_TRUE && s->type != CCZI_TH_FALSE;
    return s->type == CCZI_TH_TRUE && !r->bad;
}

struct ccz_span cczi_th_elem_binary(struct ccz_rd *r)
{
    uint64_t size = ccz_pb_varint(r);
    if (size > r->left)
        r->bad = true;
    return ccz_rd_take(r, r->bad ? 0 : (size_t)size);
}

struct ccz_span cczi_th_binary(struct ccz_rd *r, const struct cczi_th *s)
{
    r->bad |= s->type != CCZI_TH_BINARY;
    return cczi_th_elem_binary(r);
}

bool cczi_th_is_struct(struct ccz_rd *r, const struct cczi_th *s)
{
    r->bad |= s->type != CCZI_TH_STRUCT;
    return !r->bad;
}

int32_t cczi_th_elem_i32(struct ccz_rd *r)
{
    return (int32_t)zigzag_in(r, INT32_MIN, INT32_MAX);
}

static size_t list_head(uint8_t *of, struct ccz_rd *r)
{
    uint8_t b = ccz_rd_u8(r);
    uint64_t len = b >> 4 == 15 ? ccz_pb_varint(r) : b >> 4;
    *of = b & 0x0f;
    if (len > r->left) /* no element takes less than a byte */
        r->bad = true;
    return r->bad ? 0 : (size_t)len;
}

size_t cczi_th_list(struct ccz_rd *r, const struct cczi_th *s, enum cczi_th_type of)
{
    uint8_t type;
    r->bad |= s->type != CCZI_TH_LIST;
    size_t len = list_head(&type, r);
    if (type == CCZI_TH_FALSE)
        type = CCZI_TH_TRUE; /* booleans, whichever of the two the writer takes */
    if (len > 0 && type != of)
        r->bad = true;
    return r->bad ? 0 : len;
}

/* What one value needs to be passed over: `left` values of `type`, or pairs of two types, or fields up to a stop. */
struct frame {
    size_t left;
    uint8_t type, other; /* other: of a map's values, which take turns with its keys */
    bool is_struct;
};

/* Passes a value without parts over; false: it has parts, and @p f is how they are passed over. */
static bool skip_flat(struct frame *f, struct ccz_rd *r, uint8_t type, bool in_list)
{
    *f = (struct frame){0};
    switch (type) {
    case CCZI_TH_TRUE:
    case CCZI_TH_FALSE:
        ccz_rd_take(r, in_list ? 1 : 0);
        return true;
    case CCZI_TH_I8:
        ccz_rd_take(r, 1);
        return true;
    case CCZI_TH_I16:
    case CCZI_TH_I32:
    case CCZI_TH_I64:
        ccz_pb_varint(r);
        return true;
    case CCZI_TH_DOUBLE:
        ccz_rd_take(r, 8);
        return true;
    case CCZI_TH_UUID:
        ccz_rd_take(r, 16);
        return true;
    case CCZI_TH_BINARY:
        cczi_th_elem_binary(r);
        return true;
    case CCZI_TH_LIST:
    case CCZI_TH_SET:
        f->left = list_head(&f->type, r);
        f->other = f->type;
        return false;
    case CCZI_TH_MAP: {
        uint64_t len = ccz_pb_varint(r);
        uint8_t types = len > 0 ? ccz_rd_u8(r) : 0;
        r->bad |= len > r->left / 2;
        f->left = r->bad ? 0 : 2 * (size_t)len;
        f->type = types >> 4;
        f->other = types & 0x0f;
        return false;
    }
    case CCZI_TH_STRUCT:
        f->is_struct = true;
        return false;
    default:
        r->bad = true;
        return true;
    }
}

static void skip(struct ccz_rd *r, uint8_t type, bool in_list)
{
    struct frame stack[CCZI_TH_DEPTH_MAX], f;
    size_t depth = 0;
    if (!skip_flat(&stack[0], r, type, in_list))
        depth = 1;
    while (depth > 0 && !r->bad) {
        struct frame *top = &stack[depth - 1];
        struct cczi_th s = {0};
        bool more = top->is_struct ? cczi_th_next(r, &s) : top->left-- > 0;
        if (!more) {
            depth--;
            continue;
        }
        uint8_t part = top->is_struct ? s.type : top->left % 2 ? top->type : top->other;
        if (skip_flat(&f, r, part, !top->is_struct))
            continue;
        if (depth == CCZI_TH_DEPTH_MAX)
            r->bad = true;
        else
            stack[depth++] = f;
    }
}

void cczi_th_skip(struct ccz_rd *r, const struct cczi_th *s)
{
    skip(r, s->type, false);
}

struct ccz_span cczi_th_struct_bytes(struct ccz_rd *r)
{
    const uint8_t *from = r->ptr;
    size_t left = r->left;
    skip(r, CCZI_TH_STRUCT, true);
    return r->bad ? CCZ_SPAN(NULL, 0) : CCZ_SPAN(from, left - r->left);
}

/* ----------------------------------------------------------------------------------- writing */

void cczi_put_zigzag(struct ccz_buf *out, int64_t v)
{
    ccz_pb_put_varint(out, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

static void field(struct cczi_tw *w, int16_t id, uint8_t type)
{
    int16_t *last = &w->last[w->depth - 1];
    if (id > *last && id - *last <= 15) {
        ccz_buf_u8(w->out, (uint8_t)((id - *last) << 4 | type));
    } else {
        ccz_buf_u8(w->out, type);
        cczi_put_zigzag(w->out, id);
    }
    *last = id;
}

void cczi_tw_i64(struct cczi_tw *w, int16_t id, int64_t v)
{
    field(w, id, CCZI_TH_I64);
    cczi_put_zigzag(w->out, v);
}

void cczi_tw_i32(struct cczi_tw *w, int16_t id, int32_t v)
{
    field(w, id, CCZI_TH_I32);
    cczi_put_zigzag(w->out, v);
}

void cczi_tw_i16(struct cczi_tw *w, int16_t id, int16_t v)
{
    field(w, id, CCZI_TH_I16);
    cczi_put_zigzag(w->out, v);
}

void cczi_tw_i8(struct cczi_tw *w, int16_t id, int8_t v)
{
    field(w, id, CCZI_TH_I8);
    ccz_buf_u8(w->out, (uint8_t)v);
}

void cczi_tw_bool(struct cczi_tw *w, int16_t id, bool v)
{
    field(w, id, v ? CCZI_TH_TRUE : CCZI_TH_FALSE);
}

void cczi_tw_elem_binary(struct cczi_tw *w, struct ccz_span v)
{
    ccz_pb_put_varint(w->out, v.size);
    ccz_buf_put_span(w->out, v);
}

void cczi_tw_binary(struct cczi_tw *w, int16_t id, struct ccz_span v)
{
    field(w, id, CCZI_TH_BINARY);
    cczi_tw_elem_binary(w, v);
}

void cczi_tw_list(struct cczi_tw *w, int16_t id, enum cczi_th_type of, size_t len)
{
    field(w, id, CCZI_TH_LIST);
    ccz_buf_u8(w->out, (uint8_t)((len < 15 ? len : 15) << 4 | of));
    if (len >= 15)
        ccz_pb_put_varint(w->out, len);
}

void cczi_tw_elem_i32(struct cczi_tw *w, int32_t v)
{
    cczi_put_zigzag(w->out, v);
}

void cczi_tw_open(struct cczi_tw *w)
{
    w->last[w->depth++] = 0;
}

void cczi_tw_struct(struct cczi_tw *w, int16_t id)
{
    field(w, id, CCZI_TH_STRUCT);
    cczi_tw_open(w);
}

void cczi_tw_close(struct cczi_tw *w)
{
    ccz_buf_u8(w->out, CCZI_TH_STOP);
    w->depth--;
}
