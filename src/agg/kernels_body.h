/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The kernels, in C that compilers turn into vector code. Each tier includes this file once, in a source with flags of its
 * own, after it has defined TIER (its name) and the conversions of binary16 (HALF_TO, HALF_FROM: functions over arrays).
 * -ffp-contract=off and the absence of -ffast-math make the tiers agree bit for bit: C says what each line rounds to.
 */
#include "base/copy.h"

#include "agg_priv.h"

#include <math.h>

#if __BYTE_ORDER__ != __ORDER_LITTLE_ENDIAN__
#error "encoded vectors are little-endian: byte swaps are missing here"
#endif

static void k_add(float *acc, const float *x, float w, size_t len)
{
    for (size_t i = 0; i < len; i++)
        acc[i] += w * x[i];
}

static void k_sub(float *r, const float *a, const float *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        r[i] = a[i] - b[i];
}

static void k_axpby(float *y, float a, const float *x, float b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        y[i] = a * x[i] + b * y[i];
}

static void k_scale(float *r, float w, const float *x, size_t len)
{
    for (size_t i = 0; i < len; i++)
        r[i] = w * x[i];
}

/* ------------------------------------------------------------------------------ sums with lanes */

static void k_squares(double lanes[CCZ_AGG_LANES], const float *x, size_t len)
{
    double s[CCZ_AGG_LANES];
    memcpy(s, lanes, sizeof(s));
    for (size_t i = 0; i < len; i += CCZ_AGG_LANES) {
        for (size_t j = 0; j < CCZ_AGG_LANES; j++)
            s[j] += (double)x[i + j] * (double)x[i + j];
    }
    memcpy(lanes, s, sizeof(s));
}

static void k_distance(double lanes[CCZ_AGG_LANES], const float *a, const float *b, size_t len)
{
    double s[CCZ_AGG_LANES] = {0};
    for (size_t i = 0; i < len; i += CCZ_AGG_LANES) {
        for (size_t j = 0; j < CCZ_AGG_LANES; j++) {
            float d = a[i + j] - b[i + j];
            s[j] += (double)d * (double)d;
        }
    }
    memcpy(lanes, s, sizeof(s));
}

static uint32_t k_max_abs(const float *x, size_t len)
{
    uint32_t max = 0;
    for (size_t i = 0; i < len; i++) {
        uint32_t a = cczi_agg_bits(x[i]) & 0x7fffffff;
        max = a > max ? a : max;
    }
    return max;
}

/* ---------------------------------------------------------------------------- server optimizers */

static void k_fedavg(const struct cczi_agg_step *s)
{
    float *x = s->params, lr = s->lr, scale = s->scale;
    const float *sum = s->sum;
    for (size_t i = 0; i < s->len; i++)
        x[i] += lr * (scale * sum[i]);
}

static void k_fedavgm(const struct cczi_agg_step *s)
{
    float *restrict x = s->params, *restrict m = s->m;
    const float *restrict sum = s->sum;
    float lr = s->lr, scale = s->scale, beta1 = s->beta1;
    for (size_t i = 0; i < s->len; i++) {
        m[i] = beta1 * m[i] + scale * sum[i];
        x[i] += lr * m[i];
    }
}

/* What the adaptive kinds share; NEXT_V is an expression of v, d2 and c2 = 1 - beta2. */
#define ADAPTIVE(name, NEXT_V)                                                                     \
    static void name(const struct cczi_agg_step *s)                                                \
    {                                                                                              \
        float *restrict x = s->params, *restrict pm = s->m, *restrict pv = s->v;                   \
        const float *restrict sum = s->sum;                                                        \
        float scale = s->scale, lr = s->lr, b1 = s->beta1, b2 = s->beta2, tau = s->tau;            \
        float c1 = 1.0f - b1, c2 = 1.0f - b2;                                                      \
        for (size_t i = 0; i < s->len; i++) {                                                      \
            float d = scale * sum[i], d2 = d * d, v = pv[i], m = b1 * pm[i] + c1 * d;              \
            v = (NEXT_V);                                                                          \
            x[i] += lr * m / (sqrtf(v) + tau);                                                     \
            pm[i] = m;                                                                             \
            pv[i] = v;                                                                             \
        }                                                                                          \
        (void)b2;                                                                                  \
        (void)c2;                                                                                  \
    }
ADAPTIVE(k_fedadagrad, v + d2)
ADAPTIVE(k_fedadam, b2 *v + c2 * d2)
ADAPTIVE(k_fedyogi, v - c2 * d2 * (v > d2 ? 1.0f : v < d2 ? -1.0f : 0.0f))
#undef ADAPTIVE

static void k_scaffold(float *dc, float *ci, const float *c, const float *x, const float *y,
                       float inverse, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        float d = (x[i] - y[i]) * inverse - c[i];
        ci[i] += d;
        dc[i] = d;
    }
}

/* --------------------------------------------------------------------------------------- codecs */

static inline float load_f32(const uint8_t *in, size_t i)
{
    float x;
    memcpy(&x, in + 4 * i, sizeof(x));
    return x;
}

/* The upper half of a float32. */
static inline float load_bf16(const uint8_t *in, size_t i)
{
    uint16_t h;
    memcpy(&h, in + 2 * i, sizeof(h));
    return cczi_agg_float((uint32_t)h << 16);
}

static inline float load_i8(const uint8_t *in, size_t i, float s)
{
    return s * (float)(int8_t)in[i];
}

static void k_f32_to(float *out, const uint8_t *in, size_t len)
{
    memcpy(out, in, 4 * len);
}

static void k_bf16_to(float *out, const uint8_t *in, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = load_bf16(in, i);
}

static void k_i8_to(float *out, const uint8_t *in, float s, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = load_i8(in, i, s);
}

static void k_f32_add(float *acc, const uint8_t *in, float w, size_t len)
{
    for (size_t i = 0; i < len; i++)
        acc[i] += w * load_f32(in, i);
}

static void k_bf16_add(float *acc, const uint8_t *in, float w, size_t len)
{
    for (size_t i = 0; i < len; i++)
        acc[i] += w * load_bf16(in, i);
}

static void k_i8_add(float *acc, const uint8_t *in, float s, float w, size_t len)
{
    for (size_t i = 0; i < len; i++)
        acc[i] += w * load_i8(in, i, s);
}

static void k_f32_from(uint8_t *out, const float *x, size_t len)
{
    cczi_copy(out, x, 4 * len); /* often 1 to 31 bytes ahead modulo 4096: see there */
}

static void k_bf16_from(uint8_t *out, const float *x, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        uint32_t u = cczi_agg_bits(x[i]), a = u & 0x7fffffff;
        a = a < 0x7f7f0000u ? a : 0x7f7f0000u; /* largest finite value */
        a += 0x7fffu + (a >> 16 & 1); /* half an ulp, less a bit where that makes it even */
        uint16_t h = (uint16_t)((u & 0x80000000u) >> 16 | a >> 16);
        memcpy(out + 2 * i, &h, sizeof(h));
    }
}

/* Adding 1.5 2^23 leaves an integer, rounded to nearest even, in the low bits. */
static void k_i8_from(uint8_t *out, const float *x, float inverse, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = (uint8_t)cczi_agg_bits(x[i] * inverse + 0x1.8p23f);
}

/* Portable binary16, also for what is left of arrays. NaN becomes quiet, as it does in F16C. */
static inline float half_to(uint16_t h)
{
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, a = (uint32_t)(h & 0x7fff) << 13;
    uint32_t special = CCZI_AGG_INF_BITS | a | (h & 0x3ff ? 0x400000u : 0);
    /* as a float32 a's exponent is too small by 112; the product is exact, subnormal numbers too */
    uint32_t u = cczi_agg_bits(cczi_agg_float(a) * 0x1p112f);
    return cczi_agg_float(sign | (a >= 0x0f800000u ? special : u));
}

/* x is finite; beyond the largest finite value: that one. */
static inline uint16_t half_from(float x)
{
    uint32_t u = cczi_agg_bits(x), a = u & 0x7fffffff;
    a = a < 0x477fe000u ? a : 0x477fe000u; /* 65504 */
    /* subnormal results: the ulp of numbers in [1/2, 1) is 2^-24, that of subnormal halves */
    uint32_t tiny = cczi_agg_bits(cczi_agg_float(a) + 0.5f) - 0x3f000000u;
    uint32_t normal = (a + 0xfffu + (a >> 13 & 1) - 0x38000000u) >> 13;
    return (uint16_t)((u & 0x80000000u) >> 16 | (a < 0x38800000u ? tiny : normal));
}

static inline uint16_t load_u16(const uint8_t *in, size_t i)
{
    uint16_t h;
    memcpy(&h, in + 2 * i, sizeof(h));
    return h;
}

static void k_f16_to(float *out, const uint8_t *in, size_t len)
{
    size_t i = HALF_TO(out, in, len);
    for (; i < len; i++)
        out[i] = half_to(load_u16(in, i));
}

static void k_f16_add(float *acc, const uint8_t *in, float w, size_t len)
{
    size_t i = HALF_ADD(acc, in, w, len);
    for (; i < len; i++)
        acc[i] += w * half_to(load_u16(in, i));
}

static void k_f16_from(uint8_t *out, const float *x, size_t len)
{
    size_t i = HALF_FROM(out, x, len);
    for (; i < len; i++) {
        uint16_t h = half_from(x[i]);
        memcpy(out + 2 * i, &h, sizeof(h));
    }
}

/* --------------------------------------------------------------------------------- robust rules */

static void k_sort(float *tile, size_t cols, const uint16_t (*pairs)[2], size_t pairs_len)
{
    for (size_t p = 0; p < pairs_len; p++) {
        float *restrict lo = tile + pairs[p][0] * cols, *restrict hi = tile + pairs[p][1] * cols;
        for (size_t i = 0; i < cols;
             i++) { /* equal values change places: a permutation, -0 and 0 too */
            float a = lo[i], b = hi[i];
            lo[i] = a < b ? a : b;
            hi[i] = b > a ? b : a;
        }
    }
}

static void k_mean_rows(float *out, const float *tile, size_t cols, size_t from, size_t to)
{
    double count = (double)(to - from);
    for (size_t i = 0; i < cols; i += 16) {
        double s[16] = {0};
        for (size_t r = from; r < to; r++) {
            for (size_t j = 0; j < 16; j++)
                s[j] += (double)tile[r * cols + i + j];
        }
        for (size_t j = 0; j < 16; j++)
            out[i + j] = (float)(s[j] / count);
    }
}

static void k_middle(float *out, const float *a, const float *b, size_t len)
{
    for (size_t i = 0; i < len; i++)
        out[i] = 0.5f * a[i] + 0.5f * b[i];
}

#define AGG_TIER(tier_name)                                                                        \
    {                                                                                              \
        .name = (tier_name), .add = k_add, .sub = k_sub, .axpby = k_axpby, .scale = k_scale,       \
        .squares = k_squares, .distance = k_distance, .max_abs = k_max_abs,                        \
        .step = {k_fedavg, k_fedavgm, k_fedadagrad, k_fedadam, k_fedyogi}, .scaffold = k_scaffold, \
        .f32_to = k_f32_to, .f16_to = k_f16_to, .bf16_to = k_bf16_to, .i8_to = k_i8_to,            \
        .f32_add = k_f32_add, .f16_add = k_f16_add, .bf16_add = k_bf16_add, .i8_add = k_i8_add,    \
        .f32_from = k_f32_from, .f16_from = k_f16_from, .bf16_from = k_bf16_from,                  \
        .i8_from = k_i8_from, .sort = k_sort, .mean_rows = k_mean_rows, .middle = k_middle,        \
    }
