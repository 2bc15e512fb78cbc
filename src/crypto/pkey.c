/* SPDX-License-Identifier: Apache-2.0 */
/* Key pairs of all kinds and their encodings: PKCS#8 (RFC 5958) and SubjectPublicKeyInfo (RFC 5280, 4.1). */
#include "crypto_priv.h"
#include "jose_keys.h"
#include "pkey_priv.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdlib.h>

#define RSA_EXPONENT 65537

static const struct kind {
    const char *name;
    const char *evp;   /* OpenSSL's name; NULL for EC keys, which ec.c makes */
    unsigned rsa_bits; /* 0 unless RSA */
    enum ccz_curve curve;
} kinds[] = {
    [CCZ_PKEY_P256] = {.name = "P-256", .curve = CCZ_P256},
    [CCZ_PKEY_P384] = {.name = "P-384", .curve = CCZ_P384},
    [CCZ_PKEY_ED25519] = {.name = "Ed25519", .evp = "ED25519"},
    [CCZ_PKEY_RSA_2048] = {.name = "RSA-2048", .evp = "RSA", .rsa_bits = 2048},
    [CCZ_PKEY_RSA_3072] = {.name = "RSA-3072", .evp = "RSA", .rsa_bits = 3072},
    [CCZ_PKEY_RSA_4096] = {.name = "RSA-4096", .evp = "RSA", .rsa_bits = 4096},
};
enum { KINDS_LEN = sizeof(kinds) / sizeof(kinds[0]) };

static bool is_known(enum ccz_pkey_kind kind)
{
    return (size_t)kind < KINDS_LEN && kinds[kind].name;
}

const char *ccz_pkey_kind_name(enum ccz_pkey_kind kind)
{
    return is_known(kind) ? kinds[kind].name : "?";
}

void ccz_pkey_free(struct ccz_pkey *k)
{
    if (!k)
        return;
    ccz_key_free(k->ec);
    EVP_PKEY_free(k->evp);
    free(k);
}

enum ccz_pkey_kind ccz_pkey_kind(const struct ccz_pkey *k)
{
    return k->kind;
}

const struct ccz_key *ccz_pkey_ec(const struct ccz_pkey *k)
{
    return k->ec;
}

bool ccz_pkey_is_private(const struct ccz_pkey *k)
{
    return k->is_private;
}

/* Takes ownership of @p ec, also on failure. */
static ccz_rc wrap_ec(struct ccz_pkey **out, struct ccz_key *ec, bool is_private,
                      struct ccz_err *err)
{
    struct ccz_pkey *k = calloc(1, sizeof(*k));
    if (!k) {
        ccz_key_free(ec);
        return ccz_fail(err, CCZ_E_NOMEM, "pkey:memory", 0, "out of memory");
    }
    k->kind = ccz_key_curve(ec) == CCZ_P256 ? CCZ_PKEY_P256 : CCZ_PKEY_P384;
    k->is_private = is_private;
    k->ec = ec;
    *out = k;
    return CCZ_OK;
}

/* What kind of RSA key it is. */
static ccz_rc rsa_kind(enum ccz_pkey_kind *out, EVP_PKEY *evp, struct ccz_err *err)
{
    int bits = EVP_PKEY_get_bits(evp);
    *out = 0;
    for (size_t i = 0; i < KINDS_LEN; i++)
        if (kinds[i].rsa_bits != 0 && (int)kinds[i].rsa_bits == bits)
            *out = (enum ccz_pkey_kind)i;
    if (*out == 0)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "pkey:rsa-size", bits,
                        "got a modulus of %d bits, expected 2048, 3072 or 4096", bits);
    BIGNUM *e = NULL;
    bool usual =
        EVP_PKEY_get_bn_param(evp, OSSL_PKEY_PARAM_RSA_E, &e) == 1 && BN_is_word(e, RSA_EXPONENT);
    BN_free(e);
    if (!usual)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "pkey:rsa-exponent", 0,
                        "the public exponent is not %d", RSA_EXPONENT);
    return CCZ_OK;
}

/* Under a key of small order a signature says nothing: some of them verify with every message. */
static ccz_rc check_point(EVP_PKEY *evp, struct ccz_err *err)
{
    uint8_t raw[CCZI_JOSE_ED25519_SIZE];
    size_t size = sizeof(raw);
    if (EVP_PKEY_get_raw_public_key(evp, raw, &size) == 1 && size == sizeof(raw) &&
        cczi_jose_ed25519_ok(raw))
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_FORMAT, "pkey:point", 0,
                    "not a point of the main subgroup of edwards25519, or not encoded as one");
}

/* Takes ownership of @p evp, a key that is not EC, also on failure. */
static ccz_rc wrap_evp(struct ccz_pkey **out, EVP_PKEY *evp, bool is_private, struct ccz_err *err)
{
    enum ccz_pkey_kind kind = CCZ_PKEY_ED25519;
    ccz_rc rc = CCZ_OK;
    if (EVP_PKEY_is_a(evp, "RSA"))
        rc = rsa_kind(&kind, evp, err);
    else if (!EVP_PKEY_is_a(evp, "ED25519"))
        rc = ccz_refuse(err, CCZ_E_UNSUPPORTED, "pkey:kind", EVP_PKEY_get0_type_name(evp),
                        "RSA, EC or Ed25519");
    else if (!is_private) /* the public half of a private key is computed */
        rc = check_point(evp, err);
    struct ccz_pkey *k = rc == CCZ_OK ? calloc(1, sizeof(*k)) : NULL;
    if (!k) {
        EVP_PKEY_free(evp);
        return rc == CCZ_OK ? ccz_fail(err, CCZ_E_NOMEM, "pkey:memory", 0, "out of memory") : rc;
    }
    k->kind = kind;
    k->is_private = is_private;
    k->evp = evp;
    *out = k;
    return CCZ_OK;
}

ccz_rc ccz_pkey_generate(struct ccz_pkey **out, enum ccz_pkey_kind kind, struct ccz_err *err)
{
    *out = NULL;
    if (!is_known(kind))
        return ccz_fail(err, CCZ_E_ARG, "pkey:kind", (int64_t)kind, "no such kind of key");
    ccz_rc rc = CCZ_E_INTERNAL;
    if (!kinds[kind].evp) {
        struct ccz_key *ec = NULL;
        rc = ccz_key_generate(&ec, kinds[kind].curve);
        if (rc == CCZ_OK)
            return wrap_ec(out, ec, true, err);
    } else {
        EVP_PKEY *evp = kinds[kind].rsa_bits ? EVP_RSA_gen(kinds[kind].rsa_bits)
                                             : EVP_PKEY_Q_keygen(NULL, NULL, kinds[kind].evp);
        ERR_clear_error();
        if (evp)
            return wrap_evp(out, evp, true, err);
    }
    return ccz_fail(err, rc, "pkey:generate", 0, "cannot make a key of kind %s", kinds[kind].name);
}

/* ------------------------------------------------------------------------------ PKCS#8 */

ccz_rc ccz_pkey_from_pkcs8(struct ccz_pkey **out, const struct ccz_secret *der,
                           enum ccz_pkey_origin origin, struct ccz_err *err)
{
    *out = NULL;
    EVP_PKEY *evp = cczi_pkcs8_read(CCZ_SPAN(ccz_secret_view(der), ccz_secret_size(der)));
    ccz_rc rc;
    if (!evp) {
        rc = ccz_fail(err, CCZ_E_FORMAT, "pkey:pkcs8", (int64_t)ccz_secret_size(der),
                      "not one PKCS#8 private key in DER");
    } else if (EVP_PKEY_is_a(evp, "EC")) { /* read again by the code that knows curves */
        EVP_PKEY_free(evp);
        struct ccz_key *ec = NULL;
        rc = ccz_key_from_pkcs8(&ec, der, err);
        if (rc == CCZ_OK)
            rc = wrap_ec(out, ec, true, err);
    } else {
        rc = wrap_evp(out, evp, true,
                      err); /* size first: checking a number of any size takes any time */
        if (rc == CCZ_OK && origin != CCZ_PKEY_OWN && !cczi_pair_ok((*out)->evp)) {
            ccz_pkey_free(ccz_pkey_take(out));
            rc = ccz_fail(err, CCZ_E_FORMAT, "pkey:pair", 0,
                          "the numbers of the private key do not belong together");
        }
    }
    ERR_clear_error();
    return rc;
}

ccz_rc ccz_pkey_to_pkcs8(struct ccz_secret **out, const struct ccz_pkey *k, struct ccz_err *err)
{
    *out = NULL;
    if (!k->is_private)
        return ccz_fail(err, CCZ_E_ARG, "pkey:private", 0, "there is no private half");
    ccz_rc rc = k->ec ? ccz_key_to_pkcs8(out, k->ec) : cczi_pkcs8_write(out, k->evp);
    return rc == CCZ_OK ? CCZ_OK : ccz_fail(err, rc, "pkey:pkcs8", 0, "cannot encode the key");
}

/* --------------------------------------------------------------- SubjectPublicKeyInfo */

ccz_rc ccz_pkey_spki(struct ccz_buf *out, const struct ccz_pkey *k)
{
    if (k->ec)
        return ccz_key_spki(out, k->ec);
    uint8_t *der = NULL;
    int size = i2d_PUBKEY(k->evp, &der);
    if (size > 0)
        ccz_buf_put(out, der, (size_t)size);
    OPENSSL_free(der);
    ERR_clear_error();
    if (size <= 0)
        return CCZ_E_INTERNAL;
    return out->bad ? CCZ_E_NOMEM : CCZ_OK;
}

/* True if the key's encoding is @p spki, byte for byte. */
static bool is_encoded_as(const struct ccz_pkey *k, struct ccz_span spki)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_PKEY_SPKI_SIZE_MAX);
    return ccz_pkey_spki(&der, k) == CCZ_OK && ccz_span_eq(ccz_buf_span(&der), spki);
}

ccz_rc ccz_pkey_from_spki(struct ccz_pkey **out, struct ccz_span spki, struct ccz_err *err)
{
    *out = NULL;
    struct ccz_key *ec = NULL;
    struct ccz_err ec_err = {0};
    ccz_rc rc = ccz_key_from_spki(&ec, spki, &ec_err);
    if (rc == CCZ_OK)
        return wrap_ec(out, ec, false, err);
    if (rc != CCZ_E_UNSUPPORTED) { /* an EC key, and a wrong one */
        if (err)
            *err = ec_err;
        return rc;
    }
    const uint8_t *p = spki.ptr;
    EVP_PKEY *evp =
        spki.size <= CCZ_PKEY_SPKI_SIZE_MAX ? d2i_PUBKEY(NULL, &p, (long)spki.size) : NULL;
    ERR_clear_error();
    if (!evp)
        return ccz_fail(err, CCZ_E_FORMAT, "pkey:spki", (int64_t)spki.size,
                        "not one SubjectPublicKeyInfo in DER");
    if (EVP_PKEY_is_a(evp, "EC")) { /* ec.c knows the only encoding of those that are supported */
        EVP_PKEY_free(evp);
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "key:spki", (int64_t)spki.size,
                        "not the SubjectPublicKeyInfo of an uncompressed P-256 or P-384 key");
    }
    rc = wrap_evp(out, evp, false, err);
    if (rc == CCZ_OK && !is_encoded_as(*out, spki)) {
        ccz_pkey_free(ccz_pkey_take(out));
        rc = ccz_fail(err, CCZ_E_FORMAT, "pkey:spki", (int64_t)spki.size,
                      "the key is encoded in another way than DER has it");
    }
    ERR_clear_error();
    return rc;
}
