/* SPDX-License-Identifier: Apache-2.0 */
/* The caller's side of every method. What a server answers is checked like any other input. */
#include "client_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

ccz_rc cczi_kms_malformed(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_PEER, "kms:response", 0, "the response of the KMS is malformed");
}

ccz_rc cczi_kms_call_bytes(struct ccz_buf *response, struct ccz_rpc_client *c, const char *method,
                           const struct ccz_buf *request, int64_t timeout_ms, struct ccz_err *err)
{
    char path[64];
    (void)snprintf(path, sizeof(path), "%s%s", CCZI_KMS_SERVICE, method);
    if (request->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:request", CCZ_KMS_MESSAGE_SIZE_MAX,
                        "the request is too large");
    ccz_buf_init(response, CCZ_KMS_MESSAGE_SIZE_MAX);
    response->wipe = true;
    const struct ccz_rpc_call_cfg cfg = {.timeout_ms = timeout_ms};
    return cczi_kms_hint(err,
                         ccz_rpc_unary(response, NULL, c, path, ccz_buf_span(request), &cfg, err));
}

ccz_rc cczi_kms_call(struct ccz_buf *response, struct ccz_rpc_client *c, const char *method,
                     const struct cczi_msg_field *fields, const void *msg, struct ccz_err *err)
{
    CCZ_AUTO_BUF request;
    ccz_buf_init(&request, CCZ_KMS_MESSAGE_SIZE_MAX);
    request.wipe = true;
    cczi_msg_put(&request, fields, msg);
    return cczi_kms_call_bytes(response, c, method, &request, 0, err);
}

void cczi_kms_take_text(char *out, size_t out_size, struct ccz_span text)
{
    ccz_escape(out, out_size, text);
}

static bool take_digest(uint8_t out[32], struct ccz_span s)
{
    if (s.size != 32)
        return false;
    memcpy(out, s.ptr, 32);
    return true;
}

/* The signed receipt of audit line @p seq. */
static ccz_rc take_inclusion(struct ccz_kms_inclusion *out, struct ccz_span text, uint64_t seq,
                             struct ccz_err *err)
{
    struct ccz_kms_inclusion r;
    if (text.size == 0)
        return ccz_fail(err, CCZ_E_PEER, "kms:receipt", (int64_t)seq,
                        "the KMS gave no signed receipt: it is of an older version");
    ccz_rc rc = ccz_kms_inclusion_parse(&r, text, err);
    if (rc == CCZ_OK && r.seq != seq)
        rc = ccz_refuse_num(err, CCZ_E_PEER, "kms:receipt", (int64_t)r.seq, (int64_t)seq);
    /* it has to lead somewhere; whose signature that is, the caller's keys tell */
    if (rc == CCZ_OK)
        rc = ccz_kms_inclusion_check(r.seq - 1, r.checkpoint.size, r.leaf, &r.path,
                                     r.checkpoint.root, err);
    if (rc == CCZ_OK)
        *out = r;
    return rc;
}

ccz_rc cczi_kms_take_receipt(struct ccz_kms_receipt *out, struct ccz_span in, struct ccz_err *err)
{
    struct cczi_msg_receipt m = {0};
    struct ccz_kms_receipt r = {0};
    if (cczi_msg_get(&m, cczi_msg_receipt, in, NULL) != CCZ_OK || m.seq == 0 ||
        !take_digest(r.audit_sha256, m.sha256))
        return cczi_kms_malformed(
            err); /* no receipt means no record: the call must not pass as done */
    r.audit_seq = m.seq;
    r.time_s = (int64_t)m.time_s;
    if (out)
        *out = r;
    return CCZ_OK;
}

/* ------------------------------------------------------------------------- workload */

ccz_rc cczi_kms_take_instance(uint8_t out[CCZ_KMS_INSTANCE_SIZE], struct ccz_span in,
                              struct ccz_err *err)
{
    if (in.size != CCZ_KMS_INSTANCE_SIZE) {
        ccz_refuse(err, CCZ_E_UNTRUSTED, "kms:instance", in.size ? "another size" : "none",
                   "16 bytes that name the KMS");
        return ccz_hint(err, CCZ_E_UNTRUSTED, "this server is older than this program: update it");
    }
    memcpy(out, in.ptr, CCZ_KMS_INSTANCE_SIZE);
    return CCZ_OK;
}

ccz_rc ccz_kms_instance_check(struct ccz_kms_instance *pin, const struct ccz_kms_release *info,
                              struct ccz_err *err)
{
    if (!pin->known) {
        memcpy(pin->id, info->instance, sizeof(pin->id));
        pin->known = true;
        return CCZ_OK;
    }
    if (ccz_ct_eq(pin->id, info->instance, sizeof(pin->id)))
        return CCZ_OK;
    ccz_refuse_bytes(err, CCZ_E_UNTRUSTED, "kms:instance", info->instance, sizeof(info->instance),
                     pin->id, sizeof(pin->id));
    return cczi_kms_hint(err, CCZ_E_UNTRUSTED);
}

ccz_rc ccz_kms_instance_parse(struct ccz_kms_instance *out, const char *hex, struct ccz_err *err)
{
    *out = (struct ccz_kms_instance){0};
    if (ccz_unhex(out->id, sizeof(out->id), hex, strlen(hex)) != CCZ_OK) {
        *out = (struct ccz_kms_instance){0};
        ccz_fail(err, CCZ_E_ARG, "kms:instance-id", 0, "the id of a KMS is 32 hex digits");
        return cczi_kms_hint(err, CCZ_E_ARG);
    }
    out->known = true;
    return CCZ_OK;
}

static ccz_rc take_release(struct ccz_secret **out, struct ccz_kms_release *info,
                           struct ccz_kms_inclusion *inclusion, struct ccz_span in,
                           struct ccz_err *err)
{
    struct cczi_msg_release_resp m = {0};
    struct ccz_kms_release i = {0};
    if (cczi_msg_get(&m, cczi_msg_release_resp, in, NULL) != CCZ_OK || m.value.size == 0 ||
        !take_digest(i.policy_sha256, m.policy_sha256))
        return cczi_kms_malformed(err);
    ccz_rc rc = cczi_kms_take_receipt(&i.receipt, m.receipt, err);
    if (rc == CCZ_OK && inclusion)
        rc = take_inclusion(inclusion, m.inclusion, i.receipt.audit_seq, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_take_instance(i.instance, m.instance, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_take_text(i.alg, sizeof(i.alg), m.alg);
    cczi_kms_take_text(i.policy, sizeof(i.policy), m.policy);
    cczi_kms_take_text(i.rule, sizeof(i.rule), m.rule);
    i.version = (uint32_t)m.version;
    rc = ccz_secret_from(out, m.value.ptr, m.value.size);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:response", 0, "no memory for the released value");
    if (info)
        *info = i;
    return CCZ_OK;
}

ccz_rc ccz_kms_release(struct ccz_secret **out, struct ccz_kms_release *info,
                       struct ccz_rpc_client *c, const char *item, uint32_t version,
                       struct ccz_err *err)
{
    return ccz_kms_release_receipt(out, info, NULL, c, item, version, err);
}

ccz_rc ccz_kms_release_receipt(struct ccz_secret **out, struct ccz_kms_release *info,
                               struct ccz_kms_inclusion *inclusion, struct ccz_rpc_client *c,
                               const char *item, uint32_t version, struct ccz_err *err)
{
    *out = NULL;
    if (info)
        *info = (struct ccz_kms_release){0};
    if (inclusion)
        *inclusion = (struct ccz_kms_inclusion){0};
    struct cczi_msg_release_req m = {.item = ccz_span_str(item), .version = version};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "Release", cczi_msg_release_req, &m, err);
    return rc == CCZ_OK ? take_release(out, info, inclusion, ccz_buf_span(&response), err) : rc;
}

static struct ccz_span or_empty(const char *text)
{
    return text ? ccz_span_str(text) : (struct ccz_span){0};
}

static ccz_rc take_attestation(struct ccz_buf *token, struct ccz_kms_attestation *info,
                               struct ccz_span in, struct ccz_err *err)
{
    struct cczi_msg_attest_resp m = {0};
    struct ccz_kms_attestation i = {0};
    if (cczi_msg_get(&m, cczi_msg_attest_resp, in, NULL) != CCZ_OK || m.token.size == 0)
        return cczi_kms_malformed(err);
    ccz_rc rc = cczi_kms_take_receipt(&i.receipt, m.receipt, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_instance(i.instance, m.instance, err);
    if (rc != CCZ_OK)
        return rc;
    i.expires_s = (int64_t)m.expires_s;
    ccz_buf_put_span(token, m.token);
    if (token->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:response", (int64_t)m.token.size,
                        "no room for the token");
    if (info)
        *info = i;
    return CCZ_OK;
}

ccz_rc ccz_kms_attest(struct ccz_buf *token, struct ccz_kms_attestation *info,
                      struct ccz_rpc_client *c, const struct ccz_kms_attest *what,
                      struct ccz_err *err)
{
    struct cczi_msg_attest_req m = {0};
    if (info)
        *info = (struct ccz_kms_attestation){0};
    if (what)
        m = (struct cczi_msg_attest_req){
            .tee_pubkey = or_empty(what->tee_pubkey),
            .nonce = or_empty(what->nonce),
            .audience = or_empty(what->audience),
            .policy = or_empty(what->policy),
            .full_claims = what->full_claims,
        };
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "Attest", cczi_msg_attest_req, &m, err);
    return rc == CCZ_OK ? take_attestation(token, info, ccz_buf_span(&response), err) : rc;
}

ccz_rc ccz_kms_token_keys(struct ccz_buf *jwks, struct ccz_buf *issuer, struct ccz_rpc_client *c,
                          struct ccz_err *err)
{
    struct cczi_msg_token_keys_resp m = {0};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "TokenKeys", cczi_msg_none, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_msg_get(&m, cczi_msg_token_keys_resp, ccz_buf_span(&response), NULL) != CCZ_OK ||
        m.jwks.size == 0)
        return cczi_kms_malformed(err);
    ccz_buf_put_span(jwks, m.jwks);
    if (issuer)
        ccz_buf_put_span(issuer, m.issuer);
    return jwks->bad || (issuer && issuer->bad)
               ? ccz_fail(err, CCZ_E_LIMIT, "kms:response", (int64_t)m.jwks.size,
                          "no room for the keys")
               : CCZ_OK;
}

ccz_rc ccz_kms_rotate_token_key(char kid[CCZ_KMS_KID_SIZE], struct ccz_kms_receipt *receipt,
                                struct ccz_rpc_client *c, struct ccz_err *err)
{
    _Static_assert(CCZ_KMS_KID_SIZE == CCZ_JWK_THUMBPRINT_SIZE + 1, "the size of a thumbprint");
    struct cczi_msg_rotate_token_key_resp m = {0};
    CCZ_AUTO_BUF response = {0};
    kid[0] = 0;
    ccz_rc rc = cczi_kms_call(&response, c, "RotateTokenKey", cczi_msg_none, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    if (cczi_msg_get(&m, cczi_msg_rotate_token_key_resp, ccz_buf_span(&response), NULL) != CCZ_OK ||
        m.kid.size != CCZ_KMS_KID_SIZE - 1)
        return cczi_kms_malformed(err);
    rc = cczi_kms_take_receipt(receipt, m.receipt, err);
    if (rc == CCZ_OK)
        cczi_kms_take_text(kid, CCZ_KMS_KID_SIZE, m.kid);
    return rc;
}

/* --------------------------------------------------------------------- administrator */

ccz_rc cczi_kms_client_put(uint32_t *version, struct ccz_kms_receipt *receipt,
                           struct ccz_rpc_client *c, const char *method,
                           const struct cczi_msg_field *fields, const void *msg,
                           struct ccz_err *err)
{
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, method, fields, msg, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_put_resp r = {0};
    if (cczi_msg_get(&r, cczi_msg_put_resp, ccz_buf_span(&response), NULL) != CCZ_OK ||
        r.version == 0)
        return cczi_kms_malformed(err);
    rc = cczi_kms_take_receipt(receipt, r.receipt, err);
    if (rc == CCZ_OK && version)
        *version = (uint32_t)r.version;
    return rc;
}

static ccz_rc put(uint32_t *version, struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                  const char *method, const struct ccz_kms_put *p, struct ccz_err *err)
{
    struct cczi_msg_put_req m = {.name = ccz_span_str(p->name), .new_version = p->new_version};
    m.check_version = p->check_version;
    m.if_version = p->if_version;
    m.expires_s = (uint64_t)p->expires_s;
    if (p->metadata)
        m.metadata = ccz_span_str(p->metadata);
    if (p->alg)
        m.alg = ccz_span_str(p->alg);
    if (p->policy)
        m.policy = ccz_span_str(p->policy);
    if (p->value)
        m.value = CCZ_SPAN(ccz_secret_view(p->value), ccz_secret_size(p->value));
    return cczi_kms_client_put(version, receipt, c, method, cczi_msg_put_req, &m, err);
}

ccz_rc ccz_kms_create_key(uint32_t *version, struct ccz_kms_receipt *receipt,
                          struct ccz_rpc_client *c, const struct ccz_kms_put *p,
                          struct ccz_err *err)
{
    return put(version, receipt, c, "CreateKey", p, err);
}

ccz_rc ccz_kms_put_secret(uint32_t *version, struct ccz_kms_receipt *receipt,
                          struct ccz_rpc_client *c, const struct ccz_kms_put *p,
                          struct ccz_err *err)
{
    return put(version, receipt, c, "PutSecret", p, err);
}

ccz_rc cczi_kms_change(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                       const char *method, const struct cczi_msg_field *fields, const void *msg,
                       struct ccz_err *err)
{
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, method, fields, msg, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_put_resp r = {0}; /* ChangeResponse is PutResponse without a version */
    if (cczi_msg_get(&r, cczi_msg_put_resp, ccz_buf_span(&response), NULL) != CCZ_OK)
        return cczi_kms_malformed(err);
    return cczi_kms_take_receipt(receipt, r.receipt, err);
}

ccz_rc ccz_kms_put_policy(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                          const char *name, struct ccz_span json, bool replace, struct ccz_err *err)
{
    struct cczi_msg_put_policy_req m = {
        .name = ccz_span_str(name), .json = json, .replace = replace};
    return cczi_kms_change(receipt, c, "PutPolicy", cczi_msg_put_policy_req, &m, err);
}

ccz_rc ccz_kms_bind(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *item,
                    const char *policy, struct ccz_err *err)
{
    struct cczi_msg_bind_req m = {.item = ccz_span_str(item), .policy = ccz_span_str(policy)};
    return cczi_kms_change(receipt, c, "Bind", cczi_msg_bind_req, &m, err);
}

ccz_rc ccz_kms_delete(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *target,
                      uint32_t version, const struct ccz_kms_deletion *how, struct ccz_err *err)
{
    struct cczi_msg_delete_req m = {.target = ccz_span_str(target),
                                    .version = version,
                                    .recovery_s = how ? how->recovery_s : 0,
                                    .no_recovery = how && how->no_recovery};
    return cczi_kms_change(receipt, c, "Delete", cczi_msg_delete_req, &m, err);
}

static ccz_rc change_version(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                             const char *method, const char *item, uint32_t version,
                             struct ccz_err *err)
{
    struct cczi_msg_delete_req m = {.target = ccz_span_str(item), .version = version};
    return cczi_kms_change(receipt, c, method, cczi_msg_target_req, &m, err);
}

ccz_rc ccz_kms_undelete(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *item,
                        uint32_t version, struct ccz_err *err)
{
    return change_version(receipt, c, "Undelete", item, version, err);
}

ccz_rc ccz_kms_destroy(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *item,
                       uint32_t version, struct ccz_err *err)
{
    return change_version(receipt, c, "Destroy", item, version, err);
}

ccz_rc ccz_kms_disable(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *item,
                       uint32_t version, struct ccz_err *err)
{
    return change_version(receipt, c, "Disable", item, version, err);
}

ccz_rc ccz_kms_enable(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *item,
                      uint32_t version, struct ccz_err *err)
{
    return change_version(receipt, c, "Enable", item, version, err);
}

/* -------------------------------------------------------------------------- auditor */

ccz_rc ccz_kms_get_policy(struct ccz_buf *json, uint8_t sha256[32], struct ccz_rpc_client *c,
                          const char *name, struct ccz_err *err)
{
    struct cczi_msg_name m = {.name = ccz_span_str(name)};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "GetPolicy", cczi_msg_name, &m, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_get_policy_resp r = {0};
    uint8_t digest[32], want[32];
    if (cczi_msg_get(&r, cczi_msg_get_policy_resp, ccz_buf_span(&response), NULL) != CCZ_OK ||
        !take_digest(digest, r.sha256) || ccz_sha256(want, r.json) != CCZ_OK ||
        !ccz_ct_eq(digest, want, 32))
        return cczi_kms_malformed(err);
    ccz_buf_put_span(json, r.json);
    if (json->bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:response", (int64_t)json->max_size,
                        "the policy is too large");
    if (sha256)
        memcpy(sha256, digest, sizeof(digest));
    return CCZ_OK;
}

/* Walks a ListResponse. @param[out] more, last, next  whether to ask again, and from where; next borrows from @p in */
static ccz_rc take_items(bool *more, char last[CCZ_KMS_ITEM_SIZE], struct ccz_span *next,
                         struct ccz_span in, ccz_kms_item_fn fn, void *arg, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    *more = false;
    *next = (struct ccz_span){0};
    while (ccz_pb_next(&f, &r)) {
        if (f.number == CCZI_MSG_MORE && f.wire == CCZ_PB_VARINT)
            *more = f.num != 0;
        if (f.number == CCZI_MSG_NEXT && f.wire == CCZ_PB_LEN)
            *next = f.bytes;
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        struct cczi_msg_item m = {0};
        if (f.wire != CCZ_PB_LEN || cczi_msg_get(&m, cczi_msg_item, f.bytes, NULL) != CCZ_OK)
            return cczi_kms_malformed(err);
        struct ccz_kms_item it = {.version = (uint32_t)m.version,
                                  .created_s = (int64_t)m.created_s,
                                  .disabled = m.disabled != 0,
                                  .expires_s = (int64_t)m.expires_s,
                                  .delete_after_s = (int64_t)m.delete_after_s,
                                  .metadata = m.metadata};
        cczi_kms_take_text(it.item, sizeof(it.item), m.item);
        cczi_kms_take_text(it.alg, sizeof(it.alg), m.alg);
        cczi_kms_take_text(it.policy, sizeof(it.policy), m.policy);
        memcpy(last, it.item, CCZ_KMS_ITEM_SIZE);
        fn(arg, &it);
    }
    return r.bad ? cczi_kms_malformed(err) : CCZ_OK;
}

enum {
    CURSOR_SIZE_MAX = 256,
    EMPTY_PAGES_MAX = 1 << 20 /* a server that always has more and never an item is none of ours */
};

ccz_rc ccz_kms_list(struct ccz_rpc_client *c, ccz_kms_item_fn fn, void *arg, struct ccz_err *err)
{
    char after[CCZ_KMS_ITEM_SIZE] = "", last[CCZ_KMS_ITEM_SIZE] = "";
    CCZ_AUTO_BUF cursor;
    ccz_buf_init(&cursor, CURSOR_SIZE_MAX);
    uint32_t empty = 0;
    for (bool more = true; more;) {
        memcpy(after, last, sizeof(after));
        struct cczi_msg_list_req m = {.next = ccz_buf_span(&cursor)};
        if (!cursor.size)
            m.after = ccz_span_str(after);
        struct ccz_span next = {0};
        CCZ_AUTO_BUF response = {0};
        ccz_rc rc = cczi_kms_call(&response, c, "List", cczi_msg_list_req, &m, err);
        if (rc == CCZ_OK)
            rc = take_items(&more, last, &next, ccz_buf_span(&response), fn, arg, err);
        ccz_buf_clear(&cursor);
        ccz_buf_put_span(&cursor, next);
        bool stands = more && strcmp(after, last) == 0;
        empty = stands ? empty + 1 : 0;
        if (rc == CCZ_OK && (cursor.bad || (stands && !next.size) || empty > EMPTY_PAGES_MAX))
            rc = cczi_kms_malformed(err); /* "more", and nothing new: would go on for ever */
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

struct described {
    ccz_kms_item_fn fn;
    void *arg;
    uint32_t last; /* version */
};

static void note_version(void *arg, const struct ccz_kms_item *it)
{
    struct described *d = arg;
    d->last = it->version > d->last ? it->version : d->last;
    d->fn(d->arg, it);
}

ccz_rc ccz_kms_describe(struct ccz_rpc_client *c, const char *item, ccz_kms_item_fn fn, void *arg,
                        struct ccz_err *err)
{
    struct described d = {.fn = fn, .arg = arg};
    char last[CCZ_KMS_ITEM_SIZE];
    struct ccz_span next;
    for (bool more = true; more;) {
        struct cczi_msg_describe_req m = {.item = ccz_span_str(item), .after_version = d.last};
        CCZ_AUTO_BUF response = {0};
        ccz_rc rc = cczi_kms_call(&response, c, "Describe", cczi_msg_describe_req, &m, err);
        if (rc == CCZ_OK)
            rc = take_items(&more, last, &next, ccz_buf_span(&response), note_version, &d, err);
        if (rc == CCZ_OK && more && d.last <= m.after_version)
            rc = cczi_kms_malformed(err); /* as for a list */
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

/* Where a walk along the chain stands. */
struct walk {
    uint64_t seq;  /* of the line before */
    uint64_t left; /* lines still wanted */
    bool known;    /* prev holds the hash of that line */
    uint8_t prev[32];
};

static ccz_rc take_line(struct walk *w, struct ccz_span in, ccz_kms_audit_fn fn, void *arg,
                        struct ccz_err *err)
{
    struct cczi_msg_audit_line m = {0};
    struct ccz_kms_audit_line l = {0};
    if (cczi_msg_get(&m, cczi_msg_audit_line, in, NULL) != CCZ_OK || !take_digest(l.prev, m.prev) ||
        !take_digest(l.hash, m.hash))
        return cczi_kms_malformed(err);
    l.seq = m.seq;
    l.time_s = (int64_t)m.time_s;
    l.entry = m.entry;
    if (l.seq != w->seq + 1 || (w->known && !ccz_ct_eq(l.prev, w->prev, 32)))
        return ccz_fail(err, CCZ_E_SIG, "kms:audit-chain", (int64_t)l.seq,
                        "audit line %llu does not follow line %llu", (unsigned long long)l.seq,
                        (unsigned long long)w->seq);
    ccz_rc rc = ccz_kms_audit_check(&l, err);
    if (rc != CCZ_OK)
        return rc;
    w->seq = l.seq;
    w->known = true;
    w->left--;
    memcpy(w->prev, l.hash, sizeof(w->prev));
    fn(arg, &l);
    return CCZ_OK;
}

/* One page. */
static ccz_rc take_lines(bool *more, struct walk *w, struct ccz_span in, ccz_kms_audit_fn fn,
                         void *arg, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    *more = false;
    while (w->left && ccz_pb_next(&f, &r)) {
        if (f.number == CCZI_MSG_MORE && f.wire == CCZ_PB_VARINT)
            *more = f.num != 0;
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        ccz_rc rc =
            f.wire == CCZ_PB_LEN ? take_line(w, f.bytes, fn, arg, err) : cczi_kms_malformed(err);
        if (rc != CCZ_OK)
            return rc;
    }
    return r.bad ? cczi_kms_malformed(err) : CCZ_OK;
}

ccz_rc ccz_kms_audit(struct ccz_rpc_client *c, uint64_t after_seq, uint64_t limit, uint64_t last,
                     ccz_kms_audit_fn fn, void *arg, struct ccz_err *err)
{
    if (last) {
        struct ccz_kms_status st;
        ccz_rc rc = ccz_kms_get_status(&st, c, err);
        if (rc != CCZ_OK)
            return rc;
        after_seq = st.audit_seq > last ? st.audit_seq - last : 0;
        limit = last;
    }
    struct walk w = {.seq = after_seq, .left = limit ? limit : UINT64_MAX, .known = after_seq == 0};
    for (bool more = true; more && w.left;) {
        uint64_t before = w.seq;
        struct cczi_msg_audit_req m = {.after_seq = w.seq,
                                       .limit = w.left < UINT32_MAX ? w.left : 0};
        CCZ_AUTO_BUF response = {0};
        ccz_rc rc = cczi_kms_call(&response, c, "AuditTail", cczi_msg_audit_req, &m, err);
        if (rc == CCZ_OK)
            rc = take_lines(&more, &w, ccz_buf_span(&response), fn, arg, err);
        if (rc == CCZ_OK && more && w.seq == before)
            rc = cczi_kms_malformed(err); /* "more", and nothing new: would go on for ever */
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

ccz_rc ccz_kms_get_status(struct ccz_kms_status *out, struct ccz_rpc_client *c, struct ccz_err *err)
{
    *out = (struct ccz_kms_status){0};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "Status", cczi_msg_none, NULL, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_status m = {0};
    struct ccz_kms_status s = {0};
    if (cczi_msg_get(&m, cczi_msg_status, ccz_buf_span(&response), NULL) != CCZ_OK ||
        !take_digest(s.audit_sha256, m.audit_sha256) || m.instance.size != sizeof(s.instance))
        return cczi_kms_malformed(err);
    memcpy(s.instance, m.instance.ptr, sizeof(s.instance));
    cczi_kms_take_text(s.version, sizeof(s.version), m.version);
    cczi_kms_take_text(s.tee, sizeof(s.tee), m.tee);
    s.simulated = m.simulated != 0;
    s.started_s = (int64_t)m.started_s;
    s.counted = m.counted != 0;
    s.quota_most_percent = (uint32_t)m.quota_most_percent;
    s.keys = m.keys;
    s.secrets = m.secrets;
    s.policies = m.policies;
    s.unbound = m.unbound;
    s.audit_seq = m.audit_seq;
    s.collateral_expires_s = (int64_t)m.collateral_expires_s;
    memcpy(s.audit_sha256, m.audit_sha256.ptr, 32);
    *out = s;
    return CCZ_OK;
}

static ccz_rc take_page(bool *more, char last[CCZ_KMS_NAME_SIZE], struct ccz_span in,
                        cczi_kms_take_fn take, void *to, struct ccz_err *err)
{
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    *more = false;
    while (ccz_pb_next(&f, &r)) {
        if (f.number == CCZI_MSG_MORE && f.wire == CCZ_PB_VARINT)
            *more = f.num != 0;
        if (f.number != CCZI_MSG_REPEATED)
            continue;
        ccz_rc rc = f.wire == CCZ_PB_LEN ? take(last, f.bytes, to, err) : cczi_kms_malformed(err);
        if (rc != CCZ_OK)
            return rc;
    }
    return r.bad ? cczi_kms_malformed(err) : CCZ_OK;
}

ccz_rc cczi_kms_list_by_name(struct ccz_rpc_client *c, const char *method, cczi_kms_take_fn take,
                             void *to, struct ccz_err *err)
{
    char after[CCZ_KMS_NAME_SIZE] = "", last[CCZ_KMS_NAME_SIZE] = "";
    for (bool more = true; more;) {
        memcpy(after, last, sizeof(after));
        const struct cczi_msg_name m = {.name = ccz_span_str(after)};
        CCZ_AUTO_BUF response = {0};
        ccz_rc rc = cczi_kms_call(&response, c, method, cczi_msg_name, &m, err);
        if (rc == CCZ_OK)
            rc = take_page(&more, last, ccz_buf_span(&response), take, to, err);
        if (rc == CCZ_OK && more && strcmp(last, after) <= 0)
            rc = cczi_kms_malformed(err); /* "more", and nothing new: would go on for ever */
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}
