/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_VERIFIER_H
#define CCZ_VERIFIER_H
/**
 * @file verifier.h
 * quote.h + pcs.h + policy.h composed into one object with one answer, for daemons, the command line and as
 * the appraisal hook of RA-TLS. Adds no rule of its own.
 */
#include <cczoo/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

struct ccz_verifier;
struct ccz_verifier_cfg {
    struct ccz_clock clock;        /**< required */
    const char *collateral_dir;    /**< collateral bundle(s) on disk for genuine hardware, or NULL */
    const char *trust_sim_dir;     /**< trust directory of a software TEE (ccz_sim_init), or NULL: the only way a
                                        simulated root is ever trusted */
    const struct ccz_policy *policy; /**< NULL = verify only: ccz_verifier_appraise() then refuses everybody */
};
/** Reads collateral once; re-read with ccz_verifier_reload() when it nears expiry. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_new(struct ccz_verifier **out, const struct ccz_verifier_cfg *cfg, struct ccz_err *err);
CCZ_API void ccz_verifier_free(struct ccz_verifier *v);
CCZ_DEFINE_AUTO(ccz_verifier)
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_reload(struct ccz_verifier *v, struct ccz_err *err);
/** Genuine? Claims out, no policy. Thread-safe. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_verify(struct ccz_verifier *v, struct ccz_claims *claims, struct ccz_span quote, struct ccz_err *err);
/** Genuine and accepted by the policy. Signature of ccz_ratls_appraise_fn with @p verifier as its arg. Thread-safe. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_verifier_appraise(void *verifier, struct ccz_claims *claims, struct ccz_span quote, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
