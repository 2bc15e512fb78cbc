/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-2 (FIPS 180-4), HMAC (RFC 2104), HKDF (RFC 5869), AES-CMAC (RFC 4493). */
#include "crypto_priv.h"

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

struct ccz_hasher {
    EVP_MD_CTX *ctx;
    const EVP_MD *md;
};

static const char *md_name(enum ccz_hash alg)
{
    switch (alg) {
    case CCZ_SHA256:
        return "SHA256";
    case CCZ_SHA384:
        return "SHA384";
    case CCZ_SHA512:
        return "SHA512";
    }
    return NULL;
}

/* Looked up once: OpenSSL 3.0 takes longer to find an algorithm by name than to hash a certificate. */
static EVP_MD *mds[CCZ_SHA512 + 1];
static CRYPTO_ONCE mds_once = CRYPTO_ONCE_STATIC_INIT;

static void fetch_mds(void)
{
    for (int alg = CCZ_SHA256; alg <= CCZ_SHA512; alg++)
        mds[alg] = EVP_MD_fetch(NULL, md_name((enum ccz_hash)alg), NULL);
}

static const EVP_MD *md_of(enum ccz_hash alg)
{
    if (!md_name(alg) || CRYPTO_THREAD_run_once(&mds_once, fetch_mds) != 1)
        return NULL;
    return mds[alg];
}

size_t ccz_hash_size(enum ccz_hash alg)
{
    switch (alg) {
    case CCZ_SHA256:
        return 32;
    case CCZ_SHA384:
        return 48;
    case CCZ_SHA512:
        return 64;
    }
    return 0;
}

/* ---------------------------------------------------------------------------------- hash */

ccz_rc ccz_hasher_new(struct ccz_hasher **out, enum ccz_hash alg)
{
    *out = NULL;
    const EVP_MD *md = md_of(alg);
    if (!md)
        return md_name(alg) ? CCZ_E_INTERNAL : CCZ_E_ARG;
    CCZ_AUTO(ccz_hasher) h = calloc(1, sizeof(*h));
    if (!h)
        return CCZ_E_NOMEM;
    h->md = md;
    h->ctx = EVP_MD_CTX_new();
    if (!h->ctx)
        return CCZ_E_NOMEM;
    if (EVP_DigestInit_ex2(h->ctx, md, NULL) != 1)
        return CCZ_E_INTERNAL;
    *out = ccz_hasher_take(&h);
    return CCZ_OK;
}

void ccz_hasher_free(struct ccz_hasher *h)
{
    if (!h)
        return;
    EVP_MD_CTX_free(h->ctx);
    free(h);
}

ccz_rc ccz_hasher_put(struct ccz_hasher *h, struct ccz_span in)
{
    if (in.size == 0)
        return CCZ_OK;
    return EVP_DigestUpdate(h->ctx, in.ptr, in.size) == 1 ? CCZ_OK : CCZ_E_INTERNAL;
}

ccz_rc ccz_hasher_done(void *out, struct ccz_hasher *h)
{
    if (EVP_DigestFinal_ex(h->ctx, out, NULL) != 1 || EVP_DigestInit_ex2(h->ctx, h->md, NULL) != 1)
        return CCZ_E_INTERNAL;
    return CCZ_OK;
}

ccz_rc ccz_hash(void *out, enum ccz_hash alg, const struct ccz_span *parts, size_t len)
{
    const EVP_MD *md = md_of(alg);
    if (!md)
        return md_name(alg) ? CCZ_E_INTERNAL : CCZ_E_ARG;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    if (!ctx)
        return CCZ_E_NOMEM;
    bool ok = EVP_DigestInit_ex2(ctx, md, NULL) == 1;
    for (size_t i = 0; i < len && ok; i++)
        ok = parts[i].size == 0 || EVP_DigestUpdate(ctx, parts[i].ptr, parts[i].size) == 1;
    ok = ok && EVP_DigestFinal_ex(ctx, out, NULL) == 1;
    EVP_MD_CTX_free(ctx);
    return ok ? CCZ_OK : CCZ_E_INTERNAL;
}

ccz_rc ccz_sha256(void *out, struct ccz_span in)
{
    return ccz_hash(out, CCZ_SHA256, &in, 1);
}

ccz_rc ccz_sha256_each(uint8_t (*out)[32], const void *in, size_t size, size_t len)
{
    enum { BLOCK = 64 };
    const uint8_t *at = in;
    ccz_rc rc = CCZ_OK;
    bool lanes = ccz_cpu()->chosen >= CCZ_CPU_AVX512 && size % BLOCK == 0;
    while (lanes && len >= CCZI_SHA_LANES && cczi_sha256_lanes(out, at, size)) {
        at += CCZI_SHA_LANES * size;
        out += CCZI_SHA_LANES;
        len -= CCZI_SHA_LANES;
    }
    for (; rc == CCZ_OK && len > 0; len--, out++, at += size)
        rc = ccz_sha256(*out, CCZ_SPAN(at, size));
    return rc;
}

/* ----------------------------------------------------------------------------------- MAC */

/* One MAC of the concatenated parts; `option` is the digest of HMAC or the cipher of CMAC. */
static ccz_rc mac(void *out, size_t out_size, const char *name, const OSSL_PARAM *option,
                  struct ccz_span key, const struct ccz_span *parts, size_t len)
{
    static const uint8_t empty[1]; /* EVP_MAC_init() takes NULL as "keep the old key" */
    EVP_MAC *alg = EVP_MAC_fetch(NULL, name, NULL);
    EVP_MAC_CTX *ctx = alg ? EVP_MAC_CTX_new(alg) : NULL;
    ccz_rc rc = ctx ? CCZ_OK : CCZ_E_NOMEM;
    if (ctx && EVP_MAC_init(ctx, key.size ? key.ptr : empty, key.size, option) != 1)
        rc = CCZ_E_INTERNAL;
    for (size_t i = 0; i < len && rc == CCZ_OK; i++) {
        if (parts[i].size && EVP_MAC_update(ctx, parts[i].ptr, parts[i].size) != 1)
            rc = CCZ_E_INTERNAL;
    }
    size_t n = 0;
    if (rc == CCZ_OK && (EVP_MAC_final(ctx, out, &n, out_size) != 1 || n != out_size))
        rc = CCZ_E_INTERNAL;
    EVP_MAC_CTX_free(ctx);
    EVP_MAC_free(alg);
    return rc;
}

/* OSSL_PARAM wants a writable string although it only reads it. */
static void option_string(OSSL_PARAM out[2], char *copy, size_t copy_size, const char *key,
                          const char *value)
{
    size_t n = strlen(value);
    if (n >= copy_size)
        n = copy_size - 1;
    memcpy(copy, value, n);
    copy[n] = 0;
    out[0] = OSSL_PARAM_construct_utf8_string(key, copy, 0);
    out[1] = OSSL_PARAM_construct_end();
}

ccz_rc ccz_hmac(void *out, enum ccz_hash alg, struct ccz_span key, const struct ccz_span *parts,
                size_t len)
{
    const char *name = md_name(alg);
    if (!name)
        return CCZ_E_ARG;
    char copy[16];
    OSSL_PARAM option[2];
    option_string(option, copy, sizeof(copy), OSSL_MAC_PARAM_DIGEST, name);
    return mac(out, ccz_hash_size(alg), "HMAC", option, key, parts, len);
}

ccz_rc ccz_aes_cmac(uint8_t out[16], const uint8_t key[16], struct ccz_span in)
{
    char copy[16];
    OSSL_PARAM option[2];
    option_string(option, copy, sizeof(copy), OSSL_MAC_PARAM_CIPHER, "AES-128-CBC");
    return mac(out, 16, "CMAC", option, CCZ_SPAN(key, 16), &in, 1);
}

/* ----------------------------------------------------------------------------------- KDF */

ccz_rc ccz_hkdf(void *out, size_t out_size, enum ccz_hash alg, struct ccz_span salt,
                struct ccz_span ikm, struct ccz_span info)
{
    size_t hash_size = ccz_hash_size(alg);
    if (hash_size == 0 || out_size > 255 * hash_size)
        return CCZ_E_ARG;

    /* RFC 5869, 2.2: PRK = HMAC(salt, IKM); no salt means zeros, to which HMAC pads anyway */
    uint8_t prk[CCZ_HASH_SIZE_MAX], t[CCZ_HASH_SIZE_MAX];
    ccz_rc rc = ccz_hmac(prk, alg, salt, &ikm, 1);

    /* 2.3: T(i) = HMAC(PRK, T(i-1) | info | i) */
    uint8_t *p = out;
    size_t left = out_size;
    for (uint8_t i = 1; left && rc == CCZ_OK; i++) {
        const struct ccz_span parts[] = {CCZ_SPAN(t, i == 1 ? 0 : hash_size), info,
                                         CCZ_SPAN(&i, 1)};
        rc = ccz_hmac(t, alg, CCZ_SPAN(prk, hash_size), parts, 3);
        size_t n = left < hash_size ? left : hash_size;
        if (rc == CCZ_OK)
            memcpy(p, t, n);
        p += n;
        left -= n;
    }
    if (rc != CCZ_OK)
        ccz_wipe(out, out_size);
    ccz_wipe(prk, sizeof(prk));
    ccz_wipe(t, sizeof(t));
    return rc;
}

ccz_rc ccz_secret_derive(struct ccz_secret **out, size_t size, const struct ccz_secret *from,
                         const char *info)
{
    *out = NULL;
    if (!from || ccz_secret_size(from) == 0)
        return CCZ_E_ARG;
    ccz_rc rc = ccz_secret_new(out, size);
    if (rc == CCZ_OK)
        rc = ccz_hkdf(ccz_secret_bytes(*out), size, CCZ_SHA256, CCZ_SPAN(NULL, 0),
                      CCZ_SPAN(ccz_secret_view(from), ccz_secret_size(from)), ccz_span_str(info));
    if (rc != CCZ_OK) {
        ccz_secret_free(*out);
        *out = NULL;
    }
    return rc;
}
