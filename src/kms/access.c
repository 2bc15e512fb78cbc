/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what where: namespaces, roles in them, and how many have to agree. */
#include "kms_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    ROWS_MAX = 50000,
    NS_ROWS_MAX = 1000 /* roles of one namespace, whose people give them away by themselves */
};

/* ------------------------------------------------------------------------ namespaces */

void cczi_kms_ns_of(char out[CCZ_KMS_NAME_SIZE], const char *name)
{
    const char *slash = strchr(name, '/');
    size_t n = slash ? (size_t)(slash - name) : 0;
    memset(out, 0, CCZ_KMS_NAME_SIZE);
    memcpy(out, name, n);
}

static bool is_all(const char *ns)
{
    return strcmp(ns, CCZI_KMS_NS_ALL) == 0;
}

ccz_rc cczi_kms_ns_parse(char out[CCZ_KMS_NAME_SIZE], struct ccz_span text, struct ccz_err *err)
{
    memset(out, 0, CCZ_KMS_NAME_SIZE);
    if (text.size == 0)
        return CCZ_OK;
    if (ccz_span_eq(text, ccz_span_str(CCZI_KMS_NS_ALL))) {
        out[0] = CCZI_KMS_NS_ALL[0];
        return CCZ_OK;
    }
    if (cczi_kms_name(out, text, NULL) == CCZ_OK && !strchr(out, '/'))
        return CCZ_OK;
    char got[CCZ_ERR_VALUE_SIZE];
    ccz_escape(got, sizeof(got), text);
    memset(out, 0, CCZ_KMS_NAME_SIZE);
    return ccz_refuse(err, CCZ_E_FORMAT, "kms:namespace-name", got,
                      "the part of a name before its '/', or * for all");
}

ccz_rc cczi_kms_target_ns(char ns[CCZ_KMS_NAME_SIZE], const struct cczi_kms_method *m,
                          struct ccz_span body, struct ccz_err *err)
{
    struct cczi_msg_name f = {0};
    struct cczi_kms_ref ref;
    memset(ns, 0, CCZ_KMS_NAME_SIZE);
    if (m->target == CCZI_KMS_ON_STORE || m->target == CCZI_KMS_ON_ANY) {
        ns[0] = CCZI_KMS_NS_ALL[0];
        return CCZ_OK;
    }
    ccz_rc rc = cczi_msg_get(&f, cczi_msg_name, body, err);
    if (rc == CCZ_OK && m->target == CCZI_KMS_ON_NS)
        return cczi_kms_ns_parse(ns, f.name, err);
    if (rc == CCZ_OK)
        rc = m->target == CCZI_KMS_ON_REF ? cczi_kms_ref_parse(&ref, f.name, err)
                                          : cczi_kms_name(ref.name, f.name, err);
    if (rc == CCZ_OK)
        cczi_kms_ns_of(ns, ref.name);
    return rc;
}

/* ----------------------------------------------------------------------------- roles */

/* Approvals: the number of a namespace, and that of all. */
struct numbers {
    const char *ns;
    bool has_own;
    uint32_t own, all;
};

static ccz_rc add_number(void *arg, const char *ns, uint32_t needed, struct ccz_err *err)
{
    (void)err;
    struct numbers *n = arg;
    if (strcmp(ns, n->ns) == 0) {
        n->has_own = true;
        n->own = needed;
    }
    if (is_all(ns))
        n->all = needed;
    return CCZ_OK;
}

static uint32_t number_of(const struct numbers *n)
{
    return n->has_own ? n->own : n->all;
}

/* A namespace with a quorum of its own is ruled by its own people: who may change what holds everywhere else could make himself
 * as many approvers there as it takes, or a client of keys that ask for no evidence. */
static uint32_t reaching(const struct cczi_kms_admin *a, const struct numbers *n)
{
    const uint32_t ruling = CCZ_KMS_ROLE_AUTHOR | CCZ_KMS_ROLE_APPROVER | CCZ_KMS_ROLE_CLIENT;
    if (strcmp(a->ns, n->ns) == 0)
        return a->roles;
    return !is_all(a->ns) ? 0 : n->has_own && n->own ? a->roles & ~ruling : a->roles;
}

struct found {
    struct numbers numbers; /* ns NULL = any namespace */
    uint32_t roles;
    bool known;
};

static ccz_rc add_roles(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    (void)err;
    struct found *f = arg;
    f->known = true;
    f->roles |= f->numbers.ns ? reaching(a, &f->numbers) : a->roles;
    return CCZ_OK;
}

ccz_rc cczi_kms_roles_in(uint32_t *roles, bool *known, struct ccz_kms_store *s,
                         const uint8_t id[32], const char *ns, struct ccz_err *err)
{
    struct found f = {.numbers = {.ns = ns}};
    ccz_rc rc = ns ? cczi_kms_quorum_each(s, add_number, &f.numbers, err) : CCZ_OK;
    if (rc == CCZ_OK)
        rc = cczi_kms_admin_each(s, id, add_roles, &f, err);
    *roles = rc == CCZ_OK ? f.roles : 0;
    if (known)
        *known = rc == CCZ_OK && f.known;
    return rc;
}

static ccz_rc add_readable(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    struct cczi_kms_readable *r = arg;
    if (!(a->roles & CCZI_KMS_READERS))
        return CCZ_OK;
    void *p = realloc(r->ns, (r->len + 1) * sizeof(*r->ns));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:list", 0, "out of memory");
    r->ns = p;
    r->all = r->all || is_all(a->ns);
    memcpy(r->ns[r->len++], a->ns, sizeof(a->ns));
    return CCZ_OK;
}

ccz_rc cczi_kms_readable(struct cczi_kms_readable *out, const struct cczi_kms_call *call,
                         struct ccz_err *err)
{
    *out = (struct cczi_kms_readable){0};
    return cczi_kms_admin_each(call->store, call->req->peer->spki_sha256, add_readable, out, err);
}

bool cczi_kms_may_read(const struct cczi_kms_readable *r, const char *ns)
{
    for (size_t i = 0; i < r->len; i++)
        if (strcmp(r->ns[i], ns) == 0)
            return true;
    return r->all;
}

void cczi_kms_readable_deinit(struct cczi_kms_readable *r)
{
    free(r->ns);
    *r = (struct cczi_kms_readable){0};
}

ccz_rc cczi_kms_need(const struct cczi_kms_call *call, uint32_t roles, struct ccz_err *err)
{
    if (call->roles & roles)
        return CCZ_OK;
    char got[CCZ_KMS_ROLES_SIZE], expected[CCZ_KMS_ROLES_SIZE];
    ccz_kms_roles_print(got, call->roles);
    ccz_kms_roles_print(expected, roles);
    ccz_refuse(err, CCZ_E_DENIED, "kms:role", got, expected);
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

/* ----------------------------------------------------------------------------- guard */

ccz_rc cczi_kms_approvals_needed(uint32_t *needed, struct ccz_kms_store *s, const char *ns,
                                 struct ccz_err *err)
{
    struct numbers n = {.ns = ns};
    *needed = UINT32_MAX; /* should anybody use it in spite of an error */
    ccz_rc rc = cczi_kms_quorum_each(s, add_number, &n, err);
    if (rc == CCZ_OK)
        *needed = number_of(&n);
    return rc;
}

ccz_rc cczi_kms_guard(const struct cczi_kms_call *call, struct ccz_err *err)
{
    uint32_t needed;
    if (call->approved)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_approvals_needed(&needed, call->store, call->ns, err);
    if (rc != CCZ_OK || needed == 0)
        return rc;
    char expected[CCZ_ERR_VALUE_SIZE];
    (void)snprintf(expected, sizeof(expected), "a proposal with %u approvals", needed);
    const char *method = strrchr(call->req->path, '/') + 1; /* found: the path named a method */
    ccz_refuse(err, CCZ_E_DENIED, "kms:approval-needed",
               cczi_kms_is_proposable(method) ? "a direct call" : method, expected);
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

static ccz_rc other_namespace(struct ccz_err *err, const char *policy, const char *item)
{
    ccz_refuse(err, CCZ_E_DENIED, "kms:namespace", policy[0] ? policy : "(none)",
               item[0] ? item : "(none)");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

/* Whoever may change a policy decides about the items bound to it: so that is somebody of the item's own namespace. Policies
 * outside of all namespaces are open to those that ask for no approvals. */
ccz_rc cczi_kms_may_bind(const struct cczi_kms_call *call, const char *policy, struct ccz_err *err)
{
    char ns[CCZ_KMS_NAME_SIZE];
    uint32_t needed = 0;
    cczi_kms_ns_of(ns, policy);
    if (strcmp(ns, call->ns) == 0)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_approvals_needed(&needed, call->store, call->ns, err);
    if (rc == CCZ_OK && (ns[0] || needed))
        rc = other_namespace(err, ns, call->ns);
    return rc;
}

/* ----------------------------------------------------------- what must always hold */

struct access {
    const char *ns;   /* where somebody was given roles; or NULL */
    size_t ns_admins; /* there */
    struct cczi_kms_admin *admins;
    size_t admins_len;
    struct quorum_row {
        char ns[CCZ_KMS_NAME_SIZE];
        uint32_t needed;
    } * quorums;
    size_t quorums_len;
};

/* Room for one more element. */
static bool grow(void **p, size_t len, size_t size)
{
    if (len >= ROWS_MAX)
        return false;
    if (len & (len - 1)) /* full at powers of two only */
        return true;
    void *q = realloc(*p, (len ? 2 * len : 1) * size);
    if (q)
        *p = q;
    return q != NULL;
}

static ccz_rc too_many(struct ccz_err *err, int64_t max)
{
    return ccz_fail(err, CCZ_E_LIMIT, "kms:roles-many", max,
                    "too many roles and quorums, or no memory for them");
}

static ccz_rc keep_admin(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err)
{
    struct access *x = arg;
    void *p = x->admins;
    bool room = grow(&p, x->admins_len, sizeof(*a));
    x->admins = p;
    if (!room)
        return too_many(err, ROWS_MAX);
    if (x->ns && strcmp(a->ns, x->ns) == 0 && !is_all(a->ns) && ++x->ns_admins > NS_ROWS_MAX)
        return too_many(err, NS_ROWS_MAX);
    x->admins[x->admins_len++] = *a;
    return CCZ_OK;
}

static ccz_rc keep_quorum(void *arg, const char *ns, uint32_t needed, struct ccz_err *err)
{
    struct access *x = arg;
    void *p = x->quorums;
    bool room = grow(&p, x->quorums_len, sizeof(*x->quorums));
    x->quorums = p;
    if (!room)
        return too_many(err, ROWS_MAX);
    struct quorum_row *q = &x->quorums[x->quorums_len++];
    memcpy(q->ns, ns, strlen(ns) + 1);
    q->needed = needed;
    return CCZ_OK;
}

static struct numbers numbers_in(const struct access *x, const char *ns)
{
    struct numbers n = {.ns = ns};
    for (size_t i = 0; i < x->quorums_len; i++)
        (void)add_number(&n, x->quorums[i].ns, x->quorums[i].needed, NULL);
    return n;
}

/* Principals that can approve what the best placed author proposes: one who is no approver himself leaves all of them. */
static uint32_t approvers_for(const struct access *x, const struct numbers *n)
{
    uint32_t approvers = 0, authors = 0, both = 0;
    for (size_t i = 0, end; i < x->admins_len; i = end) { /* rows come by principal */
        uint32_t roles = 0;
        for (end = i; end < x->admins_len && memcmp(x->admins[end].id, x->admins[i].id, 32) == 0;
             end++)
            roles |= reaching(&x->admins[end], n);
        bool author = roles & CCZ_KMS_ROLE_AUTHOR, approver = roles & CCZ_KMS_ROLE_APPROVER;
        approvers += approver;
        authors += author;
        both += author && approver;
    }
    return authors == 0 ? 0 : authors > both ? approvers : approvers - 1;
}

static ccz_rc check_reachable(const struct access *x, const char *ns, struct ccz_err *err)
{
    struct numbers n = numbers_in(x, ns);
    uint32_t needed = number_of(&n), have = needed ? approvers_for(x, &n) : 0;
    if (have >= needed)
        return CCZ_OK;
    ccz_refuse_num(err, CCZ_E_DENIED, "kms:quorum-unreachable", have, needed);
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

/* An item is not left to others' policies where approvals are needed: see cczi_kms_may_bind(). */
static ccz_rc check_binding(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    const struct access *x = arg;
    char item[CCZ_KMS_NAME_SIZE], policy[CCZ_KMS_NAME_SIZE], ns[2][CCZ_KMS_NAME_SIZE];
    (void)snprintf(item, sizeof(item), "%.*s", (int)r->col[1].bytes.size,
                   (const char *)r->col[1].bytes.ptr);
    (void)snprintf(policy, sizeof(policy), "%.*s", (int)r->col[3].bytes.size,
                   (const char *)r->col[3].bytes.ptr);
    cczi_kms_ns_of(ns[0], item);
    cczi_kms_ns_of(ns[1], policy);
    struct numbers n = numbers_in(x, ns[0]);
    return strcmp(ns[0], ns[1]) == 0 || number_of(&n) == 0 ? CCZ_OK
                                                           : other_namespace(err, ns[1], ns[0]);
}

static ccz_rc check_all(const struct access *x, struct ccz_kms_store *s, struct ccz_err *err)
{
    bool admin = false;
    for (size_t i = 0; i < x->admins_len; i++)
        admin = admin || (is_all(x->admins[i].ns) &&
                          (x->admins[i].roles & CCZ_KMS_ROLE_ADMIN) == CCZ_KMS_ROLE_ADMIN);
    if (!admin)
        return ccz_refuse(err, CCZ_E_DENIED, "kms:last-admin", "no administrator left",
                          "at least one");
    ccz_rc rc = check_reachable(x, CCZI_KMS_NS_ALL, err);
    for (size_t i = 0; rc == CCZ_OK && i < x->quorums_len; i++)
        rc = check_reachable(x, x->quorums[i].ns, err);
    if (rc == CCZ_OK && x->quorums_len)
        rc = cczi_kms_row_each(s, CCZI_KMS_T_BINDING, CCZI_SQL_BIND_ALL, NULL, check_binding,
                               (void *)x, err);
    return rc;
}

ccz_rc cczi_kms_access_check(struct ccz_kms_store *s, const char *ns, struct ccz_err *err)
{
    struct access x = {.ns = ns};
    ccz_rc rc = cczi_kms_admin_each(s, NULL, keep_admin, &x, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_quorum_each(s, keep_quorum, &x, err);
    if (rc == CCZ_OK)
        rc = check_all(&x, s, err);
    free(x.admins);
    free(x.quorums);
    return rc;
}
