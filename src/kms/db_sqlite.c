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
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { BUSY_TIMEOUT_MS = 1000, ROW_SIZE_MAX = 2 << 20 };

struct sqlite {
    sqlite3 *db;
    sqlite3_stmt *stmt[CCZI_SQL_LEN]; /* prepared when they are first used */
    int rc, sys_errno;                /* of the last step that failed */
};

#define ITEM_SQL                                                                                   \
    "CREATE TABLE item(kind INTEGER NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,"       \
    "  alg TEXT NOT NULL, created_s INTEGER NOT NULL, enabled INTEGER NOT NULL,"                   \
    "  expires_s INTEGER NOT NULL, delete_after_s INTEGER NOT NULL, metadata BLOB NOT NULL,"       \
    "  sealed BLOB NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (kind, name, version)) STRICT;"

#define ACCESS_SQL                                                                                 \
    "CREATE TABLE admin(spki_sha256 BLOB NOT NULL, namespace TEXT NOT NULL, kind INTEGER NOT "     \
    "NULL,"                                                                                        \
    "  roles INTEGER NOT NULL, label TEXT NOT NULL, mac BLOB NOT NULL,"                            \
    "  PRIMARY KEY (spki_sha256, namespace)) STRICT;"                                              \
    "CREATE TABLE quorum(namespace TEXT PRIMARY KEY, needed INTEGER NOT NULL, mac BLOB NOT NULL)"  \
    "  STRICT;"                                                                                    \
    "CREATE TABLE proposal(id INTEGER PRIMARY KEY, namespace TEXT NOT NULL, method TEXT NOT NULL," \
    "  body BLOB NOT NULL, proposer BLOB NOT NULL, created_s INTEGER NOT NULL,"                    \
    "  expires_s INTEGER NOT NULL, state INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;"             \
    "CREATE TABLE approval(proposal INTEGER NOT NULL, approver BLOB NOT NULL,"                     \
    "  time_s INTEGER NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (proposal, approver)) STRICT;"

#define USE_SQL                                                                                    \
    "CREATE TABLE binding(kind INTEGER NOT NULL, name TEXT NOT NULL, op INTEGER NOT NULL,"         \
    "  policy TEXT NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (kind, name, op)) STRICT;"             \
    "CREATE INDEX binding_policy ON binding(policy);"                                              \
    "CREATE TABLE key_meta(name TEXT PRIMARY KEY, meta BLOB NOT NULL, mac BLOB NOT NULL) STRICT;"  \
    "CREATE TABLE staged(policy TEXT PRIMARY KEY, json BLOB NOT NULL, sha256 BLOB NOT NULL,"       \
    "  created_s INTEGER NOT NULL, ends_s INTEGER NOT NULL, would_accept INTEGER NOT NULL,"        \
    "  would_refuse INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;"                                  \
    "CREATE TABLE evidence(sha256 BLOB PRIMARY KEY, policy TEXT NOT NULL, tee INTEGER NOT NULL,"   \
    "  claims BLOB NOT NULL, evidence BLOB NOT NULL, first_s INTEGER NOT NULL, last_s INTEGER "    \
    "NOT NULL,"                                                                                    \
    "  accepted INTEGER NOT NULL, refused INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;"            \
    "CREATE INDEX evidence_last ON evidence((accepted > 0), last_s, sha256);"                      \
    "CREATE INDEX evidence_policy ON evidence(policy, sha256);"

#define SCHEMA_4_SQL                                                                               \
    "CREATE TABLE reference(name TEXT NOT NULL, version INTEGER NOT NULL, json BLOB NOT NULL,"     \
    "  sha256 BLOB NOT NULL, created_s INTEGER NOT NULL, mac BLOB NOT NULL,"                       \
    "  PRIMARY KEY (name, version)) STRICT;"                                                       \
    "CREATE TABLE raw_evidence(sha256 BLOB NOT NULL, namespace TEXT NOT NULL,"                     \
    "  tee INTEGER NOT NULL, time_s INTEGER NOT NULL, evidence BLOB NOT NULL, mac BLOB NOT NULL,"  \
    "  PRIMARY KEY (sha256, namespace)) STRICT;"                                                   \
    "CREATE INDEX raw_evidence_time ON raw_evidence(namespace, time_s, sha256);"

#define SCHEMA_5_SQL                                                                               \
    "CREATE TABLE item_head(kind INTEGER NOT NULL, name TEXT NOT NULL, last INTEGER NOT NULL,"     \
    "  ops INTEGER NOT NULL, mac BLOB NOT NULL, PRIMARY KEY (kind, name)) STRICT;"

static const char schema_sql[] =
    "CREATE TABLE meta(id INTEGER PRIMARY KEY CHECK (id = 1), key_check BLOB NOT NULL, head BLOB "
    "NOT NULL) STRICT;" ACCESS_SQL
    "CREATE TABLE policy(name TEXT PRIMARY KEY, json BLOB NOT NULL, sha256 BLOB NOT NULL,"
    "  created_s INTEGER NOT NULL, mac BLOB NOT NULL) STRICT;" ITEM_SQL USE_SQL SCHEMA_4_SQL
        SCHEMA_5_SQL
    "CREATE TABLE audit(seq INTEGER PRIMARY KEY, time_s INTEGER NOT NULL, entry BLOB NOT NULL,"
    "  prev BLOB NOT NULL, hash BLOB NOT NULL) STRICT;"
    "PRAGMA application_id = 0x63637a6b;" /* "cczk" */
    "PRAGMA user_version = 6;";

/* Schema 2 gave versions of items a state of their own: enabled, expiry, deletion, metadata. Schema 3: roles by namespace,
 * approvals, bindings by operation, keys that work inside the KMS, evidence that was seen, policies on trial. Schema 4: sets of
 * reference values, raw evidence; what was there stays as it is. Schema 5: a head for each item. Schema 6: rows of heads for sets of reference values. */
#define BEFORE_2                                                                                   \
    "ALTER TABLE admin RENAME TO admin_2; DROP INDEX binding_policy;"                              \
    "ALTER TABLE binding RENAME TO binding_2;" ACCESS_SQL USE_SQL SCHEMA_4_SQL SCHEMA_5_SQL
#define AFTER_2 "DROP TABLE admin_2; DROP TABLE binding_2; PRAGMA user_version = 6;"
static const struct cczi_kms_migration migrations[] = {
    {1, "ALTER TABLE item RENAME TO item_1;" ITEM_SQL BEFORE_2, "DROP TABLE item_1;" AFTER_2},
    {2, BEFORE_2, AFTER_2},
    {3, SCHEMA_4_SQL SCHEMA_5_SQL, "PRAGMA user_version = 6;"},
    {4, SCHEMA_5_SQL, "PRAGMA user_version = 6;"},
    {5, NULL, "PRAGMA user_version = 6;"},
};

/* --------------------------------------------------------------------------- errors */

static bool is_full(int rc, int e)
{
    return rc == SQLITE_FULL ||
           ((rc & 0xff) == SQLITE_IOERR && (e == ENOSPC || e == EFBIG || e == EDQUOT));
}

/* SQLite keeps the number of the system's error for opening files only; errno was cleared before the call */
static int sys_errno(const struct sqlite *db)
{
    int e = db->db ? sqlite3_system_errno(db->db) : 0;
    return e ? e : errno;
}

static ccz_rc explain(int rc, int e, struct ccz_err *err)
{
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

static ccz_rc db_fail(const struct sqlite *db, int rc, struct ccz_err *err)
{
    return explain(rc, sys_errno(db), err);
}

static ccz_rc db_exec(void *arg, const char *sql, struct ccz_err *err)
{
    struct sqlite *db = arg;
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
static ccz_rc pragma(struct sqlite *db, const char *sql, const char *expect, struct ccz_err *err)
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

static ccz_rc configure(struct sqlite *db, bool memory, struct ccz_err *err)
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

static void db_close(void *arg)
{
    struct sqlite *db = arg;
    for (size_t i = 0; i < CCZI_SQL_LEN; i++)
        (void)sqlite3_finalize(db->stmt[i]);
    (void)sqlite3_close(db->db);
    free(db);
}

static ccz_rc db_open(void **out, const char *path, bool create, struct ccz_err *err)
{
    *out = NULL;
    bool memory = strcmp(path, ":memory:") == 0;
    ccz_rc rc = create && !memory ? create_file(path, err) : CCZ_OK;
    if (rc != CCZ_OK)
        return rc;
    struct sqlite *db = calloc(1, sizeof(*db));
    if (!db)
        return ccz_fail(err, CCZ_E_NOMEM, "kms:store", 0, "out of memory");
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_NOFOLLOW;
    int r = sqlite3_open_v2(path, &db->db, flags, NULL);
    rc = r == SQLITE_OK ? configure(db, memory, err) : db_fail(db, r, err);
    if (rc != CCZ_OK)
        db_close(db);
    else
        *out = db;
    return rc;
}

static bool db_in_tx(const void *arg)
{
    const struct sqlite *db = arg;
    return sqlite3_get_autocommit(db->db) == 0;
}

static ccz_rc db_schema(int64_t *out, void *arg, struct ccz_err *err)
{
    struct sqlite *db = arg;
    sqlite3_stmt *st = NULL;
    int rc = sqlite3_prepare_v2(db->db, "PRAGMA user_version", -1, &st, NULL);
    if (rc == SQLITE_OK) {
        if (sqlite3_step(st) == SQLITE_ROW)
            *out = sqlite3_column_int64(st, 0);
        rc = sqlite3_finalize(st);
    }
    return rc == SQLITE_OK ? CCZ_OK : db_fail(db, rc, err);
}

/* ---------------------------------------------------------------------- statements */

static int bind(sqlite3_stmt *st, int i, const struct cczi_kms_param *p)
{
    const void *bytes =
        p->bytes.size ? (const void *)p->bytes.ptr : ""; /* NULL would be an SQL NULL */
    switch (p->type) {
    case CCZI_KMS_INT:
        return sqlite3_bind_int64(st, i, p->num);
    case CCZI_KMS_TEXT:
        return sqlite3_bind_text(st, i, bytes, (int)p->bytes.size, SQLITE_STATIC);
    default:
        return sqlite3_bind_blob64(st, i, bytes, p->bytes.size, SQLITE_STATIC);
    }
}

static enum cczi_kms_step failed(struct sqlite *db, int rc)
{
    db->rc = rc;
    db->sys_errno = sys_errno(db);
    return CCZI_KMS_STEP_FAILED;
}

static enum cczi_kms_step db_next(void *arg, enum cczi_kms_sql sql)
{
    struct sqlite *db = arg;
    errno = 0;
    int rc = sqlite3_step(db->stmt[sql]);
    if (rc == SQLITE_ROW)
        return CCZI_KMS_STEP_ROW;
    return rc == SQLITE_DONE ? CCZI_KMS_STEP_DONE : failed(db, rc);
}

static enum cczi_kms_step db_first(void *arg, enum cczi_kms_sql sql,
                                   const struct cczi_kms_param *params, size_t len)
{
    struct sqlite *db = arg;
    int rc = SQLITE_OK;
    errno = 0;
    /* SQLite ends a transaction by itself when any of its statements runs out of memory or cannot read. What comes behind it and writes
     * would be committed by itself, and the rest of its transaction not; a savepoint would begin another one. */
    if ((cczi_kms_sql_writes(sql) || sql == CCZI_SQL_SAVEPOINT) && sqlite3_get_autocommit(db->db))
        return failed(db, SQLITE_ABORT_ROLLBACK);
    if (!db->stmt[sql])
        rc = sqlite3_prepare_v3(db->db, cczi_kms_sql_text(sql), -1, SQLITE_PREPARE_PERSISTENT,
                                &db->stmt[sql], NULL);
    for (size_t i = 0; rc == SQLITE_OK && i < len; i++)
        rc = bind(db->stmt[sql], (int)i + 1, &params[i]);
    return rc == SQLITE_OK ? db_next(db, sql) : failed(db, rc);
}

static bool db_col_int(int64_t *out, void *arg, enum cczi_kms_sql sql, int col)
{
    struct sqlite *db = arg;
    *out = sqlite3_column_int64(db->stmt[sql], col);
    return true;
}

static struct ccz_span db_col(void *arg, enum cczi_kms_sql sql, int col)
{
    struct sqlite *db = arg;
    const void *p =
        sqlite3_column_blob(db->stmt[sql], col); /* before the size: SQLite may convert */
    return CCZ_SPAN(p, (size_t)sqlite3_column_bytes(db->stmt[sql], col));
}

static void db_end(void *arg, enum cczi_kms_sql sql)
{
    struct sqlite *db = arg;
    (void)sqlite3_reset(db->stmt[sql]); /* NULL is fine */
    if (db->stmt[sql])
        (void)sqlite3_clear_bindings(db->stmt[sql]);
}

/* One process, one connection: what failed fails again, and a COMMIT that failed was none. */
static ccz_rc db_last_failure(enum cczi_kms_fault *fault, void *arg, struct ccz_err *err)
{
    struct sqlite *db = arg;
    *fault = CCZI_KMS_FAULT_NONE;
    return explain(db->rc, db->sys_errno, err);
}

/* All pages in one step: the process holds the file, so nobody writes meanwhile. */
static ccz_rc db_copy(const char *path, void *arg, struct ccz_err *err)
{
    struct sqlite *db = arg;
    struct sqlite to = {0};
    errno = 0;
    int rc = sqlite3_open_v2(path, &to.db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOFOLLOW, NULL);
    sqlite3_backup *b = rc == SQLITE_OK ? sqlite3_backup_init(to.db, "main", db->db, "main") : NULL;
    if (b) {
        (void)sqlite3_backup_step(b, -1);
        rc = sqlite3_backup_finish(b);
    } else if (rc == SQLITE_OK) {
        rc = sqlite3_extended_errcode(to.db);
    }
    ccz_rc out = rc == SQLITE_OK ? CCZ_OK : db_fail(&to, rc, err);
    (void)sqlite3_close(to.db);
    return out;
}

const struct ccz_kms_backend *cczi_kms_sqlite(void)
{
    static const struct ccz_kms_backend sqlite = {
        .name = "sqlite",
        .open = db_open,
        .close = db_close,
        .in_tx = db_in_tx,
        .schema = db_schema,
        .exec = db_exec,
        .create_sql = schema_sql,
        .migrations = migrations,
        .migrations_len = sizeof(migrations) / sizeof(migrations[0]),
        .first = db_first,
        .next = db_next,
        .col_int = db_col_int,
        .col = db_col,
        .end = db_end,
        .fail = db_last_failure,
        .copy = db_copy,
    };
    return &sqlite;
}
