/* SPDX-License-Identifier: Apache-2.0 */
/* ristretto255 by libsodium, which is used in this file only. */
#include <cczoo/crypto.h>
#include <cczoo/ristretto.h>

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
