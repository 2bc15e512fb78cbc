/* SPDX-License-Identifier: Apache-2.0 */
/* Primitives of JSON Web Algorithms; see jose_keys.h. */
#include "crypto/jose_keys.h"
#include "crypto_priv.h"
#include "rsa_priv.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>

/* ------------------------------------------------------------------------- key agreement */

/* OpenSSL's object for the public half of @p peer on the curve of @p pair; NULL if it cannot. d2i_PUBKEY() tries every decoder
 * there is, a thousand allocations. */
static EVP_PKEY *peer_object(const struct ccz_key *peer, EVP_PKEY *pair, size_t field_size)
{
    uint8_t point[1 + 2 * 48] = {POINT_CONVERSION_UNCOMPRESSED};
    EVP_PKEY *pub = EVP_PKEY_new();
    if (pub && ccz_key_xy(point + 1, peer) == CCZ_OK && EVP_PKEY_copy_parameters(pub, pair) == 1 &&
        EVP_PKEY_set1_encoded_public_key(pub, point, 1 + 2 * field_size) == 1)
        return pub;
    EVP_PKEY_free(pub);
    return NULL;
}

ccz_rc cczi_jose_ecdh(uint8_t *out, const struct ccz_key *mine, const struct ccz_key *peer)
{
    EVP_PKEY *pair = cczi_key_pair(mine);
    if (!pair || ccz_key_curve(mine) != ccz_key_curve(peer))
        return CCZ_E_ARG;
    size_t want = ccz_key_curve(mine) == CCZ_P256 ? 32 : 48, size = want;
    EVP_PKEY *pub = peer_object(peer, pair, want);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, pair, NULL);
    bool ok = pub && ctx && EVP_PKEY_derive_init(ctx) == 1 &&
              EVP_PKEY_derive_set_peer(ctx, pub) == 1 && EVP_PKEY_derive(ctx, out, &size) == 1 &&
              size == want;
    if (!ok)
        ccz_wipe(out, want);
    EVP_PKEY_CTX_free(ctx);
    EVP_PKEY_free(pub);
    ERR_clear_error();
    return ok ? CCZ_OK : CCZ_E_INTERNAL;
}

/* ------------------------------------------------------------------------------ key wrap */

enum { KW_SIZE_MIN = 16, KW_SIZE_MAX = 64 };

/* One call of AES-256-WRAP. @retval CCZ_E_SIG  not wrapped with that key  @retval CCZ_E_INTERNAL  OpenSSL cannot */
static ccz_rc kw_apply(uint8_t *out, size_t out_size, const uint8_t kek[32], struct ccz_span in,
                       bool wrap)
{
    EVP_CIPHER *cipher = EVP_CIPHER_fetch(NULL, "AES-256-WRAP", NULL);
    EVP_CIPHER_CTX *ctx = EVP_CIPHER_CTX_new();
    int n = 0, tail = 0;
    bool ready = cipher && ctx;
    if (ready)
        EVP_CIPHER_CTX_set_flags(ctx, EVP_CIPHER_CTX_FLAG_WRAP_ALLOW);
    ready = ready && EVP_CipherInit_ex2(ctx, cipher, kek, NULL, wrap, NULL) == 1;
    bool ok = ready && EVP_CipherUpdate(ctx, out, &n, in.ptr, (int)in.size) == 1 &&
              EVP_CipherFinal_ex(ctx, out + n, &tail) == 1 && (size_t)n + (size_t)tail == out_size;
    EVP_CIPHER_CTX_free(ctx);
    EVP_CIPHER_free(cipher);
    ERR_clear_error();
    if (ok)
        return CCZ_OK;
    return ready && !wrap ? CCZ_E_SIG : CCZ_E_INTERNAL;
}

ccz_rc cczi_jose_kw_wrap(uint8_t *out, const uint8_t kek[32], struct ccz_span in)
{
    if (in.size < KW_SIZE_MIN || in.size > KW_SIZE_MAX || in.size % 8 != 0)
        return CCZ_E_ARG;
    return kw_apply(out, in.size + CCZI_JOSE_KW_OVERHEAD, kek, in, true);
}

ccz_rc cczi_jose_kw_unwrap(uint8_t *out, const uint8_t kek[32], struct ccz_span in)
{
    if (in.size < KW_SIZE_MIN + CCZI_JOSE_KW_OVERHEAD ||
        in.size > KW_SIZE_MAX + CCZI_JOSE_KW_OVERHEAD || in.size % 8 != 0)
        return CCZ_E_SIG;
    uint8_t room[KW_SIZE_MAX + CCZI_JOSE_KW_OVERHEAD]; /* OpenSSL writes before it compares */
    size_t size = in.size - CCZI_JOSE_KW_OVERHEAD;
    ccz_rc rc = kw_apply(room, size, kek, in, false);
    memset(out, 0, size);
    if (rc == CCZ_OK)
        memcpy(out, room, size);
    ccz_wipe(room, sizeof(room));
    return rc;
}

/* ----------------------------------------------------------------------------------- RSA */

_Static_assert((int)CCZI_JOSE_RSA_SIZE_MAX == CCZI_RSA_SIZE_MAX, "what rsa.c has room for");

struct cczi_jose_rsa {
    EVP_PKEY *key;
    bool is_pair;
};

void cczi_jose_rsa_free(struct cczi_jose_rsa *k)
{
    if (!k)
        return;
    EVP_PKEY_free(k->key);
    free(k);
}

/* Takes ownership of @p key, also on failure. */
static ccz_rc rsa_from_object(struct cczi_jose_rsa **out, EVP_PKEY *key, bool is_pair)
{
    *out = NULL;
    struct cczi_jose_rsa *k = calloc(1, sizeof(*k));
    if (!k) {
        EVP_PKEY_free(key);
        return CCZ_E_NOMEM;
    }
    *k = (struct cczi_jose_rsa){key, is_pair};
    *out = k;
    return CCZ_OK;
}

/* Bits of a big-endian number without leading zeros. */
static size_t bits_of(struct ccz_span v)
{
    size_t bits = 8 * v.size;
    for (unsigned top = v.ptr[0]; top < 128; top <<= 1)
        bits--;
    return bits;
}

/* Whether numbers are in the range that jose_keys.h names. */
static bool rsa_in_range(struct ccz_span n, struct ccz_span e)
{
    if (n.size == 0 || n.size > CCZI_JOSE_RSA_SIZE_MAX || n.ptr[0] == 0 || e.size == 0 ||
        e.size > CCZI_JOSE_RSA_E_SIZE_MAX || e.ptr[0] == 0)
        return false;
    uint64_t exponent = 0;
    for (size_t i = 0; i < e.size; i++)
        exponent = exponent << 8 | e.ptr[i];
    return bits_of(n) >= CCZI_JOSE_RSA_BITS_MIN && (n.ptr[n.size - 1] & 1) == 1 &&
           exponent >= 65537 && (exponent & 1) == 1;
}

/* NULL if there is no memory. */
static EVP_PKEY *rsa_object(struct ccz_span n, struct ccz_span e)
{
    EVP_PKEY *key = NULL;
    BIGNUM *bn_n = BN_bin2bn(n.ptr, (int)n.size, NULL), *bn_e = BN_bin2bn(e.ptr, (int)e.size, NULL);
    OSSL_PARAM_BLD *bld = OSSL_PARAM_BLD_new();
    OSSL_PARAM *params = NULL;
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    if (bn_n && bn_e && bld && OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_N, bn_n) == 1 &&
        OSSL_PARAM_BLD_push_BN(bld, OSSL_PKEY_PARAM_RSA_E, bn_e) == 1)
        params = OSSL_PARAM_BLD_to_param(bld);
    if (params && ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    OSSL_PARAM_BLD_free(bld);
    BN_free(bn_n);
    BN_free(bn_e);
    ERR_clear_error();
    return key;
}

ccz_rc cczi_jose_rsa_public(struct cczi_jose_rsa **out, struct ccz_span n, struct ccz_span e)
{
    *out = NULL;
    if (!rsa_in_range(n, e))
        return CCZ_E_FORMAT;
    EVP_PKEY *key = rsa_object(n, e);
    return key ? rsa_from_object(out, key, false) : CCZ_E_NOMEM;
}

/* @param[out] out  @p max bytes, big-endian without leading zeros at its start  @return its size, 0 = does not fit */
static size_t rsa_number(uint8_t *out, size_t max, const EVP_PKEY *key, const char *name)
{
    BIGNUM *v = NULL;
    size_t size = 0;
    memset(out, 0, max);
    if (EVP_PKEY_get_bn_param(key, name, &v) == 1 && (size_t)BN_num_bytes(v) <= max)
        size = (size_t)BN_bn2bin(v, out);
    BN_free(v);
    ERR_clear_error();
    return size;
}

ccz_rc cczi_jose_rsa_numbers(uint8_t n[CCZI_JOSE_RSA_SIZE_MAX], size_t *n_size,
                             uint8_t e[CCZI_JOSE_RSA_E_SIZE_MAX], size_t *e_size,
                             const struct cczi_jose_rsa *k)
{
    *n_size = rsa_number(n, CCZI_JOSE_RSA_SIZE_MAX, k->key, OSSL_PKEY_PARAM_RSA_N);
    *e_size = rsa_number(e, CCZI_JOSE_RSA_E_SIZE_MAX, k->key, OSSL_PKEY_PARAM_RSA_E);
    return *n_size && *e_size ? CCZ_OK : CCZ_E_INTERNAL;
}

ccz_rc cczi_jose_rsa_from_pkcs8(struct cczi_jose_rsa **out, const struct ccz_secret *der)
{
    *out = NULL;
    EVP_PKEY *pair = cczi_pkcs8_read(CCZ_SPAN(ccz_secret_view(der), ccz_secret_size(der)));
    ERR_clear_error();
    if (!pair)
        return CCZ_E_FORMAT;
    uint8_t n[CCZI_JOSE_RSA_SIZE_MAX], e[CCZI_JOSE_RSA_E_SIZE_MAX];
    size_t n_size = 0, e_size = 0;
    bool rsa = EVP_PKEY_get_base_id(pair) == EVP_PKEY_RSA;
    if (rsa) {
        n_size = rsa_number(n, sizeof(n), pair, OSSL_PKEY_PARAM_RSA_N);
        e_size = rsa_number(e, sizeof(e), pair, OSSL_PKEY_PARAM_RSA_E);
    }
    ccz_rc rc = CCZ_OK;
    if (!rsa || !rsa_in_range(CCZ_SPAN(n, n_size), CCZ_SPAN(e, e_size)))
        rc = CCZ_E_UNSUPPORTED;
    else if (!cczi_pair_ok(pair)) /* size first, as in pkey.c */
        rc = CCZ_E_FORMAT;
    ERR_clear_error();
    if (rc == CCZ_OK)
        return rsa_from_object(out, pair, true);
    EVP_PKEY_free(pair);
    return rc;
}

ccz_rc cczi_jose_rsa_verify(const struct cczi_jose_rsa *k, bool pss, struct ccz_span sig,
                            struct ccz_span msg)
{
    uint8_t digest[32];
    ccz_rc rc = ccz_sha256(digest, msg);
    return rc == CCZ_OK ? cczi_rsa_verify(k->key, CCZ_SHA256, pss, CCZ_SPAN(digest, 32), sig) : rc;
}

ccz_rc cczi_jose_oaep_seal(uint8_t out[CCZI_JOSE_RSA_SIZE_MAX], size_t *out_size,
                           const struct cczi_jose_rsa *k, struct ccz_span in)
{
    return cczi_oaep_seal(out, out_size, k->key, CCZ_SHA256, in);
}

ccz_rc cczi_jose_oaep_open(uint8_t *out, size_t size, const struct cczi_jose_rsa *k,
                           struct ccz_span in)
{
    memset(out, 0, size);
    if (!k->is_pair)
        return CCZ_E_ARG;
    uint8_t room[CCZI_JOSE_RSA_SIZE_MAX];
    size_t n;
    ccz_rc rc = cczi_oaep_open(room, &n, k->key, CCZ_SHA256, in);
    if (rc == CCZ_OK && n != size)
        rc = CCZ_E_SIG;
    if (rc == CCZ_OK)
        memcpy(out, room, size);
    ccz_wipe(room, sizeof(room));
    return rc;
}

/* ------------------------------------------------------------------------------- Ed25519 */

bool cczi_jose_ed25519_ok(const uint8_t pub[CCZI_JOSE_ED25519_SIZE])
{
    return crypto_core_ed25519_is_valid_point(pub) == 1;
}

ccz_rc cczi_jose_ed25519_verify(const uint8_t pub[CCZI_JOSE_ED25519_SIZE], struct ccz_span sig,
                                struct ccz_span msg)
{
    static const uint8_t none[1];
    const uint8_t *p = msg.size ? msg.ptr : none;
    bool ok = sig.size == CCZI_JOSE_ED25519_SIG_SIZE &&
              crypto_sign_verify_detached(sig.ptr, p, msg.size, pub) == 0;
    return ok ? CCZ_OK : CCZ_E_SIG;
}
