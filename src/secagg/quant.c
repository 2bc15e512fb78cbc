/* SPDX-License-Identifier: Apache-2.0 */
#define QUANT_ROUND cczi_sa_round
#define QUANT_REAL  cczi_sa_real
#include "secagg/quant_body.h"

enum { CLIENTS_MAX = 1 << 24 };
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

static bool vectors(void)
{
    return cczi_sa_quant_avx512_usable();
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
    uint32_t bad = vectors() ? cczi_sa_round_avx512(q, clipped, x, len, factor, top)
                             : cczi_sa_round(q, clipped, x, len, factor, top);
    if (!bad)
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
    if (vectors())
        cczi_sa_real_avx512(x, q, len, by);
    else
        cczi_sa_real(x, q, len, by);
}
