/* SPDX-License-Identifier: Apache-2.0 */
/*
 * libpq, and only here. One connection, statements prepared when first used, numbers and bytes in binary, rows one at a
 * time. A transaction that writes takes the row of `meta` first (FOR UPDATE): one writer at a time, whatever the number
 * of servers, and READ COMMITTED is enough, as whatever is read after that lock was committed by its last holder. One that
 * looks at all rows is REPEATABLE READ: who writes beside the servers shows it nothing else afterwards than what it added up.
 */
#include "kms_pg.h"

#include "kms/kms_db.h"

#include <errno.h>
#include <libpq-fe.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef LIBPQ_HAS_PIPELINING
#error "libpq of PostgreSQL 14 or later is needed; the server may be older"
#endif

/* What was asked ahead, and its answer. */
struct kept {
    enum cczi_kms_sql sql;
    size_t at, size; /* of its parameters in pg.keys */
    PGresult *r;
};
/* A line of the log that goes with the next thing that is sent: until then the server has nothing to do, and ends a transaction whose client
 * stands still. */
enum { LINE_PARAMS = 5 };
struct line {
    struct cczi_kms_param param[LINE_PARAMS];
    size_t at[LINE_PARAMS]; /* of their bytes in pg.line_bytes */
};
enum {
    KEPT_ROUNDS = 2,
    KEPT_MAX = KEPT_ROUNDS * CCZI_KMS_ASKS_MAX,
    KEYS_SIZE_MAX = 1 << 20,
    LINES_MAX = 256,
    LINES_SIZE_MAX = 1 << 20
};

struct pg {
    PGconn *c; /* NULL: lost; the next BEGIN connects again */
    char *conninfo;
    bool prepared[CCZI_SQL_LEN];
    PGresult *row;     /* the current one */
    bool row_kept;     /* it is one of `kept` */
    bool busy;         /* a statement has results that were not taken */
    struct line *line; /* LINES_MAX, or NULL */
    size_t lines;      /* and how many wait */
    struct ccz_buf line_bytes;
    bool aborted; /* a line was not taken: the reason of all that fails in this transaction */
    enum cczi_kms_fault line_fault;
    struct ccz_err line_why;
    struct kept *kept;                /* CCZI_KMS_ASKS_MAX * KEPT_ROUNDS, or NULL */
    size_t kept_len, kept_next;       /* and which of them is likely to be read next */
    struct ccz_buf keys;              /* what they were asked with */
    int64_t limit_ms;                 /* for an answer, and for each row of one */
    bool committing;                  /* a COMMIT is under way, */
    char warning[CCZ_ERR_VALUE_SIZE]; /* of which the server said this */
    /* the last failure */
    enum cczi_kms_fault fault;
    struct ccz_err why;
};

#define ACCESS_SQL                                                                                 \
    "CREATE TABLE admin(spki_sha256 BYTEA NOT NULL, namespace TEXT COLLATE \"C\" NOT NULL, kind "  \
    "BIGINT NOT NULL,"                                                                             \
    "  roles BIGINT NOT NULL, label TEXT COLLATE \"C\" NOT NULL, mac BYTEA NOT NULL,"              \
    "  PRIMARY KEY (spki_sha256, namespace));"                                                     \
    "CREATE TABLE quorum(namespace TEXT COLLATE \"C\" PRIMARY KEY, needed BIGINT NOT NULL, mac "   \
    "BYTEA NOT NULL);"                                                                             \
    "CREATE TABLE proposal(id BIGINT PRIMARY KEY, namespace TEXT COLLATE \"C\" NOT NULL, method "  \
    "TEXT COLLATE \"C\" NOT NULL,"                                                                 \
    "  body BYTEA NOT NULL, proposer BYTEA NOT NULL, created_s BIGINT NOT NULL,"                   \
    "  expires_s BIGINT NOT NULL, state BIGINT NOT NULL, mac BYTEA NOT NULL);"                     \
    "CREATE TABLE approval(proposal BIGINT NOT NULL, approver BYTEA NOT NULL,"                     \
    "  time_s BIGINT NOT NULL, mac BYTEA NOT NULL, PRIMARY KEY (proposal, approver));"

#define USE_SQL                                                                                    \
    "CREATE TABLE binding(kind BIGINT NOT NULL, name TEXT COLLATE \"C\" NOT NULL, op BIGINT NOT "  \
    "NULL,"                                                                                        \
    "  policy TEXT COLLATE \"C\" NOT NULL, mac BYTEA NOT NULL, PRIMARY KEY (kind, name, op));"     \
    "CREATE INDEX binding_policy ON binding(policy);"                                              \
    "CREATE TABLE key_meta(name TEXT COLLATE \"C\" PRIMARY KEY, meta BYTEA NOT NULL, mac BYTEA "   \
    "NOT NULL);"                                                                                   \
    "CREATE TABLE staged(policy TEXT COLLATE \"C\" PRIMARY KEY, json BYTEA NOT NULL, sha256 "      \
    "BYTEA NOT NULL,"                                                                              \
    "  created_s BIGINT NOT NULL, ends_s BIGINT NOT NULL, would_accept BIGINT NOT NULL,"           \
    "  would_refuse BIGINT NOT NULL, mac BYTEA NOT NULL);"                                         \
    "CREATE TABLE evidence(sha256 BYTEA PRIMARY KEY, policy TEXT COLLATE \"C\" NOT NULL,"          \
    "  tee BIGINT NOT NULL, claims BYTEA NOT NULL, evidence BYTEA NOT NULL, first_s BIGINT NOT "   \
    "NULL, last_s BIGINT NOT NULL,"                                                                \
    "  accepted BIGINT NOT NULL, refused BIGINT NOT NULL, mac BYTEA NOT NULL);"                    \
    "CREATE INDEX evidence_last ON evidence((accepted > 0), last_s, sha256);"                      \
    "CREATE INDEX evidence_policy ON evidence(policy, sha256);"

#define SCHEMA_4_SQL                                                                               \
    "CREATE TABLE reference(name TEXT COLLATE \"C\" NOT NULL, version BIGINT NOT NULL, json "      \
    "BYTEA NOT NULL,"                                                                              \
    "  sha256 BYTEA NOT NULL, created_s BIGINT NOT NULL, mac BYTEA NOT NULL,"                      \
    "  PRIMARY KEY (name, version));"                                                              \
    "CREATE TABLE raw_evidence(sha256 BYTEA NOT NULL, namespace TEXT COLLATE \"C\" NOT NULL,"      \
    "  tee BIGINT NOT NULL, time_s BIGINT NOT NULL, evidence BYTEA NOT NULL, mac BYTEA NOT NULL,"  \
    "  PRIMARY KEY (sha256, namespace));"                                                          \
    "CREATE INDEX raw_evidence_time ON raw_evidence(namespace, time_s, sha256);"

#define SCHEMA_5_SQL                                                                               \
    "CREATE TABLE item_head(kind BIGINT NOT NULL, name TEXT COLLATE \"C\" NOT NULL, last BIGINT "  \
    "NOT NULL, ops BIGINT NOT NULL, mac BYTEA NOT NULL, PRIMARY KEY (kind, name));"

static const char create_sql[] =
    "CREATE TABLE kms_schema(version BIGINT NOT NULL);"
    "INSERT INTO kms_schema VALUES (6);"
    "CREATE TABLE meta(id BIGINT PRIMARY KEY CHECK (id = 1), key_check BYTEA NOT NULL, head BYTEA "
    "NOT NULL);" ACCESS_SQL USE_SQL SCHEMA_4_SQL SCHEMA_5_SQL
    "CREATE TABLE policy(name TEXT COLLATE \"C\" PRIMARY KEY, json BYTEA NOT NULL, sha256 BYTEA "
    "NOT NULL,"
    "  created_s BIGINT NOT NULL, mac BYTEA NOT NULL);"
    "CREATE TABLE item(kind BIGINT NOT NULL, name TEXT COLLATE \"C\" NOT NULL, version BIGINT NOT "
    "NULL,"
    "  alg TEXT COLLATE \"C\" NOT NULL, created_s BIGINT NOT NULL, enabled BIGINT NOT NULL, "
    "expires_s BIGINT NOT NULL,"
    "  delete_after_s BIGINT NOT NULL, metadata BYTEA NOT NULL, sealed BYTEA NOT NULL, mac BYTEA "
    "NOT NULL,"
    "  PRIMARY KEY (kind, name, version));"
    "CREATE TABLE audit(seq BIGINT PRIMARY KEY, time_s BIGINT NOT NULL, entry BYTEA NOT NULL,"
    "  prev BYTEA NOT NULL, hash BYTEA NOT NULL);";

/* PostgreSQL begins with schema 2. */
static const struct cczi_kms_migration migrations[] = {
    {2,
     "ALTER TABLE admin RENAME TO admin_2; DROP INDEX binding_policy;"
     " ALTER TABLE binding RENAME TO binding_2;" ACCESS_SQL USE_SQL SCHEMA_4_SQL SCHEMA_5_SQL,
     "DROP TABLE admin_2; DROP TABLE binding_2; UPDATE kms_schema SET version = 6;"},
    {3, SCHEMA_4_SQL SCHEMA_5_SQL, "UPDATE kms_schema SET version = 6;"},
    {4, SCHEMA_5_SQL, "UPDATE kms_schema SET version = 6;"},
    {5, NULL, "UPDATE kms_schema SET version = 6;"},
};

/* Where the common text will not do. */
static const char *const sql_text[CCZI_SQL_LEN] = {
    [CCZI_SQL_BEGIN] = "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE",
    [CCZI_SQL_BEGIN_READ] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    [CCZI_SQL_BEGIN_WHOLE] = "BEGIN ISOLATION LEVEL REPEATABLE READ READ WRITE",
    /* before the snapshot is taken: with FOR UPDATE alone, who waited would have one from before and fail */
    [CCZI_SQL_LOCK] = "LOCK TABLE meta IN EXCLUSIVE MODE",
    [CCZI_SQL_META_GET] = "SELECT key_check, head FROM meta WHERE id = 1 FOR UPDATE",
    [CCZI_SQL_LIST] = "SELECT k, n FROM (SELECT DISTINCT kind AS k, name AS n FROM item"
                      "  WHERE kind < 3 AND (kind, name) > ($1::bigint, $2::text)"
                      " UNION ALL SELECT 3::bigint, name FROM policy"
                      "  WHERE (3::bigint, name) > ($1::bigint, $2::text)) l"
                      " ORDER BY k, n COLLATE \"C\" LIMIT $3::bigint",
    [CCZI_SQL_AUDIT_FROM] = "SELECT seq, time_s, entry, prev, hash FROM audit WHERE seq > $1"
                            " ORDER BY seq LIMIT NULLIF($2::bigint, -1)",
};

static const char *text_of(enum cczi_kms_sql sql)
{
    return sql_text[sql] ? sql_text[sql] : cczi_kms_sql_text(sql);
}

/* What was asked ahead. */
static void forget(void *arg)
{
    struct pg *db = arg;
    for (size_t i = 0; i < db->kept_len; i++)
        PQclear(db->kept[i].r);
    db->kept_len = db->kept_next = 0;
    ccz_buf_clear(&db->keys);
}

/* --------------------------------------------------------------------------- errors */

static void clear_row(struct pg *db)
{
    if (!db->row_kept)
        PQclear(db->row);
    db->row = NULL;
    db->row_kept = false;
}

static void drop(struct pg *db)
{
    clear_row(db);
    forget(db);
    PQfinish(db->c);
    db->c = NULL;
    db->busy = db->aborted = false;
    db->lines = 0;
    ccz_buf_clear(&db->line_bytes);
    memset(db->prepared, 0, sizeof(db->prepared));
}

/* One line of printable text. */
static void tidy(char out[CCZ_ERR_VALUE_SIZE], const char *text)
{
    struct ccz_span s = ccz_span_str(text ? text : "");
    const uint8_t *end = s.size ? memchr(s.ptr, '\n', s.size) : NULL;
    ccz_escape(out, CCZ_ERR_VALUE_SIZE, end ? ccz_span_sub(s, 0, (size_t)(end - s.ptr)) : s);
}

static ccz_rc lost(struct pg *db, bool commit)
{
    char text[CCZ_ERR_VALUE_SIZE];
    tidy(text, PQerrorMessage(db->c)); /* NULL is fine */
    drop(db);
    db->fault = commit ? CCZI_KMS_FAULT_UNKNOWN : CCZI_KMS_FAULT_AGAIN;
    return ccz_fail(&db->why, CCZ_E_UNAVAILABLE, "kms:store-lost", commit,
                    "the connection to the database was lost: %s", text);
}

/* The server does not answer, or waits for a standby that does not. */
static ccz_rc too_slow(struct pg *db, bool commit)
{
    drop(db);
    db->fault = commit ? CCZI_KMS_FAULT_UNKNOWN : CCZI_KMS_FAULT_AGAIN;
    return ccz_fail(&db->why, CCZ_E_UNAVAILABLE, "kms:store-timeout", db->limit_ms,
                    "the database gave no answer within %lld ms", (long long)db->limit_ms);
}

/* SQLSTATE, "PostgreSQL Error Codes": the first two characters are the class. */
static const struct {
    const char *state;
    ccz_rc rc;
    const char *where;
    enum cczi_kms_fault fault;
} states[] = {
    {"40", CCZ_E_UNAVAILABLE, "kms:store-conflict",
     CCZI_KMS_FAULT_AGAIN}, /* serialization, deadlock */
    {"55P03", CCZ_E_UNAVAILABLE, "kms:store-locked", CCZI_KMS_FAULT_NONE},
    {"53100", CCZ_E_IO, "kms:store-full", CCZI_KMS_FAULT_NONE},
    {"53", CCZ_E_NOMEM, "kms:store", CCZI_KMS_FAULT_NONE},
    {"23", CCZ_E_INTERNAL, "kms:store-constraint", CCZI_KMS_FAULT_NONE},
    {"42P07", CCZ_E_EXISTS, "kms:init",
     CCZI_KMS_FAULT_NONE}, /* another init made the tables meanwhile */
    {"42501", CCZ_E_DENIED, "kms:store-privilege", CCZI_KMS_FAULT_NONE},
    {"XX001", CCZ_E_SIG, "kms:store-corrupt", CCZI_KMS_FAULT_NONE},
    {"XX002", CCZ_E_SIG, "kms:store-corrupt", CCZI_KMS_FAULT_NONE},
    {"", CCZ_E_IO, "kms:store", CCZI_KMS_FAULT_NONE},
};

/* Fills db->why and db->fault. @p r stays the caller's. */
static ccz_rc failure(struct pg *db, const PGresult *r, bool commit)
{
    const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE),
               *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (!state || PQstatus(db->c) != CONNECTION_OK || memcmp(state, "08", 2) == 0 ||
        (severity && (strcmp(severity, "FATAL") == 0 || strcmp(severity, "PANIC") == 0)))
        return lost(db, commit);
    size_t i = 0;
    while (strncmp(state, states[i].state, strlen(states[i].state)) != 0)
        i++;                                          /* the last one fits everything */
    if (db->aborted && strcmp(state, "25P02") == 0) { /* the line that was not taken is why */
        db->fault = db->line_fault;
        db->why = db->line_why;
        return db->why.rc;
    }
    char text[CCZ_ERR_VALUE_SIZE];
    tidy(text, PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
    db->fault = states[i].fault;
    return ccz_fail(&db->why, states[i].rc, states[i].where, 0, "PostgreSQL %s: %s", state, text);
}

static ccz_rc last_failure(enum cczi_kms_fault *fault, void *arg, struct ccz_err *err)
{
    struct pg *db = arg;
    *fault = db->fault;
    if (err)
        *err = db->why;
    return db->why.rc;
}

/* ----------------------------------------------------------------------- connection */

/* Until a result is there, or the connection is known to be lost. @return false: it takes too long */
static bool wait_result(struct pg *db)
{
    const int64_t until = ccz_mono_ms() + db->limit_ms;
    int unsent;
    while ((unsent = PQflush(db->c)) > 0 || (unsent == 0 && PQisBusy(db->c))) {
        int64_t left = until - ccz_mono_ms();
        if (left <= 0)
            return false;
        struct pollfd p = {.fd = PQsocket(db->c),
                           .events = (short)(unsent ? POLLIN | POLLOUT : POLLIN)};
        int n = poll(&p, 1, (int)left);
        bool in = n > 0 && (p.revents & ~POLLOUT);
        if ((n < 0 && errno != EINTR) || (in && !PQconsumeInput(db->c)))
            break;
    }
    return true; /* if it is lost, PQgetResult() has the reason */
}

/* The last result of what was sent; NULL: it was not. @return false: it takes too long */
static bool last_result(PGresult **out, struct pg *db, int sent)
{
    *out = NULL;
    while (sent) {
        if (!wait_result(db)) {
            PQclear(*out);
            *out = NULL;
            return false;
        }
        PGresult *r = PQgetResult(db->c);
        if (!r)
            break;
        PQclear(*out);
        *out = r;
    }
    return true;
}

/* The next of a pipeline: its row, or that it has none. libpq may hand out a row and then the end of the rows: the first statement of
 * a pipeline inherits the row mode of the one before it. @param[out] out  the caller's, also of a failure; NULL: it is lost */
static ccz_rc next_of_pipeline(PGresult **out, struct pg *db)
{
    *out = NULL;
    for (;;) {
        if (!wait_result(db))
            return too_slow(db, false);
        PGresult *r = PQgetResult(db->c);
        ExecStatusType status = PQresultStatus(r);
        if (!r) /* the end of this statement */
            return *out ? CCZ_OK : lost(db, false);
        if (*out && status == PGRES_TUPLES_OK)
            PQclear(r);
        else if (*out)
            PQclear(*out), *out = r; /* a failure after all */
        else
            *out = r;
        if (status == PGRES_PIPELINE_SYNC) /* that has no end */
            return CCZ_OK;
    }
}

/* The results of @p n statements that were sent in a pipeline, in their order; the first that failed is the reason, those behind it
 * were not done. @param[out] out  n results, the caller's; NULL: of no interest */
static ccz_rc end_pipeline(PGresult **out, struct pg *db, size_t n)
{
    ccz_rc rc = CCZ_OK;
    if (!PQpipelineSync(db->c))
        return lost(db, false);
    for (size_t i = 0; i <= n; i++) {
        PGresult *r;
        ccz_rc got = next_of_pipeline(&r, db);
        ExecStatusType status = PQresultStatus(r);
        bool good = i == n ? status == PGRES_PIPELINE_SYNC
                           : status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ||
                                 status == PGRES_SINGLE_TUPLE;
        if (got != CCZ_OK)
            rc = got;
        else if (rc == CCZ_OK && !good)
            rc = failure(db, r, false);
        if (out && i < n)
            out[i] = r;
        else
            PQclear(r);
        if (!db->c)
            return rc;
    }
    return PQexitPipelineMode(db->c) ? rc : lost(db, false);
}

static ccz_rc settle(struct pg *db);

/* Runs texts that give at most one row. @param[out] out  the last result, owned by the caller; may be NULL */
static ccz_rc run(PGresult **out, struct pg *db, const char *sql)
{
    PGresult *r;
    ccz_rc behind = settle(db);
    if (behind != CCZ_OK)
        return behind;
    if (!last_result(&r, db, PQsendQuery(db->c, sql)))
        return too_slow(db, false);
    ExecStatusType status = PQresultStatus(r);
    ccz_rc rc =
        status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK ? CCZ_OK : failure(db, r, false);
    if (out && rc == CCZ_OK)
        *out = r;
    else
        PQclear(r);
    return rc;
}

/* What the server says beside its answers is of no interest, but for COMMIT: an operator who ends its wait for a standby gets
 * the answer "COMMIT" to it all the same, and a warning that nothing may have been replicated. */
static void on_notice(void *arg, const PGresult *r)
{
    struct pg *db = arg;
    const char *severity = PQresultErrorField(r, PG_DIAG_SEVERITY_NONLOCALIZED);
    if (db->committing && (!severity || strcmp(severity, "WARNING") == 0))
        tidy(db->warning, PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY));
}

/* How long others may take to give up a lock, and as much again by half: what is short by nature is late then. */
static void set_limit(struct pg *db, const PGresult *r)
{
    enum { LOCK_MS = 20000, LOCK_MS_MAX = 3600000, GRACE_MS = 1000 };
    long long ms = PQntuples(r) == 1 ? strtoll(PQgetvalue(r, 0, 0), NULL, 10) : 0;
    if (ms <= 0 || ms > LOCK_MS_MAX)
        ms = LOCK_MS;
    db->limit_ms = ms + ms / 2 + GRACE_MS;
}

/* What durability rests on is read back, as a setting may come from anywhere. */
static ccz_rc check_settings(struct pg *db)
{
    PGresult *r = NULL;
    ccz_rc rc = run(&r, db,
                    "SELECT current_setting('fsync'), current_setting('full_page_writes'),"
                    " current_setting('synchronous_commit')");
    if (rc != CCZ_OK)
        return rc;
    const char *fsync = PQgetvalue(r, 0, 0), *pages = PQgetvalue(r, 0, 1),
               *commit = PQgetvalue(r, 0, 2);
    if (strcmp(fsync, "on") != 0)
        rc = ccz_refuse(&db->why, CCZ_E_IO, "kms:store-setting", "fsync=off", "fsync=on");
    else if (strcmp(pages, "on") != 0)
        rc = ccz_refuse(&db->why, CCZ_E_IO, "kms:store-setting", "full_page_writes=off",
                        "full_page_writes=on");
    bool weaker = strcmp(commit, "on") != 0 && strcmp(commit, "remote_apply") != 0;
    PQclear(r);
    if (rc == CCZ_OK && weaker)
        rc = run(NULL, db, "SET synchronous_commit = on");
    /* A server that stops inside a transaction must not hold the others up for ever, nor wait for ever itself; whoever
     * set other limits for this role or connection keeps them. */
    if (rc == CCZ_OK)
        rc = run(&r, db,
                 "SELECT set_config('client_encoding', 'UTF8', false);"
                 " SELECT set_config(n, v, false) FROM (VALUES ('lock_timeout', '20s'),"
                 "  ('tcp_user_timeout', '5s'), ('idle_in_transaction_session_timeout', '5s')) AS "
                 "d(n, v)"
                 "  WHERE current_setting(n) = '0';"
                 " SELECT setting FROM pg_settings WHERE name = 'lock_timeout'");
    if (rc == CCZ_OK) {
        set_limit(db, r);
        PQclear(r);
    }
    return rc;
}

/* Whoever gave a statement up closes the connection, which a server process that is busy with it notices by this alone (PostgreSQL 14 and later).
 * Where its system cannot do that, it refuses: then the statement goes on to its end. */
static void notice_clients(struct pg *db)
{
    static const char name[] = "client_connection_check_interval";
    char text[256];
    (void)snprintf(text, sizeof(text),
                   "SELECT set_config('%s', '5s', false) WHERE current_setting('%s', true) = '0'",
                   name, name);
    if (run(NULL, db, text) != CCZ_OK)
        ccz_log(CCZ_LOG_INFO, "kms", "the database does not notice clients that end: %s",
                db->why.msg);
}

static ccz_rc connect_db(struct pg *db)
{
    enum { FIRST_MS = 5000 }; /* before the limits of this connection are known */
    drop(db);
    db->fault = CCZI_KMS_FAULT_AGAIN;
    /* what stands before dbname is a default that the connection string overrides */
    const char *const keys[] = {"connect_timeout",
                                "tcp_user_timeout",
                                "keepalives_idle",
                                "target_session_attrs",
                                "application_name",
                                "dbname",
                                NULL};
    const char *const values[] = {"5", "5000", "10", "read-write", "cczoo-kms", db->conninfo, NULL};
    db->c = PQconnectdbParams(keys, values, 1);
    if (PQstatus(db->c) != CONNECTION_OK) {
        char text[CCZ_ERR_VALUE_SIZE];
        tidy(text, PQerrorMessage(db->c));
        drop(db);
        return ccz_fail(&db->why, CCZ_E_UNAVAILABLE, "kms:store-connect", 0,
                        "cannot connect to the database: %s", text);
    }
    (void)PQsetNoticeReceiver(db->c, on_notice, db);
    db->limit_ms = FIRST_MS;
    ccz_rc rc = CCZ_OK;
    if (PQsetnonblocking(db->c, 1) != 0)
        rc = lost(db, false);
    if (rc == CCZ_OK && PQserverVersion(db->c) < 120000)
        rc = ccz_refuse_num(&db->why, CCZ_E_UNSUPPORTED, "kms:store-connect",
                            PQserverVersion(db->c), 120000);
    if (rc == CCZ_OK)
        rc = check_settings(db);
    if (rc == CCZ_OK && PQserverVersion(db->c) >= 140000)
        notice_clients(db);
    if (rc != CCZ_OK)
        drop(db);
    if (rc == CCZ_E_IO || rc == CCZ_E_UNSUPPORTED)
        db->fault = CCZI_KMS_FAULT_NONE;
    return rc;
}

/* What libpq cannot read. It quotes the place, which may be a password. */
static ccz_rc not_conninfo(const char *conninfo, const char *why, struct ccz_err *err)
{
    char text[CCZ_ERR_VALUE_SIZE];
    bool secret = strpbrk(conninfo, "@%") || strstr(conninfo, "password");
    tidy(text, secret ? "it may hold a password, so no part of it is repeated here" : why);
    return ccz_fail(err, CCZ_E_FORMAT, "kms:store-connect", 0, "not a connection string: %s", text);
}

/* Arguments and configuration files are read by more people than a passfile. */
static ccz_rc check_conninfo(const char *conninfo, struct ccz_err *err)
{
    char *why = NULL;
    PQconninfoOption *o = PQconninfoParse(conninfo, &why);
    if (!o) {
        ccz_rc rc = not_conninfo(conninfo, why, err);
        PQfreemem(why);
        return rc;
    }
    bool password = false, port = true;
    for (const PQconninfoOption *p = o; p->keyword; p++) {
        password = password || (p->val && (strcmp(p->keyword, "password") == 0 ||
                                           strcmp(p->keyword, "sslpassword") == 0));
        /* a URI whose password has a '/' in it: the part before is the port, and libpq would quote it */
        if (p->val && strcmp(p->keyword, "port") == 0)
            port = p->val[strspn(p->val, "0123456789, ")] == 0;
    }
    PQconninfoFree(o);
    if (password)
        return ccz_refuse(err, CCZ_E_DENIED, "kms:database-password",
                          "a password in the connection string", "passfile=FILE");
    return port ? CCZ_OK
                : ccz_fail(err, CCZ_E_FORMAT, "kms:store-connect", 0,
                           "not a connection string: its port is no number");
}

static void close_db(void *arg)
{
    struct pg *db = arg;
    drop(db);
    ccz_buf_free(&db->keys);
    ccz_buf_free(&db->line_bytes);
    free(db->line);
    free(db->kept);
    free(db->conninfo);
    free(db);
}

static ccz_rc open_db(void **out, const char *conninfo, bool create, struct ccz_err *err)
{
    (void)create; /* databases are made by whoever runs the server */
    *out = NULL;
    ccz_rc rc = check_conninfo(conninfo, err);
    if (rc != CCZ_OK)
        return rc;
    struct pg *db = calloc(1, sizeof(*db));
    size_t size = strlen(conninfo) + 1;
    if (!db || !(db->conninfo = malloc(size))) {
        free(db);
        return ccz_fail(err, CCZ_E_NOMEM, "kms:store", 0, "out of memory");
    }
    memcpy(db->conninfo, conninfo, size);
    ccz_buf_init(&db->keys, KEYS_SIZE_MAX);
    ccz_buf_init(&db->line_bytes, LINES_SIZE_MAX);
    rc = connect_db(db);
    if (rc != CCZ_OK) {
        if (err)
            *err = db->why;
        close_db(db);
        return rc;
    }
    *out = db;
    return CCZ_OK;
}

static bool in_tx(const void *arg)
{
    const struct pg *db = arg;
    PGTransactionStatusType t = PQtransactionStatus(db->c); /* NULL: PQTRANS_UNKNOWN */
    return t == PQTRANS_INTRANS || t == PQTRANS_INERROR || t == PQTRANS_ACTIVE;
}

static ccz_rc said(struct pg *db, ccz_rc rc, struct ccz_err *err)
{
    if (rc != CCZ_OK && err)
        *err = db->why;
    return rc;
}

static ccz_rc schema(int64_t *version, void *arg, struct ccz_err *err)
{
    struct pg *db = arg;
    PGresult *r = NULL;
    *version = 0;
    ccz_rc rc = run(&r, db, "SELECT to_regclass('kms_schema') IS NOT NULL");
    if (rc != CCZ_OK)
        return said(db, rc, err);
    bool there = strcmp(PQgetvalue(r, 0, 0), "t") == 0;
    PQclear(r);
    if (!there)
        return CCZ_OK;
    rc = run(&r, db, "SELECT max(version) FROM kms_schema");
    if (rc == CCZ_OK) {
        *version = strtoll(PQgetvalue(r, 0, 0), NULL, 10);
        PQclear(r);
    }
    return said(db, rc, err);
}

static ccz_rc exec(void *arg, const char *sql, struct ccz_err *err)
{
    struct pg *db = arg;
    return said(db, run(NULL, db, sql), err);
}

/* ----------------------------------------------------------------------- statements */

static enum cczi_kms_step failed(ccz_rc rc)
{
    (void)rc; /* its reason is in db->why */
    return CCZI_KMS_STEP_FAILED;
}

/* What is left of the results of a statement. */
static void drain(struct pg *db)
{
    clear_row(db);
    while (db->busy) {
        if (!wait_result(db)) { /* what it was for is known; the next statement finds it lost */
            drop(db);
            return;
        }
        PGresult *r = PQgetResult(db->c);
        db->busy = r != NULL;
        PQclear(r);
    }
}

static enum cczi_kms_step next(void *arg, enum cczi_kms_sql sql)
{
    struct pg *db = arg;
    bool commit = sql == CCZI_SQL_COMMIT, only = db->row_kept;
    clear_row(db);
    if (only)
        return CCZI_KMS_STEP_DONE;
    if (!wait_result(db))
        return failed(too_slow(db, commit));
    PGresult *r = PQgetResult(db->c);
    ExecStatusType status = PQresultStatus(r); /* of NULL: PGRES_FATAL_ERROR */
    if (status == PGRES_SINGLE_TUPLE) {
        db->row = r;
        return CCZI_KMS_STEP_ROW;
    }
    ccz_rc rc = CCZ_OK;
    if (status != PGRES_TUPLES_OK && status != PGRES_COMMAND_OK) {
        rc = failure(db, r, commit);
    } else if (commit && strcmp(PQcmdStatus(r), "COMMIT") != 0) {
        /* COMMIT of a transaction that has failed is answered as a success: by ROLLBACK */
        db->fault = CCZI_KMS_FAULT_NONE;
        rc = ccz_refuse(&db->why, CCZ_E_IO, "kms:store-commit", PQcmdStatus(r), "COMMIT");
    }
    PQclear(r);
    drain(db);
    db->committing = false;
    if (rc == CCZ_OK && db->warning[0]) {
        db->fault = CCZI_KMS_FAULT_DONE;
        rc = ccz_fail(&db->why, CCZ_E_UNAVAILABLE, "kms:store-unreplicated", 0,
                      "it was committed with a warning: %s", db->warning);
    }
    return rc == CCZ_OK ? CCZI_KMS_STEP_DONE : failed(rc);
}

static void put_be64(uint8_t out[8], uint64_t v)
{
    for (size_t i = 0; i < 8; i++)
        out[i] = (uint8_t)(v >> (56 - 8 * i));
}

static ccz_rc prepare(struct pg *db, enum cczi_kms_sql sql, const char *name)
{
    PGresult *r;
    if (!last_result(&r, db, PQsendPrepare(db->c, name, text_of(sql), 0, NULL)))
        return too_slow(db, false);
    ccz_rc rc = PQresultStatus(r) == PGRES_COMMAND_OK ? CCZ_OK : failure(db, r, false);
    db->prepared[sql] = rc == CCZ_OK;
    PQclear(r);
    return rc;
}

static void name_of(char out[16], enum cczi_kms_sql sql)
{
    (void)snprintf(out, 16, "s%d", (int)sql);
}

static ccz_rc prepare_once(struct pg *db, enum cczi_kms_sql sql)
{
    char name[16];
    if (db->prepared[sql])
        return CCZ_OK;
    ccz_rc rc = settle(db);
    name_of(name, sql);
    return rc == CCZ_OK ? prepare(db, sql, name) : rc;
}

/* Of one that is prepared. */
static bool send(struct pg *db, enum cczi_kms_sql sql, const struct cczi_kms_param *params,
                 size_t len)
{
    char name[16];
    uint8_t num[CCZI_KMS_PARAMS_MAX][8];
    const char *value[CCZI_KMS_PARAMS_MAX];
    int size[CCZI_KMS_PARAMS_MAX], binary[CCZI_KMS_PARAMS_MAX];
    for (size_t i = 0; i < len; i++) {
        const struct cczi_kms_param *p = &params[i];
        bool is_int = p->type == CCZI_KMS_INT;
        put_be64(num[i], (uint64_t)p->num);
        value[i] = is_int ? (const char *)num[i] : p->bytes.size ? (const char *)p->bytes.ptr : "";
        size[i] = is_int ? 8 : (int)p->bytes.size;
        binary[i] = 1;
    }
    name_of(name, sql);
    return PQsendQueryPrepared(db->c, name, (int)len, value, size, binary, 1);
}

/* Sends the lines of the log that wait, and asks what became of them: before anything else is sent. */
static ccz_rc settle(struct pg *db)
{
    const size_t n = db->lines;
    db->lines = 0;
    if (n == 0)
        return CCZ_OK;
    bool sent = PQenterPipelineMode(db->c);
    for (size_t i = 0; sent && i < n; i++) {
        struct line *l = &db->line[i];
        for (size_t k = 0; k < LINE_PARAMS; k++)
            if (l->param[k].bytes.size)
                l->param[k].bytes.ptr = db->line_bytes.ptr + l->at[k];
        sent = send(db, CCZI_SQL_AUDIT_PUT, l->param, LINE_PARAMS);
    }
    ccz_rc rc = sent ? end_pipeline(NULL, db, n) : lost(db, false);
    ccz_buf_clear(&db->line_bytes);
    if (rc != CCZ_OK && db->c) {
        db->aborted = true;
        db->line_fault = db->fault;
        db->line_why = db->why;
    }
    return rc;
}

/* Nobody reads a line in this transaction, and whatever is sent next asks what became of it, COMMIT at the latest: so the lines of a batch
 * go together. @return false: it has to go by itself */
static bool keep_line(struct pg *db, const struct cczi_kms_param *params, size_t len)
{
    if (!db->line)
        db->line = calloc(LINES_MAX, sizeof(*db->line));
    if (!db->line || len != LINE_PARAMS || db->lines == LINES_MAX)
        return false;
    const size_t size = db->line_bytes.size;
    struct line *l = &db->line[db->lines];
    for (size_t k = 0; k < len; k++) {
        l->param[k] = params[k];
        l->at[k] = db->line_bytes.size;
        if (params[k].type != CCZI_KMS_INT)
            ccz_buf_put_span(&db->line_bytes, params[k].bytes);
    }
    if (db->line_bytes.bad) { /* those before it are whole */
        db->line_bytes.size = size;
        db->line_bytes.bad = false;
        return false;
    }
    db->lines++;
    return true;
}

static ccz_rc send_now(struct pg *db, enum cczi_kms_sql sql, const struct cczi_kms_param *params,
                       size_t len)
{
    ccz_rc rc = settle(db);
    if (!db->c)
        return rc;
    if (rc != CCZ_OK && sql != CCZI_SQL_ROLLBACK) /* that is what it takes now */
        return rc;
    if (sql <= CCZI_SQL_UNDO) /* control of transactions: no parameters, no plan */
        return PQsendQuery(db->c, text_of(sql)) ? CCZ_OK : lost(db, sql == CCZI_SQL_COMMIT);
    rc = prepare_once(db, sql);
    if (rc != CCZ_OK)
        return rc;
    return send(db, sql, params, len) ? CCZ_OK : lost(db, false);
}

static enum cczi_kms_step first(void *arg, enum cczi_kms_sql sql,
                                const struct cczi_kms_param *params, size_t len)
{
    struct pg *db = arg;
    ccz_rc rc = CCZ_OK;
    bool begin = sql == CCZI_SQL_BEGIN || sql == CCZI_SQL_BEGIN_READ || sql == CCZI_SQL_BEGIN_WHOLE;
    if (begin && (!db->c || PQstatus(db->c) != CONNECTION_OK))
        rc = connect_db(db);
    if (rc == CCZ_OK && !db->c)
        rc = lost(db, sql == CCZI_SQL_COMMIT);
    if (sql == CCZI_SQL_COMMIT || sql == CCZI_SQL_ROLLBACK)
        forget(db);
    if (begin)
        db->aborted = false;
    if (rc == CCZ_OK && sql == CCZI_SQL_AUDIT_PUT) {
        rc = prepare_once(db, sql);
        if (rc == CCZ_OK && keep_line(db, params, len))
            return CCZI_KMS_STEP_DONE;
    }
    if (rc == CCZ_OK)
        rc = send_now(db, sql, params, len);
    if (rc != CCZ_OK)
        return failed(rc);
    db->busy = true;
    db->committing = sql == CCZI_SQL_COMMIT;
    db->warning[0] = 0;
    (void)PQsetSingleRowMode(db->c);
    return next(db, sql);
}

/* ------------------------------------------------------------------- statements, ahead */

/* Equal for equal parameters alone: each with its kind and size. */
static void put_key(struct ccz_buf *out, const struct cczi_kms_param *params, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const struct cczi_kms_param *p = &params[i];
        uint8_t head[9] = {(uint8_t)p->type};
        put_be64(head + 1, p->type == CCZI_KMS_INT ? (uint64_t)p->num : p->bytes.size);
        ccz_buf_put(out, head, sizeof(head));
        if (p->type != CCZI_KMS_INT)
            ccz_buf_put_span(out, p->bytes);
    }
}

/* @return how many of them there is room for */
static size_t note_asks(struct pg *db, const struct cczi_kms_ask *asks, size_t len)
{
    if (!db->kept)
        db->kept = calloc(KEPT_MAX, sizeof(*db->kept));
    size_t n = 0;
    for (; db->kept && n < len && db->kept_len + n < KEPT_MAX; n++) {
        struct kept *k = &db->kept[db->kept_len + n];
        *k = (struct kept){.sql = asks[n].sql, .at = db->keys.size};
        put_key(&db->keys, asks[n].param, asks[n].len);
        if (db->keys.bad)
            return 0; /* without memory for it nothing is asked ahead */
        k->size = db->keys.size - k->at;
    }
    return n;
}

static ccz_rc ahead(void *arg, const struct cczi_kms_ask *asks, size_t len)
{
    struct pg *db = arg;
    PGresult *r[CCZI_KMS_ASKS_MAX] = {NULL};
    ccz_rc rc = db->c ? settle(db) : lost(db, false);
    size_t n = rc == CCZ_OK && len <= CCZI_KMS_ASKS_MAX ? note_asks(db, asks, len) : 0;
    for (size_t i = 0; rc == CCZ_OK && i < n; i++)
        rc = prepare_once(db, asks[i].sql);
    if (rc != CCZ_OK || n == 0)
        return rc;
    bool sent = PQenterPipelineMode(db->c);
    for (size_t i = 0; sent && i < n; i++)
        sent = send(db, asks[i].sql, asks[i].param, asks[i].len);
    rc = sent ? end_pipeline(r, db, n) : lost(db, false);
    for (size_t i = 0; i < n; i++) {
        if (rc == CCZ_OK)
            db->kept[db->kept_len++].r = r[i];
        else
            PQclear(r[i]);
    }
    return rc;
}

/* They are mostly read in the order in which they were asked. */
static enum cczi_kms_step kept(void *arg, enum cczi_kms_sql sql,
                               const struct cczi_kms_param *params, size_t len)
{
    struct pg *db = arg;
    enum { KEY_SIZE_MAX = 512 };
    if (db->kept_len == 0 || len > CCZI_KMS_ASK_PARAMS_MAX)
        return CCZI_KMS_STEP_UNASKED;
    CCZ_AUTO_BUF key;
    ccz_buf_init(&key, KEY_SIZE_MAX);
    put_key(&key, params, len);
    for (size_t i = 0; !key.bad && i < db->kept_len; i++) {
        size_t at = (db->kept_next + i) % db->kept_len;
        const struct kept *k = &db->kept[at];
        if (k->sql != sql || k->size != key.size ||
            memcmp(db->keys.ptr + k->at, key.ptr, key.size) != 0)
            continue;
        db->kept_next = at + 1;
        if (PQntuples(k->r) == 0)
            return CCZI_KMS_STEP_DONE;
        db->row = k->r;
        db->row_kept = true;
        return CCZI_KMS_STEP_ROW;
    }
    return CCZI_KMS_STEP_UNASKED;
}

/* Whole numbers are BIGINT; a count is one, too. */
static bool col_int(int64_t *out, void *arg, enum cczi_kms_sql sql, int col)
{
    (void)sql;
    const struct pg *db = arg;
    *out = 0;
    if (PQgetisnull(db->row, 0, col))
        return true;
    if (PQgetlength(db->row, 0, col) != 8)
        return false;
    struct ccz_rd r = ccz_rd_from(CCZ_SPAN(PQgetvalue(db->row, 0, col), 8));
    *out = (int64_t)ccz_rd_be64(&r);
    return true;
}

static struct ccz_span col_bytes(void *arg, enum cczi_kms_sql sql, int col)
{
    (void)sql;
    const struct pg *db = arg;
    return CCZ_SPAN(PQgetvalue(db->row, 0, col), (size_t)PQgetlength(db->row, 0, col));
}

static void end(void *arg, enum cczi_kms_sql sql)
{
    (void)sql;
    drain(arg);
}

const struct ccz_kms_backend *ccz_kms_postgresql(void)
{
    static const struct ccz_kms_backend postgresql = {
        .name = "postgresql",
        .moves = true,
        .open = open_db,
        .close = close_db,
        .in_tx = in_tx,
        .schema = schema,
        .exec = exec,
        .create_sql = create_sql,
        .migrations = migrations,
        .migrations_len = sizeof(migrations) / sizeof(migrations[0]),
        .first = first,
        .next = next,
        .col_int = col_int,
        .col = col_bytes,
        .end = end,
        .fail = last_failure,
        .ahead = ahead,
        .kept = kept,
        .forget = forget,
    };
    return &postgresql;
}
