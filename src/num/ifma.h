/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NUM_IFMA_H
#define CCZ_NUM_IFMA_H
/* What files compiled for AVX-512 IFMA share: 8 residues of q < 2^50 side by side. */
#include "num_priv.h"

#include "base/unroll.h"

#include <immintrin.h>

typedef __m512i vec;

/* How numbers stay below 2^52, see ntt_ifma.c. */
enum mode { TIGHT, PASS, NONE };
struct consts {
    vec q, neg_q, mask; /* neg_q: 2^52 - q */
    vec ratio;          /* floor(2^52 / q) */
    vec two_q, more[5]; /* 2 q, then 4 q to 64 q */
    vec half, shift;    /* of words of another prime p: p / 2, and -p mod q */
};

INLINE vec all(uint64_t x)
{
    return _mm512_set1_epi64((long long)x);
}

INLINE vec load(const uint64_t *p)
{
    return _mm512_loadu_si512(p);
}

INLINE void store(uint64_t *p, vec x)
{
    _mm512_storeu_si512(p, x);
}

INLINE vec add(vec a, vec b)
{
    return _mm512_add_epi64(a, b);
}

INLINE vec sub(vec a, vec b)
{
    return _mm512_sub_epi64(a, b);
}

/*
 * The smaller one of words below 2^52, of which @p a may be negative instead, down to -2^51: then b. As
 * doubles these are subnormal numbers and quiet NaNs, for which the second operand is taken. Unlike
 * the minimum of integers it leaves the ports of the multipliers alone. Needs control(), below.
 */
INLINE vec min_or(vec a, vec b)
{
    return _mm512_castpd_si512(_mm512_min_pd(_mm512_castsi512_pd(a), _mm512_castsi512_pd(b)));
}

/* a - b, or a if that were negative */
INLINE vec sub_if(vec a, vec b)
{
    return min_or(sub(a, b), a);
}

INLINE vec clean(vec x, const struct consts *c)
{
    return _mm512_and_si512(x, c->mask);
}

/* y w mod q in [0, 2 q), dirty; quot = floor(w 2^52 / q) */
INLINE vec mul_lazy(vec y, vec w, vec quot, const struct consts *c)
{
    const vec zero = _mm512_setzero_si512();
    vec k = _mm512_madd52hi_epu64(zero, y, quot);
    return _mm512_madd52lo_epu64(_mm512_madd52lo_epu64(zero, y, w), k, c->neg_q);
}

/* x below 2^52, may be dirty, to [0, 2 q) */
INLINE vec barrett(vec x, const struct consts *c)
{
    vec k = _mm512_madd52hi_epu64(_mm512_setzero_si512(), x, c->ratio);
    return clean(_mm512_madd52lo_epu64(x, k, c->neg_q), c);
}

/* ------------------------------------------------------------------ what transforms share */

enum {
    LEN_MIN = 128, /* shorter ones are not worth code of their own */
    BLOCK = 64,
    /* factors of a block: 7 scalars, then 8 and 16, forward twice 16, and 32 for lanes, with quotients */
    TAIL_FORWARD = 160,
    TAIL_BACK = 128,
    TAIL_SCALARS = 16, /* words of the first */
    NEAR = 8192,       /* words that the second-level cache serves fast enough */
};

/* Words of factors, for each direction: pairs for n / 64 scalars, then for the blocks. */
INLINE size_t scalar_words(size_t n)
{
    return n / 32 < 8 ? 8 : n / 32;
}

INLINE size_t forward_words(size_t n)
{
    return scalar_words(n) + n / BLOCK * TAIL_FORWARD;
}

/* One transform. */
struct run {
    struct consts c;
    const uint64_t *scalars, *tails;
    const uint64_t *last; /* back: two factors of the last stage, each with its quotient */
    uint64_t *r;          /* the whole */
    bool lift;            /* words are those of another prime */
    void (*pass)(uint64_t *r, const uint64_t *a, size_t len, size_t i, int radix,
                 const struct run *run);
    void (*tail)(uint64_t *r, const uint64_t *a, size_t blocks, const struct run *run);
};

INLINE void run_init(struct run *run, uint64_t *r, const uint64_t *own, const struct ccz_ntt *t)
{
    const uint64_t q = t->m.q, two_52 = (uint64_t)1 << 52;
    *run = (struct run){.c = {.q = all(q),
                              .neg_q = all(two_52 - q),
                              .mask = all(two_52 - 1),
                              .ratio = all(two_52 / q),
                              .two_q = all(2 * q)},
                        .r = r,
                        .scalars = own,
                        .tails = own + scalar_words(t->n)};
    for (int k = 0; k < 5; k++)
        run->c.more[k] = all(q << (k + 2));
}

/* Radices of the passes over the stages but six, by the number of stages. */
INLINE const uint8_t *plan(unsigned log_n)
{
    static const uint8_t plans[11][4] = {{0},    {2},     {4},      {8},        {16},      {4, 8},
                                         {8, 8}, {8, 16}, {16, 16}, {16, 4, 8}, {8, 8, 16}};
    return plans[log_n - 6];
}

/* MXCSR: subnormal numbers as they are, exceptions masked; its flags are of no interest. Returns what
 * was there. */
enum { CONTROL = 0x1f80 };

INLINE unsigned control(unsigned mxcsr)
{
    unsigned was = _mm_getcsr();
    _mm_setcsr(mxcsr);
    return was;
}

/* @p n vectors of a block of @p len words, the first at @p at */
INLINE void load_words(vec *x, const uint64_t *a, size_t len, size_t n, size_t at)
{
    UNROLL
    for (size_t j = 0; j < n; j++)
        x[j] = load(a + j * (len / n) + at);
}

INLINE void store_words(uint64_t *r, const vec *x, size_t len, size_t n, size_t at)
{
    UNROLL
    for (size_t j = 0; j < n; j++)
        store(r + j * (len / n) + at, x[j]);
}

void cczi_ntt_ifma_fill(struct ccz_ntt *t);
void cczi_ntt_ifma_forward(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);
void cczi_ntt_ifma_forward_lazy(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);
void cczi_ntt_ifma_forward_lift_lazy(uint64_t *r, const uint64_t *a, const struct ccz_modulus *from,
                                     const struct ccz_ntt *t);
void cczi_ntt_ifma_inverse(uint64_t *r, const uint64_t *a, const struct ccz_ntt_scale *s,
                           const struct ccz_ntt *t);
#endif
