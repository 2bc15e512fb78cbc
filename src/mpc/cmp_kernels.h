/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_MPC_CMP_KERNELS_H
#define CCZI_MPC_CMP_KERNELS_H
/*
 * Inner loops of the comparison family, in two tiers: on top of the AES tiers of `ot`, and fused on 512 bits. A row is a
 * packed vector of bits, bit i % 64 of word i / 64; what is behind the last bit is zero in all results. H is the hash of
 * random OTs: H(x, i) = AES(AES(x) + i) + AES(x).
 */
#include "ot/kernels.h"

struct cczi_cmp_kernels {
    const char *name;
    /* Bit i of lo and hi: bit 0 of both halves of H(in[i] + offset, tweak + i). */
    void (*pad_bits)(uint64_t *lo, uint64_t *hi, const struct ccz_f128 *in, struct ccz_f128 offset,
                     size_t len, uint64_t tweak, const struct cczi_aes *aes);
    /* lo[i], hi[i]: the halves themselves. hi may be NULL. */
    void (*pad_words)(uint64_t *lo, uint64_t *hi, const struct ccz_f128 *in, struct ccz_f128 offset,
                      size_t len, uint64_t tweak, const struct cczi_aes *aes);
    /* out[i] = sum over b of x^b in[b stride + i], b < planes (1 to 4) */
    void (*fold)(struct ccz_f128 *out, const struct ccz_f128 *in, size_t stride, size_t len,
                 unsigned planes);
};

extern const struct cczi_cmp_kernels cczi_cmp_plain;
#if defined(__x86_64__)
extern const struct cczi_cmp_kernels cczi_cmp_vaes;
#endif
/* The best one that CCZOO_CPU allows and that passes its self-test. */
const struct cczi_cmp_kernels *cczi_cmp_kernels(void);
/* The fused one if this processor has it, else NULL. */
const struct cczi_cmp_kernels *cczi_cmp_kernels_fused(void);

#endif
