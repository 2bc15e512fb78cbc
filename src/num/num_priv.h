/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NUM_PRIV_H
#define CCZ_NUM_PRIV_H
/* What the tiers share. A tier is a table of kernels and transforms in files of its own. */

#include <cczoo/num.h>

__extension__ typedef unsigned __int128 cczi_u128;

/* Transforms of a tier. All take and give what the public functions of like name do. */
struct cczi_tier {
    struct ccz_kernels k;            /* first: the public pointer is that of its tier */
    size_t table_words;              /* words of own tables per word of the polynomial */
    void (*fill)(struct ccz_ntt *t); /* fills t->own; NULL if table_words is 0 */
    void (*forward)(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);
    void (*forward_lazy)(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);
    void (*forward_lift_lazy)(uint64_t *r, const uint64_t *a, const struct ccz_modulus *from,
                              const struct ccz_ntt *t);
    void (*inverse)(uint64_t *r, const uint64_t *a, const struct ccz_ntt_scale *s,
                    const struct ccz_ntt *t);
};

struct ccz_ntt {
    struct ccz_modulus m;
    size_t n;
    unsigned log_n;
    uint64_t psi;
    const struct cczi_tier *tier;
    struct ccz_mulc *forward;  /* [n]: psi^reverse(i), i of log_n bits */
    struct ccz_mulc *inverse;  /* [n]: their inverses */
    struct ccz_ntt_scale unit; /* divides by n */
    uint64_t *own;             /* tables of the tier, aligned to 64 bytes */
};

/* Positions in blocks of 8: the values of a block come from one block. Result position 8 b + p takes
 * that of 8 (src[b] >> 3) + reverse3(g reverse3(p) + (src[b] & 7) mod 8). */
struct ccz_galois {
    size_t n;
    uint64_t g;
    uint32_t src[];
};

/* Portable code that other tiers use as it is. */
void cczi_portable_reduce_u64(uint64_t *r, const uint64_t *a, size_t n,
                              const struct ccz_modulus *m);
void cczi_portable_reduce_i64(uint64_t *r, const int64_t *a, size_t n, const struct ccz_modulus *m);
void cczi_portable_reduce_i8(uint64_t *r, const int8_t *a, size_t n, const struct ccz_modulus *m);
void cczi_portable_round_sum(uint64_t *r, const uint64_t *const *a, const double *inv, size_t terms,
                             size_t n);
size_t cczi_portable_uniform(uint64_t *r, size_t n, const uint64_t *words, size_t words_len,
                             const struct ccz_modulus *m);
bool cczi_portable_below(const uint64_t *a, size_t n, uint64_t q);
void cczi_portable_galois(uint64_t *r, const uint64_t *a, const struct ccz_galois *g);
void cczi_ntt_portable_forward(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);
void cczi_ntt_portable_forward_lazy(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t);
void cczi_ntt_portable_forward_lift_lazy(uint64_t *r, const uint64_t *a,
                                         const struct ccz_modulus *from, const struct ccz_ntt *t);
void cczi_ntt_portable_inverse(uint64_t *r, const uint64_t *a, const struct ccz_ntt_scale *s,
                               const struct ccz_ntt *t);

extern const struct cczi_tier cczi_tier_portable;
#if defined(__x86_64__)
extern const struct cczi_tier cczi_tier_avx2, cczi_tier_avx512, cczi_tier_ifma;
#endif

/* Whether the tier's kernels and transforms give the results of the portable one. */
bool cczi_tier_self_test(const struct cczi_tier *tier);

/* The lowest @p bits of i reversed. */
size_t cczi_reverse(size_t i, unsigned bits);

/* ------------------------------------------------------------------- residues, branch-free */

/* a - b if that is not negative, else a; a < 2^63 + b, b <= 2^63 */
static inline uint64_t cczi_sub_if(uint64_t a, uint64_t b)
{
    uint64_t d = a - b;
    return d + (b & (0 - (d >> 63)));
}

/* a w mod q in [0, 2 q), any a */
static inline uint64_t cczi_mulc_lazy(uint64_t a, struct ccz_mulc c, uint64_t q)
{
    return a * c.w - (uint64_t)((cczi_u128)a * c.quot >> 64) * q;
}

static inline uint64_t cczi_mulc(uint64_t a, struct ccz_mulc c, uint64_t q)
{
    return cczi_sub_if(cczi_mulc_lazy(a, c, q), q);
}

/* Any word, to [0, q) */
static inline uint64_t cczi_reduce(uint64_t a, const struct ccz_modulus *m)
{
    return cczi_mulc(a, (struct ccz_mulc){1, m->one_quot}, m->q);
}

/* Barrett: the quotient is floor(a floor(2^128 / q) / 2^128), at most one too small. */
static inline uint64_t cczi_reduce_wide(cczi_u128 a, const struct ccz_modulus *m)
{
    uint64_t lo = (uint64_t)a, hi = (uint64_t)(a >> 64);
    cczi_u128 t = (cczi_u128)lo * m->ratio[1] + (uint64_t)((cczi_u128)lo * m->ratio[0] >> 64);
    cczi_u128 u = (cczi_u128)hi * m->ratio[0] + (uint64_t)t;
    uint64_t quotient = hi * m->ratio[1] + (uint64_t)(t >> 64) + (uint64_t)(u >> 64);
    return cczi_sub_if(lo - quotient * m->q, m->q);
}

static inline uint64_t cczi_mul(uint64_t a, uint64_t b, const struct ccz_modulus *m)
{
    return cczi_reduce_wide((cczi_u128)a * b, m);
}
#endif
