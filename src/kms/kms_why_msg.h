/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_WHY_MSG_H
#define CCZI_KMS_WHY_MSG_H
/* Messages of kms_why.h, as in proto/kms.proto; tables in msg_why.c. Included by kms_priv.h. */

struct cczi_msg_decision {
    struct ccz_span id;
    uint64_t time_s;
    struct ccz_span op, verdict, item;
    uint64_t version;
    struct ccz_span policy, policy_sha256, rule, grace_until;
    struct ccz_span where, got, expected, reason;
    struct ccz_span entry, prev, hash; /* the audit line that all of it is from */
    struct ccz_span references;
};
struct cczi_msg_workloads_req {
    struct ccz_span policy, after;
    uint64_t claims;
};
struct cczi_msg_workload {
    struct ccz_span id, policy, tee;
    uint64_t simulated;
    struct ccz_span measurement, status;
    uint64_t first_s, last_s, accepted, refused;
    struct ccz_span claims;
};
struct cczi_msg_replay_req {
    struct ccz_span policy, json;
    uint64_t at_s;
    struct ccz_span after, reference, reference_json;
};
struct cczi_msg_replayed {
    struct ccz_span workload;
    uint64_t now, then;
    struct ccz_span rule;
    uint64_t grace_until_s;
    struct ccz_span where, got, expected, reason, references;
};
struct cczi_msg_page { /* what comes behind the rows of Workloads and Replay */
    struct ccz_span next, sha256, state;
};
struct cczi_msg_stage_req {
    struct ccz_span policy, json;
    uint64_t ends_s, replace;
};
struct cczi_msg_staged {
    struct ccz_span policy, sha256;
    uint64_t created_s, ends_s, ended, would_accept, would_refuse;
    struct ccz_span json;
};
struct cczi_msg_roll_out_req {
    struct ccz_span policy, sha256;
};
extern const struct cczi_msg_field cczi_msg_decision[], cczi_msg_workloads_req[],
    cczi_msg_workload[], cczi_msg_replay_req[], cczi_msg_replayed[], cczi_msg_page[],
    cczi_msg_stage_req[], cczi_msg_staged[], cczi_msg_roll_out_req[];
#endif
