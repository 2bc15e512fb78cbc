/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_PRIV_H
#define CCZ_KMS_PRIV_H
/* Shared by the sources of src/kms and their tests only. */
#include <cczoo/crypto.h>
#include <cczoo/kms.h>

#include "tree.h"

/* --------------------------------------------------------------------------- name.c */

enum cczi_kms_kind {
    CCZI_KMS_KEY = 1,
    CCZI_KMS_SECRET = 2,
    CCZI_KMS_POLICY = 3,
    CCZI_KMS_SYSTEM = 4 /* the KMS's own keys: rows of the table item that no caller can name */
};
const char *cczi_kms_kind_name(enum cczi_kms_kind kind); /* "key", "secret", "policy", "system" */
/* Copies a name that obeys the rule of kms.h. where = "kms:name" */
ccz_rc cczi_kms_name(char out[CCZ_KMS_NAME_SIZE], struct ccz_span text, struct ccz_err *err);
/* "key/NAME": what a caller means. */
struct cczi_kms_ref {
    enum cczi_kms_kind kind;
    char name[CCZ_KMS_NAME_SIZE];
};
ccz_rc cczi_kms_ref_parse(struct cczi_kms_ref *out, struct ccz_span text, struct ccz_err *err);
void cczi_kms_ref_print(char out[CCZ_KMS_ITEM_SIZE], const struct cczi_kms_ref *ref);
#define CCZI_KMS_ALG_SIZE 16
/* Size of the material of a key algorithm, 0 if there is no such algorithm. */
size_t cczi_kms_alg_size(struct ccz_span alg);

/* --------------------------------------------------------------------------- hint.c */

/* Adds the hint that belongs to err->where, if there is one; does nothing for CCZ_OK. @return rc */
ccz_rc cczi_kms_hint(struct ccz_err *err, ccz_rc rc);

/* --------------------------------------------------------------------------- seal.c */

/* The master key is used for nothing but deriving these. */
enum cczi_kms_subkey { CCZI_KMS_WRAP, CCZI_KMS_ROW, CCZI_KMS_SET, CCZI_KMS_HEAD, CCZI_KMS_SUBKEYS };
#define CCZI_KMS_KEY_CHECK_SIZE 16
struct cczi_kms_sealer {
    struct ccz_secret *keys;                    /* CCZI_KMS_SUBKEYS times 32 bytes */
    struct ccz_aead *aead;                      /* AES-256-GCM */
    uint8_t key_check[CCZI_KMS_KEY_CHECK_SIZE]; /* public: tells one master key from another */
};
ccz_rc cczi_kms_sealer_init(struct cczi_kms_sealer *s, const struct ccz_secret *master,
                            struct ccz_err *err);
void cczi_kms_sealer_deinit(struct cczi_kms_sealer *s);

/* The place a value belongs to; associated data of its encryption. */
struct cczi_kms_slot {
    struct cczi_kms_ref ref;
    uint32_t version;
    char alg[CCZI_KMS_ALG_SIZE]; /* "" for a secret */
};
/* Appends the sealed form of `value` (1..CCZ_KMS_VALUE_SIZE_MAX bytes). */
ccz_rc cczi_kms_seal(struct ccz_buf *out, struct cczi_kms_sealer *s,
                     const struct cczi_kms_slot *slot, struct ccz_span value, struct ccz_err *err);
/* where = "kms:seal" */
ccz_rc cczi_kms_unseal(struct ccz_secret **out, struct cczi_kms_sealer *s,
                       const struct cczi_kms_slot *slot, struct ccz_span sealed,
                       struct ccz_err *err);

/* End of the audit chain and digest of the set of rows; stored sealed. */
struct cczi_kms_head {
    uint64_t seq;
    uint8_t hash[32];
    uint8_t set[32]; /* XOR over all rows of PRF(row MAC) */
    struct cczi_kms_tree
        tree; /* over the lines; empty although there are lines: sealed by a version without it */
};
#define CCZI_KMS_HEAD_SIZE_MAX (8 + 28 + 72 + CCZI_KMS_TREE_SIZE_MAX)
ccz_rc cczi_kms_head_seal(struct ccz_buf *out, struct cczi_kms_sealer *s,
                          const struct cczi_kms_head *h, struct ccz_err *err);
ccz_rc cczi_kms_head_unseal(struct cczi_kms_head *out, struct cczi_kms_sealer *s,
                            struct ccz_span sealed, struct ccz_err *err); /* where = "kms:head" */

#define CCZI_KMS_ROW_FIELDS_MAX 8
/* MAC of a row: every field with its size, so that no two rows encode alike. */
ccz_rc cczi_kms_row_mac(uint8_t out[32], const struct cczi_kms_sealer *s, const char *table,
                        const struct ccz_span *fields, size_t len);
/* Adds a row to the set, or takes it out again. */
ccz_rc cczi_kms_set_toggle(uint8_t set[32], const struct cczi_kms_sealer *s,
                           const uint8_t row_mac[32]);

/* ----------------------------------------------------------------------------- db.c */

struct sqlite3;
struct sqlite3_stmt;

enum cczi_kms_sql {
    CCZI_SQL_BEGIN,
    CCZI_SQL_COMMIT,
    CCZI_SQL_ROLLBACK,
    CCZI_SQL_META_GET,
    CCZI_SQL_META_PUT,
    CCZI_SQL_HEAD_SET,
    CCZI_SQL_ADMIN_GET,
    CCZI_SQL_ADMIN_PUT,
    CCZI_SQL_ADMIN_DEL,
    CCZI_SQL_ADMIN_ALL,
    CCZI_SQL_POLICY_GET,
    CCZI_SQL_POLICY_PUT,
    CCZI_SQL_POLICY_DEL,
    CCZI_SQL_POLICY_ALL,
    CCZI_SQL_POLICY_USED,
    CCZI_SQL_BIND_GET,
    CCZI_SQL_BIND_PUT,
    CCZI_SQL_BIND_DEL,
    CCZI_SQL_BIND_ALL,
    CCZI_SQL_ITEM_LAST,
    CCZI_SQL_ITEM_GET,
    CCZI_SQL_ITEM_PUT,
    CCZI_SQL_ITEM_DEL,
    CCZI_SQL_ITEM_ALL,
    CCZI_SQL_LIST,
    CCZI_SQL_VERSIONS,
    CCZI_SQL_COUNT,
    CCZI_SQL_AUDIT_PUT,
    CCZI_SQL_AUDIT_FROM,
    CCZI_SQL_LEN
};
struct cczi_kms_db {
    struct sqlite3 *db;
    struct sqlite3_stmt *stmt[CCZI_SQL_LEN];
};
#define CCZI_KMS_SCHEMA 1
/* Opens `path` (":memory:" for tests) exclusively. `create`: makes an empty file, mode 0600, if
 * there is none. */
ccz_rc cczi_kms_db_open(struct cczi_kms_db *db, const char *path, bool create, struct ccz_err *err);
void cczi_kms_db_close(struct cczi_kms_db *db);
/* True inside a transaction; SQLite ends some by itself when a statement fails. */
bool cczi_kms_db_in_tx(const struct cczi_kms_db *db);
/* 0 for an empty database. */
ccz_rc cczi_kms_db_schema(int64_t *out, struct cczi_kms_db *db, struct ccz_err *err);
/* Makes the tables (inside a transaction). */
ccz_rc cczi_kms_db_create(struct cczi_kms_db *db, struct ccz_err *err);
/* Prepares every statement; once, after the tables exist. */
ccz_rc cczi_kms_db_prepare(struct cczi_kms_db *db, struct ccz_err *err);
/* One statement without parameters or rows, given as text. */
ccz_rc cczi_kms_db_exec(struct cczi_kms_db *db, const char *sql, struct ccz_err *err);

/* A running statement with a sticky error: bind in order, loop over rows, test once with
 * cczi_q_end(). */
struct cczi_q {
    struct cczi_kms_db *db;
    struct sqlite3_stmt *stmt;
    int bound;
    int rc;
};
struct cczi_q cczi_q_start(struct cczi_kms_db *db, enum cczi_kms_sql sql);
void cczi_q_int(struct cczi_q *q, int64_t v);
void cczi_q_text(struct cczi_q *q, const char *s);     /* borrowed until cczi_q_end() */
void cczi_q_blob(struct cczi_q *q, struct ccz_span s); /* borrowed until cczi_q_end() */
bool cczi_q_row(struct cczi_q *q);                     /* false at the end or on an error */
int64_t cczi_q_col_int(const struct cczi_q *q, int col);
struct ccz_span cczi_q_col(const struct cczi_q *q,
                           int col); /* blob or text; valid until the next row */
/* Text column into a bounded array; a longer text is an error of the database. */
void cczi_q_col_text(char *out, size_t out_size, struct cczi_q *q, int col);
void cczi_q_col_bytes(uint8_t *out, size_t size, struct cczi_q *q,
                      int col); /* exactly `size` bytes */
/* Ends the statement. @return CCZ_OK, or what went wrong since the start */
ccz_rc cczi_q_end(struct cczi_q *q, struct ccz_err *err);
/* The same for a caller that looked at rows: keeps its error; a database error outranks "not
 * found". */
ccz_rc cczi_q_end_after(struct cczi_q *q, ccz_rc rc, struct ccz_err *err);

/* -------------------------------------------------------------------------- store.c */

struct ccz_kms_store {
    struct cczi_kms_db db;
    struct cczi_kms_sealer sealer;
    struct cczi_kms_head head; /* as of the current transaction */
    bool head_dirty;
    struct cczi_kms_lines lines;   /* lines of the current transaction, or of the last one */
    struct cczi_kms_signer signer; /* loaded by cczi_kms_signer_ensure() */
};
/* A store in memory with one administrator, for tests and fuzzing. */
ccz_rc cczi_kms_store_memory(struct ccz_kms_store **out, const struct ccz_secret *master,
                             const uint8_t admin_spki_sha256[32], int64_t now_s,
                             struct ccz_err *err);
/* A transaction: everything between begin and commit is on disk when commit returns, or nothing is.
 */
ccz_rc cczi_kms_begin(struct ccz_kms_store *s, struct ccz_err *err);
ccz_rc cczi_kms_commit(struct ccz_kms_store *s, struct ccz_err *err); /* rolls back when it fails */
void cczi_kms_rollback(struct ccz_kms_store *s); /* no-op outside a transaction */
/* Compares the stored MAC of a row. where = "kms:row-mac" */
ccz_rc cczi_kms_row_check(const struct ccz_kms_store *s, const char *table,
                          const struct ccz_span *fields, size_t len, const uint8_t mac[32],
                          struct ccz_err *err);
/* Computes the MAC of a new row and adds it to the set. */
ccz_rc cczi_kms_row_add(uint8_t mac[32], struct ccz_kms_store *s, const char *table,
                        const struct ccz_span *fields, size_t len);
ccz_rc cczi_kms_row_remove(struct ccz_kms_store *s, const uint8_t mac[32]);

/* -------------------------------------------------------------------------- admin.c */

struct cczi_kms_admin {
    uint8_t spki_sha256[32];
    enum ccz_kms_role role;
    uint8_t mac[32];
};
/* @retval CCZ_E_NOT_FOUND no such key (err is not filled) */
ccz_rc cczi_kms_admin_get(struct cczi_kms_admin *out, struct ccz_kms_store *s,
                          const uint8_t spki_sha256[32], struct ccz_err *err);
ccz_rc cczi_kms_admin_put(struct ccz_kms_store *s, const uint8_t spki_sha256[32],
                          enum ccz_kms_role role, struct ccz_err *err);
/* Calls fn for each row, its MAC checked; stops at the first error. */
typedef ccz_rc (*cczi_kms_admin_fn)(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err);
ccz_rc cczi_kms_admin_each(struct ccz_kms_store *s, cczi_kms_admin_fn fn, void *arg,
                           struct ccz_err *err);

/* --------------------------------------------------------------------------- item.c */

/* Getters: CCZ_E_NOT_FOUND (err not filled) if there is no such row. Inside a transaction only. */
struct cczi_kms_item {
    struct cczi_kms_slot slot;
    int64_t created_s;
    uint8_t mac[32];
    struct ccz_buf sealed; /* init and free by the caller */
};
/* version 0 = latest */
ccz_rc cczi_kms_item_get(struct cczi_kms_item *out, struct ccz_kms_store *s,
                         const struct cczi_kms_ref *ref, uint32_t version, struct ccz_err *err);
ccz_rc cczi_kms_item_put(struct ccz_kms_store *s, const struct cczi_kms_slot *slot,
                         int64_t created_s, struct ccz_span value, struct ccz_err *err);
ccz_rc cczi_kms_item_delete(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                            uint32_t version, struct ccz_err *err);
/* Latest version of an item, 0 if it does not exist. */
ccz_rc cczi_kms_item_last(uint32_t *version, struct ccz_kms_store *s,
                          const struct cczi_kms_ref *ref, struct ccz_err *err);

struct cczi_kms_binding {
    char policy[CCZ_KMS_NAME_SIZE];
    uint8_t mac[32];
};
ccz_rc cczi_kms_binding_get(struct cczi_kms_binding *out, struct ccz_kms_store *s,
                            const struct cczi_kms_ref *ref, struct ccz_err *err);
ccz_rc cczi_kms_binding_put(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                            const char *policy, struct ccz_err *err); /* replaces */
ccz_rc cczi_kms_binding_delete(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                               struct ccz_err *err);

struct cczi_kms_policy {
    int64_t created_s;
    uint8_t sha256[32];
    uint8_t mac[32];
    struct ccz_buf json; /* init and free by the caller */
};
ccz_rc cczi_kms_policy_get(struct cczi_kms_policy *out, struct ccz_kms_store *s, const char *name,
                           struct ccz_err *err);
ccz_rc cczi_kms_policy_put(struct ccz_kms_store *s, const char *name, struct ccz_span json,
                           int64_t now_s, struct ccz_err *err); /* replaces */
ccz_rc cczi_kms_policy_delete(struct ccz_kms_store *s, const char *name, struct ccz_err *err);
ccz_rc cczi_kms_policy_used(bool *used, struct ccz_kms_store *s, const char *name,
                            struct ccz_err *err);

/* Check of all rows of the three tables: MACs, sealed values; toggles each into `set`. */
ccz_rc cczi_kms_items_check(struct ccz_kms_check *out, uint8_t set[32], struct ccz_kms_store *s,
                            struct ccz_err *err);

/* -------------------------------------------------------------------------- audit.c */

/* What the hash of a line covers before its entry: prev || le64 seq || le64 time_s. */
#define CCZI_KMS_LINE_HEAD_SIZE 48
void cczi_kms_line_head(uint8_t out[CCZI_KMS_LINE_HEAD_SIZE], const struct ccz_kms_audit_line *l);
ccz_rc cczi_kms_line_hash(uint8_t out[32], const struct ccz_kms_audit_line *l);
/* Appends a line to the chain (inside a transaction). */
ccz_rc cczi_kms_audit_append(struct ccz_kms_receipt *receipt, struct ccz_kms_store *s,
                             int64_t time_s, struct ccz_span entry, struct ccz_err *err);
/* Makes the tree of a store that was written before there was one (inside a transaction). */
ccz_rc cczi_kms_tree_catch_up(struct ccz_kms_store *s, struct ccz_err *err);
/* Walks the chain and compares its end, and the tree over it, with the sealed head. */
ccz_rc cczi_kms_audit_check_all(uint64_t *lines, struct ccz_kms_store *s, struct ccz_err *err);

/* ------------------------------------------------------------------------- signer.c */

/* Loads the key that signs checkpoints into s->signer, or makes it: a transaction of its own, so not inside of one. Does nothing when
 * it is loaded. */
ccz_rc cczi_kms_signer_ensure(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err);
/* Calls fn with the SubjectPublicKeyInfo of every such key, oldest first; inside a transaction. */
typedef void (*cczi_kms_spki_fn)(void *arg, struct ccz_span spki);
ccz_rc cczi_kms_signer_each(struct ccz_kms_store *s, cczi_kms_spki_fn fn, void *arg,
                            struct ccz_err *err);

/* ---------------------------------------------------------------------------- msg.c */

/* A message is a plain struct of ccz_span (strings, bytes, nested messages) and uint64_t (all
 * numbers), described by a table; both directions read the same table. */
enum cczi_msg_type { CCZI_MSG_END, CCZI_MSG_SPAN, CCZI_MSG_UINT };
struct cczi_msg_field {
    uint32_t number;
    enum cczi_msg_type type;
    size_t offset;
    uint64_t max; /* of the size, or of the number */
};
/* @p msg starts zeroed; spans borrow from @p in. Unknown fields are ignored; a known one of another
 * wire type, over its maximum or given twice is refused. where = "kms:request" */
ccz_rc cczi_msg_get(void *msg, const struct cczi_msg_field *fields, struct ccz_span in,
                    struct ccz_err *err);
/* Appends; empty fields are left out. */
void cczi_msg_put(struct ccz_buf *out, const struct cczi_msg_field *fields, const void *msg);

struct cczi_msg_receipt {
    uint64_t seq;
    struct ccz_span sha256;
    uint64_t time_s;
};
struct cczi_msg_release_req {
    struct ccz_span item;
    uint64_t version;
};
struct cczi_msg_release_resp {
    struct ccz_span value, alg;
    uint64_t version;
    struct ccz_span policy, policy_sha256, rule;
    struct ccz_span inclusion; /* text of struct ccz_kms_inclusion */
    struct ccz_span receipt;
};
struct cczi_msg_put_req {
    struct ccz_span name, alg, value, policy;
    uint64_t new_version;
};
struct cczi_msg_put_resp {
    uint64_t version;
    struct ccz_span receipt;
};
struct cczi_msg_put_policy_req {
    struct ccz_span name, json;
    uint64_t replace;
};
struct cczi_msg_bind_req {
    struct ccz_span item, policy;
};
struct cczi_msg_delete_req {
    struct ccz_span target;
    uint64_t version;
};
struct cczi_msg_get_policy_resp {
    struct ccz_span json, sha256;
};
/* Requests of one string in field 1: GetPolicy, List, Describe. */
struct cczi_msg_name {
    struct ccz_span name;
};
struct cczi_msg_item {
    struct ccz_span item, alg;
    uint64_t version, created_s;
    struct ccz_span policy;
};
struct cczi_msg_audit_req {
    uint64_t after_seq, limit;
};
struct cczi_msg_audit_line {
    uint64_t seq, time_s;
    struct ccz_span entry, prev, hash;
};
struct cczi_msg_checkpoint {
    struct ccz_span text; /* and SPKIs in field 1 */
};
struct cczi_msg_status {
    struct ccz_span version, tee;
    uint64_t simulated, started_s, keys, secrets, policies, unbound, audit_seq,
        collateral_expires_s;
    struct ccz_span audit_sha256;
};
extern const struct cczi_msg_field cczi_msg_receipt[], cczi_msg_release_req[],
    cczi_msg_release_resp[], cczi_msg_put_req[], cczi_msg_put_resp[], cczi_msg_put_policy_req[],
    cczi_msg_bind_req[], cczi_msg_delete_req[], cczi_msg_get_policy_resp[], cczi_msg_none[],
    cczi_msg_name[], cczi_msg_item[], cczi_msg_audit_req[], cczi_msg_audit_line[],
    cczi_msg_checkpoint[], cczi_msg_status[];
/* Field numbers used outside the tables. */
enum { CCZI_MSG_REPEATED = 1, CCZI_MSG_MORE = 2, CCZI_MSG_INCLUSION = 14, CCZI_MSG_RECEIPT = 15 };

#define CCZI_KMS_SERVICE "/cczoo.kms.v1.Kms/"

/* ------------------------------------------------------------------ handle.c, methods.c */

/* One call on its way through: what methods fill in is what the audit and log line say. */
struct cczi_kms_call {
    struct ccz_kms_store *store;
    const struct ccz_kms_request *req;
    enum ccz_kms_role role; /* of an administrator */
    /* for the audit line; filled once checked, so that no line quotes unchecked text */
    struct cczi_kms_ref ref;
    bool has_ref;
    uint32_t version;
    char policy[CCZ_KMS_NAME_SIZE];
    uint8_t policy_sha256[32];
    bool has_policy_sha256;
    char rule[64];
};
typedef ccz_rc (*cczi_kms_method_fn)(struct ccz_buf *response, struct cczi_kms_call *call,
                                     struct ccz_err *err);
struct cczi_kms_method {
    const char *name; /* last part of the path */
    bool workload;    /* for attested workloads; else for pinned keys with `role` */
    enum ccz_kms_role role;
    bool recorded;          /* leaves an audit line when accepted, and answers with its receipt */
    cczi_kms_method_fn run; /* inside a transaction */
};
/* Appends what shows that a recorded call is on record (fields 14 and 15), once the transaction is committed and its batch signed. */
ccz_rc cczi_kms_receipt_put(struct ccz_buf *out, const struct cczi_kms_lines *batch,
                            const struct ccz_kms_receipt *r, struct ccz_err *err);
extern const struct cczi_kms_method cczi_kms_methods[];
extern const size_t cczi_kms_methods_len;
#endif
