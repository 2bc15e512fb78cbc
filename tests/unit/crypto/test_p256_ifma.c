/* SPDX-License-Identifier: Apache-2.0 */
/* The vector field of P-256 against OpenSSL's numbers, up to the bounds that its file states. */
#include "ccz_test.h"

#if defined(__AVX512VL__) && defined(__AVX512IFMA__)
#define cczi_p256_ifma_sum test_ifma_sum /* the library has its own */
#include "crypto/p256_ifma.c"

#include <openssl/bn.h>
#include <openssl/rand.h>

enum { ROUNDS = 3000, BYTES = 40 };
static BN_CTX *ctx;
static BIGNUM *p, *r_inverse;

/* Below tenths / 10 p: random, the largest, the smallest, or limbs of ones and zeros. */
static BIGNUM *number(unsigned tenths)
{
    uint8_t kind[6];
    BIGNUM *a = BN_new(), *m = BN_dup(p);
    CHECK(a && m && BN_mul_word(m, tenths) && BN_div_word(m, 10) != (BN_ULONG)-1);
    CHECK(RAND_bytes(kind, sizeof(kind)) == 1 && BN_rand_range(a, m));
    if (kind[5] % 4 == 0)
        CHECK(BN_copy(a, m) && BN_sub_word(a, 1u + kind[0] % 3));
    else if (kind[5] % 4 == 1)
        CHECK(BN_set_word(a, kind[0] % 3));
    for (int bit = 0; bit < 260 && kind[5] % 4 == 2; bit++) {
        if (kind[bit / 52] % 3 == 0 || (kind[bit / 52] % 3 == 1 && BN_is_bit_set(a, bit)))
            CHECK(kind[bit / 52] % 3 ? BN_clear_bit(a, bit) : BN_set_bit(a, bit));
    }
    CHECK(BN_cmp(a, m) < 0 || BN_mod(a, a, m, ctx));
    BN_free(m);
    return a;
}

static void fill(struct fe4 *f, BIGNUM *v[LANES], unsigned tenths)
{
    uint64_t limbs[LIMBS][LANES] = {{0}};
    for (int lane = 0; lane < LANES; lane++) {
        uint8_t bytes[BYTES];
        v[lane] = number(tenths);
        CHECK(BN_bn2lebinpad(v[lane], bytes, BYTES) == BYTES);
        for (int bit = 0; bit < 52 * LIMBS; bit++)
            limbs[bit / 52][lane] |= (uint64_t)(bytes[bit / 8] >> bit % 8 & 1) << bit % 52;
    }
    for (int i = 0; i < LIMBS; i++)
        f->v[i] = _mm256_loadu_si256((const __m256i *)limbs[i]);
}

/* Lane @p lane of @p f is @p want modulo p, in limbs of 52 bits, and below tenths / 10 p. */
static void check(const struct fe4 *f, int lane, const BIGNUM *want, unsigned tenths)
{
    BIGNUM *got = BN_new(), *limit = BN_dup(p);
    CHECK(got && limit && BN_mul_word(limit, tenths));
    BN_zero(got);
    for (int i = LIMBS - 1; i >= 0; i--) {
        uint64_t limb[LANES];
        _mm256_storeu_si256((__m256i *)limb, f->v[i]);
        CHECK(limb[lane] >> 52 == 0);
        CHECK(BN_lshift(got, got, 52) && BN_add_word(got, limb[lane]));
    }
    CHECK(BN_mul_word(got, 10) && BN_cmp(got, limit) < 0);
    CHECK(BN_div_word(got, 10) == 0 && BN_mod(got, got, p, ctx) && BN_cmp(got, want) == 0);
    BN_free(got);
    BN_free(limit);
}

static void round_of_all(void)
{
    BIGNUM *a[LANES], *b[LANES], *c[LANES], *d[LANES], *w = BN_new();
    struct fe4 fa, fb, fc, fd, product, square, difference, folded;
    fill(&fa, a, 150);
    fill(&fb, b, 149);
    fill(&fc, c, 30);
    fill(&fd, d, 120);
    mul(&product, &fa, &fb);
    sqr(&square, &fa);
    sub(&difference, &fd, &fc);
    for (int i = 0; i < LIMBS; i++)
        folded.v[i] = SUB(fc.v[i], fd.v[i]); /* limbs and number may be negative */
    fold(&folded);
    for (int i = 0; i < LANES; i++) {
        CHECK(BN_mod_mul(w, a[i], b[i], p, ctx) && BN_mod_mul(w, w, r_inverse, p, ctx));
        check(&product, i, w, 10 + 150 * 149 / 160 + 1);
        CHECK(BN_mod_sqr(w, a[i], p, ctx) && BN_mod_mul(w, w, r_inverse, p, ctx));
        check(&square, i, w, 10 + 150 * 150 / 160 + 1);
        CHECK(BN_mod_sub(w, d[i], c[i], p, ctx));
        check(&difference, i, w, 150);
        CHECK(BN_mod_sub(w, c[i], d[i], p, ctx));
        check(&folded, i, w, 21);
        BN_free(a[i]);
        BN_free(b[i]);
        BN_free(c[i]);
        BN_free(d[i]);
    }
    BN_free(w);
}

static void test_field(void)
{
    if (!__builtin_cpu_supports("avx512ifma") || !__builtin_cpu_supports("avx512vl")) {
        puts("skipped: the processor has no AVX-512 IFMA");
        exit(77);
    }
    ctx = BN_CTX_new();
    p = BN_new();
    r_inverse = BN_new();
    CHECK(BN_hex2bn(&p, "ffffffff00000001000000000000000000000000ffffffffffffffffffffffff") == 64);
    CHECK(BN_set_word(r_inverse, 1) && BN_lshift(r_inverse, r_inverse, 260));
    CHECK(BN_mod_inverse(r_inverse, r_inverse, p, ctx));
    for (int i = 0; i < ROUNDS; i++)
        round_of_all();
    BN_free(p);
    BN_free(r_inverse);
    BN_CTX_free(ctx);
}
#else
static void test_field(void)
{
    puts("skipped: not x86-64");
    exit(77);
}
#endif

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"p256.vector_field", test_field}};
    return ccz_test_main(tests, 1, argc, argv);
}
