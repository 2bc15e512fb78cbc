/* SPDX-License-Identifier: Apache-2.0 */
#include "dp/dp_priv.h"

#include <math.h>

static bool valid(const struct ccz_dp_adaptive *a)
{
    bool bounds = (a->clip_min == 0 && a->clip_max == 0) ||
                  (a->clip_min > 0 && a->clip_min <= a->clip && a->clip <= a->clip_max);
    return a->clip > 0 && isfinite(a->clip) && a->quantile > 0 && a->quantile < 1 && a->rate > 0 &&
           isfinite(a->rate) && a->count_sigma > 0 && isfinite(a->count_sigma) && bounds;
}

static ccz_rc refuse(const struct ccz_dp_adaptive *a, struct ccz_err *err)
{
    return ccz_fail(err, CCZ_E_ARG, "dp:adaptive", 0,
                    "clip %g in [%g, %g], quantile %g, rate %g, count_sigma %g: out of range",
                    a->clip, a->clip_min, a->clip_max, a->quantile, a->rate, a->count_sigma);
}

ccz_rc ccz_dp_adaptive_multiplier(double *out, double multiplier, const struct ccz_dp_adaptive *a,
                                  struct ccz_err *err)
{
    *out = 0;
    if (!valid(a) || !(multiplier > 0))
        return refuse(a, err);
    /* the bits, moved to -1/2 and 1/2, have sensitivity 1/2 */
    double left = 1 / (multiplier * multiplier) - 1 / (4 * a->count_sigma * a->count_sigma);
    if (!(left > 0)) {
        ccz_fail(err, CCZ_E_ARG, "dp:adaptive", 0,
                 "count_sigma %g spends more than a multiplier of %g allows", a->count_sigma,
                 multiplier);
        return ccz_hint(err, CCZ_E_ARG, "count_sigma must be above half the multiplier");
    }
    *out = 1 / sqrt(left);
    return CCZ_OK;
}

ccz_rc ccz_dp_adaptive_update(struct ccz_dp_adaptive *a, double *fraction, struct ccz_dp_rng *g,
                              double below, double of, struct ccz_err *err)
{
    if (fraction)
        *fraction = 0;
    if (!valid(a))
        return refuse(a, err);
    if (!(of >= 1) || !(below >= 0) || !isfinite(of) || !isfinite(below))
        return ccz_fail(err, CCZ_E_ARG, "dp:adaptive", 0, "%g of %g clients", below, of);
    int64_t noise;
    ccz_rc rc = ccz_dp_discrete_gauss(&noise, g, 1, CCZI_DP_GRID, err);
    if (rc != CCZ_OK)
        return rc;
    /* on the grid of the noise, like every other value */
    double step = a->count_sigma / CCZI_DP_GRID;
    double f = (rint(below / step) + (double)noise) * step / of;
    double clip = a->clip * exp(-a->rate * (f - a->quantile));
    if (a->clip_max > 0)
        clip = fmin(fmax(clip, a->clip_min), a->clip_max);
    if (!(clip > 0) || !isfinite(clip))
        return ccz_fail(err, CCZ_E_ARG, "dp:adaptive", 0, "the clip leaves the range of numbers");
    a->clip = clip;
    if (fraction)
        *fraction = f;
    return CCZ_OK;
}
