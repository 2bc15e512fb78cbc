/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include <cczoo/base.h>

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>

/* XCR0: which registers the system saves (Intel SDM, volume 1, 13.3). */
enum { XCR0_AVX = 0x06, XCR0_AVX512 = 0xe6 };

/* Intel SDM, volume 2, CPUID. */
static void detect(struct ccz_cpu *cpu)
{
    unsigned a, b, c, d, c1, xcr0 = 0, high;
    if (__get_cpuid(1, &a, &b, &c1, &d) != 1 || __get_cpuid_count(7, 0, &a, &b, &c, &d) != 1)
        return;
    cpu->mulx_adx = (b >> 8 & 1) && (b >> 19 & 1);
    if (c1 >> 27 & 1) /* OSXSAVE: XGETBV exists */
        __asm__ volatile("xgetbv" : "=a"(xcr0), "=d"(high) : "c"(0));
    if ((xcr0 & XCR0_AVX) != XCR0_AVX || !(c1 >> 28 & 1) || !(c1 >> 12 & 1) || !(b >> 5 & 1))
        return;
    cpu->best = CCZ_CPU_AVX2; /* AVX, FMA, AVX2 */
    cpu->aes = (c1 >> 25 & 1) && (c1 >> 1 & 1);
    if ((xcr0 & XCR0_AVX512) != XCR0_AVX512 || !(b >> 16 & 1) || !(b >> 17 & 1) || !(b >> 31 & 1))
        return;
    cpu->best = CCZ_CPU_AVX512; /* F, DQ, VL */
    cpu->vaes = cpu->aes && (c >> 9 & 1) && (c >> 10 & 1);
    if (b >> 21 & 1)
        cpu->best = CCZ_CPU_IFMA;
}
#else
static void detect(struct ccz_cpu *cpu)
{
    (void)cpu;
}
#endif

static const char *const names[CCZ_CPU_TIERS] = {"portable", "avx2", "avx512", "ifma"};

const char *ccz_cpu_tier_name(enum ccz_cpu_tier tier)
{
    return names[tier];
}

enum ccz_cpu_tier ccz_cpu_tier_from(const char *name)
{
    for (int i = 0; i < CCZ_CPU_TIERS; i++) {
        if (strcmp(name, names[i]) == 0)
            return (enum ccz_cpu_tier)i;
    }
    return CCZ_CPU_TIERS;
}

static struct ccz_cpu detected;
static pthread_once_t detected_once = PTHREAD_ONCE_INIT;

static void detect_once(void)
{
    const char *pinned = getenv("CCZOO_CPU");
    detect(&detected);
    detected.chosen = detected.best;
    if (pinned && ccz_cpu_tier_from(pinned) < detected.best)
        detected.chosen = ccz_cpu_tier_from(pinned);
    if (pinned && ccz_cpu_tier_from(pinned) == CCZ_CPU_PORTABLE)
        detected.mulx_adx = false;
}

const struct ccz_cpu *ccz_cpu(void)
{
    (void)pthread_once(&detected_once, detect_once);
    return &detected;
}
