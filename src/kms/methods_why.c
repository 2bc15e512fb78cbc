/* SPDX-License-Identifier: Apache-2.0 */
/* Why, Workloads, Replay; policies on trial: StagePolicy, Unstage, GetStaged, ListStaged, RollOut. */
#include "kms_priv.h"
#include "looks.h"
#include "quota.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    WORKLOADS_PAGE = 100, /* with claims, a few KB each */
    REPLAY_PAGE = 256,    /* judged in a few milliseconds, by small policies */
    STAGED_PAGE = 256
};

/* ------------------------------------------------------------------------ who may read */

/* The namespaces that a caller may read, of methods that find out on the way what they are about. */
enum { READER_NS_MAX = 64 };
struct reader {
    uint32_t roles; /* one of them */
    bool all;
    char ns[READER_NS_MAX][CCZ_KMS_NAME_SIZE];
    size_t len;
};

static ccz_rc add_ns(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    (void)err;
    struct reader *r = arg;
    if (!(a->roles & r->roles))
        return CCZ_OK;
    if (strcmp(a->ns, CCZI_KMS_NS_ALL) == 0)
        r->all = true;
    else if (r->len < READER_NS_MAX) /* who has more of them is told less */
        memcpy(r->ns[r->len++], a->ns, sizeof(r->ns[0]));
    return CCZ_OK;
}

static ccz_rc reader_of(struct reader *r, struct cczi_kms_call *call, uint32_t roles,
                        struct ccz_err *err)
{
    r->roles = roles;
    r->all = false;
    r->len = 0;
    return cczi_kms_admin_each(call->store, call->req->peer->spki_sha256, add_ns, r, err);
}

/* @param name  of an item or policy; NULL = none, so that only who reads all may read it */
static bool may_read(const struct reader *r, const char *name)
{
    char ns[CCZ_KMS_NAME_SIZE];
    if (r->all || !name)
        return r->all;
    cczi_kms_ns_of(ns, name);
    for (size_t i = 0; i < r->len; i++)
        if (strcmp(r->ns[i], ns) == 0)
            return true;
    return false;
}

static ccz_rc not_yours(struct ccz_err *err)
{
    ccz_refuse(err, CCZ_E_DENIED, "kms:role", "not an auditor of what it is about", "auditor");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

/* --------------------------------------------------------------------------------- why */

/* A member of an entry as text; "" if it is not there or longer than we ever wrote. */
static struct ccz_span member(const struct ccz_json *j, const char *key, size_t size_max)
{
    struct ccz_span s = ccz_json_bytes(ccz_json_get(j, key));
    return s.size <= size_max ? s : (struct ccz_span){0};
}

/* Who may read a decision is who may read what it is about. */
static bool may_read_entry(const struct reader *r, const struct ccz_json *entry)
{
    struct cczi_kms_ref ref;
    struct ccz_span item = member(entry, "item", CCZ_KMS_ITEM_SIZE - 1);
    bool about = item.size && cczi_kms_about_parse(&ref, item) == CCZ_OK;
    return may_read(r, about ? ref.name : NULL);
}

static void put_decision(struct ccz_buf *response, const struct ccz_kms_audit_line *l,
                         const struct ccz_json *e)
{
    char id[CCZ_KMS_DECISION_SIZE];
    int64_t version = 0;
    if (!ccz_json_int(&version, ccz_json_get(e, "version")))
        version = 0; /* most lines have none */
    ccz_kms_decision_print(id, l->seq);
    const struct cczi_msg_decision m = {
        .id = ccz_span_str(id),
        .time_s = (uint64_t)l->time_s,
        .op = member(e, "op", 64),
        .verdict = member(e, "verdict", 16),
        .item = member(e, "item", CCZ_KMS_ITEM_SIZE - 1),
        .version = (uint64_t)version,
        .policy = member(e, "policy", CCZ_KMS_NAME_SIZE - 1),
        .policy_sha256 = member(e, "policy_sha256", 64),
        .rule = member(e, "rule", 63),
        .grace_until = member(e, "grace_until", 20),
        .where = member(e, "where", CCZ_ERR_WHERE_SIZE),
        .got = member(e, "got", CCZ_ERR_VALUE_SIZE),
        .expected = member(e, "expected", CCZ_ERR_VALUE_SIZE),
        .reason = member(e, "reason", CCZ_ERR_MSG_SIZE),
        .entry = l->entry,
        .prev = CCZ_SPAN(l->prev, 32),
        .hash = CCZ_SPAN(l->hash, 32),
        .references = member(e, "references", CCZ_POLICY_DECIDED_SIZE),
    };
    cczi_msg_put(response, cczi_msg_decision, &m);
}

/* Line @p seq, its entry into @p entry. */
static ccz_rc read_line(struct ccz_kms_audit_line *l, struct ccz_buf *entry,
                        struct ccz_kms_store *s, uint64_t seq, struct ccz_err *err)
{
    *l = (struct ccz_kms_audit_line){0};
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)seq - 1);
    cczi_q_int(&q, 1);
    bool found = cczi_q_row(&q);
    if (found) {
        l->seq = (uint64_t)cczi_q_col_int(&q, 0);
        l->time_s = cczi_q_col_int(&q, 1);
        ccz_buf_put_span(entry, cczi_q_col(&q, 2));
        cczi_q_col_bytes(l->prev, sizeof(l->prev), &q, 3);
        cczi_q_col_bytes(l->hash, sizeof(l->hash), &q, 4);
    }
    ccz_rc rc = cczi_q_end_after(&q, found && l->seq == seq ? CCZ_OK : CCZ_E_NOT_FOUND, err);
    l->entry = ccz_buf_span(entry);
    if (rc == CCZ_OK && entry->bad)
        rc = ccz_fail(err, CCZ_E_SIG, "kms:audit-chain", (int64_t)seq,
                      "audit line %llu is larger than any that we write", (unsigned long long)seq);
    return rc == CCZ_OK ? ccz_kms_audit_check(l, err) : rc;
}

ccz_rc cczi_kms_run_why(struct ccz_buf *response, struct cczi_kms_call *call, struct ccz_err *err)
{
    struct cczi_msg_name m = {0};
    uint64_t seq;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_name, call->req->body, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_decision_parse(&seq, m.name, err);
    if (rc != CCZ_OK)
        return rc;
    struct ccz_kms_audit_line l;
    struct ccz_json *e = NULL;
    struct reader reader;
    CCZ_AUTO_BUF entry;
    ccz_buf_init(&entry, 65536);
    rc = reader_of(&reader, call, CCZ_KMS_ROLE_AUDITOR, err);
    if (rc == CCZ_OK)
        rc = read_line(&l, &entry, call->store, seq, err);
    if (rc == CCZ_E_NOT_FOUND && reader.all) /* who reads all of the log may know how long it is */
        return ccz_fail(err, CCZ_E_NOT_FOUND, "kms:decision", (int64_t)seq,
                        "there is no decision D%llu", (unsigned long long)seq);
    if (rc == CCZ_E_NOT_FOUND)
        return not_yours(err);
    if (rc == CCZ_OK)
        rc = ccz_json_parse(&e, l.entry, err);
    if (rc == CCZ_OK && !may_read_entry(&reader, e))
        rc = not_yours(err);
    if (rc == CCZ_OK)
        put_decision(response, &l, e);
    ccz_json_free(e);
    return rc;
}

/* --------------------------------------------------------------------------- workloads */

static struct ccz_span measurement(const struct ccz_claims *c)
{
    switch (c->tee) {
    case CCZ_TEE_SGX:
        return CCZ_SPAN(c->mrenclave, sizeof(c->mrenclave));
    case CCZ_TEE_TDX:
        return CCZ_SPAN(c->mrtd, sizeof(c->mrtd));
    case CCZ_TEE_SNP:
        return CCZ_SPAN(c->snp.measurement, sizeof(c->snp.measurement));
    default:
        return (struct ccz_span){0};
    }
}

/* The body of a Workload. */
static void put_workload(struct ccz_buf *out, const struct cczi_kms_evidence *e,
                         const struct ccz_claims *c, const struct cczi_kms_seen *seen,
                         struct ccz_span claims)
{
    struct cczi_msg_workload m = {
        .id = CCZ_SPAN(e->id, 32),
        .policy = ccz_span_str(e->policy),
        .tee = ccz_span_str(ccz_tee_name(c->tee)),
        .simulated = c->simulated,
        .measurement = measurement(c),
        .first_s = (uint64_t)e->first_s,
        .last_s = (uint64_t)e->last_s,
        .accepted = e->accepted,
        .refused = e->refused,
        .claims = claims,
    };
    if (c->tee != CCZ_TEE_SNP)
        m.status = ccz_span_str(ccz_tcb_status_name(c->tcb_status));
    cczi_kms_seen_pending(&m.accepted, &m.refused, seen, e->id);
    cczi_msg_put(out, cczi_msg_workload, &m);
}

static ccz_rc claims_of(struct ccz_claims *c, const struct cczi_kms_evidence *e,
                        struct ccz_err *err)
{
    return ccz_claims_get(c, e->claims, err);
}

/* A walk over rows: one more than a page is read, to know whether there are more. */
struct walk {
    struct cczi_kms_call *call;
    struct ccz_buf *response;
    const struct reader *reader;
    size_t n, max;
    uint8_t last[32];
    bool claims;
    /* of Replay */
    const struct ccz_policy *now, *then;
    int64_t at_s;
};

static void end_walk(const struct walk *w, struct ccz_span sha256, struct ccz_span state)
{
    const struct cczi_msg_page p = {
        .next = CCZ_SPAN(w->last, 32), .sha256 = sha256, .state = state};
    if (w->n > w->max)
        ccz_pb_put_uint(w->response, CCZI_MSG_MORE, 1);
    cczi_msg_put(w->response, cczi_msg_page, &p);
}

static ccz_rc on_workload(void *arg, const struct cczi_kms_evidence *e, struct ccz_err *err)
{
    struct walk *w = arg;
    struct ccz_claims c;
    if (++w->n > w->max)
        return CCZ_OK;
    memcpy(w->last, e->id, 32);
    if (!may_read(w->reader, e->policy))
        return CCZ_OK;
    ccz_rc rc = claims_of(&c, e, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF json;
    ccz_buf_init(&json, 65536);
    if (w->claims)
        ccz_claims_json(&json, &c);
    size_t mark = ccz_pb_open(w->response, CCZI_MSG_REPEATED);
    put_workload(w->response, e, &c, w->call->store->watch->seen, ccz_buf_span(&json));
    ccz_pb_close(w->response, mark);
    return CCZ_OK;
}

/* Where a walk goes on: nothing, or an id. */
static ccz_rc take_after(uint8_t out[32], struct ccz_span after, struct ccz_err *err)
{
    memset(out, 0, 32);
    if (after.size != 0 && after.size != 32)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:request", (int64_t)after.size,
                        "the id of a workload has 32 bytes");
    if (after.size)
        memcpy(out, after.ptr, 32);
    return CCZ_OK;
}

ccz_rc cczi_kms_run_workloads(struct ccz_buf *response, struct cczi_kms_call *call,
                              struct ccz_err *err)
{
    struct cczi_msg_workloads_req m = {0};
    char policy[CCZ_KMS_NAME_SIZE];
    uint8_t after[32];
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_workloads_req, call->req->body, err);
    if (rc == CCZ_OK && m.policy.size)
        rc = cczi_kms_name(policy, m.policy, err);
    struct reader reader;
    if (rc == CCZ_OK)
        rc = reader_of(&reader, call, CCZI_KMS_JUDGES, err);
    if (rc == CCZ_OK && m.policy.size && !may_read(&reader, policy))
        rc = not_yours(err);
    if (rc == CCZ_OK)
        rc = take_after(after, m.after, err);
    struct walk w = {.call = call,
                     .response = response,
                     .reader = &reader,
                     .max = WORKLOADS_PAGE,
                     .claims = m.claims != 0};
    if (rc == CCZ_OK)
        rc = cczi_kms_evidence_page(call->store, m.policy.size ? policy : NULL, after,
                                    WORKLOADS_PAGE + 1, on_workload, &w, err);
    if (rc == CCZ_OK)
        end_walk(&w, (struct ccz_span){0}, (struct ccz_span){0});
    return rc;
}

/* ------------------------------------------------------------------------------ replay */

static ccz_rc on_replay(void *arg, const struct cczi_kms_evidence *e, struct ccz_err *err)
{
    struct walk *w = arg;
    struct ccz_claims c;
    struct ccz_verdict now, then;
    struct ccz_err why = {0};
    if (++w->n > w->max)
        return CCZ_OK;
    memcpy(w->last, e->id, 32);
    ccz_rc rc = claims_of(&c, e, err);
    if (rc != CCZ_OK)
        return rc;
    bool accepts_now =
        cczi_kms_verdict_again(&now, w->now, &c, e->last_s, w->call->req->now_s, NULL) == CCZ_OK;
    bool accepts_then =
        cczi_kms_verdict_again(&then, w->then, &c, e->last_s, w->at_s, &why) == CCZ_OK;
    CCZ_AUTO_BUF workload;
    ccz_buf_init(&workload, 4096);
    put_workload(&workload, e, &c, w->call->store->watch->seen, (struct ccz_span){0});
    struct cczi_msg_replayed m = {
        .workload = ccz_buf_span(&workload),
        .now = accepts_now,
        .then = accepts_then,
        .rule = ccz_span_str(accepts_then ? then.rule : then.nearest),
        .grace_until_s = accepts_then ? (uint64_t)then.grace_until_s : 0,
        .references = ccz_span_str(accepts_then ? then.references : ""),
    };
    if (!accepts_then) {
        m.where = ccz_span_str(why.where);
        m.got = ccz_span_str(why.got);
        m.expected = ccz_span_str(why.expected);
        m.reason = ccz_span_str(why.msg);
    }
    size_t mark = ccz_pb_open(w->response, CCZI_MSG_REPEATED);
    cczi_msg_put(w->response, cczi_msg_replayed, &m);
    ccz_pb_close(w->response, mark);
    return CCZ_OK;
}

static ccz_rc not_staged(struct ccz_err *err, ccz_rc rc, const char *policy)
{
    if (rc != CCZ_E_NOT_FOUND)
        return rc;
    ccz_fail(err, rc, "kms:not-staged", 0, "nothing is staged for policy \"%s\"", policy);
    return cczi_kms_hint(err, rc);
}

/* The JSON of the request, or what is staged. */
static ccz_rc parse_other(struct ccz_policy **out, uint8_t sha256[32], struct cczi_kms_call *call,
                          const char *policy, struct ccz_span json, struct ccz_err *err)
{
    struct cczi_kms_staged st;
    struct cczi_kms_row keep;
    ccz_rc rc = CCZ_OK;
    cczi_kms_row_init(&keep);
    if (json.size == 0) {
        rc = not_staged(err, cczi_kms_staged_get(&st, &keep, call->store, policy, err), policy);
        json = st.json;
    }
    if (rc == CCZ_OK)
        rc = ccz_policy_parse(out, json, err);
    if (rc == CCZ_OK)
        rc = ccz_sha256(sha256, json);
    cczi_kms_row_deinit(&keep);
    return rc;
}

/* Another set in place of the one of its name. */
static ccz_rc try_set(struct ccz_policy *p, const struct cczi_msg_replay_req *m,
                      struct ccz_err *err)
{
    const char *name;
    CCZ_AUTO(ccz_reference) set = NULL;
    ccz_rc rc = ccz_reference_parse(&set, m->reference_json, err);
    for (size_t i = 0; rc == CCZ_OK && (name = ccz_policy_reference(p, i)) != NULL; i++)
        if (ccz_span_eq(m->reference, ccz_span_str(name)))
            return ccz_policy_resolve(p, i, 0, set, err);
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), m->reference);
    return rc == CCZ_OK ? ccz_refuse(err, CCZ_E_NOT_FOUND, "kms:reference-unnamed", got,
                                     "a set that the policy names")
                        : rc;
}

/* What pages of one replay must have in common beside the text that is tried: the policy in force, and the sets of both. */
static ccz_rc state_of(uint8_t out[32], const struct cczi_kms_policy *live,
                       const struct cczi_kms_parsed *now, const struct cczi_kms_parsed *then,
                       struct ccz_err *err)
{
    const struct ccz_span parts[] = {CCZ_SPAN(live->sha256, 32), CCZ_SPAN(now->sets, 32),
                                     CCZ_SPAN(then->sets, 32)};
    ccz_rc rc = ccz_hash(out, CCZ_SHA256, parts, 3);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:replay", 0, "cannot hash");
}

/* A page of it. */
static ccz_rc replay(struct walk *w, const struct cczi_msg_replay_req *m, const char *policy,
                     struct cczi_kms_policy *live, const uint8_t after[32], struct ccz_err *err)
{
    struct cczi_kms_call *call = w->call;
    struct ccz_kms_store *s = call->store;
    struct cczi_kms_parsed *now = NULL, then = {0};
    CCZ_AUTO(ccz_policy) other = NULL;
    uint8_t sha256[32], state[32];
    ccz_rc rc =
        cczi_kms_or_not_found(err, cczi_kms_policy_get(live, s, policy, err), "policy", policy);
    if (rc == CCZ_OK)
        rc = parse_other(&other, sha256, call, policy,
                         m->reference.size && !m->json.size ? ccz_buf_span(&live->json) : m->json,
                         err);
    then.policy = other;
    if (rc == CCZ_OK)
        rc = cczi_kms_parsed_resolve(&then, s, policy, err);
    if (rc == CCZ_OK && m->reference.size)
        rc = try_set(other, m, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_policies_get(&now, s->policies, policy, live, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_parsed_resolve(now, s, policy, err);
    if (rc == CCZ_OK)
        rc = state_of(state, live, now, &then, err);
    if (rc != CCZ_OK)
        return rc;
    w->now = now->policy;
    w->then = other;
    rc = cczi_kms_evidence_page(s, policy, after, REPLAY_PAGE + 1, on_replay, w, err);
    if (rc == CCZ_OK)
        end_walk(w, CCZ_SPAN(sha256, 32), CCZ_SPAN(state, 32));
    return rc;
}

ccz_rc cczi_kms_run_replay(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err)
{
    struct cczi_msg_replay_req m = {0};
    struct cczi_kms_policy live = {0};
    char policy[CCZ_KMS_NAME_SIZE] = "";
    uint8_t after[32];
    int64_t from_ms;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_replay_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_name(policy, m.policy, err);
    if (rc == CCZ_OK)
        rc = take_after(after, m.after, err);
    if (rc == CCZ_OK) /* parses what the caller brings, and judges a page of workloads by it */
        rc = cczi_kms_looks_begin(&from_ms, call, err);
    if (rc != CCZ_OK)
        return rc;
    struct walk w = {.call = call,
                     .response = response,
                     .max = REPLAY_PAGE,
                     .at_s = m.at_s ? (int64_t)m.at_s : call->req->now_s};
    ccz_buf_init(&live.json, CCZ_POLICY_SIZE_MAX);
    rc = replay(&w, &m, policy, &live, after, err);
    ccz_buf_free(&live.json);
    cczi_kms_looks_end(call, from_ms);
    return rc;
}

/* ------------------------------------------------------------------------------ staged */

/* The name of a policy; from here on the audit line names it. */
static ccz_rc take_policy(struct cczi_kms_call *call, struct ccz_span name, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_name(call->ref.name, name, err);
    call->ref.kind = CCZI_KMS_POLICY;
    call->has_ref = rc == CCZ_OK;
    return rc;
}

static void note_sha256(struct cczi_kms_call *call, const uint8_t sha256[32])
{
    memcpy(call->policy_sha256, sha256, sizeof(call->policy_sha256));
    call->has_policy_sha256 = true;
}

static ccz_rc policy_exists(struct cczi_kms_call *call, struct ccz_err *err)
{
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = cczi_kms_policy_get(&p, call->store, call->ref.name, err);
    ccz_buf_free(&p.json);
    return cczi_kms_or_not_found(err, rc, "policy", call->ref.name);
}

static ccz_rc check_end(int64_t ends_s, int64_t now_s, struct ccz_err *err)
{
    char got[21], now[21], expected[64];
    if (ends_s > now_s && ends_s - now_s <= CCZ_KMS_STAGE_S_MAX)
        return CCZ_OK;
    ccz_time_format(got, ends_s);
    ccz_time_format(now, now_s);
    (void)snprintf(expected, sizeof(expected), "at most 366 days after %s", now);
    ccz_refuse(err, CCZ_E_FORMAT, "kms:stage-end", got, expected);
    return cczi_kms_hint(err, CCZ_E_FORMAT);
}

ccz_rc cczi_kms_run_stage(struct ccz_buf *response, struct cczi_kms_call *call, struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_msg_stage_req m = {0};
    struct cczi_kms_staged st = {0}, old;
    struct cczi_kms_row keep;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_stage_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_policy(call, m.policy, err);
    if (rc == CCZ_OK)
        rc = policy_exists(call, err);
    if (rc == CCZ_OK)
        rc = check_end((int64_t)m.ends_s, call->req->now_s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_policy_storable(call, m.json, err);
    if (rc == CCZ_OK)
        rc = ccz_sha256(st.sha256, m.json);
    if (rc != CCZ_OK)
        return rc;
    note_sha256(call, st.sha256);
    cczi_kms_row_init(&keep);
    rc = cczi_kms_staged_get(&old, &keep, call->store, call->ref.name, err);
    size_t was = rc == CCZ_OK ? old.json.size : 0;
    cczi_kms_row_deinit(&keep);
    if (rc == CCZ_OK && !m.replace) {
        ccz_fail(err, CCZ_E_EXISTS, "kms:staged-exists", 0, "a policy is staged for \"%s\" already",
                 call->ref.name);
        return cczi_kms_hint(err, CCZ_E_EXISTS);
    }
    if (rc == CCZ_OK || rc == CCZ_E_NOT_FOUND)
        rc = cczi_kms_quota_policy(call->store, call->ref.name, 0, m.json.size, was, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(st.policy, call->ref.name, sizeof(st.policy));
    st.json = m.json;
    st.created_s = call->req->now_s;
    st.ends_s = (int64_t)m.ends_s;
    cczi_kms_trials_touch(call->store->watch->trials, st.policy);
    return cczi_kms_staged_put(call->store, &st, err);
}

ccz_rc cczi_kms_run_unstage(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_msg_name m = {0};
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_name, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_policy(call, m.name, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_trials_touch(call->store->watch->trials, call->ref.name);
    return not_staged(err, cczi_kms_staged_delete(call->store, call->ref.name, err),
                      call->ref.name);
}

static bool ended(const struct cczi_kms_staged *st, const struct cczi_kms_call *call)
{
    return call->req->now_s >= st->ends_s;
}

static void put_staged(struct ccz_buf *out, const struct cczi_kms_call *call,
                       const struct cczi_kms_staged *st, struct ccz_span json)
{
    struct cczi_msg_staged m = {
        .policy = ccz_span_str(st->policy),
        .sha256 = CCZ_SPAN(st->sha256, 32),
        .created_s = (uint64_t)st->created_s,
        .ends_s = (uint64_t)st->ends_s,
        .ended = ended(st, call),
        .would_accept = st->would_accept,
        .would_refuse = st->would_refuse,
        .json = json,
    };
    cczi_kms_trials_pending(&m.would_accept, &m.would_refuse, call->store->watch->trials, st);
    cczi_msg_put(out, cczi_msg_staged, &m);
}

ccz_rc cczi_kms_run_get_staged(struct ccz_buf *response, struct cczi_kms_call *call,
                               struct ccz_err *err)
{
    struct cczi_msg_name m = {0};
    struct cczi_kms_staged st;
    struct cczi_kms_row keep;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_name, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_policy(call, m.name, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_row_init(&keep);
    rc = not_staged(err, cczi_kms_staged_get(&st, &keep, call->store, call->ref.name, err),
                    call->ref.name);
    if (rc == CCZ_OK)
        put_staged(response, call, &st, st.json);
    cczi_kms_row_deinit(&keep);
    return rc;
}

static bool may_see(const void *reader, const char *policy)
{
    return may_read(reader, policy);
}

static ccz_rc put_page(struct ccz_buf *response, struct cczi_kms_call *call,
                       const struct cczi_kms_names *names, struct ccz_err *err)
{
    struct cczi_kms_staged st;
    struct cczi_kms_row keep;
    ccz_rc rc = CCZ_OK;
    cczi_kms_row_init(&keep);
    for (size_t i = 0; rc == CCZ_OK && i < names->len; i++) {
        rc = not_staged(err, cczi_kms_staged_get(&st, &keep, call->store, names->name[i], err),
                        names->name[i]);
        size_t mark = ccz_pb_open(response, CCZI_MSG_REPEATED);
        if (rc == CCZ_OK)
            put_staged(response, call, &st, (struct ccz_span){0});
        ccz_pb_close(response, mark);
    }
    cczi_kms_row_deinit(&keep);
    return rc;
}

ccz_rc cczi_kms_run_list_staged(struct ccz_buf *response, struct cczi_kms_call *call,
                                struct ccz_err *err)
{
    struct cczi_msg_name m = {0};
    char after[CCZ_KMS_NAME_SIZE] = "";
    struct reader reader;
    struct cczi_kms_names *names = calloc(1, sizeof(*names));
    if (!names)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:list", 0, "out of memory");
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_name, call->req->body, err);
    if (rc == CCZ_OK && m.name.size)
        rc = cczi_kms_name(after, m.name, err);
    if (rc == CCZ_OK)
        rc = reader_of(&reader, call, CCZI_KMS_READERS, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_names_after(names, call->store, CCZI_SQL_STAGED_NAMES, after, STAGED_PAGE,
                                  may_see, &reader, err);
    if (rc == CCZ_OK)
        rc = put_page(response, call, names, err);
    if (rc == CCZ_OK && names->more)
        ccz_pb_put_uint(response, CCZI_MSG_MORE, 1);
    free(names);
    return rc;
}

/* Is what is staged what the caller means, and does it still stand? */
static ccz_rc check_roll_out(struct cczi_kms_call *call, const struct cczi_kms_staged *st,
                             struct ccz_span sha256, struct ccz_err *err)
{
    char end[21], now[21];
    if (sha256.size != 32)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:request", 2, "expected the digest of the policy");
    if (memcmp(sha256.ptr, st->sha256, 32) != 0) {
        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "kms:staged-changed", st->sha256, 32, sha256.ptr, 32);
        return cczi_kms_hint(err, CCZ_E_MISMATCH);
    }
    if (!ended(st, call))
        return CCZ_OK;
    ccz_time_format(end, st->ends_s);
    ccz_time_format(now, call->req->now_s);
    ccz_refuse(err, CCZ_E_EXPIRED, "kms:staged-ended", now, end);
    return cczi_kms_hint(err, CCZ_E_EXPIRED);
}

ccz_rc cczi_kms_run_roll_out(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_msg_roll_out_req m = {0};
    struct cczi_kms_staged st;
    struct cczi_kms_row keep;
    struct cczi_kms_trials *trials = call->store->watch->trials;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_roll_out_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_policy(call, m.policy, err);
    if (rc == CCZ_OK)
        rc = policy_exists(call, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_row_init(&keep);
    rc = not_staged(err, cczi_kms_staged_get(&st, &keep, call->store, call->ref.name, err),
                    call->ref.name);
    if (rc == CCZ_OK)
        rc = check_roll_out(call, &st, m.sha256, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_guard(call, err);
    if (rc == CCZ_OK) /* an older version of this program may have staged it */
        rc = cczi_kms_policy_storable(call, st.json, err);
    if (rc == CCZ_OK) {
        note_sha256(call, st.sha256);
        cczi_kms_trials_pending(&st.would_accept, &st.would_refuse, trials, &st);
        (void)snprintf(call->detail, sizeof(call->detail), "tried: %llu accepted, %llu refused",
                       (unsigned long long)st.would_accept, (unsigned long long)st.would_refuse);
        cczi_kms_trials_touch(trials, st.policy);
        rc = cczi_kms_staged_delete(call->store, call->ref.name, err);
    }
    if (rc == CCZ_OK) /* behind it, or its text would count twice */
        rc = cczi_kms_policy_put(call->store, st.policy, st.json, call->req->now_s, err);
    cczi_kms_row_deinit(&keep);
    return rc;
}
