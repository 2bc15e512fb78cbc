/* SPDX-License-Identifier: Apache-2.0 */
#include <cczoo/bignum.h>

#include "ccz_test.h"

#include <openssl/bn.h>

enum { HALF = 64 };

static BIGNUM *number(const uint8_t *bytes, size_t size)
{
    BIGNUM *n = BN_bin2bn(bytes, (int)size, NULL);
    CHECK(n != NULL);
    return n;
}

static void test_primes(void)
{
    uint8_t p[HALF], q[HALF];
    BN_CTX *ctx = BN_CTX_new();
    struct ccz_err err;
    for (int round = 0; round < 4; round++) {
        CHECK(ccz_blum_primes(p, q, HALF, &err) == CCZ_OK);
        CHECK(memcmp(p, q, HALF) > 0 && (p[0] & 0xc0) == 0xc0 && (q[0] & 0xc0) == 0xc0);
        CHECK((p[HALF - 1] & 3) == 3 && (q[HALF - 1] & 3) == 3);
        BIGNUM *a = number(p, HALF), *b = number(q, HALF), *n = BN_new(), *g = BN_new();
        CHECK(BN_check_prime(a, ctx, NULL) == 1 && BN_check_prime(b, ctx, NULL) == 1);
        CHECK(BN_mul(n, a, b, ctx) == 1 && BN_num_bits(n) == 16 * HALF);
        CHECK(BN_sub_word(a, 1) == 1 && BN_sub_word(b, 1) == 1);
        CHECK(BN_gcd(g, a, b, ctx) == 1 && BN_is_word(g, 2));
        CHECK(BN_mul(a, a, b, ctx) == 1 && BN_gcd(g, a, n, ctx) == 1 && BN_is_one(g));
        BN_free(a), BN_free(b), BN_free(n), BN_free(g);
        CHECK(ccz_primes_check(p, q, HALF, true, &err) == CCZ_OK);
    }
    CHECK(ccz_blum_primes(p, q, 63, &err) == CCZ_E_ARG && strcmp(err.where, "bignum:size") == 0);
    BN_CTX_free(ctx);
}

/* The next prime above @p n with @p rem mod 4. */
static void prime_above(uint8_t *out, const uint8_t *n, unsigned rem)
{
    BIGNUM *a = number(n, HALF);
    BN_CTX *ctx = BN_CTX_new();
    do
        CHECK(BN_add_word(a, 1) == 1);
    while (BN_mod_word(a, 4) != rem || BN_check_prime(a, ctx, NULL) != 1);
    CHECK(BN_bn2binpad(a, out, HALF) == HALF);
    BN_free(a);
    BN_CTX_free(ctx);
}

static void expect(const uint8_t *p, const uint8_t *q, bool blum, const char *where)
{
    struct ccz_err err = {0};
    ccz_rc rc = ccz_primes_check(p, q, HALF, blum, &err);
    CHECK(where ? rc == CCZ_E_FORMAT && strcmp(err.where, where) == 0 : rc == CCZ_OK);
}

static void test_primes_check(void)
{
    uint8_t p[HALF], q[HALF], r[HALF];
    CHECK(ccz_blum_primes(p, q, HALF, NULL) == CCZ_OK);
    memcpy(r, q, HALF);
    r[HALF - 1] ^= 4;
    expect(p, r, false, "bignum:not-prime");
    expect(r, p, false, "bignum:not-prime");
    prime_above(r, p, 3);
    expect(p, r, false, "bignum:close");
    expect(p, p, false, "bignum:close");
    prime_above(r, q, 1);
    expect(p, r, true, "bignum:blum");
    expect(p, r, false, NULL);
    memset(r, 0, HALF / 2);
    prime_above(r, r, 3);
    expect(p, r, false, "bignum:length");
    expect(r, p, false, "bignum:length");
}

static void test_prime(void)
{
    static const uint8_t m127[16] = {0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                     0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    static const uint8_t carmichael[2] = {0x02, 0x31}; /* 561 */
    bool prime;
    CHECK(ccz_bignum_is_prime(&prime, CCZ_SPAN(m127, 16)) == CCZ_OK && prime);
    CHECK(ccz_bignum_is_prime(&prime, CCZ_SPAN(m127, 15)) == CCZ_OK && !prime);
    CHECK(ccz_bignum_is_prime(&prime, CCZ_SPAN(carmichael, 2)) == CCZ_OK && !prime);
    static uint8_t long_one[CCZ_BIGNUM_SIZE_MAX + 1];
    CHECK(ccz_bignum_is_prime(&prime, CCZ_SPAN(long_one, sizeof(long_one))) == CCZ_E_ARG);
}

/* a * b as bytes; @return its size */
static size_t product(uint8_t *out, uint64_t a, uint64_t b)
{
    BIGNUM *x = BN_new(), *y = BN_new();
    BN_CTX *ctx = BN_CTX_new();
    CHECK(BN_set_word(x, a) == 1 && BN_set_word(y, b) == 1 && BN_mul(x, x, y, ctx) == 1);
    int size = BN_bn2bin(x, out);
    BN_free(x), BN_free(y), BN_CTX_free(ctx);
    return (size_t)size;
}

static void test_small_factor(void)
{
    static const struct {
        uint64_t a, b;
        uint32_t factor;
    } cases[] = {{2, 4294967291, 2},        {3, 4294967291, 3},    {251, 4294967291, 251},
                 {257, 4294967291, 257},    {65521, 65537, 65521}, {65537, 65539, 0},
                 {65537, 4294967291, 0},    {63001, 65537, 251},   {64507, 4294967291, 251},
                 {4294967291, 65519, 65519}};
    uint8_t n[16];
    uint32_t factor;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = product(n, cases[i].a, cases[i].b);
        CHECK(ccz_bignum_small_factor(&factor, CCZ_SPAN(n, size)) == CCZ_OK);
        CHECK(factor == cases[i].factor);
    }
}

static void test_power(void)
{
    static const int exponents[] = {1, 2, 3, 4, 5, 7, 9, 13, 31};
    uint8_t bytes[256];
    bool power;
    BN_CTX *ctx = BN_CTX_new();
    BIGNUM *r = BN_new(), *e = BN_new(), *n = BN_new();
    for (size_t i = 0; i < sizeof(exponents) / sizeof(exponents[0]); i++) {
        CHECK(BN_set_word(r, 4294967291) == 1 && BN_set_word(e, (BN_ULONG)exponents[i]) == 1);
        CHECK(BN_exp(n, r, e, ctx) == 1);
        size_t size = (size_t)BN_bn2bin(n, bytes);
        CHECK(ccz_bignum_is_power(&power, CCZ_SPAN(bytes, size)) == CCZ_OK);
        CHECK(power == (exponents[i] > 1));
        for (int off = -2; off <= 2; off += 4) { /* a neighbour is none */
            CHECK((off < 0 ? BN_sub_word(n, 2) : BN_add_word(n, 4)) == 1);
            size = (size_t)BN_bn2bin(n, bytes);
            CHECK(ccz_bignum_is_power(&power, CCZ_SPAN(bytes, size)) == CCZ_OK && !power);
        }
    }
    BN_free(r), BN_free(e), BN_free(n), BN_CTX_free(ctx);
}

static void test_coprime(void)
{
    uint8_t a[16], b[16];
    bool coprime;
    size_t a_size = product(a, 65537, 4294967291), b_size = product(b, 65539, 4294967279);
    CHECK(ccz_bignum_coprime(&coprime, CCZ_SPAN(a, a_size), CCZ_SPAN(b, b_size)) == CCZ_OK);
    CHECK(coprime);
    b_size = product(b, 65537, 4294967279);
    CHECK(ccz_bignum_coprime(&coprime, CCZ_SPAN(a, a_size), CCZ_SPAN(b, b_size)) == CCZ_OK);
    CHECK(!coprime);
}

static void test_jacobi(void)
{
    static const int symbols[15] = {0, 1, 1, 0, 1, 0, 0, -1, 1, 0, 0, -1, 0, -1, -1}; /* (a / 15) */
    const uint8_t n = 15;
    for (uint8_t a = 0; a < 15; a++) {
        int symbol;
        CHECK(ccz_bignum_jacobi(&symbol, CCZ_SPAN(&a, 1), CCZ_SPAN(&n, 1)) == CCZ_OK);
        CHECK(symbol == symbols[a]);
    }
}

static void test_decimal(void)
{
    static const char text[] =
        "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    static const char *const bad[] = {
        "",    "-1",
        "+1",  " 1",
        "1 ",  "01",
        "0x1", "1.0",
        "1e3", "115792089237316195423570985008687907853269984665640564039457584007913129639936"};
    uint8_t n[33];
    CCZ_AUTO_BUF out;
    ccz_buf_init(&out, 1000);
    CHECK(ccz_bignum_from_decimal(n, 33, ccz_span_str(text)) == CCZ_OK && n[0] == 1 && n[32] == 0);
    CHECK(ccz_bignum_to_decimal(&out, CCZ_SPAN(n, 33)) == CCZ_OK);
    CHECK(strcmp(ccz_buf_str(&out), text) == 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        CHECK(ccz_bignum_from_decimal(n, 32, ccz_span_str(bad[i])) == CCZ_E_FORMAT);
    CHECK(ccz_bignum_from_decimal(n, 32, ccz_span_str("0")) == CCZ_OK && n[31] == 0);
    static char many[10000];
    memset(many, '9', sizeof(many) - 1);
    CHECK(ccz_bignum_from_decimal(n, 32, ccz_span_str(many)) == CCZ_E_FORMAT);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"bignum.primes", test_primes}, {"bignum.primes_check", test_primes_check},
        {"bignum.prime", test_prime},   {"bignum.small_factor", test_small_factor},
        {"bignum.power", test_power},   {"bignum.coprime", test_coprime},
        {"bignum.jacobi", test_jacobi}, {"bignum.decimal", test_decimal},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
