/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels of each tier against vectors, slow code and each other; the code and its parameters. */
#include "ot/ot_priv.h"

#include "ccz_test.h"
#include "test_rng.h"

#include <cczoo/crypto.h>
#include <math.h>

enum { LEN = 300 };

static bool same(struct ccz_f128 a, struct ccz_f128 b)
{
    return a.lo == b.lo && a.hi == b.hi;
}

static uint64_t state = 11;

static struct ccz_f128 random_element(void)
{
    return (struct ccz_f128){rnd(&state), rnd(&state)};
}

static void fill(struct ccz_f128 *a, size_t len)
{
    for (size_t i = 0; i < len; i++)
        a[i] = random_element();
}

static void check_digest(const void *data, size_t size, const char *expected)
{
    uint8_t digest[32];
    char hex[65];
    CHECK(ccz_sha256(digest, CCZ_SPAN(data, size)) == CCZ_OK);
    ccz_hex(hex, digest, sizeof(digest));
    if (strcmp(hex, expected) != 0)
        fprintf(stderr, "got %s\n", hex);
    CHECK(strcmp(hex, expected) == 0);
}

static void test_choice(void)
{
    const char *pinned = getenv("CCZOO_CPU");
    CHECK(cczi_ot_tier_at(0) == &cczi_ot_portable);
    if (pinned && strcmp(pinned, "portable") == 0)
        CHECK(cczi_ot_kernels() == &cczi_ot_portable);
#if defined(__x86_64__)
    CHECK((cczi_ot_tier_at(1) != NULL) == ccz_cpu()->aes);
    CHECK((cczi_ot_tier_at(2) != NULL) == ccz_cpu()->vaes);
    if (ccz_cpu()->aes && (!pinned || strcmp(pinned, "portable") != 0))
        CHECK(cczi_ot_kernels() != &cczi_ot_portable);
    if (pinned && strcmp(pinned, "avx2") == 0 && ccz_cpu()->aes)
        CHECK(cczi_ot_kernels() == &cczi_ot_aesni);
#endif
}

/* FIPS 197, appendices A.1 and C.1. */
static void test_aes(void)
{
    for (size_t t = 0; t < CCZI_OT_TIERS; t++) {
        const struct cczi_ot_kernels *k = cczi_ot_tier_at(t);
        uint8_t key[16], text[16], expected[16];
        struct cczi_aes aes;
        struct ccz_f128 in, out[2];
        if (!k)
            continue;
        CHECK(ccz_unhex(key, 16, "2b7e151628aed2a6abf7158809cf4f3c", 32) == CCZ_OK);
        CHECK(ccz_unhex(expected, 16, "d014f9a8c9ee2589e13f0cc8b6630ca6", 32) == CCZ_OK);
        k->aes_key(&aes, key);
        CHECK(memcmp(aes.round[10], expected, 16) == 0);
        for (uint8_t i = 0; i < 16; i++) {
            key[i] = i;
            text[i] = (uint8_t)(i * 0x11);
        }
        k->aes_key(&aes, key);
        memcpy(&in, text, 16);
        k->grow(out, &in, 1, &aes); /* AES(in) + in */
        out[0] = cczi_f128_add(out[0], in);
        CHECK(ccz_unhex(expected, 16, "69c4e0d86a7b0430d8cdb78070b4c55a", 32) == CCZ_OK);
        CHECK(memcmp(&out[0], expected, 16) == 0);
        struct ccz_f128 zero = {0}, e[2];
        k->ctr(&out[1], 1, in.lo, &aes); /* AES of the lower half alone */
        zero.lo = in.lo;
        k->grow(e, &zero, 1, &aes);
        CHECK(same(out[1], cczi_f128_add(e[0], zero)));
    }
}

static bool bit_of(struct ccz_f128 a, int i)
{
    return (i < 64 ? a.lo : a.hi) >> i % 64 & 1;
}

/* Bit by bit, reduced by x^128 = x^7 + x^2 + x + 1. */
static struct ccz_f128 slow_mul(struct ccz_f128 a, struct ccz_f128 b)
{
    uint8_t bits[255] = {0};
    for (int i = 0; i < 128; i++)
        for (int j = 0; j < 128; j++)
            if (bit_of(a, i) && bit_of(b, j))
                bits[i + j] ^= 1;
    for (int i = 254; i >= 128; i--)
        if (bits[i])
            for (int k = 0; k < 4; k++)
                bits[i - 128 + (int[]){0, 1, 2, 7}[k]] ^= 1;
    struct ccz_f128 r = {0};
    for (int i = 0; i < 64; i++) {
        r.lo |= (uint64_t)bits[i] << i;
        r.hi |= (uint64_t)bits[64 + i] << i;
    }
    return r;
}

static void test_field(void)
{
    const struct ccz_f128 ones = {UINT64_MAX, UINT64_MAX}, one = {1, 0},
                          top = {0, (uint64_t)1 << 63};
    struct ccz_f128 special[] = {{0}, one, {2, 0}, {0, 1}, top, ones, {0x87, 0}};
    for (size_t t = 0; t < CCZI_OT_TIERS; t++) {
        const struct cczi_ot_kernels *k = cczi_ot_tier_at(t);
        for (int i = 0; k && i < 300; i++) {
            struct ccz_f128 a = i < 49 ? special[i % 7] : random_element();
            struct ccz_f128 b = i < 49 ? special[i / 7] : random_element();
            CHECK(same(k->mul(a, b), slow_mul(a, b)));
            CHECK(same(cczi_f128_mulx(a), slow_mul(a, (struct ccz_f128){2, 0})));
        }
    }
    CHECK(same(ccz_f128_mul(top, (struct ccz_f128){2, 0}), (struct ccz_f128){0x87, 0}));
    struct ccz_f128 a[3] = {random_element(), random_element(), random_element()}, r[3] = {{0}};
    struct ccz_f128 x = random_element(), sum = {0};
    ccz_f128_mul_add(r, a, 3, x);
    CHECK(same(r[2], slow_mul(a[2], x)));
    for (int i = 3; i-- > 0;)
        sum = slow_mul(cczi_f128_add(sum, a[i]), x);
    CHECK(same(ccz_f128_hash(a, 3, x), sum));
}

/* Everything of every length up to LEN, all tiers bit for bit. */
struct results {
    struct ccz_f128 ctr[LEN + 1], grow[2 * LEN + 1], hash[LEN + 1], mul_add[LEN + 1], poly;
};

static void run(struct results *r, const struct cczi_ot_kernels *k, const struct ccz_f128 *in,
                size_t len, uint64_t first)
{
    struct cczi_aes aes;
    uint8_t key[16];
    memcpy(key, in, 16);
    memset(r, 0x55, sizeof(*r));
    k->aes_key(&aes, key);
    k->ctr(r->ctr, len, first, &aes);
    k->grow(r->grow, in, len, &aes);
    k->hash(r->hash, in, len, first, &aes);
    k->mul_add(r->mul_add, in, len, in[2]);
    r->poly = k->poly(in, len, in[1]);
}

static void test_equal(void)
{
    static struct results expected, got;
    static struct ccz_f128 in[LEN + 3];
    for (size_t len = 0; len <= LEN; len++) {
        uint64_t first = len % 3 ? rnd(&state) : 0xfffffffffffffff0u;
        fill(in, LEN + 3);
        run(&expected, &cczi_ot_portable, in, len, first);
        for (size_t t = 1; t < CCZI_OT_TIERS; t++) {
            if (!cczi_ot_tier_at(t))
                continue;
            run(&got, cczi_ot_tier_at(t), in, len, first);
            CHECK(memcmp(&expected, &got, sizeof(got)) == 0); /* nothing behind len is touched */
        }
    }
}

/* Pinned: a change of any of them would break the protocol between versions. */
static void test_known(void)
{
    static struct results r;
    static struct ccz_f128 in[LEN + 3];
    for (size_t i = 0; i < LEN + 3; i++)
        in[i] = (struct ccz_f128){i * 0x9e3779b97f4a7c15u + 1, ~i};
    for (size_t t = 0; t < CCZI_OT_TIERS; t++) {
        if (!cczi_ot_tier_at(t))
            continue;
        run(&r, cczi_ot_tier_at(t), in, LEN, 7);
        check_digest(&r, sizeof(r),
                     "ff28f85b2a63449001369eb9836eb28e905576ec9e6b207536d0264b9af54ce7");
    }
}

static void test_sums(void)
{
    static struct ccz_f128 a[64];
    struct ccz_f128 sums[2], expected[2] = {{0}};
    fill(a, 64);
    cczi_side_sums(sums, a, 64);
    for (size_t i = 0; i < 64; i++)
        expected[i % 2] = cczi_f128_add(expected[i % 2], a[i]);
    CHECK(same(sums[0], expected[0]) && same(sums[1], expected[1]));
}

/* ------------------------------------------------------------------------------------- code */

enum { ROWS = 8192 };

static struct ccz_f128 *array(size_t len)
{
    struct ccz_f128 *p = aligned_alloc(64, (len * sizeof(*p) + 63) / 64 * 64);
    CHECK(p);
    memset(p, 0, len * sizeof(*p));
    return p;
}

/* Linear, and the same for one vector as for two. */
static void test_code_linear(void)
{
    const struct cczi_lpn p = cczi_lpn_for(ROWS + 5);
    uint8_t seed[32] = {1};
    struct ccz_f128 *in[3], *out[5], *pairs = array(2 * p.noisy);
    for (int i = 0; i < 3; i++)
        in[i] = array(p.noisy);
    for (int i = 0; i < 5; i++)
        out[i] = array(p.n);
    fill(in[0], p.noisy);
    fill(in[1], p.noisy);
    for (size_t i = 0; i < p.noisy; i++) {
        in[2][i] = cczi_f128_add(in[0][i], in[1][i]);
        pairs[2 * i] = in[0][i];
        pairs[2 * i + 1] = in[2][i];
    }
    for (int i = 0; i < 3; i++)
        cczi_code_one(out[i], in[i], &p, seed, cczi_ot_kernels());
    cczi_code_two(out[3], out[4], (struct ccz_f128(*)[2])(void *)pairs, &p, seed,
                  cczi_ot_tier_at(0));
    for (size_t i = 0; i < p.n; i++)
        CHECK(same(out[2][i], cczi_f128_add(out[0][i], out[1][i])));
    CHECK(memcmp(out[0], out[3], p.n * 16) == 0 && memcmp(out[2], out[4], p.n * 16) == 0);
    for (int i = 0; i < 3; i++)
        free(in[i]);
    for (int i = 0; i < 5; i++)
        free(out[i]);
    free(pairs);
}

static void test_code_known(void)
{
    const struct cczi_lpn p = cczi_lpn_for(10000);
    uint8_t seed[32] = {7, 7, 7};
    struct ccz_f128 *in = array(p.noisy), *out = array(p.n);
    for (size_t i = 0; i < p.noisy; i++)
        in[i] = (struct ccz_f128){i * i, i};
    cczi_code_one(out, in, &p, seed, cczi_ot_kernels());
    check_digest(out, p.n * 16, "997a19501577cce59cfd8d018f75f3f4d509ab2e4969fc4d33589090bdcafa7a");
    free(in);
    free(out);
}

/* The matrix itself, 128 columns at a time: bit j % 128 of columns[j / 128][i] is H[i][j]. For each row, and for sums of two that
 * share as many taps as any, what a linear test with it would tell: the sum over trees of -log2(1 - density). */
static void test_code_rows(void)
{
    const struct cczi_lpn p = cczi_lpn_for(ROWS);
    const size_t groups = p.noisy / 128, tree = (size_t)1 << p.depth;
    uint8_t seed[32] = {9};
    struct ccz_f128 *in = array(p.noisy), *columns = array(groups * p.n);
    double least = 1e9;
    for (size_t g = 0; g < groups; g++) {
        memset(in, 0, p.noisy * sizeof(*in));
        for (size_t j = 0; j < 128; j++)
            *(j < 64 ? &in[g * 128 + j].lo : &in[g * 128 + j].hi) = (uint64_t)1 << j % 64;
        cczi_code_one(columns + g * p.n, in, &p, seed, cczi_ot_kernels());
    }
    for (size_t i = 0; i + 1 < 2 * p.n; i++) { /* single rows, then sums of neighbours */
        double bits = 0;
        for (size_t j = 0; j < p.noisy; j += tree) {
            struct ccz_f128 c = columns[j / 128 * p.n + i / 2];
            if (i % 2)
                c = cczi_f128_add(c, columns[j / 128 * p.n + i / 2 + 1]);
            uint64_t word = (j % 128 < 64 ? c.lo : c.hi) >> j % 64 & (((uint64_t)1 << tree) - 1);
            bits -= log2(1.0 - (double)__builtin_popcountll(word) / ((double)tree + 1e-9));
        }
        least = bits < least ? bits : least;
    }
    CHECK(tree < 64);
    CHECK(least > 400); /* 512 trees of density 1/2 */
    free(in);
    free(columns);
}

static void test_lpn(void)
{
    for (size_t n = CCZ_VOLE_SILENT_LEN; n <= CCZ_VOLE_LEN_MAX; n = n + n / 7 + 1) {
        struct cczi_lpn p = cczi_lpn_for(n);
        CHECK(p.n == n && p.t >= 400 && p.t <= 800 && p.noisy == p.t << p.depth);
        CHECK(p.noisy >= 2 * n && p.noisy < 2 * n + ((size_t)1 << p.depth));
        CHECK(p.depth >= 5 && p.depth < 24);
    }
    /* what docs/design/ot.md asks of t: (1 - 1/5)^400 <= 2^-128 */
    CHECK(400 * -log2(0.8) >= 128);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ot_kernels.choice", test_choice},
        {"ot_kernels.aes", test_aes},
        {"ot_kernels.field", test_field},
        {"ot_kernels.equal", test_equal},
        {"ot_kernels.known", test_known},
        {"ot_kernels.sums", test_sums},
        {"ot_kernels.code_linear", test_code_linear},
        {"ot_kernels.code_known", test_code_known},
        {"ot_kernels.code_rows", test_code_rows},
        {"ot_kernels.lpn", test_lpn},
    };
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
