/* SPDX-License-Identifier: Apache-2.0 */
/* Who gets which roles, and how many have to agree; for methods_roles.c and for the machine's operator. */
#include "kms_priv.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool label_ok(const char *label)
{
    for (const char *p = label; *p; p++)
        if (*p < ' ' || *p > '~')
            return false;
    return true;
}

ccz_rc cczi_kms_grant(struct ccz_kms_store *s, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    if (a->roles & ~(uint32_t)CCZ_KMS_ROLES_ALL)
        return ccz_refuse_num(err, CCZ_E_FORMAT, "kms:roles", a->roles, CCZ_KMS_ROLES_ALL);
    if (!label_ok(a->label))
        return ccz_refuse(err, CCZ_E_FORMAT, "kms:label", "other characters", "printable ASCII");
    ccz_rc rc = cczi_kms_admin_put(s, a, err);
    s->roles_changed++;
    return rc == CCZ_OK ? cczi_kms_access_check(s, a->roles ? a->ns : NULL, err) : rc;
}

/* Namespaces that are free: whose own number is 0. */
struct freed {
    char (*ns)[CCZ_KMS_NAME_SIZE];
    size_t len;
    uint32_t all; /* the number of everybody */
};

static ccz_rc add_freed(void *arg, const char *ns, uint32_t needed, struct ccz_err *err)
{
    struct freed *f = arg;
    if (strcmp(ns, CCZI_KMS_NS_ALL) == 0)
        f->all = needed;
    else if (needed == 0) {
        void *p = realloc(f->ns, (f->len + 1) * sizeof(*f->ns));
        if (!p)
            return ccz_fail(err, CCZ_E_NOMEM, "kms:list", 0, "out of memory");
        f->ns = p;
        (void)snprintf(f->ns[f->len++], sizeof(f->ns[0]), "%s", ns);
    }
    return CCZ_OK;
}

/* A number of 0 of a namespace's own frees it from that of "*", and that takes approvals. Said where "*" asks for none it is no
 * number: or one person alone could free names beforehand, for the day on which approvals begin. */
static ccz_rc put_number(struct ccz_kms_store *s, const char *ns, uint32_t needed,
                         struct ccz_err *err)
{
    bool all = strcmp(ns, CCZI_KMS_NS_ALL) == 0;
    struct freed f = {0};
    ccz_rc rc = cczi_kms_quorum_each(s, add_freed, &f, err);
    if (rc == CCZ_OK && !all && needed == 0 && f.all == 0)
        rc = cczi_kms_quorum_delete(s, ns, err);
    else if (rc == CCZ_OK)
        rc = cczi_kms_quorum_put(s, ns, needed, err);
    for (size_t i = 0; rc == CCZ_OK && all && needed && f.all == 0 && i < f.len; i++)
        rc = cczi_kms_quorum_delete(s, f.ns[i], err);
    free(f.ns);
    return rc;
}

ccz_rc cczi_kms_quorum_set(struct ccz_kms_store *s, const char *ns, uint32_t needed,
                           struct ccz_err *err)
{
    if (needed > CCZ_KMS_APPROVALS_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "kms:quorum", needed, CCZ_KMS_APPROVALS_MAX);
    ccz_rc rc = put_number(s, ns, needed, err);
    return rc == CCZ_OK ? cczi_kms_access_check(s, NULL, err) : rc;
}

/* ------------------------------------------------------------------ machine's operator */

static ccz_rc append(struct ccz_kms_store *s, struct ccz_buf *entry, int64_t now_s,
                     struct ccz_err *err)
{
    struct ccz_kms_receipt receipt;
    ccz_buf_put_str(entry, "}");
    return entry->bad
               ? ccz_fail(err, CCZ_E_INTERNAL, "kms:audit-entry", 0, "the audit entry is too large")
               : cczi_kms_audit_append(&receipt, s, now_s, ccz_buf_span(entry), err);
}

/* Inside a transaction. */
static ccz_rc grant(struct ccz_kms_store *s, const struct ccz_kms_grant *g, int64_t now_s,
                    struct ccz_err *err)
{
    struct cczi_kms_admin a = {.kind = g->token ? CCZI_KMS_TOKEN : CCZI_KMS_PINNED,
                               .roles = g->roles};
    const char *label = g->label ? g->label : "";
    memcpy(a.id, g->principal, sizeof(a.id));
    if (strlen(label) >= sizeof(a.label))
        return ccz_refuse_num(err, CCZ_E_FORMAT, "kms:label", (int64_t)strlen(label),
                              sizeof(a.label) - 1);
    memcpy(a.label, label, strlen(label) + 1);
    ccz_rc rc = cczi_kms_ns_parse(a.ns, ccz_span_str(g->ns ? g->ns : CCZI_KMS_NS_ALL), err);
    if (rc == CCZ_OK)
        rc = cczi_kms_grant(s, &a, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF entry;
    char hex[65], roles[CCZ_KMS_ROLES_SIZE];
    ccz_hex(hex, a.id, 32);
    ccz_kms_roles_print(roles, a.roles);
    ccz_buf_init(&entry, 1024);
    ccz_buf_printf(&entry,
                   "{\"op\":\"set-admin\",\"verdict\":\"accept\",\"key\":\"%s\",\"role\":\"%s\","
                   "\"namespace\":\"%s\"",
                   hex, roles, a.ns);
    return append(s, &entry, now_s, err);
}

static ccz_rc set_quorum(struct ccz_kms_store *s, const char *ns, uint32_t needed, int64_t now_s,
                         struct ccz_err *err)
{
    char name[CCZ_KMS_NAME_SIZE];
    ccz_rc rc = cczi_kms_ns_parse(name, ccz_span_str(ns), err);
    if (rc == CCZ_OK)
        rc = cczi_kms_quorum_set(s, name, needed, err);
    if (rc != CCZ_OK)
        return rc;
    CCZ_AUTO_BUF entry;
    ccz_buf_init(&entry, 1024);
    ccz_buf_printf(&entry,
                   "{\"op\":\"set-quorum\",\"verdict\":\"accept\",\"namespace\":\"%s\","
                   "\"needed\":%u",
                   name, needed);
    return append(s, &entry, now_s, err);
}

/* Ends the transaction, one way or the other. */
static ccz_rc finish(struct ccz_kms_store *s, ccz_rc rc, struct ccz_err *err)
{
    if (rc != CCZ_OK) {
        cczi_kms_rollback(s);
        return rc;
    }
    rc = cczi_kms_commit(s, err);
    return rc == CCZ_OK ? cczi_kms_settle(s, err) : rc;
}

ccz_rc ccz_kms_store_grant(struct ccz_kms_store *s, const struct ccz_kms_grant *g, int64_t now_s,
                           struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_begin_whole(s, err);
    return rc == CCZ_OK ? finish(s, grant(s, g, now_s, err), err) : rc;
}

ccz_rc ccz_kms_store_set_quorum(struct ccz_kms_store *s, const char *ns, uint32_t needed,
                                int64_t now_s, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_begin_whole(s, err);
    return rc == CCZ_OK ? finish(s, set_quorum(s, ns, needed, now_s, err), err) : rc;
}

ccz_rc ccz_kms_store_set_admin(struct ccz_kms_store *s, const uint8_t spki_sha256[32],
                               uint32_t roles, int64_t now_s, struct ccz_err *err)
{
    struct ccz_kms_grant g = {.roles = roles};
    memcpy(g.principal, spki_sha256, sizeof(g.principal));
    return ccz_kms_store_grant(s, &g, now_s, err);
}

/* Of a store that is being made. */
ccz_rc cczi_kms_first_roles(struct ccz_kms_store *s, const struct ccz_kms_approvals *ap,
                            int64_t now_s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    for (size_t i = 0; rc == CCZ_OK && i < ap->approvers_len; i++) {
        struct ccz_kms_grant g = {.roles = CCZ_KMS_ROLE_APPROVER, .label = "approver"};
        memcpy(g.principal, ap->approvers[i], sizeof(g.principal));
        struct cczi_kms_admin was;
        rc = cczi_kms_admin_get(&was, s, g.principal, CCZI_KMS_NS_ALL, err);
        if (rc == CCZ_OK) /* one key twice would look like two people */
            return ccz_refuse(err, CCZ_E_ARG, "kms:init-approver", "a key that is given twice",
                              "a key for each approver, and another for the administrator");
        if (rc == CCZ_E_NOT_FOUND)
            rc = grant(s, &g, now_s, err);
    }
    return rc == CCZ_OK && ap->needed ? set_quorum(s, CCZI_KMS_NS_ALL, ap->needed, now_s, err) : rc;
}
