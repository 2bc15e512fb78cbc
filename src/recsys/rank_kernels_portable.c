/* SPDX-License-Identifier: Apache-2.0 */
/* Kernels in plain C: what all others are held to. */
#include "rank_priv.h"

#include "base/ct.h"

enum { LANES = 16 };

static void scan(const struct cczi_rank_bounds *out, const struct cczi_rank_group *g,
                 const struct cczi_rank_tile *t, size_t quads, size_t len)
{
    for (size_t u = 0; u < len; u++) {
        int32_t sum[CCZI_RANK_TILE] = {0};
        for (size_t f = 0; f < quads; f++) {
            const uint8_t *v = t->panel + f * CCZI_RANK_TILE * CCZI_RANK_QUAD;
            const int8_t *q = g->q[f][u];
            for (size_t i = 0; i < CCZI_RANK_TILE; i++)
                sum[i] += v[4 * i] * q[0] + v[4 * i + 1] * q[1] + v[4 * i + 2] * q[2] +
                          v[4 * i + 3] * q[3];
        }
        const float w = g->alpha[u] + g->beta[u] * t->ratio;
        const uint32_t in = out->in[u * out->in_step];
        float *upper = out->upper + u * out->upper_step, *max = out->lower_max + u * out->max_step;
        for (size_t i = 0; i < CCZI_RANK_TILE; i++) {
            const float up = (float)(sum[i] - g->minus[u]) * (g->scale[u] * t->scale[i]) +
                             (t->norm[i] * w + (t->base[i] + g->base[u]));
            upper[i] = in >> i & 1 ? up : -INFINITY;
            const float low = upper[i] - (t->norm[i] * (2 * w) + g->fall[u]);
            max[i] = low > max[i] ? low : max[i];
        }
    }
}

static void pick(uint32_t *mask, const float *upper, size_t tiles, float least)
{
    for (size_t t = 0; t < tiles; t++) {
        mask[t] = 0;
        for (size_t i = 0; i < CCZI_RANK_TILE; i++)
            mask[t] |= (uint32_t)(upper[t * CCZI_RANK_TILE + i] >= least) << i;
    }
}

static float dot(const float *a, const float *b, size_t stride)
{
    float s[LANES] = {0};
    for (size_t j = 0; j < stride; j += LANES)
        for (size_t l = 0; l < LANES; l++)
            s[l] += a[j + l] * b[j + l];
    for (size_t half = LANES / 2; half > 0; half /= 2)
        for (size_t l = 0; l < half; l++)
            s[l] += s[l + half];
    return s[0];
}

static void dots(float *out, const float *a, const float *rows, size_t len, size_t stride)
{
    for (size_t i = 0; i < len; i++)
        out[i] = dot(a, rows + i * stride, stride);
}

/* All ones if a < b, else 0: the sign of a - b, corrected where that overflows (Hacker's Delight, 2-12). */
static uint64_t below(int64_t a, int64_t b)
{
    const uint64_t x = (uint64_t)a, y = (uint64_t)b, d = x - y;
    return cczi_ct_barrier64(0 - ((d ^ ((x ^ y) & (d ^ x))) >> 63));
}

static void insert(int64_t *top, size_t k, const int64_t *key, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t x = (uint64_t)key[i];
        for (size_t j = 0; j < k; j++) { /* what is less moves on */
            const uint64_t t = (uint64_t)top[j], m = (t ^ x) & below(top[j], (int64_t)x);
            top[j] = (int64_t)(t ^ m);
            x ^= m;
        }
    }
}

const struct cczi_rank_kernels cczi_rank_portable = {.name = "portable",
                                                     .limit = 127,
                                                     .scan = scan,
                                                     .pick = pick,
                                                     .dot = dot,
                                                     .dots = dots,
                                                     .insert = insert};
