/* SPDX-License-Identifier: Apache-2.0 */
/* Every tier against loops as one writes them down, on lengths that are multiples of nothing. */
#include "ccz_test.h"
#include "num/ring_priv.h"
#include "test_rng.h"

#include <math.h>

static const unsigned widths[] = {1, 8, 16, 32, 33, 63, 64};
enum { WIDTHS = sizeof(widths) / sizeof(widths[0]), LEN_MAX = 70 };

static void fill(uint64_t *v, size_t len, uint64_t *rng)
{
    for (size_t i = 0; i < len; i++)
        v[i] = rnd(rng);
}

static void vectors(const struct cczi_ring_kernels *t, size_t len, unsigned bits)
{
    uint64_t rng = len * 64 + bits;
    uint64_t a[LEN_MAX], b[LEN_MAX], r[LEN_MAX], sum[LEN_MAX], mask = ccz_ring_mask(bits);
    fill(a, len, &rng);
    fill(b, len, &rng);
    t->add(r, a, b, len, mask);
    for (size_t i = 0; i < len; i++)
        CHECK(r[i] == ((a[i] + b[i]) & mask));
    t->sub(r, a, b, len, mask);
    for (size_t i = 0; i < len; i++)
        CHECK(r[i] == ((a[i] - b[i]) & mask));
    t->scale(r, a, b[0], len, mask);
    for (size_t i = 0; i < len; i++)
        CHECK(r[i] == (a[i] * b[0] & mask));
    memcpy(sum, r, sizeof(sum));
    t->mul_add(sum, a, b, len, mask);
    for (size_t i = 0; i < len; i++)
        CHECK(sum[i] == ((r[i] + a[i] * b[i]) & mask));
    memcpy(r, a, sizeof(r));
    t->mul(r, r, b, len, mask); /* in place */
    for (size_t i = 0; i < len; i++)
        CHECK(r[i] == (a[i] * b[i] & mask));
}

static void test_vectors(void)
{
    for (int tier = 0; tier <= (int)ccz_cpu()->best; tier++)
        for (size_t len = 1; len <= LEN_MAX; len++)
            for (size_t w = 0; w < WIDTHS; w++)
                vectors(cczi_ring_tier((enum ccz_cpu_tier)tier), len, widths[w]);
}

static void matrix(const struct cczi_ring_kernels *t, size_t m, size_t k, size_t n, unsigned bits)
{
    uint64_t rng = m * 64 + k * 8 + n + bits;
    uint64_t *a = malloc(8 * m * k), *b = malloc(8 * k * n), *r = malloc(8 * m * n);
    uint64_t *expected = malloc(8 * m * n), mask = ccz_ring_mask(bits);
    CHECK(a && b && r && expected);
    fill(a, m * k, &rng);
    fill(b, k * n, &rng);
    fill(r, m * n, &rng);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            uint64_t sum = r[i * n + j];
            for (size_t l = 0; l < k; l++)
                sum += a[i * k + l] * b[l * n + j];
            expected[i * n + j] = sum & mask;
        }
    t->matmul_add(r, a, b, m, k, n, mask);
    CHECK(memcmp(r, expected, 8 * m * n) == 0);
    free(a);
    free(b);
    free(r);
    free(expected);
}

static void test_matrices(void)
{
    static const size_t dims[] = {1, 2, 3, 4, 5, 7, 8, 9, 31, 32, 33, 45, 66};
    enum { DIMS = sizeof(dims) / sizeof(dims[0]) };
    for (int tier = 0; tier <= (int)ccz_cpu()->best; tier++)
        for (size_t i = 0; i < DIMS; i++)
            for (size_t j = 0; j < DIMS; j++)
                for (size_t w = 1; w < WIDTHS; w++)
                    matrix(cczi_ring_tier((enum ccz_cpu_tier)tier), dims[i],
                           dims[(i + j + w) % DIMS], dims[j], widths[w]);
}

static void test_transpose(void)
{
    uint64_t a[33 * 17], t[33 * 17];
    for (size_t i = 0; i < 33 * 17; i++)
        a[i] = i;
    ccz_ring_transpose(t, a, 33, 17);
    for (size_t i = 0; i < 33; i++)
        for (size_t j = 0; j < 17; j++)
            CHECK(t[j * 33 + i] == a[i * 17 + j]);
}

/* Bit by bit, as the header says it. */
static void test_pack(void)
{
    uint64_t rng = 5, v[LEN_MAX], back[LEN_MAX];
    uint8_t bytes[LEN_MAX * 8];
    for (unsigned bits = 1; bits <= 64; bits++)
        for (size_t len = 1; len <= LEN_MAX; len += 3) {
            fill(v, len, &rng);
            ccz_ring_pack(bytes, v, len, bits);
            for (size_t i = 0; i < len * bits; i++)
                CHECK((bytes[i / 8] >> i % 8 & 1) == (v[i / bits] >> i % bits & 1));
            for (size_t i = len * bits; i < (len * bits + 7) / 8 * 8; i++)
                CHECK((bytes[i / 8] >> i % 8 & 1) == 0);
            ccz_ring_unpack(back, bytes, len, bits);
            for (size_t i = 0; i < len; i++)
                CHECK(back[i] == (v[i] & ccz_ring_mask(bits)));
        }
    for (size_t len = 1; len <= LEN_MAX * 64; len += 61) {
        ccz_ring_pack_bits(bytes, v, len);
        for (size_t i = 0; i < (len + 7) / 8 * 8; i++)
            CHECK((bytes[i / 8] >> i % 8 & 1) == (i < len ? v[i / 64] >> i % 64 & 1 : 0));
        ccz_ring_unpack_bits(back, bytes, len);
        for (size_t i = 0; i < (len + 63) / 64 * 64; i++)
            CHECK((back[i / 64] >> i % 64 & 1) == (i < len ? v[i / 64] >> i % 64 & 1 : 0));
    }
}

static void test_bit_rows(void)
{
    uint64_t rng = 6, v[200], rows[64 * 4];
    fill(v, 200, &rng);
    for (size_t len = 1; len <= 200; len += 21)
        for (unsigned from = 0; from < 64; from += 9) {
            size_t words = (len + 63) / 64;
            ccz_ring_bit_rows(rows, v, len, from, 64 - from);
            for (unsigned j = 0; j < 64 - from; j++)
                for (size_t i = 0; i < words * 64; i++)
                    CHECK((rows[j * words + i / 64] >> i % 64 & 1) ==
                          (i < len ? v[i] >> (from + j) & 1 : 0));
        }
}

static void test_fixed(void)
{
    const double in[6] = {0.5, -0.5, 1e30, -1e30, NAN, -3.75};
    uint64_t v[6];
    double back[6];
    ccz_ring_encode(v, in, 6, 16, 4);
    CHECK(v[0] == 8 && v[1] == 0xfff8 && v[2] == 0x7fff && v[3] == 0x8000 && v[4] == 0);
    ccz_ring_decode(back, v, 6, 16, 4);
    CHECK(back[1] == -0.5 && back[5] == -3.75 && ccz_ring_signed(0x8000, 16) == -32768);
}

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {
        {"ring.vectors", test_vectors},     {"ring.matrices", test_matrices},
        {"ring.transpose", test_transpose}, {"ring.pack", test_pack},
        {"ring.bit_rows", test_bit_rows},   {"ring.fixed", test_fixed}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
