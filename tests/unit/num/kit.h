/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_NUM_KIT_H
#define TEST_NUM_KIT_H
/* Reproducible words, and arithmetic that shares nothing with the code under test. */
#include <cczoo/num.h>

#include "ccz_test.h"
#include "test_rng.h"

__extension__ typedef unsigned __int128 u128;
__extension__ typedef __int128 i128;

/* A residue, quite often one at an edge. */
static inline uint64_t rnd_residue(uint64_t *state, uint64_t q)
{
    uint64_t r = rnd(state), kind = rnd(state) % 16;
    if (kind == 0)
        return 0;
    if (kind == 1)
        return q - 1;
    if (kind == 2)
        return q / 2 + r % 2;
    if (kind == 3)
        return r % 3 < q ? r % 3 : 0;
    return r % q;
}

static inline uint64_t mul_mod(uint64_t a, uint64_t b, uint64_t q)
{
    return (uint64_t)((u128)a * b % q);
}

static inline uint64_t pow_mod(uint64_t a, uint64_t e, uint64_t q)
{
    uint64_t r = 1;
    for (a %= q; e; e >>= 1, a = mul_mod(a, a, q))
        r = e & 1 ? mul_mod(r, a, q) : r;
    return r;
}

static inline struct ccz_modulus modulus(uint64_t q)
{
    struct ccz_modulus m;
    CHECK(ccz_modulus_init(&m, q, NULL) == CCZ_OK);
    return m;
}
#endif
