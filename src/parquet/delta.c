/* SPDX-License-Identifier: Apache-2.0 */
/* DELTA_BINARY_PACKED. All arithmetic is modulo 2^64, and what is kept of INT32 is its low half. */
#include "parquet/format_priv.h"

#include <cczoo/codec.h>

enum { BLOCK = 128, MINIS = 4, MINI = BLOCK / MINIS, BLOCK_MAX = 1 << 20, MINIS_MAX = 1 << 12 };

void cczi_delta_init(struct cczi_delta *d, struct ccz_span in)
{
    *d = (struct cczi_delta){.r = ccz_rd_from(in)};
    d->block = ccz_pb_varint(&d->r);
    d->minis = ccz_pb_varint(&d->r);
    d->len = ccz_pb_varint(&d->r);
    d->value = (uint64_t)cczi_zigzag(&d->r);
    d->bad = d->r.bad || d->block == 0 || d->block > BLOCK_MAX || d->block % 128 != 0 ||
             d->minis == 0 || d->minis > MINIS_MAX || d->block % d->minis != 0 ||
             d->block / d->minis % 32 != 0;
    d->per_mini = d->bad ? 0 : d->block / d->minis;
    d->mini = d->minis;
}

/* The miniblock that the next value is in. */
static bool next_mini(struct cczi_delta *d)
{
    if (d->mini + 1 >= d->minis) {
        d->min_delta = (uint64_t)cczi_zigzag(&d->r);
        d->widths = ccz_rd_take(&d->r, (size_t)d->minis).ptr;
        d->mini = 0;
    } else {
        d->mini++;
    }
    d->in_mini = 0;
    if (d->r.bad || d->widths[d->mini] > 64) {
        d->bad = true;
        return false;
    }
    d->bits = ccz_rd_take(&d->r, (size_t)(d->per_mini / 8 * d->widths[d->mini]));
    d->bad = d->r.bad;
    return !d->bad;
}

bool cczi_delta_get(int64_t *out, struct cczi_delta *d, size_t len)
{
    if (d->bad || len > d->len - d->done)
        return false;
    for (size_t i = 0; i < len;) {
        if (d->done == 0) {
            out[i++] = (int64_t)d->value;
            d->done++;
            d->mini = d->minis - 1; /* so that the next is the first of a block */
            d->in_mini = d->per_mini;
            continue;
        }
        if (d->in_mini == d->per_mini && !next_mini(d))
            return false;
        unsigned width = d->widths[d->mini];
        size_t n = (size_t)(d->per_mini - d->in_mini);
        n = n < len - i ? n : len - i;
        for (size_t k = 0; k < n; k++, d->in_mini++) {
            uint64_t bits = cczi_bits(d->bits.ptr, d->bits.size, (size_t)d->in_mini * width, width);
            d->value += d->min_delta + bits;
            out[i + k] = (int64_t)d->value;
        }
        d->done += n;
        i += n;
    }
    return true;
}

bool cczi_delta_lengths(uint64_t *sum, struct ccz_span *rest, struct ccz_span in, uint64_t len_max)
{
    struct cczi_delta d;
    int64_t v[256];
    cczi_delta_init(&d, in);
    *sum = 0;
    if (d.bad || d.len > len_max)
        return false;
    while (d.done < d.len) {
        uint64_t left = d.len - d.done;
        size_t n = left < 256 ? (size_t)left : 256;
        if (!cczi_delta_get(v, &d, n))
            return false;
        for (size_t i = 0; i < n; i++) {
            if (v[i] < 0 || v[i] > INT32_MAX)
                return false;
            *sum += (uint64_t)v[i]; /* at most 2^27 values of 2^31 */
        }
    }
    *rest = CCZ_SPAN(d.r.ptr, d.r.left);
    return true;
}

/* ----------------------------------------------------------------------------------- writing */

static void put_mini(struct ccz_buf *out, const uint64_t *v, unsigned width)
{
    uint8_t bytes[MINI * 8] = {0};
    size_t at = 0; /* bit */
    for (size_t i = 0; i < MINI; i++) {
        uint64_t rest = v[i];
        for (unsigned left = width; left > 0;) { /* as many bits as the byte has room for */
            unsigned room = 8 - (unsigned)(at % 8), n = left < room ? left : room;
            bytes[at / 8] = (uint8_t)(bytes[at / 8] | (rest & ((1U << n) - 1)) << (at % 8));
            rest >>= n;
            left -= n;
            at += n;
        }
    }
    ccz_buf_put(out, bytes, MINI / 8 * width);
}

/* @p delta [len <= BLOCK] */
static void put_block(struct ccz_buf *out, const int64_t *delta, size_t len)
{
    int64_t min = delta[0];
    for (size_t i = 1; i < len; i++)
        min = delta[i] < min ? delta[i] : min;
    uint64_t rest[BLOCK] = {0};
    unsigned width[MINIS] = {0};
    for (size_t i = 0; i < len; i++) {
        rest[i] = (uint64_t)delta[i] - (uint64_t)min;
        unsigned w = cczi_width(rest[i]);
        width[i / MINI] = w > width[i / MINI] ? w : width[i / MINI];
    }
    cczi_put_zigzag(out, min);
    for (size_t m = 0; m < MINIS; m++)
        ccz_buf_u8(out, (uint8_t)width[m]);
    for (size_t m = 0; m * MINI < len; m++)
        put_mini(out, rest + m * MINI, width[m]);
}

void cczi_delta_put(struct ccz_buf *out, const int64_t *v, size_t len, bool is32)
{
    ccz_pb_put_varint(out, BLOCK);
    ccz_pb_put_varint(out, MINIS);
    ccz_pb_put_varint(out, len);
    cczi_put_zigzag(out, len > 0 ? v[0] : 0);
    for (size_t at = 1; at < len; at += BLOCK) {
        int64_t delta[BLOCK];
        size_t n = len - at < BLOCK ? len - at : BLOCK;
        for (size_t i = 0; i < n; i++) {
            uint64_t d = (uint64_t)v[at + i] - (uint64_t)v[at + i - 1];
            /* of INT32 modulo 2^32, so that no difference needs more than 32 bits */
            delta[i] = is32 ? (int32_t)(uint32_t)d : (int64_t)d;
        }
        put_block(out, delta, n);
    }
}
