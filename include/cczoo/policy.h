/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_POLICY_H
#define CCZ_POLICY_H
/**
 * @file policy.h
 * Appraisal policy (RFC 9334): claims + policy -> verdict with the reason. Pure.
 * The empty policy, a partial policy and a zeroed verdict all reject.
 *
 * JSON (every field: docs/reference/policy.md):
 *   {"version": 1, "rules": [{"name": "server", "tee": "sgx", "mrenclave": "<64 hex>"}]}
 * Evidence is accepted if some rule accepts it. A rule that says nothing about a field uses the strict
 * default: genuine hardware, no DEBUG, TCB status UpToDate. Each rule must pin who it is about: mrenclave, or
 * mrsigner with isv_prod_id and isv_svn (SGX); mrtd (TDX). `{}` and no rules parse, and refuse everybody.
 *
 * Reading order of the sources: fields.c (the table of fields: one line per claim), kinds.c (how each kind of
 * field is read, judged and drafted), policy.c (rules, evaluation), draft.c.
 */
#include <cczoo/quote.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_POLICY_SIZE_MAX  1048576
#define CCZ_POLICY_RULES_MAX 256  /**< rules in a policy */
#define CCZ_POLICY_LIST_MAX  1024 /**< values in one list */

struct ccz_policy; /**< immutable, shareable between threads */
/**
 * Unknown fields are errors: a misspelt restriction must not vanish. So are duplicates, fields of the other
 * TEE, empty lists, values of the wrong type or size, and rules that pin nobody.
 * @retval CCZ_E_FORMAT  err->where "policy:<what>" or "json:..", err->msg begins with the JSON path
 * @retval CCZ_E_LIMIT   larger than the maxima above
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_parse(struct ccz_policy **out, struct ccz_span json,
                                             struct ccz_err *err);
CCZ_API void ccz_policy_free(struct ccz_policy *p); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_policy)

struct ccz_verdict {
    bool accept;   /**< zeroed = reject */
    char rule[64]; /**< name of the rule that accepted */
    int64_t
        grace_until_s; /**< not 0: accepted only because of the rule's dated grace, which ends then */
};
/**
 * @param claims  from ccz_quote_verify(); zeroed claims are refused by every policy
 * @param now_s   for collateral age and dated grace windows, seconds since 1970 UTC
 * @retval CCZ_OK        accepted, verdict->accept is true
 * @retval CCZ_E_POLICY  refused: err->where "policy:<field>", got, expected, the rule in err->msg; verdict
 *                       zeroed. With several rules, the one that passed most fields (in the order of the
 *                       table) is reported. Without rules: "policy:empty".
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_eval(struct ccz_verdict *verdict, const struct ccz_policy *p,
                                            const struct ccz_claims *claims, int64_t now_s,
                                            struct ccz_err *err);

/**
 * Appends a policy that accepts @p claims and pins their identity: a draft for a human to read and loosen
 * (other builds, later SVNs) or tighten.
 * @param claims  known-good claims from ccz_quote_verify()
 * @retval CCZ_E_POLICY  claims that no draft should bless: DEBUG ("policy:draft-debug"), Revoked or no TCB status
 *                       ("policy:draft-status"), no SGX or TDX claims ("policy:draft-tee")
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_draft(struct ccz_buf *out, const struct ccz_claims *claims,
                                             struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
