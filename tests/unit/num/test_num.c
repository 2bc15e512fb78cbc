/* SPDX-License-Identifier: Apache-2.0 */
/* Moduli, primes, transforms against convolution, automorphisms, base conversion: by definition. */
#include "num/kit.h"

enum { N_MAX = 1024 };

static uint64_t gcd(uint64_t a, uint64_t b)
{
    return b == 0 ? a : gcd(b, a % b);
}

static void test_modulus(void)
{
    static const uint64_t qs[] = {3,
                                  5,
                                  257,
                                  65537,
                                  0x20000e01,
                                  998244353,
                                  (1u << 31) + 11,
                                  0x3fffffffff901,
                                  ((uint64_t)1 << 50) - 27,
                                  ((uint64_t)1 << 61) - 1};
    uint64_t state = 1;
    for (size_t i = 0; i < sizeof(qs) / sizeof(qs[0]); i++) {
        uint64_t q = qs[i];
        struct ccz_modulus m = modulus(q);
        CHECK(m.q == q && q >> m.bits == 0 && q >> (m.bits - 1) == 1);
        for (int k = 0; k < 2000; k++) {
            uint64_t a = rnd_residue(&state, q), b = rnd_residue(&state, q), w = rnd(&state);
            CHECK(ccz_mod_add(a, b, &m) == (a + b) % q);
            CHECK(ccz_mod_sub(a, b, &m) == (a + q - b) % q);
            CHECK(ccz_mod_mul(a, b, &m) == mul_mod(a, b, q));
            CHECK(ccz_mod_reduce(w, &m) == w % q &&
                  ccz_mod_reduce(~w % 3 - 1, &m) == (~w % 3 - 1) % q);
            CHECK(ccz_mod_pow(a, w, &m) == pow_mod(a, w, q));
            CHECK(ccz_mulc_from(a, &m).quot == (uint64_t)(((u128)a << 64) / q));
            uint64_t inverse = ccz_mod_inv(a, &m);
            CHECK(inverse < q && (inverse == 0 || mul_mod(inverse, a, q) == 1));
            CHECK((inverse == 0) == (gcd(a, q) != 1));
        }
    }
    struct ccz_modulus m;
    struct ccz_err err;
    static const uint64_t bad[] = {0, 1, 2, 4, 65536, ((uint64_t)1 << 61) + 1, UINT64_MAX};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        CHECK(ccz_modulus_init(&m, bad[i], &err) == CCZ_E_ARG && m.q == 0);
        CHECK(strcmp(err.where, "num:modulus") == 0);
    }
    m = modulus(15);
    CHECK(ccz_mod_inv(5, &m) == 0 && ccz_mod_inv(4, &m) == 4);
}

static void test_primes(void)
{
    unsigned count = 0; /* pi(10^5) = 9592 */
    for (uint64_t a = 0; a < 100000; a++)
        count += ccz_is_prime(a);
    CHECK(count == 9592);
    CHECK(ccz_is_prime(18446744073709551557u) && !ccz_is_prime(18446744073709551556u));
    CHECK(!ccz_is_prime(
        3825123056546413051u)); /* strong pseudoprime to bases 2 to 23 (Jiang, Deng) */
    CHECK(!ccz_is_prime((uint64_t)4294967291u * 4294967291u) && !ccz_is_prime(UINT64_MAX));

    uint64_t q[40], again[3];
    struct ccz_err err;
    CHECK(ccz_ntt_primes(q, 40, 50, 8192, CCZ_PRIMES_BELOW, NULL, 0, NULL) == CCZ_OK);
    for (int i = 0; i < 40; i++)
        CHECK(q[i] >> 49 == 1 && q[i] % 16384 == 1 && ccz_is_prime(q[i]) &&
              (i == 0 || q[i] < q[i - 1]));
    for (uint64_t a = (uint64_t)1 << 50, i = 0; a > q[39]; a--) { /* none left out */
        if (a % 16384 == 1 && ccz_is_prime(a))
            CHECK(a == q[i++]);
    }
    CHECK(ccz_ntt_primes(again, 3, 50, 8192, CCZ_PRIMES_BELOW, q, 2, NULL) == CCZ_OK);
    CHECK(again[0] == q[2] && again[1] == q[3] && again[2] == q[4]);
    CHECK(ccz_ntt_primes(q, 9, 40, 65536, CCZ_PRIMES_AROUND, NULL, 0, NULL) == CCZ_OK);
    for (int i = 0; i < 9; i++)
        CHECK((q[i] > (uint64_t)1 << 40) == (i % 2 == 1) && q[i] % 131072 == 1 &&
              ccz_is_prime(q[i]));
    CHECK(q[1] < q[3] && q[0] > q[2] && q[1] < ((uint64_t)1 << 40) + ((uint64_t)1 << 30));

    CHECK(ccz_ntt_primes(q, 9, 9, 8, CCZ_PRIMES_BELOW, NULL, 0, &err) == CCZ_E_ARG);
    CHECK(ccz_ntt_primes(q, 9, 61, 8, CCZ_PRIMES_BELOW, NULL, 0, &err) == CCZ_E_ARG);
    CHECK(ccz_ntt_primes(q, 9, 40, 48, CCZ_PRIMES_BELOW, NULL, 0, &err) == CCZ_E_ARG);
    CHECK(ccz_ntt_primes(q, 9, 40, 131072, CCZ_PRIMES_BELOW, NULL, 0, &err) == CCZ_E_ARG);
    CHECK(ccz_ntt_primes(q, 1, 12, 2048, CCZ_PRIMES_BELOW, NULL, 0, &err) == CCZ_E_LIMIT);
    CHECK(ccz_ntt_primes(q, 40, 18, 4096, CCZ_PRIMES_AROUND, NULL, 0, &err) == CCZ_E_LIMIT);
    CHECK(strcmp(err.where, "num:primes") == 0 && q[0] == 0 && q[39] == 0);
}

/* Product in Z[X]/(X^n + 1) of numbers below q: whole sums first, then one remainder. */
static void convolve(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n, uint64_t q)
{
    for (size_t k = 0; k < n; k++) {
        u128 plus = 0, minus = 0; /* n q^2 < 2^128 as n <= 2^4 for q near 2^61 */
        for (size_t i = 0; i < n; i++) {
            if (i <= k)
                plus += (u128)a[i] * b[k - i];
            else
                minus += (u128)a[i] * b[n + k - i];
        }
        uint64_t x = (uint64_t)(plus % q), y = (uint64_t)(minus % q);
        r[k] = x >= y ? x - y : x + q - y;
    }
}

static void check_convolution(uint64_t q, size_t n, const struct ccz_kernels *k, uint64_t *state)
{
    struct ccz_modulus m = modulus(q);
    CCZ_AUTO(ccz_ntt) t = NULL;
    CHECK(ccz_ntt_new(&t, &m, n, k, NULL) == CCZ_OK && ccz_ntt_len(t) == n);
    CHECK(ccz_ntt_modulus(t)->q == q);
    uint64_t a[N_MAX], b[N_MAX], fa[N_MAX], fb[N_MAX], expected[N_MAX];
    for (size_t i = 0; i < n; i++) {
        a[i] = rnd_residue(state, q);
        b[i] = rnd_residue(state, q);
    }
    convolve(expected, a, b, n, q);
    ccz_ntt_forward(fa, a, t);
    ccz_ntt_forward(fb, b, t);
    k->mul(fa, fa, fb, n, &m);
    ccz_ntt_inverse(fb, fa, t);
    CHECK(memcmp(fb, expected, n * sizeof(*fb)) == 0);
    struct ccz_ntt_scale s = ccz_ntt_scale_from(3, t);
    ccz_ntt_inverse_scaled(fa, fa, &s, t); /* in place */
    for (size_t i = 0; i < n; i++)
        CHECK(fa[i] == mul_mod(3, expected[i], q));
}

static void test_ntt(void)
{
    static const char *const names[] = {"portable", "avx2", "avx512", "ifma"};
    uint64_t state = 2, q;
    for (size_t i = 0; i < 4; i++) {
        const struct ccz_kernels *k = ccz_kernels(names[i]);
        for (size_t n = 8; k && n <= N_MAX; n *= 2) {
            for (unsigned bits = 20; bits <= 50; bits += 6) {
                CHECK(ccz_ntt_primes(&q, 1, bits, n, CCZ_PRIMES_BELOW, NULL, 0, NULL) == CCZ_OK);
                check_convolution(q, n, k, &state);
            }
            check_convolution(n <= 32 ? 257 : 65537, n, k, &state); /* 65537: batching in BFV */
        }
        for (size_t n = 8; k && n <= 16; n *= 2) { /* beyond the vector tiers */
            CHECK(ccz_ntt_primes(&q, 1, 60, n, CCZ_PRIMES_BELOW, NULL, 0, NULL) == CCZ_OK);
            check_convolution(q, n, k, &state);
        }
    }
}

/* NTT form is what its definition says: values at psi^(2 reverse(i) + 1), psi least of its order. */
static void test_ntt_order(void)
{
    enum { N = 64 };
    uint64_t q, state = 3, a[N], f[N];
    CHECK(ccz_ntt_primes(&q, 1, 44, N, CCZ_PRIMES_BELOW, NULL, 0, NULL) == CCZ_OK);
    struct ccz_modulus m = modulus(q);
    CCZ_AUTO(ccz_ntt) t = NULL;
    CHECK(ccz_ntt_new(&t, &m, N, NULL, NULL) == CCZ_OK);
    uint64_t psi = ccz_ntt_root(t);
    CHECK(pow_mod(psi, N, q) == q - 1);
    for (uint64_t e = 1; e < 2 * N; e += 2)
        CHECK(pow_mod(psi, e, q) >= psi);
    for (size_t i = 0; i < N; i++)
        a[i] = rnd_residue(&state, q);
    ccz_ntt_forward(f, a, t);
    for (size_t e = 1; e < 2 * N; e += 2) {
        uint64_t x = pow_mod(psi, e, q), sum = 0;
        for (size_t i = N; i-- > 0;)
            sum = (mul_mod(sum, x, q) + a[i]) % q;
        CHECK(f[ccz_ntt_position(N, e)] == sum &&
              ccz_ntt_position(N, e + 2 * N) == ccz_ntt_position(N, e));
    }
    CHECK(ccz_ntt_position(N, 1) == 0 && ccz_ntt_position(N, 3) == N / 2);
}

static void test_ntt_refuse(void)
{
    struct ccz_ntt *t;
    struct ccz_err err;
    struct ccz_modulus m = modulus(65537), composite = modulus(65537 * 7681u);
    CHECK(ccz_ntt_new(&t, &m, 4, NULL, &err) == CCZ_E_ARG && !t &&
          strcmp(err.where, "num:ntt-len") == 0);
    CHECK(ccz_ntt_new(&t, &m, 96, NULL, &err) == CCZ_E_ARG &&
          strcmp(err.where, "num:ntt-len") == 0);
    CHECK(ccz_ntt_new(&t, &m, 131072, NULL, &err) == CCZ_E_ARG &&
          strcmp(err.where, "num:ntt-len") == 0);
    CHECK(ccz_ntt_new(&t, &m, 65536, NULL, &err) == CCZ_E_ARG &&
          strcmp(err.where, "num:ntt-root") == 0);
    CHECK(ccz_ntt_new(&t, &composite, 256, NULL, &err) == CCZ_E_ARG &&
          strcmp(err.where, "num:ntt-prime") == 0);
    ccz_ntt_free(NULL);
}

static void test_galois(void)
{
    uint64_t state = 4, q, a[N_MAX], b[N_MAX], f[N_MAX], fb[N_MAX], r[N_MAX];
    static const size_t lens[] = {8, 16, 64, N_MAX};
    for (size_t l = 0; l < 4; l++) {
        size_t n = lens[l];
        CHECK(ccz_ntt_primes(&q, 1, 45, n, CCZ_PRIMES_BELOW, NULL, 0, NULL) == CCZ_OK);
        struct ccz_modulus m = modulus(q);
        CCZ_AUTO(ccz_ntt) t = NULL;
        CHECK(ccz_ntt_new(&t, &m, n, NULL, NULL) == CCZ_OK);
        for (size_t i = 0; i < n; i++)
            a[i] = rnd_residue(&state, q);
        ccz_ntt_forward(f, a, t);
        for (uint64_t g = 1; g < 2 * n; g += n <= 64 ? 2 : 94) {
            for (size_t i = 0; i < n; i++) { /* by definition */
                uint64_t e = i * g % (2 * n);
                b[e % n] = e < n ? a[i] : (q - a[i]) % q;
            }
            ccz_galois_coeff(r, a, n, g, &m);
            CHECK(memcmp(r, b, n * sizeof(*r)) == 0);
            CCZ_AUTO(ccz_galois) p = NULL;
            CHECK(ccz_galois_new(&p, n, g, NULL) == CCZ_OK);
            ccz_ntt_forward(fb, b, t);
            ccz_kernels(NULL)->galois(r, f, p);
            CHECK(memcmp(r, fb, n * sizeof(*r)) == 0);
            ccz_kernels("portable")->galois(r, f, p);
            CHECK(memcmp(r, fb, n * sizeof(*r)) == 0);
        }
    }
    struct ccz_galois *p;
    struct ccz_err err;
    CHECK(ccz_galois_new(&p, 64, 2, &err) == CCZ_E_ARG && !p &&
          strcmp(err.where, "num:galois") == 0);
    CHECK(ccz_galois_new(&p, 64, 129, &err) == CCZ_E_ARG &&
          ccz_galois_new(&p, 48, 1, &err) == CCZ_E_ARG);
    ccz_galois_free(NULL);
}

/* ------------------------------------------------------------------------- base conversion */

enum { FROM = 3, TO = 2, COLS = 700 };

struct conv {
    struct ccz_modulus from[FROM], to[TO];
    uint64_t in[FROM][COLS], out[TO][COLS];
    const uint64_t *a[FROM];
    uint64_t *r[TO];
    u128 x[COLS], product;
    struct ccz_base_conv *c;
};

/* Primes of few bits, so that Q and every x fit into 128 bits; @p to_bits may be smaller. */
static void conv_init(struct conv *v, unsigned bits, unsigned to_bits, uint64_t *state)
{
    uint64_t q[FROM], p[TO];
    CHECK(ccz_ntt_primes(q, FROM, bits, 16, CCZ_PRIMES_BELOW, NULL, 0, NULL) == CCZ_OK);
    CHECK(ccz_ntt_primes(p, TO, to_bits, 16, CCZ_PRIMES_AROUND, q, FROM, NULL) == CCZ_OK);
    v->product = 1;
    for (int i = 0; i < FROM; i++) {
        v->from[i] = modulus(q[i]);
        v->product *= q[i];
        v->a[i] = v->in[i];
    }
    for (int j = 0; j < TO; j++) {
        v->to[j] = modulus(p[j]);
        v->r[j] = v->out[j];
    }
    for (size_t i = 0; i < COLS; i++) {
        v->x[i] = (((u128)rnd(state) << 64) | rnd(state)) % v->product;
        if (i < 6)
            v->x[i] = i % 2 ? v->product - 1 - i / 2 : i / 2;
        for (int k = 0; k < FROM; k++)
            v->in[k][i] = (uint64_t)(v->x[i] % q[k]);
    }
}

static uint64_t centered_mod(u128 x, u128 product, uint64_t p)
{
    return x > product / 2 ? (uint64_t)((p - (product - x) % p) % p) : (uint64_t)(x % p);
}

static void check_conv(struct conv *v, const struct ccz_kernels *k)
{
    CCZ_AUTO(ccz_base_conv) c = NULL;
    CCZ_AUTO(ccz_base_conv) fast = NULL;
    CHECK(ccz_base_conv_new(&c, v->from, FROM, v->to, TO, CCZ_CONV_CENTERED, NULL) == CCZ_OK);
    CHECK(ccz_base_conv_new(&fast, v->from, FROM, v->to, TO, CCZ_CONV_FAST, NULL) == CCZ_OK);
    ccz_base_conv(v->r, v->a, false, COLS, c, k);
    for (size_t i = 0; i < COLS; i++) {
        for (int j = 0; j < TO; j++)
            CHECK(v->out[j][i] == centered_mod(v->x[i], v->product, v->to[j].q));
    }
    ccz_base_conv(v->r, v->a, false, COLS, fast, k);
    for (size_t i = 0; i < COLS; i++) {
        for (int j = 0; j < TO; j++) {
            uint64_t p = v->to[j].q;
            int found = -1;
            for (int u = 0; u < FROM; u++) {
                if (v->out[j][i] == (v->x[i] + v->product % p * (unsigned)u) % p)
                    found = u;
            }
            CHECK(found >= 0);
        }
    }
    for (int i = 0; i < FROM; i++) { /* factors multiplied beforehand */
        for (size_t l = 0; l < COLS; l++)
            v->in[i][l] = mul_mod(v->in[i][l], ccz_base_conv_factor(c, (size_t)i), v->from[i].q);
    }
    ccz_base_conv(v->r, v->a, true, COLS, c, k);
    for (size_t i = 0; i < COLS; i++)
        CHECK(v->out[1][i] == centered_mod(v->x[i], v->product, v->to[1].q));
}

static void test_base_conv(void)
{
    static const char *const names[] = {"portable", "avx2", "avx512", "ifma"};
    static struct conv v;
    uint64_t state = 5;
    for (size_t i = 0; i < 4; i++) {
        const struct ccz_kernels *k = ccz_kernels(names[i]);
        for (unsigned bits = 20; k && bits <= 41; bits += 7) {
            conv_init(&v, bits, bits > 30 ? 22 : 49, &state);
            check_conv(&v, k);
        }
        if (k) {
            conv_init(&v, 41, 58, &state); /* a modulus beyond the vector tiers */
            check_conv(&v, k);
        }
    }
    conv_init(&v, 30, 30, &state);
    check_conv(&v, NULL);
}

static void test_base_conv_refuse(void)
{
    struct ccz_modulus same[2] = {modulus(97), modulus(97)}, to = modulus(193);
    struct ccz_base_conv *c;
    struct ccz_err err;
    CHECK(ccz_base_conv_new(&c, same, 2, &to, 1, CCZ_CONV_FAST, &err) == CCZ_E_ARG && !c);
    CHECK(strcmp(err.where, "num:base-conv") == 0);
    CHECK(ccz_base_conv_new(&c, same, 0, &to, 1, CCZ_CONV_FAST, &err) == CCZ_E_ARG);
    CHECK(ccz_base_conv_new(&c, same, 1, &to, 0, CCZ_CONV_FAST, &err) == CCZ_E_ARG);
    CHECK(ccz_base_conv_new(&c, same, 65, &to, 1, CCZ_CONV_FAST, &err) == CCZ_E_ARG);
    ccz_base_conv_free(NULL);
}

static const struct ccz_test tests[] = {
    {"num.modulus", test_modulus},
    {"num.primes", test_primes},
    {"num.ntt", test_ntt},
    {"num.ntt_order", test_ntt_order},
    {"num.ntt_refuse", test_ntt_refuse},
    {"num.galois", test_galois},
    {"num.base_conv", test_base_conv},
    {"num.base_conv_refuse", test_base_conv_refuse},
};

int main(int argc, char **argv)
{
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
