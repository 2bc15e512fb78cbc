/* SPDX-License-Identifier: Apache-2.0 */
/* Shamir's secret sharing over GF(2^16), 16 bits of each secret at a time: a share is as long as its secret. */
#include "secagg/secagg_priv.h"

#include <stdlib.h>
#include <string.h>

enum { LANES = 2 * CCZI_SA_LANES };

static void lanes_from(uint16_t *lanes, const uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        lanes[i] = (uint16_t)(bytes[2 * i] | bytes[2 * i + 1] << 8);
}

static void lanes_to(uint8_t *bytes, const uint16_t *lanes, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        bytes[2 * i] = (uint8_t)lanes[i];
        bytes[2 * i + 1] = (uint8_t)(lanes[i] >> 8);
    }
}

ccz_rc cczi_sa_split(uint8_t *out, const uint8_t *secrets, const uint32_t *members, size_t len,
                     uint32_t threshold)
{
    /* the polynomial's coefficients, the secrets last: at x = 0 they are what is left */
    CCZ_AUTO(ccz_secret) bytes = NULL;
    ccz_rc rc = ccz_secret_new(&bytes, (size_t)threshold * CCZI_SA_SHARES);
    if (rc == CCZ_OK && threshold > 1)
        rc = ccz_random(ccz_secret_bytes(bytes), (size_t)(threshold - 1) * CCZI_SA_SHARES);
    if (rc != CCZ_OK)
        return rc;
    uint8_t *coefficient = ccz_secret_bytes(bytes);
    memcpy(coefficient + (size_t)(threshold - 1) * CCZI_SA_SHARES, secrets, CCZI_SA_SHARES);
    uint16_t y[LANES], c[LANES];
    for (size_t i = 0; i < len; i++) {
        memset(y, 0, sizeof(y));
        for (uint32_t k = 0; k < threshold; k++) {
            lanes_from(c, coefficient + (size_t)k * CCZI_SA_SHARES, LANES);
            cczi_sa_horner(y, cczi_sa_point(members[i]), c, LANES);
        }
        lanes_to(out + i * CCZI_SA_SHARES, y, LANES);
    }
    ccz_wipe(y, sizeof(y));
    ccz_wipe(c, sizeof(c));
    return CCZ_OK;
}

/* Lagrange's coefficients at 0: x_j / (x_j - x_i) over all j but i. */
static uint16_t *lagrange(const uint32_t *members, size_t len)
{
    uint16_t *memory = calloc(3 * len, sizeof(*memory));
    if (!memory)
        return NULL;
    uint16_t *below = memory, *x = memory + len, *diff = memory + 2 * len, all = 1;
    for (size_t i = 0; i < len; i++) {
        x[i] = cczi_sa_point(members[i]);
        below[i] = x[i]; /* of the numerator: all / x_i */
        all = cczi_sa_mul(all, x[i]);
    }
    for (size_t j = 0; j < len; j++) {
        for (size_t i = 0; i < len; i++)
            diff[i] = i == j ? 1 : x[i] ^ x[j];
        cczi_sa_mul_lanes(below, diff, len);
    }
    for (size_t i = 0; i < len; i++)
        below[i] = cczi_sa_mul(all, cczi_sa_inv(below[i]));
    return memory;
}

ccz_rc cczi_sa_combine(uint8_t out[CCZI_SA_KEY], const uint8_t *const *shares,
                       const uint32_t *members, size_t len)
{
    static const uint16_t zero[CCZI_SA_LANES];
    uint16_t *coefficient = lagrange(members, len);
    if (!coefficient)
        return CCZ_E_NOMEM;
    uint16_t sum[CCZI_SA_LANES] = {0}, y[CCZI_SA_LANES];
    for (size_t i = 0; i < len; i++) {
        lanes_from(y, shares[i], CCZI_SA_LANES);
        cczi_sa_horner(y, coefficient[i], zero, CCZI_SA_LANES);
        for (size_t j = 0; j < CCZI_SA_LANES; j++)
            sum[j] ^= y[j];
    }
    lanes_to(out, sum, CCZI_SA_LANES);
    ccz_wipe(sum, sizeof(sum));
    ccz_wipe(y, sizeof(y));
    free(coefficient);
    return CCZ_OK;
}
