/* SPDX-License-Identifier: Apache-2.0 */
#include "fedlr/random.h"

#include <cczoo/fedlr.h>
#include <math.h>

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a counter through a mixing function. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct cczi_fl_seeded cczi_fl_seeded_from(uint64_t seed, uint64_t stream)
{
    return (struct cczi_fl_seeded){mix(seed) ^ mix(mix(stream + 1))};
}

uint64_t cczi_fl_seeded_u64(struct cczi_fl_seeded *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(r->state);
}

uint64_t cczi_fl_seeded_below(struct cczi_fl_seeded *r, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;
    do
        v = cczi_fl_seeded_u64(r);
    while (v >= limit);
    return v % n;
}

double cczi_fl_seeded_unit(struct cczi_fl_seeded *r)
{
    return ((double)(cczi_fl_seeded_u64(r) >> 11) + 0.5) * 0x1p-53;
}

double cczi_fl_seeded_normal(struct cczi_fl_seeded *r)
{
    double u = cczi_fl_seeded_unit(r), v = cczi_fl_seeded_unit(r);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

/* Marsaglia and Tsang, ACM TOMS 26 (2000); a shape below 1 by one of shape + 1. */
double cczi_fl_seeded_gamma(struct cczi_fl_seeded *r, double shape)
{
    if (shape < 1)
        return cczi_fl_seeded_gamma(r, shape + 1) * pow(cczi_fl_seeded_unit(r), 1 / shape);
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = cczi_fl_seeded_normal(r), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(cczi_fl_seeded_unit(r)) < x * x / 2 + d - d * v + d * log(v))
            return d * v;
    }
}

void cczi_fl_seeded_shuffle(size_t *index, size_t len, struct cczi_fl_seeded *r)
{
    for (size_t i = len; i > 1; i--) {
        size_t j = (size_t)cczi_fl_seeded_below(r, i), t = index[i - 1];
        index[i - 1] = index[j];
        index[j] = t;
    }
}

void ccz_fedlr_shuffle(size_t *index, size_t len, uint64_t seed)
{
    struct cczi_fl_seeded r = cczi_fl_seeded_from(seed, 0);
    for (size_t i = 0; i < len; i++)
        index[i] = i;
    cczi_fl_seeded_shuffle(index, len, &r);
}
