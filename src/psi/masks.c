/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks in ascending order. The order of pseudorandom values says nothing, both sides know it, and what neighbours share
 * need not be sent: the first bytes of all masks are one string of bits, a one for each mask and a zero behind the
 * masks of each possible prefix.
 */
#include "psi_priv.h"

#include <stdlib.h>
#include <string.h>

enum { PREFIX_SIZE_MAX = 3, GROUP_BITS = 2, STATISTICAL_BITS = 40 };

size_t cczi_psi_mask_size(size_t senders, size_t receivers, uint32_t buckets)
{
    unsigned bits = STATISTICAL_BITS + 1; /* fewer than 3/2 n max(n, m) pairs */
    for (size_t n = senders; n > 0; n >>= 1)
        bits++;
    for (size_t n = senders > receivers ? senders : receivers; n > 0; n >>= 1)
        bits++;
    for (; buckets > 1; buckets >>= 1)
        bits++;
    size_t size = (bits + 7) / 8;
    return size < CCZI_PSI_MASK_SIZE_MAX ? size : CCZI_PSI_MASK_SIZE_MAX;
}

static bool less(const struct cczi_psi_mask *a, const struct cczi_psi_mask *b)
{
    if (a->hi != b->hi)
        return a->hi < b->hi;
    return a->lo != b->lo ? a->lo < b->lo : a->at < b->at;
}

/* Insertion sort: groups have a handful of entries, whatever a peer does: hashes are made under a fresh key. */
static void sort_group(struct cczi_psi_mask *m, size_t len)
{
    for (size_t i = 1; i < len; i++) {
        struct cczi_psi_mask x = m[i];
        size_t j = i;
        for (; j > 0 && less(&x, &m[j - 1]); j--)
            m[j] = m[j - 1];
        m[j] = x;
    }
}

ccz_rc cczi_psi_masks_sort(struct cczi_psi_mask **masks, size_t len, struct ccz_err *err)
{
    unsigned bits = 1;
    while ((size_t)1 << (bits + GROUP_BITS) < len)
        bits++;
    struct cczi_psi_mask *from = *masks, *to = cczi_psi_alloc(len, sizeof(*to));
    uint32_t *at = cczi_psi_alloc_zero(((size_t)1 << bits) + 1, sizeof(*at));
    if (!to || !at) {
        free(to);
        free(at);
        return ccz_fail(err, CCZ_E_NOMEM, "psi:memory", (int64_t)len, "no memory to sort");
    }
    for (size_t i = 0; i < len; i++)
        at[(from[i].hi >> (64 - bits)) + 1]++;
    for (size_t g = 0; g < (size_t)1 << bits; g++)
        at[g + 1] += at[g];
    for (size_t i = 0; i < len; i++)
        to[at[from[i].hi >> (64 - bits)]++] = from[i];
    for (size_t g = 0, start = 0; g < (size_t)1 << bits; start = at[g], g++)
        sort_group(to + start, at[g] - start);
    *masks = to;
    ccz_wipe(from, len * sizeof(*from));
    free(from);
    free(at);
    return CCZ_OK;
}

/* Whole bytes of the mask whose values are fewer than the masks. */
static size_t prefix_size(size_t len)
{
    size_t k = 0;
    while (k < PREFIX_SIZE_MAX && len >> (8 * (k + 1)) > 0)
        k++;
    return k;
}

static size_t bits_size(size_t len)
{
    return (len + ((size_t)1 << (8 * prefix_size(len))) + 7) / 8;
}

size_t cczi_psi_masks_size(size_t len, size_t size)
{
    return bits_size(len) + len * (size - prefix_size(len));
}

void cczi_psi_masks_put(uint8_t *out, const struct cczi_psi_mask *masks, size_t len, size_t size)
{
    size_t k = prefix_size(len), bit = 0, prefix = 0;
    uint8_t *low = out + bits_size(len);
    memset(out, 0, bits_size(len));
    for (size_t i = 0; i < len; i++) {
        uint64_t be[2] = {__builtin_bswap64(masks[i].hi), __builtin_bswap64(masks[i].lo)};
        size_t mine = k ? (size_t)(masks[i].hi >> (64 - 8 * k)) : 0;
        bit += mine - prefix;
        prefix = mine;
        out[bit / 8] |= (uint8_t)(1u << bit % 8);
        bit++;
        memcpy(low, (const uint8_t *)be + k, size - k);
        low += size - k;
    }
}

ccz_rc cczi_psi_masks_start(struct cczi_psi_masks_in *g, size_t len, size_t size,
                            struct ccz_span in, struct ccz_err *err)
{
    *g = (struct cczi_psi_masks_in){.len = len, .size = size, .prefix_size = prefix_size(len)};
    if (in.size != cczi_psi_masks_size(len, size))
        return ccz_refuse_num(err, CCZ_E_PEER, "psi:masks", (int64_t)in.size,
                              (int64_t)cczi_psi_masks_size(len, size));
    g->bits = in.ptr;
    g->low = in.ptr + bits_size(len);
    return CCZ_OK;
}

static bool bit_at(const struct cczi_psi_masks_in *g)
{
    return g->bits[g->bit / 8] >> g->bit % 8 & 1;
}

/* Behind the last mask there are the zeros of the prefixes left, and of the last byte. */
static ccz_rc masks_end(struct cczi_psi_masks_in *g, struct ccz_err *err)
{
    for (g->end = true; g->bit < 8 * bits_size(g->len); g->bit++)
        if (bit_at(g))
            return ccz_fail(err, CCZ_E_PEER, "psi:masks", 0, "more masks than announced");
    return CCZ_OK;
}

ccz_rc cczi_psi_masks_next(struct cczi_psi_masks_in *g, struct ccz_err *err)
{
    size_t k = g->prefix_size;
    struct cczi_psi_mask before = g->mask;
    uint64_t be[2] = {0};
    if (g->read == g->len)
        return masks_end(g, err);
    for (; !bit_at(g);
         g->bit++) /* in bounds: there are as many zeros as prefixes, or this one is refused */
        if (++g->prefix == (size_t)1 << (8 * k))
            return ccz_fail(err, CCZ_E_PEER, "psi:masks", (int64_t)g->read,
                            "fewer masks than announced");
    g->bit++;
    memcpy((uint8_t *)be + k, g->low, g->size - k);
    g->low += g->size - k;
    g->mask = (struct cczi_psi_mask){.hi = __builtin_bswap64(be[0]) |
                                           (k ? (uint64_t)g->prefix << (64 - 8 * k) : 0),
                                     .lo = __builtin_bswap64(be[1]),
                                     .at = (uint32_t)g->read};
    if (g->read++ > 0 &&
        (g->mask.hi < before.hi || (g->mask.hi == before.hi && g->mask.lo <= before.lo)))
        return ccz_fail(err, CCZ_E_PEER, "psi:masks", (int64_t)g->mask.at,
                        "not in ascending order");
    return CCZ_OK;
}
