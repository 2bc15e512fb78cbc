/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Transforms with AVX-512 IFMA, q < 2^50. Products are those of Harvey ("Faster arithmetic for
 * number-theoretic transforms", 2014) with 2^52 in the place of the word: with W = floor(w 2^52 / q),
 * y w - floor(y W / 2^52) q is in [0, 2 q) for every y < 2^52. Multiplications read the low 52 bits
 * of their operands only: a sum or difference is right modulo 2^52 and may have garbage above
 * ("dirty") until it is compared.
 *
 * Passes of one to four stages keep their words in registers; the last six stages forward, and the
 * first six back, are a pass over blocks of 64 words, three of them between lanes. A stage of fewer
 * than eight butterflies leaves the multipliers waiting, which is why smaller ones are doubled.
 *
 * Where 2^52 is little more than 4 q, every stage reduces (TIGHT). With smaller moduli words may grow
 * from stage to stage, and are reduced at the start of a pass (PASS) or not before the end (NONE).
 */
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512IFMA__)

#include "ifma.h"

/* What a butterfly is given, or what becomes of its results. */
enum place {
    FIRST,  /* x is in [0, 2 q) */
    LIFTED, /* the same; before, words of another prime */
    INNER,
    LAZY,   /* results in [0, 4 q) */
    REDUCED /* results in [0, q) */
};

/* ---------------------------------------------------------------------------------- forward */

/* x + y w and x - y w */
INLINE void butterfly(vec *x, vec *y, vec w, vec quot, const struct consts *c, enum mode mode,
                      enum place place)
{
    vec u = *x, t = mul_lazy(*y, w, quot, c);
    if (mode == TIGHT && place != FIRST && place != LIFTED)
        u = sub_if(clean(u, c), c->two_q);
    if (mode == TIGHT && place == REDUCED) {
        t = clean(t, c);
        vec d = sub(u, t);
        *x = sub_if(add(u, t), c->two_q);
        *y = min_or(d, add(d, c->two_q));
    } else {
        *x = add(u, t);
        *y = sub(add(u, c->two_q), t);
    }
    if (mode != TIGHT && (place == LAZY || place == REDUCED)) {
        *x = barrett(*x, c);
        *y = barrett(*y, c);
    } else if (place == LAZY) {
        *x = clean(*x, c);
        *y = clean(*y, c);
    }
    if (place == REDUCED) {
        *x = sub_if(*x, c->q);
        *y = sub_if(*y, c->q);
    }
}

/* One factor for all lanes: w[0], and its quotient w[1]. */
INLINE void scalar(vec *x, vec *y, const uint64_t *w, const struct consts *c, enum mode mode,
                   enum place place)
{
    butterfly(x, y, all(w[0]), all(w[1]), c, mode, place);
}

/* A word of another prime p, of which those above p / 2 are negative: below 2^51, as y may be. */
INLINE vec lifted(vec x, const struct consts *c)
{
    return _mm512_mask_add_epi64(x, _mm512_cmpgt_epu64_mask(x, c->half), x, c->shift);
}

/* What a pass takes as x: words that other passes let grow, or of another prime. */
INLINE void entry(vec *x, int n, const struct consts *c, enum mode mode, enum place place)
{
    const int len = (mode == PASS && place != FIRST) || place == LIFTED ? n / 2 : 0;
    if (place == LIFTED) {
        UNROLL
        for (int j = 0; j < n; j++)
            x[j] = lifted(x[j], c);
    }
    UNROLL
    for (int j = 0; j < len; j++)
        x[j] = barrett(x[j], c);
}

/* Stages of a pass over n vectors from group i: factors of a stage are next to one another, those of
 * the next one at twice the index. */
INLINE void radix8(vec x[8], vec y[8], const uint64_t *w, size_t i, size_t k,
                   const struct consts *c, enum mode mode, enum place place)
{
    UNROLL
    for (int j = 0; j < 4; j++) {
        scalar(&x[j], &x[j + 4], w + 2 * i, c, mode, place);
        scalar(&y[j], &y[j + 4], w + 2 * k, c, mode, place);
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        const int at = j + j / 2 * 2;
        scalar(&x[at], &x[at + 2], w + 4 * i + j / 2 * 2, c, mode, INNER);
        scalar(&y[at], &y[at + 2], w + 4 * k + j / 2 * 2, c, mode, INNER);
    }
    UNROLL
    for (int j = 0; j < 4; j++) {
        scalar(&x[2 * j], &x[2 * j + 1], w + 8 * i + 2 * j, c, mode, INNER);
        scalar(&y[2 * j], &y[2 * j + 1], w + 8 * k + 2 * j, c, mode, INNER);
    }
}

INLINE void pass2(uint64_t *r, const uint64_t *a, size_t len, const uint64_t *w, size_t i,
                  const struct consts *c, enum mode mode, enum place place)
{
    for (size_t at = 0; at < len / 2; at += 8) {
        vec x[2];
        load_words(x, a, len, 2, at);
        entry(x, 2, c, mode, place);
        scalar(&x[0], &x[1], w + 2 * i, c, mode, place);
        store_words(r, x, len, 2, at);
    }
}

INLINE void pass4(uint64_t *r, const uint64_t *a, size_t len, const uint64_t *w, size_t i,
                  const struct consts *c, enum mode mode, enum place place)
{
    for (size_t at = 0; at < len / 4; at += 8) {
        vec x[4];
        load_words(x, a, len, 4, at);
        entry(x, 4, c, mode, place);
        UNROLL
        for (int j = 0; j < 2; j++)
            scalar(&x[j], &x[j + 2], w + 2 * i, c, mode, place);
        UNROLL
        for (int j = 0; j < 2; j++)
            scalar(&x[2 * j], &x[2 * j + 1], w + 4 * i + 2 * j, c, mode, INNER);
        store_words(r, x, len, 4, at);
    }
}

INLINE void pass8(uint64_t *r, const uint64_t *a, size_t len, const uint64_t *w, size_t i,
                  const struct consts *c, enum mode mode, enum place place)
{
    for (size_t at = 0; at < len / 8; at += 16) {
        vec x[8], y[8];
        load_words(x, a, len, 8, at);
        load_words(y, a, len, 8, at + 8);
        entry(x, 8, c, mode, place);
        entry(y, 8, c, mode, place);
        radix8(x, y, w, i, i, c, mode, place);
        store_words(r, x, len, 8, at);
        store_words(r, y, len, 8, at + 8);
    }
}

INLINE void pass16(uint64_t *r, const uint64_t *a, size_t len, const uint64_t *w, size_t i,
                   const struct consts *c, enum mode mode, enum place place)
{
    for (size_t at = 0; at < len / 16; at += 8) {
        vec x[16];
        load_words(x, a, len, 16, at);
        entry(x, 16, c, mode, place);
        UNROLL
        for (int j = 0; j < 8; j++)
            scalar(&x[j], &x[j + 8], w + 2 * i, c, mode, place);
        radix8(x, x + 8, w, 2 * i, 2 * i + 1, c, mode, INNER);
        store_words(r, x, len, 16, at);
    }
}

/* --------------------------------------------------------------------- blocks of 64 words */

/*
 * Exchanges of bit a0 of a vector's number with bits of an index in it, (b2 b1 b0): the vectors of a
 * pair are then those with b2 = 0 and 1, then b1, then b0, and lanes are (a0 b1 b0), (b2 a0 b0),
 * (b2 a0 b1). Permutations of two registers by an index, which would need no such order, take the
 * multipliers' time.
 */
INLINE void exchange_b2(vec *x, vec *y)
{
    vec t = _mm512_shuffle_i64x2(*x, *y, 0x44);
    *y = _mm512_shuffle_i64x2(*x, *y, 0xee);
    *x = t;
}

INLINE void exchange_b1(vec *x, vec *y)
{
    vec t = _mm512_shuffle_i64x2(*x, *y, 0x88);
    *y = _mm512_shuffle_i64x2(*x, *y, 0xdd);
    *x = t;
}

INLINE void exchange_b0(vec *x, vec *y)
{
    vec t = _mm512_unpacklo_epi64(*x, *y);
    *y = _mm512_unpackhi_epi64(*x, *y);
    *x = t;
}

/* Back to a0 and (b2 b1 b0). */
INLINE void restore(vec *x, vec *y)
{
    const vec low = _mm512_setr_epi64(0, 8, 1, 9, 4, 12, 5, 13);
    const vec high = _mm512_setr_epi64(2, 10, 3, 11, 6, 14, 7, 15);
    vec t = _mm512_permutex2var_epi64(*x, low, *y);
    *y = _mm512_permutex2var_epi64(*x, high, *y);
    *x = t;
}

/* Factors by lane: of (a0), twice (b2 a0) next to their quotients, and (b2 a0 b1). */
INLINE vec by_half(const uint64_t *w)
{
    return _mm512_mask_set1_epi64(all(w[0]), 0xf0, (long long)w[1]);
}

INLINE vec evens(vec w)
{
    return _mm512_castpd_si512(_mm512_movedup_pd(_mm512_castsi512_pd(w)));
}

INLINE vec odds(vec w)
{
    return _mm512_castpd_si512(_mm512_permute_pd(_mm512_castsi512_pd(w), 0xff));
}

INLINE void lane_stage(vec x[8], int k, const uint64_t *w, const struct consts *c, enum mode mode,
                       enum place place)
{
    w += TAIL_SCALARS;
    UNROLL
    for (int p = 0; p < 4; p++) {
        vec *e = &x[2 * p], *o = &x[2 * p + 1];
        if (k == 2) {
            exchange_b2(e, o);
            butterfly(e, o, by_half(w + 4 * p), by_half(w + 4 * p + 2), c, mode, INNER);
        } else if (k == 1) {
            vec f = load(w + 16 + 8 * p);
            exchange_b1(e, o);
            butterfly(e, o, evens(f), odds(f), c, mode, INNER);
        } else {
            exchange_b0(e, o);
            butterfly(e, o, load(w + 48 + 16 * p), load(w + 56 + 16 * p), c, mode, place);
            restore(e, o);
        }
    }
}

/* @p blocks is even */
INLINE void tail(uint64_t *r, const uint64_t *a, size_t blocks, const uint64_t *w,
                 const struct consts *c, enum mode mode, enum place place)
{
    for (; blocks > 0; blocks -= 2, r += 2 * BLOCK, a += 2 * BLOCK, w += 2 * TAIL_WORDS) {
        vec x[8], y[8];
        load_words(x, a, BLOCK, 8, 0);
        load_words(y, a + BLOCK, BLOCK, 8, 0);
        entry(x, 8, c, mode, INNER);
        entry(y, 8, c, mode, INNER);
        UNROLL
        for (int j = 0; j < 4; j++) {
            scalar(&x[j], &x[j + 4], w, c, mode, INNER);
            scalar(&y[j], &y[j + 4], w + TAIL_WORDS, c, mode, INNER);
        }
        UNROLL
        for (int j = 0; j < 4; j++) {
            const int at = j + j / 2 * 2;
            scalar(&x[at], &x[at + 2], w + 2 + j / 2 * 2, c, mode, INNER);
            scalar(&y[at], &y[at + 2], w + TAIL_WORDS + 2 + j / 2 * 2, c, mode, INNER);
        }
        UNROLL
        for (int j = 0; j < 4; j++) {
            scalar(&x[2 * j], &x[2 * j + 1], w + 6 + 2 * j, c, mode, INNER);
            scalar(&y[2 * j], &y[2 * j + 1], w + TAIL_WORDS + 6 + 2 * j, c, mode, INNER);
        }
        UNROLL
        for (int k = 2; k >= 0; k--) {
            lane_stage(x, k, w, c, mode, place);
            lane_stage(y, k, w + TAIL_WORDS, c, mode, place);
        }
        store_words(r, x, BLOCK, 8, 0);
        store_words(r + BLOCK, y, BLOCK, 8, 0);
    }
}

/* ------------------------------------------------------------------------------- transforms */

/* Constants are copied: stores through r could change those behind a pointer. */
#define DEFINE_PASS(name, mode)                                                                    \
    static void name(uint64_t *r, const uint64_t *a, size_t len, size_t i, int radix,              \
                     const struct run *run)                                                        \
    {                                                                                              \
        const struct consts c = run->c;                                                            \
        const uint64_t *w = run->scalars;                                                          \
        const bool lift = i == 1 && run->lift;                                                     \
        if (radix == 2)                                                                            \
            lift ? pass2(r, a, len, w, i, &c, mode, LIFTED)                                        \
                 : pass2(r, a, len, w, i, &c, mode, FIRST);                                        \
        else if (radix == 4 && i == 1)                                                             \
            lift ? pass4(r, a, len, w, i, &c, mode, LIFTED)                                        \
                 : pass4(r, a, len, w, i, &c, mode, FIRST);                                        \
        else if (radix == 4)                                                                       \
            pass4(r, a, len, w, i, &c, mode, INNER);                                               \
        else if (radix == 8 && i == 1)                                                             \
            lift ? pass8(r, a, len, w, i, &c, mode, LIFTED)                                        \
                 : pass8(r, a, len, w, i, &c, mode, FIRST);                                        \
        else if (radix == 8)                                                                       \
            pass8(r, a, len, w, i, &c, mode, INNER);                                               \
        else if (i == 1)                                                                           \
            lift ? pass16(r, a, len, w, i, &c, mode, LIFTED)                                       \
                 : pass16(r, a, len, w, i, &c, mode, FIRST);                                       \
        else                                                                                       \
            pass16(r, a, len, w, i, &c, mode, INNER);                                              \
    }
DEFINE_PASS(pass_tight, TIGHT)
DEFINE_PASS(pass_pass, PASS)
DEFINE_PASS(pass_none, NONE)

#define DEFINE_TAIL(name, mode, place)                                                             \
    static void name(uint64_t *r, const uint64_t *a, size_t blocks, const struct run *run)         \
    {                                                                                              \
        const struct consts c = run->c;                                                            \
        const uint64_t *w = run->tails + (size_t)(r - run->r) / BLOCK * TAIL_WORDS;                \
        tail(r, a, blocks, w, &c, mode, place);                                                    \
    }
DEFINE_TAIL(tail_tight, TIGHT, REDUCED)
DEFINE_TAIL(tail_tight_lazy, TIGHT, LAZY)
DEFINE_TAIL(tail_pass, PASS, REDUCED)
DEFINE_TAIL(tail_pass_lazy, PASS, LAZY)
DEFINE_TAIL(tail_none, NONE, REDUCED)
DEFINE_TAIL(tail_none_lazy, NONE, LAZY)

/* Passes over r from group @p i, breadth first once it is near, else part by part. */
static void descend(uint64_t *r, const uint64_t *a, size_t len, size_t i, const uint8_t *plan,
                    const struct run *run)
{
    if (!plan[0] || len == BLOCK) {
        run->tail(r, r, len / BLOCK, run);
        return;
    }
    run->pass(r, a, len, i, plan[0], run);
    size_t part = len / plan[0], parts = plan[0];
    i *= plan[0];
    if (len > NEAR) {
        for (size_t b = 0; b < parts; b++)
            descend(r + b * part, r + b * part, part, i + b, plan + 1, run);
        return;
    }
    for (const uint8_t *p = plan + 1; part > BLOCK; p++) {
        for (size_t b = 0; b < parts; b++)
            run->pass(r + b * part, r + b * part, part, i + b, *p, run);
        part /= *p;
        parts *= *p;
        i *= *p;
    }
    run->tail(r, r, len / BLOCK, run);
}

/* @p from is the modulus of the words, or NULL for that of @p t. */
static void forward(uint64_t *r, const uint64_t *a, const struct ccz_modulus *from,
                    const struct ccz_ntt *t, bool lazy)
{
    const uint64_t q = t->m.q, two_52 = (uint64_t)1 << 52;
    struct run run;
    run_init(&run, r, t->own, t);
    if (from) {
        run.lift = true;
        run.c.half = all(from->q / 2);
        run.c.shift = all(q - ccz_mod_reduce(from->q, &t->m));
    }
    if (q <= two_52 / (2 * t->log_n + 2)) {
        run.pass = pass_none;
        run.tail = lazy ? tail_none_lazy : tail_none;
    } else if (q <= two_52 / 16) { /* up to 2 q, and 2 q of each of up to six stages */
        run.pass = pass_pass;
        run.tail = lazy ? tail_pass_lazy : tail_pass;
    } else {
        run.pass = pass_tight;
        run.tail = lazy ? tail_tight_lazy : tail_tight;
    }
    const unsigned was = control(CONTROL);
    descend(r, a, t->n, 1, plan(t->log_n), &run);
    (void)control(was);
}

void cczi_ntt_ifma_forward(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t)
{
    if (t->n < LEN_MIN)
        cczi_ntt_portable_forward(r, a, t);
    else
        forward(r, a, NULL, t, false);
}

void cczi_ntt_ifma_forward_lazy(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t)
{
    if (t->n < LEN_MIN)
        cczi_ntt_portable_forward_lazy(r, a, t);
    else
        forward(r, a, NULL, t, true);
}

void cczi_ntt_ifma_forward_lift_lazy(uint64_t *r, const uint64_t *a, const struct ccz_modulus *from,
                                     const struct ccz_ntt *t)
{
    if (t->n < LEN_MIN)
        cczi_ntt_portable_forward_lift_lazy(r, a, from, t);
    else
        forward(r, a, from, t, true);
}

/* ---------------------------------------------------------------------------------- factors */

static void put(uint64_t *w, size_t gap, const struct ccz_mulc *c)
{
    w[0] = c->w;
    w[gap] = c->quot >> 12; /* floor(w 2^52 / q) */
}

/* Factors of block @p b, counted from the number of blocks, in the order in which they are read. */
static void fill_tail(uint64_t *w, const struct ccz_mulc *table, size_t b, bool back)
{
    for (size_t len = 1; len <= 4; len *= 2) {
        for (size_t k = 0; k < len; k++)
            put(w + 2 * (len - 1 + k), 1, &table[len * b + k]);
    }
    w += TAIL_SCALARS;
    for (size_t p = 0; p < 4; p++) {
        const struct ccz_mulc *b2 = &table[8 * b + 2 * p], *b1 = &table[16 * b + 4 * p],
                              *b0 = &table[32 * b + 8 * p];
        for (size_t k = 0; k < 2; k++) /* lanes (a0) */
            put(w + 4 * p + k, 2, &b2[k]);
        for (size_t k = 0; k < 4; k++) /* (b2 a0), forward in pairs with their quotients */
            put(w + 16 + 8 * p + (back ? k : 2 * k), back ? 4 : 1, &b1[2 * (k & 1) + (k >> 1)]);
        for (size_t k = 0; k < 8; k++) /* (b2 a0 b1), back (b2 b1 a0) */
            put(w + 48 + 16 * p + k, 8,
                &b0[back ? 4 * (k & 1) + 2 * (k >> 2) + (k >> 1 & 1)
                         : 4 * (k >> 1 & 1) + 2 * (k >> 2) + (k & 1)]);
    }
}

static void fill(uint64_t *w, const struct ccz_mulc *table, size_t n, bool back)
{
    for (size_t i = 0; i < n / BLOCK; i++)
        put(w + 2 * i, 1, &table[i]);
    w += scalar_words(n);
    for (size_t b = 0; b < n / BLOCK; b++)
        fill_tail(w + TAIL_WORDS * b, table, n / BLOCK + b, back);
}

void cczi_ntt_ifma_fill(struct ccz_ntt *t)
{
    if (t->n < LEN_MIN)
        return;
    fill(t->own, t->forward, t->n, false);
    fill(t->own + direction_words(t->n), t->inverse, t->n, true);
}
#endif
