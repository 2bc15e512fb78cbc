/* SPDX-License-Identifier: Apache-2.0 */
#include "num_priv.h"

#include <stdlib.h>

size_t cczi_reverse(size_t i, unsigned bits)
{
    size_t r = 0;
    for (unsigned k = 0; k < bits; k++)
        r |= (i >> k & 1) << (bits - 1 - k);
    return r;
}

static unsigned log2_of(size_t n)
{
    unsigned log_n = 0;
    while ((n >> log_n) > 1)
        log_n++;
    return log_n;
}

size_t ccz_ntt_position(size_t n, uint64_t e)
{
    return cczi_reverse((e % (2 * n) - 1) / 2, log2_of(n));
}

/*
 * Position 8 b + p holds the value at psi^e with e = t n / 4 + e0, t = reverse3(p), and e0 < n / 4
 * given by b. g e = (g t) n / 4 + g e0 and g e0 = c n / 4 + e1 mod 2 n: the source lies in the block
 * of e1, and its t is g t + c mod 8.
 */
ccz_rc ccz_galois_new(struct ccz_galois **out, size_t n, uint64_t g, struct ccz_err *err)
{
    *out = NULL;
    if (n < CCZ_NTT_LEN_MIN || n > CCZ_NTT_LEN_MAX || (n & (n - 1)) != 0 || g % 2 == 0 ||
        g >= 2 * n)
        return ccz_fail(err, CCZ_E_ARG, "num:galois", (int64_t)g,
                        "length %zu is no power of two or X^%llu no automorphism", n,
                        (unsigned long long)g);
    size_t blocks = n / 8, part = n / 4;
    struct ccz_galois *p = malloc(sizeof(*p) + blocks * sizeof(p->src[0]));
    if (!p)
        return ccz_fail(err, CCZ_E_NOMEM, "num:galois", 0, "no memory for %zu words", blocks);
    p->n = n;
    p->g = g;
    unsigned bits = log2_of(blocks);
    for (size_t b = 0; b < blocks; b++) {
        uint64_t e = (2 * cczi_reverse(b, bits) + 1) * g % (2 * n);
        p->src[b] = (uint32_t)(cczi_reverse((e % part - 1) / 2, bits) << 3 | e / part);
    }
    *out = p;
    return CCZ_OK;
}

void ccz_galois_free(struct ccz_galois *g)
{
    free(g);
}

void ccz_galois_coeff(uint64_t *r, const uint64_t *a, size_t n, uint64_t g,
                      const struct ccz_modulus *m)
{
    size_t mask = 2 * n - 1, at = 0;
    for (size_t i = 0; i < n; i++, at = (at + g) & mask) {
        uint64_t negative = 0 - (uint64_t)(at >= n); /* X^n = -1 */
        r[at & (n - 1)] = cczi_sub_if((m->q & negative) + ((a[i] ^ negative) - negative), m->q);
    }
}
