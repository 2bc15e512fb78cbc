/* SPDX-License-Identifier: Apache-2.0 */
/* Bodies of the KBS protocol. What is accepted has what the next step relies on, and evidence of SNP that was put together from JSON has the
 * fields that the JSON had; what is refused says where, and hands nothing out. */
#include "kmsdoor/kbs_priv.h"

#include <cczoo/snp.h>

#include <stdlib.h>
#include <string.h>

static void expect(bool ok)
{
    if (!ok)
        abort();
}

static void check_refusal(ccz_rc rc, const struct ccz_err *err)
{
    expect(rc == CCZ_OK || (err->rc == rc && err->where[0] && err->msg[0]));
}

static void check_snp(const struct ccz_jnode *primary, struct ccz_span evidence)
{
    const struct ccz_jnode *r = ccz_jnode_get(primary, "attestation_report");
    uint64_t v;
    expect(evidence.size >= CCZ_SNP_REPORT_SIZE);
    struct ccz_rd rd = ccz_rd_from(evidence);
    expect(ccz_jnode_uint(&v, ccz_jnode_get(r, "version")) && ccz_rd_le32(&rd) == v);
    expect(ccz_jnode_uint(&v, ccz_jnode_get(r, "guest_svn")) && ccz_rd_le32(&rd) == v);
    expect(ccz_jnode_uint(&v, ccz_jnode_get(r, "policy")) && ccz_rd_le64(&rd) == v);
    expect(ccz_jnode_len(ccz_jnode_get(r, "report_data")) == 64);
    struct ccz_snp_report parsed;
    ccz_rc rc = ccz_snp_report_parse(&parsed, evidence, NULL);
    expect(rc != CCZ_E_INTERNAL);
}

static void check_evidence(const struct ccz_jnode *primary)
{
    for (enum ccz_tee tee = CCZ_TEE_SGX; tee <= CCZ_TEE_SNP; tee++) {
        CCZ_AUTO_BUF out;
        struct ccz_err err = {0};
        ccz_buf_init(&out, CCZI_KBS_EVIDENCE_MAX);
        ccz_rc rc = cczi_kbs_evidence_get(&out, tee, primary, &err);
        check_refusal(rc, &err);
        expect(rc == CCZ_OK || out.size == 0);
        if (rc == CCZ_OK && tee == CCZ_TEE_SNP)
            check_snp(primary, ccz_buf_span(&out));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct ccz_span body = CCZ_SPAN(data, size);
    struct ccz_err err = {0};
    enum ccz_tee tee;
    ccz_rc rc = cczi_kbs_request_get(&tee, body, &err);
    check_refusal(rc, &err);
    expect((rc == CCZ_OK) == (tee != CCZ_TEE_NONE) && tee <= CCZ_TEE_SNP);
    struct cczi_kbs_attestation a;
    err = (struct ccz_err){0};
    rc = cczi_kbs_attestation_get(&a, body, &err);
    check_refusal(rc, &err);
    if (rc == CCZ_OK) {
        struct ccz_claims claims = {.tee = CCZ_TEE_SNP};
        expect(strlen(a.nonce) <= CCZ_NONCE_TEXT_SIZE && a.evidence);
        expect(ccz_jwk_enc_alg(a.tee_key) != CCZ_JOSE_ALG_NONE);
        ccz_rc bound = cczi_kbs_bound(&a, &claims, &err); /* nothing has a hash of zeros */
        expect(bound == CCZ_E_MISMATCH || bound == CCZ_E_ARG);
        check_evidence(a.evidence);
    }
    cczi_kbs_attestation_free(&a);
    CCZ_AUTO(ccz_jdoc) doc = NULL; /* evidence alone, so that it is found without the rest */
    if (ccz_jdoc_parse(&doc, body, NULL) == CCZ_OK)
        check_evidence(ccz_jdoc_root(doc));
    return 0;
}
