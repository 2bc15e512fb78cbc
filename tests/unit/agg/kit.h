/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEST_AGG_KIT_H
#define TEST_AGG_KIT_H
#include "agg/agg_priv.h"

#include "ccz_test.h"
#include "test_rng.h"

#include <float.h>
#include <math.h>

/* About normally sized numbers of either sign, some of them equal, zero, tiny or large. */
static inline float rnd_float(uint64_t *state)
{
    uint64_t r = rnd(state), kind = rnd(state) % 32;
    float x = (float)(int32_t)(r >> 32) * 0x1p-30f;
    if (kind == 0)
        return r % 2 ? 0.0f : -0.0f;
    if (kind == 1)
        return x * 1e-30f;
    if (kind == 2)
        return x * 1e15f;
    return kind == 3 ? (float)(r % 4) : x;
}

static inline void rnd_floats(float *x, size_t len, uint64_t *state)
{
    for (size_t i = 0; i < len; i++)
        x[i] = rnd_float(state);
}

static inline bool near(double got, double expected, double relative)
{
    return fabs(got - expected) <= relative * fabs(expected) + 1e-12;
}

static inline bool same_bits(const void *a, const void *b, size_t size)
{
    return size == 0 || memcmp(a, b, size) == 0;
}

#define REFUSED(call, code, place)                                                                 \
    do {                                                                                           \
        struct ccz_err err;                                                                        \
        memset(&err, 0, sizeof(err));                                                              \
        CHECK((call) == (code));                                                                   \
        CHECK(strcmp(err.where, (place)) == 0 && err.msg[0] != 0);                                 \
    } while (0)
#endif
