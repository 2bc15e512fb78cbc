/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_TEST_RNG_H
#define CCZ_TEST_RNG_H
/* Reproducible numbers for tests. */
#include <cczoo/base.h>

/* xorshift64* (Vigna 2016) */
static inline uint64_t rnd(uint64_t *state)
{
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return *state * 2685821657736338717u;
}

/* The same as a source of bytes for code that has one injected: rng_fill() with a struct test_rng. */
struct test_rng {
    uint64_t state;
    long left; /* calls until it fails; negative: never */
};

static inline ccz_rc rng_fill(void *arg, void *out, size_t size)
{
    struct test_rng *g = arg;
    if (g->left == 0)
        return CCZ_E_INTERNAL;
    g->left -= g->left > 0;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)out)[i] = (uint8_t)(rnd(&g->state) >> 56);
    return CCZ_OK;
}
#endif
