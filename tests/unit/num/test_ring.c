/* SPDX-License-Identifier: Apache-2.0 */
/* Every tier against loops as one writes them down, on lengths that are multiples of nothing. */
#include "ccz_test.h"
#include "num/ring_priv.h"
#include "test_rng.h"

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

int main(int argc, char **argv)
{
    static const struct ccz_test tests[] = {{"ring.vectors", test_vectors},
                                            {"ring.matrices", test_matrices},
                                            {"ring.transpose", test_transpose}};
    return ccz_test_main(tests, sizeof(tests) / sizeof(tests[0]), argc, argv);
}
