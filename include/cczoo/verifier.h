/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_VERIFIER_H
#define CCZ_VERIFIER_H
/**
 * @file verifier.h
 * quote.h + pcs.h + policy.h composed into one object with one answer, for daemons, the command
 * line and as the appraisal hook of RA-TLS. Adds no rule of its own.
 *
 * Evidence is an Intel quote, or an SNP report with or without its certificate table. Genuine and simulated
 * platforms are kept apart: a bundle in collateral_dir must chain to Intel's root or AMD's, one in
 * trust_sim_dir to the root.pem or the snp/ark.pem there, and evidence is verified under the root of the
 * bundle that was chosen for it. Refusals carry the `where` of quote.h or policy.h, or:
 *   verifier:no-collateral  CCZ_E_NOT_FOUND: no bundle for the quote's platform (tee, FMSPC, PCK CA), or for the
 *                           report's product line and kind of key
 *   verifier:no-policy      CCZ_E_POLICY: ccz_verifier_appraise() without a policy
 *   verifier:config         CCZ_E_ARG
 * With cfg.fetch, what that function says about evidence for which there is no collateral.
 * Collateral is read at start and at ccz_verifier_reload(); what verified before is remembered per
 * attestation key (quote.h), so that a known peer costs one signature check and some hashing. For
 * evidence that comes again byte for byte (certificates, ratls.h), whole results can be remembered
 * too: `verdicts_len`. Whoever relies on the report data still has to compare it.
 * Reading order of the sources: verdicts.c, verifier.c.
 */
#include <cczoo/policy.h>
#include <cczoo/snp.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_VERIFIER_VERDICTS_MAX 65536
/** Shareable between threads, ccz_verifier_reload() included. */
struct ccz_verifier;
struct ccz_verifier_cfg {
    struct ccz_clock clock;     /**< required */
    const char *collateral_dir; /**< collateral bundles (pcs.h) for genuine hardware, or NULL */
    /** Trust directory of a software TEE (ccz_sim_init: root.pem, snp-ark.pem or snp/ark.pem if there, and bundles), or
     * NULL: the only way a simulated root is ever trusted. */
    const char *trust_sim_dir;
    const struct ccz_policy *policy; /**< borrowed, must live as long as the verifier; NULL = verify
                                          only: ccz_verifier_appraise() then refuses everybody */
    /** Remember that many accepted pieces of evidence, by SHA-256 of all their bytes, the least recently used is
     *  forgotten first; 0 = none, at most CCZ_VERIFIER_VERDICTS_MAX. An entry counts from the time it was made, never
     *  past the expiry of collateral or PCK chain, never under other collateral (a reload forgets all). The policy
     *  judges its claims each time, at that time. Failures are not remembered. About 3 KB each. */
    size_t verdicts_len;
    int64_t verdict_age_s; /**< and not longer than this; 0 = an hour */
    /**
     * NULL = what is in the directories is all there is. Else called, on the thread that verifies and for as long
     * as it takes, when the collateral of evidence is missing or has expired; after CCZ_OK the directory is read again
     * that it fills: collateral_dir, or if there is none trust_sim_dir. Its bundles may be missing at the start.
     * ccz_pcs_store_fetch_evidence() fits, with a store (its arg) on the same directory and the same roots: it asks nobody
     * about quotes that are not genuine, and AMD about reports, which are anybody's, at AMD's pace. Any thread.
     */
    ccz_rc (*fetch)(void *arg, struct ccz_span evidence, struct ccz_err *err);
    void *fetch_arg;
};
/**
 * Reads collateral once; re-read with ccz_verifier_reload() when it nears expiry.
 * @retval CCZ_E_ARG  no clock, or neither directory: nobody could ever be verified
 * @return otherwise what ccz_pcs_load() or ccz_roots_add_cert() say
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_new(struct ccz_verifier **out,
                                             const struct ccz_verifier_cfg *cfg,
                                             struct ccz_err *err);
CCZ_API void ccz_verifier_free(struct ccz_verifier *v); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_verifier)
/** Adds the roots that a trust directory of a software TEE names, marked as simulated. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_sim_roots(struct ccz_roots *intel,
                                                   struct ccz_snp_roots *amd, const char *dir,
                                                   struct ccz_err *err);
/** Reads the directories again; on failure what was loaded before stays in use. Of several at a time, what the one
 *  that began last has read stays. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_reload(struct ccz_verifier *v, struct ccz_err *err);
/** When the first part of the collateral in use expires, seconds since 1970 UTC: reload before. */
CCZ_API int64_t ccz_verifier_expires(struct ccz_verifier *v);
/** {"genuine": [...], "simulated": [...], "verdicts": {"remembered": n, "hits": n}}: the lists as from
 *  ccz_pcs_report(), the counts since the last reload. */
CCZ_API void ccz_verifier_report(struct ccz_buf *out, struct ccz_verifier *v);
/** Genuine? Claims out, no policy. @param[out] claims  zeroed on failure */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_verify(struct ccz_verifier *v, struct ccz_claims *claims,
                                                struct ccz_span quote, struct ccz_err *err);
/** Genuine and accepted by the policy. Signature of ccz_ratls_appraise_fn with @p verifier as its
 *  arg. @param[out] claims  zeroed on failure, a policy's refusal included */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_appraise(void *verifier, struct ccz_claims *claims,
                                                  struct ccz_span quote, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
