/* SPDX-License-Identifier: Apache-2.0 */
/* Private keys that open JWEs. */
#include "jose_priv.h"

#include <stdlib.h>

void ccz_jwe_key_free(struct ccz_jwe_key *k)
{
    if (!k)
        return;
    ccz_jwk_free(k->pub);
    ccz_key_free(k->ec);
    cczi_jose_rsa_free(k->rsa);
    free(k);
}

static struct ccz_jwe_key *new_key(struct ccz_err *err)
{
    struct ccz_jwe_key *k = calloc(1, sizeof(*k));
    if (!k)
        ccz_fail(err, CCZ_E_NOMEM, "jwe:memory", 0, "out of memory");
    return k;
}

/* The public half, when the private one is there. */
static ccz_rc add_public(struct ccz_jwe_key *k, struct ccz_err *err)
{
    uint8_t a[CCZI_JOSE_RSA_SIZE_MAX], b[CCZI_JOSE_RSA_E_SIZE_MAX], xy[96];
    size_t a_size, b_size;
    struct ccz_jwk_parts p = {.kind = CCZ_JWK_RSA, .alg = CCZ_JOSE_RSA_OAEP_256};
    ccz_rc rc;
    if (k->rsa) {
        rc = cczi_jose_rsa_numbers(a, &a_size, b, &b_size, k->rsa);
        p.a = CCZ_SPAN(a, a_size);
        p.b = CCZ_SPAN(b, b_size);
    } else {
        bool p256 = ccz_key_curve(k->ec) == CCZ_P256;
        rc = ccz_key_xy(xy, k->ec);
        p.kind = p256 ? CCZ_JWK_P256 : CCZ_JWK_P384;
        p.alg = CCZ_JOSE_ECDH_ES_A256KW;
        p.a = CCZ_SPAN(xy, p256 ? 32 : 48);
        p.b = CCZ_SPAN(xy + p.a.size, p.a.size);
    }
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "jwe:pkcs8", 0, "the public half cannot be had");
    return ccz_jwk_make(&k->pub, &p, err);
}

ccz_rc ccz_jwe_key_generate(struct ccz_jwe_key **out, enum ccz_jwk_kind kind, struct ccz_err *err)
{
    *out = NULL;
    if (kind != CCZ_JWK_P256 && kind != CCZ_JWK_P384)
        return ccz_fail(err, CCZ_E_ARG, "jwe:kind", kind, "keys are made on P-256 and P-384 only");
    CCZ_AUTO(ccz_jwe_key) k = new_key(err);
    if (!k)
        return CCZ_E_NOMEM;
    ccz_rc rc = ccz_key_generate(&k->ec, kind == CCZ_JWK_P256 ? CCZ_P256 : CCZ_P384);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "jwe:generate", 0, "%s", ccz_rc_str(rc));
    if ((rc = add_public(k, err)) == CCZ_OK)
        *out = ccz_jwe_key_take(&k);
    return rc;
}

ccz_rc ccz_jwe_key_from_pkcs8(struct ccz_jwe_key **out, const struct ccz_secret *der,
                              struct ccz_err *err)
{
    *out = NULL;
    CCZ_AUTO(ccz_jwe_key) k = new_key(err);
    if (!k)
        return CCZ_E_NOMEM;
    ccz_rc rc = cczi_jose_rsa_from_pkcs8(&k->rsa, der);
    if (rc == CCZ_E_UNSUPPORTED) /* no RSA, or not of a size that is taken: what it is, EC says */
        rc = ccz_key_from_pkcs8(&k->ec, der, err);
    else if (rc != CCZ_OK)
        ccz_fail(err, rc, "jwe:pkcs8", 0,
                 "not one PKCS#8 private key in DER, or one whose numbers do not fit together");
    if (rc == CCZ_OK && (rc = add_public(k, err)) == CCZ_OK)
        *out = ccz_jwe_key_take(&k);
    return rc;
}

const struct ccz_jwk *ccz_jwe_key_public(const struct ccz_jwe_key *k)
{
    return k->pub;
}
