/* SPDX-License-Identifier: Apache-2.0 */
/* Inverse transforms with AVX-512 IFMA: the passes of ntt_ifma.c from the last to the first. */
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512IFMA__)

#include "ifma.h"

/*
 * u + v and (u - v) w. Words are below b q before, u + v below 2 b q after: they are not reduced until
 * twice their sum would not be below 2^52, or the pass ends, with all below 2 q. The limit of b is a
 * constant of the mode, and so is the b of every word of a pass.
 */
enum { LIMIT_TIGHT = 4, LIMIT_PASS = 16, LIMIT_NONE = 128 };

INLINE int limit(enum mode mode)
{
    return mode == TIGHT ? LIMIT_TIGHT : mode == PASS ? LIMIT_PASS : LIMIT_NONE;
}

/* b of word @p j after @p stages, in which j's bits are exchanged from the lowest on: 2 after a product. */
INLINE int bound(int j, int stages, enum mode mode)
{
    int b = 2;
    UNROLL
    for (int k = 0; k < stages; k++) {
        if (j >> k & 1)
            b = 2;
        else
            b = 2 * b > limit(mode) ? 4 : 2 * b;
    }
    return b;
}

/* b q */
INLINE vec times_q(int b, const struct consts *c)
{
    return b == 2    ? c->two_q
           : b == 4  ? c->more[0]
           : b == 8  ? c->more[1]
           : b == 16 ? c->more[2]
           : b == 32 ? c->more[3]
                     : c->more[4];
}

/* Below b q to below 2 q. */
INLINE vec reduce(vec x, int b, const struct consts *c)
{
    if (b == 2)
        return x;
    return b == 4 ? sub_if(clean(x, c), c->two_q) : barrett(x, c);
}

/* Reduces first if b is too large. */
INLINE void butterfly_back(vec *u, vec *v, vec w, vec quot, const struct consts *c, enum mode mode,
                           int b)
{
    if (2 * b > limit(mode)) {
        *u = reduce(*u, b, c);
        *v = reduce(*v, b, c);
        b = 2;
    }
    vec d = add(sub(*u, *v), times_q(b, c));
    *u = add(*u, *v);
    *v = mul_lazy(d, w, quot, c);
}

INLINE void scalar_back(vec *u, vec *v, const uint64_t *w, const struct consts *c, enum mode mode,
                        int b)
{
    butterfly_back(u, v, all(w[0]), all(w[1]), c, mode, b);
}

/* Stage @p k of a pass over @p n vectors, group @p i of its last stage. */
INLINE void stage_back(vec *x, int n, int k, const uint64_t *w, size_t i, const struct consts *c,
                       enum mode mode)
{
    const int half = 1 << k;
    UNROLL
    for (int j = 0; j < n / 2; j++) {
        const int group = j / half, at = 2 * half * group + j % half;
        const size_t f = (size_t)(n / 2 / half) * i + (size_t)group;
        scalar_back(&x[at], &x[at + half], w + 2 * f, c, mode, bound(at, k, mode));
    }
}

/* The last stage of all, of n vectors: sums have a factor as well, and the results are residues. */
INLINE void last_stage(vec *x, int n, int k, const uint64_t *w, const struct consts *c,
                       enum mode mode)
{
    UNROLL
    for (int j = 0; j < n / 2; j++) {
        vec *u = &x[j], *v = &x[j + n / 2];
        int b = bound(j, k, mode);
        if (2 * b > limit(mode)) {
            *u = reduce(*u, b, c);
            *v = reduce(*v, b, c);
            b = 2;
        }
        vec s = add(*u, *v), d = add(sub(*u, *v), times_q(b, c));
        *u = sub_if(clean(mul_lazy(s, all(w[0]), all(w[1]), c), c), c->q);
        *v = sub_if(clean(mul_lazy(d, all(w[2]), all(w[3]), c), c), c->q);
    }
}

INLINE void reduce_all(vec *x, int stages, const struct consts *c, enum mode mode)
{
    UNROLL
    for (int j = 0; j < 1 << stages; j++)
        x[j] = reduce(x[j], bound(j, stages, mode), c);
}

/* A pass of @p stages over blocks of @p len words, @p columns vectors wide; @p last: of all. */
INLINE void pass(uint64_t *r, size_t len, const uint64_t *w, size_t i, const uint64_t *last,
                 const struct consts *c, enum mode mode, int stages, int columns, bool is_last)
{
    const int n = 1 << stages;
    for (size_t at = 0; at < len / (size_t)n; at += 8 * (size_t)columns) {
        vec x[2][16];
        UNROLL
        for (int y = 0; y < columns; y++)
            load_words(x[y], r, len, (size_t)n, at + 8 * (size_t)y);
        UNROLL
        for (int k = 0; k < stages; k++) {
            UNROLL
            for (int y = 0; y < columns; y++) {
                if (is_last && k == stages - 1)
                    last_stage(x[y], n, k, last, c, mode);
                else
                    stage_back(x[y], n, k, w, i, c, mode);
            }
        }
        UNROLL
        for (int y = 0; y < columns; y++) {
            if (!is_last)
                reduce_all(x[y], stages, c, mode);
            store_words(r, x[y], len, (size_t)n, at + 8 * (size_t)y);
        }
    }
}

/* --------------------------------------------------------------------- blocks of 64 words */

/*
 * Bit a0 of a vector's number and the bits of an index in it, (b2 b1 b0), change places: the vectors of
 * a pair are then those with b0 = 0 and 1, then b1, then b2, and lanes are (b2 b1 a0), (b0 b2 a0),
 * (b1 b0 a0).
 */
INLINE void exchange_b0(vec *x, vec *y)
{
    vec t = _mm512_unpacklo_epi64(*x, *y);
    *y = _mm512_unpackhi_epi64(*x, *y);
    *x = t;
}

INLINE void exchange(vec *x, vec *y)
{
    vec t = _mm512_shuffle_i64x2(*x, *y, 0x88);
    *y = _mm512_shuffle_i64x2(*x, *y, 0xdd);
    *x = t;
}

/* Back to a0 and (b2 b1 b0). */
INLINE void restore(vec *x, vec *y)
{
    const vec low = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
    const vec high = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
    vec t = _mm512_permutex2var_epi64(*x, low, *y);
    *y = _mm512_permutex2var_epi64(*x, high, *y);
    *x = t;
}

INLINE vec by_two(const uint64_t *w)
{
    return _mm512_broadcast_i64x2(_mm_loadu_si128((const __m128i *)w));
}

INLINE vec by_four(const uint64_t *w)
{
    return _mm512_broadcast_i64x4(_mm256_loadu_si256((const __m256i *)w));
}

/* What lanes hold after @p k of three stages: sums and products together. */
INLINE int lane_bound(int k, enum mode mode)
{
    const int b = 2 << k;
    return 2 * b > limit(mode) ? 2 : b;
}

/* Stage @p k of three, between lanes. */
INLINE void lane_stage(vec x[8], int k, const uint64_t *w, const struct consts *c, enum mode mode)
{
    const int before = lane_bound(k, mode), after = 2 * before;
    w += TAIL_SCALARS;
    UNROLL
    for (int p = 0; p < 4; p++) {
        vec *e = &x[2 * p], *o = &x[2 * p + 1];
        if (k == 0) {
            exchange_b0(e, o);
            butterfly_back(e, o, load(w + 48 + 16 * p), load(w + 56 + 16 * p), c, mode, before);
        } else if (k == 1) {
            exchange(e, o);
            butterfly_back(e, o, by_four(w + 16 + 8 * p), by_four(w + 20 + 8 * p), c, mode, before);
        } else {
            exchange(e, o);
            butterfly_back(e, o, by_two(w + 4 * p), by_two(w + 4 * p + 2), c, mode, before);
        }
        if (lane_bound(k + 1, mode) == 2)
            *e = reduce(*e, after, c);
        if (k == 2)
            restore(e, o);
    }
}

/* Stage @p k of the other three: between vectors, which are below lane_bound(3) q before. */
INLINE void vector_stage(vec x[8], int k, const uint64_t *w, const struct consts *c, enum mode mode)
{
    const int half = 1 << k, more = lane_bound(3, mode) / 2;
    w += k == 0 ? 6 : k == 1 ? 2 : 0;
    UNROLL
    for (int j = 0; j < 4; j++) {
        const int group = j / half, at = 2 * half * group + j % half;
        int b = bound(at, k, mode);
        if (b == 2 << k) /* a sum of all */
            b *= more;
        scalar_back(&x[at], &x[at + half], w + 2 * group, c, mode, b);
    }
}

/* @p blocks is even. */
INLINE void tail(uint64_t *r, const uint64_t *a, size_t blocks, const uint64_t *w,
                 const struct consts *c, enum mode mode)
{
    for (; blocks > 0; blocks -= 2, r += 2 * BLOCK, a += 2 * BLOCK, w += 2 * TAIL_WORDS) {
        vec x[2][8];
        load_words(x[0], a, BLOCK, 8, 0);
        load_words(x[1], a + BLOCK, BLOCK, 8, 0);
        UNROLL
        for (int k = 0; k < 3; k++) {
            lane_stage(x[0], k, w, c, mode);
            lane_stage(x[1], k, w + TAIL_WORDS, c, mode);
        }
        UNROLL
        for (int k = 0; k < 3; k++) {
            vector_stage(x[0], k, w, c, mode);
            vector_stage(x[1], k, w + TAIL_WORDS, c, mode);
        }
        UNROLL
        for (int j = 0; j < 4; j++) { /* the others are products */
            x[0][j] = reduce(x[0][j], limit(mode), c);
            x[1][j] = reduce(x[1][j], limit(mode), c);
        }
        store_words(r, x[0], BLOCK, 8, 0);
        store_words(r + BLOCK, x[1], BLOCK, 8, 0);
    }
}

/* ------------------------------------------------------------------------------- transforms */

/* Constants are copied: stores through r could change those behind a pointer. */
#define DEFINE_PASS(name, mode)                                                                    \
    static void name(uint64_t *r, const uint64_t *a, size_t len, size_t i, int radix,              \
                     const struct run *run)                                                        \
    {                                                                                              \
        const struct consts c = run->c;                                                            \
        const uint64_t *w = run->scalars, *last = run->last;                                       \
        (void)a;                                                                                   \
        if (radix == 2)                                                                            \
            pass(r, len, w, i, last, &c, mode, 1, 2, true);                                        \
        else if (radix == 4)                                                                       \
            i == 1 ? pass(r, len, w, i, last, &c, mode, 2, 2, true)                                \
                   : pass(r, len, w, i, last, &c, mode, 2, 2, false);                              \
        else if (radix == 8)                                                                       \
            i == 1 ? pass(r, len, w, i, last, &c, mode, 3, 2, true)                                \
                   : pass(r, len, w, i, last, &c, mode, 3, 2, false);                              \
        else                                                                                       \
            i == 1 ? pass(r, len, w, i, last, &c, mode, 4, 1, true)                                \
                   : pass(r, len, w, i, last, &c, mode, 4, 1, false);                              \
    }
DEFINE_PASS(pass_tight, TIGHT)
DEFINE_PASS(pass_pass, PASS)
DEFINE_PASS(pass_none, NONE)

#define DEFINE_TAIL(name, mode)                                                                    \
    static void name(uint64_t *r, const uint64_t *a, size_t blocks, const struct run *run)         \
    {                                                                                              \
        const struct consts c = run->c;                                                            \
        tail(r, a, blocks, run->tails + (size_t)(r - run->r) / BLOCK * TAIL_WORDS, &c, mode);      \
    }
DEFINE_TAIL(tail_tight, TIGHT)
DEFINE_TAIL(tail_pass, PASS)
DEFINE_TAIL(tail_none, NONE)

/* What descend() does forward, from its end to its beginning. */
static void ascend(uint64_t *r, const uint64_t *a, size_t len, size_t i, const uint8_t *radices,
                   const struct run *run)
{
    if (len > NEAR && radices[1]) {
        const size_t parts = radices[0], part = len / parts;
        for (size_t b = 0; b < parts; b++)
            ascend(r + b * part, a + b * part, part, i * parts + b, radices + 1, run);
    } else {
        const uint8_t *p = radices;
        while (*p)
            p++;
        run->tail(r, a, len / BLOCK, run);
        for (size_t part = BLOCK; --p > radices;) {
            part *= *p;
            for (size_t b = 0; b < len / part; b++)
                run->pass(r + b * part, NULL, part, i * (len / part) + b, *p, run);
        }
    }
    run->pass(r, NULL, len, i, radices[0], run);
}

void cczi_ntt_ifma_inverse(uint64_t *r, const uint64_t *a, const struct ccz_ntt_scale *s,
                           const struct ccz_ntt *t)
{
    const uint64_t last[4] = {s->low.w, s->low.quot >> 12, s->high.w, s->high.quot >> 12};
    struct run run;
    if (t->n < LEN_MIN) {
        cczi_ntt_portable_inverse(r, a, s, t);
        return;
    }
    run_init(&run, r, t->own + direction_words(t->n), t);
    run.last = last;
    if (t->m.q <= ((uint64_t)1 << 52) / LIMIT_NONE) {
        run.pass = pass_none;
        run.tail = tail_none;
    } else if (t->m.q <= ((uint64_t)1 << 52) / LIMIT_PASS) {
        run.pass = pass_pass;
        run.tail = tail_pass;
    } else {
        run.pass = pass_tight;
        run.tail = tail_tight;
    }
    const unsigned was = control(CONTROL);
    ascend(r, a, t->n, 1, plan(t->log_n), &run);
    (void)control(was);
}
#endif
