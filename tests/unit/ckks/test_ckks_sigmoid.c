/* SPDX-License-Identifier: Apache-2.0 */
/* Approximations of functions: published coefficients, optimality by definition, refusals. */
#include "ccz_test.h"

#include <cczoo/ckks.h>

#include <math.h>

static double sigmoid(double x)
{
    return 1 / (1 + exp(-x));
}

static double value(const double *c, size_t degree, double x)
{
    double sum = 0;
    for (size_t i = degree + 1; i-- > 0;)
        sum = sum * x + c[i];
    return sum;
}

/* Kim, Song, Kim, Lee, Cheon: Logistic regression model training based on the approximate homomorphic
 * encryption, BMC Medical Genomics 11, 2018: least squares over [-8, 8], coefficients of x / 8, theirs
 * from sums over points. */
static void test_published(void)
{
    static const double want[2][8] = {
        {0.5, 1.20096, 0, -0.81562},
        {0.5, 1.73496, 0, -4.19407, 0, 5.43402, 0, -2.50739},
    };
    for (size_t i = 0; i < 2; i++) {
        double c[8], most;
        size_t degree = 3 + 4 * i;
        CHECK(ccz_ckks_sigmoid(c, &most, degree, 8, CCZ_SIGMOID_LEAST_SQUARES, NULL) == CCZ_OK);
        for (size_t k = 0; k <= degree; k++)
            CHECK(fabs(c[k] * pow(8, (double)k) - want[i][k]) <= 1e-3 * fabs(want[i][k]));
    }
    double c[4], most;
    CHECK(ccz_ckks_sigmoid(c, &most, 3, 8, CCZ_SIGMOID_HE_TOOLKIT, NULL) == CCZ_OK);
    CHECK(c[0] == 0.5 && c[1] == 0.15012 && c[2] == 0 && c[3] == -0.001593008);
    CHECK(most > 0.11 && most < 0.12);
}

static double squared_error(const double *c, size_t degree, double radius)
{
    double sum = 0;
    for (int k = 0; k <= 20000; k++) {
        double x = radius * (k / 10000.0 - 1), e = value(c, degree, x) - sigmoid(x);
        sum += e * e;
    }
    return sum;
}

/* No neighbour is better. */
static void test_least_squares(void)
{
    for (size_t degree = 3; degree <= 7; degree += 2)
        for (double radius = 1; radius <= 32; radius *= 4) {
            double c[8];
            CHECK(ccz_ckks_sigmoid(c, NULL, degree, radius, CCZ_SIGMOID_LEAST_SQUARES, NULL) ==
                  CCZ_OK);
            double least = squared_error(c, degree, radius);
            for (size_t k = 1; k <= degree; k += 2)
                for (int sign = -1; sign <= 1; sign += 2) {
                    double moved = c[k] + sign * 1e-3 / pow(radius, (double)k), was = c[k];
                    c[k] = moved;
                    CHECK(squared_error(c, degree, radius) > least);
                    c[k] = was;
                }
        }
}

/* Chebyshev's criterion: the largest error is taken with alternating signs, at terms + 1 points of the
 * positive half and as many of the negative. */
static void test_minimax(void)
{
    for (size_t degree = 3; degree <= 7; degree += 2)
        for (double radius = 1; radius <= 32; radius *= 2) {
            double c[8], s[8], most, of_squares;
            CHECK(ccz_ckks_sigmoid(c, &most, degree, radius, CCZ_SIGMOID_MINIMAX, NULL) == CCZ_OK);
            CHECK(ccz_ckks_sigmoid(s, &of_squares, degree, radius, CCZ_SIGMOID_LEAST_SQUARES,
                                   NULL) == CCZ_OK);
            CHECK(most < of_squares);
            size_t turns = 0;
            double last = 0, largest = 0;
            for (int k = 1; k <= 100000; k++) {
                double x = radius * k / 100000.0, e = value(c, degree, x) - sigmoid(x);
                largest = fmax(largest, fabs(e));
                if (fabs(e) > most * (1 - 1e-5) && e * last <= 0) {
                    turns++;
                    last = e;
                }
            }
            CHECK(turns == (degree + 1) / 2 + 1);
            CHECK(fabs(largest - most) <= 1e-5 * most);
        }
}

static double runge(void *arg, double t)
{
    (void)arg;
    return exp(t) / (1 + t * t);
}

static double pole(void *arg, double t)
{
    (void)arg;
    return t > 0 ? 1 / (t - t) : 0;
}

static void test_chebyshev(void)
{
    double c[CCZ_CKKS_DEGREE_MAX + 1];
    CHECK(ccz_ckks_chebyshev(c, 60, runge, NULL, -1, 3, NULL) == CCZ_OK);
    for (int k = 0; k <= 1000; k++) {
        double t = -1 + 4 * k / 1000.0, x = (t - 1) / 2, sum = 0;
        for (size_t i = 0; i <= 60; i++)
            sum += c[i] * cos((double)i * acos(x));
        CHECK(fabs(sum - runge(NULL, t)) < 1e-10);
    }
    struct ccz_err err;
    CHECK(ccz_ckks_chebyshev(c, CCZ_CKKS_DEGREE_MAX + 1, runge, NULL, -1, 1, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:poly-degree") == 0);
    CHECK(ccz_ckks_chebyshev(c, 5, runge, NULL, 1, 1, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:interval") == 0);
    CHECK(ccz_ckks_chebyshev(c, 5, runge, NULL, 0, INFINITY, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:interval") == 0);
    CHECK(ccz_ckks_chebyshev(c, 5, pole, NULL, -1, 1, &err) == CCZ_E_ARG);
    CHECK(strcmp(err.where, "ckks:value") == 0);
}

static void test_refused(void)
{
    double c[8];
    struct ccz_err err;
    static const struct {
        size_t degree;
        double radius;
        enum ccz_sigmoid how;
    } bad[] = {
        {4, 8, CCZ_SIGMOID_MINIMAX},       {9, 8, CCZ_SIGMOID_LEAST_SQUARES},
        {1, 8, CCZ_SIGMOID_LEAST_SQUARES}, {5, 8, CCZ_SIGMOID_HE_TOOLKIT},
        {3, 0.4, CCZ_SIGMOID_MINIMAX},     {3, 33, CCZ_SIGMOID_MINIMAX},
        {3, NAN, CCZ_SIGMOID_MINIMAX},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(ccz_ckks_sigmoid(c, NULL, bad[i].degree, bad[i].radius, bad[i].how, &err) ==
              CCZ_E_ARG);
        CHECK(strcmp(err.where, "ckks:sigmoid") == 0);
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckks_sigmoid.published", test_published},
        {"ckks_sigmoid.least_squares", test_least_squares},
        {"ckks_sigmoid.minimax", test_minimax},
        {"ckks_sigmoid.chebyshev", test_chebyshev},
        {"ckks_sigmoid.refused", test_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
