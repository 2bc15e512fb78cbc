/* SPDX-License-Identifier: Apache-2.0 */
/* The k-th largest magnitude, by its bits: three passes with a histogram of 11, 10 and 10 of the 31 bits. */
#include "agg_priv.h"

static const struct digit {
    unsigned shift, bits;
} digits[] = {{20, 11}, {10, 10}, {0, 10}};

static inline uint32_t magnitude(const float *x, const float *residual, size_t i)
{
    return cczi_agg_bits(residual ? x[i] + residual[i] : x[i]) & 0x7fffffff;
}

/* Magnitudes that begin with the bits of @p prefix above those of @p d, by their digit. */
static void count(uint64_t *bins, uint32_t prefix, struct digit d, const float *x,
                  const float *residual, size_t len)
{
    unsigned above = d.shift + d.bits;
    memset(bins, 0, ((size_t)1 << d.bits) * sizeof(*bins));
    for (size_t i = 0; i < len; i++) {
        uint32_t u = magnitude(x, residual, i);
        if (u >> above == prefix >> above)
            bins[u >> d.shift & ((1u << d.bits) - 1)]++;
    }
}

/* Whatever is not finite has an exponent of ones. */
static size_t find_nonfinite(const float *x, const float *residual, size_t len)
{
    size_t i = 0;
    while (i < len && magnitude(x, residual, i) < CCZI_AGG_INF_BITS)
        i++;
    return i;
}

size_t cczi_agg_topk_find(struct cczi_agg_topk *out, const float *x, const float *residual,
                          size_t len, uint64_t topk)
{
    uint64_t bins[2048], above = 0; /* values of larger magnitude than what is still looked at */
    uint32_t prefix = 0;
    *out = (struct cczi_agg_topk){.bits = 0};
    for (size_t k = 0; k < sizeof(digits) / sizeof(digits[0]); k++) {
        struct digit d = digits[k];
        count(bins, prefix, d, x, residual, len);
        size_t b = ((size_t)1 << d.bits) - 1;
        if (k == 0) {
            for (size_t i = CCZI_AGG_INF_BITS >> d.shift; i <= b; i++) {
                if (bins[i] > 0)
                    return find_nonfinite(x, residual, len);
            }
        }
        while (b > 0 && above + bins[b] < topk)
            above += bins[b--];
        prefix |= (uint32_t)b << d.shift;
    }
    /* zeros are never sent, so that there may be fewer than topk */
    *out = (struct cczi_agg_topk){
        .bits = prefix, .ties = prefix ? topk - above : 0, .count = prefix ? topk : above};
    return len;
}
