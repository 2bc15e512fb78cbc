/* SPDX-License-Identifier: Apache-2.0 */
/* Every tier on every length against plain arithmetic, and bit by bit against the portable tier. */
#define _DEFAULT_SOURCE
#include "num/kit.h"
#include "num/num_priv.h"

#include <math.h>
#if defined(__x86_64__)
#include <immintrin.h>
#endif

enum { LEN = 75, TERMS = 40, GUARD = 8 };

static const char *const names[] = {"portable", "avx2", "avx512", "ifma"};
/* From small to the largest that is fast: 2^29 + .., the largest NTT primes below 2^44, 2^48, 2^50,
 * and no prime at all. */
static const uint64_t moduli[] = {
    257, 65537, 0x20000e01, 0xffffff00001, 0xfffffff00001, 0x3fffffffff901, 0x3ffffffffffff};

struct data {
    struct ccz_modulus m;
    uint64_t q, a[TERMS][LEN], b[2 * TERMS][LEN], lazy[TERMS][LEN], s[TERMS], words[LEN];
    int64_t signed_words[LEN];
    int8_t bytes[LEN];
    const uint64_t *pa[TERMS], *pb[2 * TERMS], *plazy[TERMS];
};

static void make(struct data *d, uint64_t q, uint64_t *state)
{
    d->m = modulus(q);
    d->q = q;
    for (size_t k = 0; k < TERMS; k++) {
        d->pa[k] = d->a[k];
        d->pb[2 * k] = d->b[2 * k];
        d->pb[2 * k + 1] = d->b[2 * k + 1];
        d->plazy[k] = d->lazy[k];
        d->s[k] = rnd_residue(state, q);
        for (size_t i = 0; i < LEN; i++) {
            d->a[k][i] = rnd_residue(state, q);
            d->b[2 * k][i] = rnd_residue(state, q);
            d->b[2 * k + 1][i] = rnd_residue(state, q);
            d->lazy[k][i] = rnd(state) % 8 ? rnd(state) % (4 * q) : 4 * q - 1;
        }
    }
    for (size_t i = 0; i < LEN; i++) {
        d->words[i] = rnd(state) % 8 ? rnd(state) : UINT64_MAX - i;
        d->signed_words[i] =
            i == 1 ? INT64_MIN : (int64_t)(rnd(state) >> (i % 60)) * (i % 2 ? -1 : 1);
        d->bytes[i] = (int8_t)(i < 3 ? -128 + (int)i : (int)(rnd(state) % 256) - 128);
    }
}

typedef void (*check_fn)(const struct ccz_kernels *k, const struct data *d, size_t n);

/* Calls for every tier this machine has, modulus and length. */
static void for_all(check_fn check)
{
    static struct data d;
    uint64_t state = 11;
    for (size_t t = 0; t < 4; t++) {
        const struct ccz_kernels *k = ccz_kernels(names[t]);
        for (size_t i = 0; k && i < sizeof(moduli) / sizeof(moduli[0]); i++) {
            make(&d, moduli[i], &state);
            for (size_t n = 0; n <= LEN; n++)
                check(k, &d, n);
        }
    }
}

/* Results have a guard behind them that no kernel may touch. */
struct result {
    uint64_t w[LEN + GUARD];
};

static void guard(struct result *r, const uint64_t *before, size_t n)
{
    memset(r, 0xa5, sizeof(*r));
    memcpy(r->w, before, n * sizeof(*before));
}

#define EXPECT(r, n, value)                                                                        \
    do {                                                                                           \
        for (size_t i = 0; i < (n); i++)                                                           \
            CHECK((r).w[i] == (value));                                                            \
        for (size_t i = (n); i < LEN + GUARD; i++)                                                 \
            CHECK((r).w[i] == 0xa5a5a5a5a5a5a5a5u);                                                \
    } while (0)

static void check_exact(const struct ccz_kernels *k, const struct data *d, size_t n)
{
    const uint64_t q = d->q, *a = d->a[0], *b = d->b[0], *lazy = d->lazy[0], *start = d->b[1];
    const struct ccz_mulc c = ccz_mulc_from(d->s[0], &d->m);
    struct result r;
    guard(&r, start, n);
    k->add(r.w, a, b, n, &d->m);
    EXPECT(r, n, (a[i] + b[i]) % q);
    guard(&r, start, n);
    k->sub(r.w, a, b, n, &d->m);
    EXPECT(r, n, (a[i] + q - b[i]) % q);
    guard(&r, start, n);
    k->neg(r.w, a, n, &d->m);
    EXPECT(r, n, (q - a[i]) % q);
    guard(&r, start, n);
    k->mul(r.w, lazy, b, n, &d->m);
    EXPECT(r, n, mul_mod(lazy[i], b[i], q));
    guard(&r, start, n);
    k->mul_add(r.w, lazy, b, n, &d->m);
    EXPECT(r, n, (mul_mod(lazy[i], b[i], q) + start[i]) % q);
    guard(&r, start, n);
    k->mul_const(r.w, lazy, c, n, &d->m);
    EXPECT(r, n, mul_mod(lazy[i], c.w, q));
    guard(&r, start, n);
    k->mul_const_add(r.w, lazy, c, n, &d->m);
    EXPECT(r, n, (mul_mod(lazy[i], c.w, q) + start[i]) % q);
    guard(&r, start, n);
    k->sub_mul_const(r.w, a, lazy, c, n, &d->m);
    EXPECT(r, n, mul_mod(a[i] + 4 * q - lazy[i], c.w, q));
    bool all = k->below(a, n, q);
    CHECK(all);
    memcpy(r.w, a, n * sizeof(*a));
    for (size_t i = 0; i < n; i++) {
        r.w[i] = q + (i % 2 ? UINT64_MAX - q : 0);
        CHECK(!k->below(r.w, n, q));
        r.w[i] = q - 1;
        CHECK(k->below(r.w, n, q));
    }
}

static void test_exact(void)
{
    for_all(check_exact);
}

static uint64_t sum_of(const struct data *d, size_t terms, size_t i, int which, uint64_t start)
{
    uint64_t sum = start;
    for (size_t k = 0; k < terms; k++) {
        uint64_t f = which == 2 ? d->s[k] : d->b[which == 3 ? k : 2 * k + (size_t)which][i];
        sum = (sum + mul_mod(d->lazy[k][i], f, d->q)) % d->q;
    }
    return sum;
}

static void check_sums(const struct ccz_kernels *k, const struct data *d, size_t n)
{
    static const size_t terms[] = {0, 1, 2, 7, 8, 9, 17, TERMS};
    const uint64_t *start = d->a[0], q = d->q;
    for (size_t l = n % 2; l < 8; l += 2) {
        struct result r, r1;
        for (int add = 0; add < 2; add++) {
            guard(&r, start, n);
            k->mac(r.w, d->plazy, d->pb, terms[l], n, &d->m, add);
            EXPECT(r, n, sum_of(d, terms[l], i, 3, add ? start[i] : 0));
            guard(&r, start, n);
            guard(&r1, start, n);
            k->mac2((uint64_t *[]){r.w, r1.w}, d->plazy, d->pb, terms[l], n, &d->m, add);
            EXPECT(r, n, sum_of(d, terms[l], i, 0, add ? start[i] : 0));
            EXPECT(r1, n, sum_of(d, terms[l], i, 1, add ? start[i] : 0));
            guard(&r, start, n);
            k->mac_scalar(r.w, d->plazy, d->s, terms[l], n, &d->m, add);
            EXPECT(r, n, sum_of(d, terms[l], i, 2, add ? start[i] : 0));
        }
    }
    struct result r[3];
    uint64_t *pr[3] = {r[0].w, r[1].w, r[2].w};
    for (int j = 0; j < 3; j++)
        guard(&r[j], start, n);
    k->tensor(pr, d->pa, d->pb, n, &d->m);
    const uint64_t *a0 = d->a[0], *a1 = d->a[1], *b0 = d->b[0], *b1 = d->b[1];
    EXPECT(r[0], n, mul_mod(a0[i], b0[i], q));
    EXPECT(r[1], n, (mul_mod(a0[i], b1[i], q) + mul_mod(a1[i], b0[i], q)) % q);
    EXPECT(r[2], n, mul_mod(a1[i], b1[i], q));
    for (int j = 0; j < 3; j++)
        guard(&r[j], start, n);
    k->tensor_square(pr, d->pa, n, &d->m);
    EXPECT(r[0], n, mul_mod(a0[i], a0[i], q));
    EXPECT(r[1], n, 2 * mul_mod(a0[i], a1[i], q) % q);
    EXPECT(r[2], n, mul_mod(a1[i], a1[i], q));
}

/* The longest sums, of the largest words. */
static void check_long_sums(const struct ccz_kernels *k, uint64_t q)
{
    enum { N = 11 };
    static uint64_t a[N], b[N], s[CCZ_MAC_TERMS_MAX];
    static const uint64_t *pa[CCZ_MAC_TERMS_MAX], *pb[2 * CCZ_MAC_TERMS_MAX];
    struct ccz_modulus m = modulus(q);
    uint64_t r[N], r1[N], most = ((uint64_t)1 << 52) - 1;
    for (size_t i = 0; i < N; i++) {
        a[i] = 4 * q - 1;
        b[i] = q - 1;
        r[i] = q - 1;
    }
    for (size_t i = 0; i < CCZ_MAC_TERMS_MAX; i++) {
        pa[i] = a;
        pb[2 * i] = pb[2 * i + 1] = b;
        s[i] = q - 1;
    }
    const uint64_t one = (mul_mod(4 * q - 1, q - 1, q));
    const uint64_t expected = (mul_mod(CCZ_MAC_TERMS_MAX % q, one, q) + q - 1) % q;
    k->mac(r, pa, pb, CCZ_MAC_TERMS_MAX, N, &m, true);
    CHECK(r[0] == expected && r[N - 1] == expected);
    r[0] = r1[0] = r[N - 1] = r1[N - 1] = q - 1;
    k->mac2((uint64_t *[]){r, r1}, pa, pb, CCZ_MAC_TERMS_MAX, N, &m, true);
    CHECK(r[0] == expected && r1[0] == expected && r[N - 1] == expected && r1[N - 1] == expected);
    r[0] = r[N - 1] = q - 1;
    k->mac_scalar(r, pa, s, CCZ_MAC_TERMS_MAX, N, &m, true);
    CHECK(r[0] == expected && r[N - 1] == expected);
    for (size_t i = 0; i < N && m.bits <= CCZ_FAST_BITS; i++)
        a[i] = most;
    r[0] = r[N - 1] = 0;
    k->mac_scalar(r, pa, s, CCZ_MAC_TERMS_MAX, N, &m, true);
    const uint64_t each = mul_mod(a[0] % q, q - 1, q);
    CHECK(r[0] == mul_mod(CCZ_MAC_TERMS_MAX % q, each, q) && r[N - 1] == r[0]);
}

static void test_sums(void)
{
    for_all(check_sums);
    for (size_t t = 0; t < 4; t++) {
        for (size_t i = 0; ccz_kernels(names[t]) && i < sizeof(moduli) / sizeof(moduli[0]); i++)
            check_long_sums(ccz_kernels(names[t]), moduli[i]);
    }
}

static uint64_t signed_mod(int64_t a, uint64_t q)
{
    i128 r = a % (i128)q;
    return (uint64_t)(r < 0 ? r + (i128)q : r);
}

static void check_foreign(const struct ccz_kernels *k, const struct data *d, size_t n)
{
    const uint64_t q = d->q;
    struct result r;
    guard(&r, d->a[0], n);
    k->reduce_u64(r.w, d->words, n, &d->m);
    EXPECT(r, n, d->words[i] % q);
    guard(&r, d->a[0], n);
    k->reduce_i64(r.w, d->signed_words, n, &d->m);
    EXPECT(r, n, signed_mod(d->signed_words[i], q));
    guard(&r, d->a[0], n);
    k->reduce_i8(r.w, d->bytes, n, &d->m);
    EXPECT(r, n, signed_mod(d->bytes[i], q));
    for (size_t l = 0; l < sizeof(moduli) / sizeof(moduli[0]); l++) {
        struct ccz_modulus to = modulus(moduli[l]);
        guard(&r, d->a[0], n);
        k->lift(r.w, d->a[0], n, &d->m, &to);
        EXPECT(
            r, n,
            signed_mod(d->a[0][i] > q / 2 ? (int64_t)(d->a[0][i] - q) : (int64_t)d->a[0][i], to.q));
    }
    double inv[TERMS];
    struct result p;
    for (size_t j = 0; j < TERMS; j++)
        inv[j] = 1.0 / (double)(q + 2 * j);
    for (size_t terms = 1; terms <= TERMS; terms += 13) {
        guard(&r, d->a[0], n);
        guard(&p, d->a[0], n);
        k->round_sum(r.w, d->pa, inv, terms, n);
        ccz_kernels("portable")->round_sum(p.w, d->pa, inv, terms, n);
        EXPECT(r, n, p.w[i]);
        for (size_t i = 0; i < n; i++) {
            long double sum = 0.5L;
            for (size_t j = 0; j < terms; j++)
                sum += (long double)d->a[j][i] / (long double)(q + 2 * j);
            CHECK(fabsl((long double)r.w[i] + 0.5L - sum) < 0.5L + 0x1p-40L);
        }
    }
}

static void test_foreign(void)
{
    for_all(check_foreign);
}

/* Against the definition, word by word. */
static void check_uniform(const struct ccz_kernels *k, const struct data *d, size_t n)
{
    struct result r;
    uint64_t words[LEN] = {0}, expected[LEN];
    const uint64_t mask = ((uint64_t)1 << 52) - 1, end = (mask + 1) / d->q * d->q;
    for (size_t words_len = 0; words_len <= LEN; words_len += 5) {
        size_t len = 0;
        for (size_t i = 0; i < words_len; i++) {
            words[i] = i % 5 == 1 ? end + (d->words[i] % (mask + 1 - end)) : d->words[i];
            words[i] = i % 7 == 2 ? end - 1 : words[i];
            if ((words[i] & mask) < end && len < n)
                expected[len++] = (words[i] & mask) % d->q;
        }
        memset(&r, 0xa5, sizeof(r));
        CHECK(k->uniform(r.w, n, words, words_len, &d->m) == len);
        for (size_t i = 0; i < len; i++)
            CHECK(r.w[i] == expected[i]);
        for (size_t i = n; i < LEN + GUARD; i++)
            CHECK(r.w[i] == 0xa5a5a5a5a5a5a5a5u);
    }
}

static void test_uniform(void)
{
    for_all(check_uniform);
}

/* Outputs that are inputs. */
static void check_in_place(const struct ccz_kernels *k, const struct data *d, size_t n)
{
    struct result r, p;
    const uint64_t *b = d->b[0];
    struct ccz_mulc c = ccz_mulc_from(d->s[1], &d->m);
#define SAME(call_r, call_p)                                                                       \
    do {                                                                                           \
        guard(&r, d->a[0], n);                                                                     \
        call_p;                                                                                    \
        call_r;                                                                                    \
        EXPECT(r, n, p.w[i]);                                                                      \
    } while (0)
    SAME(k->add(r.w, r.w, b, n, &d->m), k->add(p.w, d->a[0], b, n, &d->m));
    SAME(k->add(r.w, r.w, r.w, n, &d->m), k->add(p.w, d->a[0], d->a[0], n, &d->m));
    SAME(k->sub(r.w, b, r.w, n, &d->m), k->sub(p.w, b, d->a[0], n, &d->m));
    SAME(k->neg(r.w, r.w, n, &d->m), k->neg(p.w, d->a[0], n, &d->m));
    SAME(k->mul(r.w, r.w, r.w, n, &d->m), k->mul(p.w, d->a[0], d->a[0], n, &d->m));
    SAME(k->mul_const(r.w, r.w, c, n, &d->m), k->mul_const(p.w, d->a[0], c, n, &d->m));
    SAME(k->sub_mul_const(r.w, b, r.w, c, n, &d->m),
         k->sub_mul_const(p.w, b, d->a[0], c, n, &d->m));
    SAME(k->reduce_u64(r.w, r.w, n, &d->m), k->reduce_u64(p.w, d->a[0], n, &d->m));
    SAME(k->lift(r.w, r.w, n, &d->m, &d->m), k->lift(p.w, d->a[0], n, &d->m, &d->m));
    struct result x[2], out;
    uint64_t expected[3][LEN];
    guard(&x[0], d->a[0], n);
    guard(&x[1], d->a[1], n);
    k->tensor((uint64_t *[]){expected[0], expected[1], expected[2]}, d->pa, d->pb, n, &d->m);
    k->tensor((uint64_t *[]){x[0].w, x[1].w, out.w}, (const uint64_t *[]){x[0].w, x[1].w}, d->pb, n,
              &d->m);
    EXPECT(x[0], n, expected[0][i]);
    EXPECT(x[1], n, expected[1][i]);
    CHECK(memcmp(out.w, expected[2], n * 8) == 0);
}

static void test_in_place(void)
{
    for_all(check_in_place);
}

/* ------------------------------------------------------------------------------ transforms */

static void check_transform(const struct ccz_kernels *k, uint64_t q, size_t n, uint64_t *state)
{
    static uint64_t a[CCZ_NTT_LEN_MAX], f[CCZ_NTT_LEN_MAX], r[CCZ_NTT_LEN_MAX],
        back[CCZ_NTT_LEN_MAX];
    const struct ccz_modulus m = modulus(q), from = modulus(0x3fffffffff901),
                             small = modulus(0x20000e01), large = modulus(((uint64_t)1 << 60) + 33);
    const struct ccz_modulus *const froms[] = {&from, &small, &large, &m};
    CCZ_AUTO(ccz_ntt) t = NULL;
    CCZ_AUTO(ccz_ntt) p = NULL;
    CHECK(ccz_ntt_new(&t, &m, n, k, NULL) == CCZ_OK);
    CHECK(ccz_ntt_new(&p, &m, n, ccz_kernels("portable"), NULL) == CCZ_OK);
    for (int kind = 0; kind < 4; kind++) { /* edges, up to the largest that are allowed */
        for (size_t i = 0; i < n; i++)
            a[i] = kind == 0   ? rnd_residue(state, q)
                   : kind == 1 ? q - 1
                   : kind == 2 ? (rnd(state) % 2 ? 2 * q - 1 : 0)
                               : 2 * q - 1;
        ccz_ntt_forward(f, a, p);
        ccz_ntt_forward(r, a, t);
        CHECK(memcmp(r, f, n * sizeof(*r)) == 0);
        memcpy(r, a, n * sizeof(*r));
        ccz_ntt_forward_lazy(r, r, t);
        for (size_t i = 0; i < n; i++)
            CHECK(r[i] < 4 * q && r[i] % q == f[i]);
        ccz_ntt_inverse(back, f, t);
        for (size_t i = 0; i < n; i++)
            CHECK(back[i] == a[i] % q);
        struct ccz_ntt_scale s = ccz_ntt_scale_from(rnd_residue(state, q), t);
        ccz_ntt_inverse_scaled(back, a, &s, p);
        ccz_ntt_inverse_scaled(a, a, &s, t);
        CHECK(memcmp(a, back, n * sizeof(*a)) == 0);
    }
    for (size_t l = 0; l < 4; l++) {
        for (size_t i = 0; i < n; i++)
            a[i] = rnd_residue(state, froms[l]->q);
        ccz_kernels("portable")->lift(back, a, n, froms[l], &m);
        ccz_ntt_forward(f, back, p);
        ccz_ntt_forward_lift_lazy(r, a, froms[l], t);
        for (size_t i = 0; i < n; i++)
            CHECK(r[i] < 4 * q && r[i] % q == f[i]);
    }
}

static void test_transforms(void)
{
    static const unsigned bits[] = {22, 40, 44, 45, 46, 47, 48, 49, 50}; /* each way of reducing */
    uint64_t state = 12, q;
    for (size_t t = 0; t < 4; t++) {
        const struct ccz_kernels *k = ccz_kernels(names[t]);
        for (size_t n = CCZ_NTT_LEN_MIN; k && n <= CCZ_NTT_LEN_MAX; n *= 2) {
            for (size_t b = 0; b<sizeof(bits) / sizeof(bits[0]); b += n> 8192 ? 4 : 1) {
                CHECK(ccz_ntt_primes(&q, 1, bits[b], n, CCZ_PRIMES_BELOW, NULL, 0, NULL) == CCZ_OK);
                check_transform(k, q, n, &state);
            }
        }
    }
}

static void test_large_moduli(void)
{
    static const uint64_t large[] = {((uint64_t)1 << 50) + 55, ((uint64_t)1 << 56) + 81,
                                     ((uint64_t)1 << 61) - 1};
    static struct data d;
    uint64_t state = 13;
    for (size_t t = 0; t < 4; t++) {
        const struct ccz_kernels *k = ccz_kernels(names[t]);
        for (size_t i = 0; k && i < 3; i++) {
            make(&d, large[i], &state);
            for (size_t n = LEN - 16; n <= LEN; n++) {
                check_exact(k, &d, n);
                check_sums(k, &d, n);
                check_in_place(k, &d, n);
            }
            check_long_sums(k, large[i]);
        }
    }
}

/* The caller's floating-point environment neither matters nor changes. */
static void test_control(void)
{
#if defined(__x86_64__)
    const unsigned was = _mm_getcsr();
    const unsigned odd = 0x1f80 | 0x8040 | 0x2000; /* flush to zero, subnormal as zero, downwards */
    static struct data d;
    uint64_t state = 14;
    for (size_t t = 0; t < 4; t++) {
        const struct ccz_kernels *k = ccz_kernels(names[t]);
        for (size_t i = 0; k && i < sizeof(moduli) / sizeof(moduli[0]); i++) {
            make(&d, moduli[i], &state);
            _mm_setcsr(odd);
            for (size_t n = LEN - 10; n <= LEN; n++) {
                check_exact(k, &d, n);
                check_sums(k, &d, n);
                check_in_place(k, &d, n);
                check_uniform(k, &d, n);
            }
            CHECK((_mm_getcsr() & ~0x3fu) == odd);
            _mm_setcsr(was);
        }
        _mm_setcsr(odd);
        if (k)
            check_transform(k, 0x3fffffffff901, 128, &state);
        CHECK((_mm_getcsr() & ~0x3fu) == odd);
        _mm_setcsr(was);
    }
#endif
}

static void lift_nothing(uint64_t *r, const uint64_t *a, const struct ccz_modulus *from,
                         const struct ccz_ntt *t)
{
    (void)from;
    ccz_ntt_forward_lazy(r, a, t);
}

/* The default is the best tier that is to be had, or what CCZOO_CPU says. */
static void test_choice(void)
{
    const struct ccz_cpu *cpu = ccz_cpu();
    const char *pinned = getenv("CCZOO_CPU");
    const struct ccz_kernels *best = NULL;
    for (int i = 0; i <= (int)cpu->chosen; i++) {
        if (ccz_kernels(ccz_cpu_tier_name((enum ccz_cpu_tier)i)))
            best = ccz_kernels(ccz_cpu_tier_name((enum ccz_cpu_tier)i));
    }
    CHECK(best && ccz_kernels(NULL) == best);
    CHECK(!ccz_kernels("sse2") && strcmp(ccz_kernels("portable")->name, "portable") == 0);
    for (int i = (int)cpu->best + 1; i < CCZ_CPU_TIERS; i++)
        CHECK(!ccz_kernels(ccz_cpu_tier_name((enum ccz_cpu_tier)i)));
    if (!pinned)
        CHECK(cpu->chosen == cpu->best);
    struct cczi_tier wrong = cczi_tier_portable;
    CHECK(cczi_tier_self_test(&wrong));
    wrong.k.mul = wrong.k.add;
    CHECK(!cczi_tier_self_test(&wrong));
    wrong = cczi_tier_portable;
    wrong.forward_lift_lazy = lift_nothing;
    CHECK(!cczi_tier_self_test(&wrong));
    for (int i = 0; i <= (int)cpu->best; i++) /* all pass their self test */
        CHECK(ccz_kernels(ccz_cpu_tier_name((enum ccz_cpu_tier)i)));
}

static const struct ccz_test tests[] = {
    {"kernels.choice", test_choice},
    {"kernels.exact", test_exact},
    {"kernels.sums", test_sums},
    {"kernels.foreign", test_foreign},
    {"kernels.uniform", test_uniform},
    {"kernels.in_place", test_in_place},
    {"kernels.transforms", test_transforms},
    {"kernels.large_moduli", test_large_moduli},
    {"kernels.control", test_control},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
