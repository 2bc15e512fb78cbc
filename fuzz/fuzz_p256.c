/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The P-256 verifier and OpenSSL agree. Input: 32 bytes d, the key being d G; 32 bytes u1 and 32
 * bytes u2, which the signature is made for; 1 byte that says what is damaged, and where.
 */
#define OPENSSL_SUPPRESS_DEPRECATED
#include <cczoo/crypto.h>

#include "crypto/p256_priv.h"

#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/obj_mac.h>
#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static BIGNUM *scalar(const uint8_t *bytes, const BIGNUM *n, BN_CTX *ctx)
{
    BIGNUM *a = BN_bin2bn(bytes, 32, NULL);
    expect(a && BN_mod(a, a, n, ctx));
    if (BN_is_zero(a))
        expect(BN_one(a));
    return a;
}

/* r = x of u1 G + u2 Q, s = r / u2, e = u1 s */
static void make(uint8_t sig[64], uint8_t digest[32], const EC_GROUP *group, const EC_POINT *q,
                 const BIGNUM *u1, const BIGNUM *u2, BN_CTX *ctx)
{
    const BIGNUM *n = EC_GROUP_get0_order(group);
    EC_POINT *sum = EC_POINT_new(group);
    BIGNUM *r = BN_new(), *s = BN_new();
    expect(sum && r && s && EC_POINT_mul(group, sum, u1, q, u2, ctx));
    if (EC_POINT_get_affine_coordinates(group, sum, r, NULL, ctx) != 1)
        expect(BN_set_word(r, 12345)); /* infinity: any r */
    expect(BN_mod(r, r, n, ctx) && BN_mod_inverse(s, u2, n, ctx) && BN_mod_mul(s, s, r, n, ctx));
    expect(BN_bn2binpad(r, sig, 32) == 32 && BN_bn2binpad(s, sig + 32, 32) == 32);
    expect(BN_mod_mul(s, s, u1, n, ctx) && BN_bn2binpad(s, digest, 32) == 32);
    EC_POINT_free(sum);
    BN_free(r);
    BN_free(s);
}

static bool openssl_says(const EC_GROUP *group, const EC_POINT *q, const uint8_t sig[64],
                         const uint8_t digest[32])
{
    EC_KEY *key = EC_KEY_new();
    ECDSA_SIG *parsed = ECDSA_SIG_new();
    expect(key && parsed && EC_KEY_set_group(key, group) && EC_KEY_set_public_key(key, q));
    expect(ECDSA_SIG_set0(parsed, BN_bin2bn(sig, 32, NULL), BN_bin2bn(sig + 32, 32, NULL)));
    bool valid = ECDSA_do_verify(digest, 32, parsed, key) == 1;
    ERR_clear_error();
    ECDSA_SIG_free(parsed);
    EC_KEY_free(key);
    return valid;
}

/* Plain C, and what this processor has, alone and side by side, with a table and without. */
static void expect_all(const uint8_t xy[64], const uint8_t sig[64], const uint8_t digest[32],
                       bool valid)
{
    static struct cczi_p256_engine portable;
    static struct cczi_p256_table table;
    if (!portable.curve)
        cczi_p256_engine_init(&portable, &cczi_p256_curve_portable, false);
    const struct cczi_p256_engine *engines[] = {&portable, cczi_p256_engine()};
    for (size_t e = 0; e < 2; e++) {
        struct cczi_p256_point key;
        expect(engines[e]->curve->read(&key, xy));
        if (e == 0)
            portable.curve->table(&table, &key);
        for (size_t len = 1; len <= 4; len++) {
            struct cczi_p256_job jobs[4];
            for (size_t i = 0; i < len; i++)
                jobs[i] = (struct cczi_p256_job){&key, i % 2 ? &table : NULL, sig, digest, !valid};
            cczi_p256_verify(engines[e], jobs, len);
            for (size_t i = 0; i < len; i++)
                expect(jobs[i].valid == valid);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    uint8_t sig[64], digest[32], oct[65];
    if (size != 97)
        return 0;
    BN_CTX *ctx = BN_CTX_new();
    EC_GROUP *group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1);
    EC_POINT *q = EC_POINT_new(group);
    const BIGNUM *n = EC_GROUP_get0_order(group);
    BIGNUM *d = scalar(data, n, ctx), *u1 = scalar(data + 32, n, ctx);
    BIGNUM *u2 = scalar(data + 64, n, ctx);
    expect(EC_POINT_mul(group, q, d, NULL, NULL, ctx));
    make(sig, digest, group, q, u1, u2, ctx);
    uint8_t damage = data[96];
    if (damage >= 64 && damage < 128)
        sig[damage - 64] ^= data[0] | 1;
    else if (damage >= 128 && damage < 160)
        digest[damage - 128] ^= data[0] | 1;
    expect(EC_POINT_point2oct(group, q, POINT_CONVERSION_UNCOMPRESSED, oct, 65, ctx) == 65);
    expect_all(oct + 1, sig, digest, openssl_says(group, q, sig, digest));
    BN_free(d);
    BN_free(u1);
    BN_free(u2);
    EC_POINT_free(q);
    EC_GROUP_free(group);
    BN_CTX_free(ctx);
    return 0;
}
