/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZI_OT_KERNELS_H
#define CCZI_OT_KERNELS_H
/* Inner loops in tiers: portable C, AES-NI with PCLMULQDQ, and VAES with VPCLMULQDQ on 512 bits. All give the same bits
 * and take a time that depends on lengths only. */
#include <cczoo/ot.h>

#include "base/ct.h"

/* Round keys of AES-128. */
struct cczi_aes {
    _Alignas(64) uint8_t round[11][16];
};

struct cczi_ot_kernels {
    const char *name;
    /* Key schedule (FIPS 197, 5.2); the key may be secret. */
    void (*aes_key)(struct cczi_aes *aes, const uint8_t key[16]);
    /* out[i] = AES(first + i), counted in lo. */
    void (*ctr)(struct ccz_f128 *out, size_t len, uint64_t first, const struct cczi_aes *aes);
    /* A level of a tree: out[2 i + b] = AES(in[i] + b) + in[i] + b. Not in place. */
    void (*grow)(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len,
                 const struct cczi_aes *aes);
    /* A level of a correlated tree: out[2 i] = H(in[i]), out[2 i + 1] = H(in[i]) + in[i], where H(x) = AES(y) + y, y = (hi, lo + hi)
     * of x = (lo, hi). Returns the sum of out[2 i]. Not in place. */
    struct ccz_f128 (*halve)(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len,
                             const struct cczi_aes *aes);
    /* out[i] = AES(AES(in[i]) + tweak + i) + AES(in[i]); in place is fine. */
    void (*hash)(struct ccz_f128 *out, const struct ccz_f128 *in, size_t len, uint64_t tweak,
                 const struct cczi_aes *aes);
    struct ccz_f128 (*mul)(struct ccz_f128 a, struct ccz_f128 b);
    void (*mul_add)(struct ccz_f128 *r, const struct ccz_f128 *a, size_t len, struct ccz_f128 x);
    /* Sum of a[i] x^(i+1). */
    struct ccz_f128 (*poly)(const struct ccz_f128 *a, size_t len, struct ccz_f128 x);
};

extern const struct cczi_ot_kernels cczi_ot_portable;
#if defined(__x86_64__)
extern const struct cczi_ot_kernels cczi_ot_aesni, cczi_ot_vaes;
#endif
enum { CCZI_OT_TIERS = 3 };
/* The i-th tier, or NULL if this processor cannot run it or it fails its self-test. */
const struct cczi_ot_kernels *cczi_ot_tier_at(size_t i);
/* The best one that CCZOO_CPU allows. */
const struct cczi_ot_kernels *cczi_ot_kernels(void);

static inline struct ccz_f128 cczi_f128_add(struct ccz_f128 a, struct ccz_f128 b)
{
    return (struct ccz_f128){a.lo ^ b.lo, a.hi ^ b.hi};
}

/* A secret element on the stack, wiped on every way out of its scope. */
static inline void cczi_f128_wipe(struct ccz_f128 *a)
{
    ccz_wipe(a, sizeof(*a));
}
#define CCZI_AUTO_F128 __attribute__((cleanup(cczi_f128_wipe))) struct ccz_f128

/* a x */
static inline struct ccz_f128 cczi_f128_mulx(struct ccz_f128 a)
{
    return (struct ccz_f128){a.lo << 1 ^ (0x87 & (0 - (a.hi >> 63))), a.hi << 1 | a.lo >> 63};
}

/* a if mask is all ones, 0 if it is 0. Without the barrier clang -O1 makes branches of masks. */
static inline struct ccz_f128 cczi_f128_and(struct ccz_f128 a, uint64_t mask)
{
    mask = cczi_ct_barrier64(mask);
    return (struct ccz_f128){a.lo & mask, a.hi & mask};
}

#endif
