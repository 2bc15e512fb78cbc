/* SPDX-License-Identifier: Apache-2.0 */
/* GF(2^16): shift and add, without tables, in lanes that the compiler makes vectors of. */
#include "secagg/secagg_priv.h"

#define POLY 0x2d /* x^16 = x^5 + x^3 + x^2 + 1, primitive */

static inline uint16_t twice(uint16_t a)
{
    return (uint16_t)((uint32_t)a << 1 ^ (POLY & (0u - (uint32_t)(a >> 15))));
}

void cczi_sa_mul_lanes(uint16_t *a, const uint16_t *b, size_t len)
{
    enum { BLOCK = 16 };
    for (size_t at = 0; at < len; at += BLOCK) {
        size_t n = len - at < BLOCK ? len - at : BLOCK;
        uint16_t x[BLOCK] = {0}, y[BLOCK] = {0}, sum[BLOCK] = {0};
        for (size_t i = 0; i < n; i++) {
            x[i] = a[at + i];
            y[i] = b[at + i];
        }
        for (int bit = 15; bit >= 0; bit--)
            for (size_t i = 0; i < BLOCK; i++)
                sum[i] = (uint16_t)(twice(sum[i]) ^
                                    (x[i] & (uint16_t)(0u - ((uint32_t)y[i] >> bit & 1u))));
        for (size_t i = 0; i < n; i++)
            a[at + i] = sum[i];
    }
}

void cczi_sa_horner(uint16_t *a, uint16_t b, const uint16_t *c, size_t len)
{
    enum { BLOCK = 2 * CCZI_SA_LANES };
    for (size_t at = 0; at < len; at += BLOCK) {
        size_t n = len - at < BLOCK ? len - at : BLOCK;
        uint16_t x[BLOCK] = {0}, sum[BLOCK] = {0};
        for (size_t i = 0; i < n; i++)
            x[i] = a[at + i];
        for (int bit = 15; bit >= 0; bit--) {
            uint16_t mask = (uint16_t)(0u - ((uint32_t)b >> bit & 1u));
            for (size_t i = 0; i < BLOCK; i++)
                sum[i] = (uint16_t)(twice(sum[i]) ^ (x[i] & mask));
        }
        for (size_t i = 0; i < n; i++)
            a[at + i] = (uint16_t)(sum[i] ^ c[at + i]);
    }
}

uint16_t cczi_sa_mul(uint16_t a, uint16_t b)
{
    uint16_t sum = 0;
    for (int bit = 15; bit >= 0; bit--)
        sum = (uint16_t)(twice(sum) ^ (a & (uint16_t)(0u - ((uint32_t)b >> bit & 1u))));
    return sum;
}

uint16_t cczi_sa_inv(uint16_t a)
{
    uint16_t power = a, out = 1; /* a^(2^16 - 2) */
    for (int i = 1; i < 16; i++) {
        power = cczi_sa_mul(power, power);
        out = cczi_sa_mul(out, power);
    }
    return out;
}
