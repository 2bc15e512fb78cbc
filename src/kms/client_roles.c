/* SPDX-License-Identifier: Apache-2.0 */
/* Roles, quorums and proposals, from the caller's side. */
#include "client_priv.h"
#include "use_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

static const char *ns_text(const char *ns)
{
    return ns ? ns : CCZI_KMS_NS_ALL;
}

static struct cczi_msg_role role_msg(const struct ccz_kms_grant *g)
{
    return (struct cczi_msg_role){.ns = ccz_span_str(ns_text(g->ns)),
                                  .principal = CCZ_SPAN(g->principal, sizeof(g->principal)),
                                  .roles = g->roles,
                                  .kind = g->token,
                                  .label = ccz_span_str(g->label ? g->label : "")};
}

ccz_rc ccz_kms_set_role(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                        const struct ccz_kms_grant *grant, struct ccz_err *err)
{
    struct cczi_msg_role m = role_msg(grant);
    return cczi_kms_change(receipt, c, "SetRole", cczi_msg_role, &m, err);
}

ccz_rc ccz_kms_set_doors(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                         const char *item, uint32_t version, bool key_bound, struct ccz_err *err)
{
    const struct cczi_msg_set_doors_req m = {ccz_span_str(item), version, key_bound};
    return cczi_kms_change(receipt, c, "SetDoors", cczi_msg_set_doors_req, &m, err);
}

ccz_rc ccz_kms_propose_doors(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                             const char *item, uint32_t version, bool key_bound, uint32_t valid_s,
                             struct ccz_err *err)
{
    const struct cczi_msg_set_doors_req m = {ccz_span_str(item), version, key_bound};
    return cczi_kms_propose(out, c, "SetDoors", cczi_msg_set_doors_req, &m, valid_s, err);
}

ccz_rc ccz_kms_set_quorum(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, const char *ns,
                          uint32_t needed, struct ccz_err *err)
{
    struct cczi_msg_quorum m = {.ns = ccz_span_str(ns_text(ns)), .needed = needed};
    return cczi_kms_change(receipt, c, "SetQuorum", cczi_msg_quorum, &m, err);
}

/* Server text into a bounded array; a longer one is none of ours. */
static bool text_ok(char *out, size_t size, struct ccz_span text)
{
    ccz_escape(out, size, text);
    return text.size < size;
}

static ccz_rc take_role(struct ccz_span in, ccz_kms_role_fn fn, void *arg, struct ccz_err *err)
{
    struct cczi_msg_role m = {0};
    struct ccz_kms_grant g = {0};
    char ns[CCZ_KMS_NAME_SIZE], label[CCZI_KMS_LABEL_SIZE];
    if (cczi_msg_get(&m, cczi_msg_role, in, NULL) != CCZ_OK || m.principal.size != 32 ||
        !text_ok(ns, sizeof(ns), m.ns) || !text_ok(label, sizeof(label), m.label))
        return cczi_kms_malformed(err);
    memcpy(g.principal, m.principal.ptr, sizeof(g.principal));
    g.token = m.kind != 0;
    g.ns = ns;
    g.roles = (uint32_t)m.roles;
    g.label = label;
    fn(arg, &g);
    return CCZ_OK;
}

static ccz_rc take_quorum(struct ccz_span in, ccz_kms_quorum_fn fn, void *arg, struct ccz_err *err)
{
    struct cczi_msg_quorum m = {0};
    char ns[CCZ_KMS_NAME_SIZE];
    if (cczi_msg_get(&m, cczi_msg_quorum, in, NULL) != CCZ_OK || !text_ok(ns, sizeof(ns), m.ns))
        return cczi_kms_malformed(err);
    fn(arg, ns, (uint32_t)m.needed);
    return CCZ_OK;
}

ccz_rc ccz_kms_list_roles(struct ccz_rpc_client *c, ccz_kms_role_fn role, ccz_kms_quorum_fn quorum,
                          void *arg, struct ccz_err *err)
{
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "ListRoles", cczi_msg_none, NULL, err);
    struct ccz_rd r = ccz_rd_from(ccz_buf_span(&response));
    struct ccz_pb_field f;
    while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
        bool line = f.number == CCZI_MSG_REPEATED || f.number == CCZI_MSG_QUORUMS;
        if (line && f.wire != CCZ_PB_LEN)
            return cczi_kms_malformed(err);
        if (f.number == CCZI_MSG_REPEATED)
            rc = take_role(f.bytes, role, arg, err);
        else if (line)
            rc = take_quorum(f.bytes, quorum, arg, err);
    }
    return rc == CCZ_OK && r.bad ? cczi_kms_malformed(err) : rc;
}

/* --------------------------------------------------------------------------- propose */

ccz_rc ccz_kms_propose(struct ccz_kms_proposed *out, struct ccz_rpc_client *c, const char *method,
                       struct ccz_span body, uint32_t valid_s, struct ccz_err *err)
{
    struct cczi_msg_propose_req m = {
        .method = ccz_span_str(method), .body = body, .valid_s = valid_s};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "Propose", cczi_msg_propose_req, &m, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_propose_resp r = {0};
    struct ccz_kms_proposed p = {0};
    if (cczi_msg_get(&r, cczi_msg_propose_resp, ccz_buf_span(&response), NULL) != CCZ_OK ||
        r.id == 0 || r.sha256.size != sizeof(p.sha256))
        return cczi_kms_malformed(err);
    p.id = r.id;
    p.needed = (uint32_t)r.needed;
    p.expires_s = (int64_t)r.expires_s;
    memcpy(p.sha256, r.sha256.ptr, sizeof(p.sha256));
    rc = cczi_kms_take_receipt(&p.receipt, r.receipt, err);
    if (rc == CCZ_OK && out)
        *out = p;
    return rc;
}

ccz_rc cczi_kms_propose(struct ccz_kms_proposed *out, struct ccz_rpc_client *c, const char *method,
                        const struct cczi_msg_field *fields, const void *msg, uint32_t valid_s,
                        struct ccz_err *err)
{
    CCZ_AUTO_BUF body;
    ccz_buf_init(&body, CCZ_KMS_MESSAGE_SIZE_MAX);
    cczi_msg_put(&body, fields, msg);
    if (body.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:request", CCZ_KMS_MESSAGE_SIZE_MAX,
                        "the request is too large");
    return ccz_kms_propose(out, c, method, ccz_buf_span(&body), valid_s, err);
}

ccz_rc ccz_kms_propose_policy(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                              const char *name, struct ccz_span json, bool replace,
                              uint32_t valid_s, struct ccz_err *err)
{
    struct cczi_msg_put_policy_req m = {
        .name = ccz_span_str(name), .json = json, .replace = replace};
    return cczi_kms_propose(out, c, "PutPolicy", cczi_msg_put_policy_req, &m, valid_s, err);
}

ccz_rc ccz_kms_propose_bind(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                            const char *item, const char *policy, uint32_t valid_s,
                            struct ccz_err *err)
{
    struct cczi_msg_bind_req m = {.item = ccz_span_str(item), .policy = ccz_span_str(policy)};
    return cczi_kms_propose(out, c, "Bind", cczi_msg_bind_req, &m, valid_s, err);
}

ccz_rc ccz_kms_propose_delete(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                              const char *target, uint32_t version,
                              const struct ccz_kms_deletion *how, uint32_t valid_s,
                              struct ccz_err *err)
{
    struct cczi_msg_delete_req m = {.target = ccz_span_str(target),
                                    .version = version,
                                    .recovery_s = how ? how->recovery_s : 0,
                                    .no_recovery = how && how->no_recovery};
    return cczi_kms_propose(out, c, "Delete", cczi_msg_delete_req, &m, valid_s, err);
}

ccz_rc ccz_kms_propose_role(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                            const struct ccz_kms_grant *grant, uint32_t valid_s,
                            struct ccz_err *err)
{
    struct cczi_msg_role m = role_msg(grant);
    return cczi_kms_propose(out, c, "SetRole", cczi_msg_role, &m, valid_s, err);
}

ccz_rc ccz_kms_propose_quorum(struct ccz_kms_proposed *out, struct ccz_rpc_client *c,
                              const char *ns, uint32_t needed, uint32_t valid_s,
                              struct ccz_err *err)
{
    struct cczi_msg_quorum m = {.ns = ccz_span_str(ns_text(ns)), .needed = needed};
    return cczi_kms_propose(out, c, "SetQuorum", cczi_msg_quorum, &m, valid_s, err);
}

/* --------------------------------------------------------------------------- approve */

ccz_rc ccz_kms_approve(struct ccz_kms_approved *out, struct ccz_rpc_client *c, uint64_t id,
                       const uint8_t sha256[32], struct ccz_err *err)
{
    struct cczi_msg_approve_req m = {.id = id, .sha256 = CCZ_SPAN(sha256, 32)};
    CCZ_AUTO_BUF response = {0};
    ccz_rc rc = cczi_kms_call(&response, c, "Approve", cczi_msg_approve_req, &m, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_msg_approve_resp r = {0};
    if (cczi_msg_get(&r, cczi_msg_approve_resp, ccz_buf_span(&response), NULL) != CCZ_OK)
        return cczi_kms_malformed(err);
    struct ccz_kms_approved a = {.done = r.done != 0,
                                 .approvals = (uint32_t)r.approvals,
                                 .needed = (uint32_t)r.needed,
                                 .executed_seq = r.executed_seq};
    rc = cczi_kms_take_receipt(&a.receipt, r.receipt, err);
    if (rc == CCZ_OK && out)
        *out = a;
    return rc;
}

ccz_rc ccz_kms_reject(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c, uint64_t id,
                      struct ccz_err *err)
{
    struct cczi_msg_approve_req m = {.id = id};
    return cczi_kms_change(receipt, c, "Reject", cczi_msg_reject_req, &m, err);
}

/* The approvers of one proposal: as many as there is room for. */
static size_t take_approvers(uint8_t (*out)[32], size_t room, struct ccz_span in, bool *ok)
{
    size_t n = 0;
    struct ccz_rd r = ccz_rd_from(in);
    struct ccz_pb_field f;
    *ok = true;
    while (*ok && ccz_pb_next(&f, &r)) {
        if (f.number != CCZI_MSG_APPROVERS)
            continue;
        *ok = f.wire == CCZ_PB_LEN && f.bytes.size == 32 && n < room;
        if (*ok)
            memcpy(out[n++], f.bytes.ptr, 32);
    }
    *ok = *ok && !r.bad;
    return n;
}

static ccz_rc take_proposal(struct ccz_span in, ccz_kms_proposal_fn fn, void *arg,
                            struct ccz_err *err)
{
    struct cczi_msg_proposal m = {0};
    struct ccz_kms_proposal p = {0};
    uint8_t approvers[256][32];
    bool ok;
    p.approvers = (const uint8_t(*)[32])approvers;
    p.approvers_len = take_approvers(approvers, 256, in, &ok);
    if (!ok || cczi_msg_get(&m, cczi_msg_proposal, in, NULL) != CCZ_OK ||
        m.proposer.size != sizeof(p.proposer) || m.sha256.size != sizeof(p.sha256) ||
        !text_ok(p.ns, sizeof(p.ns), m.ns) || !text_ok(p.method, sizeof(p.method), m.method) ||
        m.state < CCZ_KMS_PROPOSAL_OPEN || m.state > CCZ_KMS_PROPOSAL_EXPIRED)
        return cczi_kms_malformed(err);
    uint8_t want[32];
    if (cczi_kms_proposal_digest(want, p.method, m.body, err) != CCZ_OK ||
        memcmp(want, m.sha256.ptr, sizeof(want)) != 0)
        return cczi_kms_malformed(err);
    p.id = m.id;
    p.body = m.body;
    memcpy(p.proposer, m.proposer.ptr, sizeof(p.proposer));
    memcpy(p.sha256, m.sha256.ptr, sizeof(p.sha256));
    p.created_s = (int64_t)m.created_s;
    p.expires_s = (int64_t)m.expires_s;
    p.state = (enum ccz_kms_proposal_state)m.state;
    p.needed = (uint32_t)m.needed;
    fn(arg, &p);
    return CCZ_OK;
}

/* All of it, however long: what is not shown is agreed to all the same. */
static void print_text(struct ccz_buf *out, const char *what, struct ccz_span text)
{
    enum { PIECE = 64 };
    char clean[4 * PIECE + 1];
    ccz_buf_printf(out, " %s=", what);
    for (size_t at = 0; at < text.size; at += PIECE) {
        size_t left = text.size - at;
        ccz_escape(clean, sizeof(clean), ccz_span_sub(text, at, left < PIECE ? left : PIECE));
        ccz_buf_put_str(out, clean);
    }
}

static void print_given(struct ccz_buf *out, const char *what, struct ccz_span text)
{
    if (text.size)
        print_text(out, what, text);
}

/* As it is, but nothing that a terminal obeys. */
static void print_json(struct ccz_buf *out, struct ccz_span json)
{
    for (size_t i = 0; i < json.size; i++) {
        uint8_t b = json.ptr[i];
        ccz_buf_u8(out, b == '\n' || b == '\t' || (b >= ' ' && b < 0x7f) ? b : '?');
    }
}

static bool print_policy(struct ccz_buf *out, struct ccz_span body)
{
    struct cczi_msg_put_policy_req m = {0};
    if (cczi_msg_get(&m, cczi_msg_put_policy_req, body, NULL) != CCZ_OK)
        return false;
    print_text(out, "policy", m.name);
    ccz_buf_printf(out, "%s\n", m.replace ? " (replaces the one there is)" : "");
    print_json(out, m.json);
    return true;
}

static bool print_reference(struct ccz_buf *out, struct ccz_span body)
{
    struct cczi_msg_put_reference_req m = {0};
    if (cczi_msg_get(&m, cczi_msg_put_reference_req, body, NULL) != CCZ_OK)
        return false;
    print_text(out, "reference", m.name);
    ccz_buf_printf(out, "%s\n", m.replace ? " (another version of it)" : "");
    print_json(out, m.json);
    return true;
}

static bool print_role(struct ccz_buf *out, struct ccz_span body)
{
    struct cczi_msg_role m = {0};
    char hex[65], roles[CCZ_KMS_ROLES_SIZE];
    if (cczi_msg_get(&m, cczi_msg_role, body, NULL) != CCZ_OK || m.principal.size != 32)
        return false;
    ccz_hex(hex, m.principal.ptr, 32);
    ccz_kms_roles_print(roles, (uint32_t)m.roles);
    ccz_buf_printf(out, " principal=%s roles=%s kind=%s", hex, roles, m.kind ? "token" : "key");
    print_text(out, "namespace", m.ns);
    print_text(out, "label", m.label);
    return true;
}

bool ccz_kms_proposal_roll_out(char policy[CCZ_KMS_NAME_SIZE], uint8_t sha256[32],
                               const struct ccz_kms_proposal *p)
{
    struct cczi_msg_roll_out_req m = {0};
    char name[CCZ_KMS_NAME_SIZE];
    if (strcmp(p->method, "RollOut") != 0 ||
        cczi_msg_get(&m, cczi_msg_roll_out_req, p->body, NULL) != CCZ_OK || m.sha256.size != 32 ||
        cczi_kms_name(name, m.policy, NULL) != CCZ_OK)
        return false;
    memcpy(policy, name, sizeof(name));
    memcpy(sha256, m.sha256.ptr, 32);
    return true;
}

static bool print_roll_out(struct ccz_buf *out, struct ccz_span body)
{
    struct cczi_msg_roll_out_req m = {0};
    char hex[65];
    if (cczi_msg_get(&m, cczi_msg_roll_out_req, body, NULL) != CCZ_OK || m.sha256.size != 32)
        return false;
    ccz_hex(hex, m.sha256.ptr, 32);
    print_text(out, "policy", m.policy);
    ccz_buf_printf(out, " sha256=%s", hex);
    return true;
}

static bool print_others(struct ccz_buf *out, const char *method, struct ccz_span body)
{
    struct cczi_msg_bind_req b = {0};
    struct cczi_msg_delete_req d = {0};
    struct cczi_msg_quorum q = {0};
    struct cczi_msg_name n = {0};
    struct cczi_msg_set_doors_req o = {0};
    if (strcmp(method, "SetDoors") == 0 &&
        cczi_msg_get(&o, cczi_msg_set_doors_req, body, NULL) == CCZ_OK) {
        print_text(out, "item", o.item);
        ccz_buf_printf(out, " version=%llu %s", (unsigned long long)o.version,
                       o.key_bound ? "OPEN FOR EVIDENCE THAT IS NOT FRESH" : "closed");
        return true;
    }
    if (strcmp(method, "DeleteReference") == 0 &&
        cczi_msg_get(&n, cczi_msg_name, body, NULL) == CCZ_OK) {
        print_text(out, "reference", n.name);
        return true;
    }
    if (strcmp(method, "Bind") == 0 && cczi_msg_get(&b, cczi_msg_bind_req, body, NULL) == CCZ_OK) {
        print_text(out, "item", b.item);
        print_given(out, "op", b.op);
        print_text(out, "policy", b.policy);
        ccz_buf_put_str(out, b.policy.size ? "" : " (as the default)");
        return true;
    }
    if (strcmp(method, "Delete") == 0 &&
        cczi_msg_get(&d, cczi_msg_delete_req, body, NULL) == CCZ_OK) {
        print_text(out, "target", d.target);
        ccz_buf_printf(out, " version=%llu%s", (unsigned long long)d.version,
                       d.no_recovery ? " WITHOUT RECOVERY" : "");
        if (d.recovery_s)
            ccz_buf_printf(out, " recovery_s=%llu", (unsigned long long)d.recovery_s);
        return true;
    }
    if (strcmp(method, "SetQuorum") == 0 &&
        cczi_msg_get(&q, cczi_msg_quorum, body, NULL) == CCZ_OK) {
        print_text(out, "namespace", q.ns);
        ccz_buf_printf(out, " needed=%llu", (unsigned long long)q.needed);
        return true;
    }
    return false;
}

static bool print_key(struct ccz_buf *out, struct ccz_span body)
{
    struct cczi_msg_key_req m = {0};
    if (cczi_msg_get(&m, cczi_msg_generate_req, body, NULL) != CCZ_OK)
        return false;
    print_text(out, "key", m.name);
    print_text(out, "kind", m.kind);
    print_given(out, "ops", m.ops);
    print_given(out, "policy", m.policy);
    print_given(out, "names", m.names);
    ccz_buf_printf(out, "%s%s expires_s=%llu rotate_every_s=%llu",
                   m.exportable ? " EXPORTABLE" : "",
                   m.unattested_insecure ? " USED WITHOUT EVIDENCE" : "",
                   (unsigned long long)m.expires_s, (unsigned long long)m.rotate_every_s);
    return true;
}

static bool print_expiry(struct ccz_buf *out, struct ccz_span body)
{
    struct cczi_msg_key_set_req m = {0};
    char until[21];
    if (cczi_msg_get(&m, cczi_msg_set_expiry_req, body, NULL) != CCZ_OK)
        return false;
    ccz_time_format(until, (int64_t)m.expires_s);
    print_text(out, "key", m.name);
    ccz_buf_printf(out, " expires %s expires_s=%llu", m.expires_s ? until : "never",
                   (unsigned long long)m.expires_s);
    return true;
}

void ccz_kms_proposal_print(struct ccz_buf *out, const struct ccz_kms_proposal *p)
{
    ccz_buf_put_str(out, p->method);
    bool known = strcmp(p->method, "PutPolicy") == 0      ? print_policy(out, p->body)
                 : strcmp(p->method, "PutReference") == 0 ? print_reference(out, p->body)
                 : strcmp(p->method, "SetRole") == 0      ? print_role(out, p->body)
                 : strcmp(p->method, "RollOut") == 0      ? print_roll_out(out, p->body)
                 : strcmp(p->method, "Generate") == 0     ? print_key(out, p->body)
                 : strcmp(p->method, "SetExpiry") == 0    ? print_expiry(out, p->body)
                                                          : print_others(out, p->method, p->body);
    uint32_t field;
    if (known && cczi_kms_request_known(&field, p->method, p->body))
        return;
    /* of a newer server, or malformed: the bytes themselves */
    ccz_buf_put_str(out, " request=");
    for (size_t i = 0; i < p->body.size; i++)
        ccz_buf_printf(out, "%02x", p->body.ptr[i]);
}

ccz_rc ccz_kms_list_proposals(struct ccz_rpc_client *c, uint64_t after_id, uint64_t limit,
                              ccz_kms_proposal_fn fn, void *arg, struct ccz_err *err)
{
    uint64_t left = limit ? limit : UINT64_MAX;
    for (bool more = true; more && left;) {
        struct cczi_msg_proposals_req m = {.after_id = after_id,
                                           .limit = left < UINT32_MAX ? left : 0};
        uint64_t next = after_id;
        CCZ_AUTO_BUF response = {0};
        ccz_rc rc = cczi_kms_call(&response, c, "ListProposals", cczi_msg_proposals_req, &m, err);
        struct ccz_rd r = ccz_rd_from(ccz_buf_span(&response));
        struct ccz_pb_field f;
        while (rc == CCZ_OK && ccz_pb_next(&f, &r)) {
            if (f.number == CCZI_MSG_MORE && f.wire == CCZ_PB_VARINT)
                next = f.num;
            if (f.number != CCZI_MSG_REPEATED)
                continue;
            rc = f.wire == CCZ_PB_LEN && left ? take_proposal(f.bytes, fn, arg, err)
                                              : cczi_kms_malformed(err);
            left--;
        }
        if (rc == CCZ_OK && (r.bad || next < after_id)) /* backwards: would go on for ever */
            rc = cczi_kms_malformed(err);
        if (rc != CCZ_OK)
            return rc;
        more = next > after_id;
        after_id = next;
    }
    return CCZ_OK;
}
