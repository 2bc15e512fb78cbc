/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels with AVX-512 IFMA, for q < 2^50; larger moduli, and the words behind the last eight, are left
 * to portable code. A product of words below 2^52 is two halves of 52 bits, which are summed
 * separately in words of 64 bits: sums of up to 4096 products wait for one reduction.
 */
#if defined(__AVX512F__) && defined(__AVX512DQ__) && defined(__AVX512IFMA__)

#include "ifma.h"

enum { LANES = 8 };

static const struct ccz_kernels *const portable = &cczi_tier_portable.k;

/* Length that is served here. */
INLINE size_t served(size_t n, const struct ccz_modulus *m)
{
    return m->bits <= CCZ_FAST_BITS ? n / LANES * LANES : 0;
}

/* ------------------------------------------------------------------------------ arithmetic */

/* A factor and its quotient by q, which is floor(w 2^52 / q). */
struct factor {
    vec w, quot;
};

struct field {
    struct consts c;
    struct factor r52, r104; /* 2^52, 2^104 */
};

INLINE struct factor factor(uint64_t w, uint64_t quot64)
{
    return (struct factor){all(w), all(quot64 >> 12)};
}

INLINE struct field field(const struct ccz_modulus *m)
{
    const uint64_t two_52 = (uint64_t)1 << 52;
    return (struct field){.c = {.q = all(m->q),
                                .neg_q = all(two_52 - m->q),
                                .mask = all(two_52 - 1),
                                .ratio = all(m->one_quot >> 12),
                                .two_q = all(2 * m->q)},
                          .r52 = factor(m->r52, m->r52_quot),
                          .r104 = factor(m->r104, m->r104_quot)};
}

/* Below 4 q to residues; of words that may be dirty. */
INLINE vec residue(vec x, const struct field *f)
{
    return sub_if(sub_if(clean(x, &f->c), f->c.two_q), f->c.q);
}

INLINE vec high(vec acc, vec a, vec b)
{
    return _mm512_madd52hi_epu64(acc, a, b);
}

INLINE vec low(vec acc, vec a, vec b)
{
    return _mm512_madd52lo_epu64(acc, a, b);
}

/* hi 2^52 + lo, both below 2^52, to [0, 4 q), dirty: hi r52 and lo less multiples of q. */
INLINE vec fold(vec hi, vec lo, const struct field *f)
{
    vec k = high(high(all(0), lo, f->c.ratio), hi, f->r52.quot);
    return low(low(lo, hi, f->r52.w), k, f->c.neg_q);
}

/* Any hi 2^52 + lo to residues; lo and hi of 64 bits. */
INLINE vec fold_sum(vec hi, vec lo, const struct field *f)
{
    hi = add(hi, _mm512_srli_epi64(lo, 52));
    vec top = _mm512_srli_epi64(hi, 52);
    vec part = sub_if(clean(fold(clean(hi, &f->c), clean(lo, &f->c), f), &f->c), f->c.two_q);
    vec rest = clean(mul_lazy(top, f->r104.w, f->r104.quot, &f->c), &f->c);
    return sub_if(sub_if(add(part, rest), f->c.two_q), f->c.q);
}

/* a b in [0, 4 q), dirty; a b < 2^104 */
INLINE vec product(vec a, vec b, const struct field *f)
{
    return fold(high(all(0), a, b), low(all(0), a, b), f);
}

/* a c as a residue, a below 2^52 */
INLINE vec times(vec a, struct factor c, const struct field *f)
{
    return sub_if(clean(mul_lazy(a, c.w, c.quot, &f->c), &f->c), f->c.q);
}

/* -------------------------------------------------------------------------------- kernels */

static void add_words(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                      const struct ccz_modulus *m)
{
    const vec q = all(m->q);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store(r + i, sub_if(add(load(a + i), load(b + i)), q));
    (void)control(was);
    portable->add(r + i, a + i, b + i, n - i, m);
}

static void sub_words(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                      const struct ccz_modulus *m)
{
    const vec q = all(m->q);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec d = sub(load(a + i), load(b + i));
        store(r + i, min_or(d, add(d, q)));
    }
    (void)control(was);
    portable->sub(r + i, a + i, b + i, n - i, m);
}

static void neg(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *m)
{
    const vec q = all(m->q);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store(r + i, sub_if(sub(q, load(a + i)), q));
    (void)control(was);
    portable->neg(r + i, a + i, n - i, m);
}

static void mul(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store(r + i, residue(product(load(a + i), load(b + i), &f), &f));
    (void)control(was);
    portable->mul(r + i, a + i, b + i, n - i, m);
}

static void mul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                    const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec p = clean(product(load(a + i), load(b + i), &f), &f.c);
        store(r + i, residue(add(sub_if(p, f.c.two_q), load(r + i)), &f));
    }
    (void)control(was);
    portable->mul_add(r + i, a + i, b + i, n - i, m);
}

static void mul_const(uint64_t *r, const uint64_t *a, struct ccz_mulc c, size_t n,
                      const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const struct factor w = factor(c.w, c.quot);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store(r + i, times(load(a + i), w, &f));
    (void)control(was);
    portable->mul_const(r + i, a + i, c, n - i, m);
}

static void mul_const_add(uint64_t *r, const uint64_t *a, struct ccz_mulc c, size_t n,
                          const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const struct factor w = factor(c.w, c.quot);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec p = clean(mul_lazy(load(a + i), w.w, w.quot, &f.c), &f.c);
        store(r + i, residue(add(p, load(r + i)), &f));
    }
    (void)control(was);
    portable->mul_const_add(r + i, a + i, c, n - i, m);
}

static void sub_mul_const(uint64_t *r, const uint64_t *a, const uint64_t *b, struct ccz_mulc c,
                          size_t n, const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const struct factor w = factor(c.w, c.quot);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec d = sub(add(load(a + i), f.c.two_q), sub_if(load(b + i), f.c.two_q));
        store(r + i, times(d, w, &f));
    }
    (void)control(was);
    portable->sub_mul_const(r + i, a + i, b + i, c, n - i, m);
}

/* ------------------------------------------------------------------------------------ sums */

struct sum {
    vec hi, lo;
};

INLINE void sum_add(struct sum *s, vec a, vec b)
{
    s->hi = high(s->hi, a, b);
    s->lo = low(s->lo, a, b);
}

INLINE struct sum sum_from(const uint64_t *r, bool accumulate)
{
    return (struct sum){all(0), accumulate ? load(r) : all(0)};
}

/* The words behind the last eight. */
static void mac_rest(uint64_t *r, const uint64_t *const *a, const uint64_t *const *b, size_t b_step,
                     size_t terms, size_t from, size_t n, const struct ccz_modulus *m,
                     bool accumulate)
{
    const uint64_t *pa[CCZ_MAC_TERMS_MAX], *pb[CCZ_MAC_TERMS_MAX];
    if (from == n)
        return;
    for (size_t k = 0; k < terms; k++) {
        pa[k] = a[k] + from;
        pb[k] = b[k * b_step] + from;
    }
    portable->mac(r + from, pa, pb, terms, n - from, m, accumulate);
}

static void mac(uint64_t *r, const uint64_t *const *a, const uint64_t *const *b, size_t terms,
                size_t n, const struct ccz_modulus *m, bool accumulate)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const size_t len = served(n, m);
    size_t i = 0;
    for (; i + 2 * LANES <= len; i += 2 * LANES) {
        struct sum s = sum_from(r + i, accumulate), t = sum_from(r + i + LANES, accumulate);
        for (size_t k = 0; k < terms; k++) {
            sum_add(&s, load(a[k] + i), load(b[k] + i));
            sum_add(&t, load(a[k] + i + LANES), load(b[k] + i + LANES));
        }
        store(r + i, fold_sum(s.hi, s.lo, &f));
        store(r + i + LANES, fold_sum(t.hi, t.lo, &f));
    }
    (void)control(was);
    mac_rest(r, a, b, 1, terms, i, n, m, accumulate);
}

static void mac2(uint64_t *const *r, const uint64_t *const *a, const uint64_t *const *b,
                 size_t terms, size_t n, const struct ccz_modulus *m, bool accumulate)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const size_t len = served(n, m);
    size_t i = 0;
    for (; i + 2 * LANES <= len; i += 2 * LANES) {
        struct sum s[2][2];
        UNROLL
        for (int j = 0; j < 4; j++)
            s[j / 2][j % 2] = sum_from(r[j / 2] + i + (size_t)(j % 2) * LANES, accumulate);
        for (size_t k = 0; k < terms; k++) {
            vec x = load(a[k] + i), y = load(a[k] + i + LANES);
            sum_add(&s[0][0], x, load(b[2 * k] + i));
            sum_add(&s[1][0], x, load(b[2 * k + 1] + i));
            sum_add(&s[0][1], y, load(b[2 * k] + i + LANES));
            sum_add(&s[1][1], y, load(b[2 * k + 1] + i + LANES));
        }
        UNROLL
        for (int j = 0; j < 4; j++)
            store(r[j / 2] + i + (size_t)(j % 2) * LANES,
                  fold_sum(s[j / 2][j % 2].hi, s[j / 2][j % 2].lo, &f));
    }
    (void)control(was);
    mac_rest(r[0], a, b, 2, terms, i, n, m, accumulate);
    mac_rest(r[1], a, b + 1, 2, terms, i, n, m, accumulate);
}

/* Many streams at once defeat prefetching: a page of each of eight, with sums kept in the cache. */
enum { CHUNK = 512, GROUP = 8, FEW = 16 };

INLINE void few_streams(uint64_t *r, const uint64_t *const *a, const uint64_t *s, size_t terms,
                        size_t len, const struct field *f, bool accumulate)
{
    for (size_t i = 0; i < len; i += LANES) {
        struct sum t = sum_from(r + i, accumulate);
        for (size_t k = 0; k < terms; k++)
            sum_add(&t, load(a[k] + i), all(s[k]));
        store(r + i, fold_sum(t.hi, t.lo, f));
    }
}

INLINE void scalar_group(struct sum *sums, const uint64_t *const *a, const uint64_t *s, size_t at,
                         size_t len, int terms)
{
    for (size_t i = 0; i < len; i += LANES) {
        struct sum t = sums[i / LANES];
        UNROLL
        for (int k = 0; k < terms; k++)
            sum_add(&t, load(a[k] + at + i), all(s[k]));
        sums[i / LANES] = t;
    }
}

static void mac_scalar(uint64_t *r, const uint64_t *const *a, const uint64_t *s, size_t terms,
                       size_t n, const struct ccz_modulus *m, bool accumulate)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    struct sum sums[CHUNK / LANES];
    const size_t all_len = served(n, m);
    if (terms <= FEW)
        few_streams(r, a, s, terms, all_len, &f, accumulate);
    for (size_t at = 0, len; at < all_len && terms > FEW; at += len) {
        len = all_len - at < CHUNK ? all_len - at : CHUNK;
        for (size_t i = 0; i < len; i += LANES)
            sums[i / LANES] = sum_from(r + at + i, accumulate);
        size_t k = 0;
        for (; k + GROUP <= terms; k += GROUP)
            scalar_group(sums, a + k, s + k, at, len, GROUP);
        for (; k < terms; k++)
            scalar_group(sums, a + k, s + k, at, len, 1);
        for (size_t i = 0; i < len; i += LANES)
            store(r + at + i, fold_sum(sums[i / LANES].hi, sums[i / LANES].lo, &f));
    }
    (void)control(was);
    if (all_len < n) {
        const uint64_t *rest[CCZ_MAC_TERMS_MAX];
        for (size_t k = 0; k < terms; k++)
            rest[k] = a[k] + all_len;
        portable->mac_scalar(r + all_len, rest, s, terms, n - all_len, m, accumulate);
    }
}

static void tensor(uint64_t *const *r, const uint64_t *const *a, const uint64_t *const *b, size_t n,
                   const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec a0 = load(a[0] + i), a1 = load(a[1] + i), b0 = load(b[0] + i), b1 = load(b[1] + i);
        struct sum s = {all(0), all(0)};
        sum_add(&s, a0, b1);
        sum_add(&s, a1, b0);
        s.hi = add(s.hi, _mm512_srli_epi64(s.lo, 52));
        store(r[0] + i, residue(product(a0, b0, &f), &f));
        store(r[1] + i, residue(fold(s.hi, clean(s.lo, &f.c), &f), &f));
        store(r[2] + i, residue(product(a1, b1, &f), &f));
    }
    (void)control(was);
    portable->tensor((uint64_t *[]){r[0] + i, r[1] + i, r[2] + i},
                     (const uint64_t *[]){a[0] + i, a[1] + i},
                     (const uint64_t *[]){b[0] + i, b[1] + i}, n - i, m);
}

static void tensor_square(uint64_t *const *r, const uint64_t *const *a, size_t n,
                          const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec a0 = load(a[0] + i), a1 = load(a[1] + i);
        store(r[0] + i, residue(product(a0, a0, &f), &f));
        store(r[1] + i, residue(product(add(a0, a0), a1, &f), &f));
        store(r[2] + i, residue(product(a1, a1, &f), &f));
    }
    (void)control(was);
    portable->tensor_square((uint64_t *[]){r[0] + i, r[1] + i, r[2] + i},
                            (const uint64_t *[]){a[0] + i, a[1] + i}, n - i, m);
}

/* -------------------------------------------------------------------- from other integers */

/* Any words to residues. */
INLINE vec reduce_word(vec a, const struct field *f)
{
    return residue(fold(_mm512_srli_epi64(a, 52), clean(a, &f->c), f), f);
}

static void reduce_u64(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES)
        store(r + i, reduce_word(load(a + i), &f));
    (void)control(was);
    portable->reduce_u64(r + i, a + i, n - i, m);
}

static void reduce_i64(uint64_t *r, const int64_t *a, size_t n, const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec x = _mm512_loadu_si512(a + i), size = reduce_word(_mm512_abs_epi64(x), &f);
        size = _mm512_mask_sub_epi64(size, _mm512_movepi64_mask(x), f.c.q, size);
        store(r + i, sub_if(size, f.c.q));
    }
    (void)control(was);
    portable->reduce_i64(r + i, a + i, n - i, m);
}

static void reduce_i8(uint64_t *r, const int8_t *a, size_t n, const struct ccz_modulus *m)
{
    const vec q = all(m->q);
    const unsigned was = control(CONTROL);
    size_t i = 0, len = served(n, m);
    for (; i < len; i += LANES) {
        vec x = _mm512_cvtepi8_epi64(_mm_loadl_epi64((const __m128i *)(a + i)));
        store(r + i, _mm512_mask_add_epi64(x, _mm512_movepi64_mask(x), x, q));
    }
    (void)control(was);
    portable->reduce_i8(r + i, a + i, n - i, m);
}

static void lift(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *from,
                 const struct ccz_modulus *to)
{
    const struct field f = field(to);
    const unsigned was = control(CONTROL);
    const vec half = all(from->q / 2), shift = all(to->q - ccz_mod_reduce(from->q, to));
    size_t i = 0, len = from->bits <= CCZ_FAST_BITS ? served(n, to) : 0;
    for (; i < len; i += LANES) {
        vec x = load(a + i);
        x = _mm512_mask_add_epi64(x, _mm512_cmpgt_epu64_mask(x, half), x, shift);
        store(r + i, sub_if(barrett(x, &f.c), f.c.q));
    }
    (void)control(was);
    portable->lift(r + i, a + i, n - i, from, to);
}

/* The file is compiled without contraction to fused operations: every tier rounds alike. */
static void round_sum(uint64_t *r, const uint64_t *const *a, const double *inv, size_t terms,
                      size_t n)
{
    const uint64_t *rest[CCZ_CONV_LEN_MAX];
    size_t i = 0;
    for (; i + LANES <= n; i += LANES) {
        __m512d s = _mm512_set1_pd(0.5);
        for (size_t k = 0; k < terms; k++)
            s = _mm512_add_pd(
                s, _mm512_mul_pd(_mm512_cvtepu64_pd(load(a[k] + i)), _mm512_set1_pd(inv[k])));
        store(r + i, _mm512_cvttpd_epu64(s));
    }
    for (size_t k = 0; k < terms; k++)
        rest[k] = a[k] + i;
    portable->round_sum(r + i, rest, inv, terms, n - i);
}

static size_t uniform(uint64_t *r, size_t n, const uint64_t *words, size_t words_len,
                      const struct ccz_modulus *m)
{
    const struct field f = field(m);
    const unsigned was = control(CONTROL);
    const uint64_t two_52 = (uint64_t)1 << 52;
    const vec end = all(two_52 / m->q * m->q);
    size_t i = 0, len = 0;
    /* all lanes are stored, those behind the accepted ones to be overwritten */
    for (; m->bits <= CCZ_FAST_BITS && i + LANES <= words_len && len + LANES <= n; i += LANES) {
        vec w = clean(load(words + i), &f.c);
        __mmask8 accepted = _mm512_cmplt_epu64_mask(w, end);
        w = sub_if(barrett(w, &f.c), f.c.q);
        store(r + len, _mm512_maskz_compress_epi64(accepted, w));
        len += (size_t)__builtin_popcount(accepted);
    }
    (void)control(was);
    return len + portable->uniform(r + len, n - len, words + i, words_len - i, m);
}

static bool below(const uint64_t *a, size_t n, uint64_t q)
{
    size_t i = 0;
    __mmask8 above = 0;
    for (; i + LANES <= n; i += LANES)
        above |= _mm512_cmpge_epu64_mask(load(a + i), all(q));
    return portable->below(a + i, n - i, q) && above == 0;
}

static void galois(uint64_t *r, const uint64_t *a, const struct ccz_galois *g)
{
    static const uint8_t reverse3[8] = {0, 4, 2, 6, 1, 5, 3, 7};
    uint64_t order[8][LANES];
    for (size_t c = 0; c < 8; c++) {
        for (size_t p = 0; p < LANES; p++)
            order[c][p] = reverse3[(g->g * reverse3[p] + c) & 7];
    }
    for (size_t b = 0; b < g->n / LANES; b++) {
        vec x = load(a + LANES * (size_t)(g->src[b] >> 3));
        store(r + LANES * b, _mm512_permutexvar_epi64(load(order[g->src[b] & 7]), x));
    }
}

const struct cczi_tier cczi_tier_ifma = {
    .k = {.name = "ifma",
          .add = add_words,
          .sub = sub_words,
          .neg = neg,
          .mul = mul,
          .mul_add = mul_add,
          .mul_const = mul_const,
          .mul_const_add = mul_const_add,
          .sub_mul_const = sub_mul_const,
          .mac = mac,
          .mac2 = mac2,
          .mac_scalar = mac_scalar,
          .tensor = tensor,
          .tensor_square = tensor_square,
          .reduce_u64 = reduce_u64,
          .reduce_i64 = reduce_i64,
          .reduce_i8 = reduce_i8,
          .lift = lift,
          .round_sum = round_sum,
          .uniform = uniform,
          .below = below,
          .galois = galois},
    .table_words = 5, /* both directions: n / 16 scalars, 4 n for blocks */
    .fill = cczi_ntt_ifma_fill,
    .forward = cczi_ntt_ifma_forward,
    .forward_lazy = cczi_ntt_ifma_forward_lazy,
    .forward_lift_lazy = cczi_ntt_ifma_forward_lift_lazy,
    .inverse = cczi_ntt_ifma_inverse,
};
#endif
