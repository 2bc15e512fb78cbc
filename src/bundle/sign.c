/* SPDX-License-Identifier: Apache-2.0 */
/* Signatures over the bytes of a manifest. */
#include "bundle_priv.h"

#include <string.h>

/* Raw: one length, so that no byte of a signature file is without meaning. */
static const struct ccz_sign_how how = {.hash = CCZ_SHA256, .form = CCZ_SIG_RAW};

ccz_rc cczi_bundle_key_id(uint8_t id[32], const struct ccz_pkey *key, const char *where,
                          struct ccz_err *err)
{
    if (!key)
        return ccz_refuse(err, CCZ_E_ARG, where, "no key", "P-256 or Ed25519");
    const enum ccz_pkey_kind kind = ccz_pkey_kind(key);
    if (kind != CCZ_PKEY_P256 && kind != CCZ_PKEY_ED25519)
        return ccz_refuse(err, CCZ_E_ARG, where, ccz_pkey_kind_name(kind), "P-256 or Ed25519");
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    ccz_rc rc = ccz_pkey_spki(&spki, key);
    if (rc == CCZ_OK)
        rc = ccz_sha256(id, ccz_buf_span(&spki));
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, where, 0, "cannot encode the public key");
}

bool cczi_bundle_signed_by(const struct ccz_pkey *key, struct ccz_span manifest,
                           struct ccz_span sig)
{
    return ccz_pkey_verify(key, &how, manifest, sig, NULL) == CCZ_OK;
}

ccz_rc cczi_bundle_sign(struct ccz_buf *sig, const struct ccz_bundle_signer *s,
                        struct ccz_span manifest, struct ccz_err *err)
{
    ccz_rc rc = s->sign ? s->sign(s->arg, sig, manifest, err)
                        : ccz_pkey_sign(sig, s->key, &how, manifest, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_bundle_signed_by(s->key, manifest, ccz_buf_span(sig)))
        return CCZ_OK;
    return ccz_hint(err,
                    ccz_refuse(err, CCZ_E_SIG, "bundle:signature", "a signature of another key",
                               "one that verifies with the public key given"),
                    "the service that signs has another key than this program was told");
}
