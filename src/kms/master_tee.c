/* SPDX-License-Identifier: Apache-2.0 */
/* Master key sealed by a TEE: AES-256-GCM under a key that only this program (or signer) can have again. */
#include "master_priv.h"

#include "kms_priv.h"

#include <string.h>

static ccz_rc tee_open(struct ccz_kms_master *m, const char *rest,
                       const struct ccz_kms_master_cfg *cfg, struct ccz_err *err)
{
    if (strcmp(rest, "mrenclave") == 0)
        m->policy = CCZ_SEAL_TO_MEASUREMENT;
    else if (strcmp(rest, "mrsigner") == 0)
        m->policy = CCZ_SEAL_TO_SIGNER;
    else
        return ccz_refuse(err, CCZ_E_ARG, "kms:master-spec", "tee:...",
                          "tee:mrenclave or tee:mrsigner");
    if (!cfg->attester)
        return ccz_fail(err, CCZ_E_ARG, "kms:master-tee", 0,
                        "a sealed master key needs a TEE: none is given");
    if (m->policy == CCZ_SEAL_TO_MEASUREMENT) {
        struct ccz_span own = ccz_attester_measurement(cfg->attester);
        ccz_buf_put_span(&m->measurement, own);
    }
    return ccz_attester_seal_key(&m->seal_key, cfg->attester, (enum ccz_seal_to)m->policy,
                                 "cczoo kms master key", err);
}

static ccz_rc tee_wrap(struct ccz_buf *body, struct ccz_kms_master *m, struct ccz_span header,
                       const struct ccz_secret *key, struct ccz_err *err)
{
    struct ccz_span own = ccz_buf_span(&m->measurement);
    uint8_t nonce[CCZ_AEAD_NONCE_SIZE], sealed[CCZ_KMS_MASTER_KEY_SIZE + CCZ_AEAD_TAG_SIZE];
    CCZ_AUTO(ccz_aead) aead = NULL;
    ccz_buf_u8(body, m->policy);
    ccz_buf_u8(body, (uint8_t)own.size);
    ccz_buf_put_span(body, own);
    CCZ_AUTO_BUF aad;
    ccz_buf_init(&aad, 256);
    ccz_buf_put_span(&aad, header);
    ccz_buf_put_span(&aad, ccz_buf_span(body));
    ccz_rc rc = aad.bad ? CCZ_E_NOMEM : ccz_aead_new(&aead, CCZ_AES_256_GCM);
    if (rc == CCZ_OK)
        rc = ccz_random(nonce, sizeof(nonce));
    if (rc == CCZ_OK)
        rc = ccz_aead_seal(aead, sealed, sealed + CCZ_KMS_MASTER_KEY_SIZE,
                           ccz_secret_view(m->seal_key), nonce, ccz_buf_span(&aad),
                           CCZ_SPAN(ccz_secret_view(key), CCZ_KMS_MASTER_KEY_SIZE));
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:master-tee", 0, "cannot seal the master key");
    ccz_buf_put(body, nonce, sizeof(nonce));
    ccz_buf_put(body, sealed, sizeof(sealed));
    return CCZ_OK;
}

static ccz_rc tee_unwrap(uint8_t *key, struct ccz_kms_master *m, const struct cczi_kms_blob *blob,
                         struct ccz_err *err)
{
    struct cczi_tee_body b;
    ccz_rc rc = cczi_tee_body_parse(&b, blob->body, err);
    if (rc != CCZ_OK)
        return rc;
    if (b.policy != m->policy)
        return ccz_refuse(err, CCZ_E_MISMATCH, "kms:master-kind",
                          b.policy == CCZ_SEAL_TO_SIGNER ? "tee:mrsigner" : "tee:mrenclave",
                          m->policy == CCZ_SEAL_TO_SIGNER ? "tee:mrsigner" : "tee:mrenclave");
    struct ccz_span aad =
        CCZ_SPAN(blob->header.ptr, CCZI_MASTER_HEADER_SIZE + 2 + b.measurement.size);
    CCZ_AUTO(ccz_aead) aead = NULL;
    rc = ccz_aead_new(&aead, CCZ_AES_256_GCM);
    if (rc == CCZ_OK)
        rc = ccz_aead_open(aead, key, b.tag.ptr, ccz_secret_view(m->seal_key), b.nonce.ptr, aad,
                           b.text);
    if (rc == CCZ_OK)
        return rc;
    struct ccz_span own = ccz_buf_span(&m->measurement);
    if (b.measurement.size && !ccz_span_eq(b.measurement, own))
        (void)ccz_refuse_bytes(err, CCZ_E_SIG, "kms:master-tee", own.ptr, own.size,
                               b.measurement.ptr, b.measurement.size);
    else
        (void)ccz_fail(err, rc, "kms:master-tee", 0,
                       "this TEE cannot open the sealed master key: another program, signer or "
                       "machine made it");
    return cczi_kms_hint(err, rc);
}

static void tee_close(struct ccz_kms_master *m)
{
    (void)m;
}

const struct cczi_kms_master_ops cczi_master_tee = {"tee",    CCZI_MASTER_TEE, tee_open,
                                                    tee_wrap, tee_unwrap,      tee_close};
