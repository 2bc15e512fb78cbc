/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of one call: who may do this, and the lines that tell of it. batch.c puts them in order. */
#include "kms_methods.h"
#include "kms_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

enum { ENTRY_SIZE_MAX = 8192 };

const struct cczi_kms_method *cczi_kms_method_find(const char *path)
{
    size_t n = strlen(CCZI_KMS_SERVICE);
    if (strncmp(path, CCZI_KMS_SERVICE, n) != 0)
        return NULL;
    for (size_t i = 0; i < cczi_kms_methods_len; i++)
        if (strcmp(path + n, cczi_kms_methods[i].name) == 0)
            return &cczi_kms_methods[i];
    return NULL;
}

const char *cczi_kms_method_name(size_t i)
{
    return i < cczi_kms_methods_len ? cczi_kms_methods[i].name : NULL;
}

bool cczi_kms_method_known(const char *name)
{
    for (size_t i = 0; i < cczi_kms_methods_len; i++)
        if (strcmp(name, cczi_kms_methods[i].name) == 0)
            return true;
    return false;
}

/* ------------------------------------------------------------------- who may do this */

static const char *peer_kind(const struct ccz_ratls_peer *p)
{
    if (p->attested)
        return "attested workload";
    return p->pinned ? "pinned key" : "peer without evidence or pinned key";
}

static ccz_rc authorize_workload(const struct cczi_kms_call *call, const struct cczi_kms_method *m,
                                 struct ccz_err *err)
{
    const struct ccz_ratls_peer *p = call->req->peer;
    if (!p->attested) {
        ccz_refuse(err, CCZ_E_DENIED, "kms:workload-required", peer_kind(p), "attested workload");
        return cczi_kms_hint(err, CCZ_E_DENIED);
    }
    /* evidence of another session may be a recording: whoever shows it need not be what it
     * describes */
    bool asks_item = (call->req->doors & CCZ_KMS_DOOR_KEY_BOUND) && strcmp(m->name, "Release") == 0;
    if (!p->fresh && !asks_item)
        return ccz_refuse(err, CCZ_E_DENIED, "kms:evidence-stale",
                          "evidence not bound to this session", "evidence of the session profile");
    return CCZ_OK;
}

static ccz_rc authorize_admin(struct cczi_kms_call *call, const struct cczi_kms_method *m,
                              struct ccz_err *err)
{
    const struct ccz_ratls_peer *p = call->req->peer;
    bool known;
    /* a workload's key is its own choice: finding it among the administrators would prove nothing
     */
    if (!p->pinned || p->attested) {
        ccz_refuse(err, CCZ_E_DENIED, "kms:admin-required", peer_kind(p),
                   "pinned administrator key");
        return cczi_kms_hint(err, CCZ_E_DENIED);
    }
    ccz_rc rc = cczi_kms_roles_in(&call->roles, &known, call->store, p->spki_sha256, NULL, err);
    if (rc == CCZ_OK && !known) {
        char hex[65];
        ccz_hex(hex, p->spki_sha256, 32);
        ccz_refuse(err, CCZ_E_DENIED, "kms:admin-unknown", hex, "a key known to cczoo-kmsd admin");
        return cczi_kms_hint(err, CCZ_E_DENIED);
    }
    if (rc == CCZ_OK)
        rc = cczi_kms_target_ns(call->ns, m, call->req->body, err);
    if (rc == CCZ_OK && m->target != CCZI_KMS_ON_ANY)
        rc = cczi_kms_roles_in(&call->roles, NULL, call->store, p->spki_sha256, call->ns, err);
    return rc == CCZ_OK ? cczi_kms_need(call, m->roles, err) : rc;
}

/* Who has evidence is judged by it, whatever its key may do besides. */
static ccz_rc authorize_use(struct cczi_kms_call *call, const struct cczi_kms_method *m,
                            struct ccz_err *err)
{
    const struct ccz_ratls_peer *p = call->req->peer;
    if (p->attested || !p->pinned || m->roles == 0)
        return authorize_workload(call, m, err);
    ccz_rc rc = cczi_kms_target_ns(call->ns, m, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_roles_in(&call->roles, NULL, call->store, p->spki_sha256, call->ns, err);
    if (rc != CCZ_OK)
        return rc;
    return call->roles & m->roles ? CCZ_OK : authorize_workload(call, m, err);
}

ccz_rc cczi_kms_authorize(struct cczi_kms_call *call, const struct cczi_kms_method *m,
                          struct ccz_err *err)
{
    if (call->system || (!m->workload && !m->roles)) /* our own, or what everybody may know */
        return CCZ_OK;
    return m->workload ? authorize_use(call, m, err) : authorize_admin(call, m, err);
}

/* --------------------------------------------------------------------------- record */

static void put_member(struct ccz_buf *b, const char *key, const char *value)
{
    ccz_buf_printf(b, ",\"%s\":", key);
    ccz_json_put_str(b, ccz_span_str(value));
}

static void put_hex_member(struct ccz_buf *b, const char *key, const void *bytes, size_t size)
{
    char hex[2 * 48 + 1];
    ccz_hex(hex, bytes, size);
    put_member(b, key, hex);
}

static void put_peer(struct ccz_buf *b, const struct cczi_kms_call *call)
{
    const struct ccz_ratls_peer *p = call->req->peer;
    if (call->system) {
        ccz_buf_put_str(b, ",\"peer\":{\"kind\":\"system\"}");
        return;
    }
    ccz_buf_printf(b, ",\"peer\":{\"kind\":\"%s\"",
                   p->attested ? "workload"
                   : p->pinned ? "admin"
                               : "none");
    if (p->attested) {
        const struct ccz_claims *c = &p->claims;
        put_member(b, "tee", ccz_tee_name(c->tee));
        ccz_buf_printf(b, ",\"simulated\":%s", c->simulated ? "true" : "false");
        if (c->tee == CCZ_TEE_SGX)
            put_hex_member(b, "mrenclave", c->mrenclave, sizeof(c->mrenclave));
        else if (c->tee == CCZ_TEE_TDX)
            put_hex_member(b, "mrtd", c->mrtd, sizeof(c->mrtd));
        else if (c->tee == CCZ_TEE_SNP)
            put_hex_member(b, "measurement", c->snp.measurement, sizeof(c->snp.measurement));
        if (!p->fresh)
            put_member(b, "evidence", "key-bound");
    } else if (p->pinned) {
        char roles[CCZ_KMS_ROLES_SIZE];
        ccz_kms_roles_print(roles, call->roles);
        put_member(b, "role", roles);
    }
    put_hex_member(b, "spki_sha256", p->spki_sha256, sizeof(p->spki_sha256));
    put_member(b, "address", call->req->address);
    ccz_buf_put_str(b, "}");
}

static void put_time_member(struct ccz_buf *b, const char *key, int64_t t_s)
{
    char at[21];
    ccz_time_format(at, t_s);
    if (t_s)
        put_member(b, key, at);
}

/* What the policy on trial says; it decides nothing. */
static void put_shadow(struct ccz_buf *b, const struct cczi_kms_shadow *sh)
{
    if (!sh->tried)
        return;
    ccz_buf_printf(b, ",\"staged\":{\"verdict\":\"%s\"", sh->accept ? "accept" : "reject");
    put_hex_member(b, "policy_sha256", sh->sha256, sizeof(sh->sha256));
    if (sh->rule[0])
        put_member(b, "rule", sh->rule);
    put_time_member(b, "grace_until", sh->grace_until_s);
    if (!sh->accept) {
        put_member(b, "where", sh->where);
        put_member(b, "got", sh->got);
        put_member(b, "expected", sh->expected);
    }
    ccz_buf_put_str(b, "}");
}

static void put_issued(struct ccz_buf *b, const struct cczi_kms_issued *c)
{
    if (!c->serial[0])
        return;
    ccz_buf_printf(b, ",\"certificate\":{\"serial\":\"%s\"", c->serial);
    put_member(b, "names", c->names);
    put_hex_member(b, "spki_sha256", c->spki_sha256, sizeof(c->spki_sha256));
    put_hex_member(b, "sha256", c->sha256, sizeof(c->sha256));
    put_time_member(b, "not_after", c->not_after_s);
    ccz_buf_put_str(b, "}");
}

/* The audit entry of a call; `why` is NULL for an accepted one. */
static void put_entry(struct ccz_buf *b, const struct cczi_kms_call *call, const char *op,
                      const struct ccz_err *why)
{
    ccz_buf_put_str(b, "{\"op\":");
    ccz_json_put_str(b, ccz_span_str(op));
    put_member(b, "verdict", why ? "reject" : "accept");
    if (call->has_ref) {
        char item[CCZ_KMS_ITEM_SIZE];
        cczi_kms_ref_print(item, &call->ref);
        put_member(b, "item", item);
    }
    if (call->version)
        ccz_buf_printf(b, ",\"version\":%u", call->version);
    if (call->policy[0])
        put_member(b, "policy", call->policy);
    if (call->has_policy_sha256)
        put_hex_member(b,
                       call->has_ref && call->ref.kind == CCZI_KMS_REFERENCE ? "reference_sha256"
                                                                             : "policy_sha256",
                       call->policy_sha256, sizeof(call->policy_sha256));
    if (call->rule[0])
        put_member(b, "rule", call->rule);
    if (call->references[0])
        put_member(b, "references", call->references);
    put_time_member(b, "grace_until", call->grace_until_s);
    if (call->proposal)
        ccz_buf_printf(b, ",\"proposal\":%llu", (unsigned long long)call->proposal);
    if (call->has_ns)
        put_member(b, "namespace", call->ns);
    if (call->principal[0])
        put_member(b, "principal", call->principal);
    if (call->given[0])
        put_member(b, "roles", call->given);
    if (call->detail[0])
        put_member(b, "detail", call->detail);
    if (call->has_evidence)
        put_hex_member(b, "evidence_sha256", call->evidence_sha256, sizeof(call->evidence_sha256));
    put_shadow(b, &call->shadow);
    put_issued(b, &call->issued);
    if (why) {
        put_member(b, "where", why->where);
        put_member(b, "got", why->got);
        put_member(b, "expected", why->expected);
        put_member(b, "reason", why->msg);
    }
    put_peer(b, call);
    ccz_buf_put_str(b, "}");
}

ccz_rc cczi_kms_record(struct ccz_kms_receipt *receipt, const struct cczi_kms_call *call,
                       const char *op, const struct ccz_err *why, struct ccz_err *err)
{
    CCZ_AUTO_BUF entry;
    ccz_buf_init(&entry, ENTRY_SIZE_MAX);
    put_entry(&entry, call, op, why);
    if (entry.bad)
        return ccz_fail(err, CCZ_E_INTERNAL, "kms:audit-entry", ENTRY_SIZE_MAX,
                        "the audit entry is too large");
    return cczi_kms_audit_append(receipt, call->store, call->req->now_s, ccz_buf_span(&entry), err);
}

/* Text for a log line: a space or quote in it must not look like the next field. */
static void put_log_value(struct ccz_buf *b, const char *key, const char *value)
{
    ccz_buf_printf(b, " %s=", key);
    for (const char *p = value; *p; p++) {
        if (*p > ' ' && *p < 0x7f && *p != '"' && *p != '\\' && *p != '=')
            ccz_buf_u8(b, (uint8_t)*p);
        else
            ccz_buf_printf(b, "\\x%02x", (unsigned)(uint8_t)*p);
    }
}

void cczi_kms_log_text(struct ccz_buf *b, const struct cczi_kms_call *call, const char *op,
                       const struct ccz_err *why, const struct ccz_kms_receipt *receipt)
{
    ccz_buf_printf(b, "%s verdict=%s", op, why ? "reject" : "accept");
    if (call->has_ref) {
        char item[CCZ_KMS_ITEM_SIZE];
        cczi_kms_ref_print(item, &call->ref);
        put_log_value(b, "item", item);
    }
    if (call->version)
        ccz_buf_printf(b, " version=%u", call->version);
    if (call->policy[0])
        put_log_value(b, "policy", call->policy);
    if (call->rule[0])
        put_log_value(b, "rule", call->rule);
    if (call->references[0])
        put_log_value(b, "references", call->references);
    if (call->proposal)
        ccz_buf_printf(b, " proposal=%llu", (unsigned long long)call->proposal);
    if (call->has_ns)
        put_log_value(b, "namespace", call->ns);
    if (call->principal[0])
        put_log_value(b, "principal", call->principal);
    if (why) {
        put_log_value(b, "where", why->where);
        put_log_value(b, "got", why->got);
        put_log_value(b, "expected", why->expected);
    }
    put_log_value(b, "peer", call->req->address);
    if (receipt->audit_seq)
        ccz_buf_printf(b, " audit=%llu", (unsigned long long)receipt->audit_seq);
    if (call->req->peer->attested && call->req->peer->claims.simulated)
        ccz_buf_put_str(b, " SIMULATED");
}

void cczi_kms_log_call(const struct cczi_kms_call *call, const char *op, const struct ccz_err *why,
                       const struct ccz_kms_receipt *receipt)
{
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, ENTRY_SIZE_MAX);
    cczi_kms_log_text(&b, call, op, why, receipt);
    ccz_log(why ? CCZ_LOG_WARN : CCZ_LOG_INFO, "kms", "%s", ccz_buf_str(&b));
}
