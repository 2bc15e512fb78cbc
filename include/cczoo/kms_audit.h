/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_AUDIT_H
#define CCZ_KMS_AUDIT_H
/**
 * @file kms_audit.h
 * The audit log of a KMS for those who do not trust its disk: a Merkle tree over the lines, signed checkpoints, receipts, and an export
 * that anybody can verify without the KMS.
 *
 * Terms. A *leaf* is one audit line (struct ccz_kms_audit_line): its data are the bytes that the hash chain hashes, prev || le64 seq ||
 * le64 time_s || entry. Leaf seq has index seq - 1. The *root* of the first n lines is the Merkle Tree Hash of RFC 9162, 2.1.1, with
 * SHA-256. A *checkpoint* is a signed statement "the log ORIGIN had SIZE lines with this ROOT at that TIME". A *receipt* proves that one
 * line is among the lines of a checkpoint. Two checkpoints are *consistent* if the lines of the smaller one are the first lines of the
 * other.
 *
 * What each finds: the chain a line that was changed or is missing; the checkpoint a log that was written anew as a whole by somebody
 * without the signing key; a receipt or an older checkpoint kept elsewhere a log that was rolled back or is shown differently to
 * different people.
 *
 * Everything here is a pure function of its input and thread-safe; nothing is secret. Reading order of the sources: tree.c,
 * checkpoint.c, receipt.c, log.c, signer.c, consistency.c, client_audit.c. Design: docs/design/kms-audit.md. @source RFC 9162, 2.1; the texts of checkpoints follow C2SP
 * signed-note and tlog-checkpoint.
 */
#include <cczoo/crypto.h>
#include <cczoo/kms.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---------------------------------------------------------------------------- tree */

#define CCZ_KMS_TREE_SIZE_MAX ((uint64_t)1 << 48) /**< lines of one log */
#define CCZ_KMS_PATH_MAX      49                  /**< hashes of the longest proof of such a log */

/** A proof: hashes from the leaf's end upwards, as RFC 9162 orders them. */
struct ccz_kms_path {
    size_t len; /**< 0..CCZ_KMS_PATH_MAX */
    uint8_t node[CCZ_KMS_PATH_MAX][32];
};
/** SHA-256(0x00 || data of the leaf). The line's own hash is not looked at: ccz_kms_audit_check() does that. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_leaf_hash(uint8_t out[32],
                                              const struct ccz_kms_audit_line *line);
/**
 * Is @p leaf number @p index (from 0) of the @p size leaves under @p root?
 * @retval CCZ_E_SIG  "kms:inclusion": no. Also an index that is not below the size, a size above the maximum, a path of another length
 * @source RFC 9162, 2.1.3.2
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_inclusion_check(uint64_t index, uint64_t size,
                                                    const uint8_t leaf[32],
                                                    const struct ccz_kms_path *path,
                                                    const uint8_t root[32], struct ccz_err *err);
/**
 * Are the @p old_size leaves under @p old_root the first of the @p size leaves under @p root? Everything continues the empty tree.
 * @retval CCZ_E_SIG  "kms:consistency": no; also for sizes and paths that cannot be
 * @source RFC 9162, 2.1.4.2
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_consistency_check(uint64_t old_size, uint64_t size,
                                                      const uint8_t old_root[32],
                                                      const uint8_t root[32],
                                                      const struct ccz_kms_path *path,
                                                      struct ccz_err *err);

/* ---------------------------------------------------------------------- checkpoint */

#define CCZ_KMS_ORIGIN_SIZE         64  /**< with NUL */
#define CCZ_KMS_CHECKPOINT_SIZE_MAX 512 /**< of its text */

/**
 * A checkpoint. Its text, each line ended by LF:
 *
 *     cczoo.kms/audit/<32 hex digits: the first half of the hash of line 1>
 *     <size, decimal>
 *     <root, base64>
 *     time <YYYY-MM-DDThh:mm:ssZ>
 *     <empty>
 *     (U+2014) <origin> <base64 of key id (32 bytes) || r || s>
 *
 * The signature is ES256 (ECDSA, P-256, SHA-256) over the first four lines with their LF.
 */
struct ccz_kms_checkpoint {
    char origin[CCZ_KMS_ORIGIN_SIZE]; /**< which log: 1..63 of [A-Za-z0-9./_-] */
    uint64_t size;                    /**< lines covered, 1..CCZ_KMS_TREE_SIZE_MAX */
    uint8_t root[32];
    int64_t time_s;     /**< when it was signed, by the clock of the KMS */
    uint8_t key_id[32]; /**< ccz_kms_key_id() of the key */
    uint8_t sig[64];    /**< r || s */
};
/** RFC 7638 thumbprint (SHA-256) of a P-256 key. @retval CCZ_E_UNSUPPORTED  another curve */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_key_id(uint8_t out[32], const struct ccz_key *key);
/** The origin of a log, from the hash of its first line. */
CCZ_API void ccz_kms_origin(char out[CCZ_KMS_ORIGIN_SIZE], const uint8_t first_hash[32]);
/** Appends the text. */
CCZ_API void ccz_kms_checkpoint_put(struct ccz_buf *out, const struct ccz_kms_checkpoint *c);
/** Reads a text; each checkpoint has exactly one. The signature is not verified.
 *  @retval CCZ_E_FORMAT  "kms:checkpoint", aux = line that is wrong */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_checkpoint_parse(struct ccz_kms_checkpoint *out,
                                                     struct ccz_span text, struct ccz_err *err);
/**
 * Verifies the signature by one of @p keys, the one that the checkpoint names.
 * @retval CCZ_E_SIG  "kms:checkpoint-key" none of them; "kms:checkpoint-signature"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_checkpoint_check(const struct ccz_kms_checkpoint *c,
                                                     const struct ccz_key *const *keys, size_t len,
                                                     struct ccz_err *err);

/* ------------------------------------------------------------------------- receipt */

#define CCZ_KMS_INCLUSION_SIZE_MAX 4096 /**< of its text */

/** A receipt. Its text is one line of JSON: {"seq":N,"leaf":"<hex>","path":["<hex>",...],"checkpoint":"<text>"} */
struct ccz_kms_inclusion {
    uint64_t seq; /**< of the audit line, from 1 */
    uint8_t leaf[32];
    struct ccz_kms_path path;
    struct ccz_kms_checkpoint checkpoint;
};
/** Appends the text, without LF. */
CCZ_API void ccz_kms_inclusion_put(struct ccz_buf *out, const struct ccz_kms_inclusion *r);
/** Reads a text (without LF); each receipt has exactly one. Nothing is verified.
 *  @retval CCZ_E_FORMAT  "kms:receipt", and those of ccz_kms_checkpoint_parse() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_inclusion_parse(struct ccz_kms_inclusion *out,
                                                    struct ccz_span text, struct ccz_err *err);
/** Verifies path and signature: some line with that leaf is line `seq` of the log that the owner of one of @p keys signed.
 *  @retval CCZ_E_SIG  as ccz_kms_inclusion_check() and ccz_kms_checkpoint_check() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_inclusion_verify(const struct ccz_kms_inclusion *r,
                                                     const struct ccz_key *const *keys, size_t len,
                                                     struct ccz_err *err);

/* -------------------------------------------------------------------------- export */

/*
 * An export is a text file of records, one JSON object a line, each written in exactly one way:
 *
 *     {"cczoo_kms_audit":1,"origin":"cczoo.kms/audit/..","keys":[{"id":"<hex>","spki":"<base64>"},..]}     once, first
 *     {"seq":1,"time":<seconds>,"prev":"<hex>","hash":"<hex>","entry":{..}}                               every line from 1 on
 *     {"checkpoint":"<text>"}                                                       one or more, sizes never falling
 *
 * The last checkpoint covers every line.
 */
#define CCZ_KMS_LOG_KEYS_MAX        64    /**< keys that ever sign one log */
#define CCZ_KMS_AUDIT_KEY_AGE_S     86400 /**< a key signs for so long at least */
#define CCZ_KMS_LOG_RECORD_SIZE_MAX 131072

/** Appends the first record. @retval CCZ_E_ARG  no key, or too many  @retval CCZ_E_UNSUPPORTED  another curve than P-256 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_put_header(struct ccz_buf *out, const char *origin,
                                                   const struct ccz_key *const *keys, size_t len);
/** Appends the record of a line. */
CCZ_API void ccz_kms_log_put_line(struct ccz_buf *out, const struct ccz_kms_audit_line *line);
/** Appends the record of a checkpoint. */
CCZ_API void ccz_kms_log_put_checkpoint(struct ccz_buf *out, const struct ccz_kms_checkpoint *c);

/**
 * Reads and verifies an export, in pieces of any size; needs 32 bytes of memory a line. A log is good for queries once
 * ccz_kms_log_end() said so; after a refusal every later call is refused ("kms:export-refused"). One thread at a time.
 */
struct ccz_kms_log;
struct ccz_kms_log_cfg {
    /** Only these may have signed, and each key that one which may sign has signed as the one after it: a line
     *  {"op":"audit-key",..,"key":<id>,"by":<id of the older>,"signature":<r || s of the older, hex>} over "cczoo kms audit key" LF
     *  origin LF by LF key LF. The keys are borrowed while the log lives, the array is copied. At most CCZ_KMS_LOG_KEYS_MAX. */
    const struct ccz_key *const *keys;
    size_t
        keys_len; /**< 0 = the keys that the export itself brings: then it only shows that the export fits together */
    /**
     * Without @ref keys: a checkpoint of this log that was kept elsewhere; copied. Its key may sign, and so may each key that the export
     * brings and a line {"op":"audit-key",..} names, once a checkpoint by a key that may sign covers that line, or as above. NULL = none.
     */
    const struct ccz_kms_checkpoint *anchor;
};
/** @retval CCZ_E_LIMIT  "kms:export-keys"  @retval CCZ_E_ARG  "kms:export-keys": keys and an anchor */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_new(struct ccz_kms_log **out,
                                            const struct ccz_kms_log_cfg *cfg, struct ccz_err *err);
CCZ_API void ccz_kms_log_free(struct ccz_kms_log *log); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_kms_log)
/**
 * The next bytes of the file. Messages name the record (line of the file) and the audit line.
 * @retval CCZ_E_FORMAT  "kms:export-record" not a record, or not written the one way; "kms:export-header", "kms:export-order"
 * @retval CCZ_E_LIMIT   "kms:export-size": a record is too long
 * @retval CCZ_E_SIG     "kms:audit-chain" (aux = seq), "kms:checkpoint-size", "kms:checkpoint-order", "kms:checkpoint-origin",
 *                       "kms:checkpoint-root", and those of ccz_kms_checkpoint_check(); of the anchor also "kms:rolled-back", "kms:forked"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_put(struct ccz_kms_log *log, struct ccz_span piece,
                                            struct ccz_err *err);
/** The file is over. @retval CCZ_E_FORMAT "kms:export-end" in the middle of a record
 *  @retval CCZ_E_SIG  "kms:export-unsigned" lines that no checkpoint covers; "kms:checkpoint-key-unnamed" with an anchor: the export brings a
 *  key that nothing vouches for */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_end(struct ccz_kms_log *log, struct ccz_err *err);

CCZ_API uint64_t ccz_kms_log_lines(const struct ccz_kms_log *log);
CCZ_API uint64_t ccz_kms_log_checkpoints(const struct ccz_kms_log *log);
/** The last checkpoint, borrowed. */
CCZ_API const struct ccz_kms_checkpoint *ccz_kms_log_last(const struct ccz_kms_log *log);

/** The log continues an older export of the same log that was verified too.
 *  @retval CCZ_E_SIG  "kms:rolled-back" it has fewer lines; "kms:forked" aux = first line that differs */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_continues(const struct ccz_kms_log *log,
                                                  const struct ccz_kms_log *older,
                                                  struct ccz_err *err);
/** The log continues an older checkpoint, whose signature is verified with the keys of the log.
 *  @retval CCZ_E_SIG  "kms:rolled-back", "kms:forked", "kms:checkpoint-origin", and those of ccz_kms_checkpoint_check() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_includes(const struct ccz_kms_log *log,
                                                 const struct ccz_kms_checkpoint *c,
                                                 struct ccz_err *err);
/** A receipt holds, and its line is the one in this log.
 *  @retval CCZ_E_SIG  those of ccz_kms_inclusion_verify() and ccz_kms_log_includes() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_has(const struct ccz_kms_log *log,
                                            const struct ccz_kms_inclusion *r, struct ccz_err *err);
/** A receipt for line @p seq under the last checkpoint. @retval CCZ_E_NOT_FOUND  "kms:receipt-seq": there is no such line */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_prove(struct ccz_kms_inclusion *out,
                                              const struct ccz_kms_log *log, uint64_t seq,
                                              struct ccz_err *err);
/** Proof that the last checkpoint continues the first @p old_size lines: for who keeps checkpoints and not the log.
 *  @retval CCZ_E_ARG  @p old_size is above the number of lines */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_log_consistency(struct ccz_kms_path *out,
                                                    const struct ccz_kms_log *log,
                                                    uint64_t old_size, struct ccz_err *err);

/* -------------------------------------------------------------------------- client */

/**
 * Workload: as ccz_kms_release(), with the signed receipt of the release. Its path is checked; the caller keeps it, or verifies it at once
 * with a key it has from elsewhere (ccz_kms_inclusion_verify()).
 * @param[out] receipt  may be NULL
 * @retval CCZ_E_PEER  "kms:receipt": a KMS that gives none, or one for another line. The value is not handed out
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_release_receipt(struct ccz_secret **out,
                                                    struct ccz_kms_release *info,
                                                    struct ccz_kms_inclusion *receipt,
                                                    struct ccz_rpc_client *c, const char *item,
                                                    uint32_t version, struct ccz_err *err);

/**
 * Auditor: a checkpoint over everything that is on record now, and the public keys that ever signed checkpoints of this KMS, oldest
 * first. The signature is verified with them.
 * @param[out] keys  owned by the caller, the first @p len are set
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_get_checkpoint(struct ccz_kms_checkpoint *out,
                                                   struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX],
                                                   size_t *len, struct ccz_rpc_client *c,
                                                   struct ccz_err *err);

/**
 * Auditor: that the log of today continues the one of an older checkpoint, without reading it: asks for a checkpoint over
 * everything and a proof between the two, and checks both.
 * @param[out] now   the checkpoint of today
 * @param[out] path  the proof, for ccz_kms_consistency_check(); may be NULL
 * @param older      its signature is verified with the keys of the KMS, which the caller compares with what he knows
 * @param[out] keys  as ccz_kms_get_checkpoint()
 * @retval CCZ_E_SIG  "kms:consistency", "kms:rolled-back", "kms:checkpoint-origin" another log; those of ccz_kms_checkpoint_check()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_get_consistency(struct ccz_kms_checkpoint *now,
                                                    struct ccz_kms_path *path,
                                                    struct ccz_key *keys[CCZ_KMS_LOG_KEYS_MAX],
                                                    size_t *len, struct ccz_rpc_client *c,
                                                    const struct ccz_kms_checkpoint *older,
                                                    struct ccz_err *err);
/**
 * Operator of all: another key signs checkpoints and receipts from now on; the one before signs that, so that who knows it can
 * follow. @param[out] key  the new public key, owned by the caller. @param[out] receipt  may be NULL
 * @retval CCZ_E_DENIED "kms:audit-key-young" @retval CCZ_E_LIMIT "kms:audit-keys" CCZ_KMS_LOG_KEYS_MAX of them
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_rotate_audit_key(struct ccz_key **key,
                                                     struct ccz_kms_receipt *receipt,
                                                     struct ccz_rpc_client *c, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
