/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Renyi differential privacy of the subsampled Gaussian mechanism. Sums of positive and negative terms that do not fit a
 * double are kept as logarithms.
 *   POISSON  Mironov, Talwar, Zhang, "Renyi differential privacy of the sampled Gaussian mechanism" (2019), 3.3
 *   FIXED    Wang, Balle, Kasiviswanathan, "Subsampled Renyi differential privacy and analytical moments accountant"
 *            (2019), theorem 27
 */
#include "dp/dp_priv.h"

#include <math.h>

enum { EXACT_ORDER_MAX = 256, SERIES_MAX = 100000 };

static double log_add(double a, double b)
{
    double hi = fmax(a, b), lo = fmin(a, b);
    return lo == -INFINITY ? hi : hi + log1p(exp(lo - hi));
}

/* log(e^a - e^b), a >= b */
static double log_sub(double a, double b)
{
    if (b == -INFINITY)
        return a;
    return a > b ? a + log(-expm1(b - a)) : -INFINITY;
}

/* lgamma() writes a global; this one has no sign to tell, as its argument is positive. Stirling's series from 16 on. */
static double log_gamma(double x)
{
    double shift = 0;
    for (; x < 16; x += 1)
        shift += log(x);
    double r = 1 / (x * x);
    double tail = (1.0 / 12 - r * (1.0 / 360 - r * (1.0 / 1260 - r * (1.0 / 1680)))) / x;
    return (x - 0.5) * log(x) - x + 0.91893853320467274178 + tail - shift; /* log sqrt(2 pi) */
}

static double log_choose(double n, double k)
{
    return log_gamma(n + 1) - log_gamma(k + 1) - log_gamma(n - k + 1);
}

static double log_erfc(double x)
{
    if (x < 20)
        return log(erfc(x));
    double r = 1 / (x * x);                        /* asymptotic, error below 10^-12 */
    return -x * x - log(x * 1.7724538509055160273) /* sqrt(pi) */
           + log1p(r * (-0.5 + r * (0.75 + r * (-1.875 + r * 6.5625))));
}

/* ------------------------------------------------------------------------------------ Poisson */

static double poisson_whole(double q, double z, unsigned order)
{
    double sum = -INFINITY;
    for (unsigned k = 0; k <= order; k++) {
        double d = k;
        double term =
            log_choose(order, d) + d * log(q) + (order - d) * log1p(-q) + d * (d - 1) / (2 * z * z);
        sum = log_add(sum, term);
    }
    return sum;
}

/* The two halves of the real line, split where both densities weigh the same, each a binomial series. */
static double poisson_series(double q, double z, double order)
{
    double plus = -INFINITY, minus = -INFINITY, choose = 0;
    double split = z * z * log(1 / q - 1) + 0.5;
    bool negative = false; /* sign of the binomial coefficient */
    for (unsigned i = 0; i < SERIES_MAX; i++) {
        double k = i, m = order - i;
        double left = choose + k * log(q) + m * log1p(-q) + k * (k - 1) / (2 * z * z) - log(2) +
                      log_erfc((k - split) / (sqrt(2) * z));
        double right = choose + m * log(q) + k * log1p(-q) + m * (m - 1) / (2 * z * z) - log(2) +
                       log_erfc((split - m) / (sqrt(2) * z));
        double term = log_add(left, right);
        if (negative)
            minus = log_add(minus, term);
        else
            plus = log_add(plus, term);
        if (i > order &&
            term < -37) /* signs alternate from here on, and the sum is about 1 or more */
            break;
        choose += log(fabs(order - k)) - log(k + 1);
        negative ^= order - k < 0;
    }
    return log_sub(plus, minus);
}

static double poisson(double q, double z, double order)
{
    double sum =
        order == floor(order) ? poisson_whole(q, z, (unsigned)order) : poisson_series(q, z, order);
    return fmax(sum, 0) / (order - 1);
}

/* -------------------------------------------------------------------------------------- fixed */

/*
 * diff[l / 2] = log E (p(t) / q(t) - 1)^l for even l, t from q, of two Gaussians at a distance of 1 / z: the l-th forward
 * difference in the paper. Its alternating sum cancels beyond the precision of a double; the trapezoidal rule of the
 * expectation adds positive terms only, and converges exponentially: steps of 1/4 leave less than 10^-130 of each of
 * the Gaussians that the sum is made of.
 */
static void differences(double diff[EXACT_ORDER_MAX / 2 + 1], double z, unsigned order_max)
{
    const double step = 0.25;
    for (unsigned l = 2; l <= order_max; l += 2) {
        double sum = -INFINITY, end = l / z + 24;
        for (double t = -24; t <= end; t += step) {
            double ratio = t / z - 1 / (2 * z * z);
            double base = ratio > 30 ? ratio : log(fabs(expm1(ratio)));
            sum = log_add(sum, l * base - t * t / 2);
        }
        diff[l / 2] = sum + log(step) - 0.91893853320467274178; /* log sqrt(2 pi) */
    }
}

/* Term j of the theorem, without the binomial coefficient and the power of q. */
static double fixed_term(unsigned j, double z, const double *diff)
{
    double moment = (double)j * (j - 1) / (2 * z * z); /* log E (p / q)^j */
    if (j == 2) {
        double two = 1 / (z * z);
        return fmin(log(4) + log(expm1(two)), two + log(2));
    }
    if (!diff)
        return log(2) + moment;
    return fmin(log(4) + (diff[j / 2] + diff[(j + 1) / 2]) / 2, log(2) + moment);
}

static double fixed_whole(double q, double z, unsigned order, const double *diff)
{
    double sum = 0;
    if (order > EXACT_ORDER_MAX)
        diff = NULL;
    for (unsigned j = 2; j <= order; j++)
        sum = log_add(sum, log_choose(order, j) + j * log(q) + fixed_term(j, z, diff));
    return sum;
}

/* Between whole orders the logarithm of the moment is convex. Never more than without sampling. */
static double fixed(double q, double z, double order, const double *diff)
{
    double lo = floor(order), part = order - lo;
    double sum = fixed_whole(q, z, (unsigned)lo, diff) * (1 - part);
    if (part > 0)
        sum += fixed_whole(q, z, (unsigned)lo + 1, diff) * part;
    return fmin(sum / (order - 1), order / (2 * z * z));
}

/* ------------------------------------------------------------------------------------- public */

static ccz_rc check_event(const struct ccz_dp_event *e, struct ccz_err *err)
{
    bool known =
        e->sampling == CCZ_DP_ALL || e->sampling == CCZ_DP_POISSON || e->sampling == CCZ_DP_FIXED;
    bool rate = e->sampling == CCZ_DP_ALL || (e->rate > 0 && e->rate <= 1);
    if (!known || !rate || !(e->multiplier >= 0) || !isfinite(e->multiplier))
        return ccz_fail(err, CCZ_E_ARG, "dp:event", 0,
                        "sampling %d at rate %g with multiplier %g: out of range", (int)e->sampling,
                        e->rate, e->multiplier);
    return CCZ_OK;
}

static double one_order(const struct ccz_dp_event *e, double order, const double *diff)
{
    double z = e->multiplier;
    if (z < 1e-3) /* spends without bound */
        return INFINITY;
    if (e->sampling == CCZ_DP_ALL || e->rate == 1)
        return order / (2 * z * z);
    return e->sampling == CCZ_DP_POISSON ? poisson(e->rate, z, order)
                                         : fixed(e->rate, z, order, diff);
}

static bool wants_differences(const struct ccz_dp_event *e)
{
    return e->sampling == CCZ_DP_FIXED && e->rate < 1 && e->multiplier >= 1e-3;
}

ccz_rc ccz_dp_rdp(double *out, const struct ccz_dp_event *event, double order, struct ccz_err *err)
{
    double diff[EXACT_ORDER_MAX / 2 + 1] = {0};
    *out = 0;
    ccz_rc rc = check_event(event, err);
    if (rc != CCZ_OK)
        return rc;
    if (!(order > 1) || !(order <= 65536))
        return ccz_fail(err, CCZ_E_ARG, "dp:order", 0,
                        "order %g, expected above 1 and at most 65536", order);
    if (wants_differences(event)) {
        double top = fmin(ceil(order / 2) * 2, EXACT_ORDER_MAX);
        differences(diff, event->multiplier, (unsigned)top);
    }
    *out = one_order(event, order, diff);
    return CCZ_OK;
}

ccz_rc cczi_dp_rdp_all(double rdp[CCZ_DP_ORDERS], const struct ccz_dp_event *event,
                       struct ccz_err *err)
{
    double diff[EXACT_ORDER_MAX / 2 + 1] = {0};
    ccz_rc rc = check_event(event, err);
    if (rc != CCZ_OK)
        return rc;
    if (wants_differences(event))
        differences(diff, event->multiplier, EXACT_ORDER_MAX);
    for (size_t i = 0; i < CCZ_DP_ORDERS; i++)
        rdp[i] = one_order(event, ccz_dp_order(i), diff);
    return CCZ_OK;
}
