/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of rows.c as structures. */
#include "kms_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static ccz_rc not_ours(struct ccz_err *err, const char *table)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:row-mac", 0,
                    "a row of table \"%s\" is not one that we write", table);
}

/* A column into an array; a longer one is nothing that we wrote. */
static bool text_of(char *out, size_t size, const struct cczi_kms_row *r, size_t col)
{
    struct ccz_span t = r->col[col].bytes;
    memset(out, 0, size);
    if (t.size >= size)
        return false;
    if (t.size)
        memcpy(out, t.ptr, t.size);
    return true;
}

static bool bytes32_of(uint8_t out[32], const struct cczi_kms_row *r, size_t col)
{
    struct ccz_span t = r->col[col].bytes;
    if (t.size != 32)
        return false;
    memcpy(out, t.ptr, 32);
    return true;
}

static struct ccz_span bytes32(const uint8_t b[32])
{
    return CCZ_SPAN(b, 32);
}

/* --------------------------------------------------------------------------- admin */

static bool admin_of(struct cczi_kms_admin *a, const struct cczi_kms_row *r)
{
    int64_t kind = r->col[2].num, roles = r->col[3].num;
    a->kind = kind == CCZI_KMS_TOKEN ? CCZI_KMS_TOKEN : CCZI_KMS_PINNED;
    a->roles = (uint32_t)roles;
    /* a number that no role has must not be cut to one that has */
    return bytes32_of(a->id, r, 0) && text_of(a->ns, sizeof(a->ns), r, 1) &&
           (kind == CCZI_KMS_PINNED || kind == CCZI_KMS_TOKEN) && roles > 0 &&
           roles <= CCZ_KMS_ROLES_ALL && text_of(a->label, sizeof(a->label), r, 4);
}

ccz_rc cczi_kms_admin_get(struct cczi_kms_admin *out, struct ccz_kms_store *s, const uint8_t id[32],
                          const char *ns, struct ccz_err *err)
{
    *out = (struct cczi_kms_admin){0};
    struct cczi_kms_admin a = {0};
    struct cczi_kms_row r;
    cczi_kms_row_init(&r);
    cczi_kms_row_blob(&r, bytes32(id));
    cczi_kms_row_text(&r, ns);
    ccz_rc rc = cczi_kms_row_get(&r, s, CCZI_KMS_T_ADMIN, err);
    if (rc == CCZ_OK && !admin_of(&a, &r))
        rc = not_ours(err, "admin");
    if (rc == CCZ_OK)
        *out = a;
    cczi_kms_row_deinit(&r);
    return rc;
}

ccz_rc cczi_kms_admin_put(struct ccz_kms_store *s, const struct cczi_kms_admin *a,
                          struct ccz_err *err)
{
    struct cczi_kms_row r;
    cczi_kms_row_init(&r);
    cczi_kms_row_blob(&r, bytes32(a->id));
    cczi_kms_row_text(&r, a->ns);
    ccz_rc rc;
    if (a->roles == 0) {
        rc = cczi_kms_row_delete(s, CCZI_KMS_T_ADMIN, &r, err);
        rc = rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
    } else {
        cczi_kms_row_int(&r, a->kind);
        cczi_kms_row_int(&r, a->roles);
        cczi_kms_row_text(&r, a->label);
        rc = cczi_kms_row_put(s, CCZI_KMS_T_ADMIN, &r, err);
    }
    cczi_kms_row_deinit(&r);
    return rc;
}

struct admin_call {
    cczi_kms_admin_fn fn;
    void *arg;
};

static ccz_rc admin_row(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    const struct admin_call *c = arg;
    struct cczi_kms_admin a = {0};
    return admin_of(&a, r) ? c->fn(c->arg, &a, err) : not_ours(err, "admin");
}

ccz_rc cczi_kms_admin_each(struct ccz_kms_store *s, const uint8_t *id, cczi_kms_admin_fn fn,
                           void *arg, struct ccz_err *err)
{
    struct admin_call c = {fn, arg};
    struct cczi_kms_row key = {0};
    if (id)
        cczi_kms_row_blob(&key, bytes32(id));
    return cczi_kms_row_each(s, CCZI_KMS_T_ADMIN, id ? CCZI_SQL_ADMIN_OF : CCZI_SQL_ADMIN_ALL, &key,
                             admin_row, &c, err);
}

/* ------------------------------------------------------------------------- binding */

static void binding_key(struct cczi_kms_row *r, const struct cczi_kms_ref *ref, uint32_t op)
{
    cczi_kms_row_int(r, ref->kind);
    cczi_kms_row_text(r, ref->name);
    cczi_kms_row_int(r, op);
}

ccz_rc cczi_kms_binding_get(struct cczi_kms_binding *out, struct ccz_kms_store *s,
                            const struct cczi_kms_ref *ref, uint32_t op, struct ccz_err *err)
{
    *out = (struct cczi_kms_binding){0};
    struct cczi_kms_row r;
    cczi_kms_row_init(&r);
    binding_key(&r, ref, op);
    ccz_rc rc = cczi_kms_row_get(&r, s, CCZI_KMS_T_BINDING, err);
    if (rc == CCZ_OK && !text_of(out->policy, sizeof(out->policy), &r, 3))
        rc = not_ours(err, "binding");
    cczi_kms_row_deinit(&r);
    return rc;
}

ccz_rc cczi_kms_binding_put(struct ccz_kms_store *s, const struct cczi_kms_ref *ref, uint32_t op,
                            const char *policy, struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    binding_key(&r, ref, op);
    cczi_kms_row_text(&r, policy);
    ccz_rc rc = cczi_kms_row_put(s, CCZI_KMS_T_BINDING, &r, err);
    return rc == CCZ_OK ? cczi_kms_item_head_bound(s, ref, op, true, err) : rc;
}

ccz_rc cczi_kms_binding_delete(struct ccz_kms_store *s, const struct cczi_kms_ref *ref, uint32_t op,
                               struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    binding_key(&r, ref, op);
    ccz_rc rc = cczi_kms_row_delete(s, CCZI_KMS_T_BINDING, &r, err);
    return rc == CCZ_OK ? cczi_kms_item_head_bound(s, ref, op, false, err) : rc;
}

struct binding_call {
    cczi_kms_binding_fn fn;
    void *arg;
};

static ccz_rc binding_row(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    const struct binding_call *c = arg;
    char policy[CCZ_KMS_NAME_SIZE];
    int64_t op = r->col[2].num;
    if (op < 0 || op > UINT32_MAX || !text_of(policy, sizeof(policy), r, 3))
        return not_ours(err, "binding");
    return c->fn(c->arg, (uint32_t)op, policy, err);
}

ccz_rc cczi_kms_binding_each(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                             cczi_kms_binding_fn fn, void *arg, struct ccz_err *err)
{
    struct binding_call c = {fn, arg};
    struct cczi_kms_row key = {0};
    cczi_kms_row_int(&key, ref->kind);
    cczi_kms_row_text(&key, ref->name);
    return cczi_kms_row_each(s, CCZI_KMS_T_BINDING, CCZI_SQL_BIND_OF, &key, binding_row, &c, err);
}

enum { OPS_MAX = 64 };
struct ops {
    uint32_t op[OPS_MAX];
    size_t len;
};

static ccz_rc keep_op(void *arg, uint32_t op, const char *policy, struct ccz_err *err)
{
    (void)policy;
    struct ops *o = arg;
    if (o->len == OPS_MAX)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:bindings", OPS_MAX, "too many bindings of an item");
    o->op[o->len++] = op;
    return CCZ_OK;
}

ccz_rc cczi_kms_binding_delete_all(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                                   struct ccz_err *err)
{
    struct ops o = {.len = 0};
    ccz_rc rc = cczi_kms_binding_each(s, ref, keep_op, &o, err);
    for (size_t i = 0; rc == CCZ_OK && i < o.len; i++)
        rc = cczi_kms_binding_delete(s, ref, o.op[i], err);
    return rc;
}

/* -------------------------------------------------------------------------- quorum */

ccz_rc cczi_kms_quorum_get(uint32_t *needed, struct ccz_kms_store *s, const char *ns,
                           struct ccz_err *err)
{
    *needed = UINT32_MAX; /* should anybody use it in spite of an error */
    struct cczi_kms_row r;
    cczi_kms_row_init(&r);
    cczi_kms_row_text(&r, ns);
    ccz_rc rc = cczi_kms_row_get(&r, s, CCZI_KMS_T_QUORUM, err);
    int64_t n = rc == CCZ_OK ? r.col[1].num : 0;
    cczi_kms_row_deinit(&r);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    if (n < 0 || n > UINT32_MAX)
        return not_ours(err, "quorum");
    *needed = (uint32_t)n;
    return CCZ_OK;
}

ccz_rc cczi_kms_quorum_put(struct ccz_kms_store *s, const char *ns, uint32_t needed,
                           struct ccz_err *err)
{
    struct cczi_kms_row r;
    cczi_kms_row_init(&r);
    cczi_kms_row_text(&r, ns);
    ccz_rc rc = cczi_kms_row_get(&r, s, CCZI_KMS_T_QUORUM, err);
    bool same = rc == CCZ_OK && r.col[1].num == needed;
    if (!same && (rc == CCZ_OK || rc == CCZ_E_NOT_FOUND)) {
        cczi_kms_row_start(&r);
        cczi_kms_row_text(&r, ns);
        cczi_kms_row_int(&r, needed);
        rc = cczi_kms_row_put(s, CCZI_KMS_T_QUORUM, &r, err);
    }
    cczi_kms_row_deinit(&r);
    return rc;
}

ccz_rc cczi_kms_quorum_delete(struct ccz_kms_store *s, const char *ns, struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_text(&r, ns);
    ccz_rc rc = cczi_kms_row_delete(s, CCZI_KMS_T_QUORUM, &r, err);
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

/* What is known as of this transaction. @return NULL if nothing is */
static uint8_t *known_quorums(struct cczi_kms_quorums *q)
{
    if (!q->known_here && q->known) {
        q->known_here = true;
        memcpy(q->here, q->set, sizeof(q->here));
    }
    return q->known_here ? q->here : NULL;
}

ccz_rc cczi_kms_quorums_note(struct ccz_kms_store *s, const uint8_t mac[32],
                             ccz_rc (*change)(uint8_t set[32], const struct cczi_kms_sealer *sealer,
                                              const uint8_t mac[32]))
{
    uint8_t *set = known_quorums(&s->quorums);
    s->quorums.changes++;
    return set ? change(set, &s->sealer, mac) : CCZ_OK;
}

void cczi_kms_quorums_commit(struct ccz_kms_store *s)
{
    struct cczi_kms_quorums *q = &s->quorums;
    if (q->known_here)
        memcpy(q->set, q->here, sizeof(q->set));
    q->known = q->known || q->known_here;
    q->known_here = false;
}

void cczi_kms_quorums_forget(struct ccz_kms_store *s)
{
    s->quorums = (struct cczi_kms_quorums){0};
}

struct quorum_call {
    struct ccz_kms_store *s;
    cczi_kms_quorum_fn fn;
    void *arg;
    uint8_t set[32];
};

static ccz_rc quorum_row(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    struct quorum_call *c = arg;
    char ns[CCZ_KMS_NAME_SIZE];
    int64_t n = r->col[1].num;
    if (n < 0 || n > UINT32_MAX || !text_of(ns, sizeof(ns), r, 0))
        return not_ours(err, "quorum");
    ccz_rc rc = cczi_kms_set_add(c->set, &c->s->sealer, r->mac);
    return rc == CCZ_OK ? c->fn(c->arg, ns, (uint32_t)n, err)
                        : ccz_fail(err, rc, "kms:row-mac", 0, "cannot compute a set of rows");
}

static ccz_rc quorums_are(struct ccz_kms_store *s, const uint8_t set[32], struct ccz_err *err)
{
    const uint8_t *known = known_quorums(&s->quorums);
    if (known && ccz_ct_eq(known, set, 32))
        return CCZ_OK;
    ccz_rc rc = cczi_kms_rows_whole(s, err);
    /* of what was added up, and not of what is there a moment before or after */
    if (rc != CCZ_OK || ccz_ct_eq(s->quorums.here, set, 32))
        return rc;
    ccz_fail(err, CCZ_E_SIG, "kms:row-set", 0, "rows were changed while they were looked at");
    return cczi_kms_hint(err, CCZ_E_SIG);
}

ccz_rc cczi_kms_quorum_each(struct ccz_kms_store *s, cczi_kms_quorum_fn fn, void *arg,
                            struct ccz_err *err)
{
    struct quorum_call c = {.s = s, .fn = fn, .arg = arg};
    ccz_rc rc =
        cczi_kms_row_each(s, CCZI_KMS_T_QUORUM, CCZI_SQL_QUORUM_ALL, NULL, quorum_row, &c, err);
    return rc == CCZ_OK ? quorums_are(s, c.set, err) : rc;
}

/* ------------------------------------------------------------------------ proposal */

static bool proposal_of(struct cczi_kms_proposal *p, const struct cczi_kms_row *r)
{
    int64_t id = r->col[0].num, state = r->col[7].num;
    p->id = (uint64_t)id;
    p->body = r->col[3].bytes;
    p->created_s = r->col[5].num;
    p->expires_s = r->col[6].num;
    p->state = (enum cczi_kms_proposal_state)state;
    return id > 0 && text_of(p->ns, sizeof(p->ns), r, 1) &&
           text_of(p->method, sizeof(p->method), r, 2) && bytes32_of(p->proposer, r, 4) &&
           state >= CCZI_KMS_OPEN && state <= CCZI_KMS_EXPIRED;
}

ccz_rc cczi_kms_proposal_get(struct cczi_kms_proposal *out, struct cczi_kms_row *keep,
                             struct ccz_kms_store *s, uint64_t id, struct ccz_err *err)
{
    *out = (struct cczi_kms_proposal){0};
    if (id > INT64_MAX)
        return CCZ_E_NOT_FOUND;
    cczi_kms_row_start(keep);
    cczi_kms_row_int(keep, (int64_t)id);
    ccz_rc rc = cczi_kms_row_get(keep, s, CCZI_KMS_T_PROPOSAL, err);
    return rc == CCZ_OK && !proposal_of(out, keep) ? not_ours(err, "proposal") : rc;
}

ccz_rc cczi_kms_proposal_put(struct ccz_kms_store *s, const struct cczi_kms_proposal *p,
                             struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_int(&r, (int64_t)p->id);
    cczi_kms_row_text(&r, p->ns);
    cczi_kms_row_text(&r, p->method);
    cczi_kms_row_blob(&r, p->body);
    cczi_kms_row_blob(&r, bytes32(p->proposer));
    cczi_kms_row_int(&r, p->created_s);
    cczi_kms_row_int(&r, p->expires_s);
    cczi_kms_row_int(&r, p->state);
    return cczi_kms_row_put(s, CCZI_KMS_T_PROPOSAL, &r, err);
}

ccz_rc cczi_kms_proposal_last(uint64_t *id, struct ccz_kms_store *s, struct ccz_err *err)
{
    *id = 0;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_PROPOSAL_LAST);
    int64_t v = cczi_q_row(&q) ? cczi_q_col_int(&q, 0) : 0; /* max() of nothing reads as 0 */
    ccz_rc rc = cczi_q_end(&q, err);
    if (rc == CCZ_OK && v < 0)
        rc = not_ours(err, "proposal");
    if (rc == CCZ_OK)
        *id = (uint64_t)v;
    return rc;
}

ccz_rc cczi_kms_proposal_heads(struct ccz_kms_store *s, cczi_kms_proposal_fn fn, void *arg,
                               struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_PROPOSAL_HEADS);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        struct cczi_kms_proposal_head h = {.id = (uint64_t)cczi_q_col_int(&q, 0),
                                           .state = cczi_q_col_int(&q, 2),
                                           .expires_s = cczi_q_col_int(&q, 3),
                                           .bytes = (uint64_t)cczi_q_col_int(&q, 4)};
        cczi_q_col_text(h.ns, sizeof(h.ns), &q, 1);
        rc = h.id > 0 && h.id <= INT64_MAX ? fn(arg, &h, err) : not_ours(err, "proposal");
    }
    return cczi_q_end_after(&q, rc, err);
}

/* ------------------------------------------------------------------------ approval */

ccz_rc cczi_kms_approval_put(struct ccz_kms_store *s, const struct cczi_kms_approval *a,
                             struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_int(&r, (int64_t)a->proposal);
    cczi_kms_row_blob(&r, bytes32(a->approver));
    cczi_kms_row_int(&r, a->time_s);
    return cczi_kms_row_put(s, CCZI_KMS_T_APPROVAL, &r, err);
}

struct approval_call {
    cczi_kms_approval_fn fn;
    void *arg;
};

static ccz_rc approval_row(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    const struct approval_call *c = arg;
    struct cczi_kms_approval a = {.proposal = (uint64_t)r->col[0].num, .time_s = r->col[2].num};
    return bytes32_of(a.approver, r, 1) ? c->fn(c->arg, &a, err) : not_ours(err, "approval");
}

ccz_rc cczi_kms_approval_each(struct ccz_kms_store *s, uint64_t proposal, cczi_kms_approval_fn fn,
                              void *arg, struct ccz_err *err)
{
    struct approval_call c = {fn, arg};
    struct cczi_kms_row key = {0};
    cczi_kms_row_int(&key, (int64_t)proposal);
    return cczi_kms_row_each(s, CCZI_KMS_T_APPROVAL, CCZI_SQL_APPROVAL_OF, &key, approval_row, &c,
                             err);
}

enum { APPROVERS_MAX = 1024 };
struct approvers {
    uint8_t (*id)[32];
    size_t len;
};

static ccz_rc keep_approver(void *arg, const struct cczi_kms_approval *a, struct ccz_err *err)
{
    struct approvers *l = arg;
    void *p = l->len < APPROVERS_MAX ? realloc(l->id, (l->len + 1) * sizeof(*l->id)) : NULL;
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:proposal", 0, "too many approvals, or no memory");
    l->id = p;
    memcpy(l->id[l->len++], a->approver, sizeof(*l->id));
    return CCZ_OK;
}

ccz_rc cczi_kms_proposal_delete(struct ccz_kms_store *s, uint64_t id, struct ccz_err *err)
{
    struct approvers l = {0};
    ccz_rc rc = cczi_kms_approval_each(s, id, keep_approver, &l, err);
    for (size_t i = 0; rc == CCZ_OK && i < l.len; i++) {
        struct cczi_kms_row r = {0};
        cczi_kms_row_int(&r, (int64_t)id);
        cczi_kms_row_blob(&r, bytes32(l.id[i]));
        rc = cczi_kms_row_delete(s, CCZI_KMS_T_APPROVAL, &r, err);
    }
    free(l.id);
    struct cczi_kms_row r = {0};
    cczi_kms_row_int(&r, (int64_t)id);
    return rc == CCZ_OK ? cczi_kms_row_delete(s, CCZI_KMS_T_PROPOSAL, &r, err) : rc;
}

/* ------------------------------------------------------------------------ key_meta */

ccz_rc cczi_kms_key_meta_row_get(struct ccz_span *meta, struct cczi_kms_row *keep,
                                 struct ccz_kms_store *s, const char *name, struct ccz_err *err)
{
    cczi_kms_row_start(keep);
    cczi_kms_row_text(keep, name);
    ccz_rc rc = cczi_kms_row_get(keep, s, CCZI_KMS_T_KEY_META, err);
    *meta = rc == CCZ_OK ? keep->col[1].bytes : (struct ccz_span){0};
    return rc;
}

ccz_rc cczi_kms_key_meta_row_put(struct ccz_kms_store *s, const char *name, struct ccz_span meta,
                                 struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_text(&r, name);
    cczi_kms_row_blob(&r, meta);
    return cczi_kms_row_put(s, CCZI_KMS_T_KEY_META, &r, err);
}

ccz_rc cczi_kms_key_meta_row_delete(struct ccz_kms_store *s, const char *name, struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_text(&r, name);
    return cczi_kms_row_delete(s, CCZI_KMS_T_KEY_META, &r, err);
}

struct key_meta_call {
    cczi_kms_key_meta_fn fn;
    void *arg;
};

static ccz_rc key_meta_row(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    const struct key_meta_call *c = arg;
    char name[CCZ_KMS_NAME_SIZE];
    return text_of(name, sizeof(name), r, 0) ? c->fn(c->arg, name, r->col[1].bytes, err)
                                             : not_ours(err, "key_meta");
}

ccz_rc cczi_kms_key_meta_each(struct ccz_kms_store *s, cczi_kms_key_meta_fn fn, void *arg,
                              struct ccz_err *err)
{
    struct key_meta_call c = {fn, arg};
    return cczi_kms_row_each(s, CCZI_KMS_T_KEY_META, CCZI_SQL_KEY_META_ALL, NULL, key_meta_row, &c,
                             err);
}

/* -------------------------------------------------------------------------- staged */

static bool staged_of(struct cczi_kms_staged *st, const struct cczi_kms_row *r)
{
    st->json = r->col[1].bytes;
    st->created_s = r->col[3].num;
    st->ends_s = r->col[4].num;
    st->would_accept = (uint64_t)r->col[5].num;
    st->would_refuse = (uint64_t)r->col[6].num;
    return text_of(st->policy, sizeof(st->policy), r, 0) && bytes32_of(st->sha256, r, 2);
}

ccz_rc cczi_kms_staged_get(struct cczi_kms_staged *out, struct cczi_kms_row *keep,
                           struct ccz_kms_store *s, const char *policy, struct ccz_err *err)
{
    *out = (struct cczi_kms_staged){0};
    cczi_kms_row_start(keep);
    cczi_kms_row_text(keep, policy);
    ccz_rc rc = cczi_kms_row_get(keep, s, CCZI_KMS_T_STAGED, err);
    return rc == CCZ_OK && !staged_of(out, keep) ? not_ours(err, "staged") : rc;
}

ccz_rc cczi_kms_staged_put(struct ccz_kms_store *s, const struct cczi_kms_staged *st,
                           struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_text(&r, st->policy);
    cczi_kms_row_blob(&r, st->json);
    cczi_kms_row_blob(&r, bytes32(st->sha256));
    cczi_kms_row_int(&r, st->created_s);
    cczi_kms_row_int(&r, st->ends_s);
    cczi_kms_row_int(&r, (int64_t)st->would_accept);
    cczi_kms_row_int(&r, (int64_t)st->would_refuse);
    return cczi_kms_row_put(s, CCZI_KMS_T_STAGED, &r, err);
}

ccz_rc cczi_kms_staged_delete(struct ccz_kms_store *s, const char *policy, struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_text(&r, policy);
    return cczi_kms_row_delete(s, CCZI_KMS_T_STAGED, &r, err);
}

struct staged_call {
    cczi_kms_staged_fn fn;
    void *arg;
};

static ccz_rc staged_row(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    const struct staged_call *c = arg;
    struct cczi_kms_staged st = {0};
    return staged_of(&st, r) ? c->fn(c->arg, &st, err) : not_ours(err, "staged");
}

ccz_rc cczi_kms_staged_of(struct ccz_kms_store *s, const char *name, cczi_kms_staged_fn fn,
                          void *arg, struct ccz_err *err)
{
    struct staged_call c = {fn, arg};
    struct cczi_kms_range r;
    cczi_kms_range_of(&r, name, true);
    const struct cczi_kms_param params[] = {
        {.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(r.from)},
        {.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(r.to)},
        {.type = CCZI_KMS_INT, .num = r.no_slash},
    };
    return cczi_kms_row_page(s, CCZI_KMS_T_STAGED, CCZI_SQL_STAGED_OF, params, 3, staged_row, &c,
                             err);
}

/* ------------------------------------------------------------------------ evidence */

static bool evidence_of(struct cczi_kms_evidence *e, const struct cczi_kms_row *r)
{
    e->tee = (uint32_t)r->col[2].num;
    e->claims = r->col[3].bytes;
    e->evidence = r->col[4].bytes;
    e->first_s = r->col[5].num;
    e->last_s = r->col[6].num;
    e->accepted = (uint64_t)r->col[7].num;
    e->refused = (uint64_t)r->col[8].num;
    return bytes32_of(e->id, r, 0) && text_of(e->policy, sizeof(e->policy), r, 1) &&
           r->col[2].num >= 0 && r->col[2].num <= UINT32_MAX;
}

ccz_rc cczi_kms_evidence_get(struct cczi_kms_evidence *out, struct cczi_kms_row *keep,
                             struct ccz_kms_store *s, const uint8_t id[32], struct ccz_err *err)
{
    *out = (struct cczi_kms_evidence){0};
    cczi_kms_row_start(keep);
    cczi_kms_row_blob(keep, bytes32(id));
    ccz_rc rc = cczi_kms_row_get(keep, s, CCZI_KMS_T_EVIDENCE, err);
    return rc == CCZ_OK && !evidence_of(out, keep) ? not_ours(err, "evidence") : rc;
}

ccz_rc cczi_kms_evidence_put(struct ccz_kms_store *s, const struct cczi_kms_evidence *e,
                             struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_blob(&r, bytes32(e->id));
    cczi_kms_row_text(&r, e->policy);
    cczi_kms_row_int(&r, e->tee);
    cczi_kms_row_blob(&r, e->claims);
    cczi_kms_row_blob(&r, e->evidence);
    cczi_kms_row_int(&r, e->first_s);
    cczi_kms_row_int(&r, e->last_s);
    cczi_kms_row_int(&r, (int64_t)e->accepted);
    cczi_kms_row_int(&r, (int64_t)e->refused);
    return cczi_kms_row_put(s, CCZI_KMS_T_EVIDENCE, &r, err);
}

ccz_rc cczi_kms_evidence_delete(struct ccz_kms_store *s, const uint8_t id[32], struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_blob(&r, bytes32(id));
    return cczi_kms_row_delete(s, CCZI_KMS_T_EVIDENCE, &r, err);
}

/* Names sort by their bytes, and have none from 0x7f on. */
void cczi_kms_range_of(struct cczi_kms_range *r, const char *name, bool whole_ns)
{
    char ns[CCZ_KMS_NAME_SIZE];
    cczi_kms_ns_of(ns, name);
    r->no_slash = whole_ns && !ns[0];
    (void)snprintf(r->from, sizeof(r->from), "%s%s", whole_ns ? ns : name,
                   whole_ns && ns[0] ? "/" : "");
    (void)snprintf(r->to, sizeof(r->to), "%s%s", r->from, whole_ns ? "\x7f" : "");
}

struct cczi_q cczi_kms_range_query(enum cczi_kms_sql sql, struct cczi_kms_range *r,
                                   struct ccz_kms_store *s, const char *policy, bool whole_ns)
{
    cczi_kms_range_of(r, policy, whole_ns);
    struct cczi_q q = cczi_q_start(&s->db, sql);
    cczi_q_text(&q, r->from);
    cczi_q_text(&q, r->to);
    cczi_q_int(&q, r->no_slash);
    return q;
}

ccz_rc cczi_kms_evidence_count(uint64_t *rows, struct ccz_kms_store *s, const char *policy,
                               bool whole_ns, struct ccz_err *err)
{
    struct cczi_kms_range range;
    struct cczi_q q = cczi_kms_range_query(CCZI_SQL_EVIDENCE_COUNT, &range, s, policy, whole_ns);
    *rows = cczi_q_row(&q) ? (uint64_t)cczi_q_col_int(&q, 0) : 0;
    return cczi_q_end(&q, err);
}

ccz_rc cczi_kms_evidence_oldest(uint8_t id[32], struct ccz_kms_store *s, const char *policy,
                                bool whole_ns, struct ccz_err *err)
{
    struct cczi_kms_range range;
    struct cczi_q q = cczi_kms_range_query(CCZI_SQL_EVIDENCE_OLDEST, &range, s, policy, whole_ns);
    bool found = cczi_q_row(&q);
    if (found)
        cczi_q_col_bytes(id, 32, &q, 0);
    return cczi_q_end_after(&q, found ? CCZ_OK : CCZ_E_NOT_FOUND, err);
}

struct evidence_call {
    cczi_kms_evidence_fn fn;
    void *arg;
};

static ccz_rc evidence_row(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    const struct evidence_call *c = arg;
    struct cczi_kms_evidence e = {0};
    return evidence_of(&e, r) ? c->fn(c->arg, &e, err) : not_ours(err, "evidence");
}

ccz_rc cczi_kms_evidence_each(struct ccz_kms_store *s, cczi_kms_evidence_fn fn, void *arg,
                              struct ccz_err *err)
{
    struct evidence_call c = {fn, arg};
    return cczi_kms_row_each(s, CCZI_KMS_T_EVIDENCE, CCZI_SQL_EVIDENCE_ALL, NULL, evidence_row, &c,
                             err);
}

ccz_rc cczi_kms_evidence_page(struct ccz_kms_store *s, const char *policy, const uint8_t after[32],
                              int64_t limit, cczi_kms_evidence_fn fn, void *arg,
                              struct ccz_err *err)
{
    struct evidence_call c = {fn, arg};
    const struct cczi_kms_param params[] = {
        {.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(policy ? policy : "")},
        {.type = CCZI_KMS_BLOB, .bytes = bytes32(after)},
        {.type = CCZI_KMS_INT, .num = limit},
    };
    return policy ? cczi_kms_row_page(s, CCZI_KMS_T_EVIDENCE, CCZI_SQL_EVIDENCE_OF, params, 3,
                                      evidence_row, &c, err)
                  : cczi_kms_row_page(s, CCZI_KMS_T_EVIDENCE, CCZI_SQL_EVIDENCE_PAGE, params + 1, 2,
                                      evidence_row, &c, err);
}

/* ----------------------------------------------------------------------- reference */

static bool reference_of(struct cczi_kms_reference *x, const struct cczi_kms_row *r)
{
    int64_t version = r->col[1].num;
    x->version = (uint32_t)version;
    x->json = r->col[2].bytes;
    x->created_s = r->col[4].num;
    memcpy(x->mac, r->mac, sizeof(x->mac));
    return version > 0 && version <= UINT32_MAX && text_of(x->name, sizeof(x->name), r, 0) &&
           bytes32_of(x->sha256, r, 3);
}

static void reference_key(struct cczi_kms_row *r, const char *name, uint32_t version)
{
    cczi_kms_row_text(r, name);
    cczi_kms_row_int(r, version);
}

static ccz_rc keep_row(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    struct cczi_kms_row *keep = arg;
    size_t at[CCZI_KMS_COLS_MAX] = {0};
    ccz_buf_clear(&keep->bytes);
    for (size_t i = 0; i < r->len; i++) {
        at[i] = keep->bytes.size;
        ccz_buf_put_span(&keep->bytes, r->col[i].bytes);
        keep->col[i] = r->col[i];
    }
    keep->len = r->len;
    memcpy(keep->mac, r->mac, sizeof(keep->mac));
    if (keep->bytes.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:row", 0, "out of memory");
    for (size_t i = 0; i < r->len; i++) /* now that they do not move any more */
        if (r->col[i].bytes.size)
            keep->col[i].bytes.ptr = keep->bytes.ptr + at[i];
    return CCZ_OK;
}

/* The row with the highest version that the database has. */
static ccz_rc highest_reference(struct cczi_kms_row *keep, struct ccz_kms_store *s,
                                const char *name, struct ccz_err *err)
{
    const struct cczi_kms_param params[] = {
        {.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(name)},
        {.type = CCZI_KMS_INT, .num = 1},
    };
    ccz_rc rc = cczi_kms_row_page(s, CCZI_KMS_T_REFERENCE, CCZI_SQL_REFERENCE_OF, params, 2,
                                  keep_row, keep, err);
    if (rc != CCZ_OK || keep->len == 0)
        return rc == CCZ_OK ? CCZ_E_NOT_FOUND : rc;
    /* the database may show another row than it was asked for */
    return ccz_span_eq(keep->col[0].bytes, ccz_span_str(name)) ? CCZ_OK
                                                               : not_ours(err, "reference");
}

/* The row that the head of the set names: an older one is not in force because this one was taken away. */
static ccz_rc latest_reference(struct cczi_kms_row *keep, struct ccz_kms_store *s, const char *name,
                               struct ccz_err *err)
{
    uint32_t last;
    if (s->no_set_heads)
        return highest_reference(keep, s, name, err);
    ccz_rc rc = cczi_kms_set_head_get(&last, s, name, err);
    if (rc == CCZ_E_NOT_FOUND) {
        rc = highest_reference(keep, s, name, err);
        return rc == CCZ_OK ? cczi_kms_set_went_away(err) : rc;
    }
    if (rc != CCZ_OK)
        return rc;
    reference_key(keep, name, last);
    rc = cczi_kms_row_get(keep, s, CCZI_KMS_T_REFERENCE, err);
    return rc == CCZ_E_NOT_FOUND ? cczi_kms_set_went_away(err) : rc;
}

ccz_rc cczi_kms_reference_get(struct cczi_kms_reference *out, struct cczi_kms_row *keep,
                              struct ccz_kms_store *s, const char *name, uint32_t version,
                              struct ccz_err *err)
{
    *out = (struct cczi_kms_reference){0};
    cczi_kms_row_start(keep);
    ccz_rc rc;
    if (version) {
        reference_key(keep, name, version);
        rc = cczi_kms_row_get(keep, s, CCZI_KMS_T_REFERENCE, err);
    } else {
        rc = latest_reference(keep, s, name, err);
    }
    return rc == CCZ_OK && !reference_of(out, keep) ? not_ours(err, "reference") : rc;
}

/* A version was added. */
static ccz_rc head_follows(struct ccz_kms_store *s, const char *name, uint32_t version,
                           struct ccz_err *err)
{
    uint32_t last;
    if (s->no_set_heads)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_set_head_get(&last, s, name, err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    return rc == CCZ_OK && version <= last ? CCZ_OK : cczi_kms_set_head_put(s, name, version, err);
}

/* The head of a set becomes what there is below @p gone, the version that was deleted, or goes. */
static ccz_rc head_settles(struct ccz_kms_store *s, const char *name, uint32_t gone,
                           struct ccz_err *err)
{
    struct cczi_kms_row keep;
    struct cczi_kms_reference x = {0};
    cczi_kms_row_init(&keep);
    ccz_rc rc = highest_reference(&keep, s, name, err);
    if (rc == CCZ_OK && !reference_of(&x, &keep))
        rc = not_ours(err, "reference");
    cczi_kms_row_deinit(&keep);
    if (rc == CCZ_OK && x.version > gone) /* put back into the database */
        return cczi_kms_set_went_away(err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    rc = cczi_kms_set_head_put(s, name, rc == CCZ_OK ? x.version : 0, err);
    return rc == CCZ_E_NOT_FOUND && x.version == 0 ? CCZ_OK : rc;
}

ccz_rc cczi_kms_reference_put(struct ccz_kms_store *s, const struct cczi_kms_reference *x,
                              struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    reference_key(&r, x->name, x->version);
    cczi_kms_row_blob(&r, x->json);
    cczi_kms_row_blob(&r, bytes32(x->sha256));
    cczi_kms_row_int(&r, x->created_s);
    ccz_rc rc = cczi_kms_row_put(s, CCZI_KMS_T_REFERENCE, &r, err);
    return rc == CCZ_OK ? head_follows(s, x->name, x->version, err) : rc;
}

ccz_rc cczi_kms_reference_delete(struct ccz_kms_store *s, const char *name, uint32_t version,
                                 struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    reference_key(&r, name, version);
    uint32_t last = 0;
    ccz_rc rc = s->no_set_heads ? CCZ_E_NOT_FOUND : cczi_kms_set_head_get(&last, s, name, err);
    if (rc == CCZ_OK || rc == CCZ_E_NOT_FOUND)
        rc = cczi_kms_row_delete(s, CCZI_KMS_T_REFERENCE, &r, err);
    return rc == CCZ_OK && version == last ? head_settles(s, name, version, err) : rc;
}

ccz_rc cczi_kms_names_after(struct cczi_kms_names *out, struct ccz_kms_store *s,
                            enum cczi_kms_sql sql, const char *after, size_t max,
                            bool (*may)(const void *arg, const char *name), const void *arg,
                            struct ccz_err *err)
{
    *out = (struct cczi_kms_names){.len = 0};
    struct cczi_q q = cczi_q_start(&s->db, sql);
    cczi_q_text(&q, after);
    while (!out->more && cczi_q_row(&q)) {
        char name[CCZ_KMS_NAME_SIZE];
        cczi_q_col_text(name, sizeof(name), &q, 0);
        if (!may(arg, name))
            continue;
        out->more = out->len == max;
        if (!out->more)
            memcpy(out->name[out->len++], name, sizeof(name));
    }
    return cczi_q_end(&q, err);
}

static bool any_name(const void *arg, const char *name)
{
    (void)arg;
    (void)name;
    return true;
}

ccz_rc cczi_kms_set_heads_build(struct ccz_kms_store *s, struct ccz_err *err)
{
    enum { PAGE = 32 };
    char after[CCZ_KMS_NAME_SIZE] = "";
    struct cczi_kms_names *n = calloc(1, sizeof(*n));
    if (!n)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:list", 0, "out of memory");
    ccz_rc rc;
    s->no_set_heads = false;
    do {
        rc = cczi_kms_names_after(n, s, CCZI_SQL_REFERENCE_NAMES, after, PAGE, any_name, NULL, err);
        for (size_t i = 0; rc == CCZ_OK && i < n->len; i++) {
            rc = head_settles(s, n->name[i], UINT32_MAX, err);
            memcpy(after, n->name[i], sizeof(after));
        }
    } while (rc == CCZ_OK && n->more);
    free(n);
    return rc;
}

/* -------------------------------------------------------------------- raw evidence */

static bool raw_of(struct cczi_kms_raw *e, const struct cczi_kms_row *r)
{
    e->tee = (uint32_t)r->col[2].num;
    e->time_s = r->col[3].num;
    e->evidence = r->col[4].bytes;
    return bytes32_of(e->sha256, r, 0) && text_of(e->ns, sizeof(e->ns), r, 1) &&
           r->col[2].num >= 0 && r->col[2].num <= UINT32_MAX;
}

ccz_rc cczi_kms_raw_get(struct cczi_kms_raw *out, struct cczi_kms_row *keep,
                        struct ccz_kms_store *s, const uint8_t sha256[32], const char *ns,
                        struct ccz_err *err)
{
    *out = (struct cczi_kms_raw){0};
    cczi_kms_row_start(keep);
    cczi_kms_row_blob(keep, bytes32(sha256));
    cczi_kms_row_text(keep, ns);
    ccz_rc rc = cczi_kms_row_get(keep, s, CCZI_KMS_T_RAW, err);
    return rc == CCZ_OK && !raw_of(out, keep) ? not_ours(err, "raw_evidence") : rc;
}

ccz_rc cczi_kms_raw_put(struct ccz_kms_store *s, const struct cczi_kms_raw *e, struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_blob(&r, bytes32(e->sha256));
    cczi_kms_row_text(&r, e->ns);
    cczi_kms_row_int(&r, e->tee);
    cczi_kms_row_int(&r, e->time_s);
    cczi_kms_row_blob(&r, e->evidence);
    return cczi_kms_row_put(s, CCZI_KMS_T_RAW, &r, err);
}

ccz_rc cczi_kms_raw_delete(struct ccz_kms_store *s, const uint8_t sha256[32], const char *ns,
                           struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    cczi_kms_row_blob(&r, bytes32(sha256));
    cczi_kms_row_text(&r, ns);
    return cczi_kms_row_delete(s, CCZI_KMS_T_RAW, &r, err);
}

ccz_rc cczi_kms_raw_count(uint64_t *rows, uint64_t *bytes, struct ccz_kms_store *s, const char *ns,
                          struct ccz_err *err)
{
    *rows = *bytes = 0;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_RAW_COUNT);
    cczi_q_text(&q, ns);
    if (cczi_q_row(&q)) {
        *rows = (uint64_t)cczi_q_col_int(&q, 0);
        *bytes = (uint64_t)cczi_q_col_int(&q, 1);
    }
    return cczi_q_end(&q, err);
}

ccz_rc cczi_kms_raw_oldest(uint8_t sha256[32], struct ccz_kms_store *s, const char *ns,
                           struct ccz_err *err)
{
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_RAW_OLDEST);
    cczi_q_text(&q, ns);
    bool found = cczi_q_row(&q);
    if (found)
        cczi_q_col_bytes(sha256, 32, &q, 0);
    return cczi_q_end_after(&q, found ? CCZ_OK : CCZ_E_NOT_FOUND, err);
}
