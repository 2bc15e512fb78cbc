/* SPDX-License-Identifier: Apache-2.0 */
/* The methods, each inside a transaction and after handle.c has checked who calls. */
#include "kms_priv.h"
#include "looks.h"
#include "quota.h"
#include "use_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

enum { AUDIT_PAGE = 100 };

/* CCZ_E_NOT_FOUND of a getter becomes an answer for the caller. */
ccz_rc cczi_kms_or_not_found(struct ccz_err *err, ccz_rc rc, const char *what, const char *name)
{
    if (rc != CCZ_E_NOT_FOUND)
        return rc;
    ccz_fail(err, rc, "kms:not-found", 0, "there is no %s \"%s\"", what, name);
    return cczi_kms_hint(err, rc);
}

/* "key/NAME" or "secret/NAME" of a request; from here on the audit line names it. */
ccz_rc cczi_kms_take_ref(struct cczi_kms_call *call, struct ccz_span text, bool policy_too,
                         struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_ref_parse(&call->ref, text, err);
    if (rc == CCZ_OK && call->ref.kind == CCZI_KMS_POLICY && !policy_too)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:name", "policy/NAME", "key/NAME or secret/NAME");
    call->has_ref = rc == CCZ_OK;
    return rc;
}

/* Loads a policy into @p p (its json is freed by the caller) and notes it for the audit line. */
static ccz_rc load_policy(struct cczi_kms_policy *p, struct cczi_kms_call *call, const char *name,
                          struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_policy_get(p, call->store, name, err);
    if (rc != CCZ_OK)
        return cczi_kms_or_not_found(err, rc, "policy", name);
    memcpy(call->policy, name, strlen(name) + 1);
    memcpy(call->policy_sha256, p->sha256, sizeof(call->policy_sha256));
    call->has_policy_sha256 = true;
    return CCZ_OK;
}

/* -------------------------------------------------------------------------- release */

ccz_rc cczi_kms_policy_parsed(const struct ccz_policy **out, struct cczi_kms_call *call,
                              const char *policy, struct ccz_err *err)
{
    struct cczi_kms_policy p = {0};
    *out = NULL;
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = load_policy(&p, call, policy, err);
    struct cczi_kms_parsed *parsed = NULL;
    if (rc == CCZ_OK)
        rc = cczi_kms_policies_get(&parsed, call->store->policies, policy, &p, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_parsed_resolve(parsed, call->store, policy, err);
    if (rc == CCZ_OK)
        *out = parsed->policy;
    ccz_buf_free(&p.json);
    return rc;
}

ccz_rc cczi_kms_judge_by(struct cczi_kms_call *call, const char *policy, struct ccz_err *err)
{
    const struct ccz_policy *parsed = NULL;
    ccz_rc rc = cczi_kms_policy_parsed(&parsed, call, policy, err);
    return rc == CCZ_OK ? cczi_kms_verdict(call, parsed, err) : rc;
}

/* As the head of the item says: neither taken away from the database, nor put back into it. */
static ccz_rc binding_of(struct cczi_kms_binding *b, struct cczi_kms_call *call, uint32_t op,
                         struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_binding_get(b, call->store, &call->ref, op, err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    ccz_rc said = cczi_kms_binding_said(call->store, &call->ref, op, rc == CCZ_OK, err);
    return said != CCZ_OK ? said : rc;
}

/* The item's own policy over the peer's claims. */
ccz_rc cczi_kms_judge(struct cczi_kms_call *call, uint32_t op, struct ccz_err *err)
{
    struct cczi_kms_binding b;
    ccz_rc rc = binding_of(&b, call, op, err);
    if (rc == CCZ_E_NOT_FOUND && op != CCZI_OP_RELEASE)
        rc = binding_of(&b, call, CCZI_OP_RELEASE, err);
    if (rc == CCZ_E_NOT_FOUND) {
        ccz_refuse(err, CCZ_E_DENIED, "kms:unbound", "no policy", "an item bound to a policy");
        return cczi_kms_hint(err, CCZ_E_DENIED);
    }
    return rc == CCZ_OK ? cczi_kms_judge_by(call, b.policy, err) : rc;
}

/* Metadata of a key that works inside, whose material leaves only if it was made to; of others kind stays 0. A version of such a kind
 * without metadata, or another one with them, is not what we wrote. */
static ccz_rc works_inside(struct cczi_kms_key_meta *m, struct cczi_kms_call *call,
                           const struct cczi_kms_item *it, struct ccz_err *err)
{
    enum cczi_kms_key_kind kind = CCZI_KEY_NONE;
    *m = (struct cczi_kms_key_meta){0};
    if (call->ref.kind != CCZI_KMS_KEY)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_key_kind_parse(&kind, ccz_span_str(it->slot.alg), err);
    if (rc != CCZ_OK || !cczi_kms_kind_managed(kind))
        return rc;
    rc = cczi_kms_meta_get(m, call, err);
    return rc == CCZ_E_NOT_FOUND
               ? ccz_refuse(err, CCZ_E_SIG, "kms:key-meta", "no metadata", "metadata of the key")
               : rc;
}

ccz_rc cczi_kms_releasable(struct cczi_kms_item *it, struct cczi_kms_call *call,
                           struct ccz_span item, uint32_t version, struct ccz_err *err)
{
    struct cczi_kms_key_meta meta = {0};
    ccz_rc rc = cczi_kms_take_ref(call, item, false, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_or_not_found(err, cczi_kms_item_get(it, call->store, &call->ref, version, err),
                               cczi_kms_kind_name(call->ref.kind), call->ref.name);
    if (rc == CCZ_OK)
        rc = works_inside(&meta, call, it, err);
    if (rc == CCZ_OK) {
        call->version = it->slot.version;
        rc = cczi_kms_judge(call, meta.kind ? CCZI_OP_EXPORT : CCZI_OP_RELEASE, err);
    }
    if (rc == CCZ_OK)
        rc = cczi_kms_item_open(it, call->req->peer, err);
    if (rc == CCZ_OK && meta.kind)
        rc = cczi_kms_may_leave(&meta, it, call->req->now_s, err);
    if (rc == CCZ_OK) /* after the policy: the state of an item is for those who may have it */
        rc = cczi_kms_item_usable(it, call->req->now_s, err);
    return rc;
}

static ccz_rc run_release(struct ccz_buf *response, struct cczi_kms_call *call, struct ccz_err *err)
{
    struct cczi_msg_release_req m = {0};
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_release_req, call->req->body, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    rc = cczi_kms_releasable(&it, call, m.item, (uint32_t)m.version, err);
    CCZ_AUTO(ccz_secret) value = NULL;
    if (rc == CCZ_OK)
        rc = cczi_kms_unseal(&value, &call->store->sealer, &it.slot, ccz_buf_span(&it.sealed), err);
    struct cczi_kms_slot slot = it.slot;
    cczi_kms_item_deinit(&it);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_release_resp out = {
        .value = CCZ_SPAN(ccz_secret_view(value), ccz_secret_size(value)),
        .alg = ccz_span_str(slot.alg),
        .version = slot.version,
        .policy = ccz_span_str(call->policy),
        .policy_sha256 = CCZ_SPAN(call->policy_sha256, 32),
        .rule = ccz_span_str(call->rule),
        .instance = CCZ_SPAN(call->store->instance, CCZ_KMS_INSTANCE_SIZE),
    };
    cczi_msg_put(response, cczi_msg_release_resp, &out);
    return CCZ_OK;
}

/* --------------------------------------------------------------------------- change */

/* The version that a put makes, or why not. */
static ccz_rc next_version(uint32_t *out, struct cczi_kms_call *call,
                           const struct cczi_msg_put_req *m, struct ccz_err *err)
{
    uint32_t last;
    char item[CCZ_KMS_ITEM_SIZE];
    cczi_kms_ref_print(item, &call->ref);
    ccz_rc rc = cczi_kms_item_last(&last, call->store, &call->ref, err);
    if (rc != CCZ_OK)
        return rc;
    if (m->check_version && m->new_version)
        return ccz_fail(err, CCZ_E_FORMAT, "kms:request", 5,
                        "new_version and check_version say the same thing twice");
    if (m->check_version && m->if_version != last) {
        ccz_refuse_num(err, CCZ_E_MISMATCH, "kms:version-conflict", last, (int64_t)m->if_version);
        return cczi_kms_hint(err, CCZ_E_MISMATCH);
    }
    if (last != 0 && !m->new_version && !m->check_version) {
        ccz_fail(err, CCZ_E_EXISTS, "kms:exists", last, "%s exists already, in %u version(s)", item,
                 last);
        return cczi_kms_hint(err, CCZ_E_EXISTS);
    }
    if (last == 0 && m->new_version)
        return cczi_kms_or_not_found(err, CCZ_E_NOT_FOUND, cczi_kms_kind_name(call->ref.kind),
                                     call->ref.name);
    if (last >= CCZ_KMS_VERSIONS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "kms:versions", last + 1, CCZ_KMS_VERSIONS_MAX);
    *out = last + 1;
    return CCZ_OK;
}

/* Expiry and metadata of a put. */
static ccz_rc check_extras(const struct cczi_kms_call *call, const struct cczi_msg_put_req *m,
                           struct ccz_err *err)
{
    int64_t expires_s = (int64_t)m->expires_s;
    if (expires_s && expires_s <= call->req->now_s) {
        char got[21], now[21];
        ccz_time_format(got, expires_s);
        ccz_time_format(now, call->req->now_s);
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:expiry-past", got, now);
    }
    if (expires_s > CCZ_TIME_MAX_S)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "kms:expiry-far", expires_s, CCZ_TIME_MAX_S);
    if (m->metadata.size == 0)
        return CCZ_OK;
    struct ccz_json *j = NULL;
    ccz_rc rc = ccz_json_parse(&j, m->metadata, NULL);
    bool object = rc == CCZ_OK && ccz_json_type(j) == CCZ_JSON_OBJECT;
    ccz_json_free(j);
    return object
               ? cczi_kms_may_open(call, m->metadata, err)
               : ccz_refuse(err, CCZ_E_FORMAT, "kms:metadata", "something else", "a JSON object");
}

ccz_rc cczi_kms_bind_to(struct cczi_kms_call *call, struct ccz_span policy, uint32_t op,
                        struct ccz_err *err)
{
    char name[CCZ_KMS_NAME_SIZE];
    ccz_rc rc = cczi_kms_name(name, policy, err);
    if (rc == CCZ_OK) /* also where it is asked for along with a new item, which is an operator's */
        rc = cczi_kms_need(call, CCZ_KMS_ROLE_AUTHOR, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_guard(call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_may_bind(call, name, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    rc = load_policy(&p, call, name, err);
    ccz_buf_free(&p.json);
    return rc == CCZ_OK ? cczi_kms_binding_put(call->store, &call->ref, op, name, err) : rc;
}

/* Stores a value as the next version of call->ref, and binds it if asked to. */
static ccz_rc put_item(struct ccz_buf *response, struct cczi_kms_call *call,
                       const struct cczi_msg_put_req *m, struct ccz_span value, struct ccz_err *err)
{
    struct cczi_kms_slot slot = {.ref = call->ref};
    if (m->alg.size)
        memcpy(slot.alg, m->alg.ptr, m->alg.size); /* a known algorithm: its name fits */
    ccz_rc rc = next_version(&slot.version, call, m, err);
    if (rc == CCZ_OK)
        rc = check_extras(call, m, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_item_put(call->store, &slot, call->req->now_s, (int64_t)m->expires_s,
                               m->metadata, value, err);
    if (rc == CCZ_OK && m->policy.size)
        rc = cczi_kms_bind_to(call, m->policy, CCZI_OP_RELEASE, err);
    if (rc != CCZ_OK)
        return rc;
    call->version = slot.version;
    struct cczi_msg_put_resp out = {.version = slot.version};
    cczi_msg_put(response, cczi_msg_put_resp, &out);
    return CCZ_OK;
}

static ccz_rc take_put(struct cczi_msg_put_req *m, struct cczi_kms_call *call,
                       enum cczi_kms_kind kind, struct ccz_err *err)
{
    ccz_rc rc = cczi_msg_get(m, cczi_msg_put_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_name(call->ref.name, m->name, err);
    call->ref.kind = kind;
    call->has_ref = rc == CCZ_OK;
    return rc;
}

static ccz_rc run_create_key(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    struct cczi_msg_put_req m = {0};
    ccz_rc rc = take_put(&m, call, CCZI_KMS_KEY, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_kms_key_meta meta;
    rc = cczi_kms_meta_get(&meta, call, err);
    if (rc == CCZ_OK) { /* such a key has versions of its own kind alone */
        ccz_refuse(err, CCZ_E_DENIED, "kms:key-managed", "a key that works inside",
                   "a key that is only released");
        return cczi_kms_hint(err, CCZ_E_DENIED);
    }
    if (rc != CCZ_E_NOT_FOUND)
        return rc;
    size_t size = cczi_kms_alg_size(m.alg);
    if (size == 0) {
        char got[CCZ_ERR_VALUE_SIZE];
        ccz_escape(got, sizeof(got), m.alg);
        return ccz_refuse(err, CCZ_E_UNSUPPORTED, "kms:alg", got, "aes-128 or aes-256");
    }
    if (m.value.size != 0 && m.value.size != size)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "kms:key-size", (int64_t)m.value.size,
                              (int64_t)size);
    CCZ_AUTO(ccz_secret) made = NULL;
    if (m.value.size == 0) {
        rc = ccz_secret_new(&made, size);
        if (rc == CCZ_OK)
            rc = ccz_random(ccz_secret_bytes(made), size);
        if (rc != CCZ_OK)
            return ccz_fail(err, rc, "kms:key-make", 0, "cannot make a key");
        return put_item(response, call, &m, CCZ_SPAN(ccz_secret_view(made), size), err);
    }
    return put_item(response, call, &m, m.value, err);
}

static ccz_rc run_put_secret(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    struct cczi_msg_put_req m = {0};
    ccz_rc rc = take_put(&m, call, CCZI_KMS_SECRET, err);
    if (rc == CCZ_OK && m.alg.size)
        rc = ccz_fail(err, CCZ_E_FORMAT, "kms:request", 2, "a secret has no algorithm");
    return rc == CCZ_OK ? put_item(response, call, &m, m.value, err) : rc;
}

ccz_rc cczi_kms_policy_storable(const struct cczi_kms_call *call, struct ccz_span json,
                                struct ccz_err *err)
{
    int64_t from_ms;
    CCZ_AUTO(ccz_policy) parsed = NULL;
    ccz_rc rc = cczi_kms_looks_begin(&from_ms, call, err);
    if (rc != CCZ_OK)
        return rc;
    rc = ccz_policy_parse(&parsed, json, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_references_check(parsed, call->store, call->ref.name, err);
    cczi_kms_looks_end(call, from_ms);
    return rc;
}

static ccz_rc run_put_policy(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_msg_put_policy_req m = {0};
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_put_policy_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_name(call->ref.name, m.name, err);
    if (rc != CCZ_OK)
        return rc;
    call->ref.kind = CCZI_KMS_POLICY;
    call->has_ref = true;
    rc = cczi_kms_guard(call, err);
    if (rc != CCZ_OK)
        return rc;
    /* what does not parse must not wait for the first release to say so */
    rc = cczi_kms_policy_storable(call, m.json, err);
    if (rc == CCZ_OK)
        rc = ccz_sha256(call->policy_sha256, m.json);
    if (rc != CCZ_OK)
        return rc;
    call->has_policy_sha256 = true;
    struct cczi_kms_policy old = {0};
    ccz_buf_init(&old.json, CCZ_POLICY_SIZE_MAX);
    rc = cczi_kms_policy_get(&old, call->store, call->ref.name, err);
    ccz_buf_free(&old.json);
    if (rc == CCZ_OK && !m.replace) {
        ccz_fail(err, CCZ_E_EXISTS, "kms:policy-exists", 0, "policy \"%s\" exists already",
                 call->ref.name);
        return cczi_kms_hint(err, CCZ_E_EXISTS);
    }
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    return cczi_kms_policy_put(call->store, call->ref.name, m.json, call->req->now_s, err);
}

/* One operation of a key that works inside, or what has no binding of its own. */
static ccz_rc bind_op(struct cczi_kms_call *call, const struct cczi_msg_bind_req *m,
                      struct ccz_err *err)
{
    uint32_t set = 0, op = 0;
    ccz_rc rc = cczi_kms_ops_parse(&set, m->op, err);
    if (rc != CCZ_OK || set == 0)
        return rc == CCZ_OK ? cczi_kms_bind_to(call, m->policy, CCZI_OP_RELEASE, err) : rc;
    struct cczi_kms_key_meta meta;
    if (call->ref.kind != CCZI_KMS_KEY)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:request", "an operation of a secret",
                          "one of a key");
    while (op < CCZI_OPS && set != CCZI_OP_BIT(op))
        op++;
    if (op == CCZI_OPS || op == CCZI_OP_RELEASE)
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:key-op-name", "several operations, or release",
                          "one operation");
    rc = cczi_kms_meta_of(&meta, call, err);
    if (rc == CCZ_OK && !(meta.ops & set)) {
        ccz_refuse(err, CCZ_E_DENIED, "kms:key-usage",
                   cczi_kms_key_op_name((enum cczi_kms_key_op)op), "an operation of this key");
        return cczi_kms_hint(err, CCZ_E_DENIED);
    }
    if (rc != CCZ_OK)
        return rc;
    (void)snprintf(call->detail, sizeof(call->detail), "for %s%s",
                   cczi_kms_key_op_name((enum cczi_kms_key_op)op),
                   m->policy.size ? "" : ": as the default");
    if (m->policy.size)
        return cczi_kms_bind_to(call, m->policy, op, err);
    rc = cczi_kms_guard(call, err);
    if (rc != CCZ_OK)
        return rc;
    return cczi_kms_or_not_found(err, cczi_kms_binding_delete(call->store, &call->ref, op, err),
                                 "binding of that operation of key", call->ref.name);
}

static ccz_rc run_bind(struct ccz_buf *response, struct cczi_kms_call *call, struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_msg_bind_req m = {0};
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_bind_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_ref(call, m.item, false, err);
    uint32_t last = 0;
    if (rc == CCZ_OK)
        rc = cczi_kms_item_last(&last, call->store, &call->ref, err);
    if (rc == CCZ_OK && last == 0)
        rc = cczi_kms_or_not_found(err, CCZ_E_NOT_FOUND, cczi_kms_kind_name(call->ref.kind),
                                   call->ref.name);
    return rc == CCZ_OK ? bind_op(call, &m, err) : rc;
}

/* ----------------------------------------------------------------------------- read */

static ccz_rc take_name(struct ccz_span *out, const struct cczi_kms_call *call, struct ccz_err *err)
{
    struct cczi_msg_name m = {0};
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_name, call->req->body, err);
    *out = m.name;
    return rc;
}

static ccz_rc run_get_policy(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    struct ccz_span text;
    char name[CCZ_KMS_NAME_SIZE];
    ccz_rc rc = take_name(&text, call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_name(name, text, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    rc = load_policy(&p, call, name, err);
    if (rc == CCZ_OK) {
        struct cczi_msg_get_policy_resp out = {.json = ccz_buf_span(&p.json),
                                               .sha256 = CCZ_SPAN(p.sha256, 32)};
        cczi_msg_put(response, cczi_msg_get_policy_resp, &out);
    }
    ccz_buf_free(&p.json);
    return rc;
}

static ccz_rc run_audit_tail(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    struct cczi_msg_audit_req m = {0};
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_audit_req, call->req->body, err);
    if (rc != CCZ_OK)
        return rc;
    uint64_t limit = m.limit && m.limit < AUDIT_PAGE ? m.limit : AUDIT_PAGE, n = 0;
    struct cczi_q q = cczi_q_start(&call->store->db, CCZI_SQL_AUDIT_FROM);
    cczi_q_int(&q, (int64_t)m.after_seq);
    cczi_q_int(&q, (int64_t)limit + 1);
    while (cczi_q_row(&q) && ++n <= limit) {
        struct cczi_msg_audit_line l = {
            .seq = (uint64_t)cczi_q_col_int(&q, 0),
            .time_s = (uint64_t)cczi_q_col_int(&q, 1),
            .entry = cczi_q_col(&q, 2),
            .prev = cczi_q_col(&q, 3),
            .hash = cczi_q_col(&q, 4),
        };
        size_t mark = ccz_pb_open(response, CCZI_MSG_REPEATED);
        cczi_msg_put(response, cczi_msg_audit_line, &l);
        ccz_pb_close(response, mark);
    }
    if (n > limit)
        ccz_pb_put_uint(response, CCZI_MSG_MORE, 1);
    return cczi_q_end(&q, err);
}

static ccz_rc run_checkpoint(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    CCZ_AUTO_BUF text;
    ccz_buf_init(&text, CCZ_KMS_CHECKPOINT_SIZE_MAX);
    ccz_rc rc = cczi_msg_get(NULL, cczi_msg_none, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_checkpoint_here(&text, response, CCZI_MSG_REPEATED, call, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_checkpoint m = {.text = ccz_buf_span(&text)};
    cczi_msg_put(response, cczi_msg_checkpoint, &m);
    return CCZ_OK;
}

static ccz_rc run_status(struct ccz_buf *response, struct cczi_kms_call *call, struct ccz_err *err)
{
    ccz_rc rc = cczi_msg_get(NULL, cczi_msg_none, call->req->body, err);
    if (rc != CCZ_OK)
        return rc;
    const struct ccz_kms_info *info = call->req->info;
    struct cczi_msg_status m = {
        .version = ccz_span_str(info->version),
        .tee = ccz_span_str(info->tee),
        .simulated = info->simulated,
        .started_s = (uint64_t)info->started_s,
        .audit_seq = call->store->head.seq,
        .audit_sha256 = CCZ_SPAN(call->store->head.hash, 32),
        .instance = CCZ_SPAN(call->store->instance, CCZ_KMS_INSTANCE_SIZE),
        .counted = call->store->epoch != NULL,
        .quota_most_percent = cczi_kms_quotas_most(call->store->quotas),
    };
    if (info->collateral_expires_s)
        m.collateral_expires_s = (uint64_t)info->collateral_expires_s(info->arg);
    struct cczi_q q = cczi_q_start(&call->store->db, CCZI_SQL_COUNT);
    if (cczi_q_row(&q)) {
        m.keys = (uint64_t)cczi_q_col_int(&q, 0);
        m.secrets = (uint64_t)cczi_q_col_int(&q, 1);
        m.policies = (uint64_t)cczi_q_col_int(&q, 2);
        m.unbound = (uint64_t)cczi_q_col_int(&q, 3);
    }
    cczi_msg_put(response, cczi_msg_status, &m);
    return cczi_q_end(&q, err);
}

const struct cczi_kms_method cczi_kms_methods[] = {
    {"Release", true, 0, true, run_release, CCZI_KMS_ON_REF, false},
    {"CreateKey", false, CCZ_KMS_ROLE_OPERATOR, true, run_create_key, CCZI_KMS_ON_NAME, false},
    {"PutSecret", false, CCZ_KMS_ROLE_OPERATOR, true, run_put_secret, CCZI_KMS_ON_NAME, false},
    {"PutPolicy", false, CCZ_KMS_ROLE_AUTHOR, true, run_put_policy, CCZI_KMS_ON_NAME, true},
    {"Bind", false, CCZ_KMS_ROLE_AUTHOR, true, run_bind, CCZI_KMS_ON_REF, true},
    {"Delete", false, CCZ_KMS_ROLE_OPERATOR | CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_delete,
     CCZI_KMS_ON_REF, true},
    {"Undelete", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_undelete, CCZI_KMS_ON_REF, false},
    {"Destroy", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_destroy, CCZI_KMS_ON_REF, false},
    {"SetDoors", false, CCZ_KMS_ROLE_OPERATOR | CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_set_doors,
     CCZI_KMS_ON_REF, true},
    {"Disable", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_disable, CCZI_KMS_ON_REF, false},
    {"Enable", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_enable, CCZI_KMS_ON_REF, false},
    {"GetPolicy", false, CCZI_KMS_READERS, false, run_get_policy, CCZI_KMS_ON_NAME, false},
    {"List", false, CCZI_KMS_READERS, false, cczi_kms_run_list, CCZI_KMS_ON_ANY, false},
    {"Describe", false, CCZI_KMS_READERS, false, cczi_kms_run_describe, CCZI_KMS_ON_REF, false},
    {"AuditTail", false, CCZ_KMS_ROLE_AUDITOR, false, run_audit_tail, CCZI_KMS_ON_STORE, false},
    {"Status", false, CCZI_KMS_READERS, false, run_status, CCZI_KMS_ON_STORE, false},
    {"Checkpoint", false, CCZ_KMS_ROLE_AUDITOR, false, run_checkpoint, CCZI_KMS_ON_STORE, false},
    {"Consistency", false, CCZ_KMS_ROLE_AUDITOR, false, cczi_kms_run_consistency, CCZI_KMS_ON_STORE,
     false},
    {"RotateAuditKey", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_rotate_audit_key,
     CCZI_KMS_ON_STORE, false},
    {"SetRole", false, CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_set_role, CCZI_KMS_ON_NS, true},
    {"SetQuorum", false, CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_set_quorum, CCZI_KMS_ON_NS, true},
    {"ListRoles", false, CCZI_KMS_READERS, false, cczi_kms_run_list_roles, CCZI_KMS_ON_ANY, false},
    {"Propose", false, CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_propose, CCZI_KMS_ON_ANY, false},
    {"Approve", false, CCZ_KMS_ROLE_APPROVER, true, cczi_kms_run_approve, CCZI_KMS_ON_ANY, false},
    {"Reject", false, CCZ_KMS_ROLE_APPROVER | CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_reject,
     CCZI_KMS_ON_ANY, false},
    {"ListProposals", false, CCZI_KMS_READERS, false, cczi_kms_run_list_proposals, CCZI_KMS_ON_ANY,
     false},
    /* keys that work inside */
    {"Generate", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_generate, CCZI_KMS_ON_NAME, true},
    {"ImportToken", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_import_token, CCZI_KMS_ON_NAME,
     false},
    {"Import", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_import, CCZI_KMS_ON_NAME, false},
    {"Rotate", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_rotate, CCZI_KMS_ON_NAME, false},
    {"SetMinimum", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_set_minimum, CCZI_KMS_ON_NAME,
     false},
    {"SetPeriod", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_set_period, CCZI_KMS_ON_NAME,
     false},
    {"SetExpiry", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_set_expiry, CCZI_KMS_ON_NAME,
     true},
    {"KeyInfo", false, CCZI_KMS_READERS, false, cczi_kms_run_key_info, CCZI_KMS_ON_NAME, false},
    {"Encrypt", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_encrypt, CCZI_KMS_ON_NAME, false},
    {"Decrypt", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_decrypt, CCZI_KMS_ON_NAME, false},
    {"DataKey", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_data_key, CCZI_KMS_ON_NAME, false},
    {"Rewrap", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_rewrap, CCZI_KMS_ON_NAME, false},
    {"Wrap", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_wrap, CCZI_KMS_ON_NAME, false},
    {"Unwrap", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_unwrap, CCZI_KMS_ON_NAME, false},
    {"Derive", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_derive, CCZI_KMS_ON_NAME, false},
    {"Hmac", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_hmac, CCZI_KMS_ON_NAME, false},
    {"HmacVerify", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_hmac_verify, CCZI_KMS_ON_NAME,
     false},
    {"Sign", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_sign, CCZI_KMS_ON_NAME, false},
    {"Verify", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_verify, CCZI_KMS_ON_NAME, false},
    {"IssueCertificate", true, CCZ_KMS_ROLE_CLIENT, true, cczi_kms_run_issue_certificate,
     CCZI_KMS_ON_NAME, false},
    {"PublicKey", true, CCZ_KMS_ROLE_CLIENT | CCZI_KMS_READERS, false, cczi_kms_run_public_key,
     CCZI_KMS_ON_NAME, false},
    {"Why", false, CCZ_KMS_ROLE_AUDITOR, false, cczi_kms_run_why, CCZI_KMS_ON_ANY, false},
    {"Workloads", false, CCZI_KMS_JUDGES, false, cczi_kms_run_workloads, CCZI_KMS_ON_ANY, false},
    {"Replay", false, CCZI_KMS_JUDGES, false, cczi_kms_run_replay, CCZI_KMS_ON_NAME, false},
    {"StagePolicy", false, CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_stage, CCZI_KMS_ON_NAME, false},
    {"Unstage", false, CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_unstage, CCZI_KMS_ON_NAME, false},
    {"GetStaged", false, CCZI_KMS_READERS, false, cczi_kms_run_get_staged, CCZI_KMS_ON_NAME, false},
    {"ListStaged", false, CCZI_KMS_READERS, false, cczi_kms_run_list_staged, CCZI_KMS_ON_ANY,
     false},
    {"RollOut", false, CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_roll_out, CCZI_KMS_ON_NAME, true},
    {"PutReference", false, CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_put_reference, CCZI_KMS_ON_NAME,
     true},
    {"GetReference", false, CCZI_KMS_READERS, false, cczi_kms_run_get_reference, CCZI_KMS_ON_NAME,
     false},
    {"ListReferences", false, CCZI_KMS_READERS, false, cczi_kms_run_list_references,
     CCZI_KMS_ON_ANY, false},
    {"DeleteReference", false, CCZ_KMS_ROLE_AUTHOR, true, cczi_kms_run_delete_reference,
     CCZI_KMS_ON_NAME, true},
    {"Attest", true, 0, true, cczi_kms_run_attest, CCZI_KMS_ON_STORE, false},
    {"GetEvidence", false, CCZ_KMS_ROLE_AUDITOR, false, cczi_kms_run_get_evidence, CCZI_KMS_ON_NS,
     false},
    {"TokenKeys", false, 0, false, cczi_kms_run_token_keys, CCZI_KMS_ON_STORE, false},
    {"StillReleased", true, 0, false, cczi_kms_run_still_released, CCZI_KMS_ON_ANY, false},
    {"RotateTokenKey", false, CCZ_KMS_ROLE_OPERATOR, true, cczi_kms_run_rotate_token_key,
     CCZI_KMS_ON_STORE, false},
};
const size_t cczi_kms_methods_len = sizeof(cczi_kms_methods) / sizeof(cczi_kms_methods[0]);
