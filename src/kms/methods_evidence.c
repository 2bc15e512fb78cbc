/* SPDX-License-Identifier: Apache-2.0 */
/* Raw evidence: kept where Attest asks for it, so that a token need not carry it, and given to auditors, who can verify it
 * without us. */
#include "kms_priv.h"
#include "msg_fields.h"

#include <stdio.h>
#include <string.h>

const struct cczi_msg_field cczi_msg_get_evidence_req[] = {
    SPAN(1, cczi_msg_get_evidence_req, ns, 256),
    SPAN(2, cczi_msg_get_evidence_req, sha256, 32),
    END,
};
const struct cczi_msg_field cczi_msg_get_evidence_resp[] = {
    SPAN(1, cczi_msg_get_evidence_resp, evidence, CCZ_QUOTE_SIZE_MAX),
    SPAN(2, cczi_msg_get_evidence_resp, tee, 8),
    UINT(3, cczi_msg_get_evidence_resp, time_s, INT64_MAX),
    END,
};

/* Room for one more of @p size bytes, at the expense of its own namespace alone. */
static ccz_rc make_room(struct ccz_kms_store *s, const char *ns, size_t size, struct ccz_err *err)
{
    uint64_t rows, bytes;
    ccz_rc rc = cczi_kms_raw_count(&rows, &bytes, s, ns, err);
    while (rc == CCZ_OK &&
           (rows >= CCZ_KMS_RAW_EVIDENCE_MAX || bytes + size > CCZ_KMS_RAW_EVIDENCE_BYTES_MAX)) {
        uint8_t oldest[32];
        rc = cczi_kms_raw_oldest(oldest, s, ns, err);
        if (rc == CCZ_OK)
            rc = cczi_kms_raw_delete(s, oldest, ns, err);
        if (rc == CCZ_E_NOT_FOUND) /* what it counted it does not find */
            return ccz_fail(err, CCZ_E_SIG, "kms:store-corrupt", (int64_t)rows,
                            "the database counts rows that are not there");
        if (rc == CCZ_OK)
            rc = cczi_kms_raw_count(&rows, &bytes, s, ns, err);
    }
    return rc;
}

ccz_rc cczi_kms_keep_evidence(char uri[CCZ_KMS_EVIDENCE_URI_SIZE], struct cczi_kms_call *call,
                              struct ccz_err *err)
{
    char instance[2 * CCZ_KMS_INSTANCE_SIZE + 1], digest[65];
    struct cczi_kms_raw e = {.tee = (uint32_t)call->req->peer->claims.tee,
                             .time_s = call->req->now_s,
                             .evidence = call->req->evidence};
    if (e.evidence.size == 0) {
        ccz_refuse(err, CCZ_E_UNSUPPORTED, "kms:attest-evidence", "a way in without raw evidence",
                   "one that has it");
        return cczi_kms_hint(err, CCZ_E_UNSUPPORTED);
    }
    cczi_kms_ns_of(e.ns, call->policy);
    ccz_rc rc = ccz_sha256(e.sha256, e.evidence);
    if (rc == CCZ_OK) /* the same again takes its own place */
        rc = cczi_kms_raw_delete(call->store, e.sha256, e.ns, err);
    if (rc == CCZ_OK || rc == CCZ_E_NOT_FOUND)
        rc = make_room(call->store, e.ns, e.evidence.size, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_raw_put(call->store, &e, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(call->evidence_sha256, e.sha256, sizeof(call->evidence_sha256));
    call->has_evidence = true;
    ccz_hex(instance, call->store->instance, CCZ_KMS_INSTANCE_SIZE);
    ccz_hex(digest, e.sha256, sizeof(e.sha256));
    (void)snprintf(uri, CCZ_KMS_EVIDENCE_URI_SIZE, "cczoo-kms:%s/evidence/%s%s%s", instance, digest,
                   e.ns[0] ? "?namespace=" : "", e.ns);
    return CCZ_OK;
}

ccz_rc cczi_kms_run_get_evidence(struct ccz_buf *response, struct cczi_kms_call *call,
                                 struct ccz_err *err)
{
    struct cczi_msg_get_evidence_req m = {0};
    struct cczi_kms_raw e;
    struct cczi_kms_row keep;
    char ns[CCZ_KMS_NAME_SIZE];
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_get_evidence_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_ns_parse(ns, m.ns, err);
    if (rc == CCZ_OK && m.sha256.size != 32)
        rc = ccz_fail(err, CCZ_E_FORMAT, "kms:request", 2, "expected the digest of the evidence");
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_row_init(&keep);
    rc = cczi_kms_raw_get(&e, &keep, call->store, m.sha256.ptr, ns, err);
    rc = cczi_kms_or_not_found(err, rc, "evidence of that digest in namespace", ns);
    if (rc == CCZ_OK) {
        const struct cczi_msg_get_evidence_resp out = {
            .evidence = e.evidence,
            .tee = ccz_span_str(ccz_tee_name((enum ccz_tee)e.tee)),
            .time_s = (uint64_t)e.time_s};
        cczi_msg_put(response, cczi_msg_get_evidence_resp, &out);
    }
    cczi_kms_row_deinit(&keep);
    return rc;
}
