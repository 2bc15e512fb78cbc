/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kernels on two pairs with one half per lane, for the latency of one or two values; included by
 * mont_ifma.h within its kernels for four lanes. No include guard.
 *
 * Lanes are (low, high, low, high). x = a0 b0 and y = a0 b1 + a1 b0 - q of both pairs are made at the same
 * time: 6 L^2 products in all for two pairs, instead of 10 L^2 for four of which two are not there; for a
 * square 4 L^2 instead of 7 L^2. Each digit of q moves from the lane of x to that of y.
 */

/* (a, b, c, d) to (a, a, c, c); to (0, b, 0, d); to (0, a, 0, c) */
#define LOW_TWICE(v)   _mm256_unpacklo_epi64((v), (v))
#define HIGH_ONLY(v)   _mm256_unpackhi_epi64(ZERO, (v))
#define LOW_TO_HIGH(v) _mm256_unpacklo_epi64(ZERO, (v))
#define HIGH_LANES(x)  _mm256_set_epi64x((long long)(x), 0, (long long)(x), 0)

/* Both versions of a factor. */
INLINE void spread(uint64_t *low, uint64_t *high, const uint64_t *a, size_t limbs)
{
    for (size_t i = 0; i < limbs * LANES; i += LANES) {
        V v = LOAD(a + i);
        STORE(low + i, LOW_TWICE(v));
        if (high)
            STORE(high + i, HIGH_ONLY(v));
    }
}

/* As quotient4(), where a digit of x is first subtracted from the same limb of y: (2^52 - 1 - digit) is
 * added, see tile_minus4(). */
INLINE void split_quotient(V acc[TILE + 1], uint64_t *q, const uint64_t *m, V minus_k)
{
    const V mask = HIGH_LANES(MASK52);
    UNROLL for (int i = 0; i < TILE; i++)
    {
        V x = LO(ZERO, acc[i], minus_k);
        acc[i] = ADD(acc[i], ANDNOT(LOW_TO_HIGH(x), mask));
        V d = LO(ZERO, acc[i], minus_k);
        STORE(q + i * LANES, d);
        NAME(clear_limb)(acc, i, d, m);
    }
}

INLINE void split_reduce(V acc[TILE + 1], uint64_t *q, uint64_t *r, size_t k, size_t blocks,
                         const struct cczi_mont_moduli *m)
{
    if (k < blocks) {
        for (size_t i = 0; i < k; i++)
            NAME(full)(acc, q + i * BLOCK, m->mod + (k - i) * BLOCK);
        split_quotient(acc, q + k * BLOCK, m->mod, LOAD(m->minus_k));
        return;
    }
    const V high = HIGH_LANES(~0ull);
    UNROLL for (int c = 0; c < TILE; c++) acc[c] =
        ADD(acc[c], AND(LOAD(m->mod_1 + (k - blocks) * BLOCK + c * LANES), high));
    NAME(tile_reduce)(acc, q, r, k, blocks, m);
}

static void split_mul(uint64_t *r, const uint64_t *a, const uint64_t *b,
                      const struct cczi_mont_moduli *m)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t q[LIMBS_MAX / 2 * LANES], low_a[LIMBS_MAX / 2 * LANES];
    _Alignas(CCZI_MONT_ALIGN) uint64_t high_a[LIMBS_MAX / 2 * LANES], low_b[LIMBS_MAX / 2 * LANES];
    size_t blocks = m->limbs / TILE;
    V carry = HIGH_LANES(1);
    spread(low_a, high_a, a, m->limbs);
    spread(low_b, NULL, b, m->limbs);
    for (size_t k = 0; k < 2 * blocks; k++) {
        V acc[TILE + 1];
        NAME(start)(acc, carry);
        NAME(tile_mul)(acc, low_a, b, k, blocks);
        NAME(tile_mul)(acc, high_a, low_b, k, blocks);
        split_reduce(acc, q, r, k, blocks, m);
        carry = acc[TILE];
    }
}

static void split_sqr(uint64_t *r, const uint64_t *a, const struct cczi_mont_moduli *m)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t q[LIMBS_MAX / 2 * LANES], low[LIMBS_MAX / 2 * LANES];
    size_t blocks = m->limbs / TILE;
    const V high = HIGH_LANES(~0ull);
    V carry = HIGH_LANES(1), half_carry = ZERO;
    spread(low, NULL, a, m->limbs);
    for (size_t k = 0; k < 2 * blocks; k++) {
        V acc[TILE + 1];
        NAME(start)(acc, half_carry);
        NAME(tile_mul)(acc, low, a, k, blocks);
        half_carry = acc[TILE];
        UNROLL for (int c = 0; c < TILE; c++) acc[c] = ADD(acc[c], AND(acc[c], high)); /* 2 a0 a1 */
        acc[0] = ADD(acc[0], carry);
        acc[TILE] = ZERO;
        split_reduce(acc, q, r, k, blocks, m);
        carry = acc[TILE];
    }
}

static void split_load(uint64_t *group, const uint64_t *const *values, size_t len)
{
    for (size_t i = 0; i < len / 2; i++) {
        uint64_t *g = group + i * LANES;
        g[0] = values[0][i];
        g[1] = values[0][len / 2 + i];
        g[2] = values[1][i];
        g[3] = values[1][len / 2 + i];
    }
}

static void split_store(uint64_t *const *values, const uint64_t *group, size_t len)
{
    for (size_t i = 0; i < len / 2; i++) {
        const uint64_t *g = group + i * LANES;
        values[0][i] = g[0];
        values[0][len / 2 + i] = g[1];
        values[1][i] = g[2];
        values[1][len / 2 + i] = g[3];
    }
}

static void split_select(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                         size_t len)
{
    const uint64_t lanes[LANES] = {digits[0], digits[0], digits[1], digits[1]};
    NAME(select_entry)(r, table, entries, lanes, len / 2);
}

static void split_lookup(uint64_t *r, const uint64_t *table, size_t entries, const uint64_t *digits,
                         size_t len)
{
    _Alignas(CCZI_MONT_ALIGN) uint64_t found[CCZ_MONT_LEN_MAX * LANES];
    const uint64_t lanes[LANES] = {digits[0], digits[1], 0, 0};
    lookup4(found, table, entries, lanes, len);
    for (size_t i = 0; i < len / 2; i++) {
        const uint64_t *low = found + i * LANES, *high = low + len / 2 * LANES;
        uint64_t *g = r + i * LANES;
        g[0] = low[0];
        g[1] = high[0];
        g[2] = low[1];
        g[3] = high[1];
    }
}

static const struct cczi_mont_ops split_ops = {
    .lanes = 2,
    .cells = LANES,
    .mul = {NULL, split_mul},
    .sqr = {NULL, split_sqr},
    .add_low = NAME(add_low),
    .load = split_load,
    .store = split_store,
    .select = split_select,
    .lookup = split_lookup,
};

#undef LOW_TWICE
#undef HIGH_ONLY
#undef LOW_TO_HIGH
#undef HIGH_LANES
