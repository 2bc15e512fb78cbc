/* SPDX-License-Identifier: Apache-2.0 */
/* Loops of the code over elements of type ELEMENT: included once per type by code.c. No include guard. */

/* In place: v[i] += sum of those among the 32 elements of the eight groups before its own, and of those before it in its
 * group, that coefficients[i] names. Sums of each subset of a group are kept in a table, so that four coefficients cost one
 * addition. "Before" is downwards in memory if step is 1 and upwards if it is -1. */
static inline void NAME(convolve)(ELEMENT *v, ptrdiff_t step, size_t groups,
                                  const uint64_t *coefficients, ELEMENT window[WINDOW][SUBSETS],
                                  size_t first)
{
    for (size_t g = first; g < first + groups; g++, v += step * GROUP, coefficients += GROUP) {
        ELEMENT *table = window[g % WINDOW];
        ELEMENT own[GROUP];
        for (int i = 0; i < GROUP; i++) {
            own[i] = v[step * i];
            for (size_t h = 0; h < WINDOW; h++)
                own[i] ^= window[h][coefficients[i] >> 4 * h & (SUBSETS - 1)];
        }
        for (int i = 1; i < GROUP; i++)
            for (int k = 0; k < i; k++) {
                const uint64_t mask = 0 - (coefficients[i] >> (32 + k) & 1);
                own[i] ^= own[k] & mask;
            }
        for (int m = 1; m < SUBSETS; m++)
            table[m] = table[m & (m - 1)] ^ own[__builtin_ctz((unsigned)m)];
        for (int i = 0; i < GROUP; i++)
            v[step * i] = own[i];
    }
}

static void NAME(pass)(ELEMENT *v, ptrdiff_t step, size_t noisy, struct code_stream *s)
{
    ELEMENT window[WINDOW][SUBSETS];
    memset(window, 0, sizeof(window));
    for (size_t at = 0; at < noisy; at += GROUP * STEP_GROUPS) {
        size_t left = (noisy - at) / GROUP;
        size_t groups = left < STEP_GROUPS ? left : STEP_GROUPS;
        stream_next(s, groups * GROUP / 2);
        NAME(convolve)
        (v + step * (ptrdiff_t)at, step, groups, (const uint64_t *)(const void *)s->blocks, window,
         at / GROUP);
    }
}

/* Row i is the sum of one element of each of `weight` segments of in. */
static void NAME(expand)(struct ccz_f128 *const out[2], const ELEMENT *in, size_t rows,
                         const uint32_t *taps, const struct expander *e)
{
    for (size_t i = 0; i < rows; i++, taps += TAPS_STRIDE) {
        ELEMENT sum = {0};
        for (unsigned j = 0; j < WEIGHT; j++)
            sum ^= in[e->start[j] + ((uint64_t)taps[j] * e->len[j] >> 32)];
        STORE(out, i, sum);
    }
}

static void NAME(apply)(struct ccz_f128 *const out[2], ELEMENT *in, const struct cczi_lpn *p,
                        const uint8_t seed[32], const struct cczi_ot_kernels *kernels)
{
    struct code_stream s;
    struct expander e;
    stream_init(&s, seed, kernels);
    NAME(pass)(in, 1, p->noisy, &s);
    NAME(pass)(in + p->noisy - 1, -1, p->noisy, &s);
    expander_init(&e, p->noisy);
    for (size_t at = 0; at < p->n; at += STEP_ROWS) {
        size_t rows = p->n - at < STEP_ROWS ? p->n - at : STEP_ROWS;
        struct ccz_f128 *const to[2] = {out[0] + at, out[1] ? out[1] + at : NULL};
        stream_next(&s, rows * TAPS_STRIDE / 4);
        NAME(expand)(to, in, rows, (const uint32_t *)(const void *)s.blocks, &e);
    }
}
