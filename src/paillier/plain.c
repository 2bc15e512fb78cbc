/* SPDX-License-Identifier: Apache-2.0 */
/* Arrays of plain integers: bounds, packing into slots, conversion from and to numbers. */
#include "paillier/paillier_priv.h"

#include "base/ct.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SLOT_BITS_MIN = 2, I64_BITS_MAX = 63 };

/* ------------------------------------------------------------------------ bounds, packing */

struct cczi_bound cczi_limit(const struct ccz_paillier_pub *pub, struct ccz_paillier_packing pack)
{
    return pack.slot_bits ? cczi_bound_bits(pack.slot_bits - 1) : pub->limit;
}

ccz_rc cczi_overflow(struct ccz_err *err, struct cczi_bound got, struct cczi_bound limit)
{
    char have[32], room[32];
    (void)snprintf(have, sizeof(have), "%.3f bits", cczi_bound_log2(got));
    (void)snprintf(room, sizeof(room), "at most %.3f bits", cczi_bound_log2(limit));
    ccz_rc rc = ccz_refuse(err, CCZ_E_LIMIT, "paillier:overflow", have, room);
    return ccz_hint(err, rc, "declare fewer bits, take wider slots, or decrypt in between");
}

unsigned ccz_paillier_slots(const struct ccz_paillier_pub *pub, unsigned slot_bits)
{
    bool good = slot_bits >= SLOT_BITS_MIN && slot_bits <= CCZI_PAI_SLOT_BITS_MAX;
    return good ? (pub->bits - 2) / slot_bits : 0;
}

ccz_rc cczi_packing_check(struct ccz_paillier_packing *pack, const struct ccz_paillier_pub *pub,
                          struct ccz_err *err)
{
    unsigned fit = ccz_paillier_slots(pub, pack->slot_bits);
    if (fit == 0 || pack->slots > fit)
        return ccz_hint(err,
                        ccz_refuse_num(err, CCZ_E_ARG, "paillier:slots", pack->slots, (int64_t)fit),
                        "slots of 2 to 512 bits, together at most the bits of n - 2");
    if (pack->slots == 0)
        pack->slots = fit;
    return CCZ_OK;
}

ccz_rc cczi_plain_new(struct ccz_paillier_plain **out, const struct ccz_paillier_pub *pub,
                      size_t values, struct ccz_paillier_format format,
                      const struct ccz_paillier_packing *pack, struct ccz_err *err)
{
    *out = NULL;
    struct ccz_paillier_packing packing = pack ? *pack : (struct ccz_paillier_packing){0, 1};
    if (format.exponent < -CCZI_PAI_EXPONENT_MAX || format.exponent > CCZI_PAI_EXPONENT_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:exponent", format.exponent,
                              CCZI_PAI_EXPONENT_MAX);
    if (pack) {
        ccz_rc rc = cczi_packing_check(&packing, pub, err);
        if (rc != CCZ_OK)
            return rc;
    }
    unsigned bits_max = pack ? packing.slot_bits - 1 : pub->bits - 3;
    if (format.bits == 0 || format.bits > bits_max)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:bits", format.bits, bits_max);
    CCZ_AUTO(ccz_paillier_plain) p = calloc(1, sizeof(*p));
    if (!p)
        return cczi_no_memory(err);
    p->pub = cczi_pub_ref(pub);
    p->len = (values + packing.slots - 1) / packing.slots;
    p->values = pack ? p->len * packing.slots : values;
    p->exponent = format.exponent;
    p->pack = packing;
    p->bound = cczi_bound_bits(format.bits);
    p->w = calloc(p->len ? p->len : 1, 8 * pub->words);
    if (!p->w)
        return cczi_no_memory(err);
    *out = ccz_paillier_plain_take(&p);
    return CCZ_OK;
}

void ccz_paillier_plain_free(struct ccz_paillier_plain *p)
{
    if (!p)
        return;
    if (p->w)
        ccz_wipe(p->w, p->len * 8 * p->pub->words);
    free(p->w);
    ccz_paillier_pub_free(p->pub);
    free(p);
}

size_t ccz_paillier_plain_len(const struct ccz_paillier_plain *p)
{
    return p->len;
}

int32_t ccz_paillier_plain_exponent(const struct ccz_paillier_plain *p)
{
    return p->exponent;
}

size_t ccz_paillier_plain_values(const struct ccz_paillier_plain *p)
{
    return p->values;
}

/* ----------------------------------------------------------------------------------- slots */

void cczi_slot_put(uint64_t *w, size_t words, size_t bit, const uint64_t *v, size_t len)
{
    uint64_t fill = 0 - (v[len - 1] >> 63), below = 0, carry = 0;
    unsigned shift = bit % 64;
    for (size_t k = bit / 64, i = 0; k < words; k++, i++) {
        uint64_t word = i < len ? v[i] : fill;
        uint64_t part = word << shift | below >> 1 >> (63 - shift);
        below = word;
        uint64_t sum = w[k] + part;
        uint64_t over = (sum < part) & 1u;
        w[k] = sum + carry;
        carry = over | (w[k] < carry);
    }
}

void cczi_slot_get(uint64_t *v, uint64_t *carry, const uint64_t *w, size_t words, size_t bit,
                   unsigned slot_bits)
{
    const uint64_t fill = 0 - (w[words - 1] >> 63);
    size_t len = slot_bits / 64 + 1;
    unsigned shift = bit % 64, top = slot_bits % 64;
    uint64_t up = *carry;
    for (size_t i = 0; i < len; i++) {
        size_t k = bit / 64 + i;
        uint64_t low = k < words ? w[k] : fill, high = k + 1 < words ? w[k + 1] : fill;
        v[i] = low >> shift | high << 1 << (63 - shift);
        if (i == len - 1)
            v[i] &= ((uint64_t)1 << top) - 1;
        v[i] += up;
        up &= 1 - cczi_nonzero(v[i]);
    }
    /* 0 .. 2^slot_bits; from half of that on it stands for a negative number, which has borrowed
     * 1 from the next slot. */
    size_t half = slot_bits - 1;
    uint64_t negative = (v[half / 64] >> (half % 64) | v[len - 1] >> top) & 1;
    v[len - 1] -= negative << top;
    *carry = negative;
}

/* 1 if w has something left above the slots: then they did not make it. */
static uint64_t slot_rest(const uint64_t *w, size_t words, size_t bit, uint64_t carry)
{
    const uint64_t fill = 0 - (w[words - 1] >> 63);
    uint64_t rest = 0;
    unsigned shift = bit % 64;
    for (size_t k = bit / 64; k < words; k++) {
        uint64_t high = k + 1 < words ? w[k + 1] : fill;
        rest |= (w[k] >> shift | high << 1 << (63 - shift)) ^ (0 - carry);
    }
    return cczi_nonzero(rest);
}

/* Slot i of the whole array. */
static void put_value(struct ccz_paillier_plain *p, size_t i, const uint64_t *v, size_t len)
{
    uint64_t *w = p->w + i / p->pack.slots * p->pub->words;
    cczi_slot_put(w, p->pub->words, i % p->pack.slots * p->pack.slot_bits, v, len);
}

/* ------------------------------------------------------------------------------------ from */

static ccz_rc out_of_range(struct ccz_err *err, unsigned bits)
{
    return ccz_fail(err, CCZ_E_LIMIT, "paillier:range", 0,
                    "a value does not fit in the %u bits declared", bits);
}

ccz_rc ccz_paillier_plain_i64(struct ccz_paillier_plain **out, const struct ccz_paillier_pub *pub,
                              const int64_t *v, size_t len, unsigned bits,
                              const struct ccz_paillier_packing *pack, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    if (bits > I64_BITS_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "paillier:bits", bits, I64_BITS_MAX);
    ccz_rc rc = cczi_plain_new(&p, pub, len, (struct ccz_paillier_format){0, bits}, pack, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t bad = 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t word = (uint64_t)v[i], size;
        (void)cczi_words_abs(&size, &word, 1);
        bad |= size >> bits;
        put_value(p, i, &word, 1);
    }
    CCZ_CT_PUBLIC(&bad, sizeof(bad));
    if (bad)
        return out_of_range(err, bits);
    *out = ccz_paillier_plain_take(&p);
    return CCZ_OK;
}

ccz_rc ccz_paillier_plain_f64(struct ccz_paillier_plain **out, const struct ccz_paillier_pub *pub,
                              const double *v, size_t len, struct ccz_paillier_format format,
                              const struct ccz_paillier_packing *pack, struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    ccz_rc rc = cczi_plain_new(&p, pub, len, format, pack, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t bad = 0, word[CCZI_PAI_WORDS_MAX + 1];
    for (size_t i = 0; i < len; i++) {
        bad |= cczi_f64_to_words(word, v[i], format.exponent, format.bits);
        put_value(p, i, word, format.bits / 64 + 1);
    }
    ccz_wipe(word, sizeof(word));
    CCZ_CT_PUBLIC(&bad, sizeof(bad));
    if (bad)
        return out_of_range(err, format.bits);
    *out = ccz_paillier_plain_take(&p);
    return CCZ_OK;
}

uint64_t cczi_residue_to_signed(uint64_t *w, const uint64_t *residue,
                                const struct ccz_paillier_pub *pub)
{
    uint64_t minus[CCZI_PAI_WORDS_MAX]; /* n - residue */
    (void)cczi_words_sub(minus, pub->n, residue, ~(uint64_t)0, pub->words);
    uint64_t high = cczi_words_less(pub->max, residue, pub->words);
    uint64_t bad = high & cczi_words_less(pub->max, minus, pub->words);
    (void)cczi_words_sub(w, residue, pub->n, cczi_mask(high), pub->words);
    ccz_wipe(minus, sizeof(minus));
    return bad;
}

ccz_rc ccz_paillier_plain_residues(struct ccz_paillier_plain **out,
                                   const struct ccz_paillier_pub *pub, const uint8_t *residues,
                                   size_t len, struct ccz_paillier_format format,
                                   struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_paillier_plain) p = NULL;
    ccz_rc rc = cczi_plain_new(&p, pub, len, format, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t bad = 0, r[CCZI_PAI_WORDS_MAX], size[CCZI_PAI_WORDS_MAX];
    for (size_t i = 0; i < len; i++) {
        uint64_t *w = p->w + i * pub->words;
        cczi_words_from_be(r, pub->words, residues + i * pub->size, pub->size);
        bad |= 1 - cczi_words_less(r, pub->n, pub->words);
        bad |= cczi_residue_to_signed(w, r, pub);
        (void)cczi_words_abs(size, w, pub->words);
        bad |= size[format.bits / 64] >> (format.bits % 64);
        for (size_t k = format.bits / 64 + 1; k < pub->words; k++)
            bad |= size[k];
    }
    ccz_wipe(r, sizeof(r));
    ccz_wipe(size, sizeof(size));
    CCZ_CT_PUBLIC(&bad, sizeof(bad));
    if (bad)
        return out_of_range(err, format.bits);
    *out = ccz_paillier_plain_take(&p);
    return CCZ_OK;
}

/* -------------------------------------------------------------------------------------- to */

void cczi_plain_residues(uint8_t *out, const struct ccz_paillier_plain *p, size_t from, size_t len)
{
    const struct ccz_paillier_pub *pub = p->pub;
    uint64_t r[CCZI_PAI_WORDS_MAX];
    for (size_t i = 0; i < len; i++) {
        const uint64_t *w = p->w + (from + i) * pub->words;
        (void)cczi_words_add(r, w, pub->n, cczi_mask(w[pub->words - 1] >> 63), pub->words);
        cczi_words_to_be(out + i * pub->size, pub->size, r);
    }
    ccz_wipe(r, sizeof(r));
}

void ccz_paillier_plain_to_residues(uint8_t *residues, const struct ccz_paillier_plain *p)
{
    cczi_plain_residues(residues, p, 0, p->len);
}

/* Calls for each value: v[len] signed, i its number. @return the OR of what @p put returned */
typedef uint64_t (*put_fn)(void *out, size_t i, const uint64_t *v, size_t len, int32_t exponent);
static ccz_rc each_value(put_fn put, void *out, const struct ccz_paillier_plain *p,
                         struct ccz_err *err)
{
    const size_t words = p->pub->words;
    uint64_t v[CCZI_PAI_SLOT_WORDS_MAX], bad = 0;
    for (size_t i = 0; i < p->len; i++) {
        const uint64_t *w = p->w + i * words;
        if (p->pack.slot_bits == 0) {
            bad |= put(out, i, w, words, p->exponent);
            continue;
        }
        uint64_t carry = 0;
        for (size_t k = 0; k < p->pack.slots; k++) {
            cczi_slot_get(v, &carry, w, words, k * p->pack.slot_bits, p->pack.slot_bits);
            bad |= put(out, i * p->pack.slots + k, v, p->pack.slot_bits / 64 + 1, p->exponent);
        }
        bad |= slot_rest(w, words, (size_t)p->pack.slots * p->pack.slot_bits, carry);
    }
    ccz_wipe(v, sizeof(v));
    CCZ_CT_PUBLIC(&bad, sizeof(bad));
    return bad ? ccz_fail(err, CCZ_E_LIMIT, "paillier:range", 0,
                          "a value is too large for the type")
               : CCZ_OK;
}

static uint64_t put_i64(void *out, size_t i, const uint64_t *v, size_t len, int32_t exponent)
{
    uint64_t fill = 0 - (v[0] >> 63), bad = 0;
    (void)exponent;
    for (size_t k = 1; k < len; k++)
        bad |= v[k] ^ fill;
    ((int64_t *)out)[i] = (int64_t)v[0];
    return bad;
}

static uint64_t put_f64(void *out, size_t i, const uint64_t *v, size_t len, int32_t exponent)
{
    return cczi_f64_from_words((double *)out + i, v, len, exponent);
}

ccz_rc ccz_paillier_plain_to_i64(int64_t *v, const struct ccz_paillier_plain *p,
                                 struct ccz_err *err)
{
    ccz_rc rc = p->exponent == 0
                    ? each_value(put_i64, v, p, err)
                    : ccz_refuse_num(err, CCZ_E_ARG, "paillier:exponent", p->exponent, 0);
    if (rc != CCZ_OK)
        memset(v, 0, p->values * sizeof(*v));
    return rc;
}

ccz_rc ccz_paillier_plain_to_f64(double *v, const struct ccz_paillier_plain *p, struct ccz_err *err)
{
    ccz_rc rc = each_value(put_f64, v, p, err);
    if (rc != CCZ_OK)
        memset(v, 0, p->values * sizeof(*v));
    return rc;
}
