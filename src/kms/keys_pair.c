/* SPDX-License-Identifier: Apache-2.0 */
/* What pairs do beside encryption: public halves and signatures. */
#include "keys_priv.h"

#include <cczoo/codec.h>
#include <cczoo/x509.h>

ccz_rc cczi_kms_key_public(struct ccz_buf *der, const struct cczi_kms_key *key, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_PUBLIC, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_pkey_spki(der, key->pair);
    return rc == CCZ_OK ? CCZ_OK
                        : ccz_fail(err, rc, "kms:key-memory", 0, "cannot write the public key");
}

ccz_rc cczi_kms_key_public_pem(struct ccz_buf *pem, const struct cczi_kms_key *key,
                               struct ccz_err *err)
{
    CCZ_AUTO_BUF der;
    ccz_buf_init(&der, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_rc rc = cczi_kms_key_public(&der, key, err);
    if (rc != CCZ_OK)
        return rc;
    ccz_pem_put(pem, "PUBLIC KEY", ccz_buf_span(&der));
    return pem->bad ? ccz_fail(err, CCZ_E_NOMEM, "kms:key-memory", 0, "no room for the public key")
                    : CCZ_OK;
}

ccz_rc cczi_kms_key_sign(struct ccz_buf *sig, const struct cczi_kms_key *key,
                         const struct ccz_sign_how *how, struct ccz_span in, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_SIGN, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_size_ok("message", in.size, 0, CCZI_KMS_KEY_MESSAGE_SIZE_MAX, err);
    return rc == CCZ_OK ? ccz_pkey_sign(sig, key->pair, how, in, err) : rc;
}

ccz_rc cczi_kms_key_verify(const struct cczi_kms_key *key, const struct ccz_sign_how *how,
                           struct ccz_span in, struct ccz_span sig, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_VERIFY, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_size_ok("message", in.size, 0, CCZI_KMS_KEY_MESSAGE_SIZE_MAX, err);
    return rc == CCZ_OK ? ccz_pkey_verify(key->pair, how, in, sig, err) : rc;
}

ccz_rc cczi_kms_key_issue(struct ccz_buf *der, const struct cczi_kms_key *key,
                          const struct ccz_cert_cfg *cfg, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_key_can(key, CCZI_OP_ISSUE, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_cert_cfg with = *cfg;
    with.issuer_key = cfg->issuer ? ccz_pkey_ec(key->pair) : NULL;
    if (!cfg->issuer)
        with.key = ccz_pkey_ec(key->pair);
    return ccz_cert_issue(der, &with, err);
}
