/* SPDX-License-Identifier: Apache-2.0 */
/* Canonical embedding: every implementation against its definition, and against the portable one. */
#include "ccz_test.h"
#include "ckks/fft_priv.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>

enum { GAP = CCZI_FFT_GAP, LEN_MAX = (2 << CCZI_FFT_LOG_MAX) + GAP };
static _Alignas(64) double a[LEN_MAX], b[LEN_MAX], c[LEN_MAX], d[LEN_MAX];
static _Alignas(64) int64_t rounded[LEN_MAX];

static uint64_t random_state = 1;

static uint64_t random_bits(void)
{
    uint64_t z = (random_state += 0x9e3779b97f4a7c15);
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

/* In [-1, 1) */
static double random_unit(void)
{
    return (double)(int64_t)random_bits() * 0x1p-63;
}

/* ----------------------------------------------------------------------------- definition */

/* exp(pi i e / n) for e < 2 n */
static long double root_re[4 << CCZI_FFT_LOG_MAX], root_im[4 << CCZI_FFT_LOG_MAX];

static void make_roots(size_t degree)
{
    const long double pi = 3.14159265358979323846264338327950288L;
    for (size_t e = 0; e < 2 * degree; e++) {
        root_re[e] = cosl(pi * (long double)e / (long double)degree);
        root_im[e] = sinl(pi * (long double)e / (long double)degree);
    }
}

static size_t point(size_t j, size_t degree)
{
    size_t e = 1;
    for (size_t i = 0; i < j; i++)
        e = e * 5 % (2 * degree);
    return e;
}

/* The largest distance of slots[j], for every `step`-th j, from the polynomial at its point; the
 * norms of both are returned for a bound. */
static long double distance(const double *coeffs, const double *slots, size_t n, size_t step)
{
    long double worst = 0;
    for (size_t j = 0; j < n; j += step) {
        long double re = 0, im = 0;
        size_t e = point(j, 2 * n), at = 0;
        for (size_t k = 0; k < 2 * n; k++, at = (at + e) % (4 * n)) {
            long double coeff = coeffs[k < n ? k : k + GAP];
            re += coeff * root_re[at];
            im += coeff * root_im[at];
        }
        worst =
            fmaxl(worst, hypotl(re - (long double)slots[j], im - (long double)slots[n + GAP + j]));
    }
    return worst;
}

/* Root of the sum of the squares. */
static double norm(const double *v, size_t len)
{
    double sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += v[i] * v[i];
    return sqrt(sum);
}

static void test_definition(void)
{
    const struct cczi_fft_kernel *all[3];
    size_t len = cczi_fft_kernels(all);
    for (size_t i = 0; i < len; i++)
        for (unsigned log_n = CCZI_FFT_LOG_MIN; log_n <= CCZI_FFT_LOG_MAX; log_n++) {
            size_t n = (size_t)1 << log_n;
            if (log_n < 2 * all[i]->log_lanes)
                continue;
            struct cczi_fft *fft = cczi_fft_new(log_n, all[i]);
            CHECK(fft);
            make_roots(2 * n);
            for (size_t k = 0; k < 2 * n + GAP; k++)
                a[k] = b[k] = k >= n && k < n + GAP ? NAN : random_unit(); /* not used */
            all[i]->to_slots(c, b, fft);
            /* every level errs by 2^-53 times a few of what it adds up, which is at most the norm
             * of the coefficients times sqrt(n) */
            double bound =
                hypot(norm(a, n), norm(a + n + GAP, n)) * (log_n + 4) * 0x1p-53 * sqrt((double)n);
            CHECK(distance(a, c, n, n <= 1024 ? 1 : n / 61) <= (long double)bound);
            all[i]->to_coeffs(d, c, fft);
            for (size_t k = 0; k < 2 * n + GAP; k++)
                CHECK((k >= n && k < n + GAP) ||
                      fabs(d[k] / (double)n - a[k]) <= (log_n + 4) * 0x1p-51);
            cczi_fft_free(fft);
        }
}

/* The other direction on its own: the polynomial of one slot is known. */
static void test_one_slot(void)
{
    enum { LOG_N = 9, N = 1 << LOG_N };
    struct cczi_fft *fft = cczi_fft_new(LOG_N, NULL);
    CHECK(fft);
    make_roots(2 * N);
    for (size_t j = 0; j < N; j += 73) {
        memset(a, 0, sizeof(a));
        a[j] = 3;
        a[N + GAP + j] = -4;
        fft->kernel->to_coeffs(b, a, fft);
        size_t e = point(j, 2 * N);
        for (size_t k = 0; k < 2 * N; k++) { /* real part of (3 - 4 i) times the conjugate power */
            long double want = 3 * root_re[k * e % (4 * N)] - 4 * root_im[k * e % (4 * N)];
            if (k >= N) { /* coefficients k + n are imaginary parts, of power k */
                size_t at = (k - N) * e % (4 * N);
                want = -4 * root_re[at] - 3 * root_im[at];
            }
            CHECK(fabsl((long double)b[k < N ? k : k + GAP] - want) <= 0x1p-48L);
        }
    }
    cczi_fft_free(fft);
}

/* --------------------------------------------------------------------------- the same bits */

static void test_same_bits(void)
{
    const struct cczi_fft_kernel *all[3];
    size_t len = cczi_fft_kernels(all);
    CHECK(all[len - 1] == &cczi_fft_portable);
    for (unsigned log_n = CCZI_FFT_LOG_MIN; log_n <= CCZI_FFT_LOG_MAX; log_n++) {
        size_t n = (size_t)1 << log_n, size = (2 * n + GAP) * sizeof(double);
        struct cczi_fft *portable = cczi_fft_new(log_n, &cczi_fft_portable);
        CHECK(portable);
        static _Alignas(64) double slots[LEN_MAX], coeffs[LEN_MAX];
        for (size_t k = 0; k < 2 * n + GAP; k++)
            a[k] = ldexp(random_unit(), (int)(random_bits() % 60));
        memcpy(b, a, size);
        double *const outputs[] = {c, d, slots, coeffs}; /* the gap is compared, too */
        for (size_t i = 0; i < 4; i++)
            memset(outputs[i], 0, size);
        cczi_fft_portable.to_slots(slots, b, portable);
        cczi_fft_portable.to_coeffs(coeffs, a, portable);
        for (size_t i = 0; i + 1 < len; i++) {
            if (log_n < 2 * all[i]->log_lanes)
                continue;
            struct cczi_fft *fft = cczi_fft_new(log_n, all[i]);
            CHECK(fft);
            memcpy(b, a, size);
            all[i]->to_slots(c, b, fft);
            CHECK(memcmp(c, slots, size) == 0);
            all[i]->to_coeffs(d, a, fft);
            CHECK(memcmp(d, coeffs, size) == 0);
            cczi_fft_free(fft);
        }
        cczi_fft_free(portable);
    }
}

/* -------------------------------------------------------------------------------- rounding */

static void test_round(void)
{
    static const struct {
        double in;
        int64_t out;
    } exact[] = {
        {0, 0},
        {-0.0, 0},
        {0.5, 0},
        {-0.5, 0},
        {1.5, 2},
        {-1.5, -2},
        {2.5, 2},
        {-2.5, -2},
        {0x1.fffffffffffffp-2, 0},
        {0x1.0000000000001p-1, 1},
        {-0x1.0000000000001p-1, -1},
        {0x1p-1074, 0},
        {1e-300, 0},
        {4503599627370494.5, 4503599627370494},
        {4503599627370495.5, 4503599627370496},
        {-4503599627370495.5, -4503599627370496},
        {2251799813685247.5, 2251799813685248},
        {2251799813685248.5, 2251799813685248},
        {-2251799813685249.5, -2251799813685250},
        {4503599627370497, 4503599627370497},
        {9007199254740991, 9007199254740991},
        {-9007199254740992, -9007199254740992},
        {4294967295.5, 4294967296},
        {4294967296.5, 4294967296},
        {-2147483648.5, -2147483648},
        {2147483647.5, 2147483648},
        {6442450943.5, 6442450944},
        {0x1.fffffffffffffp61, 4611686018427387392},
        {-0x1.fffffffffffffp61, -4611686018427387392},
        {0x1.8p61, 3458764513820540928},
        {0x1.0000000000001p61, 2305843009213694464},
        {-0x1.0000000000001p61, -2305843009213694464},
    };
    static const double refused[] = {0x1p62, -0x1p62,  0x1p63,    1e300,
                                     -1e300, HUGE_VAL, -HUGE_VAL, NAN};
    const struct cczi_fft_kernel *all[3];
    size_t len = cczi_fft_kernels(all);
    enum { COUNT = sizeof(exact) / sizeof(exact[0]), PAD = (COUNT + 7) / 8 * 8 };
    for (size_t i = 0; i < len; i++) {
        memset(a, 0, sizeof(double) * PAD);
        for (size_t k = 0; k < COUNT; k++)
            a[k] = exact[k].in;
        CHECK(all[i]->round(rounded, a, PAD, 1));
        for (size_t k = 0; k < COUNT; k++)
            CHECK(rounded[k] == exact[k].out);
        for (size_t k = 0; k < sizeof(refused) / sizeof(refused[0]); k++)
            for (size_t at = 0; at < 16; at++) {
                memset(b, 0, sizeof(double) * 16);
                b[at] = refused[k];
                CHECK(!all[i]->round(rounded, b, 16, 1));
                b[at] = 1;
                CHECK(all[i]->round(rounded, b, 16, 1));
            }
        for (size_t k = 0; k < 4096; k++)
            a[k] = ldexp(random_unit(), (int)(random_bits() % 64));
        CHECK(all[i]->round(rounded, a, 4096, 0.25));
        for (size_t k = 0; k < 4096; k++)
            CHECK(rounded[k] == (int64_t)nearbyint(a[k] * 0.25));
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ckks_fft.definition", test_definition},
        {"ckks_fft.one_slot", test_one_slot},
        {"ckks_fft.same_bits", test_same_bits},
        {"ckks_fft.round", test_round},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
