/* SPDX-License-Identifier: Apache-2.0 */
/* ristretto255: one point at a time and many. Columns: name, microseconds per point (best of seven). */
#define _POSIX_C_SOURCE 200809L
#include "bench.h"

#include <cczoo/ristretto.h>

enum { LEN = 256 };

static uint8_t g_hash[LEN][64], g_points[LEN][32], g_out[LEN][32], g_s[32];

static void hash_one(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < LEN; i++)
        ccz_ristretto_from_hash(g_points[i], g_hash[i]);
}

static void hash_each(void *arg)
{
    (void)arg;
    ccz_ristretto_from_hash_each(g_points, (const uint8_t(*)[64])g_hash, LEN);
}

static void mul_one(void *arg)
{
    (void)arg;
    for (size_t i = 0; i < LEN; i++)
        must(ccz_ristretto_mul(g_out[i], g_s, g_points[i]) == CCZ_OK, "mul");
}

static void mul_each(void *arg)
{
    (void)arg;
    must(ccz_ristretto_mul_each(g_out, g_s, (const uint8_t(*)[32])g_points, LEN) == LEN, "mul");
}

int main(void)
{
    must(ccz_ristretto_scalar_random(g_s) == CCZ_OK, "scalar");
    for (size_t i = 0; i < LEN; i++)
        for (size_t k = 0; k < 64; k++)
            g_hash[i][k] = (uint8_t)(i * 7 + k * (i + 3));
    printf("ristretto.hash_one\t%.2f\n", 1e6 / per_second(hash_one, NULL) / LEN);
    printf("ristretto.hash_each\t%.2f\n", 1e6 / per_second(hash_each, NULL) / LEN);
    printf("ristretto.mul_one\t%.2f\n", 1e6 / per_second(mul_one, NULL) / LEN);
    printf("ristretto.mul_each\t%.2f\n", 1e6 / per_second(mul_each, NULL) / LEN);
    return 0;
}
