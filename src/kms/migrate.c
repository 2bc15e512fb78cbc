/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store of an older schema becomes one of the next, in one transaction. Rows carry MACs over their columns, so those
 * that change are written anew; before that everything is checked as the older schema would have: a store that somebody
 * changed must not come out of this as a genuine one.
 *
 * From schema 3 on rows stay as they are: new tables are made. Those of schema 4 are empty; schema 5 has one row for each item and schema 6 one
 * for each set of reference values, made of what was checked.
 *
 * Schema 3 brought stores an id, and with it other keys: every row gets a new MAC and every value's key a new wrap, as in a
 * rekey. Tables that stay as they are go first, while s->sealer is the old one; then the two change places, and s->next is
 * what the rows of older tables are checked by. k->was adds up all that was there.
 */
#include "kms_priv.h"

#include <stdio.h>
#include <string.h>

static const struct cczi_kms_migration *find(const struct ccz_kms_backend *ops, int64_t from)
{
    for (size_t i = 0; i < ops->migrations_len; i++)
        if (ops->migrations[i].from == from)
            return &ops->migrations[i];
    return NULL;
}

/* A row of an older table, which was checked. */
static ccz_rc leave(struct cczi_kms_rekey *k, const struct ccz_kms_store *s, const uint8_t mac[32],
                    struct ccz_err *err)
{
    ccz_rc rc = cczi_kms_set_add(k->was, &s->next, mac);
    return rc == CCZ_OK ? rc
                        : ccz_fail(err, rc, "kms:row-mac", 0, "cannot compute the MAC of a row");
}

/* ------------------------------------------------------------------ item: schema 1 */

/* The MAC of schema 1, which knew no states. */
static ccz_rc check_item_1(const struct cczi_kms_sealer *old, const struct cczi_kms_item *it,
                           struct ccz_err *err)
{
    uint8_t num[3][8];
    const uint64_t numbers[3] = {it->slot.ref.kind, it->slot.version, (uint64_t)it->created_s};
    for (size_t i = 0; i < 3; i++)
        for (size_t k = 0; k < 8; k++)
            num[i][k] = (uint8_t)(numbers[i] >> (8 * k));
    const struct ccz_span f[] = {CCZ_SPAN(num[0], 8), ccz_span_str(it->slot.ref.name),
                                 CCZ_SPAN(num[1], 8), ccz_span_str(it->slot.alg),
                                 CCZ_SPAN(num[2], 8), ccz_buf_span(&it->sealed)};
    return cczi_kms_row_check_by(old, "item", f, 6, it->mac, err);
}

/* The row of item_1 behind @p it. @retval CCZ_E_NOT_FOUND that was the last one */
static ccz_rc next_item_1(struct cczi_kms_item *it, struct ccz_kms_store *s, struct ccz_err *err)
{
    char name[CCZ_KMS_NAME_SIZE];
    memcpy(name, it->slot.ref.name, sizeof(name));
    ccz_rc rc = CCZ_E_NOT_FOUND;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ITEM_1_NEXT);
    cczi_q_int(&q, it->slot.ref.kind);
    cczi_q_text(&q, name);
    cczi_q_int(&q, it->slot.version);
    if (cczi_q_row(&q)) {
        int64_t kind = cczi_q_col_int(&q, 4), version = cczi_q_col_int(&q, 6);
        cczi_q_col_text(it->slot.alg, sizeof(it->slot.alg), &q, 0);
        it->created_s = cczi_q_col_int(&q, 1);
        ccz_buf_clear(&it->sealed);
        ccz_buf_put_span(&it->sealed, cczi_q_col(&q, 2));
        cczi_q_col_bytes(it->mac, sizeof(it->mac), &q, 3);
        cczi_q_col_text(it->slot.ref.name, sizeof(it->slot.ref.name), &q, 5);
        bool known = (kind == CCZI_KMS_KEY || kind == CCZI_KMS_SECRET) && version >= 1 &&
                     version <= CCZ_KMS_VERSIONS_MAX && !it->sealed.bad;
        it->slot.ref.kind = kind == CCZI_KMS_KEY ? CCZI_KMS_KEY : CCZI_KMS_SECRET;
        it->slot.version = (uint32_t)version;
        rc = known ? check_item_1(&s->next, it, err)
                   : ccz_fail(err, CCZ_E_SIG, "kms:row-mac", kind,
                              "a row of table \"item\" is not one that we write");
    }
    return cczi_q_end_after(&q, rc, err);
}

/* With its key wrapped anew, after the value was opened. */
static ccz_rc move_item_1(struct cczi_kms_rekey *k, struct ccz_kms_store *s,
                          struct cczi_kms_item *it, struct ccz_err *err)
{
    CCZ_AUTO(ccz_secret) value = NULL;
    CCZ_AUTO_BUF sealed;
    ccz_buf_init(&sealed, CCZ_KMS_VALUE_SIZE_MAX + 128);
    ccz_rc rc = leave(k, s, it->mac, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_unseal(&value, &s->next, &it->slot, ccz_buf_span(&it->sealed), err);
    if (rc == CCZ_OK)
        rc = cczi_kms_reseal(&sealed, &s->next, &s->sealer, &it->slot, ccz_buf_span(&it->sealed),
                             err);
    if (rc != CCZ_OK)
        return rc;
    ccz_buf_clear(&it->sealed);
    ccz_buf_put_span(&it->sealed, ccz_buf_span(&sealed));
    if (it->sealed.bad)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:migrate", 0, "out of memory");
    return cczi_kms_item_insert(s, it, err);
}

static ccz_rc move_items_1(struct cczi_kms_rekey *k, uint64_t *moved, struct ccz_kms_store *s,
                           struct ccz_err *err)
{
    struct cczi_kms_item it;
    cczi_kms_item_init(&it);
    ccz_rc rc;
    while ((rc = next_item_1(&it, s, err)) == CCZ_OK) {
        rc = move_item_1(k, s, &it, err);
        if (rc != CCZ_OK)
            break;
        ++*moved;
    }
    cczi_kms_item_deinit(&it);
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

/* -------------------------------------------------------- admin, binding: schemas 1, 2 */

/* What schemas 1 and 2 called a role. */
static uint32_t roles_2(int64_t role)
{
    return role == 2 ? CCZ_KMS_ROLE_ADMIN : role == 1 ? CCZ_KMS_ROLE_AUDITOR : 0;
}

/* The row of admin_2 behind @p a. @retval CCZ_E_NOT_FOUND that was the last one */
static ccz_rc next_admin_2(struct cczi_kms_admin *a, uint8_t mac[32], struct ccz_span after,
                           struct ccz_kms_store *s, struct ccz_err *err)
{
    ccz_rc rc = CCZ_E_NOT_FOUND;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_ADMIN_2_NEXT);
    cczi_q_blob(&q, after);
    if (cczi_q_row(&q)) {
        int64_t role = cczi_q_col_int(&q, 0);
        const uint8_t role_byte = (uint8_t)role;
        cczi_q_col_bytes(mac, 32, &q, 1);
        *a = (struct cczi_kms_admin){.ns = CCZI_KMS_NS_ALL, .roles = roles_2(role)};
        cczi_q_col_bytes(a->id, sizeof(a->id), &q, 2);
        const struct ccz_span f[] = {CCZ_SPAN(a->id, 32), CCZ_SPAN(&role_byte, 1)};
        rc = a->roles ? cczi_kms_row_check_by(&s->next, "admin", f, 2, mac, err)
                      : ccz_fail(err, CCZ_E_SIG, "kms:row-mac", role,
                                 "a row of table \"admin\" has an unknown role");
    }
    return cczi_q_end_after(&q, rc, err);
}

static ccz_rc move_admins_2(struct cczi_kms_rekey *k, uint64_t *moved, struct ccz_kms_store *s,
                            struct ccz_err *err)
{
    uint8_t last[32], mac[32];
    struct ccz_span after = {0};
    struct cczi_kms_admin a;
    ccz_rc rc;
    while ((rc = next_admin_2(&a, mac, after, s, err)) == CCZ_OK) {
        rc = leave(k, s, mac, err);
        if (rc == CCZ_OK)
            rc = cczi_kms_admin_put(s, &a, err);
        if (rc != CCZ_OK)
            break;
        memcpy(last, a.id, sizeof(last));
        after = CCZ_SPAN(last, sizeof(last));
        ++*moved;
    }
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

/* The row of binding_2 behind @p ref. @retval CCZ_E_NOT_FOUND that was the last one */
static ccz_rc next_binding_2(struct cczi_kms_ref *ref, struct cczi_kms_binding *b, uint8_t mac[32],
                             struct ccz_kms_store *s, struct ccz_err *err)
{
    char name[CCZ_KMS_NAME_SIZE];
    memcpy(name, ref->name, sizeof(name));
    ccz_rc rc = CCZ_E_NOT_FOUND;
    struct cczi_q q = cczi_q_start(&s->db, CCZI_SQL_BIND_2_NEXT);
    cczi_q_int(&q, ref->kind);
    cczi_q_text(&q, name);
    if (cczi_q_row(&q)) {
        int64_t kind = cczi_q_col_int(&q, 2);
        uint8_t num[8] = {(uint8_t)kind};
        cczi_q_col_text(b->policy, sizeof(b->policy), &q, 0);
        cczi_q_col_bytes(mac, 32, &q, 1);
        cczi_q_col_text(ref->name, sizeof(ref->name), &q, 3);
        ref->kind = kind == CCZI_KMS_KEY ? CCZI_KMS_KEY : CCZI_KMS_SECRET;
        const struct ccz_span f[] = {CCZ_SPAN(num, 8), ccz_span_str(ref->name),
                                     ccz_span_str(b->policy)};
        rc = kind == CCZI_KMS_KEY || kind == CCZI_KMS_SECRET
                 ? cczi_kms_row_check_by(&s->next, "binding", f, 3, mac, err)
                 : ccz_fail(err, CCZ_E_SIG, "kms:row-mac", kind,
                            "a row of table \"binding\" has no known kind");
    }
    return cczi_q_end_after(&q, rc, err);
}

static ccz_rc move_bindings_2(struct cczi_kms_rekey *k, uint64_t *moved, struct ccz_kms_store *s,
                              struct ccz_err *err)
{
    uint8_t mac[32];
    struct cczi_kms_ref ref = {0};
    struct cczi_kms_binding b = {0};
    ccz_rc rc;
    while ((rc = next_binding_2(&ref, &b, mac, s, err)) == CCZ_OK) {
        rc = leave(k, s, mac, err);
        if (rc == CCZ_OK)
            rc = cczi_kms_binding_put(s, &ref, 0, b.policy, err);
        if (rc != CCZ_OK)
            break;
        ++*moved;
    }
    return rc == CCZ_E_NOT_FOUND ? CCZ_OK : rc;
}

/* ------------------------------------------------------------------------------- all */

/* From here on the store is one of the newest schema: what is written is under its keys, with a head of its own. */
static void change_places(struct ccz_kms_store *s, const struct cczi_kms_rekey *k,
                          const struct cczi_kms_walk *w)
{
    struct cczi_kms_sealer old = s->sealer;
    s->sealer = s->next;
    s->next = old;
    memcpy(s->head.set, k->set, sizeof(s->head.set));
    s->head.generation = k->generation;
    memcpy(s->head.first, w->first, sizeof(s->head.first));
    s->head.tree = w->tree; /* over the lines that were checked; there may have been none */
    s->head_dirty = true;
    cczi_kms_lines_start(&s->lines, &s->head.tree);
}

static ccz_rc move_rows(uint64_t *moved, struct ccz_kms_store *s, const struct cczi_kms_walk *w,
                        int64_t from, struct ccz_err *err)
{
    struct cczi_kms_rekey k = {.to = &s->next};
    struct cczi_kms_head was = s->head;
    uint64_t stay = 0;
    uint8_t ignored[32] = {0};
    ccz_rc rc =
        from == 1 ? CCZ_OK : cczi_kms_items_check(&stay, ignored, s, true, err); /* values too */
    if (rc == CCZ_OK) /* in schema 1, item is the new table, and empty yet */
        rc = cczi_kms_items_rekey(&k, s, err);
    if (rc != CCZ_OK)
        return rc;
    change_places(s, &k, w);
    if (from == 1)
        rc = move_items_1(&k, moved, s, err);
    if (rc == CCZ_OK)
        rc = move_admins_2(&k, moved, s, err);
    if (rc == CCZ_OK)
        rc = move_bindings_2(&k, moved, s, err);
    if (rc == CCZ_OK && !ccz_ct_eq(k.was, was.set, sizeof(was.set))) {
        ccz_fail(err, CCZ_E_SIG, "kms:row-set", 0,
                 "rows were added, removed or replaced by earlier ones outside of the KMS");
        rc = cczi_kms_hint(err, CCZ_E_SIG);
    }
    return rc;
}

static ccz_rc run(struct ccz_kms_store *s, const struct cczi_kms_migration *m, int64_t now_s,
                  struct ccz_err *err)
{
    uint64_t moved = 0;
    struct cczi_kms_walk w = {0};
    struct ccz_kms_receipt receipt;
    struct ccz_kms_check c = {0};
    bool moves = m->from < CCZI_KMS_SCHEMA_ID;
    ccz_rc rc = moves ? cczi_kms_audit_check_all(&w, s, err) : CCZ_OK;
    if (rc == CCZ_OK && m->before)
        rc = cczi_kms_db_exec(&s->db, m->before, err);
    if (rc == CCZ_OK && !moves) /* once the new tables are there */
        rc = cczi_kms_check_here(&c, &w, s, err);
    if (rc == CCZ_OK && moves)
        rc = move_rows(&moved, s, &w, m->from, err);
    if (rc == CCZ_OK && moves)
        rc = cczi_kms_instance_make(s, now_s, err);
    if (rc == CCZ_OK && s->no_heads)
        rc = cczi_kms_item_heads_build(s, err);
    if (rc == CCZ_OK && s->no_set_heads)
        rc = cczi_kms_set_heads_build(s, err);
    char entry[256], id[2 * CCZI_KMS_STORE_ID_SIZE + 1];
    ccz_hex(id, s->sealer.id, sizeof(s->sealer.id));
    int n =
        snprintf(entry, sizeof(entry),
                 "{\"op\":\"migrate\",\"verdict\":\"accept\",\"from\":%d,\"to\":%d,\"rows\":%llu,"
                 "\"store\":\"%s\"}",
                 (int)m->from, CCZI_KMS_SCHEMA, (unsigned long long)moved, id);
    if (rc == CCZ_OK)
        rc = cczi_kms_audit_append(&receipt, s, now_s, CCZ_SPAN(entry, (size_t)n), err);
    return rc == CCZ_OK ? cczi_kms_db_exec(&s->db, m->after, err) : rc;
}

ccz_rc ccz_kms_migrate(const struct ccz_kms_state *state, int64_t now_s, struct ccz_err *err)
{
    CCZ_AUTO(ccz_kms_store) s = NULL;
    ccz_rc rc = cczi_kms_store_open_schema(&s, state, 0, err);
    if (rc != CCZ_OK)
        return rc;
    int64_t from;
    rc = cczi_kms_db_schema(&from, &s->db, err);
    const struct cczi_kms_migration *m = rc == CCZ_OK ? find(s->db.ops, from) : NULL;
    if (rc == CCZ_OK && !m)
        return ccz_fail(err, CCZ_E_UNSUPPORTED, "kms:migrate", from,
                        "no way from schema %d with %s", (int)from, s->db.ops->name);
    if (rc == CCZ_OK)
        rc = cczi_kms_begin_whole(s, err);
    if (rc == CCZ_OK)
        rc = run(s, m, now_s, err);
    bool named = rc == CCZ_OK && m->from >= CCZI_KMS_SCHEMA_ID;
    if (named) /* the id is proved now */
        rc = cczi_kms_identity_check(state->dir, s->sealer.id, err);
    if (rc == CCZ_OK)
        rc = cczi_kms_commit(s, err);
    if (rc == CCZ_OK &&
        !named) /* a folder that was migrated before, and was put back, has another one */
        rc = cczi_kms_identity_put(state->dir, s->sealer.id, err);
    cczi_kms_rollback(s);
    return rc;
}
