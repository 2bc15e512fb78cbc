/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Masks in ascending order. The order of pseudorandom values says nothing, both sides know it, and what neighbours share
 * need not be sent: the first bytes of all masks are one string of bits, a one for each mask and a zero behind the
 * masks of each possible prefix.
 */
#include "psi_priv.h"

#include <stdlib.h>
#include <string.h>

enum { PREFIX_SIZE_MAX = 3, GROUP_BITS = 2 };

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
    struct cczi_psi_mask *from = *masks, *to = malloc(len * sizeof(*to) + 1);
    uint32_t *at = calloc(((size_t)1 << bits) + 1, sizeof(*at));
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

/* Prefix of each mask from the string of bits; false unless it has a one for each mask, a zero for each prefix, and nothing else. */
static bool get_prefixes(struct cczi_psi_mask *masks, size_t len, const uint8_t *bits, size_t k)
{
    size_t prefixes = (size_t)1 << (8 * k), prefix = 0, n = 0, bit = 0;
    for (; bit < len + prefixes; bit++) {
        if (bits[bit / 8] >> bit % 8 & 1) {
            if (n == len || prefix == prefixes)
                return false;
            masks[n++].hi = k ? (uint64_t)prefix << (64 - 8 * k) : 0;
        } else {
            prefix++;
        }
    }
    for (; bit % 8 != 0; bit++)
        if (bits[bit / 8] >> bit % 8 & 1)
            return false;
    return n == len && prefix == prefixes;
}

ccz_rc cczi_psi_masks_get(struct cczi_psi_mask *masks, size_t len, size_t size, struct ccz_span in,
                          struct ccz_err *err)
{
    size_t k = prefix_size(len);
    if (in.size != cczi_psi_masks_size(len, size))
        return ccz_refuse_num(err, CCZ_E_PEER, "psi:masks", (int64_t)in.size,
                              (int64_t)cczi_psi_masks_size(len, size));
    if (!get_prefixes(masks, len, in.ptr, k))
        return ccz_fail(err, CCZ_E_PEER, "psi:masks", 0, "the prefixes do not add up");
    const uint8_t *low = in.ptr + bits_size(len);
    for (size_t i = 0; i < len; i++, low += size - k) {
        uint64_t be[2] = {0};
        memcpy((uint8_t *)be + k, low, size - k);
        masks[i].hi |= __builtin_bswap64(be[0]);
        masks[i].lo = __builtin_bswap64(be[1]);
        masks[i].at = (uint32_t)i;
        if (i > 0 && (masks[i].hi < masks[i - 1].hi ||
                      (masks[i].hi == masks[i - 1].hi && masks[i].lo <= masks[i - 1].lo)))
            return ccz_fail(err, CCZ_E_PEER, "psi:masks", (int64_t)i, "not in ascending order");
    }
    return CCZ_OK;
}
