/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the tables item and policy. Every row read is checked against its MAC before it
 * is used. */
#include "kms_priv.h"
#include "memo.h"
#include "past.h"
#include "quota.h"

#include <stdlib.h>
#include <string.h>

static ccz_rc mac_fail(struct ccz_err *err, ccz_rc rc)
{
    return ccz_fail(err, rc, "kms:row-mac", 0, "cannot compute the MAC of a row");
}

static void put_le64(uint8_t out[8], uint64_t v)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (8 * i));
}

static struct ccz_span bytes32(const uint8_t b[32])
{
    return CCZ_SPAN(b, 32);
}

/* ----------------------------------------------------------------------------- item */

static const char item_table[] = "item2"; /* of schema 2: a row of schema 1 has another MAC */
enum { ITEM_FIELDS = 10, ITEM_NUMBERS = 6 };

void cczi_kms_item_init(struct cczi_kms_item *it)
{
    *it = (struct cczi_kms_item){0};
    ccz_buf_init(&it->metadata, CCZI_KMS_METADATA_SIZE_MAX);
    ccz_buf_init(&it->sealed, CCZ_KMS_VALUE_SIZE_MAX + 128);
}

void cczi_kms_item_deinit(struct cczi_kms_item *it)
{
    ccz_buf_free(&it->metadata);
    ccz_buf_free(&it->sealed);
}

/* Fields in the order of the MAC; `num` holds the numbers. */
static void item_fields(struct ccz_span f[ITEM_FIELDS], uint8_t num[ITEM_NUMBERS][8],
                        const struct cczi_kms_item *it)
{
    const uint64_t numbers[ITEM_NUMBERS] = {it->slot.ref.kind,
                                            it->slot.version,
                                            (uint64_t)it->created_s,
                                            it->state.disabled,
                                            (uint64_t)it->state.expires_s,
                                            (uint64_t)it->state.delete_after_s};
    for (size_t i = 0; i < ITEM_NUMBERS; i++)
        put_le64(num[i], numbers[i]);
    f[0] = CCZ_SPAN(num[0], 8);
    f[1] = ccz_span_str(it->slot.ref.name);
    f[2] = CCZ_SPAN(num[1], 8);
    f[3] = ccz_span_str(it->slot.alg);
    for (size_t i = 2; i < ITEM_NUMBERS; i++)
        f[2 + i] = CCZ_SPAN(num[i], 8);
    f[8] = ccz_buf_span(&it->metadata);
    f[9] = ccz_buf_span(&it->sealed);
}

struct item_key {
    struct cczi_kms_param col[3];
};

static struct item_key item_key(const struct cczi_kms_slot *slot)
{
    return (struct item_key){{{.type = CCZI_KMS_INT, .num = slot->ref.kind},
                              {.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(slot->ref.name)},
                              {.type = CCZI_KMS_INT, .num = slot->version}}};
}

/* Columns alg, created_s, enabled, expires_s, delete_after_s, metadata, sealed, mac of the current row; the place is set
 * already. */
static ccz_rc item_read(struct cczi_kms_item *it, struct ccz_kms_store *s, struct cczi_q *q,
                        struct ccz_err *err)
{
    cczi_q_col_text(it->slot.alg, sizeof(it->slot.alg), q, 0);
    it->created_s = cczi_q_col_int(q, 1);
    int64_t enabled = cczi_q_col_int(q, 2);
    it->state = (struct cczi_kms_item_state){.disabled = enabled == 0,
                                             .expires_s = cczi_q_col_int(q, 3),
                                             .delete_after_s = cczi_q_col_int(q, 4)};
    ccz_buf_clear(&it->metadata);
    ccz_buf_put_span(&it->metadata, cczi_q_col(q, 5));
    ccz_buf_clear(&it->sealed);
    ccz_buf_put_span(&it->sealed, cczi_q_col(q, 6));
    cczi_q_col_bytes(it->mac, sizeof(it->mac), q, 7);
    if (it->sealed.bad || it->metadata.bad || (enabled != 0 && enabled != 1))
        return ccz_fail(err, CCZ_E_SIG, "kms:row-mac", enabled,
                        "a row of table \"item\" is not one that we write");
    struct ccz_span f[ITEM_FIELDS];
    uint8_t num[ITEM_NUMBERS][8];
    item_fields(f, num, it);
    ccz_rc rc = cczi_kms_row_check(s, item_table, f, ITEM_FIELDS, it->mac, err);
    const struct item_key k = item_key(&it->slot);
    return rc == CCZ_OK ? cczi_kms_past_check(s, CCZI_KMS_PAST_ITEM, k.col, 3, it->mac, err) : rc;
}

/* @param mac  NULL: it was taken away */
static void note_item(struct ccz_kms_store *s, const struct cczi_kms_slot *slot, const uint8_t *mac)
{
    const struct item_key k = item_key(slot);
    cczi_kms_past_note(s, CCZI_KMS_PAST_ITEM, k.col, 3, mac);
}

ccz_rc cczi_kms_item_last(uint32_t *version, struct ccz_kms_store *s,
                          const struct cczi_kms_ref *ref, struct ccz_err *err)
{
    struct cczi_kms_item_head h;
    ccz_rc rc = cczi_kms_item_head_get(&h, s, ref, err);
    *version = rc == CCZ_OK ? h.last : 0;
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

/* A row of one version, whatever the head says. */
static ccz_rc row_get(struct cczi_kms_item *out, struct ccz_kms_store *s,
                      const struct cczi_kms_ref *ref, uint32_t version, struct ccz_err *err)
{
    out->slot = (struct cczi_kms_slot){.ref = *ref, .version = version};
    if (cczi_kms_memo_item(out, s))
        return CCZ_OK;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_GET);
    cczi_q_int(&q, ref->kind);
    cczi_q_text(&q, ref->name);
    cczi_q_int(&q, version);
    ccz_rc rc = cczi_q_row(&q) ? item_read(out, s, &q, err) : CCZ_E_NOT_FOUND;
    rc = cczi_q_end_after(&q, rc, err);
    if (rc == CCZ_OK)
        cczi_kms_memo_keep_item(s, out);
    return rc;
}

ccz_rc cczi_kms_item_get(struct cczi_kms_item *out, struct ccz_kms_store *s,
                         const struct cczi_kms_ref *ref, uint32_t version, struct ccz_err *err)
{
    struct cczi_kms_item_head h;
    out->slot = (struct cczi_kms_slot){.ref = *ref, .version = version};
    ccz_rc rc = cczi_kms_item_head_get(&h, s, ref, err);
    if (rc != CCZ_OK || version > h.last)
        return rc == CCZ_OK ? CCZ_E_NOT_FOUND : rc;
    if (version == 0)
        version = h.last;
    rc = row_get(out, s, ref, version, err);
    return version == h.last ? cczi_kms_item_latest_is_there(rc, err) : rc;
}

ccz_rc cczi_kms_item_insert(struct ccz_kms_store *s, struct cczi_kms_item *it, struct ccz_err *err)
{
    struct ccz_span f[ITEM_FIELDS];
    uint8_t num[ITEM_NUMBERS][8];
    item_fields(f, num, it);
    ccz_rc rc = cczi_kms_row_add(it->mac, s, item_table, f, ITEM_FIELDS);
    if (rc != CCZ_OK)
        return mac_fail(err, rc);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_PUT);
    cczi_q_int(&q, it->slot.ref.kind);
    cczi_q_text(&q, it->slot.ref.name);
    cczi_q_int(&q, it->slot.version);
    cczi_q_text(&q, it->slot.alg);
    cczi_q_int(&q, it->created_s);
    cczi_q_int(&q, !it->state.disabled);
    cczi_q_int(&q, it->state.expires_s);
    cczi_q_int(&q, it->state.delete_after_s);
    cczi_q_blob(&q, ccz_buf_span(&it->metadata));
    cczi_q_blob(&q, ccz_buf_span(&it->sealed));
    cczi_q_blob(&q, bytes32(it->mac));
    rc = cczi_q_end(&q, err);
    note_item(s, &it->slot, it->mac);
    return rc == CCZ_OK ? cczi_kms_item_head_added(s, &it->slot, err) : rc;
}

ccz_rc cczi_kms_item_put(struct ccz_kms_store *s, const struct cczi_kms_slot *slot,
                         int64_t created_s, int64_t expires_s, struct ccz_span metadata,
                         struct ccz_span value, struct ccz_err *err)
{
    struct cczi_kms_item it;
    ccz_rc room = cczi_kms_quota_item(s, slot, value.size + metadata.size, err);
    if (room != CCZ_OK)
        return room;
    cczi_kms_item_init(&it);
    it.slot = *slot;
    it.created_s = created_s;
    it.state.expires_s = expires_s;
    ccz_buf_put_span(&it.metadata, metadata);
    ccz_rc rc = it.metadata.bad ? ccz_refuse_num(err, CCZ_E_LIMIT, "kms:metadata",
                                                 (int64_t)metadata.size, CCZI_KMS_METADATA_SIZE_MAX)
                                : cczi_kms_seal(&it.sealed, &s->sealer, slot, value, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_item_insert(s, &it, err);
    cczi_kms_item_deinit(&it);
    return rc;
}

ccz_rc cczi_kms_item_set_state(struct ccz_kms_store *s, struct cczi_kms_item *it,
                               const struct cczi_kms_item_state *state, struct ccz_err *err)
{
    struct ccz_span f[ITEM_FIELDS];
    uint8_t num[ITEM_NUMBERS][8];
    ccz_rc rc = cczi_kms_row_remove(s, it->mac);
    it->state = *state;
    item_fields(f, num, it);
    if (rc == CCZ_OK)
        rc = cczi_kms_row_add(it->mac, s, item_table, f, ITEM_FIELDS);
    if (rc != CCZ_OK)
        return mac_fail(err, rc);
    note_item(s, &it->slot, it->mac);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_STATE);
    cczi_q_int(&q, !state->disabled);
    cczi_q_int(&q, state->delete_after_s);
    cczi_q_blob(&q, bytes32(it->mac));
    cczi_q_int(&q, it->slot.ref.kind);
    cczi_q_text(&q, it->slot.ref.name);
    cczi_q_int(&q, it->slot.version);
    return cczi_q_end(&q, err);
}

ccz_rc cczi_kms_item_delete(struct ccz_kms_store *s, const struct cczi_kms_item *it,
                            struct ccz_err *err)
{
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_DEL);
    cczi_q_int(&q, it->slot.ref.kind);
    cczi_q_text(&q, it->slot.ref.name);
    cczi_q_int(&q, it->slot.version);
    ccz_rc rc = cczi_q_end(&q, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_row_remove(s, it->mac);
    note_item(s, &it->slot, NULL);
    cczi_kms_quota_gone(s, it->slot.ref.name);
    return rc == CCZ_OK ? cczi_kms_item_head_removed(s, &it->slot, err) : mac_fail(err, rc);
}

/* --------------------------------------------------------------------------- policy */

static const char policy_table[] = "policy";
enum { POLICY_FIELDS = 4 };

static void policy_fields(struct ccz_span f[POLICY_FIELDS], uint8_t num[8], const char *name,
                          const struct cczi_kms_policy *p)
{
    put_le64(num, (uint64_t)p->created_s);
    f[0] = ccz_span_str(name);
    f[1] = ccz_buf_span(&p->json);
    f[2] = bytes32(p->sha256);
    f[3] = CCZ_SPAN(num, 8);
}

/* Columns json, sha256, created_s, mac of the current row. */
static ccz_rc policy_read(struct cczi_kms_policy *p, const char *name, struct ccz_kms_store *s,
                          struct cczi_q *q, struct ccz_err *err)
{
    ccz_buf_clear(&p->json);
    ccz_buf_put_span(&p->json, cczi_q_col(q, 0));
    cczi_q_col_bytes(p->sha256, sizeof(p->sha256), q, 1);
    p->created_s = cczi_q_col_int(q, 2);
    cczi_q_col_bytes(p->mac, sizeof(p->mac), q, 3);
    if (p->json.bad)
        return ccz_fail(err, CCZ_E_SIG, "kms:row-mac", 0, "a policy is larger than any we write");
    struct ccz_span f[POLICY_FIELDS];
    uint8_t num[8];
    policy_fields(f, num, name, p);
    ccz_rc rc = cczi_kms_row_check(s, policy_table, f, POLICY_FIELDS, p->mac, err);
    const struct cczi_kms_param key = {.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(name)};
    return rc == CCZ_OK ? cczi_kms_past_check(s, CCZI_KMS_PAST_POLICY, &key, 1, p->mac, err) : rc;
}

/* @param mac  NULL: it was taken away */
static void note_policy(struct ccz_kms_store *s, const char *name, const uint8_t *mac)
{
    const struct cczi_kms_param key = {.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(name)};
    cczi_kms_past_note(s, CCZI_KMS_PAST_POLICY, &key, 1, mac);
}

ccz_rc cczi_kms_policy_get(struct cczi_kms_policy *out, struct ccz_kms_store *s, const char *name,
                           struct ccz_err *err)
{
    if (cczi_kms_memo_policy(out, s, name))
        return CCZ_OK;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_POLICY_GET);
    cczi_q_text(&q, name);
    ccz_rc rc = cczi_q_row(&q) ? policy_read(out, name, s, &q, err) : CCZ_E_NOT_FOUND;
    rc = cczi_q_end_after(&q, rc, err);
    if (rc == CCZ_OK)
        cczi_kms_memo_keep_policy(s, name, out);
    return rc;
}

ccz_rc cczi_kms_policy_delete(struct ccz_kms_store *s, const char *name, struct ccz_err *err)
{
    struct cczi_kms_policy old = {0};
    ccz_buf_init(&old.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = cczi_kms_policy_get(&old, s, name, err);
    ccz_buf_free(&old.json);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_POLICY_DEL);
    cczi_q_text(&q, name);
    rc = cczi_q_end(&q, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_row_remove(s, old.mac);
    note_policy(s, name, NULL);
    return rc == CCZ_OK ? rc : mac_fail(err, rc);
}

/* @p p holds the new row, without its MAC. */
static ccz_rc policy_insert(struct ccz_kms_store *s, const char *name, struct cczi_kms_policy *p,
                            struct ccz_err *err)
{
    struct ccz_span f[POLICY_FIELDS];
    uint8_t num[8];
    policy_fields(f, num, name, p);
    ccz_rc rc = cczi_kms_row_add(p->mac, s, policy_table, f, POLICY_FIELDS);
    if (rc != CCZ_OK)
        return mac_fail(err, rc);
    note_policy(s, name, p->mac);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_POLICY_PUT);
    cczi_q_text(&q, name);
    cczi_q_blob(&q, ccz_buf_span(&p->json));
    cczi_q_blob(&q, bytes32(p->sha256));
    cczi_q_int(&q, p->created_s);
    cczi_q_blob(&q, bytes32(p->mac));
    return cczi_q_end(&q, err);
}

ccz_rc cczi_kms_policy_put(struct ccz_kms_store *s, const char *name, struct ccz_span json,
                           int64_t now_s, struct ccz_err *err)
{
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = cczi_kms_policy_get(&p, s, name, err);
    bool found = rc == CCZ_OK;
    if (found || rc == CCZ_E_NOT_FOUND)
        rc = cczi_kms_quota_policy(s, name, !found, json.size, found ? p.json.size : 0, err);
    if (rc == CCZ_OK && found)
        rc = cczi_kms_policy_delete(s, name, err);
    p.created_s = now_s;
    ccz_buf_clear(&p.json);
    ccz_buf_put_span(&p.json, json);
    if (rc == CCZ_OK && p.json.bad)
        rc = ccz_fail(err, CCZ_E_LIMIT, "kms:policy-size", (int64_t)json.size,
                      "a policy has at most %d bytes", CCZ_POLICY_SIZE_MAX);
    if (rc == CCZ_OK)
        rc = ccz_sha256(p.sha256, json);
    if (rc == CCZ_OK)
        rc = policy_insert(s, name, &p, err);
    ccz_buf_free(&p.json);
    return rc;
}

ccz_rc cczi_kms_policy_used(bool *used, struct ccz_kms_store *s, const char *name,
                            struct ccz_err *err)
{
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_POLICY_USED);
    cczi_q_text(&q, name);
    *used = cczi_q_row(&q);
    return cczi_q_end(&q, err);
}

/* ---------------------------------------------------------------------------- check */

ccz_rc cczi_kms_items_check(uint64_t *count, uint8_t set[32], struct ccz_kms_store *s, bool values,
                            struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_ALL);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        int64_t kind = cczi_q_col_int(&q, 8), version = cczi_q_col_int(&q, 10);
        if ((kind != CCZI_KMS_KEY && kind != CCZI_KMS_SECRET && kind != CCZI_KMS_SYSTEM) ||
            version < 1 || version > CCZ_KMS_VERSIONS_MAX) {
            rc = ccz_fail(err, CCZ_E_SIG, "kms:row-mac", kind,
                          "a row of table \"item\" has no known kind or version");
            break;
        }
        it.slot.ref.kind = (enum cczi_kms_kind)kind;
        it.slot.version = (uint32_t)version;
        cczi_q_col_text(it.slot.ref.name, sizeof(it.slot.ref.name), &q, 9);
        rc = item_read(&it, s, &q, err);
        CCZ_AUTO(ccz_secret) value = NULL;
        if (rc == CCZ_OK && values)
            rc = cczi_kms_unseal(&value, &s->sealer, &it.slot, ccz_buf_span(&it.sealed), err);
        if (rc == CCZ_OK)
            rc = cczi_kms_set_add(set, &s->sealer, it.mac);
        if (kind != CCZI_KMS_SYSTEM) /* that one nobody put there */
            ++*count;
    }
    cczi_kms_item_deinit(&it);
    return cczi_q_end_after(&q, rc, err);
}

/* @p q  gives columns json, sha256, created_s, mac, name */
static ccz_rc each_policy(struct ccz_kms_store *s, struct cczi_q *q, cczi_kms_policy_fn fn,
                          void *arg, struct ccz_err *err)
{
    ccz_rc rc = CCZ_OK;
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    while (rc == CCZ_OK && cczi_q_row(q)) {
        char name[CCZ_KMS_NAME_SIZE];
        cczi_q_col_text(name, sizeof(name), q, 4);
        rc = policy_read(&p, name, s, q, err);
        if (rc == CCZ_OK)
            rc = fn(arg, name, &p, err);
    }
    ccz_buf_free(&p.json);
    return cczi_q_end_after(q, rc, err);
}

static ccz_rc policy_each(struct ccz_kms_store *s, cczi_kms_policy_fn fn, void *arg,
                          struct ccz_err *err)
{
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_POLICY_ALL);
    return each_policy(s, &q, fn, arg, err);
}

ccz_rc cczi_kms_policies_of(struct ccz_kms_store *s, const char *name, cczi_kms_policy_fn fn,
                            void *arg, struct ccz_err *err)
{
    struct cczi_kms_range range;
    struct cczi_q q = cczi_kms_range_query(CCZI_SQL_POLICY_OF, &range, s, name, true);
    return each_policy(s, &q, fn, arg, err);
}

struct policies_check {
    const struct cczi_kms_sealer *sealer;
    uint64_t *count;
    uint8_t *set;
};

static ccz_rc check_policy(void *arg, const char *name, const struct cczi_kms_policy *p,
                           struct ccz_err *err)
{
    (void)name, (void)err;
    const struct policies_check *c = arg;
    ++*c->count;
    return cczi_kms_set_add(c->set, c->sealer, p->mac);
}

ccz_rc cczi_kms_policies_check(uint64_t *count, uint8_t set[32], struct ccz_kms_store *s,
                               struct ccz_err *err)
{
    struct policies_check c = {&s->sealer, count, set};
    return policy_each(s, check_policy, &c, err);
}

/* ---------------------------------------------------------------------------- rekey */

/*
 * First the keys of all rows of a table, then one row after another: no row is written while others are being read. Keys that
 * were changed behind our back in between are rows that are not there or that have another MAC; a row that is genuine and
 * should not be there, and one that should, are found in what the rows add up to (rekey.c).
 */
struct keys {
    struct cczi_kms_ref *ref;
    uint32_t *version; /* of items */
    size_t len, room;
};

static void keys_free(struct keys *k)
{
    free(k->ref);
    free(k->version);
}

/* Columns kind (-1: none, a policy), name, version (-1: none) of the current row. */
static bool keys_add(struct keys *k, struct cczi_q *q, int kind, int name, int version)
{
    if (k->len == k->room) {
        size_t room = k->room ? 2 * k->room : 64;
        struct cczi_kms_ref *ref = realloc(k->ref, room * sizeof(*ref));
        if (!ref)
            return false;
        k->ref = ref;
        uint32_t *versions = realloc(k->version, room * sizeof(*versions));
        if (!versions)
            return false;
        k->version = versions;
        k->room = room;
    }
    struct cczi_kms_ref *ref = &k->ref[k->len];
    *ref = (struct cczi_kms_ref){.kind = CCZI_KMS_POLICY};
    if (kind >= 0)
        ref->kind = (enum cczi_kms_kind)cczi_q_col_int(q, kind);
    cczi_q_col_text(ref->name, sizeof(ref->name), q, name);
    k->version[k->len++] = version >= 0 ? (uint32_t)cczi_q_col_int(q, version) : 0;
    return true;
}

static ccz_rc keys_of(struct keys *k, struct ccz_kms_store *s, enum cczi_kms_sql sql, int kind,
                      int name, int version, struct ccz_err *err)
{
    bool ok = true;
    struct cczi_q q = cczi_q_start(&s->db, sql);
    while (ok && cczi_q_row(&q))
        ok = keys_add(k, &q, kind, name, version);
    ccz_rc rc = ok ? CCZ_OK : ccz_fail(err, CCZ_E_NOMEM, "kms:rekey", 0, "out of memory");
    return cczi_q_end_after(&q, rc, err);
}

/* A row whose key was there a moment ago. */
static ccz_rc still_there(ccz_rc rc, struct ccz_err *err)
{
    return rc == CCZ_E_NOT_FOUND
               ? ccz_fail(err, CCZ_E_SIG, "kms:row-set", 0, "a row went away during a rekey")
               : rc;
}

/* The item's value is replaced by what is sealed under the new key. */
static ccz_rc item_rekey(struct cczi_kms_rekey *k, struct ccz_kms_store *s,
                         struct cczi_kms_item *it, struct ccz_err *err)
{
    CCZ_AUTO_BUF sealed;
    ccz_buf_init(&sealed, CCZ_KMS_VALUE_SIZE_MAX + 128);
    ccz_rc rc =
        cczi_kms_reseal(&sealed, &s->sealer, k->to, &it->slot, ccz_buf_span(&it->sealed), err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_clear(&it->sealed);
    ccz_buf_put_span(&it->sealed, ccz_buf_span(&sealed));
    if (it->sealed.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:rekey", 0, "out of memory");
    struct ccz_span f[ITEM_FIELDS];
    uint8_t num[ITEM_NUMBERS][8], mac[32];
    item_fields(f, num, it);
    rc = cczi_kms_rekey_row(mac, k, s, it->mac, item_table, f, ITEM_FIELDS, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_REKEY);
    cczi_q_blob(&q, ccz_buf_span(&it->sealed));
    cczi_q_blob(&q, bytes32(mac));
    cczi_q_int(&q, it->slot.ref.kind);
    cczi_q_text(&q, it->slot.ref.name);
    cczi_q_int(&q, it->slot.version);
    return cczi_q_end(&q, err);
}

static ccz_rc items_rekey(struct cczi_kms_rekey *rekey, struct ccz_kms_store *s,
                          struct ccz_err *err)
{
    struct keys k = {0};
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc = keys_of(&k, s, CCZI_SQL_ITEM_ALL, 8, 9, 10, err);
    for (size_t i = 0; rc == CCZ_OK && i < k.len; i++) {
        rc = still_there(row_get(&it, s, &k.ref[i], k.version[i], err), err);
        if (rc == CCZ_OK)
            rc = item_rekey(rekey, s, &it, err);
    }
    cczi_kms_item_deinit(&it);
    keys_free(&k);
    return rc;
}

static ccz_rc policy_rekey(struct cczi_kms_rekey *k, struct ccz_kms_store *s, const char *name,
                           const struct cczi_kms_policy *p, struct ccz_err *err)
{
    struct ccz_span f[POLICY_FIELDS];
    uint8_t num[8], mac[32];
    policy_fields(f, num, name, p);
    ccz_rc rc = cczi_kms_rekey_row(mac, k, s, p->mac, policy_table, f, POLICY_FIELDS, err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_POLICY_REKEY);
    cczi_q_blob(&q, bytes32(mac));
    cczi_q_text(&q, name);
    return cczi_q_end(&q, err);
}

static ccz_rc policies_rekey(struct cczi_kms_rekey *rekey, struct ccz_kms_store *s,
                             struct ccz_err *err)
{
    struct keys k = {0};
    struct cczi_kms_policy p = {0};
    ccz_buf_init(&p.json, CCZ_POLICY_SIZE_MAX);
    ccz_rc rc = keys_of(&k, s, CCZI_SQL_POLICY_ALL, -1, 4, -1, err);
    for (size_t i = 0; rc == CCZ_OK && i < k.len; i++) {
        rc = still_there(cczi_kms_policy_get(&p, s, k.ref[i].name, err), err);
        if (rc == CCZ_OK)
            rc = policy_rekey(rekey, s, k.ref[i].name, &p, err);
    }
    ccz_buf_free(&p.json);
    keys_free(&k);
    return rc;
}

ccz_rc cczi_kms_items_rekey(struct cczi_kms_rekey *k, struct ccz_kms_store *s, struct ccz_err *err)
{
    ccz_rc rc = items_rekey(k, s, err);
    if (rc == CCZ_OK)
        rc = policies_rekey(k, s, err);
    return rc;
}
