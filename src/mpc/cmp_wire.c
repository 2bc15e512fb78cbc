/* SPDX-License-Identifier: Apache-2.0 */
/* Memory, and messages of bits. */
#include "cmp_priv.h"

#include <stdlib.h>
#include <string.h>

enum { BLOCK_ROWS = 5, WORD_ROWS = 4 };

ccz_rc cczi_store_init(struct cczi_store *s, size_t len, struct ccz_err *err)
{
    *s = (struct cczi_store){calloc(len + 1, sizeof(uint64_t)), len};
    if (!s->at)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", (int64_t)len, "out of memory");
    return CCZ_OK;
}

void cczi_store_deinit(struct cczi_store *s)
{
    if (s->at)
        ccz_wipe(s->at, s->len * sizeof(*s->at));
    free(s->at);
    *s = (struct cczi_store){0};
}

ccz_rc cczi_cmp_init(struct cczi_cmp *c, const struct cczi_cmp_ops *ops, void *self, unsigned party,
                     const uint8_t key[16], struct ccz_err *err)
{
    const size_t chunk = CCZI_CMP_CHUNK;
    *c = (struct cczi_cmp){.ops = ops, .self = self, .party = party};
    cczi_hash_init(&c->hash, cczi_ot_kernels(), key);
    c->blocks = aligned_alloc(64, BLOCK_ROWS * chunk * sizeof(*c->blocks));
    c->words = aligned_alloc(64, WORD_ROWS * chunk * sizeof(*c->words));
    if (!c->blocks || !c->words)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return CCZ_OK;
}

void cczi_cmp_deinit(struct cczi_cmp *c)
{
    const size_t chunk = CCZI_CMP_CHUNK;
    if (c->blocks)
        ccz_wipe(c->blocks, BLOCK_ROWS * chunk * sizeof(*c->blocks));
    if (c->words)
        ccz_wipe(c->words, WORD_ROWS * chunk * sizeof(*c->words));
    free(c->blocks);
    free(c->words);
    *c = (struct cczi_cmp){0};
}

struct cczi_range cczi_cmp_half(size_t n, unsigned sender)
{
    size_t first = (cczi_words_of(n) + 1) / 2 * 64;
    if (first > n)
        first = n;
    return sender == 0 ? (struct cczi_range){0, first} : (struct cczi_range){first, n - first};
}

/* --------------------------------------------------------------------------------------- masks */

/* How many OTs a key is for: whole words. */
static size_t per_key(unsigned log)
{
    return (size_t)CCZI_HASH_USES >> log;
}

/* A key is numbered by its first OT, and by its place in the call, so that those of a call are kept side by side. */
static const struct cczi_aes *key_at(const struct cczi_pads *p, size_t i, struct cczi_hash *h)
{
    return cczi_hash_key(h, (p->tweak + i) << 4 | i / per_key(p->log));
}

void cczi_cmp_pad_bits(uint64_t *lo, uint64_t *hi, const struct cczi_pads *p, struct cczi_hash *h)
{
    const size_t step = per_key(p->log);
    for (size_t i = 0; i < p->len; i += step)
        cczi_cmp_kernels()->pad_bits(lo + i / 64, hi + i / 64, p->in + i, p->offset,
                                     p->len - i < step ? p->len - i : step, p->tweak + i,
                                     key_at(p, i, h));
}

void cczi_cmp_pad_words(uint64_t *lo, uint64_t *hi, const struct cczi_pads *p, struct cczi_hash *h)
{
    const size_t step = per_key(p->log);
    for (size_t i = 0; i < p->len; i += step)
        cczi_cmp_kernels()->pad_words(lo + i, hi ? hi + i : NULL, p->in + i, p->offset,
                                      p->len - i < step ? p->len - i : step, p->tweak + i,
                                      key_at(p, i, h));
}

/* ------------------------------------------------------------------------------------ messages */

static uint64_t low_bits(size_t n)
{
    return n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
}

/* Words are zero from the cursor on. */
static inline void put(struct cczi_bits *b, uint64_t v, unsigned n)
{
    size_t shift = b->at % 64;
    uint64_t *w = b->w + b->at / 64;
    v &= low_bits(n);
    w[0] |= v << shift;
    if (shift + n > 64)
        w[1] = v >> (64 - shift);
    b->at += n;
}

static inline uint64_t get(struct cczi_bits *b, unsigned n)
{
    size_t shift = b->at % 64;
    const uint64_t *w = b->w + b->at / 64;
    uint64_t v = w[0] >> shift;
    if (shift + n > 64)
        v |= w[1] << (64 - shift);
    b->at += n;
    return v & low_bits(n);
}

void cczi_bits_put(struct cczi_bits *b, const uint64_t *row, size_t len)
{
    size_t i = 0;
    if (b->at % 64 == 0) {
        memcpy(b->w + b->at / 64, row, len / 64 * sizeof(*row));
        i = len / 64;
        b->at += i * 64;
    }
    for (; i < len / 64; i++)
        put(b, row[i], 64);
    if (len % 64)
        put(b, row[i], (unsigned)(len % 64));
}

void cczi_bits_get(uint64_t *row, struct cczi_bits *b, size_t len)
{
    size_t i = 0;
    if (b->at % 64 == 0) {
        memcpy(row, b->w + b->at / 64, len / 64 * sizeof(*row));
        i = len / 64;
        b->at += i * 64;
    }
    for (; i < len / 64; i++)
        row[i] = get(b, 64);
    if (len % 64)
        row[i] = get(b, (unsigned)(len % 64));
}

void cczi_bits_put_words(struct cczi_bits *b, const uint64_t *v, size_t len, unsigned width)
{
    uint8_t *to = (uint8_t *)b->w + b->at / 8;
    if (width == 32 && b->at % 8 == 0) {
        for (size_t i = 0; i < len; i++) {
            uint32_t x = (uint32_t)v[i];
            memcpy(to + 4 * i, &x, sizeof(x));
        }
        b->at += 32 * len;
    } else if (width == 64 && b->at % 8 == 0) {
        memcpy(to, v, len * sizeof(*v));
        b->at += 64 * len;
    } else {
        for (size_t i = 0; i < len; i++)
            put(b, v[i], width);
    }
}

void cczi_bits_get_words(uint64_t *v, struct cczi_bits *b, size_t len, unsigned width)
{
    const uint8_t *from = (const uint8_t *)b->w + b->at / 8;
    if (width == 32 && b->at % 8 == 0) {
        for (size_t i = 0; i < len; i++) {
            uint32_t x;
            memcpy(&x, from + 4 * i, sizeof(x));
            v[i] = x;
        }
        b->at += 32 * len;
    } else if (width == 64 && b->at % 8 == 0) {
        memcpy(v, from, len * sizeof(*v));
        b->at += 64 * len;
    } else {
        for (size_t i = 0; i < len; i++)
            v[i] = get(b, width);
    }
}

/* Bit j of m[i] becomes bit i of m[j]. */
static void transpose(uint64_t m[64])
{
    uint64_t mask = 0x00000000ffffffffu;
    for (int s = 32; s > 0; s /= 2, mask ^= mask << s)
        for (int i = 0; i < 64; i += 2 * s)
            for (int k = i; k < i + s; k++) {
                uint64_t t = ((m[k] >> s) ^ m[k + s]) & mask;
                m[k + s] ^= t;
                m[k] ^= t << s;
            }
}

void cczi_rows_of(uint64_t *rows, size_t stride, const uint64_t *v, size_t len, unsigned bits)
{
    uint64_t m[64];
    for (size_t w = 0; w < cczi_words_of(len); w++) {
        size_t n = len - w * 64 < 64 ? len - w * 64 : 64;
        memcpy(m, v + w * 64, n * sizeof(*m));
        memset(m + n, 0, (64 - n) * sizeof(*m));
        transpose(m);
        for (unsigned b = 0; b < bits; b++)
            rows[b * stride + w] = m[b];
    }
    ccz_wipe(m, sizeof(m));
}

void cczi_words_from(uint64_t *v, const uint64_t *rows, size_t stride, size_t len, unsigned bits)
{
    uint64_t m[64];
    for (size_t w = 0; w < cczi_words_of(len); w++) {
        size_t n = len - w * 64 < 64 ? len - w * 64 : 64;
        for (unsigned b = 0; b < bits; b++)
            m[b] = rows[b * stride + w];
        memset(m + bits, 0, (64 - bits) * sizeof(*m));
        transpose(m);
        memcpy(v + w * 64, m, n * sizeof(*m));
    }
    ccz_wipe(m, sizeof(m));
}
