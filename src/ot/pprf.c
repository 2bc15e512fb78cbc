/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Small trees of SoftSpokenOT (Roy 2022, section 5): GGM trees of which the other side, by base OTs, gets all leaves but one.
 * Each leaf yields a seed and a tag of 256 bits; the sum of the tags restores the missing one, and a hash of all of them shows
 * whether the owner sent what it has. Which leaf is missing is secret: no address depends on it.
 */
#include "ot_priv.h"

#include <cczoo/crypto.h>

#include <string.h>

enum { LEAVES_MAX = 1 << CCZI_OT_K_MAX, TAG = 2 };

void cczi_side_sums(struct ccz_f128 sums[2], const struct ccz_f128 *a, size_t len)
{
    struct ccz_f128 even = {0}, odd = {0};
    for (size_t i = 0; i < len; i += 2) {
        even = cczi_f128_add(even, a[i]);
        odd = cczi_f128_add(odd, a[i + 1]);
    }
    sums[0] = even;
    sums[1] = odd;
}

/* What travels for k > 0: sums of both sides of each level below the first, sums of the tags, and a hash. */
struct shape {
    unsigned k;
    size_t groups, leaves, sums; /* sums: elements per group */
};

static struct shape shape_of(unsigned k)
{
    return (struct shape){k, CCZI_OT_DELTA_BITS / k, (size_t)1 << k, (size_t)2 * (k - 1) + TAG};
}

/* Keys of levels 1 .. k - 1, then the two of the leaves. */
static void level_keys(struct cczi_aes keys[CCZI_OT_K_MAX + 1], const struct cczi_keyring *ring,
                       size_t group, unsigned k)
{
    for (unsigned i = 0; i < k + 1; i++)
        cczi_keyring_get(&keys[i], ring, group * (CCZI_OT_K_MAX + 1) + i);
}

/* Leaves to seeds (in place) and tags. */
static void finish(struct ccz_f128 *leaves, struct ccz_f128 (*tags)[TAG], size_t len,
                   const struct cczi_aes keys[2], const struct cczi_ot_kernels *kernels)
{
    struct ccz_f128 a[2 * LEAVES_MAX], b[2 * LEAVES_MAX];
    kernels->grow(a, leaves, len, &keys[0]);
    kernels->grow(b, leaves, len, &keys[1]);
    for (size_t i = 0; i < len; i++) {
        leaves[i] = a[2 * i];
        tags[i][0] = a[2 * i + 1];
        tags[i][1] = b[2 * i];
    }
    ccz_wipe(a, sizeof(a));
    ccz_wipe(b, sizeof(b));
}

static void sum_tags(struct ccz_f128 sum[TAG], struct ccz_f128 (*tags)[TAG], size_t len)
{
    memset(sum, 0, TAG * sizeof(*sum));
    for (size_t i = 0; i < len; i++)
        for (int k = 0; k < TAG; k++)
            sum[k] = cczi_f128_add(sum[k], tags[i][k]);
}

/* -------------------------------------------------------------------------------------- owner */

/* Tree of one group from its base OTs; `sums` goes to the other side. The first level is the keys of the highest bit. */
static void plant(struct ccz_f128 *leaves, struct ccz_f128 (*tags)[TAG], struct ccz_f128 *sums,
                  struct ccz_f128 (*keys)[2], const struct cczi_aes *level, const struct shape *s,
                  const struct cczi_ot_kernels *kernels)
{
    struct ccz_f128 next[LEAVES_MAX];
    leaves[0] = keys[s->k - 1][0];
    leaves[1] = keys[s->k - 1][1];
    for (unsigned l = 1; l < s->k; l++) {
        size_t len = (size_t)1 << l;
        kernels->grow(next, leaves, len, &level[l - 1]);
        memcpy(leaves, next, 2 * len * sizeof(*leaves));
        cczi_side_sums(sums, leaves, 2 * len);
        for (int b = 0; b < 2; b++)
            sums[b] = cczi_f128_add(sums[b], keys[s->k - 1 - l][b]);
        sums += 2;
    }
    finish(leaves, tags, s->leaves, level + s->k - 1, kernels);
    sum_tags(sums, tags, s->leaves);
    ccz_wipe(next, sizeof(next));
}

static ccz_rc plant_all(struct ccz_f128 *leaves, struct ccz_f128 *sums, uint8_t digest[32],
                        struct ccz_f128 (*keys)[2], const struct cczi_keyring *ring,
                        const struct shape *s)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    struct ccz_f128 tags[LEAVES_MAX][TAG];
    struct cczi_aes level[CCZI_OT_K_MAX + 1];
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    for (size_t g = 0; g < s->groups && rc == CCZ_OK; g++) {
        level_keys(level, ring, g, s->k);
        plant(leaves + g * s->leaves, tags, sums + g * s->sums, keys + g * s->k, level, s,
              ring->kernels);
        rc = ccz_hasher_put(h, CCZ_SPAN(tags, s->leaves * sizeof(tags[0])));
    }
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(digest, h);
    ccz_wipe(tags, sizeof(tags));
    return rc;
}

ccz_rc cczi_trees_send(struct ccz_f128 *leaves, struct ccz_f128 (*keys)[2], unsigned k,
                       const struct cczi_ot_kernels *kernels, struct cczi_transcript *t,
                       struct ccz_chan *chan, struct ccz_err *err)
{
    struct shape s = shape_of(k);
    CCZI_AUTO_ARRAY sums;
    struct cczi_keyring ring;
    uint8_t digest[32];
    ccz_rc rc = cczi_array_init(&sums, s.groups * s.sums, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_keyring_init(&ring, kernels, t, "tree keys");
    rc = plant_all(leaves, sums.at, digest, keys, &ring, &s);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ot:hash", 0, "hashing failed");
    const struct ccz_span parts[] = {CCZ_SPAN(sums.at, sums.len * sizeof(*sums.at)),
                                     CCZ_SPAN(digest, sizeof(digest))};
    cczi_transcript_put(t, "tree sums", parts[0]);
    cczi_transcript_put(t, "tree tags", parts[1]);
    rc = cczi_transcript_check(t, err);
    return rc == CCZ_OK ? ccz_chan_send_parts(chan, parts, 2, err) : rc;
}

/* --------------------------------------------------------------------------------- other side */

static uint64_t is_at(size_t i, size_t at)
{
    uint64_t d = (uint64_t)(i ^ at);
    return ((d | (0 - d)) >> 63) - 1; /* all ones if they are equal */
}

/* Sets element `at` of a, whose address is secret. */
static void put_at(struct ccz_f128 *a, size_t len, size_t at, struct ccz_f128 value)
{
    for (size_t i = 0; i < len; i++) {
        uint64_t mask = is_at(i, at);
        a[i] = cczi_f128_add(cczi_f128_and(a[i], ~mask), cczi_f128_and(value, mask));
    }
}

static struct ccz_f128 side(const struct ccz_f128 sums[2], uint64_t bit)
{
    return cczi_f128_add(cczi_f128_and(sums[0], bit - 1), cczi_f128_and(sums[1], 0 - bit));
}

/* The tree of one group without leaf `hole`. keys[i] belongs to the side that bit i of `hole` is not. Nodes on the way to the
 * hole are zero; the other child of each comes from the sum of its side. */
static void regrow(struct ccz_f128 *leaves, struct ccz_f128 (*tags)[TAG],
                   const struct ccz_f128 *sums, const struct ccz_f128 *keys, size_t hole,
                   const struct cczi_aes *level, const struct shape *s,
                   const struct cczi_ot_kernels *kernels)
{
    const struct ccz_f128 zero = {0};
    struct ccz_f128 next[LEAVES_MAX], own[2];
    uint64_t bit = hole >> (s->k - 1) & 1;
    size_t path = (size_t)bit;
    leaves[0] = cczi_f128_and(keys[s->k - 1], 0 - bit);
    leaves[1] = cczi_f128_and(keys[s->k - 1], bit - 1);
    for (unsigned l = 1; l < s->k; l++) {
        size_t len = (size_t)1 << l;
        kernels->grow(next, leaves, len, &level[l - 1]);
        memcpy(leaves, next, 2 * len * sizeof(*leaves));
        bit = hole >> (s->k - 1 - l) & 1;
        put_at(leaves, 2 * len, 2 * path, zero);
        put_at(leaves, 2 * len, 2 * path + 1, zero);
        cczi_side_sums(own, leaves, 2 * len);
        struct ccz_f128 missing = cczi_f128_add(side(sums, bit ^ 1), side(own, bit ^ 1));
        missing = cczi_f128_add(missing, keys[s->k - 1 - l]);
        put_at(leaves, 2 * len, 2 * path + (size_t)(bit ^ 1), missing);
        path = 2 * path + (size_t)bit;
        sums += 2;
    }
    finish(leaves, tags, s->leaves, level + s->k - 1, kernels);
    put_at(leaves, s->leaves, hole, zero);
    for (size_t i = 0; i < s->leaves; i++)
        for (int k = 0; k < TAG; k++)
            tags[i][k] = cczi_f128_and(tags[i][k], ~is_at(i, hole));
    sum_tags(own, tags, s->leaves);
    for (size_t i = 0; i < s->leaves; i++)
        for (int k = 0; k < TAG; k++)
            tags[i][k] = cczi_f128_add(
                tags[i][k], cczi_f128_and(cczi_f128_add(own[k], sums[k]), is_at(i, hole)));
    ccz_wipe(next, sizeof(next));
}

static ccz_rc regrow_all(struct ccz_f128 *leaves, uint8_t digest[32], const struct ccz_f128 *sums,
                         const struct ccz_f128 *keys, struct ccz_f128 delta,
                         const struct cczi_keyring *ring, const struct shape *s)
{
    CCZ_AUTO(ccz_hasher) h = NULL;
    struct ccz_f128 tags[LEAVES_MAX][TAG];
    struct cczi_aes level[CCZI_OT_K_MAX + 1];
    ccz_rc rc = ccz_hasher_new(&h, CCZ_SHA256);
    for (size_t g = 0; g < s->groups && rc == CCZ_OK; g++) {
        size_t at = g * s->k;
        size_t hole = (at < 64 ? delta.lo : delta.hi) >> (at & 63) & (s->leaves - 1);
        level_keys(level, ring, g, s->k);
        regrow(leaves + g * s->leaves, tags, sums + g * s->sums, keys + at, hole, level, s,
               ring->kernels);
        rc = ccz_hasher_put(h, CCZ_SPAN(tags, s->leaves * sizeof(tags[0])));
    }
    if (rc == CCZ_OK)
        rc = ccz_hasher_done(digest, h);
    ccz_wipe(tags, sizeof(tags));
    return rc;
}

ccz_rc cczi_trees_recv(struct ccz_f128 *leaves, const struct ccz_f128 *keys, struct ccz_f128 delta,
                       unsigned k, const struct cczi_ot_kernels *kernels, struct cczi_transcript *t,
                       struct ccz_chan *chan, struct ccz_err *err)
{
    struct shape s = shape_of(k);
    CCZI_AUTO_ARRAY msg;
    struct cczi_keyring ring;
    uint8_t digest[32];
    size_t len = s.groups * s.sums;
    ccz_rc rc = cczi_array_init(&msg, len + sizeof(digest) / sizeof(*msg.at), err);
    if (rc == CCZ_OK)
        rc = ccz_chan_recv_exact(msg.at, msg.len * sizeof(*msg.at), chan, err);
    if (rc != CCZ_OK)
        return rc;
    cczi_keyring_init(&ring, kernels, t, "tree keys");
    rc = regrow_all(leaves, digest, msg.at, keys, delta, &ring, &s);
    if (rc != CCZ_OK)
        return ccz_fail(err, rc, "ot:hash", 0, "hashing failed");
    if ((rc = cczi_transcript_check(t, err)) != CCZ_OK)
        return rc;
    if (!cczi_same(digest, msg.at + len, sizeof(digest)))
        return ccz_fail(err, CCZ_E_PEER, "ot:tree-check", 0,
                        "the peer's tree of keys is inconsistent: it cheats");
    cczi_transcript_put(t, "tree sums", CCZ_SPAN(msg.at, len * sizeof(*msg.at)));
    cczi_transcript_put(t, "tree tags", CCZ_SPAN(digest, sizeof(digest)));
    return CCZ_OK;
}
