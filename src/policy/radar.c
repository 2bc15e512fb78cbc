/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/radar.h>

#include "policy/policy_priv.h"

#include <stdio.h>
#include <string.h>

const char *ccz_radar_state_name(enum ccz_radar_state s)
{
    switch (s) {
    case CCZ_RADAR_UNKNOWN:
        return "unknown";
    case CCZ_RADAR_REFUSED:
        return "refused";
    case CCZ_RADAR_ENDING:
        return "ending";
    case CCZ_RADAR_GRACE:
        return "grace";
    case CCZ_RADAR_GOOD:
        return "good";
    }
    return "unknown";
}

/* How one view ends. */
enum answer { UNKNOWN, YES, NO };

/* Reasons that lie with collateral, clock or files, not with the platform. */
static bool surroundings(ccz_rc rc)
{
    return rc != CCZ_E_SIG && rc != CCZ_E_POLICY && rc != CCZ_E_REVOKED && rc != CCZ_E_UNTRUSTED &&
           rc != CCZ_E_MISMATCH && rc != CCZ_E_FORMAT && rc != CCZ_E_LIMIT &&
           rc != CCZ_E_UNSUPPORTED;
}

/* Without a policy there is still one demand that everybody makes. */
static ccz_rc default_policy(struct ccz_verdict *v, const struct ccz_claims *c, int64_t now_s,
                             struct ccz_err *err)
{
    *v = (struct ccz_verdict){0};
    if (c->tee == CCZ_TEE_SNP)
        return ccz_fail(err, CCZ_E_ARG, "radar:policy", 0,
                        "AMD publishes no TCB statuses: a policy has to say which TCB will do");
    if (now_s > c->collateral_expires_s)
        return ccz_fail(err, CCZ_E_EXPIRED, "radar:collateral-expired", 0,
                        "the collateral has expired");
    if (c->tcb_status != CCZ_TCB_UP_TO_DATE)
        return ccz_refuse(err, CCZ_E_POLICY, "radar:tcb_status", ccz_tcb_status_name(c->tcb_status),
                          ccz_tcb_status_name(CCZ_TCB_UP_TO_DATE));
    v->accept = true;
    return CCZ_OK;
}

static enum answer judge(struct ccz_verdict *v, const struct ccz_radar_view *view,
                         const struct ccz_radar_in *in, struct ccz_err *err)
{
    *v = (struct ccz_verdict){0};
    ccz_rc rc;
    if (!view->claims) {
        *err = view->err ? *view->err : (struct ccz_err){.rc = CCZ_E_ARG};
        rc = err->rc;
    } else if (in->policy) {
        rc = ccz_policy_eval(v, in->policy, view->claims, in->now_s, err);
        if (rc != CCZ_OK && strcmp(err->where, "policy:collateral-expired") == 0)
            return UNKNOWN;
    } else {
        rc = default_policy(v, view->claims, in->now_s, err);
    }
    if (rc == CCZ_OK && v->accept)
        return YES;
    return surroundings(rc) ? UNKNOWN : NO;
}

/* What will refuse when the grace is over: the first field that holds by it alone. */
static void explain_grace(struct ccz_err *why, const struct ccz_radar_in *in,
                          const struct ccz_verdict *v, const struct ccz_claims *claims)
{
    for (size_t r = 0; r < in->policy->len; r++) {
        const struct cczi_rule *rule = &in->policy->rule[r];
        if (strcmp(rule->name, v->rule) != 0)
            continue;
        size_t i = 0;
        while (i < cczi_fields_len && cczi_judge(rule, i, claims, in->now_s) != CCZ_POLICY_GRACE)
            i++;
        if (i == cczi_fields_len)
            return;
        const struct cczi_field *f = &cczi_fields[i];
        CCZ_AUTO_BUF got, want;
        ccz_buf_init(&got, CCZI_TEXT_SIZE_MAX);
        ccz_buf_init(&want, CCZI_TEXT_SIZE_MAX);
        f->kind->got(&got, &(struct cczi_check){f, &rule->value[i], claims, in->now_s});
        f->kind->want(&want, f, &rule->value[i], true);
        char where[CCZ_ERR_WHERE_SIZE];
        (void)snprintf(where, sizeof(where), "policy:%s", f->name);
        (void)ccz_refuse(why, CCZ_E_POLICY, where, ccz_buf_str(&got), ccz_buf_str(&want));
        (void)ccz_hint(why, CCZ_E_POLICY, f->hint);
        return;
    }
}

void ccz_radar(struct ccz_radar *out, const struct ccz_radar_in *in)
{
    struct ccz_verdict now, early;
    struct ccz_err err_now = {0}, err_early = {0};
    *out = (struct ccz_radar){0};
    enum answer a = judge(&now, &in->standard, in, &err_now);
    if (a != YES) {
        out->state = a == NO ? CCZ_RADAR_REFUSED : CCZ_RADAR_UNKNOWN;
        out->why = err_now;
        return;
    }
    memcpy(out->rule, now.rule, sizeof(out->rule));
    enum answer b = judge(&early, &in->early, in, &err_early);
    if (b == UNKNOWN) {
        out->why = err_early;
        return;
    }
    out->until_s = now.grace_until_s ? now.grace_until_s : INT64_MAX;
    if (b == NO) {
        out->state = CCZ_RADAR_ENDING;
        out->why = err_early;
        if (in->standard.claims->collateral_expires_s < out->until_s)
            out->until_s = in->standard.claims->collateral_expires_s;
        return;
    }
    const struct ccz_verdict *by = early.grace_until_s ? &early : &now;
    out->state = by->grace_until_s ? CCZ_RADAR_GRACE : CCZ_RADAR_GOOD;
    if (out->state == CCZ_RADAR_GOOD)
        return;
    if (by->grace_until_s < out->until_s)
        out->until_s = by->grace_until_s;
    explain_grace(&out->why, in, by, by == &early ? in->early.claims : in->standard.claims);
}
