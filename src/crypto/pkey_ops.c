/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures (FIPS 186-5, RFC 8032, RFC 8017) and RSAES-OAEP (RFC 8017, 7.1). */
#include "crypto_priv.h"
#include "pkey_priv.h"
#include "rsa_priv.h"

#include <openssl/err.h>
#include <string.h>

enum { RAW_SIZE_MAX = 96 }; /* of ECDSA */
_Static_assert(CCZ_PKEY_SIG_SIZE_MAX == CCZI_RSA_SIZE_MAX, "RSA signatures are the largest");

static bool is_rsa(const struct ccz_pkey *k)
{
    return k->evp && k->kind != CCZ_PKEY_ED25519;
}

/* ------------------------------------------------------------------------- what to sign */

static struct ccz_sign_how settle(const struct ccz_pkey *k, const struct ccz_sign_how *asked)
{
    struct ccz_sign_how how = *asked;
    if (how.usual_hash)
        how.hash = k->kind == CCZ_PKEY_P384 ? CCZ_SHA384 : CCZ_SHA256;
    return how;
}

static ccz_rc check_how(const struct ccz_pkey *k, const struct ccz_sign_how *how,
                        struct ccz_err *err)
{
    if (k->kind == CCZ_PKEY_ED25519)
        return how->prehashed ? ccz_fail(err, CCZ_E_UNSUPPORTED, "pkey:prehashed", 0,
                                         "Ed25519 signs messages, not hashes of them")
                              : CCZ_OK;
    if (ccz_hash_size(how->hash) == 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "pkey:hash", (int64_t)how->hash, "no such hash");
    if (k->kind == CCZ_PKEY_P384 && how->hash == CCZ_SHA256)
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "pkey:hash", "SHA-256",
                          "SHA-384 or SHA-512 with P-384");
    if (is_rsa(k) && how->padding != CCZ_RSA_PSS && how->padding != CCZ_RSA_PKCS1)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "pkey:padding", (int64_t)how->padding,
                        "no such padding");
    return CCZ_OK;
}

/* The hash that is signed. */
static ccz_rc digest_of(uint8_t out[CCZ_HASH_SIZE_MAX], const struct ccz_sign_how *how,
                        struct ccz_span in, struct ccz_err *err)
{
    size_t size = ccz_hash_size(how->hash);
    if (!how->prehashed) {
        ccz_rc rc = ccz_hash(out, how->hash, &in, 1);
        return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "pkey:hash", 0, "cannot hash");
    }
    if (in.size != size)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "pkey:digest-size", (int64_t)in.size,
                              (int64_t)size);
    memcpy(out, in.ptr, size);
    return CCZ_OK;
}

/* Checks @p how, then gives what is signed: the hash, in @p room, or with Ed25519 the message. */
static ccz_rc prepare(struct ccz_span *out, uint8_t room[CCZ_HASH_SIZE_MAX],
                      const struct ccz_pkey *k, const struct ccz_sign_how *how, struct ccz_span in,
                      struct ccz_err *err)
{
    *out = in;
    ccz_rc rc = check_how(k, how, err);
    if (rc != CCZ_OK || k->kind == CCZ_PKEY_ED25519)
        return rc;
    *out = CCZ_SPAN(room, ccz_hash_size(how->hash));
    return digest_of(room, how, in, err);
}

/* -------------------------------------------------------------------------------- sign */

static ccz_rc sign_ec(struct ccz_buf *sig, const struct ccz_pkey *k, const struct ccz_sign_how *how,
                      struct ccz_span digest)
{
    uint8_t raw[RAW_SIZE_MAX];
    size_t size = k->kind == CCZ_PKEY_P256 ? 64 : 96;
    ccz_rc rc = cczi_ecdsa_sign_digest(raw, k->ec, digest);
    if (rc != CCZ_OK)
        return rc;
    if (how->form == CCZ_SIG_DER)
        cczi_ecdsa_put_der(sig, raw, size);
    else
        ccz_buf_put(sig, raw, size);
    return sig->bad ? CCZ_E_NOMEM : CCZ_OK;
}

static ccz_rc sign_rsa(struct ccz_buf *sig, const struct ccz_pkey *k,
                       const struct ccz_sign_how *how, struct ccz_span digest)
{
    uint8_t out[CCZ_PKEY_SIG_SIZE_MAX];
    size_t size;
    ccz_rc rc = cczi_rsa_sign(out, &size, k->evp, how->hash, how->padding == CCZ_RSA_PSS, digest);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_put(sig, out, size);
    return sig->bad ? CCZ_E_NOMEM : CCZ_OK;
}

static ccz_rc sign_ed25519(struct ccz_buf *sig, const struct ccz_pkey *k, struct ccz_span in)
{
    uint8_t out[CCZ_PKEY_SIG_SIZE_MAX];
    size_t size = sizeof(out);
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestSignInit_ex(md, NULL, NULL, NULL, NULL, k->evp, NULL) == 1 &&
              EVP_DigestSign(md, out, &size, in.ptr, in.size) == 1;
    EVP_MD_CTX_free(md);
    if (!ok)
        return CCZ_E_INTERNAL;
    ccz_buf_put(sig, out, size);
    return sig->bad ? CCZ_E_NOMEM : CCZ_OK;
}

ccz_rc ccz_pkey_sign(struct ccz_buf *sig, const struct ccz_pkey *k,
                     const struct ccz_sign_how *asked, struct ccz_span in, struct ccz_err *err)
{
    const struct ccz_sign_how settled = settle(k, asked), *how = &settled;
    if (!k->is_private)
        return ccz_fail(err, CCZ_E_ARG, "pkey:private", 0, "a public key cannot sign");
    uint8_t digest[CCZ_HASH_SIZE_MAX];
    struct ccz_span d;
    ccz_rc rc = prepare(&d, digest, k, how, in, err);
    if (rc != CCZ_OK)
        return rc;
    if (k->ec)
        rc = sign_ec(sig, k, how, d);
    else
        rc = is_rsa(k) ? sign_rsa(sig, k, how, d) : sign_ed25519(sig, k, d);
    ERR_clear_error();
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "pkey:sign", 0, "cannot sign");
}

/* ------------------------------------------------------------------------------ verify */

static bool verify_ec(const struct ccz_pkey *k, const struct ccz_sign_how *how,
                      struct ccz_span digest, struct ccz_span sig)
{
    struct ccz_ecdsa_job job = {
        .key = k->ec, .sig = sig, .form = how->form, .digest_size = digest.size};
    memcpy(job.digest, digest.ptr, digest.size);
    return ccz_ecdsa_verify_batch(&job, 1) == CCZ_OK;
}

static bool verify_rsa(const struct ccz_pkey *k, const struct ccz_sign_how *how,
                       struct ccz_span digest, struct ccz_span sig)
{
    bool pss = how->padding == CCZ_RSA_PSS;
    return cczi_rsa_verify(k->evp, how->hash, pss, digest, sig) == CCZ_OK;
}

static bool verify_ed25519(const struct ccz_pkey *k, struct ccz_span in, struct ccz_span sig)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestVerifyInit_ex(md, NULL, NULL, NULL, NULL, k->evp, NULL) == 1 &&
              EVP_DigestVerify(md, sig.ptr, sig.size, in.ptr, in.size) == 1;
    EVP_MD_CTX_free(md);
    return ok;
}

ccz_rc ccz_pkey_verify(const struct ccz_pkey *k, const struct ccz_sign_how *asked,
                       struct ccz_span in, struct ccz_span sig, struct ccz_err *err)
{
    const struct ccz_sign_how settled = settle(k, asked), *how = &settled;
    uint8_t digest[CCZ_HASH_SIZE_MAX];
    struct ccz_span d;
    ccz_rc rc = prepare(&d, digest, k, how, in, err);
    if (rc != CCZ_OK)
        return rc;
    bool ok;
    if (k->ec)
        ok = verify_ec(k, how, d, sig);
    else
        ok = is_rsa(k) ? verify_rsa(k, how, d, sig) : verify_ed25519(k, d, sig);
    ERR_clear_error();
    if (!ok)
        return ccz_fail(err, CCZ_E_SIG, "pkey:signature", (int64_t)sig.size,
                        "the signature does not verify");
    return CCZ_OK;
}

/* ---------------------------------------------------------------------------- RSA-OAEP */

size_t ccz_pkey_oaep_room(const struct ccz_pkey *k, enum ccz_hash hash)
{
    size_t over = 2 * ccz_hash_size(hash) + 2;
    return is_rsa(k) && over > 2 ? (size_t)EVP_PKEY_get_size(k->evp) - over : 0;
}

static ccz_rc check_rsa(const struct ccz_pkey *k, enum ccz_hash hash, struct ccz_err *err)
{
    if (!is_rsa(k))
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "pkey:kind", ccz_pkey_kind_name(k->kind), "RSA");
    if (ccz_hash_size(hash) == 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "pkey:hash", (int64_t)hash, "no such hash");
    return CCZ_OK;
}

ccz_rc ccz_pkey_oaep_seal(struct ccz_buf *out, const struct ccz_pkey *k, enum ccz_hash hash,
                          struct ccz_span in, struct ccz_err *err)
{
    ccz_rc rc = check_rsa(k, hash, err);
    if (rc != CCZ_OK)
        return rc;
    size_t room = ccz_pkey_oaep_room(k, hash);
    if (in.size == 0 || in.size > room)
        return ccz_fail(err, CCZ_E_LIMIT, "pkey:oaep-size", (int64_t)in.size,
                        "got %zu bytes, expected 1 to %zu under this key", in.size, room);
    uint8_t sealed[CCZ_PKEY_SIG_SIZE_MAX];
    size_t size;
    rc = cczi_oaep_seal(sealed, &size, k->evp, hash, in);
    if (rc == CCZ_OK)
        ccz_buf_put(out, sealed, size);
    if (rc == CCZ_OK && out->bad)
        rc = CCZ_E_NOMEM;
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "pkey:oaep", 0, "cannot encrypt");
}

ccz_rc ccz_pkey_oaep_open(struct ccz_secret **out, const struct ccz_pkey *k, enum ccz_hash hash,
                          struct ccz_span in, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check_rsa(k, hash, err);
    if (rc != CCZ_OK)
        return rc;
    if (!k->is_private)
        return ccz_fail(err, CCZ_E_ARG, "pkey:private", 0, "a public key cannot decrypt");
    uint8_t text[CCZ_PKEY_SIG_SIZE_MAX];
    size_t size;
    bool ok = cczi_oaep_open(text, &size, k->evp, hash, in) == CCZ_OK && size > 0;
    rc = ok ? ccz_secret_from(out, text, size) : CCZ_E_SIG;
    ccz_wipe(text, sizeof(text));
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "pkey:oaep", 0, "does not open");
}
