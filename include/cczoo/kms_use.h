/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_USE_H
#define CCZ_KMS_USE_H
/**
 * @file kms_use.h
 * Keys that work inside the KMS: they encrypt, sign, wrap and derive there, and never have to leave it.
 *
 * Terms. A key has a *kind* ("aes-256-gcm", "ecdsa-p256", ...; docs/design/kms-keys.md lists them) and *operations* that it is for, fixed
 * when it is made: encrypt, decrypt, data-key, rewrap, wrap, unwrap, derive, hmac, hmac-verify, sign, verify, public-key, export, issue. A workload may
 * do an operation if the policy that the key is bound to *for that operation* accepts its evidence; an operation without a binding of its own
 * is decided by the key's default binding (ccz_kms_bind()), and without that nobody may do it. Each use is on record before its result leaves.
 *
 * Ciphertexts and data keys travel as one text, "ccz1:<version>:<base64url>"; signatures, MACs, wrapped and public keys as the bytes of their
 * standards, with the version beside them. Functions are those of a connected client as in kms.h; `key` is a name without "key/"; version 0
 * is the latest. On failure outputs are untouched or NULL. Design: docs/design/kms-use.md.
 *
 * Ownership and threads. Secrets that are returned belong to the caller (ccz_secret_free()); buffers are the caller's, and results are appended
 * to them; texts in structures end with NUL. Everything given is borrowed during the call. Each function is one blocking call of at most 30 s, and
 * is not retried: after CCZ_E_TIMEOUT or CCZ_E_CLOSED a change may have been made, which the audit log tells. One call at a time on a client.
 *
 * Times are seconds since 1970 UTC, periods seconds, sizes bytes. Besides what stands at each function: CCZ_E_DENIED "kms:role", "kms:admin-required",
 * "kms:approval-needed" (managing), CCZ_E_NOT_FOUND "kms:not-found", CCZ_E_FORMAT "kms:name", CCZ_E_LIMIT "kms:busy", "kms:busy-namespace" (ask again), and those of the connection (rpc.h).
 */
#include <cczoo/kms.h>
#include <cczoo/pkey.h>
#include <cczoo/x509.h>

#ifdef __cplusplus
extern "C" {
#endif

/* --------------------------------------------------------------------------- make, import */

/** What a new key shall be. Exportable and unattested keys need approvals where policies do ("kms:approval-needed"). Zeroed but for name and kind: everything the kind can do, never leaves, no expiry, rotated by hand, bound to
 *  nothing. */
struct ccz_kms_key_spec {
    const char *name;
    const char *kind;
    const char *
        ops; /**< "sign,verify"; NULL = all the kind can. RSA has to say it: it signs or decrypts, never both */
    const char *policy; /**< default binding, or NULL */
    bool
        exportable; /**< ccz_kms_release() gives the key itself to whom the policy for "export" accepts */
    bool
        unattested_insecure; /**< clients of role `client` may use it without evidence, under no policy */
    int64_t expires_s;       /**< from then on it makes nothing new; 0 = never */
    const char
        *names; /**< with ops "issue,public-key": what it may issue certificates for, see below */
    int64_t
        rotate_every_s; /**< a new version by itself, an hour to ten years; 0 = by hand; not of imported keys */
};
/**
 * Operator: makes a key in the KMS.
 * @retval CCZ_E_EXISTS       "kms:exists"
 * @retval CCZ_E_UNSUPPORTED  "kms:key-kind", "kms:key-op"  @retval CCZ_E_FORMAT "kms:key-op-name"
 * @retval CCZ_E_DENIED       "kms:key-usage": an RSA key that signs and decrypts, or does nothing
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_key_generate(struct ccz_kms_receipt *receipt,
                                                 struct ccz_rpc_client *c,
                                                 const struct ccz_kms_key_spec *spec,
                                                 struct ccz_err *err);
/** Author and operator: the same where it needs approvals, as ccz_kms_propose(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_key(struct ccz_kms_proposed *out,
                                                struct ccz_rpc_client *c,
                                                const struct ccz_kms_key_spec *spec,
                                                uint32_t valid_s, struct ccz_err *err);
/** What somebody needs to wrap a key for the KMS: RSA-OAEP-256(wrapping key, k) | AES-KWP(k, key), k 32 random bytes. */
struct ccz_kms_import {
    struct ccz_buf wrapping_key; /**< SubjectPublicKeyInfo */
    char token[96];              /**< good for one attempt, for this spec and wrapping key */
    int64_t expires_s;
};
/** Before first use. */
CCZ_API void ccz_kms_import_init(struct ccz_kms_import *p);
/** Frees the wrapping key; what was only initialised is fine. */
CCZ_API void ccz_kms_import_deinit(struct ccz_kms_import *p);
/** Operator: parameters for an import. @param new_version  the key exists: then `spec` says no more than name and kind
 *  @param life_s  0 = an hour, at most a day */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_import_token(struct ccz_kms_import *out,
                                                 struct ccz_rpc_client *c,
                                                 const struct ccz_kms_key_spec *spec,
                                                 bool new_version, int64_t life_s,
                                                 struct ccz_err *err);
/** Appends what ccz_kms_import_blob() takes: @p key (raw bytes, or PKCS#8 of a pair) wrapped for the KMS. Needs no KMS. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_import_wrap(struct ccz_buf *blob, struct ccz_span wrapping_key,
                                                const struct ccz_secret *key, struct ccz_err *err);
/**
 * Operator: stores a wrapped key, as a new one or a new version.
 * @retval CCZ_E_DENIED  "kms:import-used", "kms:import-token" (also of another server or before its restart), "kms:import-expired",
 *                       "kms:import-blob"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_import_blob(uint32_t *version, struct ccz_kms_receipt *receipt,
                                                struct ccz_rpc_client *c,
                                                const struct ccz_kms_key_spec *spec,
                                                bool new_version, const char *token,
                                                struct ccz_span blob, struct ccz_err *err);
/** The three in one: a key that lies here is wrapped for the KMS and stored there. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_key_import(uint32_t *version, struct ccz_kms_receipt *receipt,
                                               struct ccz_rpc_client *c,
                                               const struct ccz_kms_key_spec *spec,
                                               bool new_version, const struct ccz_secret *key,
                                               struct ccz_err *err);

/* -------------------------------------------------------------------------------- manage */

/** Operator: a new version, which makes new things from now on. @retval CCZ_E_DENIED "kms:key-imported": import a version instead */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_key_rotate(uint32_t *version, struct ccz_kms_receipt *receipt,
                                               struct ccz_rpc_client *c, const char *key,
                                               struct ccz_err *err);
/** Operator: versions below @p min_decrypt do nothing any more; new things are made by those from @p min_encrypt on, 0 = the latest alone. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_key_set_minimum(struct ccz_kms_receipt *receipt,
                                                    struct ccz_rpc_client *c, const char *key,
                                                    uint32_t min_decrypt, uint32_t min_encrypt,
                                                    struct ccz_err *err);
/** Operator: how often it rotates by itself; 0 = by hand. The first time is one period from now; a server that was down then rotates once when
 *  it starts. @param rotate_every_s  an hour to ten years  @retval CCZ_E_DENIED  "kms:key-imported" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_key_set_period(struct ccz_kms_receipt *receipt,
                                                   struct ccz_rpc_client *c, const char *key,
                                                   int64_t rotate_every_s, struct ccz_err *err);
/** Operator: from then on it makes nothing new (encrypt, sign, wrap, ...), and still opens and verifies what it made. @param expires_s  0 = never */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_key_set_expiry(struct ccz_kms_receipt *receipt,
                                                   struct ccz_rpc_client *c, const char *key,
                                                   int64_t expires_s, struct ccz_err *err);
/** The same where it needs approvals: a later expiry, or none, of a key that is exportable or used without evidence. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_expiry(struct ccz_kms_proposed *out,
                                                   struct ccz_rpc_client *c, const char *key,
                                                   int64_t expires_s, uint32_t valid_s,
                                                   struct ccz_err *err);
/**
 * Author: who may do @p op with a key: workloads that @p policy accepts. @param op  its name; NULL = the default for all
 * @param policy  NULL: @p op is again decided by the default
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_bind_op(struct ccz_kms_receipt *receipt,
                                            struct ccz_rpc_client *c, const char *key,
                                            const char *op, const char *policy,
                                            struct ccz_err *err);
/** The same where it needs approvals. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_bind_op(struct ccz_kms_proposed *out,
                                                    struct ccz_rpc_client *c, const char *key,
                                                    const char *op, const char *policy,
                                                    uint32_t valid_s, struct ccz_err *err);
/** What is known of a key but its material. */
struct ccz_kms_key_info {
    char kind[CCZ_KMS_ALG_SIZE];
    char ops[160];
    uint32_t latest, min_decrypt, min_encrypt;
    bool exportable, imported, disabled, unattested_insecure;
    int64_t created_s, expires_s, delete_after_s; /**< 0 = never, not deleted */
    int64_t rotate_every_s, next_rotation_s;      /**< 0 = by hand */
    size_t bindings_len;
    struct {
        char op[16]; /**< "" = default */
        char policy[CCZ_KMS_NAME_SIZE];
    } bindings[16];
};
/** Auditor, or whoever reads metadata of the key's namespace. @param[out] out  zeroed on failure; holds no pointers
 *  @retval CCZ_E_UNSUPPORTED  "kms:key-unmanaged": a key that is only released */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_key_info(struct ccz_kms_key_info *out, struct ccz_rpc_client *c,
                                             const char *key, struct ccz_err *err);

/* ----------------------------------------------------------------------------------- use */

/** What came with a result. */
struct ccz_kms_use {
    uint32_t version;                        /**< of the key that was used */
    uint8_t instance[CCZ_KMS_INSTANCE_SIZE]; /**< which KMS: see struct ccz_kms_instance */
    struct ccz_kms_receipt receipt;
};
/*
 * Refusals of all: CCZ_E_DENIED (as a gRPC status says it) "kms:workload-required", "kms:evidence-stale", "kms:unbound", "policy:<claim>",
 * "kms:key-unattested", "kms:key-usage", "kms:key-version-old", "kms:key-disabled", "kms:key-deleting", "kms:key-expired", "kms:deleted",
 * "kms:disabled"; "kms:key-op", "kms:not-found", "kms:key-version", "kms:key-input". @p use may be NULL.
 */

/** Appends the ciphertext as text. @param text 0..65536 bytes (RSA: its size - 66)  @param aad  what has to be given again to open it */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_encrypt(struct ccz_buf *sealed, struct ccz_kms_use *use,
                                            struct ccz_rpc_client *c, const char *key,
                                            uint32_t version, struct ccz_span aad,
                                            const struct ccz_secret *text, struct ccz_err *err);
/** @retval CCZ_E_SIG  "kms:key-decrypt": of another key, version or aad, or changed  @retval CCZ_E_FORMAT  "kms:key-text" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_decrypt(struct ccz_secret **text, struct ccz_kms_use *use,
                                            struct ccz_rpc_client *c, const char *key,
                                            struct ccz_span aad, const char *sealed,
                                            struct ccz_err *err);
/** A fresh key of @p size (1..1024) bytes, and what ccz_kms_decrypt() opens to it. @param plain NULL: only that */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_data_key(struct ccz_secret **plain, struct ccz_buf *sealed,
                                             struct ccz_kms_use *use, struct ccz_rpc_client *c,
                                             const char *key, uint32_t version, struct ccz_span aad,
                                             size_t size, struct ccz_err *err);
/** The same text under the latest version (or @p version); nobody sees it. @p aad is that of before, and stays.
 *  @retval CCZ_E_SIG  "kms:key-decrypt" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_rewrap(struct ccz_buf *out, struct ccz_kms_use *use,
                                           struct ccz_rpc_client *c, const char *key,
                                           uint32_t version, struct ccz_span aad,
                                           const char *sealed, struct ccz_err *err);
/** AES-KWP (RFC 5649) or RSA-OAEP-256 of a key. Appends. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_wrap(struct ccz_buf *wrapped, struct ccz_kms_use *use,
                                         struct ccz_rpc_client *c, const char *key,
                                         uint32_t version, const struct ccz_secret *text,
                                         struct ccz_err *err);
/** @retval CCZ_E_SIG  "kms:key-unwrap" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_unwrap(struct ccz_secret **text, struct ccz_kms_use *use,
                                           struct ccz_rpc_client *c, const char *key,
                                           uint32_t version, struct ccz_span wrapped,
                                           struct ccz_err *err);
/** 16..64 bytes that belong to @p context, always the same ones of one version. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_derive(struct ccz_secret **out, struct ccz_kms_use *use,
                                           struct ccz_rpc_client *c, const char *key,
                                           uint32_t version, struct ccz_span context, size_t size,
                                           struct ccz_err *err);
/** HMAC-SHA-256 (RFC 2104) of at most 1 MiB. Compare MACs with ccz_kms_hmac_verify() or ccz_ct_eq(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_hmac(uint8_t mac[32], struct ccz_kms_use *use,
                                         struct ccz_rpc_client *c, const char *key,
                                         uint32_t version, struct ccz_span message,
                                         struct ccz_err *err);
/** @retval CCZ_E_SIG  "kms:key-mac" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_hmac_verify(struct ccz_kms_use *use, struct ccz_rpc_client *c,
                                                const char *key, uint32_t version,
                                                struct ccz_span message, struct ccz_span mac,
                                                struct ccz_err *err);
/** Appends a signature of a message (at most 1 MiB) or its hash, as ccz_pkey_sign(). @param how  NULL = what is usual for the kind */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_sign(struct ccz_buf *sig, struct ccz_kms_use *use,
                                         struct ccz_rpc_client *c, const char *key,
                                         uint32_t version, const struct ccz_sign_how *how,
                                         struct ccz_span in, struct ccz_err *err);
/** @retval CCZ_E_SIG  "pkey:signature" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_verify(struct ccz_kms_use *use, struct ccz_rpc_client *c,
                                           const char *key, uint32_t version,
                                           const struct ccz_sign_how *how, struct ccz_span in,
                                           struct ccz_span sig, struct ccz_err *err);
/** Workload, auditor or client: the public half, for verifiers elsewhere. Leaves no audit line. @param spki, pem appended; either may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_public_key(struct ccz_buf *spki, struct ccz_buf *pem,
                                               uint32_t *used_version, struct ccz_rpc_client *c,
                                               const char *key, uint32_t version,
                                               struct ccz_err *err);

/* -------------------------------------------------------------------------- certificates */

/*
 * A key of kind ecdsa-p256 or ecdsa-p384 with the operations "issue,public-key" and names is a certificate authority: self-signed, for
 * these names alone (nameConstraints), no CA below it. It never leaves, is not imported, and is replaced by another key, not rotated.
 */
struct ccz_kms_issue {
    const char *key; /**< of the authority, without "key/" */
    uint32_t version;
    const char *names;              /**< x509.h: some of the authority's, each as it stands there */
    const struct ccz_key *identity; /**< what the certificate is for */
    ccz_ratls_attest_fn attest;     /**< evidence of this workload, the one that `c` gives */
    void *attest_arg;
    int64_t life_s; /**< a minute to seven days; 0 = 24 hours */
};
struct ccz_kms_issued {
    struct ccz_buf certificate, ca; /**< DER; the chain is these two */
    int64_t
        not_after_s; /**< may be sooner than asked for: with the evidence's collateral, grace, or the key */
    struct ccz_kms_use use;
};
/** Before first use. */
CCZ_API void ccz_kms_issued_init(struct ccz_kms_issued *p);
/** What was only initialised is fine. */
CCZ_API void ccz_kms_issued_deinit(struct ccz_kms_issued *p);
/**
 * Workload: a certificate for @p ask->identity with its evidence inside, which TLS stacks accept by the authority's certificate, and
 * who verifies evidence by that (ccz_ratls_cert_verify()). It is on record: serial, names, digests.
 * @param[out] out  initialised; emptied on failure
 * @retval CCZ_E_DENIED  "x509:name-not-allowed", "kms:cert-workload"  @retval CCZ_E_EXPIRED "kms:cert-expired"
 * @retval CCZ_E_ARG "kms:cert-life"  @retval CCZ_E_UNSUPPORTED "kms:cert-evidence"; "x509:...", "ratls:..." of the request
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_issue_certificate(struct ccz_kms_issued *out,
                                                      struct ccz_rpc_client *c,
                                                      const struct ccz_kms_issue *ask,
                                                      struct ccz_err *err);
/** Auditor, or whoever reads metadata: appends the authority's certificate (DER). @retval CCZ_E_NOT_FOUND "kms:ca-none" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_ca_certificate(struct ccz_buf *der, struct ccz_rpc_client *c,
                                                   const char *key, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
