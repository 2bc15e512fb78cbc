/* SPDX-License-Identifier: Apache-2.0 */
#ifndef CCZ_RANK_KERNELS_VEC_H
#define CCZ_RANK_KERNELS_VEC_H
/* Kernels over vectors, included by the file of each tier, which defines RANK_TIER, and RANK_VNNI where products of 8 bits come in fours.
 * Without it pairs are added in 16 bits, so that askers have 7 bits: 2 * 255 * 63 < 2^15. */
#include "rank_priv.h"

#include "base/sum8.h"

#ifdef RANK_VNNI
enum { ASKER_LIMIT = 127 };
#else
enum { ASKER_LIMIT = 63 };
#endif

/* TIMES(sum, v, q): adds four products of unsigned v and signed q to each sum. COLUMNS: vectors of a tile that have sums at once. */
#if RANK_TIER == 512
enum { VEC = 16, COLUMNS = 2 };
typedef __m512 vec;
typedef __m512i words;
#define LOAD(p)         _mm512_loadu_ps(p)
#define LOAD_WORDS(p)   _mm512_loadu_si512(p)
#define ALL(x)          _mm512_set1_ps(x)
#define ALL_WORDS(x)    _mm512_set1_epi32(x)
#define ADD(a, b)       _mm512_add_ps(a, b)
#define MUL(a, b)       _mm512_mul_ps(a, b)
#define FMA(a, b, c)    _mm512_fmadd_ps(a, b, c)
#define SUB_WORDS(a, b) _mm512_sub_epi32(a, b)
#define TO_FLOAT(x)     _mm512_cvtepi32_ps(x)
#define ZERO_WORDS      _mm512_setzero_si512()
#define STORE(p, x)     _mm512_storeu_ps(p, x)
#define SUB(a, b)       _mm512_sub_ps(a, b)
#define MAX(a, b)       _mm512_max_ps(a, b)
#define KEEP(bits, x)   _mm512_mask_blend_ps((__mmask16)(bits), ALL(-INFINITY), x)
#define NOT_BELOW(a, b) ((uint32_t)_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ))
#ifdef RANK_VNNI
#define TIMES(sum, v, q) _mm512_dpbusd_epi32(sum, v, q)
#else
#define TIMES(sum, v, q)                                                                           \
    _mm512_add_epi32(sum, _mm512_madd_epi16(_mm512_maddubs_epi16(v, q), _mm512_set1_epi16(1)))
#endif
#else
enum { VEC = 8, COLUMNS = 1 };
typedef __m256 vec;
typedef __m256i words;
#define LOAD(p)         _mm256_loadu_ps(p)
#define LOAD_WORDS(p)   _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define ALL(x)          _mm256_set1_ps(x)
#define ALL_WORDS(x)    _mm256_set1_epi32(x)
#define ADD(a, b)       _mm256_add_ps(a, b)
#define MUL(a, b)       _mm256_mul_ps(a, b)
#define FMA(a, b, c)    _mm256_fmadd_ps(a, b, c)
#define SUB_WORDS(a, b) _mm256_sub_epi32(a, b)
#define TO_FLOAT(x)     _mm256_cvtepi32_ps(x)
#define ZERO_WORDS      _mm256_setzero_si256()
#define STORE(p, x)     _mm256_storeu_ps(p, x)
#define SUB(a, b)       _mm256_sub_ps(a, b)
#define MAX(a, b)       _mm256_max_ps(a, b)
/* Lanes of which a bit is set; -INFINITY in others. */
INLINE __m256 KEEP(uint32_t bits, __m256 x)
{
    const __m256i each = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
    const __m256i set = _mm256_and_si256(_mm256_set1_epi32((int)bits), each);
    return _mm256_blendv_ps(_mm256_set1_ps(-INFINITY), x,
                            _mm256_castsi256_ps(_mm256_cmpeq_epi32(set, each)));
}
#define NOT_BELOW(a, b) ((uint32_t)_mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GE_OQ)))
#define TIMES(sum, v, q)                                                                           \
    _mm256_add_epi32(sum, _mm256_madd_epi16(_mm256_maddubs_epi16(v, q), _mm256_set1_epi16(1)))
#endif

/* ------------------------------------------------------------------------------------- bounds */

INLINE int32_t quad_of(const struct cczi_rank_group *g, size_t f, size_t u)
{
    int32_t q;
    memcpy(&q, g->q[f][u], sizeof(q));
    return q;
}

INLINE void sums(words sum[CCZI_RANK_GROUP][COLUMNS], const struct cczi_rank_group *g,
                 const uint8_t *panel, size_t quads, const size_t len)
{
    UNROLL
    for (size_t u = 0; u < len; u++) {
        UNROLL
        for (size_t c = 0; c < COLUMNS; c++)
            sum[u][c] = ZERO_WORDS;
    }
    for (size_t f = 0; f < quads; f++, panel += CCZI_RANK_TILE * CCZI_RANK_QUAD) {
        words v[COLUMNS];
        UNROLL
        for (size_t c = 0; c < COLUMNS; c++)
            v[c] = LOAD_WORDS(panel + c * VEC * CCZI_RANK_QUAD);
        UNROLL
        for (size_t u = 0; u < len; u++) {
            const words q = ALL_WORDS(quad_of(g, f, u));
            UNROLL
            for (size_t c = 0; c < COLUMNS; c++)
                sum[u][c] = TIMES(sum[u][c], v[c], q);
        }
    }
}

INLINE void scan_len(const struct cczi_rank_bounds *out, const struct cczi_rank_group *g,
                     const struct cczi_rank_tile *t, size_t quads, const size_t len)
{
    UNROLL
    for (size_t at = 0; at < CCZI_RANK_TILE; at += COLUMNS * VEC) {
        words sum[CCZI_RANK_GROUP][COLUMNS];
        sums(sum, g, t->panel + at * CCZI_RANK_QUAD, quads, len);
        UNROLL
        for (size_t u = 0; u < len; u++) {
            const float w = g->alpha[u] + g->beta[u] * t->ratio;
            const vec scale = ALL(g->scale[u]), base = ALL(g->base[u]), fall = ALL(g->fall[u]);
            UNROLL
            for (size_t c = 0; c < COLUMNS; c++) {
                const size_t i = at + c * VEC;
                float *max = out->lower_max + u * out->max_step + i;
                const vec norm = LOAD(t->norm + i);
                const vec rest = FMA(norm, ALL(w), ADD(LOAD(t->base + i), base));
                const vec q = TO_FLOAT(SUB_WORDS(sum[u][c], ALL_WORDS(g->minus[u])));
                const vec upper = KEEP(out->in[u * out->in_step] >> i,
                                       FMA(q, MUL(scale, LOAD(t->scale + i)), rest));
                STORE(out->upper + u * out->upper_step + i, upper);
                STORE(max, MAX(SUB(upper, FMA(norm, ALL(2 * w), fall)), LOAD(max)));
            }
        }
    }
}

static void scan(const struct cczi_rank_bounds *out, const struct cczi_rank_group *g,
                 const struct cczi_rank_tile *t, size_t quads, size_t len)
{
    if (len == 1) /* sums of either are in registers */
        scan_len(out, g, t, quads, 1);
    else
        scan_len(out, g, t, quads, CCZI_RANK_GROUP);
}

static void pick(uint32_t *mask, const float *upper, size_t tiles, float least)
{
    const vec l = ALL(least);
    for (size_t t = 0; t < tiles; t++, upper += CCZI_RANK_TILE) {
        uint32_t m = 0;
        UNROLL
        for (size_t i = 0; i < CCZI_RANK_TILE; i += VEC)
            m |= NOT_BELOW(LOAD(upper + i), l) << i;
        mask[t] = m;
    }
}

/* ------------------------------------------------------------------------------------- scores */

/* 16 partial sums of each of n rows; products and sums are rounded by themselves (-ffp-contract=off). */
INLINE void dot_rows(float *out, const float *a, const float *rows, size_t stride, const size_t n)
{
#if RANK_TIER == 512
    __m512 s[4];
    UNROLL
    for (size_t r = 0; r < n; r++)
        s[r] = _mm512_setzero_ps();
    for (size_t j = 0; j < stride; j += 16) {
        const __m512 x = _mm512_loadu_ps(a + j);
        UNROLL
        for (size_t r = 0; r < n; r++)
            s[r] = ADD(s[r], MUL(x, LOAD(rows + r * stride + j)));
    }
    UNROLL
    for (size_t r = 0; r < n; r++)
        out[r] =
            cczi_sum8(_mm256_add_ps(_mm512_castps512_ps256(s[r]), _mm512_extractf32x8_ps(s[r], 1)));
#else
    __m256 low[4], high[4];
    UNROLL
    for (size_t r = 0; r < n; r++)
        low[r] = high[r] = _mm256_setzero_ps();
    for (size_t j = 0; j < stride; j += 16) {
        const __m256 x = LOAD(a + j), y = LOAD(a + j + 8);
        UNROLL
        for (size_t r = 0; r < n; r++) {
            low[r] = ADD(low[r], MUL(x, LOAD(rows + r * stride + j)));
            high[r] = ADD(high[r], MUL(y, LOAD(rows + r * stride + j + 8)));
        }
    }
    UNROLL
    for (size_t r = 0; r < n; r++)
        out[r] = cczi_sum8(ADD(low[r], high[r]));
#endif
}

static float dot(const float *a, const float *b, size_t stride)
{
    float out;
    dot_rows(&out, a, b, stride, 1);
    return out;
}

static void dots(float *out, const float *a, const float *rows, size_t len, size_t stride)
{
    size_t i = 0;
    for (; i + 4 <= len; i += 4)
        dot_rows(out + i, a, rows + i * stride, stride, 4);
    for (; i < len; i++)
        dot_rows(out + i, a, rows + i * stride, stride, 1);
}

/* -------------------------------------------------------------------------------------- lists */

#if RANK_TIER == 512
enum { KEYS = 8 };
#define LARGER(a, b)  _mm512_max_epi64(a, b)
#define SMALLER(a, b) _mm512_min_epi64(a, b)
#define ALL_KEYS(x)   _mm512_set1_epi64(x)
#define STORE_KEYS    _mm512_storeu_si512
/* One place on: the last key of `before`, then all of `here` but its last. */
#define NEXT(before, here) _mm512_alignr_epi64(here, before, 7)
#else
enum { KEYS = 4 };
#define LARGER(a, b)     _mm256_blendv_epi8(b, a, _mm256_cmpgt_epi64(a, b))
#define SMALLER(a, b)    _mm256_blendv_epi8(a, b, _mm256_cmpgt_epi64(a, b))
#define ALL_KEYS(x)      _mm256_set1_epi64x(x)
#define STORE_KEYS(p, x) _mm256_storeu_si256((__m256i *)(void *)(p), x)
#define NEXT(before, here)                                                                         \
    _mm256_blend_epi32(_mm256_permute4x64_epi64(here, 0x93),                                       \
                       _mm256_permute4x64_epi64(before, 0x93), 3)
#endif

/* A list of n vectors in registers, as insert(). */
INLINE void insert_short(int64_t *top, const int64_t *key, size_t len, const size_t n)
{
    words list[4];
    UNROLL
    for (size_t j = 0; j < n; j++)
        list[j] = LOAD_WORDS(top + j * KEYS);
    for (size_t i = 0; i < len; i++) {
        const words x = ALL_KEYS(key[i]);
        words before = ALL_KEYS(INT64_MAX);
        UNROLL
        for (size_t j = 0; j < n; j++) {
            const words here = list[j], moved = NEXT(before, here), least = SMALLER(moved, x);
            list[j] = LARGER(here, least);
            before = here;
        }
    }
    UNROLL
    for (size_t j = 0; j < n; j++)
        STORE_KEYS(top + j * KEYS, list[j]);
}

/* top descends. Place j gets max(top[j], min(top[j - 1], x)): what is above x stays, x comes behind it, the rest moves on by one. */
static void insert(int64_t *top, size_t k, const int64_t *key, size_t len)
{
    const size_t n = (k + KEYS - 1) / KEYS;
    switch (n) { /* k is known to all */
    case 1:
        insert_short(top, key, len, 1);
        return;
    case 2:
        insert_short(top, key, len, 2);
        return;
    case 3:
        insert_short(top, key, len, 3);
        return;
    case 4:
        insert_short(top, key, len, 4);
        return;
    default:
        break;
    }
    for (size_t i = 0; i < len; i++) {
        const words x = ALL_KEYS(key[i]);
        words before = ALL_KEYS(INT64_MAX);
        for (size_t j = 0; j < n; j++) {
            const words here = LOAD_WORDS(top + j * KEYS), moved = NEXT(before, here);
            const words least = SMALLER(moved, x);
            STORE_KEYS(top + j * KEYS, LARGER(here, least));
            before = here;
        }
    }
}

#define RANK_KERNELS(tier)                                                                         \
    {                                                                                              \
        .name = tier, .limit = ASKER_LIMIT, .scan = scan, .pick = pick, .dot = dot, .dots = dots,  \
        .insert = insert                                                                           \
    }
#endif
