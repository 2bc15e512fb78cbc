/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RECSYS_KERN_VEC_H
#define CCZ_RECSYS_KERN_VEC_H
/*
 * Kernels over vectors of VEC floats, included by the file of each tier, which defines ALS_TIER. Everything works on blocks of
 * BLOCK x BLOCK, STRIPS vectors wide; TILE_ROWS rows of a block are kept in registers at a time.
 */
#include "als_priv.h"

#include "base/unroll.h"

#include <math.h>
#include <string.h>

enum { BLOCK = CCZI_ALS_BLOCK };

#if ALS_TIER == 512
#include <immintrin.h>
enum { VEC = 16, TILE_ROWS = 16, MUL_ROWS = 16, WIDE = 4, GROUP = 8 };
typedef __m512 vec;
#define LOAD(p)       _mm512_load_ps(p)
#define STORE(p, x)   _mm512_store_ps(p, x)
#define ALL(x)        _mm512_set1_ps(x)
#define ADD(a, b)     _mm512_add_ps(a, b)
#define MUL(a, b)     _mm512_mul_ps(a, b)
#define FMA(a, b, c)  _mm512_fmadd_ps(a, b, c)  /* a b + c */
#define FNMA(a, b, c) _mm512_fnmadd_ps(a, b, c) /* c - a b */
#define SUM(x)        _mm512_reduce_add_ps(x)
#define PREFETCH(p)   _mm_prefetch((const char *)(p), _MM_HINT_T0)
/* Sums within each 128-bit lane: {a, b, c, d} in every lane. */
INLINE vec sums_4(const vec *x)
{
    const vec ab = ADD(_mm512_unpacklo_ps(x[0], x[1]), _mm512_unpackhi_ps(x[0], x[1])),
              cd = ADD(_mm512_unpacklo_ps(x[2], x[3]), _mm512_unpackhi_ps(x[2], x[3]));
    return ADD(_mm512_shuffle_ps(ab, cd, 0x44), _mm512_shuffle_ps(ab, cd, 0xee));
}
INLINE vec SUMS(const vec *x)
{
    const vec q0 = sums_4(x), q1 = sums_4(x + 4), q2 = sums_4(x + 8), q3 = sums_4(x + 12);
    const vec q01 = ADD(_mm512_shuffle_f32x4(q0, q1, 0x44), _mm512_shuffle_f32x4(q0, q1, 0xee));
    const vec q23 = ADD(_mm512_shuffle_f32x4(q2, q3, 0x44), _mm512_shuffle_f32x4(q2, q3, 0xee));
    return ADD(_mm512_shuffle_f32x4(q01, q23, 0x88), _mm512_shuffle_f32x4(q01, q23, 0xdd));
}
#elif ALS_TIER == 256
#include "base/sum8.h"
enum { VEC = 8, TILE_ROWS = 6, MUL_ROWS = 8, WIDE = 4, GROUP = 8 };
typedef __m256 vec;
#define LOAD(p)       _mm256_load_ps(p)
#define STORE(p, x)   _mm256_store_ps(p, x)
#define ALL(x)        _mm256_set1_ps(x)
#define ADD(a, b)     _mm256_add_ps(a, b)
#define MUL(a, b)     _mm256_mul_ps(a, b)
#define FMA(a, b, c)  _mm256_fmadd_ps(a, b, c)
#define FNMA(a, b, c) _mm256_fnmadd_ps(a, b, c)
#define SUM(x)        cczi_sum8(x)
#define PREFETCH(p)   _mm_prefetch((const char *)(p), _MM_HINT_T0)
INLINE vec SUMS(const vec *x)
{
    const vec q0 = _mm256_hadd_ps(_mm256_hadd_ps(x[0], x[1]), _mm256_hadd_ps(x[2], x[3])),
              q1 = _mm256_hadd_ps(_mm256_hadd_ps(x[4], x[5]), _mm256_hadd_ps(x[6], x[7]));
    return ADD(_mm256_permute2f128_ps(q0, q1, 0x20), _mm256_permute2f128_ps(q0, q1, 0x31));
}
#else
enum { VEC = 4, TILE_ROWS = 2, MUL_ROWS = 4, WIDE = 2, GROUP = 4 };
typedef struct {
    float v[VEC];
} vec;
#define EACH        for (size_t e = 0; e < VEC; e++)
#define PREFETCH(p) (void)(p)
INLINE vec LOAD(const float *p)
{
    vec x;
    memcpy(&x, p, sizeof(x));
    return x;
}
INLINE void STORE(float *p, vec x)
{
    memcpy(p, &x, sizeof(x));
}
INLINE vec ALL(float x)
{
    return (vec){{x, x, x, x}};
}
INLINE vec ADD(vec a, vec b)
{
    EACH a.v[e] += b.v[e];
    return a;
}
INLINE vec MUL(vec a, vec b)
{
    EACH a.v[e] *= b.v[e];
    return a;
}
INLINE vec FMA(vec a, vec b, vec c)
{
    EACH c.v[e] += a.v[e] * b.v[e];
    return c;
}
INLINE vec FNMA(vec a, vec b, vec c)
{
    EACH c.v[e] -= a.v[e] * b.v[e];
    return c;
}
INLINE float SUM(vec x)
{
    return (x.v[0] + x.v[2]) + (x.v[1] + x.v[3]);
}
INLINE vec SUMS(const vec *x)
{
    return (vec){{SUM(x[0]), SUM(x[1]), SUM(x[2]), SUM(x[3])}};
}
#endif
#if ALS_TIER == 0
#define FMA_DOUBLE(a, b, c) ((a) * (b) + (c))
#else
#define FMA_DOUBLE(a, b, c) fma(a, b, c)
#endif
enum { STRIPS = BLOCK / VEC };

/* ------------------------------------------------------------------------------------ products */

/* ROWS rows of a block: c[r] += or -= sum over k < len of left[k][r] right[k]. */
INLINE void tile(float *c, size_t c_stride, const float *left, const float *right, size_t stride,
                 size_t len, const size_t rows, const bool minus)
{
    vec sum[TILE_ROWS][STRIPS];
    UNROLL
    for (size_t r = 0; r < rows; r++)
        UNROLL
    for (size_t s = 0; s < STRIPS; s++)
        sum[r][s] = LOAD(c + r * c_stride + s * VEC);
    for (size_t k = 0; k < len; k++) {
        vec y[STRIPS];
        UNROLL
        for (size_t s = 0; s < STRIPS; s++)
            y[s] = LOAD(right + k * stride + s * VEC);
        UNROLL
        for (size_t r = 0; r < rows; r++) {
            const vec x = ALL(left[k * stride + r]);
            UNROLL
            for (size_t s = 0; s < STRIPS; s++)
                sum[r][s] = minus ? FNMA(x, y[s], sum[r][s]) : FMA(x, y[s], sum[r][s]);
        }
    }
    UNROLL
    for (size_t r = 0; r < rows; r++)
        UNROLL
    for (size_t s = 0; s < STRIPS; s++)
        STORE(c + r * c_stride + s * VEC, sum[r][s]);
}

INLINE void block(float *c, size_t c_stride, const float *left, const float *right, size_t stride,
                  size_t len, const bool minus)
{
    size_t r = 0;
    for (; r + TILE_ROWS <= BLOCK; r += TILE_ROWS)
        tile(c + r * c_stride, c_stride, left + r, right, stride, len, TILE_ROWS, minus);
    if (BLOCK % TILE_ROWS)
        tile(c + r * c_stride, c_stride, left + r, right, stride, len, BLOCK % TILE_ROWS, minus);
}

static void block_add(float *c, size_t c_stride, const float *left, const float *right,
                      size_t stride, size_t len)
{
    block(c, c_stride, left, right, stride, len, false);
}

static void block_sub(float *c, size_t c_stride, const float *left, const float *right,
                      size_t stride, size_t len)
{
    block(c, c_stride, left, right, stride, len, true);
}

static void k_syrk(float *a, size_t dims, const float *p, size_t stride, size_t len)
{
    for (size_t i = 0; i < dims; i += BLOCK)
        for (size_t j = i; j < dims; j += BLOCK)
            block_add(a + i * dims + j, dims, p + i, p + j, stride, len);
}

/* In double, where products of floats are exact: with or without fused multiplication only sums are rounded, in the same order on
 * every tier. ROWS rows at a time, as sums are in memory. */
static void k_gram(double *out, size_t dims, const float *y, size_t len)
{
    enum { ROWS = 8 };
    double x[ROWS][CCZI_ALS_DIMS_MAX];
    for (size_t k = 0; k < len; k += ROWS) {
        for (size_t r = 0; r < ROWS; r++)
            for (size_t j = 0; j < dims; j++)
                x[r][j] = k + r < len ? (double)y[(k + r) * dims + j] : 0;
        for (size_t i = 0; i < dims; i++)
            for (size_t j = i / BLOCK * BLOCK; j < dims; j++) {
                double sum = out[i * dims + j];
                UNROLL
                for (size_t r = 0; r < ROWS; r++)
                    sum = FMA_DOUBLE(x[r][i], x[r][j], sum);
                out[i * dims + j] = sum;
            }
    }
    for (size_t r = 0; r < ROWS; r++)
        ccz_wipe(x[r], dims * sizeof(x[r][0]));
}

enum { AHEAD = 32 * BLOCK }; /* floats of rows that are asked for before they are needed */

static void k_gather(float *p, float *b, size_t dims, const float *y, size_t stride,
                     const uint32_t *col, const float *s, const float *t, size_t len)
{
    const size_t ahead = stride < AHEAD / 2 ? AHEAD / stride : 2;
    for (size_t k = 0; k < len; k++) {
        if (k + ahead < len) {
            const float *next = y + (size_t)col[k + ahead] * stride;
            for (size_t j = 0; j < stride; j += BLOCK)
                PREFETCH(next + j);
        }
        const float *from = y + (size_t)col[k] * stride;
        const vec scale = ALL(s ? s[k] : 1), target = ALL(t[k]);
        for (size_t j = 0; j < stride; j += VEC) {
            const vec v = LOAD(from + j);
            STORE(p + k * dims + j, s ? MUL(scale, v) : v);
            STORE(b + j, FMA(target, v, LOAD(b + j)));
        }
    }
}

/* ------------------------------------------------------------------------------------ Cholesky */

/* One block on the diagonal, A11 = U' U: elimination of A11, beside it of the identity, which becomes inverse = U'^-1, and of b,
 * which becomes
 * U'^-1 b. False if a pivot is too small. */
static bool diagonal(float *a, size_t dims, float *inverse, float *b, const float *limit)
{
    bool ok = true;
    memset(inverse, 0, sizeof(float) * BLOCK * BLOCK);
    for (size_t k = 0; k < BLOCK; k++)
        inverse[k * BLOCK + k] = 1;
    for (size_t k = 0; k < BLOCK; k++) {
        float *row = a + k * dims, *e = inverse + k * BLOCK;
        const float pivot = row[k], scale = pivot > limit[k] ? 1 / sqrtf(pivot) : 0;
        ok = ok && (pivot > limit[k] || limit[k] == 0);
        vec u[STRIPS], v[STRIPS];
        UNROLL
        for (size_t s = 0; s < STRIPS; s++) {
            u[s] = MUL(ALL(scale), LOAD(row + s * VEC));
            v[s] = MUL(ALL(scale), LOAD(e + s * VEC));
            STORE(row + s * VEC, u[s]);
            STORE(e + s * VEC, v[s]);
        }
        b[k] *= scale;
        for (size_t i = k + 1; i < BLOCK; i++) {
            const float x = row[i];
            b[i] -= x * b[k];
            UNROLL
            for (size_t s = 0; s < STRIPS; s++) {
                float *ai = a + i * dims + s * VEC, *ei = inverse + i * BLOCK + s * VEC;
                STORE(ai, FNMA(ALL(x), u[s], LOAD(ai)));
                STORE(ei, FNMA(ALL(x), v[s], LOAD(ei)));
            }
        }
    }
    return ok;
}

/* c = inverse c, inverse lower triangular. From below, as rows need only those above them. */
static void triangle(float *c, size_t dims, const float *inverse)
{
    for (size_t s = 0; s < STRIPS; s++)
        for (size_t to = BLOCK; to > 0; to -= MUL_ROWS) {
            const size_t from = to - MUL_ROWS;
            vec sum[MUL_ROWS];
            UNROLL
            for (size_t r = 0; r < MUL_ROWS; r++)
                sum[r] = ALL(0);
            for (size_t k = 0; k < to; k++) {
                const vec y = LOAD(c + k * dims + s * VEC);
                UNROLL
                for (size_t r = 0; r < MUL_ROWS; r++)
                    sum[r] = FMA(ALL(inverse[(from + r) * BLOCK + k]), y, sum[r]);
            }
            UNROLL
            for (size_t r = 0; r < MUL_ROWS; r++)
                STORE(c + (from + r) * dims + s * VEC, sum[r]);
        }
}

/* x[0 .. BLOCK) += or -= sum over k < len of m[k * stride] c[k] */
INLINE void combine(float *x, const float *m, size_t stride, const float *c, size_t len,
                    const bool minus)
{
    UNROLL
    for (size_t s = 0; s < STRIPS; s++) {
        vec even = LOAD(x + s * VEC), odd = ALL(0);
        size_t k = 0;
        for (; k + 2 <= len; k += 2) {
            const vec m0 = LOAD(m + k * stride + s * VEC),
                      m1 = LOAD(m + (k + 1) * stride + s * VEC);
            even = minus ? FNMA(ALL(c[k]), m0, even) : FMA(ALL(c[k]), m0, even);
            odd = minus ? FNMA(ALL(c[k + 1]), m1, odd) : FMA(ALL(c[k + 1]), m1, odd);
        }
        STORE(x + s * VEC, ADD(even, odd));
    }
}

static float k_dot(const float *x, const float *y, size_t dims)
{
    vec s[STRIPS];
    UNROLL
    for (size_t v = 0; v < STRIPS; v++)
        s[v] = ALL(0);
    for (size_t j = 0; j < dims; j += BLOCK)
        UNROLL
    for (size_t v = 0; v < STRIPS; v++)
        s[v] = FMA(LOAD(x + j + v * VEC), LOAD(y + j + v * VEC), s[v]);
    UNROLL
    for (size_t v = 1; v < STRIPS; v++)
        s[0] = ADD(s[0], s[v]);
    return SUM(s[0]);
}

static void k_axpy(float *y, float a, const float *x, size_t dims)
{
    for (size_t j = 0; j < dims; j += VEC)
        STORE(y + j, FMA(ALL(a), LOAD(x + j), LOAD(y + j)));
}

/* VEC dot products side by side: out[r] = <rows[r], x>, GROUP at a time as pointers need registers, too. */
INLINE vec dots(const float *const *rows, const float *x, size_t len)
{
    vec sum[VEC];
    UNROLL
    for (size_t g = 0; g < VEC; g += GROUP) {
        const float *row[GROUP];
        UNROLL
        for (size_t r = 0; r < GROUP; r++) {
            row[r] = rows[g + r];
            sum[g + r] = ALL(0);
        }
        for (size_t j = 0; j < len; j += VEC) {
            const vec y = LOAD(x + j);
            UNROLL
            for (size_t r = 0; r < GROUP; r++)
                sum[g + r] = FMA(LOAD(row[r] + j), y, sum[g + r]);
        }
    }
    return SUMS(sum);
}

static bool k_solve(float *x, float *a, float *inverse, float *limit, size_t dims, float tolerance)
{
    bool ok = true;
    for (size_t i = 0; i < dims; i++)
        limit[i] = tolerance * a[i * dims + i];
    for (size_t i = 0; i < dims; i += BLOCK) { /* row i of blocks of U, from those above */
        float *row = a + i * dims + i, *e = inverse + i * BLOCK;
        if (i > 0) {
            for (size_t j = i; j < dims; j += BLOCK)
                block_sub(a + i * dims + j, dims, a + i, a + j, dims, i);
            combine(x + i, a + i, dims, x, i, true);
        }
        ok = diagonal(row, dims, e, x + i, limit + i) && ok;
        for (size_t j = BLOCK; j < dims - i; j += BLOCK)
            triangle(row + j, dims, e);
    }
    for (size_t i = dims; i > 0;) { /* U x = what is in x */
        i -= BLOCK;
        const size_t behind = i + BLOCK;
        for (size_t r = i; r < behind && behind < dims; r += VEC) {
            const float *rows[VEC];
            for (size_t e = 0; e < VEC; e++)
                rows[e] = a + (r + e) * dims + behind;
            const vec d = dots(rows, x + behind, dims - behind);
            STORE(x + r, FNMA(ALL(1), d, LOAD(x + r)));
        }
        _Alignas(64) float y[BLOCK] = {0};
        combine(y, inverse + i * BLOCK, BLOCK, x + i, BLOCK, false);
        memcpy(x + i, y, sizeof(y));
    }
    return ok;
}

/* -------------------------------------------------------------------------- conjugate gradients */

/* out[0 ..] += sum over BLOCK rows of c[r] rows[r][at ..], `vecs` vectors. These rows are in the first-level cache: there is time
 * to ask for those of the next block. */
INLINE void add_rows(float *out, const float *const *rows, const float *const *next, size_t at,
                     const float *c, const size_t vecs)
{
    vec sum[WIDE];
    UNROLL
    for (size_t v = 0; v < vecs; v++)
        sum[v] = LOAD(out + v * VEC);
    UNROLL
    for (size_t r = 0; r < BLOCK; r++) {
        const vec x = ALL(c[r]);
        UNROLL
        for (size_t v = 0; v < vecs; v++) {
            sum[v] = FMA(x, LOAD(rows[r] + at + v * VEC), sum[v]);
            if ((at + v * VEC) % BLOCK == 0)
                PREFETCH(next[r] + at + v * VEC);
        }
    }
    UNROLL
    for (size_t v = 0; v < vecs; v++)
        STORE(out + v * VEC, sum[v]);
}

/* Where the rows of a block are; the last one stands for those that are not there. */
INLINE void find_rows(const float **rows, const float *y, size_t stride, const uint32_t *col,
                      size_t k, size_t len)
{
    for (size_t r = 0; r < BLOCK; r++)
        rows[r] = y + (size_t)col[k + r < len ? k + r : len - 1] * stride;
}

static void residual_wide(float *out, const float *y, size_t stride, const uint32_t *col,
                          size_t one, const float *t, const float *w, const float *x, size_t len)
{
    _Alignas(64) float c[BLOCK];
    const float *both[2][BLOCK];
    const vec bias = ALL(one ? x[one] : 0);
    find_rows(both[0], y, stride, col, 0, len);
    for (size_t k = 0, turn = 0; k < len; k += BLOCK, turn ^= 1) {
        const float **rows = both[turn], **next = both[turn ^ 1];
        find_rows(next, y, stride, col, k + BLOCK, len);
        for (size_t r = 0; r < BLOCK; r += VEC) {
            const vec d = ADD(bias, dots(rows + r, x, stride));
            STORE(c + r, FNMA(LOAD(w + k + r), d, t ? LOAD(t + k + r) : ALL(0)));
        }
        size_t j = 0;
        for (; j + WIDE * VEC <= stride; j += WIDE * VEC)
            add_rows(out + j, rows, next, j, c, WIDE);
        for (; j < stride; j += VEC)
            add_rows(out + j, rows, next, j, c, 1);
        for (size_t r = 0; one && r < BLOCK; r++)
            out[one] += c[r];
    }
}

#if ALS_TIER == 512
/* The same where x, out and a row fit in registers, VECS vectors each: a row is loaded once for both products. */
INLINE void residual_narrow(float *out, const float *y, const uint32_t *col, size_t one,
                            const float *t, const float *w, const float *x, size_t len,
                            const size_t vecs)
{
    const float bias = one ? x[one] : 0;
    float ones = 0;
    vec xs[8], sum[8], row[8];
    UNROLL
    for (size_t v = 0; v < vecs; v++) {
        xs[v] = LOAD(x + v * VEC);
        sum[v] = ALL(0);
    }
    for (size_t k = 0; k < len; k++) {
        const float *from = y + (size_t)col[k] * vecs * VEC;
        for (size_t v = 0; k + 8 < len && v < vecs; v++) /* in time for what is 8 rows ahead */
            PREFETCH(y + (size_t)col[k + 8] * vecs * VEC + v * VEC);
        vec even = ALL(0), odd = ALL(0);
        UNROLL
        for (size_t v = 0; v < vecs; v++) {
            row[v] = LOAD(from + v * VEC);
            if (v % 2)
                odd = FMA(row[v], xs[v], odd);
            else
                even = FMA(row[v], xs[v], even);
        }
        const float c = (t ? t[k] : 0) - w[k] * (bias + SUM(ADD(even, odd)));
        UNROLL
        for (size_t v = 0; v < vecs; v++)
            sum[v] = FMA(ALL(c), row[v], sum[v]);
        ones += c;
    }
    UNROLL
    for (size_t v = 0; v < vecs; v++)
        STORE(out + v * VEC, ADD(LOAD(out + v * VEC), sum[v]));
    if (one)
        out[one] += ones;
}
#endif

static void k_residual(float *out, const float *y, size_t stride, const uint32_t *col, size_t one,
                       const float *t, const float *w, const float *x, size_t len)
{
#if ALS_TIER == 512
#define NARROW(vecs)                                                                               \
    case vecs:                                                                                     \
        residual_narrow(out, y, col, one, t, w, x, len, vecs);                                     \
        break;
    switch (stride / VEC) {
        NARROW(1)
        NARROW(2)
        NARROW(3)
        NARROW(4)
        NARROW(5)
        NARROW(6)
        NARROW(7)
        NARROW(8)
    default:
        residual_wide(out, y, stride, col, one, t, w, x, len);
    }
#undef NARROW
#else
    residual_wide(out, y, stride, col, one, t, w, x, len);
#endif
}

static float k_curvature(const float *y, size_t stride, const uint32_t *col, size_t one,
                         const float *w, const float *x, size_t len)
{
    const float *rows[BLOCK];
    const vec bias = ALL(one ? x[one] : 0);
    vec sum = ALL(0);
    for (size_t k = 0; k < len; k += BLOCK) {
        find_rows(rows, y, stride, col, k, len);
        for (size_t r = 0; r < BLOCK; r += VEC) {
            const vec d = ADD(bias, dots(rows + r, x, stride));
            sum = FMA(MUL(LOAD(w + k + r), d), d, sum);
        }
    }
    return SUM(sum);
}

/* x' A x = sum over blocks of rows, those behind the diagonal twice */
static float k_quadratic(const float *a, const float *x, size_t dims)
{
    const float *rows[VEC];
    vec all = ALL(0);
    for (size_t r = 0; r < dims; r += VEC) {
        const size_t i = r / BLOCK * BLOCK, behind = i + BLOCK;
        for (size_t e = 0; e < VEC; e++)
            rows[e] = a + (r + e) * dims + i;
        vec sum = dots(rows, x + i, BLOCK);
        if (behind < dims) {
            for (size_t e = 0; e < VEC; e++)
                rows[e] += BLOCK;
            sum = FMA(ALL(2), dots(rows, x + behind, dims - behind), sum);
        }
        all = FMA(LOAD(x + r), sum, all);
    }
    return SUM(all);
}

/* Rows of blocks from the diagonal on: each element of the upper half is read once, for two products. */
static void k_minus_product(float *out, const float *a, const float *x, size_t dims)
{
    for (size_t i = 0; i < dims; i += BLOCK) {
        combine(out + i, a + i * dims + i, dims, x + i, BLOCK, true);
        for (size_t r = i; r < i + BLOCK && i + BLOCK < dims; r += VEC) {
            vec sum[VEC];
            UNROLL
            for (size_t e = 0; e < VEC; e++)
                sum[e] = ALL(0);
            for (size_t j = i + BLOCK; j < dims; j += VEC) {
                const vec y = LOAD(x + j);
                vec even = LOAD(out + j), odd = ALL(0);
                UNROLL
                for (size_t e = 0; e < VEC; e += 2) {
                    const vec m0 = LOAD(a + (r + e) * dims + j),
                              m1 = LOAD(a + (r + e + 1) * dims + j);
                    sum[e] = FMA(m0, y, sum[e]);
                    sum[e + 1] = FMA(m1, y, sum[e + 1]);
                    even = FNMA(ALL(x[r + e]), m0, even);
                    odd = FNMA(ALL(x[r + e + 1]), m1, odd);
                }
                STORE(out + j, ADD(even, odd));
            }
            STORE(out + r, FNMA(ALL(1), SUMS(sum), LOAD(out + r)));
        }
    }
}

#define ALS_KERNELS(tier_name)                                                                     \
    {                                                                                              \
        .name = (tier_name), .syrk = k_syrk, .gram = k_gram, .gather = k_gather, .solve = k_solve, \
        .residual = k_residual, .curvature = k_curvature, .minus_product = k_minus_product,        \
        .quadratic = k_quadratic, .dot = k_dot, .axpy = k_axpy                                     \
    }
#endif
