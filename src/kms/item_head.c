/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One row for each name in the table item, since schema 5: its latest version, and which operations have a binding of their own. So a
 * version or a binding that somebody takes away behind our back is missed when it is asked for, and nothing older or laxer decides
 * in its place. The row itself may be put back as it once was: past.c.
 *
 * Since schema 6 also one for each set of reference values, with its latest version alone: it decides what policies accept.
 */
#include "kms_keys.h"
#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

static ccz_rc not_ours(struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:row-mac", 0,
                    "a row of table \"item_head\" is not one that we write");
}

static int64_t versions_max(enum cczi_kms_kind kind)
{
    return kind == CCZI_KMS_REFERENCE ? UINT32_MAX : CCZ_KMS_VERSIONS_MAX;
}

static void key_of(struct cczi_kms_row *r, const struct cczi_kms_ref *ref)
{
    cczi_kms_row_int(r, ref->kind);
    cczi_kms_row_text(r, ref->name);
}

/* While an older schema is read: the latest version that the database has. */
static ccz_rc without_heads(struct cczi_kms_item_head *out, struct ccz_kms_store *s,
                            const struct cczi_kms_ref *ref, struct ccz_err *err)
{
    int64_t v = 0;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_LAST);
    cczi_q_int(&q, ref->kind);
    cczi_q_text(&q, ref->name);
    if (cczi_q_row(&q))
        v = cczi_q_col_int(&q, 0); /* max() of nothing is NULL, read as 0 */
    ccz_rc rc = cczi_q_end(&q, err);
    if (rc == CCZ_OK && (v < 0 || v > CCZ_KMS_VERSIONS_MAX))
        return ccz_fail(err, CCZ_E_SIG, "kms:row-mac", v,
                        "a version of an item is not one we write");
    out->last = (uint32_t)v;
    return rc == CCZ_OK && v == 0 ? CCZ_E_NOT_FOUND : rc;
}

ccz_rc cczi_kms_item_head_get(struct cczi_kms_item_head *out, struct ccz_kms_store *s,
                              const struct cczi_kms_ref *ref, struct ccz_err *err)
{
    struct cczi_kms_row r;
    *out = (struct cczi_kms_item_head){0};
    if (s->no_heads)
        return without_heads(out, s, ref, err);
    cczi_kms_row_init(&r);
    key_of(&r, ref);
    ccz_rc rc = cczi_kms_row_get(&r, s, CCZI_KMS_T_HEAD, err);
    if (rc == CCZ_OK) {
        int64_t last = r.col[2].num, ops = r.col[3].num;
        if (last < 1 || last > versions_max(ref->kind) || ops < 0 || ops > UINT32_MAX)
            rc = not_ours(err);
        else
            *out = (struct cczi_kms_item_head){(uint32_t)last, (uint32_t)ops};
    }
    cczi_kms_row_deinit(&r);
    return rc;
}

static ccz_rc put(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                  const struct cczi_kms_item_head *h, struct ccz_err *err)
{
    struct cczi_kms_row r = {0};
    key_of(&r, ref);
    if (h->last == 0)
        return cczi_kms_row_delete(s, CCZI_KMS_T_HEAD, &r, err);
    cczi_kms_row_int(&r, h->last);
    cczi_kms_row_int(&r, h->ops);
    return cczi_kms_row_put(s, CCZI_KMS_T_HEAD, &r, err);
}

ccz_rc cczi_kms_item_head_added(struct ccz_kms_store *s, const struct cczi_kms_slot *slot,
                                struct ccz_err *err)
{
    struct cczi_kms_item_head h;
    if (s->no_heads)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_item_head_get(&h, s, &slot->ref, err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    if (slot->version <= h.last)
        return CCZ_OK;
    h.last = slot->version;
    return put(s, &slot->ref, &h, err);
}

ccz_rc cczi_kms_item_head_removed(struct ccz_kms_store *s, const struct cczi_kms_slot *slot,
                                  struct ccz_err *err)
{
    struct cczi_kms_item_head h, left = {0};
    if (s->no_heads)
        return CCZ_OK;
    ccz_rc rc = cczi_kms_item_head_get(&h, s, &slot->ref, err);
    if (rc != CCZ_OK || slot->version != h.last)
        return rc;
    rc = without_heads(&left, s, &slot->ref, err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    h.last = left.last;
    return put(s, &slot->ref, &h, err);
}

ccz_rc cczi_kms_item_head_bound(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                                uint32_t op, bool bound, struct ccz_err *err)
{
    struct cczi_kms_item_head h;
    if (s->no_heads)
        return CCZ_OK;
    if (op >= 32)
        return ccz_fail(err, CCZ_E_INTERNAL, "kms:bindings", op, "no such operation");
    ccz_rc rc = cczi_kms_item_head_get(&h, s, ref, err);
    if (rc != CCZ_OK) /* with the last version it goes before the bindings do */
        return rc == CCZ_E_NOT_FOUND && !bound ? CCZ_OK : rc;
    uint32_t ops = bound ? h.ops | CCZI_OP_BIT(op) : h.ops & ~CCZI_OP_BIT(op);
    if (ops == h.ops)
        return CCZ_OK;
    h.ops = ops;
    return put(s, ref, &h, err);
}

static ccz_rc went_away(struct ccz_err *err, const char *what)
{
    (void)ccz_fail(err, CCZ_E_SIG, "kms:row-set", 0, "%s was taken away outside of the KMS", what);
    return cczi_kms_hint(err, CCZ_E_SIG);
}

ccz_rc cczi_kms_item_latest_is_there(ccz_rc got, struct ccz_err *err)
{
    return got == CCZ_E_NOT_FOUND ? went_away(err, "the latest version of an item") : got;
}

ccz_rc cczi_kms_binding_said(struct ccz_kms_store *s, const struct cczi_kms_ref *ref, uint32_t op,
                             bool there, struct ccz_err *err)
{
    struct cczi_kms_item_head h;
    ccz_rc rc = cczi_kms_item_head_get(&h, s, ref, err);
    if (rc == CCZ_E_NOT_FOUND)
        return went_away(err, "the head of an item");
    const bool said = rc == CCZ_OK && op < 32 && (h.ops & CCZI_OP_BIT(op));
    if (rc != CCZ_OK || said == there)
        return rc;
    if (said)
        return went_away(err, "a binding");
    (void)ccz_fail(err, CCZ_E_SIG, "kms:row-set", 0, "a binding was put back outside of the KMS");
    return cczi_kms_hint(err, CCZ_E_SIG);
}

/* ------------------------------------------------------------------- reference values */

static struct cczi_kms_ref ref_of_set(const char *name)
{
    struct cczi_kms_ref ref = {.kind = CCZI_KMS_REFERENCE};
    (void)snprintf(ref.name, sizeof(ref.name), "%s", name);
    return ref;
}

ccz_rc cczi_kms_set_head_get(uint32_t *last, struct ccz_kms_store *s, const char *name,
                             struct ccz_err *err)
{
    struct cczi_kms_item_head h;
    const struct cczi_kms_ref ref = ref_of_set(name);
    ccz_rc rc = cczi_kms_item_head_get(&h, s, &ref, err);
    *last = h.last;
    return rc;
}

ccz_rc cczi_kms_set_head_put(struct ccz_kms_store *s, const char *name, uint32_t last,
                             struct ccz_err *err)
{
    const struct cczi_kms_ref ref = ref_of_set(name);
    return put(s, &ref, &(struct cczi_kms_item_head){.last = last}, err);
}

ccz_rc cczi_kms_set_went_away(struct ccz_err *err)
{
    return went_away(err, "the latest version of a set of reference values");
}

/* ------------------------------------------------------------------------- migration */

static ccz_rc add_op(void *arg, uint32_t op, const char *policy, struct ccz_err *err)
{
    (void)policy;
    struct cczi_kms_item_head *h = arg;
    if (op >= 32)
        return not_ours(err);
    h->ops |= CCZI_OP_BIT(op);
    return CCZ_OK;
}

/* The name behind @p ref. @retval CCZ_E_NOT_FOUND that was the last one */
static ccz_rc next_name(struct cczi_kms_ref *ref, struct ccz_kms_store *s, struct ccz_err *err)
{
    char after[CCZ_KMS_NAME_SIZE];
    memcpy(after, ref->name, sizeof(after));
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_NAME_NEXT);
    cczi_q_int(&q, ref->kind);
    cczi_q_text(&q, after);
    bool found = cczi_q_row(&q);
    if (found) {
        ref->kind = (enum cczi_kms_kind)cczi_q_col_int(&q, 0); /* of rows that were checked */
        cczi_q_col_text(ref->name, sizeof(ref->name), &q, 1);
    }
    return cczi_q_end_after(&q, found ? CCZ_OK : CCZ_E_NOT_FOUND, err);
}

ccz_rc cczi_kms_item_heads_build(struct ccz_kms_store *s, struct ccz_err *err)
{
    struct cczi_kms_ref ref = {0};
    ccz_rc rc;
    s->no_heads = false;
    while ((rc = next_name(&ref, s, err)) == CCZ_OK) {
        struct cczi_kms_item_head h = {0};
        rc = without_heads(&h, s, &ref, err);
        if (rc == CCZ_OK)
            rc = cczi_kms_binding_each(s, &ref, add_op, &h, err);
        if (rc == CCZ_OK)
            rc = put(s, &ref, &h, err);
        if (rc != CCZ_OK)
            return rc;
    }
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}
