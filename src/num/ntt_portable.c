/* SPDX-License-Identifier: Apache-2.0 */
/* Transforms in plain C: Cooley-Tukey forward, Gentleman-Sande back, with the roots of X^n + 1 merged
 * (Longa, Naehrig 2016) and butterflies that leave results unreduced (Harvey 2014). */
#include "num_priv.h"

#include <string.h>

/* In and out in [0, 4 q). */
static void forward_stages(uint64_t *x, const struct ccz_ntt *t)
{
    const uint64_t q = t->m.q;
    for (size_t groups = 1, half = t->n / 2; half > 0; groups *= 2, half /= 2) {
        for (size_t g = 0; g < groups; g++) {
            struct ccz_mulc w = t->forward[groups + g];
            uint64_t *lo = x + 2 * half * g, *hi = lo + half;
            for (size_t i = 0; i < half; i++) {
                uint64_t u = cczi_sub_if(lo[i], 2 * q), v = cczi_mulc_lazy(hi[i], w, q);
                lo[i] = u + v;
                hi[i] = u + 2 * q - v;
            }
        }
    }
}

void cczi_ntt_portable_forward_lazy(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t)
{
    if (r != a)
        memcpy(r, a, t->n * sizeof(*r));
    forward_stages(r, t);
}

void cczi_ntt_portable_forward(uint64_t *r, const uint64_t *a, const struct ccz_ntt *t)
{
    const uint64_t q = t->m.q;
    cczi_ntt_portable_forward_lazy(r, a, t);
    for (size_t i = 0; i < t->n; i++)
        r[i] = cczi_sub_if(cczi_sub_if(r[i], 2 * q), q);
}

void cczi_ntt_portable_forward_lift_lazy(uint64_t *r, const uint64_t *a,
                                         const struct ccz_modulus *from, const struct ccz_ntt *t)
{
    cczi_tier_portable.k.lift(r, a, t->n, from, &t->m);
    forward_stages(r, t);
}

/* In [0, 2 q) between the stages. */
void cczi_ntt_portable_inverse(uint64_t *r, const uint64_t *a, const struct ccz_ntt_scale *s,
                               const struct ccz_ntt *t)
{
    const uint64_t q = t->m.q;
    if (r != a)
        memcpy(r, a, t->n * sizeof(*r));
    for (size_t groups = t->n / 2, half = 1; groups > 1; groups /= 2, half *= 2) {
        for (size_t g = 0; g < groups; g++) {
            struct ccz_mulc w = t->inverse[groups + g];
            uint64_t *lo = r + 2 * half * g, *hi = lo + half;
            for (size_t i = 0; i < half; i++) {
                uint64_t u = lo[i], v = hi[i];
                lo[i] = cczi_sub_if(u + v, 2 * q);
                hi[i] = cczi_mulc_lazy(u + 2 * q - v, w, q);
            }
        }
    }
    uint64_t *hi = r + t->n / 2;
    for (size_t i = 0; i < t->n / 2; i++) {
        uint64_t u = r[i], v = hi[i];
        r[i] = cczi_mulc(u + v, s->low, q);
        hi[i] = cczi_mulc(u + 2 * q - v, s->high, q);
    }
}
