/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_KMS_WHY_H
#define CCZI_KMS_WHY_H
/*
 * What a store watches while it decides: who was judged (seen.c), and how policies that are on trial would have judged
 * (staged.c). Nothing here can change a decision or fail a call. Included by kms_priv.h.
 */
#include <cczoo/kms_why.h>

struct cczi_kms_call;
struct cczi_kms_entry;
struct cczi_kms_staged;

/* How the staged policy of the same name judged. */
struct cczi_kms_shadow {
    bool tried;
    bool accept;
    uint8_t sha256[32]; /* of the staged JSON */
    char rule[64];
    int64_t grace_until_s;
    char where[CCZ_ERR_WHERE_SIZE], got[CCZ_ERR_VALUE_SIZE], expected[CCZ_ERR_VALUE_SIZE];
};

/* -------------------------------------------------------------------------- judge.c */

/*
 * A policy over the claims of the peer: the one place where the KMS decides about a workload. call->policy names the
 * policy. Fills in the rule, also of a refusal, and how the policy would judge that is staged for this name.
 */
ccz_rc cczi_kms_verdict(struct cczi_kms_call *call, const struct ccz_policy *policy,
                        struct ccz_err *err);
/* The same judgement over recorded claims, of evidence that would be as old at @p now_s as it was at @p seen_s. */
ccz_rc cczi_kms_verdict_again(struct ccz_verdict *verdict, const struct ccz_policy *policy,
                              const struct ccz_claims *claims, int64_t seen_s, int64_t now_s,
                              struct ccz_err *err);
/* The second from which on @p policy refuses what it accepts at @p now_s, at most @p until_s: graces and reference values end, collateral
 * gets old. Nothing begins later in a policy, so what is refused once stays refused. */
int64_t cczi_kms_accepts_until(const struct ccz_policy *policy, const struct ccz_claims *claims,
                               int64_t now_s, int64_t until_s);

/* --------------------------------------------------------------------------- told.c */

/* What the caller is told of a call that was refused: its decision, and without what a policy expects. After the audit and
 * log line. */
void cczi_kms_tell(struct cczi_kms_entry *e);

/* -------------------------------------------------------------------------- watch.c */

struct cczi_kms_seen;
struct cczi_kms_trials;
struct cczi_kms_still;
struct cczi_kms_unable;
struct cczi_kms_watch {
    struct cczi_kms_seen *seen;
    struct cczi_kms_trials *trials;
    struct cczi_kms_still *still;   /* kms_still.h */
    struct cczi_kms_unable *unable; /* unable.h */
};
ccz_rc cczi_kms_watch_new(struct cczi_kms_watch **out);
void cczi_kms_watch_free(struct cczi_kms_watch *w);
/* A transaction has begun; was committed, or not; its savepoint was undone. @p w NULL = nothing. */
void cczi_kms_watch_begin(struct cczi_kms_watch *w, const uint8_t head[32]);
void cczi_kms_watch_commit(struct cczi_kms_watch *w, const uint8_t head[32]);
void cczi_kms_watch_drop(struct cczi_kms_watch *w);
/* A call begins: what the one before it has left stands, whatever becomes of this one. */
void cczi_kms_watch_call(struct cczi_kms_watch *w);
void cczi_kms_watch_undo(struct cczi_kms_watch *w);
/* The call is decided: its workload, and how the policy on trial judged it, count. Call and claims are borrowed until the
 * transaction ends. Does nothing for a call that no policy has judged. */
void cczi_kms_watch_note(const struct cczi_kms_call *call);
/* Writes what is due, inside a transaction and outside of its savepoint, before COMMIT. What cannot be written is logged, and
 * is due the next time. @return other than CCZ_OK: the transaction itself is lost */
ccz_rc cczi_kms_watch_flush(struct ccz_kms_store *s, struct ccz_err *err);

/* --------------------------------------------------------------------------- seen.c */

#define CCZI_KMS_SEEN_EVERY_S 3600 /* the row of a workload is written at most so often */
ccz_rc cczi_kms_seen_new(struct cczi_kms_seen **out);
void cczi_kms_seen_free(struct cczi_kms_seen *s);
void cczi_kms_seen_note(struct cczi_kms_seen *s, const struct cczi_kms_call *call);
void cczi_kms_seen_commit(struct cczi_kms_seen *s);
void cczi_kms_seen_drop(struct cczi_kms_seen *s);
bool cczi_kms_seen_due(const struct cczi_kms_seen *s); /* there is something to write */
ccz_rc cczi_kms_seen_flush(struct ccz_kms_store *s, struct ccz_err *err);
/* Adds what this server has counted since the row was written. */
void cczi_kms_seen_pending(uint64_t *accepted, uint64_t *refused, const struct cczi_kms_seen *s,
                           const uint8_t id[32]);
/* Id of a row: SHA-256 over a label, the identity of the claims, and the name of the policy. */
ccz_rc cczi_kms_seen_id(uint8_t id[32], const struct ccz_claims *claims, const char *policy,
                        struct ccz_err *err);
/* Other bounds than CCZ_KMS_WORKLOADS_OF_POLICY_MAX and CCZ_KMS_WORKLOADS_MAX, for tests. */
void cczi_kms_seen_limit(struct cczi_kms_seen *s, uint64_t of_policy, uint64_t of_ns);

/* ------------------------------------------------------------------------- staged.c */

#define CCZI_KMS_TRIAL_EVERY_S 60 /* the counts of a staged policy are written at most so often */
ccz_rc cczi_kms_trials_new(struct cczi_kms_trials **out);
void cczi_kms_trials_free(struct cczi_kms_trials *t);
/* Tries the policy that is staged for call->policy, if there is one and it has not ended: call->shadow. */
void cczi_kms_shadow(struct cczi_kms_call *call);
void cczi_kms_trials_note(struct cczi_kms_trials *t, const struct cczi_kms_call *call);
/* What is staged for @p policy changes in this transaction. */
void cczi_kms_trials_touch(struct cczi_kms_trials *t, const char *policy);
void cczi_kms_trials_begin(struct cczi_kms_trials *t, const uint8_t head[32]);
void cczi_kms_trials_commit(struct cczi_kms_trials *t, const uint8_t head[32]);
void cczi_kms_trials_drop(struct cczi_kms_trials *t);
void cczi_kms_trials_undo(struct cczi_kms_trials *t);
bool cczi_kms_trials_due(const struct cczi_kms_trials *t);
ccz_rc cczi_kms_trials_flush(struct ccz_kms_store *s, struct ccz_err *err);
/* Adds what this server has counted since the row was written. */
void cczi_kms_trials_pending(uint64_t *would_accept, uint64_t *would_refuse,
                             const struct cczi_kms_trials *t, const struct cczi_kms_staged *st);
#endif
