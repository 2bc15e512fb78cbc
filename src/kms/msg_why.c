/* SPDX-License-Identifier: Apache-2.0 */
/* The messages of kms_why.h as tables. */
#include "kms_priv.h"
#include "msg_fields.h"

enum { NAME_MAX_SIZE = 256, CLAIMS_JSON_MAX = 65536, WORKLOAD_MAX = CLAIMS_JSON_MAX + 1024 };

const struct cczi_msg_field cczi_msg_decision[] = {
    SPAN(1, cczi_msg_decision, id, CCZ_KMS_DECISION_SIZE - 1),
    UINT(2, cczi_msg_decision, time_s, INT64_MAX),
    SPAN(3, cczi_msg_decision, op, 64),
    SPAN(4, cczi_msg_decision, verdict, 16),
    SPAN(5, cczi_msg_decision, item, CCZ_KMS_ITEM_SIZE - 1),
    UINT(6, cczi_msg_decision, version, UINT32_MAX),
    SPAN(7, cczi_msg_decision, policy, CCZ_KMS_NAME_SIZE - 1),
    SPAN(8, cczi_msg_decision, policy_sha256, 64),
    SPAN(9, cczi_msg_decision, rule, 63),
    SPAN(10, cczi_msg_decision, grace_until, 20),
    SPAN(11, cczi_msg_decision, where, CCZ_ERR_WHERE_SIZE),
    SPAN(12, cczi_msg_decision, got, CCZ_ERR_VALUE_SIZE),
    SPAN(13, cczi_msg_decision, expected, CCZ_ERR_VALUE_SIZE),
    SPAN(16, cczi_msg_decision, reason, CCZ_ERR_MSG_SIZE),
    SPAN(17, cczi_msg_decision, entry, 65536),
    SPAN(18, cczi_msg_decision, prev, 32),
    SPAN(19, cczi_msg_decision, hash, 32),
    SPAN(20, cczi_msg_decision, references, CCZ_POLICY_DECIDED_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_workloads_req[] = {
    SPAN(1, cczi_msg_workloads_req, policy, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_workloads_req, after, 32),
    UINT(3, cczi_msg_workloads_req, claims, 1),
    END,
};
const struct cczi_msg_field cczi_msg_workload[] = {
    SPAN(1, cczi_msg_workload, id, 32),
    SPAN(2, cczi_msg_workload, policy, CCZ_KMS_NAME_SIZE - 1),
    SPAN(3, cczi_msg_workload, tee, 8),
    UINT(4, cczi_msg_workload, simulated, 1),
    SPAN(5, cczi_msg_workload, measurement, 48),
    SPAN(6, cczi_msg_workload, status, 63),
    UINT(7, cczi_msg_workload, first_s, INT64_MAX),
    UINT(8, cczi_msg_workload, last_s, INT64_MAX),
    UINT(9, cczi_msg_workload, accepted, INT64_MAX),
    UINT(10, cczi_msg_workload, refused, INT64_MAX),
    SPAN(11, cczi_msg_workload, claims, CLAIMS_JSON_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_replay_req[] = {
    SPAN(1, cczi_msg_replay_req, policy, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_replay_req, json, CCZ_POLICY_SIZE_MAX),
    UINT(3, cczi_msg_replay_req, at_s, INT64_MAX),
    SPAN(4, cczi_msg_replay_req, after, 32),
    SPAN(5, cczi_msg_replay_req, reference, NAME_MAX_SIZE),
    SPAN(6, cczi_msg_replay_req, reference_json, CCZ_REFERENCE_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_replayed[] = {
    SPAN(1, cczi_msg_replayed, workload, WORKLOAD_MAX),
    UINT(2, cczi_msg_replayed, now, 1),
    UINT(3, cczi_msg_replayed, then, 1),
    SPAN(4, cczi_msg_replayed, rule, 63),
    UINT(5, cczi_msg_replayed, grace_until_s, INT64_MAX),
    SPAN(6, cczi_msg_replayed, where, CCZ_ERR_WHERE_SIZE),
    SPAN(7, cczi_msg_replayed, got, CCZ_ERR_VALUE_SIZE),
    SPAN(8, cczi_msg_replayed, expected, CCZ_ERR_VALUE_SIZE),
    SPAN(9, cczi_msg_replayed, reason, CCZ_ERR_MSG_SIZE),
    SPAN(10, cczi_msg_replayed, references, CCZ_POLICY_DECIDED_SIZE),
    END,
};
const struct cczi_msg_field cczi_msg_page[] = {
    SPAN(3, cczi_msg_page, next, 32),
    SPAN(4, cczi_msg_page, sha256, 32),
    SPAN(5, cczi_msg_page, state, 32),
    END,
};
const struct cczi_msg_field cczi_msg_stage_req[] = {
    SPAN(1, cczi_msg_stage_req, policy, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_stage_req, json, CCZ_POLICY_SIZE_MAX),
    UINT(3, cczi_msg_stage_req, ends_s, INT64_MAX),
    UINT(4, cczi_msg_stage_req, replace, 1),
    END,
};
const struct cczi_msg_field cczi_msg_staged[] = {
    SPAN(1, cczi_msg_staged, policy, CCZ_KMS_NAME_SIZE - 1),
    SPAN(2, cczi_msg_staged, sha256, 32),
    UINT(3, cczi_msg_staged, created_s, INT64_MAX),
    UINT(4, cczi_msg_staged, ends_s, INT64_MAX),
    UINT(5, cczi_msg_staged, ended, 1),
    UINT(6, cczi_msg_staged, would_accept, INT64_MAX),
    UINT(7, cczi_msg_staged, would_refuse, INT64_MAX),
    SPAN(8, cczi_msg_staged, json, CCZ_POLICY_SIZE_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_roll_out_req[] = {
    SPAN(1, cczi_msg_roll_out_req, policy, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_roll_out_req, sha256, 32),
    END,
};
const struct cczi_msg_field cczi_msg_put_reference_req[] = {
    SPAN(1, cczi_msg_put_reference_req, name, NAME_MAX_SIZE),
    SPAN(2, cczi_msg_put_reference_req, json, CCZ_REFERENCE_SIZE_MAX),
    UINT(3, cczi_msg_put_reference_req, replace, 1),
    END,
};
const struct cczi_msg_field cczi_msg_get_reference_req[] = {
    SPAN(1, cczi_msg_get_reference_req, name, NAME_MAX_SIZE),
    UINT(2, cczi_msg_get_reference_req, version, UINT32_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_get_reference_resp[] = {
    SPAN(1, cczi_msg_get_reference_resp, json, CCZ_REFERENCE_SIZE_MAX),
    SPAN(2, cczi_msg_get_reference_resp, sha256, 32),
    UINT(3, cczi_msg_get_reference_resp, version, UINT32_MAX),
    UINT(4, cczi_msg_get_reference_resp, created_s, INT64_MAX),
    END,
};
const struct cczi_msg_field cczi_msg_reference_set[] = {
    SPAN(1, cczi_msg_reference_set, name, CCZ_KMS_NAME_SIZE - 1),
    UINT(2, cczi_msg_reference_set, version, UINT32_MAX),
    SPAN(3, cczi_msg_reference_set, sha256, 32),
    UINT(4, cczi_msg_reference_set, created_s, INT64_MAX),
    UINT(5, cczi_msg_reference_set, values, CCZ_REFERENCE_VALUES_MAX),
    UINT(6, cczi_msg_reference_set, value_size, 64),
    END,
};
