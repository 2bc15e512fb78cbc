/* SPDX-License-Identifier: Apache-2.0 */
/* Choice of the tier. */
#define _DEFAULT_SOURCE
#include "num_priv.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static const struct cczi_tier *const tiers[CCZ_CPU_TIERS] = {
    [CCZ_CPU_PORTABLE] = &cczi_tier_portable,
#if defined(__x86_64__)
    [CCZ_CPU_AVX2] = &cczi_tier_avx2,
    [CCZ_CPU_AVX512] = &cczi_tier_avx512,
    [CCZ_CPU_IFMA] = &cczi_tier_ifma,
#endif
};

static const struct cczi_tier *usable[CCZ_CPU_TIERS], *chosen;
static pthread_once_t chosen_once = PTHREAD_ONCE_INIT;

static void choose(void)
{
    for (int i = 0; i <= (int)ccz_cpu()->best; i++) {
        if (tiers[i] && (i == CCZ_CPU_PORTABLE || cczi_tier_self_test(tiers[i])))
            usable[i] = tiers[i];
        if (usable[i] && i <= (int)ccz_cpu()->chosen)
            chosen = usable[i];
    }
}

const struct ccz_kernels *ccz_kernels(const char *name)
{
    (void)pthread_once(&chosen_once, choose);
    if (!name)
        return &chosen->k;
    enum ccz_cpu_tier tier = ccz_cpu_tier_from(name);
    return tier < CCZ_CPU_TIERS && usable[tier] ? &usable[tier]->k : NULL;
}
