/* SPDX-License-Identifier: Apache-2.0 */
/*
 * SQLite, and only here. Durable by configuration: WAL with synchronous=FULL syncs the log at every
 * commit, so an acknowledged transaction survives a crash and a power cut; the checksums of the log
 * leave no partial one.
 */
#define _DEFAULT_SOURCE
#include "kms_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 1000, ROW_SIZE_MAX = 2 << 20 };

static const char schema_sql[] =
    "CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK (id = 1), key_check BLOB NOT NULL, head BLOB "
    "NOT NULL) STRICT;"
    "CREATE TABLE admin(spki_sha256 BLOB PRIMARY KEY, role INTEGER NOT NULL, mac BLOB NOT NULL) "
    "STRICT;"
    "CREATE TABLE policy(name TEXT PRIMARY KEY, json BLOB NOT NULL, sha256 BLOB NOT NULL,"
    "  created_s INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;"
    "CREATE TABLE item(kind INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL, alg "
    "TEXT NOT NULL,"
    "  created_s INTEGER NOT NULL, sealed BLOB NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (kind, "
    "name, version)) STRICT;"
    "CREATE TABLE binding(kind INTEGER NOT NULL, name TEXT NOT NULL, policy TEXT NOT NULL, mac "
    "BLOB NOT NULL,"
    "  PRIMARY KEY (kind, name)) STRICT;"
    "CREATE INDEX binding_policy ON binding(policy);"
    "CREATE TABLE audit(seq INTEGER PRIMARY KEY, time_s INTEGER NOT NULL, entry BLOB NOT NULL,"
    "  prev BLOB NOT NULL, hash BLOB NOT NULL) STRICT;"
    "PRAGMA application_id = 0x63637a6b;" /* "cczk" */
    "PRAGMA user_version = 1;";

static const char *const sql_text[CCZI_SQL_LEN] = {
    [CCZI_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [CCZI_SQL_COMMIT] = "COMMIT",
    [CCZI_SQL_ROLLBACK] = "ROLLBACK",
    [CCZI_SQL_META_GET] = "SELECT key_check, head FROM meta WHERE id = 1",
    [CCZI_SQL_META_PUT] = "INSERT INTO meta(id, key_check, head) VALUES (1, ?, ?)",
    [CCZI_SQL_HEAD_SET] = "UPDATE meta SET head = ? WHERE id = 1",
    [CCZI_SQL_ADMIN_GET] = "SELECT role, mac FROM admin WHERE spki_sha256 = ?",
    [CCZI_SQL_ADMIN_PUT] = "INSERT INTO admin(spki_sha256, role, mac) VALUES (?, ?, ?)",
    [CCZI_SQL_ADMIN_DEL] = "DELETE FROM admin WHERE spki_sha256 = ?",
    [CCZI_SQL_ADMIN_ALL] = "SELECT role, mac, spki_sha256 FROM admin ORDER BY spki_sha256",
    [CCZI_SQL_POLICY_GET] = "SELECT json, sha256, created_s, mac FROM policy WHERE name = ?",
    [CCZI_SQL_POLICY_PUT] =
        "INSERT INTO policy(name, json, sha256, created_s, mac) VALUES (?, ?, ?, ?, ?)",
    [CCZI_SQL_POLICY_DEL] = "DELETE FROM policy WHERE name = ?",
    [CCZI_SQL_POLICY_ALL] = "SELECT json, sha256, created_s, mac, name FROM policy ORDER BY name",
    [CCZI_SQL_POLICY_USED] = "SELECT 1 FROM binding WHERE policy = ? LIMIT 1",
    [CCZI_SQL_BIND_GET] = "SELECT policy, mac FROM binding WHERE kind = ? AND name = ?",
    [CCZI_SQL_BIND_PUT] = "INSERT INTO binding(kind, name, policy, mac) VALUES (?, ?, ?, ?)",
    [CCZI_SQL_BIND_DEL] = "DELETE FROM binding WHERE kind = ? AND name = ?",
    [CCZI_SQL_BIND_ALL] = "SELECT policy, mac, kind, name FROM binding ORDER BY kind, name",
    [CCZI_SQL_ITEM_LAST] = "SELECT max(version) FROM item WHERE kind = ? AND name = ?",
    [CCZI_SQL_ITEM_GET] =
        "SELECT alg, created_s, sealed, mac FROM item WHERE kind = ? AND name = ? AND version = ?",
    [CCZI_SQL_ITEM_PUT] = "INSERT INTO item(kind, name, version, alg, created_s, sealed, mac)"
                          " VALUES (?, ?, ?, ?, ?, ?, ?)",
    [CCZI_SQL_ITEM_DEL] = "DELETE FROM item WHERE kind = ? AND name = ? AND version = ?",
    [CCZI_SQL_ITEM_ALL] = "SELECT alg, created_s, sealed, mac, kind, name, version FROM item"
                          " ORDER BY kind, name, version",
    /* a bare column beside max() is taken from the row of the maximum (SQLite, "lang_select", 3) */
    [CCZI_SQL_LIST] =
        "SELECT i.kind AS k, i.name AS n, max(i.version), i.alg, i.created_s, coalesce(b.policy, "
        "'') FROM item i"
        " LEFT JOIN binding b ON b.kind = i.kind AND b.name = i.name"
        " WHERE i.kind < 3 AND (i.kind, i.name) > (?1, ?2) GROUP BY i.kind, i.name"
        " UNION ALL SELECT 3, name, 0, '', created_s, '' FROM policy WHERE (3, name) > (?1, ?2)"
        " ORDER BY k, n LIMIT ?3",
    [CCZI_SQL_VERSIONS] =
        "SELECT i.kind, i.name, i.version, i.alg, i.created_s, coalesce(b.policy, '') FROM item i"
        " LEFT JOIN binding b ON b.kind = i.kind AND b.name = i.name"
        " WHERE i.kind = ? AND i.name = ? ORDER BY i.version",
    [CCZI_SQL_COUNT] =
        "SELECT (SELECT count(DISTINCT name) FROM item WHERE kind = 1),"
        " (SELECT count(DISTINCT name) FROM item WHERE kind = 2), (SELECT count(*) FROM policy),"
        " (SELECT count(*) FROM (SELECT DISTINCT kind, name FROM item WHERE kind < 3) i WHERE NOT "
        "EXISTS"
        "  (SELECT 1 FROM binding b WHERE b.kind = i.kind AND b.name = i.name))",
    [CCZI_SQL_AUDIT_PUT] =
        "INSERT INTO audit(seq, time_s, entry, prev, hash) VALUES (?, ?, ?, ?, ?)",
    [CCZI_SQL_AUDIT_FROM] =
        "SELECT seq, time_s, entry, prev, hash FROM audit WHERE seq > ? ORDER BY seq LIMIT ?",
};

/* --------------------------------------------------------------------------- errors */

static bool is_full(int rc, int e)
{
    return rc == SQLITE_FULL ||
           ((rc & 0xff) == SQLITE_IOERR && (e == ENOSPC || e == EFBIG || e == EDQUOT));
}

static ccz_rc db_fail(struct cczi_kms_db *db, int rc, struct ccz_err *err)
{
    int e = db->db ? sqlite3_system_errno(db->db) : 0;
    if (e == 0) /* SQLite keeps it for opening files only; errno was cleared before the call */
        e = errno;
    if (is_full(rc, e)) {
        ccz_fail(err, CCZ_E_IO, "kms:store-full", e, "no room to record this, so it was not done");
        return cczi_kms_hint(err, CCZ_E_IO);
    }
    switch (rc & 0xff) {
    case SQLITE_BUSY:
        ccz_fail(err, CCZ_E_UNAVAILABLE, "kms:store-busy", 0,
                 "another process has the database open");
        return cczi_kms_hint(err, CCZ_E_UNAVAILABLE);
    case SQLITE_CANTOPEN:
        return ccz_fail(err, CCZ_E_NOT_FOUND, "kms:store-open", e, "cannot open the database: %s",
                        strerror(e));
    case SQLITE_NOMEM:
        return ccz_fail(err, CCZ_E_NOMEM, "kms:store", 0, "out of memory");
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ccz_fail(err, CCZ_E_SIG, "kms:store-corrupt", rc, "the database file is damaged: %s",
                        sqlite3_errstr(rc));
    case SQLITE_CONSTRAINT:
        return ccz_fail(err, CCZ_E_INTERNAL, "kms:store-constraint", rc,
                        "a constraint of the database was violated");
    default:
        return ccz_fail(err, CCZ_E_IO, "kms:store", rc, "%s (system error %d)", sqlite3_errstr(rc),
                        e);
    }
}

ccz_rc cczi_kms_db_exec(struct cczi_kms_db *db, const char *sql, struct ccz_err *err)
{
    errno = 0;
    int rc = sqlite3_exec(db->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? CCZ_OK : db_fail(db, rc, err);
}

/* ----------------------------------------------------------------------------- open */

/* SQLite would create the file with the umask's mode; the log beside it inherits the mode of the
 * file. */
static ccz_rc create_file(const char *path, struct ccz_err *err)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return ccz_fail(err, CCZ_E_IO, "kms:store-open", errno, "cannot create %s: %s", path,
                        strerror(errno));
    close(fd);
    return CCZ_OK;
}

/* `expect` is what the pragma must answer: a setting that was not taken must not pass silently. */
static ccz_rc pragma(struct cczi_kms_db *db, const char *sql, const char *expect,
                     struct ccz_err *err)
{
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->db, sql, -1, &st, NULL);
    char got[32] = "";
    if (rc == SQLITE_OK) {
        rc = sqlite3_step(st);
        if (rc == SQLITE_ROW)
            (void)sqlite3_snprintf((int)sizeof(got), got, "%s",
                                   (const char *)sqlite3_column_text(st, 0));
        rc = sqlite3_finalize(st);
    }
    if (rc != SQLITE_OK)
        return db_fail(db, rc, err);
    return strcmp(got, expect) == 0 ? CCZ_OK
                                    : ccz_refuse(err, CCZ_E_IO, "kms:store-pragma", got, expect);
}

static ccz_rc configure(struct cczi_kms_db *db, bool memory, struct ccz_err *err)
{
    (void)sqlite3_extended_result_codes(db->db, 1);
    (void)sqlite3_busy_timeout(db->db, BUSY_TIMEOUT_MS);
    (void)sqlite3_limit(db->db, SQLITE_LIMIT_LENGTH, ROW_SIZE_MAX);
    (void)sqlite3_limit(db->db, SQLITE_LIMIT_ATTACHED, 0);
    /* the file may be hostile: nothing in it may run code or change how we read it */
    (void)sqlite3_db_config(db->db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    (void)sqlite3_db_config(db->db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    (void)sqlite3_db_config(db->db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    (void)sqlite3_db_config(db->db, SQLITE_DBCONFIG_ENABLE_VIEW, 0, NULL);
    (void)sqlite3_db_config(db->db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    static const struct {
        const char *sql, *file, *memory;
    } pragmas[] = {
        {"PRAGMA locking_mode = EXCLUSIVE", "exclusive",
         "exclusive"}, /* first: no shared memory file then */
        {"PRAGMA journal_mode = WAL", "wal", "memory"},
        {"PRAGMA synchronous = FULL", "", ""},
        {"PRAGMA synchronous", "2", "2"},
        {"PRAGMA secure_delete = ON", "1", "1"},
        {"PRAGMA cell_size_check = ON", "", ""},
        {"PRAGMA temp_store = MEMORY", "", ""},
        {"PRAGMA mmap_size = 0", "0", NULL}, /* an I/O error must not be a SIGBUS */
    };
    for (size_t i = 0; i < sizeof(pragmas) / sizeof(pragmas[0]); i++) {
        const char *expect = memory ? pragmas[i].memory : pragmas[i].file;
        ccz_rc rc = expect ? pragma(db, pragmas[i].sql, expect, err) : CCZ_OK;
        if (rc != CCZ_OK)
            return rc;
    }
    return CCZ_OK;
}

ccz_rc cczi_kms_db_open(struct cczi_kms_db *db, const char *path, bool create, struct ccz_err *err)
{
    *db = (struct cczi_kms_db){0};
    bool memory = strcmp(path, ":memory:") == 0;
    ccz_rc rc = create && !memory ? create_file(path, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int r = sqlite3_open_v2(path, &db->db, flags, NULL);
    rc = r == SQLITE_OK ? configure(db, memory, err) : db_fail(db, r, err);
    if (rc != CCZ_OK)
        cczi_kms_db_close(db);
    return rc;
}

void cczi_kms_db_close(struct cczi_kms_db *db)
{
    for (size_t i = 0; i < CCZI_SQL_LEN; i++)
        (void)sqlite3_finalize(db->stmt[i]);
    (void)sqlite3_close(db->db);
    *db = (struct cczi_kms_db){0};
}

bool cczi_kms_db_in_tx(const struct cczi_kms_db *db)
{
    return sqlite3_get_autocommit(db->db) == 0;
}

ccz_rc cczi_kms_db_schema(int64_t *out, struct cczi_kms_db *db, struct ccz_err *err)
{
    *out = 0;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->db, "PRAGMA user_version", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        if (sqlite3_step(st) == SQLITE_ROW)
            *out = sqlite3_column_int64(st, 0);
        rc = sqlite3_finalize(st);
    }
    return rc == SQLITE_OK ? CCZ_OK : db_fail(db, rc, err);
}

ccz_rc cczi_kms_db_create(struct cczi_kms_db *db, struct ccz_err *err)
{
    return cczi_kms_db_exec(db, schema_sql, err);
}

ccz_rc cczi_kms_db_prepare(struct cczi_kms_db *db, struct ccz_err *err)
{
    for (size_t i = 0; i < CCZI_SQL_LEN; i++) {
        int rc = sqlite3_prepare_v3(db->db, sql_text[i], -1, SQLITE_PREPARE_PERSISTENT,
                                    &db->stmt[i], NULL);
        if (rc != SQLITE_OK)
            return db_fail(db, rc, err);
    }
    return CCZ_OK;
}

/* ---------------------------------------------------------------------- statements */

struct cczi_q cczi_q_start(struct cczi_kms_db *db, enum cczi_kms_sql sql)
{
    return (struct cczi_q){.db = db, .stmt = db->stmt[sql], .rc = SQLITE_OK};
}

void cczi_q_int(struct cczi_q *q, int64_t v)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_int64(q->stmt, ++q->bound, v);
}

void cczi_q_text(struct cczi_q *q, const char *s)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_text(q->stmt, ++q->bound, s, -1, SQLITE_STATIC);
}

void cczi_q_blob(struct cczi_q *q, struct ccz_span s)
{
    if (q->rc == SQLITE_OK)
        q->rc = sqlite3_bind_blob64(q->stmt, ++q->bound, s.size ? (const void *)s.ptr : "", s.size,
                                    SQLITE_STATIC);
}

bool cczi_q_row(struct cczi_q *q)
{
    if (q->rc != SQLITE_OK && q->rc != SQLITE_ROW)
        return false;
    errno = 0;
    q->rc = sqlite3_step(q->stmt);
    return q->rc == SQLITE_ROW;
}

int64_t cczi_q_col_int(const struct cczi_q *q, int col)
{
    return sqlite3_column_int64(q->stmt, col);
}

struct ccz_span cczi_q_col(const struct cczi_q *q, int col)
{
    const void *p = sqlite3_column_blob(q->stmt, col); /* before the size: SQLite may convert */
    return CCZ_SPAN(p, (size_t)sqlite3_column_bytes(q->stmt, col));
}

void cczi_q_col_text(char *out, size_t out_size, struct cczi_q *q, int col)
{
    struct ccz_span t = cczi_q_col(q, col);
    out[0] = 0;
    if (t.size >= out_size || (t.size && memchr(t.ptr, 0, t.size))) {
        q->rc = SQLITE_CORRUPT; /* we never wrote such a text */
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
        q->rc = SQLITE_CORRUPT;
        return;
    }
    memcpy(out, t.ptr, size);
}

ccz_rc cczi_q_end(struct cczi_q *q, struct ccz_err *err)
{
    int rc = q->rc;
    ccz_rc out = CCZ_OK;
    if (rc == SQLITE_OK) { /* a statement whose rows are not asked for */
        (void)cczi_q_row(q);
        rc = q->rc;
    }
    if (rc != SQLITE_ROW && rc != SQLITE_DONE)
        out = db_fail(q->db, rc, err);
    (void)sqlite3_reset(q->stmt);
    (void)sqlite3_clear_bindings(q->stmt);
    return out;
}

ccz_rc cczi_q_end_after(struct cczi_q *q, ccz_rc rc, struct ccz_err *err)
{
    bool open = rc == CCZ_OK || rc == CCZ_E_NOT_FOUND;
    ccz_rc end = cczi_q_end(q, open ? err : NULL);
    return open && end != CCZ_OK ? end : rc;
}
