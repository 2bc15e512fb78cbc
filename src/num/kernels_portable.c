/* SPDX-License-Identifier: Apache-2.0 */
/* Plain C, for every modulus. What the other tiers are compared with. */
#include "num_priv.h"

static void add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_sub_if(a[i] + b[i], m->q);
}

static void sub(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_sub_if(a[i] + m->q - b[i], m->q);
}

static void neg(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_sub_if(m->q - a[i], m->q);
}

static void mul(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_mul(a[i], b[i], m);
}

static void mul_add(uint64_t *r, const uint64_t *a, const uint64_t *b, size_t n,
                    const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_reduce_wide((cczi_u128)a[i] * b[i] + r[i], m);
}

static void mul_const(uint64_t *r, const uint64_t *a, struct ccz_mulc c, size_t n,
                      const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_mulc(a[i], c, m->q);
}

static void mul_const_add(uint64_t *r, const uint64_t *a, struct ccz_mulc c, size_t n,
                          const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_sub_if(r[i] + cczi_mulc(a[i], c, m->q), m->q);
}

static void sub_mul_const(uint64_t *r, const uint64_t *a, const uint64_t *b, struct ccz_mulc c,
                          size_t n, const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_mulc(a[i] + 4 * m->q - b[i], c, m->q);
}

/* ------------------------------------------------------------------------------------ sums */

/* How many products of a word below 2^63 and a residue fit into 128 bits. */
static size_t sum_len(const struct ccz_modulus *m)
{
    unsigned spare = 128 - 63 - m->bits;
    return spare > 12 ? 4096 : (size_t)1 << spare;
}

static void mac(uint64_t *r, const uint64_t *const *a, const uint64_t *const *b, size_t terms,
                size_t n, const struct ccz_modulus *m, bool accumulate)
{
    size_t step = sum_len(m) - 1; /* one less: a remainder goes along */
    for (size_t i = 0; i < n; i++) {
        cczi_u128 sum = accumulate ? r[i] : 0;
        for (size_t k = 0; k < terms;) {
            size_t end = terms - k < step ? terms : k + step;
            for (; k < end; k++)
                sum += (cczi_u128)a[k][i] * b[k][i];
            sum = cczi_reduce_wide(sum, m);
        }
        r[i] = (uint64_t)sum;
    }
}

static void mac2(uint64_t *const *r, const uint64_t *const *a, const uint64_t *const *b,
                 size_t terms, size_t n, const struct ccz_modulus *m, bool accumulate)
{
    size_t step = sum_len(m) - 1;
    for (size_t i = 0; i < n; i++) {
        cczi_u128 s0 = accumulate ? r[0][i] : 0, s1 = accumulate ? r[1][i] : 0;
        for (size_t k = 0; k < terms;) {
            size_t end = terms - k < step ? terms : k + step;
            for (; k < end; k++) {
                s0 += (cczi_u128)a[k][i] * b[2 * k][i];
                s1 += (cczi_u128)a[k][i] * b[2 * k + 1][i];
            }
            s0 = cczi_reduce_wide(s0, m);
            s1 = cczi_reduce_wide(s1, m);
        }
        r[0][i] = (uint64_t)s0;
        r[1][i] = (uint64_t)s1;
    }
}

static void mac_scalar(uint64_t *r, const uint64_t *const *a, const uint64_t *s, size_t terms,
                       size_t n, const struct ccz_modulus *m, bool accumulate)
{
    size_t step = sum_len(m) - 1;
    for (size_t i = 0; i < n; i++) {
        cczi_u128 sum = accumulate ? r[i] : 0;
        for (size_t k = 0; k < terms;) {
            size_t end = terms - k < step ? terms : k + step;
            for (; k < end; k++)
                sum += (cczi_u128)a[k][i] * s[k];
            sum = cczi_reduce_wide(sum, m);
        }
        r[i] = (uint64_t)sum;
    }
}

/* Inputs are read before outputs are written: r may be a or b. */
static void tensor(uint64_t *const *r, const uint64_t *const *a, const uint64_t *const *b, size_t n,
                   const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t a0 = a[0][i], a1 = a[1][i], b0 = b[0][i], b1 = b[1][i];
        r[0][i] = cczi_mul(a0, b0, m);
        r[1][i] = cczi_reduce_wide((cczi_u128)a0 * b1 + (cczi_u128)a1 * b0, m);
        r[2][i] = cczi_mul(a1, b1, m);
    }
}

static void tensor_square(uint64_t *const *r, const uint64_t *const *a, size_t n,
                          const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t a0 = a[0][i], a1 = a[1][i];
        r[0][i] = cczi_mul(a0, a0, m);
        r[1][i] = cczi_mul(2 * a0, a1, m);
        r[2][i] = cczi_mul(a1, a1, m);
    }
}

/* -------------------------------------------------------------------- from other integers */

void cczi_portable_reduce_u64(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++)
        r[i] = cczi_reduce(a[i], m);
}

void cczi_portable_reduce_i64(uint64_t *r, const int64_t *a, size_t n, const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t negative = 0 - ((uint64_t)a[i] >> 63);
        uint64_t size = ((uint64_t)a[i] ^ negative) - negative;
        uint64_t rest = cczi_reduce(size, m);
        r[i] = cczi_sub_if((m->q & negative) + ((rest ^ negative) - negative), m->q);
    }
}

void cczi_portable_reduce_i8(uint64_t *r, const int8_t *a, size_t n, const struct ccz_modulus *m)
{
    for (size_t i = 0; i < n; i++) {
        uint64_t v = (uint64_t)(int64_t)a[i];
        r[i] = v + (m->q & (0 - (v >> 63)));
    }
}

static void lift(uint64_t *r, const uint64_t *a, size_t n, const struct ccz_modulus *from,
                 const struct ccz_modulus *to)
{
    uint64_t half = from->q / 2, shift = cczi_reduce(from->q, to);
    for (size_t i = 0; i < n; i++) {
        uint64_t negative = 0 - ((half - a[i]) >> 63);
        r[i] = cczi_sub_if(cczi_reduce(a[i], to) + to->q - (shift & negative), to->q);
    }
}

/* The file is compiled without contraction to fused operations: every tier rounds alike. Conversions
 * are those of signed words; of unsigned ones they are a branch on many processors. */
void cczi_portable_round_sum(uint64_t *r, const uint64_t *const *a, const double *inv, size_t terms,
                             size_t n)
{
    for (size_t i = 0; i < n; i++) {
        double sum = 0.5;
        for (size_t k = 0; k < terms; k++)
            sum += (double)(int64_t)a[k][i] * inv[k];
        r[i] = (uint64_t)(int64_t)sum;
    }
}

size_t cczi_portable_uniform(uint64_t *r, size_t n, const uint64_t *words, size_t words_len,
                             const struct ccz_modulus *m)
{
    uint64_t mask = m->bits <= CCZ_FAST_BITS ? ((uint64_t)1 << 52) - 1 : ~(uint64_t)0;
    uint64_t end = mask / m->q * m->q; /* q divides no power of two */
    size_t len = 0;
    for (size_t i = 0; i < words_len && len < n; i++) {
        uint64_t w = words[i] & mask;
        if (w < end)
            r[len++] = cczi_reduce(w, m);
    }
    return len;
}

bool cczi_portable_below(const uint64_t *a, size_t n, uint64_t q)
{
    bool all = true;
    for (size_t i = 0; i < n; i++)
        all &= a[i] < q;
    return all;
}

void cczi_portable_galois(uint64_t *r, const uint64_t *a, const struct ccz_galois *g)
{
    static const uint8_t reverse3[8] = {0, 4, 2, 6, 1, 5, 3, 7};
    for (size_t b = 0; b < g->n / 8; b++) {
        const uint64_t *from = a + 8 * (size_t)(g->src[b] >> 3);
        for (size_t p = 0; p < 8; p++)
            r[8 * b + p] = from[reverse3[(g->g * reverse3[p] + (g->src[b] & 7)) & 7]];
    }
}

const struct cczi_tier cczi_tier_portable = {
    .k = {.name = "portable",
          .add = add,
          .sub = sub,
          .neg = neg,
          .mul = mul,
          .mul_add = mul_add,
          .mul_const = mul_const,
          .mul_const_add = mul_const_add,
          .sub_mul_const = sub_mul_const,
          .mac = mac,
          .mac2 = mac2,
          .mac_scalar = mac_scalar,
          .tensor = tensor,
          .tensor_square = tensor_square,
          .reduce_u64 = cczi_portable_reduce_u64,
          .reduce_i64 = cczi_portable_reduce_i64,
          .reduce_i8 = cczi_portable_reduce_i8,
          .lift = lift,
          .round_sum = cczi_portable_round_sum,
          .uniform = cczi_portable_uniform,
          .below = cczi_portable_below,
          .galois = cczi_portable_galois},
    .forward = cczi_ntt_portable_forward,
    .forward_lazy = cczi_ntt_portable_forward_lazy,
    .forward_lift_lazy = cczi_ntt_portable_forward_lift_lazy,
    .inverse = cczi_ntt_portable_inverse,
};
