/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_ROWS_H
#define CCZ_KMS_ROWS_H
/*
 * Rows of most tables of the store (since schema 3), all by the same rules: a row has its MAC over every column, is part of the set
 * of rows that the head seals, is checked before it is used, found by ccz_kms_store_check() and carried over by a rekey.
 * Tables item, policy, audit and meta have functions of their own (item.c, audit.c, store.c). Included by kms_priv.h.
 */
#include <cczoo/kms.h>

#include "kms_db.h"

struct cczi_kms_sealer;
struct cczi_kms_ref;

/* --------------------------------------------------------------------------- rows.c */

enum { CCZI_KMS_COLS_MAX = 9 };
enum cczi_kms_table_id {
    CCZI_KMS_T_ADMIN,
    CCZI_KMS_T_BINDING,
    CCZI_KMS_T_QUORUM,
    CCZI_KMS_T_PROPOSAL,
    CCZI_KMS_T_APPROVAL,
    CCZI_KMS_T_KEY_META,
    CCZI_KMS_T_STAGED,
    CCZI_KMS_T_EVIDENCE,
    CCZI_KMS_T_REFERENCE,
    CCZI_KMS_T_RAW,
    CCZI_KMS_T_HEAD,
    CCZI_KMS_TABLES
};
/* How a table looks: its key columns come first, in SELECTs the MAC last. */
struct cczi_kms_table {
    const char *mac_name; /* with the schema that its columns are of, so that no older row passes */
    const char *types;    /* of its columns: i number, t text, b bytes */
    size_t keys;
    enum cczi_kms_sql get, put, del, all, rekey;
};
extern const struct cczi_kms_table cczi_kms_tables[CCZI_KMS_TABLES];

/* Columns of one row. What is added is borrowed; what is read lies in `bytes` until the next read. */
struct cczi_kms_row {
    struct cczi_kms_param col[CCZI_KMS_COLS_MAX];
    size_t len;
    uint8_t mac[32];
    struct ccz_buf bytes;
};
void cczi_kms_row_init(struct cczi_kms_row *r);
void cczi_kms_row_deinit(struct cczi_kms_row *r);
void cczi_kms_row_start(struct cczi_kms_row *r); /* no columns; next come those of a key */
void cczi_kms_row_int(struct cczi_kms_row *r, int64_t v);
void cczi_kms_row_text(struct cczi_kms_row *r, const char *s);
void cczi_kms_row_blob(struct cczi_kms_row *r, struct ccz_span s);

/* The row whose key columns @p r has; those stay the caller's, as an answer for another key has another MAC.
 * @retval CCZ_E_NOT_FOUND there is none (err is not filled) */
ccz_rc cczi_kms_row_get(struct cczi_kms_row *r, struct ccz_kms_store *s, enum cczi_kms_table_id t,
                        struct ccz_err *err);
/* All columns given; replaces a row of the same key. Sets r->mac. */
ccz_rc cczi_kms_row_put(struct ccz_kms_store *s, enum cczi_kms_table_id t, struct cczi_kms_row *r,
                        struct ccz_err *err);
/* By its key columns. @retval CCZ_E_NOT_FOUND there is none (err is not filled) */
ccz_rc cczi_kms_row_delete(struct ccz_kms_store *s, enum cczi_kms_table_id t,
                           const struct cczi_kms_row *key, struct ccz_err *err);
/* Calls fn for each row that @p sql selects by the key columns in @p key (NULL or none: all rows); stops at the first error.
 * fn must not run statements: one at a time has rows. */
typedef ccz_rc (*cczi_kms_row_fn)(void *arg, const struct cczi_kms_row *r, struct ccz_err *err);
ccz_rc cczi_kms_row_each(struct ccz_kms_store *s, enum cczi_kms_table_id t, enum cczi_kms_sql sql,
                         const struct cczi_kms_row *key, cczi_kms_row_fn fn, void *arg,
                         struct ccz_err *err);
/* The same with parameters of @p sql that are no columns: from where on, how many. */
ccz_rc cczi_kms_row_page(struct ccz_kms_store *s, enum cczi_kms_table_id t, enum cczi_kms_sql sql,
                         const struct cczi_kms_param *params, size_t len, cczi_kms_row_fn fn,
                         void *arg, struct ccz_err *err);
/* Adds each row to `set`, after it was checked. */
ccz_rc cczi_kms_rows_check(uint64_t *count, uint8_t set[32], struct ccz_kms_store *s,
                           enum cczi_kms_table_id t, struct ccz_err *err);
struct cczi_kms_rekey;
ccz_rc cczi_kms_rows_rekey(struct cczi_kms_rekey *k, struct ccz_kms_store *s,
                           enum cczi_kms_table_id t, struct ccz_err *err);

/* ------------------------------------------------------------------------- tables.c */

/*
 * The rows as structures. get: CCZ_E_NOT_FOUND (err not filled) if there is none; put replaces; each calls fn with what is
 * borrowed during the call, and fn must not run statements. Spans of what get gives lie in @p keep, which the caller has
 * initialised and frees. Inside a transaction only.
 */

#define CCZI_KMS_LABEL_SIZE 65 /* and its NUL */

/* A namespace is the part of a name before its first '/', "" for a name without one; "*" stands for all of them. */
#define CCZI_KMS_NS_ALL "*"

enum cczi_kms_principal { CCZI_KMS_PINNED = 0 /* a key */, CCZI_KMS_TOKEN = 1 /* a subject */ };
struct cczi_kms_admin {
    uint8_t id[32]; /* SHA-256 of the SubjectPublicKeyInfo, or of a token's subject */
    char ns[CCZ_KMS_NAME_SIZE];
    enum cczi_kms_principal kind;
    uint32_t roles; /* enum ccz_kms_role */
    char label[CCZI_KMS_LABEL_SIZE];
};
ccz_rc cczi_kms_admin_get(struct cczi_kms_admin *out, struct ccz_kms_store *s, const uint8_t id[32],
                          const char *ns, struct ccz_err *err);
/* Roles of 0 take the row away. */
ccz_rc cczi_kms_admin_put(struct ccz_kms_store *s, const struct cczi_kms_admin *a,
                          struct ccz_err *err);
typedef ccz_rc (*cczi_kms_admin_fn)(void *arg, const struct cczi_kms_admin *a, struct ccz_err *err);
/* @param id  NULL = of everybody */
ccz_rc cczi_kms_admin_each(struct ccz_kms_store *s, const uint8_t *id, cczi_kms_admin_fn fn,
                           void *arg, struct ccz_err *err);

/* An item (or key) is used for `op` under `policy`. op 0: release, and every operation without a binding of its own. */
struct cczi_kms_binding {
    char policy[CCZ_KMS_NAME_SIZE];
};
ccz_rc cczi_kms_binding_get(struct cczi_kms_binding *out, struct ccz_kms_store *s,
                            const struct cczi_kms_ref *ref, uint32_t op, struct ccz_err *err);
ccz_rc cczi_kms_binding_put(struct ccz_kms_store *s, const struct cczi_kms_ref *ref, uint32_t op,
                            const char *policy, struct ccz_err *err);
ccz_rc cczi_kms_binding_delete(struct ccz_kms_store *s, const struct cczi_kms_ref *ref, uint32_t op,
                               struct ccz_err *err);
/* Of all operations; CCZ_OK also if there are none. */
ccz_rc cczi_kms_binding_delete_all(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                                   struct ccz_err *err);
typedef ccz_rc (*cczi_kms_binding_fn)(void *arg, uint32_t op, const char *policy,
                                      struct ccz_err *err);
ccz_rc cczi_kms_binding_each(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                             cczi_kms_binding_fn fn, void *arg, struct ccz_err *err);

/* How many approvals a guarded method needs; 0 (also without a row) = none, it is called directly. A row that says so already stays. */
ccz_rc cczi_kms_quorum_get(uint32_t *needed, struct ccz_kms_store *s, const char *ns,
                           struct ccz_err *err);
ccz_rc cczi_kms_quorum_put(struct ccz_kms_store *s, const char *ns, uint32_t needed,
                           struct ccz_err *err);
/* There need not be one. */
ccz_rc cczi_kms_quorum_delete(struct ccz_kms_store *s, const char *ns, struct ccz_err *err);
/* cczi_kms_quorum_each() believes rows that are others than were known after all rows were looked at. A change of our own is known, from
 * the next commit on to be the store's; one of another server makes us forget. */
ccz_rc cczi_kms_quorums_note(struct ccz_kms_store *s, const uint8_t mac[32],
                             ccz_rc (*change)(uint8_t set[32], const struct cczi_kms_sealer *sealer,
                                              const uint8_t mac[32]));
void cczi_kms_quorums_commit(struct ccz_kms_store *s);
void cczi_kms_quorums_forget(struct ccz_kms_store *s);
typedef ccz_rc (*cczi_kms_quorum_fn)(void *arg, const char *ns, uint32_t needed,
                                     struct ccz_err *err);
ccz_rc cczi_kms_quorum_each(struct ccz_kms_store *s, cczi_kms_quorum_fn fn, void *arg,
                            struct ccz_err *err);

enum cczi_kms_proposal_state {
    CCZI_KMS_OPEN = 1,
    CCZI_KMS_DONE = 2,
    CCZI_KMS_REJECTED = 3,
    CCZI_KMS_EXPIRED = 4
};
struct cczi_kms_proposal {
    uint64_t id; /* 1, 2, ... */
    char ns[CCZ_KMS_NAME_SIZE];
    char method[32];
    struct ccz_span body; /* protobuf of the method's request */
    uint8_t proposer[32];
    int64_t created_s, expires_s;
    enum cczi_kms_proposal_state state;
};
ccz_rc cczi_kms_proposal_get(struct cczi_kms_proposal *out, struct cczi_kms_row *keep,
                             struct ccz_kms_store *s, uint64_t id, struct ccz_err *err);
ccz_rc cczi_kms_proposal_put(struct ccz_kms_store *s, const struct cczi_kms_proposal *p,
                             struct ccz_err *err);
/* With its approvals. */
ccz_rc cczi_kms_proposal_delete(struct ccz_kms_store *s, uint64_t id, struct ccz_err *err);
ccz_rc cczi_kms_proposal_last(uint64_t *id, struct ccz_kms_store *s, struct ccz_err *err);
/* Which there are, newest first: what stands there and was not checked, since that takes all of their requests. Whoever acts on it
 * reads the row, which is. */
struct cczi_kms_proposal_head {
    uint64_t id;
    char ns[CCZ_KMS_NAME_SIZE];
    int64_t state, expires_s;
    uint64_t bytes; /* of its request */
};
typedef ccz_rc (*cczi_kms_proposal_fn)(void *arg, const struct cczi_kms_proposal_head *h,
                                       struct ccz_err *err);
ccz_rc cczi_kms_proposal_heads(struct ccz_kms_store *s, cczi_kms_proposal_fn fn, void *arg,
                               struct ccz_err *err);

struct cczi_kms_approval {
    uint64_t proposal;
    uint8_t approver[32];
    int64_t time_s;
};
ccz_rc cczi_kms_approval_put(struct ccz_kms_store *s, const struct cczi_kms_approval *a,
                             struct ccz_err *err);
typedef ccz_rc (*cczi_kms_approval_fn)(void *arg, const struct cczi_kms_approval *a,
                                       struct ccz_err *err);
/* Of one proposal, oldest first. */
ccz_rc cczi_kms_approval_each(struct ccz_kms_store *s, uint64_t proposal, cczi_kms_approval_fn fn,
                              void *arg, struct ccz_err *err);

/* What a key that works inside the KMS is like (kms_keys.h); @p meta as cczi_kms_key_meta_put() writes it. */
ccz_rc cczi_kms_key_meta_row_get(struct ccz_span *meta, struct cczi_kms_row *keep,
                                 struct ccz_kms_store *s, const char *name, struct ccz_err *err);
ccz_rc cczi_kms_key_meta_row_put(struct ccz_kms_store *s, const char *name, struct ccz_span meta,
                                 struct ccz_err *err);
ccz_rc cczi_kms_key_meta_row_delete(struct ccz_kms_store *s, const char *name, struct ccz_err *err);
typedef ccz_rc (*cczi_kms_key_meta_fn)(void *arg, const char *name, struct ccz_span meta,
                                       struct ccz_err *err);
ccz_rc cczi_kms_key_meta_each(struct ccz_kms_store *s, cczi_kms_key_meta_fn fn, void *arg,
                              struct ccz_err *err);

/* A policy that is tried beside the one of the same name. */
struct cczi_kms_staged {
    char policy[CCZ_KMS_NAME_SIZE];
    struct ccz_span json;
    uint8_t sha256[32]; /* of it */
    int64_t created_s, ends_s;
    uint64_t would_accept, would_refuse;
};
ccz_rc cczi_kms_staged_get(struct cczi_kms_staged *out, struct cczi_kms_row *keep,
                           struct ccz_kms_store *s, const char *policy, struct ccz_err *err);
ccz_rc cczi_kms_staged_put(struct ccz_kms_store *s, const struct cczi_kms_staged *st,
                           struct ccz_err *err);
ccz_rc cczi_kms_staged_delete(struct ccz_kms_store *s, const char *policy, struct ccz_err *err);
typedef ccz_rc (*cczi_kms_staged_fn)(void *arg, const struct cczi_kms_staged *st,
                                     struct ccz_err *err);
/* Those of the namespace of @p name. */
ccz_rc cczi_kms_staged_of(struct ccz_kms_store *s, const char *name, cczi_kms_staged_fn fn,
                          void *arg, struct ccz_err *err);

/* Evidence that was judged, one row for each policy and distinct workload on a distinct state of its platform. */
struct cczi_kms_evidence {
    uint8_t id[32]; /* cczi_kms_seen_id() */
    char policy[CCZ_KMS_NAME_SIZE];
    uint32_t tee;
    struct ccz_span claims, evidence; /* evidence: the raw bytes, or empty */
    int64_t first_s, last_s;
    uint64_t accepted, refused;
};
ccz_rc cczi_kms_evidence_get(struct cczi_kms_evidence *out, struct cczi_kms_row *keep,
                             struct ccz_kms_store *s, const uint8_t id[32], struct ccz_err *err);
ccz_rc cczi_kms_evidence_put(struct ccz_kms_store *s, const struct cczi_kms_evidence *e,
                             struct ccz_err *err);
ccz_rc cczi_kms_evidence_delete(struct ccz_kms_store *s, const uint8_t id[32], struct ccz_err *err);
/* Rows of @p policy, or with @p whole_ns of all policies of its namespace. */
ccz_rc cczi_kms_evidence_count(uint64_t *rows, struct ccz_kms_store *s, const char *policy,
                               bool whole_ns, struct ccz_err *err);
/* Id of the row among them to go first: of those that never got anything the oldest, else the oldest. */
ccz_rc cczi_kms_evidence_oldest(uint8_t id[32], struct ccz_kms_store *s, const char *policy,
                                bool whole_ns, struct ccz_err *err);
typedef ccz_rc (*cczi_kms_evidence_fn)(void *arg, const struct cczi_kms_evidence *e,
                                       struct ccz_err *err);
ccz_rc cczi_kms_evidence_each(struct ccz_kms_store *s, cczi_kms_evidence_fn fn, void *arg,
                              struct ccz_err *err);
/* At most @p limit rows with ids above @p after, in their order. @param policy  NULL = of any */
ccz_rc cczi_kms_evidence_page(struct ccz_kms_store *s, const char *policy, const uint8_t after[32],
                              int64_t limit, cczi_kms_evidence_fn fn, void *arg,
                              struct ccz_err *err);

/* A statement over rows by name, $1 to $3 from and to and whether only those without a '/': that of @p name, or all of its namespace. */
struct cczi_kms_range { /* borrowed by the statement */
    char from[CCZ_KMS_NAME_SIZE + 1], to[CCZ_KMS_NAME_SIZE + 1];
    bool no_slash;
};
void cczi_kms_range_of(struct cczi_kms_range *r, const char *name, bool whole_ns);
struct cczi_q cczi_kms_range_query(enum cczi_kms_sql sql, struct cczi_kms_range *r,
                                   struct ccz_kms_store *s, const char *name, bool whole_ns);

/* What an item has: item_head.c. */
struct cczi_kms_item_head {
    uint32_t last; /* version */
    uint32_t ops;  /* CCZI_OP_BIT(): those with a binding */
};
/* @retval CCZ_E_NOT_FOUND there is no such item */
ccz_rc cczi_kms_item_head_get(struct cczi_kms_item_head *out, struct ccz_kms_store *s,
                              const struct cczi_kms_ref *ref, struct ccz_err *err);
/* A version, a binding was stored or destroyed. */
struct cczi_kms_slot;
ccz_rc cczi_kms_item_head_added(struct ccz_kms_store *s, const struct cczi_kms_slot *slot,
                                struct ccz_err *err);
ccz_rc cczi_kms_item_head_removed(struct ccz_kms_store *s, const struct cczi_kms_slot *slot,
                                  struct ccz_err *err);
ccz_rc cczi_kms_item_head_bound(struct ccz_kms_store *s, const struct cczi_kms_ref *ref,
                                uint32_t op, bool bound, struct ccz_err *err);
/* What became of a latest version that was asked for: the head says that there is one. where = "kms:row-set" */
ccz_rc cczi_kms_item_latest_is_there(ccz_rc got, struct ccz_err *err);
/* Whether the head says the same: that an operation has a row in the table of bindings (@p there), or none. where = "kms:row-set" */
ccz_rc cczi_kms_binding_said(struct ccz_kms_store *s, const struct cczi_kms_ref *ref, uint32_t op,
                             bool there, struct ccz_err *err);
/* Of a store of an older schema, whose rows were checked. */
ccz_rc cczi_kms_item_heads_build(struct ccz_kms_store *s, struct ccz_err *err);
/* The same of sets of reference values: the latest version. @retval CCZ_E_NOT_FOUND there is no such set */
ccz_rc cczi_kms_set_head_get(uint32_t *last, struct ccz_kms_store *s, const char *name,
                             struct ccz_err *err);
/* @p last 0 = there is none any more */
ccz_rc cczi_kms_set_head_put(struct ccz_kms_store *s, const char *name, uint32_t last,
                             struct ccz_err *err);
/* CCZ_E_SIG "kms:row-set" */
ccz_rc cczi_kms_set_went_away(struct ccz_err *err);

/* A version of a set of reference values. */
struct cczi_kms_reference {
    char name[CCZ_KMS_NAME_SIZE];
    uint32_t version;
    struct ccz_span json;
    uint8_t sha256[32]; /* of it */
    int64_t created_s;
    uint8_t mac[32]; /* of the row as it was read: no two rows have the same */
};
/* @p version  0 = the latest */
ccz_rc cczi_kms_reference_get(struct cczi_kms_reference *out, struct cczi_kms_row *keep,
                              struct ccz_kms_store *s, const char *name, uint32_t version,
                              struct ccz_err *err);
ccz_rc cczi_kms_reference_put(struct ccz_kms_store *s, const struct cczi_kms_reference *r,
                              struct ccz_err *err);
ccz_rc cczi_kms_reference_delete(struct ccz_kms_store *s, const char *name, uint32_t version,
                                 struct ccz_err *err);
/* tables.c: heads for the sets of a store of an older schema, whose rows were checked. */
ccz_rc cczi_kms_set_heads_build(struct ccz_kms_store *s, struct ccz_err *err);

/* Names alone: the rows of those that a caller may not see are not read for him. */
enum { CCZI_KMS_NAMES_MAX = 256 };
struct cczi_kms_names {
    char name[CCZI_KMS_NAMES_MAX][CCZ_KMS_NAME_SIZE];
    size_t len;
    bool more; /* than fit */
};
/* Those above @p after that @p may lets pass, in their order. @param sql  CCZI_SQL_STAGED_NAMES, CCZI_SQL_REFERENCE_NAMES
 *  @param max  up to CCZI_KMS_NAMES_MAX  @param may  of a name that no MAC was checked for; the row of that name has one */
ccz_rc cczi_kms_names_after(struct cczi_kms_names *out, struct ccz_kms_store *s,
                            enum cczi_kms_sql sql, const char *after, size_t max,
                            bool (*may)(const void *arg, const char *name), const void *arg,
                            struct ccz_err *err);

/* Evidence as it came in, found by its digest, in each namespace for itself. */
struct cczi_kms_raw {
    uint8_t sha256[32];
    char ns[CCZ_KMS_NAME_SIZE]; /* that pays for its place, and whose auditors read it */
    uint32_t tee;
    int64_t time_s;
    struct ccz_span evidence;
};
ccz_rc cczi_kms_raw_get(struct cczi_kms_raw *out, struct cczi_kms_row *keep,
                        struct ccz_kms_store *s, const uint8_t sha256[32], const char *ns,
                        struct ccz_err *err);
ccz_rc cczi_kms_raw_put(struct ccz_kms_store *s, const struct cczi_kms_raw *e, struct ccz_err *err);
ccz_rc cczi_kms_raw_delete(struct ccz_kms_store *s, const uint8_t sha256[32], const char *ns,
                           struct ccz_err *err);
/* Rows of a namespace, and bytes of evidence in them. */
ccz_rc cczi_kms_raw_count(uint64_t *rows, uint64_t *bytes, struct ccz_kms_store *s, const char *ns,
                          struct ccz_err *err);
ccz_rc cczi_kms_raw_oldest(uint8_t sha256[32], struct ccz_kms_store *s, const char *ns,
                           struct ccz_err *err);
#endif
