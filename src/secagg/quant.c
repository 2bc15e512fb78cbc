/* SPDX-License-Identifier: Apache-2.0 */
#include "secagg/secagg_priv.h"

#include <math.h>
#include <string.h>

enum { CLIENTS_MAX = 1 << 24 };
/* Added to a number below 2^51, its lowest bits are the number rounded to an integer (IEEE 754, to nearest). */
#define ROUNDER 0x1.8p52

static double levels(const struct ccz_secagg_quant *cfg)
{
    bool good =
        cfg->range > 0 && isfinite(cfg->range) && cfg->clients > 0 && cfg->clients <= CLIENTS_MAX;
    return good ? (double)(INT32_MAX / cfg->clients) : 0;
}

double ccz_secagg_quant_step(const struct ccz_secagg_quant *cfg)
{
    double n = levels(cfg);
    return n > 0 ? (double)cfg->range / n : 0;
}

/* Not-a-number ends up as 0 or at a border; `bad` tells. */
static uint32_t round_all(uint32_t *q, uint64_t *clipped, const float *x, size_t len, double factor,
                          double top)
{
    uint64_t out = 0;
    uint32_t bad = 0;
    for (size_t i = 0; i < len; i++) {
        double v = (double)x[i] * factor;
        bad |= (uint32_t) !(v - v == 0);
        out += fabs(v) > top + 0.5;
        v = v > top ? top : v;
        v = v < -top ? -top : v;
        v += ROUNDER;
        uint64_t bits;
        memcpy(&bits, &v, sizeof(bits));
        q[i] = (uint32_t)bits;
    }
    if (clipped)
        *clipped = out;
    return bad;
}

ccz_rc ccz_secagg_quantize(uint32_t *q, uint64_t *clipped, const float *x, size_t len, float scale,
                           const struct ccz_secagg_quant *cfg, struct ccz_err *err)
{
    double top = levels(cfg);
    if (clipped)
        *clipped = 0;
    if (!(top > 0) || !isfinite(scale))
        return ccz_fail(err, CCZ_E_ARG, "secagg:range", 0,
                        "range %g, %u clients, scale %g: out of range", (double)cfg->range,
                        cfg->clients, (double)scale);
    double factor = (double)scale * top / (double)cfg->range;
    if (!round_all(q, clipped, x, len, factor, top))
        return CCZ_OK;
    size_t at = 0;
    while (at + 1 < len && isfinite((double)x[at] * factor))
        at++;
    memset(q, 0, len * sizeof(*q));
    if (clipped)
        *clipped = 0;
    return ccz_fail(err, CCZ_E_FORMAT, "secagg:not-finite", (int64_t)at,
                    "value %zu is infinite or not a number", at);
}

void ccz_secagg_dequantize(float *x, const uint32_t *q, size_t len, double factor,
                           const struct ccz_secagg_quant *cfg)
{
    double by = factor * ccz_secagg_quant_step(cfg);
    for (size_t i = 0; i < len; i++) {
        int32_t v;
        memcpy(&v, &q[i], sizeof(v));
        float f = (float)(by * v);
        memcpy(&x[i], &f, sizeof(f));
    }
}
