/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of the tables that need no code of their own: read, written, checked and rekeyed by one description each. */
#include "kms_priv.h"
#include "memo.h"
#include "past.h"

#include <stdlib.h>
#include <string.h>

enum { ROW_SIZE_MAX = 2 << 20 };

#define TABLE(SQL, MAC_NAME, KEYS, TYPES)                                                          \
    {                                                                                              \
        .mac_name = (MAC_NAME), .types = (TYPES), .keys = (KEYS), .get = CCZI_SQL_##SQL##_GET,     \
        .put = CCZI_SQL_##SQL##_PUT, .del = CCZI_SQL_##SQL##_DEL, .all = CCZI_SQL_##SQL##_ALL,     \
        .rekey = CCZI_SQL_##SQL##_REKEY,                                                           \
    }
const struct cczi_kms_table cczi_kms_tables[CCZI_KMS_TABLES] = {
    [CCZI_KMS_T_ADMIN] = TABLE(ADMIN, "admin3", 2, "btiit"),
    [CCZI_KMS_T_BINDING] = TABLE(BIND, "binding3", 3, "itit"),
    [CCZI_KMS_T_QUORUM] = TABLE(QUORUM, "quorum", 1, "ti"),
    [CCZI_KMS_T_PROPOSAL] = TABLE(PROPOSAL, "proposal", 1, "ittbbiii"),
    [CCZI_KMS_T_APPROVAL] = TABLE(APPROVAL, "approval", 2, "ibi"),
    [CCZI_KMS_T_KEY_META] = TABLE(KEY_META, "key_meta", 1, "tb"),
    [CCZI_KMS_T_STAGED] = TABLE(STAGED, "staged", 1, "tbbiiii"),
    [CCZI_KMS_T_EVIDENCE] = TABLE(EVIDENCE, "evidence", 1, "btibbiiii"),
    [CCZI_KMS_T_REFERENCE] = TABLE(REFERENCE, "reference", 2, "tibbi"),
    [CCZI_KMS_T_RAW] = TABLE(RAW, "raw_evidence", 2, "btiib"),
    [CCZI_KMS_T_HEAD] = TABLE(HEADS, "item_head", 2, "itii"),
};

void cczi_kms_row_init(struct cczi_kms_row *r)
{
    *r = (struct cczi_kms_row){0};
    ccz_buf_init(&r->bytes, ROW_SIZE_MAX);
}

void cczi_kms_row_deinit(struct cczi_kms_row *r)
{
    ccz_buf_free(&r->bytes);
}

void cczi_kms_row_start(struct cczi_kms_row *r)
{
    r->len = 0;
}

static void add(struct cczi_kms_row *r, struct cczi_kms_param p)
{
    if (r->len < CCZI_KMS_COLS_MAX)
        r->col[r->len++] = p;
}

void cczi_kms_row_int(struct cczi_kms_row *r, int64_t v)
{
    add(r, (struct cczi_kms_param){.type = CCZI_KMS_INT, .num = v});
}

void cczi_kms_row_text(struct cczi_kms_row *r, const char *s)
{
    add(r, (struct cczi_kms_param){.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(s)});
}

void cczi_kms_row_blob(struct cczi_kms_row *r, struct ccz_span s)
{
    add(r, (struct cczi_kms_param){.type = CCZI_KMS_BLOB, .bytes = s});
}

static void bind_all(struct cczi_q *q, const struct cczi_kms_row *r, size_t len)
{
    for (size_t i = 0; i < len; i++)
        cczi_q_param(q, &r->col[i]);
}

/* Fields of the MAC: every column; `num` holds the numbers. */
static size_t fields(struct ccz_span f[CCZI_KMS_COLS_MAX], uint8_t num[CCZI_KMS_COLS_MAX][8],
                     const struct cczi_kms_table *t, const struct cczi_kms_row *r)
{
    size_t len = strlen(t->types);
    for (size_t i = 0; i < len; i++) {
        f[i] = r->col[i].bytes;
        if (t->types[i] != 'i')
            continue;
        for (size_t k = 0; k < 8; k++)
            num[i][k] = (uint8_t)((uint64_t)r->col[i].num >> (8 * k));
        f[i] = CCZ_SPAN(num[i], 8);
    }
    return len;
}

static ccz_rc not_ours(struct ccz_err *err, const struct cczi_kms_table *t)
{
    return ccz_fail(err, CCZ_E_SIG, "kms:row-mac", 0,
                    "a row of table \"%s\" is not one that we write", t->mac_name);
}

/* The current row of @p q. Its first `given` columns are those of @p r already. */
static ccz_rc read_row(struct cczi_kms_row *r, struct ccz_kms_store *s,
                       const struct cczi_kms_table *t, struct cczi_q *q, size_t given,
                       struct ccz_err *err)
{
    size_t len = strlen(t->types), at[CCZI_KMS_COLS_MAX] = {0};
    ccz_buf_clear(&r->bytes);
    for (size_t i = given; i < len; i++) {
        struct cczi_kms_param *p = &r->col[i];
        *p = (struct cczi_kms_param){.type = t->types[i] == 'i'   ? CCZI_KMS_INT
                                             : t->types[i] == 't' ? CCZI_KMS_TEXT
                                                                  : CCZI_KMS_BLOB};
        if (p->type == CCZI_KMS_INT) {
            p->num = cczi_q_col_int(q, (int)i);
            continue;
        }
        struct ccz_span b = cczi_q_col(q, (int)i);
        at[i] = r->bytes.size;
        p->bytes.size = b.size;
        ccz_buf_put_span(&r->bytes, b);
    }
    cczi_q_col_bytes(r->mac, sizeof(r->mac), q, (int)len);
    r->len = len;
    if (r->bytes.bad)
        return not_ours(err, t);
    for (size_t i = given; i < len; i++) /* now that they do not move any more */
        if (r->col[i].bytes.size)
            r->col[i].bytes.ptr = r->bytes.ptr + at[i];
    struct ccz_span f[CCZI_KMS_COLS_MAX];
    uint8_t num[CCZI_KMS_COLS_MAX][8];
    ccz_rc rc = cczi_kms_row_check(s, t->mac_name, f, fields(f, num, t, r), r->mac, err);
    return rc == CCZ_OK ? cczi_kms_past_check(s, (unsigned)(t - cczi_kms_tables), r->col, t->keys,
                                              r->mac, err)
                        : rc;
}

ccz_rc cczi_kms_row_get(struct cczi_kms_row *r, struct ccz_kms_store *s, enum cczi_kms_table_id id,
                        struct ccz_err *err)
{
    const struct cczi_kms_table *t = &cczi_kms_tables[id];
    if (cczi_kms_memo_row(r, s, id))
        return CCZ_OK;
    struct cczi_q q = cczi_q_start(&s->db, t->get);
    bind_all(&q, r, t->keys);
    ccz_rc rc = cczi_q_row(&q) ? read_row(r, s, t, &q, t->keys, err) : CCZ_E_NOT_FOUND;
    rc = cczi_q_end_after(&q, rc, err);
    if (rc == CCZ_OK)
        cczi_kms_memo_keep_row(s, id, r);
    return rc;
}

ccz_rc cczi_kms_row_delete(struct ccz_kms_store *s, enum cczi_kms_table_id id,
                           const struct cczi_kms_row *key, struct ccz_err *err)
{
    const struct cczi_kms_table *t = &cczi_kms_tables[id];
    struct cczi_kms_row old;
    cczi_kms_row_init(&old);
    memcpy(old.col, key->col, sizeof(old.col));
    ccz_rc rc = cczi_kms_row_get(&old, s, id, err);
    cczi_kms_row_deinit(&old);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_q q = cczi_q_start(&s->db, t->del);
    bind_all(&q, key, t->keys);
    rc = cczi_q_end(&q, err);
    if (rc != CCZ_OK)
        return rc;
    rc = cczi_kms_row_remove(s, old.mac);
    cczi_kms_past_note(s, id, key->col, t->keys, NULL);
    if (rc == CCZ_OK && id == CCZI_KMS_T_QUORUM)
        rc = cczi_kms_quorums_note(s, old.mac, cczi_kms_set_remove);
    return rc == CCZ_OK ? rc : ccz_fail(err, rc, "kms:row-mac", 0, "cannot take a row out");
}

ccz_rc cczi_kms_row_put(struct ccz_kms_store *s, enum cczi_kms_table_id id, struct cczi_kms_row *r,
                        struct ccz_err *err)
{
    const struct cczi_kms_table *t = &cczi_kms_tables[id];
    struct ccz_span f[CCZI_KMS_COLS_MAX];
    uint8_t num[CCZI_KMS_COLS_MAX][8];
    ccz_rc rc = cczi_kms_row_delete(s, id, r, err);
    if (rc != CCZ_OK && rc != CCZ_E_NOT_FOUND)
        return rc;
    rc = cczi_kms_row_add(r->mac, s, t->mac_name, f, fields(f, num, t, r));
    if (rc == CCZ_OK && id == CCZI_KMS_T_QUORUM)
        rc = cczi_kms_quorums_note(s, r->mac, cczi_kms_set_add);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "kms:row-mac", 0, "cannot compute the MAC of a row");
    cczi_kms_past_note(s, id, r->col, t->keys, r->mac);
    struct cczi_q q = cczi_q_start(&s->db, t->put);
    bind_all(&q, r, strlen(t->types));
    cczi_q_blob(&q, CCZ_SPAN(r->mac, sizeof(r->mac)));
    return cczi_q_end(&q, err);
}

ccz_rc cczi_kms_row_each(struct ccz_kms_store *s, enum cczi_kms_table_id id, enum cczi_kms_sql sql,
                         const struct cczi_kms_row *key, cczi_kms_row_fn fn, void *arg,
                         struct ccz_err *err)
{
    const struct cczi_kms_table *t = &cczi_kms_tables[id];
    struct cczi_kms_row r;
    size_t given = key ? key->len : 0;
    ccz_rc rc = CCZ_OK;
    cczi_kms_row_init(&r);
    if (key)
        memcpy(r.col, key->col, sizeof(r.col));
    struct cczi_q q = cczi_q_start(&s->db, sql);
    bind_all(&q, &r, given);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        rc = read_row(&r, s, t, &q, given, err);
        if (rc == CCZ_OK)
            rc = fn(arg, &r, err);
    }
    rc = cczi_q_end_after(&q, rc, err);
    cczi_kms_row_deinit(&r);
    return rc;
}

ccz_rc cczi_kms_row_page(struct ccz_kms_store *s, enum cczi_kms_table_id id, enum cczi_kms_sql sql,
                         const struct cczi_kms_param *params, size_t len, cczi_kms_row_fn fn,
                         void *arg, struct ccz_err *err)
{
    struct cczi_kms_row r;
    ccz_rc rc = CCZ_OK;
    cczi_kms_row_init(&r);
    struct cczi_q q = cczi_q_start(&s->db, sql);
    for (size_t i = 0; i < len; i++)
        cczi_q_param(&q, &params[i]);
    while (rc == CCZ_OK && cczi_q_row(&q)) {
        rc = read_row(&r, s, &cczi_kms_tables[id], &q, 0, err);
        if (rc == CCZ_OK)
            rc = fn(arg, &r, err);
    }
    rc = cczi_q_end_after(&q, rc, err);
    cczi_kms_row_deinit(&r);
    return rc;
}

/* ---------------------------------------------------------------------------- check */

struct check {
    const struct cczi_kms_sealer *sealer;
    uint64_t *count;
    uint8_t *set, *own; /* of all tables; of this one, or NULL */
};

static ccz_rc check_one(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    (void)err;
    const struct check *c = arg;
    ++*c->count;
    ccz_rc rc = c->own ? cczi_kms_set_add(c->own, c->sealer, r->mac) : CCZ_OK;
    return rc == CCZ_OK ? cczi_kms_set_add(c->set, c->sealer, r->mac) : rc;
}

ccz_rc cczi_kms_rows_check(uint64_t *count, uint8_t set[32], struct ccz_kms_store *s,
                           enum cczi_kms_table_id id, struct ccz_err *err)
{
    struct check c = {&s->sealer, count, set, NULL};
    if (id == CCZI_KMS_T_QUORUM) {
        s->quorums.known_here = false;
        c.own = memset(s->quorums.here, 0, sizeof(s->quorums.here));
    }
    return cczi_kms_row_each(s, id, cczi_kms_tables[id].all, NULL, check_one, &c, err);
}

/* ---------------------------------------------------------------------------- rekey */

/* Keys of all rows, one after another: columns as le64 sizes or numbers and bytes. */
struct keys {
    const struct cczi_kms_table *t;
    struct ccz_buf packed;
    size_t len;
};
enum { KEYS_SIZE_MAX = 256 << 20 };

static ccz_rc keep_key(void *arg, const struct cczi_kms_row *r, struct ccz_err *err)
{
    struct keys *k = arg;
    for (size_t i = 0; i < k->t->keys; i++) {
        const struct cczi_kms_param *p = &r->col[i];
        ccz_buf_le64(&k->packed, p->type == CCZI_KMS_INT ? (uint64_t)p->num : p->bytes.size);
        ccz_buf_put_span(&k->packed, p->bytes);
    }
    k->len++;
    return k->packed.bad ? ccz_fail(err, CCZ_E_NOMEM, "kms:rekey", 0, "out of memory") : CCZ_OK;
}

/* The next key as columns of @p r, borrowed from @p in. */
static void next_key(struct cczi_kms_row *r, struct ccz_rd *in, const struct cczi_kms_table *t)
{
    for (size_t i = 0; i < t->keys; i++) {
        uint64_t v = ccz_rd_le64(in);
        r->col[i] = t->types[i] == 'i'
                        ? (struct cczi_kms_param){.type = CCZI_KMS_INT, .num = (int64_t)v}
                        : (struct cczi_kms_param){.type = t->types[i] == 't' ? CCZI_KMS_TEXT
                                                                             : CCZI_KMS_BLOB,
                                                  .bytes = ccz_rd_take(in, (size_t)v)};
    }
}

static ccz_rc rekey_one(struct cczi_kms_rekey *k, struct ccz_kms_store *s,
                        enum cczi_kms_table_id id, struct cczi_kms_row *r, struct ccz_err *err)
{
    const struct cczi_kms_table *t = &cczi_kms_tables[id];
    ccz_rc rc = cczi_kms_row_get(r, s, id, err);
    if (rc == CCZ_E_NOT_FOUND)
        return ccz_fail(err, CCZ_E_SIG, "kms:row-set", 0, "a row went away during a rekey");
    if (rc != CCZ_OK)
        return rc;
    struct ccz_span f[CCZI_KMS_COLS_MAX];
    uint8_t num[CCZI_KMS_COLS_MAX][8], mac[32];
    rc = cczi_kms_rekey_row(mac, k, s, r->mac, t->mac_name, f, fields(f, num, t, r), err);
    if (rc != CCZ_OK)
        return rc;
    struct cczi_q q = cczi_q_start(&s->db, t->rekey);
    cczi_q_blob(&q, CCZ_SPAN(mac, sizeof(mac)));
    bind_all(&q, r, t->keys);
    return cczi_q_end(&q, err);
}

/* All keys are read, then row after row is written: a database has one statement with rows at a time. */
ccz_rc cczi_kms_rows_rekey(struct cczi_kms_rekey *rekey, struct ccz_kms_store *s,
                           enum cczi_kms_table_id id, struct ccz_err *err)
{
    struct keys k = {.t = &cczi_kms_tables[id]};
    ccz_buf_init(&k.packed, KEYS_SIZE_MAX);
    struct cczi_kms_row r;
    cczi_kms_row_init(&r);
    ccz_rc rc = cczi_kms_row_each(s, id, k.t->all, NULL, keep_key, &k, err);
    struct ccz_rd in = ccz_rd_from(ccz_buf_span(&k.packed));
    for (size_t i = 0; rc == CCZ_OK && i < k.len; i++) {
        next_key(&r, &in, k.t);
        rc = rekey_one(rekey, s, id, &r, err);
    }
    cczi_kms_row_deinit(&r);
    ccz_buf_free(&k.packed);
    return rc;
}
