/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_KMS_WHY_H
#define CCZ_KMS_WHY_H
/**
 * @file kms_why.h
 * Why a KMS decided as it did, and what another policy would have done: the client's side of it.
 *
 * Terms. A *decision* is a call that is on record; its id is "D" and the number of its audit line ("D17"). A refused
 * workload is told where it was refused, its own claim and the id; what the policy expected stands in the line, which
 * ccz_kms_why() shows to auditors. A *workload* here is one row of what the KMS has seen: claims of one identity
 * (ccz_claims_identity()) that were judged under one policy. *Replay* judges those claims again under another policy,
 * with the very code that decides. A *staged* policy stands beside the policy of the same name until it is rolled out,
 * taken back or over: it is judged on every release, counted and noted in the audit line, and never decides.
 *
 * Each function is one blocking call, or a few (30 s each), as those of kms.h. Texts in structures are NUL-terminated.
 * Reading order of the sources: judge.c, told.c, staged.c, seen.c, methods_why.c, methods_evidence.c, client_why.c. Design:
 * docs/design/kms-why.md.
 */
#include <cczoo/kms.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CCZ_KMS_DECISION_SIZE 24 /**< "D", 20 digits and the NUL */
#define CCZ_KMS_WORKLOADS_MAX                                                                      \
    10000 /**< recorded for the policies of a namespace; what never got anything makes room first, then the oldest */
#define CCZ_KMS_WORKLOADS_OF_POLICY_MAX 2500 /**< and for one policy */
#define CCZ_KMS_RAW_EVIDENCE_MAX        1000 /**< kept in a namespace; the oldest makes room */
#define CCZ_KMS_RAW_EVIDENCE_BYTES_MAX  (16 << 20) /**< and all of them together */
#define CCZ_KMS_STAGE_S_MAX             31622400   /**< how long a policy may be staged: 366 days */

/** "D17" for 17. */
CCZ_API void ccz_kms_decision_print(char out[CCZ_KMS_DECISION_SIZE], uint64_t audit_seq);
/** The inverse, one spelling only. @retval CCZ_E_FORMAT "kms:decision"; @p audit_seq is 0 then */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_decision_parse(uint64_t *audit_seq, struct ccz_span text,
                                                   struct ccz_err *err);

/* ------------------------------------------------------------------------------------ why */

/** A decision as it is on record. What a line does not have is empty or 0. */
struct ccz_kms_decision {
    char id[CCZ_KMS_DECISION_SIZE];
    int64_t time_s;
    char op[32]; /**< method */
    bool accepted;
    char item[CCZ_KMS_ITEM_SIZE];
    uint32_t version;
    char policy[CCZ_KMS_NAME_SIZE];
    char policy_sha256[65]; /**< hex of the policy as it was then */
    char rule[64];          /**< that accepted, or that the refusal is about */
    char grace_until[21];   /**< accepted only until then, by the rule's dated grace */
    char where[CCZ_ERR_WHERE_SIZE], got[CCZ_ERR_VALUE_SIZE], expected[CCZ_ERR_VALUE_SIZE];
    char reason[CCZ_ERR_MSG_SIZE];
    char references
        [CCZ_POLICY_DECIDED_SIZE]; /**< reference values that accepted, as in struct ccz_verdict */
    struct ccz_span entry;         /**< the whole line, JSON; borrowed, valid in the callback */
};
typedef void (*ccz_kms_decision_fn)(void *arg, const struct ccz_kms_decision *d);
/**
 * Auditor of the namespace of the item (or policy) that the decision is about; of a line without one, auditor of all.
 * The hash of the line is checked. @p fn is called once, on this thread.
 * @retval CCZ_E_FORMAT     "kms:decision"
 * @retval CCZ_E_NOT_FOUND  "kms:decision" there is no such line; somebody who may not read it gets the refusal of that
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_why(struct ccz_rpc_client *c, const char *id,
                                        ccz_kms_decision_fn fn, void *arg, struct ccz_err *err);

/* ---------------------------------------------------------------------- workloads, replay */

/** What the KMS has seen. Counts miss what the last hour brought, if a server ended in it. */
struct ccz_kms_workload {
    uint8_t id[32];
    char policy[CCZ_KMS_NAME_SIZE]; /**< under which it was judged */
    enum ccz_tee tee;
    bool simulated;
    char measurement[97]; /**< hex: MRENCLAVE, MRTD or MEASUREMENT */
    char status[64];      /**< TCB status, "" for SNP */
    int64_t first_s, last_s;
    uint64_t accepted, refused;
    struct ccz_span claims; /**< JSON of ccz_claims_json(), as it was at last_s; borrowed */
};
typedef void (*ccz_kms_workload_fn)(void *arg, const struct ccz_kms_workload *w);
/** Auditor: workloads in the order of their ids, fetched in pages. @param policy  NULL = of every policy that the caller may read */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_workloads(struct ccz_rpc_client *c, const char *policy,
                                              ccz_kms_workload_fn fn, void *arg,
                                              struct ccz_err *err);

/** How one workload fares. */
struct ccz_kms_replayed {
    struct ccz_kms_workload workload; /**< without claims */
    bool now;                         /**< the policy that is in force accepts it */
    bool then;                        /**< the other one accepts it */
    char rule[64];         /**< of the other one: that accepts, or that the refusal is about */
    int64_t grace_until_s; /**< accepts only until then; 0 = no grace in it */
    char where[CCZ_ERR_WHERE_SIZE], got[CCZ_ERR_VALUE_SIZE], expected[CCZ_ERR_VALUE_SIZE];
    char reason[CCZ_ERR_MSG_SIZE];
    char references[CCZ_POLICY_DECIDED_SIZE]; /**< of the other one: by which it accepts */
};
typedef void (*ccz_kms_replayed_fn)(void *arg, const struct ccz_kms_replayed *r);
struct ccz_kms_replay {
    uint8_t sha256[32]; /**< of the JSON that was tried */
    uint64_t workloads, blocked /**< accepted now and refused then */,
        admitted /**< the opposite */;
};
/**
 * Auditor or author: what @p json would do to the workloads that were judged under policy @p policy. The collateral of a
 * workload counts as being as old as it was when the workload was last seen.
 * @param[out] out  may be NULL
 * @param json      empty = the policy that is staged for this name
 * @param at_s      judged at this time, 0 = now: a later one shows what is left when a grace has ended
 * @param fn        called for each workload, on this thread; NULL = only count
 * @retval CCZ_E_NOT_FOUND  "kms:not-found" no such policy, "kms:not-staged"
 * @retval CCZ_E_MISMATCH   "kms:staged-changed", "kms:replay-changed" what judges was changed by somebody meanwhile: run it again
 * @retval CCZ_E_LIMIT      "kms:look-rate" readers of the namespace have used up their time
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_replay_policy(struct ccz_kms_replay *out,
                                                  struct ccz_rpc_client *c, const char *policy,
                                                  struct ccz_span json, int64_t at_s,
                                                  ccz_kms_replayed_fn fn, void *arg,
                                                  struct ccz_err *err);

/* ------------------------------------------------------------------------------- evidence */

/** "cczoo-kms:<instance, 32 hex>/evidence/<SHA-256, 64 hex>?namespace=<NS>": how a token names evidence that a KMS keeps. */
#define CCZ_KMS_EVIDENCE_URI_SIZE 256
struct ccz_kms_kept {
    uint8_t sha256[32]; /**< of the evidence */
    char tee[8];
    int64_t time_s; /**< when it was verified last */
};
/** Auditor: raw evidence that was kept for @p ns (that of the policy that the token names, or ""). The digest is checked.
 *  @param[out] evidence  appended: a quote, or a report with its certificates, for ccz_evidence_open()
 *  @retval CCZ_E_NOT_FOUND  "kms:not-found" it was never kept, or has made room */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_get_evidence(struct ccz_kms_kept *out, struct ccz_buf *evidence,
                                                 struct ccz_rpc_client *c, const char *ns,
                                                 const uint8_t sha256[32], struct ccz_err *err);

/* --------------------------------------------------------------------------------- staged */

struct ccz_kms_staged {
    char policy[CCZ_KMS_NAME_SIZE];
    uint8_t sha256[32]; /**< of its JSON */
    int64_t created_s, ends_s;
    bool ended; /**< it is not tried any more, and cannot be rolled out */
    /** Releases that it was tried on, by its verdict. A server that ends at once may take its last minute with it. */
    uint64_t would_accept, would_refuse;
};
/**
 * Author: tries @p json beside policy @p policy, which exists, until @p ends_s.
 * @param replace  a policy may be staged for this name already
 * @retval CCZ_E_EXISTS  "kms:staged-exists"   @retval CCZ_E_FORMAT "kms:stage-end" not in the future, or more than 366 days
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_stage(struct ccz_kms_receipt *receipt, struct ccz_rpc_client *c,
                                          const char *policy, struct ccz_span json, int64_t ends_s,
                                          bool replace, struct ccz_err *err);
/** Author: takes it back. @retval CCZ_E_NOT_FOUND "kms:not-staged" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_unstage(struct ccz_kms_receipt *receipt,
                                            struct ccz_rpc_client *c, const char *policy,
                                            struct ccz_err *err);
/** Auditor: what is staged for one policy. @param[out] json  appended; may be NULL. @retval CCZ_E_NOT_FOUND "kms:not-staged" */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_get_staged(struct ccz_kms_staged *out, struct ccz_buf *json,
                                               struct ccz_rpc_client *c, const char *policy,
                                               struct ccz_err *err);
typedef void (*ccz_kms_staged_fn)(void *arg, const struct ccz_kms_staged *s);
/** Auditor: everything that is staged, by name. */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_list_staged(struct ccz_rpc_client *c, ccz_kms_staged_fn fn,
                                                void *arg, struct ccz_err *err);
/**
 * Author: the staged policy becomes the policy of its name, for every item bound to it at once. Where approvals are needed
 * this is one of the methods that need them.
 * @param sha256  of the staged JSON that the caller means: what was staged meanwhile is not rolled out by an older decision
 * @retval CCZ_E_MISMATCH  "kms:staged-changed"   @retval CCZ_E_EXPIRED "kms:staged-ended"   @retval CCZ_E_NOT_FOUND "kms:not-staged"
 */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_roll_out(struct ccz_kms_receipt *receipt,
                                             struct ccz_rpc_client *c, const char *policy,
                                             const uint8_t sha256[32], struct ccz_err *err);
/** Author, where approvals are needed: proposes it. The digest is a part of what is approved. @param valid_s  as ccz_kms_propose() */
CCZ_API CCZ_MUST_USE ccz_rc ccz_kms_propose_roll_out(struct ccz_kms_proposed *out,
                                                     struct ccz_rpc_client *c, const char *policy,
                                                     const uint8_t sha256[32], uint32_t valid_s,
                                                     struct ccz_err *err);

#ifdef __cplusplus
}
#endif
#endif
