/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_SRC_CPU_H
#define CCZ_SRC_CPU_H
/* What the processor can run. Files of vector code are compiled with flags of their own and may be
 * entered only when their tier is usable here. */
#include <stdbool.h>

/* Tiers of vector code, each including those below it. */
enum cczi_cpu_tier {
    CCZI_CPU_PORTABLE, /* plain C */
    CCZI_CPU_AVX2,     /* AVX2 and FMA */
    CCZI_CPU_AVX512,   /* AVX-512 F, DQ and VL */
    CCZI_CPU_IFMA,     /* and IFMA (52-bit multiplication) */
    CCZI_CPU_TIERS
};

struct cczi_cpu {
    enum cczi_cpu_tier best;   /* what processor and system can run */
    enum cczi_cpu_tier chosen; /* best, or less if CCZOO_CPU says so: what code uses by default */
    bool mulx_adx;             /* BMI2 and ADX; never with CCZOO_CPU=portable */
};
/* Detected at the first call, from any thread. CCZOO_CPU=portable|avx2|avx512|ifma chooses a lower
 * tier than the best: a choice between tested implementations, nothing else. */
const struct cczi_cpu *cczi_cpu(void);

/* "portable", "avx2", "avx512", "ifma" */
const char *cczi_cpu_tier_name(enum cczi_cpu_tier tier);
/* By that name; CCZI_CPU_TIERS if there is none. */
enum cczi_cpu_tier cczi_cpu_tier_from(const char *name);
#endif
