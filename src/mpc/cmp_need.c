/* SPDX-License-Identifier: Apache-2.0 */
/* What protocols cost. */
#include "cmp_priv.h"

void cczi_need_add(struct cczi_cmp_need *sum, const struct cczi_cmp_need *a)
{
    for (int p = 0; p < 2; p++) {
        sum->sent[p] += a->sent[p];
        sum->ots[p] += a->ots[p];
    }
    sum->rounds += a->rounds;
}

struct cczi_cmp_need cczi_cmp_and_need(size_t n, size_t len, size_t doubles)
{
    uint64_t ots = (uint64_t)n * len, size = cczi_bits_size((2 * len + doubles) * (uint64_t)n);
    return (struct cczi_cmp_need){{size, size}, {ots, ots}, len > 0};
}

struct cczi_cmp_need cczi_cmp_cot_half_need(size_t n, unsigned width)
{
    struct cczi_cmp_need sum = {.rounds = 2};
    for (unsigned s = 0; s < 2; s++) {
        uint64_t len = cczi_cmp_half(n, s).len;
        sum.ots[s] = len;
        sum.sent[s] += cczi_bits_size(len * width);
        sum.sent[1 - s] += cczi_bits_size(len);
    }
    return sum;
}

struct cczi_cmp_need cczi_cmp_cot_both_need(size_t n, unsigned width, unsigned values)
{
    uint64_t size = cczi_bits_size(n) + cczi_bits_size((uint64_t)n * width * values);
    return (struct cczi_cmp_need){{size, size}, {n, n}, 2};
}
