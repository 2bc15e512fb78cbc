/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels on LANES values side by side in limbs of 52 bits; included by mont_ifma.c once with 8 and once
 * with 4 lanes. No include guard.
 *
 * Products are made in columns, TILE of them at a time, whose sums stay in registers. A number is a
 * row of blocks of TILE limbs, and columns of tile K get from the blocks I of a and J of b:
 *  - I + J = K: the products of limbs i + j < TILE (lower part),
 *  - I + J = K - 1: those of limbs i + j >= TILE (upper part).
 * Where both are there, they are TILE products in each of TILE columns (full part). A limb's product
 * has 104 bits: its low half goes to its column, its high half to the next one. A column is the sum
 * of at most 6 * 80 + 3 halves of 52 bits (pairs), or 4 * 160 + 2: less than 2^62.
 */

#define CAT_(a, b) a##b
#define CAT(a, b)  CAT_(a, b)
#define NAME(n)    CAT(n, LANES)
#define BLOCK      ((size_t)TILE * LANES)

#if LANES == 8
#define V              __m512i
#define LOAD(p)        _mm512_load_si512((const void *)(p))
#define STORE(p, v)    _mm512_store_si512((void *)(p), v)
#define ZERO           _mm512_setzero_si512()
#define ALL(x)         _mm512_set1_epi64((long long)(x))
#define LO             _mm512_madd52lo_epu64
#define HI             _mm512_madd52hi_epu64
#define ADD            _mm512_add_epi64
#define SHR52(v)       _mm512_srli_epi64((v), 52)
#define AND            _mm512_and_si512
#define ANDNOT         _mm512_andnot_si512
#define LOADU(p)       _mm512_loadu_si512((const void *)(p))
#define STOREU(p, v)   _mm512_storeu_si512((void *)(p), v)
#define EQUAL          _mm512_cmpeq_epi64_mask
#define MERGE(d, k, p) _mm512_mask_load_epi64((d), (k), (const void *)(p))
#else
#define V              __m256i
#define LOAD(p)        _mm256_load_si256((const __m256i *)(const void *)(p))
#define STORE(p, v)    _mm256_store_si256((__m256i *)(void *)(p), v)
#define ZERO           _mm256_setzero_si256()
#define ALL(x)         _mm256_set1_epi64x((long long)(x))
#define LO             _mm256_madd52lo_epu64
#define HI             _mm256_madd52hi_epu64
#define ADD            _mm256_add_epi64
#define SHR52(v)       _mm256_srli_epi64((v), 52)
#define AND            _mm256_and_si256
#define ANDNOT         _mm256_andnot_si256
#define LOADU(p)       _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define STOREU(p, v)   _mm256_storeu_si256((__m256i *)(void *)(p), v)
#define EQUAL          _mm256_cmpeq_epi64_mask
#define MERGE(d, k, p) _mm256_mask_load_epi64((d), (k), (const void *)(p))
#endif

/* ------------------------------------------------------------------------------------- blocks */

/* b points to limb 0 of the block of the lower part; that of the upper part is before it. */
INLINE void NAME(full)(V acc[TILE + 1], const uint64_t *a, const uint64_t *b)
{
    V w[2 * TILE - 1];
    UNROLL for (int c = 1; c < TILE; c++) w[TILE - 1 + c] = LOAD(b + c * LANES);
    UNROLL for (int i = 0; i < TILE; i++)
    {
        V x = LOAD(a + i * LANES);
        w[TILE - 1 - i] = LOAD(b - i * LANES);
        UNROLL for (int c = 0; c < TILE; c++) acc[c] = LO(acc[c], x, w[TILE - 1 + c - i]);
        UNROLL for (int c = 0; c < TILE; c++) acc[c + 1] = HI(acc[c + 1], x, w[TILE - 1 + c - i]);
    }
}

INLINE void NAME(lower)(V acc[TILE + 1], const uint64_t *a, const uint64_t *b)
{
    V w[TILE];
    UNROLL for (int c = 0; c < TILE; c++) w[c] = LOAD(b + c * LANES);
    UNROLL for (int i = 0; i < TILE; i++)
    {
        V x = LOAD(a + i * LANES);
        UNROLL for (int c = i; c < TILE; c++) acc[c] = LO(acc[c], x, w[c - i]);
        UNROLL for (int c = i; c < TILE; c++) acc[c + 1] = HI(acc[c + 1], x, w[c - i]);
    }
}

INLINE void NAME(upper)(V acc[TILE + 1], const uint64_t *a, const uint64_t *b)
{
    V w[TILE];
    UNROLL for (int c = 1; c < TILE; c++) w[c] = LOAD(b + c * LANES);
    UNROLL for (int i = TILE - 1; i > 0; i--)
    {
        V x = LOAD(a + i * LANES);
        UNROLL for (int c = 0; c < i; c++) acc[c] = LO(acc[c], x, w[TILE + c - i]);
        UNROLL for (int c = 0; c < i; c++) acc[c + 1] = HI(acc[c + 1], x, w[TILE + c - i]);
    }
}

/* Products of different limbs of one block, i < j. */
INLINE void NAME(diagonal_lower)(V acc[TILE + 1], const uint64_t *a)
{
    V w[TILE];
    UNROLL for (int c = 0; c < TILE; c++) w[c] = LOAD(a + c * LANES);
    UNROLL for (int i = 0; i < TILE / 2; i++)
    {
        UNROLL for (int c = 2 * i + 1; c < TILE; c++) acc[c] = LO(acc[c], w[i], w[c - i]);
        UNROLL for (int c = 2 * i + 1; c < TILE; c++) acc[c + 1] = HI(acc[c + 1], w[i], w[c - i]);
    }
}

INLINE void NAME(diagonal_upper)(V acc[TILE + 1], const uint64_t *a)
{
    V w[TILE];
    UNROLL for (int c = 1; c < TILE; c++) w[c] = LOAD(a + c * LANES);
    UNROLL for (int j = TILE - 1; j > TILE / 2; j--)
    {
        UNROLL for (int i = TILE - j; i < j; i++) acc[i + j - TILE] =
            LO(acc[i + j - TILE], w[i], w[j]);
        UNROLL for (int i = TILE - j; i < j; i++) acc[i + j - TILE + 1] =
            HI(acc[i + j - TILE + 1], w[i], w[j]);
    }
}

/* Squares of limbs; half: 0 or TILE / 2 */
INLINE void NAME(squares)(V acc[TILE + 1], const uint64_t *a)
{
    UNROLL for (int i = 0; i < TILE / 2; i++)
    {
        V x = LOAD(a + i * LANES);
        acc[2 * i] = LO(acc[2 * i], x, x);
        acc[2 * i + 1] = HI(acc[2 * i + 1], x, x);
    }
}

/* -------------------------------------------------------------------------------------- tiles */

/* acc += tile k of a * b, numbers of `blocks` blocks */
INLINE void NAME(tile_mul)(V acc[TILE + 1], const uint64_t *a, const uint64_t *b, size_t k,
                           size_t blocks)
{
    size_t first = k < blocks ? 0 : k - blocks + 1, last = k < blocks ? k : blocks;
    if (k < blocks)
        NAME(lower)(acc, a + k * BLOCK, b);
    else
        NAME(upper)(acc, a + (first - 1) * BLOCK, b + (blocks - 1) * BLOCK);
    for (size_t i = first; i < last; i++)
        NAME(full)(acc, a + i * BLOCK, b + (k - i) * BLOCK);
}

/* acc += tile k of a^2, where acc[0] holds *carry, the high part of the products of different limbs in
 * the tile before, which still has to be doubled. */
INLINE void NAME(tile_sqr)(V acc[TILE + 1], V *carry, const uint64_t *a, size_t k, size_t blocks)
{
    size_t first = k < blocks ? 0 : k - blocks + 1, half = k / 2;
    V sum[TILE + 1];
    sum[0] = *carry;
    UNROLL for (int c = 1; c <= TILE; c++) sum[c] = ZERO;
    if (k >= blocks && 2 * (first - 1) + 1 < k)
        NAME(upper)(sum, a + (first - 1) * BLOCK, a + (blocks - 1) * BLOCK);
    for (size_t i = first; 2 * i + 1 < k; i++)
        NAME(full)(sum, a + i * BLOCK, a + (k - i) * BLOCK);
    if (k % 2 == 0) {
        if (half < blocks)
            NAME(diagonal_lower)(sum, a + half * BLOCK);
    } else {
        if (half + 1 < blocks)
            NAME(lower)(sum, a + half * BLOCK, a + (half + 1) * BLOCK);
        NAME(diagonal_upper)(sum, a + half * BLOCK);
    }
    *carry = sum[TILE];
    UNROLL for (int c = 0; c < TILE; c++) acc[c] = ADD(acc[c], ADD(sum[c], sum[c]));
    if (half < blocks)
        NAME(squares)(acc, a + half * BLOCK + k % 2 * (TILE / 2) * LANES);
}

/* acc += d m from limb i on, which makes limb i a multiple of 2^52; its carry moves on. */
INLINE void NAME(clear_limb)(V acc[TILE + 1], int i, V d, const uint64_t *m)
{
    V high = HI(ZERO, d, LOAD(m)); /* in parallel with the low half of the next limb */
    V low = LO(acc[i], d, LOAD(m));
    if (i + 1 < TILE)
        acc[i + 1] = LO(acc[i + 1], d, LOAD(m + LANES));
    acc[i + 1] = ADD(acc[i + 1], high);
    acc[i + 1] = ADD(acc[i + 1], SHR52(low));
    UNROLL for (int c = i + 2; c < TILE; c++) acc[c] = LO(acc[c], d, LOAD(m + (c - i) * LANES));
    UNROLL for (int c = i + 2; c <= TILE; c++) acc[c] =
        HI(acc[c], d, LOAD(m + (c - 1 - i) * LANES));
}

/* The limbs of q that clear a tile: acc + q m is 0 but for acc[TILE]. */
INLINE void NAME(quotient)(V acc[TILE + 1], uint64_t *q, const uint64_t *m, V minus_k)
{
    UNROLL for (int i = 0; i < TILE; i++)
    {
        V d = LO(ZERO, acc[i], minus_k);
        STORE(q + i * LANES, d);
        NAME(clear_limb)(acc, i, d, m);
    }
}

/* Tile k of q m is added; in the lower half this makes block k of q, in the upper half columns are
 * carried and stored. */
INLINE void NAME(tile_reduce)(V acc[TILE + 1], uint64_t *q, uint64_t *r, size_t k, size_t blocks,
                              const struct cczi_mont_moduli *m)
{
    size_t first = k < blocks ? 0 : k - blocks + 1, last = k < blocks ? k : blocks;
    for (size_t i = first; i < last; i++)
        NAME(full)(acc, q + i * BLOCK, m->mod + (k - i) * BLOCK);
    if (k < blocks) {
        NAME(quotient)(acc, q + k * BLOCK, m->mod, LOAD(m->minus_k));
        return;
    }
    NAME(upper)(acc, q + (first - 1) * BLOCK, m->mod + (blocks - 1) * BLOCK);
    const V mask = ALL(MASK52);
    UNROLL for (int c = 0; c < TILE; c++)
    {
        acc[c + 1] = ADD(acc[c + 1], SHR52(acc[c]));
        STORE(r + (k - blocks) * BLOCK + c * LANES, AND(acc[c], mask));
    }
}

INLINE void NAME(start)(V acc[TILE + 1], V carry)
{
    acc[0] = carry;
    UNROLL for (int c = 1; c <= TILE; c++) acc[c] = ZERO;
}

/* acc += tile k of (R - q - 1) + 1 + (p - 1) R, which is -q modulo p, with R - 1 - q = ~q */
INLINE void NAME(tile_minus)(V acc[TILE + 1], const uint64_t *q, size_t k, size_t blocks,
                             const struct cczi_mont_moduli *m)
{
    const V mask = ALL(MASK52);
    if (k < blocks) {
        UNROLL for (int c = 0; c < TILE; c++) acc[c] =
            ADD(acc[c], ANDNOT(LOAD(q + k * BLOCK + c * LANES), mask));
    } else {
        UNROLL for (int c = 0; c < TILE; c++) acc[c] =
            ADD(acc[c], LOAD(m->mod_1 + (k - blocks) * BLOCK + c * LANES));
    }
}

/* ------------------------------------------------------------------------------------ kernels */

static void NAME(mul_plain)(uint64_t *r, const uint64_t *a, const uint64_t *b,
                            const struct cczi_mont_moduli *m)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t q[LIMBS_MAX * LANES];
    size_t blocks = m->limbs / TILE;
    V carry = ZERO;
    for (size_t k = 0; k < 2 * blocks; k++) {
        V acc[TILE + 1];
        NAME(start)(acc, carry);
        NAME(tile_mul)(acc, a, b, k, blocks);
        NAME(tile_reduce)(acc, q, r, k, blocks, m);
        carry = acc[TILE];
    }
}

static void NAME(sqr_plain)(uint64_t *r, const uint64_t *a, const struct cczi_mont_moduli *m)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t q[LIMBS_MAX * LANES];
    size_t blocks = m->limbs / TILE;
    V carry = ZERO, half_carry = ZERO;
    for (size_t k = 0; k < 2 * blocks; k++) {
        V acc[TILE + 1];
        NAME(start)(acc, carry);
        NAME(tile_sqr)(acc, &half_carry, a, k, blocks);
        NAME(tile_reduce)(acc, q, r, k, blocks, m);
        carry = acc[TILE];
    }
}

/*
 * x = a0 b0 and y = a0 b1 + a1 b0 - q tile by tile in turn: the products of one keep the multipliers
 * busy while the quotients of the other wait for each other.
 */
static void NAME(mul_pair)(uint64_t *r, const uint64_t *a, const uint64_t *b,
                           const struct cczi_mont_moduli *m)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t q[LIMBS_MAX / 2 * LANES], qy[LIMBS_MAX / 2 * LANES];
    _Alignas(CCZI_MONT_ALIGN) uint64_t low[LIMBS_MAX / 2 * LANES]; /* r may be a or b */
    size_t blocks = m->limbs / TILE, n = m->limbs * LANES;
    V carry = ZERO, carry_y = ALL(1);
    for (size_t k = 0; k < 2 * blocks; k++) {
        V acc[TILE + 1];
        NAME(start)(acc, carry);
        NAME(tile_mul)(acc, a, b, k, blocks);
        NAME(tile_reduce)(acc, q, low, k, blocks, m);
        carry = acc[TILE];

        NAME(start)(acc, carry_y);
        NAME(tile_mul)(acc, a, b + n, k, blocks);
        NAME(tile_mul)(acc, a + n, b, k, blocks);
        NAME(tile_minus)(acc, q, k, blocks, m);
        NAME(tile_reduce)(acc, qy, r + n, k, blocks, m);
        carry_y = acc[TILE];
    }
    memcpy(r, low, n * 8);
}

static void NAME(sqr_pair)(uint64_t *r, const uint64_t *a, const struct cczi_mont_moduli *m)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t q[LIMBS_MAX / 2 * LANES], qy[LIMBS_MAX / 2 * LANES];
    _Alignas(CCZI_MONT_ALIGN) uint64_t low[LIMBS_MAX / 2 * LANES];
    size_t blocks = m->limbs / TILE, n = m->limbs * LANES;
    V carry = ZERO, half_carry = ZERO, carry_y = ALL(1), half_carry_y = ZERO;
    for (size_t k = 0; k < 2 * blocks; k++) {
        V acc[TILE + 1];
        NAME(start)(acc, carry);
        NAME(tile_sqr)(acc, &half_carry, a, k, blocks);
        NAME(tile_reduce)(acc, q, low, k, blocks, m);
        carry = acc[TILE];

        NAME(start)(acc, half_carry_y);
        NAME(tile_mul)(acc, a, a + n, k, blocks);
        half_carry_y = acc[TILE];
        UNROLL for (int c = 0; c < TILE; c++) acc[c] = ADD(acc[c], acc[c]);
        acc[0] = ADD(acc[0], carry_y);
        acc[TILE] = ZERO;
        NAME(tile_minus)(acc, q, k, blocks, m);
        NAME(tile_reduce)(acc, qy, r + n, k, blocks, m);
        carry_y = acc[TILE];
    }
    memcpy(r, low, n * 8);
}

static void NAME(add_low)(uint64_t *a, const uint64_t *x, const struct cczi_mont_moduli *m,
                          bool pair)
{
    const V mask = ALL(MASK52);
    V carry = ZERO;
    (void)pair;
    for (size_t i = 0; i < m->limbs * LANES; i += LANES) {
        V sum = ADD(ADD(LOAD(a + i), LOAD(x + i)), carry);
        STORE(a + i, AND(sum, mask));
        carry = SHR52(sum);
    }
}

/* len is a multiple of TILE. */
static void NAME(select_entry)(uint64_t *r, const uint64_t *table, size_t entries,
                               const uint64_t *digits, size_t len)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t aligned[LANES];
    memcpy(aligned, digits, sizeof(aligned));
    const V d = LOAD(aligned);
    for (size_t i = 0; i < len; i += TILE) {
        V x[TILE];
        UNROLL for (int c = 0; c < TILE; c++) x[c] = ZERO;
        for (size_t e = 0; e < entries; e++) {
            __mmask8 here = EQUAL(d, ALL(e));
            UNROLL for (int c = 0; c < TILE; c++) x[c] =
                MERGE(x[c], here, table + (e * len + i + (size_t)c) * LANES);
        }
        UNROLL for (int c = 0; c < TILE; c++) STORE(r + (i + (size_t)c) * LANES, x[c]);
    }
}

/* Words [at, at + LANES) of all values; the last step may overlap the one before. */
static void NAME(load)(uint64_t *group, const uint64_t *const *values, size_t len)
{
    for (size_t i = 0; i < len; i += LANES) {
        size_t at = i + LANES <= len ? i : len - LANES;
        V rows[LANES];
        UNROLL for (int k = 0; k < LANES; k++) rows[k] = LOADU(values[k] + at);
        NAME(transpose)(rows);
        UNROLL for (int k = 0; k < LANES; k++) STORE(group + (at + (size_t)k) * LANES, rows[k]);
    }
}

static void NAME(store)(uint64_t *const *values, const uint64_t *group, size_t len)
{
    for (size_t i = 0; i < len; i += LANES) {
        size_t at = i + LANES <= len ? i : len - LANES;
        V rows[LANES];
        UNROLL for (int k = 0; k < LANES; k++) rows[k] = LOAD(group + (at + (size_t)k) * LANES);
        NAME(transpose)(rows);
        UNROLL for (int k = 0; k < LANES; k++) STOREU(values[k] + at, rows[k]);
    }
}

static const struct cczi_mont_ops NAME(ops) = {
    .lanes = LANES,
    .cells = LANES,
    .mul = {NAME(mul_plain), NAME(mul_pair)},
    .sqr = {NAME(sqr_plain), NAME(sqr_pair)},
    .add_low = NAME(add_low),
    .load = NAME(load),
    .store = NAME(store),
    .select = NAME(select_entry),
    .lookup = NAME(lookup),
};

#if LANES == 4
#include "mont_split.h"
#endif

#undef CAT_
#undef CAT
#undef NAME
#undef BLOCK
#undef V
#undef LOAD
#undef STORE
#undef LOADU
#undef STOREU
#undef ZERO
#undef ALL
#undef LO
#undef HI
#undef ADD
#undef SHR52
#undef AND
#undef ANDNOT
#undef EQUAL
#undef MERGE
#undef LANES
