/* SPDX-License-Identifier: Apache-2.0 */
/* Polynomials in the place of functions. */
#include <cczoo/ckks.h>

#include <math.h>
#include <string.h>

#define PI 3.14159265358979323846

ccz_rc ccz_ckks_chebyshev(double *coeff, size_t degree, double (*f)(void *arg, double t), void *arg,
                          double low, double high, struct ccz_err *err)
{
    double value[CCZ_CKKS_DEGREE_MAX + 1];
    if (degree > CCZ_CKKS_DEGREE_MAX)
        return ccz_refuse_num(err, CCZ_E_ARG, "ckks:poly-degree", (int64_t)degree,
                              CCZ_CKKS_DEGREE_MAX);
    if (!isfinite(low) || !isfinite(high) || low >= high)
        return ccz_fail(err, CCZ_E_ARG, "ckks:interval", 0, "[%g, %g] is not an interval", low,
                        high);
    size_t n = degree + 1;
    for (size_t k = 0; k < n; k++) {
        double x = cos(PI * ((double)k + 0.5) / (double)n);
        value[k] = f(arg, (low + high) / 2 + x * (high - low) / 2);
        if (!isfinite(value[k]))
            return ccz_fail(err, CCZ_E_ARG, "ckks:value", (int64_t)k,
                            "the function is not finite within the interval");
    }
    for (size_t j = 0; j < n; j++) {
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += value[k] * cos(PI * (double)j * ((double)k + 0.5) / (double)n);
        coeff[j] = sum * (j == 0 ? 1 : 2) / (double)n;
    }
    return CCZ_OK;
}

/* --------------------------------------------------------------------------------------- sigmoid */

/* 1 / (1 + exp(-x)) - 1/2 is odd: sums of c[i] t^(2i+1) over t = x / radius in (0, 1] approximate it. */
enum { TERMS_MAX = 4, GRID = 4000, ROUNDS = 30 };

static double odd_sigmoid(double x)
{
    return tanh(x / 2) / 2;
}

static double odd_poly(const double *c, size_t terms, double t)
{
    double sum = 0;
    for (size_t i = terms; i-- > 0;)
        sum = sum * t * t + c[i];
    return sum * t;
}

/* a x = b by elimination with pivots; a is row-major, both are destroyed, x in b. */
static void solve(double *a, double *b, size_t len)
{
    for (size_t c = 0; c < len; c++) {
        size_t pivot = c;
        for (size_t r = c + 1; r < len; r++)
            if (fabs(a[r * len + c]) > fabs(a[pivot * len + c]))
                pivot = r;
        for (size_t k = 0; k < len; k++) {
            double t = a[c * len + k];
            a[c * len + k] = a[pivot * len + k];
            a[pivot * len + k] = t;
        }
        double t = b[c];
        b[c] = b[pivot];
        b[pivot] = t;
        for (size_t r = 0; r < len; r++) {
            if (r == c)
                continue;
            double factor = a[r * len + c] / a[c * len + c];
            for (size_t k = c; k < len; k++)
                a[r * len + k] -= factor * a[c * len + k];
            b[r] -= factor * b[c];
        }
    }
    for (size_t r = 0; r < len; r++)
        b[r] /= a[r * len + r];
}

/* Normal equations; the integrals of t^m are exact, those with the sigmoid by Simpson's rule. */
static void least_squares(double *c, size_t terms, double radius)
{
    double a[TERMS_MAX * TERMS_MAX];
    for (size_t i = 0; i < terms; i++) {
        for (size_t j = 0; j < terms; j++)
            a[i * terms + j] = 1.0 / (double)(2 * (i + j) + 3);
        c[i] = 0;
        for (size_t k = 0; k <= GRID; k++) {
            double t = (double)k / GRID, weight = k == 0 || k == GRID ? 1 : k % 2 ? 4 : 2;
            c[i] += weight / (3.0 * GRID) * odd_sigmoid(radius * t) * pow(t, 2 * (double)i + 1);
        }
    }
    solve(a, c, terms);
}

static double error_at(const double *c, size_t terms, double radius, double t)
{
    return odd_sigmoid(radius * t) - odd_poly(c, terms, t);
}

/* The place of the largest error of sign `sign` in (low, high], on a grid. */
static double extremum(const double *c, size_t terms, double radius, double low, double high,
                       double sign)
{
    double best = high, most = sign * error_at(c, terms, radius, high);
    for (size_t k = 1; k < GRID; k++) {
        double t = low + (high - low) * (double)k / GRID;
        double error = sign * error_at(c, terms, radius, t);
        if (error > most) {
            most = error;
            best = t;
        }
    }
    return best;
}

/* The zero of the error between two points where its signs differ. */
static double zero_between(const double *c, size_t terms, double radius, double low, double high)
{
    double sign = error_at(c, terms, radius, low) < 0 ? -1 : 1;
    for (size_t i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (sign * error_at(c, terms, radius, middle) > 0)
            low = middle;
        else
            high = middle;
    }
    return low;
}

/* Remez: the error takes the same size with alternating signs at terms + 1 points, which move to its
 * extrema until nothing changes. Odd powers satisfy Haar's condition on (0, 1]. */
static void minimax(double *c, size_t terms, double radius)
{
    enum { POINTS_MAX = TERMS_MAX + 1 };
    double point[POINTS_MAX];
    size_t points = terms + 1;
    for (size_t i = 0; i < points; i++)
        point[i] = sin(PI / 2 * ((double)i + 1) / (double)points);
    for (size_t round = 0; round < ROUNDS; round++) {
        double a[POINTS_MAX * POINTS_MAX], b[POINTS_MAX], zero[POINTS_MAX + 1];
        for (size_t i = 0; i < points; i++) {
            for (size_t j = 0; j < terms; j++)
                a[i * points + j] = pow(point[i], 2 * (double)j + 1);
            a[i * points + terms] = i % 2 ? -1 : 1;
            b[i] = odd_sigmoid(radius * point[i]);
        }
        solve(a, b, points);
        memcpy(c, b, terms * sizeof(*c));
        zero[0] = 0;
        zero[points] = 1;
        for (size_t i = 1; i < points; i++)
            zero[i] = zero_between(c, terms, radius, point[i - 1], point[i]);
        for (size_t i = 0; i < points; i++)
            point[i] = extremum(c, terms, radius, zero[i], zero[i + 1],
                                error_at(c, terms, radius, point[i]) < 0 ? -1 : 1);
    }
}

ccz_rc ccz_ckks_sigmoid(double *coeff, double *max_error, size_t degree, double radius,
                        enum ccz_sigmoid how, struct ccz_err *err)
{
    double c[TERMS_MAX], most = 0;
    bool known = degree == 3 || (how != CCZ_SIGMOID_HE_TOOLKIT && (degree == 5 || degree == 7));
    if (!known || !(radius >= 0.5 && radius <= 32))
        return ccz_fail(
            err, CCZ_E_ARG, "ckks:sigmoid", (int64_t)degree,
            "degree %zu over [-%g, %g]: expected 3, 5 or 7 (he-toolkit: 3) and a radius "
            "of 0.5 to 32",
            degree, radius, radius);
    size_t terms = (degree + 1) / 2;
    if (how == CCZ_SIGMOID_LEAST_SQUARES) {
        least_squares(c, terms, radius);
    } else if (how == CCZ_SIGMOID_MINIMAX) {
        minimax(c, terms, radius);
    } else {
        c[0] = 0.15012 * radius;
        c[1] = -0.001593008 * radius * radius * radius;
    }
    memset(coeff, 0, (degree + 1) * sizeof(*coeff));
    coeff[0] = 0.5;
    for (size_t i = 0; i < terms; i++)
        coeff[2 * i + 1] = c[i] / pow(radius, 2 * (double)i + 1);
    if (how == CCZ_SIGMOID_HE_TOOLKIT) {
        coeff[1] = 0.15012;
        coeff[3] = -0.001593008;
    }
    for (size_t k = 0; k <= GRID; k++)
        most = fmax(most, fabs(error_at(c, terms, radius, (double)k / GRID)));
    if (max_error)
        *max_error = most;
    return CCZ_OK;
}
