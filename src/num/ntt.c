/* SPDX-License-Identifier: Apache-2.0 */
/* Tables of a transform and what belongs to no tier. */
#include "num_priv.h"

#include <stdlib.h>
#include <string.h>

enum { ALIGN = 64 };

/* Smallest element of order 2 n, n a power of two that divides (q - 1) / 2. */
static uint64_t smallest_root(const struct ccz_modulus *m, size_t n)
{
    uint64_t psi = 0;
    for (uint64_t g = 2; psi == 0; g++) { /* half of all g will do */
        uint64_t x = ccz_mod_pow(g, (m->q - 1) / (2 * n), m);
        if (ccz_mod_pow(x, n, m) == m->q - 1)
            psi = x;
    }
    uint64_t square = cczi_mul(psi, psi, m), least = psi;
    for (size_t i = 1; i < n; i++) { /* the others are its odd powers */
        psi = cczi_mul(psi, square, m);
        least = psi < least ? psi : least;
    }
    return least;
}

static void fill_powers(struct ccz_mulc *table, uint64_t root, const struct ccz_ntt *t)
{
    uint64_t power = 1;
    for (size_t i = 0; i < t->n; i++) {
        table[cczi_reverse(i, t->log_n)] = ccz_mulc_from(power, &t->m);
        power = cczi_mul(power, root, &t->m);
    }
}

static void fill(struct ccz_ntt *t)
{
    t->psi = smallest_root(&t->m, t->n);
    fill_powers(t->forward, t->psi, t);
    fill_powers(t->inverse, ccz_mod_inv(t->psi, &t->m), t);
    t->unit = ccz_ntt_scale_from(1, t);
    if (t->tier->fill)
        t->tier->fill(t);
}

static ccz_rc check(const struct ccz_modulus *m, size_t n, struct ccz_err *err)
{
    if (n < CCZ_NTT_LEN_MIN || n > CCZ_NTT_LEN_MAX || (n & (n - 1)) != 0)
        return ccz_fail(err, CCZ_E_ARG, "num:ntt-len", (int64_t)n,
                        "length %zu is no power of two from %d to %d", n, CCZ_NTT_LEN_MIN,
                        CCZ_NTT_LEN_MAX);
    if (m->q % (2 * n) != 1)
        return ccz_fail(err, CCZ_E_ARG, "num:ntt-root", (int64_t)m->q,
                        "modulus %llu is not 1 modulo %zu", (unsigned long long)m->q, 2 * n);
    if (!ccz_is_prime(m->q))
        return ccz_fail(err, CCZ_E_ARG, "num:ntt-prime", (int64_t)m->q, "modulus %llu is not prime",
                        (unsigned long long)m->q);
    return CCZ_OK;
}

ccz_rc ccz_ntt_new(struct ccz_ntt **out, const struct ccz_modulus *m, size_t n,
                   const struct ccz_kernels *k, struct ccz_err *err)
{
    *out = NULL;
    ccz_rc rc = check(m, n, err);
    if (rc != CCZ_OK)
        return rc;
    const struct cczi_tier *tier = (const struct cczi_tier *)(k ? k : ccz_kernels(NULL));
    if (m->bits > CCZ_FAST_BITS)
        tier = &cczi_tier_portable;
    size_t size = sizeof(struct ccz_ntt) + ALIGN - sizeof(struct ccz_ntt) % ALIGN;
    size_t own = tier->table_words * n * sizeof(uint64_t), powers = n * sizeof(struct ccz_mulc);
    uint8_t *p = aligned_alloc(ALIGN, size + own + 2 * powers);
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "num:ntt", 0, "no memory for tables of length %zu", n);
    struct ccz_ntt *t = (struct ccz_ntt *)p;
    *t = (struct ccz_ntt){.m = *m, .n = n, .tier = tier};
    while (n >> (t->log_n + 1))
        t->log_n++;
    t->own = (uint64_t *)(p + size);
    t->forward = (struct ccz_mulc *)(p + size + own);
    t->inverse = t->forward + n;
    fill(t);
    *out = t;
    return CCZ_OK;
}

void ccz_ntt_free(struct ccz_ntt *t)
{
    free(t);
}

const struct ccz_modulus *ccz_ntt_modulus(const struct ccz_ntt *t)
{
    return &t->m;
}

size_t ccz_ntt_len(const struct ccz_ntt *t)
{
    return t->n;
}

uint64_t ccz_ntt_root(const struct ccz_ntt *t)
{
    return t->psi;
}

void ccz_ntt_forward(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t)
{
    t->tier->forward(r, a, t);
}

void ccz_ntt_forward_lazy(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t)
{
    t->tier->forward_lazy(r, a, t);
}

void ccz_ntt_forward_lift_lazy(uint64_t *r, const uint64_t *a, const struct ccz_modulus *from,
                               const struct ccz_ntt *t)
{
    if (from->bits > CCZ_FAST_BITS) { /* beyond what vector tiers read */
        cczi_tier_portable.k.lift(r, a, t->n, from, &t->m);
        t->tier->forward_lazy(r, r, t);
    } else {
        t->tier->forward_lift_lazy(r, a, from, t);
    }
}

void ccz_ntt_inverse(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t)
{
    t->tier->inverse(r, a, &t->unit, t);
}

struct ccz_ntt_scale ccz_ntt_scale_from(uint64_t s, const struct ccz_ntt *t)
{
    uint64_t low = cczi_mul(s, ccz_mod_inv(t->n, &t->m), &t->m);
    return (struct ccz_ntt_scale){.low = ccz_mulc_from(low, &t->m),
                                  .high =
                                      ccz_mulc_from(cczi_mul(low, t->inverse[1].w, &t->m), &t->m)};
}

void ccz_ntt_inverse_scaled(uint64_t *r, const uint64_t *a, const struct ccz_ntt_scale *s,
                            const struct ccz_ntt *t)
{
    t->tier->inverse(r, a, s, t);
}
