/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Run under valgrind: any branch or address that depends on a secret is reported. Secret are moduli,
 * values and exponents. Valgrind cannot run AVX-512, and the vector tier does without branches and
 * addresses that depend on data by construction: this is about the other tiers.
 */
#include <cczoo/mont.h>

#include "base/ct.h"
#include "num/mont_priv.h"

#include <stdio.h>
#include <string.h>

enum { ROOT_SIZE = 64, SIZE = 2 * ROOT_SIZE, COUNT = 3, EXP_BITS = 61, EXP_SIZE = 8 };

static void fill(uint8_t *p, size_t size, unsigned seed)
{
    for (size_t i = 0; i < size; i++)
        p[i] = (uint8_t)(i * i * seed + 7 * i + seed);
    CCZ_CT_SECRET(p, size);
}

/* Everything that is said to be constant time, modulo root or root^2; bytes of the results. */
static bool run(uint8_t *out, size_t *out_size, const uint8_t *root, bool pair,
                const struct cczi_mont_tier *tier)
{
    CCZ_AUTO(ccz_mont) m = NULL;
    CCZ_AUTO(ccz_mont_comb) c = NULL;
    uint8_t in[COUNT * SIZE], exps[COUNT * EXP_SIZE], low[COUNT * ROOT_SIZE];
    uint64_t a[COUNT * 32], b[COUNT * 32], one[32];
    struct ccz_mont_job jobs[COUNT];
    fill(in, sizeof(in), 3);
    fill(exps, sizeof(exps), 5);
    if (cczi_mont_new(&m, CCZ_SPAN(root, ROOT_SIZE), pair, tier, NULL) != CCZ_OK ||
        ccz_mont_from_bytes(m, a, in, SIZE, COUNT) != CCZ_OK ||
        ccz_mont_comb_new(&c, m, a, EXP_BITS, 4, NULL) != CCZ_OK)
        return false;
    for (size_t i = 0; i < COUNT; i++)
        jobs[i] = (struct ccz_mont_job){m, b + i * ccz_mont_len(m), a + i * ccz_mont_len(m),
                                        exps + i * EXP_SIZE};
    if (ccz_mont_pow(jobs, COUNT, EXP_BITS, NULL) != CCZ_OK)
        return false;
    ccz_mont_mul(m, b, b, a, COUNT);
    if (ccz_mont_comb_pow(c, a, exps, COUNT, NULL) != CCZ_OK)
        return false;
    ccz_mont_mul_one(m, b, b, a + ccz_mont_len(m), COUNT);
    if (pair) {
        ccz_mont_to_pair(m, low, in, b, COUNT);
        ccz_mont_from_pair(m, a, low, in, COUNT);
        ccz_mont_mul(m, b, b, a, COUNT);
    }
    ccz_mont_sqr(m, b, b, COUNT);
    ccz_mont_product(m, one, b, COUNT);
    if (ccz_mont_pow_var(m, one, one, 1, CCZ_SPAN("\3\1", 2), NULL) != CCZ_OK)
        return false;
    ccz_mont_to_bytes(m, out, one, 1);
    *out_size = ccz_mont_size(m);
    return true;
}

/* A public exponent that is secret. */
static bool leak(const uint8_t *root)
{
    CCZ_AUTO(ccz_mont) m = NULL;
    uint64_t a[32];
    uint8_t exp[EXP_SIZE];
    fill(exp, sizeof(exp), 9);
    if (cczi_mont_new(&m, CCZ_SPAN(root, ROOT_SIZE), false, &cczi_mont_portable, NULL) != CCZ_OK)
        return false;
    ccz_mont_one(m, a);
    return ccz_mont_pow_var(m, a, a, 1, CCZ_SPAN(exp, sizeof(exp)), NULL) == CCZ_OK;
}

/* Valgrind runs ADX whatever the processor has, but hides it from CPUID: cczi_mont_tier_at() does not
 * tell. */
static const struct cczi_mont_tier *const tiers[] = {
    &cczi_mont_portable,
#if defined(__x86_64__)
    &cczi_mont_x86,
#endif
};

int main(int argc, char **argv)
{
    uint8_t root[ROOT_SIZE], out[SIZE];
    memset(root, 0xe7, sizeof(root));
    CCZ_CT_SECRET(root, sizeof(root));
    if (argc > 1 && strcmp(argv[1], "--leak") == 0)
        return leak(root) ? 0 : 1;
    for (size_t i = 0; i < 2 * sizeof(tiers) / sizeof(tiers[0]); i++) {
        size_t size = 0;
        if (!run(out, &size, root, i % 2, tiers[i / 2]))
            return 1;
        CCZ_CT_PUBLIC(out, size);
        printf("%s ", tiers[i / 2]->name);
        for (size_t k = 0; k < size; k++)
            printf("%02x", out[k]);
        printf("\n");
    }
    return 0;
}
