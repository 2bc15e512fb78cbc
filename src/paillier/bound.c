/* SPDX-License-Identifier: Apache-2.0 */
/* Upper bounds of what is encrypted: floating point with an exponent of its own, rounded up. */
#include "paillier/paillier_priv.h"

#include <math.h>

enum { MANTISSA_BITS = 53 };

static struct cczi_bound normal(double m, int e)
{
    int shift;
    double f = frexp(m, &shift); /* [0.5, 1) */
    return (struct cczi_bound){2 * f, e + shift - 1};
}

struct cczi_bound cczi_bound_bits(unsigned bits)
{
    return (struct cczi_bound){1.0, (int)bits};
}

struct cczi_bound cczi_bound_add(struct cczi_bound a, struct cczi_bound b)
{
    if (a.e < b.e || (a.e == b.e && a.m < b.m)) {
        struct cczi_bound t = a;
        a = b;
        b = t;
    }
    int gap = b.e - a.e < -100 ? -100 : b.e - a.e;
    double small = ldexp(b.m, gap), sum = a.m + small;
    if (small - (sum - a.m) > 0) /* rounded down; the error is exact as a.m >= small */
        sum = nextafter(sum, 8);
    return normal(sum, a.e);
}

struct cczi_bound cczi_bound_mul(struct cczi_bound a, struct cczi_bound b)
{
    double m = a.m * b.m;
    if (fma(a.m, b.m, -m) > 0)
        m = nextafter(m, 8);
    return normal(m, a.e + b.e);
}

struct cczi_bound cczi_bound_times(struct cczi_bound a, size_t count)
{
    double c = (double)count;
    if (c < 0x1p63 && (size_t)c < count)
        c = nextafter(c, 0x1p65);
    return cczi_bound_mul(a, normal(c, 0));
}

bool cczi_bound_fits(struct cczi_bound a, struct cczi_bound limit)
{
    return a.e < limit.e || (a.e == limit.e && a.m <= limit.m);
}

double cczi_bound_log2(struct cczi_bound a)
{
    return log2(a.m) + a.e;
}

uint64_t cczi_bound_mantissa(struct cczi_bound a)
{
    return (uint64_t)ldexp(a.m, MANTISSA_BITS - 1);
}

bool cczi_bound_from(struct cczi_bound *out, uint64_t mantissa, int32_t exponent)
{
    bool good =
        mantissa >> (MANTISSA_BITS - 1) == 1 && exponent >= 0 && exponent <= CCZ_PAILLIER_BITS_MAX;
    *out = good ? (struct cczi_bound){ldexp((double)mantissa, 1 - MANTISSA_BITS), exponent}
                : cczi_bound_bits(0);
    return good;
}
