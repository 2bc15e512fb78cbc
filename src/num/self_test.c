/* SPDX-License-Identifier: Apache-2.0 */
/* A tier against the portable one on a few hundred words. The unit tests do the same at length. */
#include "num_priv.h"

#include <string.h>

enum { LEN = 128, TERMS = 5, ODD_LEN = LEN - 3 };

struct inputs {
    uint64_t a[TERMS][LEN], b[2 * TERMS][LEN], words[LEN];
    const uint64_t *pa[TERMS], *pb[2 * TERMS];
    double inverse[TERMS];
    int8_t small[LEN];
    struct ccz_ntt_scale scale;
};

/* Known words: a linear congruential generator (Knuth, MMIX). */
static uint64_t next(uint64_t *state)
{
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state ^ *state >> 29;
}

static void make(struct inputs *in, const struct ccz_modulus *m)
{
    uint64_t state = m->q;
    for (size_t i = 0; i < LEN; i++) {
        in->words[i] = next(&state);
        in->small[i] = (int8_t)next(&state);
        for (size_t k = 0; k < TERMS; k++)
            in->a[k][i] = next(&state) % m->q;
        for (size_t k = 0; k < (size_t)2 * TERMS; k++)
            in->b[k][i] = next(&state) % m->q;
    }
    for (size_t k = 0; k < (size_t)2 * TERMS; k++)
        in->pb[k] = in->b[k];
    for (size_t k = 0; k < TERMS; k++) {
        in->pa[k] = in->a[k];
        in->a[k][k] = m->q - 1;
        in->b[k][k] = m->q - 1;
        in->inverse[k] = 1.0 / (double)m->q;
    }
}

/* Everything a tier can do to the inputs, one result after another. */
enum { RESULTS = 24 };
static void run(uint64_t r[RESULTS][LEN], const struct ccz_kernels *k, const struct inputs *in,
                const struct ccz_modulus *m, const struct ccz_modulus *other)
{
    const uint64_t *a = in->a[0], *b = in->b[0];
    struct ccz_mulc c = ccz_mulc_from(b[7], m);
    const size_t n = ODD_LEN;
    memset(r, 0, sizeof(uint64_t[RESULTS][LEN]));
    k->add(r[0], a, b, n, m);
    k->sub(r[1], a, b, n, m);
    k->neg(r[2], a, n, m);
    k->mul(r[3], a, b, n, m);
    memcpy(r[4], in->b[1], sizeof(r[4]));
    k->mul_add(r[4], a, b, n, m);
    k->mul_const(r[5], a, c, n, m);
    memcpy(r[6], in->b[1], sizeof(r[6]));
    k->mul_const_add(r[6], a, c, n, m);
    k->sub_mul_const(r[7], a, b, c, n, m);
    memcpy(r[8], in->b[1], sizeof(r[8]));
    k->mac(r[8], in->pa, in->pb, TERMS, n, m, true);
    k->mac2((uint64_t *[]){r[9], r[10]}, in->pa, in->pb, TERMS, n, m, false);
    k->mac_scalar(r[11], in->pa, b, TERMS, n, m, false);
    k->tensor((uint64_t *[]){r[12], r[13], r[14]}, in->pa, in->pb, n, m);
    k->tensor_square((uint64_t *[]){r[15], r[16], r[17]}, in->pa, n, m);
    k->reduce_u64(r[18], in->words, n, m);
    k->reduce_i64(r[19], (const int64_t *)in->words, n, m);
    k->reduce_i8(r[20], in->small, n, m);
    k->lift(r[21], a, n, m, other);
    k->round_sum(r[22], in->pa, in->inverse, TERMS, n);
    r[23][LEN - 1] = k->uniform(r[23], n - 40, in->words, n, m);
    r[23][LEN - 2] = k->below(a, n, m->q) + 2 * (uint64_t)k->below(a, n, m->q - 1);
}

static bool kernels_agree(const struct cczi_tier *tier, const struct inputs *in,
                          const struct ccz_modulus *m, const struct ccz_modulus *other)
{
    uint64_t got[RESULTS][LEN], expected[RESULTS][LEN];
    run(got, &tier->k, in, m, other);
    run(expected, &cczi_tier_portable.k, in, m, other);
    return memcmp(got, expected, sizeof(got)) == 0;
}

static bool transforms_agree(const struct cczi_tier *tier, const struct inputs *in,
                             const struct ccz_modulus *m, const struct ccz_modulus *other)
{
    uint64_t got[LEN], expected[LEN], foreign[LEN];
    CCZ_AUTO(ccz_ntt) t = NULL;
    CCZ_AUTO(ccz_ntt) p = NULL;
    CCZ_AUTO(ccz_galois) g = NULL;
    if (ccz_ntt_new(&t, m, LEN, &tier->k, NULL) != CCZ_OK ||
        ccz_ntt_new(&p, m, LEN, &cczi_tier_portable.k, NULL) != CCZ_OK ||
        ccz_galois_new(&g, LEN, 5, NULL) != CCZ_OK)
        return false;
    ccz_ntt_forward(got, in->a[0], t);
    ccz_ntt_forward(expected, in->a[0], p);
    bool same = memcmp(got, expected, sizeof(got)) == 0;
    ccz_ntt_inverse(got, in->a[1], t);
    ccz_ntt_inverse(expected, in->a[1], p);
    same &= memcmp(got, expected, sizeof(got)) == 0;
    cczi_tier_portable.k.reduce_u64(foreign, in->words, LEN, other);
    ccz_ntt_forward_lift_lazy(got, foreign, other, t);
    ccz_ntt_forward_lift_lazy(expected, foreign, other, p);
    tier->k.reduce_u64(got, got, LEN, m);
    cczi_tier_portable.k.reduce_u64(expected, expected, LEN, m);
    same &= memcmp(got, expected, sizeof(got)) == 0;
    tier->k.galois(got, in->a[0], g);
    cczi_tier_portable.k.galois(expected, in->a[0], g);
    return same && memcmp(got, expected, sizeof(got)) == 0;
}

bool cczi_tier_self_test(const struct cczi_tier *tier)
{
    /* check: 1 mod 256; the largest below 2^50, the smallest above 2^29 */
    static const uint64_t primes[2] = {0x3fffffffff901, 0x20000e01};
    struct ccz_modulus m[2];
    struct inputs in;
    bool same = true;
    for (int i = 0; i < 2; i++)
        same = same && ccz_modulus_init(&m[i], primes[i], NULL) == CCZ_OK;
    for (int i = 0; i < 2 && same; i++) {
        make(&in, &m[i]);
        same = kernels_agree(tier, &in, &m[i], &m[1 - i]) &&
               transforms_agree(tier, &in, &m[i], &m[1 - i]);
    }
    return same;
}
