/* SPDX-License-Identifier: Apache-2.0 */
/* Doubles to integers times 16^exponent and back, exactly rounded, without a branch on the value. */
#include "base/ct.h"
#include "paillier/paillier_priv.h"

#include <math.h>
#include <string.h>

enum {
    FRACTION_BITS = 52,
    LSB_BIAS = 1075,   /* a double with biased exponent e is mantissa * 2^(e - LSB_BIAS) */
    LSB_MIN = -1074,   /* exponent of the smallest double */
    BIASED_INF = 0x7ff /* exponent field of infinities and NaNs */
};

/* All ones if a < b. */
static uint64_t less_mask(int64_t a, int64_t b)
{
    return cczi_mask((uint64_t)(a - b) >> 63);
}

static int64_t select_i64(uint64_t mask, int64_t a, int64_t b)
{
    return (int64_t)(((uint64_t)a & mask) | ((uint64_t)b & ~mask));
}

/* b[len] <<= shift for 0 <= shift < 64 * 2^10: shifts within words, then whole words by powers of 2. */
static void shift_left(uint64_t *b, size_t len, uint64_t shift)
{
    unsigned in_word = (unsigned)(shift % 64);
    for (size_t i = len; i-- > 0;) {
        uint64_t low = i > 0 ? b[i - 1] >> 1 >> (63 - in_word) : 0;
        b[i] = b[i] << in_word | low;
    }
    size_t step = 1;
    for (unsigned bit = 6; step < len; bit++, step *= 2) {
        uint64_t mask = cczi_mask(shift >> bit & 1);
        for (size_t i = len; i-- > 0;)
            b[i] = ((i >= step ? b[i - step] : 0) & mask) | (b[i] & ~mask);
    }
}

/* b[0] is a fraction in units of 2^-64: rounds b[1 ..] to nearest, ties to even. */
static void round_fraction(uint64_t *b, size_t len)
{
    const uint64_t half = (uint64_t)1 << 63;
    uint64_t above = (b[0] >> 63) & cczi_nonzero(b[0] ^ half);
    uint64_t tie = 1 - cczi_nonzero(b[0] ^ half);
    uint64_t carry = above | (tie & b[1]);
    for (size_t i = 1; i < len; i++) {
        b[i] += carry;
        carry &= 1 - cczi_nonzero(b[i]);
    }
}

uint64_t cczi_f64_to_words(uint64_t *v, double x, int32_t exponent, unsigned bits)
{
    uint64_t b[CCZI_PAI_WORDS_MAX + 3] = {0}, u, bad;
    size_t len = bits / 64 + 1;
    memcpy(&u, &x, sizeof(u));
    int64_t biased = (int64_t)(u >> FRACTION_BITS & BIASED_INF);
    uint64_t normal = cczi_nonzero((uint64_t)biased);
    uint64_t mantissa = (u & (((uint64_t)1 << FRACTION_BITS) - 1)) | normal << FRACTION_BITS;
    /* x = mantissa 2^(shift - 64) 16^exponent, up to the sign */
    int64_t shift = biased + 1 - (int64_t)normal - LSB_BIAS - 4 * (int64_t)exponent + 64;
    uint64_t tiny = less_mask(shift, 0), huge = less_mask((int64_t)(64 * len + 64), shift);
    bad = (1 - cczi_nonzero((uint64_t)biased ^ BIASED_INF)) | (huge & cczi_nonzero(mantissa));
    b[0] = mantissa & ~tiny; /* below 2^-11 */
    shift_left(b, len + 2, (uint64_t)shift & ~tiny & ~huge);
    round_fraction(b, len + 2);
    bad |= cczi_nonzero(b[len] >> (bits % 64)) | cczi_nonzero(b[len + 1]);

    uint64_t sign = cczi_mask(u >> 63), carry = u >> 63;
    for (size_t i = 0; i < len; i++) {
        v[i] = (b[i + 1] ^ sign) + carry;
        carry &= 1 - cczi_nonzero(v[i]);
    }
    ccz_wipe(b, sizeof(b));
    return bad;
}

/* The first 64 bits of a number, from its highest 1 on: a = (top + something below 1) 2^exponent. */
struct head {
    uint64_t top;   /* 0 for 0 */
    uint64_t below; /* 1 if that something is not 0 */
    int64_t exponent;
};

static struct head head_of(const uint64_t *a, size_t len)
{
    uint64_t high = 0, low = 0, rest = 0, seen = 0, pos = 0;
    for (size_t i = 0; i < len; i++) {
        uint64_t mask = cczi_mask(cczi_nonzero(a[i])), next = i > 0 ? a[i - 1] : 0;
        high = (a[i] & mask) | (high & ~mask);
        low = (next & mask) | (low & ~mask);
        rest = (seen & mask) | (rest & ~mask);
        pos = (i & mask) | (pos & ~mask);
        seen |= next;
    }
    unsigned zeros = (unsigned)__builtin_clzll(high | 1);
    return (struct head){.top = high << zeros | low >> 1 >> (63 - zeros),
                         .below = cczi_nonzero(low << zeros | rest),
                         .exponent = 64 * (int64_t)pos - zeros};
}

uint64_t cczi_f64_from_words(double *out, const uint64_t *v, size_t len, int32_t exponent)
{
    uint64_t a[CCZI_PAI_WORDS_MAX + 1];
    uint64_t sign = cczi_words_abs(a, v, len);
    struct head h = head_of(a, len);
    int64_t lsb = h.exponent + 4 * (int64_t)exponent + 11; /* of a mantissa of 53 bits */
    int64_t extra = LSB_MIN - lsb; /* bits that a number below the normal ones lacks */
    extra = select_i64(less_mask(extra, 0), 0, extra);
    extra = select_i64(less_mask(54, extra), 54, extra);
    lsb = select_i64(less_mask(lsb + extra, 4000), lsb + extra, 4000);
    lsb = select_i64(less_mask(lsb, LSB_MIN), LSB_MIN, lsb);

    unsigned drop = (unsigned)extra + 9; /* 9 .. 63, of top >> 2 */
    uint64_t t = h.top >> 2, below = h.below | cczi_nonzero(h.top & 3);
    uint64_t m = t >> drop, fraction = t << (64 - drop), half = (uint64_t)1 << 63;
    uint64_t at_least = fraction >> 63, more = below | cczi_nonzero(fraction ^ half);
    m += at_least & (more | m);

    uint64_t zero = cczi_mask(1 - cczi_nonzero(h.top));
    uint64_t u = (((uint64_t)(lsb - LSB_MIN) << FRACTION_BITS) + m) & ~zero;
    uint64_t bad = less_mask(BIASED_INF - 1, (int64_t)(u >> FRACTION_BITS)) & 1;
    bad |= less_mask(BIASED_INF, lsb - LSB_MIN) & ~zero & 1;
    u |= sign << 63;
    memcpy(out, &u, sizeof(u));
    ccz_wipe(a, sizeof(a));
    return bad;
}

int32_t ccz_paillier_f64_exponent(double v)
{
    int e;
    (void)frexp(v, &e);
    int lsb = e - (FRACTION_BITS + 1); /* floor(lsb / 4) */
    return lsb >= 0 ? lsb / 4 : -((3 - lsb) / 4);
}
