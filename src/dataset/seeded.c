/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/dataset.h>

#include <math.h>

/* SplitMix64 (Steele, Lea, Flood, OOPSLA 2014): a counter through a mixing function. */
static uint64_t mix(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

struct ccz_seeded ccz_seeded_from(uint64_t seed, uint64_t stream)
{
    return (struct ccz_seeded){mix(seed) ^ mix(mix(stream + 1))};
}

uint64_t ccz_seeded_u64(struct ccz_seeded *r)
{
    r->state += UINT64_C(0x9e3779b97f4a7c15);
    return mix(r->state);
}

uint64_t ccz_seeded_below(struct ccz_seeded *r, uint64_t n)
{
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, v;
    do
        v = ccz_seeded_u64(r);
    while (v >= limit);
    return v % n;
}

double ccz_seeded_unit(struct ccz_seeded *r)
{
    return ((double)(ccz_seeded_u64(r) >> 11) + 0.5) * 0x1p-53;
}

double ccz_seeded_normal(struct ccz_seeded *r)
{
    double u = ccz_seeded_unit(r), v = ccz_seeded_unit(r);
    return sqrt(-2 * log(u)) * cos(2 * 3.14159265358979323846 * v);
}

/* Marsaglia and Tsang, ACM TOMS 26 (2000); a shape below 1 by one of shape + 1. */
double ccz_seeded_gamma(struct ccz_seeded *r, double shape)
{
    if (shape < 1)
        return ccz_seeded_gamma(r, shape + 1) * pow(ccz_seeded_unit(r), 1 / shape);
    double d = shape - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        double x = ccz_seeded_normal(r), v = 1 + c * x;
        if (v <= 0)
            continue;
        v = v * v * v;
        if (log(ccz_seeded_unit(r)) < x * x / 2 + d - d * v + d * log(v))
            return d * v;
    }
}

void ccz_seeded_shuffle(size_t *index, size_t len, struct ccz_seeded *r)
{
    for (size_t i = len; i > 1; i--) {
        size_t j = (size_t)ccz_seeded_below(r, i), t = index[i - 1];
        index[i - 1] = index[j];
        index[j] = t;
    }
}

void ccz_dataset_order(size_t *index, size_t len, uint64_t seed, uint64_t stream)
{
    struct ccz_seeded r = ccz_seeded_from(seed, stream);
    for (size_t i = 0; i < len; i++)
        index[i] = i;
    ccz_seeded_shuffle(index, len, &r);
}
