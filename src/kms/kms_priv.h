/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_PRIV_H
#define CCZ_KMS_PRIV_H
/* Shared by the sources of src/kms and their tests only. */
#include <cczoo/crypto.h>
#include <cczoo/kms.h>
#include <cczoo/x509.h>

#include "kms_db.h"
#include "kms_rows.h"
#include "kms_why.h"
#include "token.h"
#include "tree.h"

#include <stdatomic.h>

/* --------------------------------------------------------------------------- name.c */

enum cczi_kms_kind {
    CCZI_KMS_KEY = 1,
    CCZI_KMS_SECRET = 2,
    CCZI_KMS_POLICY = 3,
    CCZI_KMS_SYSTEM = 4, /* the KMS's own keys: rows of the table item that no caller can name */
    CCZI_KMS_REFERENCE =
        5 /* sets of reference values: in audit lines and item_head, and never an item */
};
const char *
cczi_kms_kind_name(enum cczi_kms_kind kind); /* "key", "secret", "policy", "system", "reference" */
/* Copies a name that obeys the rule of kms.h. where = "kms:name" */
ccz_rc cczi_kms_name(char out[CCZ_KMS_NAME_SIZE], struct ccz_span text, struct ccz_err *err);
/* "key/NAME": what a caller means. */
struct cczi_kms_ref {
    enum cczi_kms_kind kind;
    char name[CCZ_KMS_NAME_SIZE];
};
ccz_rc cczi_kms_ref_parse(struct cczi_kms_ref *out, struct ccz_span text, struct ccz_err *err);
/* Also "reference/NAME": what audit lines are about. */
ccz_rc cczi_kms_about_parse(struct cczi_kms_ref *out, struct ccz_span text);
void cczi_kms_ref_print(char out[CCZ_KMS_ITEM_SIZE], const struct cczi_kms_ref *ref);
/* Size of the material of a key algorithm, 0 if there is no such algorithm. */
size_t cczi_kms_alg_size(struct ccz_span alg);

/* --------------------------------------------------------------------------- hint.c */

/* Adds the hint that belongs to err->where, if there is one; does nothing for CCZ_OK. @return rc */
ccz_rc cczi_kms_hint(struct ccz_err *err, ccz_rc rc);

/* --------------------------------------------------------------------------- seal.c */

/* The master key is used for nothing but deriving these. */
enum cczi_kms_subkey { CCZI_KMS_WRAP, CCZI_KMS_ROW, CCZI_KMS_SET, CCZI_KMS_HEAD, CCZI_KMS_SUBKEYS };
#define CCZI_KMS_KEY_CHECK_SIZE 16
#define CCZI_KMS_STORE_ID_SIZE  32
struct cczi_kms_sealer {
    struct ccz_secret *keys;                    /* CCZI_KMS_SUBKEYS times 32 bytes */
    struct ccz_aead *aead;                      /* AES-256-GCM */
    uint8_t key_check[CCZI_KMS_KEY_CHECK_SIZE]; /* public: tells one master key from another */
    uint8_t id[CCZI_KMS_STORE_ID_SIZE]; /* public, random: which store; in every key derived */
    bool has_id;                        /* false: of schemas 1 and 2, for reading them only */
};
/* @param id  CCZI_KMS_STORE_ID_SIZE bytes; NULL = of schemas 1 and 2 */
ccz_rc cczi_kms_sealer_init(struct cczi_kms_sealer *s, const struct ccz_secret *master,
                            const uint8_t *id, struct ccz_err *err);
void cczi_kms_sealer_deinit(struct cczi_kms_sealer *s);

/* The place a value belongs to; associated data of its encryption. */
struct cczi_kms_slot {
    struct cczi_kms_ref ref;
    uint32_t version;
    char alg[CCZ_KMS_ALG_SIZE]; /* "" for a secret */
};
/* Appends the sealed form of `value` (1..CCZ_KMS_VALUE_SIZE_MAX bytes). */
ccz_rc cczi_kms_seal(struct ccz_buf *out, struct cczi_kms_sealer *s,
                     const struct cczi_kms_slot *slot, struct ccz_span value, struct ccz_err *err);
/* where = "kms:seal" */
ccz_rc cczi_kms_unseal(struct ccz_secret **out, struct cczi_kms_sealer *s,
                       const struct cczi_kms_slot *slot, struct ccz_span sealed,
                       struct ccz_err *err);

/* A sealed value of one master key as one of another (rekey). Appends. where = "kms:seal" */
ccz_rc cczi_kms_reseal(struct ccz_buf *out, const struct cczi_kms_sealer *from,
                       struct cczi_kms_sealer *to, const struct cczi_kms_slot *slot,
                       struct ccz_span sealed, struct ccz_err *err);

/* Where a List goes on that stopped at a name which its caller may not read: of one store, for one caller, and it shows nothing.
 * where = "kms:list-cursor" */
#define CCZI_KMS_CURSOR_SIZE (16 + 1 + CCZ_KMS_NAME_SIZE + 16)
ccz_rc cczi_kms_cursor_seal(uint8_t out[CCZI_KMS_CURSOR_SIZE], struct cczi_kms_sealer *s,
                            const struct cczi_kms_ref *at, const uint8_t principal[32],
                            struct ccz_err *err);
ccz_rc cczi_kms_cursor_open(struct cczi_kms_ref *at, struct cczi_kms_sealer *s,
                            struct ccz_span cursor, const uint8_t principal[32],
                            struct ccz_err *err);

/* End of the audit chain and digest of the set of rows; stored sealed. */
struct cczi_kms_head {
    uint64_t seq;
    uint8_t hash[32];
    uint8_t set[32];           /* sum over all rows; seal.c says of what, and why */
    uint64_t generation;       /* of the row that was written last */
    uint8_t first[32];         /* hash of audit line 1, which names the log; zeros without lines */
    struct cczi_kms_tree tree; /* over the lines; schemas 1 and 2: may be empty all the same */
};
#define CCZI_KMS_HEAD_SIZE_MAX (CCZI_KMS_STORE_ID_SIZE + 8 + 28 + 112 + CCZI_KMS_TREE_SIZE_MAX)
ccz_rc cczi_kms_head_seal(struct ccz_buf *out, struct cczi_kms_sealer *s,
                          const struct cczi_kms_head *h, struct ccz_err *err);
/* where = "kms:head"; "kms:store-identity": it is another store's */
ccz_rc cczi_kms_head_unseal(struct cczi_kms_head *out, struct cczi_kms_sealer *s,
                            struct ccz_span sealed, struct ccz_err *err);
/* The id of the store that a head is of, not proved yet: only a sealer with this id opens it. */
ccz_rc cczi_kms_head_id(uint8_t id[CCZI_KMS_STORE_ID_SIZE], struct ccz_span sealed,
                        struct ccz_err *err);

#define CCZI_KMS_ROW_FIELDS_MAX 12
#define CCZI_KMS_ROW_MAC_SIZE   32
/* MAC of a row: every field with its size, so that no two rows encode alike, and a generation that no other row has, so that
 * no row is written twice. It begins with the generation. A sealer of schemas 1 and 2 knows none. */
ccz_rc cczi_kms_row_mac(uint8_t out[CCZI_KMS_ROW_MAC_SIZE], const struct cczi_kms_sealer *s,
                        uint64_t generation, const char *table, const struct ccz_span *fields,
                        size_t len);
uint64_t cczi_kms_row_generation(const uint8_t mac[CCZI_KMS_ROW_MAC_SIZE]);
/* Adds a row to the set, or takes out one that is in it. */
ccz_rc cczi_kms_set_add(uint8_t set[32], const struct cczi_kms_sealer *s,
                        const uint8_t mac[CCZI_KMS_ROW_MAC_SIZE]);
ccz_rc cczi_kms_set_remove(uint8_t set[32], const struct cczi_kms_sealer *s,
                           const uint8_t mac[CCZI_KMS_ROW_MAC_SIZE]);

/* -------------------------------------------------------------------------- store.c */

struct cczi_kms_entry;
struct cczi_kms_call;
struct cczi_kms_walk;
struct cczi_kms_blocks;
/* The rows of the table quorum as a set of their own, since all rows of the store were added up, with our own changes. One that is
 * missing, or an earlier one, would ask for fewer approvals: so rows that are not those are believed after another look at all of
 * them. */
struct cczi_kms_quorums {
    bool known, known_here; /* of the store as it was committed; of this transaction */
    uint8_t set[32], here[32];
    unsigned changes; /* of our own in this transaction */
};
/* What a savepoint puts back. */
struct cczi_kms_before {
    struct cczi_kms_head head;
    bool dirty;
    size_t lines, noted;
    struct cczi_kms_quorums quorums;
    bool lazy; /* db.savepoint tells whether the database has it */
};
/* Called with every call of a batch after its COMMIT and before any answer leaves: receipts are complete but for
 * entry->proof, which this may fill. An error withholds the answers of all recorded calls; what they did stays. */
typedef ccz_rc (*cczi_kms_batch_fn)(void *arg, struct ccz_kms_store *s,
                                    struct cczi_kms_entry *entries, size_t len,
                                    struct ccz_err *err);

/* Called after a COMMIT that added audit lines, with the new end of the chain, before anything of it is told outside; to
 * advance a counter elsewhere. An error is as above. */
typedef ccz_rc (*cczi_kms_commit_fn)(void *arg, const struct cczi_kms_head *head,
                                     struct ccz_err *err);

struct ccz_kms_store {
    const struct ccz_clock *
        clock; /* read once the store is held, as a call may wait for it; NULL: the request's time counts */
    struct ccz_kms_epoch *epoch; /* or NULL; the caller's */
    int64_t opened_last_s;       /* time of the last audit line when it was opened */
    struct cczi_kms_db db;
    struct cczi_kms_sealer sealer;
    struct cczi_kms_sealer next; /* migrate.c: that of the newest schema, then the old one */
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE]; /* public: which KMS this is */
    struct cczi_kms_head head;               /* as of the current transaction */
    bool head_dirty;
    bool no_heads;          /* of a schema without item_head, until it is migrated */
    bool no_set_heads;      /* of one in which sets of reference values have none */
    bool whole, whole_next; /* this transaction, the next one is as of cczi_kms_begin_whole() */
    struct cczi_kms_before before; /* as of the savepoint */
    struct cczi_kms_quorums quorums;
    bool trial; /* cczi_kms_trial_begin() */
    uint8_t trial_key[32];
    struct cczi_kms_policies *policies; /* parsed ones */
    struct cczi_kms_looks *looks;       /* looks.h */
    struct cczi_kms_past *past;         /* past.h; NULL while the store is being made */
    struct cczi_kms_memo *memo;         /* memo.h; NULL while the store is being made */
    struct cczi_kms_guesses *guesses;   /* ahead.h; NULL until there are some */
    uint64_t begun_generation;          /* of the head, when this transaction began */
    bool looking;                       /* at all rows: what they add up to says more than past.h */
    struct cczi_kms_quotas *quotas;     /* quota.h; NULL while the store is being made */
    struct cczi_kms_watch *watch;       /* or NULL while the store is being made */
    uint64_t seen_seq; /* the latest end of the audit chain that this process knows of */
    uint8_t seen_hash[32];
    cczi_kms_commit_fn on_commit; /* NULL = none */
    void *on_commit_arg;
    uint64_t settled_seq;               /* end of the chain that on_commit was last told */
    struct cczi_kms_opened *opened;     /* opened keys; this and the next: use_priv.h */
    struct cczi_kms_importer *importer; /* keys that come in wrapped */
    cczi_kms_batch_fn on_batch;         /* cczi_kms_sign_batch() */
    void *on_batch_arg;
    int64_t resolve_ms;    /* CCZI_KMS_RESOLVE_MS; less in tests */
    int64_t batch_ms;      /* how long calls go into one transaction; 0 = all that there are */
    int64_t away_until_ms; /* the database is away: `away` says why; 0 = it is not */
    struct ccz_err away;
    bool
        unreachable; /* why the last COMMIT that is unknown stayed so; else the database had another reason */
    _Atomic uint64_t
        unrecorded; /* calls that were refused without a line: cczi_kms_batch_metrics() */
    _Atomic bool takes_nothing;    /* the last of them came after the last commit */
    uint64_t roles_changed;        /* counts; also changes that were undone */
    struct cczi_kms_lines lines;   /* lines of the current transaction, or of the last one */
    struct cczi_kms_signer signer; /* loaded by cczi_kms_signer_ensure() */
    /* of cczi_kms_token_key() and cczi_kms_token_keys_put() */
    struct cczi_kms_token_keys token;
    struct cczi_kms_blocks *blocks; /* consistency.c, or NULL */
};
/* Opens a state folder whose database has schema @p schema (0 = an older one, for migrate.c): master key and all, but nothing
 * is checked yet. */
ccz_rc cczi_kms_store_open_schema(struct ccz_kms_store **out, const struct ccz_kms_state *state,
                                  int64_t schema, struct ccz_err *err);
/* A store in memory with one administrator, for tests and fuzzing. */
ccz_rc cczi_kms_store_memory(struct ccz_kms_store **out, const struct ccz_secret *master,
                             const uint8_t admin_spki_sha256[32], int64_t now_s,
                             struct ccz_err *err);
/* A transaction: everything between begin and commit is on disk when commit returns, or nothing is.
 */
ccz_rc cczi_kms_begin(struct ccz_kms_store *s, struct ccz_err *err);
/* What is read is what was there at its begin, but for its own changes, whoever writes to the database. In others, a look at all
 * rows fails as what is to be tried again, and the next one is of this kind. */
ccz_rc cczi_kms_begin_whole(struct ccz_kms_store *s, struct ccz_err *err);
ccz_rc cczi_kms_begin_read(struct ccz_kms_store *s,
                           struct ccz_err *err); /* changes nothing, holds up nobody */
/* Rolls back when it fails; s->db.fault says what that means. */
ccz_rc cczi_kms_commit(struct ccz_kms_store *s, struct ccz_err *err);
/* What has to happen between a COMMIT and its answers: on_commit, unless it knows this end already. */
ccz_rc cczi_kms_settle(struct ccz_kms_store *s, struct ccz_err *err);
#define CCZI_KMS_RETRIES 7
/* and none later than this after the first try: callers have other servers to go to, and a deadline */
#define CCZI_KMS_RETRY_MS 3000
/* What became of a COMMIT without an answer is asked again for so long; the last time that it is asked has the limits of any statement. */
#define CCZI_KMS_RESOLVE_MS 3000
/* How long calls are refused at once after a transaction could not even begin. */
#define CCZI_KMS_AWAY_MS 1000
void cczi_kms_retry_pause(unsigned n);           /* before try n = 1, 2, ... of a transaction */
void cczi_kms_rollback(struct ccz_kms_store *s); /* no-op outside a transaction */
/* A part of the transaction that can be undone by itself; one at a time. */
ccz_rc cczi_kms_savepoint(struct ccz_kms_store *s, struct ccz_err *err);
/* The same, set in the database with the first row that is written. A statement that fails before that ends the transaction with some
 * databases: for calls, which are then handled one by one. */
void cczi_kms_savepoint_lazy(struct ccz_kms_store *s);
/* What follows is one statement, and nothing that can fail comes behind it: a savepoint that is not set yet is not needed. */
void cczi_kms_savepoint_last(struct ccz_kms_store *s);
ccz_rc cczi_kms_savepoint_keep(struct ccz_kms_store *s, struct ccz_err *err);
ccz_rc cczi_kms_savepoint_undo(struct ccz_kms_store *s, struct ccz_err *err);
/*
 * Integrity of rows. The column `mac` is CCZI_KMS_ROW_MAC_SIZE bytes that callers carry and never look into. A row that is
 * changed is a row removed, by the MAC that was read in this transaction and checked, and another one added: with a MAC that
 * no row had before, even if all its columns are the same.
 */
/* Compares the stored MAC of a row. where = "kms:row-mac" */
ccz_rc cczi_kms_row_check(const struct ccz_kms_store *s, const char *table,
                          const struct ccz_span *fields, size_t len, const uint8_t mac[32],
                          struct ccz_err *err);
/* The same by another sealer. */
ccz_rc cczi_kms_row_check_by(const struct cczi_kms_sealer *sealer, const char *table,
                             const struct ccz_span *fields, size_t len, const uint8_t mac[32],
                             struct ccz_err *err);
/* Computes the MAC of a new row, with the next generation, and adds it to the set. */
ccz_rc cczi_kms_row_add(uint8_t mac[32], struct ccz_kms_store *s, const char *table,
                        const struct ccz_span *fields, size_t len);
/* Takes a row out of the set. One that is not in it leaves a set that no check accepts any more. */
ccz_rc cczi_kms_row_remove(struct ccz_kms_store *s, const uint8_t mac[32]);

/*
 * What is written from begin to end is going to be undone, before the transaction is committed: a call that is tried out, and that
 * nobody has approved. A database keeps rows that were undone where whoever runs it can read them (dead tuples, the log), so they
 * must not be genuine anywhere else: their MACs hold in this process and until the end alone.
 */
ccz_rc cczi_kms_trial_begin(struct ccz_kms_store *s, struct ccz_err *err);
void cczi_kms_trial_end(struct ccz_kms_store *s);

/* Rows that go over to another sealer, in one transaction: read under s->sealer, written under `to`. */
struct cczi_kms_rekey {
    struct cczi_kms_sealer *to;
    uint64_t generation; /* of the row that was written last */
    uint8_t was[32]; /* set of the rows read: at the end that of s->head, or somebody was faster */
    uint8_t set[32]; /* of the rows written */
};
/* The MAC of a row that was checked; @p old is the one that it had. */
ccz_rc cczi_kms_rekey_row(uint8_t mac[32], struct cczi_kms_rekey *k, const struct ccz_kms_store *s,
                          const uint8_t old[32], const char *table, const struct ccz_span *fields,
                          size_t len, struct ccz_err *err);
/* Fails unless @p set is the one that the last transaction left. where = "kms:row-set" */
ccz_rc cczi_kms_set_is(const struct ccz_kms_store *s, const uint8_t set[32], struct ccz_err *err);

/* Whether all rows are those that were left, by the changes of this transaction too: where more hangs on it than on the rows that
 * are read. It reads all of them, and opens no values. where = "kms:row-set", "kms:row-mac" */
ccz_rc cczi_kms_rows_whole(struct ccz_kms_store *s, struct ccz_err *err);
/* Every table of rows.c: MACs, into the set. */
ccz_rc cczi_kms_tables_check(struct ccz_kms_check *out, uint8_t set[32], struct ccz_kms_store *s,
                             struct ccz_err *err);
/* Everything that ccz_kms_store_check() checks, inside a transaction. @p w  as for cczi_kms_audit_check_all() */
ccz_rc cczi_kms_check_here(struct ccz_kms_check *out, struct cczi_kms_walk *w,
                           struct ccz_kms_store *s, struct ccz_err *err);

/* -------------------------------------------------------------------------- admin.c */

/* The instance secret, in a transaction of a store that is being made or migrated, and what comes of it: s->instance. */
ccz_rc cczi_kms_instance_make(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err);
/* Checks @p a and puts it, what must hold afterwards too; inside a transaction. where = "kms:roles", "kms:label" and those of
 * cczi_kms_access_check() */
ccz_rc cczi_kms_grant(struct ccz_kms_store *s, const struct cczi_kms_admin *a, struct ccz_err *err);
/* Of a store that is being made, after its first administrator. */
ccz_rc cczi_kms_first_roles(struct ccz_kms_store *s, const struct ccz_kms_approvals *ap,
                            int64_t now_s, struct ccz_err *err);
ccz_rc cczi_kms_quorum_set(struct ccz_kms_store *s, const char *ns, uint32_t needed,
                           struct ccz_err *err);
/* Inside a transaction. where = "kms:instance" there is none */
ccz_rc cczi_kms_instance_load(struct ccz_kms_store *s, struct ccz_err *err);

/* ----------------------------------------------------------------------- identity.c */

/* The folder remembers its store. */
ccz_rc cczi_kms_identity_put(const char *dir, const uint8_t id[CCZI_KMS_STORE_ID_SIZE],
                             struct ccz_err *err);
/* Compares, or learns where it does not know. where = "kms:store-identity" */
ccz_rc cczi_kms_identity_check(const char *dir, const uint8_t id[CCZI_KMS_STORE_ID_SIZE],
                               struct ccz_err *err);

/* --------------------------------------------------------------------------- item.c */

/* What a version of an item may be used for; changes, unlike the rest of its row. */
struct cczi_kms_item_state {
    bool disabled;
    int64_t expires_s;      /* released to nobody from then on; 0 = never */
    int64_t delete_after_s; /* deleted, and may be destroyed from then on; 0 = not deleted */
};
/* Getters: CCZ_E_NOT_FOUND (err not filled) if there is no such row. Inside a transaction only. */
#define CCZI_KMS_METADATA_SIZE_MAX 4096
struct cczi_kms_item {
    struct cczi_kms_slot slot;
    int64_t created_s;
    struct cczi_kms_item_state state;
    uint8_t mac[32];
    struct ccz_buf metadata, sealed;
};
void cczi_kms_item_init(struct cczi_kms_item *it);
void cczi_kms_item_deinit(struct cczi_kms_item *it);
/* version 0 = latest */
ccz_rc cczi_kms_item_get(struct cczi_kms_item *out, struct ccz_kms_store *s,
                         const struct cczi_kms_ref *ref, uint32_t version, struct ccz_err *err);
ccz_rc cczi_kms_item_put(struct ccz_kms_store *s, const struct cczi_kms_slot *slot,
                         int64_t created_s, int64_t expires_s, struct ccz_span metadata,
                         struct ccz_span value, struct ccz_err *err);
/* The same with everything given, the sealed value too. Sets it->mac. */
ccz_rc cczi_kms_item_insert(struct ccz_kms_store *s, struct cczi_kms_item *it, struct ccz_err *err);
/* Of rows that cczi_kms_item_get() gave. */
ccz_rc cczi_kms_item_set_state(struct ccz_kms_store *s, struct cczi_kms_item *it,
                               const struct cczi_kms_item_state *state, struct ccz_err *err);
ccz_rc cczi_kms_item_delete(struct ccz_kms_store *s, const struct cczi_kms_item *it,
                            struct ccz_err *err);
/* Latest version of an item, 0 if it does not exist. */
ccz_rc cczi_kms_item_last(uint32_t *version, struct ccz_kms_store *s,
                          const struct cczi_kms_ref *ref, struct ccz_err *err);

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

typedef ccz_rc (*cczi_kms_policy_fn)(void *arg, const char *name, const struct cczi_kms_policy *p,
                                     struct ccz_err *err);
/* Those of the namespace of @p name; fn must not run statements. */
ccz_rc cczi_kms_policies_of(struct ccz_kms_store *s, const char *name, cczi_kms_policy_fn fn,
                            void *arg, struct ccz_err *err);

/* policy_cache.c: parsed policies, found by the MAC of the row they came from. The caller has checked that MAC in this
 * transaction, so a row that was changed, replaced or taken back never meets the parsed form of another one. */
struct cczi_kms_policies;
struct cczi_kms_parsed {
    struct ccz_policy *policy;
    uint8_t sets[32]; /* digest of the sets that it was given last (reference.c) */
};
#define CCZI_KMS_POLICIES_MAX      64
#define CCZI_KMS_POLICIES_JSON_MAX (4 << 20) /* bytes of JSON that all of them were parsed from */
ccz_rc cczi_kms_policies_new(struct cczi_kms_policies **out);
void cczi_kms_policies_free(struct cczi_kms_policies *c);
/* @param[out] out  borrowed until the next call with the same cache
 *  @param name  of the policy: its namespace holds the place */
ccz_rc cczi_kms_policies_get(struct cczi_kms_parsed **out, struct cczi_kms_policies *c,
                             const char *name, const struct cczi_kms_policy *row,
                             struct ccz_err *err);
/* Whether the one of this MAC is there. */
bool cczi_kms_policies_find(struct cczi_kms_parsed **out, struct cczi_kms_policies *c,
                            const uint8_t mac[32]);
struct cczi_kms_policies_stat {
    uint64_t hits, parsed;
    size_t len, json_size;
};
struct cczi_kms_policies_stat cczi_kms_policies_stat(const struct cczi_kms_policies *c);

/* reference.c: policies get the sets that they name, as they are in this transaction; those of another namespace than the
 * policy's do not count. A missing one is no error: the policy refuses everybody then. */
/* Of a cached one, where sets changed since. */
ccz_rc cczi_kms_parsed_resolve(struct cczi_kms_parsed *p, struct ccz_kms_store *s,
                               const char *policy, struct ccz_err *err);
ccz_rc cczi_kms_resolve(struct ccz_policy *p, struct ccz_kms_store *s, const char *policy,
                        struct ccz_err *err);
/* For what is about to be stored as @p policy: each set is there, and may be named. where = "kms:namespace",
 * "kms:reference-missing", "kms:reference-size" */
ccz_rc cczi_kms_references_check(struct ccz_policy *p, struct ccz_kms_store *s, const char *policy,
                                 struct ccz_err *err);

/* Check of all rows: MACs, with @p values sealed values too; adds each to `set`. */
ccz_rc cczi_kms_items_check(uint64_t *count, uint8_t set[32], struct ccz_kms_store *s, bool values,
                            struct ccz_err *err);
ccz_rc cczi_kms_policies_check(uint64_t *count, uint8_t set[32], struct ccz_kms_store *s,
                               struct ccz_err *err);

/* Rekey of items and policies, inside a transaction: each row is read under s->sealer and gets its MAC (and its sealed value)
 * under k->to. */
ccz_rc cczi_kms_items_rekey(struct cczi_kms_rekey *k, struct ccz_kms_store *s, struct ccz_err *err);

/* -------------------------------------------------------------------------- audit.c */

/* What the hash of a line covers before its entry: prev || le64 seq || le64 time_s. */
#define CCZI_KMS_LINE_HEAD_SIZE 48
void cczi_kms_line_head(uint8_t out[CCZI_KMS_LINE_HEAD_SIZE], const struct ccz_kms_audit_line *l);
ccz_rc cczi_kms_line_hash(uint8_t out[32], const struct ccz_kms_audit_line *l);
/* Appends a line to the chain (inside a transaction). */
ccz_rc cczi_kms_audit_append(struct ccz_kms_receipt *receipt, struct ccz_kms_store *s,
                             int64_t time_s, struct ccz_span entry, struct ccz_err *err);
/* What a walk along the chain tells: all of it out of lines whose hashes it computed, so that nobody can show a column to one
 * question and another one to the next. */
struct cczi_kms_walk {
    uint64_t at;         /* in: a line whose hash is wanted */
    uint8_t at_hash[32]; /* zeros where there is no such line */
    uint64_t lines;
    uint8_t first[32]; /* hash of line 1 */
    int64_t last_s;    /* time of the last line */
    struct cczi_kms_tree tree;
};
/* Whether line @p seq is the one with this hash, shown by the chain from it to the sealed head; inside a transaction. */
ccz_rc cczi_kms_audit_holds(bool *yes, struct ccz_kms_store *s, uint64_t seq,
                            const uint8_t hash[32], struct ccz_err *err);
/* Walks the chain and compares its end, and the tree over it, with the sealed head. */
ccz_rc cczi_kms_audit_check_all(struct cczi_kms_walk *w, struct ccz_kms_store *s,
                                struct ccz_err *err);

/* ------------------------------------------------------------------------- signer.c */

/* Loads the key that signs checkpoints into s->signer, or makes it: a transaction of its own, so not inside of one; head and lines of the
 * last one are kept. Does nothing when it is loaded. */
ccz_rc cczi_kms_signer_ensure(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err);
/* The same inside a transaction, for the caller's use until it commits. */
ccz_rc cczi_kms_signer_here(struct cczi_kms_signer *out, struct ccz_kms_store *s, int64_t now_s,
                            struct ccz_err *err);
/* Makes a P-256 key of the KMS's own and stores it as @p slot, inside a transaction. @param where  of an error while making it */
ccz_rc cczi_kms_system_key_make(struct ccz_key **out, struct ccz_kms_store *s,
                                const struct cczi_kms_slot *slot, int64_t now_s, const char *where,
                                struct ccz_err *err);
/* cczi_kms_batch_fn of every store: one checkpoint over the transaction, and a receipt for each recorded call of it. */
ccz_rc cczi_kms_sign_batch(void *arg, struct ccz_kms_store *s, struct cczi_kms_entry *entries,
                           size_t len, struct ccz_err *err);
/* Calls fn with the SubjectPublicKeyInfo of every such key, oldest first; inside a transaction. */
typedef void (*cczi_kms_spki_fn)(void *arg, struct ccz_span spki);
ccz_rc cczi_kms_signer_each(struct ccz_kms_store *s, cczi_kms_spki_fn fn, void *arg,
                            struct ccz_err *err);

/* Another key signs from now on, in this transaction: the one before it signs that. @param[out] spki  of the new one, appended.
 * where = "kms:audit-key-young", "kms:audit-keys" */
ccz_rc cczi_kms_signer_rotate(struct ccz_buf *spki, struct cczi_kms_call *call,
                              struct ccz_err *err);
/* A line of the log that names a key that signs it. */
bool cczi_kms_names_signer(struct ccz_span entry);
/* What one key signs about the next. */
void cczi_kms_successor_text(struct ccz_buf *out, const char *origin, const uint8_t old_id[32],
                             const uint8_t new_id[32]);

/* -------------------------------------------------------------------- consistency.c */

void cczi_kms_blocks_free(struct cczi_kms_blocks *b); /* NULL is fine */
/* old_size <= size <= lines of this transaction. where = "kms:audit-index": not yet, and this call has done its share */
ccz_rc cczi_kms_consistency_path(struct ccz_kms_path *out, struct ccz_kms_store *s,
                                 uint64_t old_size, uint64_t size, struct ccz_err *err);
/* A checkpoint over everything that is on record, as a text, and all keys that ever signed into @p field of the response. */
ccz_rc cczi_kms_checkpoint_here(struct ccz_buf *text, struct ccz_buf *response, uint32_t field,
                                struct cczi_kms_call *call, struct ccz_err *err);
ccz_rc cczi_kms_run_consistency(struct ccz_buf *response, struct cczi_kms_call *call,
                                struct ccz_err *err);
ccz_rc cczi_kms_run_rotate_audit_key(struct ccz_buf *response, struct cczi_kms_call *call,
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
/* The first field of @p in that is none of @p fields; 0 = there is none. */
uint32_t cczi_msg_unknown(const struct cczi_msg_field *fields, struct ccz_span in);
/* proposable.c: whether all of a request that may be proposed is what this version knows. @param[out] field  that is not, 0 = the method */
bool cczi_kms_request_known(uint32_t *field, const char *method, struct ccz_span body);
/* Whether what @p p replaces or takes away is still what it was when that was proposed. where = "kms:proposal-outdated" */
ccz_rc cczi_kms_proposal_fresh(struct ccz_kms_store *s, const struct cczi_kms_proposal *p,
                               struct ccz_err *err);
/* Appends; empty fields are left out. */
void cczi_msg_put(struct ccz_buf *out, const struct cczi_msg_field *fields, const void *msg);

#define CCZI_KMS_PROOF_SIZE_MAX 8192 /* bytes in a receipt that show its line in the log */
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
    struct ccz_span instance;
};
struct cczi_msg_put_req {
    struct ccz_span name, alg, value, policy;
    uint64_t new_version;
    uint64_t check_version, if_version;
    uint64_t expires_s;
    struct ccz_span metadata;
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
    struct ccz_span item, policy, op;
};
struct cczi_msg_delete_req { /* the last two of Delete only */
    struct ccz_span target;
    uint64_t version;
    uint64_t recovery_s, no_recovery;
};
struct cczi_msg_get_policy_resp {
    struct ccz_span json, sha256;
};
/* Requests of one string in field 1: GetPolicy, List, Describe. */
struct cczi_msg_name {
    struct ccz_span name;
};
struct cczi_msg_list_req {
    struct ccz_span after, next;
};
struct cczi_msg_describe_req {
    struct ccz_span item;
    uint64_t after_version;
};
struct cczi_msg_item {
    struct ccz_span item, alg;
    uint64_t version, created_s;
    struct ccz_span policy;
    uint64_t disabled, expires_s, delete_after_s;
    struct ccz_span metadata;
};
struct cczi_msg_role { /* SetRole, and a line of ListRoles */
    struct ccz_span ns, principal;
    uint64_t roles, kind;
    struct ccz_span label;
};
struct cczi_msg_quorum { /* SetQuorum, and a line of ListRoles */
    struct ccz_span ns;
    uint64_t needed;
};
struct cczi_msg_propose_req {
    struct ccz_span method, body;
    uint64_t valid_s;
};
struct cczi_msg_propose_resp {
    uint64_t id, needed, expires_s;
    struct ccz_span sha256, receipt;
};
struct cczi_msg_approve_req { /* Reject has no digest */
    uint64_t id;
    struct ccz_span sha256;
};
struct cczi_msg_approve_resp {
    uint64_t done, approvals, needed, executed_seq;
    struct ccz_span receipt;
};
struct cczi_msg_proposals_req {
    uint64_t after_id, limit;
};
struct cczi_msg_proposal { /* and approvers in field 10 */
    uint64_t id;
    struct ccz_span ns, method, body, proposer;
    uint64_t created_s, expires_s, state, needed;
    struct ccz_span sha256;
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
        collateral_expires_s, counted, quota_most_percent;
    struct ccz_span audit_sha256, instance;
};
struct cczi_msg_put_reference_req {
    struct ccz_span name, json;
    uint64_t replace;
};
struct cczi_msg_get_reference_req {
    struct ccz_span name;
    uint64_t version;
};
struct cczi_msg_get_reference_resp {
    struct ccz_span json, sha256;
    uint64_t version, created_s;
};
struct cczi_msg_reference_set {
    struct ccz_span name;
    uint64_t version;
    struct ccz_span sha256;
    uint64_t created_s, values, value_size;
};
struct cczi_msg_consistency_req {
    uint64_t old_size, size;
};
struct cczi_msg_consistency_resp { /* beside path (field 1) and keys (field 3) */
    struct ccz_span checkpoint;
    uint64_t size;
};
struct cczi_msg_rotate_audit_key_resp {
    struct ccz_span key, receipt;
};
extern const struct cczi_msg_field cczi_msg_consistency_req[], cczi_msg_consistency_resp[],
    cczi_msg_rotate_audit_key_resp[];
extern const struct cczi_msg_field cczi_msg_put_reference_req[], cczi_msg_get_reference_req[],
    cczi_msg_get_reference_resp[], cczi_msg_reference_set[];
extern const struct cczi_msg_field cczi_msg_receipt[], cczi_msg_release_req[],
    cczi_msg_release_resp[], cczi_msg_put_req[], cczi_msg_put_resp[], cczi_msg_put_policy_req[],
    cczi_msg_bind_req[], cczi_msg_delete_req[], cczi_msg_target_req[], cczi_msg_get_policy_resp[],
    cczi_msg_none[], cczi_msg_name[], cczi_msg_list_req[], cczi_msg_describe_req[], cczi_msg_item[],
    cczi_msg_audit_req[], cczi_msg_audit_line[], cczi_msg_checkpoint[], cczi_msg_status[],
    cczi_msg_role[], cczi_msg_quorum[], cczi_msg_propose_req[], cczi_msg_propose_resp[],
    cczi_msg_approve_req[], cczi_msg_reject_req[], cczi_msg_approve_resp[],
    cczi_msg_proposals_req[], cczi_msg_proposal[];
/* Field numbers used outside the tables. */
enum {
    CCZI_MSG_REPEATED = 1,
    CCZI_MSG_MORE = 2,
    CCZI_MSG_QUORUMS = 3,
    CCZI_MSG_NEXT = 3, /* of a list of items */
    CCZI_MSG_APPROVERS = 10,
    CCZI_MSG_INCLUSION = 14,
    CCZI_MSG_RECEIPT = 15
};

#define CCZI_KMS_SERVICE "/cczoo.kms.v1.Kms/"

/* --------------------------------------------------------- handle.c, batch.c, methods.c */

/* What the audit line says of a certificate. */
struct cczi_kms_issued {
    char serial[2 * 20 + 3]; /* hex */
    char names[CCZ_NAMES_SIZE_MAX + 1];
    uint8_t spki_sha256[32], sha256[32]; /* of its key, of all of it */
    int64_t not_after_s;
};

/* One call on its way through: what methods fill in is what the audit and log line say. */
struct cczi_kms_call {
    struct ccz_kms_store *store;
    const struct ccz_kms_request *req;
    uint32_t roles;             /* of an administrator, in `ns` */
    char ns[CCZ_KMS_NAME_SIZE]; /* what the call is about; "*" = the store as a whole */
    bool approved; /* a proposal that is executed, or tried: no guard stands in its way */
    /* for the audit line; filled once checked, so that no line quotes unchecked text */
    struct cczi_kms_ref ref;
    bool has_ref;
    uint32_t version;
    char policy[CCZ_KMS_NAME_SIZE];
    uint8_t policy_sha256[32];
    bool has_policy_sha256;
    char rule[64];
    char references[CCZ_POLICY_DECIDED_SIZE]; /* values that accepted */
    char detail[64];                          /* of the method's own, in fixed words */
    uint8_t evidence_sha256[32];              /* that was kept */
    bool has_evidence;
    bool
        shows_log; /* the answer vouches for lines of this transaction: withheld as that of a recorded call is */
    struct cczi_kms_issued issued; /* a certificate; serial "" = none */
    bool has_ns;                   /* name it */
    uint64_t proposal;
    char principal[65], given[CCZ_KMS_ROLES_SIZE]; /* who gets which roles */
    bool system;                                   /* nobody's call but our own */
    bool reads; /* of a method that leaves no line: its time is that of the readers (looks.h) */
    bool
        quiet; /* leaves no line: accepted, and nothing was done; or refused as before (unable.h) */
    struct cczi_kms_work **work; /* use_priv.h: of the entry */
    struct ccz_buf *log;         /* of the entry */
    bool later;                  /* ended because its work is not done */
    bool hides_policy;           /* the caller named a policy, and is not told what became of it */
    bool judged;                 /* by a policy: what it expects is for auditors (told.c) */
    bool accepted;               /* by that policy */
    int64_t grace_until_s;       /* accepted only until then; 0 = no grace in it */
    struct cczi_kms_shadow shadow;
};
typedef ccz_rc (*cczi_kms_method_fn)(struct ccz_buf *response, struct cczi_kms_call *call,
                                     struct ccz_err *err);
/* Where the request says what it is about: in its field 1, if anywhere. */
enum cczi_kms_target {
    CCZI_KMS_ON_STORE, /* nowhere: the roles have to be held for all namespaces */
    CCZI_KMS_ON_NAME,  /* NAME */
    CCZI_KMS_ON_REF,   /* key/NAME, secret/NAME, policy/NAME */
    CCZI_KMS_ON_NS,    /* a namespace itself */
    CCZI_KMS_ON_ANY    /* roles in any namespace will do; the method looks closer */
};
/* Whoever works with items and policies reads what they are like. */
#define CCZI_KMS_READERS CCZ_KMS_ROLE_ADMIN
/* Whoever has a say in policies sees what they would do. */
#define CCZI_KMS_JUDGES (CCZ_KMS_ROLE_AUDITOR | CCZ_KMS_ROLE_AUTHOR | CCZ_KMS_ROLE_APPROVER)
struct cczi_kms_method {
    const char *name; /* last part of the path */
    bool
        workload; /* for attested workloads (uses of keys: and for pinned keys with one of `roles`); else for pinned keys with one of
                       `roles`, 0: for everybody */
    uint32_t roles;
    bool recorded;          /* leaves an audit line when accepted, and answers with its receipt */
    cczi_kms_method_fn run; /* inside a transaction */
    enum cczi_kms_target target;
    bool guarded; /* run() calls cczi_kms_guard(), and it may be proposed */
};
extern const struct cczi_kms_method cczi_kms_methods[];
extern const size_t cczi_kms_methods_len;

/* access.c: who may do what where. */
void cczi_kms_ns_of(char out[CCZ_KMS_NAME_SIZE], const char *name);
/* "", "*" or one segment of a name. where = "kms:namespace-name" */
ccz_rc cczi_kms_ns_parse(char out[CCZ_KMS_NAME_SIZE], struct ccz_span text, struct ccz_err *err);
/* Roles of a principal in @p ns: those given there and those given for all (but author, approver and client, where the namespace has a
 * quorum of its own); NULL = anywhere. *known: he has any at all. */
ccz_rc cczi_kms_roles_in(uint32_t *roles, bool *known, struct ccz_kms_store *s,
                         const uint8_t id[32], const char *ns, struct ccz_err *err);
/* Where the caller may read metadata, for methods whose answer is about many namespaces. */
struct cczi_kms_readable {
    char (*ns)[CCZ_KMS_NAME_SIZE];
    size_t len;
    bool all;
};
ccz_rc cczi_kms_readable(struct cczi_kms_readable *out, const struct cczi_kms_call *call,
                         struct ccz_err *err);
bool cczi_kms_may_read(const struct cczi_kms_readable *r, const char *ns);
void cczi_kms_readable_deinit(struct cczi_kms_readable *r);
/* One of @p roles is among call->roles, or "kms:role". */
ccz_rc cczi_kms_need(const struct cczi_kms_call *call, uint32_t roles, struct ccz_err *err);
/* Approvals that a guarded method needs in @p ns: its own number, else that of "*". */
ccz_rc cczi_kms_approvals_needed(uint32_t *needed, struct ccz_kms_store *s, const char *ns,
                                 struct ccz_err *err);
/* @param method  last part of its path */
bool cczi_kms_is_proposable(const char *method);
/* For what changes who gets what, before it is done: refused as "kms:approval-needed" where call->ns has a quorum and this is
 * no approved proposal. */
ccz_rc cczi_kms_guard(const struct cczi_kms_call *call, struct ccz_err *err);
/* An item of call->ns may be bound to this policy. where = "kms:namespace" */
ccz_rc cczi_kms_may_bind(const struct cczi_kms_call *call, const char *policy, struct ccz_err *err);
/* What must hold after roles or quorums were changed. @param ns  where somebody was given roles; NULL = nobody was. where = "kms:last-admin", "kms:quorum-unreachable", "kms:namespace",
 * "kms:roles-many" */
ccz_rc cczi_kms_access_check(struct ccz_kms_store *s, const char *ns, struct ccz_err *err);
/* The namespace of a request of @p m into call->ns. where = "kms:request", "kms:name", "kms:namespace-name" */
ccz_rc cczi_kms_target_ns(char ns[CCZ_KMS_NAME_SIZE], const struct cczi_kms_method *m,
                          struct ccz_span body, struct ccz_err *err);

/* methods_door.c */
struct cczi_msg_set_doors_req {
    struct ccz_span item;
    uint64_t version, key_bound;
};
extern const struct cczi_msg_field cczi_msg_set_doors_req[];
ccz_rc cczi_kms_run_set_doors(struct ccz_buf *response, struct cczi_kms_call *call,
                              struct ccz_err *err);
/* methods_reference.c */
ccz_rc cczi_kms_run_put_reference(struct ccz_buf *response, struct cczi_kms_call *call,
                                  struct ccz_err *err);
ccz_rc cczi_kms_run_get_reference(struct ccz_buf *response, struct cczi_kms_call *call,
                                  struct ccz_err *err);
ccz_rc cczi_kms_run_list_references(struct ccz_buf *response, struct cczi_kms_call *call,
                                    struct ccz_err *err);
ccz_rc cczi_kms_run_delete_reference(struct ccz_buf *response, struct cczi_kms_call *call,
                                     struct ccz_err *err);

/* methods_roles.c, methods_propose.c */
ccz_rc cczi_kms_run_set_role(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err);
ccz_rc cczi_kms_run_set_quorum(struct ccz_buf *response, struct cczi_kms_call *call,
                               struct ccz_err *err);
ccz_rc cczi_kms_run_list_roles(struct ccz_buf *response, struct cczi_kms_call *call,
                               struct ccz_err *err);
/* What approvers say they read. */
ccz_rc cczi_kms_proposal_digest(uint8_t out[32], const char *method, struct ccz_span body,
                                struct ccz_err *err);
ccz_rc cczi_kms_run_propose(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err);
ccz_rc cczi_kms_run_approve(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err);
ccz_rc cczi_kms_run_reject(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err);
ccz_rc cczi_kms_run_list_proposals(struct ccz_buf *response, struct cczi_kms_call *call,
                                   struct ccz_err *err);

/* methods.c, for methods_life.c. CCZ_E_NOT_FOUND of a getter becomes an answer for the caller. */
ccz_rc cczi_kms_or_not_found(struct ccz_err *err, ccz_rc rc, const char *what, const char *name);
/* "key/NAME" or "secret/NAME" of a request; from here on the audit line names it. */
ccz_rc cczi_kms_take_ref(struct cczi_kms_call *call, struct ccz_span text, bool policy_too,
                         struct ccz_err *err);
/* methods_door.c: whether metadata open a version for evidence that is not fresh. That is less than policies ask for, so it takes what a
 * binding takes. */
ccz_rc cczi_kms_may_open(const struct cczi_kms_call *call, struct ccz_span metadata,
                         struct ccz_err *err);
/* whether a version may go to a peer whose evidence is bound to its key alone; fresh evidence needs no such thing. */
ccz_rc cczi_kms_item_open(const struct cczi_kms_item *it, const struct ccz_ratls_peer *peer,
                          struct ccz_err *err);
/* Whether the policy that call->ref is bound to for an operation (enum cczi_kms_key_op; 0 = release) accepts the peer. An
 * operation without a binding of its own is decided by that of release. */
ccz_rc cczi_kms_judge(struct cczi_kms_call *call, uint32_t op, struct ccz_err *err);
/* Binds call->ref, for an operation or (0) for release and what has no binding of its own. */
ccz_rc cczi_kms_bind_to(struct cczi_kms_call *call, struct ccz_span policy, uint32_t op,
                        struct ccz_err *err);
/* methods_life.c: whether a version may be released now. */
ccz_rc cczi_kms_item_usable(const struct cczi_kms_item *it, int64_t now_s, struct ccz_err *err);
ccz_rc cczi_kms_run_delete(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err);
ccz_rc cczi_kms_run_undelete(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err);
ccz_rc cczi_kms_run_destroy(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err);
ccz_rc cczi_kms_run_disable(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err);
ccz_rc cczi_kms_run_enable(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err);

/* methods_why.c */
ccz_rc cczi_kms_run_why(struct ccz_buf *response, struct cczi_kms_call *call, struct ccz_err *err);
ccz_rc cczi_kms_run_workloads(struct ccz_buf *response, struct cczi_kms_call *call,
                              struct ccz_err *err);
ccz_rc cczi_kms_run_replay(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err);
ccz_rc cczi_kms_run_stage(struct ccz_buf *response, struct cczi_kms_call *call,
                          struct ccz_err *err);
ccz_rc cczi_kms_run_unstage(struct ccz_buf *response, struct cczi_kms_call *call,
                            struct ccz_err *err);
ccz_rc cczi_kms_run_get_staged(struct ccz_buf *response, struct cczi_kms_call *call,
                               struct ccz_err *err);
ccz_rc cczi_kms_run_list_staged(struct ccz_buf *response, struct cczi_kms_call *call,
                                struct ccz_err *err);
ccz_rc cczi_kms_run_roll_out(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err);

/* client.c, for the other files of clients. */
ccz_rc cczi_kms_malformed(struct ccz_err *err); /* where = "kms:response" */
/* One call; @p response is initialised here, wipes itself, and is freed by the caller in any case. */
ccz_rc cczi_kms_call(struct ccz_buf *response, struct ccz_rpc_client *c, const char *method,
                     const struct cczi_msg_field *fields, const void *msg, struct ccz_err *err);
/* A method that answers with a receipt only. @param[out] receipt  may be NULL */
ccz_rc cczi_kms_change(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                       const char *method, const struct cczi_msg_field *fields, const void *msg,
                       struct ccz_err *err);
ccz_rc cczi_kms_take_receipt(struct ccz_kms_receipt *out, struct ccz_span in, struct ccz_err *err);
/* methods.c: a policy by its name, which the audit line names from here on. @param[out] out  borrowed until the next one is asked for */
ccz_rc cczi_kms_policy_parsed(const struct ccz_policy **out, struct cczi_kms_call *call,
                              const char *policy, struct ccz_err *err);
/* methods.c: for what is about to be stored as policy call->ref.name: it parses, and its sets are there (cczi_kms_references_check());
 * in the time of its namespace (looks.h). */
ccz_rc cczi_kms_policy_storable(const struct cczi_kms_call *call, struct ccz_span json,
                                struct ccz_err *err);
/* methods.c: a policy by its name over the peer's claims; the audit line names it from here on. */
ccz_rc cczi_kms_judge_by(struct cczi_kms_call *call, const char *policy, struct ccz_err *err);
/* methods.c: whether a version may be released to the caller now: item, policy, door, state. From here on the audit line names it. @p it
 * is initialised, and freed by the caller in any case. */
ccz_rc cczi_kms_releasable(struct cczi_kms_item *it, struct cczi_kms_call *call,
                           struct ccz_span item, uint32_t version, struct ccz_err *err);
/* methods_still.c */
ccz_rc cczi_kms_run_still_released(struct ccz_buf *response, struct cczi_kms_call *call,
                                   struct ccz_err *err);
/* methods_evidence.c: keeps the evidence of the peer, for the namespace of the policy that was named. @param[out] uri  for the token */
ccz_rc cczi_kms_keep_evidence(char uri[CCZ_KMS_EVIDENCE_URI_SIZE], struct cczi_kms_call *call,
                              struct ccz_err *err);
ccz_rc cczi_kms_run_get_evidence(struct ccz_buf *response, struct cczi_kms_call *call,
                                 struct ccz_err *err);
struct cczi_msg_get_evidence_req {
    struct ccz_span ns, sha256;
};
struct cczi_msg_get_evidence_resp {
    struct ccz_span evidence, tee;
    uint64_t time_s;
};
extern const struct cczi_msg_field cczi_msg_get_evidence_req[], cczi_msg_get_evidence_resp[];
/* methods_attest.c */
extern const struct cczi_msg_field cczi_msg_attest_req[], cczi_msg_attest_resp[],
    cczi_msg_token_keys_resp[], cczi_msg_rotate_token_key_resp[];
ccz_rc cczi_kms_run_attest(struct ccz_buf *response, struct cczi_kms_call *call,
                           struct ccz_err *err);
ccz_rc cczi_kms_run_token_keys(struct ccz_buf *response, struct cczi_kms_call *call,
                               struct ccz_err *err);
ccz_rc cczi_kms_run_rotate_token_key(struct ccz_buf *response, struct cczi_kms_call *call,
                                     struct ccz_err *err);

/* methods_list.c */
ccz_rc cczi_kms_run_list(struct ccz_buf *response, struct cczi_kms_call *call, struct ccz_err *err);
ccz_rc cczi_kms_run_describe(struct ccz_buf *response, struct cczi_kms_call *call,
                             struct ccz_err *err);

/* handle.c: the parts of one call, inside a transaction. */
const struct cczi_kms_method *cczi_kms_method_find(const char *path); /* NULL = there is none */
ccz_rc cczi_kms_authorize(struct cczi_kms_call *call, const struct cczi_kms_method *m,
                          struct ccz_err *err);
/* The audit line of a call; `why` is NULL for an accepted one. */
ccz_rc cczi_kms_record(struct ccz_kms_receipt *receipt, const struct cczi_kms_call *call,
                       const char *op, const struct ccz_err *why, struct ccz_err *err);
void cczi_kms_log_call(const struct cczi_kms_call *call, const char *op, const struct ccz_err *why,
                       const struct ccz_kms_receipt *receipt);
/* The same as text, appended; without a line end, and none in it. */
void cczi_kms_log_text(struct ccz_buf *b, const struct cczi_kms_call *call, const char *op,
                       const struct ccz_err *why, const struct ccz_kms_receipt *receipt);

/*
 * batch.c: calls that share one transaction and so one fsync. Each has a savepoint: one that fails is undone alone and
 * its refusal recorded in the same transaction. Answers exist only after COMMIT. Where the transaction as a whole
 * fails, nothing of it happened, and each call is handled again by itself, so that one that is too large for the disk
 * does not take the others with it.
 */
#define CCZI_KMS_BATCH_MAX 256
/* No call begins in a transaction that has been at calls for so long, whatever these cost: other servers wait for it, up to their
 * lock_timeout. A full batch of releases takes about half of it. */
#define CCZI_KMS_BATCH_MS 50
struct cczi_kms_entry {
    const struct ccz_kms_request *req; /* in; borrowed */
    struct ccz_kms_request at;         /* the same at the time of this try */
    ccz_rc rc;
    struct ccz_err err;             /* why not; only with rc */
    struct ccz_buf answer;          /* message to send; empty unless CCZ_OK */
    struct ccz_kms_receipt receipt; /* of the audit line it left; audit_seq 0 = none */
    struct ccz_buf proof;           /* for the receipt, filled by on_batch */
    struct ccz_buf
        log; /* of audit lines beside that of the call: lines for the log, once they are on disk */
    char decision[CCZ_KMS_DECISION_SIZE]; /* of a refusal that is on record, else "" */
    bool later; /* not decided: its work has to be done first, see use_priv.h */
    struct cczi_kms_work
        *work; /* in: what was done for it before, or NULL; out, with `later`: what is to be done */
    struct cczi_kms_call call;
    const struct cczi_kms_method *method;
};
void cczi_kms_entry_init(struct cczi_kms_entry *e, const struct ccz_kms_request *req);
void cczi_kms_entry_deinit(struct cczi_kms_entry *e); /* wipes the answer */
/* Decides all of them, and does their work here. */
void cczi_kms_handle_batch(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len);
/* Decides those that need no work, or whose work is done; the others are `later`. @return how many from the first on, at least one
 * of them: what goes beyond the time of a transaction (s->batch_ms) is as it was, for another pass */
size_t cczi_kms_batch_pass(struct ccz_kms_store *s, struct cczi_kms_entry *entries, size_t len);
/* For alarms: whether the store takes lines, without which nothing is answered. Any thread.
 * @param away  no call is taken, as the store does not answer */
void cczi_kms_batch_metrics(struct ccz_kms_store *s, bool away, struct ccz_buf *out);
#define CCZI_KMS_PASSES_MAX 4 /* of one call: its key may change while its work is done */
/* In the log and the metrics alone. @param where  "kms:busy", "kms:busy-namespace" */
void cczi_kms_entry_give_up(struct cczi_kms_entry *e, const char *where, const char *why);

#include "kms_still.h"
#include "kms_why_msg.h"
#endif
