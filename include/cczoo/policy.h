/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_POLICY_H
#define CCZ_POLICY_H
/**
 * @file policy.h
 * Appraisal policy (RFC 9334): claims + policy -> verdict with the reason. Pure.
 * The empty policy, a partial policy and a zeroed verdict all reject.
 *
 * JSON (docs/reference/policy.md): {"version":1,"rules":[{"name":"server","tee":"sgx", ...}]}; evidence is
 * accepted if some rule accepts it; the refusal names the rule that came furthest, the claim, got and expected.
 */
#include <cczoo/quote.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_POLICY_SIZE_MAX 1048576
struct ccz_policy; /**< immutable, shareable between threads */
/** Unknown fields are errors: a misspelt restriction must not vanish. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_parse(struct ccz_policy **out, struct ccz_span json, struct ccz_err *err);
CCZ_API void ccz_policy_free(struct ccz_policy *p);
CCZ_DEFINE_AUTO(ccz_policy)

struct ccz_verdict {
    bool accept;     /**< zeroed = reject */
    char rule[64];   /**< name of the rule that accepted */
};
/**
 * @param claims  from ccz_quote_verify()
 * @param now_s   for collateral age and dated grace windows
 * @retval CCZ_OK        accepted, verdict->accept is true
 * @retval CCZ_E_POLICY  refused: err->where "policy:<claim>", got, expected; verdict zeroed
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_eval(struct ccz_verdict *verdict, const struct ccz_policy *p,
                                            const struct ccz_claims *claims, int64_t now_s, struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
