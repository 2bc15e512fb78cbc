/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_POLICY_H
#define CCZ_POLICY_H
/**
 * @file policy.h
 * Appraisal policy (RFC 9334): claims + policy -> verdict with the reason. Pure.
 * The empty policy, a partial policy and a zeroed verdict all reject.
 *
 * JSON (every field: docs/reference/policy.md; as JSON Schema: ccz_policy_schema()):
 *   {"version": 1, "rules": [{"name": "server", "tee": "sgx", "mrenclave": "<64 hex>"}]}
 * Evidence is accepted if some rule accepts it. A rule that says nothing about a field uses the strict
 * default: genuine hardware, no DEBUG, TCB status UpToDate, no migration, VMPL 0, revocation checked. Each
 * rule must pin who it is about: mrenclave, or mrsigner with isv_prod_id and isv_svn (SGX); mrtd (TDX);
 * measurement with product and reported_tcb (SNP: AMD publishes no statuses, so that the rule has to say
 * which firmware is good enough). `{}` and no rules parse, and refuse everybody.
 *
 * Reading order of the sources: fields.c (the table of fields: one line per claim), kinds.c, kinds_num.c and
 * kinds_tcb.c (how each kind of field is read, judged, shown and drafted), read.c, policy.c (rules, evaluation),
 * reference.c (sets of values), draft.c, explain.c, schema.c.
 */
#include <cczoo/quote.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_POLICY_SIZE_MAX       1048576
#define CCZ_POLICY_RULES_MAX      256  /**< rules in a policy */
#define CCZ_POLICY_LIST_MAX       1024 /**< values in one list (of an SNP TCB: per component) */
#define CCZ_POLICY_REFERENCES_MAX 64   /**< sets of reference values that a policy names */

struct ccz_policy; /**< immutable, shareable between threads */
/**
 * Unknown fields are errors: a misspelt restriction must not vanish. So are duplicates, fields of another
 * TEE, empty lists, values of the wrong type or size, rules that pin nobody, and
 * grace for a field that the rule does not judge.
 * @retval CCZ_E_FORMAT  err->where "policy:<what>" or "json:..", err->msg begins with the JSON path
 * @retval CCZ_E_LIMIT   larger than the maxima above
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_parse(struct ccz_policy **out, struct ccz_span json,
                                             struct ccz_err *err);
CCZ_API void ccz_policy_free(struct ccz_policy *p); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_policy)

/* ------------------------------------------------------------------------ reference values */

/**
 * A set of reference values: what builds measure, kept apart from the policies that ask for them. A field of fixed bytes
 * may name one, {"mrenclave": {"reference": "team/server"}}, and holds if the claim is one of its values. JSON:
 *   {"version": 1, "values": [{"name": "1.4.2", "value": "<hex>", "until": "2027-01-01T00:00:00Z"}]}
 * All values have one size; a value with "until" ends by itself. Who finds the sets of a policy is its owner: until he
 * has given all of them, the policy refuses everybody.
 */
struct ccz_reference;                   /**< immutable, shareable between threads */
#define CCZ_REFERENCE_SIZE_MAX   262144 /**< bytes of its JSON */
#define CCZ_REFERENCE_VALUES_MAX 1024
#define CCZ_REFERENCE_NAME_SIZE  129 /**< of a set, with its NUL */
/** @retval CCZ_E_FORMAT  as ccz_policy_parse(): unknown members, doubled names or values, no value, several sizes
 *  @retval CCZ_E_LIMIT   larger than the maxima above */
CCZ_API CCZ_MUST_USE ccz_rc ccz_reference_parse(struct ccz_reference **out, struct ccz_span json,
                                                struct ccz_err *err);
CCZ_API void ccz_reference_free(struct ccz_reference *r); /**< NULL is fine */
CCZ_DEFINE_AUTO(ccz_reference)
CCZ_API size_t ccz_reference_len(const struct ccz_reference *r);  /**< values */
CCZ_API size_t ccz_reference_size(const struct ccz_reference *r); /**< bytes of each value */

/** Name of set @p i that @p p asks for, in the order in which it names them first; NULL = there are no more. Borrowed. */
CCZ_API const char *ccz_policy_reference(const struct ccz_policy *p, size_t i);
/** Gives set @p i, instead of what was given for it before. While this runs nobody else uses @p p.
 *  @param version  of the set, for who asks what decided
 *  @param set      copied; NULL = there is none
 *  @retval CCZ_E_NOMEM "policy:reference" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_resolve(struct ccz_policy *p, size_t i, uint32_t version,
                                               const struct ccz_reference *set,
                                               struct ccz_err *err);
/** Whether a policy has all of its sets.
 *  @retval CCZ_E_NOT_FOUND "policy:reference", CCZ_E_MISMATCH "policy:reference-size", with the name in err->msg */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_resolved(const struct ccz_policy *p, struct ccz_err *err);

/* ------------------------------------------------------------------------------- evaluation */

#define CCZ_POLICY_RULE_REFERENCES_MAX 8 /**< fields of one rule that refer to sets */
#define CCZ_POLICY_DECIDED_SIZE        2048

struct ccz_verdict {
    bool accept;   /**< zeroed = reject */
    char rule[64]; /**< name of the rule that accepted */
    /** Not 0: accepted only because of the rule's dated grace, which ends then. */
    int64_t grace_until_s;
    /** Refused: the rule that the refusal is about, "" if there is none. For who may read the policy. */
    char nearest[64];
    /** Accepted by reference values: which ones, as "mrtd=team/vm@3:build 7; rtmr1=team/kernel@1:6.1" */
    char references[CCZ_POLICY_DECIDED_SIZE];
};
/**
 * @param claims  from ccz_quote_verify() or ccz_snp_verify(); zeroed claims are refused by every policy
 * @param now_s   for collateral age and dated grace windows, seconds since 1970 UTC
 * @retval CCZ_OK        accepted, verdict->accept is true
 * @retval CCZ_E_POLICY  refused: err->where "policy:<field>", got, expected, the rule in err->msg; verdict
 *                       zeroed but for `nearest`. With several rules, the one that passed most fields (in the order of the
 *                       table) is reported. Without rules: "policy:empty". A set of reference values that is missing or of another
 *                       size: "policy:reference", "policy:reference-size", whatever the rules say.
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_eval(struct ccz_verdict *verdict, const struct ccz_policy *p,
                                            const struct ccz_claims *claims, int64_t now_s,
                                            struct ccz_err *err);

/**
 * Appends what the claims say about the field of a refusal, all of it: err->got may name only the part that a rule
 * objects to, which tells of the rule. This is what somebody may be told who may not read the policy.
 * @param where  err->where of ccz_policy_eval(); nothing is appended for one that is not about a claim
 */
CCZ_API void ccz_policy_claim(struct ccz_buf *out, const char *where,
                              const struct ccz_claims *claims, int64_t now_s);

/** How one field of one rule fares. Zero is no acceptance. */
enum ccz_policy_outcome {
    CCZ_POLICY_NOT_JUDGED = 0, /**< the rule does not say anything about it, nor does a default */
    CCZ_POLICY_PASS,
    CCZ_POLICY_GRACE, /**< only because of the dated grace */
    CCZ_POLICY_FAIL
};
CCZ_API const char *
ccz_policy_outcome_name(enum ccz_policy_outcome o); /**< "not-judged", "pass", .. */
enum ccz_policy_format { CCZ_POLICY_TEXT, CCZ_POLICY_JSON };
/**
 * Appends what every rule demands, strict defaults included, and how given claims fare with it, field by field;
 * unlike ccz_policy_eval() it does not stop at the first refusal. JSON:
 *   {"rules": [{"rule": name, "tee": tee, "grace_until": time or null, "fields": [{"field": name, "named": by the
 *    rule or by default, "judged": bool, "expected": text or null}]}]}
 * and with claims also {"accept": bool, "where": of the refusal or null, "rule": that accepted or null,
 * "grace_until": time or null}, "accept" per rule, "outcome" and "got" per field.
 * @param claims  NULL = only what is demanded, at @p now_s
 * @retval CCZ_E_LIMIT  out->max_size, or no memory ("policy:explain"); nothing appended
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_explain(struct ccz_buf *out, const struct ccz_policy *p,
                                               const struct ccz_claims *claims, int64_t now_s,
                                               enum ccz_policy_format format, struct ccz_err *err);

/** Appends the JSON Schema (draft 2020-12) of policies, made from the table of fields. What it accepts may still
 *  be refused by ccz_policy_parse(): two rules of one name, min above max, value outside mask, doubled keys, and
 *  grace beside a field that is not judged are beyond a schema. */
CCZ_API void ccz_policy_schema(struct ccz_buf *out);

/**
 * Appends a policy that accepts @p claims and pins their identity: a draft for a human to read and loosen
 * (other builds, later SVNs) or tighten.
 * @param claims  known-good claims from ccz_quote_verify() or ccz_snp_verify()
 * @retval CCZ_E_POLICY  claims that no draft should bless: DEBUG ("policy:draft-debug"), Revoked or no TCB status
 *                       ("policy:draft-status"), no product line ("policy:draft-signer"), no TEE
 *                       ("policy:draft-tee")
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_policy_draft(struct ccz_buf *out, const struct ccz_claims *claims,
                                             struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
