/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* XCR0: which registers the system saves (Intel SDM, volume 1, 13.3). */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6 };

/* Intel SDM, volume 2, CPUID. */
static void detect(struct cczi_cpu *cpu)
{
    unsigned a, b, c, d, c1, xcr0 = 0, high;
    if (__get_cpuid(1, &a, &b, &c1, &d) != 1 || __get_cpuid_count(7, 0, &a, &b, &c, &d) != 1)
        return;
    cpu->mulx_adx = (b >> 8 & 1) && (b >> 19 & 1);
    if (c1 >> 27 & 1) /* OSXSAVE: XGETBV exists */
        __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    if ((xcr0 & XCR0_AVX) != XCR0_AVX || !(c1 >> 28 & 1) || !(c1 >> 12 & 1) || !(b >> 5 & 1))
        return;
    cpu->best = CCZI_CPU_AVX2; /* AVX, FMA, AVX2 */
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || !(b >> 16 & 1) || !(b >> 17 & 1) || !(b >> 31 & 1))
        return;
    cpu->best = CCZI_CPU_AVX512; /* F, DQ, VL */
    if (b >> 21 & 1)
        cpu->best = CCZI_CPU_IFMA;
}
#else
static void detect(struct cczi_cpu *cpu)
{
    (void)cpu;
}
#endif

static const char *const names[CCZI_CPU_TIERS] = {"portable", "avx2", "avx512", "ifma"};

const char *cczi_cpu_tier_name(enum cczi_cpu_tier tier)
{
    return names[tier];
}

enum cczi_cpu_tier cczi_cpu_tier_from(const char *name)
{
    for (int i = 0; i < CCZI_CPU_TIERS; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum cczi_cpu_tier)i;
    }
    return CCZI_CPU_TIERS;
}

static struct cczi_cpu detected;
static pthread_once_t detected_once = PTHREAD_ONCE_INIT;

static void detect_once(void)
{
    const char *pinned = getenv("CCZOO_CPU");
    detect(&detected);
    detected.chosen = detected.best;
    if (pinned && cczi_cpu_tier_from(pinned) < detected.best)
        detected.chosen = cczi_cpu_tier_from(pinned);
    if (pinned && cczi_cpu_tier_from(pinned) == CCZI_CPU_PORTABLE)
        detected.mulx_adx = false;
}

const struct cczi_cpu *cczi_cpu(void)
{
    (void)pthread_once(&detected_once, detect_once);
    return &detected;
}
