/* SPDX-License-Identifier: Apache-2.0 */
/* Between bytes and resident values. */
#include "mont_priv.h"

#include <gmp.h>
#include <string.h>

/* ------------------------------------------------------------------------------ bits, words */

uint64_t cczi_mont_bits(const uint8_t *number, size_t size, size_t from, unsigned count)
{
    uint64_t v = 0;
    size_t byte = from / 8;
    unsigned shift = (unsigned)(from % 8);
    for (unsigned i = 0; i < 8 && byte + i < size; i++)
        v |= (uint64_t)number[size - 1 - byte - i] << (8 * i);
    v >>= shift;
    if (shift > 0 && byte + 8 < size)
        v |= (uint64_t)number[size - 1 - byte - 8] << (64 - shift);
    return count < 64 ? v & ((1ull << count) - 1) : v;
}

void cczi_mont_split(uint64_t *limbs, size_t limbs_len, unsigned limb_bits, const uint64_t *words,
                     size_t words_len)
{
    uint64_t mask = ~0ull >> (64 - limb_bits);
    for (size_t i = 0; i < limbs_len; i++) {
        size_t word = i * limb_bits / 64, shift = i * limb_bits % 64;
        uint64_t v = word < words_len ? words[word] >> shift : 0;
        if (shift > 0 && word + 1 < words_len)
            v |= words[word + 1] << (64 - shift);
        limbs[i] = v & mask;
    }
}

void cczi_mont_join(uint64_t *words, size_t words_len, const uint64_t *limbs, size_t limbs_len,
                    unsigned limb_bits)
{
    memset(words, 0, words_len * 8);
    for (size_t i = 0; i < limbs_len; i++) {
        size_t word = i * limb_bits / 64, shift = i * limb_bits % 64;
        if (word < words_len)
            words[word] |= limbs[i] << shift;
        if (shift > 0 && word + 1 < words_len)
            words[word + 1] |= limbs[i] >> (64 - shift);
    }
}

static void put_bytes(uint8_t *out, size_t size, const uint64_t *words)
{
    for (size_t i = 0; i < size; i++)
        out[size - 1 - i] = (uint8_t)(words[i / 8] >> (8 * (i % 8)));
}

/* Limbs of bits [from, from + count) of a number. */
static void read_chunk(const struct ccz_mont *m, uint64_t *limbs, const uint8_t *number,
                       size_t size, size_t from, size_t count)
{
    unsigned limb_bits = m->tier->limb_bits;
    for (size_t i = 0; i < m->limbs; i++) {
        size_t at = i * limb_bits, left = count > at ? count - at : 0;
        unsigned bits = (unsigned)(left < limb_bits ? left : limb_bits);
        limbs[i] = bits > 0 ? cczi_mont_bits(number, size, from + at, bits) : 0;
    }
}

/* -------------------------------------------------------------------------- full reduction */

struct halves {
    uint64_t low[CCZI_MONT_LIMBS64_MAX], high[CCZI_MONT_LIMBS64_MAX];
};

/* r (n words and top) -= p if it is not below. @return whether it was */
static mp_limb_t reduce_once(mp_limb_t *r, mp_limb_t *top, const mp_limb_t *p, mp_size_t n)
{
    mp_limb_t above = *top - mpn_sub_n(r, r, p, n), less = above >> 63;
    (void)mpn_cnd_add_n(less, r, r, p, n);
    *top = above + less;
    return 1 - less;
}

/* Halves of a value that is no longer in Montgomery form, fully reduced. */
static void reduce_value(const struct ccz_mont *m, uint64_t *low, uint64_t *high,
                         const uint64_t *value)
{
    mp_size_t n = (mp_size_t)m->limbs64;
    const mp_limb_t *p = (const mp_limb_t *)m->root64;
    mp_limb_t digit[CCZI_MONT_LIMBS64_MAX] = {0};
    uint64_t words[CCZI_MONT_LIMBS64_MAX + 1];
    mp_limb_t top;
    cczi_mont_join(words, m->limbs64 + 1, value, m->limbs, m->tier->limb_bits);
    top = words[n];
    digit[0] = reduce_once((mp_limb_t *)words, &top, p, n);
    memcpy(low, words, m->limbs64 * 8);
    if (!m->pair)
        return;
    cczi_mont_join(words, m->limbs64 + 1, value + m->limbs, m->limbs, m->tier->limb_bits);
    top = words[n] + mpn_add_n((mp_limb_t *)words, (mp_limb_t *)words, digit, n);
    for (int i = 0; i < 4; i++) /* below 4 root + 1 */
        (void)reduce_once((mp_limb_t *)words, &top, p, n);
    memcpy(high, words, m->limbs64 * 8);
}

/* ---------------------------------------------------------------------------------- constants */

/* Twice a fully reduced number. */
static void double_halves(const struct ccz_mont *m, struct halves *h)
{
    mp_size_t n = (mp_size_t)m->limbs64;
    const mp_limb_t *p = (const mp_limb_t *)m->root64;
    mp_limb_t digit[CCZI_MONT_LIMBS64_MAX] = {0}, *low = (mp_limb_t *)h->low;
    mp_limb_t *high = (mp_limb_t *)h->high, top = mpn_add_n(low, low, low, n);
    digit[0] = reduce_once(low, &top, p, n);
    top = mpn_add_n(high, high, high, n);
    top += mpn_add_n(high, high, digit, n);
    (void)reduce_once(high, &top, p, n);
}

static void split_halves(const struct ccz_mont *m, uint64_t *value, const struct halves *h)
{
    cczi_mont_split(value, m->limbs, m->tier->limb_bits, h->low, m->limbs64);
    if (m->pair)
        cczi_mont_split(value + m->limbs, m->limbs, m->tier->limb_bits, h->high, m->limbs64);
}

/* 2^exp R, fully reduced, from 2 R */
static void power_of_two(const struct ccz_mont *m, uint64_t *value, const uint64_t *two, size_t exp)
{
    struct halves h = {{0}, {0}};
    unsigned bits = 0;
    memcpy(value, two, m->len * 8);
    while (exp >> (bits + 1))
        bits++;
    while (bits-- > 0) {
        ccz_mont_sqr(m, value, value, 1);
        if (exp >> bits & 1)
            ccz_mont_mul(m, value, value, two, 1);
    }
    reduce_value(m, h.low, h.high, value);
    split_halves(m, value, &h);
    ccz_wipe(&h, sizeof(h));
}

/* No division, which would show the modulus to whoever watches time or addresses: mpn_sec_div_r()
 * looks up an inverse by the leading bits. */
void cczi_mont_constants(struct ccz_mont *m)
{
    struct halves h = {{0}, {0}};
    uint64_t two[CCZ_MONT_LEN_MAX];
    size_t r_bits = m->tier->limb_bits * m->limbs, top = m->root_bits - 1;
    h.low[top / 64] = 1ull << top % 64;
    for (size_t i = top; i < r_bits; i++)
        double_halves(m, &h);
    split_halves(m, m->one, &h);
    double_halves(m, &h);
    split_halves(m, two, &h);
    power_of_two(m, m->r2, two, r_bits);
    power_of_two(m, m->chunk, two, m->chunk_bits);
    ccz_wipe(&h, sizeof(h));
    ccz_wipe(two, sizeof(two));
}

/* --------------------------------------------------------------------------------- from bytes */

struct numbers {
    const uint8_t *ptr;  /* NULL: all are 1 */
    size_t size;         /* of each */
    const uint8_t *high; /* high halves of the same size, or NULL */
};

/* A group of chunk number `index` of count numbers, in the low limbs; above are high halves or zeros. */
static void chunk_group(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *group,
                        struct numbers in, size_t index, size_t count)
{
    uint64_t values[CCZI_MONT_LANES_MAX][CCZ_MONT_LEN_MAX];
    const uint64_t *lanes[CCZI_MONT_LANES_MAX];
    for (size_t k = 0; k < ops->lanes; k++) {
        lanes[k] = values[k < count ? k : 0];
        if (k >= count)
            continue;
        memset(values[k], 0, m->len * 8);
        if (in.ptr)
            read_chunk(m, values[k], in.ptr + k * in.size, in.size, index * m->chunk_bits,
                       m->chunk_bits);
        else
            values[k][0] = 1;
        if (in.high)
            read_chunk(m, values[k] + m->limbs, in.high + k * in.size, in.size, 0, m->chunk_bits);
    }
    ops->load(group, lanes, m->len);
}

/* Horner: multiplied by 2^chunk_bits from chunk to chunk, at last by R. */
static void from_group(const struct ccz_mont *m, const struct cczi_mont_ops *ops, uint64_t *group,
                       struct numbers in, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t factor[CCZI_MONT_GROUP_LEN], chunk[CCZI_MONT_GROUP_LEN];
    const struct cczi_mont_moduli *moduli = cczi_mont_moduli(m, ops);
    size_t chunks = in.ptr ? (in.size * 8 + m->chunk_bits - 1) / m->chunk_bits : 1;
    if (chunks == 0) {
        memset(group, 0, m->len * ops->lanes * 8);
        return;
    }
    cczi_mont_fill(m, ops, factor, m->chunk);
    chunk_group(m, ops, group, in, chunks - 1, count);
    for (size_t i = chunks - 1; i-- > 0;) {
        ops->mul[m->pair](group, group, factor, moduli);
        chunk_group(m, ops, chunk, in, i, count);
        ops->add_low(group, chunk, moduli, m->pair);
    }
    cczi_mont_fill(m, ops, factor, m->r2);
    ops->mul[m->pair](group, group, factor, moduli);
}

static size_t group_count(const struct cczi_mont_ops *ops, size_t left)
{
    return left < ops->lanes ? left : ops->lanes;
}

ccz_rc ccz_mont_from_bytes(const struct ccz_mont *m, uint64_t *out, const uint8_t *in,
                           size_t in_size, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t group[CCZI_MONT_GROUP_LEN];
    if (in_size > 4 * m->size)
        return CCZ_E_ARG;
    for (size_t done = 0, n; done < count; done += n) {
        const struct cczi_mont_ops *ops = cczi_mont_ops(m, count - done);
        n = group_count(ops, count - done);
        from_group(m, ops, group, (struct numbers){in + done * in_size, in_size, NULL}, n);
        cczi_mont_store(m, ops, out + done * m->len, group, n);
    }
    return CCZ_OK;
}

void ccz_mont_from_pair(const struct ccz_mont *m, uint64_t *out, const uint8_t *low,
                        const uint8_t *high, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t group[CCZI_MONT_GROUP_LEN], factor[CCZI_MONT_GROUP_LEN];
    size_t size = m->root_size;
    for (size_t done = 0, n; done < count; done += n) {
        const struct cczi_mont_ops *ops = cczi_mont_ops(m, count - done);
        struct numbers in = {low ? low + done * size : NULL, size, high + done * size};
        n = group_count(ops, count - done);
        chunk_group(m, ops, group, in, 0, n); /* a half is below R, and R^2 is reduced */
        cczi_mont_fill(m, ops, factor, m->r2);
        ops->mul[m->pair](group, group, factor, cczi_mont_moduli(m, ops));
        cczi_mont_store(m, ops, out + done * m->len, group, n);
    }
}

/* ----------------------------------------------------------------------------------- to bytes */

/* Halves of up to lanes values. */
static void to_halves(const struct ccz_mont *m, const struct cczi_mont_ops *ops, struct halves *out,
                      const uint64_t *in, size_t count)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t group[CCZI_MONT_GROUP_LEN], one[CCZI_MONT_GROUP_LEN];
    uint64_t values[CCZI_MONT_LANES_MAX * CCZ_MONT_LEN_MAX];
    memset(values, 0, m->len * 8);
    values[0] = 1;
    cczi_mont_fill(m, ops, one, values);
    cczi_mont_load(m, ops, group, in, m->len, count);
    ops->mul[m->pair](group, group, one, cczi_mont_moduli(m, ops));
    cczi_mont_store(m, ops, values, group, count);
    for (size_t k = 0; k < count; k++)
        reduce_value(m, out[k].low, out[k].high, values + k * m->len);
    ccz_wipe(values, sizeof(values));
}

/* low + high * root, or low alone */
static void put_number(const struct ccz_mont *m, uint8_t *out, const struct halves *h)
{
    if (!m->pair) {
        put_bytes(out, m->size, h->low);
        return;
    }
    mp_size_t n = (mp_size_t)m->limbs64;
    mp_limb_t product[2 * CCZI_MONT_LIMBS64_MAX], low[2 * CCZI_MONT_LIMBS64_MAX] = {0};
    mp_limb_t scratch[4 * CCZI_MONT_LIMBS64_MAX];
    mpn_sec_mul(product, (const mp_limb_t *)h->high, n, (const mp_limb_t *)m->root64, n, scratch);
    memcpy(low, h->low, m->limbs64 * 8);
    (void)mpn_add_n(product, product, low, 2 * n);
    put_bytes(out, m->size, (const uint64_t *)product);
    ccz_wipe(product, sizeof(product));
}

void ccz_mont_to_bytes(const struct ccz_mont *m, uint8_t *out, const uint64_t *in, size_t count)
{
    struct halves h[CCZI_MONT_LANES_MAX];
    for (size_t done = 0, n; done < count; done += n) {
        const struct cczi_mont_ops *ops = cczi_mont_ops(m, count - done);
        n = group_count(ops, count - done);
        to_halves(m, ops, h, in + done * m->len, n);
        for (size_t k = 0; k < n; k++)
            put_number(m, out + (done + k) * m->size, &h[k]);
    }
    ccz_wipe(h, sizeof(h));
}

void ccz_mont_to_pair(const struct ccz_mont *m, uint8_t *low, uint8_t *high, const uint64_t *in,
                      size_t count)
{
    struct halves h[CCZI_MONT_LANES_MAX];
    for (size_t done = 0, n; done < count; done += n) {
        const struct cczi_mont_ops *ops = cczi_mont_ops(m, count - done);
        n = group_count(ops, count - done);
        to_halves(m, ops, h, in + done * m->len, n);
        for (size_t k = 0; k < n; k++) {
            if (low)
                put_bytes(low + (done + k) * m->root_size, m->root_size, h[k].low);
            put_bytes(high + (done + k) * m->root_size, m->root_size, h[k].high);
        }
    }
    ccz_wipe(h, sizeof(h));
}

void ccz_mont_one(const struct ccz_mont *m, uint64_t *out)
{
    memcpy(out, m->one, m->len * 8);
}
