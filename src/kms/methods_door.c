/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Items for peers whose evidence is bound to their key and not to this session. Such evidence is as old as the key, and whoever gets hold
 * of that key once can show it for ever: so the owner of an item has to say that it is worth no more than that. The word is in
 * the metadata of each version, so that a version that was put without it is closed again.
 */
#include "kms_priv.h"
#include "msg_fields.h"

#include <cczoo/codec.h>

#include <stdio.h>
#include <string.h>

static const char doors_key[] = "doors", key_bound_door[] = "key-bound";

static bool names_door(struct ccz_span metadata, const char *door)
{
    CCZ_AUTO(ccz_json) j = NULL;
    if (metadata.size == 0 || ccz_json_parse(&j, metadata, NULL) != CCZ_OK)
        return false;
    const struct ccz_json *doors = ccz_json_get(j, doors_key);
    for (size_t i = 0; i < ccz_json_len(doors); i++) {
        const char *s = ccz_json_str(ccz_json_at(doors, i));
        if (s && strcmp(s, door) == 0)
            return true;
    }
    return false;
}

ccz_rc cczi_kms_may_open(const struct cczi_kms_call *call, struct ccz_span metadata,
                         struct ccz_err *err)
{
    if (!names_door(metadata, key_bound_door))
        return CCZ_OK;
    ccz_rc rc = cczi_kms_need(call, CCZ_KMS_ROLE_AUTHOR, err);
    return rc == CCZ_OK ? cczi_kms_guard(call, err) : rc;
}

/* ------------------------------------------------------------------------------ SetDoors */

const struct cczi_msg_field cczi_msg_set_doors_req[] = {
    SPAN(1, cczi_msg_set_doors_req, item, 256),
    UINT(2, cczi_msg_set_doors_req, version, CCZ_KMS_VERSIONS_MAX),
    UINT(3, cczi_msg_set_doors_req, key_bound, 1),
    END,
};

/* The other doors of the metadata, then ours if it is to be open. */
static void put_doors(struct ccz_buf *out, const struct ccz_jnode *doors, bool key_bound)
{
    const char *comma = "";
    bool list = ccz_jnode_type(doors) == CCZ_JSON_ARRAY; /* anything else names no door */
    for (const struct ccz_jnode *d = list ? ccz_jnode_first(doors) : NULL; d;
         d = ccz_jnode_next(d)) {
        if (ccz_span_eq(ccz_jnode_str(d), ccz_span_str(key_bound_door)))
            continue;
        ccz_buf_put_str(out, comma);
        ccz_buf_put_span(out, ccz_jnode_raw(d));
        comma = ",";
    }
    if (key_bound)
        ccz_buf_printf(out, "%s\"%s\"", comma, key_bound_door);
}

/* Metadata with the door open or closed, and everything else as it was. @p doc  NULL = there were none */
static void put_metadata(struct ccz_buf *out, const struct ccz_jdoc *doc, bool key_bound)
{
    const struct ccz_jnode *root = doc ? ccz_jdoc_root(doc) : NULL, *doors = NULL;
    CCZ_AUTO_BUF list;
    ccz_buf_init(&list, CCZI_KMS_METADATA_SIZE_MAX);
    ccz_buf_put_str(out, "{");
    for (const struct ccz_jnode *m = root ? ccz_jnode_first(root) : NULL; m;
         m = ccz_jnode_next(m)) {
        if (ccz_span_eq(ccz_jnode_key(m), ccz_span_str(doors_key))) {
            doors = m;
            continue;
        }
        ccz_buf_put_str(out, out->size > 1 ? "," : "");
        ccz_json_put_str(out, ccz_jnode_key(m));
        ccz_buf_put_str(out, ":");
        ccz_buf_put_span(out, ccz_jnode_raw(m));
    }
    if (doors)
        put_doors(&list, doors, key_bound);
    else if (key_bound)
        ccz_buf_printf(&list, "\"%s\"", key_bound_door);
    if (list.size)
        ccz_buf_printf(out, "%s\"%s\":[%s]", out->size > 1 ? "," : "", doors_key,
                       ccz_buf_str(&list));
    ccz_buf_put_str(out, "}");
    out->bad = out->bad || list.bad;
    if (out->size == 2) /* {} */
        ccz_buf_clear(out);
}

static ccz_rc rewrite(struct cczi_kms_call *call, struct cczi_kms_item *it, bool key_bound,
                      struct ccz_err *err)
{
    CCZ_AUTO(ccz_jdoc) doc = NULL;
    CCZ_AUTO_BUF metadata;
    ccz_buf_init(&metadata, CCZI_KMS_METADATA_SIZE_MAX);
    ccz_rc rc = it->metadata.size ? ccz_jdoc_parse(&doc, ccz_buf_span(&it->metadata), err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    put_metadata(&metadata, doc, key_bound);
    if (metadata.bad)
        return ccz_fail(err, CCZ_E_LIMIT, "kms:metadata", CCZI_KMS_METADATA_SIZE_MAX,
                        "metadata have at most %d bytes", CCZI_KMS_METADATA_SIZE_MAX);
    const bool no_heads = call->store->no_heads;
    call->store->no_heads = true; /* the same version again: the head of the item stays as it is */
    rc = cczi_kms_item_delete(call->store, it, err);
    ccz_buf_clear(&it->metadata);
    ccz_buf_put_span(&it->metadata, ccz_buf_span(&metadata));
    if (rc == CCZ_OK && it->metadata.bad)
        rc = ccz_fail(err, CCZ_E_NOMEM, "kms:metadata", 0, "out of memory");
    if (rc == CCZ_OK)
        rc = cczi_kms_item_insert(call->store, it, err);
    call->store->no_heads = no_heads;
    return rc;
}

/* Which version, and whether the caller may. */
static ccz_rc take(struct cczi_msg_set_doors_req *m, struct cczi_kms_call *call,
                   struct ccz_err *err)
{
    ccz_rc rc = cczi_msg_get(m, cczi_msg_set_doors_req, call->req->body, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_take_ref(call, m->item, false, err);
    if (rc == CCZ_OK && m->version == 0)
        rc = ccz_refuse(err, CCZ_E_FORMAT, "kms:version-required", "no version",
                        "the version of the value that is meant");
    if (rc == CCZ_OK && m->key_bound)
        rc = cczi_kms_need(call, CCZ_KMS_ROLE_AUTHOR, err);
    if (rc == CCZ_OK && m->key_bound)
        rc = cczi_kms_guard(call, err);
    return rc;
}

ccz_rc cczi_kms_run_set_doors(struct ccz_buf *response, struct cczi_kms_call *call,
                              struct ccz_err *err)
{
    (void)response; /* a receipt only */
    struct cczi_msg_set_doors_req m = {0};
    struct cczi_kms_item it;
    ccz_rc rc = take(&m, call, err);
    if (rc != CCZ_OK)
        return rc;
    call->version = (uint32_t)m.version;
    (void)snprintf(call->detail, sizeof(call->detail), "%s for evidence bound to a key",
                   m.key_bound ? "opened" : "closed");
    cczi_kms_item_init(&it);
    rc = cczi_kms_or_not_found(err,
                               cczi_kms_item_get(&it, call->store, &call->ref, call->version, err),
                               cczi_kms_kind_name(call->ref.kind), call->ref.name);
    bool is_open = rc == CCZ_OK && names_door(ccz_buf_span(&it.metadata), key_bound_door);
    if (rc == CCZ_OK && is_open == (m.key_bound != 0)) {
        ccz_refuse(err, CCZ_E_MISMATCH, "kms:no-change", is_open ? "it is open" : "it is closed",
                   is_open ? "a version that is closed" : "a version that is open");
        rc = cczi_kms_hint(err, CCZ_E_MISMATCH);
    }
    if (rc == CCZ_OK)
        rc = rewrite(call, &it, m.key_bound != 0, err);
    cczi_kms_item_deinit(&it);
    return rc;
}

ccz_rc cczi_kms_item_open(const struct cczi_kms_item *it, const struct ccz_ratls_peer *peer,
                          struct ccz_err *err)
{
    if (peer->fresh || names_door(ccz_buf_span(&it->metadata), key_bound_door))
        return CCZ_OK;
    (void)ccz_refuse(err, CCZ_E_DENIED, "kms:evidence-stale", "evidence bound to a key alone",
                     "fresh evidence, or an item open for that");
    return ccz_hint(err, CCZ_E_DENIED,
                    "its owner can open it: cczoo kms door open ITEM --version N");
}
