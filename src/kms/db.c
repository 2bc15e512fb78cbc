/* SPDX-License-Identifier: Apache-2.0 */
/* Statements and their texts; a back end runs them. */
#include "kms_priv.h"

#include <string.h>

/* Columns of the tables of rows.c, in the order of their descriptions there. */
#define ADMIN_COLS    "spki_sha256, namespace, kind, roles, label"
#define BIND_COLS     "kind, name, op, policy"
#define QUORUM_COLS   "namespace, needed"
#define PROPOSAL_COLS "id, namespace, method, body, proposer, created_s, expires_s, state"
#define APPROVAL_COLS "proposal, approver, time_s"
#define KEY_META_COLS "name, meta"
#define STAGED_COLS   "policy, json, sha256, created_s, ends_s, would_accept, would_refuse"
/* Of one policy, or of those of a namespace; $3 = 1: only of those without one. */
#define RANGE(COL)                                                                                 \
    COL " >= $1 AND " COL " <= $2 AND ($3 = CAST(0 AS BIGINT) OR " COL " NOT LIKE '%/%')"
#define EVIDENCE_RANGE RANGE("policy")
#define JSON_SIZE      "CAST(coalesce(sum(length(json)), 0) AS BIGINT) AS b"
#define EVIDENCE_COLS  "sha256, policy, tee, claims, evidence, first_s, last_s, accepted, refused"
#define REFERENCE_COLS "name, version, json, sha256, created_s"
#define RAW_COLS       "sha256, namespace, tee, time_s, evidence"
#define HEAD_COLS      "kind, name, last, ops"
#define SELECT(COLS)   "SELECT " COLS ", mac FROM "

static const char *const sql_text[CCZI_SQL_LEN] = {
    [CCZI_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [CCZI_SQL_BEGIN_READ] = "BEGIN IMMEDIATE",
    [CCZI_SQL_BEGIN_WHOLE] = "BEGIN IMMEDIATE",
    [CCZI_SQL_LOCK] = "SELECT 1 WHERE 1 = 0", /* BEGIN IMMEDIATE has it */
    [CCZI_SQL_COMMIT] = "COMMIT",
    [CCZI_SQL_ROLLBACK] = "ROLLBACK",
    [CCZI_SQL_SAVEPOINT] = "SAVEPOINT one",
    [CCZI_SQL_RELEASE] = "RELEASE SAVEPOINT one",
    [CCZI_SQL_UNDO] = "ROLLBACK TO SAVEPOINT one",
    [CCZI_SQL_META_GET] = "SELECT key_check, head FROM meta WHERE id = 1",
    [CCZI_SQL_META_READ] = "SELECT key_check, head FROM meta WHERE id = 1",
    [CCZI_SQL_META_PUT] = "INSERT INTO meta(id, key_check, head) VALUES (1, $1, $2)",
    [CCZI_SQL_HEAD_SET] = "UPDATE meta SET head = $1 WHERE id = 1",
    [CCZI_SQL_ADMIN_GET] = SELECT(ADMIN_COLS) "admin WHERE spki_sha256 = $1 AND namespace = $2",
    [CCZI_SQL_ADMIN_PUT] = "INSERT INTO admin(" ADMIN_COLS ", mac) VALUES ($1, $2, $3, $4, $5, $6)",
    [CCZI_SQL_ADMIN_DEL] = "DELETE FROM admin WHERE spki_sha256 = $1 AND namespace = $2",
    [CCZI_SQL_ADMIN_ALL] = SELECT(ADMIN_COLS) "admin ORDER BY spki_sha256, namespace",
    [CCZI_SQL_ADMIN_OF] = SELECT(ADMIN_COLS) "admin WHERE spki_sha256 = $1 ORDER BY namespace",
    [CCZI_SQL_POLICY_GET] = "SELECT json, sha256, created_s, mac FROM policy WHERE name = $1",
    [CCZI_SQL_POLICY_PUT] =
        "INSERT INTO policy(name, json, sha256, created_s, mac) VALUES ($1, $2, $3, $4, $5)",
    [CCZI_SQL_POLICY_DEL] = "DELETE FROM policy WHERE name = $1",
    [CCZI_SQL_POLICY_ALL] = "SELECT json, sha256, created_s, mac, name FROM policy ORDER BY name",
    [CCZI_SQL_POLICY_OF] =
        "SELECT json, sha256, created_s, mac, name FROM policy WHERE " RANGE("name"),
    [CCZI_SQL_POLICY_USED] = "SELECT 1 FROM binding WHERE policy = $1 LIMIT 1",
    [CCZI_SQL_BIND_GET] = SELECT(BIND_COLS) "binding WHERE kind = $1 AND name = $2 AND op = $3",
    [CCZI_SQL_BIND_PUT] = "INSERT INTO binding(" BIND_COLS ", mac) VALUES ($1, $2, $3, $4, $5)",
    [CCZI_SQL_BIND_DEL] = "DELETE FROM binding WHERE kind = $1 AND name = $2 AND op = $3",
    [CCZI_SQL_BIND_ALL] = SELECT(BIND_COLS) "binding ORDER BY kind, name, op",
    [CCZI_SQL_BIND_OF] = SELECT(BIND_COLS) "binding WHERE kind = $1 AND name = $2 ORDER BY op",
    [CCZI_SQL_ITEM_LAST] = "SELECT max(version) FROM item WHERE kind = $1 AND name = $2",
    [CCZI_SQL_ITEM_GET] =
        "SELECT alg, created_s, enabled, expires_s, delete_after_s, metadata, sealed, mac FROM item"
        " WHERE kind = $1 AND name = $2 AND version = $3",
    [CCZI_SQL_ITEM_PUT] =
        "INSERT INTO item(kind, name, version, alg, created_s, enabled, expires_s, delete_after_s,"
        " metadata, sealed, mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
    [CCZI_SQL_ITEM_STATE] = "UPDATE item SET enabled = $1, delete_after_s = $2, mac = $3"
                            " WHERE kind = $4 AND name = $5 AND version = $6",
    [CCZI_SQL_ITEM_DEL] = "DELETE FROM item WHERE kind = $1 AND name = $2 AND version = $3",
    [CCZI_SQL_ITEM_ALL] =
        "SELECT alg, created_s, enabled, expires_s, delete_after_s, metadata, sealed, mac,"
        " kind, name, version FROM item ORDER BY kind, name, version",
    [CCZI_SQL_LIST] = "SELECT DISTINCT kind AS k, name AS n FROM item"
                      " WHERE kind < 3 AND (kind, name) > ($1, $2)"
                      " UNION ALL SELECT 3, name FROM policy WHERE (3, name) > ($1, $2)"
                      " ORDER BY k, n LIMIT $3",
    [CCZI_SQL_VERSIONS] = "SELECT version FROM item WHERE kind = $1 AND name = $2 AND version > $3"
                          " ORDER BY version",
    [CCZI_SQL_COUNT] =
        "SELECT (SELECT count(DISTINCT name) FROM item WHERE kind = 1),"
        " (SELECT count(DISTINCT name) FROM item WHERE kind = 2), (SELECT count(*) FROM policy),"
        " (SELECT count(*) FROM (SELECT DISTINCT kind, name FROM item WHERE kind < 3) i WHERE NOT "
        "EXISTS"
        "  (SELECT 1 FROM binding b WHERE b.kind = i.kind AND b.name = i.name AND b.op = 0))",
    [CCZI_SQL_QUOTA_ITEMS] =
        "SELECT count(*), CAST(coalesce(sum(n), 0) AS BIGINT), CAST(coalesce(sum(b), 0) AS BIGINT)"
        " FROM (SELECT count(*) AS n, sum(length(metadata) + length(sealed)) AS b FROM item"
        "  WHERE kind IN (1, 2) AND " RANGE("name") " GROUP BY kind, name) i",
    [CCZI_SQL_QUOTA_POLICIES] =
        "SELECT CAST(sum(n) AS BIGINT), CAST(sum(b) AS BIGINT) FROM"
        " (SELECT count(*) AS n, " JSON_SIZE
        " FROM policy WHERE " RANGE("name") "  UNION ALL SELECT count(*), " JSON_SIZE
                                            " FROM reference WHERE " RANGE(
                                                "name") "  UNION ALL SELECT 0, " JSON_SIZE
                                                        " FROM staged WHERE " RANGE("policy") ") p",
    [CCZI_SQL_AUDIT_PUT] =
        "INSERT INTO audit(seq, time_s, entry, prev, hash) VALUES ($1, $2, $3, $4, $5)",
    [CCZI_SQL_AUDIT_FROM] =
        "SELECT seq, time_s, entry, prev, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2",
    [CCZI_SQL_ITEM_1_NEXT] =
        "SELECT alg, created_s, sealed, mac, kind, name, version FROM item_1"
        " WHERE (kind, name, version) > ($1, $2, $3) ORDER BY kind, name, version LIMIT 1",
    [CCZI_SQL_ADMIN_2_NEXT] = "SELECT role, mac, spki_sha256 FROM admin_2"
                              " WHERE spki_sha256 > $1 ORDER BY spki_sha256 LIMIT 1",
    [CCZI_SQL_BIND_2_NEXT] = "SELECT policy, mac, kind, name FROM binding_2"
                             " WHERE (kind, name) > ($1, $2) ORDER BY kind, name LIMIT 1",
    [CCZI_SQL_META_CHECK_SET] = "UPDATE meta SET key_check = $1 WHERE id = 1",
    [CCZI_SQL_ADMIN_REKEY] = "UPDATE admin SET mac = $1 WHERE spki_sha256 = $2 AND namespace = $3",
    [CCZI_SQL_ITEM_REKEY] =
        "UPDATE item SET sealed = $1, mac = $2 WHERE kind = $3 AND name = $4 AND version = $5",
    [CCZI_SQL_BIND_REKEY] = "UPDATE binding SET mac = $1 WHERE kind = $2 AND name = $3 AND op = $4",
    [CCZI_SQL_POLICY_REKEY] = "UPDATE policy SET mac = $1 WHERE name = $2",
    [CCZI_SQL_QUORUM_GET] = SELECT(QUORUM_COLS) "quorum WHERE namespace = $1",
    [CCZI_SQL_QUORUM_PUT] = "INSERT INTO quorum(" QUORUM_COLS ", mac) VALUES ($1, $2, $3)",
    [CCZI_SQL_QUORUM_DEL] = "DELETE FROM quorum WHERE namespace = $1",
    [CCZI_SQL_QUORUM_ALL] = SELECT(QUORUM_COLS) "quorum ORDER BY namespace",
    [CCZI_SQL_QUORUM_REKEY] = "UPDATE quorum SET mac = $1 WHERE namespace = $2",
    [CCZI_SQL_PROPOSAL_GET] = SELECT(PROPOSAL_COLS) "proposal WHERE id = $1",
    [CCZI_SQL_PROPOSAL_PUT] =
        "INSERT INTO proposal(" PROPOSAL_COLS ", mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)",
    [CCZI_SQL_PROPOSAL_DEL] = "DELETE FROM proposal WHERE id = $1",
    [CCZI_SQL_PROPOSAL_ALL] = SELECT(PROPOSAL_COLS) "proposal ORDER BY id",
    [CCZI_SQL_PROPOSAL_LAST] = "SELECT max(id) FROM proposal",
    [CCZI_SQL_PROPOSAL_HEADS] =
        "SELECT id, namespace, state, expires_s, CAST(length(body) AS BIGINT) FROM proposal"
        " ORDER BY id DESC",
    [CCZI_SQL_PROPOSAL_AFTER] =
        "SELECT id, namespace FROM proposal WHERE id > $1 ORDER BY id LIMIT $2",
    [CCZI_SQL_PROPOSAL_REKEY] = "UPDATE proposal SET mac = $1 WHERE id = $2",
    [CCZI_SQL_APPROVAL_GET] =
        SELECT(APPROVAL_COLS) "approval WHERE proposal = $1 AND approver = $2",
    [CCZI_SQL_APPROVAL_PUT] =
        "INSERT INTO approval(" APPROVAL_COLS ", mac) VALUES ($1, $2, $3, $4)",
    [CCZI_SQL_APPROVAL_DEL] = "DELETE FROM approval WHERE proposal = $1 AND approver = $2",
    [CCZI_SQL_APPROVAL_ALL] = SELECT(APPROVAL_COLS) "approval ORDER BY proposal, approver",
    [CCZI_SQL_APPROVAL_OF] =
        SELECT(APPROVAL_COLS) "approval WHERE proposal = $1 ORDER BY time_s, approver",
    [CCZI_SQL_APPROVAL_REKEY] =
        "UPDATE approval SET mac = $1 WHERE proposal = $2 AND approver = $3",
    [CCZI_SQL_KEY_META_GET] = SELECT(KEY_META_COLS) "key_meta WHERE name = $1",
    [CCZI_SQL_KEY_META_PUT] = "INSERT INTO key_meta(" KEY_META_COLS ", mac) VALUES ($1, $2, $3)",
    [CCZI_SQL_KEY_META_DEL] = "DELETE FROM key_meta WHERE name = $1",
    [CCZI_SQL_KEY_META_ALL] = SELECT(KEY_META_COLS) "key_meta ORDER BY name",
    [CCZI_SQL_KEY_META_REKEY] = "UPDATE key_meta SET mac = $1 WHERE name = $2",
    [CCZI_SQL_STAGED_GET] = SELECT(STAGED_COLS) "staged WHERE policy = $1",
    [CCZI_SQL_STAGED_PUT] =
        "INSERT INTO staged(" STAGED_COLS ", mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    [CCZI_SQL_STAGED_DEL] = "DELETE FROM staged WHERE policy = $1",
    [CCZI_SQL_STAGED_ALL] = SELECT(STAGED_COLS) "staged ORDER BY policy",
    [CCZI_SQL_STAGED_NAMES] = "SELECT policy FROM staged WHERE policy > $1 ORDER BY policy",
    [CCZI_SQL_STAGED_OF] = SELECT(STAGED_COLS) "staged WHERE " RANGE("policy"),
    [CCZI_SQL_STAGED_REKEY] = "UPDATE staged SET mac = $1 WHERE policy = $2",
    [CCZI_SQL_EVIDENCE_GET] = SELECT(EVIDENCE_COLS) "evidence WHERE sha256 = $1",
    [CCZI_SQL_EVIDENCE_PUT] = "INSERT INTO evidence(" EVIDENCE_COLS
                              ", mac) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
    [CCZI_SQL_EVIDENCE_DEL] = "DELETE FROM evidence WHERE sha256 = $1",
    [CCZI_SQL_EVIDENCE_ALL] = SELECT(EVIDENCE_COLS) "evidence ORDER BY sha256",
    [CCZI_SQL_EVIDENCE_PAGE] = SELECT(EVIDENCE_COLS) "evidence WHERE sha256 > $1"
                                                     " ORDER BY sha256 LIMIT $2",
    [CCZI_SQL_EVIDENCE_OF] = SELECT(EVIDENCE_COLS) "evidence WHERE policy = $1 AND sha256 > $2"
                                                   " ORDER BY sha256 LIMIT $3",
    [CCZI_SQL_EVIDENCE_COUNT] = "SELECT count(*) FROM evidence WHERE " EVIDENCE_RANGE,
    [CCZI_SQL_EVIDENCE_OLDEST] = "SELECT sha256 FROM evidence WHERE " EVIDENCE_RANGE
                                 " ORDER BY (accepted > 0), last_s, sha256 LIMIT 1",
    [CCZI_SQL_EVIDENCE_REKEY] = "UPDATE evidence SET mac = $1 WHERE sha256 = $2",
    [CCZI_SQL_REFERENCE_GET] = SELECT(REFERENCE_COLS) "reference WHERE name = $1 AND version = $2",
    [CCZI_SQL_REFERENCE_PUT] =
        "INSERT INTO reference(" REFERENCE_COLS ", mac) VALUES ($1, $2, $3, $4, $5, $6)",
    [CCZI_SQL_REFERENCE_DEL] = "DELETE FROM reference WHERE name = $1 AND version = $2",
    [CCZI_SQL_REFERENCE_ALL] = SELECT(REFERENCE_COLS) "reference ORDER BY name, version",
    [CCZI_SQL_REFERENCE_OF] = SELECT(REFERENCE_COLS) "reference WHERE name = $1"
                                                     " ORDER BY version DESC LIMIT $2",
    [CCZI_SQL_REFERENCE_NAMES] =
        "SELECT DISTINCT name FROM reference WHERE name > $1 ORDER BY name",
    [CCZI_SQL_REFERENCE_REKEY] = "UPDATE reference SET mac = $1 WHERE name = $2 AND version = $3",
    [CCZI_SQL_RAW_GET] = SELECT(RAW_COLS) "raw_evidence WHERE sha256 = $1 AND namespace = $2",
    [CCZI_SQL_RAW_PUT] =
        "INSERT INTO raw_evidence(" RAW_COLS ", mac) VALUES ($1, $2, $3, $4, $5, $6)",
    [CCZI_SQL_RAW_DEL] = "DELETE FROM raw_evidence WHERE sha256 = $1 AND namespace = $2",
    [CCZI_SQL_RAW_ALL] = SELECT(RAW_COLS) "raw_evidence ORDER BY sha256, namespace",
    [CCZI_SQL_RAW_COUNT] =
        "SELECT count(*), CAST(coalesce(sum(length(evidence)), 0) AS BIGINT) FROM raw_evidence"
        " WHERE namespace = $1",
    [CCZI_SQL_RAW_OLDEST] = "SELECT sha256 FROM raw_evidence WHERE namespace = $1"
                            " ORDER BY time_s, sha256 LIMIT 1",
    [CCZI_SQL_HEADS_GET] = SELECT(HEAD_COLS) "item_head WHERE kind = $1 AND name = $2",
    [CCZI_SQL_HEADS_PUT] = "INSERT INTO item_head(" HEAD_COLS ", mac) VALUES ($1, $2, $3, $4, $5)",
    [CCZI_SQL_HEADS_DEL] = "DELETE FROM item_head WHERE kind = $1 AND name = $2",
    [CCZI_SQL_HEADS_ALL] = SELECT(HEAD_COLS) "item_head ORDER BY kind, name",
    [CCZI_SQL_HEADS_REKEY] = "UPDATE item_head SET mac = $1 WHERE kind = $2 AND name = $3",
    [CCZI_SQL_ITEM_NAME_NEXT] = "SELECT kind, name FROM item WHERE (kind, name) > ($1, $2)"
                                " ORDER BY kind, name LIMIT 1",
    [CCZI_SQL_RAW_REKEY] = "UPDATE raw_evidence SET mac = $1 WHERE sha256 = $2 AND namespace = $3",
};

const char *cczi_kms_sql_text(enum cczi_kms_sql sql)
{
    return sql_text[sql];
}

/* ------------------------------------------------------------------------- database */

ccz_rc cczi_kms_db_open(struct cczi_kms_db *db, const struct ccz_kms_backend *ops,
                        const char *target, bool create, struct ccz_err *err)
{
    *db = (struct cczi_kms_db){.ops = ops};
    return cczi_kms_hint(err, ops->open(&db->db, target, create, err));
}

void cczi_kms_db_close(struct cczi_kms_db *db)
{
    if (db->db)
        db->ops->close(db->db);
    *db = (struct cczi_kms_db){0};
}

ccz_rc cczi_kms_db_copy(const char *path, struct cczi_kms_db *db, struct ccz_err *err)
{
    if (!db->ops->copy)
        return cczi_kms_hint(
            err, ccz_refuse(err, CCZ_E_ARG, "kms:backup", db->ops->name, "a store in SQLite"));
    struct ccz_newfile f;
    ccz_rc rc = ccz_newfile_open(&f, path, 0600, err);
    if (rc != CCZ_OK)
        return rc;
    rc = db->ops->copy(f.tmp, db->db, err);
    if (rc == CCZ_OK)
        rc = ccz_newfile_commit(&f, CCZ_FILE_REPLACE, err);
    ccz_newfile_abort(&f);
    return rc;
}

bool cczi_kms_db_in_tx(const struct cczi_kms_db *db)
{
    return db->ops->in_tx(db->db);
}

ccz_rc cczi_kms_db_schema(int64_t *out, struct cczi_kms_db *db, struct ccz_err *err)
{
    *out = 0;
    return db->ops->schema(out, db->db, err);
}

ccz_rc cczi_kms_db_create(struct cczi_kms_db *db, struct ccz_err *err)
{
    return db->ops->exec(db->db, db->ops->create_sql, err);
}

ccz_rc cczi_kms_db_exec(struct cczi_kms_db *db, const char *sql, struct ccz_err *err)
{
    db->as_of++;
    return db->ops->exec(db->db, sql, err);
}

/* ---------------------------------------------------------------------- statements */

struct cczi_q cczi_q_start(struct cczi_kms_db *db, enum cczi_kms_sql sql)
{
    return (struct cczi_q){.db = db, .sql = sql};
}

static void bind(struct cczi_q *q, struct cczi_kms_param p)
{
    if (q->state == CCZI_Q_BINDING && q->bound < CCZI_KMS_PARAMS_MAX)
        q->param[q->bound++] = p;
}

void cczi_q_param(struct cczi_q *q, const struct cczi_kms_param *p)
{
    bind(q, *p);
}

void cczi_q_int(struct cczi_q *q, int64_t v)
{
    bind(q, (struct cczi_kms_param){.type = CCZI_KMS_INT, .num = v});
}

void cczi_q_text(struct cczi_q *q, const char *s)
{
    bind(q, (struct cczi_kms_param){.type = CCZI_KMS_TEXT, .bytes = ccz_span_str(s)});
}

void cczi_q_blob(struct cczi_q *q, struct ccz_span s)
{
    bind(q, (struct cczi_kms_param){.type = CCZI_KMS_BLOB, .bytes = s});
}

static bool set_savepoint(struct cczi_kms_db *db)
{
    if (db->savepoint != CCZI_KMS_SAVEPOINT_DUE)
        return true;
    enum cczi_kms_step step = db->ops->first(db->db, CCZI_SQL_SAVEPOINT, NULL, 0);
    db->ops->end(db->db, CCZI_SQL_SAVEPOINT);
    if (step == CCZI_KMS_STEP_DONE)
        db->savepoint = CCZI_KMS_SAVEPOINT_SET;
    return step == CCZI_KMS_STEP_DONE;
}

ccz_rc cczi_kms_db_savepoint(struct cczi_kms_db *db, struct ccz_err *err)
{
    return set_savepoint(db) ? CCZ_OK : cczi_kms_hint(err, db->ops->fail(&db->fault, db->db, err));
}

bool cczi_kms_sql_writes(enum cczi_kms_sql sql)
{
    const char *t = cczi_kms_sql_text(sql);
    return strncmp(t, "INSERT", 6) == 0 || strncmp(t, "UPDATE", 6) == 0 ||
           strncmp(t, "DELETE", 6) == 0;
}

/* Whether what is read may be another thing from here on. The log and the head of the store are nobody's rows. */
static bool changes(enum cczi_kms_sql sql)
{
    if (sql <= CCZI_SQL_UNDO)
        return sql != CCZI_SQL_SAVEPOINT && sql != CCZI_SQL_RELEASE;
    return cczi_kms_sql_writes(sql) && sql != CCZI_SQL_AUDIT_PUT && sql != CCZI_SQL_HEAD_SET;
}

ccz_rc cczi_kms_db_ahead(struct cczi_kms_db *db, const struct cczi_kms_ask *asks, size_t len,
                         struct ccz_err *err)
{
    if (!db->ops->ahead || len == 0)
        return CCZ_OK;
    if (db->ahead_as_of != db->as_of)
        db->ops->forget(db->db);
    db->ahead_as_of = db->as_of;
    return db->ops->ahead(db->db, asks, len) == CCZ_OK
               ? CCZ_OK
               : cczi_kms_hint(err, db->ops->fail(&db->fault, db->db, err));
}

static enum cczi_kms_step first(const struct cczi_q *q)
{
    const struct cczi_kms_db *db = q->db;
    enum cczi_kms_step step = CCZI_KMS_STEP_UNASKED;
    if (db->ops->kept && db->ahead_as_of == db->as_of)
        step = db->ops->kept(db->db, q->sql, q->param, q->bound);
    return step != CCZI_KMS_STEP_UNASKED ? step
                                         : db->ops->first(db->db, q->sql, q->param, q->bound);
}

bool cczi_q_row(struct cczi_q *q)
{
    const struct ccz_kms_backend *ops = q->db->ops;
    if (q->state != CCZI_Q_BINDING && q->state != CCZI_Q_ROW)
        return false;
    if (q->state == CCZI_Q_BINDING && changes(q->sql))
        q->db->as_of++;
    if (q->state == CCZI_Q_BINDING && cczi_kms_sql_writes(q->sql) && !set_savepoint(q->db)) {
        q->state = CCZI_Q_FAILED;
        return false;
    }
    enum cczi_kms_step step = q->state == CCZI_Q_BINDING ? first(q) : ops->next(q->db->db, q->sql);
    if (step != CCZI_KMS_STEP_FAILED)
        atomic_store_explicit(&q->db->alive_ms, ccz_mono_ms(), memory_order_relaxed);
    q->state = step == CCZI_KMS_STEP_ROW    ? CCZI_Q_ROW
               : step == CCZI_KMS_STEP_DONE ? CCZI_Q_DONE
                                            : CCZI_Q_FAILED;
    return q->state == CCZI_Q_ROW;
}

int64_t cczi_q_col_int(struct cczi_q *q, int col)
{
    int64_t v = 0;
    if (q->state == CCZI_Q_ROW && !q->db->ops->col_int(&v, q->db->db, q->sql, col))
        q->state = CCZI_Q_ALIEN;
    return v;
}

struct ccz_span cczi_q_col(struct cczi_q *q, int col)
{
    return q->state == CCZI_Q_ROW ? q->db->ops->col(q->db->db, q->sql, col) : (struct ccz_span){0};
}

void cczi_q_col_text(char *out, size_t out_size, struct cczi_q *q, int col)
{
    struct ccz_span t = cczi_q_col(q, col);
    out[0] = 0;
    if (t.size >= out_size || (t.size && memchr(t.ptr, 0, t.size))) {
        q->state = CCZI_Q_ALIEN; /* we never wrote such a text */
        return;
    }
    if (t.size)
        memcpy(out, t.ptr, t.size);
    out[t.size] = 0;
}

void cczi_q_col_bytes(uint8_t *out, size_t size, struct cczi_q *q, int col)
{
    struct ccz_span t = cczi_q_col(q, col);
    if (t.size != size) {
        memset(out, 0, size);
        q->state = CCZI_Q_ALIEN;
        return;
    }
    memcpy(out, t.ptr, size);
}

ccz_rc cczi_q_end(struct cczi_q *q, struct ccz_err *err)
{
    if (q->state == CCZI_Q_BINDING) /* a statement whose rows are not asked for */
        (void)cczi_q_row(q);
    ccz_rc rc = CCZ_OK;
    if (q->state == CCZI_Q_FAILED)
        rc = cczi_kms_hint(err, q->db->ops->fail(&q->db->fault, q->db->db, err));
    else if (q->state == CCZI_Q_ALIEN)
        rc = ccz_fail(err, CCZ_E_SIG, "kms:store-corrupt", q->sql,
                      "the database has a column that we never write");
    q->db->ops->end(q->db->db, q->sql);
    return rc;
}

ccz_rc cczi_q_end_after(struct cczi_q *q, ccz_rc rc, struct ccz_err *err)
{
    bool open = rc == CCZ_OK || rc == CCZ_E_NOT_FOUND;
    ccz_rc end = cczi_q_end(q, open ? err : NULL);
    return open && end != CCZ_OK ? end : rc;
}
