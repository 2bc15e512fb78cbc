/* SPDX-License-Identifier: Apache-2.0 */
/* Clipping and noise: one line each, values per second of CPU time. */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/dp.h>

enum { LEN = 1 << 14 };
static float x[LEN];
static int64_t noise[LEN];
static struct ccz_dp_rng *rng;

static void clip(void *arg)
{
    (void)arg;
    x[0] = 2; /* too long each time */
    must(ccz_dp_clip(x, NULL, LEN, 1, NULL) == CCZ_OK, "clip");
}

static void gauss(void *arg)
{
    must(ccz_dp_discrete_gauss(noise, rng, LEN, *(const uint32_t *)arg, NULL) == CCZ_OK, "gauss");
}

static void spend(void *arg)
{
    struct ccz_dp_accountant a = {0};
    must(ccz_dp_spend(&a, arg, NULL) == CCZ_OK, "spend");
}

int main(void)
{
    uint32_t grid = 1 << 20, odd = 1000003;
    must(ccz_dp_rng_new(&rng, NULL, NULL) == CCZ_OK, "rng");
    printf("clip\tvalues/s\t%.4g\n", per_second(clip, NULL) * LEN);
    printf("gauss sigma 2^20\tvalues/s\t%.4g\n", per_second(gauss, &grid) * LEN);
    printf("gauss sigma 1000003\tvalues/s\t%.4g\n", per_second(gauss, &odd) * LEN);
    struct ccz_dp_event poisson = {CCZ_DP_POISSON, 0.01, 1, 1}, fixed = {CCZ_DP_FIXED, 0.01, 1, 1};
    printf("accountant poisson\tevents/s\t%.4g\n", per_second(spend, &poisson));
    printf("accountant fixed\tevents/s\t%.4g\n", per_second(spend, &fixed));
    ccz_dp_rng_free(rng);
    return 0;
}
