/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The polynomial in place of the logistic function. Least squares on an interval by projection on odd Legendre
 * polynomials, which are orthogonal there: no system of equations.
 */
#include <cczoo/helr.h>

#include <math.h>

double ccz_helr_logistic(double t)
{
    return 1.0 / (1.0 + exp(-t));
}

/* P_1, P_3, P_5, P_7 in powers 1, 3, 5, 7. */
static const double legendre[4][4] = {
    {1.0, 0.0, 0.0, 0.0},
    {-3.0 / 2, 5.0 / 2, 0.0, 0.0},
    {15.0 / 8, -70.0 / 8, 63.0 / 8, 0.0},
    {-35.0 / 16, 315.0 / 16, -693.0 / 16, 429.0 / 16},
};

static double odd_poly(const double c[4], double y)
{
    double y2 = y * y;
    return y * (c[0] + y2 * (c[1] + y2 * (c[2] + y2 * c[3])));
}

void ccz_helr_sigmoid(double c[4], unsigned degree, double radius)
{
    enum {
        STEPS = 4096
    }; /* Simpson's rule on [0, 1]: an error far below one unit of the last place of c */
    double by_y[4] = {0}; /* coefficients in y = t / radius */
    for (unsigned k = 0; 2 * k + 1 <= degree && k < 4; k++) {
        double sum = 0;
        for (int i = 0; i <= STEPS; i++) {
            double y = (double)i / STEPS, weight = i == 0 || i == STEPS ? 1 : (i % 2 ? 4 : 2);
            sum += weight * (ccz_helr_logistic(radius * y) - 0.5) * odd_poly(legendre[k], y);
        }
        double a =
            (4.0 * k + 3.0) * sum / (3.0 * STEPS); /* even integrand: twice half the interval */
        for (unsigned i = 0; i < 4; i++)
            by_y[i] += a * legendre[k][i];
    }
    double power = radius;
    for (unsigned i = 0; i < 4; i++, power *= radius * radius)
        c[i] = by_y[i] / power;
}

double ccz_helr_sigmoid_at(const double c[4], unsigned degree, double t)
{
    double used[4] = {0};
    for (unsigned k = 0; 2 * k + 1 <= degree && k < 4; k++)
        used[k] = c[k];
    return 0.5 + odd_poly(used, t);
}
