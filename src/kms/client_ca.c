/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side of certificates that keys of the KMS issue. */
#include "client_priv.h"
#include "use_priv.h"

#include <cczoo/codec.h>
#include <cczoo/kms_use.h>

#include <stdio.h>

void ccz_kms_issued_init(struct ccz_kms_issued *p)
{
    *p = (struct ccz_kms_issued){0};
    ccz_buf_init(&p->certificate, CCZ_CERT_SIZE_MAX);
    ccz_buf_init(&p->ca, CCZ_CERT_SIZE_MAX);
}

void ccz_kms_issued_deinit(struct ccz_kms_issued *p)
{
    ccz_buf_free(&p->certificate);
    ccz_buf_free(&p->ca);
}

/* For the key that was asked for, and by the authority beside it. */
static ccz_rc check(const struct ccz_kms_issued *p, const struct ccz_key *key, struct ccz_err *err)
{
    CCZ_AUTO(ccz_cert) cert = NULL;
    CCZ_AUTO(ccz_cert) ca = NULL;
    CCZ_AUTO_BUF spki;
    ccz_buf_init(&spki, CCZ_PKEY_SPKI_SIZE_MAX);
    if (ccz_cert_parse(&cert, ccz_buf_span(&p->certificate), NULL) != CCZ_OK ||
        ccz_cert_parse(&ca, ccz_buf_span(&p->ca), NULL) != CCZ_OK ||
        ccz_key_spki(&spki, key) != CCZ_OK || !ccz_cert_is_ca(ca) || ccz_cert_is_ca(cert) ||
        !ccz_span_eq(ccz_cert_issuer(cert), ccz_cert_subject(ca)) ||
        !ccz_span_eq(ccz_cert_spki(cert), ccz_buf_span(&spki)) ||
        ccz_cert_not_after(cert) != p->not_after_s)
        return cczi_kms_malformed(err);
    return CCZ_OK;
}

ccz_rc ccz_kms_issue_certificate(struct ccz_kms_issued *out, struct ccz_rpc_client *c,
                                 const struct ccz_kms_issue *ask, struct ccz_err *err)
{
    CCZ_AUTO_BUF csr;
    CCZ_AUTO_BUF response = {0};
    ccz_buf_init(&csr, CCZ_CERT_SIZE_MAX);
    ccz_buf_clear(&out->certificate);
    ccz_buf_clear(&out->ca);
    out->use = (struct ccz_kms_use){0};
    out->not_after_s = 0;
    ccz_rc rc = ccz_ratls_csr_make(&csr, ask->identity, ask->attest, ask->attest_arg, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_msg_issue_req m = {.key = ccz_span_str(ask->key),
                                         .version = ask->version,
                                         .names = ccz_span_str(ask->names),
                                         .csr = ccz_buf_span(&csr),
                                         .life_s = (uint64_t)ask->life_s};
    struct cczi_msg_issue_resp r = {0};
    rc = cczi_kms_call(&response, c, "IssueCertificate", cczi_msg_issue_req, &m, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_msg_get(&r, cczi_msg_issue_resp, ccz_buf_span(&response), NULL) != CCZ_OK)
        return cczi_kms_malformed(err);
    ccz_buf_put_span(&out->certificate, r.certificate);
    ccz_buf_put_span(&out->ca, r.ca);
    out->not_after_s = (int64_t)r.not_after_s;
    out->use.version = (uint32_t)r.version;
    rc = cczi_kms_take_instance(out->use.instance, r.instance, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_receipt(&out->use.receipt, r.receipt, err);
    if (rc == CCZ_OK)
        rc = check(out, ask->identity, err);
    if (rc != CCZ_OK) { /* nothing of it is left for somebody to use */
        ccz_buf_clear(&out->certificate);
        ccz_buf_clear(&out->ca);
        out->use = (struct ccz_kms_use){0};
        out->not_after_s = 0;
    }
    return rc;
}

static void keep_ca(void *arg, const struct ccz_kms_item *it)
{
    struct ccz_buf *der = arg;
    CCZ_AUTO(ccz_json) j = NULL;
    if (ccz_json_parse(&j, it->metadata, NULL) != CCZ_OK)
        return;
    ccz_buf_clear(der);
    (void)!ccz_base64_get(der, ccz_json_bytes(ccz_json_get(ccz_json_get(j, "ca"), "cert")),
                          CCZ_BASE64_STD, NULL);
}

ccz_rc ccz_kms_ca_certificate(struct ccz_buf *der, struct ccz_rpc_client *c, const char *key,
                              struct ccz_err *err)
{
    char item[CCZ_KMS_ITEM_SIZE + 64];
    (void)snprintf(item, sizeof(item), "key/%s", key);
    CCZ_AUTO_BUF found;
    CCZ_AUTO(ccz_cert) cert = NULL;
    ccz_buf_init(&found, CCZ_CERT_SIZE_MAX);
    ccz_rc rc = ccz_kms_describe(c, item, keep_ca, &found, err);
    if (rc == CCZ_OK && found.size == 0)
        return ccz_refuse(err, CCZ_E_NOT_FOUND, "kms:ca-none", item,
                          "a key that was made to issue certificates");
    if (rc == CCZ_OK && ccz_cert_parse(&cert, ccz_buf_span(&found), NULL) != CCZ_OK)
        return cczi_kms_malformed(err);
    if (rc == CCZ_OK)
        ccz_buf_put_span(der, ccz_buf_span(&found));
    return rc != CCZ_OK ? rc : der->bad ? cczi_kms_malformed(err) : CCZ_OK;
}
