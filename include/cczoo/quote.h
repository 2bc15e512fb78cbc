/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_QUOTE_H
#define CCZ_QUOTE_H
/**
 * @file quote.h
 * Parsing and verifying Intel SGX and TDX quotes against collateral, at a given time. Pure: no I/O,
 * no clock, no network, no device. Deciding whether a genuine platform is good enough is policy.h.
 *
 * Terms: a *quote* is a report about an enclave or a TD, signed by an attestation key; a *quoting
 * enclave* (QE) vouches for that key in its own report; the *PCK* key, certified by Intel for one
 * platform, signs the QE's report. *Collateral* is what Intel publishes about platforms: TCB info
 * (security versions and their status), QE identity, certificate revocation lists, each with the
 * chain of its signer.
 *
 * Life cycle: ccz_roots_add_*() once; ccz_collateral_new() once per platform type (chains and
 * signatures are verified there); ccz_quote_verify() per quote. All objects are immutable after
 * creation except the cache, which locks itself: everything here may be shared between threads.
 *
 * Reading order of the sources: quote_parse.c, report.c, sigs.c, certs.c, chain.c, roots.c, pck.c,
 * json_fields.c, tcb_info.c, qe_identity.c, collateral.c, tcb.c, evidence.c, cache.c, verify.c (the
 * algorithm), claims.c, claims_code.c; shortfall.c stands apart. Every value of err->where is listed in
 * docs/design/verification.md.
 *
 * Sources: Intel "SGX ECDSA QuoteLibReference DCAP API" (quote v3), "TDX DCAP Quoting Library API"
 * (quote v4, v5), "SGX PCK Certificate and CRL Profile Specification", PCS API v3 / v4
 * documentation.
 */
#include <cczoo/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum ccz_tee { CCZ_TEE_NONE = 0, CCZ_TEE_SGX, CCZ_TEE_TDX, CCZ_TEE_SNP };
CCZ_API const char *ccz_tee_name(enum ccz_tee tee); /**< "none", "sgx", "tdx", "snp" */

/** Zero is not a good status: a zeroed claims structure must not pass anywhere. */
enum ccz_tcb_status {
    CCZ_TCB_NONE = 0,
    CCZ_TCB_UP_TO_DATE,
    CCZ_TCB_SW_HARDENING_NEEDED,
    CCZ_TCB_CONFIGURATION_NEEDED,
    CCZ_TCB_CONFIGURATION_AND_SW_HARDENING_NEEDED,
    CCZ_TCB_OUT_OF_DATE,
    CCZ_TCB_OUT_OF_DATE_CONFIGURATION_NEEDED,
    CCZ_TCB_TD_RELAUNCH_ADVISED,
    CCZ_TCB_TD_RELAUNCH_ADVISED_CONFIGURATION_NEEDED,
    CCZ_TCB_REVOKED
};
CCZ_API const char *ccz_tcb_status_name(enum ccz_tcb_status s); /**< PCS spelling, "UpToDate" */

/* ------------------------------------------------------------------------------- parsing */

#define CCZ_QUOTE_SIZE_MAX 65536
/** Views into a quote; valid as long as its bytes. Nothing is verified. Layout: see quote_parse.c.
 */
struct ccz_quote {
    uint16_t version;             /**< 3, 4 or 5 */
    enum ccz_tee tee;             /**< SGX or TDX */
    uint16_t body_type;           /**< 1 SGX report, 2 TD report 1.0, 3 TD report 1.5 */
    struct ccz_span header;       /**< 48 bytes */
    struct ccz_span body;         /**< 384, 584 or 648 bytes */
    struct ccz_span signed_bytes; /**< what the attestation key signed */
    struct ccz_span signature;    /**< r || s, 64 */
    struct ccz_span attest_key;   /**< x || y, 64 */
    struct ccz_span qe_report;    /**< 384 */
    struct ccz_span qe_signature; /**< r || s, 64, by the PCK key */
    struct ccz_span qe_auth;      /**< QE authentication data */
    uint16_t cert_type;           /**< certification data type 1..5 */
    struct ccz_span
        cert_data; /**< types 1-3: encrypted or clear PPID and TCB; 4: PEM PCK leaf; 5: PEM chain */
    struct ccz_span
        trailing; /**< bytes behind the signature data; zero padding only, else refused */
};
/**
 * Splits a quote into its fields; every length is checked against the next one, nothing may be left
 * over.
 * @param[out] out  borrows from @p in; zeroed on failure
 * @retval CCZ_E_LIMIT        larger than CCZ_QUOTE_SIZE_MAX ("quote:size")
 * @retval CCZ_E_UNSUPPORTED  version, key type, TEE type, vendor, body type or certification type
 * not known here
 * @retval CCZ_E_FORMAT       truncated, inconsistent lengths, reserved fields in use, bytes left
 * over
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_quote_parse(struct ccz_quote *out, struct ccz_span in,
                                            struct ccz_err *err);
/** REPORTDATA of any supported quote, 64 bytes; empty if @p q was not parsed. */
CCZ_API struct ccz_span ccz_quote_report_data(const struct ccz_quote *q);

/** Which of Intel's CAs certified the platform's PCK, by its name: whose revocation list is needed. NONE: neither. */
enum ccz_pck_ca { CCZ_PCK_CA_NONE = 0, CCZ_PCK_CA_PROCESSOR, CCZ_PCK_CA_PLATFORM };
/** For which platforms collateral is valid; to choose the collateral of a quote. */
struct ccz_platform {
    enum ccz_tee tee;
    uint8_t fmspc[6];       /**< family, model, stepping, platform, custom SKU */
    uint8_t pck_issuer[32]; /**< SHA-256 of the DER name that issued the PCK certificate: whose CRL
                               is needed */
    enum ccz_pck_ca ca;
};
/**
 * What the quote claims to come from, read from its PCK certificate. Not verified: good for
 * choosing collateral, because ccz_quote_verify() refuses collateral of another platform.
 * @retval CCZ_E_UNSUPPORTED  the quote carries no PCK certificate (certification types 1-3)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_quote_platform(struct ccz_platform *out, const struct ccz_quote *q,
                                               struct ccz_err *err);
/**
 * The same from PEM certificates: from the first that is no CA. Nothing is verified.
 * @retval CCZ_E_FORMAT  quote:pck-chain, quote:pck-extension
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_platform_from_pem(struct ccz_platform *out, enum ccz_tee tee,
                                                  struct ccz_span pem, struct ccz_err *err);

/* ---------------------------------------------------------------------------- collateral */

/** Trusted roots: public keys, not names. Zeroed = trusts nobody. */
#define CCZ_ROOTS_MAX 4
struct ccz_root {
    uint8_t xy[64]; /**< P-256 public key of the root CA */
    bool simulated; /**< a test root: whatever chains to it is reported as SIMULATED */
};
struct ccz_roots {
    struct ccz_root root[CCZ_ROOTS_MAX];
    size_t len;
};
/** Adds the Intel SGX Root CA (production). */
CCZ_API CCZ_MUST_USE ccz_rc ccz_roots_add_intel(struct ccz_roots *roots);
/**
 * Adds the key of a self-signed root certificate (PEM or DER); @p simulated marks its verdicts. A
 * key that is there already stays once.
 * @retval CCZ_E_ARG    the key is there with the other value of @p simulated
 * @retval CCZ_E_LIMIT  CCZ_ROOTS_MAX keys are there
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_roots_add_cert(struct ccz_roots *roots, struct ccz_span cert,
                                               bool simulated, struct ccz_err *err);

/** Collateral as delivered (PCS response bodies and headers), borrowed. CRLs: DER, PEM or hex of
 * DER. Chains: PEM, certificates in any order, nothing between them; headers must be
 * percent-decoded before. */
#define CCZ_COLLATERAL_SIZE_MAX 1048576 /**< of each part */
struct ccz_collateral_src {
    struct ccz_span tcb_info;          /**< {"tcbInfo":{...},"signature":"..."} */
    struct ccz_span tcb_info_chain;    /**< PEM: TCB signing, root */
    struct ccz_span qe_identity;       /**< {"enclaveIdentity":{...},"signature":"..."} */
    struct ccz_span qe_identity_chain; /**< PEM */
    struct ccz_span root_ca_crl;
    struct ccz_span pck_crl;
    struct ccz_span pck_crl_chain; /**< PEM: PCK Platform or Processor CA, root */
    struct ccz_span
        pck_chain; /**< PEM leaf, CA, root: only for quotes that do not carry it (types 1-3) */
};
/** Parsed collateral whose chains and signatures hold under one trusted root. Immutable, shareable
 * between threads. Dates are checked at each verification, against its now_s. */
struct ccz_collateral;
/**
 * Verifies and parses collateral. Every part is required except `pck_chain`. TCB info v2 (SGX) and
 * v3 (SGX, TDX), QE identity v2. All chains must end in the same trusted root; no signer may be in
 * the root CRL.
 * @param      src  copied as far as needed
 * @retval CCZ_E_FORMAT, CCZ_E_UNSUPPORTED  a part is missing, malformed or of an unknown version
 * @retval CCZ_E_SIG, CCZ_E_UNTRUSTED, CCZ_E_REVOKED  a signature, chain or signer
 * @retval CCZ_E_MISMATCH  parts do not belong together
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_collateral_new(struct ccz_collateral **out,
                                               const struct ccz_collateral_src *src,
                                               const struct ccz_roots *roots, struct ccz_err *err);
CCZ_API void ccz_collateral_free(struct ccz_collateral *c);
CCZ_DEFINE_AUTO(ccz_collateral)
CCZ_API enum ccz_tee ccz_collateral_tee(const struct ccz_collateral *c);
CCZ_API const uint8_t *ccz_collateral_fmspc(const struct ccz_collateral *c); /**< 6 bytes */
CCZ_API void ccz_collateral_platform(struct ccz_platform *out, const struct ccz_collateral *c);
CCZ_API bool
ccz_collateral_simulated(const struct ccz_collateral *c); /**< its root is marked simulated */
/** Earliest date of TCB info, QE identity (issueDate) and PCK CRL (thisUpdate), seconds since 1970 UTC: how old
 * the oldest knowledge is. Without the root CRL, which is renewed once a year. */
CCZ_API int64_t ccz_collateral_issued(const struct ccz_collateral *c);
/** Earliest date at which some part expires (nextUpdate or notAfter), seconds since 1970 UTC. */
CCZ_API int64_t ccz_collateral_expires(const struct ccz_collateral *c);
/** Appends the DER of a revocation list given as DER, PEM or hex of DER; what is in it is not looked at.
 *  @param where  err->where of refusals @retval CCZ_E_FORMAT, CCZ_E_LIMIT */
CCZ_API CCZ_MUST_USE ccz_rc ccz_crl_der(struct ccz_buf *der, struct ccz_span in, const char *where,
                                        struct ccz_err *err);

/* -------------------------------------------------------------------------- verification */

#define CCZ_ADVISORIES_MAX 64
#define CCZ_ADVISORY_SIZE  24
/** Product line of an AMD processor: whose keys certify it, and how its TCB version is laid out. */
enum ccz_snp_product { CCZ_SNP_NONE = 0, CCZ_SNP_MILAN, CCZ_SNP_GENOA, CCZ_SNP_TURIN };
CCZ_API const char *ccz_snp_product_name(enum ccz_snp_product p); /**< "Milan", ..; "none" */
/** Which key signs reports: of the chip, or of a cloud provider's fleet. */
enum ccz_snp_signer { CCZ_SNP_SIGNER_NONE = 0, CCZ_SNP_VCEK, CCZ_SNP_VLEK };
CCZ_API const char *ccz_snp_signer_name(enum ccz_snp_signer s); /**< "vcek", "vlek", "none" */
/** TCB_VERSION, decoded by product line: security patch level of each firmware. */
struct ccz_snp_tcb {
    uint8_t fmc; /**< Turin only, else 0 */
    uint8_t boot_loader, tee, snp, microcode;
};
/** Version of the SEV firmware. */
struct ccz_snp_version {
    uint8_t major, minor, build;
};
/** What an SNP attestation report says (snp.h); names and bits as in AMD document 56860. */
struct ccz_snp_claims {
    enum ccz_snp_product product;
    enum ccz_snp_signer signer;
    uint32_t guest_svn, vmpl;
    uint8_t guest_policy[8];  /**< little-endian u64, as in the report */
    uint8_t platform_info[8]; /**< the same */
    uint8_t measurement[48], host_data[32];
    uint8_t id_key_digest[48],
        author_key_digest[48]; /**< zero: launched without ID block, author key */
    uint8_t family_id[16], image_id[16];
    uint8_t report_id[32], report_id_ma[32]; /**< ma: of the migration agent, all FF if none */
    uint8_t chip_id[64];                     /**< zero if the host masks it */
    struct ccz_snp_tcb reported_tcb; /**< the one the signing key is bound to: judge by this */
    struct ccz_snp_tcb current_tcb, committed_tcb, launch_tcb;
    struct ccz_snp_version current_version, committed_version;
    uint64_t launch_mit_vector, current_mit_vector;    /**< report version 5, else 0 */
    uint8_t cpuid_family, cpuid_model, cpuid_stepping; /**< report version 3 and later, else 0 */
    char csp_id[64]; /**< VLEK: the provider named in its certificate, else "" */
};

/**
 * What verified evidence says. Filled only by ccz_quote_verify() (SGX, TDX) and ccz_snp_verify(); all bytes in
 * the order of the evidence. Fields of the other TEEs are zero.
 */
struct ccz_claims {
    enum ccz_tee tee;
    uint16_t quote_version; /**< of the quote or the SNP report */
    bool simulated;         /**< the chain ends in a root marked simulated */
    /** Revocation lists were checked. Always true for SGX and TDX; for SNP, false if no CRL was given. */
    bool revocation_checked;
    uint8_t report_data[64];
    /* SGX */
    uint8_t mrenclave[32], mrsigner[32];
    uint16_t isv_prod_id, isv_svn;
    uint8_t attributes[16]; /**< flags, XFRM */
    uint32_t misc_select;
    uint8_t config_id[64], isv_family_id[16], isv_ext_prod_id[16];
    uint16_t config_svn;
    /* TDX */
    uint8_t mrtd[48], rtmr[4][48], mrconfigid[48], mrowner[48], mrownerconfig[48];
    uint8_t mrseam[48], mrsignerseam[48], mrservicetd[48];
    uint8_t td_attributes[8], xfam[8], seam_attributes[8], tee_tcb_svn[16], tee_tcb_svn2[16];
    struct ccz_snp_claims snp;
    bool debug; /**< DEBUG attribute of the enclave or TD, DEBUG bit of the SNP guest policy */
    /* SGX and TDX; AMD publishes no statuses, so that tcb_status stays NONE for SNP */
    uint8_t cpu_svn[16]; /**< of the PCK certificate: the TCB that was evaluated */
    uint8_t fmspc[6], pce_id[2], ppid[16]; /**< of the PCK certificate */
    uint16_t qe_isv_svn;
    enum ccz_tcb_status tcb_status; /**< platform, QE and TDX module merged */
    enum ccz_tcb_status platform_status, qe_status,
        module_status;        /**< parts; module NONE for SGX */
    int64_t tcb_date_s;       /**< oldest tcbDate of the levels that matched */
    uint32_t tcb_eval_number; /**< lower of TCB info and QE identity */
    char advisory[CCZ_ADVISORIES_MAX][CCZ_ADVISORY_SIZE]; /**< without duplicates */
    size_t advisory_len;
    int64_t collateral_issued_s; /**< earliest issueDate / thisUpdate, as ccz_collateral_issued() */
    int64_t collateral_expires_s; /**< earliest nextUpdate / notAfter, PCK chain included */
};

/** Optional cache of PCK chains and QE reports that verified before; thread-safe, fixed memory. An
 * entry is found only under the same roots, the same collateral content and the same bytes of
 * certification data, QE report, its signature, authentication data and attestation key. What
 * depends on time or on the quote body is checked every time; failures are never remembered. */
struct ccz_verify_cache;
/** @param max_len  entries (one per attestation key in use), 1 to 65536; the least recently used
 * goes first */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verify_cache_new(struct ccz_verify_cache **out, size_t max_len);
CCZ_API void ccz_verify_cache_free(struct ccz_verify_cache *c);
CCZ_DEFINE_AUTO(ccz_verify_cache)

struct ccz_verify_cfg {
    int64_t now_s; /**< required: verification time */
    const struct ccz_roots *roots;
    const struct ccz_collateral *collateral;
    struct ccz_verify_cache *cache; /**< NULL = none */
};
/**
 * Intel's quote verification algorithm, strict where the documents leave room
 * (docs/design/verification.md). Success means genuine, not good: tcb_status, debug and
 * measurements are for the policy. A TCB level that Intel lists as Revoked, or one below every
 * listed level, is not genuine any more and is refused here.
 * @param[out] out  zeroed on failure
 * @retval CCZ_E_ARG  now_s, roots or collateral missing
 * @retval CCZ_E_FORMAT, CCZ_E_UNSUPPORTED, CCZ_E_LIMIT  the quote
 * @retval CCZ_E_SIG, CCZ_E_UNTRUSTED, CCZ_E_REVOKED, CCZ_E_EXPIRED, CCZ_E_MISMATCH  err->where
 * names the check
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_quote_verify(struct ccz_claims *out, struct ccz_span quote,
                                             const struct ccz_verify_cfg *cfg, struct ccz_err *err);

/**
 * Whether a quoting enclave of a platform under the roots made the attestation key: PCK chain, QE report, its signature
 * and the key's digest in it. No dates, no TCB, no signature of the quote itself: enough to know that asking a server
 * about this platform is no stranger's idea.
 * @param collateral  NULL = revocation is not checked, and the quote must carry its PCK chain
 * @return as ccz_quote_verify()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_quote_check_origin(const struct ccz_quote *q,
                                                   const struct ccz_roots *roots,
                                                   const struct ccz_collateral *collateral,
                                                   struct ccz_err *err);

/* ---------------------------------------------------------------------------- shortfall */

/** By what a platform is judged: which number is too low. */
enum ccz_svn_kind {
    CCZ_SVN_SGX_COMPONENT = 1, /**< of CPUSVN, 1 to 16 */
    CCZ_SVN_PCE,
    CCZ_SVN_TDX_COMPONENT, /**< of TEE_TCB_SVN, 1 to 16 */
    CCZ_SVN_TDX_MODULE,    /**< isvsvn of the module's own levels */
    CCZ_SVN_QE
};
struct ccz_svn_short {
    enum ccz_svn_kind kind;
    uint8_t index;       /**< of a component, 1 to 16; else 0 */
    bool at_launch;      /**< TD report 1.5: what runs now would do, the TD was launched on less */
    uint16_t have, need; /**< need 0: no version of this TDX module or QE is up to date any more */
};
#define CCZ_SHORTFALL_MAX 40
struct ccz_shortfall {
    enum ccz_tcb_status target; /**< status of the level that is compared with */
    int64_t target_date_s;      /**< its tcbDate */
    uint32_t eval_number;       /**< tcbEvaluationDataNumber of the TCB info */
    struct ccz_svn_short item[CCZ_SHORTFALL_MAX];
    size_t len; /**< 0: nothing is short */
};
/**
 * How far the platform of a quote is from a TCB level of the collateral: which SVNs are too low, and by how much.
 * Of several levels with the status wanted it is the one that lacks the fewest SVNs, then the least in sum. The TDX
 * module and the QE are compared with the lowest SVN that is UpToDate. Dates play no role, so that collateral of
 * another time can be compared with.
 * @param c      PCS publishes new levels first with update=early
 * @param quote  not verified here: one that ccz_quote_verify() accepted
 * @param want   UpToDate, SWHardeningNeeded, ConfigurationNeeded or ConfigurationAndSWHardeningNeeded;
 *               CCZ_TCB_NONE = the first of these that the collateral has a level for
 * @retval CCZ_E_NOT_FOUND    "quote:shortfall-status": no level has that status
 * @retval CCZ_E_MISMATCH     collateral of another TEE or platform, or without the quote's TDX module
 * @retval CCZ_E_UNSUPPORTED  neither quote nor collateral has a PCK certificate; otherwise as ccz_quote_parse()
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_collateral_shortfall(struct ccz_shortfall *out,
                                                     const struct ccz_collateral *c,
                                                     struct ccz_span quote,
                                                     enum ccz_tcb_status want, struct ccz_err *err);
/** What the SVN is about, "SGX Late Microcode Update"; components as TCB info v3 names them. Never NULL. */
CCZ_API const char *ccz_svn_name(const struct ccz_svn_short *s);
/** What to do about it, "update the BIOS". Never NULL. */
CCZ_API const char *ccz_svn_remedy(const struct ccz_svn_short *s);

/** Claims as one JSON object: what policies address and `--json` prints. Names are those of struct
 * ccz_claims, except "advisories" and dates, which lose their _s; byte strings are lower-case hex
 * in quote order, dates "YYYY-MM-DDThh:mm:ssZ"; fields of the other TEEs are left out. SNP: the members of struct
 * ccz_snp_claims stand on the same level, TCBs and versions are objects, and the bits of guest policy ("smt",
 * "migrate_ma", ..) and platform info ("smt_en", ..) are booleans beside the hex of the field.
 * "collateral_issued" is "1970-01-01T00:00:00Z" if no CRL was given. */
CCZ_API void ccz_claims_json(struct ccz_buf *out, const struct ccz_claims *c);

/* ------------------------------------------------------------------------------ encoding */

/** Claims as bytes that are kept and read back: one byte 1 (the format), one byte the TEE (1 SGX, 2 TDX, 3 SNP), then every
 *  member of struct ccz_claims that this TEE has, in a fixed order (claims_code.c): numbers little-endian, byte strings as
 *  they are, flags 0 or 1, times 8 bytes, texts and the list of advisories behind a byte with their length. There is one
 *  encoding of any claims, and one set of claims for any encoding. A member that is added, a TEE too, is a new format. */
#define CCZ_CLAIMS_SIZE_MAX 4096
/**
 * Appends the encoding of @p c.
 * @retval CCZ_E_ARG    "claims:tee" no TEE; "claims:value" an enumerator, text or list that no verified evidence has;
 *                      "claims:other-tee" a member of another TEE is set, and would be lost
 * @retval CCZ_E_LIMIT  "claims:put" out->max_size, or no memory; nothing is appended in any of these cases
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_claims_put(struct ccz_buf *out, const struct ccz_claims *c,
                                           struct ccz_err *err);
/**
 * The inverse. That they were verified once is for the caller to know: bytes of somebody else prove nothing.
 * @param[out] out  zeroed on failure; members of other TEEs are zero
 * @retval CCZ_E_UNSUPPORTED  "claims:format" another format
 * @retval CCZ_E_FORMAT       "claims:tee", "claims:value"; "claims:size" truncated or trailing bytes
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_claims_get(struct ccz_claims *out, struct ccz_span in,
                                           struct ccz_err *err);
/**
 * Which workload on which state of which platform: SHA-256 over what is measured, who the platform is and how healthy. The
 * same for all evidence of one workload until it, its platform or its status changes: left out are the report data, dates
 * and numbers of the collateral, and the random report id of an SNP guest.
 * @retval CCZ_E_ARG  as ccz_claims_put(); CCZ_E_LIMIT no memory; @p out is zeroed then
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_claims_identity(uint8_t out[32], const struct ccz_claims *c,
                                                struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
