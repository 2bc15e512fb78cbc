/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The transforms over one kind of register. Included once by each fft_*.c after it has defined
 *   V, LOG_LANES            a register of 2^LOG_LANES doubles
 *   LD(p) ST(p, v) ALL(x)   load, store, the same double in all lanes; addresses are aligned to V
 *   STU(p, v)               store anywhere
 *   ADD SUB MUL             one rounding each
 *   ABS(a) MAX(a, b)        of numbers that are not negative; b if a is not a number
 *   WORDS(p)                words below 2^52 as doubles
 *   ABOVE(a, b, c)          in each lane a > b ? c : 0
 *   transpose(V v[LANES])   rows to columns
 *   RADIX_8                 1: the registers suffice for 8 complex numbers and their factors
 * See fft_priv.h for what is computed and why all results agree to the bit.
 */
#include "fft_priv.h"

enum { LANES = 1 << LOG_LANES, BLOCK_LEN = 1024 /* 16 KB: fits the L1 cache */ };

struct cx {
    V re, im;
};

/* ------------------------------------------------------------------------------ butterflies */

/* (a, b) to (a + w b, a - w b) */
static inline void down(struct cx *a, struct cx *b, struct cx w)
{
    V re = SUB(MUL(w.re, b->re), MUL(w.im, b->im));
    V im = ADD(MUL(w.re, b->im), MUL(w.im, b->re));
    b->re = SUB(a->re, re);
    b->im = SUB(a->im, im);
    a->re = ADD(a->re, re);
    a->im = ADD(a->im, im);
}

/* The same for the factor -i w */
static inline void down_i(struct cx *a, struct cx *b, struct cx w)
{
    V re = SUB(MUL(w.re, b->re), MUL(w.im, b->im));
    V im = ADD(MUL(w.re, b->im), MUL(w.im, b->re));
    b->re = SUB(a->re, im);
    b->im = ADD(a->im, re);
    a->re = ADD(a->re, im);
    a->im = SUB(a->im, re);
}

/* (a, b) to (a + b, (a - b) / w), |w| = 1 */
static inline void up(struct cx *a, struct cx *b, struct cx w)
{
    V re = SUB(a->re, b->re), im = SUB(a->im, b->im);
    a->re = ADD(a->re, b->re);
    a->im = ADD(a->im, b->im);
    b->re = ADD(MUL(w.re, re), MUL(w.im, im));
    b->im = SUB(MUL(w.re, im), MUL(w.im, re));
}

static inline void up_i(struct cx *a, struct cx *b, struct cx w)
{
    V re = SUB(b->im, a->im), im = SUB(a->re, b->re); /* (a - b) / -i */
    a->re = ADD(a->re, b->re);
    a->im = ADD(a->im, b->im);
    b->re = ADD(MUL(w.re, re), MUL(w.im, im));
    b->im = SUB(MUL(w.re, im), MUL(w.im, re));
}

/* The factor of block b of a level in all lanes. */
static inline struct cx factor(const struct cczi_fft *fft, unsigned level, size_t b)
{
    double re, im;
    cczi_fft_factor(&re, &im, fft, level, b);
    return (struct cx){ALL(re), ALL(im)};
}

/*
 * Two levels: w[0] of the first, w[1] and w[2] of the even block of the second; w[2] is -w[1] where the
 * second level is level 1, else w[1].
 */
static inline void down4(struct cx x[4], const struct cx w[3])
{
    down(&x[0], &x[2], w[0]);
    down(&x[1], &x[3], w[0]);
    down(&x[0], &x[1], w[1]);
    down_i(&x[2], &x[3], w[2]);
}

static inline void up4(struct cx x[4], const struct cx w[3])
{
    up(&x[0], &x[1], w[1]);
    up_i(&x[2], &x[3], w[2]);
    up(&x[0], &x[2], w[0]);
    up(&x[1], &x[3], w[0]);
}

#if RADIX_8
/* Three levels: w[3], w[4] of the blocks 0 and 2 of the third. */
static inline void down8(struct cx x[8], const struct cx w[5])
{
    for (size_t i = 0; i < 4; i++)
        down(&x[i], &x[i + 4], w[0]);
    for (size_t i = 0; i < 2; i++) {
        down(&x[i], &x[i + 2], w[1]);
        down_i(&x[i + 4], &x[i + 6], w[2]);
    }
    for (size_t i = 0; i < 2; i++) {
        down(&x[4 * i], &x[4 * i + 1], w[3 + i]);
        down_i(&x[4 * i + 2], &x[4 * i + 3], w[3 + i]);
    }
}

static inline void up8(struct cx x[8], const struct cx w[5])
{
    for (size_t i = 0; i < 2; i++) {
        up(&x[4 * i], &x[4 * i + 1], w[3 + i]);
        up_i(&x[4 * i + 2], &x[4 * i + 3], w[3 + i]);
    }
    for (size_t i = 0; i < 2; i++) {
        up(&x[i], &x[i + 2], w[1]);
        up_i(&x[i + 4], &x[i + 6], w[2]);
    }
    for (size_t i = 0; i < 4; i++)
        up(&x[i], &x[i + 4], w[0]);
}
#endif

/* ---------------------------------------------------------------------------------- passes */

/* One pass over one block of a level: re and im point to its first element. */
#define PASS(name, radix, step, factors)                                                           \
    static inline void name(double *re, double *im, size_t len, const struct cx *w)                \
    {                                                                                              \
        size_t part = len / (radix);                                                               \
        for (size_t k = 0; k < part; k += LANES) {                                                 \
            struct cx x[radix];                                                                    \
            for (size_t i = 0; i < (radix); i++)                                                   \
                x[i] = (struct cx){LD(re + k + i * part), LD(im + k + i * part)};                  \
            step;                                                                                  \
            for (size_t i = 0; i < (radix); i++) {                                                 \
                ST(re + k + i * part, x[i].re);                                                    \
                ST(im + k + i * part, x[i].im);                                                    \
            }                                                                                      \
        }                                                                                          \
    }
PASS(pass_down2, 2, down(&x[0], &x[1], w[0]), 1)
PASS(pass_up2, 2, up(&x[0], &x[1], w[0]), 1)
PASS(pass_down4, 4, down4(x, w), 2)
PASS(pass_up4, 4, up4(x, w), 2)
#if RADIX_8
PASS(pass_down8, 8, down8(x, w), 4)
PASS(pass_up8, 8, up8(x, w), 4)
#endif
#undef PASS

/* How many levels the next pass takes of those that are left. */
static inline unsigned take(unsigned left)
{
#if RADIX_8
    if (left == 3 || left > 4)
        return 3;
#endif
    return left == 1 || (!RADIX_8 && left % 2) ? 1 : 2;
}

/* A pass of `levels` levels over the blocks [b, b + count) of `level`, whose length is len. */
static void blocks(double *re, double *im, const struct cczi_fft *fft, unsigned level, size_t b,
                   size_t count, unsigned levels, bool is_up)
{
    size_t len = fft->n >> level;
    for (size_t i = b; i < b + count; i++) {
        double *r = re + i * len, *m = im + i * len;
        struct cx w[5] = {factor(fft, level, i)};
        if (levels > 1) {
            w[1] = factor(fft, level + 1, 2 * i);
            w[2] = level == 0 ? (struct cx){ALL(-fft->re[1]), ALL(-fft->im[1])} : w[1];
        }
#if RADIX_8
        if (levels == 3) {
            w[3] = factor(fft, level + 2, 4 * i);
            w[4] = factor(fft, level + 2, 4 * i + 2);
            (is_up ? pass_up8 : pass_down8)(r, m, len, w);
            continue;
        }
#endif
        if (levels == 2)
            (is_up ? pass_up4 : pass_down4)(r, m, len, w);
        else
            (is_up ? pass_up2 : pass_down2)(r, m, len, w);
    }
}

/* The passes of whole registers: their levels from `first` on. */
struct passes {
    unsigned count, wide; /* the first `wide` go over the whole array, the others block by block */
    unsigned level[CCZI_FFT_LOG_MAX], levels[CCZI_FFT_LOG_MAX];
};

static struct passes plan(const struct cczi_fft *fft)
{
    struct passes p = {0};
    unsigned end = fft->log_n - LOG_LANES;
    for (unsigned level = 0; level < end; level += p.levels[p.count - 1]) {
        if (fft->n >> level > BLOCK_LEN)
            p.wide = p.count + 1;
        p.level[p.count] = level;
        p.levels[p.count++] = take(end - level);
    }
    return p;
}

static void all_down(double *re, double *im, const struct cczi_fft *fft)
{
    struct passes p = plan(fft);
    for (unsigned i = 0; i < p.wide; i++)
        blocks(re, im, fft, p.level[i], 0, (size_t)1 << p.level[i], p.levels[i], false);
    if (p.wide == p.count)
        return;
    unsigned top = p.level[p.wide];
    for (size_t b = 0; b < (size_t)1 << top; b++)
        for (unsigned i = p.wide; i < p.count; i++)
            blocks(re, im, fft, p.level[i], b << (p.level[i] - top),
                   (size_t)1 << (p.level[i] - top), p.levels[i], false);
}

static void all_up(double *re, double *im, const struct cczi_fft *fft)
{
    struct passes p = plan(fft);
    unsigned top = p.wide < p.count ? p.level[p.wide] : 0;
    for (size_t b = 0; p.wide < p.count && b < (size_t)1 << top; b++)
        for (unsigned i = p.count; i-- > p.wide;)
            blocks(re, im, fft, p.level[i], b << (p.level[i] - top),
                   (size_t)1 << (p.level[i] - top), p.levels[i], true);
    for (unsigned i = p.wide; i-- > 0;)
        blocks(re, im, fft, p.level[i], 0, (size_t)1 << p.level[i], p.levels[i], true);
}

/* ------------------------------------------------------------- the last levels, and the order */

#if LOG_LANES == 3
static const size_t reversed[LANES] = {0, 4, 2, 6, 1, 5, 3, 7};
#define DOWN_LANES(x, w) down8(x, w)
#define UP_LANES(x, w)   up8(x, w)
#elif LOG_LANES == 2
static const size_t reversed[LANES] = {0, 2, 1, 3};
#define DOWN_LANES(x, w) down4(x, w)
#define UP_LANES(x, w)   up4(x, w)
#else
static const size_t reversed[LANES] = {0};
#define DOWN_LANES(x, w) (void)(w)
#define UP_LANES(x, w)   (void)(w)
#endif
enum { FACTORS = LOG_LANES == 3 ? 5 : LOG_LANES == 2 ? 3 : 1 };

/* The next number whose bits, reversed in a field of `size` (a power of two), count up. */
static inline size_t reversed_next(size_t r, size_t size)
{
    size_t bit = size >> 1;
    while (r & bit) {
        r ^= bit;
        bit >>= 1;
    }
    return r | bit;
}

static inline void lane_factors(struct cx w[FACTORS], const struct cczi_fft *fft, size_t m)
{
    if (LOG_LANES == 0)
        return;
    const double *p = fft->lanes + m * 2 * (FACTORS - 1) * LANES;
    for (size_t i = 0; i < FACTORS; i++) {
        w[i] = i == 2 ? w[1] : (struct cx){LD(p), LD(p + LANES)};
        p += i == 2 ? 0 : 2 * LANES;
    }
}

/*
 * The last levels are within registers, and slot j comes out at the reversed bits of j. Of a position
 * call t the first log2(lanes) bits, m those in the middle and r the last ones. A square of registers
 * with the same m holds all t and r; transposed, its lanes go over t, so that the levels are between
 * registers, and row r is a run of slots.
 */
static void to_slots(double *out, double *work, const struct cczi_fft *fft)
{
    size_t gap = fft->n + CCZI_FFT_GAP;
    size_t stride = fft->n / LANES, mids = stride / LANES, rev = 0;
    all_down(work, work + gap, fft);
    for (size_t m = 0; m < mids; m++, rev = reversed_next(rev, mids)) {
        struct cx x[LANES], w[FACTORS];
        V re[LANES], im[LANES];
        for (size_t i = 0; i < LANES; i++) {
            re[i] = LD(work + reversed[i] * stride + m * LANES);
            im[i] = LD(work + gap + reversed[i] * stride + m * LANES);
        }
        transpose(re);
        transpose(im);
        for (size_t i = 0; i < LANES; i++)
            x[i] = (struct cx){re[i], im[i]};
        lane_factors(w, fft, m);
        DOWN_LANES(x, w);
        for (size_t i = 0; i < LANES; i++) {
            ST(out + reversed[i] * stride + rev * LANES, x[i].re);
            ST(out + gap + reversed[i] * stride + rev * LANES, x[i].im);
        }
    }
}

static void to_coeffs(double *out, const double *slots, const struct cczi_fft *fft)
{
    size_t gap = fft->n + CCZI_FFT_GAP;
    size_t stride = fft->n / LANES, mids = stride / LANES, rev = 0;
    for (size_t m = 0; m < mids; m++, rev = reversed_next(rev, mids)) {
        struct cx x[LANES], w[FACTORS];
        V re[LANES], im[LANES];
        for (size_t i = 0; i < LANES; i++) {
            x[i].re = LD(slots + reversed[i] * stride + rev * LANES);
            x[i].im = LD(slots + gap + reversed[i] * stride + rev * LANES);
        }
        lane_factors(w, fft, m);
        UP_LANES(x, w);
        for (size_t i = 0; i < LANES; i++) {
            re[i] = x[i].re;
            im[i] = x[i].im;
        }
        transpose(re);
        transpose(im);
        for (size_t i = 0; i < LANES; i++) {
            ST(out + reversed[i] * stride + m * LANES, re[i]);
            ST(out + gap + reversed[i] * stride + m * LANES, im[i]);
        }
    }
    all_up(out, out + gap, fft);
}

#undef DOWN_LANES
#undef UP_LANES

/* ----------------------------------------------------------------------- around the transforms */

static double largest(const double *in, size_t len)
{
    double lanes[LANES];
    V m = ALL(0.0);
    for (size_t i = 0; i < len; i += LANES)
        m = MAX(ABS(LD(in + i)), m);
    STU(lanes, m);
    for (size_t i = 1; i < LANES; i++)
        lanes[0] = cczi_fft_max(lanes[0], lanes[i]);
    return lanes[0];
}

static void horner(double *acc, const uint64_t *digit, size_t len, double q, double factor,
                   bool first)
{
    const V modulus = ALL(q), half = ALL(q / 2), f = ALL(factor);
    for (size_t i = 0; i < len; i += LANES) {
        V d = WORDS(digit + i);
        d = SUB(d, ABOVE(d, half, modulus));
        ST(acc + i, first ? d : ADD(MUL(LD(acc + i), f), d));
    }
}
