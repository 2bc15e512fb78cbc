/* SPDX-License-Identifier: Apache-2.0 */
/* Roles and quorums, over the network. */
#include "kms_priv.h"
#include "looks.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

/* Without approvals nobody gives away more than he has: he has it all, here. */
static ccz_rc may_give(const struct cczi_kms_call *call, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_guard(call, err);
    if (rc != CCZ_OK || call->approved || (call->roles & CCZ_KMS_ROLE_ADMIN) == CCZ_KMS_ROLE_ADMIN)
        return rc;
    char got[CCZ_KMS_ROLES_SIZE];
    ccz_kms_roles_print(got, call->roles);
    ccz_refuse(err, CCZ_E_DENIED, "kms:role", got, "admin");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

static ccz_rc take_role(struct cczi_kms_admin *a, struct cczi_kms_call *call, struct ccz_err *err)
{
    struct cczi_msg_role m = {0};
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_role, call->req->body, err);
    if (rc != CCZ_OK)
        return rc;
    if (m.principal.size != sizeof(a->id))
        return ccz_refuse_num(err, CCZ_E_FORMAT, "kms:principal", (int64_t)m.principal.size,
                              sizeof(a->id));
    if (m.label.size >= sizeof(a->label) || (m.label.size && memchr(m.label.ptr, 0, m.label.size)))
        return ccz_refuse_num(err, CCZ_E_FORMAT, "kms:label", (int64_t)m.label.size,
                              sizeof(a->label) - 1);
    memcpy(a->id, m.principal.ptr, sizeof(a->id));
    memcpy(a->ns, call->ns, sizeof(a->ns));
    if (m.label.size)
        memcpy(a->label, m.label.ptr, m.label.size);
    a->kind = m.kind ? CCZI_KMS_TOKEN : CCZI_KMS_PINNED;
    a->roles = (uint32_t)m.roles;
    ccz_hex(call->principal, a->id, sizeof(a->id));
    ccz_kms_roles_print(call->given, a->roles & CCZ_KMS_ROLES_ALL);
    return CCZ_OK;
}

ccz_rc cczi_kms_run_set_role(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_kms_admin a = {0};
    call->has_ns = true;
    ccz_rc rc = take_role(&a, call, err);
    if (rc == CCZ_OK)
        rc = may_give(call, err);
    int64_t from_ms;
    if (rc == CCZ_OK)
        rc = cczi_kms_looks_begin(&from_ms, call, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_grant(call->store, &a, err); /* looks at the roles and bindings of all */
    cczi_kms_looks_end(call, from_ms);
    return rc;
}

ccz_rc cczi_kms_run_set_quorum(struct ccz_buf *response, struct cczi_kms_call *call,
                               struct ccz_err *err)
{
    (void)response;
    struct cczi_msg_quorum m = {0};
    call->has_ns = true;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_quorum, call->req->body, err);
    if (rc == CCZ_OK)
        (void)snprintf(call->detail, sizeof(call->detail), "approvals needed: %llu",
                       (unsigned long long)m.needed);
    if (rc == CCZ_OK)
        rc = may_give(call, err);
    int64_t from_ms;
    if (rc == CCZ_OK)
        rc = cczi_kms_looks_begin(&from_ms, call, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_quorum_set(call->store, call->ns, (uint32_t)m.needed, err);
    cczi_kms_looks_end(call, from_ms);
    if (rc == CCZ_OK && !call->store->trial) /* the other servers look */
        cczi_kms_looks_pay(call->store->looks, call->ns, ccz_mono_ms());
    return rc;
}

/* ------------------------------------------------------------------------------ list */

struct lister {
    struct ccz_buf *response;
    struct cczi_kms_readable readable;
};

/* Those of the own namespaces, and those above, which reach there too. */
static bool shows(const struct lister *l, const char *ns)
{
    return strcmp(ns, CCZI_KMS_NS_ALL) == 0 || cczi_kms_may_read(&l->readable, ns);
}

static void put_line(struct ccz_buf *out, uint32_t field, const struct cczi_msg_field *fields,
                     const void *msg)
{
    size_t mark = ccz_pb_open(out, field);
    cczi_msg_put(out, fields, msg);
    ccz_pb_close(out, mark);
}

static ccz_rc put_role(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    (void)err;
    const struct lister *l = arg;
    struct cczi_msg_role m = {.ns = ccz_span_str(a->ns),
                              .principal = CCZ_SPAN(a->id, sizeof(a->id)),
                              .roles = a->roles,
                              .kind = a->kind,
                              .label = ccz_span_str(a->label)};
    if (shows(l, a->ns))
        put_line(l->response, CCZI_MSG_REPEATED, cczi_msg_role, &m);
    return CCZ_OK;
}

static ccz_rc put_quorum(void *arg, const char *ns, uint32_t needed, struct ccz_err *err)
{
    (void)err;
    const struct lister *l = arg;
    struct cczi_msg_quorum m = {.ns = ccz_span_str(ns), .needed = needed};
    if (shows(l, ns))
        put_line(l->response, CCZI_MSG_QUORUMS, cczi_msg_quorum, &m);
    return CCZ_OK;
}

ccz_rc cczi_kms_run_list_roles(struct ccz_buf *response, struct cczi_kms_call *call,
                               struct ccz_err *err)
{
    struct lister l = {.response = response};
    ccz_rc rc = cczi_msg_get(NULL, cczi_msg_none, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_readable(&l.readable, call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_admin_each(call->store, NULL, put_role, &l, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_quorum_each(call->store, put_quorum, &l, err);
    cczi_kms_readable_deinit(&l.readable);
    return rc;
}
