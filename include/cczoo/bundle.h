/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_BUNDLE_H
#define CCZ_BUNDLE_H
/**
 * @file bundle.h
 * Encrypted model bundles: a folder of protected files (pf.h) that a signed manifest holds together, for any engine.
 * Format, options and names of refusals: docs/reference/bundle.md. Why it is so, and against whom: docs/design/bundle.md.
 * Reading order of the sources: manifest.c, sign.c, write.c, folder.c, read.c.
 *
 *   manifest.json   who, which version, which files: canonical JSON in clear, a few hundred bytes a file
 *   manifest.sig    signature of the *signer* over the bytes of manifest.json: raw ECDSA P-256 or Ed25519
 *   owner.sig       the same of the *owner* of the model, if the manifest names one
 *   files/...       the model, each file a protected file bound to "cczoo-bundle/<id of the bundle>/<its path>"
 *
 * Terms. The *key* of a bundle (16 to 64 bytes) comes from a KMS as a rule: the manifest names the item and its version. What encrypts and
 * what authenticates are keys derived from it. Whoever has that key can make files that decrypt; only the signer can have them accepted,
 * since the manifest has a keyed digest of each file's plaintext. *Rolling back* (an older bundle, which is as genuine as ever) is
 * refused by who reads: by the KMS, which gives out no version of a key below its minimum, and by `version_min`.
 *
 * Threads: a bundle is used by one thread at a time; two are independent. Plaintext of a file is never held here but in the buffer of who reads.
 */
#include <cczoo/pkey.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_BUNDLE_FILES_MAX         256
#define CCZ_BUNDLE_PATH_SIZE         256    /**< of a file below files/, with the NUL */
#define CCZ_BUNDLE_NAME_SIZE         129    /**< of a model, with the NUL */
#define CCZ_BUNDLE_ENGINE_SIZE       32     /**< name of an engine, with the NUL */
#define CCZ_BUNDLE_KEY_ITEM_SIZE     136    /**< "key/NAME" of a KMS, with the NUL */
#define CCZ_BUNDLE_MANIFEST_SIZE_MAX 131072 /**< bytes of manifest.json */
#define CCZ_BUNDLE_CHUNK_SIZE                                                                      \
    262144 /**< bytes that ccz_bundle_verify() holds decrypted at a time */
/** Largest version of a model: what a JSON number holds everywhere, 2^53 - 1. */
#define CCZ_BUNDLE_VERSION_MAX INT64_C(9007199254740991)
#define CCZ_BUNDLE_FORMAT      "cczoo-bundle-1"

/** One file of the model. */
struct ccz_bundle_file {
    char
        path[CCZ_BUNDLE_PATH_SIZE]; /**< relative, '/' between parts: "variables/variables.index" */
    uint64_t size;                  /**< bytes of plaintext */
    uint8_t digest[32]; /**< keyed: HMAC-SHA-256(derived key, SHA-256(plaintext)), so that nobody
                                          without the key can tell which public model this is */
    uint8_t sha256[32]; /**< of the protected file: what can be checked without any key */
};
/** What a bundle says of itself: signed. */
struct ccz_bundle_manifest {
    char name[CCZ_BUNDLE_NAME_SIZE]; /**< [A-Za-z0-9._-], 1..128, no '.' in front */
    int64_t version;                 /**< 1..CCZ_BUNDLE_VERSION_MAX */
    int64_t
        min_version; /**< once this one was accepted, older ones than that are not; 1..version */
    char engine
        [CCZ_BUNDLE_ENGINE_SIZE]; /**< what runs it: "tensorflow", "onnxruntime", ...; as a name */
    char key
        [CCZ_BUNDLE_KEY_ITEM_SIZE]; /**< KMS item of the key, "key/NAME"; "" = a key that no KMS has */
    uint32_t key_version;           /**< its version there, from 1; 0 = no KMS */
    int64_t created_s;              /**< seconds since 1970 UTC */
    uint8_t id[16];                 /**< random: no two bundles have the same */
    uint8_t key_check[16]; /**< derived from the key: tells a wrong key from a damaged file */
    uint8_t signer[32];    /**< SHA-256 of the signer's SubjectPublicKeyInfo */
    uint8_t owner[32];     /**< of the owner's; zeros = none, and no owner.sig */
    size_t files_len;      /**< 1..CCZ_BUNDLE_FILES_MAX */
    struct ccz_bundle_file file[CCZ_BUNDLE_FILES_MAX]; /**< by path, ascending as bytes */
    uint8_t sha256[32];                                /**< reading: of manifest.json */
};
/**
 * Strict: exactly the members that are written, of their types, in their order, with no white space: what is accepted is, byte
 * for byte, what ccz_bundle_manifest_put() makes of it.
 * @param[out] out  zeroed on failure
 * @retval CCZ_E_LIMIT        bundle:manifest-size
 * @retval CCZ_E_FORMAT       bundle:manifest (no JSON), bundle:member (unknown, missing, of another type or out of range), bundle:canonical
 * @retval CCZ_E_UNSUPPORTED  bundle:format
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_manifest_parse(struct ccz_bundle_manifest *out,
                                                      struct ccz_span json, struct ccz_err *err);
/** Appends it as canonical JSON (RFC 8785). It must be what ccz_bundle_manifest_check() accepts. */
CCZ_API void ccz_bundle_manifest_put(struct ccz_buf *out, const struct ccz_bundle_manifest *m);
/** @retval CCZ_E_FORMAT  bundle:member: a value that no manifest may have */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_manifest_check(const struct ccz_bundle_manifest *m,
                                                      struct ccz_err *err);

/* ---------------------------------------------------------------------------------------- writing */

/** Who signs. Zeroed: nobody. */
struct ccz_bundle_signer {
    const struct ccz_pkey *key; /**< P-256 or Ed25519; with `sign` its public half will do */
    /** A key that lies elsewhere (a KMS, an HSM): appends the signature of @p message as ccz_pkey_sign() does, all zero. It is
     *  verified with `key` before it is written. NULL: `key` signs. */
    ccz_rc (*sign)(void *arg, struct ccz_buf *sig, struct ccz_span message, struct ccz_err *err);
    void *arg;
};
struct ccz_bundle_write {
    const char *in_dir; /**< folder of the model in clear: regular files and folders only */
    /** Read of it: name, version, min_version, engine, key, key_version, created_s. The rest is filled in. */
    const struct ccz_bundle_manifest *manifest;
    const struct ccz_secret *key; /**< 16..64 bytes */
    struct ccz_bundle_signer signer;
    /** Owner, or zeroed. With a public key alone owner.sig is missing until ccz_bundle_countersign(). */
    struct ccz_bundle_signer owner;
    /** Told after each finished file; may be NULL. */
    void (*on_file)(void *arg, const char *path, uint64_t size);
    void *arg;
};
/**
 * Makes the folder @p dir, which must not exist; it appears by rename when all of it is written and durable. What was written is read
 * back and decrypted once, for the digests.
 * @param[out] sha256  of the manifest; may be NULL
 * @retval CCZ_E_ARG     bundle:key-size, bundle:signer-key (no P-256 or Ed25519 key, or its private half is missing), bundle:owner-key (also: it is the signer's)
 * @retval CCZ_E_FORMAT  bundle:member: of the manifest given; also a file whose name a manifest may not have
 * @retval CCZ_E_LIMIT   bundle:files: none, or too many
 * @retval CCZ_E_EXISTS  file:exists   @retval others  of pf.h, pkey.h, and of `sign`
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_save(uint8_t sha256[32], const char *dir,
                                            const struct ccz_bundle_write *w, struct ccz_err *err);
/**
 * The owner signs a bundle that names him. He has looked at it before: nothing but the manifest's form is checked here.
 * @retval CCZ_E_UNTRUSTED  bundle:owner: the manifest names another owner, or none
 * @retval CCZ_E_EXISTS     file:exists: signed already
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_countersign(const char *dir,
                                                   const struct ccz_bundle_signer *owner,
                                                   struct ccz_err *err);

/* ---------------------------------------------------------------------------------------- reading */

/** What is accepted. Zeroed: nothing. Everything is borrowed during the call. */
struct ccz_bundle_cfg {
    const struct ccz_pkey *const *signers; /**< one of these must have signed */
    size_t signers_len;
    bool
        any_signer_insecure; /**< signatures are not looked at: to show what a folder says, never to run it */
    const struct ccz_pkey
        *owner; /**< has to be named and to have signed as well; NULL: owner.sig is not looked at */
    const char *name;    /**< of the model; NULL: any */
    int64_t version;     /**< this one; 0: any */
    int64_t version_min; /**< older ones are refused (rolling back); 0: none */
};
struct ccz_bundle;
/**
 * Opens a bundle as far as that goes without its key. Order: signatures over the bytes of the manifest, the manifest, name and versions,
 * then which files lie there. Of the files nothing is read yet.
 * @param[out] out  ccz_bundle_free()
 * @retval CCZ_E_ARG        bundle:trust: @p cfg says neither who may have signed nor that it is not looked at
 * @retval CCZ_E_NOT_FOUND  bundle:no-manifest, bundle:no-signature, bundle:no-owner-signature
 * @retval CCZ_E_UNTRUSTED  bundle:signer, bundle:owner: signed by somebody else
 * @retval CCZ_E_SIG        bundle:signature, bundle:owner-signature
 * @retval CCZ_E_POLICY     bundle:name, bundle:version, bundle:rolled-back
 * @retval CCZ_E_MISMATCH   bundle:file-missing, bundle:file-extra, bundle:file-renamed (one is missing and another is there)
 * @retval others           of ccz_bundle_manifest_parse() and ccz_pf_tree_walk() (pf:file-type: a link or special file)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_open(struct ccz_bundle **out, const char *dir,
                                            const struct ccz_bundle_cfg *cfg, struct ccz_err *err);
CCZ_API void ccz_bundle_free(struct ccz_bundle *b); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_bundle)
/** True if @p dir has a manifest, so that it is a bundle or pretends to be one. */
CCZ_API bool ccz_bundle_is(const char *dir);
/** As long as the bundle. */
CCZ_API const struct ccz_bundle_manifest *ccz_bundle_manifest(const struct ccz_bundle *b);
/**
 * Opens the files with the key. Each node of a file is verified when it is read, and its whole plaintext when its last byte was.
 * @param key  not kept
 * @retval CCZ_E_ARG       bundle:key-size
 * @retval CCZ_E_SIG       bundle:key: not the key of this bundle; bundle:file-swapped: another file of it; bundle:file-foreign: a
 *                         file of another bundle; pf:..: damaged
 * @retval CCZ_E_MISMATCH  bundle:file-size
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_unlock(struct ccz_bundle *b, const struct ccz_secret *key,
                                              struct ccz_err *err);
/**
 * Plaintext of file @p file (an index into the manifest): the shape of read_at in struct ccz_model_cfg (engine.h), with the bundle as
 * @p bundle. Each file front to back, as often as one likes; @p out is zeroed on failure.
 * @retval CCZ_E_ARG  bundle:locked, bundle:read-order, bundle:read-range
 * @retval CCZ_E_SIG  bundle:digest: with the last bytes of a file; not what was signed. pf:data-node, ..
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_read_at(void *bundle, size_t file, uint64_t offset,
                                               void *out, size_t size, struct ccz_err *err);
/**
 * After loading and before the model is used: every file was read to its end, and so compared.
 * @retval CCZ_E_SIG  bundle:unread, with the file
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_finish(const struct ccz_bundle *b, struct ccz_err *err);
/**
 * Reads all of it: the SHA-256 of each protected file and, of an unlocked bundle, its plaintext too.
 * @param on_file  told after each verified file; may be NULL
 * @retval CCZ_E_SIG  bundle:sealed-digest: not the file that was signed; and those of ccz_bundle_read_at()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_bundle_verify(struct ccz_bundle *b,
                                              void (*on_file)(void *arg, const char *path,
                                                              uint64_t size),
                                              void *arg, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
