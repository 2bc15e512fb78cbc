/* SPDX-License-Identifier: Apache-2.0 */
/* The polynomial in place of the logistic function. */
#include <cczoo/helr.h>

#include <math.h>
#include <string.h>

#define ORIGINAL_RADIUS 8.0

double ccz_helr_logistic(double t)
{
    return 1.0 / (1.0 + exp(-t));
}

void ccz_helr_sigmoid(double c[4], unsigned degree, double radius)
{
    double all[CCZ_HELR_DEGREE_MAX + 1];
    /* the same function, rounded by those who published it: scores then equal theirs to the last digit */
    enum ccz_sigmoid how = degree == 3 && radius == ORIGINAL_RADIUS ? CCZ_SIGMOID_HE_TOOLKIT
                                                                    : CCZ_SIGMOID_LEAST_SQUARES;
    memset(c, 0, 4 * sizeof(*c));
    if (ccz_ckks_sigmoid(all, NULL, degree, radius, how, NULL) != CCZ_OK)
        return;
    for (unsigned k = 0; 2 * k + 1 <= degree; k++)
        c[k] = all[2 * k + 1];
}

double ccz_helr_sigmoid_at(const double c[4], unsigned degree, double t)
{
    double p = 0;
    for (unsigned k = (degree + 1) / 2; k-- > 0;)
        p = p * t * t + c[k];
    return 0.5 + t * p;
}
