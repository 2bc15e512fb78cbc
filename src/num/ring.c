/* SPDX-License-Identifier: Apache-2.0 */
#include "ring_priv.h"

const struct cczi_ring_kernels *cczi_ring_tier(enum ccz_cpu_tier tier)
{
#if defined(__x86_64__)
    if (tier >= CCZ_CPU_AVX512)
        return &cczi_ring_avx512;
    if (tier >= CCZ_CPU_AVX2)
        return &cczi_ring_avx2;
#else
    (void)tier;
#endif
    return &cczi_ring_portable;
}

static const struct cczi_ring_kernels *kernels(void)
{
    return cczi_ring_tier(ccz_cpu()->chosen);
}

void ccz_ring_add(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len, unsigned bits)
{
    kernels()->add(out, a, b, len, ccz_ring_mask(bits));
}

void ccz_ring_sub(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len, unsigned bits)
{
    kernels()->sub(out, a, b, len, ccz_ring_mask(bits));
}

void ccz_ring_mul(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len, unsigned bits)
{
    kernels()->mul(out, a, b, len, ccz_ring_mask(bits));
}

void ccz_ring_scale(uint64_t *out, const uint64_t *a, uint64_t x, size_t len, unsigned bits)
{
    kernels()->scale(out, a, x, len, ccz_ring_mask(bits));
}

void ccz_ring_mul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t len, unsigned bits)
{
    kernels()->mul_add(r, a, b, len, ccz_ring_mask(bits));
}

void ccz_ring_matmul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t m, size_t k,
                         size_t n, unsigned bits)
{
    kernels()->matmul_add(r, a, b, m, k, n, ccz_ring_mask(bits));
}

void ccz_ring_transpose(uint64_t *out, const uint64_t *a, size_t rows, size_t cols)
{
    enum { BLOCK = 16 };
    for (size_t r = 0; r < rows; r += BLOCK)
        for (size_t c = 0; c < cols; c += BLOCK)
            for (size_t i = r; i < rows && i < r + BLOCK; i++)
                for (size_t j = c; j < cols && j < c + BLOCK; j++)
                    out[j * rows + i] = a[i * cols + j];
}
