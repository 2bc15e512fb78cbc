/* SPDX-License-Identifier: Apache-2.0 */
/* The hybrid of runs and bit-packed groups: levels, indexes into dictionaries, booleans. */
#include "parquet/format_priv.h"

#include <cczoo/codec.h>

unsigned cczi_width(uint64_t max)
{
    unsigned w = 0;
    for (; max > 0; max >>= 1)
        w++;
    return w;
}

static uint64_t load(const uint8_t *p, size_t size)
{
    uint64_t v = 0;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (size >= sizeof(v)) {
        memcpy(&v, p, sizeof(v));
        return v;
    }
#endif
    for (size_t i = 0; i < size && i < sizeof(v); i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

uint64_t cczi_bits(const uint8_t *p, size_t size, size_t at, unsigned width)
{
    size_t byte = at / 8;
    unsigned shift = (unsigned)(at % 8);
    if (width == 0 || byte >= size)
        return 0;
    uint64_t v = load(p + byte, size - byte) >> shift;
    if (shift + width > 64 && size - byte > 8)
        v |= (uint64_t)p[byte + 8] << (64 - shift);
    return width < 64 ? v & ((UINT64_C(1) << width) - 1) : v;
}

void cczi_hybrid_init(struct cczi_hybrid *h, struct ccz_span in, unsigned width)
{
    *h = (struct cczi_hybrid){.r = ccz_rd_from(in), .width = width, .bad = width > 32};
}

size_t cczi_hybrid_rest(const struct cczi_hybrid *h)
{
    size_t group = (size_t)h->width * 8; /* bits */
    size_t used = group > 0 ? (h->at + group - 1) / group * h->width : 0;
    return h->r.left + (h->packed && used < h->bits_size ? h->bits_size - used : 0);
}

/* The next run. Its groups may be cut off where the input ends: what is missing must not be asked for. */
static bool next_run(struct cczi_hybrid *h)
{
    uint64_t head = ccz_pb_varint(&h->r);
    h->packed = head & 1;
    if (h->r.bad || head >> 1 > UINT32_MAX) {
        h->bad = true;
    } else if (h->packed) {
        uint64_t want = (head >> 1) * h->width;
        size_t size = want < h->r.left ? (size_t)want : h->r.left;
        struct ccz_span s = ccz_rd_take(&h->r, size);
        h->left = (size_t)(head >> 1) * 8;
        h->bits = s.ptr;
        h->bits_size = s.size;
        h->at = 0;
        if (size < want && h->left > size * 8 / h->width)
            h->left = size * 8 / h->width;
    } else {
        struct ccz_span s = ccz_rd_take(&h->r, (h->width + 7) / 8);
        h->value = s.size > 0 ? (uint32_t)load(s.ptr, s.size) : 0;
        h->left = (size_t)(head >> 1);
        h->bad = h->r.bad || (h->width < 32 && h->value >> h->width != 0);
    }
    return !h->bad;
}

/* How many of @p len values the run at hand gives. */
static size_t part(struct cczi_hybrid *h, size_t len)
{
    while (!h->bad && h->left == 0)
        next_run(h);
    size_t n = h->left < len ? h->left : len;
    return h->bad ? 0 : n;
}

bool cczi_hybrid_get(uint32_t *out, struct cczi_hybrid *h, size_t len)
{
    if (h->bad)
        return false;
    while (len > 0) {
        size_t n = part(h, len);
        if (n == 0)
            return false;
        if (h->packed) {
            for (size_t i = 0; i < n; i++, h->at += h->width)
                out[i] = (uint32_t)cczi_bits(h->bits, h->bits_size, h->at, h->width);
        } else {
            for (size_t i = 0; i < n; i++)
                out[i] = h->value;
        }
        h->left -= n;
        out += n;
        len -= n;
    }
    return true;
}

bool cczi_hybrid_get8(uint8_t *out, struct cczi_hybrid *h, size_t len)
{
    if (h->bad)
        return false;
    while (len > 0) {
        size_t n = part(h, len);
        if (n == 0)
            return false;
        if (h->packed) {
            for (size_t i = 0; i < n; i++, h->at += h->width)
                out[i] = (uint8_t)cczi_bits(h->bits, h->bits_size, h->at, h->width);
        } else {
            memset(out, (int)h->value, n);
        }
        h->left -= n;
        out += n;
        len -= n;
    }
    return true;
}

/* ----------------------------------------------------------------------------------- writing */

static size_t run_at(const uint32_t *v, size_t len)
{
    size_t n = 1;
    while (n < len && v[n] == v[0])
        n++;
    return n;
}

static void put_run(struct ccz_buf *out, uint32_t value, size_t len, unsigned width)
{
    ccz_pb_put_varint(out, (uint64_t)len << 1);
    for (unsigned i = 0; i < (width + 7) / 8; i++)
        ccz_buf_u8(out, (uint8_t)(value >> (8 * i)));
}

/* Whole groups of 8; behind the last value zeros. */
static void put_packed(struct ccz_buf *out, const uint32_t *v, size_t len, unsigned width)
{
    size_t groups = (len + 7) / 8;
    ccz_pb_put_varint(out, (uint64_t)groups << 1 | 1);
    uint64_t acc = 0;
    unsigned bits = 0;
    for (size_t i = 0; i < groups * 8; i++) {
        acc |= (uint64_t)(i < len ? v[i] : 0) << bits;
        for (bits += width; bits >= 8; bits -= 8) {
            ccz_buf_u8(out, (uint8_t)acc);
            acc >>= 8;
        }
    }
}

void cczi_hybrid_put(struct ccz_buf *out, const uint32_t *v, size_t len, unsigned width)
{
    enum { RUN_MIN = 8, GROUPS_MAX = 63 }; /* up to 63 groups have a head of one byte */
    size_t at = 0;
    while (at < len) {
        size_t n = run_at(v + at, len - at);
        if (n >= RUN_MIN || at + n == len) {
            put_run(out, v[at], n, width);
            at += n;
            continue;
        }
        /* Groups of 8 as long as none of them begins with a run that is worth its own head. */
        size_t to = at;
        while (to < len && to - at < (size_t)GROUPS_MAX * 8) {
            if (to > at && run_at(v + to, len - to > 16 ? 16 : len - to) >= RUN_MIN)
                break;
            to = len - to > 8 ? to + 8 : len;
        }
        put_packed(out, v + at, to - at, width);
        at = to;
    }
}
