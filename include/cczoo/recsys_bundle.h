/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_BUNDLE_H
#define CCZ_RECSYS_BUNDLE_H
/**
 * @file recsys_bundle.h
 * A trained factor model with all that serving needs, as a folder of protected files that a signed manifest holds together,
 * and the engine "als" that serves it (engine.h, infer.h).
 * Design, threats and format: docs/design/recsys-bundle.md; names of refusals: docs/reference/recsys.md.
 *
 * Terms. The *trainer* signs the manifest with a P-256 key of its own; its *certificate* goes with the signature, and in it
 * the evidence of the trainer's TEE over that key. Whether that evidence is good is for a function of the reader to say: this
 * module knows no TEE. The *key* of the bundle (16 bytes, pf.h) comes from a KMS as a rule, and its version there is the
 * defence against rolling back: who publishes a model makes a new version of the key first; who reads asks for the latest
 * version, and a bundle of an older one is refused. The version of a model *is* that of its key, so that there is no older model
 * under the same key.
 *
 * Sizes of files are rounded up, so that they tell the size of a model only roughly (an eighth at most).
 * Threads: a bundle may be read by many threads at once. Reading order of the sources: members.c, order.c, bundle_manifest.c, bundle_file.c,
 * bundle_write.c, bundle_read.c, bundle_dir.c, bundle_engine.c.
 */
#include <cczoo/engine.h>
#include <cczoo/recsys_als.h>
#include <cczoo/recsys_data.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_RECSYS_NAME_SIZE        129 /**< of a model, of a KMS item without "key/"; with the NUL */
#define CCZ_RECSYS_BUNDLE_METRICS   64
#define CCZ_RECSYS_METRIC_NAME_SIZE 32

struct ccz_recsys_metric_value {
    char name[CCZ_RECSYS_METRIC_NAME_SIZE]; /**< "ndcg@10" */
    double value;                           /**< finite */
};
/** What a bundle says of itself: signed. */
struct ccz_recsys_manifest {
    char name[CCZ_RECSYS_NAME_SIZE]; /**< [A-Za-z0-9._-], 1 .. 128 */
    uint64_t version; /**< of the model, from 1; with a key of a KMS equal to key_version */
    char key
        [8 +
         CCZ_RECSYS_NAME_SIZE]; /**< KMS item of the key, "key/NAME"; "" = a key that no KMS has */
    uint32_t key_version;       /**< its version there, from 1; 0 = no KMS */
    int64_t created_s;          /**< seconds since 1970 UTC */
    char trainer[32];           /**< program that trained: "cczoo", "spark"; as a name */
    uint8_t order_sha256[32];   /**< of the order (recsys_order.h) that it fulfils; zeros = none */
    uint8_t data_sha256[32];    /**< of the file of ratings as it lay on the disk */
    uint8_t titles_sha256[32];  /**< of the file of titles; zeros = none */
    uint8_t parent_sha256[32];  /**< of the manifest of the version before; zeros = none */
    /** How it was trained, for folding in; threads, tier, by_item and functions are not kept. */
    struct ccz_recsys_als_cfg als;
    struct ccz_recsys_metric_value metric[CCZ_RECSYS_BUNDLE_METRICS];
    size_t metrics_len;
    uint32_t users, items; /**< writing: taken from the model */
    uint64_t ratings;      /**< of the history */
    float mean;
    uint8_t sha256[32]; /**< reading: of the manifest itself; what a child calls its parent */
};
/** What is in it. Everything is borrowed. */
struct ccz_recsys_contents {
    const struct ccz_recsys_model *model;
    const struct ccz_recsys_csr *seen;        /**< history of the users: what lists leave out */
    const struct ccz_recsys_ids *user, *item; /**< of the model's lengths */
    const struct ccz_recsys_titles *titles;   /**< of items, or NULL */
};

/* ---------------------------------------------------------------------------------------- writing */

struct ccz_recsys_bundle_write {
    struct ccz_recsys_manifest manifest; /**< sha256, users, items, ratings, mean are not read */
    struct ccz_recsys_contents contents;
    const struct ccz_key *signer; /**< P-256, private half */
    struct ccz_span cert;         /**< DER certificate of that key */
    const struct ccz_secret *key; /**< CCZ_PF_KEY_SIZE bytes */
};
/**
 * Makes the folder @p dir, which must not exist; it appears by rename when all of it is on the disk.
 * @param[out] sha256  of the manifest; may be NULL
 * @retval CCZ_E_ARG       recsys:name, recsys:version, recsys:key-version, recsys:metric, recsys:signer (no P-256 key, or not that of
 *                         the certificate), recsys:contents (lengths that do not fit each other)
 * @retval CCZ_E_EXISTS    recsys:bundle-dir
 * @retval CCZ_E_IO, CCZ_E_NOMEM, CCZ_E_LIMIT (recsys:bundle-size), and those of pf.h
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_bundle_save(uint8_t sha256[32], const char *dir,
                                                   const struct ccz_recsys_bundle_write *w,
                                                   struct ccz_err *err);

/* ---------------------------------------------------------------------------------------- reading */

/** Says whether the holder of the key in @p cert may have trained a model: evidence, policy. The signature is checked by
 *  the reader itself. */
typedef ccz_rc (*ccz_recsys_trainer_fn)(void *arg, struct ccz_span cert, struct ccz_err *err);

struct ccz_recsys_order;
/** Zeroed: nothing is accepted. */
struct ccz_recsys_bundle_cfg {
    ccz_recsys_trainer_fn trainer; /**< required but for any_trainer_insecure */
    void *arg;
    bool any_trainer_insecure; /**< whoever has the key of the bundle may have written it */
    uint32_t
        key_version; /**< of the key that opens it: the latest that the KMS has. Required but for .. */
    bool
        any_key_version_insecure; /**< a bundle whose key is in no KMS: older ones are accepted as well */
    const char *name;             /**< of the model; NULL: any */
    uint64_t version_min;         /**< models older than this one are refused; 0: none */
    const uint8_t *
        data_sha256; /**< 32 bytes: of the file of ratings that it must have been trained on; NULL: any */
    const char *trainer_kind; /**< program that must have trained it: "cczoo", "spark"; NULL: any */
    const struct ccz_recsys_order
        *order; /**< that it must fulfil (recsys_order.h); NULL: any, and none at all */
};
struct ccz_recsys_bundle;
/**
 * The key that a folder says it needs, before it can be opened. Not authentic: who lies here has a bundle that does not open.
 * @param[out] key      "" if it is in no KMS
 * @retval CCZ_E_IO, CCZ_E_FORMAT  recsys:bundle-key
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_bundle_key(char key[8 + CCZ_RECSYS_NAME_SIZE],
                                                  uint32_t *version, const char *dir,
                                                  struct ccz_err *err);
/**
 * Reads and checks all of it. Order: version of the key, signature, trainer, name and versions, digest of each file, contents.
 * Nothing of a file is believed before its digest was compared with the manifest, nor of the manifest before its signature.
 * @param[out] out  ccz_recsys_bundle_free()
 * @param key       not kept
 * @retval CCZ_E_ARG         recsys:trainer-hook, recsys:key-version: @p cfg says neither what is required nor that it is not
 * @retval CCZ_E_POLICY      recsys:rolled-back: older key or older model than asked for; recsys:model-name; recsys:data: other ratings;
 *                           recsys:trainer-kind: another program; recsys:order: another order or none; recsys:titles, recsys:model-key,
 *                           recsys:parent, recsys:parameters: not what the order says
 * @retval CCZ_E_SIG         recsys:signature; recsys:digest with the file; pf:... of a changed file or another key
 * @retval CCZ_E_MISMATCH    recsys:contents: files that do not fit each other
 * @retval CCZ_E_FORMAT      recsys:manifest, recsys:signature-file, recsys:seen, recsys:factors, and those of ids and titles
 * @retval CCZ_E_NOT_FOUND   recsys:bundle-file: one is missing   @retval CCZ_E_LIMIT recsys:bundle-size
 * @retval others            of `trainer`
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_bundle_open(struct ccz_recsys_bundle **out, const char *dir,
                                                   const struct ccz_secret *key,
                                                   const struct ccz_recsys_bundle_cfg *cfg,
                                                   struct ccz_err *err);
/** The protected files of a folder, opened: what ccz_recsys_bundle_read() and ccz_model_load() read. One thread at a time. */
struct ccz_recsys_folder;
/** @param key_version  as in struct ccz_recsys_bundle_cfg; 0 = not looked at  @retval as ccz_recsys_bundle_open() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_folder_open(struct ccz_recsys_folder **out, const char *dir,
                                                   const struct ccz_secret *key,
                                                   uint32_t key_version, struct ccz_err *err);
CCZ_API const struct ccz_model_cfg *ccz_recsys_folder_files(const struct ccz_recsys_folder *f);
CCZ_API void ccz_recsys_folder_free(struct ccz_recsys_folder *f); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_folder)
/** The same from decrypted files, wherever they come from. @param files  of it files, files_len, read_at and arg are used */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_bundle_read(struct ccz_recsys_bundle **out,
                                                   const struct ccz_model_cfg *files,
                                                   const struct ccz_recsys_bundle_cfg *cfg,
                                                   struct ccz_err *err);
CCZ_API void ccz_recsys_bundle_free(struct ccz_recsys_bundle *b); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_recsys_bundle)
/** As long as the bundle. */
CCZ_API const struct ccz_recsys_manifest *
ccz_recsys_bundle_manifest(const struct ccz_recsys_bundle *b);
CCZ_API const struct ccz_recsys_contents *
ccz_recsys_bundle_contents(const struct ccz_recsys_bundle *b);
/** DER certificate of the trainer. */
CCZ_API struct ccz_span ccz_recsys_bundle_cert(const struct ccz_recsys_bundle *b);
/** Path that a file of a bundle is bound to (pf.h), whatever the folder is called. */
#define CCZ_RECSYS_BUNDLE_BOUND "recsys-bundle/"
/** The manifest as JSON, appended: for people and programs. */
CCZ_API void ccz_recsys_manifest_put(struct ccz_buf *out, const struct ccz_recsys_manifest *m);

/* ----------------------------------------------------------------------------------------- serving */

/** All but `bundle` may be zero. */
struct ccz_recsys_engine_cfg {
    struct ccz_recsys_bundle_cfg bundle; /**< what ccz_model_load() of this engine accepts */
    unsigned threads;                    /**< of one request; 0 = 1 */
    bool
        oblivious; /**< as struct ccz_recsys_ask; popularity is not hidden, it is the same for all */
    uint64_t *version; /**< set to the version of each model that is loaded; NULL: nobody is told */
    uint8_t *
        sha256; /**< set to the 32 bytes of the digest of its manifest, which tells two of one version apart; NULL: nobody is told */
};
/**
 * The engine "als": models are bundles, files of ccz_model_cfg are those of a folder, decrypted. Ids are INT64 or STRING, as
 * the dictionaries are; k: 1 .. CCZ_RECSYS_K_MAX, of any shape with one value, 10 if left out; `exclude` [n, m] or [1, m] are
 * items that the user does not get, unknown ones are passed over. Lists [n, k] end early in id -1 or "" with the lowest float.
 *
 *   signature              inputs                                      outputs            unknown user
 *   serving_default        user_id [n], k, exclude                     item_ids, scores   NOT_FOUND
 *   recommend_or_popular   user_id [n], k, exclude                     and known BOOL [n] gets what is popular
 *   fold_in                rated_items [n, m], ratings [n, m], k, exclude  item_ids, scores   -
 *   similar_items          item_id [n], k                              item_ids, scores   NOT_FOUND
 *
 * fold_in: items that the model does not know are passed over (so that -1 and "" fill up rows); who has rated none that it
 * knows is NOT_FOUND. `ratings` left out: each counts as 1.
 * @param cfg  borrowed until the engine is freed
 * @retval CCZ_E_ARG, CCZ_E_NOMEM  as ccz_engine_custom()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_recsys_engine(struct ccz_engine **out,
                                              const struct ccz_recsys_engine_cfg *cfg,
                                              struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
