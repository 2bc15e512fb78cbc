/* SPDX-License-Identifier: Apache-2.0 */
/* ristretto255 by libsodium, which is used in this file and in jose_keys.c only. */
#include <cczoo/crypto.h>

#include "ristretto_priv.h"

#include <pthread.h>
#include <sodium.h>
#include <string.h>

_Static_assert(crypto_core_ristretto255_BYTES == CCZ_RISTRETTO_SIZE &&
                   crypto_core_ristretto255_SCALARBYTES == CCZ_RISTRETTO_SIZE &&
                   crypto_core_ristretto255_HASHBYTES == CCZ_RISTRETTO_HASH_SIZE,
               "sizes of RFC 9496");

/* libsodium before 1.0.19 overlooks the highest bit, so that a point would have two encodings; the decoder proper judges the
 * rest. */
static bool spare_bit(const uint8_t p[32])
{
    return p[31] >> 7;
}

static ccz_rc result(uint8_t r[32], bool failed)
{
    if (!failed)
        return CCZ_OK;
    ccz_wipe(r, CCZ_RISTRETTO_SIZE);
    return CCZ_E_FORMAT;
}

bool ccz_ristretto_valid(const uint8_t p[32])
{
    static const uint8_t identity[CCZ_RISTRETTO_SIZE];
    return !spare_bit(p) && crypto_core_ristretto255_is_valid_point(p) == 1 &&
           !ccz_ct_eq(p, identity, sizeof(identity));
}

void ccz_ristretto_from_hash(uint8_t p[32], const uint8_t hash[64])
{
    (void)crypto_core_ristretto255_from_hash(p, hash); /* any 64 bytes will do */
}

ccz_rc ccz_ristretto_add(uint8_t r[32], const uint8_t p[32], const uint8_t q[32])
{
    bool spare = spare_bit(p) || spare_bit(q); /* r may be one of them */
    return result(r, crypto_core_ristretto255_add(r, p, q) != 0 || spare);
}

ccz_rc ccz_ristretto_sub(uint8_t r[32], const uint8_t p[32], const uint8_t q[32])
{
    bool spare = spare_bit(p) || spare_bit(q);
    return result(r, crypto_core_ristretto255_sub(r, p, q) != 0 || spare);
}

ccz_rc ccz_ristretto_mul(uint8_t r[32], const uint8_t s[32], const uint8_t p[32])
{
    bool spare = spare_bit(p);
    return result(r, crypto_scalarmult_ristretto255(r, s, p) != 0 || spare);
}

ccz_rc ccz_ristretto_mul_base(uint8_t r[32], const uint8_t s[32])
{
    return result(r, crypto_scalarmult_ristretto255_base(r, s) != 0);
}

void ccz_ristretto_scalar_reduce(uint8_t s[32], const uint8_t wide[64])
{
    crypto_core_ristretto255_scalar_reduce(s, wide);
}

ccz_rc ccz_ristretto_scalar_random(uint8_t s[32])
{
    static const uint8_t zero[CCZ_RISTRETTO_SIZE];
    uint8_t wide[64];
    ccz_rc rc = ccz_random(wide, sizeof(wide));
    memset(s, 0, CCZ_RISTRETTO_SIZE);
    if (rc == CCZ_OK) {
        ccz_ristretto_scalar_reduce(s, wide);
        if (ccz_ct_eq(s, zero, sizeof(zero))) /* 2^-252 */
            rc = CCZ_E_INTERNAL;
    }
    ccz_wipe(wide, sizeof(wide));
    return rc;
}

ccz_rc ccz_ristretto_scalar_inv(uint8_t r[32], const uint8_t s[32])
{
    if (crypto_core_ristretto255_scalar_invert(r, s) == 0)
        return CCZ_OK;
    ccz_wipe(r, CCZ_RISTRETTO_SIZE);
    return CCZ_E_ARG;
}

/* ----------------------------------------------------------------------------------------- many */

enum { LANES = 8 };

static size_t mul_single(uint8_t (*out)[32], const uint8_t s[32], const uint8_t (*in)[32],
                         size_t len)
{
    size_t i = 0;
    while (i < len && ccz_ristretto_mul(out[i], s, in[i]) == CCZ_OK)
        i++;
    return i;
}

#if defined(__x86_64__)
/* A scalar that uses every digit, points from hashes, and an encoding that is none. */
static bool agrees(void)
{
    uint8_t hash[LANES][64], p[LANES][32], q[LANES][32], expected[32], s[32], wide[64];
    for (size_t i = 0; i < sizeof(wide); i++)
        wide[i] = (uint8_t)(37 * i + 11);
    ccz_ristretto_scalar_reduce(s, wide);
    for (size_t k = 0; k < LANES; k++) {
        for (size_t i = 0; i < 64; i++)
            hash[k][i] = (uint8_t)(k * 64 + i * i * 7 + k * i);
    }
    cczi_ristretto_ifma_from_hash(p, (const uint8_t(*)[64])hash);
    for (size_t k = 0; k < LANES; k++) {
        ccz_ristretto_from_hash(expected, hash[k]);
        if (memcmp(expected, p[k], 32) != 0)
            return false;
    }
    memset(p[5], 0xff, 32);
    if (cczi_ristretto_ifma_mul(q, s, (const uint8_t(*)[32])p) != (0xff & ~(1u << 5)))
        return false;
    for (size_t k = 0; k < LANES; k++) {
        if (k != 5 &&
            (ccz_ristretto_mul(expected, s, p[k]) != CCZ_OK || memcmp(expected, q[k], 32) != 0))
            return false;
    }
    return true;
}

static bool vector_usable;
static pthread_once_t vector_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    vector_usable = ccz_cpu()->chosen >= CCZ_CPU_IFMA && agrees();
}

bool cczi_ristretto_vector(void)
{
    (void)pthread_once(&vector_once, choose);
    return vector_usable;
}

/* Up to eight; what is missing is filled with the first one. */
static size_t mul_lanes(uint8_t (*out)[32], const uint8_t s[32], const uint8_t (*in)[32],
                        size_t len)
{
    uint8_t p[LANES][32];
    for (size_t k = 0; k < LANES; k++)
        memcpy(p[k], in[k < len ? k : 0], sizeof(p[k]));
    unsigned good = cczi_ristretto_ifma_mul(p, s, (const uint8_t(*)[32])p);
    memcpy(out, p, len * sizeof(*out));
    size_t k = 0;
    while (k < len && (good >> k & 1))
        k++;
    return k;
}

static void from_hash_lanes(uint8_t (*out)[32], const uint8_t (*hash)[64], size_t len)
{
    uint8_t h[LANES][64], p[LANES][32];
    for (size_t k = 0; k < LANES; k++)
        memcpy(h[k], hash[k < len ? k : 0], sizeof(h[k]));
    cczi_ristretto_ifma_from_hash(p, (const uint8_t(*)[64])h);
    memcpy(out, p, len * sizeof(*out));
}
#else
bool cczi_ristretto_vector(void)
{
    return false;
}
#endif

size_t ccz_ristretto_mul_each(uint8_t (*out)[32], const uint8_t s[32], const uint8_t (*in)[32],
                              size_t len)
{
    size_t i = 0;
#if defined(__x86_64__)
    while (i < len && cczi_ristretto_vector()) {
        size_t n = len - i < LANES ? len - i : LANES, good = mul_lanes(out + i, s, in + i, n);
        i += good;
        if (good < n)
            return i;
    }
#endif
    return i + mul_single(out + i, s, in + i, len - i);
}

void ccz_ristretto_from_hash_each(uint8_t (*out)[32], const uint8_t (*hash)[64], size_t len)
{
    size_t i = 0;
#if defined(__x86_64__)
    for (size_t n; i < len && cczi_ristretto_vector(); i += n) {
        n = len - i < LANES ? len - i : LANES;
        from_hash_lanes(out + i, hash + i, n);
    }
#endif
    for (; i < len; i++)
        ccz_ristretto_from_hash(out[i], hash[i]);
}
