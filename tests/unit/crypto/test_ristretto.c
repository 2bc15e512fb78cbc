/* SPDX-License-Identifier: Apache-2.0 */
/* RFC 9496, appendix A, and the laws that protocols rely on. */
#include <cczoo/ristretto.h>

#include "ccz_test.h"

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

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ristretto.multiples", test_multiples},
        {"ristretto.refused", test_refused},
        {"ristretto.from_hash", test_from_hash},
        {"ristretto.scalars", test_scalars},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
