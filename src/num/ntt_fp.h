/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NUM_NTT_FP_H
#define CCZ_NUM_NTT_FP_H
/*
 * Transforms in double precision, included by the file of each tier. Bounds in multiples of q < 2^50;
 * words that are multiplied must be at most 4.
 * Forward, a product of y is below 1/2 + y / 16. Passes of two stages reduce the words they add, x, to
 * 1/2 at their start: results are then below 1/2 + 1/2 + 1/4, and less than 2 after the second
 * stage, and less than 4 after three more, between lanes.
 * Back, passes begin with words below 3/4: sums are below 3 after two stages, those of sums and those of
 * products, which may reach 5/4, are reduced.
 */
#include "fp.h"

enum {
    FP_LEN_MIN = 64, /* shorter ones are not worth code of their own */
    FP_NEAR = 2048,  /* words that the first-level cache holds */
    FP_PAIR = 2 * LANES,
};

INLINE vec load(const uint64_t *p)
{
    return FP(loadu_pd)((const double *)(const void *)p);
}

INLINE void store(uint64_t *p, vec x)
{
    FP(storeu_pd)((double *)(void *)p, x);
}

/* Words of factors of one direction: pairs for n / LANES scalars, then for lanes. */
INLINE size_t scalar_words(size_t n)
{
    return 2 * n / LANES;
}

enum { LANE_WORDS = 2 * LANES * LOG_LANES }; /* of a pair of vectors */

INLINE size_t direction_words(size_t n)
{
    return scalar_words(n) + n / FP_PAIR * LANE_WORDS;
}

struct run {
    struct field f;
    vec input; /* 2^52 + q: what is subtracted from words of [0, 2 q) */
    const uint64_t *scalars, *lanes;
    const struct factor *last; /* back: of sums and differences of the last stage */
    uint64_t *r;               /* the whole */
};

INLINE vec broadcast(const uint64_t *p)
{
    double x;
    memcpy(&x, p, sizeof(x));
    return all(x);
}

/* ---------------------------------------------------------------------------------- forward */

INLINE void butterfly(vec *x, vec *y, vec w, vec quot, const struct field *f)
{
    vec t = times(*y, w, quot, f);
    *y = sub(*x, t);
    *x = add(*x, t);
}

INLINE void scalar(vec *x, vec *y, const uint64_t *w, const struct field *f)
{
    butterfly(x, y, broadcast(w), broadcast(w + 1), f);
}

/* One pass over a block of @p len words from group @p i; @p first reads words. */
INLINE void pass(uint64_t *r, const uint64_t *a, size_t len, size_t i, size_t n, bool first,
                 const struct run *run)
{
    const struct field f = run->f;
    const vec input = run->input;
    const uint64_t *w = run->scalars;
    const size_t step = len / n;
    for (size_t at = 0; at < step; at += LANES) {
        vec x[4];
        UNROLL
        for (size_t j = 0; j < n; j++)
            x[j] = first ? from_words(a + j * step + at, input) : load(a + j * step + at);
        UNROLL
        for (size_t j = 0; j < n / 2; j++) {
            x[j] = first ? x[j] : reduce(x[j], &f);
            scalar(&x[j], &x[j + n / 2], w + 2 * i, &f);
        }
        if (n == 4) {
            scalar(&x[0], &x[1], w + 4 * i, &f);
            scalar(&x[2], &x[3], w + 4 * i + 2, &f);
        }
        UNROLL
        for (size_t j = 0; j < n; j++)
            store(r + j * step + at, x[j]);
    }
}

/* Bit a0 of a vector's number changes places with bits of the index in it. */
#if defined(__AVX512F__)
INLINE void exchange_high(vec *x, vec *y) /* b2, lanes are (a0 b1 b0) then */
{
    vec t = _mm512_shuffle_f64x2(*x, *y, 0x44);
    *y = _mm512_shuffle_f64x2(*x, *y, 0xee);
    *x = t;
}
INLINE void exchange_mid(vec *x, vec *y) /* the middle bit, which the upper one becomes */
{
    vec t = _mm512_shuffle_f64x2(*x, *y, 0x88);
    *y = _mm512_shuffle_f64x2(*x, *y, 0xdd);
    *x = t;
}
#else
INLINE void exchange_high(vec *x, vec *y) /* b1, lanes are (a0 b0) then */
{
    vec t = _mm256_permute2f128_pd(*x, *y, 0x20);
    *y = _mm256_permute2f128_pd(*x, *y, 0x31);
    *x = t;
}
#endif

INLINE void exchange_low(vec *x, vec *y)
{
    vec t = FP(unpacklo_pd)(*x, *y);
    *y = FP(unpackhi_pd)(*x, *y);
    *x = t;
}

INLINE void lane_butterfly(vec *x, vec *y, const uint64_t *w, const struct field *f)
{
    butterfly(x, y, load(w), load(w + LANES), f);
}

/* The stages between lanes, and words again. */
INLINE void lanes(uint64_t *r, size_t len, const struct run *run)
{
    const struct field f = run->f;
    const uint64_t *w = run->lanes + (size_t)(r - run->r) / FP_PAIR * LANE_WORDS;
    for (size_t at = 0; at < len; at += FP_PAIR, w += LANE_WORDS) {
        vec x = load(r + at), y = load(r + at + LANES);
        exchange_high(&x, &y);
        x = reduce(x, &f);
        lane_butterfly(&x, &y, w, &f);
#if defined(__AVX512F__)
        const ivec low = _mm512_setr_epi64(0, 8, 1, 9, 4, 12, 5, 13);
        const ivec high = _mm512_setr_epi64(2, 10, 3, 11, 6, 14, 7, 15);
        exchange_mid(&x, &y); /* (b2 a0 b0) */
        lane_butterfly(&x, &y, w + 2 * LANES, &f);
        exchange_low(&x, &y); /* (b2 a0 b1) */
        lane_butterfly(&x, &y, w + 4 * LANES, &f);
        vec t = _mm512_permutex2var_pd(x, low, y);
        y = _mm512_permutex2var_pd(x, high, y);
        x = t;
#else
        exchange_low(&x, &y); /* (a0 b1) */
        lane_butterfly(&x, &y, w + 2 * LANES, &f);
        exchange_low(&x, &y);
        exchange_high(&x, &y);
#endif
        store_any(r + at, x, &f);
        store_any(r + at + LANES, y, &f);
    }
}

/* Passes over a block of @p len words, part by part until they are near. */
static void descend(uint64_t *r, const uint64_t *a, size_t len, unsigned stages, size_t i,
                    const struct run *run)
{
    for (size_t part = len; stages > 0;) {
        const size_t n = stages % 2 ? 2 : 4;
        for (size_t b = 0; b < len / part; b++) {
            uint64_t *x = r + b * part;
            if (n == 2 && i == 1)
                pass(x, a, part, i, 2, true, run);
            else if (i == 1)
                pass(x, a, part, i, 4, true, run);
            else
                pass(x, x, part, i + b, 4, false, run);
        }
        part /= n;
        i *= n;
        stages -= n == 2 ? 1 : 2;
        if (part > FP_NEAR / 4 && len > FP_NEAR) {
            for (size_t b = 0; b < len / part; b++)
                descend(r + b * part, r + b * part, part, stages, i + b, run);
            return;
        }
    }
    lanes(r, len, run);
}

static void run_init(struct run *run, uint64_t *r, const uint64_t *own, const struct ccz_ntt *t)
{
    *run = (struct run){.f = field(&t->m),
                        .input = all(TWO_52 + (double)t->m.q),
                        .scalars = own,
                        .lanes = own + scalar_words(t->n),
                        .r = r};
}

static void forward(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t)
{
    struct run run;
    if (t->n < FP_LEN_MIN) {
        cczi_ntt_portable_forward(r, a, t);
        return;
    }
    const unsigned was = control(CONTROL);
    run_init(&run, r, t->own, t);
    descend(r, a, t->n, t->log_n - LOG_LANES, 1, &run);
    (void)control(was);
}

/* ------------------------------------------------------------------------------------- back */

INLINE void butterfly_back(vec *u, vec *v, vec w, vec quot, const struct field *f)
{
    vec d = sub(*u, *v);
    *u = add(*u, *v);
    *v = times(d, w, quot, f);
}

INLINE void scalar_back(vec *u, vec *v, const uint64_t *w, const struct field *f)
{
    butterfly_back(u, v, broadcast(w), broadcast(w + 1), f);
}

INLINE void lane_back(vec *u, vec *v, const uint64_t *w, const struct field *f)
{
    butterfly_back(u, v, load(w), load(w + LANES), f);
}

/* The stages between lanes, of words below 2 q. */
INLINE void lanes_back(uint64_t *r, const uint64_t *a, size_t len, const struct run *run)
{
    const struct field f = run->f;
    const vec input = run->input;
    const uint64_t *w = run->lanes + (size_t)(r - run->r) / FP_PAIR * LANE_WORDS;
    for (size_t at = 0; at < len; at += FP_PAIR, w += LANE_WORDS) {
        vec x = from_words(a + at, input), y = from_words(a + at + LANES, input);
        exchange_low(&x, &y);
        lane_back(&x, &y, w, &f);
#if defined(__AVX512F__)
        const ivec low = _mm512_setr_epi64(0, 2, 4, 6, 8, 10, 12, 14);
        const ivec high = _mm512_setr_epi64(1, 3, 5, 7, 9, 11, 13, 15);
        exchange_mid(&x, &y); /* (b0 b2 a0) */
        lane_back(&x, &y, w + 2 * LANES, &f);
        x = reduce(x, &f);
        exchange_mid(&x, &y); /* (b1 b0 a0) */
        lane_back(&x, &y, w + 4 * LANES, &f);
        x = reduce(x, &f);
        vec t = _mm512_permutex2var_pd(x, low, y);
        y = _mm512_permutex2var_pd(x, high, y);
        x = t;
#else
        exchange_high(&x, &y); /* (b0 a0) */
        lane_back(&x, &y, w + 2 * LANES, &f);
        x = reduce(x, &f);
        exchange_high(&x, &y);
        exchange_low(&x, &y);
#endif
        store(r + at, x);
        store(r + at + LANES, y);
    }
}

INLINE void pass_back(uint64_t *r, size_t len, size_t i, size_t n, bool last, const struct run *run)
{
    const struct field f = run->f;
    const uint64_t *w = run->scalars;
    const size_t step = len / n;
    for (size_t at = 0; at < step; at += LANES) {
        vec x[4];
        UNROLL
        for (size_t j = 0; j < n; j++)
            x[j] = load(r + j * step + at);
        if (n == 4) {
            scalar_back(&x[0], &x[1], w + 4 * i, &f);
            scalar_back(&x[2], &x[3], w + 4 * i + 2, &f);
        }
        UNROLL
        for (size_t j = 0; j < n / 2; j++) {
            vec *u = &x[j], *v = &x[j + n / 2];
            if (last) {
                vec s = add(*u, *v), d = sub(*u, *v);
                *u = times(s, all(run->last[0].w), all(run->last[0].quot), &f);
                *v = times(d, all(run->last[1].w), all(run->last[1].quot), &f);
            } else {
                scalar_back(u, v, w + 2 * i, &f);
                *u = reduce(*u, &f);
            }
        }
        UNROLL
        for (size_t j = 0; j < n; j++) {
            if (last)
                store_signed(r + j * step + at, x[j], &f);
            else
                store(r + j * step + at, x[j]);
        }
    }
}

/* What descend() does forward, from its end to its beginning; all but the first pass have radix 4. */
static void ascend(uint64_t *r, const uint64_t *a, size_t len, size_t i, const struct run *run)
{
    size_t part = 2 * FP_PAIR;
    if (len > FP_NEAR) {
        for (size_t b = 0; b < 4; b++)
            ascend(r + b * (len / 4), a + b * (len / 4), len / 4, 4 * i + b, run);
        part = len;
    } else {
        lanes_back(r, a, len, run);
    }
    for (; part <= len; part *= 4) {
        for (size_t b = 0; b < len / part; b++)
            pass_back(r + b * part, part, i * (len / part) + b, 4, false, run);
    }
}

static void inverse(uint64_t *r, const uint64_t *a, const struct ccz_ntt_scale *s,
                    const struct ccz_ntt *t)
{
    const struct factor last[2] = {factor(s->low.w, &t->m), factor(s->high.w, &t->m)};
    struct run run;
    if (t->n < FP_LEN_MIN) {
        cczi_ntt_portable_inverse(r, a, s, t);
        return;
    }
    const unsigned was = control(CONTROL);
    run_init(&run, r, t->own + direction_words(t->n), t);
    run.last = last;
    const size_t n = (t->log_n - LOG_LANES) % 2 ? 2 : 4, part = t->n / n;
    for (size_t b = 0; b < n; b++)
        ascend(r + b * part, a + b * part, part, n + b, &run);
    if (n == 2)
        pass_back(r, t->n, 1, 2, true, &run);
    else
        pass_back(r, t->n, 1, 4, true, &run);
    (void)control(was);
}

/* ---------------------------------------------------------------------------------- factors */

static void put(uint64_t *w, size_t gap, uint64_t root, const struct ccz_modulus *m)
{
    struct factor f = factor(root, m);
    memcpy(w, &f.w, sizeof(f.w));
    memcpy(w + gap, &f.quot, sizeof(f.quot));
}

/* Bits of a lane's number are bits of the index and a0, in the order which exchanges leave. */
static size_t lane_root(size_t n, size_t pair, int stage, size_t lane, bool back)
{
    const size_t l0 = lane & 1, l1 = lane >> 1 & 1, l2 = lane >> 2;
    size_t a0, b1, b2;
    if (LANES == 4) {
        a0 = back ? l0 : l1;
        b1 = back ? l1 : l0;
        return stage == 1 ? n / 4 + 2 * pair + a0 : n / 2 + 4 * pair + 2 * a0 + b1;
    }
    a0 = back ? l0 : stage == 2 ? l2 : l1;
    b1 = back ? l1 : l0;
    b2 = back && stage == 1 ? l1 : l2;
    return stage == 2   ? n / 8 + 2 * pair + a0
           : stage == 1 ? n / 4 + 4 * pair + 2 * a0 + b2
                        : n / 2 + 8 * pair + 4 * a0 + 2 * b2 + b1;
}

static void fill_direction(uint64_t *w, const struct ccz_mulc *table, const struct ccz_ntt *t,
                           bool back)
{
    for (size_t i = 0; i < t->n / LANES; i++)
        put(w + 2 * i, 1, table[i].w, &t->m);
    w += scalar_words(t->n);
    for (size_t pair = 0; pair < t->n / FP_PAIR; pair++) {
        for (int k = 0; k < LOG_LANES; k++, w += 2 * LANES) {
            for (size_t l = 0; l < LANES; l++)
                put(w + l, LANES,
                    table[lane_root(t->n, pair, back ? k : LOG_LANES - 1 - k, l, back)].w, &t->m);
        }
    }
}

static void fill(struct ccz_ntt *t)
{
    if (t->n < FP_LEN_MIN)
        return;
    fill_direction(t->own, t->forward, t, false);
    fill_direction(t->own + direction_words(t->n), t->inverse, t, true);
}
#endif
