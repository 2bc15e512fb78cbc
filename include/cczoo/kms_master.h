/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_MASTER_H
#define CCZ_KMS_MASTER_H
/**
 * @file kms_master.h
 * What the store of a KMS cannot keep in itself: its master key, and a counter that tells an older copy of it.
 *
 * Master key. Always 32 random bytes of our own, which a *provider* keeps. What it stores is the *wrapped key*, a file
 * in the state folder (but for "file", where it is the key):
 *
 *   file:PATH, PATH     the key itself, mode 0600 (default: DIR/master.key). Whoever has it and the database has all.
 *   pkcs11:URI          wrapped by a key that never leaves a PKCS#11 token: AES-GCM, or RSA-OAEP where the URI says
 *                       type=private. An AES-256 key that is not there is made, so that it cannot be extracted.
 *   tee:mrenclave       sealed to this very program under a key that the TEE derives from its measurement. Another build
 *                       cannot open it: before an update, ccz_kms_rekey() to something else.
 *   tee:mrsigner        sealed to all programs of the same signer (SGX). Who can sign can open.
 *   shamir:K/N          split into N shares, K of which give it back and K - 1 of which tell nothing; stored is only what
 *                       tells a wrong share. shamir: (to open) takes the numbers from there.
 *
 * A provider is always named by who starts the program, nothing in the state folder chooses one: a folder that somebody
 * else can write could choose a module to load. A store whose key is kept by another provider is refused, never tried.
 *
 * PKCS#11 URIs (RFC 7512), of which this much is understood; everything else is refused:
 *   pkcs11:token=LABEL;object=LABEL?module-path=/abs/module.so&pin-source=/abs/file
 * `pin-source` is a path or "file:PATH" of a file of mode 0600, or "fd:N", an open descriptor that is read and closed; a
 * newline at its end is dropped. `pin-value` is refused, since command lines are public. Also `type=secret-key` (AES, the
 * default) or `type=private` (an RSA pair; both halves are found by `object`), and for RSA `oaep=sha1` (a query attribute of
 * ours) for tokens that know no other hash; the default is sha256. Percent-encoding is undone.
 *
 * Epoch. A counter outside of the store holds (audit seq, hash of that line), authenticated under the master key. A
 * store that is older than it (`kms:rolled-back`), or whose line of that number is another one (`kms:forked`), is
 * refused. Kinds:
 *   file:PATH    a file on another disk than the state folder, mode 0600, replaced and synced at each advance. Somebody
 *                who can put back both disks is not noticed.
 *   pkcs11:URI   a private data object of the token, found by `object`.
 * The counter follows the commit: `lag_s` 0, it is advanced before a commit is acknowledged; otherwise at most so many
 * seconds later, which is the window that a rolled-back store can hide in. If it cannot be advanced, no call is
 * acknowledged until it can. A crash between commit and advance leaves a store that is newer, which is fine.
 *
 * Reading order of the sources: shamir.c, master.c, master_tee.c, p11_uri.c, p11.c, master_p11.c, master_shamir.c,
 * epoch.c, epoch_past.c, epoch_file.c, epoch_p11.c, rekey.c, sealed.c. Design: docs/design/kms-seal.md.
 */
#include <cczoo/rpc.h>
#include <cczoo/tee.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_kms_store;

/* ------------------------------------------------------------------------------- master key */

#define CCZ_KMS_SHARES_MAX     64  /**< N of shamir:K/N; K is 2..N */
#define CCZ_KMS_SHARE_SIZE_MAX 128 /**< of a share as text, with its NUL */

struct ccz_kms_master;
struct ccz_kms_master_cfg {
    const char *spec; /**< as above; NULL = DIR/master.key */
    const char *dir;  /**< state folder */
    /** tee: whose sealing key is used; borrowed, outlives the object. */
    struct ccz_attester *attester;
    /** shamir:K/N, for making one: folder that gets the shares, DIR/share-1.txt .. of mode 0600; made if it does not
     *  exist. None is overwritten. */
    const char *shares_dir;
};
/**
 * Opens a provider: loads the module and logs in, asks the TEE for its key. Reads no wrapped key yet.
 * @retval CCZ_E_ARG          "kms:master-spec": not one of the above, or without what it needs
 * @retval CCZ_E_UNSUPPORTED  "tee:seal": this TEE has no sealing key; "kms:p11-mechanism"
 * @retval CCZ_E_UNAVAILABLE  "kms:p11-module", "kms:p11": the module or the token does not work
 * @retval CCZ_E_NOT_FOUND    "kms:p11-token", "kms:p11-object"
 * @retval CCZ_E_DENIED       "kms:p11-pin"; "kms:p11-extractable": the wrapping key could be taken out of the token
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_master_open(struct ccz_kms_master **out,
                                                const struct ccz_kms_master_cfg *cfg,
                                                struct ccz_err *err);
CCZ_API void ccz_kms_master_free(struct ccz_kms_master *m); /**< wipes; NULL is fine */
CCZ_DEFINE_AUTO(ccz_kms_master)
/** "file", "pkcs11", "tee" or "shamir" */
CCZ_API const char *ccz_kms_master_name(const struct ccz_kms_master *m);

/** How far a shared key is together. */
struct ccz_kms_shares {
    uint32_t given, needed, total;
    bool sealed; /**< shares are missing; always false for other providers */
};
/** Any thread. Before a share is given or the key is used, the numbers are read from the wrapped key.
 *  @retval those of a wrapped key that is not there or damaged (ccz_kms_store_open()) */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_master_shares(struct ccz_kms_shares *out,
                                                  struct ccz_kms_master *m, struct ccz_err *err);
/**
 * Gives one share. It is kept, in a ccz_secret, until the key is put together, and then wiped. A share that was given already
 * changes nothing. Any thread.
 * @param[out] out  may be NULL
 * @param text      "cczs1-SET-K-N-I-HEX-CHECKSUM", white space around it is ignored; untrusted
 * @retval CCZ_E_FORMAT    "kms:share": not a share, or mistyped (its checksum says so)
 * @retval CCZ_E_MISMATCH  "kms:share-set": of another set
 * @retval CCZ_E_SIG       "kms:share-wrong": share I is not what was handed out; which part of it, nobody learns
 * @retval CCZ_E_ARG       "kms:share-none": this master key is not shared
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_master_give(struct ccz_kms_shares *out,
                                                struct ccz_kms_master *m, struct ccz_span text,
                                                struct ccz_err *err);

/**
 * A new master key for an open store: every row gets a new MAC, every value's key a new wrap, in one transaction with
 * its audit line; after it the old master key opens nothing. A crash leaves the store under exactly one of the two, and
 * both can be opened: the new wrapped key is on disk as FILE.next before the commit and takes its name after it, also when
 * a store is opened that finds it so. What had the name before is kept as FILE.old, since backups need it: destroy it
 * with them.
 * @param to  provider of the new key; may keep it in the same place as the old one
 * @retval CCZ_E_SIG          "kms:row-set" and the others of ccz_kms_store_check(), which runs in the same transaction
 * @retval CCZ_E_UNAVAILABLE  "kms:rekey-unknown" no answer to the commit, and the database is away: both keys and both MACs of
 *                            the counter are kept until the next ccz_kms_store_open() sees which it is
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_rekey(struct ccz_kms_store *s, struct ccz_kms_master *to,
                                          int64_t now_s, struct ccz_err *err);

/* ------------------------------------------------------------------------------------ epoch */

#define CCZ_KMS_EPOCH_LAG_MAX_S 3600

struct ccz_kms_epoch;
struct ccz_kms_epoch_cfg {
    const char *spec; /**< required */
    const char *dir;  /**< state folder: a counter in it would go back with it, and is refused */
    uint32_t lag_s;   /**< 0 = every commit; at most CCZ_KMS_EPOCH_LAG_MAX_S */
    /** Take the store as it is where the counter is not there (or is of another master key). Weakens the check once: for the
     *  operator, who then calls ccz_kms_epoch_accept(). */
    bool accept_lost;
    /** The same where the store is older than the counter or has another line: a backup was put back on purpose. */
    bool accept_rolled_back;
    bool read_only; /**< compare only: for who looks at a store beside its server */
};
/**
 * Does not read the counter yet. Used by one store at a time; ccz_kms_store_open() compares, and every commit advances.
 * @retval CCZ_E_ARG  "kms:epoch-spec", "kms:epoch-lag"; "kms:epoch-place": inside the state folder
 * @retval those of a token, as ccz_kms_master_open()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_epoch_open(struct ccz_kms_epoch **out,
                                               const struct ccz_kms_epoch_cfg *cfg,
                                               struct ccz_err *err);
/** Advances what is due, then frees; after the store. NULL is fine. */
CCZ_API void ccz_kms_epoch_free(struct ccz_kms_epoch *e);
CCZ_DEFINE_AUTO(ccz_kms_epoch)
/**
 * Starts the counter for the store as it is now, with an audit line that says why. Without accept_lost or accept_rolled_back
 * (or where there was nothing to accept) does nothing.
 * @param[out] what  "nothing", "lost" or "rolled-back"; static; may be NULL
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_epoch_accept(const char **what, struct ccz_kms_store *s,
                                                 int64_t now_s, struct ccz_err *err);

/* ----------------------------------------------------------------------------------- sealed */

/**
 * A KMS that waits for shares: answers Unseal and refuses every other method with "kms:sealed". Whoever reaches it may give
 * a share; shares that are not of the set are refused and change nothing, so nobody can be in the way of those who hold
 * them. Calls have a rate: CCZ_KMS_UNSEAL_RATE a second from one address, CCZ_KMS_UNSEAL_TOTAL_RATE in all, at once so many as there may
 * be shares, and four times that (refusals as of struct ccz_kms_rates). Add a health service to the server, as not serving.
 */
#define CCZ_KMS_UNSEAL_RATE       2
#define CCZ_KMS_UNSEAL_TOTAL_RATE 50
struct ccz_kms_sealed;
/** @param done  called once, on a thread of the server, when the last share that was needed came; may be NULL */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_sealed_new(struct ccz_kms_sealed **out,
                                               struct ccz_kms_master *m, void (*done)(void *arg),
                                               void *arg, struct ccz_err *err);
CCZ_API void ccz_kms_sealed_free(struct ccz_kms_sealed *s); /**< after the server */
CCZ_DEFINE_AUTO(ccz_kms_sealed)
/** Registers every method; before ccz_rpc_server_start(). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_sealed_add(struct ccz_kms_sealed *s,
                                               struct ccz_rpc_server *server);
/** ccz_ratls_pin_fn: admits every key. What it may do is give shares. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_sealed_pin(void *arg, struct ccz_span spki,
                                               struct ccz_err *err);
/** ccz_rpc_server_cfg.admit with a struct ccz_kms_sealed as its arg: new connections of one address have a rate, too. */
CCZ_API bool ccz_kms_sealed_admit(void *sealed, const char *address);
/**
 * Client: gives a share to a KMS whose evidence its RPC client has judged, or (@p share NULL) asks how many there are.
 * @retval CCZ_E_UNSUPPORTED  it is not sealed any more (the status of a method that is not there)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_unseal(struct ccz_kms_shares *out, struct ccz_rpc_client *c,
                                           const struct ccz_secret *share, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
