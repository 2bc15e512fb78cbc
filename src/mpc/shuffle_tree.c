/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Trees of which one side lacks one leaf, from correlated OTs (Guo et al., EUROCRYPT 2023, "half-tree"): the two nodes of level 1 are
 * q and q + delta, children of x are H(x) and H(x) + x, so that all nodes of a level add up to delta and one sum for each level
 * is enough, under the mask of a correlated OT. The last level is grown without that relation: leaves are
 * independent of delta, and both its sums travel, hashed OTs over them. Which leaf is missing is a secret of the other side: no address
 * depends on it.
 */
#include "shuffle.h"

#include <stdlib.h>
#include <string.h>

enum { SCRATCH = 4 << CCZI_TREE_DEPTH_MAX };

ccz_rc cczi_tree_init(struct cczi_tree *t, size_t pairs, struct ccz_mpc *m, struct ccz_err *err)
{
    uint64_t master[2];
    *t = (struct cczi_tree){.kernels = cczi_ot_kernels(), .pairs = pairs, .group = UINT64_MAX};
    ccz_rc rc = cczi_mpc_common(master, 2, 64, m, err);
    if (rc == CCZ_OK)
        rc = cczi_mpc_alloc(&t->stretch, pairs, sizeof(*t->stretch), err);
    if (rc != CCZ_OK)
        return rc;
    t->kernels->aes_key(&t->master, (const uint8_t *)master);
    t->scratch = aligned_alloc(64, SCRATCH * sizeof(*t->scratch));
    if (!t->scratch)
        return ccz_fail(err, CCZ_E_NOMEM, "mpc:memory", 0, "out of memory");
    return CCZ_OK;
}

void cczi_tree_deinit(struct cczi_tree *t)
{
    if (t->scratch)
        ccz_wipe(t->scratch, SCRATCH * sizeof(*t->scratch));
    free(t->scratch);
    cczi_mpc_wipe_free(t->stretch, t->pairs * sizeof(*t->stretch));
    *t = (struct cczi_tree){0};
}

/* Key `at` of a group: levels, the hash, then what stretches. */
static struct cczi_aes *key_at(struct cczi_tree *t, size_t at)
{
    if (at < CCZI_TREE_DEPTH_MAX)
        return &t->level[at];
    return at == CCZI_TREE_DEPTH_MAX ? &t->hash : &t->stretch[at - CCZI_TREE_DEPTH_MAX - 1];
}

/* Keys of the group of the tree that begins with OT `number`. */
static void keys_of(struct cczi_tree *t, uint64_t number)
{
    const uint64_t group = number / CCZI_TREE_GROUP;
    const size_t keys = CCZI_TREE_DEPTH_MAX + 1 + t->pairs;
    if (t->group == group)
        return;
    for (size_t i = 0; i < keys; i++) {
        struct ccz_f128 block;
        uint8_t key[16];
        t->kernels->ctr(&block, 1, group * keys + i, &t->master);
        memcpy(key, &block, sizeof(key));
        t->kernels->aes_key(key_at(t, i), key);
    }
    t->group = group;
}

static struct ccz_f128 pick(struct ccz_f128 a, struct ccz_f128 b, uint64_t bit)
{
    return cczi_f128_add(cczi_f128_and(a, bit - 1), cczi_f128_and(b, 0 - bit));
}

static void side_sums(struct ccz_f128 sums[2], const struct ccz_f128 *a, size_t len)
{
    sums[0] = sums[1] = (struct ccz_f128){0};
    for (size_t i = 0; i < len; i++)
        sums[i & 1] = cczi_f128_add(sums[i & 1], a[i]);
}

/* Levels take turns between two places; the last one ends in `leaves`. */
static void places(struct ccz_f128 **from, struct ccz_f128 **to, struct ccz_f128 *leaves,
                   unsigned depth, const struct cczi_tree *t)
{
    *from = depth % 2 ? leaves : t->scratch;
    *to = depth % 2 ? t->scratch : leaves;
}

static void turn(struct ccz_f128 **from, struct ccz_f128 **to)
{
    struct ccz_f128 *other = *from;
    *from = *to;
    *to = other;
}

void cczi_tree_grow(struct ccz_f128 *leaves, struct ccz_f128 *msg, const struct ccz_f128 *q,
                    struct ccz_f128 delta, const uint8_t *flip, unsigned depth, uint64_t number,
                    struct cczi_tree *t)
{
    const unsigned last = depth - 1;
    struct ccz_f128 *from, *to, pads[2], row;
    keys_of(t, number);
    places(&from, &to, leaves, depth, t);
    from[0] = cczi_f128_add(q[0], cczi_f128_and(delta, 0 - (uint64_t)flip[0]));
    from[1] = cczi_f128_add(from[0], delta);
    for (unsigned l = 1; l < last; l++) {
        struct ccz_f128 left = t->kernels->halve(to, from, (size_t)1 << l, &t->level[l]);
        row = cczi_f128_add(q[l], cczi_f128_and(delta, 0 - (uint64_t)flip[l]));
        msg[l - 1] = cczi_f128_add(left, row);
        turn(&from, &to);
    }
    t->kernels->grow(to, from, (size_t)1 << last, &t->level[last]);
    side_sums(msg + last - 1, to, (size_t)2 << last);
    pads[0] = cczi_f128_add(q[last], cczi_f128_and(delta, 0 - (uint64_t)flip[last]));
    pads[1] = cczi_f128_add(pads[0], delta);
    for (int b = 0; b < 2; b++) {
        t->kernels->hash(pads + b, pads + b, 1, number, &t->hash);
        msg[last - 1 + (unsigned)b] = cczi_f128_add(msg[last - 1 + (unsigned)b], pads[b]);
    }
    ccz_wipe(pads, sizeof(pads));
    ccz_wipe(&row, sizeof(row));
}

static uint64_t is_at(size_t i, size_t at)
{
    uint64_t d = (uint64_t)(i ^ at);
    return ((d | (0 - d)) >> 63) - 1;
}

/* The children of node `path`, whose address is secret: what was missing on the known side, nothing on the other. */
static void put_pair(struct ccz_f128 *a, size_t pairs, size_t path, struct ccz_f128 missing,
                     uint64_t side)
{
    const struct ccz_f128 zero = {0}, even = pick(missing, zero, side);
    const struct ccz_f128 odd = pick(zero, missing, side);
    for (size_t i = 0; i < pairs; i++) {
        const uint64_t m = is_at(i, path);
        a[2 * i] = cczi_f128_add(cczi_f128_and(a[2 * i], ~m), cczi_f128_and(even, m));
        a[2 * i + 1] = cczi_f128_add(cczi_f128_and(a[2 * i + 1], ~m), cczi_f128_and(odd, m));
    }
}

/* Sum of the nodes of one side but the child of the hole, which came out of 0 like `weed`. */
static struct ccz_f128 known_sum(const struct ccz_f128 *a, size_t len, uint64_t side,
                                 const struct ccz_f128 weed[2])
{
    struct ccz_f128 sums[2];
    side_sums(sums, a, len);
    return pick(cczi_f128_add(sums[0], weed[0]), cczi_f128_add(sums[1], weed[1]), side);
}

void cczi_tree_regrow(struct ccz_f128 *leaves, const struct ccz_f128 *msg,
                      const struct ccz_f128 *ts, size_t hole, unsigned depth, uint64_t number,
                      struct cczi_tree *t)
{
    const unsigned last = depth - 1;
    const struct ccz_f128 zero = {0};
    struct ccz_f128 *from, *to, weed[2], missing;
    uint64_t side = (hole >> last & 1) ^ 1;
    keys_of(t, number);
    places(&from, &to, leaves, depth, t);
    from[0] = pick(ts[0], zero, side);
    from[1] = pick(zero, ts[0], side);
    for (unsigned l = 1; l <= last; l++) {
        const size_t path = hole >> (depth - l), len = (size_t)1 << l;
        side = (hole >> (last - l) & 1) ^ 1;
        if (l < last) {
            (void)t->kernels->halve(to, from, len, &t->level[l]);
            (void)t->kernels->halve(weed, &zero, 1, &t->level[l]);
            missing = cczi_f128_add(msg[l - 1], ts[l]);
        } else {
            t->kernels->grow(to, from, len, &t->level[l]);
            t->kernels->grow(weed, &zero, 1, &t->level[l]);
            t->kernels->hash(&missing, ts + l, 1, number, &t->hash);
            missing = cczi_f128_add(missing, pick(msg[l - 1], msg[l], side));
        }
        missing = cczi_f128_add(missing, known_sum(to, 2 * len, side, weed));
        put_pair(to, len, path, missing, side);
        turn(&from, &to);
    }
    ccz_wipe(&missing, sizeof(missing));
}
