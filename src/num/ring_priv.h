/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_RING_PRIV_H
#define CCZI_RING_PRIV_H
#include <cczoo/ring.h>

struct cczi_ring_kernels {
    void (*add)(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len, uint64_t mask);
    void (*sub)(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len, uint64_t mask);
    void (*mul)(uint64_t *out, const uint64_t *a, const uint64_t *b, size_t len, uint64_t mask);
    void (*scale)(uint64_t *out, const uint64_t *a, uint64_t x, size_t len, uint64_t mask);
    void (*mul_add)(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t len, uint64_t mask);
    void (*matmul_add)(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t m, size_t k,
                       size_t n, uint64_t mask);
};
extern const struct cczi_ring_kernels cczi_ring_portable;
#if defined(__x86_64__)
extern const struct cczi_ring_kernels cczi_ring_avx2, cczi_ring_avx512;
#endif
/* The kernels of a tier, or of the best below it that there is. Never NULL. */
const struct cczi_ring_kernels *cczi_ring_tier(enum ccz_cpu_tier tier);
#endif
