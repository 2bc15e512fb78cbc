/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 9496, appendix A, and the laws that protocols rely on. */
#include <cczoo/ristretto.h>

#include "ccz_test.h"
#include "crypto/ristretto_priv.h"
#include "test_rng.h"

#include <cczoo/crypto.h>

static void from_hex(uint8_t *out, size_t size, const char *hex)
{
    CHECK(ccz_unhex(out, size, hex, 2 * size) == CCZ_OK);
}

/* A.1: small multiples of the generator. */
static void test_multiples(void)
{
    static const char *const hex[] = {
        "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76",
        "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919",
        "94741f5d5d52755ece4f23f044ee27d5d1ea1e2bd196b462166b16152a9d0259",
    };
    uint8_t sum[32] = {0}, point[32], expected[32];
    for (uint8_t i = 0; i < 3; i++) {
        uint8_t s[32] = {(uint8_t)(i + 1)};
        from_hex(expected, 32, hex[i]);
        CHECK(ccz_ristretto_mul_base(point, s) == CCZ_OK && memcmp(point, expected, 32) == 0);
        from_hex(point, 32, hex[0]);
        CHECK(ccz_ristretto_add(sum, sum, point) == CCZ_OK && memcmp(sum, expected, 32) == 0);
        CHECK(ccz_ristretto_valid(sum));
        CHECK(ccz_ristretto_mul(point, s, point) == CCZ_OK && memcmp(point, expected, 32) == 0);
    }
    CHECK(ccz_ristretto_sub(point, sum, sum) == CCZ_OK && memcmp(point, (uint8_t[32]){0}, 32) == 0);
}

/* A.2: encodings that must be refused, one of each kind. */
static void test_refused(void)
{
    static const char *const hex[] = {
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", /* not canonical */
        "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000000", /* negative */
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371", /* not a square */
        "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e", /* negative x y */
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* y = 0 */
        "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2df6", /* G and the highest bit */
    };
    uint8_t good[32], bad[32], r[32], s[32] = {2};
    CHECK(ccz_ristretto_mul_base(good, s) == CCZ_OK);
    for (size_t i = 0; i < sizeof(hex) / sizeof(hex[0]); i++) {
        from_hex(bad, 32, hex[i]);
        CHECK(!ccz_ristretto_valid(bad));
        CHECK(ccz_ristretto_add(r, good, bad) == CCZ_E_FORMAT);
        CHECK(ccz_ristretto_sub(r, bad, good) == CCZ_E_FORMAT);
        memset(r, 1, sizeof(r));
        CHECK(ccz_ristretto_mul(r, s, bad) == CCZ_E_FORMAT);
        CHECK(memcmp(r, (uint8_t[32]){0}, 32) == 0);
    }
    CHECK(!ccz_ristretto_valid((uint8_t[32]){0})); /* the identity */
    CHECK(ccz_ristretto_mul(r, s, (uint8_t[32]){0}) == CCZ_E_FORMAT);
    CHECK(ccz_ristretto_mul_base(r, (uint8_t[32]){0}) == CCZ_E_FORMAT);
    CHECK(ccz_ristretto_scalar_inv(r, (uint8_t[32]){0}) == CCZ_E_ARG);
}

/* A.3: SHA-512 of a text, mapped to the group. */
static void test_from_hash(void)
{
    static const struct {
        const char *text, *point;
    } cases[] = {
        {"Ristretto is traditionally a short shot of espresso coffee",
         "3066f82a1a747d45120d1740f14358531a8f04bbffe6a819f86dfe50f44a0a46"},
        {"made with the normal amount of ground coffee but extracted with",
         "f26e5b6f7d362d2d2a94c5d0e7602cb4773c95a2e5c31a64f133189fa76ed61b"},
    };
    for (size_t i = 0; i < 2; i++) {
        uint8_t hash[64], point[32], expected[32];
        struct ccz_span text = ccz_span_str(cases[i].text);
        CHECK(ccz_hash(hash, CCZ_SHA512, &text, 1) == CCZ_OK);
        ccz_ristretto_from_hash(point, hash);
        from_hex(expected, 32, cases[i].point);
        CHECK(memcmp(point, expected, 32) == 0 && ccz_ristretto_valid(point));
    }
}

static void test_scalars(void)
{
    uint8_t s[32], t[32], inv[32], p[32], q[32], r[32], u[32];
    CHECK(ccz_ristretto_scalar_random(s) == CCZ_OK && ccz_ristretto_scalar_random(t) == CCZ_OK);
    CHECK(memcmp(s, t, 32) != 0);
    CHECK(ccz_ristretto_mul_base(p, s) == CCZ_OK && ccz_ristretto_mul(q, t, p) == CCZ_OK);
    CHECK(ccz_ristretto_mul_base(r, t) == CCZ_OK && ccz_ristretto_mul(u, s, r) == CCZ_OK);
    CHECK(memcmp(q, u, 32) == 0); /* s (t G) = t (s G) */
    CHECK(ccz_ristretto_scalar_inv(inv, t) == CCZ_OK && ccz_ristretto_mul(q, inv, q) == CCZ_OK);
    CHECK(memcmp(q, p, 32) == 0);
    uint8_t wide[64] = {5};
    ccz_ristretto_scalar_reduce(s, wide);
    CHECK(s[0] == 5 && memcmp(s + 1, wide + 1, 31) == 0);
    from_hex(wide, 32, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    wide[0]++; /* the order and 1 */
    ccz_ristretto_scalar_reduce(s, wide);
    CHECK(s[0] == 1 && memcmp(s + 1, (uint8_t[31]){0}, 31) == 0);
}

/* Many at a time against one at a time: scalars with every digit, at their ends, all lengths. */
static void test_each(void)
{
    enum { LEN = 70 };
    static uint8_t hash[LEN][64], p[LEN][32], q[LEN][32];
    uint8_t s[32], expected[32];
    uint64_t state = 3;
    CHECK(cczi_ristretto_vector() ||
          ccz_cpu()->chosen < CCZ_CPU_IFMA); /* if it is there it is used */
    for (int t = 0; t < 12; t++) {
        for (size_t i = 0; i < LEN; i++)
            for (size_t k = 0; k < 64; k++)
                hash[i][k] = (uint8_t)(t == 0 ? 0xff * (i % 2) : rnd(&state) >> 56);
        ccz_ristretto_from_hash_each(p, (const uint8_t(*)[64])hash, LEN);
        for (size_t i = 0; i < LEN; i++) {
            ccz_ristretto_from_hash(expected, hash[i]);
            CHECK(memcmp(p[i], expected, 32) == 0);
        }
        if (t <
            2) { /* the same points: p0 is the identity where both halves are equal and cancel */
            from_hex(s, 32, "ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
            s[0] = (uint8_t)(s[0] - t); /* order - 1, - 2 */
        } else if (t < 6) {
            memset(s, 0, 32);
            s[0] = (uint8_t)(t == 2 ? 1 : 7 + t);
        } else {
            CHECK(ccz_ristretto_scalar_random(s) == CCZ_OK);
        }
        for (size_t len = 0; len <= LEN; len += t == 7 ? 1 : 35) {
            size_t good = 0;
            while (good < len && ccz_ristretto_valid(p[good]))
                good++;
            CHECK(ccz_ristretto_mul_each(q, s, (const uint8_t(*)[32])p, len) == good);
            for (size_t i = 0; i < good; i++)
                CHECK(ccz_ristretto_mul(expected, s, p[i]) == CCZ_OK &&
                      memcmp(q[i], expected, 32) == 0);
        }
        CHECK(ccz_ristretto_mul_each(p, s, (const uint8_t(*)[32])p, LEN) == LEN || t == 0);
        if (t > 0)
            CHECK(memcmp(p, q, sizeof(p)) == 0 || t == 7); /* in place */
    }
}

/* What RFC 9496, A.3 lists, in every lane; and the identity. */
static void test_each_refused(void)
{
    static const char *const bad[] = {
        "0000000000000000000000000000000000000000000000000000000000000000", /* the identity */
        "00ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff", /* not canonical */
        "ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "f3ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0100000000000000000000000000000000000000000000000000000000000000", /* negative */
        "01ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "ed57ffd8c914fb201471d1c3d245ce3c746fcbe63a3679d51b6a516ebebe0e20",
        "c34c4e1826e5d403b78e246e88aa051c36ccf0aafebffe137d148a2bf9104562",
        "26948d35ca62e643e26a83177332e6b6afeb9d08e4268b650f1f5bbd8d81d371", /* no square */
        "4eac077a713c57b4f4397629a4145982c661f48044dd3f96427d40b147d9742f",
        "de6a7b00deadc788eb6b6c8d20c0ae96c2f2019078fa604fee5b87d6e989ad7b",
        "3eb858e78f5a7254d8c9731174a94f76755fd3941c0ac93735c07ba14579630e", /* negative x y */
        "a45fdc55c76448c049a1ab33f17023edfb2be3581e9c7aade8a6125215e04220",
        "d483fe813c6ba647ebbfd3ec41adca1c6130c2beeee9d9bf065c8d151c5f396e",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f", /* s = -1: y is 0 */
        "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2df6", /* the generator and bit 255 */
    };
    uint8_t p[19][32], q[19][32], s[32];
    CHECK(ccz_ristretto_scalar_random(s) == CCZ_OK);
    for (size_t b = 0; b < sizeof(bad) / sizeof(bad[0]); b++) {
        for (size_t at = 0; at < 19; at++) {
            for (size_t i = 0; i < 19; i++)
                from_hex(p[i], 32,
                         "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76");
            from_hex(p[at], 32, bad[b]);
            CHECK(!ccz_ristretto_valid(p[at]) && ccz_ristretto_mul(q[0], s, p[at]) == CCZ_E_FORMAT);
            CHECK(b == 0 || (ccz_ristretto_add(q[0], p[at], p[!at]) == CCZ_E_FORMAT &&
                             ccz_ristretto_sub(q[0], p[!at], p[at]) == CCZ_E_FORMAT));
            CHECK(ccz_ristretto_mul_each(q, s, (const uint8_t(*)[32])p, 19) == at);
        }
    }
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ristretto.multiples", test_multiples}, {"ristretto.refused", test_refused},
        {"ristretto.from_hash", test_from_hash}, {"ristretto.scalars", test_scalars},
        {"ristretto.each", test_each},           {"ristretto.each_refused", test_each_refused},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
