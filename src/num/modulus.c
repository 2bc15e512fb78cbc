/* SPDX-License-Identifier: Apache-2.0 */
#include "num_priv.h"

#include <inttypes.h>

ccz_rc ccz_modulus_init(struct ccz_modulus *out, uint64_t q, struct ccz_err *err)
{
    *out = (struct ccz_modulus){0};
    if (q < 3 || q >> CCZ_MODULUS_BITS_MAX || q % 2 == 0)
        return ccz_fail(err, CCZ_E_ARG, "num:modulus", 0,
                        "modulus %" PRIu64 " is not odd and from 3 to 2^%d", q,
                        CCZ_MODULUS_BITS_MAX);
    out->q = q;
    while (q >> out->bits)
        out->bits++;
    cczi_u128 ratio = ~(cczi_u128)0 / q; /* q is no power of two: the same as of 2^128 */
    out->ratio[0] = (uint64_t)ratio;
    out->ratio[1] = (uint64_t)(ratio >> 64);
    out->r52 = (uint64_t)(((cczi_u128)1 << 52) % q);
    out->r104 = (uint64_t)(((cczi_u128)1 << 104) % q);
    out->one_quot = ccz_mulc_from(1, out).quot;
    out->r52_quot = ccz_mulc_from(out->r52, out).quot;
    out->r104_quot = ccz_mulc_from(out->r104, out).quot;
    return CCZ_OK;
}

struct ccz_mulc ccz_mulc_from(uint64_t w, const struct ccz_modulus *m)
{
    /* w floor(2^128 / q) / 2^64 is at most one too small; w 2^64 - quot q tells. */
    uint64_t quot = w * m->ratio[1] + (uint64_t)((cczi_u128)w * m->ratio[0] >> 64);
    uint64_t rest = 0 - quot * m->q;
    quot += 1 - ((rest - m->q) >> 63);
    return (struct ccz_mulc){w, quot};
}

uint64_t ccz_mod_reduce(uint64_t a, const struct ccz_modulus *m)
{
    return cczi_reduce(a, m);
}

uint64_t ccz_mod_add(uint64_t a, uint64_t b, const struct ccz_modulus *m)
{
    return cczi_sub_if(a + b, m->q);
}

uint64_t ccz_mod_sub(uint64_t a, uint64_t b, const struct ccz_modulus *m)
{
    return cczi_sub_if(a + m->q - b, m->q);
}

uint64_t ccz_mod_mul(uint64_t a, uint64_t b, const struct ccz_modulus *m)
{
    return cczi_mul(a, b, m);
}

uint64_t ccz_mod_pow(uint64_t a, uint64_t e, const struct ccz_modulus *m)
{
    uint64_t r = 1;
    for (; e > 0; e >>= 1) {
        if (e & 1)
            r = cczi_mul(r, a, m);
        a = cczi_mul(a, a, m);
    }
    return r;
}

uint64_t ccz_mod_inv(uint64_t a, const struct ccz_modulus *m)
{
    /* Euclid: of r0 = x0 a, r1 = x1 a mod q; |x| <= q */
    int64_t x0 = 0, x1 = 1;
    uint64_t r0 = m->q, r1 = a;
    while (r1 > 0) {
        uint64_t k = r0 / r1, r2 = r0 % r1;
        int64_t x2 = x0 - (int64_t)k * x1;
        r0 = r1;
        r1 = r2;
        x0 = x1;
        x1 = x2;
    }
    if (r0 != 1)
        return 0;
    return x0 < 0 ? (uint64_t)(x0 + (int64_t)m->q) : (uint64_t)x0;
}
