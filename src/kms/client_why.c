/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side of kms_why.h. What a server answers is checked like any other input. */
#include "client_priv.h"

#include <cczoo/kms_reference.h>

#include <cczoo/codec.h>

#include <string.h>

static bool take_digest(uint8_t out[32], struct ccz_span s)
{
    if (s.size == 32)
        memcpy(out, s.ptr, 32);
    return s.size == 32;
}

#define TAKE(out, span) ccz_escape(out, sizeof(out), span) /* printable in any case */

/* --------------------------------------------------------------------------------- why */

ccz_rc ccz_kms_why(struct ccz_rpc_client *c, const char *id, ccz_kms_decision_fn fn, void *arg,
                   struct ccz_err *err)
{
    uint64_t seq;
    ccz_rc rc = ccz_kms_decision_parse(&seq, ccz_span_str(id), err);
    if (rc != CCZ_OK)
        return cczi_kms_hint(err, rc);
    const struct cczi_msg_name req = {.name = ccz_span_str(id)};
    struct cczi_msg_decision m = {0};
    CCZ_AUTO_BUF response = {0};
    rc = cczi_kms_call(&response, c, "Why", cczi_msg_name, &req, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_kms_audit_line l = {.seq = seq};
    if (cczi_msg_get(&m, cczi_msg_decision, ccz_buf_span(&response), NULL) != CCZ_OK ||
        !ccz_span_eq(m.id, ccz_span_str(id)) || !take_digest(l.prev, m.prev) ||
        !take_digest(l.hash, m.hash))
        return cczi_kms_malformed(err);
    l.time_s = (int64_t)m.time_s;
    l.entry = m.entry;
    rc = ccz_kms_audit_check(&l, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_kms_decision d = {.time_s = l.time_s,
                                 .version = (uint32_t)m.version,
                                 .accepted = ccz_span_eq(m.verdict, ccz_span_str("accept")),
                                 .entry = m.entry};
    TAKE(d.id, m.id);
    TAKE(d.op, m.op);
    TAKE(d.item, m.item);
    TAKE(d.policy, m.policy);
    TAKE(d.policy_sha256, m.policy_sha256);
    TAKE(d.rule, m.rule);
    TAKE(d.grace_until, m.grace_until);
    TAKE(d.where, m.where);
    TAKE(d.got, m.got);
    TAKE(d.expected, m.expected);
    TAKE(d.reason, m.reason);
    TAKE(d.references, m.references);
    fn(arg, &d);
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------- pages */

static enum ccz_tee tee_of(struct ccz_span name)
{
    for (int t = CCZ_TEE_SGX; t <= CCZ_TEE_SNP; t++)
        if (ccz_span_eq(name, ccz_span_str(ccz_tee_name((enum ccz_tee)t))))
            return (enum ccz_tee)t;
    return CCZ_TEE_NONE;
}

static bool take_workload(struct ccz_kms_workload *w, struct ccz_span in)
{
    struct cczi_msg_workload m = {0};
    if (cczi_msg_get(&m, cczi_msg_workload, in, NULL) != CCZ_OK || !take_digest(w->id, m.id) ||
        m.measurement.size > sizeof(w->measurement) / 2)
        return false;
    TAKE(w->policy, m.policy);
    TAKE(w->status, m.status);
    w->tee = tee_of(m.tee);
    w->simulated = m.simulated != 0;
    ccz_hex(w->measurement, m.measurement.ptr, m.measurement.size);
    w->first_s = (int64_t)m.first_s;
    w->last_s = (int64_t)m.last_s;
    w->accepted = m.accepted;
    w->refused = m.refused;
    w->claims = m.claims;
    return w->tee != CCZ_TEE_NONE;
}

static bool take_replayed(struct ccz_kms_replayed *r, struct ccz_span in)
{
    struct cczi_msg_replayed m = {0};
    if (cczi_msg_get(&m, cczi_msg_replayed, in, NULL) != CCZ_OK ||
        !take_workload(&r->workload, m.workload))
        return false;
    r->now = m.now != 0;
    r->then = m.then != 0;
    r->grace_until_s = (int64_t)m.grace_until_s;
    TAKE(r->rule, m.rule);
    TAKE(r->where, m.where);
    TAKE(r->got, m.got);
    TAKE(r->expected, m.expected);
    TAKE(r->reason, m.reason);
    TAKE(r->references, m.references);
    return true;
}

/* Rows of one page go to `row`, which says whether they are well formed. */
struct walk {
    bool (*row)(struct walk *w, struct ccz_span in);
    bool more;
    uint8_t next[32], sha256[32], state[32];
    bool has_sha256, has_state;
    ccz_kms_workload_fn workload;
    ccz_kms_replayed_fn replayed;
    void *arg;
    struct ccz_kms_replay sum;
};

/* Half of it was judged by another policy in force, or by other reference values. A server that is older does not say. */
static ccz_rc take_state(struct walk *w, struct ccz_span in, struct ccz_err *err)
{
    uint8_t state[32];
    if (in.size == 0)
        return CCZ_OK;
    if (!take_digest(state, in))
        return cczi_kms_malformed(err);
    if (w->has_state && memcmp(state, w->state, 32) != 0) {
        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "kms:replay-changed", state, 32, w->state, 32);
        return cczi_kms_hint(err, CCZ_E_MISMATCH);
    }
    memcpy(w->state, state, 32);
    w->has_state = true;
    return CCZ_OK;
}

static ccz_rc take_page(struct walk *w, struct ccz_span in, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    struct cczi_msg_page p = {0};
    uint8_t sha256[32];
    w->more = false;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == CCZI_MSG_MORE && f.wire == CCZ_PB_VARINT)
            w->more = f.num != 0;
        if (f.number == CCZI_MSG_REPEATED && (f.wire != CCZ_PB_LEN || !w->row(w, f.bytes)))
            return cczi_kms_malformed(err);
    }
    if (r.bad || cczi_msg_get(&p, cczi_msg_page, in, NULL) != CCZ_OK)
        return cczi_kms_malformed(err);
    if (p.sha256.size && !take_digest(sha256, p.sha256))
        return cczi_kms_malformed(err);
    if (p.sha256.size && w->has_sha256 && memcmp(sha256, w->sha256, 32) != 0)
        return ccz_refuse_bytes(err, CCZ_E_MISMATCH, "kms:staged-changed", sha256, 32, w->sha256,
                                32); /* half of it was tried on another policy */
    if (p.sha256.size)
        memcpy(w->sha256, sha256, 32);
    w->has_sha256 = p.sha256.size != 0;
    ccz_rc rc = take_state(w, p.state, err);
    if (rc != CCZ_OK || !w->more)
        return rc;
    /* "more", and no further than before: would go on for ever */
    if (p.next.size != 32 || memcmp(p.next.ptr, w->next, 32) <= 0)
        return cczi_kms_malformed(err);
    memcpy(w->next, p.next.ptr, 32);
    return CCZ_OK;
}

static bool on_workload(struct walk *w, struct ccz_span in)
{
    struct ccz_kms_workload one = {0};
    if (!take_workload(&one, in))
        return false;
    w->workload(w->arg, &one);
    return true;
}

static bool on_replayed(struct walk *w, struct ccz_span in)
{
    struct ccz_kms_replayed one = {0};
    if (!take_replayed(&one, in))
        return false;
    w->sum.workloads++;
    w->sum.blocked += one.now && !one.then;
    w->sum.admitted += one.then && !one.now;
    if (w->replayed)
        w->replayed(w->arg, &one);
    return true;
}

ccz_rc ccz_kms_workloads(struct ccz_rpc_client *c, const char *policy, ccz_kms_workload_fn fn,
                         void *arg, struct ccz_err *err)
{
    struct walk w = {.row = on_workload, .more = true, .workload = fn, .arg = arg};
    for (bool first = true; w.more; first = false) {
        const struct cczi_msg_workloads_req m = {
            .policy = ccz_span_str(policy ? policy : ""),
            .after = CCZ_SPAN(w.next, first ? 0 : 32),
            .claims = 1,
        };
        CCZ_AUTO_BUF response = {0};
        ccz_rc rc = cczi_kms_call(&response, c, "Workloads", cczi_msg_workloads_req, &m, err);
        if (rc == CCZ_OK)
            rc = take_page(&w, ccz_buf_span(&response), err);
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

static ccz_rc replay(struct ccz_kms_replay *out, struct ccz_rpc_client *c,
                     const struct cczi_msg_replay_req *what, ccz_kms_replayed_fn fn, void *arg,
                     struct ccz_err *err)
{
    struct walk w = {.row = on_replayed, .more = true, .replayed = fn, .arg = arg};
    if (out)
        *out = (struct ccz_kms_replay){0};
    for (bool first = true; w.more; first = false) {
        struct cczi_msg_replay_req m = *what;
        m.after = CCZ_SPAN(w.next, first ? 0 : 32);
        CCZ_AUTO_BUF response = {0};
        ccz_rc rc = cczi_kms_call(&response, c, "Replay", cczi_msg_replay_req, &m, err);
        if (rc == CCZ_OK)
            rc = take_page(&w, ccz_buf_span(&response), err);
        if (rc == CCZ_OK && !w.has_sha256)
            rc = cczi_kms_malformed(err);
        if (rc != CCZ_OK)
            return rc;
    }
    memcpy(w.sum.sha256, w.sha256, 32);
    if (out)
        *out = w.sum;
    return CCZ_OK;
}

ccz_rc ccz_kms_replay_policy(struct ccz_kms_replay *out, struct ccz_rpc_client *c,
                             const char *policy, struct ccz_span json, int64_t at_s,
                             ccz_kms_replayed_fn fn, void *arg, struct ccz_err *err)
{
    const struct cczi_msg_replay_req m = {
        .policy = ccz_span_str(policy), .json = json, .at_s = (uint64_t)at_s};
    return replay(out, c, &m, fn, arg, err);
}

ccz_rc ccz_kms_replay_reference(struct ccz_kms_replay *out, struct ccz_rpc_client *c,
                                const char *policy, struct ccz_span json, const char *reference,
                                struct ccz_span set, int64_t at_s, ccz_kms_replayed_fn fn,
                                void *arg, struct ccz_err *err)
{
    const struct cczi_msg_replay_req m = {.policy = ccz_span_str(policy),
                                          .json = json,
                                          .at_s = (uint64_t)at_s,
                                          .reference = ccz_span_str(reference),
                                          .reference_json = set};
    return replay(out, c, &m, fn, arg, err);
}

/* ---------------------------------------------------------------------------- evidence */

ccz_rc ccz_kms_get_evidence(struct ccz_kms_kept *out, struct ccz_buf *evidence,
                            struct ccz_rpc_client *c, const char *ns, const uint8_t sha256[32],
                            struct ccz_err *err)
{
    const struct cczi_msg_get_evidence_req req = {ccz_span_str(ns), CCZ_SPAN(sha256, 32)};
    struct cczi_msg_get_evidence_resp m = {0};
    uint8_t digest[32];
    *out = (struct ccz_kms_kept){0};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "GetEvidence", cczi_msg_get_evidence_req, &req, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_msg_get(&m, cczi_msg_get_evidence_resp, ccz_buf_span(&response), NULL) != CCZ_OK ||
        ccz_sha256(digest, m.evidence) != CCZ_OK || memcmp(digest, sha256, 32) != 0)
        return cczi_kms_malformed(err);
    ccz_buf_put_span(evidence, m.evidence);
    if (evidence->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:response", (int64_t)evidence->max_size,
                        "the evidence is too large");
    memcpy(out->sha256, digest, sizeof(digest));
    TAKE(out->tee, m.tee);
    out->time_s = (int64_t)m.time_s;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------------ staged */

ccz_rc ccz_kms_stage(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *policy,
                     struct ccz_span json, int64_t ends_s, bool replace, struct ccz_err *err)
{
    const struct cczi_msg_stage_req m = {.policy = ccz_span_str(policy),
                                         .json = json,
                                         .ends_s = (uint64_t)ends_s,
                                         .replace = replace};
    return cczi_kms_change(receipt, c, "StagePolicy", cczi_msg_stage_req, &m, err);
}

ccz_rc ccz_kms_unstage(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                       const char *policy, struct ccz_err *err)
{
    const struct cczi_msg_name m = {.name = ccz_span_str(policy)};
    return cczi_kms_change(receipt, c, "Unstage", cczi_msg_name, &m, err);
}

static bool take_staged(struct ccz_kms_staged *out, struct ccz_span *json, struct ccz_span in)
{
    struct cczi_msg_staged m = {0};
    *out = (struct ccz_kms_staged){0};
    if (cczi_msg_get(&m, cczi_msg_staged, in, NULL) != CCZ_OK ||
        !take_digest(out->sha256, m.sha256))
        return false;
    TAKE(out->policy, m.policy);
    out->created_s = (int64_t)m.created_s;
    out->ends_s = (int64_t)m.ends_s;
    out->ended = m.ended != 0;
    out->would_accept = m.would_accept;
    out->would_refuse = m.would_refuse;
    *json = m.json;
    return true;
}

ccz_rc ccz_kms_get_staged(struct ccz_kms_staged *out, struct ccz_buf *json,
                          struct ccz_rpc_client *c, const char *policy, struct ccz_err *err)
{
    const struct cczi_msg_name m = {.name = ccz_span_str(policy)};
    struct ccz_kms_staged st;
    struct ccz_span text;
    uint8_t digest[32];
    *out = (struct ccz_kms_staged){0};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "GetStaged", cczi_msg_name, &m, err);
    if (rc != CCZ_OK)
        return rc;
    if (!take_staged(&st, &text, ccz_buf_span(&response)) || ccz_sha256(digest, text) != CCZ_OK ||
        memcmp(digest, st.sha256, 32) != 0)
        return cczi_kms_malformed(err);
    if (json)
        ccz_buf_put_span(json, text);
    if (json && json->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:response", (int64_t)json->max_size,
                        "the policy is too large");
    *out = st;
    return CCZ_OK;
}

struct staged_sink {
    ccz_kms_staged_fn fn;
    void *arg;
};

static ccz_rc take_one(char name[CCZ_KMS_NAME_SIZE], struct ccz_span one, void *to,
                       struct ccz_err *err)
{
    const struct staged_sink *sink = to;
    struct ccz_kms_staged st;
    struct ccz_span none;
    if (!take_staged(&st, &none, one))
        return cczi_kms_malformed(err);
    memcpy(name, st.policy, sizeof(st.policy));
    sink->fn(sink->arg, &st);
    return CCZ_OK;
}

ccz_rc ccz_kms_list_staged(struct ccz_rpc_client *c, ccz_kms_staged_fn fn, void *arg,
                           struct ccz_err *err)
{
    struct staged_sink sink = {fn, arg};
    return cczi_kms_list_by_name(c, "ListStaged", take_one, &sink, err);
}

ccz_rc ccz_kms_roll_out(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                        const char *policy, const uint8_t sha256[32], struct ccz_err *err)
{
    const struct cczi_msg_roll_out_req m = {.policy = ccz_span_str(policy),
                                            .sha256 = CCZ_SPAN(sha256, 32)};
    return cczi_kms_change(receipt, c, "RollOut", cczi_msg_roll_out_req, &m, err);
}

ccz_rc ccz_kms_propose_roll_out(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                                const char *policy, const uint8_t sha256[32], uint32_t valid_s,
                                struct ccz_err *err)
{
    const struct cczi_msg_roll_out_req m = {.policy = ccz_span_str(policy),
                                            .sha256 = CCZ_SPAN(sha256, 32)};
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, 512);
    cczi_msg_put(&body, cczi_msg_roll_out_req, &m);
    if (body.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:request", 512, "the request is too large");
    return ccz_kms_propose(out, c, "RollOut", ccz_buf_span(&body), valid_s, err);
}
