/* SPDX-License-Identifier: Apache-2.0 */
/* Ids of decisions, and what those who were refused are told. */
#include "kms_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void ccz_kms_decision_print(char out[CCZ_KMS_DECISION_SIZE], uint64_t audit_seq)
{
    (void)snprintf(out, CCZ_KMS_DECISION_SIZE, "D%llu", (unsigned long long)audit_seq);
}

ccz_rc ccz_kms_decision_parse(uint64_t *audit_seq, struct ccz_span text, struct ccz_err *err)
{
    char id[CCZ_KMS_DECISION_SIZE], again[CCZ_KMS_DECISION_SIZE] = "";
    ccz_escape(id, sizeof(id), text);
    *audit_seq = 0;
    unsigned long long seq = id[0] == 'D' ? strtoull(id + 1, NULL, 10) : 0;
    if (seq > 0 && seq <= INT64_MAX)
        ccz_kms_decision_print(again, seq);
    /* one spelling: no sign, no space, no leading zero, nothing behind it */
    if (!again[0] || !ccz_span_eq(text, ccz_span_str(again)))
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:decision", id, "the id of a decision, like D17");
    *audit_seq = seq;
    return CCZ_OK;
}

/* Where, its own claim, and where the rest can be read. */
static void tell_workload(struct ccz_err *err, const struct cczi_kms_call *call,
                          const char *decision)
{
    char see[CCZ_ERR_VALUE_SIZE];
    const struct ccz_err full = *err;
    CCZ_AUTO_BUF claim;
    ccz_buf_init(&claim, 1 << 16);
    ccz_policy_claim(&claim, full.where, &call->req->peer->claims, call->req->now_s);
    (void)snprintf(see, sizeof(see), "%s%s", decision[0] ? "see decision " : "not on record",
                   decision);
    *err = (struct ccz_err){0};
    (void)ccz_refuse(err, full.rc, full.where, ccz_buf_str(&claim), see);
    (void)snprintf(err->msg, sizeof(err->msg), "the policy of the item does not accept this peer");
    if (decision[0])
        (void)cczi_kms_hint(err, full.rc);
}

/* Whether a policy that it named is there, and what it says, is its namespace's business. */
static void tell_stranger(struct ccz_err *err, const char *decision)
{
    char see[CCZ_ERR_VALUE_SIZE];
    (void)snprintf(see, sizeof(see), "%s%s", decision[0] ? "see decision " : "not on record",
                   decision);
    *err = (struct ccz_err){0};
    (void)ccz_refuse(err, CCZ_E_POLICY, "kms:attest-policy", "this peer", see);
    (void)snprintf(err->msg, sizeof(err->msg),
                   "there is no policy in use by that name that accepts this peer");
    (void)cczi_kms_hint(err, CCZ_E_POLICY);
}

void cczi_kms_tell(struct cczi_kms_entry *e)
{
    if (e->rc == CCZ_OK)
        return;
    if (e->receipt.audit_seq)
        ccz_kms_decision_print(e->decision, e->receipt.audit_seq);
    if (e->call.hides_policy) {
        tell_stranger(&e->err, e->decision);
        e->rc = CCZ_E_POLICY;
    } else if (e->call.judged && e->rc == CCZ_E_POLICY) {
        tell_workload(&e->err, &e->call, e->decision);
    }
}
