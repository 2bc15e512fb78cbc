/* SPDX-License-Identifier: Apache-2.0 */
/* The verdict over a workload, now and again. */
#include "kms_priv.h"

#include <string.h>

/* OK without an accepting rule: a bug below must not open the door. */
static ccz_rc verdict_of(struct ccz_verdict *v, const struct ccz_policy *policy,
                         const struct ccz_claims *claims, int64_t now_s, struct ccz_err *err)
{
    ccz_rc rc = ccz_policy_eval(v, policy, claims, now_s, err);
    if (rc == CCZ_OK && !v->accept)
        rc = ccz_refuse(err, CCZ_E_POLICY, "kms:verdict", "no rule accepted", "an accepting rule");
    return rc;
}

ccz_rc cczi_kms_verdict(struct cczi_kms_call *call, const struct ccz_policy *policy,
                        struct ccz_err *err)
{
    struct ccz_verdict v = {0};
    call->judged = true;
    ccz_rc rc = verdict_of(&v, policy, &call->req->peer->claims, call->req->now_s, err);
    memcpy(call->rule, rc == CCZ_OK ? v.rule : v.nearest, sizeof(call->rule));
    memcpy(call->references, rc == CCZ_OK ? v.references : "",
           rc == CCZ_OK ? sizeof(v.references) : 1);
    call->grace_until_s = rc == CCZ_OK ? v.grace_until_s : 0;
    call->accepted = rc == CCZ_OK;
    cczi_kms_shadow(call); /* the verdict stands; this only looks on */
    return rc;
}

int64_t cczi_kms_accepts_until(const struct ccz_policy *policy, const struct ccz_claims *claims,
                               int64_t now_s, int64_t until_s)
{
    struct ccz_verdict v;
    int64_t good_s = now_s,
            bad_s = until_s; /* looked for between: the first second that is refused */
    if (until_s <= now_s || verdict_of(&v, policy, claims, until_s - 1, NULL) == CCZ_OK)
        return until_s;
    while (bad_s - good_s > 1) {
        int64_t at_s = good_s + (bad_s - good_s) / 2;
        if (verdict_of(&v, policy, claims, at_s, NULL) == CCZ_OK)
            good_s = at_s;
        else
            bad_s = at_s;
    }
    return bad_s;
}

static int64_t later(int64_t t_s, int64_t by_s)
{
    return t_s > INT64_MAX - by_s ? INT64_MAX : t_s + by_s;
}

ccz_rc cczi_kms_verdict_again(struct ccz_verdict *verdict, const struct ccz_policy *policy,
                              const struct ccz_claims *claims, int64_t seen_s, int64_t now_s,
                              struct ccz_err *err)
{
    /* The evidence that comes next is judged with collateral of its own day. */
    struct ccz_claims c = *claims;
    if (now_s > seen_s) {
        c.collateral_expires_s = later(c.collateral_expires_s, now_s - seen_s);
        if (c.collateral_issued_s) /* 0: no revocation list was given */
            c.collateral_issued_s = later(c.collateral_issued_s, now_s - seen_s);
    }
    return verdict_of(verdict, policy, &c, now_s, err);
}
