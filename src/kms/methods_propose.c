/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What changes who gets what may need more than one person: one proposes a call, others approve it, and the approval that
 * completes the quorum executes it, in its own transaction and as the proposer's call. A proposal is the method and the bytes
 * of its request; nothing about it can be changed, and an approver says the digest of what he read.
 */
#include "kms_priv.h"
#include "looks.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    DAY_S = 86400,
    VALID_S = 7 * DAY_S,
    VALID_MIN_S = 60,
    VALID_MAX_S = 30 * DAY_S,
    KEPT_S = 90 * DAY_S, /* closed ones */
    OPEN_MAX = 256,      /* of one namespace, whose people may not even know of the others */
    CLOSED_MAX = 256,    /* of one namespace, the newest; the audit log keeps them for good */
    BYTES_MAX = 4 << 20, /* of the requests of open ones, of closed ones, of one namespace */
    APPROVERS_MAX = 256,
    PAGE_MAX = 100,
    PAGE_SIZE = 256 << 10,
    SCAN_MAX = 4096
};

static ccz_rc refuse(struct ccz_err *err, ccz_rc rc, const char *where, const char *got,
                     const char *expected)
{
    ccz_refuse(err, rc, where, got, expected);
    return cczi_kms_hint(err, rc);
}

ccz_rc cczi_kms_proposal_digest(uint8_t out[32], const char *method, struct ccz_span body,
                                struct ccz_err *err)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    if (rc == CCZ_OK) /* the NULs split: a method has none */
        rc = ccz_hasher_put(h, CCZ_SPAN("cczoo kms proposal", sizeof("cczoo kms proposal")));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, CCZ_SPAN(method, strlen(method) + 1));
    if (rc == CCZ_OK)
        rc = ccz_hasher_put(h, body);
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(out, h);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:proposal", 0, "cannot hash a proposal");
}

static const struct cczi_kms_method *method_of(const char *name)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s%s", CCZI_KMS_SERVICE, name);
    const struct cczi_kms_method *m = cczi_kms_method_find(path);
    return m && m->guarded ? m : NULL;
}

bool cczi_kms_is_proposable(const char *method)
{
    return method_of(method) != NULL;
}

/* The proposed call, as the proposer's. @p req, peer  borrowed by @p inner */
static void make_call(struct cczi_kms_call *inner, struct ccz_kms_request *req,
                      struct ccz_ratls_peer *peer, const struct cczi_kms_call *call,
                      const struct cczi_kms_proposal *p, uint32_t roles)
{
    *peer = (struct ccz_ratls_peer){.pinned = true};
    memcpy(peer->spki_sha256, p->proposer, sizeof(peer->spki_sha256));
    *req = *call->req;
    req->body = p->body;
    req->peer = peer;
    *inner = (struct cczi_kms_call){.store = call->store,
                                    .req = req,
                                    .roles = roles,
                                    .approved = true,
                                    .proposal = p->id,
                                    .work = call->work};
    memcpy(inner->ns, p->ns, sizeof(inner->ns));
}

/* What the audit line of Propose says about the call inside. */
static void name_target(struct cczi_kms_call *call, const struct cczi_kms_call *inner)
{
    call->ref = inner->ref;
    call->has_ref = inner->has_ref;
    memcpy(call->policy_sha256, inner->policy_sha256, sizeof(call->policy_sha256));
    call->has_policy_sha256 = inner->has_policy_sha256;
    memcpy(call->policy, inner->policy, sizeof(call->policy));
    memcpy(call->principal, inner->principal, sizeof(call->principal));
    memcpy(call->given, inner->given, sizeof(call->given));
}

/* -------------------------------------------------------------------------- propose */

/* Runs it and takes it back: what could not be done is not put before others. A savepoint inside of the call's own. Nobody has
 * approved it yet, so the rows that a database keeps of it must not be genuine. */
static ccz_rc try_out(struct cczi_kms_call *call, const struct cczi_kms_method *m,
                      const struct cczi_kms_proposal *p, struct ccz_err *err)
{
    struct ccz_kms_store *s = call->store;
    const struct cczi_kms_before before = s->before;
    struct ccz_kms_request req;
    struct ccz_ratls_peer peer;
    struct cczi_kms_call inner;
    CCZ_AUTO_BUF response;
    ccz_buf_init(&response, CCZ_KMS_MESSAGE_SIZE_MAX);
    response.wipe = true;
    make_call(&inner, &req, &peer, call, p, call->roles);
    ccz_rc rc = cczi_kms_trial_begin(s, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_savepoint(s, err);
    if (rc != CCZ_OK) {
        cczi_kms_trial_end(s);
        s->before = before;
        return rc;
    }
    rc = m->run(&response, &inner, err);
    call->later = inner.later;
    name_target(call, &inner);
    if (cczi_kms_db_in_tx(&s->db) && s->db.fault == CCZI_KMS_FAULT_NONE) {
        ccz_rc undone = cczi_kms_savepoint_undo(s, rc == CCZ_OK ? err : NULL);
        if (undone != CCZ_OK) /* rows and head are not of one time any more */
            cczi_kms_rollback(s);
        rc = rc == CCZ_OK ? undone : rc;
    }
    cczi_kms_trial_end(s);
    s->before = before;
    return rc;
}

struct old {
    uint64_t id;
    bool late, prune;
};
struct olds {
    struct old *all;
    size_t len, open, closed; /* the last two, and these: of call->ns */
    uint64_t open_bytes, closed_bytes;
    const struct cczi_kms_call *call;
};

static ccz_rc keep_old(void *arg, const struct cczi_kms_proposal_head *h, struct ccz_err *err)
{
    struct olds *l = arg;
    int64_t now_s = l->call->req->now_s;
    bool here = strcmp(h->ns, l->call->ns) == 0, open = h->state == CCZI_KMS_OPEN;
    struct old o = {.id = h->id, .late = open && now_s >= h->expires_s};
    l->open += here && open && !o.late;
    l->closed += here && (!open || o.late);
    if (here)
        *(open && !o.late ? &l->open_bytes : &l->closed_bytes) += h->bytes;
    o.prune = !open && ((here && (l->closed > CLOSED_MAX || l->closed_bytes > BYTES_MAX)) ||
                        now_s - h->expires_s > KEPT_S);
    if (!o.late && !o.prune)
        return CCZ_OK;
    struct old *all = realloc(l->all, (l->len + 1) * sizeof(*all));
    if (!all)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:proposal", 0, "out of memory");
    l->all = all;
    all[l->len++] = o;
    return CCZ_OK;
}

static ccz_rc set_state(struct ccz_kms_store *s, uint64_t id, enum cczi_kms_proposal_state state,
                        struct ccz_err *err)
{
    struct cczi_kms_proposal p;
    struct cczi_kms_row keep;
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_kms_proposal_get(&p, &keep, s, id, err);
    p.state = state;
    if (rc == CCZ_OK)
        rc = cczi_kms_proposal_put(s, &p, err);
    cczi_kms_row_deinit(&keep);
    return rc;
}

/* Marks what is too late, drops what has been closed for long or is too much of it, and counts what is open where the call is about. The
 * last one stays for its number. @param bytes  of what is to come */
static ccz_rc sweep(const struct cczi_kms_call *call, uint64_t last, size_t bytes,
                    struct ccz_err *err)
{
    struct olds l = {.call = call};
    ccz_rc rc = cczi_kms_proposal_heads(call->store, keep_old, &l, err);
    for (size_t i = 0; rc == CCZ_OK && i < l.len; i++) {
        if (l.all[i].late)
            rc = set_state(call->store, l.all[i].id, CCZI_KMS_EXPIRED, err);
        else if (l.all[i].id != last)
            rc = cczi_kms_proposal_delete(call->store, l.all[i].id, err);
    }
    free(l.all);
    if (rc == CCZ_OK && l.open >= OPEN_MAX)
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "kms:proposals-many", (int64_t)l.open + 1, OPEN_MAX);
    if (rc == CCZ_OK && l.open_bytes + bytes > BYTES_MAX) {
        ccz_refuse_num(err, CCZ_E_LIMIT, "kms:proposals-size", (int64_t)(l.open_bytes + bytes),
                       BYTES_MAX);
        rc = cczi_kms_hint(err, CCZ_E_LIMIT);
    }
    return rc;
}

/* Which method, in which namespace, and whether the caller may propose that. */
static ccz_rc take_proposal(const struct cczi_kms_method **m, struct cczi_kms_proposal *p,
                            uint32_t *needed, struct cczi_kms_call *call,
                            const struct cczi_msg_propose_req *r, struct ccz_err *err)
{
    char name[CCZ_ERR_VALUE_SIZE];
    ccz_escape(name, sizeof(name), r->method);
    *m = r->method.size < sizeof(p->method) ? method_of(name) : NULL;
    if (!*m)
        return refuse(err, CCZ_E_UNSUPPORTED, "kms:not-proposable", name,
                      "a method that changes who gets what");
    memcpy(p->method, name, strlen(name) + 1);
    p->body = r->body;
    uint32_t field;
    if (!cczi_kms_request_known(&field, p->method, p->body))
        return ccz_fail(err, CCZ_E_FORMAT, "kms:proposal-field", field,
                        "the request has field %u, which this server does not know: nobody could "
                        "see what he agrees to",
                        field);
    memcpy(p->proposer, call->req->peer->spki_sha256, sizeof(p->proposer));
    (void)snprintf(call->detail, sizeof(call->detail), "%s", p->method);
    ccz_rc rc = cczi_kms_target_ns(p->ns, *m, p->body, err);
    if (rc != CCZ_OK)
        return rc;
    memcpy(call->ns, p->ns, sizeof(call->ns));
    call->has_ns = true;
    rc = cczi_kms_roles_in(&call->roles, NULL, call->store, p->proposer, p->ns, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_need(call, CCZ_KMS_ROLE_AUTHOR, err);
    if (rc == CCZ_OK) /* or it is refused when others have agreed on it */
        rc = cczi_kms_need(call, (*m)->roles, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_approvals_needed(needed, call->store, p->ns, err);
    if (rc == CCZ_OK && *needed == 0)
        rc = refuse(err, CCZ_E_DENIED, "kms:quorum-none", "a proposal", "the call itself");
    if (rc == CCZ_OK && r->valid_s && (r->valid_s < VALID_MIN_S || r->valid_s > VALID_MAX_S))
        rc = ccz_refuse_num(err, CCZ_E_LIMIT, "kms:proposal-validity", (int64_t)r->valid_s,
                            r->valid_s < VALID_MIN_S ? VALID_MIN_S : VALID_MAX_S);
    p->created_s = call->req->now_s;
    p->expires_s = p->created_s + (r->valid_s ? (int64_t)r->valid_s : VALID_S);
    return rc;
}

ccz_rc cczi_kms_run_propose(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err)
{
    struct cczi_msg_propose_req r = {0};
    struct cczi_kms_proposal p = {.state = CCZI_KMS_OPEN};
    const struct cczi_kms_method *m;
    uint32_t needed;
    uint64_t last = 0;
    uint8_t sha256[32];
    ccz_rc rc = cczi_msg_get(&r, cczi_msg_propose_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_proposal(&m, &p, &needed, call, &r, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_proposal_last(&last, call->store, err);
    if (rc == CCZ_OK)
        rc = sweep(call, last, p.body.size, err);
    if (rc == CCZ_OK)
        rc = try_out(call, m, &p, err);
    p.id = last + 1;
    if (rc == CCZ_OK)
        rc = cczi_kms_proposal_digest(sha256, p.method, p.body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_proposal_put(call->store, &p, err);
    if (rc != CCZ_OK)
        return rc;
    call->proposal = p.id;
    struct cczi_msg_propose_resp out = {.id = p.id,
                                        .needed = needed,
                                        .expires_s = (uint64_t)p.expires_s,
                                        .sha256 = CCZ_SPAN(sha256, sizeof(sha256))};
    cczi_msg_put(response, cczi_msg_propose_resp, &out);
    return CCZ_OK;
}

/* -------------------------------------------------------------------------- approve */

struct approvers {
    uint8_t id[APPROVERS_MAX][32];
    size_t len;
};

static ccz_rc keep_approver(void *arg, const struct cczi_kms_approval *a, struct ccz_err *err)
{
    struct approvers *l = arg;
    if (l->len == APPROVERS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:approvals-many", APPROVERS_MAX,
                        "too many approvals of one proposal");
    memcpy(l->id[l->len++], a->approver, 32);
    return CCZ_OK;
}

static ccz_rc not_found(struct ccz_err *err, ccz_rc rc, uint64_t id)
{
    char name[24];
    (void)snprintf(name, sizeof(name), "%llu", (unsigned long long)id);
    return cczi_kms_or_not_found(err, rc, "proposal", name);
}

/* A proposal that is open, with the caller's roles where it belongs. @p keep  initialised */
static ccz_rc take_open(struct cczi_kms_proposal *p, struct cczi_kms_row *keep,
                        struct cczi_kms_call *call, uint64_t id, uint32_t roles,
                        struct ccz_err *err)
{
    static const char *const states[] = {"", "open", "done", "rejected", "expired"};
    ccz_rc rc = not_found(err, cczi_kms_proposal_get(p, keep, call->store, id, err), id);
    if (rc != CCZ_OK)
        return rc;
    call->proposal = id;
    memcpy(call->ns, p->ns, sizeof(call->ns));
    call->has_ns = true;
    (void)snprintf(call->detail, sizeof(call->detail), "%s", p->method);
    rc = cczi_kms_roles_in(&call->roles, NULL, call->store, call->req->peer->spki_sha256, p->ns,
                           err);
    if (rc == CCZ_OK)
        rc = cczi_kms_need(call, roles, err);
    if (rc == CCZ_OK && p->state != CCZI_KMS_OPEN)
        rc = refuse(err, CCZ_E_DENIED, "kms:proposal-closed", states[p->state], "an open proposal");
    return rc;
}

static ccz_rc check_approval(const struct cczi_kms_proposal *p, const struct approvers *l,
                             const struct cczi_kms_call *call, struct ccz_span seen,
                             struct ccz_err *err)
{
    const uint8_t *me = call->req->peer->spki_sha256;
    uint8_t sha256[32];
    if (call->req->now_s >= p->expires_s) {
        char until[21];
        ccz_time_format(until, p->expires_s);
        return refuse(err, CCZ_E_EXPIRED, "kms:proposal-expired", until, "a proposal in time");
    }
    ccz_rc rc = cczi_kms_proposal_digest(sha256, p->method, p->body, err);
    if (rc != CCZ_OK)
        return rc;
    if (!ccz_span_eq(seen, CCZ_SPAN(sha256, sizeof(sha256)))) {
        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "kms:proposal-changed", seen.ptr, seen.size, sha256,
                         sizeof(sha256));
        return cczi_kms_hint(err, CCZ_E_MISMATCH);
    }
    if (memcmp(me, p->proposer, 32) == 0)
        return refuse(err, CCZ_E_DENIED, "kms:approver-proposer", "the proposer", "somebody else");
    for (size_t i = 0; i < l->len; i++)
        if (memcmp(me, l->id[i], 32) == 0)
            return refuse(err, CCZ_E_EXISTS, "kms:approved-already", "a second approval",
                          "one of each approver");
    return CCZ_OK;
}

/* Approvals of those who may approve now. */
static ccz_rc count_valid(uint32_t *valid, const struct approvers *l,
                          const struct cczi_kms_proposal *p, struct ccz_kms_store *s,
                          struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    *valid = 0;
    for (size_t i = 0; rc == CCZ_OK && i < l->len; i++) {
        uint32_t roles;
        rc = cczi_kms_roles_in(&roles, NULL, s, l->id[i], p->ns, err);
        *valid += rc == CCZ_OK && (roles & CCZ_KMS_ROLE_APPROVER) != 0 &&
                  memcmp(l->id[i], p->proposer, 32) != 0;
    }
    return rc;
}

/* @param[out] seq  of the audit line of the call that was proposed */
static ccz_rc execute(uint64_t *seq, struct cczi_kms_call *call, struct cczi_kms_proposal *p,
                      struct ccz_err *err)
{
    const struct cczi_kms_method *m = method_of(p->method);
    if (!m)
        return refuse(err, CCZ_E_UNSUPPORTED, "kms:not-proposable", p->method,
                      "a method that changes who gets what");
    uint32_t roles;
    ccz_rc rc = cczi_kms_roles_in(&roles, NULL, call->store, p->proposer, p->ns, err);
    if (rc != CCZ_OK)
        return rc;
    if (!(roles & CCZ_KMS_ROLE_AUTHOR) || !(roles & m->roles)) {
        char got[CCZ_KMS_ROLES_SIZE];
        ccz_kms_roles_print(got, roles);
        return refuse(err, CCZ_E_DENIED, "kms:proposer-role", got, "author");
    }
    struct ccz_kms_request req;
    struct ccz_ratls_peer peer;
    struct cczi_kms_call inner;
    struct ccz_kms_receipt receipt = {0};
    CCZ_AUTO_BUF answer; /* nobody asked for it any more: who proposed it has long gone */
    ccz_buf_init(&answer, CCZ_KMS_MESSAGE_SIZE_MAX);
    answer.wipe = true;
    make_call(&inner, &req, &peer, call, p, roles);
    rc = m->run(&answer, &inner, err);
    call->later =
        inner.later; /* then all of this is undone, and comes again when its work is done */
    if (rc == CCZ_OK)
        rc = cczi_kms_record(&receipt, &inner, m->name, NULL, err);
    p->state = CCZI_KMS_DONE;
    if (rc == CCZ_OK)
        rc = cczi_kms_proposal_put(call->store, p, err);
    *seq = receipt.audit_seq;
    return rc;
}

static ccz_rc approve(struct cczi_msg_approve_resp *out, struct cczi_kms_call *call,
                      struct cczi_kms_proposal *p, struct approvers *l, struct ccz_span seen,
                      struct ccz_err *err)
{
    struct cczi_kms_approval a = {.proposal = p->id, .time_s = call->req->now_s};
    memcpy(a.approver, call->req->peer->spki_sha256, sizeof(a.approver));
    ccz_rc rc = cczi_kms_approval_each(call->store, p->id, keep_approver, l, err);
    if (rc == CCZ_OK)
        rc = check_approval(p, l, call, seen, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_proposal_fresh(call->store, p, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_approval_put(call->store, &a, err);
    if (rc == CCZ_OK)
        rc = keep_approver(l, &a, err);
    uint32_t valid = 0, needed = 0;
    if (rc == CCZ_OK)
        rc = count_valid(&valid, l, p, call->store, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_approvals_needed(&needed, call->store, p->ns, err);
    if (rc != CCZ_OK)
        return rc;
    *out = (struct cczi_msg_approve_resp){
        .done = valid >= needed, .approvals = valid, .needed = needed};
    /* what takes several to decide is not decided by a row that was put back, or is missing, since the last check */
    if (out->done)
        rc = cczi_kms_look_whole(call, err);
    if (out->done && rc == CCZ_OK)
        rc = execute(&out->executed_seq, call, p, err);
    (void)snprintf(call->detail, sizeof(call->detail), "%s: %u of %u approvals%s", p->method, valid,
                   needed, out->done ? ", executed" : "");
    return rc;
}

ccz_rc cczi_kms_run_approve(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err)
{
    struct cczi_msg_approve_req r = {0};
    struct cczi_msg_approve_resp out = {0};
    struct cczi_kms_proposal p;
    struct cczi_kms_row keep;
    struct approvers *l = calloc(1, sizeof(*l));
    if (!l)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:proposal", 0, "out of memory");
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_msg_get(&r, cczi_msg_approve_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_open(&p, &keep, call, r.id, CCZ_KMS_ROLE_APPROVER, err);
    if (rc == CCZ_OK)
        rc = approve(&out, call, &p, l, r.sha256, err);
    cczi_kms_row_deinit(&keep);
    free(l);
    if (rc == CCZ_OK)
        cczi_msg_put(response, cczi_msg_approve_resp, &out);
    return rc;
}

/* By an approver, or by the proposer who takes it back. */
ccz_rc cczi_kms_run_reject(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_msg_approve_req r = {0};
    struct cczi_kms_proposal p;
    struct cczi_kms_row keep;
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_msg_get(&r, cczi_msg_reject_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_open(&p, &keep, call, r.id, CCZ_KMS_ROLE_APPROVER | CCZ_KMS_ROLE_AUTHOR, err);
    if (rc == CCZ_OK && memcmp(p.proposer, call->req->peer->spki_sha256, 32) != 0)
        rc = cczi_kms_need(call, CCZ_KMS_ROLE_APPROVER, err);
    cczi_kms_row_deinit(&keep);
    return rc == CCZ_OK ? set_state(call->store, r.id, CCZI_KMS_REJECTED, err) : rc;
}

/* ----------------------------------------------------------------------------- list */

static ccz_rc put_approver(void *arg, const struct cczi_kms_approval *a, struct ccz_err *err)
{
    (void)err;
    ccz_pb_put_bytes(arg, CCZI_MSG_APPROVERS, CCZ_SPAN(a->approver, sizeof(a->approver)));
    return CCZ_OK;
}

static ccz_rc put_proposal(struct ccz_buf *response, const struct cczi_kms_call *call,
                           const struct cczi_kms_proposal *p, struct ccz_err *err)
{
    uint8_t sha256[32];
    uint32_t needed = 0;
    bool late = p->state == CCZI_KMS_OPEN && call->req->now_s >= p->expires_s;
    ccz_rc rc = cczi_kms_proposal_digest(sha256, p->method, p->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_approvals_needed(&needed, call->store, p->ns, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_proposal m = {.id = p->id,
                                  .ns = ccz_span_str(p->ns),
                                  .method = ccz_span_str(p->method),
                                  .body = p->body,
                                  .proposer = CCZ_SPAN(p->proposer, sizeof(p->proposer)),
                                  .created_s = (uint64_t)p->created_s,
                                  .expires_s = (uint64_t)p->expires_s,
                                  .state = late ? CCZI_KMS_EXPIRED : p->state,
                                  .needed = needed,
                                  .sha256 = CCZ_SPAN(sha256, sizeof(sha256))};
    size_t mark = ccz_pb_open(response, CCZI_MSG_REPEATED);
    cczi_msg_put(response, cczi_msg_proposal, &m);
    rc = cczi_kms_approval_each(call->store, p->id, put_approver, response, err);
    ccz_pb_close(response, mark);
    return rc;
}

/* The next one that the caller may read goes into @p response if it fits. @param[out] full  it does not */
static ccz_rc put_next(struct ccz_buf *response, bool *full, uint64_t *n, struct cczi_kms_row *keep,
                       const struct cczi_kms_call *call, const struct cczi_kms_readable *r,
                       uint64_t id, struct ccz_err *err)
{
    struct cczi_kms_proposal p;
    ccz_rc rc = cczi_kms_proposal_get(&p, keep, call->store, id, err);
    if (rc == CCZ_E_NOT_FOUND) /* dropped */
        return CCZ_OK;
    if (rc != CCZ_OK || !cczi_kms_may_read(r, p.ns))
        return rc;
    *full = *n > 0 && response->size + p.body.size > PAGE_SIZE;
    if (*full)
        return CCZ_OK;
    ++*n;
    return put_proposal(response, call, &p, err);
}

/* Numbers that the caller may read. */
struct ids {
    uint64_t id[PAGE_MAX];
    size_t len;
    uint64_t end; /* the last one that was looked at */
    bool more;
};

/* By their namespaces alone: what is not for the caller is not read for him, however large it is. */
static ccz_rc find_ids(struct ids *ids, const struct cczi_kms_call *call,
                       const struct cczi_kms_readable *r, uint64_t after, uint64_t limit,
                       struct ccz_err *err)
{
    char ns[CCZ_KMS_NAME_SIZE];
    size_t rows = 0;
    ids->end = after;
    struct cczi_q q = cczi_q_start(&call->store->db, CCZI_SQL_PROPOSAL_AFTER);
    cczi_q_int(&q, (int64_t)after);
    cczi_q_int(&q, SCAN_MAX + 1);
    while (!ids->more && cczi_q_row(&q)) {
        ids->more = ids->len == limit || ++rows > SCAN_MAX;
        if (ids->more)
            break;
        ids->end = (uint64_t)cczi_q_col_int(&q, 0);
        cczi_q_col_text(ns, sizeof(ns), &q, 1);
        if (cczi_kms_may_read(r, ns))
            ids->id[ids->len++] = ids->end;
    }
    return cczi_q_end(&q, err);
}

/* Bodies are of any size: a page ends by number or by size, and says from where to go on. */
static ccz_rc put_page(struct ccz_buf *response, const struct cczi_kms_call *call,
                       const struct cczi_kms_readable *r, uint64_t after, uint64_t limit,
                       struct ccz_err *err)
{
    struct cczi_kms_row keep;
    struct ids ids = {.len = 0};
    uint64_t n = 0;
    bool full = false;
    cczi_kms_row_init(&keep);
    ccz_rc rc = after > INT64_MAX ? CCZ_OK : find_ids(&ids, call, r, after, limit, err);
    for (size_t i = 0; rc == CCZ_OK && !full && i < ids.len; i++) {
        rc = put_next(response, &full, &n, &keep, call, r, ids.id[i], err);
        if (full)
            ids.end = i ? ids.id[i - 1] : after;
    }
    cczi_kms_row_deinit(&keep);
    if (rc == CCZ_OK && (full || ids.more))
        ccz_pb_put_uint(response, CCZI_MSG_MORE, ids.end);
    return rc;
}

ccz_rc cczi_kms_run_list_proposals(struct ccz_buf *response, struct cczi_kms_call *call,
                                   struct ccz_err *err)
{
    struct cczi_msg_proposals_req r = {0};
    struct cczi_kms_readable readable = {0};
    ccz_rc rc = cczi_msg_get(&r, cczi_msg_proposals_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_readable(&readable, call, err);
    if (rc == CCZ_OK)
        rc = put_page(response, call, &readable, r.after_id,
                      r.limit && r.limit < PAGE_MAX ? r.limit : PAGE_MAX, err);
    cczi_kms_readable_deinit(&readable);
    return rc;
}
