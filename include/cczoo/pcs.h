/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_PCS_H
#define CCZ_PCS_H
/**
 * @file pcs.h
 * Collateral: on disk, fetched from where it is published, and packed for machines without a network.
 *
 * Collateral on disk: a bundle is a directory whose files are PCS (or PCCS) answers, unchanged. A
 * bundle directory holds one bundle, or sub-directories that do, or both:
 *
 *   DIR/                                DIR/
 *     tcb_info.json                       00806f050000-tdx/tcb_info.json ..
 *     tcb_info_issuer_chain.pem           00906ed50000-sgx/tcb_info.json ..
 *     qe_identity.json
 *     qe_identity_issuer_chain.pem      issuer chains are PEM: the response headers,
 * percent-decoded pck_crl_issuer_chain.pem          optional, for quotes that carry no PCK
 * certificate: root_ca_crl.der                     pck_leaf.pem (PCK certificate),
 * pck_sign_chain.pem (its CA, root) pck_crl.der
 *
 * JSON must stay byte for byte as delivered, because that is what is signed. CRLs may be DER, PEM
 * or hex of DER, whatever the file's name says. A directory without tcb_info.json is no bundle and
 * is skipped; one with it must be complete and genuine, or nothing is loaded: a set that silently
 * lacks a platform would look like an attack later.
 *
 * Everything in a bundle is public and signed, so that its files need no protection beyond their
 * freshness: whoever can replace them can only hold back updates until the old ones expire.
 *
 * AMD's certificates lie beside the bundles, in snp-<product>-<vcek or vlek>/: ark.der, ask.der (ASK or ASVK),
 * crl.der and, for a VCEK, <chip id>-<reported TCB>.vek.der, both in hex.
 *
 * Names with a leading dot are the store's own: .lock (taken while a bundle is replaced, and shared while a set
 * is read), .fetch.lock (one fetching process at a time), .new-* and .old-* (a replacement in progress),
 * .revoked-* (a bundle whose signer was taken back by a newer revocation list: kept for the administrator to look at).
 *
 * Reading order of the sources: bundle.c (one directory), snp_bundle.c (AMD's), pcs.c (the set); upstream.c (back-off), part.c (one
 * document), intel.c, amd.c, store.c (the cache); ustar.c, install.c, archive.c, pccs.c (bundles as
 * one file).
 */
#include <cczoo/quote.h>
#include <cczoo/snp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_PCS_LEN_MAX  256 /**< bundles in a set */
#define CCZ_PCS_NAME_MAX 128 /**< bytes of the name of a sub-directory */

/** A set of collateral, at most one per platform. Immutable, shareable between threads. */
struct ccz_pcs;
/**
 * Loads a bundle directory and the ones directly below it (names with a leading dot are skipped).
 * @param roots  what each bundle's chains must end in
 * @retval CCZ_E_NOT_FOUND  "pcs:empty": no bundle there
 * @retval CCZ_E_EXISTS     "pcs:duplicate": two bundles for one platform
 * @retval CCZ_E_LIMIT      "pcs:len", "pcs:name"
 * @retval CCZ_E_IO         "pcs:dir" or "file:read"
 * @return otherwise what ccz_collateral_new() says, with the bundle's name in err->msg
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_load(struct ccz_pcs **out, const char *dir,
                                         const struct ccz_roots *roots, struct ccz_err *err);
/**
 * As ccz_pcs_load(), for AMD's bundles, too. One is a directory with the certificates of one product line and kind
 * of VEK: ark.der, ask.der or asvk.der (or .pem), optionally crl.der (or .pem) of the ARK, and any number of VEKs:
 * vcek.der, vlek.der, *.vek.der. It must be genuine as a whole, as Intel's must.
 * @param intel, amd  what bundles must end in; NULL = bundles of that vendor are skipped
 * @retval CCZ_E_NOT_FOUND  also "pcs:incomplete": an ARK without ASK or ASVK
 * @retval CCZ_E_FORMAT     also "pcs:snp-files": an empty file
 * @retval CCZ_E_EXISTS     also "pcs:duplicate": two bundles for one product line and kind of VEK; "pcs:snp-files":
 *                          a part twice, in DER and PEM
 * @return otherwise as ccz_pcs_load(), or what ccz_snp_collateral_new() says
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_load_all(struct ccz_pcs **out, const char *dir,
                                             const struct ccz_roots *intel,
                                             const struct ccz_snp_roots *amd, struct ccz_err *err);
CCZ_API void ccz_pcs_free(struct ccz_pcs *p); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_pcs)

struct ccz_pcs_entry {
    const char *name; /**< of the sub-directory, "." for the directory itself; borrowed */
    const struct ccz_collateral *collateral; /**< borrowed from the set */
};
CCZ_API size_t ccz_pcs_len(const struct ccz_pcs *p); /**< NULL has none */
/** @param i  below ccz_pcs_len(), in the order of names */
CCZ_API struct ccz_pcs_entry ccz_pcs_at(const struct ccz_pcs *p, size_t i);
/** Collateral for @p platform, borrowed; NULL if there is none. */
CCZ_API const struct ccz_collateral *ccz_pcs_find(const struct ccz_pcs *p,
                                                  const struct ccz_platform *platform);
/** The only collateral for @p tee, borrowed; NULL if there is none or more than one. */
CCZ_API const struct ccz_collateral *ccz_pcs_find_only(const struct ccz_pcs *p, enum ccz_tee tee);

/** AMD's bundles in the set, in the order of names. */
struct ccz_pcs_snp_entry {
    const char *name;                            /**< borrowed */
    const struct ccz_snp_collateral *collateral; /**< borrowed from the set */
};
CCZ_API size_t ccz_pcs_snp_len(const struct ccz_pcs *p); /**< NULL has none */
CCZ_API struct ccz_pcs_snp_entry ccz_pcs_snp_at(const struct ccz_pcs *p, size_t i);

/** Earliest expiry in the set, seconds since 1970 UTC; INT64_MAX if empty. */
CCZ_API int64_t ccz_pcs_expires(const struct ccz_pcs *p);
/**
 * Expiry report: a JSON array with one object per bundle:
 * {"name", "tee", "fmspc", "issued", "expires", "seconds_left", "expired", "simulated"};
 * seconds_left is negative once expired. AMD's have "product", "signer" and "crl" (a revocation list is there) in
 * place of "fmspc", and no "issued" (null) without a revocation list.
 */
CCZ_API void ccz_pcs_report(struct ccz_buf *out, const struct ccz_pcs *p, int64_t now_s);

/* ------------------------------------------------------------------------------- fetching */

#define CCZ_PCS_INTEL_URL "https://api.trustedservices.intel.com"
#define CCZ_PCS_INTEL_ROOT_CRL_URL                                                                 \
    "https://certificates.trustedservices.intel.com/IntelSGXRootCA.der"
#define CCZ_PCS_AMD_URL          "https://kdsintf.amd.com"
#define CCZ_PCS_ANSWER_SIZE_MAX  CCZ_COLLATERAL_SIZE_MAX /**< of a body */
#define CCZ_PCS_HEADERS_SIZE_MAX ((size_t)64 << 10)

/**
 * One HTTP GET, injected: this module has no network. ccz_http_get() of net.h fits behind it.
 * Called by one thread at a time, which it may block.
 */
struct ccz_pcs_getter {
    /**
     * @param[out] status   any HTTP status
     * @param[out] body     at most body->max_size bytes, else fails with CCZ_E_LIMIT
     * @param[out] headers  lines "Name: value\n"
     * @return CCZ_OK if a whole answer came
     */
    ccz_rc (*get)(void *arg, unsigned *status, struct ccz_buf *body, struct ccz_buf *headers,
                  const char *url, struct ccz_err *err);
    void *arg;
};

/** After a TCB recovery Intel publishes twice: "early" at once, "standard" when platforms had time to update. */
enum ccz_pcs_update { CCZ_PCS_STANDARD = 0, CCZ_PCS_EARLY };
/** An Intel platform whose collateral is wanted. */
struct ccz_pcs_want {
    enum ccz_tee tee; /**< SGX or TDX */
    uint8_t fmspc[6];
    enum ccz_pck_ca ca;
};
/**
 * What is needed to verify @p quote. Only a quote whose PCK chain and QE report hold under @p roots is heard:
 * nobody else makes us ask a server.
 * @retval CCZ_E_UNSUPPORTED  quote:pck-missing: certification types 1-3
 * @return otherwise a refusal of quote.h; "pcs:pck-ca": issued by neither of the two CAs
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_want_quote(struct ccz_pcs_want *out, struct ccz_span quote,
                                               const struct ccz_roots *roots, struct ccz_err *err);
/** An AMD chip (or, for a VLEK, product line) whose certificates are wanted. */
struct ccz_pcs_want_amd {
    const char *product; /**< "Milan", "Genoa" or "Turin" */
    bool vlek;           /**< chain and CRL only: a VLEK comes with the evidence */
    uint8_t chip_id[64]; /**< as in the report */
    uint8_t tcb[8];      /**< REPORTED_TCB as in the report */
    bool chain_only;     /**< not the VCEK: the evidence carries it */
};
/**
 * What is needed to verify an SNP report, with or without certificate table. A report says nothing that could be
 * verified before its VCEK is there: only its form is checked, and that asking makes sense.
 * @retval CCZ_E_UNSUPPORTED  pcs:snp-product: version 2, and no VEK certificate that names the product line; pcs:snp-chip:
 *                            the host masks the chip id; pcs:snp-vlek: a VLEK that did not come with the report
 * @return otherwise as ccz_snp_report_parse()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_want_report(struct ccz_pcs_want_amd *out,
                                                struct ccz_span evidence, struct ccz_err *err);

/**
 * A bundle directory that is kept filled. What is stored is reused until it is due: at its max-age, after
 * reuse_max_s, or some days before it expires, whichever comes first, less some jitter. What is valid stays in
 * use when refreshing fails; what has expired is never used (verification sees to that anyway). Nothing is stored
 * before it has been verified under the roots, nothing that is older than what is there, and a bundle is replaced
 * as a whole or not at all. VCEKs do not change and are kept for ever.
 *
 * Upstream sees one request at a time, per process and per directory; callers that want the same wait and share
 * the answer, or the failure. 404 is remembered for an hour; 429 and 503 stop all requests to that server for as long
 * as Retry-After says (at most an hour), other failures for a time that doubles from 5 s to 15 min.
 *
 * Any thread. Fetching blocks: daemons call from a thread that may wait.
 */
struct ccz_pcs_store;
struct ccz_pcs_store_cfg {
    const char *dir;                       /**< required; made if it is not there */
    const struct ccz_roots *roots;         /**< required; copied */
    const struct ccz_snp_roots *snp_roots; /**< copied; NULL = nothing of AMD's is accepted */
    struct ccz_clock clock;                /**< required */
    struct ccz_pcs_getter getter;          /**< get NULL = offline: only what is there */
    const char *
        intel_url; /**< base of a PCCS, e.g. "https://pccs:8081"; "/sgx/certification/v4/" behind it is
                                 fine; NULL = Intel PCS */
    const char *root_crl_url; /**< NULL = Intel's, or the PCCS's */
    const char *amd_url;      /**< NULL = AMD KDS */
    enum ccz_pcs_update update;
    uint32_t
        tcb_eval_number; /**< a certain TCB evaluation data number instead of `update`; 0 = no */
    /** Ask for the PCK certificate of quotes that carry none (types 2, 3). Such a quote cannot be verified before
     *  somebody was asked: for quotes from a known origin. */
    bool fetch_pck;
    int64_t reuse_max_s; /**< 0 = 1 day */
    int64_t wait_max_s;  /**< how long one call may wait for a server's leave; 0 = not at all */
    void (*sleep_ms)(void *arg, int64_t ms); /**< required with wait_max_s */
    void *sleep_arg;
    ccz_rc (*random)(void *out, size_t size); /**< for jitter; NULL = ccz_random() */
};
/** @retval CCZ_E_ARG  pcs:config, pcs:url   @return otherwise as ccz_dir_make(), ccz_pcs_load() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_store_new(struct ccz_pcs_store **out,
                                              const struct ccz_pcs_store_cfg *cfg,
                                              struct ccz_err *err);
CCZ_API void
ccz_pcs_store_free(struct ccz_pcs_store *s); /**< no call may be in progress; NULL is fine */
CCZ_DEFINE_AUTO(ccz_pcs_store)
/**
 * Sees to it that the directory holds valid collateral for @p want; fetches what is missing or due. Failing to
 * refresh what is still valid is success (and in the report).
 * @retval CCZ_E_UNAVAILABLE  pcs:offline, pcs:back-off (asked too often or after failures), pcs:busy (503)
 * @retval CCZ_E_NOT_FOUND    pcs:not-found (now or within the last hour), pcs:gone
 * @retval CCZ_E_DENIED       pcs:denied: 401, 403
 * @retval CCZ_E_PEER         pcs:status, pcs:rate (429)
 * @retval CCZ_E_FORMAT       pcs:chain-header: missing or malformed; pcs:document
 * @retval CCZ_E_EXPIRED      pcs:stale: the answer has expired already
 * @retval CCZ_E_MISMATCH     pcs:other-platform; pcs:older: older than what is stored
 * @retval CCZ_E_IO           pcs:write and others: nothing was changed
 * @return otherwise a refusal of ccz_collateral_new() or of the getter
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_store_fetch(struct ccz_pcs_store *s,
                                                const struct ccz_pcs_want *want,
                                                struct ccz_err *err);
/** ccz_pcs_store_fetch() for what a quote needs, PCK certificate included if cfg.fetch_pck. @p store is a
 *  struct ccz_pcs_store: fits as ccz_verifier_cfg.fetch. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_store_fetch_quote(void *store, struct ccz_span quote,
                                                      struct ccz_err *err);
/** ccz_pcs_store_fetch_quote(), or for an SNP report ccz_pcs_store_fetch_amd(). Reports are strangers' until the
 *  VCEK is there: whatever comes, AMD is asked for one in 10 s, and not again for an hour for one it did not know. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_store_fetch_evidence(void *store, struct ccz_span evidence,
                                                         struct ccz_err *err);
/** AMD's chain, CRL and VCEK, under cfg.snp_roots.
 *  @retval CCZ_E_LIMIT  pcs:amd-full: the directory holds as many VCEKs as can be loaded
 *  @return otherwise as ccz_pcs_store_fetch(), ccz_snp_collateral_new(); pcs:amd-chip, pcs:amd-tcb: of another chip */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_store_fetch_amd(struct ccz_pcs_store *s,
                                                    const struct ccz_pcs_want_amd *want,
                                                    struct ccz_err *err);
/**
 * Refreshes every bundle, and every AMD chain and CRL, that is due; all are tried. For a timer.
 * @param[out] next_s  when to call again, at least a minute from now
 * @return the first failure
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_store_refresh(struct ccz_pcs_store *s, int64_t *next_s,
                                                  struct ccz_err *err);
/** How often what is in the directory was changed by this object: whoever loaded it compares. Any thread. */
CCZ_API uint64_t ccz_pcs_store_changes(struct ccz_pcs_store *s);
/**
 * {"from", "update", "bundles": [as ccz_pcs_report(), and "from", "update", "fetched", "refresh" if known], "amd":
 * [{"name", "expires", "seconds_left", "expired", "veks"}], "failures": [{"what", "at", "where", "message"}],
 * "waiting": [{"for", "until"}]}
 */
CCZ_API void ccz_pcs_store_report(struct ccz_buf *out, struct ccz_pcs_store *s);

/* --------------------------------------------------------------------- bundles as one file */

/**
 * For verifiers without a network: a USTAR archive (`tar -tf` lists it) with MANIFEST.json, MANIFEST.sig and the
 * bundles. The manifest has the date, the earliest expiry, who signed, and size and SHA-256 of every file; the
 * signature is ECDSA P-256/SHA-256 over its bytes, raw r || s. There is one archive for one content: every header
 * byte is prescribed, so that nothing unsigned can be hidden in it. A signer is known by the SHA-256 of the DER
 * SubjectPublicKeyInfo of its key.
 */
#define CCZ_PCS_ARCHIVE_SIZE_MAX ((size_t)256 << 20)
struct ccz_pcs_export_cfg {
    const char *dir;
    const struct ccz_roots *roots;
    const struct ccz_snp_roots *snp_roots; /**< NULL = nothing of AMD's is accepted */
    const struct ccz_key *key;             /**< P-256 with its private half */
    int64_t now_s;                         /**< date of the archive */
};
/**
 * Appends an archive of all that is in the directory.
 * @retval CCZ_E_ARG      archive:config
 * @retval CCZ_E_EXPIRED  archive:expired: something in the directory is of no use any more
 * @return otherwise as ccz_pcs_load()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_export(struct ccz_buf *out,
                                           const struct ccz_pcs_export_cfg *cfg,
                                           struct ccz_err *err);
struct ccz_pcs_import_cfg {
    const char *dir; /**< made if it is not there; bundles of other platforms stay */
    const struct ccz_roots *roots;
    const struct ccz_snp_roots *snp_roots; /**< NULL = nothing of AMD's is accepted */
    uint8_t signer[32];                    /**< who must have signed; all zero = nobody will do */
    int64_t now_s;                         /**< required */
    bool older_insecure;                   /**< accept what is older than what is there */
    enum ccz_pcs_update update; /**< ccz_pcs_import_pccs(): EARLY if there, else STANDARD */
};
/**
 * Verifies signature, dates, digests and every bundle, then installs all of it. Until then nothing is changed.
 * @retval CCZ_E_FORMAT    archive:format, archive:path, archive:manifest, archive:file (content or order is not as
 *                         in the manifest)
 * @retval CCZ_E_LIMIT     archive:size
 * @retval CCZ_E_UNTRUSTED archive:signer   @retval CCZ_E_SIG  archive:signature
 * @retval CCZ_E_EXPIRED   archive:expired, archive:not-yet-valid
 * @retval CCZ_E_MISMATCH  archive:rollback: older than what is there; archive:name: a bundle under a wrong name
 * @return otherwise a refusal of ccz_collateral_new() or ccz_snp_collateral_new(), "pcs:amd-...", "pcs:write"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_import(const struct ccz_pcs_import_cfg *cfg,
                                           struct ccz_span archive, struct ccz_err *err);
/**
 * Appends the manifest, after checking it and the files against each other and the signature against the key
 * that the manifest names. Whether that key is anybody's is not looked at.
 * @param[out] signer  who that is
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_archive_inspect(struct ccz_buf *out, uint8_t signer[32],
                                                    struct ccz_span archive, struct ccz_err *err);
/**
 * Installs what a PCCS administrator's tool writes for offline use (platform_collaterals.json). That file is signed
 * by nobody, its documents are by Intel: so everything but its completeness is checked. cfg->signer is not used.
 * @param[out] len  bundles installed
 * @retval CCZ_E_FORMAT  pccs:json, pccs:member (missing), pccs:chain
 * @retval CCZ_E_LIMIT   pccs:len
 * @return otherwise as ccz_pcs_import()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_import_pccs(size_t *len, const struct ccz_pcs_import_cfg *cfg,
                                                struct ccz_span json, struct ccz_err *err);
/** Who @p key is as a signer. */
struct ccz_key;
CCZ_API CCZ_MUST_USE ccz_rc ccz_pcs_signer(uint8_t signer[32], const struct ccz_key *key);

#ifdef __cplusplus
}
#endif
#endif
