/* SPDX-License-Identifier: Apache-2.0 */
#include "load.h"

/*
 * Values below 2^7 are their own bucket; from there on each power of two has 2^7 buckets:
 * index = (shift << 7) + (v >> shift), where v >> shift is in [2^7, 2^8) for shift > 0.
 */
static size_t bucket_of(uint64_t v)
{
    const uint64_t top = (UINT64_C(1) << CCZI_HIST_TOP_BITS) - 1;
    if (v > top)
        v = top;
    unsigned bits = v ? 64u - (unsigned)__builtin_clzll(v) : 0;
    unsigned shift = bits > CCZI_HIST_PART_BITS + 1 ? bits - CCZI_HIST_PART_BITS - 1 : 0;
    return ((size_t)shift << CCZI_HIST_PART_BITS) + (size_t)(v >> shift);
}

/* The largest value of a bucket. */
static uint64_t edge_of(size_t i)
{
    const size_t parts = (size_t)1 << CCZI_HIST_PART_BITS;
    if (i < 2 * parts)
        return i;
    unsigned shift = (unsigned)(i >> CCZI_HIST_PART_BITS) - 1;
    return (((uint64_t)(i - ((size_t)shift << CCZI_HIST_PART_BITS)) + 1) << shift) - 1;
}

void cczi_hist_add(struct cczi_hist *h, uint64_t ns)
{
    h->count[bucket_of(ns)]++;
    h->min_ns = h->len && h->min_ns < ns ? h->min_ns : ns;
    h->max_ns = h->max_ns > ns ? h->max_ns : ns;
    h->sum_ns += (double)ns;
    h->len++;
}

void cczi_hist_merge(struct cczi_hist *into, const struct cczi_hist *from)
{
    if (!from->len)
        return;
    for (size_t i = 0; i < CCZI_HIST_BUCKETS; i++)
        into->count[i] += from->count[i];
    into->min_ns = into->len && into->min_ns < from->min_ns ? into->min_ns : from->min_ns;
    into->max_ns = into->max_ns > from->max_ns ? into->max_ns : from->max_ns;
    into->sum_ns += from->sum_ns;
    into->len += from->len;
}

uint64_t cczi_hist_at(const struct cczi_hist *h, double q)
{
    uint64_t want = (uint64_t)(q * (double)h->len);
    if ((double)want < q * (double)h->len)
        want++;
    want = want < 1 ? 1 : want;
    uint64_t seen = 0;
    for (size_t i = 0; h->len && i < CCZI_HIST_BUCKETS; i++) {
        seen += h->count[i];
        if (seen >= want)
            return edge_of(i) < h->max_ns ? edge_of(i) : h->max_ns;
    }
    return h->max_ns;
}

double cczi_hist_mean(const struct cczi_hist *h)
{
    return h->len ? h->sum_ns / (double)h->len : 0;
}
