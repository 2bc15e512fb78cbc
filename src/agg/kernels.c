/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of the tier. */
#include "agg_priv.h"

#include <pthread.h>
#if defined(__x86_64__)
#include <cpuid.h>

/* Conversions of binary16 are a feature of their own (Intel SDM, volume 2, CPUID leaf 1). */
static bool has_f16c(void)
{
    unsigned a, b, c, d;
    return __get_cpuid(1, &a, &b, &c, &d) == 1 && (c >> 29 & 1);
}
#endif

static const struct cczi_agg_kernels *usable[CCZ_CPU_TIERS], *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    const struct cczi_agg_kernels *tiers[CCZ_CPU_TIERS] = {&cczi_agg_portable};
#if defined(__x86_64__)
    if (has_f16c()) {
        tiers[CCZ_CPU_AVX2] = &cczi_agg_avx2;
        tiers[CCZ_CPU_AVX512] = &cczi_agg_avx512;
    }
#endif
    for (int i = 0; i <= (int)ccz_cpu()->best; i++) {
        if (tiers[i] && (i == CCZ_CPU_PORTABLE || cczi_agg_self_test(tiers[i])))
            usable[i] = tiers[i];
        if (usable[i] && i <= (int)ccz_cpu()->chosen)
            chosen = usable[i];
    }
}

const struct cczi_agg_kernels *cczi_agg_kernels(const char *name)
{
    (void)pthread_once(&chosen_once, choose);
    if (!name)
        return chosen;
    enum ccz_cpu_tier tier = ccz_cpu_tier_from(name);
    return tier < CCZ_CPU_TIERS ? usable[tier] : NULL;
}
