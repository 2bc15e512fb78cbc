/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What there is: List and Describe. The statements of the database name rows; what is told of a row is read and checked against its
 * MAC as it is for a release, so that an administrator and a workload are shown the same.
 */
#include "kms_priv.h"
#include "use_priv.h"

#include <cczoo/codec.h>

#include <string.h>

enum {
    LIST_PAGE = 100,  /* a few statements for each, while the other calls wait */
    LIST_LOOKS = 16,  /* as many names, so often, for a caller who may read few of them */
    PAGE_ROOM = 32768 /* left in a response behind a page: one more row, receipts */
};

/* Between two statements of one transaction. */
static ccz_rc gone(struct ccz_err *err)
{
    (void)ccz_fail(err, CCZ_E_SIG, "kms:row-set", 0, "the database lists a row that is not there");
    return cczi_kms_hint(err, CCZ_E_SIG);
}

static void put_row(struct ccz_buf *response, const struct cczi_kms_ref *ref,
                    const struct cczi_kms_item *it, const char *policy)
{
    char item[CCZ_KMS_ITEM_SIZE];
    cczi_kms_ref_print(item, ref);
    struct cczi_msg_item m = {
        .item = ccz_span_str(item),
        .version = it->slot.version,
        .alg = ccz_span_str(it->slot.alg),
        .created_s = (uint64_t)it->created_s,
        .policy = ccz_span_str(policy),
        .disabled = it->state.disabled,
        .expires_s = (uint64_t)it->state.expires_s,
        .delete_after_s = (uint64_t)it->state.delete_after_s,
        .metadata = ccz_buf_span(&it->metadata),
    };
    size_t mark = ccz_pb_open(response, CCZI_MSG_REPEATED);
    cczi_msg_put(response, cczi_msg_item, &m);
    ccz_pb_close(response, mark);
}

static ccz_rc put_policy(struct ccz_buf *response, struct ccz_kms_store *s,
                         const struct cczi_kms_ref *ref, struct ccz_err *err)
{
    struct cczi_kms_item it = {0};
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = cczi_kms_policy_get(&p, s, ref->name, err);
    ccz_buf_free(&p.json);
    it.created_s = p.created_s;
    if (rc == CCZ_OK)
        put_row(response, ref, &it, "");
    return rc == CCZ_E_NOT_FOUND ? gone(err) : rc;
}

/* What is true of a whole key is true of its versions. */
static ccz_rc add_key_state(struct cczi_kms_item *it, struct ccz_kms_store *s,
                            const struct cczi_kms_ref *ref, struct ccz_err *err)
{
    struct cczi_kms_key_meta m;
    if (ref->kind != CCZI_KMS_KEY)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_meta_read(&m, s, ref->name, err);
    if (rc != CCZ_OK) /* a key that is only released has none */
        return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
    it->state.disabled = it->state.disabled || m.disabled;
    it->state.expires_s = m.expires_s;
    if (it->state.delete_after_s == 0)
        it->state.delete_after_s = m.deletion_s;
    return CCZ_OK;
}

/* @param version  0 = the latest */
static ccz_rc put_item(struct ccz_buf *response, struct ccz_kms_store *s,
                       const struct cczi_kms_ref *ref, uint32_t version, struct ccz_err *err)
{
    struct cczi_kms_item it;
    struct cczi_kms_binding b = {0};
    cczi_kms_item_init(&it);
    ccz_rc rc = cczi_kms_item_get(&it, s, ref, version, err);
    if (rc == CCZ_OK)
        rc = add_key_state(&it, s, ref, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_binding_get(&b, s, ref, 0, err);
    else if (rc == CCZ_E_NOT_FOUND)
        rc = gone(err);
    if (rc == CCZ_OK || rc == CCZ_E_NOT_FOUND) { /* without a binding: bound to nothing */
        put_row(response, ref, &it, b.policy);
        rc = CCZ_OK;
    }
    cczi_kms_item_deinit(&it);
    return rc;
}

/* Names behind @p from, which moves along, that may be read. */
struct page {
    struct cczi_kms_ref ref[LIST_PAGE + 1];
    size_t len;
    bool end; /* there are no more */
};

/* Past all names of a namespace that the caller may not read: they have none from 0x7f on. */
static void skip_namespace(struct cczi_kms_ref *from, const struct cczi_kms_readable *r)
{
    char ns[CCZ_KMS_NAME_SIZE];
    cczi_kms_ns_of(ns, from->name);
    size_t n = strlen(ns);
    /* there is a character behind its '/', unless the database says otherwise: nothing was verified yet */
    if (n && n + sizeof("/\x7f") <= sizeof(from->name) && !cczi_kms_may_read(r, ns))
        memcpy(from->name + n, "/\x7f", sizeof("/\x7f"));
}

static ccz_rc more_names(struct page *p, struct cczi_kms_ref *from, struct ccz_kms_store *s,
                         const struct cczi_kms_readable *r, struct ccz_err *err)
{
    size_t rows = 0;
    struct cczi_kms_ref after = *from;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_LIST);
    cczi_q_int(&q, after.kind);
    cczi_q_text(&q, after.name);
    cczi_q_int(&q, LIST_PAGE + 1);
    while (p->len <= LIST_PAGE && cczi_q_row(&q)) {
        rows++;
        int64_t kind = cczi_q_col_int(&q, 0);
        from->kind = kind == CCZI_KMS_SECRET || kind == CCZI_KMS_POLICY ? (enum cczi_kms_kind)kind
                                                                        : CCZI_KMS_KEY;
        cczi_q_col_text(from->name, sizeof(from->name), &q, 1);
        char ns[CCZ_KMS_NAME_SIZE];
        cczi_kms_ns_of(ns, from->name);
        if (cczi_kms_may_read(r, ns))
            p->ref[p->len++] = *from;
    }
    p->end = rows <= LIST_PAGE;
    skip_namespace(from, r);
    return cczi_q_end(&q, err);
}

/* Where to begin: behind an item, or where the answer before stopped. */
static ccz_rc take_start(struct cczi_kms_ref *from, const struct cczi_kms_call *call,
                         struct ccz_err *err)
{
    struct cczi_msg_list_req m = {0};
    *from = (struct cczi_kms_ref){0}; /* kind 0 sorts before every item */
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_list_req, call->req->body, err);
    if (rc == CCZ_OK && m.next.size)
        return cczi_kms_cursor_open(from, &call->store->sealer, m.next,
                                    call->req->peer->spki_sha256, err);
    return rc == CCZ_OK && m.after.size ? cczi_kms_ref_parse(from, m.after, err) : rc;
}

static ccz_rc put_end(struct ccz_buf *response, struct cczi_kms_call *call, const struct page *p,
                      const struct cczi_kms_ref *from, struct ccz_err *err)
{
    uint8_t next[CCZI_KMS_CURSOR_SIZE];
    if (p->len <= LIST_PAGE && p->end)
        return CCZ_OK;
    ccz_pb_put_uint(response, CCZI_MSG_MORE, 1);
    if (p->len > LIST_PAGE) /* behind the last item that is told */
        return CCZ_OK;
    ccz_rc rc =
        cczi_kms_cursor_seal(next, &call->store->sealer, from, call->req->peer->spki_sha256, err);
    if (rc == CCZ_OK)
        ccz_pb_put_bytes(response, CCZI_MSG_NEXT, CCZ_SPAN(next, sizeof(next)));
    return rc;
}

ccz_rc cczi_kms_run_list(struct ccz_buf *response, struct cczi_kms_call *call, struct ccz_err *err)
{
    struct cczi_kms_ref from;
    struct cczi_kms_readable r = {0};
    ccz_rc rc = take_start(&from, call, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_readable(&r, call, err);
    struct page p;
    p.len = 0;
    p.end = false;
    for (int i = 0; rc == CCZ_OK && i < LIST_LOOKS && !p.end && p.len <= LIST_PAGE; i++)
        rc = more_names(&p, &from, call->store, &r, err);
    for (size_t i = 0; rc == CCZ_OK && i < p.len && i < LIST_PAGE; i++)
        rc = p.ref[i].kind == CCZI_KMS_POLICY ? put_policy(response, call->store, &p.ref[i], err)
                                              : put_item(response, call->store, &p.ref[i], 0, err);
    if (rc == CCZ_OK)
        rc = put_end(response, call, &p, &from, err);
    cczi_kms_readable_deinit(&r);
    return rc;
}

/* Versions behind @p after; at most as many as an item can have. */
static ccz_rc versions(uint32_t out[CCZ_KMS_VERSIONS_MAX], size_t *len, struct cczi_kms_call *call,
                       uint64_t after, struct ccz_err *err)
{
    struct cczi_q q = cczi_q_start(&call->store->db, CCZI_SQL_VERSIONS);
    cczi_q_int(&q, call->ref.kind);
    cczi_q_text(&q, call->ref.name);
    cczi_q_int(&q, (int64_t)after);
    while (*len < CCZ_KMS_VERSIONS_MAX && cczi_q_row(&q))
        out[(*len)++] = (uint32_t)cczi_q_col_int(&q, 0);
    return cczi_q_end_after(&q, *len || after ? CCZ_OK : CCZ_E_NOT_FOUND, err);
}

/* As many versions as fit: clients that do not know of pages are told of as many as ever. */
ccz_rc cczi_kms_run_describe(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err)
{
    struct cczi_msg_describe_req m = {0};
    uint32_t version[CCZ_KMS_VERSIONS_MAX];
    size_t len = 0, i = 0;
    ccz_rc rc = cczi_msg_get(&m, cczi_msg_describe_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_ref(call, m.item, false, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_or_not_found(err, versions(version, &len, call, m.after_version, err),
                               cczi_kms_kind_name(call->ref.kind), call->ref.name);
    for (; rc == CCZ_OK && i < len && response->size < response->max_size - PAGE_ROOM; i++)
        rc = put_item(response, call->store, &call->ref, version[i], err);
    if (rc == CCZ_OK && i < len)
        ccz_pb_put_uint(response, CCZI_MSG_MORE, 1);
    return rc;
}
