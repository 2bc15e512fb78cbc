/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_MASTER_PRIV_H
#define CCZ_KMS_MASTER_PRIV_H
/* Providers of master keys and epoch counters: shared by their sources and tests only. */
#include <cczoo/crypto.h>
#include <cczoo/kms.h>
#include <cczoo/kms_master.h>

#include <pthread.h>

struct cczi_kms_head;

/* ------------------------------------------------------------------------ shamir.c */

/* Shamir's secret sharing of 32 bytes over GF(2^8) (polynomial 0x11b), byte by byte. Share i is at
 * x = i. Without tables: no branch and no address depends on a secret. */
enum { CCZI_SHARE_ID_SIZE = 4, CCZI_SHARE_KEY_SIZE = CCZ_KMS_MASTER_KEY_SIZE };
struct cczi_share {
    uint8_t set[CCZI_SHARE_ID_SIZE]; /* random, tells sets from each other */
    uint8_t needed, total, index;   /* 2 <= needed <= total <= CCZ_KMS_SHARES_MAX; index 1..total */
    uint8_t y[CCZI_SHARE_KEY_SIZE]; /* secret */
};
/* @param[out] out  total shares; wiped by the caller */
ccz_rc cczi_shamir_split(struct cczi_share *out, const uint8_t key[CCZI_SHARE_KEY_SIZE],
                         uint8_t needed, uint8_t total);
/* @param shares  len of one set, indexes distinct. @ct in the shares */
void cczi_shamir_combine(uint8_t key[CCZI_SHARE_KEY_SIZE], const struct cczi_share *shares,
                         size_t len);
/* NUL-terminated. */
void cczi_share_print(char out[CCZ_KMS_SHARE_SIZE_MAX], const struct cczi_share *s);
/* where = "kms:share"; *out is wiped on failure */
ccz_rc cczi_share_parse(struct cczi_share *out, struct ccz_span text, struct ccz_err *err);
/* What is stored to tell a wrong share: a hash that hides it, since y is uniform. */
ccz_rc cczi_share_commit(uint8_t out[32], const struct cczi_share *s);

/* ------------------------------------------------------------------------ master.c */

enum cczi_kms_master_kind {
    CCZI_MASTER_FILE = 0,
    CCZI_MASTER_PKCS11 = 1,
    CCZI_MASTER_TEE = 2,
    CCZI_MASTER_SHAMIR = 3
};
enum {
    CCZI_KEY_CHECK_SIZE = 16,
    CCZI_BLOB_SIZE_MAX = 4096,
    CCZI_MASTER_PATH_SIZE = 4096 + 8,
    CCZI_MASTER_HEADER_SIZE = 8 + 1 + CCZI_KEY_CHECK_SIZE
};
/* Wrapped key in a file: "cczkmsm1" | u8 kind | key_check[16] | body of the kind. */
struct cczi_kms_blob {
    uint8_t kind;
    uint8_t key_check[CCZI_KEY_CHECK_SIZE];
    struct ccz_span header; /* the bytes before `body`: associated data of what is in it */
    struct ccz_span body;
};
/* where = "kms:master-blob" */
ccz_rc cczi_kms_blob_parse(struct cczi_kms_blob *out, struct ccz_span in, struct ccz_err *err);

/* Bodies. */
struct cczi_tee_body { /* u8 policy | u8 size | measurement | nonce[12] | ct[32] | tag[16] */
    uint8_t policy;    /* enum ccz_seal_to */
    struct ccz_span measurement, nonce, text, tag;
};
ccz_rc cczi_tee_body_parse(struct cczi_tee_body *out, struct ccz_span in, struct ccz_err *err);
struct cczi_p11_body { /* u8 mechanism | le16 size | iv | le16 size | text */
    uint8_t mechanism; /* enum cczi_p11_wrap */
    struct ccz_span iv, text;
};
ccz_rc cczi_p11_body_parse(struct cczi_p11_body *out, struct ccz_span in, struct ccz_err *err);
struct cczi_shamir_body { /* u8 needed | u8 total | set[4] | total times commitment[32] */
    uint8_t needed, total;
    struct ccz_span set, commitments;
};
ccz_rc cczi_shamir_body_parse(struct cczi_shamir_body *out, struct ccz_span in,
                              struct ccz_err *err);

struct cczi_kms_master_ops {
    const char *name;
    enum cczi_kms_master_kind kind;
    /* `rest`: the spec behind its colon */
    ccz_rc (*open)(struct ccz_kms_master *m, const char *rest, const struct ccz_kms_master_cfg *cfg,
                   struct ccz_err *err);
    /* Appends the body for `key`; `header` is what stands before it. */
    ccz_rc (*wrap)(struct ccz_buf *body, struct ccz_kms_master *m, struct ccz_span header,
                   const struct ccz_secret *key, struct ccz_err *err);
    /* @param[out] key  CCZ_KMS_MASTER_KEY_SIZE bytes */
    ccz_rc (*unwrap)(uint8_t *key, struct ccz_kms_master *m, const struct cczi_kms_blob *blob,
                     struct ccz_err *err);
    void (*close)(struct ccz_kms_master *m);
};
extern const struct cczi_kms_master_ops cczi_master_file, cczi_master_pkcs11, cczi_master_tee,
    cczi_master_shamir;

struct ccz_kms_token;
struct ccz_kms_master {
    const struct cczi_kms_master_ops *ops;
    char path[CCZI_MASTER_PATH_SIZE];
    char elsewhere[CCZI_MASTER_PATH_SIZE]; /* where another provider's would be */
    /* tee */
    struct ccz_secret *seal_key;
    uint8_t policy;
    struct ccz_buf measurement;
    /* pkcs11 */
    struct ccz_kms_token *token;
    /* shamir */
    char shares_dir[CCZI_MASTER_PATH_SIZE];
    pthread_mutex_t lock; /* everything below */
    uint8_t make_needed, make_total;
    struct ccz_kms_shares have;
    struct ccz_secret *shares; /* `given` of struct cczi_share */
    struct ccz_secret *key;    /* put together */
};

/* Public check value of a master key, as in the table `meta`. */
ccz_rc cczi_kms_key_check(uint8_t out[CCZI_KEY_CHECK_SIZE], const uint8_t *key);
/* For a new store: a new key, which is on disk then, or the one of an init that was cut short, which a mark FILE.init tells from
 * the key of a store. @param reuse  take any key that is there. where = "kms:master-key-exists" */
ccz_rc cczi_kms_master_make(struct ccz_secret **out, struct ccz_kms_master *m, bool reuse,
                            struct ccz_err *err);
/* The key is a store's from now on: takes the mark away. */
void cczi_kms_master_made(const struct ccz_kms_master *m);
/* The key of a store with this check value. A key that does not belong to the store is returned, too: the store says so.
 * @param[out] next  it is the one in FILE.next, of a rekey that was cut short: to be promoted once it is proved */
ccz_rc cczi_kms_master_get(struct ccz_secret **out, bool *next, struct ccz_kms_master *m,
                           const uint8_t key_check[CCZI_KEY_CHECK_SIZE], struct ccz_err *err);
/* Rekey: a new key, on disk as FILE.next; then that takes its name, or goes away again. */
ccz_rc cczi_kms_master_stage(struct ccz_secret **out, struct ccz_kms_master *m,
                             struct ccz_err *err);
ccz_rc cczi_kms_master_promote(struct ccz_kms_master *m, struct ccz_err *err);
/* Only where it is certain that the store is under another key, for good. */
void cczi_kms_master_unstage(const struct ccz_kms_master *m);
/* Reads the file and its header; out->ptrs borrow from *file. */
ccz_rc cczi_kms_master_read(struct ccz_buf *file, struct cczi_kms_blob *blob,
                            struct ccz_kms_master *m, const char *path, struct ccz_err *err);

/* ----------------------------------------------------------------- p11_uri.c, p11.c */

enum { CCZI_P11_LABEL_SIZE = 128 };
struct cczi_p11_uri {
    char token[33]; /* labels of tokens have 32 bytes */
    char object[CCZI_P11_LABEL_SIZE];
    char module[4096], pin_file[4096];
    int pin_fd; /* -1 = none */
    bool rsa, oaep_sha1;
};
/* @param text  behind "pkcs11:". where = "kms:p11-uri" */
ccz_rc cczi_p11_uri_parse(struct cczi_p11_uri *out, const char *text, struct ccz_err *err);

enum cczi_p11_wrap { CCZI_P11_AES_GCM = 1, CCZI_P11_OAEP_SHA1 = 2, CCZI_P11_OAEP_SHA256 = 3 };
/* A module, its token and one session, logged in. One thread at a time. */
ccz_rc cczi_p11_open(struct ccz_kms_token **out, const char *uri, struct ccz_err *err);
void ccz_kms_token_free(struct ccz_kms_token *t);
CCZ_DEFINE_AUTO(ccz_kms_token)
const struct cczi_p11_uri *cczi_p11_uri(const struct ccz_kms_token *t);
/* Finds the wrapping key and checks what it is; `make`: makes an AES key that is not there. */
ccz_rc cczi_p11_key_find(struct ccz_kms_token *t, bool make, struct ccz_err *err);
/* iv: 12 random bytes (AES-GCM), or empty. Appends the ciphertext. */
ccz_rc cczi_p11_encrypt(struct ccz_buf *out, struct ccz_kms_token *t, enum cczi_p11_wrap how,
                        struct ccz_span iv, struct ccz_span aad, struct ccz_span in,
                        struct ccz_err *err);
/* @param[out] out  exactly size bytes. where = "kms:p11-unwrap" */
ccz_rc cczi_p11_decrypt(uint8_t *out, size_t size, struct ccz_kms_token *t, enum cczi_p11_wrap how,
                        struct ccz_span iv, struct ccz_span aad, struct ccz_span in,
                        struct ccz_err *err);
/* The data object of the URI's name; a crash while it was replaced leaves two, which are appended one behind the other.
 * @retval CCZ_E_NOT_FOUND "kms:epoch-lost" */
ccz_rc cczi_p11_data_get(struct ccz_buf *out, struct ccz_kms_token *t, struct ccz_err *err);
/* Makes or replaces it. */
ccz_rc cczi_p11_data_put(struct ccz_kms_token *t, struct ccz_span in, struct ccz_err *err);

/* ------------------------------------------------------------------------- epoch.c */

/* Where a store was. */
struct cczi_kms_mark {
    uint64_t seq;
    uint8_t hash[32];
};
/* Record: "cczkmse1" | le64 seq | hash[32] | mac[32] | mac of the next key[32], or zeros. */
enum { CCZI_EPOCH_SIZE = 8 + 8 + 32 + 32 + 32 };
struct cczi_kms_epoch_ops {
    const char *name;
    ccz_rc (*open)(struct ccz_kms_epoch *e, const char *rest, const struct ccz_kms_epoch_cfg *cfg,
                   struct ccz_err *err);
    /* Appends the record, or those of several tries of which the newest counts. CCZ_E_NOT_FOUND "kms:epoch-lost" */
    ccz_rc (*load)(struct ccz_buf *out, struct ccz_kms_epoch *e, struct ccz_err *err);
    ccz_rc (*save)(struct ccz_kms_epoch *e, struct ccz_span record, struct ccz_err *err);
    void (*close)(struct ccz_kms_epoch *e);
};
extern const struct cczi_kms_epoch_ops cczi_epoch_file, cczi_epoch_pkcs11;

struct ccz_kms_epoch {
    const struct cczi_kms_epoch_ops *ops;
    struct ccz_kms_epoch_cfg cfg; /* strings are not kept */
    char path[4096], marker[4096];
    char lock_path
        [4096 +
         8]; /* held while the counter is read and written: processes of this machine may share it */
    bool overwrite; /* the operator took an older state: what is there may be higher */
    struct ccz_kms_token *token;
    const char *accepted;   /* what was taken as it is, or NULL */
    struct ccz_secret *key; /* MAC key; NULL until a store is bound */
    struct ccz_secret *next_key;
    struct ccz_secret *
        past; /* MAC keys before `key`, one behind the other, or NULL: until a record under `key` is there */
    pthread_mutex_t lock; /* everything below */
    pthread_cond_t wake;
    pthread_t thread;
    bool running, stop;
    bool doubled; /* the record has a second MAC, of a rekey that did not come to an end */
    struct cczi_kms_mark saved, due; /* due.seq > saved.seq: to be advanced */
    int64_t due_ms;
    struct ccz_err failed; /* of the thread; rc CCZ_OK = the last attempt went well */
};
/* The MAC key of a store's master key; next = the one of a rekey under way, NULL = none. */
ccz_rc cczi_kms_epoch_bind(struct ccz_kms_epoch *e, const struct ccz_secret *master,
                           struct ccz_err *err);
ccz_rc cczi_kms_epoch_bind_next(struct ccz_kms_epoch *e, const struct ccz_secret *master,
                                struct ccz_err *err);
/* How a rekey ended. UNKNOWN: nobody can tell which key the store is under; both are kept until one of them is seen. */
enum cczi_kms_rekeyed { CCZI_KMS_REKEY_UNDONE, CCZI_KMS_REKEY_DONE, CCZI_KMS_REKEY_UNKNOWN };
void cczi_kms_epoch_settle(struct ccz_kms_epoch *e, enum cczi_kms_rekeyed how);
/* For a new store: there must be no counter, or one of an init that was cut short. */
ccz_rc cczi_kms_epoch_first(struct ccz_kms_epoch *e, struct ccz_err *err);
/* Reads the counter. @param[out] seq  of the line that it knows. where = "kms:epoch-lost", "kms:epoch-mac" */
ccz_rc cczi_kms_epoch_load(uint64_t *seq, struct ccz_kms_epoch *e, struct ccz_err *err);
/* For a store that was rekeyed on another machine, in the transaction that checks it: where loading said CCZ_E_SIG, loads again what
 * is under an earlier key of this store, to be compared as always. @param[in,out] loaded, seq, why  of that; unchanged if there is none */
ccz_rc cczi_kms_epoch_load_past(ccz_rc *loaded, uint64_t *seq, struct ccz_kms_epoch *e,
                                struct ccz_kms_store *s, struct ccz_err *why, struct ccz_err *err);
/* A rekey, before its rows are carried over: the store keeps the MAC key of now, and CCZI_EPOCH_PAST_MAX in all. */
enum { CCZI_EPOCH_PAST_MAX = 8 };
ccz_rc cczi_kms_epoch_keep(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err);
/* Compares what was loaded with a store that was opened and checked.
 * @param loaded, why  what cczi_kms_epoch_load() said
 * @param hash  of line seq of the chain that was checked, zeros without. where = "kms:rolled-back", "kms:forked" */
ccz_rc cczi_kms_epoch_compare(struct ccz_kms_epoch *e, ccz_rc loaded, const struct ccz_err *why,
                              const struct cczi_kms_head *head, const uint8_t hash[32],
                              struct ccz_err *err);
/* A store never goes back while it is open, either. @param last  what cczi_kms_epoch_last() said before the transaction began:
 * what others have counted since may be newer than what the transaction sees. where = "kms:rolled-back" */
uint64_t cczi_kms_epoch_last(struct ccz_kms_epoch *e);
ccz_rc cczi_kms_epoch_seen(uint64_t last, const struct cczi_kms_head *head, struct ccz_err *err);
/* Behind a COMMIT. */
ccz_rc cczi_kms_epoch_advance(struct ccz_kms_epoch *e, const struct cczi_kms_head *head,
                              struct ccz_err *err);
/* Fails where a store was started with a counter before, and none is given now: as the folder says, and, in a transaction, as
 * the store says, which other folders may share. where = "kms:epoch-required" */
ccz_rc cczi_kms_epoch_required(const char *dir, struct ccz_err *err);
ccz_rc cczi_kms_epoch_required_by(struct ccz_kms_store *s, struct ccz_err *err);
/* The store says so from now on; inside a transaction. */
ccz_rc cczi_kms_counted_put(struct ccz_kms_store *s, int64_t now_s, struct ccz_err *err);
#endif
