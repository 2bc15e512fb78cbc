/* SPDX-License-Identifier: Apache-2.0 */
/* RSA signatures and encryption; see rsa_priv.h. */
#include "rsa_priv.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

enum { BITS_MIN = 2048, EXPONENT_BITS_MAX = 64 };

bool cczi_rsa_cheap(const EVP_PKEY *key)
{
    int bits = EVP_PKEY_get_bits(key);
    BIGNUM *e = NULL;
    bool rsa = EVP_PKEY_is_a(key, "RSA") || EVP_PKEY_is_a(key, "RSA-PSS");
    bool ok = rsa && bits >= BITS_MIN && bits <= 8 * CCZI_RSA_SIZE_MAX &&
              EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_odd(e) &&
              !BN_is_one(e) && BN_num_bits(e) <= EXPONENT_BITS_MAX;
    BN_free(e);
    ERR_clear_error();
    return ok;
}

static const EVP_MD *md_of(enum ccz_hash hash)
{
    switch (hash) {
    case CCZ_SHA256:
        return EVP_sha256();
    case CCZ_SHA384:
        return EVP_sha384();
    case CCZ_SHA512:
        return EVP_sha512();
    }
    return NULL;
}

/* RFC 8017, 7.1.2, 8.1.2 and 8.2.2: the first step. OpenSSL takes what lost a leading zero. */
static bool is_size_of(EVP_PKEY *key, struct ccz_span in)
{
    return in.size == (size_t)EVP_PKEY_get_size(key);
}

/* ---------------------------------------------------------------------------- signatures */

/* A context with everything set; NULL if OpenSSL refuses. */
static EVP_PKEY_CTX *sig_ctx(EVP_PKEY *key, enum ccz_hash hash, bool pss, bool sign)
{
    const EVP_MD *md = md_of(hash);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    bool ok =
        ctx && (sign ? EVP_PKEY_sign_init(ctx) : EVP_PKEY_verify_init(ctx)) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, pss ? RSA_PKCS1_PSS_PADDING : RSA_PKCS1_PADDING) == 1 &&
        EVP_PKEY_CTX_set_signature_md(ctx, md) == 1;
    if (ok && pss) /* a salt of any length would verify if nothing was said */
        ok = EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1 &&
             EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
    if (ok)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

ccz_rc cczi_rsa_sign(uint8_t sig[CCZI_RSA_SIZE_MAX], size_t *sig_size, EVP_PKEY *key,
                     enum ccz_hash hash, bool pss, struct ccz_span digest)
{
    *sig_size = CCZI_RSA_SIZE_MAX;
    EVP_PKEY_CTX *ctx = sig_ctx(key, hash, pss, true);
    bool ok = ctx && EVP_PKEY_sign(ctx, sig, sig_size, digest.ptr, digest.size) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return ok ? CCZ_OK : CCZ_E_INTERNAL;
}

ccz_rc cczi_rsa_verify(EVP_PKEY *key, enum ccz_hash hash, bool pss, struct ccz_span digest,
                       struct ccz_span sig)
{
    if (!is_size_of(key, sig))
        return CCZ_E_SIG;
    EVP_PKEY_CTX *ctx = sig_ctx(key, hash, pss, false);
    ccz_rc rc = ctx ? CCZ_OK : CCZ_E_INTERNAL;
    if (ctx && EVP_PKEY_verify(ctx, sig.ptr, sig.size, digest.ptr, digest.size) != 1)
        rc = CCZ_E_SIG;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    return rc;
}

/* ---------------------------------------------------------------------------- encryption */

static EVP_PKEY_CTX *oaep_ctx(EVP_PKEY *key, enum ccz_hash hash, bool seal)
{
    const EVP_MD *md = md_of(hash);
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, key, NULL);
    if (ctx && (seal ? EVP_PKEY_encrypt_init(ctx) : EVP_PKEY_decrypt_init(ctx)) == 1 &&
        EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_OAEP_PADDING) == 1 &&
        EVP_PKEY_CTX_set_rsa_oaep_md(ctx, md) == 1 && EVP_PKEY_CTX_set_rsa_mgf1_md(ctx, md) == 1)
        return ctx;
    EVP_PKEY_CTX_free(ctx);
    return NULL;
}

ccz_rc cczi_oaep_seal(uint8_t out[CCZI_RSA_SIZE_MAX], size_t *out_size, EVP_PKEY *key,
                      enum ccz_hash hash, struct ccz_span in)
{
    *out_size = CCZI_RSA_SIZE_MAX;
    EVP_PKEY_CTX *ctx = oaep_ctx(key, hash, true);
    bool ok = ctx && EVP_PKEY_encrypt(ctx, out, out_size, in.ptr, in.size) == 1;
    EVP_PKEY_CTX_free(ctx);
    ERR_clear_error();
    if (!ok)
        *out_size = 0;
    return ok ? CCZ_OK : CCZ_E_INTERNAL;
}

ccz_rc cczi_oaep_open(uint8_t out[CCZI_RSA_SIZE_MAX], size_t *out_size, EVP_PKEY *key,
                      enum ccz_hash hash, struct ccz_span in)
{
    ccz_rc rc = CCZ_E_SIG;
    *out_size = CCZI_RSA_SIZE_MAX;
    if (is_size_of(key, in)) {
        EVP_PKEY_CTX *ctx = oaep_ctx(key, hash, false);
        if (!ctx)
            rc = CCZ_E_INTERNAL;
        else if (EVP_PKEY_decrypt(ctx, out, out_size, in.ptr, in.size) == 1)
            rc = CCZ_OK;
        EVP_PKEY_CTX_free(ctx);
        ERR_clear_error();
    }
    if (rc != CCZ_OK) {
        ccz_wipe(out, CCZI_RSA_SIZE_MAX);
        *out_size = 0;
    }
    return rc;
}
