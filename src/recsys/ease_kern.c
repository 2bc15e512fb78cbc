/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of the tier, and the test that it has to pass. */
#define _DEFAULT_SOURCE
#include "ease_priv.h"

#include <math.h>
#include <pthread.h>

static const struct cczi_ease_kernels *const tiers[CCZ_CPU_TIERS] = {
    [CCZ_CPU_PORTABLE] = &cczi_ease_portable,
#if defined(__x86_64__)
    [CCZ_CPU_AVX2] = &cczi_ease_avx2,
    [CCZ_CPU_AVX512] = &cczi_ease_avx512,
#endif
};
static const struct cczi_ease_kernels *usable[CCZ_CPU_TIERS], *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    for (int i = 0; i <= (int)ccz_cpu()->best; i++) {
        if (tiers[i] && (i == CCZ_CPU_PORTABLE || cczi_ease_self_test(tiers[i])))
            usable[i] = tiers[i];
        if (usable[i] && i <= (int)ccz_cpu()->chosen)
            chosen = usable[i];
    }
}

const struct cczi_ease_kernels *cczi_ease_kernels(const char *name)
{
    (void)pthread_once(&chosen_once, choose);
    if (!name)
        return chosen;
    const enum ccz_cpu_tier tier = ccz_cpu_tier_from(name);
    return tier < CCZ_CPU_TIERS ? usable[tier] : NULL;
}

/* One tile, set and subtracted, and a row, beside sums in double precision. */
bool cczi_ease_self_test(const struct cczi_ease_kernels *k)
{
    enum { B = CCZI_EASE_BLOCK, ROWS_MAX = 12, COLS_MAX = 32 };
    float a[B * ROWS_MAX], b[B * COLS_MAX], c[ROWS_MAX * COLS_MAX], row[COLS_MAX];
    bool ok = k->rows <= ROWS_MAX && k->cols <= COLS_MAX && B % k->rows == 0 && B % k->cols == 0;
    for (size_t i = 0; ok && i < B * k->rows; i++)
        a[i] = (float)((i * 7919 + 13) % 101) / 50 - 1;
    for (size_t i = 0; ok && i < B * k->cols; i++)
        b[i] = (float)((i * 104729 + 5) % 97) / 48 - 1;
    for (int set = 1; ok && set >= 0; set--) {
        k->tile(c, COLS_MAX, a, b, set);
        for (size_t r = 0; r < k->rows; r++)
            for (size_t j = 0; j < k->cols; j++) {
                double sum = 0;
                for (size_t p = 0; p < B; p++)
                    sum += (double)a[p * k->rows + r] * (double)b[p * k->cols + j];
                const double want = set ? sum : 0; /* the second takes away what the first set */
                ok = ok && fabs((double)c[r * COLS_MAX + j] - want) < 1e-4;
            }
    }
    for (size_t j = 0; j < COLS_MAX; j++)
        row[j] = (float)j;
    if (ok)
        k->axpy(row, b, 3, 16);
    for (size_t j = 0; j < COLS_MAX; j++)
        ok = ok && fabsf(row[j] - ((float)j + (j < 16 ? 3 * b[j] : 0))) < 1e-4f;
    return ok;
}
