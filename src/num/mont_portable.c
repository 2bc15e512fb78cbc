/* SPDX-License-Identifier: Apache-2.0 */
/* One value at a time by GMP's low-level functions. */
#include "mont_priv.h"

#include <gmp.h>
#include <string.h>

_Static_assert(sizeof(mp_limb_t) == 8 && GMP_NUMB_BITS == 64, "limbs of 64 bits");

enum { LIMBS_MAX = CCZI_MONT_LIMBS64_MAX };

static mp_limb_t reduce(mp_limb_t *q, mp_limb_t *x, const struct cczi_mont_moduli *m)
{
    mp_size_t n = (mp_size_t)m->limbs;
    const mp_limb_t *p = (const mp_limb_t *)m->mod;
    for (mp_size_t i = 0; i < n; i++) {
        q[i] = x[i] * m->minus_k[0];
        x[i] = mpn_addmul_1(x + i, p, n, q[i]);
    }
    return mpn_add_n(x + n, x + n, x, n);
}

static void mul_wide(mp_limb_t *r, const mp_limb_t *a, const mp_limb_t *b, mp_size_t n)
{
    mp_limb_t scratch[4 * LIMBS_MAX];
    mpn_sec_mul(r, a, n, b, n, scratch);
}

static void sqr_wide(mp_limb_t *r, const mp_limb_t *a, mp_size_t n)
{
    mp_limb_t scratch[4 * LIMBS_MAX];
    mpn_sec_sqr(r, a, n, scratch);
}

#include "mont_words.h"

const struct cczi_mont_tier cczi_mont_portable = {
    .name = "portable",
    .limb_bits = 64,
    .limbs_step = 1,
    .wide = &ops,
    .narrow = &ops,
};
