/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_EASE_KERN_H
#define CCZ_RECSYS_EASE_KERN_H
/* Kernels over vectors of VEC floats, included by the file of each tier, which defines EASE_TIER. A tile of ROWS x NV vectors
 * of sums stays in registers. */
#include "ease_priv.h"

#include "base/unroll.h"

#if EASE_TIER == 512
#include <immintrin.h>
enum { VEC = 16, NV = 2, ROWS = 12 };
typedef __m512 vec;
#define LOAD(p)      _mm512_loadu_ps(p)
#define STORE(p, x)  _mm512_storeu_ps(p, x)
#define ALL(x)       _mm512_set1_ps(x)
#define SUB(a, b)    _mm512_sub_ps(a, b)
#define FMA(a, b, c) _mm512_fmadd_ps(a, b, c)
#elif EASE_TIER == 256
#include <immintrin.h>
enum { VEC = 8, NV = 2, ROWS = 6 };
typedef __m256 vec;
#define LOAD(p)      _mm256_loadu_ps(p)
#define STORE(p, x)  _mm256_storeu_ps(p, x)
#define ALL(x)       _mm256_set1_ps(x)
#define SUB(a, b)    _mm256_sub_ps(a, b)
#define FMA(a, b, c) _mm256_fmadd_ps(a, b, c)
#else
enum { VEC = 4, NV = 2, ROWS = 4 };
typedef struct {
    float v[VEC];
} vec;
static inline vec LOAD(const float *p)
{
    return (vec){{p[0], p[1], p[2], p[3]}};
}
static inline void STORE(float *p, vec x)
{
    for (int i = 0; i < VEC; i++)
        p[i] = x.v[i];
}
static inline vec ALL(float x)
{
    return (vec){{x, x, x, x}};
}
static inline vec SUB(vec a, vec b)
{
    for (int i = 0; i < VEC; i++)
        a.v[i] -= b.v[i];
    return a;
}
static inline vec FMA(vec a, vec b, vec c)
{
    for (int i = 0; i < VEC; i++)
        c.v[i] += a.v[i] * b.v[i];
    return c;
}
#endif

static void ease_tile(float *c, size_t stride, const float *a, const float *b, bool set)
{
    vec sum[ROWS][NV];
    UNROLL
    for (int r = 0; r < ROWS; r++)
        UNROLL
    for (int v = 0; v < NV; v++)
        sum[r][v] = ALL(0);
    for (int p = 0; p < CCZI_EASE_BLOCK; p++, a += ROWS, b += (size_t)NV * VEC) {
        vec x[NV];
        UNROLL
        for (int v = 0; v < NV; v++)
            x[v] = LOAD(b + (size_t)v * VEC);
        UNROLL
        for (int r = 0; r < ROWS; r++) {
            const vec y = ALL(a[r]);
            UNROLL
            for (int v = 0; v < NV; v++)
                sum[r][v] = FMA(y, x[v], sum[r][v]);
        }
    }
    UNROLL
    for (int r = 0; r < ROWS; r++)
        UNROLL
    for (int v = 0; v < NV; v++) {
        float *to = c + (size_t)r * stride + (size_t)v * VEC;
        STORE(to, set ? sum[r][v] : SUB(LOAD(to), sum[r][v]));
    }
}

static void ease_axpy(float *y, const float *x, float a, size_t len)
{
    const vec f = ALL(a);
    for (size_t i = 0; i < len; i += VEC)
        STORE(y + i, FMA(f, LOAD(x + i), LOAD(y + i)));
}

#define EASE_KERNELS(text)                                                                         \
    {                                                                                              \
        .name = (text), .rows = ROWS, .cols = (size_t)NV * VEC, .tile = ease_tile,                 \
        .axpy = ease_axpy                                                                          \
    }
#endif
