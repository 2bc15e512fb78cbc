/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PARQUET_CRYPT_H
#define CCZ_PARQUET_CRYPT_H
/**
 * @file parquet_crypt.h
 * Parquet Modular Encryption: the same bytes as parquet-java (Spark) and parquet-cpp (pyarrow) write and read.
 * Reading order of the sources: crypt_priv.h, crypt_module.c, keytools_material.c, keytools.c, crypt.c,
 * crypt_write.c, crypt_read.c. What is protected,
 * what is not, and the AAD of each module: docs/design/parquet-encryption.md.
 *
 * Terms. A *module* is a piece of the file that is encrypted alone (a page, its header, the footer ..). The *footer key* encrypts the
 * footer, or signs it where it is to stay readable, and every column that has no *column key* of its own. Both are *data keys*. A file carries *key
 * metadata* for each: bytes that say which key it is. With *key material* (PKMT1) they hold the data key itself, wrapped under a *master key*
 * that a KMS keeps: directly (single wrapping), or under a *key encryption key* (KEK) which the master key wraps (double wrapping: a KMS is
 * asked once per master key and not once per file). The *AAD prefix* is a name that the reader expects of a file, so that another file under the same key is refused.
 *
 * Use. struct ccz_pq_keytools, if keys come from a KMS; ccz_pq_encrypt_new() or ccz_pq_decrypt_new(); what they make goes into
 * ccz_pq_write_cfg.crypt or ccz_pq_read_cfg.crypt, for one file or for many.
 *
 * Zeroed configurations are the strict ones: everything encrypted and bound; a file or a column in clear is refused
 * and not read as if it were as good. Who has the key of a file can write another; a KMS that gives it for one purpose only is what prevents that.
 *
 * Threads. struct ccz_pq_keytools and struct ccz_pq_crypt may be used by any number at once; the KMS is called by one at a time.
 * @source Apache Parquet Modular Encryption (parquet-format, Encryption.md)
 */
#include <cczoo/parquet.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_PQ_MASTER_KEY_SIZE_MAX   1024     /**< bytes of a master key's name, without its NUL */
#define CCZ_PQ_WRAPPED_SIZE_MAX      16384    /**< bytes of what a KMS makes of a key */
#define CCZ_PQ_KEY_METADATA_SIZE_MAX 65536    /**< bytes of one key's metadata */
#define CCZ_PQ_MATERIAL_SIZE_MAX     16777216 /**< bytes of a file with key material */
#define CCZ_PQ_AAD_PREFIX_SIZE_MAX   4096
/** Encryptions under one key with random nonces (NIST SP 800-38D, 8.3). */
#define CCZ_PQ_INVOCATIONS_MAX (UINT64_C(1) << 32)

/* ---------------------------------------------------------------------------------- master keys */

/** Who wraps and unwraps: a KMS, an agent that asks one, or ccz_pq_local_kms(). Wrapped keys are text (UTF-8). */
struct ccz_pq_kms {
    /** @param[out] out  the key, owned by the caller.  Refusals (no such key, revoked, not allowed) are the callback's own errors. */
    ccz_rc (*unwrap)(struct ccz_secret **out, void *arg, struct ccz_span wrapped,
                     const char *master_key, struct ccz_err *err);
    /** Appends the wrapped key. Reading does without. */
    ccz_rc (*wrap)(struct ccz_buf *out, void *arg, const struct ccz_secret *key,
                   const char *master_key, struct ccz_err *err);
    void *arg;
};

/** A master key in the program's own hands. */
struct ccz_pq_master_key {
    const char *name;
    const struct ccz_secret *key; /**< 16, 24 or 32 bytes */
};
/** Master keys of a program that has no KMS. */
struct ccz_pq_master_keys {
    const struct ccz_pq_master_key *keys; /**< [len], borrowed */
    size_t len;
};
/**
 * Wraps under one of @p keys: Base64 of nonce, ciphertext and tag, AES-GCM with the name as AAD (as the in-memory
 * KMS of parquet-java's and parquet-cpp's own tests).
 * @param keys  borrowed by what is returned
 * @retval CCZ_E_NOT_FOUND  (calls) parquet:master-key   @retval CCZ_E_SIG  parquet:wrapped-key
 */
CCZ_API struct ccz_pq_kms ccz_pq_local_kms(const struct ccz_pq_master_keys *keys);

/** All-zero but for kms: double wrapping, 256-bit keys. */
struct ccz_pq_keytools_cfg {
    struct ccz_pq_kms kms;
    bool single_wrapping; /**< writing: the KMS wraps each data key itself */
    size_t key_size;      /**< writing: bytes of the keys made here, 16, 24 or 32; 0 = 32 */
    /** Written into the footer's key material for readers that choose their KMS by it; NULL = "DEFAULT". What a file says there is never
     *  followed by this library: who can change a file would choose the KMS. */
    const char *instance_id, *instance_url;
};
/** Makes data keys and gets them back. Remembers KEKs, unwrapped, until it is freed or told to forget. */
struct ccz_pq_keytools;
/** @param cfg  strings are copied; kms.arg is borrowed  @retval CCZ_E_ARG  parquet:key-size, parquet:keytools (kms.unwrap missing) */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_keytools_new(struct ccz_pq_keytools **out,
                                                const struct ccz_pq_keytools_cfg *cfg,
                                                struct ccz_err *err);
/** Wipes all KEKs: the next file of each master key asks the KMS again, and so learns that the key is revoked. */
CCZ_API void ccz_pq_keytools_forget(struct ccz_pq_keytools *k);
CCZ_API void ccz_pq_keytools_free(struct ccz_pq_keytools *k); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_pq_keytools)

/* ----------------------------------------------------------------------------------- data keys */

enum ccz_pq_algorithm {
    CCZ_PQ_AES_GCM_V1 = 0,
    /** Pages in counter mode, without tags: who can write to the file can change values unnoticed. For readers that demand it. */
    CCZ_PQ_AES_GCM_CTR_V1
};

/** Where one data key comes from. Of `key` and `master_key` at most one. */
struct ccz_pq_key_of {
    const char
        *column; /**< name of a top-level field, or a dotted path; not looked at for the footer */
    const struct ccz_secret *key; /**< 16, 24 or 32 bytes, copied: the data key itself */
    struct ccz_span metadata; /**< writing, with `key`: what the file says of it; may be empty */
    /** Writing: keytools makes a data key and wraps it under this one. Reading: its key material must name this one. */
    const char *master_key;
    /** Writing, with `key`: encryptions that were already made with it; counted on from there. */
    uint64_t invocations;
};

/** All-zero but for footer (and keytools, if master keys are named): everything encrypted with the footer key, AES_GCM_V1. */
struct ccz_pq_encrypt_cfg {
    enum ccz_pq_algorithm algorithm;
    /** Schema, row counts and key metadata stay readable without a key; the footer is signed. Statistics are encrypted with their columns. */
    bool plain_footer;
    struct ccz_pq_key_of footer;         /**< key or master_key is required */
    const struct ccz_pq_key_of *columns; /**< [columns_len]; with neither key: the footer's */
    size_t columns_len;
    /** Columns that are not listed are written in clear, and not protected against changes either. */
    bool others_plain_insecure;
    /** Part of the AAD of every module; empty: none. A prefix in the file binds only who compares it with a name that he expects. */
    struct ccz_span aad_prefix;
    bool aad_prefix_apart; /**< the file does not tell the prefix: readers must know it */
    struct ccz_pq_keytools *keytools; /**< borrowed; needed if a master_key is named */
    uint64_t
        invocations_max; /**< of each key; 0 = CCZ_PQ_INVOCATIONS_MAX, which it may not exceed */
};
/**
 * For ccz_pq_write_cfg.crypt. Keys of `key` serve every file that is written with it, those of keytools are new for each file.
 * @param[out] out  owned by the caller  @param cfg  copied but for keytools
 * @retval CCZ_E_ARG  parquet:key (none for the footer, or two), parquet:key-size, parquet:key-column (named twice), parquet:aad-prefix,
 *                    parquet:invocations, parquet:algorithm
 * Writing then refuses: CCZ_E_ARG parquet:key-column (no such column), CCZ_E_LIMIT parquet:invocations, and what the KMS does.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_encrypt_new(struct ccz_pq_crypt **out,
                                               const struct ccz_pq_encrypt_cfg *cfg,
                                               struct ccz_err *err);

/** All-zero but for keys: encrypted files, encrypted columns, without AAD prefix. */
struct ccz_pq_decrypt_cfg {
    /** The one that the file must have been written with. A file's own word for it is authentic in a signed footer alone: one changed byte
     *  makes pages with tags look like pages without. So GCM is all that is read by default; with CCZ_PQ_AES_GCM_CTR_V1 nothing
     *  protects pages, whatever they were written with, and files that say AES_GCM_V1 are refused. */
    enum ccz_pq_algorithm algorithm;
    /** Asked in this order: footer.key, or the column's `key` here; find(); keytools for PKMT1. With footer.master_key: keytools alone, and
     *  no other master key. */
    struct ccz_pq_key_of footer;
    /** [columns_len], each with `key` or `master_key` (which stands in the place of master_keys). What is named here must be in the
     *  file and have a key of its own, this one, in every row group: who has the footer's key cannot write it. */
    const struct ccz_pq_key_of *columns;
    size_t columns_len;
    /** Finds a data key by what the file says of it; *out stays NULL where it is not his. @param column  dotted path, NULL: the footer's key */
    ccz_rc (*find)(struct ccz_secret **out, void *arg, const char *column, struct ccz_span metadata,
                   struct ccz_err *err);
    void *arg;
    struct ccz_pq_keytools *keytools; /**< borrowed; NULL: no key material is looked at */
    /** [master_keys_len] names that may protect this file. Who may unwrap with several master keys should tell them: otherwise anybody
     *  who can wrap with one of them can put a file in the place of another's. NULL: any that the KMS gives. */
    const char *const *master_keys;
    size_t master_keys_len;
    /** Bytes of the file "_KEY_MATERIAL_FOR_<name>.json" that lies beside a file with external key material; copied. */
    struct ccz_span key_material;
    /** The name that the file must have been written with. Empty: none is expected, and a stored one is not compared. Who can write to such a
     *  file chooses where its AAD begins, and can present a page whose bytes he knew to be a footer in the place of the footer. */
    struct ccz_span aad_prefix;
    bool plain_file_insecure; /**< a file without any encryption is read, too */
    /** Columns that the (protected) footer declares to be in clear are read, too; nobody vouches for their pages. */
    bool plain_columns_insecure;
};
/**
 * For ccz_pq_read_cfg.crypt. Column keys are asked for when their column is first needed, so that a reader who may have only some
 * reads those.
 * @param[out] out  owned by the caller  @param cfg  copied but for keytools and arg
 * @retval CCZ_E_ARG  parquet:key (a column without any, two for one, a master key without keytools), parquet:key-size, parquet:key-column,
 *                    parquet:aad-prefix, parquet:algorithm  @retval CCZ_E_FORMAT  parquet:key-material
 * Reading then refuses with:
 *   CCZ_E_SIG     a module (parquet:footer, parquet:column-metadata, parquet:data-page, parquet:data-page-header, parquet:dictionary-page,
 *                 parquet:dictionary-page-header, parquet:column-index, parquet:offset-index, parquet:bloom-header, parquet:bloom-bitset) that was changed or
 *                 moved, or a wrong key or AAD prefix; parquet:wrapped-key; parquet:plain-file, parquet:plain-column (not encrypted, and that is required);
 *                 parquet:aad-prefix (another one is stored, or the file was written without any); parquet:algorithm (not the expected one);
 *                 parquet:key-column (a column of `columns` is under the footer's key, in clear, or not in the file)
 *   CCZ_E_FORMAT  a module whose size is wrong; parquet:key-material
 *   CCZ_E_ARG     parquet:aad-prefix (the file was written with one that must be supplied)
 *   CCZ_E_NOT_FOUND  parquet:key (nobody has it)   CCZ_E_DENIED  parquet:master-key (not among master_keys, or not the column's)
 *   CCZ_E_UNSUPPORTED  parquet:key-material (a type other than PKMT1), parquet:file-unique (neither 8 nor 16 bytes)   and what the KMS and find() refuse.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_decrypt_new(struct ccz_pq_crypt **out,
                                               const struct ccz_pq_decrypt_cfg *cfg,
                                               struct ccz_err *err);
/** Of either direction; NULL is fine. Nothing that was opened with it may be in use any more. */
CCZ_API void ccz_pq_crypt_free(struct ccz_pq_crypt *c);
CCZ_DEFINE_AUTO(ccz_pq_crypt)

/** "dir/_KEY_MATERIAL_FOR_name.json" for "dir/name": where writers put key material that is not in the file. */
CCZ_API void ccz_pq_key_material_path(struct ccz_buf *out, const char *path);

/* ------------------------------------------------------------------------------------------ info */

/** What a file that is open says of its encryption; of a column: ccz_pq_chunk_info.key. */
struct ccz_pq_crypt_info {
    bool encrypted;    /**< false: a file in clear; the rest is zero then */
    bool plain_footer; /**< signed, not encrypted */
    enum ccz_pq_algorithm algorithm;
    bool aad_prefix_apart; /**< the prefix was supplied by the reader */
    struct ccz_span
        aad_prefix; /**< as used, stored or supplied; empty: none. Borrows from the reader */
    struct ccz_span file_unique;  /**< random bytes that tell files of one prefix apart; borrows */
    struct ccz_span key_metadata; /**< of the footer's key; borrows */
    size_t plain_columns;         /**< columns that are in clear in some row group */
};
/** @param r  opened with a crypt of ccz_pq_decrypt_new(). @retval CCZ_E_ARG  parquet:crypt: without any */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_crypt_info(struct ccz_pq_crypt_info *out,
                                              const struct ccz_pq_reader *r, struct ccz_err *err);

struct ccz_json;
/** What key metadata in PKMT1 say. Strings borrow from `doc`. */
struct ccz_pq_key_material {
    bool external;         /**< only `reference` is filled: the rest is in another file */
    const char *reference; /**< its name there */
    bool is_footer;
    const char *instance_id, *instance_url; /**< of the footer's key only, else NULL */
    const char *master_key;
    struct ccz_span wrapped; /**< the data key: a KMS's text, or Base64 of bytes under the KEK */
    bool double_wrapped;
    const char *kek_id;          /**< Base64; double wrapping only, as what follows */
    struct ccz_span wrapped_kek; /**< a KMS's text */
    struct ccz_json *doc;        /**< ccz_pq_key_material_deinit() frees it */
};
/** @retval CCZ_E_FORMAT, CCZ_E_UNSUPPORTED  parquet:key-material */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pq_key_material_read(struct ccz_pq_key_material *out,
                                                     struct ccz_span metadata, struct ccz_err *err);
CCZ_API void ccz_pq_key_material_deinit(struct ccz_pq_key_material *m);

#ifdef __cplusplus
}
#endif
#endif
