/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SNP_H
#define CCZ_SNP_H
/**
 * @file snp.h
 * Parsing and verifying AMD SEV-SNP attestation reports, at a given time. Part of module quote; as pure as
 * quote.h: no I/O, no clock, no network, no device.
 *
 * Terms: the *VEK* (versioned endorsement key) signs reports: the *VCEK* of one chip at one TCB, or the *VLEK* of
 * a cloud provider. AMD certifies it: ARK (root, self-signed) -> ASK -> VCEK, or ARK -> ASVK -> VLEK, one ARK per
 * product line. The ARK's CRL lists revoked ASKs and ASVKs (VEKs only if they ever get serial numbers of their
 * own: today all of them have 0).
 *
 * Evidence is the report alone (1184 bytes), or the report with the certificate table of the GHCB specification
 * behind it, as tee.h delivers it: then a verifier needs nothing from the network but the CRL. ARK and CA always
 * come from the collateral; of the table, only the VEK is used.
 *
 * AMD publishes no TCB statuses: which firmware is good enough is a minimum of reported_tcb in the policy.
 *
 * Life cycle: ccz_snp_roots_add_amd() once; ccz_snp_collateral_new() once per product line and kind of signer;
 * ccz_snp_verify() per report. All objects are immutable: share them between threads.
 *
 * Reading order of the sources: snp_report.c, snp_table.c, snp_vek.c (certificate extensions), snp_chain.c (roots,
 * chain, collateral), snp_verify.c (the algorithm).
 *
 * Every value of err->where is listed in docs/design/verification.md.
 *
 * Sources: AMD 56860 "SEV Secure Nested Paging Firmware ABI Specification" (chapter 7, MSG_REPORT_REQ), AMD 57230
 * "Versioned Chip Endorsement Key (VCEK) Certificate and KDS Interface Specification", AMD 56421 (GHCB)
 * specification 4.1.8.1.
 */
#include <cczoo/quote.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_SNP_REPORT_SIZE        1184
#define CCZ_SNP_TABLE_SIZE_MAX     16384 /**< of the certificate table */
#define CCZ_SNP_COLLATERAL_VEK_MAX 4096

/** True if @p evidence can only be an SNP report, of a supported version or not: at least one report in size, and
 * the upper half of its version, where Intel quotes have their key type, is zero. */
CCZ_API bool ccz_snp_is_report(struct ccz_span evidence);

/** A report and the certificates behind it; views into the evidence. Nothing is verified. */
struct ccz_snp_report {
    uint32_t version; /**< 2 to 5 */
    enum ccz_snp_signer signer;
    bool chip_key_masked, author_key_en;
    /** All fields of the report. Product by CPUID; version 2 has none: then NONE, and the TCBs are decoded as of
     * Milan and Genoa. */
    struct ccz_snp_claims claims;
    struct ccz_span report_data;  /**< 64 */
    struct ccz_span reported_tcb; /**< 8, as in the report */
    struct ccz_span signed_bytes; /**< 672 */
    struct ccz_span signature;    /**< 512 as in the report */
    struct ccz_span vek, ca, ark; /**< from the certificate table, empty if absent; vek by signer */
};
/**
 * Splits evidence into its fields.
 * @param[out] out  borrows from @p evidence; zeroed on failure
 * @retval CCZ_E_LIMIT        larger than report and largest table
 * @retval CCZ_E_UNSUPPORTED  version, signature algorithm, signing key, processor
 * @retval CCZ_E_FORMAT       size, reserved fields in use, policy bit 17 clear, malformed table
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_snp_report_parse(struct ccz_snp_report *out,
                                                 struct ccz_span evidence, struct ccz_err *err);

/**
 * Product line of the processor: by CPUID, or for version 2, which has none, as the VEK certificate in the table names
 * it. Good for choosing collateral; nothing is verified. NONE if neither says.
 */
CCZ_API enum ccz_snp_product ccz_snp_report_product(const struct ccz_snp_report *r);

/** Trusted AMD roots: SHA-256 of the ARK's SubjectPublicKeyInfo. Zeroed = trusts nobody. */
#define CCZ_SNP_ROOTS_MAX 8
struct ccz_snp_root {
    uint8_t spki_sha256[32];
    enum ccz_snp_product product;
    bool simulated;
};
struct ccz_snp_roots {
    struct ccz_snp_root root[CCZ_SNP_ROOTS_MAX];
    size_t len;
};
/** Adds ARK-Milan, ARK-Genoa and ARK-Turin. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_snp_roots_add_amd(struct ccz_snp_roots *roots);
/** Adds the key of a self-signed ARK certificate (PEM or DER) whose name says which product line it is for.
 *  @retval as ccz_roots_add_cert() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_snp_roots_add_cert(struct ccz_snp_roots *roots,
                                                   struct ccz_span cert, bool simulated,
                                                   struct ccz_err *err);

/** As KDS delivers them, borrowed: DER or PEM. */
struct ccz_snp_collateral_src {
    struct ccz_span ark, ca; /**< required; ca = ASK or ASVK */
    struct ccz_span
        crl; /**< of the ARK; empty = revocation is not checked, and the claims say so */
    const struct ccz_span *veks; /**< VCEKs or VLEKs for evidence that carries none; may be empty */
    size_t veks_len;             /**< at most CCZ_SNP_COLLATERAL_VEK_MAX */
};
struct ccz_snp_collateral;
/**
 * Verifies ARK (pinned, self-signed), CA certificate, CRL and VEK certificates. Dates are checked at each
 * verification.
 * @param src  copied as far as needed
 * @retval CCZ_E_FORMAT, CCZ_E_UNSUPPORTED, CCZ_E_SIG, CCZ_E_UNTRUSTED, CCZ_E_REVOKED, CCZ_E_MISMATCH
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_snp_collateral_new(struct ccz_snp_collateral **out,
                                                   const struct ccz_snp_collateral_src *src,
                                                   const struct ccz_snp_roots *roots,
                                                   struct ccz_err *err);
CCZ_API void ccz_snp_collateral_free(struct ccz_snp_collateral *c); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_snp_collateral)
CCZ_API enum ccz_snp_product ccz_snp_collateral_product(const struct ccz_snp_collateral *c);
CCZ_API enum ccz_snp_signer ccz_snp_collateral_signer(const struct ccz_snp_collateral *c);
CCZ_API bool ccz_snp_collateral_simulated(const struct ccz_snp_collateral *c);
/** thisUpdate of the CRL; 0 without one. Seconds since 1970 UTC. */
CCZ_API int64_t ccz_snp_collateral_issued(const struct ccz_snp_collateral *c);
/** Earliest end of ARK, CA and CRL (VEKs are looked at when they are used). Seconds since 1970 UTC. */
CCZ_API int64_t ccz_snp_collateral_expires(const struct ccz_snp_collateral *c);

struct ccz_snp_verify_cfg {
    int64_t now_s; /**< required */
    const struct ccz_snp_roots *roots;
    const struct ccz_snp_collateral *collateral;
    /** Optional: remembers VEK certificates that evidence carries (an RSA-4096 verification each), by their bytes
     * and the collateral's; VEKs of the collateral need none. May be the one that Intel quotes use. */
    struct ccz_verify_cache *cache;
};
/**
 * AMD's verification: report fields, VEK (from the evidence, else from the collateral) and its chain, revocation,
 * signature, reported TCB and chip id against the VEK's certificate, product line. Success means genuine, not good:
 * TCB, guest policy (debug, migration), VMPL and measurement are for the appraisal policy.
 * @param[out] out  zeroed on failure
 * @retval CCZ_E_ARG  now_s, roots or collateral missing
 * @retval CCZ_E_NOT_FOUND  "snp:vek-missing": neither evidence nor collateral has the certificate
 * @retval others     err->where "snp:..." names the check (docs/design/verification.md)
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_snp_verify(struct ccz_claims *out, struct ccz_span evidence,
                                           const struct ccz_snp_verify_cfg *cfg,
                                           struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
