/* SPDX-License-Identifier: Apache-2.0 */
/* Steps D.2, D.6 and D.7 of docs/design/verification.md: everything between the root and the
 * attestation key. It is the same for all quotes of one key, so that cache.c may remember it once
 * the signatures, which are collected here, hold. */
#include "quote/quote_priv.h"

#include <stdlib.h>
#include <string.h>

/* Certificates that the quote does not carry come with the collateral. @param pem  for what has to
 * be put together */
static ccz_rc find_pem(struct ccz_span *out, struct ccz_buf *pem, const struct ccz_quote *q,
                       const struct ccz_collateral *c, struct ccz_err *err)
{
    enum { CERT_PCK_LEAF = 4, CERT_PCK_CHAIN = 5 };
    *out = (struct ccz_span){0};
    if (q->cert_type == CERT_PCK_LEAF || q->cert_type == CERT_PCK_CHAIN) {
        *out = q->cert_data;
        while (out->size > 0 && out->ptr[out->size - 1] == 0)
            out->size--;
    } else if (c) {
        *out = ccz_buf_span(&c->pck_pem);
    }
    if (q->cert_type == CERT_PCK_LEAF && c) {
        ccz_buf_put_span(pem, *out);
        ccz_buf_put_str(pem, "\n");
        ccz_buf_put_span(pem, ccz_buf_span(&c->pck_ca_pem));
        if (pem->bad)
            return ccz_fail(err, CCZ_E_NOMEM, "quote:memory", 0, "out of memory");
        *out = ccz_buf_span(pem);
    }
    if (out->size == 0) {
        ccz_rc rc = ccz_fail(err, CCZ_E_UNSUPPORTED, "quote:pck-missing", q->cert_type,
                             "neither quote (certification type %u) nor collateral has a PCK chain",
                             q->cert_type);
        return ccz_hint(err, rc, "give the platform's PCK certificate chain with the collateral");
    }
    return CCZ_OK;
}

static ccz_rc refuse_serial(struct ccz_err *err, const char *where, const struct ccz_cert *cert)
{
    struct ccz_span serial = ccz_cert_serial(cert);
    char hex[2 * 32 + 1];
    ccz_hex(hex, serial.ptr, serial.size < 32 ? serial.size : 32);
    return ccz_refuse(err, CCZ_E_REVOKED, where, hex,
                      "a serial number that is not in the revocation list");
}

/* D.2: the PCK CRL at hand must be the one of this PCK certificate's issuer, by name and key. */
static ccz_rc check_revocation(const struct cczi_chain *chain, const struct ccz_collateral *c,
                               struct ccz_err *err)
{
    const struct ccz_cert *leaf = chain->cert[0], *ca = chain->cert[1], *crl_ca = c->pck_ca.cert[0];
    if (!ccz_span_eq(ccz_cert_subject(ca), ccz_cert_subject(crl_ca)))
        return ccz_refuse(err, CCZ_E_MISMATCH, "quote:pck-crl-issuer", ccz_cert_cn(ca),
                          ccz_cert_cn(crl_ca));
    if (!ccz_span_eq(ccz_cert_spki(ca), ccz_cert_spki(crl_ca)))
        return ccz_fail(
            err, CCZ_E_MISMATCH, "quote:pck-crl-issuer-key", 0,
            "the PCK CA in the quote has another key than the one that issued the PCK CRL");
    if (ccz_crl_revokes(c->root_crl, ccz_cert_serial(ca)))
        return refuse_serial(err, "quote:pck-ca-revoked", ca);
    if (ccz_crl_revokes(c->pck_crl, ccz_cert_serial(leaf)))
        return refuse_serial(err, "quote:pck-revoked", leaf);
    return CCZ_OK;
}

/* D.6 and D.7: the PCK key signed the QE's report, and that report names the attestation key. */
static ccz_rc check_qe_report(struct cczi_sigs *sigs, const struct ccz_quote *q,
                              const struct ccz_cert *leaf, struct ccz_err *err)
{
    static const struct cczi_sig_refusal refusal = {"quote:qe-signature",
                                                    "the PCK key did not sign the QE report", NULL};
    (void)cczi_sigs_add_raw(sigs, ccz_cert_key(leaf), q->qe_signature, q->qe_report, &refusal);
    struct cczi_sgx_report report;
    cczi_sgx_report_read(&report, q->qe_report);
    const struct ccz_span bound[] = {q->attest_key, q->qe_auth};
    uint8_t want[64] = {0}; /* digest, then zeros: room that a genuine QE leaves unused */
    ccz_rc rc = ccz_hash(want, CCZ_SHA256, bound, 2);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "quote:qe-binding", 0, "hash failed");
    if (!ccz_ct_eq(report.report_data, want, 32))
        return ccz_refuse_bytes(err, CCZ_E_SIG, "quote:qe-binding", report.report_data, 32, want,
                                32);
    if (!ccz_ct_eq(report.report_data + 32, want + 32, 32))
        return ccz_refuse_bytes(err, CCZ_E_FORMAT, "quote:qe-report-data", report.report_data + 32,
                                32, want + 32, 32);
    return CCZ_OK;
}

static ccz_rc build(struct cczi_evidence *e, struct cczi_pending *p, const struct ccz_quote *q,
                    const struct ccz_roots *roots, const struct ccz_collateral *c,
                    struct ccz_err *err)
{
    CCZ_AUTO_BUF joined;
    ccz_buf_init(&joined, CCZ_QUOTE_SIZE_MAX + CCZ_COLLATERAL_SIZE_MAX);
    struct ccz_span pem;
    if (c) /* CA and root are usually the ones that the collateral has verified */
        p->certs.older = &c->certs;
    ccz_rc rc = find_pem(&pem, &joined, q, c, err);
    if (rc == CCZ_OK)
        rc = cczi_chain_read(&p->chain, &p->certs, &p->sigs, pem, &cczi_chain_pck, roots, err);
    if (rc == CCZ_OK && c)
        rc = check_revocation(&p->chain, c, err);
    if (rc == CCZ_OK)
        rc = cczi_pck_from_cert(&e->pck, p->chain.cert[0], err);
    if (rc == CCZ_OK)
        rc = check_qe_report(&p->sigs, q, p->chain.cert[0], err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_key_from_xy(&e->attest_key, CCZ_P256, q->attest_key);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "quote:attest-key", 0, "the attestation key is no point of P-256");
    for (size_t i = 0; i < p->chain.len; i++)
        e->windows[i] = cczi_chain_window(&p->chain, i, &cczi_chain_pck);
    e->root = *p->chain.root;
    return CCZ_OK;
}

ccz_rc cczi_evidence_new(struct cczi_evidence **out, struct cczi_pending *p,
                         const struct ccz_quote *q, const struct ccz_roots *roots,
                         const struct ccz_collateral *collateral, struct ccz_err *err)
{
    *out = NULL;
    struct cczi_evidence *e = calloc(1, sizeof(*e));
    if (!e)
        return ccz_fail(err, CCZ_E_NOMEM, "quote:memory", 0, "out of memory");
    atomic_init(&e->refs, 1);
    ccz_rc rc = build(e, p, q, roots, collateral, err);
    if (rc == CCZ_OK)
        *out = e;
    else
        cczi_evidence_free(e);
    return rc;
}

ccz_rc ccz_quote_check_origin(const struct ccz_quote *q, const struct ccz_roots *roots,
                              const struct ccz_collateral *collateral, struct ccz_err *err)
{
    struct cczi_evidence *evidence = NULL;
    struct cczi_pending pending = {0};
    ccz_rc rc = cczi_evidence_new(&evidence, &pending, q, roots, collateral, err);
    rc = cczi_sigs_check(&pending.sigs, rc, err);
    cczi_evidence_free(evidence);
    cczi_pending_deinit(&pending);
    return rc;
}

struct cczi_evidence *cczi_evidence_ref(struct cczi_evidence *e)
{
    atomic_fetch_add_explicit(&e->refs, 1, memory_order_relaxed);
    return e;
}

void cczi_evidence_free(struct cczi_evidence *e)
{
    if (!e || atomic_fetch_sub_explicit(&e->refs, 1, memory_order_acq_rel) != 1)
        return;
    ccz_key_free(e->attest_key);
    free(e);
}
