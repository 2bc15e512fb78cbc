/* SPDX-License-Identifier: Apache-2.0 */
/* The canonical embedding in plain C. */
#include "fft_priv.h"

#include <math.h>

typedef double V;
#define LOG_LANES      0
#define RADIX_8        0
#define LD(p)          (*(p))
#define ST(p, v)       (*(p) = (v))
#define ALL(x)         (x)
#define ADD(a, b)      ((a) + (b))
#define SUB(a, b)      ((a) - (b))
#define MUL(a, b)      ((a) * (b))
#define ABS(a)         fabs(a)
#define MAX(a, b)      ((a) > (b) ? (a) : (b))
#define WORDS(p)       ((double)(int64_t) * (p))
#define STU(p, v)      (*(p) = (v))
#define ABOVE(a, b, c) ((a) > (b) ? (c) : 0.0)

static inline void transpose(V v[1])
{
    (void)v;
}

#include "fft_kernel.h"

/* Adding and subtracting 2^52 rounds what is smaller; from there on doubles are integers. */
static bool round_all(int64_t *out, const double *in, size_t len, double factor)
{
    bool good = true;
    for (size_t i = 0; i < len; i++) {
        double x = in[i] * factor, size = fabs(x);
        double whole = size < 0x1p52 ? (size + 0x1p52) - 0x1p52 : size;
        good &= size < 0x1p62;
        int64_t v = size < 0x1p62 ? (int64_t)whole : 0;
        out[i] = x < 0 ? -v : v;
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
