/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_NN_KERNELS_VEC_H
#define CCZ_NN_KERNELS_VEC_H
/*
 * Kernels over vectors of VEC floats, included by the file of each tier, which defines NN_TIER. Each kernel keeps a tile of
 * sums in registers; sizes of tiles are compile-time constants, and what is left at the borders runs through
 * smaller tiles of the same function.
 */
#include "nn_priv.h"

#include "base/unroll.h"

#include <string.h>

/* Tiles: DOT rows x columns of dense(), MUL rows x vectors of product(), CONV channels x positions, WGRAD channels x taps. */
#if NN_TIER == 512
#include <immintrin.h>
enum { VEC = 16, DOT_M = 4, DOT_N = 4, MUL_M = 6, MUL_N = 4, CONV_O = 6, CONV_P = 4, WGRAD_O = 4 };
typedef __m512 vec;
typedef __mmask16 mask;
#define LOAD(p)            _mm512_loadu_ps(p)
#define STORE(p, x)        _mm512_storeu_ps(p, x)
#define ALL(x)             _mm512_set1_ps(x)
#define ADD(a, b)          _mm512_add_ps(a, b)
#define SUB(a, b)          _mm512_sub_ps(a, b)
#define MUL(a, b)          _mm512_mul_ps(a, b)
#define FMA(a, b, c)       _mm512_fmadd_ps(a, b, c)
#define MAX(a, b)          _mm512_max_ps(a, b)
#define SUM(x)             _mm512_reduce_add_ps(x)
#define EQUAL(a, b)        _mm512_cmp_ps_mask(a, b, _CMP_EQ_OQ)
#define ABOVE(a, b)        _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)
#define WITHOUT(a, b)      ((mask)_kandn_mask16(b, a)) /* a and not b */
#define KEEP(m, x)         _mm512_maskz_mov_ps(m, x)   /* x where m, else 0 */
#define LOW(n)             ((mask)((1u << (n)) - 1))
#define LOAD_LOW(p, n)     _mm512_maskz_loadu_ps(LOW(n), p)
#define STORE_LOW(p, x, n) _mm512_mask_storeu_ps(p, LOW(n), x)
#elif NN_TIER == 256
#include "base/sum8.h"
enum { VEC = 8, DOT_M = 4, DOT_N = 2, MUL_M = 6, MUL_N = 2, CONV_O = 6, CONV_P = 2, WGRAD_O = 2 };
typedef __m256 vec;
typedef __m256 mask;
#define LOAD(p)            _mm256_loadu_ps(p)
#define STORE(p, x)        _mm256_storeu_ps(p, x)
#define ALL(x)             _mm256_set1_ps(x)
#define ADD(a, b)          _mm256_add_ps(a, b)
#define SUB(a, b)          _mm256_sub_ps(a, b)
#define MUL(a, b)          _mm256_mul_ps(a, b)
#define FMA(a, b, c)       _mm256_fmadd_ps(a, b, c)
#define MAX(a, b)          _mm256_max_ps(a, b)
#define SUM(x)             cczi_sum8(x)
#define EQUAL(a, b)        _mm256_cmp_ps(a, b, _CMP_EQ_OQ)
#define ABOVE(a, b)        _mm256_cmp_ps(a, b, _CMP_GT_OQ)
#define WITHOUT(a, b)      _mm256_andnot_ps(b, a)
#define KEEP(m, x)         _mm256_and_ps(m, x)
INLINE __m256i LOW(size_t n)
{
    const __m256i at = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), at);
}
#define LOAD_LOW(p, n)     _mm256_maskload_ps(p, LOW(n))
#define STORE_LOW(p, x, n) _mm256_maskstore_ps(p, LOW(n), x)
#else
enum { VEC = 4, DOT_M = 2, DOT_N = 2, MUL_M = 2, MUL_N = 2, CONV_O = 2, CONV_P = 2, WGRAD_O = 1 };
typedef struct {
    float v[VEC];
} vec;
typedef struct {
    bool v[VEC];
} mask;
#define EACH        for (size_t e = 0; e < VEC; e++)
INLINE vec LOAD_LOW(const float *p, size_t n)
{
    vec x = {{0}};
    memcpy(&x, p, n * sizeof(float));
    return x;
}
INLINE void STORE_LOW(float *p, vec x, size_t n)
{
    memcpy(p, &x, n * sizeof(float));
}
#define LOAD(p)     LOAD_LOW(p, VEC)
#define STORE(p, x) STORE_LOW(p, x, VEC)
INLINE vec ALL(float x)
{
    return (vec){{x, x, x, x}};
}
#define PORTABLE_OP(NAME, EXPR)                                                                    \
    INLINE vec NAME(vec a, vec b)                                                                  \
    {                                                                                              \
        EACH a.v[e] = EXPR;                                                                        \
        return a;                                                                                  \
    }
PORTABLE_OP(ADD, a.v[e] + b.v[e])
PORTABLE_OP(SUB, a.v[e] - b.v[e])
PORTABLE_OP(MUL, a.v[e] * b.v[e])
PORTABLE_OP(MAX, a.v[e] > b.v[e] ? a.v[e] : b.v[e])
INLINE vec FMA(vec a, vec b, vec c)
{
    return ADD(MUL(a, b), c);
}
INLINE float SUM(vec x)
{
    return (x.v[0] + x.v[2]) + (x.v[1] + x.v[3]);
}
INLINE mask EQUAL(vec a, vec b)
{
    mask m;
    EACH m.v[e] = a.v[e] == b.v[e];
    return m;
}
INLINE mask ABOVE(vec a, vec b)
{
    mask m;
    EACH m.v[e] = a.v[e] > b.v[e];
    return m;
}
INLINE mask WITHOUT(mask a, mask b)
{
    EACH a.v[e] = a.v[e] && !b.v[e];
    return a;
}
INLINE vec KEEP(mask m, vec x)
{
    EACH x.v[e] = m.v[e] ? x.v[e] : 0;
    return x;
}
#endif

/* --------------------------------------------------------------------------------------- dense */

/* Sums along k of every row of x with every row of w. */
INLINE void dot_tile(const size_t mt, const size_t nt, float *y, size_t n, const float *x,
                     const float *w, const float *b, bool relu, size_t k)
{
    vec acc[DOT_M][DOT_N], xs[DOT_M];
    UNROLL for (size_t i = 0; i < mt; i++) UNROLL for (size_t j = 0; j < nt; j++) acc[i][j] =
        ALL(0);
    size_t at = 0;
    for (; at + VEC <= k; at += VEC) {
        UNROLL for (size_t i = 0; i < mt; i++) xs[i] = LOAD(x + i * k + at);
        UNROLL for (size_t j = 0; j < nt; j++)
        {
            const vec ws = LOAD(w + j * k + at);
            UNROLL for (size_t i = 0; i < mt; i++) acc[i][j] = FMA(xs[i], ws, acc[i][j]);
        }
    }
    if (at < k) {
        UNROLL for (size_t i = 0; i < mt; i++) xs[i] = LOAD_LOW(x + i * k + at, k - at);
        UNROLL for (size_t j = 0; j < nt; j++)
        {
            const vec ws = LOAD_LOW(w + j * k + at, k - at);
            UNROLL for (size_t i = 0; i < mt; i++) acc[i][j] = FMA(xs[i], ws, acc[i][j]);
        }
    }
    UNROLL for (size_t i = 0; i < mt; i++)
    {
        UNROLL for (size_t j = 0; j < nt; j++)
        {
            const float sum = SUM(acc[i][j]) + b[j];
            y[i * n + j] = relu && !(sum > 0) ? (sum != sum ? sum : 0) : sum; /* keeps NaN */
        }
    }
}

INLINE void dot_rows(const size_t mt, float *y, const float *x, const float *w, const float *b,
                     bool relu, size_t n, size_t k)
{
    size_t j = 0;
    for (; j + DOT_N <= n; j += DOT_N)
        dot_tile(mt, DOT_N, y + j, n, x, w + j * k, b + j, relu, k);
    for (; j < n; j++)
        dot_tile(mt, 1, y + j, n, x, w + j * k, b + j, relu, k);
}

static void dense(float *y, const float *x, const float *w, const float *b, bool relu, size_t m,
                  size_t n, size_t k)
{
    size_t i = 0;
    for (; i + DOT_M <= m; i += DOT_M)
        dot_rows(DOT_M, y + i * n, x + i * k, w, b, relu, n, k);
    for (; i < m; i++)
        dot_rows(1, y + i * n, x + i * k, w, b, relu, n, k);
}

/* nt vectors of mt rows of c; `low` < VEC: only so many columns of one vector */
INLINE void mul_tile(const size_t mt, const size_t nt, const bool partial, size_t low, float *c,
                     size_t n, const float *a, size_t row, size_t col, const float *b, size_t k)
{
    vec acc[MUL_M][MUL_N], bs[MUL_N];
    UNROLL for (size_t i = 0; i < mt; i++) UNROLL for (size_t j = 0; j < nt; j++) acc[i][j] =
        ALL(0);
    for (size_t at = 0; at < k; at++) {
        UNROLL for (size_t j = 0; j < nt; j++) bs[j] =
            partial ? LOAD_LOW(b + at * n, low) : LOAD(b + at * n + j * VEC);
        UNROLL for (size_t i = 0; i < mt; i++)
        {
            const vec as = ALL(a[i * row + at * col]);
            UNROLL for (size_t j = 0; j < nt; j++) acc[i][j] = FMA(as, bs[j], acc[i][j]);
        }
    }
    UNROLL for (size_t i = 0; i < mt; i++)
    {
        UNROLL for (size_t j = 0; j < nt; j++)
        {
            if (partial)
                STORE_LOW(c + i * n, acc[i][j], low);
            else
                STORE(c + i * n + j * VEC, acc[i][j]);
        }
    }
}

INLINE void mul_columns(const size_t mt, float *c, const float *a, size_t row, size_t col,
                        const float *b, size_t n, size_t k)
{
    size_t j = 0;
    for (; j + MUL_N * VEC <= n; j += MUL_N * VEC)
        mul_tile(mt, MUL_N, false, 0, c + j, n, a, row, col, b + j, k);
    for (; j + VEC <= n; j += VEC)
        mul_tile(mt, 1, false, 0, c + j, n, a, row, col, b + j, k);
    if (j < n)
        mul_tile(mt, 1, true, n - j, c + j, n, a, row, col, b + j, k);
}

static void product(float *c, const float *a, size_t row, size_t col, const float *b, size_t m,
                    size_t n, size_t k)
{
    size_t i = 0;
    for (; i + MUL_M <= m; i += MUL_M)
        mul_columns(MUL_M, c + i * n, a + i * row, row, col, b, n, k);
    for (; i + 2 <= m; i += 2)
        mul_columns(2, c + i * n, a + i * row, row, col, b, n, k);
    for (; i < m; i++)
        mul_columns(1, c + i * n, a + i * row, row, col, b, n, k);
}

/* --------------------------------------------------------------------------------- convolution */

/* ot channels of pt positions of a row: x at the first tap of the first position */
INLINE void conv_tile(const size_t ot, const size_t pt, float *y, const float *x, const float *w,
                      const float *b, bool relu, const struct cczi_nn_conv *s)
{
    const size_t k = s->k, w_stride = s->in * k * k, plane = s->out_h * s->out_w * LANES;
    vec acc[CONV_O][CONV_P], xs[CONV_P];
    UNROLL for (size_t o = 0; o < ot; o++) UNROLL for (size_t p = 0; p < pt; p++) acc[o][p] =
        ALL(b[o]);
    for (size_t c = 0; c < s->in; c++) {
        for (size_t i = 0; i < k; i++) {
            const float *line = x + (c * s->in_h + i) * s->in_w * LANES;
            for (size_t j = 0; j < k; j++, w++) {
                UNROLL for (size_t p = 0; p < pt; p++) xs[p] = LOAD(line + (p + j) * LANES);
                UNROLL for (size_t o = 0; o < ot; o++)
                {
                    const vec ws = ALL(w[o * w_stride]);
                    UNROLL for (size_t p = 0; p < pt; p++) acc[o][p] = FMA(ws, xs[p], acc[o][p]);
                }
            }
        }
    }
    UNROLL for (size_t o = 0; o < ot; o++) UNROLL for (size_t p = 0; p < pt; p++)
        STORE(y + o * plane + p * LANES, relu ? MAX(ALL(0), acc[o][p]) : acc[o][p]);
}

INLINE void conv_channels(const size_t ot, float *y, const float *x, const float *w, const float *b,
                          bool relu, const struct cczi_nn_conv *s)
{
    for (size_t at = 0; at < LANES; at += VEC) {
        for (size_t r = 0; r < s->out_h; r++) {
            const float *from = x + r * s->in_w * LANES + at;
            float *to = y + r * s->out_w * LANES + at;
            size_t p = 0;
            for (; p + CONV_P <= s->out_w; p += CONV_P)
                conv_tile(ot, CONV_P, to + p * LANES, from + p * LANES, w, b, relu, s);
            for (; p < s->out_w; p++)
                conv_tile(ot, 1, to + p * LANES, from + p * LANES, w, b, relu, s);
        }
    }
}

static void conv(float *y, const float *x, const float *w, const float *b, bool relu,
                 const struct cczi_nn_conv *s)
{
    const size_t w_stride = s->in * s->k * s->k, plane = s->out_h * s->out_w * LANES;
    size_t o = 0;
    for (; o + CONV_O <= s->out; o += CONV_O)
        conv_channels(CONV_O, y + o * plane, x, w + o * w_stride, b + o, relu, s);
    for (; o + 2 <= s->out; o += 2)
        conv_channels(2, y + o * plane, x, w + o * w_stride, b + o, relu, s);
    for (; o < s->out; o++)
        conv_channels(1, y + o * plane, x, w + o * w_stride, b + o, relu, s);
}

/* ct channels of dx at positions x .. x + pt - 1 of row r: sum over o, i, j of w[o][c][i][j] dy[o][r - i][x - j]. Taps
 * whose row or whole tile lies outside of dy are left out; at the sides of a row there are zeros. */
INLINE void conv_input_tile(const size_t ct, const size_t pt, float *dx, size_t dx_plane,
                            const float *dy, const float *w, size_t r, size_t x,
                            const struct cczi_nn_conv *s)
{
    const size_t k = s->k, taps = k * k, stride = s->out_w + 2 * (k - 1);
    const size_t i_from = r + 1 > s->out_h ? r + 1 - s->out_h : 0, i_to = r < k - 1 ? r + 1 : k;
    const size_t j_from = x + 1 > s->out_w ? x + 1 - s->out_w : 0, j_to = x + pt < k ? x + pt : k;
    vec acc[CONV_O][CONV_P], ds[CONV_P];
    UNROLL for (size_t c = 0; c < ct; c++) UNROLL for (size_t p = 0; p < pt; p++) acc[c][p] =
        ALL(0);
    for (size_t o = 0; o < s->out; o++) {
        for (size_t i = i_from; i < i_to; i++) {
            const float *line = dy + ((o * s->out_h + r - i) * stride + k - 1 + x) * LANES;
            const float *tap = w + o * s->in * taps + i * k;
            for (size_t j = j_from; j < j_to; j++) {
                const float *at = line - j * LANES;
                UNROLL for (size_t p = 0; p < pt; p++) ds[p] = LOAD(at + p * LANES);
                UNROLL for (size_t c = 0; c < ct; c++)
                {
                    const vec ws = ALL(tap[c * taps + j]);
                    UNROLL for (size_t p = 0; p < pt; p++) acc[c][p] = FMA(ws, ds[p], acc[c][p]);
                }
            }
        }
    }
    UNROLL for (size_t c = 0; c < ct; c++) UNROLL for (size_t p = 0; p < pt; p++)
        STORE(dx + c * dx_plane + p * LANES, acc[c][p]);
}

INLINE void conv_input_channels(const size_t ct, float *dx, const float *dy, const float *w,
                                size_t stride, const struct cczi_nn_conv *s)
{
    const size_t plane = s->in_h * stride * LANES;
    for (size_t at = 0; at < LANES; at += VEC) {
        for (size_t r = 0; r < s->in_h; r++) {
            float *to = dx + r * stride * LANES + at;
            size_t p = 0;
            for (; p + CONV_P <= s->in_w; p += CONV_P)
                conv_input_tile(ct, CONV_P, to + p * LANES, plane, dy + at, w, r, p, s);
            for (; p < s->in_w; p++)
                conv_input_tile(ct, 1, to + p * LANES, plane, dy + at, w, r, p, s);
        }
    }
}

static void conv_input(float *dx, const float *dy, const float *w, size_t stride,
                       const struct cczi_nn_conv *s)
{
    const size_t taps = s->k * s->k, plane = s->in_h * stride * LANES;
    size_t c = 0;
    for (; c + CONV_O <= s->in; c += CONV_O)
        conv_input_channels(CONV_O, dx + c * plane, dy, w + c * taps, stride, s);
    for (; c + 2 <= s->in; c += 2)
        conv_input_channels(2, dx + c * plane, dy, w + c * taps, stride, s);
    for (; c < s->in; c++)
        conv_input_channels(1, dx + c * plane, dy, w + c * taps, stride, s);
}

/* jt taps of row i of the kernels of ot channels: sums over all positions and samples */
enum { WGRAD_J = 5 };
INLINE void wgrad_tile(const size_t ot, const size_t jt, float *dw, const float *x, const float *dy,
                       const struct cczi_nn_conv *s)
{
    const size_t k = s->k, stride = (s->out_w + 2 * (k - 1)) * LANES, plane = s->out_h * stride;
    vec acc[WGRAD_O][WGRAD_J], xs[WGRAD_J];
    UNROLL for (size_t o = 0; o < ot; o++) UNROLL for (size_t j = 0; j < jt; j++) acc[o][j] =
        ALL(0);
    for (size_t at = 0; at < LANES; at += VEC) {
        for (size_t r = 0; r < s->out_h; r++) {
            const float *xl = x + r * s->in_w * LANES + at;
            const float *dl = dy + r * stride + (k - 1) * LANES + at;
            for (size_t p = 0; p < s->out_w; p++, xl += LANES, dl += LANES) {
                UNROLL for (size_t j = 0; j < jt; j++) xs[j] = LOAD(xl + j * LANES);
                UNROLL for (size_t o = 0; o < ot; o++)
                {
                    const vec ds = LOAD(dl + o * plane);
                    UNROLL for (size_t j = 0; j < jt; j++) acc[o][j] = FMA(ds, xs[j], acc[o][j]);
                }
            }
        }
    }
    UNROLL for (size_t o = 0; o < ot; o++) UNROLL for (size_t j = 0; j < jt; j++)
        dw[o * s->in * k * k + j] += SUM(acc[o][j]);
}

INLINE void wgrad_channels(const size_t ot, float *dw, const float *x, const float *dy,
                           const struct cczi_nn_conv *s)
{
    const size_t k = s->k;
    for (size_t c = 0; c < s->in; c++) {
        for (size_t i = 0; i < k; i++) {
            const float *line = x + (c * s->in_h + i) * s->in_w * LANES;
            float *to = dw + (c * k + i) * k;
            size_t j = 0;
            for (; j + WGRAD_J <= k; j += WGRAD_J)
                wgrad_tile(ot, WGRAD_J, to + j, line + j * LANES, dy, s);
            for (; j + 3 <= k; j += 3)
                wgrad_tile(ot, 3, to + j, line + j * LANES, dy, s);
            for (; j < k; j++)
                wgrad_tile(ot, 1, to + j, line + j * LANES, dy, s);
        }
    }
}

static void conv_weights(float *dw, float *db, const float *x, const float *dy,
                         const struct cczi_nn_conv *s)
{
    const size_t w_stride = s->in * s->k * s->k, stride = (s->out_w + 2 * (s->k - 1)) * LANES;
    const size_t plane = s->out_h * stride;
    size_t o = 0;
    for (; o + WGRAD_O <= s->out; o += WGRAD_O)
        wgrad_channels(WGRAD_O, dw + o * w_stride, x, dy + o * plane, s);
    for (; o < s->out; o++)
        wgrad_channels(1, dw + o * w_stride, x, dy + o * plane, s);
    for (o = 0; o < s->out; o++) {
        vec sum = ALL(0);
        for (size_t p = 0; p < plane; p += VEC) /* the zeros at the sides as well */
            sum = ADD(sum, LOAD(dy + o * plane + p));
        db[o] += SUM(sum);
    }
}

/* ---------------------------------------------------------------------------------------- pool */

static void pool(float *y, const float *x, const struct cczi_nn_pool *s)
{
    for (size_t c = 0; c < s->channels; c++) {
        for (size_t r = 0; r < s->out_h; r++) {
            for (size_t p = 0; p < s->out_w * LANES; p += VEC, y += VEC) {
                const size_t col = p / LANES * s->k * LANES + p % LANES;
                const float *from = x + (c * s->in_h + r * s->k) * s->in_w * LANES + col;
                vec m = LOAD(from);
                for (size_t i = 0; i < s->k; i++)
                    for (size_t j = 0; j < s->k; j++)
                        m = MAX(m, LOAD(from + (i * s->in_w + j) * LANES));
                STORE(y, m);
            }
        }
    }
}

/* The first of equal values gets the gradient, as in the usual frameworks. */
static void pool_back(float *dx, const float *x, const float *y, const float *dy,
                      const struct cczi_nn_pool *s)
{
    const bool covered = s->out_h * s->k == s->in_h && s->out_w * s->k == s->in_w;
    for (size_t c = 0; c < s->channels; c++) {
        for (size_t r = 0; !covered && r < s->in_h; r++)
            memset(dx + (c * s->in_h + r) * s->d_stride * LANES, 0,
                   s->in_w * LANES * sizeof(float));
        for (size_t r = 0; r < s->out_h; r++) {
            for (size_t p = 0; p < s->out_w * LANES; p += VEC, y += VEC, dy += VEC) {
                const size_t col = p / LANES * s->k * LANES + p % LANES;
                const float *from = x + (c * s->in_h + r * s->k) * s->in_w * LANES + col;
                float *to = dx + (c * s->in_h + r * s->k) * s->d_stride * LANES + col;
                const vec m = LOAD(y);
                vec d = LOAD(dy);
                if (s->relu)
                    d = KEEP(ABOVE(m, ALL(0)), d);
                for (size_t i = 0; i < s->k; i++) {
                    for (size_t j = 0; j < s->k; j++) {
                        const mask hit = EQUAL(LOAD(from + (i * s->in_w + j) * LANES), m);
                        STORE(to + (i * s->d_stride + j) * LANES, KEEP(hit, d));
                        d = SUB(d, KEEP(hit, d)); /* given away */
                    }
                }
            }
        }
    }
}

/* -------------------------------------------------------------------------------- element-wise */

static void relu_back(float *d, const float *y, size_t len)
{
    size_t i = 0;
    for (; i + VEC <= len; i += VEC)
        STORE(d + i, KEEP(ABOVE(LOAD(y + i), ALL(0)), LOAD(d + i)));
    if (i < len)
        STORE_LOW(d + i, KEEP(ABOVE(LOAD_LOW(y + i, len - i), ALL(0)), LOAD_LOW(d + i, len - i)),
                  len - i);
}

#define AT(p) (low == VEC ? LOAD((p) + i) : LOAD_LOW((p) + i, low))
INLINE void step_vec(const struct cczi_nn_step *s, size_t i, size_t low)
{
    const vec w = AT(s->w);
    vec g = FMA(ALL(s->decay), w, AT(s->g));
    if (s->centre)
        g = FMA(ALL(s->prox), SUB(w, AT(s->centre)), g);
    if (s->v) {
        g = FMA(ALL(s->momentum), AT(s->v), g);
        if (low == VEC)
            STORE(s->v + i, g);
        else
            STORE_LOW(s->v + i, g, low);
    }
    if (s->correction)
        g = ADD(g, AT(s->correction));
    g = FMA(ALL(-s->lr), g, w);
    if (low == VEC)
        STORE(s->w + i, g);
    else
        STORE_LOW(s->w + i, g, low);
}

static void step(const struct cczi_nn_step *s)
{
    size_t i = 0;
    for (; i + VEC <= s->len; i += VEC)
        step_vec(s, i, VEC);
    if (i < s->len)
        step_vec(s, i, s->len - i);
}
#undef AT

static void from_bytes(float *restrict y, const uint8_t *restrict x, size_t len, float scale,
                       float shift)
{
    for (size_t i = 0; i < len; i++)
        y[i] = (float)x[i] * scale + shift;
}

static void to_lanes(float *restrict y, const float *restrict x, size_t len)
{
    for (size_t i = 0; i < len; i++)
        for (size_t l = 0; l < LANES; l++)
            y[i * LANES + l] = x[l * len + i];
}

static void from_lanes(float *restrict y, const float *restrict x, size_t len)
{
    for (size_t l = 0; l < LANES; l++)
        for (size_t i = 0; i < len; i++)
            y[l * len + i] = x[i * LANES + l];
}

#define NN_KERNELS(NAME)                                                                           \
    {                                                                                              \
        .name = (NAME), .dense = dense, .product = product, .conv = conv,                          \
        .conv_input = conv_input, .conv_weights = conv_weights, .pool = pool,                      \
        .pool_back = pool_back, .relu_back = relu_back, .step = step, .from_bytes = from_bytes,    \
        .to_lanes = to_lanes, .from_lanes = from_lanes,                                            \
    }
#endif
