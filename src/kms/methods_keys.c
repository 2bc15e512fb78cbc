/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Keys that work inside: made, rotated, described. Their metadata are a row beside the versions and always there: a version
 * of such a kind without it is an attack on the database, not an older way of storing.
 */
#include "quota.h"
#include "use_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

/* -------------------------------------------------------------------------- metadata */

bool cczi_kms_kind_managed(enum cczi_kms_key_kind k)
{
    return k != CCZI_KEY_NONE && k != CCZI_KEY_AES_128 && k != CCZI_KEY_AES_256;
}

ccz_rc cczi_kms_meta_read(struct cczi_kms_key_meta *out, struct ccz_kms_store *s, const char *name,
                          struct ccz_err *err)
{
    *out = (struct cczi_kms_key_meta){0};
    struct cczi_kms_row keep;
    struct ccz_span meta = {0};
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_kms_key_meta_row_get(&meta, &keep, s, name, err);
    if (rc ==
        CCZ_OK) /* authentic: what does not parse was written by another version of this program */
        rc = cczi_kms_key_meta_get(out, meta, err);
    cczi_kms_row_deinit(&keep);
    return rc;
}

ccz_rc cczi_kms_meta_get(struct cczi_kms_key_meta *out, struct cczi_kms_call *call,
                         struct ccz_err *err)
{
    return cczi_kms_meta_read(out, call->store, call->ref.name, err);
}

ccz_rc cczi_kms_meta_put(struct cczi_kms_call *call, const struct cczi_kms_key_meta *m,
                         struct ccz_err *err)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, CCZI_KMS_KEY_META_SIZE);
    cczi_kms_key_meta_put(&b, m);
    if (b.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:key-memory", 0, "out of memory");
    return cczi_kms_key_meta_row_put(call->store, call->ref.name, ccz_buf_span(&b), err);
}

ccz_rc cczi_kms_meta_delete(struct cczi_kms_call *call, struct ccz_err *err)
{
    return cczi_kms_key_meta_row_delete(call->store, call->ref.name, err);
}

ccz_rc cczi_kms_meta_of(struct cczi_kms_key_meta *out, struct cczi_kms_call *call,
                        struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_meta_get(out, call, err);
    if (rc != CCZ_E_NOT_FOUND)
        return rc;
    uint32_t last = 0;
    rc = cczi_kms_item_last(&last, call->store, &call->ref, err);
    if (rc == CCZ_OK && last == 0)
        return cczi_kms_or_not_found(err, CCZ_E_NOT_FOUND, "key", call->ref.name);
    if (rc == CCZ_OK) {
        ccz_refuse(err, CCZ_E_UNSUPPORTED, "kms:key-unmanaged", "a key that is only released",
                   "a key that works inside");
        rc = cczi_kms_hint(err, CCZ_E_UNSUPPORTED);
    }
    return rc;
}

ccz_rc cczi_kms_take_key(struct cczi_kms_call *call, struct ccz_span name, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_name(call->ref.name, name, err);
    call->ref.kind = CCZI_KMS_KEY;
    call->has_ref = rc == CCZ_OK;
    return rc;
}

ccz_rc cczi_kms_may_leave(const struct cczi_kms_key_meta *m, const struct cczi_kms_item *it,
                          int64_t now_s, struct ccz_err *err)
{
    if (strcmp(it->slot.alg, cczi_kms_key_kind_name(m->kind)) != 0)
        return ccz_refuse(err, CCZ_E_SIG, "kms:key-meta", it->slot.alg,
                          cczi_kms_key_kind_name(m->kind));
    return cczi_kms_may_use(m, CCZI_OP_EXPORT, it->slot.version, it, now_s, err);
}

/* ------------------------------------------------------------------------------ make */

ccz_rc cczi_kms_spec_of(struct cczi_kms_key_spec *out, const struct cczi_msg_key_req *m,
                        struct ccz_err *err)
{
    *out = (struct cczi_kms_key_spec){.exportable = m->exportable != 0,
                                      .unattested_insecure = m->unattested_insecure != 0,
                                      .expires_s = (int64_t)m->expires_s,
                                      .rotate_every_s = (int64_t)m->rotate_every_s};
    ccz_rc rc = cczi_kms_key_kind_parse(&out->kind, m->kind, err);
    if (rc == CCZ_OK && !cczi_kms_kind_managed(out->kind)) {
        ccz_refuse(err, CCZ_E_UNSUPPORTED, "kms:key-unmanaged", cczi_kms_key_kind_name(out->kind),
                   "a kind that works inside");
        return cczi_kms_hint(err, CCZ_E_UNSUPPORTED);
    }
    return rc == CCZ_OK ? cczi_kms_ops_parse(&out->ops, m->ops, err) : rc;
}

ccz_rc cczi_kms_key_is_new(struct cczi_kms_call *call, struct ccz_err *err)
{
    uint32_t last = 0;
    ccz_rc rc = cczi_kms_item_last(&last, call->store, &call->ref, err);
    if (rc != CCZ_OK || last == 0)
        return rc;
    ccz_fail(err, CCZ_E_EXISTS, "kms:exists", last, "key/%s exists already, in %u version(s)",
             call->ref.name, last);
    return cczi_kms_hint(err, CCZ_E_EXISTS);
}

ccz_rc cczi_kms_put_key(struct ccz_buf *response, struct cczi_kms_call *call,
                        const struct cczi_kms_key_meta *m, const struct ccz_secret *material,
                        struct ccz_span metadata, struct ccz_err *err)
{
    struct cczi_kms_slot slot = {.ref = call->ref, .version = m->latest};
    (void)snprintf(slot.alg, sizeof(slot.alg), "%s", cczi_kms_key_kind_name(m->kind));
    ccz_rc rc = cczi_kms_meta_put(call, m, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_item_put(call->store, &slot, call->req->now_s, 0, metadata,
                               CCZ_SPAN(ccz_secret_view(material), ccz_secret_size(material)), err);
    if (rc != CCZ_OK)
        return rc;
    call->version = m->latest;
    struct cczi_msg_put_resp out = {.version = m->latest};
    cczi_msg_put(response, cczi_msg_put_resp, &out);
    return CCZ_OK;
}

static void run_make(struct cczi_kms_work *w)
{
    w->rc = cczi_kms_key_generate(&w->material, w->kind, &w->err);
}

/* Fresh material; of pairs that take long to find as a work of its own. @param[out] out  to be freed, or NULL
 *  @param[out] material  of *out or of the work that was left */
static ccz_rc make(const struct ccz_secret **material, struct ccz_secret **out,
                   struct cczi_kms_call *call, const struct cczi_kms_key_meta *m,
                   struct ccz_err *err)
{
    const enum cczi_kms_key_kind kind = m->kind;
    *material = NULL;
    if (kind != CCZI_KEY_RSA_2048 && kind != CCZI_KEY_RSA_3072 && kind != CCZI_KEY_RSA_4096) {
        ccz_rc rc = cczi_kms_key_generate(out, kind, err);
        *material = *out;
        return rc;
    }
    const struct cczi_kms_work *done = cczi_kms_work_of(call, NULL);
    if (done && done->kind == kind) {
        *material = done->material;
        if (done->rc != CCZ_OK)
            *err = done->err;
        return done->rc;
    }
    CCZ_AUTO(cczi_kms_work) w = NULL;
    const struct cczi_kms_slot slot = {.ref = call->ref, .version = m->latest};
    ccz_rc rc = cczi_kms_quota_item(call->store, &slot, 0, err); /* before seconds are spent */
    if (rc == CCZ_OK)
        rc = cczi_kms_work_new(&w, run_make, err);
    if (rc != CCZ_OK)
        return rc;
    w->kind = kind;
    w->makes = true;
    return cczi_kms_later(call, &w, err);
}

ccz_rc cczi_kms_guard_spec(const struct cczi_kms_call *call, const struct cczi_kms_key_spec *spec,
                           struct ccz_err *err)
{
    bool issues = spec->ops & CCZI_OP_BIT(CCZI_OP_ISSUE);
    return spec->exportable || spec->unattested_insecure || issues ? cczi_kms_guard(call, err)
                                                                   : CCZ_OK;
}

CCZI_KMS_RUN(generate)
{
    struct cczi_msg_key_req req = {0};
    struct cczi_kms_key_spec spec;
    struct cczi_kms_key_meta m = {0};
    CCZ_AUTO(ccz_secret) made = NULL;
    CCZ_AUTO_BUF metadata;
    const struct ccz_secret *material = NULL;
    ccz_buf_init(&metadata, CCZI_KMS_METADATA_SIZE_MAX);
    ccz_rc rc = cczi_msg_get(&req, cczi_msg_generate_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_key(call, req.name, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_spec_of(&spec, &req, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_guard_spec(call, &spec, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_is_new(call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_hint(err, cczi_kms_key_meta_new(&m, &spec, call->req->now_s, err));
    if (rc == CCZ_OK)
        rc = make(&material, &made, call, &m, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_ca_metadata(&metadata, call, &m, material, req.names, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_put_key(response, call, &m, material, ccz_buf_span(&metadata), err);
    if (rc == CCZ_OK && req.policy.size)
        rc = cczi_kms_bind_to(call, req.policy, CCZI_OP_RELEASE, err);
    return rc;
}

/* ---------------------------------------------------------------------------- change */

static ccz_rc take_set(struct cczi_msg_key_set_req *req, struct cczi_kms_key_meta *m,
                       struct cczi_kms_call *call, const struct cczi_msg_field *fields,
                       struct ccz_err *err)
{
    ccz_rc rc = cczi_msg_get(req, fields, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_key(call, req->name, err);
    return rc == CCZ_OK ? cczi_kms_meta_of(m, call, err) : rc;
}

static ccz_rc rotate(struct ccz_buf *response, struct cczi_kms_call *call,
                     struct cczi_kms_key_meta *m, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) made = NULL;
    const struct ccz_secret *material = NULL;
    ccz_rc rc = cczi_kms_hint(err, cczi_kms_key_rotate(m, false, call->req->now_s, err));
    if (rc == CCZ_OK)
        rc = make(&material, &made, call, m, err);
    return rc == CCZ_OK ? cczi_kms_put_key(response, call, m, material, (struct ccz_span){0}, err)
                        : rc;
}

CCZI_KMS_RUN(rotate)
{
    struct cczi_msg_key_set_req req = {0};
    struct cczi_kms_key_meta m = {0};
    ccz_rc rc = take_set(&req, &m, call, cczi_msg_rotate_req, err);
    return rc == CCZ_OK ? rotate(response, call, &m, err) : rc;
}

CCZI_KMS_RUN(rotate_due)
{
    struct cczi_msg_key_set_req req = {0};
    struct cczi_kms_key_meta m = {0};
    ccz_rc rc = take_set(&req, &m, call, cczi_msg_rotate_req, err);
    call->quiet =
        rc == CCZ_E_NOT_FOUND || (rc == CCZ_OK && !cczi_kms_key_rotation_due(&m, call->req->now_s));
    if (call->quiet) /* somebody else was faster, or it is gone */
        return CCZ_OK;
    (void)snprintf(call->detail, sizeof(call->detail), "scheduled");
    return rc == CCZ_OK ? rotate(response, call, &m, err) : rc;
}

CCZI_KMS_RUN(set_minimum)
{
    (void)response; /* a receipt only, as below */
    struct cczi_msg_key_set_req req = {0};
    struct cczi_kms_key_meta m = {0};
    ccz_rc rc = take_set(&req, &m, call, cczi_msg_set_minimum_req, err);
    if (rc == CCZ_OK)
        rc =
            cczi_kms_key_set_minimum(&m, (uint32_t)req.min_decrypt, (uint32_t)req.min_encrypt, err);
    if (rc == CCZ_OK)
        (void)snprintf(call->detail, sizeof(call->detail), "decrypt from %u, encrypt from %u",
                       m.min_decrypt, m.min_encrypt ? m.min_encrypt : m.latest);
    return rc == CCZ_OK ? cczi_kms_meta_put(call, &m, err) : rc;
}

CCZI_KMS_RUN(set_period)
{
    (void)response;
    struct cczi_msg_key_set_req req = {0};
    struct cczi_kms_key_meta m = {0};
    ccz_rc rc = take_set(&req, &m, call, cczi_msg_set_period_req, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_set_period(&m, (int64_t)req.rotate_every_s, call->req->now_s, err);
    if (rc == CCZ_OK)
        (void)snprintf(call->detail, sizeof(call->detail), "every %lld s",
                       (long long)m.rotate_every_s);
    return rc == CCZ_OK ? cczi_kms_meta_put(call, &m, err) : rc;
}

CCZI_KMS_RUN(set_expiry)
{
    (void)response;
    struct cczi_msg_key_set_req req = {0};
    struct cczi_kms_key_meta m = {0};
    ccz_rc rc = take_set(&req, &m, call, cczi_msg_set_expiry_req, err);
    int64_t until_s = (int64_t)req.expires_s;
    bool longer = m.expires_s != 0 && (until_s == 0 || until_s > m.expires_s);
    if (rc == CCZ_OK && longer && (m.exportable || m.unattested)) /* as long was not agreed on */
        rc = cczi_kms_guard(call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_key_set_expiry(&m, (int64_t)req.expires_s, call->req->now_s, err);
    char when[21] = "never";
    if (m.expires_s)
        ccz_time_format(when, m.expires_s);
    if (rc == CCZ_OK)
        (void)snprintf(call->detail, sizeof(call->detail), "expires %s", when);
    return rc == CCZ_OK ? cczi_kms_meta_put(call, &m, err) : rc;
}

/* ------------------------------------------------------------------------------ read */

static ccz_rc put_binding(void *arg, uint32_t op, const char *policy, struct ccz_err *err)
{
    (void)err;
    struct ccz_buf *response = arg;
    struct cczi_msg_key_binding m = {.policy = ccz_span_str(policy)};
    if (op != CCZI_OP_RELEASE)
        m.op = ccz_span_str(cczi_kms_key_op_name((enum cczi_kms_key_op)op));
    size_t mark = ccz_pb_open(response, CCZI_MSG_REPEATED);
    cczi_msg_put(response, cczi_msg_key_binding, &m);
    ccz_pb_close(response, mark);
    return CCZ_OK;
}

CCZI_KMS_RUN(key_info)
{
    struct cczi_msg_key_set_req req = {0};
    struct cczi_kms_key_meta m = {0};
    ccz_rc rc = take_set(&req, &m, call, cczi_msg_rotate_req, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_binding_each(call->store, &call->ref, put_binding, response, err);
    if (rc != CCZ_OK)
        return rc;
    char ops[CCZI_KMS_OPS_SIZE];
    cczi_kms_ops_print(ops, m.ops);
    struct cczi_msg_key_info out = {
        .kind = ccz_span_str(cczi_kms_key_kind_name(m.kind)),
        .ops = ccz_span_str(ops),
        .latest = m.latest,
        .min_decrypt = m.min_decrypt,
        .min_encrypt = m.min_encrypt,
        .exportable = m.exportable,
        .imported = m.imported,
        .disabled = m.disabled,
        .unattested_insecure = m.unattested,
        .created_s = (uint64_t)m.created_s,
        .expires_s = (uint64_t)m.expires_s,
        .delete_after_s = (uint64_t)m.deletion_s,
        .rotate_every_s = (uint64_t)m.rotate_every_s,
        .next_rotation_s = (uint64_t)m.next_rotation_s,
    };
    cczi_msg_put(response, cczi_msg_key_info, &out);
    return CCZ_OK;
}
