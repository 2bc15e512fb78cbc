/* SPDX-License-Identifier: Apache-2.0 */
/* Protocol Buffers wire format: https://protobuf.dev/programming-guides/encoding/ */
#include <cczoo/codec.h>

#include <string.h>

enum {
    PB_VARINT_SIZE_MAX = 10, /* ceil(64 / 7) */
    PB_OPEN_SIZE = 5,        /* a varint of five bytes holds 35 bits */
};
#define PB_NUMBER_MAX       0x1fffffffu /* 2^29 - 1 */
#define PB_MESSAGE_SIZE_MAX 0x7fffffffu /* every implementation stops at 2 GiB */

uint64_t ccz_pb_varint(struct ccz_rd *r)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < PB_VARINT_SIZE_MAX; i++) {
        uint8_t b = ccz_rd_u8(r);
        if (i == PB_VARINT_SIZE_MAX - 1 && b > 1)
            break; /* the tenth byte carries bit 63 only; more would be lost silently */
        v |= (uint64_t)(b & 0x7f) << (7 * i);
        if (b < 0x80)
            return r->bad ? 0 : v; /* a failed read gives 0 */
    }
    r->bad = true;
    return 0;
}

bool ccz_pb_next(struct ccz_pb_field *f, struct ccz_rd *r)
{
    *f = (struct ccz_pb_field){0};
    if (r->bad || r->left == 0)
        return false;
    struct ccz_pb_field out = {0};
    uint64_t tag = ccz_pb_varint(r);
    uint64_t number = tag >> 3;
    if (number == 0 || number > PB_NUMBER_MAX)
        r->bad = true;
    out.number = (uint32_t)number;
    switch (tag & 7) {
    case CCZ_PB_VARINT:
        out.wire = CCZ_PB_VARINT;
        out.num = ccz_pb_varint(r);
        break;
    case CCZ_PB_I64:
        out.wire = CCZ_PB_I64;
        out.num = ccz_rd_le64(r);
        break;
    case CCZ_PB_LEN:
        out.wire = CCZ_PB_LEN;
        out.num = ccz_pb_varint(r);
        out.bytes = ccz_rd_take(r, out.num);
        break;
    case CCZ_PB_I32:
        out.wire = CCZ_PB_I32;
        out.num = ccz_rd_le32(r);
        break;
    default: /* 3 and 4 are groups, removed from the language; 6 and 7 were never given out */
        r->bad = true;
    }
    if (r->bad)
        return false;
    *f = out;
    return true;
}

double ccz_pb_as_double(uint64_t i64)
{
    double v;
    memcpy(&v, &i64, sizeof(v));
    return v;
}

float ccz_pb_as_float(uint64_t i32)
{
    uint32_t bits = (uint32_t)i32;
    float v;
    memcpy(&v, &bits, sizeof(v));
    return v;
}

int64_t ccz_pb_zigzag(uint64_t v)
{
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

size_t ccz_pb_varint_size(uint64_t v)
{
    size_t n = 1;
    while (v >>= 7)
        n++;
    return n;
}

void ccz_pb_put_varint(struct ccz_buf *out, uint64_t v)
{
    uint8_t *to = ccz_buf_extend(out, ccz_pb_varint_size(v));
    if (!to)
        return;
    for (; v >= 0x80; v >>= 7)
        *to++ = (uint8_t)(v | 0x80);
    *to = (uint8_t)v;
}

void ccz_pb_put_tag(struct ccz_buf *out, uint32_t number, enum ccz_pb_wire wire)
{
    ccz_pb_put_varint(out, (uint64_t)number << 3 | (uint64_t)wire);
}

void ccz_pb_put_uint(struct ccz_buf *out, uint32_t number, uint64_t v)
{
    ccz_pb_put_tag(out, number, CCZ_PB_VARINT);
    ccz_pb_put_varint(out, v);
}

void ccz_pb_put_bytes(struct ccz_buf *out, uint32_t number, struct ccz_span s)
{
    ccz_pb_put_tag(out, number, CCZ_PB_LEN);
    ccz_pb_put_varint(out, s.size);
    ccz_buf_put_span(out, s);
}

void ccz_pb_put_str(struct ccz_buf *out, uint32_t number, const char *s)
{
    ccz_pb_put_bytes(out, number, ccz_span_str(s));
}

void ccz_pb_put_float(struct ccz_buf *out, uint32_t number, float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof(bits));
    ccz_pb_put_tag(out, number, CCZ_PB_I32);
    ccz_buf_le32(out, bits);
}

void ccz_pb_put_double(struct ccz_buf *out, uint32_t number, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof(bits));
    ccz_pb_put_tag(out, number, CCZ_PB_I64);
    ccz_buf_le64(out, bits);
}

size_t ccz_pb_open(struct ccz_buf *out, uint32_t number)
{
    ccz_pb_put_tag(out, number, CCZ_PB_LEN);
    (void)ccz_buf_extend(out, PB_OPEN_SIZE);
    return out->size;
}

void ccz_pb_close(struct ccz_buf *out, size_t mark)
{
    if (out->bad) /* the place for the length may not exist */
        return;
    size_t size = out->size - mark;
    if (size > PB_MESSAGE_SIZE_MAX) {
        out->bad = true;
        return;
    }
    uint8_t *to = out->ptr + mark - PB_OPEN_SIZE;
    for (unsigned i = 0; i < PB_OPEN_SIZE; i++)
        to[i] = (uint8_t)((size >> (7 * i) & 0x7f) | (i < PB_OPEN_SIZE - 1 ? 0x80 : 0));
}
