/* SPDX-License-Identifier: Apache-2.0 */
#include "cli.h"
#include "json_out.h"
#include "key_file.h"
#include "kms_roles.h"
#include "kms_why.h"

#include <cczoo/codec.h>
#include <cczoo/crypto.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PRINT_SIZE_MAX = 4 << 20 };

/* ----------------------------------------------------------------------------- whose */

/* 64 hex digits, or a PEM file of a key. */
static ccz_rc principal_of(uint8_t out[32], const char *who, struct ccz_err *err)
{
    if (strlen(who) == 64 && ccz_unhex(out, 32, who, 64) == CCZ_OK)
        return CCZ_OK;
    CCZ_AUTO(ccz_key) key = NULL;
    ccz_rc rc = key_file_load(&key, who, err);
    return rc == CCZ_OK ? key_file_digest(out, key, err) : rc;
}

static ccz_rc number_of(uint64_t *out, const char *text, uint64_t max, struct ccz_err *err)
{
    char *end;
    *out = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || *out > max)
        return ccz_refuse(err, CCZ_E_ARG, "kms:number", text, "a number");
    return CCZ_OK;
}

/* "" is names without a namespace. */
static const char *ns_text(const char *ns)
{
    return ns[0] ? ns : "(none)";
}

/* ---------------------------------------------------------------------------- output */

static void show_done(const struct kms_roles_opts *o, const char *what,
                      const struct ccz_kms_receipt *r)
{
    if (o->json)
        ui_out("{\"done\":\"%s\",\"audit_seq\":%llu}\n", what, (unsigned long long)r->audit_seq);
    else
        ui_out("%s, audit line %llu\n", what, (unsigned long long)r->audit_seq);
}

void kms_show_proposed(const struct kms_roles_opts *o, const struct ccz_kms_proposed *p)
{
    char hex[65], until[21];
    ccz_hex(hex, p->sha256, 32);
    ccz_time_format(until, p->expires_s);
    if (o->json)
        ui_out("{\"proposal\":%llu,\"needed\":%u,\"expires\":\"%s\",\"sha256\":\"%s\","
               "\"audit_seq\":%llu}\n",
               (unsigned long long)p->id, p->needed, until, hex,
               (unsigned long long)p->receipt.audit_seq);
    else
        ui_out("proposal %llu needs %u approval%s until %s, digest %s\n", (unsigned long long)p->id,
               p->needed, p->needed == 1 ? "" : "s", until, hex);
}

/* ----------------------------------------------------------------------------- roles */

ccz_rc kms_role_set(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *who,
                    const char *roles, struct ccz_err *err)
{
    struct ccz_kms_grant g = {.ns = o->ns, .label = o->label, .token = o->token};
    struct ccz_kms_proposed proposed;
    struct ccz_kms_receipt receipt;
    ccz_rc rc = ccz_kms_roles_parse(&g.roles, roles, err);
    if (rc == CCZ_OK)
        rc = principal_of(g.principal, who, err);
    if (rc != CCZ_OK)
        return rc;
    if (o->propose) {
        rc = ccz_kms_propose_role(&proposed, c, &g, o->valid_s, err);
        if (rc == CCZ_OK)
            kms_show_proposed(o, &proposed);
        return rc;
    }
    rc = ccz_kms_set_role(&receipt, c, &g, err);
    if (rc == CCZ_OK)
        show_done(o, "role set", &receipt);
    return rc;
}

ccz_rc kms_quorum_set(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *needed,
                      struct ccz_err *err)
{
    uint64_t n;
    struct ccz_kms_proposed proposed;
    struct ccz_kms_receipt receipt;
    ccz_rc rc = number_of(&n, needed, CCZ_KMS_APPROVALS_MAX, err);
    if (rc != CCZ_OK)
        return rc;
    if (o->propose) {
        rc = ccz_kms_propose_quorum(&proposed, c, o->ns, (uint32_t)n, o->valid_s, err);
        if (rc == CCZ_OK)
            kms_show_proposed(o, &proposed);
        return rc;
    }
    rc = ccz_kms_set_quorum(&receipt, c, o->ns, (uint32_t)n, err);
    if (rc == CCZ_OK)
        show_done(o, "quorum set", &receipt);
    return rc;
}

static void show_role(void *arg, const struct ccz_kms_grant *g)
{
    const struct kms_roles_opts *o = arg;
    char hex[65], roles[CCZ_KMS_ROLES_SIZE];
    ccz_hex(hex, g->principal, 32);
    ccz_kms_roles_print(roles, g->roles);
    if (!o->json) {
        ui_out("%s  %-12s %-32s %s%s\n", hex, ns_text(g->ns), roles, g->token ? "token " : "",
               g->label);
        return;
    }
    CCZ_AUTO_BUF b;
    ccz_buf_init(&b, 4096);
    ccz_buf_printf(&b, "{\"kind\":\"%s\"", g->token ? "token" : "key");
    put_text(&b, "principal", hex);
    put_text(&b, "namespace", g->ns);
    put_text(&b, "roles", roles);
    put_text(&b, "label", g->label);
    ui_out("%s}\n", ccz_buf_str(&b));
}

static void show_quorum(void *arg, const char *ns, uint32_t needed)
{
    const struct kms_roles_opts *o = arg;
    if (o->json)
        ui_out("{\"kind\":\"quorum\",\"namespace\":\"%s\",\"needed\":%u}\n", ns, needed);
    else
        ui_out("approvals needed in %s: %u\n", ns_text(ns), needed);
}

ccz_rc kms_role_list(struct ccz_rpc_client *c, const struct kms_roles_opts *o, struct ccz_err *err)
{
    struct kms_roles_opts copy = *o;
    return ccz_kms_list_roles(c, show_role, show_quorum, &copy, err);
}

/* ------------------------------------------------------------------------- proposals */

static const char *state_name(enum ccz_kms_proposal_state s)
{
    static const char *const names[] = {"", "open", "done", "rejected", "expired"};
    return names[s];
}

static void show_approvers(struct ccz_buf *b, const struct ccz_kms_proposal *p, const char *format)
{
    char hex[65];
    for (size_t i = 0; i < p->approvers_len; i++) {
        ccz_hex(hex, p->approvers[i], 32);
        ccz_buf_put_str(b, i && format[0] == '"' ? "," : "");
        ccz_buf_put_str(b, format[0] == '"' ? "\"" : "  approved by ");
        ccz_buf_put_str(b, hex);
        ccz_buf_put_str(b, format[0] == '"' ? "\"" : "\n");
    }
}

static void show_proposal(const struct kms_roles_opts *o, const struct ccz_kms_proposal *p)
{
    CCZ_AUTO_BUF b, text;
    char until[21], proposer[65], digest[65];
    ccz_buf_init(&b, PRINT_SIZE_MAX);
    ccz_buf_init(&text, PRINT_SIZE_MAX);
    ccz_time_format(until, p->expires_s);
    ccz_hex(proposer, p->proposer, 32);
    ccz_hex(digest, p->sha256, 32);
    ccz_kms_proposal_print(&text, p);
    if (!o->json) {
        ccz_buf_printf(&b,
                       "proposal %llu %s, namespace %s, %zu of %u approvals, until %s\n"
                       "  proposed by %s\n",
                       (unsigned long long)p->id, state_name(p->state), ns_text(p->ns),
                       p->approvers_len, p->needed, until, proposer);
        show_approvers(&b, p, "  ");
        ccz_buf_printf(&b, "  digest %s\n%s\n", digest, ccz_buf_str(&text));
        ui_out_span(ccz_buf_span(&b));
        return;
    }
    ccz_buf_printf(&b, "{\"proposal\":%llu,\"needed\":%u,\"approvers\":[",
                   (unsigned long long)p->id, p->needed);
    show_approvers(&b, p, "\"");
    ccz_buf_put_str(&b, "]");
    put_text(&b, "state", state_name(p->state));
    put_text(&b, "namespace", p->ns);
    put_text(&b, "method", p->method);
    put_text(&b, "expires", until);
    put_text(&b, "proposer", proposer);
    put_hex(&b, "sha256", p->sha256);
    put_text(&b, "request", ccz_buf_str(&text));
    ccz_buf_put_str(&b, "}\n");
    ui_out_span(ccz_buf_span(&b));
}

static void show_listed(void *arg, const struct ccz_kms_proposal *p)
{
    const struct kms_roles_opts *o = arg;
    if (o->all || p->state == CCZ_KMS_PROPOSAL_OPEN)
        show_proposal(o, p);
}

ccz_rc kms_proposals(struct ccz_rpc_client *c, const struct kms_roles_opts *o, struct ccz_err *err)
{
    struct kms_roles_opts copy = *o;
    return ccz_kms_list_proposals(c, 0, 0, show_listed, &copy, err);
}

/* The proposal that is about to be approved: shown, and its digest kept. */
struct look {
    const struct kms_roles_opts *o;
    uint64_t id;
    bool found, rolls_out;
    uint8_t sha256[32];
    char policy[CCZ_KMS_NAME_SIZE]; /* rolls_out: what is staged for it, of this digest */
    uint8_t staged_sha256[32];
};

static void look_at(void *arg, const struct ccz_kms_proposal *p)
{
    struct look *l = arg;
    if (p->id != l->id)
        return;
    l->found = true;
    memcpy(l->sha256, p->sha256, sizeof(l->sha256));
    l->rolls_out = ccz_kms_proposal_roll_out(l->policy, l->staged_sha256, p);
    show_proposal(l->o, p);
}

/* A RollOut names a digest only: what is behind it is what an approver has to see. */
static ccz_rc look_at_staged(struct ccz_rpc_client *c, const struct look *l, struct ccz_err *err)
{
    CCZ_AUTO_BUF json;
    struct ccz_kms_staged st;
    ccz_buf_init(&json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = ccz_kms_get_staged(&st, &json, c, l->policy, err);
    if (rc != CCZ_OK)
        return rc;
    if (memcmp(st.sha256, l->staged_sha256, sizeof(st.sha256)) != 0) {
        ccz_refuse_bytes(err, CCZ_E_MISMATCH, "kms:staged-changed", st.sha256, 32, l->staged_sha256,
                         32);
        return ccz_hint(err, CCZ_E_MISMATCH,
                        "what is staged now is not what was proposed: reject it, and have what is "
                        "meant proposed again");
    }
    kms_show_staged(&st, &json, l->o->json);
    return CCZ_OK;
}

ccz_rc kms_digest_of(uint8_t out[32], const char *text, struct ccz_err *err)
{
    if (strlen(text) == 64 && ccz_unhex(out, 32, text, 64) == CCZ_OK)
        return CCZ_OK;
    return ccz_refuse(err, CCZ_E_ARG, "kms:digest", text, "64 hex digits");
}

/* --digest names one that was looked at before: on another day, or by somebody else. */
static ccz_rc take_digest(uint8_t out[32], struct ccz_rpc_client *c, const struct kms_roles_opts *o,
                          uint64_t id, struct ccz_err *err)
{
    struct look l = {.o = o, .id = id};
    if (o->digest)
        return kms_digest_of(out, o->digest, err);
    ccz_rc rc = id ? ccz_kms_list_proposals(c, id - 1, 1, look_at, &l, err) : CCZ_OK;
    if (rc == CCZ_OK && !l.found)
        rc = ccz_fail(err, CCZ_E_NOT_FOUND, "kms:not-found", 0, "there is no proposal %llu",
                      (unsigned long long)id);
    if (rc == CCZ_OK && l.rolls_out)
        rc = look_at_staged(c, &l, err);
    memcpy(out, l.sha256, sizeof(l.sha256));
    return rc;
}

ccz_rc kms_approve(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *id,
                   struct ccz_err *err)
{
    uint64_t n;
    uint8_t sha256[32];
    struct ccz_kms_approved a;
    ccz_rc rc = number_of(&n, id, INT64_MAX, err);
    if (rc == CCZ_OK)
        rc = take_digest(sha256, c, o, n, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_approve(&a, c, n, sha256, err);
    if (rc != CCZ_OK)
        return rc;
    if (o->json)
        ui_out("{\"proposal\":%llu,\"done\":%s,\"approvals\":%u,\"needed\":%u,\"executed\":%llu,"
               "\"audit_seq\":%llu}\n",
               (unsigned long long)n, a.done ? "true" : "false", a.approvals, a.needed,
               (unsigned long long)a.executed_seq, (unsigned long long)a.receipt.audit_seq);
    else if (a.done)
        ui_out("approved, and executed as audit line %llu\n", (unsigned long long)a.executed_seq);
    else
        ui_out("approved: %u of %u\n", a.approvals, a.needed);
    return CCZ_OK;
}

ccz_rc kms_reject(struct ccz_rpc_client *c, const struct kms_roles_opts *o, const char *id,
                  struct ccz_err *err)
{
    uint64_t n;
    struct ccz_kms_receipt receipt;
    ccz_rc rc = number_of(&n, id, INT64_MAX, err);
    if (rc == CCZ_OK)
        rc = ccz_kms_reject(&receipt, c, n, err);
    if (rc == CCZ_OK)
        show_done(o, "rejected", &receipt);
    return rc;
}
