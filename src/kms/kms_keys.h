/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_KEYS_H
#define CCZ_KMS_KEYS_H
/*
 * Keys that work inside the KMS: what each kind is made of, may do, and does. Functions of material, metadata and a given
 * time: no store, no clock, no policy. Whoever serves a call does four things in this order:
 *
 *     version = cczi_kms_key_version(meta, asked)             the one that is meant (or that the ciphertext names)
 *     cczi_kms_key_may(meta, op, version, state, now, err)    kind, use, state, expiry, minimum version
 *     cczi_kms_key_open(&key, kind, version, material, err)   once; a key object can be kept
 *     cczi_kms_key_encrypt(...)                               the operation, which checks the kind once more
 *
 * Terms: material = the secret bytes of one version: raw for symmetric keys, PKCS#8 for pairs. Opened keys are used by one
 * thread at a time. Reading order of the sources: keys.c, keys_text.c, keys_sym.c, keys_pair.c, keys_meta.c, keys_import.c.
 */
#include <cczoo/kms.h>
#include <cczoo/pkey.h>

/* ------------------------------------------------------------------- kinds, operations */

/* The numbers are stored and go into derivations: they never change. */
enum cczi_kms_key_kind {
    CCZI_KEY_NONE = 0,
    CCZI_KEY_AES_128 = 1, /* data keys: released to workloads, no operation of ours */
    CCZI_KEY_AES_256 = 2,
    CCZI_KEY_AES_128_GCM = 3,
    CCZI_KEY_AES_256_GCM = 4,
    CCZI_KEY_CHACHA20_POLY1305 = 5,
    CCZI_KEY_HMAC_SHA256 = 6,
    CCZI_KEY_ECDSA_P256 = 7,
    CCZI_KEY_ECDSA_P384 = 8,
    CCZI_KEY_ED25519 = 9,
    CCZI_KEY_RSA_2048 = 10,
    CCZI_KEY_RSA_3072 = 11,
    CCZI_KEY_RSA_4096 = 12,
    CCZI_KEY_KINDS
};
#define CCZI_KMS_KEY_KIND_SIZE CCZ_KMS_ALG_SIZE               /* longest name and its NUL */
const char *cczi_kms_key_kind_name(enum cczi_kms_key_kind k); /* "aes-256-gcm"; "none" */
/* By its name. where = "kms:key-kind" */
ccz_rc cczi_kms_key_kind_parse(enum cczi_kms_key_kind *out, struct ccz_span name,
                               struct ccz_err *err);
bool cczi_kms_key_is_pair(enum cczi_kms_key_kind k);

/* Stored as well, as a set. */
enum cczi_kms_key_op {
    CCZI_OP_RELEASE = 0,
    CCZI_OP_ENCRYPT = 1,
    CCZI_OP_DECRYPT = 2,
    CCZI_OP_DATA_KEY = 3, /* a random key and its ciphertext, or the ciphertext alone */
    CCZI_OP_REWRAP = 4,   /* asked of the old and of the new version */
    CCZI_OP_WRAP = 5,
    CCZI_OP_UNWRAP = 6,
    CCZI_OP_DERIVE = 7,
    CCZI_OP_HMAC = 8,
    CCZI_OP_HMAC_VERIFY = 9,
    CCZI_OP_SIGN = 10,
    CCZI_OP_VERIFY = 11,
    CCZI_OP_PUBLIC = 12,
    CCZI_OP_EXPORT = 13, /* the material itself */
    CCZI_OP_ISSUE =
        14, /* certificates: the key is that of a certificate authority, and does nothing else */
    CCZI_OPS
};
#define CCZI_OP_BIT(op) (1u << (op))
const char *cczi_kms_key_op_name(enum cczi_kms_key_op op); /* "encrypt"; "?" */
/* Set of CCZI_OP_BIT() that a kind is capable of. */
uint32_t cczi_kms_key_kind_ops(enum cczi_kms_key_kind k);

/* ---------------------------------------------------------------------------- material */

/* Fresh material. @retval CCZ_E_ARG no such kind */
ccz_rc cczi_kms_key_generate(struct ccz_secret **material, enum cczi_kms_key_kind k,
                             struct ccz_err *err);
/*
 * Material out of a foreign key, checked and in our encoding: raw bytes of the kind's size (HMAC: 32..64), or PKCS#8.
 * where = "kms:key-size", "kms:key-weak" (all bytes zero), "kms:key-kind" (a pair of another kind), "pkey:...", "key:..."
 */
ccz_rc cczi_kms_key_import(struct ccz_secret **material, enum cczi_kms_key_kind k,
                           const struct ccz_secret *foreign, struct ccz_err *err);

struct cczi_kms_key;
/* @param version 1..CCZ_KMS_VERSIONS_MAX. where = "kms:key-material": not what generate or import gave for that kind */
ccz_rc cczi_kms_key_open(struct cczi_kms_key **out, enum cczi_kms_key_kind k, uint32_t version,
                         const struct ccz_secret *material, struct ccz_err *err);
void cczi_kms_key_free(struct cczi_kms_key *key);
CCZ_DEFINE_AUTO(cczi_kms_key)
enum cczi_kms_key_kind cczi_kms_key_kind(const struct cczi_kms_key *key);
uint32_t cczi_kms_key_number(const struct cczi_kms_key *key); /* its version */

/* Every operation: where = "kms:key-op" the kind does not do this; "kms:key-input" sizes; "kms:key-memory". */
#define CCZI_KMS_KEY_TEXT_SIZE_MAX    65536 /* to encrypt */
#define CCZI_KMS_KEY_AAD_SIZE_MAX     65536
#define CCZI_KMS_KEY_MESSAGE_SIZE_MAX 1048576 /* to sign or to authenticate */
#define CCZI_KMS_KEY_CONTEXT_SIZE_MAX 1024    /* to derive from */
#define CCZI_KMS_KEY_SEALED_OVERHEAD  41      /* encryption adds; RSA: the modulus in all */

/* Appends SubjectPublicKeyInfo, as DER or as a PEM block "PUBLIC KEY". */
ccz_rc cczi_kms_key_public(struct ccz_buf *der, const struct cczi_kms_key *key,
                           struct ccz_err *err);
ccz_rc cczi_kms_key_public_pem(struct ccz_buf *pem, const struct cczi_kms_key *key,
                               struct ccz_err *err);

/* ----------------------------------------------------------- encryption and what is like it */

/*
 * Sealed form of the AEAD kinds: u8 1 | salt[24] | ciphertext | tag[16], with
 *     HMAC-SHA-512(K, "cczoo kms message v1" | 0 | u8 kind | le32 version | salt) = message key[32] | nonce[12] | unused[20]
 * and the message key cut to the size of the cipher. Salts are random: two of 2^80 messages under one version share one with a
 * probability below 2^-32, so there is no count to keep, nor one that a restored backup could repeat. A message is one
 * AEAD call far below the cipher's own bound. The version is authenticated, since it goes into the message key. Under one key
 * a ciphertext has one text; that no other key opens it as well is not promised (nothing here relies on it).
 *
 * RSA kinds: RSAES-OAEP with SHA-256 of the text, at most size of the modulus - 66 bytes, no associated data ("kms:key-aad").
 */
ccz_rc cczi_kms_key_encrypt(struct ccz_buf *sealed, const struct cczi_kms_key *key,
                            struct ccz_span aad, struct ccz_span text, struct ccz_err *err);
/* where = "kms:key-decrypt": CCZ_E_SIG, whatever does not fit: key, version, associated data, bytes */
ccz_rc cczi_kms_key_decrypt(struct ccz_secret **text, const struct cczi_kms_key *key,
                            struct ccz_span aad, struct ccz_span sealed, struct ccz_err *err);
/*
 * A data key: `size` (1..1024) random bytes, which cczi_kms_key_decrypt() gives back from `sealed`.
 * @param[out] plain  NULL: only the ciphertext, and the key has not been outside
 */
ccz_rc cczi_kms_key_data_key(struct ccz_secret **plain, struct ccz_buf *sealed,
                             const struct cczi_kms_key *key, size_t size, struct ccz_span aad,
                             struct ccz_err *err);
/* The same text under `to`, another version of the key that made `sealed` ("kms:key-rewrap": another kind). */
ccz_rc cczi_kms_key_rewrap(struct ccz_buf *out, const struct cczi_kms_key *to,
                           const struct cczi_kms_key *from, struct ccz_span aad,
                           struct ccz_span sealed, struct ccz_err *err);

/* Wrapping of keys in a standard form: AES-KWP (RFC 5649) with the AES kinds, RSA-OAEP-256 with RSA. */
ccz_rc cczi_kms_key_wrap(struct ccz_buf *wrapped, const struct cczi_kms_key *key,
                         struct ccz_span text, struct ccz_err *err);
/* where = "kms:key-unwrap" */
ccz_rc cczi_kms_key_unwrap(struct ccz_secret **text, const struct cczi_kms_key *key,
                           struct ccz_span wrapped, struct ccz_err *err);

/* HKDF-SHA-256(K, no salt, "cczoo kms derive v1" | 0 | u8 kind | le32 version | context), 16..64 bytes; context 1..1024 bytes. */
ccz_rc cczi_kms_key_derive(struct ccz_secret **out, const struct cczi_kms_key *key,
                           struct ccz_span context, size_t size, struct ccz_err *err);

/* --------------------------------------------------------------------- HMAC, signatures */

#define CCZI_KMS_KEY_MAC_SIZE 32
/* HMAC-SHA-256 with the material as it is. */
ccz_rc cczi_kms_key_hmac(uint8_t mac[CCZI_KMS_KEY_MAC_SIZE], const struct cczi_kms_key *key,
                         struct ccz_span message, struct ccz_err *err);
/* where = "kms:key-mac": CCZ_E_SIG. The whole MAC, no part of it. @ct in the right MAC */
ccz_rc cczi_kms_key_hmac_verify(const struct cczi_kms_key *key, struct ccz_span message,
                                struct ccz_span mac, struct ccz_err *err);
/* As ccz_pkey_sign() and ccz_pkey_verify(). */
ccz_rc cczi_kms_key_sign(struct ccz_buf *sig, const struct cczi_kms_key *key,
                         const struct ccz_sign_how *how, struct ccz_span in, struct ccz_err *err);
ccz_rc cczi_kms_key_verify(const struct cczi_kms_key *key, const struct ccz_sign_how *how,
                           struct ccz_span in, struct ccz_span sig, struct ccz_err *err);

/*
 * A certificate by this key (EC kinds). @param cfg  its issuer_key is not looked at; issuer NULL: the key's own certificate, and then
 * cfg->key is not looked at either. Appends DER.
 */
struct ccz_cert_cfg;
ccz_rc cczi_kms_key_issue(struct ccz_buf *der, const struct cczi_kms_key *key,
                          const struct ccz_cert_cfg *cfg, struct ccz_err *err);

/* ------------------------------------------------------------------------------- as text */

/* What a key made, with the version that made it: "ccz1:<version>:<base64url>", one text for one value. */
void cczi_kms_key_text_put(struct ccz_buf *out, uint32_t version, struct ccz_span bytes);
/* Appends the bytes. where = "kms:key-text" */
ccz_rc cczi_kms_key_text_get(uint32_t *version, struct ccz_buf *bytes, struct ccz_span text,
                             struct ccz_err *err);

/* ------------------------------------------------------------------------------ metadata */

/* Everything about a key but its material. Changed only by the functions below, which keep it consistent. */
struct cczi_kms_key_meta {
    enum cczi_kms_key_kind kind;
    uint32_t ops;         /* CCZI_OP_BIT(): what it is for, fixed when it is made */
    uint32_t latest;      /* newest version, 1.. */
    uint32_t min_decrypt; /* 1..latest: older versions do nothing any more */
    uint32_t
        min_encrypt; /* 0: the latest version alone makes new things; else min_decrypt..latest */
    bool exportable; /* fixed when it is made */
    bool imported;   /* material came from outside; fixed when it is made */
    bool unattested; /* clients may use it without evidence; fixed when it is made */
    bool disabled;
    int64_t created_s;
    int64_t
        expires_s; /* 0 = never. From then on it makes nothing new and is not given out; what it made can still
                           be read. It is not deleted */
    int64_t deletion_s; /* 0 = not to be deleted. Until then nothing is lost, and it does nothing */
    int64_t rotate_every_s;  /* 0 = by hand */
    int64_t next_rotation_s; /* 0 iff rotate_every_s is 0 */
};
#define CCZI_KMS_ROTATE_EVERY_MIN_S 3600
#define CCZI_KMS_ROTATE_EVERY_MAX_S 315360000 /* ten years */
#define CCZI_KMS_DELETE_AFTER_MIN_S 86400
#define CCZI_KMS_DELETE_AFTER_S     604800 /* default: a week */
#define CCZI_KMS_DELETE_AFTER_MAX_S 31536000

/* What a new key shall be. Zeroed: everything the kind can do (RSA: nothing, it has to be said), no export, no expiry. */
struct cczi_kms_key_spec {
    enum cczi_kms_key_kind kind;
    uint32_t ops; /* 0 = what the kind is capable of; RSA signs or decrypts, never both */
    bool exportable;
    bool imported;
    bool unattested_insecure;
    int64_t expires_s;      /* 0 = never */
    int64_t rotate_every_s; /* 0 = by hand; not of imported keys */
};
/* where = "kms:key-time", "kms:key-kind", "kms:key-op" (the kind cannot), "kms:key-usage" (nothing, or sign and decrypt, or issue and anything
 * but public-key), "kms:ca-key" (a CA that could leave, came from outside, needs no evidence or rotates), "kms:key-expiry",
 * "kms:key-period", "kms:key-imported" */
ccz_rc cczi_kms_key_meta_new(struct cczi_kms_key_meta *out, const struct cczi_kms_key_spec *spec,
                             int64_t now_s, struct ccz_err *err);

/* State of one version, as stored beside its material. Zero is refused like destroyed. */
enum cczi_kms_version_state {
    CCZI_VERSION_GONE,
    CCZI_VERSION_ENABLED,
    CCZI_VERSION_DISABLED,
};
/* 0 means the latest one. */
uint32_t cczi_kms_key_version(const struct cczi_kms_key_meta *m, uint32_t asked);
/*
 * Whether an operation may be done with a version now. CCZ_E_DENIED unless said otherwise, in this order:
 * "kms:key-op" the kind cannot (CCZ_E_UNSUPPORTED); "kms:key-usage" this key is not for that; "kms:key-export";
 * "kms:key-deleting"; "kms:key-disabled"; "kms:key-expired" (CCZ_E_EXPIRED); "kms:key-version" there is none such
 * (CCZ_E_NOT_FOUND); "kms:key-version-old" below the minimum; "kms:key-version-gone"; "kms:key-version-disabled"
 */
ccz_rc cczi_kms_key_may(const struct cczi_kms_key_meta *m, enum cczi_kms_key_op op,
                        uint32_t version, enum cczi_kms_version_state state, int64_t now_s,
                        struct ccz_err *err);

/* A new version becomes the latest one. where = "kms:ca-rotate", "kms:key-time", "kms:key-deleting", "kms:key-disabled", "kms:key-expired", "kms:key-versions"
 * (too many), "kms:key-imported" (generated and imported versions do not mix) */
ccz_rc cczi_kms_key_rotate(struct cczi_kms_key_meta *m, bool imported, int64_t now_s,
                           struct ccz_err *err);
/* Whether it is time to rotate by itself; false for a key that could not be rotated. Also if the date is more than a period and a day
 * away: a clock that was ahead has set it. */
bool cczi_kms_key_rotation_due(const struct cczi_kms_key_meta *m, int64_t now_s);
/* 0 = by hand from now on. where = "kms:key-period", "kms:key-imported" */
ccz_rc cczi_kms_key_set_period(struct cczi_kms_key_meta *m, int64_t rotate_every_s, int64_t now_s,
                               struct ccz_err *err);
/* where = "kms:key-minimum" */
ccz_rc cczi_kms_key_set_minimum(struct cczi_kms_key_meta *m, uint32_t min_decrypt,
                                uint32_t min_encrypt, struct ccz_err *err);
/* 0 = never; may be moved in both directions, also when it has passed. where = "kms:key-expiry": not after now */
ccz_rc cczi_kms_key_set_expiry(struct cczi_kms_key_meta *m, int64_t expires_s, int64_t now_s,
                               struct ccz_err *err);
void cczi_kms_key_set_disabled(struct cczi_kms_key_meta *m, bool disabled);

/* When to delete. Zeroed: after a week. */
struct cczi_kms_key_deletion {
    int64_t after_s;       /* 0 = CCZI_KMS_DELETE_AFTER_S; a day to a year */
    bool at_once_insecure; /* nobody can take it back */
};
/* where = "kms:key-window", "kms:key-deleting" (cancel first: a second call cannot make it sooner) */
ccz_rc cczi_kms_key_delete(struct cczi_kms_key_meta *m, const struct cczi_kms_key_deletion *how,
                           int64_t now_s, struct ccz_err *err);
/* where = "kms:key-not-deleting" */
ccz_rc cczi_kms_key_undelete(struct cczi_kms_key_meta *m, struct ccz_err *err);
/* Whether the material may be destroyed now. where = "kms:key-not-deleting", "kms:key-early". Expiry has no say in it. */
ccz_rc cczi_kms_key_may_destroy(const struct cczi_kms_key_meta *m, int64_t now_s,
                                struct ccz_err *err);

#define CCZI_KMS_KEY_META_SIZE 60
/* As stored: u8 1 | u8 kind | u8 flags | u8 0 | le32 ops, latest, min_decrypt, min_encrypt | le64 five times. */
void cczi_kms_key_meta_put(struct ccz_buf *out, const struct cczi_kms_key_meta *m);
/* where = "kms:key-meta": malformed or inconsistent, CCZ_E_FORMAT */
ccz_rc cczi_kms_key_meta_get(struct cczi_kms_key_meta *out, struct ccz_span in,
                             struct ccz_err *err);

/* ------------------------------------------------------------------------ wrapped import */

/*
 * A key of somebody else comes in encrypted: he asks for parameters (the KMS's wrapping key and a token), and sends
 *     RSA-OAEP-256(wrapping key, k) | AES-KWP(k, key)      k 32 random bytes (CKM_RSA_AES_KEY_WRAP; cloud KMSs take the same)
 * with the token. The token says what the KMS promised, to whom it matters: this name, kind, use, wrapping key, until then.
 * It is authenticated, and good for one attempt, also if that fails: nobody asks the wrapping key twice.
 */
struct cczi_kms_import {
    const char *name; /* of the item */
    struct cczi_kms_key_spec spec;
    const struct ccz_pkey
        *wrapping; /* RSA of 3072 bits or more ("kms:import-wrapping"); to open, the pair */
};
#define CCZI_KMS_IMPORT_LIFE_S         3600 /* default */
#define CCZI_KMS_IMPORT_LIFE_MAX_S     86400
#define CCZI_KMS_IMPORT_BLOB_SIZE_MAX  8192
#define CCZI_KMS_IMPORT_TOKEN_SIZE_MAX 80
/*
 * Appends a token (text). @param token_key  for tokens alone, CCZI_KMS_IMPORT_TOKEN_KEY_SIZE bytes
 * @param life_s 0 = CCZI_KMS_IMPORT_LIFE_S. where = "kms:import-life", "kms:import-wrapping", "kms:import-token-key"
 */
#define CCZI_KMS_IMPORT_TOKEN_KEY_SIZE 32
ccz_rc cczi_kms_import_token(struct ccz_buf *token, const struct ccz_secret *token_key,
                             const struct cczi_kms_import *what, int64_t life_s, int64_t now_s,
                             struct ccz_err *err);

/* Tokens that were used and have not expired, at most CCZI_KMS_IMPORT_USED_MAX: as long as it is full no import is taken, and when it is
 * half full none in a namespace that has an eighth. It lives as long as the wrapping key: who keeps that over a restart keeps this as well. One thread at a time. */
struct cczi_kms_import_used;
#define CCZI_KMS_IMPORT_USED_MAX 1024
ccz_rc cczi_kms_import_used_new(struct cczi_kms_import_used **out);
void cczi_kms_import_used_free(struct cczi_kms_import_used *u);
CCZ_DEFINE_AUTO(cczi_kms_import_used)

/*
 * Material out of a blob, checked as by cczi_kms_key_import(). CCZ_E_DENIED unless said otherwise:
 * "kms:import-token" (CCZ_E_SIG: malformed, not ours, or for something else), "kms:import-expired" (CCZ_E_EXPIRED),
 * "kms:import-used", "kms:import-busy" (CCZ_E_LIMIT), then "kms:import-blob" (CCZ_E_SIG: does not open, whatever the reason)
 * @ct in the right token
 */
ccz_rc cczi_kms_import_open(struct ccz_secret **material, struct cczi_kms_import_used *used,
                            const struct ccz_secret *token_key, const struct cczi_kms_import *what,
                            struct ccz_span token, struct ccz_span blob, int64_t now_s,
                            struct ccz_err *err);
/* The other side: appends the blob of a key for a wrapping key (SubjectPublicKeyInfo). */
ccz_rc cczi_kms_import_wrap(struct ccz_buf *blob, struct ccz_span spki,
                            const struct ccz_secret *foreign, struct ccz_err *err);

#endif
