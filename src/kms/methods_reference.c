/* SPDX-License-Identifier: Apache-2.0 */
/* PutReference, GetReference, ListReferences, DeleteReference: what policies accept without saying it themselves. So whatever changes
 * a set takes what changing a policy takes. */
#include "kms_priv.h"
#include "looks.h"
#include "quota.h"

#include <cczoo/codec.h>

#include <cczoo/kms_reference.h>
#include <stdlib.h>
#include <string.h>

enum { LIST_PAGE = 32 }; /* each is parsed, to say how many values it has */

/* The name of a set; from here on the audit line names it. */
static ccz_rc take_name(struct cczi_kms_call *call, struct ccz_span name, struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_name(call->ref.name, name, err);
    call->ref.kind = CCZI_KMS_REFERENCE;
    call->has_ref = rc == CCZ_OK;
    return rc;
}

/* Version and size of values of what is there; version 0 = nothing. */
static ccz_rc look_up(uint32_t *version, size_t *size, const struct cczi_kms_call *call,
                      struct ccz_err *err)
{
    struct cczi_kms_reference r;
    struct cczi_kms_row keep;
    CCZ_AUTO(ccz_reference) set = NULL;
    cczi_kms_row_init(&keep);
    ccz_rc rc = cczi_kms_reference_get(&r, &keep, call->store, call->ref.name, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_reference_parse(&set, r.json, err);
    cczi_kms_row_deinit(&keep);
    *version = rc == CCZ_OK ? r.version : 0;
    *size = rc == CCZ_OK ? ccz_reference_size(set) : 0;
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

/* The version that a put makes, or why not. Policies took values of one size from it, and go on to. */
static ccz_rc next_version(uint32_t *out, const struct cczi_kms_call *call,
                           const struct ccz_reference *set, bool replace, struct ccz_err *err)
{
    uint32_t last;
    size_t size;
    ccz_rc rc = look_up(&last, &size, call, err);
    if (rc != CCZ_OK)
        return rc;
    if (last && !replace) {
        ccz_fail(err, CCZ_E_EXISTS, "kms:reference-exists", last,
                 "reference values \"%s\" exist already, in version %u", call->ref.name, last);
        return cczi_kms_hint(err, CCZ_E_EXISTS);
    }
    if (!last && replace)
        return cczi_kms_or_not_found(err, CCZ_E_NOT_FOUND, "set of reference values",
                                     call->ref.name);
    if (last && size != ccz_reference_size(set)) {
        ccz_refuse_num(err, CCZ_E_MISMATCH, "kms:reference-size", (int64_t)ccz_reference_size(set),
                       (int64_t)size);
        return cczi_kms_hint(err, CCZ_E_MISMATCH);
    }
    if (last == UINT32_MAX)
        return ccz_refuse_num(err, CCZ_E_LIMIT, "kms:versions", (int64_t)last, UINT32_MAX - 1);
    *out = last + 1;
    return CCZ_OK;
}

/* The oldest version goes when there are too many. */
static ccz_rc prune(const struct cczi_kms_call *call, uint32_t version, struct ccz_err *err)
{
    if (version <= CCZ_KMS_REFERENCE_VERSIONS)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_reference_delete(call->store, call->ref.name,
                                          version - CCZ_KMS_REFERENCE_VERSIONS, err);
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

ccz_rc cczi_kms_run_put_reference(struct ccz_buf *response, struct cczi_kms_call *call,
                                  struct ccz_err *err)
{
    struct cczi_msg_put_reference_req m = {0};
    struct cczi_kms_reference r = {.created_s = call->req->now_s};
    CCZ_AUTO(ccz_reference) set = NULL;
    int64_t from_ms = 0;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_put_reference_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_name(call, m.name, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_guard(call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_looks_begin(&from_ms, call, err);
    if (rc == CCZ_OK)
        rc = ccz_reference_parse(&set, m.json, err);
    if (rc == CCZ_OK)
        rc = next_version(&r.version, call, set, m.replace != 0, err);
    if (rc == CCZ_OK)
        rc = ccz_sha256(r.sha256, m.json);
    if (from_ms)
        cczi_kms_looks_end(call, from_ms);
    if (rc != CCZ_OK)
        return rc;
    r.json = m.json;
    memcpy(r.name, call->ref.name, sizeof(r.name));
    memcpy(call->policy_sha256, r.sha256, sizeof(call->policy_sha256));
    call->has_policy_sha256 = true;
    call->version = r.version;
    rc = prune(call, r.version, err); /* first: what it leaves is room */
    if (rc == CCZ_OK)
        rc = cczi_kms_quota_policy(call->store, r.name, 1, r.json.size, 0, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_reference_put(call->store, &r, err);
    if (rc == CCZ_OK) {
        const struct cczi_msg_put_resp out = {.version = r.version};
        cczi_msg_put(response, cczi_msg_put_resp, &out);
    }
    return rc;
}

ccz_rc cczi_kms_run_get_reference(struct ccz_buf *response, struct cczi_kms_call *call,
                                  struct ccz_err *err)
{
    struct cczi_msg_get_reference_req m = {0};
    struct cczi_kms_reference r;
    struct cczi_kms_row keep;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_get_reference_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_name(call, m.name, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_row_init(&keep);
    rc = cczi_kms_reference_get(&r, &keep, call->store, call->ref.name, (uint32_t)m.version, err);
    rc = cczi_kms_or_not_found(err, rc, "set of reference values, or version of it,",
                               call->ref.name);
    if (rc == CCZ_OK) {
        const struct cczi_msg_get_reference_resp out = {.json = r.json,
                                                        .sha256 = CCZ_SPAN(r.sha256, 32),
                                                        .version = r.version,
                                                        .created_s = (uint64_t)r.created_s};
        cczi_msg_put(response, cczi_msg_get_reference_resp, &out);
    }
    cczi_kms_row_deinit(&keep);
    return rc;
}

/* ------------------------------------------------------------------------------- list */

static bool may_see(const void *readable, const char *name)
{
    char ns[CCZ_KMS_NAME_SIZE];
    cczi_kms_ns_of(ns, name);
    return cczi_kms_may_read(readable, ns);
}

static ccz_rc put_set(struct ccz_buf *response, struct ccz_kms_store *s, const char *name,
                      struct cczi_kms_row *keep, struct ccz_err *err)
{
    struct cczi_kms_reference r;
    CCZ_AUTO(ccz_reference) set = NULL;
    ccz_rc rc = cczi_kms_reference_get(&r, keep, s, name, 0, err);
    if (rc == CCZ_OK)
        rc = ccz_reference_parse(&set, r.json, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_msg_reference_set m = {.name = ccz_span_str(r.name),
                                             .version = r.version,
                                             .sha256 = CCZ_SPAN(r.sha256, 32),
                                             .created_s = (uint64_t)r.created_s,
                                             .values = ccz_reference_len(set),
                                             .value_size = ccz_reference_size(set)};
    size_t mark = ccz_pb_open(response, CCZI_MSG_REPEATED);
    cczi_msg_put(response, cczi_msg_reference_set, &m);
    ccz_pb_close(response, mark);
    return CCZ_OK;
}

/* In the time of those who read the namespace of the first of them. */
static ccz_rc put_sets(struct ccz_buf *response, struct cczi_kms_call *call,
                       const struct cczi_kms_names *names, struct ccz_err *err)
{
    struct ccz_kms_store *s = call->store;
    struct cczi_kms_row keep;
    int64_t from_ms;
    if (names->len == 0)
        return CCZ_OK;
    cczi_kms_ns_of(call->ns, names->name[0]);
    ccz_rc rc = cczi_kms_looks_begin(&from_ms, call, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_kms_row_init(&keep);
    for (size_t i = 0; rc == CCZ_OK && i < names->len; i++)
        rc = cczi_kms_or_not_found(err, put_set(response, s, names->name[i], &keep, err),
                                   "set of reference values", names->name[i]);
    cczi_kms_row_deinit(&keep);
    cczi_kms_looks_end(call, from_ms);
    return rc;
}

ccz_rc cczi_kms_run_list_references(struct ccz_buf *response, struct cczi_kms_call *call,
                                    struct ccz_err *err)
{
    struct cczi_msg_name m = {0};
    char after[CCZ_KMS_NAME_SIZE] = "";
    struct cczi_kms_readable readable = {0};
    struct cczi_kms_names *names = calloc(1, sizeof(*names));
    if (!names)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:list", 0, "out of memory");
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_name, call->req->body, err);
    if (rc == CCZ_OK && m.name.size)
        rc = cczi_kms_name(after, m.name, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_readable(&readable, call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_names_after(names, call->store, CCZI_SQL_REFERENCE_NAMES, after, LIST_PAGE,
                                  may_see, &readable, err);
    if (rc == CCZ_OK)
        rc = put_sets(response, call, names, err);
    if (rc == CCZ_OK && names->more)
        ccz_pb_put_uint(response, CCZI_MSG_MORE, 1);
    cczi_kms_readable_deinit(&readable);
    free(names);
    return rc;
}

/* ----------------------------------------------------------------------------- delete */

/* Who names a set, if anybody does. */
struct user {
    const char *set;
    char policy[CCZ_KMS_NAME_SIZE];
    bool staged;
};

static ccz_rc look(struct user *u, const char *policy, struct ccz_span json, bool staged,
                   struct ccz_err *err)
{
    const char *name;
    CCZ_AUTO(ccz_policy) p = NULL;
    if (u->policy[0])
        return CCZ_OK;
    ccz_rc rc = ccz_policy_parse(&p, json, err);
    for (size_t i = 0; rc == CCZ_OK && (name = ccz_policy_reference(p, i)) != NULL; i++) {
        if (strcmp(name, u->set) != 0)
            continue;
        memcpy(u->policy, policy, strlen(policy) + 1);
        u->staged = staged;
    }
    return rc;
}

static ccz_rc on_policy(void *arg, const char *name, const struct cczi_kms_policy *p,
                        struct ccz_err *err)
{
    return look(arg, name, ccz_buf_span(&p->json), false, err);
}

static ccz_rc on_staged(void *arg, const struct cczi_kms_staged *st, struct ccz_err *err)
{
    return look(arg, st->policy, st->json, true, err);
}

static ccz_rc check_unused(const struct cczi_kms_call *call, struct ccz_err *err)
{
    struct user u = {.set = call->ref.name};
    int64_t from_ms;
    ccz_rc rc = cczi_kms_looks_begin(&from_ms, call, err);
    if (rc != CCZ_OK)
        return rc;
    /* policies name sets of their own namespace alone */
    rc = cczi_kms_policies_of(call->store, call->ref.name, on_policy, &u, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_staged_of(call->store, call->ref.name, on_staged, &u, err);
    cczi_kms_looks_end(call, from_ms); /* all of them were parsed */
    if (rc != CCZ_OK || !u.policy[0])
        return rc;
    ccz_refuse(err, CCZ_E_DENIED, "kms:reference-in-use", u.policy,
               u.staged ? "no staged policy that names it" : "no policy that names it");
    return cczi_kms_hint(err, CCZ_E_DENIED);
}

ccz_rc cczi_kms_run_delete_reference(struct ccz_buf *response, struct cczi_kms_call *call,
                                     struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_msg_name m = {0};
    uint32_t last;
    size_t size;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_name, call->req->body, err);
    if (rc == CCZ_OK)
        rc = take_name(call, m.name, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_guard(call, err);
    if (rc == CCZ_OK)
        rc = look_up(&last, &size, call, err);
    if (rc == CCZ_OK && last == 0)
        rc = cczi_kms_or_not_found(err, CCZ_E_NOT_FOUND, "set of reference values", call->ref.name);
    if (rc == CCZ_OK)
        rc = check_unused(call, err);
    for (uint32_t v = last; rc == CCZ_OK && v > 0 && last - v < CCZ_KMS_REFERENCE_VERSIONS; v--) {
        rc = cczi_kms_reference_delete(call->store, call->ref.name, v, err);
        rc = rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
    }
    return rc;
}
