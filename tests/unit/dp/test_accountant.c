/* SPDX-License-Identifier: Apache-2.0 */
/* The accountant against values of dp-accounting 0.6.0 (tests/interop/test_dp.py has the whole grid), and its limits. */
#include "ccz_test.h"

#include <cczoo/dp.h>
#include <math.h>

static struct ccz_dp_accountant spent(enum ccz_dp_sampling sampling, double rate, double z,
                                      uint64_t steps)
{
    struct ccz_dp_accountant a = {0};
    const struct ccz_dp_event e = {sampling, rate, z, steps};
    CHECK(ccz_dp_spend(&a, &e, NULL) == CCZ_OK);
    return a;
}

static double epsilon(const struct ccz_dp_accountant *a, double delta)
{
    double e;
    CHECK(ccz_dp_epsilon(&e, NULL, a, delta, NULL) == CCZ_OK);
    return e;
}

static void refused(ccz_rc got, ccz_rc want, const struct ccz_err *err, const char *where)
{
    CHECK(got == want);
    CHECK(err->rc == want && strcmp(err->where, where) == 0 && err->msg[0]);
}

static void test_pinned(void)
{
    static const struct {
        enum ccz_dp_sampling sampling;
        double rate, z;
        uint64_t steps;
        double delta, epsilon, order, delta_of_2;
    } rows[] = {
        {CCZ_DP_ALL, 1, 1, 1, 1e-05, 4.72850707, 5.4, 0.054305},
        {CCZ_DP_ALL, 1, 4, 100, 1e-06, 15.327984, 3, 0.825844},
        {CCZ_DP_ALL, 1, 30, 7, 1e-05, 0.327669484, 45, 8.33723e-115},
        {CCZ_DP_POISSON, 0.01, 1.1, 10000, 1e-05, 5.63201067, 4.7, 0.104905},
        {CCZ_DP_POISSON, 0.004266666666666667, 1.1, 14040, 1e-05, 2.59436336, 8.1, 0.000449617},
        {CCZ_DP_POISSON, 0.1, 0.7, 100, 1e-06, 18.4699893, 2.2, 1},
        {CCZ_DP_POISSON, 0.001, 0.5, 50, 1e-05, 3.44495294, 3.9, 0.000602681},
        {CCZ_DP_FIXED, 0.01, 1, 1000, 1e-05, 3.57611148, 6, 0.0080304},
        {CCZ_DP_FIXED, 0.1, 4, 200, 1e-06, 3.73705599, 7, 0.00584137},
        {CCZ_DP_FIXED, 0.001, 2, 20000, 1e-08, 0.812060846, 36, 2.05572e-34},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct ccz_dp_accountant a =
            spent(rows[i].sampling, rows[i].rate, rows[i].z, rows[i].steps);
        double e, d, order;
        CHECK(ccz_dp_epsilon(&e, &order, &a, rows[i].delta, NULL) == CCZ_OK);
        /* the peer's series for fractional orders stops a little early */
        CHECK(e < rows[i].epsilon * 1.000001 && e > rows[i].epsilon * 0.998 &&
              fabs(order - rows[i].order) < 0.15);
        CHECK(ccz_dp_delta(&d, NULL, &a, 2, NULL) == CCZ_OK);
        CHECK(rows[i].delta_of_2 == 1 || fabs(log(d) / log(rows[i].delta_of_2) - 1) < 1e-3);
    }
}

static void test_composition(void)
{
    /* 100 and 200 steps are 300, whatever is in between */
    struct ccz_dp_accountant a = spent(CCZ_DP_POISSON, 0.02, 1.3, 100);
    const struct ccz_dp_event more = {CCZ_DP_POISSON, 0.02, 1.3, 200}, none = {CCZ_DP_ALL, 1, 1, 0};
    CHECK(ccz_dp_spend(&a, &more, NULL) == CCZ_OK && ccz_dp_spend(&a, &none, NULL) == CCZ_OK);
    struct ccz_dp_accountant b = spent(CCZ_DP_POISSON, 0.02, 1.3, 300);
    CHECK(fabs(epsilon(&a, 1e-5) / epsilon(&b, 1e-5) - 1) < 1e-12);
    /* two Gaussians are one of which the inverse squares add up */
    struct ccz_dp_accountant two = spent(CCZ_DP_ALL, 0, 3, 1);
    const struct ccz_dp_event second = {CCZ_DP_ALL, 0, 4, 1};
    CHECK(ccz_dp_spend(&two, &second, NULL) == CCZ_OK);
    struct ccz_dp_accountant one = spent(CCZ_DP_ALL, 0, 2.4, 1);
    CHECK(fabs(epsilon(&two, 1e-6) / epsilon(&one, 1e-6) - 1) < 1e-12);
}

static void test_orders(void)
{
    CHECK(fabs(ccz_dp_order(0) - 1.1) < 1e-12 && fabs(ccz_dp_order(98) - 10.9) < 1e-12);
    CHECK(ccz_dp_order(99) == 11 && ccz_dp_order(151) == 63 && ccz_dp_order(152) == 128);
    CHECK(ccz_dp_order(155) == 1024 && ccz_dp_order(156) == 0);
    /* RDP grows with the order, and between whole orders the moment is convex */
    const enum ccz_dp_sampling kinds[] = {CCZ_DP_POISSON, CCZ_DP_FIXED};
    for (size_t k = 0; k < 2; k++) {
        const struct ccz_dp_event e = {kinds[k], 0.05, 1.5, 1};
        double last = 0, r;
        for (size_t i = 0; i < CCZ_DP_ORDERS; i++) {
            CHECK(ccz_dp_rdp(&r, &e, ccz_dp_order(i), NULL) == CCZ_OK);
            CHECK(r >= last * (1 - 1e-9) && r > 0 && isfinite(r));
            CHECK(r <= ccz_dp_order(i) / (2 * 1.5 * 1.5) * (1 + 1e-12)); /* sampling never harms */
            last = r;
        }
    }
    /* the series of fractional orders and the sum of whole ones are the same function */
    const struct ccz_dp_event e = {CCZ_DP_POISSON, 0.03, 0.9, 1};
    for (double o = 2; o < 8; o++) {
        double whole, below, above;
        CHECK(ccz_dp_rdp(&whole, &e, o, NULL) == CCZ_OK);
        CHECK(ccz_dp_rdp(&below, &e, o - 1e-6, NULL) == CCZ_OK);
        CHECK(ccz_dp_rdp(&above, &e, o + 1e-6, NULL) == CCZ_OK);
        CHECK(fabs(below / whole - 1) < 1e-4 && fabs(above / whole - 1) < 1e-4);
    }
}

static void test_limits(void)
{
    struct ccz_dp_accountant nothing = {0};
    CHECK(epsilon(&nothing, 1e-9) == 0);
    struct ccz_dp_accountant a = spent(CCZ_DP_ALL, 1, 0, 1); /* no noise */
    CHECK(isinf(epsilon(&a, 1e-5)));
    double d;
    CHECK(ccz_dp_delta(&d, NULL, &a, 5, NULL) == CCZ_OK && d == 1);
    CHECK(ccz_dp_delta(&d, NULL, &nothing, 0, NULL) == CCZ_OK && d == 0);
    /* everybody sampled is no sampling */
    struct ccz_dp_accountant all = spent(CCZ_DP_ALL, 0, 2, 5);
    struct ccz_dp_accountant poisson = spent(CCZ_DP_POISSON, 1, 2, 5);
    struct ccz_dp_accountant fixed = spent(CCZ_DP_FIXED, 1, 2, 5);
    CHECK(memcmp(&all, &poisson, sizeof(all)) == 0 && memcmp(&all, &fixed, sizeof(all)) == 0);
    struct ccz_dp_accountant nearly = spent(CCZ_DP_POISSON, 1 - 1e-9, 2, 5);
    CHECK(fabs(epsilon(&nearly, 1e-5) / epsilon(&all, 1e-5) - 1) < 1e-3);
    /* extremes stay numbers */
    const double rates[] = {1e-9, 1e-4, 0.5, 0.999}, noises[] = {0.05, 0.3, 1, 50, 1e4};
    for (size_t i = 0; i < 4; i++)
        for (size_t j = 0; j < 5; j++) {
            struct ccz_dp_accountant p = spent(CCZ_DP_POISSON, rates[i], noises[j], 1);
            struct ccz_dp_accountant f = spent(CCZ_DP_FIXED, rates[i], noises[j], 1);
            CHECK(epsilon(&p, 1e-6) >= 0 && isfinite(epsilon(&p, 1e-6)));
            CHECK(epsilon(&f, 1e-6) >= 0 && isfinite(epsilon(&f, 1e-6)));
        }
}

static void test_delta(void)
{
    struct ccz_dp_accountant a = spent(CCZ_DP_POISSON, 0.01, 1, 2000);
    for (double delta = 1e-3; delta > 1e-12; delta /= 10) {
        double d;
        CHECK(ccz_dp_delta(&d, NULL, &a, epsilon(&a, delta), NULL) == CCZ_OK);
        CHECK(fabs(d / delta - 1) < 1e-6); /* the inverse of each other */
    }
}

static void test_calibrate(void)
{
    const double targets[] = {0.1, 1, 8};
    const enum ccz_dp_sampling kinds[] = {CCZ_DP_ALL, CCZ_DP_POISSON, CCZ_DP_FIXED};
    for (size_t k = 0; k < 3; k++)
        for (size_t t = 0; t < 3; t++) {
            struct ccz_dp_event e = {kinds[k], 0.05, 0, 200};
            double z;
            CHECK(ccz_dp_calibrate(&z, &e, NULL, targets[t], 1e-5, NULL) == CCZ_OK);
            struct ccz_dp_accountant at = spent(kinds[k], 0.05, z, 200);
            struct ccz_dp_accountant less = spent(kinds[k], 0.05, z * 0.999, 200);
            CHECK(epsilon(&at, 1e-5) <= targets[t]);  /* never above */
            CHECK(epsilon(&less, 1e-5) > targets[t]); /* and no noise wasted */
        }
    /* on top of what was spent */
    struct ccz_dp_accountant before = spent(CCZ_DP_POISSON, 0.05, 1.2, 100), after = before;
    struct ccz_dp_event e = {CCZ_DP_POISSON, 0.05, 0, 100};
    double target = epsilon(&before, 1e-5) * 1.2;
    CHECK(ccz_dp_calibrate(&e.multiplier, &e, &before, target, 1e-5, NULL) == CCZ_OK);
    CHECK(ccz_dp_spend(&after, &e, NULL) == CCZ_OK);
    CHECK(epsilon(&after, 1e-5) <= target && epsilon(&after, 1e-5) > target * 0.999);
    struct ccz_err err;
    double z = 1;
    refused(ccz_dp_calibrate(&z, &e, &before, target / 2, 1e-5, &err), CCZ_E_LIMIT, &err,
            "dp:calibrate");
    CHECK(z == 0);
    refused(ccz_dp_calibrate(&z, &e, NULL, 0, 1e-5, &err), CCZ_E_ARG, &err, "dp:epsilon");
    refused(ccz_dp_calibrate(&z, &e, NULL, 1, 0, &err), CCZ_E_ARG, &err, "dp:delta");
    e.rate = 2;
    refused(ccz_dp_calibrate(&z, &e, NULL, 1, 1e-5, &err), CCZ_E_ARG, &err, "dp:event");
}

static void test_event_refused(void)
{
    const struct ccz_dp_event bad[] = {
        {CCZ_DP_POISSON, 0, 1, 1},    {CCZ_DP_POISSON, 1.5, 1, 1},
        {CCZ_DP_FIXED, -1, 1, 1},     {CCZ_DP_POISSON, NAN, 1, 1},
        {CCZ_DP_ALL, 1, -1, 1},       {CCZ_DP_ALL, 1, NAN, 1},
        {CCZ_DP_ALL, 1, INFINITY, 1}, {(enum ccz_dp_sampling)9, 1, 1, 1},
    };
    struct ccz_dp_accountant a = {0};
    static const struct ccz_dp_accountant nothing;
    struct ccz_err err;
    double x;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refused(ccz_dp_spend(&a, &bad[i], &err), CCZ_E_ARG, &err, "dp:event");
        CHECK(memcmp(&a, &nothing, sizeof(a)) == 0);
    }
    const struct ccz_dp_event good = {CCZ_DP_ALL, 1, 1, 1};
    refused(ccz_dp_rdp(&x, &good, 1, &err), CCZ_E_ARG, &err, "dp:order");
    refused(ccz_dp_rdp(&x, &good, NAN, &err), CCZ_E_ARG, &err, "dp:order");
    refused(ccz_dp_rdp(&x, &good, 1e9, &err), CCZ_E_ARG, &err, "dp:order");
    const double deltas[] = {0, 1, -1, NAN};
    for (size_t i = 0; i < 4; i++)
        refused(ccz_dp_epsilon(&x, NULL, &a, deltas[i], &err), CCZ_E_ARG, &err, "dp:delta");
    refused(ccz_dp_delta(&x, NULL, &a, -0.1, &err), CCZ_E_ARG, &err, "dp:epsilon");
    refused(ccz_dp_delta(&x, NULL, &a, NAN, &err), CCZ_E_ARG, &err, "dp:epsilon");
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"dp.pinned", test_pinned},
        {"dp.composition", test_composition},
        {"dp.orders", test_orders},
        {"dp.limits", test_limits},
        {"dp.delta", test_delta},
        {"dp.calibrate", test_calibrate},
        {"dp.event_refused", test_event_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
