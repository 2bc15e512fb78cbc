/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RADAR_H
#define CCZ_RADAR_H
/**
 * @file radar.h
 * Early warning: which platform that is accepted today will be refused, and until when it is accepted. Pure; part
 * of module policy.
 *
 * Intel publishes the TCB levels of a recovery first with update=early and makes them the standard some months
 * later. Evidence that was stored is verified twice, against collateral of either kind, and both claims are judged by
 * the same policy at the same time. What the early one refuses, the standard one will. For SNP, where no levels
 * are published, the warning is the end of a rule's dated grace.
 *
 * Source: src/policy/radar.c. Which SVN is short: ccz_collateral_shortfall() with the early collateral.
 */
#include <cczoo/policy.h>

#ifdef __cplusplus
extern "C" {
#endif

/** In order of urgency, but for UNKNOWN, which a zeroed result is. */
enum ccz_radar_state {
    CCZ_RADAR_UNKNOWN = 0, /**< could not be judged both ways: nothing can be said */
    CCZ_RADAR_REFUSED,     /**< refused today */
    CCZ_RADAR_ENDING,      /**< accepted today, refused by the early collateral */
    CCZ_RADAR_GRACE,       /**< accepted, today or by the early collateral, for a time only */
    CCZ_RADAR_GOOD
};
CCZ_API const char *ccz_radar_state_name(enum ccz_radar_state s); /**< "unknown", "refused", .. */

/** One verification: claims, or why there are none. */
struct ccz_radar_view {
    const struct ccz_claims *claims; /**< NULL: it refused, for the reason in *err */
    const struct ccz_err *err;
};
struct ccz_radar_in {
    struct ccz_radar_view standard, early;
    const struct ccz_policy *policy; /**< NULL = TCB status UpToDate is accepted (SGX, TDX) */
    int64_t now_s;
};
struct ccz_radar {
    enum ccz_radar_state state;
    /** First date at which acceptance may end, seconds since 1970 UTC; 0 if it has (or is unknown), INT64_MAX if
     *  nothing known will end it. ENDING: expiry of the standard collateral at hand, or the end of the grace by which
     *  it is accepted, whichever is first. Earlier only if newer collateral is fetched earlier. */
    int64_t until_s;
    char rule[64]; /**< by which it is accepted today, "" without policy */
    struct ccz_err
        why; /**< the refusal that is there or will come: where, got, expected; zeroed if GOOD */
};
/**
 * Refusals for reasons of the verifier's surroundings (no collateral for the platform, expired collateral, files) make
 * the state UNKNOWN: they say nothing about the platform. A refusal by the early collateral counts only if the
 * standard one accepts.
 */
CCZ_API void ccz_radar(struct ccz_radar *out, const struct ccz_radar_in *in);

#ifdef __cplusplus
}
#endif
#endif
