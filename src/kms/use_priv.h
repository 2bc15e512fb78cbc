/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_USE_PRIV_H
#define CCZ_KMS_USE_PRIV_H
/*
 * Keys that work inside the KMS, as calls: messages, opened keys, work that is done between two transactions. Shared by
 * msg_keys.c, opened.c, work.c, methods_keys.c, methods_use.c, methods_import.c, rotate.c, client_keys.c, service.c and
 * their tests.
 */
#include "kms_keys.h"
#include "kms_priv.h"

#include <stdatomic.h>

/* ------------------------------------------------------------------- msg_keys.c */

#define CCZI_KMS_OPS_SIZE 160 /* names of all operations with commas, and the NUL */
/* "encrypt,decrypt" as a set; empty = 0. where = "kms:key-op-name" */
ccz_rc cczi_kms_ops_parse(uint32_t *out, struct ccz_span names, struct ccz_err *err);
void cczi_kms_ops_print(char out[CCZI_KMS_OPS_SIZE], uint32_t ops);

/* Generate, ImportToken, Import: each has a table of its own over this. */
struct cczi_msg_key_req {
    struct ccz_span name, kind, ops, policy;
    uint64_t exportable, unattested_insecure;
    uint64_t expires_s, rotate_every_s;
    struct ccz_span token, blob;
    uint64_t new_version, life_s;
    struct ccz_span names; /* Generate: of a key that issues certificates */
};
struct cczi_msg_import_token_resp {
    struct ccz_span wrapping_key, token;
    uint64_t expires_s;
};
/* Rotate, SetMinimum, SetPeriod, SetExpiry: each its own table. */
struct cczi_msg_key_set_req {
    struct ccz_span name;
    uint64_t min_decrypt, min_encrypt, rotate_every_s, expires_s;
};
struct cczi_msg_key_binding {
    struct ccz_span op, policy;
};
struct cczi_msg_key_info { /* and bindings in field 1 */
    struct ccz_span kind, ops;
    uint64_t latest, min_decrypt, min_encrypt;
    uint64_t exportable, imported, disabled, unattested_insecure;
    uint64_t created_s, expires_s, delete_after_s, rotate_every_s, next_rotation_s;
};
/* Encrypt .. PublicKey: each its own table of what it takes; the numbers mean the same in all of them. */
struct cczi_msg_use_req {
    struct ccz_span key;
    uint64_t version;       /* 0 = latest; with a ciphertext that names one it is not asked */
    struct ccz_span aad;    /* of encryption; of Derive, the context */
    struct ccz_span text;   /* to encrypt, wrap, sign, authenticate */
    struct ccz_span sealed; /* "ccz1:..." */
    uint64_t size;          /* of a data key, of what is derived */
    uint64_t sealed_only;   /* DataKey: no plaintext */
    struct ccz_span proof;  /* signature, MAC, wrapped key */
    struct ccz_span hash;   /* "sha256", "sha384", "sha512" */
    uint64_t prehashed;
    struct ccz_span form, padding; /* "raw", "der"; "pss", "pkcs1" */
};
struct cczi_msg_use_resp {
    struct ccz_span value;  /* plaintext, data key, signature, MAC, wrapped key, derived bytes */
    struct ccz_span sealed; /* "ccz1:..." */
    uint64_t version;       /* that was used */
    struct ccz_span kind, pem;
    struct ccz_span instance, inclusion, receipt;
};
extern const struct cczi_msg_field cczi_msg_generate_req[], cczi_msg_import_token_req[],
    cczi_msg_import_token_resp[], cczi_msg_import_req[], cczi_msg_rotate_req[],
    cczi_msg_set_minimum_req[], cczi_msg_set_period_req[], cczi_msg_set_expiry_req[],
    cczi_msg_key_binding[], cczi_msg_key_info[], cczi_msg_encrypt_req[], cczi_msg_decrypt_req[],
    cczi_msg_data_key_req[], cczi_msg_rewrap_req[], cczi_msg_wrap_req[], cczi_msg_unwrap_req[],
    cczi_msg_derive_req[], cczi_msg_hmac_req[], cczi_msg_hmac_verify_req[], cczi_msg_sign_req[],
    cczi_msg_verify_req[], cczi_msg_public_key_req[], cczi_msg_use_resp[];

/* --------------------------------------------------------------------- opened.c */

/*
 * Opened keys, found by the MAC of the row they came from, which the caller has checked in this transaction: as with
 * policies, a row that was changed or replaced never meets the key of another one. One thread; a counted key outlives its
 * place in the cache, and may be used by another thread if its kind is immutable once open (pairs, HMAC).
 */
struct cczi_kms_opened;
#define CCZI_KMS_OPENED_MAX 256
struct cczi_kms_opened_key {
    struct cczi_kms_key *key;
    atomic_uint refs;
};
ccz_rc cczi_kms_opened_new(struct cczi_kms_opened **out);
void cczi_kms_opened_free(struct cczi_kms_opened *c);
/* @param[out] out  counted for the caller. Keys that are pushed out, or freed, are wiped with their last user. */
ccz_rc cczi_kms_opened_get(struct cczi_kms_opened_key **out, struct cczi_kms_opened *c,
                           struct cczi_kms_sealer *sealer, const struct cczi_kms_item *row,
                           enum cczi_kms_key_kind kind, struct ccz_err *err);
/* What was opened of a key, or of one version of it (0 = all), when it may not be used any more. */
void cczi_kms_opened_forget(struct cczi_kms_opened *c, const char *name, uint32_t version);
/* Every minute, whatever the clock says: what nobody has used for that many goes. */
#define CCZI_KMS_OPENED_IDLE 10
void cczi_kms_opened_tick(struct cczi_kms_opened *c);
void cczi_kms_opened_unref(struct cczi_kms_opened_key *k); /* any thread; NULL is fine */
struct cczi_kms_opened_stat {
    uint64_t hits, opened;
    size_t len;
};
struct cczi_kms_opened_stat cczi_kms_opened_stat(const struct cczi_kms_opened *c);

/* ----------------------------------------------------------------------- work.c */

/*
 * What takes longer than a transaction should: private operations of RSA, making and importing RSA keys, large messages. A
 * method that needs it is run twice. The first time, behind every check (peer, policy, state), it leaves its work in the
 * call and ends as "later": what it did is undone, nothing is recorded or answered. The work is done outside of any
 * transaction. The second time every check is made again, by what is true then; the result is taken, recorded and answered
 * as any other. So no answer is ahead of its audit line, a refusal costs no work, and a policy that changed in between holds.
 */
struct cczi_kms_work {
    /* Does the work: any thread, one at a time, no store. Sets rc, err and the result. */
    void (*run)(struct cczi_kms_work *w);
    bool done;
    bool makes;                 /* or imports a key: takes as long as many uses */
    char ns[CCZ_KMS_NAME_SIZE]; /* that waits for it */
    ccz_rc rc;
    struct ccz_err err;
    uint8_t made_for
        [32]; /* row MAC of the key that is used; zero: none. The result is good for it alone */
    /* results, wiped */
    struct ccz_buf value, sealed; /* of a use */
    struct ccz_secret *material;  /* of making or importing a key */
    /* input of a use; its spans borrow from the body of the request, which stays */
    enum cczi_kms_key_op op;
    struct cczi_msg_use_req use;
    struct ccz_sign_how how;
    struct ccz_buf given;             /* ciphertext as bytes */
    struct cczi_kms_opened_key *key;  /* counted */
    struct cczi_kms_opened_key *from; /* counted; of Rewrap */
    /* input of making and importing */
    enum cczi_kms_key_kind kind;
    struct cczi_kms_importer *importer;
    struct cczi_kms_key_spec spec;
    struct ccz_span token, blob;
    char name[CCZ_KMS_NAME_SIZE];
    int64_t now_s;
};
ccz_rc cczi_kms_work_new(struct cczi_kms_work **out, void (*run)(struct cczi_kms_work *w),
                         struct ccz_err *err);
void cczi_kms_work_free(struct cczi_kms_work *w); /* wipes; NULL is fine */
CCZ_DEFINE_AUTO(cczi_kms_work)
void cczi_kms_work_do(struct cczi_kms_work *w); /* runs it and marks it as done */
/* Ends a method as "later" with work that is not done; takes it. @return an error, for the method to return */
ccz_rc cczi_kms_later(struct cczi_kms_call *call, struct cczi_kms_work **w, struct ccz_err *err);
/* The result that was left for this call, if it was made for that row (NULL = for none); else NULL. */
struct cczi_kms_work *cczi_kms_work_of(const struct cczi_kms_call *call, const uint8_t *made_for);

/* ---------------------------------------------------------------- methods_keys.c */

/* True for kinds that have metadata and work inside: all but aes-128 and aes-256. */
bool cczi_kms_kind_managed(enum cczi_kms_key_kind k);
/* Metadata of the key call->ref. @retval CCZ_E_NOT_FOUND err not filled: no such key, or one without metadata */
ccz_rc cczi_kms_meta_read(struct cczi_kms_key_meta *out, struct ccz_kms_store *s, const char *name,
                          struct ccz_err *err);
ccz_rc cczi_kms_meta_get(struct cczi_kms_key_meta *out, struct cczi_kms_call *call,
                         struct ccz_err *err);
ccz_rc cczi_kms_meta_put(struct cczi_kms_call *call, const struct cczi_kms_key_meta *m,
                         struct ccz_err *err);
ccz_rc cczi_kms_meta_delete(struct cczi_kms_call *call, struct ccz_err *err);
/* As cczi_kms_meta_get(). where = "kms:not-found"; "kms:key-unmanaged": a key that is only released */
ccz_rc cczi_kms_meta_of(struct cczi_kms_key_meta *out, struct cczi_kms_call *call,
                        struct ccz_err *err);
/* "NAME" of a request; from here on the audit line names key/NAME. */
ccz_rc cczi_kms_take_key(struct cczi_kms_call *call, struct ccz_span name, struct ccz_err *err);
/* What a request says of a new key. where = "kms:key-kind", "kms:key-op-name", "kms:key-unmanaged" */
ccz_rc cczi_kms_spec_of(struct cczi_kms_key_spec *out, const struct cczi_msg_key_req *m,
                        struct ccz_err *err);
/* A key that may leave, or be used without evidence, or vouches for names, is made by as many as a policy is changed by. where = "kms:approval-needed" */
ccz_rc cczi_kms_guard_spec(const struct cczi_kms_call *call, const struct cczi_kms_key_spec *spec,
                           struct ccz_err *err);
/* where = "kms:exists" */
ccz_rc cczi_kms_key_is_new(struct cczi_kms_call *call, struct ccz_err *err);
/* Stores metadata, and material as the version that they call the latest. Answers with the version. @param metadata  of the version, JSON */
ccz_rc cczi_kms_put_key(struct ccz_buf *response, struct cczi_kms_call *call,
                        const struct cczi_kms_key_meta *m, const struct ccz_secret *material,
                        struct ccz_span metadata, struct ccz_err *err);
#define CCZI_KMS_RUN(name)                                                                         \
    ccz_rc cczi_kms_run_##name(struct ccz_buf *response, struct cczi_kms_call *call,               \
                               struct ccz_err *err)
CCZI_KMS_RUN(generate);
CCZI_KMS_RUN(rotate);
CCZI_KMS_RUN(set_minimum);
CCZI_KMS_RUN(set_period);
CCZI_KMS_RUN(set_expiry);
CCZI_KMS_RUN(key_info);
/* Whether the item that a release asks for may leave: CCZ_OK for one without metadata. */
ccz_rc cczi_kms_may_leave(const struct cczi_kms_key_meta *m, const struct cczi_kms_item *it,
                          int64_t now_s, struct ccz_err *err);

/* ----------------------------------------------------------------- methods_use.c */

/* Whether a key may be used, for an operation, with this row of a version (NULL: it was destroyed). */
ccz_rc cczi_kms_may_use(const struct cczi_kms_key_meta *m, enum cczi_kms_key_op op,
                        uint32_t version, const struct cczi_kms_item *it, int64_t now_s,
                        struct ccz_err *err);
/* Behind who asks: the policy of the operation, over evidence; or a client of a key that wants none. where = "kms:key-unattested" */
ccz_rc cczi_kms_allow_use(struct cczi_kms_call *call, const struct cczi_kms_key_meta *m,
                          enum cczi_kms_key_op op, struct ccz_err *err);
/* Opens a version, if it may be used for an operation. @param it  initialised, and freed by the caller in any case; its row */
ccz_rc cczi_kms_open_version(struct cczi_kms_opened_key **out, struct cczi_kms_item *it,
                             struct cczi_kms_call *call, const struct cczi_kms_key_meta *m,
                             enum cczi_kms_key_op op, uint32_t version, struct ccz_err *err);
CCZI_KMS_RUN(encrypt);
CCZI_KMS_RUN(decrypt);
CCZI_KMS_RUN(data_key);
CCZI_KMS_RUN(rewrap);
CCZI_KMS_RUN(wrap);
CCZI_KMS_RUN(unwrap);
CCZI_KMS_RUN(derive);
CCZI_KMS_RUN(hmac);
CCZI_KMS_RUN(hmac_verify);
CCZI_KMS_RUN(sign);
CCZI_KMS_RUN(verify);
CCZI_KMS_RUN(public_key);

/* ------------------------------------------------------------------ methods_ca.c */

struct cczi_msg_issue_req {
    struct ccz_span key;
    uint64_t version;
    struct ccz_span names, csr;
    uint64_t life_s;
};
struct cczi_msg_issue_resp {
    struct ccz_span certificate, ca;
    uint64_t not_after_s, version;
    struct ccz_span instance, inclusion, receipt;
};
extern const struct cczi_msg_field cczi_msg_issue_req[], cczi_msg_issue_resp[];
/*
 * The certificate of a new authority, and for which names it may issue, as metadata of its version:
 *     {"ca":{"names":"als.example,10.0.0.7","cert":"<base64 of DER>"}}
 * They are of the row, so in its MAC, and never change. Appends. Of other keys: nothing, and names are refused ("kms:ca-names").
 */
ccz_rc cczi_kms_ca_metadata(struct ccz_buf *out, const struct cczi_kms_call *call,
                            const struct cczi_kms_key_meta *m, const struct ccz_secret *material,
                            struct ccz_span names, struct ccz_err *err);
CCZI_KMS_RUN(issue_certificate);

/* -------------------------------------------------------------- methods_import.c */

/* Wrapping key, key of tokens and tokens that were used, in memory: they end with the process. */
struct cczi_kms_importer;
ccz_rc cczi_kms_importer_new(struct cczi_kms_importer **out);
void cczi_kms_importer_free(struct cczi_kms_importer *im);
CCZI_KMS_RUN(import_token);
CCZI_KMS_RUN(import);

/* ----------------------------------------------------------------------- rotate.c */

/* What rotates by itself: found by reading, done one key at a time as a call of the system's own, which looks again inside its
 * transaction: of two servers the second finds nothing to do. */
struct cczi_kms_due {
    char (*names)[CCZ_KMS_NAME_SIZE];
    size_t len;
};
/* In a transaction of its own, which only reads. The caller frees out->names. */
ccz_rc cczi_kms_rotations_due(struct cczi_kms_due *out, struct ccz_kms_store *s, int64_t now_s,
                              struct ccz_err *err);
/* Which of them now, as indexes into due->names: at most @p most, and no more than a quarter of those from one namespace, from @p start on and
 * round. Keys that cannot rotate (no room, no policy for it) are due for ever, and must leave room for others. */
#define CCZI_KMS_ROTATION_SHARES 4
size_t cczi_kms_rotations_pick(size_t *out, size_t most, const struct cczi_kms_due *due,
                               size_t start);
extern const struct cczi_kms_method cczi_kms_rotate_due; /* of no path; request of Rotate */
CCZI_KMS_RUN(rotate_due);

#endif
