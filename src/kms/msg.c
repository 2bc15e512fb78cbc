/* SPDX-License-Identifier: Apache-2.0 */
/* Messages of proto/kms.proto, both directions, driven by one table per message. */
#include "kms_priv.h"
#include "msg_fields.h"

#include <cczoo/codec.h>

#include <string.h>

enum {
    NAME_MAX_SIZE = 256,
    RECEIPT_SIZE = 64,
    PROPOSAL_SIZE_MAX = CCZ_KMS_MESSAGE_SIZE_MAX - 65536 /* some room for what comes around it */
}; /* over-long names are refused by the name rule, with a reason */

const struct cczi_msg_field cczi_msg_receipt[] = {
    UINT(1, cczi_msg_receipt, seq, UINT64_MAX),
    SPAN(2, cczi_msg_receipt, sha256, 32),
    UINT(3, cczi_msg_receipt, time_s, INT64_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_release_req[] = {
    SPAN(1, cczi_msg_release_req, item, NAME_MAX_SIZE),
    UINT(2, cczi_msg_release_req, version, UINT32_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_release_resp[] = {
    SPAN(1, cczi_msg_release_resp, value, CCZ_KMS_VALUE_SIZE_MAX),
    SPAN(2, cczi_msg_release_resp, alg, CCZ_KMS_ALG_SIZE - 1),
    UINT(3, cczi_msg_release_resp, version, UINT32_MAX),
    SPAN(4, cczi_msg_release_resp, policy, CCZ_KMS_NAME_SIZE - 1),
    SPAN(5, cczi_msg_release_resp, policy_sha256, 32),
    SPAN(6, cczi_msg_release_resp, rule, 63),
    SPAN(7, cczi_msg_release_resp, instance, CCZ_KMS_INSTANCE_SIZE),
    SPAN(CCZI_MSG_INCLUSION, cczi_msg_release_resp, inclusion, CCZ_KMS_INCLUSION_SIZE_MAX),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_release_resp, receipt, RECEIPT_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_put_req[] = {
    SPAN(1, cczi_msg_put_req, name, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_put_req, alg, NAME_MAX_SIZE),
    SPAN(3, cczi_msg_put_req, value, CCZ_KMS_VALUE_SIZE_MAX),
    SPAN(4, cczi_msg_put_req, policy, NAME_MAX_SIZE),
    UINT(5, cczi_msg_put_req, new_version, 1),
    UINT(6, cczi_msg_put_req, check_version, 1),
    UINT(7, cczi_msg_put_req, if_version, UINT32_MAX),
    UINT(8, cczi_msg_put_req, expires_s, INT64_MAX),
    SPAN(9, cczi_msg_put_req, metadata, CCZI_KMS_METADATA_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_put_resp[] = {
    UINT(1, cczi_msg_put_resp, version, UINT32_MAX),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_put_resp, receipt, RECEIPT_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_put_policy_req[] = {
    SPAN(1, cczi_msg_put_policy_req, name, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_put_policy_req, json, CCZ_POLICY_SIZE_MAX),
    UINT(3, cczi_msg_put_policy_req, replace, 1),
    END,
};
const struct cczi_msg_field cczi_msg_bind_req[] = {
    SPAN(1, cczi_msg_bind_req, item, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_bind_req, policy, NAME_MAX_SIZE),
    SPAN(3, cczi_msg_bind_req, op, NAME_MAX_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_delete_req[] = {
    SPAN(1, cczi_msg_delete_req, target, NAME_MAX_SIZE),
    UINT(2, cczi_msg_delete_req, version, UINT32_MAX),
    UINT(3, cczi_msg_delete_req, recovery_s, UINT32_MAX),
    UINT(4, cczi_msg_delete_req, no_recovery, 1),
    END,
};
const struct cczi_msg_field cczi_msg_target_req[] = {
    SPAN(1, cczi_msg_delete_req, target, NAME_MAX_SIZE),
    UINT(2, cczi_msg_delete_req, version, UINT32_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_get_policy_resp[] = {
    SPAN(1, cczi_msg_get_policy_resp, json, CCZ_POLICY_SIZE_MAX),
    SPAN(2, cczi_msg_get_policy_resp, sha256, 32),
    END,
};
const struct cczi_msg_field cczi_msg_none[] = {END};
const struct cczi_msg_field cczi_msg_list_req[] = {
    SPAN(1, cczi_msg_list_req, after, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_list_req, next, NAME_MAX_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_describe_req[] = {
    SPAN(1, cczi_msg_describe_req, item, NAME_MAX_SIZE),
    UINT(2, cczi_msg_describe_req, after_version, CCZ_KMS_VERSIONS_MAX),
    {0},
};
const struct cczi_msg_field cczi_msg_name[] = {
    SPAN(1, cczi_msg_name, name, NAME_MAX_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_item[] = {
    SPAN(1, cczi_msg_item, item, CCZ_KMS_ITEM_SIZE - 1),
    SPAN(2, cczi_msg_item, alg, CCZ_KMS_ALG_SIZE - 1),
    UINT(3, cczi_msg_item, version, UINT32_MAX),
    UINT(4, cczi_msg_item, created_s, INT64_MAX),
    SPAN(5, cczi_msg_item, policy, CCZ_KMS_NAME_SIZE - 1),
    UINT(6, cczi_msg_item, disabled, 1),
    UINT(7, cczi_msg_item, expires_s, INT64_MAX),
    UINT(8, cczi_msg_item, delete_after_s, INT64_MAX),
    SPAN(9, cczi_msg_item, metadata, CCZI_KMS_METADATA_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_audit_req[] = {
    UINT(1, cczi_msg_audit_req, after_seq, INT64_MAX),
    UINT(2, cczi_msg_audit_req, limit, UINT32_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_audit_line[] = {
    UINT(1, cczi_msg_audit_line, seq, INT64_MAX), UINT(2, cczi_msg_audit_line, time_s, INT64_MAX),
    SPAN(3, cczi_msg_audit_line, entry, 65536),   SPAN(4, cczi_msg_audit_line, prev, 32),
    SPAN(5, cczi_msg_audit_line, hash, 32),       END,
};
const struct cczi_msg_field cczi_msg_checkpoint[] = {
    SPAN(2, cczi_msg_checkpoint, text, CCZ_KMS_CHECKPOINT_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_status[] = {
    SPAN(1, cczi_msg_status, version, 15),
    SPAN(2, cczi_msg_status, tee, 15),
    UINT(3, cczi_msg_status, simulated, 1),
    UINT(4, cczi_msg_status, started_s, INT64_MAX),
    UINT(5, cczi_msg_status, keys, INT64_MAX),
    UINT(6, cczi_msg_status, secrets, INT64_MAX),
    UINT(7, cczi_msg_status, policies, INT64_MAX),
    UINT(8, cczi_msg_status, unbound, INT64_MAX),
    UINT(9, cczi_msg_status, audit_seq, INT64_MAX),
    SPAN(10, cczi_msg_status, audit_sha256, 32),
    UINT(11, cczi_msg_status, collateral_expires_s, INT64_MAX),
    SPAN(12, cczi_msg_status, instance, CCZ_KMS_INSTANCE_SIZE),
    UINT(13, cczi_msg_status, counted, 1),
    UINT(14, cczi_msg_status, quota_most_percent, 100),
    END,
};

const struct cczi_msg_field cczi_msg_role[] = {
    SPAN(1, cczi_msg_role, ns, NAME_MAX_SIZE),    SPAN(2, cczi_msg_role, principal, 32),
    UINT(3, cczi_msg_role, roles, UINT32_MAX),    UINT(4, cczi_msg_role, kind, 1),
    SPAN(5, cczi_msg_role, label, NAME_MAX_SIZE), END,
};
const struct cczi_msg_field cczi_msg_quorum[] = {
    SPAN(1, cczi_msg_quorum, ns, NAME_MAX_SIZE),
    UINT(2, cczi_msg_quorum, needed, UINT32_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_propose_req[] = {
    SPAN(1, cczi_msg_propose_req, method, 31),
    SPAN(2, cczi_msg_propose_req, body, PROPOSAL_SIZE_MAX),
    UINT(3, cczi_msg_propose_req, valid_s, UINT32_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_propose_resp[] = {
    UINT(1, cczi_msg_propose_resp, id, INT64_MAX),
    UINT(2, cczi_msg_propose_resp, needed, UINT32_MAX),
    UINT(3, cczi_msg_propose_resp, expires_s, INT64_MAX),
    SPAN(4, cczi_msg_propose_resp, sha256, 32),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_propose_resp, receipt, RECEIPT_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_approve_req[] = {
    UINT(1, cczi_msg_approve_req, id, INT64_MAX),
    SPAN(2, cczi_msg_approve_req, sha256, 32),
    END,
};
const struct cczi_msg_field cczi_msg_reject_req[] = {
    UINT(1, cczi_msg_approve_req, id, INT64_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_approve_resp[] = {
    UINT(1, cczi_msg_approve_resp, done, 1),
    UINT(2, cczi_msg_approve_resp, approvals, UINT32_MAX),
    UINT(3, cczi_msg_approve_resp, needed, UINT32_MAX),
    UINT(4, cczi_msg_approve_resp, executed_seq, INT64_MAX),
    SPAN(CCZI_MSG_RECEIPT, cczi_msg_approve_resp, receipt, RECEIPT_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_proposals_req[] = {
    UINT(1, cczi_msg_proposals_req, after_id, INT64_MAX),
    UINT(2, cczi_msg_proposals_req, limit, UINT32_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_proposal[] = {
    UINT(1, cczi_msg_proposal, id, INT64_MAX),
    SPAN(2, cczi_msg_proposal, ns, NAME_MAX_SIZE),
    SPAN(3, cczi_msg_proposal, method, 31),
    SPAN(4, cczi_msg_proposal, body, PROPOSAL_SIZE_MAX),
    SPAN(5, cczi_msg_proposal, proposer, 32),
    UINT(6, cczi_msg_proposal, created_s, INT64_MAX),
    UINT(7, cczi_msg_proposal, expires_s, INT64_MAX),
    UINT(8, cczi_msg_proposal, state, 15),
    UINT(9, cczi_msg_proposal, needed, UINT32_MAX),
    SPAN(11, cczi_msg_proposal, sha256, 32),
    END,
};

static const struct cczi_msg_field *find(const struct cczi_msg_field *fields, uint32_t number)
{
    for (; fields->type != CCZI_MSG_END; fields++)
        if (fields->number == number)
            return fields;
    return NULL;
}

static ccz_rc get_field(void *msg, const struct cczi_msg_field *t, const struct ccz_pb_field *f,
                        struct ccz_err *err)
{
    bool span = t->type == CCZI_MSG_SPAN;
    if (f->wire != (span ? CCZ_PB_LEN : CCZ_PB_VARINT))
        return ccz_fail(err, CCZ_E_FORMAT, "kms:request", f->number, "field %u has wire type %d",
                        f->number, (int)f->wire);
    uint64_t amount = span ? f->bytes.size : f->num;
    if (amount > t->max)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:request", f->number, "field %u: %llu is above %llu",
                        f->number, (unsigned long long)amount, (unsigned long long)t->max);
    void *at = (uint8_t *)msg + t->offset;
    if (span)
        *(struct ccz_span *)at = f->bytes;
    else
        *(uint64_t *)at = f->num;
    return CCZ_OK;
}

ccz_rc cczi_msg_get(void *msg, const struct cczi_msg_field *fields, struct ccz_span in,
                    struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    uint32_t seen = 0; /* one bit per field number; our numbers are below 32 */
    while (ccz_pb_next(&f, &r)) {
        const struct cczi_msg_field *t = find(fields, f.number);
        if (!t)
            continue;
        if (seen & (1u << t->number)) /* two values: two readers could pick different ones */
            return ccz_fail(err, CCZ_E_FORMAT, "kms:request", t->number, "field %u is given twice",
                            t->number);
        seen |= 1u << t->number;
        ccz_rc rc = get_field(msg, t, &f, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return r.bad ? ccz_fail(err, CCZ_E_FORMAT, "kms:request", (int64_t)in.size,
                            "truncated or malformed message")
                 : CCZ_OK;
}

uint32_t cczi_msg_unknown(const struct cczi_msg_field *fields, struct ccz_span in)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    while (ccz_pb_next(&f, &r))
        if (!find(fields, f.number))
            return f.number;
    return 0;
}

void cczi_msg_put(struct ccz_buf *out, const struct cczi_msg_field *fields, const void *msg)
{
    for (; fields->type != CCZI_MSG_END; fields++) {
        const void *at = (const uint8_t *)msg + fields->offset;
        const struct ccz_span *s = at;
        const uint64_t *n = at;
        if (fields->type == CCZI_MSG_SPAN && s->size)
            ccz_pb_put_bytes(out, fields->number, *s);
        else if (fields->type == CCZI_MSG_UINT && *n)
            ccz_pb_put_uint(out, fields->number, *n);
    }
}
