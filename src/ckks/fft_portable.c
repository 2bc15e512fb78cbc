/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical embedding in plain C. */
#include "fft_priv.h"

#include <math.h>

typedef double V;
#define LOG_LANES 0
#define RADIX_8   0
#define LD(p)     (*(p))
#define ST(p, v)  (*(p) = (v))
#define ALL(x)    (x)
#define ADD(a, b) ((a) + (b))
#define SUB(a, b) ((a) - (b))
#define MUL(a, b) ((a) * (b))
#define ABS(a)    fabs(a)
#define MAX(a, b) cczi_fft_max((a), (b))
#define WORDS(p)  ((double)(int64_t) * (p))
#define STU(p, v) (*(p) = (v))

/* By the sign of the difference. */
static inline double ABOVE(double a, double b, double c)
{
    return cczi_fft_from_bits(cczi_fft_bits(c) & (0 - (cczi_fft_bits(b - a) >> 63)));
}

static inline void transpose(V v[1])
{
    (void)v;
}

#include "fft_kernel.h"

/*
 * Without a branch. What is below 2^51 shows its integer in the mantissa once 1.5 * 2^52 is added; x is
 * split into h, the multiple of 2^32 next to it, and the rest, which is exact.
 */
static bool round_all(int64_t *out, const double *in, size_t len, double factor)
{
    const double magic = 0x1.8p52,
                 high = 0x1.8p84; /* one unit in the last place of `high` is 2^32 */
    bool good = true;
    for (size_t i = 0; i < len; i++) {
        double x = in[i] * factor, h = x + high, low = (x - (h - high)) + magic;
        good &= fabs(x) < 0x1p62;
        out[i] = (int64_t)(((cczi_fft_bits(h) - cczi_fft_bits(high)) << 32) + cczi_fft_bits(low) -
                           cczi_fft_bits(magic));
    }
    return good;
}

const struct cczi_fft_kernel cczi_fft_portable = {
    .name = "portable",
    .log_lanes = LOG_LANES,
    .to_slots = to_slots,
    .to_coeffs = to_coeffs,
    .round = round_all,
    .largest = largest,
    .horner = horner,
};
