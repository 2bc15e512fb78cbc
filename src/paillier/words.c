/* SPDX-License-Identifier: Apache-2.0 */
/* Integers of some words: what stands around the modular arithmetic of mont.h. */
#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <string.h>

__extension__ typedef unsigned __int128 u128;

uint64_t cczi_mask(uint64_t bit)
{
    return 0 - (uint64_t)cczi_ct_barrier((uint32_t)bit);
}

uint64_t cczi_nonzero(uint64_t w)
{
    return (w | (0 - w)) >> 63;
}

void cczi_words_from_be(uint64_t *w, size_t len, const uint8_t *bytes, size_t size)
{
    memset(w, 0, 8 * len);
    for (size_t i = 0; i < size; i++)
        w[i / 8] |= (uint64_t)bytes[size - 1 - i] << (8 * (i % 8));
}

void cczi_words_to_be(uint8_t *bytes, size_t size, const uint64_t *w)
{
    for (size_t i = 0; i < size; i++)
        bytes[size - 1 - i] = (uint8_t)(w[i / 8] >> (8 * (i % 8)));
}

uint64_t cczi_words_add(uint64_t *r, const uint64_t *a, const uint64_t *b, uint64_t mask,
                        size_t len)
{
    u128 sum = 0;
    for (size_t i = 0; i < len; i++) {
        sum += (u128)a[i] + (b[i] & mask);
        r[i] = (uint64_t)sum;
        sum >>= 64;
    }
    return (uint64_t)sum;
}

uint64_t cczi_words_sub(uint64_t *r, const uint64_t *a, const uint64_t *b, uint64_t mask,
                        size_t len)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < len; i++) {
        u128 d = (u128)a[i] - (b[i] & mask) - borrow;
        r[i] = (uint64_t)d;
        borrow = (uint64_t)(d >> 64) & 1;
    }
    return borrow;
}

uint64_t cczi_words_less(const uint64_t *a, const uint64_t *b, size_t len)
{
    uint64_t borrow = 0;
    for (size_t i = 0; i < len; i++)
        borrow = (uint64_t)(((u128)a[i] - b[i] - borrow) >> 64) & 1;
    return borrow;
}

void cczi_words_mul(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t len)
{
    memset(r, 0, 16 * len);
    for (size_t i = 0; i < len; i++) {
        uint64_t carry = 0;
        for (size_t j = 0; j < len; j++) {
            u128 t = (u128)a[i] * b[j] + r[i + j] + carry;
            r[i + j] = (uint64_t)t;
            carry = (uint64_t)(t >> 64);
        }
        r[i + len] = carry;
    }
}

uint64_t cczi_words_abs(uint64_t *r, const uint64_t *a, size_t len)
{
    uint64_t sign = a[len - 1] >> 63, mask = cczi_mask(sign), carry = sign;
    for (size_t i = 0; i < len; i++) {
        u128 t = (u128)(a[i] ^ mask) + carry;
        r[i] = (uint64_t)t;
        carry = (uint64_t)(t >> 64);
    }
    return sign;
}

void cczi_words_select(uint64_t *r, const uint64_t *a, const uint64_t *b, uint64_t mask, size_t len)
{
    for (size_t i = 0; i < len; i++)
        r[i] = (a[i] & mask) | (b[i] & ~mask);
}
