/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/dp_priv.h"

#include <math.h>

#define MULTIPLIER_MAX 1e6

double ccz_dp_order(size_t i)
{
    static const double large[] = {128, 256, 512, 1024};
    if (i < 99)
        return 1 + (double)(i + 1) / 10;
    if (i < 152)
        return (double)(i - 88);
    return i < CCZ_DP_ORDERS ? large[i - 152] : 0;
}

ccz_rc ccz_dp_spend(struct ccz_dp_accountant *a, const struct ccz_dp_event *event,
                    struct ccz_err *err)
{
    double rdp[CCZ_DP_ORDERS];
    ccz_rc rc = cczi_dp_rdp_all(rdp, event, err);
    if (rc != CCZ_OK || event->steps == 0)
        return rc;
    for (size_t i = 0; i < CCZ_DP_ORDERS; i++)
        a->rdp[i] += rdp[i] * (double)event->steps;
    return CCZ_OK;
}

static double epsilon_at(double rdp, double order, double delta)
{
    /* as small as this, the total variation distance alone is at most delta */
    if (delta * delta + expm1(-rdp) > 0)
        return 0;
    return rdp + log1p(-1 / order) - log(delta * order) / (order - 1);
}

/* The smallest over all orders. */
static double epsilon_of(const double rdp[CCZ_DP_ORDERS], double delta, double *order)
{
    double best = INFINITY;
    for (size_t i = 0; i < CCZ_DP_ORDERS; i++) {
        double e = epsilon_at(rdp[i], ccz_dp_order(i), delta);
        if (!(e >= best)) {
            best = e;
            *order = ccz_dp_order(i);
        }
    }
    return fmax(best, 0);
}

static ccz_rc check_delta(double delta, struct ccz_err *err)
{
    if (delta > 0 && delta < 1)
        return CCZ_OK;
    return ccz_fail(err, CCZ_E_ARG, "dp:delta", 0, "delta %g, expected above 0 and below 1", delta);
}

ccz_rc ccz_dp_epsilon(double *epsilon, double *order, const struct ccz_dp_accountant *a,
                      double delta, struct ccz_err *err)
{
    double at = 0;
    *epsilon = 0;
    if (order)
        *order = 0;
    ccz_rc rc = check_delta(delta, err);
    if (rc != CCZ_OK)
        return rc;
    *epsilon = epsilon_of(a->rdp, delta, &at);
    if (order)
        *order = at;
    return CCZ_OK;
}

ccz_rc ccz_dp_delta(double *delta, double *order, const struct ccz_dp_accountant *a, double epsilon,
                    struct ccz_err *err)
{
    double best = 0; /* log of delta = 1 */
    *delta = 0;
    if (order)
        *order = 0;
    if (!(epsilon >= 0) || !isfinite(epsilon))
        return ccz_fail(err, CCZ_E_ARG, "dp:epsilon", 0, "epsilon %g, expected at least 0",
                        epsilon);
    for (size_t i = 0; i < CCZ_DP_ORDERS; i++) {
        double o = ccz_dp_order(i), r = a->rdp[i];
        double bound = (o - 1) * (r - epsilon + log1p(-1 / o)) - log(o);
        bound = fmin(bound, log(-expm1(-r)) / 2);
        if (bound < best) {
            best = bound;
            if (order)
                *order = o;
        }
    }
    *delta = exp(best);
    return CCZ_OK;
}

/* Epsilon of everything if the event had this multiplier. */
static double epsilon_with(double multiplier, const struct ccz_dp_event *event,
                           const struct ccz_dp_accountant *spent, double delta)
{
    struct ccz_dp_accountant a = *spent;
    struct ccz_dp_event e = *event;
    double order;
    e.multiplier = multiplier;
    if (ccz_dp_spend(&a, &e, NULL) != CCZ_OK)
        return INFINITY;
    return epsilon_of(a.rdp, delta, &order);
}

ccz_rc ccz_dp_calibrate(double *multiplier, const struct ccz_dp_event *event,
                        const struct ccz_dp_accountant *spent, double epsilon, double delta,
                        struct ccz_err *err)
{
    static const struct ccz_dp_accountant nothing;
    struct ccz_dp_event e = *event;
    double probe[CCZ_DP_ORDERS];
    *multiplier = 0;
    ccz_rc rc = check_delta(delta, err);
    if (rc != CCZ_OK)
        return rc;
    if (!(epsilon > 0) || !isfinite(epsilon))
        return ccz_fail(err, CCZ_E_ARG, "dp:epsilon", 0, "epsilon %g, expected above 0", epsilon);
    e.multiplier = MULTIPLIER_MAX;
    rc = cczi_dp_rdp_all(probe, &e, err);
    if (rc != CCZ_OK)
        return rc;
    if (!spent)
        spent = &nothing;
    double lo = 0.01, hi = 1;
    while (hi < MULTIPLIER_MAX && epsilon_with(hi, event, spent, delta) > epsilon)
        hi *= 4;
    if (epsilon_with(hi, event, spent, delta) > epsilon)
        return ccz_fail(err, CCZ_E_LIMIT, "dp:calibrate", 0,
                        "no multiplier up to %g keeps epsilon below %g", MULTIPLIER_MAX, epsilon);
    while (hi - lo > 1e-5 * hi) {
        double mid = (lo + hi) / 2;
        if (epsilon_with(mid, event, spent, delta) > epsilon)
            lo = mid;
        else
            hi = mid;
    }
    *multiplier = hi;
    return CCZ_OK;
}
