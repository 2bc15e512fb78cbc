/* SPDX-License-Identifier: Apache-2.0 */
/* The k largest keys: a heap, and what keeps lists without branches. */
#include "rank_priv.h"

#include "base/ct.h"

void cczi_topk_init(int64_t *heap, size_t k)
{
    for (size_t i = 0; i < k; i++)
        heap[i] = CCZI_TOPK_EMPTY;
}

void cczi_topk_none(uint32_t *number, float *score, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        number[i] = CCZ_RECSYS_NONE;
        score[i] = -INFINITY;
    }
}

/* Lets key sink from place i of a heap of len. */
static void sink(int64_t *heap, size_t len, size_t i, int64_t key)
{
    for (;;) {
        size_t child = 2 * i + 1;
        if (child >= len)
            break;
        child += child + 1 < len && heap[child + 1] < heap[child];
        if (heap[child] >= key)
            break;
        heap[i] = heap[child];
        i = child;
    }
    heap[i] = key;
}

void cczi_topk_replace(int64_t *heap, size_t k, int64_t key)
{
    sink(heap, k, 0, key);
}

void cczi_topk_sort(int64_t *heap, size_t k)
{
    for (size_t len = k; len > 1; len--) { /* the least goes to the end */
        const int64_t last = heap[len - 1];
        heap[len - 1] = heap[0];
        sink(heap, len - 1, 0, last);
    }
}

void cczi_topk_write(uint32_t *number, float *score, const int64_t *sorted, size_t k)
{
    for (size_t i = 0; i < k; i++) {
        number[i] = cczi_topk_number(sorted[i]);
        score[i] = cczi_topk_score(sorted[i]);
    }
}

/* --------------------------------------------------------------------------- without branches */

void cczi_topk_mark(uint64_t *bits, size_t words, const uint32_t *col, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        const uint64_t bit = (uint64_t)1 << (col[i] & 63), at = col[i] >> 6;
        for (size_t w = 0; w < words; w++) {
            const uint64_t other = w ^ at; /* top bit of other | -other: whether it is not 0 */
            bits[w] |= bit & (cczi_ct_barrier64((other | (0 - other)) >> 63) - 1);
        }
    }
}

uint32_t cczi_topk_keys(int64_t *key, const float *score, uint32_t first, size_t len,
                        uint64_t left_out)
{
    uint32_t bad = 0;
    for (size_t i = 0; i < len; i++) {
        const uint64_t out = cczi_ct_barrier64(0 - (left_out >> i & 1));
        const uint64_t in = (uint64_t)cczi_topk_key(score[i], first + (uint32_t)i);
        uint32_t u;
        memcpy(&u, &score[i], sizeof(u));
        bad |= ((u & 0x7fffffffu) + 0x00800000u) >> 31; /* an exponent of ones */
        key[i] = (int64_t)((in & ~out) | ((uint64_t)CCZI_TOPK_EMPTY & out));
    }
    return bad;
}
