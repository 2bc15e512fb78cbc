/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_DB_H
#define CCZ_KMS_DB_H
/*
 * The database below the store of the KMS: statements by number, over one of several back ends. Internal; for src/kms and
 * for modules that bring a back end (kms_pg).
 *
 * A back end gives transactions that are durable when COMMIT returns, with savepoints, and one writer at a time: in
 * SQLite the process holds the file, in PostgreSQL a transaction holds the row of `meta` from its first statement on.
 * What is read is not trusted: every row has a MAC (kms_priv.h).
 */
#include <cczoo/base.h>

/* Numbers of the statements; their texts are in db.c, with $1, $2, ... numbered in the order of their first use. */
enum cczi_kms_sql {
    CCZI_SQL_BEGIN, /* to write; META_GET comes next and waits for other writers */
    CCZI_SQL_BEGIN_READ, /* to read all of it as it is at one moment; META_READ comes next and waits for nobody */
    CCZI_SQL_BEGIN_WHOLE, /* to write, of a back end that `moves`: sees all of it as it is once LOCK is through, which comes next */
    CCZI_SQL_LOCK,        /* out of other writers; looks at nothing */
    CCZI_SQL_COMMIT,
    CCZI_SQL_ROLLBACK,
    CCZI_SQL_SAVEPOINT,
    CCZI_SQL_RELEASE,
    CCZI_SQL_UNDO,
    CCZI_SQL_META_GET,
    CCZI_SQL_META_READ,
    CCZI_SQL_META_PUT,
    CCZI_SQL_HEAD_SET,
    CCZI_SQL_ADMIN_GET,
    CCZI_SQL_ADMIN_PUT,
    CCZI_SQL_ADMIN_DEL,
    CCZI_SQL_ADMIN_ALL,
    CCZI_SQL_ADMIN_OF,
    CCZI_SQL_POLICY_GET,
    CCZI_SQL_POLICY_PUT,
    CCZI_SQL_POLICY_DEL,
    CCZI_SQL_POLICY_ALL,
    CCZI_SQL_POLICY_OF, /* by cczi_kms_range_query() */
    CCZI_SQL_POLICY_USED,
    CCZI_SQL_BIND_GET,
    CCZI_SQL_BIND_PUT,
    CCZI_SQL_BIND_DEL,
    CCZI_SQL_BIND_ALL,
    CCZI_SQL_BIND_OF,
    CCZI_SQL_ITEM_LAST,
    CCZI_SQL_ITEM_GET,
    CCZI_SQL_ITEM_PUT,
    CCZI_SQL_ITEM_STATE,
    CCZI_SQL_ITEM_DEL,
    CCZI_SQL_ITEM_ALL,
    CCZI_SQL_LIST,
    CCZI_SQL_VERSIONS,
    CCZI_SQL_COUNT,
    CCZI_SQL_QUOTA_ITEMS,
    CCZI_SQL_QUOTA_POLICIES,
    CCZI_SQL_AUDIT_PUT,
    CCZI_SQL_AUDIT_FROM,
    CCZI_SQL_ITEM_1_NEXT,  /* of schema 1, while it is migrated */
    CCZI_SQL_ADMIN_2_NEXT, /* of schemas 1 and 2 */
    CCZI_SQL_BIND_2_NEXT,
    CCZI_SQL_META_CHECK_SET,
    CCZI_SQL_ADMIN_REKEY,
    CCZI_SQL_ITEM_REKEY,
    CCZI_SQL_BIND_REKEY,
    CCZI_SQL_POLICY_REKEY,
    CCZI_SQL_QUORUM_GET,
    CCZI_SQL_QUORUM_PUT,
    CCZI_SQL_QUORUM_DEL,
    CCZI_SQL_QUORUM_ALL,
    CCZI_SQL_QUORUM_REKEY,
    CCZI_SQL_PROPOSAL_GET,
    CCZI_SQL_PROPOSAL_PUT,
    CCZI_SQL_PROPOSAL_DEL,
    CCZI_SQL_PROPOSAL_ALL,
    CCZI_SQL_PROPOSAL_LAST,
    CCZI_SQL_PROPOSAL_HEADS,
    CCZI_SQL_PROPOSAL_AFTER, /* numbers and namespaces */
    CCZI_SQL_PROPOSAL_REKEY,
    CCZI_SQL_APPROVAL_GET,
    CCZI_SQL_APPROVAL_PUT,
    CCZI_SQL_APPROVAL_DEL,
    CCZI_SQL_APPROVAL_ALL,
    CCZI_SQL_APPROVAL_OF,
    CCZI_SQL_APPROVAL_REKEY,
    CCZI_SQL_KEY_META_GET,
    CCZI_SQL_KEY_META_PUT,
    CCZI_SQL_KEY_META_DEL,
    CCZI_SQL_KEY_META_ALL,
    CCZI_SQL_KEY_META_REKEY,
    CCZI_SQL_STAGED_GET,
    CCZI_SQL_STAGED_PUT,
    CCZI_SQL_STAGED_DEL,
    CCZI_SQL_STAGED_ALL,
    CCZI_SQL_STAGED_NAMES,
    CCZI_SQL_STAGED_OF,
    CCZI_SQL_STAGED_REKEY,
    CCZI_SQL_EVIDENCE_GET,
    CCZI_SQL_EVIDENCE_PUT,
    CCZI_SQL_EVIDENCE_DEL,
    CCZI_SQL_EVIDENCE_ALL,
    CCZI_SQL_EVIDENCE_PAGE,
    CCZI_SQL_EVIDENCE_OF,
    CCZI_SQL_EVIDENCE_COUNT,
    CCZI_SQL_EVIDENCE_OLDEST,
    CCZI_SQL_EVIDENCE_REKEY,
    CCZI_SQL_REFERENCE_GET,
    CCZI_SQL_REFERENCE_PUT,
    CCZI_SQL_REFERENCE_DEL,
    CCZI_SQL_REFERENCE_ALL,
    CCZI_SQL_REFERENCE_OF,
    CCZI_SQL_REFERENCE_NAMES,
    CCZI_SQL_REFERENCE_REKEY,
    CCZI_SQL_RAW_GET,
    CCZI_SQL_RAW_PUT,
    CCZI_SQL_RAW_DEL,
    CCZI_SQL_RAW_ALL,
    CCZI_SQL_RAW_COUNT,
    CCZI_SQL_RAW_OLDEST,
    CCZI_SQL_RAW_REKEY,
    CCZI_SQL_HEADS_GET,
    CCZI_SQL_HEADS_PUT,
    CCZI_SQL_HEADS_DEL,
    CCZI_SQL_HEADS_ALL,
    CCZI_SQL_HEADS_REKEY,
    CCZI_SQL_ITEM_NAME_NEXT, /* while it is migrated */
    CCZI_SQL_LEN
};
/* The text that most back ends use as it is. */
/* Whether it changes rows. */
bool cczi_kms_sql_writes(enum cczi_kms_sql sql);
const char *cczi_kms_sql_text(enum cczi_kms_sql sql);

enum cczi_kms_type { CCZI_KMS_INT, CCZI_KMS_TEXT, CCZI_KMS_BLOB };
struct cczi_kms_param {
    enum cczi_kms_type type;
    int64_t num;           /* of an INT */
    struct ccz_span bytes; /* of the others; borrowed while the statement runs */
};
enum { CCZI_KMS_PARAMS_MAX = 16 };

enum cczi_kms_step {
    CCZI_KMS_STEP_UNASKED = -2, /* of kept() alone */
    CCZI_KMS_STEP_FAILED = -1,
    CCZI_KMS_STEP_DONE,
    CCZI_KMS_STEP_ROW
};

/* A read by a whole primary key, so of one row or none. */
enum { CCZI_KMS_ASK_PARAMS_MAX = 3, CCZI_KMS_ASKS_MAX = 512 };
struct cczi_kms_ask {
    enum cczi_kms_sql sql;
    struct cczi_kms_param param[CCZI_KMS_ASK_PARAMS_MAX]; /* borrowed until they are asked */
    size_t len;
};

/* What a failure means for the transaction that it was in. */
enum cczi_kms_fault {
    CCZI_KMS_FAULT_NONE,    /* the same again would fail again */
    CCZI_KMS_FAULT_AGAIN,   /* nothing of the transaction happened, another try may succeed */
    CCZI_KMS_FAULT_UNKNOWN, /* COMMIT was sent and no answer came */
    CCZI_KMS_FAULT_DONE /* COMMIT was done, and does not have what was promised of it: nothing is answered or done again */
};

/* How a database of schema `from` becomes one of CCZI_KMS_SCHEMA: `before` makes room, migrate.c moves the rows that carry
 * MACs (schemas 1 and 2), `after` drops what is old and writes the new number. All inside one transaction. */
struct cczi_kms_migration {
    int64_t from;
    const char *before; /* or NULL */
    const char *after;
};

/* A back end. @p db is what open() made; one thread at a time. A failed step keeps its reason until fail() asks. */
struct ccz_kms_backend {
    const char *name; /* "sqlite", "postgresql" */
    bool moves;       /* each statement after BEGIN sees what others have committed meanwhile */
    /* @p target: what the back end finds its database by. @p create: make an empty one if that takes no more than a
     * file. @retval CCZ_E_NOT_FOUND there is none */
    ccz_rc (*open)(void **db, const char *target, bool create, struct ccz_err *err);
    void (*close)(void *db);
    bool (*in_tx)(const void *db);
    /* 0 = no tables yet */
    ccz_rc (*schema)(int64_t *version, void *db, struct ccz_err *err);
    /* Texts without parameters and rows, more than one split by ';'. */
    ccz_rc (*exec)(void *db, const char *sql, struct ccz_err *err);
    const char *create_sql; /* makes every table of the newest schema */
    const struct cczi_kms_migration *migrations;
    size_t migrations_len;
    /* The first step of a statement runs it, later ones go on to its next row. One statement at a time has rows. */
    enum cczi_kms_step (*first)(void *db, enum cczi_kms_sql sql,
                                const struct cczi_kms_param *params, size_t len);
    enum cczi_kms_step (*next)(void *db, enum cczi_kms_sql sql);
    /* Of the current row. NULL reads as 0 and as no bytes. A column that is no number fails the statement: false. */
    bool (*col_int)(int64_t *out, void *db, enum cczi_kms_sql sql, int col);
    struct ccz_span (*col)(void *db, enum cczi_kms_sql sql,
                           int col);              /* blob or text, until the next step */
    void (*end)(void *db, enum cczi_kms_sql sql); /* also after a failure */
    ccz_rc (*fail)(enum cczi_kms_fault *fault, void *db, struct ccz_err *err);
    /* Writes all of it, as the last commit left it, to the empty file @p path. Outside of transactions. NULL: the database has tools of
     * its own for that. */
    ccz_rc (*copy)(const char *path, void *db, struct ccz_err *err);
    /* Where each statement is a way to another process and back. ahead() asks up to CCZI_KMS_ASKS_MAX at once, in a transaction, and what
     * comes is kept beside what is kept already, until forget() or the end of the transaction. kept() is first() for what was asked: as often
     * as one likes. All three, or NULL. */
    ccz_rc (*ahead)(void *db, const struct cczi_kms_ask *asks, size_t len);
    enum cczi_kms_step (*kept)(void *db, enum cczi_kms_sql sql, const struct cczi_kms_param *params,
                               size_t len);
    void (*forget)(void *db);
};
const struct ccz_kms_backend *cczi_kms_sqlite(void); /* target: path of the file, or ":memory:" */

struct cczi_kms_db {
    const struct ccz_kms_backend *ops;
    void *db;
    enum cczi_kms_fault fault; /* of the last statement that failed; the store resets it at BEGIN */
    /* one that is due is set before the first statement that writes: calls that only read, as most do, go without */
    enum { CCZI_KMS_SAVEPOINT_NONE, CCZI_KMS_SAVEPOINT_DUE, CCZI_KMS_SAVEPOINT_SET } savepoint;
    uint64_t
        as_of; /* counts what may change what is read: rows written, transactions begun and ended, undone */
    uint64_t ahead_as_of; /* of what ahead() has kept */
    _Atomic int64_t
        alive_ms; /* when the last statement, or row, was answered; read by any thread */
};
#define CCZI_KMS_SCHEMA       6
#define CCZI_KMS_SCHEMA_ID    3 /* since then stores have ids, and with them other keys */
#define CCZI_KMS_SCHEMA_HEADS 5 /* and items heads */
#define CCZI_KMS_SCHEMA_SETS  6 /* and sets of reference values */
ccz_rc cczi_kms_db_open(struct cczi_kms_db *db, const struct ccz_kms_backend *ops,
                        const char *target, bool create, struct ccz_err *err);
void cczi_kms_db_close(struct cczi_kms_db *db);
/* ops->copy to a file of mode 0600 that appears under @p path when it is complete and durable, in place of one that is there.
 * @retval CCZ_E_ARG "kms:backup" this back end has tools of its own */
ccz_rc cczi_kms_db_copy(const char *path, struct cczi_kms_db *db, struct ccz_err *err);
/* True inside a transaction; SQLite ends some by itself when a statement fails. */
bool cczi_kms_db_in_tx(const struct cczi_kms_db *db);
ccz_rc cczi_kms_db_schema(int64_t *out, struct cczi_kms_db *db, struct ccz_err *err);
/* Makes the tables (inside a transaction). */
ccz_rc cczi_kms_db_create(struct cczi_kms_db *db, struct ccz_err *err);
ccz_rc cczi_kms_db_exec(struct cczi_kms_db *db, const char *sql, struct ccz_err *err);
/* Asks what will be read in this transaction, as far as somebody can tell: it is answered as if it were asked when it is read, as nothing is
 * written in between (as_of). Nothing where that would not be faster. A failure is one of the transaction. */
ccz_rc cczi_kms_db_ahead(struct cczi_kms_db *db, const struct cczi_kms_ask *asks, size_t len,
                         struct ccz_err *err);
/* Sets the savepoint if it is due. */
ccz_rc cczi_kms_db_savepoint(struct cczi_kms_db *db, struct ccz_err *err);

/* A running statement with a sticky error: bind in order, loop over rows, test once with cczi_q_end(). */
struct cczi_q {
    struct cczi_kms_db *db;
    enum cczi_kms_sql sql;
    enum { CCZI_Q_BINDING, CCZI_Q_ROW, CCZI_Q_DONE, CCZI_Q_FAILED, CCZI_Q_ALIEN } state;
    size_t bound;
    struct cczi_kms_param param[CCZI_KMS_PARAMS_MAX];
};
struct cczi_q cczi_q_start(struct cczi_kms_db *db, enum cczi_kms_sql sql);
void cczi_q_param(struct cczi_q *q, const struct cczi_kms_param *p);
void cczi_q_int(struct cczi_q *q, int64_t v);
void cczi_q_text(struct cczi_q *q, const char *s);     /* borrowed until cczi_q_end() */
void cczi_q_blob(struct cczi_q *q, struct ccz_span s); /* borrowed until cczi_q_end() */
bool cczi_q_row(struct cczi_q *q);                     /* false at the end or on an error */
int64_t cczi_q_col_int(struct cczi_q *q, int col);
struct ccz_span cczi_q_col(struct cczi_q *q, int col); /* blob or text; valid until the next row */
/* Text column into a bounded array; a longer text is an error of the database. */
void cczi_q_col_text(char *out, size_t out_size, struct cczi_q *q, int col);
void cczi_q_col_bytes(uint8_t *out, size_t size, struct cczi_q *q,
                      int col); /* exactly `size` bytes */
/* Ends the statement. @return CCZ_OK, or what went wrong since the start */
ccz_rc cczi_q_end(struct cczi_q *q, struct ccz_err *err);
/* The same for a caller that looked at rows: keeps its error; a database error outranks "not found". */
ccz_rc cczi_q_end_after(struct cczi_q *q, ccz_rc rc, struct ccz_err *err);
#endif
