/* SPDX-License-Identifier: Apache-2.0 */
/* Clipping, noise and adaptive clipping. Seeded, so that nothing here fails by chance. */
#include "ccz_test.h"
#include "test_rng.h"

#include <cczoo/dp.h>
#include <math.h>

static struct ccz_dp_rng *seeded(uint8_t first)
{
    uint8_t seed[CCZ_DP_SEED_SIZE] = {first};
    struct ccz_dp_rng *g;
    CHECK(ccz_dp_rng_new(&g, seed, NULL) == CCZ_OK);
    return g;
}

static void refused(ccz_rc got, ccz_rc want, const struct ccz_err *err, const char *where)
{
    CHECK(got == want);
    CHECK(err->rc == want && strcmp(err->where, where) == 0 && err->msg[0]);
}

/* The sum in long double does not share the errors of the code under test. */
static long double norm_exactly(const float *x, size_t len)
{
    long double sum = 0;
    for (size_t i = 0; i < len; i++)
        sum += (long double)x[i] * x[i];
    return sqrtl(sum);
}

static void test_clip(void)
{
    enum { LEN = 10007 };
    float x[LEN], before[LEN];
    uint64_t state = 5;
    double norm;
    for (size_t len = 0; len < LEN; len = len < 40 ? len + 1 : len * 3) {
        for (size_t i = 0; i < len; i++)
            before[i] = x[i] = (float)((int64_t)rnd(&state) >> 20) * 0x1p-30f;
        long double exact = norm_exactly(x, len);
        CHECK(fabsl(ccz_dp_norm(x, len) - exact) <= 1e-12L * exact);
        CHECK(ccz_dp_clip(x, &norm, len, (double)exact * 1.001 + 1, NULL) == CCZ_OK);
        CHECK(memcmp(x, before, len * sizeof(*x)) == 0); /* short enough: not a bit moves */
        double clip = (double)exact / 3 + 1e-9;
        CHECK(ccz_dp_clip(x, &norm, len, clip, NULL) == CCZ_OK);
        CHECK(fabs(norm - (double)exact) <= 1e-12 * (double)exact);
        CHECK(norm_exactly(x, len) <= (long double)clip); /* never above, whatever the rounding */
        CHECK(len == 0 || norm_exactly(x, len) >= (long double)clip * (1 - 0x1p-20L) - 2e-9L);
        for (size_t i = 0; i < len; i++)
            CHECK(fabsf(x[i] - before[i] / 3) <= fabsf(before[i]) * 1e-5f + 1e-9f);
    }
    float same[2] = {3, 4}; /* a norm of exactly the clip counts as too long: the slack is kept */
    CHECK(ccz_dp_clip(same, &norm, 2, 5, NULL) == CCZ_OK && norm == 5);
    CHECK(norm_exactly(same, 2) <= 5);
}

static void test_clip_refused(void)
{
    float x[3] = {1, NAN, 2}, inf[1] = {-INFINITY};
    double norm;
    struct ccz_err err;
    refused(ccz_dp_clip(x, &norm, 3, 1, &err), CCZ_E_FORMAT, &err, "dp:not-finite");
    CHECK(x[0] == 1 && x[2] == 2);
    refused(ccz_dp_clip(inf, NULL, 1, 1, &err), CCZ_E_FORMAT, &err, "dp:not-finite");
    const double bad[] = {0, -1, NAN, INFINITY};
    for (size_t i = 0; i < 4; i++)
        refused(ccz_dp_clip(x, NULL, 1, bad[i], &err), CCZ_E_ARG, &err, "dp:clip");
}

/* Pearson's chi-square against the definition. With the right distribution it is about the number of bins. */
static double chi_square(uint32_t sigma, size_t len, int64_t reach)
{
    enum { BINS = 129 };
    double weight[BINS], sum = 0, chi = 0;
    uint64_t count[BINS] = {0}, outside = 0;
    CCZ_AUTO(ccz_dp_rng) g = seeded((uint8_t)sigma);
    for (int64_t k = -reach; k <= reach; k++)
        sum += weight[k + reach] = exp(-(double)(k * k) / (2.0 * sigma * sigma));
    for (size_t i = 0; i < len; i++) {
        int64_t k;
        CHECK(ccz_dp_discrete_gauss(&k, g, 1, sigma, NULL) == CCZ_OK);
        if (k < -reach || k > reach)
            outside++;
        else
            count[k + reach]++;
    }
    CHECK(outside < 5);
    for (int64_t i = 0; i <= 2 * reach; i++) {
        double want = (double)len * weight[i] / sum;
        if (want > 10)
            chi += ((double)count[i] - want) * ((double)count[i] - want) / want;
    }
    return chi;
}

static void test_gauss_exact(void)
{
    CHECK(chi_square(1, 400000, 6) < 25);
    CHECK(chi_square(2, 400000, 12) < 45);
    CHECK(chi_square(3, 400000, 18) < 60);
    CHECK(chi_square(7, 400000, 42) < 110);
    CHECK(chi_square(8, 400000, 48) < 115);
}

static void test_gauss_moments(void)
{
    enum { LEN = 200000 };
    static int64_t k[LEN];
    const uint32_t sigmas[] = {1000, 1 << 20, 12345677, CCZ_DP_SIGMA_MAX};
    for (size_t s = 0; s < 4; s++) {
        CCZ_AUTO(ccz_dp_rng) g = seeded((uint8_t)(s + 9));
        CHECK(ccz_dp_discrete_gauss(k, g, LEN, sigmas[s], NULL) == CCZ_OK);
        double sum = 0, square = 0, fourth = 0;
        size_t inside = 0, odd = 0;
        for (size_t i = 0; i < LEN; i++) {
            double x = (double)k[i] / sigmas[s];
            sum += x;
            square += x * x;
            fourth += x * x * x * x;
            inside += fabs(x) <= 1;
            odd += k[i] & 1;
        }
        CHECK(fabs(sum / LEN) < 0.01);
        CHECK(fabs(square / LEN - 1) < 0.015);
        CHECK(fabs(fourth / LEN - 3) < 0.1);
        CHECK(fabs((double)inside / LEN - 0.682689) < 0.005);
        CHECK(fabs((double)odd / LEN - 0.5) < 0.005); /* the low bits are noise as well */
    }
}

static void test_gauss_seeded(void)
{
    int64_t a[100], b[100], c[100];
    CCZ_AUTO(ccz_dp_rng) one = seeded(1);
    CCZ_AUTO(ccz_dp_rng) same = seeded(1);
    CCZ_AUTO(ccz_dp_rng) fresh = NULL;
    CCZ_AUTO(ccz_dp_rng) other = NULL;
    CHECK(ccz_dp_rng_new(&fresh, NULL, NULL) == CCZ_OK &&
          ccz_dp_rng_new(&other, NULL, NULL) == CCZ_OK);
    CHECK(ccz_dp_discrete_gauss(a, one, 100, 1 << 20, NULL) == CCZ_OK);
    for (size_t i = 0; i < 100; i++) /* also one at a time */
        CHECK(ccz_dp_discrete_gauss(&b[i], same, 1, 1 << 20, NULL) == CCZ_OK);
    CHECK(memcmp(a, b, sizeof(a)) == 0);
    CHECK(ccz_dp_discrete_gauss(b, fresh, 100, 1 << 20, NULL) == CCZ_OK);
    CHECK(ccz_dp_discrete_gauss(c, other, 100, 1 << 20, NULL) == CCZ_OK);
    CHECK(memcmp(a, b, sizeof(a)) != 0 && memcmp(b, c, sizeof(b)) != 0);
}

static void test_gauss_refused(void)
{
    CCZ_AUTO(ccz_dp_rng) g = seeded(1);
    struct ccz_err err;
    int64_t k;
    refused(ccz_dp_discrete_gauss(&k, g, 1, 0, &err), CCZ_E_ARG, &err, "dp:sigma");
    refused(ccz_dp_discrete_gauss(&k, g, 1, CCZ_DP_SIGMA_MAX + 1, &err), CCZ_E_ARG, &err,
            "dp:sigma");
}

static void test_noise(void)
{
    enum { LEN = 100000 };
    static float x[LEN], y[LEN];
    const struct ccz_dp_gauss cfg = {.sensitivity = 0.5, .multiplier = 1.2, .len = LEN};
    double sigma = ccz_dp_gauss_sigma(&cfg), sum = 0, square = 0;
    /* z sensitivity, and a little more for the grid */
    CHECK(sigma > 0.6 && sigma < 0.6 * (1 + 1.02 * 1.2 * sqrt(LEN) / (1 << 20)));
    for (size_t i = 0; i < LEN; i++)
        x[i] = y[i] = (float)i * 1e-3f - 50;
    CCZ_AUTO(ccz_dp_rng) g = seeded(3);
    CCZ_AUTO(ccz_dp_rng) h = seeded(3);
    CHECK(ccz_dp_add_noise(x, g, LEN, &cfg, NULL) == CCZ_OK);
    for (size_t i = 0; i < LEN; i++) {
        sum += x[i] - y[i];
        square += (double)(x[i] - y[i]) * (double)(x[i] - y[i]);
    }
    CHECK(fabs(sum / LEN) < 0.01 && fabs(sqrt(square / LEN) / sigma - 1) < 0.01);
    CHECK(ccz_dp_add_noise(y, h, 333, &cfg, NULL) == CCZ_OK); /* in pieces: the same */
    CHECK(ccz_dp_add_noise(y + 333, h, LEN - 333, &cfg, NULL) == CCZ_OK);
    CHECK(memcmp(x, y, sizeof(x)) == 0);
}

/* What comes out is a whole number of steps: its low bits tell nothing about the value. */
static void test_noise_grid(void)
{
    enum { LEN = 1000 };
    const struct ccz_dp_gauss cfg = {.sensitivity = 1, .multiplier = 1e-3, .len = LEN};
    double step = ccz_dp_gauss_sigma(&cfg) / (1 << 20);
    float x[LEN];
    uint64_t state = 77;
    for (size_t i = 0; i < LEN; i++)
        x[i] = (float)rnd(&state) * 0x1p-78f;
    CCZ_AUTO(ccz_dp_rng) g = seeded(4);
    CHECK(ccz_dp_add_noise(x, g, LEN, &cfg, NULL) == CCZ_OK);
    for (size_t i = 0; i < LEN; i++) {
        double steps = rint((double)x[i] / step);
        CHECK((float)(steps * step) == x[i]);
    }
}

static void test_noise_refused(void)
{
    CCZ_AUTO(ccz_dp_rng) g = seeded(1);
    struct ccz_err err;
    float x[2] = {1, NAN};
    const struct ccz_dp_gauss good = {.sensitivity = 1, .multiplier = 1, .len = 2};
    const struct ccz_dp_gauss bad[] = {
        {.sensitivity = 0, .multiplier = 1, .len = 2},
        {.sensitivity = 1, .multiplier = 0, .len = 2},
        {.sensitivity = 1, .multiplier = 1, .len = 0},
        {.sensitivity = 1, .multiplier = 1, .len = 1}, /* two values follow */
        {.sensitivity = NAN, .multiplier = 1, .len = 2},
        {.sensitivity = 1, .multiplier = INFINITY, .len = 2},
        {.sensitivity = 1, .multiplier = 1, .len = (uint64_t)1 << 40},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        refused(ccz_dp_add_noise(x, g, 2, &bad[i], &err), CCZ_E_ARG, &err, "dp:gauss");
    refused(ccz_dp_add_noise(x, g, 2, &good, &err), CCZ_E_FORMAT, &err, "dp:not-finite");
    CHECK(err.aux == 1 && x[0] == 1);
    x[1] = 0x1p30f;
    refused(ccz_dp_add_noise(x, g, 2, &good, &err), CCZ_E_FORMAT, &err, "dp:range");
    CHECK(err.aux == 1 && x[0] == 1);
}

/* Many small noises make the one that was asked for. */
static void test_shared(void)
{
    enum { LEN = 20000, CLIENTS = 16 };
    static uint32_t q[LEN];
    const struct ccz_dp_shared cfg = {
        .sensitivity = 2, .multiplier = 0.7, .step = 1e-4, .len = LEN, .contributors = CLIENTS};
    uint32_t sigma;
    CHECK(ccz_dp_shared_sigma(&sigma, &cfg, NULL) == CCZ_OK);
    double want = 0.7 * (2 / 1e-4 + 1.01 * sqrt(LEN)) / 4;
    CHECK(sigma >= want && sigma < want + 1);
    memset(q, 0xff, sizeof(q)); /* -1 */
    for (uint8_t c = 0; c < CLIENTS; c++) {
        CCZ_AUTO(ccz_dp_rng) g = seeded(c);
        CHECK(ccz_dp_add_noise_int(q, g, LEN, sigma, NULL) == CCZ_OK);
    }
    double square = 0, sum = 0;
    for (size_t i = 0; i < LEN; i++) {
        double x = (double)(int32_t)q[i] * cfg.step;
        sum += x;
        square += x * x;
    }
    CHECK(fabs(sqrt(square / LEN) / (0.7 * 2) - 1) < 0.02);
    CHECK(fabs(sum / LEN) < 0.05);
}

static void test_shared_refused(void)
{
    struct ccz_err err;
    uint32_t sigma = 9;
    const struct ccz_dp_shared bad[] = {
        {.sensitivity = 0, .multiplier = 1, .step = 1e-4, .len = 5, .contributors = 5},
        {.sensitivity = 1, .multiplier = 0, .step = 1e-4, .len = 5, .contributors = 5},
        {.sensitivity = 1, .multiplier = 1, .step = 0, .len = 5, .contributors = 5},
        {.sensitivity = 1, .multiplier = 1, .step = 1e-4, .len = 0, .contributors = 5},
        {.sensitivity = 1, .multiplier = 1, .step = 1e-4, .len = 5, .contributors = 0},
        {.sensitivity = 1, .multiplier = 1, .step = 0.5, .len = 1, .contributors = 5},  /* coarse */
        {.sensitivity = 1, .multiplier = 1, .step = 1e-12, .len = 5, .contributors = 5} /* fine */
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        refused(ccz_dp_shared_sigma(&sigma, &bad[i], &err), CCZ_E_ARG, &err, "dp:shared");
        CHECK(sigma == 0);
    }
}

static void test_adaptive(void)
{
    enum { CLIENTS = 200, ROUNDS = 150 };
    /* norms 0.1, 0.2, .. 20: the quantile 0.8 is 16 */
    struct ccz_dp_adaptive a = {.clip = 0.1, .quantile = 0.8, .rate = 0.2, .count_sigma = 10};
    CCZ_AUTO(ccz_dp_rng) g = seeded(8);
    double fraction, mean = 0;
    for (int r = 0; r < ROUNDS; r++) {
        double below = 0, before = a.clip;
        for (int c = 1; c <= CLIENTS; c++)
            below += c * 0.1 <= a.clip;
        CHECK(ccz_dp_adaptive_update(&a, &fraction, g, below, CLIENTS, NULL) == CCZ_OK);
        CHECK(fabs(a.clip / before - exp(-0.2 * (fraction - 0.8))) < 1e-12);
        CHECK(fraction != below / CLIENTS && fabs(fraction - below / CLIENTS) < 0.3);
        mean += r >= 100 ? a.clip / 50 : 0;
    }
    CHECK(fabs(mean - 16) < 1);
    a.clip_min = 15.9;
    a.clip_max = 16.1;
    a.clip = 16;
    CHECK(ccz_dp_adaptive_update(&a, NULL, g, CLIENTS, CLIENTS, NULL) == CCZ_OK && a.clip == 15.9);
    CHECK(ccz_dp_adaptive_update(&a, NULL, g, 0, CLIENTS, NULL) == CCZ_OK && a.clip == 16.1);
    /* both parts together spend what was asked for: z^-2 adds up */
    double z;
    CHECK(ccz_dp_adaptive_multiplier(&z, 1.5, &a, NULL) == CCZ_OK);
    CHECK(z > 1.5 && fabs(1 / (z * z) + 1 / (20.0 * 20.0) - 1 / (1.5 * 1.5)) < 1e-12);
}

static void test_adaptive_refused(void)
{
    const struct ccz_dp_adaptive good = {.clip = 1, .quantile = 0.5, .rate = 0.2, .count_sigma = 5};
    CCZ_AUTO(ccz_dp_rng) g = seeded(8);
    struct ccz_err err;
    double z;
    struct ccz_dp_adaptive bad[9];
    for (size_t i = 0; i < 9; i++)
        bad[i] = good;
    bad[0].clip = 0;
    bad[1].quantile = 0;
    bad[2].quantile = 1;
    bad[3].rate = 0;
    bad[4].count_sigma = 0;
    bad[5].clip_max = 0.5; /* clip is outside */
    bad[6].clip_min = 2;
    bad[7].rate = NAN;
    bad[8].clip = INFINITY;
    for (size_t i = 0; i < 9; i++) {
        refused(ccz_dp_adaptive_update(&bad[i], NULL, g, 1, 2, &err), CCZ_E_ARG, &err,
                "dp:adaptive");
        refused(ccz_dp_adaptive_multiplier(&z, 1, &bad[i], &err), CCZ_E_ARG, &err, "dp:adaptive");
    }
    struct ccz_dp_adaptive a = good;
    refused(ccz_dp_adaptive_update(&a, NULL, g, 1, 0, &err), CCZ_E_ARG, &err, "dp:adaptive");
    refused(ccz_dp_adaptive_update(&a, NULL, g, -1, 2, &err), CCZ_E_ARG, &err, "dp:adaptive");
    refused(ccz_dp_adaptive_multiplier(&z, 10, &a, &err), CCZ_E_ARG, &err, "dp:adaptive");
    CHECK(a.clip == 1 && z == 0);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"dp.clip", test_clip},
        {"dp.clip_refused", test_clip_refused},
        {"dp.gauss_exact", test_gauss_exact},
        {"dp.gauss_moments", test_gauss_moments},
        {"dp.gauss_seeded", test_gauss_seeded},
        {"dp.gauss_refused", test_gauss_refused},
        {"dp.noise", test_noise},
        {"dp.noise_grid", test_noise_grid},
        {"dp.noise_refused", test_noise_refused},
        {"dp.shared", test_shared},
        {"dp.shared_refused", test_shared_refused},
        {"dp.adaptive", test_adaptive},
        {"dp.adaptive_refused", test_adaptive_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
